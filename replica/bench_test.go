package replica_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/identity"
	"souk/internal/load"
	"souk/replica"
	"souk/store"
	"souk/store/memstore"
	"souk/store/pebble"
)

// cpuTime is the processor time of this process so far.
func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// loop is an engine of one server that makes a block as soon as something waits.
type loop struct {
	r       *replica.Replica
	key     identity.PublicKey
	mu      sync.Mutex
	waiting [][]byte
	bell    chan struct{}
	stop    chan struct{}
	done    chan struct{}
	height  uint64
}

func (l *loop) Submit(ctx context.Context, payload []byte) error {
	if err := l.r.Check(ctx, payload); err != nil {
		return err
	}
	l.mu.Lock()
	l.waiting = append(l.waiting, payload)
	l.mu.Unlock()
	select {
	case l.bell <- struct{}{}:
	default:
	}
	return nil
}

func (l *loop) run(tb testing.TB) {
	defer close(l.done)
	for {
		select {
		case <-l.bell:
		case <-l.stop:
			return
		}
		l.mu.Lock()
		waiting := slices.Clone(l.waiting)
		l.mu.Unlock()
		if len(waiting) > 0 {
			l.block(tb, waiting)
		}
	}
}

func (l *loop) block(tb testing.TB, waiting [][]byte) {
	now := time.Now()
	payloads := l.r.Propose(now, l.height+1, waiting)
	if payloads == nil {
		return
	}
	l.height++
	p := consensus.Proposal{Height: l.height, Proposer: l.key, Payloads: payloads}
	if err := l.r.Verify(context.Background(), now, p); err != nil {
		tb.Error(err)
	}
	if _, err := l.r.Finalize(consensus.Block{Height: l.height, Proposer: l.key, Payloads: payloads}); err != nil {
		tb.Error(err)
	}
	l.mu.Lock()
	l.waiting = l.waiting[len(payloads)-1:]
	more := len(l.waiting) > 0
	l.mu.Unlock()
	if _, err := l.r.Commit(); err != nil {
		tb.Error(err)
	}
	if more {
		select {
		case l.bell <- struct{}{}:
		default:
		}
	}
}

func (*loop) Status() consensus.Status          { return consensus.Status{} }
func (*loop) LightBlock(uint64) ([]byte, error) { return nil, errors.New("no light blocks here") }
func (*loop) Done() <-chan struct{}             { return nil }
func (*loop) Close() error                      { return nil }

// bench is a server of its own with funded accounts.
type bench struct {
	*replica.Replica
	loop    *loop
	traders []load.Account
	expiry  uint64
}

