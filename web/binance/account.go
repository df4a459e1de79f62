package binance

import (
	"context"
	"errors"
	"iter"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
)

// Errors of an Account. A command that a block executed without success, or that was
// refused before a block, is a *Refusal instead.
var (
	// ErrNoOrder is returned for an order that the account does not know.
	ErrNoOrder = errors.New("no such order")
	// ErrNotLive is returned by Cancel and Amend for an order that is known, and closed.
	ErrNotLive = errors.New("order is closed")
	// ErrDuplicate is returned by Place and PlacePair for a client order id that names an
	// order of the account already, live or closed (N-43).
	ErrDuplicate = errors.New("client order id in use")
	// ErrUndecided is returned when the fate of a command is not known: it may still be
	// executed, and it is looked up by its client order id.
	ErrUndecided = errors.New("fate of the command not known")
	// ErrUnavailable is returned when no server of the virtual server can be reached, or
	// the account's own record is not up to date yet, so that nothing was sent.
	ErrUnavailable = errors.New("not available now")
	// ErrNotKept is returned for orders and fills from before the account's record.
	ErrNotKept = errors.New("not kept")
)

// Refusal is a command that a virtual server did not carry out.
type Refusal struct{ Code exchange.Code }

// Error is the code in words.
func (r *Refusal) Error() string { return r.Code.String() }

// Account is one account, in the hands of somebody who may trade for it. Amounts are
// ledger units. Answers are of one moment: whoever has been told that an order was taken
// finds it in what he asks next. Methods may be called by many goroutines.
type Account interface {
	// Place enters an order and answers how it stands after the block that took it. With
	// fills, the answer has its fills in that block too; otherwise they may be left out.
	// An order that the block took and closed again (a fill-or-kill that could not trade
	// whole, a post-only order that crossed) is no error: its Reason tells.
	Place(ctx context.Context, order *exchange.Place, fills bool) (*Placed, error)
	// PlacePair enters an OCO pair: first the limit leg, then the stop leg.
	PlacePair(ctx context.Context, pair *exchange.PlaceOCO) ([]Placed, error)
	// Cancel takes a live order back and answers its final record.
	Cancel(ctx context.Context, target exchange.Target) (*Order, error)
	// CancelAll takes back all live orders in a market, or in all if it is zero, and
	// answers their final records by id.
	CancelAll(ctx context.Context, m market.ID) ([]Order, error)
	// Amend makes a live order smaller in its place: to the whole quantity, the filled
	// part included.
	Amend(ctx context.Context, target exchange.Target, quantity asset.Amount) (*Order, error)
	// Order is an order by id or, if that is zero, by client order id; live or closed.
	Order(ctx context.Context, target exchange.Target) (*Order, error)
	// Orders are orders of the account by id.
	Orders(ctx context.Context, q *OrderQuery) ([]Order, error)
	// Fills are fills of the account by trade id.
	Fills(ctx context.Context, q *FillQuery) ([]Fill, error)
	// Balances are all that the account has, by number of the asset, and the time of
	// the block since which they are so.
	Balances(ctx context.Context) ([]Balance, uint64, error)
	// Follow yields what blocks do to the account from now on, none left out and none
	// twice, and ends with an error if that is not possible any more, or with ctx. The
	// first report has no executions and all balances: what was so when Follow began.
	Follow(ctx context.Context) iter.Seq2[*Report, error]
}

// Order is an order of an account, live or closed.
type Order struct {
	// Order is the record as it stood after the newest event. Owner, Nonce, Cost, FeeSum,
	// Joined and Hold are not asked for and may be zero. Quantity of an order by quote
	// amount is zero.
	market.Order
	Reason  market.Reason  // why it was closed; zero: it is live
	Updated uint64         // time of the newest event, ms
	List    market.OrderID // of an OCO pair, also when it has ended: the lower id of its legs; else zero
}

// Live tells whether the order rests or waits.
func (o *Order) Live() bool { return o.Reason == 0 }

// Placed is an order as the block left it that took it.
type Placed struct {
	Order
	Fills []Fill // of that block, in the order in which they happened
}

// Fill is the account's own side of a trade.
type Fill struct {
	Trade    market.TradeID
	Order    market.OrderID
	Market   market.ID
	Side     market.Side
	Maker    bool
	Price    asset.Price
	Quantity asset.Amount // base units
	Value    asset.Amount // quote units paid (buy), or got before the fee (sell)
	Fee      asset.Amount // base units (buy) or quote units (sell)
	Time     uint64       // ms
}

// Balance is what an account has of an asset.
type Balance struct {
	Asset     asset.ID
	Symbol    string
	Decimals  uint8
	Available asset.Amount
	Held      asset.Amount
}

// OrderQuery says which orders are asked for: those to which all of it applies.
type OrderQuery struct {
	Market market.ID      // zero: all markets
	Live   bool           // only live ones
	From   market.OrderID // with this id or a higher one; zero: the newest Limit ones
	Start  uint64         // placed at this time or later, ms; zero: any time
	End    uint64         // placed at this time or before; zero: any time
	Limit  int            // at most so many; zero: all
}

// FillQuery says which fills are asked for: those to which all of it applies.
type FillQuery struct {
	Market market.ID      // zero: all markets
	Order  market.OrderID // zero: all orders
	From   market.TradeID // with this id or a higher one; zero: the newest Limit ones
	Start  uint64         // at this time or later, ms; zero: any time
	End    uint64         // at this time or before; zero: any time
	Limit  int            // at most so many; zero: all
}

// Report is what one block did to the account.
type Report struct {
	Height     uint64
	Time       uint64 // ms
	Executions []Execution
	Balances   []Balance // those that changed, as they are now
}

// ExecutionKind says what happened to an order.
type ExecutionKind uint8

// Kinds of executions.
const (
	Opened    ExecutionKind = iota + 1 // it was taken
	Triggered                          // a stop entered its market
	Traded                             // it has a fill
	Reduced                            // it was made smaller in its place
	Closed                             // it ended, for the reason of the order; after its last fill, if it traded whole
)

// Execution is one thing that happened to an order.
type Execution struct {
	Kind  ExecutionKind
	Order Order // as it stood after this
	Fill  *Fill // of Traded
}
