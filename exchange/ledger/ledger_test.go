package ledger_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/asset"
	"souk/exchange/ledger"
	"souk/identity"
	"souk/merkle"
)

// key returns the public key of a named person, always the same.
func key(name string) identity.PublicKey {
	var seed [32]byte
	copy(seed[:], name)
	return identity.NewKey(seed).Public()
}

func address(name string) identity.Address { return identity.AddressOf(key(name)) }

// leaf is one state leaf.
type leaf struct {
	Key   merkle.Key
	Value []byte
}

func leaves(s *ledger.State) []leaf {
	var all []leaf
	s.Leaves(func(key merkle.Key, value []byte) { all = append(all, leaf{key, value}) })
	return all
}

// compare is cmp.Diff, but fast when there is no difference.
func compare(a, b []leaf) string {
	if slices.EqualFunc(a, b, func(a, b leaf) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }) {
		return ""
	}
	return cmp.Diff(a, b)
}

// reload builds a second state from the leaves of the first, in reverse order,
// and fails unless it has the same leaves.
func reload(t testing.TB, s *ledger.State) *ledger.State {
	t.Helper()
	saved := leaves(s)
	loaded := ledger.New()
	for i := len(saved) - 1; i >= 0; i-- {
		if err := loaded.Load(saved[i].Key, saved[i].Value); err != nil {
			t.Fatalf("load leaf %s: %v", saved[i].Key, err)
		}
	}
	if err := loaded.Finish(); err != nil {
		t.Fatalf("finish: %v", err)
	}
	if diff := compare(saved, leaves(loaded)); diff != "" {
		t.Fatalf("leaves differ after loading:\n%s", diff)
	}
	loaded.Changes(func(key merkle.Key, _ []byte) { t.Fatalf("leaf %s is dirty after loading", key) })
	return loaded
}

func want[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// market returns a state with the assets EUR (1) and BTC (2) that the virtual
// server issues, and alice (1) with 1,000 EUR.
func market(t testing.TB) *ledger.State {
	t.Helper()
	s := ledger.New()
	for i, symbol := range []string{"EUR", "BTC"} {
		id, code := s.Issue(ledger.Terms{Symbol: symbol, Decimals: 8, MaxSupply: asset.MaxSupply})
		want(t, "issue "+symbol, code, ledger.OK)
		want(t, "id of "+symbol, id, asset.ID(i+1))
	}
	want(t, "alice's number", s.Open(address("alice")), 1)
	want(t, "mint", s.Mint(identity.Address{}, 1, 1000, 1), ledger.OK)
	return s
}

func mustPanic(t testing.TB, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s does not panic", what)
		}
	}()
	f()
}

// L-1, L-2: numbers are sequential; the owner is known from the first command.
func TestOpen(t *testing.T) {
	s := market(t)
	bob := s.Open(address("bob"))
	want(t, "bob's number", bob, 2)
	want(t, "bob's number again", s.Open(address("bob")), 2)
	want(t, "accounts", s.Accounts(), 2)
	if _, ok := s.Find(address("carol")); ok {
		t.Error("carol is found and has never been credited")
	}
	want(t, "owner before the first command", s.Account(bob).Owner, identity.PublicKey{})
	want(t, "a stranger's command", s.UseNonce(bob, key("carol"), 1), ledger.UnknownKey)
	want(t, "a zero key's command", s.UseNonce(bob, identity.PublicKey{}, 1), ledger.UnknownKey)
	want(t, "a zero key's power", s.Authorize(bob, identity.PublicKey{}, ledger.Read, 0, 0), ledger.UnknownKey)
	want(t, "may bob act", s.Authorize(bob, key("bob"), ledger.Owner, 0, 0), ledger.OK)
	want(t, "would bob's command do", s.CheckNonce(bob, key("bob"), 1), ledger.OK)
	want(t, "owner still", s.Account(bob).Owner, identity.PublicKey{})
	want(t, "too far", s.UseNonce(bob, key("bob"), 65_537), ledger.NonceTooFar)
	want(t, "owner still after a refused command", s.Account(bob).Owner, identity.PublicKey{})
	want(t, "bob's command", s.UseNonce(bob, key("bob"), 1), ledger.OK)
	want(t, "owner after the first command", s.Account(bob).Owner, key("bob"))
	reload(t, s)
}

