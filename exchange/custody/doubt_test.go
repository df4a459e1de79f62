package custody_test

import (
	"testing"

	"souk/exchange/custody"
)

// Y-58, Y-72: a reorganisation past the depth takes the only input of a batch away for
// ever. No version is made of it any more, and long afterwards it is given up, though
// not while all banks are halted; another coin pays.
func TestInputInDoubt(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposit(2, 0, 20*coin)
	w.turn(0, 6)
	lost := w.deposit(1, 0, 9*coin)
	w.turn(0, 2)
	w.twin = again(t, w.s)
	id, code := w.withdraw(2, 0, "bob", 8*coin, 1_000_000)
	w.step()
	w.sign(0, w.members...)
	b, ok := w.s.Batch(1, 1)
	if code != custody.OK || !ok || len(b.Inputs) != 1 || b.Inputs[0].At.Tx != lost.id {
		t.Fatalf("%d, %+v", code, b)
	}
	c := w.chains[0]
	c.back(3)
	c.pool = nil
	w.turn(0, 5)
	if h := w.s.Halted(); h.Reason != custody.Reorganisation || deficit(w) != 9*coin {
		t.Fatalf("%+v, deficit %d", h, deficit(w))
	}
	w.gift(0, 9*coin)
	w.turn(0, 3)
	pass := func(n int) {
		for ; n > 0; n -= custody.MaxHashes {
			for range min(n, custody.MaxHashes) {
				c.mine(anything)
			}
			w.attest(0, w.members...)
			w.step()
		}
	}
	waits := func() bool {
		x, _ := w.s.Withdrawal(id)
		return x.Batch != 1
	}
	lift := func(want custody.Code) {
		w.both(func(s *custody.State) any {
			code := liftNow(s, 1)
			if code != want {
				t.Errorf("lift: %d", code)
			}
			return code
		})
	}
	lift(custody.OK)
	pass(900)
	if b, _ = w.s.Batch(1, 1); waits() || len(b.Versions) != 1 {
		t.Fatalf("%+v", b)
	}
	w.both(func(s *custody.State) any { return s.HaltAll(custody.Vote) })
	pass(200)
	if waits() {
		t.Fatal("given up while all is halted")
	}
	lift(custody.OK)
	w.step()
	if x, _ := w.s.Withdrawal(id); !waits() || len(x.GivenUp) != 1 || x.GivenUp[0] != 1 {
		t.Fatalf("%+v", x)
	}
	w.step()
	w.work(0, 6)
	if len(w.paid) != 1 || deficit(w) != 0 {
		t.Fatalf("%+v, deficit %d", w.paid, deficit(w))
	}
	// What comes back is the reserve's.
	before := w.reserves[0]
	c.pool = append(c.pool, lost)
	w.turn(0, 3)
	if w.reserves[0]-before != 9*coin || w.s.Halted().Reason != custody.Running {
		t.Fatalf("%d came back, %+v", w.reserves[0]-before, w.s.Halted())
	}
}
