package signer

import (
	"fmt"
	"slices"

	"souk/asset"
	"souk/exchange/custody"
	"souk/script"
	"souk/threshold"
)

// order is one transaction to be signed, as the ledger has recorded it.
type order struct {
	bank    custody.Bank
	batch   uint64
	version uint8
	plan    threshold.Plan
	series  []*script.Series // by number; nil for those that no input is of
	inputs  []input
	ids     []custody.ID // of the withdrawals that it pays
	tx      script.Hash
	news    *news
}

// input is where in its series this member's key stands.
type input struct {
	series   *script.Series
	position int // -1 if it is none of its members
}

func (in input) own(key script.MemberKey) bool {
	return in.position >= 0 && in.position < len(in.series.Keys) && in.series.Keys[in.position] == key
}

// readOrder rebuilds the transaction of a version and refuses whatever does not fit (W-1, W-2).
func readOrder(view *custody.State, me custody.Member, id custody.Bank, number uint64, version uint8) (*order, error) {
	if view.HaltOf(id).Reason != custody.Running {
		return nil, ErrHalted
	}
	info, ok := view.Bank(id)
	if !ok {
		return nil, ErrUnknown
	}
	batch, ok := view.Batch(id, number)
	if !ok || batch.Settled != 0 || version == 0 || int(version) > len(batch.Versions) {
		return nil, ErrUnknown
	}
	network, ok := script.ByName(info.Network)
	if !ok {
		return nil, fmt.Errorf("%w: network %q", ErrUnfit, info.Network)
	}
	o := &order{bank: id, batch: number, version: version, tx: batch.Versions[version-1].Tx}
	o.plan = threshold.Plan{Network: network, Version: script.Version, Sequence: script.SequenceReplace}
	if err := o.readInputs(view, me, &batch); err != nil {
		return nil, err
	}
	if err := o.readOutputs(view, &batch); err != nil {
		return nil, err
	}
	return o, o.check(view, &batch)
}

// readInputs takes the coins and the series that they are of.
func (o *order) readInputs(view *custody.State, me custody.Member, batch *custody.Batch) error {
	positions := map[uint32]int{}
	inputs := batch.Spends(int(o.version))
	for i := range inputs {
		in := &inputs[i]
		if i > 0 && !before(inputs[i-1].At, in.At) {
			return fmt.Errorf("%w: inputs that do not ascend", ErrUnfit)
		}
		if _, ok := positions[in.Series]; !ok {
			series, members, err := o.seriesOf(view, in.Series)
			if err != nil {
				return err
			}
			positions[in.Series] = slices.Index(members, me)
			for uint64(len(o.series)) <= uint64(in.Series) {
				o.series = append(o.series, nil)
			}
			o.series[in.Series] = series
		}
		o.inputs = append(o.inputs, input{o.series[in.Series], positions[in.Series]})
		o.plan.Inputs = append(o.plan.Inputs, threshold.Coin{
			At: in.At, Amount: in.Amount, Series: in.Series, Branch: in.Branch, Index: in.Index,
		})
	}
	if len(o.inputs) == 0 || len(o.inputs) > custody.MaxInputs {
		return fmt.Errorf("%w: %d inputs", ErrUnfit, len(o.inputs))
	}
	return nil
}

func before(a, b script.Outpoint) bool {
	c := slices.Compare(a.Tx[:], b.Tx[:])
	return c < 0 || c == 0 && a.Index < b.Index
}

func (o *order) seriesOf(view *custody.State, number uint32) (*script.Series, []custody.Member, error) {
	series, members, ok := view.SeriesOf(o.bank, number)
	if !ok || len(members) != len(series.Keys) {
		return nil, nil, fmt.Errorf("%w: series %d", ErrUnfit, number)
	}
	if err := series.Check(); err != nil {
		return nil, nil, fmt.Errorf("%w: series %d: %w", ErrUnfit, number, err)
	}
	return &series, members, nil
}

