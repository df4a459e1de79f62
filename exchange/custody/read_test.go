package custody_test

import (
	"testing"

	"souk/exchange/custody"
)

// What is told to the owner of deposits and withdrawals goes on after they are credited
// and settled, and after loading; nobody else is told (Y-14, Y-90, Y-93).
func TestReceiptsAndPaid(t *testing.T) {
	w := regtest(t)
	w.turn(0, 2)
	w.deposit(1, 0, 3*coin)
	w.deposit(2, 0, coin)
	w.turn(0, 1)
	if got := w.s.Receipts(1); len(got) != 0 {
		t.Errorf("before they are deep: %+v", got)
	}
	w.turn(0, 6)
	check := func(s *custody.State) {
		t.Helper()
		got := s.Receipts(1)
		if len(got) != 1 || got[0].Amount != 3*coin || got[0].Bank != 1 || got[0].Depth == 0 {
			t.Errorf("receipts of 1: %+v", got)
		}
		if len(s.Receipts(2)) != 1 || s.Receipts(3) != nil {
			t.Error("receipts of others")
		}
	}
	check(w.s)
	id, code := w.withdraw(1, 0, "alice", coin, 10_000)
	if code != custody.OK {
		t.Fatal(code)
	}
	w.step()
	if limits, used := w.s.Hour(1, w.now); used != coin || limits.MaxPerHour == 0 {
		t.Errorf("%d used of %d", used, limits.MaxPerHour)
	}
	if _, _, _, _, ok := w.s.Mined(1, 1); ok {
		t.Error("mined already")
	}
	w.work(0, 1)
	if version, height, depth, required, ok := w.s.Mined(1, 1); !ok || version != 1 || height == 0 || depth != 1 || required == 0 {
		t.Errorf("version %d at %d, depth %d of %d, %v", version, height, depth, required, ok)
	}
	w.turn(0, 6)
	for _, s := range []*custody.State{w.s, again(t, w.s)} {
		check(s)
		got := s.Paid(1)
		if len(got) != 1 || got[0].ID != id || got[0].Amount != coin || len(s.Paid(2)) != 0 {
			t.Errorf("paid to 1: %+v", got)
		}
	}
	if _, used := w.s.Hour(1, w.now+3_600_000); used != 0 {
		t.Errorf("%d used after an hour", used)
	}
	if n := w.s.Delayed(1, w.now); n != 0 {
		t.Errorf("%d are delayed", n)
	}
}
