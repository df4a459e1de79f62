package custody_test

import (
	"fmt"
	"slices"
	"testing"

	"souk/asset"
	"souk/exchange/custody"
	"souk/script"
)

// Y-58: on a network that replaces transactions a batch that is not mined gets
// versions that pay more, out of the reserve, each with the same first input; when an
// old one is mined, the reserve has the difference back. A fee spike of 50 times
// never makes a withdrawal pay more than its bound.
func TestBump(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposit(1, 0, 5*coin)
	w.turn(0, 3)
	w.withdraw(1, 0, "alice", coin, 2000)
	w.step()
	w.rates[0] = 50_000
	w.turn(0, 3)
	if b, _ := w.s.Batch(1, 1); len(b.Versions) != 1 {
		t.Fatal("what nobody has signed is bumped")
	}
	reserve := w.reserves[0]
	for range 12 {
		w.sign(0, 1, 2, 3)
		w.chains[0].mine(anything)
		w.attest(0, w.members...)
		w.step()
	}
	b, _ := w.s.Batch(1, 1)
	last := b.Versions[len(b.Versions)-1]
	if len(b.Versions) < 2 || b.Versions[1].Rate != 50_000 || w.reserves[0] != reserve-(last.Fee-b.Versions[0].Fee) {
		t.Fatalf("%+v", b.Versions)
	}
	w.reload()
	w.send(0, 1, 1)
	w.turn(0, 2)
	if w.reserves[0] != reserve || w.paid[1].Fee > 2000 || w.available[1] != 4*coin-w.paid[1].Fee {
		t.Fatalf("reserve %d of %d, paid %+v", w.reserves[0], reserve, w.paid[1])
	}
	w.withdraw(1, 0, "alice", coin, 2000)
	w.turn(0, 2)
	if x, _ := w.s.Withdrawal(2); x.Batch != 0 {
		t.Fatal("a withdrawal is paid at a rate above its bound")
	}
	w.rates[0] = 1000
	w.turn(0, 2)
	w.work(0, 3)
	if len(w.paid) != 2 {
		t.Fatal("not paid when the rate is low again")
	}
}

// Y-58: what the reserve cannot pay waits, and says so.
func TestReserveShort(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	w.deposit(1, 0, 5*coin)
	w.turn(0, 3)
	w.withdraw(1, 0, "alice", coin, 2000)
	w.step()
	w.sign(0, w.members...)
	w.rates[0] = 20_000
	w.turn(0, 3)
	if info, _ := w.s.Bank(1); info.Waits != custody.WaitsToBump {
		t.Fatalf("%+v", info)
	}
	w.reload()
	w.gift(0, coin)
	w.turn(0, 3)
	if info, _ := w.s.Bank(1); info.Waits != 0 {
		t.Fatalf("%+v", info)
	}
	if b, _ := w.s.Batch(1, 1); len(b.Versions) != 2 {
		t.Fatalf("%+v", b)
	}
}

// Y-58: where nothing is replaced, a child pays for its parent, and both settle.
func TestChild(t *testing.T) {
	w := newWorld(t, 4, definition("litecoin-regtest", 1))
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposit(1, 0, 5*coin)
	w.turn(0, 3)
	w.withdraw(1, 0, "alice", coin, 2000)
	w.step()
	w.sign(0, w.members...)
	w.rates[0] = 30_000
	w.turn(0, 3)
	child, ok := w.s.Batch(1, 2)
	parent, _ := w.s.Batch(1, 1)
	if !ok || child.Kind != custody.Child || child.Inputs[0].At.Tx != parent.Versions[0].Tx || len(parent.Versions) != 1 {
		t.Fatalf("%+v", child)
	}
	both := parent.Versions[0].Fee + child.Versions[0].Fee
	if rate := both * 1000 / 340; rate < 20_000 {
		t.Fatalf("both pay %d", both)
	}
	w.sign(0, w.members...)
	w.rates[0] = 40_000
	w.turn(0, 3)
	if b, ok := w.s.Batch(1, 3); !ok || b.Kind != custody.Child {
		t.Fatalf("a child that is not mined gets no child: %+v", b)
	}
	w.reload()
	// The parent is mined alone, and the children one after the other.
	w.send(0, 1, 1)
	w.turn(0, 4)
	if len(w.paid) != 1 {
		t.Fatal("the parent is not settled")
	}
	w.reload()
	w.rates[0] = 1000
	w.sendAll(0)
	w.turn(0, 4)
	if info, _ := w.s.Bank(1); len(info.Live) != 0 || info.Sums.Change != 0 || info.Sums.Deficit != 0 {
		t.Fatalf("%+v", info)
	}
	w.reload()
}

