package exchange

import (
	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/exchange/ledger"
	"souk/exchange/market"
)

// Limits of the cancel-all-after delay in ms.
const (
	minTimer = 1_000
	maxTimer = 86_400_000
)

// place is a KindPlace command in its phase.
func (w *blockWork) place(i int, t *task) Code {
	var p Place
	s := cryptobyte.String(t.cmd.Body)
	if !p.read(&s) || len(s) != 0 {
		return BadBody
	}
	if code := w.may(t, ledger.Trade, p.Market); code != OK {
		return code
	}
	if t.taken > 0 {
		return Withdrawn
	}
	n := p.order(t)
	return w.enter(i, t, &n)
}

// order is the order that a body asks for.
func (p *Place) order(t *task) market.New {
	return market.New{
		Market: p.Market, Owner: market.Owner(t.account), Side: p.Side, Kind: p.Order, TIF: p.TIF, PostOnly: p.PostOnly,
		Price: p.Price, Quantity: p.Quantity, Quote: p.Quote, Trigger: p.Trigger, Expiry: p.Expiry, Client: p.Client, Nonce: t.cmd.Nonce,
	}
}

// enter checks an order, reserves what it needs and stages it.
func (w *blockWork) enter(i int, t *task, n *market.New) Code {
	need, code := w.s.markets.Check(n, w.now)
	if code != market.OK {
		return marketCodes[code]
	}
	if !w.s.ledger.OwnRoom(t.account, w.s.markets.Brings(n.Market, n.Side)) {
		return TooManyBalances
	}
	if !w.s.ledger.Hold(t.account, need.Asset, need.Amount) {
		return Insufficient
	}
	w.stage(i, t, n)
	return OK
}

// stage takes up an order whose hold is there, and keeps a place for what it may bring (L-34).
func (w *blockWork) stage(i int, t *task, n *market.New) {
	w.s.ledger.Promise(t.account, w.s.markets.Brings(n.Market, n.Side))
	w.staged(i, t, w.s.markets.Stage(n, w.in.Height, w.now))
}

// staged remembers which command placed an order.
func (w *blockWork) staged(i int, t *task, id market.OrderID) {
	if len(w.placed) == 0 {
		w.firstOrder = id
	}
	w.placed = append(w.placed, int32(i)) //nolint:gosec // MaxBlockCommands
	if t.order == 0 {
		t.order, t.number = id, uint64(id)
	}
	w.orderEvent(EventOrderOpened, id)
}

// placeOCO is a KindPlaceOCO command in its phase.
func (w *blockWork) placeOCO(i int, t *task) Code {
	var p PlaceOCO
	if !whole(&p, (*PlaceOCO).read, t.cmd.Body) {
		return BadBody
	}
	if code := w.may(t, ledger.Trade, p.Market); code != OK {
		return code
	}
	if t.taken > 0 {
		return Withdrawn
	}
	limit, stop := p.legs(t)
	need, code := w.s.markets.CheckPair(&limit, &stop, w.now)
	if code != market.OK {
		return marketCodes[code]
	}
	brings := w.s.markets.Brings(limit.Market, limit.Side)
	if !w.s.ledger.OwnRoom(t.account, brings) {
		return TooManyBalances
	}
	if !w.s.ledger.Hold(t.account, need.Asset, need.Amount) {
		return Insufficient
	}
	w.s.ledger.Promise(t.account, brings)
	w.s.ledger.Promise(t.account, brings) // each leg ends by itself
	a, b := w.s.markets.StagePair(&limit, &stop, w.in.Height, w.now)
	w.staged(i, t, a)
	w.staged(i, t, b)
	return OK
}

func (p *PlaceOCO) legs(t *task) (limit, stop market.New) {
	limit = market.New{
		Market: p.Market, Owner: market.Owner(t.account), Side: p.Side, Kind: market.LimitOrder, TIF: market.GTC,
		Price: p.Limit, Quantity: p.Quantity, Expiry: p.Expiry, Client: p.LimitClient, Nonce: t.cmd.Nonce,
	}
	if p.Expiry != 0 {
		limit.TIF = market.GTD
	}
	stop = limit
	stop.Kind, stop.Price, stop.Trigger, stop.Client = market.StopOrder, p.Price, p.Trigger, p.StopClient
	if p.StopLimit {
		stop.Kind = market.StopLimitOrder
	}
	return limit, stop
}

// find is the live order of an account that a target names.
func (s *State) find(n ledger.Number, target *Target) (market.Order, bool) {
	id := target.Order
	if target.Client != "" {
		var ok bool
		if id, ok = s.markets.ByClient(market.Owner(n), target.Client); !ok {
			return market.Order{}, false
		}
	}
	o, ok := s.markets.Order(id)
	return o, ok && o.Owner == market.Owner(n)
}

func (w *blockWork) cancel(i int, t *task) Code {
	var c Cancel
	s := cryptobyte.String(t.cmd.Body)
	if !c.Target.read(&s) || len(s) != 0 {
		return BadBody
	}
	o, ok := w.s.find(t.account, &c.Target)
	if !ok {
		if code := w.may(t, ledger.Trade, 0); code == KeyRevoked {
			return code
		}
		return w.names.later(i, t, &c.Target)
	}
	if code := w.may(t, ledger.Trade, o.Market); code != OK {
		return code
	}
	w.s.markets.Cancel(o.ID, market.Cancelled, w.out)
	w.postClosed()
	t.number = uint64(o.ID)
	return OK
}

