package market_test

import (
	"math/rand/v2"
	"testing"

	"souk/asset"
	"souk/exchange/market"
	"souk/internal/bulk"
)

// manyBooks is how many random books a property must hold over: at once where that
// is cheap, else when make soak raises the counts.
const manyBooks = 60_000

// eachBook calls play with a maker per random book until n books have put the
// property to the test, which play answers, and names the seed that fails. Books that
// say nothing of the property do not count; if they are more than the others, the
// maker does not fit it, and the test fails.
func eachBook(t *testing.T, n int, play func(g *maker, seed uint64) (tested bool)) {
	t.Helper()
	if testing.Short() {
		n = max(1, n/10)
	}
	seed, tested := uint64(0), 0
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	for ; tested < n; seed++ {
		if play(newMaker(seed), seed) {
			tested++
		}
		if empty := int(seed) + 1 - tested; empty > 10+n {
			t.Fatalf("%d of %d random books put nothing to the test", empty, seed+1)
		}
	}
	t.Logf("%d random books, and %d that put nothing to the test", tested, seed-uint64(tested))
}

// maker invents markets, orders and blocks. Prices are few and close together so
// that everything meets everything; owners are few so that they meet themselves.
type maker struct {
	*rand.Rand
	terms  market.Terms
	dec    uint8
	owners int
	spread int
	nonce  uint64
}

func newMaker(seed uint64) *maker {
	g := &maker{Rand: rand.New(rand.NewPCG(seed, 4))}
	g.dec = []uint8{0, 1, 2, 8}[g.IntN(4)]
	tick := []uint64{1, 1, 3, 10}[g.IntN(4)]
	g.owners, g.spread = 1+g.IntN(7), 2+g.IntN(8)
	g.terms = market.Terms{
		Tick: price(tick), Lot: amount([]uint64{1, 1, 7, 100}[g.IntN(4)]), Reference: price(100 * tick),
		MakerPPM: uint32(g.IntN(3)) * 400, TakerPPM: uint32(g.IntN(3)) * 1_300,
	}
	switch g.IntN(8) {
	case 0:
		g.terms.BandPPM = 40_000
	case 1:
		g.terms.MinNotional = amount(uint64(g.IntN(300)))
	case 2: // large numbers
		g.terms.Tick, g.terms.Reference = 1<<40, 100<<40
		g.terms.Lot, g.dec = amount(uint64(1+g.IntN(3))), 18
	}
	return g
}

func (g *maker) price() asset.Price {
	return g.terms.Reference + price(uint64(g.IntN(2*g.spread+1)))*g.terms.Tick - price(uint64(g.spread))*g.terms.Tick
}

func (g *maker) lots() asset.Amount {
	if g.IntN(50) == 0 {
		return amount(1 + g.Uint64N(market.MaxLots))
	}
	return amount(1 + g.Uint64N(12))
}

// order is mostly valid; Check says which are not.
func (g *maker) order(now uint64) market.New {
	g.nonce++
	n := market.New{
		Owner: market.Owner(g.IntN(g.owners)), Side: market.Side(1 + g.IntN(2)), Kind: market.LimitOrder, TIF: market.GTC,
		Price: g.price(), Quantity: g.lots() * g.terms.Lot, Nonce: g.nonce,
	}
	if g.IntN(4) == 0 {
		n.Nonce = g.Uint64N(g.nonce + 1)
	}
	switch g.IntN(20) {
	case 0, 1, 2:
		n.TIF = market.IOC
	case 3, 4:
		n.TIF = market.FOK
	case 5, 6:
		n.PostOnly = true
	case 7:
		n.TIF, n.Expiry = market.GTD, now+g.Uint64N(40)
	case 8, 9:
		n.Kind, n.TIF = market.MarketOrder, market.TIF(3+g.IntN(2))
	case 10, 11:
		n.Kind, n.TIF, n.Quantity = market.MarketOrder, market.IOC, 0
		n.Quote = amount(g.Uint64N(uint64(g.terms.Reference)*uint64(g.terms.Lot)/uint64(asset.Unit(g.dec))*12 + 30))
	case 12, 13:
		n.Kind, n.Trigger = market.Kind(3+g.IntN(4)), g.price()
		if g.IntN(5) == 0 {
			n.TIF, n.Expiry = market.GTD, now+g.Uint64N(40)
		}
	case 14:
		n.Kind, n.TIF = market.Kind(g.IntN(8)), market.TIF(g.IntN(6))
		n.Price += price(uint64(g.IntN(2)))
		n.Quantity += amount(uint64(g.IntN(2)))
	case 15:
		n.Client = string(rune('a' + g.IntN(4)))
	}
	return n
}

