package web_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/web"
)

// catalog is a catalog of a client that asks these servers, with proofs where the
// founding contract says nothing.
func catalog(t *testing.T, f *federation, saved []string, urls ...string) (*api.Catalog, *api.Client) {
	t.Helper()
	c := clientOf(t, f, urls...)
	v := api.NewVerifier(f)
	k, err := api.NewCatalog(c, saved, func(context.Context) (*api.Verifier, error) { return v, nil })
	if err != nil {
		t.Fatal(err)
	}
	return k, c
}

// everywhere changes a field in an answer, and in the items of its lists.
func everywhere(field string, from, to any) func(map[string]any) {
	return func(v map[string]any) {
		lie := func(v map[string]any) {
			if v[field] == from || from == nil && v[field] != nil {
				v[field] = to
			}
		}
		lie(v)
		for _, list := range v {
			items, _ := list.([]any)
			for _, item := range items {
				if m, ok := item.(map[string]any); ok {
					lie(m)
				}
			}
		}
	}
}

// lies are what a server may say of assets and markets that is not so.
func lies() map[string]func(map[string]any) {
	both := func(a, b func(map[string]any)) func(map[string]any) {
		return func(v map[string]any) { a(v); b(v) }
	}
	return map[string]func(map[string]any){
		"decimals":       both(everywhere("decimals", nil, 10.0), both(everywhere("quote_decimals", nil, 10.0), everywhere("base_decimals", nil, 3.0))),
		"number":         everywhere("id", nil, 1.0),
		"another number": everywhere("id", nil, 2.0),
		"absent number":  everywhere("id", nil, 99.0),
		"symbol":         both(everywhere("symbol", "BTC", "GLD"), everywhere("symbol", "BTC-EUR", "GLD-EUR")),
		"assets":         both(everywhere("base_id", nil, 1.0), both(everywhere("quote_id", nil, 1.0), everywhere("base", nil, "BTC"))),
		"terms":          both(everywhere("tick", nil, "0.00000001"), both(everywhere("lot", nil, "7.00"), everywhere("min_notional", nil, "1.0"))),
		"no proof":       func(v map[string]any) { delete(v, "proof") },
	}
}

// gold is issued after the founding: what it is has to be proven.
func (f *federation) gold(t *testing.T) (asset.ID, market.ID) {
	t.Helper()
	must(t, f.client().As(signer("issuer")), &exchange.Issue{Symbol: "GLD", Decimals: 4, MaxSupply: 1e12})
	terms := market.Terms{Tick: 1e6, Lot: 10, MinNotional: 1e8, Reference: 50e8}
	action := roster.AppendAction(nil, roster.CreateMarket{Base: 4, Quote: exchangetest.EUR, Terms: terms.Append(nil)}, 0)
	for i := range f.founding.Members {
		must(t, f.client().As(signer(exchangetest.MemberName(i))), &exchange.Vote{Approve: true, Action: action})
	}
	return 4, 3
}

