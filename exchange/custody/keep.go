package custody

import (
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
	b := p.bank
	since := aged + (p.Time-aged)/KeepAnew*KeepAnew
	sum := b.free
	var coming []*coin
	for _, t := range b.live {
		if amount := t.back(); amount > 0 && b.comes(t, since) {
			sum = add(sum, amount)
			coming = append(coming, &coin{
				bank: b, at: t.changeAt(len(t.Versions)), change: true,
				content: content{amount: amount, series: t.ChangeSeries, branch: script.Change, index: t.ChangeIndex},
			})
		}
	}
	if sum < x.Amount {
		return
	}
	p.tries--
	all := append(b.allFree(), coming...)
	slices.SortFunc(all, (*coin).compare)
	d := p.pay([]*withdrawal{x}, all)
	if d == nil {
		return
	}
	p.keeps, p.kept = true, map[*coin]bool{}
	for _, c := range d.coins {
		if c.state == free {
			p.kept[c] = true
		}
	}
}

// comes tells whether a batch was made by a time, and is mined or may be any time.
func (b *bank) comes(t *batch, by uint64) bool {
	if _, _, mined := b.mined(t); mined {
		return b.made(t).Time <= by
	}
	return b.made(t).Time <= by && !b.slow(t) && !slices.ContainsFunc(append(b.unminedBefore(t), t), b.lacks)
}
