package custody

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"souk/asset"
	"souk/merkle"
	"souk/script"
)

// ErrLeaf is wrapped by Load, Finish and the Parse functions for leaves that no
// State has written.
var ErrLeaf = errors.New("not a custody leaf")

// First key bytes of this package's state leaves (Y-91).
const (
	LeafBank       = 0x0c // bank: number, 4 bytes
	LeafSeries     = 0x0d // series: bank 4, number 4
	LeafAddress    = 0x0e // deposit address: bank 4, series 4, index 4
	LeafBlock      = 0x0f // block of a chain: bank 4, height 4
	LeafCoin       = 0x10 // coin: first 31 bytes of the hash of bank and outpoint
	LeafWithdrawal = 0x11 // withdrawal that is not settled: number 8
	LeafBatch      = 0x12 // batch: bank 4, number 8
	LeafAttestor   = 0x13 // what a bank knows of a member: bank 4, member 4
	LeafAccount    = 0x14 // settings of an account: number 4
	LeafSlots      = 0x15 // signatures: bank 4, batch 8, version 1, member 4
	LeafSettled    = 0x16 // settled withdrawal: number 8
	LeafCustody    = 0x17 // the rest: nothing more
)

// record is what has a leaf.
type record interface {
	leafKey() merkle.Key
	append(dst []byte) []byte
}

// entry is a record and what became of its leaf since the last Changes.
type entry struct {
	record record // nil: it is gone
	stored bool
	dirty  bool
}

// find returns the record with a key, or nil.
func (s *State) find(key merkle.Key) record {
	if e := s.entries[string(key[:])]; e != nil {
		return e.record
	}
	return nil
}

// touch notes that a record is new or has changed.
func (s *State) touch(r record) {
	s.mark(r.leafKey()).record = r
}

// drop notes that a record is gone.
func (s *State) drop(r record) {
	s.mark(r.leafKey()).record = nil
}

func (s *State) mark(key merkle.Key) *entry {
	e := s.entries[string(key[:])]
	if e == nil {
		e = &entry{}
		s.entries[string(key[:])] = e
	}
	if !e.dirty {
		e.dirty = true
		s.dirty = append(s.dirty, key)
	}
	return e
}

// Changes calls yield for every leaf that changed since the last call, once each,
// in ascending order of keys; a nil value means that the leaf is gone. Values may be
// kept.
func (s *State) Changes(yield func(key merkle.Key, value []byte)) {
	slices.SortFunc(s.dirty, merkle.Key.Compare)
	for _, key := range s.dirty {
		e := s.entries[string(key[:])]
		e.dirty = false
		if e.record != nil {
			e.stored = true
			yield(key, e.record.append(nil))
			continue
		}
		if e.stored {
			yield(key, nil)
		}
		delete(s.entries, string(key[:]))
	}
	clear(s.dirty)
	s.dirty = s.dirty[:0]
}

// Leaf returns the value of one leaf as it stands.
func (s *State) Leaf(key merkle.Key) ([]byte, bool) {
	r := s.find(key)
	if r == nil {
		return nil, false
	}
	return r.append(nil), true
}

// Leaves calls yield for every leaf in ascending order of keys. Values may be kept.
func (s *State) Leaves(yield func(key merkle.Key, value []byte)) {
	for _, key := range slices.Sorted(maps.Keys(s.entries)) {
		if r := s.entries[key].record; r != nil {
			yield(merkle.Key([]byte(key)), r.append(nil))
		}
	}
}

// key makes a key of a first byte and numbers of 4 bytes.
func key(kind byte, numbers ...uint32) (k merkle.Key) {
	k[0] = kind
	for i, n := range numbers {
		binary.BigEndian.PutUint32(k[1+4*i:], n)
	}
	return k
}

func wide(n uint64) (high, low uint32) {
	return uint32(n >> 32), uint32(n) //nolint:gosec // the halves
}

// BankKey is the key of a bank's leaf.
func BankKey(id Bank) merkle.Key { return key(LeafBank, uint32(id)) }

// SeriesKey is the key of a series' leaf.
func SeriesKey(id Bank, number uint32) merkle.Key { return key(LeafSeries, uint32(id), number) }

