package custody_test

import (
	"testing"

	"souk/exchange/custody"
)

// Y-26: a payment to a series for which too few members can sign is credited to nobody and gives no bank what it lacks, as
// long as that is so: a coin that nobody can spend is worth nothing to those who would have to pay for it.
func TestPaidToLostSeries(t *testing.T) {
	w := regtest(t)
	w.turn(0, 2)
	a := w.address(1, 0)
	w.twin = again(t, w.s)
	w.members, w.count = []custody.Member{1, 2, 5, 6}, 4
	w.step()
	w.pay(0, a.Series, 1, a.Index, 5*coin)
	w.gift(0, coin)
	w.turn(0, 8)
	if w.available[1] != 0 || w.reserves[0] != 0 {
		t.Fatalf("credited %d, donated %d", w.available[1], w.reserves[0])
	}
	w.reload()
	w.members, w.count = []custody.Member{1, 2, 3, 5, 6}, 5
	w.step()
	w.step()
	if w.available[1] != 5*coin || w.reserves[0] != coin {
		t.Fatalf("credited %d, donated %d", w.available[1], w.reserves[0])
	}
}

// Y-25: a member who announces another key on a new server has lost what he had before: he does not count for that any more, and
// can go himself. Others who announce a key have both.
func TestLostKeys(t *testing.T) {
	w := regtest(t)
	w.turn(0, 2)
	w.twin = again(t, w.s)
	leave := func(who custody.Member, want custody.Code) {
		t.Helper()
		w.both(func(s *custody.State) any {
			got := s.CheckLeave(custody.Members{Present: w.members, Count: 4}, who)
			if got != want {
				t.Errorf("%d: %d, want %d", who, got, want)
			}
			return got
		})
	}
	announce := func(who custody.Member, n int) {
		t.Helper()
		w.both(func(s *custody.State) any { return s.AnnounceKey(who, 1, memberKey(who, 0, n), w.now) })
		w.step()
	}
	announce(3, 1)
	leave(2, custody.OK)
	w.both(func(s *custody.State) any { s.Replaced(4); return nil })
	w.step()
	leave(2, custody.OK) // the keys may be in a backup
	announce(4, 1)
	leave(2, custody.Needed)
	leave(3, custody.Needed)
	leave(4, custody.OK)
	w.both(func(s *custody.State) any { return s.OpenSeries(1, w.members, w.now) })
	w.turn(0, 1)
	leave(2, custody.OK) // nothing is left in the series before
	announce(4, 2)
	leave(2, custody.OK)
	w.reload()
}

// Y-25: who may go and who may not, with coins of two series, one in a transaction, and a payment that is not credited yet.
func TestLeave(t *testing.T) {
	w := regtest(t)
	w.turn(0, 2)
	old := w.address(1, 0)
	leave := func(who custody.Member, want custody.Code, members ...custody.Member) {
		t.Helper()
		w.both(func(s *custody.State) any {
			got := s.CheckLeave(custody.Members{Present: members, Count: len(members) + 1}, who)
			if got != want {
				t.Errorf("%d of %v: %d, want %d", who, members, got, want)
			}
			return got
		})
	}
	leave(4, custody.OK, 1, 2, 3, 4)
	leave(3, custody.Needed, 1, 2, 3) // of the newest series, though there is nothing yet
	leave(4, custody.OK, 1, 2, 3)     // who is barred, or no member
	leave(4, custody.OK, 1, 2)        // though there are too few already
	leave(1, custody.Needed, 1, 2)    // fewer than it takes, and fewer still
	leave(5, custody.OK, 1, 2, 3, 5)  // who has no key

	w.members, w.count = []custody.Member{1, 2, 3, 5}, 4
	w.step()
	for _, m := range w.members {
		w.s.AnnounceKey(m, 1, memberKey(m, 0, 1), w.now)
	}
	if code := w.s.OpenSeries(1, w.members, w.now); code != custody.OK {
		t.Fatal(code)
	}
	w.twin = again(t, w.s)
	w.turn(0, 1)
	leave(5, custody.OK, 1, 2, 3, 5)
	leave(3, custody.OK, 1, 2, 3, 5) // series 0 has nothing
	w.pay(0, old.Series, 1, old.Index, 5*coin)
	w.gift(0, coin) // to series 0, too
	w.turn(0, 1)
	leave(3, custody.Needed, 1, 2, 3, 5) // a payment that will be credited
	leave(5, custody.OK, 1, 2, 3, 5)
	w.turn(0, 8) // it is a coin, and moves
	if info, _ := w.s.Bank(1); len(info.Live) != 1 {
		t.Fatalf("%+v", info)
	}
	leave(3, custody.Needed, 1, 2, 3, 5)
	w.work(0, 12)
	leave(3, custody.OK, 1, 2, 3, 5)
	leave(3, custody.Needed, 1, 2, 3) // now for the newest
	w.pay(0, old.Series, 1, old.Index, 5*coin)
	w.members, w.count = []custody.Member{1, 2, 5, 6, 7}, 5
	w.step()
	w.turn(0, 1)
	leave(6, custody.OK, 1, 2, 5, 6, 7)
	leave(2, custody.Needed, 1, 2, 5, 6, 7)
	leave(2, custody.Needed, 1, 2, 3, 5, 6) // enough for the newest, and for what was paid to the older one too few
}
