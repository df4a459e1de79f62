// Package pebble is the adapter of the store port to disk, on the Pebble
// engine. It owns the engine's settings, the order and durability that the port
// promises, and the rule that a store whose disk has failed once answers nothing
// more. It leaves the meaning of keys to the owners of the data. Floor 2.
//
// The engine was made for a process that dies at the first disk error. How a
// store outlives it long enough to say so is told at the type disk.
package pebble

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"souk/store"
)

// Sizes used where Config leaves them zero.
const (
	// DefaultMemTable is the size that memtables grow to, in bytes. The first is of
	// 256 KiB and each flush doubles it, so a store that is not written to stays
	// small; a busy one holds three. A batch of more than half of it goes past it
	// and costs a flush. Twice the size saves a busy server a fifth of the
	// processor time of writing.
	DefaultMemTable = 4 << 20
	// DefaultCache is the size of the block cache in bytes.
	DefaultCache = 4 << 20
)

// format is the version of the files on disk. A later one is adopted by naming
// it here; the engine then converts the folder at the next Open, for good.
const format = engine.FormatValueSeparation

// walSync is how many bytes of log the engine lets gather before it starts
// writing them to disk, so that the sync that comes now and then finds little
// left to do.
const walSync = 1 << 20

// Config says how to open a store. The zero Config is good for service.
type Config struct {
	// FS is the file system; nil means that of the operating system.
	FS vfs.FS
	// Logger gets one line at level Error when the store fails, and the engine's
	// own remarks at level Debug; nil discards both.
	Logger *slog.Logger
	// MemTable is the largest size of a memtable in bytes; 0 means DefaultMemTable.
	MemTable int
	// Cache is a block cache shared with other stores; nil means one of
	// DefaultCache bytes for this store alone.
	Cache *Cache
}

// Cache is a block cache that several stores share.
type Cache struct{ blocks *engine.Cache }

// NewCache returns a cache of the given size in bytes.
func NewCache(size int) *Cache {
	return &Cache{blocks: engine.NewCache(int64(size))}
}

// Close gives the cache back once the stores that share it are closed too.
func (c *Cache) Close() { c.blocks.Unref() }

// share enters a store with memtables of the given size. The engine takes their
// memory from the cache, so that a busy store would leave nothing of a small one;
// here a cache grows by what its stores hold at most times.
func (c *Cache) share(memTable int) (leave func()) {
	c.blocks.Ref()
	shrink := c.blocks.Reserve(-2 * memTable)
	return func() {
		shrink()
		c.blocks.Unref()
	}
}

// Store is an open store on disk.
type Store struct {
	db     *engine.DB
	dir    string
	files  *disk
	gate   gate
	failed *failure
	leave  func() // the cache

	mu        sync.Mutex
	snapshots map[*snapshot]struct{} // open ones; under mu
}

var _ store.Store = (*Store)(nil)

// Open opens the store in dir, and makes the folder, with mode 0700, if it is
// not there. It returns store.ErrLocked if the store is open already, and
// store.ErrCorrupt if what is there does not pass its checks.
func Open(dir string, config Config) (*Store, error) {
	if config.FS == nil {
		// The lock on the folder goes by its name: give it one name only.
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("open store %s: %w", dir, err)
		}
		dir, config.FS = absolute, vfs.Default
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{dir: dir, failed: newFailure(config.Logger, dir), snapshots: make(map[*snapshot]struct{})}
	s.files = &disk{FS: config.FS, dir: config.FS.PathDir(config.FS.PathJoin(dir, "x")), failed: s.failed}
	var err error
	s.db, err = s.open(s.options(config))
	if failed := s.failed.get(); failed != nil {
		err = failed
	}
	if err != nil {
		if s.db != nil { // it failed in the background
			_ = s.db.Close() // err says more
			_ = s.files.abandon()
		}
		s.leave()
		return nil, fmt.Errorf("open store %s: %w", dir, named(err))
	}
	s.files.armed.Store(true)
	return s, nil
}

// opened is what the engine's Open answers.
type opened struct {
	db  *engine.DB
	err error
}

// open opens the engine, which at disk errors may panic or call Fatalf, or, when
// it cannot flush what it has read of the log, tries that again for as long as it
// takes: the caller learns of the failure at once. Should the engine come back it is
// closed; if it has stopped its folder is given back.
func (s *Store) open(options *engine.Options) (*engine.DB, error) {
	done := make(chan opened, 1)
	go func() {
		o := opened{err: errors.New("storage engine stopped")} // unless it comes back
		defer func() { done <- o }()
		defer func() {
			if r := recover(); r != nil {
				o.err = fmt.Errorf("storage engine stopped: %v", r)
				if cause, ok := r.(error); ok {
					o.err = fmt.Errorf("storage engine stopped: %w", cause)
				}
			}
		}()
		o.db, o.err = engine.Open(s.dir, options)
	}()
	select {
	case o := <-done:
		if o.db == nil {
			o.err = errors.Join(o.err, s.files.abandon())
		}
		return o.db, o.err
	case <-s.failed.seen:
		go s.giveUp(done)
		return nil, s.failed.get()
	}
}

// giveUp gives the folder back when an engine that was being opened comes back
// after all, or has stopped.
func (s *Store) giveUp(done <-chan opened) {
	select {
	case o := <-done:
		if o.db != nil {
			_ = o.db.Close() // nobody waits for it
		}
	case <-s.failed.stopped: // and may wait for itself now
	}
	_ = s.files.abandon() // nobody waits for it
}

