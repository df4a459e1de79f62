package exchange_test

import (
	"slices"
	"testing"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	. "souk/exchange/exchangetest"
	"souk/exchange/roster"
)

// decide makes a block of the yes of some members to an action, and answers the codes.
func decide(t *testing.T, w *World, action roster.Action, salt uint32, members ...int) (codes []exchange.Code) {
	t.Helper()
	for _, r := range w.Block(ballots(w, action, salt, members...)...).Receipts {
		codes = append(codes, r.Code)
	}
	checked(t, w)
	return codes
}

// ballots are the yes of some members to an action.
func ballots(w *World, action roster.Action, salt uint32, members ...int) (votes []exchange.Command) {
	for _, i := range members {
		votes = append(votes, w.Command(MemberName(i), &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, action, salt)}))
	}
	return votes
}

// lifts are the open votes on lifting.
func lifts(w *World) (n int) {
	for v := range w.State.Roster().Votes {
		if a, _, err := roster.ParseAction(v.Action); err == nil && a.Kind() == roster.KindLiftBank && v.Passed == 0 {
			n++
		}
	}
	return n
}

// twoCoins is a world in which Alice has two coins, of 2 and 5.
func twoCoins(t *testing.T) (*World, *Chain, []custody.Input) {
	t.Helper()
	w, c := bankWorld(t)
	number := bankBlock(t, w, w.Command("alice", &exchange.NewAddress{Bank: Bank})).Receipts[0].Number
	c.Pay(uint32(number>>32), uint32(number), 2*Coin)
	c.Pay(uint32(number>>32), uint32(number), 5*Coin)
	c.Mine(6)
	bankBlock(t, w, c.Attest()...)
	var coins []custody.Input
	w.State.Banks().Coins(Bank, func(x custody.Coin) bool {
		coins = append(coins, x.Input)
		return true
	})
	slices.SortFunc(coins, func(x, y custody.Input) int { return int(x.Amount) - int(y.Amount) })
	return w, c, coins
}

// Y-77: members vote to lift what they know. A theft that comes during the halt is none of that: neither the
// votes of before count any more, nor those that were signed before and come later, though somebody makes good what is missing.
func TestBankLiftSecondReason(t *testing.T) {
	w, c, coins := twoCoins(t)
	steal := func(i int, amount asset.Amount) {
		t.Helper()
		c.Spend(coins[i].At, BankHash("thief", i))
		c.Mine(1)
		if res := bankBlock(t, w, c.Attest()...); !slices.Contains(kinds(res), exchange.EventBanksHalted) {
			t.Fatalf("theft %d: %v", i, kinds(res))
		}
		bankBlock(t, w, w.Command("alice", &exchange.Donate{Bank: Bank, Amount: amount}))
	}
	steal(0, 2*Coin)
	known := Lift(w.State)
	late := ballots(w, known, 0, 0, 1, 2) // on their way
	if got := decide(t, w, known, 1, 0, 1); got[0] != exchange.OK || got[1] != exchange.OK || lifts(w) != 1 {
		t.Fatalf("%v", got)
	}
	steal(1, 5*Coin-1)
	bankBlock(t, w, w.Command("alice", &exchange.Donate{Bank: Bank, Amount: 1}))
	if n := lifts(w); n != 0 || w.State.Solvency()[0].Deficit != 0 {
		t.Fatalf("%d votes on lifting are open, %+v", n, w.State.Solvency())
	}
	if got := decide(t, w, known, 1, 2); got[0] != exchange.BadAction {
		t.Errorf("the third yes to what was known: %v", got)
	}
	for _, r := range w.Block(late...).Receipts {
		if r.Code != exchange.BadAction {
			t.Errorf("a yes that was on its way: %s", r.Code)
		}
	}
	if h := w.State.Banks().Halted(); h.Reason != custody.Theft {
		t.Fatalf("lifted: %+v", h)
	}
	next := known
	next.Reasons++
	if got := decide(t, w, next, 1, 0, 1, 2); got[2] != exchange.OK || w.State.Banks().Halted().Reason != custody.Running {
		t.Errorf("not lifted by who knows all: %v", got)
	}
	// Nor does anybody know of what is to come.
	next.Reasons++
	bankBlock(t, w, ballots(w, roster.HaltBanks{}, 1, 0, 1, 2)...)
	next.Reasons++
	if got := decide(t, w, next, 1, 0); got[0] != exchange.BadAction {
		t.Errorf("a yes to reasons that there are not: %v", got)
	}
	if got := decide(t, w, Lift(w.State), 1, 0); got[0] != exchange.OK {
		t.Errorf("%v", got)
	}
}

// Y-77: books that are wrong again during their own halt are no news to anybody, but votes on lifting it are void.
func TestBankBooksAgain(t *testing.T) {
	w, c := bankWorld(t)
	deposited(t, w, c, Coin)
	l := w.State.Ledger()
	n, _ := l.Find(Address("alice"))
	spoil := func() {
		t.Helper()
		l.Mint([20]byte{}, TBC, 5, n)
		w.Block()
		if !l.Debit(n, TBC, 5) {
			t.Fatal("what was made up is gone")
		}
		l.Retire(TBC, 5)
	}
	spoil()
	lift := Lift(w.State)
	decide(t, w, lift, 0, 0, 1)
	if lifts(w) != 1 {
		t.Fatal("no vote")
	}
	spoil()
	if got := decide(t, w, lift, 0, 2); got[0] != exchange.OK || lifts(w) != 1 || w.State.Banks().Halted().Reason != custody.Books {
		t.Errorf("lifted by one: %v, %+v", got, w.State.Banks().Halted())
	}
}
