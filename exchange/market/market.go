// Package market owns the markets of a virtual server: their terms, every live
// order, the order books, and the batch auction that runs once per market and
// block. It decides who trades with whom, at what price, what each side pays and
// which fee it owes, and how much money an order must hold.
//
// It moves no money. The ledger reserves what Check asks for before an order is
// staged, and posts what fills and closed orders say afterwards; both is done by
// exchange, which also knows accounts by address: here an owner is a number.
//
// The rules are docs/spec/04-market.md; comments cite them by number (M-12).
// Where to look: admission in check.go, the auction in auction.go and in the
// file named for each of its steps (self.go, inner.go, sweep.go, fok.go),
// sharing in prorata.go, rounding in settle.go, fees in fee.go, stop orders in
// stop.go, the book in book.go, encoding in leaf.go.
//
// This is floor 1: it is pure, single-threaded, and imports only asset and the
// key type of merkle.
package market

import (
	"souk/asset"
)

// Limits of the package. They bound every sum of lots in a market by 2^62, so
// that the auction's arithmetic cannot overflow (M-9).
const (
	// MaxLots is the largest size of one order in lots.
	MaxLots = 1<<40 - 1
	// MaxBook is the largest number of live orders in one market.
	MaxBook = 1 << 22
	// MaxPrice is the highest price an order may name.
	MaxPrice asset.Price = 1<<62 - 1
	// MaxFeePPM is the highest fee rate, 10 %.
	MaxFeePPM = 100_000
	// MaxBandPPM is the widest price band, tenfold.
	MaxBandPPM = 10_000_000
	// MaxClient is the longest client order id in bytes.
	MaxClient = 36
	// DefaultOrderLimit is how many orders one owner may have resting or waiting
	// in one market, unless SetOrderLimit said otherwise.
	DefaultOrderLimit = 200
)

// ID numbers markets from 1 in the order of their creation; 0 is no market.
type ID uint32

// OrderID numbers orders over all markets of a virtual server, from 1, below 2^53.
// Within a block a lower id also means an earlier sort position (M-5).
type OrderID uint64

// TradeID numbers fills over all markets of a virtual server, from 1, below 2^53.
type TradeID uint64

// Owner is the number of an account, given by the ledger.
type Owner uint32

// Terms are what a founding contract or a vote says about a market.
type Terms struct {
	Tick        asset.Price  // prices are multiples of it
	Lot         asset.Amount // base quantities are multiples of it
	MinNotional asset.Amount // least value of an order, in quote units
	MakerPPM    uint32       // fee of makers in millionths, at most MaxFeePPM
	TakerPPM    uint32       // fee of takers in millionths, at most MaxFeePPM
	ReservePPM  uint32       // share of the fees for the bank's reserve, in millionths; used by exchange
	BandPPM     uint32       // how far a new order's price may be from the reference, in millionths; 0 is no band
	Reference   asset.Price  // reference price until the first trade
}

// Market is the definition and the public state of one market.
type Market struct {
	ID           ID
	Base, Quote  asset.ID
	BaseDecimals uint8
	Paused       bool        // no admission and no triggers
	Last         asset.Price // price of the last trade; 0 before the first
	Terms
}

// State is all markets and all live orders. It is not safe for concurrent use;
// what its methods return are copies, unless they say otherwise.
type State struct {
	limit uint32
}

// NewState returns a state without markets.
func NewState() *State { return &State{limit: DefaultOrderLimit} }

// Create adds a market and returns its number. The code is BadMarket if the
// terms are not possible, DuplicateMarket if the pair is traded already (M-1).
func (s *State) Create(base, quote asset.ID, baseDecimals uint8, t Terms) (ID, Code) {
	panic("not yet")
}

// SetPaused pauses a market or lets it go on. While paused it admits no orders
// and triggers no stops; what is staged already still meets in this block, and
// cancels always work (M-3).
func (s *State) SetPaused(id ID, paused bool) Code { panic("not yet") }

// SetFees changes the fee rates, for fills from this block's auction on.
func (s *State) SetFees(id ID, makerPPM, takerPPM, reservePPM uint32) Code { panic("not yet") }

// SetBand changes the price band of new orders; 0 switches it off.
func (s *State) SetBand(id ID, bandPPM uint32) Code { panic("not yet") }

// SetOrderLimit changes how many orders one owner may have resting or waiting in
// one market. Orders above a lowered limit stay.
func (s *State) SetOrderLimit(limit uint32) { s.limit = limit }

// Check tells whether a new order may be staged now, and what the ledger must
// reserve for it. It changes nothing. now is the block's time in ms.
func (s *State) Check(n *New, now uint64) (Need, Code) { panic("not yet") }

// CheckPair is Check for an OCO pair, whose legs share one hold.
func (s *State) CheckPair(limit, stop *New, now uint64) (Need, Code) { panic("not yet") }

// Stage takes up an order that Check has just passed and whose need is
// reserved. Stop kinds start to wait; all others join this block's batch, where
// the order of Stage calls is their sort position.
func (s *State) Stage(n *New, height, now uint64) OrderID { panic("not yet") }

// StagePair is Stage for an OCO pair that CheckPair has just passed: the limit
// leg joins the batch, the stop leg waits.
func (s *State) StagePair(limit, stop *New, height, now uint64) (limitID, stopID OrderID) {
	panic("not yet")
}

// Cancel closes a live order, staged ones included, with the given reason. If
// the order is a leg of an OCO pair the other leg is closed with it (Linked). It
// appends to out.Closed and answers false if there is no such order.
func (s *State) Cancel(id OrderID, why Reason, out *Result) bool { panic("not yet") }

// Withdraw is Cancel for an order of this same block (Withdrawn).
func (s *State) Withdraw(id OrderID, out *Result) bool { return s.Cancel(id, Withdrawn, out) }

// Reduce lowers the whole quantity of an order, its filled part included, and
// keeps its place in the book. It returns what the ledger must release. The code
// is UnknownOrder, or BadReduce if quantity is no such reduction (M-44).
func (s *State) Reduce(id OrderID, quantity asset.Amount) (release Need, code Code) {
	panic("not yet")
}

// Expired closes all orders whose expiry is at or before now, by (expiry, id).
func (s *State) Expired(now uint64, out *Result) { panic("not yet") }

// NextDue is the earliest expiry of any order; false if none has one.
func (s *State) NextDue() (uint64, bool) { panic("not yet") }

// Trigger moves the stops that the last prices have reached from the waiting
// lists into this block's batch, by market and id, and closes the limit legs of
// their OCO pairs. It appends to out.Triggered and out.Closed. It must be called
// once per block before the first Stage (M-40).
func (s *State) Trigger(out *Result) { panic("not yet") }

// HasTriggered tells whether Trigger would trigger anything, so that a block is
// due on an otherwise idle chain.
func (s *State) HasTriggered() bool { panic("not yet") }

// Staged appends the markets that have a batch waiting for their auction, in
// ascending order.
func (s *State) Staged(dst []ID) []ID { panic("not yet") }

// Auction runs a market's auction over the batch staged since the last one and
// appends what it did to out. seed is the previous state root, height this
// block's. Every market in Staged must have its auction before the block ends.
func (s *State) Auction(id ID, seed [32]byte, height uint64, out *Result) { panic("not yet") }
