package script_test

import (
	"bytes"
	"testing"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"pgregory.net/rapid"

	"souk/asset"
	"souk/script"
)

func message(t *script.Transaction) *wire.MsgTx {
	m := wire.NewMsgTx(int32(t.Version))
	m.LockTime = t.LockTime
	for i := range t.Inputs {
		in := wire.NewTxIn(wire.NewOutPoint((*chainhash.Hash)(&t.Inputs[i].Tx), t.Inputs[i].Index), nil, nil)
		in.Sequence = t.Sequence
		m.AddTxIn(in)
	}
	for i := range t.Outputs {
		m.AddTxOut(wire.NewTxOut(int64(t.Outputs[i].Amount), t.Outputs[i].Script))
	}
	return m
}

// bytes and id are those that btcd computes.
func TestTransactionAsBtcd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tx := &script.Transaction{
			Version:  rapid.SampledFrom([]uint32{1, script.Version}).Draw(t, "version"),
			Sequence: rapid.Uint32().Draw(t, "sequence"), LockTime: rapid.Uint32().Draw(t, "lock time"),
		}
		for range rapid.SampledFrom([]int{1, 2, 7, 252, 253, 300}).Draw(t, "inputs") {
			var o script.Outpoint
			copy(o.Tx[:], rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "tx"))
			o.Index = rapid.Uint32().Draw(t, "index")
			tx.Inputs = append(tx.Inputs, o)
		}
		for range rapid.SampledFrom([]int{1, 2, 100, 252, 253, 260}).Draw(t, "outputs") {
			tx.Outputs = append(tx.Outputs, script.Output{
				Script: drawOutput(t), Amount: asset.Amount(rapid.Uint64Range(0, uint64(asset.MaxSupply)).Draw(t, "amount")),
			})
		}
		m := message(tx)
		var want bytes.Buffer
		if err := m.SerializeNoWitness(&want); err != nil {
			t.Fatal(err)
		}
		if got := tx.AppendTo(nil); !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("bytes %x, want %x", got, want.Bytes())
		}
		if tx.ID() != script.Hash(m.TxHash()) || tx.ID().String() != m.TxHash().String() {
			t.Fatalf("id %v, want %v", tx.ID(), m.TxHash())
		}
	})
}

// the ids that nodes gave.
func TestRecordedIDs(t *testing.T) {
	for _, s := range readVault(t).Spends {
		tx := &script.Transaction{Version: script.Version, Sequence: script.SequenceReplace, Inputs: []script.Outpoint{s.Coin.At}}
		for _, o := range s.Outputs {
			tx.Outputs = append(tx.Outputs, script.Output{Script: unhex(t, o.Script), Amount: o.Amount})
		}
		if tx.ID() != s.TxID {
			t.Errorf("%s: id %v, want %v", s.Network, tx.ID(), s.TxID)
		}
	}
}

// the fee is rounded up twice, to whole bytes and to whole units.
func TestFee(t *testing.T) {
	for _, c := range []struct {
		rate   asset.Amount
		weight uint64
		want   asset.Amount
		ok     bool
	}{
		{1000, 864, 216, true},
		{1000, 861, 216, true},
		{1000, 865, 217, true},
		{1001, 864, 217, true},
		{1, 4, 1, true},
		{0, 864, 0, true},
		{100_000, 861, 21_600, true},
		{1 << 63, 1 << 40, 0, false},
		{1, 1<<64 - 1, 0, false},
	} {
		got, ok := script.Fee(c.rate, c.weight)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("rate %d, weight %d: %d, %v; want %d, %v", c.rate, c.weight, got, ok, c.want, c.ok)
		}
	}
}

func BenchmarkID(b *testing.B) {
	tx := &script.Transaction{Version: script.Version, Inputs: make([]script.Outpoint, 10)}
	for range 100 {
		tx.Outputs = append(tx.Outputs, script.Output{Script: make([]byte, 34), Amount: 1e8})
	}
	b.ReportAllocs()
	for b.Loop() {
		tx.ID()
	}
}
