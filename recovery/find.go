package recovery

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"souk/asset"
	"souk/chain"
	"souk/script"
	"souk/threshold"
)

// How far beyond the last address that is known to be used coins are looked for, unless
// the caller says otherwise. Deposit addresses are given out for the asking and many are
// never paid to; a wallet uses its change addresses one after the other.
const (
	DepositGap = 5000
	ChangeGap  = 500
)

// mostGaps is how many gaps of addresses more are looked for at most when the chain is read
// again. So who pays to make a reading necessary does not make it endless, too.
const mostGaps = 32

const (
	coinbaseDepth = 100 // blocks until a block's reward can be spent
	medianBlocks  = 11  // whose middle one is the time of a chain (BIP-113)
)

// Config says what to look for, and where.
type Config struct {
	Bank    Bank
	Backend chain.Backend
	// DepositGap and ChangeGap are those of each series, and of each wallet in each
	// series; zero is the constant of that name.
	DepositGap, ChangeGap uint32
	// Progress is told of every block that was read; nil for nobody.
	Progress func(height uint32)
}

// Coin is a coin of a bank that no block spends.
type Coin struct {
	threshold.Coin
	Height uint32 // of the block that paid it
	// Opens is the first block in which the recovery can spend it. Where the lock is a
	// time it is an estimate, and Until is the time that the chain must have reached, in
	// seconds since the Unix epoch.
	Opens uint32
	Until uint32
	// Open is set if it can be spent in the next block.
	Open bool
}

// Findings are a bank's coins as a backend shows them at a block.
type Findings struct {
	Network *script.Network
	Series  []Series
	Tip     chain.Point
	Coins   []Coin // the largest first

	locator chain.Locator
}

// Sum returns what the coins amount to that keep says yes to, and how many they are.
func (f *Findings) Sum(keep func(*Coin) bool) (sum asset.Amount, n int) {
	for i := range f.Coins {
		if keep(&f.Coins[i]) {
			sum += f.Coins[i].Amount // at most the supply of a chain
			n++
		}
	}
	return sum, n
}

// Find derives a bank's addresses and reads its chain from the bank's first block to the
// end, and again with more addresses until no used one is near the last one that was looked
// for. It returns ErrBank for a bank that cannot be looked for, and the
// backend's errors.
func Find(ctx context.Context, c Config) (*Findings, error) {
	if err := c.Bank.check(); err != nil {
		return nil, err
	}
	s := &search{
		config: &c, filter: chain.NewFilter(), fresh: chain.NewFilter(), places: map[string]place{}, found: map[script.Outpoint]found{},
		spent: map[script.Outpoint]uint32{}, spenders: map[script.Hash]bool{}, watched: map[chainOf]uint32{},
	}
	for {
		more, err := s.extend()
		if err != nil {
			return nil, err
		}
		if !more {
			return s.findings(), nil
		}
		if err := s.read(ctx); err != nil {
			return nil, err
		}
	}
}

// chainOf is a row of addresses: of a series, and of a wallet if they are change.
type chainOf struct {
	series, branch uint32
	wallet         uint8
}

// place is where an address stands.
type place struct {
	chainOf
	number, index uint32
}

type found struct {
	chain.Payment
	place
	height uint32
}

// search is a chain being read for a bank's coins.
type search struct {
	config  *Config
	filter  *chain.Filter
	fresh   *chain.Filter      // of it, what no reading has looked for
	places  map[string]place   // by output script
	watched map[chainOf]uint32 // addresses that are looked for

	locator  chain.Locator
	start    uint32
	times    []uint32 // of blocks, from start + 1 on
	tip      chain.Point
	found    map[script.Outpoint]found
	spent    map[script.Outpoint]uint32 // height
	spenders map[script.Hash]bool       // what has ever spent a coin of the bank
}

