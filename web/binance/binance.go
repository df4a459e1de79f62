// Package binance speaks HTTP and WebSocket as clients written for the Binance Spot API
// expect them, so that a trader's bot works here when he changes one URL: REST v3,
// market and user streams, and the WebSocket API. Market data come from a tape, all that
// is private from an Account, clients' keys from Keys.
//
// It decides nothing and keeps nothing: it translates. The rules are
// docs/spec/20-binance.md; comments cite them by number (N-12).
//
// Where to look: the list of requests in endpoints.go, reading and signing of requests in
// call.go, errors in error.go, market data in public.go and ticker.go, orders in place.go
// and orders.go, what they look like in value.go, streams in stream.go, hub.go and
// feed.go, connections in socket.go, the WebSocket API in wsapi.go, limits in limits.go.
//
// This is floor 4: a face.
package binance

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"souk/api"
	"souk/tape"
)

// Config is what a Handler is made of.
type Config struct {
	// Tape has the market data.
	Tape *tape.Tape
	// Markets are the markets as they are now, by number. Where orders are signed, what
	// never changes of them is proven (H-90). It is asked about once in a second. Nil
	// is that they are not known yet, an empty list that there are none.
	Markets func() []api.Pair
	// Orders is how many live orders an account may have in a market now; nil: as many as by
	// default.
	Orders func() int
	// Keys are those of clients; nil: there are none, only what needs no key is served.
	Keys Keys
	// Limits are those of keys that have none of their own, and of addresses; zero
	// fields are defaults.
	Limits Limits
	// Trusted are addresses behind which are many clients, such as this machine's own:
	// what comes from there without a key is not limited.
	Trusted func(address string) bool
	// Log gets what an operator should know; nil is silence.
	Log *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Handler serves the dialect. It may be mounted below any path.
type Handler struct {
	config  Config
	log     *slog.Logger
	limits  *limiter
	replays replays
	list    lister
	hub     hub
	users   users
	life    context.Context //nolint:containedctx // ends with Close, for connections that outlive their requests
	end     context.CancelFunc

	opening sync.Mutex // of work, against Close
	work    sync.WaitGroup
}

// New makes a handler. It must be closed.
func New(c Config) *Handler {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	h := &Handler{config: c, log: c.Log, limits: newLimiter(c.Limits)}
	h.life, h.end = context.WithCancel(context.Background())
	h.list.markets = c.Markets
	h.hub.init(h)
	h.users.init(h)
	return h
}

// Close ends all streams and waits for them.
func (h *Handler) Close() {
	h.opening.Lock()
	h.end()
	h.opening.Unlock()
	h.work.Wait()
}

func (h *Handler) now() uint64 {
	return uint64(max(h.config.Now().UnixMilli(), 0))
}

// Serves tells whether a path is one that a Handler answers.
func (*Handler) Serves(path string) bool {
	for _, first := range []string{"/api/", "/sapi/", "/fapi/", "/dapi/", "/ws/"} {
		if strings.HasPrefix(path, first) {
			return true
		}
	}
	return path == "/ws" || path == "/stream" || path == "/ws-api/v3"
}

// ServeHTTP answers a request for a path that Serves.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if path != "/" {
		path = strings.TrimSuffix(path, "/")
	}
	switch {
	case path == "/ws" || path == "/stream" || strings.HasPrefix(path, "/ws/"):
		h.serveStreams(w, r, path)
	case path == "/ws-api/v3":
		h.serveSocketAPI(w, r)
	default:
		h.serveREST(w, r, path)
	}
}
