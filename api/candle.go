package api

import (
	"context"
	"net/url"
	"strconv"
)

// Candles are what was traded in a market, time by time, oldest first. Times in which
// nothing was traded have candles too, without volume, at the price before.
type Candles struct {
	At
	Market   uint32   `json:"market"`
	Symbol   string   `json:"symbol"`
	Interval string   `json:"interval" enum:"1m,5m,15m,1h,4h,1d,1w"`
	Candles  []Candle `json:"candles" nullable:"false" doc:"By time."`
}

// Candle is what was traded in a time. The newest one goes on until its time is over.
type Candle struct {
	Start  uint64 `json:"start" doc:"ms"`
	Open   string `json:"open"`
	High   string `json:"high"`
	Low    string `json:"low"`
	Close  string `json:"close"`
	Volume string `json:"volume" doc:"In the base asset."`
	Value  string `json:"value" doc:"In the quote asset: the sum of prices times quantities."`
	Trades uint64 `json:"trades"`
}

// Tickers are what markets did in the last 24 hours.
type Tickers struct {
	At
	Tickers []Ticker `json:"tickers" nullable:"false" doc:"By market."`
}

// Ticker is what a market did in the last 24 hours, up to a minute more.
type Ticker struct {
	Market      uint32 `json:"market"`
	Symbol      string `json:"symbol"`
	From        uint64 `json:"from" doc:"ms"`
	To          uint64 `json:"to" doc:"ms"`
	Last        string `json:"last,omitempty" doc:"Price of the last trade, also if that was earlier; absent: there was none."`
	Before      string `json:"before,omitempty" doc:"Last price before this time, or that of its first trade."`
	Open        string `json:"open,omitempty" doc:"As high and low absent if nothing was traded."`
	High        string `json:"high,omitempty"`
	Low         string `json:"low,omitempty"`
	Volume      string `json:"volume" doc:"In the base asset."`
	Value       string `json:"value" doc:"In the quote asset."`
	Trades      uint64 `json:"trades"`
	Bid         string `json:"bid,omitempty" doc:"Best price that somebody buys at; absent: nobody does."`
	BidQuantity string `json:"bid_quantity,omitempty"`
	Ask         string `json:"ask,omitempty" doc:"Best price that somebody sells at; absent: nobody does."`
	AskQuantity string `json:"ask_quantity,omitempty"`
}

// CandleQuery says which candles: of an interval such as 1h; the oldest limit from a time
// on, or if that is zero the newest; up to a time, unless that is zero. Limit zero is the server's choice.
type CandleQuery struct {
	Interval string
	From, To uint64 // ms
	Limit    int
}

// Candles are candles of a market, as a server counts them from its trades.
func (c *Client) Candles(ctx context.Context, market string, q CandleQuery) (*Candles, error) {
	values := url.Values{"interval": {q.Interval}}
	for name, n := range map[string]uint64{"from": q.From, "to": q.To, "limit": uint64(max(q.Limit, 0))} {
		if n != 0 {
			values.Set(name, strconv.FormatUint(n, 10))
		}
	}
	return get[Candles](ctx, c, Prefix+"/candles/"+url.PathEscape(market)+"?"+values.Encode(), nil)
}

// Tickers are what one market did in the last 24 hours, or all if it is empty.
func (c *Client) Tickers(ctx context.Context, market string) (*Tickers, error) {
	return get[Tickers](ctx, c, Prefix+"/ticker"+Page{Market: market}.query(), nil)
}
