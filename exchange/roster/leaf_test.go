package roster_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"

	"souk/exchange/roster"
	"souk/identity"
	"souk/merkle"
)

func everyAction() []roster.Action {
	c := card("erin", "erin-1")
	return []roster.Action{
		roster.AddMember{Card: c},
		roster.RemoveMember{Member: 7},
		roster.ReplaceMember{Member: 7, Server: c.Server, Consensus: c.Consensus, P2P: c.P2P, URL: c.URL},
		roster.SetProtocol{Version: 2, Height: 1000},
		roster.PauseMarket{Market: 1},
		roster.ResumeMarket{Market: 1},
		roster.CreateMarket{Base: 1, Quote: 2, Terms: []byte{1, 2, 3}},
		roster.SetMarket{Market: 1, MakerPPM: 2, TakerPPM: 3, ReservePPM: 4, BandPPM: 5},
		roster.ReserveSymbol{Symbol: "GOLD"},
		roster.AllowSymbol{Symbol: "GOLD", Issuer: identity.Address{1}},
		roster.SpendHouse{House: 1, Asset: 2, Amount: 3, To: identity.Address{4}},
		roster.SetParams{Params: []byte{9}},
	}
}

// every action has one encoding.
func TestActions(t *testing.T) {
	for i, a := range everyAction() {
		data := roster.AppendAction(nil, a, 5)
		if int(a.Kind()) != i+1 || data[0] != byte(i+1) {
			t.Errorf("%T has kind %d and begins with %d", a, a.Kind(), data[0])
		}
		got, salt, err := roster.ParseAction(data)
		if err != nil || salt != 5 || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", a) {
			t.Errorf("%T: %+v, salt %d, %v", a, got, salt, err)
		}
		for n := range data {
			if _, _, err := roster.ParseAction(data[:n]); !errors.Is(err, roster.ErrAction) {
				t.Errorf("%T cut to %d bytes: %v", a, n, err)
			}
		}
		if _, _, err := roster.ParseAction(append(data, 0)); !errors.Is(err, roster.ErrAction) {
			t.Errorf("%T with a byte more: %v", a, err)
		}
	}
	// The example of docs/spec/07-roster.md.
	data := roster.AppendAction(nil, roster.SpendHouse{House: 1, Asset: 2, Amount: 300, To: identity.Address{0xaa}}, 1)
	want := slices.Concat([]byte{11}, []byte{0, 0, 0, 1}, []byte{1}, []byte{0, 0, 0, 2}, []byte{0, 0, 0, 0, 0, 0, 1, 44}, []byte{0xaa}, make([]byte, 19))
	if !bytes.Equal(data, want) {
		t.Errorf("%x, want %x", data, want)
	}
}

// FuzzAction: bytes that are read as an action are its one encoding, and voting
// on them harms nothing.
func FuzzAction(f *testing.F) {
	for _, a := range everyAction() {
		f.Add(roster.AppendAction(nil, a, 0))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, salt, err := roster.ParseAction(data)
		if err != nil {
			return
		}
		if again := roster.AppendAction(nil, a, salt); !bytes.Equal(again, data) {
			t.Fatalf("%x is written as %x", data, again)
		}
		s := found(t, 1)
		s.Approve(1, data, 100, 100, 10)
		s.Turns(101, 101, []identity.PublicKey{key("alice-1")}, key("alice-1"), 3)
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		reload(t, s)
	})
}

// sample is a state with everything in it.
func sample(t failer) *roster.State {
	s := found(t, 4)
	approve := func(a roster.Action, by ...roster.ID) {
		for _, id := range by {
			if _, code := s.Approve(id, roster.AppendAction(nil, a, 0), 10, 1000, 100); code != roster.OK {
				t.Fatalf("approve: %s", codeName(code))
			}
		}
	}
	c := card("carol", "carol-2")
	approve(roster.ReplaceMember{Member: 3, Server: c.Server, Consensus: c.Consensus, P2P: c.P2P, URL: c.URL}, 1, 2, 4)
	approve(roster.PauseMarket{Market: 1}, 1, 3)
	approve(roster.SetProtocol{Version: 2, Height: 500}, 1, 2, 3)
	s.Return(3, 1000)
	s.Turns(12, 2000, []identity.PublicKey{key("bob-1"), key("bob-1"), key("bob-1"), key("alice-1")}, key("dave-1"), 3)
	s.Evidence(key("dave-1"))
	return s
}

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

