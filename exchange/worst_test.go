package exchange_test

import (
	"bytes"
	"crypto/sha256"
	"runtime"
	"testing"
	"time"

	"souk/exchange"
	. "souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/identity"
)

// crowdOf is so many accounts with a million euros.
func crowdOf(people int) *Crowd { return NewCrowd(people, EUR) }

// orders lets everybody place so many orders.
func orders(c *Crowd, each int) {
	c.All(each, func(int, int) exchange.Body { return limit(market.Buy, 100e8, Coin/100, "") })
}

// due tells whether a block is due now, and checks the state.
func due(t testing.TB, c *Crowd) bool {
	t.Helper()
	if err := c.State.Check(); err != nil {
		t.Fatal(err)
	}
	at, ok := c.State.NextDue()
	return ok && at <= c.Time
}

// events counts the events of a kind.
func events(r *exchange.Result, kind exchange.EventKind) (n int) {
	for i := range r.Events {
		if r.Events[i].Kind == kind {
			n++
		}
	}
	return n
}

// TestDueTimers: a block carries out as many timers as it may, whole ones, and the
// next block is due at once (K-12, L-65).
func TestDueTimers(t *testing.T) {
	c := crowdOf(10)
	orders(c, 3)
	at := c.Time + 30_000
	c.All(1, func(int, int) exchange.Body { return &exchange.CancelAllAfter{Delay: at - c.Time - 10} })
	c.State.SetBounds(10, 1_000) // two accounts, and the third is begun
	c.Time = at
	for i, want := range []int{3, 3, 3, 1, 0} {
		twin := clone(t, c.State)
		twin.SetBounds(10, 1_000)
		r := c.Block()
		if got := events(r, exchange.EventTimerFired); got != want {
			t.Errorf("block %d: %d timers, want %d", i, got, want)
		}
		if got := twin.Apply(&exchange.Block{Height: c.Height, Time: c.Time, Proposer: Key(MemberName(0) + "/consensus").Public()}); got.Root != r.Root {
			t.Errorf("block %d: a reloaded state goes another way", i)
		}
		if due(t, c) != (i < 3) {
			t.Errorf("block %d: the next one is due: %t", i, due(t, c))
		}
	}
	if n := c.State.Markets().Len(); n != 0 {
		t.Errorf("%d orders are left", n)
	}
}

// TestDueEscrows: the same for escrows (K-12, E-23); what waits cannot be claimed any more.
func TestDueEscrows(t *testing.T) {
	c := crowdOf(10)
	secret := [32]byte{1}
	deadline := c.Time + 30_000
	c.All(3, func(i, _ int) exchange.Body {
		return &exchange.Lock{
			Payee: identity.AddressOf(c.People[(i+1)%10]), Asset: EUR, Amount: 1, Hash: sha256.Sum256(secret[:]), Deadline: deadline,
		}
	})
	c.State.SetBounds(12, 1_000)
	c.Time = deadline
	claim := c.By(1, &exchange.Claim{Escrow: 30, Preimage: secret[:]})
	for i, want := range []int{12, 12, 6, 0} {
		var commands []exchange.Command
		if i == 0 {
			commands = append(commands, claim)
		}
		r := c.Block(commands...)
		if got := events(r, exchange.EventEscrowBack); got != want {
			t.Errorf("block %d: %d went back, want %d", i, got, want)
		}
		if i == 0 && r.Receipts[0].Code != exchange.TooLate {
			t.Errorf("a claim at the deadline: %s", r.Receipts[0].Code)
		}
		if due(t, c) != (i < 2) {
			t.Errorf("block %d: the next one is due: %t", i, due(t, c))
		}
	}
}

// TestCancelAllBusy: cancel-alls end a bounded number of orders in a block, each all
// or none of its own; single cancels go on (K-5, K-12).
func TestCancelAllBusy(t *testing.T) {
	c := crowdOf(10)
	orders(c, 3)
	c.State.SetBounds(1_000, 10)
	var commands []exchange.Command
	for i := range c.People {
		commands = append(commands, c.By(i, &exchange.CancelAll{}))
	}
	n := 0 // whose commands come last (K-1)
	for i := range c.People {
		if a, b := identity.AddressOf(c.People[i]), identity.AddressOf(c.People[n]); bytes.Compare(a[:], b[:]) > 0 {
			n = i
		}
	}
	number, _ := c.State.Ledger().Find(commands[n].Account)
	single := c.By(n, &exchange.Cancel{Target: exchange.Target{Order: c.State.Markets().Owned(nil, market.Owner(number))[0]}})
	r := c.Block(append(commands, single)...)
	codes := map[exchange.Code]int{}
	for i := range commands {
		rc := r.Receipts[i]
		codes[rc.Code]++
		number, _ := c.State.Ledger().Find(commands[i].Account)
		left := len(c.State.Markets().Owned(nil, market.Owner(number)))
		if rc.Code == exchange.OK && left != 0 || rc.Code == exchange.BlockBusy && left != 3 && (i != n || left != 2) {
			t.Errorf("%s, and %d orders are left", rc.Code, left)
		}
	}
	if codes[exchange.OK] != 4 || codes[exchange.BlockBusy] != 6 || r.Receipts[len(commands)].Code != exchange.OK {
		t.Error(codes, r.Receipts[len(commands)].Code)
	}
	commands = commands[:0]
	for i := range c.People { // who has nothing left is not busy
		commands = append(commands, c.By(i, &exchange.CancelAll{}))
	}
	if got := tally(c.World, commands); got[exchange.OK] != 8 || got[exchange.BlockBusy] != 2 {
		t.Error(got)
	}
	if err := c.State.Check(); err != nil {
		t.Error(err)
	}
}

// BenchmarkWorst measures the blocks that are the most work, of every kind.
func BenchmarkWorst(b *testing.B) {
	for _, x := range WorstBlocks() {
		b.Run(x.Name, func(b *testing.B) {
			c, commands := x.Make()
			runtime.GC()
			begin := time.Now()
			r := c.Block(commands...)
			b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/block")
			b.ReportMetric(float64(len(r.Changes)), "leaves")
		})
	}
}
