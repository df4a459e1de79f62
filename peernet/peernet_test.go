package peernet_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"souk/identity"
	"souk/peernet"
)

// U-3: twelve, two more for each core above four, half of it on a shared machine.
func TestAutoSize(t *testing.T) {
	for _, c := range []struct {
		cores  int
		shared bool
		want   int
	}{{1, false, 12}, {4, false, 12}, {5, false, 14}, {8, false, 20}, {16, false, 36}, {4, true, 6}, {6, true, 8}, {1000, false, 64}} {
		if got := peernet.AutoSize(c.cores, c.shared); got != c.want {
			t.Errorf("%d cores, shared %v: %d, want %d", c.cores, c.shared, got, c.want)
		}
	}
}

// U-1, U-2: a peer has a distance after five measurements, the shortest of the latest
// eight, and the nearest come first, in one order.
func TestNear(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		near := peernet.NewNear()
		model := map[identity.PublicKey][]uint32{}
		for range rapid.IntRange(0, 200).Draw(t, "measurements") {
			p := identity.PublicKey{byte(rapid.IntRange(1, 9).Draw(t, "peer"))}
			m := rapid.Uint32Range(0, peernet.MaxRoundTrip+10).Draw(t, "micros")
			near.Measured(p, m)
			if m <= peernet.MaxRoundTrip {
				model[p] = append(model[p], m)
			}
		}
		var want []peernet.Distance
		for p, all := range model {
			if len(all) >= peernet.Measurements {
				want = append(want, peernet.Distance{Peer: p, RoundTrip: slices.Min(all[max(0, len(all)-8):])})
			}
		}
		slices.SortFunc(want, func(a, b peernet.Distance) int {
			if a.RoundTrip != b.RoundTrip {
				return int(a.RoundTrip) - int(b.RoundTrip)
			}
			return bytes.Compare(a.Peer[:], b.Peer[:])
		})
		want = want[:min(4, len(want))]
		if got := near.Nearest(4); len(want) != len(got) || len(want) > 0 && !cmp.Equal(got, want) {
			t.Fatalf("nearest %v, want %v", got, want)
		}
	})
}

// U-2: when too many are known the farthest gives way.
func TestNearForgetsTheFarthest(t *testing.T) {
	near := peernet.NewNear()
	for i := range peernet.MaxNear + 10 {
		for range peernet.Measurements {
			near.Measured(identity.PublicKey{byte(i), byte(i >> 8), 1}, uint32(10_000-i))
		}
	}
	all := near.Nearest(1000)
	if near.Len() != peernet.MaxNear || len(all) != peernet.MaxNear {
		t.Fatalf("%d are known", near.Len())
	}
	if all[0].RoundTrip != 10_000-peernet.MaxNear-9 {
		t.Errorf("the nearest is %d away", all[0].RoundTrip)
	}
}

// members are some keys in the order of rosters.
func members(n int) []identity.PrivateKey {
	keys := make([]identity.PrivateKey, n)
	for i := range keys {
		keys[i] = keyOf(99, i)
	}
	slices.SortFunc(keys, func(a, b identity.PrivateKey) int {
		x, y := a.Public(), b.Public()
		return bytes.Compare(x[:], y[:])
	})
	return keys
}

func roster(prev *peernet.Roster, keys ...identity.PrivateKey) peernet.Roster {
	r := peernet.Roster{Body: peernet.Body{Epoch: 1, Prev: peernet.Hash{1}}}
	if prev != nil {
		r.Body = peernet.Body{Ring: prev.ID(), Epoch: prev.Epoch + 1, Prev: prev.Hash()}
	}
	for _, k := range keys {
		r.Members = append(r.Members, k.Public())
	}
	for _, k := range keys {
		r.Seals = append(r.Seals, peernet.Sign(&r.Body, k))
	}
	return r
}

