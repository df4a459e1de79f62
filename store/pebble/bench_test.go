package pebble_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"souk/store"
	"souk/store/pebble"
)

// The load of the benchmarks: a block's change set touches accounts and orders,
// drawn from a working set, and adds records that are never written again.
const (
	workingSet = 60_000
	valueSize  = 150
)

// load fills batches.
type load struct {
	random *rand.Rand
	serial uint64
	value  [valueSize]byte
}

func newLoad() *load { return &load{random: rand.New(rand.NewPCG(1, 1))} }

func accountKey(n uint64) []byte {
	key := make([]byte, 33)
	key[0] = 3
	binary.BigEndian.PutUint64(key[1:], n*0x9e3779b97f4a7c15)
	return key
}

func recordKey(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{9}, n) }

// fill adds about size bytes to a batch, half of them in new keys. Half of each
// value does not compress.
func (l *load) fill(b store.Batch, size int) {
	for b.Len() < size {
		for i := 0; i < valueSize/2; i += 8 {
			binary.LittleEndian.PutUint64(l.value[i:], l.random.Uint64())
		}
		b.Set(accountKey(l.random.Uint64N(workingSet)), l.value[:])
		b.Set(recordKey(l.serial), l.value[:])
		l.serial++
	}
}

// cpu returns the processor time that the process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func openBench(b *testing.B) *pebble.Store {
	s, err := pebble.Open(b.TempDir(), pebble.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// BenchmarkCommit writes batches as the replica does: without sync, and with one
// in a hundred. Processor time includes the flushes and compactions they cause.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{50_000, 500_000} {
		b.Run(fmt.Sprintf("%dkB", size/1000), func(b *testing.B) {
			s, l := openBench(b), newLoad()
			b.SetBytes(int64(size))
			start := cpu(b)
			for i := 0; b.Loop(); i++ {
				batch := s.NewBatch()
				l.fill(batch, size)
				if err := batch.Commit(i%100 == 99); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpu(b)-start).Microseconds())/float64(b.N), "cpu-us/op")
		})
	}
}

// BenchmarkSync is a small batch with sync.
func BenchmarkSync(b *testing.B) {
	s := openBench(b)
	for i := uint64(0); b.Loop(); i++ {
		batch := s.NewBatch()
		batch.Set(recordKey(i), nil)
		if err := batch.Commit(true); err != nil {
			b.Fatal(err)
		}
	}
}

// benchRecords is how many keys the reading benchmarks have to read from.
const benchRecords = 500_000

func filledBench(b *testing.B) *pebble.Store {
	s, l := openBench(b), newLoad()
	for l.serial < benchRecords {
		batch := s.NewBatch()
		l.fill(batch, 500_000)
		if err := batch.Commit(false); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func BenchmarkGet(b *testing.B) {
	s := filledBench(b)
	random := rand.New(rand.NewPCG(2, 2))
	for _, c := range []struct {
		name string
		key  func() []byte
		want error
	}{
		{"any", func() []byte { return recordKey(random.Uint64N(benchRecords)) }, nil},
		{"recent", func() []byte { return recordKey(benchRecords - 1 - random.Uint64N(5000)) }, nil},
		{"missing", func() []byte { return recordKey(1<<40 + random.Uint64N(benchRecords)) }, store.ErrNotFound},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Get(c.key()); err != c.want { //nolint:errorlint // wrapped by nobody
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkScan(b *testing.B) {
	s := filledBench(b)
	for _, keys := range []uint64{10, benchRecords} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			random := rand.New(rand.NewPCG(3, 3))
			var total uint64
			for b.Loop() {
				first := random.Uint64N(benchRecords - keys + 1)
				err := s.Scan(recordKey(first), recordKey(first+keys), func(_, _ []byte) bool { total++; return true })
				if err != nil {
					b.Fatal(err)
				}
			}
			if total != uint64(b.N)*keys {
				b.Fatalf("saw %d keys, want %d", total, uint64(b.N)*keys)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total), "ns/key")
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	s := filledBench(b)
	for b.Loop() {
		snap, err := s.Snapshot()
		if err == nil {
			err = snap.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// fourStores names, in the environment, the folder of the process that
// BenchmarkFourStores measures.
const fourStores = "SOUK_FOUR_STORES"

// BenchmarkFourStores reports the resident memory of a process that has four
// stores and nothing else: before they are opened; just opened; after some
// seconds' worth of large blocks each; ten seconds later; and at least.
func BenchmarkFourStores(b *testing.B) {
	if dir := os.Getenv(fourStores); dir != "" {
		holdFourStores(b, dir)
		return
	}
	for b.Loop() {
		command := exec.Command(os.Args[0], "-test.run=^$", "-test.bench=FourStores", "-test.benchtime=1x")
		command.Env = append(os.Environ(), fourStores+"="+b.TempDir())
		out, err := command.CombinedOutput()
		if err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), " MB "); ok {
				mb, err := strconv.ParseFloat(name, 64)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(mb, value)
			}
		}
	}
}

func holdFourStores(b *testing.B, dir string) {
	fmt.Println()
	printRSS(b, "MB-none")
	var stores []*pebble.Store
	for i := range 4 {
		s, err := pebble.Open(filepath.Join(dir, fmt.Sprint(i)), pebble.Config{})
		if err != nil {
			b.Fatal(err)
		}
		stores = append(stores, s)
	}
	printRSS(b, "MB-open")
	for i, s := range stores {
		l := newLoad()
		for n := range 100 * (i + 1) {
			batch := s.NewBatch()
			l.fill(batch, 500_000)
			if err := batch.Commit(n%100 == 99); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Scan(nil, nil, func(_, _ []byte) bool { return true }); err != nil {
			b.Fatal(err)
		}
	}
	printRSS(b, "MB-busy")
	runtime.GC() // as the runtime does every two minutes
	time.Sleep(10 * time.Second)
	printRSS(b, "MB-idle")
	debug.FreeOSMemory()
	printRSS(b, "MB-least")
	for _, s := range stores {
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// printRSS prints the process's resident memory.
func printRSS(b *testing.B, name string) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("no /proc here")
	}
	for line := range strings.Lines(string(status)) {
		if size, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(size)[0])
			if err != nil {
				b.Fatal(err)
			}
			fmt.Printf("%.1f MB %s\n", float64(kb)/1024, name)
		}
	}
}
