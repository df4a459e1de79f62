package custody

import (
	"slices"

	"souk/asset"
	"souk/script"
)

// bump makes transactions that are not mined pay more, out of the reserve (Y-58).
func (p *planner) bump() {
	b := p.bank
	for _, t := range slices.Clone(b.live) {
		rate, ok := p.bumps(t)
		if !ok {
			continue
		}
		if b.network.Replace {
			p.replace(t, rate)
		} else {
			p.child(t, rate)
		}
	}
}

// bumps tells whether a batch should pay more, and at which rate: some blocks have
// gone by since its newest version was made, enough members have signed it, it is
// not mined, and the rate has risen, or still more blocks have gone by. Nobody
// verifies signatures here. As long as not all have signed, some of those that are
// there may be none, and nobody can pass it on; then it takes more blocks.
func (p *planner) bumps(t *batch) (rate uint64, ok bool) {
	b, v := p.bank, t.newestVersion()
	waited := b.tip - min(b.tip, v.Tip)
	if t.child || t.same() >= MaxVersions || len(t.Versions) >= MaxRenewed || waited < b.BumpBlocks {
		return 0, false
	}
	if _, _, mined := b.mined(t); mined || b.lacks(t) {
		return 0, false
	}
	enough, all := b.signed(t)
	patience := b.BumpBlocks
	if !all {
		patience *= slowFactor
	}
	if !enough || waited < patience {
		return 0, false
	}
	if p.rate > v.Rate {
		return p.rate, true
	}
	most := max(MaxRate, 10*uint64(b.network.MinRelay))
	if waited >= slowFactor*patience && v.Rate < most {
		return min(v.Rate*bumpPerMille/1000+1, most), true
	}
	return 0, false
}

// replace makes the next version: the same but for less change.
func (p *planner) replace(t *batch, rate uint64) {
	b, v := p.bank, *t.newestVersion()
	weight := b.weightOf(t)
	least := add(v.Fee, fee(uint64(b.network.MinRelay), weight))
	f := max(fee(rate, weight), least)
	more := sub(f, v.Fee)
	if change, ok := v.Change.Sub(more); !ok || change < b.network.Dust {
		return // there is no change to pay from
	}
	if more > p.reserve() {
		b.waits |= WaitsToBump
		return
	}
	b.unexpect(t)
	next := Version{Rate: rate, Fee: f, Change: sub(v.Change, more), Tip: b.tip, Time: p.Time}
	for i := range t.In {
		if t.spends(len(t.Versions), i) {
			t.In[i] |= 1 << len(t.Versions)
		}
	}
	p.version(t, next)
}

// version adds a version to a live batch, of which the change to come does not count
// until then.
func (p *planner) version(t *batch, next Version) {
	b := p.bank
	more := sub(next.Fee, t.newestVersion().Fee)
	tx := t.transaction(len(t.Versions)+1, b.changeScript(&t.Batch), next.Change)
	next.Tx = tx.ID()
	t.Versions = append(t.Versions, next)
	b.versions[next.Tx] = t
	b.expect(t)
	p.reserveDown(b, more)
	p.event(b, Event{Kind: Sent, Batch: t.Number, Version: uint8(len(t.Versions)), Fee: next.Fee}) //nolint:gosec // at most MaxRenewed
	p.touch(t)
}

// weightOf is the weight of a batch's newest version.
func (b *bank) weightOf(t *batch) uint64 {
	var in, out []uint64
	for i := range t.Inputs {
		if t.spends(len(t.Versions), i) {
			in = append(in, b.series[t.Inputs[i].Series].InputWeight(false))
		}
	}
	for i := range t.Payouts {
		out = append(out, script.OutputWeight(t.Payouts[i].Script))
	}
	if t.newestVersion().Change > 0 {
		out = append(out, changeWeight)
	}
	return script.TransactionWeight(in, out)
}

