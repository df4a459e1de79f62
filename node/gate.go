package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"souk/api"
	"souk/exchange/market"
	"souk/gate"
	"souk/identity"
	"souk/store"
	"souk/store/sealed"
	"souk/tape"
	"souk/web"
	"souk/web/binance"
	"souk/web/wallet"
)

const (
	// marketsEvery is how often fees, bands and pauses of markets are asked for.
	marketsEvery = 10 * time.Second
	// trustEvery is how often what was proven is written down.
	trustEvery = time.Minute
	// cancelPatience is how long a gate that ends waits for its orders to be cancelled.
	cancelPatience = 20 * time.Second
	// walletCalls is how many requests of wallets are worked on at once.
	walletCalls = 32
	// gateConns is how many connections are open at once, gateSockets how many of them may be
	// WebSockets, which are never closed for others.
	gateConns   = 4096
	gateSockets = 2048
)

// GateOptions are what a gate is started with, besides its folder.
type GateOptions struct {
	Pass     sealed.Passphrase // opens the key
	Log      *slog.Logger      // nil: nothing is logged
	Software string            // this binary's version
	Listen   string            // instead of what the config says, if it is not empty
}

// Gate is a running gate.
type Gate struct {
	home     GateHome
	config   GateConfig
	log      *slog.Logger
	key      identity.PrivateKey
	client   *api.Client
	catalog  *api.Catalog
	store    store.Store
	session  *gate.Session
	coins    *gate.Coins
	clients  *gate.Clients
	users    *wallet.Users
	dialect  *binance.Handler
	web      *web.Server
	listener net.Listener
	stop     context.CancelFunc
	running  sync.WaitGroup
	ended    chan error

	mu       sync.Mutex
	light    *Light
	verifier *api.Verifier
	pairs    []api.Pair // nil: not known yet
	orders   int        // live ones of an account in a market
	known    chan struct{}
	opened   chan struct{}
}

// OpenGate starts the gate of a folder: it returns when it listens. Its account can be
// used a little later, as Ready says.
func OpenGate(h GateHome, o GateOptions) (*Gate, error) {
	c, err := ReadGate(h)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Listen != "" {
		c.Listen = o.Listen
		if err := c.check(); err != nil {
			return nil, err
		}
	}
	g := &Gate{
		home: h, config: c, log: o.Log, ended: make(chan error, 1), orders: market.DefaultOrderLimit,
		known: make(chan struct{}), opened: make(chan struct{}),
	}
	if err := g.open(&o); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

func (g *Gate) open(o *GateOptions) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	g.stop = cancel
	if g.key, err = g.home.Key(o.Pass); err != nil {
		return err
	}
	if g.key.Public().String() != g.config.Key {
		return fmt.Errorf("%w: key.age is not the key that gate.toml names: run souk gate init again", ErrConfig)
	}
	if g.store, err = openGateStore(string(g.home), g.log); errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("the gate of %s %w, in another process", g.home, ErrServed)
	}
	if err != nil {
		return err
	}
	if err := g.connect(); err != nil {
		return err
	}
	if err := g.openSession(ctx); err != nil {
		return err
	}
	if err := g.listen(o); err != nil {
		return err
	}
	g.running.Go(func() { g.end(g.session.Run(ctx)) })
	g.running.Go(func() { g.coins.Run(ctx) })
	g.running.Go(func() { g.watchMarkets(ctx) })
	g.running.Go(func() { g.keepTrust(ctx) })
	g.running.Go(func() { g.openFirst(ctx) })
	g.running.Go(func() { g.end(g.web.Serve(g.listener)) })
	return nil
}

// connect makes the client, and reads what was proven another day.
func (g *Gate) connect() error {
	id, err := api.ParseServerID(g.config.Server)
	if err != nil {
		return err
	}
	if g.client, err = api.NewClient(api.Config{Servers: g.config.Servers, ID: id, Log: g.log}); err != nil {
		return err
	}
	saved, err := g.readTrust()
	if err != nil {
		return err
	}
	g.catalog, err = api.NewCatalog(g.client, saved.Proven, g.proofs)
	return err
}

