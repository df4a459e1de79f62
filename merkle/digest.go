package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// digest computes SHA-256 hashes of short inputs. sha256.Sum256 spends a third of
// its time there on padding and copying; a digest pads by itself, feeds whole
// blocks to the hash function and reads the hash from its saved state. That the
// state is laid out as it has always been is checked when a digest is made; if it
// is not, a digest works by sha256.Sum256.
type digest struct {
	hash  hash.Hash
	state interface { // the same hash; nil if its layout is not known
		AppendBinary(b []byte) ([]byte, error)
	}
	inner, leaf, tail [2 * sha256.BlockSize]byte // inner and leaf keep their padding
	out               [256]byte
}

// stateHash is where in the saved state of SHA-256 the hash begins.
const stateHash = 4

func newDigest() *digest {
	d := &digest{hash: sha256.New()}
	d.state, _ = d.hash.(interface {
		AppendBinary(b []byte) ([]byte, error)
	})
	d.inner[0], d.leaf[0] = tagInner, tagLeaf
	pad(d.inner[:], innerSize, innerSize)
	pad(d.leaf[:], leafSize, leafSize)
	if !d.known() {
		d.state = nil
	}
	return d
}

// known tells whether the state of the hash function has the expected form.
func (d *digest) known() bool {
	if d.state == nil {
		return false
	}
	d.hash.Reset()
	d.hash.Write(d.inner[:])
	state, err := d.state.AppendBinary(nil)
	want := sha256.Sum256(d.inner[:innerSize])
	return err == nil && len(state) >= stateHash+len(want) && [sha256.Size]byte(state[stateHash:]) == want
}

// pad completes a message of which the last n bytes are in blocks (FIPS 180-4,
// section 5.1.1). What lies between must be zero.
func pad(blocks []byte, n, message int) {
	blocks[n] = 0x80
	binary.BigEndian.PutUint64(blocks[len(blocks)-8:], 8*uint64(message)) //nolint:gosec // a length
}

// hashInner is innerHash.
func (d *digest) hashInner(bit int, left, right *Hash) Hash {
	binary.BigEndian.PutUint16(d.inner[1:], uint16(bit)) //nolint:gosec // below Bits
	*(*Hash)(d.inner[3:]), *(*Hash)(d.inner[35:]) = *left, *right
	if d.state == nil {
		return sha256.Sum256(d.inner[:innerSize])
	}
	d.hash.Reset()
	return d.finish(d.inner[:])
}

// hashLeaf is leafHash.
func (d *digest) hashLeaf(key *Key, value *Hash) Hash {
	*(*Key)(d.leaf[1:]), *(*Hash)(d.leaf[33:]) = *key, *value
	if d.state == nil {
		return sha256.Sum256(d.leaf[:leafSize])
	}
	d.hash.Reset()
	return d.finish(d.leaf[:])
}

// hashValue is sha256.Sum256.
func (d *digest) hashValue(value []byte) Hash {
	if d.state == nil {
		return sha256.Sum256(value)
	}
	d.hash.Reset()
	whole := len(value) &^ (sha256.BlockSize - 1)
	if whole > 0 {
		d.hash.Write(value[:whole])
	}
	n := copy(d.tail[:], value[whole:])
	tail := d.tail[:]
	if n+1+8 <= sha256.BlockSize {
		tail = tail[:sha256.BlockSize]
	}
	clear(tail[n:])
	pad(tail, n, len(value))
	return d.finish(tail)
}

// finish feeds the last blocks of a padded message and returns the hash.
func (d *digest) finish(blocks []byte) Hash {
	d.hash.Write(blocks)
	state, err := d.state.AppendBinary(d.out[:0])
	if err != nil || len(state) < stateHash+sha256.Size {
		panic("merkle: the state of SHA-256 has lost its form") //nolint:forbidigo // newDigest has checked it
	}
	return Hash(state[stateHash:])
}
