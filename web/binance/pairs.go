package binance

import (
	"slices"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
)

// legForms are the parameters of the two forms of an OCO pair (N-46).
type legForm struct{ kind, price, trigger, client, tif string }

// placePair reads an OCO pair by what is above and what is below the price.
func placePair(c *call) (any, error) {
	side, refused := c.side()
	if refused != nil {
		return nil, refused
	}
	above := legForm{"aboveType", "abovePrice", "aboveStopPrice", "aboveClientOrderId", "aboveTimeInForce"}
	below := legForm{"belowType", "belowPrice", "belowStopPrice", "belowClientOrderId", "belowTimeInForce"}
	// A seller's limit is above and his stop below; a buyer's are the other way round.
	limit, stop := above, below
	if side == market.Buy {
		limit, stop = below, above
	}
	switch c.text(limit.kind) {
	case "LIMIT_MAKER":
	case "":
		return nil, missing(limit.kind)
	default:
		return nil, bad(codeType, "Invalid orderType: %s must be LIMIT_MAKER here.", limit.kind)
	}
	kind := c.text(stop.kind)
	switch kind {
	case "STOP_LOSS", "STOP_LOSS_LIMIT":
	case "":
		return nil, missing(stop.kind)
	default:
		return nil, bad(codeType, "Invalid orderType: %s must be STOP_LOSS or STOP_LOSS_LIMIT here.", stop.kind)
	}
	return c.pair(side, limit, stop, kind == "STOP_LOSS_LIMIT")
}

// placeOldPair reads an OCO pair in the form that it had before.
func placeOldPair(c *call) (any, error) {
	side, refused := c.side()
	if refused != nil {
		return nil, refused
	}
	limit := legForm{price: "price", client: "limitClientOrderId"}
	stop := legForm{price: "stopLimitPrice", trigger: "stopPrice", client: "stopClientOrderId", tif: "stopLimitTimeInForce"}
	return c.pair(side, limit, stop, c.sent("stopLimitPrice"))
}

// pair reads the rest and places it.
func (c *call) pair(side market.Side, limit, stop legForm, limited bool) (any, error) {
	p, refused := c.symbol()
	if refused != nil {
		return nil, refused
	}
	o := &exchange.PlaceOCO{Market: p.ID, Side: side, StopLimit: limited}
	for _, a := range []struct {
		name     string
		decimals uint8
		to       func(asset.Amount)
		needed   bool
	}{
		{"quantity", p.BaseDecimals, func(v asset.Amount) { o.Quantity = v }, true},
		{limit.price, p.QuoteDecimals, func(v asset.Amount) { o.Limit = asset.Price(v) }, true},
		{stop.trigger, p.QuoteDecimals, func(v asset.Amount) { o.Trigger = asset.Price(v) }, true},
		{stop.price, p.QuoteDecimals, func(v asset.Amount) { o.Price = asset.Price(v) }, limited},
	} {
		v, refused := c.decimalOf(a.name, a.decimals)
		if refused != nil {
			return nil, refused
		}
		if v == 0 && a.needed {
			return nil, missing(a.name)
		}
		a.to(v)
	}
	if !limited {
		o.Price = p.within(past(uint64(o.Trigger), side, stopSlip), uint64(o.Trigger), side)
	}
	form, list, refused := c.pairNames(o, limit, stop)
	if refused != nil {
		return nil, refused
	}
	if !c.key.in(p.ID) {
		return nil, notPermitted()
	}
	if refused = c.countOrders(2); refused != nil {
		return nil, refused
	}
	placed, err := c.key.Account.PlacePair(c.ctx, o)
	if err != nil {
		return nil, c.h.failure(err, codePlace)
	}
	return p.placedPair(placed, form, list), nil
}

// pairNames reads the identifiers of a pair and how the answer shall be.
func (c *call) pairNames(o *exchange.PlaceOCO, limit, stop legForm) (form, list string, refused *Error) {
	if o.LimitClient, refused = c.client(limit.client); refused != nil {
		return "", "", refused
	}
	if o.StopClient, refused = c.client(stop.client); refused != nil {
		return "", "", refused
	}
	for _, name := range []string{limit.tif, stop.tif} {
		if tif, refused := c.choice(name, "GTC"); refused != nil || name != "" && tif == "" && c.sent(name) {
			return "", "", bad(codeTIF, "Invalid timeInForce.")
		}
	}
	list = c.text("listClientOrderId")
	if refused = checkClient("listClientOrderId", list); list != "" && refused != nil {
		return "", "", refused
	}
	if form, refused = c.choice("newOrderRespType", formACK, formResult, formFull); refused != nil {
		return "", "", refused
	}
	if form == "" {
		form = formResult
	}
	for _, name := range []string{"aboveIcebergQty", "belowIcebergQty", "limitIcebergQty", "stopIcebergQty", "trailingDelta", "aboveTrailingDelta", "belowTrailingDelta"} {
		if c.sent(name) {
			return "", "", notRequired(name)
		}
	}
	if refused = c.plain(); refused != nil {
		return "", "", refused
	}
	return form, list, c.done()
}