// Whatever a server says of assets and markets besides, what is signed with their
// numbers and amounts is what the user wrote (H-90).
func TestCatalogAgainstLiars(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 2, web.Config{})
	f.fund("alice", "bob")
	gold, goldEuro := f.gold(t)
	ctx := within(t, 60*time.Second)

	check := func(t *testing.T, k *api.Catalog) {
		t.Helper()
		for name, want := range map[string]api.Listing{
			"EUR": {ID: exchangetest.EUR, Symbol: "EUR", Decimals: 8}, "2": {ID: exchangetest.EUR, Symbol: "EUR", Decimals: 8},
			"BTC": {ID: exchangetest.BTC, Symbol: "BTC", Decimals: 8}, "GLD": {ID: gold, Symbol: "GLD", Decimals: 4}, "4": {ID: gold, Symbol: "GLD", Decimals: 4},
		} {
			if got, err := k.Asset(ctx, name); err != nil || got != want {
				t.Errorf("asset %s is %+v, not %+v: %v", name, got, want, err)
			}
		}
		for name, id := range map[string]market.ID{"BTC-EUR": exchangetest.BTCEUR, "1": exchangetest.BTCEUR, "GLD-EUR": goldEuro, "3": goldEuro} {
			p, err := k.Pair(ctx, name)
			if err != nil || p.ID != id || p.Quote != exchangetest.EUR || p.QuoteDecimals != 8 {
				t.Errorf("market %s is %+v: %v", name, p, err)
				continue
			}
			if id == goldEuro && (p.BaseDecimals != 4 || p.Tick != 1e6 || p.Lot != 10 || p.MinNotional != 1e8 || p.Symbol() != "GLD-EUR") {
				t.Errorf("market %s is %+v", name, p)
			}
		}
		if l, a, err := k.Amount(ctx, "1.5", "GLD"); err != nil || a != 15_000 || l.Format(a) != "1.5000" {
			t.Errorf("1.5 GLD are %d: %v", a, err)
		}
	}
	for name, lie := range lies() {
		t.Run(name, func(t *testing.T) {
			liar := lying(t, f.nodes[0], lie)
			k, c := catalog(t, f, nil, liar, f.nodes[1].url)
			check(t, k)

			// The same with the liar alone is an answer, or none.
			alone, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			defer cancel()
			lone, _ := catalog(t, f, nil, liar)
			if got, err := lone.Asset(alone, "GLD"); err == nil && got != (api.Listing{ID: gold, Symbol: "GLD", Decimals: 4}) {
				t.Errorf("the liar was believed: %+v", got)
			} else if err != nil && !errors.Is(err, api.ErrUnproven) {
				t.Errorf("refused with %v", err)
			}
			if got, err := lone.Pair(alone, "GLD-EUR"); err == nil && (got.ID != goldEuro || got.BaseDecimals != 4 || got.QuoteDecimals != 8 || got.Base != gold) {
				t.Errorf("the liar was believed: %+v", got)
			}

			// And what a payment is made of arrives as it was written.
			l, amount, err := k.Amount(ctx, "1", "EUR")
			if err != nil {
				t.Fatal(err)
			}
			before := f.balance("bob")
			must(t, c.As(signer("alice")), &exchange.Transfer{To: exchangetest.Address("bob"), Asset: l.ID, Amount: amount})
			if got := f.balance("bob") - before; got != 1e8 {
				t.Errorf("1 EUR arrived as %d units", got)
			}
		})
	}

	// Another asset or market than was asked for, with all that belongs to it.
	t.Run("another", func(t *testing.T) {
		swap := strings.NewReplacer("/assets/GLD", "/assets/BTC", "/assets/4", "/assets/1", "/markets/GLD-EUR", "/markets/BTC-EUR", "/markets/3", "/markets/1")
		liar := standIn(t, f.nodes[0], func(r *http.Request) { r.URL.Path = swap.Replace(r.URL.Path) }, func(*http.Response) {})
		k, _ := catalog(t, f, nil, liar, f.nodes[1].url)
		check(t, k)
		for _, name := range []string{"GLD", "4"} {
			alone, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			lone, _ := catalog(t, f, nil, liar)
			if got, err := lone.Asset(alone, name); !errors.Is(err, api.ErrUnproven) {
				t.Errorf("asset %s: %+v, %v", name, got, err)
			}
			cancel()
		}
		for _, name := range []string{"GLD-EUR", "3"} {
			alone, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			lone, _ := catalog(t, f, nil, liar)
			if got, err := lone.Pair(alone, name); !errors.Is(err, api.ErrUnproven) {
				t.Errorf("market %s: %+v, %v", name, got, err)
			}
			cancel()
		}
	})
	t.Run("saved", func(t *testing.T) {
		k, _ := catalog(t, f, nil, f.urls()...)
		check(t, k)
		lines := k.Save()
		if !slices.Contains(lines, "asset 4 GLD 4") || !slices.Contains(lines, "market 3 4 2 1000000 10 100000000") {
			t.Errorf("saved: %q", lines)
		}
		again, _ := catalog(t, f, lines, "http://127.0.0.1:1") // nobody answers, and nobody is asked
		check(t, again)
		if got := again.Save(); !slices.Equal(got, lines) {
			t.Errorf("saved again: %q", got)
		}
	})
	t.Run("no proof possible", func(t *testing.T) {
		c := f.client()
		why := errors.New("nobody confirms")
		var asked atomic.Int32
		k, err := api.NewCatalog(c, nil, func(context.Context) (*api.Verifier, error) { asked.Add(1); return nil, why })
		if err != nil {
			t.Fatal(err)
		}
		if l, err := k.Asset(ctx, "EUR"); err != nil || l.Decimals != 8 || asked.Load() != 0 {
			t.Errorf("an asset of the founding contract: %+v, %v", l, err)
		}
		if _, err := k.Asset(ctx, "GLD"); !errors.Is(err, api.ErrUnproven) || !errors.Is(err, why) {
			t.Errorf("an asset that cannot be proven: %v", err)
		}
		if _, err := k.Pair(ctx, "GLD-EUR"); !errors.Is(err, api.ErrUnproven) {
			t.Errorf("a market that cannot be proven: %v", err)
		}
	})
	t.Run("unlisted", func(t *testing.T) {
		k, _ := catalog(t, f, nil, f.urls()...)
		for _, name := range []string{"", "0", "eur", "E", "4294967296", "-1", "EUR/BTC", "../EUR"} {
			if _, err := k.Asset(ctx, name); !errors.Is(err, api.ErrUnlisted) {
				t.Errorf("asset %q: %v", name, err)
			}
			if _, err := k.Pair(ctx, name+"-"); !errors.Is(err, api.ErrUnlisted) {
				t.Errorf("market %q: %v", name, err)
			}
		}
		if _, err := k.Asset(ctx, "NONE"); !api.IsNotFound(err) {
			t.Errorf("an asset that does not exist: %v", err)
		}
		if _, err := k.Pair(ctx, "EUR-BTC"); !api.IsNotFound(err) {
			t.Errorf("a market that does not exist: %v", err)
		}
	})
}

