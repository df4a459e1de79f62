package custody

import (
	"cmp"
	"slices"

	"souk/asset"
	"souk/script"
)

// mined tells which version of a batch is agreed to be mined, and where: what is
// agreed to spend its first input.
func (b *bank) mined(t *batch) (version int, at location, ok bool) {
	for i := range t.Versions {
		c := b.coins[t.first(i+1)]
		if c != nil && c.spent != (location{}) && c.spentBy == t.Versions[i].Tx {
			return i + 1, c.spent, true
		}
	}
	return 0, location{}, false
}

// enough is how deep what spends the inputs of a batch's version must be.
func (b *bank) enough(t *batch, version int) uint32 { return b.network.Depth(t.spent(version)) }

// settleAll settles the batches whose transactions are deep, gives up those all of
// whose inputs are gone, and finds settled ones again that a reorganisation moved.
func (w *step) settleAll(b *bank) {
	for _, t := range slices.Clone(b.settled) {
		if t.location == (location{}) {
			w.again(t)
		}
	}
	for _, t := range slices.Clone(b.live) {
		if _, live := slices.BinarySearchFunc(b.live, t, (*batch).byNumber); !live {
			continue // given up with its parent
		}
		if version, at, ok := b.mined(t); ok && b.ready(t, version) {
			if b.depth(at.height) >= b.enough(t, version) {
				w.settle(t, version, at)
			}
			continue
		}
		if b.over(t, !w.halted(b)) {
			w.giveUp(t)
		}
	}
	for _, c := range slices.Clone(b.heard) {
		if c.state == free && c.stolen && b.depth(c.spent.height) >= b.network.Depth(c.amount) {
			w.bury(c)
		}
	}
}

// ready tells whether all inputs of a batch's version are settled themselves.
func (b *bank) ready(t *batch, version int) bool {
	for i := range t.Inputs {
		if t.spends(version, i) && b.coins[t.Inputs[i].At].unmined {
			return false
		}
	}
	return true
}

// settle ends a batch: its payouts are done, its change is a coin, what it did not
// need of its fee goes to the reserve (Y-70).
func (w *step) settle(t *batch, version int, at location) {
	b, v := t.bank, t.Versions[version-1]
	if version < len(t.Versions) {
		w.orphan(t)
	}
	b.unexpect(t)
	unused := sub(t.newestVersion().Fee, v.Fee)
	for i := range t.Inputs {
		if c := b.coins[t.Inputs[i].At]; t.spends(version, i) {
			w.end(c, at, v.Tx)
		} else {
			w.letGo(c)
		}
	}
	if t.child {
		w.confirm(t, version, at)
	} else if v.Change > 0 {
		w.bring(t, version, at)
	}
	t.Settled, t.Height, t.location = uint8(version), at.height, at //nolint:gosec // at most MaxVersions
	for i, x := range t.paying {
		p := &t.Payouts[i]
		w.settledAs(x, Settled{
			ID: p.ID, Bank: b.id, Owner: x.Owner, Script: p.Script, Amount: p.Amount, Fee: p.Fee,
			At: script.Outpoint{Tx: v.Tx, Index: t.position(i, version)}, Height: at.height, Time: w.Time, Salt: x.Salt,
		})
		w.event(b, Event{
			Kind: Paid, Owner: x.Owner, Withdrawal: p.ID, Batch: t.Number, Version: t.Settled, Height: at.height,
			Amount: p.Amount, Fee: p.Fee, Back: sub(x.MaxFee, p.Fee),
		})
	}
	t.paying = nil
	remove(&b.live, t, (*batch).byNumber)
	b.addSettled(t)
	w.dropSlots(t)
	w.reserveUp(b, unused)
	w.touch(t)
	w.touch(b)
}

// position is where among the outputs of a version a payout stands.
func (t *Batch) position(payout, version int) uint32 {
	if t.Versions[version-1].Change > 0 && payout >= int(t.ChangeAt) {
		payout++
	}
	return uint32(payout) //nolint:gosec // at most MaxOutputs
}

func (b *bank) addSettled(t *batch) {
	insert(&b.settled, t, func(x, y *batch) int { return cmp.Or(cmp.Compare(x.Height, y.Height), x.byNumber(y)) })
	if k := b.blocks[t.height]; k != nil && t.location != (location{}) {
		k.settled = append(k.settled, t)
	}
}

