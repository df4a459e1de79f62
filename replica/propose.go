package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"time"

	"souk/consensus"
	"souk/exchange"
	"souk/identity"
)

// aheadMost is how far a block's clock may be ahead of a voter's (K-7).
const aheadMost = 1000 // ms

// Check verifies a batch, signatures included, and remembers the verdict and the
// commands. payload must not be changed afterwards. It returns ErrPayload for a
// payload that no block may contain.
func (r *Replica) Check(ctx context.Context, payload []byte) error {
	_, err := r.check(ctx, payload, false)
	return err
}

// check is Check; it returns the batch too.
func (r *Replica) check(ctx context.Context, payload []byte, urgent bool) (Batch, error) {
	for {
		e, mine := r.known.claim(payload)
		if mine {
			return r.checkNew(ctx, e, payload, urgent)
		}
		if err := e.wait(ctx); err != nil {
			return Batch{}, err
		}
		if !e.aborted {
			r.metrics.Known.Add(1)
			return e.batch, e.err
		}
	}
}

// checkNew checks a payload for the first time and settles its entry, which may be nil.
func (r *Replica) checkNew(ctx context.Context, e *entry, payload []byte, urgent bool) (Batch, error) {
	r.metrics.Checked.Add(1)
	b, err := ParseBatch(r.id, payload)
	if err != nil {
		r.known.settle(e, Batch{}, err, false)
		return Batch{}, err
	}
	bad, err := r.verify(ctx, b.Commands, urgent)
	switch {
	case err != nil: // not the payload's fault
		r.known.settle(e, Batch{}, err, true)
		return Batch{}, err
	case bad != nil:
		err = fmt.Errorf("%w: the signature of command %d does not verify", ErrPayload, firstBad(bad)+1)
		r.known.settle(e, Batch{}, err, false)
		return Batch{}, err
	}
	r.known.settle(e, b, nil, false)
	return b, nil
}

// verify returns the verdicts if any signature is bad, or nil if all are good.
func (r *Replica) verify(ctx context.Context, commands []exchange.Command, urgent bool) ([]bool, error) {
	verdicts, err := r.pool.verify(ctx, r.id, commands, urgent)
	if err != nil {
		return nil, err
	}
	r.metrics.Verified.Add(uint64(len(commands)))
	if firstBad(verdicts) < 0 {
		return nil, nil
	}
	for _, good := range verdicts {
		if !good {
			r.metrics.BadSignatures.Add(1)
		}
	}
	return verdicts, nil
}

// firstBad is the index of the first false, or -1.
func firstBad(verdicts []bool) int {
	for i, good := range verdicts {
		if !good {
			return i
		}
	}
	return -1
}

// Propose makes a block of this server's clock and the waiting payloads, oldest
// first, as far as they fit (S-5). Payloads that a block contained already, or
// that no server would vote for, stay out; if not all fit, those that the state has
// little use for come last (S-50).
func (r *Replica) Propose(now time.Time, height uint64, waiting [][]byte) [][]byte {
	last, due, ok := r.clock()
	if !ok {
		return nil
	}
	ms := max(milliseconds(now), last+1)
	block := proposal{payloads: [][]byte{nil}, size: clockSize}
	crowded := !fitTogether(waiting)
	var worthless [][]byte
	ahead := newPicked()
	for _, p := range waiting {
		if block.size+len(p) > consensus.MaxBlock || r.known.wasCommitted(p) {
			continue
		}
		b, err := r.check(context.Background(), p, true)
		if err != nil {
			continue
		}
		if crowded && !r.worthwhile(&b, height, ms, ahead) {
			worthless = append(worthless, p)
			continue
		}
		if block.add(p, len(b.Commands)) && crowded {
			ahead.add(b.Commands)
		}
		if block.commands == exchange.MaxBlockCommands {
			break
		}
	}
	for _, p := range worthless {
		_, count, _ := parseBatchHeader(p) // it was parsed before
		block.add(p, count)
	}
	if len(block.payloads) == 1 && (due == never || due > ms) {
		return nil
	}
	block.payloads[0] = AppendClock(nil, ms)
	return block.payloads
}

// proposal is a block that is being filled.
type proposal struct {
	payloads       [][]byte
	size, commands int
}

// add adds a payload if it fits.
func (b *proposal) add(p []byte, commands int) bool {
	if b.size+len(p) > consensus.MaxBlock || b.commands+commands > exchange.MaxBlockCommands {
		return false
	}
	b.payloads = append(b.payloads, p)
	b.size += len(p)
	b.commands += commands
	return true
}

// fitTogether tells whether payloads have room in one block. What is no batch is
// counted too.
func fitTogether(payloads [][]byte) bool {
	size, commands := clockSize, 0
	for _, p := range payloads {
		_, count, _ := parseBatchHeader(p) // none in what is no batch
		size += len(p)
		commands += count
	}
	return size <= consensus.MaxBlock && commands <= exchange.MaxBlockCommands
}

// sampled is how many commands of a batch are looked at to judge it.
const sampled = 16