// AddressKey is the key of a deposit address' leaf.
func AddressKey(id Bank, series, index uint32) merkle.Key {
	return key(LeafAddress, uint32(id), series, index)
}

// BlockKey is the key of the leaf of a block of a bank's chain.
func BlockKey(id Bank, height uint32) merkle.Key { return key(LeafBlock, uint32(id), height) }

// CoinKey is the key of a coin's leaf.
func CoinKey(id Bank, at script.Outpoint) (k merkle.Key) {
	b := binary.BigEndian.AppendUint32(nil, uint32(id))
	h := sha256.Sum256(binary.BigEndian.AppendUint32(append(b, at.Tx[:]...), at.Index))
	k[0] = LeafCoin
	copy(k[1:], h[:])
	return k
}

// WithdrawalKey is the key of the leaf of a withdrawal that is not settled.
func WithdrawalKey(id ID) merkle.Key { return withdrawalKey(id) }

func withdrawalKey(id ID) merkle.Key {
	high, low := wide(uint64(id))
	return key(LeafWithdrawal, high, low)
}

// BatchKey is the key of a batch's leaf.
func BatchKey(id Bank, number uint64) merkle.Key { return batchKey(id, number) }

func batchKey(id Bank, number uint64) merkle.Key {
	high, low := wide(number)
	return key(LeafBatch, uint32(id), high, low)
}

// AttestorKey is the key of the leaf of what a bank knows of a member.
func AttestorKey(id Bank, m Member) merkle.Key { return key(LeafAttestor, uint32(id), uint32(m)) }

// AccountKey is the key of the leaf of an account's settings.
func AccountKey(owner Owner) merkle.Key { return key(LeafAccount, uint32(owner)) }

// SettledKey is the key of the leaf of a settled withdrawal.
func SettledKey(id ID) merkle.Key {
	high, low := wide(uint64(id))
	return key(LeafSettled, high, low)
}

// Key is the key of the leaf with the halt, the members who count, and the last
// withdrawal's number.
func Key() merkle.Key { return merkle.Key{LeafCustody} }

// global is the State as the record of its own leaf.
type global State

func (*global) leafKey() merkle.Key       { return Key() }
func (b *bank) leafKey() merkle.Key       { return BankKey(b.id) }
func (r *series) leafKey() merkle.Key     { return SeriesKey(r.bank.id, r.number) }
func (a *address) leafKey() merkle.Key    { return AddressKey(a.bank.id, a.series, a.index) }
func (k *block) leafKey() merkle.Key      { return BlockKey(k.bank.id, k.height) }
func (c *coin) leafKey() merkle.Key       { return CoinKey(c.bank.id, c.at) }
func (w *withdrawal) leafKey() merkle.Key { return withdrawalKey(w.ID) }
func (t *batch) leafKey() merkle.Key      { return batchKey(t.bank.id, t.Number) }
func (a *attestor) leafKey() merkle.Key   { return AttestorKey(a.bank.id, a.member) }
func (a *account) leafKey() merkle.Key    { return AccountKey(a.owner) }
func (d *done) leafKey() merkle.Key       { return SettledKey(d.ID) }
func (x *slots) leafKey() merkle.Key {
	k := batchKey(x.bank.id, x.batch)
	k[0] = LeafSlots
	k[13] = x.version
	binary.BigEndian.PutUint32(k[14:], uint32(x.member))
	return k
}

// Writers of single values.
func put8(dst []byte, v uint8) []byte   { return append(dst, v) }
func put16(dst []byte, v int) []byte    { return binary.BigEndian.AppendUint16(dst, uint16(v)) } //nolint:gosec // counts below 2^16
func put32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }
func put64(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }

func putAmount(dst []byte, a asset.Amount) []byte { return put64(dst, uint64(a)) }

func putBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// putBytes appends at most 255 bytes behind their length.
func putBytes(dst, b []byte) []byte {
	return append(append(dst, byte(len(b))), b...) //nolint:gosec // scripts and signatures are shorter
}

