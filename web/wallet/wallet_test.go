package wallet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"souk/asset"
	"souk/web/wallet"
)

// purse is an account in memory, with two wallets.
type purse struct{}

func (purse) Wallets(context.Context) ([]string, error) { return []string{"btc", "ltc"}, nil }

func (purse) Balance(_ context.Context, name string) (*wallet.Balance, error) {
	if name == "ltc" {
		return nil, wallet.ErrUnavailable
	}
	return &wallet.Balance{Available: 123_456_789, Held: 1, Coming: 2}, nil
}

func (purse) Pay(_ context.Context, _ string, r *wallet.Request) ([]wallet.Movement, error) {
	var total asset.Amount
	for _, p := range r.Payments {
		total += p.Amount
	}
	return []wallet.Movement{{ID: fmt.Sprintf("%d for %d", total, len(r.Payments))}}, nil
}

func (purse) Chain(context.Context, string) (*wallet.Chain, error) {
	return &wallet.Chain{Symbol: "BTC", Network: "regtest", Height: 7, Hash: "00"}, nil
}

func (purse) Address(context.Context, string, string) (string, error) { return "mine", nil }

func (purse) Addresses(context.Context, string) ([]wallet.Address, error) {
	return []wallet.Address{{Text: "mine", Label: "shop", Used: true}, {Text: "unused"}}, nil
}

func (purse) Script(_ context.Context, _, address string) (*wallet.Script, error) {
	if address == "" {
		return nil, wallet.ErrAddress
	}
	return &wallet.Script{Hex: "0014", Witness: true}, nil
}

func (purse) Movements(context.Context, string) ([]wallet.Movement, error) {
	in := wallet.Movement{ID: strings.Repeat("a", 64), Tx: strings.Repeat("a", 64), Address: "mine", Label: "shop", Amount: 3e8, Confirmations: 2, Height: 6, Time: 1000}
	out := wallet.Movement{ID: strings.Repeat("b", 64), Address: "yours", Send: true, Amount: 1e8, Fee: 500, Time: 2000, Comment: "rent"}
	other := out
	other.Address, other.Amount = "theirs", 5e7
	return []wallet.Movement{in, out, other}, nil
}

func (purse) Rate(context.Context, string) (asset.Amount, error) { return 0, nil }

var _ wallet.Account = purse{}

func door(t *testing.T) *httptest.Server {
	t.Helper()
	users, err := wallet.NewUsers([]string{wallet.SaltedPassword("alice", "secret")}, "")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(wallet.New(wallet.Config{Account: purse{}, Users: users, Version: "1"}))
	t.Cleanup(s.Close)
	return s
}

func ask(t *testing.T, s *httptest.Server, method, path, user, password, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it is read
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(data))
}

