package custody

import (
	"cmp"
	"slices"

	"souk/asset"
	"souk/merkle"
	"souk/script"
)

// Turn is what a step depends on besides the state.
type Turn struct {
	Time     uint64         // ms
	Seed     merkle.Hash    // of the block: the root before it
	Reserves []asset.Amount // of network fees, by bank from 1: what the ledger has
}

// EventKind says what happened and what the exchange posts for it (Y-80).
type EventKind uint8

// Kinds of events. Numbers are append-only.
const (
	Credited    EventKind = iota + 1 // mint Amount for Owner
	ReserveUp                        // mint Amount for the reserve
	ReserveDown                      // burn Amount of the reserve
	Recorded                         // burn Amount + Fee of what Owner has on hold; the rest of his bound stays
	Restored                         // mint Amount + Fee for Owner and hold it: his withdrawal waits again
	Paid                             // release Back of what Owner has on hold: the payout is settled
	Sent                             // nothing: Version of Batch is to be signed
	Reorganised                      // nothing: blocks from Height on were replaced
	Stopped                          // nothing: all banks are halted
)

// Event is something that a step brought about. Events are in the order in which
// they are to be posted.
type Event struct {
	Kind       EventKind
	Bank       Bank
	Asset      asset.ID
	Owner      Owner
	Withdrawal ID
	Batch      uint64
	Version    uint8
	Height     uint32
	Reason     Reason
	Amount     asset.Amount
	Fee        asset.Amount
	Back       asset.Amount
}

func (s *State) event(b *bank, e Event) {
	e.Bank, e.Asset = b.id, b.Asset
	s.events = append(s.events, e)
}

// step is a step at work.
type step struct {
	*State
	Turn
	reserves []asset.Amount // as they are after the events so far
}

// Step counts what was said since the last one, credits, settles, halts and makes
// transactions. Call it once in every active block after all commands of custody.
func (s *State) Step(turn Turn) []Event {
	if len(turn.Reserves) != len(s.banks) {
		broken("%d reserves for %d banks", len(turn.Reserves), len(s.banks))
	}
	w := &step{State: s, Turn: turn, reserves: slices.Clone(turn.Reserves)}
	s.events, s.work = nil, 0
	for _, b := range s.banks {
		if b.turn(turn.Time) {
			s.touch(b)
		}
		s.tally(b)
	}
	for _, b := range s.banks {
		w.settleAll(b)
	}
	for _, b := range s.banks {
		if !s.halted(b) {
			w.credit(b)
		} else {
			w.donated(b)
		}
		w.balance(b)
	}
	for _, b := range s.banks {
		if !s.halted(b) {
			w.plan(b)
		}
	}
	s.forget(turn.Time)
	events := s.events
	s.events = nil
	return events
}

// reserveUp and reserveDown move an amount between a bank's books and its reserve.
func (w *step) reserveUp(b *bank, amount asset.Amount) {
	if amount == 0 {
		return
	}
	b.books = add(b.books, amount)
	r := &w.reserves[b.id-1]
	*r = add(*r, amount)
	w.event(b, Event{Kind: ReserveUp, Amount: amount})
	w.touch(b)
}

func (w *step) reserveDown(b *bank, amount asset.Amount) {
	if amount == 0 {
		return
	}
	b.books = sub(b.books, amount)
	r := &w.reserves[b.id-1]
	*r = sub(*r, amount)
	w.event(b, Event{Kind: ReserveDown, Amount: amount})
	w.touch(b)
}

// tally brings what is agreed of a bank's chain up to date.
func (s *State) tally(b *bank) {
	if len(b.touched) > 0 {
		s.chain(b)
	}
	stirred := b.stirred
	b.stirred = nil
	slices.SortFunc(stirred, (*coin).byPlace)
	for _, c := range slices.Compact(stirred) {
		s.locate(c)
		s.spending(c)
	}
}

// carried is the hash that more than two thirds stand behind; zero for none.
func (k *block) carried(m *Members) script.Hash {
	for i := range k.votes {
		if m.carried(m.counted(k.votes[i].who)) {
			return k.votes[i].hash
		}
	}
	return script.Hash{}
}

// chain finds the agreed chain anew (Y-12).
func (s *State) chain(b *bank) {
	slices.Sort(b.touched)
	moved := false
	for _, h := range slices.Compact(b.touched) {
		k := b.blocks[h]
		if k == nil || h > b.tip {
			continue
		}
		if hash := k.carried(&s.members); !hash.IsZero() && hash != k.agreed {
			s.reorganise(b, k, hash)
			moved = true
			break // nothing above is agreed any more
		}
	}
	b.touched = b.touched[:0]
	for {
		k := b.blocks[b.tip+1]
		if k == nil {
			break
		}
		hash := k.carried(&s.members)
		if hash.IsZero() {
			break
		}
		b.tip++
		k.agreed = hash
		s.touch(k)
		moved = true
	}
	if !moved {
		return
	}
	s.touch(b)
	s.rule(b)
	b.stirred = nil // of which some are forgotten, and all are looked at
	s.prune(b)
	b.stirAll()
}

