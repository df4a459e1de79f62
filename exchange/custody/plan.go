package custody

import (
	"cmp"
	"slices"

	"souk/asset"
	"souk/script"
)

// Wait says what a bank waits for, or cannot do for want of a reserve.
type Wait uint8

// Bits of Wait.
const (
	WaitsToBump  Wait = 1 << iota // a transaction should pay more
	WaitsToSweep                  // coins of older series should move
	WaitsForRate                  // coins of older series wait for a lower rate
	WaitsToMine                   // withdrawals wait, and no more transactions may be made before one is mined

	allWaits = WaitsToBump | WaitsToSweep | WaitsForRate | WaitsToMine
)

// rate is what transactions pay now: the lower median of what the members see, but
// of few no more than one who is honest says, in the network's bounds. ok is false
// if so few say one that all may lie (Y-53).
func (s *State) rate(b *bank) (rate uint64, ok bool) {
	var rates []uint64
	for _, a := range b.attestors {
		if s.members.has(a.member) && uint64(a.height)+Late >= uint64(b.tip) && a.now() != 0 {
			rates = append(rates, a.now())
		}
	}
	liars := s.members.faults()
	if len(rates) <= liars {
		return 0, false
	}
	slices.Sort(rates)
	rate = rates[min((len(rates)-1)/2, len(rates)-1-liars)]
	least := uint64(b.network.MinRelay)
	return min(max(rate, least), max(MaxRate, 10*least)), true
}

// plan makes a bank's transactions of this block.
func (w *step) plan(b *bank) {
	look := len(b.pending) > 0 && w.Time >= after(b.planned, b.Gather)
	rate, ok := w.rate(b)
	if !ok {
		if look {
			b.planned = w.Time
			w.touch(b)
		}
		return
	}
	p := &planner{step: w, bank: b, rate: rate, left: MaxBatches, places: b.places()}
	waits := b.waits
	b.waits = 0
	p.renewAll()
	p.bump()
	if look {
		p.payouts()
	}
	p.sweep()
	p.together()
	if p.places <= 0 && len(b.pending) > 0 {
		b.waits |= WaitsToMine
	}
	if b.waits != waits {
		w.touch(b)
	}
}

// planner makes the transactions of one bank in one block.
type planner struct {
	*step
	bank   *bank
	rate   uint64
	left   int          // batches that may still be made in this block
	places int          // batches that may still be made until others are mined
	most   asset.Amount // that may still be paid out in this hour

	trays [MaxWallets]*tray // by wallet; nil if that is to be found out
	stock *stock            // what there is in all wallets; nil if that is to be found out
	input uint64            // the weight of the lightest input; zero if that is to be found out

	keeps bool           // coins are kept for a withdrawal that has waited long
	kept  map[*coin]bool // those, of the free ones
}

// moved makes the planner find out anew which coins there are.
func (p *planner) moved() { p.trays, p.stock = [MaxWallets]*tray{}, nil }

// wallet is the free coins of a wallet.
func (p *planner) wallet(i uint8) *tray {
	if p.trays[i] == nil {
		p.trays[i] = p.tray(p.bank.wallets[i].free, nil)
	}
	return p.trays[i]
}

func (p *planner) reserve() asset.Amount { return p.reserves[p.bank.id-1] }

// may tells whether one more batch may be made.
func (p *planner) may() bool { return p.left > 0 && p.places > 0 }

func (p *planner) record(d *draft, wallet uint8) {
	p.left--
	p.places--
	p.moved()
	p.step.record(p.bank, d, wallet)
}

// payouts puts waiting withdrawals into batches, when it is time (Y-54). The time of
// the look stays as it was if only the number of batches of a block ended it. Only
// what is put into a batch is taken from what the hour allows (Y-55).
func (p *planner) payouts() {
	b := p.bank
	queue := p.queue()
	for p.may() && len(queue) > 0 {
		d, wallet, ok := p.next(&queue)
		if !ok {
			queue = nil // the next look is to come to the same one
		}
		if d == nil {
			continue
		}
		sum := b.paying(d)
		b.used, p.most = add(b.used, sum), sub(p.most, sum)
		p.record(d, wallet)
	}
	if len(queue) == 0 || p.left > 0 || p.places <= 0 {
		b.planned = p.Time
	}
	p.touch(b)
}

