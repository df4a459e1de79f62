package peernet_test

import (
	"fmt"
	"testing"

	"souk/identity"
	"souk/internal/bulk"
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
	for seed := range seeds(3) {
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
