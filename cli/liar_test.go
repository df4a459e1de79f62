package cli_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/cli"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/identity"
	"souk/internal/cluster"
	"souk/node"
)

// shop is a federation of two servers, of which a test puts liars in front of the
// first, and what people do there by the command line.
type shop struct {
	*testing.T
	*cluster.Cluster
	dir, pass string
}

func openShop(t *testing.T) *shop {
	t.Helper()
	return openShopOf(t, 2)
}

func openShopOf(t *testing.T, servers int) *shop {
	t.Helper()
	return startShop(t, node.LocalSetup{Servers: servers})
}

// startShop founds and starts a federation in a folder of the test's.
func startShop(t *testing.T, setup node.LocalSetup) *shop {
	t.Helper()
	if testing.Short() {
		t.Skip("starts servers")
	}
	binary, err := exec.LookPath("souk")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	setup.Dir, setup.Name, setup.Now = filepath.Join(dir, "fed"), "practice", time.Now()
	c, err := cluster.Start(binary, setup)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &shop{t, c, dir, filepath.Join(dir, "pass")}
	s.writePass()
	return s
}

// writePass writes the file with everybody's passphrase.
func (s *shop) writePass() {
	s.Helper()
	if err := os.WriteFile(s.pass, []byte("my-passphrase\n"), 0o600); err != nil {
		s.Fatal(err)
	}
}

// souk runs the program and answers what it says, errors included, and its status.
func (s *shop) souk(args ...string) (string, int) {
	s.Helper()
	var out bytes.Buffer
	status := cli.QuickMain(args, strings.NewReader(""), &out, &out)
	return out.String(), status
}

// must runs the program and wants it to succeed.
func (s *shop) must(args ...string) string {
	s.Helper()
	out, status := s.souk(args...)
	if status != 0 {
		s.Fatalf("souk %s: %s", strings.Join(args, " "), out)
	}
	return out
}

// refused runs the program and wants it to refuse, with these words.
func (s *shop) refused(words string, args ...string) {
	s.Helper()
	out, status := s.souk(args...)
	if status == 0 || !regexp.MustCompile(words).MatchString(out) {
		s.Errorf("souk %s: status %d, %s", strings.Join(args, " "), status, out)
	}
}

// as are the flags of somebody who asks some servers.
func (s *shop) as(purse string, servers []string, args ...string) []string {
	args = append(args, "--purse", purse, "--passphrase-file", s.pass)
	for _, server := range servers {
		args = append(args, "--server", server)
	}
	return args
}

// person is a purse in which nothing is proven yet.
func (s *shop) person(name string) string {
	id := s.Founding.ID()
	purse := filepath.Join(s.dir, name)
	s.must(s.as(purse, s.URLs, "account", "new", "--id", hex.EncodeToString(id[:]))...)
	return purse
}

// forgetful is a copy of a purse before anything was proven.
func (s *shop) forgetful(purse string) string {
	s.Helper()
	dir, err := os.MkdirTemp(s.dir, "purse")
	if err != nil {
		s.Fatal(err)
	}
	for _, name := range []string{"purse.toml", "words.age"} {
		data, err := os.ReadFile(filepath.Join(purse, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
		}
		if err != nil {
			s.Fatal(err)
		}
	}
	return dir
}

// liar passes everything on to the first server and changes its JSON answers.
func (s *shop) liar(lie func(path string, body []byte) []byte) string {
	s.Helper()
	target, err := url.Parse(s.URLs[0])
	if err != nil {
		s.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(resp *http.Response) error {
			data, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			if strings.HasPrefix(resp.Header.Get("Content-Type"), api.JSON) && resp.StatusCode == http.StatusOK {
				_, path, _ := strings.Cut(resp.Request.URL.RequestURI(), api.Prefix)
				data = lie(path, data)
			}
			resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
			resp.Header.Del("Content-Length")
			return nil
		},
	})
	s.Cleanup(proxy.Close)
	return proxy.URL
}

// replacing is a lie that puts one text for another, in what is said of assets and markets.
func replacing(pairs ...string) func(string, []byte) []byte {
	return func(path string, body []byte) []byte {
		if !strings.HasPrefix(path, "/assets") && !strings.HasPrefix(path, "/markets") {
			return body
		}
		for i := 0; i < len(pairs); i += 2 {
			body = regexp.MustCompile(pairs[i]).ReplaceAll(body, []byte(pairs[i+1]))
		}
		return body
	}
}

