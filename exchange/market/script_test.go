package market_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"souk/asset"
	"souk/exchange/market"
)

// TestScripts runs the examples of docs/spec/04-market.md and more, written as a
// trader would tell them. Every step is compared with the naive model as well.
//
//	market base=BTC/8 quote=EUR/2 tick=0.01 lot=0.0001 ...   a fresh market
//	block                                                    one block of orders
//	a1: alice buys 1 at 50000 gtd 3 post-only                limit order a1, to the time of block 3
//	b1: bob sells 1 at market, worst 49000                   market order
//	b2: bob buys at market for 1000, worst 51000             market order by quote amount
//	c1: carol sells 1 stop 49000, worst 48000                stop; also stop-limit, take-profit, take-profit-limit
//	d1,d2: dave sells 1 oco 52000 or stop 49000, worst 48000 OCO pair
//	cancel a1 / reduce a1 to 0.5 / pause / resume / nonce of the next order: #7
//	book                                                     the book, best prices in the middle
//	holds                                                    what every order holds
//	house                                                    fees and dust
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var sc *script
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "market" {
				sc = newScript(t, d)
				return ""
			}
			sc.w.t, sc.d, sc.text = t, d, &strings.Builder{}
			switch d.Cmd {
			case "block":
				sc.block()
			case "book":
				sc.book()
			case "holds":
				sc.holds()
			case "house":
				sc.house()
			default:
				d.Fatalf(t, "unknown command %q", d.Cmd)
			}
			return sc.text.String()
		})
	})
}

// TestExamples holds the specification to its promise that every example is a script.
func TestExamples(t *testing.T) {
	text, err := os.ReadFile("../../docs/spec/04-market.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`([a-z-]+\\.txt)`").FindAllSubmatch(text, -1)
	if len(names) < 10 {
		t.Fatalf("found %d examples", len(names))
	}
	for _, m := range names {
		if _, err := os.Stat("testdata/" + string(m[1])); err != nil {
			t.Error(err)
		}
	}
}

type script struct {
	w           *world
	d           *datadriven.TestData
	text        *strings.Builder
	base, quote unit
	owners      map[string]market.Owner
	ids         map[string]market.OrderID
	labels      map[market.OrderID]string
	nonce       uint64
	terms       bool // says what inner crosses came to
}

// unit is an asset's symbol and decimals.
type unit struct {
	symbol   string
	decimals uint8
}

