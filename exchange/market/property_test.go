package market_test

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"souk/asset"
	"souk/exchange/market"
	"souk/internal/bulk"
)

// watch plays random books without the model and judges each auction by
// properties of M-59 alone.
type watch struct {
	*world
	news  map[market.OrderID]market.New
	fresh map[market.OrderID]bool // of this block
	sums  map[market.OrderID]*sums
	ages  map[market.OrderID]uint64 // heights at which orders joined the book
}

// sums are an order's fills added up.
type sums struct {
	base, paid, fee uint64
	cost, feeSum    *big.Int
}

func (w *watch) add(id market.OrderID, n market.New, code market.Code) {
	if code == market.OK {
		w.news[id], w.fresh[id] = n, true
	}
}

// TestProperties judges random books by themselves.
func TestProperties(t *testing.T) {
	t.Parallel()
	eachBook(t, bulk.Count(manyBooks), func(g *maker, _ uint64) bool {
		traded := false
		w := &watch{newWorld(t, g.terms, g.dec), map[market.OrderID]market.New{}, nil, map[market.OrderID]*sums{}, map[market.OrderID]uint64{}}
		w.m = nil
		for range 4 {
			w.seed[w.height%32]++
			w.fresh = map[market.OrderID]bool{}
			w.open()
			for _, id := range w.out.Triggered {
				w.fresh[id] = true
			}
			if id := market.OrderID(1 + g.Uint64N(30)); g.IntN(2) == 0 {
				w.cancel(id, market.Cancelled)
			}
			for range 1 + g.IntN(10) {
				n := g.order(w.now)
				id, code := w.place(n)
				w.add(id, n, code)
			}
			w.out.Reset()
			w.read = market.Result{}
			fills, closed := w.auction()
			w.judge(fills, closed)
			traded = traded || len(fills) > 0
		}
		return traded
	})
}

func (w *watch) judge(fills []market.Fill, closed []market.Closed) {
	w.t.Helper()
	for i := range fills {
		w.judgeFill(&fills[i])
	}
	dropped := map[market.OrderID]bool{}
	for i := range closed {
		w.judgeClosed(&closed[i])
		if why := closed[i].Why; why != market.Filled && why != market.Remainder {
			dropped[closed[i].Order.ID] = true
		}
	}
	w.judgePriority(fills, dropped)
}

// judgeFill: limits, own orders, post-only, whole lots; and the running sums.
func (w *watch) judgeFill(f *market.Fill) {
	w.t.Helper()
	buy, sell := f.Taker, f.Maker
	if f.TakerSide == market.Sell {
		buy, sell = f.Maker, f.Taker
	}
	b, s := w.news[buy], w.news[sell]
	if b.Side != market.Buy || s.Side != market.Sell || b.Owner != f.Buyer || s.Owner != f.Seller {
		w.t.Fatalf("parties of %+v: %+v, %+v", f, b, s)
	}
	if f.Price > b.Price || f.Price < s.Price {
		w.t.Fatalf("%+v is beyond a limit: %+v, %+v", f, b, s)
	}
	if f.Buyer == f.Seller {
		w.t.Fatalf("%+v is with oneself", f)
	}
	maker, taker := w.news[f.Maker], w.news[f.Taker]
	if !f.Inner && (taker.PostOnly || f.Price != maker.Price) {
		w.t.Fatalf("%+v: taker %+v, maker %+v", f, taker, maker)
	}
	if f.Inner && (!w.fresh[buy] || !w.fresh[sell]) || !w.fresh[f.Taker] {
		w.t.Fatalf("%+v: inner cross is of new orders, takers are new", f)
	}
	m, _ := w.s.Market(1)
	if f.Quantity == 0 || f.Quantity%m.Lot != 0 || f.Price%m.Tick != 0 {
		w.t.Fatalf("%+v off lot or tick", f)
	}
	rate := func(id market.OrderID) uint32 {
		if id == f.Maker && !f.Inner || f.Inner && w.news[id].PostOnly {
			return m.MakerPPM
		}
		return m.TakerPPM
	}
	w.sum(buy, f, f.BuyerPaid, f.BuyerFee, f.Quantity, rate(buy))
	w.sum(sell, f, f.SellerGot, f.SellerFee, f.SellerGot, rate(sell))
}

