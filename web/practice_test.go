package web_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"souk/api"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/identity"
	"souk/web"
)

// fountain gives play money out of the account of somebody.
type fountain struct {
	f    *federation
	from string

	mu    sync.Mutex
	given map[identity.Address]bool
	dry   bool
}

var gifts = []web.Gift{{Asset: exchangetest.BTC, Amount: exchangetest.Coin / 10}, {Asset: exchangetest.EUR, Amount: 10_000 * exchangetest.Coin}}

func (p *fountain) Gifts(*exchange.State) []web.Gift {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dry {
		return nil
	}
	return gifts
}

func (p *fountain) Given(_ *exchange.State, to identity.Address) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.given[to]
}

func (p *fountain) Give(ctx context.Context, to identity.Address) ([]exchange.Receipt, error) {
	var bodies []exchange.Body
	for _, g := range gifts {
		bodies = append(bodies, &exchange.Transfer{To: to, Asset: g.Asset, Amount: g.Amount})
	}
	receipts, err := p.f.client().As(signer(p.from)).Do(ctx, bodies...)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.given[to] = true
	return receipts, err
}

// practising is a federation whose first server gives play money of alice's.
func practising(t *testing.T, config web.Config) (*federation, *fountain) {
	t.Helper()
	f := newFederation(t, 2, config)
	f.fund("alice")
	p := &fountain{f: f, from: "alice", given: map[identity.Address]bool{}}
	n := f.nodes[0]
	n.server.Remove(f.id)
	if err := n.server.Add(web.Virtual{
		Founding: f.founding, Replica: adapter{n.replica}, Engine: n, Self: f.founding.Members[0].Consensus, Practice: p,
	}); err != nil {
		t.Fatal(err)
	}
	return f, p
}

// Who has nothing gets play money by one signed request, once, from the server that gives it (H-133, H-134).
func TestPractice(t *testing.T) {
	f, p := practising(t, web.Config{})
	ctx, c, carol := within(t, 30*time.Second), f.client(), signer("carol")
	want := []api.Gift{{Asset: 1, Symbol: "BTC", Amount: "0.10000000"}, {Asset: 2, Symbol: "EUR", Amount: "10000.00000000"}}
	offer, err := c.Practice(ctx)
	if err != nil || !offer.Offered || !cmp.Equal(offer.Gifts, want) || offer.Height == 0 {
		t.Fatalf("%+v, %v", offer, err)
	}
	r, err := c.AskPractice(ctx, carol)
	if err != nil || r.State != api.PracticeGiven || len(r.Receipts) != 2 || r.Receipts[1].Code != 0 || !cmp.Equal(r.Gifts, want) || r.Height != r.Receipts[1].Height {
		t.Fatalf("%+v, %v", r, err)
	}
	acc, err := c.Account(ctx, carol)
	if err != nil || len(acc.Balances) != 2 || acc.Balances[0].Available != want[0].Amount || acc.Balances[1].Available != want[1].Amount {
		t.Errorf("%+v, %v", acc, err)
	}
	if r, err = c.AskPractice(ctx, carol); err != nil || r.State != api.PracticeBefore || len(r.Receipts) != 0 || r.Receipts == nil || !cmp.Equal(r.Gifts, want) {
		t.Errorf("again: %+v, %v", r, err)
	}
	p.mu.Lock()
	p.dry = true
	p.mu.Unlock()
	if offer, err = c.Practice(ctx); err != nil || offer.Offered || offer.Gifts == nil || len(offer.Gifts) != 0 {
		t.Errorf("dry: %+v, %v", offer, err)
	}
	if _, err = c.AskPractice(ctx, signer("dave")); !api.IsNotFound(err) {
		t.Errorf("dry, and another server that gives nothing: %v", err)
	}
	if r, err = c.AskPractice(ctx, carol); err != nil || r.State != api.PracticeBefore {
		t.Errorf("dry, again: %+v, %v", r, err)
	}
	const target = "/v1/practice"
	for name, tc := range map[string]struct {
		node           int
		method, target string
		header         http.Header
		status         int
	}{
		"nobody":        {0, "POST", target, nil, http.StatusUnauthorized},
		"to read":       {0, "POST", target, signed(f, "erin", "GET", target), http.StatusForbidden},
		"another path":  {0, "POST", target, signed(f, "erin", "POST", target+"?x=1"), http.StatusForbidden},
		"a parameter":   {0, "POST", target + "?x=1", signed(f, "erin", "POST", target+"?x=1"), http.StatusUnprocessableEntity},
		"none is given": {1, "POST", target, signed(f, "erin", "POST", target), http.StatusNotFound},
		"PUT":           {0, "PUT", target, signed(f, "erin", "PUT", target), http.StatusMethodNotAllowed},
	} {
		if a := call(t, f.nodes[tc.node], tc.method, tc.target, nil, tc.header); a.status != tc.status {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := call(t, f.nodes[1], "GET", target, nil, nil); a.status != 200 || !strings.Contains(string(a.body), `"offered":false,"gifts":[]`) {
		t.Errorf("a server without: %d %s", a.status, a.body)
	}
}

// A server gives so much an hour and no more; who has had it is told so all the same (H-135).
func TestPracticeLimits(t *testing.T) {
	now := time.Now()
	f, p := practising(t, web.Config{Now: func() time.Time { return now }})
	n := f.nodes[0]
	for i := range 1000 {
		if !n.server.Practise(f.id, "127.0.0.1/32", now) {
			t.Fatalf("no more after %d", i)
		}
	}
	a := call(t, n, "POST", "/v1/practice", nil, signed(f, "erin", "POST", "/v1/practice"))
	if a.problem.Code != api.TooMany || a.header.Get("Retry-After") != "3600" {
		t.Errorf("%d %s", a.status, a.body)
	}
	p.mu.Lock()
	p.given[exchangetest.Address("erin")] = true
	p.mu.Unlock()
	if a := call(t, n, "POST", "/v1/practice", nil, signed(f, "erin", "POST", "/v1/practice")); a.status != 200 {
		t.Errorf("given before: %d %s", a.status, a.body)
	}
	m, _ := practising(t, web.Config{})
	for i := range 7 {
		if got := m.nodes[0].server.Practise(m.id, "192.0.2.1/32", now); got != (i < 6) {
			t.Errorf("gift %d of a source: %v", i+1, got)
		}
	}
}
