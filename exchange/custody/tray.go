package custody

import (
	"cmp"
	"slices"
	"sort"

	"souk/asset"
	"souk/script"
)

// tray is coins that a payout may spend, sorted once for all that wait: whether they can pay
// one, and which of them would, is found by searching and not by trying. So however many
// wait who cannot be paid, and whatever they ask for, all are looked at (Y-55, Y-57).
type tray struct {
	*planner
	kinds   []coinKind
	large   []*coin        // the largest, of older series first: what a transaction of many spends
	sums    []asset.Amount // of the first of these, one by one
	inputs  []uint64       // what these weigh as inputs
	ladders map[uint64]*ladder
}

// coinKind is the coins of a tray whose inputs weigh the same, the older series apart.
type coinKind struct {
	old     bool
	weight  uint64
	coins   []*coin // in their order
	amounts []asset.Amount
}

// rooms are how many times the fee must be left for bumps, the best first (Y-57).
var rooms = [...]uint64{bumpRoom, 1, 0}

// ladder is what the coins of a tray can pay out, in outputs of one weight. Fees and the
// least change are taken off already.
type ladder struct {
	fees  []asset.Amount             // of a transaction of one coin with change, by kind
	costs [len(rooms)][]asset.Amount // what such a coin must have besides, by room and kind
	bares []asset.Amount             // the fee of one without change, by kind

	steps [len(rooms)][]asset.Amount // the most that so many of the largest or fewer pay, by room
	exact []rung                     // what so many of the largest pay without change, ascending

	most, mostBare asset.Amount // that can be paid, with change and without
}

// rung is what the first n of the largest coins pay without change, if nothing is left.
type rung struct {
	pays asset.Amount
	n    int
}

// choice is the inputs of a payout: one coin, or the first of the largest ones.
type choice struct {
	one  *coin
	n    int
	fee  asset.Amount // by weight
	left asset.Amount // the change, or what is too little to be one
	bare bool         // without change
}

// tray sorts coins, which are in their order, and those of another tray if there is one.
func (p *planner) tray(coins []*coin, base *tray) *tray {
	t := &tray{planner: p, ladders: map[uint64]*ladder{}}
	var large []*coin
	if base != nil {
		t.kinds, large = slices.Clone(base.kinds), slices.Clone(base.large)
	}
	p.work += uint64(len(coins) + MaxInputs)
	first, own := len(t.kinds), map[uint32]int{} // by series, where its kind stands
	for _, c := range coins {
		if !p.usable(c) {
			continue
		}
		i, ok := own[c.series]
		if !ok {
			i = t.kind(first, p.old(c), p.bank.series[c.series].InputWeight(false))
			own[c.series] = i
		}
		t.kinds[i].coins, t.kinds[i].amounts = append(t.kinds[i].coins, c), append(t.kinds[i].amounts, c.amount)
	}
	for _, old := range [...]bool{true, false} {
		n := 0
		for i := len(coins) - 1; i >= 0 && n < MaxInputs; i-- {
			if c := coins[i]; p.old(c) == old && p.usable(c) && (!old || p.worth(c)) {
				large, n = append(large, c), n+1
			}
		}
	}
	slices.SortFunc(large, func(x, y *coin) int {
		switch {
		case p.old(x) == p.old(y):
			return y.compare(x)
		case p.old(x):
			return -1
		}
		return 1
	})
	t.large = large[:min(len(large), MaxInputs)]
	sum, weight := asset.Amount(0), uint64(0)
	for _, c := range t.large {
		sum, weight = add(sum, c.amount), weight+p.bank.series[c.series].InputWeight(false)
		t.sums, t.inputs = append(t.sums, sum), append(t.inputs, weight)
	}
	return t
}

// kind is where the coins of a kind stand, from the first on that is the tray's own.
func (t *tray) kind(first int, old bool, weight uint64) int {
	for i := first; i < len(t.kinds); i++ {
		if t.kinds[i].old == old && t.kinds[i].weight == weight {
			return i
		}
	}
	t.kinds = append(t.kinds, coinKind{old: old, weight: weight})
	return len(t.kinds) - 1
}

// old tells whether a coin is of an older series.
func (p *planner) old(c *coin) bool { return c.series != p.bank.newest().number }

// weighs is the weight of a transaction of fewer than 253 inputs and outputs.
func weighs(inputs, outputs uint64, change bool) uint64 {
	if change {
		outputs += changeWeight
	}
	return script.TransactionWeight(nil, nil) + inputs + outputs
}

// cost is what the inputs of a transaction must have besides what it pays, with change: the
// least output, the fee, and room times that.
func (b *bank) cost(fee asset.Amount, room uint64) asset.Amount {
	all, _, fits := asset.Mul(uint64(fee), room+1).Div(1)
	if sum, ok := asset.Amount(all).Add(b.network.Dust); fits && ok {
		return min(sum, asset.MaxSupply)
	}
	return asset.MaxSupply
}

// slack is how much may be left without change: what is not worth one.
func (p *planner) slack() asset.Amount { return add(p.bank.network.Dust, fee(p.rate, changeWeight)) }

