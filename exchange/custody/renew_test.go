package custody_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"souk/asset"
	"souk/exchange/custody"
	"souk/internal/bulk"
	"souk/script"
)

// lostInput is a world in which a withdrawal of 10 coins is to be paid by two deposits, and
// a reorganisation past the depth has taken the second one, of 9, away. All is halted.
func lostInput(t *testing.T, network string, reserve asset.Amount) (w *world, id custody.ID, lost *tx) {
	w = newWorld(t, 4, definition(network, 2))
	w.turn(0, 2)
	if reserve > 0 {
		w.gift(0, reserve)
	}
	w.deposit(1, 0, 4*coin)
	w.turn(0, 6)
	lost = w.deposit(1, 0, 9*coin)
	w.turn(0, 3)
	w.twin = again(t, w.s)
	id, code := w.withdraw(1, 0, "bob", 10*coin, 1_000_000)
	w.step()
	w.sign(0, w.members...)
	b, ok := w.s.Batch(1, 1)
	if code != custody.OK || !ok || len(b.Inputs) < 2 {
		t.Fatalf("%d, %+v", code, b)
	}
	c := w.chains[0]
	c.back(4)
	c.pool = nil
	w.turn(0, 6)
	if h := w.s.Halted(); h.Reason != custody.Reorganisation || deficit(w) != 9*coin {
		t.Fatalf("%+v, deficit %d", h, deficit(w))
	}
	return w, id, lost
}

// lift ends a halt.
func lift(w *world) {
	w.t.Helper()
	w.both(func(s *custody.State) any {
		code := liftNow(s, 1)
		if code != custody.OK {
			w.t.Fatalf("lift: %d", code)
		}
		return code
	})
	w.step()
}

// Y-71: one of several inputs of a batch is gone. When the halt is over, the next version
// does without it, spends the others and more, and pays the same; what comes back
// afterwards is the reserve's.
func TestLostInput(t *testing.T) {
	for _, network := range []string{"bitcoin-regtest", "litecoin-regtest"} {
		w, id, lost := lostInput(t, network, coin)
		w.gift(0, 9*coin)
		w.gift(0, coin)
		w.turn(0, 4)
		if b, _ := w.s.Batch(1, 1); len(b.Versions) != 1 {
			t.Fatalf("renewed in a halt: %+v", b)
		}
		reserve := w.reserves[0]
		lift(w)
		b, _ := w.s.Batch(1, 1)
		if len(b.Versions) != 2 || b.Versions[1].Fee <= b.Versions[0].Fee || reserve-w.reserves[0] != b.Versions[1].Fee-b.Versions[0].Fee {
			t.Fatalf("%+v, reserve %d after %d", b, w.reserves[0], reserve)
		}
		at := func(in custody.Input) bool { return in.At == lost.pays[0].At }
		if slices.ContainsFunc(b.Spends(2), at) || !slices.ContainsFunc(b.Spends(1), at) {
			t.Fatalf("%+v spends %s", b, lost.pays[0].At)
		}
		w.reload()
		w.work(0, 6)
		if _, ok := w.paid[id]; !ok || deficit(w) != 0 {
			t.Fatalf("%+v, deficit %d", w.paid, deficit(w))
		}
		w.reload()
		before := w.reserves[0]
		w.chains[0].pool = append(w.chains[0].pool, lost)
		w.turn(0, 3)
		if w.reserves[0]-before != 9*coin || w.s.Halted().Reason != custody.Running {
			t.Fatalf("%d came back, %+v", w.reserves[0]-before, w.s.Halted())
		}
	}
}

