package node_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/identity"
	"souk/node"
	"souk/store/sealed"
)

var playMoney = []string{"0.1 BTC", "10000 EUR"}

// funded makes the account of the practice market, with enough for so many, and lets the
// servers give out of it.
func (f *federation) funded(ctx context.Context, t *testing.T, people int) *api.Actor {
	t.Helper()
	owner := signer(f.Practice)
	n := asset.Amount(people)
	r, err := f.client.As(signer(f.Issuer)).Do(ctx,
		&exchange.Mint{Asset: 1, Amount: n * 1e7, To: owner.Account}, &exchange.Mint{Asset: 2, Amount: n * 10_000e8, To: owner.Account})
	must(t, r, err)
	actor := f.client.As(owner)
	for _, key := range f.PracticeKeys {
		r, err := actor.Do(ctx, &exchange.AddDelegate{Key: key, Scopes: ledger.Transfer})
		must(t, r, err)
	}
	return actor
}

// key is that of somebody.
func key(i byte) identity.PrivateKey { return identity.NewKey([32]byte{i}) }

// has looks what somebody has.
func (f *federation) has(ctx context.Context, t *testing.T, who identity.PrivateKey, want ...string) {
	t.Helper()
	a, err := f.client.Account(ctx, signer(who))
	if err != nil || len(a.Balances) != len(want) {
		t.Fatalf("%+v, %v", a, err)
	}
	for i, x := range want {
		if a.Balances[i].Available != x {
			t.Errorf("%+v, want %s", a.Balances[i], x)
		}
	}
}

