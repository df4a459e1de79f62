package custodian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"souk/chain"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/script"
	"souk/threshold"
)

// work is a live batch on its way into a block.
type work struct {
	batch    custody.Batch
	kind     threshold.Multisig
	members  [][]custody.Member // of kind's series, in the order of their keys
	own      bool               // this member has a key in some input
	versions []*version         // from 1
	sent     int                // the highest version that was broadcast
	problem  string
}

// version is one of the transactions that a batch may become.
type version struct {
	inputs  []custody.Input
	outputs []script.Output
	session threshold.Session           // once signatures are to be verified
	given   map[custody.Member][][]byte // as last verified, by input
	good    []threshold.Partial
	bad     map[custody.Member]bool // whose signatures are not all good
	todo    map[custody.Member][][]byte
	raw     []byte // once enough have signed
	signing outstanding
	tried   chain.Point // the tip when it was broadcast last
	step    uint64      // and the step
}

// order is a signature to be made.
type order struct {
	work *work
	sign func() (*custody.Signature, error)
}

// readBatches reads what the ledger says of live batches: new versions, which are
// to be signed, and new signatures, which are to be verified.
func (c *Custodian) readBatches(s *exchange.State) (orders []order) {
	banks := s.Banks()
	info, _ := banks.Bank(c.cfg.Bank)
	c.restore(banks, info.Live)
	c.retire(banks, info.Live)
	size := 0
	for _, number := range info.Live {
		w := c.works[number]
		if w == nil {
			w = &work{}
			c.works[number] = w
		}
		c.readBatch(banks, w, number)
		c.readNews(banks, w)
		if n := len(w.batch.Inputs) * (custody.MaxSignature + 1); !c.seen.halted && w.own && size+n <= maxSignatures {
			if o, ok := c.order(banks, w); ok {
				orders, size = append(orders, o), size+n
			}
		}
	}
	return orders
}

// readNews takes the signatures of versions that are newer than all that are whole, and of
// the newest one that is whole, late ones of which may be bad. It does so during halts as
// well: what was mined settles then, and is kept only if it is whole (W-34).
func (c *Custodian) readNews(banks *custody.State, w *work) {
	for i, v := range slices.Backward(w.versions) {
		c.readSignatures(banks, w, i+1)
		if v.raw != nil {
			break
		}
	}
}

// readBatch brings a work up to the versions that the ledger has.
func (c *Custodian) readBatch(banks *custody.State, w *work, number uint64) {
	b, _ := banks.Batch(c.cfg.Bank, number)
	if len(b.Inputs) > len(w.batch.Inputs) {
		for i := range b.Inputs {
			n := b.Inputs[i].Series
			for uint64(len(w.kind.Series)) <= uint64(n) {
				w.kind.Series, w.members = append(w.kind.Series, nil), append(w.members, nil)
			}
			if w.kind.Series[n] == nil {
				series, members, _ := banks.SeriesOf(c.cfg.Bank, n)
				w.kind.Series[n], w.members[n] = &series, members
				w.own = w.own || slices.Contains(members, c.seen.me)
			}
		}
	}
	w.batch = b
	for len(w.versions) < len(b.Versions) {
		tx, _ := banks.Transaction(c.cfg.Bank, number, uint8(len(w.versions)+1))
		w.versions = append(w.versions, &version{
			inputs: b.Spends(len(w.versions) + 1), outputs: tx.Outputs, given: map[custody.Member][][]byte{}, bad: map[custody.Member]bool{}, todo: map[custody.Member][][]byte{},
		})
	}
}

// order prepares the member's signature of the newest version, if the ledger does
// not have it and it is time.
func (c *Custodian) order(banks *custody.State, w *work) (order, bool) {
	n := uint8(len(w.versions))
	v := w.versions[n-1]
	if slices.Contains(banks.Signed(c.cfg.Bank, w.batch.Number, n), c.seen.me) || !v.signing.due(c.steps) {
		return order{}, false
	}
	v.signing.answered(c.steps)
	sign, err := c.cfg.Signer.Prepare(banks, c.seen.me, c.cfg.Bank, w.batch.Number, n)
	if err != nil {
		c.fail(w, err)
		return order{}, false
	}
	return order{w, sign}, true
}

// sign makes a signature that was prepared.
func (c *Custodian) sign(o order) *custody.Signature {
	x, err := o.sign()
	if err != nil {
		c.fail(o.work, err)
		return nil
	}
	o.work.problem = ""
	return x
}

func (c *Custodian) fail(w *work, err error) {
	if w.problem != err.Error() {
		c.log.Warn("transaction of a bank waits", slog.Uint64("batch", w.batch.Number), slog.Any("error", err))
	}
	w.problem = err.Error()
}

// readSignatures takes signatures that were not verified yet.
func (c *Custodian) readSignatures(banks *custody.State, w *work, n int) {
	v := w.versions[n-1]
	signed := banks.Signed(c.cfg.Bank, w.batch.Number, uint8(n))
	news := slices.ContainsFunc(signed, func(m custody.Member) bool { return v.given[m] == nil || v.bad[m] })
	if !news {
		return
	}
	members, given := banks.Signatures(c.cfg.Bank, w.batch.Number, uint8(n))
	for i, m := range members {
		if !slices.EqualFunc(v.given[m], given[i], bytes.Equal) {
			v.todo[m] = given[i]
		}
	}
}

