package market_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/asset"
	"souk/exchange/market"
)

func price(v uint64) asset.Price { return asset.Price(v) }

func amount(v uint64) asset.Amount { return asset.Amount(v) }

const (
	baseAsset  = 1
	quoteAsset = 2
)

// purse is whose money of which asset.
type purse struct {
	owner market.Owner
	asset asset.ID
}

// world drives a State and the model side by side, and keeps the books as a
// ledger would: what everybody holds, what went through, and the house's part.
type world struct {
	t      testing.TB
	s      *market.State
	dec    uint8
	m      *model // nil to drive the State alone
	height uint64
	now    uint64
	seed   [32]byte
	out    market.Result
	read   market.Result // how much of out has been taken up

	held  map[purse]asset.Amount
	moved map[purse]int64 // credits less debits
	fees  map[asset.ID]int64
	dust  int64
}

// small are terms under which rounding shows: 0.001 of a base unit is a tick.
var small = market.Terms{Tick: 1, Lot: 1, MakerPPM: 1_000, TakerPPM: 2_500, Reference: 100}

func newWorld(t testing.TB, terms market.Terms, decimals uint8) *world {
	t.Helper()
	w := &world{
		t: t, s: market.NewState(), dec: decimals, height: 1, now: 1_000,
		held: map[purse]asset.Amount{}, moved: map[purse]int64{}, fees: map[asset.ID]int64{},
	}
	id, code := w.s.Create(baseAsset, quoteAsset, decimals, terms)
	if id != 1 || code != market.OK {
		t.Fatalf("Create: %d, %d", id, code)
	}
	w.m = &model{terms: terms, dec: decimals, limit: market.DefaultOrderLimit, nextID: 1, trades: 1}
	w.bind(w.s.Bounds())
	return w
}

// bind changes the bounds of a block's work (M-49, M-60, M-72).
func (w *world) bind(asked, triggered, expired int) {
	w.s.SetBounds(asked, triggered, expired)
	w.m.asked, w.m.triggered, w.m.expiring = asked, triggered, expired
}

// place checks and stages an order, and compares the verdicts.
func (w *world) place(n market.New) (market.OrderID, market.Code) {
	w.t.Helper()
	n.Market = 1
	need, code := w.s.Check(&n, w.now)
	if w.m != nil {
		hold, want := w.m.check(&n, w.now)
		if code != want || code == market.OK && uint64(need.Amount) != hold {
			w.t.Fatalf("Check(%+v) = %d, code %d; want %d, code %d", n, need.Amount, code, hold, want)
		}
		if code == market.OK {
			w.m.stage(&n, hold)
		}
	}
	if code != market.OK {
		return 0, code
	}
	w.held[purse{n.Owner, need.Asset}] += need.Amount
	return w.s.Stage(&n, w.height, w.now), code
}

// placePair is place for an OCO pair.
func (w *world) placePair(limit, stop market.New) (market.OrderID, market.OrderID, market.Code) {
	w.t.Helper()
	limit.Market, stop.Market = 1, 1
	need, code := w.s.CheckPair(&limit, &stop, w.now)
	if code != market.OK {
		return 0, 0, code
	}
	w.held[purse{limit.Owner, need.Asset}] += need.Amount
	if w.m != nil {
		x, a := w.m.check(&limit, w.now)
		y, b := w.m.check(&stop, w.now)
		if a != market.OK || b != market.OK || max(x, y) != uint64(need.Amount) {
			w.t.Fatalf("CheckPair(%+v, %+v) = %d; want %d (code %d), %d (code %d)", limit, stop, need.Amount, x, a, y, b)
		}
		l, s := w.m.stage(&limit, max(x, y)), w.m.stage(&stop, 0)
		l.sibling, s.sibling = s, l
	}
	a, b := w.s.StagePair(&limit, &stop, w.height, w.now)
	return a, b, code
}

func (w *world) cancel(id market.OrderID, why market.Reason) bool {
	w.t.Helper()
	ok := w.s.Cancel(id, why, &w.out)
	closed := w.take()
	if w.m != nil {
		var want []ended
		o := w.m.find(id)
		if o != nil {
			want = w.m.close(o, why)
		}
		w.same(fmt.Sprintf("Cancel(%d)", id), closed, want)
		if ok != (o != nil) {
			w.t.Fatalf("Cancel(%d) = %v", id, ok)
		}
	}
	return ok
}

