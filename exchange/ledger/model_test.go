package ledger_test

import (
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"souk/asset"
	"souk/exchange/ledger"
	"souk/identity"
)

// model is the ledger as one would write it without a thought for speed: maps,
// sets and big numbers, and every rule as it stands in docs/spec/05-ledger.md.
type model struct {
	accounts []*person // by number, less one
	assets   []*paper  // by id, less one
}

type person struct {
	address   identity.Address
	owner     identity.PublicKey
	keys      map[identity.PublicKey]*used
	delegates map[identity.PublicKey]ledger.Delegate
	next      ledger.Rotation
	timer     uint64
	floor     uint64
	available map[asset.ID]*big.Int
	held      map[asset.ID]*big.Int
}

type used struct {
	start uint64 // nonces up to this count as used
	top   uint64
	set   map[uint64]bool
}

type paper struct {
	terms                              ledger.Terms
	supply, locked, fees, dust, reserv *big.Int
}

func (u *used) accepts(nonce uint64) ledger.Code {
	switch {
	case nonce == 0 || nonce+1023 < u.top:
		return ledger.NonceStale
	case nonce > u.top+65_536:
		return ledger.NonceTooFar
	case nonce <= u.start || u.set[nonce]:
		return ledger.NonceUsed
	}
	return ledger.OK
}

func (u *used) use(nonce uint64) {
	u.set[nonce] = true
	u.top = max(u.top, nonce)
}

func newUsed(start uint64) *used { return &used{start: start, top: start, set: map[uint64]bool{}} }

// window returns the nonces of a key that may act, if it may.
func (p *person) window(k identity.PublicKey) *used {
	if p.owner.IsZero() && identity.AddressOf(k) == p.address {
		return newUsed(0)
	}
	return p.keys[k]
}

func (p *person) forget(k identity.PublicKey) {
	p.floor = max(p.floor, p.keys[k].top)
	delete(p.keys, k)
}

func number(amounts map[asset.ID]*big.Int, id asset.ID) *big.Int {
	if amounts[id] == nil {
		amounts[id] = new(big.Int)
	}
	return amounts[id]
}

// move takes from one amount and gives to others; false if there is not enough.
func move(from *big.Int, amount uint64, to *big.Int) bool {
	v := new(big.Int).SetUint64(amount)
	if from.Cmp(v) < 0 {
		return false
	}
	from.Sub(from, v)
	to.Add(to, v)
	return true
}

// machine runs the ledger beside the model.
type machine struct {
	s   *ledger.State
	m   *model
	now uint64
}

var names = []string{"alice", "bob", "carol", "dave", "erin"}

func (x *machine) person(t *rapid.T) (ledger.Number, *person) {
	n := rapid.IntRange(1, len(x.m.accounts)).Draw(t, "account")
	return ledger.Number(n), x.m.accounts[n-1]
}

func (x *machine) paper(t *rapid.T) (asset.ID, *paper) {
	n := rapid.IntRange(1, len(x.m.assets)).Draw(t, "asset")
	return asset.ID(n), x.m.assets[n-1]
}

func drawKey(t *rapid.T) identity.PublicKey { return key(rapid.SampledFrom(names).Draw(t, "key")) }

// drawAmount prefers amounts near what is there.
func drawAmount(t *rapid.T, there *big.Int) asset.Amount {
	n := there.Uint64()
	return asset.Amount(rapid.OneOf(
		rapid.Uint64Range(0, 5), rapid.SampledFrom([]uint64{n, n + 1, n / 2, 1<<63 - 1, 1 << 63, 1<<64 - 1}), rapid.Uint64Range(0, n),
	).Draw(t, "amount"))
}

func same[T comparable](t *rapid.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: ledger says %v, model says %v", what, got, want)
	}
}

