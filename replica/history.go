package replica

import (
	"encoding/binary"
	"iter"
	"slices"
	"sort"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/identity"
	"souk/store"
)

// Trade is a past trade, and where it stands in the results of its block.
type Trade struct {
	exchange.Trade
	Index uint32 // for ProveResult
}

// Fill is one side of a trade, for the account that had it.
type Fill struct {
	Trade    market.TradeID
	Market   market.ID
	Order    market.OrderID
	Side     market.Side
	Maker    bool // the order waited in the book
	Inner    bool // from the inner cross, where neither order did
	Price    asset.Price
	Quantity asset.Amount // base units
	Value    asset.Amount // quote units, paid by a buyer, got by a seller before the fee
	Fee      asset.Amount // in base units for a buyer, in quote units for a seller
	Height   uint64
	Time     uint64
	Index    uint32 // of the trade in the results of its block, for ProveResult
}

// Cursor is a trade from which a history is read on. The zero Cursor is the newest.
type Cursor struct {
	Height uint64
	Time   uint64 // of the block at Height
	Trade  market.TradeID
}

// Cursor is for going on behind this trade.
func (t *Trade) Cursor() Cursor { return Cursor{t.Height, t.Time, t.ID} }

// Cursor is for going on behind this fill.
func (f *Fill) Cursor() Cursor { return Cursor{f.Height, f.Time, f.Trade} }

// includes tells whether a trade is older than the cursor.
func (c Cursor) includes(height uint64, id market.TradeID) bool {
	return c.Height == 0 || height < c.Height || height == c.Height && id < c.Trade
}

// trades yields the trades of the block by number.
func (rec *record) trades(yield func(Trade) bool) {
	all := rec.result.Results
	for i := rec.firstTrade(); i < rec.firstAuction(); i++ {
		t, err := exchange.ParseTrade(all[i])
		if err != nil {
			panic("replica: the exchange wrote a trade that it cannot read") //nolint:forbidigo // broken invariant
		}
		if !yield(Trade{t, uint32(i)}) {
			return
		}
	}
}

// firstTrade is where the trades begin in the results, and firstAuction where they end
// and the auctions begin (K-9).
func (rec *record) firstTrade() int   { return rec.behind(entryReceipt) }
func (rec *record) firstAuction() int { return rec.behind(entryTrade) }

// behind is where the entries of a kind, and those of the kinds before it, end.
func (rec *record) behind(kind byte) int {
	return sort.Search(len(rec.result.Results), func(i int) bool { return rec.result.Results[i][0] > kind })
}

// fills yields both sides of the block's trades by number.
func (rec *record) fills(yield func(identity.Address, Fill) bool) {
	at := rec.firstTrade()
	for i := range rec.result.Events {
		e := &rec.result.Events[i]
		if e.Kind != exchange.EventTrade {
			continue
		}
		buy, sell := rec.sides(e, at)
		at++
		if !yield(e.Account, buy) || !yield(e.Other, sell) {
			return
		}
	}
}

// sides are the two fills of a trade, which stands at an index in the results.
func (rec *record) sides(e *exchange.Event, at int) (buy, sell Fill) {
	f := e.Fill
	buy = Fill{
		Trade: f.Trade, Market: f.Market, Inner: f.Inner, Price: f.Price, Quantity: f.Quantity,
		Height: rec.position.Height, Time: rec.result.Time, Index: uint32(at),
	}
	sell = buy
	buy.Side, buy.Order, buy.Value, buy.Fee = market.Buy, f.Maker, f.BuyerPaid, f.BuyerFee
	sell.Side, sell.Order, sell.Value, sell.Fee = market.Sell, f.Maker, f.SellerGot, f.SellerFee
	if f.TakerSide == market.Buy {
		buy.Order, sell.Maker = f.Taker, !f.Inner
	} else {
		sell.Order, buy.Maker = f.Taker, !f.Inner
	}
	return buy, sell
}

// Trades yields a market's trades that are older than a cursor, newest first, as
// far back as this server keeps them. An error ends it.
func (r *Replica) Trades(id market.ID, before Cursor) iter.Seq2[Trade, error] {
	of := func(all iter.Seq[Trade]) (list []Trade) {
		for t := range all {
			if t.Market == id && before.includes(t.Height, t.ID) {
				list = append(list, t)
			}
		}
		return list
	}
	return func(yield func(Trade, error) bool) {
		h := history{r: r, kind: keyTrades, owner: binary.BigEndian.AppendUint32(nil, uint32(id)), before: before}
		backwards(&h, yield, func(rec *record) []Trade { return of(rec.trades) }, func(value []byte) ([]Trade, error) {
			all, err := parseTrades(value)
			return of(slices.Values(all)), err
		})
	}
}

