package e2e_test

import (
	"testing"
	"time"

	"souk/exchange/roster"
)

// Nobody is demoted for living far away: four honest servers that are 40 ms apart, with
// 10 ms of jitter, all keep their power under load.
func TestWideArea(t *testing.T) {
	s := setup(t, 4)
	s.Profile = "wan"
	f := distant(t, s, 40*time.Millisecond, 10*time.Millisecond)
	load := f.trade()
	last := time.Duration(rounds(20, 600)) * time.Second
	for began := time.Now(); time.Since(began) < last; time.Sleep(time.Second) {
		asked := int(time.Since(began).Seconds()) % len(f.URLs)
		for i := range f.URLs {
			m, err := f.member(asked, i)
			if err != nil {
				t.Fatal(err)
			}
			if m.Demoted || m.Power != roster.FullPower {
				t.Fatalf("after %v server %d has power %d", time.Since(began).Round(time.Second), i+1, m.Power)
			}
		}
	}
	receipts := load.end()
	t.Logf("%d commands in %v, longest pause %v", len(receipts), last, load.longest().Round(time.Millisecond))
	f.sound()
	for i := range f.URLs {
		f.kept(i, receipts)
	}
}