func (w *watch) sum(id market.OrderID, f *market.Fill, moved, fee, credit asset.Amount, rate uint32) {
	s := w.sums[id]
	if s == nil {
		s = &sums{cost: i(0), feeSum: i(0)}
		w.sums[id] = s
	}
	s.base += uint64(f.Quantity)
	s.paid += uint64(moved)
	s.fee += uint64(fee)
	s.cost = add(s.cost, mul(uint64(f.Price), uint64(f.Quantity)))
	s.feeSum = add(s.feeSum, mul(uint64(credit), uint64(rate)))
}

// judgeClosed: whole or nothing, and the rounding of the order's sums.
func (w *watch) judgeClosed(c *market.Closed) {
	w.t.Helper()
	o := &c.Order
	if o.TIF == market.FOK && o.Filled != 0 && o.Filled != o.Quantity {
		w.t.Fatalf("a fill-or-kill order filled in part: %+v", o)
	}
	if c.Why == market.Filled && o.Filled != o.Quantity && o.Quote == 0 {
		w.t.Fatalf("closed as filled: %+v", o)
	}
	s := w.sums[o.ID]
	if s == nil {
		s = &sums{cost: i(0), feeSum: i(0)}
	}
	unit := i(uint64(asset.Unit(w.dec)))
	value := ceil(s.cost, unit)
	if o.Side == market.Sell {
		value = floor(s.cost, unit)
	}
	fee := ceil(s.feeSum, i(1_000_000))
	if uint64(o.Filled) != s.base || uint64(o.Value) != s.paid || uint64(o.Fee) != s.fee || value.Uint64() != s.paid || fee.Uint64() != s.fee {
		w.t.Fatalf("sums of %+v: %+v", o, s)
	}
}

// judgePriority: who is better off in price or time is served first.
func (w *watch) judgePriority(fills []market.Fill, dropped map[market.OrderID]bool) {
	w.t.Helper()
	rest := map[market.OrderID]market.Order{}
	for o := range w.s.Orders() {
		rest[o.ID] = o
	}
	whole := func(id market.OrderID) bool {
		s := w.sums[id]
		return s != nil && s.base >= uint64(w.news[id].Quantity)
	}
	for _, f := range fills {
		// A resting order that has more to give is not passed by a younger or worse one.
		age, old := w.ages[f.Maker]
		if !old {
			age = w.height
		}
		for id, o := range rest {
			if f.Inner || o.Status != market.Resting || o.Side == f.TakerSide || w.fresh[id] {
				continue
			}
			if better(o.Side, uint64(o.Price), uint64(f.Price)) || o.Price == f.Price && o.Joined < age {
				w.t.Fatalf("%+v passes %+v", f, o)
			}
		}
		// A new order by quantity with a better limit is whole when a worse one gets anything.
		takers := []market.OrderID{f.Taker}
		if f.Inner {
			takers = append(takers, f.Maker)
		}
		for _, id := range takers {
			for other := range w.fresh {
				n, mine := w.news[other], w.news[id]
				if n.Side == mine.Side && better(n.Side, uint64(n.Price), uint64(mine.Price)) && n.Quote == 0 && mine.Quote == 0 && !dropped[other] && !whole(other) && n.Trigger == 0 {
					w.t.Fatalf("order %d %+v gets %+v before %d %+v", id, mine, f, other, n)
				}
			}
		}
	}
	for id, o := range rest {
		w.ages[id] = o.Joined
	}
}

