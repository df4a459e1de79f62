package auditor

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"souk/asset"
	"souk/chain"
	"souk/exchange/custody"
	"souk/merkle"
	"souk/script"
)

// sums is an addition at work: what the leaves say of the coins that the chain has.
type sums struct {
	*Auditor
	bank    *bank
	coins   map[script.Outpoint]custody.CoinRecord
	asked   map[script.Outpoint]bool
	batches map[uint64]custody.BatchRecord // that are live
	report  *Report
	claimed map[script.Outpoint]bool // by the newest version of a live batch
	beyond  bool                     // a sum is more than can exist
}

// plus adds to a sum.
func (s *sums) plus(sum *asset.Amount, more asset.Amount) {
	var ok bool
	if *sum, ok = sum.Add(more); !ok {
		s.beyond = true
	}
}

// sum adds up what a bank has and what it owes. It asks about coins that were spent
// long ago only if something is missing without them.
func (a *Auditor) sum(ctx context.Context, b *bank) (*Report, error) {
	r, err := a.add(ctx, b, false)
	if err == nil && !r.Solvent() {
		return a.add(ctx, b, true)
	}
	return r, err
}

func (a *Auditor) add(ctx context.Context, b *bank, all bool) (*Report, error) {
	s := &sums{
		Auditor: a, bank: b, coins: map[script.Outpoint]custody.CoinRecord{}, asked: map[script.Outpoint]bool{},
		batches: map[uint64]custody.BatchRecord{}, claimed: map[script.Outpoint]bool{},
		report: &Report{
			Bank: a.Bank, Asset: b.Asset, Symbol: b.asset.Symbol, Network: b.network, Header: b.header, Time: b.time,
			Tip: b.tip, Own: a.watch.tip(), Halt: b.halt, Owed: max(b.Books, b.asset.Supply), Reserve: b.asset.Reserve,
		},
	}
	var ask []script.Outpoint
	payments := a.watch.coins()
	for i := range payments {
		if x, ok := a.watch.spends[payments[i].At]; all || !ok || s.recent(x.height) {
			ask = append(ask, payments[i].At)
		}
	}
	if err := s.readCoins(ctx, ask); err != nil {
		return nil, err
	}
	if err := s.readBatches(ctx); err != nil {
		return nil, err
	}
	for _, at := range ask {
		s.coin(at)
	}
	for _, number := range slices.Sorted(maps.Keys(s.batches)) {
		s.batch(number)
	}
	s.list(payments)
	return s.finish()
}

// recent tells whether what was mined at a height may not be settled yet: the largest
// sums have to be so deep.
func (s *sums) recent(height uint32) bool {
	return height+s.bank.network.Depth(asset.MaxSupply)+custody.Late > s.bank.Tip
}

// readCoins reads the leaves of coins.
func (s *sums) readCoins(ctx context.Context, list []script.Outpoint) error {
	at := make(map[merkle.Key]script.Outpoint, len(list))
	keys := make([]merkle.Key, 0, len(list))
	for _, o := range list {
		if !s.asked[o] {
			s.asked[o] = true
			key := custody.CoinKey(s.Bank, o)
			at[key] = o
			keys = append(keys, key)
		}
	}
	return s.ask(ctx, s.bank, keys, func(key merkle.Key, value []byte) error {
		if value == nil {
			return nil
		}
		c, err := custody.ParseCoin(key, value)
		if err != nil {
			return fmt.Errorf("coin %s: %w: %w", at[key], ErrUntold, err)
		}
		s.coins[at[key]] = c
		return nil
	})
}