// passOn verifies what was signed, combines it and broadcasts the newest version of
// each batch that enough have signed. What settled and is not in the chain any more goes first.
func (c *Custodian) passOn(ctx context.Context) {
	c.passAgain(ctx)
	numbers := slices.Sorted(maps.Keys(c.works))
	for _, number := range numbers {
		c.combine(c.works[number])
	}
	// What anybody can have mined must not be lost in a crash. If the disk fails, payees
	// do not wait for it; the end of the step says so, and tries again.
	if err := c.saveKept(); err != nil {
		c.log.WarnContext(ctx, "transactions are broadcast that are not on disk", slog.Any("error", err))
	}
	for _, number := range numbers {
		w := c.works[number]
		if n := w.newest(); n > 0 && n >= w.sent && !c.seen.halted && ctx.Err() == nil {
			c.broadcast(ctx, w, n)
		}
	}
}

// combine verifies what was signed of a batch.
func (c *Custodian) combine(w *work) {
	for _, v := range slices.Backward(w.versions) {
		if len(v.todo) > 0 {
			if err := c.verify(w, v); err != nil {
				c.fail(w, err)
			}
		}
		if v.raw != nil {
			return
		}
	}
}

// newest is the newest version that is whole, from 1; zero for none.
func (w *work) newest() int {
	for i, v := range slices.Backward(w.versions) {
		if v.raw != nil {
			return i + 1
		}
	}
	return 0
}

// verify checks signatures, names who gave bad ones, and combines them if there are
// enough.
func (c *Custodian) verify(w *work, v *version) error {
	if v.session == nil {
		plan := threshold.Plan{Network: c.cfg.Network, Version: script.Version, Sequence: script.SequenceReplace, Outputs: v.outputs}
		for i := range v.inputs {
			in := &v.inputs[i]
			plan.Inputs = append(plan.Inputs, threshold.Coin{
				At: in.At, Amount: in.Amount, Series: in.Series, Branch: in.Branch, Index: in.Index,
			})
		}
		session, err := w.kind.Open(&plan)
		if err != nil {
			return fmt.Errorf("rebuild transaction: %w", err)
		}
		v.session = session
	}
	for _, m := range slices.Sorted(maps.Keys(v.todo)) {
		c.verifyOf(w, v, m, v.todo[m])
	}
	clear(v.todo)
	if v.raw != nil || !w.enough(v) {
		return nil
	}
	raw, _, err := v.session.Combine(v.good)
	if err != nil {
		return fmt.Errorf("combine signatures: %w", err)
	}
	v.raw, c.keptNew = raw, true
	return nil
}

// verifyOf checks what one member gave.
func (c *Custodian) verifyOf(w *work, v *version, m custody.Member, given [][]byte) {
	v.good = slices.DeleteFunc(v.good, func(p threshold.Partial) bool {
		return w.members[v.inputs[p.Input].Series][p.Key] == m
	})
	v.given[m], v.bad[m] = given, false
	for i, signature := range given {
		position := slices.Index(w.members[v.inputs[i].Series], m)
		if position < 0 {
			continue
		}
		if len(signature) == 0 {
			v.bad[m] = true // it may still come
			continue
		}
		p := threshold.Partial{Input: uint32(i), Key: uint8(position), Signature: signature}
		if err := v.session.Check(p); err != nil {
			v.bad[m] = true
			c.blame(m, w.batch.Number, err)
			return
		}
		v.good = append(v.good, p)
	}
}

// enough tells whether each input has as many good signatures as it needs.
func (w *work) enough(v *version) bool {
	counts := make([]int, len(v.inputs))
	for _, p := range v.good {
		counts[p.Input]++
	}
	for i, n := range counts {
		if n < int(w.kind.Series[v.inputs[i].Series].K) {
			return false
		}
	}
	return true
}

// broadcast hands a version to the network: when it is whole, with each new block,
// and now and then, for nodes drop what waits (W-32).
func (c *Custodian) broadcast(ctx context.Context, w *work, n int) {
	v, tip := w.versions[n-1], c.own.end
	if c.own.spent[v.inputs[0].At] || v.step != 0 && v.tried == tip && c.steps < v.step+again {
		return
	}
	err := c.cfg.Backend.Broadcast(ctx, v.raw)
	if err != nil && !errors.Is(err, chain.ErrRefused) {
		c.fail(w, fmt.Errorf("broadcast version %d: %w", n, err))
		return // the node was not there; the next step tries again
	}
	v.tried, v.step = tip, c.steps
	w.sent = n
	if err != nil {
		c.fail(w, fmt.Errorf("broadcast version %d: %w", n, err))
		return
	}
	c.log.DebugContext(ctx, "broadcast", slog.Uint64("batch", w.batch.Number), slog.Int("version", n))
	w.problem = ""
}
