// Package gate is a trader's session: it holds one key that its account's owner has let
// act within limits, and does with it what programs that know nothing of Souk ask for. It
// enters orders and proves what became of them, follows what blocks do to the account,
// and keeps the account's orders, closed ones too, its fills and its balances, in memory
// and in a store of its own, so that they survive a restart. It knows the keys of these
// programs, which no server ever sees.
//
// Where to look: the session and what it is made of here, what it remembers in record.go,
// orders in enter.go, how it learns what blocks did in follow.go and stream.go, what it does with
// receipts in prove.go, the keys of programs in keys.go, how often they may ask in
// limits.go, coins in and out in coins.go, certificates for this machine in cert.go. The
// HTTP that programs speak is web/binance and web/wallet.
//
// The rules are docs/spec/21-gate.md; comments cite them by number (J-3).
//
// This is floor 4: a face, for programs instead of people.
package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/store"
	"souk/tape"
	"souk/web/binance"
)

// Proofs says what is done with the receipt of a command (J-10).
type Proofs uint8

// What is done with receipts.
const (
	ProveLater Proofs = iota // they are answered at once, and proven a moment later
	ProveFirst               // they are proven before they are answered
	ProveNever               // they are believed
)

// Config is what a session is made of.
type Config struct {
	// Client reaches the servers of one virtual server, to which it is pinned.
	Client *api.Client
	// Signer is the account and the delegate's key.
	Signer *api.Signer
	// Catalog answers what names and numbers mean, with proof.
	Catalog *api.Catalog
	// Verifier checks proofs; nil: there are none.
	Verifier func(context.Context) (*api.Verifier, error)
	// Proofs says what is done with receipts.
	Proofs Proofs
	// Store is the session's own memory. The session does not close it.
	Store store.Store
	// Tape is fed with what happens in the markets; nil: they are not followed.
	Tape *tape.Tape
	// Log gets what the trader should know; nil is silence.
	Log *slog.Logger
}

// ErrLies is what a session ends in distrust with: a receipt did not hold. Nothing more is
// entered until the gate is started again.
var ErrLies = errors.New("a server answered with a receipt that is proven wrong")

// Session is one account at work. Its methods may be called by many goroutines.
type Session struct {
	config  Config
	log     *slog.Logger
	id      exchange.ID
	actor   *api.Actor
	proving chan *claim
	counts  counts

	mu        sync.Mutex
	book      *record
	entering  map[string]*entry // orders on their way, by client order id
	followers map[*follower]struct{}
	moved     chan struct{} // closed when book.Height has grown
	state     error         // why the account cannot be used now; nil: it can
	opened    chan struct{} // closed when state was nil first
	distrust  error         // set once, by a receipt that does not hold
}

// Open reads what the session remembers. Run brings it up to date.
func Open(ctx context.Context, c Config) (*Session, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	id, err := c.Client.ID(ctx)
	if err != nil {
		return nil, err
	}
	s := &Session{
		config: c, log: c.Log, id: id, actor: c.Client.As(c.Signer),
		proving: make(chan *claim, maxProving), entering: map[string]*entry{}, followers: map[*follower]struct{}{},
		moved: make(chan struct{}), opened: make(chan struct{}), state: fmt.Errorf("%w: the account's record is not up to date yet", binance.ErrUnavailable),
	}
	if s.book, err = readRecord(c.Store, id, c.Signer.Account); err != nil {
		return nil, err
	}
	return s, s.readIntents()
}

// Run keeps the session up to date until ctx ends. It answers why it ended: nil if that
// was ctx.
func (s *Session) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { s.prove(ctx) })
	wg.Go(func() { s.resolve(ctx) })
	err := s.follow(ctx)
	cancel()
	wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.followers {
		f.end(fmt.Errorf("%w: the gate ends", binance.ErrUnavailable))
	}
	if ctx.Err() != nil && !errors.Is(err, store.ErrFailed) {
		return nil
	}
	return err
}

// Ready is why the session cannot be used now; nil if it can.
func (s *Session) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readyLocked()
}

func (s *Session) readyLocked() error {
	if s.distrust != nil {
		return s.distrust
	}
	return s.state
}

// Opened is closed when the session can be used for the first time.
func (s *Session) Opened() <-chan struct{} { return s.opened }

// Account is the address of the session's account.
func (s *Session) Account() string { return s.config.Signer.Account.String() }

// advance notes that the record is that after a block, and wakes who waits for it; under mu.
func (s *Session) advance(height, ms uint64) {
	if height > s.book.Height {
		s.book.Height, s.book.Time = height, ms
	}
	close(s.moved)
	s.moved = make(chan struct{})
}

// await waits until the record is that after a block, for a while at most.
func (s *Session) await(ctx context.Context, height uint64) bool {
	timer := time.NewTimer(blockPatience)
	defer timer.Stop()
	for {
		s.mu.Lock()
		there, moved := s.book.Height >= height, s.moved
		s.mu.Unlock()
		if there {
			return true
		}
		select {
		case <-moved:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}
