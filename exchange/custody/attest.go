package custody

import (
	"bytes"
	"cmp"
	"slices"

	"souk/asset"
	"souk/script"
)

// Attestation is what a member says that it saw on a bank's chain. With hashes it
// says: my chain from From on is this, and what I said of From and above is void.
type Attestation struct {
	Bank     Bank
	From     uint32        // height of the first hash; zero without hashes
	Parent   script.Hash   // of the block before it; zero without hashes
	Hashes   []script.Hash // at most MaxHashes
	Payments []Payment     // at most MaxPayments
	Spends   []Spend       // at most MaxSpends
	Rate     uint64        // units per 1,000 virtual bytes; zero if the member knows none
}

// Payment is an output that pays to an address of a bank.
type Payment struct {
	Height uint32
	At     script.Outpoint
	Amount asset.Amount
	Series uint32
	Branch uint32 // script.Change or script.Deposits
	Index  uint32
	PegOut bool // out of a HogEx transaction
}

// Spend is a transaction that spends an output which pays to an address of a bank.
type Spend struct {
	Height uint32
	At     script.Outpoint
	Tx     script.Hash
}

// block is a height of a bank's chain.
type block struct {
	bank   *bank
	height uint32
	agreed script.Hash // zero for none
	votes  []hashVote  // ascending by hash

	coins   []*coin    // agreed to stand in it: payments, and change that settled in it
	paid    wideAmount // of coins, what is no change
	spent   []*coin    // coins that are spent for good, by a transaction in it
	settled []*batch   // whose transaction is agreed to stand in it and deep
}

type hashVote struct {
	hash script.Hash
	who  []Member // ascending
}

// location is where on a chain something is said to be.
type location struct {
	height uint32
	hash   script.Hash
}

func (l location) compare(other location) int {
	return cmp.Or(cmp.Compare(l.height, other.height), bytes.Compare(l.hash[:], other.hash[:]))
}

// content is what is said of an output.
type content struct {
	amount asset.Amount
	series uint32
	branch uint32
	index  uint32
	pegOut bool
}

func (c content) compare(other content) int {
	peg := 0
	switch {
	case c.pegOut && !other.pegOut:
		peg = 1
	case other.pegOut && !c.pegOut:
		peg = -1
	}
	return cmp.Or(cmp.Compare(c.amount, other.amount), cmp.Compare(c.series, other.series),
		cmp.Compare(c.branch, other.branch), cmp.Compare(c.index, other.index), peg)
}

// said is a statement on a payment and who stands behind it.
type said struct {
	location
	content
	who []Member // ascending
}

func (v *said) compare(other *said) int {
	return cmp.Or(v.location.compare(other.location), v.content.compare(other.content))
}

// spend is a statement on who spent a coin.
type spend struct {
	location
	tx  script.Hash
	who []Member // ascending
}

func (v *spend) compare(other *spend) int {
	return cmp.Or(v.location.compare(other.location), bytes.Compare(v.tx[:], other.tx[:]))
}

// Attest takes note of what a member says: OK, UnknownBank, NotMember, BadForm,
// BadHeight, BadParent or TooMany; then nothing is taken of it. What it brings
// about, Step does (Y-11 to Y-18).
func (s *State) Attest(by Member, t *Attestation) Code {
	b := s.bank(t.Bank)
	if b == nil {
		return UnknownBank
	}
	if !s.members.has(by) {
		return NotMember
	}
	if code := b.checkHashes(by, t); code != OK {
		return code
	}
	if code := b.checkSpends(by, t); code != OK {
		return code
	}
	if code := b.checkPayments(by, t); code != OK {
		return code
	}
	a := s.known(b, by)
	if len(t.Hashes) > 0 {
		s.replaceHashes(b, a, t)
	}
	if t.Rate != 0 {
		a.rate, a.rated = t.Rate, max(b.tip, a.height)
	}
	for i := range t.Payments {
		s.sayPayment(b, by, t, &t.Payments[i])
	}
	for i := range t.Spends {
		s.saySpend(b, by, t, &t.Spends[i])
	}
	s.touch(a)
	return OK
}

func (b *bank) checkHashes(by Member, t *Attestation) Code {
	if len(t.Hashes) > MaxHashes || len(t.Payments) > MaxPayments || len(t.Spends) > MaxSpends {
		return BadForm
	}
	if len(t.Hashes) == 0 {
		if t.From != 0 || !t.Parent.IsZero() {
			return BadForm
		}
		return OK
	}
	if slices.ContainsFunc(t.Hashes, script.Hash.IsZero) || t.Parent.IsZero() {
		return BadForm
	}
	last := uint64(t.From) + uint64(len(t.Hashes)) - 1
	if t.From <= b.floor || last > uint64(b.tip)+MaxAhead || last > maxHeight {
		return BadHeight
	}
	before := b.blocks[t.From-1]
	if before == nil || before.agreed != t.Parent && before.voteOf(by) != t.Parent {
		return BadParent
	}
	return OK
}

