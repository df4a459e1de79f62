package replica_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/replica"
)

// batchOf is the payload of some payments.
func (c *chain) batchOf(n int) []byte {
	c.seq++
	b := replica.Batch{Member: 1, Seq: c.seq}
	for range n {
		b.Commands = append(b.Commands, c.pay("alice", "bob"))
	}
	return replica.AppendBatch(nil, &b)
}

// TestVerify is S-5: which blocks a server votes for.
func TestVerify(t *testing.T) {
	c := newChain(t, 1, replica.Config{Patience: -1})
	c.fund("alice", "bob")
	n := c.nodes[0]
	now := c.world.Time
	clock := func(ms uint64) []byte { return replica.AppendClock(nil, ms) }
	good := c.batchOf(3)
	forged := c.batchOf(3)
	forged[len(forged)-1]++
	var large [][]byte
	for i := range 5 {
		b := replica.Batch{Seq: uint64(i)}
		for range 240 {
			cmd := c.world.Command("alice", &exchange.Issue{Symbol: "A", Contract: strings.Repeat("x", exchange.MaxContract)})
			cmd.Body = append(cmd.Body, make([]byte, exchange.MaxBody-len(cmd.Body))...)
			if err := cmd.Sign(c.world.State.ID(), exchangetest.Key("alice")); err != nil {
				t.Fatal(err)
			}
			b.Commands = append(b.Commands, cmd)
		}
		large = append(large, replica.AppendBatch(nil, &b))
	}
	var many [][]byte
	for range exchange.MaxBlockCommands/replica.MaxBatch + 1 {
		many = append(many, c.batchOf(replica.MaxBatch))
	}
	for _, test := range []struct {
		name     string
		ok       bool
		payloads [][]byte
	}{
		{"empty", true, nil},
		{"clock and batch", true, [][]byte{clock(now + 1), good}},
		{"the same batch twice", true, [][]byte{clock(now + 1), good, good}},
		{"clock a second ahead", true, [][]byte{clock(now + 1000), good}},
		{"clock too far ahead", false, [][]byte{clock(now + 1001), good}},
		{"clock at the end of time", false, [][]byte{clock(^uint64(0)), good}},
		{"clock not after the last", false, [][]byte{clock(now), good}},
		{"clock long ago", false, [][]byte{clock(0), good}},
		{"no clock", false, [][]byte{good}},
		{"clock at the end", false, [][]byte{good, clock(now + 1)}},
		{"two clocks", false, [][]byte{clock(now + 1), clock(now + 2), good}},
		{"a clock alone", false, [][]byte{clock(now + 1)}},
		{"forged", false, [][]byte{clock(now + 1), good, forged}},
		{"rubbish", false, [][]byte{clock(now + 1), {2, 3, 4}}},
		{"too many bytes", false, append([][]byte{clock(now + 1)}, large...)},
		{"as many bytes as possible", true, append([][]byte{clock(now + 1)}, large[:4]...)},
		{"too many commands", false, append([][]byte{clock(now + 1)}, many...)},
	} {
		for range 2 { // the verdicts are remembered
			err := n.Verify(context.Background(), c.now(), consensus.Proposal{Height: 2, Payloads: test.payloads})
			if (err == nil) != test.ok || err != nil && !errors.Is(err, replica.ErrPayload) {
				t.Errorf("%s: %v", test.name, err)
			}
		}
	}
	if got := n.Propose(c.now(), 2, many); len(got) != 1+exchange.MaxBlockCommands/replica.MaxBatch {
		t.Errorf("%d payloads proposed of %d", len(got), len(many))
	}
	if got := n.Propose(c.now(), 2, large); len(got) != 1+4 {
		t.Errorf("%d payloads proposed of %d", len(got), len(large))
	}
	if got := n.Propose(c.now(), 2, [][]byte{forged, good}); len(got) != 2 || string(got[1]) != string(good) {
		t.Errorf("%d payloads proposed", len(got))
	}
	if got := n.Propose(c.now(), 2, nil); got != nil {
		t.Errorf("%d payloads proposed out of none", len(got))
	}
	if got, _ := replica.ParseClock(n.Propose(c.now().Add(-time.Hour), 2, [][]byte{good})[0]); got != now+1 {
		t.Errorf("a server whose clock is late proposes %d after %d", got, now)
	}
	c.submit(good)
	c.block(0, 10)
	if got := n.Propose(c.now(), 3, [][]byte{good}); got != nil {
		t.Error("a committed batch is proposed again")
	}
	if err := n.Verify(context.Background(), c.now(), consensus.Proposal{Height: 3, Payloads: [][]byte{clock(c.world.Time + 1), good}}); err != nil {
		t.Errorf("a committed batch again: %v", err)
	}
}

// TestPatience is S-6: a block whose clock is a little ahead is waited for.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, 1, replica.Config{Patience: 300 * time.Millisecond})
		c.fund("alice", "bob")
		n := c.nodes[0]
		good := c.batchOf(1)
		for _, test := range []struct {
			ahead uint64
			wait  time.Duration
			ok    bool
		}{{1000, 0, true}, {1001, time.Millisecond, true}, {1300, 300 * time.Millisecond, true}, {1301, 0, false}} {
			start := time.Now()
			err := n.Verify(context.Background(), c.now(), consensus.Proposal{Height: 2, Payloads: [][]byte{replica.AppendClock(nil, c.world.Time+test.ahead), good}})
			if (err == nil) != test.ok || time.Since(start) != test.wait {
				t.Errorf("%d ms ahead: %v after %s", test.ahead, err, time.Since(start))
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		err := n.Verify(ctx, c.now(), consensus.Proposal{Height: 2, Payloads: [][]byte{replica.AppendClock(nil, c.world.Time+1200), good}})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("given up: %v", err)
		}
	})
}