// L-14, L-22: the example of docs/spec/05-ledger.md.
func TestRemovedKeyStartsAboveItsOldNonces(t *testing.T) {
	s := market(t)
	bot := ledger.Delegate{Key: key("bot"), Scopes: ledger.Trade}
	want(t, "add", s.SetDelegate(1, bot, 0), ledger.OK)
	for _, nonce := range []uint64{1, 2, 3, 40} {
		want(t, "use", s.UseNonce(1, bot.Key, nonce), ledger.OK)
	}
	want(t, "change", s.SetDelegate(1, ledger.Delegate{Key: bot.Key, Scopes: ledger.Read}, 0), ledger.OK)
	want(t, "replay after a change", s.UseNonce(1, bot.Key, 2), ledger.NonceUsed)
	want(t, "gap after a change", s.UseNonce(1, bot.Key, 4), ledger.OK)
	want(t, "remove", s.RemoveDelegate(1, bot.Key), ledger.OK)
	want(t, "use after removal", s.UseNonce(1, bot.Key, 41), ledger.UnknownKey)
	want(t, "where it would start", s.TopNonce(1, bot.Key), 40)
	want(t, "bitmaps", s.BitmapsInUse(), 0)
	s = reload(t, s)
	want(t, "add again", s.SetDelegate(1, bot, 0), ledger.OK)
	for nonce := range uint64(41) {
		if code := s.UseNonce(1, bot.Key, nonce); code == ledger.OK {
			t.Errorf("nonce %d is accepted again", nonce)
		}
	}
	want(t, "next", s.UseNonce(1, bot.Key, 41), ledger.OK)
	want(t, "another key starts there too", s.TopNonce(1, key("bot2")), 40)
}

// L-20, L-21, L-23.
func TestDelegates(t *testing.T) {
	s := market(t)
	want(t, "first command", s.UseNonce(1, key("alice"), 1), ledger.OK)
	d := ledger.Delegate{Key: key("bot"), Scopes: ledger.Trade | ledger.Read, Markets: []uint32{2, 5}, Expiry: 100}
	for _, c := range []struct {
		name   string
		change func(*ledger.Delegate)
		want   ledger.Code
	}{
		{"no scopes", func(d *ledger.Delegate) { d.Scopes = 0 }, ledger.BadDelegate},
		{"owner scope", func(d *ledger.Delegate) { d.Scopes = ledger.Owner }, ledger.BadDelegate},
		{"unknown scope", func(d *ledger.Delegate) { d.Scopes = 32 }, ledger.BadDelegate},
		{"market zero", func(d *ledger.Delegate) { d.Markets = []uint32{0, 1} }, ledger.BadDelegate},
		{"markets unsorted", func(d *ledger.Delegate) { d.Markets = []uint32{2, 1} }, ledger.BadDelegate},
		{"market twice", func(d *ledger.Delegate) { d.Markets = []uint32{2, 2} }, ledger.BadDelegate},
		{"expired", func(d *ledger.Delegate) { d.Expiry = 50 }, ledger.BadDelegate},
		{"owner's key", func(d *ledger.Delegate) { d.Key = key("alice") }, ledger.BadKey},
		{"zero key", func(d *ledger.Delegate) { d.Key = identity.PublicKey{} }, ledger.BadKey},
		{"small order key", func(d *ledger.Delegate) { d.Key = identity.PublicKey{1} }, ledger.BadKey},
		{"good", func(*ledger.Delegate) {}, ledger.OK},
	} {
		changed := d
		c.change(&changed)
		want(t, c.name, s.SetDelegate(1, changed, 50), c.want)
	}
	d.Markets[0] = 7 // the ledger has its own copy
	for _, c := range []struct {
		name   string
		key    string
		scope  ledger.Scope
		market uint32
		now    uint64
		want   ledger.Code
	}{
		{"in its market", "bot", ledger.Trade, 2, 99, ledger.OK},
		{"in another market", "bot", ledger.Trade, 3, 99, ledger.OutOfScope},
		{"in all markets", "bot", ledger.Trade, 0, 99, ledger.OutOfScope},
		{"reading needs no market", "bot", ledger.Read, 0, 99, ledger.OK},
		{"paying", "bot", ledger.Transfer, 0, 99, ledger.OutOfScope},
		{"keys", "bot", ledger.Owner, 0, 99, ledger.OutOfScope},
		{"at its expiry", "bot", ledger.Trade, 2, 100, ledger.OutOfScope},
		{"the owner", "alice", ledger.Owner, 0, 100, ledger.OK},
		{"a stranger", "carol", ledger.Read, 0, 99, ledger.UnknownKey},
	} {
		want(t, c.name, s.Authorize(1, key(c.key), c.scope, c.market, c.now), c.want)
	}
	for i := 1; i < ledger.MaxDelegates; i++ {
		want(t, "add", s.SetDelegate(1, ledger.Delegate{Key: key(fmt.Sprint(i)), Scopes: ledger.Read}, 0), ledger.OK)
	}
	want(t, "one more", s.SetDelegate(1, ledger.Delegate{Key: key("more"), Scopes: ledger.Read}, 0), ledger.TooManyDelegates)
	want(t, "a change", s.SetDelegate(1, ledger.Delegate{Key: key("3"), Scopes: ledger.Trade}, 0), ledger.OK)
	want(t, "remove a stranger", s.RemoveDelegate(1, key("carol")), ledger.UnknownDelegate)
	reload(t, s)
}

