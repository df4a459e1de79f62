package roster

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"souk/identity"
	"souk/merkle"
)

// ErrLeaf is wrapped by Load, Finish and the Parse functions for leaves that no
// State has written.
var ErrLeaf = errors.New("not a roster leaf")

// First key bytes of this package's state leaves.
const (
	LeafMember = 0x07 // member: id, 4 bytes
	LeafVote   = 0x08 // vote: hash of the action, its first 31 bytes
	LeafRoster = 0x09 // the rest of the roster; with the first 31 bytes of a hash: a retired consensus key
)

// Bits of the flags byte of a member leaf.
const (
	isDemoted = 1 << 0
	isBarred  = 1 << 1
)

// MemberKey is the key of a member's leaf.
func MemberKey(id ID) merkle.Key { return memberKey(id) }

func memberKey(id ID) (k merkle.Key) {
	k[0] = LeafMember
	binary.BigEndian.PutUint32(k[1:], uint32(id))
	return k
}

// VoteKey is the key of the leaf of a vote on an action, as encoded.
func VoteKey(action []byte) merkle.Key { return hashedKey(LeafVote, action) }

// Key is the key of the leaf with the protocol version and plan.
func Key() merkle.Key { return merkle.Key{LeafRoster} }

// retiredKey is the key of the leaf that says that a consensus key is retired.
func retiredKey(consensus identity.PublicKey) merkle.Key { return hashedKey(LeafRoster, consensus[:]) }

func hashedKey(kind byte, data []byte) (k merkle.Key) {
	h := sha256.Sum256(data)
	k[0] = kind
	copy(k[1:], h[:])
	return k
}

// Changes calls yield for every leaf that changed since the last call, once
// each, in no particular order; a nil value means that the leaf is gone. Values
// may be kept.
func (s *State) Changes(yield func(key merkle.Key, value []byte)) {
	slices.SortFunc(s.dirty, merkle.Key.Compare)
	for _, key := range slices.Compact(s.dirty) {
		value, _ := s.Leaf(key)
		yield(key, value)
	}
	s.dirty = s.dirty[:0]
}

// Leaf returns the value of one leaf as it stands.
func (s *State) Leaf(key merkle.Key) ([]byte, bool) {
	switch key[0] {
	case LeafMember:
		if m := s.find(func(m *Member) bool { return memberKey(m.ID) == key }); m != nil {
			return m.leaf(), true
		}
	case LeafVote:
		if v := s.vote(key); v != nil {
			return v.leaf(), true
		}
	case LeafRoster:
		if key == Key() {
			return s.leaf(), len(s.members) > 0
		}
		if i, ok := slices.BinarySearchFunc(s.retired, retired{leaf: key}, retired.compare); ok {
			return bytes.Clone(s.retired[i].key[:]), true
		}
	}
	return nil, false
}

// Leaves calls yield for every leaf in ascending order of keys. Values may be kept.
func (s *State) Leaves(yield func(key merkle.Key, value []byte)) {
	for _, m := range s.members {
		yield(memberKey(m.ID), m.leaf())
	}
	for _, v := range s.votes {
		yield(v.key, v.leaf())
	}
	if len(s.members) > 0 {
		yield(Key(), s.leaf())
	}
	for _, r := range s.retired {
		yield(r.leaf, bytes.Clone(r.key[:]))
	}
}

// leaf returns a member's leaf.
func (m *Member) leaf() []byte {
	card := &m.Card
	b := card.append(nil)
	flags := byte(0)
	if m.Demoted {
		flags |= isDemoted
	}
	if m.Barred {
		flags |= isBarred
	}
	b = append(b, flags)
	b = binary.BigEndian.AppendUint32(b, m.Missed)
	b = append(b, m.Level)
	b = binary.BigEndian.AppendUint64(b, m.Until)
	return binary.BigEndian.AppendUint64(b, m.ReturnedAt)
}

// ParseMember reads a member's leaf, for those who check a proof.
func ParseMember(key merkle.Key, value []byte) (Member, error) {
	m := Member{ID: ID(binary.BigEndian.Uint32(key[1:]))}
	s := cryptobyte.String(value)
	var flags uint8
	card := &m.Card
	ok := card.read(&s) && s.ReadUint8(&flags) && s.ReadUint32(&m.Missed) && s.ReadUint8(&m.Level) &&
		s.ReadUint64(&m.Until) && s.ReadUint64(&m.ReturnedAt)
	if !ok || len(s) != 0 || m.ID == 0 || memberKey(m.ID) != key || flags > isDemoted|isBarred || m.Level > maxLevel {
		return Member{}, fmt.Errorf("leaf %s: %w", key, ErrLeaf)
	}
	m.Demoted, m.Barred = flags&isDemoted != 0, flags&isBarred != 0
	return m, nil
}

// leaf returns a vote's leaf.
func (v *Vote) leaf() []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(v.Action))) //nolint:gosec // at most MaxAction
	b = append(b, v.Action...)
	b = binary.BigEndian.AppendUint64(b, v.Lapses)
	b = binary.BigEndian.AppendUint64(b, v.Passed)
	b = append(b, byte(len(v.Approved))) //nolint:gosec // at most MaxMembers
	for _, id := range v.Approved {
		b = binary.BigEndian.AppendUint32(b, uint32(id))
	}
	return b
}

