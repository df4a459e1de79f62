package custody

import (
	"cmp"
	"slices"

	"souk/asset"
	"souk/script"
)

// What becomes of batches that lose inputs (Y-71, Y-72).

// DoubtBlocks is how many agreed blocks after a reorganisation took all its inputs away
// a version counts as one that cannot be mined: far more than any depth.
const DoubtBlocks = 1008

// stands tells whether a batch's input can be spent by it, for all that is known.
func (c *coin) stands() bool { return !c.stolen && !c.doubtful() }

// robbed tells whether a transaction that is no version of a batch took one of its
// inputs, or one that conflicts with it was mined instead of the transaction which it
// is the change of, as deep as it takes to settle the batch.
func (b *bank) robbed(t *batch, c *coin) bool {
	at, ok := b.replaced(c)
	if c.stolen {
		at, ok = c.spent, true
	}
	return ok && b.depth(at.height) >= b.enough(t, len(t.Versions))
}

// gone tells whether a batch must do without one of its inputs: that was taken, or has
// stood nowhere for as many blocks as it takes to settle the batch.
func (b *bank) gone(t *batch, c *coin) bool {
	return b.robbed(t, c) || c.doubtful() && b.tip >= c.since+b.enough(t, len(t.Versions))
}

// heir is the change of the version that was mined in place of the one whose change a coin
// is. A transaction that spends it excludes all that spend the coin, however deep either is. nil
// if there is none, or if it is not free.
func (b *bank) heir(c *coin) *coin {
	if _, ok := b.replaced(c); !ok {
		return nil
	}
	t := b.versions[c.at.Tx]
	if h := b.coins[t.changeAt(int(t.Settled))]; h != nil && h.state == free && h.fit() {
		return h
	}
	return nil
}

// excluded tells whether a version of a batch spends the change of a transaction in whose
// place another one was mined, the change of which the newest version spends.
func (b *bank) excluded(t *batch, version int, newest []*coin) bool {
	for i := range t.Inputs {
		c := b.coins[t.Inputs[i].At]
		if _, ok := b.replaced(c); !ok || !t.spends(version, i) {
			continue
		}
		of := b.versions[c.at.Tx]
		at := of.changeAt(int(of.Settled))
		if slices.ContainsFunc(newest, func(x *coin) bool { return x.at == at }) {
			return true
		}
	}
	return false
}

// dead tells whether a version of a batch will never be mined: one of its inputs was
// taken, or none has stood anywhere for DoubtBlocks. As long as one stands, those that
// do not may come back.
func (b *bank) dead(t *batch, version int) bool {
	forgotten := true
	for i := range t.Inputs {
		if !t.spends(version, i) {
			continue
		}
		c := b.coins[t.Inputs[i].At]
		if b.robbed(t, c) {
			return true
		}
		forgotten = forgotten && c.doubtful() && b.tip >= c.since+DoubtBlocks
	}
	return forgotten
}

// Dead returns the transactions of a live batch's versions that will never be mined, or
// not besides the newest one, although they spend no coin that it spends.
func (s *State) Dead(id Bank, number uint64) (list []script.Hash) {
	b, t := s.bank(id), s.batchOf(id, number)
	if t == nil || t.Settled != 0 {
		return nil
	}
	var newest []*coin
	for i := range t.Inputs {
		if t.spends(len(t.Versions), i) {
			newest = append(newest, b.coins[t.Inputs[i].At])
		}
	}
	for i := range t.Versions {
		if b.dead(t, i+1) || b.excluded(t, i+1, newest) {
			list = append(list, t.Versions[i].Tx)
		}
	}
	return list
}

// over tells whether nothing is left of a batch: no input stands, none has an heir, and no
// version will ever be mined. While all is halted only what was taken counts.
func (b *bank) over(t *batch, running bool) bool {
	taken := true
	for i := range t.Inputs {
		c := b.coins[t.Inputs[i].At]
		if c.stands() || b.heir(c) != nil {
			return false
		}
		taken = taken && b.robbed(t, c)
	}
	if !running && !taken {
		return false
	}
	for v := range t.Versions {
		if !b.dead(t, v+1) {
			return false
		}
	}
	return true
}

// lacks tells whether an input of a batch's newest version is stolen or not known to
// stand anywhere, so that it cannot be mined now.
func (b *bank) lacks(t *batch) bool {
	return slices.ContainsFunc(t.Inputs, func(in Input) bool { return b.coins[in.At].missing() })
}

// renewAll makes versions with other inputs of batches that must do without some of
// theirs.
func (p *planner) renewAll() {
	b := p.bank
	for _, t := range slices.Clone(b.live) {
		if _, live := slices.BinarySearchFunc(b.live, t, (*batch).byNumber); !live {
			continue // a child that went with the version of its parent
		}
		if _, _, mined := b.mined(t); mined || len(t.Versions) == MaxRenewed {
			continue
		}
		lost := false
		for i := range t.Inputs {
			c := b.coins[t.Inputs[i].At]
			lost = lost || t.spends(len(t.Versions), i) && (b.gone(t, c) || b.heir(c) != nil)
		}
		if lost {
			p.renew(t)
		}
	}
}

// renew makes the next version of a batch out of those inputs of the newest one that
// stand, of what it takes to spend a coin of every former version that might still be
// mined, and of free coins. The reserve pays what the fee rises by.
func (p *planner) renew(t *batch) {
	b := p.bank
	base, spare, ok := b.left(t)
	if !ok {
		return
	}
	own := b.wallets[t.Wallet].free
	for _, more := range [][]*coin{own, b.allFree()} {
		d := p.complete(t, base, append(slices.Clone(spare), largestFirst(more)...))
		if d == nil {
			continue
		}
		if sub(d.fee, t.newestVersion().Fee) > p.reserve() {
			break
		}
		p.adopt(t, d)
		return
	}
	b.waits |= WaitsToBump
}

