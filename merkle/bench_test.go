//go:build unix

package merkle_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"souk/merkle"
)

// cpuTime returns the processor time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkUpdate(b *testing.B) {
	const batch = 2000
	for _, leaves := range []int{10_000, 60_000, 1_000_000} {
		b.Run(fmt.Sprintf("leaves=%d", leaves), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			keys := make([]merkle.Key, leaves)
			changes := make([]merkle.Change, leaves)
			value := make([]byte, 120)
			for i := range keys {
				keys[i] = stateKey(rng, i)
				changes[i] = merkle.Change{Key: keys[i], Value: value}
			}
			slices.SortFunc(changes, func(x, y merkle.Change) int { return x.Key.Compare(y.Key) })
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			m := merkle.New()
			m.Update(changes)
			runtime.GC()
			runtime.ReadMemStats(&after)
			bytes := float64(after.HeapAlloc-before.HeapAlloc) / float64(leaves)

			blocks := make([][]merkle.Change, 16)
			for i := range blocks {
				blocks[i] = block(rng, keys, batch)
			}
			for i := range blocks {
				m.Update(blocks[i])
			}
			b.ReportAllocs()
			b.ResetTimer()
			start := cpuTime(b)
			for i := range b.N {
				m.Update(fresh(blocks[i%len(blocks)], uint64(i)))
			}
			b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N*batch), "cpu-ns/leaf")
			b.ReportMetric(bytes, "B/leaf")
			runtime.KeepAlive(m)
			runtime.KeepAlive(changes)
		})
	}
}
