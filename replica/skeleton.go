package replica

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"souk/asset"
	"souk/consensus"
	"souk/exchange"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/identity"
	"souk/merkle"
)

// Open loads the state from the store and checks its root; ErrOtherServer,
// ErrStore, or what the store answers. A store that is empty, or whose founding
// or restoring was cut short, gives a replica without a state.
func Open(c Config) (*Replica, error) { panic("not yet") }

// Attach names the engine that Submit hands batches to. It is called once.
func (r *Replica) Attach(e consensus.Engine) { panic("not yet") }

// Close stops taking commands, writes what is committed but for the newest
// block, which the engine replays, and waits for all goroutines.
func (r *Replica) Close() error { panic("not yet") }

// Done is closed when the replica has halted or is closed.
func (r *Replica) Done() <-chan struct{} { panic("not yet") }

// Err is why the replica halted; nil while it works.
func (r *Replica) Err() error { panic("not yet") }

// Position is the last committed block.
func (r *Replica) Position() Position { panic("not yet") }

// View lends the state for reading. No block is executed meanwhile, so read must
// be short, must copy what it needs, and must not call the replica.
func (r *Replica) View(read func(*exchange.State)) error { panic("not yet") }

// consensus.Application and consensus.Snapshotter.

func (r *Replica) Info() consensus.Info                                            { panic("not yet") }
func (r *Replica) Found(f consensus.Founding) (consensus.Outcome, error)           { panic("not yet") }
func (r *Replica) Check(ctx context.Context, payload []byte) error                 { panic("not yet") }
func (r *Replica) Propose(now time.Time, height uint64, waiting [][]byte) [][]byte { panic("not yet") }
func (r *Replica) Verify(ctx context.Context, now time.Time, p consensus.Proposal) error {
	panic("not yet")
}
func (r *Replica) Finalize(b consensus.Block) (consensus.Outcome, error)     { panic("not yet") }
func (r *Replica) Commit() (retain uint64, err error)                        { panic("not yet") }
func (r *Replica) NextDue() (due time.Time, ok bool)                         { panic("not yet") }
func (r *Replica) Snapshots() ([]consensus.Snapshot, error)                  { panic("not yet") }
func (r *Replica) Chunk(height uint64, format, chunk uint32) ([]byte, error) { panic("not yet") }
func (r *Replica) Offer(s consensus.Snapshot, root merkle.Hash) error        { panic("not yet") }
func (r *Replica) Restore(index uint32, chunk []byte) (done bool, err error) { panic("not yet") }

// Payloads (S-1 to S-4).

// MaxBatch is the most commands of one batch payload.
const MaxBatch = 1024

// ErrPayload is returned for bytes that are not a payload, or may not be in the block.
var ErrPayload = errors.New("payload is not valid")

// Batch is a payload of commands.
type Batch struct {
	Member   roster.ID // the member whose server says that it made the batch; not proven
	Seq      uint64    // tells the member's batches apart
	Commands []exchange.Command
}

// AppendClock appends the payload that states a block's time in ms.
func AppendClock(dst []byte, ms uint64) []byte { panic("not yet") }

// ParseClock reads a clock payload.
func ParseClock(payload []byte) (ms uint64, err error) { panic("not yet") }

// AppendBatch appends the payload of 1 to MaxBatch commands.
func AppendBatch(dst []byte, b *Batch) []byte { panic("not yet") }

// ParseBatch reads a batch for virtual server vs. The commands have their ids;
// bodies alias payload. It checks form only, not signatures.
func ParseBatch(vs exchange.ID, payload []byte) (Batch, error) { panic("not yet") }

// Pool verifies signatures on all cores, for all replicas of a process.
type Pool struct{}

// NewPool starts workers goroutines (0: one per core), each of which keeps up to
// keys public keys ready (about 300 bytes each; 0: 16,384).
func NewPool(workers, keys int) *Pool { panic("not yet") }

