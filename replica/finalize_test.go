package replica_test

import (
	"errors"
	"testing"

	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/roster"
	"souk/replica"
)

// TestReplicasAgree executes random commands on four servers and on a model.
func TestReplicasAgree(t *testing.T) {
	c := newChain(t, 4, replica.Config{})
	random := c.random(20, 1)
	for i := range 30 {
		c.commands(i%4, 40, random.Block(100))
	}
	for _, n := range c.nodes {
		if got := n.Position(); got.Height != uint64(len(c.blocks)) || got.Root != c.world.State.Root() || got.Time != c.world.Time {
			t.Errorf("server %d is at %+v", n.index, got)
		}
	}
}

// TestReplay executes decided blocks on a server that has seen none of their
// payloads, with and without an audit (S-7).
func TestReplay(t *testing.T) {
	c := newChain(t, 1, replica.Config{})
	c.fund("alice", "bob")
	for range 3 {
		c.submit(c.batchOf(5))
		c.submit(c.batchOf(5))
		c.block(0, 10)
	}
	c.config.Audit = true
	for _, forged := range []bool{false, true} {
		n := c.joiner()
		if _, err := n.Found(consensus.Founding{Contract: c.founding.Append(nil)}); err != nil {
			t.Fatal(err)
		}
		if !forged {
			n.replay()
			if got := n.Metrics().Verified.Load(); got != 6+30 {
				t.Errorf("%d signatures were verified", got)
			}
			continue
		}
		b := c.blocks[0]
		p := append([]byte(nil), b.Payloads[1]...)
		p[len(p)-1]++
		b.Payloads = [][]byte{b.Payloads[0], p}
		if _, err := n.Finalize(b); err == nil {
			t.Error("the audit finds nothing")
		}
		<-n.Done()
	}
}

// TestProtocol is S-8: a server that lacks a protocol version stops before the
// height at which it comes into force.
func TestProtocol(t *testing.T) {
	c := newChain(t, 1, replica.Config{})
	c.fund("alice", "bob")
	operator := exchangetest.MemberName(0)
	for v := uint32(2); v <= exchange.ProtocolMax+1; v++ {
		at := uint64(len(c.blocks)) + 3
		action := roster.AppendAction(nil, roster.SetProtocol{Version: v, Height: at}, 0)
		vote := c.world.Command(operator, &exchange.Vote{Approve: true, Action: action})
		if rc := c.commands(0, 1, []exchange.Command{vote}).Receipts[0]; rc.Code != exchange.OK {
			t.Skipf("a vote for version %d: %s", v, rc.Code)
		}
		for uint64(len(c.blocks)) < at-1 {
			c.decide(0, nil)
		}
		if v <= exchange.ProtocolMax {
			c.decide(0, nil)
		}
	}
	n := c.nodes[0]
	height := uint64(len(c.blocks)) + 1
	if _, err := n.Finalize(consensus.Block{Height: height}); !errors.Is(err, consensus.ErrHalted) {
		t.Fatalf("block %d: %v", height, err)
	}
	if err := n.Err(); !errors.Is(err, consensus.ErrHalted) {
		t.Errorf("halted by %v", err)
	}
	if err := n.View(func(*exchange.State) {}); err != nil {
		t.Errorf("the state cannot be read: %v", err)
	}
	if err := n.Close(); !errors.Is(err, consensus.ErrHalted) {
		t.Errorf("close: %v", err)
	}
	n.open()
	n.replay()
}

// TestBrokenInvariant is S-9: it halts this replica and not the process, and what
// is stored stays good.
func TestBrokenInvariant(t *testing.T) {
	c := newChain(t, 1, replica.Config{})
	c.fund("alice", "bob")
	n := c.nodes[0]
	c.submit(c.batchOf(1))
	c.block(0, 10)
	back := consensus.Block{Height: 3, Payloads: [][]byte{replica.AppendClock(nil, 1), c.batchOf(1)}}
	if _, err := n.Finalize(back); !errors.Is(err, consensus.ErrHalted) {
		t.Fatalf("time goes back: %v", err)
	}
	if err := n.View(func(*exchange.State) {}); !errors.Is(err, consensus.ErrHalted) {
		t.Errorf("the spoilt state can be read: %v", err)
	}
	if _, err := n.ProveLeaf(exchange.ClockKey()); !errors.Is(err, consensus.ErrHalted) {
		t.Errorf("the spoilt state can be proven: %v", err)
	}
	if _, err := n.Commit(); !errors.Is(err, consensus.ErrHalted) {
		t.Errorf("commit: %v", err)
	}
	_ = n.Close() // says why it halted
	n.open()
	n.replay()
	c.submit(c.batchOf(1))
	c.block(0, 10)
}

// TestWrongCalls: an engine that calls in the wrong order is told so.
func TestWrongCalls(t *testing.T) {
	c := newChain(t, 1, replica.Config{})
	c.fund("alice", "bob")
	for name, call := range map[string]func(*node) error{
		"commit without a block": func(n *node) error {
			_, err := n.Commit()
			return err
		},
		"a height too far": func(n *node) error {
			_, err := n.Finalize(consensus.Block{Height: 9})
			return err
		},
		"two blocks at once": func(n *node) error {
			if _, err := n.Finalize(c.blocks[0]); err != nil {
				return nil
			}
			_, err := n.Finalize(c.blocks[0])
			return err
		},
		"a block of rubbish": func(n *node) error {
			_, err := n.Finalize(consensus.Block{Height: 1, Payloads: [][]byte{{1, 2}}})
			return err
		},
	} {
		n := c.joiner()
		if _, err := n.Found(consensus.Founding{Contract: c.founding.Append(nil)}); err != nil {
			t.Fatal(err)
		}
		if err := call(n); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	n := c.joiner()
	if _, err := n.Submit(t.Context(), replica.Request{Data: encode(c.pay("alice", "bob"))}); !errors.Is(err, replica.ErrNotFounded) {
		t.Errorf("submit before founding: %v", err)
	}
	if _, err := n.Finalize(c.blocks[0]); !errors.Is(err, replica.ErrNotFounded) {
		t.Errorf("finalize before founding: %v", err)
	}
	if err := c.joiner().Verify(t.Context(), c.now(), consensus.Proposal{Payloads: c.blocks[0].Payloads}); !errors.Is(err, replica.ErrNotFounded) {
		t.Errorf("verify before founding: %v", err)
	}
}