// L-25 to L-28: the example of docs/spec/05-ledger.md.
func TestRotation(t *testing.T) {
	s := market(t)
	want(t, "first command", s.UseNonce(1, key("alice"), 7), ledger.OK)
	want(t, "bot", s.SetDelegate(1, ledger.Delegate{Key: key("bot"), Scopes: ledger.Read}, 0), ledger.OK)
	want(t, "to herself", s.StartRotation(1, key("alice"), 500), ledger.BadKey)
	want(t, "to the bot", s.StartRotation(1, key("bot"), 500), ledger.BadKey)
	want(t, "to a key of small order", s.StartRotation(1, identity.PublicKey{1}, 500), ledger.BadKey)
	want(t, "none to cancel", s.CancelRotation(1), ledger.NoRotation)
	want(t, "start", s.StartRotation(1, key("thief"), 500), ledger.OK)
	want(t, "start another", s.StartRotation(1, key("anna"), 600), ledger.RotationPending)
	want(t, "cancel", s.CancelRotation(1), ledger.OK)
	_, ok := s.TakeDue(500)
	want(t, "due after cancelling", ok, false)
	want(t, "start", s.StartRotation(1, key("anna"), 600), ledger.OK)
	want(t, "the next owner as a delegate", s.SetDelegate(1, ledger.Delegate{Key: key("anna"), Scopes: ledger.Read}, 0), ledger.BadKey)
	want(t, "the next owner before", s.Authorize(1, key("anna"), ledger.Read, 0, 599), ledger.UnknownKey)
	want(t, "where the next owner will start", s.TopNonce(1, key("anna")), 7)
	s = reload(t, s)
	next, _ := s.NextDue()
	want(t, "next due", next, 600)
	_, ok = s.TakeDue(599)
	want(t, "due too early", ok, false)
	d, ok := s.TakeDue(600)
	want(t, "due", ok, true)
	want(t, "what", d, ledger.Due{Kind: ledger.Rotated, Account: 1, At: 600})
	want(t, "the old owner", s.Authorize(1, key("alice"), ledger.Read, 0, 600), ledger.UnknownKey)
	want(t, "the old owner's command", s.UseNonce(1, key("alice"), 8), ledger.UnknownKey)
	want(t, "the new owner", s.Authorize(1, key("anna"), ledger.Owner, 0, 600), ledger.OK)
	want(t, "the new owner's first nonce", s.UseNonce(1, key("anna"), 8), ledger.OK)
	want(t, "the address", s.Address(1), address("alice"))
	want(t, "back again", s.StartRotation(1, key("alice"), 700), ledger.OK)
	d, _ = s.TakeDue(700)
	want(t, "what", d, ledger.Due{Kind: ledger.Rotated, Account: 1, At: 700})
	want(t, "replay of the first owner", s.UseNonce(1, key("alice"), 7), ledger.NonceUsed)
	want(t, "a gap of the first owner", s.UseNonce(1, key("alice"), 3), ledger.NonceUsed)
	want(t, "next of the first owner", s.UseNonce(1, key("alice"), 9), ledger.OK)
	reload(t, s)
}

