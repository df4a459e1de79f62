package web

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/tape"
)

// A tape begins with the newest past trades: so many of each market at most.
const tapePast = 100_000

// KeepTape feeds a tape with what a virtual server does, its past first, until ctx is done
// or the replica has no more; it returns why.
func KeepTape(ctx context.Context, r Replica, t *tape.Tape) error {
	for {
		from, err := loadTape(ctx, r, t)
		if err != nil {
			return err
		}
		err = followTape(ctx, r, t, from)
		var gone *GoneError
		if !errors.As(err, &gone) {
			return err
		}
		// The replica began anew from a snapshot: so does the tape, with the books of then.
	}
}

// followTape feeds a tape with blocks from a height on.
func followTape(ctx context.Context, r Replica, t *tape.Tape, from uint64) error {
	for b, err := range r.Follow(ctx, from) {
		if err != nil {
			return err
		}
		var trades []exchange.Trade
		for i := range b.Events {
			if tr, ok := tradeOf(b, &b.Events[i]); ok {
				trades = append(trades, tr)
			}
		}
		if err := t.Apply(b.Height, b.Time, b.Levels, trades); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// loadTape gives a tape the books of now and the trades before, and answers the height to go on from.
func loadTape(ctx context.Context, r Replica, t *tape.Tape) (next uint64, err error) {
	type whole struct {
		id   market.ID
		last asset.Price
		book tape.Book
	}
	var all []whole
	var height, time uint64
	err = r.View(func(s *exchange.State) {
		height, time = s.Height(), s.Time()
		for _, m := range s.Markets().Markets(nil) {
			w := whole{m.ID, m.Last, tape.Book{Height: height, Time: time}}
			for _, l := range s.Markets().Depth(nil, m.ID, market.Buy, s.Markets().Len()) {
				w.book.Bids = append(w.book.Bids, tape.Level{Price: l.Price, Quantity: l.Quantity})
			}
			for _, l := range s.Markets().Depth(nil, m.ID, market.Sell, s.Markets().Len()) {
				w.book.Asks = append(w.book.Asks, tape.Level{Price: l.Price, Quantity: l.Quantity})
			}
			all = append(all, w)
		}
	})
	if err != nil {
		return 0, err
	}
	known, _ := t.Height()
	var past []exchange.Trade
	for i := range all {
		list, err := pastTrades(ctx, r, all[i].id, known, height)
		if err != nil {
			return 0, err
		}
		past = append(past, list...)
	}
	slices.SortFunc(past, func(a, b exchange.Trade) int { return cmp.Or(cmp.Compare(a.Height, b.Height), cmp.Compare(a.ID, b.ID)) })
	for len(past) > 0 {
		n := 1
		for n < len(past) && past[n].Height == past[0].Height {
			n++
		}
		if err := t.Apply(past[0].Height, past[0].Time, nil, past[:n]); err != nil {
			return 0, err
		}
		past = past[n:]
	}
	for i := range all {
		if err := t.Restore(all[i].id, &all[i].book, all[i].last); err != nil {
			return 0, err
		}
	}
	if at, _ := t.Height(); at < height {
		if err := t.Apply(height, time, nil, nil); err != nil {
			return 0, err
		}
	}
	return height + 1, nil
}

// pastTrades are trades of a market after one height and up to another, as many as a tape begins with.
func pastTrades(ctx context.Context, r Replica, id market.ID, after, to uint64) (list []exchange.Trade, err error) {
	for tr, err := range r.Trades(id, Cursor{}) {
		switch {
		case err != nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case tr.Height <= after || len(list) == tapePast:
			return list, nil
		case tr.Height <= to:
			list = append(list, tr.Trade)
		}
	}
	return list, nil
}
