package replica

import (
	"bytes"

	"souk/archive"
	"souk/exchange"

	"souk/merkle"
)

// MergeChanges is mergeChanges.
func MergeChanges(runs [][]merkle.Change) []merkle.Change { return mergeChanges(runs) }

// FilterOf is a filter with some prefixes in it: whether it may have another.
func FilterOf(prefixes []uint64) func(uint64) bool {
	f := newFilter(len(prefixes))
	for _, p := range prefixes {
		f.add(p)
	}
	return f.has
}

// Publish publishes blocks that take so many bytes of memory, which a subscriber does
// not read. It answers how many are kept for others, and how many wait for him.
func Publish(memory ...int) (kept, waiting int) {
	ev := newEvents(&Metrics{})
	r := &Replica{events: ev}
	sub, err := r.Subscribe(0, len(memory)+1)
	if err != nil {
		return 0, 0
	}
	for i, m := range memory {
		ev.publish(&Committed{Position: Position{Height: uint64(i) + 1}, memory: m})
	}
	return len(ev.last), len(sub.queue)
}

// ParseStored reads bytes as every kind of stored value that is read back after a
// start or for a client, and tells whether one that has a single encoding was
// written back in another way.
func ParseStored(data []byte) (twofold bool) {
	if m, err := parseMeta(data); err == nil {
		twofold = twofold || !bytes.Equal(m.append(nil), data)
	}
	if b, err := parseBlockRecord(data); err == nil {
		twofold = twofold || !bytes.Equal(b.append(nil), data)
	}
	if entries, err := parsePage(nil, data); err == nil {
		twofold = twofold || !bytes.Equal(appendPage(nil, entries), data)
	}
	if all, err := parseTrades(data); err == nil {
		var again []byte
		for i := range all {
			again = all[i].append(again)
		}
		twofold = twofold || !bytes.Equal(again, data)
	}
	if all, err := parseCancels(data); err == nil && len(data) >= 16 {
		again := bytes.Clone(data[:16])
		for i := range all {
			again = all[i].append(again)
		}
		twofold = twofold || !bytes.Equal(again, data)
	}
	if m, err := parseManifest(data); err == nil {
		twofold = twofold || !bytes.Equal(m.append(nil), data)
	}
	_, _ = parseFills(data) // unused bits of flags are ignored
	if r, err := parseRun(runKey(1, 1<<40), data); err == nil {
		twofold = twofold || !bytes.Equal(r.filter.append([]byte{r.bits}), data)
		_ = r.filter.has(7)
		_ = r.search(data, 0, func(listed) {})
		if r.page(^uint64(0)) >= 1<<r.bits {
			return true
		}
	}
	_, _ = parseRun(data, data) // the key is never somebody else's
	return twofold
}

// Witness sees what blocks do to a state, and answers what the log has of each.
func Witness(s *exchange.State) func(*exchange.Block, *exchange.Result) *archive.Block {
	w := &witness{}
	w.begin(s)
	return func(b *exchange.Block, res *exchange.Result) *archive.Block {
		rec := &record{result: res, effects: w.see(s, b, res)}
		return rec.block()
	}
}