// Saved lines are checked when they are read.
func TestCatalogSavedLines(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	k, c := catalog(t, f, nil, f.urls()...)
	if _, err := k.Pair(t.Context(), "BTC-EUR"); err != nil {
		t.Fatal(err)
	}
	good := k.Save()
	for name, lines := range map[string][]string{
		"another server": append([]string{strings.Replace(good[0], good[0][20:22], "zz", 1)}, good[1:]...),
		"without server": good[1:],
		"asset twice":    append(slices.Clone(good), "asset 1 BTC 8"),
		"symbol twice":   append(slices.Clone(good), "asset 9 BTC 8"),
		"number 0":       append(slices.Clone(good), "asset 0 XYZ 8"),
		"decimals":       append(slices.Clone(good), "asset 9 XYZ 99"),
		"decimals 264":   append(slices.Clone(good), "asset 9 XYZ 264"),
		"symbol":         append(slices.Clone(good), "asset 9 xyz 8"),
		"sign":           append(slices.Clone(good), "asset +9 XYZ 8"),
		"word":           append(slices.Clone(good), "coin 9 XYZ 8"),
		"short":          append(slices.Clone(good), "asset 9 XYZ"),
		"empty":          append(slices.Clone(good), ""),
		"market twice":   append(slices.Clone(good), "market 2 1 2 1 1 1"),
		"unknown asset":  append(slices.Clone(good), "market 2 1 9 1 1 1"),
	} {
		if _, err := api.NewCatalog(c, lines, nil); !errors.Is(err, api.ErrCatalog) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Lines that can be, but are not what the contract says, are found when it is read.
	wrong := slices.Clone(good)
	wrong[1] = strings.Replace(wrong[1], "BTC 8", "BTC 6", 1)
	other, _ := catalog(t, f, wrong, f.urls()...)
	if _, err := other.Asset(t.Context(), "LTC"); !errors.Is(err, api.ErrCatalog) {
		t.Errorf("an asset that is another one in the contract: %v", err)
	}
	open, err := api.NewClient(api.Config{Servers: f.urls()})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if _, err := api.NewCatalog(open, nil, nil); !errors.Is(err, api.ErrConfig) {
		t.Errorf("without a pinned id: %v", err)
	}
}

// standIn is a server that passes everything on to a node, which change may change.
func standIn(t *testing.T, n *node, change func(r *http.Request), answer func(resp *http.Response)) string {
	t.Helper()
	target, err := url.Parse(n.url)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			change(r.Out)
		},
		ModifyResponse: func(resp *http.Response) error {
			answer(resp)
			return nil
		},
	})
	t.Cleanup(s.Close)
	return s.URL
}

