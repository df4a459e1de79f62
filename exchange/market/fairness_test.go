package market_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"souk/asset"
	"souk/exchange/market"
	"souk/internal/bulk"
)

// TestFairness measures what someone who sees a block's other orders can gain by
// adding orders of his own, here and in a continuous book whose block he may put
// in any order he likes. It prints the table of docs/market-fairness.md and fails
// if the document shows another one.
func TestFairness(t *testing.T) {
	t.Parallel()
	if bulk.Count(10) < 10 {
		t.Skip("one thread, no races: a long calculation")
	}
	var table strings.Builder
	fmt.Fprintln(&table, "| victims | attacker | continuous: gain | victims lose | batch: gain | victims lose |")
	fmt.Fprintln(&table, "|---|---|---|---|---|---|")
	for _, crowd := range crowds {
		for _, a := range attacks {
			var sum [4]int64 // gain and loss, continuous and batch
			var traded int64
			for seed := range uint64(16) {
				sc := newScene(seed, crowd)
				before := [2]outcome{sc.continuous(nil), sc.batch(t, nil)}
				plans := a.plans(sc)
				for k, play := range []func(*plan) outcome{sc.continuous, func(p *plan) outcome { return sc.batch(t, p) }} {
					best := outcome{}
					var lost int64
					for _, p := range plans {
						if o := play(&p); o.gain > best.gain {
							best, lost = o, o.cost-before[k].cost+(before[k].bought-o.bought)*sc.worst
						}
					}
					sum[2*k] += best.gain
					sum[2*k+1] += lost
				}
				traded += before[1].cost
			}
			row := func(k int) string { return basisPoints(sum[k], traded) }
			fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %s |\n", crowd.name, a.name, row(0), row(1), row(2), row(3))
			if a.batchFree && sum[2] > 0 {
				t.Errorf("%s, %s: gains %d in the batch", crowd.name, a.name, sum[2])
			}
			if sum[2] > sum[0]+sum[0]/10 {
				t.Errorf("%s, %s: gains %d in the batch, only %d in a continuous book", crowd.name, a.name, sum[2], sum[0])
			}
		}
	}
	gone, stayed := snipe(t)
	fmt.Fprintf(&table, "| a maker whose price is stale by 20 ticks; his cancel is in the block | takes the stale order | %s | %s | %s | %s |\n",
		basisPoints(gone, sniped), basisPoints(gone, sniped), basisPoints(stayed, sniped), basisPoints(stayed, sniped))
	if stayed != 0 {
		t.Errorf("a cancelled order was taken for %d", stayed)
	}
	t.Logf("\n%s", table.String())
	doc, err := os.ReadFile("../../docs/market-fairness.md")
	if err != nil || !strings.Contains(string(doc), table.String()) {
		t.Errorf("docs/market-fairness.md shows another table (%v)", err)
	}
}

// basisPoints writes a share of what the victims traded in hundredths of a per cent.
func basisPoints(part, whole int64) string {
	tenths := (part*100_000 + whole/2) / whole
	if part < 0 {
		tenths = -((-part*100_000 + whole/2) / whole)
	}
	sign := ""
	if tenths < 0 {
		sign, tenths = "-", -tenths
	}
	return fmt.Sprintf("%s%d.%d", sign, tenths/10, tenths%10)
}

// crowd is a sort of victims: market buyers with a worst price so many ticks above
// the best ask, and perhaps market sellers in the same block.
type crowd struct {
	name    string
	slack   int64
	buyers  int
	sellers int
}

var crowds = []crowd{
	{"one buyer, worst price 0.1 % away", 10, 1, 0},
	{"one buyer, worst price 0.5 % away", 50, 1, 0},
	{"four buyers, worst price 0.5 % away", 50, 4, 0},
	{"four buyers and four sellers, worst price 0.5 % away", 50, 4, 4},
}

// plan is what the attacker adds: a buy that is to be served before the victims,
// and a sell that they are to find instead.
type plan struct {
	take, takeLimit  int64
	offer, offerAt   int64
	offerWithAccount market.Owner
}

const (
	attacker = 1_000
	helper   = 1_001 // the attacker's second account
)