// Close stops the workers and waits for them. Replicas must be closed before.
func (p *Pool) Close() { panic("not yet") }

// Commands of clients.

// Request is what a client sends at once.
type Request struct {
	// Client tells clients apart, for their bounds; such as an IP address.
	Client string
	// Data is 1 or more commands in their encoding, one after the other. It
	// belongs to the replica from then on.
	Data []byte
	// Silent is the member that the client says left these commands unanswered; 0 if none.
	Silent roster.ID
}

// Fate is what became of a command.
type Fate uint8

// Fates.
const (
	FateUnknown   Fate = iota // this server has not seen it
	FateWaiting               // it waits for a block
	FateRefused               // this server did not pass it on; Receipt.Code says why
	FateCommitted             // Receipt is that of the block
	FateElsewhere             // its nonce is used, but this server has no receipt; ask another one
)

// Answer is the fate of one command.
type Answer struct {
	ID      exchange.CommandID
	Fate    Fate
	Receipt exchange.Receipt // FateCommitted: as in the block. FateRefused and FateElsewhere: ID and Code only
	Index   uint32           // FateCommitted: of the receipt in the block's results, for ProveResult
}

// Errors of Submit, for the whole request: none of its commands was taken.
var (
	// ErrBusy: too many commands wait; send them again later, or to another server.
	ErrBusy = errors.New("too many commands are waiting")
	// ErrRequest: the data is not a sequence of commands.
	ErrRequest = errors.New("not a sequence of commands")
)

// Submit passes commands on and waits until each has its fate, or ctx is done:
// then it returns the fates so far, with FateWaiting for the rest, and ctx's error.
// A command that was sent before gets its first receipt. Other errors: ErrBusy,
// ErrRequest, ErrClosed, or why the replica has halted.
func (r *Replica) Submit(ctx context.Context, q Request) ([]Answer, error) { panic("not yet") }

// Fate is what this server knows of a command by its id.
func (r *Replica) Fate(id exchange.CommandID) (Answer, error) { panic("not yet") }

// FateOf is Fate for a command whose envelope is known, which lets it answer
// FateElsewhere too. Account, Key, Nonce, Expiry and ID must be set.
func (r *Replica) FateOf(c *exchange.Command) (Answer, error) { panic("not yet") }

// Proofs (S-30 to S-34).

// ErrPruned is returned for results and histories that this server does not have (any more).
var ErrPruned = errors.New("not kept on this server")

// LeafProof shows a leaf of the state, or that there is none.
type LeafProof struct {
	Key    merkle.Key
	Value  []byte       // nil: there is no such leaf
	Proof  merkle.Proof // under Root
	Root   merkle.Hash
	Height uint64 // the header of height Height+1 holds Root
}

// ResultProof shows an entry of a block's result list.
type ResultProof struct {
	Entry []byte           // as exchange.ParseReceipt or ParseTrade read it
	List  merkle.ListProof // under the results root in the clock leaf
	Clock LeafProof        // the clock leaf after the block
}

// ProveLeaf proves a leaf of the newest state.
func (r *Replica) ProveLeaf(key merkle.Key) (LeafProof, error) { panic("not yet") }

// ProveResult proves entry index of the results of the block at height; ErrPruned.
func (r *Replica) ProveResult(height uint64, index uint32) (ResultProof, error) { panic("not yet") }

// History.

// Trade is a past trade and where its proof is.
type Trade struct {
	exchange.Trade
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
	Fee      asset.Amount // in base for a buyer, in quote for a seller
	Height   uint64
	Time     uint64
	Index    uint32
}

// Trades yields the trades of a market that are before trade number before (0:
// all), newest first. Only committed blocks that are in memory or in the store are seen.
func (r *Replica) Trades(id market.ID, before market.TradeID) iter.Seq2[Trade, error] {
	panic("not yet")
}