// ladder is what the coins can pay in outputs of a weight.
func (t *tray) ladder(outputs uint64) *ladder {
	if l := t.ladders[outputs]; l != nil {
		return l
	}
	t.work += MaxInputs
	l := &ladder{}
	t.ladders[outputs] = l
	for i := range t.kinds {
		k := &t.kinds[i]
		with, bare := fee(t.rate, weighs(k.weight, outputs, true)), fee(t.rate, weighs(k.weight, outputs, false))
		l.fees, l.bares = append(l.fees, with), append(l.bares, bare)
		for r, room := range rooms {
			l.costs[r] = append(l.costs[r], t.bank.cost(with, room))
		}
		largest := k.amounts[len(k.amounts)-1]
		l.most = max(l.most, less(largest, l.costs[len(rooms)-1][i]))
		l.mostBare = max(l.mostBare, less(largest, bare))
	}
	for n, sum := range t.sums {
		if weighs(t.inputs[n], outputs, true) <= script.MaxWeight {
			with := fee(t.rate, weighs(t.inputs[n], outputs, true))
			for r, room := range rooms {
				pays := less(sum, t.bank.cost(with, room))
				if n > 0 {
					pays = max(pays, l.steps[r][n-1])
				}
				l.steps[r] = append(l.steps[r], pays)
			}
			l.most = max(l.most, l.steps[len(rooms)-1][n])
		}
		if bare := fee(t.rate, weighs(t.inputs[n], outputs, false)); bare < sum && weighs(t.inputs[n], outputs, false) <= script.MaxWeight {
			l.exact = append(l.exact, rung{sum - bare, n + 1})
			l.mostBare = max(l.mostBare, sum-bare)
		}
	}
	slices.SortFunc(l.exact, func(x, y rung) int { return cmp.Or(cmp.Compare(x.pays, y.pays), cmp.Compare(x.n, y.n)) })
	return l
}

// less is what is left of an amount; zero if it is not enough.
func less(a, b asset.Amount) asset.Amount { return a - min(a, b) }

// choose picks the inputs that pay a sum in outputs of a weight: one coin that does, the
// smallest, or else the largest ones, coins of older series first; so that the change can
// pay for bumps if possible, else so that it is worth spending, else so that there is
// change, else without (Y-57). ok is false if these coins do not do.
func (t *tray) choose(sum asset.Amount, outputs uint64) (c choice, ok bool) {
	t.work++
	l := t.ladder(outputs)
	for r := range rooms {
		if sum > l.most {
			break // nor would the last one
		}
		if i, one := t.single(sum, l.costs[r], asset.MaxSupply); one != nil {
			return choice{one: one, fee: l.fees[i], left: sub(one.amount, add(sum, l.fees[i]))}, true
		}
		if n, _ := slices.BinarySearch(l.steps[r], sum); n < len(l.steps[r]) {
			f := fee(t.rate, weighs(t.inputs[n], outputs, true))
			return choice{n: n + 1, fee: f, left: sub(t.sums[n], add(sum, f))}, true
		}
	}
	if sum > l.mostBare {
		return choice{}, false
	}
	if i, one := t.single(sum, l.bares, t.slack()); one != nil {
		return choice{one: one, fee: l.bares[i], left: sub(one.amount, add(sum, l.bares[i])), bare: true}, true
	}
	from := sort.Search(len(l.exact), func(i int) bool { return l.exact[i].pays >= sum })
	n := 0
	for _, x := range l.exact[from:] {
		if x.pays-sum > t.slack() {
			break
		}
		if n == 0 || x.n < n {
			n = x.n
		}
	}
	if n == 0 {
		return choice{}, false
	}
	f := fee(t.rate, weighs(t.inputs[n-1], outputs, false))
	return choice{n: n, fee: f, left: sub(t.sums[n-1], add(sum, f)), bare: true}, true
}

// single finds the smallest coin that has a sum and what one of its kind costs besides, and
// no more than slack above that; of older series, if there is one.
func (t *tray) single(sum asset.Amount, costs []asset.Amount, slack asset.Amount) (kind int, one *coin) {
	for i := range t.kinds {
		k := &t.kinds[i]
		if one != nil && t.kinds[kind].old && !k.old {
			continue
		}
		least := sum + costs[i] // each at most MaxSupply
		n, _ := slices.BinarySearch(k.amounts, least)
		if n == len(k.amounts) || k.amounts[n]-least > slack {
			continue
		}
		if c := k.coins[n]; one == nil || k.old && !t.kinds[kind].old || c.compare(one) < 0 {
			kind, one = i, c
		}
	}
	return kind, one
}

// coins are the inputs of a choice.
func (t *tray) coins(c *choice) []*coin {
	if c.one != nil {
		return []*coin{c.one}
	}
	return slices.Clone(t.large[:c.n])
}

// shared is what the payees pay of the fee of a choice: what is left without change is the
// reserve's to pay, if it has it.
func (p *planner) shared(c *choice) asset.Amount {
	if c.bare && c.left > p.reserve() {
		return add(c.fee, c.left)
	}
	return c.fee
}

// payable tells whether the coins of a tray can pay a withdrawal alone, within its bound.
func (t *tray) payable(x *withdrawal) bool {
	c, ok := t.choose(x.Amount, script.OutputWeight(x.Script))
	return ok && t.shared(&c) <= x.MaxFee
}

// draft makes a draft that pays withdrawals from the coins of a tray, whatever their bounds;
// nil if these do not do.
func (t *tray) draft(paying []*withdrawal) *draft {
	sum, outputs := asset.Amount(0), uint64(0)
	for _, x := range paying {
		sum, outputs = add(sum, x.Amount), outputs+script.OutputWeight(x.Script)
	}
	c, ok := t.choose(sum, outputs)
	if !ok {
		return nil
	}
	d := &draft{kind: Payout, rate: t.rate, coins: t.coins(&c), paying: paying, fee: c.fee, shared: t.shared(&c)}
	if c.bare {
		d.fee = add(c.fee, c.left)
	} else {
		d.change = c.left
	}
	return d
}
