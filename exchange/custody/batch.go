package custody

import (
	"cmp"
	"slices"

	"souk/asset"
	"souk/script"
)

// BatchKind says what a transaction is for. Numbers are append-only.
type BatchKind uint8

// Kinds of batches.
const (
	Payout   BatchKind = iota + 1 // pays withdrawals
	Sweep                         // moves coins of older series, or old coins, to the newest series
	Together                      // makes one coin of many small ones
	Child                         // spends the change of a batch that is not mined, to pay for both
)

// Batch is a transaction of a bank with all its versions. They pay the same, in the
// same order, spend the same inputs, and differ in the change alone, unless inputs
// were lost; then later versions spend others besides those that are left.
type Batch struct {
	Bank    Bank
	Number  uint64 // sequential from 1 in the bank
	Kind    BatchKind
	Wallet  uint8    // of the change
	Inputs  []Input  // of all versions together
	In      []uint32 // by input: which versions spend it, bit v-1 for version v; nil if all versions spend all
	Payouts []Output
	Paid    asset.Amount // of the fee by those who are paid, the rest by the reserve

	ChangeAt     uint8 // where among the outputs the change stands, if there is any
	ChangeSeries uint32
	ChangeIndex  uint32 // at branch script.Change

	Versions []Version // from 1
	Settled  uint8     // the version that was mined and is deep; zero while the batch is live
	Height   uint32    // where it was mined, once it is settled
}

// Input is a coin that a batch spends.
type Input struct {
	At     script.Outpoint
	Amount asset.Amount
	Series uint32
	Branch uint32
	Index  uint32
	Wallet uint8
}

// Output is a payout of a batch.
type Output struct {
	ID     ID
	Script []byte
	Amount asset.Amount
	Fee    asset.Amount // what its owner pays of the fee
}

// Version is one of the transactions that a batch may become.
type Version struct {
	Rate   uint64 // units per 1,000 virtual bytes that it was made for
	Fee    asset.Amount
	Change asset.Amount // zero for none
	Tx     script.Hash
	Tip    uint32 // the agreed tip when it was made
	Time   uint64 // ms
}

type batch struct {
	Batch
	location // once it is settled; zero after a reorganisation
	bank     *bank
	paying   []*withdrawal // in the order of Payouts, while it is live
	child    bool          // a child spends its change
}

func (t *batch) byNumber(other *batch) int { return cmp.Compare(t.Number, other.Number) }

// newestVersion is the version that is to be signed.
func (t *batch) newestVersion() *Version { return &t.Versions[len(t.Versions)-1] }

// back is the change that the batch will bring at least.
func (t *batch) back() asset.Amount {
	if t.child {
		return 0
	}
	return t.newestVersion().Change
}

// spends tells whether a version of the batch, from 1, spends an input.
func (t *Batch) spends(version, input int) bool {
	return t.In == nil || t.In[input]>>(version-1)&1 != 0
}

// Spends returns the inputs of a version, from 1, in their order.
func (t *Batch) Spends(version int) []Input {
	if t.In == nil {
		return slices.Clone(t.Inputs)
	}
	var list []Input
	for i := range t.Inputs {
		if t.spends(version, i) {
			list = append(list, t.Inputs[i])
		}
	}
	return list
}

// first is the first input of a version.
func (t *Batch) first(version int) script.Outpoint {
	i := 0
	for !t.spends(version, i) {
		i++
	}
	return t.Inputs[i].At
}

// same counts the versions from the newest one back that spend the same inputs.
func (t *Batch) same() int {
	n := len(t.Versions)
	if t.In == nil {
		return n
	}
	for v := n - 1; v > 0; v-- {
		for i := range t.In {
			if t.spends(v, i) != t.spends(n, i) {
				return n - v
			}
		}
	}
	return n
}

// paidOut is the sum of the payouts.
func (t *Batch) paidOut() (sum asset.Amount) {
	for i := range t.Payouts {
		sum = add(sum, t.Payouts[i].Amount)
	}
	return sum
}

// spent is the sum of the inputs of a version.
func (t *Batch) spent(version int) (sum asset.Amount) {
	for i := range t.Inputs {
		if t.spends(version, i) {
			sum = add(sum, t.Inputs[i].Amount)
		}
	}
	return sum
}

// transaction is the transaction of a version, given the output of the change (Y-51).
func (t *Batch) transaction(version int, change []byte, amount asset.Amount) script.Transaction {
	tx := script.Transaction{Version: script.Version, Sequence: script.SequenceReplace}
	for i := range t.Inputs {
		if t.spends(version, i) {
			tx.Inputs = append(tx.Inputs, t.Inputs[i].At)
		}
	}
	for i := range t.Payouts {
		tx.Outputs = append(tx.Outputs, script.Output{Script: t.Payouts[i].Script, Amount: t.Payouts[i].Amount})
	}
	if amount > 0 {
		tx.Outputs = slices.Insert(tx.Outputs, int(t.ChangeAt), script.Output{Script: change, Amount: amount})
	}
	return tx
}

// Transaction is the transaction of a batch's version: what every signer signs, and
// nothing else. ok is false if there is no such version.
func (s *State) Transaction(id Bank, number uint64, version uint8) (tx script.Transaction, ok bool) {
	b := s.bank(id)
	if b == nil {
		return tx, false
	}
	t := s.batchOf(id, number)
	if t == nil || version == 0 || int(version) > len(t.Versions) {
		return tx, false
	}
	change := t.Versions[version-1].Change
	return t.transaction(int(version), b.changeScript(&t.Batch), change), true
}

// Place is where among the outputs of a version a payout of the batch stands.
func (t *Batch) Place(payout, version int) uint32 {
	if t.Versions[version-1].Change > 0 && payout >= int(t.ChangeAt) {
		payout++
	}
	return uint32(payout) //nolint:gosec // at most MaxOutputs
}