// A server gives an address play money once, whoever asks how often, also after it has been
// started again; and says when there is none (H-133 to H-135).
func TestPractice(t *testing.T) {
	f := startSetup(t, node.LocalSetup{Servers: 1, Give: playMoney})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	offered := func(want bool) {
		t.Helper()
		if o, err := f.client.Practice(ctx); err != nil || o.Offered != want || want != (len(o.Gifts) == 2) {
			t.Fatalf("%+v, %v", o, err)
		}
	}
	offered(false)
	alice, bob, carol, dave := key(1), key(2), key(3), key(4)
	if _, err := f.client.AskPractice(ctx, signer(alice)); !api.IsNotFound(err) {
		t.Fatalf("before there is an account: %v", err)
	}
	owner := f.funded(ctx, t, 3)
	offered(true)
	var wait sync.WaitGroup
	for range 4 { // at once
		wait.Go(func() {
			if _, err := f.client.AskPractice(ctx, signer(alice)); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	f.has(ctx, t, alice, "0.10000000", "10000.00000000")
	r, err := f.client.AskPractice(ctx, signer(bob))
	if err != nil || r.State != api.PracticeGiven || len(r.Receipts) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	// Who has spent it gets no more.
	a := f.client.As(signer(alice))
	receipts, err := a.Do(ctx, &exchange.Transfer{To: signer(carol).Account, Asset: 1, Amount: 1e7}, &exchange.Transfer{To: signer(carol).Account, Asset: 2, Amount: 10_000e8})
	must(t, receipts, err)
	f.close(t, 0)
	f.open(t, 0)
	if r, err = f.client.AskPractice(ctx, signer(alice)); err != nil || r.State != api.PracticeBefore || len(r.Gifts) != 2 {
		t.Errorf("again: %+v, %v", r, err)
	}
	// Nor does who has as much from elsewhere.
	if r, err = f.client.AskPractice(ctx, signer(carol)); err != nil || r.State != api.PracticeBefore {
		t.Errorf("who has it anyway: %+v, %v", r, err)
	}
	receipts, err = owner.Do(ctx, &exchange.RemoveDelegate{Key: f.PracticeKeys[0]})
	must(t, receipts, err)
	offered(false)
	receipts, err = owner.Do(ctx, &exchange.AddDelegate{Key: f.PracticeKeys[0], Scopes: ledger.Transfer})
	must(t, receipts, err)
	if r, err = f.client.AskPractice(ctx, signer(dave)); err != nil || r.State != api.PracticeGiven {
		t.Errorf("%+v, %v", r, err)
	}
	offered(false)
	if _, err = f.client.AskPractice(ctx, signer(key(5))); !api.IsNotFound(err) {
		t.Errorf("empty: %v", err)
	}
	audit, err := f.client.Audit(ctx)
	if err != nil || !audit.Balanced {
		t.Errorf("%+v, %v", audit, err)
	}
}

// A server that died behind the note and before the commands makes them anew when they can
// not be executed any more, and sends the very same while they can; one that died behind the
// commands gives nothing more (H-134).
func TestPracticeAfterCrash(t *testing.T) {
	f := startSetup(t, node.LocalSetup{Servers: 1, Give: playMoney})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f.funded(ctx, t, 10)
	id := f.Founding.ID()
	notes := filepath.Join(string(f.Homes[0]), "vs", fmt.Sprintf("%x", id[:8]), "practice")
	lines := func() []string {
		data, err := os.ReadFile(notes)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(data)), "\n")
	}
	ask := func(who identity.PrivateKey, want string) {
		t.Helper()
		if r, err := f.client.AskPractice(ctx, signer(who)); err != nil || r.State != want {
			t.Fatalf("%+v, %v", r, err)
		}
		f.has(ctx, t, who, "0.10000000", "10000.00000000")
	}
	crash := func(text string) {
		t.Helper()
		f.close(t, 0)
		if err := os.WriteFile(notes, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f.open(t, 0)
	}
	alice, bob, carol := key(1), key(2), key(3)
	ask(alice, api.PracticeGiven)
	all := lines()
	if len(all) != 3 || !strings.HasPrefix(all[1], "sent ") || !strings.HasPrefix(all[2], "given ") {
		t.Fatalf("%q", all)
	}
	r, err := f.client.As(signer(alice)).Do(ctx,
		&exchange.Transfer{To: signer(key(9)).Account, Asset: 1, Amount: 1e7}, &exchange.Transfer{To: signer(key(9)).Account, Asset: 2, Amount: 10_000e8})
	must(t, r, err)
	// It died behind the commands: the note that they were executed is missing.
	crash(all[0] + "\n" + all[1] + "\ngiven sou")
	if r, err := f.client.AskPractice(ctx, signer(alice)); err != nil || r.State != api.PracticeBefore {
		t.Fatalf("%+v, %v", r, err)
	}
	f.has(ctx, t, alice)
	if all = lines(); !strings.HasPrefix(all[len(all)-1], "given ") {
		t.Errorf("%q", all)
	}
	// It died before the commands, which another nonce of this key has not overtaken.
	sign := func(to identity.PrivateKey, nonce uint64, life time.Duration) string {
		pass := sealed.FromFile(f.Homes[0].PassphraseFile())
		own, err := node.PracticeKey(f.Homes[0], pass)
		if err != nil {
			t.Fatal(err)
		}
		defer own.Wipe()
		s := &api.Signer{Account: signer(f.Practice).Account, Key: own}
		text := "sent " + signer(to).Account.String() + " "
		for i, body := range []*exchange.Transfer{{Asset: 1, Amount: 1e7}, {Asset: 2, Amount: 10_000e8}} {
			body.To = signer(to).Account
			c, err := s.Command(f.Founding.ID(), body, nonce+uint64(i), uint64(time.Now().Add(life).UnixMilli()))
			if err != nil {
				t.Fatal(err)
			}
			text += fmt.Sprintf("%x", c.Append(nil))
		}
		return text + "\n"
	}
	crash("nonce 2\n" + sign(bob, 3, time.Minute))
	ask(bob, api.PracticeGiven)
	crash("nonce 4\n" + sign(carol, 5, -time.Minute))
	ask(carol, api.PracticeGiven)
	for _, text := range []string{"given\n", "taken souk1x\n", "sent souk1x 00\n", "nonce x\n"} {
		f.close(t, 0)
		if err := os.WriteFile(notes, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := node.Open(f.Homes[0], node.Options{Pass: sealed.FromFile(f.Homes[0].PassphraseFile())})
		if err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: %v", text, err)
			_ = n.Close()
		}
		if err := os.Remove(notes); err != nil {
			t.Fatal(err)
		}
		f.open(t, 0)
	}
}

// A server without the key goes on, and gives none; what is wrong is told (H-133).
func TestPracticeWithoutKey(t *testing.T) {
	f := startSetup(t, node.LocalSetup{Servers: 1, Give: playMoney})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f.funded(ctx, t, 1)
	f.close(t, 0)
	if err := os.Remove(filepath.Join(string(f.Homes[0]), "keys", "practice.age")); err != nil {
		t.Fatal(err)
	}
	if err := node.CheckConfig(f.Homes[0]); err == nil || !strings.Contains(err.Error(), "practice.key") {
		t.Error(err)
	}
	f.open(t, 0)
	if o, err := f.client.Practice(ctx); err != nil || o.Offered {
		t.Errorf("%+v, %v", o, err)
	}
	f.close(t, 0)
	public, err := node.NewPracticeKey(f.Homes[0], sealed.FromFile(f.Homes[0].PassphraseFile()), sealed.TestWork)
	if err != nil {
		t.Fatal(err)
	}
	f.open(t, 0)
	r, err := f.client.As(signer(f.Practice)).Do(ctx, &exchange.AddDelegate{Key: public, Scopes: ledger.Transfer})
	must(t, r, err)
	if r, err := f.client.AskPractice(ctx, signer(key(1))); err != nil || r.State != api.PracticeGiven {
		t.Errorf("%+v, %v", r, err)
	}
}

// Behind a proxy that the config names, play money is counted by whom the proxy speaks for (H-56, H-135).
func TestPracticeBehindProxy(t *testing.T) {
	f := startSetup(t, node.LocalSetup{Servers: 1, Give: []string{"0.1 BTC"}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f.funded(ctx, t, 20)
	ask := func(i byte, forwarded string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.nodes[0].Addr()+"/v1/practice", nil)
		if err != nil {
			t.Fatal(err)
		}
		who := signer(key(i))
		token := api.SignRead(f.Founding.ID(), who.Account, who.Key, uint64(time.Now().UnixMilli()), http.MethodPost, "/v1/practice")
		req.Header.Set(api.ReadHeader, token.String())
		req.Header.Set("X-Forwarded-For", forwarded)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	f.close(t, 0)
	data, err := os.ReadFile(f.Homes[0].Config())
	if err == nil {
		text := strings.Replace(string(data), "trusted_proxies = []", `trusted_proxies = ["127.0.0.0/8"]`, 1)
		err = os.WriteFile(f.Homes[0].Config(), []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.open(t, 0)
	for i := range byte(7) {
		want := http.StatusOK
		if i == 6 {
			want = http.StatusTooManyRequests
		}
		if got := ask(i+1, "203.0.113.7"); got != want {
			t.Fatalf("gift %d: %d", i+1, got)
		}
	}
	if got := ask(7, "203.0.113.7, 203.0.113.8"); got != http.StatusOK {
		t.Errorf("another one: %d", got)
	}
}

// What a bank pays out in coins that may be worth money is never given away: the server does
// not start, the configuration is called bad, and a state with such an asset has no gifts (H-133).
func TestPracticeOfCoins(t *testing.T) {
	found := func(network string) *node.Local {
		t.Helper()
		start := node.BankTerms{Asset: "BTC", Network: network}
		if network == "bitcoin" {
			start.StartHeight, start.StartHash = 900_000, strings.Repeat("00", 31)+"ab"
		}
		l, err := node.FoundLocal(node.LocalSetup{
			Dir: filepath.Join(t.TempDir(), "fed"), Name: "test", Servers: 4, Work: sealed.TestWork, Now: time.Now().Add(-time.Second),
			Banks: []node.BankTerms{start}, Give: playMoney,
		})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	h := found("bitcoin").Homes[0]
	n, err := node.Open(h, node.Options{Pass: sealed.FromFile(h.PassphraseFile())})
	if err == nil {
		_ = n.Close()
	}
	for _, err := range []error{err, node.CheckConfig(h)} {
		if !errors.Is(err, node.ErrConfig) || !strings.Contains(err.Error(), "practice.give") || !strings.Contains(err.Error(), "coins of bitcoin for BTC") || !strings.Contains(err.Error(), "PLAYBTC") {
			t.Error(err)
		}
	}
	if err := node.CheckConfig(found("bitcoin-regtest").Homes[0]); err != nil {
		t.Errorf("coins that anybody makes: %v", err)
	}
	for network, ok := range map[string]bool{"bitcoin": false, "bitcoin-signet": false, "bitcoin-regtest": true} {
		f := exchangetest.BankFounding(4)
		for i := range f.Members {
			exchangetest.SetBankKeys(&f.Members[i], network)
		}
		f.Banks[0].Network = network
		s := exchangetest.From(f).State
		gifts, err := node.GiftsIn([]string{"10000 EUR", "1 TBC"}, s)
		if ok != (err == nil && len(gifts) == 2) || !ok && (len(gifts) != 0 || !strings.Contains(err.Error(), "coins of "+network)) {
			t.Errorf("%s: %v, %v", network, gifts, err)
		}
		if gifts, err := node.GiftsIn([]string{"0.1 BTC", "10000 EUR"}, s); err != nil || len(gifts) != 2 {
			t.Errorf("%s, assets without a bank: %v, %v", network, gifts, err)
		}
	}
}

// What is given is checked when the config is read.
func TestPracticeConfig(t *testing.T) {
	address := signer(key(1)).Account.String()
	good := "[practice]\naccount = \"" + address + "\"\ngive = [\"0.1 BTC\", \"10000 EUR\"]\n"
	if c, err := node.ParseConfig([]byte(good)); err != nil || c.Practice.Key != "keys/practice.age" || len(c.Practice.Give) != 2 {
		t.Fatalf("%+v, %v", c.Practice, err)
	}
	for bad, say := range map[string]string{
		strings.Replace(good, address, "souk1x", 1):          "practice.account",
		strings.Replace(good, "0.1 BTC", "BTC 0.1", 1):       "write an amount and a symbol",
		strings.Replace(good, "0.1 BTC", "0 BTC", 1):         "above zero",
		strings.Replace(good, "0.1 BTC", "-1 BTC", 1):        "above zero",
		strings.Replace(good, "0.1 BTC", "1 EUR", 1):         "EUR stands there twice",
		strings.Split(good, "give")[0]:                       "say what is given",
		"[http]\norigins = [\"https://a.example/\"]\n":       "http.origins",
		"[http]\norigins = [\"*\"]\n":                        "http.origins",
		"[http]\norigins = [\"https://A.example\"]\n":        "http.origins",
		"[http]\norigins = [\"https://a.example:443\"]\n":    "http.origins",
		"[http]\norigins = [\"https://a b;script-src *\"]\n": "http.origins",
	} {
		if _, err := node.ParseConfig([]byte(bad)); !errors.Is(err, node.ErrConfig) || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