// ParseVote reads a vote's leaf, for those who check a proof.
func ParseVote(key merkle.Key, value []byte) (Vote, error) {
	bad := func() (Vote, error) { return Vote{}, fmt.Errorf("leaf %s: %w", key, ErrLeaf) }
	var v Vote
	s := cryptobyte.String(value)
	var action cryptobyte.String
	var count uint8
	if !s.ReadUint16LengthPrefixed(&action) || !s.ReadUint64(&v.Lapses) || !s.ReadUint64(&v.Passed) || !s.ReadUint8(&count) {
		return bad()
	}
	for range count {
		var id ID
		if !s.ReadUint32((*uint32)(&id)) || id == 0 || len(v.Approved) > 0 && id <= v.Approved[len(v.Approved)-1] {
			return bad()
		}
		v.Approved = append(v.Approved, id)
	}
	v.Action = bytes.Clone(action)
	if _, _, err := ParseAction(v.Action); err != nil || len(s) != 0 || count == 0 || VoteKey(v.Action) != key {
		return bad()
	}
	return v, nil
}

// leaf returns the roster's own leaf.
func (s *State) leaf() []byte {
	b := binary.BigEndian.AppendUint32(nil, s.version)
	b = binary.BigEndian.AppendUint32(b, s.plan.version)
	b = binary.BigEndian.AppendUint64(b, s.plan.height)
	b = binary.BigEndian.AppendUint32(b, uint32(s.last))
	return binary.BigEndian.AppendUint64(b, s.demotedAt)
}

func (s *State) loadRoster(value []byte) error {
	str := cryptobyte.String(value)
	ok := s.last == 0 && str.ReadUint32(&s.version) && str.ReadUint32(&s.plan.version) && str.ReadUint64(&s.plan.height) &&
		str.ReadUint32((*uint32)(&s.last)) && str.ReadUint64(&s.demotedAt) && len(str) == 0
	if !ok || s.last == 0 || (s.plan.height == 0) != (s.plan.version == 0) {
		return fmt.Errorf("leaf %s: %w", Key(), ErrLeaf)
	}
	return nil
}

// Load adds one leaf to a state that came from New. Leaves may come in any
// order, each once. It returns ErrLeaf for anything but the one encoding of a leaf.
func (s *State) Load(key merkle.Key, value []byte) error {
	switch key[0] {
	case LeafMember:
		m, err := ParseMember(key, value)
		if err != nil {
			return err
		}
		s.members = append(s.members, &m)
		return nil
	case LeafVote:
		v, err := ParseVote(key, value)
		if err != nil {
			return err
		}
		s.votes = append(s.votes, &vote{v, key})
		return nil
	case LeafRoster:
		if key == Key() {
			return s.loadRoster(value)
		}
		if len(value) != len(identity.PublicKey{}) || hashedKey(LeafRoster, value) != key {
			return fmt.Errorf("leaf %s: %w", key, ErrLeaf)
		}
		s.retired = append(s.retired, retired{key, identity.PublicKey(value)})
		return nil
	}
	return fmt.Errorf("leaf %s: %w", key, ErrLeaf)
}

// Finish completes a state after the last Load, and returns ErrLeaf if the
// leaves do not fit together. The state must not be used before.
func (s *State) Finish() error {
	slices.SortFunc(s.members, func(a, b *Member) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(s.votes, byKey)
	slices.SortFunc(s.retired, retired.compare)
	for _, v := range s.votes {
		if v.Passed == 0 {
			insert(&s.open, v, lapsesFirst)
		} else {
			insert(&s.decided, v, passedFirst)
		}
	}
	if err := s.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrLeaf, err)
	}
	s.ValidatorUpdates() // consensus has been told
	return nil
}

// Check returns an error that says what in the state does not fit together.
func (s *State) Check() error {
	if len(s.members) == 0 || len(s.members) > MaxMembers {
		return fmt.Errorf("%d members, 1 to %d are possible", len(s.members), MaxMembers)
	}
	for i, m := range s.members {
		switch {
		case m.ID > s.last || i > 0 && m.ID <= s.members[i-1].ID:
			return fmt.Errorf("member %d after the last number given, or there twice", m.ID)
		case !validName(m.Name) || !validText(m.P2P) || !validText(m.URL):
			return fmt.Errorf("member %d has a bad name or address", m.ID)
		case s.clash(&m.Card, m.ID) != nil:
			return fmt.Errorf("member %d shares a name, an operator or a key with another", m.ID)
		case s.isRetired(m.Consensus):
			return fmt.Errorf("member %d has a retired consensus key", m.ID)
		case s.approvals(m.ID) > MaxOpenVotes:
			return fmt.Errorf("member %d approves of too many open votes", m.ID)
		}
	}
	if len(s.open)+len(s.decided) != len(s.votes) {
		return fmt.Errorf("%d votes, of which %d open and %d decided", len(s.votes), len(s.open), len(s.decided))
	}
	for i, v := range s.votes {
		if i > 0 && byKey(s.votes[i-1], v) >= 0 {
			return fmt.Errorf("vote %s is there twice", v.key)
		}
	}
	for i, r := range s.retired {
		if i > 0 && s.retired[i-1].compare(r) >= 0 {
			return fmt.Errorf("consensus key %s is retired twice", r.key)
		}
	}
	for i, v := range s.open {
		if s.vote(v.key) != v || v.Passed != 0 || len(v.Approved) == 0 || i > 0 && lapsesFirst(s.open[i-1], v) >= 0 {
			return fmt.Errorf("open vote %s is in the wrong place", v.key)
		}
		for _, id := range v.Approved {
			if _, ok := s.Member(id); !ok {
				return fmt.Errorf("open vote %s is approved by %d, who is no member", v.key, id)
			}
		}
	}
	for i, v := range s.decided {
		if s.vote(v.key) != v || v.Passed == 0 || i > 0 && passedFirst(s.decided[i-1], v) >= 0 {
			return fmt.Errorf("decided vote %s is in the wrong place", v.key)
		}
	}
	return nil
}
