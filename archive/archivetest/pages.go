package archivetest

import (
	"context"
	"encoding/hex"
	"fmt"
	"iter"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"souk/archive"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/identity"
	"souk/internal/bulk"
)

// pages: cursors lead through everything once, whatever the size of pages (G-35).
func pages(t *testing.T, p Place, h *History) {
	a := open(t, p, h)
	Fill(t, a, h, 100)
	for _, account := range h.Accounts() {
		want := answers(t, a, account, archive.MaxPage)
		same(t, want, answers(t, a, account, 3))
		if bulk.Whole() {
			same(t, want, answers(t, a, account, 1))
		}
	}
	stranger := exchangetest.Address("nobody ever heard of him")
	if got := answers(t, a, stranger, 10); len(got) != 0 {
		t.Errorf("a stranger has %v", got)
	}
	for _, limit := range []int{-1, 0, archive.MaxPage + 1} {
		if _, err := a.Orders(t.Context(), archive.OrderQuery{Account: stranger, Limit: limit}); err == nil {
			t.Errorf("a page of %d rows", limit)
		}
	}
}

// Answers is everything that is asked of an archive about a history, as text.
func Answers(t testing.TB, a archive.Reader, h *History) (list []string) {
	t.Helper()
	for _, account := range h.Accounts() {
		list = append(list, answers(t, a, account, 50)...)
	}
	for _, m := range h.State.Markets().Markets(nil) {
		for x := range every(t, func(ctx context.Context, last *archive.Trade) ([]archive.Trade, error) {
			return a.Trades(ctx, archive.TradeQuery{Market: m.ID, Before: last.ID, Limit: 40})
		}) {
			list = append(list, fmt.Sprintf("%+v", x))
		}
		for _, span := range archive.Spans() {
			rows, err := a.Candles(t.Context(), archive.CandleQuery{Market: m.ID, Span: span, Limit: archive.MaxPage})
			check(t, err)
			list = append(list, fmt.Sprintf("%+v", rows))
		}
	}
	rows, err := a.Gaps(t.Context())
	check(t, err)
	return append(list, fmt.Sprintf("%+v", rows))
}

// answers is everything about an account, page by page.
func answers(t testing.TB, a archive.Reader, account identity.Address, limit int) (list []string) {
	t.Helper()
	for _, state := range []archive.OrderState{archive.AnyState, archive.Open, archive.Closed} {
		for _, id := range []market.ID{0, exchangetest.BTCEUR} {
			for x := range every(t, func(ctx context.Context, last *archive.Order) ([]archive.Order, error) {
				return a.Orders(ctx, archive.OrderQuery{Account: account, State: state, Market: id, Before: last.ID, Limit: limit})
			}) {
				list = append(list, fmt.Sprintf("%d %+v", state, x))
			}
		}
	}
	for x := range every(t, func(ctx context.Context, last *archive.Fill) ([]archive.Fill, error) {
		return a.Fills(ctx, archive.FillQuery{Account: account, Before: last.Trade, Limit: limit})
	}) {
		list = append(list, fmt.Sprintf("%+v", x))
		rows, err := a.Fills(t.Context(), archive.FillQuery{Account: account, Market: x.Market, Order: x.Order, Limit: archive.MaxPage})
		check(t, err)
		if limit == 1 && len(rows) == 0 {
			t.Errorf("order %d has no fills", x.Order)
		}
		for _, f := range rows {
			if f.Order != x.Order || f.Account != account {
				t.Errorf("asked for order %d of %s, got %+v", x.Order, account, f)
			}
		}
	}
	for x := range every(t, func(ctx context.Context, last *archive.BalanceAt) ([]archive.BalanceAt, error) {
		return a.Balances(ctx, archive.BalanceQuery{Account: account, Before: archive.Cursor{Height: last.Height, Place: uint32(last.Asset)}, Limit: limit})
	}) {
		list = append(list, fmt.Sprintf("%+v", x))
	}
	for x := range every(t, func(ctx context.Context, last *archive.Deposit) ([]archive.Deposit, error) {
		return a.Deposits(ctx, archive.EventQuery{Account: account, Before: last.Cursor, Limit: limit})
	}) {
		list = append(list, fmt.Sprintf("%+v", x))
	}
	for x := range every(t, func(ctx context.Context, last *archive.Withdrawal) ([]archive.Withdrawal, error) {
		return a.Withdrawals(ctx, archive.WithdrawalQuery{Account: account, Before: last.Number, Limit: limit})
	}) {
		list = append(list, fmt.Sprintf("%+v", x))
	}
	for x := range every(t, func(ctx context.Context, last *archive.CommandAt) ([]archive.CommandAt, error) {
		return a.Commands(ctx, archive.EventQuery{Account: account, Before: last.Cursor, Limit: limit})
	}) {
		list = append(list, fmt.Sprintf("%+v", x))
	}
	return list
}

// every goes through all pages.
func every[T any](t testing.TB, ask func(context.Context, *T) ([]T, error)) iter.Seq[T] {
	return func(yield func(T) bool) {
		var last T
		for {
			rows, err := ask(t.Context(), &last)
			check(t, err)
			if len(rows) == 0 {
				return
			}
			for i := range rows {
				if !yield(rows[i]) {
					return
				}
			}
			last = rows[len(rows)-1]
		}
	}
}

func everyBalance(t testing.TB, a archive.Reader, account identity.Address) iter.Seq[archive.BalanceAt] {
	return every(t, func(ctx context.Context, last *archive.BalanceAt) ([]archive.BalanceAt, error) {
		return a.Balances(ctx, archive.BalanceQuery{
			Account: account, Before: archive.Cursor{Height: last.Height, Place: uint32(last.Asset)}, Limit: archive.MaxPage,
		})
	})
}

