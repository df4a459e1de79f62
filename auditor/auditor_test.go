package auditor_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"souk/asset"
	"souk/auditor"
	"souk/chain/memchain"
	"souk/exchange"
	"souk/exchange/custody"
	. "souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/exchange/roster"
	"souk/internal/bulk"
	"souk/merkle"
	"souk/script"
)

// TestMain makes fewer histories than usual: each has dozens of audits.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", strconv.Itoa(bulk.Count(30))); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// agrees compares an audit with the sums of the state, which are exact while nobody lies.
func (w *world) agrees(r *auditor.Report) {
	w.t.Helper()
	sums := w.State.Solvency()[0]
	if r.Deficit != sums.Deficit || r.Surplus != 0 || r.Free != sums.Free || r.Change != sums.Change || r.Lost != sums.Lost || r.Owed != sums.Books {
		w.t.Fatalf("the audit says %+v, the state %+v", r, sums)
	}
}

// whatever deposits, withdrawals, rotations and reorganisations there
// are, the bank is solvent, and the terms of the audit are those of the state.
func TestSolvent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, nil)
		w.deposit("alice", 5*Coin)
		w.turn(4)
		for range rapid.IntRange(3, 12).Draw(t, "turns") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1:
				w.deposit("alice", asset.Amount(rapid.Uint64Range(1e4, 4*uint64(Coin)).Draw(t, "amount")))
			case 2:
				w.deposit("bob", asset.Amount(rapid.Uint64Range(1, 20_000).Draw(t, "small")))
			case 3, 4:
				w.withdraw("alice", asset.Amount(rapid.Uint64Range(1e4, uint64(Coin)).Draw(t, "withdrawn")))
			case 5:
				w.pay(0, script.Deposits, 1+uint32(rapid.IntRange(0, 1).Draw(t, "nobody's")), Coin)
			case 6:
				depth := rapid.IntRange(1, 2).Draw(t, "depth")
				if err := w.chain.Reorganise(depth, depth+1); err != nil {
					t.Fatal(err)
				}
				w.attest()
			case 7:
				if w.State.Banks().Halted().Reason == 0 {
					w.rotate()
				}
			case 8:
				w.work()
				w.chain.Mine(1) // which the members have not seen
				if r := w.audit(); !r.Solvent() {
					t.Fatalf("ahead of the members: %+v", r)
				}
			case 9:
				w.turn(3)
			}
			w.turn(1)
			if rapid.Bool().Draw(t, "audit") {
				w.agrees(w.audit())
			}
		}
		w.turn(3)
		w.agrees(w.audit())
		w.auditor = nil
		w.agrees(w.audit())
	})
}

// when the holders of three keys move a coin away, the audit says so from the block
// on in which it is mined, and with the amount, whether or not the members say it too.
func TestTheft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, nil)
		for range rapid.IntRange(1, 4).Draw(t, "deposits") {
			w.deposit("alice", asset.Amount(rapid.Uint64Range(1e6, 4*uint64(Coin)).Draw(t, "amount")))
		}
		w.turn(4)
		if rapid.Bool().Draw(t, "withdrawal") {
			w.withdraw("alice", 1e5)
			w.turn(rapid.IntRange(0, 4).Draw(t, "turns"))
		}
		c, ok := w.steal()
		if !ok {
			t.Skip("all coins are promised")
		}
		w.agrees(w.audit()) // it only waits for a block
		w.chain.Mine(1)
		for n := range 9 {
			r := w.audit()
			if r.Solvent() || r.Deficit != c.Amount {
				t.Fatalf("after %d blocks: %+v; %d was stolen", n, r, c.Amount)
			}
			if len(r.Missing) != 1 && n < 2 || len(r.Missing) == 1 && (r.Missing[0].At != c.At || r.Missing[0].By.IsZero()) {
				t.Fatalf("after %d blocks: missing %+v; %s was stolen", n, r.Missing, c.At)
			}
			if n >= rapid.IntRange(1, 4).Draw(t, "late") {
				w.attest()
			}
			w.chain.Mine(1)
		}
	})
}

// A coin of a batch that is moved away is a deficit of the whole coin, for what the batch
// would have paid is owed again.
func TestTheftFromBatch(t *testing.T) {
	w := newWorld(t, nil)
	w.deposit("alice", 3*Coin)
	w.turn(3)
	w.withdraw("alice", Coin)
	w.must()
	w.must()
	info, _ := w.State.Banks().Bank(Bank)
	if len(info.Live) != 1 {
		t.Fatal("no batch")
	}
	r := w.audit()
	if w.agrees(r); r.Leaving <= Coin {
		t.Fatalf("%+v", r)
	}
	batch, _ := w.State.Banks().Batch(Bank, info.Live[0])
	s := w.open(batch.Inputs, []script.Output{{Script: Output("thief"), Amount: batch.Inputs[0].Amount - 5_000}})
	raw, _, err := s.Combine(w.partials(s, w.needed))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.chain.Force(raw); err != nil {
		t.Fatal(err)
	}
	w.chain.Mine(1)
	if r := w.audit(); r.Deficit != 3*Coin || len(r.Missing) != 1 || r.Missing[0].At != batch.Inputs[0].At {
		t.Errorf("%+v", r)
	}
	w.attest()
	w.agrees(w.audit())
}

