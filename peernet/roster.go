package peernet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"souk/identity"
)

// tagRoster is what a signature of a roster is for.
const tagRoster identity.Tag = "souk/peernet/roster/v1"

// ID names a ring: the hash of its first roster.
type ID [32]byte

// String is the name as 64 lower-case hexadecimal digits.
func (i ID) String() string { return hex.EncodeToString(i[:]) }

// Hash names a roster: the SHA-256 of its body.
type Hash [32]byte

// Body is what the members of a roster sign.
type Body struct {
	Ring    ID                   // zero in epoch 1, which makes the name
	Epoch   uint64               // from 1
	Prev    Hash                 // the roster before; random bytes in epoch 1
	Members []identity.PublicKey // ascending
}

// Append appends the body's one encoding.
func (b *Body) Append(dst []byte) []byte {
	c := cryptobyte.NewBuilder(dst)
	c.AddBytes(b.Ring[:])
	c.AddUint64(b.Epoch)
	c.AddBytes(b.Prev[:])
	c.AddUint8(uint8(len(b.Members))) //nolint:gosec // at most MaxMembers
	for i := range b.Members {
		c.AddBytes(b.Members[i][:])
	}
	return c.BytesOrPanic()
}

func (b *Body) read(s *cryptobyte.String) bool {
	var n uint8
	if !s.CopyBytes(b.Ring[:]) || !s.ReadUint64(&b.Epoch) || !s.CopyBytes(b.Prev[:]) || !s.ReadUint8(&n) || n > MaxMembers {
		return false
	}
	b.Members = make([]identity.PublicKey, n)
	for i := range b.Members {
		if !s.CopyBytes(b.Members[i][:]) {
			return false
		}
	}
	return b.form() == nil
}

// form says what is wrong with a body, but for keys that nobody may have.
func (b *Body) form() error {
	switch {
	case b.Epoch == 0 || b.Epoch >= MaxEpoch:
		return fmt.Errorf("%w: epoch %d", ErrRoster, b.Epoch)
	case (b.Epoch == 1) != (b.Ring == ID{}):
		return fmt.Errorf("%w: the first roster alone has no ring", ErrRoster)
	case len(b.Members) < minMembers || len(b.Members) > MaxMembers:
		return fmt.Errorf("%w: %d members", ErrRoster, len(b.Members))
	}
	for i := 1; i < len(b.Members); i++ {
		if compare(b.Members[i-1], b.Members[i]) >= 0 {
			return fmt.Errorf("%w: members are not in order", ErrRoster)
		}
	}
	return nil
}

// Hash is the roster's name.
func (b *Body) Hash() Hash { return sha256.Sum256(b.Append(nil)) }

// ID is the ring's name.
func (b *Body) ID() ID {
	if b.Epoch == 1 {
		return ID(b.Hash())
	}
	return b.Ring
}

// Has tells whether a peer is a member.
func (b *Body) Has(p identity.PublicKey) bool {
	_, ok := slices.BinarySearchFunc(b.Members, p, compare)
	return ok
}

// Seal is a signature of a body.
type Seal struct {
	Key       identity.PublicKey
	Signature identity.Signature
}

// sign seals a body.
func (b *Body) sign(key identity.PrivateKey) Seal {
	return Seal{key.Public(), key.Sign(tagRoster, b.Append(nil))}
}

// signed tells whether a seal of the body is good.
func (b *Body) signed(s *Seal) bool {
	return s.Key.Check() == nil && s.Key.Verify(tagRoster, b.Append(nil), s.Signature)
}

// Roster is the members of a ring in one epoch, with the signatures of all of them, and of
// those who left it with their consent. While it is made some are missing.
type Roster struct {
	Body
	Seals []Seal // ascending by key
}

// Append appends the roster's one encoding.
func (r *Roster) Append(dst []byte) []byte {
	c := cryptobyte.NewBuilder(r.Body.Append(dst))
	c.AddUint8(uint8(len(r.Seals))) //nolint:gosec // at most 2*MaxMembers
	for i := range r.Seals {
		c.AddBytes(r.Seals[i].Key[:])
		c.AddBytes(r.Seals[i].Signature[:])
	}
	return c.BytesOrPanic()
}

func (r *Roster) read(s *cryptobyte.String) bool {
	var n uint8
	if !r.Body.read(s) || !s.ReadUint8(&n) || n > 2*MaxMembers {
		return false
	}
	r.Seals = nil
	for i := range int(n) {
		var l Seal
		if !s.CopyBytes(l.Key[:]) || !s.CopyBytes(l.Signature[:]) || i > 0 && compare(r.Seals[i-1].Key, l.Key) >= 0 {
			return false
		}
		r.Seals = append(r.Seals, l)
	}
	return true
}

// ParseRoster reads what Append writes: ErrSyntax for anything else. It judges form only.
func ParseRoster(data []byte) (Roster, error) {
	var r Roster
	s := cryptobyte.String(data)
	if !r.read(&s) || !s.Empty() {
		return Roster{}, fmt.Errorf("roster: %w", ErrSyntax)
	}
	return r, nil
}

// Quorum is how many of n members of a roster must have signed the next one: more than two
// thirds. Any two such sets share more members than may lie.
func Quorum(n int) int { return 2*n/3 + 1 }

