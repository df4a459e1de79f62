package binance

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Limits of a connection of the WebSocket API.
const (
	maxUnderWay      = 64
	maxSubscriptions = 100
)

// apiSocket is a connection of the WebSocket API.
type apiSocket struct {
	*socket
	h         *Handler
	from      string
	connected uint64
	slots     chan struct{}
	work      sync.WaitGroup

	mu      sync.Mutex
	session string // API key that is logged on; empty: none
	since   uint64
	next    int
	streams map[int]func() // ends of subscriptions
}

// frame is what a client sends.
type frame struct {
	ID     json.RawMessage            `json:"id"`
	Method string                     `json:"method"`
	Params map[string]json.RawMessage `json:"params"`
}

// answer is what it is sent.
type answer struct {
	ID     json.RawMessage `json:"id"`
	Status int             `json:"status"`
	Result any             `json:"result,omitempty"`
	Error  *Error          `json:"error,omitempty"`
	Limits []rateLimit     `json:"rateLimits,omitempty"`
}

// serveSocketAPI answers /ws-api/v3.
func (h *Handler) serveSocketAPI(w http.ResponseWriter, r *http.Request) {
	a := &apiSocket{h: h, from: address(r), connected: h.now(), slots: make(chan struct{}, maxUnderWay), streams: map[int]func(){}}
	h.accept(w, r, func(s *socket) bool {
		s.tokens = 1 << 30 // requests have weights
		a.socket = s
		return true
	}, func(_ *socket, data []byte) bool { return a.serve(data) })
	a.work.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, end := range a.streams {
		end()
	}
}

// serve starts the work on a request; it waits while too many are under way.
func (a *apiSocket) serve(data []byte) bool {
	select {
	case a.slots <- struct{}{}:
	case <-a.ctx.Done():
		return false
	}
	a.work.Go(func() {
		defer func() { <-a.slots }()
		a.reply(a.handle(data))
	})
	return true
}

func (a *apiSocket) reply(v *answer) {
	if len(v.ID) == 0 {
		v.ID = json.RawMessage("null")
	}
	if v.Error != nil {
		v.Status = v.Error.Status
		if v.Error.retry > 0 && v.Error.Data == nil {
			now := a.h.now()
			v.Error.Data = map[string]uint64{"serverTime": now, "retryAfter": now + uint64(v.Error.retry.Milliseconds())}
		}
	}
	data, err := json.Marshal(v)
	if err != nil {
		panic("binance: an answer that is no JSON: " + err.Error()) //nolint:forbidigo // all answers are made here
	}
	a.send(data)
}

// handle carries a request out.
func (a *apiSocket) handle(data []byte) *answer {
	var f frame
	v := &answer{Status: http.StatusOK}
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	c := &call{h: a.h, ctx: ctx, values: map[string]string{}, unread: map[string]bool{}, header: http.Header{}, now: a.h.now(), socket: a, from: a.from}
	if err := json.Unmarshal(data, &f); err != nil {
		v.Error = cmp.Or(c.countOther(&endpoint{}), bad(codeChars, "Illegal JSON in the request."))
		return v
	}
	v.ID = f.ID
	e, ok := methods[f.Method]
	if !ok {
		v.Error = cmp.Or(c.countOther(&endpoint{}), bad(codeUnsupported, "Unknown method '%s'.", f.Method))
		return v
	}
	result, err := c.overSocket(e, f.Params)
	if err != nil {
		v.Error = a.h.failure(err, codeUnknown)
	} else {
		v.Result = result
	}
	v.Limits = c.used()
	return v
}

// overSocket checks and runs a request of the WebSocket API.
func (c *call) overSocket(e *endpoint, params map[string]json.RawMessage) (any, error) {
	if refused := c.take(params); refused != nil {
		return nil, cmp.Or(c.countOther(e), refused)
	}
	c.drop("returnRateLimits")
	id := c.text("apiKey")
	c.socket.mu.Lock()
	session := c.socket.session
	c.socket.mu.Unlock()
	byName := id != ""
	id = cmp.Or(id, session)
	proven := !byName && session != ""
	if refused := c.admit(id, e, proven); refused != nil {
		return nil, refused
	}
	if proven && e.auth != nobody {
		if refused := c.inSession(e); refused != nil {
			return nil, refused
		}
		return c.run(e)
	}
	if refused := c.authorize(e, id, c.payload); refused != nil {
		return nil, refused
	}
	return c.run(e)
}

