package custodian

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"souk/chain"
	"souk/exchange/custody"
	"souk/script"
)

// own is the member's chain as far as it still counts: from the oldest block that the
// bank remembers to the last one read, and what they hold.
type own struct {
	locator  chain.Locator
	base     uint32        // height of the first hash
	hashes   []script.Hash // of a base that is agreed, and of the blocks read since
	payments []payment     // ascending by height, as spends
	spends   []custody.Spend
	time     uint32      // of the last block read, in seconds
	end      chain.Point // of the node's chain when it was last asked

	paid    map[script.Outpoint]bool // of payments
	spent   map[script.Outpoint]bool // of spends
	changed bool                     // since it was last saved
}

// payment is a payment that was found.
type payment struct {
	custody.Payment
	coinbase bool
}

// tip is the last block read; zero for none.
func (o *own) tip() chain.Point {
	if len(o.hashes) == 0 {
		return chain.Point{}
	}
	n := len(o.hashes) - 1
	return chain.Point{Height: o.base + uint32(n), Hash: o.hashes[n]}
}

// at is the hash of the member's chain at a height; zero for none that is known.
func (o *own) at(height uint32) script.Hash {
	if height < o.base || uint64(height-o.base) >= uint64(len(o.hashes)) {
		return script.Hash{}
	}
	return o.hashes[height-o.base]
}

// reset makes it begin at a block.
func (o *own) reset(at chain.Point) {
	*o = own{locator: chain.Locator{at}, base: at.Height, hashes: []script.Hash{at.Hash}, end: o.end, changed: true}
	o.index()
}

// rewind forgets all above a block.
func (o *own) rewind(to chain.Point) {
	if to.Height < o.base {
		o.base, o.hashes = to.Height, []script.Hash{to.Hash}
	} else {
		o.hashes = o.hashes[:min(uint64(len(o.hashes)), uint64(to.Height-o.base)+1)]
	}
	o.payments = slices.DeleteFunc(o.payments, func(p payment) bool { return p.Height > to.Height })
	o.spends = slices.DeleteFunc(o.spends, func(p custody.Spend) bool { return p.Height > to.Height })
	o.index()
	o.changed = true
}

// trim forgets what the bank has forgotten, and returns the coins whose spending it has.
func (o *own) trim(floor uint32) (gone []script.Outpoint) {
	if floor <= o.base || uint64(floor-o.base) >= uint64(len(o.hashes)) {
		return nil
	}
	o.hashes = slices.Clone(o.hashes[floor-o.base:])
	o.base = floor
	o.payments = slices.DeleteFunc(o.payments, func(p payment) bool { return p.Height <= floor })
	o.spends = slices.DeleteFunc(o.spends, func(p custody.Spend) bool {
		if p.Height <= floor {
			gone = append(gone, p.At)
		}
		return p.Height <= floor
	})
	o.index()
	o.changed = true
	return gone
}

func (o *own) index() {
	o.paid, o.spent = map[script.Outpoint]bool{}, map[script.Outpoint]bool{}
	for i := range o.payments {
		o.paid[o.payments[i].At] = true
	}
	for i := range o.spends {
		o.spent[o.spends[i].At] = true
	}
}

// errDeriving is why nothing is said at the start.
var errDeriving = fmt.Errorf("%w: addresses are being derived", ErrBehind)

// follow reads what is new on the chain. An error says why the member's view is not
// one to attest.
func (c *Custodian) follow(ctx context.Context) error {
	complete, err := c.derive()
	if err != nil {
		return err
	}
	if !complete {
		return errDeriving
	}
	o := &c.own
	c.expectCoins()
	if tip := o.tip(); len(o.hashes) == 0 || tip.Height < c.seen.floor.Height {
		c.restart()
	}
	left, err := c.read(ctx)
	if err != nil {
		return err
	}
	for _, at := range o.trim(c.seen.floor.Height) {
		c.forget(at)
	}
	if err := c.readAgain(ctx, left); err != nil {
		return err
	}
	c.estimate(ctx)
	return c.synced()
}

