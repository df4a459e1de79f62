// Package tape keeps the public market data of one virtual server in memory: order books
// by price, the newest trades, candles, and what tickers say. It is fed with what each
// committed block did, and tells those who follow it, block by block, what changed, none
// left out and none twice. Its memory is bounded, whatever happens in the markets.
//
// It reads no files, asks no servers and knows no accounts; it has no clock: times are
// those of blocks, or arguments. Prices and amounts are ledger units. The sequence of
// books is docs/spec/20-binance.md (N-30).
//
// This is floor 3: a worker, although it has no goroutine of its own.
package tape

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"souk/archive"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
)

// ErrOrder is returned by Apply for a block that is not newer than the one before, and by
// Restore for a book that is older than what the tape has of the market.
var ErrOrder = errors.New("not newer than what the tape has")

// MaxTrades is how many of the newest trades of a market are kept.
const MaxTrades = 10_000

// Tape is the market data of one virtual server. It may be used by many goroutines; what
// it answers are copies, or must not be changed.
type Tape struct {
	mu     sync.RWMutex
	height uint64
	time   uint64
	reels  map[market.ID]*reel
	feed   feed
}

// reel is what is kept of one market.
type reel struct {
	height     uint64 // of the restored book: blocks up to it are in it
	emitted    uint64 // height of the last change of the book
	bids, asks side
	last       asset.Price // 0: not known
	trades     ring[exchange.Trade]
	candles    [intervals]ring[Candle]
}

// New makes an empty tape.
func New() *Tape {
	t := &Tape{reels: map[market.ID]*reel{}}
	t.feed.init()
	return t
}

// Level is one price of a book.
type Level struct {
	Price    asset.Price
	Quantity asset.Amount // base units; in a change, zero: nobody is there any more
}

// Book is the levels of a market, best first.
type Book struct {
	Height     uint64 // the block after which the book is so
	Time       uint64 // of the newest block that the tape has, ms
	Bids, Asks []Level
}

// Restore puts a whole book in the place of what the tape has of a market: its first one,
// or a new one after blocks were missed. last is the price of the market's last trade, or
// zero. Blocks up to height count as executed in the book. To those who follow, the
// difference is one more change.
func (t *Tape) Restore(m market.ID, b *Book, last asset.Price) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.reel(m)
	if b.Height < max(r.height, r.emitted) {
		return fmt.Errorf("market %d, book at %d: %w", m, b.Height, ErrOrder)
	}
	c := Change{Market: m, Bids: r.bids.difference(b.Bids), Asks: r.asks.difference(b.Asks)}
	r.height = b.Height
	if last != 0 {
		r.last = last
	}
	if len(c.Bids)+len(c.Asks) == 0 {
		return nil
	}
	// What is one block must be one change: a book that was seen at this height already
	// and is another one now was wrong.
	if r.emitted == b.Height && b.Height != 0 {
		return fmt.Errorf("market %d, another book at %d: %w", m, b.Height, ErrOrder)
	}
	r.change(&c, b.Height)
	t.time = max(t.time, b.Time)
	t.feed.publish(&Update{Height: b.Height, Time: b.Time, Changes: []Change{c}})
	return nil
}

// Apply takes what a block did: levels as they are after it, and its trades in order.
// Heights ascend, and may have gaps. Levels of markets whose book was restored at this
// height or above are in that book already, and so are trades that the tape has.
func (t *Tape) Apply(height, time uint64, levels []archive.Level, trades []exchange.Trade) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if height <= t.height {
		return fmt.Errorf("block %d after %d: %w", height, t.height, ErrOrder)
	}
	u := &Update{Height: height, Time: time}
	t.height, t.time = height, max(t.time, time)
	for i := range levels {
		l := &levels[i]
		if t.reel(l.Market).height >= height {
			continue
		}
		c := u.of(l.Market)
		if l.Side == market.Buy {
			c.Bids = append(c.Bids, Level{l.Price, l.Quantity})
		} else {
			c.Asks = append(c.Asks, Level{l.Price, l.Quantity})
		}
	}
	for i := range trades {
		if r := t.reel(trades[i].Market); r.trade(&trades[i]) {
			c := u.of(trades[i].Market)
			c.Trades = append(c.Trades, trades[i])
		}
	}
	for i := range u.Changes {
		if c := &u.Changes[i]; len(c.Bids)+len(c.Asks) > 0 {
			t.reel(c.Market).change(c, height)
		}
	}
	if len(u.Changes) > 0 {
		t.feed.publish(u)
	}
	return nil
}

func (t *Tape) reel(m market.ID) *reel {
	r := t.reels[m]
	if r == nil {
		r = &reel{bids: side{bid: true}}
		r.trades.limit = MaxTrades
		for i := range r.candles {
			r.candles[i].limit = maxCandles
		}
		r.candles[OneMinute].limit = maxMinutes
		t.reels[m] = r
	}
	return r
}

