package main

import (
	"runtime"
	"time"

	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/internal/load"
)

// worstBlock is what one of the dearest blocks took.
type worstBlock struct {
	MS       float64 `json:"ms"`
	CPU      float64 `json:"cpu_ms"`
	Commands int     `json:"commands"`
	Trades   int     `json:"trades"`
	Leaves   int     `json:"leaves"`
}

// worst measures the most expensive blocks that can be made here, and beside them a
// full block of the ordinary load. They are compared by processor time, which other
// work on the machine disturbs least.
func (r *run) worst() error {
	ordinary := twice(func() func() *exchange.Result {
		w, flow := applyWorld(10_000, load.StandardMix())
		for range 50_000 / 1024 {
			w.State.Apply(flowBlock(w, flow, 1024))
		}
		in := flowBlock(w, flow, exchange.MaxBlockCommands)
		return func() *exchange.Result { return w.State.Apply(in) }
	})
	ordinary.note("ordinary")
	blocks := map[string]worstBlock{"ordinary": ordinary}
	name, dearest := "ordinary", ordinary
	for _, x := range exchangetest.WorstBlocks() {
		took := twice(func() func() *exchange.Result {
			crowd, commands := x.Make()
			return func() *exchange.Result { return crowd.Block(commands...) }
		})
		took.note(x.Name)
		if blocks[x.Name] = took; took.CPU > dearest.CPU {
			name, dearest = x.Name, took
		}
	}
	r.figures["worst_blocks"] = blocks
	r.set("worst_block", name)
	r.set("worst_block_ms", dearest.MS)
	r.set("worst_block_trades", dearest.Trades)
	r.set("worst_block_ratio", dearest.CPU/ordinary.CPU)
	return nil
}

// twice makes a state and applies a block to it, two times, and answers the better one:
// what else the machine does only makes a block slower.
func twice(make func() (apply func() *exchange.Result)) worstBlock {
	first := timed(make())
	if second := timed(make()); second.CPU < first.CPU {
		return second
	}
	return first
}

// timed applies a block.
func timed(apply func() *exchange.Result) worstBlock {
	runtime.GC()
	used, begin := cpu(), time.Now()
	res := apply()
	took, used := time.Since(begin), cpu()-used
	return worstBlock{rounded(ms(took)), rounded(ms(used)), len(res.Receipts), len(res.Results) - len(res.Receipts), len(res.Changes)}
}

func (b *worstBlock) note(name string) {
	say("%-40s %8v ms, %8v ms of processor time, %d commands, %d trades, %d leaves\n", name, b.MS, b.CPU, b.Commands, b.Trades, b.Leaves)
}
