// Package consensustest owns what every engine of the port consensus is held to:
// a suite that opens small clusters of an engine with a counting Application and
// checks that replicas agree, go on without one of them, and start again. How a
// cluster is made belongs to the engine's own tests. It stands beside the floors
// and serves tests only.
package consensustest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"souk/consensus"
)

// patience is how long something may take that takes milliseconds on an idle machine.
const patience = 60 * time.Second

// Cluster makes the engines of one chain.
type Cluster interface {
	// Open starts or restarts server i.
	Open(i int, app consensus.Application) (consensus.Engine, error)
	// Validators are the first validators, one for every server, in order, all
	// with the same power.
	Validators() []consensus.Validator
}

// Run runs the suite on clusters that open makes.
func Run(t *testing.T, open func(t *testing.T, n int) Cluster) {
	for _, n := range []int{1, 4} {
		sub := func(name string, test func(*Net)) {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) { test(NewNet(t, open(t, n), n)) })
		}
		sub("Agree", agree)
		sub("Refuse", refuse)
		sub("Idle", idle)
		sub("Due", fallDue)
		sub("Restart", restart)
		sub("Halt", haltAll)
		sub("Close", closeAll)
	}
	t.Run("OneStops", func(t *testing.T) { oneStops(NewNet(t, open(t, 4), 4)) })
	t.Run("Demote", func(t *testing.T) { demote(NewNet(t, open(t, 4), 4)) })
	t.Run("TwoChains", func(t *testing.T) {
		a, b := NewNet(t, open(t, 2), 2), NewNet(t, open(t, 2), 2)
		agree(a)
		agree(b)
	})
}

// Net is a running cluster.
type Net struct {
	testing.TB
	Cluster Cluster
	Nodes   []*Node
}

// Node is one server of a Net.
type Node struct {
	consensus.Engine
	App  *Counter
	Disk *Disk
}

// NewNet starts n servers, whose persistence lags behind by different numbers of
// blocks, and waits until they have their first block.
func NewNet(tb testing.TB, c Cluster, n int) *Net {
	tb.Helper()
	net := &Net{TB: tb, Cluster: c}
	tb.Cleanup(func() { // also of those that join later, and if one does not start
		for i, node := range net.Nodes {
			if node.Engine != nil {
				net.Stop(i)
			}
		}
	})
	for i := range n {
		net.Nodes = append(net.Nodes, &Node{Disk: &Disk{}})
		net.Start(i)
	}
	net.WaitHeight(1)
	return net
}

// Start opens server i on its disk.
func (n *Net) Start(i int) {
	n.Helper()
	node := n.Nodes[i]
	node.App = NewCounter(node.Disk, uint64(i), n.Cluster.Validators())
	e, err := n.Cluster.Open(i, node.App)
	if err != nil {
		n.Fatalf("open server %d: %v", i, err)
	}
	node.Engine = e
}

// Stop closes server i.
func (n *Net) Stop(i int) {
	n.Helper()
	if err := n.Nodes[i].Close(); err != nil {
		n.Errorf("close server %d: %v", i, err)
	}
}

// Running returns the servers that have not stopped.
func (n *Net) Running() []*Node {
	return slices.DeleteFunc(slices.Clone(n.Nodes), func(node *Node) bool {
		select {
		case <-node.Done():
			return true
		default:
			return false
		}
	})
}

// Wait waits until ok.
func (n *Net) Wait(what string, ok func() bool) {
	n.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			for i, node := range n.Nodes {
				n.Logf("server %d: committed %d payloads, status %+v", i, node.App.Count(), node.Status())
			}
			n.Fatalf("waited in vain: %s", what)
		}
	}
}

// WaitHeight waits until all that run have a height.
func (n *Net) WaitHeight(h uint64) {
	n.Helper()
	n.Wait(fmt.Sprintf("height %d", h), func() bool {
		return !slices.ContainsFunc(n.Running(), func(node *Node) bool { return node.App.Height() < h })
	})
}

// Submit submits a payload at server i.
func (n *Net) Submit(i int, payload string) {
	n.Helper()
	if err := n.Nodes[i].Submit(n.Context(), []byte(payload)); err != nil {
		n.Fatalf("submit %q at server %d: %v", payload, i, err)
	}
}

