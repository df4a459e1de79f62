package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange/market"
	"souk/store"
	"souk/web/binance"
)

// Times of following.
const (
	// firstPause and longPause are how long it is until all is asked for again, after a gap
	// or where no server answers.
	firstPause = 200 * time.Millisecond
	longPause  = 5 * time.Second
	// staleAfter is how long no server may be heard of before the account counts as not
	// available: servers that have nothing to tell say so every 15 seconds (H-113).
	staleAfter = 40 * time.Second
	// fillPage is how many fills are asked for at once.
	fillPage = 100
	// firstFills is how many fills a session learns when it begins to remember.
	firstFills = 5_000
	// maxBehind is how many reports a follower may be behind.
	maxBehind = 1024
)

// follow keeps the record up to date: it asks for all of it, goes on with what blocks do
// from there, and begins anew where that has a gap (J-20).
func (s *Session) follow(ctx context.Context) error {
	pause := firstPause
	for {
		began := time.Now()
		err := s.round(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, store.ErrFailed), errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrCorrupt):
			return fmt.Errorf("the gate's memory: %w", err)
		}
		var refusal *api.Error
		if errors.As(err, &refusal) && refusal.Code == api.NotAllowed {
			err = fmt.Errorf("the gate's key has expired or was removed, run souk gate init again: %w", err)
		}
		s.setState(fmt.Errorf("%w: %w", binance.ErrUnavailable, err))
		if time.Since(began) > longPause {
			pause = firstPause
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, longPause)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// round is one beginning, and all that follows until there is a gap.
func (s *Session) round(ctx context.Context) error {
	n, err := s.ask(ctx)
	if err != nil {
		return err
	}
	height := n.height
	if s.config.Tape != nil {
		books, err := s.askMarkets(ctx)
		if err != nil {
			return err
		}
		for _, b := range books {
			height = min(height, b.book.Height)
		}
		if err := s.restore(ctx, books, height); err != nil {
			return err
		}
	}
	if err := s.take(n); err != nil {
		return err
	}
	s.setState(nil)
	return s.stream(ctx, height)
}

// setState notes whether the account can be used, and says so when that changes.
func (s *Session) setState(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.state
	s.state = err
	if err == nil {
		select {
		case <-s.opened:
		default:
			close(s.opened)
		}
	}
	switch {
	case err == nil && was != nil:
		s.log.Info("the account's record is up to date")
	case err != nil && (was == nil || was.Error() != err.Error()):
		s.log.Warn("the account cannot be used", slog.Any("error", err))
	}
}

// news is what servers say of the account at one time.
type news struct {
	height, ms uint64
	orders     []market.Order
	fills      []*filled // by trade
	balances   []binance.Balance
}

// ask gets live orders, then fills of the same state or a later one, then balances.
func (s *Session) ask(ctx context.Context) (*news, error) {
	c, who := s.config.Client, s.config.Signer
	orders, err := c.Orders(ctx, who, "")
	if err != nil {
		return nil, err
	}
	n := &news{height: orders.Height, ms: orders.Time}
	for i := range orders.Orders {
		o, err := s.order(ctx, &orders.Orders[i])
		if err != nil {
			return nil, err
		}
		n.orders = append(n.orders, o)
	}
	if n.fills, err = s.askFills(ctx, n.height); err != nil {
		return nil, err
	}
	account, err := c.Account(ctx, who)
	if err != nil {
		return nil, err
	}
	if account.Height < n.height {
		n.height, n.ms = account.Height, account.Time
	}
	for i := range account.Balances {
		if b, ok := s.balance(ctx, &account.Balances[i]); ok {
			n.balances = append(n.balances, b)
		}
	}
	return n, nil
}

// errBehind is a server that knows less than the one before.
var errBehind = errors.New("a server is behind the others")

