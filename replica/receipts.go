package replica

import (
	"encoding/binary"
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"souk/exchange"
	"souk/store"
)

const (
	// pageReceipts is about how many receipts one page of a run lists.
	pageReceipts = 2048
	// runBitsMost bounds the number of pages of a run to 2^runBitsMost.
	runBitsMost = 16
	// filterBits is the number of bits in a run's filter for each receipt, and
	// filterProbes how many of them are set: one run in 300 is then searched in vain.
	filterBits, filterProbes = 12, 6
	// listedSize is the size of an entry in a page.
	listedSize = 8 + 4 + 4
	// refusedBit marks, in an entry's index, a receipt that did not burn its nonce.
	refusedBit = 1 << 31
)

// run lists where the receipts of the blocks that were written together are
// (S-14). Its pages are in the store; they are never rewritten, which is why
// there is no key for each receipt: those would cost a store more than all else.
type run struct {
	span   uint32 // of the last of the blocks
	height uint64 // of the last of the blocks
	bits   uint8  // 2^bits pages, by the first bits of the id
	filter filter // of the ids' first 8 bytes
}

// listed is an entry in a page of a run.
type listed struct {
	prefix uint64 // of the command's id
	place  place
	burnt  bool
}

// makeRun lists the receipts of blocks, the last of which had a time in sp. It
// answers the pages; nil if there are no receipts.
func makeRun(records []*record, sp uint32) (*run, [][]byte) {
	n := 0
	for _, rec := range records {
		n += len(rec.result.Receipts)
	}
	if n == 0 {
		return nil, nil
	}
	r := &run{span: sp, height: records[len(records)-1].position.Height, filter: newFilter(n)}
	for n>>r.bits > pageReceipts && r.bits < runBitsMost {
		r.bits++
	}
	pages := make([][]byte, 1<<r.bits)
	each := (n>>r.bits + n>>(r.bits+2) + 4) * listedSize // with room for chance
	for _, rec := range records {
		back := uint32(r.height - rec.position.Height)
		for i, e := range rec.result.Results {
			if !isReceipt(e) {
				break
			}
			prefix := binary.BigEndian.Uint64(e[1:])
			r.filter.add(prefix)
			index := uint32(i)
			if !entryBurns(e) {
				index |= refusedBit
			}
			p := &pages[r.page(prefix)]
			if *p == nil {
				*p = make([]byte, 0, each)
			}
			*p = binary.BigEndian.AppendUint64(*p, prefix)
			*p = binary.BigEndian.AppendUint32(*p, back)
			*p = binary.BigEndian.AppendUint32(*p, index)
		}
	}
	return r, pages
}

// page is the number of the page that lists an id.
func (r *run) page(prefix uint64) uint64 { return prefix >> 1 >> (63 - r.bits) }

// write writes the run.
func (r *run) write(b sink, pages [][]byte) {
	b.Set(runKey(r.span, r.height), r.filter.append([]byte{r.bits}))
	for i, p := range pages {
		if p != nil {
			b.Set(runPageKey(r.span, r.height, uint64(i)), p)
		}
	}
}

// parseRun reads a run's key and value.
func parseRun(key, value []byte) (*run, error) {
	k, s := cryptobyte.String(key), cryptobyte.String(value)
	r := &run{}
	if !k.Skip(1) || !k.ReadUint32(&r.span) || !k.ReadUint64(&r.height) || len(k) != 0 ||
		!s.ReadUint8(&r.bits) || r.bits > runBitsMost || len(s) == 0 || len(s)%8 != 0 {
		return nil, errValue
	}
	for len(s) > 0 {
		var w uint64
		s.ReadUint64(&w)
		r.filter = append(r.filter, w)
	}
	return r, nil
}

// search calls visit for what a page lists under a prefix, oldest first.
func (r *run) search(page []byte, prefix uint64, visit func(listed)) error {
	for s := cryptobyte.String(page); len(s) > 0; {
		var got uint64
		var back, index uint32
		if !s.ReadUint64(&got) || !s.ReadUint32(&back) || !s.ReadUint32(&index) || uint64(back) > r.height {
			return errValue
		}
		if got == prefix {
			visit(listed{prefix, place{r.height - uint64(back), index &^ refusedBit}, index&refusedBit == 0})
		}
	}
	return nil
}

