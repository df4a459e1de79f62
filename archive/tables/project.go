package tables

import (
	"context"
	"database/sql"
	"errors"
	"math/big"
	"strconv"
	"strings"

	"souk/archive"
	"souk/archive/tables/query"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/identity"
)

// place is a balance of an account.
type place struct {
	account int64
	asset   asset.ID
}

type amounts struct{ available, held asset.Amount }

// reel is one line of candles of a market.
type reel struct {
	market market.ID
	span   archive.Span
}

// known is what the writer remembers of the tables at a height.
type known struct {
	height   uint64
	accounts map[identity.Address]int64
	last     int64 // id of an account
	balances map[place]amounts
	candles  map[reel]*archive.Candle // the newest of each line; nil if there is none
}

// Most entries that the writer remembers; with more it forgets all and asks again.
const (
	mostAccounts = 200_000
	mostBalances = 400_000
)

// order is what blocks did to an order: a whole record, or what fills added to one that
// the tables have.
type order struct {
	archive.Order
	whole   bool
	account int64
}

// candleKey names a candle.
type candleKey struct {
	reel
	start uint64
}

// rows are what some blocks did, as rows.
type rows struct {
	ctx   context.Context //nolint:containedctx // of one transaction
	query *query.Queries
	known *known
	numbers
	failed error // of a question to the tables
	// putOrder is the statement that writes an order of which all is known.
	putOrder string

	accounts, fills, history, events, commands [][]any
	assets, markets                            [][]any
	amended                                    [][]any // of history, of which the height may have some

	orders      map[market.OrderID]*order
	opened      []market.OrderID // of the block, that may rest at its end
	candles     map[candleKey]archive.Candle
	balances    map[place]amounts
	withdrawals map[uint64]*archive.Withdrawal
	owners      map[uint64]int64 // of withdrawals
	wallets     map[[2]int64]int64
}

func newRows(ctx context.Context, s Session, k *known) *rows {
	return &rows{
		ctx: ctx, query: query.New(s), known: k, putOrder: putOrder,
		orders: map[market.OrderID]*order{}, candles: map[candleKey]archive.Candle{}, balances: map[place]amounts{},
		withdrawals: map[uint64]*archive.Withdrawal{}, owners: map[uint64]int64{}, wallets: map[[2]int64]int64{},
	}
}

// block makes rows of a block.
func (r *rows) block(b *archive.Block) {
	for i := range b.Assets {
		r.asset(&b.Assets[i])
	}
	for i := range b.Markets {
		r.market(&b.Markets[i])
	}
	for i := range b.Commands {
		r.command(b, i)
	}
	r.opened = r.opened[:0]
	for i := range b.Events {
		r.event(b, i)
	}
	for _, id := range r.opened { // who joined its market's auction and did not leave, rests
		if o := r.orders[id]; o.whole && o.Status == market.Staged {
			o.Status = market.Resting
		}
	}
	for i := range b.Balances {
		r.balance(b, &b.Balances[i])
	}
	for _, w := range b.Wallets {
		r.wallets[[2]int64{int64(w.Bank), int64(w.Wallet)}] = r.of(uint64(w.Total))
	}
}

func (r *rows) asset(a *archive.Asset) {
	r.assets = append(r.assets, []any{int64(a.ID), a.Symbol, int64(a.Decimals), a.Issuer.String()})
}

func (r *rows) market(m *archive.Market) {
	r.markets = append(r.markets, []any{int64(m.ID), int64(m.Base), int64(m.Quote)})
}

func (r *rows) command(b *archive.Block, i int) {
	c := &b.Commands[i]
	x := &c.Receipt
	r.commands = append(r.commands, []any{
		r.of(b.Height), int64(i), r.of(b.Time), x.ID[:], r.account(c.Account), int64(c.Kind), int64(x.Code), r.of(x.Number),
		r.of(uint64(x.Filled)), r.of(uint64(x.Cost)), r.of(uint64(x.Fee)), int64(x.Status),
	})
}

