package tables

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"souk/archive"
	"souk/archive/tables/query"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/identity"
)

// most is the cursor before which everything is.
const most = 1<<63 - 1

// before is a number as a cursor: zero is behind all.
func before(v uint64) int64 {
	if v == 0 || v > most {
		return most
	}
	return int64(v)
}

// clamp is a number that a table may have.
func clamp(v uint64) int64 { return int64(min(v, most)) }

// page is how many rows an answer has at most.
func page(limit int) (int32, error) {
	if limit < 1 || limit > archive.MaxPage {
		return 0, fmt.Errorf("a page has 1 to %d rows, not %d", archive.MaxPage, limit)
	}
	return int32(limit), nil
}

// place is a cursor in two numbers.
func placeOf(c archive.Cursor) (height, place int64) {
	if c == (archive.Cursor{}) {
		return most, 0
	}
	return clamp(c.Height), int64(c.Place)
}

// read begins a query: whose it is, and how many rows it may have. ok is false if
// nothing was ever heard of the account.
func (a *Archive) read(ctx context.Context, account identity.Address, limit int) (q *query.Queries, id int64, n int32, ok bool, err error) {
	if n, err = page(limit); err != nil {
		return nil, 0, 0, false, err
	}
	q = query.New(a.engine.Reader())
	id, err = q.AccountID(ctx, account.String())
	if errors.Is(err, sql.ErrNoRows) {
		return q, 0, n, false, nil
	}
	return q, id, n, err == nil, asked(err)
}

// asked says what an error was met by.
func asked(err error) error {
	if err != nil {
		return fmt.Errorf("read the archive: %w", err)
	}
	return nil
}

// Orders answers orders of an account.
func (a *Archive) Orders(ctx context.Context, x archive.OrderQuery) ([]archive.Order, error) {
	q, id, n, ok, err := a.read(ctx, x.Account, x.Limit)
	if !ok {
		return nil, err
	}
	arg := query.OrdersParams{Account: id, Before: before(uint64(x.Before)), Market: int64(x.Market), Page: n}
	var rows []query.Order
	switch x.State {
	case archive.Open:
		rows, err = q.OrdersOpen(ctx, query.OrdersOpenParams(arg))
	case archive.Closed:
		rows, err = q.OrdersClosed(ctx, query.OrdersClosedParams(arg))
	case archive.AnyState:
		rows, err = q.Orders(ctx, arg)
	}
	list := make([]archive.Order, len(rows))
	for i := range rows {
		r := &rows[i]
		list[i] = archive.Order{
			ID: market.OrderID(unsigned(r.ID)), Market: market.ID(r.Market), Account: x.Account, Side: market.Side(r.Side),
			Kind: market.Kind(r.Kind), TIF: market.TIF(r.Tif), PostOnly: r.PostOnly != 0, Status: market.Status(r.Status),
			Reason: market.Reason(r.Reason), Price: asset.Price(unsigned(r.Price)), Quantity: amount(r.Quantity), Quote: amount(r.Quote),
			Trigger: asset.Price(unsigned(r.TriggerPrice)), Expiry: unsigned(r.Expiry), Client: r.Client, Sibling: market.OrderID(unsigned(r.Sibling)),
			Placed: unsigned(r.Placed), Time: unsigned(r.Time), Filled: amount(r.Filled), Value: amount(r.Value), Fee: amount(r.Fee),
			Hold: amount(r.Hold), Changed: unsigned(r.Changed), Updated: unsigned(r.Updated),
		}
	}
	return list, asked(err)
}

func amount(v int64) asset.Amount { return asset.Amount(unsigned(v)) }

// Fills answers fills of an account: the newest of what it bought and of what it sold.
func (a *Archive) Fills(ctx context.Context, x archive.FillQuery) ([]archive.Fill, error) {
	q, id, n, ok, err := a.read(ctx, x.Account, x.Limit)
	if !ok {
		return nil, err
	}
	arg := query.FillsBoughtParams{Account: id, Before: before(uint64(x.Before)), Market: int64(x.Market), OrderID: clamp(uint64(x.Order)), Page: n}
	bought, err := q.FillsBought(ctx, arg)
	if err != nil {
		return nil, asked(err)
	}
	sold, err := q.FillsSold(ctx, query.FillsSoldParams(arg))
	if err != nil {
		return nil, asked(err)
	}
	list := make([]archive.Fill, 0, len(bought)+len(sold))
	for i := range bought {
		list = append(list, fillOf(&bought[i], x.Account, market.Buy))
	}
	for i := range sold {
		list = append(list, fillOf(&sold[i], x.Account, market.Sell))
	}
	if x.Order != 0 { // the order on the other side is somebody else's
		list = slices.DeleteFunc(list, func(f archive.Fill) bool { return f.Order != x.Order })
	}
	slices.SortFunc(list, func(x, y archive.Fill) int { return cmp.Compare(y.Trade, x.Trade) })
	return list[:min(len(list), x.Limit)], nil
}