func (x *machine) Open(t *rapid.T) {
	a := address(rapid.SampledFrom(names).Draw(t, "name"))
	want := slices.IndexFunc(x.m.accounts, func(p *person) bool { return p.address == a })
	n, ok := x.s.Find(a)
	same(t, "known", ok, want >= 0)
	if want < 0 {
		want = len(x.m.accounts)
		x.m.accounts = append(x.m.accounts, &person{
			address: a, keys: map[identity.PublicKey]*used{}, delegates: map[identity.PublicKey]ledger.Delegate{},
			available: map[asset.ID]*big.Int{}, held: map[asset.ID]*big.Int{},
		})
		n = ledger.Number(want + 1)
	}
	same(t, "number", n, ledger.Number(want+1))
	same(t, "opened", x.s.Open(a), n)
}

func (x *machine) UseNonce(t *rapid.T) {
	n, p := x.person(t)
	k := drawKey(t)
	w := p.window(k)
	top := uint64(0)
	if w != nil {
		top = w.top
		same(t, "top", x.s.TopNonce(n, k), top)
	}
	nonce := rapid.OneOf(
		rapid.Just(top+1), rapid.Uint64Range(top, top+70), rapid.Uint64Range(0, 3),
		rapid.Uint64Range(top-min(top, 1100), top), rapid.Uint64Range(top+60_000, top+66_000),
	).Draw(t, "nonce")
	want := ledger.UnknownKey
	if w != nil {
		want = w.accepts(nonce)
	}
	same(t, "check", x.s.CheckNonce(n, k, nonce), want)
	same(t, "use", x.s.UseNonce(n, k, nonce), want)
	if want != ledger.OK {
		return
	}
	w.use(nonce)
	if p.owner.IsZero() && identity.AddressOf(k) == p.address {
		p.owner, p.keys[k] = k, w
	}
}

func (x *machine) Authorize(t *rapid.T) {
	n, p := x.person(t)
	k := drawKey(t)
	scope := rapid.SampledFrom([]ledger.Scope{ledger.Read, ledger.Trade, ledger.Transfer, ledger.Owner}).Draw(t, "scope")
	place := rapid.Uint32Range(0, 4).Draw(t, "market")
	want := ledger.OutOfScope
	d, delegate := p.delegates[k]
	switch {
	case k == p.owner, p.owner.IsZero() && identity.AddressOf(k) == p.address:
		want = ledger.OK
	case !delegate:
		want = ledger.UnknownKey
	case d.Scopes&scope != 0 && (d.Expiry == 0 || x.now < d.Expiry) &&
		(scope != ledger.Trade || len(d.Markets) == 0 || slices.Contains(d.Markets, place)):
		want = ledger.OK
	}
	same(t, "authorize", x.s.Authorize(n, k, scope, place, x.now), want)
}

func (x *machine) SetDelegate(t *rapid.T) {
	n, p := x.person(t)
	d := ledger.Delegate{
		Key:     drawKey(t),
		Scopes:  ledger.Scope(rapid.Uint8Range(0, 33).Draw(t, "scopes")),
		Markets: rapid.SliceOfNDistinct(rapid.Uint32Range(0, 4), 0, 3, rapid.ID).Draw(t, "markets"),
		Expiry:  rapid.SampledFrom([]uint64{0, x.now, x.now + 1, x.now + 30}).Draw(t, "expiry"),
	}
	_, known := p.delegates[d.Key]
	want := ledger.OK
	switch {
	case d.Scopes == 0 || d.Scopes > 31 || slices.Contains(d.Markets, 0) || !slices.IsSorted(d.Markets) || d.Expiry != 0 && d.Expiry <= x.now:
		want = ledger.BadDelegate
	case !known && (p.window(d.Key) != nil || p.next.Key == d.Key):
		want = ledger.BadKey
	}
	same(t, "set delegate", x.s.SetDelegate(n, d, x.now), want)
	if want != ledger.OK {
		return
	}
	if !known {
		p.keys[d.Key] = newUsed(p.floor)
	}
	p.delegates[d.Key] = d
}