// filter tells for most ids that a run does not list them (Bloom).
type filter []uint64

func newFilter(n int) filter { return make(filter, (n*filterBits+63)/64) }

// probe is the i-th bit that a prefix sets. Ids are hashes, so their bits are as
// good as any hash of them.
func (f filter) probe(prefix, i uint64) (word, bit uint64) {
	x := prefix + i*(prefix>>32|1)*0x9e3779b97f4a7c15
	x = (x ^ x>>29) % (64 * uint64(len(f)))
	return x / 64, x % 64
}

func (f filter) add(prefix uint64) {
	for i := range uint64(filterProbes) {
		word, bit := f.probe(prefix, i)
		f[word] |= 1 << bit
	}
}

func (f filter) has(prefix uint64) bool {
	for i := range uint64(filterProbes) {
		if word, bit := f.probe(prefix, i); f[word]>>bit&1 == 0 {
			return false
		}
	}
	return true
}

func (f filter) append(dst []byte) []byte {
	for _, w := range f {
		dst = binary.BigEndian.AppendUint64(dst, w)
	}
	return dst
}

// loadRuns reads the runs that the store holds, oldest first.
func loadRuns(s store.Reader) (runs []*run, err error) {
	var malformed error
	err = s.Scan([]byte{keyRun}, []byte{keyRun + 1}, func(key, value []byte) bool {
		var r *run
		r, malformed = parseRun(key, value)
		runs = append(runs, r)
		return malformed == nil
	})
	return runs, errors.Join(err, malformed)
}

// receipt finds a command's receipt: the one that burnt its nonce, of which there
// is at most one, or if there is none and refusals count, the newest other one.
func (r *Replica) receipt(id *exchange.CommandID, refusals bool) (rc exchange.Receipt, at place, found bool, err error) {
	records, runs := r.writer.lists()
	take := func(l listed, entry []byte) error {
		if found && !l.burnt {
			return nil // a newer one is found
		}
		got, err := exchange.ParseReceipt(entry)
		if err == nil && got.ID == *id {
			rc, at, found = got, l.place, true
		}
		return err
	}
	for _, rec := range slices.Backward(records) {
		i, ok := rec.find(id)
		if !ok {
			continue
		}
		l := listed{place: place{rec.position.Height, i}, burnt: entryBurns(rec.result.Results[i])}
		if l.burnt || refusals {
			if err := take(l, rec.result.Results[i]); err != nil || l.burnt {
				return rc, at, found, err
			}
		}
	}
	prefix := binary.BigEndian.Uint64(id[:])
	for _, run := range slices.Backward(runs) {
		if !run.filter.has(prefix) {
			continue
		}
		for _, l := range r.listings(run, prefix, &err) {
			if !l.burnt && !refusals {
				continue
			}
			entry, err := r.entry(l.place)
			if errors.Is(err, ErrPruned) {
				continue
			}
			if err == nil {
				err = take(l, entry)
			}
			if err != nil {
				return rc, at, found, err
			}
			if found && rc.Code.Burns() {
				return rc, at, true, nil
			}
		}
		if err != nil {
			return rc, at, found, err
		}
	}
	return rc, at, found, nil
}

// listings are a run's entries for a prefix, newest first.
func (r *Replica) listings(in *run, prefix uint64, err *error) (all []listed) {
	var page []byte
	page, *err = r.config.Store.Get(runPageKey(in.span, in.height, in.page(prefix)))
	if errors.Is(*err, store.ErrNotFound) { // the filter erred, or the run was forgotten meanwhile
		*err = nil
		return nil
	}
	if *err == nil {
		*err = in.search(page, prefix, func(l listed) { all = append(all, l) })
	}
	slices.Reverse(all)
	return all
}

// entry reads one entry of a stored result list; ErrPruned if it is not there.
func (r *Replica) entry(at place) ([]byte, error) {
	value, err := r.config.Store.Get(pageKey(at.Height, at.Index/pageEntries))
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrPruned
	}
	if err != nil {
		return nil, err
	}
	entries, err := parsePage(nil, value)
	if err != nil {
		return nil, err
	}
	if i := int(at.Index % pageEntries); i < len(entries) {
		return entries[i], nil
	}
	return nil, ErrPruned
}