func fillOf(r *query.Fill, account identity.Address, side market.Side) archive.Fill {
	f := archive.Fill{
		Trade: market.TradeID(unsigned(r.Trade)), Market: market.ID(r.Market), Account: account, Side: side,
		Maker: market.Side(r.Taking) != side, Order: market.OrderID(unsigned(r.Taker)),
		Price: asset.Price(unsigned(r.Price)), Quantity: amount(r.Quantity), Height: unsigned(r.Height), Time: unsigned(r.Time),
	}
	if f.Maker {
		f.Order = market.OrderID(unsigned(r.Maker))
	}
	f.Value, f.Fee = amount(r.Paid), amount(r.BuyerFee)
	if side == market.Sell {
		f.Value, f.Fee = amount(r.Got), amount(r.SellerFee)
	}
	return f
}

// Trades answers trades of a market.
func (a *Archive) Trades(ctx context.Context, x archive.TradeQuery) ([]archive.Trade, error) {
	n, err := page(x.Limit)
	if err != nil {
		return nil, err
	}
	q := query.New(a.engine.Reader())
	var rows []query.Fill
	if x.After != 0 {
		rows, err = q.TradesAfter(ctx, query.TradesAfterParams{Market: int64(x.Market), After: clamp(uint64(x.After)), Page: n})
	} else {
		rows, err = q.TradesBefore(ctx, query.TradesBeforeParams{Market: int64(x.Market), Before: before(uint64(x.Before)), Page: n})
	}
	list := make([]archive.Trade, len(rows))
	for i := range rows {
		r := &rows[i]
		list[i] = archive.Trade{
			ID: market.TradeID(unsigned(r.Trade)), Market: x.Market, Price: asset.Price(unsigned(r.Price)), Quantity: amount(r.Quantity),
			Value: amount(r.Paid), Maker: market.OrderID(unsigned(r.Maker)), Taker: market.OrderID(unsigned(r.Taker)), Taking: market.Side(r.Taking),
			Inner: r.InnerCross != 0, Height: unsigned(r.Height), Time: unsigned(r.Time),
		}
	}
	return list, asked(err)
}

// Candles answers candles of a market, the oldest first.
func (a *Archive) Candles(ctx context.Context, x archive.CandleQuery) ([]archive.Candle, error) {
	n, err := page(x.Limit)
	if err != nil {
		return nil, err
	}
	q := query.New(a.engine.Reader())
	arg := query.CandlesFirstParams{Market: int64(x.Market), Span: clamp(uint64(x.Span)), FromStart: clamp(x.From), ToStart: before(x.To), Page: n}
	var rows []query.Candle
	if x.Newest {
		rows, err = q.CandlesLast(ctx, query.CandlesLastParams(arg))
		slices.Reverse(rows)
	} else {
		rows, err = q.CandlesFirst(ctx, arg)
	}
	list := make([]archive.Candle, len(rows))
	for i := range rows {
		var bad error
		list[i], bad = candleOf(&rows[i])
		err = cmp.Or(err, bad)
	}
	return list, asked(err)
}

func candleOf(r *query.Candle) (archive.Candle, error) {
	c := archive.Candle{
		Market: market.ID(r.Market), Span: archive.Span(unsigned(r.Span)), Start: unsigned(r.Start), Open: asset.Price(unsigned(r.Open)),
		High: asset.Price(unsigned(r.High)), Low: asset.Price(unsigned(r.Low)), Close: asset.Price(unsigned(r.Close)), Trades: unsigned(r.Trades),
	}
	var err error
	for _, sum := range []struct {
		to   *asset.Wide
		text string
	}{{&c.Base, r.Base}, {&c.Quote, r.Quote}, {&c.TakerBase, r.TakerBase}, {&c.TakerQuote, r.TakerQuote}} {
		var bad error
		*sum.to, bad = wide(sum.text)
		err = cmp.Or(err, bad)
	}
	return c, err
}