func (w *world) reduce(id market.OrderID, quantity uint64) market.Code {
	w.t.Helper()
	o, _ := w.s.Order(id)
	release, code := w.s.Reduce(id, amount(quantity))
	if w.m != nil {
		want, wantCode := w.m.reduce(id, quantity)
		if code != wantCode || uint64(release.Amount) != want {
			w.t.Fatalf("Reduce(%d, %d) = %d, code %d; want %d, code %d", id, quantity, release.Amount, code, want, wantCode)
		}
	}
	if code == market.OK {
		w.held[purse{o.Owner, release.Asset}] -= release.Amount
	}
	return code
}

// open begins a block: expiries, then stops.
func (w *world) open() {
	w.t.Helper()
	due, has := w.s.NextDue()
	fires := w.s.HasTriggered()
	w.s.Expired(w.now, &w.out)
	expired := w.take()
	if has != (due != 0) || (has && due <= w.now) != (len(expired) > 0) {
		w.t.Fatalf("NextDue() = %d, %v at %d; %d orders expired", due, has, w.now, len(expired))
	}
	from := len(w.out.Triggered)
	w.s.Trigger(&w.out)
	triggered := w.out.Triggered[from:]
	parted := w.take()
	if _, most, _ := w.s.Bounds(); w.s.HasTriggered() && len(triggered) < most || len(triggered) > 0 && !fires {
		w.t.Fatalf("HasTriggered() = %v before, %d triggered, %v after", fires, len(triggered), w.s.HasTriggered())
	}
	if w.m != nil {
		w.same("Expired", expired, w.m.expired(w.now))
		ids, ends := w.m.trigger()
		if !slices.Equal(ids, triggered) {
			w.t.Fatalf("triggered %v, want %v", triggered, ids)
		}
		w.same("Trigger", parted, ends)
	}
}

// auction runs the market's auction, compares it with the model's and ends the block.
func (w *world) auction() (fills []market.Fill, closed []market.Closed) {
	w.t.Helper()
	from, rested, auctions := len(w.out.Fills), len(w.out.Rested), len(w.out.Auctions)
	w.s.Auction(1, w.seed, w.height, &w.out)
	fills, ids := w.out.Fills[from:], w.out.Rested[rested:]
	closed = w.take()
	if w.m != nil {
		wantFills, ends, wantRested, terms := w.m.auction(w.seed, w.height)
		if d := cmp.Diff(wantFills, fills, cmpEmpty); d != "" {
			w.t.Fatalf("fills (-want +got):\n%s", d)
		}
		w.same("Auction", closed, ends)
		if !slices.Equal(ids, wantRested) {
			w.t.Fatalf("rested %v, want %v", ids, wantRested)
		}
		if got := w.out.Auctions[auctions:]; !slices.Equal(got, terms) {
			w.t.Fatalf("the auction's terms %+v, want %+v", got, terms)
		}
	}
	w.explained(fills, w.out.Auctions[auctions:])
	w.audit()
	w.height++
	w.now += 10
	return fills, closed
}

// explained checks that an auction's terms account for its fills (M-90).
func (w *world) explained(fills []market.Fill, auctions []market.Auction) {
	w.t.Helper()
	if len(fills) == 0 && len(auctions) == 0 {
		return
	}
	if len(auctions) != 1 {
		w.t.Fatalf("%d fills, and %d auctions", len(fills), len(auctions))
	}
	a, inner := auctions[0], asset.Amount(0)
	for _, f := range fills {
		if !f.Inner {
			continue
		}
		inner += f.Quantity
		if f.Price != a.Price || a.Bid != 0 && f.Price < a.Bid || a.Ask != 0 && f.Price > a.Ask {
			w.t.Fatalf("inner fill at %d of an auction %+v", f.Price, a)
		}
	}
	if m, _ := w.s.Market(1); inner != asset.Amount(a.Volume)*m.Lot || a.Volume != min(a.Demand, a.Supply) {
		w.t.Fatalf("inner fills of %d in an auction %+v", inner, a)
	}
}

var cmpEmpty = cmp.FilterValues(func(x, y []market.Fill) bool { return len(x)+len(y) == 0 }, cmp.Ignore())

