package web_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/merkle"
	"souk/web"
)

var binary = http.Header{"Content-Type": {api.Binary}, "Accept": {api.Binary}}

// command makes a signed command of alice's that is good but for what change does to it.
func command(t testing.TB, f *federation, nonce uint64, body exchange.Body, change func(*exchange.Command)) *exchange.Command {
	t.Helper()
	key := exchangetest.Key("alice")
	c := &exchange.Command{
		Kind: body.Kind(), Account: exchangetest.Address("alice"), Nonce: nonce, Expiry: uint64(time.Now().Add(time.Minute).UnixMilli()), Body: body.Append(nil),
	}
	if change != nil {
		change(c)
	}
	if err := c.Sign(f.id, key); err != nil {
		t.Fatal(err)
	}
	return c
}

func pay(amount asset.Amount) exchange.Body {
	return &exchange.Transfer{To: exchangetest.Address("bob"), Asset: exchangetest.EUR, Amount: amount}
}

func (f *federation) root() (root merkle.Hash) {
	_ = f.nodes[0].replica.View(func(s *exchange.State) { root = s.Root() })
	return root
}

// Bad commands get a stable code and change nothing but a burnt nonce (H-17).
func TestBadCommands(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	f.fund("alice", "bob")
	f.fund("alice")
	now := func(d time.Duration) uint64 { return uint64(time.Now().Add(d).UnixMilli()) }
	used := command(t, f, 2000, pay(1), nil)
	if got := post(t, f, used); got.Code != exchange.OK {
		t.Fatal(got)
	}
	foreign := func() *exchange.Command {
		c := command(t, f, 2001, pay(1), nil)
		if err := c.Sign(exchange.ID{7}, exchangetest.Key("alice")); err != nil {
			t.Fatal(err)
		}
		return c
	}
	forged := command(t, f, 2001, pay(1), nil)
	forged.Signature[3] ^= 1
	oddBody := command(t, f, 2002, pay(1), func(c *exchange.Command) { c.Body = append(c.Body, 0) })
	for _, tc := range []struct {
		name string
		c    *exchange.Command
		code exchange.Code
	}{
		{"wrong domain", foreign(), exchange.BadSignature},
		{"forged", forged, exchange.BadSignature},
		{"expired", command(t, f, 2001, pay(1), func(c *exchange.Command) { c.Expiry = now(-time.Minute) }), exchange.Expired},
		{"expiry 0", command(t, f, 2001, pay(1), func(c *exchange.Command) { c.Expiry = 0 }), exchange.Expired},
		{"expiry far ahead", command(t, f, 2001, pay(1), func(c *exchange.Command) { c.Expiry = now(time.Hour) }), exchange.ExpiryTooFar},
		{"largest expiry", command(t, f, 2001, pay(1), func(c *exchange.Command) { c.Expiry = 1<<64 - 1 }), exchange.ExpiryTooFar},
		{"nonce used", command(t, f, 2000, pay(2), nil), exchange.NonceUsed},
		{"nonce stale", command(t, f, 1, pay(1), nil), exchange.NonceStale},
		{"nonce 0", command(t, f, 0, pay(1), nil), exchange.NonceStale},
		{"nonce far", command(t, f, 2000+65_537, pay(1), nil), exchange.NonceTooFar},
		{"largest nonce", command(t, f, 1<<64-1, pay(1), nil), exchange.NonceTooFar},
		{"unknown account", command(t, f, 2001, pay(1), func(c *exchange.Command) { c.Account = exchangetest.Address("nobody") }), exchange.UnknownAccount},
		{"somebody else's account", command(t, f, 2001, pay(1), func(c *exchange.Command) { c.Account = exchangetest.Address("bob") }), exchange.UnknownKey},
		{"odd body", oddBody, exchange.BadBody},
		{"zero", command(t, f, 2003, pay(0), nil), exchange.BadAmount},
		{"minus one", command(t, f, 2004, pay(1<<64-1), nil), exchange.BadAmount},
		{"more than there is", command(t, f, 2005, pay(asset.MaxSupply), nil), exchange.Insufficient},
		{"unknown market", command(t, f, 2006, &exchange.Place{
			Market: 99, Side: market.Buy, Order: market.LimitOrder, TIF: market.GTC, Price: 1e8, Quantity: 1e8,
		}, nil), exchange.UnknownMarket},
		{"overflowing order", command(t, f, 2007, &exchange.Place{
			Market: 1, Side: market.Buy, Order: market.LimitOrder, TIF: market.GTC, Price: market.MaxPrice - market.MaxPrice%1e6, Quantity: asset.MaxSupply - asset.MaxSupply%1e4,
		}, nil), exchange.OrderOverflow},
		{"unknown order kind", command(t, f, 2008, &exchange.Place{Market: 1, Side: 9, Order: 99, TIF: 99, Price: 1e8, Quantity: 1e8}, nil), exchange.BadOrderKind},
	} {
		before := f.root()
		got := post(t, f, tc.c)
		if tc.code == exchange.NonceStale && got.Code == exchange.NonceUsed {
			got.Code = tc.code // it may have been executed long ago
		}
		if got.Code != tc.code {
			t.Errorf("%s: %+v (%s), not %s", tc.name, got, got.Code, tc.code)
		}
		if burnt := f.root() != before; burnt != tc.code.Burns() || (got.Height != 0) != tc.code.Burns() {
			t.Errorf("%s: state changed: %v, height %d", tc.name, burnt, got.Height)
		}
	}
}