// hashOf is the hash that a member stands for at a height once it has said t: its
// own, or, where it said none, the agreed one.
func (b *bank) hashOf(by Member, t *Attestation, height uint32) (script.Hash, bool) {
	if height <= b.floor {
		return script.Hash{}, false
	}
	if len(t.Hashes) > 0 && height >= t.From {
		if i := height - t.From; uint64(i) < uint64(len(t.Hashes)) {
			return t.Hashes[i], true
		}
		return script.Hash{}, false
	}
	k := b.blocks[height]
	if k == nil {
		return script.Hash{}, false
	}
	if own := k.voteOf(by); !own.IsZero() {
		return own, true
	}
	return k.agreed, !k.agreed.IsZero()
}

func (b *bank) checkPayments(by Member, t *Attestation) Code {
	room := b.room(by)
	full := false
	for i := range t.Payments {
		p := &t.Payments[i]
		if p.Amount == 0 || p.Amount > asset.MaxSupply || p.Branch > script.Deposits || p.Index >= script.Hardened ||
			uint64(p.Series) >= uint64(len(b.series)) {
			return BadForm
		}
		hash, ok := b.hashOf(by, t, p.Height)
		if !ok {
			return BadHeight
		}
		full = full || !room.Takes(p, hash)
	}
	if full {
		return TooMany
	}
	return OK
}

// opened is how much a member says of payments that are not agreed.
type opened struct {
	all   int
	alone int // which nobody else says
}

// Room is how much more a member may say of payments that are not agreed (Y-18).
type Room struct {
	bank  *bank
	by    Member
	all   int
	alone int
}

func (b *bank) room(by Member) *Room {
	o := b.open[by]
	return &Room{bank: b, by: by, all: MaxOpen - o.all, alone: MaxAlone - o.alone}
}

// Room returns what room a member has at a bank that there is.
func (s *State) Room(id Bank, by Member) *Room { return s.bank(id).room(by) }

// Takes tells whether there is room to say that a payment stands in the block with
// this hash, and takes it.
func (r *Room) Takes(p *Payment, hash script.Hash) bool {
	v := said{location{p.Height, hash}, content{p.Amount, p.Series, p.Branch, p.Index, p.PegOut}, nil}
	more := r.bank.opens(r.by, p.At, &v)
	if more.all > 0 && r.all < more.all || more.alone > 0 && r.alone < more.alone {
		return false
	}
	r.all -= more.all
	r.alone -= more.alone
	return true
}

// opens is what a statement adds to those of a member that are open.
func (b *bank) opens(by Member, at script.Outpoint, v *said) (more opened) {
	c := b.coins[at]
	switch {
	case (c == nil || c.state == seen) && b.isChange(at):
		return opened{}
	case c == nil && (v.amount < b.MinDeposit || v.height < b.network.SegwitHeight):
		return opened{}
	case c == nil:
		return opened{1, 1}
	case !c.undecided():
		return opened{}
	}
	if i := c.voteOf(by); i < 0 {
		more.all = 1
	} else if len(c.said[i].who) == 1 {
		more.alone = -1
	}
	if i, ok := c.find(v); !ok || len(c.said[i].who) == 1 && c.said[i].who[0] == by {
		more.alone++
	}
	return more
}

// find returns where a statement on a coin stands, or should.
func (c *coin) find(v *said) (int, bool) {
	return slices.BinarySearchFunc(c.said, v, func(x said, v *said) int { return x.compare(v) })
}

func (b *bank) checkSpends(by Member, t *Attestation) Code {
	for i := range t.Spends {
		if _, ok := b.hashOf(by, t, t.Spends[i].Height); !ok {
			return BadHeight
		}
	}
	return OK
}

// replaceHashes makes a member's chain from a height on what it says now.
func (s *State) replaceHashes(b *bank, a *attestor, t *Attestation) {
	last := t.From + uint32(len(t.Hashes)) - 1 //nolint:gosec // at most MaxHashes
	for h := t.From; h <= max(last, a.height); h++ {
		k := b.blocks[h]
		if k == nil {
			if h > last {
				continue
			}
			k = &block{bank: b, height: h}
			b.blocks[h] = k
		}
		said := script.Hash{}
		if h <= last {
			said = t.Hashes[h-t.From]
		}
		if k.voteOf(a.member) == said {
			continue
		}
		k.vote(a.member, said)
		b.touched = append(b.touched, h)
		s.touch(k)
		if k.idle() {
			delete(b.blocks, h)
			s.drop(k)
		}
	}
	a.height = last
}