func (u unit) format(a asset.Amount) string {
	s := asset.Format(a, u.decimals)
	if u.decimals > 0 {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s + " " + u.symbol
}

func newScript(t *testing.T, d *datadriven.TestData) *script {
	sc := &script{
		d: d, owners: map[string]market.Owner{}, ids: map[string]market.OrderID{}, labels: map[market.OrderID]string{},
	}
	arg := func(key, byDefault string) string {
		for _, a := range d.CmdArgs {
			if a.Key == key {
				return a.Vals[0]
			}
		}
		return byDefault
	}
	symbol := func(s string) unit {
		name, dec, _ := strings.Cut(s, "/")
		n, err := strconv.Atoi(dec)
		if err != nil {
			d.Fatalf(t, "%s: %v", s, err)
		}
		return unit{name, uint8(n)}
	}
	sc.base, sc.quote = symbol(arg("base", "BTC/8")), symbol(arg("quote", "EUR/2"))
	ppm := func(s string) uint32 { return uint32(sc.number(t, strings.TrimSuffix(s, "%"), 4)) }
	terms := market.Terms{
		Tick: asset.Price(sc.number(t, arg("tick", "0.01"), sc.quote.decimals)), Lot: sc.number(t, arg("lot", "0.0001"), sc.base.decimals),
		MinNotional: sc.number(t, arg("min", "0"), sc.quote.decimals), Reference: asset.Price(sc.number(t, arg("reference", "50000"), sc.quote.decimals)),
		MakerPPM: ppm(arg("maker", "0%")), TakerPPM: ppm(arg("taker", "0%")), BandPPM: ppm(arg("band", "0%")),
	}
	sc.w = newWorld(t, terms, sc.base.decimals)
	sc.terms = arg("terms", "no") == "yes"
	if limit := arg("limit", ""); limit != "" {
		n := uint32(sc.number(t, limit, 0))
		sc.w.s.SetOrderLimit(n)
		sc.w.m.limit = int(n)
	}
	return sc
}

func (sc *script) number(t testing.TB, s string, decimals uint8) asset.Amount {
	a, err := asset.Parse(s, decimals)
	if err != nil {
		sc.d.Fatalf(t, "%v", err)
	}
	return a
}

func (sc *script) printf(format string, args ...any) { fmt.Fprintf(sc.text, format+"\n", args...) }

// at is a price in the quote asset.
func (sc *script) at(p asset.Price) string {
	s, _, _ := strings.Cut(sc.quote.format(asset.Amount(p)), " ")
	return s
}

func (sc *script) block() {
	w := sc.w
	w.now = w.height * 1000
	w.out.Reset()
	w.read = market.Result{}
	w.open()
	for _, id := range w.out.Triggered {
		sc.printf("%s triggers", sc.labels[id])
	}
	for line := range strings.Lines(sc.d.Input) {
		sc.line(strings.TrimSpace(line))
	}
	told := len(w.out.Closed)
	for _, c := range w.out.Closed {
		sc.closed(c)
	}
	w.auction()
	for _, a := range w.out.Auctions {
		sc.cross(a)
	}
	for _, f := range w.out.Fills {
		sc.fill(f)
	}
	for _, c := range w.out.Closed[told:] {
		sc.closed(c)
	}
	for _, id := range w.out.Rested {
		o, _ := w.s.Order(id)
		sc.printf("%s rests: %s at %s", sc.labels[id], sc.base.format(o.Remaining()), sc.at(o.Price))
	}
}

func (sc *script) closed(c market.Closed) {
	why := map[market.Reason]string{
		market.Filled: "filled", market.Cancelled: "cancelled", market.Withdrawn: "withdrawn", market.Expired: "expired",
		market.Remainder: "rest cancelled", market.Killed: "killed", market.WouldTake: "would take", market.SelfTrade: "cancelled, own order came",
		market.SelfCross: "cancelled, crosses own order", market.Linked: "cancelled with its other leg",
	}[c.Why]
	u := sc.base
	if c.Release.Asset == quoteAsset {
		u = sc.quote
	}
	sc.printf("%s ends: %s, releases %s", sc.labels[c.Order.ID], why, u.format(c.Release.Amount))
}

// cross says what an inner cross came to, where the script asks for it.
func (sc *script) cross(a market.Auction) {
	if !sc.terms || a.Price == 0 {
		return
	}
	m, _ := sc.w.s.Market(1)
	lots := func(n uint64) string { return sc.base.format(asset.Amount(n) * m.Lot) }
	sc.printf("inner cross at %s: volume %s, demand %s, supply %s, reference %s", sc.at(a.Price), lots(a.Volume), lots(a.Demand), lots(a.Supply), sc.at(a.Reference))
}

func (sc *script) fill(f market.Fill) {
	buy, sell := f.Taker, f.Maker
	if f.TakerSide == market.Sell {
		buy, sell = f.Maker, f.Taker
	}
	inner := ""
	if f.Inner {
		inner = " (inner cross)"
	}
	fee := func(u unit, a asset.Amount) string {
		if a == 0 {
			return ""
		}
		return ", fee " + u.format(a)
	}
	sc.printf("%s buys %s from %s at %s%s", sc.labels[buy], sc.base.format(f.Quantity), sc.labels[sell], sc.at(f.Price), inner)
	released := ""
	if f.BuyerReleased > 0 {
		released = ", " + sc.quote.format(f.BuyerReleased) + " set free"
	}
	sc.printf("  %s pays %s%s%s; %s gets %s%s", sc.labels[buy], sc.quote.format(f.BuyerPaid), released, fee(sc.base, f.BuyerFee),
		sc.labels[sell], sc.quote.format(f.SellerGot), fee(sc.quote, f.SellerFee))
}

var codeText = map[market.Code]string{
	market.Paused: "paused", market.BadTick: "price off tick", market.BadLot: "quantity off lot", market.BelowMinNotional: "below minimum",
	market.OutsideBand: "outside band", market.BadKind: "parts do not go together", market.DuplicateClient: "client id in use",
	market.TooManyFOK: "one fill-or-kill per block", market.BadExpiry: "bad expiry", market.BadTrigger: "bad trigger", market.Overflow: "too large",
	market.TooManyOrders: "too many orders", market.BadPair: "legs do not go together", market.BadReduce: "not a reduction",
	market.UnknownOrder: "no such order",
}

// line is one line of a block.
func (sc *script) line(line string) {
	w := sc.w
	label, rest, isOrder := strings.Cut(line, ": ")
	switch words := strings.Fields(line); {
	case isOrder:
		sc.order(label, rest)
	case words[0] == "cancel":
		if !w.cancel(sc.ids[words[1]], market.Cancelled) {
			sc.printf("%s: no such order", words[1])
		}
	case words[0] == "withdraw":
		w.cancel(sc.ids[words[1]], market.Withdrawn)
	case words[0] == "reduce":
		o, _ := w.s.Order(sc.ids[words[1]])
		code := w.reduce(sc.ids[words[1]], uint64(sc.number(w.t, words[3], sc.base.decimals)))
		if code != market.OK {
			sc.printf("%s: %s", words[1], codeText[code])
			return
		}
		now, _ := w.s.Order(o.ID)
		u := sc.base
		if o.Side == market.Buy {
			u = sc.quote
		}
		sc.printf("%s is %s now, releases %s", words[1], sc.base.format(now.Quantity), u.format(o.Hold.Amount-now.Hold.Amount))
	case words[0] == "pause", words[0] == "resume":
		w.m.paused = words[0] == "pause"
		w.s.SetPaused(1, w.m.paused)
	default:
		sc.d.Fatalf(w.t, "cannot read %q", line)
	}
}

// order reads and places an order.
func (sc *script) order(label, text string) {
	w := sc.w
	words := strings.Fields(strings.ReplaceAll(text, ",", ""))
	next := func() string {
		if len(words) == 0 {
			sc.d.Fatalf(w.t, "%q ends too early", text)
		}
		word := words[0]
		words = words[1:]
		return word
	}
	price := func() asset.Price { return asset.Price(sc.number(w.t, next(), sc.quote.decimals)) }
	sc.nonce++
	n := market.New{Kind: market.LimitOrder, TIF: market.GTC, Nonce: sc.nonce}
	who := next()
	if _, known := sc.owners[who]; !known {
		sc.owners[who] = market.Owner(len(sc.owners) + 1)
	}
	n.Owner = sc.owners[who]
	n.Side = map[string]market.Side{"buys": market.Buy, "sells": market.Sell}[next()]
	if len(words) > 0 && words[0][0] >= '0' && words[0][0] <= '9' {
		n.Quantity = sc.number(w.t, next(), sc.base.decimals)
	}
	stop := n
	pair := false
	for len(words) > 0 {
		switch word := next(); word {
		case "at":
			if words[0] == "market" {
				next()
				n.Kind, n.TIF = market.MarketOrder, market.IOC
			} else {
				n.Price = price()
			}
		case "for":
			n.Quote = sc.number(w.t, next(), sc.quote.decimals)
		case "worst", "limit":
			if pair {
				stop.Price = price()
			} else {
				n.Price = price()
			}
		case "stop", "stop-limit", "take-profit", "take-profit-limit":
			kind := map[string]market.Kind{
				"stop": market.StopOrder, "stop-limit": market.StopLimitOrder,
				"take-profit": market.TakeProfitOrder, "take-profit-limit": market.TakeProfitLimitOrder,
			}[word]
			if pair {
				stop.Kind, stop.Trigger = kind, price()
			} else {
				n.Kind, n.Trigger = kind, price()
			}
		case "oco":
			pair, n.Price = true, price()
		case "or":
		case "ioc":
			n.TIF = market.IOC
		case "fok":
			n.TIF = market.FOK
		case "gtd":
			n.TIF, n.Expiry = market.GTD, 1000*uint64(sc.number(w.t, next(), 0))
			stop.TIF, stop.Expiry = n.TIF, n.Expiry
		case "post-only":
			n.PostOnly = true
		case "as":
			n.Client = next()
		default:
			if nonce, ok := strings.CutPrefix(word, "#"); ok {
				n.Nonce = uint64(sc.number(w.t, nonce, 0))
				continue
			}
			sc.d.Fatalf(w.t, "cannot read %q of %q", word, text)
		}
	}
	if pair {
		sc.pair(label, n, stop)
		return
	}
	id, code := w.place(n)
	if code != market.OK {
		sc.printf("%s: %s", label, codeText[code])
		return
	}
	sc.ids[label], sc.labels[id] = id, label
}

func (sc *script) pair(label string, limit, stop market.New) {
	a, b, code := sc.w.placePair(limit, stop)
	if code != market.OK {
		sc.printf("%s: %s", label, codeText[code])
		return
	}
	first, second, _ := strings.Cut(label, ",")
	sc.ids[first], sc.labels[a] = a, first
	sc.ids[second], sc.labels[b] = b, second
}

func (sc *script) book() {
	asks := sc.w.s.Depth(nil, 1, market.Sell, 10)
	for i := len(asks) - 1; i >= 0; i-- {
		sc.printf("sell %10s  %s", sc.at(asks[i].Price), sc.base.format(asks[i].Quantity))
	}
	for _, l := range sc.w.s.Depth(nil, 1, market.Buy, 10) {
		sc.printf("buy  %10s  %s", sc.at(l.Price), sc.base.format(l.Quantity))
	}
	m, _ := sc.w.s.Market(1)
	if m.Last != 0 {
		sc.printf("last %10s", sc.at(m.Last))
	}
}

func (sc *script) holds() {
	for o := range sc.w.s.Orders() {
		u := sc.base
		if o.Side == market.Buy {
			u = sc.quote
		}
		sc.printf("%s holds %s", sc.labels[o.ID], u.format(o.Hold.Amount))
	}
}

func (sc *script) house() {
	sc.printf("fees %s and %s", sc.base.format(amount(uint64(sc.w.fees[baseAsset]))), sc.quote.format(amount(uint64(sc.w.fees[quoteAsset]))))
	sc.printf("dust %s", sc.quote.format(amount(uint64(sc.w.dust))))
}
