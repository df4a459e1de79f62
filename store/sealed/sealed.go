// Package sealed owns small secret files at rest: keys and words, encrypted under
// a passphrase with age's scrypt recipient. It says how such files are written
// (whole or not at all, readable by their owner only), that a file of one kind
// is not taken for another, and where passphrases may come from: a file, a file
// descriptor or the terminal; never a command line or the environment.
//
// What is in the files belongs to whoever writes them. Floor 2; it is apart from
// the store port.
//
// Buffers that held a secret are wiped here. Copies that age and the Go runtime
// make on the way are out of reach.
package sealed

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"

	"filippo.io/age"
)

// Work factors of scrypt, as powers of two. Reading refuses more than MaxWork,
// because a file from somebody else could otherwise keep a processor busy for hours.
const (
	DefaultWork = 18 // about a second and 256 MiB
	TestWork    = 10 // for tests and trials, whose secrets are worth nothing; the least
	MaxWork     = 22
)

// MaxSecret is the largest secret in bytes.
const MaxSecret = 512 << 10

// maxKind is the longest kind in bytes.
const maxKind = 64

// maxFile is the largest sealed file in bytes: more than one with a secret of
// MaxSecret has.
const maxFile = 1 << 20

// magic begins every plaintext, then the kind and a zero byte.
const magic = "souk sealed 1\n"

// Errors of Read and Write. Each says what to do next; none tells of the secret or
// the passphrase.
var (
	// ErrWrongPassphrase is returned by Read.
	ErrWrongPassphrase = errors.New("the passphrase is wrong; try again")
	// ErrDamaged is returned by Read for a file that nobody has sealed, or that has
	// changed since.
	ErrDamaged = errors.New("not a sealed file, or damaged; take it from a backup")
	// ErrWork is returned by Read for a file that asks for more work than MaxWork,
	// and by Write for a work factor out of range.
	ErrWork = errors.New("the work factor is out of range")
	// ErrKind is returned by Read for a file that holds another kind of secret.
	ErrKind = errors.New("the file holds another kind of secret; was it renamed?")
	// ErrPermissions is returned for a file or folder that others may enter.
	ErrPermissions = errors.New("others may read it")
	// ErrExists is returned by Write for a path that is taken.
	ErrExists = errors.New("file exists; a sealed file is never overwritten, move it away")
	// ErrLimit is returned by Write for a secret or kind that does not fit.
	ErrLimit = errors.New("secret or kind breaks a limit")
)

// Write seals a secret of a kind into a new file, of mode 0600 in a folder of mode
// 0700 that it makes if missing. A kind is 1 to 64 printable ASCII characters.
// When Write returns, the file survives a loss of power; if it fails, there is no
// file. work is the work factor; zero is DefaultWork.
func Write(path, kind string, secret []byte, pass Passphrase, work int) error {
	if err := write(osDisk(), path, kind, secret, pass, work); err != nil {
		return fmt.Errorf("seal %s: %w", path, err)
	}
	return nil
}

func write(d disk, path, kind string, secret []byte, pass Passphrase, work int) error {
	if work == 0 {
		work = DefaultWork
	}
	if work < TestWork || work > MaxWork {
		return fmt.Errorf("%w: %d is not in %d to %d", ErrWork, work, TestWork, MaxWork)
	}
	plain, err := encode(kind, secret)
	if err != nil {
		return err
	}
	defer wipe(plain)
	if err := d.prepare(path); err != nil {
		return err
	}
	defer giveBack(work)
	phrase, err := ask(pass)
	if err != nil {
		return err
	}
	defer wipe(phrase)
	recipient, err := age.NewScryptRecipient(string(phrase))
	if err != nil {
		return err
	}
	recipient.SetWorkFactor(work)
	var file bytes.Buffer
	w, err := age.Encrypt(&file, recipient)
	if err != nil {
		return err
	}
	if _, err := w.Write(plain); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return d.place(path, file.Bytes())
}