func newBench(b *testing.B, config replica.Config, accounts int) *bench {
	f := exchangetest.Founding(1)
	f.Created = uint64(time.Now().UnixMilli()) - 1000
	config.Founding, config.Self = f, f.Members[0].Consensus
	r, err := replica.Open(config)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := r.Found(consensus.Founding{Contract: f.Append(nil)}); err != nil {
		b.Fatal(err)
	}
	l := &loop{r: r, key: f.Members[0].Consensus, bell: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	r.Attach(l)
	go l.run(b)
	b.Cleanup(func() {
		close(l.stop)
		<-l.done
		if err := r.Close(); err != nil {
			b.Error(err)
		}
	})
	n := &bench{Replica: r, loop: l, traders: make([]load.Account, accounts), expiry: uint64(time.Now().UnixMilli()) + 500_000}
	issuer := load.Account{Key: exchangetest.Key("issuer"), Address: exchangetest.Address("issuer")}
	mint := load.New(1, []load.Account{issuer}, load.PracticeMarkets(), exchangetest.EUR, load.StandardMix(), "")
	var mints []exchange.Command
	for i := range n.traders {
		n.traders[i] = load.NewAccount(1, i)
		for id := exchangetest.BTC; id <= exchangetest.LTC; id++ {
			mints = append(mints, mint.Sign(f.ID(), 0, &exchange.Mint{Asset: id, Amount: 1e14, To: n.traders[i].Address}, n.expiry))
		}
	}
	for part := range slices.Chunk(mints, 1000) {
		n.submit(b, encode(part...))
	}
	return n
}

func (n *bench) submit(b *testing.B, data []byte) {
	answers, err := n.Submit(context.Background(), replica.Request{Data: data})
	if err != nil {
		b.Error(err)
	}
	for i := range answers {
		if answers[i].Fate != replica.FateCommitted {
			b.Errorf("%+v", answers[i])
		}
	}
}

// verifyTime is the processor time that the bare verification of commands takes,
// their keys being known.
func verifyTime(b *testing.B, vs exchange.ID, commands []exchange.Command) time.Duration {
	v := identity.NewVerifier(rand.Reader, 20_000)
	signed := make([]identity.Signed, 0, 512)
	var total time.Duration
	for range 2 {
		start := cpuTime(b)
		for part := range slices.Chunk(commands, 512) {
			signed = signed[:0]
			for i := range part {
				signed = append(signed, identity.Signed{Key: part[i].Key, Tagged: part[i].AppendSignBytes(nil, vs), Signature: part[i].Signature})
			}
			if slices.Contains(v.Verify(nil, signed), false) {
				b.Fatal("bad signature")
			}
		}
		total = cpuTime(b) - start
	}
	return total
}

// BenchmarkSubmit measures what a command costs from Submit to its receipt in the
// store. One iteration is 65,536 commands: run it with -benchtime 1x.
func BenchmarkSubmit(b *testing.B) {
	const commands = 1 << 16
	for _, size := range []int{1024, 64, 1} {
		for _, disk := range []string{"pebble", "memory"} {
			b.Run(fmt.Sprintf("batch=%d/%s", size, disk), func(b *testing.B) {
				pool := replica.NewPool(0, 0)
				b.Cleanup(pool.Close)
				var s store.Store = memstore.New()
				if disk == "pebble" {
					var err error
					if s, err = pebble.Open(b.TempDir(), pebble.Config{MemTable: 32 << 20}); err != nil {
						b.Fatal(err)
					}
					b.Cleanup(func() { _ = s.Close() })
				}
				n := newBench(b, replica.Config{Store: s, Pool: pool}, 10_000)
				flow := load.New(2, n.traders, load.PracticeMarkets(), exchangetest.EUR, load.StandardMix(), "c")
				var all []exchange.Command
				for range commands * b.N {
					account, body := flow.Next()
					all = append(all, flow.Sign(n.ID(), account, body, n.expiry))
				}
				benchSubmit(b, n, all, size)
			})
		}
	}
}

func benchSubmit(b *testing.B, n *bench, all []exchange.Command, size int) {
	verify := verifyTime(b, n.ID(), all)
	m := n.Metrics()
	verified, blocks, flushes, rejected, bytes := m.Verified.Load(), m.Blocks.Load(), m.Flushes.Load(), m.Rejected.Load(), m.FlushBytes.Load()
	requests := make([][]byte, 0, len(all)/size+1)
	for part := range slices.Chunk(all, size) {
		requests = append(requests, encode(part...))
	}
	work := make(chan []byte)
	var wait sync.WaitGroup
	runtime.GC()
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime(b)
	for range min(max(8192/size, 8), 2000) {
		wait.Go(func() {
			for data := range work {
				n.submit(b, data)
			}
		})
	}
	for _, data := range requests {
		work <- data
	}
	close(work)
	wait.Wait()
	total := cpuTime(b) - cpu
	b.StopTimer()
	count := float64(len(all))
	if got := m.Verified.Load() - verified; got != uint64(len(all)) {
		b.Errorf("%d signatures were verified", got)
	}
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / count }
	b.ReportMetric(us(total), "cpu-us/cmd")
	b.ReportMetric(us(verify), "verify-us/cmd")
	b.ReportMetric(us(total-verify), "rest-us/cmd")
	b.ReportMetric(count/float64(m.Blocks.Load()-blocks), "cmds/block")
	b.ReportMetric(float64(m.Flushes.Load()-flushes), "flushes")
	b.ReportMetric(float64(m.FlushBytes.Load()-bytes)/count, "B-stored/cmd")
	b.ReportMetric(float64(m.Rejected.Load()-rejected)/count, "rejected/cmd")
	b.ReportMetric(count/b.Elapsed().Seconds(), "cmds/s")
}