// gateTrust is what was proven another day.
type gateTrust struct {
	Checkpoint string   `toml:"checkpoint,omitempty"`
	Proven     []string `toml:"proven,omitempty"`
}

func (g *Gate) readTrust() (t gateTrust, err error) {
	data, err := os.ReadFile(g.home.trust())
	if errors.Is(err, os.ErrNotExist) {
		return t, nil
	}
	if err == nil {
		err = toml.Unmarshal(data, &t)
	}
	if err != nil {
		return t, fmt.Errorf("read %s: %w; it can be deleted", g.home.trust(), err)
	}
	return t, nil
}

// proofs is the gate's verifier. It begins to follow headers where it ended.
func (g *Gate) proofs(ctx context.Context) (*api.Verifier, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.verifier != nil {
		return g.verifier, nil
	}
	saved, err := g.readTrust()
	if err != nil {
		return nil, err
	}
	light, err := NewLight(ctx, g.client, LightOptions{Saved: saved.Checkpoint})
	if err != nil {
		return nil, err
	}
	g.light, g.verifier = light, api.NewVerifier(light)
	return g.verifier, nil
}

// keepTrust writes down what was proven, now and then and at the end.
func (g *Gate) keepTrust(ctx context.Context) {
	ticker := time.NewTicker(trustEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			g.saveTrust(ctx)
		case <-ctx.Done():
			g.saveTrust(ctx)
			return
		}
	}
}

func (g *Gate) saveTrust(ctx context.Context) {
	g.mu.Lock()
	light := g.light
	g.mu.Unlock()
	t := gateTrust{Proven: g.catalog.Save()}
	var err error
	if light != nil {
		t.Checkpoint, err = light.Save()
	} else {
		old, _ := g.readTrust() // else nothing of it is kept
		t.Checkpoint = old.Checkpoint
	}
	var data []byte
	if err == nil {
		data, err = toml.Marshal(&t)
	}
	if err == nil {
		part := g.home.trust() + ".new"
		if err = os.WriteFile(part, data, 0o600); err == nil {
			err = os.Rename(part, g.home.trust())
		}
	}
	if err != nil {
		g.log.WarnContext(ctx, "what was proven could not be written down", slog.Any("error", err))
	}
}

func (g *Gate) openSession(ctx context.Context) error {
	account, err := identity.ParseAddress(g.config.Account)
	if err != nil {
		return err
	}
	t := tape.New()
	config := gate.Config{
		Client: g.client, Signer: &api.Signer{Account: account, Key: g.key}, Catalog: g.catalog, Verifier: g.proofs,
		Proofs: proofPolicies[g.config.Proofs], Store: g.store, Tape: t, Log: g.log,
	}
	if g.session, err = gate.Open(ctx, config); err != nil {
		return err
	}
	g.coins = g.session.Coins(g.config.Withdraw)
	if g.clients, err = gate.OpenClients(g.home.Clients(), g.session, g.key, g.keyFault); err != nil {
		return err
	}
	g.dialect = binance.New(binance.Config{
		Tape: t, Markets: g.markets, Orders: g.mostOrders, Keys: g.clients, Log: g.log,
		Trusted: func(address string) bool {
			ip, err := netip.ParseAddr(address)
			return err == nil && ip.Unmap().IsLoopback()
		},
	})
	g.users, err = wallet.NewUsers(g.config.Wallet.Users, g.home.Cookie())
	return err
}

// keyFault is told of keys of programs that cannot be read.
func (g *Gate) keyFault(err error) { g.log.Warn("keys of programs", slog.Any("error", err)) }

// markets are the markets that are proven to be what they are called, with fees and pauses
// as a server says.
func (g *Gate) markets() []api.Pair {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pairs
}

// mostOrders is how many live orders an account may have in a market, as a server says.
func (g *Gate) mostOrders() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.orders
}

// openFirst notes that the account and the markets can be used for the first time.
func (g *Gate) openFirst(ctx context.Context) {
	for _, there := range []<-chan struct{}{g.session.Opened(), g.known} {
		select {
		case <-there:
		case <-ctx.Done():
			return
		}
	}
	close(g.opened)
}

