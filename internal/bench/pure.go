package main

import (
	"crypto/rand"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/exchange/market/markettest"
	"souk/identity"
	"souk/internal/load"
)

// verify measures the library's batch verification on all cores: batches of
// 256, no key cache. Everything end to end is compared with it.
func (r *run) verify() error {
	const keys, batch = 5000, 256
	type signed struct{ key, message, signature []byte }
	items := make([]signed, keys)
	for i := range items {
		key, err := identity.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		message := append(identity.AppendTag(nil, identity.TagCommand), make([]byte, 180)...)
		copy(message[len(message)-8:], fmt.Sprint(i))
		pub, sig := key.Public(), key.SignRaw(message)
		items[i] = signed{pub[:], message, sig[:]}
	}
	options := &ed25519.Options{Verify: ed25519.VerifyOptionsZIP_215}
	var wg sync.WaitGroup
	counts := make([]int, runtime.NumCPU())
	begin := time.Now()
	bad := false
	for core := range counts {
		wg.Go(func() {
			v := ed25519.NewBatchVerifierWithCapacity(batch)
			for at := core * batch; time.Since(begin) < 4*time.Second; at += batch {
				v.Reset()
				for i := range batch {
					s := &items[(at+i)%len(items)]
					v.AddWithOptions(s.key, s.message, s.signature, options)
				}
				if !v.VerifyBatchOnly(rand.Reader) {
					bad = true
				}
				counts[core] += batch
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	if bad {
		return fmt.Errorf("a good signature did not verify")
	}
	r.set("raw_verify_per_s", float64(total)/time.Since(begin).Seconds())
	return nil
}

// auction measures a market alone: 50,000 resting orders and the mix of 60 %
// limit orders near the middle, 30 % cancels, 10 % IOC and market orders.
func (r *run) auction() error {
	for _, size := range []int{1, 10, 100, 1_000, 10_000} {
		rate, fills := auctionRate(size)
		if size == 1_000 {
			r.set("auction_per_cpu_s", rate)
			r.set("auction_fills_per_command", fills)
		} else {
			r.set(fmt.Sprintf("auction_%d_per_cpu_s", size), rate)
		}
	}
	return nil
}

func auctionRate(size int) (rate, fillsPerCommand float64) {
	const resting, commands = 50_000, 400_000
	mix := markettest.New(markettest.Config{Seed: 7})
	fill := make([]markettest.Command, resting)
	for i := range fill {
		fill[i] = mix.Resting()
	}
	flow := make([]markettest.Command, commands)
	for i := range flow {
		flow[i] = mix.Next()
	}
	s := market.NewState()
	s.SetOrderLimit(1 << 30)
	id, code := s.Create(1, 2, 8, mix.Terms())
	if code != market.OK {
		panic("bench: terms of the mix are refused") //nolint:forbidigo // a mistake in this program
	}
	p := player{s: s, id: id, ids: make([]market.OrderID, resting+commands)}
	for i := 0; i < len(fill); i += 1_000 {
		p.play(fill[i : i+1_000])
	}
	p.fills = 0
	runtime.GC()
	begin := cpu()
	for i := 0; i < len(flow); i += size {
		p.play(flow[i:min(i+size, len(flow))])
	}
	used := cpu() - begin
	return commands / used.Seconds(), float64(p.fills) / commands
}

// player plays blocks of commands as exchange does: cancels, then orders, then the auction.
type player struct {
	s      *market.State
	id     market.ID
	ids    []market.OrderID // by number in the mix
	late   []market.OrderID
	out    market.Result
	height uint64
	fills  int
}

func (p *player) play(block []markettest.Command) {
	p.height++
	p.out.Reset()
	p.late = p.late[:0]
	first := len(block)
	for i := range block {
		if c := &block[i]; c.Target < 0 {
			first = min(first, c.Seq)
		}
	}
	for i := range block {
		if c := &block[i]; c.Target >= 0 && p.ids[c.Target] != 0 {
			p.s.Cancel(p.ids[c.Target], market.Cancelled, &p.out)
		}
	}
	now := p.height * 10
	for i := range block {
		c := &block[i]
		if c.Target >= 0 {
			continue
		}
		if _, code := p.s.Check(&c.Order, now); code == market.OK {
			p.ids[c.Seq] = p.s.Stage(&c.Order, p.height, now)
		}
	}
	p.s.Auction(p.id, [32]byte{byte(p.height)}, p.height, &p.out)
	p.fills += len(p.out.Fills)
}

// applyWorld is a state with funded accounts, and a flow over them.
func applyWorld(accounts int, mix load.Mix) (*exchangetest.World, *load.Flow) {
	w := exchangetest.New(1)
	list := make([]load.Account, accounts)
	for i := range list {
		list[i] = load.NewAccount(1, i)
	}
	issuer := exchangetest.Key("issuer")
	for i := 0; i < accounts; i += 300 {
		var commands []exchange.Command
		for _, a := range list[i:min(i+300, accounts)] {
			for id := asset.ID(1); id <= 3; id++ {
				commands = append(commands, w.CommandBy(exchangetest.Address("issuer"), issuer,
					&exchange.Mint{Asset: id, Amount: 1_000_000e8, To: a.Address}))
			}
		}
		w.Block(commands...)
	}
	return w, load.New(1, list, load.PracticeMarkets(), 2, mix, "o")
}

func flowBlock(w *exchangetest.World, flow *load.Flow, n int) *exchange.Block {
	w.Height++
	w.Time += 10
	in := &exchange.Block{Height: w.Height, Time: w.Time, Proposer: exchangetest.Key(exchangetest.MemberName(0) + "/consensus").Public()}
	in.Commands = make([]exchange.Command, 0, n)
	for range n {
		account, body := flow.Next()
		in.Commands = append(in.Commands, flow.Unsigned(account, body, w.Time+60_000))
	}
	return in
}

// apply measures whole blocks without signatures: ledger, auctions, events,
// results and state root.
func (r *run) apply() error {
	for _, size := range []int{1024, 10_000} {
		w, flow := applyWorld(10_000, load.StandardMix())
		for range 50_000 / 1024 {
			w.State.Apply(flowBlock(w, flow, 1024))
		}
		const commands = 600_000
		var blocks []*exchange.Block
		for n := 0; n < commands; n += size {
			blocks = append(blocks, flowBlock(w, flow, size))
		}
		runtime.GC()
		var t tally
		used := cpu()
		for _, in := range blocks {
			res := w.State.Apply(in)
			t.trades += len(res.Results) - len(res.Receipts)
			for i := range res.Receipts {
				t.count(&in.Commands[i], &res.Receipts[i])
			}
		}
		used = cpu() - used
		name := "apply_per_cpu_s"
		if size != 1024 {
			name = fmt.Sprintf("apply_%d_per_cpu_s", size)
		}
		r.set(name, float64(t.commands)/used.Seconds())
		r.setLoad(strings.TrimSuffix(name, "_per_cpu_s"), &t, t.summary())
	}
	return nil
}

// tally counts what became of a load.
type tally struct {
	commands, rejected, trades      int
	limits, limitsTraded, transfers int
	cancels, takers                 int
	codes                           map[exchange.Code]int
}

func (t *tally) count(c *exchange.Command, rc *exchange.Receipt) {
	t.commands++
	if rc.Code != exchange.OK {
		t.rejected++
		if t.codes == nil {
			t.codes = map[exchange.Code]int{}
		}
		t.codes[rc.Code]++
	}
	if c.Kind == exchange.KindTransfer {
		t.transfers++
	}
	if c.Kind == exchange.KindCancel {
		t.cancels++
	}
	if c.Kind == exchange.KindPlace {
		t.countPlace(c, rc)
	}
}

// countPlace counts an order by what it is, and whether it traded at once.
func (t *tally) countPlace(c *exchange.Command, rc *exchange.Receipt) {
	b, ok := exchange.ParseBody(c.Kind, c.Body)
	p, ok2 := b.(*exchange.Place)
	if !ok || !ok2 {
		return
	}
	if p.Order != market.LimitOrder || p.TIF != market.GTC {
		t.takers++
		return
	}
	t.limits++
	if rc.Filled > 0 {
		t.limitsTraded++
	}
}

// percent is a part of a whole.
func percent(part, whole int) float64 { return 100 * float64(part) / float64(max(1, whole)) }

func (t *tally) summary() map[string]any {
	share := func(part, whole int) float64 { return rounded(percent(part, whole)) }
	return map[string]any{
		"commands": t.commands, "transfers_percent": share(t.transfers, t.commands), "limits_percent": share(t.limits, t.commands),
		"cancels_percent": share(t.cancels, t.commands), "takers_percent": share(t.takers, t.commands),
		"limits_traded_on_arrival_percent": share(t.limitsTraded, t.limits), "trades": t.trades,
		"rejected_percent": share(t.rejected, t.commands), "rejected_by_code": fmt.Sprint(t.codes),
	}
}

// setLoad notes what a load was made up of, and the figures of it that have bars.
func (r *run) setLoad(name string, t *tally, summary map[string]any) {
	r.set(name+"_load", summary)
	r.set(name+"_rejected_percent", percent(t.rejected, t.commands))
	r.set(name+"_traded_on_arrival_percent", percent(t.limitsTraded, t.limits))
}