// Fills yields an account's fills before trade number before (0: all), newest first.
func (r *Replica) Fills(account identity.Address, before market.TradeID) iter.Seq2[Fill, error] {
	panic("not yet")
}

// Events.

// Commit is a committed block, as subscribers see it. It is shared: read only.
type Committed struct {
	Position Position
	Proposer identity.PublicKey
	Batches  []Origin
	Result   *exchange.Result
}

// Origin says where commands of a block came from.
type Origin struct {
	Member   roster.ID
	Commands int
}

// Errors of subscriptions.
var (
	// ErrSlow ends a subscription whose reader is too far behind.
	ErrSlow = errors.New("subscriber is too slow")
	// ErrGone is returned by Subscribe for a height that is not in memory any more.
	ErrGone = errors.New("height is too far back")
)

// Subscription delivers committed blocks in order.
type Subscription struct{}

// Subscribe delivers the blocks from height from on (0: from the next one). At
// most buffer blocks (0: 256) wait for the subscriber. It must be closed.
func (r *Replica) Subscribe(from uint64, buffer int) (*Subscription, error) { panic("not yet") }

// Next waits for the next block: ctx's error, ErrSlow, or ErrClosed.
func (s *Subscription) Next(ctx context.Context) (*Committed, error) { panic("not yet") }

// TryNext is Next without waiting; nil if there is none.
func (s *Subscription) TryNext() (*Committed, error) { panic("not yet") }

// Close ends the subscription.
func (s *Subscription) Close() { panic("not yet") }

// Exports.

// Export is a whole state with its founding contract, as read from a file.
type Export struct {
	Founding *exchange.Founding
	Height   uint64 // the header of height Height+1 holds Root
	Root     merkle.Hash
}

// ErrExport is returned for bytes that are not an export.
var ErrExport = errors.New("not an export of a virtual server")

// Export writes the persisted state: its height and root are in the result.
func (r *Replica) Export(w io.Writer) (Export, error) { panic("not yet") }

// ReadExport reads what Export wrote up to the leaves, which Leaves goes on with.
func ReadExport(r io.Reader) (*Export, error) { panic("not yet") }

// Leaves yields the leaves once, in order of keys, and reads the file to its end.
// Err must be asked afterwards.
func (e *Export) Leaves() iter.Seq2[merkle.Key, []byte] { panic("not yet") }

// Err is why Leaves ended early; nil if the file is whole.
func (e *Export) Err() error { panic("not yet") }

// Members.

// Member is what this server has seen of a member.
type Member struct {
	ID       roster.ID
	Batches  uint64    // of its batches in blocks, since this server started
	Commands uint64    // in them
	Last     time.Time // when the last one was committed; zero: none since the start
	// Reports counts commands that reached a block through this server after their
	// sender had, as he says, no answer from that member.
	Reports    uint64
	LastReport time.Time
}

// Members is what this server has seen of the members, by id.
func (r *Replica) Members() []Member { panic("not yet") }

// Metrics are counters since the replica was opened, and gauges.
type Metrics struct {
	Submitted, Refused, Busy, Resent                         atomic.Uint64 // commands of clients
	Batches, BatchCommands, Resubmitted                      atomic.Uint64 // payloads made here
	Checked, Known, Verified, BadSignatures                  atomic.Uint64 // payloads, payloads, commands, commands
	Blocks, ActiveBlocks, Commands, Burnt, Trades, ApplyNano atomic.Uint64
	Flushes, FlushBytes, FlushNano, LagWaits                 atomic.Uint64
	SlowSubscribers, SnapshotsMade                           atomic.Uint64

	Waiting   atomic.Int64 // commands that wait for a block
	InFlight  atomic.Int64 // batches that do
	LagBlocks atomic.Int64 // committed, not yet in the store
	Persisted atomic.Uint64
}

// Metrics are shared with the replica: read only.
func (r *Replica) Metrics() *Metrics { panic("not yet") }