// change carries a change of the book out and numbers it.
func (r *reel) change(c *Change, height uint64) {
	for _, l := range c.Bids {
		r.bids.set(l)
	}
	for _, l := range c.Asks {
		r.asks.set(l)
	}
	c.First, c.Last = r.emitted+1, height
	r.emitted = height
}

// trade takes a trade that is newer than those that the reel has.
func (r *reel) trade(tr *exchange.Trade) bool {
	if n := r.trades.len(); n > 0 && r.trades.at(n-1).ID >= tr.ID {
		return false
	}
	r.trades.add(*tr)
	r.last = tr.Price
	one := candleOf(tr)
	for i := range Intervals() {
		merge(&r.candles[i], i, &one)
	}
	return true
}

// Height is the newest block that the tape was fed with, and its time.
func (t *Tape) Height() (height, time uint64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.height, t.time
}

// Book is a market's book, at most limit levels of each side.
func (t *Tape) Book(m market.ID, limit int) Book {
	t.mu.RLock()
	defer t.mu.RUnlock()
	b := Book{Height: t.height, Time: t.time}
	if r := t.reels[m]; r != nil {
		b.Height = max(t.height, r.height)
		b.Bids, b.Asks = r.bids.top(limit), r.asks.top(limit)
	}
	return b
}

// Best is the best bid and the best ask, zero where the side is empty, and the height of
// the last change of the book.
func (t *Tape) Best(m market.ID) (bid, ask Level, height uint64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	r := t.reels[m]
	if r == nil {
		return Level{}, Level{}, 0
	}
	return r.bids.best(), r.asks.best(), max(r.emitted, r.height)
}

// Last is the price of the market's last trade; zero if it is not known.
func (t *Tape) Last(m market.ID) asset.Price {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if r := t.reels[m]; r != nil {
		return r.last
	}
	return 0
}

// TradeQuery says which trades are asked for: those to which all of it applies.
type TradeQuery struct {
	From  market.TradeID // with this id or a higher one; zero: any
	Start uint64         // at this time or later, ms; zero: any time
	End   uint64         // at this time or before; zero: any time
	Limit int            // at most so many: the oldest if From or Start says where to begin, else the newest
}

// Trades are kept trades of a market, oldest first.
func (t *Tape) Trades(m market.ID, q TradeQuery) []exchange.Trade {
	t.mu.RLock()
	defer t.mu.RUnlock()
	r := t.reels[m]
	if r == nil || q.Limit <= 0 {
		return nil
	}
	all := r.trades.part(q.span(r.trades.len(), func(i int) *exchange.Trade { return r.trades.at(i) }))
	if len(all) > q.Limit {
		if q.From != 0 || q.Start != 0 {
			return all[:q.Limit]
		}
		return all[len(all)-q.Limit:]
	}
	return all
}

// span is the range of trades that a query asks for, before its limit.
func (q *TradeQuery) span(n int, at func(int) *exchange.Trade) (from, to int) {
	search := func(after func(*exchange.Trade) bool) int {
		i, j := 0, n
		for i < j {
			if h := (i + j) / 2; after(at(h)) {
				j = h
			} else {
				i = h + 1
			}
		}
		return i
	}
	from = max(search(func(t *exchange.Trade) bool { return t.ID >= q.From }),
		search(func(t *exchange.Trade) bool { return t.Time >= q.Start }))
	if to = n; q.End != 0 {
		to = search(func(t *exchange.Trade) bool { return t.Time > q.End })
	}
	return from, max(from, to)
}

// Aggregate is trades of one taker at one price, one right after the other.
type Aggregate struct {
	ID          market.TradeID // of its first trade
	Last        market.TradeID
	Price       asset.Price
	Quantity    asset.Wide
	Taking      market.Side
	Time        uint64
	takingOrder market.OrderID
}

// Aggregates joins trades, in their order.
func Aggregates(trades []exchange.Trade) []Aggregate {
	var all []Aggregate
	for i := range trades {
		t := &trades[i]
		if n := len(all); n > 0 {
			if a := &all[n-1]; a.takingOrder == t.Taker && a.Price == t.Price && a.Time == t.Time {
				a.Last, a.Quantity = t.ID, plus(a.Quantity, asset.Wide{Lo: uint64(t.Quantity)})
				continue
			}
		}
		all = append(all, Aggregate{t.ID, t.ID, t.Price, asset.Wide{Lo: uint64(t.Quantity)}, t.Taking, t.Time, t.Taker})
	}
	return all
}

// plus adds, and stays at the largest number instead of overflowing.
func plus(a, b asset.Wide) asset.Wide {
	sum, ok := a.Add(b)
	if !ok {
		return asset.Wide{Hi: ^uint64(0), Lo: ^uint64(0)}
	}
	return sum
}

// Markets are the numbers of the markets that the tape has something of.
func (t *Tape) Markets() []market.ID {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]market.ID, 0, len(t.reels))
	for m := range t.reels {
		all = append(all, m)
	}
	slices.Sort(all)
	return all
}
