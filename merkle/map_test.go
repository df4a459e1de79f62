package merkle_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"souk/internal/bulk"
	"souk/merkle"
)

// key draws keys of the kinds that a state has, and keys that are hard on a trie:
// ones that share long prefixes.
var key = rapid.OneOf(
	rapid.Custom(func(t *rapid.T) (k merkle.Key) { // dense numbers
		k[0] = rapid.SampledFrom([]byte{2, 5, 6}).Draw(t, "kind")
		binary.BigEndian.PutUint64(k[1:], rapid.Uint64Range(0, 40).Draw(t, "number"))
		return k
	}),
	rapid.Custom(func(t *rapid.T) (k merkle.Key) { // addresses
		k[0] = 3
		rng := rand.New(rand.NewPCG(1, rapid.Uint64Range(0, 40).Draw(t, "address")))
		for i := 1; i <= 20; i++ {
			k[i] = byte(rng.Uint32())
		}
		return k
	}),
	rapid.Custom(func(t *rapid.T) (k merkle.Key) { // one or two bits off zero
		for range 2 {
			i := rapid.IntRange(0, merkle.Bits-1).Draw(t, "bit")
			k[i/8] ^= 0x80 >> (i % 8)
		}
		return k
	}),
)

// changes draws a batch: sorted, no key twice, a third of it deletions.
func changes(t *rapid.T) []merkle.Change {
	seen := map[merkle.Key]bool{}
	var batch []merkle.Change
	for _, k := range rapid.SliceOfN(key, 0, 50).Draw(t, "keys") {
		if seen[k] {
			continue
		}
		seen[k] = true
		c := merkle.Change{Key: k}
		if rapid.IntRange(0, 2).Draw(t, "delete") > 0 {
			c.Value = rapid.SliceOfN(rapid.Byte(), 0, 140).Draw(t, "value")
		}
		batch = append(batch, c)
	}
	slices.SortFunc(batch, func(a, b merkle.Change) int { return a.Key.Compare(b.Key) })
	return batch
}

// V-20 to V-25: a map agrees with the definition under any history, and proves
// every key, present or absent, at its root and at the one before.
func TestMapAgainstModel(t *testing.T) {
	rapid.Check(t, mapAgainstModel)
}

func FuzzMapAgainstModel(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(mapAgainstModel))
}

func mapAgainstModel(t *rapid.T) {
	m, plain := merkle.New(), merkle.New().WithoutState()
	now := model{}
	for range rapid.IntRange(1, 6).Draw(t, "updates") {
		before, beforeRoot := model{}, m.Root()
		for k, v := range now {
			before[k] = v
		}
		batch := changes(t)
		now.apply(batch)
		root := m.Update(batch)

		if want := now.root(); root != want || m.Root() != want {
			t.Fatalf("root %v, want %v", root, want)
		}
		if plain.Update(batch) != root {
			t.Fatalf("root by Sum256 differs")
		}
		if m.Len() != len(now) {
			t.Fatalf("Len %d, want %d", m.Len(), len(now))
		}
		if inners, leaves := m.Slots(); leaves != len(now) || inners != max(0, len(now)-1) {
			t.Fatalf("%d inner nodes and %d leaves in use for %d keys", inners, leaves, len(now))
		}
		if diff := cmp.Diff(now.keys(), slices.AppendSeq([]merkle.Key{}, m.Keys)); diff != "" {
			t.Fatalf("keys (-want +got):\n%s", diff)
		}
		asked := append(before.keys(), now.keys()...)
		for range 20 {
			asked = append(asked, key.Draw(t, "asked"))
		}
		for _, k := range asked {
			_, has := now[k]
			if m.Has(k) != has {
				t.Fatalf("Has(%v) = %v", k, !has)
			}
			checkProof(t, m, now, root, k)
			checkProof(t, m, before, beforeRoot, k)
		}
	}
}