// TestOrderIndependence stages one block in many orders. As long as no tie goes
// by sort position, every order ends the same.
func TestOrderIndependence(t *testing.T) {
	t.Parallel()
	type fate struct {
		Filled, Value, Fee, Freed asset.Amount
		Why                       market.Reason
		Left                      asset.Amount
	}
	eachBook(t, bulk.Raised(4_000, manyBooks), func(g *maker, seed uint64) bool {
		fills := 0
		var before, block []market.New
		for k := range 24 {
			n := g.order(0)
			// One order per account and block; orders to kill have limits of their own.
			n.Owner, n.Nonce, n.Client = market.Owner(k), uint64(k+1), ""
			if n.TIF == market.FOK {
				n.Price = g.terms.Reference + price(uint64(k))*g.terms.Tick
			}
			if n.TIF == market.GTD {
				n.Expiry += 1_000_000
			}
			if k < 12 {
				before = append(before, n)
			} else {
				block = append(block, n)
			}
		}
		play := func(order []int) map[market.Owner]fate {
			w := newWorld(t, g.terms, g.dec)
			w.m = nil
			for _, n := range before {
				w.place(n)
			}
			w.auction()
			fates := map[market.Owner]fate{}
			for _, k := range order {
				w.place(block[k])
			}
			w.out.Reset()
			w.read = market.Result{}
			got, closed := w.auction()
			fills += len(got)
			for _, c := range closed {
				o := &c.Order
				fates[o.Owner] = fate{o.Filled, o.Value, o.Fee, c.Release.Amount, c.Why, 0}
			}
			for o := range w.s.Orders() {
				fates[o.Owner] = fate{o.Filled, o.Value, o.Fee, o.Hold.Amount, 0, o.Remaining()}
			}
			return fates
		}
		order := g.Perm(len(block))
		slices.Sort(order)
		want := play(order)
		for range 4 {
			order := g.Perm(len(block))
			got := play(order)
			for owner, f := range want {
				if got[owner] != f {
					t.Fatalf("seed %d: staged as %v, account %d ends with %+v, not %+v", seed, order, owner, got[owner], f)
				}
			}
		}
		return fills > 0
	})
}

// TestLoneTaker sends one order into a book and compares what it pays with what
// the book showed, its owner's orders aside.
func TestLoneTaker(t *testing.T) {
	t.Parallel()
	eachBook(t, bulk.Count(manyBooks), func(g *maker, seed uint64) bool {
		g.owners++ // at least one besides the taker
		w := newWorld(t, g.terms, g.dec)
		w.m = nil
		g.block(w, 10)
		g.block(w, 10)
		w.now += 100 // past every expiry
		w.open()
		for range 8 { // until no stop is triggered, so that the order is alone
			if w.s.Staged(nil) == nil {
				break
			}
			w.auction()
			w.open()
		}
		if w.s.Staged(nil) != nil {
			return false
		}
		n := g.order(w.now)
		n.Kind, n.TIF, n.Trigger, n.Quote, n.Expiry, n.PostOnly = market.LimitOrder, market.IOC, 0, 0, 0, false
		n.Quantity = g.lots() * g.terms.Lot
		var book, asks []market.Order
		for o := range w.s.Orders() {
			if o.Status == market.Resting && o.Owner != n.Owner {
				book = append(book, o)
			}
		}
		if len(book) == 0 {
			return false
		}
		target := book[g.IntN(len(book))]
		n.Side, n.Price = opposite(target.Side), target.Price
		if more := price(uint64(g.IntN(g.spread))) * g.terms.Tick; n.Side == market.Buy {
			n.Price += more
		} else {
			n.Price -= more
		}
		for _, o := range book {
			if o.Side != n.Side && reaches(n.Side, uint64(n.Price), uint64(o.Price)) {
				asks = append(asks, o)
			}
		}
		slices.SortFunc(asks, func(x, y market.Order) int {
			if better(x.Side, uint64(x.Price), uint64(y.Price)) {
				return -1
			}
			return 1
		})
		left, cost := n.Quantity, i(0)
		for _, o := range asks {
			q := min(left, o.Remaining())
			left -= q
			cost = add(cost, mul(uint64(o.Price), uint64(q)))
		}
		if _, code := w.place(n); code != market.OK {
			return false
		}
		w.out.Reset()
		w.read = market.Result{}
		fills, _ := w.auction()
		got, paid := asset.Amount(0), i(0)
		for _, f := range fills {
			got += f.Quantity
			paid = add(paid, mul(uint64(f.Price), uint64(f.Quantity)))
		}
		if got != n.Quantity-left || paid.Cmp(cost) != 0 {
			t.Fatalf("seed %d: %+v got %d for %v; the book showed %d for %v", seed, n, got, paid, n.Quantity-left, cost)
		}
		return got > 0
	})
}

