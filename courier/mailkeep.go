package courier

import (
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
const aboutSize = 1 + 1 + 2

// hourBytes is how much is kept of one shard that expires in one hour, unless the config
// says otherwise: 16 shards and 60 hours make 60 GiB.
const hourBytes = 64 << 20

// keep is what a carrier has: all envelopes that have not expired, by the hour of their
// expiry, so that an hour is dropped as one. Where from and when they came is not kept.
type keep struct {
	store store.Store // nil: it remembers ids only
	most  uint64

	mu    sync.Mutex
	hours map[mail.Hour]*part
}

// part is what expires in one hour.
type part struct {
	ids    map[shortID]struct{}
	digest shortID
	bytes  [mail.Shards]uint64
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
	err := s.Scan([]byte{prefixIndex}, []byte{prefixIndex + 1}, func(name, about []byte) bool {
		if len(name) == 1+keySize && len(about) == aboutSize && about[0] < mail.Shards {
			k.note(parseKey(name[1:]), about[0], int(binary.BigEndian.Uint16(about[2:])))
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("read kept mail: %w", err)
	}
	return k, nil
}

// note remembers an envelope. It tells whether it is new and there is room for it; the
// caller holds mu, or nobody else knows k.
func (k *keep) note(key key, shard uint8, size int) bool {
	p := k.hours[key.hour]
	if p == nil {
		p = &part{ids: map[shortID]struct{}{}}
		k.hours[key.hour] = p
	}
	if _, ok := p.ids[key.id]; ok || p.bytes[shard]+uint64(size) > k.most {
		return false
	}
	p.ids[key.id] = struct{}{}
	p.bytes[shard] += uint64(size)
	for i := range p.digest {
		p.digest[i] ^= key.id[i]
	}
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

// full tells whether there is no room for an envelope.
func (k *keep) full(e *mail.Envelope, size int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.hours[e.Expiry]
	return p != nil && p.bytes[e.Shard]+uint64(size) > k.most
}

// put keeps an envelope. It answers false if it is here already or there is no room.
func (k *keep) put(e *mail.Checked, data []byte) (bool, error) {
	name := key{e.Expiry, e.Tag, short(e.ID)}
	k.mu.Lock()
	defer k.mu.Unlock() // to the end, so that drop finds all that it forgets
	if !k.note(name, e.Shard, len(data)) {
		return false, nil
	}
	if k.store == nil {
		return true, nil
	}
	b := k.store.NewBatch()
	b.Set(name.append([]byte{prefixEnvelope}), data)
	b.Set(name.append([]byte{prefixIndex}), binary.BigEndian.AppendUint16([]byte{e.Shard, byte(e.Kind)}, uint16(len(data))))
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
	to := binary.BigEndian.AppendUint32([]byte{prefixIndex}, uint32(after.hour)+1)
	err := k.store.Scan(from, to, func(name, about []byte) bool {
		out = appendEntry(out, entry{shard: about[0], kind: mail.Kind(about[1]), key: parseKey(name[1:])})
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
	err := k.store.Scan([]byte{prefixIndex}, []byte{prefixIndex + 1}, func(name, about []byte) bool {
		if key := parseKey(name[1:]); want(mail.Kind(about[1]), key.tag) {
			wanted = append(wanted, key)
		}
		return true
	})
	for _, key := range wanted {
		if data := k.get(key); data != nil {
			yield(data)
		}
	}
	return err
}
