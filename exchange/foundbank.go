package exchange

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/exchange/custody"
	"souk/exchange/roster"
	"souk/identity"
	"souk/script"
)

// cardWithBanks is the first byte of a card that has keys for banks. Others begin
// with the length of a name, which is not zero.
const cardWithBanks = 0

// BankKey is a member's key for the bank on a network: an extended public key whose
// private key is for this network alone.
type BankKey struct {
	Network    string
	Key        script.MemberKey
	Possession script.Possession // for the card's member (Y-87)
}

// ProveBankKey is the key for the network of a claim, with the proof of the claim.
func ProveBankKey(claim script.Claim, key script.PrivateMemberKey) (k BankKey, err error) {
	k.Network, k.Key = claim.Network, key.Public()
	if k.Possession, err = key.Possess(claim); err != nil {
		return k, fmt.Errorf("key for %s: %w", k.Network, err)
	}
	return k, nil
}

// Claim is what the key for a network on the card proves. Operator and Server are set.
// There is no virtual server yet.
func (c *Card) Claim(network string) script.Claim {
	return script.Claim{Network: network, Operator: identity.AddressOf(c.Operator), Server: c.Server}
}

// Claim is what a member's key proves when it is announced for the bank on a network.
// ok is false if there is no such member.
func (s *State) Claim(id roster.ID, network string) (c script.Claim, ok bool) {
	m, ok := s.roster.Member(id)
	return script.Claim{VirtualServer: s.id, Network: network, Operator: m.Operator, Server: m.Server}, ok
}

func appendBankKeys(dst []byte, keys []BankKey) []byte {
	if len(keys) == 0 {
		return dst
	}
	dst = append(dst, byte(len(keys))) //nolint:gosec // bounded by Card.Check
	for i := range keys {
		dst = appendMemberKey(appendText8(dst, keys[i].Network), &keys[i].Key)
		dst = append(dst, keys[i].Possession[:]...)
	}
	return dst
}

func readBankKeys(s *cryptobyte.String, keys *[]BankKey) bool {
	var n uint8
	if !s.ReadUint8(&n) || n == 0 || n > custody.MaxBanks {
		return false
	}
	for range n {
		var k BankKey
		if !readText8(s, &k.Network, maxNetwork) || !readMemberKey(s, &k.Key) || !s.CopyBytes(k.Possession[:]) {
			return false
		}
		*keys = append(*keys, k)
	}
	return true
}

// maxNetwork is the longest name of a network.
const maxNetwork = 32

// checkBankKeys checks the keys of a card, and the proofs that its member has them.
func (c *Card) checkBankKeys() error {
	keys := c.Banks
	if len(keys) > custody.MaxBanks {
		return fmt.Errorf("%d keys for banks, at most %d", len(keys), custody.MaxBanks)
	}
	for i := range keys {
		if _, ok := script.ByName(keys[i].Network); !ok {
			return fmt.Errorf("there is no network %q", keys[i].Network)
		}
		if err := keys[i].Key.Check(); err != nil {
			return err
		}
		if i > 0 && keys[i].Network <= keys[i-1].Network {
			return errors.New("keys for banks are not in ascending order of networks, each once")
		}
		for j := range i {
			if keys[j].Key.Key == keys[i].Key.Key {
				return fmt.Errorf("%s and %s have the same key", keys[j].Network, keys[i].Network)
			}
		}
		if err := keys[i].Key.CheckPossession(c.Claim(keys[i].Network), &keys[i].Possession); err != nil {
			return fmt.Errorf("the key for %s is not proven to be this member's: %w", keys[i].Network, err)
		}
	}
	return nil
}

// FoundingBank is a bank that keeps the coins of a founding asset. The asset has no
// issuer, 8 decimals, and no other bound of its supply than asset.MaxSupply.
type FoundingBank struct {
	Symbol             string // of the asset
	custody.Definition        // Asset is filled in from Symbol
	// Possessions prove that somebody has the keys of the recovery, in their order (Y-87).
	Possessions []script.Possession
}

