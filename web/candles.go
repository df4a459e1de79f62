package web

import (
	"context"
	"math/big"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/tape"
)

// CandlesInput says which candles.
type CandlesInput struct {
	Market   string `path:"market" maxLength:"32" doc:"Number, or base and quote with a dash." example:"BTC-EUR"`
	Interval string `query:"interval" enum:"1m,5m,15m,1h,4h,1d,1w" default:"1h" doc:"Length of a candle. Days and weeks are those of UTC, weeks begin on Mondays."`
	From     uint64 `query:"from" maximum:"9007199254740991" doc:"Only candles that begin at this time or later, ms."`
	To       uint64 `query:"to" maximum:"9007199254740991" doc:"Only candles that begin at this time or before, ms."`
	Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"500" doc:"The oldest so many if from is given, else the newest."`
}

func (v *virtual) candles(_ context.Context, in *CandlesInput) (*Reply[api.Candles], error) {
	interval, ok := tape.ParseInterval(in.Interval)
	if !ok {
		return nil, api.NewError(api.BadRequest, "query.interval", "Intervals are 1m, 5m, 15m, 1h, 4h, 1d and 1w.")
	}
	if in.From != 0 && in.To != 0 && in.From > in.To {
		return nil, api.NewError(api.BadRequest, "query.to", "The time to which candles are wanted is before that from which.")
	}
	var p api.Pair
	err := v.view(func(s *exchange.State) (err error) {
		p, err = pair(s, "path.market", in.Market)
		return err
	})
	if err != nil {
		return nil, refuse(err)
	}
	at, now, e := v.taped()
	if e != nil {
		return nil, refuse(e)
	}
	r := api.Candles{At: at, Market: uint32(p.ID), Symbol: p.Symbol(), Interval: in.Interval, Candles: []api.Candle{}}
	for _, c := range v.tape.Candles(p.ID, tape.CandleQuery{Interval: interval, Start: in.From, End: in.To, Limit: in.Limit, Now: now}) {
		r.Candles = append(r.Candles, api.Candle{
			Start: c.Start, Open: p.FormatPrice(c.Open), High: p.FormatPrice(c.High), Low: p.FormatPrice(c.Low), Close: p.FormatPrice(c.Close),
			Volume: wideText(c.Volume, 0, p.BaseDecimals), Value: wideText(c.Turnover, p.BaseDecimals, p.QuoteDecimals), Trades: c.Trades,
		})
	}
	return &Reply[api.Candles]{r}, nil
}

// TickersInput says of which market.
type TickersInput struct {
	Market string `query:"market" maxLength:"32" doc:"Number, or base and quote with a dash; absent: all markets." example:"BTC-EUR"`
}

func (v *virtual) tickers(_ context.Context, in *TickersInput) (*Reply[api.Tickers], error) {
	var list []api.Pair
	err := v.view(func(s *exchange.State) error {
		if in.Market != "" {
			p, err := pair(s, "query.market", in.Market)
			list = []api.Pair{p}
			return err
		}
		for _, m := range s.Markets().Markets(nil) {
			list = append(list, api.NewPair(m, s.Ledger()))
		}
		return nil
	})
	if err != nil {
		return nil, refuse(err)
	}
	at, now, e := v.taped()
	if e != nil {
		return nil, refuse(e)
	}
	r := api.Tickers{At: at, Tickers: make([]api.Ticker, len(list))}
	for i := range list {
		k := v.tape.Ticker(list[i].ID, tape.DayWindow, now)
		r.Tickers[i] = tickerValue(&list[i], &k)
	}
	return &Reply[api.Tickers]{r}, nil
}

func tickerValue(p *api.Pair, k *tape.Ticker) api.Ticker {
	r := api.Ticker{
		Market: uint32(p.ID), Symbol: p.Symbol(), From: k.Start, To: k.End, Trades: k.Trades,
		Volume: wideText(k.Volume, 0, p.BaseDecimals), Value: wideText(k.Turnover, p.BaseDecimals, p.QuoteDecimals),
	}
	price := func(to *string, v asset.Price) {
		if v != 0 {
			*to = p.FormatPrice(v)
		}
	}
	price(&r.Last, k.Close)
	price(&r.Before, k.Before)
	if k.Trades > 0 {
		price(&r.Open, k.Open)
		price(&r.High, k.High)
		price(&r.Low, k.Low)
	}
	if k.Bid.Quantity != 0 {
		r.Bid, r.BidQuantity = p.FormatPrice(k.Bid.Price), p.FormatBase(k.Bid.Quantity)
	}
	if k.Ask.Quantity != 0 {
		r.Ask, r.AskQuantity = p.FormatPrice(k.Ask.Price), p.FormatBase(k.Ask.Quantity)
	}
	return r
}

// taped is of which block the tape is, and the time of now; an error if it has not been loaded.
func (v *virtual) taped() (api.At, uint64, *api.Error) {
	if v.tape == nil {
		return api.At{}, 0, api.NewError(api.NotFound, "", "This server keeps no market data. Ask another one, or count trades.")
	}
	height, at := v.tape.Height()
	if height == 0 && len(v.tape.Markets()) == 0 {
		e := api.NewError(api.CatchingUp, "", "This server is still reading old trades. Ask again, or ask another one.")
		e.RetryAfter = time.Second
		return api.At{}, 0, e
	}
	return api.At{Height: height, Time: at}, max(at, uint64(v.server.config.Now().UnixMilli())), nil
}

// wideText writes a sum that may be larger than any amount, divided by 10^down and with
// so many decimals; what is smaller is cut off.
func wideText(w asset.Wide, down, decimals uint8) string {
	n := new(big.Int).SetUint64(w.Hi)
	n.Lsh(n, 64).Add(n, new(big.Int).SetUint64(w.Lo))
	n.Quo(n, new(big.Int).SetUint64(uint64(asset.Unit(down))))
	if decimals == 0 {
		return n.String()
	}
	whole, part := n.QuoRem(n, new(big.Int).SetUint64(uint64(asset.Unit(decimals))), new(big.Int))
	text := part.String()
	for len(text) < int(decimals) {
		text = "0" + text
	}
	return whole.String() + "." + text
}
