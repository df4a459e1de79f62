package conformance_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/gate"
	"souk/identity"
	"souk/node"
	"souk/store/memstore"
	"souk/store/sealed"
	"souk/tape"
	"souk/web/binance"
)

// Of the practice terms.
const (
	btc    asset.ID  = 1
	eur    asset.ID  = 2
	btcEUR market.ID = 1
	coin             = 100_000_000
)

// world is a virtual server of one member and, in this process, a gate with many traders.
type world struct {
	*testing.T
	local  *node.Local
	client *api.Client
	tape   *tape.Tape
	keys   *keys
	pairs  []api.Pair
	door   *binance.Handler
	url    string // of the gate
	http   *http.Client
	maker  *api.Signer
	issuer *api.Actor
}

// keys are the API keys of all traders.
type keys struct {
	mu  sync.Mutex
	all map[string]*binance.Key
}

func (k *keys) Key(id string) (*binance.Key, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.all[id]
	return key, ok
}

func (k *keys) add(key *binance.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all[key.ID] = key
}

func (k *keys) remove(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.all, id)
}

// newWorld starts the virtual server in this process, and the gate.
func newWorld(t *testing.T, limits binance.Limits) *world {
	t.Helper()
	local, err := node.FoundLocal(node.LocalSetup{Dir: t.TempDir() + "/fed", Name: "clients", Servers: 1, Now: time.Now().Add(-time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Open(local.Homes[0], node.Options{Pass: sealed.FromFile(local.Homes[0].PassphraseFile())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return worldOf(t, local, limits)
}

// ungated is a world without a gate, of a virtual server that runs.
func ungated(t *testing.T, local *node.Local) *world {
	t.Helper()
	w := &world{T: t, local: local, maker: api.OwnerOf(identity.NewKey([32]byte{9}))}
	w.client = w.connect()
	w.issuer = w.client.As(api.OwnerOf(local.Issuer))
	w.mint(w.maker.Account, 1_000)
	return w
}

// worldOf makes the gate of a virtual server that runs.
func worldOf(t *testing.T, local *node.Local, limits binance.Limits) *world {
	t.Helper()
	w := ungated(t, local)
	w.tape, w.keys = tape.New(), &keys{all: map[string]*binance.Key{}}
	markets, err := w.client.Markets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range markets.Markets {
		p, err := markets.Markets[i].Pair()
		if err != nil {
			t.Fatal(err)
		}
		w.pairs = append(w.pairs, p)
	}
	w.session(w.maker, w.tape)
	w.door = binance.New(binance.Config{Tape: w.tape, Markets: func() []api.Pair { return w.pairs }, Keys: w.keys, Limits: limits})
	t.Cleanup(w.door.Close)
	w.serve()
	return w
}

// serve serves the gate with TLS, under an authority of its own as souk tls ca makes one.
func (w *world) serve() {
	w.Helper()
	authority := gate.Authority(w.TempDir())
	config, err := authority.Config(slog.New(slog.DiscardHandler))
	if err != nil {
		w.Fatal(err)
	}
	ca, err := os.ReadFile(authority.CertFile())
	if err != nil {
		w.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		w.Fatal("the authority has no certificate")
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		w.Fatal(err)
	}
	server := &http.Server{Handler: w.door, ReadHeaderTimeout: 10 * time.Second}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, MaxIdleConnsPerHost: 100}
	w.url, w.http = "https://"+l.Addr().String(), &http.Client{Transport: transport}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	w.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		<-done
	})
}

func (w *world) connect() *api.Client {
	w.Helper()
	c, err := api.NewClient(api.Config{Servers: w.local.URLs, ID: w.local.Founding.ID()})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(c.Close)
	return c
}

// mint gives an account 10 bitcoins and 100,000 EUR, so many times.
func (w *world) mint(to identity.Address, times asset.Amount) {
	w.Helper()
	w.must(w.issuer,
		&exchange.Mint{Asset: eur, Amount: times * 100_000 * coin, To: to}, &exchange.Mint{Asset: btc, Amount: times * 10 * coin, To: to})
}

func (w *world) must(who *api.Actor, bodies ...exchange.Body) {
	w.Helper()
	receipts, err := who.Do(w.Context(), bodies...)
	if err != nil {
		w.Fatal(err)
	}
	for i := range receipts {
		if receipts[i].Code != exchange.OK {
			w.Fatalf("%v", receipts[i].Code)
		}
	}
}

// liquidity rests orders on both sides of 50,000, and makes a trade.
func (w *world) liquidity() {
	w.Helper()
	order := func(side market.Side, price, quantity uint64) *exchange.Place {
		return &exchange.Place{
			Market: btcEUR, Side: side, Order: market.LimitOrder, TIF: market.GTC, Price: asset.Price(price * coin), Quantity: asset.Amount(quantity * coin / 100),
		}
	}
	w.must(w.client.As(w.maker), order(market.Sell, 50_100, 1_000), order(market.Buy, 49_900, 1_000), order(market.Sell, 50_200, 1_000), order(market.Buy, 49_800, 1_000))
	other := api.OwnerOf(identity.NewKey([32]byte{8}))
	w.mint(other.Account, 1)
	w.must(w.client.As(other), order(market.Buy, 50_100, 5))
}

// trader is an account with a session of its own and a key for a client.
type trader struct {
	session *gate.Session
	owner   identity.Address
	key     *binance.Key
	secret  string // as the client wants it
}

// trader opens an account, lets a delegate of it trade, and gives a client a key.
func (w *world) trader(name string, kind binance.KeyKind) *trader {
	w.Helper()
	var seed [32]byte
	copy(seed[:], name)
	owner := api.OwnerOf(identity.NewKey(seed))
	w.mint(owner.Account, 1)
	tr := &trader{owner: owner.Account, key: &binance.Key{ID: name, Kind: kind, Scopes: binance.Read | binance.Trade}}
	tr.session = w.session(owner, nil)
	tr.key.Account = tr.session
	tr.makeKey(w.T)
	w.keys.add(tr.key)
	return tr
}

// session lets a delegate trade for an account and runs a session of it, until the test ends.
func (w *world) session(owner *api.Signer, feeds *tape.Tape) *gate.Session {
	w.Helper()
	seed := owner.Key.Seed()
	seed[31] ^= 1
	delegate := identity.NewKey(seed)
	w.must(w.client.As(owner), &exchange.AddDelegate{Key: delegate.Public(), Scopes: ledger.Read | ledger.Trade})
	client := w.connect()
	catalog, err := api.NewCatalog(client, nil, func(context.Context) (*api.Verifier, error) { return nil, api.ErrConfig })
	if err != nil {
		w.Fatal(err)
	}
	s, err := gate.Open(w.Context(), gate.Config{
		Client: client, Signer: &api.Signer{Account: owner.Account, Key: delegate}, Catalog: catalog, Proofs: gate.ProveNever, Store: memstore.New(), Tape: feeds,
	})
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	w.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
	})
	w.until(func() bool { return s.Ready() == nil })
	return s
}

func (tr *trader) makeKey(t *testing.T) {
	t.Helper()
	if tr.key.Kind == binance.HMAC {
		tr.secret = hex.EncodeToString([]byte(rand.Text()))
		tr.key.Secret = []byte(tr.secret)
		return
	}
	var err error
	var public ed25519.PublicKey
	if tr.secret, public, err = gate.NewEd25519(); err != nil {
		t.Fatal(err)
	}
	tr.key.Public = public
}

// until waits for something that is seen by asking.
func (w *world) until(ready func() bool) {
	w.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ready() {
		if time.Now().After(deadline) {
			w.Fatal("waited in vain")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
