package check_test

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/merkle"
	"souk/sim/check"
)

// recorded is a sound history, which every plant spoils in one place.
type recorded struct {
	founding *exchange.Founding
	blocks   []*exchange.Block
	again    exchange.Command // shares its nonce with one that an earlier block executes
}

// record makes a history with a bank, by seed.
func record() *recorded {
	r := &recorded{founding: exchangetest.BankFounding(4)}
	w := exchangetest.From(r.founding)
	apply := w.State.Apply
	w.Applied = func(b *exchange.Block) *exchange.Result {
		r.blocks = append(r.blocks, b)
		return apply(b)
	}
	random := exchangetest.NewBankRandom(w, 8, 7)
	// With a delay, so that it is in no transaction when it is cancelled.
	w.Block(w.Command("a0", &exchange.SetWithdrawals{Settings: custody.Settings{Delay: custody.MaxDelay}}))
	asked := w.Command("a0", &exchange.Withdraw{Request: custody.Request{
		Bank: exchangetest.Bank, Script: exchangetest.Output("a0"), Amount: 1e6, MaxFee: 10_000, Salt: custody.Salt{1},
	}})
	number := w.Block(asked).Receipts[0].Number
	w.Block(w.Command("a0", &exchange.CancelWithdrawal{Withdrawal: custody.ID(number)}))
	fees := w.State.Params()
	fees.FeeAsset, fees.Fee = exchangetest.EUR, 5
	action := roster.AppendAction(nil, roster.SetParams{Params: fees.Append(nil)}, uint32(w.Height))
	var votes []exchange.Command
	for i := range 4 {
		votes = append(votes, w.Command(exchangetest.MemberName(i), &exchange.Vote{Approve: true, Action: action}))
	}
	w.Block(votes...)
	for range 24 {
		w.Block(random.Block(40)...)
	}
	first := w.Command("a1", &exchange.Transfer{To: exchangetest.Address("a2"), Asset: exchangetest.EUR, Amount: 5})
	r.again = w.Command("a1", &exchange.Transfer{To: exchangetest.Address("a3"), Asset: exchangetest.EUR, Amount: 6})
	r.again.Nonce = first.Nonce
	if err := r.again.Sign(w.State.ID(), exchangetest.Key("a1")); err != nil {
		panic(err)
	}
	w.Block(first)
	w.Block(first, r.again)
	return r
}

