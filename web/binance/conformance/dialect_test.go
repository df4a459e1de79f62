package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"souk/exchange/market"
	"souk/web/binance"
)

// order is an order as the dialect answers it.
type order struct {
	ID         int64  `json:"orderId"`
	List       int64  `json:"orderListId"`
	Client     string `json:"clientOrderId"`
	Origin     string `json:"origClientOrderId"`
	Status     string `json:"status"`
	Type       string `json:"type"`
	TIF        string `json:"timeInForce"`
	Price      string `json:"price"`
	Trigger    string `json:"stopPrice"`
	Quantity   string `json:"origQty"`
	Filled     string `json:"executedQty"`
	Value      string `json:"cummulativeQuoteQty"`
	Settlement string `json:"settlement"`
	Working    *bool  `json:"isWorking"`
	Fills      []struct {
		Price string `json:"price"`
		Size  string `json:"qty"`
		Fee   string `json:"commission"`
		Asset string `json:"commissionAsset"`
	} `json:"fills"`
}

// form makes parameters of pairs.
func form(pairs ...string) url.Values {
	v := url.Values{"symbol": {"BTCEUR"}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// TestDialect asks for everything that an account can be asked for. All of it is asked of
// one world, which takes a while to start.
func TestDialect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, binance.Limits{Weight: 1_000_000, Sockets: 10_000})
	w.liquidity()
	for name, test := range map[string]func(*world, *testing.T){
		"signatures": (*world).signatures, "keys": (*world).scopes, "orders": (*world).orders, "refusals": (*world).refusals,
		"replace": (*world).replace, "pairs": (*world).ocoPairs, "protection": (*world).protection, "rates": (*world).rates,
		"user stream": (*world).userStream, "WebSocket API": (*world).socketAPI, "other": (*world).other, "server": (*world).public,
	} {
		t.Run(name, func(t *testing.T) {
			on := *w
			on.T = t
			test(&on, t)
		})
	}
}

// fails makes sure that a request is refused with a code.
func fails(t *testing.T, what string, err error, code int) {
	t.Helper()
	var e *refusal
	if !errors.As(err, &e) || e.Code != code || e.Text == "" || e.Status < 400 {
		t.Errorf("%s: %v, want %d", what, err, code)
	}
}

// N-11, N-12: where parameters may stand, what is signed, and what time it is.
func (w *world) signatures(t *testing.T) {
	c, ctx := w.caller(w.trader("signatures", binance.HMAC)), t.Context()
	now := func(off time.Duration) string {
		return "timestamp=" + strconv.FormatInt(time.Now().Add(off).UnixMilli(), 10)
	}
	body := "symbol=BTCEUR&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=40000"
	query, plain := now(0)+"&newClientOrderId=a%3Ab", body+"&"+now(0)
	var o order
	for what, request := range map[string][2]string{
		"mixed":           {query + "&signature=" + c.sign(query+body), body},
		"in the body":     {"", plain + "&newClientOrderId=c&signature=" + c.sign(plain+"&newClientOrderId=c")},
		"signature first": {"signature=" + c.sign(plain+"&newClientOrderId=d") + "&" + plain + "&newClientOrderId=d", ""},
	} {
		if err := c.send(ctx, "POST", "/api/v3/order?"+request[0], request[1], &o); err != nil || o.Status != "NEW" {
			t.Errorf("%s: %v, %+v", what, err, o)
		}
	}
	account := func(query, signature string) error {
		return c.send(ctx, "GET", "/api/v3/account?"+query+"&signature="+signature, "", nil)
	}
	ahead, behind, wide := now(5*time.Second), now(-6*time.Second), now(-6*time.Second)+"&recvWindow=10000"
	fails(t, "wrong signature", account(now(0), c.sign("x")), -1022)
	fails(t, "no hexadecimal", account(now(0), "xyz"), -1022)
	fails(t, "no signature", c.send(ctx, "GET", "/api/v3/account?"+now(0), "", nil), -1102)
	fails(t, "no timestamp", account("recvWindow=5", c.sign("recvWindow=5")), -1102)
	fails(t, "ahead", account(ahead, c.sign(ahead)), -1021)
	fails(t, "behind", account(behind, c.sign(behind)), -1021)
	if err := account(wide, c.sign(wide)); err != nil {
		t.Errorf("within its window: %v", err)
	}
	long := now(0) + "&recvWindow=60001"
	fails(t, "window", account(long, c.sign(long)), -1130)
	// N-13: the same bytes once more.
	again := body + "&" + now(0)
	target := "/api/v3/order?" + again + "&signature=" + c.sign(again)
	if err := c.send(ctx, "POST", target, "", &o); err != nil {
		t.Error(err)
	}
	fails(t, "sent again", c.send(ctx, "POST", target, "", nil), -2010)
}

