package script

import (
	"errors"
	"fmt"
	"io"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
)

// ErrKey is returned for a key that is none, and for a path without a key.
var ErrKey = errors.New("no such key")

// Hardened is added to an index of a path for a child that only the private key
// can derive.
const Hardened = 1 << 31

// MemberKey is a member's extended public key (BIP-32) without the parts that
// name a place in a tree. Whoever knows it derives all addresses that it is part
// of.
type MemberKey struct {
	Key       [33]byte // compressed
	ChainCode [32]byte
}

// Check returns ErrKey if the key is not a point of the curve.
func (k *MemberKey) Check() error {
	if _, err := btcec.ParsePubKey(k.Key[:]); err != nil {
		return fmt.Errorf("member key %x: %w", k.Key, ErrKey)
	}
	return nil
}

// Child returns the child with an index below Hardened (BIP-32 calls it CKDpub).
func (k *MemberKey) Child(index uint32) (MemberKey, error) {
	if index >= Hardened {
		return MemberKey{}, fmt.Errorf("index %d is above 2^31-1: %w", index, ErrKey)
	}
	child, err := extended(k.Key[:], k.ChainCode[:], false).Derive(index)
	if err != nil {
		return MemberKey{}, fmt.Errorf("derive child %d of %x: %w: %w", index, k.Key, ErrKey, err)
	}
	key, err := child.ECPubKey()
	if err != nil {
		return MemberKey{}, fmt.Errorf("derive child %d of %x: %w: %w", index, k.Key, ErrKey, err)
	}
	return MemberKey{[33]byte(key.SerializeCompressed()), [32]byte(child.ChainCode())}, nil
}

// String returns the key as an xpub of depth 0, which other programs read.
func (k MemberKey) String() string {
	return extended(k.Key[:], k.ChainCode[:], false).String()
}

// MarshalText returns the text that String returns.
func (k MemberKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is ParseMemberKey.
func (k *MemberKey) UnmarshalText(text []byte) (err error) {
	*k, err = ParseMemberKey(string(text))
	return err
}

// ParseMemberKey reads an extended public key of any depth and network, and
// leaves out where it stands. It returns ErrKey for anything else.
func ParseMemberKey(s string) (MemberKey, error) {
	x, err := hdkeychain.NewKeyFromString(s)
	if err != nil {
		return MemberKey{}, fmt.Errorf("extended key: %w: %w", ErrKey, err)
	}
	if x.IsPrivate() {
		x.Zero()
		return MemberKey{}, fmt.Errorf("this is a private key, which must stay where it is: %w", ErrKey)
	}
	key, err := x.ECPubKey()
	if err != nil {
		return MemberKey{}, fmt.Errorf("extended key: %w: %w", ErrKey, err)
	}
	return MemberKey{[33]byte(key.SerializeCompressed()), [32]byte(x.ChainCode())}, nil
}

// extended makes a key that the library derives from.
func extended(key, chain []byte, private bool) *hdkeychain.ExtendedKey {
	version := chaincfg.MainNetParams.HDPublicKeyID
	if private {
		version = chaincfg.MainNetParams.HDPrivateKeyID
	}
	return hdkeychain.NewExtendedKey(version[:], key, chain, make([]byte, 4), 0, 0, private)
}

// redacted is all that printing a secret shows.
const redacted = "[redacted]"

// errPlain is returned where a secret would be read from the text of a document.
var errPlain = errors.New("a secret is not read from plain text")

// PrivateMemberKey is the private half of a MemberKey. Printing and marshalling
// it show nothing of it. Copies share their memory, so Wipe wipes them all. The
// zero value is no key.
type PrivateMemberKey struct {
	secret func() *[64]byte // key, chain code; behind a function, which fmt does not follow
}

// NewPrivateMemberKey derives a key from 16 to 64 bytes of seed by BIP-32, at a
// path below the master key. It returns ErrKey for a seed of another length, and for a
// path at which there is no key.
func NewPrivateMemberKey(seed []byte, path ...uint32) (PrivateMemberKey, error) {
	x, err := hdkeychain.NewMaster(seed, &chaincfg.MainNetParams)
	if err != nil {
		return PrivateMemberKey{}, fmt.Errorf("seed of %d bytes: %w: %w", len(seed), ErrKey, err)
	}
	x, err = descend(x, path)
	if err != nil {
		return PrivateMemberKey{}, err
	}
	defer x.Zero()
	key, err := x.ECPrivKey()
	if err != nil {
		return PrivateMemberKey{}, fmt.Errorf("derive member key: %w: %w", ErrKey, err)
	}
	defer key.Zero()
	secret := new([64]byte)
	scalar := key.Key.Bytes()
	copy(secret[:32], scalar[:])
	clear(scalar[:])
	copy(secret[32:], x.ChainCode())
	return PrivateMemberKey{func() *[64]byte { return secret }}, nil
}

// descend derives along a path and wipes what it passes.
func descend(x *hdkeychain.ExtendedKey, path []uint32) (*hdkeychain.ExtendedKey, error) {
	for _, index := range path {
		child, err := x.Derive(index)
		x.Zero()
		if err != nil {
			return nil, fmt.Errorf("derive child %d: %w: %w", index, ErrKey, err)
		}
		x = child
	}
	return x, nil
}

// Public returns the public half.
func (k PrivateMemberKey) Public() MemberKey {
	secret := k.material()
	private, public := btcec.PrivKeyFromBytes(secret[:32])
	defer private.Zero()
	return MemberKey{[33]byte(public.SerializeCompressed()), [32]byte(secret[32:])}
}

// Child returns the key that signs at a branch and index. The caller calls Zero
// on it when done. It returns ErrKey where there is none.
func (k PrivateMemberKey) Child(branch, index uint32) (*btcec.PrivateKey, error) {
	secret := *k.material()
	defer clear(secret[:])
	x, err := descend(extended(secret[:32], secret[32:], true), []uint32{branch, index})
	if err != nil {
		return nil, err
	}
	defer x.Zero()
	return x.ECPrivKey()
}

// IsZero tells whether k is no key: the zero value, or wiped.
func (k PrivateMemberKey) IsZero() bool { return k.secret == nil || *k.secret() == [64]byte{} }

// Wipe overwrites the key and all copies of it with zeros.
func (k PrivateMemberKey) Wipe() {
	if k.secret != nil {
		clear(k.secret()[:])
	}
}

func (k PrivateMemberKey) material() *[64]byte {
	if k.IsZero() {
		panic("script: use of a member key that is none") //nolint:forbidigo // a signer without a key must not go on
	}
	return k.secret()
}

// String returns "[redacted]".
func (k PrivateMemberKey) String() string { return redacted }

// GoString returns "[redacted]".
func (k PrivateMemberKey) GoString() string { return redacted }

// Format writes "[redacted]" for every verb.
func (k PrivateMemberKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "[redacted]".
func (k PrivateMemberKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText returns an error, always.
func (k *PrivateMemberKey) UnmarshalText([]byte) error { return errPlain }
