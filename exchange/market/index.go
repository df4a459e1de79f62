package market

// index finds the slot of an order by its id. Ids are given out in sequence, so
// slots are kept in short pages of neighbouring ids: new orders share a cache
// line, and an old order that stays alone costs one page.
type index struct {
	dir   table[int32] // pages by id/indexRun + 1
	pages []indexPage
	free  []int32
}

const indexRun = 64

type indexPage struct {
	slots [indexRun]int32 // none where there is no live order
	live  int32
}

func (x *index) get(id OrderID) (slot int32, ok bool) {
	p := x.dir.get(uint64(id/indexRun) + 1)
	if p == nil {
		return none, false
	}
	slot = x.pages[*p].slots[id%indexRun]
	return slot, slot != none
}

func (x *index) put(id OrderID, slot int32) {
	p, fresh := x.dir.put(uint64(id/indexRun) + 1)
	if fresh {
		*p = x.page()
	}
	page := &x.pages[*p]
	page.slots[id%indexRun] = slot
	page.live++
}

// del takes out an id that is present.
func (x *index) del(id OrderID) {
	p := x.dir.get(uint64(id/indexRun) + 1)
	page := &x.pages[*p]
	page.slots[id%indexRun] = none
	page.live--
	if page.live == 0 {
		x.free = append(x.free, *p)
		x.dir.del(uint64(id/indexRun) + 1)
	}
}

// page returns an empty page.
func (x *index) page() int32 {
	if last := len(x.free) - 1; last >= 0 {
		p := x.free[last]
		x.free = x.free[:last]
		return p // all its slots were set to none one by one
	}
	var fresh indexPage
	for i := range fresh.slots {
		fresh.slots[i] = none
	}
	x.pages = append(x.pages, fresh)
	return int32(len(x.pages) - 1) //nolint:gosec // at most one per live order
}

// all appends all slots, in no particular order.
func (x *index) all(dst []int32) []int32 {
	for i := range x.pages {
		if x.pages[i].live == 0 {
			continue
		}
		for _, slot := range x.pages[i].slots {
			if slot != none {
				dst = append(dst, slot)
			}
		}
	}
	return dst
}
