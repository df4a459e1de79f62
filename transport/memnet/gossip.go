package memnet

import (
	"context"
	"fmt"
	"time"

	"souk/transport"
	"souk/transport/intake"
)

// Publish is transport.Net's.
func (n *Node) Publish(ctx context.Context, name string, data []byte) error {
	switch {
	case checkName(name) != nil:
		return transport.ErrName
	case len(data) > transport.MaxMessage:
		return transport.ErrTooLarge
	case ctx.Err() != nil:
		return ctx.Err()
	}
	n.mu.Lock()
	closed, t := n.closed, n.topics[name]
	n.mu.Unlock()
	if closed {
		return transport.ErrClosed
	}
	data = append([]byte(nil), data...)
	id := intake.IDOf(name, data)
	if !n.seen.Add(id, time.Now()) {
		return nil
	}
	if t != nil {
		if t.valid != nil && t.valid(n.id, data) != transport.Accept {
			return fmt.Errorf("publish on %s: %w", name, transport.ErrInvalid)
		}
		t.inbox.Put(transport.Message{From: n.id, Data: data})
	}
	n.spread(n.id, name, id, data)
	return nil
}

// Subscribe is transport.Net's.
func (n *Node) Subscribe(name string, v transport.Validator) (transport.Subscription, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, transport.ErrClosed
	}
	if n.topics[name] != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", name, transport.ErrTaken)
	}
	t := &topic{valid: v}
	t.inbox = intake.NewInbox(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.topics[name] == t {
			delete(n.topics, name)
		}
	})
	n.topics[name] = t
	return t.inbox, nil
}

// spread sends a message to all neighbours but the one that it came from.
func (n *Node) spread(from transport.ID, name string, id intake.MessageID, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.neighbours() {
		if p == from {
			continue
		}
		c, link, chance := n.conns[p], n.network.config.Link(n.id, p), n.chance(p)
		copies := 1
		if x, _ := chance.draw(); x < link.Loss {
			copies = 0
		}
		if x, _ := chance.draw(); x < link.Duplicate {
			copies *= 2
		}
		for range copies {
			took, rank := chance.delay(link)
			n.network.plan(n.network.now()+took, rank, func() {
				if other := c.other(n); !c.gone() {
					other.take(n.id, name, id, data)
				}
			})
		}
	}
}

// take is how a message comes in.
func (n *Node) take(from transport.ID, name string, id intake.MessageID, data []byte) {
	n.mu.Lock()
	t, closed := n.topics[name], n.closed
	n.mu.Unlock()
	if closed {
		return
	}
	now := time.Now()
	switch n.meter.Admit(from, n.seen.Has(id), now) {
	case intake.Let:
	case intake.Drop:
		return
	case intake.Flood:
		n.Ban(from, now.Add(intake.CutFor), "it floods")
		return
	}
	if t == nil || !n.seen.Add(id, now) {
		return
	}
	verdict := transport.Accept
	if t.valid != nil {
		verdict = t.valid(from, data)
	}
	switch verdict {
	case transport.Accept:
		t.inbox.Put(transport.Message{From: from, Data: data})
		if !n.config.Mute {
			n.spread(from, name, id, data)
		}
	case transport.Ignore:
	case transport.Reject:
		if n.conduct.Bad(from, now) {
			n.Ban(from, now.Add(intake.CutFor), "it passes on what is invalid")
		}
	}
}
