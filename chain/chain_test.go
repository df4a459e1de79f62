package chain_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"souk/asset"
	"souk/chain"
	"souk/chain/memchain"
	"souk/script"
)

// point is a block of an imagined chain; branch tells chains apart.
func point(height uint32, branch byte) chain.Point {
	p := chain.Point{Height: height}
	binary.BigEndian.PutUint32(p.Hash[:], height)
	p.Hash[31] = branch
	return p
}

func blocks(from, to uint32, branch byte) []chain.Block {
	var list []chain.Block
	for h := from; h <= to; h++ {
		list = append(list, chain.Block{Point: point(h, branch), Parent: point(h-1, branch).Hash})
	}
	return list
}

func heights(l chain.Locator) []uint32 {
	list := make([]uint32, len(l))
	for i, p := range l {
		list[i] = p.Height
	}
	return list
}

// T-11: the example.
func TestLocatorExample(t *testing.T) {
	l := chain.Locator{point(300, 0)}.Apply(chain.Step{Fork: point(300, 0), Blocks: blocks(301, 1000, 0)})
	want := []uint32{300}
	for _, r := range []struct{ from, to, step uint32 }{
		{304, 480, 16},
		{496, 744, 8},
		{748, 872, 4},
		{874, 936, 2},
		{937, 1000, 1},
	} {
		for h := r.from; h <= r.to; h += r.step {
			want = append(want, h)
		}
	}
	if diff := cmp.Diff(want, heights(l)); diff != "" {
		t.Errorf("heights (-want +got):\n%s", diff)
	}
	at := chain.Point{}
	for _, p := range l {
		if p.Height <= 1000-80 {
			at = p
		}
	}
	if at.Height != 920 {
		t.Errorf("fork is %d", at.Height)
	}
	if got := heights(l.Below(938)); got[len(got)-1] != 937 {
		t.Errorf("below 938 ends at %d", got[len(got)-1])
	}
	if got := heights(l.Below(5)); len(got) != 1 {
		t.Errorf("below 5 is %v", got)
	}
}

// T-11: whatever way somebody took, his locator is that of who took all at once,
// and its stored form gives it back.
func TestLocator(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := uint32(rapid.IntRange(0, 300).Draw(t, "start"))
		l := chain.Locator{point(start, 0)}
		tip := start
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			fork := uint32(rapid.IntRange(max(int(start), int(tip)-20), int(tip)).Draw(t, "fork"))
			at, ok := chain.Point{}, false
			for _, p := range l {
				if p.Height <= fork {
					at, ok = p, true
				}
			}
			if !ok {
				t.Fatal("nothing at or below the fork")
			}
			next := at.Height + uint32(rapid.IntRange(0, 150).Draw(t, "blocks"))
			before := l.Append(nil)
			stepped := l.Apply(chain.Step{Fork: at, Blocks: blocks(at.Height+1, next, 0)})
			if diff := cmp.Diff(before, l.Append(nil)); diff != "" {
				t.Fatal("Apply changed the old locator")
			}
			l, tip = stepped, next
		}
		for i, p := range l[1:] {
			if p.Height <= l[i].Height {
				t.Fatalf("heights do not ascend: %v", heights(l))
			}
		}
		if last, _ := l.Last(); last != point(tip, 0) || l[0] != point(start, 0) {
			t.Fatalf("from %v to %v", l[0], last)
		}
		direct := chain.Locator{point(start, 0)}.Apply(chain.Step{Fork: point(start, 0), Blocks: blocks(start+1, tip, 0)})
		dense := 0
		for _, p := range l {
			if tip-p.Height < 20 {
				dense++
			}
		}
		if want := min(int(tip-start)+1, 20); dense < 1 || len(l) > len(direct) || dense > want {
			t.Fatalf("%d of the last 20 blocks; %d points, directly %d", dense, len(l), len(direct))
		}
		stored, err := chain.ParseLocator(l.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(l, stored); diff != "" {
			t.Fatalf("stored (-want +got):\n%s", diff)
		}
	})
}

func TestParseLocatorRefuses(t *testing.T) {
	good := chain.Locator{point(1, 0), point(2, 0)}.Append(nil)
	for name, b := range map[string][]byte{
		"cut":        good[:len(good)-1],
		"descending": append(append([]byte{}, good[36:]...), good[:36]...),
		"twice":      append(append([]byte{}, good[:36]...), good[:36]...),
		"huge":       make([]byte, 36*2000),
	} {
		if l, err := chain.ParseLocator(b); err == nil {
			t.Errorf("%s: %v", name, l)
		}
	}
	if l, err := chain.ParseLocator(nil); err != nil || len(l) != 0 {
		t.Errorf("empty: %v, %v", l, err)
	}
}

