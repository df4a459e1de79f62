package custody_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"souk/exchange/custody"
)

// seen mines a block of the chain, which the members say, each with a rate of its own.
func (w *world) seen(rates ...uint64) {
	w.chains[0].mine(anything)
	for i, m := range w.members {
		t := w.attestation(m, 0)
		t.Rate = rates[i]
		w.both(func(s *custody.State) any {
			code := s.Attest(m, t)
			if code != custody.OK {
				w.t.Fatalf("member %d: %d", m, code)
			}
			return code
		})
	}
	w.step()
}

func (w *world) rate() uint64 {
	info, _ := w.s.Bank(1)
	return info.Accepted
}

// Y-53: what the rate is, by how many say one. Zero says none.
func TestRate(t *testing.T) {
	for _, c := range []struct {
		why  string
		said []uint64
		want uint64
	}{
		{"all say one: the lower median", []uint64{9000, 3000, 5000, 4000}, 4000},
		{"one is without", []uint64{9000, 0, 5000, 4000}, 5000},
		{"two are: the lower of two", []uint64{0, 9000, 5000, 0}, 5000},
		{"one alone may lie", []uint64{0, 0, 5000, 0}, 0},
		{"nobody", []uint64{0, 0, 0, 0}, 0},
		{"nodes relay nothing below", []uint64{10, 20, 30, 40}, 1000},
		{"the highest", []uint64{5_000_000, 6_000_000, 7_000_000, 8_000_000}, custody.MaxRate},
		{"one of one", []uint64{7000}, 7000},
		{"three of seven: the lowest", []uint64{0, 0, 0, 0, 9000, 8000, 7000}, 7000},
		{"four of seven: the second", []uint64{0, 0, 0, 6000, 9000, 8000, 7000}, 7000},
		{"two of seven may both lie", []uint64{0, 0, 0, 0, 0, 8000, 7000}, 0},
		{"three of five", []uint64{9000, 0, 8000, 0, 7000}, 8000},
	} {
		w := newWorld(t, len(c.said), definition("bitcoin", 1))
		w.seen(c.said...)
		if got := w.rate(); got != c.want {
			t.Errorf("%s: %d, not %d", c.why, got, c.want)
		}
	}
}

// Y-53: whatever up to a third of the members say, the rate is not above all that the
// others say; nor below all of it, when more than two thirds say one. It is known when
// more of those who do not lie say one than could lie.
func TestRateOfLiars(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{1, 4, 5, 6, 7, 10, 13}).Draw(t, "members")
		liars := n - custody.Threshold(n)
		said := make([]uint64, n)
		var honest []uint64
		all := 0
		for i := range said {
			switch {
			case i < liars:
				said[i] = rapid.SampledFrom([]uint64{0, 1, 1000, 30_000, custody.MaxRate, 1 << 60}).Draw(t, "lie")
			case rapid.Bool().Draw(t, "knows"):
				said[i] = rapid.Uint64Range(20_000, 40_000).Draw(t, "rate")
				honest = append(honest, said[i])
			}
			if said[i] != 0 {
				all++
			}
		}
		w := newWorld(t, n, definition("bitcoin", 1))
		w.seen(said...)
		got := w.rate()
		if (got != 0) != (all > liars) || got == 0 && len(honest) > liars {
			t.Fatalf("%d of %d say one, %d honestly: %d", all, n, len(honest), got)
		}
		if got == 0 {
			return
		}
		if most := slices.Max(honest); got > most {
			t.Fatalf("%d, above %d", got, most)
		}
		if least := slices.Min(honest); all >= custody.Threshold(n) && got < least {
			t.Fatalf("%d, below %d", got, least)
		}
	})
}

// Y-53: a rate that is not said anew lapses 6 agreed blocks later, and is known again
// when it is said again.
func TestRateLapses(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin", 1))
	w.twin = again(t, w.s)
	w.seen(5000, 6000, 7000, 8000)
	for i := range custody.Late {
		if w.seen(0, 0, 9000, 9000); w.rate() == 0 {
			t.Fatalf("lapsed after %d blocks", i+1)
		}
		if got := w.s.Members(1)[0].Rate; got != 5000 {
			t.Fatalf("member 1 says %d", got)
		}
	}
	w.seen(0, 0, 9000, 9000)
	if got := w.rate(); got != 9000 {
		t.Fatalf("%d", got)
	}
	if got := w.s.Members(1)[0].Rate; got != 0 {
		t.Fatalf("member 1 still says %d", got)
	}
	for range custody.Late + 1 {
		w.seen(0, 0, 0, 9500)
	}
	if got := w.rate(); got != 0 {
		t.Fatalf("of one: %d", got)
	}
	w.seen(0, 4000, 0, 9500)
	if got := w.rate(); got != 4000 {
		t.Fatalf("again: %d", got)
	}
}
