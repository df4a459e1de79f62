package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/web"
)

// clientOf is a client of some base URLs, in this order.
func clientOf(t testing.TB, f *federation, urls ...string) *api.Client {
	t.Helper()
	c, err := api.NewClient(api.Config{Servers: urls, ID: f.id})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// balance is what somebody has of the euro, in ledger units, by the server that is
// furthest; balances here only grow.
func (f *federation) balance(name string) (n uint64) {
	for _, node := range f.nodes {
		_ = node.replica.View(func(s *exchange.State) {
			if acc, ok := s.Ledger().Find(exchangetest.Address(name)); ok {
				n = max(n, uint64(s.Ledger().Available(acc, exchangetest.EUR)))
			}
		})
	}
	return n
}

// A server that is killed under load costs no command and no error (H-80).
func TestKilledServer(t *testing.T) {
	f := newFederation(t, 3, web.Config{})
	f.fund("alice", "bob")
	before := f.balance("bob")
	c := clientOf(t, f, f.urls()...)
	var wait sync.WaitGroup
	const each = 40
	for worker := range 4 {
		wait.Go(func() {
			a := c.As(signer("alice"))
			for i := range each {
				// With equal bodies two workers may make the very same command.
				body := &exchange.Transfer{To: exchangetest.Address("bob"), Asset: exchangetest.EUR, Amount: 1, Memo: fmt.Sprint(worker, i)}
				for {
					receipts, err := a.Do(within(t, 20*time.Second), body)
					if err != nil {
						t.Error(err)
						return
					}
					if receipts[0].Code == exchange.OK {
						break
					}
					if receipts[0].Code != exchange.NonceUsed && receipts[0].Code != exchange.NonceStale { // four actors share a key
						t.Errorf("%+v", receipts[0])
						return
					}
				}
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	f.nodes[0].kill()
	wait.Wait()
	if got := f.balance("bob") - before; got != 4*each {
		t.Errorf("%d effects of %d commands", got, 4*each)
	}
	if s, err := c.Status(within(t, 5*time.Second)); err != nil || c.Servers()[0] == f.nodes[0].url {
		t.Errorf("status %+v: %v", s, err)
	}
}

// A member that takes commands and passes none on: they go elsewhere within a second,
// have one effect, and status shows who was silent (H-25).
func TestSilentMember(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 2, web.Config{})
	f.fund("alice", "bob")
	ctx := within(t, 30*time.Second)
	other := clientOf(t, f, f.nodes[1].url)
	// The silent server may hear of the block, and answer, before the other has it: then the
	// client calls the other one off, and nothing is reported. So it may take some payments.
	for reported := false; !reported; {
		c := clientOf(t, f, f.urls()...)
		if _, err := c.Status(ctx); err != nil { // the client knows who is who
			t.Fatal(err)
		}
		f.mu.Lock()
		f.nodes[0].mute = true
		f.mu.Unlock()
		before := f.balance("bob")
		must(t, c.As(signer("alice")), pay(3)) // the client's resend time is 0.8 s
		if got := f.balance("bob") - before; got != 3 {
			t.Errorf("%d was paid", got)
		}
		if first := c.Servers()[0]; first != f.nodes[1].url {
			t.Errorf("the client still prefers the silent server %s", first)
		}
		for end := time.Now().Add(time.Second); !reported && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			s, err := other.Status(ctx)
			if err != nil {
				t.Fatalf("status does not show who was silent: %v", err)
			}
			for _, m := range s.Members {
				switch silent := m.Name == f.founding.Members[0].Name; {
				case silent:
					reported = m.Silent > 0 && m.SilentAt > 0
				case m.Silent > 0:
					t.Errorf("member %+v was not silent", m)
				}
			}
		}
	}
}

// Servers that hang, talk nonsense or refuse what is good do not keep a client from
// one that works (H-80).
func TestBrokenServers(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 1, web.Config{})
	f.fund("alice", "bob")
	hang, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hang.Close() }()
	dead := freePort(t)
	id := fmt.Sprintf("%x", f.id)
	answer := func(status int, media string, body []byte, more ...string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", media)
			w.Header().Set(api.ServerHeader, id)
			for i := 0; i+1 < len(more); i += 2 {
				w.Header().Set(more[i], more[i+1])
			}
			w.WriteHeader(status)
			_, _ = w.Write(body)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", api.Binary)
		w.Header().Set(api.ServerHeader, id)
		for block := make([]byte, 1<<20); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}))
	t.Cleanup(endless.Close)
	refusal, err := json.Marshal(api.NewError(api.BadEncoding, "body", "no"))
	if err != nil {
		t.Fatal(err)
	}
	other := api.AppendReceipts(nil, []exchange.Receipt{{ID: exchange.CommandID{9}}})
	for name, bad := range map[string]string{
		"dead":                  "http://" + dead,
		"hanging":               "http://" + hang.Addr().String(),
		"a web page":            answer(200, "text/html", []byte("<html>")),
		"a web page as 404":     answer(404, "text/html", []byte("<html>")),
		"500":                   answer(500, api.Problem, []byte(`{}`)),
		"503":                   answer(503, api.Problem, []byte(`{"code":"busy"}`)),
		"a redirect":            answer(307, "text/html", nil, "Location", "http://127.0.0.1:1/"),
		"no media type":         answer(200, "", nil),
		"nothing":               answer(200, api.Binary, nil),
		"half a receipt":        answer(200, api.Binary, make([]byte, 40)),
		"zeros":                 answer(200, api.Binary, make([]byte, api.ReceiptSize)),
		"somebody's receipt":    answer(200, api.Binary, other),
		"JSON for binary":       answer(200, api.JSON, []byte(`[]`)),
		"a wrong refusal":       answer(400, api.Problem, refusal),
		"a broken refusal":      answer(400, api.Problem, []byte(`{`)),
		"another server's":      answer(200, api.Binary, other, api.ServerHeader, strings.Repeat("0", 64)),
		"an endless body":       endless.URL,
		"a host that is no URL": "http://invalid.invalid",
	} {
		t.Run(name, func(t *testing.T) {
			c := clientOf(t, f, bad, f.nodes[0].url)
			must(t, c.As(&api.Signer{Account: exchangetest.Address("alice"), Key: exchangetest.Key("alice")}), pay(1))
			if _, err := c.Book(within(t, 10*time.Second), "1", 5); err != nil {
				t.Error(err)
			}
		})
	}
	// A refusal that all servers agree on is the caller's to hear.
	c := clientOf(t, f, answer(400, api.Problem, refusal), answer(400, api.Problem, refusal))
	cmd := command(t, f, 4000, pay(1), nil)
	if _, err := c.Submit(within(t, 10*time.Second), cmd); code(err) != api.BadEncoding {
		t.Error(err)
	}
	foreign := command(t, f, 4001, pay(1), nil)
	foreign.ID[0] ^= 1
	if _, err := c.Submit(within(t, time.Second), foreign); !errors.Is(err, api.ErrForeign) {
		t.Error(err)
	}
}