// end makes an input a coin that is spent for good.
func (s *State) end(c *coin, at location, tx script.Hash) {
	b := c.bank
	s.miss(c, func() { c.state, c.spent, c.spentBy, c.stolen, c.aside = gone, at, tx, false, false })
	b.blocks[c.height].take(c)
	c.spends = nil
	b.forgetVotes(c)
	if k := b.blocks[at.height]; k != nil {
		k.spent = append(k.spent, c)
		return
	}
	s.dropCoin(c)
}

// bring makes the change of a settled batch a coin of its wallet.
func (w *step) bring(t *batch, version int, at location) {
	b := t.bank
	out := t.changeAt(version)
	c := &coin{
		bank: b, at: out, change: true, location: at, wallet: t.Wallet,
		content: content{amount: t.Versions[version-1].Change, series: t.ChangeSeries, branch: script.Change, index: t.ChangeIndex},
	}
	b.release(c)
	w.addCoin(c)
	w.place(c)
}

// place lists a coin in its block.
func (s *State) place(c *coin) {
	if k := c.bank.blocks[c.height]; k != nil {
		k.put(c)
	}
}

// confirm makes the change that a child spends a mined coin.
func (w *step) confirm(t *batch, version int, at location) {
	c := t.bank.coins[t.changeAt(version)]
	c.unmined, c.location = false, at
	w.place(c)
	w.touch(c)
	t.child = false
	t.bank.look = true
}

// maxGivenUp is how many batches that were given up a withdrawal remembers.
const maxGivenUp = 255

// giveUp ends a batch none of whose versions can be mined any more: its withdrawals
// wait again, its inputs are nobody's any more, and so is its fee (Y-72). A child, which
// pays nobody, goes with the change that it spends.
func (w *step) giveUp(t *batch) {
	b := t.bank
	for v := range t.Versions {
		if len(t.paying) > 0 && !b.dead(t, v+1) {
			broken("batch %d is given up, and version %d of it may be mined", t.Number, v+1)
		}
	}
	w.orphan(t)
	b.unexpect(t)
	remove(&b.live, t, (*batch).byNumber)
	w.dropSlots(t)
	back := sub(t.newestVersion().Fee, t.Paid)
	for i := range t.Inputs {
		c := b.coins[t.Inputs[i].At]
		switch {
		case c.unmined:
			w.unspend(t, c)
		default:
			w.letGo(c)
		}
	}
	for i, x := range t.paying {
		share := t.Payouts[i].Fee
		x.Batch = 0
		x.GivenUp = append(x.GivenUp[max(0, len(x.GivenUp)+1-maxGivenUp):len(x.GivenUp):len(x.GivenUp)], t.Number)
		b.books = add(b.books, add(x.Amount, share))
		b.enqueue(x)
		w.event(b, Event{
			Kind: Restored, Owner: x.Owner, Withdrawal: x.ID, Batch: t.Number, Amount: x.Amount, Fee: share,
		})
		w.touch(x)
	}
	for i := range t.Versions {
		delete(b.versions, t.Versions[i].Tx)
	}
	w.reserveUp(b, back)
	w.drop(t)
	w.touch(b)
}

// orphan gives up the child that spends the change of a batch's newest version.
func (w *step) orphan(t *batch) {
	if c := t.bank.coins[t.changeAt(len(t.Versions))]; c != nil && c.unmined {
		w.giveUp(w.batchOf(t.bank.id, c.batch))
	}
}

// letGo makes an input of a batch that has ended without it a free coin. If somebody
// took it for good, or another coin took its place, it is forgotten.
func (w *step) letGo(c *coin) {
	b := c.bank
	w.miss(c, func() {
		c.aside = false
		b.release(c)
	})
	if _, ok := b.replaced(c); ok {
		w.forgetFree(c)
		return
	}
	if c.stolen && b.depth(c.spent.height) >= b.network.Depth(c.amount) {
		w.bury(c)
	}
}

// unspend takes a child off its parent, which brings its change itself again.
func (w *step) unspend(child *batch, c *coin) {
	b := child.bank
	parent := b.versions[c.at.Tx]
	parent.child = false
	b.expect(parent)
	w.miss(c, func() { c.stolen = false })
	w.dropCoin(c)
	w.touch(parent)
}