// reorganise makes another hash the agreed one at a height; nothing above is agreed
// any more. If what is no more agreed held something that was credited or settled,
// all banks halt (Y-16).
func (s *State) reorganise(b *bank, first *block, hash script.Hash) {
	deep := false
	for h := first.height; h <= b.tip; h++ {
		k := b.blocks[h]
		for _, c := range k.coins {
			if c.state != seen {
				deep = true
			}
			b.recount(c, func() { s.unplace(c) })
		}
		for _, t := range k.settled {
			deep = true
			t.location = location{}
			s.touch(t)
		}
		for _, c := range k.spent {
			c.spent, c.spentBy = location{}, script.Hash{}
			s.touch(c)
		}
		k.coins, k.paid, k.spent, k.settled = nil, wideAmount{}, nil, nil
		k.agreed = script.Hash{}
		s.touch(k)
		if h == first.height {
			k.agreed = hash
		} else if k.idle() {
			delete(b.blocks, h)
			s.drop(k)
		}
	}
	b.tip = first.height
	for _, c := range b.heard {
		if c.spent.height >= first.height {
			s.miss(c, func() { c.spent, c.spentBy, c.stolen = location{}, script.Hash{}, false })
		}
	}
	s.event(b, Event{Kind: Reorganised, Height: first.height})
	s.touch(b)
	if deep {
		s.stop(b, Reorganisation, first.height)
	}
}

// unplace makes a coin one that is not known to stand anywhere.
func (s *State) unplace(c *coin) {
	s.miss(c, func() {
		c.location = location{}
		if c.state == seen {
			c.content = content{}
		} else {
			c.since = c.bank.tip
		}
	})
}

// agreedAt is the agreed hash at a height; zero for none.
func (b *bank) agreedAt(height uint32) script.Hash {
	if k := b.blocks[height]; k != nil && height <= b.tip {
		return k.agreed
	}
	return script.Hash{}
}

// stands tells whether a statement is of an agreed block and agreed itself.
func (s *State) stands(b *bank, l location, who []Member) bool {
	return !l.hash.IsZero() && b.agreedAt(l.height) == l.hash && s.members.carried(s.members.counted(who))
}

// locate finds where a coin is agreed to stand.
func (s *State) locate(c *coin) {
	b := c.bank
	if (c.location != location{}) || c.unmined || c.state == gone {
		return
	}
	for i := range c.said {
		v := &c.said[i]
		if !s.stands(b, v.location, v.who) || c.state != seen && v.content != c.content {
			continue
		}
		s.name(c, v)
		b.recount(c, func() {
			s.miss(c, func() { c.location, c.content = v.location, v.content })
		})
		b.blocks[c.height].put(c)
		if c.state != seen {
			b.forgetVotes(c)
		}
		b.look = true
		return
	}
}

// name counts who was wrong about a payment that is agreed now, and takes back
// what was counted too early (Y-18).
func (s *State) name(c *coin, right *said) {
	b := c.bank
	for _, m := range c.judged {
		if _, ok := slices.BinarySearch(right.who, m); ok {
			s.wrong(b, m, false)
		}
	}
	for i := range c.said {
		v := &c.said[i]
		if v == right || b.agreedAt(v.height) != v.hash {
			continue
		}
		for _, m := range v.who {
			if !slices.Contains(c.judged, m) {
				s.wrong(b, m, true)
			}
		}
	}
	c.judged = nil
}

func (s *State) wrong(b *bank, m Member, more bool) {
	a := b.attestor(m)
	if a == nil {
		return
	}
	switch {
	case more && a.wrong < 1<<32-1:
		a.wrong++
	case !more && a.wrong > 0:
		a.wrong--
	}
	s.touch(a)
}

// spending finds out which transaction is agreed to spend a coin.
func (s *State) spending(c *coin) {
	b := c.bank
	for i := range c.spends {
		v := c.spends[i]
		if !s.stands(b, v.location, v.who) {
			continue
		}
		if c.spent == v.location && c.spentBy == v.tx {
			return
		}
		foreign := c.state != seen && !b.spends(c, v.tx)
		s.miss(c, func() { c.spent, c.spentBy, c.stolen = v.location, v.tx, foreign })
		if c.state == gone {
			b.blocks[v.height].spent = append(b.blocks[v.height].spent, c)
			c.spends = nil
			b.hear(c)
		}
		b.look = true
		if foreign {
			s.stop(b, Theft, v.height)
		}
		return
	}
}

// spends tells whether a transaction is a version of the batch that spends a coin.
func (b *bank) spends(c *coin, tx script.Hash) bool {
	t := b.versions[tx]
	return t != nil && c.batch != 0 && t.Number == c.batch
}

