package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/web/binance"
)

const (
	// maxProving is how many receipts wait to be proven; more are left out, and counted.
	maxProving = 4096
	// proofPatience is how long a proof is waited for: it is complete a block later (H-63).
	proofPatience = 10 * time.Second
	// proofTries is how often a proof is asked for that no server could give.
	proofTries = 3
)

// claim is a receipt that was answered and is to be proven.
type claim struct{ receipt exchange.Receipt }

// counts are what a session counts for metrics.
type counts struct {
	Entered, Refused, Proven, Unproven, Skipped atomic.Uint64
}

func (c *counts) entered(code exchange.Code) {
	if code == exchange.OK {
		c.Entered.Add(1)
		return
	}
	c.Refused.Add(1)
}

// Counts are what a session has counted.
type Counts struct {
	Entered  uint64 // commands that blocks executed with success
	Refused  uint64 // and without
	Proven   uint64 // receipts that were proven
	Unproven uint64 // for which no server had a proof in time
	Skipped  uint64 // that were not checked, because too many waited
	Height   uint64 // of the block after which the record is so
}

// Counts answers what was counted so far.
func (s *Session) Counts() Counts {
	s.mu.Lock()
	height := s.book.Height
	s.mu.Unlock()
	c := &s.counts
	return Counts{c.Entered.Load(), c.Refused.Load(), c.Proven.Load(), c.Unproven.Load(), c.Skipped.Load(), height}
}

// claimed proves a receipt, now or later (J-10).
func (s *Session) claimed(ctx context.Context, r *exchange.Receipt) error {
	if s.config.Verifier == nil || s.config.Proofs == ProveNever {
		return nil
	}
	if s.config.Proofs == ProveFirst {
		if err := s.check(ctx, r); err != nil {
			return fmt.Errorf("%w: %w", binance.ErrUndecided, err)
		}
		return nil
	}
	select {
	case s.proving <- &claim{*r}:
	default:
		s.counts.Skipped.Add(1)
	}
	return nil
}

// prove checks receipts that were answered already.
func (s *Session) prove(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-s.proving:
			var err error
			for range proofTries {
				if err = s.check(ctx, &c.receipt); err == nil || ctx.Err() != nil || errors.Is(err, ErrLies) {
					break
				}
			}
			if err != nil && ctx.Err() == nil && !errors.Is(err, ErrLies) {
				s.counts.Unproven.Add(1)
				s.log.WarnContext(ctx, "a receipt could not be proven: servers had no proof of it in time", slog.String("command", fmt.Sprintf("%x", c.receipt.ID[:8])), slog.Any("error", err))
			}
		}
	}
}

// check asks for a receipt's proof, and compares. A receipt that does not hold is the end
// of all trust: the session enters nothing more (J-11).
func (s *Session) check(ctx context.Context, r *exchange.Receipt) error {
	ctx, cancel := context.WithTimeout(ctx, proofPatience)
	defer cancel()
	v, err := s.config.Verifier(ctx)
	if err != nil {
		return fmt.Errorf("prove the receipt: %w", err)
	}
	proven, _, err := s.config.Client.VerifiedReceipt(ctx, v, r.ID)
	switch {
	case errors.Is(err, api.ErrProof) && !errors.Is(err, api.ErrServers):
		return err
	case err != nil:
		return fmt.Errorf("prove the receipt: %w", err)
	case proven != *r:
		err := fmt.Errorf("%w: command %x, code %d in block %d; proven is code %d in block %d", ErrLies, r.ID[:8], r.Code, r.Height, proven.Code, proven.Height)
		s.mu.Lock()
		s.distrust = err
		s.mu.Unlock()
		s.log.ErrorContext(ctx, "a server lied about a receipt; nothing more is entered until the gate is started again, with other servers", slog.Any("error", err))
		return err
	}
	s.counts.Proven.Add(1)
	return nil
}
