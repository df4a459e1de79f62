package custody

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/merkle"
	"souk/script"
)

// maxWho is how many members a leaf may name in one place: those who left keep
// what they said.
const maxWho = 4096

// reader reads a leaf. After the last read, bad tells whether one went wrong.
type reader struct {
	in  cryptobyte.String
	bad bool
}

func (r *reader) ok(ok bool) {
	if !ok {
		r.bad = true
	}
}

func (r *reader) u8() (v uint8) {
	r.ok(r.in.ReadUint8(&v))
	return v
}

func (r *reader) u16() int {
	var v uint16
	r.ok(r.in.ReadUint16(&v))
	return int(v)
}

func (r *reader) u32() (v uint32) {
	r.ok(r.in.ReadUint32(&v))
	return v
}

func (r *reader) u64() (v uint64) {
	r.ok(r.in.ReadUint64(&v))
	return v
}

func (r *reader) amount() asset.Amount {
	a := asset.Amount(r.u64())
	r.ok(a <= asset.MaxSupply)
	return a
}

func (r *reader) bool() bool {
	v := r.u8()
	r.ok(v <= 1)
	return v == 1
}

func (r *reader) hash() (h script.Hash) {
	r.ok(r.in.CopyBytes(h[:]))
	return h
}

func (r *reader) salt() (s Salt) {
	r.ok(r.in.CopyBytes(s[:]))
	return s
}

func (r *reader) bytes() []byte {
	var b cryptobyte.String
	r.ok(r.in.ReadUint8LengthPrefixed(&b))
	return bytes.Clone(b)
}

func (r *reader) outpoint() script.Outpoint { return script.Outpoint{Tx: r.hash(), Index: r.u32()} }

func (r *reader) location() location { return location{r.u32(), r.hash()} }

func (r *reader) content() content {
	c := content{amount: r.amount(), series: r.u32(), branch: uint32(r.u8()), index: r.u32(), pegOut: r.bool()}
	r.ok(c.branch <= script.Deposits && c.index < script.Hardened)
	return c
}

// count reads how many elements of at least size bytes follow.
func (r *reader) count(size, limit int) int {
	n := r.u16()
	if n > limit || n*size > len(r.in) {
		r.bad = true
	}
	if r.bad {
		return 0
	}
	return n
}

func (r *reader) members() []Member {
	n := r.count(4, maxWho)
	if n == 0 {
		return nil
	}
	who := make([]Member, n)
	for i := range who {
		who[i] = Member(r.u32())
		r.ok(who[i] != 0 && (i == 0 || who[i] > who[i-1]))
	}
	return who
}

func (r *reader) limits() Limits {
	return Limits{r.amount(), r.amount(), r.amount(), r.amount(), r.u64()}
}

// stub returns a bank that other leaves speak of, whether or not its own leaf has
// come yet.
func (s *State) stub(r *reader, id Bank) *bank {
	if id == 0 || id > MaxBanks {
		r.bad = true
		id = 1
	}
	for uint64(len(s.banks)) < uint64(id) {
		b := newBank(Bank(len(s.banks)+1), Definition{}, nil) //nolint:gosec // at most MaxBanks
		s.banks = append(s.banks, b)
	}
	return s.banks[id-1]
}

// Load adds one leaf to a state that came from New. Leaves may come in any order,
// each once. It returns ErrLeaf for anything but the one encoding of a leaf.
func (s *State) Load(key merkle.Key, value []byte) error {
	r := &reader{in: value}
	rec := s.parse(key, r)
	if rec == nil || r.bad || !r.in.Empty() || rec.leafKey() != key || !bytes.Equal(rec.append(nil), value) {
		return fmt.Errorf("leaf %s: %w", key, ErrLeaf)
	}
	if s.entries[string(key[:])] != nil {
		return fmt.Errorf("leaf %s is there twice: %w", key, ErrLeaf)
	}
	s.entries[string(key[:])] = &entry{record: rec, stored: true}
	return nil
}

