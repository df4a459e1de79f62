package archive

import (
	"context"
	"fmt"
	"iter"
)

// How much Feed writes at once, at most: blocks, or events and balances in them.
const (
	feedBlocks = 10_000
	feedWeight = 100_000
)

// Feed writes blocks to an archive that is at the height after, many at once, until there
// are no more, and answers how many those were. It takes the next ones while it writes. An
// error of blocks ends it, when those before are written.
func Feed(ctx context.Context, a Archive, after uint64, blocks iter.Seq2[*Block, error]) (written int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type batch struct {
		blocks []*Block
		err    error
	}
	batches := make(chan batch, 1)
	go func() {
		defer close(batches)
		var now batch
		weight := 0
		send := func() bool {
			select {
			case batches <- now:
			case <-ctx.Done():
				return false
			}
			now, weight = batch{}, 0
			return true
		}
		for b, err := range blocks {
			if now.err = err; err != nil {
				break
			}
			now.blocks = append(now.blocks, b)
			if weight += len(b.Events) + len(b.Balances) + len(b.Commands); weight >= feedWeight || len(now.blocks) == feedBlocks {
				if !send() {
					return
				}
			}
		}
		send()
	}()
	for x := range batches {
		if len(x.blocks) > 0 {
			if err := a.Write(ctx, after, x.blocks); err != nil {
				return written, err
			}
			written += len(x.blocks)
			after = x.blocks[len(x.blocks)-1].Height
		}
		if x.err != nil {
			return written, fmt.Errorf("read the log: %w", x.err)
		}
	}
	return written, ctx.Err()
}
