package custody_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"souk/asset"
	"souk/exchange/custody"
	"souk/script"
)

// machine is a naive model of one bank: what the chain really has, who really paid
// what in, and who was really paid, against what the state says.
type machine struct {
	*world
	asked     map[custody.ID]custody.Withdrawal
	cancelled map[custody.ID]bool
	dust      map[script.Hash]bool
}

func newMachine(t *rapid.T) *machine {
	network := rapid.SampledFrom([]string{"bitcoin-regtest", "litecoin-regtest", "namecoin-regtest"}).Draw(t, "network")
	wallets := rapid.IntRange(1, 4).Draw(t, "wallets")
	members := rapid.SampledFrom([]int{1, 4, 5}).Draw(t, "members")
	d := definition(network, uint8(wallets))
	if network == "namecoin-regtest" {
		d.MinDeposit, d.MinWithdrawal = 20_000_000, 20_000_000
	}
	x := &machine{
		world: newWorld(t, members, d),
		asked: map[custody.ID]custody.Withdrawal{}, cancelled: map[custody.ID]bool{}, dust: map[script.Hash]bool{},
	}
	if rapid.IntRange(0, 3).Draw(t, "twin") == 0 {
		x.twin = again(t, x.s)
	}
	x.rates[0] = uint64(x.net(0).MinRelay)
	for range rapid.IntRange(1, 3).Draw(t, "deposits") {
		x.Deposit(t)
	}
	if rapid.Bool().Draw(t, "reserve") {
		x.gift(0, 5*coin)
	}
	x.turn(0, 4)
	return x
}

func (x *machine) owner(t *rapid.T) custody.Owner {
	return custody.Owner(rapid.IntRange(1, 3).Draw(t, "owner"))
}

func (x *machine) Deposit(t *rapid.T) {
	x.t = t
	x.deposit(x.owner(t), 0, asset.Amount(rapid.Int64Range(20_000_000, 500_000_000).Draw(t, "amount")))
}

func (x *machine) Gift(t *rapid.T) {
	x.t = t
	x.gift(0, asset.Amount(rapid.Int64Range(30_000_000, 90_000_000).Draw(t, "amount")))
}

func (x *machine) Dust(t *rapid.T) {
	x.t = t
	x.dust[x.deposit(x.owner(t), 0, asset.Amount(rapid.Int64Range(1, 19_999).Draw(t, "amount"))).id] = true
}

func (x *machine) Withdraw(t *rapid.T) {
	x.t = t
	owner := x.owner(t)
	has := x.available[owner]
	bound := asset.Amount(rapid.Int64Range(1000, 10_000_000).Draw(t, "bound"))
	amount := asset.Amount(rapid.Int64Range(20_000_000, 600_000_000).Draw(t, "amount"))
	if rapid.Bool().Draw(t, "all") && has > bound {
		amount = has - bound
	}
	id, code := x.withdraw(owner, 0, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "to"), amount, bound)
	if code == custody.OK {
		x.asked[id], _ = x.s.Withdrawal(id)
	}
}

func (x *machine) Cancel(t *rapid.T) {
	x.t = t
	if len(x.asked) == 0 {
		t.Skip()
	}
	id := custody.ID(rapid.IntRange(1, len(x.asked)).Draw(t, "id"))
	before, there := x.s.Withdrawal(id)
	want := custody.OK
	switch {
	case !there:
		want = custody.Unknown
	case before.Batch != 0:
		want = custody.InBatch
	}
	if code := x.cancel(id, x.asked[id].Owner); code != want {
		t.Fatalf("cancel %d: %d, want %d", id, code, want)
	}
	if want == custody.OK {
		x.cancelled[id] = true
	}
}

func (x *machine) some(t *rapid.T) []custody.Member {
	var list []custody.Member
	for _, m := range x.members {
		if rapid.IntRange(0, 3).Draw(t, "member") > 0 {
			list = append(list, m)
		}
	}
	return list
}

func (x *machine) Attest(t *rapid.T) {
	x.t = t
	x.attest(0, x.some(t)...)
	x.step()
}

