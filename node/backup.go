package node

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"souk/exchange"
)

// A backup is what an operator must keep of a home: sealed keys, cards, configuration,
// founding contracts and signing journals, in one tar file that begins with a list of
// all with their hashes. State and blocks are not in it: the other members have them.
// What a consensus key has signed is not in it either, for it would be old: a restored
// server gets a new consensus key.

// ErrBackup is returned for a home that cannot be backed up as it is, and for a file that
// is no backup.
var ErrBackup = errors.New("backup")

// backupFiles are the files of a home that are kept. Those that end in .age or .key must be sealed.
func backupFiles() []string {
	return []string{
		"config.toml", "card", "keys/*.age", "keys/bank.key", "cards/*/card", "cards/*/*.age",
		"vs/*/founding", "vs/*/origin", "banks/*/journal/bank-*",
	}
}

const (
	backupList    = "souk-backup.json"
	backupVersion = 1
	// Bounds of what restoring reads.
	mostBackupFiles = 4096
	mostBackupFile  = 4 << 30
	// sealedHead begins a file that age has sealed.
	sealedHead = "age-encryption.org/v1"
)

// Backup says what is in a backup.
type Backup struct {
	Version int          `json:"version"`
	Made    uint64       `json:"made"` // ms
	Member  string       `json:"member"`
	Files   []BackupFile `json:"files"`
	// Alone are ids of virtual servers of this member alone: nobody else has their state.
	Alone []string `json:"alone,omitempty"`
}

// BackupFile is one file of a home.
type BackupFile struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
	Hash string `json:"sha256"`
}

// Backup writes a home's backup. The server may be running.
func (h Home) Backup(out io.Writer, now time.Time) (Backup, error) {
	card, err := h.Card()
	if err != nil {
		return Backup{}, err
	}
	b := Backup{Version: backupVersion, Made: uint64(now.UnixMilli()), Member: card.Name}
	content := map[string][]byte{}
	for _, pattern := range backupFiles() {
		paths, err := filepath.Glob(filepath.Join(string(h), filepath.FromSlash(pattern)))
		if err != nil {
			return b, fmt.Errorf("%w: %w", ErrBackup, err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				return b, fmt.Errorf("%w: %w", ErrBackup, err)
			}
			rel, err := filepath.Rel(string(h), path)
			if err != nil {
				return b, fmt.Errorf("%w: %w", ErrBackup, err)
			}
			name := filepath.ToSlash(rel)
			if isSecret(name) && !bytes.HasPrefix(data, []byte(sealedHead)) {
				return b, fmt.Errorf("%w: %s is not sealed, and secrets are not copied as they are: seal it, or move it away", ErrBackup, path)
			}
			sum := sha256.Sum256(data)
			b.Files = append(b.Files, BackupFile{name, int64(len(data)), hex.EncodeToString(sum[:])})
			content[name] = data
		}
	}
	for name, data := range content {
		if f, err := exchange.ParseFounding(data); strings.HasSuffix(name, "/founding") && err == nil && len(f.Members) == 1 {
			id := f.ID()
			b.Alone = append(b.Alone, hex.EncodeToString(id[:]))
		}
	}
	slices.Sort(b.Alone)
	return b, b.write(out, content, now)
}

// backedUp is where a home remembers the SHA-256 of the sealed keys for banks that were
// in its last backup.
func (h Home) backedUp() string { return filepath.Join(string(h), "backed-up") }

// NoteBackup notes in a home that a backup of it is kept, so that Doctor does not ask for one.
func (h Home) NoteBackup(b *Backup) error {
	for _, f := range b.Files {
		if filepath.Join(string(h), filepath.FromSlash(f.Path)) != h.bankSeed() {
			continue
		}
		if err := os.WriteFile(h.backedUp(), []byte(f.Hash+"\n"), 0o600); err != nil {
			return fmt.Errorf("%w: %w", ErrBackup, err)
		}
	}
	return nil
}

// inBackup tells whether the keys for banks, as they are, were in a backup.
func (h Home) inBackup() bool {
	noted, err := os.ReadFile(h.backedUp())
	data, kerr := os.ReadFile(h.bankSeed())
	sum := sha256.Sum256(data)
	return err == nil && kerr == nil && strings.TrimSpace(string(noted)) == hex.EncodeToString(sum[:])
}

// isSecret tells whether a file must be sealed.
func isSecret(name string) bool {
	return strings.HasSuffix(name, ".age") || strings.HasSuffix(name, ".key")
}

func (b *Backup) write(out io.Writer, content map[string][]byte, now time.Time) error {
	list, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBackup, err)
	}
	w := tar.NewWriter(out)
	put := func(name string, data []byte) error {
		err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: now})
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	}
	errs := []error{put(backupList, list)}
	for _, f := range b.Files {
		errs = append(errs, put(f.Path, content[f.Path]))
	}
	if err := errors.Join(append(errs, w.Close())...); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	return nil
}

// isSparse tells whether a record of a tar file's entry says that the file has holes.
func isSparse(record string) bool { return strings.HasPrefix(record, "GNU.sparse.") }

// readBackup reads a backup and checks every file of it.
func readBackup(in io.Reader) (b Backup, content map[string][]byte, err error) {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrBackup, fmt.Sprintf(format, args...))
	}
	r := tar.NewReader(in)
	content = map[string][]byte{}
	for {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return b, nil, bad("the file is damaged, or none: %v", err)
		}
		if head.Typeflag != tar.TypeReg || slices.ContainsFunc(slices.Collect(maps.Keys(head.PAXRecords)), isSparse) {
			return b, nil, bad("%q is no plain file", head.Name) // a hole of a few bytes can take all memory
		}
		if len(content) >= mostBackupFiles || head.Size > mostBackupFile || content[head.Name] != nil {
			return b, nil, bad("the file is damaged at %q", head.Name)
		}
		data, err := io.ReadAll(io.LimitReader(r, mostBackupFile))
		if err != nil {
			return b, nil, bad("the file is damaged: %v", err)
		}
		content[head.Name] = data
	}
	if err := json.Unmarshal(content[backupList], &b); err != nil || b.Version != backupVersion {
		return b, nil, bad("its list is missing or of another version of souk")
	}
	for _, f := range b.Files {
		data, ok := content[f.Path]
		sum := sha256.Sum256(data)
		known := slices.ContainsFunc(backupFiles(), func(pattern string) bool {
			is, err := filepath.Match(pattern, f.Path)
			return is && err == nil
		})
		if !ok || !known || hex.EncodeToString(sum[:]) != f.Hash || strings.Contains(f.Path, "..") {
			return b, nil, bad("%q is not what was backed up", f.Path)
		}
	}
	return b, content, nil
}
