package mail

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// PublicKey is an X25519 public key: whoever has its private half opens what was closed for it.
type PublicKey [32]byte

// Check returns ErrKey unless a secret can be shared with the key: it is canonical in its
// highest bit and not a point of small order, with which everybody shares the same secret.
func (p PublicKey) Check() error {
	if p[31]&0x80 != 0 {
		return ErrKey
	}
	_, err := NewKey([32]byte{1}).shared(p)
	return err
}

// String returns the key as 64 hexadecimal digits.
func (p PublicKey) String() string { return hex.EncodeToString(p[:]) }

// Key is an X25519 private key. Printing and marshalling it show nothing of it. The zero
// Key is no key.
type Key struct {
	secret func() *ecdh.PrivateKey // behind a function, which nothing that prints follows
}

const redacted = "[redacted]"

// NewKey returns the key with a seed, its 32 secret bytes (RFC 7748).
func NewKey(seed [32]byte) Key {
	k, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		panic(err) //nolint:forbidigo // any 32 bytes are a key
	}
	return Key{func() *ecdh.PrivateKey { return k }}
}

// GenerateKey makes a key from 32 bytes of randomness.
func GenerateKey(random io.Reader) (Key, error) {
	var seed [32]byte
	defer clear(seed[:])
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return Key{}, fmt.Errorf("read randomness for a key: %w", err)
	}
	return NewKey(seed), nil
}

// Public returns the public key.
func (k Key) Public() PublicKey { return PublicKey(k.secret().PublicKey().Bytes()) }

// Seed returns the secret itself, to be stored sealed.
func (k Key) Seed() [32]byte { return [32]byte(k.secret().Bytes()) }

// IsZero tells whether k is no key.
func (k Key) IsZero() bool { return k.secret == nil }

// String returns "[redacted]".
func (k Key) String() string { return redacted }

// GoString returns "[redacted]".
func (k Key) GoString() string { return redacted }

// Format writes "[redacted]" for every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "[redacted]".
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// shared is the secret that k shares with p. It is no key yet: derive makes keys of it.
func (k Key) shared(p PublicKey) ([]byte, error) {
	public, err := ecdh.X25519().NewPublicKey(p[:])
	if err != nil {
		return nil, ErrKey
	}
	secret, err := k.secret().ECDH(public)
	if err != nil {
		return nil, ErrKey
	}
	return secret, nil
}

// derive makes n bytes of a secret for one purpose (RFC 5869). What a purpose is bound to,
// public keys and the like, follows its name; all of it has a fixed length.
func derive(secret, salt []byte, purpose string, n int, bound ...[]byte) []byte {
	info := []byte(purpose)
	for _, b := range bound {
		info = append(info, b...)
	}
	key, err := hkdf.Key(sha256.New, secret, salt, string(info), n)
	if err != nil {
		panic(err) //nolint:forbidigo // it fails for lengths over 8 KiB only
	}
	return key
}
