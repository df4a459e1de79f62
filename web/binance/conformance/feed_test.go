package conformance_test

import (
	"context"
	"strconv"

	"souk/api"
	"souk/archive"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/tape"
)

// feed keeps the tape up to date until the test ends.
func (w *world) feed() {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	after := uint64(0)
	for i := range w.pairs {
		p := &w.pairs[i]
		b, err := w.client.Book(ctx, p.Symbol(), 1_000)
		if err != nil {
			w.Fatal(err)
		}
		book := tape.Book{Height: b.Height, Time: b.Time, Bids: restLevels(p, b.Bids), Asks: restLevels(p, b.Asks)}
		if err := w.tape.Restore(p.ID, &book, p.Last); err != nil {
			w.Fatal(err)
		}
		if after == 0 || b.Height < after {
			after = b.Height
		}
	}
	client := w.connect()
	done := make(chan struct{})
	w.Cleanup(func() {
		cancel()
		<-done
	})
	go func() {
		defer close(done)
		for e, err := range client.Events(ctx, api.EventsRequest{Markets: []string{"all"}, After: strconv.FormatUint(after, 10)}) {
			if err != nil {
				if ctx.Err() == nil {
					w.Errorf("events: %v", err)
				}
				return
			}
			levels, trades := w.block(e)
			if err := w.tape.Apply(e.Height, e.Time, levels, trades); err != nil {
				w.Errorf("tape: %v", err)
			}
		}
	}()
}

func restLevels(p *api.Pair, all []api.Level) (list []tape.Level) {
	for _, l := range all {
		price, quantity := number(p, l.Price, l.Quantity)
		list = append(list, tape.Level{Price: price, Quantity: quantity})
	}
	return list
}

func number(p *api.Pair, price, quantity string) (asset.Price, asset.Amount) {
	a, err := p.ParsePrice(price)
	if err != nil {
		panic(err)
	}
	b, err := p.ParseBase(quantity)
	if err != nil {
		panic(err)
	}
	return a, b
}

// block is what a message says, in ledger units.
func (w *world) block(e *api.BlockEvents) (levels []archive.Level, trades []exchange.Trade) {
	for i := range e.Markets {
		m := &e.Markets[i]
		p := &w.pairs[m.Market-1]
		for side, changes := range map[market.Side][]api.LevelChange{market.Buy: m.Bids, market.Sell: m.Asks} {
			for _, l := range changes {
				price, quantity := number(p, l.Price, l.Quantity)
				levels = append(levels, archive.Level{Market: p.ID, Side: side, Price: price, Quantity: quantity})
			}
		}
		for _, t := range m.Trades {
			price, quantity := number(p, t.Price, t.Quantity)
			taking := market.Buy
			if t.Side == "sell" {
				taking = market.Sell
			}
			trades = append(trades, exchange.Trade{
				ID: market.TradeID(t.ID), Market: p.ID, Price: price, Quantity: quantity, Maker: market.OrderID(t.Maker), Taker: market.OrderID(t.Taker),
				Taking: taking, Inner: t.Inner, Height: t.Height, Time: t.Time,
			})
		}
	}
	return levels, trades
}