func (x *machine) RemoveDelegate(t *rapid.T) {
	n, p := x.person(t)
	k := drawKey(t)
	if _, ok := p.delegates[k]; !ok {
		same(t, "remove", x.s.RemoveDelegate(n, k), ledger.UnknownDelegate)
		return
	}
	same(t, "remove", x.s.RemoveDelegate(n, k), ledger.OK)
	delete(p.delegates, k)
	p.forget(k)
}

func (x *machine) StartRotation(t *rapid.T) {
	n, p := x.person(t)
	k := drawKey(t)
	due := x.now + rapid.Uint64Range(1, 50).Draw(t, "delay")
	want := ledger.OK
	switch {
	case p.owner.IsZero():
		t.Skip("nobody can send this")
	case p.next.Due != 0:
		want = ledger.RotationPending
	case p.window(k) != nil:
		want = ledger.BadKey
	}
	same(t, "rotate", x.s.StartRotation(n, k, due), want)
	if want == ledger.OK {
		p.next = ledger.Rotation{Key: k, Due: due}
	}
}

func (x *machine) CancelRotation(t *rapid.T) {
	n, p := x.person(t)
	want := ledger.OK
	if p.next.Due == 0 {
		want = ledger.NoRotation
	}
	same(t, "cancel rotation", x.s.CancelRotation(n), want)
	p.next = ledger.Rotation{}
}

func (x *machine) SetTimer(t *rapid.T) {
	n, p := x.person(t)
	p.timer = rapid.SampledFrom([]uint64{0, x.now + 1, x.now + 5, x.now + 20}).Draw(t, "due")
	x.s.SetTimer(n, p.timer)
}

func (x *machine) PassTime(t *rapid.T) {
	x.now += rapid.Uint64Range(1, 20).Draw(t, "ms")
	var want []ledger.Due
	for i, p := range x.m.accounts {
		n := ledger.Number(i + 1)
		if p.next.Due != 0 && p.next.Due <= x.now {
			want = append(want, ledger.Due{Kind: ledger.Rotated, Account: n, At: p.next.Due})
			p.forget(p.owner)
			p.owner, p.keys[p.next.Key], p.next = p.next.Key, newUsed(p.floor), ledger.Rotation{}
		}
		if p.timer != 0 && p.timer <= x.now {
			want = append(want, ledger.Due{Kind: ledger.Timer, Account: n, At: p.timer})
			p.timer = 0
		}
	}
	slices.SortStableFunc(want, func(a, b ledger.Due) int { return int(a.At) - int(b.At) })
	var got []ledger.Due
	for {
		next, _ := x.s.NextDue()
		d, ok := x.s.TakeDue(x.now)
		if !ok {
			break
		}
		same(t, "next due", next, d.At)
		got = append(got, d)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("due items (-model +ledger):\n%s", diff)
	}
}

func (x *machine) Issue(t *rapid.T) {
	terms := ledger.Terms{
		Symbol:    fmt.Sprintf("A%d", 10+rapid.IntRange(0, 4).Draw(t, "symbol")),
		Decimals:  rapid.Uint8Range(17, 19).Draw(t, "decimals"),
		MaxSupply: asset.Amount(rapid.SampledFrom([]uint64{0, 100, 1<<63 - 1, 1 << 63}).Draw(t, "supply")),
	}
	if rapid.Bool().Draw(t, "by an account") {
		_, p := x.person(t)
		terms.Issuer = p.address
	}
	want := ledger.OK
	switch {
	case slices.ContainsFunc(x.m.assets, func(p *paper) bool { return p.terms.Symbol == terms.Symbol }):
		want = ledger.SymbolTaken
	case terms.Decimals > 18:
		want = ledger.BadDecimals
	case terms.MaxSupply == 0 || terms.MaxSupply > 1<<63-1:
		want = ledger.BadAmount
	}
	id, code := x.s.Issue(terms)
	same(t, "issue", code, want)
	if want == ledger.OK {
		x.m.assets = append(x.m.assets, &paper{terms, new(big.Int), new(big.Int), new(big.Int), new(big.Int), new(big.Int)})
		same(t, "id", int(id), len(x.m.assets))
	}
}

