package sealed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// maxPassphrase is the longest passphrase in bytes.
const maxPassphrase = 1024

// Errors of where a passphrase comes from.
var (
	// ErrEmpty is returned for an empty passphrase.
	ErrEmpty = errors.New("the passphrase is empty")
	// ErrLong is returned for a passphrase of more than 1,024 bytes.
	ErrLong = errors.New("the passphrase is longer than 1024 bytes")
	// ErrDiffer is returned when a new passphrase is typed in two ways.
	ErrDiffer = errors.New("the two passphrases differ; try again")
	// ErrNoTerminal is returned by FromTerminal where nobody can be asked.
	ErrNoTerminal = errors.New("no terminal to ask for the passphrase; give --passphrase-file or --passphrase-fd")
)

// Passphrase gets a passphrase from where the user keeps it. The caller of it
// wipes what it answers.
type Passphrase func() ([]byte, error)

// FromFile reads the first line of a file that only its owner may read.
func FromFile(path string) Passphrase {
	return func() ([]byte, error) {
		line, err := Line(path)
		if err != nil {
			return nil, fmt.Errorf("passphrase file: %w", err)
		}
		return line, nil
	}
}

// Line reads the first line of a file that only its owner may read. The caller
// wipes it.
func Line(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := private(path, info); err != nil {
		return nil, err
	}
	return firstLine(f)
}

// FromFD reads the first line of an open file descriptor and closes it, once; it
// answers the same again later.
func FromFD(fd int) Passphrase {
	return once(func() ([]byte, error) {
		f := os.NewFile(uintptr(fd), "passphrase")
		if f == nil {
			return nil, fmt.Errorf("passphrase: file descriptor %d is not open", fd)
		}
		defer f.Close() //nolint:errcheck // nothing was written
		return firstLine(f)
	})
}

// FromTerminal asks on the terminal without showing what is typed, once; it
// answers the same again later. With confirm it asks twice, for new secrets.
func FromTerminal(prompt string, confirm bool) Passphrase {
	return once(func() ([]byte, error) {
		tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err != nil {
			return nil, ErrNoTerminal
		}
		defer tty.Close() //nolint:errcheck // nothing is lost
		phrase, err := askTerminal(tty, prompt)
		if err != nil || !confirm {
			return phrase, err
		}
		again, err := askTerminal(tty, "Again: ")
		defer wipe(again)
		if err == nil && !bytes.Equal(phrase, again) {
			err = ErrDiffer
		}
		if err != nil {
			wipe(phrase)
			return nil, err
		}
		return phrase, nil
	})
}

// once remembers the first passphrase that it gets.
func once(pass Passphrase) Passphrase {
	var mu sync.Mutex
	var kept []byte
	return func() ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		if kept == nil {
			phrase, err := ask(pass)
			if err != nil {
				return nil, err
			}
			kept = phrase
		}
		return bytes.Clone(kept), nil
	}
}

// ask gets a passphrase that is not empty.
func ask(pass Passphrase) ([]byte, error) {
	if pass == nil {
		return nil, ErrEmpty
	}
	phrase, err := pass()
	switch {
	case err != nil:
	case len(phrase) == 0:
		err = ErrEmpty
	case len(phrase) > maxPassphrase:
		err = ErrLong
	}
	if err != nil {
		wipe(phrase)
		return nil, err
	}
	return phrase, nil
}

func askTerminal(tty *os.File, prompt string) ([]byte, error) {
	if _, err := io.WriteString(tty, prompt); err != nil {
		return nil, fmt.Errorf("ask for the passphrase: %w", err)
	}
	phrase, err := term.ReadPassword(int(tty.Fd()))
	_, writing := io.WriteString(tty, "\n")
	if err = errors.Join(err, writing); err != nil {
		wipe(phrase)
		return nil, fmt.Errorf("ask for the passphrase: %w", err)
	}
	return phrase, nil
}

// firstLine returns what comes before the first line feed, or a carriage return
// and line feed. It does not wait for the end of what is still being written.
func firstLine(r io.Reader) ([]byte, error) {
	buffer := make([]byte, maxPassphrase+2) // with its line ending
	defer wipe(buffer)
	n := 0
	for n < len(buffer) && !bytes.Contains(buffer[:n], []byte{'\n'}) {
		more, err := r.Read(buffer[n:])
		n += more
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the passphrase: %w", err)
		}
	}
	line, _, _ := bytes.Cut(buffer[:n], []byte{'\n'})
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if len(line) > maxPassphrase {
		return nil, ErrLong
	}
	return bytes.Clone(line), nil
}
