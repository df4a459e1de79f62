package api

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"souk/exchange"
	"souk/identity"
)

// DefaultLife is the time from the signing of a command to its expiry.
const DefaultLife = 2 * time.Minute

// Signer signs for an account with one of its keys.
type Signer struct {
	Account identity.Address
	Key     identity.PrivateKey
}

// OwnerOf is the signer for the account that a key opens.
func OwnerOf(key identity.PrivateKey) *Signer {
	return &Signer{Account: identity.AddressOf(key.Public()), Key: key}
}

// Command makes and signs a command for virtual server vs.
func (s *Signer) Command(vs exchange.ID, body exchange.Body, nonce, expiry uint64) (*exchange.Command, error) {
	c := &exchange.Command{Kind: body.Kind(), Account: s.Account, Nonce: nonce, Expiry: expiry, Body: body.Append(nil)}
	if err := c.Sign(vs, s.Key); err != nil {
		return nil, fmt.Errorf("sign a %s: %w", c.Kind, err)
	}
	return c, nil
}

// Actor is a signer at work on a virtual server: it numbers, signs and sends
// commands. It may be used by many goroutines. Two actors with the same key, in
// this program or another, can meet at a nonce; one of them gets NonceUsed then.
type Actor struct {
	*Signer
	client *Client

	mu   sync.Mutex
	next uint64 // nonce of the next command; zero: ask a server first
}

// As is the client in the hands of a signer.
func (c *Client) As(s *Signer) *Actor { return &Actor{Signer: s, client: c} }

// maxGap is how many nonces an actor may leave out when it begins, so that
// programs that begin at the same time with the same key seldom meet.
const maxGap = 64

// maxSpread is by how many ms expiries of like commands differ.
const maxSpread = 10_000

// Do makes one command of each body, sends them together and answers their
// receipts in the same order. The error is that of Client.Submit.
func (a *Actor) Do(ctx context.Context, bodies ...exchange.Body) ([]exchange.Receipt, error) {
	commands, err := a.Sign(ctx, bodies...)
	if err != nil {
		return nil, err
	}
	return a.Send(ctx, commands...)
}

// Send sends commands that Sign made, perhaps in an earlier run of the program: sent
// again, they have no further effect. It is Client.Submit, but hears of nonces.
func (a *Actor) Send(ctx context.Context, commands ...*exchange.Command) ([]exchange.Receipt, error) {
	receipts, err := a.client.Submit(ctx, commands...)
	for i := range receipts {
		switch receipts[i].Code { //nolint:exhaustive // codes of which only nonces matter here
		case exchange.NonceUsed, exchange.NonceStale, exchange.NonceTooFar:
			a.forget()
		}
	}
	return receipts, err
}

// Sign makes one command of each body with the next nonces, ready for Client.Submit.
func (a *Actor) Sign(ctx context.Context, bodies ...exchange.Body) ([]*exchange.Command, error) {
	id, err := a.client.ID(ctx)
	if err != nil {
		return nil, err
	}
	first, err := a.reserve(ctx, uint64(len(bodies)))
	if err != nil {
		return nil, err
	}
	// Spread, so that two programs with the same key that order the same thing at the
	// same time with the same nonce do not make one and the same command.
	expiry := uint64(time.Now().Add(DefaultLife).UnixMilli()) - rand.Uint64N(maxSpread) //nolint:gosec // no secret
	commands := make([]*exchange.Command, len(bodies))
	for i, b := range bodies {
		if commands[i], err = a.Command(id, b, first+uint64(i), expiry); err != nil {
			return nil, err
		}
	}
	return commands, nil
}

// reserve takes n nonces in a row and answers the first.
func (a *Actor) reserve(ctx context.Context, n uint64) (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next == 0 {
		top, err := a.client.topNonce(ctx, a.Signer)
		if err != nil {
			return 0, err
		}
		a.next = top + 1 + rand.Uint64N(maxGap) //nolint:gosec // no secret: it only spreads
	}
	first := a.next
	a.next += n
	return first, nil
}

// forget makes the actor ask for the highest used nonce again.
func (a *Actor) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next = 0
}

// topNonce is the key's highest used nonce, zero for an account that does not exist yet.
func (c *Client) topNonce(ctx context.Context, s *Signer) (uint64, error) {
	n, err := c.Nonce(ctx, s)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the next nonce: %w", err)
	}
	return n.Top, nil
}
