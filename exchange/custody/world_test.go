package custody_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/go-cmp/cmp"

	"souk/asset"
	"souk/exchange/custody"
	"souk/merkle"
	"souk/script"
)

const coin = 100_000_000

// failer is what *testing.T and *rapid.T have in common here.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// hashOf makes a hash of words and numbers.
func hashOf(parts ...any) script.Hash { return sha256.Sum256(fmt.Append(nil, parts...)) }

// memberKey is a member's key for a bank.
func memberKey(member custody.Member, bank, generation int) script.MemberKey {
	seed := hashOf("member key", member, bank, generation)
	k, err := script.NewPrivateMemberKey(seed[:])
	if err != nil {
		panic(err)
	}
	return k.Public()
}

// output is a script of somebody outside.
func output(name string) []byte {
	h := hashOf("output", name)
	return append([]byte{0, 20}, h[:20]...)
}

// tx is a transaction of a simulated chain.
type tx struct {
	id      script.Hash
	spends  []script.Outpoint
	pays    []custody.Payment // to addresses of the bank; height is filled in
	payouts []custody.ID
	fee     asset.Amount
}

// simBlock is a block of a simulated chain.
type simBlock struct {
	hash script.Hash
	txs  []*tx
}

// chain is what really happened, as its honest watchers see it.
type chain struct {
	start  uint32
	blocks []simBlock // from start
	pool   []*tx
	salt   int
}

func (c *chain) tip() uint32 { return c.start + uint32(len(c.blocks)) - 1 }

// unspent is what can be spent on top of the tip.
func (c *chain) unspent() map[script.Outpoint]asset.Amount {
	out := map[script.Outpoint]asset.Amount{}
	for i := range c.blocks {
		for _, t := range c.blocks[i].txs {
			for _, o := range t.spends {
				delete(out, o)
			}
			for _, p := range t.pays {
				out[p.At] = p.Amount
			}
		}
	}
	return out
}

// mine makes a block of those transactions of the pool that fit and that take accepts.
func (c *chain) mine(accept func(*tx) bool) {
	out := c.unspent()
	var in, left []*tx
	for again := true; again; {
		again = false
		left = nil
		for _, t := range c.pool {
			ok := accept(t)
			for _, o := range t.spends {
				if _, there := out[o]; !there {
					ok = false
				}
			}
			if !ok {
				left = append(left, t)
				continue
			}
			for _, o := range t.spends {
				delete(out, o)
			}
			for _, p := range t.pays {
				out[p.At] = p.Amount
			}
			in = append(in, t)
			again = true
		}
		c.pool = left
	}
	c.salt++
	c.blocks = append(c.blocks, simBlock{hashOf("block", c.salt, len(c.blocks)), in})
}

// back takes blocks off, and their transactions into the pool.
func (c *chain) back(n int) {
	for range min(n, len(c.blocks)-1) {
		last := c.blocks[len(c.blocks)-1]
		c.pool = append(slices.Clone(last.txs), c.pool...)
		c.blocks = c.blocks[:len(c.blocks)-1]
	}
}

func anything(*tx) bool { return true }

// world is a bank's surroundings: its chain, its members, and the ledger.
type world struct {
	t    failer
	s    *custody.State
	twin *custody.State // the same, but loaded from its leaves before every step; nil for none

	now     uint64
	height  uint64
	chains  []*chain
	members []custody.Member
	count   int
	said    map[[2]int][]script.Hash // by member and bank: from the chain's start
	rates   []uint64
	sent    int

	generation int

	available map[custody.Owner]asset.Amount
	held      map[custody.Owner]asset.Amount
	reserves  []asset.Amount
	events    []custody.Event
	tree      map[merkle.Key][]byte
	paid      map[custody.ID]custody.Event
	versions  map[script.Hash][]script.Outpoint    // what they spend
	signed    map[custody.ID][]*script.Transaction // what may have been signed for it
	stood     map[script.Hash]uint32               // the last tip at which an input of it could be spent
	unchecked bool
}

func definition(network string, wallets uint8) custody.Definition {
	return custody.Definition{
		Asset: 1, Network: network, Wallets: wallets,
		Limits: custody.Limits{MinDeposit: 20_000, MinWithdrawal: 20_000, MaxPerHour: 1_000_000 * coin, DelayAbove: asset.MaxSupply},
		Gather: 1, BumpBlocks: 2, Start: custody.Point{Height: 500, Hash: hashOf("start")},
	}
}