// retryPause is how long the engine waits before it tries again what failed in
// the background while it was being opened, or after it was given up.
const retryPause = 100 * time.Millisecond

// options returns the engine's settings, and enters the store at its cache.
func (s *Store) options(config Config) *engine.Options {
	memTable := config.MemTable
	if memTable == 0 {
		memTable = DefaultMemTable
	}
	cache := config.Cache
	if cache == nil {
		cache = NewCache(DefaultCache)
		defer cache.Close()
	}
	s.leave = cache.share(memTable)
	o := &engine.Options{
		FS:                 s.files,
		Cache:              cache.blocks,
		FormatMajorVersion: format,
		Logger:             logger{failed: s.failed, log: config.Logger},
		EventListener: &engine.EventListener{
			BackgroundError: func(err error) {
				_ = s.failed.set(err) // told to those who ask
				if !s.files.armed.Load() || s.gate.shut() {
					time.Sleep(retryPause)
				}
			},
			DataCorruption: func(info engine.DataCorruptionInfo) {
				_ = s.failed.set(fmt.Errorf("%w: %s: %w", store.ErrCorrupt, info.Path, info.Details))
			},
		},
		MemTableSize:                uint64(memTable),
		MemTableStopWritesThreshold: 3,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		LBaseMaxBytes:               64 << 20,
		WALBytesPerSync:             walSync,
		MaxOpenFiles:                500,
		MaxManifestFileSize:         8 << 20,
	}
	o.Experimental.FileCacheShards = 2
	o.ApplyCompressionSettings(func() engine.DBCompressionSettings { return engine.DBCompressionFastest })
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// Get returns a copy of the value of key, or store.ErrNotFound.
func (s *Store) Get(key []byte) ([]byte, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	return s.get(s.db, key)
}

// Scan calls yield for each key in [from, to) in ascending order.
func (s *Store) Scan(from, to []byte, yield func(key, value []byte) bool) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	return s.scan(s.db, from, to, yield)
}

// NewBatch returns an empty batch.
func (s *Store) NewBatch() store.Batch { return &batch{store: s} }

// Snapshot fixes the present state for reading.
func (s *Store) Snapshot() (store.Snapshot, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	n := &snapshot{store: s, state: s.db.NewSnapshot()}
	s.mu.Lock()
	s.snapshots[n] = struct{}{}
	s.mu.Unlock()
	return n, nil
}

// Checkpoint writes a durable copy of the present state to a new folder on the
// same file system, by hard links where it can.
func (s *Store) Checkpoint(dir string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	err := s.run(func() error { return s.db.Checkpoint(dir, engine.WithFlushedWAL()) })
	if err != nil {
		return fmt.Errorf("checkpoint store to %s: %w", dir, err)
	}
	return nil
}

// Close makes every batch durable and closes the snapshots that are still open,
// once the calls under way are done. The engine of a store that has failed is left
// as it stands, and what memory and files it has stay in use until the process
// ends; the folder can be opened again.
func (s *Store) Close() error {
	if !s.gate.close() {
		return store.ErrClosed
	}
	err := s.failed.get()
	if err == nil {
		err = s.run(func() error {
			for n := range s.snapshots {
				n.release()
			}
			return s.db.Close()
		})
	}
	s.leave()
	if err != nil {
		err = errors.Join(s.failed.set(err), s.files.abandon())
		return fmt.Errorf("close store %s: %w", s.dir, err)
	}
	return nil
}

// enter admits a call that uses the engine; leave of the gate ends it.
func (s *Store) enter() error {
	if !s.gate.enter() {
		return store.ErrClosed
	}
	if err := s.failed.get(); err != nil {
		s.gate.leave()
		return err
	}
	return nil
}

// engineReader is the part of the engine that the whole store and its
// snapshots have in common.
type engineReader interface {
	Get(key []byte) ([]byte, io.Closer, error)
	NewIter(*engine.IterOptions) (*engine.Iterator, error)
}

func (s *Store) get(r engineReader, key []byte) ([]byte, error) {
	if len(key) == 0 {
		return nil, store.ErrNotFound // and nothing to ask the engine for
	}
	value, closer, err := r.Get(key)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, s.failed.set(err)
	}
	value = append([]byte{}, value...)
	if err := closer.Close(); err != nil {
		return nil, s.failed.set(err)
	}
	return value, nil
}

func (s *Store) scan(r engineReader, from, to []byte, yield func(key, value []byte) bool) (err error) {
	if len(from) == 0 {
		from = nil // the engine tells an empty bound from none
	}
	if to != nil && bytes.Compare(from, to) >= 0 {
		return nil
	}
	iter, err := r.NewIter(&engine.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return s.failed.set(err)
	}
	defer func() { // even if yield does not come back
		// Close reports what ended the iteration early, if anything did.
		if closing := iter.Close(); err == nil {
			err = closing
		}
		if err != nil {
			err = s.failed.set(err)
		}
	}()
	for ok := iter.First(); ok; ok = iter.Next() {
		value, err := iter.ValueAndErr()
		if err != nil {
			return err
		}
		if !yield(iter.Key(), value) {
			break
		}
	}
	return nil
}
