package cli_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"souk/exchange/exchangetest"
	"souk/internal/chainnode"
	"souk/node"
	"souk/store/sealed"
)

// openedGate is a gate of a bank's customer.
type openedGate struct {
	*bankShop
	home   node.GateHome
	gate   *node.Gate
	client *http.Client
	as     func(args ...string) []string
}

// gateOf makes a gate for somebody, and opens it.
func (b *bankShop) gateOf(purse string, more ...string) *openedGate {
	b.Helper()
	g := &openedGate{bankShop: b, home: node.GateHome(filepath.Join(b.TempDir(), "gate"))}
	g.as = func(args ...string) []string { return b.as(purse, b.URLs, args...) }
	args := append([]string{"gate", "init", "--home", string(g.home), "--listen", "127.0.0.1:0", "--gate-passphrase-file", b.pass}, more...)
	said := b.must(g.as(args...)...)
	b.matches(said, `may act for souk1`, `NODE_EXTRA_CA_CERTS=`, `/api/v3`, `/wallet/btc`)
	g.open()
	b.Cleanup(func() { _ = g.gate.Close() })
	roots := x509.NewCertPool()
	data, err := os.ReadFile(g.home.Authority().CertFile())
	if err != nil || !roots.AppendCertsFromPEM(data) {
		b.Fatal("no authority", err)
	}
	g.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: 30 * time.Second}
	b.Cleanup(g.client.CloseIdleConnections)
	return g
}

func (g *openedGate) open() {
	g.Helper()
	var err error
	if g.gate, err = node.OpenGate(g.home, node.GateOptions{Pass: sealed.FromFile(g.pass)}); err != nil {
		g.Fatal(err)
	}
	g.until(func() bool { return g.gate.Ready() == nil })
}

// rpc calls a method of the wallet door.
func (g *openedGate) rpc(path, method string, params ...any) (status int, result json.RawMessage, code int, message string) {
	g.Helper()
	cookie, err := os.ReadFile(g.home.Cookie())
	if err != nil {
		g.Fatal(err)
	}
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "1.0", "id": 1, "method": method, "params": params})
	if err != nil {
		g.Fatal(err)
	}
	req, err := http.NewRequestWithContext(g.Context(), http.MethodPost, g.gate.URL()+path, bytes.NewReader(body))
	if err != nil {
		g.Fatal(err)
	}
	user, password, _ := strings.Cut(string(cookie), ":")
	req.SetBasicAuth(user, password)
	resp, err := g.client.Do(req)
	if err != nil {
		g.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it is read
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		g.Fatal(err)
	}
	if answer.Error != nil {
		return resp.StatusCode, nil, answer.Error.Code, answer.Error.Message
	}
	return resp.StatusCode, answer.Result, 0, ""
}

// wants calls a method and wants a result.
func (g *openedGate) wants(want, method string, params ...any) {
	g.Helper()
	if status, result, code, message := g.rpc("/wallet/btc", method, params...); status != 200 || string(result) != want {
		g.Errorf("%s %v: %d %s %d %s, want %s", method, params, status, result, code, message, want)
	}
}

// fails calls a method and wants an error.
func (g *openedGate) fails(status, code int, words, method string, params ...any) {
	g.Helper()
	got, result, gotCode, message := g.rpc("/wallet/btc", method, params...)
	if got != status || gotCode != code || !strings.Contains(message, words) {
		g.Errorf("%s %v: %d %s %d %q, want %d %d %q", method, params, got, result, gotCode, message, status, code, words)
	}
}

// text calls a method whose result is a text.
func (g *openedGate) text(method string, params ...any) string {
	g.Helper()
	_, result, code, message := g.rpc("/wallet/btc", method, params...)
	var s string
	if json.Unmarshal(result, &s) != nil {
		g.Fatalf("%s %v: %s %d %s", method, params, result, code, message)
	}
	return s
}

