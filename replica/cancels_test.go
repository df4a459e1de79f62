package replica_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/replica"
)

// S-10: withdrawals that were cancelled, which the state forgets, are told to their
// owners: from memory, from the store, and for as long as they are kept.
func TestCancels(t *testing.T) {
	c := chainOf(t, exchangetest.BankFounding(4), replica.Config{Inline: true, Persist: replica.Persist{Blocks: 3}, Keep: replica.Keep{Days: 2}})
	n, coins := c.nodes[0], exchangetest.NewChain(c.world)
	names := []string{"alice", "bob"}
	for _, name := range names {
		c.commands(0, 100, []exchange.Command{c.world.ByServer(exchangetest.MemberName(0), &exchange.Admit{Bank: 1, Account: exchangetest.Address(name)})})
		number := c.result.Receipts[0].Number
		coins.Pay(uint32(number>>32), uint32(number), 10*exchangetest.Coin)
	}
	coins.Mine(12)
	c.commands(0, 100, coins.Attest())

	want := map[string][]replica.Cancelled{}
	ask := func(name string, amount int) custody.ID { // above the bound of the bank's delay, so that it waits
		r := custody.Request{Bank: 1, Script: exchangetest.Output("shop of " + name), Amount: 6*exchangetest.Coin + asset.Amount(amount), MaxFee: 100_000}
		c.commands(0, 100, []exchange.Command{c.world.Command(name, &exchange.Withdraw{Request: r})})
		if code := c.result.Receipts[0].Code; code != exchange.OK {
			t.Fatal(code)
		}
		x := replica.Cancelled{ID: custody.ID(c.result.Receipts[0].Number), Bank: 1, Script: r.Script, Amount: r.Amount, MaxFee: r.MaxFee, Asked: c.result.Time}
		want[name] = append(want[name], x)
		return x.ID
	}
	for i := range 5 {
		first, second := ask("alice", i), ask("bob", i)
		c.commands(0, 100, []exchange.Command{
			c.world.Command("alice", &exchange.CancelWithdrawal{Withdrawal: first}), c.world.Command("bob", &exchange.CancelWithdrawal{Withdrawal: second}),
		})
		for _, name := range names {
			x := &want[name][i]
			x.Height, x.Time = c.result.Height, c.result.Time
		}
	}
	check := func() {
		t.Helper()
		for _, name := range names {
			var got []replica.Cancelled
			for x, err := range n.Cancels(exchangetest.Address(name)) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, x)
			}
			slices.Reverse(got)
			if diff := cmp.Diff(want[name], got); diff != "" {
				t.Fatalf("%s: %s", name, diff)
			}
		}
	}
	check()
	n.crash(nil)
	n.replay()
	check()
	for range 5 { // days go by
		c.world.Time += 24 * 3600_000
		c.commands(0, 100, []exchange.Command{c.world.Command("alice", &exchange.NewAddress{Bank: 1})})
	}
	clear(want)
	check()
}