// worthwhile tells whether at least half of a batch's commands would be admitted
// behind those that were picked before, as far as some of them show. Which ones nobody knows
// before the last block is decided, as they depend on its root.
func (r *Replica) worthwhile(b *Batch, height, ms uint64, ahead *picked) bool {
	good := 0
	err := r.view(func(s *exchange.State, at Position) {
		rng := rand.New(rand.NewPCG(height, binary.BigEndian.Uint64(at.Root[:]))) //nolint:gosec // the same in two runs
		for range sampled {
			i := rng.IntN(len(b.Commands))
			if s.Precheck(&b.Commands[i], ms) == exchange.OK && ahead.room(s, b.Commands[:i], &b.Commands[i]) {
				good++
			}
		}
	})
	return err != nil || 2*good >= sampled
}

// picked is what the batches that a proposer has picked take of their accounts' shares of the block.
type picked struct {
	seed     maphash.Seed
	nonces   map[uint64]struct{}
	accounts map[identity.Address]uint64
}

func newPicked() *picked {
	return &picked{seed: maphash.MakeSeed(), nonces: map[uint64]struct{}{}, accounts: map[identity.Address]uint64{}}
}

func (p *picked) add(commands []exchange.Command) {
	for i := range commands {
		c := &commands[i]
		p.nonces[nonceHash(p.seed, c)] = struct{}{}
		p.accounts[c.Account]++
	}
}

// room tells whether a command's nonce, limit and fees are not taken up by what was picked,
// nor by what stands before it in its own batch. All commands of an account count
// for its fees, be they free or not: this is for batches that are mostly in vain.
func (p *picked) room(s *exchange.State, before []exchange.Command, c *exchange.Command) bool {
	if _, taken := p.nonces[nonceHash(p.seed, c)]; taken {
		return false
	}
	n := p.accounts[c.Account]
	again := false
	for i := range before {
		o := &before[i]
		if o.Account != c.Account {
			continue
		}
		if o.Nonce == c.Nonce && o.Key == c.Key {
			return false
		}
		again = again || o.Kind == c.Kind && bytes.Equal(o.Body, c.Body)
		n++
	}
	d, code := s.Demand(c)
	if code != exchange.OK || n >= uint64(s.Params().AccountCommands) {
		return false
	}
	pays := d.Pays == exchange.PayFee || d.Pays == exchange.PayOnce && again
	return !pays || n < d.Fees
}

// Verify refuses a block that breaks S-5. A block whose clock is ahead it lets
// wait for a moment before it refuses. Its verdict depends on time only in that
// a clock that was ahead is so no more.
func (r *Replica) Verify(ctx context.Context, now time.Time, p consensus.Proposal) error {
	if len(p.Payloads) == 0 {
		return nil
	}
	last, due, ok := r.clock()
	if !ok {
		return ErrNotFounded
	}
	ms, err := ParseClock(p.Payloads[0])
	switch {
	case err != nil:
		return err
	case ms <= last:
		return fmt.Errorf("%w: the clock is at %d, not after the last block's %d", ErrPayload, ms, last)
	case len(p.Payloads) == 1 && (due == never || due > ms):
		return fmt.Errorf("%w: a clock without commands, and nothing is due", ErrPayload)
	}
	if err := r.verifyBatches(ctx, p.Payloads[1:]); err != nil {
		return err
	}
	return r.verifyAhead(ctx, now, ms)
}

// verifyBatches checks the payloads behind the clock.
func (r *Replica) verifyBatches(ctx context.Context, payloads [][]byte) error {
	size, commands := clockSize, 0
	for _, p := range payloads {
		size += len(p)
		_, count, err := parseBatchHeader(p)
		if err != nil {
			return err
		}
		commands += count
	}
	switch {
	case size > consensus.MaxBlock:
		return fmt.Errorf("%w: a block of %d bytes, at most %d are possible", ErrPayload, size, consensus.MaxBlock)
	case commands > exchange.MaxBlockCommands:
		return fmt.Errorf("%w: a block of %d commands, at most %d are possible", ErrPayload, commands, exchange.MaxBlockCommands)
	}
	for _, p := range payloads {
		if _, err := r.check(ctx, p, true); err != nil {
			return err
		}
	}
	return nil
}

// verifyAhead refuses a clock that is more than a second ahead. If it is only a
// little more, it waits until that has passed: refusing would cost a whole round.
func (r *Replica) verifyAhead(ctx context.Context, now time.Time, ms uint64) error {
	local := milliseconds(now)
	if ms <= local+aheadMost {
		return nil
	}
	ahead := time.Duration(min(ms-local-aheadMost, uint64(time.Hour/time.Millisecond))) * time.Millisecond
	if ahead > r.config.Patience {
		return fmt.Errorf("%w: the clock is %d ms ahead of this server's", ErrPayload, ms-local)
	}
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.halted:
		return ErrClosed
	}
}

// never is the due time of a state in which nothing will fall due.
const never = ^uint64(0)

// clock is the time of the last block that had one, and when a block is due; ok
// is false before there is a state.
func (r *Replica) clock() (last, due uint64, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.state == nil || r.poisoned {
		return 0, 0, false
	}
	last, due = r.state.Time(), never
	if ms, some := r.state.NextDue(); some {
		due = ms
	}
	return last, due, true
}

// NextDue is when a block is needed although nothing waits.
func (r *Replica) NextDue() (due time.Time, ok bool) {
	ms := r.due.Load()
	if ms == never {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(min(ms, farthest))), true
}

// farthest bounds due times to what a time.Time can hold in ms.
const farthest = 1 << 53

// milliseconds is a time as blocks state it.
func milliseconds(t time.Time) uint64 {
	if ms := t.UnixMilli(); ms > 0 {
		return uint64(ms)
	}
	return 0
}
