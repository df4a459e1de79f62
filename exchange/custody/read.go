package custody

import (
	"cmp"
	"maps"
	"slices"

	"souk/asset"
	"souk/script"
)

// Info is what there is to tell of a bank.
type Info struct {
	ID Bank
	Definition
	Next     Limits // in force from NextAt on; NextAt is zero if no change is to come
	NextAt   uint64
	Tip      Point  // the newest agreed block
	Floor    uint32 // the oldest block that is remembered
	Series   uint32 // how many there are; the last is the newest
	Wallets  []WalletInfo
	Pending  int // withdrawals that wait for a transaction
	Live     []uint64
	Waits    Wait
	Sums     Sums
	Accepted uint64 // the rate at which transactions are made now; zero if too few members know one
}

// WalletInfo is what a wallet has.
type WalletInfo struct {
	Total asset.Amount // free coins and change to come
	Coins int          // free
}

// Banks returns how many banks there are.
func (s *State) Banks() int { return len(s.banks) }

// Bank returns what there is to tell of a bank.
func (s *State) Bank(id Bank) (info Info, ok bool) {
	b := s.bank(id)
	if b == nil {
		return Info{}, false
	}
	info = Info{
		ID: id, Definition: b.Definition, Next: b.next, NextAt: b.nextAt, Tip: Point{b.tip, b.agreedAt(b.tip)}, Floor: b.floor,
		Series: uint32(len(b.series)), Pending: len(b.pending), Waits: b.waits, //nolint:gosec // at most maxSeries
	}
	for i := range b.wallets {
		info.Wallets = append(info.Wallets, WalletInfo{b.wallets[i].total, len(b.wallets[i].free)})
	}
	for _, t := range b.live {
		info.Live = append(info.Live, t.Number)
	}
	info.Sums, _ = s.Solvency(id)
	info.Accepted, _ = s.rate(b)
	return info, true
}

// Wallets returns the totals of a bank's wallets, as Bank does, and nothing else.
func (s *State) Wallets(id Bank) []asset.Amount {
	b := s.bank(id)
	if b == nil {
		return nil
	}
	totals := make([]asset.Amount, len(b.wallets))
	for i := range b.wallets {
		totals[i] = b.wallets[i].total
	}
	return totals
}

// Block returns the agreed hash of a bank's chain at a height from Floor to Tip.
func (s *State) Block(id Bank, height uint32) (script.Hash, bool) {
	b := s.bank(id)
	if b == nil || b.agreedAt(height).IsZero() {
		return script.Hash{}, false
	}
	return b.agreedAt(height), true
}

// Said returns the hash that a member stands for at a height. A member goes on from
// the highest block of its chain that it has said or that is agreed.
func (s *State) Said(id Bank, m Member, height uint32) (script.Hash, bool) {
	b := s.bank(id)
	if b == nil || b.blocks[height] == nil {
		return script.Hash{}, false
	}
	h := b.blocks[height].voteOf(m)
	return h, !h.IsZero()
}

// MemberInfo is what a bank knows of a member.
type MemberInfo struct {
	Member Member
	Height uint32 // the last block that it has said
	Behind uint32 // agreed blocks that it has not said yet; late from Late on
	Wrong  uint32 // how often it said what all others contradict
	Rate   uint64 // that it stands for; zero if it knows none, or has said none for long
	HasKey bool
	Key    script.MemberKey
	Since  uint64 // ms when the key was announced; zero for the founding
}

// Members returns what a bank knows of those who ever said something or have a key,
// by member.
func (s *State) Members(id Bank) []MemberInfo {
	b := s.bank(id)
	if b == nil {
		return nil
	}
	list := make([]MemberInfo, 0, len(b.attestors))
	for _, a := range b.attestors {
		list = append(list, MemberInfo{
			Member: a.member, Height: a.height, Behind: b.tip - min(b.tip, a.height), Wrong: a.wrong, Rate: a.now(),
			HasKey: a.hasKey, Key: a.key, Since: a.announced,
		})
	}
	return list
}

// Deposit is a payment to an account's address that is not credited yet. Only its
// owner is to see it.
type Deposit struct {
	Bank     Bank
	At       script.Outpoint
	Amount   asset.Amount
	Series   uint32
	Index    uint32
	Height   uint32 // where most say it stands
	Members  int    // how many say so
	Agreed   bool
	Depth    uint32 // agreed blocks; zero while it is not agreed
	Required uint32 // blocks until it is credited; zero while it is not agreed
}

