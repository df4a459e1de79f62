package replica

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"souk/archive"
	"souk/exchange"
	"souk/exchange/market"
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
	bytes    int // at most what is written of it
	memory   int // about what it takes until then

	effects *effects // of active blocks
	made    sync.Once
	what    *archive.Block // set by made

	index  sync.Once
	places map[exchange.CommandID]uint32 // by id: index in result.Results. Set by index
}

const (
	// eventMemory and receiptMemory are about what these take in a record, with what they point to.
	eventMemory, receiptMemory = 400, 104
	// commandMade, levelMade and leafMade are about what the log takes in memory for each
	// command, price and changed leaf.
	commandMade, levelMade, leafMade = 144, 32, 100
	// sparse bounds what is written of a block besides what measure counts: position,
	// span, what is forgotten when a span or a day begins, a run and its pages.
	sparse = 576
)

// measure counts what the record takes. What is written is never more, by much less
// if leaves of it are overwritten by the blocks after it. The log is not in it.
func (rec *record) measure() {
	rec.bytes = sparse + len(rec.clock) + len(rec.proof) + len(rec.result.Results)/pageEntries*len(pageKey(0, 0))
	for i := range rec.result.Changes {
		rec.bytes += 1 + len(merkle.Key{}) + len(rec.result.Changes[i].Value)
	}
	for _, e := range rec.result.Results {
		rec.bytes += 2 + len(e)
	}
	if rec.result.Active {
		receipts := rec.firstTrade()
		trades := rec.firstAuction() - receipts
		rec.bytes += receipts * (listedSize + 2)
		rec.bytes += trades * (tradeSize + len(tradesKey(0, 0, 0)) + 2*(fillSize+fillsHead+len(fillsKey(0, &identity.Address{}, 0))))
	}
	rec.memory = rec.bytes + len(rec.result.Events)*eventMemory + len(rec.result.Receipts)*receiptMemory
	if e := rec.effects; e != nil {
		rec.memory += len(e.commands)*commandMade + len(e.levels)*levelMade + len(rec.result.Changes)*leafMade
	}
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

// First bytes of entries of a result list, which stand in this order, and where the code
// of a receipt stands (K-9).
const (
	entryReceipt = 1
	entryTrade   = 2
	entryAuction = 3
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

	// whole is held for writing while the store holds part of a write, so for
	// reading by who needs a state of it that was one of the exchange.
	whole sync.RWMutex

	mu        sync.Mutex
	room      sync.Cond // records were written, or the writer is over
	records   []*record // not in the store, oldest first
	memory    int       // of records
	first     time.Time // when the oldest of them came
	persisted Position  // what the store answers for, on disk
	runs      []*run    // what the store holds, oldest first; never changed in place
	over      error

	// logFrom is the height from which on the log is whole. It is set before what is
	// older is forgotten.
	logFrom atomic.Uint64

	// Of the last record written, and the oldest span whose receipts are kept; only
	// the writing goroutine uses them.
	span, day, oldest uint32
	logStale          bool   // the store has a log that does not reach up to the state
	logBuffer         []byte // memory for encodeLog
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
	w.beginLog()
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
	if !all && n < w.config.Blocks && w.memory < w.config.Bytes {
		if age := time.Since(w.first); age < w.config.Every {
			return 0, w.config.Every - age
		}
	}
	return w.cut(n), 0
}

// cut lowers the number of records to be written together so that they are not too
// large, unless one alone is, and that a snapshot's height is the last.
func (w *writer) cut(n int) int {
	n = min(n, w.config.Blocks)
	size := 0
	for i, rec := range w.records[:n] {
		if size += rec.bytes; i > 0 && size > w.config.Bytes {
			return i
		}
		if every := w.keep.SnapshotEvery; every > 0 && rec.position.Height%every == 0 {
			return i + 1
		}
	}
	return n
}

// add takes over a committed block.
func (w *writer) add(rec *record) error {
	rec.measure()
	w.mu.Lock()
	if w.over != nil {
		w.mu.Unlock()
		return w.over
	}
	if len(w.records) == 0 {
		w.first = time.Now()
	}
	w.records = append(w.records, rec)
	w.memory += rec.memory
	n, due := len(w.records)-1, len(w.records) > w.config.Blocks || w.memory >= w.config.Bytes
	w.count.LagBlocks.Store(int64(len(w.records)))
	w.mu.Unlock()
	if !w.inline {
		select {
		case w.wake <- struct{}{}:
		default:
		}
		return nil
	}
	if !due {
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

// full tells whether too much is behind. The newest block does not count: it cannot
// be written before there is another.
func (w *writer) full() bool {
	n := len(w.records) - 1
	return n >= w.config.LagBlocks || n > 0 && w.memory-w.records[n].memory > w.config.LagBytes
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
	listed, size, err := w.commit(records)
	if err != nil {
		return fmt.Errorf("write blocks up to %d: %w", last.Height, err)
	}
	w.logStale = false
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
		w.memory -= rec.memory
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

// commit writes blocks durably, together or not at all whatever crashes: in one batch,
// or by a journal if that would be too large. It answers the run that lists their
// receipts, and how many bytes it wrote.
func (w *writer) commit(records []*record) (listed *run, size int, err error) {
	log, size := w.encodeLog(records)
	for _, rec := range records {
		size += rec.bytes
	}
	if size <= w.config.Batch {
		b := w.store.NewBatch()
		if listed, err = w.encode(b, records, log); err != nil {
			return nil, 0, err
		}
		return listed, b.Len(), b.Commit(true)
	}
	j := newJournal(w.store, w.config.Batch)
	if listed, err = w.encode(j, records, log); err != nil {
		return nil, 0, err
	}
	if err := j.close(); err != nil {
		return nil, 0, err
	}
	w.count.Journals.Add(1)
	w.whole.Lock()
	defer w.whole.Unlock()
	return listed, j.size, carryOut(w.store, w.config.Batch)
}

// freeze is a snapshot of the store between two writes.
func (w *writer) freeze() (store.Snapshot, error) {
	w.whole.RLock()
	defer w.whole.RUnlock()
	return w.store.Snapshot()
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

// encode writes all that is kept of some blocks, whose log is encoded, and last the
// position. It answers the run that lists their receipts.
func (w *writer) encode(b sink, records []*record, log [][]byte) (*run, error) {
	runs := make([][]merkle.Change, len(records))
	for i, rec := range records {
		runs[i] = rec.result.Changes
	}
	writeChanges(b, mergeChanges(runs))
	w.writeLog(b, records, log)
	for _, rec := range records {
		if rec.result.Active {
			writeResults(b, rec)
			writeTrades(b, rec)
			writeFills(b, rec)
			writeCancels(b, rec)
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
	w.writeLogState(b, &m.Position)
	b.Set([]byte{keyMeta}, m.append(nil))
	return listed, nil
}

func writeChanges(b sink, changes []merkle.Change) {
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
func writeResults(b sink, rec *record) {
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

// pieces writes entries of a history that belong under one key. If they are too many
// for one value, the key holds the last of them, and keys with an inverted number behind
// it the others: so later ones come first.
type pieces struct {
	b       sink
	key     []byte
	buf     []byte
	head    int // bytes of buf that stand before the entries of every piece
	entries int
	number  uint32
}

// begin is called before the entries of a key.
func (p *pieces) begin(key []byte, head ...uint64) {
	p.key, p.buf, p.entries, p.number = key, p.buf[:0], 0, 0
	for _, n := range head {
		p.buf = binary.BigEndian.AppendUint64(p.buf, n)
	}
	p.head = len(p.buf)
}

// next is called before an entry is appended to buf.
func (p *pieces) next() {
	if p.entries == pieceEntries {
		p.b.Set(binary.BigEndian.AppendUint32(slices.Clone(p.key), ^p.number), p.buf)
		p.buf, p.entries = p.buf[:p.head], 0
		p.number++
	}
	p.entries++
}

// end is called after the entries of a key.
func (p *pieces) end() { p.b.Set(p.key, p.buf) }

// writeTrades writes a block's trades by market. They stand by number at the end
// of its results, where one market's are together.
func writeTrades(b sink, rec *record) {
	p := pieces{b: b}
	var open market.ID
	for t := range rec.trades {
		if p.key == nil || open != t.Market {
			if p.key != nil {
				p.end()
			}
			open = t.Market
			p.begin(tradesKey(day(t.Time), t.Market, t.Height))
		}
		p.next()
		p.buf = t.append(p.buf)
	}
	if p.key != nil {
		p.end()
	}
}

// owned is a side of a trade. Sorting looks at the first bytes of addresses before
// it looks at trades, which are far apart.
type owned struct {
	prefix uint64
	trade  int32 // index of the event
	index  int32 // of the trade in the results, with the side of the seller in the last bit
}

// writeFills writes a block's fills by account.
func writeFills(b sink, rec *record) {
	first := int32(rec.firstTrade())
	all := make([]owned, 0, 2*(rec.firstAuction()-int(first)))
	events := rec.result.Events
	for i := range events {
		if e := &events[i]; e.Kind == exchange.EventTrade {
			all = append(all,
				owned{binary.BigEndian.Uint64(e.Account[:]), int32(i), 2 * first},
				owned{binary.BigEndian.Uint64(e.Other[:]), int32(i), 2*first + 1})
			first++
		}
	}
	owner := func(o *owned) *identity.Address {
		if o.index&1 == 0 {
			return &events[o.trade].Account
		}
		return &events[o.trade].Other
	}
	slices.SortFunc(all, func(x, y owned) int {
		if x.prefix != y.prefix {
			return cmp.Compare(x.prefix, y.prefix)
		}
		return cmp.Or(bytes.Compare(owner(&x)[:], owner(&y)[:]), cmp.Compare(x.index, y.index))
	})
	p := pieces{b: b}
	for i := range all {
		o := &all[i]
		account := owner(o)
		buy, fill := rec.sides(&events[o.trade], int(o.index/2))
		if o.index&1 == 0 {
			fill = buy
		}
		if i == 0 || *owner(&all[i-1]) != *account {
			p.begin(fillsKey(day(fill.Time), account, fill.Height), fill.Height, fill.Time)
		}
		p.next()
		p.buf = fill.append(p.buf)
		if i+1 == len(all) || *owner(&all[i+1]) != *account {
			p.end()
		}
	}
}

// prune forgets what is older than is to be kept, whenever a span or a day of
// block time begins.
func (w *writer) prune(b sink, rec *record) error {
	now, height := rec.result.Time, rec.position.Height
	if d := day(now); d != w.day {
		w.day = d
		if keep := w.keep.Days; keep > 0 && d > uint32(keep) {
			for _, kind := range []byte{keyTrades, keyFills, keyCancels} {
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
	for _, kind := range []byte{keyRun, keyRunPage} {
		b.DeleteRange([]byte{kind}, spanKey(kind, oldest))
	}
	if err := w.pruneLog(b, now, oldest); err != nil {
		return err
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
