package custody_test

import (
	"fmt"
	"slices"
	"testing"

	"souk/asset"
	"souk/exchange/custody"
	"souk/script"
)

func regtest(t failer) *world { return newWorld(t, 4, definition("bitcoin-regtest", 4)) }

func deficit(w *world) asset.Amount {
	sums, _ := w.s.Solvency(1)
	return sums.Deficit
}

// Y-16: a reorganisation that takes a payment out before it is credited is counted
// again silently; one that takes out what was credited halts all banks, without a
// negative balance, until it is there again and the members lift the halt.
func TestReorganisationAtEveryDepth(t *testing.T) {
	for depth := 1; depth <= 11; depth++ {
		for _, again := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d %v", depth, again), func(t *testing.T) {
				w := regtest(t)
				w.turn(0, 2)
				w.deposit(1, 0, 200*coin) // needs 6 blocks
				w.turn(0, 7)              // has 7: credited
				w.deposit(2, 0, 200*coin)
				w.turn(0, 3) // has 3 of 6
				c := w.chains[0]
				c.back(depth)
				for range depth + 1 {
					c.mine(func(*tx) bool { return again })
				}
				c.pool = nil
				w.attest(0, 1, 2) // two of four change nothing
				w.step()
				if info, _ := w.s.Bank(1); info.Tip.Hash == c.blocks[len(c.blocks)-1].hash {
					t.Fatal("two of four made a reorganisation")
				}
				w.attest(0, 3)
				w.step()
				w.reload()
				halted := w.s.Halted().Reason != 0
				if halted != (depth >= 10) || w.available[1] != 200*coin {
					t.Fatalf("halted: %v, credited %d", halted, w.available[1])
				}
				w.turn(0, 6)
				want := asset.Amount(0)
				if !halted && (again || depth < 3) {
					want = 200 * coin
				}
				if again && deficit(w) != 0 || halted && !again && deficit(w) != 200*coin {
					t.Fatalf("deficit %d", deficit(w))
				}
				if w.available[2] != want {
					t.Fatalf("%d credited, want %d", w.available[2], want)
				}
			})
		}
	}
}

// Y-16, Y-74, Y-75: past the depth.
func TestReorganisationPastDepth(t *testing.T) {
	for _, again := range []bool{true, false} {
		w := regtest(t)
		w.turn(0, 2)
		w.deposit(1, 0, 5*coin)
		w.gift(0, coin)
		w.turn(0, 3)
		lost := w.chains[0].blocks[3].txs[0]
		w.chains[0].back(3)
		for range 4 {
			w.chains[0].mine(func(*tx) bool { return false })
		}
		w.attest(0, 2, 3, 4)
		w.step()
		if h := w.s.Halted(); h.Reason != custody.Reorganisation || h.Bank != 1 {
			t.Fatalf("%+v", h)
		}
		if deficit(w) != 6*coin || w.available[1] != 5*coin || mayLift(w.s, 1) != custody.Unbalanced {
			t.Fatalf("deficit %d, lift %d", deficit(w), mayLift(w.s, 1))
		}
		w.withdraw(1, 0, "alice", coin, 10_000)
		w.reload()
		w.turn(0, 3)
		if info, _ := w.s.Bank(1); len(info.Live) != 0 {
			t.Fatal("a halted bank pays")
		}
		if again {
			w.turn(0, 3) // the pool has both payments
		} else {
			w.chains[0].pool = slices.DeleteFunc(w.chains[0].pool, func(x *tx) bool { return x == lost })
			w.gift(0, 7*coin) // somebody helps
			w.turn(0, 4)
		}
		if deficit(w) != 0 {
			t.Fatalf("deficit %d", deficit(w))
		}
		if code := liftNow(w.s, 1); code != custody.OK || liftNow(w.s, 1) != custody.NotHalted {
			t.Fatal(code)
		}
		w.step()
		if info, _ := w.s.Bank(1); len(info.Live) != 1 {
			t.Fatalf("%+v", info)
		}
		w.reload()
		w.work(0, 4)
		if len(w.paid) != 1 || w.available[1]+w.paid[1].Fee != 4*coin {
			t.Fatalf("%+v %d", w.paid, w.available[1])
		}
	}
}

