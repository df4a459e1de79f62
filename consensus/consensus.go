// Package consensus is the port between one virtual server's state machine and
// the engine that replicates it. An Application says what may enter a block and
// what a block does; an Engine decides which block comes next and tells every
// replica. The engine that runs in production is consensus/comet; simulation
// drives Applications by its own deterministic engine.
//
// Nothing here knows what a command means: a block is a list of opaque payloads.
// Floor 2: it imports only values.
package consensus

import (
	"context"
	"errors"
	"time"

	"souk/identity"
	"souk/merkle"
)

// Limits that every engine and application keeps.
const (
	// MaxPayload is the largest payload in bytes: a batch of commands.
	MaxPayload = 1 << 20
	// MaxBlock is the largest sum of payload sizes of one block in bytes.
	MaxBlock = 4 << 20
)

// Errors that engines and applications return.
var (
	// ErrPoolFull is returned by Engine.Submit when too much waits for a block; try again later.
	ErrPoolFull = errors.New("too many payloads wait for a block")
	// ErrKnown is returned by Engine.Submit for a payload that waits for a block already.
	ErrKnown = errors.New("payload is waiting already")
	// ErrStopped is returned once the engine or application has been stopped.
	ErrStopped = errors.New("stopped")
	// ErrHalted is returned by Finalize when this binary must not execute the
	// block, such as after the activation height of a protocol version it lacks.
	// The engine stops; it does not skip the block.
	ErrHalted = errors.New("halted")
)

// Validator is a member's consensus key and voting power. Power zero removes it.
type Validator struct {
	Key   identity.PublicKey
	Power int64
}

// Misbehavior is proof, verified by the engine, that a validator signed twice.
type Misbehavior struct {
	Key    identity.PublicKey
	Height uint64
}

// Info is where an application stands: the last height it can answer for after
// a crash, and the root there. Height zero means that it has not been founded.
type Info struct {
	Height uint64
	Root   merkle.Hash
}

// Founding is the content of the genesis: the founding contract as canonical
// bytes; its hash is the virtual server's id and the engine's chain id.
type Founding struct {
	Contract []byte
}

// Proposal is a block that has been or is to be proposed.
type Proposal struct {
	Height   uint64
	Proposer identity.PublicKey
	Payloads [][]byte
}

// Block is a decided block.
type Block struct {
	Height   uint64
	Payloads [][]byte
	// Proposer is the key that proposed the block, as the block says: more than
	// two thirds have checked that it is a validator's, not that it was his turn.
	Proposer identity.PublicKey
	// Missed are the keys whose turn to propose the previous block came, in a
	// round before the one that decided it, and passed: each once, in turn order, and
	// the same on every replica.
	Missed []identity.PublicKey
	// Evidence of double signing, in the engine's order.
	Evidence []Misbehavior
}

// Proven is a decided block with what an engine's proof says of it, beginning at the
// validators of the founding and at nothing else.
type Proven struct {
	Block Block
	// Root is the state root after the block before this one: the header holds it.
	Root merkle.Hash
	// Time is the header's. Nobody has checked that it is recent.
	Time time.Time
	// Signers are the validators that signed the block: more than two thirds of the power.
	Signers []identity.PublicKey
}

// Outcome is what executing a block answers. It must be the same on every replica.
type Outcome struct {
	Root       merkle.Hash
	Validators []Validator
}

// Application is a replicated state machine as engines see it. Found, Finalize
// and Commit are called by one goroutine, in order; Check, Propose, Verify and
// Info may run beside them and each other. Nothing an Application does may
// depend on the engine's clock except through Propose and Verify.
type Application interface {
	// Info answers the persisted height and root; the engine replays what came after.
	Info() Info
	// Found starts the state machine from its founding contract and answers the first validators and root.
	Found(Founding) (Outcome, error)
	// Check verifies a payload from anywhere (signatures included) once, before
	// it may wait for a block. It remembers the verdict by the payload's hash.
	Check(ctx context.Context, payload []byte) error
	// Propose chooses what a block proposed at this replica's time now contains,
	// out of the waiting payloads, oldest first. An empty result means that there is
	// nothing to do. The result may hold payloads that were not waiting (the block's clock).
	// Neither waiting nor the payloads in it may be changed.
	Propose(now time.Time, height uint64, waiting [][]byte) [][]byte
	// Verify refuses a proposal that this replica must not vote for. As time
	// passes its verdict may turn from no to yes, never from yes to no.
	Verify(ctx context.Context, now time.Time, p Proposal) error
	// Finalize executes a decided block. An error stops the engine for good.
	Finalize(Block) (Outcome, error)
	// Commit makes the finalized block visible, and answers the height below
	// which the engine may forget blocks (0: keep all).
	Commit() (retain uint64, err error)
	// NextDue answers when the state machine needs a block although nothing
	// waits (a deadline, an expiry, a triggered stop). It changes only at Commit.
	NextDue() (due time.Time, ok bool)
}

// Snapshot names a copy of the state at a height, cut in chunks.
type Snapshot struct {
	Height   uint64
	Format   uint32
	Chunks   uint32
	Hash     []byte
	Metadata []byte
}

// Snapshotter is what an Application offers besides, so that a fresh replica
// joins without replaying history. The engine verified root at height by light
// client before it calls Restore.
type Snapshotter interface {
	// Snapshots lists what can be served now, newest first.
	Snapshots() ([]Snapshot, error)
	// Chunk reads one chunk of a snapshot in that list.
	Chunk(height uint64, format, chunk uint32) ([]byte, error)
	// Offer begins a restore; an error refuses the snapshot.
	Offer(s Snapshot, root merkle.Hash) error
	// Restore takes chunk number index. done is true when the state is complete
	// and its root is the one that was offered, and from then on Info answers it;
	// ErrBadChunk asks for that chunk from someone else.
	Restore(index uint32, chunk []byte) (done bool, err error)
}

// ErrBadChunk is returned by Snapshotter.Restore for a chunk whose hash is wrong.
var ErrBadChunk = errors.New("snapshot chunk does not match its hash")

// Status is an engine's view of itself, for operators.
type Status struct {
	Height    uint64
	Round     int32
	Locked    bool      // bound by its vote to a block of the next height that is not decided here
	CatchUp   bool      // fetching old blocks, not voting
	BlockTime time.Time // when this replica committed Height
	Peers     []Peer
	Waiting   int           // payloads that wait for a block
	Stalled   time.Duration // how long a block has been wanted and none came; 0: all is well
	Halted    error
}

// Peer is a directly connected server.
type Peer struct {
	ID, Address string
	Outbound    bool
	Since       time.Time
	Height      uint64 // newest block that it has, as it says
	CatchUp     bool   // has not said: it fetches old blocks, and does not vote
}

// Engine replicates one Application.
type Engine interface {
	// Submit offers a payload that this server made to all servers; it returns
	// when the payload waits for a block here and is on its way to the others, not when
	// it is committed. The engine forgets it once a block contains it.
	Submit(ctx context.Context, payload []byte) error
	// Status may be called at any time.
	Status() Status
	// LightBlock answers the signed header of a height (0: newest) with its
	// validators, in the engine's own encoding, for light clients. A height that
	// was forgotten may be answered with one below it.
	LightBlock(height uint64) ([]byte, error)
	// Done is closed when the engine has stopped, by Close or by itself.
	Done() <-chan struct{}
	// Close stops the engine and waits for it.
	Close() error
}
