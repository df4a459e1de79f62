package replica

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"souk/exchange"
	"souk/identity"
	"souk/merkle"
	"souk/store"
)

// record is a committed block on its way to the store.
type record struct {
	position Position // after the block
	result   *exchange.Result
	clock    []byte // for active blocks, the clock leaf's value and proof
	proof    []byte
	bytes    int // about what it takes in memory and in the store

	index  sync.Once
	places map[exchange.CommandID]uint32 // by id: index in result.Results. Set by index
}

// size counts the record's bytes.
func (rec *record) size() int {
	n := len(rec.clock) + len(rec.proof)
	for i := range rec.result.Changes {
		n += len(merkle.Key{}) + len(rec.result.Changes[i].Value)
	}
	for _, e := range rec.result.Results {
		n += len(e)
	}
	return n
}

// find is where the block's receipt of a command stands in its results. The
// index is made for the first who asks, which is seldom.
func (rec *record) find(id *exchange.CommandID) (uint32, bool) {
	rec.index.Do(func() {
		rec.places = make(map[exchange.CommandID]uint32, len(rec.result.Receipts))
		for i, e := range rec.result.Results {
			if isReceipt(e) {
				rec.places[exchange.CommandID(e[1:33])] = uint32(i)
			}
		}
	})
	at, ok := rec.places[*id]
	return at, ok
}

// First byte of a receipt in a result list, and where its code stands (K-9).
const (
	entryReceipt = 1
	entryCodeAt  = 33
)

func isReceipt(entry []byte) bool { return entry[0] == entryReceipt }

// entryBurns tells whether a receipt is of a command that burnt its nonce.
func entryBurns(entry []byte) bool {
	return exchange.Code(binary.BigEndian.Uint16(entry[entryCodeAt:])).Burns()
}

// writer brings committed blocks to the store, several at once, and never the
// newest: the root after a block that is stored stands in a block that was decided (S-11).
type writer struct {
	store  store.Store
	config *Persist
	keep   *Keep
	inline bool
	fail   func(error)
	count  *Metrics
	// snapshot is called with a snapshot of the store after a block at which one is due.
	snapshot func(store.Snapshot, uint64)

	wake chan struct{} // one slot
	stop chan struct{}
	done chan struct{}

	mu        sync.Mutex
	room      sync.Cond // records were written, or the writer is over
	records   []*record // not in the store, oldest first
	bytes     int       // of records
	first     time.Time // when the oldest of them came
	persisted Position  // what the store answers for, on disk
	runs      []*run    // what the store holds, oldest first; never changed in place
	over      error

	// Of the last record written, and the oldest span whose receipts are kept; only
	// the writing goroutine uses them.
	span, day, oldest uint32
}

func newWriter(s store.Store, c *Config, m *Metrics, at Position, runs []*run, fail func(error)) *writer {
	w := &writer{
		store: s, config: &c.Persist, keep: &c.Keep, inline: c.Inline, fail: fail, count: m,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}), persisted: at, runs: runs,
	}
	w.room.L = &w.mu
	if at.Height > 0 {
		w.span, w.day = span(at.Time), day(at.Time)
	}
	return w
}

// reset starts the writer from a state that was restored.
func (w *writer) reset(at Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.persisted, w.span, w.day, w.runs = at, 0, 0, nil
}

// run writes until stop is closed, and then what is left.
func (w *writer) run() {
	defer close(w.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	stop, stopping := w.stop, false
	for {
		n, wait := w.ready(stopping)
		if n > 0 {
			if err := w.write(n); err != nil {
				w.end(err)
				w.fail(err)
				return
			}
			continue
		}
		if stopping {
			w.end(ErrClosed)
			return
		}
		timer.Reset(wait)
		select {
		case <-w.wake:
		case <-timer.C:
		case <-stop:
			stop, stopping = nil, true
		}
	}
}

// ready answers how many records to write now, or how long to wait if none.
func (w *writer) ready(all bool) (n int, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n = len(w.records) - 1
	if n <= 0 {
		return 0, time.Hour
	}
	if !all && n < w.config.Blocks && w.bytes < w.config.Bytes {
		if age := time.Since(w.first); age < w.config.Every {
			return 0, w.config.Every - age
		}
	}
	return w.cut(n), 0
}

// cut lowers the number of records to be written together so that they fit and
// that a snapshot's height is the last.
func (w *writer) cut(n int) int {
	n = min(n, w.config.Blocks)
	if w.keep.SnapshotEvery > 0 {
		for i, rec := range w.records[:n] {
			if rec.position.Height%w.keep.SnapshotEvery == 0 {
				return i + 1
			}
		}
	}
	return n
}

// add takes over a committed block.
func (w *writer) add(rec *record) error {
	rec.bytes = rec.size()
	w.mu.Lock()
	if w.over != nil {
		w.mu.Unlock()
		return w.over
	}
	if len(w.records) == 0 {
		w.first = time.Now()
	}
	w.records = append(w.records, rec)
	w.bytes += rec.bytes
	n := len(w.records) - 1
	w.count.LagBlocks.Store(int64(len(w.records)))
	w.mu.Unlock()
	if !w.inline {
		select {
		case w.wake <- struct{}{}:
		default:
		}
		return nil
	}
	if n < w.config.Blocks {
		return nil
	}
	return w.drain(n)
}

// drain writes n records on the caller's goroutine.
func (w *writer) drain(n int) error {
	for n > 0 {
		w.mu.Lock()
		m := w.cut(n)
		w.mu.Unlock()
		if err := w.write(m); err != nil {
			w.end(err)
			return err
		}
		n -= m
	}
	return nil
}

// wait returns when no more blocks are behind than may be, or why that will never be.
func (w *writer) wait() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.full() {
		return w.over
	}
	w.count.LagWaits.Add(1)
	for w.over == nil && w.full() {
		w.room.Wait()
	}
	return w.over
}

