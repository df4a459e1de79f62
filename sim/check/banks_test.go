package check_test

import (
	"slices"
	"strings"
	"testing"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/exchange/roster"
	"souk/script"
	"souk/sim/check"
)

// history is a history of withdrawals in which a test plants a fault.
type history struct {
	t *testing.T
	p *check.Payouts
}

// wanted is the n-th withdrawal.
func wanted(n int) check.Wanted {
	return check.Wanted{Script: exchangetest.Output(string(rune('a' + n))), Amount: asset.Amount(1000 * (n + 1)), MaxFee: 100}
}

func outpoint(name string) script.Outpoint { return script.Outpoint{Tx: exchangetest.BankHash(name)} }

// batch is a batch that spends coins and pays withdrawals, with one version for each
// amount of change; zero is none.
func batch(number uint64, coins []script.Outpoint, ids []int, changes ...asset.Amount) (*custody.Batch, []script.Transaction) {
	t := &custody.Batch{Bank: 1, Number: number, Kind: custody.Payout}
	for _, at := range coins {
		t.Inputs = append(t.Inputs, custody.Input{At: at, Amount: 50_000})
	}
	for _, n := range ids {
		w := wanted(n)
		t.Payouts = append(t.Payouts, custody.Output{ID: custody.ID(n + 1), Script: w.Script, Amount: w.Amount, Fee: 50})
	}
	var all []script.Transaction
	for _, change := range changes {
		tx := script.Transaction{Version: script.Version, Sequence: script.SequenceReplace, Inputs: coins}
		for _, p := range t.Payouts {
			tx.Outputs = append(tx.Outputs, script.Output{Script: p.Script, Amount: p.Amount})
		}
		if change > 0 {
			tx.Outputs = append(tx.Outputs, script.Output{Script: exchangetest.Output("change"), Amount: change})
		}
		all = append(all, tx)
		t.Versions = append(t.Versions, custody.Version{Change: change, Tx: tx.ID()})
	}
	return t, all
}

func (h *history) record(t *custody.Batch, all []script.Transaction) {
	h.t.Helper()
	if err := h.p.Record(t, all); err != nil {
		h.t.Fatal(err)
	}
}

// three asks for three withdrawals, of which batch 1 pays two in two versions.
func three(t *testing.T) *history {
	h := &history{t, check.NewPayouts()}
	for n := range 3 {
		if err := h.p.Asked(custody.ID(n+1), wanted(n)); err != nil {
			t.Fatal(err)
		}
	}
	h.record(batch(1, []script.Outpoint{outpoint("x")}, []int{0, 1}, 4000))
	h.record(batch(1, []script.Outpoint{outpoint("x")}, []int{0, 1}, 4000, 3000))
	return h
}

func (h *history) caught(what string, err error) {
	h.t.Helper()
	h.breaks("I8", what, err)
}

func (h *history) breaks(invariant, what string, err error) {
	h.t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), invariant+": ") {
		h.t.Errorf("%s is not caught: %v", what, err)
	}
}