// take posts what the State reported since the last call, and returns the closed orders.
func (w *world) take() []market.Closed {
	for _, f := range w.out.Fills[len(w.read.Fills):] {
		buyer, seller := purse{f.Buyer, quoteAsset}, purse{f.Seller, baseAsset}
		w.spend(buyer, f.BuyerPaid)
		w.release(buyer, f.BuyerReleased)
		w.spend(seller, f.Quantity)
		w.credit(purse{f.Buyer, baseAsset}, f.Quantity, f.BuyerFee)
		w.credit(purse{f.Seller, quoteAsset}, f.SellerGot, f.SellerFee)
		w.fees[baseAsset] += int64(f.BuyerFee)
		w.fees[quoteAsset] += int64(f.SellerFee)
		d := int64(f.BuyerPaid) - int64(f.SellerGot)
		if d < -1 || d > 1 {
			w.t.Fatalf("dust of a fill is %d: %+v", d, f)
		}
		w.dust += d
		if w.dust < 0 {
			w.t.Fatalf("dust is %d", w.dust)
		}
	}
	closed := w.out.Closed[len(w.read.Closed):]
	for _, c := range closed {
		w.release(purse{c.Order.Owner, c.Release.Asset}, c.Release.Amount)
	}
	w.read = w.out
	return closed
}

func (w *world) spend(p purse, a asset.Amount) {
	w.release(p, a)
	w.moved[p] -= int64(a)
}

func (w *world) release(p purse, a asset.Amount) {
	left, ok := w.held[p].Sub(a)
	if !ok {
		w.t.Fatalf("%+v has %d held, but %d is taken from it", p, w.held[p], a)
	}
	w.held[p] = left
}

func (w *world) credit(p purse, a, fee asset.Amount) {
	if fee > a {
		w.t.Fatalf("fee %d on a credit of %d", fee, a)
	}
	w.moved[p] += int64(a - fee)
}

// same compares closed orders with the model's.
func (w *world) same(what string, got []market.Closed, want []ended) {
	w.t.Helper()
	var plain []ended
	for _, c := range got {
		o := &c.Order
		plain = append(plain, ended{o.ID, c.Why, uint64(c.Release.Amount), uint64(o.Filled), uint64(o.Value), uint64(o.Fee)})
		if o.Status != market.Gone || o.Hold.Amount != 0 || o.Sibling != 0 {
			w.t.Fatalf("%s: record of a closed order %+v", what, o)
		}
	}
	if d := cmp.Diff(want, plain); d != "" {
		w.t.Fatalf("%s closed (-want +got):\n%s", what, d)
	}
}

// audit checks what must hold between blocks.
func (w *world) audit() {
	w.t.Helper()
	holds := map[purse]asset.Amount{}
	var bid, ask uint64
	for o := range w.s.Orders() {
		holds[purse{o.Owner, o.Hold.Asset}] += o.Hold.Amount
		if o.Status == market.Resting && o.Side == market.Buy {
			bid = max(bid, uint64(o.Price))
		}
		if o.Status == market.Resting && o.Side == market.Sell && (ask == 0 || uint64(o.Price) < ask) {
			ask = uint64(o.Price)
		}
	}
	maps.DeleteFunc(w.held, func(_ purse, a asset.Amount) bool { return a == 0 })
	maps.DeleteFunc(holds, func(_ purse, a asset.Amount) bool { return a == 0 })
	if !maps.Equal(holds, w.held) {
		w.t.Fatalf("holds of orders %v, held by the ledger %v", holds, w.held)
	}
	if bid != 0 && ask != 0 && bid >= ask {
		w.t.Fatalf("the book is locked or crossed: bid %d, ask %d", bid, ask)
	}
	sum := map[asset.ID]int64{quoteAsset: w.dust}
	for p, v := range w.moved {
		sum[p.asset] += v
	}
	for a, v := range w.fees {
		sum[a] += v
	}
	for a, v := range sum {
		if v != 0 {
			w.t.Fatalf("asset %d: %d units came from nowhere", a, v)
		}
	}
	if w.m != nil {
		w.auditModel()
	}
}

// auditModel compares all live orders and the last price.
func (w *world) auditModel() {
	w.t.Helper()
	k := 0
	for o := range w.s.Orders() {
		if k == len(w.m.orders) {
			w.t.Fatalf("order %d is live, but not in the model", o.ID)
		}
		p := w.m.orders[k]
		k++
		if o.ID != p.id || o.Status != p.status || uint64(o.Remaining()) != p.left || uint64(o.Hold.Amount) != p.hold || o.Joined != p.joined {
			w.t.Fatalf("order %+v, want %+v", o, p)
		}
	}
	if k != len(w.m.orders) || k != w.s.Len() {
		w.t.Fatalf("%d live orders, Len %d, want %d", k, w.s.Len(), len(w.m.orders))
	}
	if m, _ := w.s.Market(1); uint64(m.Last) != w.m.last {
		w.t.Fatalf("last price %d, want %d", m.Last, w.m.last)
	}
}