// bury forgets a free coin that somebody took for good. From now on its amount is a
// deficit (Y-74).
func (w *step) bury(c *coin) {
	b := c.bank
	b.withdraw(c)
	b.lost = sub(b.lost, c.amount)
	c.state = gone
	b.blocks[c.height].take(c)
	c.stolen = false
	c.spends = nil
	b.forgetVotes(c)
	w.touch(c)
	w.touch(b)
	if k := b.blocks[c.spent.height]; k != nil {
		k.spent = append(k.spent, c)
	} else {
		w.dropCoin(c)
	}
}

// again finds a settled batch that a reorganisation took out of its block. If
// another version than before was mined, its change is another coin.
func (w *step) again(t *batch) {
	b := t.bank
	version, at, ok := b.mined(t)
	if !ok || b.depth(at.height) < b.enough(t, version) {
		return
	}
	if version != int(t.Settled) {
		w.exchange(t, version, at)
	}
	order := func(x, y *batch) int { return cmp.Or(cmp.Compare(x.Height, y.Height), x.byNumber(y)) }
	remove(&b.settled, t, order)
	t.Settled, t.Height, t.location = uint8(version), at.height, at //nolint:gosec // at most MaxVersions
	b.addSettled(t)
	if c := b.coins[t.changeAt(version)]; c != nil && c.state != gone && c.location == (location{}) {
		w.miss(c, func() { c.location = at })
		w.place(c)
	}
	w.touch(t)
}

// exchange makes the change of another version than before a coin, now that it is
// that one which is mined. The change of the former version cannot exist any more: if
// it is free, it is forgotten, and if a batch was to spend it, that batch has lost an
// input for good and goes on as such batches do. An input that only the former version
// spent is the bank's again.
func (w *step) exchange(t *batch, version int, at location) {
	b, before := t.bank, int(t.Settled)
	if c := b.coins[t.changeAt(before)]; c != nil && c.state == free && t.Versions[before-1].Change > 0 {
		w.forgetFree(c)
	}
	for i := range t.Inputs {
		if c := b.coins[t.Inputs[i].At]; c != nil && t.spends(before, i) && !t.spends(version, i) {
			w.revive(c)
		}
	}
	if c := b.coins[t.changeAt(version)]; t.Versions[version-1].Change > 0 && (c == nil || c.state == seen) {
		w.bring(t, version, at)
	}
}

// forgetFree forgets a free coin that cannot exist any more, and counts neither as a coin nor
// as lost from now on.
func (w *step) forgetFree(c *coin) {
	w.miss(c, func() { c.stolen = false })
	c.bank.withdraw(c)
	if c.missing() {
		c.bank.lost = sub(c.bank.lost, c.amount)
	}
	w.dropCoin(c)
}

// revive makes a coin that was spent a free one again. If it does not stand where it
// did, it is lost until it is agreed to stand somewhere.
func (w *step) revive(c *coin) {
	b := c.bank
	if c.state != gone || c.spent != (location{}) {
		return
	}
	if c.height > b.floor && b.agreedAt(c.height) != c.hash {
		c.location, c.since = location{}, b.tip
	}
	w.miss(c, func() { b.release(c) })
	if (c.location != location{}) {
		w.place(c)
	}
}

// replaced tells whether a coin is the change of a version in whose place another one
// was mined: it cannot exist as long as that one is.
func (b *bank) replaced(c *coin) (at location, ok bool) {
	t := b.versions[c.at.Tx]
	if t == nil || !c.change || !c.doubtful() || t.Settled == 0 || t.location == (location{}) {
		return location{}, false
	}
	return t.location, t.Versions[t.Settled-1].Tx != c.at.Tx
}

// dropBatch forgets a settled batch.
func (s *State) dropBatch(t *batch) {
	b := t.bank
	for i := range t.Versions {
		delete(b.versions, t.Versions[i].Tx)
	}
	b.settled = slices.DeleteFunc(b.settled, func(x *batch) bool { return x == t })
	s.drop(t)
}

// balance brings the books up to what the bank has: what belongs to nobody else is
// the reserve's (Y-73).
func (w *step) balance(b *bank) {
	if has, owes := add(b.free, b.change), add(b.books, b.lost); has > owes {
		w.reserveUp(b, sub(has, owes))
	}
}

// deficit is what a bank lacks: what the ledger has of it, less its coins and the
// change to come, those that are lost not counted.
func (b *bank) deficit() asset.Amount {
	return sub(add(b.books, b.lost), add(b.free, b.change))
}
