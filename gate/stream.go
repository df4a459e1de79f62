package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"souk/api"
	"souk/archive"
	"souk/exchange"
	"souk/exchange/market"
	"souk/store"
	"souk/tape"
	"souk/web/binance"
)

// tradePages is how many pages of a market's trades a tape begins with.
const tradePages = 4

// errEnded is a stream that ended without a reason.
var errEnded = errors.New("the stream of events ended")

// restored is a book that a tape begins with.
type restored struct {
	market market.ID
	book   *tape.Book
	last   api.Market
}

// askMarkets gets the books of all markets that can be proven to be what they are called.
func (s *Session) askMarkets(ctx context.Context) (list []restored, err error) {
	said, err := s.config.Client.Markets(ctx)
	if err != nil {
		return nil, err
	}
	for i := range said.Markets {
		m := &said.Markets[i]
		pair, err := s.config.Catalog.Pair(ctx, strconv.FormatUint(uint64(m.ID), 10))
		if err != nil {
			s.log.WarnContext(ctx, "a market cannot be proven, and is left out", slog.Uint64("market", uint64(m.ID)), slog.Any("error", err))
			continue
		}
		b, err := s.config.Client.Book(ctx, strconv.FormatUint(uint64(m.ID), 10), api.MaxDepth)
		if err != nil {
			return nil, err
		}
		book := &tape.Book{Height: b.Height, Time: b.Time}
		r := reader{pair: &pair}
		for _, l := range b.Bids {
			book.Bids = append(book.Bids, tape.Level{Price: r.price(l.Price), Quantity: r.base(l.Quantity)})
		}
		for _, l := range b.Asks {
			book.Asks = append(book.Asks, tape.Level{Price: r.price(l.Price), Quantity: r.base(l.Quantity)})
		}
		if r.err != nil {
			return nil, fmt.Errorf("book of market %d: %w", m.ID, r.err)
		}
		list = append(list, restored{market.ID(m.ID), book, *m})
	}
	return list, nil
}

// restore makes the tape one of the state after a block, with the newest trades up to there.
func (s *Session) restore(ctx context.Context, books []restored, height uint64) error {
	t := s.config.Tape
	known, _ := t.Height()
	var trades []exchange.Trade
	for i := range books {
		list, err := s.askTrades(ctx, books[i].market, known, height)
		if err != nil {
			return err
		}
		trades = append(trades, list...)
	}
	slices.SortFunc(trades, func(a, b exchange.Trade) int {
		return cmp.Or(cmp.Compare(a.Height, b.Height), cmp.Compare(a.ID, b.ID))
	})
	for len(trades) > 0 {
		n := 1
		for n < len(trades) && trades[n].Height == trades[0].Height {
			n++
		}
		if err := t.Apply(trades[0].Height, trades[0].Time, nil, trades[:n]); err != nil {
			return err
		}
		trades = trades[n:]
	}
	for i := range books {
		b := &books[i]
		pair, err := s.config.Catalog.Pair(ctx, strconv.FormatUint(uint64(b.market), 10))
		if err != nil {
			return err
		}
		r := reader{pair: &pair}
		last := r.price(b.last.Last)
		if r.err != nil {
			return r.err
		}
		if err := t.Restore(b.market, b.book, last); err != nil {
			return err
		}
	}
	return nil
}

// askTrades gets the newest trades of a market after a block and up to another.
func (s *Session) askTrades(ctx context.Context, id market.ID, known, height uint64) (list []exchange.Trade, err error) {
	page := api.Page{Market: strconv.FormatUint(uint64(id), 10), Limit: api.MaxDepth}
	for range tradePages {
		got, err := s.config.Client.Trades(ctx, page)
		if err != nil {
			return nil, err
		}
		for i := range got.Trades {
			v := &got.Trades[i]
			if v.Height <= known {
				return list, nil
			}
			if v.Height > height {
				continue
			}
			t, err := s.trade(ctx, v)
			if err != nil {
				return nil, err
			}
			list = append(list, t)
		}
		if page.Before = got.Next; page.Before == "" {
			break
		}
	}
	return list, nil
}

// trade reads a trade of a server's.
func (s *Session) trade(ctx context.Context, v *api.Trade) (exchange.Trade, error) {
	p, err := s.config.Catalog.Pair(ctx, strconv.FormatUint(uint64(v.Market), 10))
	if err != nil {
		return exchange.Trade{}, err
	}
	side, err := api.ParseSide(v.Side)
	r := reader{pair: &p, err: err}
	t := exchange.Trade{
		ID: market.TradeID(v.ID), Market: market.ID(v.Market), Price: r.price(v.Price), Quantity: r.base(v.Quantity),
		Maker: market.OrderID(v.Maker), Taker: market.OrderID(v.Taker), Taking: side, Inner: v.Inner, Height: v.Height, Time: v.Time,
	}
	if r.err != nil {
		return t, fmt.Errorf("trade %d: %w", v.ID, r.err)
	}
	return t, nil
}

// stream takes what blocks do behind a height, until that has a gap.
func (s *Session) stream(ctx context.Context, height uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.AfterFunc(staleAfter, func() {
		s.setState(fmt.Errorf("%w: no server has been heard of for %s", binance.ErrUnavailable, staleAfter))
	})
	defer silent.Stop()
	request := api.EventsRequest{Account: s.config.Signer, After: strconv.FormatUint(height, 10), Alive: true}
	if s.config.Tape != nil {
		request.Markets = []string{"all"}
	}
	for e, err := range s.config.Client.Events(ctx, request) {
		if err != nil {
			return err
		}
		if !silent.Reset(staleAfter) {
			s.setState(nil) // somebody is heard of again
		}
		if err := s.block(ctx, e); err != nil {
			return err
		}
	}
	return errEnded
}

