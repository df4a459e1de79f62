package check

import (
	"fmt"
	"math/big"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/identity"
)

// order is a live order in the model.
type order struct {
	o        market.Order // as it was opened
	account  identity.Address
	quantity *big.Int // whole
	filled   *big.Int
	cost     *big.Int // sum of price times quantity (M-30)
	credits  *big.Int // sum of credit times rate (M-32)
	value    *big.Int // paid or got
	fee      *big.Int
	waiting  bool // a stop that has not triggered
}

func stopKind(k market.Kind) bool { return k >= market.StopOrder }

// marketKind tells whether an order in the batch would be a market order.
func (o *order) marketKind() bool {
	k := o.o.Kind
	return k == market.MarketOrder || k == market.StopOrder || k == market.TakeProfitOrder
}

func (m *model) orderEvent(e *exchange.Event) error {
	id := e.Order.ID
	o := m.orders[id]
	if (o == nil) != (e.Kind == exchange.EventOrderOpened) {
		return fmt.Errorf("I4: event %d of order %d, which is live: %t", e.Kind, id, o != nil)
	}
	switch e.Kind { //nolint:exhaustive // the caller sends these only
	case exchange.EventOrderOpened:
		if m.markets[e.Market].paused {
			return fmt.Errorf("M-3: order %d is admitted in a paused market", id)
		}
		m.orders[id] = &order{
			o: *e.Order, account: e.Account, quantity: number(e.Order.Quantity), waiting: stopKind(e.Order.Kind),
			filled: new(big.Int), cost: new(big.Int), credits: new(big.Int), value: new(big.Int), fee: new(big.Int),
		}
	case exchange.EventStopTriggered:
		if !o.waiting {
			return fmt.Errorf("I4: order %d triggers and does not wait", id)
		}
		o.waiting = false
		m.unpair(o)
	case exchange.EventOrderReduced:
		q := number(e.Order.Quantity)
		if q.Cmp(o.quantity) >= 0 || q.Cmp(o.filled) <= 0 {
			return fmt.Errorf("I4: order %d of %s, filled %s, is reduced to %s", id, o.quantity, o.filled, q)
		}
		o.quantity = q
	default:
		return m.closed(e, o)
	}
	return nil
}

// unpair ends an OCO pair of which this leg goes on.
func (m *model) unpair(o *order) {
	if other := m.orders[o.o.Sibling]; other != nil {
		other.o.Sibling = 0
	}
	o.o.Sibling = 0
}

func (m *model) closed(e *exchange.Event, o *order) error {
	id := o.o.ID
	delete(m.orders, id)
	m.unpair(o)
	if o.o.Quote == 0 {
		whole := o.filled.Cmp(o.quantity) == 0
		if whole != (e.Reason == market.Filled) {
			return fmt.Errorf("I4: order %d is closed for reason %d, filled %s of %s", id, e.Reason, o.filled, o.quantity)
		}
		if o.o.TIF == market.FOK && o.filled.Sign() != 0 && !whole {
			return fmt.Errorf("I4: fill-or-kill order %d is filled %s of %s", id, o.filled, o.quantity)
		}
	}
	if err := o.compare(e.Order); err != nil {
		return err
	}
	if e.Reason == market.Expired && (o.o.Expiry == 0 || m.now < o.o.Expiry) {
		return fmt.Errorf("I4: order %d of expiry %d expired at %d", id, o.o.Expiry, m.now)
	}
	return nil
}

// compare compares what an order's record says of its fills.
func (o *order) compare(r *market.Order) error {
	if r.Quantity != 0 && number(r.Filled).Cmp(o.filled) != 0 || number(r.Value).Cmp(o.value) != 0 || number(r.Fee).Cmp(o.fee) != 0 ||
		o.o.Quote == 0 && number(r.Quantity).Cmp(o.quantity) != 0 {
		return fmt.Errorf("I4: order %d says filled %d for %d with fee %d, events say %s, %s and %s", r.ID, r.Filled, r.Value, r.Fee, o.filled, o.value, o.fee)
	}
	return nil
}

