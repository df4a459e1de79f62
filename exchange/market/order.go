package market

import (
	"souk/asset"
)

// Side is which way an order trades the base asset.
type Side uint8

// Sides.
const (
	Buy  Side = 1
	Sell Side = 2
)

// Kind is what sort of order it is. Every kind has a limit: Price is the worst
// price that the order accepts.
type Kind uint8

// Kinds of orders (M-6).
const (
	LimitOrder           Kind = 1 // trades at Price or better
	MarketOrder          Kind = 2 // trades at once, by Quantity or by Quote amount
	StopOrder            Kind = 3 // a market order once the price has gone against it as far as Trigger
	StopLimitOrder       Kind = 4 // a limit order once the price has gone against it as far as Trigger
	TakeProfitOrder      Kind = 5 // a market order once the price has gone its way as far as Trigger
	TakeProfitLimitOrder Kind = 6 // a limit order once the price has gone its way as far as Trigger
)

// TIF says how long an order stays: its time in force.
type TIF uint8

// Times in force.
const (
	GTC TIF = 1 // until it is filled or cancelled
	GTD TIF = 2 // as GTC, but ends at its expiry
	IOC TIF = 3 // trades in its block, the rest is cancelled
	FOK TIF = 4 // trades whole in its block, or not at all
)

// Status is where an order is.
type Status uint8

// Statuses. Only Resting and Waiting orders exist between blocks.
const (
	Gone    Status = 0 // no longer live
	Staged  Status = 1 // in the batch of the current block
	Resting Status = 2 // in the book
	Waiting Status = 3 // a stop that has not triggered
)

// New describes an order to be placed.
type New struct {
	Market   ID
	Owner    Owner
	Side     Side
	Kind     Kind
	TIF      TIF
	PostOnly bool
	Price    asset.Price  // worst price
	Quantity asset.Amount // base units; zero if by quote amount
	Quote    asset.Amount // quote units to spend or to get, market orders only; zero if by quantity
	Trigger  asset.Price  // stop kinds only
	Expiry   uint64       // ms, GTD only
	Client   string       // client order id, printable ASCII without spaces, may be empty
	Nonce    uint64       // of the command; a tie-breaker (M-42)
}

// Need is an amount that the ledger must reserve or release for an owner.
type Need struct {
	Asset  asset.ID
	Amount asset.Amount
}

// Order is the complete record of an order.
type Order struct {
	ID       OrderID
	Market   ID
	Owner    Owner
	Side     Side
	Kind     Kind
	TIF      TIF
	PostOnly bool
	Status   Status
	Price    asset.Price
	Quantity asset.Amount // whole quantity, the filled part included; zero if by quote amount
	Quote    asset.Amount
	Trigger  asset.Price
	Expiry   uint64
	Client   string
	Nonce    uint64
	Sibling  OrderID // other leg of an OCO pair while both live, else 0
	Placed   uint64  // height at which it was placed
	Time     uint64  // block time at which it was placed, ms
	Joined   uint64  // height at which it joined the book; its time priority. 0 before
	Filled   asset.Amount
	Cost     asset.Wide   // sum of price times base units over its fills
	FeeSum   asset.Wide   // sum of credit times fee rate in ppm over its fills
	Value    asset.Amount // quote paid (buy) or got before fees (sell) so far: Cost rounded (M-30)
	Fee      asset.Amount // fee charged so far, in base units (buy) or quote units (sell)
	Hold     Need         // what is reserved for it now
}

// Remaining is the base quantity still to be traded; zero for orders by quote amount.
func (o *Order) Remaining() asset.Amount {
	if o.Quantity == 0 {
		return 0
	}
	return o.Quantity - o.Filled
}

// Reason says why an order was closed. Numbers are append-only.
type Reason uint8

// Reasons.
const (
	Filled     Reason = 1  // it traded whole
	Cancelled  Reason = 2  // by its owner
	Withdrawn  Reason = 3  // by its owner in the block that placed it
	Amended    Reason = 4  // replaced by an amended order
	TimerFired Reason = 5  // the owner's cancel-all-after timer ran out
	Expired    Reason = 6  // its expiry came
	Remainder  Reason = 7  // what an IOC or market order could not trade
	Killed     Reason = 8  // a FOK that could not trade whole
	WouldTake  Reason = 9  // a post-only order that crossed the book
	SelfTrade  Reason = 10 // resting, and an order of its owner came to take it
	SelfCross  Reason = 11 // new, and crossed by another new order of its owner
	Linked     Reason = 12 // the other leg of its OCO pair traded, triggered or closed
)

// Closed is an order that was closed: its final record, and what the ledger must
// release to its owner. The record's own Hold is zero.
type Closed struct {
	Order   Order
	Why     Reason
	Release Need
}

// Fill is one execution. Base goes from seller to buyer, quote from buyer to
// seller; BuyerPaid - SellerGot (-1, 0 or 1) goes to or comes from dust (M-31).
type Fill struct {
	Trade        TradeID
	Market       ID
	Price        asset.Price
	Quantity     asset.Amount // base units
	Maker, Taker OrderID      // in the inner cross both are new: Taker is the buy then
	Buyer        Owner
	Seller       Owner
	TakerSide    Side         // side of Taker
	Inner        bool         // from the inner cross
	BuyerPaid    asset.Amount // quote, out of the buyer's hold
	// BuyerReleased is quote of the buyer's hold that the rest of the order can no
	// longer need; it becomes available again.
	BuyerReleased asset.Amount
	SellerGot     asset.Amount // quote, before the fee
	BuyerFee      asset.Amount // base, out of Quantity
	SellerFee     asset.Amount // quote, out of SellerGot
}

// Auction says why the fills of a block in one market have the prices they have. The
// resting orders are those before the auction.
type Auction struct {
	Market    ID
	Reference asset.Price // from which ties are measured (M-8)
	Bid, Ask  asset.Price // best resting prices; 0: there was none
	// The inner cross (M-44 to M-46): its one price, what traded at it, and what wanted
	// to buy and to sell at it. All are zero if there was none.
	Price          asset.Price
	Volume         uint64 // lots
	Demand, Supply uint64 // lots
}

// Result collects what the methods of State did, in the order in which it
// happened. They append to it; Reset empties it and keeps its memory.
type Result struct {
	Closed    []Closed
	Triggered []OrderID // stops that became new orders of this block
	Fills     []Fill
	Auctions  []Auction // those with fills
	Rested    []OrderID // orders that joined the book
}

// Reset empties the result.
func (r *Result) Reset() {
	*r = Result{r.Closed[:0], r.Triggered[:0], r.Fills[:0], r.Auctions[:0], r.Rested[:0]}
}

// closed adds a closed order, whose fields are still those of an earlier one.
func (r *Result) closed() *Closed {
	n := len(r.Closed)
	if n == cap(r.Closed) {
		r.Closed = append(r.Closed, Closed{})
	}
	r.Closed = r.Closed[:n+1]
	return &r.Closed[n]
}