func (r *recorded) auditor(t *testing.T) *check.Auditor {
	t.Helper()
	a, err := check.New(r.founding)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// spoiler changes what a block reports; false if there is nothing for it to change.
type spoiler func(a *check.Auditor, b *exchange.Block, res *exchange.Result) bool

// plant replays the history with one fault. What the check finds after it is the
// error of that block, or, if the block passes, of the comparison of everything.
func (r *recorded) plant(t *testing.T, what string, spoil spoiler) error {
	t.Helper()
	a := r.auditor(t)
	for _, b := range r.blocks {
		planted, err := a.Plant(b, func(res *exchange.Result) bool { return spoil(a, b, res) })
		switch {
		case planted && err == nil:
			return a.Full()
		case planted:
			return err
		case err != nil:
			t.Fatalf("nothing is planted yet, and %v", err)
		}
	}
	t.Fatalf("the history has no place for %s", what)
	return nil
}

// event spoils the first event of a kind that change wants to change. It may change
// the order and the fill too, which are copies.
func event(kind exchange.EventKind, change func(e *exchange.Event) bool) spoiler {
	return func(_ *check.Auditor, _ *exchange.Block, res *exchange.Result) bool {
		for i := range res.Events {
			e := res.Events[i]
			if e.Kind != kind {
				continue
			}
			if e.Order != nil {
				o := *e.Order
				e.Order = &o
			}
			if e.Fill != nil {
				f := *e.Fill
				e.Fill = &f
			}
			if change(&e) {
				res.Events[i] = e
				return true
			}
		}
		return false
	}
}

// always makes a change that finds something in every event.
func always(change func(e *exchange.Event)) func(*exchange.Event) bool {
	return func(e *exchange.Event) bool { change(e); return true }
}

// trade spoils a fill.
func trade(change func(f *market.Fill)) spoiler {
	return event(exchange.EventTrade, always(func(e *exchange.Event) { change(e.Fill) }))
}

// gone leaves the first event of a kind out.
func gone(kind exchange.EventKind) spoiler {
	return func(_ *check.Auditor, _ *exchange.Block, res *exchange.Result) bool {
		at := slices.IndexFunc(res.Events, func(e exchange.Event) bool { return e.Kind == kind })
		if at < 0 {
			return false
		}
		res.Events = slices.Delete(slices.Clone(res.Events), at, at+1)
		return true
	}
}

// twice reports the first event of a kind twice.
func twice(kind exchange.EventKind) spoiler {
	return func(_ *check.Auditor, _ *exchange.Block, res *exchange.Result) bool {
		at := slices.IndexFunc(res.Events, func(e exchange.Event) bool { return e.Kind == kind })
		if at < 0 {
			return false
		}
		res.Events = slices.Insert(slices.Clone(res.Events), at, res.Events[at])
		return true
	}
}

// invented adds an event that never happened, once there was a trade.
func invented(e exchange.Event) spoiler {
	return func(a *check.Auditor, _ *exchange.Block, res *exchange.Result) bool {
		if a.Counts().Trades == 0 {
			return false
		}
		res.Events = append(slices.Clone(res.Events), e)
		return true
	}
}

// receipts spoils the receipts of a block that has executed something.
func receipts(change func(b *exchange.Block, r []exchange.Receipt) bool) spoiler {
	return func(_ *check.Auditor, b *exchange.Block, res *exchange.Result) bool {
		return len(res.Receipts) > 1 && change(b, res.Receipts)
	}
}

// caught wants every fault to be found out by its invariant.
func (r *recorded) caught(t *testing.T, invariant string, faults map[string]spoiler) {
	t.Helper()
	for what, spoil := range faults {
		if err := r.plant(t, what, spoil); err == nil || !strings.Contains(err.Error(), invariant+": ") {
			t.Errorf("%s: %s is not caught: %v", invariant, what, err)
		}
	}
}

// The history in which the faults are planted is sound.
func TestPlantNothing(t *testing.T) {
	r := record()
	a := r.auditor(t)
	for _, b := range r.blocks {
		if _, err := a.Block(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(a.Full(), a.Reload()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", *a.Counts())
}

// I1, I3, I5: money that comes from nowhere, or goes there.
func TestPlantMoney(t *testing.T) {
	r := record()
	more := always(func(e *exchange.Event) { e.Amount++ })
	r.caught(t, "I1", map[string]spoiler{
		"a mint that nobody reports":         gone(exchange.EventMinted),
		"a mint of one unit more":            event(exchange.EventMinted, more),
		"a mint to somebody else":            event(exchange.EventMinted, always(func(e *exchange.Event) { e.Other = exchangetest.Address("thief") })),
		"a transfer that nobody reports":     gone(exchange.EventTransfer),
		"a transfer of one unit more":        event(exchange.EventTransfer, more),
		"a transfer to somebody else":        event(exchange.EventTransfer, always(func(e *exchange.Event) { e.Other = exchangetest.Address("thief") })),
		"an escrow of one unit more":         event(exchange.EventEscrowLocked, more),
		"a fee that nobody reports":          gone(exchange.EventFee),
		"a fee of one unit more":             event(exchange.EventFee, more),
		"a deposit of one unit more":         event(exchange.EventDeposited, more),
		"a withdrawal that nobody asked for": gone(exchange.EventWithdrawalAsked),
		"a deposit counted twice":            twice(exchange.EventDeposited),
		"a withdrawal sent and not taken":    gone(exchange.EventWithdrawalSent),
	})
	r.caught(t, "I3", map[string]spoiler{
		"a transfer of more than there is": event(exchange.EventTransfer, always(func(e *exchange.Event) { e.Amount = asset.MaxSupply })),
		"an escrow of more than there is":  event(exchange.EventEscrowLocked, always(func(e *exchange.Event) { e.Amount = asset.MaxSupply })),
		"a fee of more than there is":      event(exchange.EventFee, always(func(e *exchange.Event) { e.Amount = asset.MaxSupply })),
	})
}

// I1: every term of an asset's sum counts.
func TestPlantAudit(t *testing.T) {
	r := record()
	a := r.auditor(t)
	for _, b := range r.blocks {
		if _, err := a.Block(b); err != nil {
			t.Fatal(err)
		}
	}
	for what, spoil := range map[string]func(*ledger.Audit){
		"supply":       func(x *ledger.Audit) { x.Supply++ },
		"available":    func(x *ledger.Audit) { x.Available++ },
		"held":         func(x *ledger.Audit) { x.Held++ },
		"locked":       func(x *ledger.Audit) { x.Locked++ },
		"fees":         func(x *ledger.Audit) { x.Fees++ },
		"dust":         func(x *ledger.Audit) { x.Dust++ },
		"reserve":      func(x *ledger.Audit) { x.Reserve++ },
		"not balanced": func(x *ledger.Audit) { x.Balanced = false },
	} {
		for _, terms := range a.State().Audit() {
			if err := a.Audited(&terms); err != nil {
				t.Fatal(err)
			}
			spoil(&terms)
			if err := a.Audited(&terms); err == nil || !strings.HasPrefix(err.Error(), "I1: ") {
				t.Errorf("%s of asset %d is off by one: %v", what, terms.Asset, err)
			}
		}
	}
}

// I4: fills beyond an order's amount, limit or life, and crossed books.
func TestPlantOrders(t *testing.T) {
	opened := func(change func(o *market.Order) bool) spoiler {
		return event(exchange.EventOrderOpened, func(e *exchange.Event) bool { return change(e.Order) })
	}
	record().caught(t, "I4", map[string]spoiler{
		"a price above the buyer's limit":  trade(func(f *market.Fill) { f.Price = asset.Price(asset.MaxSupply) }),
		"a price below the seller's limit": trade(func(f *market.Fill) { f.Price = 0 }),
		"more than the order":              trade(func(f *market.Fill) { f.Quantity += 1e15 }),
		"a trade of the other side":        trade(func(f *market.Fill) { f.TakerSide = market.Buy + market.Sell - f.TakerSide }),
		"a trade of no order":              trade(func(f *market.Fill) { f.Maker += 1 << 40 }),
		"a trade of somebody else": event(exchange.EventTrade, always(func(e *exchange.Event) {
			e.Account = exchangetest.Address("thief")
		})),
		"a trade that nobody reports": gone(exchange.EventTrade),
		"a trade with oneself":        event(exchange.EventTrade, always(func(e *exchange.Event) { e.Other = e.Account })),
		"a trade that counts twice": func(a *check.Auditor, b *exchange.Block, res *exchange.Result) bool {
			return twice(exchange.EventTrade)(a, b, res)
		},
		"a trade in another market": trade(func(f *market.Fill) { f.Market = 3 - f.Market }),
		"an order that opens twice": twice(exchange.EventOrderOpened),
		"an order that closes and was never opened": func(_ *check.Auditor, _ *exchange.Block, res *exchange.Result) bool {
			return unopened(res)
		},
		"an order that closes without a word": gone(exchange.EventOrderClosed),
		"an order that closes twice":          twice(exchange.EventOrderClosed),
		"filled, it says, and is not": event(exchange.EventOrderClosed, func(e *exchange.Event) bool {
			was := e.Reason
			e.Reason = market.Filled
			return was != market.Filled && e.Order.Quote == 0
		}),
		"expired, it says, before its time": event(exchange.EventOrderClosed, func(e *exchange.Event) bool {
			was := e.Reason
			e.Reason = market.Expired
			return was == market.Cancelled
		}),
		"a record that forgets a fill": event(exchange.EventOrderClosed, func(e *exchange.Event) bool {
			was := e.Order.Filled
			e.Order.Filled = 0
			return was != 0 && e.Order.Quantity != 0
		}),
		"a trade after the order's expiry": func(_ *check.Auditor, b *exchange.Block, res *exchange.Result) bool {
			return expire(b, res)
		},
		"a stop that triggers as it waits no more": twice(exchange.EventStopTriggered),
		"a market order that rests": opened(func(o *market.Order) bool {
			was := o.Kind
			o.Kind = market.MarketOrder
			return was == market.LimitOrder && o.TIF == market.GTC
		}),
		"a crossed book": cross,
	})
}

// unopened forgets that an order was opened which the block closes.
func unopened(res *exchange.Result) bool {
	for _, e := range res.Events {
		at := slices.IndexFunc(res.Events, func(o exchange.Event) bool {
			return e.Kind == exchange.EventOrderClosed && o.Kind == exchange.EventOrderOpened && o.Order.ID == e.Order.ID
		})
		if at >= 0 {
			res.Events = slices.Delete(slices.Clone(res.Events), at, at+1)
			return true
		}
	}
	return false
}

// expire gives an order that trades in the block that opens it an expiry before that.
func expire(b *exchange.Block, res *exchange.Result) bool {
	for _, e := range res.Events {
		if e.Kind != exchange.EventTrade {
			continue
		}
		at := slices.IndexFunc(res.Events, func(o exchange.Event) bool {
			return o.Kind == exchange.EventOrderOpened && o.Order.ID == e.Fill.Taker
		})
		if at >= 0 {
			o := *res.Events[at].Order
			o.Expiry = b.Time
			res.Events[at].Order = &o
			return true
		}
	}
	return false
}

// cross lets a buy rest at a price above that of every sell, if nothing else of the
// block is about it and its book has a sell.
func cross(a *check.Auditor, _ *exchange.Block, res *exchange.Result) bool {
	sells := map[market.ID]bool{}
	for o := range a.State().Markets().Orders() {
		if o.Side == market.Sell && o.Status != market.Waiting {
			sells[o.Market] = true
		}
	}
	about := map[market.OrderID]int{}
	for _, e := range res.Events {
		switch {
		case e.Fill != nil:
			about[e.Fill.Maker]++
			about[e.Fill.Taker]++
		case e.Order != nil:
			about[e.Order.ID]++
		}
	}
	for i := range res.Events {
		o := res.Events[i].Order
		if res.Events[i].Kind != exchange.EventOrderOpened || o.Side != market.Buy || o.Kind != market.LimitOrder || !sells[o.Market] || about[o.ID] != 1 {
			continue
		}
		spoilt := *o
		spoilt.Price = asset.Price(asset.MaxSupply)
		res.Events[i].Order = &spoilt
		return true
	}
	return false
}

// I6: a command or a nonce used twice, and receipts of something else. I21 beside it:
// K-7, K-9 and B-8, which the same steps check.
func TestPlantReceipts(t *testing.T) {
	r := record()
	executed := func(id exchange.CommandID) spoiler {
		return func(a *check.Auditor, b *exchange.Block, res *exchange.Result) bool {
			last := b.Height == uint64(len(r.blocks))
			for i := range b.Commands {
				if last && b.Commands[i].ID == id {
					res.Receipts[i] = exchange.Receipt{ID: id, Code: exchange.OK, Height: b.Height, Time: b.Time}
				}
			}
			return last
		}
	}
	burnt := func(change func(rc *exchange.Receipt)) spoiler {
		return receipts(func(_ *exchange.Block, all []exchange.Receipt) bool {
			for i := range all {
				if all[i].Code.Burns() {
					change(&all[i])
					return true
				}
			}
			return false
		})
	}
	first := r.blocks[len(r.blocks)-2].Commands[0].ID
	r.caught(t, "I6", map[string]spoiler{
		"a command executed in two blocks": executed(first),
		"a nonce used by two commands":     executed(r.again.ID),
		"a receipt of another command":     burnt(func(rc *exchange.Receipt) { rc.ID[0] ^= 1 }),
		"a receipt of another block":       burnt(func(rc *exchange.Receipt) { rc.Height++ }),
		"a receipt of another time":        burnt(func(rc *exchange.Receipt) { rc.Time-- }),
		"a receipt missing": func(_ *check.Auditor, _ *exchange.Block, res *exchange.Result) bool {
			if len(res.Receipts) == 0 {
				return false
			}
			res.Receipts = res.Receipts[1:]
			return true
		},
	})
	r.caught(t, "B-8", map[string]spoiler{
		"a fee paid twice": func(_ *check.Auditor, b *exchange.Block, res *exchange.Result) bool {
			for _, e := range res.Events {
				if e.Kind == exchange.EventFee {
					for range b.Commands {
						res.Events = append(res.Events, e)
					}
					return true
				}
			}
			return false
		},
	})
	r.caught(t, "K-9", map[string]spoiler{
		"trades in the wrong order": func(_ *check.Auditor, _ *exchange.Block, res *exchange.Result) bool {
			for i := range len(res.Results) - 1 {
				_, err := exchange.ParseTrade(res.Results[i])
				_, err2 := exchange.ParseTrade(res.Results[i+1])
				if err == nil && err2 == nil {
					res.Results[i], res.Results[i+1] = res.Results[i+1], res.Results[i]
					return true
				}
			}
			return false
		},
		"trades without their auction": func(_ *check.Auditor, _ *exchange.Block, res *exchange.Result) bool {
			n := len(res.Results) - 1
			if n < 0 {
				return false
			}
			_, err := exchange.ParseAuction(res.Results[n])
			res.Results = res.Results[:max(n, 0)]
			return err == nil
		},
		"a result that is neither": func(_ *check.Auditor, _ *exchange.Block, res *exchange.Result) bool {
			res.Results = append(res.Results, []byte("nothing"))
			return true
		},
	})
	r.caught(t, "M-90", map[string]spoiler{
		"an auction that traded less": func(_ *check.Auditor, _ *exchange.Block, res *exchange.Result) bool {
			n := len(res.Results) - 1
			if n < 0 {
				return false
			}
			a, err := exchange.ParseAuction(res.Results[n])
			if err != nil || a.Volume == 0 {
				return false
			}
			a.Volume--
			res.Results[n] = a.Append(nil)
			return true
		},
	})
}

// I2, I9: a withdrawal takes what was asked for, once, and nothing is paid for nobody.
func TestPlantWithdrawals(t *testing.T) {
	r := record()
	other := always(func(e *exchange.Event) { e.Account = exchangetest.Address("thief") })
	r.caught(t, "I9", map[string]spoiler{
		"a withdrawal asked for twice":      twice(exchange.EventWithdrawalAsked),
		"one of somebody else":              event(exchange.EventWithdrawn, other),
		"one that ends with more":           event(exchange.EventWithdrawn, always(func(e *exchange.Event) { e.Amount++ })),
		"one that ends twice":               twice(exchange.EventWithdrawn),
		"one cancelled with more":           event(exchange.EventWithdrawalCancelled, always(func(e *exchange.Event) { e.Amount++ })),
		"one settled that nothing was sent": invented(exchange.Event{Kind: exchange.EventWithdrawn, Number: 1 << 40}),
	})
	r.caught(t, "I2", map[string]spoiler{
		"one that sends more than it holds": event(exchange.EventWithdrawalSent, always(func(e *exchange.Event) { e.Amount += 1 << 40 })),
		"one sent twice":                    twice(exchange.EventWithdrawalSent),
	})
}

// I17: rounding by more than a unit, and house balances below zero.
func TestPlantRounding(t *testing.T) {
	r := record()
	r.caught(t, "I17", map[string]spoiler{
		"the buyer pays a unit more":       trade(func(f *market.Fill) { f.BuyerPaid++ }),
		"the buyer pays a unit less":       trade(func(f *market.Fill) { f.BuyerPaid-- }),
		"the seller gets a unit more":      trade(func(f *market.Fill) { f.SellerGot++ }),
		"the buyer's fee is a unit more":   trade(func(f *market.Fill) { f.BuyerFee++ }),
		"the seller's fee is a unit more":  trade(func(f *market.Fill) { f.SellerFee++ }),
		"the reserve pays what it has not": invented(exchange.Event{Kind: exchange.EventReserveDown, Asset: exchangetest.EUR, Amount: asset.MaxSupply}),
	})
}

// I21, I15, I22: heights and times that go back, change without a cause, and bars of
// the wrong ones.
func TestPlantHistory(t *testing.T) {
	r := record()
	back := func(_ *check.Auditor, b *exchange.Block, res *exchange.Result) bool {
		if b.Height < 3 {
			return false
		}
		res.Time = r.blocks[b.Height-2].Time
		return true
	}
	r.caught(t, "I21", map[string]spoiler{"a time that stands still": back})
	a := r.auditor(t)
	for _, height := range []uint64{0, 2, 9} {
		b := *r.blocks[0]
		b.Height = height
		if _, err := a.Block(&b); err == nil || !strings.HasPrefix(err.Error(), "I21: ") {
			t.Errorf("block %d as the first one: %v", height, err)
		}
	}
	idle := &exchange.Block{Height: 1, Time: a.State().Time(), Proposer: r.blocks[0].Proposer}
	err := a.Since(merkle.Hash{1}, idle, func(res *exchange.Result) { res.Changes = []merkle.Change{{Key: exchange.ClockKey()}} })
	if err == nil || !strings.HasPrefix(err.Error(), "I15: ") {
		t.Errorf("a root that changes without a cause: %v", err)
	}
	r.caught(t, "I22", map[string]spoiler{
		"an honest member is barred": invented(exchange.Event{Kind: exchange.EventMemberBarred, Number: 2}),
		"a guilty one is not": func(_ *check.Auditor, b *exchange.Block, res *exchange.Result) bool {
			b.Evidence = append(slices.Clone(b.Evidence), exchangetest.Key(exchangetest.MemberName(1)+"/consensus").Public())
			return true
		},
	})
}

// I10: a state that comes back from its leaves as another one.
func TestPlantReload(t *testing.T) {
	r := record()
	a := r.auditor(t)
	for _, b := range r.blocks {
		if _, err := a.Block(b); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for range iter.Seq2[merkle.Key, []byte](a.State().Leaves) {
		n++
	}
	if n < 100 {
		t.Fatalf("%d leaves are too few", n)
	}
	for lost := 1; lost < n; lost += n / 20 { // the first one is the clock
		err := a.ReloadFrom(func(yield func(merkle.Key, []byte) bool) {
			i := 0
			a.State().Leaves(func(k merkle.Key, v []byte) bool {
				i++
				return i-1 == lost || yield(k, v)
			})
		})
		if err == nil || !strings.HasPrefix(err.Error(), "I10: ") {
			t.Errorf("without leaf %d: %v", lost, err)
		}
	}
}
