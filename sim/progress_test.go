package sim_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// leastSeeds is how many seeds a run tries that has none left to do.
const leastSeeds = 20

// version names what decides a run: the hash of the running test executable. It
// holds all code that takes part, ours and what it depends on, the Go version, and
// how it was built (with -race or tags); seeds read no files. The same sources at the
// same place give the same executable, byte by byte, as Go's builds are reproducible;
// a change of any of them, even of a comment that moves lines, gives another one, and
// the seeds are run again. That is too often at times and never too seldom.
func version() (string, error) {
	name, err := os.Executable()
	if err != nil {
		return "", err
	}
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close() //nolint:errcheck // read only
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:12]), nil
}

// progress is the seeds that one version of the code has done, in a file that runs
// of that version add to: a number a line. Other versions have files of their own.
type progress struct {
	mu   sync.Mutex
	has  map[uint64]bool
	file *os.File // nil: nothing is kept
}

// openProgress reads what a version has done. Without a folder nothing is kept.
func openProgress(dir, of string) (*progress, error) {
	p := &progress{has: map[uint64]bool{}}
	if dir == "" {
		return p, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "done-"+of)
	data, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	whole := bytes.LastIndexByte(data, '\n') + 1 // behind it is what a run that was killed did not finish
	for line := range strings.Lines(string(data[:whole])) {
		seed, err := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		p.has[seed] = true
	}
	if p.file, err = os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		return nil, err
	}
	if err := p.file.Truncate(int64(whole)); err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	return p, nil
}

// todo answers which of count seeds from first on are to be run, and how many of
// them were done before. A run never has nothing to do: if all are done, it runs the
// last ones again.
func (p *progress) todo(first uint64, count int) (seeds []uint64, before int) {
	end := first + uint64(count)
	for seed := first; seed < end; seed++ {
		if !p.has[seed] {
			seeds = append(seeds, seed)
		}
	}
	before = count - len(seeds)
	if len(seeds) == 0 {
		for seed := end - uint64(min(count, leastSeeds)); seed < end; seed++ {
			seeds = append(seeds, seed)
		}
	}
	return seeds, before
}

// add notes a seed that has passed.
func (p *progress) add(seed uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil || p.has[seed] {
		return nil
	}
	p.has[seed] = true
	_, err := fmt.Fprintln(p.file, seed)
	return err
}

func (p *progress) close() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

// What was done counts for the version that did it, and a run always has work.
func TestProgress(t *testing.T) {
	dir := t.TempDir()
	begin := func(of string) *progress {
		t.Helper()
		p, err := openProgress(dir, of)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.close() })
		return p
	}
	expect := func(p *progress, count, before int, want ...uint64) {
		t.Helper()
		if got, had := p.todo(1, count); !slices.Equal(got, want) || had != before {
			t.Errorf("to do is %v, %d were done; want %v and %d", got, had, want, before)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "done"), []byte("1\n2\n3\n"), 0o600); err != nil { // of who knows what code
		t.Fatal(err)
	}
	p := begin("a")
	expect(p, 3, 0, 1, 2, 3)
	for _, seed := range []uint64{1, 3} {
		if err := p.add(seed); err != nil {
			t.Fatal(err)
		}
	}
	expect(begin("a"), 4, 2, 2, 4)
	expect(begin("b"), 3, 0, 1, 2, 3) // the code has changed
	if _, err := p.file.WriteString("4"); err != nil {
		t.Fatal(err) // killed in the middle of 42
	}
	p = begin("a")
	expect(p, 4, 2, 2, 4)
	if err := errors.Join(p.add(2), p.add(4)); err != nil {
		t.Fatal(err)
	}
	expect(begin("a"), 4, 4, 1, 2, 3, 4)
	for seed := range uint64(30) {
		if err := p.add(seed + 1); err != nil {
			t.Fatal(err)
		}
	}
	seeds, before := begin("a").todo(1, 30)
	if len(seeds) != leastSeeds || seeds[0] != 11 || seeds[leastSeeds-1] != 30 || before != 30 {
		t.Errorf("with all done, to do is %v", seeds)
	}
}

// The version is that of the code: it does not change from run to run.
func TestVersion(t *testing.T) {
	a, err := version()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := version(); err != nil || a != b || len(a) != 24 {
		t.Errorf("version %q, and then %q: %v", a, b, err)
	}
}
