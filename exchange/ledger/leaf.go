package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/identity"
	"souk/merkle"
)

// ErrLeaf is wrapped by Load, Finish and the Parse functions for leaves that no
// State has written.
var ErrLeaf = errors.New("not a ledger leaf")

// First key bytes of this package's state leaves.
const (
	LeafAsset   = 0x02 // asset: id, 4 bytes; with id zero and a symbol behind it: a reserved symbol
	LeafAccount = 0x03 // account: address
)

// Bits of the flags byte of an account leaf (L-72).
const (
	hasOwner    = 1 << 0
	hasFloor    = 1 << 1
	hasRotation = 1 << 2
	hasTimer    = 1 << 3
	allFlags    = 1<<4 - 1
)

// AssetKey is the key of an asset's leaf.
func AssetKey(id asset.ID) (k merkle.Key) {
	k[0] = LeafAsset
	binary.BigEndian.PutUint32(k[1:], uint32(id))
	return k
}

// SymbolKey is the key of a reserved symbol's leaf.
func SymbolKey(symbol string) (k merkle.Key) {
	k[0] = LeafAsset
	copy(k[5:], symbol)
	return k
}

// AccountKey is the key of an account's leaf.
func AccountKey(a identity.Address) (k merkle.Key) {
	k[0] = LeafAccount
	copy(k[1:], a[:])
	return k
}

// keyParts takes a leaf's key apart: an account's address, or an asset's id, or a symbol.
func keyParts(k *merkle.Key) (a identity.Address, id asset.ID, symbol string, ok bool) {
	switch k[0] {
	case LeafAccount:
		a = identity.Address(k[1:])
		return a, 0, "", AccountKey(a) == *k
	case LeafAsset:
		if id = asset.ID(binary.BigEndian.Uint32(k[1:])); id != 0 {
			return a, id, "", AssetKey(id) == *k
		}
		symbol = string(bytes.TrimRight(k[5:], "\x00"))
		return a, 0, symbol, ValidSymbol(symbol)
	}
	return a, 0, "", false
}

// Changes calls yield for every leaf that changed since the last call, once
// each, in no particular order; a nil value means that the leaf is gone. Values
// may be kept.
func (s *State) Changes(yield func(key merkle.Key, value []byte)) {
	var b buffer
	for _, n := range s.dirty {
		acc := s.accounts.at(n)
		acc.dirty = false
		yield(AccountKey(acc.address), b.cut(s.appendAccount(b.room(), n, acc)))
	}
	s.dirty = s.dirty[:0]
	for _, id := range s.dirtyAssets {
		c := s.coin(id)
		c.dirty = false
		yield(AssetKey(id), b.cut(c.append(b.room())))
	}
	s.dirtyAssets = s.dirtyAssets[:0]
	slices.Sort(s.dirtySymbols)
	for _, symbol := range slices.Compact(s.dirtySymbols) {
		value, _ := s.Leaf(SymbolKey(symbol))
		yield(SymbolKey(symbol), value)
	}
	s.dirtySymbols = s.dirtySymbols[:0]
}

// Leaf returns the value of one leaf as it stands.
func (s *State) Leaf(key merkle.Key) ([]byte, bool) {
	a, id, symbol, ok := keyParts(&key)
	switch {
	case !ok:
		return nil, false
	case symbol != "":
		issuer, ok := s.reserved[symbol]
		if !ok {
			return nil, false
		}
		return issuer[:], true
	case id != 0:
		if !s.exists(id) {
			return nil, false
		}
		return s.coin(id).append(nil), true
	}
	n, ok := s.index[a]
	if !ok {
		return nil, false
	}
	return s.appendAccount(nil, n, s.accounts.at(n)), true
}

// Leaves calls yield for every leaf in ascending order of keys. Values may be kept.
func (s *State) Leaves(yield func(key merkle.Key, value []byte)) {
	var b buffer
	for _, symbol := range slices.Sorted(maps.Keys(s.reserved)) {
		issuer := s.reserved[symbol]
		yield(SymbolKey(symbol), issuer[:])
	}
	for i := range s.assets {
		yield(AssetKey(s.assets[i].ID), b.cut(s.assets[i].append(b.room())))
	}
	for _, n := range s.byAddress() {
		acc := s.accounts.at(n)
		yield(AccountKey(acc.address), b.cut(s.appendAccount(b.room(), n, acc)))
	}
}