// BenchmarkFinalize measures what a command costs from a decided block to the
// store, signatures aside. One iteration is 65,536 commands in blocks of 1,024.
func BenchmarkFinalize(b *testing.B) {
	const commands, size = 1 << 16, 1024
	s, err := pebble.Open(b.TempDir(), pebble.Config{MemTable: 32 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	n := newBench(b, replica.Config{Store: s, Keep: replica.Keep{Events: -1}}, 10_000)
	flow := load.New(2, n.traders, load.PracticeMarkets(), exchangetest.EUR, load.StandardMix(), "c")
	height, now := n.Position().Height, uint64(time.Now().UnixMilli())
	var blocks []consensus.Block
	for range commands / size * b.N {
		batch := replica.Batch{Member: 1}
		for range size {
			account, body := flow.Next()
			batch.Commands = append(batch.Commands, flow.Unsigned(account, body, n.expiry))
		}
		height, now = height+1, now+12
		blocks = append(blocks, consensus.Block{Height: height, Proposer: n.loop.key, Payloads: [][]byte{
			replica.AppendClock(nil, now), replica.AppendBatch(nil, &batch),
		}})
	}
	model := newModel(b, n)
	m := n.Metrics()
	bytes, flushes := m.FlushBytes.Load(), m.Flushes.Load()
	runtime.GC()
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime(b)
	for _, block := range blocks {
		if _, err := n.Finalize(block); err != nil {
			b.Fatal(err)
		}
		if _, err := n.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(time.Second) // for the store
	total := cpuTime(b) - cpu
	b.StopTimer()
	applied := model.apply(b, blocks)
	count := float64(commands * b.N)
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / count }
	b.ReportMetric(us(total), "cpu-us/cmd")
	b.ReportMetric(us(applied), "apply-us/cmd")
	b.ReportMetric(us(total-applied), "rest-us/cmd")
	b.ReportMetric(float64(m.FlushBytes.Load()-bytes)/count, "B-stored/cmd")
	b.ReportMetric(float64(m.Flushes.Load()-flushes), "flushes")
	b.ReportMetric(float64(m.Rejected.Load())/count, "rejected/cmd")
	b.ReportMetric(0, "ns/op")
}

// model is a state beside the replica's, to measure Apply by.
type model struct{ state *exchange.State }

func newModel(b *testing.B, n *bench) *model {
	m := &model{}
	if err := n.View(func(s *exchange.State) {
		var err error
		if m.state, err = exchange.Load(s.Founding(), s.Leaves); err != nil {
			b.Fatal(err)
		}
	}); err != nil {
		b.Fatal(err)
	}
	return m
}

// apply executes blocks and answers the processor time of that alone.
func (m *model) apply(b *testing.B, blocks []consensus.Block) time.Duration {
	var list []*exchange.Block
	for i := range blocks {
		ms, err := replica.ParseClock(blocks[i].Payloads[0])
		if err != nil {
			b.Fatal(err)
		}
		batch, err := replica.ParseBatch(m.state.ID(), blocks[i].Payloads[1])
		if err != nil {
			b.Fatal(err)
		}
		list = append(list, &exchange.Block{Height: blocks[i].Height, Time: ms, Proposer: blocks[i].Proposer, Commands: batch.Commands})
	}
	runtime.GC()
	start := cpuTime(b)
	for _, block := range list {
		m.state.Apply(block)
	}
	return cpuTime(b) - start
}
