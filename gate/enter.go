package gate

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/web/binance"
)

// _ makes sure that a session is what web/binance needs.
var _ binance.Account = (*Session)(nil)

// Times of a session.
const (
	// blockPatience is how long an answer waits for the record to have the block that
	// the receipt is of.
	blockPatience = 2 * time.Second
	// resolvePause is how long it is between two attempts to learn the fate of an order.
	resolvePause = 2 * time.Second
	// lateReceipt is how long after its expiry a command's fate is asked for.
	lateReceipt = time.Minute
)

// intent is an order that was, perhaps, sent: kept before it is, so that it is known after
// a crash (J-14).
type intent struct {
	Client  string // of the order; of a pair, of the limit leg
	Command []byte // as it is sent
}

// entry is an order on its way. done is closed when its fate is known.
type entry struct {
	intent
	command *exchange.Command
	done    chan struct{}
	busy    bool // somebody is asking; under the session's lock
}

func intentKey(client string) []byte { return append([]byte{keyIntent}, client...) }

// readIntents takes up what was on its way when the gate ended.
func (s *Session) readIntents() error {
	var bad error
	err := scan(s.config.Store, keyIntent, func(i *intent) {
		c, rest, err := exchange.Parse(s.id, i.Command)
		if err != nil || len(rest) > 0 {
			bad = errors.Join(bad, fmt.Errorf("the gate's memory of order %q is damaged", i.Client))
			return
		}
		e := &entry{intent: *i, command: &c, done: make(chan struct{})}
		s.entering[i.Client] = e
		if body, ok := exchange.ParseBody(c.Kind, c.Body); ok {
			if p, ok := body.(*exchange.PlaceOCO); ok {
				s.entering[p.StopClient] = e
			}
		}
	})
	return errors.Join(err, bad)
}

// newClient draws a client order id.
func newClient() string { return "souk-" + rand.Text() }

// Place implements binance.Account.
func (s *Session) Place(ctx context.Context, p *exchange.Place, fills bool) (*binance.Placed, error) {
	body := *p
	if body.Client == "" {
		body.Client = newClient()
	}
	r, err := s.enter(ctx, &body, body.Client)
	if err != nil {
		return nil, err
	}
	if fills && r.Filled > 0 {
		s.await(ctx, r.Height)
	}
	return s.placed(market.OrderID(r.Number), r.Height)
}

// PlacePair implements binance.Account.
func (s *Session) PlacePair(ctx context.Context, p *exchange.PlaceOCO) ([]binance.Placed, error) {
	body := *p
	if body.LimitClient == "" {
		body.LimitClient = newClient()
	}
	if body.StopClient == "" {
		body.StopClient = newClient()
	}
	r, err := s.enter(ctx, &body, body.LimitClient, body.StopClient)
	if err != nil {
		return nil, err
	}
	s.await(ctx, r.Height)
	var both []binance.Placed
	for _, client := range []string{body.LimitClient, body.StopClient} {
		s.mu.Lock()
		h := s.book.find(exchange.Target{Client: client})
		s.mu.Unlock()
		if h == nil {
			return nil, fmt.Errorf("%w: the block with the orders has not come", binance.ErrUndecided)
		}
		x, err := s.placed(h.ID, r.Height)
		if err != nil {
			return nil, err
		}
		both = append(both, *x)
	}
	return both, nil
}

// placed is how an order stands, with its fills of a block.
func (s *Session) placed(id market.OrderID, height uint64) (*binance.Placed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.book.orders[id]
	if h == nil {
		return nil, binance.ErrNoOrder
	}
	x := &binance.Placed{Order: h.Order}
	for _, f := range s.book.byOrder[id] {
		if f.Height == height {
			x.Fills = append(x.Fills, f.Fill)
		}
	}
	return x, nil
}

// enter sends an order, once for each client order id, and answers its receipt (J-12 to
// J-15).
func (s *Session) enter(ctx context.Context, body exchange.Body, clients ...string) (exchange.Receipt, error) {
	e, err := s.claimClients(ctx, clients)
	if err != nil {
		return exchange.Receipt{}, err
	}
	release := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range clients {
			delete(s.entering, c)
		}
		close(e.done)
	}
	commands, err := s.actor.Sign(ctx, body)
	if err != nil {
		release()
		return exchange.Receipt{}, unavailable(err)
	}
	e.command = commands[0]
	e.intent = intent{clients[0], e.command.Append(nil)}
	b := s.config.Store.NewBatch()
	setJSON(b, intentKey(e.Client), &e.intent)
	if err := b.Commit(true); err != nil {
		release()
		return exchange.Receipt{}, fmt.Errorf("%w: %w", binance.ErrUnavailable, err)
	}
	r, err := s.send(ctx, e)
	if errors.Is(err, binance.ErrUndecided) {
		s.mu.Lock()
		e.busy = false // resolve goes on
		s.mu.Unlock()
		return r, err
	}
	release()
	return r, err
}