// J-40, J-42, J-44: requests, their errors and statuses, as bitcoind has them.
func TestRequests(t *testing.T) {
	s := door(t)
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/wallet/btc", `{"method":"getbalance","id":7}`, 200, `{"result":1.23456789,"error":null,"id":7}`},
		{"/wallet/BTC", `{"method":"getbalance","params":["*",1],"id":"x"}`, 200, `{"result":1.23456789,"error":null,"id":"x"}`},
		{"/wallet/btc", `{"jsonrpc":"2.0","method":"getbalance","params":{"minconf":0},"id":1}`, 200, `{"jsonrpc":"2.0","result":1.23456789,"id":1}`},
		{"/wallet/btc", `{"jsonrpc":"2.0","method":"nothing","id":1}`, 200, `{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":1}`},
		{"/wallet/btc", `{"jsonrpc":"2.0","method":"ping"}`, 204, ``},
		{"/wallet/btc", `{"method":"nothing","id":1}`, 404, `{"result":null,"error":{"code":-32601,"message":"Method not found"},"id":1}`},
		{"/wallet/btc", `{"id":1}`, 400, `{"result":null,"error":{"code":-32600,"message":"Missing method"},"id":1}`},
		{"/wallet/btc", `{"method":"getbalance",`, 500, `{"result":null,"error":{"code":-32700,"message":"Parse error"},"id":null}`},
		{"/wallet/btc", `[{"method":"getbalance","id":1},{"method":"nothing","id":2},7]`, 200, `[{"result":1.23456789,"error":null,"id":1},{"result":null,"error":{"code":-32601,"message":"Method not found"},"id":2},{"result":null,"error":{"code":-32600,"message":"Invalid Request object"},"id":null}]`},
		{"/wallet/btc", `[]`, 200, `[]`},
		{"/wallet/btc", `{"method":"getbalance","params":["alice"],"id":1}`, 500, `{"result":null,"error":{"code":-32,"message":"dummy first argument must be excluded or set to \"*\"."},"id":1}`},
		{"/wallet/btc", `{"method":"getbalance","params":{"colour":"red"},"id":1}`, 500, `{"result":null,"error":{"code":-8,"message":"Unknown named parameter colour"},"id":1}`},
		{"/wallet/btc", `{"method":"getbalance","params":["*","one"],"id":1}`, 500, `{"result":null,"error":{"code":-3,"message":"JSON value of type string is not of expected type number"},"id":1}`},
		{"/wallet/doge", `{"method":"getbalance","id":1}`, 500, `{"result":null,"error":{"code":-18,"message":"Requested wallet does not exist or is not loaded"},"id":1}`},
		{"/wallet/ltc", `{"method":"getbalance","id":1}`, 500, `{"result":null,"error":{"code":-28,"message":"Not available now"},"id":1}`},
		{"/", `{"method":"getbalance","id":1}`, 500, `{"result":null,"error":{"code":-19,"message":"Wallet file not specified (must request wallet RPC through /wallet/<filename> uri-path)."},"id":1}`},
		{"/wallet/btc", `{"method":"stop","id":1}`, 500, `{"result":null,"error":{"code":-1,"message":"Whoever started the gate ends it."},"id":1}`},
		{"/wallet/btc", `{"method":"loadwallet","params":["btc"],"id":1}`, 500, `{"result":null,"error":{"code":-35,"message":"Wallet \"btc\" is already loaded."},"id":1}`},
		{"/wallet/btc", `{"method":"sendtoaddress","params":["x",1e-7],"id":1}`, 200, `{"result":"10 for 1","error":null,"id":1}`},
		{"/wallet/btc", `{"method":"sendtoaddress","params":["x"],"id":1}`, 500, `{"result":null,"error":{"code":-1,"message":"argument \"amount\" is missing"},"id":1}`},
		{"/wallet/btc", `{"method":"sendmany","params":["",{"x":0.1,"y":"0.2"}],"id":1}`, 200, `{"result":"30000000 for 2","error":null,"id":1}`},
		{"/wallet/btc", `{"method":"sendmany","params":["",{"x":0.1,"x":0.2}],"id":1}`, 500, `{"result":null,"error":{"code":-8,"message":"Invalid parameter, duplicated address: x"},"id":1}`},
		{"/wallet/btc", `{"method":"getreceivedbyaddress","params":["mine",3],"id":1}`, 200, `{"result":0.00000000,"error":null,"id":1}`},
		{"/wallet/btc", `{"method":"listreceivedbyaddress","id":1}`, 200, `{"result":[{"address":"mine","amount":3.00000000,"confirmations":2,"label":"shop","txids":["` + strings.Repeat("a", 64) + `"]}],"error":null,"id":1}`},
		{"/wallet/btc", `{"method":"estimatesmartfee","params":[6],"id":1}`, 200, `{"result":{"blocks":6,"errors":["Insufficient data or no feerate found"]},"error":null,"id":1}`},
		{"/wallet/btc", `{"method":"gettransaction","params":["` + strings.Repeat("c", 64) + `"],"id":1}`, 500, `{"result":null,"error":{"code":-5,"message":"Invalid or non-wallet transaction id"},"id":1}`},
		{"/wallet/btc", strings.Repeat(" ", 65<<10) + `{"method":"ping"}`, 413, `{"result":null,"error":{"code":-32600,"message":"the request has more than 65536 bytes"},"id":null}`},
	} {
		status, got := ask(t, s, http.MethodPost, c.path, "alice", "secret", c.body)
		if status != c.status || got != c.want {
			t.Errorf("%s %.100s:\n%d %s, want\n%d %s", c.path, c.body, status, got, c.status, c.want)
		}
	}
	if status, _ := ask(t, s, http.MethodGet, "/", "alice", "secret", ""); status != 405 {
		t.Errorf("GET: %d", status)
	}
	for _, path := range []string{"/wallet/btc/x", "/other"} {
		if status, _ := ask(t, s, http.MethodPost, path, "alice", "secret", "{}"); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// silent is an account whose servers do not answer.
type silent struct{ purse }

func (silent) Wallets(ctx context.Context) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (silent) Balance(ctx context.Context, _ string) (*wallet.Balance, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// J-40: where no server answers, that is said within seconds.
func TestNoServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users, err := wallet.NewUsers([]string{wallet.SaltedPassword("alice", "secret")}, "")
		if err != nil {
			t.Fatal(err)
		}
		d, began := wallet.New(wallet.Config{Account: silent{}, Users: users}), time.Now()
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/wallet/btc", strings.NewReader(`{"method":"getbalance","id":1}`))
		r.SetBasicAuth("alice", "secret")
		d.ServeHTTP(w, r)
		want := `{"result":null,"error":{"code":-28,"message":"Not available now: no server answers, ask again later"},"id":1}`
		if text := strings.TrimSpace(w.Body.String()); w.Code != http.StatusInternalServerError || text != want {
			t.Errorf("%d %s", w.Code, text)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("answered after %s", took)
		}
	})
}

