package mail

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// What a tag of a pair is for.
const (
	forLetter  = 'l'
	forReceipt = 'r'
)

// Pair is what two people share: the tags of letters one way, of letters the other way, and
// of the receipts for both. It is a secret.
type Pair struct {
	out, in [32]byte
}

// NewPair returns what the owner of a key shares with another.
func NewPair(own Key, other PublicKey) (*Pair, error) {
	secret, err := own.shared(other)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	me := own.Public()
	p := new(Pair)
	copy(p.out[:], derive(secret, nil, "souk/mail/tags/v1", 32, me[:], other[:]))
	copy(p.in[:], derive(secret, nil, "souk/mail/tags/v1", 32, other[:], me[:]))
	return p, nil
}

// OutTag is the tag of the letter that I send with a number.
func (p *Pair) OutTag(n uint64) Tag { return tagOf(&p.out, forLetter, n) }

// InTag is the tag of the letter that the other sends with a number.
func (p *Pair) InTag(n uint64) Tag { return tagOf(&p.in, forLetter, n) }

// OutReceipt is the tag of my receipt for the other's letter with a number.
func (p *Pair) OutReceipt(n uint64) Tag { return tagOf(&p.in, forReceipt, n) }

// InReceipt is the tag of the other's receipt for my letter with a number.
func (p *Pair) InReceipt(n uint64) Tag { return tagOf(&p.out, forReceipt, n) }

func tagOf(key *[32]byte, use byte, n uint64) Tag {
	h := hmac.New(sha256.New, key[:])
	h.Write(binary.BigEndian.AppendUint64([]byte{use}, n))
	return Tag(h.Sum(nil)[:16])
}

// Outgoing numbers the letters to one reader. No more than Window numbers are in use, from
// the oldest one that has no receipt on, so that the reader's window covers them whichever
// arrive. Field values are those after n letters have been acknowledged in order: n, 0, 0.
type Outgoing struct {
	Base  uint64 // all below have been acknowledged
	Busy  uint16 // bit i: Base+i is on its way
	Acked uint16 // bit i: Base+i has been acknowledged
}

// Take returns the next free number, which is then in use, or false while the window is full.
func (o *Outgoing) Take() (uint64, bool) {
	i := bits.TrailingZeros16(^(o.Busy | o.Acked))
	if i >= Window || o.Base > ^uint64(0)-2*Window {
		return 0, false
	}
	o.Busy |= 1 << i
	return o.Base + uint64(i), true //nolint:gosec // below Window
}

// Ack is told that the letter with a number has arrived. It answers false if none with the
// number is on its way.
func (o *Outgoing) Ack(n uint64) bool {
	i := n - o.Base
	if n < o.Base || i >= Window || o.Busy&(1<<i) == 0 {
		return false
	}
	o.Busy &^= 1 << i
	o.Acked |= 1 << i
	done := bits.TrailingZeros16(^o.Acked)
	o.Base += uint64(done) //nolint:gosec // Window at most
	o.Busy, o.Acked = o.Busy>>done, o.Acked>>done
	return true
}

// Release gives the number of a letter back that will not be sent any more. The next letter
// gets it: a number that nobody uses would stop the reader's window.
func (o *Outgoing) Release(n uint64) {
	if i := n - o.Base; n >= o.Base && i < Window {
		o.Busy &^= 1 << i
	}
}

// Incoming is how far one writer's letters have come. Expected are the Window numbers before
// Next, perhaps again, and the Window from Next on.
type Incoming struct {
	Next uint64 // above all numbers that have arrived
}

// Range is which numbers are expected: from and up to, but not including, to.
func (in Incoming) Range() (from, to uint64) {
	return in.Next - min(in.Next, Window), in.Next + Window
}
