package node_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"souk/api"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/gate"
	"souk/identity"
	"souk/internal/bulk"
	"souk/node"
	"souk/store/sealed"
)

// gated is a gate of a trader at a server of one member, and a key of a program.
type gated struct {
	*testing.T
	home    node.GateHome
	gate    *node.Gate
	client  *http.Client
	key     gate.ClientKey
	secret  string
	account *api.Signer
	server  *federation
}

func openGated(t *testing.T) *gated {
	t.Helper()
	f := start(t, 1)
	alice := signer(identity.NewKey([32]byte{1}))
	r, err := f.client.As(signer(f.Issuer)).Do(t.Context(), &exchange.Mint{Asset: 2, Amount: 100_000e8, To: alice.Account})
	must(t, r, err)
	g := &gated{T: t, home: node.GateHome(filepath.Join(t.TempDir(), "gate")), account: alice, server: f}
	pass := sealed.FromFile(f.Homes[0].PassphraseFile())
	terms := &node.GateTerms{ID: f.Founding.ID(), Servers: f.URLs, Account: alice.Account, Listen: "127.0.0.1:0"}
	delegate, err := node.InitGate(g.home, terms, pass, sealed.TestWork)
	if err != nil {
		t.Fatal(err)
	}
	r, err = f.client.As(alice).Do(t.Context(), &exchange.AddDelegate{Key: delegate, Scopes: ledger.Read | ledger.Trade})
	must(t, r, err)
	own, err := g.home.Key(pass)
	if err != nil {
		t.Fatal(err)
	}
	g.key = gate.ClientKey{Kind: gate.KindHMAC, Scopes: []string{"read", "trade"}}
	if err := g.key.Add(g.home.Clients(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if g.secret, err = gate.HMACSecret(own, g.key.ID); err != nil {
		t.Fatal(err)
	}
	if g.gate, err = node.OpenGate(g.home, node.GateOptions{Pass: pass, Log: f.log, Software: "test"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.gate.Close(); err != nil {
			t.Error(err)
		}
	})
	roots := x509.NewCertPool()
	data, err := os.ReadFile(g.home.Authority().CertFile())
	if err != nil || !roots.AppendCertsFromPEM(data) {
		t.Fatal("no authority", err)
	}
	g.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: 30 * time.Second}
	t.Cleanup(g.client.CloseIdleConnections)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		status, _ := g.ask(http.MethodGet, "/readyz", "", nil)
		_, known := g.ask(http.MethodGet, "/api/v3/exchangeInfo?symbol=BTCEUR", "", nil)
		if status == http.StatusOK && strings.Contains(known, "BTCEUR") {
			select {
			case <-g.gate.Opened():
			default:
				t.Error("the gate is ready, and does not say that it is open")
			}
			return g
		}
		if time.Now().After(end) {
			t.Fatal("the gate does not become ready")
		}
	}
}

// ask sends a request; headers come in pairs.
func (g *gated) ask(method, target, body string, headers []string) (int, string) {
	g.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, g.gate.URL()+target, strings.NewReader(body))
	if err != nil {
		g.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	resp, err := g.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close() //nolint:errcheck // it is read
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, err.Error()
	}
	return resp.StatusCode, string(data)
}

// sign is a query signed at a time.
func (g *gated) sign(values url.Values, at time.Time) string {
	values.Set("timestamp", strconv.FormatInt(at.UnixMilli(), 10))
	m := hmac.New(sha256.New, []byte(g.secret))
	m.Write([]byte(values.Encode()))
	return "?" + values.Encode() + "&signature=" + hex.EncodeToString(m.Sum(nil))
}

// keyed are the headers of a request with the key.
func (g *gated) keyed(more ...string) []string {
	return append([]string{"X-MBX-APIKEY", g.key.ID}, more...)
}

func order(client string) url.Values {
	v := url.Values{"symbol": {"BTCEUR"}, "side": {"BUY"}, "type": {"LIMIT"}, "timeInForce": {"GTC"}, "quantity": {"0.001"}, "price": {"40000"}}
	if client != "" {
		v.Set("newClientOrderId", client)
	}
	return v
}

// live is how many orders the account has, as the server says.
func (g *gated) live() int {
	g.Helper()
	list, err := g.server.client.Orders(g.Context(), g.account, "")
	if err != nil {
		g.Fatal(err)
	}
	return len(list.Orders)
}

