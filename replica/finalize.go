package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"souk/consensus"
	"souk/exchange"
	"souk/exchange/roster"
	"souk/identity"
)

// finalized is a block that is executed and not committed.
type finalized struct {
	timed    bool     // the block has a clock
	payloads [][]byte // behind it
	batches  []finalizedBatch
	proposer identity.PublicKey
	result   *exchange.Result
	position Position
	due      uint64
	record   *record
}

// finalizedBatch is a batch of a finalized block.
type finalizedBatch struct {
	member  roster.ID // 0 if there is no such member
	seq     uint64
	count   int
	payload []byte
}

// Info is the position that the store answers for. The engine replays what came
// after, at least the newest block.
func (r *Replica) Info() consensus.Info {
	at := r.writer.at()
	return consensus.Info{Height: at.Height, Root: at.Root}
}

// Found makes the state of height 0, or loads it if that was done before and no
// block came since.
func (r *Replica) Found(f consensus.Founding) (consensus.Outcome, error) {
	if err := r.Err(); err != nil {
		return consensus.Outcome{}, err
	}
	if want := r.config.Founding.Append(nil); !bytes.Equal(f.Contract, want) {
		return consensus.Outcome{}, fmt.Errorf("found: %w: the genesis holds another contract", ErrOtherServer)
	}
	r.mu.RLock()
	state, at := r.state, r.applied
	r.mu.RUnlock()
	switch {
	case at.Height > 0:
		return consensus.Outcome{}, fmt.Errorf("found: the state is at height %d already", at.Height)
	case state == nil:
		var err error
		if state, err = r.found(); err != nil {
			return consensus.Outcome{}, fmt.Errorf("found: %w", err)
		}
	}
	return consensus.Outcome{Root: state.Root(), Validators: validators(state.Validators())}, nil
}

// found makes the first state and stores it.
func (r *Replica) found() (state *exchange.State, err error) {
	f := r.config.Founding
	switch {
	case f.Origin == nil:
		state, err = exchange.New(f)
	case r.config.Origin == nil:
		return nil, fmt.Errorf("%w: the contract goes on from another virtual server, whose export is needed", ErrExport)
	default:
		if state, err = r.config.Origin.State(); err == nil {
			state, err = exchange.Refound(f, state.Leaves)
		}
	}
	if err != nil {
		return nil, err
	}
	at := Position{Time: state.Time(), Root: state.Root()}
	if err := r.storeState(state.Leaves, at); err != nil {
		return nil, err
	}
	r.install(state, at)
	return state, nil
}

func validators(all []roster.Validator) []consensus.Validator {
	out := make([]consensus.Validator, len(all))
	for i, v := range all {
		out[i] = consensus.Validator{Key: v.Key, Power: v.Power}
	}
	return out
}

// Finalize executes a decided block. It waits if the store is too far behind. An
// error is final: consensus.ErrHalted if this program must not, or could not, execute the block.
func (r *Replica) Finalize(b consensus.Block) (out consensus.Outcome, err error) {
	if err := r.Err(); err != nil {
		return consensus.Outcome{}, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("block %d: %w", b.Height, err)
			r.fail(err)
		}
	}()
	if err := r.mayExecute(b.Height); err != nil {
		return consensus.Outcome{}, err
	}
	block, f, err := r.decode(&b)
	if err != nil {
		return consensus.Outcome{}, err
	}
	if err := r.writer.wait(); err != nil {
		return consensus.Outcome{}, err
	}
	if err := r.apply(block, f); err != nil {
		return consensus.Outcome{}, err
	}
	r.uncommitted = f
	return consensus.Outcome{Root: f.result.Root, Validators: validators(f.result.Validators)}, nil
}

// mayExecute tells why this program must not execute the block of a height.
func (r *Replica) mayExecute(height uint64) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	switch {
	case r.state == nil:
		return ErrNotFounded
	case r.uncommitted != nil:
		return fmt.Errorf("block %d is not committed", r.uncommitted.position.Height)
	case height != r.applied.Height+1:
		return fmt.Errorf("the state is at height %d", r.applied.Height)
	}
	return knowsVersion(r.state, height)
}

// knowsVersion tells whether this program can execute the block of a height.
func knowsVersion(s *exchange.State, height uint64) error {
	if v := s.Roster().Version(height); v > exchange.ProtocolMax {
		return fmt.Errorf("%w: it needs protocol version %d and this program knows %d: install a newer one",
			consensus.ErrHalted, v, exchange.ProtocolMax)
	}
	return nil
}

