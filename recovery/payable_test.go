package recovery_test

import (
	"errors"
	"testing"

	"souk/recovery"
	"souk/script"
)

// nothing is planned to go where anybody could take it, or nobody.
func TestPlanRefuses(t *testing.T) {
	for _, test := range []struct {
		network string
		to      []byte
		want    error
	}{
		{"bitcoin-regtest", append([]byte{0x51, 32}, make([]byte, 32)...), script.ErrUnspendable},
		{"namecoin-regtest", append([]byte{0x51, 32}, make([]byte, 32)...), script.ErrInactive},
		{"bitcoin-regtest", []byte{0x51}, script.ErrTemplate},
		{"bitcoin-regtest", nil, script.ErrTemplate},
		{"bitcoin-regtest", append([]byte{0, 31}, make([]byte, 31)...), script.ErrTemplate},
	} {
		w := newWorld(t, test.network, four)
		w.pay(0, script.Deposits, 0, 1e8)
		w.chain.Mine(lock)
		found := mustFind(t, w)
		if f, _, err := recovery.Plan(found, recovery.Order{To: test.to, Rate: rate}); f != nil || !errors.Is(err, test.want) {
			t.Errorf("%s, to %x: %v, want %v", test.network, test.to, err, test.want)
		}
		if _, _, err := recovery.Plan(found, recovery.Order{To: w.to, Rate: rate}); err != nil {
			t.Errorf("%s: %v", test.network, err)
		}
	}
}
