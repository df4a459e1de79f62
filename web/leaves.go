package web

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"souk/api"
	"souk/merkle"
)

// LeavesInput names leaves.
type LeavesInput struct {
	Keys []string `query:"keys" required:"true" minItems:"1" maxItems:"128" nullable:"false" doc:"Keys of leaves, 64 hexadecimal digits each, each once, with commas between them: of the clock (01), assets (02), markets (04), members (07), votes (08), the rest of the roster (09), counters (0a, 0b), banks (0c), series (0d), blocks (0f), coins (10), batches (12), members in a bank (13), and of what halts them (17)."`
}

// parse reads the keys.
func (in *LeavesInput) parse() ([]merkle.Key, error) {
	keys := make([]merkle.Key, len(in.Keys))
	for i, text := range in.Keys {
		if n, err := hex.Decode(keys[i][:], []byte(text)[:min(len(text), 2*len(keys[i]))]); err != nil || n != len(keys[i]) || len(text) != 2*n {
			return nil, api.NewError(api.BadRequest, "query.keys", "%.80q is no key of a leaf: those have 64 hexadecimal digits.", text)
		}
		if !api.PublicLeaf(keys[i]) {
			return nil, api.NewError(api.BadRequest, "query.keys", "Leaves whose keys begin with %02x are not shown to everybody.", keys[i][0])
		}
		if slices.Contains(keys[:i], keys[i]) {
			return nil, api.NewError(api.BadRequest, "query.keys", "Key %s stands there twice.", text)
		}
	}
	return keys, nil
}

// leafTries is how often leaves are read before there is one state that has them all.
const leafTries = 20

// leaves answers leaves of one state, with proofs (H-65).
func (v *virtual) leaves(ctx context.Context, in *LeavesInput) (*Reply[api.Leaves], error) {
	keys, err := in.parse()
	if err != nil {
		return nil, err
	}
	for range leafTries {
		r, height, err := v.proveLeaves(keys)
		if err != nil {
			return nil, refuse(err)
		}
		if r == nil {
			continue // a block came between
		}
		if err := v.waitHeader(ctx, height); err != nil {
			return nil, refuse(err)
		}
		return &Reply[api.Leaves]{*r}, nil
	}
	e := api.NewError(api.NotProvable, "query.keys", "Blocks come too fast to read so many leaves of one of them. Ask for fewer, or ask again.")
	e.RetryAfter = time.Second
	return nil, e
}

// proveLeaves proves leaves and answers the height of their header; nil if the state
// has changed meanwhile.
func (v *virtual) proveLeaves(keys []merkle.Key) (*api.Leaves, uint64, error) {
	r := &api.Leaves{Leaves: make([]api.LeafProof, len(keys))}
	for i, key := range keys {
		p, err := v.replica.ProveLeaf(key)
		if err != nil {
			return nil, 0, fmt.Errorf("prove a leaf: %w", err)
		}
		if i == 0 {
			r.Height = p.Height + 1
		}
		if p.Height+1 != r.Height {
			return nil, 0, nil
		}
		// The proof of an absence shows a neighbour's key and the hash of its value, from which
		// a short value can be guessed.
		if p.Value == nil && !api.PublicLeaf(p.Proof.Key) {
			return nil, 0, api.NewError(api.NotProvable, "query.keys", "That leaf %s is absent cannot be shown without showing a private one.", key)
		}
		r.Leaves[i] = api.LeafProof{Leaf: p.Value, Path: p.Proof.Encode()}
	}
	return r, r.Height, nil
}
