package sealed_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"souk/store/sealed"
)

// D-24
func TestFromFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passphrase")
	longest := strings.Repeat("p", 1024)
	for _, c := range []struct{ name, text, want string }{
		{"no line ending", phrase, phrase},
		{"line feed", phrase + "\n", phrase},
		{"carriage return and line feed", phrase + "\r\n", phrase},
		{"more lines", phrase + "\nother\n", phrase},
		{"spaces are kept", " a b \n", " a b "},
		{"carriage returns inside", "a\rb\r\r\n", "a\rb\r"},
		{"not ASCII", "ключ\n", "ключ"},
		{"the longest", longest + "\r\n", longest},
		{"a long text after it", phrase + "\n" + strings.Repeat("x", 5000), phrase},
		{"empty", "", ""},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := sealed.FromFile(path)()
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	if err := os.WriteFile(path, []byte(longest+"p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := sealed.FromFile(path)()
	refuses(t, sealed.ErrLong, err)

	if err := os.WriteFile(path, []byte(phrase), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := sealed.FromFile(path)()
		refuses(t, sealed.ErrPermissions, err)
	}
	_, err = sealed.FromFile(path + "x")()
	refuses(t, fs.ErrNotExist, err)
}

// dup returns a second descriptor of a file, which is closed.
func dup(t *testing.T, f *os.File) int {
	t.Helper()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestFromFD(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close() //nolint:errcheck // it stays open: nobody may wait for its end
	if _, err := w.WriteString(phrase + "\nmore"); err != nil {
		t.Fatal(err)
	}
	// A file of its own, for FromFD closes the descriptor it is given.
	pass := sealed.FromFD(dup(t, r))
	for range 3 {
		got, err := pass()
		if err != nil || string(got) != phrase {
			t.Fatalf("%q, %v", got, err)
		}
		clear(got) // as callers do
	}
}

func TestFromFDThatIsNotOpen(t *testing.T) {
	for _, fd := range []int{-1, 9999} {
		if got, err := sealed.FromFD(fd)(); err == nil {
			t.Errorf("descriptor %d answers %q", fd, got)
		}
	}
}

// An empty answer is not remembered.
func TestFromFDEmpty(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	pass := sealed.FromFD(dup(t, r))
	if _, err := pass(); !errors.Is(err, sealed.ErrEmpty) {
		t.Errorf("%v", err)
	}
	if _, err := pass(); err == nil {
		t.Error("a second answer from nothing")
	}
}