func (x *machine) Mine(t *rapid.T) {
	x.t = t
	odds := rapid.IntRange(0, 3).Draw(t, "odds")
	i := 0
	x.chains[0].mine(func(*tx) bool { i++; return odds == 0 || i%(odds+1) == 0 })
}

func (x *machine) Turn(t *rapid.T) {
	x.t = t
	x.turn(0, rapid.IntRange(1, 3).Draw(t, "blocks"))
}

func (x *machine) SignAndSend(t *rapid.T) {
	x.t = t
	x.sign(0, x.some(t)...)
	info, _ := x.s.Bank(1)
	for _, number := range info.Live {
		b, _ := x.s.Batch(1, number)
		x.send(0, number, rapid.IntRange(1, len(b.Versions)).Draw(t, "version"))
	}
}

func (x *machine) Fees(t *rapid.T) {
	x.t = t
	x.rates[0] = uint64(x.net(0).MinRelay) * uint64(rapid.IntRange(1, 20).Draw(t, "rate"))
}

// Spike signs and sends everything, lets blocks go by that take none of it, and
// raises the rate.
func (x *machine) Spike(t *rapid.T) {
	x.t = t
	x.sign(0, x.members...)
	x.sendAll(0)
	times := uint64(rapid.IntRange(1, 50).Draw(t, "times"))
	x.rates[0] = min(uint64(x.net(0).MinRelay)*times, 40*uint64(x.net(0).MinRelay))
	for range rapid.IntRange(2, 9).Draw(t, "blocks") {
		x.chains[0].mine(func(*tx) bool { return false })
		x.attest(0, x.members...)
		x.step()
	}
}

// signable tells whether members can sign for all series (Y-25).
func (x *machine) signable(members []custody.Member) bool {
	info, _ := x.s.Bank(1)
	for i := range info.Series {
		r, who, _ := x.s.SeriesOf(1, i)
		left := slices.DeleteFunc(who, func(m custody.Member) bool { return !slices.Contains(members, m) })
		if len(left) < int(r.K) {
			return false
		}
	}
	return true
}

// Rotate adds a member, or lets one go, and opens a series for those that are there.
func (x *machine) Rotate(t *rapid.T) {
	x.t = t
	switch len(x.members) {
	case 4:
		x.join()
	case 5:
		i := 1
		if !x.signable(slices.Delete(slices.Clone(x.members), i, i+1)) {
			i = 4 // whom older series do not need
		}
		x.both(func(s *custody.State) any {
			code := s.CheckLeave(custody.Members{Present: x.members, Count: x.count}, x.members[i])
			if code != custody.OK {
				t.Fatalf("%d of %v leaves: %d", x.members[i], x.members, code)
			}
			return code
		})
		x.members = slices.Delete(x.members, i, i+1)
		x.count = len(x.members)
	default:
		t.Skip()
	}
	x.step()
	x.both(func(s *custody.State) any {
		code := s.OpenSeries(1, x.members, x.now)
		if code != custody.OK {
			t.Fatalf("open series: %d", code)
		}
		return code
	})
	x.step()
}

func (x *machine) Donate(t *rapid.T) {
	x.t = t
	owner := x.owner(t)
	amount := min(x.available[owner], 1_000_000)
	if amount == 0 {
		t.Skip()
	}
	var burn, reserve asset.Amount
	var code custody.Code
	x.both(func(s *custody.State) any {
		burn, reserve, code = s.Donate(1, amount)
		return burn
	})
	if code != custody.OK || burn != 0 || reserve != amount {
		t.Fatalf("donate %d: %d, %d, %d", amount, burn, reserve, code)
	}
	x.available[owner] -= amount
	x.reserves[0] += reserve
}

func (x *machine) Reload(t *rapid.T) {
	x.t = t
	x.reload()
}

