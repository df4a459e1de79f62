package auditor

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"souk/chain"
	"souk/exchange/custody"
	"souk/script"
)

// place is where an address stands: X-41.
type place struct{ series, branch, index uint32 }

// payment is a coin at an address of the bank.
type payment struct {
	chain.Payment
	place
	height uint32
}

// spent is what has spent a coin.
type spent struct {
	by     script.Hash
	height uint32
}

// watch is a bank's addresses, and what the auditor's chain has paid to them and
// spent of that.
type watch struct {
	backend  chain.Backend
	gap      uint32
	progress func(height uint32)

	filter  *chain.Filter
	places  map[string]place // by output script
	twins   []uint32         // by series: the first one with the same scripts, perhaps itself
	deposit []uint32         // by series: indexes below are watched
	changes [][]uint32       // by series and wallet: numbers below are watched
	fresh   bool             // addresses have been added since the last walk
	seen    uint32           // the members' tip when addresses were last added

	locator  chain.Locator
	start    uint32
	blocks   []script.Hash // of the walk, from start on
	payments map[script.Outpoint]payment
	spends   map[script.Outpoint]spent
}

func newWatch(c *Config) *watch {
	return &watch{
		backend: c.Backend, gap: max(c.Gap, custody.Gap), progress: c.Progress, filter: chain.NewFilter(), places: map[string]place{},
		payments: map[script.Outpoint]payment{}, spends: map[script.Outpoint]spent{},
	}
}

// forget makes the next walk begin at the beginning.
func (w *watch) forget() { w.blocks = nil }

// covers tells whether all addresses that a bank uses, and those that members watch
// besides, were looked for.
func (w *watch) covers(b *bank) bool {
	if w.blocks == nil || w.fresh || len(w.deposit) != len(b.series) {
		return false
	}
	for i := range b.series {
		n := w.twins[i]
		if w.deposit[n] < bound(b.series[i].Allotted, custody.Gap, script.Hardened) {
			return false
		}
		for wallet, used := range b.Changes {
			if w.changes[n][wallet] < bound(used, custody.Gap, 1<<24) {
				return false
			}
		}
	}
	return true
}

// bound is used and gap together, if there are so many.
func bound(used, gap, limit uint32) uint32 { return min(used+gap, limit) }

// extend derives the addresses of a bank that are not watched yet: the deposit
// addresses of every series, and the change addresses of every wallet in every
// series, for when a series became the newest no leaf tells.
func (w *watch) extend(b *bank) error {
	for i := range b.series {
		if i == len(w.deposit) {
			w.deposit = append(w.deposit, 0)
			w.changes = append(w.changes, make([]uint32, len(b.Changes)))
			w.twins = append(w.twins, twin(b.series[:i+1]))
		}
		s := &b.series[i].Series
		number := w.twins[i]
		deposits, err := s.Branch(script.Deposits)
		if err != nil {
			return fmt.Errorf("series %d: %w: %w", i, ErrUntold, err)
		}
		change, err := s.Branch(script.Change)
		if err != nil {
			return fmt.Errorf("series %d: %w: %w", i, ErrUntold, err)
		}
		for end := bound(b.series[i].Allotted, w.gap, script.Hardened); w.deposit[number] < end; w.deposit[number]++ {
			w.add(deposits, place{number, script.Deposits, w.deposit[number]})
		}
		for wallet, used := range b.Changes {
			for n := &w.changes[number][wallet]; *n < bound(used, w.gap, 1<<24); *n++ {
				index, _ := script.ChangeIndex(uint8(wallet), *n)
				w.add(change, place{number, script.Change, index})
			}
		}
	}
	return nil
}

// twin is the first series that has the same scripts as the last one: members who come
// back bring their keys (Y-23).
func twin(series []custody.SeriesRecord) uint32 {
	last := &series[len(series)-1]
	for i := range series {
		s := &series[i]
		if s.K == last.K && sameRecovery(s.Recovery, last.Recovery) && len(s.Keys) == len(last.Keys) &&
			!slices.ContainsFunc(s.Keys, func(k script.MemberKey) bool { return !slices.Contains(last.Keys, k) }) {
			return uint32(i)
		}
	}
	return 0 // not reached: it is its own
}

