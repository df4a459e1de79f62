package chain

import (
	"context"
	"errors"
	"fmt"

	"souk/script"
)

// walkStep is how many blocks Walk asks for at once.
const walkStep = 64

// A Visitor is told by Walk what it meets.
type Visitor interface {
	// Rewind says that every block above a point is void, with all that it held.
	Rewind(to Point) error
	// Connect says what the next block holds.
	Connect(b Block, found Found) error
}

// Walk reads a chain from a locator to its end and tells v of every block. It adds the
// payments that it finds to the filter's coins, so that it finds their spending
// too. It returns the locator that goes on where it stopped, which is right for what
// v was told also if there is an error.
func Walk(ctx context.Context, b Backend, from Locator, filter *Filter, v Visitor) (Locator, error) {
	for {
		step, err := b.Follow(ctx, from, walkStep)
		if err != nil {
			return from, err
		}
		last, ok := from.Last()
		if ok && step.Fork != last {
			if err := v.Rewind(step.Fork); err != nil {
				return from, err
			}
		}
		blocks := step.Blocks
		step.Blocks = nil
		from = from.Apply(step)
		for _, block := range blocks {
			found, err := b.Scan(ctx, block.Point, filter)
			if errors.Is(err, ErrUnknownBlock) {
				break // reorganised since; Follow tells
			}
			if err != nil {
				return from, fmt.Errorf("%v: %w", block.Point, err)
			}
			for _, p := range found.Payments {
				filter.Expect(p.At, p.Script)
			}
			if err := v.Connect(block, found); err != nil {
				return from, err
			}
			from = from.Apply(Step{Fork: Point{block.Height - 1, block.Parent}, Blocks: []Block{block}})
		}
		if len(blocks) == 0 {
			return from, nil
		}
	}
}

// Trace answers Coin by reading blocks, for backends without a better way. at
// names the block of the best chain at a height, and fails with ErrUnknownBlock above its tip.
func Trace(ctx context.Context, b Backend, at func(context.Context, uint32) (Point, error), coin Coin) (Fate, error) {
	const tries = 5
	for range tries {
		start := Point{Hash: b.Network().Genesis}
		if coin.Height > 1 {
			var err error
			start, err = at(ctx, coin.Height-1)
			if errors.Is(err, ErrUnknownBlock) {
				return Fate{State: Missing}, nil
			}
			if err != nil {
				return Fate{}, err
			}
		}
		t := tracer{at: coin.At, fate: Fate{State: Missing}}
		filter := NewFilter(coin.Script)
		filter.Expect(coin.At, coin.Script)
		_, err := Walk(ctx, b, Locator{start}, filter, &t)
		if !errors.Is(err, ErrForked) { // a reorganisation took the start
			return t.fate, err
		}
	}
	return Fate{}, fmt.Errorf("%w: the chain moves too fast", ErrUnavailable)
}

// tracer follows one coin.
type tracer struct {
	at      script.Outpoint
	created Point
	fate    Fate
}

func (t *tracer) Rewind(to Point) error {
	if t.fate.State == Spent && t.fate.In.Height > to.Height {
		t.fate = Fate{State: Unspent}
	}
	if t.fate.State == Unspent && t.created.Height > to.Height {
		t.fate = Fate{State: Missing}
	}
	return nil
}

func (t *tracer) Connect(b Block, found Found) error {
	for _, p := range found.Payments {
		if p.At == t.at {
			t.created, t.fate = b.Point, Fate{State: Unspent}
		}
	}
	for _, s := range found.Spends {
		if s.At == t.at {
			t.fate = Fate{State: Spent, By: s.By, In: b.Point}
		}
	}
	return nil
}