// askFills gets the fills after the record's block. Those of blocks up to height must be
// among them, or an order that traded would look like one that was cancelled.
func (s *Session) askFills(ctx context.Context, height uint64) (list []*filled, err error) {
	s.mu.Lock()
	known := s.book.Height
	s.mu.Unlock()
	page := api.Page{Limit: fillPage}
	for {
		got, err := s.config.Client.Fills(ctx, s.config.Signer, page)
		if err != nil {
			return nil, err
		}
		if got.Height < height {
			return nil, errBehind
		}
		old := false
		for i := range got.Fills {
			if old = got.Fills[i].Height <= known && known > 0; old {
				break
			}
			f, err := s.fill(ctx, &got.Fills[i])
			if err != nil {
				return nil, err
			}
			list = append(list, f)
		}
		if old || got.Next == "" || len(list) >= firstFills && known == 0 || len(list) >= maxFills {
			break
		}
		page.Before = got.Next
	}
	slices.SortStableFunc(list, func(a, b *filled) int { return cmp.Compare(a.Trade, b.Trade) })
	return list, nil
}

// take notes news, and tells followers what is new to them.
func (s *Session) take(n *news) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.config.Store.NewBatch()
	report := &binance.Report{Height: n.height, Time: n.ms}
	live := map[market.OrderID]bool{}
	for i := range n.orders {
		live[n.orders[i].ID] = true
		s.takeLive(b, report, &n.orders[i], n)
	}
	for _, f := range n.fills {
		s.takeFill(b, report, f)
	}
	for _, id := range slices.Clone(s.book.ids) {
		h := s.book.orders[id]
		if h.Closed || live[id] || h.Live() && h.Height > n.height {
			continue
		}
		s.takeGone(b, report, h, n)
	}
	s.takeBalances(b, report, n.balances)
	s.book.prune(b)
	s.advance(n.height, n.ms)
	s.book.writeHead(b, s.id, s.config.Signer.Account)
	if err := b.Commit(false); err != nil {
		return err
	}
	s.tell(report)
	return nil
}

// takeLive notes a live order; under mu.
func (s *Session) takeLive(b store.Batch, report *binance.Report, o *market.Order, n *news) {
	was := s.book.orders[o.ID]
	if was != nil && (!was.Live() || was.Height > n.height) {
		return // a later block is known
	}
	h := &held{Order: binance.Order{Order: *o, Updated: o.Time}, Height: n.height}
	if o.Sibling != 0 {
		h.List = min(o.ID, o.Sibling)
	}
	if was != nil {
		if was.Opened && was.Order.Order == h.Order.Order {
			return
		}
		h.Opened, h.Updated = was.Opened, was.Updated
		h.List = max(h.List, was.List)
		reduced := was.Quantity != h.Quantity
		triggered := was.Status == market.Waiting && h.Status == market.Resting
		if was.Opened && (reduced || triggered) {
			h.Updated = n.ms
			kind := binance.Reduced
			if triggered {
				kind = binance.Triggered
			}
			report.Executions = append(report.Executions, binance.Execution{Kind: kind, Order: h.Order})
		}
	}
	if !h.Opened {
		h.Opened = true
		report.Executions = append(report.Executions, binance.Execution{Kind: binance.Opened, Order: opening(&h.Order)})
	}
	s.book.keep(h)
	h.write(b)
}

// opening is an order as it stood before it traded.
func opening(o *binance.Order) binance.Order {
	c := *o
	c.Filled, c.Value, c.Fee, c.Reason = 0, 0, 0, 0
	if c.Status == market.Gone {
		c.Status = market.Resting
	}
	return c
}

// takeFill notes a fill; under mu.
func (s *Session) takeFill(b store.Batch, report *binance.Report, f *filled) {
	if !s.book.insert(f) {
		return
	}
	f.write(b)
	h := s.book.orders[f.Order]
	if h == nil { // one that came and went between two looks
		h = &held{Order: binance.Order{Order: market.Order{
			ID: f.Order, Market: f.Market, Side: f.Side, Kind: market.LimitOrder, TIF: market.GTC, Status: market.Gone, Price: f.Price, Time: f.Time,
		}}}
	}
	c := *h
	quantity, value, fee := s.book.sums(f.Order)
	c.Filled, c.Value, c.Fee = max(c.Filled, quantity), max(c.Value, value), max(c.Fee, fee)
	c.Updated, c.Height = max(c.Updated, f.Time), max(c.Height, f.Height)
	if !c.Opened {
		c.Opened = true
		report.Executions = append(report.Executions, binance.Execution{Kind: binance.Opened, Order: opening(&c.Order)})
	}
	s.book.keep(&c)
	c.write(b)
	o := c.Order
	o.Filled, o.Value, o.Fee, o.Reason = quantity, value, fee, 0
	if o.Status == market.Gone {
		o.Status = market.Resting
	}
	report.Executions = append(report.Executions, binance.Execution{Kind: binance.Traded, Order: o, Fill: &f.Fill})
}

