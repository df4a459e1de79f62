package web

import (
	"context"
	"fmt"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/merkle"
)

// A proof is complete one block after what it proves: when there is a header that
// states the root (H-63).
const (
	headerWait = 3 * time.Second
	headerPoll = 2 * time.Millisecond
)

// Proving is the part of a request that asks for a proof.
type Proving struct {
	Proof bool `query:"proof" doc:"1: with a proof against a signed header."`
}

// waitHeader waits until the header of a height has been signed.
func (v *virtual) waitHeader(ctx context.Context, height uint64) error {
	ctx, cancel := context.WithTimeout(ctx, headerWait)
	defer cancel()
	for v.replica.Height() < height {
		select {
		case <-ctx.Done():
			e := api.NewError(api.NotProvable, "query.proof", "The header that states this is not signed yet. Ask again, or ask another server.")
			e.RetryAfter = time.Second
			return e
		case <-time.After(headerPoll):
		}
	}
	return nil
}

// proveLeaf proves a leaf of the newest state, or its absence.
func (v *virtual) proveLeaf(ctx context.Context, key merkle.Key) (*api.Proof, error) {
	p, err := v.replica.ProveLeaf(key)
	if err != nil {
		return nil, fmt.Errorf("prove a leaf: %w", err)
	}
	if err := v.waitHeader(ctx, p.Height+1); err != nil {
		return nil, err
	}
	return &api.Proof{Height: p.Height + 1, Leaf: p.Value, Path: p.Proof.Encode()}, nil
}

// proveResult proves an entry of the results of a block.
func (v *virtual) proveResult(ctx context.Context, height uint64, index uint32) (*api.Proof, error) {
	p, err := v.replica.ProveResult(height, index)
	if err != nil {
		return nil, fmt.Errorf("prove a result: %w", err)
	}
	return v.resultProof(ctx, &p)
}

// proveReceipt proves the receipt of a command that a block contained.
func (v *virtual) proveReceipt(ctx context.Context, id exchange.CommandID) (*api.Proof, error) {
	p, err := v.replica.ProveReceipt(id)
	if err != nil {
		return nil, fmt.Errorf("prove a receipt: %w", err)
	}
	return v.resultProof(ctx, &p)
}

func (v *virtual) resultProof(ctx context.Context, p *ResultProof) (*api.Proof, error) {
	if err := v.waitHeader(ctx, p.Clock.Height+1); err != nil {
		return nil, err
	}
	return &api.Proof{
		Height: p.Clock.Height + 1, Leaf: p.Clock.Value, Path: p.Clock.Proof.Encode(), Item: p.Entry, List: p.List.Encode(),
	}, nil
}
