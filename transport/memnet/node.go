package memnet

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"

	"souk/transport"
	"souk/transport/intake"
)

// A round trip is the least of so many, measured again so often.
const (
	pings     = 5
	pingEvery = 15 * time.Second
)

// NodeConfig is how a peer behaves. The zero value is a good one.
type NodeConfig struct {
	Limits intake.Limits // zero means intake.Default
	Mute   bool          // it passes nothing on, as Sybils do
}

// Node is a peer: a transport.Net, Located and a Guard.
type Node struct {
	network *Network
	id      transport.ID
	config  NodeConfig
	seen    *intake.Seen
	bans    *intake.Bans
	meter   *intake.Meter
	conduct *intake.Conduct
	stop    chan struct{}

	mu       sync.Mutex
	conns    map[transport.ID]*conn
	handlers map[string]func(transport.ID, transport.Stream)
	topics   map[string]*topic
	chances  map[transport.ID]*chance
	closed   bool
}

type topic struct {
	inbox *intake.Inbox
	valid transport.Validator
}

// Join adds a peer to the network. Who is there already joins again under the same name only
// after it was closed.
func (n *Network) Join(id transport.ID, config NodeConfig) (*Node, error) {
	if config.Limits == (intake.Limits{}) {
		config.Limits = intake.Default()
	}
	node := &Node{
		network: n, id: id, config: config, seen: intake.NewSeen(), bans: intake.NewBans(), meter: intake.NewMeter(config.Limits),
		conduct: intake.NewConduct(),
		stop:    make(chan struct{}), conns: map[transport.ID]*conn{}, handlers: map[string]func(transport.ID, transport.Stream){},
		topics: map[string]*topic{}, chances: map[transport.ID]*chance{},
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, transport.ErrClosed
	}
	if _, ok := n.nodes[id]; ok {
		return nil, fmt.Errorf("join %s: it is there already", id)
	}
	n.nodes[id] = node
	return node, nil
}

// Self is transport.Net's.
func (n *Node) Self() transport.ID { return n.id }

// Addrs is transport.Located's.
func (n *Node) Addrs() []transport.Addr {
	return []transport.Addr{transport.Addr("mem/" + hex.EncodeToString(n.id[:]))}
}

// Dial is transport.Net's. The network knows where everybody is, so hints mean nothing.
func (n *Node) Dial(ctx context.Context, p transport.ID, _ ...transport.Addr) error {
	_, err := n.dial(ctx, p)
	return err
}

