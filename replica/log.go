package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"

	"golang.org/x/crypto/cryptobyte"

	"souk/archive"
	"souk/store"
)

const (
	// logPiece is the largest value of the log, if batches are not smaller.
	logPiece = 4 << 20
	// logRead is after how many bytes a follower stops reading the store to hand on
	// what it has, for while it does so the store must not pass anything by.
	logRead = 1 << 20
	// noHeight is where a log begins that is not kept.
	noHeight = math.MaxUint64
)

// GoneError is returned for a height that is older than the log. It is an ErrGone.
type GoneError struct {
	Oldest uint64 // height that can be asked for
}

func (e *GoneError) Error() string { return fmt.Sprintf("%v: the log begins at %d", ErrGone, e.Oldest) }

// Is tells that the error is ErrGone.
func (e *GoneError) Is(target error) bool { return target == ErrGone }

// Follow yields what the active blocks from a height on did, each once and in order, and
// then those that are committed while it waits; 0 means from the next block on. Blocks
// are shared: they must not be changed. A reader may take its time: nothing is kept in
// memory for it. It ends with an error: ctx's, a GoneError if the log does not go back
// so far or has been cut off before the reader came there, or why the replica halted.
func (r *Replica) Follow(ctx context.Context, from uint64) iter.Seq2[*archive.Block, error] {
	return func(yield func(*archive.Block, error) bool) {
		next := from
		if next == 0 {
			next = r.Position().Height + 1
		}
		for {
			changed := r.events.changes()
			done, err := r.tell(ctx, &next, r.Position().Height, func(b *archive.Block) bool { return yield(b, nil) })
			if done {
				return
			}
			if err == nil {
				select {
				case <-changed:
					continue
				case <-ctx.Done():
					err = ctx.Err()
				case <-r.halted:
					err = r.Err()
				}
			}
			yield(nil, err)
			return
		}
	}
}