// paying is the sum of a draft's payouts.
func (b *bank) paying(d *draft) (sum asset.Amount) {
	for _, x := range d.paying {
		sum = add(sum, x.Amount)
	}
	return sum
}

// queue returns the withdrawals that may be paid now, by id. All that wait are looked at:
// what cannot be paid keeps nobody out, nor does what is above a limit that was lowered
// since it was asked for.
func (p *planner) queue() (queue []*withdrawal) {
	b := p.bank
	b.drain(p.Time)
	p.most = b.MaxPerHour - min(b.used, b.MaxPerHour)
	for _, x := range b.pending {
		if x.From <= p.Time && x.Amount <= b.MaxPerHour && p.affordable(x) {
			queue = append(queue, x)
		}
	}
	return queue
}

// affordable tells whether a withdrawal's bound pays at least for its own output.
func (p *planner) affordable(x *withdrawal) bool {
	return fee(p.rate, script.OutputWeight(x.Script)) <= x.MaxFee
}

// drain lowers what is used of the hourly limit as time goes by.
func (b *bank) drain(now uint64) {
	if now <= b.usedAt {
		return
	}
	used := b.usedUp(b.MaxPerHour, now)
	gone := uint64(b.used - used)
	switch taken, ok := asset.Mul(gone, hour).DivUp(uint64(b.MaxPerHour)); {
	case used == 0 || b.used > b.MaxPerHour || !ok:
		b.usedAt = now
	default: // what is less than a unit adds up
		b.usedAt = min(now, b.usedAt+taken)
	}
	b.used = used
}

// usedUp is what is used of an hourly limit at a time: no more than that, also where more
// was allowed before.
func (b *bank) usedUp(limit asset.Amount, now uint64) asset.Amount {
	gone, _, ok := asset.Mul(uint64(limit), min(now-min(now, b.usedAt), hour)).Div(hour)
	if !ok {
		gone = uint64(limit)
	}
	used := min(b.used, limit)
	return used - min(used, asset.Amount(gone))
}

// next makes the draft of the next batch of a queue and takes out what it has
// looked at. A nil draft means that the first of the queue cannot be paid now and
// others may overtake it; ok is false if they may not, for it fits into the next hour.
func (p *planner) next(queue *[]*withdrawal) (d *draft, wallet uint8, ok bool) {
	b := p.bank
	first := (*queue)[0]
	d, wallet = p.lead(*queue)
	switch {
	case d == nil:
		take(queue, []*withdrawal{first})
		return nil, 0, true
	case first.Amount > p.most:
		return nil, 0, false
	}
	take(queue, d.paying)
	return d, b.home(d, wallet), true
}

// anyWallet stands for the wallet of a draft of several.
const anyWallet = MaxWallets

// lead makes the draft that the first of a queue leads; nil if it cannot be paid now.
func (p *planner) lead(queue []*withdrawal) (d *draft, wallet uint8) {
	b, first := p.bank, queue[0]
	if !p.alone(first) {
		return nil, 0
	}
	for _, i := range b.fullest() {
		if d := p.fill(queue, p.wallet(i), b.outflow(i)); d != nil {
			return d, i
		}
	}
	aged := after(max(first.From, first.Asked), PassOver)
	if p.Time < aged && b.later(add(first.Amount, first.MaxFee)) {
		return nil, 0
	}
	if d := p.mix(first, p.Time >= aged); d != nil {
		return d, anyWallet
	}
	if p.Time >= aged && !p.keeps {
		p.keep(first, aged)
	}
	return nil, 0
}

// home is the wallet that a draft's change goes to.
func (b *bank) home(d *draft, wallet uint8) uint8 {
	if wallet == anyWallet {
		return b.poorest(d.coins)
	}
	return wallet
}

