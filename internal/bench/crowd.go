package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/gate"
	"souk/internal/cluster"
	"souk/internal/load"
	"souk/node"
	"souk/store/sealed"
	"souk/web/binance"
)

// What a crowd is.
const (
	crowdSlow     = 5_000 // slow connections, half of them to the gate, half to the server
	crowdConnects = 1_000 // opened in a second at most, at each
	crowdSockets  = 1_000 // idle WebSockets at the gate
	crowdRequests = 50    // bad requests in a second
	crowdOrders   = 400
)

// crowdTarget is what a crowder is told by its standard input, where nobody else reads it.
type crowdTarget struct {
	Gate, Node      string // addresses
	ID, Secret      string
	Slow, Connects  int
	Sockets, PerSec int
}

// crowd measures what an honest client of a gate, and one of a server, notice of a crowd that
// behaves badly: slow connections, idle WebSockets, other origins and hosts, signatures sent
// again, clocks that are off, bodies of 10 MB, unknown fields. Server, gate and crowd are
// processes of their own.
func (r *run) crowd() error {
	ctx, cancel := context.WithTimeout(r.ctx, 10*time.Minute)
	defer cancel()
	c, accounts, err := r.alone("crowd", 2)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // measured
	d, end, err := r.gateway(ctx, c, &accounts[0])
	if err != nil {
		return err
	}
	defer end()
	client, err := c.Client(0)
	if err != nil {
		return err
	}
	defer client.Close()
	actor := client.As(&api.Signer{Account: accounts[1].Address, Key: accounts[1].Key})
	server, quiet, failed, err := honest(ctx, d, actor)
	if err != nil || failed > 0 {
		return errors.Join(err, fmt.Errorf("%d orders failed while it was quiet", failed))
	}
	x, err := r.startChild(crowderName)
	if err != nil {
		return err
	}
	defer x.kill()
	target := crowdTarget{
		Gate: strings.TrimPrefix(d.base, "https://"), Node: strings.TrimPrefix(c.URLs[0], "http://"), ID: d.key.ID, Secret: string(d.key.Secret),
		Slow: crowdSlow, Connects: crowdConnects, Sockets: crowdSockets, PerSec: crowdRequests,
	}
	if err := json.NewEncoder(x.in).Encode(&target); err != nil { //nolint:gosec // to a process of ours, by its standard input
		return err
	}
	if line, err := x.out.ReadString('\n'); err != nil || line != "ready\n" {
		return fmt.Errorf("the crowd says %q: %w", line, err)
	}
	busyServer, busy, failed, err := honest(ctx, d, actor)
	if err != nil {
		return err
	}
	if err := x.in.Close(); err != nil {
		return err
	}
	var report crowdReport
	if err := json.NewDecoder(x.out).Decode(&report); err != nil {
		return fmt.Errorf("the crowd's report: %w", err)
	}
	r.set("crowd_failed", failed)
	r.set("crowd_sockets_open", report.Sockets)
	r.set("crowd_connections", report.Attempts)
	r.set("crowd_bad_requests", report.Requests)
	r.set("crowd_bad_wrongly_answered", int(report.Wrong))
	for name, took := range map[string][2][]time.Duration{"gate": {quiet, busy}, "server": {server, busyServer}} {
		r.set("crowd_"+name+"_quiet_p99_ms", ms(quantile(took[0], 0.99)))
		r.set("crowd_"+name+"_p50_ms", ms(quantile(took[1], 0.5)))
		r.set("crowd_"+name+"_p99_ms", ms(quantile(took[1], 0.99)))
		r.set("crowd_"+name+"_p99_ratio", ms(quantile(took[1], 0.99))/ms(quantile(took[0], 0.99)))
	}
	if report.Attempts < crowdSlow || report.Sockets < crowdSockets*9/10 || report.Requests < 100 {
		return fmt.Errorf("that was no crowd: %+v", report)
	}
	return nil
}