// claimClients takes client order ids for an order, after what has them now has ended.
func (s *Session) claimClients(ctx context.Context, clients []string) (*entry, error) {
	for {
		s.mu.Lock()
		if err := s.readyLocked(); err != nil {
			s.mu.Unlock()
			return nil, err
		}
		var other *entry
		for _, c := range clients {
			if s.book.find(exchange.Target{Client: c}) != nil {
				s.mu.Unlock()
				return nil, binance.ErrDuplicate
			}
			if x := s.entering[c]; x != nil {
				other = x
			}
		}
		if other == nil {
			e := &entry{done: make(chan struct{}), busy: true}
			for _, c := range clients {
				s.entering[c] = e
			}
			s.mu.Unlock()
			return e, nil
		}
		s.mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: an order with this client order id is on its way", binance.ErrUndecided)
		}
	}
}

// send submits an order's command until its fate is known, and notes what became of it.
func (s *Session) send(ctx context.Context, e *entry) (exchange.Receipt, error) {
	r, err := s.submit(ctx, e.command)
	switch {
	case errors.Is(err, binance.ErrUndecided):
		return r, err
	case err != nil:
		return r, errors.Join(err, s.drop(e))
	}
	return r, s.took(e, &r)
}

// submit sends a command that is signed, and answers its receipt; any code but OK is a
// *binance.Refusal.
func (s *Session) submit(ctx context.Context, c *exchange.Command) (exchange.Receipt, error) {
	receipts, err := s.actor.Send(ctx, c)
	if err != nil || len(receipts) == 0 {
		var e *api.Error
		if errors.As(err, &e) && !errors.Is(err, api.ErrUndecided) {
			return exchange.Receipt{}, fmt.Errorf("%w: %w", binance.ErrUnavailable, err)
		}
		return exchange.Receipt{}, fmt.Errorf("%w: %w", binance.ErrUndecided, err)
	}
	r := receipts[0]
	s.counts.entered(r.Code)
	if r.Code != exchange.OK {
		if r.Height != 0 {
			if err := s.claimed(ctx, &r); err != nil {
				return r, err
			}
		}
		if r.Height == 0 && (r.Code == exchange.NonceUsed || r.Code == exchange.NonceStale) {
			// Perhaps by this very command, whose receipt no server has any more.
			return r, fmt.Errorf("%w: %w", binance.ErrUndecided, &binance.Refusal{Code: r.Code})
		}
		if r.Code == exchange.DuplicateClient {
			return r, binance.ErrDuplicate
		}
		return r, &binance.Refusal{Code: s.reason(ctx, c, r.Code)}
	}
	return r, s.claimed(ctx, &r)
}

// reason is the code of a refusal that says most: a key that may not do something at all, or
// not in this market. Who is told the first gives up.
func (s *Session) reason(ctx context.Context, c *exchange.Command, code exchange.Code) exchange.Code {
	id, ok := s.marketOf(c)
	if code != exchange.NotEntitled || !ok {
		return code
	}
	account, err := s.config.Client.Account(ctx, s.config.Signer)
	if err != nil {
		return code
	}
	own, now := s.config.Signer.Key.Public().String(), uint64(time.Now().UnixMilli())
	for _, d := range account.Delegates {
		if d.Key == own && (d.Expiry == 0 || d.Expiry > now) && len(d.Markets) > 0 && !slices.Contains(d.Markets, uint32(id)) {
			return exchange.OutOfScope
		}
	}
	return code
}

