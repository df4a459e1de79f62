// Package script owns what Bitcoin, Litecoin and Namecoin have in common and in
// what they differ: the table of their networks, addresses, the output scripts
// that a bank may pay to, the keys of members, the scripts of series, and the
// bytes, ids and weights of the transactions that spend them.
//
// What a transaction pays and who decides on it belongs to exchange/custody, its
// signatures to threshold, what happens on a chain to chain. All functions are
// pure; the curve, base58 and bech32 are those of btcsuite. The rules are
// docs/spec/12-scripts.md. This is floor 0: it imports asset only.
package script

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrSyntax is returned for text or bytes that are not what they should be.
var ErrSyntax = errors.New("malformed")

// Hash is the double SHA-256 that names a transaction or a block, in the order of
// bytes in which chains hash and transmit it. People see the reverse.
type Hash [32]byte

// ParseHash reads a hash as people see it: 64 lower-case hexadecimal digits, the
// last byte first. It returns ErrSyntax for anything else.
func ParseHash(s string) (h Hash, err error) {
	if len(s) != 2*len(h) || strings.ToLower(s) != s {
		return Hash{}, fmt.Errorf("hash %q is not 64 lower-case hexadecimal digits: %w", s, ErrSyntax)
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Hash{}, fmt.Errorf("hash %q: %w", s, ErrSyntax)
	}
	slices.Reverse(h[:])
	return h, nil
}

// String returns the hash as people see it, the last byte first.
func (h Hash) String() string {
	slices.Reverse(h[:])
	return hex.EncodeToString(h[:])
}

// IsZero tells whether h is the zero value.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText returns the text that String returns.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText is ParseHash.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHash(string(text))
	return err
}

// Outpoint names an output of a transaction.
type Outpoint struct {
	Tx    Hash
	Index uint32
}

// ParseOutpoint reads "transaction:index", the index in decimal digits. It returns
// ErrSyntax for anything else.
func ParseOutpoint(s string) (Outpoint, error) {
	id, digits, _ := strings.Cut(s, ":")
	tx, err := ParseHash(id)
	if err != nil {
		return Outpoint{}, fmt.Errorf("outpoint: %w", err)
	}
	index, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || strconv.FormatUint(index, 10) != digits {
		return Outpoint{}, fmt.Errorf("outpoint with index %q: %w", digits, ErrSyntax)
	}
	return Outpoint{tx, uint32(index)}, nil
}

// String returns "transaction:index".
func (o Outpoint) String() string {
	return o.Tx.String() + ":" + strconv.FormatUint(uint64(o.Index), 10)
}

// MarshalText returns the text that String returns.
func (o Outpoint) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText is ParseOutpoint.
func (o *Outpoint) UnmarshalText(text []byte) (err error) {
	*o, err = ParseOutpoint(string(text))
	return err
}
