package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"souk/exchange"
	"souk/exchange/roster"
	"souk/replica"
)

// errNotMember is returned for commands of a server that is no member's, or not any more.
var errNotMember = errors.New("this server is no member's")

const (
	// submitFor is how long a command of the server's own is waited for.
	submitFor = 10 * time.Second
	// commandFor is how long it is valid.
	commandFor = time.Minute
	// mostAhead is how far nonces may be ahead of those in blocks before they are taken
	// anew from there: a server without a majority makes commands that never get anywhere.
	mostAhead = 512
)

// ownCommands are the commands that this server signs with its own key. All who send
// such take their nonces here, so that no two take the same.
type ownCommands struct {
	mu   sync.Mutex
	last uint64 // nonce
}

// submit signs bodies as the member whose server this is, hands them to the intake
// and waits until each is in a block or refused.
func (v *virtual) submit(ctx context.Context, p *parts, bodies ...exchange.Body) ([]replica.Answer, error) {
	data, err := v.signOwn(p, bodies)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, submitFor)
	defer cancel()
	answers, err := p.replica.Submit(ctx, replica.Request{Client: "self", Data: data})
	if err != nil {
		return answers, fmt.Errorf("submit own commands: %w", err)
	}
	return answers, nil
}

// signOwn makes commands of bodies, with the next nonces.
func (v *virtual) signOwn(p *parts, bodies []exchange.Body) (data []byte, err error) {
	v.own.mu.Lock()
	defer v.own.mu.Unlock()
	key := v.node.server
	c := exchange.Command{Expiry: uint64(time.Now().Add(commandFor).UnixMilli())}
	known := false
	if err := p.replica.View(func(s *exchange.State) {
		var m roster.Member
		id, ok := s.Roster().ByServer(key.Public())
		if ok {
			m, ok = s.Roster().Member(id)
		}
		if !ok {
			return
		}
		n, ok := s.Ledger().Find(m.Operator)
		if !ok {
			return
		}
		known, c.Account = true, m.Operator
		c.Nonce = s.Ledger().TopNonce(n, key.Public())
	}); err != nil {
		return nil, err
	}
	if !known {
		return nil, errNotMember
	}
	if v.own.last > c.Nonce && v.own.last < c.Nonce+mostAhead {
		c.Nonce = v.own.last
	}
	for _, b := range bodies {
		c.Nonce++
		c.Kind, c.Body = b.Kind(), b.Append(nil)
		if err := c.Sign(v.id, key); err != nil {
			return nil, fmt.Errorf("sign %s: %w", c.Kind, err)
		}
		data = c.Append(data)
	}
	v.own.last = c.Nonce
	return data, nil
}
