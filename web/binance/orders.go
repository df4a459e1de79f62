package binance

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
)

func placeOrder(c *call) (any, error) {
	r, refused := c.order()
	if refused != nil {
		return nil, refused
	}
	if refused = c.done(); refused != nil {
		return nil, refused
	}
	if refused = c.countOrders(1); refused != nil {
		return nil, refused
	}
	return c.place(r)
}

// place enters an order that was read.
func (c *call) place(r *request) (any, error) {
	if refused := c.ready(r); refused != nil {
		return nil, refused
	}
	o, err := c.key.Account.Place(c.ctx, &r.Place, r.form == formFull)
	if err != nil {
		return nil, c.h.failure(err, codePlace)
	}
	if o.Reason == market.WouldTake {
		return nil, bad(codePlace, "Order would immediately match and take.")
	}
	return r.pair.placed(o, r.form), nil
}

// ready gives an order at the market its worst price.
func (c *call) ready(r *request) *Error {
	available := asset.Amount(0)
	if r.Order == market.MarketOrder && r.Side == market.Buy {
		balances, _, err := c.key.Account.Balances(c.ctx)
		if err != nil {
			return c.h.failure(err, codePlace)
		}
		for i := range balances {
			if balances[i].Asset == r.pair.Quote {
				available = balances[i].Available
			}
		}
	}
	return c.h.protect(r, available)
}

// testOrder reads an order and does nothing with it.
func testOrder(c *call) (any, error) {
	rates, refused := c.choice("computeCommissionRates", "true", "false")
	if refused != nil {
		return nil, refused
	}
	r, refused := c.order()
	if refused != nil {
		return nil, refused
	}
	if rates != "true" {
		return struct{}{}, nil
	}
	type fees struct {
		Maker string `json:"maker"`
		Taker string `json:"taker"`
	}
	return struct {
		Standard fees `json:"standardCommissionForOrder"`
		Special  fees `json:"specialCommissionForOrder"`
		Tax      fees `json:"taxCommissionForOrder"`
	}{
		fees{rate(r.pair.MakerPPM), rate(r.pair.TakerPPM)},
		fees{"0.00000000", "0.00000000"},
		fees{"0.00000000", "0.00000000"},
	}, nil
}

// target reads which order is meant; the names of the parameters differ between requests.
func (c *call) target(id, client string) (t exchange.Target, refused *Error) {
	n, refused := c.number(id)
	if refused != nil {
		return t, refused
	}
	name := c.text(client)
	switch {
	case n == 0 && name == "":
		return t, bad(codeMissing, "Param '%s' or '%s' must be sent, but both were empty/null!", client, id)
	case n != 0:
		t.Order = market.OrderID(n)
		return t, nil
	}
	t.Client = name
	return t, checkClient(client, name)
}

// known is an order of the account in a market.
func (c *call) known(p *pair, t exchange.Target) (*Order, *Error) {
	o, err := c.key.Account.Order(c.ctx, t)
	if err != nil {
		return nil, c.h.failure(err, codeNoOrder)
	}
	if o.Market != p.ID {
		return nil, bad(codeNoOrder, "Order does not exist.")
	}
	return o, nil
}

func queryOrder(c *call) (any, error) {
	p, refused := c.symbol()
	if refused != nil {
		return nil, refused
	}
	t, refused := c.target("orderId", "origClientOrderId")
	if refused != nil {
		return nil, refused
	}
	o, refused := c.known(p, t)
	if refused != nil {
		return nil, refused
	}
	return p.order(o), nil
}

func cancelOrder(c *call) (any, error) {
	p, refused := c.symbol()
	if refused != nil {
		return nil, refused
	}
	t, refused := c.target("orderId", "origClientOrderId")
	if refused != nil {
		return nil, refused
	}
	client := c.text("newClientOrderId")
	only, refused := c.choice("cancelRestrictions", "ONLY_NEW", "ONLY_PARTIALLY_FILLED")
	if refused != nil {
		return nil, refused
	}
	if refused = c.done(); refused != nil {
		return nil, refused
	}
	return c.cancel(p, t, client, only)
}

// cancel takes an order back. If it is one of a market, and in the state, that the client
// said it is.
func (c *call) cancel(p *pair, t exchange.Target, client, only string) (any, error) {
	if !c.key.in(p.ID) {
		return nil, notPermitted()
	}
	o, err := c.key.Account.Order(c.ctx, t)
	if err != nil {
		return nil, c.h.failure(err, codeCancel)
	}
	if o.Market != p.ID {
		return nil, bad(codeCancel, "Unknown order sent.")
	}
	if only == "ONLY_NEW" && o.status() != "NEW" || only == "ONLY_PARTIALLY_FILLED" && o.status() != "PARTIALLY_FILLED" {
		return nil, bad(codeCancel, "Order was not canceled due to cancel restrictions.")
	}
	if o, err = c.key.Account.Cancel(c.ctx, exchange.Target{Order: o.ID}); err != nil {
		return nil, c.h.failure(err, codeCancel)
	}
	return p.cancelled(o, client), nil
}