// N-10: what keys may do.
func (w *world) scopes(t *testing.T) {
	tr, ctx := w.trader("scopes", binance.HMAC), t.Context()
	c := w.caller(tr)
	add := func(id string, change func(*binance.Key)) *caller {
		k := *tr.key
		k.ID = id
		change(&k)
		w.keys.add(&k)
		return &caller{c.http, c.base, id, c.secret}
	}
	place := func() url.Values {
		return form("side", "BUY", "type", "LIMIT", "timeInForce", "GTC", "quantity", "0.01", "price", "40000")
	}
	read := add("reads", func(k *binance.Key) { k.Scopes = binance.Read })
	fails(t, "place with a key that reads", read.signed(ctx, "POST", "/api/v3/order", place(), nil), -2015)
	if err := read.signed(ctx, "GET", "/api/v3/account", url.Values{}, nil); err != nil {
		t.Error(err)
	}
	trade := add("trades", func(k *binance.Key) { k.Scopes = binance.Trade })
	fails(t, "read with a key that trades", trade.signed(ctx, "GET", "/api/v3/account", url.Values{}, nil), -2015)
	other := add("elsewhere", func(k *binance.Key) { k.Markets = []market.ID{2} })
	fails(t, "another market", other.signed(ctx, "POST", "/api/v3/order", place(), nil), -2010)
	fails(t, "cancel all of another market", other.signed(ctx, "DELETE", "/api/v3/openOrders", form(), nil), -2010)
	expired := add("expired", func(k *binance.Key) { k.Expiry = 1 })
	fails(t, "expired", expired.signed(ctx, "GET", "/api/v3/account", url.Values{}, nil), -2015)
	unknown := &caller{c.http, c.base, "nobody", c.secret}
	fails(t, "unknown", unknown.signed(ctx, "GET", "/api/v3/account", url.Values{}, nil), -2015)
	without := &caller{c.http, c.base, "", c.secret}
	fails(t, "without a key", without.signed(ctx, "GET", "/api/v3/account", url.Values{}, nil), -2014)
	slow := add("slow", func(k *binance.Key) { k.Limits = binance.Limits{Orders: 1} })
	if err := slow.signed(ctx, "DELETE", "/api/v3/order", form("orderId", "1"), nil); err == nil {
		t.Error("cancelled nothing")
	}
	var first, second error
	for range 3 { // two of three orders are in the same ten seconds
		first, second = second, slow.signed(ctx, "POST", "/api/v3/order", place(), nil)
		if second != nil {
			break
		}
	}
	fails(t, "too many orders", errors.Join(first, second), -1015)
}

