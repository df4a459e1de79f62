package custody

import (
	"fmt"
	"maps"
	"slices"

	"souk/asset"
)

// Verify counts everything anew and returns an error that says what does not fit
// together (Y-95). It takes time in proportion to the whole state.
func (s *State) Verify() error {
	for _, b := range s.banks {
		if err := s.verifyBank(b); err != nil {
			return fmt.Errorf("bank %d: %w", b.id, err)
		}
	}
	if !slices.IsSortedFunc(s.records, (*done).byTime) {
		return fmt.Errorf("settled withdrawals are out of order")
	}
	return nil
}

func (s *State) verifyBank(b *bank) error {
	var freeSum, change, lost asset.Amount
	totals := make([]asset.Amount, len(b.wallets))
	open := map[Member]opened{}
	paid := map[uint32]wideAmount{}
	for _, key := range slices.Sorted(maps.Keys(s.entries)) {
		c, ok := s.entries[key].record.(*coin)
		if !ok || c.bank != b {
			continue
		}
		if c.state == free {
			freeSum = add(freeSum, c.amount)
			totals[c.wallet] = add(totals[c.wallet], c.amount)
			if i, ok := slices.BinarySearchFunc(b.wallets[c.wallet].free, c, (*coin).compare); !ok || b.wallets[c.wallet].free[i] != c {
				return fmt.Errorf("coin %s is not in its wallet", c.at)
			}
		}
		if c.missing() {
			lost = add(lost, c.amount)
		}
		if t := s.batchOf(b.id, c.batch); c.state == promised && (t == nil || t.Settled != 0 || !slices.Contains(t.Inputs, c.asInput())) {
			return fmt.Errorf("coin %s is promised to batch %d, which does not spend it", c.at, c.batch)
		}
		if (c.location != location{}) && c.height > b.floor && b.agreedAt(c.height) != c.hash && c.state != gone {
			return fmt.Errorf("coin %s stands in a block that is not agreed", c.at)
		}
		c.countOpen(open, 1)
		if (c.location != location{}) && c.state != gone && b.blocks[c.height] != nil {
			if k := b.blocks[c.height]; c.slot >= len(k.coins) || k.coins[c.slot] != c {
				return fmt.Errorf("coin %s is not in its block", c.at)
			}
			if !c.change {
				paid[c.height] = paid[c.height].add(c.amount)
			}
		}
		if _, ok := slices.BinarySearchFunc(b.heard, c, (*coin).byPlace); ok != (len(c.said)+len(c.spends) > 0) {
			return fmt.Errorf("coin %s is heard of, or not", c.at)
		}
	}
	if !maps.Equal(open, b.open) {
		return fmt.Errorf("open statements are miscounted: %v, %v", b.open, open)
	}
	for _, h := range slices.Sorted(maps.Keys(b.blocks)) {
		if k := b.blocks[h]; k.paid != paid[h] {
			return fmt.Errorf("payments in block %d have the sum %v, by counting %v", h, k.paid, paid[h])
		}
	}
	for _, t := range b.live {
		change = add(change, t.back())
		totals[t.Wallet] = add(totals[t.Wallet], t.back())
		for i := range t.Versions {
			v := &t.Versions[i]
			if t.spent(i+1) != add(t.paidOut(), add(v.Fee, v.Change)) || i > 0 && v.Fee < t.Versions[i-1].Fee {
				return fmt.Errorf("version %d of batch %d does not balance", i+1, t.Number)
			}
		}
		if len(t.paying) != len(t.Payouts) || t.Settled != 0 || t.Paid > t.Versions[0].Fee {
			return fmt.Errorf("batch %d is not live", t.Number)
		}
	}
	if freeSum != b.free || change != b.change || lost != b.lost {
		return fmt.Errorf("sums are %d, %d, %d, by counting %d, %d, %d", b.free, b.change, b.lost, freeSum, change, lost)
	}
	for i := range b.wallets {
		if w := &b.wallets[i]; w.sum > w.total || w.total != totals[i] || !slices.IsSortedFunc(w.free, (*coin).compare) {
			return fmt.Errorf("wallet %d has %d, by counting %d", i, w.total, totals[i])
		}
	}
	has, owes := add(b.free, b.change), add(b.books, b.lost)
	if has > owes {
		return fmt.Errorf("there is %d and the books have %d", has, owes)
	}
	if has < owes && !s.halted(b) {
		return fmt.Errorf("a deficit of %d and no halt", owes-has)
	}
	for _, x := range b.pending {
		if x.Batch != 0 || x.bank != b || x.ID > s.last {
			return fmt.Errorf("withdrawal %d does not wait", x.ID)
		}
	}
	return nil
}
