package market

import (
	"souk/asset"
)

// stop tells whether orders of this kind wait for a trigger.
func (k Kind) stop() bool { return k >= StopOrder && k <= TakeProfitLimitOrder }

// atMarket tells whether orders of this kind never rest.
func (k Kind) atMarket() bool { return k == MarketOrder || k == StopOrder || k == TakeProfitOrder }

// Check tells whether a new order may be staged now, and what the ledger must
// reserve for it. It changes nothing. now is the block's time in ms. The code is
// that of the first rule broken, in the order of M-13.
func (s *State) Check(n *New, now uint64) (Need, Code) {
	b := s.book(n.Market)
	if b == nil {
		return Need{}, UnknownMarket
	}
	if b.Paused {
		return Need{}, Paused
	}
	if code := b.checkShape(n); code != OK {
		return Need{}, code
	}
	if n.TIF == GTD && n.Expiry <= now {
		return Need{}, BadExpiry
	}
	if !b.inBand(n) {
		return Need{}, OutsideBand
	}
	_, need, code := b.measure(n)
	if code != OK {
		return Need{}, code
	}
	return need, s.checkOwner(b, n, 1)
}

// CheckPair is Check for an OCO pair, whose legs share one hold (M-62).
func (s *State) CheckPair(limit, stop *New, now uint64) (Need, Code) {
	lead, code := s.Check(limit, now)
	if code != OK {
		return Need{}, code
	}
	trail, code := s.Check(stop, now)
	if code != OK {
		return Need{}, code
	}
	switch {
	case limit.Market != stop.Market || limit.Owner != stop.Owner || limit.Side != stop.Side || limit.Quantity != stop.Quantity,
		limit.TIF != stop.TIF || limit.TIF > GTD || limit.Expiry != stop.Expiry,
		limit.Kind != LimitOrder || stop.Kind != StopOrder && stop.Kind != StopLimitOrder:
		return Need{}, BadPair
	case limit.Client != "" && limit.Client == stop.Client:
		return Need{}, DuplicateClient
	}
	lead.Amount = max(lead.Amount, trail.Amount)
	return lead, s.checkOwner(s.book(limit.Market), limit, 2)
}

// checkShape checks an order by itself, against the market's terms.
func (b *book) checkShape(n *New) Code {
	switch {
	case !shapely(n):
		return BadKind
	case !b.onTick(n.Price):
		return BadTick
	case n.Quantity%b.Lot != 0 || n.Quantity == 0 && n.Quote == 0:
		return BadLot
	case n.Kind.stop() != (n.Trigger != 0) || n.Trigger != 0 && !b.onTick(n.Trigger):
		return BadTrigger
	case (n.TIF == GTD) != (n.Expiry != 0):
		return BadExpiry
	case !validClient(n.Client):
		return BadClient
	}
	return OK
}

// shapely tells whether the parts of an order go together (M-6, M-7).
func shapely(n *New) bool {
	if n.Side != Buy && n.Side != Sell || n.TIF < GTC || n.TIF > FOK || n.PostOnly && n.TIF > GTD {
		return false
	}
	if n.Quote != 0 {
		return n.Kind == MarketOrder && n.TIF == IOC && n.Quantity == 0 && !n.PostOnly
	}
	switch n.Kind {
	case LimitOrder:
		return true
	case MarketOrder:
		return n.TIF >= IOC
	case StopOrder, TakeProfitOrder:
		return n.TIF <= GTD && !n.PostOnly
	case StopLimitOrder, TakeProfitLimitOrder:
		return n.TIF != FOK
	}
	return false
}

func (b *book) onTick(p asset.Price) bool { return p > 0 && p <= MaxPrice && p%b.Tick == 0 }

func validClient(c string) bool {
	if len(c) > MaxClient {
		return false
	}
	for i := range len(c) {
		if c[i] <= ' ' || c[i] > '~' {
			return false
		}
	}
	return true
}

// middle is the price that an order is expected to trade at: the reference, or
// the trigger for stop kinds (M-8).
func (b *book) middle(n *New) uint64 {
	if n.Trigger != 0 {
		return uint64(n.Trigger)
	}
	return b.reference()
}

// inBand tells whether the price is within the band around the middle (M-8).
func (b *book) inBand(n *New) bool {
	if b.BandPPM == 0 {
		return true
	}
	middle := b.middle(n)
	away := uint64(n.Price) - middle
	if uint64(n.Price) < middle {
		away = -away
	}
	return asset.Mul(away, 1_000_000).Cmp(asset.Mul(middle, uint64(b.BandPPM))) <= 0
}

// measure returns the order's size in lots and what it must hold (M-9, M-10, M-14 to M-16).
func (b *book) measure(n *New) (lots uint64, need Need, code Code) {
	if n.Quote != 0 {
		return b.measureQuote(n)
	}
	lots = uint64(n.Quantity / b.Lot)
	worst, fits := asset.CostUp(n.Price, n.Quantity, b.BaseDecimals)
	if lots > MaxLots || n.Quantity > asset.MaxSupply || !fits || worst > asset.MaxSupply {
		return 0, Need{}, Overflow
	}
	value := worst
	if n.Kind.atMarket() {
		value, fits = asset.CostUp(asset.Price(b.middle(n)), n.Quantity, b.BaseDecimals)
		if !fits {
			value = asset.MaxSupply // only compared with the minimum
		}
	}
	if value < b.MinNotional {
		return 0, Need{}, BelowMinNotional
	}
	if n.Side == Sell {
		return lots, Need{b.Base, n.Quantity}, OK
	}
	return lots, Need{b.Quote, worst}, OK
}

func (b *book) measureQuote(n *New) (lots uint64, need Need, code Code) {
	switch {
	case n.Quote > asset.MaxSupply:
		return 0, Need{}, Overflow
	case n.Quote < b.MinNotional:
		return 0, Need{}, BelowMinNotional
	case n.Side == Buy:
		return MaxLots, Need{b.Quote, n.Quote}, OK
	}
	// A seller by quote amount holds the base that his worst price would take.
	lots = b.lotsFor(asset.Mul(uint64(n.Quote), b.unit), uint64(n.Price))
	switch {
	case lots > MaxLots || asset.Amount(lots) > asset.MaxSupply/b.Lot:
		return 0, Need{}, Overflow
	case lots == 0:
		return 0, Need{}, BadLot
	}
	return lots, Need{b.Base, b.quantity(lots)}, OK
}

// lotsFor is how many whole lots a budget of quote units times b.unit is worth
// at a price; at most 2^64-1.
func (b *book) lotsFor(budget asset.Wide, price uint64) uint64 {
	base, _, ok := budget.Div(price)
	if !ok {
		base = ^uint64(0)
	}
	return base / uint64(b.Lot)
}

// checkOwner checks an order against its owner's live orders; more is how many
// orders he wants to add.
func (s *State) checkOwner(b *book, n *New, more uint32) Code {
	if n.Client != "" {
		if _, taken := s.names.index[name{n.Owner, n.Client}]; taken {
			return DuplicateClient
		}
	}
	if b.live+int(more) > MaxBook {
		return BookFull
	}
	p := s.presence(n.Owner, n.Market)
	if p == nil {
		if (n.TIF <= GTD || n.Kind.stop()) && more > s.limit {
			return TooManyOrders
		}
		return OK
	}
	if n.TIF == FOK && p.round == b.round && p.fok {
		return TooManyFOK
	}
	if (n.TIF <= GTD || n.Kind.stop()) && p.stay[0]+p.stay[1]+more > s.limit {
		return TooManyOrders
	}
	return OK
}
