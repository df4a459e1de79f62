package archivetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"souk/archive"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/internal/bulk"
)

// Store is an archive under test.
type Store interface {
	archive.Archive
	archive.Reader
	archive.Dumper
}

// Place is where an archive lies.
type Place interface {
	// Open opens it, and makes it the first time. The test closes it.
	Open(t testing.TB, f *exchange.Founding) Store
	// Rows asks the database and answers each row as text, in order.
	Rows(t testing.TB, question string) []string
}

// Run tests an adapter; fresh makes an empty place.
func Run(t *testing.T, fresh func(t testing.TB) Place) {
	blocks := 240
	if !bulk.Whole() { // SQLite's translation is slow under the race detector
		blocks = 40
	}
	h := Random(1, blocks)
	t.Run("heights", func(t *testing.T) { heights(t, fresh(t), h) })
	t.Run("state", func(t *testing.T) { wholeState(t, fresh(t), h) })
	t.Run("batches", func(t *testing.T) { batches(t, fresh, h) })
	t.Run("gaps", func(t *testing.T) { gaps(t, fresh, h) })
	t.Run("broken off", func(t *testing.T) { brokenOff(t, fresh(t), h) })
	t.Run("pages", func(t *testing.T) { pages(t, fresh(t), h) })
	t.Run("views", func(t *testing.T) { views(t, fresh(t), h) })
	t.Run("withdrawals", func(t *testing.T) { withdrawals(t, fresh(t)) })
	t.Run("hostile", func(t *testing.T) { hostile(t, fresh(t)) })
	t.Run("large", func(t *testing.T) { large(t, fresh(t)) })
}

