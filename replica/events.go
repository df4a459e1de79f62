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
	// begin in the past, and commandsKept how many commands they have at most, for
	// what a command did takes some kilobytes. The newest block is always kept.
	blocksKept   = 64
	commandsKept = 16_384
	// defaultBuffer is how many blocks may wait for a subscriber.
	defaultBuffer = 256
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
	queue []*Committed
	err   error
}

// events hands committed blocks to subscribers.
type events struct {
	metrics *Metrics

	mu       sync.Mutex
	last     []*Committed // newest last
	commands int          // in them
	subs     map[*Subscription]struct{}
	over     bool
}

func newEvents(m *Metrics) *events {
	return &events{metrics: m, subs: make(map[*Subscription]struct{})}
}

// Subscribe delivers the blocks from a height on; from 0 means from the next one.
// At most buffer blocks (0: 256) wait for the subscriber, who is cut off with
// ErrSlow beyond that. A height that is too far back is refused with ErrGone. The
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
	s.queue = append(s.queue, ev.last[len(ev.last)-missed:]...)
	s.signal()
	ev.subs[s] = struct{}{}
	return s, nil
}

// publish hands a block to all subscribers.
func (ev *events) publish(c *Committed) {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	ev.last = append(ev.last, c)
	ev.commands += len(c.Result.Receipts)
	old := 0
	for len(ev.last)-old > blocksKept || ev.commands > commandsKept && len(ev.last)-old > 1 {
		ev.commands -= len(ev.last[old].Result.Receipts)
		old++
	}
	ev.last = slices.Delete(ev.last, 0, old)
	for s := range ev.subs {
		if len(s.queue) >= s.most {
			ev.metrics.SlowSubscribers.Add(1)
			s.end(ErrSlow)
			continue
		}
		s.queue = append(s.queue, c)
		s.signal()
	}
}

// restart forgets all blocks: the state was restored.
func (ev *events) restart() {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	ev.last, ev.commands = nil, 0
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