// N-40, N-43, N-44: orders of every type, how they end, and what is said of it.
func (w *world) orders(t *testing.T) {
	c, ctx := w.caller(w.trader("orders", binance.HMAC)), t.Context()
	for _, test := range []struct{ status, params string }{
		{"NEW LIMIT GTC", "side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=40000.00"},
		{"NEW LIMIT_MAKER GTC", "side=SELL&type=LIMIT_MAKER&quantity=0.01000000&price=60000"},
		{"EXPIRED LIMIT IOC", "side=BUY&type=LIMIT&timeInForce=IOC&quantity=0.01&price=40000"},
		{"EXPIRED LIMIT FOK", "side=BUY&type=LIMIT&timeInForce=FOK&quantity=0.01&price=40000"},
		{"FILLED LIMIT FOK", "side=BUY&type=LIMIT&timeInForce=FOK&quantity=0.01&price=50100"},
		{"FILLED LIMIT GTC", "side=SELL&type=LIMIT&timeInForce=GTC&quantity=0.01&price=49900"},
		{"FILLED MARKET GTC", "side=BUY&type=MARKET&quantity=0.01"},
		{"FILLED MARKET GTC", "side=SELL&type=MARKET&quantity=0.01"},
		{"FILLED MARKET GTC", "side=BUY&type=MARKET&quoteOrderQty=600"},
		{"FILLED MARKET GTC", "side=SELL&type=MARKET&quoteOrderQty=600"},
		{"NEW STOP_LOSS GTC", "side=SELL&type=STOP_LOSS&quantity=0.01&stopPrice=45000"},
		{"NEW STOP_LOSS_LIMIT GTC", "side=BUY&type=STOP_LOSS_LIMIT&timeInForce=GTC&quantity=0.01&stopPrice=55000&price=55100"},
		{"NEW TAKE_PROFIT GTC", "side=SELL&type=TAKE_PROFIT&quantity=0.01&stopPrice=55000"},
		{"NEW TAKE_PROFIT_LIMIT GTC", "side=BUY&type=TAKE_PROFIT_LIMIT&timeInForce=GTC&quantity=0.01&stopPrice=45000&price=45100"},
	} {
		params, err := url.ParseQuery(test.params)
		if err != nil {
			t.Fatal(err)
		}
		params.Set("symbol", "BTCEUR")
		params.Set("newOrderRespType", "FULL")
		var placed, asked order
		if err := c.signed(ctx, "POST", "/api/v3/order", params, &placed); err != nil {
			t.Errorf("%s: %v", test.params, err)
			continue
		}
		if got := placed.Status + " " + placed.Type + " " + placed.TIF; got != test.status || placed.Settlement != "FINAL" || placed.List != -1 || len(placed.Client) != 22 {
			t.Errorf("%s: %s, want %s: %+v", test.params, got, test.status, placed)
		}
		if (placed.Status == "FILLED") != (len(placed.Fills) > 0) {
			t.Errorf("%s: fills %+v", test.params, placed.Fills)
		}
		if err := c.signed(ctx, "GET", "/api/v3/order", form("origClientOrderId", placed.Client), &asked); err != nil {
			t.Errorf("%s: %v", test.params, err)
		}
		stop := strings.Contains(test.params, "stopPrice")
		if asked.ID != placed.ID || asked.Status != placed.Status || asked.Filled != placed.Filled || asked.Value != placed.Value || *asked.Working == stop {
			t.Errorf("%s: asked for it: %+v, placed %+v", test.params, asked, placed)
		}
	}
	var ack map[string]any
	if err := c.signed(ctx, "POST", "/api/v3/order", form("side", "BUY", "type", "LIMIT", "timeInForce", "GTC", "quantity", "0.01", "price", "40001", "newOrderRespType", "ACK", "newClientOrderId", "mine"), &ack); err != nil || len(ack) != 5 {
		t.Errorf("ACK: %v, %v", ack, err)
	}
	fails(t, "the same id", c.signed(ctx, "POST", "/api/v3/order", form("side", "BUY", "type", "LIMIT", "timeInForce", "GTC", "quantity", "0.02", "price", "40001", "newClientOrderId", "mine"), nil), -2010)
	w.lists(ctx, t, c)
}

// lists asks for lists of orders and fills, and takes all orders back.
func (w *world) lists(ctx context.Context, t *testing.T, c *caller) {
	t.Helper()
	var open, all, cancelled, later []order
	if err := c.signed(ctx, "GET", "/api/v3/openOrders", url.Values{}, &open); err != nil || len(open) != 7 {
		t.Errorf("%d open orders, %v", len(open), err)
	}
	if err := c.signed(ctx, "GET", "/api/v3/allOrders", form(), &all); err != nil || len(all) != 15 {
		t.Errorf("%d orders, %v", len(all), err)
	}
	if err := c.signed(ctx, "GET", "/api/v3/allOrders", form("orderId", strconv.FormatInt(all[3].ID, 10), "limit", "2"), &later); err != nil || len(later) != 2 || later[0].ID != all[3].ID {
		t.Errorf("%+v, %v", later, err)
	}
	var trades []map[string]any
	if err := c.signed(ctx, "GET", "/api/v3/myTrades", form(), &trades); err != nil || len(trades) < 6 {
		t.Errorf("%d fills, %v", len(trades), err)
	}
	if err := c.signed(ctx, "DELETE", "/api/v3/openOrders", form(), &cancelled); err != nil || len(cancelled) != 7 {
		t.Errorf("%d cancelled, %v", len(cancelled), err)
	}
	for _, o := range cancelled {
		if o.Status != "CANCELED" || o.Origin == "" {
			t.Errorf("cancelled %+v", o)
		}
	}
	fails(t, "cancel all of nothing", c.signed(ctx, "DELETE", "/api/v3/openOrders", form(), nil), -2011)
	var account struct {
		Balances []struct{ Asset, Free, Locked string } `json:"balances"`
	}
	if err := c.signed(ctx, "GET", "/api/v3/account", form("omitZeroBalances", "true"), &account); err == nil {
		t.Error("a symbol that is not read is taken")
	}
	if err := c.signed(ctx, "GET", "/api/v3/account", url.Values{"omitZeroBalances": {"true"}}, &account); err != nil || len(account.Balances) != 2 {
		t.Errorf("%+v, %v", account, err)
	}
	for _, b := range account.Balances {
		if strings.Trim(b.Locked, "0.") != "" {
			t.Errorf("locked %+v", b)
		}
	}
}