func (w *blockWork) cancelAll(t *task) Code {
	var c CancelAll
	if !whole(&c, (*CancelAll).read, t.cmd.Body) {
		return BadBody
	}
	if code := w.may(t, ledger.Trade, c.Market); code != OK {
		return code
	}
	orders := w.owned(t.account, c.Market)
	if len(orders) > 0 && w.cancelled >= w.s.bounds.cancelled {
		return BlockBusy
	}
	n := w.closeOwned(orders, market.Cancelled)
	w.cancelled += n
	w.names.all(t, c.Market)
	t.number = uint64(n) //nolint:gosec // not negative
	return OK
}

// owned is all live orders of an account, in one market or in all. The next call reuses its memory.
func (w *blockWork) owned(n ledger.Number, m market.ID) []market.OrderID {
	orders := w.s.scratch.orders[:0]
	if m == 0 {
		orders = w.s.markets.Owned(orders, market.Owner(n))
	} else {
		orders = w.s.markets.OwnedIn(orders, market.Owner(n), m)
	}
	w.s.scratch.orders = orders
	return orders
}

// closeOwned closes orders that owned has listed, and answers how many.
func (w *blockWork) closeOwned(orders []market.OrderID, why market.Reason) int {
	for _, id := range orders {
		w.s.markets.Cancel(id, why, w.out) // the other leg of a pair may be gone already
	}
	w.postClosed()
	return len(orders)
}

func (w *blockWork) cancelAllAfter(t *task) Code {
	var c CancelAllAfter
	if code := asked(w, t, &c, (*CancelAllAfter).read, ledger.Trade); code != OK {
		return code
	}
	switch {
	case c.Delay == 0:
		w.s.ledger.SetTimer(t.account, 0)
	case c.Delay < minTimer || c.Delay > maxTimer:
		return BadTimer
	default:
		w.s.ledger.SetTimer(t.account, w.now+c.Delay)
	}
	return OK
}

func (w *blockWork) amend(i int, t *task) Code {
	var a Amend
	s := cryptobyte.String(t.cmd.Body)
	if !a.read(&s) || len(s) != 0 {
		return BadBody
	}
	o, ok := w.s.find(t.account, &a.Target)
	if !ok {
		if code := w.may(t, ledger.Trade, 0); code == KeyRevoked {
			return code
		}
		return w.names.later(i, t, &a.Target)
	}
	if code := w.may(t, ledger.Trade, o.Market); code != OK {
		return code
	}
	if a.Price == 0 {
		a.Price = o.Price
	}
	switch {
	case o.Kind != market.LimitOrder || o.Sibling != 0 || a.Quantity <= o.Filled || a.Price == o.Price && a.Quantity == o.Quantity:
		return BadAmend
	case a.Price == o.Price && a.Quantity < o.Quantity && o.Status == market.Resting:
		return w.reduce(t, o.ID, a.Quantity)
	}
	return w.replace(i, t, &o, a.Price, a.Quantity-o.Filled)
}

// reduce makes an order smaller in its place.
func (w *blockWork) reduce(t *task, id market.OrderID, quantity asset.Amount) Code {
	release, code := w.s.markets.Reduce(id, quantity)
	if code != market.OK {
		return marketCodes[code]
	}
	if release.Amount > 0 {
		w.s.ledger.Release(t.account, release.Asset, release.Amount)
	}
	t.number = uint64(id)
	w.orderEvent(EventOrderReduced, id)
	return OK
}

// replace cancels an order and enters a new one for the rest, or leaves the old
// one as it is if the new one cannot be had (K-6).
func (w *blockWork) replace(i int, t *task, old *market.Order, price asset.Price, rest asset.Amount) Code {
	n := market.New{
		Market: old.Market, Owner: old.Owner, Side: old.Side, Kind: old.Kind, TIF: old.TIF, PostOnly: old.PostOnly,
		Price: price, Quantity: rest, Expiry: old.Expiry, Nonce: t.cmd.Nonce,
	}
	// The old order still counts and still has the client id; both end with it. One
	// for one, so an account above a limit that a vote has lowered may amend (M-12).
	need, code := w.s.markets.Check(&n, w.now)
	if code != market.OK && code != market.TooManyOrders && code != market.BookFull {
		return marketCodes[code]
	}
	spare, ok := w.s.ledger.Available(t.account, old.Hold.Asset).Add(old.Hold.Amount)
	if ok && spare < need.Amount {
		return Insufficient
	}
	n.Client = old.Client
	w.s.markets.Cancel(old.ID, market.Amended, w.out)
	w.postClosed()
	if !w.s.ledger.Hold(t.account, need.Asset, need.Amount) {
		panic("exchange: an amendment that was possible failed") //nolint:forbidigo // checked above
	}
	w.stage(i, t, &n) // in the place of the old one
	return OK
}
