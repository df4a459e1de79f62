package tape_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"souk/archive"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/internal/bulk"
	"souk/tape"
)

const whole = 1 << 30

// depth is a market's book as the state has it.
func depth(s *exchange.State, m market.ID) (bids, asks []tape.Level) {
	for _, l := range s.Markets().Depth(nil, m, market.Buy, whole) {
		bids = append(bids, tape.Level{Price: l.Price, Quantity: l.Quantity})
	}
	for _, l := range s.Markets().Depth(nil, m, market.Sell, whole) {
		asks = append(asks, tape.Level{Price: l.Price, Quantity: l.Quantity})
	}
	return bids, asks
}

// touched is what a block did to books and its trades, as a server writes it down: for
// every price at which something happened, what is there now.
func touched(s *exchange.State, res *exchange.Result) (levels []archive.Level, trades []exchange.Trade) {
	type place struct {
		m     market.ID
		side  market.Side
		price asset.Price
	}
	var places []place
	for i := range res.Events {
		e := &res.Events[i]
		if e.Order != nil {
			places = append(places, place{e.Order.Market, e.Order.Side, e.Order.Price})
		}
		if f := e.Fill; f != nil {
			trades = append(trades, exchange.Trade{
				ID: f.Trade, Market: f.Market, Price: f.Price, Quantity: f.Quantity, Maker: f.Maker, Taker: f.Taker,
				Taking: f.TakerSide, Inner: f.Inner, Height: res.Height, Time: res.Time,
			})
			places = append(places, place{f.Market, market.Buy, f.Price}, place{f.Market, market.Sell, f.Price})
			for _, id := range []market.OrderID{f.Maker, f.Taker} {
				if o, ok := s.Markets().Order(id); ok {
					places = append(places, place{o.Market, o.Side, o.Price})
				}
			}
		}
	}
	now := map[place]asset.Amount{}
	for _, m := range s.Markets().Markets(nil) {
		for _, side := range []market.Side{market.Buy, market.Sell} {
			for _, l := range s.Markets().Depth(nil, m.ID, side, whole) {
				now[place{m.ID, side, l.Price}] = l.Quantity
			}
		}
	}
	done := map[place]bool{}
	for _, p := range places {
		if !done[p] {
			done[p] = true
			levels = append(levels, archive.Level{Market: p.m, Side: p.side, Price: p.price, Quantity: now[p]})
		}
	}
	return levels, trades
}

// shadow is a book that is kept as a client keeps it: a snapshot, then changes (N-30).
type shadow struct {
	height     uint64
	bids, asks map[asset.Price]asset.Amount
	begun      bool
}

func (s *shadow) take(t *testing.T, c *tape.Change) {
	t.Helper()
	switch {
	case c.Last == 0 || c.Last <= s.height && !s.begun:
		return
	case !s.begun && (c.First > s.height+1 || c.Last <= s.height), s.begun && c.First != s.height+1:
		t.Fatalf("change from %d to %d after %d", c.First, c.Last, s.height)
	}
	s.begun, s.height = true, c.Last
	for _, l := range c.Bids {
		set(s.bids, l)
	}
	for _, l := range c.Asks {
		set(s.asks, l)
	}
}

func set(side map[asset.Price]asset.Amount, l tape.Level) {
	if l.Quantity == 0 {
		delete(side, l.Price)
	} else {
		side[l.Price] = l.Quantity
	}
}

func (s *shadow) equals(t *testing.T, bids, asks []tape.Level) {
	t.Helper()
	for _, x := range []struct {
		have map[asset.Price]asset.Amount
		want []tape.Level
	}{{s.bids, bids}, {s.asks, asks}} {
		if len(x.have) != len(x.want) {
			t.Fatalf("%d levels, want %d", len(x.have), len(x.want))
		}
		for _, l := range x.want {
			if x.have[l.Price] != l.Quantity {
				t.Fatalf("at %d there are %d, want %d", l.Price, x.have[l.Price], l.Quantity)
			}
		}
	}
}

func snapshot(tp *tape.Tape, m market.ID) *shadow {
	b := tp.Book(m, whole)
	s := &shadow{height: b.Height, bids: map[asset.Price]asset.Amount{}, asks: map[asset.Price]asset.Amount{}}
	for _, l := range b.Bids {
		set(s.bids, l)
	}
	for _, l := range b.Asks {
		set(s.asks, l)
	}
	return s
}

