package node

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/exchange/market"
	"souk/replica"
	"souk/tape"
	"souk/web"
	"souk/web/binance"
)

// tapeRetry is how long the tape waits for a state, and after an error.
const tapeRetry = 500 * time.Millisecond

// recorder feeds a virtual server's tape with what its blocks do, and answers clients
// written for Binance what needs no key (N-1).
type recorder struct {
	tape   *tape.Tape
	public *binance.Handler
	cancel context.CancelFunc
	done   chan struct{}
}

// record begins to feed a tape.
func record(r *replica.Replica, log *slog.Logger) *recorder {
	ctx, cancel := context.WithCancel(context.Background())
	c := &recorder{tape: tape.New(), cancel: cancel, done: make(chan struct{})}
	c.public = binance.New(binance.Config{
		Tape: c.tape, Markets: func() []api.Pair { return marketsOf(r) }, Orders: func() int { return ordersOf(r) }, Log: log,
		Trusted: func(address string) bool { // a proxy, which has limits of its own
			ip, err := netip.ParseAddr(address)
			return err == nil && ip.Unmap().IsLoopback()
		},
	})
	go c.run(ctx, face{r}, log)
	return c
}

// marketsOf are the markets of the newest state; nil while there is no state.
func marketsOf(r *replica.Replica) (pairs []api.Pair) {
	_ = r.View(func(s *exchange.State) {
		pairs = []api.Pair{}
		for _, m := range s.Markets().Markets(nil) {
			pairs = append(pairs, api.NewPair(m, s.Ledger()))
		}
	})
	return pairs
}

// ordersOf is how many live orders an account may have in a market, in the newest state.
func ordersOf(r *replica.Replica) int {
	most := market.DefaultOrderLimit
	_ = r.View(func(s *exchange.State) { most = int(s.Params().MarketOrders) })
	return most
}

func (c *recorder) run(ctx context.Context, r web.Replica, log *slog.Logger) {
	defer close(c.done)
	for {
		err := web.KeepTape(ctx, r, c.tape)
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, web.ErrNoState) {
			log.WarnContext(ctx, "market data stopped; they begin again", slog.Any("error", err))
		}
		select {
		case <-time.After(tapeRetry):
		case <-ctx.Done():
			return
		}
	}
}

// close ends the streams and stops feeding the tape.
func (c *recorder) close() {
	c.public.Close()
	c.cancel()
	<-c.done
}