func putOutpoint(dst []byte, o script.Outpoint) []byte {
	return put32(append(dst, o.Tx[:]...), o.Index)
}

func putMembers(dst []byte, who []Member) []byte {
	dst = put16(dst, len(who))
	for _, m := range who {
		dst = put32(dst, uint32(m))
	}
	return dst
}

func putLocation(dst []byte, l location) []byte { return append(put32(dst, l.height), l.hash[:]...) }

func putContent(dst []byte, c content) []byte {
	dst = put32(putAmount(dst, c.amount), c.series)
	return putBool(put32(put8(dst, uint8(c.branch)), c.index), c.pegOut) //nolint:gosec // 0 or 1
}

func putLimits(dst []byte, l Limits) []byte {
	for _, a := range [...]asset.Amount{l.MinDeposit, l.MinWithdrawal, l.MaxPerHour, l.DelayAbove} {
		dst = putAmount(dst, a)
	}
	return put64(dst, l.Delay)
}

func putHalt(dst []byte, h Halt) []byte {
	return put32(put32(put8(dst, uint8(h.Reason)), uint32(h.Bank)), h.Height)
}

func (g *global) append(dst []byte) []byte {
	dst = put32(putHalt(putHalt(dst, g.halt), g.newest), g.reasons)
	dst = put64(dst, uint64(g.last))
	return putMembers(put16(dst, g.members.Count), g.members.Present)
}

func (d *Definition) append(dst []byte) []byte {
	dst = putBytes(put32(dst, uint32(d.Asset)), []byte(d.Network))
	dst = putLimits(put8(dst, d.Wallets), d.Limits)
	dst = put64(put32(put64(dst, d.Gather), d.BumpBlocks), d.CoolDown)
	return putLocation(dst, location{d.Start.Height, d.Start.Hash})
}

func (b *bank) append(dst []byte) []byte {
	dst = b.Definition.append(dst)
	dst = put64(putLimits(dst, b.next), b.nextAt)
	dst = put32(put32(put32(dst, b.tip), b.floor), b.ruled)
	dst = put64(putAmount(putAmount(dst, b.books), b.used), b.usedAt)
	dst = put64(put64(dst, b.planned), b.lastBatch)
	dst = putBool(put8(put32(dst, uint32(len(b.series))), uint8(b.waits)), b.lifted) //nolint:gosec // at most maxSeries
	for _, n := range b.changes {
		dst = put32(dst, n)
	}
	return dst
}

func (r *series) append(dst []byte) []byte {
	dst = putMembers(put32(put64(dst, r.opened), r.next), r.members)
	return r.AppendTo(dst)
}

func (a *address) append(dst []byte) []byte {
	return append(putBool(put32(dst, uint32(a.owner)), a.used), a.salt[:]...)
}

func (k *block) append(dst []byte) []byte {
	dst = put16(append(dst, k.agreed[:]...), len(k.votes))
	for i := range k.votes {
		dst = putMembers(append(dst, k.votes[i].hash[:]...), k.votes[i].who)
	}
	return dst
}

// Bits of a coin's flags.
const (
	flagChange = 1 << iota
	flagUnmined
	flagStolen
	flagAside
)

func (c *coin) append(dst []byte) []byte {
	flags := uint8(0)
	for i, set := range [...]bool{c.change, c.unmined, c.stolen, c.aside} {
		if set {
			flags |= 1 << i
		}
	}
	dst = putOutpoint(put32(dst, uint32(c.bank.id)), c.at)
	dst = putContent(putLocation(put8(put8(dst, uint8(c.state)), flags), c.location), c.content)
	dst = put32(put64(put8(dst, c.wallet), c.batch), c.since)
	dst = append(putLocation(dst, c.spent), c.spentBy[:]...)
	dst = put16(dst, len(c.said))
	for i := range c.said {
		dst = putMembers(putContent(putLocation(dst, c.said[i].location), c.said[i].content), c.said[i].who)
	}
	dst = put16(dst, len(c.spends))
	for i := range c.spends {
		v := &c.spends[i]
		dst = putMembers(append(putLocation(dst, v.location), v.tx[:]...), v.who)
	}
	return putMembers(dst, c.judged)
}

