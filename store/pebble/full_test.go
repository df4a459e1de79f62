package pebble_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"souk/store"
	"souk/store/pebble"
	"souk/store/storetest"
)

// A store that is opened on a full disk says so at once, wherever the room ends,
// even where the engine would try for ever to flush what it has read of the log
// (D-13).
func TestOpenOnFullDisk(t *testing.T) {
	failed := 0
	for nth := range int64(12) {
		files := vfs.NewCrashableMem()
		b := &breaker{fails: needsRoom, stuck: true, with: syscall.ENOSPC}
		b.left.Store(math.MaxInt64)
		broken := errorfs.Wrap(files, b)
		s, err := open(broken)
		if err != nil {
			t.Fatal(err)
		}
		batch := s.NewBatch()
		batch.Set([]byte("key"), []byte("value"))
		if err := batch.Commit(true); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		b.left.Store(nth)
		answer := make(chan error, 1)
		go func() {
			s, err := open(broken)
			if err == nil {
				err = s.Close()
			}
			answer <- err
		}()
		select {
		case err = <-answer:
		case <-time.After(20 * time.Second):
			t.Fatalf("n=%d: open does not come back", nth)
		}
		if err == nil {
			continue // it needed less room
		}
		failed++
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("n=%d: the cause is not told: %v", nth, err)
		}
		// So does this process, soon after there is room again.
		b.left.Store(math.MaxInt64)
		if s, err = openSoon(broken); err != nil {
			t.Fatalf("n=%d: with room again in the same process: %v", nth, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		// Another process finds what was there.
		s, err = open(files.CrashClone(vfs.CrashCloneCfg{}))
		if err != nil {
			t.Fatalf("n=%d: with room again: %v", nth, err)
		}
		if value, err := s.Get([]byte("key")); err != nil || string(value) != "value" {
			t.Errorf("n=%d: %q, %v", nth, value, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if failed == 0 {
		t.Error("the disk was never full: the test tests nothing")
	}
}

// openSoon opens a store that another, failed one may not have let go of yet.
func openSoon(files vfs.FS) (s *pebble.Store, err error) {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if s, err = open(files); !errors.Is(err, store.ErrLocked) {
			break
		}
	}
	return s, err
}

// counter counts what changes the files of a disk.
type counter struct{ changes atomic.Int64 }

func (c *counter) String() string { return "counter" }

func (c *counter) MaybeError(op errorfs.Op) error {
	if isWrite(op.Kind) {
		c.changes.Add(1)
	}
	return nil
}

// A store that has failed gives its folder back when it is closed: the same process
// opens it again, and what is left of the failed one changes nothing there any more
// (D-13, D-15).
func TestOpenAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails func(errorfs.OpKind) bool
		with  error
	}{{"full disk", needsRoom, syscall.ENOSPC}, {"sync", isSync, syscall.EIO}, {"dead disk", isWrite, syscall.EIO}} {
		t.Run(c.name, func(t *testing.T) {
			for nth := int64(1); nth < 400; nth = nth*3/2 + 1 {
				random := rand.New(rand.NewPCG(uint64(nth), 5))
				files := vfs.NewCrashableMem()
				b := &breaker{fails: c.fails, stuck: true, with: c.with}
				b.left.Store(math.MaxInt64)
				old := &counter{} // of what the store that fails does
				history := storetest.NewHistory(random)
				s, err := open(errorfs.Wrap(errorfs.Wrap(files, b), old))
				if err != nil {
					t.Fatal(err)
				}
				b.left.Store(nth)
				for i := 0; err == nil && i < 2000; i++ {
					err = history.Commit(s, random.IntN(5) == 0)
				}
				if err == nil {
					t.Fatalf("n=%d: the disk did not fail", nth)
				}
				if _, err := open(files); !errors.Is(err, store.ErrLocked) {
					t.Fatalf("n=%d: before it is closed: %v", nth, err)
				}
				if err := s.Close(); !errors.Is(err, store.ErrFailed) || !errors.Is(err, c.with) {
					t.Fatalf("n=%d: close: %v", nth, err)
				}
				b.left.Store(math.MaxInt64) // there is room again, for the old one as well
				before := old.changes.Load()
				again, err := open(files)
				if err != nil {
					t.Fatalf("n=%d: open again: %v", nth, err)
				}
				number, err := history.Check(again, history.Synced())
				if err != nil {
					t.Fatalf("n=%d: %v", nth, err)
				}
				history.Resume(number)
				for range 50 {
					if err := history.Commit(again, true); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := history.Check(again, history.Synced()); err != nil {
					t.Fatalf("n=%d: %v", nth, err)
				}
				if err := again.Close(); err != nil {
					t.Fatal(err)
				}
				if n := old.changes.Load() - before; n != 0 {
					t.Fatalf("n=%d: the failed store made %d more changes", nth, n)
				}
			}
		})
	}
}
