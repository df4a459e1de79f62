package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"souk/asset"
)

// LiveBook is a market's book as it is after some block, kept by a stream of events.
type LiveBook struct {
	Pair   Pair
	Height uint64 // the newest block that is in it
	Time   uint64 // its time, ms
	// Trades are those of that block; none after the book was read anew.
	Trades []Trade

	bids, asks bookSide
}

// PriceLevel is a price of a LiveBook.
type PriceLevel struct {
	Price    asset.Price
	Quantity asset.Amount // base units
}

// bookSide is one side of a book, best first.
type bookSide struct {
	descending bool
	levels     []PriceLevel
	// Prices worse than bound are not known: the book had more levels than were read.
	bounded bool
	bound   asset.Price
}

// Bids are the prices that somebody buys at, the highest first. The list is the book's own.
func (b *LiveBook) Bids() []PriceLevel { return b.bids.levels }

// Asks are the prices that somebody sells at, the lowest first. The list is the book's own.
func (b *LiveBook) Asks() []PriceLevel { return b.asks.levels }

// FollowBook keeps a market's book: it yields it as it is now, and after each block that
// changed it. It has at least half of depth levels of each side, if there are so many; depth is at most
// MaxDepth. The book is the loop's until the next turn. It ends with a refusal, or ctx's error.
func (c *Client) FollowBook(ctx context.Context, market string, depth int) iter.Seq2[*LiveBook, error] {
	return func(yield func(*LiveBook, error) bool) {
		pair, err := c.Pair(ctx, market)
		if err != nil {
			yield(nil, err)
			return
		}
		b := &LiveBook{Pair: pair}
		for {
			again, err := c.keepBook(ctx, b, depth, yield)
			if err != nil {
				yield(nil, err)
				return
			}
			if !again {
				return
			}
		}
	}
}

// keepBook reads the book and follows it until it has to be read again, or the reader leaves.
func (c *Client) keepBook(ctx context.Context, b *LiveBook, depth int, yield func(*LiveBook, error) bool) (again bool, err error) {
	name := strconv.FormatUint(uint64(b.Pair.ID), 10)
	read, err := c.Book(ctx, name, depth)
	if err != nil {
		return false, err
	}
	if err := b.load(read, depth); err != nil {
		return false, err
	}
	if !yield(b, nil) {
		return false, nil
	}
	for m, err := range c.Events(ctx, EventsRequest{Markets: []string{name}, After: strconv.FormatUint(read.Height, 10)}) {
		switch {
		case errors.Is(err, ErrGone):
			return true, nil
		case err != nil:
			return false, err
		}
		if err := b.apply(m); err != nil {
			return false, err
		}
		if b.bids.short(depth) || b.asks.short(depth) {
			return true, nil
		}
		if !yield(b, nil) {
			return false, nil
		}
	}
	return false, nil
}

// load takes a book as it was read.
func (b *LiveBook) load(read *Book, depth int) error {
	b.Height, b.Time, b.Trades = read.Height, read.Time, nil
	for _, x := range []struct {
		side   *bookSide
		levels []Level
	}{{&b.bids, read.Bids}, {&b.asks, read.Asks}} {
		*x.side = bookSide{descending: x.side == &b.bids}
		for _, l := range x.levels {
			if err := b.set(x.side, l.Price, l.Quantity); err != nil {
				return err
			}
		}
		if n := len(x.side.levels); n >= depth {
			x.side.bounded, x.side.bound = true, x.side.levels[n-1].Price
		}
	}
	return nil
}

// apply takes in what a block did.
func (b *LiveBook) apply(m *BlockEvents) error {
	for i := range m.Markets {
		e := &m.Markets[i]
		if e.Market != uint32(b.Pair.ID) {
			continue
		}
		for _, l := range e.Bids {
			if err := b.set(&b.bids, l.Price, l.Quantity); err != nil {
				return err
			}
		}
		for _, l := range e.Asks {
			if err := b.set(&b.asks, l.Price, l.Quantity); err != nil {
				return err
			}
		}
		b.Height, b.Time, b.Trades = m.Height, m.Time, e.Trades
	}
	return nil
}

// set says what a price has now.
func (b *LiveBook) set(s *bookSide, price, quantity string) error {
	p, err := b.Pair.ParsePrice(price)
	if err != nil {
		return fmt.Errorf("price of a book: %w", err)
	}
	q, err := b.Pair.ParseBase(quantity)
	if err != nil {
		return fmt.Errorf("quantity of a book: %w", err)
	}
	if s.bounded && s.compare(p, s.bound) > 0 {
		return nil
	}
	i, there := slices.BinarySearchFunc(s.levels, p, func(l PriceLevel, p asset.Price) int { return s.compare(l.Price, p) })
	switch {
	case q == 0 && there:
		s.levels = slices.Delete(s.levels, i, i+1)
	case q == 0:
	case there:
		s.levels[i].Quantity = q
	default:
		s.levels = slices.Insert(s.levels, i, PriceLevel{p, q})
	}
	return nil
}

// compare is negative if a is better than b.
func (s *bookSide) compare(a, b asset.Price) int {
	if s.descending {
		return cmp.Compare(b, a)
	}
	return cmp.Compare(a, b)
}

// short tells whether the side has to be read again: too little of it is known.
func (s *bookSide) short(depth int) bool { return s.bounded && 2*len(s.levels) < depth }
