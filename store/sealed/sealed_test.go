package sealed_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"souk/store/sealed"
)

// The words that must not get out.
const (
	secret = "correct-horse"
	phrase = "battery-staple"
)

// say answers a passphrase.
func say(phrase string) sealed.Passphrase {
	return func() ([]byte, error) { return []byte(phrase), nil }
}

// mute is for calls that must not ask.
func mute(t *testing.T) sealed.Passphrase {
	return func() ([]byte, error) {
		t.Error("the passphrase was asked for in vain")
		return []byte(phrase), nil
	}
}

// seal writes a sealed file of kind "words" and returns its path.
func seal(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys", "words.age")
	if err := sealed.Write(path, "words", []byte(secret), say(phrase), sealed.TestWork); err != nil {
		t.Fatal(err)
	}
	return path
}

// refuses checks that err matches want and tells no secret (D-25).
func refuses(t *testing.T, want, err error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
	for _, word := range []string{secret, phrase} {
		if strings.Contains(fmt.Sprintf("%+v %#v %q", err, err, err), word) {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
}

func TestWriteAndRead(t *testing.T) {
	for _, want := range []string{"", "x", secret, strings.Repeat("\x00\xff", sealed.MaxSecret/2)} {
		path := filepath.Join(t.TempDir(), "a", "b", "key.age")
		given := []byte(want)
		if err := sealed.Write(path, "words", given, say(phrase), sealed.TestWork); err != nil {
			t.Fatal(err)
		}
		if string(given) != want {
			t.Fatal("Write changed the secret that it was given")
		}
		got, err := sealed.Read(path, "words", say(phrase))
		if err != nil || string(got) != want {
			t.Fatalf("%.20q comes back as %.20q, %v", want, got, err)
		}
		file, err := os.ReadFile(path)
		if err != nil || len(want) > 1 && bytes.Contains(file, []byte(want)) {
			t.Fatalf("the file shows its secret, %v", err)
		}
		for dir, mode := range map[string]fs.FileMode{
			path: 0o600, filepath.Dir(path): 0o700 | fs.ModeDir, filepath.Dir(filepath.Dir(path)): 0o700 | fs.ModeDir,
		} {
			if info, err := os.Stat(dir); err != nil || info.Mode() != mode {
				t.Errorf("%s: mode %v, want %v, %v", dir, info.Mode(), mode, err)
			}
		}
	}
}

// Work factor zero is the default one; this takes a second.
func TestDefaultWork(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "key.age")
	if err := sealed.Write(path, "words", []byte(secret), say(phrase), 0); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(file, fmt.Appendf(nil, " %d\n", sealed.DefaultWork)) {
		t.Fatalf("the file does not say work factor %d: %v", sealed.DefaultWork, err)
	}
	var m runtime.MemStats
	if runtime.ReadMemStats(&m); m.HeapSys-m.HeapReleased > 100<<20 {
		t.Errorf("%d MiB are not given back", (m.HeapSys-m.HeapReleased)>>20)
	}
}

func TestWriteRefuses(t *testing.T) {
	taken := seal(t)
	before, err := os.ReadFile(taken)
	if err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "keys", "key.age")
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o750); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("no answer")
	large := make([]byte, sealed.MaxSecret+1)
	for _, c := range []struct {
		name, path, kind string
		secret           []byte
		pass             sealed.Passphrase
		work             int
		want             error
	}{
		{"a path that is taken", taken, "words", []byte(secret), mute(t), sealed.TestWork, sealed.ErrExists},
		{"a folder for all", filepath.Join(open, "key.age"), "words", []byte(secret), mute(t), sealed.TestWork, sealed.ErrPermissions},
		{"a file as folder", filepath.Join(taken, "key.age"), "words", []byte(secret), mute(t), sealed.TestWork, fs.ErrInvalid},
		{"no kind", fresh, "", []byte(secret), mute(t), sealed.TestWork, sealed.ErrLimit},
		{"a kind with a zero", fresh, "a\x00b", []byte(secret), mute(t), sealed.TestWork, sealed.ErrLimit},
		{"a long kind", fresh, strings.Repeat("k", 65), []byte(secret), mute(t), sealed.TestWork, sealed.ErrLimit},
		{"a large secret", fresh, "words", large, mute(t), sealed.TestWork, sealed.ErrLimit},
		{"little work", fresh, "words", []byte(secret), mute(t), sealed.TestWork - 1, sealed.ErrWork},
		{"too much work", fresh, "words", []byte(secret), mute(t), sealed.MaxWork + 1, sealed.ErrWork},
		{"no passphrase", fresh, "words", []byte(secret), say(""), sealed.TestWork, sealed.ErrEmpty},
		{"nobody to ask", fresh, "words", []byte(secret), nil, sealed.TestWork, sealed.ErrEmpty},
		{"a long passphrase", fresh, "words", []byte(secret), say(strings.Repeat(phrase, 100)), sealed.TestWork, sealed.ErrLong},
		{"a broken source", fresh, "words", []byte(secret), func() ([]byte, error) { return []byte(phrase), broken }, sealed.TestWork, broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := sealed.Write(c.path, c.kind, c.secret, c.pass, c.work)
			if c.want == fs.ErrInvalid { //nolint:errorlint // stands for what the system says
				if err == nil {
					t.Error("no error")
				}
				return
			}
			refuses(t, c.want, err)
			if !strings.Contains(fmt.Sprint(err), c.path) {
				t.Errorf("the error does not name the file: %v", err)
			}
		})
	}
	if _, err := os.Lstat(fresh); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused Write leaves a file: %v", err)
	}
	if after, err := os.ReadFile(taken); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a refused Write changes the file: %v", err)
	}
}

