package recovery

import (
	"context"
	"errors"
	"fmt"

	"souk/chain"
	"souk/script"
)

// Sent is what became of passing a transaction on.
type Sent struct {
	ID script.Hash
	// Err is nil if the backend has taken it; ErrUnsigned, ErrEarly, or what the backend says.
	Err error
}

// Send combines and passes on each transaction of a plan that is signed and whose lock is
// open. It may be repeated. The error is one of asking the backend for its chain.
func Send(ctx context.Context, f *File, b chain.Backend) ([]Sent, error) {
	tip, err := b.Tip(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Sent, len(f.Transactions))
	for i := range f.Transactions {
		t := &f.Transactions[i]
		list[i].ID = t.Plan.TxID()
		raw, err := f.Combine(i)
		switch {
		case err != nil:
		case t.Until == 0 && t.Opens > tip.Height+1:
			err = fmt.Errorf("%w: its coins can be spent from block %d on, the chain is at block %d", ErrEarly, t.Opens, tip.Height)
		default:
			if err = b.Broadcast(ctx, raw); errors.Is(err, chain.ErrImmature) {
				err = fmt.Errorf("%w: its coins can be spent from about block %d on, the chain is at block %d: %w", ErrEarly, t.Opens, tip.Height, err)
			}
		}
		list[i].Err = err
	}
	return list, nil
}

// Fate is what has become of a transaction on the chain.
type Fate struct {
	ID     script.Hash
	Height uint32 // of the block that holds it; zero if none does
}

// Watch tells how a plan's transactions go. It is for one goroutine.
type Watch struct {
	backend chain.Backend
	filter  *chain.Filter
	from    chain.Locator
	ids     []script.Hash
	inputs  map[script.Outpoint]int
	spent   map[script.Outpoint]spending
}

type spending struct {
	by     script.Hash
	height uint32
}

// NewWatch returns a watch that begins where the plan's chain had been read to. It
// returns an error of package script for a coin without an address; a file that Parse has
// read has none.
func NewWatch(f *File, b chain.Backend) (*Watch, error) {
	w := &Watch{
		backend: b, filter: chain.NewFilter(), from: f.Seen,
		inputs: map[script.Outpoint]int{}, spent: map[script.Outpoint]spending{},
	}
	if len(w.from) == 0 {
		w.from = chain.Locator{{Hash: f.Network.Genesis}}
	}
	series := byNumber(f.Series)
	for i := range f.Transactions {
		p := f.Transactions[i].Plan
		w.ids = append(w.ids, p.TxID())
		for j := range p.Inputs {
			c := &p.Inputs[j]
			out, err := series[c.Series].Output(c.Branch, c.Index)
			if err != nil {
				return nil, err
			}
			w.inputs[c.At] = i
			w.filter.Expect(c.At, out)
		}
	}
	return w, nil
}

// Look reads what is new on the chain and tells what has become of each transaction. It
// returns ErrTaken if another one has spent a coin.
func (w *Watch) Look(ctx context.Context) (fates []Fate, err error) {
	if w.from, err = chain.Walk(ctx, w.backend, w.from, w.filter, w); err != nil {
		return nil, err
	}
	fates = make([]Fate, len(w.ids))
	for i := range fates {
		fates[i].ID = w.ids[i]
	}
	for at, s := range w.spent {
		i := w.inputs[at]
		if s.by != w.ids[i] {
			return nil, fmt.Errorf("%w: %s of transaction %d, by %s in block %d", ErrTaken, at, i+1, s.by, s.height)
		}
		fates[i].Height = s.height
	}
	return fates, nil
}

// Rewind implements chain.Visitor.
func (w *Watch) Rewind(to chain.Point) error {
	for at, s := range w.spent {
		if s.height > to.Height {
			delete(w.spent, at)
		}
	}
	return nil
}

// Connect implements chain.Visitor.
func (w *Watch) Connect(b chain.Block, found chain.Found) error {
	for _, s := range found.Spends {
		if _, ok := w.inputs[s.At]; ok {
			w.spent[s.At] = spending{s.By, b.Height}
		}
	}
	return nil
}