// takeGone notes that an order is not live any more; under mu.
func (s *Session) takeGone(b store.Batch, report *binance.Report, h *held, n *news) {
	c := *h
	if c.Live() {
		c.Reason, c.Updated = why(&c.Order, n.ms), n.ms
	}
	c.Status, c.Closed, c.Height = market.Gone, true, max(c.Height, n.height)
	if quantity, value, fee := s.book.sums(c.ID); quantity >= c.Filled {
		c.Filled, c.Value, c.Fee = quantity, value, fee
	}
	if c.Quantity == 0 && c.Quote == 0 { // nothing but its fills is known of it
		c.Quantity, c.Reason = c.Filled, market.Filled
	}
	if !c.Opened {
		c.Opened = true
		report.Executions = append(report.Executions, binance.Execution{Kind: binance.Opened, Order: opening(&c.Order)})
	}
	s.book.keep(&c)
	c.write(b)
	report.Executions = append(report.Executions, binance.Execution{Kind: binance.Closed, Order: c.Order})
}

// why is for what reason an order that is gone must have been closed, as far as it can be
// told afterwards.
func why(o *binance.Order, now uint64) market.Reason {
	switch {
	case o.Quantity != 0 && o.Filled >= o.Quantity, o.Quote != 0 && o.Value >= o.Quote:
		return market.Filled
	case o.Expiry != 0 && now >= o.Expiry:
		return market.Expired
	case o.List != 0:
		return market.Linked
	case o.TIF == market.IOC, o.TIF == market.FOK:
		return market.Remainder
	}
	return market.Cancelled
}

// takeBalances notes balances; under mu.
func (s *Session) takeBalances(b store.Batch, report *binance.Report, list []binance.Balance) {
	seen := map[asset.ID]bool{}
	changed := func(x binance.Balance) {
		if s.book.balances[x.Asset] == x {
			return
		}
		s.book.balances[x.Asset] = x
		setJSON(b, strconv.AppendUint([]byte{keyBalance}, uint64(x.Asset), 10), &x)
		report.Balances = append(report.Balances, x)
	}
	for _, x := range list {
		seen[x.Asset] = true
		changed(x)
	}
	for id, x := range s.book.balances {
		if !seen[id] && (x.Available != 0 || x.Held != 0) {
			x.Available, x.Held = 0, 0
			changed(x)
		}
	}
	slices.SortFunc(report.Balances, func(a, b binance.Balance) int { return cmp.Compare(a.Asset, b.Asset) })
}

// order reads an order of a server's, in the units of its proven market.
func (s *Session) order(ctx context.Context, v *api.Order) (market.Order, error) {
	p, err := s.config.Catalog.Pair(ctx, strconv.FormatUint(uint64(v.Market), 10))
	if err != nil {
		return market.Order{}, err
	}
	o := market.Order{
		ID: market.OrderID(v.ID), Market: market.ID(v.Market), PostOnly: v.PostOnly, Expiry: v.Expiry, Client: v.Client,
		Sibling: market.OrderID(v.Sibling), Placed: v.Placed, Time: v.Time,
	}
	var errs [4]error
	o.Side, errs[0] = api.ParseSide(v.Side)
	o.Kind, errs[1] = api.ParseKind(v.Kind)
	o.TIF, errs[2] = api.ParseTIF(v.TIF)
	o.Status, errs[3] = api.ParseStatus(v.Status)
	if err := errors.Join(errs[:]...); err != nil {
		return o, fmt.Errorf("order %d: %w", v.ID, err)
	}
	r := reader{pair: &p}
	o.Price, o.Trigger = r.price(v.Price), r.price(v.Trigger)
	o.Quantity, o.Filled = r.base(v.Quantity), r.base(v.Filled)
	o.Quote, o.Value = r.quote(v.Quote), r.quote(v.Value)
	o.Fee = r.side(o.Side, v.Fee)
	if r.err != nil {
		return o, fmt.Errorf("order %d: %w", v.ID, r.err)
	}
	return o, nil
}