// Reorganise replaces the newest block, which nothing was credited or settled from.
func (x *machine) Reorganise(t *rapid.T) {
	x.t = t
	c := x.chains[0]
	if c.tip() <= c.start+1 {
		t.Skip()
	}
	c.back(1)
	c.mine(func(*tx) bool { return rapid.Bool().Draw(t, "again") })
	c.mine(func(*tx) bool { return rapid.Bool().Draw(t, "again") })
	x.attest(0, x.members...)
	x.step()
}

func (x *machine) Check(t *rapid.T) {
	x.t = t
	if h := x.s.Halted(); h.Reason != 0 {
		t.Fatalf("halted: %+v", h)
	}
	sums, _ := x.s.Solvency(1)
	if sums.Deficit != 0 || sums.Lost != 0 {
		t.Fatalf("deficit: %+v", sums)
	}
	all := map[custody.ID]int{}
	for _, b := range x.chains[0].blocks {
		for _, y := range b.txs {
			for _, id := range y.payouts {
				all[id]++
			}
		}
	}
	for id, n := range all {
		if n != 1 || x.cancelled[id] {
			t.Fatalf("withdrawal %d is paid %d times (cancelled: %v)", id, n, x.cancelled[id])
		}
	}
	for id, e := range x.paid {
		a := x.asked[id]
		if e.Amount != a.Amount || e.Fee > a.MaxFee || e.Owner != a.Owner {
			t.Fatalf("withdrawal %d of %d, at most %d: %+v", id, a.Amount, a.MaxFee, e)
		}
	}
}

// The state keeps its sums under random histories, single-coin banks and all networks
// included: what the ledger has is what the coins are worth, to the unit (Y-73); no
// payout is mined twice or after a cancel (Y-50); shares stay within bounds (Y-56);
// versions of a batch spend the same first input (Y-51); a state that was loaded is the
// one that was stored, and goes on like it (Y-91).
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newMachine(t)
		actions := rapid.StateMachineActions(x)
		t.Repeat(actions)
		x.t = t
		x.drain(t)
	})
}

// drain lets everything come to an end: then what is left is what is on the chain.
func (x *machine) drain(t *rapid.T) {
	for _, id := range slices.Sorted(mapsKeys(x.asked)) {
		if w, ok := x.s.Withdrawal(id); ok && w.Batch == 0 {
			x.cancel(id, w.Owner)
			x.cancelled[id] = true
		}
	}
	x.rates[0] = uint64(x.net(0).MinRelay)
	x.gift(0, coin)
	for range 12 + 8*x.rotations() {
		x.work(0, 3)
	}
	x.swept(t)
	sums, _ := x.s.Solvency(1)
	if info, _ := x.s.Bank(1); sums.Change != 0 {
		t.Fatalf("batches %v do not end: %+v", info.Live, sums)
	}
	onChain := asset.Amount(0)
	for o, amount := range x.chains[0].unspent() {
		if !x.dust[o.Tx] {
			onChain += amount
		}
	}
	if onChain != sums.Free {
		t.Fatalf("there are %d on the chain, the state counts %d", onChain, sums.Free)
	}
	for id := range x.asked {
		if _, paid := x.paid[id]; paid == x.cancelled[id] {
			t.Fatalf("withdrawal %d: paid %v, cancelled %v", id, paid, x.cancelled[id])
		}
	}
}

func (x *machine) rotations() int {
	info, _ := x.s.Bank(1)
	return int(info.Series) - 1
}

// swept makes sure that no coin is left in an older series (Y-24).
func (x *machine) swept(t *rapid.T) {
	info, _ := x.s.Bank(1)
	for c := range func(yield func(custody.Coin) bool) { x.s.Coins(1, yield) } {
		if c.Series != info.Series-1 || c.Lost || c.Batch != 0 {
			t.Fatalf("coin %+v of %d series; waits for %d", c, info.Series, info.Waits)
		}
	}
}

func mapsKeys(m map[custody.ID]custody.Withdrawal) func(yield func(custody.ID) bool) {
	return func(yield func(custody.ID) bool) {
		for id := range m {
			if !yield(id) {
				return
			}
		}
	}
}