// voteOf is the hash that a member stands for; zero for none.
func (k *block) voteOf(by Member) script.Hash {
	for i := range k.votes {
		if _, ok := slices.BinarySearch(k.votes[i].who, by); ok {
			return k.votes[i].hash
		}
	}
	return script.Hash{}
}

// vote makes a member stand for a hash, or, if it is zero, for none.
func (k *block) vote(by Member, hash script.Hash) {
	for i := range k.votes {
		if at, ok := slices.BinarySearch(k.votes[i].who, by); ok {
			if k.votes[i].who = slices.Delete(k.votes[i].who, at, at+1); len(k.votes[i].who) == 0 {
				k.votes = slices.Delete(k.votes, i, i+1)
			}
			break
		}
	}
	if hash.IsZero() {
		return
	}
	i, ok := slices.BinarySearchFunc(k.votes, hash, func(v hashVote, h script.Hash) int { return bytes.Compare(v.hash[:], h[:]) })
	if !ok {
		k.votes = slices.Insert(k.votes, i, hashVote{hash: hash})
	}
	insert(&k.votes[i].who, by, cmp.Compare[Member])
}

// idle tells whether there is nothing to remember of a block.
func (k *block) idle() bool { return k.agreed.IsZero() && len(k.votes) == 0 }

// sayPayment notes that a member saw a payment in a block.
func (s *State) sayPayment(b *bank, by Member, t *Attestation, p *Payment) {
	hash, _ := b.hashOf(by, t, p.Height)
	v := said{location{p.Height, hash}, content{p.Amount, p.Series, p.Branch, p.Index, p.PegOut}, nil}
	c := b.coins[p.At]
	if (c == nil || c.state == seen) && b.isChange(p.At) {
		return // our own change, which settles by itself
	}
	if c == nil {
		if p.Amount < b.MinDeposit || p.Height < b.network.SegwitHeight {
			return // too small, or not protected
		}
		c = &coin{bank: b, at: p.At, since: b.tip}
		s.addCoin(c)
	}
	if c.state == gone || c.unmined || c.state != seen && c.location == v.location {
		return
	}
	if i := c.voteOf(by); i >= 0 && c.said[i].compare(&v) == 0 {
		return
	}
	b.recount(c, func() { c.say(by, &v) })
	b.hear(c)
	b.stir(c)
	s.touch(c)
}

// say makes a member stand behind a statement and behind no other.
func (c *coin) say(by Member, v *said) {
	if i := c.voteOf(by); i >= 0 {
		c.said[i].who = slices.DeleteFunc(c.said[i].who, func(m Member) bool { return m == by })
		if len(c.said[i].who) == 0 {
			c.said = slices.Delete(c.said, i, i+1)
		}
	}
	i, ok := c.find(v)
	if !ok {
		c.said = slices.Insert(c.said, i, *v)
	}
	insert(&c.said[i].who, by, cmp.Compare[Member])
}

// saySpend notes that a member saw a coin being spent in a block. Coins that the
// bank does not know are nobody's business.
func (s *State) saySpend(b *bank, by Member, t *Attestation, p *Spend) {
	c := b.coins[p.At]
	if c == nil {
		return
	}
	hash, _ := b.hashOf(by, t, p.Height)
	v := spend{location{p.Height, hash}, p.Tx, nil}
	if c.state == gone && c.spent == v.location && c.spentBy == v.tx {
		return
	}
	for i := range c.spends {
		at, ok := slices.BinarySearch(c.spends[i].who, by)
		if !ok {
			continue
		}
		if c.spends[i].compare(&v) == 0 {
			return
		}
		if c.spends[i].who = slices.Delete(c.spends[i].who, at, at+1); len(c.spends[i].who) == 0 {
			c.spends = slices.Delete(c.spends, i, i+1)
		}
		break
	}
	i, ok := slices.BinarySearchFunc(c.spends, v, func(x, y spend) int { return x.compare(&y) })
	if !ok {
		c.spends = slices.Insert(c.spends, i, v)
	}
	insert(&c.spends[i].who, by, cmp.Compare[Member])
	b.hear(c)
	b.stir(c)
	s.touch(c)
}

func (b *bank) stir(c *coin) { b.stirred = append(b.stirred, c) }
