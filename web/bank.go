package web

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/roster"
	"souk/script"
)

// What is answered about banks names no account: a bank's coins, wallets, series and
// transactions are the same whoever they are for (Y-93, H-100).

// mostSeries is how many series a bank's page has.
const mostSeries = 100

func noBank(name string) *api.Error {
	return api.NewError(api.NotFound, "path.asset", "There is no bank of %q. /v1/banks lists them by asset.", cut(name))
}

// bankOf finds a bank by the number or symbol of its asset.
func bankOf(s *exchange.State, name string) (custody.Info, *script.Network, error) {
	if s.Banks() == nil {
		return custody.Info{}, nil, noBank(name)
	}
	id, ok := s.Ledger().BySymbol(name)
	if n, err := strconv.ParseUint(name, 10, 32); !ok && err == nil {
		id = asset.ID(n)
	}
	for i := range s.Banks().Banks() {
		if bank := custody.Bank(i + 1); s.Banks().Asset(bank) == id {
			info, _ := s.Banks().Bank(bank)
			n, known := script.ByName(info.Network)
			if known {
				return info, n, nil
			}
		}
	}
	return custody.Info{}, nil, noBank(name)
}

// bankValue is a bank as it stands at a time.
func bankValue(s *exchange.State, b *custody.Info, n *script.Network, now uint64) api.Bank {
	of, _ := s.Ledger().Asset(b.Asset)
	v := api.BankValue(b, &of, n, now)
	_, used := s.Banks().Hour(b.ID, now)
	v.HourUsed, v.Delayed = api.FormatCoins(used), s.Banks().Delayed(b.ID, now)
	newest, _, _ := s.Banks().SeriesOf(b.ID, b.Series-1)
	v.Threshold, v.Keys = int(newest.K), len(newest.Keys)
	for _, number := range b.Live {
		t, _ := s.Banks().Batch(b.ID, number)
		v.Coins += len(t.Spends(len(t.Versions)))
	}
	return v
}

// bankHealth is how the banks stand, whoever is asked.
func bankHealth(s *exchange.State) (all []api.BankHealth) {
	if s.Banks() == nil {
		return nil
	}
	for i := range s.Banks().Banks() {
		b, _ := s.Banks().Bank(custody.Bank(i + 1))
		of, _ := s.Ledger().Asset(b.Asset)
		h := api.BankHealth{
			Asset: of.Symbol, Network: b.Network, Agreed: b.Tip.Height, Waiting: b.Pending, Transactions: len(b.Live), NoRate: b.Accepted == 0,
			Blind: []string{}, Reserve: api.FormatCoins(of.Reserve), WaitsToBump: b.Waits&custody.WaitsToBump != 0, WaitsToSweep: b.Waits&custody.WaitsToSweep != 0,
			WaitsForRate: b.Waits&custody.WaitsForRate != 0, WaitsToMine: b.Waits&custody.WaitsToMine != 0,
		}
		if b.Sums.Deficit != 0 {
			h.Deficit = api.FormatCoins(b.Sums.Deficit)
		}
		list, needed := attestorsOf(s, &b)
		h.Members, h.Needed = len(list), needed
		for i := range list {
			if m := &list[i]; m.Height == 0 || m.Late || m.Barred {
				h.Blind = append(h.Blind, m.Name)
			} else {
				h.Seeing++
			}
		}
		all = append(all, h)
	}
	return all
}

// ownPart adds how this server does its part.
func (v *virtual) ownPart(all []api.BankHealth) {
	for _, own := range v.health() {
		for i := range all {
			if b := &all[i]; b.Asset == own.Asset {
				b.Works, b.Node, b.Height, b.Attested, b.Problem = own.Works, own.Node, own.Height, own.Attested, own.Problem
			}
		}
	}
}

