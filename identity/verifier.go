package identity

import (
	"io"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// Signed is bytes that begin with a tag, as AppendTag writes it, and the signature
// of them that is to be checked.
type Signed struct {
	Key       PublicKey
	Tagged    []byte
	Signature Signature
}

// Verifier checks many signatures at once.
type Verifier struct {
	random io.Reader
}

// NewVerifier returns a Verifier that remembers up to keys public keys.
func NewVerifier(random io.Reader, keys int) *Verifier {
	return &Verifier{random: random}
}

// Verify tells for every item of the batch whether its signature is valid,
// appending the verdicts to dst.
func (v *Verifier) Verify(dst []bool, batch []Signed) []bool {
	b := ed25519.NewBatchVerifier()
	for i := range batch {
		s := &batch[i]
		b.AddWithOptions(s.Key[:], s.Tagged, s.Signature[:], zip215)
	}
	_, ok := b.Verify(v.random)
	return append(dst, ok...)
}
