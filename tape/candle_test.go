package tape_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/tape"
)

func TestIntervals(t *testing.T) {
	t.Parallel()
	at := uint64(time.Date(2026, 11, 21, 13, 47, 12, 0, time.UTC).UnixMilli()) // a Saturday
	for name, want := range map[string]time.Time{
		"1s": time.Date(2026, 11, 21, 13, 47, 12, 0, time.UTC), "15m": time.Date(2026, 11, 21, 13, 45, 0, 0, time.UTC),
		"4h": time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), "1d": time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC),
		"1w": time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC), "1M": time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
	} {
		i, ok := tape.ParseInterval(name)
		if !ok || i.String() != name || i.Start(at) != uint64(want.UnixMilli()) {
			t.Errorf("%s begins at %v", name, time.UnixMilli(int64(i.Start(at))).UTC())
		}
	}
	for i := range tape.Intervals() {
		for start := i.Start(at); start < at+400*86_400_000; {
			next := i.Next(start)
			if next <= start || i.Start(next) != next || i.Start(next-1) != start {
				t.Fatalf("%v: after %d comes %d", i, start, next)
			}
			if start = next; i < tape.OneHour {
				break
			}
		}
	}
	if _, ok := tape.ParseInterval("7m"); ok {
		t.Error("7m is an interval")
	}
}

// naive makes the candles that begin in a range, from all trades.
func naive(trades []exchange.Trade, i tape.Interval, from, to uint64) []tape.Candle {
	var all []tape.Candle
	var price asset.Price
	for _, tr := range trades {
		if tr.Time < from {
			price = tr.Price
		}
	}
	for start := from; start <= to; start = i.Next(start) {
		c := tape.Candle{Start: start, Open: price, High: price, Low: price, Close: price}
		for _, tr := range trades {
			if i.Start(tr.Time) != start {
				continue
			}
			if c.Trades == 0 {
				c.Open, c.High, c.Low, c.First = tr.Price, tr.Price, tr.Price, tr.ID
			}
			c.Trades++
			c.High, c.Low, c.Close, c.Last = max(c.High, tr.Price), min(c.Low, tr.Price), tr.Price, tr.ID
			c.Volume.Lo += uint64(tr.Quantity)
			c.Turnover.Lo += uint64(tr.Quantity) * uint64(tr.Price)
			if tr.Taking == market.Buy {
				c.TakerVolume.Lo += uint64(tr.Quantity)
				c.TakerTurnover.Lo += uint64(tr.Quantity) * uint64(tr.Price)
			}
			price = tr.Price
		}
		all = append(all, c)
	}
	return all
}

// TestCandles compares candles and tickers with what is computed from all trades.
func TestCandles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tp := tape.New()
		now := uint64(time.Date(2026, 2, 27, 0, 0, 0, 0, time.UTC).UnixMilli())
		var trades []exchange.Trade
		for n := range rapid.IntRange(1, 60).Draw(t, "trades") {
			now += rapid.SampledFrom([]uint64{0, 1, 300, 5_000, 70_000, 3_600_000, 40_000_000}).Draw(t, "pause")
			trades = append(trades, exchange.Trade{
				ID: market.TradeID(3*n + 1), Market: 1, Price: asset.Price(rapid.IntRange(1, 50).Draw(t, "price")), Time: now,
				Quantity: asset.Amount(rapid.IntRange(1, 50).Draw(t, "quantity")), Taking: market.Side(rapid.IntRange(1, 2).Draw(t, "side")),
			})
			if err := tp.Apply(uint64(n+1), now, nil, trades[n:]); err != nil {
				t.Fatal(err)
			}
		}
		now += rapid.SampledFrom([]uint64{0, 59_000, 100_000_000}).Draw(t, "later")
		i := tape.Interval(rapid.IntRange(int(tape.OneMinute), int(tape.OneMonth)).Draw(t, "interval"))
		limit := rapid.IntRange(1, 200).Draw(t, "limit")
		want := naive(trades, i, i.Start(trades[0].Time), now)
		newest := want[max(0, len(want)-limit):]
		if d := cmp.Diff(newest, tp.Candles(1, tape.CandleQuery{Interval: i, Limit: limit, Now: now})); d != "" {
			t.Fatalf("%v: %s", i, d)
		}
		at := rapid.IntRange(0, len(want)-1).Draw(t, "from")
		from := want[at:min(len(want), at+limit)]
		if d := cmp.Diff(from, tp.Candles(1, tape.CandleQuery{Interval: i, Start: want[at].Start, Limit: limit, Now: now})); d != "" {
			t.Fatalf("%v from %d: %s", i, at, d)
		}
		window(t, tp, trades, now)
	})
}