// Deposits returns the payments to an account's addresses that are not credited
// yet, by bank and outpoint. It takes time in proportion to all that are not.
func (s *State) Deposits(owner Owner) []Deposit {
	var list []Deposit
	for _, b := range s.banks {
		for _, c := range b.heard {
			if c.state != seen || len(c.said) == 0 {
				continue
			}
			v := slices.MaxFunc(c.said, func(x, y said) int { return s.behind(b, &x) - s.behind(b, &y) })
			a := b.addresses[place{v.series, v.index}]
			if a == nil || a.owner != owner || v.branch != script.Deposits || s.behind(b, &v) == 0 {
				continue
			}
			d := Deposit{
				Bank: b.id, At: c.at, Amount: v.amount, Series: v.series, Index: v.index, Height: v.height, Members: s.behind(b, &v),
			}
			if (c.location != location{}) {
				d.Agreed, d.Height, d.Depth, d.Required = true, c.height, b.depth(c.height), b.required(c)
			}
			list = append(list, d)
		}
	}
	return list
}

// Receipt is a payment to an account's address that was credited. Only its owner is
// to see it.
type Receipt struct {
	Bank   Bank
	At     script.Outpoint
	Amount asset.Amount
	Series uint32
	Index  uint32
	Height uint32 // of its block; zero if it is not known to stand in one
	Depth  uint32 // agreed blocks; zero if Height is
}

