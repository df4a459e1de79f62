package market

import (
	"cmp"
	"slices"
)

// maxFOKRounds is how many fill-or-kill orders are taken out one by one before
// all that remain are (M-54).
const maxFOKRounds = 16

// settleFOK plans until every fill-or-kill order that is in trades whole.
func (a *auction) settleFOK() {
	a.plan()
	for round := 1; a.foks > 0; round++ {
		broken := a.worstBroken()
		if broken == nil {
			return
		}
		broken.fate = Killed
		if round > maxFOKRounds || a.askedBefore+a.asked >= a.s.bounds.asked {
			a.killFOK()
		}
		a.plan()
	}
}

// killFOK takes out all fill-or-kill orders.
func (a *auction) killFOK() {
	for i := range a.entries {
		if e := &a.entries[i]; e.fok && e.in() {
			e.fate = Killed
		}
	}
}

// worstBroken is the fill-or-kill order that does not trade whole and has the
// worst limit, measured from the reference price towards its own side; ties go to
// the latest sort position. It is nil if all are whole.
func (a *auction) worstBroken() *entry {
	var worst *entry
	var worstBy int64
	middle := int64(a.b.reference()) //nolint:gosec // at most MaxPrice
	for i := range a.entries {
		e := &a.entries[i]
		if !e.fok || !e.in() || e.left == 0 {
			continue
		}
		by := middle - int64(e.side.key(e.key)) //nolint:gosec // at most MaxPrice
		if e.side == Sell {
			by = -by
		}
		if worst == nil || by >= worstBy {
			worst, worstBy = e, by
		}
	}
	return worst
}

// cumulated is a price and the lots that a side offers at it or better.
type cumulated struct{ key, lots uint64 }

// dropHopeless drops fill-or-kill orders that could not fill even against all
// that the other side has within their limit, resting and new, their own owner's
// orders aside (M-43). All are judged by the same batch, before any is dropped.
func (a *auction) dropHopeless() {
	a.order = a.order[:0]
	for side := Buy; side <= Sell; side++ {
		reach, most := uint64(0), uint64(0)
		for i := range a.entries {
			if e := &a.entries[i]; e.fok && e.in() && e.side == side {
				e.left = e.lots + a.ownWithin(e) // what must be offered in all; plan sets it anew
				reach, most = max(reach, e.key), max(most, e.left)
			}
		}
		if most == 0 {
			continue
		}
		a.sumResting(side.other(), reach, most)
		a.sumFresh(side.other(), reach)
		for i := range a.entries {
			e := &a.entries[i]
			if e.fok && e.in() && e.side == side && within(a.offered, e.key)+within(a.fresh, e.key) < e.left {
				a.order = append(a.order, int32(i))
			}
		}
	}
	for _, i := range a.order {
		a.entries[i].fate = Killed
	}
}

// ownWithin is the lots that an entry's owner has resting within its limit.
func (a *auction) ownWithin(e *entry) (lots uint64) {
	p := a.s.presence(e.owner, a.b.ID)
	if p.stay[e.side.other().index()] == 0 {
		return 0
	}
	for slot := p.head; slot != none; slot = a.s.orders.link(slot).ownerNext {
		if o := a.s.orders.at(slot); o.status == Resting && o.side != e.side && crosses(e.key, o.key()) {
			lots += o.lots
		}
	}
	return lots
}

// sumResting sums up a side's resting levels, best first, as far as a limit
// reaches or until there is enough for every order.
func (a *auction) sumResting(side Side, reach, enough uint64) {
	a.offered = a.offered[:0]
	ladder, sum := a.b.ladder(side), uint64(0)
	for at := ladder.top(); sum < enough; at = ladder.worse(at) {
		key, lvl, ok := ladder.at(at)
		if !ok || !crosses(reach, key) {
			return
		}
		sum += a.s.levels[lvl].lots
		a.offered = append(a.offered, cumulated{key, sum})
	}
}

// sumFresh sums up a side's new orders by quantity as far as a limit reaches.
func (a *auction) sumFresh(side Side, reach uint64) {
	a.fresh = a.fresh[:0]
	for i := range a.entries {
		if e := &a.entries[i]; e.in() && e.side == side && !e.byQuote() && crosses(reach, e.key) {
			a.fresh = append(a.fresh, cumulated{e.key, e.lots})
		}
	}
	slices.SortFunc(a.fresh, func(x, y cumulated) int { return cmp.Compare(y.key, x.key) })
	sum := uint64(0)
	for i := range a.fresh {
		sum += a.fresh[i].lots
		a.fresh[i].lots = sum
	}
}

// within is the lots of a cumulation that cross a limit.
func within(sums []cumulated, key uint64) uint64 {
	n, _ := slices.BinarySearchFunc(sums, key, func(c cumulated, k uint64) int {
		if crosses(k, c.key) {
			return -1
		}
		return 1
	})
	if n == 0 {
		return 0
	}
	return sums[n-1].lots
}