// batchOf returns a live or settled batch, or nil.
func (s *State) batchOf(id Bank, number uint64) *batch {
	t, _ := s.find(batchKey(id, number)).(*batch)
	return t
}

// changeScript is the output of a batch's change.
func (b *bank) changeScript(t *Batch) []byte {
	out, err := b.series[t.ChangeSeries].Output(script.Change, t.ChangeIndex)
	if err != nil {
		broken("change %d of series %d: %v", t.ChangeIndex, t.ChangeSeries, err)
	}
	return out
}

// draft is a batch in the making.
type draft struct {
	kind   BatchKind
	rate   uint64
	coins  []*coin
	paying []*withdrawal
	fee    asset.Amount   // of the transaction
	shared asset.Amount   // of it, by those who are paid; the rest by the reserve
	shares []asset.Amount // of it, by paying
	change asset.Amount
}

// weight is the weight of a transaction with these inputs and payouts.
func (b *bank) weight(coins []*coin, paying []*withdrawal, change bool) uint64 {
	in := make([]uint64, 0, len(coins))
	for _, c := range coins {
		in = append(in, b.series[c.series].InputWeight(false))
	}
	return paidWeight(in, paying, change)
}

// paidWeight is the weight of a transaction with inputs of these weights and payouts.
func paidWeight(in []uint64, paying []*withdrawal, change bool) uint64 {
	out := make([]uint64, 0, len(paying)+1)
	for _, w := range paying {
		out = append(out, script.OutputWeight(w.Script))
	}
	if change {
		out = append(out, changeWeight)
	}
	return script.TransactionWeight(in, out)
}

// changeWeight is the weight of an output to a witness script's hash.
const changeWeight = 4 * (8 + 1 + 34)

// fee is the fee at a rate; too much to pay if it does not fit.
func fee(rate, weight uint64) asset.Amount {
	f, ok := script.Fee(asset.Amount(rate), weight)
	if !ok || f > asset.MaxSupply {
		return asset.MaxSupply
	}
	return f
}

// record makes a batch of a draft: inputs, payouts and the whole fee leave the
// books, the change comes in (Y-52).
func (w *step) record(b *bank, d *draft, wallet uint8) {
	r := b.newest()
	index, ok := script.ChangeIndex(wallet, b.changes[wallet])
	if !ok {
		broken("wallet %d has no change addresses left", wallet)
	}
	b.lastBatch++
	t := &batch{bank: b, paying: d.paying, Batch: Batch{
		Bank: b.id, Number: b.lastBatch, Kind: d.kind, Wallet: wallet, ChangeSeries: r.number, ChangeIndex: index,
		ChangeAt: w.Seed[31] % uint8(len(d.paying)+1), //nolint:gosec // at most MaxOutputs
	}}
	if d.change > 0 {
		b.changes[wallet]++
	}
	slices.SortFunc(d.coins, (*coin).byPlace)
	for _, c := range d.coins {
		t.Inputs = append(t.Inputs, c.asInput())
	}
	for i, x := range d.paying {
		t.Payouts = append(t.Payouts, Output{x.ID, x.Script, x.Amount, d.shares[i]})
		t.Paid = add(t.Paid, d.shares[i])
	}
	tx := t.transaction(1, b.changeScript(&t.Batch), d.change)
	t.Versions = []Version{{Rate: d.rate, Fee: d.fee, Change: d.change, Tx: tx.ID(), Tip: b.tip, Time: w.Time}}
	for i, x := range d.paying {
		w.hand(t, x, d.shares[i])
	}
	for _, c := range d.coins {
		if c.state == free {
			b.promise(c, t.Number)
		} else {
			c.batch = t.Number
		}
		w.touch(c)
	}
	w.addBatch(t)
	w.reserveDown(b, sub(d.fee, t.Paid))
	w.event(b, Event{Kind: Sent, Batch: t.Number, Version: 1, Amount: t.paidOut(), Fee: d.fee})
	w.touch(t)
	w.touch(b)
}

// hand gives a withdrawal to a batch. What is held for the fee and not needed stays
// on hold until the payout is settled, for the batch may have to be given up.
func (w *step) hand(t *batch, x *withdrawal, share asset.Amount) {
	b := t.bank
	b.dequeue(x)
	x.Batch = t.Number
	b.books = sub(b.books, add(x.Amount, share))
	w.event(b, Event{Kind: Recorded, Owner: x.Owner, Withdrawal: x.ID, Batch: t.Number, Amount: x.Amount, Fee: share})
	w.touch(x)
}

// addBatch puts a live batch into the indexes.
func (s *State) addBatch(t *batch) {
	b := t.bank
	insert(&b.live, t, (*batch).byNumber)
	for i := range t.Versions {
		b.versions[t.Versions[i].Tx] = t
	}
	b.expect(t)
}

// isChange tells whether an output is the change of a recorded transaction. Other
// outputs of it may be payments to our own addresses, like any other.
func (b *bank) isChange(at script.Outpoint) bool {
	t := b.versions[at.Tx]
	if t == nil || at.Index != uint32(t.ChangeAt) {
		return false
	}
	i := slices.IndexFunc(t.Versions, func(v Version) bool { return v.Tx == at.Tx })
	return t.Versions[i].Change > 0
}

// expect counts a batch's change as to come; unexpect does not any more.
func (b *bank) expect(t *batch) {
	w := &b.wallets[t.Wallet]
	w.total = add(w.total, t.back())
	b.change = add(b.change, t.back())
}

func (b *bank) unexpect(t *batch) {
	w := &b.wallets[t.Wallet]
	w.total = sub(w.total, t.back())
	b.change = sub(b.change, t.back())
}
