package mail

import (
	"crypto/sha512"
	"encoding/binary"
	"math/bits"
)

// most is the greatest number of 64 bits.
const most = ^uint64(0)

// Price is what a stamp costs. All who carry mail of one network use the same.
type Price struct {
	PerByte uint64 // hashes for each byte and for each byte kept for 65,536 seconds
	Extra   uint64 // bytes that are added to every size
	Hello   uint64 // how many times dearer a first letter is
}

// DefaultPrice is that of the public network. On one core of 2024 a small envelope that is
// kept as long as possible takes a fifth of a second, a first letter three.
func DefaultPrice() Price { return Price{PerByte: 48, Extra: 1000, Hello: 16} }

// Work is how many hashes a stamp takes on average. It is Bitmessage's formula (Bitmessage
// protocol specification, "Proof of work"): work grows with the size and with the time for
// which others are asked to keep it.
func (p Price) Work(size int, left Hour, k Kind) uint64 {
	bytes := uint64(max(0, size)) + p.Extra
	kept := times(bytes, uint64(left)*3600) >> 16
	work := times(p.PerByte, plus(bytes, kept))
	if k == Hello {
		work = times(work, p.Hello)
	}
	return max(1, work)
}

// Target is the greatest value that a stamp of so much work may have.
func Target(work uint64) uint64 { return most / max(1, work) }

// Stamped tells whether a stamp is good for an envelope's id: one hash of 40 bytes,
// and another of 64.
func Stamped(id ID, stamp, target uint64) bool { return value(id, stamp) <= target }

// Worth is how much work a stamp stands for, for each KiB of the envelope. Who has no room for
// all keeps what is worth most.
func Worth(id ID, stamp uint64, size int) uint64 {
	return times(most/max(1, value(id, stamp)), 1024) / uint64(max(1, size))
}

// value is what a stamp has made of an id: the less, the more work it stands for.
func value(id ID, stamp uint64) uint64 {
	var buf [stampSize + len(id)]byte
	binary.BigEndian.PutUint64(buf[:], stamp)
	copy(buf[stampSize:], id[:])
	first := sha512.Sum512(buf[:])
	second := sha512.Sum512(first[:])
	return binary.BigEndian.Uint64(second[:])
}

// Mint looks for a stamp among tries numbers from one on. Who looks long does it in pieces.
func Mint(id ID, target, from uint64, tries int) (uint64, bool) {
	for i := range uint64(max(0, tries)) {
		if Stamped(id, from+i, target) {
			return from + i, true
		}
	}
	return 0, false
}

func times(a, b uint64) uint64 {
	if hi, lo := bits.Mul64(a, b); hi == 0 {
		return lo
	}
	return most
}

func plus(a, b uint64) uint64 {
	if sum, carry := bits.Add64(a, b, 0); carry == 0 {
		return sum
	}
	return most
}