// Read opens a sealed file of a kind. It asks for the passphrase only when the
// file is one that it would open. The caller wipes the secret when he is done.
func Read(path, kind string, pass Passphrase) ([]byte, error) {
	secret, err := read(path, kind, pass)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return secret, nil
}

func read(path, kind string, pass Passphrase) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(private(path, info), privateFolder(filepath.Dir(path))); err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, ErrDamaged
	}
	r, err := age.Decrypt(f, identity{pass})
	if reason := (*reasoned)(nil); errors.As(err, &reason) {
		return nil, reason.error
	} else if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, ErrWrongPassphrase
	} else if err != nil {
		return nil, ErrDamaged // age's words would only confuse
	}
	var plain bytes.Buffer
	plain.Grow(int(info.Size()) + bytes.MinRead) // all there can be, so that no copy is left behind
	defer func() { wipe(plain.Bytes()) }()
	if _, err := plain.ReadFrom(r); err != nil {
		return nil, ErrDamaged
	}
	secret, err := decode(kind, plain.Bytes())
	return bytes.Clone(secret), err
}

// identity is an age.Identity that looks at the file before it asks for the
// passphrase.
type identity struct{ pass Passphrase }

// reasoned is an error of identity's own, which age passes on.
type reasoned struct{ error }

// Unwrap returns the file's key, given what stands in its header.
func (i identity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != "scrypt" || len(stanzas[0].Args) != 2 {
		return nil, &reasoned{ErrDamaged}
	}
	work, err := strconv.Atoi(stanzas[0].Args[1])
	if err != nil {
		return nil, &reasoned{ErrDamaged}
	}
	if work > MaxWork {
		return nil, &reasoned{fmt.Errorf("%w: it asks for %d, at most %d is allowed", ErrWork, work, MaxWork)}
	}
	defer giveBack(work)
	phrase, err := ask(i.pass)
	if err != nil {
		return nil, &reasoned{err}
	}
	defer wipe(phrase)
	scrypt, err := age.NewScryptIdentity(string(phrase))
	if err != nil {
		return nil, &reasoned{err}
	}
	scrypt.SetMaxWorkFactor(MaxWork)
	return scrypt.Unwrap(stanzas)
}

// giveBack returns to the system what scrypt took, 256 MiB at DefaultWork. The
// runtime would keep it for minutes, and with it what scrypt made of a passphrase.
func giveBack(work int) {
	if work >= DefaultWork-2 {
		debug.FreeOSMemory()
	}
}

// encode returns the plaintext of a sealed file.
func encode(kind string, secret []byte) ([]byte, error) {
	if !isKind(kind) {
		return nil, fmt.Errorf("%w: a kind is 1 to %d printable ASCII characters", ErrLimit, maxKind)
	}
	if len(secret) > MaxSecret {
		return nil, fmt.Errorf("%w: a secret has at most %d bytes", ErrLimit, MaxSecret)
	}
	plain := make([]byte, 0, len(magic)+len(kind)+1+len(secret))
	plain = append(plain, magic...)
	plain = append(plain, kind...)
	plain = append(plain, 0)
	return append(plain, secret...), nil
}

// decode returns the secret of a kind in a plaintext, without a copy.
func decode(kind string, plain []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(plain, []byte(magic))
	if !ok {
		return nil, ErrDamaged
	}
	got, secret, ok := bytes.Cut(rest, []byte{0})
	if !ok || !isKind(string(got)) || len(secret) > MaxSecret {
		return nil, ErrDamaged
	}
	if string(got) != kind {
		return nil, fmt.Errorf("%w: it is %q, not %q", ErrKind, got, kind)
	}
	return secret, nil
}

func isKind(kind string) bool {
	for i := range len(kind) {
		if kind[i] < 0x20 || kind[i] > 0x7e {
			return false
		}
	}
	return kind != "" && len(kind) <= maxKind
}

// wipe overwrites a buffer that held a secret.
func wipe(b []byte) {
	clear(b)
	runtime.KeepAlive(b)
}