// Y-10, Y-18: one of four who tells of a payment that nobody else sees credits
// nothing and is named; so is one with another chain. Honest ones never are.
func TestLyingAttester(t *testing.T) {
	w := regtest(t)
	w.turn(0, 2)
	a := w.address(1, 0)
	lie := &custody.Attestation{Bank: 1, Rate: 1 << 60, Payments: []custody.Payment{{
		Height: 502, At: script.Outpoint{Tx: hashOf("lie")}, Amount: 1000 * coin, Series: a.Series, Branch: script.Deposits, Index: a.Index,
	}}}
	if code := w.s.Attest(4, lie); code != custody.OK {
		t.Fatal(code)
	}
	w.turn(0, custody.Late+1)
	w.reload()
	for _, m := range w.s.Members(1) {
		if want := uint32(m.Member / 4); m.Wrong != want {
			t.Errorf("member %d was wrong %d times, want %d", m.Member, m.Wrong, want)
		}
	}
	fork := hashOf("fork")
	info, _ := w.s.Bank(1)
	code := w.s.Attest(4, &custody.Attestation{Bank: 1, From: info.Tip.Height, Parent: w.chains[0].blocks[info.Tip.Height-501].hash, Hashes: []script.Hash{fork}})
	if code != custody.OK {
		t.Fatal(code)
	}
	for range custody.Late {
		w.chains[0].mine(anything)
		w.attest(0, 1, 2, 3)
		w.step()
	}
	members := w.s.Members(1)
	if members[3].Wrong != 2 || members[3].Behind != custody.Late || members[0].Wrong != 0 || w.available[1] != 0 {
		t.Errorf("%+v, credited %d", members, w.available[1])
	}
	if info, _ := w.s.Bank(1); info.Accepted != 1000 {
		t.Errorf("one of four sets a rate of %d", info.Accepted)
	}
	if list := w.s.Deposits(1); len(list) != 1 || list[0].Members != 1 || list[0].Agreed {
		t.Errorf("%+v", list)
	}
}

// Y-18: a member who saw what the others found late was not wrong.
func TestLateFind(t *testing.T) {
	w := regtest(t)
	w.turn(0, 2)
	x := w.deposit(1, 0, coin)
	w.chains[0].mine(anything)
	for m := custody.Member(1); m <= 4; m++ {
		a := w.attestation(m, 0)
		if m != 2 {
			a.Payments = nil
		}
		if code := w.s.Attest(m, a); code != custody.OK {
			t.Fatal(code)
		}
	}
	w.step()
	w.turn(0, 9)
	if got := w.s.Members(1)[1].Wrong; got != 1 || w.available[1] != 0 {
		t.Fatalf("wrong %d, credited %d", got, w.available[1])
	}
	p := x.pays[0]
	p.Height = 503
	late := &custody.Attestation{Bank: 1, Payments: []custody.Payment{p}}
	for _, m := range []custody.Member{1, 4} {
		if code := w.s.Attest(m, late); code != custody.OK {
			t.Fatal(code)
		}
	}
	w.step()
	if w.available[1] != coin || w.s.Members(1)[1].Wrong != 0 {
		t.Errorf("credited %d, %+v", w.available[1], w.s.Members(1))
	}
	// Told again, it is not credited again, not even when it is spent.
	w.withdraw(1, 0, "alice", 90_000_000, 100_000)
	w.step()
	w.work(0, 3)
	for _, m := range w.members {
		w.s.Attest(m, late)
	}
	w.step()
	w.turn(0, 3)
	if len(w.paid) != 1 || w.available[1] > coin/10 {
		t.Errorf("%+v, %d", w.paid, w.available[1])
	}
}

// Y-10: whoever is barred or gone does not count, and what he said before does not
// either; a newcomer counts from what he says on.
func TestMembersComeAndGo(t *testing.T) {
	w := regtest(t)
	w.turn(0, 2)
	w.deposit(1, 0, coin)
	w.chains[0].mine(anything)
	w.attest(0, 1, 2) // two of four
	w.step()
	w.members = []custody.Member{1, 2, 4} // three is barred: of four still
	w.step()
	if info, _ := w.s.Bank(1); info.Tip.Height != 502 {
		t.Fatal("two of four agree")
	}
	if code := w.s.Attest(3, &custody.Attestation{Bank: 1}); code != custody.NotMember {
		t.Fatal(code)
	}
	w.members, w.count = []custody.Member{1, 2}, 2 // both others are gone: two of two
	w.step()
	if info, _ := w.s.Bank(1); info.Tip.Height != 503 {
		t.Fatal("two of two do not agree")
	}
	w.reload()
	w.members, w.count = []custody.Member{1, 2, 4, 9, 10}, 5
	w.step()
	w.turn(0, 2)
	if w.available[1] != coin {
		t.Fatalf("credited %d", w.available[1])
	}
}