// event makes rows of an event. Those of orders and trades have tables of their own.
func (r *rows) event(b *archive.Block, i int) {
	e := &b.Events[i]
	switch e.Kind { //nolint:exhaustive // all others are kept as they are
	case exchange.EventOrderOpened, exchange.EventOrderReduced, exchange.EventStopTriggered, exchange.EventOrderClosed:
		r.order(b, e)
		return
	case exchange.EventTrade:
		r.trade(b, e)
		return
	case exchange.EventWithdrawalAsked, exchange.EventWithdrawalBack:
		r.withdrawal(b, e, archive.Asked)
	case exchange.EventWithdrawalSent:
		r.withdrawal(b, e, archive.Sent)
	case exchange.EventWithdrawn:
		r.withdrawal(b, e, archive.Paid)
	case exchange.EventWithdrawalCancelled:
		r.withdrawal(b, e, archive.Cancelled)
	}
	action := e.Action
	if action == nil {
		action = []byte{}
	}
	r.events = append(r.events, []any{
		r.of(b.Height), int64(i), r.of(b.Time), int64(e.Kind), r.account(e.Account), r.account(e.Other), int64(e.Asset),
		r.of(uint64(e.Amount)), r.of(e.Number), plain(e.Memo), action,
	})
}

// plain is a text as every database takes it: PostgreSQL's texts have no zero bytes, and a
// memo with one must not stop the archive (G-39).
func plain(text string) string { return strings.ReplaceAll(text, "\x00", "\uFFFD") }

// order takes over the record of an order that an event brings.
func (r *rows) order(b *archive.Block, e *exchange.Event) {
	o := r.record(e.Account, e.Order, b.Height, b.Time)
	if e.Kind == exchange.EventOrderClosed {
		o.Status, o.Reason = market.Gone, e.Reason
	} else {
		r.opened = append(r.opened, o.ID)
	}
	if old := r.orders[o.ID]; old != nil && o.Sibling == 0 {
		o.Sibling = old.Sibling
	}
	r.orders[o.ID] = o
	if e.Kind == exchange.EventOrderClosed && o.Reason == market.Linked && e.Amount > 0 {
		r.part(b, o, e.Amount)
	}
}

// part takes from an order what its pair's leg that has ended gives back of the hold that
// both shared, and that stood with it (M-17, M-62). If it has ended with it, or tells of
// itself after this, its own record says what it holds.
func (r *rows) part(b *archive.Block, left *order, back asset.Amount) {
	id := left.Sibling
	if id == 0 {
		known, err := r.query.Sibling(r.ctx, r.of(uint64(left.ID)))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			r.fail(err)
		}
		id = market.OrderID(unsigned(known))
	}
	if o := r.orders[id]; id == 0 || o != nil && o.whole && o.Status == market.Gone {
		return
	}
	o := r.filled(b, id)
	o.Hold -= back
}

func (r *rows) record(account identity.Address, x *market.Order, height, time uint64) *order {
	return &order{archive.Order{
		ID: x.ID, Market: x.Market, Side: x.Side, Kind: x.Kind, TIF: x.TIF, PostOnly: x.PostOnly, Status: x.Status,
		Price: x.Price, Quantity: x.Quantity, Quote: x.Quote, Trigger: x.Trigger, Expiry: x.Expiry, Client: x.Client, Sibling: x.Sibling,
		Placed: x.Placed, Time: x.Time, Filled: x.Filled, Value: x.Value, Fee: x.Fee, Hold: x.Hold.Amount, Changed: height, Updated: time,
	}, true, r.account(account)}
}

// trade makes rows of a fill, and of what it did to both orders.
func (r *rows) trade(b *archive.Block, e *exchange.Event) {
	f := e.Fill
	r.fills = append(r.fills, []any{
		r.of(uint64(f.Trade)), int64(f.Market), r.of(b.Height), r.of(b.Time), r.of(uint64(f.Price)), r.of(uint64(f.Quantity)),
		r.account(e.Account), r.account(e.Other), r.of(uint64(f.Maker)), r.of(uint64(f.Taker)), int64(f.TakerSide), flag(f.Inner),
		r.of(uint64(f.BuyerPaid)), r.of(uint64(f.SellerGot)), r.of(uint64(f.BuyerFee)), r.of(uint64(f.SellerFee)),
	})
	buy, sell := f.Maker, f.Taker
	if f.TakerSide == market.Buy {
		buy, sell = sell, buy
	}
	// What a hold loses may, of an order that the tables have, be counted from zero
	// downwards: both are added up in the table.
	x := r.filled(b, buy)
	x.Filled, x.Value, x.Fee, x.Hold = x.Filled+f.Quantity, x.Value+f.BuyerPaid, x.Fee+f.BuyerFee, x.Hold-f.BuyerPaid-f.BuyerReleased
	x = r.filled(b, sell)
	x.Filled, x.Value, x.Fee, x.Hold = x.Filled+f.Quantity, x.Value+f.SellerGot, x.Fee+f.SellerFee, x.Hold-f.Quantity
	for _, span := range archive.Spans() {
		r.candle(b, f, span)
	}
}