// checkProof checks that the map proves at a root what the model says of a key, and
// nothing else.
func checkProof(t *rapid.T, m *merkle.Map, want model, root merkle.Hash, k merkle.Key) {
	made, ok := m.ProveAt(root, k)
	if !ok {
		t.Fatalf("no proof at %v", root)
	}
	p, err := merkle.ParseProof(made.Encode())
	if err != nil {
		t.Fatalf("parse proof: %v", err)
	}
	if diff := cmp.Diff(made, p); diff != "" {
		t.Fatalf("proof changed by encoding (-want +got):\n%s", diff)
	}
	value, has := want[k]
	if p.Present(root, k, value) != has || p.Absent(root, k) == has {
		t.Fatalf("proof for %v: present %v, absent %v; want present %v", k, p.Present(root, k, value), p.Absent(root, k), has)
	}
	if p.Present(root, k, append(bytes.Clone(value), 0)) {
		t.Fatalf("proof shows a value that is not there")
	}
	if other := sum(root[:]); p.Present(other, k, value) || p.Absent(other, k) {
		t.Fatalf("proof holds for another root")
	}
}

// V-25: no proof made by changing a real one shows anything that is false.
func TestProofForgery(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, contents := merkle.New(), model{}
		for range 2 {
			batch := changes(t)
			contents.apply(batch)
			m.Update(batch)
		}
		k := key.Draw(t, "key")
		encoded := m.Prove(k).Encode()
		if len(encoded) == 0 {
			return
		}
		switch rapid.IntRange(0, 2).Draw(t, "forgery") {
		case 0:
			encoded[rapid.IntRange(0, len(encoded)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case 1: // another step, from somewhere else
			encoded = append(encoded, m.Prove(key.Draw(t, "other")).Encode()...)
		case 2: // a step less
			encoded = encoded[:len(encoded)-min(len(encoded), 33)]
		}
		p, err := merkle.ParseProof(encoded)
		if err != nil {
			return
		}
		for _, asked := range append(contents.keys(), k, key.Draw(t, "asked"), p.Key) {
			value, has := contents[asked]
			if !has && p.Present(m.Root(), asked, value) || has && p.Absent(m.Root(), asked) {
				t.Fatalf("a forged proof holds for %v", asked)
			}
		}
	})
}

// V-22: the root depends on the contents alone.
func TestHistoryIndependence(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	m, contents := merkle.New(), model{}
	keys := make([]merkle.Key, 3000)
	for i := range keys {
		keys[i] = stateKey(rng, i)
	}
	for range bulk.Count(100) {
		var batch []merkle.Change
		for _, c := range block(rng, keys, 100) {
			if c.Value = nil; rng.IntN(3) > 0 {
				c.Value = binary.BigEndian.AppendUint64(nil, rng.Uint64())
			}
			batch = append(batch, c)
		}
		contents.apply(batch)
		m.Update(batch)
	}
	if got, want := m.Root(), contents.root(); got != want {
		t.Errorf("root %v, want %v", got, want)
	}
	var all []merkle.Change
	for _, k := range contents.keys() {
		all = append(all, merkle.Change{Key: k, Value: contents[k]})
	}
	if got := merkle.New().Update(all); got != m.Root() {
		t.Errorf("root %v when built at once, want %v", got, m.Root())
	}
	for i := range all {
		all[i].Value = nil
	}
	if got := m.Update(all); !got.IsZero() || m.Len() != 0 {
		t.Errorf("root %v and %d leaves after everything was deleted", got, m.Len())
	}
}

func TestProveAtForgetsOlderRoots(t *testing.T) {
	m := merkle.New()
	var roots []merkle.Hash
	for i := range byte(3) {
		roots = append(roots, m.Update([]merkle.Change{{Key: merkle.Key{7}, Value: []byte{i}}}))
	}
	for i, want := range []bool{false, true, true} {
		if _, ok := m.ProveAt(roots[i], merkle.Key{7}); ok != want {
			t.Errorf("root %d: proof %v, want %v", i, ok, want)
		}
	}
	m.Update(nil)
	for i, want := range []bool{false, false, true} {
		if _, ok := m.ProveAt(roots[i], merkle.Key{7}); ok != want {
			t.Errorf("root %d after an empty update: proof %v, want %v", i, ok, want)
		}
	}
}

func TestUpdateWantsOrder(t *testing.T) {
	for _, c := range []struct {
		name  string
		batch []merkle.Change
	}{
		{"descending", []merkle.Change{{Key: merkle.Key{2}}, {Key: merkle.Key{1}}}},
		{"twice", []merkle.Change{{Key: merkle.Key{1}}, {Key: merkle.Key{1}, Value: []byte{1}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("Update took changes out of order")
				}
			}()
			merkle.New().Update(c.batch)
		})
	}
}