// N-3, N-41, N-60: what is refused, and how.
func (w *world) refusals(t *testing.T) {
	c, ctx := w.caller(w.trader("refusals", binance.HMAC)), t.Context()
	limit := "side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=40000"
	for params, code := range map[string]int{
		"type=LIMIT&timeInForce=GTC&quantity=0.01&price=40000":                   -1102,
		"side=UP&type=LIMIT&timeInForce=GTC&quantity=0.01&price=40000":           -1117,
		"side=BUY&type=ODD&quantity=0.01":                                        -1116,
		"side=BUY&type=LIMIT&quantity=0.01&price=40000":                          -1102,
		"side=BUY&type=LIMIT&timeInForce=DAY&quantity=0.01&price=40000":          -1115,
		"side=BUY&type=LIMIT&timeInForce=GTC&price=40000":                        -1102,
		"side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01":                      -1102,
		"side=BUY&type=LIMIT&timeInForce=GTC&quantity=1e-2&price=40000":          -1100,
		"side=BUY&type=LIMIT&timeInForce=GTC&quantity=-1&price=40000":            -1100,
		"side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.012345678&price=40000":   -1111,
		"side=BUY&type=LIMIT&timeInForce=GTC&quantity=0&price=40000":             -1013,
		"side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010000010&price=40000":   -1013, // lot
		"side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=40000.00000001": -1013, // tick
		"side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.000001&price=40000":      -1013, // least value or lot
		"side=BUY&type=LIMIT&timeInForce=GTC&quantity=100&price=40000":           -2010, // funds
		"side=BUY&type=LIMIT_MAKER&quantity=0.01&price=51000":                    -2010,
		"side=BUY&type=MARKET&quantity=0.01&price=40000":                         -1106,
		"side=BUY&type=MARKET&quantity=0.01&quoteOrderQty=5":                     -1128,
		"side=BUY&type=MARKET":                                 -1102,
		"side=SELL&type=STOP_LOSS&quantity=0.01":               -1102,
		limit + "&stopPrice=1":                                 -1106,
		limit + "&icebergQty=1":                                -1106,
		limit + "&newClientOrderId=" + strings.Repeat("x", 37): -1100,
		limit + "&newClientOrderId=a%20b":                      -1100,
		limit + "&newOrderRespType=LONG":                       -1130,
		limit + "&selfTradePreventionMode=EXPIRE_TAKER":        -1013,
		limit + "&unheard=1":                                   -1104,
	} {
		v, err := url.ParseQuery(params)
		if err != nil {
			t.Fatal(err)
		}
		v.Set("symbol", "BTCEUR")
		fails(t, params, c.signed(ctx, "POST", "/api/v3/order", v, nil), code)
	}
	fails(t, "no such order", c.signed(ctx, "GET", "/api/v3/order", form("orderId", "123456789"), nil), -2013)
	fails(t, "which order?", c.signed(ctx, "GET", "/api/v3/order", form(), nil), -1102)
	fails(t, "cancel no such order", c.signed(ctx, "DELETE", "/api/v3/order", form("origClientOrderId", "none"), nil), -2011)
	var none []order
	if err := c.signed(ctx, "GET", "/api/v3/allOrders", form(), &none); err != nil || len(none) != 1 || none[0].Status != "REJECTED" { // the post-only one
		t.Errorf("refused orders left %+v, %v", none, err)
	}
}