// haltValue is the halt of banks, and which they are if a vote has lifted it for others.
func haltValue(s *exchange.State) *api.Halt {
	h := api.HaltValue(s.Banks())
	if h == nil {
		return nil
	}
	for i := range s.Banks().Banks() {
		id := custody.Bank(i + 1)
		if s.Banks().HaltOf(id).Reason != custody.Running {
			of, _ := s.Ledger().Asset(s.Banks().Asset(id))
			h.Only = append(h.Only, of.Symbol)
		}
	}
	if len(h.Only) == s.Banks().Banks() {
		h.Only = nil
	}
	return h
}

// now is the time that limits and delays are told by: the server's clock, or the block's.
func (v *virtual) now(s *exchange.State) uint64 {
	return max(uint64(v.server.config.Now().UnixMilli()), s.Time())
}

func (v *virtual) banks(context.Context, *Nothing) (*Reply[api.Banks], error) {
	r := api.Banks{Banks: []api.Bank{}}
	err := v.look(func(s *exchange.State) {
		r.At = at(s)
		if s.Banks() == nil {
			return
		}
		r.Halt = haltValue(s)
		for i := range s.Banks().Banks() {
			info, _ := s.Banks().Bank(custody.Bank(i + 1))
			if n, ok := script.ByName(info.Network); ok {
				r.Banks = append(r.Banks, bankValue(s, &info, n, v.now(s)))
			}
		}
	})
	if err != nil {
		return nil, refuse(err)
	}
	return &Reply[api.Banks]{r}, nil
}

// BankInput names a bank.
type BankInput struct {
	Asset string `path:"asset" maxLength:"20" doc:"Number or symbol of the bank's asset." example:"BTC"`
}

func (v *virtual) bank(_ context.Context, in *BankInput) (*Reply[api.BankPage], error) {
	coins, err := v.coinsOf(in.Asset)
	if err != nil {
		return nil, refuse(err)
	}
	v.pages.mu.Lock() // a page takes long: who asks for the same one waits for it
	defer v.pages.mu.Unlock()
	height := uint64(0)
	if err := v.look(func(s *exchange.State) { height = s.Height() }); err != nil {
		return nil, refuse(err)
	}
	if p := v.pages.list[coins.bank]; p != nil && p.Height == height && time.Since(p.made) < coinsFor {
		return &Reply[api.BankPage]{p.BankPage}, nil
	}
	r := api.BankPage{AllSeries: []api.Series{}, Unsettled: []api.Batch{}, Attestors: []api.BankMember{}, CoinsAt: coins.at.Height}
	var checks []check
	err = v.view(func(s *exchange.State) error {
		b, n, err := bankOf(s, in.Asset)
		if err != nil {
			return err
		}
		r.At, r.Bank = at(s), bankValue(s, &b, n, v.now(s))
		if s.Banks().HaltOf(b.ID).Reason != custody.Running {
			r.Halt = haltValue(s)
		}
		for i := range min(b.Series, mostSeries) {
			if x, ok := seriesValue(s, b.ID, b.Series-1-i, coins); ok {
				r.AllSeries = append(r.AllSeries, x)
			}
		}
		for _, number := range b.Live {
			x, more := batchValue(s, &b, n, number)
			r.Unsettled, checks = append(r.Unsettled, x), append(checks, more...)
		}
		r.Attestors, r.NeedsVotes = attestorsOf(s, &b)
		r.Old, r.Rotation = oldCoins(s, &b, n, coins, b.Series-1), oldCoins(s, &b, n, coins, b.Series)
		return nil
	})
	if err != nil {
		return nil, refuse(err)
	}
	v.judge(&r, checks)
	v.pages.list[coins.bank] = &bankPage{r, time.Now()}
	return &Reply[api.BankPage]{r}, nil
}