// TestBooks lets random commands into blocks. The tape's books are those of the state
// after each block, and so are those of a client that began at some time with a snapshot
// (N-30), also when blocks were missed and books restored.
func TestBooks(t *testing.T) {
	t.Parallel()
	for seed := range bulk.Count(10) {
		w := exchangetest.New(4)
		random := exchangetest.NewRandom(w, 8, uint64(seed))
		tp := tape.New()
		follower := tp.Follow()
		clients := map[market.ID]*shadow{1: snapshot(tp, 1), 2: snapshot(tp, 2)}
		trades := 0
		for n := range 150 {
			res := w.Block(random.Block(12)...)
			levels, done := touched(w.State, res)
			trades += len(done)
			if missed := n%40 == 30; missed {
				for m := range clients {
					b := tape.Book{Height: res.Height, Time: res.Time}
					b.Bids, b.Asks = depth(w.State, m)
					if err := tp.Restore(m, &b, 0); err != nil {
						t.Fatal(err)
					}
				}
			} else if err := tp.Apply(res.Height, res.Time, levels, done); err != nil {
				t.Fatal(err)
			}
			drain(t, follower, func(c *tape.Change) { clients[c.Market].take(t, c) })
			for m, c := range clients {
				bids, asks := depth(w.State, m)
				b := tp.Book(m, whole)
				if d := cmp.Diff(bids, b.Bids); d != "" {
					t.Fatal(d)
				}
				if d := cmp.Diff(asks, b.Asks); d != "" {
					t.Fatal(d)
				}
				c.equals(t, bids, asks)
				if n%17 == 0 {
					clients[m] = snapshot(tp, m)
				}
			}
		}
		if trades < 100 {
			t.Fatalf("only %d trades", trades)
		}
	}
}

func drain(t *testing.T, f *tape.Follower, take func(*tape.Change)) {
	t.Helper()
	for {
		select {
		case <-f.More():
		default:
			return
		}
		u, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range u.Changes {
			take(&u.Changes[i])
		}
	}
}

// TestSide changes levels at random and compares with a map.
func TestSide(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tp := tape.New()
		naive := map[asset.Price]asset.Amount{}
		most := rapid.IntRange(1, 2_000).Draw(t, "prices")
		for h := range rapid.IntRange(1, 30).Draw(t, "blocks") {
			var levels []archive.Level
			for range rapid.IntRange(1, 200).Draw(t, "changes") {
				l := archive.Level{
					Market: 1, Side: market.Sell, Price: asset.Price(rapid.IntRange(1, most).Draw(t, "price")),
					Quantity: asset.Amount(rapid.IntRange(0, 2).Draw(t, "quantity")),
				}
				levels = append(levels, l)
				set(naive, tape.Level{Price: l.Price, Quantity: l.Quantity})
			}
			if err := tp.Apply(uint64(h+1), uint64(h+1), levels, nil); err != nil {
				t.Fatal(err)
			}
		}
		asks := tp.Book(1, whole).Asks
		if len(asks) != len(naive) {
			t.Fatalf("%d levels, want %d", len(asks), len(naive))
		}
		for i, l := range asks {
			if naive[l.Price] != l.Quantity || i > 0 && asks[i-1].Price >= l.Price {
				t.Fatalf("level %d is %v", i, l)
			}
		}
	})
}

func TestBehind(t *testing.T) {
	t.Parallel()
	tp := tape.New()
	slow := tp.Follow()
	for h := range uint64(5_000) {
		if err := tp.Apply(h+1, h, []archive.Level{{Market: 1, Side: market.Buy, Price: 1, Quantity: asset.Amount(h + 1)}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := slow.Next(t.Context()); !errors.Is(err, tape.ErrBehind) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tp.Follow().Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := tp.Apply(5_000, 1, nil, nil); !errors.Is(err, tape.ErrOrder) {
		t.Fatal(err)
	}
	if err := tp.Restore(1, &tape.Book{Height: 4_999}, 0); !errors.Is(err, tape.ErrOrder) {
		t.Fatal(err)
	}
}