func (s *State) parse(key merkle.Key, r *reader) record {
	one, two, three := binary.BigEndian.Uint32(key[1:]), binary.BigEndian.Uint32(key[5:]), binary.BigEndian.Uint32(key[9:])
	number := binary.BigEndian.Uint64(key[1:])
	switch key[0] {
	case LeafBank:
		return s.parseBank(Bank(one), r)
	case LeafSeries:
		x := &series{bank: s.stub(r, Bank(one)), number: two, opened: r.u64(), next: r.u32(), members: r.members()}
		var err error
		x.Series, err = script.ParseSeries(r.in)
		if err != nil {
			return nil
		}
		r.in = nil
		r.ok(len(x.members) == len(x.Keys) && x.next < script.Hardened)
		return x
	case LeafAddress:
		x := &address{bank: s.stub(r, Bank(one)), place: place{two, three}, owner: Owner(r.u32()), used: r.bool()}
		x.salt = r.salt()
		return x
	case LeafBlock:
		x := &block{bank: s.stub(r, Bank(one)), height: two, agreed: r.hash()}
		for range r.count(34, maxWho) {
			v := hashVote{r.hash(), r.members()}
			r.ok(len(v.who) > 0 && !v.hash.IsZero())
			r.ok(len(x.votes) == 0 || bytes.Compare(x.votes[len(x.votes)-1].hash[:], v.hash[:]) < 0)
			x.votes = append(x.votes, v)
		}
		return x
	case LeafCoin:
		return s.parseCoin(r)
	case LeafWithdrawal:
		x := &withdrawal{}
		x.ID, x.Bank, x.Owner, x.Script = ID(number), Bank(r.u32()), Owner(r.u32()), r.bytes()
		x.Amount, x.MaxFee, x.Asked, x.From, x.Batch = r.amount(), r.amount(), r.u64(), r.u64(), r.u64()
		for range r.u8() {
			x.GivenUp = append(x.GivenUp, r.u64())
		}
		r.ok(slices.IsSorted(x.GivenUp))
		x.Salt = r.salt()
		x.bank = s.stub(r, x.Bank)
		_, fits := x.Amount.Add(x.MaxFee)
		r.ok(fits && x.ID != 0 && x.Owner != 0)
		return x
	case LeafBatch:
		return s.parseBatch(Bank(one), binary.BigEndian.Uint64(key[5:]), r)
	case LeafAttestor:
		x := &attestor{bank: s.stub(r, Bank(one)), member: Member(two), height: r.u32(), rate: r.u64(), rated: r.u32(), wrong: r.u32()}
		x.admitted, x.hour, x.hasKey = r.u32(), r.u32(), r.bool()
		if x.hasKey {
			r.ok(r.in.CopyBytes(x.key.Key[:]) && r.in.CopyBytes(x.key.ChainCode[:]))
			x.announced = r.u64()
			x.replaced, x.lost = r.bool(), r.u32()
			r.ok(x.lost <= maxSeries)
		}
		return x
	case LeafAccount:
		x := &account{owner: Owner(one), set: r.settings(), nextAt: r.u64(), next: r.settings(), salt: r.salt()}
		r.history(x)
		r.ok(!x.plain() && x.owner != 0)
		return x
	case LeafSlots:
		x := &slots{bank: s.stub(r, Bank(one)), batch: binary.BigEndian.Uint64(key[5:])}
		x.version, x.member = key[13], Member(binary.BigEndian.Uint32(key[14:]))
		n := r.count(1, MaxInputs)
		for range n {
			sig := r.bytes()
			r.ok(len(sig) <= MaxSignature)
			x.given = append(x.given, sig)
		}
		return x
	case LeafSettled:
		x := &done{}
		x.ID, x.Bank, x.Owner, x.Script = ID(number), Bank(r.u32()), Owner(r.u32()), r.bytes()
		x.Amount, x.Fee, x.At, x.Height, x.Time, x.Salt = r.amount(), r.amount(), r.outpoint(), r.u32(), r.u64(), r.salt()
		x.bank = s.stub(r, x.Bank)
		r.ok(x.ID != 0 && x.Owner != 0)
		return x
	case LeafCustody:
		s.halt, s.newest, s.reasons = r.halt(), r.halt(), r.u32()
		s.last = ID(r.u64())
		s.members = Members{Count: r.u16(), Present: r.members()}
		r.ok((s.halt.Reason == 0) == (s.newest.Reason == 0) && (s.halt.Reason == 0 || s.reasons > 0))
		return (*global)(s)
	}
	return nil
}

func (r *reader) halt() Halt {
	h := Halt{Reason(r.u8()), Bank(r.u32()), r.u32()}
	r.ok(h.Reason <= Books && (h.Reason != 0 || h == Halt{}))
	return h
}

