package storetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"souk/store"
)

// testAtomicToReaders has one writer give eight keys the same number, over and
// over, while readers check that they never see two numbers at once, nor an
// older one than they have seen before.
func testAtomicToReaders(t *testing.T, open Open) {
	const keys, rounds, readers = 8, 400, 4
	s := start(t, open)
	var done atomic.Bool
	var group sync.WaitGroup
	for range readers {
		group.Go(func() {
			var last uint64
			for !done.Load() {
				n, err := readRound(s, keys)
				if err != nil || n < last {
					t.Errorf("read round %d after %d: %v", n, last, err)
					return
				}
				last = n
			}
		})
	}
	for round := range uint64(rounds) {
		b := s.NewBatch()
		if round%3 == 0 {
			b.DeleteRange(nil, nil)
		}
		for k := range keys {
			b.Set([]byte{'a' + byte(k)}, binary.BigEndian.AppendUint64(nil, round+1))
		}
		if err := b.Commit(round%50 == 0); err != nil {
			t.Error(err)
			break
		}
	}
	done.Store(true)
	group.Wait()
	if n, err := readRound(s, keys); n != rounds || err != nil {
		t.Fatalf("at the end: round %d, %v", n, err)
	}
}

// readRound returns the number that all keys have, by a scan of the store and by
// a snapshot in turn; 0 before the first round.
func readRound(s store.Store, keys int) (uint64, error) {
	n, err := scanRound(s, keys)
	if err != nil {
		return 0, err
	}
	snap, err := s.Snapshot()
	if err != nil {
		return 0, err
	}
	defer snap.Close() //nolint:errcheck // reported by other tests
	later, err := scanRound(snap, keys)
	if err == nil && later < n {
		err = fmt.Errorf("a snapshot is older than the scan before it: %d after %d", later, n)
	}
	for k := 0; k < keys && later > 0 && err == nil; k++ {
		var value []byte
		if value, err = snap.Get([]byte{'a' + byte(k)}); err == nil && binary.BigEndian.Uint64(value) != later {
			err = fmt.Errorf("key %d: Get and Scan of a snapshot differ", k)
		}
	}
	return later, err
}

func scanRound(r store.Reader, keys int) (uint64, error) {
	var values []uint64
	err := r.Scan(nil, nil, func(_, value []byte) bool {
		values = append(values, binary.BigEndian.Uint64(value))
		return true
	})
	if err != nil || len(values) == 0 {
		return 0, err
	}
	for _, v := range values {
		if v != values[0] || len(values) != keys {
			return 0, fmt.Errorf("half a batch: %v", values)
		}
	}
	return values[0], nil
}

// testWritersTogether has many writers, some of which sync, each with keys of
// its own; nothing may be lost.
func testWritersTogether(t *testing.T, open Open) {
	const writers, rounds = 6, 60
	s := start(t, open)
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range rounds {
				b := s.NewBatch()
				b.Set(fmt.Appendf(nil, "%d/%03d", w, i), []byte("x"))
				b.Set(fmt.Appendf(nil, "%d/last", w), fmt.Append(nil, i))
				if err := b.Commit(i%10 == w); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if got := len(list(t, s, nil, nil)); got != writers*(rounds+1) {
		t.Fatalf("%d keys, want %d", got, writers*(rounds+1))
	}
	for w := range writers {
		if v, err := s.Get(fmt.Appendf(nil, "%d/last", w)); err != nil || string(v) != fmt.Sprint(rounds-1) {
			t.Fatalf("writer %d ends with %q, %v", w, v, err)
		}
	}
}

// testCloseUnderLoad closes a store that is in use: every call ends well or with
// ErrClosed.
func testCloseUnderLoad(t *testing.T, open Open) {
	s := start(t, open)
	put(t, s, "a", "1", "b", "1", "c", "1")
	var group sync.WaitGroup
	var ready sync.WaitGroup
	work := func(call func() error) {
		ready.Add(1)
		group.Go(func() {
			for i := 0; ; i++ {
				err := call()
				if i == 0 {
					ready.Done()
				}
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 2 {
		work(func() error {
			b := s.NewBatch()
			b.Set([]byte("a"), []byte("2"))
			return b.Commit(i == 0)
		})
		work(func() error { _, err := s.Get([]byte("b")); return err })
		work(func() error {
			return s.Scan(nil, nil, func(_, _ []byte) bool {
				_, err := s.Get([]byte("c"))
				return err == nil
			})
		})
		work(func() error {
			snap, err := s.Snapshot()
			if err != nil {
				return err
			}
			if err := snap.Scan(nil, nil, func(_, _ []byte) bool { return true }); err != nil {
				return err
			}
			return snap.Close()
		})
	}
	ready.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	group.Wait()
}