// watchMarkets asks for the markets now and then.
func (g *Gate) watchMarkets(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		wait := marketsEvery
		if err := g.askMarkets(ctx); err != nil {
			g.log.DebugContext(ctx, "markets", slog.Any("error", err))
			wait = time.Second
		}
		timer.Reset(wait)
	}
}

func (g *Gate) askMarkets(ctx context.Context) error {
	said, err := g.client.Markets(ctx)
	if err != nil {
		return err
	}
	list := []api.Pair{} // nil is that they are not known
	for i := range said.Markets {
		pair, err := said.Markets[i].Pair()
		if err != nil {
			return err
		}
		proven, err := g.catalog.Pair(ctx, strconv.FormatUint(uint64(pair.ID), 10))
		if err != nil {
			g.log.WarnContext(ctx, "a market cannot be proven, and is left out", slog.Uint64("market", uint64(pair.ID)), slog.Any("error", err))
			continue
		}
		fixed := pair.Market
		pair = proven
		pair.MakerPPM, pair.TakerPPM, pair.ReservePPM, pair.BandPPM = fixed.MakerPPM, fixed.TakerPPM, fixed.ReservePPM, fixed.BandPPM
		pair.Reference, pair.Last, pair.Paused = fixed.Reference, fixed.Last, fixed.Paused
		list = append(list, pair)
	}
	params, err := g.client.Params(ctx)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pairs == nil {
		close(g.known)
	}
	g.pairs, g.orders = list, int(params.MarketOrders)
	return nil
}

// listen makes the HTTP server and opens its port.
func (g *Gate) listen(o *GateOptions) error {
	config, err := g.tls()
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	g.web = web.New(web.Config{
		Hosts: g.config.Hosts, TLS: config, Conns: gateConns, Door: g.door(o.Software), Ready: g.reasons, Software: o.Software, Log: g.log,
		Metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
	})
	registry.MustRegister(g.web.Collectors()...)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), gateCollector{g})
	if g.listener, err = net.Listen("tcp", g.config.Listen); err != nil {
		return fmt.Errorf("listen for programs: %w (change listen in %s)", err, g.home.Config())
	}
	return nil
}

func (g *Gate) tls() (*tls.Config, error) {
	if g.config.TLSCert == "" {
		return g.home.Authority().Config(g.log)
	}
	pair, err := g.home.certificate(&g.config)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}, nil
}

// certificate is the one for other machines.
func (h GateHome) certificate(c *GateConfig) (tls.Certificate, error) {
	in := func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(string(h), path)
	}
	pair, err := tls.LoadX509KeyPair(in(c.TLSCert), in(c.TLSKey))
	if err != nil {
		return pair, fmt.Errorf("certificate: %w", err)
	}
	return pair, nil
}

// reasons are why the gate is not ready.
func (g *Gate) reasons() map[string]string {
	reasons := map[string]string{}
	if err := g.session.Ready(); err != nil {
		reasons["account"] = err.Error()
	}
	if !g.hasOpened() {
		reasons["markets"] = errNoMarkets.Error()
	}
	return reasons
}

// door is what programs are answered by.
func (g *Gate) door(software string) http.Handler {
	coins := wallet.New(wallet.Config{
		Account: g.coins, Default: g.config.Wallet.Default, Users: g.users, Calls: walletCalls, Version: software, Log: g.log,
	})
	sockets := make(chan struct{}, gateSockets)
	stream := func(w http.ResponseWriter, r *http.Request) {
		select {
		case sockets <- struct{}{}:
			defer func() { <-sockets }()
			g.dialect.ServeHTTP(w, r)
		default:
			http.Error(w, "Work queue depth exceeded", http.StatusServiceUnavailable)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.URL.Path
		switch {
		case p == "/" && r.Method == http.MethodGet:
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = io.WriteString(w, "This is a Souk gate. Programs find /api/v3, /ws, /stream and /ws-api/v3 here, and JSON-RPC of wallets at /wallet/ and a name.\n")
		case p == "/" || p == "/wallet" || strings.HasPrefix(p, "/wallet/"):
			coins.ServeHTTP(w, r)
		case r.Header.Get("Upgrade") != "":
			stream(w, r)
		default:
			g.dialect.ServeHTTP(w, r)
		}
	})
}

// Addr is where the gate listens.
func (g *Gate) Addr() string { return g.listener.Addr().String() }