// answering is a server that gives one answer to all questions whose path has a part.
func answering(t *testing.T, n *node, part string, body []byte) string {
	return standIn(t, n, func(*http.Request) {}, func(resp *http.Response) {
		if !strings.Contains(resp.Request.URL.Path, part) {
			return
		}
		resp.StatusCode, resp.Body, resp.ContentLength = http.StatusOK, io.NopCloser(bytes.NewReader(body)), int64(len(body))
		resp.Header.Del("Content-Length")
		resp.Header.Set("Content-Type", api.JSON)
	})
}

// recorded is what a node answers to somebody now.
func recorded(t *testing.T, f *federation, name, target string) []byte {
	t.Helper()
	raw := call(t, f.nodes[0], "GET", target, nil, signed(f, name, "GET", target))
	if raw.status != http.StatusOK {
		t.Fatalf("%s: %d %s", target, raw.status, raw.body)
	}
	return raw.body
}

// A server that shows a trade of another market, or an order of somebody else, proves
// nothing, and neither does one that shows an old state to a new verifier.
func TestVerifiedIsWhatWasAsked(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 2, web.Config{})
	f.fund("alice", "bob")
	ctx := within(t, 60*time.Second)
	c := f.client()
	must(t, c.As(signer("bob")), limit(market.Sell, 50_000, ""))
	must(t, c.As(signer("alice")), limit(market.Buy, 50_000, ""))
	bobs := must(t, c.As(signer("bob")), limit(market.Sell, 60_000, ""))
	trades, err := c.Trades(ctx, api.Page{Market: "1"})
	if err != nil || len(trades.Trades) != 1 {
		t.Fatal(trades, err)
	}
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	v := api.NewVerifier(f)
	if _, _, err := c.VerifiedTrade(ctx, v, &trades.Trades[0]); err != nil {
		t.Error(err)
	}
	blind := standIn(t, f.nodes[0], func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "market=2", "market=1", 1) },
		func(*http.Response) {})
	if x, _, err := clientOf(t, f, blind).VerifiedTrade(soon(), v, &api.Trade{ID: trades.Trades[0].ID, Market: 2}); !errors.Is(err, api.ErrProof) {
		t.Errorf("a trade of another market: %+v, %v", x, err)
	}

	// Bob's order, with its right proof, in answer to alice's question.
	answer := recorded(t, f, "bob", fmt.Sprintf("/v1/orders/%d?proof=1", bobs.Number))
	fake := answering(t, f.nodes[0], "/orders/", answer)
	if x, _, err := clientOf(t, f, fake).VerifiedOrder(soon(), v, signer("alice"), market.OrderID(bobs.Number)); !errors.Is(err, api.ErrProof) {
		t.Errorf("an order of somebody else: %+v, %v", x, err)
	}
	if _, _, err := clientOf(t, f, fake).VerifiedOrder(ctx, v, signer("bob"), market.OrderID(bobs.Number)); err != nil {
		t.Errorf("one's own: %v", err)
	}

	// A replay of what was proven before the last payment, to one who has seen nothing.
	old := recorded(t, f, "alice", "/v1/accounts/"+exchangetest.Address("alice").String()+"?proof=1")
	must(t, c.As(signer("alice")), pay(5))
	if _, _, err := c.VerifiedAccount(ctx, v, signer("alice")); err != nil { // there is a header of after the payment
		t.Error(err)
	}
	stale := answering(t, f.nodes[0], "/accounts/", old)
	if x, _, err := clientOf(t, f, stale).VerifiedAccount(soon(), api.NewVerifier(f), signer("alice")); !errors.Is(err, api.ErrOld) {
		t.Errorf("an old state: %+v, %v", x, err)
	}
	if _, _, err := clientOf(t, f, stale, f.nodes[1].url).VerifiedAccount(ctx, api.NewVerifier(f), signer("alice")); err != nil {
		t.Errorf("with an honest server besides: %v", err)
	}
}
