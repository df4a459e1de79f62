package sealed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// maxPassphrase is the longest passphrase in bytes.
const maxPassphrase = 1024

// ErrNoTerminal is returned by FromTerminal where nobody can be asked.
var ErrNoTerminal = errors.New("no terminal to ask for the passphrase; give --passphrase-file or --passphrase-fd")

// FromFile reads the first line of a file that only its owner may read.
func FromFile(path string) Passphrase {
	return func() ([]byte, error) {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("passphrase file: %w", err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			return nil, fmt.Errorf("passphrase file %s: others may read it; chmod 600 it: %w", path, ErrPermissions)
		}
		f, err := os.Open(path) //nolint:gosec // the user names it
		if err != nil {
			return nil, fmt.Errorf("passphrase file: %w", err)
		}
		defer f.Close() //nolint:errcheck // nothing was written
		return firstLine(f)
	}
}

// FromFD reads the first line of an open file descriptor, once; it answers the
// same again later.
func FromFD(fd int) Passphrase {
	var kept []byte
	return func() ([]byte, error) {
		if kept == nil {
			f := os.NewFile(uintptr(fd), "passphrase") //nolint:gosec // the user names it
			if f == nil {
				return nil, fmt.Errorf("passphrase: file descriptor %d is not open", fd)
			}
			defer f.Close() //nolint:errcheck // nothing was written
			line, err := firstLine(f)
			if err != nil {
				return nil, err
			}
			kept = line
		}
		return bytes.Clone(kept), nil
	}
}

// FromTerminal asks on the terminal without showing what is typed, once; it
// answers the same again later. With confirm it asks twice, for new secrets.
func FromTerminal(prompt string, confirm bool) Passphrase {
	var kept []byte
	return func() ([]byte, error) {
		if kept != nil {
			return bytes.Clone(kept), nil
		}
		tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err != nil {
			return nil, ErrNoTerminal
		}
		defer tty.Close() //nolint:errcheck // nothing is lost
		phrase, err := askTerminal(tty, prompt)
		if err != nil {
			return nil, err
		}
		if confirm {
			again, err := askTerminal(tty, "Again: ")
			if err != nil {
				return nil, err
			}
			defer wipe(again)
			if !bytes.Equal(phrase, again) {
				wipe(phrase)
				return nil, errors.New("the two passphrases differ; try again")
			}
		}
		kept = phrase
		return bytes.Clone(kept), nil
	}
}

func askTerminal(tty *os.File, prompt string) ([]byte, error) {
	if _, err := io.WriteString(tty, prompt); err != nil {
		return nil, fmt.Errorf("ask for the passphrase: %w", err)
	}
	phrase, err := term.ReadPassword(int(tty.Fd())) //nolint:gosec // a file descriptor
	if err != nil {
		return nil, fmt.Errorf("ask for the passphrase: %w", err)
	}
	_, err = io.WriteString(tty, "\n")
	return phrase, err
}

func firstLine(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPassphrase+1))
	if err != nil {
		return nil, fmt.Errorf("read the passphrase: %w", err)
	}
	line, _, _ := bytes.Cut(data, []byte{'\n'})
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if len(line) > maxPassphrase {
		return nil, fmt.Errorf("the passphrase is longer than %d bytes", maxPassphrase)
	}
	return line, nil
}

// ask gets a passphrase that is not empty.
func ask(pass Passphrase) ([]byte, error) {
	if pass == nil {
		return nil, ErrEmpty
	}
	phrase, err := pass()
	if err == nil && len(phrase) == 0 {
		err = ErrEmpty
	}
	return phrase, err
}