// N-45: replacing and amending.
func (w *world) replace(t *testing.T) {
	c, ctx := w.caller(w.trader("replace", binance.HMAC)), t.Context()
	limit := func(more ...string) url.Values {
		return form(append([]string{"side", "BUY", "type", "LIMIT", "timeInForce", "GTC", "quantity", "0.02", "price", "40000"}, more...)...)
	}
	var o order
	if err := c.signed(ctx, "POST", "/api/v3/order", limit(), &o); err != nil {
		t.Fatal(err)
	}
	id := strconv.FormatInt(o.ID, 10)
	var amended struct {
		Order order `json:"amendedOrder"`
	}
	if err := c.signed(ctx, "PUT", "/api/v3/order/amend/keepPriority", form("orderId", id, "newQty", "0.01"), &amended); err != nil || amended.Order.Quantity != "0.01000000" || amended.Order.ID != o.ID {
		t.Errorf("amended %+v, %v", amended, err)
	}
	fails(t, "amend up", c.signed(ctx, "PUT", "/api/v3/order/amend/keepPriority", form("orderId", id, "newQty", "0.03"), nil), -2038)
	var r struct {
		Cancel   string `json:"cancelResult"`
		Place    string `json:"newOrderResult"`
		Canceled order  `json:"cancelResponse"`
		Placed   order  `json:"newOrderResponse"`
	}
	if err := c.signed(ctx, "POST", "/api/v3/order/cancelReplace", limit("cancelReplaceMode", "STOP_ON_FAILURE", "cancelOrderId", id), &r); err != nil ||
		r.Canceled.Status != "CANCELED" || r.Placed.Status != "NEW" {
		t.Errorf("%+v, %v", r, err)
	}
	fails(t, "replace what is gone", c.signed(ctx, "POST", "/api/v3/order/cancelReplace", limit("cancelReplaceMode", "STOP_ON_FAILURE", "cancelOrderId", id), nil), -2022)
	fails(t, "replace what is gone, and place", c.signed(ctx, "POST", "/api/v3/order/cancelReplace", limit("cancelReplaceMode", "ALLOW_FAILURE", "cancelOrderId", id), nil), -2021)
	fails(t, "no mode", c.signed(ctx, "POST", "/api/v3/order/cancelReplace", limit("cancelOrderId", id), nil), -1102)
	id = strconv.FormatInt(r.Placed.ID, 10)
	fails(t, "restricted", c.signed(ctx, "DELETE", "/api/v3/order", form("orderId", id, "cancelRestrictions", "ONLY_PARTIALLY_FILLED"), nil), -2011)
	if err := c.signed(ctx, "DELETE", "/api/v3/order", form("orderId", id, "newClientOrderId", "of-cancel"), &o); err != nil || o.Client != "of-cancel" || o.Origin != r.Placed.Client {
		t.Errorf("%+v, %v", o, err)
	}
}