// attack is a way to choose plans; the best of them counts.
type attack struct {
	name      string
	batchFree bool // must gain nothing in the batch
	plans     func(*scene) []plan
}

var attacks = []attack{
	{"buys ahead, sells in the next block", true, func(sc *scene) (all []plan) {
		for _, q := range sc.sizes() {
			all = append(all, plan{take: q, takeLimit: sc.worst + 1})
		}
		return all
	}},
	{"buys ahead and offers to the victims, one account", false, func(sc *scene) (all []plan) {
		for _, p := range sc.sandwiches(sc.worst + 1) {
			p.offerWithAccount = attacker
			all = append(all, p)
			p.takeLimit = p.offerAt - 1 // so that his two orders do not cross
			all = append(all, p)
		}
		return all
	}},
	{"the same with two accounts", false, func(sc *scene) []plan { return sc.sandwiches(sc.worst + 1) }},
	{"the same, when victims name the highest price allowed", false, func(sc *scene) []plan { return sc.sandwiches(sc.worst) }},
}

// scene is a book and the victims' orders. Prices are in ticks, the middle is
// 10,000, quantities are in lots.
type scene struct {
	asks, bids  []offer // best first
	buys, sells []int64
	best, worst int64
	total       int64
}

type offer struct {
	price, lots int64
	owner       market.Owner
}

func newScene(seed uint64, c crowd) *scene {
	r := rand.New(rand.NewPCG(seed, 11))
	sc := &scene{best: 10_001 + r.Int64N(5)}
	sc.worst = sc.best + c.slack
	for k := range int64(90) {
		owner := market.Owner(100 + k)
		sc.asks = append(sc.asks, offer{sc.best + k, 1 + r.Int64N(20), owner})
		sc.bids = append(sc.bids, offer{20_000 - sc.best - k, 1 + r.Int64N(20), owner})
	}
	for range c.buyers {
		q := 20 + r.Int64N(100)
		sc.buys = append(sc.buys, q)
		sc.total += q
	}
	for range c.sellers {
		sc.sells = append(sc.sells, 20+r.Int64N(100))
	}
	return sc
}

// sizes are quantities an attacker tries: parts of what the victims want.
func (sc *scene) sizes() (all []int64) {
	for k := range int64(5) {
		all = append(all, max(1, sc.total*(k+1)/4))
	}
	return all
}

func (sc *scene) sandwiches(takeLimit int64) (all []plan) {
	for _, q := range sc.sizes() {
		for _, part := range []int64{2, 1} {
			for k := range int64(11) {
				all = append(all, plan{q, takeLimit, max(1, q/part), sc.best + (sc.worst-sc.best)*k/10, helper})
			}
		}
	}
	return all
}

// outcome is what an attacker gained, in ticks times lots, and what the victims
// who buy got and paid.
type outcome struct{ gain, bought, cost int64 }

// unwind values the attacker's position after the block: what he has too much or
// too little he trades in the next block against a book like the one before.
func (sc *scene) unwind(cash, lots int64) int64 {
	for _, b := range sc.bids {
		if q := min(lots, b.lots); q > 0 {
			cash, lots = cash+q*b.price, lots-q
		}
	}
	for _, a := range sc.asks {
		if q := min(-lots, a.lots); q > 0 {
			cash, lots = cash-q*a.price, lots+q
		}
	}
	return cash
}

