package tape

import (
	"iter"
	"time"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
)

// Interval is the length of candles.
type Interval uint8

// Intervals.
const (
	OneSecond Interval = iota
	OneMinute
	ThreeMinutes
	FiveMinutes
	QuarterHour
	HalfHour
	OneHour
	TwoHours
	FourHours
	SixHours
	EightHours
	TwelveHours
	OneDay
	ThreeDays
	OneWeek
	OneMonth
	intervals
)

// How many candles with trades are kept of a market.
const (
	maxCandles = 1_500
	// maxMinutes is a week of minutes and one more: the longest window of a ticker.
	maxMinutes = 7*24*60 + 1
)

// Milliseconds.
const (
	second = 1_000
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
	week   = 7 * day
	// monday is the first Monday after the beginning of time, on which weeks begin.
	monday = 4 * day
)

var lengths = [intervals]struct {
	name   string
	length uint64 // zero for months
}{
	{"1s", second},
	{"1m", minute},
	{"3m", 3 * minute},
	{"5m", 5 * minute},
	{"15m", 15 * minute},
	{"30m", 30 * minute},
	{"1h", hour},
	{"2h", 2 * hour},
	{"4h", 4 * hour},
	{"6h", 6 * hour},
	{"8h", 8 * hour},
	{"12h", 12 * hour},
	{"1d", day},
	{"3d", 3 * day},
	{"1w", week},
	{"1M", 0},
}

// Intervals are all intervals, the shortest first.
func Intervals() iter.Seq[Interval] {
	return func(yield func(Interval) bool) {
		for i := range intervals {
			if !yield(i) {
				return
			}
		}
	}
}

// ParseInterval reads what String writes.
func ParseInterval(name string) (Interval, bool) {
	for i := range intervals {
		if lengths[i].name == name {
			return i, true
		}
	}
	return 0, false
}

// String is the interval's short name, such as 15m or 1M.
func (i Interval) String() string { return lengths[i].name }

// Start is when the candle began that a time falls into, ms. Days, weeks and months are
// those of UTC, weeks begin on Mondays.
func (i Interval) Start(at uint64) uint64 {
	switch i { //nolint:exhaustive // all others begin at multiples of their length
	case OneWeek:
		if at < monday {
			return 0
		}
		return at - (at-monday)%week
	case OneMonth:
		t := time.UnixMilli(int64(min(at, 1<<52))).UTC()
		return uint64(time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).UnixMilli())
	}
	return at - at%lengths[i].length
}

// Next is when the candle after the one that begins at start begins.
func (i Interval) Next(start uint64) uint64 {
	switch {
	case i == OneMonth:
		return i.Start(start + 31*day)
	case i == OneWeek && start < monday:
		return monday
	}
	return start + lengths[i].length
}

// Candle is what was traded in a time.
type Candle struct {
	Start                  uint64 // ms
	Open, High, Low, Close asset.Price
	Volume                 asset.Wide // base units
	Turnover               asset.Wide // sum of price times base units: quote units times 10^(base decimals)
	TakerVolume            asset.Wide // of Volume, where the taker bought
	TakerTurnover          asset.Wide
	Trades                 uint64
	First, Last            market.TradeID // zero: no trades
}

// candleOf is the candle of one trade, whose Start is its time.
func candleOf(t *exchange.Trade) Candle {
	quantity, turnover := asset.Wide{Lo: uint64(t.Quantity)}, asset.Mul(uint64(t.Price), uint64(t.Quantity))
	c := Candle{
		Start: t.Time, Open: t.Price, High: t.Price, Low: t.Price, Close: t.Price,
		Volume: quantity, Turnover: turnover, Trades: 1, First: t.ID, Last: t.ID,
	}
	if t.Taking == market.Buy {
		c.TakerVolume, c.TakerTurnover = quantity, turnover
	}
	return c
}