func newWorld(t failer, members int, banks ...custody.Definition) *world {
	w := &world{
		t: t, now: 1_800_000_000_000, said: map[[2]int][]script.Hash{}, count: members,
		available: map[custody.Owner]asset.Amount{}, held: map[custody.Owner]asset.Amount{},
		tree: map[merkle.Key][]byte{}, paid: map[custody.ID]custody.Event{}, versions: map[script.Hash][]script.Outpoint{},
		signed: map[custody.ID][]*script.Transaction{}, stood: map[script.Hash]uint32{},
	}
	var founders []custody.Founder
	for m := custody.Member(1); int(m) <= members; m++ {
		f := custody.Founder{ID: m}
		for i := range banks {
			f.Keys = append(f.Keys, memberKey(m, i, 0))
		}
		founders = append(founders, f)
		w.members = append(w.members, m)
	}
	for i := range banks {
		w.chains = append(w.chains, &chain{start: banks[i].Start.Height, blocks: []simBlock{{hash: banks[i].Start.Hash}}})
		w.rates = append(w.rates, 1000)
		w.reserves = append(w.reserves, 0)
	}
	var err error
	if w.s, err = custody.Found(banks, founders); err != nil {
		t.Fatalf("found: %v", err)
	}
	w.commit()
	return w
}

// join adds a member with a key for every bank.
func (w *world) join() custody.Member {
	w.t.Helper()
	m := slices.Max(w.members) + 1
	w.generation++
	w.members = append(w.members, m)
	w.count = len(w.members)
	w.both(func(s *custody.State) any {
		s.SetMembers(custody.Members{Present: w.members, Count: w.count})
		for i := range w.chains {
			if code := s.AnnounceKey(m, custody.Bank(i+1), memberKey(m, i, w.generation), w.now); code != custody.OK {
				w.t.Fatalf("announce: %d", code)
			}
		}
		return nil
	})
	return m
}

// net is a bank's network.
func (w *world) net(bank int) *script.Network {
	info, _ := w.s.Bank(custody.Bank(bank + 1))
	n, _ := script.ByName(info.Network)
	return n
}

// address is a deposit address of an account.
func (w *world) address(owner custody.Owner, bank int) custody.Address {
	w.t.Helper()
	list := w.s.Addresses(owner)
	info, _ := w.s.Bank(custody.Bank(bank + 1))
	for _, a := range list {
		if a.Bank == info.ID && a.Series == info.Series-1 {
			return a
		}
	}
	var a custody.Address
	w.both(func(s *custody.State) any {
		var code custody.Code
		if a, code = s.NewAddress(owner, info.ID, custody.Salt{}); code != custody.OK {
			w.t.Fatalf("address: %d", code)
		}
		return a
	})
	return a
}

// both does something to the state and to its twin, and compares what they answer.
func (w *world) both(do func(s *custody.State) any) {
	w.t.Helper()
	if w.twin == nil {
		do(w.s)
		return
	}
	other := do(w.twin)
	if diff := cmp.Diff(do(w.s), other); diff != "" {
		w.t.Fatalf("a state that was loaded answers otherwise: %s", diff)
	}
}

// pay puts a payment to an address into the pool.
func (w *world) pay(bank int, series, branch, index uint32, amount asset.Amount) *tx {
	w.sent++
	x := &tx{id: hashOf("payment", w.sent)}
	x.pays = []custody.Payment{{At: script.Outpoint{Tx: x.id}, Amount: amount, Series: series, Branch: branch, Index: index}}
	w.chains[bank].pool = append(w.chains[bank].pool, x)
	return x
}

func (w *world) deposit(owner custody.Owner, bank int, amount asset.Amount) *tx {
	a := w.address(owner, bank)
	return w.pay(bank, a.Series, script.Deposits, a.Index, amount)
}

// gift is a payment to an address of nobody.
func (w *world) gift(bank int, amount asset.Amount) *tx {
	return w.pay(bank, 0, script.Deposits, 1<<20, amount)
}

