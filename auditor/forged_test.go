package auditor_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"testing"

	"souk/asset"
	"souk/auditor"
	"souk/exchange/custody"
	. "souk/exchange/exchangetest"
	"souk/merkle"
	"souk/script"
)

// promised is a world in which a batch that pays Alice spends all that a bank has.
func promised(t *testing.T) (*world, custody.Batch) {
	t.Helper()
	w := newWorld(t, nil)
	w.deposit("alice", 3*Coin)
	w.turn(3)
	w.withdraw("alice", Coin/10)
	w.must()
	w.must()
	info, _ := w.State.Banks().Bank(Bank)
	if len(info.Live) != 1 {
		t.Fatal("no batch")
	}
	batch, _ := w.State.Banks().Batch(Bank, info.Live[0])
	w.agrees(w.audit())
	return w, batch
}

// forged yields leaves of a state of which the members have signed something else than their
// rules make.
type forged struct {
	w      *world
	leaves map[merkle.Key][]byte
	state  *merkle.Map
}

// Leaves implements auditor.Source.
func (f *forged) Leaves(_ context.Context, keys []merkle.Key) (auditor.Leaves, error) {
	l := auditor.Leaves{Height: f.w.Height + 1, Time: f.w.Time, Root: f.state.Root()}
	for _, key := range keys {
		l.Values, l.Proofs = append(l.Values, f.leaves[key]), append(l.Proofs, f.state.Prove(key))
	}
	return l, nil
}

// forge changes leaves, and audits twice: by somebody who has followed, and somebody new.
func (w *world) forge(changes map[merkle.Key]func([]byte) []byte) (reports []*auditor.Report) {
	w.t.Helper()
	f := &forged{w: w, leaves: map[merkle.Key][]byte{}, state: merkle.New()}
	var all []merkle.Change
	for key, value := range w.State.Leaves {
		value = bytes.Clone(value)
		if change := changes[key]; change != nil {
			was := bytes.Clone(value)
			if value = change(value); bytes.Equal(was, value) {
				w.t.Fatalf("leaf %s stayed as it was", key)
			}
		}
		f.leaves[key] = value
		all = append(all, merkle.Change{Key: key, Value: value})
	}
	slices.SortFunc(all, func(x, y merkle.Change) int { return x.Key.Compare(y.Key) })
	f.state.Update(all)
	c := w.config()
	c.Source = f
	w.audit()
	w.auditor.Source = f
	for _, a := range []*auditor.Auditor{w.auditor, auditor.New(c)} {
		r, err := a.Audit(context.Background())
		if err != nil {
			w.t.Fatalf("audit: %v", err)
		}
		reports = append(reports, r)
	}
	return reports
}

// take has the holders of three keys spend the inputs of a batch, all for a thief, in a
// block of its own, and answers the transaction's id.
func (w *world) take(inputs []custody.Input) script.Hash {
	w.t.Helper()
	tx := script.Transaction{Version: script.Version, Sequence: script.SequenceReplace}
	var sum asset.Amount
	for _, in := range inputs {
		tx.Inputs, sum = append(tx.Inputs, in.At), sum+in.Amount
	}
	tx.Outputs = []script.Output{{Script: Output("thief"), Amount: sum - 5_000}}
	session := w.open(inputs, tx.Outputs)
	raw, _, err := session.Combine(w.partials(session, w.needed))
	if err == nil {
		err = w.chain.Force(raw)
	}
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	w.chain.Mine(1)
	return tx.ID()
}

// replaced changes the only place where a leaf has some bytes.
func replaced(pairs ...[]byte) func([]byte) []byte {
	return func(value []byte) []byte {
		for i := 0; i < len(pairs); i += 2 {
			value = bytes.Replace(value, pairs[i], pairs[i+1], 1)
		}
		return value
	}
}

func u64(n asset.Amount) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// three of four members take what a live batch spends, and sign a header over a leaf
// that has the theft for the batch's transaction. The bank lacks the coin, by that
// transaction, as if they had left the leaf alone.
func TestForgedTransaction(t *testing.T) {
	w, batch := promised(t)
	id := w.take(batch.Inputs)
	w.chain.Mine(100)
	key := custody.BatchKey(Bank, batch.Number)
	for _, r := range w.forge(map[merkle.Key]func([]byte) []byte{key: replaced(batch.Versions[0].Tx[:], id[:])}) {
		if r.Deficit != 3*Coin || len(r.Missing) != 1 || r.Missing[0].At != batch.Inputs[0].At || r.Missing[0].By != id {
			t.Errorf("%+v", r)
		}
	}
}