// readOutputs takes the payouts, each of a withdrawal that waits for just this, and
// puts the change among them.
func (o *order) readOutputs(view *custody.State, batch *custody.Batch) error {
	var shares asset.Amount
	for i := range batch.Payouts {
		p := &batch.Payouts[i]
		w, ok := view.Withdrawal(p.ID)
		if !ok || w.Bank != o.bank || w.Batch != o.batch || w.Amount != p.Amount || !slices.Equal(w.Script, p.Script) {
			return fmt.Errorf("%w: payout of withdrawal %d", ErrUnfit, p.ID)
		}
		if p.Fee > w.MaxFee {
			return fmt.Errorf("%w: withdrawal %d pays %d of the fee, and allows %d", ErrUnfit, p.ID, p.Fee, w.MaxFee)
		}
		if shares, ok = shares.Add(p.Fee); !ok || slices.Contains(o.ids, p.ID) {
			return fmt.Errorf("%w: shares of the fee", ErrUnfit)
		}
		o.ids = append(o.ids, p.ID)
		o.plan.Outputs = append(o.plan.Outputs, script.Output{Script: p.Script, Amount: p.Amount})
	}
	v := &batch.Versions[o.version-1]
	if shares != batch.Paid || shares > v.Fee {
		return fmt.Errorf("%w: %d of a fee of %d are shared", ErrUnfit, shares, v.Fee)
	}
	if v.Change == 0 {
		return nil
	}
	series, _, err := o.seriesOf(view, batch.ChangeSeries)
	if err != nil {
		return err
	}
	change, err := series.Output(script.Change, batch.ChangeIndex)
	if err != nil || int(batch.ChangeAt) > len(o.plan.Outputs) || batch.ChangeIndex>>24 != uint32(batch.Wallet) {
		return fmt.Errorf("%w: change", ErrUnfit)
	}
	o.plan.Outputs = slices.Insert(o.plan.Outputs, int(batch.ChangeAt), script.Output{Script: change, Amount: v.Change})
	return nil
}

// check compares the plan with what the ledger says of the version.
func (o *order) check(view *custody.State, batch *custody.Batch) error {
	if err := o.plan.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	v := &batch.Versions[o.version-1]
	if fee, ok := o.plan.Fee(); !ok || fee != v.Fee {
		return fmt.Errorf("%w: the fee is %d, recorded are %d", ErrUnfit, fee, v.Fee)
	}
	if most := o.mostFee(batch); v.Fee > most {
		return fmt.Errorf("%w: a fee of %d, at most %d is possible", ErrUnfit, v.Fee, most)
	}
	tx, ok := view.Transaction(o.bank, o.batch, o.version)
	if id := o.plan.TxID(); !ok || id != o.tx || tx.ID() != id {
		return fmt.Errorf("%w: the transaction has another id", ErrUnfit)
	}
	return nil
}

// maxInput is more than any input weighs.
const maxInput = 4 * 1024

// mostFee is what no fee of custody exceeds (W-2): twice what the highest rate asks
// for the transaction, with the inputs that other versions spend besides, and, of a
// child, for its parent too, and what is too small to be change.
func (o *order) mostFee(batch *custody.Batch) asset.Amount {
	n := o.plan.Network
	weight := weightOf(&o.plan, o.series)
	for i := range batch.Inputs { // the fee of no version is below that of the one before
		if in := &batch.Inputs[i]; !slices.ContainsFunc(o.plan.Inputs, func(c threshold.Coin) bool { return c.At == in.At }) {
			weight += maxInput
		}
	}
	if batch.Kind == custody.Child {
		weight += script.MaxWeight
	}
	rate := max(asset.Amount(custody.MaxRate), 10*n.MinRelay)
	fee, ok := script.Fee(2*rate, weight+script.OutputWeight(make([]byte, 34)))
	most, fits := fee.Add(n.Dust)
	if !ok || !fits {
		return asset.MaxSupply
	}
	return most
}

func weightOf(p *threshold.Plan, series []*script.Series) uint64 {
	var in, out []uint64
	for i := range p.Inputs {
		in = append(in, series[p.Inputs[i].Series].InputWeight(false))
	}
	for i := range p.Outputs {
		out = append(out, script.OutputWeight(p.Outputs[i].Script))
	}
	return script.TransactionWeight(in, out)
}