// U-10 to U-13: what a roster must have to be one, alone and after another.
func TestRosterChecks(t *testing.T) {
	k := members(6)
	first := roster(nil, k[:5]...)
	if err := first.Check(nil); err != nil {
		t.Fatal(err)
	}
	second := roster(&first, k[0], k[1], k[2], k[4], k[5]) // k[3] is gone, k[5] joins
	if err := second.Check(&first); err != nil {
		t.Fatal(err)
	}
	few := roster(&first, k[0], k[1], k[5]) // two of five are no quorum
	if err := few.Check(&first); !errors.Is(err, peernet.ErrRoster) {
		t.Errorf("two of five: %v", err)
	}
	few.Seals = append(few.Seals, peernet.Sign(&few.Body, k[2]), peernet.Sign(&few.Body, k[3]))
	slices.SortFunc(few.Seals, func(a, b peernet.Seal) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	if err := few.Check(&first); err != nil {
		t.Errorf("with two who leave and agree: %v", err)
	}
	for name, change := range map[string]func(r *peernet.Roster){
		"an unsigned member":    func(r *peernet.Roster) { r.Seals = r.Seals[1:] },
		"a foreign signature":   func(r *peernet.Roster) { r.Seals[0].Signature = r.Seals[1].Signature },
		"another epoch":         func(r *peernet.Roster) { r.Epoch++ },
		"another ring":          func(r *peernet.Roster) { r.Ring[0]++ },
		"another one before":    func(r *peernet.Roster) { r.Prev[0]++ },
		"members out of order":  func(r *peernet.Roster) { r.Members[0], r.Members[1] = r.Members[1], r.Members[0] },
		"a member twice":        func(r *peernet.Roster) { r.Members[1] = r.Members[0] },
		"a seal twice":          func(r *peernet.Roster) { r.Seals = append(r.Seals[:1:1], r.Seals...) },
		"a stranger's seal":     func(r *peernet.Roster) { r.Seals = append(r.Seals, peernet.Sign(&r.Body, keyOf(5, 5))) },
		"one member":            func(r *peernet.Roster) { *r = roster(&first, k[0]) },
		"a key of small order":  func(r *peernet.Roster) { r.Members[0], r.Seals[0].Key = identity.PublicKey{1}, identity.PublicKey{1} },
		"no epoch":              func(r *peernet.Roster) { r.Epoch = 0 },
		"a first that has one":  func(r *peernet.Roster) { r.Epoch = 1 },
		"an epoch beyond bound": func(r *peernet.Roster) { r.Epoch = peernet.MaxEpoch },
	} {
		r := roster(&first, k[0], k[1], k[2], k[4], k[5])
		change(&r)
		if err := r.Check(&first); !errors.Is(err, peernet.ErrRoster) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := second.Check(nil); err == nil {
		t.Error("a second roster is taken for a first")
	}
	if err := first.Check(&second); err == nil {
		t.Error("a first roster is taken for a third")
	}
}

// U-12, U-16: any two rosters that follow the same one name at least one who signed both,
// and the proof holds for whoever reads it.
func TestConflictNamesWhoSignedTwice(t *testing.T) {
	k := members(7)
	first := roster(nil, k[:4]...)
	a, b := roster(&first, k[0], k[1], k[2], k[5]), roster(&first, k[0], k[2], k[3], k[6])
	if err := errors.Join(a.Check(&first), b.Check(&first)); err != nil {
		t.Fatal(err)
	}
	faults := peernet.Conflict(&a, &b)
	if len(faults) != 2 || faults[0].Key != k[0].Public() || faults[1].Key != k[2].Public() {
		t.Fatalf("%d faults", len(faults))
	}
	for _, f := range faults {
		read, err := peernet.ParseFault(f.Append(nil))
		if err != nil || !cmp.Equal(read, f) || read.Check() != nil {
			t.Errorf("read as %v, %v, %v", read, err, read.Check())
		}
		for name, change := range map[string]func(f *peernet.Fault){
			"of another":       func(f *peernet.Fault) { f.Key = k[1].Public() },
			"the same twice":   func(f *peernet.Fault) { f.B, f.SealB = f.A, f.SealA },
			"in another order": func(f *peernet.Fault) { f.A, f.B, f.SealA, f.SealB = f.B, f.A, f.SealB, f.SealA },
			"of two epochs":    func(f *peernet.Fault) { f.A = first.Body },
			"of two rings":     func(f *peernet.Fault) { f.A.Ring[0]++ },
		} {
			bad := f
			if change(&bad); !errors.Is(bad.Check(), peernet.ErrFault) {
				t.Errorf("a fault %s: %v", name, bad.Check())
			}
		}
	}
	if got := peernet.Conflict(&a, &a); len(got) != 0 {
		t.Error("a roster conflicts with itself")
	}
	other := roster(nil, k[:3]...)
	if got := peernet.Conflict(&first, &other); len(got) != 0 {
		t.Error("two first rosters conflict, which are two rings")
	}
}

// U-12: two sets that each are a quorum share more than may lie.
func TestQuorum(t *testing.T) {
	for n := 2; n <= peernet.MaxMembers; n++ {
		q := peernet.Quorum(n)
		if q > n || 3*q <= 2*n || 2*q-n < 1 || 3*(2*q-n) <= n {
			t.Errorf("quorum of %d is %d", n, q)
		}
	}
}

// U-22: what nobody should say changes nothing, however often it is said.
func TestStrangersChangeNothing(t *testing.T) {
	k := members(5)
	seat := peernet.NewSeat(k[0], peernet.Config{}, nil)
	r := roster(nil, k...)
	for i, m := range []peernet.Message{
		{Kind: peernet.KindHello, Ring: r.ID(), Epoch: 9, Size: 3},
		{Kind: peernet.KindJoin, Ring: r.ID(), Whom: k[2].Public()},
		{Kind: peernet.KindAsk, Roster: r}, // nobody's distance is known
		{Kind: peernet.KindOffer, Roster: r},
		{Kind: peernet.KindReady, Hash: r.Hash()},
		{Kind: peernet.KindRefuse, Hash: r.Hash(), Whom: k[2].Public()},
		{Kind: peernet.KindSigned, Hash: r.Hash(), Signature: r.Seals[0].Signature},
		{Kind: peernet.KindMade, Chain: []peernet.Roster{r}},
		{Kind: peernet.KindLeave, Ring: r.ID()},
		{Kind: peernet.KindWant, Ring: r.ID()},
		{Kind: 77},
	} {
		out := seat.Receive(1000, k[1].Public(), &m)
		if len(out.Send) != 0 || len(out.Vows) != 0 || out.Changed || seat.Ring() != nil {
			t.Errorf("message %d: %+v", i, out)
		}
	}
}

func TestConfigChecks(t *testing.T) {
	if err := (peernet.Config{}).Check(); err != nil {
		t.Error(err)
	}
	for _, c := range []peernet.Config{{Size: 1}, {Size: -1}, {Size: 65}, {Hello: 20_000}, {Patience: 1000}, {Stuck: 7000}} {
		if c.Check() == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
