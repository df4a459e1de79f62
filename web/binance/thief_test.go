package binance_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"souk/api"
	"souk/exchange"
	"souk/exchange/market"
	"souk/tape"
	"souk/web/binance"
)

// owner is an account that takes every order, and has none that could be cancelled.
type owner struct {
	binance.Account
	mu      sync.Mutex
	placed  []exchange.Place
	refusal error // of orders; nil: they are taken
}

func (o *owner) Place(_ context.Context, p *exchange.Place, _ bool) (*binance.Placed, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.refusal != nil {
		return nil, o.refusal
	}
	o.placed = append(o.placed, *p)
	x := &binance.Placed{}
	x.ID, x.Market, x.Client, x.Quantity = market.OrderID(len(o.placed)), p.Market, p.Client, p.Quantity
	return x, nil
}

func (*owner) Balances(context.Context) ([]binance.Balance, uint64, error) { return nil, 0, nil }

func (o *owner) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.placed)
}

func (*owner) Order(context.Context, exchange.Target) (*binance.Order, error) {
	return nil, binance.ErrNoOrder
}

func (*owner) Orders(context.Context, *binance.OrderQuery) ([]binance.Order, error) {
	return []binance.Order{{Order: market.Order{ID: 1, Market: 2, Status: market.Resting}, List: 1}}, nil
}

func (*owner) CancelAll(context.Context, market.ID) ([]binance.Order, error) {
	return []binance.Order{}, nil
}

func (*owner) Follow(ctx context.Context) iter.Seq2[*binance.Report, error] {
	return func(yield func(*binance.Report, error) bool) {
		if yield(&binance.Report{}, nil) {
			<-ctx.Done()
		}
	}
}

// ring has the keys of a test.
type ring struct {
	mu  sync.Mutex
	all map[string]*binance.Key
}

func (r *ring) Key(id string) (*binance.Key, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.all[id]
	return k, ok
}

// keyed is a door with an account and a key for it, on this machine.
type keyed struct {
	*testing.T
	owner  *owner
	ring   *ring
	server *httptest.Server
	now    time.Time
}

func newKeyed(t *testing.T, limits binance.Limits) *keyed {
	t.Helper()
	o := &owner{}
	k := &keyed{T: t, owner: o, now: time.UnixMilli(1_790_000_000_000), ring: &ring{all: map[string]*binance.Key{
		"bot": {ID: "bot", Kind: binance.HMAC, Secret: []byte("secret"), Account: o, Scopes: binance.Read | binance.Trade, Markets: []market.ID{1}},
	}}}
	h := binance.New(binance.Config{
		Tape: tape.New(), Markets: func() []api.Pair { return []api.Pair{pairOf(1, "BTC", "EUR"), pairOf(2, "LTC", "EUR")} }, Keys: k.ring,
		Limits: limits, Trusted: func(string) bool { return true }, Now: func() time.Time { return k.now },
	})
	k.server = httptest.NewServer(h)
	t.Cleanup(k.server.Close)
	t.Cleanup(h.Close)
	return k
}

// signed is a query with the key's signature.
func (k *keyed) signed(query string) string {
	query += "&timestamp=" + strconv.FormatInt(k.now.UnixMilli(), 10)
	return query + "&signature=" + macOf(query)
}

func macOf(text string) string {
	m := hmac.New(sha256.New, []byte("secret"))
	m.Write([]byte(text))
	return hex.EncodeToString(m.Sum(nil))
}

