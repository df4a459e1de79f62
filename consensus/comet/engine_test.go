package comet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sm "github.com/cometbft/cometbft/state"

	"souk/consensus"
	"souk/consensus/comet"
	"souk/consensus/consensustest"
	"souk/identity"
)

// C-30, C-31: two servers that run with one consensus key are found out, and every
// replica is told the same of it, once.
func TestDoubleSigner(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 5)
	c.voters = 4
	c.servers[4].key = c.servers[3].key // a second server with dave's key
	n := consensustest.NewNet(t, c, 5)
	twin := c.servers[3].key.Public().String()
	sent := 0
	for deadline := time.Now().Add(time.Minute); len(n.Nodes[0].App.Faulty()) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("nobody noticed")
		}
		n.Submit(sent%3, fmt.Sprintf("payload %d", sent))
		sent++
		n.Wait("payload", func() bool { return len(n.Nodes[0].App.Log()) >= sent })
	}
	n.Stop(4)
	for range 20 {
		n.Submit(sent%3, fmt.Sprintf("payload %d", sent))
		sent++
		n.Wait("payload", func() bool { return len(n.Nodes[0].App.Log()) >= sent })
	}
	n.WaitLog(sent)
	for i, node := range n.Running() {
		if got := node.App.Faulty(); !slices.Equal(got, []string{twin}) {
			t.Errorf("server %d was told of %v", i, got)
		}
	}
}

