package peernet_test

import (
	"fmt"
	"slices"
	"testing"

	"souk/identity"
	"souk/internal/bulk"
	"souk/peernet"
)

const minute = 60_000

// seeds are few in a usual run; SOUK_FACTOR multiplies them.
func seeds(n int) uint64 { return uint64(bulk.Raised(n, 500)) }

// Quiet: peers that are near each other come to sit in few and large rings.
func TestRingsForm(t *testing.T) {
	for seed := range seeds(2) {
		w := newWorld(t, seed, 30, 3)
		w.heals(6 * minute)
		t.Logf("seed %d: rings %v, %d messages", seed, w.sizes(), w.sent)
	}
}

// U-13, U-14, U-20: through losses, repetitions, delays, partitions and crashes an epoch
// has one roster, and afterwards every ring heals.
func TestRingsHeal(t *testing.T) {
	all := []uint64{43} // where the ring with room was farther than all whom a peer looked at
	for seed := range seeds(3) {
		all = append(all, seed)
	}
	for _, seed := range all {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed, 16+int(seed), 2)
			w.loss, w.twice, w.slow = 0.15, 0.1, 1500
			w.run(3 * minute)
			w.trouble(8)
			w.loss, w.twice, w.slow, w.split = 0, 0, 0, nil
			for _, a := range w.peers {
				if a.dead && w.rand.IntN(2) == 0 {
					w.restart(a)
				}
			}
			w.heals(20 * minute)
			t.Logf("rings %v", w.sizes())
		})
	}
}

// U-13, U-16: some lie about round trips, say yes to everything and sign whatever they are
// shown. Honest peers still see one roster of an epoch, and no proof names one of them.
func TestRingsAmongLiars(t *testing.T) {
	all := []uint64{71} // where a leave that was not meant kept a ring from changing
	for seed := range seeds(2) {
		all = append(all, seed)
	}
	for _, seed := range all {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed, 20, 2)
			for i := range 3 {
				w.peers[5*i].liar, w.peers[5*i].lied = true, true
			}
			w.loss, w.twice, w.slow = 0.05, 0.1, 700
			w.run(4 * minute)
			w.trouble(4)
			w.split = nil
			for _, a := range w.peers {
				a.liar = false // they have become honest, so that rings may heal
				if a.dead {
					w.restart(a)
				}
			}
			w.heals(30 * minute)
			t.Logf("rings %v, %d faults, %d broken", w.sizes(), w.faults, len(w.broken))
		})
	}
}

// U-24: a member that says hello and answers nothing else is left behind by the others, who
// keep the ring; and who says that he would seal and does not harms no ring that he joins.
func TestRingsWithoutTheSilent(t *testing.T) {
	for name, deaf := range map[string][]peernet.Kind{"a member": {peernet.KindAsk, peernet.KindReady, peernet.KindOffer}, "a newcomer": {peernet.KindOffer}} {
		for seed := range seeds(4) {
			t.Run(fmt.Sprint(name, seed), func(t *testing.T) {
				w := newWorld(t, seed, 9, 1)
				w.loss, w.twice, w.slow = 0.1*w.rand.Float64(), 0.1, 700
				silent := w.peers[8]
				for _, a := range w.peers[5:8] {
					a.dead = true
				}
				silent.dead = name == "a newcomer"
				for end := w.now + 20*minute; w.now < end && !slices.Equal(w.sizes(), []int{5 + len(deaf)/2}); {
					w.run(minute)
				}
				w.heals(10 * minute)
				id := w.peers[0].seat.Ring().ID()
				silent.dead, silent.deaf = false, deaf
				for _, a := range w.peers[5:8] {
					w.run(2 * minute)
					a.dead = false
					w.heals(10 * minute)
				}
				w.run(10 * minute)
				r := w.peers[0].seat.Ring()
				if r == nil {
					t.Fatal("peer 0 has no ring")
				}
				if r.ID() != id || len(r.Members) != 8 || r.Has(silent.id) {
					t.Errorf("rings %v; peer 0 is in %v after %v, with the silent one: %v", w.sizes(), r.ID(), id, r.Has(silent.id))
				}
				silent.deaf = nil
				if w.heals(10 * minute); !w.peers[0].seat.Ring().Has(silent.id) {
					t.Error("who speaks again is not taken again")
				}
			})
		}
	}
}

// trouble splits the network, crashes peers and brings them back.
func (w *world) trouble(rounds int) {
	for range rounds {
		switch w.rand.IntN(3) {
		case 0:
			w.split = map[identity.PublicKey]bool{}
			for _, a := range w.peers {
				w.split[a.id] = w.rand.IntN(3) == 0
			}
		case 1:
			w.split = nil
		default:
		}
		for _, a := range w.peers {
			switch {
			case a.dead:
				w.restart(a)
			case w.rand.IntN(5) == 0:
				w.crash(a)
			}
		}
		w.run(minute/2 + w.rand.Uint64N(minute))
	}
}
