package custody_test

import (
	"testing"

	"pgregory.net/rapid"

	"souk/asset"
	"souk/exchange/custody"
	"souk/script"
)

// hostile is a machine on a chain that reorganises past every depth, with thieves and
// a member that lies.
type hostile struct{ *machine }

// Check asks for the sums only, which Step has checked.
func (x *hostile) Check(t *rapid.T) { x.t = t }

func (x *hostile) Reorganise(t *rapid.T) {
	x.t = t
	c := x.chains[0]
	n := rapid.IntRange(1, 8).Draw(t, "depth")
	c.back(n)
	if rapid.Bool().Draw(t, "forget") {
		c.pool = nil
	}
	for range n + rapid.IntRange(0, 2).Draw(t, "more") {
		c.mine(func(*tx) bool { return rapid.Bool().Draw(t, "again") })
	}
	x.attest(0, x.some(t)...)
	x.step()
}

func (x *hostile) Steal(t *rapid.T) {
	x.t = t
	var all []custody.Coin
	x.s.Coins(1, func(c custody.Coin) bool { all = append(all, c); return true })
	if len(all) == 0 {
		t.Skip()
	}
	x.sent++
	thief := &tx{id: hashOf("thief", x.sent), spends: []script.Outpoint{rapid.SampledFrom(all).Draw(t, "coin").At}}
	x.chains[0].pool = append([]*tx{thief}, x.chains[0].pool...)
}

func (x *hostile) Lie(t *rapid.T) {
	x.t = t
	if len(x.members) == 1 {
		t.Skip()
	}
	m := x.members[len(x.members)-1]
	info, _ := x.s.Bank(1)
	height := info.Tip.Height - min(uint32(rapid.IntRange(0, 3).Draw(t, "back")), info.Tip.Height-info.Floor)
	parent, _ := x.s.Block(1, height)
	a := &custody.Attestation{Bank: 1, From: height + 1, Parent: parent, Rate: rapid.Uint64().Draw(t, "rate")}
	for range rapid.IntRange(1, 5).Draw(t, "hashes") {
		x.sent++
		a.Hashes = append(a.Hashes, hashOf("lie", x.sent))
	}
	if b, ok := x.s.Batch(1, 1); ok {
		out := script.Outpoint{Tx: b.Versions[0].Tx, Index: uint32(b.ChangeAt)}
		a.Payments = append(a.Payments, custody.Payment{Height: height + 1, At: out, Amount: coin, Branch: script.Change})
		a.Spends = append(a.Spends, custody.Spend{Height: height + 1, At: b.Inputs[0].At, Tx: hashOf("nothing")})
	}
	for _, d := range x.s.Deposits(1) {
		a.Payments = append(a.Payments, custody.Payment{Height: height + 1, At: d.At, Amount: d.Amount + 1, Branch: script.Deposits, Index: d.Index})
	}
	var code custody.Code
	x.both(func(s *custody.State) any {
		code = s.Attest(m, a)
		return code
	})
	if code == custody.OK {
		for at := range x.said {
			if at[0] == int(m) {
				x.said[at] = nil
			}
		}
		c := x.chains[0]
		for h := c.start; h <= height; h++ {
			hash, _ := x.s.Block(1, h)
			x.said[[2]int{int(m), 0}] = append(x.said[[2]int{int(m), 0}], hash)
		}
	}
}

func (x *hostile) Donate(t *rapid.T) { x.Help(t) }

func (x *hostile) Help(t *rapid.T) {
	x.t = t
	sums, _ := x.s.Solvency(1)
	if sums.Deficit == 0 {
		x.both(func(s *custody.State) any { return liftNow(s, 1) })
		return
	}
	if owner := x.owner(t); x.available[owner] > 0 && rapid.Bool().Draw(t, "from the ledger") {
		amount := min(x.available[owner], sums.Deficit)
		var burn, rest asset.Amount
		var code custody.Code
		x.both(func(s *custody.State) any {
			burn, rest, code = s.Donate(1, amount)
			return burn
		})
		if code != custody.OK || burn != amount || rest != 0 {
			t.Fatalf("donate %d: %d, %d, %d", amount, burn, rest, code)
		}
		x.available[owner] -= amount
		return
	}
	x.gift(0, max(sums.Deficit, 30_000_000))
}

// Whatever the chain and one member do, the books are the ledger's, a deficit is
// never without a halt, and what was stored can be loaded (Y-73 to Y-76, Y-91).
func TestHostile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := &hostile{newMachine(t)}
		t.Repeat(rapid.StateMachineActions(x))
		x.t = t
		x.reload()
		var owed asset.Amount
		for _, a := range x.available {
			owed += a
		}
		if sums, _ := x.s.Solvency(1); owed > sums.Books {
			t.Fatalf("%d owed, %+v", owed, sums)
		}
	})
}
