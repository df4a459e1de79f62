package market

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"souk/internal/bulk"
)

// These tests look inside the package: its containers against the ones of the
// standard library.

func TestTable(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var x table[uint64]
		want := map[uint64]uint64{}
		keys := uint64(1 + r.IntN(400))
		stride := uint64(1) << r.IntN(40)
		for range bulk.Count(20_000) {
			k := (1 + r.Uint64N(keys)) * stride
			_, had := want[k]
			switch r.IntN(3) {
			case 0:
				if had {
					x.del(k)
					delete(want, k)
				}
			default:
				v, fresh := x.put(k)
				if fresh == had || fresh && *v != 0 {
					t.Fatalf("put(%d) = %d, %v", k, *v, fresh)
				}
				*v = r.Uint64()
				want[k] = *v
			}
			k = (1 + r.Uint64N(keys)) * stride
			v, ok := want[k]
			if got := x.get(k); (got != nil) != ok || ok && *got != v {
				t.Fatalf("get(%d) = %v, want %d, %v", k, got, v, ok)
			}
		}
		if x.used != len(want) {
			t.Fatalf("%d used, want %d", x.used, len(want))
		}
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 1))
	var x index
	want := map[OrderID]int32{}
	for n := range bulk.Count(50_000) {
		id := OrderID(n + 1)
		x.put(id, int32(n))
		want[id] = int32(n)
		for len(want) > 300 {
			old := OrderID(1 + r.IntN(n+1))
			slot, ok := x.get(old)
			if v, had := want[old]; had != ok || ok && v != slot {
				t.Fatalf("get(%d) = %d, %v", old, slot, ok)
			}
			if ok {
				x.del(old)
				delete(want, old)
			}
		}
	}
	got := x.all(nil)
	slices.Sort(got)
	if !slices.Equal(got, slices.Sorted(maps.Values(want))) {
		t.Fatal("all does not list what is in")
	}
	if len(x.pages) > 2*300 {
		t.Fatalf("%d pages for %d orders", len(x.pages), len(want))
	}
}

func TestLadder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 2))
		var l ladder
		var want []uint64
		span := uint64(10) << (2 * (seed % 6))
		grow := true
		for range bulk.Count(20_000) {
			if len(want) > 3_000 || len(want) == 0 {
				grow = len(want) == 0
			}
			k := r.Uint64N(span)
			if !grow && len(want) > 0 {
				k = want[r.IntN(len(want))]
			}
			n, has := slices.BinarySearch(want, k)
			at, found := l.find(k)
			if found != has || has && l.level(at) != int32(k) {
				t.Fatalf("find(%d) = %v, %v", k, at, found)
			}
			switch {
			case !has:
				l.insert(at, k, int32(k))
				want = slices.Insert(want, n, k)
			case !grow || r.IntN(8) == 0:
				l.remove(at)
				want = slices.Delete(want, n, n+1)
			}
		}
		var got []uint64
		for at := l.top(); ; at = l.worse(at) {
			k, lvl, ok := l.at(at)
			if !ok {
				break
			}
			if lvl != int32(k) {
				t.Fatalf("level %d at %d", lvl, k)
			}
			got = append(got, k)
		}
		slices.Reverse(got)
		if !slices.Equal(got, want) || l.count != len(want) {
			t.Fatalf("seed %d: %d levels, want %d", seed, len(got), len(want))
		}
		if best, _, ok := l.best(); ok != (len(want) > 0) || ok && best != want[len(want)-1] {
			t.Fatalf("best %d, %v", best, ok)
		}
	}
}
