// Package chain is the port between Souk and the block chains that its banks
// hold coins on. A Backend answers for one chain as one node or light client
// sees it: which blocks there are, what they pay to a set of scripts and spend
// of a set of coins, what a transaction must pay for its space; and it passes
// transactions on.
//
// A Backend is asked and never calls back. Its owner keeps a Locator, which says
// how far he has come, and asks for what is new since then; after a restart he
// asks with the locator that he stored. So a late script is looked for by asking
// about old blocks again, a reorganisation is an answer like any other, and
// simulation needs no goroutines. Walk does it all for who wants to read a chain
// from one block to its end.
//
// What a payment means belongs to exchange/custody, what is attested to the
// custodian. The adapters are chain/bitcoin, chain/litecoin and chain/namecoin
// over JSON-RPC, chain/neutrino, which needs no node, and chain/memchain; all pass
// chain/chaintest. The rules are docs/spec/15-chain.md. Floor 2: it imports
// values only.
package chain

import (
	"context"
	"errors"
	"fmt"

	"souk/asset"
	"souk/script"
)

// Limits.
const (
	// MaxStep is the largest number of blocks that one call of Follow answers.
	MaxStep = 1000
	// MaxRate is the largest fee rate that a backend reports, in units per 1,000
	// virtual bytes. Nodes refuse to relay what pays more.
	MaxRate asset.Amount = 10_000_000
	// MaxTransaction is the size in bytes above which no node relays a transaction.
	MaxTransaction = 400_000
)

// Errors of every call that asks a node.
var (
	// ErrUnavailable is returned when the node or its peers cannot be reached or do not
	// answer in time. The same call may succeed later.
	ErrUnavailable = errors.New("chain is not available")
	// ErrWarmup is returned while a node that can be reached is starting.
	ErrWarmup = fmt.Errorf("node is starting: %w", ErrUnavailable)
	// ErrWrongNetwork is returned when the node follows another network than the
	// one that the backend was opened for. It is final until somebody configures another node.
	ErrWrongNetwork = errors.New("node follows another network")
	// ErrDenied is returned when the node does not accept the credentials.
	ErrDenied = errors.New("node refuses the credentials")
	// ErrMalformed is returned for an answer that a sound node does not give. It
	// never counts as "not found".
	ErrMalformed = errors.New("malformed answer of the node")
	// ErrClosed is returned by every call after Close.
	ErrClosed = errors.New("backend is closed")
)

// Errors about blocks.
var (
	// ErrUnknownBlock is returned by Scan for a block that is not on the chain, or
	// not any more. Follow says what is.
	ErrUnknownBlock = errors.New("block is not on the chain")
	// ErrPruned is returned by Scan when the node has dropped the content of a block.
	ErrPruned = errors.New("node has dropped the content of the block")
	// ErrForked is returned by Follow when the chain contains no block of the locator.
	ErrForked = errors.New("chain contains no block of the locator")
)

// ErrNoEstimate is returned by FeeRate when there is no data to answer from, as
// opposed to no answer.
var ErrNoEstimate = errors.New("no data to estimate a fee rate from")

// Errors of Broadcast: the node will not pass the transaction on. Text beyond the
// sentinels is the node's and for people only.
var (
	// ErrRefused is the parent of the others, and returned for every other reason:
	// a bad signature, an output too small, a lock time to come. Sending the same
	// bytes again will not help.
	ErrRefused = errors.New("transaction refused")
	// ErrConflict is returned when another transaction that waits for a block
	// spends one of the inputs, and this one does not pay enough to take its place,
	// or the network has no replacement.
	ErrConflict = fmt.Errorf("another transaction spends one of its inputs: %w", ErrRefused)
	// ErrMissingInputs is returned when an input does not exist or is spent by a
	// block. It is also what some nodes say about a transaction all of whose outputs
	// are spent already: ask Coin about the first input.
	ErrMissingInputs = fmt.Errorf("an input is missing or spent: %w", ErrRefused)
	// ErrFeeTooLow is returned when the fee is below what the node relays now.
	ErrFeeTooLow = fmt.Errorf("fee too low: %w", ErrRefused)
	// ErrImmature is returned when an input may be spent in a later block but not
	// yet, as coins out of a coinbase or a HogEx.
	ErrImmature = fmt.Errorf("an input cannot be spent yet: %w", ErrRefused)
)

