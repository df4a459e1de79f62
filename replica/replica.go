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
// verdicts that are remembered in known.go, what may enter a block in propose.go,
// executing blocks in finalize.go, commands of clients in intake.go and batcher.go,
// fates of commands in fate.go, what blocks did in effects.go and log.go, the store's keys and values in layout.go, writing in
// persist.go and journal.go, reading after a start in load.go, finding receipts in receipts.go,
// trades and fills in history.go, proofs in prove.go, snapshots and joining by them
// in snapshot.go, files in export.go, subscriptions in events.go, silent members in
// members.go.
//
// Floor 3: it imports values, exchange and what is below it, and the ports
// consensus and store; never an adapter.
package replica

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"souk/consensus"
	"souk/exchange"
	"souk/exchange/roster"
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
	Bytes     int           // bytes of memory at which they are written at once, and most bytes of a write of several. Default 16 MiB
	Batch     int           // bytes of one batch of the store; more are written in several. Default 32 MiB
	LagBlocks int           // blocks behind at which Finalize waits. Default 512
	LagBytes  int           // bytes of memory behind at which Finalize waits. Default 128 MiB
}

// Keep says what is kept for how long.
type Keep struct {
	// Blocks is how many blocks the engine should keep at least; 0 keeps all. It
	// never forgets one that the store, or a server that joins, may need.
	Blocks uint64
	// Results is for how many blocks results can be proven, at least. Default 100,000.
	Results uint64
	// Events is for how much block time what blocks did is kept in the store, for
	// Follow; 0: only in memory; negative: for ever.
	Events time.Duration
	// Days is for how many days trades, fills and cancelled withdrawals are kept. Default 30; negative: for ever.
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
// concurrently, but for those that consensus.Application puts in an order.
type Replica struct {
	config  Config
	id      exchange.ID
	log     *slog.Logger
	pool    *Pool
	known   *known
	metrics Metrics

	writer    *writer
	intake    *intake
	events    *events
	members   *members
	snapshots *snapshots
	restoring *restoring

	halted  chan struct{} // closed by the first failure, and by Close
	closing sync.Once
	due     atomic.Uint64 // ms, as of the last commit; never if nothing will fall due

	// Of the goroutine that finalizes and commits.
	uncommitted *finalized
	commands    []exchange.Command // memory for the next block's
	witness     witness

	mu         sync.RWMutex
	state      *exchange.State // nil before Found or Restore
	poisoned   bool            // a block broke it
	applied    Position        // of state
	position   Position        // committed
	committing chan struct{}   // closed by Commit of the block that is executed; nil if none is
	err        error           // why halted is closed
}

var (
	_ consensus.Application = (*Replica)(nil)
	_ consensus.Snapshotter = (*Replica)(nil)
)

// Open loads the state from the store and checks its root. Errors are
// ErrOtherServer, ErrStore and those of the store. A store that is empty, or whose
// founding or restoring was cut short, makes a replica without a state.
func Open(c Config) (*Replica, error) {
	c.setDefaults()
	r := &Replica{
		config: c, id: c.Founding.ID(), log: c.Logger, pool: c.Pool, known: newKnown(c.KnownBytes),
		members: newMembers(), halted: make(chan struct{}),
	}
	r.due.Store(never)
	r.events = newEvents(&r.metrics)
	r.snapshots = newSnapshots(r)
	r.restoring = &restoring{}
	if r.pool == nil {
		r.pool = NewPool(-1, 0)
	}
	at, err := r.load()
	if err != nil {
		return nil, err
	}
	runs, err := loadRuns(c.Store)
	if err != nil {
		return nil, fmt.Errorf("%w: lists of receipts: %w", ErrStore, err)
	}
	r.writer = newWriter(c.Store, &r.config, &r.metrics, at, runs, r.fail)
	r.writer.snapshot = r.snapshots.begin
	if err := r.writer.loadLog(); err != nil {
		return nil, err
	}
	r.metrics.Persisted.Store(at.Height)
	// A restarted server must not make the same batch again: time goes on.
	r.intake = newIntake(r, milliseconds(c.Now())<<20)
	if !c.Inline {
		go r.writer.run()
	}
	return r, nil
}

func (c *Config) setDefaults() {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Patience = cmp.Or(c.Patience, 500*time.Millisecond)
	if c.Inline {
		c.Patience = -1
	}
	c.KnownBytes = cmp.Or(c.KnownBytes, 192<<20)
	in, p, k := &c.Intake, &c.Persist, &c.Keep
	in.BatchCommands = min(cmp.Or(in.BatchCommands, MaxBatch), MaxBatch)
	in.BatchWait = cmp.Or(in.BatchWait, 2*time.Millisecond)
	in.InFlight = cmp.Or(in.InFlight, 16)
	in.Commands = cmp.Or(in.Commands, 65_536)
	in.Bytes = cmp.Or(in.Bytes, 64<<20)
	in.ClientWaiting = cmp.Or(in.ClientWaiting, 16_384)
	in.Resubmit = cmp.Or(in.Resubmit, time.Second)
	p.Every = cmp.Or(p.Every, 200*time.Millisecond)
	p.Blocks = cmp.Or(p.Blocks, 64)
	p.Bytes = cmp.Or(p.Bytes, 16<<20)
	p.Batch = min(cmp.Or(p.Batch, 32<<20), store.MaxBatch/2)
	p.LagBlocks = max(cmp.Or(p.LagBlocks, 512), p.Blocks+2)
	p.LagBytes = max(cmp.Or(p.LagBytes, 128<<20), 2*p.Bytes)
	k.Results = cmp.Or(k.Results, 100_000)
	k.Days = cmp.Or(k.Days, 30)
	k.Snapshots = cmp.Or(k.Snapshots, 2)
	k.ChunkBytes = cmp.Or(k.ChunkBytes, 1<<20)
}

// install makes a state that is stored the present one.
func (r *Replica) install(s *exchange.State, at Position) {
	r.mu.Lock()
	r.state, r.applied, r.position = s, at, at
	r.witness.begin(s)
	r.mu.Unlock()
	due := never
	if ms, ok := s.NextDue(); ok {
		due = ms
	}
	r.due.Store(due)
}

// Attach names the engine that batches are handed to. It is called once, when the
// engine has been made; until then Submit returns ErrDetached.
func (r *Replica) Attach(e consensus.Engine) { r.intake.attach(e) }

// Close stops taking commands, writes all committed blocks but the newest, which
// the engine replays, and waits for all goroutines. The engine must be closed
// before. It returns why the replica halted, if it did.
func (r *Replica) Close() error {
	err := r.Err()
	r.closing.Do(func() {
		r.intake.close()
		r.writer.close()
		r.snapshots.close()
		err = r.Err()
		r.fail(ErrClosed)
		r.events.close()
	})
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

// fail halts the replica for good. The first error counts.
func (r *Replica) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	r.err = err
	close(r.halted)
	if !errors.Is(err, ErrClosed) {
		r.log.Error("replica halts", slog.Any("error", err))
	}
	r.intake.cancel()
	r.writer.halt(err)
}

// Done is closed when the replica has halted or is closed.
func (r *Replica) Done() <-chan struct{} { return r.halted }

// Err is why the replica has halted: nil while it works, ErrClosed after Close.
func (r *Replica) Err() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.err
}

