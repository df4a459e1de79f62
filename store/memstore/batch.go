package memstore

import (
	"bytes"
	"fmt"

	"souk/store"
)

// Commit describes a commit to a Hook.
type Commit struct {
	Number uint64 // of this commit since the store was opened, from 1
	Syncs  uint64 // how many of these had sync, this one included
	Sync   bool
	Size   int // Batch.Len
}

// Hook is called with each commit before it takes effect, one at a time. It
// stalls the commit by returning late; readers and Crash are not held up. If it
// returns an error, the commit and with it the store fails, as on a disk that is
// full or broken.
type Hook func(Commit) error

// Intercept makes the commits from now on go through hook; nil ends that.
func (s *Store) Intercept(hook Hook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

// FailSync returns a Hook under which the nth sync since the store was opened,
// from 1, fails with err.
func FailSync(nth uint64, err error) Hook {
	return func(c Commit) error {
		if c.Sync && c.Syncs == nth {
			return err
		}
		return nil
	}
}

// batch is a store.Batch: a list of writes to replay on a tree.
type batch struct {
	store  *Store
	writes []write
	size   int
	spent  bool
	err    error
}

var _ store.Batch = (*batch)(nil)

// write is one step of a batch.
type write struct {
	kind       byte // one of the constants below
	key, value []byte
}

const (
	set         = iota // key to value
	remove             // key
	removeRange        // from key to value; a nil value means the end
)

func (b *batch) Set(key, value []byte) { b.add(set, key, value) }

func (b *batch) Delete(key []byte) { b.add(remove, key, nil) }

func (b *batch) DeleteRange(from, to []byte) {
	if b.spent || b.err != nil {
		return
	}
	b.size += len(from) + len(to)
	b.writes = append(b.writes, write{removeRange, bytes.Clone(from), bytes.Clone(to)})
}

func (b *batch) add(kind byte, key, value []byte) {
	if b.spent || b.err != nil {
		return
	}
	if b.err = store.CheckWrite(b.size, key, value); b.err != nil {
		return
	}
	b.size += len(key) + len(value)
	b.writes = append(b.writes, write{kind, bytes.Clone(key), bytes.Clone(value)})
}

func (b *batch) Len() int { return b.size }

func (b *batch) Commit(sync bool) error {
	if b.spent {
		return store.ErrSpent
	}
	b.spent = true
	if err := b.store.ended(); err != nil {
		return err
	}
	if b.err != nil {
		return b.err
	}
	return b.store.write(b, sync)
}

// write carries out a commit.
func (s *Store) write(b *batch, sync bool) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.RLock()
	hook, root, err := s.hook, s.root, s.over
	s.mu.RUnlock()
	if err != nil {
		return err
	}
	s.commit.Number++
	if sync {
		s.commit.Syncs++
	}
	s.commit.Sync, s.commit.Size = sync, b.size
	var failed error
	if hook != nil {
		failed = hook(s.commit)
	}
	root = b.apply(root)
	b.writes = nil

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over != nil { // Crash came during the stall
		return s.over
	}
	s.root = root
	s.pending = append(s.pending, root)
	switch {
	case failed != nil:
		s.over = fmt.Errorf("%w: %w", store.ErrFailed, failed)
	case sync:
		s.durable, s.pending = root, nil
	case len(s.pending) > maxPending:
		s.durable, s.pending = s.pending[0], s.pending[1:]
	}
	return s.over
}

// apply returns the tree with the batch's writes made in it. Nodes of root
// are not changed, for others may be reading them.
func (b *batch) apply(root *node) *node {
	e := new(edit)
	for _, w := range b.writes {
		switch w.kind {
		case set:
			root = e.set(root, &node{key: w.key, value: w.value, heat: hash(w.key), owner: e})
		case remove:
			root = e.remove(root, w.key)
		case removeRange:
			root = e.removeRange(root, w.key, w.value)
		}
	}
	return root
}