// continuous plays the block in a price-time book in the order that suits the
// attacker: his buy, his offer, then everybody else.
func (sc *scene) continuous(p *plan) outcome {
	asks := slices.Clone(sc.asks)
	buy := func(lots, limit int64) (got, cost, fromOffer, paidOffer int64) {
		slices.SortStableFunc(asks, func(x, y offer) int { return cmp.Compare(x.price, y.price) })
		for k := range asks {
			q := min(lots-got, asks[k].lots)
			if asks[k].price > limit || q == 0 {
				continue
			}
			asks[k].lots -= q
			got, cost = got+q, cost+q*asks[k].price
			if asks[k].owner >= attacker {
				fromOffer, paidOffer = fromOffer+q, paidOffer+q*asks[k].price
			}
		}
		return got, cost, fromOffer, paidOffer
	}
	var o outcome
	var cash, lots int64
	if p != nil {
		got, cost, _, _ := buy(p.take, p.takeLimit)
		cash, lots = -cost, got
		if p.offer > 0 {
			// At equal prices the attacker's offer stands first: he chose the order.
			asks = append([]offer{{p.offerAt, p.offer, p.offerWithAccount}}, asks...)
		}
	}
	for _, q := range sc.buys {
		got, cost, fromOffer, paid := buy(q, sc.worst)
		o.bought, o.cost = o.bought+got, o.cost+cost
		cash, lots = cash+paid, lots-fromOffer
	}
	if p != nil {
		o.gain = sc.unwind(cash, lots)
	}
	return o
}

// batch plays the same block in an auction.
func (sc *scene) batch(t *testing.T, p *plan) outcome {
	s := market.NewState()
	if _, code := s.Create(1, 2, 0, market.Terms{Tick: 1, Lot: 1, Reference: 10_000}); code != market.OK {
		t.Fatal(code)
	}
	var out market.Result
	height := uint64(1)
	place := func(owner market.Owner, side market.Side, tif market.TIF, lots, at int64) {
		n := market.New{
			Market: 1, Owner: owner, Side: side, Kind: market.LimitOrder, TIF: tif,
			Price: asset.Price(at), Quantity: asset.Amount(lots), Nonce: 1,
		}
		if _, code := s.Check(&n, 0); code != market.OK {
			t.Fatalf("%+v: code %d", n, code)
		}
		s.Stage(&n, height, 0)
	}
	for k := range sc.asks {
		place(sc.asks[k].owner, market.Sell, market.GTC, sc.asks[k].lots, sc.asks[k].price)
		place(sc.bids[k].owner, market.Buy, market.GTC, sc.bids[k].lots, sc.bids[k].price)
	}
	s.Auction(1, [32]byte{}, height, &out)
	height++
	for k, q := range sc.buys {
		place(market.Owner(k+1), market.Buy, market.IOC, q, sc.worst)
	}
	for k, q := range sc.sells {
		place(market.Owner(k+51), market.Sell, market.IOC, q, 20_000-sc.worst)
	}
	if p != nil {
		place(attacker, market.Buy, market.IOC, p.take, p.takeLimit)
		if p.offer > 0 {
			place(p.offerWithAccount, market.Sell, market.GTC, p.offer, p.offerAt)
		}
	}
	s.Auction(1, [32]byte{1}, height, &out)
	var o outcome
	var cash, lots int64
	for _, f := range out.Fills {
		q, cost := int64(f.Quantity), int64(f.BuyerPaid)
		if f.Buyer <= 50 {
			o.bought, o.cost = o.bought+q, o.cost+cost
		}
		if f.Buyer >= attacker {
			cash, lots = cash-cost, lots+q
		}
		if f.Seller >= attacker {
			cash, lots = cash+cost, lots-q
		}
	}
	if p != nil {
		o.gain = sc.unwind(cash, lots)
	}
	return o
}

// snipe is the race for a stale order: the maker has learnt that the price is 20
// ticks higher and cancels, the attacker has learnt it, too, and buys. In a
// continuous book whoever orders the block decides; here cancels come first.
func snipe(t *testing.T) (continuous, batch int64) {
	const lots, stale = 50, 20
	continuous = lots * stale
	w := newWorld(t, market.Terms{Tick: 1, Lot: 1, Reference: 10_000}, 0)
	id, _ := w.place(market.New{Owner: 1, Side: market.Sell, Kind: market.LimitOrder, TIF: market.GTC, Price: 10_000, Quantity: lots})
	w.auction()
	w.cancel(id, market.Cancelled)
	w.place(market.New{Owner: attacker, Side: market.Buy, Kind: market.LimitOrder, TIF: market.IOC, Price: 10_000, Quantity: lots})
	fills, _ := w.auction()
	for _, f := range fills {
		batch += int64(f.Quantity) * stale
	}
	return continuous, batch
}

const sniped = 50 * 10_000