// signedQuery is a query signed with the secret of a key.
func signedQuery(secret string, values url.Values) string {
	values.Set("timestamp", strconv.FormatInt(time.Now().UnixMilli(), 10))
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(values.Encode()))
	return values.Encode() + "&signature=" + hex.EncodeToString(m.Sum(nil))
}

// TestGate makes a gate by the command line, and uses its doors: J-1 to J-3, J-40 to J-55.
func TestGate(t *testing.T) {
	b := openBankShop(t)
	alice := b.person("alice")
	b.euros(alice)
	g := b.gateOf(alice, "--allow-withdraw")
	g.trades()
	g.coins(alice)
	g.btcctl()
	g.npm()
	g.restarts()
	g.limits(alice)
	g.lost(alice)
	g.denied(alice)
}

// trades places an order with a key of its own, which is taken back then.
func (g *openedGate) trades() {
	g.Helper()
	var key struct{ ID, Secret, URL string }
	out := g.must("key", "new", "--home", string(g.home), "--passphrase-file", g.pass, "--kind", "hmac", "--name", "bot", "--market", "BTC-EUR", "--expires", "30d", "-o", "json")
	if err := json.Unmarshal([]byte(out[max(0, strings.Index(out, "{")):]), &key); err != nil || len(key.Secret) != 64 {
		g.Fatal(out, err)
	}
	ask := func(method, path string, values url.Values) (int, string) {
		req, err := http.NewRequestWithContext(g.Context(), method, g.gate.URL()+path+"?"+signedQuery(key.Secret, values), nil)
		if err != nil {
			g.Fatal(err)
		}
		req.Header.Set("X-MBX-APIKEY", key.ID)
		resp, err := g.client.Do(req)
		if err != nil {
			g.Fatal(err)
		}
		defer resp.Body.Close() //nolint:errcheck // it is read
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			g.Fatal(err)
		}
		return resp.StatusCode, string(data)
	}
	order := url.Values{"symbol": {"BTCEUR"}, "side": {"BUY"}, "type": {"LIMIT"}, "timeInForce": {"GTC"}, "quantity": {"0.001"}, "price": {"40000"}, "newClientOrderId": {"mine"}}
	status, text := ask(http.MethodPost, "/api/v3/order", order)
	if status != 200 || !strings.Contains(text, `"clientOrderId":"mine"`) {
		g.Fatalf("%d %s", status, text)
	}
	if status, text = ask(http.MethodPost, "/api/v3/order", order); status != 400 || !strings.Contains(text, "-2010") {
		g.Errorf("the same order again: %d %s", status, text)
	}
	if status, text = ask(http.MethodDelete, "/api/v3/order", url.Values{"symbol": {"BTCEUR"}, "origClientOrderId": {"mine"}}); status != 200 {
		g.Errorf("cancel: %d %s", status, text)
	}
	g.matches(g.must("key", "list", "--home", string(g.home)), key.ID+` +bot +hmac +read,trade +BTC-EUR`)
	g.matches(g.must("key", "revoke", "bot", "--home", string(g.home)), `^key `+key.ID+` has no power any more`)
	g.until(func() bool {
		status, _ := ask(http.MethodGet, "/api/v3/account", url.Values{})
		return status == 401
	})
}

// shopAddress and otherAddress are outside of the virtual server.
const (
	shopAddress  = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
	otherAddress = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
)