// Members who agree on a deposit that never was are found out.
func TestInvented(t *testing.T) {
	w := newWorld(t, nil)
	w.deposit("alice", Coin)
	number := w.must(w.Command("bob", &exchange.NewAddress{Bank: Bank})).Receipts[0].Number
	w.turn(1)
	b := w.bank()
	body := &exchange.Attest{Attestation: custody.Attestation{Bank: Bank, Payments: []custody.Payment{{
		Height: b.Tip, At: script.Outpoint{Tx: BankHash("never")}, Amount: 7 * Coin, Branch: script.Deposits, Index: uint32(number),
	}}}}
	for name := range w.names {
		w.must(w.ByServer(name, body))
	}
	w.turn(4)
	if w.Available("bob", TBC) != 7*Coin {
		t.Fatal("not credited")
	}
	if r := w.audit(); r.Deficit != 7*Coin || r.Free != Coin {
		t.Errorf("%+v", r)
	}
}

// whatever a server changes in its leaves, the audit does not believe it.
func TestLies(t *testing.T) {
	w := newWorld(t, nil)
	w.deposit("alice", 3*Coin)
	w.turn(3)
	w.withdraw("alice", Coin)
	w.must()
	w.must()
	if _, ok := w.steal(); ok {
		t.Fatal("the coin is not promised")
	}
	other := newWorld(t, nil)
	for name, lie := range map[string]func(keys []merkle.Key, l *auditor.Leaves){
		"books": func(keys []merkle.Key, l *auditor.Leaves) {
			if l.Values[0] = bytes.Clone(l.Values[0]); keys[0] == custody.BankKey(Bank) {
				l.Values[0][len(l.Values[0])-60] ^= 1
			}
		},
		"supply":   replace(ledger.LeafAsset, func(v []byte) []byte { v[70] ^= 1; return v }),
		"keys":     replace(custody.LeafSeries, func(v []byte) []byte { v[40] ^= 1; return v }),
		"no coin":  replace(custody.LeafCoin, func([]byte) []byte { return nil }),
		"no batch": replace(custody.LeafBatch, func([]byte) []byte { return nil }),
		"batch":    replace(custody.LeafBatch, func(v []byte) []byte { v[1] ^= 1; return v }),
		"tip":      replace(custody.LeafBlock, func(v []byte) []byte { v[0] ^= 1; return v }),
		"halt":     replace(custody.LeafCustody, func(v []byte) []byte { v[0] ^= 1; return v }),
		"other state": func(keys []merkle.Key, l *auditor.Leaves) {
			for i, key := range keys {
				l.Values[i], l.Proofs[i] = other.State.Prove(key)
			}
		},
		"fewer": func(_ []merkle.Key, l *auditor.Leaves) { l.Values, l.Proofs = l.Values[1:], l.Proofs[1:] },
		"exchanged": func(_ []merkle.Key, l *auditor.Leaves) {
			if len(l.Values) > 1 {
				slices.Reverse(l.Values)
				slices.Reverse(l.Proofs)
			}
		},
	} {
		c := w.config()
		c.Source = &source{w: w, lie: lie}
		if r, err := audited(t.Context(), c); !errors.Is(err, auditor.ErrProof) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if w.agrees(w.audit()); t.Failed() {
		t.Error("honest")
	}
}

// replace changes leaves of a kind.
func replace(kind byte, change func([]byte) []byte) func([]merkle.Key, *auditor.Leaves) {
	return func(keys []merkle.Key, l *auditor.Leaves) {
		for i := range keys {
			if keys[i][0] == kind && l.Values[i] != nil {
				l.Values[i] = change(bytes.Clone(l.Values[i]))
			}
		}
	}
}

// where the auditor's chain, or the contract, is not that of the bank, nothing is said.
func TestUntold(t *testing.T) {
	w := newWorld(t, nil)
	w.deposit("alice", 3*Coin)
	w.turn(3)
	c := w.config()
	behind := w.chain.Node()
	behind.SetFaults(memchain.Faults{Behind: 1})
	c.Backend = behind
	if _, err := audited(t.Context(), c); !errors.Is(err, auditor.ErrBehind) || !errors.Is(err, auditor.ErrUntold) {
		t.Errorf("behind: %v", err)
	}
	other := w.chain.Node()
	other.SetFaults(memchain.Faults{Invent: 1})
	c.Backend = other
	if _, err := audited(t.Context(), c); !errors.Is(err, auditor.ErrForked) {
		t.Errorf("another chain: %v", err)
	}
	foreign := memchain.New(w.node.Network(), false)
	foreign.Mine(20)
	if err := foreign.Reorganise(20, 21); err != nil {
		t.Fatal(err)
	}
	c.Backend = foreign.Node()
	if _, err := audited(t.Context(), c); !errors.Is(err, auditor.ErrForked) {
		t.Errorf("a chain without the start: %v", err)
	}
	down := w.chain.Node()
	down.SetFaults(memchain.Faults{Down: errors.New("no node")})
	c.Backend = down
	if _, err := audited(t.Context(), c); !errors.Is(err, auditor.ErrBackend) || !errors.Is(err, auditor.ErrUntold) {
		t.Errorf("no node: %v", err)
	}
	for name, change := range map[string]func(*custody.Definition){
		"start":    func(d *custody.Definition) { d.Start.Height++ },
		"recovery": func(d *custody.Definition) { d.Recovery = recovery() },
		"asset":    func(d *custody.Definition) { d.Asset++ },
	} {
		c := w.config()
		d := *c.Contract
		change(&d)
		c.Contract = &d
		if _, err := audited(t.Context(), c); !errors.Is(err, auditor.ErrContract) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c = w.config()
	c.Bank = 2
	if _, err := audited(t.Context(), c); !errors.Is(err, auditor.ErrUntold) {
		t.Errorf("no such bank: %v", err)
	}
}

// an audit while the bank is at work comes to an end, and does not call what moves a deficit.
func TestMoving(t *testing.T) {
	w := newWorld(t, nil)
	for range 4 {
		w.deposit("alice", Coin)
	}
	w.turn(3)
	n := 0
	c := w.config()
	c.Source = &source{w: w, ask: func() {
		if n++; n%5 == 0 && n < 60 {
			w.withdraw("alice", 1e6)
			w.deposit("bob", 1e6)
			w.turn(1)
		}
	}}
	r, err := audited(t.Context(), c)
	if err != nil || !r.Solvent() {
		t.Fatalf("%+v, %v", r, err)
	}
	w.agrees(r)
	c.Source = &source{w: w, ask: func() { w.deposit("alice", 1e6); w.turn(1) }}
	if _, err := audited(t.Context(), c); !errors.Is(err, auditor.ErrMoving) {
		t.Errorf("never at rest: %v", err)
	}
}

func recovery() *script.Recovery {
	return &script.Recovery{K: 1, Keys: []script.MemberKey{MemberKey("vault").Public()}, Blocks: 1000}
}

// the way in which the holders of the recovery could spend is rebuilt and shown.
func TestRecovery(t *testing.T) {
	w := newWorld(t, recovery())
	w.deposit("alice", 3*Coin)
	w.turn(1)
	mined := w.chain.Tip().Height
	w.turn(2)
	r := w.audit()
	w.agrees(r)
	s := r.Series[0]
	if len(r.Series) != 1 || s.Recovery == nil || s.Recovery.Blocks != 1000 || s.Recovery.Keys[0] != MemberKey("vault").Public() ||
		s.Coins != 1 || s.Amount != 3*Coin || s.Opens != mined+1000 || s.K != 3 || len(s.Members) != 4 {
		t.Errorf("%+v", s)
	}
}

// a series of members who come back has the scripts of an older one. Coins are found
// and counted once, whichever of the two they are of.
func TestSameKeysAgain(t *testing.T) {
	w := newWorldOf(t, 5, nil)
	open := func(members ...roster.ID) {
		t.Helper()
		w.made++
		var votes []exchange.Command
		for _, name := range slices.Collect(w.names)[:w.needed] {
			action := roster.AppendAction(nil, roster.OpenSeries{Bank: uint32(Bank), Members: members}, uint32(w.made))
			votes = append(votes, w.Command(name, &exchange.Vote{Approve: true, Action: action}))
		}
		w.must(votes...)
	}
	w.deposit("alice", 3*Coin)
	w.turn(4)
	for range 2 {
		open(1, 2, 3, 4)
		w.deposit("bob", Coin)
		w.turn(8)
		w.agrees(w.audit())
		open(1, 2, 3, 4, 5)
		w.deposit("bob", Coin)
		w.turn(2)
		w.agrees(w.audit())
		w.turn(8)
		w.agrees(w.audit())
	}
	w.auditor = nil
	r := w.audit()
	if w.agrees(r); len(r.Series) != 5 || r.OnChain != r.Free {
		t.Errorf("%d series, %d on the chain, %d free", len(r.Series), r.OnChain, r.Free)
	}
}

// An audit ends when it is told to.
func TestCancelled(t *testing.T) {
	w := newWorld(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := audited(ctx, w.config()); !errors.Is(err, auditor.ErrUntold) {
		t.Error(err)
	}
}