// A Backend is one chain as one node or light client sees it. Its methods may be
// called by several goroutines at once; only a Filter that is being used by Scan
// must not be changed meanwhile. What a backend says is what one node says: it is
// for the members of a federation to compare.
type Backend interface {
	// Network returns the line of the table that the backend follows. Every other
	// method fails with ErrWrongNetwork if the node turns out to follow another.
	Network() *script.Network

	// Tip returns the last block of the best chain.
	Tip(ctx context.Context) (Block, error)

	// Follow says what has changed for somebody who has come as far as from: the
	// last block of his that is still on the best chain, and at most limit of the
	// blocks that follow it there (1 to MaxStep). Nothing has changed if the fork
	// is the end of from and there are no blocks. An empty locator stands before block 1.
	Follow(ctx context.Context, from Locator, limit int) (Step, error)

	// Scan finds in one block of the best chain what a filter looks for. The same
	// block and filter always give the same answer (T-20).
	Scan(ctx context.Context, at Point, filter *Filter) (Found, error)

	// Coin says what has become of an output, as far as the best chain and, where
	// the backend sees it, the pool of waiting transactions tell.
	Coin(ctx context.Context, coin Coin) (Fate, error)

	// FeeRate estimates what a transaction must pay, in units per 1,000 virtual
	// bytes, to be in one of the next blocks, within 1 to 1,008. The answer is at
	// least the network's relay minimum and at most MaxRate (T-40).
	FeeRate(ctx context.Context, within uint32) (asset.Amount, error)

	// Broadcast hands a signed transaction to the network. It returns nil if the
	// node has it, whether it came now, waited already or stands in a block; so it may be
	// repeated. A light client learns of few refusals: for it nil means sent.
	Broadcast(ctx context.Context, raw []byte) error

	// Close ends the backend and every call that waits.
	Close() error
}

// Point names a block.
type Point struct {
	Height uint32
	Hash   script.Hash
}

// String names the block for people: its height and hash.
func (p Point) String() string { return fmt.Sprintf("block %d %s", p.Height, p.Hash) }

// Block is a block's place on a chain.
type Block struct {
	Point
	Parent script.Hash
	// Time is what the miner wrote, in seconds since the Unix epoch. It may be off by hours.
	Time uint32
}

// Step is what Follow answers. Every block above Fork that its owner knew of is
// void. Blocks are the ones that came instead or in addition, ascending, the first
// of them a child of Fork. Tip is the end of the best chain at that time.
type Step struct {
	Fork   Point
	Blocks []Block
	Tip    Point
}

// Payment is an output that pays to a script of the filter.
type Payment struct {
	At     script.Outpoint
	Script []byte
	Amount asset.Amount
	// Coinbase is set for a block's reward, which cannot be spent for 100 blocks.
	Coinbase bool
	// PegOut is set for an output of a HogEx, which cannot be spent for some blocks
	// and goes to another outpoint if a reorganisation moves it.
	PegOut bool
}

// Spend is an input that spends a coin of the filter.
type Spend struct {
	At    script.Outpoint
	By    script.Hash
	Input uint32
}

// Found is what a filter finds in a block, both in the order of the block.
type Found struct {
	Payments []Payment
	Spends   []Spend
}

// Coin names an output and where to look for it. Light clients and most nodes
// know a coin only by reading blocks, so they need its script and the first block
// that may hold it.
type Coin struct {
	At     script.Outpoint
	Script []byte
	Height uint32
}

// State is what has become of a coin.
type State uint8

// States of a coin.
const (
	// Missing means that no block from the coin's height on holds it. It may wait for one.
	Missing State = iota + 1
	// Unspent means that a block holds it and nothing that the backend sees spends it.
	Unspent
	// Pending means that a transaction that waits for a block spends it. Not every
	// backend sees those.
	Pending
	// Spent means that a block spends it.
	Spent
)

// String is the state in a word: "missing", "unspent", "pending" or "spent".
func (s State) String() string {
	switch s {
	case Missing:
		return "missing"
	case Unspent:
		return "unspent"
	case Pending:
		return "pending"
	case Spent:
		return "spent"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Fate is the answer about a coin.
type Fate struct {
	State State
	// By spends the coin if State is Spent; if it is Pending it may be zero, for not
	// every node tells.
	By script.Hash
	// In is the block that spends it if State is Spent.
	In Point
}

// Bound puts an estimated fee rate between the network's relay minimum and MaxRate.
func Bound(n *script.Network, rate asset.Amount) asset.Amount {
	return min(max(rate, n.MinRelay), MaxRate)
}
