package binance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"souk/api"
	"souk/archive"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/tape"
	"souk/web/binance"
)

func TestMain(m *testing.M) {
	// Connections that net/http has closed linger for half a second.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

const coin = 100_000_000

// door is a handler without keys over a tape that the test feeds.
type door struct {
	*testing.T
	tape    *tape.Tape
	handler *binance.Handler
	server  *httptest.Server
	clock   atomic.Int64 // ms
	height  uint64
	trades  market.TradeID
}

func pairOf(id market.ID, base, quote string) api.Pair {
	return api.Pair{
		Market: market.Market{
			ID: id, Base: asset.ID(2*id - 1), Quote: asset.ID(2 * id), BaseDecimals: 8,
			Terms: market.Terms{Tick: 100, Lot: 10_000, MinNotional: 500, MakerPPM: 1_000, TakerPPM: 2_500, BandPPM: 200_000, Reference: 5_000_000},
		},
		BaseSymbol: base, QuoteSymbol: quote, QuoteDecimals: 2,
	}
}

func newDoor(t *testing.T, limits binance.Limits, pairs ...api.Pair) *door {
	t.Helper()
	if pairs == nil {
		pairs = []api.Pair{pairOf(1, "BTC", "EUR"), pairOf(2, "LTC", "EUR")}
	}
	d := &door{T: t, tape: tape.New()}
	d.clock.Store(1_790_000_000_000)
	d.handler = binance.New(binance.Config{
		Tape: d.tape, Markets: func() []api.Pair { return pairs }, Limits: limits, Now: func() time.Time { return time.UnixMilli(d.clock.Load()) },
	})
	d.server = httptest.NewServer(d.handler)
	t.Cleanup(d.server.Close)
	t.Cleanup(d.handler.Close)
	return d
}

// level makes a block in which a price of market 1 changes.
func (d *door) level(side market.Side, price asset.Price, quantity asset.Amount) {
	d.Helper()
	d.block([]archive.Level{{Market: 1, Side: side, Price: price, Quantity: quantity}}, nil)
}

// trade makes a block in which somebody buys in market 1.
func (d *door) trade(price asset.Price, quantity asset.Amount) {
	d.Helper()
	d.trades += 3
	d.block(nil, []exchange.Trade{{
		ID: d.trades, Market: 1, Price: price, Quantity: quantity, Maker: 1, Taker: market.OrderID(d.trades), Taking: market.Buy, Height: d.height + 1,
		Time: uint64(d.clock.Load()),
	}})
}

func (d *door) block(levels []archive.Level, trades []exchange.Trade) {
	d.Helper()
	d.height++
	if err := d.tape.Apply(d.height, uint64(d.clock.Load()), levels, trades); err != nil {
		d.Fatal(err)
	}
}

// get answers the status, headers and body of a request.
func (d *door) get(method, target string) (int, http.Header, string) {
	d.Helper()
	r, err := http.NewRequestWithContext(d.Context(), method, d.server.URL+target, nil)
	if err != nil {
		d.Fatal(err)
	}
	resp, err := d.server.Client().Do(r)
	if err != nil {
		d.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		d.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(data)
}

func (d *door) want(target, want string) {
	d.Helper()
	if status, _, body := d.get(http.MethodGet, target); status != http.StatusOK || body != want {
		d.Errorf("%s: %d\n%s\nwant\n%s", target, status, body, want)
	}
}

// N-2: names, and what happens to two markets that would have one.
func TestNames(t *testing.T) {
	t.Parallel()
	d := newDoor(t, binance.Limits{}, pairOf(1, "BTC", "EUR"), pairOf(2, "BT", "CEUR"))
	d.want("/api/v3/ticker/price", `[{"symbol":"BTCEUR","price":"0.00"},{"symbol":"BTCEUR.2","price":"0.00"}]`)
	d.want("/api/v3/ticker/price?symbol=BTCEUR.2", `{"symbol":"BTCEUR.2","price":"0.00"}`)
	d.want(`/api/v3/ticker/price?symbols=["BTCEUR"]`, `[{"symbol":"BTCEUR","price":"0.00"}]`)
	d.want("/api/v3/depth?symbol=BTCEUR", `{"lastUpdateId":0,"bids":[],"asks":[]}`)
	for _, path := range []string{"trades", "historicalTrades", "aggTrades", "klines?interval=1m&"} {
		if !strings.Contains(path, "?") {
			path += "?"
		}
		d.want("/api/v3/"+path+"symbol=BTCEUR", "[]")
	}
}

// N-4: before the markets are known, nobody is told that there are none.
func TestUnknownMarkets(t *testing.T) {
	t.Parallel()
	var known atomic.Bool
	h := binance.New(binance.Config{Tape: tape.New(), Markets: func() []api.Pair {
		if known.Load() {
			return []api.Pair{}
		}
		return nil
	}})
	d := &door{T: t, handler: h, server: httptest.NewServer(h)}
	t.Cleanup(h.Close)
	t.Cleanup(d.server.Close)
	for _, path := range []string{"exchangeInfo", "depth?symbol=BTCEUR", "klines?symbol=BTCEUR&interval=1m", "ticker/price", "ticker/24hr", "ticker/bookTicker", "avgPrice?symbol=BTCEUR"} {
		if status, _, body := d.get(http.MethodGet, "/api/v3/"+path); status != http.StatusServiceUnavailable || !strings.Contains(body, `"code":-1001`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, _, body := d.get(http.MethodGet, "/api/v3/ping"); status != http.StatusOK {
		t.Errorf("ping: %d %s", status, body)
	}
	if status, _, body := d.get(http.MethodGet, "/ws/btceur@depth"); status != http.StatusServiceUnavailable || !strings.Contains(body, `"code":-1001`) {
		t.Errorf("a stream: %d %s", status, body)
	}
	conn, _, err := websocket.Dial(t.Context(), d.server.URL+"/ws", nil) //nolint:bodyclose // there is none
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow() //nolint:errcheck // a test's
	subscribe := func(want string) {
		t.Helper()
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(`{"method":"SUBSCRIBE","params":["btceur@depth"],"id":1}`)); err != nil {
			t.Fatal(err)
		}
		if _, data, err := conn.Read(t.Context()); err != nil || !strings.Contains(string(data), want) {
			t.Errorf("%s, %v; want %s", data, err, want)
		}
	}
	subscribe(`"code":-1001`)
	known.Store(true)
	subscribe(`Invalid stream: btceur@depth`)
	d.want("/api/v3/ticker/price", "[]")
}

// The filters say how many orders an account may have now, which members can change by vote.
func TestOrderLimit(t *testing.T) {
	t.Parallel()
	var most atomic.Int64
	h := binance.New(binance.Config{Tape: tape.New(), Markets: func() []api.Pair { return []api.Pair{pairOf(1, "BTC", "EUR")} }, Orders: func() int { return int(most.Load()) }})
	d := &door{T: t, handler: h, server: httptest.NewServer(h)}
	t.Cleanup(h.Close)
	t.Cleanup(d.server.Close)
	for _, n := range []int64{50, 1000} {
		most.Store(n)
		_, _, body := d.get(http.MethodGet, "/api/v3/exchangeInfo")
		for _, name := range []string{"maxNumOrders", "maxNumAlgoOrders"} {
			if want := fmt.Sprintf("%q:%d", name, n); !strings.Contains(body, want) {
				t.Errorf("no %s in %s", want, body)
			}
		}
	}
}

// N-3, N-60: what is wrong with parameters has the code that clients know.
func TestParameters(t *testing.T) {
	t.Parallel()
	d := newDoor(t, binance.Limits{})
	for target, code := range map[string]int{
		"/api/v3/depth":                                                    -1102,
		"/api/v3/depth?symbol=NOSUCH":                                      -1121,
		"/api/v3/depth?symbol=btceur":                                      -1100,
		"/api/v3/depth?symbol=BTCEUR&symbol=BTCEUR":                        -1101,
		"/api/v3/depth?symbol=BTCEUR&limit=x":                              -1100,
		"/api/v3/depth?symbol=BTCEUR&limit=":                               -1105,
		"/api/v3/depth?symbol=BTCEUR&limit=0":                              -1130,
		"/api/v3/depth?symbol=BTCEUR&what=1":                               -1104,
		"/api/v3/klines?symbol=BTCEUR":                                     -1102,
		"/api/v3/klines?symbol=BTCEUR&interval=7m":                         -1120,
		"/api/v3/klines?symbol=BTCEUR&interval=1m&startTime=2&endTime=1":   -1127,
		"/api/v3/aggTrades?symbol=BTCEUR&fromId=1&startTime=1":             -1128,
		"/api/v3/ticker?symbol=BTCEUR&windowSize=8d":                       -1130,
		"/api/v3/ticker":                                                   -1102,
		"/api/v3/ticker/price?symbol=BTCEUR&symbols=[\"BTCEUR\"]":          -1128,
		"/api/v3/ticker/price?symbols=BTCEUR":                              -1100,
		"/api/v3/ticker/price?symbol=%zz":                                  -1100,
		"/api/v3/account":                                                  -2014,
		"/api/v3/nothing":                                                  -1020,
		"/api/v3/depth?symbol=BTCEUR&" + strings.Repeat("a=1&", 3) + "b=1": -1101,
	} {
		status, _, body := d.get(http.MethodGet, target)
		var e struct {
			Code int    `json:"code"`
			Text string `json:"msg"`
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil || e.Code != code || e.Text == "" || status < 400 {
			t.Errorf("%s: %d %s, want %d", target, status, body, code)
		}
	}
	if status, _, _ := d.get(http.MethodPatch, "/api/v3/depth"); status != http.StatusMethodNotAllowed {
		t.Errorf("another method: %d", status)
	}
}

// N-30, N-31, N-32: market data as clients read them.
func TestMarketData(t *testing.T) {
	t.Parallel()
	d := newDoor(t, binance.Limits{})
	d.level(market.Buy, 4_999_000, 2*coin)
	d.level(market.Sell, 5_001_000, coin/2)
	d.trade(5_000_000, coin)
	d.trade(5_010_000, coin)
	at := d.clock.Load()
	d.want("/api/v3/depth?symbol=BTCEUR&limit=5", `{"lastUpdateId":4,"bids":[["49990.00","2.00000000"]],"asks":[["50010.00","0.50000000"]]}`)
	d.want("/api/v3/ticker/bookTicker?symbol=BTCEUR", `{"symbol":"BTCEUR","bidPrice":"49990.00","bidQty":"2.00000000","askPrice":"50010.00","askQty":"0.50000000"}`)
	d.want("/api/v3/trades?symbol=BTCEUR&limit=1", fmt.Sprintf(
		`[{"id":6,"price":"50100.00","qty":"1.00000000","quoteQty":"50100.00","time":%d,"isBuyerMaker":false,"isBestMatch":true}]`, at))
	d.want("/api/v3/aggTrades?symbol=BTCEUR&fromId=0&limit=1", fmt.Sprintf(
		`[{"a":3,"p":"50000.00","q":"1.00000000","f":3,"l":3,"T":%d,"m":false,"M":true}]`, at))
	minute := at - at%60_000
	d.want("/api/v3/klines?symbol=BTCEUR&interval=1m", fmt.Sprintf(
		`[[%d,"50000.00","50100.00","50000.00","50100.00","2.00000000",%d,"100100.00",2,"2.00000000","100100.00","0"]]`, minute, minute+59_999))
	d.want("/api/v3/avgPrice?symbol=BTCEUR", fmt.Sprintf(`{"mins":5,"price":"50050.00","closeTime":%d}`, at))
	d.want("/api/v3/ticker/price?symbol=BTCEUR", `{"symbol":"BTCEUR","price":"50100.00"}`)
	d.want("/api/v3/ticker?symbol=BTCEUR&windowSize=1h&type=MINI", fmt.Sprintf(
		`{"symbol":"BTCEUR","openPrice":"50000.00","highPrice":"50100.00","lowPrice":"50000.00","lastPrice":"50100.00","volume":"2.00000000","quoteVolume":"100100.00","openTime":%d,"closeTime":%d,"firstId":3,"lastId":6,"count":2}`,
		minute-3_600_000, at))
	_, _, body := d.get(http.MethodGet, "/api/v3/ticker/24hr?symbol=BTCEUR")
	for _, part := range []string{
		`"priceChange":"100.00"`, `"priceChangePercent":"0.200"`, `"weightedAvgPrice":"50050.00"`, `"prevClosePrice":"50000.00"`, `"lastQty":"1.00000000"`,
		`"bidPrice":"49990.00"`, `"count":2`,
	} {
		if !strings.Contains(body, part) {
			t.Errorf("%s has no %s", body, part)
		}
	}
	_, _, body = d.get(http.MethodGet, "/api/v3/exchangeInfo")
	for _, part := range []string{
		`"filterType":"PRICE_FILTER","minPrice":"1.00","maxPrice":"46116860184273879.00","tickSize":"1.00"`, `"filterType":"LOT_SIZE","minQty":"0.00010000"`,
		`"filterType":"NOTIONAL","minNotional":"5.00"`, `"multiplierUp":"1.200000","multiplierDown":"0.800000"`, `"status":"TRADING"`,
		`"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000`,
	} {
		if !strings.Contains(body, part) {
			t.Errorf("exchangeInfo has no %s:\n%s", part, body)
		}
	}
}

// N-50: above the limit 429 says when to come back, and who goes on is shut out.
func TestWeights(t *testing.T) {
	t.Parallel()
	d := newDoor(t, binance.Limits{Weight: 10})
	for i := 1; i <= 2; i++ {
		if _, h, _ := d.get(http.MethodGet, "/api/v3/depth?symbol=BTCEUR"); h.Get("X-Mbx-Used-Weight-1m") != strconv.Itoa(5*i) {
			t.Fatalf("used %s", h.Get("X-Mbx-Used-Weight-1m"))
		}
	}
	if status, h, _ := newDoor(t, binance.Limits{}).get(http.MethodGet, "/api/v3/depth?symbol=BTCEUR&limit=5000"); status != http.StatusOK || h.Get("X-Mbx-Used-Weight-1m") != "250" {
		t.Fatalf("a deep book weighs %s", h.Get("X-Mbx-Used-Weight-1m"))
	}
	refused := func(want int) http.Header {
		t.Helper()
		status, h, body := d.get(http.MethodGet, "/api/v3/ping")
		if status != want || !strings.Contains(body, "-1003") {
			t.Fatalf("%d %s", status, body)
		}
		return h
	}
	wait, err := strconv.Atoi(refused(http.StatusTooManyRequests).Get("Retry-After"))
	if err != nil || wait < 1 || wait > 60 {
		t.Fatalf("Retry-After %d, %v", wait, err)
	}
	for range 99 {
		refused(http.StatusTooManyRequests)
	}
	if got := refused(http.StatusTeapot).Get("Retry-After"); got != "120" {
		t.Fatalf("Retry-After %s", got)
	}
	d.clock.Add(119_000)
	refused(http.StatusTeapot)
	d.clock.Add(1_001)
	if status, _, _ := d.get(http.MethodGet, "/api/v3/ping"); status != http.StatusOK {
		t.Fatalf("after the ban: %d", status)
	}
}

// dial opens a stream.
func (d *door) dial(path string) *websocket.Conn {
	d.Helper()
	conn, _, err := websocket.Dial(d.Context(), "ws"+strings.TrimPrefix(d.server.URL, "http")+path, nil) //nolint:bodyclose // there is none
	if err != nil {
		d.Fatal(err)
	}
	conn.SetReadLimit(64 << 20)
	d.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// read answers the next message.
func (d *door) read(conn *websocket.Conn) string {
	d.Helper()
	ctx, cancel := context.WithTimeout(d.Context(), 20*time.Second)
	defer cancel()
	_, data, err := conn.Read(ctx)
	if err != nil {
		d.Fatal(err)
	}
	return string(data)
}

func (d *door) write(conn *websocket.Conn, text string) {
	d.Helper()
	if err := conn.Write(d.Context(), websocket.MessageText, []byte(text)); err != nil {
		d.Fatal(err)
	}
}

// until reads messages until one has all parts.
func (d *door) until(conn *websocket.Conn, parts ...string) string {
	d.Helper()
	for {
		text := d.read(conn)
		all := true
		for _, p := range parts {
			all = all && strings.Contains(text, p)
		}
		if all {
			return text
		}
	}
}

// N-33: every stream tells what it is for, alone and combined.
func TestStreams(t *testing.T) {
	t.Parallel()
	d := newDoor(t, binance.Limits{})
	d.level(market.Buy, 4_999_000, coin)
	d.trade(5_000_000, coin)
	for name, part := range map[string]string{
		"btceur@depth": `"e":"depthUpdate"`, "btceur@depth@100ms": `"U":`, "btceur@depth5": `"lastUpdateId":`, "btceur@depth10@100ms": `"bids":[["49990.00"`,
		"btceur@depth20": `"asks":[`, "btceur@trade": `"e":"trade"`, "btceur@aggTrade": `"e":"aggTrade"`, "btceur@bookTicker": `"b":"49990.00"`,
		"btceur@kline_1m": `"i":"1m"`, "btceur@kline_1M": `"i":"1M"`, "btceur@ticker": `"e":"24hrTicker"`, "btceur@miniTicker": `"e":"24hrMiniTicker"`,
		"btceur@ticker_1h": `"e":"1hTicker"`, "btceur@avgPrice": `"e":"avgPrice"`, "!ticker@arr": `[{"e":"24hrTicker"`, "!miniTicker@arr": `[{"e":"24hrMiniTicker"`,
		"!ticker_4h@arr": `[{"e":"4hTicker"`, "!bookTicker": `"s":"BTCEUR"`,
	} {
		t.Run(name, func(t *testing.T) {
			conn := d.dial("/stream?streams=" + name)
			d.write(conn, `{"method":"LIST_SUBSCRIPTIONS","id":"x"}`)
			d.until(conn, `{"result":["`+name+`"],"id":"x"}`)
			d.level(market.Sell, 5_100_000+asset.Price(d.height)*100, coin)
			d.trade(5_000_000, coin)
			d.clock.Add(2_000) // the clock stands still between
			d.until(conn, `{"stream":"`+name+`","data":`, part)
		})
	}
	for _, name := range []string{"btceur", "nosuch@trade", "btceur@depth7", "btceur@depth@50ms", "btceur@kline_7m", "btceur@trade@100ms", "!all", "btceur@ticker_2h", "x@y@z"} {
		if status, _, body := d.get(http.MethodGet, "/ws/"+name); status != http.StatusBadRequest || !strings.Contains(body, "Invalid stream") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

// N-30: the sequence of a stream that waits has no gap.
func TestSequence(t *testing.T) {
	t.Parallel()
	d := newDoor(t, binance.Limits{})
	conn := d.dial("/ws/btceur@depth")
	d.write(conn, `{"method":"LIST_SUBSCRIPTIONS","id":1}`)
	d.until(conn, `"id":1`)
	d.level(market.Buy, 100, 1*coin) // at once
	if text := d.read(conn); !strings.Contains(text, `"U":1,"u":1,"b":[["1.00","1.00000000"]],"a":[]`) {
		t.Fatal(text)
	}
	d.block(nil, nil)
	d.level(market.Buy, 200, 2*coin)
	d.level(market.Buy, 100, 0)
	d.level(market.Sell, 300, 3*coin)
	last, bids, asks := uint64(1), map[string]string{"1.00": "1.00000000"}, map[string]string{}
	for last < 5 {
		d.clock.Add(1_000)
		var v struct {
			First uint64      `json:"U"`
			Last  uint64      `json:"u"`
			Bids  [][2]string `json:"b"`
			Asks  [][2]string `json:"a"`
		}
		if err := json.Unmarshal([]byte(d.read(conn)), &v); err != nil || v.First != last+1 || v.Last < v.First {
			t.Fatalf("an update from %d to %d after %d, %v", v.First, v.Last, last, err)
		}
		last = v.Last
		for _, l := range v.Bids {
			bids[l[0]] = l[1]
		}
		for _, l := range v.Asks {
			asks[l[0]] = l[1]
		}
	}
	if last != 5 || bids["1.00"] != "0.00000000" || bids["2.00"] != "2.00000000" || asks["3.00"] != "3.00000000" {
		t.Fatalf("%d, %v, %v", last, bids, asks)
	}
}

// N-33: requests on a connection.
func TestSubscribe(t *testing.T) {
	t.Parallel()
	d := newDoor(t, binance.Limits{})
	conn := d.dial("/ws/7")
	for request, want := range map[string]string{
		`{"method":"SUBSCRIBE","params":["btceur@trade"],"id":1}`:      `{"result":null,"id":1}`,
		`{"method":"SUBSCRIBE","params":["btceur@nothing"],"id":2}`:    `{"error":{"code":-1130,"msg":"Invalid stream: btceur@nothing"},"id":2}`,
		`{"method":"SUBSCRIBE","params":[7],"id":3}`:                   `"code":2`,
		`{"method":"GET_PROPERTY","params":["combined"],"id":4}`:       `{"result":false,"id":4}`,
		`{"method":"SET_PROPERTY","params":["combined","yes"],"id":5}`: `"code":1`,
		`{"method":"SET_PROPERTY","params":["other",true],"id":6}`:     `"code":0`,
		`{"method":"UNSUBSCRIBE","params":["ltceur@trade"],"id":7}`:    `{"result":null,"id":7}`,
		`{"method":"DANCE","id":8}`:                                    `"code":2`,
		`not JSON`:                                                     `"code":3`,
	} {
		d.write(conn, request)
		if got := d.read(conn); !strings.Contains(got, want) {
			t.Errorf("%s: %s", request, got)
		}
	}
	d.write(conn, `{"method":"SET_PROPERTY","params":["combined",true],"id":9}`)
	d.read(conn)
	d.write(conn, `{"method":"LIST_SUBSCRIPTIONS","id":10}`)
	d.until(conn, `{"result":["btceur@trade"],"id":10}`)
	d.trade(5_000_000, coin)
	d.until(conn, `{"stream":"btceur@trade","data":{"e":"trade"`)
	d.write(conn, `{"method":"UNSUBSCRIBE","params":["btceur@trade"],"id":11}`)
	d.until(conn, `"id":11`)
	d.trade(5_000_000, coin)
	d.write(conn, `{"method":"LIST_SUBSCRIPTIONS","id":12}`)
	if got := d.read(conn); got != `{"result":[],"id":12}` {
		t.Error(got)
	}
	for range 60 { // more than a burst; the clock stands still
		if conn.Write(t.Context(), websocket.MessageText, []byte(`{"method":"LIST_SUBSCRIPTIONS","id":13}`)) != nil {
			break
		}
	}
	var err error
	for err == nil {
		_, _, err = conn.Read(t.Context())
	}
	if websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("too many messages: %v", err)
	}
}

// N-51: who does not read is cut off, and nobody waits for him.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	d := newDoor(t, binance.Limits{})
	slow, good := d.dial("/ws/btceur@depth@100ms"), d.dial("/ws/btceur@depth@100ms")
	for _, conn := range []*websocket.Conn{slow, good} {
		d.write(conn, `{"method":"LIST_SUBSCRIPTIONS","id":1}`)
		d.until(conn, `"id":1`)
	}
	last := uint64(0)
	for n := range 40 {
		levels := make([]archive.Level, 20_000)
		for i := range levels {
			levels[i] = archive.Level{Market: 1, Side: market.Sell, Price: asset.Price(100 * (i + 1)), Quantity: asset.Amount(n + 1)}
		}
		d.block(levels, nil)
		d.clock.Add(100)
		var v struct {
			First uint64 `json:"U"`
			Last  uint64 `json:"u"`
		}
		if err := json.Unmarshal([]byte(d.read(good)), &v); err != nil || v.First != last+1 {
			t.Fatalf("update from %d after %d, %v", v.First, last, err)
		}
		last = v.Last
	}
	var err error
	for err == nil {
		_, _, err = slow.Read(t.Context())
	}
}