// restart begins at the oldest block that the bank remembers.
func (c *Custodian) restart() {
	c.own.reset(c.seen.floor)
	c.watch.fresh, c.watch.late, c.watch.lost, c.watch.again = nil, false, nil, nil
	c.cover(c.seen.allotted)
}

// cover notes that all scripts were looked for in all blocks so far.
func (c *Custodian) cover(allotted []uint32) {
	tip := c.own.tip().Height
	if c.watch.coveredAt != tip || !slices.Equal(c.watch.covered, allotted) {
		c.watch.covered, c.watch.coveredAt = slices.Clone(allotted), tip
		c.own.changed = true
	}
}

// read follows the chain for some blocks, and answers how many more could be read.
func (c *Custodian) read(ctx context.Context) (left int, err error) {
	o := &c.own
	left = scanBlocks
	for left > 0 {
		step, err := c.cfg.Backend.Follow(ctx, o.locator, left)
		if errors.Is(err, chain.ErrForked) {
			return left, c.forked(ctx)
		}
		if err != nil {
			return left, err
		}
		o.end = step.Tip
		if last, _ := o.locator.Last(); step.Fork != last {
			c.log.InfoContext(ctx, "chain reorganised", slog.Uint64("from", uint64(last.Height)), slog.Uint64("to", uint64(step.Fork.Height)))
			c.rewind(step.Fork)
		}
		o.locator = o.locator.Apply(chain.Step{Fork: step.Fork})
		for i := range step.Blocks {
			b := &step.Blocks[i]
			found, err := c.cfg.Backend.Scan(ctx, b.Point, c.watch.filter)
			if errors.Is(err, chain.ErrUnknownBlock) {
				return left, nil // reorganised since; the next step tells
			}
			if err != nil {
				return left, fmt.Errorf("%v: %w", b.Point, err)
			}
			c.connect(b, &found)
			left--
		}
		if len(step.Blocks) == 0 {
			return left, nil
		}
	}
	return left, nil
}

func (c *Custodian) rewind(to chain.Point) {
	c.own.rewind(to)
	c.watch.coveredAt = min(c.watch.coveredAt, to.Height)
	if r := c.watch.again; r != nil {
		r.next = min(r.next, to.Height+1)
	}
}

// forked tells what it means that the chain has none of the blocks that were read.
func (c *Custodian) forked(ctx context.Context) error {
	tip, err := c.cfg.Backend.Tip(ctx)
	if err != nil {
		return err
	}
	c.own.end = tip.Point
	switch {
	case tip.Height < c.seen.floor.Height:
		return fmt.Errorf("%w: it stands at %v, before block %d", ErrBehind, tip.Point, c.seen.floor.Height)
	case c.own.locator[0] != c.seen.floor:
		c.restart()
		return fmt.Errorf("%w: reading again from %v", ErrBehind, c.seen.floor)
	}
	return fmt.Errorf("%w: it does not contain %v", ErrChain, c.seen.floor)
}

// connect takes the next block.
func (c *Custodian) connect(b *chain.Block, found *chain.Found) {
	o := &c.own
	o.hashes = append(o.hashes, b.Hash)
	o.time, o.changed = b.Time, true
	o.locator = o.locator.Apply(chain.Step{Fork: chain.Point{Height: b.Height - 1, Hash: b.Parent}, Blocks: []chain.Block{*b}})
	c.take(b.Height, found)
}

// take keeps what a block was found to hold, each thing once.
func (c *Custodian) take(height uint32, found *chain.Found) {
	o := &c.own
	for i := range found.Payments {
		p := &found.Payments[i]
		at, ours := c.watch.places[string(p.Script)]
		if !ours || o.paid[p.At] || p.Amount <= c.cfg.Network.TokenAmounts {
			continue
		}
		o.paid[p.At] = true
		o.payments = append(o.payments, payment{coinbase: p.Coinbase, Payment: custody.Payment{
			Height: height, At: p.At, Amount: p.Amount, Series: at.series, Branch: at.branch, Index: at.index, PegOut: p.PegOut,
		}})
		c.expect(p.At, p.Script)
		o.changed = true
	}
	for _, s := range found.Spends {
		if !o.spent[s.At] {
			o.spent[s.At] = true
			o.spends = append(o.spends, custody.Spend{Height: height, At: s.At, Tx: s.By})
			o.changed = true
		}
	}
}

