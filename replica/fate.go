package replica

import (
	"errors"
	"slices"

	"souk/exchange"
	"souk/exchange/ledger"
	"souk/store"
)

// Fate is what became of a command.
type Fate uint8

// Fates.
const (
	FateUnknown   Fate = iota // this server knows nothing of it
	FateWaiting               // it waits for a block
	FateRefused               // this server did not pass it on, or no block took it in time
	FateCommitted             // a block contained it
	FateElsewhere             // its nonce is used, but this server has no receipt: ask another one
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
	if err := r.settle(); err != nil {
		return Answer{}, err
	}
	a, err := r.Fate(c.ID)
	if err != nil || a.Fate != FateUnknown {
		return a, err
	}
	used := false
	err = r.View(func(s *exchange.State) {
		if n, ok := s.Ledger().Find(c.Account); ok {
			code := s.Ledger().CheckNonce(n, c.Key, c.Nonce)
			used = code == ledger.NonceUsed || code == ledger.NonceStale
		}
	})
	if used {
		return elsewhere(c), err
	}
	return a, err
}

func elsewhere(c *exchange.Command) Answer {
	return Answer{ID: c.ID, Fate: FateElsewhere, Receipt: exchange.Receipt{ID: c.ID, Code: exchange.NonceUsed}}
}

// refuse answers for a command that the state has no use for, which may be because
// it was executed before.
func (r *Replica) refuse(c *exchange.Command, code exchange.Code) (Answer, error) {
	refused := Answer{ID: c.ID, Fate: FateRefused, Receipt: exchange.Receipt{ID: c.ID, Code: code}}
	used := code == exchange.NonceUsed || code == exchange.NonceStale
	if !used && code != exchange.Expired && code != exchange.UnknownKey {
		r.metrics.Refused.Add(1)
		return refused, nil
	}
	if err := r.settle(); err != nil {
		return Answer{}, err
	}
	rc, _, found, err := r.receipt(&c.ID, false)
	switch {
	case err != nil:
		return Answer{}, err
	case found:
		r.metrics.Resent.Add(1)
		return Answer{ID: c.ID, Fate: FateCommitted, Receipt: rc}, nil
	case used:
		return elsewhere(c), nil
	}
	r.metrics.Refused.Add(1)
	return refused, nil
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
func (r *Replica) settle() error {
	r.mu.RLock()
	committing := r.committing
	r.mu.RUnlock()
	if committing == nil {
		return nil
	}
	select {
	case <-committing:
		return nil
	case <-r.halted:
		return r.Err()
	}
}

// receipt finds a command's receipt: the one that burnt its nonce, of which there
// is at most one, or if there is none and refusals count, the newest other one.
func (r *Replica) receipt(id *exchange.CommandID, refusals bool) (rc exchange.Receipt, at place, found bool, err error) {
	records := r.writer.pending()
	for _, burnt := range []bool{true, false} {
		if !burnt && !refusals {
			break
		}
		if rc, at, found = recentReceipt(records, id, burnt); found {
			return rc, at, true, nil
		}
		kind := byte(keyReceipt)
		if !burnt {
			kind = keyRefused
		}
		if rc, at, found, err = r.storedReceipt(kind, id); found || err != nil {
			return rc, at, found, err
		}
	}
	return exchange.Receipt{}, place{}, false, nil
}

// recentReceipt looks for a receipt in blocks that may not be stored yet.
func recentReceipt(records []*record, id *exchange.CommandID, burnt bool) (exchange.Receipt, place, bool) {
	for _, rec := range slices.Backward(records) {
		i, ok := rec.find(id)
		if !ok || entryBurns(rec.result.Results[i]) != burnt {
			continue
		}
		rc, err := exchange.ParseReceipt(rec.result.Results[i])
		if err != nil {
			panic("replica: the exchange wrote a receipt that it cannot read") //nolint:forbidigo // broken invariant
		}
		return rc, place{rec.position.Height, i}, true
	}
	return exchange.Receipt{}, place{}, false
}

// storedReceipt looks for a receipt in the store, newest first.
func (r *Replica) storedReceipt(kind byte, id *exchange.CommandID) (exchange.Receipt, place, bool, error) {
	now := r.Position().Time
	var buf []byte
	for sp, last := span(now), span(now-min(now, receiptsKept)); ; sp-- {
		buf = receiptKey(buf[:0], kind, sp, id[:])
		rc, at, found, err := r.receiptAt(buf, id)
		if found || err != nil || sp == last {
			return rc, at, found, err
		}
	}
}

// receiptAt reads the receipt that a key leads to.
func (r *Replica) receiptAt(key []byte, id *exchange.CommandID) (exchange.Receipt, place, bool, error) {
	value, err := r.config.Store.Get(key)
	if errors.Is(err, store.ErrNotFound) {
		return exchange.Receipt{}, place{}, false, nil
	}
	if err != nil {
		return exchange.Receipt{}, place{}, false, err
	}
	at, err := parsePlace(value)
	if err != nil {
		return exchange.Receipt{}, place{}, false, err
	}
	entry, err := r.entry(at)
	if errors.Is(err, ErrPruned) {
		return exchange.Receipt{}, place{}, false, nil
	}
	if err != nil {
		return exchange.Receipt{}, place{}, false, err
	}
	rc, err := exchange.ParseReceipt(entry)
	return rc, at, err == nil && rc.ID == *id, err
}

// entry reads one entry of a stored result list; ErrPruned if it is not there.
func (r *Replica) entry(at place) ([]byte, error) {
	value, err := r.config.Store.Get(pageKey(at.Height, at.Index/pageEntries))
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrPruned
	}
	if err != nil {
		return nil, err
	}
	entries, err := parsePage(nil, value)
	if err != nil {
		return nil, err
	}
	if i := int(at.Index % pageEntries); i < len(entries) {
		return entries[i], nil
	}
	return nil, ErrPruned
}