// cancelReplace cancels an order, and places another one when that is done (N-45).
func cancelReplace(c *call) (any, error) {
	mode, refused := c.choice("cancelReplaceMode", "STOP_ON_FAILURE", "ALLOW_FAILURE")
	switch {
	case refused != nil:
		return nil, refused
	case mode == "":
		return nil, missing("cancelReplaceMode")
	}
	t, refused := c.target("cancelOrderId", "cancelOrigClientOrderId")
	if refused != nil {
		return nil, refused
	}
	client := c.text("cancelNewClientOrderId")
	only, refused := c.choice("cancelRestrictions", "ONLY_NEW", "ONLY_PARTIALLY_FILLED")
	if refused != nil {
		return nil, refused
	}
	if _, refused = c.choice("orderRateLimitExceededMode", "DO_NOTHING", "CANCEL_ONLY"); refused != nil {
		return nil, refused
	}
	r, refused := c.order()
	if refused != nil {
		return nil, refused
	}
	if refused = c.done(); refused != nil {
		return nil, refused
	}
	if refused = c.countOrders(1); refused != nil {
		return nil, refused
	}
	return c.replace(r, t, mode == "STOP_ON_FAILURE", client, only)
}

// replaced is the answer to cancelReplace.
type replaced struct {
	Cancel   string `json:"cancelResult"`
	Place    string `json:"newOrderResult"`
	Canceled any    `json:"cancelResponse"`
	Placed   any    `json:"newOrderResponse"`
}

func (c *call) replace(r *request, t exchange.Target, stop bool, client, only string) (any, error) {
	v := replaced{Cancel: "SUCCESS", Place: "SUCCESS"}
	var err error
	if v.Canceled, err = c.cancel(r.pair, t, client, only); err != nil {
		v.Cancel, v.Canceled = "FAILURE", c.h.failure(err, codeCancel)
		if stop {
			v.Place = "NOT_ATTEMPTED"
			return nil, &Error{Status: http.StatusBadRequest, Code: codeReplaceFailed, Text: "Order cancel-replace failed.", Data: v}
		}
	}
	if v.Placed, err = c.place(r); err != nil {
		v.Place, v.Placed = "FAILURE", c.h.failure(err, codePlace)
	}
	switch {
	case v.Cancel == v.Place && err == nil:
		return v, nil
	case v.Cancel == v.Place:
		return nil, &Error{Status: http.StatusBadRequest, Code: codeReplaceFailed, Text: "Order cancel-replace failed.", Data: v}
	}
	return nil, &Error{Status: http.StatusConflict, Code: codeReplacePartly, Text: "Order cancel-replace partially failed.", Data: v}
}

// amendOrder makes an order smaller in its place.
func amendOrder(c *call) (any, error) {
	p, refused := c.symbol()
	if refused != nil {
		return nil, refused
	}
	t, refused := c.target("orderId", "origClientOrderId")
	if refused != nil {
		return nil, refused
	}
	c.drop("newClientOrderId") // an order keeps the id that it has
	quantity, refused := c.decimalOf("newQty", p.BaseDecimals)
	switch {
	case refused != nil:
		return nil, refused
	case quantity == 0:
		return nil, missing("newQty")
	case !c.key.in(p.ID):
		return nil, notPermitted()
	}
	if refused = c.done(); refused != nil {
		return nil, refused
	}
	o, refused := c.known(p, t)
	switch {
	case refused != nil:
		return nil, refused
	case quantity >= o.Quantity:
		return nil, bad(codeAmend, "The requested action would change no state; rejecting.")
	}
	o, err := c.key.Account.Amend(c.ctx, exchange.Target{Order: o.ID}, quantity)
	if err != nil {
		return nil, c.h.failure(err, codeAmend)
	}
	return struct {
		Time  uint64         `json:"transactTime"`
		ID    market.TradeID `json:"executionId"`
		Order orderValue     `json:"amendedOrder"`
	}{o.Updated, 0, p.order(o)}, nil
}

func openOrders(c *call) (any, error) {
	q := &OrderQuery{Live: true}
	if c.sent("symbol") {
		p, refused := c.symbol()
		if refused != nil {
			return nil, refused
		}
		q.Market = p.ID
	}
	return c.orders(q)
}

func allOrders(c *call) (any, error) {
	p, limit, start, end, refused := c.past()
	if refused != nil {
		return nil, refused
	}
	q := &OrderQuery{Market: p.ID, Limit: limit, Start: start, End: end}
	from, refused := c.number("orderId")
	if refused != nil {
		return nil, refused
	}
	q.From = market.OrderID(from)
	return c.orders(q)
}

func (c *call) orders(q *OrderQuery) (any, error) {
	all, err := c.key.Account.Orders(c.ctx, q)
	if err != nil {
		return nil, err
	}
	markets, refused := c.listing()
	if refused != nil {
		return nil, refused
	}
	list := []orderValue{}
	for i := range all {
		if p := markets.byID[all[i].Market]; p != nil {
			list = append(list, p.order(&all[i]))
		}
	}
	return list, nil
}