// readAgain reads some old blocks again for what was not looked for the first time
// (W-24): scripts, and coins of the ledger that were not found.
func (c *Custodian) readAgain(ctx context.Context, left int) error {
	w, o := &c.watch, &c.own
	if w.again == nil {
		w.again = c.newRescan()
	}
	r := w.again
	if r == nil {
		if len(w.fresh) == 0 {
			c.cover(c.seen.allotted)
		}
		return nil
	}
	for ; left > 0 && r.next <= o.tip().Height; left-- {
		at := chain.Point{Height: r.next, Hash: o.at(r.next)}
		found, err := c.cfg.Backend.Scan(ctx, at, r.filter)
		if errors.Is(err, chain.ErrUnknownBlock) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%v: %w", at, err)
		}
		for _, p := range found.Payments {
			r.filter.Expect(p.At, p.Script)
		}
		c.take(r.next, &found)
		r.next++
	}
	if r.next <= o.tip().Height {
		return nil
	}
	slices.SortStableFunc(o.payments, func(x, y payment) int { return cmp.Compare(x.Height, y.Height) })
	slices.SortStableFunc(o.spends, func(x, y custody.Spend) int { return cmp.Compare(x.Height, y.Height) })
	w.again = nil
	if len(w.fresh) == 0 {
		c.cover(r.upTo)
	}
	return nil
}

// newRescan begins to read old blocks again if something asks for it: at once for an
// address that was allotted before it was watched, every lateEvery blocks for others.
func (c *Custodian) newRescan() *rescan {
	w, o := &c.watch, &c.own
	tip := o.tip().Height
	soon := w.late && (w.readAt == 0 || tip < w.readAt || tip >= w.readAt+lateApart)
	if len(w.lost) == 0 && (len(w.fresh) == 0 || !soon && tip < w.freshAt+lateEvery) {
		return nil
	}
	r := &rescan{filter: chain.NewFilter(w.fresh...), next: tip + 1, upTo: slices.Clone(c.seen.allotted)}
	if len(w.fresh) > 0 {
		w.readAt = tip
		r.next = w.coveredAt - min(w.coveredAt, lateBlocks) + 1
	}
	for _, coin := range w.lost {
		r.filter.Expect(coin.at, coin.script)
		r.next = min(r.next, coin.height)
	}
	r.next = max(r.next, o.base+1)
	w.fresh, w.late, w.lost = nil, false, nil
	return r
}

// estimate asks for the fee rate when the chain has grown, and now and then if there
// was no answer. All else is said without one. A node that cannot say has its last rate
// for a while; the one that was configured stands in for one that has no estimate (W-27).
func (c *Custodian) estimate(ctx context.Context) {
	if c.rated == c.own.end && (c.rate != 0 && c.unsure == nil || c.steps%again != 0) {
		return
	}
	c.rated = c.own.end
	rate, err := c.cfg.Backend.FeeRate(ctx, rateWithin)
	switch none := errors.Is(err, chain.ErrNoEstimate); {
	case err == nil:
		c.rate, c.estimated = rate, c.rated.Height
	case none || c.rated.Height > c.estimated+custody.Late:
		c.rate = c.cfg.Rate
		if none {
			err = nil
		}
	}
	c.unsure = err
}

// synced tells whether the node is far enough to attest what it shows (W-27).
func (c *Custodian) synced() error {
	o, agreed := &c.own, c.seen.info.Tip.Height
	tip := o.tip()
	switch {
	case tip != o.end && tip.Height < agreed:
		return fmt.Errorf("%w: %d blocks are to be read", ErrBehind, o.end.Height-min(o.end.Height, tip.Height))
	case o.end.Height+custody.Late < agreed:
		return fmt.Errorf("%w: it stands at block %d, agreed are %d", ErrBehind, o.end.Height, agreed)
	case !isRegtest(c.cfg.Network) && o.time != 0 && uint64(o.time)+stale < c.seen.time/1000:
		return fmt.Errorf("%w: its last block is more than a day old", ErrBehind)
	}
	return nil
}