// decode makes the exchange's block of a decided one, and what goes with it to Commit.
func (r *Replica) decode(b *consensus.Block) (*exchange.Block, *finalized, error) {
	block := &exchange.Block{Height: b.Height, Proposer: b.Proposer, Missed: b.Missed}
	for _, m := range b.Evidence {
		block.Evidence = append(block.Evidence, m.Key)
	}
	f := &finalized{proposer: b.Proposer, position: Position{Height: b.Height}}
	if len(b.Payloads) == 0 {
		return block, f, nil
	}
	var err error
	if block.Time, err = ParseClock(b.Payloads[0]); err != nil {
		return nil, nil, err
	}
	f.timed, f.payloads = true, b.Payloads[1:]
	r.commands = r.commands[:0]
	for _, p := range f.payloads {
		batch, err := r.decided(p)
		if err != nil {
			return nil, nil, err
		}
		f.batches = append(f.batches, finalizedBatch{batch.Member, batch.Seq, len(batch.Commands), p})
		if len(f.payloads) == 1 {
			block.Commands = batch.Commands
			break
		}
		r.commands = append(r.commands, batch.Commands...)
		block.Commands = r.commands
	}
	return block, f, nil
}

// decided is the batch of a payload in a decided block. More than two thirds have
// verified its signatures, so only an audit does it again.
func (r *Replica) decided(payload []byte) (Batch, error) {
	if e := r.known.find(payload); e != nil {
		select {
		case <-e.done:
			if e.err == nil {
				return e.batch, nil
			}
		default: // being checked for the first time; parsing is faster than waiting
		}
	}
	b, err := ParseBatch(r.id, payload)
	if err != nil || !r.config.Audit {
		return b, err
	}
	bad, err := r.verify(context.Background(), b.Commands, true)
	if bad != nil {
		return Batch{}, fmt.Errorf("audit: the signature of command %d of member %d's batch %d does not verify", firstBad(bad)+1, b.Member, b.Seq)
	}
	return b, err
}

// apply executes a block on the state. A panic is a broken invariant: the state
// is of no use any more, but other virtual servers of this process go on.
func (r *Replica) apply(block *exchange.Block, f *finalized) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		if broken := recover(); broken != nil {
			r.poisoned = true
			r.log.Error("an invariant is broken", slog.Uint64("height", block.Height), slog.Any("panic", broken), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("%w: an invariant is broken: %v", consensus.ErrHalted, broken)
		}
	}()
	if !f.timed {
		block.Time = r.state.Time() // it has none of its own (K-8)
	}
	start := time.Now()
	f.result = r.state.Apply(block)
	r.metrics.ApplyNano.Add(uint64(time.Since(start)))

	f.position = Position{Height: block.Height, Time: r.state.Time(), Root: f.result.Root, RootHeight: r.applied.RootHeight}
	if f.position.Root != r.applied.Root {
		f.position.RootHeight = block.Height
	}
	f.record = &record{position: f.position, result: f.result}
	if f.result.Active {
		value, proof := r.state.Prove(exchange.ClockKey())
		f.record.clock, f.record.proof = value, proof.Encode()
		f.record.effects = r.witness.see(r.state, block, f.result)
	}
	f.due = never
	if ms, ok := r.state.NextDue(); ok {
		f.due = ms
	}
	for i := range f.batches {
		if _, ok := r.state.Roster().Member(f.batches[i].member); !ok {
			f.batches[i].member = 0
		}
	}
	r.applied = f.position
	r.committing = make(chan struct{})
	return nil
}

// Commit makes the finalized block visible: its receipts go to those who wait for
// them. It answers from which height on the engine must keep blocks.
func (r *Replica) Commit() (retain uint64, err error) {
	if err := r.Err(); err != nil {
		return 0, err
	}
	f := r.uncommitted
	if f == nil {
		return 0, errors.New("commit: no block is finalized")
	}
	if err := r.writer.add(f.record); err != nil {
		err = fmt.Errorf("commit block %d: %w", f.position.Height, err)
		r.fail(err)
		return 0, err
	}
	r.mu.Lock()
	r.position, r.uncommitted = f.position, nil
	close(r.committing)
	r.committing = nil
	r.mu.Unlock()
	r.due.Store(f.due)
	r.known.commit(f.payloads)
	r.intake.committed(f)
	r.note(f)
	return r.retain(f.position.Height), nil
}

// note counts a committed block and tells subscribers.
func (r *Replica) note(f *finalized) {
	c := &Committed{Position: f.position, Proposer: f.proposer, Result: f.result, memory: f.record.memory, record: f.record}
	now := r.config.Now()
	for i := range f.batches {
		b := &f.batches[i]
		c.Batches = append(c.Batches, Origin{b.member, b.count})
		r.members.batch(b.member, b.count, now)
	}
	r.metrics.block(f.result)
	r.events.publish(c)
}

// retain is the height below which the engine may forget blocks: the store and
// servers that join need no older one. Zero keeps all.
func (r *Replica) retain(height uint64) uint64 {
	keep := r.config.Keep.Blocks
	if keep == 0 || height <= keep {
		return 0
	}
	limit := min(height-keep, r.writer.at().Height)
	if r.config.Keep.SnapshotEvery > 0 {
		// A server that joins begins at a snapshot. Without one it needs all blocks.
		limit = min(limit, r.snapshots.oldest())
	}
	return limit
}