func (n *Node) dial(ctx context.Context, p transport.ID) (*conn, error) {
	if p == n.id {
		return nil, fmt.Errorf("dial oneself: %w", transport.ErrUnreachable)
	}
	n.mu.Lock()
	c, closed := n.conns[p], n.closed
	n.mu.Unlock()
	if closed {
		return nil, transport.ErrClosed
	}
	if c != nil {
		return c, nil
	}
	var made *conn
	err := n.later(ctx, p, 2, func() (err error) {
		made, err = n.connect(p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", p, err)
	}
	return made, nil
}

// later does something after so many ways to a peer, and waits for it.
func (n *Node) later(ctx context.Context, p transport.ID, ways int, do func() error) error {
	var took time.Duration
	var rank [3]uint64
	n.mu.Lock()
	for range ways {
		var way time.Duration
		way, rank = n.chance(p).delay(n.network.config.Link(n.id, p))
		took += way
	}
	n.mu.Unlock()
	done := make(chan error, 1)
	n.network.plan(n.network.now()+took, rank, func() {
		if ctx.Err() == nil {
			done <- do()
		}
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-n.stop:
		return transport.ErrClosed
	}
}

// chance is that of the link to a peer; the caller holds mu.
func (n *Node) chance(p transport.ID) *chance {
	c := n.chances[p]
	if c == nil {
		fresh := newChance(n.network.config.Seed, n.id, p)
		c = &fresh
		n.chances[p] = c
	}
	return c
}

// connect makes the connection that was dialled.
func (n *Node) connect(p transport.ID) (*conn, error) {
	now := time.Now()
	other, ok := n.network.reach(n.id, p)
	if !ok {
		return nil, transport.ErrUnreachable
	}
	if n.bans.Has(p, now) || other.bans.Has(n.id, now) {
		return nil, transport.ErrRefused
	}
	first, second := n, other
	if slices.Compare(first.id[:], second.id[:]) > 0 {
		first, second = second, first
	}
	first.mu.Lock()
	defer first.mu.Unlock()
	second.mu.Lock()
	defer second.mu.Unlock()
	switch {
	case n.closed || other.closed:
		return nil, transport.ErrUnreachable
	case n.conns[p] != nil:
		return n.conns[p], nil
	case len(n.conns) >= n.config.Limits.Peers || len(other.conns) >= other.config.Limits.Peers:
		return nil, transport.ErrRefused
	}
	c := &conn{ends: [2]*Node{n, other}, since: n.network.now(), streams: map[*pipe]bool{}}
	n.conns[p], other.conns[n.id] = c, c
	return c, nil
}

// Handle is transport.Net's.
func (n *Node) Handle(protocol string, h func(transport.ID, transport.Stream)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h == nil {
		delete(n.handlers, protocol)
		return
	}
	n.handlers[protocol] = h
}

// Stream is transport.Net's.
func (n *Node) Stream(ctx context.Context, p transport.ID, protocol string) (transport.Stream, error) {
	if err := checkName(protocol); err != nil {
		return nil, err
	}
	c, err := n.dial(ctx, p)
	if err != nil {
		return nil, err
	}
	var mine *stream
	err = n.later(ctx, p, 2, func() (err error) {
		mine, err = n.open(c, p, protocol)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("stream %s to %s: %w", protocol, p, err)
	}
	return mine, nil
}

func (n *Node) open(c *conn, p transport.ID, protocol string) (*stream, error) {
	other, ok := n.network.reach(n.id, p)
	if !ok {
		return nil, transport.ErrUnreachable
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	h := other.handlers[protocol]
	if h == nil {
		return nil, transport.ErrRefused
	}
	out, in := newPipe(n, other), newPipe(other, n)
	if other.closed || !c.add(out, in) {
		return nil, transport.ErrUnreachable
	}
	mine, theirs := &stream{conn: c, in: in, out: out}, &stream{conn: c, in: out, out: in}
	other.network.over.Go(func() { h(n.id, theirs) })
	return mine, nil
}

// RoundTrip is transport.Net's: what pings would measure.
func (n *Node) RoundTrip(p transport.ID) (time.Duration, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.conns[p]
	if c == nil {
		return 0, false
	}
	link := n.network.config.Link(n.id, p)
	round := newChance(n.network.config.Seed^uint64((n.network.now()-c.since)/pingEvery), n.id, p)
	least := time.Duration(-1)
	for range pings {
		there, _ := round.delay(link)
		back, _ := round.delay(link)
		if took := there + back; least < 0 || took < least {
			least = took
		}
	}
	return least, true
}

// Peers is transport.Net's.
func (n *Node) Peers() []transport.ID {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.neighbours()
}

// neighbours are in order, so that what is sent to them is too; the caller holds mu.
func (n *Node) neighbours() []transport.ID {
	list := make([]transport.ID, 0, len(n.conns))
	for id := range n.conns {
		list = append(list, id)
	}
	slices.SortFunc(list, func(a, b transport.ID) int { return slices.Compare(a[:], b[:]) })
	return list
}

func (n *Node) connections() []*conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]*conn, 0, len(n.conns))
	for _, id := range n.neighbours() {
		list = append(list, n.conns[id])
	}
	return list
}

// Close is transport.Net's.
func (n *Node) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	close(n.stop)
	topics := n.topics
	n.topics = map[string]*topic{}
	n.mu.Unlock()

	n.network.mu.Lock()
	if n.network.nodes[n.id] == n {
		delete(n.network.nodes, n.id)
	}
	n.network.mu.Unlock()
	for _, c := range n.connections() {
		c.cut()
	}
	for _, t := range topics {
		t.inbox.End()
	}
	return nil
}

// Ban is transport.Guard's.
func (n *Node) Ban(p transport.ID, until time.Time, why string) {
	n.bans.Add(transport.Ban{ID: p, Until: until, Why: why}, time.Now())
	if n.bans.Has(p, time.Now()) {
		n.Drop(p)
	}
}

// Drop is transport.Dropper's.
func (n *Node) Drop(p transport.ID) {
	n.mu.Lock()
	c := n.conns[p]
	n.mu.Unlock()
	if c != nil {
		c.cut()
	}
}

// Bans is transport.Guard's.
func (n *Node) Bans() []transport.Ban { return n.bans.List(time.Now()) }

// Score is transport.Guard's.
func (n *Node) Score(p transport.ID) (float64, bool) {
	n.mu.Lock()
	c := n.conns[p]
	n.mu.Unlock()
	if c == nil {
		return 0, false
	}
	return n.conduct.Score(p, time.Now()), true
}

// checkName tells whether a topic or protocol has a name that all adapters bear.
func checkName(name string) error {
	if name == "" || len(name) > transport.MaxName {
		return transport.ErrName
	}
	return nil
}

var (
	_ transport.Net     = (*Node)(nil)
	_ transport.Located = (*Node)(nil)
	_ transport.Guard   = (*Node)(nil)
	_ transport.Dropper = (*Node)(nil)
)
