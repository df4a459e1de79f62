package binance

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"slices"
	"strings"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
)

// Forms of answers to new orders.
const (
	formACK    = "ACK"
	formResult = "RESULT"
	formFull   = "FULL"
)

// amounts and identifiers as clients may write them.
const (
	legalAmount = `^([0-9]{1,20})(\.[0-9]{1,20})?$`
	legalClient = `^[a-zA-Z0-9-_.:/]{1,36}$`
)

// request is an order as a client asks for it.
type request struct {
	pair *pair
	exchange.Place
	form string
}

// decimalOf reads an amount with the decimals of an asset; zero: it was not sent.
func (c *call) decimalOf(name string, decimals uint8) (asset.Amount, *Error) {
	text := c.text(name)
	if text == "" {
		if c.sent(name) {
			return 0, bad(codeEmpty, "Parameter '%s' was empty.", name)
		}
		return 0, nil
	}
	if whole, fraction, dot := strings.Cut(text, "."); dot {
		fraction = strings.TrimRight(fraction, "0")
		if text = whole; fraction != "" {
			text += "." + fraction
		} else if whole == "" {
			return 0, illegal(name, legalAmount)
		}
	}
	v, err := asset.Parse(text, decimals)
	switch {
	case errors.Is(err, asset.ErrPrecision):
		return 0, bad(codePrecision, "Parameter '%s' has too much precision.", name)
	case err != nil:
		return 0, illegal(name, legalAmount)
	case v == 0:
		return 0, bad(codeFilter, "Invalid %s.", name)
	}
	return v, nil
}

// client reads an identifier of the client's own; one is made if there is none. It is made of
// what was signed, so that the same request has the same one after a restart too (N-13).
func (c *call) client(name string) (string, *Error) {
	id := c.text(name)
	switch {
	case id != "":
		return id, checkClient(name, id)
	case c.signed == nil:
		return rand.Text()[:22], nil
	}
	sum := sha256.Sum256(slices.Concat([]byte(c.key.ID+" "+name+" "), c.signed))
	return base32.StdEncoding.EncodeToString(sum[:])[:22], nil
}

func checkClient(name, id string) *Error {
	const legal = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:/"
	if len(id) > market.MaxClient || strings.Trim(id, legal) != "" {
		return illegal(name, legalClient)
	}
	return nil
}

func (c *call) side() (market.Side, *Error) {
	switch c.text("side") {
	case "BUY":
		return market.Buy, nil
	case "SELL":
		return market.Sell, nil
	case "":
		return 0, missing("side")
	}
	return 0, bad(codeSide, "Invalid side.")
}

func (c *call) tif(name string, usual market.TIF) (market.TIF, *Error) {
	switch c.text(name) {
	case "GTC":
		return market.GTC, nil
	case "IOC":
		return market.IOC, nil
	case "FOK":
		return market.FOK, nil
	case "":
		if usual == 0 {
			return 0, missing(name)
		}
		return usual, nil
	}
	return 0, bad(codeTIF, "Invalid timeInForce.")
}

var kinds = map[string]market.Kind{ //nolint:gochecknoglobals // a table
	"LIMIT": market.LimitOrder, "LIMIT_MAKER": market.LimitOrder, "MARKET": market.MarketOrder, "STOP_LOSS": market.StopOrder,
	"STOP_LOSS_LIMIT": market.StopLimitOrder, "TAKE_PROFIT": market.TakeProfitOrder, "TAKE_PROFIT_LIMIT": market.TakeProfitLimitOrder,
}

// order reads a new order.
func (c *call) order() (*request, *Error) {
	p, refused := c.symbol()
	if refused != nil {
		return nil, refused
	}
	r := &request{pair: p}
	r.Market = p.ID
	if r.Side, refused = c.side(); refused != nil {
		return nil, refused
	}
	kind := c.text("type")
	if kind == "" {
		return nil, missing("type")
	}
	var known bool
	if r.Order, known = kinds[kind]; !known {
		return nil, bad(codeType, "Invalid orderType.")
	}
	r.PostOnly = kind == "LIMIT_MAKER"
	if refused = c.amounts(r); refused != nil {
		return nil, refused
	}
	if r.Client, refused = c.client("newClientOrderId"); refused != nil {
		return nil, refused
	}
	if refused = c.form(r); refused != nil {
		return nil, refused
	}
	if refused = c.plain(); refused != nil {
		return nil, refused
	}
	if !c.key.in(p.ID) {
		return nil, notPermitted()
	}
	return r, nil
}