func TestKeysStops(t *testing.T) {
	m := merkle.New()
	m.Update([]merkle.Change{{Key: merkle.Key{1}, Value: []byte{}}, {Key: merkle.Key{2}, Value: []byte{}}, {Key: merkle.Key{3}, Value: []byte{}}})
	n := 0
	for range m.Keys {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d keys, want 2", n)
	}
}

// An update of the same size does not allocate once the map has its memory.
func TestUpdateDoesNotAllocate(t *testing.T) {
	if bulk.Count(10) < 10 {
		t.Skip("the race detector's build keeps less on the stack")
	}
	rng := rand.New(rand.NewPCG(5, 6))
	keys := make([]merkle.Key, 5000)
	for i := range keys {
		keys[i] = stateKey(rng, i)
	}
	m := merkle.New()
	batch := block(rng, keys, 1000)
	n := uint64(0)
	m.Update(fresh(batch, n))
	m.Update(fresh(batch, n+1))
	if allocs := testing.AllocsPerRun(10, func() { n++; m.Update(fresh(batch, n+2)) }); allocs > 0 {
		t.Errorf("%v allocations per update", allocs)
	}
}

func FuzzParseProof(f *testing.F) {
	m := merkle.New()
	for i := range byte(20) {
		m.Update([]merkle.Change{{Key: merkle.Key{i, i << 3}, Value: []byte{i}}})
		f.Add(m.Prove(merkle.Key{i}).Encode())
		f.Add(m.Prove(merkle.Key{i, i << 3}).Encode())
	}
	f.Add([]byte{})
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := merkle.ParseProof(b)
		if err != nil {
			return
		}
		if got := p.Encode(); !bytes.Equal(got, b) {
			t.Errorf("parsed %x, encoded %x", b, got)
		}
		p.Absent(m.Root(), merkle.Key{1})
		p.Present(m.Root(), p.Key, b)
	})
}

func FuzzParseHash(f *testing.F) {
	f.Add(merkle.Hash{1, 2, 255}.String())
	f.Add("G")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := merkle.ParseHash(s)
		if err == nil && h.String() != s {
			t.Errorf("parsed %q, wrote %q", s, h)
		}
	})
}

func ExampleMap() {
	m := merkle.New()
	m.Update([]merkle.Change{
		{Key: merkle.Key{1}, Value: []byte("one")},
		{Key: merkle.Key{2}, Value: []byte("two")},
	})
	root := m.Root()
	fmt.Println(m.Prove(merkle.Key{2}).Present(root, merkle.Key{2}, []byte("two")))
	fmt.Println(m.Prove(merkle.Key{3}).Absent(root, merkle.Key{3}))
	// Output:
	// true
	// true
}

// stateKey returns the key of a leaf as a virtual server's state has them: half
// are accounts with addresses, half are orders with numbers.
func stateKey(rng *rand.Rand, i int) (k merkle.Key) {
	if i%2 == 0 {
		k[0] = 0x03
		for j := 1; j <= 20; j++ {
			k[j] = byte(rng.Uint32())
		}
		return k
	}
	k[0] = 0x05
	binary.BigEndian.PutUint64(k[1:], uint64(i))
	return k
}

// block returns changes of random keys, sorted.
func block(rng *rand.Rand, keys []merkle.Key, n int) []merkle.Change {
	var changes []merkle.Change
	seen := map[merkle.Key]bool{}
	for len(changes) < n {
		k := keys[rng.IntN(len(keys))]
		if !seen[k] {
			seen[k] = true
			changes = append(changes, merkle.Change{Key: k, Value: make([]byte, 120)})
		}
	}
	slices.SortFunc(changes, func(x, y merkle.Change) int { return x.Key.Compare(y.Key) })
	return changes
}

// fresh gives all changes values that were not there before.
func fresh(changes []merkle.Change, n uint64) []merkle.Change {
	for i := range changes {
		binary.BigEndian.PutUint64(changes[i].Value, n+1)
	}
	return changes
}