// dump is everything in an archive as text.
func dump(t testing.TB, a archive.Dumper) []string {
	t.Helper()
	var list []string
	var columns []archive.Column
	check(t, a.Dump(t.Context(), func(of archive.Table) error {
		columns = of.Columns
		list = append(list, "# "+of.Name)
		return nil
	}, func(values []any) error {
		var line []string
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				v = hex.EncodeToString(b)
			}
			line = append(line, fmt.Sprintf("%s=%v", columns[i].Name, v))
		}
		list = append(list, strings.Join(line, " "))
		return nil
	}))
	return list
}

// Dump is everything in an archive as text.
func Dump(t testing.TB, a archive.Dumper) []string { return dump(t, a) }

func same(t testing.TB, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		if len(diff) > 4000 {
			diff = diff[:4000] + "..."
		}
		t.Fatalf("-want +got\n%s", diff)
	}
}

// large: the largest numbers come out as they went in, sums of candles beyond them add
// up, and what no table holds is refused (G-34).
func large(t *testing.T, p Place) {
	ctx := t.Context()
	w := exchangetest.New(1)
	h := &History{Founding: w.State.Founding(), State: w.State}
	a := open(t, p, h)
	alice, bob := exchangetest.Address("alice"), exchangetest.Address("bob")
	block := func(height uint64) *archive.Block {
		return &archive.Block{
			Height: height, Time: exchangetest.Founded + height,
			Events: []exchange.Event{{Kind: exchange.EventTrade, Market: 1, Account: alice, Other: bob, Fill: &market.Fill{
				Trade: market.TradeID(height), Market: 1, Price: market.MaxPrice, Quantity: asset.MaxSupply, Maker: 1, Taker: 2,
				TakerSide: market.Buy, BuyerPaid: asset.MaxSupply, SellerGot: asset.MaxSupply,
			}}},
			Balances: []archive.Balance{{Account: alice, Asset: 1, Available: asset.MaxSupply - asset.Amount(height)}},
		}
	}
	for height := uint64(1); height <= 5; height++ {
		check(t, a.Write(ctx, height-1, []*archive.Block{block(height)}))
	}
	trades, err := a.Trades(ctx, archive.TradeQuery{Market: 1, Limit: 1})
	check(t, err)
	if trades[0].Quantity != asset.MaxSupply || trades[0].Price != market.MaxPrice {
		t.Errorf("%+v", trades[0])
	}
	candles, err := a.Candles(ctx, archive.CandleQuery{Market: 1, Span: archive.Week, Limit: 1})
	check(t, err)
	sum := asset.Mul(uint64(asset.MaxSupply), 5)
	if c := candles[0]; c.Base != sum || c.Quote != sum || c.TakerBase != sum || c.TakerQuote != sum {
		t.Errorf("%+v, want %v", c, sum)
	}
	bad := block(6)
	bad.Balances[0].Available = math.MaxInt64 + 1
	if err := a.Write(ctx, 5, []*archive.Block{bad}); err == nil {
		t.Error("a number above 2^63-1 was taken")
	}
	check(t, a.Write(ctx, 5, []*archive.Block{block(6)}))
}

// withdrawals: one goes forth and back before it is paid, in one block or over several, and
// one is heard of only after a gap.
func withdrawals(t *testing.T, p Place) {
	ctx := t.Context()
	w := exchangetest.New(1)
	a := open(t, p, &History{Founding: w.State.Founding(), State: w.State})
	alice := exchangetest.Address("alice")
	height := uint64(0)
	block := func(number uint64, kinds ...exchange.EventKind) {
		t.Helper()
		b := &archive.Block{Height: height + 1, Time: exchangetest.Founded + height}
		for i, kind := range kinds {
			b.Events = append(b.Events, exchange.Event{Kind: kind, Account: alice, Asset: 1, Number: number, Amount: asset.Amount(100 + i)})
		}
		check(t, a.Write(ctx, height, []*archive.Block{b}))
		height++
	}
	is := func(want ...archive.Withdrawal) {
		t.Helper()
		got, err := a.Withdrawals(ctx, archive.WithdrawalQuery{Account: alice, Limit: 10})
		check(t, err)
		for i := range got {
			got[i].Time, got[i].Updated = 0, 0
		}
		for i := range want {
			want[i].Account, want[i].Asset = alice, 1
		}
		same(t, want, got)
	}
	block(7, exchange.EventWithdrawalAsked)
	is(archive.Withdrawal{Number: 7, State: archive.Asked, Amount: 100, Height: 1, Changed: 1})
	block(7, exchange.EventWithdrawalSent)
	is(archive.Withdrawal{Number: 7, State: archive.Sent, Amount: 100, Height: 1, Changed: 2})
	block(7, exchange.EventWithdrawalBack)
	is(archive.Withdrawal{Number: 7, State: archive.Asked, Amount: 100, Height: 1, Changed: 3})
	block(7, exchange.EventWithdrawalSent, exchange.EventWithdrawalBack, exchange.EventWithdrawalSent, exchange.EventWithdrawn)
	is(archive.Withdrawal{Number: 7, State: archive.Paid, Amount: 103, Height: 1, Changed: 4})
	check(t, a.Gap(ctx, height, &archive.Inventory{Height: height + 5}))
	height += 5
	block(8, exchange.EventWithdrawalCancelled)
	is(archive.Withdrawal{Number: 8, State: archive.Cancelled, Amount: 100, Changed: 10}, archive.Withdrawal{Number: 7, State: archive.Paid, Amount: 103, Height: 1, Changed: 4})
}
