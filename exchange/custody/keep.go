package custody

import (
	"cmp"
	"slices"

	"souk/script"
)

// What is kept for a withdrawal that has waited long for change (Y-54).

// usable tells whether a free coin may be spent by a payout: it is where it was agreed
// to be, and not kept for another one.
func (p *planner) usable(c *coin) bool { return c.fit() && !p.kept[c] }

// keep keeps free coins for a withdrawal, if with them and with change that is to come
// it could be paid within its bound: those that it would take besides the change. The
// change is that of batches which were made before a day, counted from when it had
// waited long, began, and which may be mined any time. So what others take in the
// meantime is never what it waits for.
func (p *planner) keep(x *withdrawal, aged uint64) {
	all := p.by(aged + (p.Time-aged)/KeepAnew*KeepAnew)
	if !all.payable(x) {
		return
	}
	d := p.pay([]*withdrawal{x}, all)
	p.moved()
	p.keeps, p.kept = true, map[*coin]bool{}
	for _, c := range d.coins {
		if c.state == free {
			p.kept[c] = true
		}
	}
}

// stock are the free coins of all wallets, and the change that is to come.
type stock struct {
	free   *tray
	coming []arrival // by when they were made
	first  map[int]*tray
}

// arrival is change that is to come, and when the batch that brings it was made.
type arrival struct {
	*coin
	made uint64
}

// have is what a bank has. It is found out once for many withdrawals, until a
// transaction is made.
func (p *planner) have() *stock {
	b := p.bank
	if p.stock != nil {
		return p.stock
	}
	p.stock = &stock{free: p.tray(b.allFree(), nil)}
	for _, t := range b.live {
		if amount := t.back(); amount > 0 && b.comes(t) {
			p.stock.coming = append(p.stock.coming, arrival{&coin{
				bank: b, at: t.changeAt(len(t.Versions)), change: true,
				content: content{amount: amount, series: t.ChangeSeries, branch: script.Change, index: t.ChangeIndex},
			}, b.made(t).Time})
		}
	}
	slices.SortStableFunc(p.stock.coming, func(x, y arrival) int { return cmp.Compare(x.made, y.made) })
	p.stock.first = map[int]*tray{0: p.stock.free}
	return p.stock
}

// by are the free coins and the change of batches that were made by a time.
func (p *planner) by(time uint64) *tray {
	s := p.have()
	n, _ := slices.BinarySearchFunc(s.coming, time, func(c arrival, time uint64) int {
		if c.made <= time {
			return -1
		}
		return 1
	})
	if s.first[n] == nil {
		more := make([]*coin, n)
		for i, c := range s.coming[:n] {
			more[i] = c.coin
		}
		slices.SortFunc(more, (*coin).compare)
		s.first[n] = p.tray(more, s.free)
	}
	return s.first[n]
}

// comes tells whether the change of a batch comes when the batch is mined, which may be any time.
func (b *bank) comes(t *batch) bool {
	if _, _, mined := b.mined(t); mined {
		return true
	}
	return !b.slow(t) && !slices.ContainsFunc(append(b.unminedBefore(t), t), b.lacks)
}
