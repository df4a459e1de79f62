package identity

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// redacted is all that printing a secret shows.
const redacted = "[redacted]"

// errPlain is returned where a secret would be read from the text of a document.
var errPlain = errors.New("a secret is not read from plain text")

// PrivateKey is an Ed25519 private key. Printing and marshalling it show nothing
// of it, also as a field of something that is printed. Copies share their memory,
// so Wipe wipes them all. The zero PrivateKey is no key.
type PrivateKey struct {
	secret func() *[64]byte // seed, public key; nil in the zero value
}

// hide puts a secret behind a function. The methods that redact are not called for
// a secret in an unexported field of something that is printed, and for a verb
// that does not fit, fmt follows pointers; nothing follows a function.
func hide[T any](secret *T) func() *T { return func() *T { return secret } }

// GenerateKey makes a key from 32 bytes of randomness.
func GenerateKey(random io.Reader) (PrivateKey, error) {
	var seed [32]byte
	defer clear(seed[:])
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return PrivateKey{}, fmt.Errorf("read randomness for a key: %w", err)
	}
	return NewKey(seed), nil
}

// NewKey returns the key with a seed (RFC 8032 calls the seed the private key).
func NewKey(seed [32]byte) PrivateKey {
	defer clear(seed[:])
	return PrivateKey{hide((*[64]byte)(ed25519.NewKeyFromSeed(seed[:])))}
}

// Public returns the public key.
func (k PrivateKey) Public() PublicKey { return PublicKey(k.material()[32:]) }

// Seed returns the secret itself, to be stored sealed.
func (k PrivateKey) Seed() [32]byte { return [32]byte(k.material()) }

// IsZero tells whether k is no key: the zero value, or wiped.
func (k PrivateKey) IsZero() bool { return k.secret == nil || *k.secret() == [64]byte{} }

// Equal tells in constant time whether two keys are the same.
func (k PrivateKey) Equal(other PrivateKey) bool {
	if k.IsZero() || other.IsZero() {
		return k.IsZero() == other.IsZero()
	}
	return subtle.ConstantTimeCompare(k.secret()[:], other.secret()[:]) == 1
}

// Wipe overwrites the key and all copies of it with zeros.
func (k PrivateKey) Wipe() {
	if k.secret != nil {
		clear(k.secret()[:])
	}
}

// String returns "[redacted]".
func (k PrivateKey) String() string { return redacted }

// GoString returns "[redacted]".
func (k PrivateKey) GoString() string { return redacted }

// Format writes "[redacted]" for every verb.
func (k PrivateKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "[redacted]".
func (k PrivateKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText always fails: a private key is made by NewKey, by intent only.
func (k *PrivateKey) UnmarshalText([]byte) error { return errPlain }

func (k PrivateKey) material() ed25519.PrivateKey {
	if k.IsZero() {
		panic("identity: use of a private key that is zero or wiped") //nolint:forbidigo // caller's invariant
	}
	return k.secret()[:]
}
