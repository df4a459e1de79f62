package check

import (
	"bytes"
	"fmt"
	"slices"

	"souk/asset"
	"souk/chain"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/roster"
	"souk/script"
)

// Payouts is what a history says of one bank's withdrawals: what was asked for, and
// every transaction that may have been signed for it (I8). It believes that none of
// them is lost: whatever was recorded once may be mined at any time.
type Payouts struct {
	wanted  map[custody.ID]Wanted
	batches map[uint64]custody.Batch
	paying  map[custody.ID][]script.Hash // transactions recorded for it, in their order
	inputs  map[script.Hash][]script.Outpoint
	settled map[custody.ID]script.Outpoint
}

// Wanted is a withdrawal as it was asked for.
type Wanted struct {
	Script []byte
	Amount asset.Amount
	MaxFee asset.Amount
}

// Paid is an output on the chain.
type Paid struct {
	At     script.Outpoint
	Amount asset.Amount
}

// NewPayouts is a history in which nothing was asked for.
func NewPayouts() *Payouts {
	return &Payouts{
		wanted: map[custody.ID]Wanted{}, batches: map[uint64]custody.Batch{}, paying: map[custody.ID][]script.Hash{},
		inputs: map[script.Hash][]script.Outpoint{}, settled: map[custody.ID]script.Outpoint{},
	}
}

// Asked notes a withdrawal.
func (p *Payouts) Asked(id custody.ID, w Wanted) error {
	if _, ok := p.wanted[id]; ok {
		return fmt.Errorf("I8: withdrawal %d is asked for twice", id)
	}
	p.wanted[id] = w
	return nil
}

// Record takes a batch as the ledger has it, with the transactions of its versions: it
// pays what was asked for, to the byte, it never changes but for further versions, and
// what it pays cannot be paid by any other transaction besides.
func (p *Payouts) Record(t *custody.Batch, transactions []script.Transaction) error {
	old, known := p.batches[t.Number]
	if known && (!slices.EqualFunc(old.Payouts, t.Payouts, sameOutput) ||
		len(old.Versions) > len(t.Versions) || !slices.Equal(old.Versions, t.Versions[:len(old.Versions)])) {
		return fmt.Errorf("I8: batch %d was %+v and is %+v", t.Number, old, *t)
	}
	if len(transactions) != len(t.Versions) {
		return fmt.Errorf("I8: batch %d has %d versions and %d transactions", t.Number, len(t.Versions), len(transactions))
	}
	p.batches[t.Number] = *t
	for i := range transactions {
		if err := p.version(t, i, &transactions[i]); err != nil {
			return fmt.Errorf("I8: version %d of batch %d: %w", i+1, t.Number, err)
		}
	}
	return nil
}

func sameOutput(a, b custody.Output) bool {
	return a.ID == b.ID && a.Amount == b.Amount && a.Fee == b.Fee && bytes.Equal(a.Script, b.Script)
}

func (p *Payouts) version(t *custody.Batch, i int, tx *script.Transaction) error {
	if tx.ID() != t.Versions[i].Tx {
		return fmt.Errorf("its id is %s, not %s", tx.ID(), t.Versions[i].Tx)
	}
	same := func(at script.Outpoint, in custody.Input) bool { return at == in.At }
	if !slices.EqualFunc(tx.Inputs, t.Spends(i+1), same) {
		return fmt.Errorf("it spends %v", tx.Inputs)
	}
	if before, known := p.inputs[tx.ID()]; known && !slices.Equal(before, tx.Inputs) {
		return fmt.Errorf("it spent %v and spends %v", before, tx.Inputs)
	}
	p.inputs[tx.ID()] = tx.Inputs
	left := slices.Clone(tx.Outputs)
	for n := range t.Payouts {
		x := &t.Payouts[n]
		w, ok := p.wanted[x.ID]
		if !ok || x.Amount != w.Amount || !bytes.Equal(x.Script, w.Script) || x.Fee > w.MaxFee {
			return fmt.Errorf("it pays %+v, asked for were %+v", *x, w)
		}
		at := slices.IndexFunc(left, func(o script.Output) bool { return o.Amount == w.Amount && bytes.Equal(o.Script, w.Script) })
		if at < 0 {
			return fmt.Errorf("it does not pay withdrawal %d", x.ID)
		}
		left = slices.Delete(left, at, at+1)
		if err := p.alone(x.ID, tx.ID()); err != nil {
			return err
		}
	}
	change := 0
	if t.Versions[i].Change > 0 {
		change = 1
	}
	if len(left) != change || change == 1 && left[0].Amount != t.Versions[i].Change {
		return fmt.Errorf("it has outputs besides: %+v", left)
	}
	return nil
}

