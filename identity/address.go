package identity

import (
	"crypto/sha256"
	"fmt"

	"github.com/btcsuite/btcd/address/v2/bech32"
)

const (
	// addressPart is the human-readable part of an address.
	addressPart = "souk"
	// addressTag is hashed before the key, so that an address is no other hash.
	addressTag = "souk/address/v1"
	// addressGroups is 20 bytes in groups of five bits.
	addressGroups = 32
)

// Address names an account: the first 20 bytes of the SHA-256 hash of a tag and
// the public key of the account's first owner. It stays when the key is rotated.
type Address [20]byte

// AddressOf returns the address of the account that a key opens.
func AddressOf(owner PublicKey) Address {
	var b [len(addressTag) + len(owner)]byte
	copy(b[:], addressTag)
	copy(b[len(addressTag):], owner[:])
	h := sha256.Sum256(b[:])
	return Address(h[:20])
}

// ParseAddress reads an address in bech32m with the human-readable part "souk",
// all in lower case or, as for QR codes, all in upper case. It returns ErrSyntax,
// with the reason, for anything else.
func ParseAddress(s string) (Address, error) {
	hrp, groups, version, err := bech32.DecodeGeneric(s)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: %w: %w", s, ErrSyntax, err)
	}
	if hrp != addressPart {
		return Address{}, fmt.Errorf("address %q begins with %q, not %q: %w", s, hrp, addressPart, ErrSyntax)
	}
	if version != bech32.VersionM {
		return Address{}, fmt.Errorf("address %q has a bech32 checksum, not bech32m: %w", s, ErrSyntax)
	}
	if len(groups) != addressGroups {
		return Address{}, fmt.Errorf("address %q has the wrong length: %w", s, ErrSyntax)
	}
	b, err := bech32.ConvertBits(groups, 5, 8, false)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: %w: %w", s, ErrSyntax, err)
	}
	return Address(b), nil
}

// String returns the address in lower-case bech32m.
func (a Address) String() string {
	groups, err := bech32.ConvertBits(a[:], 8, 5, true)
	if err != nil {
		panic(err) //nolint:forbidigo // whole bytes always convert
	}
	s, err := bech32.EncodeM(addressPart, groups)
	if err != nil {
		panic(err) //nolint:forbidigo // groups of five bits always encode
	}
	return s
}

// IsZero tells whether a is the zero value, which is nobody's address.
func (a Address) IsZero() bool { return a == Address{} }

// MarshalText returns the text that String returns.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is ParseAddress.
func (a *Address) UnmarshalText(text []byte) (err error) {
	*a, err = ParseAddress(string(text))
	return err
}