// fill reads a fill of a server's.
func (s *Session) fill(ctx context.Context, v *api.Fill) (*filled, error) {
	p, err := s.config.Catalog.Pair(ctx, strconv.FormatUint(uint64(v.Market), 10))
	if err != nil {
		return nil, err
	}
	side, err := api.ParseSide(v.Side)
	if err != nil {
		return nil, fmt.Errorf("trade %d: %w", v.Trade, err)
	}
	r := reader{pair: &p}
	f := &filled{Height: v.Height, Fill: binance.Fill{
		Trade: market.TradeID(v.Trade), Order: market.OrderID(v.Order), Market: market.ID(v.Market), Side: side, Maker: v.Role == "maker",
		Price: r.price(v.Price), Quantity: r.base(v.Quantity), Value: r.quote(v.Value), Fee: r.side(side, v.Fee), Time: v.Time,
	}}
	if r.err != nil {
		return nil, fmt.Errorf("trade %d: %w", v.Trade, r.err)
	}
	return f, nil
}

// balance reads a balance of a server's; false for an asset of which nothing is proven.
func (s *Session) balance(ctx context.Context, v *api.Balance) (binance.Balance, bool) {
	l, err := s.config.Catalog.Asset(ctx, strconv.FormatUint(uint64(v.Asset), 10))
	if err != nil {
		s.log.DebugContext(ctx, "an asset cannot be proven", slog.Uint64("asset", uint64(v.Asset)), slog.Any("error", err))
		return binance.Balance{}, false
	}
	available, err := l.Parse(v.Available)
	held, err2 := l.Parse(v.Held)
	if err != nil || err2 != nil {
		return binance.Balance{}, false
	}
	return binance.Balance{Asset: l.ID, Symbol: l.Symbol, Decimals: l.Decimals, Available: available, Held: held}, true
}

// reader reads amounts of a pair, and remembers the first that it cannot.
type reader struct {
	pair *api.Pair
	err  error
}

func (r *reader) amount(text string, parse func(string) (asset.Amount, error)) asset.Amount {
	if text == "" {
		return 0
	}
	a, err := parse(text)
	if r.err == nil {
		r.err = err
	}
	return a
}

func (r *reader) price(text string) asset.Price  { return asset.Price(r.quote(text)) }
func (r *reader) base(text string) asset.Amount  { return r.amount(text, r.pair.ParseBase) }
func (r *reader) quote(text string) asset.Amount { return r.amount(text, r.pair.ParseQuote) }

// side reads what a side of a trade is charged in.
func (r *reader) side(s market.Side, text string) asset.Amount {
	if s == market.Buy {
		return r.base(text)
	}
	return r.quote(text)
}

// follower is somebody who is told what blocks do to the account.
type follower struct {
	reports chan *binance.Report
	err     error // why there are no more, once reports is closed
	ended   bool
}

// end tells a follower that there will be no more; under the session's lock.
func (f *follower) end(err error) {
	if !f.ended {
		f.err, f.ended = err, true
		close(f.reports)
	}
}

// tell hands a report to all followers; under mu.
func (s *Session) tell(r *binance.Report) {
	if len(r.Executions) == 0 && len(r.Balances) == 0 {
		return
	}
	for f := range s.followers {
		select {
		case f.reports <- r:
		default:
			f.end(errors.New("too far behind"))
			delete(s.followers, f)
		}
	}
}

// Follow implements binance.Account.
func (s *Session) Follow(ctx context.Context) iter.Seq2[*binance.Report, error] {
	return func(yield func(*binance.Report, error) bool) {
		f := &follower{reports: make(chan *binance.Report, maxBehind)}
		s.mu.Lock()
		if err := s.readyLocked(); err != nil {
			s.mu.Unlock()
			yield(nil, err)
			return
		}
		s.followers[f] = struct{}{}
		first := &binance.Report{Height: s.book.Height, Time: s.book.Time, Balances: s.balances()}
		s.mu.Unlock()
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.followers, f)
		}()
		if !yield(first, nil) {
			return
		}
		for {
			select {
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			case r, ok := <-f.reports:
				if !ok {
					yield(nil, f.err)
					return
				}
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}