// Y-72: with its parent a child goes.
func TestChildOfTheft(t *testing.T) {
	w := newWorld(t, 4, definition("litecoin-regtest", 1))
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposit(1, 0, 5*coin)
	w.turn(0, 3)
	w.withdraw(1, 0, "alice", coin, 2000)
	w.step()
	parent, _ := w.s.Batch(1, 1)
	for range 8 {
		w.sign(0, w.members...)
		w.rates[0] += 10_000
		w.turn(0, 1)
	}
	if info, _ := w.s.Bank(1); len(info.Live) < 3 {
		t.Fatalf("%+v", info)
	}
	w.reload()
	w.chains[0].pool = []*tx{{id: hashOf("thief"), spends: []script.Outpoint{parent.Inputs[0].At}}}
	w.turn(0, 1)
	w.reload()
	w.turn(0, 5)
	sums, _ := w.s.Solvency(1)
	if info, _ := w.s.Bank(1); len(info.Live) != 0 || sums.Deficit != parent.Inputs[0].Amount || sums.Change != 0 {
		t.Fatalf("%+v, taken %d", info, parent.Inputs[0].Amount)
	}
	if x, ok := w.s.Withdrawal(1); !ok || x.Batch != 0 {
		t.Fatal("the withdrawal does not wait")
	}
	w.reload()
}

// Y-43: a withdrawal that no wallet alone can pay takes coins of several.
func TestManyWallets(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 4))
	w.turn(0, 2)
	for range 8 {
		w.deposit(1, 0, coin)
		w.turn(0, 3)
	}
	id, code := w.withdraw(1, 0, "alice", 7*coin, 100_000)
	if code != custody.OK {
		t.Fatal(code)
	}
	w.step()
	x, _ := w.s.Withdrawal(id)
	b, _ := w.s.Batch(1, x.Batch)
	wallets := map[uint8]bool{}
	for _, in := range b.Inputs {
		wallets[in.Wallet] = true
	}
	if len(wallets) != 4 {
		t.Fatalf("%+v", b)
	}
	w.work(0, 6)
	if len(w.paid) != 1 {
		t.Fatal("not paid")
	}
}

// Y-13: a withdrawal to a deposit address of the same bank is a deposit there.
func TestToOwnAddress(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	w.deposit(1, 0, 5*coin)
	w.turn(0, 3)
	a := w.address(2, 0)
	r, _, _ := w.s.SeriesOf(1, a.Series)
	out, err := r.Output(script.Deposits, a.Index)
	if err != nil {
		t.Fatal(err)
	}
	if _, code := w.s.Withdraw(1, &custody.Request{Bank: 1, Script: out, Amount: coin, MaxFee: 10_000}, w.now); code != custody.OK {
		t.Fatal(code)
	}
	w.available[1] -= coin + 10_000
	w.held[1] += coin + 10_000
	w.step()
	w.sign(0, w.members...)
	w.sendAll(0)
	x := w.chains[0].pool[0]
	b, _ := w.s.Batch(1, 1)
	at := script.Outpoint{Tx: x.id, Index: uint32(1 - b.ChangeAt)}
	x.pays = append(x.pays, custody.Payment{At: at, Amount: coin, Series: a.Series, Branch: script.Deposits, Index: a.Index})
	w.turn(0, 4)
	if w.available[2] != coin || w.available[1]+w.paid[1].Fee != 4*coin || deficit(w) != 0 {
		t.Errorf("%d and %d, %+v", w.available[1], w.available[2], w.paid)
	}
	w.reload()
}