// Auction is what the prices of a market's trades in a block come from (M-90).
type Auction struct {
	exchange.Auction
	Index uint32 // in the results of its block, for ProveResult
}

// Auction looks for the auction of a market in the block at height. It answers false if
// nothing was traded there, and ErrPruned if this server does not have the block's results.
func (r *Replica) Auction(id market.ID, height uint64) (Auction, bool, error) {
	_, _, _, entries, err := r.results(height)
	if err != nil {
		return Auction{}, false, err
	}
	for i, e := range slices.Backward(entries) {
		if e[0] != entryAuction {
			break
		}
		a, err := exchange.ParseAuction(e)
		if err != nil {
			return Auction{}, false, errValue
		}
		if a.Market == id {
			return Auction{a, uint32(i)}, true, nil
		}
	}
	return Auction{}, false, nil
}

// Fills yields an account's fills that are older than a cursor, newest first, as
// far back as this server keeps them. An error ends it. Of a trade with itself,
// which the market prevents, it would yield both sides.
func (r *Replica) Fills(account identity.Address, before Cursor) iter.Seq2[Fill, error] {
	return func(yield func(Fill, error) bool) {
		h := history{r: r, kind: keyFills, owner: account[:], before: before}
		recent := func(rec *record) (list []Fill) {
			for owner, f := range rec.fills {
				if owner == account && before.includes(f.Height, f.Trade) {
					list = append(list, f)
				}
			}
			return list
		}
		backwards(&h, yield, recent, func(value []byte) ([]Fill, error) {
			all, err := parseFills(value)
			return slices.DeleteFunc(all, func(f Fill) bool { return !before.includes(f.Height, f.Trade) }), err
		})
	}
}

// history reads backwards what keys of kind || inverted day || owner || inverted
// height hold.
type history struct {
	r      *Replica
	kind   byte
	owner  []byte
	before Cursor
}

// backwards yields the blocks' entries newest first: those of blocks in memory as
// recent lists them, then those of stored ones as parse does. Both list what is
// older than the cursor only, oldest first.
func backwards[T any](h *history, yield func(T, error) bool, recent func(*record) []T, parse func([]byte) ([]T, error)) {
	visit := func(list []T) bool {
		for _, t := range slices.Backward(list) {
			if !yield(t, nil) {
				return false
			}
		}
		return true
	}
	records := h.r.writer.pending()
	limit := h.before.Height // only heights up to it
	if limit == 0 {
		limit = ^uint64(0)
	}
	for _, rec := range slices.Backward(records) {
		if rec.result.Active && !visit(recent(rec)) {
			return
		}
	}
	if len(records) > 0 {
		limit = min(limit, records[0].position.Height-1)
	}
	err := h.stored(limit, func(value []byte) (bool, error) {
		list, err := parse(value)
		return err == nil && visit(list), err
	})
	if err != nil {
		var none T
		yield(none, err)
	}
}

// stored calls visit for the values of heights up to limit, newest first.
func (h *history) stored(limit uint64, visit func(value []byte) (more bool, err error)) error {
	next := []byte{h.kind} // where to look for the next day
	if h.before.Height > 0 {
		next = dayKey(h.kind, day(h.before.Time))
	}
	for more := true; more; {
		d, found, err := h.nextDay(next)
		if err != nil || !found {
			return err
		}
		prefix := append(dayKey(h.kind, d), h.owner...)
		var failed error
		err = h.r.config.Store.Scan(binary.BigEndian.AppendUint64(slices.Clone(prefix), ^limit), store.PrefixEnd(prefix), func(_, value []byte) bool {
			more, failed = visit(value)
			return more
		})
		if err != nil {
			return err
		}
		if failed != nil {
			return failed
		}
		if d == 0 {
			return nil
		}
		next = dayKey(h.kind, d-1)
	}
	return nil
}

// nextDay is the newest day that has keys from a key on.
func (h *history) nextDay(from []byte) (d uint32, found bool, err error) {
	malformed := false
	err = h.r.config.Store.Scan(from, []byte{h.kind + 1}, func(key, _ []byte) bool {
		if malformed = len(key) < len(dayKey(0, 0)); !malformed {
			d, found = ^binary.BigEndian.Uint32(key[1:]), true
		}
		return false
	})
	if err == nil && malformed {
		err = errValue
	}
	return d, found, err
}
