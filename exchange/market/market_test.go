package market_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"souk/asset"
	"souk/exchange/market"
	"souk/merkle"
)

// TestCreate is M-1, M-2 and M-4.
func TestCreate(t *testing.T) {
	t.Parallel()
	good := market.Terms{Tick: 5, Lot: 10, MinNotional: 1, MakerPPM: 100_000, TakerPPM: 100_000, ReservePPM: 1_000_000, BandPPM: 10_000_000, Reference: 100}
	s := market.NewState()
	if id, code := s.Create(1, 2, 8, good); id != 1 || code != market.OK {
		t.Fatalf("Create: %d, %d", id, code)
	}
	if id, code := s.Create(2, 1, 18, good); id != 2 || code != market.OK {
		t.Fatalf("the other way round: %d, %d", id, code)
	}
	if _, code := s.Create(1, 2, 8, good); code != market.DuplicateMarket {
		t.Fatalf("the pair again: %d", code)
	}
	for name, spoil := range map[string]func(*market.Terms){
		"no tick":           func(m *market.Terms) { m.Tick = 0 },
		"no lot":            func(m *market.Terms) { m.Lot = 0 },
		"lot too large":     func(m *market.Terms) { m.Lot = 1 << 63 },
		"maker fee":         func(m *market.Terms) { m.MakerPPM++ },
		"taker fee":         func(m *market.Terms) { m.TakerPPM++ },
		"reserve":           func(m *market.Terms) { m.ReservePPM++ },
		"band":              func(m *market.Terms) { m.BandPPM++ },
		"minimum":           func(m *market.Terms) { m.MinNotional = 1 << 63 },
		"no reference":      func(m *market.Terms) { m.Reference = 0 },
		"reference on tick": func(m *market.Terms) { m.Reference = 102 },
		"reference":         func(m *market.Terms) { m.Reference = 5 << 60 },
		"tick":              func(m *market.Terms) { m.Tick, m.Reference = 1<<62, 1<<62 },
	} {
		bad := good
		spoil(&bad)
		if _, code := s.Create(3, 4, 8, bad); code != market.BadMarket {
			t.Errorf("%s: code %d", name, code)
		}
	}
	for _, p := range [][2]asset.ID{{0, 1}, {1, 0}, {3, 3}} {
		if _, code := s.Create(p[0], p[1], 8, good); code != market.BadMarket {
			t.Errorf("pair %v: code %d", p, code)
		}
	}
	if _, code := s.Create(3, 4, 19, good); code != market.BadMarket {
		t.Errorf("19 decimals: code %d", code)
	}

	changed := 0
	count := func(merkle.Key, []byte) { changed++ }
	s.Changes(count)
	if changed != 3 {
		t.Errorf("%d leaves of two new markets and the counters", changed)
	}
	if c := s.SetFees(2, 1, 2, 3); c != market.OK {
		t.Errorf("SetFees: %d", c)
	}
	if c := s.SetBand(2, 7); c != market.OK {
		t.Errorf("SetBand: %d", c)
	}
	if a, b, c := s.SetFees(2, 100_001, 2, 3), s.SetBand(2, 10_000_001), s.SetBand(3, 1); a != market.BadMarket || b != market.BadMarket || c != market.UnknownMarket {
		t.Errorf("bad settings: %d, %d, %d", a, b, c)
	}
	m, ok := s.Market(2)
	good.MakerPPM, good.TakerPPM, good.ReservePPM, good.BandPPM = 1, 2, 3, 7
	if want := (market.Market{ID: 2, Base: 2, Quote: 1, BaseDecimals: 18, Terms: good}); !ok || m != want {
		t.Errorf("market 2 is %+v, want %+v", m, want)
	}
	if _, ok := s.Market(3); ok {
		t.Error("there is no market 3")
	}
	if all := s.Markets(nil); len(all) != 2 || all[1] != m {
		t.Errorf("Markets: %+v", all)
	}
	changed = 0
	s.Changes(count)
	if changed != 1 {
		t.Errorf("%d leaves of one changed market", changed)
	}
	s.SetOrderLimit(200)
	s.SetOrderLimit(7)
	changed = 0
	s.Changes(count)
	if changed != 1 || s.OrderLimit() != 7 {
		t.Errorf("%d leaves changed, limit %d", changed, s.OrderLimit())
	}
}

