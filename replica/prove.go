package replica

import (
	"errors"
	"fmt"

	"souk/exchange"
	"souk/merkle"
	"souk/store"
)

// ErrPruned is returned for results that this server does not have, or not any more.
var ErrPruned = errors.New("not kept on this server")

// LeafProof shows a leaf of the state, or that there is none (S-30).
type LeafProof struct {
	Key    merkle.Key
	Value  []byte // nil: there is no such leaf
	Proof  merkle.Proof
	Root   merkle.Hash // the state root that Proof leads to
	Height uint64      // after this block; the header of the next height holds Root
}

// ResultProof shows an entry of a block's result list (S-31).
type ResultProof struct {
	Entry []byte           // as exchange.ParseReceipt or ParseTrade read it
	List  merkle.ListProof // leads to the results root that the clock leaf holds
	Clock LeafProof        // of the clock leaf after the block
}

// ProveLeaf proves a leaf of the state as it is. Until the next block is decided
// no header holds the root; an idle chain makes an empty block for that.
func (r *Replica) ProveLeaf(key merkle.Key) (LeafProof, error) {
	p := LeafProof{Key: key}
	err := r.view(func(s *exchange.State, at Position) {
		value, proof := s.Prove(key)
		p.Value, p.Proof, p.Root, p.Height = value, proof, at.Root, at.RootHeight
	})
	return p, err
}

// ProveResult proves entry index of the results of the block at height; ErrPruned
// if this server does not have them.
func (r *Replica) ProveResult(height uint64, index uint32) (ResultProof, error) {
	clock, proof, root, entries, err := r.results(height)
	if err != nil {
		return ResultProof{}, err
	}
	if uint64(index) >= uint64(len(entries)) {
		return ResultProof{}, fmt.Errorf("%w: block %d has %d results", ErrPruned, height, len(entries))
	}
	var list merkle.List
	for _, e := range entries {
		list.Append(e)
	}
	p := ResultProof{Entry: entries[index], List: list.Prove(int(index))}
	p.Clock = LeafProof{Key: exchange.ClockKey(), Value: clock, Root: root, Height: height}
	p.Clock.Proof, err = merkle.ParseProof(proof)
	return p, err
}

// ProveReceipt proves the receipt of a command, as Fate answers it; ErrPruned if
// this server does not have it.
func (r *Replica) ProveReceipt(id exchange.CommandID) (ResultProof, error) {
	_, at, found, err := r.receipt(&id, true)
	if err != nil {
		return ResultProof{}, err
	}
	if !found {
		return ResultProof{}, fmt.Errorf("%w: the receipt of %x", ErrPruned, id[:8])
	}
	return r.ProveResult(at.Height, at.Index)
}

// results reads the result list of an active block and what proves it, from
// memory or the store.
func (r *Replica) results(height uint64) (clock, proof []byte, root merkle.Hash, entries [][]byte, err error) {
	for _, rec := range r.writer.pending() {
		if rec.position.Height == height && rec.result.Active {
			return rec.clock, rec.proof, rec.position.Root, rec.result.Results, nil
		}
	}
	pruned := fmt.Errorf("%w: the results of block %d", ErrPruned, height)
	value, err := r.config.Store.Get(blockKey(height))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, root, nil, pruned
	}
	if err != nil {
		return nil, nil, root, nil, err
	}
	b, err := parseBlockRecord(value)
	if err != nil {
		return nil, nil, root, nil, err
	}
	var malformed error
	from := heightKey(keyResults, height)
	err = r.config.Store.Scan(from, store.PrefixEnd(from), func(_, page []byte) bool {
		entries, malformed = parsePage(entries, append([]byte(nil), page...))
		return malformed == nil
	})
	if err = errors.Join(err, malformed); err != nil {
		return nil, nil, root, nil, err
	}
	if len(entries) != int(b.Results) {
		return nil, nil, root, nil, pruned // while they were being read
	}
	return b.Clock, b.Proof, b.Root, entries, nil
}