// marketOf is the market that a command is about; false if it is about none.
func (s *Session) marketOf(c *exchange.Command) (market.ID, bool) {
	body, _ := exchange.ParseBody(c.Kind, c.Body)
	var target exchange.Target
	switch b := body.(type) {
	case *exchange.Place:
		return b.Market, true
	case *exchange.PlaceOCO:
		return b.Market, true
	case *exchange.CancelAll:
		return b.Market, true
	case *exchange.Cancel:
		target = b.Target
	case *exchange.Amend:
		target = b.Target
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.book.find(target); h != nil {
		return h.Market, true
	}
	return 0, false
}

// do signs and sends what needs no memory: doing it twice does no more than once.
func (s *Session) do(ctx context.Context, body exchange.Body) (exchange.Receipt, error) {
	commands, err := s.actor.Sign(ctx, body)
	if err != nil {
		return exchange.Receipt{}, unavailable(err)
	}
	return s.submit(ctx, commands[0])
}

// unavailable is an error before anything was sent.
func unavailable(err error) error { return fmt.Errorf("%w: %w", binance.ErrUnavailable, err) }

// drop forgets an order that came to nothing.
func (s *Session) drop(e *entry) error {
	b := s.config.Store.NewBatch()
	b.Delete(intentKey(e.Client))
	return b.Commit(false)
}

// took notes an order that a block has taken. What followers are told comes with the block.
func (s *Session) took(e *entry, r *exchange.Receipt) error {
	body, ok := exchange.ParseBody(e.command.Kind, e.command.Body)
	if !ok {
		return fmt.Errorf("order %q is not one", e.Client)
	}
	b := s.config.Store.NewBatch()
	b.Delete(intentKey(e.Client))
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := body.(*exchange.Place); ok {
		s.note(b, p, r)
	}
	return b.Commit(false)
}

// note puts an order as its receipt has it into the record, unless a later block is known
// already; under mu.
func (s *Session) note(b interface {
	Set(key, value []byte)
}, p *exchange.Place, r *exchange.Receipt,
) {
	id := market.OrderID(r.Number)
	if was := s.book.orders[id]; was != nil && was.Height >= r.Height {
		return
	}
	status, reason := api.Outcome(p, r)
	h := &held{Height: r.Height, Order: binance.Order{
		Order: market.Order{
			ID: id, Market: p.Market, Side: p.Side, Kind: p.Order, TIF: p.TIF, PostOnly: p.PostOnly, Status: status, Price: p.Price,
			Quantity: p.Quantity, Quote: p.Quote, Trigger: p.Trigger, Expiry: p.Expiry, Client: p.Client, Placed: r.Height, Time: r.Time,
			Filled: r.Filled, Value: r.Cost, Fee: r.Fee,
		},
		Reason: reason, Updated: r.Time,
	}}
	s.book.keep(h)
	data, err := json.Marshal(h)
	if err == nil {
		b.Set(orderKey(id), data)
	}
}

// resolve learns the fate of orders whose senders have gone, and of those that were on
// their way when the gate ended.
func (s *Session) resolve(ctx context.Context) {
	ticker := time.NewTicker(resolvePause)
	defer ticker.Stop()
	for {
		for _, e := range s.open() {
			s.resolveOne(ctx, e)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// open are the orders that nobody asks about; the caller does from now on.
func (s *Session) open() (list []*entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entering {
		if !e.busy && e.command != nil && !slices.Contains(list, e) {
			e.busy = true
			list = append(list, e)
		}
	}
	return list
}

func (s *Session) resolveOne(ctx context.Context, e *entry) {
	_, err := s.send(ctx, e)
	var refusal *binance.Refusal
	late := time.Now().After(time.UnixMilli(int64(e.command.Expiry)).Add(lateReceipt))
	if errors.Is(err, binance.ErrUndecided) && errors.As(err, &refusal) && late {
		// No server has a receipt, and the account's record tells if the order is live or has fills.
		err = s.drop(e)
	}
	undecided := errors.Is(err, binance.ErrUndecided) || errors.Is(err, binance.ErrUnavailable)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.busy = false; undecided {
		return
	}
	if err != nil && refusal == nil && !errors.As(err, &refusal) {
		s.log.WarnContext(ctx, "an order's fate is known, and could not be noted", slog.Any("error", err))
	}
	for c, x := range s.entering {
		if x == e {
			delete(s.entering, c)
		}
	}
	close(e.done)
}

// live is the order that a target names, if it can still be changed; under no lock.
func (s *Session) live(t exchange.Target) (binance.Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.readyLocked(); err != nil {
		return binance.Order{}, err
	}
	h := s.book.find(t)
	switch {
	case h == nil:
		return binance.Order{}, binance.ErrNoOrder
	case !h.Live():
		return binance.Order{}, binance.ErrNotLive
	}
	return h.Order, nil
}

// Cancel implements binance.Account.
func (s *Session) Cancel(ctx context.Context, t exchange.Target) (*binance.Order, error) {
	o, err := s.live(t)
	if err != nil {
		return nil, err
	}
	r, err := s.do(ctx, &exchange.Cancel{Target: exchange.Target{Order: o.ID}})
	if err != nil {
		return nil, gone(err)
	}
	s.await(ctx, r.Height)
	return s.after(o.ID, &r, market.Cancelled)
}

// gone is an error that says of an order that the ledger does not have it any more.
func gone(err error) error {
	var refusal *binance.Refusal
	if errors.As(err, &refusal) && refusal.Code == exchange.UnknownOrder {
		return binance.ErrNotLive
	}
	return err
}

// after is an order's record after a command that ended it; if its block has not come yet,
// as the receipt has it.
func (s *Session) after(id market.OrderID, r *exchange.Receipt, why market.Reason) (*binance.Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.book.orders[id]
	if h == nil {
		return nil, binance.ErrNoOrder
	}
	if h.Live() && h.Height < r.Height && why != 0 {
		c := *h
		c.Status, c.Reason, c.Updated, c.Height = market.Gone, why, r.Time, r.Height
		s.book.keep(&c)
		h = &c
	}
	o := h.Order
	return &o, nil
}

// CancelAll implements binance.Account.
func (s *Session) CancelAll(ctx context.Context, m market.ID) ([]binance.Order, error) {
	before, err := s.Orders(ctx, &binance.OrderQuery{Market: m, Live: true})
	if err != nil {
		return nil, err
	}
	r, err := s.do(ctx, &exchange.CancelAll{Market: m})
	if err != nil {
		return nil, err
	}
	s.await(ctx, r.Height)
	list := []binance.Order{}
	for i := range before {
		o, err := s.after(before[i].ID, &r, market.Cancelled)
		if err == nil {
			list = append(list, *o)
		}
	}
	return list, nil
}

// Amend implements binance.Account.
func (s *Session) Amend(ctx context.Context, t exchange.Target, quantity asset.Amount) (*binance.Order, error) {
	o, err := s.live(t)
	if err != nil {
		return nil, err
	}
	if quantity >= o.Quantity {
		return nil, &binance.Refusal{Code: exchange.BadAmend}
	}
	r, err := s.do(ctx, &exchange.Amend{Target: exchange.Target{Order: o.ID}, Quantity: quantity})
	if err != nil {
		return nil, gone(err)
	}
	if !s.await(ctx, r.Height) {
		return nil, fmt.Errorf("%w: the block with the change has not come", binance.ErrUndecided)
	}
	return s.after(o.ID, &r, 0)
}

// Order implements binance.Account.
func (s *Session) Order(ctx context.Context, t exchange.Target) (*binance.Order, error) {
	s.mu.Lock()
	if err := s.readyLocked(); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	h := s.book.find(t)
	var e *entry
	if h == nil && t.Client != "" {
		e = s.entering[t.Client]
	}
	s.mu.Unlock()
	switch {
	case h != nil:
		o := h.Order
		return &o, nil
	case e == nil:
		return nil, binance.ErrNoOrder
	}
	select { // it is on its way
	case <-e.done:
		return s.Order(ctx, t)
	case <-ctx.Done():
		return nil, binance.ErrUndecided
	}
}

// Orders implements binance.Account.
func (s *Session) Orders(_ context.Context, q *binance.OrderQuery) ([]binance.Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.readyLocked(); err != nil {
		return nil, err
	}
	fits := func(o *binance.Order) bool {
		return (q.Market == 0 || o.Market == q.Market) && (!q.Live || o.Live()) && o.ID >= q.From &&
			o.Time >= q.Start && (q.End == 0 || o.Time <= q.End)
	}
	list := []binance.Order{}
	newest := q.From == 0 && q.Start == 0
	for i := range s.book.ids {
		at := i
		if newest {
			at = len(s.book.ids) - 1 - i
		}
		if h := s.book.orders[s.book.ids[at]]; fits(&h.Order) {
			list = append(list, h.Order)
		}
		if q.Limit > 0 && len(list) == q.Limit {
			break
		}
	}
	if newest {
		slices.Reverse(list)
	}
	return list, nil
}

// Fills implements binance.Account.
func (s *Session) Fills(_ context.Context, q *binance.FillQuery) ([]binance.Fill, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.readyLocked(); err != nil {
		return nil, err
	}
	fits := func(f *filled) bool {
		return (q.Market == 0 || f.Market == q.Market) && (q.Order == 0 || f.Order == q.Order) && f.Trade >= q.From &&
			f.Time >= q.Start && (q.End == 0 || f.Time <= q.End)
	}
	list := []binance.Fill{}
	newest := q.From == 0 && q.Start == 0
	for i := range s.book.order {
		at := i
		if newest {
			at = len(s.book.order) - 1 - i
		}
		if f := s.book.fills[s.book.order[at]]; fits(f) {
			list = append(list, f.Fill)
		}
		if q.Limit > 0 && len(list) == q.Limit {
			break
		}
	}
	if newest {
		slices.Reverse(list)
	}
	return list, nil
}

// Balances implements binance.Account.
func (s *Session) Balances(context.Context) ([]binance.Balance, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.readyLocked(); err != nil {
		return nil, 0, err
	}
	return s.balances(), s.book.Time, nil
}

// balances are all balances by number; under mu.
func (s *Session) balances() []binance.Balance {
	list := []binance.Balance{}
	for _, b := range s.book.balances {
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b binance.Balance) int { return int(a.Asset) - int(b.Asset) })
	return list
}
