package custodian_test

import (
	"testing"

	"souk/asset"
	"souk/custodian/custodiantest"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
)

const (
	bank = custodiantest.Bank
	coin = custodiantest.Coin
)

// federation is a federation with accounts, at rest.
func federation(t *testing.T, cfg custodiantest.Config) *custodiantest.Federation {
	t.Helper()
	cfg.Dir = t.TempDir()
	f, err := custodiantest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.Chain.SetRate(2000)
	f.Open("alice", "bob", "carol", "dave", "erin")
	f.Calm()
	t.Cleanup(func() {
		if err := f.Check(); err != nil {
			t.Error(err)
		}
		for code, n := range f.Refused {
			t.Errorf("%d commands of custodians were refused: %s", n, code)
		}
	})
	return f
}

// deposit pays amounts to a fresh address of an account and waits until they are credited.
func deposit(t *testing.T, f *custodiantest.Federation, name string, amounts ...asset.Amount) {
	t.Helper()
	_, out := f.Address(name)
	before, sum := f.Available(name), asset.Amount(0)
	for _, a := range amounts {
		f.Chain.Pay(out, a)
		sum += a
	}
	f.Mine(6)
	if got := f.Available(name) - before; got != sum {
		t.Fatalf("%s got %d of %d", name, got, sum)
	}
}

// withdraw asks for a withdrawal and answers its number.
func withdraw(t *testing.T, f *custodiantest.Federation, name, to string, amount, bound asset.Amount) custody.ID {
	t.Helper()
	r := f.Do(name, &exchange.Withdraw{Request: custody.Request{Bank: bank, Script: exchangetest.Output(to), Amount: amount, MaxFee: bound}})
	if r.Code != exchange.OK {
		t.Fatal(r.Code)
	}
	return custody.ID(r.Number)
}

// A deposit is credited at its depth and not before, a withdrawal is signed, broadcast,
// mined and settled; in between and afterwards nobody says anything (W-20, W-21, W-30).
func TestLife(t *testing.T) {
	f := federation(t, custodiantest.Config{Verify: true})
	_, out := f.Address("alice")
	f.Calm()
	f.Chain.Pay(out, 3*coin)
	f.Mine(1)
	if got := f.Available("alice"); got != 0 {
		t.Fatalf("%d are credited at depth 1", got)
	}
	f.Mine(1)
	if got := f.Available("alice"); got != 3*coin {
		t.Fatalf("%d are credited at depth 2", got)
	}
	height := f.Height
	for range 100 {
		if f.Round() {
			t.Fatalf("a block without a reason: %d", f.Height-height)
		}
	}
	id := withdraw(t, f, "alice", "shop", coin, 1e6)
	f.Calm()
	if n := len(f.Chain.Pool()); n != 1 {
		t.Fatalf("%d transactions wait, %+v", n, f.Members[0].Custodian.Status())
	}
	f.Mine(2)
	s, ok := f.Banks().Settled(id)
	if !ok || s.Amount != coin || f.Chain.Balance(exchangetest.Output("shop")) != coin {
		t.Fatalf("settled: %+v, %v", s, ok)
	}
	if f.Round() {
		t.Error("a block without a reason")
	}
	st := f.Members[0].Custodian.Status()
	if st.Problem != "" || st.Agreed != st.Height || st.Attested != st.Height || st.Waiting != 0 || len(st.Live) != 0 || len(st.Faults) != 0 {
		t.Errorf("status %+v", st)
	}
}
