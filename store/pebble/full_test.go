package pebble_test

import (
	"errors"
	"math"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
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