// amounts reads what the kind of order needs, and refuses what it does not take.
func (c *call) amounts(r *request) *Error {
	p, kind := r.pair, r.Order
	usual := market.TIF(0)
	switch {
	case kind == market.MarketOrder:
		usual = market.IOC
	case !limited(kind) || r.PostOnly:
		usual = market.GTC
	}
	for _, unwanted := range []struct {
		name string
		is   bool
	}{
		{"timeInForce", usual != 0},
		{"price", !limited(kind)},
		{"stopPrice", kind == market.LimitOrder || kind == market.MarketOrder},
		{"quoteOrderQty", kind != market.MarketOrder},
	} {
		if unwanted.is && c.values[unwanted.name] != "" {
			return notRequired(unwanted.name)
		}
	}
	var refused *Error
	if r.TIF, refused = c.tif("timeInForce", usual); refused != nil {
		return refused
	}
	price, refused := c.decimalOf("price", p.QuoteDecimals)
	if refused != nil {
		return refused
	}
	trigger, refused := c.decimalOf("stopPrice", p.QuoteDecimals)
	if refused != nil {
		return refused
	}
	if r.Quantity, refused = c.decimalOf("quantity", p.BaseDecimals); refused != nil {
		return refused
	}
	if r.Quote, refused = c.decimalOf("quoteOrderQty", p.QuoteDecimals); refused != nil {
		return refused
	}
	r.Price, r.Trigger = asset.Price(price), asset.Price(trigger)
	switch {
	case limited(kind) && r.Price == 0:
		return missing("price")
	case kind != market.LimitOrder && kind != market.MarketOrder && r.Trigger == 0:
		return missing("stopPrice")
	case r.Quantity == 0 && r.Quote == 0:
		return missing("quantity")
	case r.Quantity != 0 && r.Quote != 0:
		return bad(codeCombination, "Combination of optional parameters invalid. Recommendation: quantity or quoteOrderQty.")
	}
	return nil
}

// form reads how the answer shall be.
func (c *call) form(r *request) (refused *Error) {
	if r.form, refused = c.choice("newOrderRespType", formACK, formResult, formFull); refused != nil {
		return refused
	}
	if r.form == "" {
		if r.form = formACK; r.Order == market.LimitOrder && !r.PostOnly || r.Order == market.MarketOrder {
			r.form = formFull
		}
	}
	return nil
}

// plain reads what orders elsewhere may have and orders here do not.
func (c *call) plain() *Error {
	for _, name := range []string{"icebergQty", "trailingDelta", "pegPriceType", "pegOffsetValue", "pegOffsetType"} {
		if text := c.values[name]; text != "" && strings.Trim(text, "0.") != "" {
			return notRequired(name)
		}
		c.drop(name)
	}
	c.drop("strategyId", "strategyType") // marks of the client, which no answer here repeats
	switch c.text("selfTradePreventionMode") {
	case "", prevention, "NONE":
		return nil
	}
	return bad(codeFilter, "This symbol does not allow the specified self-trade prevention mode.")
}

// Protection of orders at the market, in parts of a hundred (N-42).
const (
	slip     = 1 // past the price at which the book would fill the order
	stopSlip = 5 // past the trigger
)

// protect gives an order at the market its worst price, which the ledger always wants
// (M-6): somewhat past the price at which the book would fill it now. available is what
// the account has of the quote asset; a buyer's hold shall not need more than that.
func (h *Handler) protect(r *request, available asset.Amount) *Error {
	p := r.pair
	if limited(r.Order) {
		return nil
	}
	middle := uint64(r.Trigger)
	worst := past(middle, r.Side, stopSlip)
	if r.Trigger == 0 {
		middle = uint64(h.reference(p))
		needed := h.reach(r)
		if needed == 0 {
			return bad(codePlace, "Market orders need an order to trade with, and the book has none.")
		}
		worst = past(needed, r.Side, slip)
		if r.Side == market.Buy && r.Quantity != 0 {
			most, _, ok := asset.Mul(uint64(available), uint64(asset.Unit(p.BaseDecimals))).Div(uint64(r.Quantity))
			if ok && most < worst {
				worst = max(most, needed)
			}
		}
	}
	r.Price = p.within(worst, middle, r.Side)
	return nil
}

// past is a price that is worse by some hundredths.
func past(price uint64, s market.Side, hundredths uint64) uint64 {
	off, _, _ := asset.Mul(price, hundredths).Div(100)
	if s == market.Buy {
		return min(price+off, uint64(market.MaxPrice))
	}
	return price - off
}

// within moves a worst price onto the tick and into the band around the middle (M-8).
func (p *pair) within(worst, middle uint64, s market.Side) asset.Price {
	if p.BandPPM != 0 {
		off, _, _ := asset.Mul(middle, uint64(p.BandPPM)).Div(1_000_000)
		worst = min(worst, middle+off)
		if off < middle {
			worst = max(worst, middle-off)
		}
	}
	tick := uint64(p.Tick)
	if s == market.Sell && worst%tick != 0 {
		worst += tick
	}
	return asset.Price(max(worst-worst%tick, tick))
}

// reach is the price at which the book would fill an order now, or its last price if it
// is not enough; zero: there is nothing.
func (h *Handler) reach(r *request) uint64 {
	b := h.config.Tape.Book(r.Market, maxDepth)
	var quantity, quote asset.Amount
	price := uint64(0)
	for _, l := range facing(&b, r.Side) {
		price = uint64(l.Price)
		quantity += min(l.Quantity, asset.MaxSupply-quantity)
		cost, ok := asset.CostUp(l.Price, l.Quantity, r.pair.BaseDecimals)
		if !ok || cost > asset.MaxSupply-quote {
			return price
		}
		quote += cost
		if r.Quantity != 0 && quantity >= r.Quantity || r.Quote != 0 && quote >= r.Quote {
			return price
		}
	}
	return price
}
