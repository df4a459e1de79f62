package exchange

import (
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"

	"souk/exchange/ledger"
	"souk/identity"
)

// AddDelegate lets another key act for the account within limits. Adding a key
// that is a delegate already replaces its limits.
type AddDelegate struct {
	Key     identity.PublicKey
	Scopes  ledger.Scope
	Markets []uint32 // ascending, empty for all; they limit trading only
	Expiry  uint64   // ms of block time from which the key has no power; zero for never
}

// Kind is KindAddDelegate.
func (*AddDelegate) Kind() Kind { return KindAddDelegate }

// Append appends the body's encoding.
func (a *AddDelegate) Append(dst []byte) []byte {
	dst = append(dst, a.Key[:]...)
	dst = append(dst, byte(a.Scopes))
	dst = binary.BigEndian.AppendUint64(dst, a.Expiry)
	dst = append(dst, byte(len(a.Markets))) //nolint:gosec // bounded by MaxMarkets
	for _, m := range a.Markets {
		dst = binary.BigEndian.AppendUint32(dst, m)
	}
	return dst
}

func (a *AddDelegate) read(s *cryptobyte.String) bool {
	var scopes, n uint8
	if !s.CopyBytes(a.Key[:]) || !s.ReadUint8(&scopes) || !s.ReadUint64(&a.Expiry) || !s.ReadUint8(&n) || n > MaxMarkets {
		return false
	}
	a.Scopes = ledger.Scope(scopes)
	for i := range int(n) {
		var m uint32
		if !s.ReadUint32(&m) || i > 0 && m <= a.Markets[i-1] {
			return false
		}
		a.Markets = append(a.Markets, m)
	}
	return true
}

// RemoveDelegate takes a delegate's power away, in this block already.
type RemoveDelegate struct{ Key identity.PublicKey }

// Kind is KindRemoveDelegate.
func (*RemoveDelegate) Kind() Kind { return KindRemoveDelegate }

// Append appends the body's encoding.
func (r *RemoveDelegate) Append(dst []byte) []byte { return append(dst, r.Key[:]...) }

func (r *RemoveDelegate) read(s *cryptobyte.String) bool { return s.CopyBytes(r.Key[:]) }

// Rotate makes another key the account's owner after the rotation delay. The
// address stays. Until then the present owner can cancel it.
type Rotate struct{ Key identity.PublicKey }

// Kind is KindRotate.
func (*Rotate) Kind() Kind { return KindRotate }

// Append appends the body's encoding.
func (r *Rotate) Append(dst []byte) []byte { return append(dst, r.Key[:]...) }

func (r *Rotate) read(s *cryptobyte.String) bool { return s.CopyBytes(r.Key[:]) }

// CancelRotation calls a pending rotation off.
type CancelRotation struct{}

// Kind is KindCancelRotation.
func (CancelRotation) Kind() Kind { return KindCancelRotation }

// Append appends nothing: the body is empty.
func (CancelRotation) Append(dst []byte) []byte { return dst }

// Vote is a member's yes to an action, or the withdrawal of his yes
// (docs/spec/07-roster.md). Equal action bytes are one proposal.
type Vote struct {
	Approve bool
	Action  []byte // a roster.Action's encoding
}

// Kind is KindVote.
func (*Vote) Kind() Kind { return KindVote }

// Append appends the body's encoding.
func (v *Vote) Append(dst []byte) []byte {
	dst = append(dst, flag(v.Approve))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(v.Action))) //nolint:gosec // bounded by MaxAction
	return append(dst, v.Action...)
}

func (v *Vote) read(s *cryptobyte.String) bool {
	var action cryptobyte.String
	ok := readFlag(s, &v.Approve) && s.ReadUint16LengthPrefixed(&action) && len(action) <= MaxAction
	v.Action = action
	return ok
}

// Return asks for a demoted server's full power back; its server key signs it.
type Return struct{}

// Kind is KindReturn.
func (Return) Kind() Kind { return KindReturn }

// Append appends nothing: the body is empty.
func (Return) Append(dst []byte) []byte { return dst }
