package exchange_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"souk/asset"
	"souk/exchange"
	. "souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/exchange/market"
)

// crowded is a world with so many assets, of each of which everybody named has some.
func crowded(t *testing.T, assets int, amount asset.Amount, names ...string) (w *World, first asset.ID) {
	t.Helper()
	w = New(1)
	setParams(t, w, func(p *exchange.Params) { p.AccountAssets = 10_000 })
	w.Fund(EUR, 1_000_000*Coin, names...)
	first = asset.ID(w.State.Ledger().Assets() + 1)
	all := func(body func(i int) exchange.Body) {
		for from := 0; from < assets; from += 1000 {
			var commands []exchange.Command
			for i := from; i < min(from+1000, assets); i++ {
				commands = append(commands, w.Command("issuer", body(i)))
			}
			for _, r := range w.Block(commands...).Receipts {
				if r.Code != exchange.OK {
					t.Fatal(r.Code)
				}
			}
		}
	}
	all(func(i int) exchange.Body {
		return &exchange.Issue{Symbol: fmt.Sprintf("X%d", i), MaxSupply: asset.MaxSupply}
	})
	for _, name := range names {
		all(func(i int) exchange.Body {
			return &exchange.Mint{Asset: first + asset.ID(i), Amount: amount, To: Address(name)}
		})
	}
	return w, first
}

func places(w *World, name string) int {
	n, _ := w.State.Ledger().Find(Address(name))
	count, _ := w.State.Ledger().Places(n)
	return count
}

// tally applies commands as one block and counts codes.
func tally(w *World, commands []exchange.Command) map[exchange.Code]int {
	codes := map[exchange.Code]int{}
	for _, r := range w.Block(commands...).Receipts {
		codes[r.Code]++
	}
	return codes
}

// TestPlacesInOneBlock: many transfers of one block find no more places than an
// account has (L-34).
func TestPlacesInOneBlock(t *testing.T) {
	w, first := crowded(t, 600, 10, "mallory")
	w2 := func(name string, from, to int) (commands []exchange.Command) {
		for i := from; i < to; i++ {
			commands = append(commands, w.Command(name, &exchange.Transfer{To: Address("alice"), Asset: first + asset.ID(i), Amount: 1}))
		}
		return commands
	}
	if codes := tally(w, w2("mallory", 0, 600)); codes[exchange.OK] != 600 {
		t.Fatal(codes)
	}
	// Others that alice has not: 500 new ones in one block, for which 424 places are left.
	var commands []exchange.Command
	for i := range 500 {
		commands = append(commands, w.Command("issuer", &exchange.Issue{Symbol: fmt.Sprintf("Y%d", i), MaxSupply: 9}))
	}
	if codes := tally(w, commands); codes[exchange.OK] != 500 {
		t.Fatal(codes)
	}
	commands = commands[:0]
	for i := range 500 {
		commands = append(commands, w.Command("issuer", &exchange.Mint{Asset: first + asset.ID(600+i), Amount: 9, To: Address("alice")}))
	}
	if codes := tally(w, commands); codes[exchange.OK] != 424 || codes[exchange.TooManyBalances] != 76 {
		t.Error(codes)
	}
	if got := places(w, "alice"); got != ledger.MaxBalances {
		t.Errorf("alice has %d places", got)
	}
	if err := w.State.Check(); err != nil {
		t.Error(err)
	}
}

