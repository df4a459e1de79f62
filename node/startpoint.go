package node

import (
	"context"
	"errors"
	"fmt"

	"souk/chain"
	"souk/chain/rpc"
	"souk/exchange/custody"
	"souk/script"
)

const (
	// startBuried is how many blocks a bank's first block is below the tip at least: far
	// below any reorganisation.
	startBuried = 500
	// startEvery is what the height of a bank's first block is a multiple of, so that founders
	// who look on different days mostly find the same.
	startEvery = 1000
)

// StartPoint finds the block with which a bank on a network can begin, by the backend
// of a home.
func (h Home) StartPoint(ctx context.Context, network string) (p custody.Point, err error) {
	n, ok := script.ByName(network)
	if !ok {
		return p, fmt.Errorf("%w: there is no network %q", ErrConfig, network)
	}
	config, err := ReadConfig(h.Config())
	if err != nil {
		return p, err
	}
	c, ok := config.Chains[network]
	if !ok {
		return p, fmt.Errorf("%w: %s has no [chains.%s], so nobody can be asked for a block", ErrConfig, h.Config(), network)
	}
	b, err := h.openChain(n, &c)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	tip, err := b.Tip(ctx)
	if err != nil {
		return p, errors.New(chainAdvice(network, &c, err))
	}
	if tip.Height < startBuried+startEvery {
		return custody.Point{Hash: n.Genesis}, nil
	}
	height := (tip.Height - startBuried) / startEvery * startEvery
	if c.Kind == chainRPC {
		p, err = h.blockAt(ctx, &c, height)
	} else {
		p, err = walkTo(ctx, b, height)
	}
	if err != nil {
		return p, errors.New(chainAdvice(network, &c, err))
	}
	return p, nil
}

// blockAt asks a node for the hash at a height.
func (h Home) blockAt(ctx context.Context, c *ChainConfig, height uint32) (p custody.Point, err error) {
	r, err := h.chainRPC(c)
	if err != nil {
		return p, err
	}
	client, err := rpc.NewClient(r)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	p.Height = height
	if ok, err := client.Call(ctx, &p.Hash, "getblockhash", height); err != nil || !ok || p.Hash.IsZero() {
		return p, errors.Join(chain.ErrMalformed, err)
	}
	return p, nil
}

// walkTo goes through the headers that a light client has.
func walkTo(ctx context.Context, b chain.Backend, height uint32) (p custody.Point, err error) {
	var at chain.Locator
	for {
		step, err := b.Follow(ctx, at, chain.MaxStep)
		if err != nil {
			return p, err
		}
		for _, block := range step.Blocks {
			if block.Height == height {
				return custody.Point{Height: height, Hash: block.Hash}, nil
			}
		}
		if len(step.Blocks) == 0 {
			return p, chain.ErrUnknownBlock
		}
		at = at.Apply(step)
	}
}