// units is what somebody has of an asset, by the honest server, in ledger units.
func (s *shop) units(who *api.Signer, symbol string) (n asset.Amount) {
	s.Helper()
	if _, err := s.Roots(s.Context()); err != nil { // both are as far
		s.Fatal(err)
	}
	c, err := s.Client(1)
	if err != nil {
		s.Fatal(err)
	}
	defer c.Close()
	acc, err := c.Account(s.Context(), who)
	if api.IsNotFound(err) {
		return 0
	}
	if err != nil {
		s.Fatal(err)
	}
	decimals := map[string]uint8{"EUR": 8, "BTC": 8, "GLD": 4}
	for _, b := range acc.Balances {
		if b.Symbol == symbol {
			if n, err = asset.Parse(b.Available, decimals[symbol]); err != nil {
				s.Fatal(err)
			}
		}
	}
	return n
}

// addressOf is the account of a purse.
func (s *shop) addressOf(purse string) identity.Address {
	s.Helper()
	var shown struct{ Address string }
	if err := json.Unmarshal([]byte(s.must("key", "show", "--purse", purse, "-o", "json")), &shown); err != nil {
		s.Fatal(err)
	}
	to, err := identity.ParseAddress(shown.Address)
	if err != nil {
		s.Fatal(err)
	}
	return to
}

// stock gives alice money, and issues gold, with 4 decimals, after the founding.
func (s *shop) stock(alice string) {
	s.Helper()
	c, err := s.Client()
	if err != nil {
		s.Fatal(err)
	}
	defer c.Close()
	to := s.addressOf(alice)
	issuer := s.IssuerActor(c)
	r, err := issuer.Do(s.Context(), &exchange.Issue{Symbol: "GLD", Decimals: 4, MaxSupply: 1e12, Contract: "gold"})
	if err := cluster.MustOK(r, err); err != nil {
		s.Fatal(err)
	}
	gold := asset.ID(r[0].Number)
	eur, btc := asset.ID(0), asset.ID(0)
	for i, a := range s.Founding.Assets {
		switch a.Symbol {
		case "EUR":
			eur = asset.ID(i + 1)
		case "BTC":
			btc = asset.ID(i + 1)
		}
	}
	if err := cluster.MustOK(issuer.Do(s.Context(),
		&exchange.Mint{Asset: eur, Amount: 1e14, To: to}, &exchange.Mint{Asset: btc, Amount: 1e11, To: to},
		&exchange.Mint{Asset: gold, Amount: 1e9, To: to})); err != nil {
		s.Fatal(err)
	}
}

