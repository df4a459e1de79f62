package custody

import (
	"bytes"
	"cmp"
	"slices"

	"souk/script"
)

// Signature is a member's partial signatures of some inputs of a batch's version,
// from input First on. An empty one leaves what is there.
type Signature struct {
	Bank       Bank
	Batch      uint64
	Version    uint8
	First      uint16
	Signatures [][]byte // each at most MaxSignature bytes
}

// slots are a member's signatures of a version, by input.
type slots struct {
	bank    *bank
	batch   uint64
	version uint8
	member  Member
	given   [][]byte
}

func (x *slots) compare(other *slots) int {
	return cmp.Or(cmp.Compare(x.batch, other.batch), cmp.Compare(x.version, other.version), cmp.Compare(x.member, other.member))
}

// Sign stores partial signatures, which nobody verifies here. A member may replace
// his own: OK, UnknownBank, NotMember, IsHalted, Unknown, BadForm or NotSigner (Y-64).
func (s *State) Sign(by Member, x *Signature) Code {
	b := s.bank(x.Bank)
	switch {
	case b == nil:
		return UnknownBank
	case !s.members.has(by):
		return NotMember
	case s.halted(b):
		return IsHalted
	}
	t := s.batchOf(b.id, x.Batch)
	if t == nil || t.Settled != 0 || x.Version == 0 || int(x.Version) > len(t.Versions) {
		return Unknown
	}
	inputs := t.Spends(int(x.Version))
	if len(x.Signatures) == 0 || int(x.First)+len(x.Signatures) > len(inputs) {
		return BadForm
	}
	some := false
	for i, sig := range x.Signatures {
		if len(sig) > MaxSignature {
			return BadForm
		}
		if len(sig) > 0 {
			some = true
			if !slices.Contains(b.series[inputs[int(x.First)+i].Series].members, by) {
				return NotSigner
			}
		}
	}
	if !some {
		return BadForm
	}
	own := &slots{bank: b, batch: x.Batch, version: x.Version, member: by}
	list := b.signs[x.Batch]
	if i, ok := slices.BinarySearchFunc(list, own, (*slots).compare); ok {
		own = list[i]
	} else {
		own.given = make([][]byte, len(inputs))
		b.signs[x.Batch] = slices.Insert(list, i, own)
	}
	for i, sig := range x.Signatures {
		if len(sig) > 0 {
			own.given[int(x.First)+i] = bytes.Clone(sig)
		}
	}
	s.touch(own)
	return OK
}

// signed tells whether enough members, and whether all who could, gave a signature
// for every input of a batch's newest version. What they gave is not verified.
func (b *bank) signed(t *batch) (enough, all bool) {
	enough, all = true, true
	for i, in := range t.Spends(len(t.Versions)) {
		r := b.series[in.Series]
		n := 0
		for _, x := range b.signs[t.Number] {
			if int(x.version) == len(t.Versions) && len(x.given[i]) > 0 {
				n++
			}
		}
		enough, all = enough && n >= int(r.K), all && n == len(r.members)
	}
	return enough, all
}

// Signatures returns what members gave for a version: by member, ascending, their
// signatures by input, nil where there is none.
func (s *State) Signatures(id Bank, number uint64, version uint8) (members []Member, given [][][]byte) {
	b := s.bank(id)
	if b == nil {
		return nil, nil
	}
	for _, x := range b.signs[number] {
		if x.version != version {
			continue
		}
		members = append(members, x.member)
		copied := make([][]byte, len(x.given))
		for i := range x.given {
			copied[i] = bytes.Clone(x.given[i])
		}
		given = append(given, copied)
	}
	return members, given
}

// dropSlots forgets the signatures of a batch.
func (s *State) dropSlots(t *batch) {
	for _, x := range t.bank.signs[t.Number] {
		s.drop(x)
	}
	delete(t.bank.signs, t.Number)
}

// SeriesOf returns a series and the members whose keys it has, in their order.
func (s *State) SeriesOf(id Bank, number uint32) (r script.Series, members []Member, ok bool) {
	b := s.bank(id)
	if b == nil || uint64(number) >= uint64(len(b.series)) {
		return r, nil, false
	}
	x := b.series[number]
	r = *x.Series
	r.Keys = slices.Clone(r.Keys)
	return r, slices.Clone(x.members), true
}
