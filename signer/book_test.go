package signer_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	. "souk/exchange/exchangetest"
	"souk/merkle"
	"souk/script"
	"souk/signer"
)

// W-10: each thing by itself that the journal forbids, and what it does not.
func TestJournalBinds(t *testing.T) {
	coin := func(n byte) []script.Outpoint { return []script.Outpoint{{Tx: script.Hash{n}, Index: uint32(n)}} }
	pays := func(id custody.ID) []custody.ID { return []custody.ID{id} }
	before := &signer.Order{Batch: 5, Version: 1, Tx: script.Hash{1}, Pays: pays(12), Spends: coin(1)}
	for what, c := range map[string]struct {
		order signer.Order
		good  bool
	}{
		"another batch":               {signer.Order{Batch: 6, Version: 1, Tx: script.Hash{2}, Pays: pays(13), Spends: coin(2)}, true},
		"the same again":              {*before, true},
		"the next version":            {signer.Order{Batch: 5, Version: 2, Tx: script.Hash{2}, Pays: pays(12), Spends: coin(1)}, true},
		"a batch of the same payout":  {signer.Order{Batch: 6, Version: 1, Tx: script.Hash{2}, Pays: pays(12), Spends: coin(2)}, false},
		"a batch of the same coin":    {signer.Order{Batch: 6, Version: 1, Tx: script.Hash{2}, Pays: pays(13), Spends: coin(1)}, false},
		"another transaction for it":  {signer.Order{Batch: 5, Version: 1, Tx: script.Hash{2}, Pays: pays(12), Spends: coin(1)}, false},
		"other payouts in it":         {signer.Order{Batch: 5, Version: 2, Tx: script.Hash{2}, Pays: pays(13), Spends: coin(1)}, false},
		"a version without its coins": {signer.Order{Batch: 5, Version: 2, Tx: script.Hash{2}, Pays: pays(12), Spends: coin(2)}, false},
	} {
		if err := signer.BindAfter(0, 0, before, c.order); c.good != (err == nil) || err != nil && !errors.Is(err, signer.ErrBound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for id, good := range map[custody.ID]bool{29: true, 30: false, 31: false, 32: false, 33: true} {
		o := signer.Order{Batch: 6, Version: 1, Tx: script.Hash{2}, Pays: pays(id), Spends: coin(2)}
		if err := signer.BindAfter(30, 32, nil, o); good != (err == nil) || err != nil && !errors.Is(err, signer.ErrBound) {
			t.Errorf("30 to 32 are paid, and %d is to be: %v", id, err)
		}
	}
}

// W-13: a journal out of a backup that knows a batch, but not its newest version, takes that
// over too, and with it what the next one may not leave out.
func TestJournalOldVersion(t *testing.T) {
	coins := func(list ...byte) (all []script.Outpoint) {
		for _, n := range list {
			all = append(all, script.Outpoint{Tx: script.Hash{n}})
		}
		return all
	}
	version := func(n uint8, pays custody.ID, spends ...byte) signer.Order {
		return signer.Order{Batch: 7, Version: n, Tx: script.Hash{100 + n}, Pays: []custody.ID{pays}, Spends: coins(spends...)}
	}
	known := []signer.Order{version(1, 12, 1, 2)}
	given := []signer.Order{version(1, 12, 1, 2), version(2, 12, 2, 3)}
	other := version(2, 12, 1, 2)
	other.Tx = script.Hash{1}
	for what, c := range map[string]struct {
		given []signer.Order
		order signer.Order
		good  bool
	}{
		"no coin of the version that it had forgotten": {given, version(3, 12, 1, 4), false},
		"a coin of both":                      {given, version(3, 12, 2, 4), true},
		"the one that it had forgotten":       {given, given[1], true},
		"another one for that":                {given, other, false},
		"the ledger has no more than it":      {known, version(3, 12, 1, 4), true},
		"the ledger's batch was another one":  {[]signer.Order{version(2, 13, 2, 3)}, version(3, 12, 1, 4), true},
		"the ledger's coins are of a version": {[]signer.Order{version(2, 12, 2, 3)}, version(1, 12, 1, 2), true},
	} {
		if err := signer.BindRestored(known, c.given, c.order); c.good != (err == nil) || err != nil && !errors.Is(err, signer.ErrBound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// W-12: a batch that settled so long ago that the ledger has forgotten it is no batch that
// was given up, though a coin that only a former version of it would have spent has gone to
// another batch since.
func TestJournalForgotten(t *testing.T) {
	w := newWorld(t)
	w.deposit(3*Coin, 3*Coin, 9*Coin)
	id := w.withdraw(5e7)
	first := w.batch(id)
	b, _ := w.State.Banks().Batch(Bank, first)
	signed := signer.Order{Batch: first, Version: 1, Tx: b.Versions[0].Tx, Pays: []custody.ID{id}, Spends: []script.Outpoint{b.Inputs[0].At}}
	if ended, _ := signer.Ended(w.State.Banks(), Bank, signed); ended {
		t.Error("a live batch has ended")
	}
	w.chain.MineBatches()
	for range custody.Keep/custody.MaxHashes + 2 {
		w.mine(custody.MaxHashes)
	}
	second := w.batch(w.withdraw(4e7))
	b, _ = w.State.Banks().Batch(Bank, second)
	w.chain.MineBatches()
	w.mine(6)
	banks := w.State.Banks()
	_, known := banks.Batch(Bank, first)
	if _, _, spent := banks.Spent(Bank, b.Inputs[0].At); known || !spent {
		t.Fatalf("the first batch is known: %v, the coin is spent: %v", known, spent)
	}
	signed.Spends = append(signed.Spends, b.Inputs[0].At)
	if ended, paid := signer.Ended(banks, Bank, signed); !ended || !paid {
		t.Errorf("ended %v, paid %v", ended, paid)
	}
}

// W-12: what a copy of the ledger has not come to yet goes on, also when something older
// of that copy is signed.
func TestJournalAhead(t *testing.T) {
	w := newWorld(t)
	w.deposit(3*Coin, 3*Coin, 9*Coin)
	first := w.batch(w.withdraw(5e7))
	early := w.fork() // the second withdrawal is not asked for yet
	second := w.batch(w.withdraw(4e7))
	if first == second {
		t.Fatal("one batch pays both")
	}
	w.signed(second, 1)
	if _, err := early.sign(first, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sign(second, 1); err != nil {
		t.Errorf("the second batch after the first one of an early copy: %v", err)
	}
}

// rewritten is a copy of the ledger in which some bytes of the leaves of a batch and of the
// coin that it spends are others.
func (w *world) rewritten(number uint64, replace ...[2][]byte) *custody.State {
	w.t.Helper()
	b, _ := w.State.Banks().Batch(Bank, number)
	s, err := exchange.Load(w.State.Founding(), func(yield func(merkle.Key, []byte) bool) {
		for k, value := range w.State.Leaves {
			if k == custody.BatchKey(Bank, number) || k == custody.CoinKey(Bank, b.Inputs[0].At) {
				for _, r := range replace {
					value = bytes.Replace(value, r[0], r[1], 1)
				}
			}
			if !yield(k, value) {
				return
			}
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s.Banks()
}

// W-2: a ledger that somebody has rewritten so that all fits together, but a payout goes
// elsewhere, or most of a coin to the miners, is not signed for.
func TestSignRewritten(t *testing.T) {
	w := newWorld(t)
	w.deposit(30 * Coin)
	number := w.batch(w.withdraw(25e7))
	b, _ := w.State.Banks().Batch(Bank, number)
	good, _ := w.State.Banks().Transaction(Bank, number, 1)
	evil := good
	evil.Outputs = slices.Clone(good.Outputs)
	evil.Outputs[b.Place(0, 1)].Script = Output("thief")
	was, is := good.ID(), evil.ID()

	elsewhere := w.rewritten(number, [2][]byte{b.Payouts[0].Script, Output("thief")}, [2][]byte{was[:], is[:]})
	if tx, _ := elsewhere.Transaction(Bank, number, 1); tx.ID() != is {
		t.Fatal("the rewritten ledger has another transaction")
	}
	u64 := func(a asset.Amount) []byte { return binary.BigEndian.AppendUint64(nil, uint64(a)) }
	fee, amount := b.Versions[0].Fee, b.Inputs[0].Amount
	wasted := w.rewritten(number, [2][]byte{u64(amount), u64(amount + 20*Coin)}, [2][]byte{
		append(u64(fee), u64(b.Versions[0].Change)...), append(u64(fee+20*Coin), u64(b.Versions[0].Change)...),
	})
	if x, _ := wasted.Batch(Bank, number); x.Versions[0].Fee != fee+20*Coin {
		t.Fatalf("the rewritten ledger has a fee of %d", x.Versions[0].Fee)
	}
	for what, banks := range map[string]*custody.State{"another output": elsewhere, "a fee of 20 coins": wasted} {
		if x, err := w.own.Sign(banks, w.me, Bank, number, 1); !errors.Is(err, signer.ErrUnfit) {
			t.Errorf("%s: %v, %v", what, x, err)
		}
	}
	if _, err := w.own.Sign(w.rewritten(number), w.me, Bank, number, 1); err != nil {
		t.Errorf("a copy in which nothing was rewritten: %v", err)
	}
}