// withdraw asks for a withdrawal and holds what it may cost.
func (w *world) withdraw(owner custody.Owner, bank int, to string, amount, maxFee asset.Amount) (custody.ID, custody.Code) {
	if w.available[owner] < amount+maxFee {
		return 0, custody.BadAmount
	}
	var id custody.ID
	var code custody.Code
	w.both(func(s *custody.State) any {
		id, code = s.Withdraw(owner, &custody.Request{Bank: custody.Bank(bank + 1), Script: output(to), Amount: amount, MaxFee: maxFee, Salt: saltOf(to)}, w.now)
		return code
	})
	if code == custody.OK {
		w.available[owner] -= amount + maxFee
		w.held[owner] += amount + maxFee
	}
	return id, code
}

// saltOf is what somebody makes up for something.
func saltOf(name string) custody.Salt {
	h := hashOf("salt", name)
	return custody.Salt(h[:16])
}

func (w *world) cancel(id custody.ID, owner custody.Owner) custody.Code {
	var x custody.Withdrawal
	var code custody.Code
	w.both(func(s *custody.State) any {
		x, code = s.Cancel(id, owner)
		return code
	})
	if code == custody.OK {
		w.held[owner] -= x.Amount + x.MaxFee
		w.available[owner] += x.Amount + x.MaxFee
	}
	return code
}

// attestation is what a member says to catch up with the chain.
func (w *world) attestation(m custody.Member, bank int) *custody.Attestation {
	c := w.chains[bank]
	at := [2]int{int(m), bank}
	said := w.said[at]
	if said == nil {
		info, _ := w.s.Bank(custody.Bank(bank + 1))
		said = nil
		for h := c.start; h <= info.Tip.Height; h++ { // a newcomer begins where the others are
			hash, _ := w.s.Block(info.ID, max(h, info.Floor))
			said = append(said, hash)
		}
	}
	fork := 0
	for fork+1 < len(said) && fork+1 < len(c.blocks) && said[fork+1] == c.blocks[fork+1].hash {
		fork++
	}
	t := &custody.Attestation{Bank: custody.Bank(bank + 1), Rate: w.rates[bank]}
	end := min(len(c.blocks), fork+1+custody.MaxHashes)
	if end == fork+1 {
		return t
	}
	t.From, t.Parent = c.start+uint32(fork)+1, c.blocks[fork].hash
	for i := fork + 1; i < end; i++ {
		t.Hashes = append(t.Hashes, c.blocks[i].hash)
		for _, x := range c.blocks[i].txs {
			for _, p := range x.pays {
				p.Height = c.start + uint32(i)
				t.Payments = append(t.Payments, p)
			}
			for _, o := range x.spends {
				t.Spends = append(t.Spends, custody.Spend{Height: c.start + uint32(i), At: o, Tx: x.id})
			}
		}
	}
	w.said[at] = nil
	for i := range end {
		w.said[at] = append(w.said[at], c.blocks[i].hash)
	}
	return t
}

// attest makes members say what they see until they have said it all.
func (w *world) attest(bank int, members ...custody.Member) {
	w.t.Helper()
	for _, m := range members {
		for range 100 {
			t := w.attestation(m, bank)
			w.both(func(s *custody.State) any {
				code := s.Attest(m, t)
				if code != custody.OK {
					w.t.Fatalf("member %d attests %d hashes from %d: %d", m, len(t.Hashes), t.From, code)
				}
				return code
			})
			if len(t.Hashes) < custody.MaxHashes {
				break
			}
		}
	}
}

// sign makes members sign everything that is live, with signatures that nobody checks.
func (w *world) sign(bank int, members ...custody.Member) {
	w.t.Helper()
	info, _ := w.s.Bank(custody.Bank(bank + 1))
	for _, number := range info.Live {
		b, _ := w.s.Batch(info.ID, number)
		for _, m := range members {
			x := &custody.Signature{Bank: info.ID, Batch: number, Version: uint8(len(b.Versions))}
			for _, in := range b.Spends(len(b.Versions)) {
				_, who, _ := w.s.SeriesOf(info.ID, in.Series)
				sig := []byte{}
				if slices.Contains(who, m) {
					sig = []byte{byte(m)}
				}
				x.Signatures = append(x.Signatures, sig)
			}
			w.both(func(s *custody.State) any {
				code := s.Sign(m, x)
				if code != custody.OK && code != custody.BadForm && code != custody.IsHalted {
					w.t.Fatalf("member %d signs batch %d: %d", m, number, code)
				}
				return code
			})
		}
	}
}

