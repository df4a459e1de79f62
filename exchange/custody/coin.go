package custody

import (
	"cmp"
	"math/bits"
	"slices"

	"souk/asset"
	"souk/script"
)

// coinState is how far a coin has come.
type coinState uint8

const (
	seen     coinState = iota // some or all members say so; spendable by nobody
	free                      // credited, and no batch spends it
	promised                  // credited, and a batch spends it
	gone                      // credited, and spent for good; remembered so that it is not credited again
)

// coin is an output that pays to an address of a bank.
type coin struct {
	bank *bank
	at   script.Outpoint

	state    coinState
	location         // where it is agreed to stand; zero for nowhere
	content          // what is agreed of it
	wallet   uint8   // once it is credited
	batch    uint64  // that spends it; zero for none
	change   bool    // of one of our transactions, so never credited to anybody
	unmined  bool    // change that a child spends before it is mined
	aside    bool    // only former versions of its batch spend it
	stolen   bool    // agreed to be spent by a transaction that no batch knows
	said     []said  // on where and what it is, each member once
	spends   []spend // on what spent it, each member once
	since    uint32  // the agreed tip when it was first said, or, once credited, when it came into doubt
	judged   []Member
	spent    location // of a spend that is agreed
	spentBy  script.Hash

	slot int // among the coins of its block
	row  int // among the coins of its address
}

func (c *coin) compare(other *coin) int {
	return cmp.Or(cmp.Compare(c.amount, other.amount), compareOutpoints(c.at, other.at))
}

// byPlace orders coins by their outpoints.
func (c *coin) byPlace(other *coin) int { return compareOutpoints(c.at, other.at) }

// missing tells whether a credited coin counts as lost: stolen, or not known to
// stand anywhere. What only former versions spend does not count at all.
func (c *coin) missing() bool {
	return (c.state == free || c.state == promised && !c.aside) && (c.stolen || c.doubtful())
}

// doubtful tells whether a credited coin is not known to stand anywhere.
func (c *coin) doubtful() bool { return c.location == location{} && !c.unmined }

// undecided tells whether statements on a coin are open: it is not agreed to stand
// anywhere, and never was credited.
func (c *coin) undecided() bool { return c.state == seen && c.location == location{} }

func (c *coin) voteOf(by Member) int {
	return slices.IndexFunc(c.said, func(v said) bool {
		_, ok := slices.BinarySearch(v.who, by)
		return ok
	})
}

// addCoin puts a coin into the indexes. What members said of its outpoint before goes.
func (s *State) addCoin(c *coin) {
	b := c.bank
	if old := b.coins[c.at]; old != nil {
		if old.state != seen {
			broken("there are two coins %s", c.at)
		}
		s.dropCoin(old)
	}
	b.coins[c.at] = c
	s.touch(c)
}

// hear puts a coin on the list of those that somebody says something of, or takes
// it off.
func (b *bank) hear(c *coin) {
	i, ok := slices.BinarySearchFunc(b.heard, c, (*coin).byPlace)
	switch some := len(c.said)+len(c.spends) > 0; {
	case some && !ok:
		b.heard = slices.Insert(b.heard, i, c)
	case ok && !some:
		b.heard = slices.Delete(b.heard, i, i+1)
	}
}

// credited lists a coin with the address that it was paid to.
func (b *bank) credited(c *coin) {
	if a := b.addresses[place{c.series, c.index}]; a != nil && c.branch == script.Deposits && !c.change {
		c.row = len(a.coins)
		a.coins = append(a.coins, c)
	}
}

// wideAmount is a sum of any number of amounts.
type wideAmount struct{ high, low uint64 }

func (t wideAmount) add(a asset.Amount) wideAmount {
	low, carry := bits.Add64(t.low, uint64(a), 0)
	return wideAmount{t.high + carry, low}
}

func (t wideAmount) sub(a asset.Amount) wideAmount {
	low, borrow := bits.Sub64(t.low, uint64(a), 0)
	return wideAmount{t.high - borrow, low}
}