// post sends one command as raw bytes and answers its receipt.
func post(t *testing.T, f *federation, c *exchange.Command) exchange.Receipt {
	t.Helper()
	a := call(t, f.nodes[0], "POST", "/v1/commands", c.Append(nil), binary)
	list, err := api.ParseReceipts(a.body)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d %q: %v", a.status, a.body, err)
	}
	return list[0]
}

// Bodies that are no commands get a clear message, change nothing and crash nothing (H-10 to H-12).
func TestBadBodies(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	f.fund("alice", "bob")
	good := command(t, f, 2001, pay(1), nil).Append(nil)
	text := hex.EncodeToString(good)
	unknown := bytes.Clone(good)
	unknown[0] = 99
	long := bytes.Clone(good)
	long[1+20+32+8+8] = 0xff // a body longer than a body may be
	js := http.Header{"Content-Type": {api.JSON}}
	before := f.root()
	for name, tc := range map[string]struct {
		body   []byte
		header http.Header
		code   api.Code
		say    string
	}{
		"nothing":          {nil, binary, api.BadEncoding, "empty"},
		"truncated":        {good[:len(good)-1], binary, api.BadEncoding, "cut short"},
		"one byte":         {[]byte{1}, binary, api.BadEncoding, "cut short"},
		"something behind": {append(bytes.Clone(good), 5, 5), binary, api.BadEncoding, "command 2"},
		"unknown kind":     {unknown, binary, api.BadEncoding, "kind 99"},
		"one good one bad": {append(bytes.Clone(good), unknown...), binary, api.BadEncoding, "command 2"},
		"long body":        {long, binary, api.BadEncoding, "cut short"},
		"4 MB":             {make([]byte, 4<<20), binary, api.TooLarge, "524288"},
		"4 MB of JSON":     {bytes.Repeat([]byte(" "), 4<<20), js, api.TooLarge, "65536"},
		"too many":         {bytes.Repeat(good[:0:0], 0), binary, api.BadEncoding, "empty"},
		"no media type":    {good, nil, api.Unsupported, "application/octet-stream"},
		"a form":           {good, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, api.Unsupported, "application/octet-stream"},
		"JSON twice":       {[]byte(`{"commands":["` + text + `"],"commands":["` + text + `"]}`), js, api.BadEncoding, "twice"},
		"JSON unknown":     {[]byte(`{"commands":["` + text + `"],"amount":-5}`), js, api.BadEncoding, "amount"},
		"JSON number":      {[]byte(`{"commands":[-1e999]}`), js, api.BadEncoding, ""},
		"JSON cut":         {[]byte(`{"commands":["` + text), js, api.BadEncoding, ""},
		"JSON empty list":  {[]byte(`{"commands":[]}`), js, api.BadEncoding, "empty"},
		"JSON nested":      {[]byte(strings.Repeat(`{"commands":`, 5000)), js, api.BadEncoding, ""},
	} {
		a := call(t, f.nodes[0], "POST", "/v1/commands", tc.body, tc.header)
		if a.problem.Code != tc.code || !strings.Contains(a.problem.Detail, tc.say) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if f.root() != before {
		t.Error("the state has changed")
	}
	if a := call(t, f.nodes[0], "POST", "/v1/commands", []byte(`{"commands":["`+base64.StdEncoding.EncodeToString(good)+`"]}`), js); a.status != 200 ||
		!strings.Contains(string(a.body), `"code":0`) || a.header.Get("Content-Type") != api.JSON {
		t.Errorf("a good one: %d %s", a.status, a.body)
	}
}

// A body without a length that goes on for ever is cut off (H-10).
func TestEndlessBody(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	req, err := http.NewRequestWithContext(within(t, 10*time.Second), http.MethodPost, f.nodes[0].url+"/v1/commands", endless{})
	if err != nil {
		t.Fatal(err)
	}
	req.Header = binary.Clone()
	client := http.Client{}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Skipf("the connection was closed first: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Error(resp.Status)
	}
}

// A body without a length that turns out too long is refused as such, however good
// the commands in it are (H-10).
func TestBodyWithoutLength(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	f.fund("alice", "bob")
	good := command(t, f, 2001, pay(1), nil).Append(nil)
	before := f.root()
	for _, tc := range []struct {
		commands int
		code     api.Code
	}{{1, ""}, {api.MaxBinary/len(good) + 1, api.TooLarge}} {
		body := io.MultiReader(bytes.NewReader(bytes.Repeat(good, tc.commands))) // hides the length
		req, err := http.NewRequestWithContext(within(t, 10*time.Second), http.MethodPost, f.nodes[0].url+"/v1/commands", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = binary.Clone()
		if a := send(t, req); a.problem.Code != tc.code {
			t.Errorf("%d commands: %d %s", tc.commands, a.status, a.body)
		}
		if changed := f.root() != before; changed != (tc.code == "") {
			t.Errorf("%d commands: state changed: %v", tc.commands, changed)
		}
		before = f.root()
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Requests for what there is not, or not so, are told what there is (H-40, H-41).
func TestBadRequests(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	f.fund("alice")
	alice := exchangetest.Address("alice").String()
	token := func(target string) http.Header { return signed(f, "alice", "GET", target) }
	old := api.SignRead(f.id, exchangetest.Address("alice"), exchangetest.Key("alice"), uint64(time.Now().Add(-2*time.Minute).UnixMilli()), "GET", "/v1/nonce")
	ahead := api.SignRead(f.id, exchangetest.Address("alice"), exchangetest.Key("alice"), uint64(time.Now().Add(2*time.Minute).UnixMilli()), "GET", "/v1/nonce")
	for _, tc := range []struct {
		method, target string
		header         http.Header
		status         int
		code           api.Code
		field          string
	}{
		{"GET", "/v1/nothing", nil, 404, api.NotFound, ""},
		{"GET", "/", nil, 404, api.NotFound, ""},
		{"GET", "/v1/../v1/status", nil, 404, api.NotFound, ""},
		{"GET", "//v1/status", nil, 404, api.NotFound, ""},
		{"GET", "/v1/status/", nil, 404, api.NotFound, ""},
		{"GET", "/vs/xyz/v1/status", nil, 404, api.NotFound, "path.id"},
		{"GET", "/vs/" + strings.Repeat("0", 64) + "/v1/status", nil, 404, api.NotFound, "path.id"},
		{"GET", "/metrics", nil, 404, api.NotFound, ""},
		{"GET", "/v1/commands", nil, 405, api.NotMethod, ""},
		{"DELETE", "/v1/status", nil, 405, api.NotMethod, ""},
		{"POST", "/livez", nil, 405, api.NotMethod, ""},
		{"GET", "/v1/book/1?depth=-1", nil, 422, api.BadRequest, "query.depth"},
		{"GET", "/v1/book/1?depth=99999999999999999999", nil, 422, api.BadRequest, "query.depth"},
		{"GET", "/v1/book/1?deep=1", nil, 422, api.BadRequest, "query.deep"},
		{"GET", "/v1/trades", nil, 422, api.BadRequest, "query.market"},
		{"GET", "/v1/trades?market=1&limit=1001", nil, 422, api.BadRequest, "query.limit"},
		{"GET", "/v1/trades?market=1&before=1-2", nil, 400, api.BadRequest, "query.before"},
		{"GET", "/v1/trades/0", nil, 422, api.BadRequest, "path.id"},
		{"GET", "/v1/trades/5", nil, 404, api.NotFound, "path.id"},
		{"GET", "/v1/light/x", nil, 422, api.BadRequest, "path.height"},
		{"GET", "/v1/assets/999", nil, 404, api.NotFound, "path.asset"},
		{"GET", "/v1/assets/btc", nil, 404, api.NotFound, "path.asset"},
		{"GET", "/v1/markets/1?proof=perhaps", nil, 422, api.BadRequest, "query.proof"},
		{"GET", "/v1/commands/12", nil, 400, api.BadRequest, "path.id"},
		{"GET", "/v1/commands/" + strings.Repeat("A", 64), nil, 400, api.BadRequest, "path.id"},
		{"GET", "/v1/accounts/" + alice, nil, 401, api.NotSigned, "header.Souk-Read"},
		{"GET", "/v1/accounts/" + alice, http.Header{api.ReadHeader: {"v1 x"}}, 401, api.NotSigned, "header.Souk-Read"},
		{"GET", "/v1/accounts/" + alice, token("/v1/nonce"), 403, api.NotAllowed, "header.Souk-Read"},
		{"GET", "/v1/accounts/" + exchangetest.Address("bob").String(), token("/v1/accounts/" + exchangetest.Address("bob").String()), 403, api.NotAllowed, "header.Souk-Read"},
		{"GET", "/v1/nonce", http.Header{api.ReadHeader: {old.String()}}, 401, api.NotSigned, "header.Souk-Read"},
		{"GET", "/v1/nonce", http.Header{api.ReadHeader: {ahead.String()}}, 401, api.NotSigned, "header.Souk-Read"},
		{"GET", "/v1/orders?limit=0", token("/v1/orders?limit=0"), 422, api.BadRequest, "query.limit"},
		{"GET", "/v1/fills?proof=1", token("/v1/fills?proof=1"), 400, api.BadRequest, "query.limit"},
	} {
		a := call(t, f.nodes[0], tc.method, tc.target, nil, tc.header)
		if a.status != tc.status || a.problem.Code != tc.code || a.problem.Field != tc.field {
			t.Errorf("%s %s: %d %s", tc.method, tc.target, a.status, a.body)
		}
	}
	// A token for one virtual server is worth nothing at another.
	g := newFederation(t, 1, web.Config{})
	g.fund("alice")
	if a := call(t, g.nodes[0], "GET", "/v1/nonce", nil, token("/v1/nonce")); a.problem.Code != api.NotAllowed {
		t.Errorf("a token for another virtual server: %d %s", a.status, a.body)
	}
}

// Who asks by a name that is not the server's, or from a page of another origin, is
// turned away; responses carry what keeps browsers off (H-50, H-53).
func TestGuard(t *testing.T) {
	f := newFederation(t, 1, web.Config{Hosts: []string{"souk.example"}})
	n := f.nodes[0]
	for host, ok := range map[string]bool{
		"localhost:1": true, "LOCALHOST": true, "127.0.0.1": true, "127.0.0.1:99": true, "[::1]:5": true, "10.1.2.3": true, "souk.example": true,
		"Souk.Example.:443": true, "evil.example": false, "souk.example.evil": false, "": false, "localhost.evil": false, "127.0.0.1.evil": false,
	} {
		if host == "" {
			continue // the client would put the address there
		}
		a := call(t, n, "GET", "/v1/status", nil, http.Header{"Host": {host}})
		if ok != (a.status == 200) || !ok && a.problem.Code != api.WrongHost {
			t.Errorf("host %q: %d %s", host, a.status, a.body)
		}
	}
	good := command(t, f, 1, pay(1), nil).Append(nil)
	for name, h := range map[string]http.Header{
		"cross-site": {"Sec-Fetch-Site": {"cross-site"}}, "origin": {"Origin": {"https://evil.example"}},
	} {
		h["Content-Type"] = []string{api.Binary}
		if a := call(t, n, "POST", "/v1/commands", good, h); a.problem.Code != api.CrossOrigin {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	a := call(t, n, "GET", "/v1/status", nil, http.Header{"Origin": {"https://evil.example"}})
	for _, h := range []string{"Access-Control-Allow-Origin", "Set-Cookie", "Link"} {
		if a.header.Get(h) != "" {
			t.Errorf("there is a header %s: %s", h, a.header.Get(h))
		}
	}
	for h, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin",
		api.ServerHeader: fmt.Sprintf("%x", f.id), api.MemberHeader: f.founding.Members[0].Name,
	} {
		if a.header.Get(h) != want {
			t.Errorf("header %s is %q", h, a.header.Get(h))
		}
	}
}

// livez, readyz and metrics (H-54).
func TestHealth(t *testing.T) {
	f := newFederation(t, 1, web.Config{Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1\n")) })})
	n := f.nodes[0]
	for _, p := range []string{"/livez", "/readyz"} {
		if a := call(t, n, "GET", p, nil, nil); a.status != 200 || string(a.body) != `{"status":"ok"}` {
			t.Errorf("%s: %d %s", p, a.status, a.body)
		}
	}
	if a := call(t, n, "GET", "/metrics", nil, nil); string(a.body) != "up 1\n" {
		t.Errorf("metrics: %d %s", a.status, a.body)
	}
	if a := call(t, n, "GET", "/metrics", nil, http.Header{"X-Forwarded-For": {"1.2.3.4"}}); a.status != 404 {
		t.Errorf("metrics through a proxy: %d %s", a.status, a.body)
	}
	if err := n.replica.Close(); err != nil {
		t.Fatal(err)
	}
	if a := call(t, n, "GET", "/livez", nil, nil); a.status != 200 {
		t.Errorf("livez of a stopped replica: %d", a.status)
	}
	if a := call(t, n, "GET", "/readyz", nil, nil); a.status != 503 || !strings.Contains(string(a.body), fmt.Sprintf("%x", f.id)) {
		t.Errorf("readyz of a stopped replica: %d %s", a.status, a.body)
	}
	if a := call(t, n, "POST", "/v1/commands", command(t, f, 1, pay(1), nil).Append(nil), binary); a.problem.Code != api.Halted || a.header.Get("Retry-After") == "" {
		t.Errorf("commands to a stopped replica: %d %s", a.status, a.body)
	}
}