// WaitLog waits until all that run have committed count payloads besides ticks, and
// checks that they have the same in the same order, and each once.
func (n *Net) WaitLog(count int) {
	n.Helper()
	n.Wait(fmt.Sprintf("%d payloads", count), func() bool {
		return !slices.ContainsFunc(n.Running(), func(node *Node) bool { return len(node.App.Log()) < count })
	})
	first := n.Running()[0].App
	for i, node := range n.Running() {
		log := node.App.Log()
		if !slices.Equal(log, first.Log()) {
			n.Fatalf("running server %d has another order", i)
		}
		slices.Sort(log)
		if len(slices.Compact(log)) != count {
			n.Fatalf("running server %d has payloads twice or %d too many", i, len(log)-count)
		}
	}
	n.Settle()
}

// Settle waits until those that run are at one height, and checks that they have one root.
func (n *Net) Settle() {
	n.Helper()
	n.Wait("one height", func() bool {
		height := n.Running()[0].App.Height()
		for _, node := range n.Running() {
			if s := node.Status(); s.Height != height || node.App.Height() != height || s.Waiting > 0 {
				return false
			}
		}
		return true
	})
	for _, node := range n.Running() {
		if node.App.Root() != n.Running()[0].App.Root() {
			n.Fatal("roots differ at one height")
		}
	}
}

func agree(n *Net) {
	const each = 50
	for i := range each * len(n.Nodes) {
		n.Submit(i%len(n.Nodes), fmt.Sprintf("payload %d", i))
	}
	n.WaitLog(each * len(n.Nodes))
	n.Submit(0, strings.Repeat("large", consensus.MaxPayload/5))
	n.WaitLog(each*len(n.Nodes) + 1)
}

func refuse(n *Net) {
	ctx := n.Context()
	for _, p := range []string{bad + "x", "", strings.Repeat("x", consensus.MaxPayload+1)} {
		if err := n.Nodes[0].Submit(ctx, []byte(p)); err == nil {
			n.Errorf("submitted %.10q of %d bytes", p, len(p))
		}
	}
	n.Submit(0, "once")
	if err := n.Nodes[0].Submit(ctx, []byte("once")); !errors.Is(err, consensus.ErrKnown) {
		n.Errorf("submitted twice: %v", err)
	}
	n.WaitLog(1)
	if err := n.Nodes[0].Submit(ctx, []byte("once")); !errors.Is(err, consensus.ErrKnown) {
		n.Errorf("submitted again when committed: %v", err)
	}
}

func idle(n *Net) {
	n.Submit(0, "something")
	n.Submit(0, fmt.Sprintf("%s%d", due, time.Now().Add(time.Hour).UnixMilli())) // what is due later is no work now
	n.WaitLog(2)
	rest := func(d time.Duration) bool {
		before := n.Nodes[0].App.Height()
		time.Sleep(d)
		return n.Nodes[0].App.Height() == before
	}
	n.Wait("the chain to rest", func() bool { return rest(500 * time.Millisecond) }) // a block proves the last root
	if !rest(time.Second) {
		n.Error("a block on an idle chain")
	}
	n.Settle()
	if s := n.Nodes[0].Status(); s.Stalled != 0 || s.Halted != nil {
		n.Errorf("idle chain: %+v", s)
	}
}

func fallDue(n *Net) {
	at := time.Now().Add(500 * time.Millisecond)
	n.Submit(0, fmt.Sprintf("%s%d", due, at.UnixMilli()))
	n.WaitLog(1)
	for _, node := range n.Running() {
		n.Wait("what is due", func() bool { return node.App.Count() == 2 })
	}
	if late := time.Since(at); late < 0 || late > 10*time.Second {
		n.Errorf("done %v after it was due", late)
	}
	n.Settle()
}

func restart(n *Net) {
	const each = 30
	for round := range 3 {
		for i := range each {
			n.Submit(i%len(n.Nodes), fmt.Sprintf("round %d payload %d", round, i))
		}
		n.WaitLog((round + 1) * each)
		for i := range n.Nodes {
			n.Stop(i)
		}
		for i := range n.Nodes {
			n.Start(i)
		}
	}
	n.Submit(0, "last")
	n.WaitLog(3*each + 1)
}

