package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// memory is what earlier runs caught, so that a list that takes hours can be tried in
// several runs, and a change has only what it touches tried again. It is a folder with an
// empty file for each fault that was caught, named after everything that decided it: the
// fault, its suites, the sources of all packages of the module that these are built from
// with their embedded files, the test data beside the suite, go.sum, and Go's version.
// What a fault was missed by is not kept: it is tried again each time.
type memory struct {
	dir string // empty: nothing is kept

	mu      sync.Mutex
	sources map[string]string // hashes of what suites are built from, by package
}

// openMemory makes the folder if there is none.
func openMemory(dir string) (*memory, error) {
	m := &memory{dir: dir, sources: map[string]string{}}
	if dir == "" {
		return m, nil
	}
	return m, os.MkdirAll(dir, 0o700)
}

// key names what decides whether a fault is caught. The tree must be whole.
func (m *memory) key(ctx context.Context, t trial, f fault) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%q %q %q %q\n", runtime.Version(), f.file, f.in, f.old, f.new)
	for _, s := range f.suites {
		of, err := m.of(ctx, t, s.pkg)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%q %q %s\n", s.pkg, s.run, of)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// of is the hash of everything that a package's tests are made of.
func (m *memory) of(ctx context.Context, t trial, pkg string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if of := m.sources[pkg]; of != "" {
		return of, nil
	}
	const each = `{{if not .Standard}}{{$dir := .Dir}}{{$dir}}{{range .EmbedFiles}}{{"\n"}}{{$dir}}/{{.}}{{end}}{{end}}`
	out, err := t.goCommand(ctx, "list", "-deps", "-test", "-f", each, "./"+pkg).Output()
	if err != nil {
		return "", fmt.Errorf("list what %s is made of: %w", pkg, err)
	}
	var paths []string
	for path := range strings.Lines(string(out)) {
		if path = strings.TrimSpace(path); strings.HasPrefix(path, t.dir+string(filepath.Separator)) {
			paths = append(paths, path)
		}
	}
	paths = append(paths, t.path("go.sum"), filepath.Join(t.path(pkg), "testdata"))
	slices.Sort(paths)
	h := sha256.New()
	for _, path := range slices.Compact(paths) {
		if err := t.hash(h, path); err != nil {
			return "", err
		}
	}
	m.sources[pkg] = hex.EncodeToString(h.Sum(nil))
	return m.sources[pkg], nil
}

// hash writes the names and contents of files: of the one at path, of all in the folder,
// or, if it is a folder of test data, of all below it. What is not there has none.
func (t trial) hash(to interface{ Write([]byte) (int, error) }, path string) error {
	err := filepath.WalkDir(path, func(at string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && at != path && filepath.Base(path) != "testdata":
			return filepath.SkipDir
		case !e.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(at) //nolint:gosec // of our copy of the tree
		if err != nil {
			return err
		}
		fmt.Fprintf(to, "%q %x\n", strings.TrimPrefix(at, t.dir), sha256.Sum256(content))
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// has says whether an earlier run caught what the key names.
func (m *memory) has(key string) bool {
	if m.dir == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(m.dir, key))
	return err == nil
}

// keep remembers that it was caught.
func (m *memory) keep(key string) error {
	if m.dir == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(m.dir, key), nil, 0o600)
}