// Y-56: the example of docs/spec/14-custody.md.
func TestShares(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	w.deposit(1, 0, 5*coin)
	w.turn(0, 3)
	w.withdraw(1, 0, "alice", coin, 10_000)
	r := custody.Request{Bank: 1, Script: append([]byte{0, 32}, make([]byte, 32)...), Amount: coin, MaxFee: 10_000}
	if _, code := w.s.Withdraw(1, &r, w.now); code != custody.OK {
		t.Fatal(code)
	}
	w.available[1] -= coin + 10_000
	w.held[1] += coin + 10_000
	w.step()
	b, _ := w.s.Batch(1, 1)
	if len(b.Payouts) != 2 || b.Payouts[0].Fee != 123 || b.Payouts[1].Fee != 136 || b.Versions[0].Fee != 259 {
		t.Errorf("%+v", b)
	}
}

// Y-57: what is too small to be change is a fee that the reserve pays, or, if it has
// too little, those who are paid, within their bounds.
func TestDustChange(t *testing.T) {
	for _, reserve := range []bool{true, false} {
		w := newWorld(t, 4, definition("bitcoin-regtest", 1))
		w.turn(0, 2)
		w.deposit(1, 0, coin)
		w.turn(0, 3)
		if reserve {
			w.available[1] -= 400
			if _, rest, code := w.s.Donate(1, 400); code != custody.OK || rest != 400 {
				t.Fatal(code)
			}
			w.reserves[0] = 400
		}
		has, bound, shares := w.available[1], asset.Amount(700), asset.Amount(700)
		if reserve {
			bound, shares = 173, 173
		}
		w.withdraw(1, 0, "alice", has-bound, bound)
		w.step()
		b, _ := w.s.Batch(1, 1)
		if v := b.Versions[0]; b.Paid != shares || v.Change != 0 || reserve != (v.Fee == shares+400) || w.reserves[0] != 0 {
			t.Fatalf("%v: %+v, reserve %d", reserve, b, w.reserves[0])
		}
		w.work(0, 2)
		if len(w.paid) != 1 || deficit(w) != 0 {
			t.Fatal("not paid")
		}
	}
}

// Y-54, Y-55: a thousand withdrawals drain in batches of at most a hundred, the
// oldest first, and not faster than the hourly limit.
func TestDrain(t *testing.T) {
	d := definition("bitcoin-regtest", 4)
	d.MaxPerHour = 900 * coin
	w := newWorld(t, 4, d)
	w.turn(0, 2)
	owners := 20
	for o := 1; o <= owners; o++ {
		w.deposit(custody.Owner(o), 0, 60*coin)
	}
	w.turn(0, 8)
	for i := range 1000 {
		o := custody.Owner(i%owners + 1)
		if _, code := w.withdraw(o, 0, fmt.Sprint("to ", i), coin, 50_000); code != custody.OK {
			t.Fatal(i, code)
		}
	}
	w.unchecked = true
	for range 40 {
		w.work(0, 1)
	}
	if len(w.paid) < 900 || len(w.paid) > 912 { // it fills up again all the time
		t.Fatalf("%d paid in an hour", len(w.paid))
	}
	w.now += 3_600_000
	for range 20 {
		w.work(0, 1)
	}
	w.unchecked = false
	w.check()
	if len(w.paid) != 1000 {
		t.Fatalf("%d paid", len(w.paid))
	}
	for _, e := range w.events {
		if e.Kind == custody.Sent {
			if b, ok := w.s.Batch(1, e.Batch); !ok || len(b.Payouts) > custody.MaxOutputs {
				t.Fatalf("batch %d pays %d", e.Batch, len(b.Payouts))
			}
		}
	}
}