// filled is an order that has a fill, or holds less than it did.
func (r *rows) filled(b *archive.Block, id market.OrderID) *order {
	o := r.orders[id]
	if o == nil {
		o = &order{Order: archive.Order{ID: id}}
		r.orders[id] = o
	}
	o.Changed, o.Updated = b.Height, b.Time
	return o
}

// candle adds a fill to the newest candle of a line.
func (r *rows) candle(b *archive.Block, f *market.Fill, span archive.Span) {
	line, start := reel{f.Market, span}, span.Start(b.Time)
	c, asked := r.known.candles[line]
	if !asked {
		c = r.newestCandle(line)
	}
	if c == nil || c.Start != start {
		c = &archive.Candle{Market: f.Market, Span: span, Start: start}
	}
	c.Add(f.Price, f.Quantity, f.BuyerPaid, f.TakerSide)
	r.known.candles[line] = c
	r.candles[candleKey{line, start}] = *c
}

func (r *rows) newestCandle(line reel) *archive.Candle {
	row, err := r.query.NewestCandle(r.ctx, query.NewestCandleParams{Market: int64(line.market), Span: r.of(uint64(line.span))})
	if err != nil {
		if !errors.Is(err, sql.ErrNoRows) {
			r.fail(err)
		}
		return nil
	}
	c, err := candleOf(&row)
	r.fail(err)
	return &c
}

// balance notes what an account has now, if that is not what it had.
func (r *rows) balance(b *archive.Block, x *archive.Balance) {
	at, now := place{r.account(x.Account), x.Asset}, amounts{x.Available, x.Held}
	if before := r.had(at); before == now {
		return
	}
	r.known.balances[at], r.balances[at] = now, now
	r.history = append(r.history, []any{
		at.account, r.of(b.Height), int64(at.asset), r.of(b.Time), r.of(uint64(now.available)), r.of(uint64(now.held)),
	})
}

// had is what a balance was before.
func (r *rows) had(at place) amounts {
	if before, ok := r.known.balances[at]; ok {
		return before
	}
	row, err := r.query.Balance(r.ctx, query.BalanceParams{Account: at.account, Asset: int64(at.asset)})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		r.fail(err)
	}
	before := amounts{asset.Amount(unsigned(row.Available)), asset.Amount(unsigned(row.Held))}
	r.known.balances[at] = before
	return before
}

func (r *rows) withdrawal(b *archive.Block, e *exchange.Event, state archive.WithdrawalState) {
	w := r.withdrawals[e.Number]
	if w == nil {
		w = &archive.Withdrawal{Number: e.Number}
		r.withdrawals[e.Number] = w
	}
	if e.Kind == exchange.EventWithdrawalAsked {
		w.Height, w.Time = b.Height, b.Time
	}
	w.Asset, w.State, w.Amount, w.Changed, w.Updated = e.Asset, state, e.Amount, b.Height, b.Time
	r.owners[e.Number] = r.account(e.Account)
}

// account is the id of an account; nobody's is 0.
func (r *rows) account(a identity.Address) int64 {
	if a.IsZero() {
		return 0
	}
	if id, ok := r.known.accounts[a]; ok {
		return id
	}
	text := a.String()
	id, err := r.query.AccountID(r.ctx, text)
	if err != nil {
		if !errors.Is(err, sql.ErrNoRows) {
			r.fail(err)
		}
		r.known.last++
		id = r.known.last
		r.accounts = append(r.accounts, []any{id, text})
	}
	r.known.accounts[a] = id
	return id
}

func (r *rows) fail(err error) {
	if r.failed == nil {
		r.failed = err
	}
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func decimal(n int) string { return strconv.Itoa(n) }

// digits is a sum in decimal.
func digits(w asset.Wide) string {
	if w.Hi == 0 {
		return strconv.FormatUint(w.Lo, 10)
	}
	v := new(big.Int).SetUint64(w.Hi)
	return v.Lsh(v, 64).Or(v, new(big.Int).SetUint64(w.Lo)).String()
}

// wide reads digits.
func wide(text string) (asset.Wide, error) {
	v, ok := new(big.Int).SetString(text, 10)
	if !ok || v.Sign() < 0 || v.BitLen() > 128 {
		return asset.Wide{}, archive.ErrRange
	}
	low := new(big.Int).And(v, new(big.Int).SetUint64(^uint64(0)))
	return asset.Wide{Hi: new(big.Int).Rsh(v, 64).Uint64(), Lo: low.Uint64()}, nil
}
