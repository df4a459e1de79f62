package memchain

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/btcsuite/btcd/chainhash/v2"

	"souk/asset"
	"souk/chain"
	"souk/script"
)

// Node is one member's view of a Chain. It is honest until Faults are set.
type Node struct {
	chain *Chain

	mu     sync.Mutex
	faults Faults
	closed bool
}

var _ chain.Backend = (*Node)(nil)

// Faults are what is wrong with a node. The zero value is an honest one.
type Faults struct {
	// Down makes every call fail with it.
	Down error
	// Behind hides the last blocks.
	Behind uint32
	// Invent puts as many invented, empty blocks in the place of the last ones that it shows.
	Invent uint32
	// Forge adds transactions to blocks, whose hashes stay as they are.
	Forge []Forgery
	// Hide leaves these transactions out of blocks.
	Hide []script.Hash
	// Rate is what it answers for a fee rate, unless zero.
	Rate asset.Amount
	// Unsure makes it have no estimate of the fee rate.
	Unsure bool
	// Swallow makes it drop what it is given to broadcast, and say that all is well.
	Swallow bool
	// Blind hides what waits for a block, as from a light client.
	Blind bool
}

// Forgery is a transaction that is not there.
type Forgery struct {
	Height      uint32
	Transaction chain.Transaction
}

// Node returns another view of the chain.
func (c *Chain) Node() *Node { return &Node{chain: c} }

// SetFaults sets what is wrong with the node from now on.
func (n *Node) SetFaults(f Faults) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = f
}

// Network returns the chain's network.
func (n *Node) Network() *script.Network { return n.chain.network }

// Tip returns the last block that the node shows.
func (n *Node) Tip(ctx context.Context) (chain.Block, error) {
	f, err := n.ask(ctx)
	if err != nil {
		return chain.Block{}, err
	}
	v := n.look(f)
	defer n.chain.mu.Unlock()
	return v.block(v.shown - 1).Block, nil
}

// Follow is as the port says.
func (n *Node) Follow(ctx context.Context, from chain.Locator, limit int) (chain.Step, error) {
	f, err := n.ask(ctx)
	if err != nil {
		return chain.Step{}, err
	}
	v := n.look(f)
	defer n.chain.mu.Unlock()
	step := chain.Step{Fork: v.block(0).Point, Tip: v.block(v.shown - 1).Point}
	if len(from) > 0 {
		i := len(from) - 1
		for i >= 0 && (from[i].Height >= v.shown || v.block(from[i].Height).Point != from[i]) {
			i--
		}
		if i < 0 {
			return chain.Step{}, chain.ErrForked
		}
		step.Fork = from[i]
	}
	for height := step.Fork.Height + 1; height < v.shown && len(step.Blocks) < min(max(limit, 1), chain.MaxStep); height++ {
		step.Blocks = append(step.Blocks, v.block(height).Block)
	}
	return step, nil
}

// Scan is as the port says.
func (n *Node) Scan(ctx context.Context, at chain.Point, filter *chain.Filter) (chain.Found, error) {
	f, err := n.ask(ctx)
	if err != nil {
		return chain.Found{}, err
	}
	v := n.look(f)
	defer n.chain.mu.Unlock()
	if at.Height >= v.shown || v.block(at.Height).Point != at {
		return chain.Found{}, chain.ErrUnknownBlock
	}
	var list []chain.Transaction
	for _, tx := range v.block(at.Height).transactions {
		if !slices.Contains(f.Hide, tx.id) {
			list = append(list, tx.match)
		}
	}
	for _, forged := range f.Forge {
		if forged.Height == at.Height {
			list = append(list, forged.Transaction)
		}
	}
	return filter.Match(list), nil
}

// Coin is as the port says.
func (n *Node) Coin(ctx context.Context, coin chain.Coin) (chain.Fate, error) {
	fate, err := chain.Trace(ctx, n, n.at, coin)
	if err != nil || fate.State != chain.Unspent {
		return fate, err
	}
	f, err := n.ask(ctx)
	if err != nil || f.Blind {
		return fate, err
	}
	n.chain.mu.Lock()
	defer n.chain.mu.Unlock()
	for _, tx := range n.chain.pool {
		if slices.Contains(tx.match.Inputs, coin.At) {
			return chain.Fate{State: chain.Pending, By: tx.id}, nil
		}
	}
	return fate, nil
}

// FeeRate is as the port says; what is asked for makes no difference.
func (n *Node) FeeRate(ctx context.Context, _ uint32) (asset.Amount, error) {
	f, err := n.ask(ctx)
	if err != nil {
		return 0, err
	}
	n.chain.mu.Lock()
	defer n.chain.mu.Unlock()
	switch {
	case f.Unsure:
		return 0, chain.ErrNoEstimate
	case f.Rate != 0:
		return f.Rate, nil
	case n.chain.rate != 0:
		return chain.Bound(n.chain.network, n.chain.rate), nil
	}
	return 0, chain.ErrNoEstimate
}

// Broadcast is as the port says.
func (n *Node) Broadcast(ctx context.Context, raw []byte) error {
	f, err := n.ask(ctx)
	if err != nil || f.Swallow {
		return err
	}
	return n.chain.Broadcast(raw)
}

// Close makes every further call fail.
func (n *Node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	return nil
}

// ask begins a call.
func (n *Node) ask(ctx context.Context) (Faults, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return Faults{}, chain.ErrClosed
	case ctx.Err() != nil:
		return Faults{}, fmt.Errorf("%w: %w", chain.ErrUnavailable, ctx.Err())
	}
	return n.faults, n.faults.Down
}

// at names the block that the node shows at a height.
func (n *Node) at(ctx context.Context, height uint32) (chain.Point, error) {
	f, err := n.ask(ctx)
	if err != nil {
		return chain.Point{}, err
	}
	v := n.look(f)
	defer n.chain.mu.Unlock()
	if height >= v.shown {
		return chain.Point{}, chain.ErrUnknownBlock
	}
	return v.block(height).Point, nil
}

// view is what a node shows, for as long as the chain is locked.
type view struct {
	best     []*block
	shown    uint32 // blocks
	invented uint32 // the first height of invented blocks
}

// look locks the chain until the caller unlocks it.
func (n *Node) look(f Faults) view {
	n.chain.mu.Lock()
	all := uint32(len(n.chain.best))
	shown := all - min(f.Behind, all-1)
	return view{n.chain.best, shown, shown - min(f.Invent, shown-1)}
}

// block returns what is shown at a height below shown.
func (v view) block(height uint32) *block {
	b := v.best[height]
	if height < v.invented {
		return b
	}
	fake := &block{Block: b.Block}
	fake.Hash = invent(b.Hash)
	if height > v.invented {
		fake.Parent = invent(b.Parent)
	}
	return fake
}

func invent(h script.Hash) script.Hash {
	return script.Hash(chainhash.DoubleHashH(append([]byte("invented"), h[:]...)))
}
