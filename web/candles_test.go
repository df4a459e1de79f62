package web_test

import (
	"context"
	"errors"
	"math/big"
	"net/http"
	"slices"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/web"
)

// decimal is a text of money as a number.
func decimal(t *testing.T, s string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%q is no number", s)
	}
	return r
}

// Candles and tickers are what the trades add up to, those from before the server was started
// as well (H-120, H-121).
func TestCandles(t *testing.T) {
	c := newChain(t)
	random := exchangetest.NewRandom(c.world, 6, 3)
	for i := range 200 {
		if i%20 == 0 {
			c.world.Time += 90_000
		}
		c.world.Block(random.Block(6)...)
	}
	now := c.world.Time
	m := c.join(web.Config{Now: func() time.Time { return time.UnixMilli(int64(now)) }})
	m.catchUp(c.blocks[:100])
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	if a := call(t, m.node(), "GET", "/v1/candles/1?interval=1m", nil, nil); a.problem.Code != api.CatchingUp || a.status != http.StatusServiceUnavailable {
		t.Errorf("before it is read: %d %s", a.status, a.body)
	}
	go func() { done <- web.KeepTape(ctx, m, m.tape) }()
	m.catchUp(c.blocks)
	var trades []exchange.Trade
	for tr := range m.Trades(exchangetest.BTCEUR, web.Cursor{}) {
		trades = append(trades, tr.Trade)
	}
	slices.Reverse(trades)
	last := m.log[len(m.log)-1].Height
	for at, _ := m.tape.Height(); at < last; at, _ = m.tape.Height() {
		select {
		case err := <-done:
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
	}
	client := c.client(m)
	for _, interval := range []struct {
		name string
		ms   uint64
	}{{"1m", 60_000}, {"5m", 300_000}, {"1h", 3_600_000}} {
		got, err := client.Candles(within(t, 10*time.Second), "BTC-EUR", api.CandleQuery{Interval: interval.name, Limit: 1000})
		if err != nil || got.Interval != interval.name || got.Symbol != "BTC-EUR" || got.Height != last {
			t.Fatalf("%+v, %v", got, err)
		}
		checkCandles(t, got.Candles, trades, interval.ms)
		if n := len(got.Candles); n > 2 {
			from, to := got.Candles[1].Start, got.Candles[n-2].Start
			part, err := client.Candles(within(t, 10*time.Second), "1", api.CandleQuery{Interval: interval.name, From: from, To: to, Limit: 2})
			if err != nil || !slices.Equal(part.Candles, got.Candles[1:min(3, n-1)]) {
				t.Errorf("from %d to %d: %+v, %v", from, to, part, err)
			}
		}
	}
	all, err := client.Tickers(within(t, 10*time.Second), "")
	if err != nil || len(all.Tickers) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	k := all.Tickers[0]
	book := c.truth[len(c.truth)-1].books[exchangetest.BTCEUR]
	if k.Trades != uint64(len(trades)) || k.Symbol != "BTC-EUR" || k.To != now {
		t.Errorf("%+v", k)
	}
	for _, x := range []struct {
		text string
		want []market.Level
	}{{k.Bid, book[0]}, {k.Ask, book[1]}, {k.Last, []market.Level{{Price: trades[len(trades)-1].Price}}}} {
		if len(x.want) == 0 && x.text != "" || len(x.want) > 0 && (x.text == "" || decimal(t, x.text).Cmp(euros(x.want[0].Price)) != 0) {
			t.Errorf("%q is not the price of %v", x.text, x.want)
		}
	}
	one, err := client.Tickers(within(t, 10*time.Second), "BTC-EUR")
	if err != nil || len(one.Tickers) != 1 || one.Tickers[0] != k {
		t.Errorf("%+v, %v", one, err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// euros is a price as a number.
func euros[T ~uint64](p T) *big.Rat {
	return new(big.Rat).SetFrac(new(big.Int).SetUint64(uint64(p)), big.NewInt(1e8))
}

// checkCandles compares candles with trades, oldest first.
func checkCandles(t *testing.T, got []api.Candle, trades []exchange.Trade, ms uint64) {
	t.Helper()
	before := ""
	for i, c := range got {
		if i > 0 && c.Start != got[i-1].Start+ms || c.Start%ms != 0 {
			t.Fatalf("candle %+v stands behind %+v", c, got[i-1])
		}
		var in []exchange.Trade
		for _, tr := range trades {
			if tr.Time-tr.Time%ms == c.Start {
				in = append(in, tr)
			}
		}
		if len(in) == 0 {
			if c.Open != before || c.Close != before || c.High != before || c.Low != before || c.Trades != 0 || decimal(t, c.Volume).Sign() != 0 {
				t.Errorf("candle %+v of nothing, at %s", c, before)
			}
			continue
		}
		high, low, volume, value := in[0].Price, in[0].Price, new(big.Rat), new(big.Rat)
		for _, tr := range in {
			high, low = max(high, tr.Price), min(low, tr.Price)
			volume.Add(volume, euros(tr.Quantity))
			value.Add(value, new(big.Rat).Mul(euros(tr.Quantity), euros(tr.Price)))
		}
		for _, x := range []struct {
			text string
			want *big.Rat
		}{{c.Open, euros(in[0].Price)}, {c.Close, euros(in[len(in)-1].Price)}, {c.High, euros(high)}, {c.Low, euros(low)}, {c.Volume, volume}} {
			if decimal(t, x.text).Cmp(x.want) != 0 {
				t.Errorf("candle %+v: %s is not %s", c, x.text, x.want.FloatString(8))
			}
		}
		if off := new(big.Rat).Sub(value, decimal(t, c.Value)); off.Sign() < 0 || off.Cmp(big.NewRat(1, 1e8)) >= 0 || c.Trades != uint64(len(in)) {
			t.Errorf("candle %+v: value %s, %d trades", c, value.FloatString(10), len(in))
		}
		before = c.Close
	}
	if len(got) == 0 {
		t.Error("no candles")
	}
}