func (k *keyed) ask(method, path, query, body string) (int, string) {
	k.Helper()
	r, err := http.NewRequestWithContext(k.Context(), method, k.server.URL+path+"?"+query, strings.NewReader(body))
	if err != nil {
		k.Fatal(err)
	}
	r.Header.Set("X-MBX-APIKEY", "bot")
	resp, err := k.server.Client().Do(r)
	if err != nil {
		k.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it is read
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		k.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

const limitOrder = "symbol=BTCEUR&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=100"

// N-13: a request that placed an order and failed in its other half places none when it
// comes again.
func TestReplaceAgain(t *testing.T) {
	t.Parallel()
	k := newKeyed(t, binance.Limits{})
	query := k.signed(limitOrder + "&cancelReplaceMode=ALLOW_FAILURE&cancelOrderId=7")
	for range 3 {
		k.ask(http.MethodPost, "/api/v3/order/cancelReplace", query, "")
	}
	if n := k.owner.count(); n != 1 {
		t.Errorf("one request has placed %d orders", n)
	}
}

// N-10: a market that is not the key's is no fault of the key, for which clients would give up.
func TestOtherMarket(t *testing.T) {
	t.Parallel()
	k := newKeyed(t, binance.Limits{})
	want := func(method, path, query string) {
		t.Helper()
		if status, body := k.ask(method, path, k.signed(query), ""); status != http.StatusBadRequest || !strings.Contains(body, `"code":-2010,"msg":"This symbol is not permitted for this account."`) {
			t.Errorf("%s %s: %d %s", method, path, status, body)
		}
	}
	want(http.MethodPost, "/api/v3/order", strings.Replace(limitOrder, "BTC", "LTC", 1))
	want(http.MethodDelete, "/api/v3/openOrders", "symbol=LTCEUR")
	want(http.MethodDelete, "/api/v3/order", "symbol=LTCEUR&orderId=1")
	k.owner.refusal = &binance.Refusal{Code: exchange.OutOfScope} // the gate's own key is limited to markets
	want(http.MethodPost, "/api/v3/order", limitOrder)
}

// N-5: an account's fees are not less than those of any market.
func TestAccountFees(t *testing.T) {
	t.Parallel()
	k := newKeyed(t, binance.Limits{})
	for _, want := range []string{`"makerCommission":10,"takerCommission":25,`, `"commissionRates":{"maker":"0.00100000","taker":"0.00250000","buyer":"0.00000000","seller":"0.00000000"}`} {
		if status, body := k.ask(http.MethodGet, "/api/v3/account", k.signed("omitZeroBalances=true"), ""); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d %s, want %s", status, body, want)
		}
	}
}

// N-13: after a restart the gate knows nothing of a request that came before, so it has to be
// known by the client order id, also if the client gave none.
func TestOneClientOrderID(t *testing.T) {
	t.Parallel()
	var ids []string
	for range 2 {
		k := newKeyed(t, binance.Limits{})
		if status, body := k.ask(http.MethodPost, "/api/v3/order", k.signed(limitOrder), ""); status != http.StatusOK {
			t.Fatal(body)
		}
		if status, body := k.ask(http.MethodPost, "/api/v3/order", k.signed(limitOrder+"&recvWindow=5000"), ""); status != http.StatusOK {
			t.Fatal(body)
		}
		ids = append(ids, k.owner.placed[0].Client, k.owner.placed[1].Client)
	}
	if ids[0] != ids[2] || ids[1] != ids[3] || ids[0] == ids[1] || len(ids[0]) != 22 {
		t.Errorf("client order ids %q", ids)
	}
}

// N-11: what was signed is what is done, however it is cut up, written or repeated.
func TestAlteredRequests(t *testing.T) {
	t.Parallel()
	k := newKeyed(t, binance.Limits{})
	good := k.signed(limitOrder)
	at := strings.Index(good, "&signature=")
	payload, signature := good[:at], good[at:]
	for what, c := range map[string][2]string{
		"another price":                 {strings.Replace(good, "price=100", "price=900", 1), ""},
		"cut in an amount":              {"symbol=BTCEUR&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1", strings.TrimPrefix(payload, "symbol=BTCEUR&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1") + signature},
		"cut in a value":                {strings.Replace(payload, "00&timestamp", "", 1)[:len("symbol=BTCEUR&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=1")], "00" + payload[strings.Index(payload, "&timestamp"):] + signature},
		"a parameter in the body":       {good, "&price=900"},
		"signature in query and body":   {good, signature[1:]},
		"two signatures":                {good + "&signature=00", ""},
		"an escaped second signature":   {payload + "&signatur%65=00" + signature, ""},
		"an escaped name":               {strings.Replace(good, "price=", "pric%65=", 1), ""},
		"another order":                 {"side=BUY&symbol=BTCEUR&" + strings.TrimPrefix(good, "symbol=BTCEUR&side=BUY&"), ""},
		"upper case name":               {strings.Replace(good, "price", "PRICE", 1), ""},
		"a longer time":                 {good + "&recvWindow=60000", ""},
		"semicolons":                    {strings.ReplaceAll(good, "&", ";"), ""},
		"a key of somebody else":        {good, "X-MBX-APIKEY=other"},
		"no signature":                  {payload, ""},
		"an empty signature":            {payload + "&signature=", ""},
		"signature of the empty string": {payload + "&signature=" + macOf(""), ""},
	} {
		status, body := k.ask(http.MethodPost, "/api/v3/order", c[0], c[1])
		if what == "cut in an amount" && k.owner.count() == 1 && k.owner.placed[0].Quantity == coin && k.owner.placed[0].Price == 10_000 {
			k.owner.placed = nil // cut between two parameters it says the same
			continue
		}
		if status == http.StatusOK {
			t.Errorf("%s: %s", what, body)
		}
	}
	if k.owner.count() != 0 {
		t.Errorf("placed: %+v", k.owner.placed)
	}
}

// N-2: amounts and prices are what stands there, or nothing.
func TestOddAmounts(t *testing.T) {
	t.Parallel()
	k := newKeyed(t, binance.Limits{Orders: 10_000})
	for _, q := range []string{
		"1e-8", "1E3", "%2B1", "+1", "-1", "0x1", "1,5", "1.2.3", ".5", ".", "", "%20", "1%20", "%D9%A1", "%EF%BC%91", "1_000", "NaN", "Infinity", "0", "0.0",
		"0.000000001", "1.000000001", "99999999999999999999", "18446744073709551617", "1e400", "184467440737.09551617", "1%00", "1%0A",
	} {
		status, body := k.ask(http.MethodPost, "/api/v3/order", k.signed(strings.Replace(limitOrder, "quantity=1", "quantity="+q, 1)), "")
		if status == http.StatusOK {
			t.Errorf("quantity %s is taken: %s, %+v", q, body, k.owner.placed)
		}
	}
	for q, want := range map[string]uint64{"1.": coin, "1.10000000000000000000": coin + coin/10, "0001": coin, "0.00000001": 1} {
		before := k.owner.count()
		if status, body := k.ask(http.MethodPost, "/api/v3/order", k.signed(strings.Replace(limitOrder, "quantity=1", "quantity="+q, 1)), ""); status == http.StatusOK {
			if got := k.owner.placed[before].Quantity; uint64(got) != want {
				t.Errorf("quantity %s is %d", q, got)
			}
		} else {
			t.Logf("quantity %s: %s", q, body)
		}
	}
}

// N-50: who knows the id of a key and not its secret cannot use up what its owner may ask for.
func TestLockOut(t *testing.T) {
	t.Parallel()
	k := newKeyed(t, binance.Limits{Weight: 50})
	for range 400 {
		k.ask(http.MethodGet, "/api/v3/ping", "", "")
		k.ask(http.MethodPost, "/api/v3/userDataStream", "", "")
		k.ask(http.MethodPost, "/api/v3/order", limitOrder+"&timestamp=1&signature=00", "")
	}
	if status, body := k.ask(http.MethodPost, "/api/v3/order", k.signed(limitOrder), ""); status != http.StatusOK {
		t.Errorf("the key's owner is shut out: %d %s", status, body)
	}
}

// N-3: a market is named once in a list.
func TestSymbolsTwice(t *testing.T) {
	t.Parallel()
	d := newDoor(t, binance.Limits{})
	long := "[" + strings.Repeat(`"BTCEUR",`, 4_000) + `"BTCEUR"]`
	for _, path := range []string{"ticker?windowSize=7d&", "ticker/24hr?", "exchangeInfo?", "ticker/price?", "ticker/bookTicker?"} {
		began := time.Now()
		status, _, body := d.get(http.MethodGet, "/api/v3/"+path+"symbols="+strings.ReplaceAll(long, `"`, "%22"))
		if status != http.StatusBadRequest {
			t.Errorf("%s: %d, %d bytes in %s", path, status, len(body), time.Since(began))
		}
	}
}

// N-33: a stream has one name.
func TestStreamNames(t *testing.T) {
	t.Parallel()
	d := newDoor(t, binance.Limits{})
	for _, name := range []string{"BTCEUR@trade", "btcEUR@trade", "btceur@TRADE"} {
		if status, _, body := d.get(http.MethodGet, "/ws/"+name); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

// N-50: what is no request has a weight too.
func TestJunkHasWeight(t *testing.T) {
	t.Parallel()
	d := newDoor(t, binance.Limits{Weight: 20})
	c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(d.server.URL, "http")+"/ws-api/v3", nil) //nolint:bodyclose // it has none
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow() //nolint:errcheck // done
	for i, junk := range []string{`{"id":1,"method":"nothing"}`, `{`, `{"id":1,"method":"ping","params":{"a":{}}}`} {
		for range 30 {
			if err := c.Write(t.Context(), websocket.MessageText, []byte(junk)); err != nil {
				t.Fatal(err)
			}
			_, data, err := c.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(data), `"status":429`) {
				break
			}
		}
		if err := c.Write(t.Context(), websocket.MessageText, []byte(`{"id":1,"method":"ping"}`)); err != nil {
			t.Fatal(err)
		}
		if _, data, err := c.Read(t.Context()); err != nil || !strings.Contains(string(data), `"status":429`) {
			t.Errorf("junk %d: %s, %v", i, data, err)
		}
		d.clock.Add(60_000)
	}
}

// N-10: a connection that is logged on, and a stream that is open, end with the key.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	k := newKeyed(t, binance.Limits{})
	_, body := k.ask(http.MethodPost, "/api/v3/userDataStream", "", "")
	listen := body[len(`{"listenKey":"`) : len(body)-2]
	c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(k.server.URL, "http")+"/ws/"+listen, nil) //nolint:bodyclose // it has none
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow() //nolint:errcheck // done
	if err := c.Write(t.Context(), websocket.MessageText, []byte(`{"method":"LIST_SUBSCRIPTIONS","id":1}`)); err != nil {
		t.Fatal(err)
	}
	if _, data, err := c.Read(t.Context()); err != nil || !strings.Contains(string(data), listen) { // it is open now
		t.Fatalf("%s, %v", data, err)
	}
	k.ring.mu.Lock()
	delete(k.ring.all, "bot")
	k.ring.mu.Unlock()
	_, data, err := c.Read(t.Context())
	if err != nil || !strings.Contains(string(data), "listenKeyExpired") {
		t.Errorf("%s, %v", data, err)
	}
	again, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(k.server.URL, "http")+"/ws/"+listen, nil) //nolint:bodyclose // it has none
	if err != nil {
		t.Fatal(err)
	}
	defer again.CloseNow() //nolint:errcheck // done
	if _, data, err := again.Read(t.Context()); err == nil {
		t.Errorf("the listen key of a key that is gone opens a stream: %s", data)
	}
	for _, r := range [][2]string{{http.MethodPost, "/api/v3/order"}, {http.MethodDelete, "/api/v3/openOrders"}, {http.MethodPut, "/api/v3/userDataStream"}} {
		if status, body := k.ask(r[0], r[1], k.signed(limitOrder), ""); status != http.StatusUnauthorized {
			t.Errorf("%v: %d %s", r, status, body)
		}
	}
}