// When all servers are away the client waits for one to come back, as long as its
// context lets it.
func TestAllAway(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 1, web.Config{})
	f.fund("alice", "bob")
	address := freePort(t)
	c := clientOf(t, f, "http://"+address)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Submit(ctx, command(t, f, 2000, pay(1), nil)); !errors.Is(err, api.ErrUndecided) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if _, err := c.Status(ctx); err == nil {
		t.Error("somebody answered")
	}
	time.AfterFunc(300*time.Millisecond, func() {
		if l, err := net.Listen("tcp", address); err == nil {
			_ = f.nodes[0].server.Serve(l)
		}
	})
	receipts, err := c.Submit(within(t, 20*time.Second), command(t, f, 2001, pay(1), nil))
	if err != nil || receipts[0].Code != exchange.OK {
		t.Error(receipts, err)
	}
}

// lying passes requests on and lets lie change what comes back as JSON.
func lying(t *testing.T, n *node, lie func(v map[string]any)) string {
	t.Helper()
	target, err := url.Parse(n.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(resp *http.Response) error {
			data, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			v := map[string]any{}
			if json.Unmarshal(data, &v) == nil {
				lie(v)
				data, _ = json.Marshal(v)
			}
			resp.Body = io.NopCloser(bytes.NewReader(data))
			resp.ContentLength = int64(len(data))
			resp.Header.Del("Content-Length")
			return nil
		},
	}
	s := httptest.NewServer(proxy)
	t.Cleanup(s.Close)
	return s.URL
}