func (w *writer) full() bool {
	return len(w.records) > w.config.LagBlocks || w.bytes > w.config.LagBytes
}

// end lets everybody who waits know that no more will be written.
func (w *writer) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over == nil {
		w.over = err
	}
	w.room.Broadcast()
}

// halt ends all waiting for the store: the replica has failed.
func (w *writer) halt(err error) { w.end(err) }

// close writes what is committed but for the newest block.
func (w *writer) close() {
	if !w.inline {
		close(w.stop)
		<-w.done
		return
	}
	w.mu.Lock()
	n, over := len(w.records)-1, w.over
	w.mu.Unlock()
	if over == nil {
		if err := w.drain(n); err != nil {
			w.fail(err)
		}
	}
	w.end(ErrClosed)
}

// at is the position that the store answers for.
func (w *writer) at() Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.persisted
}

// pending are the committed blocks that the store may lack, oldest first. What is
// read from the store afterwards holds all blocks before them.
func (w *writer) pending() []*record {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.records)
}

// lists are the pending blocks, and the runs of the store that belong to what is
// before them.
func (w *writer) lists() ([]*record, []*run) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.records), w.runs
}

// write brings the n oldest records to the store together, durably.
func (w *writer) write(n int) error {
	w.mu.Lock()
	records := w.records[:n:n]
	w.mu.Unlock()
	start := time.Now()
	last := records[n-1].position
	b := w.store.NewBatch()
	listed, err := w.encode(b, records)
	if err != nil {
		return fmt.Errorf("write blocks up to %d: %w", last.Height, err)
	}
	size := b.Len()
	if err = b.Commit(true); err != nil {
		return fmt.Errorf("write blocks up to %d: %w", last.Height, err)
	}
	w.count.Flushes.Add(1)
	w.count.FlushBytes.Add(uint64(size))
	w.count.FlushNano.Add(uint64(time.Since(start)))
	if e := w.keep.SnapshotEvery; e > 0 && last.Height%e == 0 && w.snapshot != nil {
		s, err := w.store.Snapshot()
		if err != nil {
			return fmt.Errorf("snapshot at %d: %w", last.Height, err)
		}
		w.snapshot(s, last.Height)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rec := range records {
		w.bytes -= rec.bytes
	}
	w.records = slices.Delete(w.records, 0, n)
	w.first = time.Now()
	w.persisted = last
	w.runs = w.kept(listed)
	w.count.LagBlocks.Store(int64(len(w.records)))
	w.count.Persisted.Store(last.Height)
	w.room.Broadcast()
	return nil
}

// kept are the runs after one more, which may be nil, was written; under mu.
func (w *writer) kept(more *run) []*run {
	oldest := slices.IndexFunc(w.runs, func(r *run) bool { return r.span >= w.oldest })
	if oldest < 0 {
		oldest = len(w.runs)
	}
	if more == nil && oldest == 0 {
		return w.runs
	}
	// Readers may have the present slice: what follows it is new memory, or was never seen.
	runs := w.runs[oldest:]
	if more != nil {
		runs = append(runs, more)
	}
	return runs
}

// encode puts all that is kept of some blocks, and the position, into a batch. It
// answers the run that lists their receipts.
func (w *writer) encode(b store.Batch, records []*record) (*run, error) {
	runs := make([][]merkle.Change, len(records))
	for i, rec := range records {
		runs[i] = rec.result.Changes
	}
	writeChanges(b, mergeChanges(runs))
	for _, rec := range records {
		if rec.result.Active {
			writeResults(b, rec)
			writeTrades(b, rec)
			writeFills(b, rec)
			if err := w.prune(b, rec); err != nil {
				return nil, err
			}
		}
	}
	listed, pages := makeRun(records, w.span)
	if listed != nil {
		listed.write(b, pages)
	}
	m := meta{records[len(records)-1].position}
	b.Set([]byte{keyMeta}, m.append(nil))
	return listed, nil
}

func writeChanges(b store.Batch, changes []merkle.Change) {
	var buf [1 + len(merkle.Key{})]byte
	for i := range changes {
		key := leafKey(buf[:0], &changes[i].Key)
		if changes[i].Value == nil {
			b.Delete(key)
		} else {
			b.Set(key, changes[i].Value)
		}
	}
}

// mergeChanges makes one sorted list of sorted lists; of changes of one key, the one in the
// latest list stays.
func mergeChanges(runs [][]merkle.Change) []merkle.Change {
	for len(runs) > 1 {
		merged := runs[:0:0]
		for pair := range slices.Chunk(runs, 2) {
			if len(pair) == 1 {
				merged = append(merged, pair[0])
				continue
			}
			merged = append(merged, mergeTwo(pair[0], pair[1]))
		}
		runs = merged
	}
	if len(runs) == 0 {
		return nil
	}
	return runs[0]
}

func mergeTwo(old, late []merkle.Change) []merkle.Change {
	merged := make([]merkle.Change, 0, len(old)+len(late))
	for len(old) > 0 && len(late) > 0 {
		switch c := old[0].Key.Compare(late[0].Key); {
		case c < 0:
			merged = append(merged, old[0])
			old = old[1:]
		case c > 0:
			merged = append(merged, late[0])
			late = late[1:]
		default:
			old = old[1:]
		}
	}
	return append(append(merged, old...), late...)
}

// writeResults writes an active block's result list and what proves it.
func writeResults(b store.Batch, rec *record) {
	h := rec.position.Height
	r := blockRecord{
		Time: rec.result.Time, Root: rec.position.Root, Results: uint32(len(rec.result.Results)),
		Clock: rec.clock, Proof: rec.proof,
	}
	b.Set(blockKey(h), r.append(nil))
	var buf []byte
	page := uint32(0)
	for entries := range slices.Chunk(rec.result.Results, pageEntries) {
		buf = appendPage(buf[:0], entries)
		b.Set(pageKey(h, page), buf)
		page++
	}
}

// writeTrades writes a block's trades by market. They stand by number at the end
// of its results, where one market's are together.
func writeTrades(b store.Batch, rec *record) {
	var buf []byte
	var open *Trade
	put := func() {
		if open != nil {
			b.Set(tradesKey(day(open.Time), open.Market, open.Height), buf)
		}
		buf = buf[:0]
	}
	for t := range rec.trades {
		if open == nil || open.Market != t.Market {
			put()
			open = &t
		}
		buf = t.append(buf)
	}
	put()
}

// owned is a fill of an account. Sorting looks at the first bytes of addresses
// before it looks at fills, which are large.
type owned struct {
	prefix  uint64
	at      int // in order of trades
	account identity.Address
	fill    Fill
}

// writeFills writes a block's fills by account.
func writeFills(b store.Batch, rec *record) {
	var all []*owned
	for account, f := range rec.fills {
		all = append(all, &owned{binary.BigEndian.Uint64(account[:]), len(all), account, f})
	}
	slices.SortFunc(all, func(x, y *owned) int {
		if x.prefix != y.prefix {
			return cmp.Compare(x.prefix, y.prefix)
		}
		return cmp.Or(bytes.Compare(x.account[:], y.account[:]), cmp.Compare(x.at, y.at))
	})
	var buf []byte
	for i, o := range all {
		if i == 0 || all[i-1].account != o.account {
			buf = binary.BigEndian.AppendUint64(buf[:0], o.fill.Height)
			buf = binary.BigEndian.AppendUint64(buf, o.fill.Time)
		}
		buf = o.fill.append(buf)
		if i+1 == len(all) || all[i+1].account != o.account {
			b.Set(fillsKey(day(o.fill.Time), &o.account, o.fill.Height), buf)
		}
	}
}

// prune forgets what is older than is to be kept, whenever a span or a day of
// block time begins.
func (w *writer) prune(b store.Batch, rec *record) error {
	now, height := rec.result.Time, rec.position.Height
	if d := day(now); d != w.day {
		w.day = d
		if keep := w.keep.Days; keep > 0 && d > uint32(keep) {
			for _, kind := range []byte{keyTrades, keyFills} {
				b.DeleteRange(dayKey(kind, d-uint32(keep)-1), []byte{kind + 1})
			}
		}
	}
	sp := span(now)
	if sp == w.span {
		return nil
	}
	w.span = sp
	b.Set(spanKey(keySpan, sp), binary.BigEndian.AppendUint64(nil, height))
	if now < receiptsKept {
		return nil
	}
	oldest := span(now - receiptsKept)
	first, err := w.firstOf(oldest)
	if err != nil {
		return err
	}
	w.oldest = oldest
	for _, kind := range []byte{keyRun, keyRunPage, keySpan} {
		b.DeleteRange([]byte{kind}, spanKey(kind, oldest))
	}
	if first = min(first, height-min(height, w.keep.Results)); first > 0 {
		for _, kind := range []byte{keyBlock, keyResults} {
			b.DeleteRange([]byte{kind}, heightKey(kind, first))
		}
	}
	return nil
}

// firstOf is the height of the first block in the oldest stored span that is not
// before a span; 0 if none is stored.
func (w *writer) firstOf(sp uint32) (height uint64, err error) {
	malformed := false
	err = w.store.Scan(spanKey(keySpan, sp), []byte{keySpan + 1}, func(_, value []byte) bool {
		if malformed = len(value) != 8; !malformed {
			height = binary.BigEndian.Uint64(value)
		}
		return false
	})
	if err == nil && malformed {
		err = errValue
	}
	return height, err
}
