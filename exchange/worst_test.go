package exchange_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"runtime"
	"testing"
	"time"

	"souk/exchange"
	. "souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/identity"
)

// crowd is many accounts with money that sign nothing: Apply does not verify.
type crowd struct {
	*World
	people []identity.PublicKey
	nonces []uint64
	serial uint64
}

func newCrowd(n int) *crowd {
	c := &crowd{World: New(1), nonces: make([]uint64, n)}
	for i := range n {
		c.people = append(c.people, identity.NewKey(sha256.Sum256(fmt.Append(nil, "crowd ", i))).Public())
	}
	for from := 0; from < n; from += 1000 {
		var commands []exchange.Command
		for _, p := range c.people[from:min(n, from+1000)] {
			commands = append(commands, c.Command("issuer", &exchange.Mint{Asset: EUR, Amount: 1_000_000 * Coin, To: identity.AddressOf(p)}))
		}
		c.Block(commands...)
	}
	return c
}

// by is a command of somebody.
func (c *crowd) by(i int, body exchange.Body) exchange.Command {
	c.nonces[i]++
	c.serial++
	cmd := exchange.Command{
		Kind: body.Kind(), Account: identity.AddressOf(c.people[i]), Key: c.people[i], Nonce: c.nonces[i], Expiry: c.Time + 60_000, Body: body.Append(nil),
	}
	cmd.ID = exchange.CommandID{1, byte(c.serial), byte(c.serial >> 8), byte(c.serial >> 16), byte(c.serial >> 24)}
	return cmd
}

// all lets everybody do something so many times, in full blocks.
func (c *crowd) all(t testing.TB, times int, body func(i, n int) exchange.Body) {
	t.Helper()
	var commands []exchange.Command
	flush := func() {
		for _, r := range c.Block(commands...).Receipts {
			if r.Code != exchange.OK {
				t.Fatal(r.Code)
			}
		}
		commands = commands[:0]
	}
	for n := range times {
		for i := range c.people {
			if commands = append(commands, c.by(i, body(i, n))); len(commands) == exchange.MaxBlockCommands {
				flush()
			}
		}
	}
	flush()
}

func (c *crowd) orders(t testing.TB, each int) {
	t.Helper()
	c.all(t, each, func(int, int) exchange.Body { return limit(market.Buy, 100e8, Coin/100, "") })
}

// due tells whether a block is due now, and checks the state.
func (c *crowd) due(t testing.TB) bool {
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
	c := newCrowd(10)
	c.orders(t, 3)
	at := c.Time + 30_000
	c.all(t, 1, func(int, int) exchange.Body { return &exchange.CancelAllAfter{Delay: at - c.Time - 10} })
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
		if c.due(t) != (i < 3) {
			t.Errorf("block %d: the next one is due: %t", i, c.due(t))
		}
	}
	if n := c.State.Markets().Len(); n != 0 {
		t.Errorf("%d orders are left", n)
	}
}

// TestDueEscrows: the same for escrows (K-12, E-23); what waits cannot be claimed any more.
func TestDueEscrows(t *testing.T) {
	c := newCrowd(10)
	secret := [32]byte{1}
	deadline := c.Time + 30_000
	c.all(t, 3, func(i, _ int) exchange.Body {
		return &exchange.Lock{
			Payee: identity.AddressOf(c.people[(i+1)%10]), Asset: EUR, Amount: 1, Hash: sha256.Sum256(secret[:]), Deadline: deadline,
		}
	})
	c.State.SetBounds(12, 1_000)
	c.Time = deadline
	claim := c.by(1, &exchange.Claim{Escrow: 30, Preimage: secret[:]})
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
		if c.due(t) != (i < 2) {
			t.Errorf("block %d: the next one is due: %t", i, c.due(t))
		}
	}
}

// TestCancelAllBusy: cancel-alls end a bounded number of orders in a block, each all
// or none of its own; single cancels go on (K-5, K-12).
func TestCancelAllBusy(t *testing.T) {
	c := newCrowd(10)
	c.orders(t, 3)
	c.State.SetBounds(1_000, 10)
	var commands []exchange.Command
	for i := range c.people {
		commands = append(commands, c.by(i, &exchange.CancelAll{}))
	}
	n := 0 // whose commands come last (K-1)
	for i := range c.people {
		if a, b := identity.AddressOf(c.people[i]), identity.AddressOf(c.people[n]); bytes.Compare(a[:], b[:]) > 0 {
			n = i
		}
	}
	number, _ := c.State.Ledger().Find(commands[n].Account)
	single := c.by(n, &exchange.Cancel{Target: exchange.Target{Order: c.State.Markets().Owned(nil, market.Owner(number))[0]}})
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
	for i := range c.people { // who has nothing left is not busy
		commands = append(commands, c.by(i, &exchange.CancelAll{}))
	}
	if got := tally(c.World, commands); got[exchange.OK] != 8 || got[exchange.BlockBusy] != 2 {
		t.Error(got)
	}
	if err := c.State.Check(); err != nil {
		t.Error(err)
	}
}

// BenchmarkWorst measures the blocks in which most falls due or is cancelled at once.
func BenchmarkWorst(b *testing.B) {
	timed := func(b *testing.B, c *crowd, commands ...exchange.Command) {
		b.Helper()
		runtime.GC()
		begin := time.Now()
		r := c.Block(commands...)
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/block")
		b.ReportMetric(float64(len(r.Changes)), "leaves")
	}
	b.Run("cancel-all", func(b *testing.B) {
		c := newCrowd(1_500)
		c.orders(b, 200)
		var commands []exchange.Command
		for i := range c.people {
			commands = append(commands, c.by(i, &exchange.CancelAll{}))
		}
		timed(b, c, commands...)
	})
	b.Run("due", func(b *testing.B) {
		c := newCrowd(1_500)
		at := c.Time + 50_000
		c.all(b, 200, func(i, _ int) exchange.Body {
			payee := identity.AddressOf(c.people[(i+1)%len(c.people)])
			return &exchange.Lock{Payee: payee, Asset: EUR, Amount: 1, Deadline: at}
		})
		c.orders(b, 100)
		c.all(b, 100, func(int, int) exchange.Body {
			p := limit(market.Buy, 100e8, Coin/100, "")
			p.TIF, p.Expiry = market.GTD, at
			return p
		})
		c.all(b, 1, func(int, int) exchange.Body { return &exchange.CancelAllAfter{Delay: at - c.Time} })
		c.Time = at
		timed(b, c)
	})
}
