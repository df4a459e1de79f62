package identity

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrPath is returned for a seed or path from which no key can be derived.
var ErrPath = errors.New("no key can be derived")

const (
	// hardened is added to every index of a path: Ed25519 has no other derivation.
	hardened = 1 << 31
	// masterKey is the HMAC key of SLIP-10 for this curve.
	masterKey = "ed25519 seed"
)

// Derive returns the key at a path below a seed by SLIP-10: m / path[0]' /
// path[1]' / ... It returns ErrPath for an index of 2^31 or more and for a seed
// that has not 16 to 64 bytes.
func Derive(seed []byte, path ...uint32) (PrivateKey, error) {
	if len(seed) < 16 || len(seed) > 64 {
		return PrivateKey{}, fmt.Errorf("seed of %d bytes: %w", len(seed), ErrPath)
	}
	n := master(seed)
	defer n.wipe()
	for _, index := range path {
		if index >= hardened {
			return PrivateKey{}, fmt.Errorf("index %d is above 2^31-1: %w", index, ErrPath)
		}
		n.descend(index)
	}
	return NewKey(n.key), nil
}

// node is a key that others can be derived from.
type node struct {
	key, chain [32]byte
}

func master(seed []byte) node {
	var n node
	n.set([]byte(masterKey), seed)
	return n
}

// descend makes n its own child with a hardened index.
func (n *node) descend(index uint32) {
	var data [1 + 32 + 4]byte
	defer clear(data[:])
	copy(data[1:], n.key[:])
	binary.BigEndian.PutUint32(data[33:], index|hardened)
	n.set(n.chain[:], data[:])
}

func (n *node) set(key, data []byte) {
	h := hmac.New(sha512.New, key)
	h.Write(data)
	sum := h.Sum(nil)
	defer clear(sum)
	copy(n.key[:], sum)
	copy(n.chain[:], sum[32:])
}

func (n *node) wipe() { *n = node{} }
