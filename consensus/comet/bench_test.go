package comet_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"souk/consensus"
	"souk/consensus/comet"
	"souk/consensus/consensustest"
	"souk/merkle"
)

// batchSize is a payload of 1,000 commands of 140 bytes.
const batchSize = 140_000

// sink is an Application that does nothing with payloads but tell when they are
// committed, so that what is measured is the engine.
type sink struct {
	*consensustest.Counter // Check, Verify, NextDue
	vs                     []consensus.Validator
	mu                     sync.Mutex
	height                 uint64
	root                   merkle.Hash
	pending                [][]byte
	waits                  map[uint64]chan struct{}
	count                  atomic.Uint64
}

func newSink(vs []consensus.Validator) *sink {
	return &sink{
		Counter: consensustest.NewCounter(&consensustest.Disk{}, 0, vs), vs: vs, waits: make(map[uint64]chan struct{}),
	}
}

func (s *sink) Found(consensus.Founding) (consensus.Outcome, error) {
	return consensus.Outcome{Validators: s.vs}, nil
}

func (s *sink) Info() consensus.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return consensus.Info{Height: s.height, Root: s.root}
}

func (s *sink) Propose(_ time.Time, _ uint64, waiting [][]byte) [][]byte { return waiting }

func (s *sink) Finalize(b consensus.Block) (consensus.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.height, s.pending = b.Height, b.Payloads
	if len(b.Payloads) > 0 {
		binary.BigEndian.PutUint64(s.root[:], b.Height)
	}
	return consensus.Outcome{Root: s.root}, nil
}

func (s *sink) Commit() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pending {
		n := binary.BigEndian.Uint64(p)
		if w := s.waits[n]; w != nil {
			close(w)
			delete(s.waits, n)
		}
	}
	s.count.Add(uint64(len(s.pending)))
	return s.height, nil
}

func (s *sink) expect(n uint64) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := make(chan struct{})
	s.waits[n] = w
	return w
}

func payload(n uint64, size int) []byte {
	p := make([]byte, size)
	_, _ = rand.Read(p[8:min(size, 64)])
	binary.BigEndian.PutUint64(p, n)
	return p
}

type bench struct {
	engines []*comet.Engine
	apps    []*sink
}

func openBench(b testing.TB, n int) *bench {
	c := newCluster(b, n)
	out := &bench{}
	for i := range n {
		app := newSink(c.validators())
		e, err := comet.Open(c.config(i), app)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = e.Close() })
		out.engines, out.apps = append(out.engines, e), append(out.apps, app)
	}
	for i := range n {
		for out.engines[i].Status().CatchUp || out.engines[i].Status().Height < 1 || len(out.engines[i].Status().Peers) < n-1 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	return out
}

func cpu() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkLatency is one client that waits for each commit before it sends again.
func BenchmarkLatency(b *testing.B) {
	for _, n := range []int{1, 4} {
		for _, size := range []int{140, batchSize} {
			b.Run(fmt.Sprintf("servers=%d/bytes=%d", n, size), func(b *testing.B) {
				net := openBench(b, n)
				var took []time.Duration
				used := cpu()
				for i := range b.N {
					at := i % n
					w := net.apps[at].expect(uint64(i))
					start := time.Now()
					if err := net.engines[at].Submit(context.Background(), payload(uint64(i), size)); err != nil {
						b.Fatal(err)
					}
					<-w
					took = append(took, time.Since(start))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
				b.ReportMetric((cpu()-used).Seconds()*1000/float64(b.N), "cpu-ms/op")
			})
		}
	}
}

// BenchmarkThroughput keeps payloads of 1,000 commands in flight.
func BenchmarkThroughput(b *testing.B) {
	for _, n := range []int{1, 4} {
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			net := openBench(b, n)
			const flight = 16
			slots := make(chan struct{}, flight)
			used := cpu()
			first := net.engines[0].Status().Height
			var wg sync.WaitGroup
			for i := range b.N {
				slots <- struct{}{}
				wg.Go(func() {
					w := net.apps[i%n].expect(uint64(i))
					if err := net.engines[i%n].Submit(context.Background(), payload(uint64(i), batchSize)); err != nil {
						b.Error(err)
						return
					}
					<-w
					<-slots
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "commands/s")
			b.ReportMetric(float64(b.N)*1000/(cpu()-used).Seconds(), "commands/cpu-s")
			b.ReportMetric(float64(net.engines[0].Status().Height-first)/b.Elapsed().Seconds(), "blocks/s")
		})
	}
}

// BenchmarkIdle is what servers in one process use while nothing happens.
func BenchmarkIdle(b *testing.B) {
	for _, n := range []int{1, 4} {
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			openBench(b, n)
			time.Sleep(time.Second)
			used, start := cpu(), time.Now()
			for range b.N {
				time.Sleep(5 * time.Second)
			}
			b.ReportMetric(100*(cpu()-used).Seconds()/time.Since(start).Seconds(), "%core")
		})
	}
}
