package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"souk/exchange/roster"
)

// All servers lose power at once under load, again and again: every acknowledged
// command is there afterwards with the receipt that was given out.
func TestKillAll(t *testing.T) {
	f := start(t, 4)
	s := f.trade()
	for round := range rounds(10, 40) {
		s.after(60)
		f.Kill(0, 1, 2, 3)
		for i := range f.Homes {
			if err := f.Restart(i); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		if err := f.Ready(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
		t.Logf("round %d: all ready after %v", round+1, time.Since(began).Round(time.Millisecond))
	}
	s.after(30)
	receipts := s.end()
	if err := f.Ready(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	f.sound()
	for i := range f.URLs {
		f.kept(i, receipts)
	}
	t.Logf("%d acknowledged commands", len(receipts))
}

// One of four servers dies under load: clients notice nothing, the dead server is
// demoted, comes back, catches up and gets its power back.
func TestKillOne(t *testing.T) {
	f := start(t, 4)
	s := f.trade()
	s.after(60)
	for round := range rounds(2, 10) {
		dead, other := (round+2)%4, (round+3)%4
		s.longest()
		f.Kill(dead)
		s.after(20)
		gap := s.longest()
		eventually(t, 30*time.Second, "the dead server is demoted", func() error {
			m, err := f.member(other, dead)
			if err == nil && (!m.Demoted || m.Power != 1) {
				err = fmt.Errorf("power %d", m.Power)
			}
			return err
		})
		demoted := s.count()
		s.after(40)
		began := time.Now()
		if err := f.Restart(dead); err != nil {
			t.Fatal(err)
		}
		if err := f.CaughtUp(within(t, 30*time.Second), dead); err != nil {
			t.Fatal(err)
		}
		back := time.Since(began)
		eventually(t, 90*time.Second, "the server has its power back", func() error {
			m, err := f.member(other, dead)
			if err == nil && (m.Demoted || m.Power != roster.FullPower) {
				err = fmt.Errorf("power %d", m.Power)
			}
			return err
		})
		t.Logf("server %d: longest pause %v, demoted before command %d, caught up after %v, full power after %v",
			dead+1, gap.Round(time.Millisecond), demoted, back.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
		s.after(20)
	}
	receipts := s.end()
	f.sound()
	for i := range f.URLs {
		f.kept(i, receipts)
	}
}