// block takes what one block did.
func (s *Session) block(ctx context.Context, e *api.BlockEvents) error {
	if len(e.Markets) > 0 && s.config.Tape != nil {
		if err := s.feed(ctx, e); err != nil {
			return err
		}
	}
	if e.Account == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if e.Height > s.book.Height {
			s.advance(e.Height, max(e.Time, s.book.Time))
		}
		return nil
	}
	changes, err := s.changes(ctx, e)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Height <= s.book.Height {
		return nil // it is in what was asked for
	}
	b := s.config.Store.NewBatch()
	report := &binance.Report{Height: e.Height, Time: e.Time}
	for i := range changes {
		s.change(b, report, e, &changes[i])
	}
	for i := range e.Account.Balances {
		if x, ok := s.balance(ctx, &e.Account.Balances[i]); ok && s.book.balances[x.Asset] != x {
			s.book.balances[x.Asset] = x
			setJSON(b, strconv.AppendUint([]byte{keyBalance}, uint64(x.Asset), 10), &x)
			report.Balances = append(report.Balances, x)
		}
	}
	s.book.prune(b)
	s.advance(e.Height, e.Time)
	s.book.writeHead(b, s.id, s.config.Signer.Account)
	if err := b.Commit(false); err != nil {
		return err
	}
	s.tell(report)
	return nil
}

// feed tells the tape what a block did to markets.
func (s *Session) feed(ctx context.Context, e *api.BlockEvents) error {
	if known, _ := s.config.Tape.Height(); e.Height <= known {
		return nil
	}
	var levels []archive.Level
	var trades []exchange.Trade
	for i := range e.Markets {
		m := &e.Markets[i]
		p, err := s.config.Catalog.Pair(ctx, strconv.FormatUint(uint64(m.Market), 10))
		if err != nil {
			s.log.WarnContext(ctx, "a market cannot be proven, and is left out", slog.Uint64("market", uint64(m.Market)), slog.Any("error", err))
			continue
		}
		r := reader{pair: &p}
		for side, list := range map[market.Side][]api.LevelChange{market.Buy: m.Bids, market.Sell: m.Asks} {
			for _, l := range list {
				levels = append(levels, archive.Level{Market: p.ID, Side: side, Price: r.price(l.Price), Quantity: r.base(l.Quantity)})
			}
		}
		if r.err != nil {
			return fmt.Errorf("block %d, market %d: %w", e.Height, m.Market, r.err)
		}
		for j := range m.Trades {
			t, err := s.trade(ctx, &m.Trades[j])
			if err != nil {
				return err
			}
			trades = append(trades, t)
		}
	}
	return s.config.Tape.Apply(e.Height, e.Time, levels, trades)
}

// change is one thing that happened to an order.
type change struct {
	kind   binance.ExecutionKind
	order  market.Order
	reason market.Reason
	fill   *filled
}

// changes reads what happened to orders.
func (s *Session) changes(ctx context.Context, e *api.BlockEvents) (list []change, err error) {
	kinds := map[string]binance.ExecutionKind{
		"order_opened": binance.Opened, "order_triggered": binance.Triggered, "order_reduced": binance.Reduced, "order_closed": binance.Closed, "fill": binance.Traded,
	}
	for i := range e.Account.Events {
		v := &e.Account.Events[i]
		c := change{kind: kinds[v.Kind]}
		switch {
		case c.kind == 0:
			continue
		case v.Fill != nil:
			c.fill, err = s.fill(ctx, v.Fill)
		case v.Order != nil:
			c.order, err = s.order(ctx, v.Order)
			if c.order.Status == market.Staged { // and still there when its block ends, unless it is closed
				c.order.Status = market.Resting
			}
			if err == nil && v.Reason != "" {
				c.reason, err = api.ParseReason(v.Reason)
			}
		default:
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", e.Height, err)
		}
		list = append(list, c)
	}
	return list, nil
}

// change takes one of them; under mu.
func (s *Session) change(b store.Batch, report *binance.Report, e *api.BlockEvents, c *change) {
	if c.fill != nil {
		s.takeFill(b, report, c.fill)
		return
	}
	was := s.book.orders[c.order.ID]
	h := &held{Order: binance.Order{Order: c.order, Updated: e.Time}, Height: e.Height}
	if c.order.Sibling != 0 {
		h.List = min(c.order.ID, c.order.Sibling)
	}
	if was != nil {
		h.List, h.Opened, h.Closed = max(h.List, was.List), was.Opened, was.Closed
	}
	if c.kind == binance.Closed {
		h.Reason, h.Status, h.Closed = c.reason, market.Gone, true
		if h.Reason == 0 {
			h.Reason = why(&h.Order, e.Time)
		}
	}
	h.Opened = true
	report.Executions = append(report.Executions, binance.Execution{Kind: c.kind, Order: h.Order})
	if was != nil && was.Height > e.Height { // a receipt of a later block is known
		later := *was
		later.Opened, later.Closed = h.Opened, h.Closed
		h = &later
	}
	s.book.keep(h)
	h.write(b)
}