// J-50: one transaction may have several payments.
func TestTransaction(t *testing.T) {
	s := door(t)
	_, text := ask(t, s, http.MethodPost, "/wallet/btc", "alice", "secret", `{"method":"gettransaction","params":["`+strings.Repeat("b", 64)+`"]}`)
	var answer struct {
		Result struct {
			Amount, Fee json.Number
			Comment     string
			Details     []struct{ Amount json.Number }
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatal(err)
	}
	if x := answer.Result; x.Amount != "-1.50000000" || x.Fee != "-0.00001000" || x.Comment != "rent" || len(x.Details) != 2 {
		t.Errorf("%s", text)
	}
}

// J-41: who may ask, and that a wrong password is answered late.
func TestUsers(t *testing.T) {
	s := door(t)
	for _, c := range []struct{ user, password string }{{"alice", "wrong"}, {"bob", "secret"}, {"alice", ""}} {
		began := time.Now()
		if status, text := ask(t, s, http.MethodPost, "/wallet/btc", c.user, c.password, `{"method":"ping"}`); status != 401 || text != "" {
			t.Errorf("%v: %d %s", c, status, text)
		}
		if took := time.Since(began); took < 200*time.Millisecond {
			t.Errorf("%v: answered after %v", c, took)
		}
	}
	if status, _ := ask(t, s, http.MethodPost, "/wallet/btc", "", "", `{"method":"ping"}`); status != 401 {
		t.Errorf("nobody: %d", status)
	}
	// As bitcoind's rpcauth.py writes it.
	if _, err := wallet.NewUsers([]string{"alice:f7efda5c189b999524f151318c0c86$d5b51b3beffbc02b724e5d095828e0bc8b2456e9ac8757ae3211a5d9b16a22ae"}, ""); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "alice", "alice:salt", "alice:salt$hash", ":salt$" + strings.Repeat("0", 64), "__cookie__:salt$" + strings.Repeat("0", 64)} {
		if _, err := wallet.NewUsers([]string{bad}, ""); err == nil {
			t.Errorf("%q is taken for a user", bad)
		}
	}
	cookie := filepath.Join(t.TempDir(), ".cookie")
	users, err := wallet.NewUsers(nil, cookie)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(cookie); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("cookie: %v, %v", info, err)
	}
	if err := users.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(cookie); err == nil {
		t.Error("the cookie is there after the end")
	}
}

// J-42: amounts are what they say, exactly, however they are written.
func TestAmounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[0-9]{1,8}(\.[0-9]{1,10})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "text")
		if rapid.Bool().Draw(t, "quoted") {
			text = `"` + text + `"`
		}
		want, ok := new(big.Rat).SetString(strings.Trim(text, `"`))
		if !ok {
			t.Skip("no number")
		}
		want.Mul(want, big.NewRat(1e8, 1))
		got, taken := wallet.Amount(text)
		switch {
		case taken && (!want.IsInt() || want.Num().Cmp(new(big.Int).SetUint64(uint64(got))) != 0):
			t.Fatalf("%s is %d units, want %s", text, got, want)
		case !taken && want.IsInt() && want.Num().Cmp(big.NewInt(21e14)) <= 0 && small(text):
			t.Fatalf("%s is refused", text)
		}
	})
	for _, bad := range []string{``, `null`, `true`, `-1`, `"-1"`, `"x"`, `1.000000001`, `1e400`, `"1 "`, `[]`, `".5"`, `"5."`, `"1e"`} {
		if a, ok := wallet.Amount(bad); ok {
			t.Errorf("%s is %d", bad, a)
		}
	}
}

// small tells whether a number's exponent is one that is read.
func small(text string) bool {
	at := strings.IndexAny(text, "eE")
	if at < 0 {
		return true
	}
	var n int
	_, err := fmt.Sscanf(strings.Trim(text[at+1:], `"`), "%d", &n)
	return err == nil && n >= -18 && n <= 18
}

// FuzzRequest never panics, and always answers JSON.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{`{"method":"getbalance"}`, `[{"method":"ping"}]`, `{"method":"sendmany","params":["",{"x":1}]}`, `[1,[],{}]`, `{"params":{"args":[1]},"method":"help"}`} {
		f.Add(s)
	}
	users, err := wallet.NewUsers([]string{wallet.SaltedPassword("alice", "secret")}, "")
	if err != nil {
		f.Fatal(err)
	}
	d := wallet.New(wallet.Config{Account: purse{}, Users: users})
	f.Fuzz(func(t *testing.T, body string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/wallet/btc", strings.NewReader(body))
		r.SetBasicAuth("alice", "secret")
		d.ServeHTTP(w, r)
		if w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%q: %s", body, w.Body)
		}
	})
}
