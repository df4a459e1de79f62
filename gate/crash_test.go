package gate_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/gate"
	"souk/store/memstore"
	"souk/web/binance"
)

// wire is a connection to servers that loses or changes what they answer to commands.
type wire struct {
	lose atomic.Bool
	lie  atomic.Bool
	sent atomic.Int64 // commands that arrived and whose answer was lost
}

// RoundTrip implements http.RoundTripper.
func (x *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if x.sent.Load() > 0 && x.lose.Load() {
		return nil, errors.New("the line is cut")
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/commands") {
		return resp, err
	}
	switch {
	case x.lose.Load():
		_ = resp.Body.Close()
		x.sent.Add(1)
		return nil, errors.New("the line is cut")
	case x.lie.Load():
		data, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return nil, err
		}
		receipts, err := api.ParseReceipts(data)
		if err != nil {
			return nil, err
		}
		for i := range receipts {
			receipts[i].Filled, receipts[i].Cost, receipts[i].Status = 1e6, 400*asset.Amount(1e8), market.Gone
		}
		data = api.AppendReceipts(nil, receipts)
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	}
	return resp, nil
}

// J-14, J-15: an order whose answer was lost is found by its client order id after the gate was
// ended and started again, and is not sent twice.
func TestLostAnswer(t *testing.T) {
	w := newWorld(t)
	st := memstore.New()
	line := &wire{}
	w.transport = line
	s, stop := w.session(st)
	line.lose.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := s.Place(ctx, buy(40_000, 100, "lost"), false); !errors.Is(err, binance.ErrUndecided) {
		t.Fatalf("an order whose answer was lost: %v", err)
	}
	if line.sent.Load() != 1 {
		t.Fatalf("%d commands arrived, want 1", line.sent.Load())
	}
	stop()
	line.lose.Store(false)
	s, stop = w.session(st)
	defer stop()
	o, err := s.Order(t.Context(), exchange.Target{Client: "lost"})
	if err != nil || !o.Live() || o.Quantity != 100e4 {
		t.Errorf("the order after a restart: %+v, %v", o, err)
	}
	if _, err := s.Place(t.Context(), buy(40_000, 100, "lost"), false); !errors.Is(err, binance.ErrDuplicate) {
		t.Errorf("the order again: %v", err)
	}
	if live, err := s.Orders(t.Context(), &binance.OrderQuery{Live: true}); err != nil || len(live) != 1 {
		t.Errorf("%d live orders, %v, want 1", len(live), err)
	}
}

// J-10, J-11: a receipt that is proven wrong is the end of trust.
func TestLyingServer(t *testing.T) {
	w := newWorld(t)
	line := &wire{}
	w.transport = line
	s, stop := w.session(memstore.New())
	defer stop()
	line.lie.Store(true)
	if _, err := s.Place(t.Context(), buy(40_000, 100, "believed"), false); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); !errors.Is(s.Ready(), gate.ErrLies); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the lie is not found out: %v, %+v", s.Ready(), s.Counts())
		}
	}
	if _, err := s.Place(t.Context(), buy(40_000, 100, "after"), false); !errors.Is(err, gate.ErrLies) {
		t.Errorf("an order after a lie: %v", err)
	}
}

// Receipts of an honest server are proven.
func TestProven(t *testing.T) {
	w := newWorld(t)
	s, stop := w.session(memstore.New())
	defer stop()
	if _, err := s.Place(t.Context(), buy(40_000, 100, ""), false); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); s.Counts().Proven == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%+v", s.Counts())
		}
	}
}

// A follower is told everything once: what was so, then what happened.
func TestFollow(t *testing.T) {
	w := newWorld(t)
	s, stop := w.session(memstore.New())
	defer stop()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	began := make(chan struct{})
	told := make(chan binance.Execution, 16)
	go func() {
		first := true
		for r, err := range s.Follow(ctx) {
			if err != nil {
				return
			}
			if first {
				first = false
				close(began)
			}
			for _, e := range r.Executions {
				told <- e
			}
		}
	}()
	<-began
	placed, err := s.Place(ctx, buy(45_000, 100, "told"), false)
	if err != nil {
		t.Fatal(err)
	}
	w.must(w.bob, sell(45_000, 40, ""))
	if _, err := s.Cancel(ctx, exchange.Target{Order: placed.ID}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []binance.ExecutionKind{binance.Opened, binance.Traded, binance.Closed} {
		select {
		case e := <-told:
			if e.Kind != want || e.Order.ID != placed.ID || (e.Fill != nil) != (want == binance.Traded) {
				t.Errorf("report %d: %+v, want kind %d", i, e, want)
			}
			if want == binance.Closed && (e.Order.Filled != 40e4 || e.Order.Reason != market.Cancelled) {
				t.Errorf("the closed order: %+v", e.Order)
			}
		case <-ctx.Done():
			t.Fatalf("report %d does not come", i)
		}
	}
}