// Logged is Follow up to the newest block; where that ends it ends without an error.
func (r *Replica) Logged(ctx context.Context, from uint64) iter.Seq2[*archive.Block, error] {
	return func(yield func(*archive.Block, error) bool) {
		next := max(from, 1)
		if _, err := r.tell(ctx, &next, r.Position().Height, func(b *archive.Block) bool { return yield(b, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

// LogFrom is the oldest height that Follow can be asked for.
func (r *Replica) LogFrom() uint64 {
	oldest := r.Position().Height + 1
	if recs := r.writer.pending(); len(recs) > 0 {
		oldest = min(oldest, recs[0].position.Height)
	}
	if c := r.events.oldest(); c != nil {
		oldest = min(oldest, c.Position.Height)
	}
	return min(oldest, r.writer.logFrom.Load())
}

// tell yields the active blocks from *next up to a height; done if the reader has had
// enough. *next is where to go on.
func (r *Replica) tell(ctx context.Context, next *uint64, top uint64, yield func(*archive.Block) bool) (done bool, err error) {
	for *next <= top {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if rec := r.recent(*next); rec != nil {
			*next++
			if rec.result.Active && !yield(rec.block()) {
				return true, nil
			}
			continue
		}
		blocks, through, err := r.stored(*next, top)
		if err != nil {
			return false, err
		}
		for _, data := range blocks {
			b, err := archive.Parse(data)
			if err != nil {
				return false, fmt.Errorf("%w: the log: %w", ErrStore, err)
			}
			*next = b.Height + 1
			if !yield(b) {
				return true, nil
			}
		}
		*next = through + 1
	}
	return false, nil
}

// recent is the record of a block if it is in memory.
func (r *Replica) recent(height uint64) *record {
	if c := r.events.find(height); c != nil {
		return c.record
	}
	recs := r.writer.pending()
	if len(recs) == 0 || height < recs[0].position.Height || height-recs[0].position.Height >= uint64(len(recs)) {
		return nil
	}
	return recs[height-recs[0].position.Height]
}

// stored reads the log from a height on: the next blocks, or all up to a height, which
// is in the store. No active block up to through is missing.
func (r *Replica) stored(from, top uint64) (blocks [][]byte, through uint64, err error) {
	through = min(top, r.writer.at().Height)
	if through < from { // it was pending, and is stored now
		return nil, from - 1, nil
	}
	size, malformed := 0, false
	err = r.config.Store.Scan(heightKey(keyLog, from), heightKey(keyLog, through+1), func(key, value []byte) bool {
		if malformed = len(key) != 1+8+4; malformed {
			return false
		}
		height, piece := binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint32(key[9:])
		switch {
		case piece > 0 && len(blocks) > 0:
			blocks[len(blocks)-1] = append(blocks[len(blocks)-1], value...)
		case piece > 0:
			malformed = true
			return false
		case size >= logRead:
			through = height - 1
			return false
		default:
			blocks = append(blocks, append([]byte(nil), value...))
		}
		size += len(value)
		return true
	})
	switch {
	case err != nil:
		return nil, 0, err
	case r.writer.logFrom.Load() > from: // perhaps only since: what was read is not used
		return nil, 0, &GoneError{r.LogFrom()}
	case malformed:
		return nil, 0, fmt.Errorf("%w: the log: %w", ErrStore, errValue)
	}
	return blocks, through, nil
}

// logState is what the store's log holds: every active block of these heights.
type logState struct {
	from, through uint64
}

func (l *logState) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, l.from), l.through)
}

// beginLog makes a log that begins behind the stored state.
func (w *writer) beginLog() {
	w.logFrom.Store(w.persisted.Height + 1)
	if w.keep.Events == 0 {
		w.logFrom.Store(noHeight)
	}
	w.logStale = false
}

// loadLog finds out from which height on the log is whole. A log that does not reach up
// to the state, for who wrote the state kept none, begins anew.
func (w *writer) loadLog() error {
	w.beginLog()
	value, err := w.store.Get([]byte{keyLog})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var l logState
	s := cryptobyte.String(value)
	if !s.ReadUint64(&l.from) || !s.ReadUint64(&l.through) || len(s) != 0 {
		return fmt.Errorf("%w: the log: %w", ErrStore, errValue)
	}
	if w.keep.Events == 0 || l.through != w.persisted.Height {
		w.logStale = true
		return nil
	}
	w.logFrom.Store(l.from)
	return nil
}

// encodeLog encodes what the active blocks among some did.
func (w *writer) encodeLog(records []*record) (blocks [][]byte, size int) {
	if w.keep.Events == 0 {
		return nil, 0
	}
	w.logBuffer = w.logBuffer[:0]
	ends := make([]int, len(records))
	for i, rec := range records {
		if rec.result.Active {
			w.logBuffer = archive.Append(w.logBuffer, rec.block())
		}
		ends[i] = len(w.logBuffer)
	}
	begin := 0
	for _, end := range ends {
		blocks = append(blocks, w.logBuffer[begin:end])
		size += end - begin + (1+(end-begin)/w.logPiece())*len(logKey(0, 0))
		begin = end
	}
	if cap(w.logBuffer) > 4*logPiece { // not for ever, for one large block
		w.logBuffer = nil
	}
	return blocks, size
}

func (w *writer) logPiece() int { return min(logPiece, w.config.Batch/4) }

// writeLog writes what encodeLog has encoded.
func (w *writer) writeLog(b sink, records []*record, blocks [][]byte) {
	if w.logStale {
		b.DeleteRange([]byte{keyLog}, []byte{keyLog + 1})
	}
	for i, data := range blocks {
		for piece := uint32(0); len(data) > 0; piece++ {
			n := min(len(data), w.logPiece())
			b.Set(logKey(records[i].position.Height, piece), data[:n])
			data = data[n:]
		}
	}
}

// writeLogState writes what the log holds from now on.
func (w *writer) writeLogState(b sink, at *Position) {
	if w.keep.Events != 0 {
		l := logState{w.logFrom.Load(), at.Height}
		b.Set([]byte{keyLog}, l.append(nil))
	}
}

// pruneLog forgets blocks of the log that are older than is to be kept, a span of time at
// once, and the spans that neither it nor the receipts from one on need. Those who read the
// log learn first from where on it is whole. A log with nothing to forget stays whole from
// where it began: blocks that did nothing are not missing (G-23).
func (w *writer) pruneLog(b sink, now uint64, oldest uint32) error {
	keep := uint64(max(w.keep.Events.Milliseconds(), 0))
	switch {
	case w.keep.Events < 0:
		return nil // the spans too, in case that changes
	case keep > now:
		return nil
	case keep > 0:
		first, err := w.firstOf(span(now - keep))
		if err != nil {
			return err
		}
		forgets, err := w.logged(w.logFrom.Load(), first)
		if err != nil {
			return err
		}
		if forgets {
			w.logFrom.Store(first)
			b.DeleteRange(heightKey(keyLog, 0), heightKey(keyLog, first))
		}
		oldest = min(oldest, span(now-keep))
	}
	b.DeleteRange([]byte{keySpan}, spanKey(keySpan, oldest))
	return nil
}

// logged tells whether the stored log has a block from a height on and below another.
func (w *writer) logged(from, below uint64) (found bool, err error) {
	if from >= below {
		return false, nil
	}
	err = w.store.Scan(heightKey(keyLog, from), heightKey(keyLog, below), func(_, _ []byte) bool {
		found = true
		return false
	})
	return found, err
}

func logKey(height uint64, piece uint32) []byte {
	return binary.BigEndian.AppendUint32(heightKey(keyLog, height), piece)
}
