package custody

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"

	"souk/asset"
	"souk/script"
)

// Request asks for a withdrawal.
type Request struct {
	Bank   Bank
	Script []byte // the output
	Amount asset.Amount
	MaxFee asset.Amount // the most that it may cost besides
	Salt   Salt
}

// Withdrawal is a withdrawal that is not settled.
type Withdrawal struct {
	ID ID
	Request
	Owner Owner
	Asked uint64 // ms
	From  uint64 // ms; not before is it put into a transaction
	Batch uint64 // that pays it; zero while it waits
	// GivenUp are the batches that should have paid it and were given up, ascending.
	GivenUp []uint64
}

type withdrawal struct {
	Withdrawal
	bank *bank
}

func (w *withdrawal) byID(other *withdrawal) int { return cmp.Compare(w.ID, other.ID) }

func (w *withdrawal) byTime(other *withdrawal) int {
	return cmp.Or(cmp.Compare(w.From, other.From), cmp.Compare(w.ID, other.ID))
}

// done is what is remembered of a settled withdrawal.
type done struct {
	Settled
	bank *bank
}

// Settled is a withdrawal that was paid.
type Settled struct {
	ID     ID
	Bank   Bank
	Owner  Owner
	Script []byte
	Amount asset.Amount
	Fee    asset.Amount // its share of the transaction's fee
	At     script.Outpoint
	Height uint32 // of the chain's block
	Time   uint64 // ms
	Salt   Salt   // of the request
}

func (d *done) byTime(other *done) int {
	return cmp.Or(cmp.Compare(d.Time, other.Time), cmp.Compare(d.ID, other.ID))
}

// CheckWithdraw tells whether Withdraw would accept a request: OK, UnknownBank,
// BadScript, BadAmount, FeeTooLow, NotAllowed or TooMany.
func (s *State) CheckWithdraw(owner Owner, r *Request, now uint64) Code {
	b := s.bank(r.Bank)
	if b == nil || owner == 0 {
		return UnknownBank
	}
	limits := b.limits(now)
	if b.network.Payable(r.Script, b.tip+1) != nil {
		return BadScript
	}
	if total, ok := r.Amount.Add(r.MaxFee); !ok || total > asset.MaxSupply || r.Amount < limits.MinWithdrawal || r.Amount > limits.MaxPerHour {
		return BadAmount
	}
	if least, ok := script.Fee(b.network.MinRelay, script.OutputWeight(r.Script)); !ok || r.MaxFee < least {
		return FeeTooLow
	}
	own := s.accounts[owner]
	if own != nil && own.now(now).Only && !own.now(now).allows(r.Bank, r.Script) {
		return NotAllowed
	}
	if own == nil {
		own = &account{owner: owner}
	}
	return s.checkPlace(b, own, r, now)
}

// checkPlace tells whether a bank takes one more withdrawal of an account. The fewer
// places are left, the fewer an account may have; and of the last half none is for
// what cannot be paid at once (Y-60).
func (s *State) checkPlace(b *bank, own *account, r *Request, now uint64) Code {
	n, most := len(b.pending), MaxOwn
	switch {
	case n >= MaxPending:
		return TooMany
	case n >= MaxPending/4*3:
		most = MaxOwn / 64
	case n >= MaxPending/2:
		most = MaxOwn / 16
	case n >= MaxPending/4:
		most = MaxOwn / 4
	}
	if own.waiting(r.Bank) >= most {
		return TooMany
	}
	if n < MaxPending/2 {
		return OK
	}
	if ms, _ := s.delay(b, own, r, now); ms > 0 {
		return TooMany
	}
	if rate, ok := s.rate(b); ok && fee(rate, weighs(b.lightest(), script.OutputWeight(r.Script), true)) > r.MaxFee {
		return FeeTooLow
	}
	return OK
}

// limits are those in force at a time.
func (b *bank) limits(now uint64) Limits {
	if b.nextAt != 0 && b.nextAt <= now {
		return b.next
	}
	return b.Limits
}