// rule counts who was wrong about blocks and payments that are Late deep now (Y-18).
func (s *State) rule(b *bank) {
	for b.tip >= Late && b.ruled < b.tip-Late {
		b.ruled++
		k := b.blocks[b.ruled]
		if k == nil {
			continue
		}
		for i := range k.votes {
			if k.votes[i].hash != k.agreed {
				for _, m := range k.votes[i].who {
					s.wrong(b, m, true)
				}
			}
		}
	}
	for _, c := range b.heard {
		if c.state != seen || c.location != (location{}) || len(c.judged) > 0 {
			continue
		}
		for i := range c.said {
			v := &c.said[i]
			if max(v.height, c.since)+Late <= b.tip && b.agreedAt(v.height) == v.hash {
				c.judged = append(c.judged, v.who...)
			}
		}
		slices.Sort(c.judged)
		for _, m := range c.judged {
			s.wrong(b, m, true)
		}
		if len(c.judged) > 0 {
			s.touch(c)
		}
	}
}

// prune forgets what is more than Keep agreed blocks back (Y-90).
func (s *State) prune(b *bank) {
	if b.tip < Keep || b.floor >= b.tip-Keep {
		return
	}
	for b.floor < b.tip-Keep {
		k := b.blocks[b.floor]
		for _, c := range k.spent {
			s.dropCoin(c)
		}
		for _, t := range k.settled {
			s.dropBatch(t)
		}
		delete(b.blocks, b.floor)
		s.drop(k)
		b.floor++
	}
	s.pruneHeard(b)
}

// pruneHeard forgets statements of blocks that are forgotten, and what nothing is
// said of any more, in one pass.
func (s *State) pruneHeard(b *bank) {
	heard := b.heard
	b.heard = make([]*coin, 0, len(heard))
	for _, c := range heard {
		old := len(c.said) + len(c.spends)
		b.recount(c, func() {
			c.said = slices.DeleteFunc(c.said, func(v said) bool {
				return v.height <= b.floor && (c.state != seen || c.location == location{})
			})
		})
		c.spends = slices.DeleteFunc(c.spends, func(v spend) bool { return v.height <= b.floor && v.location != c.spent })
		switch left := len(c.said) + len(c.spends); {
		case left != old && c.undecided() && len(c.said) == 0:
			c.spends = nil
			s.dropCoin(c)
			continue
		case left > 0:
			b.heard = append(b.heard, c)
		}
		if len(c.said)+len(c.spends) != old {
			s.touch(c)
		}
	}
}

// depth is how many agreed blocks a height has, itself included.
func (b *bank) depth(height uint32) uint32 { return b.tip - height + 1 }

// required is how deep a payment must be: by the sum of all payments to the bank
// in its block (Y-14).
func (b *bank) required(c *coin) uint32 {
	k := b.blocks[c.height]
	if k == nil {
		return 0 // it is deeper than anything needs to be
	}
	blocks := b.network.Depth(k.paid.amount())
	if c.pegOut {
		blocks += b.network.PegOutExtra
	}
	return blocks
}

// ripe returns the payments that are deep enough, by (height, outpoint). One to a series
// for which too few can sign is none: nobody could spend it (Y-26).
func (s *State) ripe(b *bank) []*coin {
	var list []*coin
	for _, c := range b.heard {
		if c.state == seen && c.location != (location{}) && b.depth(c.height) >= b.required(c) && s.members.sign(b.series[c.series]) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(x, y *coin) int { return cmp.Or(cmp.Compare(x.height, y.height), x.byPlace(y)) })
	return list
}

// owner is the account that a payment is credited to; zero for nobody.
func (b *bank) owner(c *coin) Owner {
	if c.branch != script.Deposits {
		return 0
	}
	if a := b.addresses[place{c.series, c.index}]; a != nil {
		return a.owner
	}
	return 0
}

// credit credits payments that are deep enough and puts them into wallets.
func (w *step) credit(b *bank) {
	if !b.look {
		return
	}
	ripe := w.ripe(b)
	b.look = len(ripe) > MaxCredits
	for _, c := range ripe[:min(len(ripe), MaxCredits)] {
		w.take(c)
	}
}

// donated takes payments that belong to nobody, for they may end a deficit.
func (w *step) donated(b *bank) {
	if !b.look {
		return
	}
	for _, c := range w.ripe(b) {
		if b.owner(c) == 0 {
			w.take(c)
		}
	}
}

// take makes a payment a coin of the bank and tells who has it.
func (w *step) take(c *coin) {
	b := c.bank
	if total, ok := add(b.free, b.change).Add(c.amount); !ok || total > asset.MaxSupply {
		return // more than can exist: it stays what it is
	}
	if b.isChange(c.at) {
		w.dropCoin(c)
		return
	}
	owner := b.owner(c)
	if owner != 0 {
		books, ok := b.books.Add(c.amount)
		if !ok || books > asset.MaxSupply {
			return
		}
		b.books = books
		a := b.addresses[place{c.series, c.index}]
		if !a.used {
			a.used = true
			w.touch(a)
		}
		w.event(b, Event{Kind: Credited, Owner: owner, Amount: c.amount})
		b.credited(c)
	}
	b.forgetVotes(c)
	c.judged = nil
	c.wallet = b.draw(w.Seed, c)
	b.release(c)
	w.touch(c)
	w.touch(b)
	if (c.spent != location{}) { // somebody had it before us
		w.miss(c, func() { c.stolen = true })
		w.stop(b, Theft, c.spent.height)
	}
}
