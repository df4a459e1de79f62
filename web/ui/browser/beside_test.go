package browser_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/identity"
	"souk/internal/chainnode"
	"souk/internal/cluster"
)

// request is what a step wants to have done beside the page.
type request struct {
	Do      string // one of the names below
	Address string
	Amount  string
	Price   string
	Side    string
	Memo    string
	Blocks  int
	Server  int
}

// serveBeside does what the steps ask for, on a port of this machine.
func (w *world) serveBeside() {
	w.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var what request
		err := json.NewDecoder(r.Body).Decode(&what)
		answer := ""
		if err == nil {
			ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
			defer cancel()
			answer, err = w.do(ctx, &what)
		}
		if err != nil {
			http.Error(rw, fmt.Sprintf("%s: %v", what.Do, err), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(rw, answer)
	})}
	w.beside = "http://" + l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	w.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

// do does one thing.
func (w *world) do(ctx context.Context, r *request) (string, error) {
	switch r.Do {
	case "pay": // a deposit from outside
		amount, err := asset.Parse(r.Amount, 8)
		if err != nil {
			return "", err
		}
		out, err := w.coins.Network().ParseAddress(r.Address)
		if err != nil {
			return "", err
		}
		at, err := w.coins.Pay(ctx, out, amount)
		return at.Tx.String(), err
	case "mine":
		return "", w.mine(ctx, r.Blocks)
	case "wallet":
		return w.wallet()
	case "received":
		w.mu.Lock()
		out := w.wallets[r.Address]
		w.mu.Unlock()
		var got asset.Amount
		err := w.coins.Miner(func(m *chainnode.Miner) (err error) {
			got, err = m.Received(ctx, out)
			return err
		})
		return asset.Format(got, 8), err
	case "send": // play money, with a message
		to, err := identity.ParseAddress(r.Address)
		if err != nil {
			return "", err
		}
		amount, err := asset.Parse(r.Amount, 8)
		if err != nil {
			return "", err
		}
		return "", w.order(ctx, &exchange.Transfer{To: to, Asset: eur, Amount: amount, Memo: r.Memo})
	case "trade": // the maker takes what somebody offers
		return "", w.take(ctx, r)
	case "kill":
		w.Kill(r.Server)
		return "", nil
	case "restart":
		if err := w.Restart(r.Server); err != nil {
			return "", err
		}
		return "", w.CaughtUp(ctx, r.Server)
	}
	return "", errors.New("nobody knows how to do that")
}

func (w *world) order(ctx context.Context, body exchange.Body) error {
	return cluster.MustOK(w.client.As(w.maker).Do(ctx, body))
}

func (w *world) take(ctx context.Context, r *request) error {
	price, err := asset.Parse(r.Price, 8)
	if err != nil {
		return err
	}
	amount, err := asset.Parse(r.Amount, 8)
	if err != nil {
		return err
	}
	side := market.Buy
	if r.Side == "sell" {
		side = market.Sell
	}
	order := limit(btcEUR, side, asset.Price(price), amount)
	order.TIF = market.IOC
	return w.order(ctx, order)
}
