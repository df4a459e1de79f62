package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"souk/api"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/roster"
	"souk/web"
	"souk/web/ui"
)

// An origin is what browsers make of a URL, and nothing else gets into a header (H-53, H-131).
func TestOrigin(t *testing.T) {
	for base, want := range map[string]string{
		"https://alice.example": "https://alice.example", "https://Alice.Example:443/souk/": "https://alice.example",
		"http://alice.example:80": "http://alice.example", "http://alice.example:443": "http://alice.example:443", "HTTP://x:08640": "http://x:8640",
		"http://127.0.0.1:8640": "http://127.0.0.1:8640", "http://[::1]:8640/": "http://[::1]:8640", "https://[2001:DB8:0:0::1]": "https://[2001:db8::1]",
		"https://xn--bcher-kva.example": "https://xn--bcher-kva.example", "http://localhost:1": "http://localhost:1",
		"https://a.example;script-src*": "", "https://a.example,https://b.example": "", "https://*": "", "https://*.example": "", "https://a.example'self'": "",
		"https://a.example\r\nX: y": "", "https://a.example%0d%0aX:y": "", "https://user@a.example": "", "https://a.example@evil.example": "",
		"https://": "", "https:a.example": "", "//a.example": "", "javascript:alert(1)": "", "data:text/html,x": "", "ws://a.example": "", "ftp://a.example": "", "null": "", "": "",
		"https://a..example": "", "https://-a.example": "", "https://a.example.": "", "https://a_b.example": "", "https://bücher.example": "",
		"http://0x7f.1": "", "http://127.1": "", "http://2130706433": "", "http://1.2.3.4.5": "", "http://a.0x10": "", "http://[fe80::1%25eth0]": "", "http://[::ffff:1.2.3.4]": "",
		"https://a.example:": "", "https://a.example:0": "", "https://a.example:65536": "", "https://a.example:1e3": "", "https://a.example:80:80": "",
		"https://" + strings.Repeat("a", 64) + ".example": "", "http://[::1]:": "", "http://[::1": "", "https://a.example\\@b.example": "",
	} {
		if got, ok := web.Origin(base); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v, want %q", base, got, ok, want)
		}
	}
}

// elsewhere is a federation whose members have URLs of their own.
func elsewhere(t *testing.T, config web.Config, urls ...string) *federation {
	t.Helper()
	f := exchangetest.Founding(len(urls))
	for i := range f.Members {
		f.Members[i].URL = urls[i]
		f.Members[i].Sign(exchangetest.Key(f.Members[i].Name))
	}
	return foundFederation(t, f, config)
}

const (
	bobs = "https://bob.example"
	evil = "https://evil.example"
)

// shared tells what a server answers a page of an origin.
func shared(t *testing.T, n *node, method, target, origin string, more http.Header) (a answered, ok bool) {
	t.Helper()
	h := http.Header{"Origin": {origin}, "Sec-Fetch-Site": {"cross-site"}}
	for k, v := range more {
		h[k] = v
	}
	a = call(t, n, method, target, nil, h)
	if a.header.Get("Access-Control-Allow-Credentials") != "" || a.header.Get("Set-Cookie") != "" {
		t.Errorf("%s for %s: %v", target, origin, a.header)
	}
	allowed := a.header.Get("Access-Control-Allow-Origin")
	if allowed != "" && allowed != origin {
		t.Errorf("%s lets %q in, not %q", target, allowed, origin)
	}
	return a, allowed != ""
}