// history reads what an account was paid and has drawn.
func (r *reader) history(x *account) {
	for range r.u8() {
		var p paidTo
		r.ok(r.in.CopyBytes(p.id[:]))
		p.since = r.u64()
		r.ok(len(x.paidTo) == 0 || x.paidTo[len(x.paidTo)-1].since <= p.since)
		x.paidTo = append(x.paidTo, p)
	}
	for range r.u8() {
		d := drawn{Bank(r.u32()), r.amount(), r.u64()}
		r.ok(d.bank != 0 && d.bank <= MaxBanks && (len(x.draws) == 0 || x.draws[len(x.draws)-1].bank < d.bank))
		x.draws = append(x.draws, d)
	}
	r.ok(len(x.paidTo) <= maxPaid && len(x.draws) <= MaxBanks)
}

func (r *reader) settings() Settings {
	x := Settings{Delay: r.u64(), Only: r.bool()}
	for range r.u8() {
		x.Allowed = append(x.Allowed, Allowed{Bank(r.u32()), r.bytes()})
	}
	r.ok(len(x.Allowed) <= MaxAllowed && x.Delay <= MaxDelay)
	for i := 1; i < len(x.Allowed); i++ {
		r.ok(compareAllowed(x.Allowed[i-1], x.Allowed[i]) < 0)
	}
	return x
}

func (s *State) parseBank(id Bank, r *reader) record {
	b := s.stub(r, id)
	if b.network != nil {
		return nil // it has come already
	}
	d := Definition{Asset: asset.ID(r.u32()), Network: string(r.bytes()), Wallets: r.u8(), Limits: r.limits()}
	d.Gather, d.BumpBlocks, d.CoolDown = r.u64(), r.u32(), r.u64()
	d.Start = Point{r.u32(), r.hash()}
	if r.bad || d.Check() != nil {
		return nil
	}
	n, _ := script.ByName(d.Network)
	*b = *newBank(b.id, d, n)
	b.next, b.nextAt = r.limits(), r.u64()
	b.tip, b.floor, b.ruled = r.u32(), r.u32(), r.u32()
	b.books, b.used, b.usedAt = r.amount(), r.amount(), r.u64()
	b.planned, b.lastBatch = r.u64(), r.u64()
	count := r.u32()
	b.waits, b.lifted = Wait(r.u8()), r.bool()
	for i := range b.changes {
		b.changes[i] = r.u32()
		r.ok(b.changes[i] <= 1<<24)
	}
	r.ok(b.waits <= allWaits && count > 0 && count <= maxSeries)
	r.ok(b.floor <= b.tip && b.tip <= maxHeight && b.floor >= d.Start.Height && b.tip-b.floor <= Keep)
	r.ok(b.ruled <= maxHeight && (b.nextAt == 0) == (b.next == Limits{}) && (b.nextAt == 0 || b.next.check(n) == nil))
	if r.bad {
		return nil
	}
	b.series = make([]*series, count)
	return b
}

func (s *State) parseCoin(r *reader) record {
	c := &coin{bank: s.stub(r, Bank(r.u32())), at: r.outpoint()}
	c.state = coinState(r.u8())
	flags := r.u8()
	c.change, c.unmined, c.stolen, c.aside = flags&flagChange != 0, flags&flagUnmined != 0, flags&flagStolen != 0, flags&flagAside != 0
	c.location, c.content = r.location(), r.content()
	c.wallet, c.batch, c.since = r.u8(), r.u64(), r.u32()
	c.spent, c.spentBy = r.location(), r.hash()
	for range r.count(56, maxWho) {
		v := said{r.location(), r.content(), r.members()}
		r.ok(len(v.who) > 0 && (len(c.said) == 0 || c.said[len(c.said)-1].compare(&v) < 0))
		c.said = append(c.said, v)
	}
	for range r.count(70, maxWho) {
		v := spend{r.location(), r.hash(), r.members()}
		r.ok(len(v.who) > 0 && (len(c.spends) == 0 || c.spends[len(c.spends)-1].compare(&v) < 0))
		c.spends = append(c.spends, v)
	}
	c.judged = r.members()
	r.ok(c.state <= gone && flags <= flagChange|flagUnmined|flagStolen|flagAside && (!c.aside || c.state == promised))
	return c
}

