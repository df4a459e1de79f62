package custody_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"souk/exchange/custody"
	"souk/merkle"
	"souk/script"
)

type leaf struct {
	Key   merkle.Key
	Value []byte
}

// sample is a world with everything in it: two banks, coins in all states, live and
// settled batches, children, signatures, settings, records.
func sample(t failer) *world {
	btc, ltc := definition("bitcoin-regtest", 2), definition("litecoin-regtest", 1)
	ltc.Asset = 2
	btc.Recovery = &script.Recovery{K: 1, Keys: []script.MemberKey{memberKey(1000, 0, 0)}, Blocks: 4000}
	w := newWorld(t, 4, btc, ltc)
	w.unchecked = true
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposit(1, 0, 5*coin)
	w.deposit(2, 0, 3*coin)
	w.gift(1, coin)
	w.deposit(2, 1, 2*coin)
	w.turn(0, 3)
	w.turn(1, 3)
	w.withdraw(1, 0, "alice", coin/2, 10_000)
	w.step()
	w.work(0, 3)
	w.withdraw(1, 0, "alice", coin/2, 10_000)
	w.withdraw(2, 1, "bob", coin/2, 10_000)
	w.step()
	w.sign(0, 1, 2, 3)
	w.sign(1, 1, 2, 3)
	w.rates[1] = 50_000
	w.turn(1, 3)
	w.s.SetAccount(1, custody.Settings{Delay: 60_000, Allowed: []custody.Allowed{{Bank: 1, Script: output("bob")}}}, saltOf("settings"), w.now)
	w.s.SetAccount(1, custody.Settings{}, saltOf("settings"), w.now)
	w.withdraw(1, 0, "carol", coin/2, 10_000)
	w.join()
	w.deposit(1, 0, coin)
	w.chains[0].mine(anything)
	w.attest(0, 1, 2)
	w.s.Attest(4, &custody.Attestation{Bank: 1, Payments: []custody.Payment{{
		Height: 503, At: script.Outpoint{Tx: hashOf("lie")}, Amount: coin, Branch: script.Deposits,
	}}})
	w.step()
	w.unchecked = false
	w.check()
	return w
}

func sampleLeaves(t failer) []leaf {
	var all []leaf
	sample(t).s.Leaves(func(key merkle.Key, value []byte) { all = append(all, leaf{key, value}) })
	return all
}

func load(all []leaf) (*custody.State, error) {
	s := custody.New()
	for _, l := range all {
		if err := s.Load(l.Key, l.Value); err != nil {
			return nil, err
		}
	}
	return s, s.Finish()
}

// Y-91: the sample has every kind of leaf, and is the same after it was loaded.
func TestLoad(t *testing.T) {
	w := sample(t)
	kinds := map[byte]int{}
	for key := range w.tree {
		kinds[key[0]]++
	}
	for kind := byte(custody.LeafBank); kind <= custody.LeafCustody; kind++ {
		if kinds[kind] == 0 {
			t.Errorf("no leaf of kind %x", kind)
		}
	}
	w.reload()
	w.work(0, 4)
	w.work(1, 6)
}

// Y-91: what is cut short, lengthened or left out is refused.
func TestLoadRefuses(t *testing.T) {
	all := sampleLeaves(t)
	if _, err := load(all); err != nil {
		t.Fatal(err)
	}
	if err := custody.New().Finish(); !errors.Is(err, custody.ErrLeaf) {
		t.Error(err)
	}
	for i, l := range all {
		for _, n := range []int{0, len(l.Value) / 2, len(l.Value) - 1} {
			if err := custody.New().Load(l.Key, l.Value[:n]); !errors.Is(err, custody.ErrLeaf) {
				t.Errorf("leaf %s cut to %d: %v", l.Key, n, err)
			}
		}
		if err := custody.New().Load(l.Key, append(slices.Clone(l.Value), 0)); !errors.Is(err, custody.ErrLeaf) {
			t.Errorf("leaf %s with a byte more: %v", l.Key, err)
		}
		key := l.Key
		key[31] ^= 1
		if err := custody.New().Load(key, l.Value); !errors.Is(err, custody.ErrLeaf) {
			t.Errorf("leaf %s at another key: %v", l.Key, err)
		}
		if _, err := load(append(slices.Clone(all), l)); !errors.Is(err, custody.ErrLeaf) {
			t.Errorf("leaf %s twice: %v", l.Key, err)
		}
		without := slices.Delete(slices.Clone(all), i, i+1)
		_, err := load(without)
		switch l.Key[0] {
		case custody.LeafBank, custody.LeafSeries, custody.LeafCustody:
			if !errors.Is(err, custody.ErrLeaf) {
				t.Errorf("without leaf %s: %v", l.Key, err)
			}
		default:
			if err != nil && !errors.Is(err, custody.ErrLeaf) {
				t.Errorf("without leaf %s: %v", l.Key, err)
			}
		}
	}
}

