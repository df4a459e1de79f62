package pebble

import (
	engine "github.com/cockroachdb/pebble/v2"

	"souk/store"
)

// snapshot is a store.Snapshot. A call is inside the store's gate first and the
// snapshot's second.
type snapshot struct {
	store *Store
	state *engine.Snapshot
	gate  gate
}

var _ store.Snapshot = (*snapshot)(nil)

func (n *snapshot) Get(key []byte) ([]byte, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.leave()
	return n.store.get(n.state, key)
}

func (n *snapshot) Scan(from, to []byte, yield func(key, value []byte) bool) error {
	if err := n.enter(); err != nil {
		return err
	}
	defer n.leave()
	return n.store.scan(n.state, from, to, yield)
}

func (n *snapshot) Close() error {
	if !n.store.gate.enter() {
		return store.ErrClosed
	}
	defer n.store.gate.leave()
	if !n.gate.close() {
		return store.ErrClosed
	}
	n.store.mu.Lock()
	delete(n.store.snapshots, n)
	n.store.mu.Unlock()
	if n.store.failed.get() != nil {
		return nil // the engine is left as it stands
	}
	return n.state.Close()
}

// release closes a snapshot that is still open when its store closes. Nobody
// is inside any more.
func (n *snapshot) release() {
	if n.gate.close() {
		_ = n.state.Close() // never fails
	}
}

func (n *snapshot) enter() error {
	if err := n.store.enter(); err != nil {
		return err
	}
	if !n.gate.enter() {
		n.store.gate.leave()
		return store.ErrClosed
	}
	return nil
}

func (n *snapshot) leave() {
	n.gate.leave()
	n.store.gate.leave()
}
