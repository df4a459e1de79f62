package market_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/asset"
	"souk/exchange/market"
	"souk/internal/bulk"
	"souk/merkle"
)

// leaves are all leaves of a state.
func leaves(s *market.State) map[merkle.Key]string {
	all := map[merkle.Key]string{}
	s.Leaves(func(k merkle.Key, v []byte) { all[k] = string(v) })
	return all
}

// restore loads leaves into a fresh state, in whatever order the map yields them.
func restore(all map[merkle.Key]string) (*market.State, error) {
	s := market.NewState()
	for k, v := range all {
		if err := s.Load(k, []byte(v)); err != nil {
			return nil, err
		}
	}
	return s, s.Finish()
}

// TestChanges follows the changed leaves of random books: what they add up to is
// always what Leaves yields, and what Leaf answers (M-80).
func TestChanges(t *testing.T) {
	t.Parallel()
	for seed := range uint64(bulk.Raised(1_500, manyBooks)) {
		g := newMaker(seed)
		w := newWorld(t, g.terms, g.dec)
		seen := map[merkle.Key]string{}
		for range 5 {
			g.block(w, 6)
			in := map[merkle.Key]bool{}
			w.s.Changes(func(k merkle.Key, v []byte) {
				if in[k] {
					t.Fatalf("seed %d: %x changed twice", seed, k)
				}
				in[k] = true
				if v != nil {
					seen[k] = string(v)
					return
				}
				if _, was := seen[k]; !was {
					t.Fatalf("seed %d: %x is gone, but never was", seed, k)
				}
				delete(seen, k)
			})
			if all := leaves(w.s); !maps.Equal(all, seen) {
				t.Fatalf("seed %d: leaves (-state +changes):\n%s", seed, cmp.Diff(all, seen))
			}
		}
		for k, v := range seen {
			if got, ok := w.s.Leaf(k); !ok || string(got) != v {
				t.Fatalf("seed %d: Leaf(%x) = %x, %v; want %x", seed, k, got, ok, v)
			}
		}
		for _, k := range []merkle.Key{{}, {4}, {5, 9: 1}, {4, 0, 0, 0, 1, 1}, {9}, {10, 1}, {5, 1: 255}} {
			if _, ok := w.s.Leaf(k); ok {
				t.Fatalf("seed %d: there is no leaf %x", seed, k)
			}
		}
	}
}

// TestRestore saves and restores random books halfway. The restored state has the
// same leaves and goes on as if it had never been away.
func TestRestore(t *testing.T) {
	t.Parallel()
	for seed := range uint64(bulk.Raised(3_000, manyBooks)) {
		g := newMaker(seed)
		w := newWorld(t, g.terms, g.dec)
		for range 3 {
			g.block(w, 8)
		}
		saved := leaves(w.s)
		s, err := restore(saved)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got := leaves(s); !maps.Equal(got, saved) {
			t.Fatalf("seed %d: leaves (-saved +restored):\n%s", seed, cmp.Diff(saved, got))
		}
		s.Changes(func(k merkle.Key, _ []byte) { t.Fatalf("seed %d: %x changed by restoring", seed, k) })
		if a, b := slices.Collect(w.s.Orders()), slices.Collect(s.Orders()); !slices.Equal(a, b) {
			t.Fatalf("seed %d: orders (-saved +restored):\n%s", seed, cmp.Diff(a, b))
		}
		if id := market.OrderID(1 + g.Uint64N(40)); true {
			a, okA := w.s.Order(id)
			b, okB := s.Order(id)
			c, okC := s.ByClient(a.Owner, a.Client)
			if okA != okB || a != b || okA && a.Client != "" && (!okC || c != id) {
				t.Fatalf("seed %d: order %d is %+v, restored %+v, by client %d", seed, id, a, b, c)
			}
		}
		w.s = s
		for range 2 {
			g.block(w, 8)
		}
	}
}

