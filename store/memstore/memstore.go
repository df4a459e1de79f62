// Package memstore is the adapter of the store port to memory: the twin of
// store/pebble for tests and simulation. It owns a disk that exists only in the
// process, on which power can fail (Store.Crash) and writes can be stalled or
// made to fail (Store.Intercept). Given the same calls and the same random
// numbers it does the same. Nothing of it survives the process. Floor 2.
package memstore

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"

	"souk/store"
)

// maxPending is how many commits without sync may lie between what survives a
// crash for certain and the present. Beyond it the oldest counts as written, as
// a real disk writes back in time.
const maxPending = 1024

// Disk is a set of folders that stores are opened in and that outlives them.
type Disk struct {
	mu      sync.Mutex
	folders map[string]*folder // under mu, as are its values' fields
}

// folder is what is on the disk in one place.
type folder struct {
	root *node
	open *Store // nil if closed
}

// NewDisk returns an empty disk.
func NewDisk() *Disk { return &Disk{folders: make(map[string]*folder)} }

// Open opens the store in dir, an empty one if there is none. It returns
// store.ErrLocked if it is open already.
func (d *Disk) Open(dir string) (*Store, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.folders[dir]
	if f == nil {
		f = &folder{}
		d.folders[dir] = f
	}
	if f.open != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, store.ErrLocked)
	}
	f.open = newStore(d, dir, f.root)
	return f.open, nil
}

// put writes what a store leaves in its folder when it ends and, if next, opens
// the folder again at once.
func (d *Disk) put(dir string, root *node, next bool) *Store {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := &folder{root: root}
	d.folders[dir] = f
	if next {
		f.open = newStore(d, dir, root)
	}
	return f.open
}

// Store is an open store in memory.
type Store struct {
	disk *Disk
	dir  string

	writing sync.Mutex // held over a whole Commit, a stalled one too; taken before mu
	commit  Commit     // the last one; under writing

	mu      sync.RWMutex
	hook    Hook
	root    *node   // the present state
	durable *node   // what survives a crash for certain
	pending []*node // the states after each commit since; the last is root
	over    error   // why the store answers nothing more, or nil
}

var _ store.Store = (*Store)(nil)

// New returns an empty store on a disk of its own.
func New() *Store {
	s, err := NewDisk().Open("/")
	if err != nil {
		panic(err) //nolint:forbidigo // a new disk has nothing open
	}
	return s
}

func newStore(d *Disk, dir string, root *node) *Store {
	return &Store{disk: d, dir: dir, root: root, durable: root}
}

// Disk returns the disk that the store is on, to open its checkpoints.
func (s *Store) Disk() *Disk { return s.disk }

// Get returns a copy of the value of key, or store.ErrNotFound.
func (s *Store) Get(key []byte) ([]byte, error) {
	root, err := s.state()
	if err != nil {
		return nil, err
	}
	return get(root, key)
}

// Scan calls yield for each key in [from, to) in ascending order. The slices it
// hands out are overwritten for the next key, to find out callers that keep them.
func (s *Store) Scan(from, to []byte, yield func(key, value []byte) bool) error {
	root, err := s.state()
	if err != nil {
		return err
	}
	scan(root, from, to, yield)
	return nil
}

// NewBatch returns an empty batch.
func (s *Store) NewBatch() store.Batch { return &batch{store: s} }

// Snapshot fixes the present state for reading. It costs nothing but the memory
// of what is overwritten while it is open.
func (s *Store) Snapshot() (store.Snapshot, error) {
	root, err := s.state()
	if err != nil {
		return nil, err
	}
	return &snapshot{store: s, root: root}, nil
}

// Checkpoint writes a copy of the present state to a new folder of the disk.
func (s *Store) Checkpoint(dir string) error {
	root, err := s.state()
	if err != nil {
		return err
	}
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	if s.disk.folders[dir] != nil {
		return fmt.Errorf("checkpoint store to %s: %w", dir, fs.ErrExist)
	}
	s.disk.folders[dir] = &folder{root: root}
	return nil
}

// Close makes every batch durable. A store that has failed leaves on its disk
// what was synced, no more.
func (s *Store) Close() error {
	s.writing.Lock() // wait for the commit under way
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.over, store.ErrClosed) {
		return store.ErrClosed
	}
	root, err := s.root, s.over
	if err != nil {
		root = s.durable
		err = fmt.Errorf("close store %s: %w", s.dir, err)
	}
	s.disk.put(s.dir, root, false)
	s.end()
	return err
}

// Crash takes the power away and opens the folder again: the store returned
// holds every batch up to the last sync, and some number, drawn from random, of
// those after it, in order; none of them if random is nil. The store it is called
// on is closed, even under a commit that is stalled; that commit is lost.
func (s *Store) Crash(random *rand.Rand) (*Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.over, store.ErrClosed) {
		return nil, store.ErrClosed
	}
	root := s.durable
	if random != nil {
		if n := random.IntN(len(s.pending) + 1); n > 0 {
			root = s.pending[n-1]
		}
	}
	s.end()
	return s.disk.put(s.dir, root, true), nil
}

// end makes the store closed and forgets what it held; under mu.
func (s *Store) end() {
	s.over = store.ErrClosed
	s.root, s.durable, s.pending = nil, nil, nil
}

// state returns the present state, which no later commit changes.
func (s *Store) state() (*node, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.root, s.over
}

// ended returns why the store answers nothing more, or nil.
func (s *Store) ended() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.over
}

// snapshot is a store.Snapshot.
type snapshot struct {
	store  *Store
	mu     sync.RWMutex
	root   *node // under mu, as is closed
	closed bool
}

var _ store.Snapshot = (*snapshot)(nil)

func (n *snapshot) Get(key []byte) ([]byte, error) {
	root, err := n.state()
	if err != nil {
		return nil, err
	}
	return get(root, key)
}

func (n *snapshot) Scan(from, to []byte, yield func(key, value []byte) bool) error {
	root, err := n.state()
	if err != nil {
		return err
	}
	scan(root, from, to, yield)
	return nil
}

func (n *snapshot) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || errors.Is(n.store.ended(), store.ErrClosed) {
		return store.ErrClosed
	}
	n.closed, n.root = true, nil
	return nil
}

func (n *snapshot) state() (*node, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.closed {
		return nil, store.ErrClosed
	}
	return n.root, n.store.ended()
}

func get(root *node, key []byte) ([]byte, error) {
	n := root.find(key)
	if n == nil {
		return nil, store.ErrNotFound
	}
	return append([]byte{}, n.value...), nil
}

func scan(root *node, from, to []byte, yield func(key, value []byte) bool) {
	var key, value []byte
	root.walk(from, to, func(n *node) bool {
		clear(key)
		clear(value)
		key, value = append(key[:0], n.key...), append(value[:0], n.value...)
		return yield(key, value)
	})
}
