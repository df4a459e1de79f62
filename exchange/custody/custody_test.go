package custody_test

import (
	"testing"

	"souk/exchange/custody"
)

// Y-14, Y-50, Y-70: a deposit is credited when it is deep, and paid out again.
func TestInAndOut(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 4))
	w.turn(0, 3)
	w.deposit(1, 0, 5*coin)
	w.turn(0, 1)
	if w.available[1] != 0 {
		t.Fatal("credited at once")
	}
	w.turn(0, 1)
	if w.available[1] != 5*coin {
		t.Fatalf("credited %d", w.available[1])
	}
	id, code := w.withdraw(1, 0, "alice", coin, 100_000)
	if code != custody.OK {
		t.Fatal(code)
	}
	w.step()
	w.reload()
	w.work(0, 2)
	w.reload()
	e, ok := w.paid[id]
	if !ok {
		info, _ := w.s.Bank(1)
		t.Fatalf("not paid: %+v %+v", info, w.events)
	}
	if e.Amount != coin || e.Fee == 0 || w.available[1] != 4*coin-e.Fee {
		t.Fatalf("%+v, %d left", e, w.available[1])
	}
	w.turn(0, 3)
}