// Receipts returns the payments to an account's addresses that were credited, as long
// as their coins are remembered: to the end of Keep blocks after they were spent.
func (s *State) Receipts(owner Owner) []Receipt {
	own := s.accounts[owner]
	if own == nil {
		return nil
	}
	var list []Receipt
	for _, a := range own.addresses {
		for _, c := range a.coins {
			r := Receipt{Bank: a.bank.id, At: c.at, Amount: c.amount, Series: c.series, Index: c.index, Height: c.height}
			if (c.location != location{}) {
				r.Depth = a.bank.depth(c.height)
			}
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(x, y Receipt) int { return cmp.Or(cmp.Compare(x.Bank, y.Bank), compareOutpoints(x.At, y.At)) })
	return list
}

// behind counts the members who stand behind a statement and still behind its block.
func (s *State) behind(b *bank, v *said) (n int) {
	k := b.blocks[v.height]
	if k == nil {
		return s.members.counted(v.who)
	}
	for _, m := range v.who {
		if own := k.voteOf(m); s.members.has(m) && (own == v.hash || own.IsZero() && k.agreed == v.hash) {
			n++
		}
	}
	return n
}

// Coin is an output of a bank that was credited, or is change.
type Coin struct {
	Input
	Height  uint32 // of its block; zero if it is not known to stand in one
	Batch   uint64 // that spends it; zero if it is free
	Lost    bool   // in doubt or stolen
	Unmined bool
}

// Coins calls yield for every coin of a bank that is free or promised to a batch, by
// outpoint, until it returns false. These are what custodians watch and auditors add up.
func (s *State) Coins(id Bank, yield func(Coin) bool) {
	b := s.bank(id)
	if b == nil {
		return
	}
	list := b.allFree()
	for _, t := range b.live {
		for i := range t.Inputs {
			list = append(list, b.coins[t.Inputs[i].At])
		}
	}
	slices.SortFunc(list, (*coin).byPlace)
	for _, c := range list {
		if !yield(Coin{c.asInput(), c.height, c.batch, c.missing(), c.unmined}) {
			return
		}
	}
}

// Batch returns a batch that is live, or was settled within the last Keep blocks.
func (s *State) Batch(id Bank, number uint64) (Batch, bool) {
	t := s.batchOf(id, number)
	if t == nil {
		return Batch{}, false
	}
	x := t.Batch
	x.Inputs, x.In, x.Payouts, x.Versions = slices.Clone(x.Inputs), slices.Clone(x.In), slices.Clone(x.Payouts), slices.Clone(x.Versions)
	return x, true
}

// Withdrawal returns a withdrawal that is not settled.
func (s *State) Withdrawal(id ID) (Withdrawal, bool) {
	w, ok := s.find(withdrawalKey(id)).(*withdrawal)
	if !ok {
		return Withdrawal{}, false
	}
	return w.Withdrawal, true
}

// Settled returns a withdrawal that was settled within the last RecordFor ms.
func (s *State) Settled(id ID) (Settled, bool) {
	d, ok := s.find(SettledKey(id)).(*done)
	if !ok {
		return Settled{}, false
	}
	return d.Settled, true
}

// Withdrawals returns an account's withdrawals that are not settled, by id.
func (s *State) Withdrawals(owner Owner) []Withdrawal {
	a := s.accounts[owner]
	if a == nil {
		return nil
	}
	list := make([]Withdrawal, 0, len(a.withdrawals))
	for _, w := range a.withdrawals {
		list = append(list, w.Withdrawal)
	}
	slices.SortFunc(list, func(x, y Withdrawal) int { return int(x.ID) - int(y.ID) }) //nolint:gosec // ids are small
	return list
}

// Paid returns an account's withdrawals that were settled within the last RecordFor
// ms, by id.
func (s *State) Paid(owner Owner) []Settled {
	own := s.accounts[owner]
	if own == nil {
		return nil
	}
	list := make([]Settled, len(own.settled))
	for i, d := range own.settled {
		list[i] = d.Settled
	}
	slices.SortFunc(list, func(x, y Settled) int { return cmp.Compare(x.ID, y.ID) })
	return list
}

// Mined tells where a live batch's version is agreed to stand, and how deep that must
// be for it to settle. ok is false while none is agreed to be mined.
func (s *State) Mined(id Bank, number uint64) (version int, height, depth, required uint32, ok bool) {
	t := s.batchOf(id, number)
	if t == nil || t.Settled != 0 {
		return 0, 0, 0, 0, false
	}
	version, at, ok := t.bank.mined(t)
	if !ok {
		return 0, 0, 0, 0, false
	}
	return version, at.height, t.bank.depth(at.height), t.bank.enough(t, version), true
}

// Hour returns the limits of a bank at a time, and how much of the hourly one is used.
func (s *State) Hour(id Bank, now uint64) (limits Limits, used asset.Amount) {
	b := s.bank(id)
	if b == nil {
		return Limits{}, 0
	}
	limits = b.limits(now)
	return limits, b.usedUp(limits.MaxPerHour, now)
}

// Delayed counts a bank's withdrawals whose delay ends after a time.
func (s *State) Delayed(id Bank, now uint64) int {
	b := s.bank(id)
	if b == nil {
		return 0
	}
	i, _ := slices.BinarySearchFunc(b.waiting, now, func(w *withdrawal, at uint64) int {
		if w.From <= at {
			return -1
		}
		return 1
	})
	return len(b.waiting) - i
}

// Held returns what an account must have on hold in an asset for its withdrawals:
// amount and bound while they wait, and what is left of the bound until they are settled.
func (s *State) Held(owner Owner, id asset.ID) (sum asset.Amount) {
	for _, w := range s.Withdrawals(owner) {
		switch b := s.bank(w.Bank); {
		case b.Asset != id:
		case w.Batch == 0:
			sum = add(sum, add(w.Amount, w.MaxFee))
		default:
			sum = add(sum, sub(w.MaxFee, s.batchOf(w.Bank, w.Batch).share(w.ID)))
		}
	}
	return sum
}

// share is what a withdrawal pays of a batch's fee.
func (t *Batch) share(id ID) asset.Amount {
	i := slices.IndexFunc(t.Payouts, func(p Output) bool { return p.ID == id })
	return t.Payouts[i].Fee
}

// Keeps tells whether an account may be credited by a bank: it has an address there,
// or a withdrawal that is not settled.
func (s *State) Keeps(owner Owner, id Bank) bool {
	a := s.accounts[owner]
	return a != nil && (a.waiting(id) > 0 || slices.ContainsFunc(a.addresses, func(x *address) bool { return x.bank.id == id }))
}

// Asset returns the asset of a bank, or zero.
func (s *State) Asset(id Bank) asset.ID {
	if b := s.bank(id); b != nil {
		return b.Asset
	}
	return 0
}

// Owners calls yield for every account that may be credited by a bank, and the
// bank's asset, by account and bank, once each, until it returns false.
func (s *State) Owners(yield func(Owner, asset.ID) bool) {
	for _, owner := range slices.Sorted(maps.Keys(s.accounts)) {
		a := s.accounts[owner]
		for _, b := range s.banks {
			if !slices.ContainsFunc(a.addresses, func(x *address) bool { return x.bank == b }) && a.waiting(b.id) == 0 {
				continue
			}
			if !yield(owner, b.Asset) {
				return
			}
		}
	}
}

// NextDue returns when the next step has something to do that no command brings
// about: a withdrawal's delay ends, or it is time to look at those that wait. Both
// are after the last look, so an idle chain stays idle.
func (s *State) NextDue() (due uint64, ok bool) {
	consider := func(at uint64) {
		if !ok || at < due {
			due, ok = at, true
		}
	}
	for _, b := range s.banks {
		if s.halted(b) {
			continue
		}
		i, _ := slices.BinarySearchFunc(b.waiting, b.planned, func(w *withdrawal, at uint64) int {
			if w.From <= at {
				return -1
			}
			return 1
		})
		if i < len(b.waiting) {
			consider(max(b.waiting[i].From, after(b.planned, b.Gather)))
		}
	}
	return due, ok
}
