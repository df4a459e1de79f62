package exchange

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/merkle"
)

// countFill adds a fill to the receipts of the orders that this block placed.
func (w *blockWork) countFill(f *market.Fill) {
	buy, sell := f.Maker, f.Taker
	if f.TakerSide == market.Buy {
		buy, sell = sell, buy
	}
	if r := w.receiptOf(buy); r != nil {
		r.Filled += f.Quantity
		r.Cost += f.BuyerPaid
		r.Fee += f.BuyerFee
	}
	if r := w.receiptOf(sell); r != nil {
		r.Filled += f.Quantity
		r.Cost += f.SellerGot
		r.Fee += f.SellerFee
	}
}

// receiptOf is the receipt of the command that placed an order, if it was in this block.
func (w *blockWork) receiptOf(id market.OrderID) *Receipt {
	if len(w.placed) == 0 || id < w.firstOrder {
		return nil
	}
	return &w.res.Receipts[w.tasks[w.placed[id-w.firstOrder]].at]
}

// report completes the receipts and makes the result list (K-9).
func (w *blockWork) report() {
	for i, task := range w.placed {
		id := w.firstOrder + market.OrderID(i)
		if o, ok := w.s.markets.Order(id); ok && w.tasks[task].order == id {
			w.receiptOf(id).Status = o.Status
		}
	}
	buf := make([]byte, 0, len(w.tasks)*receiptSize+len(w.out.Fills)*tradeSize+len(w.out.Auctions)*auctionSize)
	w.res.Results = make([][]byte, 0, len(w.tasks)+len(w.out.Fills)+len(w.out.Auctions))
	leaf := func(from int) { w.res.Results = append(w.res.Results, buf[from:len(buf):len(buf)]) }
	var last *Receipt
	for i := range w.tasks {
		t := &w.tasks[i]
		r := &w.res.Receipts[t.at]
		if t.same {
			*r = *last
			continue
		}
		r.ID, r.Code, r.Height, r.Time, r.Number = t.cmd.ID, t.code, w.in.Height, w.now, t.number
		from := len(buf)
		buf = r.Append(buf)
		leaf(from)
		last = r
	}
	for i := range w.out.Fills {
		from := len(buf)
		tr := w.trade(&w.out.Fills[i])
		buf = tr.Append(buf)
		leaf(from)
	}
	for i := range w.out.Auctions {
		from := len(buf)
		a := Auction{Auction: w.out.Auctions[i], Height: w.in.Height, Time: w.now}
		buf = a.Append(buf)
		leaf(from)
	}
	w.s.results = merkle.Root(w.res.Results)
	w.s.scratch.placed = w.placed
}

func (w *blockWork) trade(f *market.Fill) Trade {
	return Trade{
		ID: f.Trade, Market: f.Market, Price: f.Price, Quantity: f.Quantity, Maker: f.Maker, Taker: f.Taker,
		Taking: f.TakerSide, Inner: f.Inner, Height: w.in.Height, Time: w.now,
	}
}

// commitLeaves brings the tree up to date and reports what changed.
func (s *State) commitLeaves(res *Result) {
	changes := make([]merkle.Change, 0, len(s.scratch.changes))
	add := func(key merkle.Key, value []byte) { changes = append(changes, merkle.Change{Key: key, Value: value}) }
	if s.ticked {
		s.ticked = false
		add(ClockKey(), s.clockLeaf())
	}
	s.ledger.Changes(add)
	s.markets.Changes(add)
	s.escrows.Changes(add)
	s.roster.Changes(add)
	if s.banks != nil {
		s.banks.Changes(add)
	}
	sortChanges(changes)
	s.tree.Update(changes)
	s.scratch.changes = changes[:0:0]
	res.Changes, res.Root = changes, s.tree.Root()
	res.Validators = s.roster.ValidatorUpdates()
}

// changeKey sorts most pairs of changes by one comparison.
type changeKey struct {
	prefix uint64
	at     int32
}

func sortChanges(changes []merkle.Change) {
	keys := make([]changeKey, len(changes))
	for i := range changes {
		keys[i] = changeKey{binary.BigEndian.Uint64(changes[i].Key[:8]), int32(i)}
	}
	slices.SortFunc(keys, func(x, y changeKey) int {
		if x.prefix != y.prefix {
			return cmp.Compare(x.prefix, y.prefix)
		}
		return bytes.Compare(changes[x.at].Key[:], changes[y.at].Key[:])
	})
	sorted := make([]merkle.Change, len(changes))
	for i, k := range keys {
		sorted[i] = changes[k.at]
	}
	copy(changes, sorted)
}

func sortValidators(all []roster.Validator) {
	slices.SortFunc(all, func(a, b roster.Validator) int { return bytes.Compare(a.Key[:], b.Key[:]) })
}

// sortedValues are a map's values in an order that does not depend on the map.
func sortedValues[K comparable, V cmp.Ordered](m map[K]V) []V {
	return slices.Sorted(maps.Values(m))
}
