package auditor

import (
	"slices"

	"souk/asset"
	"souk/exchange/custody"
	"souk/script"
)

// What a live batch says of itself counts as far as its transactions can be rebuilt from
// it, and, once one is mined, as far as that has brought it.

// live is a live batch, and what it is to the chain.
type live struct {
	custody.BatchRecord
	fits  bool // its transactions are what its leaf says
	mined int  // the version that has spent one of its inputs, from 1; zero for none
}

// version tells which version a transaction is, from 1; zero for none. A leaf that does
// not fit has none.
func (t *live) version(tx script.Hash) int {
	if !t.fits {
		return 0
	}
	return 1 + slices.IndexFunc(t.Versions, func(v custody.Version) bool { return v.Tx == tx })
}

// batch counts what a live batch brings back, and looks for what it spends and, once it
// is mined, for what it has brought.
func (s *sums) batch(number uint64) {
	t := &live{BatchRecord: s.batches[number]}
	s.plus(&s.report.Change, t.Back())
	t.fits = s.fits(&t.BatchRecord)
	gone := false
	for i := range t.Inputs {
		if x, ok := s.watch.spends[t.Inputs[i].At]; ok {
			gone, t.mined = true, max(t.mined, t.version(x.by))
		}
	}
	newest, before := len(t.Versions), s.report.Lost
	for _, in := range t.Spends(newest) {
		s.have(&in, t)
	}
	change, taken := t.Versions[newest-1].Change, s.report.Lost-before
	switch {
	case !t.fits:
		if at, ok := t.Change(newest); ok && change > taken { // what its inputs lack is lost already
			s.miss(Missing{At: at, Amount: change - taken})
		}
	case t.mined != 0:
		s.brought(t, change)
	}
	if !gone {
		v := &t.Versions[newest-1]
		s.plus(&s.report.Leaving, v.Fee)
		for i := range t.Payouts {
			s.plus(&s.report.Leaving, t.Payouts[i].Amount)
		}
	}
}

// brought looks for the change of a version that is mined. With those inputs of the newest
// version that it has left it comes to no less than the change that is counted.
func (s *sums) brought(t *live, counted asset.Amount) {
	at, ok := t.Change(t.mined)
	p, there := s.watch.payments[at]
	x, gone := s.watch.spends[at]
	var has asset.Amount
	switch {
	case t.Child && t.mined == len(t.Versions):
		return // the child spends it, and it is looked for there
	case ok && there && !gone:
		has = p.Amount
	}
	mined := t.Spends(t.mined)
	for _, in := range t.Spends(len(t.Versions)) {
		if !slices.ContainsFunc(mined, func(m custody.Input) bool { return m.At == in.At }) {
			s.plus(&has, in.Amount)
		}
	}
	if has < counted {
		s.miss(Missing{At: at, Amount: counted - has, By: x.by, Height: x.height})
	}
}

// fits tells whether the leaf of a live batch is one that rules allow: its inputs are
// promised to it alone, its change is no coin yet but for a child, each version spends what
// it pays, and has the id of the transaction that is made of that.
func (s *sums) fits(t *custody.BatchRecord) bool {
	for i := range t.Inputs {
		in := &t.Inputs[i]
		c, ok := s.coins[in.At]
		if s.claimed[in.At] || ok && (c.State != custody.CoinPromised || c.Batch != t.Number || c.Input != *in) {
			return false
		}
		s.claimed[in.At] = true
	}
	if int64(t.ChangeSeries) >= int64(len(s.bank.series)) || int(t.ChangeAt) > len(t.Payouts) {
		return false
	}
	change, err := s.bank.series[t.ChangeSeries].Output(script.Change, t.ChangeIndex)
	if err != nil {
		return false
	}
	for v := range t.Versions {
		tx, ok := rebuilt(&t.Batch, v+1, change)
		if !ok || tx.ID() != t.Versions[v].Tx || s.counted(t, v+1) {
			return false
		}
	}
	return true
}

// counted tells whether the change of a version is a coin of its own already. Before the
// batch has settled it may only be one that its child spends.
func (s *sums) counted(t *custody.BatchRecord, version int) bool {
	at, ok := t.Change(version)
	if !ok {
		return false
	}
	c, ok := s.coins[at]
	if !ok || c.State != custody.CoinFree && c.State != custody.CoinPromised {
		return false
	}
	return !t.Child || !c.Unmined || version != len(t.Versions)
}

// rebuilt is the transaction of a version, from 1, whose change has a script (Y-51). ok is
// false if its inputs are not its payouts, change and fee.
func rebuilt(t *custody.Batch, version int, change []byte) (tx script.Transaction, ok bool) {
	v := &t.Versions[version-1]
	tx = script.Transaction{Version: script.Version, Sequence: script.SequenceReplace}
	var in asset.Amount
	for _, x := range t.Spends(version) {
		if in, ok = in.Add(x.Amount); !ok {
			return tx, false
		}
		tx.Inputs = append(tx.Inputs, x.At)
	}
	out, ok := v.Fee.Add(v.Change)
	for i := range t.Payouts {
		p := &t.Payouts[i]
		tx.Outputs = append(tx.Outputs, script.Output{Script: p.Script, Amount: p.Amount})
		if ok {
			out, ok = out.Add(p.Amount)
		}
	}
	if v.Change > 0 {
		tx.Outputs = slices.Insert(tx.Outputs, int(t.ChangeAt), script.Output{Script: change, Amount: v.Change})
	}
	return tx, ok && in == out
}
