package exchange_test

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"souk/exchange"
	. "souk/exchange/exchangetest"
	"souk/internal/load"
)

// cpu is the processor time that the process has used.
func cpu() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkApply measures blocks of the standard flow without signatures.
func BenchmarkApply(b *testing.B) {
	for _, size := range []int{1024, 10_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			w := New(1)
			accounts := make([]load.Account, 10_000)
			for i := range accounts {
				accounts[i] = load.NewAccount(1, i)
			}
			for i := 0; i < len(accounts); i += 500 {
				var commands []exchange.Command
				for _, a := range accounts[i : i+500] {
					commands = append(commands,
						w.Command("issuer", &exchange.Mint{Asset: BTC, Amount: 1_000_000 * Coin, To: a.Address}),
						w.Command("issuer", &exchange.Mint{Asset: LTC, Amount: 1_000_000 * Coin, To: a.Address}))
				}
				w.Block(commands...)
				commands = commands[:0]
				for _, a := range accounts[i : i+500] {
					commands = append(commands, w.Command("issuer", &exchange.Mint{Asset: EUR, Amount: 1_000_000 * Coin, To: a.Address}))
				}
				w.Block(commands...)
			}
			flow := load.New(1, accounts, []load.Market{
				{ID: BTCEUR, Middle: 50_000e8, Tick: 1e6, Lot: 1e4}, {ID: LTCBTC, Middle: 150_000, Tick: 10, Lot: 1e5},
			}, EUR, load.StandardMix(), "o")
			block := func(n int) *exchange.Block {
				w.Height++
				w.Time += 10
				in := &exchange.Block{Height: w.Height, Time: w.Time, Proposer: Key(MemberName(0) + "/consensus").Public()}
				for range n {
					account, body := flow.Next()
					in.Commands = append(in.Commands, flow.Unsigned(account, body, w.Time+60_000))
				}
				return in
			}
			for range 50_000 / 1024 {
				w.State.Apply(block(1024))
			}
			var blocks []*exchange.Block
			n := 0
			for n < b.N {
				blocks = append(blocks, block(size))
				n += size
			}
			runtime.GC()
			failed, fills, leaves := 0, 0, 0
			codes := map[exchange.Code]int{}
			b.ResetTimer()
			start := cpu()
			for _, in := range blocks {
				res := w.State.Apply(in)
				for i := range res.Receipts {
					if c := res.Receipts[i].Code; c != exchange.OK {
						failed++
						codes[c]++
					}
				}
				fills += len(res.Results) - len(res.Receipts)
				leaves += len(res.Changes)
			}
			used := cpu() - start
			b.StopTimer()
			b.ReportMetric(float64(n)/used.Seconds(), "commands/cpu-s")
			b.ReportMetric(float64(fills)/float64(n), "fills/command")
			b.ReportMetric(float64(leaves)/float64(n), "leaves/command")
			b.ReportMetric(100*float64(failed)/float64(n), "%rejected")
			if failed > 0 {
				b.Log(codes, w.State.Markets().Len(), "orders")
			}
		})
	}
}
