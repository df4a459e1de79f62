// Package storetest is the suite that every adapter of the store port passes.
// It owns the tests of what the port promises: Run for the calls one by one,
// RunModel for all of them mixed, RunCrash and History for what survives a loss
// of power. It leaves to the adapters' own tests how their disks are made to fail. Floor 2.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/store"
)

// Open opens the store in dir as the adapter under test does, and makes it if
// it is not there.
type Open func(dir string) (store.Store, error)

// Run checks that the stores that open opens keep the promises of the port, one
// by one.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Open)
	}{
		{"GetAndSet", testGetAndSet},
		{"CopiesArguments", testCopiesArguments},
		{"LastWriteWins", testLastWriteWins},
		{"DeleteRange", testDeleteRange},
		{"Scan", testScan},
		{"ScanSeesOneState", testScanSeesOneState},
		{"Snapshot", testSnapshot},
		{"BatchLen", testBatchLen},
		{"BatchIsSpent", testBatchIsSpent},
		{"Limits", testLimits},
		{"LargeBatch", testLargeBatch},
		{"Locked", testLocked},
		{"UseAfterClose", testUseAfterClose},
		{"Reopen", testReopen},
		{"Checkpoint", testCheckpoint},
		{"AtomicToReaders", testAtomicToReaders},
		{"WritersTogether", testWritersTogether},
		{"CloseUnderLoad", testCloseUnderLoad},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open) })
	}
}

