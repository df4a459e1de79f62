package replica

import (
	"context"
	"errors"
	"slices"
	"sync"

	"souk/exchange"
	"souk/exchange/roster"
	"souk/identity"
)

const (
	// blocksKept is how many committed blocks are in memory for subscribers that
	// begin in the past, and memoryKept how many bytes they take at most, for one
	// command can do a lot. The newest block is always kept.
	blocksKept = 64
	memoryKept = 32 << 20
	// defaultBuffer is how many blocks may wait for a subscriber, and memoryWaiting how
	// many bytes they may take, unless it is one block.
	defaultBuffer = 256
	memoryWaiting = 128 << 20
)

// Errors of subscriptions.
var (
	// ErrSlow ends a subscription whose reader is too far behind.
	ErrSlow = errors.New("subscriber is too slow")
	// ErrGone is returned by Subscribe for a height that is not in memory any more.
	ErrGone = errors.New("height is too far back")
)

// Committed is a committed block as subscribers see it. All of them share it: it
// must not be changed.
type Committed struct {
	Position Position
	Proposer identity.PublicKey
	Batches  []Origin
	Result   *exchange.Result
	memory   int // about what all this takes
	record   *record
}

// Origin says in whose name some of a block's commands came.
type Origin struct {
	Member   roster.ID
	Commands int
}

// Subscription delivers committed blocks in order, each once.
type Subscription struct {
	events *events
	ready  chan struct{} // one slot: there is something to take
	most   int

	// Under events.mu.
	queue  []*Committed
	memory int // of queue
	err    error
}

// events hands committed blocks to subscribers.
type events struct {
	metrics *Metrics

	mu     sync.Mutex
	last   []*Committed // newest last
	memory int          // of them
	subs   map[*Subscription]struct{}
	over   bool
	change chan struct{} // closed by the next block; nil if nobody waits for it
}

func newEvents(m *Metrics) *events {
	return &events{metrics: m, subs: make(map[*Subscription]struct{})}
}

// Subscribe delivers the blocks from a height on; from 0 means from the next one.
// At most buffer blocks (0: 256), which take 128 MiB, wait for the subscriber, who is
// cut off with ErrSlow beyond that. A height that is too far back is refused with ErrGone. The
// subscription must be closed.
func (r *Replica) Subscribe(from uint64, buffer int) (*Subscription, error) {
	if buffer <= 0 {
		buffer = defaultBuffer
	}
	next := r.Position().Height + 1
	ev := r.events
	ev.mu.Lock()
	defer ev.mu.Unlock()
	if ev.over {
		return nil, ErrClosed
	}
	if n := len(ev.last); n > 0 {
		next = ev.last[n-1].Position.Height + 1
	}
	if from == 0 || from > next {
		from = next
	}
	missed := int(min(next-from, blocksKept+1))
	if missed > len(ev.last) {
		return nil, ErrGone
	}
	s := &Subscription{events: ev, ready: make(chan struct{}, 1), most: max(buffer, missed)}
	for _, c := range ev.last[len(ev.last)-missed:] {
		s.put(c)
	}
	ev.subs[s] = struct{}{}
	return s, nil
}

// publish hands a block to all subscribers.
func (ev *events) publish(c *Committed) {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	ev.last = append(ev.last, c)
	ev.memory += c.memory
	old := 0
	for len(ev.last)-old > blocksKept || ev.memory > memoryKept && len(ev.last)-old > 1 {
		ev.memory -= ev.last[old].memory
		old++
	}
	ev.last = slices.Delete(ev.last, 0, old)
	ev.woken()
	for s := range ev.subs {
		if n := len(s.queue); n >= s.most || n > 0 && s.memory+c.memory > memoryWaiting {
			ev.metrics.SlowSubscribers.Add(1)
			s.end(ErrSlow)
			continue
		}
		s.put(c)
	}
}

// changes is closed when there is another block, or another state.
func (ev *events) changes() <-chan struct{} {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	if ev.change == nil {
		ev.change = make(chan struct{})
	}
	return ev.change
}

// wake lets those who wait for changes look again.
func (ev *events) wake() {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	ev.woken()
}

// woken is wake under mu.
func (ev *events) woken() {
	if ev.change != nil {
		close(ev.change)
		ev.change = nil
	}
}

// find is the block at a height if it is in memory.
func (ev *events) find(height uint64) *Committed {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	if len(ev.last) == 0 || height < ev.last[0].Position.Height || height-ev.last[0].Position.Height >= uint64(len(ev.last)) {
		return nil
	}
	return ev.last[height-ev.last[0].Position.Height]
}

// oldest is the oldest block in memory, or nil.
func (ev *events) oldest() *Committed {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	if len(ev.last) == 0 {
		return nil
	}
	return ev.last[0]
}

// put adds a block to what waits; under events.mu.
func (s *Subscription) put(c *Committed) {
	s.queue = append(s.queue, c)
	s.memory += c.memory
	s.signal()
}

// restart forgets all blocks: the state was restored.
func (ev *events) restart() {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	ev.last, ev.memory = nil, 0
}

// close ends all subscriptions.
func (ev *events) close() {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	ev.over = true
	for s := range ev.subs {
		s.end(ErrClosed)
	}
}

// end cuts the subscriber off; under events.mu.
func (s *Subscription) end(err error) {
	if s.err == nil {
		s.err = err
	}
	if errors.Is(err, ErrSlow) {
		s.queue = nil
	}
	delete(s.events.subs, s)
	s.signal()
}

func (s *Subscription) signal() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// Next waits for the next block. It returns ctx's error, ErrSlow, or ErrClosed
// when there will be none.
func (s *Subscription) Next(ctx context.Context) (*Committed, error) {
	for {
		if c, err := s.TryNext(); c != nil || err != nil {
			return c, err
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// TryNext is Next without waiting: both results are nil if there is no block yet.
func (s *Subscription) TryNext() (*Committed, error) {
	s.events.mu.Lock()
	defer s.events.mu.Unlock()
	if len(s.queue) == 0 {
		return nil, s.err
	}
	c := s.queue[0]
	s.memory -= c.memory
	s.queue[0] = nil
	s.queue = s.queue[1:]
	return c, nil
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.events.mu.Lock()
	defer s.events.mu.Unlock()
	s.queue = nil
	s.end(ErrClosed)
}
