package memstore_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"souk/internal/bulk"
	"souk/store"
	"souk/store/memstore"
	"souk/store/storetest"
)

func TestStore(t *testing.T) {
	disk := memstore.NewDisk()
	open := func(dir string) (store.Store, error) { return disk.Open(dir) }
	t.Run("Calls", func(t *testing.T) { storetest.Run(t, open) })
	t.Run("Model", func(t *testing.T) { storetest.RunModel(t, open) })
}

func TestCrash(t *testing.T) {
	storetest.RunCrash(t, bulk.Count(100), func(t *testing.T) storetest.Machine {
		return &machine{t: t, disk: memstore.NewDisk()}
	})
}

// machine is a computer with one store in memory.
type machine struct {
	t        *testing.T
	disk     *memstore.Disk
	store    *memstore.Store
	rebooted bool // store was opened by Crash and is still to be handed out
}

func (m *machine) Open() (store.Store, error) {
	if m.rebooted {
		m.rebooted = false
		return m.store, nil
	}
	var err error
	m.store, err = m.disk.Open("store")
	return m.store, err
}

func (m *machine) Crash(random *rand.Rand) {
	old := m.store
	var err error
	if m.store, err = old.Crash(random); err != nil {
		m.t.Fatal(err)
	}
	if _, err := old.Get([]byte("a")); !errors.Is(err, store.ErrClosed) {
		m.t.Fatalf("a store whose power failed: %v", err)
	}
	m.rebooted = true
}

// set commits one key.
func set(s store.Store, key, value string, sync bool) error {
	b := s.NewBatch()
	b.Set([]byte(key), []byte(value))
	return b.Commit(sync)
}

// Every number of unsynced batches survives some crash, and the same random
// numbers give the same crash.
func TestCrashDrawsAllOutcomes(t *testing.T) {
	seen := map[int]int{}
	for seed := range uint64(200) {
		var outcome [2]int
		for i := range outcome {
			s := memstore.New()
			for k := range 5 {
				if err := set(s, fmt.Sprint(k), "", k == 1); err != nil {
					t.Fatal(err)
				}
			}
			after, err := s.Crash(rand.New(rand.NewPCG(seed, 0)))
			if err != nil {
				t.Fatal(err)
			}
			if err := after.Scan(nil, nil, func(_, _ []byte) bool { outcome[i]++; return true }); err != nil {
				t.Fatal(err)
			}
		}
		if outcome[0] != outcome[1] {
			t.Fatalf("seed %d gives %v", seed, outcome)
		}
		seen[outcome[0]]++
	}
	for n := 2; n <= 5; n++ {
		if seen[n] < 20 {
			t.Errorf("%d keys survive %d of 200 crashes", n, seen[n])
		}
		delete(seen, n)
	}
	if len(seen) > 0 {
		t.Errorf("impossible outcomes: %v", maps.Clone(seen))
	}
}

// A store that is never synced does not remember every state it was in.
func TestOldBatchesReachTheDisk(t *testing.T) {
	const written, kept = 3000, 1024
	for seed := range uint64(20) {
		s := memstore.New()
		for i := range written {
			if err := set(s, fmt.Sprintf("%04d", i), "", false); err != nil {
				t.Fatal(err)
			}
		}
		after, err := s.Crash(rand.New(rand.NewPCG(seed, 0)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := after.Get(fmt.Appendf(nil, "%04d", written-kept-1)); err != nil {
			t.Fatalf("seed %d lost a batch older than the last %d: %v", seed, kept, err)
		}
	}
}

// D-13: after a failed sync nothing is answered any more.
func TestFailedSyncIsFinal(t *testing.T) {
	broken := errors.New("input/output error")
	s := memstore.New()
	s.Intercept(memstore.FailSync(2, broken))
	if err := errors.Join(set(s, "a", "1", true), set(s, "b", "2", false)); err != nil {
		t.Fatal(err)
	}
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := set(s, "c", "3", true); !errors.Is(err, store.ErrFailed) || !errors.Is(err, broken) {
		t.Fatalf("the second sync: %v", err)
	}
	s.Intercept(nil)
	_, get := s.Get([]byte("a"))
	_, snapGet := snap.Get([]byte("a"))
	_, freeze := s.Snapshot()
	for name, err := range map[string]error{
		"commit": set(s, "d", "4", false), "sync": set(s, "d", "4", true), "get": get, "snapshot": freeze,
		"scan":          s.Scan(nil, nil, func(_, _ []byte) bool { return true }),
		"checkpoint":    s.Checkpoint("copy"),
		"snapshot get":  snapGet,
		"snapshot scan": snap.Scan(nil, nil, func(_, _ []byte) bool { return true }),
	} {
		if !errors.Is(err, store.ErrFailed) {
			t.Errorf("%s on a failed store: %v", name, err)
		}
	}
	if err := snap.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); !errors.Is(err, store.ErrFailed) {
		t.Fatalf("Close of a failed store: %v", err)
	}
	after, err := s.Disk().Open("/")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]error{"a": nil, "b": store.ErrNotFound, "c": store.ErrNotFound} {
		if _, err := after.Get([]byte(key)); !errors.Is(err, want) {
			t.Errorf("afterwards Get(%s): %v, want %v", key, err, want)
		}
	}
}

