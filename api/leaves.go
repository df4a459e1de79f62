package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/escrow"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/merkle"
)

// MaxLeaves is how many leaves may be asked for at once.
const MaxLeaves = 128

// Leaves are leaves of one state, each with its proof.
type Leaves struct {
	Height uint64      `json:"height" doc:"Height of the signed header that states the root."`
	Leaves []LeafProof `json:"leaves" nullable:"false" doc:"In the order in which they were asked for."`
}

// LeafProof is a leaf, or that there is none, and what leads from there to the root.
type LeafProof struct {
	Leaf []byte `json:"leaf,omitempty" doc:"Value of the leaf; absent: there is no such leaf."`
	Path []byte `json:"path" doc:"Merkle proof from the leaf to the root."`
}

// PublicLeaf tells whether anybody may ask for leaves of a key's kind: the clock, assets, markets,
// members, votes, the rest of the roster, counters, banks, series, blocks, coins, batches, what a bank knows of members, and the halt (H-65).
func PublicLeaf(key merkle.Key) bool {
	switch key[0] {
	case exchange.ClockKey()[0], market.LeafMarket, market.LeafCounters, escrow.LeafCounter, roster.LeafMember, roster.LeafVote, roster.LeafRoster:
		return true // what everybody is told of anyway
	case ledger.LeafAsset, custody.LeafBank, custody.LeafSeries, custody.LeafBlock, custody.LeafCoin,
		custody.LeafBatch, custody.LeafAttestor, custody.LeafCustody:
		return true
	}
	return false
}

// ProvenLeaves are leaves of one state that a Verifier has checked.
type ProvenLeaves struct {
	Proven
	Root   merkle.Hash
	Values [][]byte       // in the order of the keys; nil: proven that there is none
	Paths  []merkle.Proof // which lead to Root
}

// VerifiedLeaves are leaves of one state, at most MaxLeaves, proven under one header.
func (c *Client) VerifiedLeaves(ctx context.Context, v *Verifier, keys []merkle.Key) (*ProvenLeaves, error) {
	if len(keys) == 0 || len(keys) > MaxLeaves {
		return nil, fmt.Errorf("%d leaves, 1 to %d can be asked for", len(keys), MaxLeaves)
	}
	if err := v.Refresh(ctx); err != nil {
		return nil, err
	}
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.String()
	}
	target := Prefix + "/leaves?keys=" + strings.Join(names, ",")
	return fetch(ctx, c, &call{target: target, accept: JSON}, func(data []byte) (*ProvenLeaves, error) {
		r, err := decode[Leaves](data)
		if err != nil {
			return nil, err
		}
		return v.Leaves(ctx, keys, r)
	})
}

// Leaves checks the proofs of leaves of the newest state.
func (v *Verifier) Leaves(ctx context.Context, keys []merkle.Key, r *Leaves) (*ProvenLeaves, error) {
	if len(r.Leaves) != len(keys) {
		return nil, fmt.Errorf("%d leaves, %d were asked for: %w", len(r.Leaves), len(keys), ErrProof)
	}
	if err := v.begin(ctx); err != nil {
		return nil, err
	}
	root, at, err := v.header(ctx, r.Height)
	if err != nil {
		return nil, err
	}
	p := &ProvenLeaves{Proven: at, Root: root, Values: make([][]byte, len(keys)), Paths: make([]merkle.Proof, len(keys))}
	for i, key := range keys {
		l := &r.Leaves[i]
		if p.Paths[i], err = merkle.ParseProof(l.Path); err != nil {
			return nil, errors.Join(ErrProof, err)
		}
		switch {
		case len(l.Leaf) == 0 && !p.Paths[i].Absent(root, key):
			return nil, fmt.Errorf("it does not show that leaf %s is absent: %w", key, ErrProof)
		case len(l.Leaf) != 0 && !p.Paths[i].Present(root, key, l.Leaf):
			return nil, fmt.Errorf("it does not lead from leaf %s to the root of header %d: %w", key, r.Height, ErrProof)
		case len(l.Leaf) != 0:
			p.Values[i] = l.Leaf
		}
	}
	return p, v.advance(at.Height, root)
}