// Pages of members, and those that the operator names, read and send; all others do neither (H-53).
func TestShared(t *testing.T) {
	f := elsewhere(t, web.Config{Origins: []string{"https://trade.example"}}, "https://Alice.example:8640/souk", bobs)
	n := f.nodes[0]
	long := "/vs/" + id(f)
	for _, origin := range []string{"https://alice.example:8640", bobs, "https://trade.example"} {
		for _, target := range []string{"/v1/status", long + "/v1/status", "/v1/nothing", "/v1/accounts/x", "/v1/book/1?x=1", "/v1/openapi.json"} {
			a, ok := shared(t, n, "GET", target, origin, nil)
			if !ok || a.header.Get("Access-Control-Expose-Headers") != "Souk-Server, Souk-Member, Retry-After" || a.header.Get("Vary") != "Origin" {
				t.Errorf("%s for %s: %d %v", target, origin, a.status, a.header)
			}
		}
		a, ok := shared(t, n, "POST", "/v1/commands", origin, http.Header{"Content-Type": {api.Binary}})
		if !ok || a.problem.Code != api.BadEncoding {
			t.Errorf("commands of %s: %d %s", origin, a.status, a.body)
		}
		a, ok = shared(t, n, "OPTIONS", long+"/v1/commands", origin, http.Header{"Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"content-type,souk-silent"}})
		got := []string{a.header.Get("Access-Control-Allow-Methods"), a.header.Get("Access-Control-Allow-Headers"), a.header.Get("Access-Control-Max-Age")}
		if diff := cmp.Diff([]string{"GET, HEAD, POST", "Souk-Read, Souk-After, Souk-Silent, Content-Type, Last-Event-ID", "600"}, got); !ok || a.status != 204 || diff != "" {
			t.Errorf("preflight of %s: %d %s", origin, a.status, diff)
		}
	}
	if a, _ := shared(t, n, "OPTIONS", "/v1/status", bobs, nil); a.status != http.StatusMethodNotAllowed {
		t.Errorf("OPTIONS that is no preflight: %d", a.status)
	}
	for _, origin := range []string{
		"null", evil, "http://bob.example", "https://bob.example:8443", "https://bob.example.", "https://bob.example.evil.example", "https://evilbob.example", "https://evil.example/bob.example",
		"https://bob.example/", "https://BOB.example", bobs + ", " + evil, "https://sub.bob.example", "bob.example", "*", "", "https://alice.example", "https://trade.example:443",
	} {
		for _, target := range []string{"/v1/status", long + "/v1/status"} {
			if a, ok := shared(t, n, "GET", target, origin, nil); ok || a.header.Get("Vary") != "Origin" {
				t.Errorf("%q reads %s: %v", origin, target, a.header)
			}
		}
		a, ok := shared(t, n, "POST", "/v1/commands", origin, http.Header{"Content-Type": {api.Binary}})
		if ok || a.problem.Code != api.CrossOrigin {
			t.Errorf("%q sends: %d %s", origin, a.status, a.body)
		}
		if a, ok = shared(t, n, "OPTIONS", "/v1/commands", origin, http.Header{"Access-Control-Request-Method": {"POST"}}); ok || a.status != 403 && a.status != 405 {
			t.Errorf("preflight of %q: %d %s", origin, a.status, a.body)
		}
	}
	if a := call(t, n, "GET", "/v1/status", nil, http.Header{"Origin": {bobs, evil}}); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("two origins: %v", a.header)
	}
	for _, target := range []string{"/livez", "/readyz", "/metrics", "/", "/vs/" + strings.Repeat("0", 64) + "/v1/status", "/v1", long + "/readyz", "/vs/x/v1/status"} {
		if _, ok := shared(t, n, "GET", target, bobs, nil); ok {
			t.Errorf("%s is shared", target)
		}
	}
}

func id(f *federation) string { return fmt.Sprintf("%x", f.id) }

// Streams follow the same rule, of both kinds (H-53, H-115).
func TestSharedStreams(t *testing.T) {
	f := elsewhere(t, web.Config{}, "https://alice.example", bobs)
	n := f.nodes[0]
	for origin, ok := range map[string]bool{bobs: true, n.url: true, "": true, evil: false, "null": false, "https://bob.example.evil.example": false} {
		h := http.Header{}
		if origin != "" {
			h.Set("Origin", origin)
		}
		method := map[bool]string{true: "HEAD", false: "GET"}[ok] // the stream of a GET would not end
		if a := call(t, n, method, "/v1/events?markets=1", nil, h); (a.status == 200) != ok {
			t.Errorf("stream for %q: %d", origin, a.status)
		}
		c, resp, err := websocket.Dial(within(t, 10*time.Second), "ws"+strings.TrimPrefix(n.url, "http")+"/v1/events/ws?markets=1", &websocket.DialOptions{HTTPHeader: h}) //nolint:bodyclose // the library closes it
		if (err == nil) != ok || !ok && resp.StatusCode != http.StatusForbidden {
			t.Errorf("WebSocket for %q: %v", origin, err)
		}
		if err == nil {
			_ = c.CloseNow()
		}
	}
}

// Pages of members read the list of the page's files here, to compare it with theirs, and
// nothing else of the page (H-132).
func TestPageList(t *testing.T) {
	page, err := ui.New()
	if err != nil {
		t.Fatal(err)
	}
	n := elsewhere(t, web.Config{Page: page}, "https://alice.example", bobs).nodes[0]
	for origin, want := range map[string]bool{bobs: true, evil: false, "null": false} {
		a, ok := shared(t, n, "GET", "/page.txt", origin, nil)
		if ok != want || a.status != 200 || !strings.Contains(string(a.body), "  index.html\n") {
			t.Errorf("the list for %s: %d %v", origin, a.status, a.header)
		}
		for _, target := range []string{"/", "/index.html", "/sw.js"} {
			if _, ok := shared(t, n, "GET", target, origin, nil); ok {
				t.Errorf("%s is shared with %s", target, origin)
			}
		}
	}
}

// The page comes with a policy that names the members as they are, none that a member has
// made up, and follows the roster; its files have no parameters (H-130, H-131).
func TestPage(t *testing.T) {
	page, err := ui.New()
	if err != nil {
		t.Fatal(err)
	}
	f := elsewhere(t, web.Config{Page: page}, "https://alice.example;script-src*", bobs, "https://*", "http://c.example,https://evil.example")
	n := f.nodes[0]
	connect := func() string {
		a := call(t, n, "GET", "/?ref=x&ref=y", nil, nil)
		if a.status != 200 || !strings.Contains(string(a.body), "<!doctype html>") || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		for h, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-cache",
		} {
			if got := a.header.Get(h); got != want {
				t.Errorf("%s: %q", h, got)
			}
		}
		for part := range strings.SplitSeq(a.header.Get("Content-Security-Policy"), "; ") {
			if from, ok := strings.CutPrefix(part, "connect-src "); ok {
				return from
			}
		}
		return ""
	}
	if got := connect(); got != "'self' https://bob.example wss://bob.example" {
		t.Errorf("connect-src %s", got)
	}
	m := f.founding.Members[0]
	var replaced roster.ID
	_ = n.replica.View(func(s *exchange.State) { replaced, _ = s.Roster().ByServer(m.Server) })
	card := exchangetest.Card("carol")
	action := roster.AppendAction(nil, roster.ReplaceMember{
		Member: replaced, Server: card.Server, Consensus: card.Consensus, P2P: card.P2P, URL: "http://127.0.0.1:8640",
	}, 0)
	for i := range f.founding.Members {
		must(t, f.client().As(signer(f.founding.Members[i].Name)), &exchange.Vote{Approve: true, Action: action})
	}
	if got := connect(); got != "'self' http://127.0.0.1:8640 ws://127.0.0.1:8640 https://bob.example wss://bob.example" {
		t.Errorf("connect-src after the vote: %s", got)
	}
	for _, tc := range []struct {
		method, target string
		status         int
	}{
		{"POST", "/", 405},
		{"DELETE", "/", 405},
		{"HEAD", "/", 200},
		{"GET", "/index.html?x=1", 422},
		{"GET", "/manifest.webmanifest?v=2", 422},
		{"GET", "/assets/none.js", 404},
		{"GET", "/assets/", 404},
		{"GET", "/..%2fui.go", 404},
	} {
		if a := call(t, n, tc.method, tc.target, nil, nil); a.status != tc.status {
			t.Errorf("%s %s: %d %s", tc.method, tc.target, a.status, a.body)
		}
	}
	if a := call(t, newFederation(t, 1, web.Config{}).nodes[0], "GET", "/", nil, nil); a.status != 404 {
		t.Errorf("without a page: %d %s", a.status, a.body)
	}
}
