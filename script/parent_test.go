package script_test

import (
	"testing"

	"pgregory.net/rapid"

	"souk/script"
)

// the keys of a series at a branch and index are those that the members'
// keys have there one by one.
func TestBranchIsChildren(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &script.Series{K: 1}
		for range rapid.IntRange(1, 4).Draw(t, "keys") {
			k, err := script.NewPrivateMemberKey(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "seed"))
			if err != nil {
				t.Fatal(err)
			}
			s.Keys = append(s.Keys, k.Public())
		}
		branch := rapid.Uint32Range(0, script.Hardened-1).Draw(t, "branch")
		index := rapid.Uint32Range(0, script.Hardened-1).Draw(t, "index")
		d, err := s.Derive(branch, index)
		if err != nil {
			t.Fatal(err)
		}
		for i := range s.Keys {
			one, err := s.Keys[i].Child(branch)
			if err != nil {
				t.Fatal(err)
			}
			if one, err = one.Child(index); err != nil || one.Key != d.Keys[i] {
				t.Fatalf("key %d at %d/%d is %x, not %x: %v", i, branch, index, d.Keys[i], one.Key, err)
			}
		}
	})
}

func BenchmarkDerive(b *testing.B) {
	s := &script.Series{K: 3}
	for i := range 4 {
		seed := [16]byte{byte(i)}
		k, err := script.NewPrivateMemberKey(seed[:])
		if err != nil {
			b.Fatal(err)
		}
		s.Keys = append(s.Keys, k.Public())
	}
	branch, err := s.Branch(script.Deposits)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if _, err := branch.Derive(uint32(i)); err != nil {
			b.Fatal(err)
		}
	}
}
