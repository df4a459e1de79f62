package custody_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"souk/asset"
	"souk/exchange/custody"
)

// Y-91, Y-73: what is read out of single leaves is what the state says, and adds up
// to its sums.
func TestParseLeaves(t *testing.T) {
	w := sample(t)
	var free, change, lost [3]asset.Amount
	for _, l := range sampleLeaves(t) {
		switch l.Key[0] {
		case custody.LeafBank:
			b, err := custody.ParseBank(l.Key, l.Value)
			id := custody.Bank(l.Key[4])
			info, _ := w.s.Bank(id)
			if err != nil || b.Tip != info.Tip.Height || b.Books != info.Sums.Books || b.Series != info.Series || len(b.Changes) != int(b.Wallets) {
				t.Errorf("%+v, %v", b, err)
			}
			hash, err := custody.ParseBlock(custody.BlockKey(id, b.Tip), value(w, custody.BlockKey(id, b.Tip)))
			if err != nil || hash != info.Tip.Hash {
				t.Errorf("block: %s, %v", hash, err)
			}
		case custody.LeafSeries:
			x, err := custody.ParseSeries(l.Key, l.Value)
			want, members, _ := w.s.SeriesOf(custody.Bank(l.Key[4]), uint32(l.Key[8]))
			if err != nil || x.K != want.K || !slices.Equal(x.Keys, want.Keys) || !slices.Equal(x.Members, members) {
				t.Errorf("%+v, %v", x, err)
			}
		case custody.LeafCoin:
			c, err := custody.ParseCoin(l.Key, l.Value)
			if err != nil || custody.CoinKey(c.Bank, c.At) != l.Key {
				t.Errorf("%+v, %v", c, err)
			}
			if c.State == custody.CoinFree {
				free[c.Bank] += c.Amount
			}
			if c.Stolen {
				lost[c.Bank] += c.Amount
			}
		case custody.LeafBatch:
			x, err := custody.ParseBatch(l.Key, l.Value)
			if err != nil {
				t.Error(err)
			}
			if at, ok := x.Change(len(x.Versions)); x.Settled == 0 {
				change[x.Bank] += x.Back()
				if _, there := w.s.Leaf(custody.CoinKey(x.Bank, at)); ok && there != x.Child {
					t.Errorf("batch %d: its change is spent by a child: %v, %v", x.Number, x.Child, there)
				}
			}
		case custody.LeafAccount:
			x, err := custody.ParseSettings(l.Key, l.Value)
			for _, now := range []uint64{w.now, w.now + 1<<40} {
				current, next, from := w.s.Account(custody.Owner(l.Key[4]), now)
				if got, more, at := x.At(now); err != nil || !reflect.DeepEqual(got, current) || !reflect.DeepEqual(more, next) || at != from {
					t.Errorf("%+v at %d, %v", x, now, err)
				}
			}
		case custody.LeafCustody:
			if h, err := custody.ParseHalt(l.Key, l.Value); err != nil || h != w.s.Halted() {
				t.Errorf("%+v, %v", h, err)
			}
		default:
			continue
		}
		if _, err := custody.ParseBank(l.Key, append(slices.Clone(l.Value), 0)); !errors.Is(err, custody.ErrLeaf) {
			t.Errorf("leaf %s with a byte behind it: %v", l.Key, err)
		}
	}
	for id := custody.Bank(1); id <= 2; id++ {
		if s, _ := w.s.Solvency(id); s.Free != free[id] || s.Change != change[id] || s.Lost != lost[id] {
			t.Errorf("bank %d: %+v; of leaves %d, %d, %d", id, s, free[id], change[id], lost[id])
		}
	}
	if _, err := custody.ParseCoin(custody.Key(), value(w, custody.Key())); !errors.Is(err, custody.ErrLeaf) {
		t.Errorf("another kind: %v", err)
	}
}

// value is the value of a leaf.
func value(w *world, key [32]byte) []byte {
	v, _ := w.s.Leaf(key)
	return v
}
