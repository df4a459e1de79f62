package memchain_test

import (
	"errors"
	"slices"
	"testing"

	"souk/asset"
	"souk/chain"
	"souk/chain/chaintest"
	"souk/chain/memchain"
	"souk/script"
)

func payment(m *miner, amount asset.Amount) chain.Payment {
	out := m.Script()
	return chain.Payment{At: m.chain.Pay(out, amount), Script: out, Amount: amount}
}

func id(t *testing.T, m *miner, raw []byte) script.Hash {
	t.Helper()
	before := m.chain.Pool()
	if err := m.chain.Broadcast(raw); err != nil {
		t.Fatal(err)
	}
	for _, h := range m.chain.Pool() {
		if !slices.Contains(before, h) {
			return h
		}
	}
	t.Fatal("transaction does not wait")
	return script.Hash{}
}

// The same calls give the same chain.
func TestDeterministic(t *testing.T) {
	var tips []chain.Block
	for range 2 {
		m := newMiner(t, "bitcoin-regtest")
		p := payment(m, 1_000_000)
		m.chain.Mine(3)
		id(t, m, m.Spend(t, []chain.Payment{p}, script.Output{Script: m.Script(), Amount: 900_000}))
		m.Reorganise(t, 2, 5)
		tips = append(tips, m.chain.Tip())
	}
	if tips[0] != tips[1] {
		t.Errorf("%v and %v", tips[0], tips[1])
	}
}

// T-70: a reorganisation moves a peg-out to another outpoint.
func TestPegOut(t *testing.T) {
	m := newMiner(t, "litecoin-regtest")
	out := m.Script()
	b, book, filter := m.chain.Node(), chaintest.NewBook(), chain.NewFilter(out)
	m.chain.PegOut(out, 5_000_000)
	m.chain.Mine(2)
	at, err := chain.Walk(t.Context(), b, nil, filter, book)
	if err != nil {
		t.Fatal(err)
	}
	before := book.Coins()
	if len(before) != 1 || !before[0].PegOut || before[0].Amount != 5_000_000 {
		t.Fatalf("coins are %+v", before)
	}
	early := m.Spend(t, before, script.Output{Script: m.Script(), Amount: 4_900_000})
	if err := b.Broadcast(t.Context(), early); !errors.Is(err, chain.ErrImmature) {
		t.Errorf("spent at once: %v", err)
	}
	m.Reorganise(t, 2, 3)
	if at, err = chain.Walk(t.Context(), b, at, filter, book); err != nil {
		t.Fatal(err)
	}
	after := book.Coins()
	if len(after) != 1 || !after[0].PegOut || after[0].Amount != 5_000_000 || after[0].At == before[0].At {
		t.Fatalf("coins were %+v and are %+v", before, after)
	}
	m.chain.Mine(4)
	if err := b.Broadcast(t.Context(), early); !errors.Is(err, chain.ErrMissingInputs) {
		t.Errorf("spent at the old outpoint: %v", err)
	}
	if err := b.Broadcast(t.Context(), m.Spend(t, after, script.Output{Script: m.Script(), Amount: 4_900_000})); err != nil {
		t.Errorf("spent when mature: %v", err)
	}
	m.chain.Mine(1)
	if _, err := chain.Walk(t.Context(), b, at, filter, book); err != nil || len(book.Coins()) != 0 {
		t.Errorf("coins in the end are %+v, %v", book.Coins(), err)
	}
}

// Rewards wait for a hundred blocks.
func TestReward(t *testing.T) {
	m := newMiner(t, "bitcoin-regtest")
	b := m.chain.Node()
	found, err := b.Scan(t.Context(), m.chain.Tip().Point, chain.NewFilter(m.Reward()))
	if err != nil || len(found.Payments) != 1 {
		t.Fatal(found, err)
	}
	raw := m.Spend(t, found.Payments, script.Output{Script: m.Script(), Amount: 1_000_000})
	m.chain.Mine(98)
	if err := b.Broadcast(t.Context(), raw); !errors.Is(err, chain.ErrImmature) {
		t.Errorf("after 98 blocks: %v", err)
	}
	m.chain.Mine(1)
	if err := b.Broadcast(t.Context(), raw); err != nil {
		t.Errorf("after 99 blocks: %v", err)
	}
}

// When miners want more, a transaction waits until a child pays for it.
func TestFeeSpike(t *testing.T) {
	m := newMiner(t, "litecoin-regtest")
	p := payment(m, 10_000_000)
	m.chain.Mine(1)
	m.chain.SetRate(2_000)
	b := m.chain.Node()
	if rate, err := b.FeeRate(t.Context(), 1); err != nil || rate != 2_000 {
		t.Errorf("rate is %d, %v", rate, err)
	}
	m.chain.SetRate(100_000)
	m.chain.SetFloor(100_000)
	out := m.Script()
	parent := m.Spend(t, []chain.Payment{p}, script.Output{Script: out, Amount: p.Amount - 300})
	first := id(t, m, parent)
	m.chain.Mine(3)
	if !m.Waiting(t, first) {
		t.Fatal("taken for too little")
	}
	change := chain.Payment{At: script.Outpoint{Tx: first}, Script: out, Amount: p.Amount - 300}
	child := id(t, m, m.Spend(t, []chain.Payment{change}, script.Output{Script: m.Script(), Amount: change.Amount - 30_000}))
	m.chain.Mine(1)
	if m.Waiting(t, first) || m.Waiting(t, child) {
		t.Error("child does not pay for its parent")
	}
}