// N-46: OCO pairs in both forms.
func (w *world) ocoPairs(t *testing.T) {
	c, ctx := w.caller(w.trader("pairs", binance.HMAC)), t.Context()
	type list struct {
		ID      int64   `json:"orderListId"`
		Status  string  `json:"listOrderStatus"`
		Client  string  `json:"listClientOrderId"`
		Orders  []order `json:"orders"`
		Reports []order `json:"orderReports"`
	}
	var p, asked, gone list
	if err := c.signed(ctx, "POST", "/api/v3/orderList/oco", form("side", "SELL", "quantity", "0.01", "aboveType", "LIMIT_MAKER", "abovePrice", "60000",
		"belowType", "STOP_LOSS", "belowStopPrice", "45000", "listClientOrderId", "both"), &p); err != nil {
		t.Fatal(err)
	}
	if p.Status != "EXECUTING" || p.Client != "both" || len(p.Orders) != 2 || len(p.Reports) != 2 || p.Reports[0].List != p.ID || p.Reports[1].Type != "STOP_LOSS" {
		t.Errorf("%+v", p)
	}
	id := strconv.FormatInt(p.ID, 10)
	if err := c.signed(ctx, "GET", "/api/v3/orderList", url.Values{"orderListId": {id}}, &asked); err != nil || asked.Status != "EXECUTING" || len(asked.Orders) != 2 {
		t.Errorf("%+v, %v", asked, err)
	}
	var open []list
	if err := c.signed(ctx, "GET", "/api/v3/openOrderList", url.Values{}, &open); err != nil || len(open) != 1 {
		t.Errorf("%+v, %v", open, err)
	}
	if err := c.signed(ctx, "DELETE", "/api/v3/orderList", form("orderListId", id), &gone); err != nil || gone.Status != "ALL_DONE" || len(gone.Reports) != 2 || gone.Reports[1].Status != "CANCELED" {
		t.Errorf("%+v, %v", gone, err)
	}
	fails(t, "cancel a pair that is gone", c.signed(ctx, "DELETE", "/api/v3/orderList", form("orderListId", id), nil), -2011)
	fails(t, "no such pair", c.signed(ctx, "GET", "/api/v3/orderList", url.Values{"orderListId": {"99999999"}}, nil), -2013)
	fails(t, "the wrong way round", c.signed(ctx, "POST", "/api/v3/orderList/oco", form("side", "BUY", "quantity", "0.01", "aboveType", "LIMIT_MAKER", "abovePrice", "60000",
		"belowType", "STOP_LOSS", "belowStopPrice", "45000"), nil), -1116)
	// The limit leg trades: the stop ends with it.
	if err := c.signed(ctx, "POST", "/api/v3/order/oco", form("side", "BUY", "quantity", "0.01", "price", "50100", "stopPrice", "55000", "stopLimitPrice", "55100",
		"stopLimitTimeInForce", "GTC"), &p); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"FILLED", "EXPIRED"} {
		var o order
		if err := c.signed(ctx, "GET", "/api/v3/order", form("orderId", strconv.FormatInt(p.Orders[i].ID, 10)), &o); err != nil || o.Status != want || o.List != p.ID {
			t.Errorf("leg %d: %+v, %v", i, o, err)
		}
	}
}

// N-42: an order at the market has a worst price, and a buyer with just enough funds gets what he can pay.
func (w *world) protection(t *testing.T) {
	c, ctx := w.caller(w.trader("protection", binance.HMAC)), t.Context()
	var o order
	// 100,000 EUR buy 1.9960 at 50,100, and no more.
	if err := c.signed(ctx, "POST", "/api/v3/order", form("side", "BUY", "type", "MARKET", "quantity", "1.996"), &o); err != nil || o.Status != "FILLED" {
		t.Errorf("%+v, %v", o, err)
	}
	fails(t, "more than there is", c.signed(ctx, "POST", "/api/v3/order", form("side", "BUY", "type", "MARKET", "quantity", "1"), nil), -2010)
	fails(t, "nobody to trade with", c.signed(ctx, "POST", "/api/v3/order", url.Values{
		"symbol": {w.pairs[1].BaseSymbol + w.pairs[1].QuoteSymbol}, "side": {"BUY"}, "type": {"MARKET"}, "quoteOrderQty": {"1"},
	}, nil), -2010)
}

// N-50: what of the limits of orders is used.
func (w *world) rates(t *testing.T) {
	tr := w.trader("rates", binance.HMAC)
	tr.key.Limits = binance.Limits{Orders: 1_000}
	c, ctx := w.caller(tr), t.Context()
	if err := c.signed(ctx, "POST", "/api/v3/order", form("side", "BUY", "type", "LIMIT", "timeInForce", "GTC", "quantity", "0.01", "price", "40000"), nil); err != nil {
		t.Fatal(err)
	}
	var limits []struct {
		Interval     string
		Limit, Count int
	}
	if err := c.signed(ctx, "GET", "/api/v3/rateLimit/order", url.Values{}, &limits); err != nil || len(limits) != 2 || limits[0].Limit != 1_000 || limits[1].Count != 1 {
		t.Errorf("%+v, %v", limits, err)
	}
}

// event is what streams of accounts say.
type event struct {
	Event  string `json:"e"`
	At     uint64 `json:"E"`
	Status string `json:"X"`
	What   string `json:"x"`
	ID     int64  `json:"i"`
	Ignore int64  `json:"I"`
	Client string `json:"c"`
	Origin string `json:"C"`
	Size   string `json:"l"`
	Last   string `json:"L"`
	Key    string `json:"listenKey"`
}

// next reads the next message into v.
func next(t *testing.T, conn *websocket.Conn, v any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, data, err := conn.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
}

