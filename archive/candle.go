package archive

import (
	"souk/asset"
	"souk/exchange/market"
)

// Candle sums up the trades of a market in one span of time. There is none for a span
// without trades.
type Candle struct {
	Market market.ID
	Span   Span
	Start  uint64 // ms
	Open   asset.Price
	High   asset.Price
	Low    asset.Price
	Close  asset.Price
	Trades uint64
	// Sums may be larger than the largest supply: the same coins trade again and again.
	Base       asset.Wide // quantities
	Quote      asset.Wide // what buyers paid
	TakerBase  asset.Wide // quantities of trades whose taker bought
	TakerQuote asset.Wide // and what those paid
}

// Add adds a trade to a candle; the first one opens it.
func (c *Candle) Add(price asset.Price, quantity, paid asset.Amount, taking market.Side) {
	if c.Trades == 0 {
		c.Open, c.High, c.Low = price, price, price
	}
	c.High, c.Low, c.Close = max(c.High, price), min(c.Low, price), price
	c.Trades++
	c.Base, c.Quote = more(c.Base, quantity), more(c.Quote, paid)
	if taking == market.Buy {
		c.TakerBase, c.TakerQuote = more(c.TakerBase, quantity), more(c.TakerQuote, paid)
	}
}

// more is a sum that cannot be too large: there are fewer than 2^53 trades.
func more(w asset.Wide, a asset.Amount) asset.Wide {
	sum, _ := w.Add(asset.Wide{Lo: uint64(a)})
	return sum
}
