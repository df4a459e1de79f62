// Package identity owns keys, signatures, addresses and words: who somebody is on
// Souk. A key is Ed25519; a signature is checked by the rules of ZIP-215, which
// give one answer whether signatures are checked singly or in a batch; whatever
// is signed begins with a Tag that names its purpose, so that a signature made for
// one purpose is worth nothing for another; an Address names an account and is
// derived from its first owner's key.
//
// What a key may do belongs to exchange/ledger, where keys are stored to
// store/sealed and purse. Randomness is an argument. See docs/spec/01-values.md.
// This is floor 0: it imports nothing of ours.
package identity

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// Errors of Parse functions and checks.
var (
	// ErrSyntax is returned for text that is not written as it must be.
	ErrSyntax = errors.New("malformed")
	// ErrKey is returned for 32 bytes that no account may have as its key: not a
	// point of the curve, not the canonical encoding of one, or a point of small
	// order, under which anybody can sign anything.
	ErrKey = errors.New("not a usable public key")
)

// PublicKey is an Ed25519 public key.
type PublicKey [32]byte

// Signature is an Ed25519 signature.
type Signature [64]byte

// ParsePublicKey reads 64 lower-case hexadecimal digits. It returns ErrSyntax for
// other text and ErrKey for a key that fails Check.
func ParsePublicKey(s string) (PublicKey, error) {
	var k PublicKey
	if err := parseHex(k[:], s); err != nil {
		return PublicKey{}, fmt.Errorf("public key %q: %w", s, err)
	}
	if err := k.Check(); err != nil {
		return PublicKey{}, fmt.Errorf("public key %q: %w", s, err)
	}
	return k, nil
}

// Check returns ErrKey unless the key may be given power over something.
func (k PublicKey) Check() error {
	c := curve.CompressedEdwardsY(k)
	var p curve.EdwardsPoint
	if _, err := p.SetCompressedY(&c); err != nil {
		return fmt.Errorf("not on the curve: %w", ErrKey)
	}
	if !c.IsCanonicalVartime() {
		return fmt.Errorf("not canonical: %w", ErrKey)
	}
	if p.IsSmallOrder() {
		return fmt.Errorf("of small order: %w", ErrKey)
	}
	return nil
}

// String returns the key as 64 lower-case hexadecimal digits.
func (k PublicKey) String() string { return hex.EncodeToString(k[:]) }

// IsZero tells whether k is the zero value, which is no usable key.
func (k PublicKey) IsZero() bool { return k == PublicKey{} }

// MarshalText returns the text that String returns.
func (k PublicKey) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText is ParsePublicKey.
func (k *PublicKey) UnmarshalText(text []byte) (err error) {
	*k, err = ParsePublicKey(string(text))
	return err
}

// ParseSignature reads 128 lower-case hexadecimal digits. It returns ErrSyntax for
// other text.
func ParseSignature(s string) (Signature, error) {
	var sig Signature
	if err := parseHex(sig[:], s); err != nil {
		return Signature{}, fmt.Errorf("signature %q: %w", s, err)
	}
	return sig, nil
}

// String returns the signature as 128 lower-case hexadecimal digits.
func (s Signature) String() string { return hex.EncodeToString(s[:]) }

// MarshalText returns the text that String returns.
func (s Signature) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText is ParseSignature.
func (s *Signature) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSignature(string(text))
	return err
}

// parseHex fills dst from exactly as many lower-case hexadecimal digits.
func parseHex(dst []byte, s string) error {
	if len(s) != 2*len(dst) {
		return fmt.Errorf("%d digits, not %d: %w", len(s), 2*len(dst), ErrSyntax)
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("digit %d is not lower-case hexadecimal: %w", i+1, ErrSyntax)
		}
	}
	_, err := hex.Decode(dst, []byte(s))
	return err
}

// zip215 is never changed; the library takes options by pointer.
var zip215 = &ed25519.Options{Verify: ed25519.VerifyOptionsZIP_215}