// place is a coin's place, whichever of two series with the same scripts it is counted to.
func (w *watch) place(c *custody.Input) place {
	if int64(c.Series) < int64(len(w.twins)) {
		return place{w.twins[c.Series], c.Branch, c.Index}
	}
	return place{c.Series, c.Branch, c.Index}
}

// add watches an address. In one of 2^127 cases there is none at an index.
func (w *watch) add(branch *script.Branch, at place) {
	d, err := branch.Derive(at.index)
	if err != nil {
		return
	}
	out := d.Output()
	w.places[string(out)] = at
	w.filter.Watch(out)
	w.fresh = true
}

// lateBlocks is how far before the last walk new addresses are looked for, more than
// members do (W-24).
const lateBlocks = 288

// walk reads the chain to its end, from where it stopped. If there are new addresses
// it begins before the block where the members were when the last ones were added.
func (w *watch) walk(ctx context.Context, b *bank) error {
	switch {
	case w.blocks == nil:
		w.start, w.blocks = b.Start.Height, []script.Hash{b.Start.Hash}
		w.locator = chain.Locator{{Height: b.Start.Height, Hash: b.Start.Hash}}
		clear(w.payments)
		clear(w.spends)
	case w.fresh:
		w.locator = w.locator.Below(w.seen + 1 - min(w.seen, lateBlocks))
		last, _ := w.locator.Last()
		_ = w.Rewind(last) // it has no error
	}
	var err error
	w.locator, err = chain.Walk(ctx, w.backend, w.locator, w.filter, w)
	switch {
	case errors.Is(err, chain.ErrForked):
		w.forget()
		return fmt.Errorf("block %d, where the bank begins: %w: %w", b.Start.Height, ErrForked, err)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrBackend, err)
	}
	w.fresh, w.seen = false, b.Tip
	return nil
}

// Rewind implements chain.Visitor.
func (w *watch) Rewind(to chain.Point) error {
	w.blocks = w.blocks[:to.Height-w.start+1]
	maps.DeleteFunc(w.payments, func(_ script.Outpoint, p payment) bool { return p.height > to.Height })
	maps.DeleteFunc(w.spends, func(_ script.Outpoint, s spent) bool { return s.height > to.Height })
	return nil
}

// Connect implements chain.Visitor.
func (w *watch) Connect(b chain.Block, found chain.Found) error {
	w.blocks = append(w.blocks, b.Hash)
	for _, p := range found.Payments {
		if at, ok := w.places[string(p.Script)]; ok {
			w.payments[p.At] = payment{p, at, b.Height}
		}
	}
	for _, s := range found.Spends {
		w.spends[s.At] = spent{s.By, b.Height}
	}
	if w.progress != nil {
		w.progress(b.Height)
	}
	return nil
}

// at tells whether a block is on the chain that was walked.
func (w *watch) at(p custody.Point) error {
	own := w.tip()
	switch {
	case p.Height < w.start:
		return fmt.Errorf("block %d is before the bank's first one: %w", p.Height, ErrForked)
	case p.Height > own.Height:
		return fmt.Errorf("block %d, yours is %d: %w", p.Height, own.Height, ErrBehind)
	case w.blocks[p.Height-w.start] != p.Hash:
		return fmt.Errorf("block %d is %s, yours is %s: %w", p.Height, p.Hash, w.blocks[p.Height-w.start], ErrForked)
	}
	return nil
}

// tip is the end of the walk.
func (w *watch) tip() chain.Point {
	return chain.Point{Height: w.start + uint32(len(w.blocks)) - 1, Hash: w.blocks[len(w.blocks)-1]}
}

// coins are all payments, by outpoint.
func (w *watch) coins() []payment {
	return slices.SortedFunc(maps.Values(w.payments), func(x, y payment) int { return compare(x.At, y.At) })
}

func compare(x, y script.Outpoint) int {
	return cmp.Or(bytes.Compare(x.Tx[:], y.Tx[:]), cmp.Compare(x.Index, y.Index))
}
