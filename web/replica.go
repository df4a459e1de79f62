package web

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"souk/archive"
	"souk/asset"
	"souk/consensus"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/identity"
	"souk/merkle"
)

// Errors that a Replica returns, wrapped or not. Others are faults of this server.
var (
	// ErrBusy is returned by Submit: too many commands wait; none was taken.
	ErrBusy = errors.New("too many commands are waiting")
	// ErrRequest is returned by Submit for data that is not a sequence of commands.
	ErrRequest = errors.New("not a sequence of commands")
	// ErrPruned is returned for results that this server does not keep (any more).
	ErrPruned = errors.New("not kept on this server")
	// ErrStopped is returned once the virtual server has stopped here, or, as ErrNoState, before it has a state.
	ErrStopped = errors.New("the virtual server has stopped here")
	// ErrNoState is returned before the virtual server has a state here. It is an ErrStopped.
	ErrNoState = fmt.Errorf("%w: there is no state yet", ErrStopped)
)

// GoneError is yielded by Follow for a height that the log does not reach back to.
type GoneError struct {
	Oldest uint64 // the lowest height that it does
}

func (e *GoneError) Error() string {
	return fmt.Sprintf("the log of what blocks did begins at block %d", e.Oldest)
}

// Replica is the committed state of one virtual server, as HTTP needs it.
type Replica interface {
	// View lends the state for reading. No block is executed meanwhile, so read
	// is short and copies what it needs.
	View(read func(*exchange.State)) error
	// Height is that of the last committed block.
	Height() uint64
	// Err is why the virtual server has stopped here; nil while it works.
	Err() error

	// Submit passes commands on and waits until each has its fate or ctx is done;
	// then it returns the fates so far, and ctx's error.
	Submit(ctx context.Context, r Request) ([]Answer, error)
	// Fate is what this server knows of a command.
	Fate(id exchange.CommandID) (Answer, error)

	// ProveLeaf proves a leaf of the newest state, or that there is none.
	ProveLeaf(key merkle.Key) (LeafProof, error)
	// ProveResult proves an entry of the results of the block at height.
	ProveResult(height uint64, index uint32) (ResultProof, error)
	// ProveReceipt proves the receipt of a command that a block contained.
	ProveReceipt(id exchange.CommandID) (ResultProof, error)

	// Trades yields the trades of a market that are older than a cursor, newest first.
	Trades(id market.ID, before Cursor) iter.Seq2[Trade, error]
	// Auction is a market's auction in the block at height; false: nothing was traded.
	Auction(id market.ID, height uint64) (Auction, bool, error)
	// Fills yields an account's fills that are older than a cursor, newest first.
	Fills(account identity.Address, before Cursor) iter.Seq2[Fill, error]
	// Cancels yields an account's withdrawals that were cancelled, newest first.
	Cancels(account identity.Address) iter.Seq2[Cancelled, error]
	// Follow yields what the active blocks from a height on did, each once and in order,
	// and goes on with new ones until ctx is done; 0 means from the next block on. Blocks
	// are shared and must not be changed. It ends with an error, a *GoneError if the
	// height is too far back.
	Follow(ctx context.Context, from uint64) iter.Seq2[*archive.Block, error]
	// Silent is how often clients said that a member left their commands unanswered.
	Silent() []Silence
}

// Engine is the consensus engine of one virtual server, as HTTP needs it.
type Engine interface {
	// Status is how the engine is doing now.
	Status() consensus.Status
	// LightBlock is the signed header of a height (0: newest) for light clients.
	LightBlock(height uint64) ([]byte, error)
}

// Request is what a client sends at once.
type Request struct {
	Client string    // tells clients apart, for their bounds
	Data   []byte    // commands one after the other; the replica's from then on
	Silent roster.ID // member that left them unanswered, as the client says; 0: none
}

// Fate is what became of a command.
type Fate uint8

// Fates.
const (
	FateUnknown   Fate = iota // this server has not seen it
	FateWaiting               // it waits for a block
	FateRefused               // this server did not pass it on; Receipt.Code says why
	FateCommitted             // Receipt is that of the block
	FateElsewhere             // its nonce is used, but this server has no receipt
)

// Answer is the fate of one command.
type Answer struct {
	ID      exchange.CommandID
	Fate    Fate
	Receipt exchange.Receipt // FateCommitted: as in the block; FateRefused and FateElsewhere: ID and Code only
}

// LeafProof shows a leaf of the state, or that there is none.
type LeafProof struct {
	Key    merkle.Key
	Value  []byte // nil: there is no such leaf
	Proof  merkle.Proof
	Root   merkle.Hash
	Height uint64 // the header of height Height+1 states Root
}

// ResultProof shows an entry of a block's result list.
type ResultProof struct {
	Entry []byte
	List  merkle.ListProof
	Clock LeafProof // the clock leaf after the block
}

// Cursor is a trade from which a history is read on. The zero Cursor is the newest.
type Cursor struct {
	Height uint64
	Time   uint64 // ms, of the block at Height
	Trade  market.TradeID
}

// Trade is a past trade and where its proof is.
type Trade struct {
	exchange.Trade
	Index uint32 // in the results of block Height
}

// Auction is a past auction and where its proof is.
type Auction struct {
	exchange.Auction
	Index uint32 // in the results of block Height
}

// Fill is one side of a trade, for the account that had it.
type Fill struct {
	Trade    market.TradeID
	Market   market.ID
	Order    market.OrderID
	Side     market.Side
	Maker    bool // waited in the book; false for both sides of an inner cross
	Inner    bool
	Price    asset.Price
	Quantity asset.Amount // base
	Value    asset.Amount // quote, paid by a buyer, got by a seller before the fee
	Fee      asset.Amount // base for a buyer, quote for a seller
	Height   uint64
	Time     uint64
	Index    uint32
}

// Cancelled is a withdrawal that its owner took back.
type Cancelled struct {
	ID     custody.ID
	Bank   custody.Bank
	Script []byte
	Amount asset.Amount
	MaxFee asset.Amount
	Asked  uint64 // ms
	Height uint64
	Time   uint64 // ms
}

// Silence is what clients of this server said of a member.
type Silence struct {
	Member  roster.ID
	Reports uint64
	Last    uint64 // ms of the newest; 0 if there is none
}