// TestParse reads leaves back for those who check proofs (M-81, M-82).
func TestParse(t *testing.T) {
	t.Parallel()
	g := newMaker(3)
	w := newWorld(t, g.terms, g.dec)
	for range 3 {
		g.block(w, 10)
	}
	for o := range w.s.Orders() {
		v, _ := w.s.Leaf(market.OrderKey(o.ID))
		got, err := market.ParseOrder(market.OrderKey(o.ID), v)
		if err != nil || got != o {
			t.Fatalf("ParseOrder: %+v, %v; want %+v", got, err, o)
		}
		if _, err := market.ParseOrder(market.OrderKey(o.ID), v[1:]); !errors.Is(err, market.ErrLeaf) {
			t.Fatalf("ParseOrder of a short leaf: %v", err)
		}
	}
	m, _ := w.s.Market(1)
	v, _ := w.s.Leaf(market.Key(1))
	if got, err := market.ParseMarket(market.Key(1), v); err != nil || got != m {
		t.Fatalf("ParseMarket: %+v, %v; want %+v", got, err, m)
	}
	if _, err := market.ParseMarket(merkle.Key{4, 31: 1}, v); !errors.Is(err, market.ErrLeaf) {
		t.Fatalf("ParseMarket of a bad key: %v", err)
	}
}

// TestLoadRefuses breaks single fields of leaves. A state that contradicts
// itself, or a second encoding of a value, must not load.
func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, market.Terms{Tick: 2, Lot: 10, MakerPPM: 500, TakerPPM: 1_000, Reference: 100}, 1)
	w.place(market.New{Owner: 1, Side: market.Buy, Kind: market.LimitOrder, TIF: market.GTC, Price: 96, Quantity: 50, Client: "x", Nonce: 1})
	w.place(market.New{Owner: 2, Side: market.Sell, Kind: market.LimitOrder, TIF: market.GTD, Expiry: 9_999, Price: 104, Quantity: 50, Nonce: 1})
	limit := market.New{Owner: 1, Side: market.Sell, Kind: market.LimitOrder, TIF: market.GTC, Price: 110, Quantity: 20, Nonce: 2}
	stop := limit
	stop.Kind, stop.Trigger, stop.Price = market.StopOrder, 90, 80
	w.placePair(limit, stop)
	w.auction()
	w.place(market.New{Owner: 3, Side: market.Sell, Kind: market.LimitOrder, TIF: market.IOC, Price: 96, Quantity: 20, Nonce: 1})
	w.auction()
	good := leaves(w.s)
	if _, err := restore(good); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, k := range slices.SortedFunc(maps.Keys(good), merkle.Key.Compare) {
		for at := range len(good[k]) {
			for _, flip := range []byte{1, 0x80, 0xff} {
				bad := maps.Clone(good)
				v := []byte(bad[k])
				v[at] ^= flip
				bad[k] = string(v)
				s, err := restore(bad)
				tried++
				if err == nil && (derived(k[0], at) || !sound(s, bad)) {
					t.Errorf("leaf %x with byte %d flipped by %#x loads", k[:9], at, flip)
				}
			}
		}
		for _, v := range []string{"", good[k][1:], good[k] + "\x00"} {
			bad := maps.Clone(good)
			bad[k] = v
			if _, err := restore(bad); !errors.Is(err, market.ErrLeaf) {
				t.Errorf("leaf %x of %d bytes: %v", k[:9], len(v), err)
			}
		}
		bad := maps.Clone(good)
		bad[merkle.Key{k[0], 1: 9, 31: 1}] = good[k]
		if _, err := restore(bad); !errors.Is(err, market.ErrLeaf) {
			t.Errorf("leaf %x under a bad key: %v", k[:9], err)
		}
		if k[0] != market.LeafOrder || k[8] >= 3 { // others may end without a trace
			bad := maps.Clone(good)
			delete(bad, k)
			if _, err := restore(bad); !errors.Is(err, market.ErrLeaf) {
				t.Errorf("without leaf %x: %v", k[:9], err)
			}
		}
	}
	t.Logf("%d broken states", tried)
	var s market.State
	if err := s.Load(merkle.Key{1}, nil); !errors.Is(err, market.ErrLeaf) {
		t.Errorf("Load of another package's leaf: %v", err)
	}
}

// derived tells whether a byte of a leaf is one of a field that the others
// determine: status, other leg, paid or got, fee, hold.
func derived(kind byte, at int) bool {
	return kind == market.LeafOrder && (at == 12 || at >= 53 && at < 61 || at >= 125 && at < 153)
}

// sound tells whether a state that loaded from altered leaves is a state that
// could be: it writes the same leaves again.
func sound(s *market.State, from map[merkle.Key]string) bool {
	if !maps.Equal(leaves(s), from) {
		return false
	}
	for o := range s.Orders() {
		if o.Hold.Amount > asset.MaxSupply || o.Filled >= o.Quantity {
			return false
		}
	}
	return true
}
