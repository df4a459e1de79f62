package market

import (
	"cmp"
	"slices"
)

// dropSelfCrossing drops new orders that another new order of their owner
// crosses (M-42). Of an owner's orders, in order of nonce and then of sort
// position, each is kept unless it crosses one that was kept before it.
func (a *auction) dropSelfCrossing() {
	for _, owner := range a.b.mixed {
		a.nonces = a.nonces[:0]
		if p := a.s.presence(owner, a.b.ID); p != nil {
			for slot := p.head; slot != none; slot = a.s.orders.at(slot).ownerNext {
				if o := a.s.orders.at(slot); o.status == Staged && a.entries[o.prev].in() {
					a.nonces = append(a.nonces, slot)
				}
			}
		}
		slices.SortFunc(a.nonces, func(x, y int32) int {
			p, q := a.s.orders.at(x), a.s.orders.at(y)
			return cmp.Or(cmp.Compare(p.nonce, q.nonce), cmp.Compare(p.id, q.id))
		})
		var best [2]uint64
		var has [2]bool
		for _, slot := range a.nonces {
			e := &a.entries[a.s.orders.at(slot).prev]
			mine, other := e.side.index(), e.side.other().index()
			if has[other] && crosses(e.key, best[other]) {
				e.fate = SelfCross
			} else if !has[mine] || e.key > best[mine] {
				best[mine], has[mine] = e.key, true
			}
		}
	}
}
