package courier

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"fmt"
	"sync"

	"souk/mail"
	"souk/store"
)

// Prefixes of keys in the store.
const (
	prefixEnvelope = 'e' // and hour, tag, id: an envelope, as it came
	prefixIndex    = 'x' // and the same: its shard, kind and size, so that lists need not read envelopes
	prefixShards   = 's' // which shards a light carrier listens to
	prefixBox      = 'b' // and eight bytes: the records of one mailbox
)

// aboutSize is the size of what the index says of an envelope.
const aboutSize = 1 + 1 + 2 + 8

// hourBytes is how much is kept of one shard that expires in one hour, unless the config
// says otherwise: 16 shards and 60 hours make 60 GiB.
const hourBytes = 64 << 20

// keep is what a carrier has: all envelopes that have not expired, by the hour of their
// expiry, so that an hour is dropped as one. Where from and when they came is not kept.
type keep struct {
	store store.Store // nil: it remembers ids only, and has room for all
	most  uint64

	mu    sync.Mutex
	hours map[mail.Hour]*part
}

// part is what expires in one hour.
type part struct {
	ids    map[shortID]struct{}
	digest shortID
	bytes  [mail.Shards]uint64
	ranks  [mail.Shards]ranks // of shards that were full once; nil of others
}

// ranks are the envelopes of one shard and hour, the one that is worth least first.
type ranks []ranked

type ranked struct {
	key  key
	size int
	// worth is mail.Worth: what its writer did for it.
	worth uint64
}

func (r ranks) Len() int      { return len(r) }
func (r ranks) Swap(i, j int) { r[i], r[j] = r[j], r[i] }
func (r *ranks) Push(x any)   { *r = append(*r, x.(ranked)) }
func (r *ranks) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}

func (r ranks) Less(i, j int) bool {
	if r[i].worth != r[j].worth {
		return r[i].worth < r[j].worth
	}
	return bytes.Compare(r[i].key.id[:], r[j].key.id[:]) < 0
}

// about is what the index says of an envelope.
type about struct {
	shard uint8
	kind  mail.Kind
	size  uint16
	worth uint64
}

func (a about) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(append(dst, a.shard, byte(a.kind)), a.size)
	return binary.BigEndian.AppendUint64(dst, a.worth)
}

// parseIndex reads a line of the index.
func parseIndex(name, line []byte) (key, about, bool) {
	if len(name) != 1+keySize || len(line) != aboutSize || line[0] >= mail.Shards {
		return key{}, about{}, false
	}
	return parseKey(name[1:]), about{line[0], mail.Kind(line[1]), binary.BigEndian.Uint16(line[2:]), binary.BigEndian.Uint64(line[4:])}, true
}

// newKeep reads what is there.
func newKeep(s store.Store, most uint64) (*keep, error) {
	if most == 0 {
		most = hourBytes
	}
	k := &keep{store: s, most: most, hours: map[mail.Hour]*part{}}
	if s == nil {
		return k, nil
	}
	if err := k.index(nil, nil, func(name key, a about) bool { k.note(name, a); return true }); err != nil {
		return nil, fmt.Errorf("read kept mail: %w", err)
	}
	return k, nil
}

// index goes through the lines behind from and before to; nil is all of them.
func (k *keep) index(from, to []byte, yield func(key, about) bool) error {
	if from == nil {
		from, to = []byte{prefixIndex}, []byte{prefixIndex + 1}
	}
	return k.store.Scan(from, to, func(name, line []byte) bool {
		key, a, ok := parseIndex(name, line)
		return !ok || yield(key, a)
	})
}

// hourOf is where the index of an hour begins and ends.
func hourOf(h mail.Hour) (from, to []byte) {
	from = binary.BigEndian.AppendUint32([]byte{prefixIndex}, uint32(h))
	return from, binary.BigEndian.AppendUint32([]byte{prefixIndex}, uint32(h)+1)
}

// note remembers an envelope; the caller holds mu, or nobody else knows k.
func (k *keep) note(name key, a about) {
	p := k.hours[name.hour]
	if p == nil {
		p = &part{ids: map[shortID]struct{}{}}
		k.hours[name.hour] = p
	}
	p.ids[name.id] = struct{}{}
	p.change(name.id)
	p.bytes[a.shard] += uint64(a.size)
	if p.ranks[a.shard] != nil {
		heap.Push(&p.ranks[a.shard], ranked{name, int(a.size), a.worth})
	}
}

// change adds an id to the digest, or takes it out.
func (p *part) change(id shortID) {
	for i := range p.digest {
		p.digest[i] ^= id[i]
	}
}

// room tells whether there is room for an envelope, or for it instead of others that are
// worth less. The caller holds mu.
func (k *keep) room(name key, a about) bool {
	p := k.hours[name.hour]
	if k.store == nil || p == nil || p.bytes[a.shard]+uint64(a.size) <= k.most {
		return true
	}
	if p.ranks[a.shard] == nil {
		all := ranks{}
		from, to := hourOf(name.hour)
		if k.index(from, to, func(name key, b about) bool {
			if b.shard == a.shard {
				all = append(all, ranked{name, int(b.size), b.worth})
			}
			return true
		}) != nil {
			return false
		}
		heap.Init(&all)
		p.ranks[a.shard] = all
	}
	return len(p.ranks[a.shard]) > 0 && p.ranks[a.shard][0].worth < a.worth
}