// TestCheckExtremes is what random orders hardly ever hit of M-8 to M-11.
func TestCheckExtremes(t *testing.T) {
	t.Parallel()
	const top = 1<<63 - 1
	w := newWorld(t, market.Terms{Tick: 1, Lot: 1, Reference: 1}, 0)
	limit := market.New{Owner: 1, Side: market.Buy, Kind: market.LimitOrder, TIF: market.GTC, Price: 1, Quantity: 1}
	byQuote := market.New{Owner: 1, Side: market.Sell, Kind: market.MarketOrder, TIF: market.IOC, Price: 1, Quote: 1}
	for k, c := range []struct {
		name string
		n    market.New
		do   func(n *market.New)
		code market.Code
	}{
		{"most lots", limit, func(n *market.New) { n.Quantity = market.MaxLots }, market.OK},
		{"too many lots", limit, func(n *market.New) { n.Quantity = market.MaxLots + 1 }, market.Overflow},
		{"too many units", limit, func(n *market.New) { n.Quantity = 1 << 63 }, market.Overflow},
		{"most value", limit, func(n *market.New) { n.Price, n.Quantity = 1<<23, market.MaxLots }, market.OK},
		{"too much value", limit, func(n *market.New) { n.Price, n.Quantity = 1<<24, market.MaxLots }, market.Overflow},
		{"too much value of a sell", limit, func(n *market.New) { n.Side, n.Price, n.Quantity = market.Sell, 1<<24, market.MaxLots }, market.Overflow},
		{"highest price", limit, func(n *market.New) { n.Price = market.MaxPrice }, market.OK},
		{"too high a price", limit, func(n *market.New) { n.Price = market.MaxPrice + 1 }, market.BadTick},
		{"no price", limit, func(n *market.New) { n.Price = 0 }, market.BadTick},
		{"nothing", limit, func(n *market.New) { n.Quantity = 0 }, market.BadLot},
		{"both amounts", byQuote, func(n *market.New) { n.Quantity = 1 }, market.BadKind},
		{"limit by quote", limit, func(n *market.New) { n.Quantity, n.Quote = 0, 1 }, market.BadKind},
		{"sell for all the lots", byQuote, func(n *market.New) { n.Quote = market.MaxLots }, market.OK},
		{"sell for more", byQuote, func(n *market.New) { n.Quote = market.MaxLots + 1 }, market.Overflow},
		{"buy for all", byQuote, func(n *market.New) { n.Side, n.Quote = market.Buy, top }, market.OK},
		{"buy for more", byQuote, func(n *market.New) { n.Side, n.Quote = market.Buy, top+1 }, market.Overflow},
		{"sell for less than a lot", byQuote, func(n *market.New) { n.Price = 2 }, market.BadLot},
		{"no side", limit, func(n *market.New) { n.Side = 0 }, market.BadKind},
		{"third side", limit, func(n *market.New) { n.Side = 3 }, market.BadKind},
		{"no kind", limit, func(n *market.New) { n.Kind = 0 }, market.BadKind},
		{"no time in force", limit, func(n *market.New) { n.TIF = 0 }, market.BadKind},
		{"trigger of a limit", limit, func(n *market.New) { n.Trigger = 1 }, market.BadTrigger},
		{"stop without trigger", limit, func(n *market.New) { n.Kind = market.StopOrder }, market.BadTrigger},
	} {
		n := c.n
		n.Owner = market.Owner(k)
		c.do(&n)
		if _, code := w.place(n); code != c.code {
			t.Errorf("%s: code %d, want %d", c.name, code, c.code)
		}
	}
	w.auction()
	w.m = nil
	for client, code := range map[string]market.Code{
		"with space": market.BadClient, "umläut": market.BadClient, "tab\t": market.BadClient,
		strings.Repeat("x", 37): market.BadClient, strings.Repeat("~", 36): market.OK, "!": market.OK,
	} {
		n := limit
		n.Client = client
		if _, got := w.place(n); got != code {
			t.Errorf("client %q: code %d, want %d", client, got, code)
		}
	}
	n := limit
	n.Market = 2
	if _, code := w.s.Check(&n, 0); code != market.UnknownMarket {
		t.Errorf("market 2: code %d", code)
	}
	w.auction()
}