// D-21, D-22
func TestReadRefuses(t *testing.T) {
	path := seal(t)
	_, err := sealed.Read(path, "words", say(phrase+" "))
	refuses(t, sealed.ErrWrongPassphrase, err)
	_, err = sealed.Read(path, "words", say(""))
	refuses(t, sealed.ErrEmpty, err)
	for _, kind := range []string{"key server", "sword", "word"} {
		_, err = sealed.Read(path, kind, say(phrase))
		refuses(t, sealed.ErrKind, err)
	}
	_, err = sealed.Read(path+"x", "words", mute(t))
	refuses(t, fs.ErrNotExist, err)
	_, err = sealed.Read(filepath.Dir(path), "words", mute(t))
	if err == nil {
		t.Error("a folder is read")
	}

	for _, mode := range []fs.FileMode{0o640, 0o604, 0o610, 0o601, 0o620} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err = sealed.Read(path, "words", mute(t))
		refuses(t, sealed.ErrPermissions, err)
		if !strings.Contains(fmt.Sprint(err), "chmod 600") {
			t.Errorf("the error gives no advice: %v", err)
		}
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err = sealed.Read(path, "words", say(phrase)); err != nil {
		t.Errorf("a file with a narrower mode: %v", err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o711); err != nil {
		t.Fatal(err)
	}
	_, err = sealed.Read(path, "words", mute(t))
	refuses(t, sealed.ErrPermissions, err)
	if !strings.Contains(fmt.Sprint(err), "chmod 700") {
		t.Errorf("the error gives no advice: %v", err)
	}
}

// Whatever byte of a file is changed, and wherever it is cut, it is refused.
func TestDamage(t *testing.T) {
	path := seal(t)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := sealed.Read(path, "words", say(phrase))
		if !errors.Is(err, sealed.ErrDamaged) && !errors.Is(err, sealed.ErrWrongPassphrase) && !errors.Is(err, sealed.ErrWork) {
			t.Errorf("%s: %v", what, err)
		}
		refuses(t, err, err)
	}
	for i := range file {
		damaged := bytes.Clone(file)
		damaged[i] ^= 1
		try(fmt.Sprint("bit flipped at ", i), damaged)
	}
	for i := 0; i < len(file); i += 7 {
		try(fmt.Sprint("cut at ", i), file[:i])
	}
	try("something added", append(bytes.Clone(file), 0))
	try("something large", make([]byte, 2<<20))
}