// join adds a later candle to an earlier one.
func (c *Candle) join(o *Candle) {
	if o.Trades == 0 {
		return
	}
	if c.Trades == 0 {
		start := c.Start
		*c = *o
		c.Start = start
		return
	}
	c.High, c.Low, c.Close, c.Last = max(c.High, o.High), min(c.Low, o.Low), o.Close, o.Last
	c.Volume, c.Turnover = plus(c.Volume, o.Volume), plus(c.Turnover, o.Turnover)
	c.TakerVolume, c.TakerTurnover = plus(c.TakerVolume, o.TakerVolume), plus(c.TakerTurnover, o.TakerTurnover)
	c.Trades += o.Trades
}

// merge adds what was traded later to the candles of one interval.
func merge(candles *ring[Candle], i Interval, o *Candle) {
	start := i.Start(o.Start)
	if n := candles.len(); n > 0 {
		if last := candles.at(n - 1); last.Start >= start {
			last.join(o)
			return
		}
	}
	c := *o
	c.Start = start
	candles.add(c)
}

// Preload gives a market without trades its past: candles of one minute, oldest first.
// False: the market has trades already, or the candles are not in order.
func (t *Tape) Preload(m market.ID, minutes []Candle) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.reel(m)
	if r.candles[OneMinute].len() > 0 {
		return false
	}
	for i := range minutes {
		if minutes[i].Start%minute != 0 || i > 0 && minutes[i].Start <= minutes[i-1].Start {
			return false
		}
	}
	for i := range minutes {
		if minutes[i].Trades == 0 {
			continue
		}
		for length := OneMinute; length < intervals; length++ {
			merge(&r.candles[length], length, &minutes[i])
		}
		r.last = minutes[i].Close
	}
	return true
}

// CandleQuery says which candles are asked for.
type CandleQuery struct {
	Interval Interval
	Start    uint64 // that begin at this time or later, ms; zero: any
	End      uint64 // that begin at this time or before; zero: any
	Limit    int    // at most so many: the oldest if Start is given, else the newest
	Now      uint64 // the newest candle is that of this time
}

// Candles are candles of a market, oldest first, from its first one that is kept. Times in
// which nothing was traded have candles too, without volume, at the price before.
func (t *Tape) Candles(m market.ID, q CandleQuery) []Candle {
	t.mu.RLock()
	defer t.mu.RUnlock()
	r := t.reels[m]
	if r == nil || q.Limit <= 0 {
		return nil
	}
	kept := &r.candles[q.Interval]
	n := kept.len()
	if n == 0 {
		return nil
	}
	end := max(q.Now, kept.at(n-1).Start)
	if q.End != 0 {
		end = min(end, q.End)
	}
	from := max(q.Start, kept.at(0).Start)
	if from > end {
		return nil
	}
	if q.Start == 0 {
		from = max(from, q.Interval.back(end, q.Limit-1))
	} else if s := q.Interval.Start(from); s < from {
		from = q.Interval.Next(s)
	}
	return fill(kept, q.Interval, from, end, q.Limit)
}

// back is the start of the candle that is n before that of a time.
func (i Interval) back(at uint64, n int) uint64 {
	start := i.Start(at)
	if i != OneMonth {
		return start - min(start, uint64(n)*lengths[i].length)
	}
	for ; n > 0 && start > 0; n-- {
		start = i.Start(start - 1)
	}
	return start
}

// fill lists the candles that begin from one time to another, at most limit.
func fill(kept *ring[Candle], i Interval, from, end uint64, limit int) []Candle {
	at, n := 0, kept.len()
	for low, high := 0, n; low < high; at = low { // the first that begins at from or later
		if h := (low + high) / 2; kept.at(h).Start >= from {
			high = h
		} else {
			low = h + 1
		}
	}
	var all []Candle
	for start := from; start <= end && len(all) < limit; start = i.Next(start) {
		if at < n && kept.at(at).Start == start {
			all = append(all, *kept.at(at))
			at++
			continue
		}
		var price asset.Price
		if at > 0 {
			price = kept.at(at - 1).Close
		}
		all = append(all, Candle{Start: start, Open: price, High: price, Low: price, Close: price})
	}
	return all
}
