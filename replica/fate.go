package replica

import (
	"context"

	"souk/exchange"
	"souk/exchange/ledger"
)

// Fate is what became of a command.
type Fate uint8

// Fates.
const (
	FateUnknown   Fate = iota // this server knows nothing of it
	FateWaiting               // it waits for a block
	FateRefused               // this server did not pass it on, or no block took it in time
	FateCommitted             // a block contained it
	FateElsewhere             // its nonce is or may be used, but this server has no receipt: ask another one
)

// String names the fate.
func (f Fate) String() string {
	names := [...]string{"unknown", "waiting", "refused", "committed", "elsewhere"}
	if int(f) < len(names) {
		return names[f]
	}
	return "invalid"
}

// Answer is the fate of one command.
type Answer struct {
	ID   exchange.CommandID
	Fate Fate
	// Receipt is as in the block if the fate is FateCommitted. If it is FateRefused
	// or FateElsewhere, it has ID and Code only.
	Receipt exchange.Receipt
}

// Fate is what this server knows of a command by its id.
func (r *Replica) Fate(id exchange.CommandID) (Answer, error) {
	// In this order: what stops waiting has a receipt already.
	waiting := r.intake.isWaiting(&id)
	rc, _, found, err := r.receipt(&id, !waiting)
	switch {
	case err != nil:
		return Answer{}, err
	case found:
		return Answer{ID: id, Fate: FateCommitted, Receipt: rc}, nil
	case waiting:
		return Answer{ID: id, Fate: FateWaiting}, nil
	}
	return Answer{ID: id}, nil
}

// FateOf is Fate for a command whose account, key and nonce are known besides its
// id. That lets it answer FateElsewhere.
func (r *Replica) FateOf(c *exchange.Command) (Answer, error) {
	if err := r.settle(context.Background()); err != nil {
		return Answer{}, err
	}
	a, err := r.Fate(c.ID)
	if err != nil || a.Fate != FateUnknown {
		return a, err
	}
	code := exchange.OK
	err = r.View(func(s *exchange.State) {
		if n, ok := s.Ledger().Find(c.Account); ok {
			switch s.Ledger().CheckNonce(n, c.Key, c.Nonce) { //nolint:exhaustive // others say nothing of the past
			case ledger.NonceUsed:
				code = exchange.NonceUsed
			case ledger.NonceStale:
				code = exchange.NonceStale
			}
		}
	})
	if gone := withoutReceipt(c, code); gone.Fate == FateElsewhere {
		return gone, err
	}
	return a, err
}

// withoutReceipt is the answer for a command that the state has no use for, if this
// server has no receipt of it. One whose nonce is used, or so old that nobody can
// tell, may have been executed; one with nonce 0 never was.
func withoutReceipt(c *exchange.Command, code exchange.Code) Answer {
	a := Answer{ID: c.ID, Fate: FateRefused, Receipt: exchange.Receipt{ID: c.ID, Code: code}}
	if code == exchange.NonceUsed || code == exchange.NonceStale && c.Nonce > 0 {
		a.Fate = FateElsewhere
	}
	return a
}

// refuse answers for a command that the state has no use for, which may be because
// it was executed before.
func (r *Replica) refuse(ctx context.Context, c *exchange.Command, code exchange.Code) (Answer, error) {
	answer := withoutReceipt(c, code)
	if answer.Fate == FateElsewhere || code == exchange.Expired || code == exchange.UnknownKey {
		if err := r.settle(ctx); err != nil {
			return Answer{}, err
		}
		rc, _, found, err := r.receipt(&c.ID, false)
		if err != nil {
			return Answer{}, err
		}
		if found {
			r.metrics.Resent.Add(1)
			return Answer{ID: c.ID, Fate: FateCommitted, Receipt: rc}, nil
		}
	}
	r.metrics.Refused.Add(1)
	return answer, nil
}

// firstReceipts puts first receipts in the place of answers that say that a block
// refused a command because an earlier one had executed it.
func (r *Replica) firstReceipts(answers []Answer) error {
	for i := range answers {
		a := &answers[i]
		if a.Fate != FateCommitted || a.Receipt.Code.Burns() {
			continue
		}
		rc, _, found, err := r.receipt(&a.ID, false)
		if err != nil {
			return err
		}
		if found {
			a.Receipt = rc
		}
	}
	return nil
}

// settle waits until the block that is being executed, if any, is committed, so
// that the receipts of all that the state shows can be found.
func (r *Replica) settle(ctx context.Context) error {
	r.mu.RLock()
	committing := r.committing
	r.mu.RUnlock()
	if committing == nil {
		return nil
	}
	select {
	case <-committing:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.halted:
		return r.Err()
	}
}
