package market

import (
	"souk/asset"
)

// execute carries out one planned fill: money first, then the book.
func (a *auction) execute(f *fill) {
	s, b := a.s, a.b
	maker, taker := s.orders.at(f.maker), s.orders.at(f.taker)
	if maker.sibling != none {
		s.part(b, f.maker, a.out)
	}
	if taker.sibling != none {
		s.part(b, f.taker, a.out)
	}
	buy, sell := taker, maker
	if taker.side == Sell {
		buy, sell = maker, taker
	}
	q := b.quantity(f.lots)
	cost := asset.Mul(f.price, uint64(q))
	buy.lots -= f.lots
	sell.lots -= f.lots
	paid, released := b.pay(buy, cost)
	got := b.earn(sell, cost)
	sell.hold -= q

	a.out.Fills = append(a.out.Fills, Fill{
		Trade: s.nextTrade, Market: b.ID, Price: asset.Price(f.price), Quantity: q,
		Maker: maker.id, Taker: taker.id, Buyer: buy.owner, Seller: sell.owner, TakerSide: taker.side, Inner: f.inner,
		BuyerPaid: paid, BuyerReleased: released, SellerGot: got,
		BuyerFee:  buy.charge(q, b.feeRate(buy, buy == taker, f.inner)),
		SellerFee: sell.charge(got, b.feeRate(sell, sell == taker, f.inner)),
	})
	s.nextTrade++
	s.counters = true
	a.afterFill(f.maker, maker, f.lots)
	a.afterFill(f.taker, taker, f.lots)
}

// pay adds a cost to a buy order. All it has paid is its cost rounded up once, a
// fill pays the difference; what the rest can no longer need is released (M-30, M-34).
func (b *book) pay(o *order, cost asset.Wide) (paid, released asset.Amount) {
	sum, ok := o.cost.Add(cost)
	total, fits := sum.DivUp(b.unit)
	if !ok || !fits {
		panic("market: the cost of an order overflows") //nolint:forbidigo // the hold bounds it
	}
	paid = asset.Amount(total) - o.value
	o.cost, o.value = sum, asset.Amount(total)
	before := o.hold
	o.hold = b.need(o)
	released, enough := before.Sub(o.hold + paid)
	if !enough {
		panic("market: a fill costs more than the order holds") //nolint:forbidigo // M-34
	}
	return paid, released
}

// earn adds a cost to a sell order. All it has got is its cost rounded down once,
// a fill gets the difference (M-30).
func (b *book) earn(o *order, cost asset.Wide) (got asset.Amount) {
	sum, ok := o.cost.Add(cost)
	total, _, fits := sum.Div(b.unit)
	if !ok || !fits {
		panic("market: the proceeds of an order overflow") //nolint:forbidigo // the buyers' supply bounds them
	}
	got = asset.Amount(total) - o.value
	o.cost, o.value = sum, asset.Amount(total)
	return got
}

// afterFill takes the lots off the order's level and closes it if it is done.
// Orders by quote amount stay in the batch until the end of the auction.
func (a *auction) afterFill(slot int32, o *order, lots uint64) {
	s := a.s
	if o.status == Resting {
		s.levels[o.level].lots -= lots
		s.touch(o)
	}
	if o.lots > 0 || o.quote != 0 {
		return
	}
	if o.status == Staged {
		a.entries[o.place].slot = none
	}
	s.close(slot, Filled, a.out)
}