// usable is why commands cannot be taken.
func (r *Replica) usable() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.err == nil && r.state == nil {
		return ErrNotFounded
	}
	return r.err
}

// ID is the virtual server's id.
func (r *Replica) ID() exchange.ID { return r.id }

// Position is the last committed block.
func (r *Replica) Position() Position {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.position
}

// View lends the state for reading. No block is executed meanwhile, so read must
// be short, must copy what it needs, and must not call the replica. The state may
// be one block ahead of Position, while that block is being committed. Errors are
// ErrNotFounded, or why the replica halted if that has spoilt the state.
func (r *Replica) View(read func(*exchange.State)) error {
	return r.view(func(s *exchange.State, _ Position) { read(s) })
}

// ViewAt is View, with the position of the state.
func (r *Replica) ViewAt(read func(*exchange.State, Position)) error { return r.view(read) }

// view is View, with the position of the state.
func (r *Replica) view(read func(*exchange.State, Position)) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	switch {
	case r.poisoned:
		return cmp.Or(r.err, consensus.ErrHalted)
	case r.state == nil:
		return ErrNotFounded
	}
	read(r.state, r.applied)
	return nil
}

// member is the number of the member whose server this is; 0 if it is no member's.
func (r *Replica) member() roster.ID {
	var id roster.ID
	_ = r.View(func(s *exchange.State) { id, _ = s.Roster().ByConsensus(r.config.Self) }) // none without a state
	return id
}