// A large secret is sealed in pieces. A file that was cut behind one of them is
// damaged, and not one with a shorter secret.
func TestCutBetweenPieces(t *testing.T) {
	const piece, tag = 64 << 10, 16
	path := filepath.Join(t.TempDir(), "keys", "large.age")
	if err := sealed.Write(path, "words", bytes.Repeat([]byte(secret), 3*piece/len(secret)), say(phrase), sealed.TestWork); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rest := len(file) % (piece + tag)
	for _, size := range []int{len(file) - 1, len(file) - rest/2, 2*(piece+tag) + 200, piece + tag + 200} {
		if err := os.WriteFile(path, file[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := sealed.Read(path, "words", say(phrase))
		refuses(t, sealed.ErrDamaged, err)
		if got != nil {
			t.Errorf("cut at %d: %d bytes of the secret are answered", size, len(got))
		}
	}
}

// encrypt makes an age file with the given plaintext and work factor.
func encrypt(t *testing.T, path, plain string, recipient age.Recipient) {
	t.Helper()
	var file bytes.Buffer
	w, err := age.Encrypt(&file, recipient)
	if err == nil {
		_, err = w.Write([]byte(plain))
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = os.WriteFile(path, file.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A file made by others is refused before anybody types a passphrase (D-20), and
// one that follows D-21 is read.
func TestForeignFiles(t *testing.T) {
	path := seal(t)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	slow := bytes.Replace(file, fmt.Appendf(nil, " %d\n", sealed.TestWork), fmt.Appendf(nil, " %d\n", sealed.MaxWork+1), 1)
	if err := os.WriteFile(path, slow, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = sealed.Read(path, "words", mute(t))
	refuses(t, sealed.ErrWork, err)

	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	encrypt(t, path, "souk sealed 1\nwords\x00"+secret, key.Recipient())
	_, err = sealed.Read(path, "words", mute(t))
	refuses(t, sealed.ErrDamaged, err)

	recipient, err := age.NewScryptRecipient(phrase)
	if err != nil {
		t.Fatal(err)
	}
	recipient.SetWorkFactor(sealed.TestWork)
	encrypt(t, path, secret, recipient)
	_, err = sealed.Read(path, "words", say(phrase))
	refuses(t, sealed.ErrDamaged, err)
	encrypt(t, path, "souk sealed 1\nwords\x00"+secret, recipient)
	if got, err := sealed.Read(path, "words", say(phrase)); err != nil || string(got) != secret {
		t.Fatalf("a file made with age's own tool: %q, %v", got, err)
	}
}

// The passphrase that was answered is wiped, on every path.
func TestPassphraseIsWiped(t *testing.T) {
	var given [][]byte
	pass := func(phrase string) sealed.Passphrase {
		return func() ([]byte, error) {
			given = append(given, []byte(phrase))
			return given[len(given)-1], nil
		}
	}
	path := filepath.Join(t.TempDir(), "keys", "key.age")
	if err := sealed.Write(path, "words", []byte(secret), pass(phrase), sealed.TestWork); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{phrase, "wrong", strings.Repeat("long", 1000)} {
		_, err := sealed.Read(path, "words", pass(p))
		refuses(t, err, err)
	}
	if len(given) != 4 {
		t.Fatalf("asked %d times", len(given))
	}
	for i, phrase := range given {
		if !bytes.Equal(phrase, make([]byte, len(phrase))) {
			t.Errorf("passphrase %d is still in memory: %q", i, phrase)
		}
	}
}

// D-23: a file is synced before it has its name, and the folder after; so is the
// folder that a new folder is in.
func TestWriteIsDurable(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "made", "keys")
	path := filepath.Join(dir, "key.age")
	var steps []string
	short := func(name string) string {
		name = strings.TrimPrefix(name, root)
		if i := strings.Index(name, ".sealing-"); i >= 0 {
			return name[:i] + "temporary"
		}
		return name
	}
	size := func(f *os.File) int64 {
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	sync := func(f *os.File) error {
		if strings.Contains(f.Name(), ".sealing-") && size(f) < 200 {
			t.Errorf("synced after %d bytes", size(f))
		}
		steps = append(steps, "sync "+short(f.Name()))
		return nil
	}
	link := func(old, path string) error {
		steps = append(steps, "link "+short(old)+" "+short(path))
		return os.Link(old, path)
	}
	if err := sealed.WriteOn(sync, link, path, "words", []byte(secret), say(phrase)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"sync ", "sync /made", // each folder that got a folder
		"sync /made/keys/temporary", "link /made/keys/temporary /made/keys/key.age", "sync /made/keys",
	}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	only(t, dir, "key.age")
}

// only checks what is in a folder.
func only(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff(append([]string{}, want...), names); diff != "" {
		t.Errorf("%s (-want +got):\n%s", dir, diff)
	}
}

// A disk error leaves no file, neither under its name nor under another.
func TestWriteFails(t *testing.T) {
	broken := errors.New("input/output error")
	for failing := 1; failing <= 4; failing++ {
		dir := filepath.Join(t.TempDir(), "keys")
		step := 0
		fail := func() error {
			if step++; step == failing {
				return broken
			}
			return nil
		}
		sync := func(*os.File) error { return fail() }
		link := func(old, path string) error { return errors.Join(fail(), os.Link(old, path)) }
		if failing == 3 { // the link itself fails
			link = func(string, string) error { return fail() }
		}
		err := sealed.WriteOn(sync, link, filepath.Join(dir, "key.age"), "words", []byte(secret), say(phrase))
		refuses(t, broken, err)
		only(t, dir)
	}
	// Another file appears under the name at the last moment, and stays.
	path := filepath.Join(t.TempDir(), "keys", "key.age")
	link := func(old, path string) error {
		return errors.Join(os.WriteFile(path, []byte("other"), 0o600), os.Link(old, path))
	}
	err := sealed.WriteOn((*os.File).Sync, link, path, "words", []byte(secret), say(phrase))
	refuses(t, sealed.ErrExists, err)
	if got, err := os.ReadFile(path); err != nil || string(got) != "other" {
		t.Errorf("the other file: %q, %v", got, err)
	}
	only(t, filepath.Dir(path), "key.age")
}

// FuzzDecode decodes plaintexts: what is accepted has one encoding, and is of the
// kind that was asked for.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "souk sealed 1\n", "souk sealed 1\nwords\x00", "souk sealed 1\nwords\x00secret", "souk sealed 1\n\x00", "souk sealed 2\nwords\x00"} {
		f.Add("words", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, kind string, plain []byte) {
		got, err := sealed.Decode(kind, plain)
		if err != nil {
			if !errors.Is(err, sealed.ErrDamaged) && !errors.Is(err, sealed.ErrKind) {
				t.Fatal(err)
			}
			return
		}
		again, err := sealed.Encode(kind, got)
		if err != nil || !bytes.Equal(again, plain) {
			t.Fatalf("%q is decoded to %q, which is encoded as %q, %v", plain, got, again, err)
		}
	})
}
