package pebble

import (
	"bytes"

	engine "github.com/cockroachdb/pebble/v2"

	"souk/store"
)

// batch is a store.Batch: the engine's own, behind the limits of the port.
type batch struct {
	store  *Store
	writes *engine.Batch // nil before the first write and after Commit
	size   int
	spent  bool
	err    error
}

var _ store.Batch = (*batch)(nil)

func (b *batch) Set(key, value []byte) {
	if b.admit(key, value) {
		b.err = b.writes.Set(key, value, nil)
	}
}

func (b *batch) Delete(key []byte) {
	if b.admit(key, nil) {
		b.err = b.writes.Delete(key, nil)
	}
}

// pastAll is greater than every key.
var pastAll = bytes.Repeat([]byte{0xff}, store.MaxKey+1)

func (b *batch) DeleteRange(from, to []byte) {
	if b.spent || b.err != nil {
		return
	}
	b.grow(len(from) + len(to))
	if len(from) == 0 {
		from = []byte{0} // the least key; deletions from the empty one get lost in the engine
	}
	if to == nil {
		to = pastAll
	}
	if bytes.Compare(from, to) < 0 {
		b.err = b.writes.DeleteRange(from, to, nil)
	}
}

func (b *batch) Len() int { return b.size }

func (b *batch) Commit(sync bool) error {
	if b.spent {
		return store.ErrSpent
	}
	writes := b.writes
	b.spent, b.writes = true, nil
	if err := b.store.enter(); err != nil {
		return err
	}
	defer b.store.gate.leave()
	if b.err != nil {
		return b.err
	}
	if writes == nil || writes.Empty() {
		if !sync {
			return nil
		}
		// The engine skips an empty batch, sync and all; a remark in its log is
		// written and synced like any batch.
		return b.store.run(func() error { return b.store.db.LogData(nil, engine.Sync) })
	}
	mode := engine.NoSync
	if sync {
		mode = engine.Sync
	}
	err := b.store.run(func() error { return b.store.db.Apply(writes, mode) })
	if err == nil {
		err = writes.Close() // back to the engine's pool; after a failure it may be in use still
	}
	return err
}

// admit reports whether a write of key and value may go into the batch.
func (b *batch) admit(key, value []byte) bool {
	if b.spent || b.err != nil {
		return false
	}
	if b.err = store.CheckWrite(b.size, key, value); b.err != nil {
		return false
	}
	b.grow(len(key) + len(value))
	return true
}

// grow makes the batch ready for a write of n bytes.
func (b *batch) grow(n int) {
	b.size += n
	if b.writes == nil {
		b.writes = b.store.db.NewBatch()
	}
}
