package replica

import (
	"bytes"
	"errors"
	"fmt"
	"iter"

	"souk/exchange"
	"souk/merkle"
	"souk/store"
)

// batchBytes is the size at which a large copy goes on in another batch.
const batchBytes = 4 << 20

// load reads the state from the store, if there is one, and answers its position.
func (r *Replica) load() (Position, error) {
	s := r.config.Store
	if err := carryOut(s, r.config.Persist.Batch); err != nil {
		return Position{}, err
	}
	value, err := s.Get([]byte{keyMeta})
	if errors.Is(err, store.ErrNotFound) {
		return Position{}, nil
	}
	if err != nil {
		return Position{}, err
	}
	m, err := parseMeta(value)
	if err != nil {
		return Position{}, fmt.Errorf("%w: %w", ErrStore, err)
	}
	contract, err := s.Get([]byte{keyFounding})
	if err != nil {
		return Position{}, fmt.Errorf("%w: founding contract: %w", ErrStore, err)
	}
	if !bytes.Equal(contract, r.config.Founding.Append(nil)) {
		return Position{}, fmt.Errorf("%w: its contract is not that of %x", ErrOtherServer, r.id[:8])
	}
	state, err := loadState(r.config.Founding, s, m.Root)
	if err != nil {
		return Position{}, err
	}
	// What was written last may not be on the disk yet. Info must not answer more than is.
	if err := s.NewBatch().Commit(true); err != nil {
		return Position{}, err
	}
	if err := r.snapshots.load(); err != nil {
		return Position{}, err
	}
	r.install(state, m.Position)
	return m.Position, nil
}

// loadState makes a state of the stored leaves, which must have the root.
func loadState(f *exchange.Founding, s store.Reader, root merkle.Hash) (*exchange.State, error) {
	var failed error
	state, err := exchange.Load(f, storedLeaves(s, &failed))
	switch {
	case failed != nil:
		return nil, failed
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	case state.Root() != root:
		return nil, fmt.Errorf("%w: its leaves have the root %s, not %s", ErrStore, state.Root(), root)
	}
	return state, nil
}

// storedLeaves yields the state leaves in order of keys; *failed is set if that
// does not work out.
func storedLeaves(s store.Reader, failed *error) iter.Seq2[merkle.Key, []byte] {
	return func(yield func(merkle.Key, []byte) bool) {
		err := s.Scan([]byte{keyLeaf}, []byte{keyLeaf + 1}, func(key, value []byte) bool {
			if len(key) != 1+len(merkle.Key{}) {
				*failed = fmt.Errorf("%w: a leaf's key has %d bytes", ErrStore, len(key))
				return false
			}
			return yield(merkle.Key(key[1:]), value)
		})
		if err != nil {
			*failed = err
		}
	}
}

// storeState makes the leaves all that the store holds. Until it has returned, the
// store holds no state.
func (r *Replica) storeState(leaves iter.Seq2[merkle.Key, []byte], at Position) error {
	if err := r.wipe(); err != nil {
		return err
	}
	b := r.config.Store.NewBatch()
	var key []byte
	for k, value := range leaves {
		key = leafKey(key[:0], &k)
		b.Set(key, value)
		if b.Len() >= batchBytes {
			if err := b.Commit(false); err != nil {
				return err
			}
			b = r.config.Store.NewBatch()
		}
	}
	if err := b.Commit(false); err != nil {
		return err
	}
	return r.storePosition(at)
}

// storePosition makes the leaves that are stored the state at a position.
func (r *Replica) storePosition(at Position) error {
	b := r.config.Store.NewBatch()
	m := meta{at}
	b.Set([]byte{keyMeta}, m.append(nil))
	b.Set([]byte{keyFounding}, r.config.Founding.Append(nil))
	return b.Commit(true)
}

// wipe empties the store.
func (r *Replica) wipe() error {
	b := r.config.Store.NewBatch()
	b.DeleteRange(nil, nil)
	return b.Commit(true)
}
