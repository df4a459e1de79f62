package chain_test

import (
	"context"
	"slices"
	"testing"

	"souk/chain"
	"souk/chain/memchain"
	"souk/internal/chainnode"
	"souk/script"
)

// T-12: blocks that are replaced once they were told of are taken back first.
func TestWalkRewinds(t *testing.T) {
	n, _ := script.ByName("bitcoin-regtest")
	c := memchain.New(n, false)
	c.Mine(10)
	v := &stopper{left: 1000}
	at, err := chain.Walk(t.Context(), c.Node(), nil, chain.NewFilter(), v)
	if err != nil {
		t.Fatal(err)
	}
	for depth := 1; depth < 6; depth++ {
		if err := c.Reorganise(depth, depth+1); err != nil {
			t.Fatal(err)
		}
		if at, err = chain.Walk(t.Context(), c.Node(), at, chain.NewFilter(), v); err != nil {
			t.Fatal(err)
		}
		want := []uint32{}
		for h := uint32(1); h <= c.Tip().Height; h++ {
			want = append(want, h)
		}
		if !slices.Equal(v.seen, want) {
			t.Errorf("after %d blocks were replaced: told of %v", depth, v.seen)
		}
	}
}

// moving is a node whose chain changes before it is asked for what is new.
type moving struct {
	*memchain.Node
	changes []func()
}

func (m *moving) Follow(ctx context.Context, from chain.Locator, limit int) (chain.Step, error) {
	if len(m.changes) > 0 {
		m.changes[0]()
		m.changes = m.changes[1:]
	}
	return m.Node.Follow(ctx, from, limit)
}

// T-14, T-30: of a coin the best chain counts, also if it changes while it is read: a spend that
// is undone is none, and a payment that is undone was never there.
func TestTraceOfMovingChain(t *testing.T) {
	n, _ := script.ByName("bitcoin-regtest")
	nothing := func() {}
	for what, c := range map[string]struct {
		depth int // of the blocks that are replaced: 1 holds the spend, 2 the payment
		want  chain.State
	}{"nothing changes": {0, chain.Spent}, "the spend is undone": {1, chain.Unspent}, "both are undone": {2, chain.Missing}} {
		m, wallet := memchain.New(n, false), chainnode.NewWallet("trace")
		m.Mine(3)
		out := wallet.Script()
		p := chain.Payment{At: m.Pay(out, 1e6), Script: out, Amount: 1e6}
		m.Mine(1)
		height := m.Tip().Height
		raw, err := wallet.Sign([]chain.Payment{p}, []script.Output{{Script: wallet.Script(), Amount: 9e5}})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Broadcast(raw); err != nil {
			t.Fatal(err)
		}
		spend := m.Pool()[0]
		m.Mine(1)
		undo := func() {
			if c.depth == 0 {
				return
			}
			m.Disconnect(c.depth)
			for _, id := range slices.Clone(m.Pool()) {
				m.Evict(id)
			}
			if slices.Contains(m.Pool(), spend) {
				t.Error("the spend still waits")
			}
			m.MineEmpty(c.depth + 1)
		}
		node := &moving{m.Node(), []func(){nothing, undo}}
		at := func(ctx context.Context, height uint32) (chain.Point, error) {
			step, err := node.Node.Follow(ctx, nil, int(height))
			return step.Blocks[height-1].Point, err
		}
		fate, err := chain.Trace(t.Context(), node, at, chain.Coin{At: p.At, Script: out, Height: height})
		if err != nil || fate.State != c.want || len(node.changes) > 0 {
			t.Errorf("%s: %+v, %v", what, fate, err)
		}
	}
}