// start opens a new store that is closed with the test.
func start(t *testing.T, open Open) store.Store {
	t.Helper()
	s, err := open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

// put sets pairs of key and value in one batch.
func put(t *testing.T, s store.Store, pairs ...string) {
	t.Helper()
	b := s.NewBatch()
	for pair := range slices.Chunk(pairs, 2) {
		b.Set([]byte(pair[0]), []byte(pair[1]))
	}
	if err := b.Commit(false); err != nil {
		t.Fatal(err)
	}
}

// list returns what a scan shows, as "key=value".
func list(t *testing.T, r store.Reader, from, to []byte) []string {
	t.Helper()
	all := []string{}
	err := r.Scan(from, to, func(key, value []byte) bool {
		all = append(all, string(key)+"="+string(value))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// shows fails the test unless a scan of all of r shows want, in words.
func shows(t *testing.T, r store.Reader, want string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, strings.Fields(want)...), list(t, r, nil, nil)); diff != "" {
		t.Fatalf("contents (-want +got):\n%s", diff)
	}
}

// fails fails the test unless err matches want.
func fails(t *testing.T, want, err error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func testGetAndSet(t *testing.T, open Open) {
	s := start(t, open)
	_, err := s.Get([]byte("a"))
	fails(t, store.ErrNotFound, err)
	shows(t, s, "")

	put(t, s, "a", "1", "b", "", "c", "3")
	for key, want := range map[string]string{"a": "1", "b": "", "c": "3"} {
		got, err := s.Get([]byte(key))
		if err != nil || string(got) != want || got == nil {
			t.Fatalf("Get(%s) = %q, %v, want %q", key, got, err, want)
		}
	}
	for _, key := range []string{"", "0", "aa", "d", "\x00"} {
		_, err := s.Get([]byte(key))
		fails(t, store.ErrNotFound, err)
	}
	b := s.NewBatch()
	b.Delete([]byte("a"))
	b.Delete([]byte("never there"))
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get([]byte("a"))
	fails(t, store.ErrNotFound, err)
	shows(t, s, "b= c=3")
}

func testCopiesArguments(t *testing.T, open Open) {
	s := start(t, open)
	key, value, from, to := []byte("key"), []byte("value"), []byte("a"), []byte("b")
	put(t, s, "a1", "x", "key2", "x")
	b := s.NewBatch()
	b.Set(key, value)
	b.DeleteRange(from, to)
	b.Delete(append(key[:3:3], '2'))
	for _, slice := range [][]byte{key, value, from, to} {
		for i := range slice {
			slice[i] = 'z'
		}
	}
	if err := b.Commit(false); err != nil {
		t.Fatal(err)
	}
	shows(t, s, "key=value")
	got, err := s.Get([]byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	got[0] = 'X'
	_ = append(got, "more"...)
	shows(t, s, "key=value")
}

// D-2
func testLastWriteWins(t *testing.T, open Open) {
	s := start(t, open)
	put(t, s, "a", "old", "b", "old", "c", "old", "d", "old")
	b := s.NewBatch()
	b.Set([]byte("a"), []byte("1"))
	b.Set([]byte("a"), []byte("2"))
	b.Set([]byte("b"), []byte("1"))
	b.Delete([]byte("b"))
	b.Delete([]byte("c"))
	b.Set([]byte("c"), []byte("3"))
	b.Set([]byte("d"), []byte("1"))
	b.DeleteRange([]byte("d"), []byte("f"))
	b.Set([]byte("e"), []byte("4"))
	if err := b.Commit(false); err != nil {
		t.Fatal(err)
	}
	shows(t, s, "a=2 c=3 e=4")
}

// D-4
func testDeleteRange(t *testing.T, open Open) {
	longest := strings.Repeat("\xff", store.MaxKey)
	for _, c := range []struct {
		name, want string
		from, to   []byte
	}{
		{"half open", "a= c= d=", []byte("b"), []byte("c")},
		{"between keys", "a= d=", []byte("aa"), []byte("cc")},
		{"from the beginning", "c= d=", nil, []byte("c")},
		{"to the end", "a=", []byte("aa"), nil},
		{"all", "", nil, nil},
		{"empty", "a= b= c= d=", []byte("b"), []byte("b")},
		{"backwards", "a= b= c= d=", []byte("c"), []byte("a")},
		{"to the empty key", "a= b= c= d=", nil, []byte{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, open)
			put(t, s, "a", "", "b", "", "c", "", "d", "")
			if c.to == nil {
				put(t, s, longest, "")
			}
			b := s.NewBatch()
			b.DeleteRange(c.from, c.to)
			if err := b.Commit(false); err != nil {
				t.Fatal(err)
			}
			shows(t, s, c.want)
		})
	}
}

func testScan(t *testing.T, open Open) {
	s := start(t, open)
	put(t, s, "a", "1", "b", "2", "ba", "3", "c", "4", "\xff", "5", "\x00", "0")
	for _, c := range []struct {
		from, to []byte
		want     string
	}{
		{nil, nil, "\x00=0 a=1 b=2 ba=3 c=4 \xff=5"},
		{[]byte("b"), nil, "b=2 ba=3 c=4 \xff=5"},
		{nil, []byte("b"), "\x00=0 a=1"},
		{[]byte("b"), []byte("c"), "b=2 ba=3"},
		{[]byte("b"), store.PrefixEnd([]byte("b")), "b=2 ba=3"},
		{[]byte("aa"), []byte("bb"), "b=2 ba=3"},
		{[]byte("b"), []byte("b"), ""},
		{[]byte("c"), []byte("b"), ""},
		{nil, []byte{}, ""},
		{[]byte{}, nil, "\x00=0 a=1 b=2 ba=3 c=4 \xff=5"},
		{[]byte("\xff\xff"), nil, ""},
	} {
		if diff := cmp.Diff(append([]string{}, strings.Fields(c.want)...), list(t, s, c.from, c.to)); diff != "" {
			t.Errorf("Scan(%q, %q) (-want +got):\n%s", c.from, c.to, diff)
		}
	}
	var seen int
	err := s.Scan(nil, nil, func(_, _ []byte) bool { seen++; return seen < 2 })
	if err != nil || seen != 2 {
		t.Fatalf("a scan stopped after 2 keys saw %d, %v", seen, err)
	}
}

// D-3
func testScanSeesOneState(t *testing.T, open Open) {
	s := start(t, open)
	put(t, s, "a", "1", "b", "1", "c", "1")
	var got []string
	err := s.Scan(nil, nil, func(key, value []byte) bool {
		got = append(got, string(key)+"="+string(value))
		b := s.NewBatch()
		b.DeleteRange(nil, nil)
		b.Set([]byte("b"), []byte("2"))
		b.Set([]byte("d"), []byte("2"))
		if err := b.Commit(false); err != nil {
			t.Error(err)
		}
		if now := list(t, s, nil, nil); !slices.Equal(now, []string{"b=2", "d=2"}) {
			t.Errorf("a scan inside the scan shows %v", now)
		}
		if value, err := s.Get([]byte("b")); err != nil || string(value) != "2" {
			t.Errorf("Get inside the scan: %q, %v", value, err)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a=1", "b=1", "c=1"}, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func testSnapshot(t *testing.T, open Open) {
	s := start(t, open)
	put(t, s, "a", "1", "b", "1")
	first, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	b := s.NewBatch()
	b.Delete([]byte("a"))
	b.Set([]byte("c"), []byte("2"))
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	second, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "b", "3")

	shows(t, first, "a=1 b=1")
	shows(t, second, "b=1 c=2")
	shows(t, s, "b=3 c=2")
	if value, err := first.Get([]byte("a")); err != nil || string(value) != "1" {
		t.Fatalf("Get of the first snapshot: %q, %v", value, err)
	}
	_, err = second.Get([]byte("a"))
	fails(t, store.ErrNotFound, err)

	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	fails(t, store.ErrClosed, first.Close())
	_, err = first.Get([]byte("a"))
	fails(t, store.ErrClosed, err)
	fails(t, store.ErrClosed, first.Scan(nil, nil, func(_, _ []byte) bool { return true }))
	shows(t, second, "b=1 c=2")
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
}

func testBatchLen(t *testing.T, open Open) {
	b := start(t, open).NewBatch()
	for i, c := range []struct {
		write func()
		want  int
	}{
		{func() {}, 0},
		{func() { b.Set([]byte("key"), []byte("value")) }, 8},
		{func() { b.Set([]byte("key"), nil) }, 11},
		{func() { b.Delete([]byte("key2")) }, 15},
		{func() { b.DeleteRange([]byte("a"), []byte("bc")) }, 18},
		{func() { b.DeleteRange(nil, nil) }, 18},
	} {
		if c.write(); b.Len() != c.want {
			t.Fatalf("step %d: Len %d, want %d", i, b.Len(), c.want)
		}
	}
}

func testBatchIsSpent(t *testing.T, open Open) {
	s := start(t, open)
	b := s.NewBatch()
	b.Set([]byte("a"), []byte("1"))
	if err := b.Commit(false); err != nil {
		t.Fatal(err)
	}
	b.Set([]byte("b"), []byte("1"))
	b.Delete([]byte("a"))
	b.DeleteRange(nil, nil)
	fails(t, store.ErrSpent, b.Commit(true))
	shows(t, s, "a=1")
	for _, sync := range []bool{false, true} {
		empty := s.NewBatch()
		if err := empty.Commit(sync); err != nil {
			t.Fatalf("an empty batch, sync %v: %v", sync, err)
		}
		fails(t, store.ErrSpent, empty.Commit(sync))
	}
}

// D-1
func testLimits(t *testing.T, open Open) {
	s := start(t, open)
	longest := bytes.Repeat([]byte("k"), store.MaxKey)
	put(t, s, string(longest), "fits")
	value, err := s.Get(longest)
	if err != nil || string(value) != "fits" {
		t.Fatalf("the longest key: %q, %v", value, err)
	}
	large := make([]byte, store.MaxValue+1)
	for name, write := range map[string]func(store.Batch){
		"empty key in Set":     func(b store.Batch) { b.Set(nil, []byte("x")) },
		"empty key in Delete":  func(b store.Batch) { b.Delete([]byte{}) },
		"long key in Set":      func(b store.Batch) { b.Set(append(longest, 'k'), nil) },
		"long key in Delete":   func(b store.Batch) { b.Delete(append(longest, 'k')) },
		"large value":          func(b store.Batch) { b.Set([]byte("a"), large) },
		"error outlives a fix": func(b store.Batch) { b.Set(nil, nil); b.DeleteRange(nil, nil) },
	} {
		b := s.NewBatch()
		b.Set([]byte("b"), []byte("not written"))
		write(b)
		b.Set([]byte("c"), []byte("not written"))
		if err := b.Commit(false); !errors.Is(err, store.ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	shows(t, s, string(longest)+"=fits")
}

// testLargeBatch writes more at once than an adapter may want to hold in memory.
func testLargeBatch(t *testing.T, open Open) {
	s := start(t, open)
	const keys, size = 40, 1 << 20
	for round := range 2 {
		b := s.NewBatch()
		if round == 1 {
			b.DeleteRange(nil, []byte("key 20"))
		}
		for i := range keys {
			if round == 1 && i < keys/2 {
				continue
			}
			b.Set(fmt.Appendf(nil, "key %02d", i), bytes.Repeat([]byte{byte(i + round)}, size))
		}
		if err := b.Commit(round == 1); err != nil {
			t.Fatal(err)
		}
		want := keys - round*keys/2
		seen := 0
		err := s.Scan(nil, nil, func(key, value []byte) bool {
			i := keys - want + seen
			if string(key) != fmt.Sprintf("key %02d", i) || !bytes.Equal(value, bytes.Repeat([]byte{byte(i + round)}, size)) {
				t.Errorf("round %d: unexpected %q", round, key)
			}
			seen++
			return true
		})
		if err != nil || seen != want {
			t.Fatalf("round %d: saw %d keys, want %d, %v", round, seen, want, err)
		}
	}
}

// D-15
func testLocked(t *testing.T, open Open) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = open(dir)
	fails(t, store.ErrLocked, err)
	put(t, s, "still", "works")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = open(dir); err != nil {
		t.Fatal(err)
	}
	shows(t, s, "still=works")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func testUseAfterClose(t *testing.T, open Open) {
	s := start(t, open)
	put(t, s, "a", "1")
	before := s.NewBatch()
	before.Set([]byte("a"), []byte("2"))
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fails(t, store.ErrClosed, s.Close())
	_, err = s.Get([]byte("a"))
	fails(t, store.ErrClosed, err)
	yield := func(_, _ []byte) bool { t.Error("a closed store shows something"); return true }
	fails(t, store.ErrClosed, s.Scan(nil, nil, yield))
	_, err = s.Snapshot()
	fails(t, store.ErrClosed, err)
	fails(t, store.ErrClosed, s.Checkpoint(filepath.Join(t.TempDir(), "copy")))
	fails(t, store.ErrClosed, before.Commit(false))
	after := s.NewBatch()
	after.Set([]byte("a"), []byte("3"))
	after.Delete([]byte("b"))
	after.DeleteRange(nil, nil)
	fails(t, store.ErrClosed, after.Commit(true))
	fails(t, store.ErrClosed, s.NewBatch().Commit(true))
	_, err = snap.Get([]byte("a"))
	fails(t, store.ErrClosed, err)
	fails(t, store.ErrClosed, snap.Scan(nil, nil, yield))
	fails(t, store.ErrClosed, snap.Close())
}

func testReopen(t *testing.T, open Open) {
	dir := filepath.Join(t.TempDir(), "store")
	var want []string
	for i := range 5 {
		s, err := open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := list(t, s, nil, nil); !slices.Equal(got, want) {
			t.Fatalf("opening %d shows %v, want %v", i, got, want)
		}
		put(t, s, fmt.Sprint("k", i), fmt.Sprint(i))
		want = append(want, fmt.Sprintf("k%d=%d", i, i))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// D-16
func testCheckpoint(t *testing.T, open Open) {
	s := start(t, open)
	put(t, s, "a", "1", "b", "1")
	dir := filepath.Join(t.TempDir(), "deep", "copy")
	if err := s.Checkpoint(dir); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", "2", "c", "2")
	fails(t, fs.ErrExist, s.Checkpoint(dir))

	twin, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	shows(t, twin, "a=1 b=1")
	put(t, twin, "d", "3")
	if err := twin.Close(); err != nil {
		t.Fatal(err)
	}
	shows(t, s, "a=2 b=1 c=2")
	if twin, err = open(dir); err != nil {
		t.Fatal(err)
	}
	shows(t, twin, "a=1 b=1 d=3")
	if err := twin.Close(); err != nil {
		t.Fatal(err)
	}
}