// alone checks that a transaction conflicts with every other one for the withdrawal.
func (p *Payouts) alone(id custody.ID, tx script.Hash) error {
	if slices.Contains(p.paying[id], tx) {
		return nil
	}
	for _, other := range p.paying[id] {
		if !p.conflict(tx, other) {
			return fmt.Errorf("withdrawal %d may be paid by %s and %s", id, tx, other)
		}
	}
	p.paying[id] = append(p.paying[id], tx)
	return nil
}

// conflict tells whether at most one of two transactions can be mined: they, or the
// bank's transactions that they come from, spend a coin in common.
func (p *Payouts) conflict(a, b script.Hash) bool {
	spent := map[script.Outpoint]script.Hash{}
	p.origin(a, func(at script.Outpoint, by script.Hash) { spent[at] = by })
	clash := false
	p.origin(b, func(at script.Outpoint, by script.Hash) {
		other, ok := spent[at]
		clash = clash || ok && other != by
	})
	return clash
}

// origin yields the coins that a transaction, and what it comes from, spends.
func (p *Payouts) origin(tx script.Hash, yield func(at script.Outpoint, by script.Hash)) {
	seen := map[script.Hash]bool{tx: true}
	for next := []script.Hash{tx}; len(next) > 0; next = next[1:] {
		for _, at := range p.inputs[next[0]] {
			yield(at, next[0])
			if _, ours := p.inputs[at.Tx]; ours && !seen[at.Tx] {
				seen[at.Tx] = true
				next = append(next, at.Tx)
			}
		}
	}
}

// Settled takes the end of a withdrawal as the ledger has it.
func (p *Payouts) Settled(s *custody.Settled) error {
	w, ok := p.wanted[s.ID]
	at, twice := p.settled[s.ID]
	switch {
	case twice:
		return fmt.Errorf("I8: withdrawal %d is settled at %s and at %s", s.ID, at, s.At)
	case !ok || s.Amount != w.Amount || s.Fee > w.MaxFee || !bytes.Equal(s.Script, w.Script):
		return fmt.Errorf("I8: withdrawal %d is settled with %+v, asked for were %+v", s.ID, *s, w)
	case !slices.Contains(p.paying[s.ID], s.At.Tx):
		return fmt.Errorf("I8: withdrawal %d is settled by %s, which is none of its transactions", s.ID, s.At.Tx)
	}
	p.settled[s.ID] = s.At
	return nil
}

// Chain compares everything with what the best chain pays to scripts, each of which
// belongs to one withdrawal: nothing is paid twice, or otherwise than it was asked for, or by a
// transaction that the ledger does not know. What is settled is there, unless the chain
// has undone it: replaced a block with the transaction that was as deep as it must be, and
// with it something that it spends, so that it cannot come back. For that everything must
// have halted (I19).
func (p *Payouts) Chain(paid func(out []byte) []Paid, undone func(tx script.Hash) bool, halted bool) error {
	for id, w := range p.wanted {
		list := paid(w.Script)
		switch at, done := p.settled[id]; {
		case len(list) > 1:
			return fmt.Errorf("I8: withdrawal %d is paid %d times: %+v", id, len(list), list)
		case len(list) == 1 && (list[0].Amount != w.Amount || !slices.Contains(p.paying[id], list[0].At.Tx)):
			return fmt.Errorf("I8: withdrawal %d is paid %+v, asked for were %d", id, list[0], w.Amount)
		case done && len(list) == 0 && !undone(at.Tx):
			return fmt.Errorf("I8: withdrawal %d is settled at %s, the chain has nothing", id, at)
		case done && len(list) == 0 && !halted:
			return fmt.Errorf("I19: the chain has undone withdrawal %d at %s, which was settled, and nothing halted", id, at)
		}
	}
	return nil
}

// Inputs are what a recorded transaction spends.
func (p *Payouts) Inputs(tx script.Hash) []script.Outpoint { return p.inputs[tx] }

// Filter looks for payments to everything that was asked for.
func (p *Payouts) Filter() *chain.Filter {
	f := chain.NewFilter()
	for _, w := range p.wanted {
		f.Watch(w.Script)
	}
	return f
}

