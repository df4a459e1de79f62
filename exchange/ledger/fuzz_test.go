package ledger_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"souk/asset"
	"souk/exchange/ledger"
	"souk/identity"
	"souk/merkle"
)

// sample is a state with everything in it.
func sample(t testing.TB) *ledger.State {
	s := market(t)
	s.Open(address("bob"))
	s.UseNonce(1, key("alice"), 70)
	s.UseNonce(1, key("alice"), 3)
	s.SetDelegate(1, ledger.Delegate{Key: key("bot"), Scopes: ledger.Trade, Markets: []uint32{1, 2}, Expiry: 9}, 0)
	s.SetDelegate(1, ledger.Delegate{Key: key("bot2"), Scopes: ledger.Read}, 0)
	s.UseNonce(1, key("bot"), 5)
	s.RemoveDelegate(1, key("bot2"))
	s.StartRotation(1, key("anna"), 500)
	s.SetTimer(1, 77)
	s.Hold(1, 1, 100)
	s.Mint(identity.Address{}, 2, 50, 2)
	s.Reserve("GOLD", identity.Address{})
	s.Issue(ledger.Terms{Symbol: "PAPER", Issuer: address("alice"), MaxSupply: 100, Contract: [32]byte{1, 2}})
	s.CreditHouse(2, ledger.Fees, 0)
	return s
}

// pack joins leaves to one input: key, length of two bytes, value.
func pack(all []leaf) (b []byte) {
	for _, l := range all {
		b = append(b, l.Key[:]...)
		b = append(b, byte(len(l.Value)>>8), byte(len(l.Value)))
		b = append(b, l.Value...)
	}
	return b
}

func unpack(b []byte) (all []leaf) {
	for len(b) >= 34 {
		n := min(int(b[32])<<8|int(b[33]), len(b)-34)
		all = append(all, leaf{merkle.Key(b), b[34 : 34+n]})
		b = b[34+n:]
	}
	return all
}

// FuzzLoad: whatever is loaded, the state is refused or is exactly what was loaded, and consistent.
func FuzzLoad(f *testing.F) {
	f.Add([]byte{})
	f.Add(pack(leaves(sample(f))))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := ledger.New()
		all := unpack(data)
		for _, l := range all {
			if err := s.Load(l.Key, l.Value); err != nil {
				if !errors.Is(err, ledger.ErrLeaf) {
					t.Fatalf("error of another kind: %v", err)
				}
				return
			}
		}
		if s.Finish() != nil {
			return
		}
		slices.SortFunc(all, func(a, b leaf) int { return a.Key.Compare(b.Key) })
		if diff := compare(all, leaves(s)); diff != "" {
			t.Fatalf("leaves differ:\n%s", diff)
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		for {
			if _, ok := s.TakeDue(1<<64 - 1); !ok {
				break
			}
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzLeaf: a value that is read is the one encoding of what was read.
func FuzzLeaf(f *testing.F) {
	for _, l := range leaves(sample(f)) {
		f.Add(l.Key[:], l.Value)
	}
	f.Fuzz(func(t *testing.T, k, value []byte) {
		if len(k) != 32 {
			return
		}
		again, err := ledger.Reencode(merkle.Key(k), value)
		if err != nil {
			return
		}
		if !bytes.Equal(again, value) {
			t.Fatalf("%x\nis read, but written as\n%x", value, again)
		}
	})
}

// Every byte that is cut off, added or bent is noticed, or is another valid leaf.
func TestLoadRefuses(t *testing.T) {
	for _, l := range leaves(sample(t)) {
		for n := range l.Value {
			if _, err := ledger.Reencode(l.Key, l.Value[:n]); !errors.Is(err, ledger.ErrLeaf) {
				t.Errorf("leaf %s cut to %d bytes: %v", l.Key, n, err)
			}
		}
		if _, err := ledger.Reencode(l.Key, append(slices.Clone(l.Value), 0)); !errors.Is(err, ledger.ErrLeaf) {
			t.Errorf("leaf %s with a byte more: %v", l.Key, err)
		}
		for n := range l.Value {
			for bit := range 8 {
				bent := slices.Clone(l.Value)
				bent[n] ^= 1 << bit
				if again, err := ledger.Reencode(l.Key, bent); err == nil && !bytes.Equal(again, bent) {
					t.Errorf("leaf %s with bit %d of byte %d bent is read, but written otherwise", l.Key, bit, n)
				}
			}
		}
	}
}

// L-76: leaves that do not fit together.
func TestFinishRefuses(t *testing.T) {
	all := leaves(sample(t))
	without := func(key merkle.Key) []leaf {
		return slices.DeleteFunc(slices.Clone(all), func(l leaf) bool { return l.Key == key })
	}
	with := func(more ...leaf) []leaf { return append(slices.Clone(all), more...) }
	find := func(key merkle.Key) leaf {
		i := slices.IndexFunc(all, func(l leaf) bool { return l.Key == key })
		return all[i]
	}
	bent := func(key merkle.Key, at int, value byte) []leaf {
		l := find(key)
		l.Value = slices.Clone(l.Value)
		l.Value[at] = value
		return append(without(key), l)
	}
	alice, bob, eur := ledger.AccountKey(address("alice")), ledger.AccountKey(address("bob")), ledger.AssetKey(1)
	for _, c := range []struct {
		name   string
		leaves []leaf
	}{
		{"an account is missing", without(alice)},
		{"an asset is missing", without(eur)},
		{"the last asset is missing, with supply", without(ledger.AssetKey(2))},
		{"an account is there twice", with(find(alice))},
		{"an asset is there twice", with(find(eur))},
		{"a reservation is there twice", with(find(ledger.SymbolKey("GOLD")))},
		{"two accounts have a number", bent(bob, 3, 1)},
		{"an account has a far number", bent(bob, 0, 255)},
		{"two assets have a symbol", append(without(ledger.AssetKey(2)), leaf{ledger.AssetKey(2), find(eur).Value})},
		{"a reserved symbol is taken", with(leaf{ledger.SymbolKey("BTC"), make([]byte, 20)})},
		{"a symbol that cannot be", with(leaf{ledger.SymbolKey("btc"), make([]byte, 20)})},
		{"a reservation for half an address", with(leaf{ledger.SymbolKey("OIL"), make([]byte, 10)})},
		{"supply does not match", bent(eur, 1+3+1+20+32+8+7, 0xe9)},
		{"a key of another kind", with(leaf{merkle.Key{9}, nil})},
		{"a key with a tail", with(leaf{merkle.Key{3, 31: 1}, find(bob).Value})},
	} {
		s := ledger.New()
		var err error
		for _, l := range c.leaves {
			if err == nil {
				err = s.Load(l.Key, l.Value)
			}
		}
		if err == nil {
			err = s.Finish()
		}
		if !errors.Is(err, ledger.ErrLeaf) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	empty := ledger.New()
	if err := empty.Finish(); err != nil || empty.Accounts() != 0 || empty.Assets() != 0 {
		t.Errorf("an empty state: %v", err)
	}
	if a := empty.Audit(asset.ID(1)); !a.Balanced {
		t.Error("nothing is not balanced")
	}
}