// fill takes one execution.
func (m *model) fill(e *exchange.Event) error {
	f := e.Fill
	t := m.markets[f.Market]
	buy, sell := m.orders[f.Taker], m.orders[f.Maker]
	if f.TakerSide == market.Sell {
		buy, sell = sell, buy
	}
	if buy == nil || sell == nil || buy.o.Side != market.Buy || sell.o.Side != market.Sell {
		return fmt.Errorf("I4: trade %d is not between a live buy and a live sell", f.Trade)
	}
	if f.Trade <= m.trade || buy.account != e.Account || sell.account != e.Other || e.Account == e.Other {
		return fmt.Errorf("I4: trade %d after %d, of %s and %s", f.Trade, m.trade, e.Account, e.Other)
	}
	m.trade = f.Trade
	if f.Price > buy.o.Price || f.Price < sell.o.Price {
		return fmt.Errorf("I4: trade %d at %d is beyond the limits %d and %d", f.Trade, f.Price, buy.o.Price, sell.o.Price)
	}
	maker, taker := m.orders[f.Maker], m.orders[f.Taker]
	if !f.Inner && (f.Price != maker.o.Price || taker.o.PostOnly) {
		return fmt.Errorf("M-49: trade %d at %d, the maker asks %d; the taker is post-only: %t", f.Trade, f.Price, maker.o.Price, taker.o.PostOnly)
	}
	for _, o := range []*order{buy, sell} {
		if err := m.executes(o, f); err != nil {
			return err
		}
	}
	if err := m.rounding(f, t, buy, sell); err != nil {
		return err
	}
	return m.settle(e, t)
}

// executes adds a fill to an order.
func (m *model) executes(o *order, f *market.Fill) error {
	if o.waiting || o.o.Expiry != 0 && m.now >= o.o.Expiry || o.o.Market != f.Market {
		return fmt.Errorf("I4: order %d of expiry %d trades at %d, waiting: %t", o.o.ID, o.o.Expiry, m.now, o.waiting)
	}
	m.unpair(o)
	o.filled.Add(o.filled, number(f.Quantity))
	o.cost.Add(o.cost, new(big.Int).Mul(number(f.Price), number(f.Quantity)))
	if o.o.Quote == 0 && o.filled.Cmp(o.quantity) > 0 {
		return fmt.Errorf("I4: order %d of %s is filled %s", o.o.ID, o.quantity, o.filled)
	}
	return nil
}

// rounding checks that both sides' sums are what M-30 and M-32 say (I17).
func (m *model) rounding(f *market.Fill, t *terms, buy, sell *order) error {
	paid := moved(&buy.value, divUp(buy.cost, t.unit))
	got := moved(&sell.value, new(big.Int).Quo(sell.cost, t.unit))
	rate := func(o *order) *big.Int {
		taker := o.o.ID == f.Taker
		if taker && !f.Inner || f.Inner && !o.o.PostOnly {
			return new(big.Int).SetUint64(t.taker)
		}
		return new(big.Int).SetUint64(t.maker)
	}
	charge := func(o *order, credit *big.Int) *big.Int {
		o.credits.Add(o.credits, new(big.Int).Mul(credit, rate(o)))
		if rate(o).Sign() == 0 {
			return new(big.Int)
		}
		return moved(&o.fee, divUp(o.credits, million))
	}
	buyFee, sellFee := charge(buy, number(f.Quantity)), charge(sell, got)
	for _, c := range []struct {
		what string
		got  asset.Amount
		want *big.Int
	}{
		{"buyer paid", f.BuyerPaid, paid},
		{"seller got", f.SellerGot, got},
		{"buyer's fee", f.BuyerFee, buyFee},
		{"seller's fee", f.SellerFee, sellFee},
	} {
		if number(c.got).Cmp(c.want) != 0 {
			return fmt.Errorf("I17: trade %d: %s %d, not %s", f.Trade, c.what, c.got, c.want)
		}
	}
	if diff := new(big.Int).Sub(paid, got); diff.CmpAbs(big.NewInt(1)) > 0 {
		return fmt.Errorf("I17: trade %d rounds by %s", f.Trade, diff)
	}
	if buy.o.Quote != 0 && buy.value.Cmp(number(buy.o.Quote)) > 0 {
		return fmt.Errorf("I4: order %d spends %s of %d", buy.o.ID, buy.value, buy.o.Quote)
	}
	return nil
}

