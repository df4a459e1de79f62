package peernet

import (
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"souk/identity"
)

// Kind is what a message says.
type Kind uint8

// Kinds. Append only.
const (
	KindHello  Kind = 1  // where the sender sits, and who is near to it: Ring, Epoch, Size, Near
	KindJoin   Kind = 2  // Whom wants to join Ring
	KindAsk    Kind = 3  // would you sign Roster, which follows Prev?
	KindReady  Kind = 4  // the roster of that Hash would be signed
	KindRefuse Kind = 5  // it would not be, because of Whom
	KindOffer  Kind = 6  // sign Roster, which follows Prev, as some have
	KindSigned Kind = 7  // the sender's Signature of the roster of that Hash
	KindMade   Kind = 8  // rosters in Chain, each following the one before
	KindLeave  Kind = 9  // the sender wants to be left out of Ring
	KindWant   Kind = 10 // send rosters of Ring after Epoch
)

// maxChain is the most rosters that one message brings.
const maxChain = 8

// Message is what one peer says to another. The sender is known from where it came. Which
// fields count is for Kind; the others are zero.
type Message struct {
	Kind      Kind
	Ring      ID
	Epoch     uint64
	Size      uint8
	Near      []Distance // ascending by peer
	Whom      identity.PublicKey
	Hash      Hash
	Signature identity.Signature
	Roster    Roster
	Prev      *Roster // nil if Roster is the first
	Chain     []Roster
}

// Append appends the message's one encoding.
func (m *Message) Append(dst []byte) []byte {
	c := cryptobyte.NewBuilder(dst)
	c.AddUint8(uint8(m.Kind))
	switch m.Kind {
	case KindHello:
		c.AddBytes(m.Ring[:])
		c.AddUint64(m.Epoch)
		c.AddUint8(m.Size)
		c.AddUint8(uint8(len(m.Near))) //nolint:gosec // at most MaxClaims
		for i := range m.Near {
			c.AddBytes(m.Near[i].Peer[:])
			c.AddUint32(m.Near[i].RoundTrip)
		}
	case KindJoin:
		c.AddBytes(m.Ring[:])
		c.AddBytes(m.Whom[:])
	case KindAsk, KindOffer:
		c.AddBytes(m.Roster.Append(nil))
		if m.Prev != nil {
			c.AddBytes(m.Prev.Append(nil))
		}
	case KindReady:
		c.AddBytes(m.Hash[:])
	case KindRefuse:
		c.AddBytes(m.Hash[:])
		c.AddBytes(m.Whom[:])
	case KindSigned:
		c.AddBytes(m.Hash[:])
		c.AddBytes(m.Signature[:])
	case KindMade:
		c.AddUint8(uint8(len(m.Chain))) //nolint:gosec // at most maxChain
		for i := range m.Chain {
			c.AddBytes(m.Chain[i].Append(nil))
		}
	case KindLeave, KindWant:
		c.AddBytes(m.Ring[:])
		c.AddUint64(m.Epoch)
	}
	return c.BytesOrPanic()
}

// ParseMessage reads what Append writes: ErrSyntax for anything else.
func ParseMessage(data []byte) (Message, error) {
	var m Message
	var kind uint8
	s := cryptobyte.String(data)
	if len(data) > MaxMessage || !s.ReadUint8(&kind) {
		return Message{}, fmt.Errorf("message: %w", ErrSyntax)
	}
	m.Kind = Kind(kind)
	if !m.read(&s) || !s.Empty() {
		return Message{}, fmt.Errorf("message of kind %d: %w", kind, ErrSyntax)
	}
	return m, nil
}

func (m *Message) read(s *cryptobyte.String) bool {
	switch m.Kind {
	case KindHello:
		return s.CopyBytes(m.Ring[:]) && s.ReadUint64(&m.Epoch) && m.Epoch < MaxEpoch && s.ReadUint8(&m.Size) && m.readNear(s)
	case KindJoin:
		return s.CopyBytes(m.Ring[:]) && s.CopyBytes(m.Whom[:])
	case KindAsk, KindOffer:
		if !m.Roster.read(s) {
			return false
		}
		if m.Roster.Epoch == 1 {
			return true
		}
		m.Prev = &Roster{}
		return m.Prev.read(s)
	case KindReady:
		return s.CopyBytes(m.Hash[:])
	case KindRefuse:
		return s.CopyBytes(m.Hash[:]) && s.CopyBytes(m.Whom[:])
	case KindSigned:
		return s.CopyBytes(m.Hash[:]) && s.CopyBytes(m.Signature[:])
	case KindMade:
		return m.readChain(s)
	case KindLeave, KindWant:
		return s.CopyBytes(m.Ring[:]) && s.ReadUint64(&m.Epoch) && m.Epoch < MaxEpoch
	}
	return false
}

func (m *Message) readNear(s *cryptobyte.String) bool {
	var n uint8
	if !s.ReadUint8(&n) || n > MaxClaims {
		return false
	}
	for i := range int(n) {
		var d Distance
		if !s.CopyBytes(d.Peer[:]) || !s.ReadUint32(&d.RoundTrip) || i > 0 && compare(m.Near[i-1].Peer, d.Peer) >= 0 {
			return false
		}
		m.Near = append(m.Near, d)
	}
	return true
}

func (m *Message) readChain(s *cryptobyte.String) bool {
	var n uint8
	if !s.ReadUint8(&n) || n == 0 || n > maxChain {
		return false
	}
	m.Chain = make([]Roster, n)
	for i := range m.Chain {
		if !m.Chain[i].read(s) {
			return false
		}
	}
	return true
}

// Letter is a message on its way out.
type Letter struct {
	To      identity.PublicKey
	Message Message
}

// Vow is that this peer signed a roster, and signs no other of that ring and epoch or one
// before it.
type Vow struct {
	Ring  ID
	Epoch uint64
	Hash  Hash
}

// Append appends the vow's one encoding.
func (v *Vow) Append(dst []byte) []byte {
	c := cryptobyte.NewBuilder(dst)
	c.AddBytes(v.Ring[:])
	c.AddUint64(v.Epoch)
	c.AddBytes(v.Hash[:])
	return c.BytesOrPanic()
}

// ParseVow reads what Append writes: ErrSyntax for anything else.
func ParseVow(data []byte) (Vow, error) {
	var v Vow
	s := cryptobyte.String(data)
	if !s.CopyBytes(v.Ring[:]) || !s.ReadUint64(&v.Epoch) || !s.CopyBytes(v.Hash[:]) || !s.Empty() {
		return Vow{}, fmt.Errorf("vow: %w", ErrSyntax)
	}
	return v, nil
}

// Output is what a Seat wants done.
type Output struct {
	Vows    []Vow    // on disk before any of Send leaves
	Send    []Letter // some may be lost; nothing is waited for
	Faults  []Fault  // proof of who signed two rosters, new to this Seat
	Changed bool     // the ring is another than before, or none
}

// claims are distances as a hello has them.
func claims(near []Distance) []Distance {
	out := append([]Distance(nil), near[:min(len(near), MaxClaims)]...)
	slices.SortFunc(out, func(a, b Distance) int { return compare(a.Peer, b.Peer) })
	return out
}
