package market

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"souk/asset"
)

// claim is an order's part in sharing out the lots that trade at one price.
type claim struct {
	rank  uint64 // the higher the earlier served: limit of a taker, age of a maker
	want  uint64
	got   uint64
	owner Owner
	slot  int32
	entry int32 // of the batch; none for resting orders
}

// share is an owner's part in a pro rata division.
type share struct {
	owner     Owner
	want      uint64
	got       uint64
	remainder uint64
	tie       [sha256.Size]byte
}

// serve shares lots out among claims sorted by rank and, within a rank, by
// owner and sort position: a rank is served whole before the next gets anything,
// and pro rata if there is not enough for it (M-55).
func (a *auction) serve(claims []claim, lots uint64) {
	for i := 0; i < len(claims); {
		wanted, j := uint64(0), i
		for j < len(claims) && claims[j].rank == claims[i].rank {
			wanted += claims[j].want
			j++
		}
		if wanted <= lots {
			for k := i; k < j; k++ {
				claims[k].got = claims[k].want
			}
			lots -= wanted
		} else {
			a.proRata(claims[i:j], lots, wanted)
			lots = 0
		}
		i = j
	}
}

// proRata divides lots among claims of one rank, sorted by owner, that want more
// than there is: in proportion to what each owner wants, rounded down, and the
// lots left over one each to the largest remainders (M-55).
func (a *auction) proRata(claims []claim, lots, wanted uint64) {
	if lots == 0 {
		return // got is zero already
	}
	a.shares = a.shares[:0]
	over := lots
	for i := 0; i < len(claims); {
		sh := share{owner: claims[i].owner}
		for ; i < len(claims) && claims[i].owner == sh.owner; i++ {
			sh.want += claims[i].want
		}
		sh.got, sh.remainder, _ = asset.Mul(lots, sh.want).Div(wanted)
		over -= sh.got
		a.shares = append(a.shares, sh)
	}
	if over > 0 {
		a.giveOver(int(over)) //nolint:gosec // fewer than shares
	}
	i := 0
	for _, sh := range a.shares {
		for ; i < len(claims) && claims[i].owner == sh.owner; i++ {
			claims[i].got = min(claims[i].want, sh.got)
			sh.got -= claims[i].got
		}
	}
}

// giveOver gives one lot more to each of the n shares with the largest
// remainders; ties go by the hash of seed and owner. Only shares that tie for
// the last of the lots are hashed.
func (a *auction) giveOver(n int) {
	order := a.order[:0]
	for i := range a.shares {
		order = append(order, int32(i))
	}
	a.order = order
	slices.SortStableFunc(order, func(x, y int32) int { return cmp.Compare(a.shares[y].remainder, a.shares[x].remainder) })
	least := a.shares[order[n-1]].remainder
	first, last := n-1, n
	for first > 0 && a.shares[order[first-1]].remainder == least {
		first--
	}
	for last < len(order) && a.shares[order[last]].remainder == least {
		last++
	}
	if last > n {
		tied := order[first:last]
		for _, i := range tied {
			a.shares[i].tie = a.tie(a.shares[i].owner)
		}
		slices.SortFunc(tied, func(x, y int32) int {
			p, q := &a.shares[x], &a.shares[y]
			return cmp.Or(bytes.Compare(p.tie[:], q.tie[:]), cmp.Compare(p.owner, q.owner))
		})
	}
	for _, i := range order[:n] {
		a.shares[i].got++
	}
}

// tie is what breaks ties between owners: nobody knows it before the previous
// block is final.
func (a *auction) tie(owner Owner) [sha256.Size]byte {
	var in [36]byte
	copy(in[:], a.seed[:])
	binary.BigEndian.PutUint32(in[32:], uint32(owner))
	return sha256.Sum256(in[:])
}

// pair turns what takers and makers got at one price, the same number of lots on
// both sides, into fills, first with first (M-56). In the inner cross buys stand
// for takers and sells for makers.
func (a *auction) pair(takers, makers []claim, price uint64, inner bool) {
	t, m := 0, 0
	for {
		for t < len(takers) && takers[t].got == 0 {
			t++
		}
		for m < len(makers) && makers[m].got == 0 {
			m++
		}
		if t == len(takers) || m == len(makers) {
			return
		}
		lots := min(takers[t].got, makers[m].got)
		takers[t].got -= lots
		makers[m].got -= lots
		a.fills = append(a.fills, fill{price, lots, makers[m].slot, takers[t].slot, inner})
		a.trade(takers[t].entry, price, lots)
		a.trade(makers[m].entry, price, lots)
	}
}

// trade takes lots off an entry's plan.
func (a *auction) trade(i int32, price, lots uint64) {
	if i == none {
		return
	}
	e := &a.entries[i]
	e.left -= lots
	if e.byQuote() {
		cost := asset.Mul(price, uint64(a.b.quantity(lots)))
		a.purses[e.purse], _ = a.purses[e.purse].Sub(cost)
	}
}