func (f *Founding) appendBanks(dst []byte) []byte {
	if len(f.Banks) == 0 {
		return dst // as contracts were before there were banks
	}
	dst = append(dst, byte(len(f.Banks))) //nolint:gosec // bounded by custody.MaxBanks
	for i := range f.Banks {
		dst = f.Banks[i].append(dst)
	}
	return dst
}

func (b *FoundingBank) append(dst []byte) []byte {
	dst = append(appendText8(appendText8(dst, b.Symbol), b.Network), b.Wallets)
	dst = AppendLimits(dst, b.Limits)
	dst = binary.BigEndian.AppendUint64(dst, b.Gather)
	dst = binary.BigEndian.AppendUint32(dst, b.BumpBlocks)
	dst = binary.BigEndian.AppendUint64(dst, b.CoolDown)
	dst = append(binary.BigEndian.AppendUint32(dst, b.Start.Height), b.Start.Hash[:]...)
	dst = append(dst, flag(b.Recovery != nil))
	if r := b.Recovery; r != nil {
		dst = append(dst, r.K, byte(len(r.Keys))) //nolint:gosec // bounded by script.MaxKeys
		for i := range r.Keys {
			dst = appendMemberKey(dst, &r.Keys[i])
			var proof script.Possession // zero for none, which checkRecovery refuses
			if i < len(b.Possessions) {
				proof = b.Possessions[i]
			}
			dst = append(dst, proof[:]...)
		}
		dst = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, r.Blocks), r.Intervals)
	}
	return dst
}

// AppendLimits appends the one encoding of a bank's limits, as votes have it.
func AppendLimits(dst []byte, l custody.Limits) []byte {
	for _, v := range [...]uint64{uint64(l.MinDeposit), uint64(l.MinWithdrawal), uint64(l.MaxPerHour), uint64(l.DelayAbove), l.Delay} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	return dst
}

func readLimits(l *custody.Limits, s *cryptobyte.String) bool {
	return s.ReadUint64((*uint64)(&l.MinDeposit)) && s.ReadUint64((*uint64)(&l.MinWithdrawal)) && s.ReadUint64((*uint64)(&l.MaxPerHour)) &&
		s.ReadUint64((*uint64)(&l.DelayAbove)) && s.ReadUint64(&l.Delay)
}

// ParseLimits reads what AppendLimits appended.
func ParseLimits(data []byte) (l custody.Limits, ok bool) { return parseLimits(data) }

func parseLimits(data []byte) (l custody.Limits, ok bool) {
	ok = whole(&l, readLimits, data)
	return l, ok
}

func (f *Founding) readBanks(s *cryptobyte.String) bool {
	if len(*s) == 0 {
		return true
	}
	var n uint8
	if !s.ReadUint8(&n) || n == 0 || n > custody.MaxBanks {
		return false
	}
	f.Banks = make([]FoundingBank, n)
	for i := range f.Banks {
		if !f.Banks[i].read(s) {
			return false
		}
		f.Banks[i].Asset = f.assetOf(f.Banks[i].Symbol)
	}
	return true
}

func (b *FoundingBank) read(s *cryptobyte.String) bool {
	var recovery bool
	if !readText8(s, &b.Symbol, 10) || !readText8(s, &b.Network, maxNetwork) || !s.ReadUint8(&b.Wallets) || !readLimits(&b.Limits, s) ||
		!s.ReadUint64(&b.Gather) || !s.ReadUint32(&b.BumpBlocks) || !s.ReadUint64(&b.CoolDown) ||
		!s.ReadUint32(&b.Start.Height) || !s.CopyBytes(b.Start.Hash[:]) || !readFlag(s, &recovery) {
		return false
	}
	if !recovery {
		return true
	}
	var n uint8
	r := &script.Recovery{}
	if !s.ReadUint8(&r.K) || !s.ReadUint8(&n) || n > script.MaxKeys {
		return false
	}
	r.Keys, b.Possessions = make([]script.MemberKey, n), make([]script.Possession, n)
	for i := range r.Keys {
		if !readMemberKey(s, &r.Keys[i]) || !s.CopyBytes(b.Possessions[i][:]) {
			return false
		}
	}
	b.Recovery = r
	return s.ReadUint32(&r.Blocks) && s.ReadUint32(&r.Intervals)
}

