package identity

import (
	"bytes"
	"io"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519/extra/cache"
)

const (
	// chunkSize is the largest number of signatures checked with one equation.
	chunkSize = 1024
	// pieceSize is how finely a chunk is divided to find its bad signatures.
	pieceSize = 32
	// singly is the number of signatures up to which an equation does not pay.
	singly = 4
	// seedSize is how much randomness one equation takes.
	seedSize = 32
)

// Signed is bytes that begin with a tag, as AppendTag writes it, and the signature
// of them that is to be checked.
type Signed struct {
	Key       PublicKey
	Tagged    []byte
	Signature Signature
}

// Verifier checks many signatures at once, about twice as fast as one by one, and
// with the same verdicts as PublicKey.VerifyRaw but for a chance of 2^-128: both
// are by the rules of ZIP-215. It is the library's batch verification with keys
// that it has met kept in expanded form.
//
// A Verifier has no lock of its own: use one for each goroutine.
type Verifier struct {
	random io.Reader
	keys   *cache.Verifier
	batch  *ed25519.BatchVerifier
}

// NewVerifier returns a Verifier that keeps up to the given number of public keys
// (at least 1,024; each takes about 300 bytes). It reads random
// now, and 32 bytes for every equation; if that fails, signatures are checked singly.
func NewVerifier(random io.Reader, keys int) *Verifier {
	return &Verifier{
		random: random, keys: cache.NewVerifier(newKeyCache(random, max(keys, chunkSize))),
		batch: ed25519.NewBatchVerifierWithCapacity(chunkSize),
	}
}

// Verify appends to dst for every item of the batch, in order, whether its
// signature is valid.
func (v *Verifier) Verify(dst []bool, batch []Signed) []bool {
	for len(batch) > 0 {
		n := min(len(batch), chunkSize)
		dst = v.chunk(dst, batch[:n])
		batch = batch[n:]
	}
	return dst
}

// chunk checks at most chunkSize signatures: all at once and, if one of them is
// bad, in pieces, so that somebody who sends bad ones gains little by it.
func (v *Verifier) chunk(dst []bool, batch []Signed) []bool {
	if v.all(batch) {
		for range batch {
			dst = append(dst, true)
		}
		return dst
	}
	for len(batch) > 0 {
		n := min(len(batch), pieceSize)
		piece := batch[:n]
		good := n < len(batch) && v.all(piece)
		for i := range piece {
			dst = append(dst, good || v.single(&piece[i]))
		}
		batch = batch[n:]
	}
	return dst
}

// all tells whether one equation shows all signatures to be valid.
func (v *Verifier) all(batch []Signed) bool {
	var seed [seedSize]byte
	if len(batch) <= singly {
		return false
	}
	if _, err := io.ReadFull(v.random, seed[:]); err != nil {
		return false
	}
	v.batch.Reset()
	for i := range batch {
		s := &batch[i]
		v.keys.AddWithOptions(v.batch, s.Key[:], s.Tagged, s.Signature[:], zip215)
	}
	return v.batch.VerifyBatchOnly(bytes.NewReader(seed[:]))
}

func (v *Verifier) single(s *Signed) bool {
	return v.keys.VerifyWithOptions(s.Key[:], s.Tagged, s.Signature[:], zip215)
}
