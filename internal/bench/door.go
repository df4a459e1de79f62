package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/gate"
	"souk/internal/cluster"
	"souk/internal/load"
	"souk/store/memstore"
	"souk/tape"
	"souk/web/binance"
)

// doorOrders is how many orders are timed.
const doorOrders = 300

// doorKeys is one client's key.
type doorKeys struct{ key *binance.Key }

func (k doorKeys) Key(id string) (*binance.Key, bool) { return k.key, id == k.key.ID }

// door measures what a gate adds to an order: POST /api/v3/order to its answer, one client
// on loopback and one server, against the same order as a command. They take turns, so
// that what else the machine does troubles both alike.
func (r *run) door() error {
	ctx, cancel := context.WithTimeout(r.ctx, 5*time.Minute)
	defer cancel()
	c, accounts, err := r.alone("door", 3)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // measured
	d, err := openDoor(ctx, c, &accounts[0])
	if err != nil {
		return err
	}
	defer d.close()
	client, err := c.Client(0)
	if err != nil {
		return err
	}
	defer client.Close()
	actor := client.As(&api.Signer{Account: accounts[1].Address, Key: accounts[1].Key})
	raw, door, err := d.turns(ctx, actor, d.order("IOC", "40000"))
	if err != nil {
		return err
	}
	r.set("door_raw_p50_ms", ms(quantile(raw, 0.5)))
	r.set("door_order_p50_ms", ms(quantile(door, 0.5)))
	r.set("door_order_p99_ms", ms(quantile(door, 0.99)))
	r.set("door_added_p50_ms", ms(quantile(door, 0.5))-ms(quantile(raw, 0.5)))
	// One that trades is answered with its fills, which the gate hears of by its stream.
	maker := client.As(&api.Signer{Account: accounts[2].Address, Key: accounts[2].Key})
	if err := cluster.MustOK(maker.Do(ctx, &exchange.Place{
		Market: 1, Side: market.Sell, Order: market.LimitOrder, TIF: market.GTC, Price: 50_000e8, Quantity: 100_000e8,
	})); err != nil {
		return err
	}
	_, filled, err := d.turns(ctx, actor, d.order("GTC", "50000"))
	if err != nil {
		return err
	}
	r.set("door_filled_p50_ms", ms(quantile(filled, 0.5)))
	return nil
}

// doorway is a gate in this process, and a client of it.
type doorway struct {
	handler *binance.Handler
	server  *http.Server
	stop    context.CancelFunc
	done    chan error
	client  *api.Client
	base    string
	key     *binance.Key
	http    *http.Client // nil: http.DefaultClient
}

func openDoor(ctx context.Context, c *cluster.Cluster, a *load.Account) (*doorway, error) {
	client, err := c.Client(0)
	if err != nil {
		return nil, err
	}
	catalog, err := api.NewCatalog(client, nil, func(context.Context) (*api.Verifier, error) { return nil, api.ErrConfig })
	if err != nil {
		return nil, err
	}
	delegate := load.NewAccount(uint64(time.Now().UnixNano()), 1_000_000).Key
	owner := client.As(&api.Signer{Account: a.Address, Key: a.Key})
	if err := cluster.MustOK(owner.Do(ctx, &exchange.AddDelegate{Key: delegate.Public(), Scopes: ledger.Read | ledger.Trade})); err != nil {
		return nil, err
	}
	d := &doorway{client: client, done: make(chan error, 1)}
	t := tape.New()
	session, err := gate.Open(ctx, gate.Config{
		Client: client, Signer: &api.Signer{Account: a.Address, Key: delegate}, Catalog: catalog, Proofs: gate.ProveNever, Store: memstore.New(), Tape: t,
	})
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(ctx)
	d.stop = stop
	go func() { d.done <- session.Run(life) }()
	for session.Ready() != nil {
		select {
		case err := <-d.done:
			return nil, err
		case <-time.After(time.Millisecond):
		}
	}
	listed, err := client.Markets(ctx)
	if err != nil {
		return nil, err
	}
	pair, err := listed.Markets[0].Pair()
	if err != nil {
		return nil, err
	}
	d.key = &binance.Key{
		ID: "bench", Kind: binance.HMAC, Secret: []byte("bench"), Account: session, Scopes: binance.Read | binance.Trade,
		Limits: binance.Limits{Weight: 1_000_000, Orders: 1_000_000},
	}
	d.handler = binance.New(binance.Config{Tape: t, Markets: func() []api.Pair { return []api.Pair{pair} }, Keys: doorKeys{d.key}})
	var listening net.ListenConfig
	l, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d.base = "http://" + l.Addr().String()
	d.server = &http.Server{Handler: d.handler, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = d.server.Serve(l) }()
	return d, nil
}

func (d *doorway) close() {
	_ = d.server.Close()
	d.handler.Close()
	d.stop()
	<-d.done
	d.client.Close()
}

// order is the parameters of a small buy order.
func (*doorway) order(tif, price string) url.Values {
	return url.Values{"symbol": {"BTCEUR"}, "side": {"BUY"}, "type": {"LIMIT"}, "timeInForce": {tif}, "quantity": {"0.01"}, "price": {price}}
}

// turns times orders: as commands, and as requests of a client.
func (d *doorway) turns(ctx context.Context, actor *api.Actor, order url.Values) (raw, door []time.Duration, err error) {
	const first = 20 // open connections
	for i := range doorOrders + first {
		begin := time.Now()
		if err := cluster.MustOK(actor.Do(ctx, &exchange.Place{
			Market: 1, Side: market.Buy, Order: market.LimitOrder, TIF: market.IOC, Price: 40_000e8, Quantity: 1e6,
		})); err != nil {
			return nil, nil, err
		}
		middle := time.Now()
		if err := d.post(ctx, order); err != nil {
			return nil, nil, err
		}
		if i >= first {
			raw, door = append(raw, middle.Sub(begin)), append(door, time.Since(middle))
		}
	}
	slices.Sort(raw)
	slices.Sort(door)
	return raw, door, nil
}

// sign is a query with a time and its signature.
func (d *doorway) sign(order url.Values, at time.Time) string {
	order.Set("timestamp", strconv.FormatInt(at.UnixMilli(), 10))
	query := order.Encode()
	mac := hmac.New(sha256.New, d.key.Secret)
	mac.Write([]byte(query))
	return query + "&signature=" + hex.EncodeToString(mac.Sum(nil))
}

// post sends one order as a client does.
func (d *doorway) post(ctx context.Context, order url.Values) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base+"/api/v3/order?"+d.sign(order, time.Now()), nil)
	if err != nil {
		return err
	}
	r.Header.Set("X-MBX-APIKEY", d.key.ID)
	client := d.http
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var placed struct {
		ID int64 `json:"orderId"`
	}
	if err := json.Unmarshal(data, &placed); err != nil || placed.ID == 0 {
		return fmt.Errorf("status %d: %s", resp.StatusCode, data)
	}
	return nil
}