// URL is where programs of this machine reach it.
func (g *Gate) URL() string { return gateURL(g.Addr()) }

// errNoMarkets is returned by Ready before a server has told of the markets.
var errNoMarkets = errors.New("the markets are not known yet")

// Ready is why the gate cannot be used now; nil if it can.
func (g *Gate) Ready() error {
	if err := g.session.Ready(); err != nil {
		return err
	}
	if !g.hasOpened() {
		return errNoMarkets
	}
	return nil
}

func (g *Gate) hasOpened() bool {
	select {
	case <-g.opened:
		return true
	default:
		return false
	}
}

// Opened is closed when the gate can be used for the first time.
func (g *Gate) Opened() <-chan struct{} { return g.opened }

// Done answers when the gate cannot go on and wants to be closed, with the reason. It never
// does on nil.
func (g *Gate) Done() <-chan error {
	if g == nil {
		return nil
	}
	return g.ended
}

func (g *Gate) end(reason error) {
	select {
	case g.ended <- reason:
	default:
	}
}

// Close stops the gate: first it takes no more requests, then it cancels its account's
// orders if that is its policy. It may be called on a half-opened gate, and on nil.
func (g *Gate) Close() error {
	if g == nil {
		return nil
	}
	var errs []error
	if g.web != nil && g.listener != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		errs = append(errs, g.web.Shutdown(ctx))
		cancel()
	}
	if g.dialect != nil {
		g.dialect.Close()
	}
	if g.listener != nil && g.config.OnStop == StopCancel && g.session.Ready() == nil {
		ctx, cancel := context.WithTimeout(context.Background(), cancelPatience)
		list, err := g.session.CancelAll(ctx, 0)
		cancel()
		if err != nil {
			err = fmt.Errorf("cancel all orders: %w", err)
		} else {
			g.log.Info("orders are cancelled", slog.Int("count", len(list)))
		}
		errs = append(errs, err)
	}
	if g.stop != nil {
		g.stop()
	}
	g.running.Wait()
	if g.users != nil {
		errs = append(errs, g.users.Close())
	}
	if g.store != nil {
		errs = append(errs, g.store.Close())
	}
	if g.client != nil {
		g.client.Close()
	}
	wipe(g.key)
	return errors.Join(errs...)
}

// gateCollector shows what a gate counts.
type gateCollector struct{ g *Gate }

var gateMetrics = []struct {
	desc  *prometheus.Desc
	gauge bool
	read  func(gate.Counts) uint64
}{
	{gateDesc("commands_total", "Commands that blocks executed with success."), false, func(c gate.Counts) uint64 { return c.Entered }},
	{gateDesc("refused_total", "Commands that were refused."), false, func(c gate.Counts) uint64 { return c.Refused }},
	{gateDesc("proven_total", "Receipts that were proven."), false, func(c gate.Counts) uint64 { return c.Proven }},
	{gateDesc("unproven_total", "Receipts of which no server had a proof in time."), false, func(c gate.Counts) uint64 { return c.Unproven }},
	{gateDesc("skipped_total", "Receipts that were not checked, because too many waited."), false, func(c gate.Counts) uint64 { return c.Skipped }},
	{gateDesc("height", "Block after which the account's record is so."), true, func(c gate.Counts) uint64 { return c.Height }},
}

var gateReady = gateDesc("ready", "1 while the account can be used.")

func gateDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("souk_gate_"+name, help, nil, nil)
}

// Describe implements prometheus.Collector.
func (c gateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range gateMetrics {
		ch <- m.desc
	}
	ch <- gateReady
}

// Collect implements prometheus.Collector.
func (c gateCollector) Collect(ch chan<- prometheus.Metric) {
	counts := c.g.session.Counts()
	for _, m := range gateMetrics {
		kind := prometheus.CounterValue
		if m.gauge {
			kind = prometheus.GaugeValue
		}
		ch <- prometheus.MustNewConstMetric(m.desc, kind, float64(m.read(counts)))
	}
	ready := 0.0
	if c.g.Ready() == nil {
		ready = 1
	}
	ch <- prometheus.MustNewConstMetric(gateReady, prometheus.GaugeValue, ready)
}