// J-30, N-12, N-13, H-50 to H-53: what is bad is refused with a reason, and nothing comes of it.
func TestGateBadInput(t *testing.T) {
	g := openGated(t)
	now := time.Now()
	placed := g.sign(order(""), now)
	if status, text := g.ask(http.MethodPost, "/api/v3/order"+placed, "", g.keyed()); status != 200 {
		t.Fatalf("an order: %d %s", status, text)
	}
	if n := g.live(); n != 1 {
		t.Fatalf("%d orders, want 1", n)
	}
	unknown := order("")
	unknown.Set("colour", "red")
	for _, c := range []struct {
		name, method, target, body string
		headers                    []string
		status                     int
		words                      string
	}{
		{"the same signed request again", "POST", "/api/v3/order" + placed, "", g.keyed(), 400, "-2010"},
		{"a clock a minute ahead", "POST", "/api/v3/order" + g.sign(order(""), now.Add(time.Minute)), "", g.keyed(), 400, "-1021"},
		{"a clock a minute behind", "POST", "/api/v3/order" + g.sign(order(""), now.Add(-time.Minute)), "", g.keyed(), 400, "-1021"},
		{"another's signature", "POST", "/api/v3/order" + strings.Replace(g.sign(order(""), now), "0.001", "0.002", 1), "", g.keyed(), 400, "-1022"},
		{"an unknown key", "POST", "/api/v3/order" + placed, "", []string{"X-MBX-APIKEY", strings.Repeat("0", 64)}, 401, "-2015"},
		{"no key", "POST", "/api/v3/order" + placed, "", nil, 401, "-2014"},
		{"an unknown field", "POST", "/api/v3/order" + g.sign(unknown, now), "", g.keyed(), 400, "-11"},
		{"10 MB", "POST", "/api/v3/order" + g.sign(order(""), now), strings.Repeat("x", 10<<20), g.keyed(), 413, "too large"},
		{"10 MB for a wallet", "POST", "/wallet/btc", strings.Repeat("x", 10<<20), []string{"Authorization", "Basic " + "eDp5"}, 401, ""},
		{"another host", "GET", "/api/v3/ping", "", []string{"Host", "evil.example"}, 421, "evil.example"},
		{"another origin", "POST", "/api/v3/order" + g.sign(order(""), now), "", g.keyed("Origin", "https://evil.example"), 403, "origin"},
		{"a form of another page", "POST", "/", `{"method":"getbalance"}`, []string{"Origin", "https://evil.example", "Content-Type", "text/plain"}, 403, "origin"},
		{"no password", "POST", "/", `{"method":"getbalance"}`, nil, 401, ""},
		{"an unknown path", "GET", "/api/v3/nothing", "", nil, 404, "no such path"},
		{"a method that is none", "PATCH", "/api/v3/order", "", g.keyed(), 405, "not supported"},
	} {
		status, text := g.ask(c.method, c.target, c.body, c.headers)
		if broken := c.status == 413 || c.name == "10 MB for a wallet"; status != c.status && (!broken || status != 0) || status != 0 && !strings.Contains(text, c.words) {
			t.Errorf("%s: %d %s, want %d and %q", c.name, status, text, c.status, c.words)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, resp, err := websocket.Dial(ctx, g.gate.URL()+"/ws/btceur@trade", &websocket.DialOptions{ //nolint:bodyclose // Dial has closed it
		HTTPClient: &http.Client{Transport: g.client.Transport}, HTTPHeader: http.Header{"Origin": {"https://evil.example"}},
	})
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a stream of another origin: %v, %v", resp, err)
	}
	if n := g.live(); n != 1 {
		t.Errorf("%d orders after all that, want 1", n)
	}
}

// H-51, H-52, J-4: thousands of slow connections and idle WebSockets keep nobody out.
func TestGateCrowd(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of connections")
	}
	g := openGated(t)
	sockets := bulk.Count(1_000)
	for range sockets {
		c, _, err := websocket.Dial(t.Context(), g.gate.URL()+"/ws", &websocket.DialOptions{HTTPClient: &http.Client{Transport: g.client.Transport}}) //nolint:bodyclose // of a WebSocket there is none
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow() //nolint:errcheck // it only idled
	}
	var slow []net.Conn
	defer func() {
		for _, c := range slow {
			_ = c.Close()
		}
	}()
	for range bulk.Count(5_000) {
		c, err := net.Dial("tcp", g.gate.Addr())
		if err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
		_, _ = c.Write([]byte{0x16}) // the beginning of a greeting; the server may have closed it already
	}
	for i := range 20 {
		if status, text := g.ask(http.MethodPost, "/api/v3/order"+g.sign(order(fmt.Sprintf("crowd-%d", i)), time.Now()), "", g.keyed()); status != 200 {
			t.Errorf("an order in the crowd: %d %s", status, text)
		}
		g.client.CloseIdleConnections() // the next one needs a connection of its own
	}
	if n := g.live(); n != 20 {
		t.Errorf("%d orders, want 20", n)
	}
	status, text := g.ask(http.MethodGet, "/metrics", "", nil)
	if status != 200 || !strings.Contains(text, "souk_gate_commands_total 20") || bytes.Contains([]byte(text), []byte(g.secret)) {
		t.Errorf("metrics: %d\n%s", status, text)
	}
}