// TestDue is S-5: a block is proposed when something falls due.
func TestDue(t *testing.T) {
	c := newChain(t, 1, replica.Config{})
	c.fund("alice", "bob")
	n := c.nodes[0]
	if _, ok := n.NextDue(); ok {
		t.Error("something is due")
	}
	expiry := c.world.Time + 5000
	order := c.world.Command("alice", &exchange.Place{
		Market: exchangetest.BTCEUR, Side: market.Buy, Order: market.LimitOrder, TIF: market.GTD, Price: 40_000e8, Quantity: 1e8, Expiry: expiry,
	})
	if rc := c.commands(0, 1, []exchange.Command{order}).Receipts[0]; rc.Code != exchange.OK {
		t.Fatal(rc.Code)
	}
	due, ok := n.NextDue()
	if !ok || due.UnixMilli() != int64(expiry) {
		t.Errorf("due %v, %v", due, ok)
	}
	if c.block(0, 100) {
		t.Error("a block although nothing was due")
	}
	early := [][]byte{replica.AppendClock(nil, c.world.Time+1)}
	if err := n.Verify(t.Context(), c.now(), consensus.Proposal{Payloads: early}); !errors.Is(err, replica.ErrPayload) {
		t.Errorf("a clock alone too early: %v", err)
	}
	if !c.block(0, 5000) {
		t.Fatal("no block although an order has expired")
	}
	if _, ok := n.NextDue(); ok || !c.result.Active || len(c.result.Events) == 0 {
		t.Errorf("due %v, %+v", ok, c.result)
	}
}

// TestCheckOnce: the signatures of a payload are verified once.
func TestCheckOnce(t *testing.T) {
	pool := replica.NewPool(2, 0)
	t.Cleanup(pool.Close)
	c := newChain(t, 1, replica.Config{Pool: pool})
	c.fund("alice", "bob")
	n := c.nodes[0]
	before := n.Metrics().Verified.Load()
	p := c.batchOf(700)
	errs := make(chan error)
	for range 5 {
		go func() { errs <- n.Check(context.Background(), append([]byte(nil), p...)) }()
	}
	for range 5 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	c.submit(p)
	c.block(0, 10)
	if got := n.Metrics().Verified.Load() - before; got != 700 {
		t.Errorf("%d signatures were verified", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := n.Check(ctx, c.batchOf(600)); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	bad := c.batchOf(1000)
	bad[len(bad)-1]++
	for range 2 {
		if err := n.Check(context.Background(), bad); !errors.Is(err, replica.ErrPayload) {
			t.Errorf("bad signature: %v", err)
		}
	}
}

// TestJunkWaits is S-50: who fills the pool with commands that no state has use for
// takes the room that is left, and no more.
func TestJunkWaits(t *testing.T) {
	c := newChain(t, 1, replica.Config{})
	c.fund("alice", "bob")
	n := c.nodes[0]
	vs := c.world.State.ID()
	const each = 240 // so that four batches fill a block by their bytes
	batch := func(make func(i int) exchange.Command) []byte {
		c.seq++
		b := replica.Batch{Seq: c.seq}
		for i := range each {
			cmd := make(i)
			cmd.Body = append(cmd.Body, bytes.Repeat([]byte{0}, exchange.MaxBody-len(cmd.Body))...)
			if err := cmd.Sign(vs, exchangetest.Key("mallory")); err != nil {
				t.Fatal(err)
			}
			b.Commands = append(b.Commands, cmd)
		}
		return replica.AppendBatch(nil, &b)
	}
	mallory := func(int) exchange.Command { return c.pay("mallory", "bob") }
	var junk [][]byte
	for i := range 6 {
		switch i {
		case 0: // in the name of somebody else
			junk = append(junk, batch(func(int) exchange.Command { return c.pay("alice", "bob") }))
		case 1: // expired
			junk = append(junk, batch(func(i int) exchange.Command {
				cmd := mallory(i)
				cmd.Expiry = c.world.Time
				return cmd
			}))
		default: // of an account that is unknown
			junk = append(junk, batch(mallory))
		}
	}
	good := [][]byte{c.batchOf(1), c.batchOf(1000)}
	height := uint64(len(c.blocks) + 1)
	propose := func(waiting ...[]byte) [][]byte {
		t.Helper()
		block := n.Propose(c.now(), height, waiting)
		if len(block) == 0 {
			t.Fatal("no block")
		}
		if err := n.Verify(context.Background(), c.now(), consensus.Proposal{Height: height, Payloads: block}); err != nil {
			t.Fatal(err)
		}
		return block[1:]
	}
	same := func(got, want [][]byte) {
		t.Helper()
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%d payloads are proposed, not %d, or others", len(got), len(want))
		}
	}
	same(propose(append(slices.Clone(junk), good...)...), append(slices.Clone(good), junk[:3]...))
	same(propose(junk[0], good[0], junk[1], good[1]), [][]byte{junk[0], good[0], junk[1], good[1]}) // all fit
	same(propose(junk...), junk[:4])
}