// used are the addresses of rows up to the last one that counts as paid: any sum that
// members credit does for a deposit address, and for a change address also any sum that
// comes out of the bank. Wallets count their change addresses through all series (Y-52).
func (s *search) used() map[chainOf]uint32 {
	used := map[chainOf]uint32{}
	for at, x := range s.found {
		row := x.chainOf
		if row.branch == script.Change {
			row.series = 0
		}
		if x.Amount >= s.config.Bank.MinDeposit || row.branch == script.Change && s.spenders[at.Tx] {
			used[row] = max(used[row], x.number+1)
		}
	}
	return used
}

// extend derives what is not looked for yet. more is false if that is nothing.
func (s *search) extend() (more bool, err error) {
	used := s.used()
	for i := range s.config.Bank.Series {
		series := &s.config.Bank.Series[i]
		deposits := chainOf{series: series.Number, branch: script.Deposits}
		gap := cmp.Or(s.config.DepositGap, DepositGap)
		added, err := s.derive(series, deposits, reach(s.watched[deposits], max(used[deposits], series.Allotted), gap, script.Hardened))
		if err != nil {
			return false, err
		}
		more = more || added
		for wallet := range s.config.Bank.Wallets {
			change := chainOf{series.Number, script.Change, wallet}
			gap := cmp.Or(s.config.ChangeGap, ChangeGap)
			added, err := s.derive(series, change, reach(s.watched[change], used[chainOf{branch: script.Change, wallet: wallet}], gap, 1<<24))
			if err != nil {
				return false, err
			}
			more = more || added
		}
	}
	return more, nil
}

// reach is below which index addresses are to be looked for: a gap beyond those that are
// used. If more than before are, as many more are looked for at once as are used, so that
// the chain is read again less often the more there are.
func reach(watched, used, gap, limit uint32) uint32 {
	if end := uint64(used) + uint64(gap); end <= uint64(watched) {
		return watched
	}
	more := uint64(gap)
	if watched > 0 {
		more = max(more, min(uint64(used), mostGaps*uint64(gap)))
	}
	return uint32(min(uint64(used)+more, uint64(limit)))
}

// derive watches the addresses of a row below end.
func (s *search) derive(series *Series, row chainOf, end uint32) (added bool, err error) {
	if s.watched[row] >= end {
		return false, nil
	}
	branch, err := series.Branch(row.branch)
	if err != nil {
		return false, fmt.Errorf("series %d: %w", series.Number, err)
	}
	for n := s.watched[row]; n < end; n++ {
		index := n
		if row.branch == script.Change {
			index, _ = script.ChangeIndex(row.wallet, n)
		}
		d, err := branch.Derive(index)
		if err != nil {
			continue // one of 2^127 has none
		}
		out := d.Output()
		if _, ok := s.places[string(out)]; !ok { // series of the same keys have the same addresses
			s.places[string(out)] = place{row, n, index}
		}
		s.filter.Watch(out)
		s.fresh.Watch(out)
	}
	s.watched[row] = end
	return true, nil
}

// read reads the chain for what is looked for since the last reading, and to its end for
// all of it.
func (s *search) read(ctx context.Context) error {
	from := s.config.Bank.Start
	if from.Hash.IsZero() {
		from = chain.Point{Hash: s.config.Bank.Network.Genesis}
	}
	fresh := s.fresh
	s.fresh = chain.NewFilter()
	if len(s.locator) > 0 {
		a := &again{search: s, same: s.tip == from}
		if _, err := chain.Walk(ctx, s.config.Backend, chain.Locator{from}, fresh, a); err != nil && !errors.Is(err, errMoved) {
			return err
		}
		if a.same {
			return s.walk(ctx)
		}
	}
	// This is the first time, or a reorganisation came between.
	s.locator, s.start, s.tip, s.times = chain.Locator{from}, from.Height, from, nil
	clear(s.found)
	clear(s.spent)
	return s.walk(ctx)
}

func (s *search) walk(ctx context.Context) (err error) {
	s.locator, err = chain.Walk(ctx, s.config.Backend, s.locator, s.filter, s)
	return err
}