// Y-74: a coin that leaves by a transaction which no batch knows halts all banks in
// the same block, and the deficit is what was taken; a batch that wanted it gives up
// and its withdrawals wait again.
func TestTheft(t *testing.T) {
	for _, promised := range []bool{false, true} {
		w := newWorld(t, 4, definition("bitcoin-regtest", 1))
		w.turn(0, 2)
		w.gift(0, coin)
		stolen := w.deposit(1, 0, 5*coin)
		w.deposit(1, 0, 3*coin)
		w.turn(0, 3)
		w.reload()
		if promised {
			w.withdraw(1, 0, "alice", 4*coin+coin/2, 100_000)
			w.step()
			w.sign(0, 1, 2, 3)
			w.sendAll(0)
		}
		owned := w.available[1] + w.held[1]
		thief := &tx{id: hashOf("thief"), spends: []script.Outpoint{stolen.pays[0].At}}
		w.chains[0].pool = []*tx{thief}
		w.turn(0, 1)
		if w.s.Halted().Reason != custody.Theft {
			t.Fatalf("%+v", w.s.Halted())
		}
		if sums, _ := w.s.Solvency(1); !promised && sums.Deficit != 5*coin || sums.Lost != 5*coin {
			t.Fatalf("%+v", sums)
		}
		w.reload()
		w.sendAll(0)
		w.turn(0, 3)
		if deficit(w) != 5*coin || liftNow(w.s, 1) != custody.Unbalanced {
			t.Fatalf("deficit %d", deficit(w))
		}
		if w.available[1]+w.held[1] > 8*coin || w.available[1]+w.held[1] < owned {
			t.Fatalf("%d of 8", w.available[1]+w.held[1])
		}
		w.reload()
		// A donor gives 2 from his balance, and 4 arrive on the chain.
		w.available[1] -= 2 * coin
		burn, rest, code := w.s.Donate(1, 2*coin)
		if code != custody.OK || burn != 2*coin || rest != 0 || deficit(w) != 3*coin {
			t.Fatalf("%d %d %d, deficit %d", burn, rest, code, deficit(w))
		}
		w.gift(0, 4*coin)
		w.turn(0, 3)
		if w.reserves[0] < 19*coin/10 || liftNow(w.s, 1) != custody.OK {
			t.Fatalf("reserve %d, deficit %d", w.reserves[0], deficit(w))
		}
		w.step()
		w.work(0, 4)
		if promised == (len(w.paid) == 0) {
			t.Fatalf("%+v", w.paid)
		}
	}
}

// Y-72: a reorganisation past the depth in which another version of a settled batch
// is mined: the change is that one's, the difference the reserve's.
func TestOtherVersionAfterReorganisation(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposit(1, 0, 5*coin)
	w.turn(0, 3)
	w.withdraw(1, 0, "alice", 4*coin, 100_000)
	w.step()
	w.sign(0, w.members...)
	w.rates[0] = 5000
	w.turn(0, 3)
	b, _ := w.s.Batch(1, 1)
	if len(b.Versions) != 2 {
		t.Fatalf("%+v", b)
	}
	w.send(0, 1, 2)
	w.turn(0, 2)
	if len(w.paid) != 1 {
		t.Fatal("not settled")
	}
	reserve := w.reserves[0]
	w.chains[0].back(2)
	w.chains[0].pool = nil
	w.send(0, 1, 1)
	w.turn(0, 1)
	if w.s.Halted().Reason != custody.Reorganisation {
		t.Fatal("not halted")
	}
	// What somebody says of the change that goes is counted by nobody.
	lie := &custody.Attestation{Bank: 1, Payments: []custody.Payment{{
		Height: w.chains[0].tip(), At: script.Outpoint{Tx: b.Versions[1].Tx, Index: uint32(b.ChangeAt)}, Amount: coin, Branch: script.Change,
	}}}
	if code := w.s.Attest(4, lie); code != custody.OK {
		t.Fatal(code)
	}
	w.reload()
	w.turn(0, 3)
	if got := w.reserves[0] - reserve; got != b.Versions[1].Fee-b.Versions[0].Fee || deficit(w) != 0 || liftNow(w.s, 1) != custody.OK {
		t.Fatalf("%d back, deficit %d", got, deficit(w))
	}
	w.reload()
}

// Y-90: what is far back is forgotten, and what is credited stays.
func TestPruning(t *testing.T) {
	w := regtest(t)
	w.turn(0, 1)
	w.deposit(1, 0, coin)
	w.deposit(2, 0, 2*coin)
	w.turn(0, 3)
	w.withdraw(1, 0, "alice", coin/2, 100_000)
	w.step()
	w.work(0, 3)
	lie := &custody.Attestation{Bank: 1, Payments: []custody.Payment{{
		Height: 505, At: script.Outpoint{Tx: hashOf("lie")}, Amount: coin, Branch: script.Deposits,
	}}}
	if code := w.s.Attest(4, lie); code != custody.OK {
		t.Fatal(code)
	}
	w.unchecked = true
	for range custody.Keep + 20 {
		w.chains[0].mine(anything)
	}
	for len(w.said[[2]int{1, 0}]) < len(w.chains[0].blocks) {
		for _, m := range w.members {
			if code := w.s.Attest(m, w.attestation(m, 0)); code != custody.OK {
				t.Fatal(code)
			}
		}
		w.step()
	}
	w.unchecked = false
	w.check()
	kinds := map[byte]int{}
	for key := range w.tree {
		kinds[key[0]]++
	}
	if kinds[custody.LeafBlock] != custody.Keep+1 || kinds[custody.LeafCoin] != 2 || kinds[custody.LeafBatch] != 0 || kinds[custody.LeafSettled] != 1 {
		t.Errorf("%v", kinds)
	}
	w.now += custody.RecordFor
	w.step()
	if _, ok := w.s.Settled(1); ok {
		t.Error("a record of 30 days ago is there")
	}
	if code := w.s.Attest(4, lie); code != custody.BadHeight {
		t.Error(code)
	}
	w.reload()
}