// Y-71: the lost input comes back before the next version is mined, and the former version
// is: it settles, and what the next one would have spent is free again.
func TestLostInputComesBack(t *testing.T) {
	w, id, lost := lostInput(t, "bitcoin-regtest", coin)
	w.gift(0, 9*coin)
	w.gift(0, coin)
	w.turn(0, 4)
	lift(w)
	w.sign(0, w.members...)
	w.chains[0].pool = append(w.chains[0].pool, lost)
	w.send(0, 1, 1)
	w.send(0, 1, 2)
	c := w.chains[0]
	second := w.transaction(0, 1, 2).id
	c.mine(func(x *tx) bool { return x.id != second })
	w.attest(0, w.members...)
	w.step()
	w.reload()
	w.turn(0, 6)
	e, ok := w.paid[id]
	if !ok || e.Version != 1 || deficit(w) != 0 || w.s.Halted().Reason != custody.Running {
		t.Fatalf("%+v, deficit %d, %+v", w.paid, deficit(w), w.s.Halted())
	}
	sums, _ := w.s.Solvency(1)
	onChain := asset.Amount(0)
	for _, amount := range c.unspent() {
		onChain += amount
	}
	if sums.Free != onChain || sums.Change != 0 || sums.Lost != 0 {
		t.Fatalf("%d on the chain, %+v", onChain, sums)
	}
}

// Y-71: without a reserve the batch waits, and says so.
func TestLostInputWithoutReserve(t *testing.T) {
	w, id, _ := lostInput(t, "bitcoin-regtest", 0)
	w.gift(0, 9*coin)
	w.turn(0, 5)
	lift(w)
	b, _ := w.s.Batch(1, 1)
	if info, _ := w.s.Bank(1); len(b.Versions) != 1 || info.Waits&custody.WaitsToBump == 0 || w.reserves[0] != 0 {
		t.Fatalf("%+v, %+v", b, info)
	}
	w.gift(0, coin)
	w.turn(0, 3)
	w.work(0, 8)
	if _, ok := w.paid[id]; !ok {
		t.Fatalf("%+v", w.paid)
	}
}

// Y-71: a thief took one of several inputs, deep. The withdrawals keep their batch; its
// next version spends the other inputs, so that the former one conflicts with it even if
// the theft is undone.
func TestStolenInputOfSeveral(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposit(1, 0, 4*coin)
	stolen := w.deposit(1, 0, 9*coin)
	w.turn(0, 4)
	w.twin = again(t, w.s)
	id, _ := w.withdraw(1, 0, "bob", 10*coin, 1_000_000)
	w.step()
	w.chains[0].pool = []*tx{{id: hashOf("thief"), spends: []script.Outpoint{stolen.pays[0].At}}}
	w.turn(0, 7)
	if x, _ := w.s.Withdrawal(id); x.Batch != 1 || w.s.Halted().Reason != custody.Theft || deficit(w) != 9*coin {
		t.Fatalf("%+v, %+v, deficit %d", x, w.s.Halted(), deficit(w))
	}
	w.gift(0, 10*coin)
	w.turn(0, 4)
	lift(w)
	if b, _ := w.s.Batch(1, 1); len(b.Versions) != 2 {
		t.Fatalf("%+v", b)
	}
	w.reload()
	w.work(0, 8)
	if _, ok := w.paid[id]; !ok || deficit(w) != 0 {
		t.Fatalf("%+v, deficit %d", w.paid, deficit(w))
	}
	w.reload()
}

// losing is a world whose batches lose inputs, again and again, and find them again.
type losing struct {
	*world
	rapid *rapid.T
	asked []custody.ID
	taken []*tx // payments that are in no block, and wait in no pool
}

func (x *losing) draw(from, to int, label string) int {
	return rapid.IntRange(from, to).Draw(x.rapid, label)
}

// input draws an input of a live batch.
func (x *losing) input() (at script.Outpoint, ok bool) {
	var all []script.Outpoint
	info, _ := x.s.Bank(1)
	for _, number := range info.Live {
		b, _ := x.s.Batch(1, number)
		for _, in := range b.Inputs {
			all = append(all, in.At)
		}
	}
	if len(all) == 0 {
		return at, false
	}
	return rapid.SampledFrom(all).Draw(x.rapid, "input"), true
}

// vanish takes back the blocks since a payment that a live batch spends, and others come
// without it.
func (x *losing) vanish() {
	at, _ := x.input()
	c := x.chains[0]
	for i := range c.blocks {
		if !slices.ContainsFunc(c.blocks[i].txs, func(y *tx) bool { return y.id == at.Tx && len(y.spends) == 0 }) {
			continue
		}
		n := len(c.blocks) - i
		if n > 200 {
			return
		}
		c.back(n)
		gone := slices.IndexFunc(c.pool, func(y *tx) bool { return y.id == at.Tx })
		x.taken = append(x.taken, c.pool[gone])
		c.pool = slices.Delete(c.pool, gone, gone+1)
		for range n + 1 {
			c.mine(anything)
		}
		x.stand()
		x.attest(0, x.members...)
		x.step()
		return
	}
}