func (s *State) parseBatch(id Bank, number uint64, r *reader) record {
	t := &batch{bank: s.stub(r, id), Batch: Batch{Bank: id, Number: number, Kind: BatchKind(r.u8()), Wallet: r.u8(), Paid: r.amount()}}
	t.ChangeAt, t.ChangeSeries, t.ChangeIndex = r.u8(), r.u32(), r.u32()
	t.child, t.Settled, t.Height, t.location = r.bool(), r.u8(), r.u32(), r.location()
	for range r.count(54, MaxTaken) {
		t.Inputs = append(t.Inputs, Input{
			At: r.outpoint(), Amount: r.amount(), Series: r.u32(), Branch: uint32(r.u8()), Index: r.u32(), Wallet: r.u8(),
		})
	}
	if r.bool() && !r.bad {
		t.In = make([]uint32, len(t.Inputs))
		for i := range t.In {
			t.In[i] = r.u32()
		}
	}
	for range r.count(25, MaxOutputs) {
		t.Payouts = append(t.Payouts, Output{ID: ID(r.u64()), Script: r.bytes(), Amount: r.amount(), Fee: r.amount()})
	}
	for range min(r.u8(), MaxRenewed) {
		t.Versions = append(t.Versions, Version{
			Rate: r.u64(), Fee: r.amount(), Change: r.amount(), Tx: r.hash(), Tip: r.u32(), Time: r.u64(),
		})
	}
	r.ok(t.Kind >= Payout && t.Kind <= Child && len(t.Inputs) > 0 && len(t.Versions) > 0 && int(t.Settled) <= len(t.Versions))
	r.ok(t.In == nil || t.differs())
	return t
}

// Finish completes a state after the last Load, and returns ErrLeaf if the leaves
// do not fit together. The state must not be used before.
func (s *State) Finish() error {
	if len(s.entries) == 0 {
		return fmt.Errorf("%w: there is nothing", ErrLeaf)
	}
	if s.find(Key()) == nil {
		return fmt.Errorf("%w: the leaf of custody itself is missing", ErrLeaf)
	}
	for _, b := range s.banks {
		if b.network == nil {
			return fmt.Errorf("%w: bank %d is missing", ErrLeaf, b.id)
		}
	}
	if slices.ContainsFunc(s.banks, func(b *bank) bool { return b.lifted }) && (s.halt.Reason == 0 || !slices.ContainsFunc(s.banks, s.halted)) {
		return fmt.Errorf("%w: a halt that is none is lifted", ErrLeaf)
	}
	for _, key := range slices.Sorted(maps.Keys(s.entries)) {
		if !s.attach(s.entries[key].record) {
			return fmt.Errorf("%w: leaf %x does not fit", ErrLeaf, key)
		}
	}
	for _, b := range s.banks {
		if err := b.finish(); err != nil {
			return fmt.Errorf("%w: bank %d: %w", ErrLeaf, b.id, err)
		}
	}
	slices.SortFunc(s.records, (*done).byTime)
	if err := s.Verify(); err != nil {
		return fmt.Errorf("%w: %w", ErrLeaf, err)
	}
	return nil
}

// attach puts a loaded record into the indexes. Records come in the order of keys.
func (s *State) attach(r record) bool {
	switch x := r.(type) {
	case *series:
		b := x.bank
		if uint64(x.number) >= uint64(len(b.series)) || x.number > 0 && b.series[x.number-1] == nil {
			return false
		}
		b.series[x.number] = x
		if x.number == 0 {
			b.Recovery = x.Recovery
		}
	case *address:
		b := x.bank
		if uint64(x.series) >= uint64(len(b.series)) || b.series[x.series] == nil || x.index >= b.series[x.series].next || x.owner == 0 {
			return false
		}
		s.addAddress(x)
	case *block:
		x.bank.blocks[x.height] = x
	case *coin:
		return s.attachCoin(x)
	case *withdrawal:
		own := s.account(x.Owner)
		own.withdrawals = append(own.withdrawals, x)
		if x.Batch == 0 {
			x.bank.enqueue(x)
		}
		return x.ID <= s.last && script.OutputWeight(x.Script) > 0
	case *batch:
		return s.attachBatch(x)
	case *attestor:
		x.bank.attestors = append(x.bank.attestors, x)
		return x.member != 0
	case *account:
		if n := len(x.draws); n > 0 && s.bank(x.draws[n-1].bank) == nil {
			return false
		}
		old := s.accounts[x.owner]
		if old != nil {
			x.addresses, x.withdrawals, x.settled = old.addresses, old.withdrawals, old.settled
		}
		s.accounts[x.owner] = x
	case *slots:
		b := x.bank
		b.signs[x.batch] = append(b.signs[x.batch], x)
		t := s.batchOf(b.id, x.batch)
		return t != nil && t.Settled == 0 && x.version > 0 && int(x.version) <= len(t.Versions) && len(x.given) == len(t.Spends(int(x.version)))
	case *done:
		s.records = append(s.records, x)
		own := s.account(x.Owner)
		own.settled = append(own.settled, x)
		return x.ID <= s.last
	}
	return true
}

