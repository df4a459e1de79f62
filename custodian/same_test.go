package custodian_test

import (
	"fmt"
	"testing"

	"souk/custodian/custodiantest"
	"souk/exchange"
	"souk/merkle"
)

// The same calls give the same commands, so that a simulation can be run again by its seed (W-20).
func TestSame(t *testing.T) {
	run := func() (root merkle.Hash) {
		f := federation(t, custodiantest.Config{Seed: 7})
		for _, name := range []string{"alice", "bob"} {
			deposit(t, f, name, 5*coin, 3*coin, coin)
		}
		f.Do("alice", &exchange.Donate{Bank: bank, Amount: coin})
		book := custodiantest.NewBook(f)
		for i := range 8 {
			book.Withdraw([]string{"alice", "bob"}[i%2], fmt.Sprint(i), coin/4, 1e6)
		}
		f.Calm()
		f.Chain.Disconnect(1)
		f.Mine(4)
		return f.State().Root()
	}
	if first, second := run(), run(); first != second {
		t.Errorf("%x and %x", first, second)
	}
}
