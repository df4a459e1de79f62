// Package replica owns the committed state of one virtual server on one server:
// it is the consensus.Application (and Snapshotter) that executes decided blocks
// on an exchange.State, and everything around that state: how commands of clients
// become payloads and get their receipts back, how each signature is verified once
// per server, how the state reaches the store off the commit path and comes back
// after a crash, snapshots for servers that join, exports for a refounding, proofs,
// and what is known of past trades.
//
// What a command does belongs to exchange, which block comes next to the engine
// behind package consensus, HTTP to web, and opening files and sockets to node.
// Formats and rules are docs/spec/09-state.md; comments cite them by number (S-12).
//
// Where to look: payload formats in payload.go, the verification pool in pool.go,
// what may enter a block in propose.go, executing blocks in finalize.go, commands
// of clients in intake.go and batcher.go, fates of commands in fate.go, the store's
// keys and values in layout.go, writing in persist.go, trades and fills in
// history.go, proofs in prove.go, snapshots in snapshot.go and restore.go, files in
// export.go, subscriptions in events.go, silent members in members.go.
//
// Floor 3: it imports values, exchange and what is below it, and the ports
// consensus and store; never an adapter.
package replica

import (
	"errors"
	"log/slog"
	"time"

	"souk/consensus"
	"souk/exchange"
	"souk/identity"
	"souk/merkle"
	"souk/store"
)

// Errors of opening, and of calls that come at the wrong time.
var (
	// ErrOtherServer is returned by Open for a store that holds another virtual server.
	ErrOtherServer = errors.New("the store holds another virtual server")
	// ErrStore is returned by Open for a store whose content does not fit together.
	ErrStore = errors.New("the stored state is damaged")
	// ErrNotFounded is returned before Found or Restore has made a state.
	ErrNotFounded = errors.New("the virtual server has no state yet")
	// ErrClosed is returned by all calls after Close.
	ErrClosed = errors.New("replica is closed")
)

// Config is what a replica is opened with. Fields that are zero have the default
// that is named with them.
type Config struct {
	// Founding is the virtual server's founding contract. Required.
	Founding *exchange.Founding
	// Store is for this replica alone. Required. Close does not close it.
	Store store.Store
	// Origin is read by Found when the contract names an origin.
	Origin *Export
	// Pool verifies signatures; replicas of one process share it. If it is nil
	// signatures are verified by the goroutine that needs them.
	Pool *Pool
	// Self is the consensus key of this server. Batches name the member that it
	// belongs to as their origin; member 0 if it is no member's.
	Self identity.PublicKey
	// Logger gets what an operator should know. Default: nothing is logged.
	Logger *slog.Logger
	// Now is the clock by which commands are prechecked. Default time.Now.
	Now func() time.Time
	// Inline makes the replica do without goroutines and timers of its own: blocks
	// are written by Commit, every FlushBlocks blocks, and Verify never waits. Two
	// runs with the same calls then do the same. Submit must not be used.
	Inline bool
	// Audit verifies the signatures of payloads that come first in a decided block,
	// as all do while catching up, although more than two thirds have done so.
	Audit bool
	// Patience is how long Verify waits for a block whose clock is ahead to become
	// acceptable. Default 500 ms; negative: not at all.
	Patience time.Duration
	// KnownBytes bounds the memory for verified payloads that no block contains
	// yet. It should be above the engine's pool. Default 192 MiB.
	KnownBytes int

	Intake  Intake
	Persist Persist
	Keep    Keep
}

// Intake bounds how commands of clients are taken in.
type Intake struct {
	BatchCommands int           // commands of one payload. Default and most: MaxBatch
	BatchWait     time.Duration // how long a command waits for others while batches are under way. Default 2 ms
	InFlight      int           // batches under way at once; more commands wait. Default 16
	Commands      int           // commands waiting in all. Default 65,536
	Bytes         int           // bytes of commands waiting in all. Default 64 MiB
	ClientWaiting int           // commands waiting for one client. Default 16,384
	Resubmit      time.Duration // after which a batch is offered to the engine again. Default 1 s
}

// Persist bounds how far the store may be behind the last committed block.
type Persist struct {
	Every     time.Duration // how long a committed block waits for others to be written with it. Default 200 ms
	Blocks    int           // blocks written at once. Default 64
	Bytes     int           // bytes at which they are written at once. Default 16 MiB
	LagBlocks int           // blocks behind at which Finalize waits. Default 512
	LagBytes  int           // bytes behind at which Finalize waits. Default 128 MiB
}

// Keep says what is kept for how long.
type Keep struct {
	// Blocks is how many blocks the engine should keep at least; 0 keeps all. It
	// never forgets one that the store, or a server that joins, may need.
	Blocks uint64
	// Results is for how many blocks results can be proven, at least. Default 100,000.
	Results uint64
	// Days is for how many days trades and fills are kept. Default 30; negative: for ever.
	Days int
	// SnapshotEvery is the number of blocks between snapshots; 0 makes none.
	SnapshotEvery uint64
	// Snapshots is how many are kept. Default 2.
	Snapshots int
	// ChunkBytes is the size from which a snapshot's chunk is complete. Default 1 MiB.
	ChunkBytes int
}

// Position says which block a replica is at.
type Position struct {
	Height uint64      // of the last committed block; 0 before the first
	Time   uint64      // block time in ms of the last block that had one
	Root   merkle.Hash // state root after Height
	// RootHeight is the height after which the root was last new; the header of
	// the next height holds it.
	RootHeight uint64
}

// Replica is one virtual server on this server. Its methods may be called
// concurrently, but for those that consensus.Application orders.
type Replica struct{ _ noCopy }

type noCopy struct{}

var (
	_ consensus.Application = (*Replica)(nil)
	_ consensus.Snapshotter = (*Replica)(nil)
)
