package workload

import (
	"fmt"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
)

func (w *Workload) market(s *exchange.State) market.ID {
	n := len(s.Markets().Markets(nil))
	if w.rng.IntN(30) == 0 {
		n++
	}
	return market.ID(1 + w.rng.IntN(n))
}

// price is near the middle, so that about a third of the orders trade on arrival.
func (w *Workload) price(m market.ID) asset.Price {
	if m == exchangetest.BTCEUR {
		return asset.Price(50_000e8 + (w.rng.Int64N(200)-100)*1e8)
	}
	p := asset.Price(150_000 + (w.rng.Int64N(200)-100)*100)
	if w.rng.IntN(2) == 0 {
		p += asset.Price(10 * w.rng.IntN(10))
	}
	return p
}

// quantity is in lots of all markets, now and then of no market.
func (w *Workload) quantity() asset.Amount {
	q := asset.Amount(1+w.rng.IntN(50)) * 1e6
	if w.rng.IntN(2) == 0 { // costs that are no whole numbers
		q += asset.Amount(w.rng.IntN(10)) * 1e5
	}
	if w.rng.IntN(40) == 0 {
		q += asset.Amount(w.rng.IntN(1e6))
	}
	return q
}

// client is a client order id out of few, so that they collide.
func (w *Workload) client() string {
	if w.rng.IntN(3) == 0 {
		return ""
	}
	return fmt.Sprintf("c%d", w.rng.IntN(40))
}

func (w *Workload) side() market.Side { return market.Side(1 + w.rng.IntN(2)) }

// target names an order: by client id, one that lives, or one that never may have.
func (w *Workload) target(s *exchange.State, name string) exchange.Target {
	if w.rng.IntN(3) == 0 {
		return exchange.Target{Client: fmt.Sprintf("c%d", w.rng.IntN(40))}
	}
	if n, ok := s.Ledger().Find(w.keys.Address(name)); ok {
		if own := s.Markets().Owned(nil, market.Owner(n)); len(own) > 0 && w.rng.IntN(20) != 0 {
			return exchange.Target{Order: own[w.rng.IntN(len(own))]}
		}
	}
	return exchange.Target{Order: market.OrderID(1 + w.rng.IntN(1000))}
}

func (w *Workload) cancel(s *exchange.State, name string, _ uint64) exchange.Body {
	return &exchange.Cancel{Target: w.target(s, name)}
}

func (w *Workload) amend(s *exchange.State, name string, _ uint64) exchange.Body {
	t := w.target(s, name)
	if o, ok := s.Markets().Order(t.Order); ok && w.rng.IntN(2) == 0 {
		return &exchange.Amend{Target: t, Quantity: o.Filled + (o.Quantity-o.Filled)/2/1e6*1e6}
	}
	return &exchange.Amend{Target: t, Price: w.price(w.market(s)) * asset.Price(w.rng.IntN(2)), Quantity: w.quantity()}
}

func (w *Workload) place(s *exchange.State, _ string, now uint64) exchange.Body {
	m := w.market(s)
	p := &exchange.Place{
		Market: m, Side: w.side(), Order: market.LimitOrder, TIF: market.GTC, Price: w.price(m), Quantity: w.quantity(), Client: w.client(),
	}
	switch w.rng.IntN(14) {
	case 0:
		p.TIF = market.IOC
	case 1:
		p.TIF = market.FOK
	case 2:
		p.PostOnly = true
	case 3:
		p.TIF, p.Expiry = market.GTD, now+uint64(w.rng.IntN(8_000))
	case 4:
		p.Order, p.TIF = market.MarketOrder, market.IOC
	case 5:
		p.Order, p.TIF = market.MarketOrder, market.IOC
		p.Quantity, p.Quote = 0, asset.Amount(1+w.rng.IntN(100))*exchangetest.Coin
	case 6:
		p.Order, p.Trigger = market.StopOrder, w.price(m)
	case 7:
		p.Order, p.Trigger = market.Kind(4+w.rng.IntN(3)), w.price(m)
	case 8:
		w.spoil(p)
	}
	return p
}

// spoil makes an order one that is mostly refused.
func (w *Workload) spoil(p *exchange.Place) {
	switch w.rng.IntN(8) {
	case 0:
		p.Price++
	case 1:
		p.Quantity = asset.MaxSupply
	case 2:
		p.Price = market.MaxPrice
	case 3:
		p.Side = 3
	case 4:
		p.Order, p.TIF = market.Kind(w.rng.IntN(9)), market.TIF(w.rng.IntN(6))
	case 5:
		p.Trigger = p.Price
	case 6:
		p.Quantity = 0
	case 7:
		p.Expiry = 1
	}
}

func (w *Workload) oco(s *exchange.State, _ string, now uint64) exchange.Body {
	m := w.market(s)
	p := &exchange.PlaceOCO{
		Market: m, Side: w.side(), Quantity: w.quantity(), Limit: w.price(m), Trigger: w.price(m), Price: w.price(m),
		StopLimit: w.rng.IntN(2) == 0, LimitClient: w.client(), StopClient: w.client(),
	}
	if w.rng.IntN(4) == 0 {
		p.Expiry = now + uint64(w.rng.IntN(8_000))
	}
	return p
}