// pair is an OCO pair of a limit and a stop leg.
func (g *maker) pair(now uint64) (limit, stop market.New) {
	limit = g.order(now)
	limit.Kind, limit.TIF, limit.Trigger, limit.Quote, limit.Client = market.LimitOrder, market.GTC, 0, 0, ""
	limit.Expiry, limit.Quantity = 0, g.lots()*g.terms.Lot
	if g.IntN(4) == 0 {
		limit.TIF, limit.Expiry = market.GTD, now+1+g.Uint64N(40)
	}
	stop = limit
	stop.PostOnly = false
	stop.Kind, stop.Price, stop.Trigger = market.Kind(3+g.IntN(2)), g.price(), g.price()
	return limit, stop
}

// anyID names a live order, or one that is gone.
func (g *maker) anyID(w *world) market.OrderID {
	if w.m == nil {
		return market.OrderID(1 + g.Uint64N(30))
	}
	return market.OrderID(1 + g.Uint64N(uint64(w.m.nextID)))
}

// block plays one block.
func (g *maker) block(w *world, orders int) {
	w.seed[w.height%32]++
	w.open()
	for range g.IntN(3) {
		w.cancel(g.anyID(w), market.Cancelled)
	}
	if g.IntN(3) == 0 {
		w.reduce(g.anyID(w), uint64(g.lots()*g.terms.Lot))
	}
	for range orders {
		if g.IntN(25) == 0 {
			w.placePair(g.pair(w.now))
			continue
		}
		id, code := w.place(g.order(w.now))
		if code == market.OK && g.IntN(40) == 0 {
			w.cancel(id, market.Withdrawn)
		}
	}
	w.auction()
}

// TestModel plays random books against the naive model: every verdict of Check,
// every fill with all its amounts, every closed order and every hold must agree.
func TestModel(t *testing.T) {
	t.Parallel()
	eachBook(t, bulk.Count(manyBooks), func(g *maker, _ uint64) bool {
		w := newWorld(t, g.terms, g.dec)
		if g.IntN(8) == 0 {
			w.bind(g.IntN(20), 1+g.IntN(2), 1+g.IntN(2))
		}
		g.block(w, 8)
		for range 3 {
			g.block(w, 1+g.IntN(10))
		}
		return len(w.out.Fills) > 0
	})
}

// TestModelWide plays a few large books, with many levels, accounts and
// fill-or-kill orders, so that every container grows and every round is used.
func TestModelWide(t *testing.T) {
	t.Parallel()
	for seed := range uint64(bulk.Count(60)) {
		g := newMaker(seed)
		g.owners, g.spread = 80, 20+g.IntN(300)
		g.terms.BandPPM, g.terms.Reference = 0, 1_000*g.terms.Tick
		w := newWorld(t, g.terms, g.dec)
		for n := range 3 {
			w.seed[n]++
			w.open()
			for range 150 {
				o := g.order(w.now)
				if n == 2 && o.Kind == market.LimitOrder && o.Trigger == 0 && g.IntN(3) == 0 {
					o.TIF, o.Expiry, o.PostOnly = market.FOK, 0, false
				}
				w.place(o)
			}
			w.auction()
		}
		if _, err := restore(leaves(w.s)); err != nil {
			t.Fatal(err)
		}
	}
}