// L-29, L-65: due items come by time, account and kind.
func TestDueOrder(t *testing.T) {
	s := market(t)
	for _, name := range []string{"bob", "carol"} {
		s.Open(address(name))
	}
	s.SetTimer(3, 50)
	s.SetTimer(1, 70)
	s.SetTimer(2, 60)
	s.SetTimer(1, 60) // armed again, so moved
	want(t, "rotate", s.StartRotation(2, key("anna"), 60), ledger.OK)
	s.SetTimer(3, 0)
	s.SetTimer(3, 0)
	s.SetTimer(3, 61)
	s = reload(t, s)
	var got []ledger.Due
	for {
		d, ok := s.TakeDue(60)
		if !ok {
			break
		}
		got = append(got, d)
	}
	if diff := cmp.Diff([]ledger.Due{{ledger.Timer, 1, 60}, {ledger.Rotated, 2, 60}, {ledger.Timer, 2, 60}}, got); diff != "" {
		t.Error(diff)
	}
	next, ok := s.NextDue()
	want(t, "next due", next, 61)
	want(t, "is there one", ok, true)
	want(t, "timer of carol", s.Account(3).Timer, 61)
	want(t, "timer of bob", s.Account(2).Timer, 0)
}

// L-31, L-33.
func TestBalances(t *testing.T) {
	s := market(t)
	bob := s.Open(address("bob"))
	want(t, "hold too much", s.Hold(1, 1, 1001), false)
	want(t, "hold", s.Hold(1, 1, 1000), true)
	want(t, "debit what is held", s.Debit(1, 1, 1), false)
	s.Release(1, 1, 300)
	s.SpendHeld(1, 1, 100)
	s.Credit(bob, 1, 90)
	s.CreditHouse(1, ledger.Fees, 9)
	s.CreditHouse(1, ledger.Dust, 1)
	want(t, "available", s.Available(1, 1), 300)
	want(t, "held", s.Held(1, 1), 600)
	want(t, "available of an asset she has not", s.Available(1, 2), 0)
	want(t, "debit of an asset she has not", s.Debit(1, 2, 1), false)
	want(t, "debit of nothing", s.Debit(1, 2, 0), true)
	want(t, "hold of nothing", s.Hold(1, 2, 0), true)
	s.Credit(1, 2, 0)
	want(t, "debit all", s.Debit(bob, 1, 90), true)
	s.Lock(1, 90)
	want(t, "bob has nothing", len(s.Account(bob).Balances), 0)
	want(t, "audit", s.Audit(1), ledger.Audit{
		Asset: 1, Supply: 1000, Available: 300, Held: 600, Locked: 90, Fees: 9, Dust: 1, Balanced: true,
	})
	want(t, "audit of no asset", s.Audit(9), ledger.Audit{Asset: 9, Balanced: true})
	if diff := cmp.Diff([]ledger.Balance{{1, 300, 600}}, s.Account(1).Balances); diff != "" {
		t.Error(diff)
	}
	s = reload(t, s)
	want(t, "debit of fees", s.DebitHouse(1, ledger.Fees, 10, 0), false)
	want(t, "debit of fees", s.DebitHouse(1, ledger.Fees, 9, 1), false)
	want(t, "debit of fees", s.DebitHouse(1, ledger.Fees, 9, 0), true)
	want(t, "debit of dust", s.DebitHouse(1, ledger.Dust, 1, 1), false)
	want(t, "audit when the 9 are nowhere", s.Audit(1).Balanced, false)
	if s.Check() == nil {
		t.Error("Check finds nothing although 9 are missing")
	}
	s.CreditHouse(1, ledger.Reserve, 9)
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// L-32: what can only happen if exchange is wrong halts.
func TestBrokenInvariants(t *testing.T) {
	s := market(t)
	s.Hold(1, 1, 10)
	mustPanic(t, "releasing more than is held", func() { s.Release(1, 1, 11) })
	mustPanic(t, "spending more than is held", func() { s.SpendHeld(1, 1, 11) })
	mustPanic(t, "spending what is not there", func() { s.SpendHeld(1, 2, 1) })
	mustPanic(t, "crediting more than can exist", func() { s.Credit(1, 1, asset.MaxSupply) })
	mustPanic(t, "crediting with overflow", func() { s.Credit(1, 1, 1<<64-1) })
	mustPanic(t, "crediting no asset", func() { s.Credit(1, 3, 1) })
	mustPanic(t, "crediting no account", func() { s.Credit(2, 1, 1) })
	mustPanic(t, "account zero", func() { s.Credit(0, 1, 1) })
	mustPanic(t, "unlocking what is not locked", func() { s.Unlock(1, 1) })
	mustPanic(t, "no house", func() { s.CreditHouse(1, 0, 1) })
	mustPanic(t, "house overflow", func() { s.CreditHouse(1, ledger.Fees, 1<<63) })
	want(t, "available", s.Available(1, 1), 990)
	want(t, "held", s.Held(1, 1), 10)
}

// L-34: others cannot fill an account with assets without end.
func TestRoom(t *testing.T) {
	s := ledger.New()
	s.Open(address("alice"))
	for i := range ledger.MaxBalances + 1 {
		id, code := s.Issue(ledger.Terms{Symbol: fmt.Sprintf("A%d", 1000+i), MaxSupply: 5})
		want(t, "issue", code, ledger.OK)
		want(t, "room", s.Room(1, id), i < ledger.MaxBalances)
		want(t, "mint", s.Mint(identity.Address{}, id, 5, 1), ledger.OK)
	}
	want(t, "room for what is there", s.Room(1, 700), true)
	want(t, "balances", len(s.Account(1).Balances), ledger.MaxBalances+1)
	s = reload(t, s)
	for i := range ledger.MaxBalances + 1 {
		id := asset.ID(i + 1)
		want(t, "debit", s.Debit(1, id, 5), true)
		s.CreditHouse(id, ledger.Fees, 5)
		if i%100 == 0 {
			reload(t, s)
		}
	}
	want(t, "balances", len(s.Account(1).Balances), 0)
	reload(t, s)
}

// L-34: promises keep places, each asset one, and an account's own orders find more.
func TestPlaces(t *testing.T) {
	s := ledger.New()
	s.Open(address("alice"))
	for i := range ledger.MaxPlaces + 1 {
		id, code := s.Issue(ledger.Terms{Symbol: fmt.Sprintf("A%d", 1000+i), MaxSupply: 5})
		want(t, "issue", code, ledger.OK)
		want(t, "room for others", s.Room(1, id), i < ledger.MaxBalances)
		want(t, "room for orders", s.OwnRoom(1, id), i < ledger.MaxPlaces)
		if i == ledger.MaxPlaces {
			mustPanic(t, "no place", func() { s.Promise(1, id) })
			break
		}
		s.Promise(1, id)
		s.Promise(1, id)
		want(t, "promised", s.Promised(1, id), 2)
	}
	want(t, "room for what is promised", s.Room(1, 2000), true)
	want(t, "balances", len(s.Account(1).Balances), 0)
	places, promises := s.Places(1)
	want(t, "places", places, ledger.MaxPlaces)
	want(t, "promises", promises, 2*ledger.MaxPlaces)
	want(t, "mint", s.Mint(identity.Address{}, 7, 5, 1), ledger.OK)
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	for i := range ledger.MaxPlaces {
		s.Settle(1, asset.ID(i+1))
		s.Settle(1, asset.ID(i+1))
	}
	places, promises = s.Places(1)
	want(t, "places", places, 1)
	want(t, "promises", promises, 0)
	mustPanic(t, "nothing promised", func() { s.Settle(1, 7) })
	mustPanic(t, "nothing there", func() { s.Settle(1, 8) })
	reload(t, s)
}

// L-35: the largest account there can be.
func TestLargestLeaf(t *testing.T) {
	s := ledger.New()
	n := s.Open(address("alice"))
	for i := range ledger.MaxPlaces {
		id, _ := s.Issue(ledger.Terms{Symbol: fmt.Sprintf("A%d", 1000+i), MaxSupply: 5})
		want(t, "mint", s.Mint(identity.Address{}, id, 5, 1), ledger.OK)
	}
	markets := make([]uint32, ledger.MaxMarkets)
	for i := range markets {
		markets[i] = uint32(i + 1)
	}
	gaps := func(who string) {
		for _, nonce := range []uint64{5000, 6023} { // the oldest of the window is the last that was not used
			want(t, "nonce", s.UseNonce(n, key(who), nonce), ledger.OK)
		}
	}
	gaps("alice")
	want(t, "old delegate", s.SetDelegate(n, ledger.Delegate{Key: key("old"), Scopes: ledger.Read}, 1), ledger.OK)
	want(t, "nonce", s.UseNonce(n, key("old"), 9), ledger.OK)
	want(t, "remove", s.RemoveDelegate(n, key("old")), ledger.OK)
	for i := range ledger.MaxDelegates {
		who := fmt.Sprint("bot", i)
		want(t, "delegate", s.SetDelegate(n, ledger.Delegate{Key: key(who), Scopes: ledger.Trade, Markets: markets, Expiry: 9}, 1), ledger.OK)
		gaps(who)
	}
	want(t, "rotation", s.StartRotation(n, key("next"), 9), ledger.OK)
	s.SetTimer(n, 9)
	leaf, _ := s.Leaf(ledger.AccountKey(address("alice")))
	want(t, "bytes", len(leaf), 48_155)
	got, err := ledger.ParseAccount(ledger.AccountKey(address("alice")), leaf)
	if err != nil || len(got.Balances) != ledger.MaxPlaces {
		t.Error(err)
	}
	var balances []ledger.Balance
	err = ledger.LeafBalances(leaf, func(id asset.ID, available, held asset.Amount) {
		balances = append(balances, ledger.Balance{Asset: id, Available: available, Held: held})
	})
	if diff := cmp.Diff(got.Balances, balances); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for cut := range leaf {
		if ledger.LeafBalances(leaf[:cut], func(asset.ID, asset.Amount, asset.Amount) {}) == nil {
			t.Fatalf("a leaf of %d bytes is read", cut)
		}
	}
}

// L-41 to L-43.
func TestIssue(t *testing.T) {
	s := market(t)
	want(t, "reserve", s.Reserve("GOLD", identity.Address{}), ledger.OK)
	want(t, "reserve", s.Reserve("ACME", address("acme")), ledger.OK)
	want(t, "reserve a taken one", s.Reserve("EUR", identity.Address{}), ledger.SymbolTaken)
	want(t, "reserve a bad one", s.Reserve("eur", identity.Address{}), ledger.BadSymbol)
	good := ledger.Terms{Symbol: "PAPER", Decimals: 2, Issuer: address("alice"), MaxSupply: 100}
	for _, c := range []struct {
		name   string
		change func(*ledger.Terms)
		want   ledger.Code
	}{
		{"empty", func(t *ledger.Terms) { t.Symbol = "" }, ledger.BadSymbol},
		{"one character", func(t *ledger.Terms) { t.Symbol = "A" }, ledger.BadSymbol},
		{"eleven characters", func(t *ledger.Terms) { t.Symbol = "ABCDEFGHIJK" }, ledger.BadSymbol},
		{"digit first", func(t *ledger.Terms) { t.Symbol = "1INCH" }, ledger.BadSymbol},
		{"lower case", func(t *ledger.Terms) { t.Symbol = "Btc" }, ledger.BadSymbol},
		{"not ASCII", func(t *ledger.Terms) { t.Symbol = "BTĆ" }, ledger.BadSymbol},
		{"taken", func(t *ledger.Terms) { t.Symbol = "BTC" }, ledger.SymbolTaken},
		{"reserved for nobody", func(t *ledger.Terms) { t.Symbol = "GOLD" }, ledger.SymbolReserved},
		{"reserved for nobody, no issuer", func(t *ledger.Terms) { t.Symbol, t.Issuer = "GOLD", identity.Address{} }, ledger.SymbolReserved},
		{"reserved for another", func(t *ledger.Terms) { t.Symbol = "ACME" }, ledger.SymbolReserved},
		{"decimals", func(t *ledger.Terms) { t.Decimals = 19 }, ledger.BadDecimals},
		{"no supply", func(t *ledger.Terms) { t.MaxSupply = 0 }, ledger.BadAmount},
		{"too much supply", func(t *ledger.Terms) { t.MaxSupply = asset.MaxSupply + 1 }, ledger.BadAmount},
		{"reserved for him", func(t *ledger.Terms) { t.Symbol, t.Issuer = "ACME", address("acme") }, ledger.OK},
		{"good", func(*ledger.Terms) {}, ledger.OK},
		{"shortest, most decimals", func(t *ledger.Terms) { t.Symbol, t.Decimals = "A1", 18 }, ledger.OK},
		{"longest, largest", func(t *ledger.Terms) { t.Symbol, t.MaxSupply = "ABCDEFGHI9", asset.MaxSupply }, ledger.OK},
	} {
		terms := good
		c.change(&terms)
		_, code := s.Issue(terms)
		want(t, c.name, code, c.want)
	}
	id, ok := s.BySymbol("ACME")
	want(t, "known", ok, true)
	a, _ := s.Asset(id)
	want(t, "issuer", a.Issuer, address("acme"))
	_, ok = s.Reserved("ACME")
	want(t, "still reserved", ok, false)
	_, ok = s.Reserved("GOLD")
	want(t, "still reserved", ok, true)
	want(t, "assets", s.Assets(), 6)
	reload(t, s)
}

// L-44, L-45.
func TestMintAndBurn(t *testing.T) {
	s := market(t)
	bob := s.Open(address("bob"))
	id, _ := s.Issue(ledger.Terms{Symbol: "PAPER", Issuer: address("alice"), MaxSupply: 100})
	none := identity.Address{}
	want(t, "by the house", s.Mint(none, id, 1, bob), ledger.NotIssuer)
	want(t, "by another", s.Mint(address("bob"), id, 1, bob), ledger.NotIssuer)
	want(t, "a house asset by an account", s.Mint(address("alice"), 1, 1, bob), ledger.NotIssuer)
	want(t, "no asset", s.Mint(none, 9, 1, bob), ledger.UnknownAsset)
	want(t, "nothing", s.Mint(address("alice"), id, 0, bob), ledger.BadAmount)
	want(t, "overflow", s.Mint(address("alice"), id, 1<<64-1, bob), ledger.BadAmount)
	want(t, "too much", s.Mint(address("alice"), id, 101, bob), ledger.SupplyExceeded)
	want(t, "all", s.Mint(address("alice"), id, 100, bob), ledger.OK)
	want(t, "one more", s.Mint(address("alice"), id, 1, bob), ledger.SupplyExceeded)
	want(t, "burn by the holder", s.Burn(bob, id, 1), ledger.NotIssuer)
	want(t, "burn what she has not", s.Burn(1, id, 1), ledger.Insufficient)
	want(t, "burn nothing", s.Burn(1, id, 0), ledger.BadAmount)
	want(t, "burn no asset", s.Burn(1, 0, 1), ledger.UnknownAsset)
	want(t, "pay back", s.Debit(bob, id, 40), true)
	s.Credit(1, id, 40)
	want(t, "burn", s.Burn(1, id, 40), ledger.OK)
	a, _ := s.Asset(id)
	want(t, "supply", a.Supply, 60)
	want(t, "posted later", s.Mint(address("alice"), id, 40, 0), ledger.OK)
	want(t, "balanced before the credit", s.Audit(id).Balanced, false)
	s.Credit(bob, id, 40)
	want(t, "balanced after the credit", s.Audit(id).Balanced, true)
	reload(t, s)
}

// L-70: a leaf is emitted once per change, and only then.
func TestChanges(t *testing.T) {
	s := market(t)
	s.Reserve("GOLD", identity.Address{})
	tree := map[merkle.Key][]byte{}
	collect := func() (n int) {
		s.Changes(func(key merkle.Key, value []byte) {
			n++
			if value == nil {
				delete(tree, key)
				return
			}
			tree[key] = value
		})
		if diff := cmp.Diff(len(leaves(s)), len(tree)); diff != "" {
			t.Fatal(diff)
		}
		for _, l := range leaves(s) {
			if !bytes.Equal(tree[l.Key], l.Value) {
				t.Fatalf("leaf %s is stale", l.Key)
			}
			one, ok := s.Leaf(l.Key)
			if !ok || !bytes.Equal(one, l.Value) {
				t.Fatalf("leaf %s by itself is different", l.Key)
			}
		}
		return n
	}
	want(t, "first", collect(), 4) // EUR, BTC, GOLD, alice
	want(t, "no change", collect(), 0)
	s.Hold(1, 1, 5)
	s.Hold(1, 1, 5)
	want(t, "hold twice", collect(), 1)
	want(t, "refused", s.Hold(1, 1, 5000), false)
	want(t, "refused", collect(), 0)
	s.Reserve("GOLD", address("acme"))
	s.Reserve("GOLD", address("acme"))
	want(t, "reserve twice", collect(), 1)
	_, code := s.Issue(ledger.Terms{Symbol: "GOLD", Issuer: address("acme"), MaxSupply: 1})
	want(t, "issue", code, ledger.OK)
	want(t, "issue a reserved symbol", collect(), 2)
	for _, k := range []merkle.Key{{}, {9}, ledger.AssetKey(77), ledger.AccountKey(address("dave")), ledger.SymbolKey("GOLD"), {3, 31: 1}, {2, 31: 1}} {
		if _, ok := s.Leaf(k); ok {
			t.Errorf("there is a leaf %s", k)
		}
	}
}

// L-71 to L-75: the encodings worked out in docs/spec/05-ledger.md.
func TestLeafExamples(t *testing.T) {
	s := market(t)
	s.Hold(1, 1, 100)
	s.UseNonce(1, key("alice"), 1)
	s.UseNonce(1, key("alice"), 4)
	s.SetDelegate(1, ledger.Delegate{Key: key("bot"), Scopes: ledger.Trade, Markets: []uint32{2}, Expiry: 9}, 0)
	s.SetTimer(1, 77)
	alice, bot := key("alice"), key("bot")
	var b []byte
	u32 := func(v uint32) { b = binary.BigEndian.AppendUint32(b, v) }
	u64 := func(v uint64) { b = binary.BigEndian.AppendUint64(b, v) }
	u32(1)                            // number
	b = append(b, 1|8)                // owner and timer
	b = append(b, alice[:]...)        //
	u64(4)                            // highest nonce
	b = append(b, 1, 1<<1|1<<2)       // 3 and 2 are not used
	u64(77)                           // timer
	b = append(b, 1)                  // one delegate
	b = append(b, bot[:]...)          //
	b = append(b, 2)                  // trade
	u64(9)                            // expiry
	b = append(b, 1, 0, 0, 0, 2)      // one market
	b = append(b, make([]byte, 9)...) // no nonce used
	u32(1)                            // one balance
	u32(1)                            // EUR
	u64(900)
	u64(100)
	got, _ := s.Leaf(ledger.AccountKey(address("alice")))
	if diff := cmp.Diff(b, got); diff != "" {
		t.Errorf("account leaf:\n%s", diff)
	}
	a, err := ledger.ParseAccount(ledger.AccountKey(address("alice")), got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.Account(1), a); diff != "" {
		t.Errorf("parsed account:\n%s", diff)
	}

	b = append([]byte{3}, "EUR"...)
	b = append(b, 8)
	b = append(b, make([]byte, 20+32)...)
	for _, v := range []uint64{1<<63 - 1, 1000, 0, 0, 0, 0} {
		u64(v)
	}
	got, _ = s.Leaf(ledger.AssetKey(1))
	if diff := cmp.Diff(b, got); diff != "" {
		t.Errorf("asset leaf:\n%s", diff)
	}
	parsed, err := ledger.ParseAsset(ledger.AssetKey(1), got)
	if err != nil {
		t.Fatal(err)
	}
	known, _ := s.Asset(1)
	want(t, "parsed asset", parsed, known)
	if _, err := ledger.ParseAsset(ledger.AccountKey(address("alice")), got); err == nil {
		t.Error("an asset is read under an account's key")
	}
	if _, err := ledger.ParseAccount(ledger.AssetKey(1), got); err == nil {
		t.Error("an account is read under an asset's key")
	}
}

// The hot path allocates nothing.
func TestNoAllocation(t *testing.T) {
	s := market(t)
	a, k, nonce := address("alice"), key("alice"), uint64(0)
	bob := s.Open(address("bob"))
	s.Credit(bob, 1, 1)
	if n := testing.AllocsPerRun(100, func() {
		nonce += 2
		n, _ := s.Find(a)
		if s.CheckNonce(n, k, nonce) != ledger.OK || s.UseNonce(n, k, nonce) != ledger.OK || s.UseNonce(n, k, nonce-1) != ledger.OK ||
			s.Authorize(n, k, ledger.Trade, 1, 0) != ledger.OK || !s.Hold(n, 1, 5) {
			t.Fatal("refused")
		}
		s.Release(n, 1, 3)
		s.SpendHeld(n, 1, 2)
		s.Credit(n, 1, 1)
		s.CreditHouse(1, ledger.Fees, 1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