func (w *withdrawal) append(dst []byte) []byte {
	dst = putBytes(put32(put32(dst, uint32(w.Bank)), uint32(w.Owner)), w.Script)
	dst = putAmount(putAmount(dst, w.Amount), w.MaxFee)
	dst = put8(put64(put64(put64(dst, w.Asked), w.From), w.Batch), uint8(len(w.GivenUp))) //nolint:gosec // at most maxGivenUp
	for _, n := range w.GivenUp {
		dst = put64(dst, n)
	}
	return append(dst, w.Salt[:]...)
}

func (t *batch) append(dst []byte) []byte {
	dst = putAmount(put8(put8(dst, uint8(t.Kind)), t.Wallet), t.Paid)
	dst = put32(put32(put8(dst, t.ChangeAt), t.ChangeSeries), t.ChangeIndex)
	dst = putLocation(put32(put8(putBool(dst, t.child), t.Settled), t.Height), t.location)
	dst = put16(dst, len(t.Inputs))
	for i := range t.Inputs {
		in := &t.Inputs[i]
		dst = put32(putAmount(putOutpoint(dst, in.At), in.Amount), in.Series)
		dst = put8(put32(put8(dst, uint8(in.Branch)), in.Index), in.Wallet) //nolint:gosec // 0 or 1
	}
	dst = putBool(dst, t.In != nil)
	for _, versions := range t.In {
		dst = put32(dst, versions)
	}
	dst = put16(dst, len(t.Payouts))
	for i := range t.Payouts {
		p := &t.Payouts[i]
		dst = putAmount(putAmount(putBytes(put64(dst, uint64(p.ID)), p.Script), p.Amount), p.Fee)
	}
	dst = put8(dst, uint8(len(t.Versions))) //nolint:gosec // at most MaxRenewed
	for i := range t.Versions {
		v := &t.Versions[i]
		dst = append(putAmount(putAmount(put64(dst, v.Rate), v.Fee), v.Change), v.Tx[:]...)
		dst = put64(put32(dst, v.Tip), v.Time)
	}
	return dst
}

func (a *attestor) append(dst []byte) []byte {
	dst = put32(put32(put64(put32(dst, a.height), a.rate), a.rated), a.wrong)
	dst = put32(put32(dst, a.admitted), a.hour)
	if dst = putBool(dst, a.hasKey); !a.hasKey {
		return dst
	}
	dst = put64(append(append(dst, a.key.Key[:]...), a.key.ChainCode[:]...), a.announced)
	return put32(putBool(dst, a.replaced), a.lost)
}

func (x *Settings) append(dst []byte) []byte {
	dst = put8(putBool(put64(dst, x.Delay), x.Only), uint8(len(x.Allowed))) //nolint:gosec // at most MaxAllowed
	for _, a := range x.Allowed {
		dst = putBytes(put32(dst, uint32(a.Bank)), a.Script)
	}
	return dst
}

func (a *account) append(dst []byte) []byte {
	dst = append(a.next.append(put64(a.set.append(dst), a.nextAt)), a.salt[:]...)
	dst = put8(dst, uint8(len(a.paidTo))) //nolint:gosec // at most maxPaid
	for i := range a.paidTo {
		dst = put64(append(dst, a.paidTo[i].id[:]...), a.paidTo[i].since)
	}
	dst = put8(dst, uint8(len(a.draws))) //nolint:gosec // at most MaxBanks
	for _, d := range a.draws {
		dst = put64(putAmount(put32(dst, uint32(d.bank)), d.used), d.at)
	}
	return dst
}

func (x *slots) append(dst []byte) []byte {
	dst = put16(dst, len(x.given))
	for _, sig := range x.given {
		dst = putBytes(dst, sig)
	}
	return dst
}

func (d *done) append(dst []byte) []byte {
	dst = putBytes(put32(put32(dst, uint32(d.Bank)), uint32(d.Owner)), d.Script)
	dst = putOutpoint(putAmount(putAmount(dst, d.Amount), d.Fee), d.At)
	return append(put64(put32(dst, d.Height), d.Time), d.Salt[:]...)
}