// I8: what the ledger records is what was asked for, never changes, and can be mined once.
func TestPayoutsRecorded(t *testing.T) {
	x := []script.Outpoint{outpoint("x")}
	for what, spoil := range map[string]func(*custody.Batch, []script.Transaction){
		"another amount": func(_ *custody.Batch, all []script.Transaction) { all[1].Outputs[0].Amount++ },
		"another output": func(_ *custody.Batch, all []script.Transaction) {
			all[1].Outputs[1].Script = exchangetest.Output("thief")
		},
		"a payout left out": func(_ *custody.Batch, all []script.Transaction) { all[1].Outputs = all[1].Outputs[1:] },
		"one more output": func(_ *custody.Batch, all []script.Transaction) {
			all[1].Outputs = append(all[1].Outputs, script.Output{Script: exchangetest.Output("thief"), Amount: 1})
		},
		"another coin":      func(_ *custody.Batch, all []script.Transaction) { all[1].Inputs = []script.Outpoint{outpoint("y")} },
		"too large a share": func(b *custody.Batch, _ []script.Transaction) { b.Payouts[0].Fee = 101 },
		"another bound amount": func(b *custody.Batch, _ []script.Transaction) {
			b.Payouts[1].Amount--
		},
	} {
		p := check.NewPayouts()
		for n := range 2 {
			_ = p.Asked(custody.ID(n+1), wanted(n)) // it is the first
		}
		b, all := batch(1, x, []int{0, 1}, 4000, 3000)
		for i := range all { // not shared
			all[i].Outputs, all[i].Inputs = slices.Clone(all[i].Outputs), slices.Clone(all[i].Inputs)
		}
		spoil(b, all)
		for i := range all {
			b.Versions[i].Tx = all[i].ID()
		}
		(&history{t, p}).caught(what, p.Record(b, all))
	}
	h := three(t)
	h.caught("a withdrawal asked for twice", h.p.Asked(1, wanted(0)))
	h.caught("a batch with other inputs", h.p.Record(batch(1, []script.Outpoint{outpoint("y")}, []int{0, 1}, 4000, 3000)))
	h.caught("a batch with other payouts", h.p.Record(batch(1, x, []int{0, 2}, 4000, 3000)))
	h.caught("a version that is gone", h.p.Record(batch(1, x, []int{0, 1}, 4000)))
	h.caught("another version 1", h.p.Record(batch(1, x, []int{0, 1}, 3900, 3000)))
	h.caught("a withdrawal that nobody asked for", h.p.Record(batch(2, []script.Outpoint{outpoint("z")}, []int{7}, 1)))
}

// I8: whatever may be signed for a withdrawal conflicts pairwise.
func TestPayoutsConflict(t *testing.T) {
	h := three(t)
	h.caught("two batches that can both be mined", h.p.Record(batch(2, []script.Outpoint{outpoint("y")}, []int{1}, 1)))
	h.record(batch(3, []script.Outpoint{outpoint("y"), outpoint("x")}, []int{1}, 1)) // it needs the same coin
	// Transactions that come from different versions of one batch exclude each other.
	_, all := batch(1, []script.Outpoint{outpoint("x")}, []int{0, 1}, 4000, 3000)
	h.record(batch(4, []script.Outpoint{{Tx: all[0].ID(), Index: 2}}, []int{2}, 1))
	h.record(batch(5, []script.Outpoint{{Tx: all[1].ID(), Index: 2}}, []int{2}, 1))
	h.caught("one that comes from none of them", h.p.Record(batch(6, []script.Outpoint{outpoint("z")}, []int{2}, 1)))
}

// I8: a withdrawal ends once, by one of its transactions, and the chain says the same.
func TestPayoutsOnChain(t *testing.T) {
	b, _ := batch(1, []script.Outpoint{outpoint("x")}, []int{0, 1}, 4000, 3000)
	good := func(n int) *custody.Settled {
		w := wanted(n)
		return &custody.Settled{ID: custody.ID(n + 1), Script: w.Script, Amount: w.Amount, Fee: 50, At: script.Outpoint{Tx: b.Versions[1].Tx, Index: uint32(n)}}
	}
	for what, spoil := range map[string]func(*custody.Settled){
		"another amount":      func(s *custody.Settled) { s.Amount-- },
		"another output":      func(s *custody.Settled) { s.Script = exchangetest.Output("thief") },
		"too large a share":   func(s *custody.Settled) { s.Fee = 101 },
		"another transaction": func(s *custody.Settled) { s.At = outpoint("other") },
		"an unknown one":      func(s *custody.Settled) { s.ID = 9 },
	} {
		h, s := three(t), good(0)
		spoil(s)
		h.caught(what, h.p.Settled(s))
	}
	chain := map[string][]check.Paid{}
	paid := func(out []byte) []check.Paid { return chain[string(out)] }
	h := three(t)
	for n := range 2 {
		if err := h.p.Settled(good(n)); err != nil {
			t.Fatal(err)
		}
		chain[string(wanted(n).Script)] = []check.Paid{{At: good(n).At, Amount: wanted(n).Amount}}
	}
	h.caught("settled twice", h.p.Settled(good(0)))
	sound := func(script.Hash) bool { return false }
	if err := h.p.Chain(paid, sound, false); err != nil {
		t.Fatal(err)
	}
	w := wanted(1)
	for what, list := range map[string][]check.Paid{
		"nothing on the chain":       nil,
		"paid twice":                 {{At: good(1).At, Amount: w.Amount}, {At: outpoint("again"), Amount: w.Amount}},
		"paid too much":              {{At: good(1).At, Amount: w.Amount + 1}},
		"paid by who knows whom":     {{At: outpoint("other"), Amount: w.Amount}},
		"paid by a replaced version": {{At: script.Outpoint{Tx: b.Versions[0].Tx, Index: 1}, Amount: w.Amount}},
	} {
		chain[string(w.Script)] = list
		if err := h.p.Chain(paid, sound, true); what == "paid by a replaced version" {
			if err != nil {
				t.Errorf("%s is a payment too: %v", what, err)
			}
		} else {
			h.caught(what, err)
		}
	}
	delete(chain, string(w.Script))
	undone := func(tx script.Hash) bool { return tx == good(1).At.Tx }
	h.caught("settled, and gone from a chain that undid nothing", h.p.Chain(paid, sound, true))
	h.breaks("I19", "undone by the chain, and nothing halted", h.p.Chain(paid, undone, false))
	if err := h.p.Chain(paid, undone, true); err != nil {
		t.Errorf("undone by the chain, and halted: %v", err)
	}
}