func open(t testing.TB, p Place, h *History) Store {
	t.Helper()
	a := p.Open(t, h.Founding)
	t.Cleanup(func() { check(t, a.Close()) })
	return a
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Fill writes a history from the height on at which the archive is, some blocks at a time.
func Fill(t testing.TB, a archive.Archive, h *History, batch int) {
	t.Helper()
	ctx := t.Context()
	after, err := a.Height(ctx)
	check(t, err)
	first := slices.IndexFunc(h.Blocks, func(b *archive.Block) bool { return b.Height > after })
	if first < 0 {
		return
	}
	for part := range slices.Chunk(h.Blocks[first:], batch) {
		check(t, a.Write(ctx, after, part))
		after = part[len(part)-1].Height
	}
}

// heights: repeated and disordered blocks are refused and change nothing (G-31).
func heights(t *testing.T, p Place, h *History) {
	ctx := t.Context()
	a := open(t, p, h)
	is := func(want uint64) {
		t.Helper()
		got, err := a.Height(ctx)
		check(t, err)
		if got != want {
			t.Fatalf("height %d, want %d", got, want)
		}
	}
	refused := func(err error) {
		t.Helper()
		if !errors.Is(err, archive.ErrHeight) {
			t.Fatalf("got %v, want %v", err, archive.ErrHeight)
		}
	}
	is(0)
	b := h.Blocks
	check(t, a.Write(ctx, 0, b[:2]))
	is(b[1].Height)
	before := dump(t, a)
	refused(a.Write(ctx, 0, b[2:3]))
	refused(a.Write(ctx, b[0].Height, b[1:2]))
	refused(a.Write(ctx, b[1].Height, b[1:3]))
	refused(a.Write(ctx, b[1].Height, []*archive.Block{b[3], b[2]}))
	refused(a.Write(ctx, b[2].Height, b[3:4]))
	refused(a.Gap(ctx, b[1].Height, &archive.Inventory{Height: b[1].Height}))
	refused(a.Gap(ctx, b[0].Height, &archive.Inventory{Height: b[2].Height}))
	refused(a.Correct(ctx, &archive.Inventory{Height: b[0].Height}))
	check(t, a.Write(ctx, b[1].Height, nil))
	is(b[1].Height)
	same(t, before, dump(t, a))
	check(t, a.Write(ctx, b[1].Height, b[2:3]))
	is(b[2].Height)
	check(t, a.Reset(ctx))
	is(0)
	check(t, a.Write(ctx, 0, b[:2]))
	same(t, before, dump(t, a))
}

// wholeState: what is written block by block is what the state machine has (G-32).
func wholeState(t *testing.T, p Place, h *History) {
	for kind := exchange.EventOrderOpened; kind <= exchange.EventBatch; kind++ {
		if rare := kind == exchange.EventMemberDemoted || kind == exchange.EventMemberBack || kind == exchange.EventMemberBarred ||
			kind == exchange.EventFee || kind == exchange.EventWithdrawalBack; h.Kinds()[kind] == 0 && !rare && bulk.Whole() {
			t.Errorf("the history has no event of kind %d", kind)
		}
	}
	a := open(t, p, h)
	Fill(t, a, h, 7)
	compareState(t, a, h)
	compareMarkets(t, a, h)
	for _, account := range h.Accounts() {
		compareWithdrawals(t, a, h, account)
		compareCommands(t, a, h, account)
	}
	check(t, a.Close()) // and so it stays
	b := p.Open(t, h.Founding)
	compareState(t, b, h)
	check(t, b.Close())
}

// compareState compares balances and live orders.
func compareState(t *testing.T, a Store, h *History) {
	t.Helper()
	ctx := t.Context()
	for _, account := range h.Accounts() {
		has := map[asset.ID]archive.Balance{}
		for b := range everyBalance(t, a, account) {
			if _, ok := has[b.Asset]; !ok {
				has[b.Asset] = b.Balance
			}
		}
		n, _ := h.State.Ledger().Find(account)
		for id := asset.ID(1); int(id) <= h.State.Ledger().Assets(); id++ {
			want := archive.Balance{Account: account, Asset: id, Available: h.State.Ledger().Available(n, id), Held: h.State.Ledger().Held(n, id)}
			got, ok := has[id]
			if !ok {
				got = archive.Balance{Account: account, Asset: id}
			}
			if got != want {
				t.Errorf("balance is %+v, want %+v", got, want)
			}
		}
		orders, err := a.Orders(ctx, archive.OrderQuery{Account: account, State: archive.Open, Limit: archive.MaxPage})
		check(t, err)
		compareOrders(t, h, n, orders)
	}
}

func compareOrders(t *testing.T, h *History, n ledger.Number, got []archive.Order) {
	t.Helper()
	var want []archive.Order
	for _, id := range h.State.Markets().Owned(nil, market.Owner(n)) {
		o, _ := h.State.Markets().Order(id)
		want = append(want, archive.Order{
			ID: id, Market: o.Market, Account: h.State.Ledger().Address(n), Side: o.Side, Kind: o.Kind, TIF: o.TIF, PostOnly: o.PostOnly,
			Status: o.Status, Price: o.Price, Quantity: o.Quantity, Quote: o.Quote, Trigger: o.Trigger, Expiry: o.Expiry, Client: o.Client,
			Sibling: o.Sibling, Placed: o.Placed, Time: o.Time, Filled: o.Filled, Value: o.Value, Fee: o.Fee, Hold: o.Hold.Amount,
		})
	}
	slices.SortFunc(want, func(x, y archive.Order) int { return int(y.ID) - int(x.ID) })
	if len(got) != len(want) {
		t.Fatalf("%d live orders, want %d", len(got), len(want))
	}
	for i := range got {
		o := got[i]
		o.Changed, o.Updated = 0, 0
		if want[i].Sibling == 0 {
			o.Sibling = 0 // the other leg is gone, and the archive remembers it
		}
		same(t, want[i], o)
	}
}

// compareMarkets compares trades, candles and fills with those in the blocks.
func compareMarkets(t *testing.T, a Store, h *History) {
	t.Helper()
	ctx := t.Context()
	for _, m := range h.State.Markets().Markets(nil) {
		want := h.trades(m.ID)
		got, err := a.Trades(ctx, archive.TradeQuery{Market: m.ID, After: 1<<53 - 1, Limit: 1})
		check(t, err)
		if len(got) != 0 {
			t.Fatal("a trade of the future")
		}
		if len(want) == 0 {
			continue
		}
		got, err = a.Trades(ctx, archive.TradeQuery{Market: m.ID, Limit: archive.MaxPage})
		check(t, err)
		slices.Reverse(got)
		same(t, want[max(0, len(want)-archive.MaxPage):], got)
		if last := want[len(want)-1].Price; last != m.Last {
			t.Errorf("the last price is %d, want %d", last, m.Last)
		}
		for _, span := range archive.Spans() {
			compareCandles(t, a, m.ID, span, want)
		}
	}
}

func compareCandles(t *testing.T, a Store, id market.ID, span archive.Span, trades []archive.Trade) {
	t.Helper()
	var want []archive.Candle
	for i := range trades {
		x := &trades[i]
		start := span.Start(x.Time)
		if len(want) == 0 || want[len(want)-1].Start != start {
			want = append(want, archive.Candle{Market: id, Span: span, Start: start})
		}
		want[len(want)-1].Add(x.Price, x.Quantity, x.Value, x.Taking)
	}
	q := archive.CandleQuery{Market: id, Span: span, Limit: archive.MaxPage}
	got, err := a.Candles(t.Context(), q)
	check(t, err)
	same(t, want, got)
	q.Newest, q.Limit = true, 1
	got, err = a.Candles(t.Context(), q)
	check(t, err)
	same(t, want[len(want)-1:], got)
}

func compareWithdrawals(t *testing.T, a Store, h *History, account [20]byte) {
	t.Helper()
	rows, err := a.Withdrawals(t.Context(), archive.WithdrawalQuery{Account: account, Limit: archive.MaxPage})
	check(t, err)
	got := map[uint64]archive.WithdrawalState{}
	for _, w := range rows {
		if w.State != archive.Cancelled {
			got[w.Number] = w.State
		}
	}
	same(t, h.withdrawals(account), got)
}

// compareCommands compares commands, fills and deposits of an account with the blocks.
func compareCommands(t *testing.T, a Store, h *History, account [20]byte) {
	t.Helper()
	var commands []archive.CommandAt
	var deposits []archive.Deposit
	var fills []archive.Fill
	for _, b := range h.Blocks {
		for i, c := range b.Commands {
			if c.Account == account {
				commands = append(commands, archive.CommandAt{Cursor: archive.Cursor{Height: b.Height, Place: uint32(i)}, Command: c})
			}
		}
		for i := range b.Events {
			e := &b.Events[i]
			if e.Kind == exchange.EventDeposited && e.Account == account {
				deposits = append(deposits, archive.Deposit{
					Cursor: archive.Cursor{Height: b.Height, Place: uint32(i)}, Account: account, Asset: e.Asset, Amount: e.Amount, Time: b.Time,
				})
			}
			if f := e.Fill; f != nil && (e.Account == account || e.Other == account) {
				fills = append(fills, fill(b, e, e.Account == account))
			}
		}
	}
	last := func(n int) int { return max(0, n-archive.MaxPage) }
	got, err := a.Commands(t.Context(), archive.EventQuery{Account: account, Limit: archive.MaxPage})
	check(t, err)
	slices.Reverse(got)
	for i := range got { // those without a trace have no time in their receipts
		want := &commands[last(len(commands))+i]
		if want.Receipt.Time == 0 {
			got[i].Receipt.Time, got[i].Receipt.Height = 0, 0
		}
	}
	same(t, commands[last(len(commands)):], got)
	paid, err := a.Deposits(t.Context(), archive.EventQuery{Account: account, Limit: archive.MaxPage})
	check(t, err)
	slices.Reverse(paid)
	same(t, deposits[last(len(deposits)):], paid)
	filled, err := a.Fills(t.Context(), archive.FillQuery{Account: account, Limit: archive.MaxPage})
	check(t, err)
	slices.Reverse(filled)
	same(t, fills[last(len(fills)):], filled)
}

// fill is one side of a trade.
func fill(b *archive.Block, e *exchange.Event, buyer bool) archive.Fill {
	f := e.Fill
	x := archive.Fill{
		Trade: f.Trade, Market: f.Market, Account: e.Account, Order: f.Taker, Side: market.Buy, Maker: f.TakerSide != market.Buy,
		Price: f.Price, Quantity: f.Quantity, Value: f.BuyerPaid, Fee: f.BuyerFee, Height: b.Height, Time: b.Time,
	}
	if !buyer {
		x.Account, x.Side, x.Maker, x.Value, x.Fee = e.Other, market.Sell, f.TakerSide != market.Sell, f.SellerGot, f.SellerFee
	}
	if x.Maker {
		x.Order = f.Maker
	}
	return x
}

// batches: rows do not depend on how many blocks are written at a time, nor on whether the
// archive is closed in between.
func batches(t *testing.T, fresh func(testing.TB) Place, h *History) {
	one := fresh(t)
	first := open(t, one, h)
	Fill(t, first, h, 1)
	want := dump(t, first)
	second := open(t, fresh(t), h)
	Fill(t, second, h, 1000)
	same(t, want, dump(t, second))
	place := fresh(t)
	for i := 10; i < len(h.Blocks); i += len(h.Blocks) / 4 {
		part := *h
		part.Blocks = h.Blocks[:i]
		a := place.Open(t, h.Founding)
		Fill(t, a, &part, 13)
		check(t, a.Close())
	}
	third := open(t, place, h)
	Fill(t, third, h, 13)
	same(t, want, dump(t, third))
}

// gaps: an archive that lacks blocks is right again with an inventory (G-33).
func gaps(t *testing.T, fresh func(testing.TB) Place, h *History) {
	ctx := t.Context()
	a := open(t, fresh(t), h)
	known := len(h.Blocks) / 6
	from, to := h.Blocks[known-1].Height, uint64(0)
	for height := range h.Inventories {
		if height > from+10 && (to == 0 || height < to) {
			to = height
		}
	}
	check(t, a.Write(ctx, 0, h.Blocks[:known]))
	check(t, a.Gap(ctx, from, h.Inventories[to]))
	Fill(t, a, h, 50)
	compareState(t, a, h)
	list, err := a.Gaps(ctx)
	check(t, err)
	same(t, []archive.Gap{{From: from + 1, To: to}}, list)
	check(t, a.Correct(ctx, archive.Take(h.State, h.Blocks[len(h.Blocks)-1].Height, h.Time))) // which finds nothing to correct
	compareState(t, a, h)

	late := open(t, fresh(t), h) // knows nothing of the past
	check(t, late.Gap(ctx, 0, h.Inventories[to]))
	Fill(t, late, h, 50)
	compareState(t, late, h)
}

// brokenOff: what is broken off has written nothing, and goes on from there.
func brokenOff(t *testing.T, p Place, h *History) {
	a := open(t, p, h)
	half := len(h.Blocks) / 2
	check(t, a.Write(t.Context(), 0, h.Blocks[:half]))
	before := dump(t, a)
	for n := range 8 { // at several moments of the same transaction
		ctx := &ending{Context: t.Context(), done: make(chan struct{})}
		ctx.left.Store(int32(1 + n*n*n))
		err := a.Write(ctx, h.Blocks[half-1].Height, h.Blocks[half:])
		if err == nil {
			t.Fatal("a context that ended did not end the writing")
		}
		same(t, before, dump(t, a))
	}
	Fill(t, a, h, 1000)
	compareState(t, a, h)
}

// ending is a context that ends when it was asked some times.
type ending struct {
	context.Context
	left atomic.Int32
	done chan struct{}
}

func (e *ending) Done() <-chan struct{} {
	if e.left.Add(-1) == 0 {
		close(e.done)
	}
	return e.done
}

func (e *ending) Err() error {
	select {
	case <-e.done:
		return context.Canceled
	default:
		return nil
	}
}

// views: the tables of the founding document (G-40).
func views(t *testing.T, p Place, h *History) {
	a := open(t, p, h)
	users := func() []string { return p.Rows(t, "SELECT * FROM virtual_server_001_user ORDER BY user_id_key") }
	founded := archive.AssetsFrom(h.State, 0)[:4]
	if got, want := len(strings.Split(p.Rows(t, "SELECT COUNT(*) FROM virtual_server_001_user")[0], "|")), 1; got != want {
		t.Fatal("the view of users is not there")
	}
	Fill(t, a, h, 50)
	if len(archive.AssetsFrom(h.State, 0)) == len(founded) {
		t.Fatal("the history issues nothing")
	}
	var want []string
	for _, account := range h.Accounts() {
		n, _ := h.State.Ledger().Find(account)
		line := account.String()
		for _, as := range archive.AssetsFrom(h.State, 0) {
			line += "|" + whole(h.State.Ledger().Available(n, as.ID)+h.State.Ledger().Held(n, as.ID), as.Decimals)
		}
		want = append(want, line)
	}
	slices.Sort(want)
	got := users()
	slices.Sort(got)
	// Accounts that were never heard of in an event have no row.
	got = slices.DeleteFunc(got, func(line string) bool { return !slices.Contains(want, line) })
	for _, line := range want {
		if !slices.Contains(got, line) && strings.Trim(strings.SplitN(line, "|", 2)[1], "|.0") != "" {
			t.Errorf("no row %s", line)
		}
	}
	var wallets []string
	for i, total := range h.State.Banks().Wallets(exchangetest.Bank) {
		wallets = append(wallets, fmt.Sprintf("wallet.vs-001.bank-001.bitcoin-regtest-%02d|%s", i+1, whole(total, 8)))
	}
	same(t, wallets, p.Rows(t, "SELECT wallet_id, coin_amount FROM virtual_server_001_bitcoin_regtest_wallet_bank_001 ORDER BY wallet_id"))
}

// whole is an amount with all its decimals.
func whole(a asset.Amount, decimals uint8) string {
	if decimals == 0 {
		return fmt.Sprint(uint64(a))
	}
	unit := uint64(asset.Unit(decimals))
	return fmt.Sprintf("%d.%0*d", uint64(a)/unit, int(decimals), uint64(a)%unit)
}
