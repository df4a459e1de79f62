package custody_test

import (
	"testing"

	"souk/exchange/custody"
	"souk/script"
)

// Y-75: a halt covers all banks, and is lifted bank by bank: one that has what it owes does
// not wait for another one. A new reason halts all again.
func TestLiftOneBank(t *testing.T) {
	other := definition("litecoin-regtest", 1)
	other.Asset = 2
	w := newWorld(t, 4, definition("bitcoin-regtest", 1), other)
	w.turn(0, 2)
	w.turn(1, 2)
	w.deposit(1, 0, 5*coin)
	stolen := w.deposit(1, 1, 5*coin)
	w.turn(0, 4)
	w.turn(1, 4)
	w.twin = again(t, w.s)
	w.chains[1].pool = []*tx{{id: hashOf("thief"), spends: []script.Outpoint{stolen.pays[0].At}}}
	w.turn(1, 1)
	halts := func(first, second custody.Reason) {
		t.Helper()
		if a, b := w.s.HaltOf(1), w.s.HaltOf(2); a.Reason != first || b.Reason != second || (first != 0 || second != 0) != (w.s.Halted().Reason != 0) {
			t.Fatalf("%+v, %+v, %+v", a, b, w.s.Halted())
		}
	}
	code := func(id custody.Bank, want custody.Code) {
		t.Helper()
		w.both(func(s *custody.State) any {
			check, got := mayLift(s, id), liftNow(s, id)
			if got != want || check != want {
				t.Fatalf("bank %d: %d, %d, want %d", id, check, got, want)
			}
			return got
		})
	}
	halts(custody.Theft, custody.Theft)
	code(2, custody.Unbalanced)
	code(3, custody.UnknownBank)
	code(1, custody.OK)
	code(1, custody.NotHalted)
	halts(custody.Running, custody.Theft)
	w.reload()
	w.deposit(1, 0, 2*coin)
	before := w.available[1]
	w.turn(0, 4)
	if got := w.available[1] - before; got != 2*coin {
		t.Fatalf("%d are credited", got)
	}
	w.withdraw(1, 0, "bob", coin, 100_000)
	w.work(0, 6)
	if len(w.paid) != 1 {
		t.Fatalf("%+v", w.paid)
	}
	// The first reason stays while no bank runs, and a new one halts those that do.
	w.both(func(s *custody.State) any { return s.HaltAll(custody.Vote) })
	halts(custody.Vote, custody.Vote)
	w.both(func(s *custody.State) any { return s.HaltAll(custody.Books) })
	halts(custody.Vote, custody.Vote)
	w.both(func(s *custody.State) any { return []bool{s.HaltAll(custody.Books), s.HaltAll(custody.Vote)} })
	halts(custody.Vote, custody.Vote)
	if n, newest := w.s.Reasons(); n != 4 || newest != (custody.Halt{Reason: custody.Vote}) {
		t.Fatalf("%d reasons, %+v", n, newest)
	}
	w.reload()
	w.gift(1, 6*coin)
	w.turn(1, 5)
	code(2, custody.OK)
	halts(custody.Vote, custody.Running)
	code(1, custody.OK)
	halts(custody.Running, custody.Running)
	code(2, custody.NotHalted)
	w.reload()
	w.turn(0, 1)
}

// liftNow ends a halt after a vote of members who have seen all reasons for it.
func liftNow(s *custody.State, id custody.Bank) custody.Code {
	n, _ := s.Reasons()
	return s.Lift(id, n)
}

// mayLift tells what liftNow would.
func mayLift(s *custody.State, id custody.Bank) custody.Code {
	n, _ := s.Reasons()
	return s.CheckLift(id, n)
}

// Y-77: what halts the banks again while they are halted is one more reason. The first one stays, the newest is
// told, and who has seen one less lifts nothing.
func TestReasons(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	first, second := w.deposit(1, 0, 5*coin), w.deposit(1, 0, 3*coin)
	third := w.deposit(1, 0, 2*coin)
	w.turn(0, 4)
	w.twin = again(t, w.s)
	steal := func(names ...*tx) (stops int) {
		t.Helper()
		for _, x := range names {
			w.chains[0].pool = append(w.chains[0].pool, &tx{id: hashOf("thief", x.id), spends: []script.Outpoint{x.pays[0].At}})
		}
		w.chains[0].mine(anything)
		w.attest(0, w.members...)
		for _, e := range w.step() {
			if e.Kind == custody.Stopped {
				stops++
			}
		}
		w.gift(0, 10*coin)
		w.turn(0, 6)
		return stops
	}
	reasons := func(want, height uint32) {
		t.Helper()
		n, newest := w.s.Reasons()
		if n != want || newest.Height != height || newest.Reason != custody.Theft {
			t.Fatalf("%d reasons, the newest %+v", n, newest)
		}
		w.reload()
	}
	if n := steal(first); n != 1 {
		t.Fatalf("%d stops", n)
	}
	at := w.s.Halted()
	reasons(1, at.Height)
	if n := steal(second, third); n != 1 { // both of one block
		t.Fatalf("%d stops", n)
	}
	if w.s.Halted() != at {
		t.Fatalf("first %+v, then %+v", at, w.s.Halted())
	}
	reasons(2, at.Height+7)
	w.both(func(s *custody.State) any {
		for _, seen := range []uint32{0, 1, 3} {
			if check, code := s.CheckLift(1, seen), s.Lift(1, seen); check != custody.Unseen || code != custody.Unseen {
				t.Errorf("%d of 2 seen: %d, %d", seen, check, code)
			}
		}
		return s.Lift(1, 2)
	})
	if n, newest := w.s.Reasons(); n != 2 || newest != (custody.Halt{}) || w.s.Halted() != (custody.Halt{}) {
		t.Errorf("%d, %+v, %+v", n, newest, w.s.Halted())
	}
	w.reload()
}
