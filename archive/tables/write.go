package tables

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"souk/archive"
	"souk/archive/tables/query"
	"souk/asset"
	"souk/exchange/market"
	"souk/identity"
)

// Statements that write rows of which the key may be there.
var ( //nolint:gochecknoglobals // constants
	putOrder = tableOrders.upsert(orderChanges()...)
	// fitOrder is putOrder, but an order that is so already is not touched.
	fitOrder = fittingOrder()
	// addFill takes away from holds what is added here as a negative number.
	addFill = "UPDATE orders SET filled = filled + $2, value = value + $3, fee = fee + $4, hold = hold + $5, " +
		"changed = $6, updated = $7 WHERE id = $1"
	putCandle     = tableCandles.upsert()
	putBalance    = tableBalances.upsert()
	putHistory    = tableHistory.upsert()
	putWithdrawal = tableWithdrawals.upsert("account = excluded.account", "asset = excluded.asset", "state = excluded.state", "amount = excluded.amount",
		"height = CASE WHEN excluded.height = 0 THEN withdrawals.height ELSE excluded.height END",
		"time = CASE WHEN excluded.time = 0 THEN withdrawals.time ELSE excluded.time END", "changed = excluded.changed", "updated = excluded.updated")
	putWallet = tableWallets.upsert()
	putAsset  = tableAssets.upsert()
	putMarket = tableMarkets.upsert()
	putBank   = tableBanks.upsert()
)

// orderChanges changes all columns of an order, but a sibling stays that was there once.
func orderChanges() (list []string) {
	for _, c := range tableOrders.names()[1:] {
		if c == "sibling" {
			list = append(list, "sibling = CASE WHEN excluded.sibling = 0 THEN orders.sibling ELSE excluded.sibling END")
			continue
		}
		list = append(list, c+" = excluded."+c)
	}
	return list
}

// fittingOrder is the statement that writes an order if it is another than the one that is there:
// when it changed stays as it is otherwise, and after each start of a server whose archive has a
// gap all live orders are looked at. Of one of which only the sibling is new nothing else changes.
func fittingOrder() string {
	var old, late []string
	for _, c := range tableOrders.names()[1:] {
		if c != "sibling" && c != "changed" && c != "updated" {
			old, late = append(old, "orders."+c), append(late, "excluded."+c)
		}
	}
	same := "(" + strings.Join(old, ", ") + ") = (" + strings.Join(late, ", ") + ")"
	list := orderChanges()
	for i, c := range tableOrders.names()[1:] {
		if c == "changed" || c == "updated" {
			list[i] = c + " = CASE WHEN " + same + " THEN orders." + c + " ELSE excluded." + c + " END"
		}
	}
	return tableOrders.upsert(list...) + " WHERE NOT (" + same + ") OR excluded.sibling <> 0 AND excluded.sibling <> orders.sibling"
}

// Write adds blocks.
func (a *Archive) Write(ctx context.Context, after uint64, blocks []*archive.Block) error {
	last := after
	for _, b := range blocks {
		if b.Height <= last {
			return fmt.Errorf("%w: block %d behind %d", archive.ErrHeight, b.Height, last)
		}
		last = b.Height
	}
	if len(blocks) == 0 {
		return nil
	}
	return a.write(ctx, func(s Session) error {
		if err := at(ctx, s, after); err != nil {
			return err
		}
		if err := a.remember(ctx, s, after); err != nil {
			return err
		}
		r := newRows(ctx, s, a.known)
		for _, b := range blocks {
			r.block(b)
		}
		if err := r.write(s); err != nil {
			return err
		}
		if len(r.assets) > 0 {
			if err := a.views(ctx, s); err != nil {
				return err
			}
		}
		a.known.height = last
		newest := blocks[len(blocks)-1]
		return query.New(s).Advance(ctx, query.AdvanceParams{Height: r.of(last), Time: r.of(newest.Time)})
	})
}

// remember makes sure that what the writer remembers is of a height.
func (a *Archive) remember(ctx context.Context, s Session, height uint64) error {
	k := a.known
	if k == nil || k.height != height || len(k.accounts) > mostAccounts || len(k.balances) > mostBalances {
		last, err := query.New(s).LastAccount(ctx)
		if err != nil {
			return err
		}
		a.known = &known{
			height: height, accounts: map[identity.Address]int64{}, last: last, balances: map[place]amounts{}, candles: map[reel]*archive.Candle{},
		}
	}
	return nil
}