func window(t *rapid.T, tp *tape.Tape, trades []exchange.Trade, now uint64) {
	length := uint64(rapid.SampledFrom([]int{60_000, 3_600_000, tape.DayWindow, tape.MaxWindow}).Draw(t, "window"))
	k := tp.Ticker(1, length, now)
	var count, volume uint64
	var first, before asset.Price
	for _, tr := range trades {
		if tr.Time < k.Start {
			before = tr.Price
			continue
		}
		if count == 0 {
			first = tr.Price
		}
		count++
		volume += uint64(tr.Quantity)
	}
	last := trades[len(trades)-1].Price
	if count == 0 {
		first = last
	}
	if before == 0 {
		before = first
	}
	if k.Trades != count || k.Volume.Lo != volume || k.Open != first || k.Close != last || k.Before != before || k.Start > now-length || k.Start+60_000 <= now-length {
		t.Fatalf("%+v, want %d trades of %d, from %d to %d, before %d", k, count, volume, first, last, before)
	}
}

func TestPreload(t *testing.T) {
	t.Parallel()
	tp := tape.New()
	minutes := []tape.Candle{
		{Start: 60_000, Open: 5, High: 9, Low: 4, Close: 6, Volume: asset.Wide{Lo: 10}, Trades: 2, First: 1, Last: 2},
		{Start: 180_000, Open: 6, High: 7, Low: 6, Close: 7, Volume: asset.Wide{Lo: 5}, Trades: 1, First: 3, Last: 3},
	}
	if !tp.Preload(1, minutes) || tp.Preload(1, minutes) || tp.Last(1) != 7 {
		t.Fatal("not taken, or twice")
	}
	got := tp.Candles(1, tape.CandleQuery{Interval: tape.FiveMinutes, Limit: 5, Now: 200_000})
	want := []tape.Candle{{Open: 5, High: 9, Low: 4, Close: 7, Volume: asset.Wide{Lo: 15}, Trades: 3, First: 1, Last: 3}}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
	if tape.New().Preload(1, []tape.Candle{{Start: 61_000}}) {
		t.Fatal("not a minute")
	}
}

func TestTrades(t *testing.T) {
	t.Parallel()
	tp := tape.New()
	var all []exchange.Trade
	for n := range uint64(20_000) {
		all = append(all, exchange.Trade{
			ID: market.TradeID(n + 1), Market: 1, Price: asset.Price(1 + n/3), Quantity: 1, Taker: market.OrderID(n / 5), Time: n, Taking: market.Buy,
		})
	}
	if err := tp.Apply(1, 1, nil, all); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		q           tape.TradeQuery
		first, last market.TradeID
	}{
		{tape.TradeQuery{Limit: 5}, 19_996, 20_000},
		{tape.TradeQuery{From: 1, Limit: 5}, 10_001, 10_005}, // older ones are gone
		{tape.TradeQuery{From: 15_000, Limit: 5}, 15_000, 15_004},
		{tape.TradeQuery{Start: 15_000, End: 15_002, Limit: 5}, 15_001, 15_003},
		{tape.TradeQuery{End: 15_002, Limit: 2}, 15_002, 15_003},
	} {
		got := tp.Trades(1, c.q)
		if len(got) == 0 || got[0].ID != c.first || got[len(got)-1].ID != c.last {
			t.Errorf("%+v: %d trades, %v", c.q, len(got), got)
		}
	}
	// Taker 4 has trades 21 to 25; they are at prices 7, 8 and 9 of trades 19 to 27.
	same := slices.Clone(all[20:25])
	for i := range same {
		same[i].Time = 20
	}
	joined := tape.Aggregates(same)
	if len(joined) != 3 || joined[0].ID != 21 || joined[0].Last != 21 || joined[1].Quantity.Lo != 3 || joined[2].Last != 25 {
		t.Errorf("%+v", joined)
	}
}
