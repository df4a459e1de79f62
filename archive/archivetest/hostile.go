package archivetest

import (
	"strings"
	"testing"

	"souk/archive"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
)

// Hostile are texts that whoever has an account may put into memos and, where they are
// printable ASCII, into client order ids.
func Hostile() (memos, clients []string) {
	memos = []string{
		"a\x00b", "\x00", "'); DROP TABLE events; --", `\'; DROP TABLE events; --`, "\n\\! touch /tmp/x\n", "\\.\n", "${x}$1 ? :a @b %s %d", "\u202e\ufeff\uffff\U0010ffff",
		"\r\n,\"", "=1+1", "\t=1", strings.Repeat("\U0001f4a9", 32),
	}
	clients = []string{"=1+1", "+1", "-1", "@SUM(A1)", `';DROP`, `\`, `"`, "=HYPERLINK(\"http://x\")", "%s", "?"}
	return memos, clients
}

// FillHostile makes an archive of blocks with such texts.
func FillHostile(t testing.TB, p Place) Store {
	t.Helper()
	w := exchangetest.New(1)
	a := open(t, p, &History{Founding: w.State.Founding(), State: w.State})
	alice := exchangetest.Address("alice")
	memos, clients := Hostile()
	height := uint64(0)
	block := func(what string, e exchange.Event) {
		b := &archive.Block{Height: height + 1, Time: exchangetest.Founded + height, Events: []exchange.Event{e}}
		if err := a.Write(t.Context(), height, []*archive.Block{b}); err != nil {
			t.Fatalf("%q: %v", what, err)
		}
		height++
	}
	for _, memo := range memos {
		block(memo, exchange.Event{Kind: exchange.EventTransfer, Account: alice, Other: exchangetest.Address("bob"), Asset: 1, Amount: 1, Memo: memo})
	}
	for i, client := range clients {
		block(client, exchange.Event{Kind: exchange.EventOrderOpened, Account: alice, Market: 1, Order: &market.Order{
			ID: market.OrderID(i + 1), Market: 1, Side: market.Buy, Kind: market.LimitOrder, TIF: market.GTC, Status: market.Resting, Price: 100,
			Quantity: 1, Client: client, Placed: height + 1,
		}})
	}
	return a
}

// hostile: texts of traders are kept, whatever is in them, and stop nothing (G-39).
func hostile(t *testing.T, p Place) {
	all := strings.Join(Dump(t, FillHostile(t, p)), "\n")
	memos, clients := Hostile()
	for _, text := range append(memos, clients...) {
		if !strings.Contains(all, strings.ReplaceAll(text, "\x00", "\uFFFD")) {
			t.Errorf("%q is not in the archive", text)
		}
	}
}