// Balances answers what an account had over time.
func (a *Archive) Balances(ctx context.Context, x archive.BalanceQuery) ([]archive.BalanceAt, error) {
	q, id, n, ok, err := a.read(ctx, x.Account, x.Limit)
	if !ok {
		return nil, err
	}
	height, place := placeOf(x.Before)
	rows, err := q.BalanceHistory(ctx, query.BalanceHistoryParams{Account: id, Asset: int64(x.Asset), Height: height, Place: place, Page: n})
	list := make([]archive.BalanceAt, len(rows))
	for i := range rows {
		r := &rows[i]
		list[i] = archive.BalanceAt{
			Balance: archive.Balance{Account: x.Account, Asset: asset.ID(r.Asset), Available: amount(r.Available), Held: amount(r.Held)},
			Height:  unsigned(r.Height), Time: unsigned(r.Time),
		}
	}
	return list, asked(err)
}

// Deposits answers deposits of an account.
func (a *Archive) Deposits(ctx context.Context, x archive.EventQuery) ([]archive.Deposit, error) {
	q, id, n, ok, err := a.read(ctx, x.Account, x.Limit)
	if !ok {
		return nil, err
	}
	height, place := placeOf(x.Before)
	rows, err := q.Deposits(ctx, query.DepositsParams{Account: id, Kind: int64(exchange.EventDeposited), Height: height, Place: place, Page: n})
	list := make([]archive.Deposit, len(rows))
	for i := range rows {
		r := &rows[i]
		list[i] = archive.Deposit{
			Cursor:  archive.Cursor{Height: unsigned(r.Height), Place: uint32(r.Place)},
			Account: x.Account, Asset: asset.ID(r.Asset), Amount: amount(r.Amount), Time: unsigned(r.Time),
		}
	}
	return list, asked(err)
}

// Withdrawals answers withdrawals of an account.
func (a *Archive) Withdrawals(ctx context.Context, x archive.WithdrawalQuery) ([]archive.Withdrawal, error) {
	q, id, n, ok, err := a.read(ctx, x.Account, x.Limit)
	if !ok {
		return nil, err
	}
	rows, err := q.Withdrawals(ctx, query.WithdrawalsParams{Account: id, Before: before(x.Before), Page: n})
	list := make([]archive.Withdrawal, len(rows))
	for i := range rows {
		r := &rows[i]
		list[i] = archive.Withdrawal{
			Number: unsigned(r.ID), Account: x.Account, Asset: asset.ID(r.Asset), State: archive.WithdrawalState(r.State), Amount: amount(r.Amount),
			Height: unsigned(r.Height), Time: unsigned(r.Time), Changed: unsigned(r.Changed), Updated: unsigned(r.Updated),
		}
	}
	return list, asked(err)
}

// Commands answers commands of an account.
func (a *Archive) Commands(ctx context.Context, x archive.EventQuery) ([]archive.CommandAt, error) {
	q, id, n, ok, err := a.read(ctx, x.Account, x.Limit)
	if !ok {
		return nil, err
	}
	height, place := placeOf(x.Before)
	rows, err := q.Commands(ctx, query.CommandsParams{Account: id, Height: height, Place: place, Page: n})
	list := make([]archive.CommandAt, len(rows))
	for i := range rows {
		r := &rows[i]
		list[i] = archive.CommandAt{
			Cursor: archive.Cursor{Height: unsigned(r.Height), Place: uint32(r.Place)},
			Command: archive.Command{Account: x.Account, Kind: exchange.Kind(r.Kind), Receipt: exchange.Receipt{
				ID: exchange.CommandID(r.ID), Code: exchange.Code(r.Code), Height: unsigned(r.Height), Time: unsigned(r.Time), Number: unsigned(r.Number),
				Filled: amount(r.Filled), Cost: amount(r.Cost), Fee: amount(r.Fee), Status: market.Status(r.Status),
			}},
		}
	}
	return list, asked(err)
}

// Gaps answers which blocks are not known.
func (a *Archive) Gaps(ctx context.Context) ([]archive.Gap, error) {
	rows, err := query.New(a.engine.Reader()).Gaps(ctx)
	list := make([]archive.Gap, len(rows))
	for i := range rows {
		list[i] = archive.Gap{From: unsigned(rows[i].First), To: unsigned(rows[i].Last)}
	}
	return list, asked(err)
}
