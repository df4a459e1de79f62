package binance

import (
	"encoding/json"

	"souk/exchange"
	"souk/exchange/market"
	"souk/tape"
)

// Most entries in an answer: levels of a depth, and everything else (orders, trades,
// candles).
const (
	maxDepth = 5_000
	maxList  = 1_000
)

// levels writes levels as clients read them: [["price","quantity"], ...].
func (p *pair) levels(all []tape.Level) [][2]string {
	list := make([][2]string, 0, len(all))
	for _, l := range all {
		list = append(list, [2]string{p.price(l.Price), p.base(l.Quantity)})
	}
	return list
}

// depth is a book (N-30).
func depth(c *call) (any, error) {
	p, refused := c.symbol()
	if refused != nil {
		return nil, refused
	}
	limit, refused := c.limit(100, maxDepth)
	if refused != nil {
		return nil, refused
	}
	c.drop("symbolStatus")
	b := c.h.config.Tape.Book(p.ID, limit)
	return struct {
		ID   uint64      `json:"lastUpdateId"`
		Bids [][2]string `json:"bids"`
		Asks [][2]string `json:"asks"`
	}{b.Height, p.levels(b.Bids), p.levels(b.Asks)}, nil
}

type publicTrade struct {
	ID    market.TradeID `json:"id"`
	Price string         `json:"price"`
	Size  string         `json:"qty"`
	Value string         `json:"quoteQty"`
	Time  uint64         `json:"time"`
	Maker bool           `json:"isBuyerMaker"`
	Best  bool           `json:"isBestMatch"`
}

func (p *pair) trades(all []exchange.Trade) []publicTrade {
	list := make([]publicTrade, 0, len(all))
	for i := range all {
		t := &all[i]
		list = append(list, publicTrade{t.ID, p.price(t.Price), p.base(t.Quantity), p.value(t), t.Time, t.Taking == market.Sell, true})
	}
	return list
}

// value is what a trade was worth in the quote asset, rounded down.
func (p *pair) value(t *exchange.Trade) string {
	return p.turnover(turnoverOf(t))
}

func recentTrades(c *call) (any, error) {
	p, refused := c.symbol()
	if refused != nil {
		return nil, refused
	}
	limit, refused := c.limit(500, maxList)
	if refused != nil {
		return nil, refused
	}
	return p.trades(c.h.config.Tape.Trades(p.ID, tape.TradeQuery{Limit: limit})), nil
}

func historicalTrades(c *call) (any, error) {
	p, refused := c.symbol()
	if refused != nil {
		return nil, refused
	}
	limit, refused := c.limit(500, maxList)
	if refused != nil {
		return nil, refused
	}
	from, refused := c.number("fromId")
	if refused != nil {
		return nil, refused
	}
	q := tape.TradeQuery{Limit: limit, From: market.TradeID(from)}
	if c.sent("fromId") && from == 0 {
		q.From = 1
	}
	return p.trades(c.h.config.Tape.Trades(p.ID, q)), nil
}

type aggregate struct {
	ID    market.TradeID `json:"a"`
	Price string         `json:"p"`
	Size  string         `json:"q"`
	First market.TradeID `json:"f"`
	Last  market.TradeID `json:"l"`
	Time  uint64         `json:"T"`
	Maker bool           `json:"m"`
	Best  bool           `json:"M"`
}

func (p *pair) aggregate(a *tape.Aggregate) aggregate {
	return aggregate{a.ID, p.price(a.Price), p.volume(a.Quantity), a.ID, a.Last, a.Time, a.Taking == market.Sell, true}
}

// aggTrades are trades of one taker at one price joined; their id is that of the first.
func aggTrades(c *call) (any, error) {
	p, limit, start, end, refused := c.past()
	if refused != nil {
		return nil, refused
	}
	from, refused := c.number("fromId")
	if refused != nil {
		return nil, refused
	}
	if c.sent("fromId") && (start != 0 || end != 0) {
		return nil, bad(codeCombination, "Combination of optional parameters invalid. Recommendation: fromId or startTime and endTime.")
	}
	q := tape.TradeQuery{From: market.TradeID(from), Start: start, End: end, Limit: tape.MaxTrades}
	if c.sent("fromId") && from == 0 {
		q.From = 1
	}
	all := tape.Aggregates(c.h.config.Tape.Trades(p.ID, q))
	if len(all) > limit {
		if q.From != 0 || q.Start != 0 {
			all = all[:limit]
		} else {
			all = all[len(all)-limit:]
		}
	}
	list := make([]aggregate, 0, len(all))
	for i := range all {
		list = append(list, p.aggregate(&all[i]))
	}
	return list, nil
}

// kline is a candle, which clients read by position.
type kline struct {
	pair   *pair
	candle *tape.Candle
	end    uint64
}

// MarshalJSON writes the twelve positions.
func (k kline) MarshalJSON() ([]byte, error) {
	p, c := k.pair, k.candle
	return json.Marshal([]any{
		c.Start, p.price(c.Open), p.price(c.High), p.price(c.Low), p.price(c.Close), p.volume(c.Volume), k.end,
		p.turnover(c.Turnover), c.Trades, p.volume(c.TakerVolume), p.turnover(c.TakerTurnover), "0",
	})
}

func klines(c *call) (any, error) {
	p, limit, start, end, refused := c.past()
	if refused != nil {
		return nil, refused
	}
	name := c.text("interval")
	if name == "" {
		return nil, missing("interval")
	}
	interval, ok := tape.ParseInterval(name)
	if !ok {
		return nil, bad(codeInterval, "Invalid interval.")
	}
	if _, refused := c.choice("timeZone", "0", "00:00", "+00:00", "0:00"); refused != nil {
		return nil, refused
	}
	all := c.h.config.Tape.Candles(p.ID, tape.CandleQuery{Interval: interval, Start: start, End: end, Limit: limit, Now: c.now})
	list := make([]kline, 0, len(all))
	for i := range all {
		list = append(list, kline{p, &all[i], interval.Next(all[i].Start) - 1})
	}
	return list, nil
}