// oldCoins are what has to move once a series is the newest one, and what that costs (Y-24).
func oldCoins(s *exchange.State, b *custody.Info, n *script.Network, coins *coinList, newest uint32) api.OldCoins {
	rate := asset.Amount(b.Accepted)
	inputs := map[uint8][]uint64{} // weights, by wallet
	weights := map[uint32]uint64{} // of an input, by series
	var all, small, cost asset.Amount
	v := api.OldCoins{}
	for i := range coins.coins {
		c := &coins.coins[i]
		if c.Series == newest || c.Batch != 0 {
			continue
		}
		weight, known := weights[c.Series]
		if !known {
			x, _, _ := s.Banks().SeriesOf(b.ID, c.Series)
			weight = x.InputWeight(false)
			weights[c.Series] = weight
		}
		v.Coins, all = v.Coins+1, all+c.Amount
		if fee, ok := script.Fee(rate, weight); ok && rate > 2*n.MinRelay && c.Amount/3 < fee {
			v.Small, small = v.Small+1, small+c.Amount
			continue
		}
		inputs[c.Wallet] = append(inputs[c.Wallet], weight)
	}
	last, _, _ := s.Banks().SeriesOf(b.ID, b.Series-1)
	if change, err := last.Output(script.Change, 0); err == nil {
		for _, list := range inputs {
			for some := range slices.Chunk(list, custody.MaxInputs) {
				fee, _ := script.Fee(rate, script.TransactionWeight(some, []uint64{script.OutputWeight(change)}))
				cost += fee
			}
		}
	}
	of, _ := s.Ledger().Asset(b.Asset)
	v.Amount, v.SmallAmount, v.Cost = api.FormatCoins(all), api.FormatCoins(small), api.FormatCoins(cost)
	v.Missing = api.FormatCoins(cost - min(cost, of.Reserve))
	return v
}

// bankPage is a bank's page as it was at a moment.
type bankPage struct {
	api.BankPage
	made time.Time
}

// pageCache keeps the newest page of each bank, for those who ask for it in the same block.
type pageCache struct {
	mu   sync.Mutex
	list map[custody.Bank]*bankPage
}

// nameOf answers names of members in the roster.
func nameOf(s *exchange.State) func(custody.Member) string {
	return func(id custody.Member) string {
		m, _ := s.Roster().Member(roster.ID(id))
		return m.Name
	}
}

func seriesValue(s *exchange.State, id custody.Bank, number uint32, coins *coinList) (api.Series, bool) {
	key := custody.SeriesKey(id, number)
	leaf, ok := s.Banks().Leaf(key)
	if !ok {
		return api.Series{}, false
	}
	x, err := custody.ParseSeries(key, leaf)
	if err != nil {
		return api.Series{}, false
	}
	v := api.SeriesValue(number, &x, nameOf(s))
	sum := coins.series[number]
	v.Coins, v.Amount = sum.coins, api.FormatCoins(sum.amount)
	return v, true
}

// SeriesInput names a series of a bank.
type SeriesInput struct {
	Asset  string `path:"asset" maxLength:"20" doc:"Number or symbol of the bank's asset." example:"BTC"`
	Number uint32 `path:"number" maximum:"9999" doc:"From 0."`
	Proving
}

func (v *virtual) series(ctx context.Context, in *SeriesInput) (*Reply[api.SeriesPage], error) {
	coins, err := v.coinsOf(in.Asset)
	if err != nil {
		return nil, refuse(err)
	}
	r := api.SeriesPage{}
	missing := api.NewError(api.NotFound, "path.number", "The bank has no series %d. /v1/banks/%s lists the newest.", in.Number, cut(in.Asset))
	key := custody.SeriesKey(coins.bank, in.Number)
	err = v.view(func(s *exchange.State) error {
		x, ok := seriesValue(s, coins.bank, in.Number, coins)
		if !ok {
			return missing
		}
		r.At, r.Series = at(s), x
		return nil
	})
	if err != nil {
		return nil, refuse(err)
	}
	if in.Proof {
		if r.Proof, err = v.proveLeaf(ctx, key); err != nil {
			return nil, refuse(err)
		}
	}
	return &Reply[api.SeriesPage]{r}, nil
}