func (x *machine) Mint(t *rapid.T) {
	n, p := x.person(t)
	id, c := x.paper(t)
	by := c.terms.Issuer
	if rapid.IntRange(0, 9).Draw(t, "impostor") == 0 {
		by = identity.Address{1}
	}
	amount := drawAmount(t, new(big.Int).Sub(new(big.Int).SetUint64(uint64(c.terms.MaxSupply)), c.supply))
	v := new(big.Int).SetUint64(uint64(amount))
	want := ledger.OK
	switch {
	case by != c.terms.Issuer:
		want = ledger.NotIssuer
	case amount == 0 || amount > asset.MaxSupply:
		want = ledger.BadAmount
	case new(big.Int).Add(c.supply, v).Cmp(new(big.Int).SetUint64(uint64(c.terms.MaxSupply))) > 0:
		want = ledger.SupplyExceeded
	}
	same(t, "mint", x.s.Mint(by, id, amount, n), want)
	if want == ledger.OK {
		c.supply.Add(c.supply, v)
		number(p.available, id).Add(number(p.available, id), v)
	}
}

func (x *machine) Burn(t *rapid.T) {
	n, p := x.person(t)
	id, c := x.paper(t)
	amount := drawAmount(t, number(p.available, id))
	want := ledger.OK
	switch {
	case c.terms.Issuer != p.address:
		want = ledger.NotIssuer
	case amount == 0 || amount > asset.MaxSupply:
		want = ledger.BadAmount
	case !move(number(p.available, id), uint64(amount), new(big.Int)):
		want = ledger.Insufficient
	}
	same(t, "burn", x.s.Burn(n, id, amount), want)
	if want == ledger.OK {
		c.supply.Sub(c.supply, new(big.Int).SetUint64(uint64(amount)))
	}
}

func (x *machine) Pay(t *rapid.T) {
	from, p := x.person(t)
	to, q := x.person(t)
	id, _ := x.paper(t)
	amount := drawAmount(t, number(p.available, id))
	ok := move(number(p.available, id), uint64(amount), number(q.available, id))
	same(t, "debit", x.s.Debit(from, id, amount), ok)
	if ok {
		x.s.Credit(to, id, amount)
	}
}

func (x *machine) Hold(t *rapid.T) {
	n, p := x.person(t)
	id, _ := x.paper(t)
	amount := drawAmount(t, number(p.available, id))
	same(t, "hold", x.s.Hold(n, id, amount), move(number(p.available, id), uint64(amount), number(p.held, id)))
}

func (x *machine) Release(t *rapid.T) {
	n, p := x.person(t)
	id, _ := x.paper(t)
	amount := drawAmount(t, number(p.held, id))
	if move(number(p.held, id), uint64(amount), number(p.available, id)) {
		x.s.Release(n, id, amount)
	}
}

// Fill spends what one account holds: most goes to another, the rest to the house.
func (x *machine) Fill(t *rapid.T) {
	from, p := x.person(t)
	to, q := x.person(t)
	id, c := x.paper(t)
	amount := drawAmount(t, number(p.held, id))
	if !move(number(p.held, id), uint64(amount), number(q.available, id)) {
		return
	}
	fee, dust := amount/10, min(amount-amount/10, 1)
	move(number(q.available, id), uint64(fee), c.fees)
	move(number(q.available, id), uint64(dust), c.dust)
	x.s.SpendHeld(from, id, amount)
	x.s.CreditHouse(id, ledger.Fees, fee)
	x.s.CreditHouse(id, ledger.Dust, dust)
	x.s.Credit(to, id, amount-fee-dust)
}