// happen lets something happen to the chain.
func (x *losing) happen() {
	x.stand()
	c := x.chains[0]
	switch x.draw(0, 9, "what") {
	case 0, 1, 2:
		x.vanish()
	case 3:
		c.pool = append(c.pool, x.taken...)
		x.taken = nil
	case 4:
		if at, ok := x.input(); ok {
			x.sent++
			c.pool = append([]*tx{{id: hashOf("thief", x.sent), spends: []script.Outpoint{at}}}, c.pool...)
		}
	case 5:
		c.back(min(x.draw(1, 9, "depth"), len(c.blocks)-9))
		c.mine(anything)
	case 6:
		x.reload()
	case 7:
		if x.draw(0, 4, "long") == 0 {
			x.pass()
		}
	}
	for range x.draw(1, 5, "blocks") {
		x.turn(0, 1)
		x.stand()
	}
}

// pass lets so many blocks go by that what stands nowhere is given up.
func (x *losing) pass() {
	for range custody.DoubtBlocks/custody.MaxHashes + 1 {
		for range custody.MaxHashes {
			x.chains[0].mine(func(*tx) bool { return false })
		}
		x.stand()
		x.attest(0, x.members...)
		x.step()
	}
}

// recover ends a halt, as people do.
func (x *losing) recover() {
	for range 6 {
		sums, _ := x.s.Solvency(1)
		switch {
		case x.s.Halted().Reason == custody.Running:
			return
		case sums.Deficit > 0:
			x.gift(0, sums.Deficit+coin)
			x.turn(0, 8)
		default:
			lift(x.world)
		}
	}
}

// spread signs everything and puts some version of each live batch into the pool.
func (x *losing) spread() {
	x.sign(0, x.members...)
	info, _ := x.s.Bank(1)
	for _, number := range info.Live {
		if b, _ := x.s.Batch(1, number); x.draw(0, 2, "send") > 0 {
			x.send(0, number, x.draw(1, len(b.Versions), "version"))
		}
	}
}

// newLosing is a bank with a reserve and a few deposits.
func newLosing(t *rapid.T) *losing {
	network := rapid.SampledFrom([]string{"bitcoin-regtest", "litecoin-regtest"}).Draw(t, "network")
	x := &losing{rapid: t, world: newWorld(t, 4, definition(network, uint8(rapid.IntRange(1, 2).Draw(t, "wallets"))))}
	x.turn(0, 2)
	x.gift(0, 5*coin)
	for range 4 {
		x.deposit(1, 0, asset.Amount(x.draw(2, 5, "coins"))*coin)
		x.turn(0, 2)
	}
	x.turn(0, 8)
	return x
}

// Over any history of lost, stolen and returning inputs, versions for the same withdrawal
// conflict, unless one spends an input that was taken deep, or none of its inputs has stood
// for long (Y-51, Y-71, Y-72; conflicts in world_test.go); and once the chain is at rest
// and what lacks was made good, every withdrawal is paid.
func TestLosing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newLosing(t)
		for range x.draw(3, max(4, bulk.Count(10)), "rounds") {
			if has := x.available[1]; has > coin {
				if id, code := x.withdraw(1, 0, "bob", has*asset.Amount(x.draw(30, 95, "part"))/100, 3_000_000); code == custody.OK {
					x.asked = append(x.asked, id)
				}
			}
			x.step()
			x.spread()
			x.happen()
			x.spread()
			x.happen()
			x.recover()
		}
		x.pass()
		for range 6 {
			x.gift(0, coin)
			x.recover()
			x.work(0, 8)
		}
		x.reload()
		for _, id := range x.asked {
			if w, ok := x.s.Withdrawal(id); ok {
				info, _ := x.s.Bank(1)
				b, _ := x.s.Batch(1, w.Batch)
				t.Fatalf("withdrawal %d is not paid: %+v; %+v, %+v, %+v", id, w, x.s.Halted(), info, b)
			}
		}
	})
}
