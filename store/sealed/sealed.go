// Package sealed owns small secret files at rest: keys and words, encrypted under
// a passphrase with age's scrypt recipient. It says how such files are written
// (whole or not at all, readable by their owner only), that a file of one kind
// is not taken for another, and where passphrases may come from: a file, a file
// descriptor or the terminal; never a command line or the environment.
//
// What is in the files belongs to whoever writes them. Floor 2; it is apart from
// the store port.
package sealed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"
)

// Work factors of scrypt, as powers of two. Reading refuses more than MaxWork,
// because a file from somebody else could otherwise keep a processor busy for hours.
const (
	DefaultWork = 18 // about a second
	TestWork    = 10 // for tests and trials, whose secrets are worth nothing
	MaxWork     = 22
)

// maxFile is the largest sealed file in bytes.
const maxFile = 1 << 20

// magic begins every plaintext, then the kind and a zero byte.
const magic = "souk sealed 1\n"

// Errors, each with what to do next.
var (
	// ErrWrongPassphrase is returned by Read.
	ErrWrongPassphrase = errors.New("the passphrase is wrong, or the file is damaged")
	// ErrPermissions is returned for a file or folder that others may read.
	ErrPermissions = errors.New("others may read it; chmod 600 the file and 700 its folder")
	// ErrKind is returned for a file that holds another kind of secret.
	ErrKind = errors.New("the file holds another kind of secret")
	// ErrExists is returned by Write for a path that is taken.
	ErrExists = errors.New("file exists; a sealed file is never overwritten")
	// ErrEmpty is returned for an empty passphrase.
	ErrEmpty = errors.New("the passphrase is empty")
)

// Passphrase gets a passphrase from where the user keeps it. The caller of it
// wipes what it answers.
type Passphrase func() ([]byte, error)

// Write seals a secret of a kind into a new file, of mode 0600 in a folder of mode
// 0700 that it makes if missing. When it returns, the file survives a loss of
// power. work is the work factor; zero is DefaultWork.
func Write(path, kind string, secret []byte, pass Passphrase, work int) error {
	if work == 0 {
		work = DefaultWork
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s: %w", path, ErrExists)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("seal %s: %w", path, err)
	}
	phrase, err := ask(pass)
	if err != nil {
		return fmt.Errorf("seal %s: %w", path, err)
	}
	defer wipe(phrase)
	recipient, err := age.NewScryptRecipient(string(phrase))
	if err != nil {
		return fmt.Errorf("seal %s: %w", path, err)
	}
	recipient.SetWorkFactor(work)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipient)
	if err != nil {
		return fmt.Errorf("seal %s: %w", path, err)
	}
	plain := append([]byte(magic+kind+"\x00"), secret...)
	defer wipe(plain)
	if _, err := w.Write(plain); err != nil {
		return fmt.Errorf("seal %s: %w", path, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("seal %s: %w", path, err)
	}
	return writeFile(path, sealed.Bytes())
}

// Read opens a sealed file of a kind. The caller wipes the secret when he is done.
func Read(path, kind string, pass Passphrase) ([]byte, error) {
	if err := private(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path) //nolint:gosec // the caller names it
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	phrase, err := ask(pass)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer wipe(phrase)
	identity, err := age.NewScryptIdentity(string(phrase))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	identity.SetMaxWorkFactor(MaxWork)
	// age's own errors may tell of the file; they never tell of the passphrase.
	r, err := age.Decrypt(io.LimitReader(f, maxFile), identity)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, ErrWrongPassphrase)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		wipe(plain)
		return nil, fmt.Errorf("open %s: %w", path, ErrWrongPassphrase)
	}
	return unwrap(path, kind, plain)
}

// unwrap checks what kind of secret a plaintext holds.
func unwrap(path, kind string, plain []byte) ([]byte, error) {
	defer wipe(plain)
	rest, ok := bytes.CutPrefix(plain, []byte(magic))
	got, secret, ok2 := bytes.Cut(rest, []byte{0})
	if !ok || !ok2 || string(got) != kind {
		return nil, fmt.Errorf("open %s: %w", path, ErrKind)
	}
	return bytes.Clone(secret), nil
}

// private refuses a file that others may read.
func private(path string) error {
	for _, p := range []string{path, filepath.Dir(path)} {
		info, err := os.Stat(p)
		if err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			return fmt.Errorf("%s: %w", p, ErrPermissions)
		}
	}
	return nil
}

// writeFile makes a file appear whole or not at all.
func writeFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".sealing-*") // mode 0600
	if err != nil {
		return fmt.Errorf("seal %s: %w", path, err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone after the link, or of no use
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("seal %s: %w", path, err)
	}
	// Unlike rename, link does not replace a file that appeared meanwhile.
	if err := os.Link(f.Name(), path); err != nil {
		return fmt.Errorf("seal %s: %w", path, err)
	}
	d, err := os.Open(dir) //nolint:gosec // the caller names it
	if err != nil {
		return fmt.Errorf("seal %s: %w", path, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("seal %s: %w", path, err)
	}
	return nil
}

func wipe(b []byte) { clear(b) }