// SpendHouse moves fees or dust to the reserve, or the reserve to an account.
func (x *machine) SpendHouse(t *rapid.T) {
	n, p := x.person(t)
	id, c := x.paper(t)
	h := rapid.SampledFrom([]ledger.House{ledger.Fees, ledger.Dust, ledger.Reserve}).Draw(t, "house")
	from := map[ledger.House]*big.Int{ledger.Fees: c.fees, ledger.Dust: c.dust, ledger.Reserve: c.reserv}[h]
	amount := drawAmount(t, from)
	keep := asset.Amount(rapid.Uint64Range(0, 3).Draw(t, "keep"))
	ok := new(big.Int).SetUint64(uint64(amount)).Cmp(new(big.Int).Sub(from, big.NewInt(int64(keep)))) <= 0
	same(t, "debit house", x.s.DebitHouse(id, h, amount, keep), ok)
	switch {
	case !ok:
	case h == ledger.Reserve:
		move(from, uint64(amount), number(p.available, id))
		x.s.Credit(n, id, amount)
	default:
		move(from, uint64(amount), c.reserv)
		x.s.CreditHouse(id, ledger.Reserve, amount)
	}
}

func (x *machine) Lock(t *rapid.T) {
	n, p := x.person(t)
	id, c := x.paper(t)
	amount := drawAmount(t, number(p.available, id))
	if x.s.Debit(n, id, amount) {
		x.s.Lock(id, amount)
	}
	move(number(p.available, id), uint64(amount), c.locked)
}

func (x *machine) Unlock(t *rapid.T) {
	n, p := x.person(t)
	id, c := x.paper(t)
	amount := drawAmount(t, c.locked)
	if move(c.locked, uint64(amount), number(p.available, id)) {
		x.s.Unlock(id, amount)
		x.s.Credit(n, id, amount)
	}
}

// Reload goes on with a ledger that came from the leaves of the one before.
func (x *machine) Reload(t *rapid.T) {
	s := ledger.New()
	saved := leaves(x.s)
	for _, i := range rapid.Permutation(indexes(len(saved))).Draw(t, "order") {
		if err := s.Load(saved[i].Key, saved[i].Value); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Finish(); err != nil {
		t.Fatal(err)
	}
	if diff := compare(saved, leaves(s)); diff != "" {
		t.Fatal(diff)
	}
	x.s = s
}

// Check compares all there is.
func (x *machine) Check(t *rapid.T) {
	if err := x.s.Check(); err != nil {
		t.Fatal(err)
	}
	if err := x.s.CheckWindows(); err != nil {
		t.Fatal(err)
	}
	for i, p := range x.m.accounts {
		a := x.s.Account(ledger.Number(i + 1))
		same(t, "address", a.Address, p.address)
		same(t, "owner", a.Owner, p.owner)
		same(t, "rotation", a.Rotation, p.next)
		same(t, "timer", a.Timer, p.timer)
		same(t, "delegates", len(a.Delegates), len(p.delegates))
		for _, d := range a.Delegates {
			if diff := cmp.Diff(p.delegates[d.Key].Markets, d.Markets); diff != "" && len(d.Markets)+len(p.delegates[d.Key].Markets) > 0 {
				t.Fatal(diff)
			}
		}
		lines := 0
		for j := range x.m.assets {
			id := asset.ID(j + 1)
			available, held := number(p.available, id), number(p.held, id)
			same(t, "available", x.s.Available(a.Number, id), asset.Amount(available.Uint64()))
			same(t, "held", x.s.Held(a.Number, id), asset.Amount(held.Uint64()))
			if available.Sign() != 0 || held.Sign() != 0 {
				lines++
			}
		}
		same(t, "balances", len(a.Balances), lines)
	}
	for j, c := range x.m.assets {
		a := x.s.Audit(asset.ID(j + 1))
		same(t, "supply", a.Supply, asset.Amount(c.supply.Uint64()))
		same(t, "locked", a.Locked, asset.Amount(c.locked.Uint64()))
		same(t, "fees", a.Fees, asset.Amount(c.fees.Uint64()))
		same(t, "dust", a.Dust, asset.Amount(c.dust.Uint64()))
		same(t, "reserve", a.Reserve, asset.Amount(c.reserv.Uint64()))
	}
}

// The ledger agrees with the model under random histories, across reloads.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := &machine{s: ledger.New(), m: &model{}, now: 1000}
		x.Open(t)
		for len(x.m.assets) == 0 {
			x.Issue(t)
		}
		actions := rapid.StateMachineActions(x)
		t.Repeat(actions)
	})
}