// alone tells whether a withdrawal's bound pays at least for a transaction of one
// input that pays nothing else. Those that do not can only go along with others.
func (p *planner) alone(x *withdrawal) bool {
	return fee(p.rate, weighs(p.light(), script.OutputWeight(x.Script), false)) <= x.MaxFee
}

// light is the weight of the lightest input that there may be.
func (p *planner) light() uint64 {
	if p.input == 0 {
		p.input = p.bank.lightest()
	}
	return p.input
}

// lightest is the weight of the lightest input that a bank's coins may make.
func (b *bank) lightest() uint64 {
	least := b.newest().InputWeight(false)
	for _, r := range b.series {
		least = min(least, r.InputWeight(false))
	}
	return least
}

// mix makes a draft that pays one withdrawal from the coins of several wallets, if
// none has enough alone, or it has waited for long: the coins of one that has enough may
// be too many for a transaction, or for its bound (Y-43).
func (p *planner) mix(x *withdrawal, aged bool) *draft {
	b := p.bank
	need := add(x.Amount, x.MaxFee)
	if b.free < x.Amount || !aged && slices.ContainsFunc(b.wallets, func(w wallet) bool { return w.sum >= need }) {
		return nil
	}
	return p.fill([]*withdrawal{x}, p.have().free, asset.MaxSupply)
}

// allFree are the free coins of all wallets in their order.
func (b *bank) allFree() (all []*coin) {
	for i := range b.wallets {
		all = append(all, b.wallets[i].free...)
	}
	slices.SortFunc(all, (*coin).compare)
	return all
}

// take takes withdrawals out of a queue.
func take(queue *[]*withdrawal, some []*withdrawal) {
	if len(some) == 1 && some[0] == (*queue)[0] {
		*queue = (*queue)[1:]
		return
	}
	gone := make(map[*withdrawal]bool, len(some))
	for _, x := range some {
		gone[x] = true
	}
	*queue = slices.DeleteFunc(slices.Clone(*queue), func(x *withdrawal) bool { return gone[x] })
}

// fullest are the numbers of the wallets, the fullest first.
func (b *bank) fullest() []uint8 {
	order := make([]uint8, len(b.wallets))
	for i := range order {
		order[i] = uint8(i)
	}
	slices.SortStableFunc(order, func(x, y uint8) int { return cmp.Compare(b.wallets[y].total, b.wallets[x].total) })
	return order
}

// poorest is the emptiest of the wallets that some coins are of.
func (b *bank) poorest(coins []*coin) uint8 {
	least := coins[0].wallet
	for _, c := range coins {
		if t := b.wallets[c.wallet].total; t < b.wallets[least].total || t == b.wallets[least].total && c.wallet < least {
			least = c.wallet
		}
	}
	return least
}

// outflow is how much may leave a wallet besides its first payout: so much that no
// other wallet is above it by more than the tolerance afterwards (Y-42).
func (b *bank) outflow(i uint8) asset.Amount {
	if len(b.wallets) == 1 {
		return asset.MaxSupply
	}
	most := asset.Amount(0)
	for j := range b.wallets {
		if j != int(i) {
			most = max(most, b.wallets[j].total)
		}
	}
	keep := most - min(most, b.tolerance(0))
	return b.wallets[i].total - min(b.wallets[i].total, keep)
}

// later tells whether a wallet will have an amount when its change is back.
func (b *bank) later(amount asset.Amount) bool {
	return slices.ContainsFunc(b.wallets, func(w wallet) bool { return w.total >= amount })
}