// transaction is a version of a batch as the chain sees it.
func (w *world) transaction(bank int, number uint64, version int) *tx {
	w.t.Helper()
	id := custody.Bank(bank + 1)
	b, ok := w.s.Batch(id, number)
	raw, ok2 := w.s.Transaction(id, number, uint8(version))
	if !ok || !ok2 {
		w.t.Fatalf("there is no version %d of batch %d", version, number)
	}
	v := b.Versions[version-1]
	x := &tx{id: raw.ID(), spends: raw.Inputs, fee: v.Fee}
	if x.id != v.Tx {
		w.t.Fatalf("batch %d has id %s, its transaction %s", number, v.Tx, x.id)
	}
	for _, p := range b.Payouts {
		x.payouts = append(x.payouts, p.ID)
	}
	var in, out asset.Amount
	for _, i := range b.Spends(version) {
		in += i.Amount
	}
	change := 0
	for i, o := range raw.Outputs {
		out += o.Amount
		if v.Change > 0 && i == int(b.ChangeAt) {
			x.pays = append(x.pays, custody.Payment{
				At: script.Outpoint{Tx: x.id, Index: uint32(i)}, Amount: o.Amount, Series: b.ChangeSeries, Branch: script.Change, Index: b.ChangeIndex,
			})
			change++
			continue
		}
		p := b.Payouts[i-change]
		if !bytes.Equal(p.Script, o.Script) || p.Amount != o.Amount || o.Amount < w.net(bank).Dust {
			w.t.Fatalf("output %d of batch %d is %d to %x", i, number, o.Amount, o.Script)
		}
	}
	if in != out+v.Fee {
		w.t.Fatalf("batch %d takes %d, gives %d and %d", number, in, out, v.Fee)
	}
	return x
}

// send puts a version of a batch into the pool, unless it is there.
func (w *world) send(bank int, number uint64, version int) {
	x := w.transaction(bank, number, version)
	c := w.chains[bank]
	if !slices.ContainsFunc(c.pool, func(y *tx) bool { return y.id == x.id }) {
		c.pool = append(c.pool, x)
	}
}

// sendAll puts the newest versions of all live batches into the pool.
func (w *world) sendAll(bank int) {
	info, _ := w.s.Bank(custody.Bank(bank + 1))
	for _, number := range info.Live {
		b, _ := w.s.Batch(info.ID, number)
		w.send(bank, number, len(b.Versions))
	}
}

// step ends a block of the virtual server, posts, and checks everything.
func (w *world) step() []custody.Event {
	w.t.Helper()
	w.now += 1000
	w.height++
	w.both(func(s *custody.State) any {
		s.SetMembers(custody.Members{Present: w.members, Count: w.count})
		return nil
	})
	seed := w.seedAt(w.height)
	var events []custody.Event
	if w.twin != nil {
		w.twin = again(w.t, w.twin)
	}
	w.both(func(s *custody.State) any {
		events = s.Step(custody.Turn{Time: w.now, Seed: seed, Reserves: slices.Clone(w.reserves)})
		return events
	})
	if w.twin != nil {
		sameLeaves(w.t, w.s, w.twin)
	}
	for _, e := range events {
		w.post(e)
	}
	w.events = append(w.events, events...)
	w.check()
	return events
}

// seedAt is the seed of a block of the virtual server.
func (w *world) seedAt(height uint64) merkle.Hash {
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte("seed"), height))
}

// post does with an event what the exchange does.
func (w *world) post(e custody.Event) {
	w.t.Helper()
	take := func(from *asset.Amount, amount asset.Amount) {
		if *from < amount {
			w.t.Fatalf("%+v: there is only %d", e, *from)
		}
		*from -= amount
	}
	held := w.held[e.Owner]
	r := &w.reserves[e.Bank-1]
	switch e.Kind {
	case custody.Credited:
		w.available[e.Owner] += e.Amount
	case custody.ReserveUp:
		*r += e.Amount
	case custody.ReserveDown:
		take(r, e.Amount)
	case custody.Recorded:
		take(&held, e.Amount+e.Fee)
		w.held[e.Owner] = held
	case custody.Restored:
		w.held[e.Owner] += e.Amount + e.Fee
	case custody.Paid:
		if before, twice := w.paid[e.Withdrawal]; twice {
			w.t.Fatalf("withdrawal %d is settled twice: %+v, %+v", e.Withdrawal, before, e)
		}
		w.paid[e.Withdrawal] = e
		take(&held, e.Back)
		w.held[e.Owner] = held
		w.available[e.Owner] += e.Back
	case custody.Sent:
		w.sentVersion(e)
	case custody.Reorganised, custody.Stopped:
	}
}