func FuzzParseLocator(f *testing.F) {
	f.Add(chain.Locator{point(1, 0), point(2, 0)}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := chain.ParseLocator(b)
		if err != nil {
			return
		}
		if string(l.Append(nil)) != string(b) {
			t.Errorf("%x is not the form of %v", b, l)
		}
	})
}

// T-21, T-22, T-26, T-70: what a filter finds.
func TestMatch(t *testing.T) {
	mine, other := []byte{0, 1, 2}, []byte{0, 1, 2, 3}
	known := script.Outpoint{Tx: script.Hash{9}, Index: 3}
	list := []chain.Transaction{
		{ID: script.Hash{1}, Coinbase: true, Outputs: []script.Output{{Script: mine, Amount: 1}, {}}},
		{
			ID: script.Hash{2}, Inputs: []script.Outpoint{{Tx: script.Hash{8}}, known},
			Outputs: []script.Output{{Script: other, Amount: 2}, {Script: mine, Amount: 3}},
		},
		{ID: script.Hash{3}, Inputs: []script.Outpoint{{Tx: script.Hash{2}, Index: 1}}, Outputs: []script.Output{{Amount: 4}}},
		{
			ID: script.Hash{4}, PegOut: true, Inputs: []script.Outpoint{{Tx: script.Hash{2}}},
			Outputs: []script.Output{{Script: mine, Amount: 5}, {Script: mine, Amount: 6}},
		},
	}
	f := chain.NewFilter(mine, nil)
	f.Expect(known, other)
	f.Expect(script.Outpoint{Tx: script.Hash{7}}, mine)
	want := chain.Found{
		Payments: []chain.Payment{
			{At: script.Outpoint{Tx: script.Hash{1}}, Script: mine, Amount: 1, Coinbase: true},
			{At: script.Outpoint{Tx: script.Hash{2}, Index: 1}, Script: mine, Amount: 3},
			{At: script.Outpoint{Tx: script.Hash{4}}, Script: mine, Amount: 5},
			{At: script.Outpoint{Tx: script.Hash{4}, Index: 1}, Script: mine, Amount: 6, PegOut: true},
		},
		Spends: []chain.Spend{
			{At: known, By: script.Hash{2}, Input: 1},
			{At: script.Outpoint{Tx: script.Hash{2}, Index: 1}, By: script.Hash{3}},
		},
	}
	if diff := cmp.Diff(want, f.Match(list)); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	if n := len(f.Scripts()); n != 3 { // the empty one is harmless
		t.Errorf("%d scripts", n)
	}
	clone := f.Clone()
	clone.Forget(known)
	clone.Watch(other)
	if diff := cmp.Diff(want, f.Match(list)); diff != "" {
		t.Errorf("a copy changed its original:\n%s", diff)
	}
	if found := clone.Match(list); len(found.Spends) != 2 || len(found.Payments) != 5 {
		t.Errorf("the copy finds %+v", found)
	}
}

// stopper is a visitor who has had enough after some blocks.
type stopper struct {
	left int
	seen []uint32
}

var errEnough = errors.New("enough")

func (s *stopper) Rewind(to chain.Point) error {
	for len(s.seen) > 0 && s.seen[len(s.seen)-1] > to.Height {
		s.seen = s.seen[:len(s.seen)-1]
	}
	return nil
}

func (s *stopper) Connect(b chain.Block, _ chain.Found) error {
	if s.left == 0 {
		return errEnough
	}
	s.left--
	s.seen = append(s.seen, b.Height)
	return nil
}

// T-2, T-12: who stops anywhere, for any reason, goes on there.
func TestWalkStops(t *testing.T) {
	n, _ := script.ByName("bitcoin-regtest")
	c := memchain.New(n, false)
	c.Mine(300)
	v := &stopper{}
	var at chain.Locator
	for i := 1; ; i++ {
		if i%3 == 0 {
			if err := c.Reorganise(2, 3); err != nil {
				t.Fatal(err)
			}
		}
		v.left = 7
		var err error
		if at, err = chain.Walk(t.Context(), c.Node(), at, chain.NewFilter(), v); err == nil {
			break
		} else if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		if last, _ := at.Last(); last.Height != v.seen[len(v.seen)-1] {
			t.Fatalf("locator at %v, told of %d", last, v.seen[len(v.seen)-1])
		}
	}
	for i, h := range v.seen {
		if h != uint32(i+1) {
			t.Fatalf("block %d is told in place %d", h, i+1)
		}
	}
	if len(v.seen) != int(c.Tip().Height) {
		t.Errorf("%d blocks of %d", len(v.seen), c.Tip().Height)
	}
}

// T-40.
func TestBound(t *testing.T) {
	n, _ := script.ByName("namecoin")
	for rate, want := range map[asset.Amount]asset.Amount{1: n.MinRelay, 200_000: 200_000, 1 << 62: chain.MaxRate} {
		if got := chain.Bound(n, rate); got != want {
			t.Errorf("%d is bounded to %d", rate, got)
		}
	}
}