// N-35: user streams by listen key.
func (w *world) userStream(t *testing.T) {
	c, ctx := w.caller(w.trader("userstream", binance.HMAC)), t.Context()
	var key struct {
		Key string `json:"listenKey"`
	}
	if err := c.send(ctx, "POST", "/api/v3/userDataStream", "", &key); err != nil || len(key.Key) < 60 {
		t.Fatal(err, key)
	}
	first := key.Key
	if err := c.send(ctx, "POST", "/api/v3/userDataStream", "", &key); err != nil || key.Key != first {
		t.Errorf("another key: %v", err)
	}
	fails(t, "prolong what there is not", c.send(ctx, "PUT", "/api/v3/userDataStream?listenKey=x", "", nil), -1125)
	if err := c.send(ctx, "PUT", "/api/v3/userDataStream?listenKey="+first, "", nil); err != nil {
		t.Error(err)
	}
	conn, err := w.dial(ctx, "/ws/"+first)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow() //nolint:errcheck // it is over
	var o order
	if err := c.signed(ctx, "POST", "/api/v3/order", form("side", "BUY", "type", "LIMIT", "timeInForce", "GTC", "quantity", "0.01", "price", "50100", "newClientOrderId", "seen"), &o); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"executionReport NEW NEW", "executionReport TRADE FILLED", "outboundAccountPosition  "} {
		var e event
		next(t, conn, &e)
		if got := e.Event + " " + e.What + " " + e.Status; got != want {
			t.Errorf("event %d is %s, want %s", i, got, want)
		}
		if e.Event == "executionReport" && (e.ID != o.ID || e.Client != "seen") {
			t.Errorf("%+v", e)
		}
	}
	if err := c.send(ctx, "DELETE", "/api/v3/userDataStream?listenKey="+first, "", nil); err != nil {
		t.Error(err)
	}
	var e event
	if next(t, conn, &e); e.Event != "listenKeyExpired" || e.Key != first {
		t.Errorf("%+v", e)
	}
	if _, err := w.dial(ctx, "/ws/"+first); err == nil {
		t.Error("a listen key that was ended opens a stream")
	}
}

// reply is an answer of the WebSocket API.
type reply struct {
	ID     string          `json:"id"`
	Status int             `json:"status"`
	Result json.RawMessage `json:"result"`
	Error  *refusal        `json:"error"`
	Event  *event          `json:"event"`
	Limits []any           `json:"rateLimits"`
}

// N-11, N-35: the WebSocket API, before and after logging on.
func (w *world) socketAPI(t *testing.T) {
	tr := w.trader("socket", binance.HMAC)
	c := w.caller(tr)
	conn, err := w.dial(t.Context(), "/ws-api/v3")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow() //nolint:errcheck // it is over
	var events []event
	ask := func(method string, params map[string]any) reply {
		t.Helper()
		data, err := json.Marshal(map[string]any{"id": method, "method": method, "params": params})
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Write(t.Context(), websocket.MessageText, data); err != nil {
			t.Fatal(err)
		}
		for {
			var r reply
			if next(t, conn, &r); r.Event == nil {
				if r.ID != method {
					t.Errorf("%s: an answer to %s", method, r.ID)
				}
				return r
			}
			events = append(events, *r.Event)
		}
	}
	signed := func(params map[string]any) map[string]any {
		params["apiKey"], params["timestamp"] = c.key, time.Now().UnixMilli()
		v := url.Values{}
		for name, value := range params {
			v.Set(name, fmt.Sprint(value))
		}
		plain, err := url.QueryUnescape(v.Encode())
		if err != nil {
			t.Fatal(err)
		}
		params["signature"] = c.sign(plain)
		return params
	}
	if r := ask("depth", map[string]any{"symbol": "BTCEUR", "limit": 5}); r.Status != http.StatusOK || len(r.Limits) == 0 || !strings.Contains(string(r.Result), "lastUpdateId") {
		t.Errorf("%+v", r)
	}
	if r := ask("ticker.price", map[string]any{"symbols": []string{"BTCEUR"}}); r.Status != http.StatusOK || !strings.HasPrefix(string(r.Result), `[{"symbol":"BTCEUR"`) {
		t.Errorf("%+v", r)
	}
	if r := ask("dance", nil); r.Status != http.StatusBadRequest || r.Error.Code != -1020 {
		t.Errorf("%+v", r)
	}
	if r := ask("session.logon", signed(map[string]any{})); r.Error == nil || r.Error.Code != -4056 {
		t.Errorf("logged on with a secret: %+v", r)
	}
	if r := ask("order.place", map[string]any{"symbol": "BTCEUR"}); r.Status != http.StatusUnauthorized || r.Error.Code != -2014 {
		t.Errorf("%+v", r)
	}
	if r := ask("userDataStream.subscribe.signature", signed(map[string]any{})); string(r.Result) != `{"subscriptionId":0}` {
		t.Errorf("%+v", r)
	}
	order := map[string]any{"symbol": "BTCEUR", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 0.01, "price": "40000", "newClientOrderId": "socket"}
	if r := ask("order.place", signed(order)); r.Status != http.StatusOK || !strings.Contains(string(r.Result), `"status":"NEW"`) {
		t.Errorf("%+v", r)
	}
	wrong := signed(map[string]any{"symbol": "BTCEUR", "origClientOrderId": "socket"})
	wrong["symbol"] = "LTCEUR"
	if r := ask("order.status", wrong); r.Error == nil || r.Error.Code != -1022 {
		t.Errorf("%+v", r)
	}
	if r := ask("order.cancel", signed(map[string]any{"symbol": "BTCEUR", "origClientOrderId": "socket"})); !strings.Contains(string(r.Result), `"status":"CANCELED"`) {
		t.Errorf("%+v", r)
	}
	for len(events) < 4 { // NEW, balances, CANCELED, balances
		var r reply
		next(t, conn, &r)
		events = append(events, *r.Event)
	}
	if e := events[2]; e.Event != "executionReport" || e.What != "CANCELED" || e.Origin != "socket" {
		t.Errorf("%+v", events)
	}
	// A key that is taken back ends the subscription.
	w.keys.remove(c.key)
	for {
		var r reply
		if next(t, conn, &r); r.Event != nil && r.Event.Event == "listenKeyExpired" {
			break
		}
	}
}