// H-90, H-91, H-92: whatever a server says of assets, markets and orders, nothing is
// signed that the user has not written.
func TestNothingIsSignedOnALiarsWord(t *testing.T) {
	s := openShop(t)
	alice := s.person("alice")
	fresh := s.forgetful(alice)
	s.stock(alice)
	bob := api.OwnerOf(exchangetest.Key("bob"))
	to := bob.Account.String()
	honest := s.URLs[1:]

	for i := range s.Homes { // a liar does not mislead a member either
		liar := s.liar(replacing(`"decimals":\d+`, `"decimals":2`, `"symbol":"GLD"`, `"symbol":"GOL"`))
		s.must("vote", "create-market", "GLD-EUR", "--tick", "0.01", "--lot", "0.01", "--reference-price", "50", "--home", string(s.Homes[i]),
			"--passphrase-file", s.Homes[i].PassphraseFile(), "--server", liar, "--server", honest[0])
	}
	if out := s.must("verify", "market", "GLD-EUR", "--purse", s.forgetful(alice)); !regexp.MustCompile(`tick +0\.01000000\n`).MatchString(out) {
		t.Errorf("the market that the members made: %s", out)
	}

	for name, lie := range map[string]func(string, []byte) []byte{
		"decimals": replacing(`"decimals":\d+`, `"decimals":10`, `"quote_decimals":\d+`, `"quote_decimals":10`, `"base_decimals":\d+`, `"base_decimals":10`),
		"fewer":    replacing(`"decimals":\d+`, `"decimals":0`, `"quote_decimals":\d+`, `"quote_decimals":0`, `"base_decimals":\d+`, `"base_decimals":2`),
		"numbers":  replacing(`"id":\d+`, `"id":1`, `"base_id":\d+`, `"base_id":2`, `"quote_id":\d+`, `"quote_id":1`),
		"symbols":  replacing("EUR", "ZZZ", "BTC", "EUR", "GLD", "BTC", "ZZZ", "GLD"),
		"terms":    replacing(`"(tick|lot|min_notional)":"[0-9.]+"`, `"$1":"7.0"`),
		"proofs":   replacing(`"proof":\{`, `"prof":{`),
	} {
		t.Run(name, func(t *testing.T) {
			s := &shop{t, s.Cluster, s.dir, s.pass}
			liar := s.liar(lie)
			purse := s.forgetful(fresh)
			ask := append([]string{liar}, honest...)
			for _, x := range []struct {
				symbol string
				want   asset.Amount
			}{{"EUR", 1e8}, {"GLD", 1e4}} {
				before := s.units(bob, x.symbol)
				s.must(s.as(purse, ask, "send", to, "1", x.symbol)...)
				if got := s.units(bob, x.symbol) - before; got != x.want {
					t.Errorf("1 %s arrived as %d units", x.symbol, got)
				}
			}
			for _, x := range []struct{ market, quantity, price, shown string }{
				{"BTC-EUR", "0.01", "40000", `BTC-EUR +buy +limit +40000\.00000000 .* 0\.01000000 `},
				{"GLD-EUR", "2", "40", `GLD-EUR +buy +limit +40\.00000000 .* 2\.0000 `},
			} {
				s.must(s.as(purse, ask, "order", "place", x.market, "buy", x.quantity, "--price", x.price)...)
				_, _ = s.Roots(t.Context())
				if out := s.must(s.as(purse, honest, "order", "list")...); !regexp.MustCompile(x.shown).MatchString(out) {
					t.Errorf("buy %s at %s in %s became %s", x.quantity, x.price, x.market, out)
				}
			}
			s.must(s.as(purse, ask, "order", "cancel-all", "--market", "GLD-EUR")...)
			_, _ = s.Roots(t.Context())
			if out := s.must(s.as(purse, honest, "order", "list")...); strings.Contains(out, "GLD-EUR") || !strings.Contains(out, "BTC-EUR") {
				t.Errorf("cancel-all in one market left %s", out)
			}
			s.must(s.as(purse, ask, "order", "cancel-all")...)

			// With what it remembers, the purse needs nobody's word any more.
			before := s.units(bob, "GLD")
			s.must(s.as(purse, []string{liar}, "send", to, "1", "GLD")...)
			if got := s.units(bob, "GLD") - before; got != 1e4 {
				t.Errorf("1 GLD arrived as %d units", got)
			}
			// Without, what the contract says needs none, and the rest is refused.
			before = s.units(bob, "EUR")
			empty := s.forgetful(fresh)
			s.must(s.as(empty, []string{liar}, "send", to, "1", "EUR")...)
			if got := s.units(bob, "EUR") - before; got != 1e8 {
				t.Errorf("1 EUR arrived as %d units", got)
			}
			before = s.units(bob, "GLD")
			if name != "symbols" { // else it says that there is no gold
				s.refused(`(?s)GLD means is not proven: one server alone .*Name servers of other members`, s.as(empty, []string{liar}, "send", to, "1", "GLD")...)
			} else {
				s.refused(`GLD`, s.as(empty, []string{liar}, "send", to, "1", "GLD")...)
			}
			if got := s.units(bob, "GLD") - before; got != 0 {
				t.Errorf("%d units of GLD were sent without proof", got)
			}
		})
	}

	t.Run("amend", func(t *testing.T) {
		s := &shop{t, s.Cluster, s.dir, s.pass}
		var order struct{ Order json.Number }
		out := s.must(s.as(alice, honest, "order", "place", "BTC-EUR", "buy", "0.01", "--price", "40000", "--client", "mine", "-o", "json")...)
		if err := json.Unmarshal([]byte(out), &order); err != nil {
			t.Fatal(err)
		}
		id := order.Order.String()
		liar := s.liar(func(path string, body []byte) []byte {
			if !strings.HasPrefix(path, "/orders") {
				return body
			}
			return bytes.ReplaceAll(body, []byte("BTC-EUR"), []byte("GLD-EUR"))
		})
		ask := append([]string{liar}, honest...)
		s.refused("order "+id+" is one of market BTC-EUR, not GLD-EUR", s.as(alice, ask, "order", "amend", "GLD-EUR", id, "5")...)
		s.refused("is one of market BTC-EUR, not GLD-EUR", s.as(alice, ask, "order", "amend", "GLD-EUR", "client:mine", "5")...)
		s.refused("you have no live order 99999", s.as(alice, ask, "order", "amend", "BTC-EUR", "99999", "0.001")...)
		s.must(s.as(alice, ask, "order", "amend", "BTC-EUR", id, "0.005")...)
		_, _ = s.Roots(t.Context())
		if out := s.must(s.as(alice, honest, "order", "list")...); !regexp.MustCompile(` 0\.00500000 `).MatchString(out) {
			t.Errorf("amended to %s", out)
		}
	})
}