// FuzzLoad: a leaf with any value is refused, or is exactly what comes out again.
func FuzzLoad(f *testing.F) {
	all := sampleLeaves(f)
	for i, l := range all {
		f.Add(uint16(i), l.Key[:], l.Value)
	}
	f.Fuzz(func(t *testing.T, at uint16, key, value []byte) {
		if len(key) != 32 {
			return
		}
		in := slices.Clone(all)
		in[int(at)%len(in)] = leaf{merkle.Key(key), value}
		s, err := load(in)
		if err != nil {
			if !errors.Is(err, custody.ErrLeaf) {
				t.Fatal(err)
			}
			return
		}
		if got, ok := s.Leaf(merkle.Key(key)); !ok || !bytes.Equal(got, value) {
			t.Fatalf("%x is written as %x", value, got)
		}
		n := 0
		s.Leaves(func(merkle.Key, []byte) { n++ })
		if n != len(in) {
			t.Fatalf("%d leaves of %d", n, len(in))
		}
	})
}

// Y-93: whoever knows all of a leaf that names an account but the account does not find
// it by trying: each such leaf has a salt. It stays what its owner made up.
func TestSalts(t *testing.T) {
	w := regtest(t)
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposit(1, 0, 5*coin)
	w.turn(0, 3)
	w.withdraw(1, 0, "alice", coin/2, 10_000)
	holds := func(when string, key merkle.Key, name string) {
		t.Helper()
		w.reload()
		value, ok := w.s.Leaf(key)
		if salt := saltOf(name); !ok || bytes.Count(value, salt[:]) != 1 {
			t.Errorf("%s: %x has not the salt %x", when, value, salt)
		}
	}
	holds("asked", custody.WithdrawalKey(1), "alice")
	w.step()
	holds("in a batch", custody.WithdrawalKey(1), "alice")
	w.work(0, 4)
	holds("settled", custody.SettledKey(1), "alice")
	holds("paid to", custody.AccountKey(1), "alice")
	w.s.SetAccount(1, custody.Settings{Delay: 1000}, saltOf("settings"), w.now)
	holds("set", custody.AccountKey(1), "settings")
	w.withdraw(1, 0, "bob", coin/2, 10_000)
	w.work(0, 6)
	holds("settled", custody.SettledKey(2), "bob")
	holds("paid to somebody else", custody.AccountKey(1), "settings")
	if code := w.cancel(2, 1); code != custody.Unknown {
		t.Error(code)
	}
	w.s.SetAccount(2, custody.Settings{}, saltOf("nothing"), w.now)
	if value, ok := w.s.Leaf(custody.AccountKey(2)); ok {
		t.Errorf("nothing is written down as %x", value)
	}
	w.reload()
}

// Y-92: the encoding worked out in docs/spec/14-custody.md.
func TestLeafExample(t *testing.T) {
	w := regtest(t)
	w.s.NewAddress(0x0102, 1, custody.Salt{0xaa, 15: 0xbb})
	value, _ := w.s.Leaf(custody.AddressKey(1, 0, 0))
	if got := hex.EncodeToString(value); got != "0000010200aa0000000000000000000000000000bb" {
		t.Error(got)
	}
	key := custody.AddressKey(1, 0, 0)
	a, owner, err := custody.ParseAddress(key, value)
	if err != nil || owner != 0x0102 || a != w.s.Addresses(owner)[0] || a.Salt[15] != 0xbb {
		t.Errorf("%+v of %d: %v", a, owner, err)
	}
	for _, bad := range [][]byte{nil, value[:20], append(value, 0), append([]byte{0, 0, 0, 0}, value[4:]...)} {
		if _, _, err := custody.ParseAddress(key, bad); err == nil {
			t.Errorf("%x is read", bad)
		}
	}
	if _, _, err := custody.ParseAddress(custody.SeriesKey(1, 0), value); err == nil {
		t.Error("it is read under another key")
	}
	if got := hex.EncodeToString(key[:13]); got != "0e000000010000000000000000" {
		t.Error(got)
	}
}

// Y-84: an idle chain of the virtual server stays idle.
func TestNextDue(t *testing.T) {
	d := definition("bitcoin-regtest", 1)
	d.Gather = 5000
	w := newWorld(t, 4, d)
	if due, ok := w.s.NextDue(); ok {
		t.Errorf("due at %d", due)
	}
	w.turn(0, 2)
	w.deposit(1, 0, coin)
	w.turn(0, 3)
	if _, ok := w.s.NextDue(); ok {
		t.Error("due without a withdrawal")
	}
	w.withdraw(1, 0, "alice", coin/2, 10_000)
	if due, ok := w.s.NextDue(); !ok || due != w.now {
		t.Errorf("due in %d, %v", due-w.now, ok)
	}
	w.step()
	w.now++
	w.withdraw(1, 0, "alice", coin/4, 10_000)
	if due, ok := w.s.NextDue(); !ok || due != w.now+4999 {
		t.Errorf("due in %d, %v", due-w.now, ok)
	}
	w.now += 5000
	w.step() // its coin is on its way
	if due, ok := w.s.NextDue(); ok {
		t.Errorf("due at %d", due-w.now)
	}
	w.reload()
	if due, ok := w.s.NextDue(); ok {
		t.Errorf("after loading due at %d", due-w.now)
	}
}
