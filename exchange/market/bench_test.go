package market_test

import (
	"fmt"
	"syscall"
	"testing"

	"souk/asset"
	"souk/exchange/market"
	"souk/exchange/market/markettest"
)

// BenchmarkAuction drives commands through Check, Stage, Cancel and Auction on a
// book of 50,000 resting orders with the mix of markettest: 60 % limit orders
// near the middle, 30 % cancels, 10 % that take at once. It reports commands per
// second of CPU time (user and system, collector included) and fills per command.
func BenchmarkAuction(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("block=%d", size), func(b *testing.B) {
			const resting, commands = 50_000, 200_000
			mix := markettest.New(markettest.Config{Seed: 7})
			fill, load := make([]markettest.Command, resting), make([]markettest.Command, commands)
			for i := range fill {
				fill[i] = mix.Resting()
			}
			for i := range load {
				load[i] = mix.Next()
			}
			var cpu int64
			var done, fills, depth int
			for b.Loop() {
				p := newPlayer(b, mix.Terms())
				for i := 0; i < len(fill); i += 1_000 {
					p.play(fill[i : i+1_000])
				}
				if p.s.Len() != resting {
					b.Fatalf("%d orders rest", p.s.Len())
				}
				p.fills = 0
				before := cpuTime(b)
				for i := 0; i < len(load); i += size {
					p.play(load[i:min(i+size, len(load))])
				}
				cpu += cpuTime(b) - before
				done += len(load)
				fills += p.fills
				depth = p.s.Len()
			}
			b.ReportMetric(float64(done)/(float64(cpu)/1e9), "commands/cpu-s")
			b.ReportMetric(float64(fills)/float64(done), "fills/command")
			b.ReportMetric(float64(depth), "resting-after")
		})
	}
}

// player plays commands in blocks as exchange does: cancels, then orders, then
// cancels of orders of the same block, then the auction.
type player struct {
	t      testing.TB
	s      *market.State
	ids    []market.OrderID // by Seq
	out    market.Result
	height uint64
	fills  int
}

func newPlayer(t testing.TB, terms market.Terms) *player {
	t.Helper()
	p := &player{t: t, s: market.NewState()}
	if _, code := p.s.Create(1, 2, 8, terms); code != market.OK {
		t.Fatalf("Create: %d", code)
	}
	return p
}

func (p *player) play(block []markettest.Command) {
	p.height++
	p.out.Reset()
	start := len(p.ids)
	for i := range block {
		if t := block[i].Target; t >= 0 && t < start {
			p.s.Cancel(p.ids[t], market.Cancelled, &p.out)
		}
	}
	for i := range block {
		c := &block[i]
		if c.Target >= 0 {
			continue
		}
		if _, code := p.s.Check(&c.Order, p.height); code != market.OK {
			p.t.Fatalf("Check: %d", code)
		}
		p.ids = append(p.ids, p.s.Stage(&c.Order, p.height, p.height))
	}
	for i := range block {
		if t := block[i].Target; t >= start {
			p.s.Withdraw(p.ids[t], &p.out)
		}
	}
	p.s.Auction(1, [32]byte{byte(p.height)}, p.height, &p.out)
	p.fills += len(p.out.Fills)
}

func cpuTime(t testing.TB) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkWorstBlock stages 16,384 orders that are made to be as much work for
// one auction as the rules allow, and reports the CPU time of the auction.
func BenchmarkWorstBlock(b *testing.B) {
	const orders, accounts = 16_384, 8_192
	order := func(owner int, side market.Side, tif market.TIF, lots, price int) market.New {
		return market.New{
			Market: 1, Owner: market.Owner(owner), Side: side, Kind: market.LimitOrder, TIF: tif,
			Quantity: asset.Amount(lots), Price: asset.Price(price),
		}
	}
	// A book of small levels, 100 orders of each of 200 accounts.
	levels := func(k int) market.New { return order(20_000+k/100, market.Sell, market.GTC, 1, 10_000+k) }
	same := func(k int) market.New { return order(20_000+k/100, market.Sell, market.GTC, 1+k%3, 10_000) }
	for _, c := range []struct {
		name        string
		book, block func(k int) market.New
	}{
		{"equal takers, many levels", levels, func(k int) market.New { return order(k%accounts, market.Buy, market.GTC, 5, 40_000) }},
		{"the same with fill-or-kill orders", levels, func(k int) market.New {
			if k < 100 {
				return order(k, market.Buy, market.FOK, 1_000, 39_000)
			}
			return order(k%accounts, market.Buy, market.IOC, 5, 40_000)
		}},
		{"by quote amount, many levels", levels, func(k int) market.New {
			n := order(k%accounts, market.Buy, market.IOC, 0, 40_000)
			n.Kind, n.Quote = market.MarketOrder, 60_000
			return n
		}},
		{"takers of one level", same, func(k int) market.New { return order(k%accounts, market.Buy, market.GTC, 1+k%7, 10_000) }},
		{"inner cross", levels, func(k int) market.New { return order(k%accounts, market.Side(1+k%2), market.GTC, 1+k%7, 5_000+k%100) }},
		{"own orders", levels, func(k int) market.New { return order(20_000+k%200, market.Buy, market.GTC, 5, 40_000) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			var cpu int64
			fills := 0
			for b.Loop() {
				p := newPlayer(b, market.Terms{Tick: 1, Lot: 1, Reference: 10_000})
				p.s.SetOrderLimit(1_000_000)
				stage := func(n market.New) {
					if _, code := p.s.Check(&n, 0); code != market.OK {
						b.Fatalf("%+v: code %d", n, code)
					}
					p.s.Stage(&n, p.height, 0)
				}
				for k := range 20_000 {
					stage(c.book(k))
				}
				p.s.Auction(1, [32]byte{}, 0, &p.out)
				p.out.Reset()
				p.height = 1
				for k := range orders {
					stage(c.block(k))
				}
				before := cpuTime(b)
				p.s.Auction(1, [32]byte{}, 1, &p.out)
				cpu += cpuTime(b) - before
				fills = len(p.out.Fills)
			}
			b.ReportMetric(float64(cpu)/float64(b.N)/1e6, "cpu-ms/auction")
			b.ReportMetric(float64(fills), "fills")
		})
	}
}