// A power failure after a failed sync may leave the batch that failed.
func TestCrashAfterFailedSync(t *testing.T) {
	outcomes := map[bool]bool{}
	for seed := range uint64(50) {
		s := memstore.New()
		s.Intercept(memstore.FailSync(1, errors.New("input/output error")))
		if err := set(s, "a", "1", true); !errors.Is(err, store.ErrFailed) {
			t.Fatal(err)
		}
		after, err := s.Crash(rand.New(rand.NewPCG(seed, 0)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = after.Get([]byte("a"))
		outcomes[err == nil] = true
	}
	if len(outcomes) != 2 {
		t.Fatalf("outcomes: %v", outcomes)
	}
}

// A power failure without luck spares nothing but what was synced.
func TestCrashLosesAll(t *testing.T) {
	s := memstore.New()
	if err := errors.Join(set(s, "a", "1", true), set(s, "b", "1", false), set(s, "c", "1", false)); err != nil {
		t.Fatal(err)
	}
	after, err := s.Crash(nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]error{"a": nil, "b": store.ErrNotFound, "c": store.ErrNotFound} {
		if _, err := after.Get([]byte(key)); !errors.Is(err, want) {
			t.Errorf("Get(%s): %v, want %v", key, err, want)
		}
	}
}

func TestStalledCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		if err := set(s, "a", "1", true); err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		var seen memstore.Commit
		s.Intercept(func(c memstore.Commit) error { seen = c; <-release; return nil })
		result := make(chan error)
		go func() { result <- set(s, "a", "2", true) }()
		synctest.Wait()
		if want := (memstore.Commit{Number: 2, Syncs: 2, Sync: true, Size: 2}); seen != want {
			t.Fatalf("the hook saw %+v, want %+v", seen, want)
		}
		if got, err := s.Get([]byte("a")); err != nil || string(got) != "1" {
			t.Fatalf("Get during a stall: %q, %v", got, err)
		}
		close(release)
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get([]byte("a")); err != nil || string(got) != "2" {
			t.Fatalf("Get after a stall: %q, %v", got, err)
		}
	})
}

// Power fails while a commit is stalled: it ends with ErrClosed and is lost.
func TestCrashDuringStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		release := make(chan struct{})
		s.Intercept(func(memstore.Commit) error { <-release; return nil })
		result := make(chan error)
		go func() { result <- set(s, "a", "1", false) }()
		synctest.Wait()
		after, err := s.Crash(rand.New(rand.NewPCG(0, 0)))
		if err != nil {
			t.Fatal(err)
		}
		close(release)
		if err := <-result; !errors.Is(err, store.ErrClosed) {
			t.Fatalf("the stalled commit: %v", err)
		}
		if _, err := after.Get([]byte("a")); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("a commit under way survived: %v", err)
		}
		if _, err := s.Crash(nil); !errors.Is(err, store.ErrClosed) {
			t.Fatalf("a second crash: %v", err)
		}
	})
}

// The slices that Scan hands out do not stay what they are.
func TestScanReusesItsBuffers(t *testing.T) {
	s := memstore.New()
	if err := errors.Join(set(s, "a", "1", false), set(s, "b", "2", false)); err != nil {
		t.Fatal(err)
	}
	var first []byte
	err := s.Scan(nil, nil, func(_, value []byte) bool {
		if first == nil {
			first = value
			return true
		}
		return false
	})
	if err != nil || string(first) == "1" {
		t.Fatalf("a value kept from Scan is still %q, %v", first, err)
	}
}

// Keys that arrive in order, as most do, leave the tree balanced.
func TestDepth(t *testing.T) {
	s := memstore.New()
	b := s.NewBatch()
	for i := range uint32(100_000) {
		b.Set(binary.BigEndian.AppendUint32(nil, i), nil)
	}
	if err := b.Commit(false); err != nil {
		t.Fatal(err)
	}
	if d := memstore.Depth(s); d > 60 { // about 2.5 times the logarithm is expected
		t.Fatalf("100,000 keys are %d deep", d)
	}
}

func BenchmarkCommit(b *testing.B) {
	s := memstore.New()
	random := rand.New(rand.NewPCG(1, 1))
	value := make([]byte, 150)
	for b.Loop() {
		batch := s.NewBatch()
		for range 1000 {
			batch.Set(binary.BigEndian.AppendUint64(nil, random.Uint64N(60_000)), value)
		}
		if err := batch.Commit(true); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/key")
}
