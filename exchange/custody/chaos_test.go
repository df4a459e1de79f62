package custody_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"souk/asset"
)

// deep takes back many blocks, past every depth, and lets others come, with or without the
// transactions of batches.
func (x *losing) deep() {
	c := x.chains[0]
	n := min(x.draw(1, 25, "depth"), len(c.blocks)-9)
	if n <= 0 {
		return
	}
	c.back(n)
	if x.draw(0, 1, "forgotten") == 0 {
		c.pool = slices.DeleteFunc(c.pool, func(y *tx) bool { return len(y.spends) > 0 })
	}
	for range n + 1 {
		c.mine(anything)
	}
	x.stand()
	x.attest(0, x.members...)
	x.step()
}

// Y-51, Y-71, Y-72: reorganisations past every depth, in which any version of a batch may
// be mined in place of the one that settled, renewals and rates that rise: versions for the
// same withdrawal conflict, no batch is given up while a version of it may be mined, and
// what is stored goes on like what was not.
func TestDeepLosing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newLosing(t)
		if x.draw(0, 3, "twin") == 0 {
			x.twin = again(t, x.s)
		}
		for range x.draw(5, 15, "rounds") {
			if has := x.available[1]; has > coin {
				x.withdraw(1, 0, "bob", has*asset.Amount(x.draw(10, 95, "part"))/100, 3_000_000)
			}
			x.rates[0] = uint64(x.draw(1, 20, "rate")) * 1000
			x.step()
			x.spread()
			x.stand()
			switch x.draw(0, 5, "what") {
			case 0:
				x.vanish()
			case 1:
				x.chains[0].pool = append(x.chains[0].pool, x.taken...)
				x.taken = nil
			case 2, 3:
				x.deep()
			}
			x.spread()
			for range x.draw(1, 6, "blocks") {
				x.turn(0, 1)
				x.stand()
			}
			if x.draw(0, 2, "recover") > 0 {
				x.recover()
			}
		}
		x.reload()
	})
}