// evict makes room for an envelope, if those that must go for it are worth less. The
// caller holds mu, and room has said yes.
func (k *keep) evict(name key, a about, b store.Batch) bool {
	p := k.hours[name.hour]
	if k.store == nil || p == nil {
		return true
	}
	var gone []ranked
	r := &p.ranks[a.shard]
	left := p.bytes[a.shard]
	for left+uint64(a.size) > k.most {
		if len(*r) == 0 || (*r)[0].worth >= a.worth {
			for _, x := range gone {
				heap.Push(r, x)
			}
			return false
		}
		x := heap.Pop(r).(ranked)
		left -= uint64(x.size)
		gone = append(gone, x)
	}
	for _, x := range gone {
		delete(p.ids, x.key.id)
		p.change(x.key.id)
		b.Delete(x.key.append([]byte{prefixEnvelope}))
		b.Delete(x.key.append([]byte{prefixIndex}))
	}
	p.bytes[a.shard] = left
	return true
}

// has tells whether an envelope is here.
func (k *keep) has(h mail.Hour, _ mail.Tag, id mail.ID) bool { return k.hasShort(h, short(id)) }

func (k *keep) hasShort(h mail.Hour, id shortID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.hours[h]
	if p == nil {
		return false
	}
	_, ok := p.ids[id]
	return ok
}

// aboutOf is what the index will say of an envelope.
func aboutOf(e *mail.Checked, size int) (key, about) {
	return key{e.Expiry, e.Tag, short(e.ID)}, about{e.Shard, e.Kind, uint16(size), mail.Worth(e.ID, e.Stamp, size)}
}

// full tells whether there is no room for an envelope.
func (k *keep) full(e *mail.Checked, size int) bool {
	name, a := aboutOf(e, size)
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.room(name, a)
}

// put keeps an envelope. It answers false if it is here already or there is no room.
func (k *keep) put(e *mail.Checked, data []byte) (bool, error) {
	name, a := aboutOf(e, len(data))
	k.mu.Lock()
	defer k.mu.Unlock() // to the end, so that drop finds all that it forgets
	if p := k.hours[name.hour]; p != nil {
		if _, ok := p.ids[name.id]; ok {
			return false, nil
		}
	}
	if k.store == nil {
		k.note(name, a)
		return true, nil
	}
	b := k.store.NewBatch()
	if !k.room(name, a) || !k.evict(name, a, b) {
		return false, nil
	}
	k.note(name, a)
	b.Set(name.append([]byte{prefixEnvelope}), data)
	b.Set(name.append([]byte{prefixIndex}), a.append(nil))
	if err := b.Commit(false); err != nil {
		return true, fmt.Errorf("keep an envelope: %w", err)
	}
	return true, nil
}

// drop forgets all that is expired at an hour, whole hours at once.
func (k *keep) drop(now mail.Hour) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for h := range k.hours {
		if h <= now {
			delete(k.hours, h)
		}
	}
	if k.store == nil {
		return nil
	}
	b := k.store.NewBatch()
	for _, prefix := range []byte{prefixEnvelope, prefixIndex} {
		b.DeleteRange([]byte{prefix}, binary.BigEndian.AppendUint32([]byte{prefix}, uint32(now)+1))
	}
	if err := b.Commit(false); err != nil {
		return fmt.Errorf("drop expired mail: %w", err)
	}
	return nil
}

// forget has envelopes whose ids alone are here taken again.
func (k *keep) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.hours)
}

// sums answers what is here of some hours, the last included.
func (k *keep) sums(from, to mail.Hour) []sum {
	k.mu.Lock()
	defer k.mu.Unlock()
	var sums []sum
	for h := from; h <= to; h++ {
		var s sum
		if p := k.hours[h]; p != nil {
			s = sum{uint32(len(p.ids)), p.digest}
		}
		sums = append(sums, s)
	}
	return sums
}

// list answers the encoded entries of one hour after a key.
func (k *keep) list(after key) ([]byte, error) {
	var out []byte
	from := append(after.append([]byte{prefixIndex}), 0) // the key just behind it
	_, to := hourOf(after.hour)
	err := k.index(from, to, func(name key, a about) bool {
		out = appendEntry(out, entry{shard: a.shard, kind: a.kind, key: name})
		return len(out) < mostEntries*entrySize
	})
	return out, err
}

// get returns an envelope, or nil.
func (k *keep) get(name key) []byte {
	data, err := k.store.Get(name.append([]byte{prefixEnvelope}))
	if err != nil {
		return nil
	}
	return data
}

// each hands over all envelopes that somebody may want.
func (k *keep) each(want func(mail.Kind, mail.Tag) bool, yield func(data []byte)) error {
	var wanted []key
	err := k.index(nil, nil, func(name key, a about) bool {
		if want(a.kind, name.tag) {
			wanted = append(wanted, name)
		}
		return true
	})
	for _, name := range wanted {
		if data := k.get(name); data != nil {
			yield(data)
		}
	}
	return err
}