// A server that lies in a proof, or shows an old state, is caught, and another one is
// believed instead (H-62, H-64).
func TestLyingServer(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 2, web.Config{})
	f.fund("alice", "bob")
	ctx := within(t, 30*time.Second)
	honest := f.client()
	alice := signer("alice")
	buy := must(t, honest.As(alice), limit(market.Buy, 40_000, ""))
	v := api.NewVerifier(f)
	old, err := honest.Account(ctx, alice)
	if err != nil {
		t.Fatal(err)
	}
	oldProof := call(t, f.nodes[0], "GET", "/v1/accounts/"+old.Address+"?proof=1", nil, signed(f, "alice", "GET", "/v1/accounts/"+old.Address+"?proof=1"))
	var oldAnswer map[string]any
	if err := json.Unmarshal(oldProof.body, &oldAnswer); err != nil {
		t.Fatal(err)
	}
	bob := call(t, f.nodes[0], "GET", "/v1/accounts/"+exchangetest.Address("bob").String()+"?proof=1", nil,
		signed(f, "bob", "GET", "/v1/accounts/"+exchangetest.Address("bob").String()+"?proof=1"))
	var bobs map[string]any
	if err := json.Unmarshal(bob.body, &bobs); err != nil {
		t.Fatal(err)
	}
	must(t, honest.As(alice), pay(5))
	if _, _, err := honest.VerifiedAccount(ctx, v, alice); err != nil {
		t.Fatal(err)
	}
	proof := func(v map[string]any) map[string]any {
		p, _ := v["proof"].(map[string]any)
		return p
	}
	for name, lie := range map[string]func(map[string]any){
		"no proof":     func(v map[string]any) { delete(v, "proof") },
		"leaf changed": func(v map[string]any) { p := proof(v); p["leaf"] = "////" + p["leaf"].(string)[4:] },
		"leaf gone":    func(v map[string]any) { delete(proof(v), "leaf") },
		"path cut":     func(v map[string]any) { p := proof(v); p["path"] = p["path"].(string)[4:] },
		"header 1":     func(v map[string]any) { proof(v)["height"] = 1 },
		"bob's":        func(v map[string]any) { v["proof"] = bobs["proof"] },
		"an old one":   func(v map[string]any) { v["proof"] = oldAnswer["proof"] },
		"no base64":    func(v map[string]any) { proof(v)["leaf"] = "!!" },
		"a number":     func(v map[string]any) { v["proof"] = 7 },
	} {
		t.Run(name, func(t *testing.T) {
			liar := lying(t, f.nodes[0], lie)
			a, _, err := clientOf(t, f, liar, f.nodes[1].url).VerifiedAccount(ctx, v, alice)
			if err != nil || a.Address != alice.Account {
				t.Errorf("with an honest server besides: %v", err)
			}
			alone, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			defer cancel()
			if a, _, err := clientOf(t, f, liar).VerifiedAccount(alone, v, alice); err == nil {
				t.Errorf("the liar was believed: %+v", a)
			}
		})
	}
	// What a server says besides the proof is not what a verified read answers.
	liar := lying(t, f.nodes[0], func(v map[string]any) { v["balances"] = []any{}; v["number"] = 99; v["price"] = "1"; v["code"] = 5 })
	c := clientOf(t, f, liar)
	if a, _, err := c.VerifiedAccount(ctx, v, alice); err != nil || len(a.Balances) != 2 || a.Number == 99 {
		t.Errorf("%+v: %v", a, err)
	}
	if o, _, err := c.VerifiedOrder(ctx, v, alice, market.OrderID(buy.Number)); err != nil || o.Price != 40_000e8 {
		t.Errorf("%+v: %v", o, err)
	}
	receiptLiar := lying(t, f.nodes[0], func(v map[string]any) {
		if p := proof(v); p != nil {
			p["item"] = "////" + p["item"].(string)[4:]
		}
	})
	if r, _, err := clientOf(t, f, receiptLiar, f.nodes[1].url).VerifiedReceipt(ctx, v, buy.ID); err != nil || r != buy {
		t.Errorf("%+v: %v", r, err)
	}
}
