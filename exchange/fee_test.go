package exchange_test

import (
	"testing"

	"souk/exchange"
	. "souk/exchange/exchangetest"
	"souk/exchange/roster"
)

// TestTimerFee: cancel-all-after is no cancel, and pays the command fee (B-8).
func TestTimerFee(t *testing.T) {
	w := New(1)
	w.Fund(EUR, 7, "alice")
	p := exchange.DefaultParams()
	p.FeeAsset, p.Fee = EUR, 5
	vote := &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, roster.SetParams{Params: p.Append(nil)}, 0)}
	if code := w.Do(MemberName(0), vote); code != exchange.OK {
		t.Fatal(code)
	}
	if code := w.Do("alice", &exchange.CancelAllAfter{Delay: 60_000}); code != exchange.OK || w.Available("alice", EUR) != 2 {
		t.Errorf("%s, and %d are left of 7", code, w.Available("alice", EUR))
	}
	if code := w.Do("alice", &exchange.CancelAllAfter{}); code != exchange.FeeUnpaid {
		t.Errorf("without the fee: %s", code)
	}
}