// I19: a halt lasts until a vote ends it.
func TestHalts(t *testing.T) {
	lift := exchange.Event{Kind: exchange.EventActionPassed, Action: roster.AppendAction(nil, roster.LiftBank{Bank: 1, Reasons: 1}, 0)}
	stop := exchange.Event{Kind: exchange.EventActionPassed, Action: roster.AppendAction(nil, roster.HaltBanks{}, 0)}
	is := func(k exchange.EventKind) exchange.Event { return exchange.Event{Kind: k, Number: 7} }
	sent, lifted, halted := is(exchange.EventWithdrawalSent), is(exchange.EventBankLifted), is(exchange.EventBanksHalted)
	running, stopped := custody.Halt{}, custody.Halt{Reason: custody.Theft, Bank: 1}
	lacks := []custody.Sums{{Books: 2, Free: 1, Deficit: 1}}
	for what, c := range map[string]struct {
		before custody.Halt
		events []exchange.Event
		after  custody.Halt
		sums   []custody.Sums
		good   bool
	}{
		"payouts as usual":               {running, []exchange.Event{sent}, running, nil, true},
		"a halt that lasts":              {stopped, []exchange.Event{is(exchange.EventWithdrawn)}, stopped, lacks, true},
		"a halt lifted by vote":          {stopped, []exchange.Event{lifted, lift, sent}, running, nil, true},
		"a halt by vote":                 {running, []exchange.Event{sent, halted, stop}, stopped, nil, true},
		"a payout during a halt":         {stopped, []exchange.Event{sent}, stopped, nil, false},
		"a transaction during a halt":    {stopped, []exchange.Event{is(exchange.EventBatch)}, stopped, nil, false},
		"a signature during a halt":      {stopped, []exchange.Event{is(exchange.EventSigned)}, stopped, nil, false},
		"a payout after a halt":          {running, []exchange.Event{halted, sent}, stopped, nil, false},
		"a payout before the lift":       {stopped, []exchange.Event{sent, lifted, lift}, running, nil, false},
		"a halt that is forgotten":       {stopped, nil, running, nil, false},
		"a halt without a word":          {running, nil, stopped, nil, false},
		"a lift without a vote":          {stopped, []exchange.Event{lifted}, running, nil, false},
		"a lift by another vote":         {stopped, []exchange.Event{lifted, stop}, running, nil, false},
		"a deficit and no halt":          {running, nil, running, lacks, false},
		"a lift while something lacks":   {stopped, []exchange.Event{lifted, lift}, running, lacks, false},
		"a lift of what was not stopped": {running, []exchange.Event{lifted, lift}, running, nil, false},
	} {
		err := check.Halts(c.before, c.events, c.after, c.sums)
		if c.good != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), "I19: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