// byAddress returns the numbers of all accounts in the order of their addresses.
func (s *State) byAddress() []Number {
	type entry struct {
		prefix uint64
		n      Number
	}
	all := make([]entry, s.accounts.n)
	for i := range all {
		n := Number(i + 1)
		all[i] = entry{binary.BigEndian.Uint64(s.accounts.at(n).address[:]), n}
	}
	slices.SortFunc(all, func(a, b entry) int {
		if a.prefix != b.prefix {
			if a.prefix < b.prefix {
				return -1
			}
			return 1
		}
		x, y := s.accounts.at(a.n), s.accounts.at(b.n)
		return bytes.Compare(x.address[:], y.address[:])
	})
	numbers := make([]Number, len(all))
	for i := range all {
		numbers[i] = all[i].n
	}
	return numbers
}

// buffer hands out values from pieces of memory, each larger than the one before:
// who keeps the few values of a small block keeps little more.
type buffer struct{ piece []byte }

const (
	pieceLeast = 2 << 10
	pieceSize  = 64 << 10
	leafGuess  = 512 // most leaves are smaller; a larger one just takes a piece of its own
)

func (b *buffer) room() []byte {
	if cap(b.piece)-len(b.piece) < leafGuess {
		b.piece = make([]byte, 0, min(pieceSize, max(pieceLeast, 4*cap(b.piece))))
	}
	return b.piece[len(b.piece):]
}

func (b *buffer) cut(value []byte) []byte {
	if end := len(b.piece) + len(value); end <= cap(b.piece) {
		b.piece = b.piece[:end]
	}
	return value[:len(value):len(value)]
}

// appendAccount appends an account's leaf (L-72).
func (s *State) appendAccount(dst []byte, n Number, acc *account) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	flags := len(dst)
	dst = append(dst, 0)
	if !acc.owner.IsZero() {
		dst[flags] |= hasOwner
		dst = append(dst, acc.owner[:]...)
		dst = s.appendWindow(dst, &acc.window)
	}
	var delegates []delegate
	if x := s.extras.get(acc); x != nil {
		if x.floor != 0 {
			dst[flags] |= hasFloor
			dst = binary.BigEndian.AppendUint64(dst, x.floor)
		}
		if x.rotation.Due != 0 {
			dst[flags] |= hasRotation
			dst = append(dst, x.rotation.Key[:]...)
			dst = binary.BigEndian.AppendUint64(dst, x.rotation.Due)
		}
		if x.timer != 0 {
			dst[flags] |= hasTimer
			dst = binary.BigEndian.AppendUint64(dst, x.timer)
		}
		delegates = x.delegates
	}
	dst = append(dst, byte(len(delegates))) //nolint:gosec // at most MaxDelegates
	for i := range delegates {
		dst = s.appendDelegate(dst, &delegates[i])
	}
	at, balances := len(dst), uint32(0)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	for _, l := range s.balances(acc) {
		if l.empty() {
			continue
		}
		balances++
		dst = binary.BigEndian.AppendUint32(dst, uint32(l.asset))
		dst = binary.BigEndian.AppendUint64(dst, uint64(l.available))
		dst = binary.BigEndian.AppendUint64(dst, uint64(l.held))
	}
	binary.BigEndian.PutUint32(dst[at:], balances)
	return dst
}

func (s *State) appendDelegate(dst []byte, d *delegate) []byte {
	dst = append(dst, d.Key[:]...)
	dst = append(dst, byte(d.Scopes))
	dst = binary.BigEndian.AppendUint64(dst, d.Expiry)
	dst = append(dst, byte(len(d.Markets))) //nolint:gosec // at most MaxMarkets
	for _, m := range d.Markets {
		dst = binary.BigEndian.AppendUint32(dst, m)
	}
	return s.appendWindow(dst, &d.window)
}