// coins deposits and withdraws by the wallet door.
func (g *openedGate) coins(alice string) {
	g.Helper()
	g.wants("0.00000000", "getbalance")
	address := g.text("getnewaddress", "from bob")
	x := g.address(g.as("deposit", "BTC")...)
	if x.Address != address {
		g.Errorf("a new address %s, and the command line has %s", address, x.Address)
	}
	g.chain.Pay(x.Series, x.Index, 5*exchangetest.Coin)
	g.mine(1)
	g.until(func() bool { return string(g.result("getunconfirmedbalance")) == "5.00000000" })
	g.mine(1)
	g.until(func() bool { return string(g.result("getbalance")) == "5.00000000" })
	g.wants("5.00000000", "getreceivedbyaddress", address, 2)
	g.wants("[]", "listunspent")
	g.wants(`["btc"]`, "listwallets")
	g.fails(500, -5, "Unknown address type", "getnewaddress", "", "legacy")
	g.fails(404, -32601, "Method not found", "mineblocks")
	g.fails(500, -15, "unencrypted", "walletpassphrase", "secret", 60)
	g.fails(500, -8, "nobody sets it", "settxfee", 0.1)
	g.fails(500, -3, "Invalid amount", "sendtoaddress", shopAddress, 0.123456789)
	g.fails(500, -3, "out of range", "sendtoaddress", shopAddress, -1)
	g.fails(500, -5, "", "sendtoaddress", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", 1)
	g.fails(500, -5, "come back", "sendtoaddress", address, 1)
	g.fails(500, -6, "are available", "sendtoaddress", shopAddress, 5)
	g.fails(500, -8, "not subtracted", "sendtoaddress", shopAddress, 1, "", "", true)
	if status, _, code, _ := g.rpc("/wallet/doge", "getbalance"); status != 500 || code != -18 {
		g.Errorf("a wallet that there is not: %d %d", status, code)
	}
}

// result is what a method answers.
func (g *openedGate) result(method string, params ...any) json.RawMessage {
	g.Helper()
	_, result, _, _ := g.rpc("/wallet/btc", method, params...)
	return result
}

// btcctl runs the wallet flow with btcctl, unmodified.
func (g *openedGate) btcctl() {
	g.Helper()
	binary, err := chainnode.Btcctl(g.Context(), io.Discard)
	if err != nil {
		g.Skipf("btcctl is not here: %v", err)
	}
	cookie, err := os.ReadFile(g.home.Cookie())
	if err != nil {
		g.Fatal(err)
	}
	user, password, _ := strings.Cut(string(cookie), ":")
	config := filepath.Join(g.TempDir(), "btcctl.conf")
	if err := os.WriteFile(config, []byte("rpcuser="+user+"\nrpcpass="+password+"\n"), 0o600); err != nil {
		g.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(g.Context(), time.Minute)
		defer cancel()
		all := append([]string{"--configfile=" + config, "--wallet", "--rpcserver=" + g.gate.Addr(), "--rpccert=" + g.home.Authority().CertFile()}, args...)
		out, err := exec.CommandContext(ctx, binary, all...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	must := func(args ...string) string {
		g.Helper()
		out, err := run(args...)
		if err != nil {
			g.Fatalf("btcctl %v: %s", args, out)
		}
		return out
	}
	g.matches(must("getbalance"), `^5(\.0+)?$`)
	g.matches(must("validateaddress", shopAddress), `"isvalid": true`)
	if a, b := must("getnewaddress"), must("getnewaddress"); a == b || !strings.HasPrefix(a, "bcrt1q") {
		g.Errorf("new addresses %s and %s", a, b)
	}
	// btcctl numbers all requests alike, so the same one again is a repeated one (J-52).
	id := must("sendtoaddress", shopAddress, "0.5", "for", "bob")
	if again := must("sendtoaddress", shopAddress, "0.5", "for", "bob"); len(id) != 64 || again != id {
		g.Errorf("sent as %s, and again as %s", id, again)
	}
	if other := must("sendtoaddress", shopAddress, "0.5", "another"); other == id {
		g.Error("a payment with another comment is the same one")
	}
	g.matches(must("gettransaction", id), `"amount": -0\.5\d*`, `"comment": "for"`, `"category": "send"`)
	g.matches(must("listtransactions"), id, `"category": "receive"`, `"amount": 5\.0*`)
	g.matches(must("getwalletinfo"), `"walletname": "btc"`)
	g.matches(must("getblockcount"), `^\d+$`)
	if out, err := run("--rpcpass=wrong", "getbalance"); err == nil {
		g.Errorf("a wrong password: %s", out)
	}
}

// npm runs the wallet flow with npm's bitcoin-core, unmodified.
func (g *openedGate) npm() {
	g.Helper()
	conformance, err := filepath.Abs("../web/wallet/conformance")
	if err != nil {
		g.Fatal(err)
	}
	install := exec.CommandContext(g.Context(), "scripts/npm", "web/wallet/conformance")
	install.Dir = ".."
	modules, err := install.CombinedOutput()
	if err != nil {
		g.Fatalf("install npm packages: %v\n%s", err, modules)
	}
	want, err := json.Marshal(map[string]string{"url": g.gate.URL(), "cookie": g.home.Cookie(), "to": shopAddress, "to2": otherAddress})
	if err != nil {
		g.Fatal(err)
	}
	cmd := exec.CommandContext(g.Context(), "node", filepath.Join(conformance, "rpc.cjs"), string(want))
	cmd.Env = append(os.Environ(), "MODULES="+strings.TrimSpace(string(modules)), "NODE_EXTRA_CA_CERTS="+g.home.Authority().CertFile(), "NODE_NO_WARNINGS=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		g.Fatalf("%v\n%s%s", err, out, errs.String())
	}
	type failure struct {
		Code    int
		Message string
	}
	var seen struct {
		Balance, Sent, Again, First, Many, Address json.RawMessage
		Wallets                                    []string
		Chain                                      struct{ Chain string }
		Own                                        struct{ Ismine bool }
		Valid                                      struct{ Isvalid bool }
		Other, Twice, Much, Nowhere, Stop, Wrong   *failure
		Group                                      struct {
			Amount  json.Number
			Details []json.RawMessage
		}
		List, Received, Unspent []json.RawMessage
		Batch                   []json.RawMessage
	}
	if err := json.Unmarshal(out, &seen); err != nil {
		g.Fatalf("%v\n%s", err, out)
	}
	if string(seen.Balance) != "3.9999" && !strings.HasPrefix(string(seen.Balance), "3.99") {
		g.Errorf("balance %s", seen.Balance)
	}
	for _, ok := range []bool{
		bytes.Equal(seen.Sent, seen.Again), !bytes.Equal(seen.Sent, seen.First), len(seen.Wallets) == 1, seen.Chain.Chain == "regtest", seen.Own.Ismine, seen.Valid.Isvalid,
		seen.Other != nil && seen.Other.Code == -8, seen.Much != nil && seen.Much.Code == -6,
		seen.Nowhere != nil && seen.Nowhere.Code == -5, seen.Stop != nil && seen.Stop.Code == -1, seen.Wrong != nil && seen.Wrong.Code == 401,
		seen.Group.Amount == "-0.225", len(seen.Group.Details) == 2, len(seen.List) == 7, len(seen.Received) == 4, len(seen.Unspent) == 0, len(seen.Batch) == 2,
	} {
		if !ok {
			g.Errorf("npm's bitcoin-core saw:\n%s", out)
			break
		}
	}
	if seen.Twice != nil && seen.Twice.Code != -4 {
		g.Errorf("an equal payment with another id: %+v", seen.Twice)
	}
}

// restarts finds what was paid, and under which id, after the gate was ended.
func (g *openedGate) restarts() {
	g.Helper()
	before := g.result("listtransactions", "*", 100)
	if err := g.gate.Close(); err != nil {
		g.Fatal(err)
	}
	g.open()
	after := g.result("listtransactions", "*", 100)
	if !bytes.Equal(before, after) {
		g.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	var list []struct{ Comment, Txid string }
	if err := json.Unmarshal(after, &list); err != nil {
		g.Fatal(err)
	}
	for _, x := range list {
		if x.Comment == "id:npm-1" {
			g.wants(fmt.Sprintf("%q", x.Txid), "sendtoaddress", shopAddress, 0.25, "id:npm-1")
		}
	}
}

// limits says what the gate may do, and keeps what no flag changes: J-1.
func (g *openedGate) limits(alice string) {
	g.Helper()
	init := func(more ...string) string {
		return g.must(g.bankShop.as(alice, g.URLs, append([]string{"gate", "init", "--home", string(g.home)}, more...)...)...)
	}
	g.matches(init(), `: read, trade, transfer and withdraw, in all markets, without an end`)
	g.matches(init("--market", "BTC-EUR", "--expires", "90d"), `withdraw, in BTC-EUR, until 20`)
	g.matches(init("--expires", "30d"), `transfer and withdraw, in BTC-EUR, until 20`)
	g.matches(init("--allow-withdraw=false"), `: read and trade, in BTC-EUR, until 20`)
	g.matches(init("--market", "all", "--allow-withdraw"), `transfer and withdraw, in all markets, until 20`)
}

// loser passes requests on to a server, and loses the answers to commands while it is told to.
func (b *bankShop) loser(server string, lose *atomic.Bool) string {
	b.Helper()
	to, err := url.Parse(server)
	if err != nil {
		b.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	proxy.ModifyResponse = func(r *http.Response) error {
		if lose.Load() && r.Request.Method == http.MethodPost && strings.HasSuffix(r.Request.URL.Path, "/commands") {
			return errors.New("lost")
		}
		return nil
	}
	s := httptest.NewServer(proxy)
	b.Cleanup(func() { // streams that a gate follows do not end by themselves
		_ = s.Listener.Close()
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// lost pays once, although the answers of all servers are lost and the program sends the request
// again: J-51, J-52.
func (g *openedGate) lost(alice string) {
	g.Helper()
	if err := g.gate.Close(); err != nil {
		g.Fatal(err)
	}
	var lose atomic.Bool
	servers := []string{g.loser(g.URLs[0], &lose), g.loser(g.URLs[1], &lose)}
	g.must(g.bankShop.as(alice, servers, "gate", "init", "--home", string(g.home), "--allow-withdraw", "--timeout", "60s")...)
	g.open()
	before := g.payments()
	g.client.Timeout = 3 * time.Second
	lose.Store(true)
	cookie, err := os.ReadFile(g.home.Cookie())
	if err != nil {
		g.Fatal(err)
	}
	user, password, _ := strings.Cut(string(cookie), ":")
	req, err := http.NewRequestWithContext(g.Context(), http.MethodPost, g.gate.URL()+"/wallet/btc", strings.NewReader(`{"method":"sendtoaddress","params":["`+shopAddress+`",0.0625,"id:lost"],"id":9}`))
	if err != nil {
		g.Fatal(err)
	}
	req.SetBasicAuth(user, password)
	if resp, err := g.client.Do(req); err == nil {
		_ = resp.Body.Close()
		g.Errorf("it is answered, although no server's answer comes through: %d", resp.StatusCode)
	}
	lose.Store(false)
	g.client.Timeout = time.Minute
	id := g.text("sendtoaddress", shopAddress, 0.0625, "id:lost")
	g.until(func() bool { return g.payments() == before+1 })
	if again := g.text("sendtoaddress", shopAddress, 0.0625, "id:lost"); again != id || g.payments() != before+1 {
		g.Errorf("paid as %s and as %s; %d payments, were %d", id, again, g.payments(), before)
	}
	if err := g.gate.Close(); err != nil {
		g.Error(err)
	}
	g.gate = nil
}

// payments is how many withdrawals the account has.
func (g *openedGate) payments() (n int) {
	g.Helper()
	var list []struct{ Category string }
	if err := json.Unmarshal(g.result("listtransactions", "*", 1000), &list); err != nil {
		g.Fatal(err)
	}
	for _, x := range list {
		if x.Category == "send" {
			n++
		}
	}
	return n
}
