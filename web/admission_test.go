package web_test

import (
	"context"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/web"
)

// admit opens accounts as a member's server does.
func (n *node) admit(ctx context.Context, body *exchange.Admit) (exchange.Receipt, error) {
	name := n.f.founding.Members[n.index].Name
	receipts, err := n.f.client().As(&api.Signer{Account: exchangetest.Address(name), Key: exchangetest.Key(name + "/server")}).Do(ctx, body)
	if err != nil {
		return exchange.Receipt{}, err
	}
	return receipts[0], nil
}

// Somebody who has nothing gets an account with a deposit address from any member's
// server, and what is paid to it (H-104).
func TestAdmission(t *testing.T) {
	t.Parallel()
	b := newBanked(t, web.Config{})
	ctx, c, carol := within(t, 60*time.Second), b.client(), signer("carol")
	salt := custody.Salt{7, 8, 9}
	if _, err := c.Account(ctx, carol); !api.IsNotFound(err) {
		t.Fatal(err)
	}
	r, err := c.Admit(ctx, carol, "TBC", salt)
	if err != nil || r.Code != exchange.OK || r.Height == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	v, err := b.vault(ctx, b.urls()...)
	if err != nil {
		t.Fatal(err)
	}
	a, err := v.Own(ctx, carol, uint32(r.Number>>32), uint32(r.Number))
	if err != nil || a.Salt != salt {
		t.Fatalf("%+v, %v", a, err)
	}
	if again, err := c.Admit(ctx, carol, "TBC", salt); err != nil || again.Code != exchange.AccountExists {
		t.Errorf("%+v, %v", again, err)
	}
	b.chain.Pay(a.Address.Series, a.Index, exchangetest.Coin)
	b.mine(6)
	acc, err := c.Account(ctx, carol)
	if err != nil || len(acc.Balances) != 1 || acc.Balances[0].Available != "1.00000000" {
		t.Errorf("%+v, %v", acc, err)
	}
	good := "/v1/admissions?bank=TBC&salt=" + hex.EncodeToString(salt[:])
	for name, tc := range map[string]struct {
		target string
		header http.Header
		status int
	}{
		"nobody":        {good, nil, http.StatusUnauthorized},
		"another":       {good, signed(b.federation, "dave", "GET", good), http.StatusForbidden},
		"another query": {good, signed(b.federation, "dave", "POST", good+"0"), http.StatusForbidden},
		"no bank":       {strings.Replace(good, "TBC", "EUR", 1), signed(b.federation, "dave", "POST", strings.Replace(good, "TBC", "EUR", 1)), http.StatusNotFound},
		"salt":          {good[:len(good)-1] + "x", signed(b.federation, "dave", "POST", good[:len(good)-1]+"x"), http.StatusBadRequest},
		"no salt":       {"/v1/admissions?bank=TBC", signed(b.federation, "dave", "POST", "/v1/admissions?bank=TBC"), http.StatusUnprocessableEntity},
		"to read":       {good, nil, http.StatusUnauthorized},
	} {
		if a := call(t, b.nodes[0], "POST", tc.target, nil, tc.header); a.status != tc.status {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := call(t, b.nodes[0], "GET", good, nil, signed(b.federation, "dave", "GET", good)); a.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d %s", a.status, a.body)
	}
}

// A source opens few accounts an hour, and all together a thousand (H-104).
func TestAdmissionLimits(t *testing.T) {
	now := time.Now()
	a := web.NewAdmissions()
	one, two := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/64")
	for i := range 8 {
		if got := a.Take(one, now); got != (i < 6) {
			t.Errorf("account %d: %v", i+1, got)
		}
	}
	if !a.Take(two, now) || a.Take(one, now.Add(9*time.Minute)) || !a.Take(one, now.Add(11*time.Minute)) {
		t.Error("another source, or another time")
	}
	b := web.NewAdmissions()
	n := 0
	for range 2000 {
		if b.Take(netip.MustParsePrefix("127.0.0.1/32"), now) {
			n++
		}
	}
	if n != 1000 || b.Take(two, now) {
		t.Errorf("%d accounts", n)
	}
	c := web.NewAdmissions()
	for i := range 20_000 {
		c.Take(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32), now)
	}
	if !c.Take(one, now.Add(2*time.Hour)) {
		t.Error("sources of old keep a new one out")
	}
}