// readBatches reads the batches that coins are promised to, and the children that
// spend the change of those.
func (s *sums) readBatches(ctx context.Context) error {
	for {
		var keys []merkle.Key
		numbers := map[merkle.Key]uint64{}
		for _, c := range s.coins {
			if _, ok := s.batches[c.Batch]; c.State == custody.CoinPromised && !ok {
				key := custody.BatchKey(s.Bank, c.Batch)
				if _, twice := numbers[key]; !twice {
					numbers[key] = c.Batch
					keys = append(keys, key)
				}
			}
		}
		if len(keys) == 0 {
			return nil
		}
		slices.SortFunc(keys, merkle.Key.Compare)
		var change []script.Outpoint
		err := s.ask(ctx, s.bank, keys, func(key merkle.Key, value []byte) error {
			if value == nil {
				return ErrMoving
			}
			t, err := custody.ParseBatch(key, value)
			if err != nil {
				return fmt.Errorf("batch %d: %w: %w", numbers[key], ErrUntold, err)
			}
			if t.Settled != 0 {
				return ErrMoving
			}
			if at, ok := t.Change(len(t.Versions)); ok && t.Child {
				change = append(change, at)
			}
			s.batches[t.Number] = t
			return nil
		})
		if err != nil {
			return err
		}
		if err := s.readCoins(ctx, change); err != nil {
			return err
		}
	}
}

// coin counts a coin that is free.
func (s *sums) coin(at script.Outpoint) {
	c, ok := s.coins[at]
	if !ok || c.State != custody.CoinFree {
		return
	}
	s.plus(&s.report.Free, c.Amount)
	s.have(&c.Input, nil)
}

// have looks for a coin of the books on the chain. The transactions of a live batch may
// spend it, nothing else.
func (s *sums) have(c *custody.Input, by *live) {
	p, there := s.watch.payments[c.At]
	x, gone := s.watch.spends[c.At]
	switch {
	case there && gone && (by == nil || by.version(x.by) == 0):
		s.miss(Missing{At: c.At, Amount: c.Amount, By: x.by, Height: x.height})
	case there && s.watch.place(c) == p.place:
		if p.Amount < c.Amount {
			s.miss(Missing{At: c.At, Amount: c.Amount - p.Amount, Height: p.height})
		}
	case by == nil || !s.unmined(c):
		s.miss(Missing{At: c.At, Amount: c.Amount})
	}
}

// unmined tells whether a coin is change that is to come, of a live batch which leaves it
// to a child.
func (s *sums) unmined(c *custody.Input) bool {
	coin, ok := s.coins[c.At]
	if !ok || !coin.Unmined {
		return false
	}
	for _, t := range s.batches {
		if at, ok := t.Change(len(t.Versions)); ok && at == c.At {
			return t.Child && c.Amount <= t.Versions[len(t.Versions)-1].Change
		}
	}
	return false
}

func (s *sums) miss(m Missing) {
	s.plus(&s.report.Lost, m.Amount)
	s.report.Missing = append(s.report.Missing, m)
}

// list adds up the coins on the chain, and lists those that the books do not count.
func (s *sums) list(payments []payment) {
	r := s.report
	for i := range s.bank.series {
		r.Series = append(r.Series, Series{SeriesRecord: s.bank.series[i], Number: uint32(i)})
	}
	coming := map[script.Outpoint]bool{}
	for _, t := range s.batches {
		for i := range t.Versions {
			if at, ok := t.Change(i + 1); ok {
				coming[at] = true
			}
		}
	}
	for i := range payments {
		p := &payments[i]
		if _, gone := s.watch.spends[p.At]; gone {
			continue
		}
		s.plus(&r.OnChain, p.Amount)
		r.Coins++
		x := &r.Series[p.series]
		x.Coins++
		s.plus(&x.Amount, p.Amount)
		if x.Recovery != nil {
			if opens := p.height + x.Recovery.Opens(s.bank.network); x.Opens == 0 || opens < x.Opens {
				x.Opens = opens
			}
		}
		c, known := s.coins[p.At]
		if known && (c.State == custody.CoinFree || c.State == custody.CoinPromised) || coming[p.At] {
			continue
		}
		s.plus(&r.Waiting, p.Amount)
		r.Unknown = append(r.Unknown, Unknown{p.At, p.Amount, p.height})
	}
}

// finish compares (Y-73, A-7).
func (s *sums) finish() (*Report, error) {
	r := s.report
	has, owes := r.Free, r.Owed
	s.plus(&has, r.Change)
	s.plus(&owes, r.Lost)
	if s.beyond {
		return nil, fmt.Errorf("more than can exist: %w", ErrUntold)
	}
	if has < owes {
		r.Deficit = owes - has
	} else {
		r.Surplus = has - owes
	}
	return r, nil
}

var _ chain.Visitor = (*watch)(nil)