// H-62, H-64: verify shows proven things only, and no old ones.
func TestVerifyShowsNoOldState(t *testing.T) {
	s := openShop(t)
	alice := s.person("alice")
	fresh := s.forgetful(alice)
	s.stock(alice)
	honest := s.URLs[1:]
	to := exchangetest.Address("bob").String()

	var mu sync.Mutex
	kept := map[string][]byte{}
	replay := s.liar(func(path string, body []byte) []byte {
		if !strings.Contains(path, "proof=1") {
			return body
		}
		mu.Lock()
		defer mu.Unlock()
		if kept[path] == nil {
			kept[path] = body
		}
		return kept[path]
	})
	ask := append([]string{replay}, honest...)
	out := s.must(s.as(s.forgetful(fresh), ask, "verify")...)
	if !regexp.MustCompile(`EUR +1000000\.00000000 available`).MatchString(out) || !regexp.MustCompile(`header of block \d+, of 20\d\d-.*: \d+s ago\n`).MatchString(out) {
		t.Fatal(out)
	}
	s.must(s.as(alice, honest, "send", to, "400000", "EUR")...)
	for range 100 { // the header that states the new root comes with the next block
		if out = s.must(s.as(s.forgetful(fresh), s.URLs, "verify")...); strings.Contains(out, "600000.0") {
			break
		}
	}
	for name, purse := range map[string]string{"a new purse": s.forgetful(fresh), "one that has seen more": alice} {
		if out := s.must(s.as(purse, ask, "verify")...); !regexp.MustCompile(`EUR +600000\.00000000 available`).MatchString(out) {
			t.Errorf("%s shows %s", name, out)
		}
	}
	if data, err := os.ReadFile(filepath.Join(alice, "purse.toml")); err != nil || !bytes.Contains(data, []byte("checkpoint")) || !bytes.Contains(data, []byte("asset 2 EUR 8")) {
		t.Errorf("the purse remembers %s: %v", data, err)
	}

	lie := s.liar(replacing(`"(quote_|base_)?decimals":\d+`, `"${1}decimals":10`, `"last":"[0-9.]*"`, `"last":"1.0"`, `"id":1`, `"id":2`))
	s.must(s.as(alice, honest, "order", "place", "BTC-EUR", "buy", "0.01", "--price", "50000")...)
	out = s.must(s.as(s.forgetful(fresh), append([]string{lie}, honest...), "verify", "asset", "EUR")...)
	if !regexp.MustCompile(`number +2\n`).MatchString(out) || !regexp.MustCompile(`decimals +8\n`).MatchString(out) || !regexp.MustCompile(`supply +1000000\.00000000\n`).MatchString(out) {
		t.Errorf("asset: %s", out)
	}
	out = s.must(s.as(s.forgetful(fresh), append([]string{lie}, honest...), "verify", "market", "BTC-EUR")...)
	if strings.Contains(out, "last price") || !regexp.MustCompile(`number +1\n`).MatchString(out) || !regexp.MustCompile(`tick +0\.01000000\n`).MatchString(out) {
		t.Errorf("market: %s", out)
	}
}