func haltAll(n *Net) {
	n.Submit(0, "before")
	n.WaitLog(1)
	n.Submit(0, halt+"new version")
	// Who lacks a vote for the block may wait for it in vain: the others are gone.
	n.Wait("all but a third to halt", func() bool { return 3*len(n.Running()) < len(n.Nodes) })
	for i, node := range n.Nodes {
		n.Stop(i)
		if err := node.Submit(n.Context(), []byte("x")); !errors.Is(err, consensus.ErrStopped) {
			n.Errorf("server %d: submit when halted: %v", i, err)
		}
	}
	halted := func(node *Node) bool { return errors.Is(node.Status().Halted, consensus.ErrHalted) }
	i := slices.IndexFunc(n.Nodes, halted)
	if others := slices.DeleteFunc(slices.Clone(n.Nodes), halted); i < 0 || 3*len(others) >= len(n.Nodes) {
		n.Fatalf("%d of %d servers halted for another reason", len(others), len(n.Nodes))
	}
	n.haltsAgain(i)
	for i, node := range n.Nodes {
		node.Disk.Upgrade()
		n.Start(i)
	}
	n.WaitLog(2)
	n.Submit(0, "after")
	n.WaitLog(3)
}

// haltsAgain opens a halted server with the same version: it does not get past the
// block, at once or soon.
func (n *Net) haltsAgain(i int) {
	n.Helper()
	app := NewCounter(n.Nodes[i].Disk, 0, n.Cluster.Validators())
	e, err := n.Cluster.Open(i, app)
	if err == nil {
		select {
		case <-e.Done():
			err = e.Status().Halted
		case <-time.After(patience):
		}
		if closing := e.Close(); closing != nil {
			n.Errorf("close server %d: %v", i, closing)
		}
	}
	if !errors.Is(err, consensus.ErrHalted) {
		n.Errorf("server %d opened again with the old version: %v", i, err)
	}
}

func closeAll(n *Net) {
	node := n.Nodes[0]
	n.Stop(0)
	n.Stop(0)
	select {
	case <-node.Done():
	default:
		n.Error("not done when closed")
	}
	if err := node.Submit(n.Context(), []byte("x")); !errors.Is(err, consensus.ErrStopped) {
		n.Errorf("submit when closed: %v", err)
	}
	if _, err := node.LightBlock(0); !errors.Is(err, consensus.ErrStopped) {
		n.Errorf("light block when closed: %v", err)
	}
	if s := node.Status(); s.Halted != nil {
		n.Errorf("closed, not halted: %v", s.Halted)
	}
}

func oneStops(n *Net) {
	total := 0
	send := func(count int, servers ...int) {
		for range count {
			n.Submit(servers[total%len(servers)], fmt.Sprintf("payload %d", total))
			total++
		}
		n.WaitLog(total)
	}
	send(20, 0, 1, 2, 3)
	for i := range 4 {
		n.Stop(i)
		var rest []int
		for j := range 4 {
			if j != i {
				rest = append(rest, j)
			}
		}
		send(20, rest...)
		n.Start(i)
		n.WaitLog(total)
		n.Wait("caught up", func() bool { return !n.Nodes[i].Status().CatchUp })
		send(20, i)
	}
}

func demote(n *Net) {
	vs := n.Cluster.Validators()
	n.Submit(0, string(Power(vs[3].Key, 1)))
	n.WaitLog(1)
	for i := range 20 {
		n.Submit(i%4, fmt.Sprintf("payload %d", i))
		n.WaitLog(i + 2)
	}
	n.Stop(3) // three of four powers are left, and its turns are rare
	for i := range 20 {
		n.Submit(i%3, fmt.Sprintf("without %d", i))
		n.WaitLog(i + 22)
	}
	n.Start(3)
	n.Submit(0, string(Power(vs[3].Key, vs[0].Power)))
	n.WaitLog(42)
	for i := range 20 {
		n.Submit(3, fmt.Sprintf("with %d", i))
		n.WaitLog(i + 43)
	}
}