// gateway starts a gate as a process, for an account.
func (r *run) gateway(ctx context.Context, c *cluster.Cluster, a *load.Account) (d *doorway, end func(), err error) {
	home := node.GateHome(filepath.Join(r.dir, "gate"))
	pass := c.Homes[0].PassphraseFile()
	terms := &node.GateTerms{ID: c.Founding.ID(), Servers: c.URLs, Account: a.Address, Listen: "127.0.0.1:0"}
	delegate, err := node.InitGate(home, terms, sealed.FromFile(pass), sealed.TestWork)
	if err != nil {
		return nil, nil, err
	}
	client, err := c.Client(0)
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	owner := client.As(&api.Signer{Account: a.Address, Key: a.Key})
	if err := cluster.MustOK(owner.Do(ctx, &exchange.AddDelegate{Key: delegate, Scopes: ledger.Read | ledger.Trade})); err != nil {
		return nil, nil, err
	}
	own, err := home.Key(sealed.FromFile(pass))
	if err != nil {
		return nil, nil, err
	}
	key := gate.ClientKey{Kind: gate.KindHMAC, Scopes: []string{"read", "trade"}, Weight: 1_000_000, Orders: 1_000_000}
	if err := key.Add(home.Clients(), time.Now()); err != nil {
		return nil, nil, err
	}
	secret, err := gate.HMACSecret(own, key.ID)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, r.binary, "gate", "--home", string(home), "--passphrase-file", pass) //nolint:gosec // our own program
	said, err := cmd.StderrPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start the gate: %w", err)
	}
	end = func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // it was killed
	}
	d = &doorway{key: &binance.Key{ID: key.ID, Secret: []byte(secret)}}
	lines := bufio.NewScanner(said)
	for open := false; !open && lines.Scan(); {
		line := lines.Text()
		if _, rest, ok := strings.Cut(line, "the gate listens at "); ok {
			d.base, _, _ = strings.Cut(rest, ",")
		}
		open = line == "the gate is open"
	}
	go io.Copy(io.Discard, said) //nolint:errcheck // until the process ends
	roots := x509.NewCertPool()
	data, err := os.ReadFile(home.Authority().CertFile())
	if err != nil || d.base == "" || !roots.AppendCertsFromPEM(data) {
		end()
		return nil, nil, fmt.Errorf("the gate does not open: %w", err)
	}
	d.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}}
	for d.post(ctx, d.order("IOC", "40000")) != nil {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			end()
			return nil, nil, fmt.Errorf("the gate does not take orders: %w", ctx.Err())
		}
	}
	return d, end, nil
}

// honest times orders of a client of the server and of one of the gate, in turns, and counts
// those that failed.
func honest(ctx context.Context, d *doorway, actor *api.Actor) (server, door []time.Duration, failed int, err error) {
	for range crowdOrders {
		begin := time.Now()
		err := cluster.MustOK(actor.Do(ctx, &exchange.Place{
			Market: 1, Side: market.Buy, Order: market.LimitOrder, TIF: market.IOC, Price: 40_000e8, Quantity: 1e6,
		}))
		middle := time.Now()
		if err != nil {
			say("an order at the server: %v\n", err)
			failed++
		}
		order := d.order("IOC", "40000")
		order.Set("newClientOrderId", fmt.Sprintf("honest-%d", middle.UnixNano()))
		if err := d.post(ctx, order); err != nil {
			say("an order at the gate: %v\n", err)
			failed++
		}
		server, door = append(server, middle.Sub(begin)), append(door, time.Since(middle))
		if ctx.Err() != nil {
			return nil, nil, failed, ctx.Err()
		}
		time.Sleep(10 * time.Millisecond) // so that it takes as long as a crowd has to be
	}
	slices.Sort(server)
	slices.Sort(door)
	return server, door, failed, nil
}

// values is a signed query of the crowd's.
func (t *crowdTarget) values(at time.Time, more ...string) string {
	d := &doorway{key: &binance.Key{ID: t.ID, Secret: []byte(t.Secret)}}
	order := d.order("IOC", "40000")
	for i := 0; i+1 < len(more); i += 2 {
		order.Set(more[i], more[i+1])
	}
	return d.sign(order, at)
}
