// Package store is the port to an embedded ordered key-value store. It knows
// bytes only: what keys mean belongs to those who own the data. Adapters are
// store/pebble (disk) and store/memstore (memory, with crash simulation);
// store/storetest is the suite that each of them passes. store/sealed holds
// small encrypted files and is apart from this port. Floor 2.
package store

import "errors"

// Errors that every adapter returns.
var (
	// ErrNotFound is returned by Get for a key that is not there.
	ErrNotFound = errors.New("key not found")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("store is closed")
	// ErrCorrupt is returned when stored bytes fail their checksum. The store must not be used further.
	ErrCorrupt = errors.New("store is corrupt")
)

// Reader reads one consistent state of a store.
type Reader interface {
	// Get returns a copy of the value of key, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	// Scan calls yield for each key in [from, to) in ascending byte order until
	// it returns false; a nil to means the end. The slices are valid during the call only.
	Scan(from, to []byte, yield func(key, value []byte) bool) error
}

// Snapshot is a Reader that does not see later writes. It must be closed.
type Snapshot interface {
	Reader
	Close() error
}

// Batch collects writes that take effect together or not at all.
type Batch interface {
	// Set and Delete copy their arguments. The last write of a key wins.
	Set(key, value []byte)
	Delete(key []byte)
	// DeleteRange deletes the keys in [from, to).
	DeleteRange(from, to []byte)
	// Len is the number of bytes collected so far.
	Len() int
	// Commit writes the batch. With sync it returns only after the batch, and
	// every batch before it, survives a loss of power; without, a later sync or
	// Close makes it durable, in order: no batch survives one that does not.
	// A failed sync is final: the store refuses all further writes.
	Commit(sync bool) error
}

// Store is an open store. All methods may be called concurrently.
type Store interface {
	Reader
	NewBatch() Batch
	// Snapshot fixes the present state for reading.
	Snapshot() (Snapshot, error)
	// Checkpoint writes a copy of the present state to a new folder, openable by the same adapter.
	Checkpoint(dir string) error
	Close() error
}