// child makes a batch that spends the change of one which nodes do not replace, and
// pays for both, and for what is not mined before them. It needs no place among those
// that may be live: they all may wait for it.
func (p *planner) child(t *batch, rate uint64) {
	b, v := p.bank, t.newestVersion()
	before := b.unminedBefore(t)
	if v.Change == 0 || len(before) >= MaxChildren {
		return
	}
	c := &coin{
		bank: b, at: t.changeAt(len(t.Versions)), state: promised, change: true, unmined: true, wallet: t.Wallet,
		content: content{amount: v.Change, series: t.ChangeSeries, branch: script.Change, index: t.ChangeIndex},
	}
	weight := b.weight([]*coin{c}, nil, true)
	all, paid := weight, asset.Amount(0)
	for _, x := range append(before, t) {
		all += b.weightOf(x)
		paid = add(paid, x.newestVersion().Fee)
	}
	total := fee(rate, all)
	f := max(sub(total, min(total, paid)), fee(rate, weight))
	change, ok := v.Change.Sub(f)
	if !ok || change < b.network.Dust {
		return
	}
	if f > p.reserve() {
		b.waits |= WaitsToBump
		return
	}
	b.unexpect(t)
	t.child = true
	p.addCoin(c)
	p.moved()
	p.step.record(b, &draft{kind: Child, rate: rate, coins: []*coin{c}, fee: f, change: change}, t.Wallet)
	p.touch(t)
}

// unminedBefore are the batches whose change a child spends, and so on, as far as
// they are not mined.
func (b *bank) unminedBefore(t *batch) (list []*batch) {
	for t.Kind == Child {
		if t = b.versions[t.Inputs[0].At.Tx]; t == nil || t.Settled != 0 {
			break
		}
		if _, _, mined := b.mined(t); mined {
			break
		}
		list = append(list, t)
	}
	return list
}

// places is how many more batches may be made until others are mined. Children need
// none, and those that wait for long take none of the places of others (Y-51).
func (b *bank) places() int {
	all, young := 0, 0
	for _, t := range b.live {
		if _, _, mined := b.mined(t); mined || t.Kind == Child {
			continue
		}
		all++
		if !b.slow(t) {
			young++
		}
	}
	return min(MaxLive-young, MaxUnmined-all)
}

// made is the first of the versions of a batch that spend what its newest one does, or
// if it is a child, that of the first batch before it which is not mined.
func (b *bank) made(t *batch) *Version {
	if before := b.unminedBefore(t); len(before) > 0 {
		t = before[len(before)-1]
	}
	return &t.Versions[len(t.Versions)-t.same()]
}

// slow tells whether a batch that is not mined has waited for that so long that
// nothing is to depend on it: it may be pinned (Y-58).
func (b *bank) slow(t *batch) bool { return b.tip >= b.made(t).Tip+SlowBlocks }

// changeAt is the outpoint of the change of a version.
func (t *batch) changeAt(version int) script.Outpoint {
	return script.Outpoint{Tx: t.Versions[version-1].Tx, Index: uint32(t.ChangeAt)}
}

// sweep moves coins of older series, and coins whose recovery is near, to the newest
// series: one wallet's at a time, the largest first (Y-24). What is worth too little
// for the rate waits for a lower one.
func (p *planner) sweep() {
	b := p.bank
	var coins [MaxWallets][]*coin
	for i := range b.wallets {
		for _, c := range slices.Backward(b.wallets[i].free) {
			switch {
			case !b.stale(c):
			case !p.worth(c):
				b.waits |= WaitsForRate
			case c.fit() && len(coins[i]) < MaxInputs:
				coins[i] = append(coins[i], c)
			}
		}
	}
	if b.busy(Sweep) || !p.may() {
		return
	}
	for _, i := range b.fullest() {
		if len(coins[i]) == 0 {
			continue
		}
		if p.gather(Sweep, coins[i], 1, i) {
			return
		}
		small := coins[i][max(0, len(coins[i])-MaxInputs+1):]
		if other := p.carrier(i); other != nil && p.gather(Sweep, append([]*coin{other}, small...), 2, other.wallet) {
			return
		}
	}
}