// C-31: what does not prove anything is refused.
func TestDoubleEntries(t *testing.T) {
	c := newCluster(t, 1)
	n := consensustest.NewNet(t, c, 1)
	e := n.Nodes[0].Engine.(*comet.Engine)
	id := comet.ChainID(c.genesis.ID)
	signed := func(k identity.PrivateKey, chain string, height int64, round int32, block byte) *typesVote {
		return signedVote(t, k, chain, height, round, block)
	}
	member, other := c.servers[0].key, testKey("mallory")
	entry := func(k identity.PrivateKey, a, b *typesVote) [][]byte {
		return [][]byte{comet.DoubleEntry(k.Public(), a, b)}
	}
	good := entry(member, signed(member, id, 1, 0, 1), signed(member, id, 1, 0, 2))
	for _, c := range []struct {
		name string
		txs  [][]byte
		ok   bool
	}{
		{"two blocks", good, true},
		{"a block and nil", entry(member, signed(member, id, 1, 0, 1), signed(member, id, 1, 0, 0)), true},
		{"the same twice", [][]byte{good[0], good[0]}, false},
		{"one block", entry(member, signed(member, id, 1, 0, 1), signed(member, id, 1, 0, 1)), false},
		{"two rounds", entry(member, signed(member, id, 1, 0, 1), signed(member, id, 1, 1, 2)), false},
		{"two heights", entry(member, signed(member, id, 1, 0, 1), signed(member, id, 2, 0, 2)), false},
		{"a height to come", entry(member, signed(member, id, 99, 0, 1), signed(member, id, 99, 0, 2)), false},
		{"another chain", entry(member, signed(member, "x", 1, 0, 1), signed(member, "x", 1, 0, 2)), false},
		{"not a validator", entry(other, signed(other, id, 1, 0, 1), signed(other, id, 1, 0, 2)), false},
		{"signed by another", entry(member, signed(other, id, 1, 0, 1), signed(other, id, 1, 0, 2)), false},
		{"cut short", [][]byte{good[0][:80]}, false},
		{"with something behind", [][]byte{append(slices.Clone(good[0]), 0x28, 1)}, false},
	} {
		if err := e.VerifyProposal(0, c.txs); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A fork that a light client has found accuses those who signed both sides.
func TestReport(t *testing.T) {
	c := newCluster(t, 4)
	n := consensustest.NewNet(t, c, 4)
	n.Submit(0, "something")
	n.WaitLog(1)
	e := n.Nodes[0].Engine.(*comet.Engine)
	raw, err := e.LightBlock(1)
	if err != nil {
		t.Fatal(err)
	}
	forged := forge(t, c, raw, 2) // servers 0 and 1 sign another first block
	if got, err := e.Report(raw, raw); got != 0 || !errors.Is(err, comet.ErrLightBlock) {
		t.Errorf("the same twice: %d, %v", got, err)
	}
	got, err := e.Report(raw, forged)
	if err != nil || got < 1 || got > 2 { // one of them may not have been in time for the first commit
		t.Fatalf("reported %d, %v", got, err)
	}
	n.Wait("accusation", func() bool {
		for _, node := range n.Nodes {
			if len(node.App.Faulty()) != got {
				return false
			}
		}
		return true
	})
	n.Settle()
}

// C-50: an application that panics ends its engine and not the process.
func TestApplicationPanics(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4)
	n := consensustest.NewNet(t, c, 4)
	n.Stop(3)
	for i := range 30 {
		n.Submit(0, fmt.Sprintf("payload %d", i))
	}
	n.Submit(0, "crash:now")
	n.Wait("the first to halt", func() bool { return len(n.Running()) < 3 })
	time.Sleep(2 * time.Second) // one that lacks a vote for the block waits for those who are gone
	for i, node := range n.Nodes[:3] {
		n.Stop(i)
		if err := node.Status().Halted; err != nil && !strings.Contains(err.Error(), "crash:now") {
			t.Errorf("halted by %v", err)
		}
	}
	for _, node := range n.Nodes[:3] {
		node.Disk.Upgrade()
	}
	for i := range 3 {
		n.Start(i)
	}
	n.Submit(0, "after")
	n.Wait("go on", func() bool { return len(n.Nodes[0].App.Log()) == 32 })

	n.Start(3) // meets the block while it catches up
	<-n.Nodes[3].Done()
	if err := n.Nodes[3].Status().Halted; err == nil || !strings.Contains(err.Error(), "crash:now") {
		t.Errorf("halted while catching up by %v", err)
	}
	n.Nodes[3].Disk.Upgrade()
	n.Start(3)
	n.WaitLog(32)
}

// C-51: when the library's consensus ends by itself, the engine says so and ends.
func TestConsensusFails(t *testing.T) {
	c := newCluster(t, 1)
	n := consensustest.NewNet(t, c, 1)
	e := n.Nodes[0].Engine.(*comet.Engine)
	e.BreakStore()
	_ = e.Submit(t.Context(), []byte("payload"))
	select {
	case <-e.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("goes on without consensus")
	}
	if err := e.Status().Halted; !errors.Is(err, comet.ErrFailed) {
		t.Errorf("halted by %v", err)
	}
	n.Start(0)
	n.Submit(0, "another")
	n.Wait("go on", func() bool { return slices.Contains(n.Nodes[0].App.Log(), "another") })
}

func TestOpenRefuses(t *testing.T) {
	c := newCluster(t, 1)
	app := func() *consensustest.Counter {
		return consensustest.NewCounter(&consensustest.Disk{}, 0, c.validators())
	}
	refused := func(name string, want error, change func(*comet.Config)) {
		t.Helper()
		cfg := c.config(0)
		change(&cfg)
		e, err := comet.Open(cfg, app())
		if err == nil {
			_ = e.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("no folder", comet.ErrConfig, func(c *comet.Config) { c.Dir = "" })
	refused("no node key", comet.ErrConfig, func(c *comet.Config) { c.NodeKey = identity.PrivateKey{} })
	refused("peer", comet.ErrConfig, func(c *comet.Config) { c.Peers = []string{"somewhere:1"} })
	refused("listen", comet.ErrConfig, func(c *comet.Config) { c.Listen = "nowhere" })
	refused("profile", comet.ErrConfig, func(c *comet.Config) { c.Profile = 7 })
	refused("state sync", comet.ErrConfig, func(c *comet.Config) { c.StateSync.Enabled = true })
	refused("founding to come", comet.ErrConfig, func(c *comet.Config) { c.Genesis.Time = time.Now().Add(time.Hour) })
	e, err := comet.Open(c.config(0), app())
	if err != nil {
		t.Fatal(err)
	}
	other := c.config(0)
	other.Dir = t.TempDir()
	if err := os.Symlink(filepath.Join(c.servers[0].dir, "sign"), filepath.Join(other.Dir, "sign")); err != nil {
		t.Fatal(err)
	}
	if _, err := comet.Open(other, app()); !errors.Is(err, comet.ErrKeyInUse) {
		t.Errorf("key in use: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	refused("another chain", comet.ErrOtherChain, func(c *comet.Config) { c.Genesis.ID[0]++ })
	lost := consensustest.NewCounter(&consensustest.Disk{}, 0, nil)
	cfg := c.config(0)
	cfg.Dir = t.TempDir()
	if _, err := comet.Open(cfg, lost); err == nil {
		t.Error("a chain without validators")
	}
}

// C-70: only servers of the roster are let in, and those who leave it are put out.
func TestStrangers(t *testing.T) {
	c := newCluster(t, 3)
	c.voters = 2
	open := func(i int, peers ...int) *comet.Engine {
		cfg := c.config(i)
		cfg.Peers = nil
		for _, p := range peers {
			cfg.Peers = append(cfg.Peers, c.peers()[p])
		}
		e, err := comet.Open(cfg, consensustest.NewCounter(&consensustest.Disk{}, 0, c.validators()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		return e
	}
	a, b := open(0, 1), open(1, 0)
	stranger := open(2, 0, 1)
	connected := func(e *comet.Engine, n int) func() bool {
		return func() bool { return len(e.Status().Peers) == n }
	}
	wait := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	wait("members do not connect", connected(a, 1))
	wait("members do not connect", connected(b, 1))
	time.Sleep(time.Second)
	if !connected(a, 1)() || !connected(b, 1)() {
		t.Error("a stranger was let in")
	}
	if err := a.SetPeers([]string{c.peers()[1], c.peers()[2]}); err != nil {
		t.Fatal(err)
	}
	wait("the new member does not connect", connected(a, 2))
	if err := a.SetPeers([]string{c.peers()[1]}); err != nil {
		t.Fatal(err)
	}
	wait("the former member stays", connected(a, 1))
	if err := a.SetPeers([]string{"nonsense"}); !errors.Is(err, comet.ErrConfig) {
		t.Errorf("nonsense: %v", err)
	}
	_ = stranger
}

// C-71: a peer that sends payloads that do not check is counted, and cut off when
// it sends many.
func TestBadPayloads(t *testing.T) {
	c := newCluster(t, 2)
	bad := &careless{Counter: consensustest.NewCounter(&consensustest.Disk{}, 0, c.validators())}
	a, err := comet.Open(c.config(0), bad)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	good := consensustest.NewCounter(&consensustest.Disk{}, 0, c.validators())
	b, err := comet.Open(c.config(1), good)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	for len(a.Status().Peers) == 0 || b.Status().CatchUp || a.Status().CatchUp {
		time.Sleep(10 * time.Millisecond)
	}
	id := comet.NodeID(c.servers[0].node.Public())
	for i := 0; b.BadPayloads(id) == 0; i++ {
		if i > 1000 {
			t.Fatal("bad payloads are not counted")
		}
		if err := a.Submit(t.Context(), fmt.Appendf(nil, "bad:%d", i)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for i := 0; len(b.Status().Peers) > 0; i++ {
		if i > 5000 {
			t.Fatal("still connected")
		}
		_ = a.Submit(t.Context(), fmt.Appendf(nil, "bad:more %d", i))
		time.Sleep(time.Millisecond)
	}
	if good.Count() != 0 || b.BadPayloads(id) < 60 {
		t.Errorf("%d payloads, %d bad ones", good.Count(), b.BadPayloads(id))
	}
}

// careless passes what others refuse.
type careless struct{ *consensustest.Counter }

func (*careless) Check(context.Context, []byte) error { return nil }

func (*careless) Verify(context.Context, time.Time, consensus.Proposal) error {
	return nil
}

// C-14: a payload that nobody proposes does not keep the chain busy for ever.
func TestStalePayload(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	n := consensustest.NewNet(t, c, 1)
	n.Submit(0, "stale:x")
	time.Sleep(3 * time.Second)
	if h := n.Nodes[0].App.Height(); h > 1000 {
		t.Errorf("%d blocks for a payload that nobody wants", h)
	}
	rate := n.Nodes[0].App.Height()
	time.Sleep(2 * time.Second)
	if h := n.Nodes[0].App.Height(); h > rate+4 {
		t.Errorf("still %d blocks in two seconds", h-rate)
	}
	n.Submit(0, "good")
	n.Wait("good payload", func() bool { return slices.Contains(n.Nodes[0].App.Log(), "good") })
	n.Wait("the stale one to be forgotten", func() bool { return n.Nodes[0].Status().Waiting == 0 })
}

// C-52, C-66: blocks are forgotten, but not those that the application may need
// again; and a client gets past the forgotten ones from the genesis to the newest.
func TestPrune(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4)
	c.keep = 20
	n := consensustest.NewNet(t, c, 4)
	vs := c.validators()
	sent := 0
	send := func(payload string) {
		n.Submit(sent%3, payload)
		sent++
		n.Wait("payload", func() bool { return len(n.Nodes[0].App.Log()) >= sent })
	}
	for i := range 120 {
		if i%30 == 10 { // change the powers of all four, so that nobody can skip past it
			for j, v := range vs {
				send(string(consensustest.Power(v.Key, int64(i*1000+j+1))))
			}
		}
		send(fmt.Sprintf("payload %d", i))
	}
	n.WaitLog(sent)
	for i := range 3 { // whose persistence lags by 0, 1 and 2 blocks
		n.Stop(i)
		n.Start(i)
	}
	send("after")
	n.WaitLog(sent)
	height := func(raw []byte, err error) int64 {
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := comet.DecodeLight(comet.ChainID(c.genesis.ID), raw)
		if err != nil {
			t.Fatal(err)
		}
		return b.Height
	}
	h := n.Nodes[0].Status().Height
	if got := height(n.Nodes[0].LightBlock(h - 20)); got != int64(h-20) {
		t.Errorf("height %d of %d is forgotten", h-20, h)
	}
	if got := height(n.Nodes[0].LightBlock(10)); got != 1 {
		t.Errorf("height 10 was answered with %d: nothing is forgotten", got)
	}
	cfg := comet.LightConfig{ID: c.genesis.ID, Trust: comet.Trust{Validators: vs}}
	for i, node := range n.Nodes {
		cfg.Sources = append(cfg.Sources, comet.Source{Name: fmt.Sprint(i), Fetch: fetchFrom(node)})
	}
	lc := client(t, cfg)
	if got, err := lc.Head(t.Context()); err != nil || got.Height < h {
		t.Errorf("from the genesis: %+v, %v; blames %v", got, err, lc.Faulty())
	}
}

// C-53: a block that is wanted and does not come shows in the status.
func TestStalled(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4)
	n := consensustest.NewNet(t, c, 4)
	n.Stop(2)
	n.Stop(3)
	n.Submit(0, "payload")
	n.Wait("stall", func() bool { return n.Nodes[0].Status().Stalled > time.Second })
	if s := n.Nodes[0].Status(); s.Halted != nil || s.Waiting != 1 {
		t.Errorf("%+v", s)
	}
	n.Start(2)
	n.WaitLog(1)
	n.Wait("no stall", func() bool { return n.Nodes[0].Status().Stalled == 0 })
}

// C-72, C-73: servers that are connected in a line, and not each with each, pass
// payloads on and decide blocks.
func TestLine(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4)
	var engines []*comet.Engine
	var apps []*consensustest.Counter
	open := func(i int, peers ...int) {
		cfg := c.config(i)
		cfg.Peers = nil
		for _, p := range peers {
			cfg.Peers = append(cfg.Peers, c.peers()[p])
		}
		app := consensustest.NewCounter(&consensustest.Disk{}, 0, c.validators())
		e, err := comet.Open(cfg, app)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		engines, apps = append(engines, e), append(apps, app)
	}
	wait := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				for _, e := range engines {
					t.Logf("%+v", e.Status())
				}
				t.Fatal(what)
			}
		}
	}
	open(0, 1)
	open(1, 0, 2)
	wait("two servers follow", func() bool { return !engines[0].Status().CatchUp && !engines[1].Status().CatchUp })
	if err := engines[0].Submit(t.Context(), []byte("early")); err != nil { // no block: two of four are down
		t.Fatal(err)
	}
	wait("payload at the second", func() bool { return engines[1].Status().Waiting == 1 })
	open(2, 1, 3)
	wait("payload at the third, who came later", func() bool {
		return engines[2].Status().Waiting == 1 || apps[2].Count() == 1
	})
	open(3, 2)
	for i := range 12 {
		if err := engines[i%4].Submit(t.Context(), fmt.Appendf(nil, "payload %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	wait("blocks", func() bool {
		for _, a := range apps {
			if len(a.Log()) < 13 {
				return false
			}
		}
		return true
	})
	for i, a := range apps {
		if !slices.Equal(a.Log(), apps[0].Log()) {
			t.Errorf("server %d has another order", i)
		}
	}
}

// C-54: a server that needs blocks that everybody has forgotten says so and ends.
func TestBehind(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4)
	c.keep = 20
	n := consensustest.NewNet(t, c, 4)
	n.Submit(0, string(consensustest.Power(c.validators()[3].Key, 1))) // it shall hold up nobody
	sent := 1
	send := func() {
		n.Submit(sent%3, fmt.Sprintf("payload %d", sent))
		sent++
		n.Wait("payload", func() bool { return len(n.Nodes[0].App.Log()) >= sent })
	}
	for range 5 {
		send()
	}
	n.Stop(3)
	for n.Nodes[0].App.Height() < 220 {
		send()
	}
	n.WaitLog(sent)
	n.Start(3)
	select {
	case <-n.Nodes[3].Done():
	case <-time.After(time.Minute):
		t.Fatalf("waits for blocks that nobody has: %+v", n.Nodes[3].Status())
	}
	if err := n.Nodes[3].Status().Halted; !errors.Is(err, comet.ErrBehind) {
		t.Errorf("halted by %v", err)
	}
}

// C-55: a loss of power may take the state after the newest block, which is not
// synced. The server executes that block again and goes on.
func TestStateOneBehind(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	n := consensustest.NewNet(t, c, 1)
	states := make(map[int64]sm.State)
	for sent := 1; ; sent++ {
		e, ok := n.Nodes[0].Engine.(*comet.Engine)
		if !ok {
			t.Fatal("another engine")
		}
		n.Submit(0, fmt.Sprintf("payload %d", sent))
		n.WaitLog(sent)
		s := e.Newest()
		states[s.LastBlockHeight] = s.Copy()
		if sent < 5 {
			continue
		}
		n.Stop(0)
		last := e.Newest().LastBlockHeight
		before, known := states[last-1]
		if known {
			if err := comet.RewindState(c.servers[0].dir, before); err != nil {
				t.Fatal(err)
			}
		}
		n.Start(0)
		n.WaitLog(sent)
		if known {
			n.Submit(0, "and on")
			n.WaitLog(sent + 1)
			return
		}
	}
}