// assetOf is the number that a founding asset will have; zero if there is none.
func (f *Founding) assetOf(symbol string) asset.ID {
	i := slices.IndexFunc(f.Assets, func(a FoundingAsset) bool { return a.Symbol == symbol })
	return asset.ID(i + 1) //nolint:gosec // -1 to the number of assets
}

// ofBank tells whether a bank keeps the coins of an asset.
func (f *Founding) ofBank(symbol string) bool {
	return slices.ContainsFunc(f.Banks, func(b FoundingBank) bool { return b.Symbol == symbol })
}

// foundBanks makes the contract's banks; nil if it has none.
func (f *Founding) foundBanks() (*custody.State, error) {
	if len(f.Banks) == 0 {
		return nil, nil //nolint:nilnil // there are none
	}
	founders := make([]custody.Founder, len(f.Members))
	for i := range founders {
		founders[i].ID = custody.Member(i + 1)
	}
	definitions := make([]custody.Definition, len(f.Banks))
	for i := range f.Banks {
		b := &f.Banks[i]
		definitions[i] = b.Definition
		definitions[i].Asset = f.assetOf(b.Symbol)
		if err := f.checkBank(i); err != nil {
			return nil, fmt.Errorf("%w: bank of %s: %w", ErrFounding, b.Symbol, err)
		}
		for j := range f.Members {
			c := &f.Members[j]
			k := slices.IndexFunc(c.Banks, func(k BankKey) bool { return k.Network == b.Network })
			if k < 0 {
				return nil, fmt.Errorf("%w: the card of %s has no key for %s", ErrFounding, c.Name, b.Network)
			}
			founders[j].Keys = append(founders[j].Keys, c.Banks[k].Key)
		}
	}
	s, err := custody.Found(definitions, founders)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFounding, err)
	}
	return s, nil
}

func (f *Founding) checkBank(i int) error {
	b := &f.Banks[i]
	id := f.assetOf(b.Symbol)
	if id == 0 {
		return errors.New("its asset is not in the contract")
	}
	if a := &f.Assets[id-1]; !a.Issuer.IsZero() || a.Decimals != 8 || a.MaxSupply != asset.MaxSupply {
		return fmt.Errorf("its asset must have no issuer, 8 decimals and a largest supply of %d", uint64(asset.MaxSupply))
	}
	for j := range i {
		if f.Banks[j].Network == b.Network {
			return fmt.Errorf("%s has the network already", f.Banks[j].Symbol)
		}
	}
	return b.checkRecovery()
}

// RecoveryClaim is what the key of a recovery for a network proves: that somebody has
// it. Its holder is no member.
func RecoveryClaim(network string) script.Claim { return script.Claim{Network: network} }

// checkRecovery checks that each key of the recovery is proven to be somebody's.
func (b *FoundingBank) checkRecovery() error {
	var keys []script.MemberKey
	if b.Recovery != nil {
		keys = b.Recovery.Keys
	}
	if len(keys) != len(b.Possessions) {
		return fmt.Errorf("its recovery has %d keys and %d proofs that somebody has them", len(keys), len(b.Possessions))
	}
	for i := range keys {
		if err := keys[i].CheckPossession(RecoveryClaim(b.Network), &b.Possessions[i]); err != nil {
			return fmt.Errorf("key %d of its recovery is not proven to be somebody's: %w", i+1, err)
		}
	}
	return nil
}
