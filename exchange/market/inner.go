package market

import "slices"

// innerCross lets new orders by quantity that improve on their own side's
// resting best meet at one price inside the resting spread (M-44 to M-46).
func (a *auction) innerCross() {
	for s := range a.inners {
		a.inners[s] = a.inners[s][:0]
		for _, m := range a.movers[s] {
			if e := &a.entries[m.entry]; e.in() && !e.byQuote() && a.improves(e) {
				a.inners[s] = append(a.inners[s], claim{rank: e.key, want: e.left, owner: e.owner, slot: e.slot, entry: m.entry})
			}
		}
		if len(a.inners[s]) == 0 {
			return
		}
	}
	buys, sells := a.inners[0], a.inners[1]
	if !crosses(buys[0].rank, sells[0].rank) {
		return
	}
	a.cross = a.innerPrice(buys, sells)
	buys = a.upTo(buys, Buy.key(a.cross.price))
	sells = a.upTo(sells, Sell.key(a.cross.price))
	a.serve(buys, a.cross.lots)
	a.serve(sells, a.cross.lots)
	a.pair(buys, sells, a.cross.price, true)
}

// upTo is the claims, best limit first, whose limit is at least as good as key.
func (a *auction) upTo(claims []claim, key uint64) []claim {
	n := len(claims)
	for n > 0 && claims[n-1].rank < key {
		n--
	}
	return claims[:n]
}

// cross is the inner cross of a plan: its price, the lots that trade at it, and those
// that want to.
type cross struct{ price, lots, demand, supply uint64 }

// innerPrice is the price of the inner cross and the lots that trade at it:
// most volume, then least surplus, then nearest to the reference, then lowest
// (M-45). Demand falls and supply rises with the price, so one pass over the
// ascending candidates is enough.
func (a *auction) innerPrice(buys, sells []claim) (c cross) {
	low, high := uint64(1), uint64(MaxPrice)
	if a.has[0] {
		low = a.best[0]
	}
	if a.has[1] {
		high = Sell.key(a.best[1])
	}
	middle := min(max(a.b.reference(), low), high)
	a.prices = append(a.prices[:0], middle)
	if a.has[0] {
		a.prices = append(a.prices, low)
	}
	if a.has[1] {
		a.prices = append(a.prices, high)
	}
	demand := uint64(0)
	for i := range buys {
		demand += buys[i].want
		if p := buys[i].rank; p <= high {
			a.prices = append(a.prices, p)
		}
	}
	for i := range sells {
		if p := Sell.key(sells[i].rank); p >= low {
			a.prices = append(a.prices, p)
		}
	}
	slices.Sort(a.prices)

	supply, nextBuy, nextSell := uint64(0), len(buys)-1, 0
	var surplus, away uint64
	for _, p := range a.prices {
		for nextSell < len(sells) && Sell.key(sells[nextSell].rank) <= p {
			supply += sells[nextSell].want
			nextSell++
		}
		for nextBuy >= 0 && buys[nextBuy].rank < p {
			demand -= buys[nextBuy].want
			nextBuy--
		}
		v, s, d := min(demand, supply), distance(demand, supply), distance(p, middle)
		if v > c.lots || v == c.lots && (s < surplus || s == surplus && d < away) {
			c, surplus, away = cross{p, v, demand, supply}, s, d
		}
	}
	return c
}

func distance(x, y uint64) uint64 {
	if x < y {
		return y - x
	}
	return x - y
}
