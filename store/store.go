// Package store is the port to an embedded ordered key-value store. It owns the
// contract (docs/spec/11-storage.md) and nothing else: it knows bytes only, and
// what keys mean belongs to those who own the data. Adapters are store/pebble
// (disk) and store/memstore (memory, with crash simulation); store/storetest is
// the suite that each of them passes. store/sealed, which encrypts small files, is
// apart from the port. Floor 2.
package store

import (
	"errors"
	"fmt"
)

// Limits of one write. They are part of the contract, so that what one adapter
// accepts the other accepts too.
const (
	// MaxKey is the longest key in bytes. Keys have at least one byte.
	MaxKey = 1 << 10
	// MaxValue is the longest value in bytes. A value may be empty.
	MaxValue = 64 << 20
	// MaxBatch is the most bytes, as counted by Batch.Len, that one batch holds.
	MaxBatch = 512 << 20
)

// Errors of single calls. The store goes on working.
var (
	// ErrNotFound is returned by Get for a key that is not there.
	ErrNotFound = errors.New("key not found")
	// ErrLimit is returned by Commit when the batch was given an empty key or
	// outgrew MaxKey, MaxValue or MaxBatch. Nothing of it was written.
	ErrLimit = errors.New("batch breaks a limit of the store")
	// ErrSpent is returned by Commit of a batch that was committed before,
	// whether or not that succeeded.
	ErrSpent = errors.New("batch is already committed")
)

// Errors after which a store, or the attempt to open it, is over.
var (
	// ErrClosed is returned by every call after Close, and by the calls on a
	// snapshot that is closed or whose store is.
	ErrClosed = errors.New("store is closed")
	// ErrFailed is returned by every call once the disk has failed a write, a
	// sync or a read, be it the caller's or one in the background: what is on the
	// disk is no longer known. Close the store and open it again to learn it.
	ErrFailed = errors.New("store has failed")
	// ErrCorrupt is returned when stored bytes fail their checksum, and from then
	// on like ErrFailed. The folder must not be used further.
	ErrCorrupt = errors.New("store is corrupt")
	// ErrLocked is returned when a folder is opened that is open already, in
	// this process or in another.
	ErrLocked = errors.New("store is in use")
)

// Reader reads one consistent state of a store.
type Reader interface {
	// Get returns a copy of the value of key, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	// Scan calls yield for each key in [from, to) in ascending byte order until
	// it returns false; a nil from means the beginning, a nil to the end. What it
	// shows is the state at the call, whatever yield or others write meanwhile.
	// The slices are valid during the call of yield only and must not be changed.
	// Yield may call anything but the Close of what it reads from.
	Scan(from, to []byte, yield func(key, value []byte) bool) error
}

// Snapshot is a Reader that does not see later writes. It must be closed, for
// until then what it shows cannot be given back to the disk.
type Snapshot interface {
	Reader
	Close() error
}

// Batch collects writes that take effect together or not at all. It belongs to
// one goroutine. One that is not wanted any more is simply dropped.
type Batch interface {
	// Set and Delete copy their arguments. The last write of a key wins.
	Set(key, value []byte)
	Delete(key []byte)
	// DeleteRange deletes the keys in [from, to), those set earlier in the batch
	// too; nil means the beginning or the end as in Scan.
	DeleteRange(from, to []byte)
	// Len is the number of bytes collected so far: those of all keys and values
	// handed in.
	Len() int
	// Commit writes the batch. With sync it returns only after the batch, and
	// every batch before it, survives a loss of power; without, a later sync or
	// Close makes it durable, in order: no batch survives one that does not. An
	// empty batch committed with sync makes all earlier ones durable.
	//
	// A failed write or sync is final: see ErrFailed. Whether the batch whose
	// Commit returns ErrFailed or ErrCorrupt survives is unknown, but the order
	// holds.
	Commit(sync bool) error
}

// Store is an open store. All methods may be called concurrently.
type Store interface {
	Reader
	NewBatch() Batch
	// Snapshot fixes the present state for reading.
	Snapshot() (Snapshot, error)
	// Checkpoint writes a durable copy of the present state to a new folder,
	// openable by the same adapter. If the folder exists, the error matches
	// fs.ErrExist.
	Checkpoint(dir string) error
	// Close makes every batch durable and closes the snapshots that are still
	// open. Calls under way finish unharmed. Its error means that some batch since
	// the last sync may be lost.
	Close() error
}

// PrefixEnd returns the smallest key greater than all keys that begin with
// prefix, which is the upper end of a Scan or DeleteRange over them. It is nil,
// the end of the store, for a prefix that is empty or all 0xff.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

// CheckWrite returns an error that matches ErrLimit if a batch that holds size
// bytes may not take a write of key and value. Adapters call it.
func CheckWrite(size int, key, value []byte) error {
	switch {
	case len(key) == 0:
		return fmt.Errorf("%w: empty key", ErrLimit)
	case len(key) > MaxKey:
		return fmt.Errorf("%w: key of %d bytes, at most %d", ErrLimit, len(key), MaxKey)
	case len(value) > MaxValue:
		return fmt.Errorf("%w: value of %d bytes, at most %d", ErrLimit, len(value), MaxValue)
	case size+len(key)+len(value) > MaxBatch:
		return fmt.Errorf("%w: more than %d bytes", ErrLimit, MaxBatch)
	}
	return nil
}