// moved sets a running total and answers by how much it grew.
func moved(total **big.Int, now *big.Int) *big.Int {
	by := new(big.Int).Sub(now, *total)
	*total = now
	return by
}

func divUp(n, d *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(n, d, new(big.Int))
	if r.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return q
}

// settle moves a trade's money: what one side loses is what others get (I5).
func (m *model) settle(e *exchange.Event, t *terms) error {
	f := e.Fill
	q, paid, got, buyFee, sellFee := number(f.Quantity), number(f.BuyerPaid), number(f.SellerGot), number(f.BuyerFee), number(f.SellerFee)
	if err := m.take(e.Account, t.quote, paid); err != nil {
		return err
	}
	if err := m.take(e.Other, t.base, q); err != nil {
		return err
	}
	m.give(e.Account, t.base, new(big.Int).Sub(q, buyFee))
	m.give(e.Other, t.quote, new(big.Int).Sub(got, sellFee))
	if err := m.house(t.quote, ledger.Dust, new(big.Int).Sub(paid, got)); err != nil {
		return err
	}
	for _, c := range []struct {
		id  asset.ID
		fee *big.Int
	}{{t.base, buyFee}, {t.quote, sellFee}} {
		share := new(big.Int).Mul(c.fee, new(big.Int).SetUint64(t.share))
		share.Quo(share, million)
		if err := m.house(c.id, ledger.Reserve, share); err != nil {
			return err
		}
		if err := m.house(c.id, ledger.Fees, new(big.Int).Sub(c.fee, share)); err != nil {
			return err
		}
	}
	return nil
}

// books checks that no book is crossed (I4).
func (m *model) books() error {
	type best struct{ buy, sell asset.Price }
	at := map[market.ID]best{}
	for _, o := range m.orders {
		if o.waiting {
			continue
		}
		b := at[o.o.Market]
		if o.o.Side == market.Buy {
			b.buy = max(b.buy, o.o.Price)
		} else if b.sell == 0 || o.o.Price < b.sell {
			b.sell = o.o.Price
		}
		at[o.o.Market] = b
	}
	for id, b := range at {
		if b.buy != 0 && b.sell != 0 && b.buy >= b.sell {
			return fmt.Errorf("I4: the book of market %d is crossed: buys at %d, sells at %d", id, b.buy, b.sell)
		}
	}
	return nil
}

// need is what an order must hold (M-14 to M-16).
func (m *model) need(o *order) (asset.ID, *big.Int) {
	t := m.markets[o.o.Market]
	rest := new(big.Int).Sub(o.quantity, o.filled)
	if o.o.Side == market.Sell {
		return t.base, rest
	}
	worst := new(big.Int).Mul(number(o.o.Price), rest)
	return t.quote, new(big.Int).Sub(divUp(worst.Add(worst, o.cost), t.unit), o.value)
}

// holds is what all live orders must hold.
func (m *model) holds() map[purse]*big.Int {
	all := map[purse]*big.Int{}
	for id, o := range m.orders {
		of, need := m.need(o)
		if other := m.orders[o.o.Sibling]; other != nil {
			if o.o.Sibling < id {
				continue // counted with the other leg
			}
			if _, theirs := m.need(other); theirs.Cmp(need) > 0 {
				need = theirs
			}
		}
		sum := in(all, purse{o.account, of})
		sum.Add(sum, need)
	}
	for _, w := range m.withdrawals {
		sum := in(all, w.purse)
		sum.Add(sum, number(w.held))
	}
	return all
}

// orderStates compares all live orders with the state's (I4).
func (m *model) orderStates(s *market.State) error {
	n := 0
	for r := range s.Orders() {
		o := m.orders[r.ID]
		if o == nil || o.waiting != (r.Status == market.Waiting) {
			return fmt.Errorf("I4: order %d is live with status %d, events say otherwise", r.ID, r.Status)
		}
		if err := o.compare(&r); err != nil {
			return err
		}
		n++
	}
	if n != len(m.orders) {
		return fmt.Errorf("I4: %d orders are live, events say %d", n, len(m.orders))
	}
	return nil
}