// N-61: what clients ask of other kinds of accounts.
func (w *world) other(t *testing.T) {
	c, ctx := w.caller(w.trader("other", binance.HMAC)), t.Context()
	for _, path := range []string{"/fapi/v1/exchangeInfo", "/dapi/v1/exchangeInfo", "/sapi/v1/system/status", "/api/v3/ping", "/api/v3/time"} {
		if err := c.send(ctx, "GET", path, "", nil); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{"/sapi/v1/capital/config/getall", "/sapi/v1/margin/allPairs", "/sapi/v1/margin/isolated/allPairs", "/sapi/v1/asset/tradeFee"} {
		var list []any
		if err := c.signed(ctx, "GET", path, url.Values{}, &list); err != nil || list == nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	var fees struct {
		Standard struct{ Maker, Taker string } `json:"standardCommission"`
	}
	if err := c.signed(ctx, "GET", "/api/v3/account/commission", form(), &fees); err != nil || fees.Standard.Taker == "" {
		t.Errorf("%+v, %v", fees, err)
	}
}

// N-1: a server answers what needs no key, and nothing else.
func (w *world) public(t *testing.T) {
	base, ctx := w.local.URLs[0], t.Context()
	c := &caller{http: http.DefaultClient, base: base, key: "key", secret: "secret"}
	var info struct {
		Symbols []struct{ Symbol string } `json:"symbols"`
	}
	if err := c.send(ctx, "GET", "/api/v3/exchangeInfo", "", &info); err != nil || len(info.Symbols) != len(w.pairs) || info.Symbols[0].Symbol != "BTCEUR" {
		t.Errorf("%+v, %v", info, err)
	}
	fails(t, "an order", c.signed(ctx, "POST", "/api/v3/order", form("side", "BUY", "type", "MARKET", "quantity", "1"), nil), -2015)
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(base, "http")+"/ws/btceur@depth20@100ms", nil) //nolint:bodyclose // there is none
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow() //nolint:errcheck // it is over
	var streamed, asked depthValue
	for len(streamed.Bids) == 0 { // the first may be from before the server's tape was there
		next(t, conn, &streamed)
	}
	if err := c.send(ctx, "GET", "/api/v3/depth?symbol=BTCEUR&limit=20", "", &asked); err != nil || asked.Last < streamed.Last || len(asked.Asks) == 0 {
		t.Errorf("%+v, %+v, %v", asked, streamed, err)
	}
}