// before anything is taken, the change of a leaf that does not fit counts for nothing.
func TestForgedLeaves(t *testing.T) {
	w, batch := promised(t)
	v, in := batch.Versions[0], batch.Inputs[0]
	batchKey, coinKey := custody.BatchKey(Bank, batch.Number), custody.CoinKey(Bank, in.At)
	tx, _ := w.State.Banks().Transaction(Bank, batch.Number, 1)
	other := BankHash("another")
	// The transaction with 50 coins more of change.
	tx.Outputs = slices.Clone(tx.Outputs)
	tx.Outputs[batch.ChangeAt].Amount += 50 * Coin
	id := tx.ID()
	more := [][]byte{append(u64(v.Change), v.Tx[:]...), append(u64(v.Change+50*Coin), id[:]...)}
	larger := [][]byte{u64(in.Amount), u64(in.Amount + 50*Coin)}
	for name, c := range map[string]struct {
		forge map[merkle.Key]func([]byte) []byte
		lost  asset.Amount
	}{
		"another transaction": {map[merkle.Key]func([]byte) []byte{batchKey: replaced(v.Tx[:], other[:])}, v.Change},
		"more than it spends": {map[merkle.Key]func([]byte) []byte{batchKey: replaced(more...)}, v.Change + 50*Coin},
		"an input that is larger than its coin": {
			map[merkle.Key]func([]byte) []byte{batchKey: replaced(append(more, larger...)...)}, v.Change + 50*Coin,
		},
		"a coin that is larger than on the chain": {
			map[merkle.Key]func([]byte) []byte{batchKey: replaced(append(more, larger...)...), coinKey: replaced(larger...)}, 50 * Coin,
		},
	} {
		for _, r := range w.forge(c.forge) {
			if r.Lost != c.lost || r.Free+r.Change+r.Deficit != r.Owed+r.Surplus+r.Lost {
				t.Errorf("%s: lost %d, not %d: %+v", name, r.Lost, c.lost, r)
			}
			if name == "another transaction" && (r.Deficit != v.Change || r.Missing[0].At.Tx != other) {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
	for _, r := range w.forge(nil) {
		w.agrees(r)
	}
}

// a coin that a batch spends counts with the batch, not a second time by itself.
func TestForgedFree(t *testing.T) {
	w := newWorld(t, nil)
	w.deposit("alice", 3*Coin)
	w.deposit("alice", 2*Coin)
	w.turn(4)
	w.withdraw("alice", 4*Coin)
	w.must()
	w.must()
	info, _ := w.State.Banks().Bank(Bank)
	if len(info.Live) != 1 {
		t.Fatal("no batch")
	}
	batch, _ := w.State.Banks().Batch(Bank, info.Live[0])
	w.agrees(w.audit())
	in := batch.Inputs[0]
	key := custody.CoinKey(Bank, in.At)
	free := func(value []byte) []byte {
		for i := range value {
			forged := bytes.Clone(value)
			forged[i] = byte(custody.CoinFree)
			if c, err := custody.ParseCoin(key, forged); err == nil && c.State == custody.CoinFree && c.Input == in {
				return forged
			}
		}
		return value
	}
	for _, r := range w.forge(map[merkle.Key]func([]byte) []byte{key: free}) {
		if len(batch.Inputs) != 2 || r.Free != in.Amount || r.Change != batch.Versions[0].Change || r.Lost != r.Change {
			t.Errorf("%+v", r)
		}
	}
}

// once a batch is mined, what it brings back must stand on the chain. Members who
// take it before the batch settles have it missing, though no leaf tells.
func TestTheftOfChange(t *testing.T) {
	w, batch := promised(t)
	w.turn(1)
	w.agrees(w.audit())
	at, _ := batch.Change(1)
	id := w.take([]custody.Input{{At: at, Amount: batch.Versions[0].Change, Series: batch.ChangeSeries, Branch: script.Change, Index: batch.ChangeIndex}})
	for range 3 {
		r := w.audit()
		if r.Deficit != batch.Versions[0].Change || len(r.Missing) != 1 || r.Missing[0].At != at || r.Missing[0].By != id {
			t.Errorf("%+v", r)
		}
		w.chain.Mine(1)
	}
}

// what a mined batch has brought back counts with the batch, until that settles, and
// not a second time as a coin of its own. Three of four members who keep a batch that has
// settled live in its leaf make nothing good by that.
func TestForgedChange(t *testing.T) {
	w, batch := promised(t)
	keep := map[merkle.Key][]byte{}
	for _, key := range []merkle.Key{custody.BatchKey(Bank, batch.Number), custody.CoinKey(Bank, batch.Inputs[0].At)} {
		value, _ := w.State.Prove(key)
		keep[key] = bytes.Clone(value)
	}
	w.turn(8)
	if b, _ := w.State.Banks().Batch(Bank, batch.Number); b.Settled == 0 {
		t.Fatalf("%+v", b)
	}
	w.agrees(w.audit())
	forge := map[merkle.Key]func([]byte) []byte{}
	for key, value := range keep {
		forge[key] = func([]byte) []byte { return value }
	}
	for _, r := range w.forge(forge) {
		if change := batch.Versions[0].Change; r.Free != change || r.Change != change || r.Lost != 3*Coin || r.Solvent() {
			t.Errorf("%d counts twice: %+v", change, r)
		}
	}
}