// FuzzLoad: whatever is loaded is refused, or is exactly what comes out again.
func FuzzLoad(f *testing.F) {
	f.Add(pack(leaves(sample(f))))
	f.Add(pack(leaves(found(f, 1))))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := roster.New()
		all := unpack(data)
		for _, l := range all {
			if err := s.Load(l.Key, l.Value); err != nil {
				if !errors.Is(err, roster.ErrLeaf) {
					t.Fatal(err)
				}
				return
			}
		}
		if s.Finish() != nil {
			return
		}
		slices.SortFunc(all, func(a, b leaf) int { return a.Key.Compare(b.Key) })
		if !slices.EqualFunc(all, leaves(s), func(a, b leaf) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }) {
			t.Fatal("leaves differ")
		}
		s.Lapse(1<<64-1, 1<<64-1)
		s.Turns(1<<64-1, 1<<64-1, nil, identity.PublicKey{}, 0)
		for m := range s.Members {
			s.Return(m.ID, 1<<64-1)
			s.Evidence(m.Consensus)
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
	})
}

// leaves cut short, lengthened or bent, and leaves that do not fit together.
func TestLoadRefuses(t *testing.T) {
	all := leaves(sample(t))
	refuse := func(name string, in []leaf) {
		s := roster.New()
		var err error
		for _, l := range in {
			err = cmp.Or(err, s.Load(l.Key, l.Value))
		}
		if err = cmp.Or(err, s.Finish()); !errors.Is(err, roster.ErrLeaf) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i, l := range all {
		for n := range l.Value {
			if err := roster.New().Load(l.Key, l.Value[:n]); !errors.Is(err, roster.ErrLeaf) {
				t.Errorf("leaf %s cut to %d bytes: %v", l.Key, n, err)
			}
		}
		if err := roster.New().Load(l.Key, append(slices.Clone(l.Value), 0)); !errors.Is(err, roster.ErrLeaf) {
			t.Errorf("leaf %s with a byte more: %v", l.Key, err)
		}
		refuse(fmt.Sprintf("leaf %s twice", l.Key), append(slices.Clone(all), all[i]))
		tail := l
		tail.Key[31] ^= 1
		refuse(fmt.Sprintf("leaf %s with another key", l.Key), append(slices.Delete(slices.Clone(all), i, i+1), tail))
	}
	without := func(key merkle.Key) []leaf {
		return slices.DeleteFunc(slices.Clone(all), func(l leaf) bool { return l.Key == key })
	}
	refuse("no roster leaf", without(roster.Key()))
	refuse("nothing", nil)
	refuse("a member who approves is missing", without(roster.MemberKey(1)))
	retired := slices.IndexFunc(all, func(l leaf) bool { return l.Key[0] == roster.LeafRoster && l.Key != roster.Key() })
	old := slices.Clone(without(roster.MemberKey(2)))
	m := all[slices.IndexFunc(all, func(l leaf) bool { return l.Key == roster.MemberKey(2) })]
	bob := key("bob-1")
	m.Value = bytes.Replace(m.Value, bob[:], all[retired].Value, 1)
	refuse("a member has a retired key", append(old, m))
	refuse("a key of another kind", []leaf{{merkle.Key{1}, nil}})
}

// leaves are read by those who check a proof.
func TestParse(t *testing.T) {
	s := sample(t)
	for m := range s.Members {
		value, _ := s.Leaf(roster.MemberKey(m.ID))
		got, err := roster.ParseMember(roster.MemberKey(m.ID), value)
		if err != nil || got != m {
			t.Errorf("%+v, %v, want %+v", got, err, m)
		}
	}
	for v := range s.Votes {
		value, _ := s.Leaf(roster.VoteKey(v.Action))
		got, err := roster.ParseVote(roster.VoteKey(v.Action), value)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(v) {
			t.Errorf("%+v, %v, want %+v", got, err, v)
		}
	}
	for _, k := range []merkle.Key{{}, {7}, {8}, {9, 1}, roster.MemberKey(99)} {
		if _, ok := s.Leaf(k); ok {
			t.Errorf("there is a leaf %s", k)
		}
	}
	if _, ok := roster.New().Leaf(roster.Key()); ok {
		t.Error("an empty roster has a leaf")
	}
}