// attestorsOf is what a bank knows of the roster's members, and how many must agree.
func attestorsOf(s *exchange.State, b *custody.Info) (list []api.BankMember, needed int) {
	known := map[custody.Member]custody.MemberInfo{}
	for _, m := range s.Banks().Members(b.ID) {
		known[m.Member] = m
	}
	_, newest, _ := s.Banks().SeriesOf(b.ID, b.Series-1)
	list = []api.BankMember{}
	for m := range s.Roster().Members {
		x := known[custody.Member(m.ID)]
		v := api.BankMember{
			Member: uint32(m.ID), Name: m.Name, Barred: m.Barred, Height: x.Height, Behind: x.Behind, Late: x.Behind > custody.Late,
			Wrong: x.Wrong, Rate: x.Rate, InSeries: slices.Contains(newest, custody.Member(m.ID)),
		}
		if x.Member == 0 {
			v.Behind = b.Tip.Height - b.Start.Height
			v.Late = v.Behind > custody.Late
		}
		if x.HasKey {
			v.Key, v.KeySince = x.Key.String(), x.Since
		}
		list = append(list, v)
	}
	return list, custody.Threshold(len(list))
}

// CoinsInput says which coins of a bank.
type CoinsInput struct {
	Asset string `path:"asset" maxLength:"20" doc:"Number or symbol of the bank's asset." example:"BTC"`
	After string `query:"after" maxLength:"80" doc:"Only coins behind this outpoint: next of the response before."`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"1000"`
}

func (v *virtual) coins(_ context.Context, in *CoinsInput) (*Reply[api.Coins], error) {
	all, err := v.coinsOf(in.Asset)
	if err != nil {
		return nil, refuse(err)
	}
	from := 0
	if in.After != "" {
		after, err := script.ParseOutpoint(in.After)
		if err != nil {
			return nil, api.NewError(api.BadRequest, "query.after", "Give what the response before has as next, or nothing.")
		}
		i, found := slices.BinarySearchFunc(all.coins, after, func(c custody.Coin, at script.Outpoint) int { return compareOutpoints(c.At, at) })
		if from = i; found {
			from++
		}
	}
	page := all.coins[from:min(from+in.Limit, len(all.coins))]
	r := api.Coins{At: all.at, Bank: uint32(all.bank), Coins: make([]api.Coin, len(page))}
	for i := range page {
		r.Coins[i] = api.CoinValue(&page[i])
	}
	if from+len(page) < len(all.coins) {
		r.Next = page[len(page)-1].At.String()
	}
	return &Reply[api.Coins]{r}, nil
}

func compareOutpoints(a, b script.Outpoint) int {
	if c := slices.Compare(a.Tx[:], b.Tx[:]); c != 0 {
		return c
	}
	return int(a.Index) - int(b.Index)
}

// coinList is all coins of a bank at a moment, by outpoint.
type coinList struct {
	at     api.At
	bank   custody.Bank
	coins  []custody.Coin
	series map[uint32]coinSum
	made   time.Time
}

type coinSum struct {
	coins  int
	amount asset.Amount
}

// coinsFor is for how long a list of coins is answered again: to list them takes time
// in proportion to all of them, while blocks wait.
const coinsFor = time.Second

// coinCache keeps the newest list of each bank.
type coinCache struct {
	mu   sync.Mutex
	list map[custody.Bank]*coinList
}

// coinsOf is the coins of a bank a moment ago.
func (v *virtual) coinsOf(name string) (*coinList, error) {
	v.coinCache.mu.Lock()
	defer v.coinCache.mu.Unlock()
	var c *coinList
	err := v.view(func(s *exchange.State) error {
		b, _, err := bankOf(s, name)
		if err != nil {
			return err
		}
		if c = v.coinCache.list[b.ID]; c != nil && (c.at.Height == s.Height() || time.Since(c.made) < coinsFor) {
			return nil
		}
		c = &coinList{at: at(s), bank: b.ID, series: map[uint32]coinSum{}, made: time.Now()}
		s.Banks().Coins(b.ID, func(x custody.Coin) bool {
			c.coins = append(c.coins, x)
			return true
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if c != v.coinCache.list[c.bank] {
		for i := range c.coins {
			x := &c.coins[i]
			sum := c.series[x.Series]
			sum.coins, sum.amount = sum.coins+1, sum.amount+x.Amount
			c.series[x.Series] = sum
		}
		v.coinCache.list[c.bank] = c
	}
	return c, nil
}