func (s *State) attachCoin(c *coin) bool {
	b := c.bank
	if c.state != seen && (uint64(c.series) >= uint64(len(b.series)) || c.wallet >= b.Wallets || c.amount == 0) {
		return false
	}
	if (c.state == promised) != (c.batch != 0 && c.state != gone) || c.unmined && (c.state != promised || !c.change || c.location != location{}) {
		return false
	}
	b.coins[c.at] = c
	if c.state != seen {
		b.credited(c)
	}
	b.hear(c)
	c.countOpen(b.open, 1)
	if c.state == free {
		sum, ok := b.free.Add(c.amount)
		if !ok || sum > asset.MaxSupply {
			return false
		}
		b.release(c)
	}
	if c.missing() {
		lost, ok := b.lost.Add(c.amount)
		if !ok || lost > asset.MaxSupply {
			return false
		}
		b.lost = lost
	}
	at := c.location
	if c.state == gone {
		at = c.spent
	}
	if k := b.blocks[at.height]; k != nil && (at != location{}) && c.state == gone {
		k.spent = append(k.spent, c)
	} else if k != nil && (at != location{}) {
		k.put(c)
	}
	return true
}

func (s *State) attachBatch(t *batch) bool {
	b := t.bank
	if t.Number == 0 || t.Number > b.lastBatch || t.Wallet >= b.Wallets || uint64(t.ChangeSeries) >= uint64(len(b.series)) {
		return false
	}
	total := asset.Amount(0)
	for _, p := range slices.Concat(amountsIn(t.Inputs), amountsOut(t.Payouts)) {
		var ok bool
		if total, ok = total.Add(p); !ok {
			return false
		}
	}
	for i := range t.Versions {
		v := &t.Versions[i]
		if rest, ok := t.spent(i + 1).Sub(t.paidOut()); !ok || v.Fee > rest || v.Change != rest-v.Fee || b.versions[v.Tx] != nil {
			return false
		}
		b.versions[v.Tx] = t
	}
	if t.Settled != 0 {
		b.addSettled(t)
		return true
	}
	for i := range t.Inputs {
		c := b.coins[t.Inputs[i].At]
		if c == nil || c.batch != t.Number || c.state != promised || c.asInput() != t.Inputs[i] || c.aside == t.spends(len(t.Versions), i) {
			return false
		}
	}
	for i := range t.Payouts {
		x, ok := s.find(withdrawalKey(t.Payouts[i].ID)).(*withdrawal)
		if !ok || x.Batch != t.Number || x.bank != b || x.Amount != t.Payouts[i].Amount || x.MaxFee < t.Payouts[i].Fee {
			return false
		}
		t.paying = append(t.paying, x)
	}
	if sum, ok := add(b.free, 0).Add(b.change); !ok || sum > asset.MaxSupply {
		return false
	} else if sum, ok = sum.Add(t.back()); !ok || sum > asset.MaxSupply {
		return false
	}
	b.live = append(b.live, t)
	b.expect(t)
	return true
}

func amountsIn(list []Input) []asset.Amount {
	all := make([]asset.Amount, len(list))
	for i := range list {
		all[i] = list[i].Amount
	}
	return all
}

func amountsOut(list []Output) []asset.Amount {
	all := make([]asset.Amount, len(list))
	for i := range list {
		all[i] = list[i].Amount
	}
	return all
}

func (b *bank) finish() error {
	for _, r := range b.series {
		if r == nil {
			return fmt.Errorf("a series is missing")
		}
	}
	for h := b.floor; h <= b.tip; h++ {
		if k := b.blocks[h]; k == nil || k.agreed.IsZero() {
			return fmt.Errorf("block %d is missing", h)
		}
	}
	b.touchAll()
	return nil
}