// sentVersion checks that a new version spends the same first input as the one
// before, pays the same, and that no id comes twice.
func (w *world) sentVersion(e custody.Event) {
	w.t.Helper()
	x, _ := w.s.Transaction(e.Bank, e.Batch, e.Version)
	if w.versions[x.ID()] != nil {
		w.t.Fatalf("transaction %s comes twice", x.ID())
	}
	w.versions[x.ID()] = x.Inputs
	b, _ := w.s.Batch(e.Bank, e.Batch)
	shares := asset.Amount(0)
	for _, p := range b.Payouts {
		shares += p.Fee
		w.conflicts(e.Bank, p.ID, &x)
	}
	if shares != b.Paid || shares > b.Versions[0].Fee {
		w.t.Fatalf("batch %d costs %d, its payees %d (%d)", e.Batch, b.Versions[0].Fee, shares, b.Paid)
	}
	var in, out []uint64
	for _, i := range b.Spends(int(e.Version)) {
		r, _, _ := w.s.SeriesOf(e.Bank, i.Series)
		in = append(in, r.InputWeight(false))
	}
	for _, o := range x.Outputs {
		out = append(out, script.OutputWeight(o.Script))
	}
	v := b.Versions[e.Version-1]
	least, _ := script.Fee(asset.Amount(v.Rate), script.TransactionWeight(in, out))
	if weight := script.TransactionWeight(in, out); weight > script.MaxWeight || v.Fee < least {
		w.t.Fatalf("version %d of batch %d weighs %d and pays %d at rate %d", e.Version, e.Batch, weight, v.Fee, v.Rate)
	}
}

// exclude tells whether two transactions, or those of the bank that they come from, spend a
// coin in common, so that only one of them can be mined.
func (w *world) exclude(x, y *script.Transaction) bool {
	clash, spent, seen := false, map[script.Outpoint]bool{}, map[script.Hash]bool{}
	var walk func(id script.Hash)
	walk = func(id script.Hash) {
		if seen[id] {
			return
		}
		seen[id] = true
		for _, at := range w.versions[id] {
			clash = clash || spent[at]
			spent[at] = true
			walk(at.Tx)
		}
	}
	walk(x.ID())
	walk(y.ID())
	return clash
}

// conflicts checks that a transaction for a withdrawal spends a coin of each one before it,
// or excludes it otherwise (Y-51, Y-71), but for those of which the ledger says that they will never be mined: another
// transaction, deep, has taken one of their coins, or all of them have long been gone.
func (w *world) conflicts(bank custody.Bank, id custody.ID, x *script.Transaction) {
	w.t.Helper()
	for _, other := range w.signed[id] {
		if w.exclude(x, other) {
			continue
		}
		c := w.chains[bank-1]
		taken := slices.ContainsFunc(other.Inputs, func(at script.Outpoint) bool {
			by, height, spent := w.s.Spent(bank, at)
			return spent && w.versions[by] == nil && c.tip()-height+1 >= w.net(int(bank-1)).Depth(0)
		})
		// Heights are those of different branches here, and of members who are behind.
		if stood := w.stood[other.ID()]; !taken && c.tip() < stood+custody.DoubtBlocks-300 {
			w.t.Fatalf("withdrawal %d may be paid by %s and by %s, of which coins stood at %d, now %d", id, x.ID(), other.ID(), stood, c.tip())
		}
	}
	w.signed[id] = append(w.signed[id], x)
	w.stood[x.ID()] = w.chains[bank-1].tip()
}

// stand notes of which transactions an input stands.
func (w *world) stand() {
	if len(w.chains) != 1 || len(w.signed) == 0 {
		return
	}
	unspent := w.chains[0].unspent()
	for _, list := range w.signed {
		for _, x := range list {
			for _, at := range x.Inputs {
				if _, ok := unspent[at]; ok {
					w.stood[x.ID()] = w.chains[0].tip()
				}
			}
		}
	}
}