// worth tells whether a coin may be moved at the reserve's cost: it is worth three
// times what its input costs, or the rate is low.
func (p *planner) worth(c *coin) bool {
	return p.low() || p.substantial(c)
}

func (p *planner) substantial(c *coin) bool {
	return c.amount/3 >= fee(p.rate, p.bank.series[c.series].InputWeight(false))
}

// low tells whether the rate is low.
func (p *planner) low() bool { return p.rate <= 2*uint64(p.bank.network.MinRelay) }

// Waiting returns how many free coins of a bank should move to the newest series, and
// how much they are worth, and of how many and how much it is that they wait for a
// lower rate (Y-24).
func (s *State) Waiting(id Bank) (coins, small int, sum, smallSum asset.Amount) {
	b := s.bank(id)
	if b == nil {
		return 0, 0, 0, 0
	}
	rate, ok := s.rate(b)
	p := &planner{bank: b, rate: rate}
	for i := range b.wallets {
		for _, c := range b.wallets[i].free {
			if !b.stale(c) {
				continue
			}
			coins, sum = coins+1, add(sum, c.amount)
			if ok && !p.worth(c) {
				small, smallSum = small+1, add(smallSum, c.amount)
			}
		}
	}
	return coins, small, sum, smallSum
}

// carrier is a coin that can pay for stale coins of a wallet which are worth less
// than moving them: the largest of the wallet that is not stale, or else of the
// fullest wallet that has one.
func (p *planner) carrier(i uint8) *coin {
	for _, j := range append([]uint8{i}, p.bank.fullest()...) {
		for _, c := range slices.Backward(p.bank.wallets[j].free) {
			if c.fit() && !p.bank.stale(c) {
				return c
			}
		}
	}
	return nil
}

// stale tells whether a coin should move to the newest series: it is of an older
// one, or three quarters of the time to its recovery have gone by.
func (b *bank) stale(c *coin) bool {
	r := b.series[c.series]
	if r != b.newest() {
		return true
	}
	return r.Recovery != nil && c.height <= b.tip && b.depth(c.height) >= r.Recovery.Opens(b.network)/4*3
}

// busy tells whether a batch of a kind is live.
func (b *bank) busy(kind BatchKind) bool {
	return slices.ContainsFunc(b.live, func(t *batch) bool { return t.Kind == kind })
}

// gather makes one coin of several, paid by the reserve: of the first half of them,
// and so on, but not of fewer than least, if it cannot pay for all.
func (p *planner) gather(kind BatchKind, coins []*coin, least int, wallet uint8) bool {
	b := p.bank
	for b.weight(coins, nil, true) > script.MaxWeight {
		coins = coins[:len(coins)-1]
	}
	f := fee(p.rate, b.weight(coins, nil, true))
	for f > p.reserve() && len(coins)/2 >= least {
		coins = coins[:len(coins)/2]
		f = fee(p.rate, b.weight(coins, nil, true))
	}
	total := asset.Amount(0)
	for _, c := range coins {
		total = add(total, c.amount)
	}
	change, ok := total.Sub(f)
	if !ok || change < b.network.Dust {
		return false
	}
	if f > p.reserve() {
		if kind == Sweep {
			b.waits |= WaitsToSweep
		}
		return false
	}
	p.record(&draft{kind: kind, rate: p.rate, coins: coins, fee: f, change: change}, wallet)
	return true
}

// together makes one coin of many small ones while rates are low (Y-59).
func (p *planner) together() {
	b := p.bank
	if !p.low() || b.busy(Together) || !p.may() {
		return
	}
	for i := range b.wallets {
		if len(b.wallets[i].free) <= manyCoins {
			continue
		}
		var coins []*coin
		for _, c := range b.wallets[i].free {
			if p.usable(c) && p.substantial(c) && len(coins) < putTogether {
				coins = append(coins, c)
			}
		}
		if len(coins) > 1 && p.gather(Together, coins, len(coins), uint8(i)) {
			return
		}
	}
}