// append appends an asset's leaf (L-74).
func (c *coin) append(dst []byte) []byte {
	dst = append(dst, byte(len(c.Symbol))) //nolint:gosec // at most MaxSymbol
	dst = append(dst, c.Symbol...)
	dst = append(dst, c.Decimals)
	dst = append(dst, c.Issuer[:]...)
	dst = append(dst, c.Contract[:]...)
	for _, a := range [...]asset.Amount{c.MaxSupply, c.Supply, c.Locked, c.Fees, c.Dust, c.Reserve} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(a))
	}
	return dst
}

// ParseAccount reads an account's leaf, for those who check a proof.
func ParseAccount(key merkle.Key, value []byte) (Account, error) {
	s := New()
	if key[0] != LeafAccount {
		return Account{}, fmt.Errorf("key %x is no account's: %w", key[:1], ErrLeaf)
	}
	if err := s.Load(key, value); err != nil {
		return Account{}, err
	}
	a := s.Account(1) // the first that was loaded, whatever its number
	a.Number = s.loading[0]
	return a, nil
}

// ParseAsset reads an asset's leaf, for those who check a proof.
func ParseAsset(key merkle.Key, value []byte) (Asset, error) {
	_, id, _, ok := keyParts(&key)
	if !ok || id == 0 {
		return Asset{}, fmt.Errorf("key %s is no asset's: %w", key, ErrLeaf)
	}
	return parseAsset(id, value)
}

func parseAsset(id asset.ID, value []byte) (Asset, error) {
	a := Asset{ID: id}
	str := cryptobyte.String(value)
	var symbol cryptobyte.String
	ok := str.ReadUint8LengthPrefixed(&symbol) && str.ReadUint8(&a.Decimals) && str.CopyBytes(a.Issuer[:]) && str.CopyBytes(a.Contract[:])
	a.Symbol = string(symbol)
	for _, p := range [...]*asset.Amount{&a.MaxSupply, &a.Supply, &a.Locked, &a.Fees, &a.Dust, &a.Reserve} {
		ok = ok && str.ReadUint64((*uint64)(p)) && *p <= asset.MaxSupply
	}
	if !ok || len(str) != 0 || !ValidSymbol(a.Symbol) || a.Decimals > asset.MaxDecimals || a.MaxSupply == 0 || a.Supply > a.MaxSupply {
		return Asset{}, fmt.Errorf("asset %d: %w", id, ErrLeaf)
	}
	return a, nil
}

// LeafBalances calls yield for every balance in an account's leaf, by ascending asset.
// It reads nothing else of the leaf, so it is for values that a State has written; it
// returns ErrLeaf for one that is cut short.
func LeafBalances(value []byte, yield func(id asset.ID, available, held asset.Amount)) error {
	str := cryptobyte.String(value)
	var flags, delegates uint8
	ok := str.Skip(4) && str.ReadUint8(&flags)
	if flags&hasOwner != 0 {
		ok = ok && str.Skip(len(identity.PublicKey{})) && skipWindow(&str)
	}
	if flags&hasFloor != 0 {
		ok = ok && str.Skip(8)
	}
	if flags&hasRotation != 0 {
		ok = ok && str.Skip(len(identity.PublicKey{})+8)
	}
	if flags&hasTimer != 0 {
		ok = ok && str.Skip(8)
	}
	ok = ok && str.ReadUint8(&delegates)
	for range delegates {
		var markets uint8
		ok = ok && str.Skip(len(identity.PublicKey{})+1+8) && str.ReadUint8(&markets) && str.Skip(4*int(markets)) && skipWindow(&str)
	}
	var count uint32
	ok = ok && str.ReadUint32(&count)
	for range count {
		var l line
		if ok = ok && str.ReadUint32((*uint32)(&l.asset)) && str.ReadUint64((*uint64)(&l.available)) && str.ReadUint64((*uint64)(&l.held)); !ok {
			break
		}
		yield(l.asset, l.available, l.held)
	}
	if !ok || len(str) != 0 {
		return ErrLeaf
	}
	return nil
}

func skipWindow(str *cryptobyte.String) bool {
	var gaps cryptobyte.String
	return str.Skip(8) && str.ReadUint8LengthPrefixed(&gaps)
}
