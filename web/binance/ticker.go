package binance

import (
	"strconv"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/tape"
)

func turnoverOf(t *exchange.Trade) asset.Wide { return asset.Mul(uint64(t.Price), uint64(t.Quantity)) }

// meanMinutes is how many minutes the average price is of.
const meanMinutes = 5

func avgPrice(c *call) (any, error) {
	p, refused := c.symbol()
	if refused != nil {
		return nil, refused
	}
	mean, at := c.h.mean(p, c.now)
	return struct {
		Minutes int    `json:"mins"`
		Price   string `json:"price"`
		Time    uint64 `json:"closeTime"`
	}{meanMinutes, mean, at}, nil
}

// mean is the average price of the last minutes, or the last price.
func (h *Handler) mean(p *pair, now uint64) (price string, at uint64) {
	k := h.config.Tape.Ticker(p.ID, meanMinutes*60_000, now)
	if mean, ok := k.Mean(); ok {
		return p.price(mean), k.End
	}
	return p.price(p.lastOr(k.Close)), k.End
}

// lastOr is a price, or what the market says if there is none.
func (p *pair) lastOr(price asset.Price) asset.Price {
	if price != 0 {
		return price
	}
	return p.Last
}

// miniTicker is the short form of a window's ticker.
type miniTicker struct {
	Symbol string `json:"symbol"`
	Open   string `json:"openPrice"`
	High   string `json:"highPrice"`
	Low    string `json:"lowPrice"`
	Last   string `json:"lastPrice"`
	Volume string `json:"volume"`
	Value  string `json:"quoteVolume"`
	Begin  uint64 `json:"openTime"`
	End    uint64 `json:"closeTime"`
	First  int64  `json:"firstId"`
	LastID int64  `json:"lastId"`
	Count  uint64 `json:"count"`
}

// fullTicker is the long form. Before, sizes and the best prices are of 24 hours only.
type fullTicker struct {
	Symbol  string `json:"symbol"`
	Change  string `json:"priceChange"`
	Percent string `json:"priceChangePercent"`
	Mean    string `json:"weightedAvgPrice"`
	*best
	miniTicker
}

type best struct {
	Before string `json:"prevClosePrice"`
	Size   string `json:"lastQty"`
	Bid    string `json:"bidPrice"`
	BidQty string `json:"bidQty"`
	Ask    string `json:"askPrice"`
	AskQty string `json:"askQty"`
}

func (p *pair) mini(k *tape.Ticker) miniTicker {
	first, last := int64(-1), int64(-1)
	if k.Trades > 0 {
		first, last = int64(k.First), int64(k.Last)
	}
	return miniTicker{
		p.name, p.price(k.Open), p.price(k.High), p.price(k.Low), p.price(k.Close), p.volume(k.Volume), p.turnover(k.Turnover),
		k.Start, k.End, first, last, k.Trades,
	}
}

func (p *pair) full(k *tape.Ticker, day bool) fullTicker {
	mean, ok := k.Mean()
	if !ok {
		mean = k.Close
	}
	f := fullTicker{Symbol: p.name, Change: p.difference(k.Close, k.Open), Percent: percent(k.Close, k.Open), Mean: p.price(mean), miniTicker: p.mini(k)}
	if day {
		f.best = &best{p.price(k.Before), p.base(k.LastSize), p.price(k.Bid.Price), p.base(k.Bid.Quantity), p.price(k.Ask.Price), p.base(k.Ask.Quantity)}
	}
	return f
}

// tickers answers one ticker or a list of them, long or short.
func (c *call) tickers(window uint64, day bool) (any, error) {
	pairs, one, refused := c.symbols()
	if refused != nil {
		return nil, refused
	}
	form, refused := c.choice("type", "FULL", "MINI")
	if refused != nil {
		return nil, refused
	}
	c.drop("symbolStatus")
	list := []any{}
	for _, p := range pairs {
		k := c.h.ticker(p, window, c.now)
		if form == "MINI" {
			list = append(list, p.mini(&k))
		} else {
			list = append(list, p.full(&k, day))
		}
	}
	if one {
		return list[0], nil
	}
	return list, nil
}

func (h *Handler) ticker(p *pair, window, now uint64) tape.Ticker {
	k := h.config.Tape.Ticker(p.ID, window, now)
	if k.Untouched {
		k.Open, k.High, k.Low, k.Close, k.Before = p.Last, p.Last, p.Last, p.Last, p.Last
	}
	return k
}

func dayTicker(c *call) (any, error) { return c.tickers(tape.DayWindow, true) }

// tradingDay is the ticker since midnight, UTC.
func tradingDay(c *call) (any, error) {
	if !c.sent("symbol") && !c.sent("symbols") {
		return nil, missing("symbol")
	}
	if _, refused := c.choice("timeZone", "0", "00:00", "+00:00", "0:00"); refused != nil {
		return nil, refused
	}
	return c.tickers(c.now-tape.OneDay.Start(c.now), false)
}

// windowTicker is the ticker of a window of the client's choice.
func windowTicker(c *call) (any, error) {
	if !c.sent("symbol") && !c.sent("symbols") {
		return nil, missing("symbol")
	}
	window, refused := windowOf(c.text("windowSize"))
	if refused != nil {
		return nil, refused
	}
	return c.tickers(window, false)
}

// windowOf reads 1m to 59m, 1h to 23h, 1d to 7d; empty is a day.
func windowOf(text string) (uint64, *Error) {
	if text == "" {
		return tape.DayWindow, nil
	}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 8)
	if err == nil && n > 0 {
		switch unit := text[len(text)-1]; {
		case unit == 'm' && n < 60:
			return n * 60_000, nil
		case unit == 'h' && n < 24:
			return n * 3_600_000, nil
		case unit == 'd' && n <= 7:
			return n * tape.DayWindow, nil
		}
	}
	return 0, invalid("windowSize")
}

func priceTicker(c *call) (any, error) {
	pairs, one, refused := c.symbols()
	if refused != nil {
		return nil, refused
	}
	c.drop("symbolStatus")
	type ticker struct {
		Symbol string `json:"symbol"`
		Price  string `json:"price"`
	}
	list := []ticker{}
	for _, p := range pairs {
		list = append(list, ticker{p.name, p.price(p.lastOr(c.h.config.Tape.Last(p.ID)))})
	}
	if one {
		return list[0], nil
	}
	return list, nil
}

func bookTicker(c *call) (any, error) {
	pairs, one, refused := c.symbols()
	if refused != nil {
		return nil, refused
	}
	c.drop("symbolStatus")
	type ticker struct {
		Symbol string `json:"symbol"`
		Bid    string `json:"bidPrice"`
		BidQty string `json:"bidQty"`
		Ask    string `json:"askPrice"`
		AskQty string `json:"askQty"`
	}
	list := []ticker{}
	for _, p := range pairs {
		bid, ask, _ := c.h.config.Tape.Best(p.ID)
		list = append(list, ticker{p.name, p.price(bid.Price), p.base(bid.Quantity), p.price(ask.Price), p.base(ask.Quantity)})
	}
	if one {
		return list[0], nil
	}
	return list, nil
}

// reference is the price that the band of a market goes by (M-8).
func (h *Handler) reference(p *pair) asset.Price {
	if last := p.lastOr(h.config.Tape.Last(p.ID)); last != 0 {
		return last
	}
	return p.Reference
}

// side of the book that an order of a side trades with.
func facing(b *tape.Book, s market.Side) []tape.Level {
	if s == market.Buy {
		return b.Asks
	}
	return b.Bids
}