// TestHuge lets the largest orders meet, so that every product and sum gets as
// long as it can (M-9).
func TestHuge(t *testing.T) {
	t.Parallel()
	for dec := range uint8(19) {
		w := newWorld(t, market.Terms{Tick: 1, Lot: 1 << 20, MakerPPM: 100_000, TakerPPM: 100_000, Reference: 1 << 61}, dec)
		for k := range 6 {
			for _, p := range []asset.Price{1, 1 << 20, 1 << 40, market.MaxPrice} {
				for _, q := range []asset.Amount{1 << 20, 1 << 40, 1 << 59} {
					n := market.New{Owner: market.Owner(k), Side: market.Side(1 + k%2), Kind: market.LimitOrder, TIF: market.GTC, Price: p, Quantity: q}
					if k == 5 {
						n = market.New{Owner: 9, Side: market.Buy, Kind: market.MarketOrder, TIF: market.IOC, Price: p, Quote: q}
					}
					w.place(n)
				}
			}
			w.auction()
		}
		if _, err := restore(leaves(w.s)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPairRefused is what the legs of a pair must have in common (M-62).
func TestPairRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, small, 0)
	limit := market.New{Owner: 1, Market: 1, Side: market.Sell, Kind: market.LimitOrder, TIF: market.GTC, Price: 110, Quantity: 5, Client: "a"}
	stop := market.New{Owner: 1, Market: 1, Side: market.Sell, Kind: market.StopOrder, TIF: market.GTC, Price: 80, Trigger: 90, Quantity: 5, Client: "b"}
	for name, c := range map[string]struct {
		do   func(limit, stop *market.New)
		code market.Code
	}{
		"fine":           {func(_, _ *market.New) {}, market.OK},
		"owner":          {func(_, s *market.New) { s.Owner = 2 }, market.BadPair},
		"side":           {func(_, s *market.New) { s.Side = market.Buy }, market.BadPair},
		"quantity":       {func(_, s *market.New) { s.Quantity = 6 }, market.BadPair},
		"expiry":         {func(_, s *market.New) { s.TIF, s.Expiry = market.GTD, 9_999 }, market.BadPair},
		"two limits":     {func(l, s *market.New) { *s = *l; s.Client = "b" }, market.BadPair},
		"two stops":      {func(l, s *market.New) { *l = *s; l.Client = "a" }, market.BadPair},
		"take-profit":    {func(_, s *market.New) { s.Kind = market.TakeProfitOrder }, market.BadPair},
		"IOC":            {func(l, _ *market.New) { l.TIF = market.IOC }, market.BadPair},
		"same client id": {func(l, s *market.New) { s.Client = l.Client }, market.DuplicateClient},
		"bad limit":      {func(l, _ *market.New) { l.Price = 0 }, market.BadTick},
		"bad stop":       {func(_, s *market.New) { s.Trigger = 0 }, market.BadTrigger},
	} {
		l, s := limit, stop
		c.do(&l, &s)
		if _, code := w.s.CheckPair(&l, &s, w.now); code != c.code {
			t.Errorf("%s: code %d, want %d", name, code, c.code)
		}
	}
	w.s.SetOrderLimit(1)
	if _, code := w.s.CheckPair(&limit, &stop, w.now); code != market.TooManyOrders {
		t.Errorf("a pair where one may rest: code %d", code)
	}
}

// TestReading is about what one can ask between blocks.
func TestReading(t *testing.T) {
	t.Parallel()
	w := newWorld(t, small, 0)
	w.m = nil
	if id, code := w.s.Create(3, 2, 0, small); id != 2 || code != market.OK {
		t.Fatal(id, code)
	}
	var ids []market.OrderID
	for k := range 10 {
		side := market.Side(1 + k%2)
		n := market.New{Owner: market.Owner(1 + k%3), Side: side, Kind: market.LimitOrder, TIF: market.GTC, Quantity: 5, Client: fmt.Sprint(k)}
		n.Price = 101 + price(uint64(k))
		if side == market.Buy {
			n.Price = 100 - price(uint64(k))
		}
		id, code := w.place(n)
		if code != market.OK {
			t.Fatal(code)
		}
		ids = append(ids, id)
	}
	other := market.New{Market: 2, Owner: 1, Side: market.Buy, Kind: market.LimitOrder, TIF: market.GTC, Price: 99, Quantity: 5}
	if _, code := w.s.Check(&other, 0); code != market.OK {
		t.Fatal(code)
	}
	ids = append(ids, w.s.Stage(&other, 1, 0))
	if got := w.s.Staged(nil); !slices.Equal(got, []market.ID{1, 2}) {
		t.Errorf("Staged: %v", got)
	}
	if o, ok := w.s.Order(ids[0]); !ok || o.Status != market.Staged {
		t.Errorf("a staged order: %+v", o)
	}
	if _, ok := w.s.Leaf(market.OrderKey(ids[0])); ok {
		t.Error("a staged order has a leaf")
	}
	for _, id := range w.s.Staged(nil) {
		w.s.Auction(id, w.seed, 1, &w.out)
	}
	w.s.Auction(1, w.seed, 1, &w.out) // nothing is staged
	w.s.Auction(7, w.seed, 1, &w.out) // nor is there such a market
	want := []market.OrderID{ids[0], ids[3], ids[6], ids[9], ids[10]}
	if got := w.s.Owned(nil, 1); !slices.Equal(got, want) {
		t.Errorf("Owned: %v, want %v", got, want)
	}
	if got := w.s.OwnedIn(nil, 1, 2); !slices.Equal(got, want[4:]) {
		t.Errorf("OwnedIn: %v", got)
	}
	if got := w.s.Owned(nil, 8); got != nil {
		t.Errorf("Owned by nobody: %v", got)
	}
	if id, ok := w.s.ByClient(2, "4"); !ok || id != ids[4] {
		t.Errorf("ByClient: %d", id)
	}
	if _, ok := w.s.ByClient(3, "4"); ok {
		t.Error("somebody else's client id")
	}
	bid, okBid := w.s.Best(1, market.Buy)
	ask, okAsk := w.s.Best(1, market.Sell)
	if bid != 100 || ask != 102 || !okBid || !okAsk {
		t.Errorf("best %d and %d", bid, ask)
	}
	for _, c := range []struct {
		id   market.ID
		side market.Side
	}{{2, market.Sell}, {3, market.Buy}, {1, 0}} {
		if _, ok := w.s.Best(c.id, c.side); ok {
			t.Errorf("Best(%d, %d)", c.id, c.side)
		}
	}
	if got := w.s.Depth(nil, 1, market.Sell, 2); !slices.Equal(got, []market.Level{{Price: 102, Quantity: 5, Orders: 1}, {Price: 104, Quantity: 5, Orders: 1}}) {
		t.Errorf("Depth: %+v", got)
	}
	for _, c := range []struct {
		id    market.ID
		side  market.Side
		price asset.Price
		want  asset.Amount
	}{{1, market.Sell, 102, 5}, {1, market.Sell, 104, 5}, {1, market.Sell, 103, 0}, {1, market.Buy, 102, 0}, {1, 0, 102, 0}, {4, market.Sell, 102, 0}} {
		if got := w.s.Quantity(c.id, c.side, c.price); got != c.want {
			t.Errorf("Quantity(%d, %d, %d): %d, want %d", c.id, c.side, c.price, got, c.want)
		}
	}
	if got := w.s.Depth(nil, 4, market.Sell, 2); got != nil {
		t.Errorf("Depth of no market: %+v", got)
	}
	for o := range w.s.Orders() {
		if o.ID != 1 {
			t.Errorf("the first order is %d", o.ID)
		}
		break
	}
	if !w.s.Withdraw(ids[10], &w.out) || w.out.Closed[0].Why != market.Withdrawn || w.s.Len() != 10 {
		t.Errorf("Withdraw: %+v", w.out.Closed)
	}
}