// N-10: scopes and markets hold for every request that changes something.
func TestScopesHold(t *testing.T) {
	t.Parallel()
	k := newKeyed(t, binance.Limits{})
	for _, r := range [][3]string{
		{http.MethodPost, "/api/v3/order", strings.Replace(limitOrder, "BTC", "LTC", 1)},
		{http.MethodPost, "/api/v3/order/cancelReplace", strings.Replace(limitOrder, "BTC", "LTC", 1) + "&cancelReplaceMode=ALLOW_FAILURE&cancelOrderId=1"},
		{http.MethodDelete, "/api/v3/order", "symbol=LTCEUR&orderId=1"},
		{http.MethodDelete, "/api/v3/openOrders", "symbol=LTCEUR"},
		{http.MethodDelete, "/api/v3/orderList", "symbol=LTCEUR&orderListId=1"},
		{http.MethodPut, "/api/v3/order/amend/keepPriority", "symbol=LTCEUR&orderId=1&newQty=1"},
		{http.MethodPost, "/api/v3/orderList/oco", "symbol=LTCEUR&side=SELL&quantity=1&aboveType=LIMIT_MAKER&abovePrice=200&belowType=STOP_LOSS&belowStopPrice=50"},
		{http.MethodPost, "/api/v3/order/oco", "symbol=LTCEUR&side=SELL&quantity=1&price=200&stopPrice=50"},
	} {
		if status, body := k.ask(r[0], r[1], k.signed(r[2]), ""); status < http.StatusBadRequest {
			t.Errorf("outside of its markets, %v: %d %s", r, status, body)
		}
	}
	k.ring.mu.Lock()
	k.ring.all["bot"] = &binance.Key{ID: "bot", Kind: binance.HMAC, Secret: []byte("secret"), Account: k.owner, Scopes: binance.Read}
	k.ring.mu.Unlock()
	if status, body := k.ask(http.MethodPost, "/api/v3/order", k.signed(limitOrder), ""); status != http.StatusUnauthorized {
		t.Errorf("a key that may read: %d %s", status, body)
	}
	if k.owner.count() != 0 {
		t.Errorf("placed: %+v", k.owner.placed)
	}
}
