package replica_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/internal/bulk"
	"souk/replica"
	"souk/store"
	"souk/store/memstore"
)

// check asks a server for the first receipt of every command so far.
func (n *node) check(first map[exchange.CommandID]exchange.Receipt) {
	n.chain.tb.Helper()
	for id, want := range first {
		a, err := n.Fate(id)
		if err != nil || a.Fate != replica.FateCommitted || a.Receipt != want {
			n.chain.tb.Fatalf("server %d at height %d answers %+v, %v for a command with the receipt %+v", n.index, n.Position().Height, a, err, want)
		}
	}
}

// keep notes the first burning receipt of each command, or else the last other one.
func keep(first map[exchange.CommandID]exchange.Receipt, res *exchange.Result) {
	for _, rc := range res.Receipts {
		if old, ok := first[rc.ID]; !ok || !old.Code.Burns() {
			first[rc.ID] = rc
		}
	}
}

// TestPowerLoss takes the power of a server away at any point, again and again:
// after each start the engine's replay brings it to the root of the others, with
// every receipt (S-11, S-13, S-16).
func TestPowerLoss(t *testing.T) {
	for seed := range uint64(bulk.Count(30)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			c := newChain(t, 2, replica.Config{
				Inline:  seed%2 == 0,
				Persist: replica.Persist{Blocks: 1 + rng.IntN(6), Every: time.Duration(1+rng.IntN(3)) * time.Millisecond, LagBlocks: 12, Batch: int(seed%3) * 3000},
				Keep:    replica.Keep{SnapshotEvery: uint64(rng.IntN(8)), ChunkBytes: 2000, Events: -1},
			})
			random := c.random(8, seed)
			first := map[exchange.CommandID]exchange.Receipt{}
			var all []exchange.Command
			for range 40 {
				commands := random.Block(1 + rng.IntN(20))
				all = append(all, commands...)
				for range rng.IntN(4) { // a proposer brings old commands again
					commands = append(commands, all[rng.IntN(len(all))])
				}
				if rng.IntN(4) == 0 {
					c.decide(0, nil) // an empty block
				}
				keep(first, c.commands(rng.IntN(2), 5, commands))
				if rng.IntN(3) > 0 {
					continue
				}
				n := c.nodes[rng.IntN(2)]
				switch rng.IntN(5) {
				case 0:
					n.restart()
				case 1:
					n.tear = rng // next time, between execution and commit
				case 2:
					n.crash(nil)
					n.replay()
				default:
					n.crash(rng)
					n.replay()
				}
				n.check(first)
			}
			for _, n := range c.nodes {
				n.checkLog(1)
			}
		})
	}
}

// TestSynced is S-11: what the replica answers for is there after a loss of power
// that spares nothing but what was synced.
func TestSynced(t *testing.T) {
	c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 2}})
	c.fund("alice", "bob")
	n := c.nodes[0]
	for range 5 {
		c.commands(0, 5, []exchange.Command{c.pay("alice", "bob")})
		n.crash(nil)
		n.replay()
	}
	if n.Info().Height < 2 {
		t.Fatalf("only %d blocks are stored", n.Info().Height)
	}
}

// TestStoreFails: a write that fails is final, and costs nothing but a restart.
func TestStoreFails(t *testing.T) {
	for _, inline := range []bool{false, true} {
		t.Run(fmt.Sprint("inline ", inline), func(t *testing.T) {
			c := newChain(t, 2, replica.Config{Inline: inline, Persist: replica.Persist{Blocks: 2, Every: time.Millisecond, LagBlocks: 4}})
			c.fund("alice", "bob")
			n := c.nodes[1]
			broken := errors.New("input/output error")
			n.store.Intercept(func(memstore.Commit) error { return broken })
			c.nodes = c.nodes[:1]
			var err error
			for range 20 {
				c.commands(0, 5, []exchange.Command{c.pay("alice", "bob")})
				if _, err = n.Finalize(c.blocks[len(c.blocks)-1]); err == nil {
					_, err = n.Commit()
				}
				if err != nil {
					break
				}
			}
			if !errors.Is(err, store.ErrFailed) || !errors.Is(err, broken) {
				t.Fatalf("error %v", err)
			}
			<-n.Done()
			if err := n.Err(); !errors.Is(err, broken) {
				t.Errorf("halted by %v", err)
			}
			if _, err := n.Submit(t.Context(), replica.Request{Data: encode(c.pay("alice", "bob"))}); !errors.Is(err, broken) {
				t.Errorf("submit: %v", err)
			}
			c.nodes = append(c.nodes, n)
			n.crash(rand.New(rand.NewPCG(1, 1)))
			n.replay()
			c.commands(0, 5, []exchange.Command{c.pay("alice", "bob")})
		})
	}
}