// take takes parameters in, as the WebSocket API has them.
func (c *call) take(params map[string]json.RawMessage) *Error {
	for name, raw := range params {
		value, ok := plainText(raw)
		if !ok {
			return illegal(name, "text, number, boolean or list")
		}
		if value == "" && string(raw) == "null" {
			continue
		}
		if refused := c.put(name, value); refused != nil {
			return refused
		}
	}
	return nil
}

// inSession checks a request of a client that has logged on: its signature may be left out.
func (c *call) inSession(e *endpoint) *Error {
	if c.key == nil || !c.key.may(e.scope) {
		return noKey()
	}
	if c.values["signature"] != "" {
		return c.verify(c.payload)
	}
	if c.values["timestamp"] != "" {
		if refused := c.clock(); refused != nil {
			return refused
		}
	}
	c.drop("timestamp", "recvWindow", "signature")
	return nil
}

// payload is what is signed on the WebSocket API (N-11).
func (c *call) payload() []byte {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(c.values)) {
		if name != "signature" {
			pairs = append(pairs, name+"="+c.values[name])
		}
	}
	return []byte(strings.Join(pairs, "&"))
}

// plainText is a parameter as it is signed.
func plainText(raw json.RawMessage) (string, bool) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return "", false
	}
	switch raw[0] {
	case '"':
		var text string
		err := json.Unmarshal(raw, &text)
		return text, err == nil
	case '{':
		return "", false
	case '[':
		var b bytes.Buffer
		err := json.Compact(&b, raw)
		return b.String(), err == nil
	case 'n':
		return "", true
	}
	return string(raw), true
}

// used is what a request says of limits.
func (c *call) used() []rateLimit {
	if c.values["returnRateLimits"] == "false" {
		return nil
	}
	limits := c.h.limits.limits
	if c.key != nil {
		limits = c.key.Limits.or(limits)
	}
	list := limits.list()
	var counted []rateLimit
	for i, name := range []string{"X-MBX-USED-WEIGHT-1M", "X-MBX-ORDER-COUNT-10S", "X-MBX-ORDER-COUNT-1D"} {
		if n, err := strconv.Atoi(c.header.Get(name)); err == nil {
			list[i].Count = &n
			counted = append(counted, list[i])
		}
	}
	return counted
}

// sessionValue is how a client is logged on.
type sessionValue struct {
	Key       *string `json:"apiKey"`
	Since     *uint64 `json:"authorizedSince"`
	Connected uint64  `json:"connectedSince"`
	Limits    bool    `json:"returnRateLimits"`
	Time      uint64  `json:"serverTime"`
	Stream    bool    `json:"userDataStream"`
}

func (a *apiSocket) status(now uint64) sessionValue {
	a.mu.Lock()
	defer a.mu.Unlock()
	v := sessionValue{Connected: a.connected, Limits: true, Time: now, Stream: len(a.streams) > 0}
	if a.session != "" {
		key, since := a.session, a.since
		v.Key, v.Since = &key, &since
	}
	return v
}

// logon makes later requests of the connection those of a key.
func logon(c *call) (any, error) {
	if c.key.Kind != Ed25519 {
		return nil, bad(-4056, "HMAC_SHA256 API key is not supported.")
	}
	c.socket.mu.Lock()
	c.socket.session, c.socket.since = c.key.ID, c.now
	c.socket.mu.Unlock()
	return c.socket.status(c.now), nil
}

func logout(c *call) (any, error) {
	c.socket.mu.Lock()
	c.socket.session = ""
	c.socket.mu.Unlock()
	return c.socket.status(c.now), nil
}

func sessionStatus(c *call) (any, error) { return c.socket.status(c.now), nil }

// subscribed is the answer to a subscription.
type subscribed struct {
	ID int `json:"subscriptionId"`
}

// subscribe tells what happens to the key's account on the same connection.
func subscribe(c *call) (any, error) {
	a := c.socket
	a.mu.Lock()
	if len(a.streams) >= maxSubscriptions {
		a.mu.Unlock()
		return nil, bad(codeTooMany, "Too many subscriptions.")
	}
	id := a.next
	a.next++
	a.streams[id] = func() {}
	a.mu.Unlock()
	end, refused := c.h.users.join(c.key, &listener{socket: a.socket, key: c.key.ID, wrap: func(event []byte) []byte {
		b := strconv.AppendInt([]byte(`{"subscriptionId":`), int64(id), 10)
		return append(append(append(b, `,"event":`...), event...), '}')
	}})
	a.mu.Lock()
	defer a.mu.Unlock()
	if refused != nil {
		delete(a.streams, id)
		return nil, refused
	}
	a.streams[id] = end
	return subscribed{id}, nil
}