// Withdraw asks for a withdrawal. The caller has put Amount and MaxFee on hold, or
// does so if the code is OK; codes are those of CheckWithdraw (Y-60).
func (s *State) Withdraw(owner Owner, r *Request, now uint64) (ID, Code) {
	if code := s.CheckWithdraw(owner, r, now); code != OK {
		return 0, code
	}
	b, own := s.bank(r.Bank), s.account(owner)
	ms, counts := s.delay(b, own, r, now)
	s.last++
	s.touch((*global)(s))
	w := &withdrawal{bank: b, Withdrawal: Withdrawal{
		ID: s.last, Request: *r, Owner: owner, Asked: now, From: after(now, ms),
	}}
	w.Script = bytes.Clone(r.Script)
	b.enqueue(w)
	own.withdrawals = append(own.withdrawals, w)
	s.touch(w)
	if counts {
		own.draw(s, b, r.Amount, r.Salt, now)
	}
	return w.ID, OK
}

// enqueue makes a withdrawal wait.
func (b *bank) enqueue(w *withdrawal) {
	insert(&b.pending, w, (*withdrawal).byID)
	insert(&b.waiting, w, (*withdrawal).byTime)
}

// dequeue makes a withdrawal wait no more.
func (b *bank) dequeue(w *withdrawal) {
	remove(&b.pending, w, (*withdrawal).byID)
	remove(&b.waiting, w, (*withdrawal).byTime)
}

// delay is for how long a request has to wait, and whether it counts against what the
// account may withdraw to new outputs without the bank's delay (Y-61).
func (s *State) delay(b *bank, own *account, r *Request, now uint64) (ms uint64, counts bool) {
	set, limits := own.now(now), b.limits(now)
	if set.allows(r.Bank, r.Script) {
		return 0, false
	}
	if limits.Delay > 0 && limits.DelayAbove < asset.MaxSupply && !own.knows(b, r.Script, now) {
		sum, ok := own.drawn(b, now).Add(r.Amount)
		if counts = ok && sum <= limits.DelayAbove; !counts {
			ms = limits.Delay
		}
	}
	return max(ms, set.Delay), counts
}

// Cancel takes back a withdrawal that no transaction pays yet, and returns it for
// the caller to release Amount and MaxFee: OK, Unknown, NotOwner or InBatch.
func (s *State) Cancel(id ID, owner Owner) (Withdrawal, Code) {
	w, ok := s.find(withdrawalKey(id)).(*withdrawal)
	switch {
	case !ok:
		return Withdrawal{}, Unknown
	case w.Owner != owner:
		return Withdrawal{}, NotOwner
	case w.Batch != 0:
		return Withdrawal{}, InBatch
	}
	w.bank.dequeue(w)
	s.forgetWithdrawal(w)
	return w.Withdrawal, OK
}

func (s *State) forgetWithdrawal(w *withdrawal) {
	own := s.account(w.Owner)
	own.withdrawals = slices.DeleteFunc(own.withdrawals, func(x *withdrawal) bool { return x == w })
	s.drop(w)
}

// waiting counts an account's withdrawals of a bank that are not settled.
func (a *account) waiting(id Bank) (n int) {
	for _, w := range a.withdrawals {
		if w.Bank == id {
			n++
		}
	}
	return n
}

// settledAs remembers a withdrawal that was paid.
func (s *State) settledAs(w *withdrawal, d Settled) {
	s.forgetWithdrawal(w)
	record := &done{d, w.bank}
	insert(&s.records, record, (*done).byTime)
	s.touch(record)
	own := s.account(w.Owner)
	own.settled = append(own.settled, record)
	own.remember(s, w.bank, w.Script, w.Salt, d.Time)
}

// forget drops records that are old enough.
func (s *State) forget(now uint64) {
	for range MaxForget {
		if len(s.records) == 0 || after(s.records[0].Time, RecordFor) > now {
			return
		}
		own := s.account(s.records[0].Owner)
		own.settled = slices.DeleteFunc(own.settled, func(x *done) bool { return x == s.records[0] })
		s.drop(s.records[0])
		s.records = slices.Delete(s.records, 0, 1)
	}
}

// scriptID is what is remembered of an output that was paid to.
func scriptID(b Bank, out []byte) (id [16]byte) {
	h := sha256.Sum256(append([]byte{byte(b)}, out...)) //nolint:gosec // at most MaxBanks
	copy(id[:], h[:])
	return id
}
