package exchange_test

import (
	"bytes"
	"fmt"
	"testing"

	"souk/exchange"
	. "souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/exchange/roster"
	"souk/identity"
)

// TestCrowd: a delegate cannot crowd out the owner who takes its power away (B-9).
func TestCrowd(t *testing.T) {
	w := New(1)
	w.Fund(EUR, Coin, "alice")
	p := exchange.DefaultParams()
	p.AccountCommands = 4
	vote := &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, roster.SetParams{Params: p.Append(nil)}, 0)}
	if code := w.Do(MemberName(0), vote); code != exchange.OK {
		t.Fatal(code)
	}
	owner := Key("alice").Public()
	var bot identity.PrivateKey // sorts before the owner
	for i := 0; ; i++ {
		bot = Key(fmt.Sprint("bot ", i))
		if key := bot.Public(); bytes.Compare(key[:], owner[:]) < 0 {
			break
		}
	}
	if code := w.Do("alice", &exchange.AddDelegate{Key: bot.Public(), Scopes: ledger.Trade}); code != exchange.OK {
		t.Fatal(code)
	}
	commands := []exchange.Command{w.Command("alice", &exchange.RemoveDelegate{Key: bot.Public()})}
	for range 8 {
		commands = append(commands, w.CommandBy(Address("alice"), bot, &exchange.CancelAll{}))
	}
	busy := 0
	for i, r := range w.Block(commands...).Receipts {
		if r.Code == exchange.AccountBusy {
			busy++
			if i == 0 {
				t.Error("the owner was crowded out")
			}
		}
	}
	if busy != 4 {
		t.Errorf("%d commands of the delegate were too many, want 4", busy)
	}
}
