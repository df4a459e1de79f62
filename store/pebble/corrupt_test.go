package pebble_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"souk/store"
)

// filled returns a disk with a closed store that holds 2,000 keys, of which the
// last few are in its log only.
func filled(t *testing.T) *vfs.MemFS {
	t.Helper()
	files := vfs.NewMem()
	s, err := open(files)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		b := s.NewBatch()
		b.Set(fmt.Appendf(nil, "key %05d", i), make([]byte, 200))
		if err := b.Commit(i%50 == 49); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return files
}

// damage flips one bit in each file of the store with the suffix, at the given
// share of its length, and returns how many there were.
func damage(t *testing.T, files *vfs.MemFS, suffix string, percent int) int {
	t.Helper()
	names, err := files.List("store")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range names {
		if !strings.HasSuffix(name, suffix) {
			continue
		}
		name = files.PathJoin("store", name)
		f, err := files.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) == 0 {
			continue
		}
		data[len(data)*percent/100] ^= 1
		f, err = files.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(data); err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// Damage in a table is found when it is read, and is final (D-14).
func TestDamagedTable(t *testing.T) {
	files := filled(t)
	if damage(t, files, ".sst", 30) == 0 {
		t.Fatal("no table to damage")
	}
	s, err := open(files)
	if err == nil {
		err = s.Scan(nil, nil, func(_, _ []byte) bool { return true })
		if _, again := s.Get([]byte("key 01999")); !errors.Is(again, store.ErrCorrupt) {
			t.Fatalf("after damage was found: %v", again)
		}
		if err := s.Close(); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("Close: %v", err)
		}
	}
	if !errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrFailed) {
		t.Fatalf("damage was found as %v", err)
	}
}

// (D-14) Damage in the log is found where a later record says that the place was synced
// before. In the last stretch it looks like a write that the power cut short,
// and ends the log: what is lost then is a tail, never something in between.
func TestDamagedLog(t *testing.T) {
	found := 0
	for percent := range 100 {
		files := filled(t)
		if damage(t, files, ".log", percent) == 0 {
			t.Fatal("no log to damage")
		}
		s, err := open(files)
		if errors.Is(err, store.ErrCorrupt) {
			found++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		err = s.Scan(nil, nil, func(key, _ []byte) bool {
			if string(key) != fmt.Sprintf("key %05d", n) {
				t.Errorf("%d%%: after %d keys comes %s", percent, n, key)
				return false
			}
			n++
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("damage found in %d of 100 places", found)
	if found == 0 {
		t.Fatal("damage is never found")
	}
}