// check compares the ledger with the books and the leaves with their changes.
func (w *world) check() {
	w.t.Helper()
	if w.unchecked {
		return
	}
	if err := w.s.Verify(); err != nil {
		w.t.Fatalf("%v", err)
	}
	owed := asset.Amount(0)
	for _, a := range w.available {
		owed += a
	}
	for owner, a := range w.held {
		if h := w.s.Held(owner, 1); h != a && len(w.chains) == 1 {
			w.t.Fatalf("account %d holds %d, its withdrawals want %d", owner, a, h)
		}
		owed += a
	}
	for i := range w.chains {
		sums, _ := w.s.Solvency(custody.Bank(i + 1))
		if sums.Free+sums.Change+sums.Deficit != sums.Books+sums.Lost {
			w.t.Fatalf("sums: %+v", sums)
		}
		if len(w.chains) == 1 && sums.Books != owed+w.reserves[0] {
			w.t.Fatalf("the ledger has %d and a reserve of %d, the books %d", owed, w.reserves[0], sums.Books)
		}
	}
	w.commit()
}

func leaves(s *custody.State) (keys []merkle.Key, values map[merkle.Key][]byte) {
	values = map[merkle.Key][]byte{}
	s.Leaves(func(key merkle.Key, value []byte) {
		keys = append(keys, key)
		values[key] = value
	})
	return keys, values
}

// commit applies the changes to a copy of the leaves, as the state tree does.
func (w *world) commit() {
	w.t.Helper()
	seen := map[merkle.Key]bool{}
	w.s.Changes(func(key merkle.Key, value []byte) {
		if seen[key] {
			w.t.Fatalf("leaf %s comes twice", key)
		}
		seen[key] = true
		if value == nil {
			if _, ok := w.tree[key]; !ok {
				w.t.Fatalf("leaf %s goes and was never there", key)
			}
			delete(w.tree, key)
			return
		}
		if len(value) > 64<<10 {
			w.t.Fatalf("leaf %s has %d bytes", key, len(value))
		}
		w.tree[key] = value
	})
	keys, values := leaves(w.s)
	if len(keys) != len(w.tree) {
		w.t.Fatalf("%d leaves, %d by their changes", len(keys), len(w.tree))
	}
	for _, key := range keys {
		one, ok := w.s.Leaf(key)
		if !ok || !bytes.Equal(one, values[key]) || !bytes.Equal(w.tree[key], values[key]) {
			w.t.Fatalf("leaf %s is stale", key)
		}
	}
}

// reload goes on with a state made of the leaves of this one, in reverse order.
func (w *world) reload() {
	w.t.Helper()
	w.commit()
	w.s = again(w.t, w.s)
}

// again is a state made of the leaves of another, in reverse order.
func again(t failer, s *custody.State) *custody.State {
	t.Helper()
	keys, values := leaves(s)
	loaded := custody.New()
	for _, key := range slices.Backward(keys) {
		if err := loaded.Load(key, values[key]); err != nil {
			t.Fatalf("load: %v", err)
		}
	}
	if err := loaded.Finish(); err != nil {
		t.Fatalf("finish: %v", err)
	}
	sameLeaves(t, s, loaded)
	return loaded
}

func sameLeaves(t failer, a, b *custody.State) {
	t.Helper()
	keys, values := leaves(a)
	others, now := leaves(b)
	if !slices.Equal(keys, others) {
		t.Fatalf("%d leaves and %d", len(keys), len(others))
	}
	for _, key := range keys {
		if !bytes.Equal(values[key], now[key]) {
			t.Fatalf("leaf %s differs: %x, %x", key, values[key], now[key])
		}
	}
}

// turn lets the chain grow by n blocks which all members see, one block of the
// virtual server for each.
func (w *world) turn(bank, n int) {
	w.t.Helper()
	for range n {
		w.chains[bank].mine(anything)
		w.attest(bank, w.members...)
		w.step()
	}
}

// work is turn, with everything signed and sent before each block.
func (w *world) work(bank, n int) {
	w.t.Helper()
	for range n {
		w.sign(bank, w.members...)
		w.sendAll(bank)
		w.turn(bank, 1)
	}
}