// TestPlacesOfEscrows: what open escrows may bring has its place, for payee and
// payer, so that claims and refunds always land (L-34, E-1).
func TestPlacesOfEscrows(t *testing.T) {
	w, first := crowded(t, 1020, 10, "mallory", "judy")
	secret := [32]byte{1}
	lock := func(name string, i int) exchange.Command {
		return w.Command(name, &exchange.Lock{
			Payee: Address("alice"), Asset: first + asset.ID(i), Amount: 10, Hash: sha256.Sum256(secret[:]), Deadline: w.Time + 50_000,
		})
	}
	w.Fund(EUR, 1_000*Coin, "alice")
	w.Fund(BTC, Coin, "alice")
	w.Fund(LTC, Coin, "alice")
	var commands []exchange.Command
	for i := range 1000 {
		commands = append(commands, lock("mallory", i))
	}
	if codes := tally(w, commands); codes[exchange.OK] != 1000 {
		t.Fatal(codes)
	}
	// Mallory's balances are gone, but not their places: she can be given no more than before.
	if got := places(w, "mallory"); got != 1021 {
		t.Errorf("mallory has %d places", got)
	}
	commands = commands[:0]
	for i := range 1020 { // 1,000 of them alice is promised already
		if i < 500 || i >= 1000 {
			commands = append(commands, lock("judy", i))
		}
	}
	if codes := tally(w, commands); codes[exchange.OK] != 520 || places(w, "alice") != 1023 {
		t.Fatal(codes, places(w, "alice"))
	}
	clone(t, w.State)
	w.Do("issuer", &exchange.Issue{Symbol: "ONE", MaxSupply: 9})
	w.Do("issuer", &exchange.Issue{Symbol: "TWO", MaxSupply: 9})
	one := first + 1020
	if code := w.Do("issuer", &exchange.Mint{Asset: one, Amount: 1, To: Address("alice")}); code != exchange.OK {
		t.Errorf("the last place: %s", code)
	}
	if code := w.Do("issuer", &exchange.Mint{Asset: one + 1, Amount: 1, To: Address("alice")}); code != exchange.TooManyBalances {
		t.Errorf("one too many: %s", code)
	}
	// All claims of mallory's escrows; judy's go back when they are due.
	commands = commands[:0]
	for id := range uint64(1000) {
		commands = append(commands, w.Command("alice", &exchange.Claim{Escrow: id + 1, Preimage: secret[:]}))
	}
	if codes := tally(w, commands); codes[exchange.OK] != 1000 || places(w, "alice") != 1024 {
		t.Error(codes, places(w, "alice"))
	}
	w.Time += 50_000
	w.Block()
	if got := places(w, "alice"); got != 1004 {
		t.Errorf("alice has %d places when the others went back", got)
	}
	if got := w.Available("judy", first); got != 10 {
		t.Errorf("judy has %d back", got)
	}
	if err := w.State.Check(); err != nil {
		t.Error(err)
	}
	clone(t, w.State)
}

// TestPlacesOfOrders: others cannot keep an account from trading by filling its
// places, and what its orders may bring counts (L-34).
func TestPlacesOfOrders(t *testing.T) {
	w, _ := crowded(t, ledger.MaxBalances-1, 1, "alice") // and EUR
	w.Fund(BTC, 10*Coin, "bob")
	if got := places(w, "alice"); got != ledger.MaxBalances {
		t.Fatal(got)
	}
	if code := w.Do("alice", limit(market.Buy, 50_000e8, Coin, "x")); code != exchange.OK {
		t.Fatalf("an order of its own: %s", code)
	}
	if got := places(w, "alice"); got != ledger.MaxBalances+1 {
		t.Errorf("%d places with the order", got)
	}
	clone(t, w.State)
	if code := w.Do("bob", &exchange.Transfer{To: Address("alice"), Asset: BTC, Amount: Coin}); code != exchange.OK {
		t.Errorf("an asset that has its place: %s", code)
	}
	if code := w.Do("issuer", &exchange.Mint{Asset: LTC, Amount: Coin, To: Address("alice")}); code != exchange.TooManyBalances {
		t.Errorf("an asset that has none: %s", code)
	}
	if code := w.Do("alice", &exchange.Amend{Target: exchange.Target{Client: "x"}, Price: 49_000e8, Quantity: Coin}); code != exchange.OK {
		t.Errorf("amended: %s", code)
	}
	oco := &exchange.PlaceOCO{Market: BTCEUR, Side: market.Buy, Quantity: Coin, Limit: 40_000e8, Trigger: 60_000e8, Price: 61_000e8}
	if code := w.Do("alice", oco); code != exchange.OK {
		t.Errorf("a pair: %s", code)
	}
	if code := w.Do("bob", limit(market.Sell, 49_000e8, Coin, "")); code != exchange.OK {
		t.Error(code)
	}
	if code := w.Do("alice", &exchange.CancelAll{}); code != exchange.OK || w.State.Markets().Len() != 0 {
		t.Error(code)
	}
	if got := places(w, "alice"); got != ledger.MaxBalances+1 || w.Available("alice", BTC) != 2*Coin-Coin/1000 {
		t.Errorf("%d places and %d BTC", got, w.Available("alice", BTC))
	}
	if err := w.State.Check(); err != nil {
		t.Error(err)
	}
}
