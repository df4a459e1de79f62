// Package intake is what the adapters of transport share about taking in what peers send:
// the queue of a subscription, how much each neighbour may send, which messages were seen,
// who is shut out. It has no goroutines; time is an argument. Floor 2.
package intake

import (
	"context"
	"sync"

	"souk/transport"
)

// Queue is how many messages wait for the reader of a subscription.
const Queue = 1024

// Inbox is a subscription: a queue that loses its oldest message when it is full, so that
// nobody waits for a slow reader. Make it with NewInbox.
type Inbox struct {
	closed func() // called once, when the reader closes it

	mu      sync.Mutex
	waiting []transport.Message
	dropped uint64
	ended   bool
	changed chan struct{} // holds a token after a change that a reader may wait for
}

// NewInbox is an empty queue. closed is called when its reader closes it.
func NewInbox(closed func()) *Inbox {
	return &Inbox{closed: closed, changed: make(chan struct{}, 1)}
}

// Put adds a message.
func (b *Inbox) Put(m transport.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	if len(b.waiting) == Queue {
		b.waiting = b.waiting[1:]
		b.dropped++
	}
	b.waiting = append(b.waiting, m)
	b.wake()
}

// Next is transport.Subscription's.
func (b *Inbox) Next(ctx context.Context) (transport.Message, error) {
	for {
		m, ok, err := b.take()
		if ok || err != nil {
			return m, err
		}
		select {
		case <-b.changed:
		case <-ctx.Done():
			return transport.Message{}, ctx.Err()
		}
	}
}

func (b *Inbox) take() (transport.Message, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		b.wake() // for the next of several readers
		return transport.Message{}, false, transport.ErrClosed
	}
	if len(b.waiting) == 0 {
		return transport.Message{}, false, nil
	}
	m := b.waiting[0]
	b.waiting[0] = transport.Message{}
	b.waiting = b.waiting[1:]
	if len(b.waiting) > 0 {
		b.wake()
	}
	return m, true, nil
}

// Dropped is how many messages were lost because the reader was slow.
func (b *Inbox) Dropped() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}

// Close ends the subscription by its reader.
func (b *Inbox) Close() error {
	if b.End() && b.closed != nil {
		b.closed()
	}
	return nil
}

// End ends the subscription when the network closes; it tells whether it was open.
func (b *Inbox) End() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return false
	}
	b.ended, b.waiting = true, nil
	b.wake()
	return true
}

// wake leaves a token; the caller holds mu.
func (b *Inbox) wake() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

var _ transport.Subscription = (*Inbox)(nil)