// Asks is how many withdrawals were asked for, Ends how many have settled.
func (p *Payouts) Asks() int { return len(p.wanted) }

// Ends is how many withdrawals have settled.
func (p *Payouts) Ends() int { return len(p.settled) }

// Halts checks what a block reports while banks are halted: nothing is paid out or signed,
// and what ends a halt is a vote, when no bank lacks anything (I19).
func Halts(before custody.Halt, events []exchange.Event, after custody.Halt, sums []custody.Sums) error {
	halted := before.Reason != custody.Running
	voted := slices.ContainsFunc(events, func(e exchange.Event) bool {
		if e.Kind != exchange.EventActionPassed {
			return false
		}
		action, _, err := roster.ParseAction(e.Action)
		_, lift := action.(roster.LiftBank)
		return err == nil && lift
	})
	for i := range events {
		switch e := &events[i]; e.Kind { //nolint:exhaustive // those that matter to a halt
		case exchange.EventBanksHalted:
			halted = true
		case exchange.EventBankLifted:
			if !voted || !halted {
				return fmt.Errorf("I19: the halt %+v is lifted without a vote", before)
			}
			halted = false
		case exchange.EventWithdrawalSent, exchange.EventBatch, exchange.EventSigned:
			if halted {
				return fmt.Errorf("I19: %d of batch or withdrawal %d, event %d, while the banks are halted", e.Amount, e.Number, e.Kind)
			}
		}
	}
	if halted != (after.Reason != custody.Running) {
		return fmt.Errorf("I19: the halt goes from %+v to %+v, and events do not say so", before, after)
	}
	for i := range sums {
		if sums[i].Deficit != 0 && !halted {
			return fmt.Errorf("I19: bank %d lacks %d and is not halted", i+1, sums[i].Deficit)
		}
	}
	return nil
}

// banks takes what a block did with the one bank that a simulated federation has.
func (a *Auditor) banks(b *exchange.Block, res *exchange.Result, before custody.Halt) error {
	banks := a.state.Banks()
	if banks == nil {
		return nil
	}
	if err := Halts(before, res.Events, banks.Halted(), a.state.Solvency()); err != nil {
		return err
	}
	if why := banks.Halted().Reason; why == custody.Reorganisation || why == custody.Theft {
		a.halted = true
	}
	for i := range b.Commands {
		c, rc := &b.Commands[i], &res.Receipts[i]
		if c.Kind != exchange.KindWithdraw || rc.Code != exchange.OK {
			continue
		}
		id := custody.ID(rc.Number)
		if _, again := a.payouts.wanted[id]; again && slices.ContainsFunc(b.Commands[:i], func(o exchange.Command) bool { return o.ID == c.ID }) {
			continue // one command twice in a block
		}
		body, ok := exchange.ParseBody(c.Kind, c.Body)
		w, is := body.(*exchange.Withdraw)
		if !ok || !is {
			return fmt.Errorf("I8: withdrawal %d has no body", id)
		}
		if err := a.payouts.Asked(id, Wanted{w.Script, w.Amount, w.MaxFee}); err != nil {
			return err
		}
	}
	for i := range res.Events {
		e := &res.Events[i]
		var err error
		switch e.Kind { //nolint:exhaustive // those of payouts
		case exchange.EventBatch:
			err = a.recorded(banks, e.Number)
		case exchange.EventWithdrawn:
			if s, ok := banks.Settled(custody.ID(e.Number)); ok {
				err = a.payouts.Settled(&s)
			} else {
				err = fmt.Errorf("I8: withdrawal %d is paid and not settled", e.Number)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// recorded looks at a batch that has a new version.
func (a *Auditor) recorded(banks *custody.State, number uint64) error {
	const bank = 1
	t, ok := banks.Batch(bank, number)
	if !ok {
		return nil // given up in the same block
	}
	var all []script.Transaction
	for v := range t.Versions {
		tx, ok := banks.Transaction(bank, number, uint8(v+1))
		if !ok {
			return fmt.Errorf("I8: batch %d has no transaction %d", number, v+1)
		}
		all = append(all, tx)
	}
	return a.payouts.Record(&t, all)
}

// Halted tells whether the chain has ever halted the banks.
func (a *Auditor) Halted() bool { return a.halted }

// Payouts is what the history says of withdrawals.
func (a *Auditor) Payouts() *Payouts { return a.payouts }
