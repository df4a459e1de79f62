package tape

import (
	"souk/asset"
	"souk/exchange/market"
)

// Windows of tickers, ms.
const (
	DayWindow = day
	MaxWindow = week
)

// Ticker is what was traded in the time before a moment.
type Ticker struct {
	Candle                 // Start is when the window begins, on a full minute; Close is the last price also if it is older
	End       uint64       // the moment, ms
	Before    asset.Price  // the last price before the window, or Open if that is not known
	LastSize  asset.Amount // base units of the last trade; zero: not known
	Bid, Ask  Level        // the best; zero: nobody
	Untouched bool         // no price is known at all
}

// Ticker is what was traded in a window of at most MaxWindow before now. As its beginning
// is a full minute, it is up to a minute longer.
func (t *Tape) Ticker(m market.ID, window, now uint64) Ticker {
	t.mu.RLock()
	defer t.mu.RUnlock()
	k := Ticker{End: now}
	k.Start = OneMinute.Start(now - min(now, window))
	r := t.reels[m]
	if r == nil {
		k.Untouched = true
		return k
	}
	minutes := &r.candles[OneMinute]
	n := minutes.len()
	from := n
	for from > 0 && minutes.at(from-1).Start >= k.Start {
		from--
	}
	for i := from; i < n; i++ {
		k.join(minutes.at(i))
	}
	if from > 0 {
		k.Before = minutes.at(from - 1).Close
	} else {
		k.Before = k.Open
	}
	if k.Trades == 0 {
		k.Open, k.High, k.Low, k.Close, k.Before = r.last, r.last, r.last, r.last, r.last
	}
	if n := r.trades.len(); n > 0 {
		k.LastSize = r.trades.at(n - 1).Quantity
	}
	k.Bid, k.Ask = r.bids.best(), r.asks.best()
	k.Untouched = r.last == 0
	return k
}

// Mean is the average price by volume; false if nothing was traded.
func (c *Candle) Mean() (asset.Price, bool) {
	if c.Volume.IsZero() {
		return 0, false
	}
	turnover, volume := c.Turnover, c.Volume
	for volume.Hi != 0 { // more than 2^64 units: the last digits do not matter
		volume = asset.Wide{Hi: volume.Hi >> 1, Lo: volume.Lo>>1 | volume.Hi<<63}
		turnover = asset.Wide{Hi: turnover.Hi >> 1, Lo: turnover.Lo>>1 | turnover.Hi<<63}
	}
	p, _, ok := turnover.Div(volume.Lo)
	return asset.Price(p), ok
}
