package signer_test

import (
	"slices"
	"testing"

	"souk/asset"
	. "souk/exchange/exchangetest"
	"souk/signer"
)

// One member's signature of ten inputs, from the ledger's record on, journal included.
func BenchmarkSign(b *testing.B) {
	w := newWorld(b)
	w.deposit(slices.Repeat([]asset.Amount{Coin}, 10)...)
	batch := w.batch(w.withdraw(95e7))
	if x, _ := w.State.Banks().Batch(Bank, batch); len(x.Inputs) != 10 {
		b.Fatalf("%d inputs", len(x.Inputs))
	}
	for b.Loop() {
		s, err := signer.Open(b.TempDir()+"/journal", signer.Keys{BankNetwork: MemberKey(MemberName(0))})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Sign(w.State.Banks(), w.me, Bank, batch, 1); err != nil {
			b.Fatal(err)
		}
	}
}