// TestLag is S-13: a store that stalls stops the blocks before too many are behind.
func TestLag(t *testing.T) {
	c := newChain(t, 2, replica.Config{Persist: replica.Persist{Blocks: 2, Every: time.Millisecond, LagBlocks: 5}})
	c.fund("alice", "bob")
	n := c.nodes[1]
	stall := make(chan struct{})
	n.store.Intercept(func(memstore.Commit) error {
		<-stall
		return nil
	})
	c.nodes = c.nodes[:1]
	for range 12 {
		c.commands(0, 5, []exchange.Command{c.pay("alice", "bob")})
	}
	c.nodes = append(c.nodes, n)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, b := range c.blocks[n.Position().Height:] {
			n.execute(b)
		}
	}()
	for n.Metrics().LagWaits.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	if behind := n.Metrics().LagBlocks.Load(); behind > 6 {
		t.Errorf("%d blocks are behind", behind)
	}
	close(stall)
	<-done
	n.store.Intercept(nil)
}

// TestOpenRefuses: a store with something else in it is not touched.
func TestOpenRefuses(t *testing.T) {
	c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1}})
	c.fund("alice", "bob")
	n := c.nodes[0]
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	other := exchangetest.Founding(2)
	if _, err := replica.Open(replica.Config{Founding: other, Store: n.store}); !errors.Is(err, replica.ErrOtherServer) {
		t.Errorf("with another contract: %v", err)
	}
	set := func(key, value []byte) {
		b := n.store.NewBatch()
		b.Set(key, value)
		if err := b.Commit(true); err != nil {
			t.Fatal(err)
		}
	}
	var key, value []byte
	if err := n.store.Scan([]byte{3, 3}, nil, func(k, v []byte) bool { // an account
		key, value = append(key, k...), append(value, v...)
		return false
	}); err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(){
		"a leaf with another value": func() {
			other := append([]byte(nil), value...)
			other[len(other)-1]++
			set(key, other)
		},
		"a leaf that is gone": func() {
			b := n.store.NewBatch()
			b.Delete(key)
			if err := b.Commit(true); err != nil {
				t.Fatal(err)
			}
		},
		"a leaf too many":    func() { set([]byte{3, 3, 9}, value) },
		"a malformed record": func() { set([]byte{1}, []byte{1, 2}) },
	} {
		before, err := n.store.Get([]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		damage()
		if err := n.tryOpen(); !errors.Is(err, replica.ErrStore) {
			t.Errorf("%s: %v", name, err)
		}
		set([]byte{1}, before)
		set(key, value)
		b := n.store.NewBatch()
		b.Delete([]byte{3, 3, 9})
		if err := b.Commit(true); err != nil {
			t.Fatal(err)
		}
	}
	n.open()
}

// TestFoundAgain: an engine that has no block yet founds at every start.
func TestFoundAgain(t *testing.T) {
	c := newChain(t, 1, replica.Config{})
	n := c.nodes[0]
	for range 2 {
		n.crash(rand.New(rand.NewPCG(1, 1)))
		out, err := n.Found(consensus.Founding{Contract: c.founding.Append(nil)})
		if err != nil || out.Root != c.world.State.Root() || len(out.Validators) != 1 {
			t.Fatalf("%+v, %v", out, err)
		}
	}
	if _, err := n.Found(consensus.Founding{Contract: exchangetest.Founding(2).Append(nil)}); !errors.Is(err, replica.ErrOtherServer) {
		t.Errorf("with another contract: %v", err)
	}
	c.fund("alice")
	if _, err := n.Found(consensus.Founding{Contract: c.founding.Append(nil)}); err == nil {
		t.Error("founded above height 0")
	}
}

// TestForget is S-14 and S-15: receipts, results and histories go when their time has passed.
func TestForget(t *testing.T) {
	c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1}, Keep: replica.Keep{Results: 1, Days: 1}})
	c.fund("alice", "bob")
	n := c.nodes[0]
	old := c.pay("alice", "bob")
	c.commands(0, 1, []exchange.Command{old})
	at := c.result.Height
	for _, step := range []struct {
		after uint64 // ms since the command
		kept  bool
	}{{60_000, true}, {500_000, true}, {660_000, true}, {900_000, false}} {
		c.world.Time = c.world.State.Time() + step.after - (c.world.State.Time() - c.resultTime(at))
		for range 2 {
			c.commands(0, 1, []exchange.Command{c.pay("alice", "bob")})
		}
		a, err := n.Fate(old.ID)
		if err != nil || (a.Fate == replica.FateCommitted) != step.kept {
			t.Errorf("after %d ms: %+v, %v", step.after, a, err)
		}
		if _, err := n.ProveResult(at, 0); (err == nil) != step.kept || err != nil && !errors.Is(err, replica.ErrPruned) {
			t.Errorf("after %d ms: %v", step.after, err)
		}
		if a, err := n.FateOf(&old); err != nil || !step.kept && a.Fate != replica.FateElsewhere {
			t.Errorf("after %d ms: %+v, %v", step.after, a, err)
		}
	}
}
