package script

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/btcsuite/btcd/address/v2/base58"
	"github.com/btcsuite/btcd/address/v2/bech32"
)

// Errors of addresses, besides ErrSyntax, ErrTemplate, ErrInactive and ErrUnspendable.
var (
	// ErrChecksum is returned for an address that was not copied exactly.
	ErrChecksum = errors.New("a character is wrong or missing; copy the address again")
	// ErrNetwork is returned for an address of another network.
	ErrNetwork = errors.New("an address of another network")
	// ErrMWEB is returned for a Litecoin MWEB address.
	ErrMWEB = errors.New("an MWEB address, which cannot be paid to; give an ordinary address of Litecoin")
)

const (
	// maxAddress is the length of the longest address of BIP-173.
	maxAddress = 90
	// hashSize is the length of the hash in an address in base58.
	hashSize = 20
)

// ParseAddress reads an address of the network and returns the output script
// that pays to it. The error says what is wrong with the text and what to do
//
func (n *Network) ParseAddress(text string) ([]byte, error) {
	lower := strings.ToLower(text)
	for _, hrp := range []string{"ltcmweb", "tmweb"} {
		if strings.HasPrefix(lower, hrp+"1") {
			return nil, fmt.Errorf("%s1...: %w", hrp, ErrMWEB)
		}
	}
	if len(text) == 0 || len(text) > maxAddress {
		return nil, fmt.Errorf("an address has 1 to %d characters, not %d: %w", maxAddress, len(text), ErrSyntax)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("an address has no spaces and no special characters: %w", ErrSyntax)
	}
	if hrp, _, ok := strings.Cut(lower, "1"); ok {
		if other := byHRP(hrp); other != nil {
			return n.parseSegwit(text, hrp, other)
		}
	}
	return n.parseBase58(text)
}

// byHRP returns the first network with a human-readable part.
func byHRP(hrp string) *Network {
	for i := range networks {
		if networks[i].HRP == hrp {
			return &networks[i]
		}
	}
	return nil
}

// errMistyped is an ErrSyntax that says what ErrChecksum does: to who has mistyped an
// address it is all one which of its checks finds it.
var errMistyped = mistyped{}

type mistyped struct{}

func (mistyped) Error() string { return ErrChecksum.Error() }

func (mistyped) Unwrap() error { return ErrSyntax }

func (n *Network) parseSegwit(text, hrp string, other *Network) ([]byte, error) {
	if hrp != n.HRP {
		return nil, fmt.Errorf("%w: %s1... is %s, not %s (%s1...)", ErrNetwork, hrp, other.Name, n.Name, n.HRP)
	}
	_, groups, variant, err := bech32.DecodeGeneric(text)
	if err != nil {
		if _, ok := errors.AsType[bech32.ErrMixedCase](err); ok {
			return nil, fmt.Errorf("capital and small letters are mixed; copy the address again: %w", ErrSyntax)
		}
		if _, ok := errors.AsType[bech32.ErrInvalidChecksum](err); ok {
			return nil, ErrChecksum
		}
		return nil, errMistyped
	}
	if len(groups) == 0 {
		return nil, fmt.Errorf("the address ends after %s1: %w", hrp, ErrSyntax)
	}
	version := groups[0]
	program, err := bech32.ConvertBits(groups[1:], 5, 8, false)
	if err != nil {
		return nil, errMistyped
	}
	switch {
	case version == 0 && variant != bech32.Version0 || version != 0 && variant != bech32.VersionM:
		return nil, fmt.Errorf("checksum of another kind than witness version %d has: %w", version, ErrChecksum)
	case version == 0 && (len(program) == 20 || len(program) == 32):
		return append([]byte{op0, byte(len(program))}, program...), nil //nolint:gosec // 20 or 32
	case version == 1 && len(program) == 32 && n.TaprootHeight != Never && !onCurve(program):
		return nil, fmt.Errorf("a taproot address with a valid checksum, but %w: ask the payee for another one", ErrUnspendable)
	case version == 1 && len(program) == 32 && n.TaprootHeight != Never:
		return append([]byte{op1, 32}, program...), nil
	case version == 1 && len(program) == 32:
		return nil, fmt.Errorf("a taproot address, and %s has no taproot: anybody could take what is paid to it: %w", n.Name, ErrInactive)
	}
	return nil, fmt.Errorf("witness version %d with %d bytes is not known: %w", version, len(program), ErrTemplate)
}

func (n *Network) parseBase58(text string) ([]byte, error) {
	hash, version, err := base58.CheckDecode(text)
	if errors.Is(err, base58.ErrChecksum) {
		return nil, ErrChecksum
	}
	if err != nil || len(hash) != hashSize {
		return nil, fmt.Errorf("this is no address: %w", ErrSyntax)
	}
	switch {
	case version == n.P2PKH:
		return slices.Concat([]byte{opDup, opHash160, hashSize}, hash, []byte{opEqualVerify, opCheckSig}), nil
	case slices.Contains(n.P2SH, version):
		return slices.Concat([]byte{opHash160, hashSize}, hash, []byte{opEqual}), nil
	}
	for i := range networks {
		if other := &networks[i]; version == other.P2PKH || slices.Contains(other.P2SH, version) {
			return nil, fmt.Errorf("%w: this is %s, not %s", ErrNetwork, other.Name, n.Name)
		}
	}
	return nil, fmt.Errorf("%w, with first byte %d", ErrNetwork, version)
}

// Address returns the address of an output script on the network. It returns
// ErrTemplate for a script without one, and ErrInactive for taproot where there
// is none.
func (n *Network) Address(out []byte) (string, error) {
	template, err := TemplateOf(out)
	if err != nil {
		return "", err
	}
	switch template {
	case P2PKH:
		return base58.CheckEncode(out[3:23], n.P2PKH), nil
	case P2SH:
		return base58.CheckEncode(out[2:22], n.P2SH[0]), nil
	case P2WPKH, P2WSH:
		return segwitAddress(bech32.Encode, n.HRP, 0, out[2:])
	case P2TR:
		if n.TaprootHeight == Never {
			return "", fmt.Errorf("taproot on %s: %w", n.Name, ErrInactive)
		}
		return segwitAddress(bech32.EncodeM, n.HRP, 1, out[2:])
	}
	return "", ErrTemplate
}

func segwitAddress(encode func(string, []byte) (string, error), hrp string, version byte, program []byte) (string, error) {
	groups, err := bech32.ConvertBits(program, 8, 5, true)
	if err != nil {
		return "", err
	}
	return encode(hrp, append([]byte{version}, groups...))
}