// Rewind implements chain.Visitor.
func (s *search) Rewind(to chain.Point) error {
	s.times, s.tip = s.times[:to.Height-s.start], to
	maps.DeleteFunc(s.found, func(_ script.Outpoint, f found) bool { return f.height > to.Height })
	maps.DeleteFunc(s.spent, func(_ script.Outpoint, height uint32) bool { return height > to.Height })
	return nil
}

// Connect implements chain.Visitor.
func (s *search) Connect(b chain.Block, at chain.Found) error {
	s.times, s.tip = append(s.times, b.Time), b.Point
	s.note(b, at)
	return nil
}

// note keeps what a block holds.
func (s *search) note(b chain.Block, at chain.Found) {
	for _, p := range at.Payments {
		if where, ok := s.places[string(p.Script)]; ok {
			s.found[p.At] = found{p, where, b.Height}
			s.filter.Expect(p.At, p.Script)
		}
	}
	for _, x := range at.Spends {
		s.spent[x.At] = b.Height
		s.spenders[x.By] = true
	}
	if s.config.Progress != nil {
		s.config.Progress(b.Height)
	}
}

// errMoved ends a reading of blocks that were read before if they are others now.
var errMoved = errors.New("the chain was reorganised")

// again reads blocks that were read before for addresses that are new, up to the last one
// that was.
type again struct {
	*search
	same bool // it was met
}

// Rewind implements chain.Visitor.
func (a *again) Rewind(to chain.Point) error {
	if to.Height < a.tip.Height {
		a.same = false
		return errMoved
	}
	return nil
}

// Connect implements chain.Visitor.
func (a *again) Connect(b chain.Block, at chain.Found) error {
	if b.Height > a.tip.Height || a.same {
		return nil // the search goes on from there
	}
	a.note(b, at)
	a.same = b.Point == a.tip
	return nil
}

func (s *search) findings() *Findings {
	f := &Findings{Network: s.config.Bank.Network, Series: s.config.Bank.Series, Tip: s.tip, locator: s.locator}
	series := byNumber(f.Series)
	for at, x := range s.found {
		if _, gone := s.spent[at]; gone {
			continue
		}
		c := Coin{Height: x.height}
		c.Coin = threshold.Coin{At: at, Amount: x.Amount, Series: x.series, Branch: x.branch, Index: x.index}
		s.lock(&c, &x, series[x.series].Recovery)
		f.Coins = append(f.Coins, c)
	}
	slices.SortFunc(f.Coins, func(x, y Coin) int {
		return cmp.Or(cmp.Compare(y.Amount, x.Amount), bytes.Compare(x.At.Tx[:], y.At.Tx[:]), cmp.Compare(x.At.Index, y.At.Index))
	})
	return f
}

// lock says when a coin can be spent (Q-5, BIP-68, BIP-113).
func (s *search) lock(c *Coin, x *found, r *script.Recovery) {
	network, next := s.config.Bank.Network, s.tip.Height+1
	blocks := r.Blocks
	if x.Coinbase {
		blocks = max(blocks, coinbaseDepth)
	}
	if x.PegOut {
		blocks = max(blocks, network.PegOutExtra)
	}
	c.Opens = x.height + blocks
	c.Open = c.Opens <= next
	if r.Intervals == 0 {
		return
	}
	now := s.median(s.tip.Height)
	c.Until = s.median(x.height-1) + r.Intervals*script.IntervalSeconds
	if c.Until > now {
		c.Open = false
		c.Opens = max(c.Opens, next+(c.Until-now+network.BlockSeconds-1)/network.BlockSeconds)
	}
}

// median is the time of the chain at a block: the middle one of the last eleven. Of
// blocks before the bank's first one nothing is known; they were earlier.
func (s *search) median(height uint32) uint32 {
	end := min(int(height)-int(s.start), len(s.times))
	if end <= 0 {
		if len(s.times) == 0 {
			return 0
		}
		end = 1
	}
	last := slices.Clone(s.times[max(0, end-medianBlocks):end])
	slices.Sort(last)
	return last[len(last)/2]
}