// Y-23, Y-24: from four members to five and back every coin moves, deposits to old
// addresses are credited all the while, and the books balance at every step.
func TestRotation(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 4))
	w.turn(0, 2)
	w.gift(0, coin)
	for i := range 12 {
		w.deposit(custody.Owner(i%3+1), 0, asset.Amount(i+1)*coin)
	}
	w.turn(0, 7)
	old := w.s.Addresses(1)[0]
	rotate := func() {
		t.Helper()
		w.step()
		if code := w.s.OpenSeries(1, w.members, w.now); code != custody.OK {
			t.Fatal(code)
		}
		if code := w.s.CheckSeries(1, w.members, w.now); code != custody.SameSeries {
			t.Fatal(code)
		}
		for i := range 40 {
			if i%5 == 0 {
				w.pay(0, old.Series, script.Deposits, old.Index, 2*coin)
				w.withdraw(2, 0, "bob", coin/10, 100_000)
			}
			w.work(0, 1)
		}
		w.work(0, 60)
		info, _ := w.s.Bank(1)
		for c := range func(yield func(custody.Coin) bool) { w.s.Coins(1, yield) } {
			if c.Series != info.Series-1 {
				t.Fatalf("left behind: %+v", c)
			}
		}
		if info.Waits != 0 || deficit(w) != 0 {
			t.Fatalf("%+v", info)
		}
	}
	w.join()
	rotate()
	w.members, w.count = slices.Delete(w.members, 3, 4), 4 // member 4 goes
	rotate()
	if w.available[1] != (1+4+7+10+2*16)*coin || len(w.paid) != 16 {
		t.Errorf("%d, %d paid", w.available[1], len(w.paid))
	}
	r, members, ok := w.s.SeriesOf(1, 2)
	if !ok || r.K != 3 || !slices.Equal(members, []custody.Member{1, 2, 3, 5}) {
		t.Errorf("%d of %v", r.K, members)
	}
	w.reload()
}

// Y-22: a newcomer's key waits for its cool-down; two and three members have no banks.
func TestKeys(t *testing.T) {
	d := definition("bitcoin-regtest", 4)
	d.CoolDown = 10_000
	w := newWorld(t, 4, d)
	m := w.join()
	if code := w.s.OpenSeries(1, w.members, w.now); code != custody.NotReady {
		t.Error(code)
	}
	if code := w.s.AnnounceKey(m, 1, memberKey(1, 0, 0), w.now); code != custody.BadKey {
		t.Error(code)
	}
	if code := w.s.AnnounceKey(77, 1, memberKey(77, 0, 0), w.now); code != custody.NotMember {
		t.Error(code)
	}
	if code := w.s.OpenSeries(1, []custody.Member{1, 2, 3}, w.now); code != custody.NotReady {
		t.Error(code)
	}
	if code := w.s.OpenSeries(1, []custody.Member{1, 2, 3, 99}, w.now); code != custody.NotMember {
		t.Error(code)
	}
	if code := w.s.OpenSeries(1, w.members, w.now+10_000); code != custody.OK {
		t.Error(code)
	}
	for n, want := range map[int]bool{1: true, 2: false, 3: false, 4: true, 15: true, 16: false} {
		var founders []custody.Founder
		for i := range n {
			founders = append(founders, custody.Founder{ID: custody.Member(i + 1), Keys: []script.MemberKey{memberKey(custody.Member(i+1), 0, 0)}})
		}
		if _, err := custody.Found([]custody.Definition{d}, founders); (err == nil) != want {
			t.Errorf("%d members: %v", n, err)
		}
	}
}

// Y-24: coins are refreshed before their recovery opens.
func TestRefresh(t *testing.T) {
	d := definition("bitcoin-regtest", 1)
	d.Recovery = &script.Recovery{K: 1, Keys: []script.MemberKey{memberKey(1000, 0, 0)}, Blocks: 40}
	w := newWorld(t, 4, d)
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposit(1, 0, coin)
	w.turn(0, 27)
	if info, _ := w.s.Bank(1); info.Sums.Change != 0 {
		t.Fatal("refreshed too early")
	}
	w.turn(0, 3)
	if b, ok := w.s.Batch(1, 1); !ok || b.Kind != custody.Sweep || len(b.Inputs) != 2 {
		t.Fatalf("%+v", b)
	}
	w.reload()
	w.work(0, 3)
}