// largestFirst are the coins of a list that may be spent, the largest first.
func largestFirst(list []*coin) (fit []*coin) {
	for _, c := range slices.Backward(list) {
		if c.fit() {
			fit = append(fit, c)
		}
	}
	return fit
}

// left divides what stands of a batch's inputs, and their heirs, into those that its next
// version must spend, and others. ok is false while a former version might still be mined, and
// nothing stands that would conflict with it, or while nothing stands at all.
func (b *bank) left(t *batch) (base, spare []*coin, ok bool) {
	for i := range t.Inputs {
		c := b.coins[t.Inputs[i].At]
		switch {
		case !c.stands():
			if h := b.heir(c); h != nil && !slices.Contains(base, h) {
				base = append(base, h)
			}
		case t.spends(len(t.Versions), i):
			base = append(base, c)
		default:
			spare = append(spare, c)
		}
	}
	slices.SortFunc(spare, func(x, y *coin) int { return cmp.Or(cmp.Compare(y.amount, x.amount), x.byPlace(y)) })
	for v := len(t.Versions); v > 0; v-- {
		spends := func(c *coin) bool {
			i, found := slices.BinarySearchFunc(t.Inputs, c.at, func(in Input, at script.Outpoint) int { return compareOutpoints(in.At, at) })
			return found && t.spends(v, i)
		}
		if slices.ContainsFunc(base, spends) || b.excluded(t, v, base) {
			continue
		}
		if i := slices.IndexFunc(spare, spends); i >= 0 {
			base = append(base, spare[i])
			spare = slices.Delete(spare, i, i+1)
		} else if !b.dead(t, v) {
			return nil, nil, false
		}
	}
	return base, spare, len(base) > 0
}

// complete adds coins to those that a batch's next version must spend until there is
// change; nil if they do not do. The fee is above that of the newest version by what
// nodes ask for who replaces it, for they may have it.
func (p *planner) complete(t *batch, base, more []*coin) *draft {
	b := p.bank
	list := slices.Clone(base)
	for _, c := range more {
		if !slices.Contains(base, c) {
			list = append(list, c)
		}
	}
	taken, total := len(t.Inputs), asset.Amount(0)
	for n, c := range list {
		total = add(total, c.amount)
		if c.state == free {
			taken++
		}
		chosen := list[:n+1]
		if n+1 < len(base) {
			continue
		}
		weight := b.weight(chosen, t.paying, true)
		if len(chosen) > MaxInputs || taken > MaxTaken || weight > script.MaxWeight {
			return nil
		}
		f := max(fee(p.rate, weight), add(t.newestVersion().Fee, fee(uint64(b.network.MinRelay), weight)))
		rest, ok := total.Sub(t.paidOut())
		if !ok {
			continue
		}
		if change, ok := rest.Sub(f); ok && change >= b.network.Dust {
			return &draft{rate: p.rate, coins: chosen, fee: f, change: change}
		}
	}
	return nil
}

// adopt makes a draft the next version of a batch. What was only in former versions is
// set aside: it counts no more until the batch has ended, and then, if it is there, it
// is the reserve's.
func (p *planner) adopt(t *batch, d *draft) {
	b := p.bank
	p.moved()
	p.orphan(t)
	b.unexpect(t)
	if t.In == nil {
		t.In = make([]uint32, len(t.Inputs))
		for i := range t.In {
			t.In[i] = 1<<len(t.Versions) - 1
		}
	}
	for _, c := range d.coins {
		if c.state != free {
			continue
		}
		b.promise(c, t.Number)
		i, _ := slices.BinarySearchFunc(t.Inputs, c.at, func(in Input, at script.Outpoint) int { return compareOutpoints(in.At, at) })
		t.Inputs, t.In = slices.Insert(t.Inputs, i, c.asInput()), slices.Insert(t.In, i, 0)
	}
	for i := range t.Inputs {
		c := b.coins[t.Inputs[i].At]
		chosen := slices.Contains(d.coins, c)
		p.miss(c, func() { c.aside = !chosen })
		if chosen {
			t.In[i] |= 1 << len(t.Versions)
		}
	}
	if !slices.ContainsFunc(t.Versions, func(v Version) bool { return v.Change > 0 }) {
		index, ok := script.ChangeIndex(t.Wallet, b.changes[t.Wallet])
		if !ok {
			broken("wallet %d has no change addresses left", t.Wallet)
		}
		b.changes[t.Wallet]++
		t.ChangeSeries, t.ChangeIndex = b.newest().number, index
	}
	p.version(t, Version{Rate: d.rate, Fee: d.fee, Change: d.change, Tip: b.tip, Time: p.Time})
	p.balance(b)
	p.touch(b)
}

// differs tells whether the versions of a batch that was loaded spend inputs in a way
// that only adopt brings about: each some, each input by some, and not all by all.
func (t *Batch) differs() bool {
	all, each, some := uint32(1)<<len(t.Versions)-1, uint32(0), false
	if len(t.Versions) == MaxRenewed {
		all = 1<<MaxRenewed - 1
	}
	for _, versions := range t.In {
		if versions == 0 || versions&^all != 0 {
			return false
		}
		each |= versions
		some = some || versions != all
	}
	return each == all && some
}