// write writes all rows. Those that lie far apart are brought in order first, which
// spares the database half of its way.
func (r *rows) write(s Session) error {
	slices.SortFunc(r.history, byHistory)
	for _, t := range []struct {
		table *table
		rows  [][]any
	}{{tableAccounts, r.accounts}, {tableFills, r.fills}, {tableHistory, r.history}, {tableEvents, r.events}, {tableCommands, r.commands}} {
		if r.failed == nil && r.err == nil && len(t.rows) > 0 {
			r.fail(s.Insert(r.ctx, t.table.name, t.table.names(), t.rows))
		}
	}
	r.each(s, putHistory, r.amended)
	whole, added := r.orderRows()
	r.each(s, putAsset, r.assets)
	r.each(s, putMarket, r.markets)
	r.each(s, r.putOrder, whole)
	r.each(s, addFill, added)
	r.each(s, putCandle, r.candleRows())
	r.each(s, putBalance, r.balanceRows())
	r.each(s, putWithdrawal, r.withdrawalRows())
	r.each(s, putWallet, r.walletRows())
	return cmp.Or(r.failed, r.err)
}

// byHistory orders rows of balances by account, height and asset.
func byHistory(x, y []any) int {
	for i := range 3 {
		a, _ := x[i].(int64)
		b, _ := y[i].(int64)
		if c := cmp.Compare(a, b); c != 0 {
			return c
		}
	}
	return 0
}

// each runs a statement for each row, if nothing has failed yet.
func (r *rows) each(s Session, statement string, rows [][]any) {
	if r.failed == nil && r.err == nil && len(rows) > 0 {
		r.fail(s.Each(r.ctx, statement, rows))
	}
}

func (r *rows) orderRows() (whole, added [][]any) {
	for _, id := range slices.Sorted(maps.Keys(r.orders)) {
		o := r.orders[id]
		if o.whole {
			whole = append(whole, r.orderRow(o))
			continue
		}
		added = append(added, []any{
			r.of(uint64(id)), r.of(uint64(o.Filled)), r.of(uint64(o.Value)), r.of(uint64(o.Fee)), int64(o.Hold),
			r.of(o.Changed), r.of(o.Updated),
		})
	}
	return whole, added
}

func (r *rows) orderRow(o *order) []any {
	return []any{
		r.of(uint64(o.ID)), o.account, int64(o.Market), int64(o.Side), int64(o.Kind), int64(o.TIF), flag(o.PostOnly), int64(o.Status),
		int64(o.Reason), r.of(uint64(o.Price)), r.of(uint64(o.Quantity)), r.of(uint64(o.Quote)), r.of(uint64(o.Trigger)), r.of(o.Expiry),
		o.Client, r.of(uint64(o.Sibling)), r.of(o.Placed), r.of(o.Time), r.of(uint64(o.Filled)), r.of(uint64(o.Value)), r.of(uint64(o.Fee)),
		r.of(uint64(o.Hold)), r.of(o.Changed), r.of(o.Updated),
	}
}

func (r *rows) candleRows() (list [][]any) {
	keys := slices.SortedFunc(maps.Keys(r.candles), func(x, y candleKey) int {
		return cmp.Or(cmp.Compare(x.market, y.market), cmp.Compare(x.span, y.span), cmp.Compare(x.start, y.start))
	})
	for _, k := range keys {
		c := r.candles[k]
		list = append(list, []any{
			int64(k.market), r.of(uint64(k.span)), r.of(k.start), r.of(uint64(c.Open)), r.of(uint64(c.High)), r.of(uint64(c.Low)),
			r.of(uint64(c.Close)), r.of(c.Trades), digits(c.Base), digits(c.Quote), digits(c.TakerBase), digits(c.TakerQuote),
		})
	}
	return list
}

func (r *rows) balanceRows() (list [][]any) {
	for _, at := range slices.SortedFunc(maps.Keys(r.balances), func(x, y place) int {
		return cmp.Or(cmp.Compare(x.account, y.account), cmp.Compare(x.asset, y.asset))
	}) {
		b := r.balances[at]
		list = append(list, []any{at.account, int64(at.asset), r.of(uint64(b.available)), r.of(uint64(b.held))})
	}
	return list
}

