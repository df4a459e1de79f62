// Package memnet is a network of peers in memory, with delay, loss, duplicates and
// partitions, for tests and simulations of hundreds of peers.
//
// It lives on the time package. In a bubble of testing/synctest its clock is therefore
// virtual, and one program with one seed has one history: events happen one at a time, each
// at an instant of its own, so whatever an event sets off is over before the next one, and
// chance on a link depends on the seed, the link and the count of what went over it alone.
// Outside a bubble it keeps real time and has no such promise.
//
// Topics are flooded to all neighbours, which is what a gossip of real adapters looks like
// from above. Scores, limits and bans are those of the real ones (docs/spec/22-transport.md).
// Floor 2.
package memnet

import (
	"container/heap"
	"encoding/binary"
	"sync"
	"time"

	"souk/transport"
)

// Config is how a network behaves.
type Config struct {
	Seed uint64
	// Link is what a link is like, for both directions alike; nil means a delay of one to two milliseconds. It is called
	// for each thing that goes over the link, so it may change as time goes by.
	Link func(a, b transport.ID) Link
}

// Link is the way from one peer to another.
type Link struct {
	Delay     time.Duration // one way, at least
	Jitter    time.Duration // up to so much more, equally likely; messages overtake each other, streams do not
	Loss      float64       // of a message; a stream loses nothing, it waits for the repetition
	Duplicate float64       // of a message
}

// defaultLink is within a town.
var defaultLink = Link{Delay: time.Millisecond, Jitter: time.Millisecond}

// Network is the medium. Make it with New, close it at the end.
type Network struct {
	config Config
	start  time.Time
	awake  chan struct{} // holds a token when an event came that may be the next one
	stop   chan struct{}
	over   sync.WaitGroup // run and the handlers of streams

	agenda sync.Mutex // of events and last; nothing else is locked while it is held
	events events
	last   time.Duration // when the latest event happened

	mu     sync.Mutex // of all below; taken before the mu of a node, never after
	nodes  map[transport.ID]*Node
	side   map[transport.ID]int // of a partition
	parted bool
	closed bool
}

// New makes a network without peers.
func New(config Config) *Network {
	if config.Link == nil {
		config.Link = func(_, _ transport.ID) Link { return defaultLink }
	}
	n := &Network{
		config: config, start: time.Now(), awake: make(chan struct{}, 1), stop: make(chan struct{}),
		nodes: map[transport.ID]*Node{},
	}
	n.over.Go(n.run)
	return n
}

// Close closes all peers, ends the network and waits for the handlers of streams.
func (n *Network) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	nodes := n.nodes
	n.nodes = map[transport.ID]*Node{}
	n.mu.Unlock()
	for _, node := range nodes {
		_ = node.Close()
	}
	close(n.stop)
	n.over.Wait()
	return nil
}

// Partition splits the network: peers of different groups cannot reach each other, and their
// connections break. Those in no group are a group together.
func (n *Network) Partition(groups ...[]transport.ID) {
	n.mu.Lock()
	n.parted, n.side = true, map[transport.ID]int{}
	for i, group := range groups {
		for _, id := range group {
			n.side[id] = i + 1
		}
	}
	var broken []*conn
	for _, node := range n.nodes {
		for _, c := range node.connections() {
			if n.side[c.ends[0].id] != n.side[c.ends[1].id] {
				broken = append(broken, c)
			}
		}
	}
	n.mu.Unlock()
	for _, c := range broken {
		c.cut()
	}
}

// Heal ends a partition. Connections that broke stay broken.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.parted, n.side = false, nil
}

// reach finds a peer that another may reach now.
func (n *Network) reach(from, to transport.ID) (*Node, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	node, ok := n.nodes[to]
	return node, ok && (!n.parted || n.side[from] == n.side[to])
}

// event is something that happens at a time.
type event struct {
	at   time.Duration // since the start
	rank [3]uint64     // orders events of one time, whoever was first to plan them
	do   func()
}

type events []event

func (e events) Len() int      { return len(e) }
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	(*e)[len(*e)-1] = event{}
	*e = (*e)[:len(*e)-1]
	return last
}

func (e events) Less(i, j int) bool {
	if e[i].at != e[j].at {
		return e[i].at < e[j].at
	}
	for k := range e[i].rank {
		if e[i].rank[k] != e[j].rank[k] {
			return e[i].rank[k] < e[j].rank[k]
		}
	}
	return false
}

// now is the time since the start.
func (n *Network) now() time.Duration { return time.Since(n.start) }

// plan lets something happen at a time.
func (n *Network) plan(at time.Duration, rank [3]uint64, do func()) {
	n.agenda.Lock()
	heap.Push(&n.events, event{at: at, rank: rank, do: do})
	n.agenda.Unlock()
	select {
	case n.awake <- struct{}{}:
	default:
	}
}

// run lets events happen, one at a time, each a nanosecond after the one before at least: a
// bubble's clock only goes on when all that the one before set off is done.
func (n *Network) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		do, wait := n.next()
		if do != nil {
			do()
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-n.awake:
		case <-n.stop:
			return
		}
	}
}

// next takes the next event if its time has come, and tells how long that takes otherwise.
func (n *Network) next() (do func(), wait time.Duration) {
	n.agenda.Lock()
	defer n.agenda.Unlock()
	if len(n.events) == 0 {
		return nil, time.Hour
	}
	at := max(n.events[0].at, n.last+1)
	if wait := at - n.now(); wait > 0 {
		return nil, wait
	}
	n.last = at
	return heap.Pop(&n.events).(event).do, 0
}

// chance is what happens at random on one direction of a link.
type chance struct {
	from, to uint64 // which link it is
	seed     uint64
	count    uint64 // of draws; under the mu of the node that sends
}

func newChance(seed uint64, from, to transport.ID) chance {
	c := chance{from: binary.BigEndian.Uint64(from[:]), to: binary.BigEndian.Uint64(to[:])}
	c.seed = mix(mix(mix(seed)^c.from) ^ c.to)
	return c
}

// draw is a number below one, and rank the draw's place among events.
func (c *chance) draw() (x float64, rank [3]uint64) {
	c.count++
	return float64(mix(c.seed^c.count)>>11) / (1 << 53), [3]uint64{c.from, c.to, c.count}
}

// delay is how long something takes over a link.
func (c *chance) delay(l Link) (time.Duration, [3]uint64) {
	x, rank := c.draw()
	return max(0, l.Delay) + time.Duration(x*float64(max(0, l.Jitter))), rank
}

// mix is splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
