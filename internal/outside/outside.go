// Package outside is the world outside of a federation that runs on one machine: for
// each bank a chain of its own with two nodes. One is the world's, which makes the
// blocks, pays deposits and sees what arrives; the other is the node that the
// servers ask. The demonstration, the measurements and the tests of whole processes
// use it. Floor 5.
package outside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"souk/asset"
	"souk/chain"
	"souk/internal/chainnode"
	"souk/node"
	"souk/script"
)

// Chain is a chain of this machine and its two nodes. Its methods may be called by several goroutines at once.
type Chain struct {
	// Symbol is that of the asset whose bank keeps its coins on the chain.
	Symbol string

	kind    chainnode.Kind
	mu      sync.Mutex // a miner is for one goroutine
	miner   *chainnode.Miner
	backend chain.Backend // of the miner's node
	inside  *chainnode.Node
	secret  map[*chainnode.Node]string // file with the password of a node
}

// Start starts the two nodes of a chain in a folder, Btcd or Ltcd, which are built if
// they are not built yet, and makes the first blocks. log is told of building.
func Start(ctx context.Context, symbol string, kind chainnode.Kind, dir string, log io.Writer) (*Chain, error) {
	c := &Chain{Symbol: symbol, kind: kind, secret: map[*chainnode.Node]string{}}
	if err := c.start(ctx, dir, log); err != nil {
		return nil, errors.Join(fmt.Errorf("chain of %s: %w", symbol, err), c.Stop())
	}
	return c, nil
}

func (c *Chain) start(ctx context.Context, dir string, log io.Writer) (err error) {
	world := chainnode.Config{Kind: c.kind, Dir: filepath.Join(dir, string(c.kind)+"-outside")}
	if world.Binary, err = chainnode.Build(ctx, c.kind, log); err != nil {
		return err
	}
	if c.miner, err = chainnode.StartMiner(ctx, world); err != nil {
		return err
	}
	if c.backend, err = c.miner.Node().Backend(); err != nil {
		return err
	}
	inside := chainnode.Config{Kind: c.kind, Binary: world.Binary, Dir: filepath.Join(dir, string(c.kind)), Reward: c.miner.Reward()}
	if c.inside, err = chainnode.Start(ctx, inside); err != nil {
		return err
	}
	for n, dir := range map[*chainnode.Node]string{c.miner.Node(): world.Dir, c.inside: inside.Dir} {
		c.secret[n] = filepath.Join(dir, "password")
		if err := os.WriteFile(c.secret[n], []byte(n.RPC().Password+"\n"), 0o600); err != nil {
			return fmt.Errorf("credentials: %w", err)
		}
	}
	if err := c.inside.Connect(ctx, c.miner.Node()); err != nil {
		return err
	}
	return c.Same(ctx)
}

// Network is the line of the table that the chain follows.
func (c *Chain) Network() *script.Network { return c.kind.Network() }

// Reward is an address of the world outside.
func (c *Chain) Reward() (string, error) { return c.Network().Address(c.miner.Reward()) }

// World is the node of the world outside.
func (c *Chain) World() *chainnode.Node { return c.miner.Node() }

// Inside is the node that servers ask.
func (c *Chain) Inside() *chainnode.Node { return c.inside }

// Config says how to reach one of the two nodes.
func (c *Chain) Config(n *chainnode.Node) node.ChainConfig {
	r := n.RPC()
	return node.ChainConfig{Kind: "rpc", URL: r.URL, User: r.User, PasswordFile: c.secret[n]}
}

// Same waits until both nodes have the same last block.
func (c *Chain) Same(ctx context.Context) error {
	b, err := c.inside.Backend()
	if err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // it was only read
	for {
		want, err := c.backend.Tip(ctx)
		if err != nil {
			return err
		}
		got, err := b.Tip(ctx)
		if err != nil || got.Hash == want.Hash {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the two nodes of %s do not come together: %w", c.Symbol, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop ends both nodes.
func (c *Chain) Stop() error {
	var err error
	if c.backend != nil {
		err = c.backend.Close()
	}
	if c.inside != nil {
		err = errors.Join(err, c.inside.Stop())
	}
	if c.miner != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		err = errors.Join(err, c.miner.Stop())
	}
	return err
}

// Mine makes blocks.
func (c *Chain) Mine(ctx context.Context, blocks int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.miner.Mine(ctx, blocks)
}

// Miner lets the miner be used for something else, by nobody else meanwhile.
func (c *Chain) Miner(use func(*chainnode.Miner) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return use(c.miner)
}

// Mining makes a block every now and then until the context ends.
func (c *Chain) Mining(ctx context.Context, every time.Duration) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
		_ = c.Mine(ctx, 1) // the next one is tried in a moment
	}
}

// Pay pays an output from outside. It waits for a block then.
func (c *Chain) Pay(ctx context.Context, out []byte, amount asset.Amount) (script.Outpoint, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.miner.Pay(ctx, out, amount)
}

// Tip is the last block of the world's node.
func (c *Chain) Tip(ctx context.Context) (chain.Point, error) {
	b, err := c.backend.Tip(ctx)
	return b.Point, err
}

// Arrived answers how many blocks deep the world's node has a payment that was made
// behind a block; zero if it has not.
func (c *Chain) Arrived(ctx context.Context, at script.Outpoint, out []byte, behind chain.Point) (uint32, error) {
	filter := chain.NewFilter(out)
	step, err := c.backend.Follow(ctx, chain.Locator{behind}, chain.MaxStep)
	if err != nil {
		return 0, err
	}
	for _, b := range step.Blocks {
		found, err := c.backend.Scan(ctx, b.Point, filter)
		if err != nil {
			return 0, err
		}
		if slices.ContainsFunc(found.Payments, func(p chain.Payment) bool { return p.At == at }) {
			return step.Tip.Height - b.Height + 1, nil
		}
	}
	return 0, nil
}
