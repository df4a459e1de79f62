package binance

import (
	"net/http"
	"strconv"
	"strings"
)

// auth is what a request must come with.
type auth uint8

const (
	nobody  auth = iota // nothing
	keyOnly             // a key that is known
	signed              // a key, and a signature with it
)

// endpoint is one kind of request.
type endpoint struct {
	auth   auth
	scope  Scope
	weight int // 0: 1
	do     func(*call) (any, error)
	more   func(*call) int // weight of what is asked for besides; nil: none
}

// find is the endpoint of a path. known tells whether the path has others.
func find(method, path string) (e *endpoint, known bool) {
	methods, ok := endpoints[path]
	if !ok {
		return nil, false
	}
	e, ok = methods[method]
	if !ok {
		return nil, true
	}
	return e, true
}

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	remove = http.MethodDelete
)

// endpoints are all requests of REST by path and method.
var endpoints = map[string]map[string]*endpoint{ //nolint:gochecknoglobals // a table
	"/api/v3/ping":         {get: {do: ping}},
	"/api/v3/time":         {get: {do: serverTime}},
	"/api/v3/exchangeInfo": {get: {weight: 20, do: exchangeInfo}},

	"/api/v3/depth":             {get: {weight: 5, do: depth, more: deep}},
	"/api/v3/trades":            {get: {weight: 25, do: recentTrades}},
	"/api/v3/historicalTrades":  {get: {weight: 25, do: historicalTrades}},
	"/api/v3/aggTrades":         {get: {weight: 4, do: aggTrades}},
	"/api/v3/klines":            {get: {weight: 2, do: klines}},
	"/api/v3/uiKlines":          {get: {weight: 2, do: klines}},
	"/api/v3/avgPrice":          {get: {weight: 2, do: avgPrice}},
	"/api/v3/ticker/24hr":       {get: {weight: 2, do: dayTicker, more: many}},
	"/api/v3/ticker/tradingDay": {get: {weight: 4, do: tradingDay, more: many}},
	"/api/v3/ticker/price":      {get: {weight: 2, do: priceTicker}},
	"/api/v3/ticker/bookTicker": {get: {weight: 2, do: bookTicker}},
	"/api/v3/ticker":            {get: {weight: 4, do: windowTicker, more: many}},

	"/api/v3/order": {
		post:   {auth: signed, scope: Trade, do: once(placeOrder)},
		get:    {auth: signed, scope: Read, weight: 4, do: queryOrder},
		remove: {auth: signed, scope: Trade, do: cancelOrder},
	},
	"/api/v3/order/test":               {post: {auth: signed, scope: Trade, do: testOrder}},
	"/api/v3/order/cancelReplace":      {post: {auth: signed, scope: Trade, do: once(cancelReplace)}},
	"/api/v3/order/amend/keepPriority": {put: {auth: signed, scope: Trade, weight: 4, do: amendOrder}},
	"/api/v3/order/oco":                {post: {auth: signed, scope: Trade, do: once(placeOldPair)}},
	"/api/v3/orderList/oco":            {post: {auth: signed, scope: Trade, do: once(placePair)}},
	"/api/v3/orderList": {
		get:    {auth: signed, scope: Read, weight: 4, do: queryPair},
		remove: {auth: signed, scope: Trade, do: cancelPair},
	},
	"/api/v3/allOrderList":  {get: {auth: signed, scope: Read, weight: 20, do: allPairs}},
	"/api/v3/openOrderList": {get: {auth: signed, scope: Read, weight: 6, do: openPairs}},
	"/api/v3/openOrders": {
		get:    {auth: signed, scope: Read, weight: 6, do: openOrders},
		remove: {auth: signed, scope: Trade, do: cancelOpenOrders},
	},
	"/api/v3/allOrders":          {get: {auth: signed, scope: Read, weight: 20, do: allOrders}},
	"/api/v3/account":            {get: {auth: signed, scope: Read, weight: 20, do: account}},
	"/api/v3/myTrades":           {get: {auth: signed, scope: Read, weight: 20, do: myTrades}},
	"/api/v3/rateLimit/order":    {get: {auth: signed, scope: Read, weight: 40, do: orderLimits}},
	"/api/v3/account/commission": {get: {auth: signed, scope: Read, weight: 20, do: commission}},

	"/api/v3/userDataStream": {
		post:   {auth: keyOnly, scope: Read, weight: 2, do: startStream},
		put:    {auth: keyOnly, scope: Read, weight: 2, do: keepStream},
		remove: {auth: keyOnly, scope: Read, weight: 2, do: endStream},
	},

	// What clients ask of other kinds of accounts, and there is nothing of here (N-61).
	"/fapi/v1/exchangeInfo":             {get: {do: noMarkets}},
	"/dapi/v1/exchangeInfo":             {get: {do: noMarkets}},
	"/sapi/v1/capital/config/getall":    {get: {auth: signed, scope: Read, do: emptyList}},
	"/sapi/v1/margin/allPairs":          {get: {auth: keyOnly, scope: Read, do: emptyList}},
	"/sapi/v1/margin/isolated/allPairs": {get: {auth: signed, scope: Read, do: emptyList}},
	"/sapi/v1/asset/tradeFee":           {get: {auth: signed, scope: Read, do: tradeFees}},
	"/sapi/v1/account/apiTradingStatus": {get: {auth: signed, scope: Read, do: tradingStatus}},
	"/sapi/v1/system/status":            {get: {do: systemStatus}},
}

// deep is what a book of many levels weighs more than one of 100.
func deep(c *call) int {
	n, _ := strconv.ParseUint(c.values["limit"], 10, 63)
	switch {
	case n > 1_000:
		return 245
	case n > 500:
		return 45
	case n > 100:
		return 20
	}
	return 0
}

// many is what tickers of several markets weigh more than one.
func many(c *call) int {
	if c.values["symbol"] != "" {
		return 0
	}
	if list := c.values["symbols"]; list != "" {
		return min(2*strings.Count(list, ","), 78)
	}
	return 78
}

func ping(*call) (any, error) { return struct{}{}, nil }

func serverTime(c *call) (any, error) {
	return struct {
		Time uint64 `json:"serverTime"`
	}{c.now}, nil
}

func noMarkets(c *call) (any, error) {
	clear(c.unread)
	return struct {
		Symbols []string `json:"symbols"`
	}{[]string{}}, nil
}

func emptyList(c *call) (any, error) {
	clear(c.unread)
	return []string{}, nil
}

func systemStatus(*call) (any, error) {
	return struct {
		Status int    `json:"status"`
		Text   string `json:"msg"`
	}{0, "normal"}, nil
}

func tradingStatus(*call) (any, error) {
	return struct {
		Data struct {
			Locked bool `json:"isLocked"`
		} `json:"data"`
	}{}, nil
}
