package gate_test

import (
	"testing"

	"souk/api"
	"souk/gate"
	"souk/store/memstore"
)

// J-50: the time of a payment is when it was asked for, also once servers do not say it any more.
func TestTimeOfPayment(t *testing.T) {
	t.Parallel()
	st := memstore.New()
	x := api.Withdrawal{ID: 7, Amount: "1", Address: "shop", Asked: 1_000, From: 5_000, State: api.WithdrawalWaiting}
	settled := api.Withdrawal{ID: 7, Amount: "1", Address: "shop", Time: 90_000, State: api.WithdrawalPaid}
	for _, x := range []*api.Withdrawal{&x, &settled, &settled} {
		m, err := gate.Departure(st, x)
		if err != nil {
			t.Fatal(err)
		}
		if m.Time != 1_000 {
			t.Errorf("%s: the time is %d", x.State, m.Time)
		}
	}
}