// unsubscribe ends one subscription, or all.
func unsubscribe(c *call) (any, error) {
	a := c.socket
	id, refused := c.number("subscriptionId")
	if refused != nil {
		return nil, refused
	}
	one := c.sent("subscriptionId")
	a.mu.Lock()
	defer a.mu.Unlock()
	for n, end := range a.streams {
		if !one || uint64(n) == id {
			end()
			delete(a.streams, n)
		}
	}
	return struct{}{}, nil
}

func subscriptions(c *call) (any, error) {
	c.socket.mu.Lock()
	defer c.socket.mu.Unlock()
	list := []subscribed{}
	for _, n := range slices.Sorted(maps.Keys(c.socket.streams)) {
		list = append(list, subscribed{n})
	}
	return list, nil
}

// methods are the requests of the WebSocket API.
var methods = map[string]*endpoint{ //nolint:gochecknoglobals // a table
	"ping": {do: ping}, "time": {do: serverTime}, "exchangeInfo": {weight: 20, do: exchangeInfo},

	"session.logon":         {auth: signed, scope: 0, weight: 2, do: logon},
	"session.logout":        {weight: 2, do: logout},
	"session.status":        {weight: 2, do: sessionStatus},
	"session.subscriptions": {weight: 2, do: subscriptions},

	"depth": {weight: 5, do: depth, more: deep}, "trades.recent": {weight: 25, do: recentTrades}, "trades.historical": {weight: 25, do: historicalTrades},
	"trades.aggregate": {weight: 4, do: aggTrades}, "klines": {weight: 2, do: klines}, "uiKlines": {weight: 2, do: klines},
	"avgPrice": {weight: 2, do: avgPrice}, "ticker.24hr": {weight: 2, do: dayTicker, more: many}, "ticker.tradingDay": {weight: 4, do: tradingDay, more: many},
	"ticker": {weight: 4, do: windowTicker, more: many}, "ticker.price": {weight: 2, do: priceTicker}, "ticker.book": {weight: 2, do: bookTicker},

	"order.place": {auth: signed, scope: Trade, do: once(placeOrder)}, "order.test": {auth: signed, scope: Trade, do: testOrder},
	"order.status": {auth: signed, scope: Read, weight: 4, do: queryOrder}, "order.cancel": {auth: signed, scope: Trade, do: cancelOrder},
	"order.cancelReplace":      {auth: signed, scope: Trade, do: once(cancelReplace)},
	"order.amend.keepPriority": {auth: signed, scope: Trade, weight: 4, do: amendOrder},
	"openOrders.status":        {auth: signed, scope: Read, weight: 6, do: openOrders},
	"openOrders.cancelAll":     {auth: signed, scope: Trade, do: cancelOpenOrders},
	"orderList.place":          {auth: signed, scope: Trade, do: once(placeOldPair)},
	"orderList.place.oco":      {auth: signed, scope: Trade, do: once(placePair)},
	"orderList.status":         {auth: signed, scope: Read, weight: 4, do: queryPair},
	"orderList.cancel":         {auth: signed, scope: Trade, do: cancelPair},
	"openOrderLists.status":    {auth: signed, scope: Read, weight: 6, do: openPairs},

	"account.status": {auth: signed, scope: Read, weight: 20, do: account}, "account.commission": {auth: signed, scope: Read, weight: 20, do: commission},
	"account.rateLimits.orders": {auth: signed, scope: Read, weight: 40, do: orderLimits},
	"allOrders":                 {auth: signed, scope: Read, weight: 20, do: allOrders},
	"allOrderLists":             {auth: signed, scope: Read, weight: 20, do: allPairs},
	"myTrades":                  {auth: signed, scope: Read, weight: 20, do: myTrades},

	"userDataStream.start":               {auth: keyOnly, scope: Read, weight: 2, do: startStream},
	"userDataStream.ping":                {auth: keyOnly, scope: Read, weight: 2, do: keepStream},
	"userDataStream.stop":                {auth: keyOnly, scope: Read, weight: 2, do: endStream},
	"userDataStream.subscribe":           {auth: signed, scope: Read, weight: 2, do: subscribe},
	"userDataStream.subscribe.signature": {auth: signed, scope: Read, weight: 2, do: subscribe},
	"userDataStream.unsubscribe":         {weight: 2, do: unsubscribe},
}
