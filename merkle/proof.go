package merkle

import (
	"crypto/sha256"
	"fmt"
)

// Step is an inner node on the way from the root to a leaf: the bit at which it
// parts its keys and the hash of the side that was not taken.
type Step struct {
	Bit     uint8
	Sibling Hash
}

// Proof shows which leaf of a Map the search for a key ends on. If it is the key
// itself, the key is present with the value of that hash; if it is another key,
// the key is absent. The zero Proof shows that anything is absent from an empty
// map.
type Proof struct {
	Steps []Step // from the root down, so with ascending bits
	Key   Key    // the leaf that the search ended on
	Value Hash   // the SHA-256 hash of the value there; zero in an empty map
}

// Present tells whether the proof shows that in the map with this root the key
// has this value.
func (p Proof) Present(root Hash, key Key, value []byte) bool {
	return p.Key == key && p.Value == sha256.Sum256(value) && p.leads(root, &key)
}

// Absent tells whether the proof shows that the map with this root lacks the key.
func (p Proof) Absent(root Hash, key Key) bool {
	if root.IsZero() {
		return p.empty()
	}
	return p.Key != key && p.leads(root, &key)
}

// leads tells whether the search for a key in the map with this root ends on the
// leaf of the proof.
func (p *Proof) leads(root Hash, key *Key) bool {
	h := leafHash(&p.Key, &p.Value)
	for i := len(p.Steps) - 1; i >= 0; i-- {
		s := &p.Steps[i]
		bit := int(s.Bit)
		if i > 0 && p.Steps[i-1].Bit >= s.Bit || p.Key.bit(bit) != key.bit(bit) {
			return false
		}
		if key.bit(bit) == 0 {
			h = innerHash(bit, &h, &s.Sibling)
		} else {
			h = innerHash(bit, &s.Sibling, &h)
		}
	}
	return h == root
}

func (p *Proof) empty() bool {
	return len(p.Steps) == 0 && p.Key == Key{} && p.Value.IsZero()
}

// Encode returns the canonical encoding of a proof: nothing for an empty map,
// else key, value hash, and for every step its bit in one byte and its sibling.
func (p Proof) Encode() []byte {
	if p.empty() {
		return nil
	}
	b := make([]byte, 0, 64+33*len(p.Steps))
	b = append(b, p.Key[:]...)
	b = append(b, p.Value[:]...)
	for i := range p.Steps {
		b = append(b, p.Steps[i].Bit)
		b = append(b, p.Steps[i].Sibling[:]...)
	}
	return b
}

// ParseProof reads the encoding of a proof. It returns ErrProof for anything that
// Encode does not write.
func ParseProof(b []byte) (Proof, error) {
	var p Proof
	if len(b) == 0 {
		return p, nil
	}
	if len(b) < 64 || (len(b)-64)%33 != 0 {
		return Proof{}, fmt.Errorf("length %d: %w", len(b), ErrProof)
	}
	p.Key, p.Value = Key(b[:32]), Hash(b[32:64])
	b = b[64:]
	if n := len(b) / 33; n > 0 {
		p.Steps = make([]Step, 0, min(n, Bits))
	}
	for ; len(b) > 0; b = b[33:] {
		s := Step{Bit: b[0], Sibling: Hash(b[1:33])}
		if n := len(p.Steps); n > 0 && p.Steps[n-1].Bit >= s.Bit {
			return Proof{}, fmt.Errorf("bits do not ascend: %w", ErrProof)
		}
		p.Steps = append(p.Steps, s)
	}
	if p.empty() {
		return Proof{}, fmt.Errorf("all zero: %w", ErrProof)
	}
	return p, nil
}