// amount is the sum, or the most that can exist.
func (t wideAmount) amount() asset.Amount {
	if t.high > 0 || asset.Amount(t.low) > asset.MaxSupply {
		return asset.MaxSupply
	}
	return asset.Amount(t.low)
}

// put lists a coin in the block in which it is agreed to stand.
func (k *block) put(c *coin) {
	c.slot = len(k.coins)
	k.coins = append(k.coins, c)
	if !c.change {
		k.paid = k.paid.add(c.amount)
	}
}

// take takes a coin off the list, if it is there.
func (k *block) take(c *coin) {
	if k == nil || c.slot >= len(k.coins) || k.coins[c.slot] != c {
		return
	}
	last := len(k.coins) - 1
	k.coins[c.slot] = k.coins[last]
	k.coins[c.slot].slot = c.slot
	k.coins[last] = nil
	k.coins = k.coins[:last]
	if !c.change {
		k.paid = k.paid.sub(c.amount)
	}
}

// forget takes a coin off the list of those that were paid to an address.
func (a *address) forget(c *coin) {
	if a == nil || c.row >= len(a.coins) || a.coins[c.row] != c {
		return
	}
	last := len(a.coins) - 1
	a.coins[c.row] = a.coins[last]
	a.coins[c.row].row = c.row
	a.coins[last] = nil
	a.coins = a.coins[:last]
}

// dropCoin forgets a coin.
func (s *State) dropCoin(c *coin) {
	b := c.bank
	b.forgetVotes(c)
	c.spends = nil
	b.hear(c)
	b.blocks[c.height].take(c)
	b.stirred = slices.DeleteFunc(b.stirred, func(x *coin) bool { return x == c })
	b.addresses[place{c.series, c.index}].forget(c)
	delete(b.coins, c.at)
	s.drop(c)
}

// forgetVotes forgets the statements on where and what a coin is.
func (b *bank) forgetVotes(c *coin) {
	b.recount(c, func() { c.said = nil })
	b.hear(c)
}

// recount counts anew what is open of the statements on a coin, around a change of it.
func (b *bank) recount(c *coin, change func()) {
	c.countOpen(b.open, -1)
	change()
	c.countOpen(b.open, 1)
}

// countOpen adds the statements on a coin that are open to those of their members,
// once or minus once.
func (c *coin) countOpen(open map[Member]opened, times int) {
	if !c.undecided() {
		return
	}
	for i := range c.said {
		for _, m := range c.said[i].who {
			o := open[m]
			o.all += times
			if len(c.said[i].who) == 1 {
				o.alone += times
			}
			if open[m] = o; o == (opened{}) {
				delete(open, m)
			}
		}
	}
}

// release makes a credited coin spendable.
func (b *bank) release(c *coin) {
	c.state, c.batch = free, 0
	w := &b.wallets[c.wallet]
	insert(&w.free, c, (*coin).compare)
	w.sum, w.total = add(w.sum, c.amount), add(w.total, c.amount)
	b.free = add(b.free, c.amount)
}

// promise gives a free coin to a batch.
func (b *bank) promise(c *coin, number uint64) {
	b.withdraw(c)
	c.state, c.batch = promised, number
}

// withdraw takes a free coin out of its wallet.
func (b *bank) withdraw(c *coin) {
	w := &b.wallets[c.wallet]
	remove(&w.free, c, (*coin).compare)
	w.sum, w.total = sub(w.sum, c.amount), sub(w.total, c.amount)
	b.free = sub(b.free, c.amount)
}

// miss changes whether a coin counts as lost, around a change of it.
func (s *State) miss(c *coin, change func()) {
	b := c.bank
	if c.missing() {
		b.lost = sub(b.lost, c.amount)
	}
	change()
	if c.missing() {
		b.lost = add(b.lost, c.amount)
	}
	s.touch(c)
}

func (c *coin) asInput() Input {
	return Input{At: c.at, Amount: c.amount, Series: c.series, Branch: c.branch, Index: c.index, Wallet: c.wallet}
}