// Y-59: small coins are put together while rates are low.
func TestTogether(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	w.gift(0, coin)
	for range 70 {
		w.deposit(1, 0, 50_000)
	}
	w.rates[0] = 3000
	w.turn(0, 4)
	if _, ok := w.s.Batch(1, 1); ok {
		t.Fatal("put together at a high rate")
	}
	w.rates[0] = 1000
	w.turn(0, 1)
	b, ok := w.s.Batch(1, 1)
	if !ok || b.Kind != custody.Together || len(b.Inputs) != 50 {
		t.Fatalf("%+v", b)
	}
	w.work(0, 2)
	if info, _ := w.s.Bank(1); info.Wallets[0].Coins != 22 || info.Sums.Deficit != 0 {
		t.Fatalf("%+v", info)
	}
}

// ghost is a statement of member 4 on the change of a batch that the next step makes.
func ghost(t *testing.T, w *world) script.Outpoint {
	t.Helper()
	ahead := again(t, w.s)
	ahead.Step(custody.Turn{Time: w.now + 1000, Seed: w.seedAt(w.height + 1), Reserves: w.reserves})
	info, _ := ahead.Bank(1)
	b, ok := ahead.Batch(1, ahead.LastBatch(1))
	if !ok || len(info.Live) == 0 {
		t.Fatal("no batch")
	}
	at := script.Outpoint{Tx: b.Versions[0].Tx, Index: uint32(b.ChangeAt)}
	lie := &custody.Attestation{Bank: 1, Payments: []custody.Payment{{Height: info.Tip.Height, At: at, Amount: 20_000, Branch: script.Deposits}}}
	w.both(func(s *custody.State) any { return s.Attest(4, lie) })
	return at
}

// Y-58, Y-95: what a member said of an outpoint before it was change goes when a
// child spends that; a state that was loaded goes on in the same way.
func TestChildOfWhatWasSaid(t *testing.T) {
	w := newWorld(t, 4, definition("litecoin-regtest", 1))
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposit(1, 0, 10*coin)
	w.deposit(1, 0, 10*coin)
	w.turn(0, 8)
	w.twin = again(t, w.s)
	w.withdraw(1, 0, "alice", coin, 1_000_000)
	at := ghost(t, w)
	w.step()
	w.sign(0, w.members...)
	w.rates[0] = 3000
	for range 12 {
		w.turn(0, 1)
		w.sign(0, w.members...)
	}
	if child, ok := w.s.Batch(1, 2); !ok || child.Inputs[0].At != at {
		t.Fatalf("%+v", child)
	}
	w.work(0, 10)
	if len(w.paid) != 1 {
		t.Fatalf("%+v", w.paid)
	}
}

// Y-74, Y-95: a child is given up because somebody took the change that it spends,
// before its parent is deep: that change does not count as lost any more.
func TestChildOfStolenChange(t *testing.T) {
	w := newWorld(t, 4, definition("litecoin-regtest", 1))
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposit(1, 0, 50*coin)
	w.turn(0, 9)
	w.twin = again(t, w.s)
	w.withdraw(1, 0, "alice", 45*coin, 1_000_000)
	w.step()
	w.sign(0, w.members...)
	w.rates[0] = 3000
	w.turn(0, 3)
	child, ok := w.s.Batch(1, 2)
	if !ok || child.Kind != custody.Child {
		t.Fatalf("%+v", child)
	}
	w.send(0, 1, 1)
	w.chains[0].pool = append(w.chains[0].pool, &tx{id: hashOf("thief"), spends: []script.Outpoint{child.Inputs[0].At}})
	w.turn(0, 2)
	if info, _ := w.s.Bank(1); w.s.Halted().Reason != custody.Theft || info.Sums.Lost != 0 || len(info.Live) != 1 {
		t.Fatalf("%+v, %+v", w.s.Halted(), info)
	}
	w.turn(0, 6)
	if len(w.paid) != 1 {
		t.Fatalf("%+v", w.paid)
	}
}