// Check returns ErrRoster unless the roster is signed by all its members, and by a quorum
// of the one before, which is nil for the first. That prev is a roster is for the caller to
// have checked.
func (r *Roster) Check(prev *Roster) error {
	if err := r.form(); err != nil {
		return err
	}
	if (prev == nil) != (r.Epoch == 1) {
		return fmt.Errorf("%w: the first roster alone follows none", ErrRoster)
	}
	if prev != nil && (prev.ID() != r.Ring || prev.Epoch+1 != r.Epoch || prev.Hash() != r.Prev) {
		return fmt.Errorf("%w: it does not follow", ErrRoster)
	}
	for i := range r.Seals {
		l := &r.Seals[i]
		if !r.Has(l.Key) && (prev == nil || !prev.Has(l.Key)) {
			return fmt.Errorf("%w: signed by a stranger", ErrRoster)
		}
		if i > 0 && compare(r.Seals[i-1].Key, l.Key) >= 0 {
			return fmt.Errorf("%w: signatures are not in order", ErrRoster)
		}
		if !r.signed(l) {
			return fmt.Errorf("%w: a signature does not hold", ErrRoster)
		}
	}
	return r.lacks(prev)
}

// lacks says which signatures are missing; those that are there were checked.
func (r *Roster) lacks(prev *Roster) error {
	for _, m := range r.Members {
		if _, ok := r.seal(m); !ok {
			return fmt.Errorf("%w: %v has not signed", ErrRoster, m)
		}
	}
	if prev == nil {
		return nil
	}
	n := 0
	for _, m := range prev.Members {
		if _, ok := r.seal(m); ok {
			n++
		}
	}
	if n < Quorum(len(prev.Members)) {
		return fmt.Errorf("%w: %d of %d members before have signed", ErrRoster, n, len(prev.Members))
	}
	return nil
}

func (r *Roster) seal(p identity.PublicKey) (int, bool) {
	return slices.BinarySearchFunc(r.Seals, p, func(l Seal, p identity.PublicKey) int { return compare(l.Key, p) })
}

// add puts a checked seal in its place.
func (r *Roster) add(l Seal) {
	if at, ok := r.seal(l.Key); !ok {
		r.Seals = slices.Insert(r.Seals, at, l)
	}
}

// clone is a copy whose seals can be added to.
func (r *Roster) clone() Roster {
	return Roster{Body: r.Body, Seals: slices.Clone(r.Seals)}
}

// Fault proves that a peer signed two different rosters of one ring and epoch.
type Fault struct {
	Key          identity.PublicKey
	A, B         Body // A has the lower hash
	SealA, SealB identity.Signature
}

// Check returns ErrFault unless the fault proves what it says, whoever brings it.
func (f *Fault) Check() error {
	a, b := f.A.Hash(), f.B.Hash()
	switch {
	case f.A.form() != nil || f.B.form() != nil:
		return fmt.Errorf("%w: not two rosters", ErrFault)
	case f.A.Epoch == 1 || f.A.ID() != f.B.ID() || f.A.Epoch != f.B.Epoch:
		return fmt.Errorf("%w: not of one ring and epoch", ErrFault)
	case slices.Compare(a[:], b[:]) >= 0:
		return fmt.Errorf("%w: not two, in order", ErrFault)
	case !f.A.signed(&Seal{f.Key, f.SealA}) || !f.B.signed(&Seal{f.Key, f.SealB}):
		return fmt.Errorf("%w: a signature does not hold", ErrFault)
	}
	return nil
}

// Append appends the fault's one encoding.
func (f *Fault) Append(dst []byte) []byte {
	dst = append(f.B.Append(f.A.Append(append(dst, f.Key[:]...))), f.SealA[:]...)
	return append(dst, f.SealB[:]...)
}

// ParseFault reads what Append writes: ErrSyntax for anything else. Check judges it.
func ParseFault(data []byte) (Fault, error) {
	var f Fault
	s := cryptobyte.String(data)
	if !s.CopyBytes(f.Key[:]) || !f.A.read(&s) || !f.B.read(&s) || !s.CopyBytes(f.SealA[:]) || !s.CopyBytes(f.SealB[:]) || !s.Empty() {
		return Fault{}, fmt.Errorf("fault: %w", ErrSyntax)
	}
	return f, nil
}

// newFault puts two in order.
func newFault(key identity.PublicKey, a, b *Body, sealA, sealB identity.Signature) Fault {
	f := Fault{key, *a, *b, sealA, sealB}
	x, y := a.Hash(), b.Hash()
	if slices.Compare(x[:], y[:]) > 0 {
		f.A, f.B, f.SealA, f.SealB = f.B, f.A, f.SealB, f.SealA
	}
	return f
}

// Conflict is what two rosters prove: a fault of everybody who signed both, if they are
// different ones of one ring and epoch and the signatures hold.
func Conflict(a, b *Roster) []Fault {
	var faults []Fault
	for _, l := range a.Seals {
		if i, ok := b.seal(l.Key); ok {
			f := newFault(l.Key, &a.Body, &b.Body, l.Signature, b.Seals[i].Signature)
			if f.Check() == nil {
				faults = append(faults, f)
			}
		}
	}
	return faults
}