func (p *pair) placedPair(placed []Placed, form, list string) pairValue {
	var legs []Order
	for i := range placed {
		legs = append(legs, placed[i].Order)
	}
	v := p.list(legs)
	if list != "" {
		v.Client = list
	}
	for i := range placed {
		v.Reports = append(v.Reports, p.placed(&placed[i], form))
	}
	return v
}

func (p *pair) cancelledPair(legs []Order) pairValue {
	v := p.list(legs)
	for i := range legs {
		if legs[i].Reason == market.Linked { // it ended because the other one was cancelled
			legs[i].Reason = market.Cancelled
		}
		v.Reports = append(v.Reports, p.cancelled(&legs[i], ""))
	}
	return v
}

// legs are the orders of the account's pairs by number of the pair, the newest ones.
func (c *call) legs(q *OrderQuery) (ids []market.OrderID, legs map[market.OrderID][]Order, err error) {
	all, err := c.key.Account.Orders(c.ctx, q)
	if err != nil {
		return nil, nil, err
	}
	legs = map[market.OrderID][]Order{}
	for _, o := range all {
		if o.List != 0 {
			if len(legs[o.List]) == 0 {
				ids = append(ids, o.List)
			}
			legs[o.List] = append(legs[o.List], o)
		}
	}
	slices.Sort(ids)
	return ids, legs, nil
}

func (c *call) lists(q *OrderQuery) (any, error) {
	ids, legs, err := c.legs(q)
	if err != nil {
		return nil, err
	}
	markets, refused := c.listing()
	if refused != nil {
		return nil, refused
	}
	list := []pairValue{}
	for _, id := range ids {
		if p := markets.byID[legs[id][0].Market]; p != nil {
			list = append(list, p.list(legs[id]))
		}
	}
	return list, nil
}

func allPairs(c *call) (any, error) {
	q := &OrderQuery{}
	var refused *Error
	if q.Limit, refused = c.limit(500, maxList); refused != nil {
		return nil, refused
	}
	if q.Start, q.End, refused = c.span(); refused != nil {
		return nil, refused
	}
	from, refused := c.number("fromId")
	if refused != nil {
		return nil, refused
	}
	q.From = market.OrderID(from)
	return c.lists(q)
}

func openPairs(c *call) (any, error) { return c.lists(&OrderQuery{Live: true}) }

// ofPair are the legs of one pair: ids of legs are neighbours, as one command places both.
func (c *call) ofPair(id market.OrderID) ([]Order, *pair, *Error) {
	all, err := c.key.Account.Orders(c.ctx, &OrderQuery{From: id, Limit: 2})
	if err != nil {
		return nil, nil, c.h.failure(err, codeNoOrder)
	}
	legs := slices.DeleteFunc(all, func(o Order) bool { return o.List != id })
	if len(legs) == 0 {
		return nil, nil, bad(codeNoOrder, "Order list does not exist.")
	}
	markets, refused := c.listing()
	if refused != nil {
		return nil, nil, refused
	}
	p := markets.byID[legs[0].Market]
	if p == nil {
		return nil, nil, bad(codeSymbol, "Invalid symbol.")
	}
	return legs, p, nil
}

func queryPair(c *call) (any, error) {
	id, refused := c.pairTarget("origClientOrderId")
	if refused != nil {
		return nil, refused
	}
	legs, p, refused := c.ofPair(id)
	if refused != nil {
		return nil, refused
	}
	return p.list(legs), nil
}

// cancelPair takes an OCO pair back: the other leg ends with the one that is cancelled.
func cancelPair(c *call) (any, error) {
	p, refused := c.symbol()
	if refused != nil {
		return nil, refused
	}
	id, refused := c.pairTarget("listClientOrderId")
	if refused != nil {
		return nil, refused
	}
	c.drop("newClientOrderId")
	if refused = c.done(); refused != nil {
		return nil, refused
	}
	legs, of, refused := c.ofPair(id)
	switch {
	case refused != nil:
		return nil, bad(codeCancel, "Unknown order list sent.")
	case of.ID != p.ID || !c.key.in(p.ID):
		return nil, bad(codeCancel, "Unknown order list sent.")
	}
	live := slices.IndexFunc(legs, func(o Order) bool { return o.Live() })
	if live < 0 {
		return nil, bad(codeCancel, "Unknown order list sent.")
	}
	if _, err := c.key.Account.Cancel(c.ctx, exchange.Target{Order: legs[live].ID}); err != nil {
		return nil, c.h.failure(err, codeCancel)
	}
	if legs, _, refused = c.ofPair(id); refused != nil {
		return nil, refused
	}
	return p.cancelledPair(legs), nil
}
