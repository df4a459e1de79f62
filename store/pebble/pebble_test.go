package pebble_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"souk/store"
	"souk/store/pebble"
	"souk/store/storetest"
)

func TestStoreInMemory(t *testing.T) {
	files := vfs.NewMem()
	open := func(dir string) (store.Store, error) {
		return pebble.Open(dir, pebble.Config{FS: files, MemTable: 1 << 20})
	}
	t.Run("Calls", func(t *testing.T) { storetest.Run(t, open) })
	t.Run("Model", func(t *testing.T) { storetest.RunModel(t, open) })
}

func TestStoreOnDisk(t *testing.T) {
	storetest.Run(t, func(dir string) (store.Store, error) { return pebble.Open(dir, pebble.Config{}) })
}

// Nobody but the owner may read what is in a store or a checkpoint (D-15).
func TestFoldersArePrivate(t *testing.T) {
	root := t.TempDir()
	s, err := pebble.Open(filepath.Join(root, "made", "store"), pebble.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Checkpoint(filepath.Join(root, "kept", "copy")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"made", "made/store", "kept", "kept/copy"} {
		info, err := os.Stat(filepath.Join(root, dir))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v", dir, info.Mode())
		}
	}
}

// One folder by two names is still one store (D-15).
func TestLockedByAnotherName(t *testing.T) {
	t.Chdir(t.TempDir())
	s, err := pebble.Open("store", pebble.Config{})
	if err != nil {
		t.Fatal(err)
	}
	absolute, err := filepath.Abs("store")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{absolute, "./store", "store/", "store/../store"} {
		if _, err := pebble.Open(name, pebble.Config{}); !errors.Is(err, store.ErrLocked) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A path that cannot be a store is told as it is.
func TestOpenNeedsAFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := pebble.Open(path, pebble.Config{})
	if err == nil || errors.Is(err, store.ErrLocked) || errors.Is(err, store.ErrFailed) || !strings.Contains(err.Error(), path) {
		t.Fatal(err)
	}
}

func TestLogger(t *testing.T) {
	var out strings.Builder
	debug := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := pebble.Open("store", pebble.Config{FS: vfs.NewMem(), Logger: debug})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `level=DEBUG msg="storage engine" says=`) {
		t.Errorf("at level Debug:\n%s", out.String())
	}
	if strings.Contains(out.String(), "level=ERROR") || strings.Contains(out.String(), "level=WARN") {
		t.Errorf("a healthy store complains:\n%s", out.String())
	}
}

func TestSharedCache(t *testing.T) {
	files, cache := vfs.NewMem(), pebble.NewCache(8<<20)
	var stores []*pebble.Store
	for i := range 3 {
		s, err := pebble.Open(fmt.Sprint(i), pebble.Config{FS: files, Cache: cache, MemTable: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		stores = append(stores, s)
		for k := range 500 {
			b := s.NewBatch()
			b.Set(fmt.Append(nil, k), fmt.Appendf(nil, "%d in %d%1000d", k, i, 0))
			if err := b.Commit(false); err != nil {
				t.Fatal(err)
			}
		}
	}
	for k := range 500 {
		for i, s := range stores {
			got, err := s.Get(fmt.Append(nil, k))
			if err != nil || !strings.HasPrefix(string(got), fmt.Sprintf("%d in %d", k, i)) {
				t.Fatalf("store %d, key %d: %.20q, %v", i, k, got, err)
			}
		}
	}
	for _, s := range stores {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cache.Close()
}
