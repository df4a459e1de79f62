package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"souk/store"
)

// RunModel checks that a store does what a sorted map would, whatever the order
// of calls: batches, reads, snapshots, checkpoints, closing and opening again.
func RunModel(t *testing.T, open Open) {
	root := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		m := &machine{open: open, dir: filepath.Join(root, fmt.Sprint(runs)), model: model{}}
		var err error
		if m.store, err = open(m.dir); err != nil {
			t.Fatal(err)
		}
		defer func() { m.store.Close() }() //nolint:errcheck // a failed check leaves it open
		t.Repeat(map[string]func(*rapid.T){
			"commit":     m.commit,
			"get":        m.get,
			"scan":       m.scan,
			"snapshot":   m.snapshot,
			"release":    m.release,
			"reopen":     m.reopen,
			"checkpoint": m.checkpoint,
			"":           func(t *rapid.T) { compare(t, m.store, m.model, nil, nil, unlimited) },
		})
		if err := m.store.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// model is the plainest store there is: a map, sorted when it is looked at.
type model map[string]string

func (m model) deleteRange(from, to []byte) {
	for key := range m {
		if inside(key, from, to) {
			delete(m, key)
		}
	}
}

// list returns what a scan shows that stops after limit keys.
func (m model) list(from, to []byte, limit int) []string {
	all := []string{}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if inside(key, from, to) && len(all) < limit {
			all = append(all, key+"="+m[key])
		}
	}
	return all
}

func inside(key string, from, to []byte) bool {
	return key >= string(from) && (to == nil || key < string(to))
}

// machine drives a store and its model side by side.
type machine struct {
	open      Open
	dir       string
	copies    int
	store     store.Store
	model     model
	snapshots []frozen
}

// frozen is a snapshot and what it must show.
type frozen struct {
	snapshot store.Snapshot
	model    model
}

// unlimited is more keys than any model has.
const unlimited = 1 << 30

// drawKey draws from few keys, so that they meet.
func drawKey(t *rapid.T, least int) []byte {
	return rapid.SliceOfN(rapid.SampledFrom([]byte{0, 'a', 'b', 0xff}), least, 3).Draw(t, "key")
}

// drawBounds draws a range, now and then open or empty.
func drawBounds(t *rapid.T) (from, to []byte) {
	from, to = drawKey(t, 0), drawKey(t, 0)
	if rapid.IntRange(0, 4).Draw(t, "open end") == 0 {
		to = nil
	}
	return from, to
}

func (m *machine) commit(t *rapid.T) {
	b := m.store.NewBatch()
	next := maps.Clone(m.model)
	for range rapid.IntRange(0, 12).Draw(t, "writes") {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			from, to := drawBounds(t)
			b.DeleteRange(from, to)
			next.deleteRange(from, to)
		case 1, 2, 3:
			key := drawKey(t, 1)
			b.Delete(key)
			delete(next, string(key))
		default:
			key := drawKey(t, 1)
			length := rapid.SampledFrom([]int{0, 1, 5, 5, 5, 40_000}).Draw(t, "length")
			value := bytes.Repeat([]byte{byte(rapid.IntRange('0', 'z').Draw(t, "fill"))}, length)
			b.Set(key, value)
			next[string(key)] = string(value)
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "drop it") == 0 {
		return
	}
	if err := b.Commit(rapid.Bool().Draw(t, "sync")); err != nil {
		t.Fatal(err)
	}
	m.model = next
}

func (m *machine) get(t *rapid.T) {
	key := drawKey(t, 0)
	got, err := m.store.Get(key)
	want, ok := m.model[string(key)]
	if ok != (err == nil) || !ok && !errors.Is(err, store.ErrNotFound) || string(got) != want {
		t.Fatalf("Get(%q) = %.20q, %v, want %.20q", key, got, err, want)
	}
}

func (m *machine) scan(t *rapid.T) {
	from, to := drawBounds(t)
	limit := rapid.IntRange(1, 8).Draw(t, "limit")
	compare(t, m.store, m.model, from, to, limit)
	if len(m.snapshots) > 0 {
		f := rapid.SampledFrom(m.snapshots).Draw(t, "snapshot")
		compare(t, f.snapshot, f.model, from, to, limit)
		compare(t, f.snapshot, f.model, nil, nil, unlimited)
	}
}

func (m *machine) snapshot(t *rapid.T) {
	s, err := m.store.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	m.snapshots = append(m.snapshots, frozen{s, maps.Clone(m.model)})
}

func (m *machine) release(t *rapid.T) {
	if len(m.snapshots) == 0 {
		t.Skip("none is open")
	}
	i := rapid.IntRange(0, len(m.snapshots)-1).Draw(t, "which")
	f := m.snapshots[i]
	compare(t, f.snapshot, f.model, nil, nil, unlimited)
	if err := f.snapshot.Close(); err != nil {
		t.Fatal(err)
	}
	m.snapshots = slices.Delete(m.snapshots, i, i+1)
}

// reopen leaves the snapshots open: closing the store is to close them.
func (m *machine) reopen(t *rapid.T) {
	if err := m.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, f := range m.snapshots {
		if _, err := f.snapshot.Get([]byte("a")); !errors.Is(err, store.ErrClosed) {
			t.Fatalf("a snapshot of a closed store: %v", err)
		}
	}
	m.snapshots = nil
	var err error
	if m.store, err = m.open(m.dir); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) checkpoint(t *rapid.T) {
	m.copies++
	dir := fmt.Sprintf("%s-copy-%d", m.dir, m.copies)
	if err := m.store.Checkpoint(dir); err != nil {
		t.Fatal(err)
	}
	twin, err := m.open(dir)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, twin, m.model, nil, nil, unlimited)
	if err := twin.Close(); err != nil {
		t.Fatal(err)
	}
}

// compare fails the test unless a scan of r shows what the model has.
func compare(t *rapid.T, r store.Reader, m model, from, to []byte, limit int) {
	got := []string{}
	err := r.Scan(from, to, func(key, value []byte) bool {
		got = append(got, string(key)+"="+string(value))
		return len(got) < limit
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m.list(from, to, limit), got); diff != "" {
		t.Fatalf("Scan(%q, %q) (-want +got):\n%.2000s", from, to, diff)
	}
}