// TestFairShares lets accounts with equal limits share a level, and makers of one
// block share a taker: each is within one lot of his exact share, and cutting an
// order into pieces changes nothing (M-55).
func TestFairShares(t *testing.T) {
	t.Parallel()
	eachBook(t, bulk.Raised(4_000, manyBooks), func(_ *maker, seed uint64) bool {
		g := rand.New(rand.NewPCG(seed, 9))
		wants := make([]uint64, 2+g.IntN(8))
		total := uint64(0)
		for k := range wants {
			wants[k] = 1 + g.Uint64N(40)
			total += wants[k]
		}
		there := 1 + g.Uint64N(total)
		pieces := g.IntN(2) == 0
		share := func(cut bool, side market.Side) []uint64 {
			w := newWorld(t, market.Terms{Tick: 1, Lot: 10, Reference: 5}, 0)
			w.seed[0] = byte(seed)
			one := func(owner int, side market.Side, lots uint64) {
				w.place(market.New{Owner: market.Owner(owner), Side: side, Kind: market.LimitOrder, TIF: market.GTC, Price: 5, Quantity: amount(lots * 10)})
			}
			many := func() {
				for k, lots := range wants {
					for cut && lots > 1 {
						piece := 1 + lots/2
						one(k, side, piece)
						lots -= piece
					}
					if lots > 0 {
						one(k, side, lots)
					}
				}
			}
			if side == market.Buy { // the many take
				one(99, market.Sell, there)
				w.auction()
				many()
			} else { // the many give
				many()
				w.auction()
				one(99, market.Buy, there)
			}
			w.out.Reset()
			w.read = market.Result{}
			fills, _ := w.auction()
			got := make([]uint64, len(wants))
			for _, f := range fills {
				who := f.Buyer
				if side == market.Sell {
					who = f.Seller
				}
				got[who] += uint64(f.Quantity) / 10
			}
			return got
		}
		for _, side := range []market.Side{market.Buy, market.Sell} {
			got := share(pieces, side)
			sum := uint64(0)
			for k := range got {
				sum += got[k]
				exact := there * wants[k] // times total
				if got[k]*total+total <= exact || got[k]*total >= exact+total {
					t.Fatalf("seed %d: of %d lots %v get %v", seed, there, wants, got)
				}
			}
			if sum != there || !slices.Equal(got, share(!pieces, side)) {
				t.Fatalf("seed %d: of %d lots %v get %v, cut otherwise %v", seed, there, wants, got, share(!pieces, side))
			}
		}
		return true
	})
}

// TestSplitting buys and sells the same quantity as one order and as many. Cut
// up, a buyer never pays less, a seller never gets more, and nobody has a lower
// fee (M-30, M-32).
func TestSplitting(t *testing.T) {
	t.Parallel()
	cheaper := 0
	eachBook(t, bulk.Raised(4_000, manyBooks), func(g *maker, seed uint64) bool {
		traded := false
		g.terms.BandPPM, g.terms.MinNotional = 0, 0
		parts := make([]uint64, 1+g.IntN(6))
		whole := uint64(0)
		for k := range parts {
			parts[k] = 1 + g.Uint64N(9)
			whole += parts[k]
		}
		p := g.price()
		trade := func(side market.Side, sizes []uint64) (value, fee asset.Amount) {
			w := newWorld(t, g.terms, g.dec)
			w.place(market.New{Owner: 2, Side: opposite(side), Kind: market.LimitOrder, TIF: market.GTC, Price: p, Quantity: amount(whole) * g.terms.Lot})
			w.auction()
			for _, lots := range sizes {
				w.place(market.New{Owner: 1, Side: side, Kind: market.LimitOrder, TIF: market.GTC, Price: p, Quantity: amount(lots) * g.terms.Lot})
			}
			fills, _ := w.auction()
			for _, f := range fills {
				if side == market.Buy {
					value, fee = value+f.BuyerPaid, fee+f.BuyerFee
				} else {
					value, fee = value+f.SellerGot, fee+f.SellerFee
				}
			}
			return value, fee
		}
		for _, side := range []market.Side{market.Buy, market.Sell} {
			one, oneFee := trade(side, []uint64{whole})
			many, manyFee := trade(side, parts)
			if side == market.Buy && (many < one || manyFee < oneFee) {
				t.Fatalf("seed %d: %v bought as one: %d, fee %d; cut up: %d, fee %d", seed, parts, one, oneFee, many, manyFee)
			}
			if side == market.Sell && many-manyFee > one-oneFee {
				t.Fatalf("seed %d: %v sold as one: %d, fee %d; cut up: %d, fee %d", seed, parts, one, oneFee, many, manyFee)
			}
			traded = traded || one > 0
			if one != many || oneFee != manyFee {
				cheaper++
			}
		}
		return traded && len(parts) > 1
	})
	if cheaper == 0 {
		t.Fatal("cutting never made a difference: rounding was not tried")
	}
}