// What is evicted takes its children along, and may come again.
func TestEvict(t *testing.T) {
	m := newMiner(t, "bitcoin-regtest")
	p := payment(m, 10_000_000)
	m.chain.Mine(1)
	out := m.Script()
	raw := m.Spend(t, []chain.Payment{p}, script.Output{Script: out, Amount: p.Amount - 1000})
	first := id(t, m, raw)
	change := chain.Payment{At: script.Outpoint{Tx: first}, Script: out, Amount: p.Amount - 1000}
	child := m.Spend(t, []chain.Payment{change}, script.Output{Script: m.Script(), Amount: change.Amount - 1000})
	id(t, m, child)
	if !m.chain.Evict(first) || len(m.chain.Pool()) != 0 || m.chain.Evict(first) {
		t.Error("not evicted with its child, once")
	}
	if err := m.chain.Broadcast(child); !errors.Is(err, chain.ErrMissingInputs) {
		t.Errorf("child without its parent: %v", err)
	}
	if id(t, m, raw) != first {
		t.Error("came again as another")
	}
	m.chain.MineEmpty(2)
	if !m.Waiting(t, first) {
		t.Error("an empty block took it")
	}
	if m.chain.Mine(1); m.chain.Balance(out) != p.Amount-1000 {
		t.Errorf("balance is %d", m.chain.Balance(out))
	}
}

// A node lies as it is told to, and about nothing else.
func TestFaults(t *testing.T) {
	m := newMiner(t, "bitcoin-regtest")
	p := payment(m, 10_000_000)
	at := m.chain.Mine(1)[0]
	tip := m.chain.Mine(5)[4]
	n := m.chain.Node()
	ctx := t.Context()
	filter := chain.NewFilter(p.Script)

	n.SetFaults(memchain.Faults{Down: chain.ErrWarmup})
	if _, err := n.Tip(ctx); !errors.Is(err, chain.ErrUnavailable) {
		t.Errorf("down: %v", err)
	}
	n.SetFaults(memchain.Faults{Behind: 4})
	if b, err := n.Tip(ctx); err != nil || b.Height != tip.Height-4 {
		t.Errorf("behind: %v, %v", b, err)
	}
	n.SetFaults(memchain.Faults{Hide: []script.Hash{p.At.Tx}})
	if found, err := n.Scan(ctx, at.Point, filter); err != nil || len(found.Payments) != 0 {
		t.Errorf("hidden: %v, %v", found, err)
	}
	forged := chain.Transaction{ID: script.Hash{1}, Inputs: []script.Outpoint{p.At}, Outputs: []script.Output{{Script: p.Script, Amount: 7}}}
	n.SetFaults(memchain.Faults{Forge: []memchain.Forgery{{Height: at.Height, Transaction: forged}}, Rate: 77_777})
	if found, err := n.Scan(ctx, at.Point, filter); err != nil || len(found.Payments) != 2 || len(found.Spends) != 1 {
		t.Errorf("forged: %v, %v", found, err)
	}
	if rate, err := n.FeeRate(ctx, 1); err != nil || rate != 77_777 {
		t.Errorf("rate: %d, %v", rate, err)
	}
	n.SetFaults(memchain.Faults{Invent: 3})
	step, err := n.Follow(ctx, nil, 1000)
	if err != nil || len(step.Blocks) != int(tip.Height) {
		t.Fatalf("invented: %v, %v", step, err)
	}
	for i, b := range step.Blocks[1:] {
		if b.Parent != step.Blocks[i].Hash {
			t.Errorf("invented: %v has parent %v", b.Point, b.Parent)
		}
	}
	if b := step.Blocks[len(step.Blocks)-4]; b.Height != tip.Height-3 || b.Hash == tip.Hash {
		t.Errorf("invented: %v", b)
	}
	if _, err := n.Scan(ctx, tip.Point, filter); !errors.Is(err, chain.ErrUnknownBlock) {
		t.Errorf("invented: scan of the true tip: %v", err)
	}
	raw := m.Spend(t, []chain.Payment{p}, script.Output{Script: m.Script(), Amount: p.Amount - 1000})
	n.SetFaults(memchain.Faults{Swallow: true})
	if err := n.Broadcast(ctx, raw); err != nil || len(m.chain.Pool()) != 0 {
		t.Errorf("swallowed: %v", err)
	}
	n.SetFaults(memchain.Faults{Blind: true})
	if err := n.Broadcast(ctx, raw); err != nil {
		t.Fatal(err)
	}
	coin := chain.Coin{At: p.At, Script: p.Script, Height: at.Height}
	if fate, err := n.Coin(ctx, coin); err != nil || fate.State != chain.Unspent {
		t.Errorf("blind: %v, %v", fate, err)
	}
	n.SetFaults(memchain.Faults{})
	if fate, err := n.Coin(ctx, coin); err != nil || fate.State != chain.Pending {
		t.Errorf("honest again: %v, %v", fate, err)
	}
}