// L-10 to L-13: a window agrees with a plain set of used nonces.
func TestWindowModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := ledger.New()
		n := s.Open(address("alice"))
		w := newUsed(0)
		for range rapid.IntRange(1, 400).Draw(t, "commands") {
			nonce := rapid.OneOf(
				rapid.Uint64Range(w.top, w.top+3),
				rapid.Uint64Range(w.top, w.top+130),
				rapid.Uint64Range(w.top+1000, w.top+1100),
				rapid.Uint64Range(w.top+65_530, w.top+65_540),
				rapid.Uint64Range(w.top-min(w.top, 1030), w.top),
				rapid.Uint64Range(w.top-min(w.top, 130), w.top),
			).Draw(t, "nonce")
			want := w.accepts(nonce)
			same(t, fmt.Sprintf("nonce %d", nonce), s.UseNonce(n, key("alice"), nonce), want)
			if want == ledger.OK {
				w.use(nonce)
			}
			same(t, "top", s.TopNonce(n, key("alice")), w.top)
		}
		s = reloadIn(t, s)
		for nonce := range uint64(1030) {
			if nonce <= w.top {
				same(t, "after loading", s.CheckNonce(n, key("alice"), w.top-nonce), w.accepts(w.top-nonce))
			}
		}
	})
}

func reloadIn(t *rapid.T, s *ledger.State) *ledger.State {
	loaded := ledger.New()
	for _, l := range leaves(s) {
		if err := loaded.Load(l.Key, l.Value); err != nil {
			t.Fatal(err)
		}
	}
	if err := loaded.Finish(); err != nil {
		t.Fatal(err)
	}
	if diff := compare(leaves(s), leaves(loaded)); diff != "" {
		t.Fatal(diff)
	}
	return loaded
}

// L-10: used in order, a key costs no bitmap and nine bytes of its leaf.
func TestWindowInOrderIsSmall(t *testing.T) {
	s := ledger.New()
	n := s.Open(address("alice"))
	for nonce := uint64(1); nonce <= 3000; nonce++ {
		want(t, "use", s.UseNonce(n, key("alice"), nonce), ledger.OK)
	}
	want(t, "bitmaps", s.BitmapsInUse(), 0)
	value, _ := s.Leaf(ledger.AccountKey(address("alice")))
	want(t, "bytes", len(value), 4+1+32+9+1+4)
	for nonce := uint64(4024); nonce > 3000; nonce-- { // the widest window in which all can come backwards
		want(t, "use backwards", s.UseNonce(n, key("alice"), nonce), ledger.OK)
	}
	want(t, "bitmaps", s.BitmapsInUse(), 0)
	want(t, "leave a gap", s.UseNonce(n, key("alice"), 4026), ledger.OK)
	want(t, "bitmaps", s.BitmapsInUse(), 1)
	for nonce := uint64(4027); nonce < 4026+1024; nonce++ {
		want(t, "use", s.UseNonce(n, key("alice"), nonce), ledger.OK)
	}
	want(t, "gap leaves the window", s.BitmapsInUse(), 0)
	want(t, "gap is stale", s.UseNonce(n, key("alice"), 4025), ledger.NonceStale)
}

func indexes(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}