// fill makes a draft that pays the first of a queue, and as many of the others as
// the limits allow; nil if these coins cannot pay the first. Those that could be paid
// alone come first; those that only go along with others take what room is left, for
// they may turn out to be dropped.
func (p *planner) fill(queue []*withdrawal, coins *tray, outflow asset.Amount) *draft {
	if !coins.payable(queue[0]) {
		return nil
	}
	d := p.pay(queue[:1], coins)
	if queue[0].Amount > p.most {
		return d
	}
	r := &room{paying: queue[:1:1], sum: add(queue[0].Amount, queue[0].MaxFee), paid: queue[0].Amount, outflow: outflow, most: p.most}
	var along []*withdrawal
	for _, x := range queue[1:] {
		if len(r.paying) == MaxOutputs {
			break
		}
		switch {
		case !r.has(x):
		case coins.payable(x):
			r.put(x)
		default:
			along = append(along, x)
		}
	}
	// What cannot be paid together is tried by half.
	for paying := r.paying; len(paying) > 1; paying = paying[:len(paying)/2] {
		if more := p.pay(paying, coins); more != nil {
			d = more
			break
		}
	}
	if len(d.paying) < len(r.paying) {
		return d
	}
	for _, x := range along {
		if len(r.paying) < MaxOutputs && r.has(x) {
			r.put(x)
		}
	}
	if more := p.pay(r.paying, coins); more != nil && len(more.paying) > len(d.paying) {
		return more
	}
	return d
}

// room is what a batch may still take in.
type room struct {
	paying  []*withdrawal
	sum     asset.Amount // of amounts and bounds
	paid    asset.Amount // of amounts
	outflow asset.Amount // that sum may reach
	most    asset.Amount // that paid may reach
}

func (r *room) has(x *withdrawal) bool {
	sum, ok := r.sum.Add(add(x.Amount, x.MaxFee))
	return ok && sum <= r.outflow && x.Amount <= r.most-r.paid
}

func (r *room) put(x *withdrawal) {
	r.paying = append(r.paying, x)
	r.sum, r.paid = add(r.sum, add(x.Amount, x.MaxFee)), add(r.paid, x.Amount)
}

// pay makes a draft that pays withdrawals from some coins, each share within its
// bound. While some bounds are too low, the lower half of those is left out; nil if
// the first is the only one or the coins do not do (Y-56).
func (p *planner) pay(paying []*withdrawal, coins *tray) *draft {
	b := p.bank
	paying = slices.Clone(paying)
	for {
		d := coins.draft(paying)
		if d == nil {
			return nil
		}
		d.shares = b.share(d)
		var low []*withdrawal
		for i, x := range paying {
			if d.shares[i] > x.MaxFee && (i > 0 || len(paying) == 1) {
				low = append(low, x)
			}
		}
		switch {
		case len(low) == 0 && d.shares[0] <= paying[0].MaxFee:
			return d
		case len(low) == 0 || len(paying) == 1:
			return nil
		}
		slices.SortStableFunc(low, func(x, y *withdrawal) int { return cmp.Compare(x.MaxFee, y.MaxFee) })
		low = low[:(len(low)+1)/2]
		paying = slices.DeleteFunc(paying, func(x *withdrawal) bool { return slices.Contains(low, x) })
	}
}

// fit tells whether a free coin may be spent: it is where it was agreed to be.
func (c *coin) fit() bool { return !c.missing() }

// share divides the fee among those who are paid: each the part of his output, and
// an even part of the rest, to the unit (Y-56). What dust adds to the fee is the
// reserve's, if it has it.
func (b *bank) share(d *draft) []asset.Amount {
	weight := b.weight(d.coins, d.paying, d.change > 0)
	n := uint64(len(d.paying))
	own := uint64(0)
	for _, x := range d.paying {
		own += script.OutputWeight(x.Script)
	}
	rest := weight - own
	shares := make([]asset.Amount, len(d.paying))
	parts, before := uint64(0), uint64(0)
	for i, x := range d.paying {
		parts += n*script.OutputWeight(x.Script) + rest
		upTo, _, ok := asset.Mul(uint64(d.shared), parts).Div(n * weight)
		if !ok {
			broken("a fee of %d cannot be shared", d.shared)
		}
		shares[i] = asset.Amount(upTo - before)
		before = upTo
	}
	return shares
}