func cancelOpenOrders(c *call) (any, error) {
	p, refused := c.symbol()
	if refused != nil {
		return nil, refused
	}
	if !c.key.in(p.ID) {
		return nil, notPermitted()
	}
	if refused = c.done(); refused != nil {
		return nil, refused
	}
	all, err := c.key.Account.CancelAll(c.ctx, p.ID)
	if err != nil {
		return nil, c.h.failure(err, codeCancel)
	}
	if len(all) == 0 {
		return nil, bad(codeCancel, "Unknown order sent.")
	}
	return p.cancelledAll(all), nil
}

// cancelledAll lists orders that were cancelled, the legs of a pair together.
func (p *pair) cancelledAll(all []Order) []any {
	list := []any{}
	for i := range all {
		if all[i].List == 0 {
			list = append(list, p.cancelled(&all[i], ""))
			continue
		}
		first := slices.IndexFunc(all, func(o Order) bool { return o.List == all[i].List })
		if first != i {
			continue
		}
		var legs []Order
		for _, o := range all {
			if o.List == all[i].List {
				legs = append(legs, o)
			}
		}
		list = append(list, p.cancelledPair(legs))
	}
	return list
}

// balance is what an account has of an asset, as clients read it.
type balance struct {
	Asset  string `json:"asset"`
	Free   string `json:"free"`
	Locked string `json:"locked"`
}

func account(c *call) (any, error) {
	hide, refused := c.choice("omitZeroBalances", "true", "false")
	if refused != nil {
		return nil, refused
	}
	all, updated, err := c.key.Account.Balances(c.ctx)
	if err != nil {
		return nil, err
	}
	list := []balance{}
	for i := range all {
		b := &all[i]
		if hide == "true" && b.Available == 0 && b.Held == 0 {
			continue
		}
		list = append(list, balance{b.Symbol, asset.Format(b.Available, b.Decimals), asset.Format(b.Held, b.Decimals)})
	}
	markets, refused := c.listing()
	if refused != nil {
		return nil, refused
	}
	maker, taker := markets.fees()
	type rates struct {
		Maker  string `json:"maker"`
		Taker  string `json:"taker"`
		Buyer  string `json:"buyer"`
		Seller string `json:"seller"`
	}
	return struct {
		Maker    int       `json:"makerCommission"`
		Taker    int       `json:"takerCommission"`
		Buyer    int       `json:"buyerCommission"`
		Seller   int       `json:"sellerCommission"`
		Rates    rates     `json:"commissionRates"`
		Trade    bool      `json:"canTrade"`
		Withdraw bool      `json:"canWithdraw"`
		Deposit  bool      `json:"canDeposit"`
		Brokered bool      `json:"brokered"`
		Required bool      `json:"requireSelfTradePrevention"`
		Prevent  bool      `json:"preventSor"`
		Updated  uint64    `json:"updateTime"`
		Kind     string    `json:"accountType"`
		Balances []balance `json:"balances"`
		May      []string  `json:"permissions"`
		User     int       `json:"uid"`
	}{
		Maker: points(maker), Taker: points(taker), Rates: rates{rate(maker), rate(taker), rate(0), rate(0)}, Trade: c.key.may(Trade), Withdraw: c.key.may(Withdraw), Deposit: true,
		Updated: updated, Kind: "SPOT", Balances: list, May: []string{"SPOT"},
	}, nil
}

func myTrades(c *call) (any, error) {
	p, limit, start, end, refused := c.past()
	if refused != nil {
		return nil, refused
	}
	q := &FillQuery{Market: p.ID, Limit: limit, Start: start, End: end}
	order, refused := c.number("orderId")
	if refused != nil {
		return nil, refused
	}
	from, refused := c.number("fromId")
	if refused != nil {
		return nil, refused
	}
	if c.sent("fromId") && from == 0 {
		from = 1
	}
	q.Order, q.From = market.OrderID(order), market.TradeID(from)
	all, err := c.key.Account.Fills(c.ctx, q)
	if err != nil {
		return nil, err
	}
	list := []tradeValue{}
	for i := range all {
		list = append(list, p.trade(&all[i]))
	}
	return list, nil
}

// pairTarget reads which OCO pair is meant.
func (c *call) pairTarget(client string) (market.OrderID, *Error) {
	n, refused := c.number("orderListId")
	if refused != nil {
		return 0, refused
	}
	name := c.text(client)
	if n == 0 && name != "" {
		if n, err := strconv.ParseUint(strings.TrimPrefix(name, "list-"), 10, 63); err == nil {
			return market.OrderID(n), nil
		}
		return 0, bad(codeNoOrder, "Order list does not exist.")
	}
	if n == 0 {
		return 0, bad(codeMissing, "Param '%s' or 'orderListId' must be sent, but both were empty/null!", client)
	}
	return market.OrderID(n), nil
}
