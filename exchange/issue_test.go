package exchange_test

import (
	"fmt"
	"testing"

	"souk/exchange"
	. "souk/exchange/exchangetest"
	"souk/exchange/roster"
)

// TestIssueLimit is L-46: what everybody lists and keeps for ever, nobody makes at will.
func TestIssueLimit(t *testing.T) {
	w := New(1)
	w.Fund(EUR, Coin, "alice", "bob")
	issue := func(symbol string) exchange.Body { return &exchange.Issue{Symbol: symbol, MaxSupply: 9} }
	most := int(exchange.DefaultParams().AccountAssets)
	var commands []exchange.Command
	for i := range most + 3 {
		commands = append(commands, w.Command("alice", issue(fmt.Sprintf("X%d", i))))
	}
	if codes := tally(w, commands); codes[exchange.OK] != most || codes[exchange.TooManyIssued] != 3 {
		t.Error(codes)
	}
	var again *exchange.State
	var err error
	if again, err = exchange.Load(w.State.Founding(), w.State.Leaves); err != nil {
		t.Fatal(err)
	}
	w.State = again // as after a start
	if code := w.Do("alice", issue("XX")); code != exchange.TooManyIssued {
		t.Errorf("after a start: %s", code)
	}
	if code := w.Do("bob", issue("XX")); code != exchange.OK {
		t.Errorf("somebody else: %s", code)
	}
	reserve := &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, roster.AllowSymbol{Symbol: "GOLD", Issuer: Address("alice")}, 0)}
	if code := w.Do(MemberName(0), reserve); code != exchange.OK {
		t.Fatal(code)
	}
	if code := w.Do("alice", issue("GOLD")); code != exchange.OK {
		t.Errorf("a symbol that is reserved for alice: %s", code)
	}
	if code := w.Do("alice", issue("XY")); code != exchange.TooManyIssued {
		t.Errorf("and then another: %s", code)
	}
	setParams(t, w, func(p *exchange.Params) { p.AccountAssets = uint32(most) + 2 })
	if code := w.Do("alice", issue("XY")); code != exchange.OK {
		t.Errorf("after a vote: %s", code)
	}
}