func (r *rows) withdrawalRows() (list [][]any) {
	for _, number := range slices.Sorted(maps.Keys(r.withdrawals)) {
		w := r.withdrawals[number]
		list = append(list, []any{
			r.of(number), r.owners[number], int64(w.Asset), int64(w.State), r.of(uint64(w.Amount)), r.of(w.Height), r.of(w.Time),
			r.of(w.Changed), r.of(w.Updated),
		})
	}
	return list
}

func (r *rows) walletRows() (list [][]any) {
	for _, k := range slices.SortedFunc(maps.Keys(r.wallets), func(x, y [2]int64) int {
		return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]))
	}) {
		list = append(list, []any{k[0], k[1], r.wallets[k]})
	}
	return list
}

// Correct makes the tables fit an inventory.
func (a *Archive) Correct(ctx context.Context, in *archive.Inventory) error {
	return a.write(ctx, func(s Session) error {
		if err := at(ctx, s, in.Height); err != nil {
			return err
		}
		return a.correct(ctx, s, in)
	})
}

func (a *Archive) correct(ctx context.Context, s Session, in *archive.Inventory) error {
	a.known = nil
	if err := a.remember(ctx, s, in.Height); err != nil {
		return err
	}
	r := newRows(ctx, s, a.known)
	r.putOrder = fitOrder
	for i := range in.Assets {
		r.asset(&in.Assets[i])
	}
	for i := range in.Markets {
		r.market(&in.Markets[i])
	}
	for _, w := range in.Wallets {
		r.wallets[[2]int64{int64(w.Bank), int64(w.Wallet)}] = r.of(uint64(w.Total))
	}
	stray, err := r.correctOrders(in)
	if err != nil {
		return err
	}
	if err := r.correctBalances(in); err != nil {
		return err
	}
	if err := r.write(s); err != nil {
		return err
	}
	r.each(s, "UPDATE orders SET status = 0, hold = 0, changed = $2, updated = $3 WHERE id = $1", stray)
	r.each(s, putBank, bankRows(in.Banks))
	if err := cmp.Or(r.failed, r.err); err != nil {
		return err
	}
	if err := query.New(s).Advance(ctx, query.AdvanceParams{Height: r.of(in.Height), Time: r.of(in.Time)}); err != nil {
		return err
	}
	return a.views(ctx, s)
}

// correctOrders writes the live orders, and answers those that are not live any more.
func (r *rows) correctOrders(in *archive.Inventory) (stray [][]any, err error) {
	open, err := r.query.OpenOrders(r.ctx)
	if err != nil {
		return nil, err
	}
	for i := range in.Orders {
		x := &in.Orders[i]
		r.orders[x.Order.ID] = r.record(x.Account, &x.Order, in.Height, in.Time)
	}
	for _, id := range open {
		if !in.Part && r.orders[market.OrderID(unsigned(id))] == nil {
			stray = append(stray, []any{id, r.of(in.Height), r.of(in.Time)})
		}
	}
	return stray, nil
}

// correctBalances writes the balances that are not as the tables have them.
func (r *rows) correctBalances(in *archive.Inventory) error {
	rows, err := r.query.Balances(r.ctx)
	if err != nil {
		return err
	}
	gone := map[place]identity.Address{}
	for i := range rows {
		b := &rows[i]
		address, err := identity.ParseAddress(b.Address)
		if err != nil {
			return err
		}
		at := place{b.Account, asset.ID(unsigned(b.Asset))}
		gone[at] = address
		r.known.accounts[address] = b.Account
		r.known.balances[at] = amounts{asset.Amount(unsigned(b.Available)), asset.Amount(unsigned(b.Held))}
	}
	block := &archive.Block{Height: in.Height, Time: in.Time}
	for i := range in.Balances {
		b := &in.Balances[i]
		r.balance(block, b)
		delete(gone, place{r.account(b.Account), b.Asset})
	}
	if in.Part {
		clear(gone)
	}
	for _, at := range slices.SortedFunc(maps.Keys(gone), func(x, y place) int {
		return cmp.Or(cmp.Compare(x.account, y.account), cmp.Compare(x.asset, y.asset))
	}) {
		r.balance(block, &archive.Balance{Account: gone[at], Asset: at.asset})
	}
	r.history, r.amended = nil, r.history
	return nil
}

// bankRows numbers banks by their networks.
func bankRows(banks []archive.Bank) (list [][]any) {
	numbers := map[string]int64{}
	for _, b := range banks {
		numbers[b.Network]++
		list = append(list, []any{int64(b.ID), int64(b.Asset), b.Network, numbers[b.Network]})
	}
	return list
}
