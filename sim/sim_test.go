package sim_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/internal/bulk"
	"souk/replica"
	"souk/sim"
	"souk/sim/workload"
)

// seedsOfSuite is how many seeds every run of the test suite tries.
const seedsOfSuite = 500

// seedsForRaces is how many seeds run under the race detector.
const seedsForRaces = 20

// twiceEvery is which seeds are run a second time, to see that they do the same.
const twiceEvery = 50

// TestSeeds runs federations by seed. SOUK_SEEDS says how many in place of the
// suite's, SOUK_SEED_FROM with which to begin (1), and SOUK_SIM_STATE names a folder
// in which the seeds done are kept so that the next run of the same code goes on
// behind them (progress_test.go).
func TestSeeds(t *testing.T) {
	count := seedsOfSuite
	if !bulk.Whole() { // a federation runs on one goroutine: few show what it shares with the others
		count = seedsForRaces
	}
	if n := number(t, "SOUK_SEEDS"); n > 0 {
		count = int(n)
	}
	of, err := version()
	if err != nil {
		t.Fatal(err)
	}
	done, err := openProgress(os.Getenv("SOUK_SIM_STATE"), of)
	if err != nil {
		t.Fatal(err)
	}
	defer done.close() //nolint:errcheck // every line was written whole
	todo, before := done.todo(max(1, number(t, "SOUK_SEED_FROM")), count)
	t.Logf("code version %s: %d of %d seeds were done before", of, before, count)
	if before == count {
		t.Logf("nothing is left to do; the last %d are run again", len(todo))
	}
	keys := workload.NewKeys()
	next := make(chan uint64)
	sum := tally{kinds: map[string]int{}, began: time.Now()}
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			pool := sim.Verifier()
			for seed := range next {
				r, err := run(seed, keys, pool)
				sum.add(t, &r, err)
				if err != nil {
					continue
				}
				if err := done.add(seed); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, seed := range todo {
		next <- seed
	}
	close(next)
	wait.Wait()
	sum.print(t)
}

// TestFewSeeds is a short run for those who break the code to see whether it is
// noticed (internal/mutate): a quiet seed, two with liars, one of them with members
// who sign twice, and one with a bank.
func TestFewSeeds(t *testing.T) {
	keys, pool := workload.NewKeys(), sim.Verifier()
	for _, seed := range []uint64{2, 4, 10, 6} {
		if _, err := sim.Run(sim.Options{Seed: seed, Keys: keys, Pool: pool}); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// run runs a seed, some of them twice.
func run(seed uint64, keys *workload.Keys, pool *replica.Pool) (sim.Report, error) {
	o := sim.Options{Seed: seed, Keys: keys, Pool: pool}
	r, err := sim.Run(o)
	if err != nil || seed%twiceEvery != 0 {
		return r, err
	}
	o.Pool = nil
	again, err := sim.Run(o)
	if err == nil && again.Hash != r.Hash {
		err = fmt.Errorf("%w: it does something else when it is run again", sim.ErrSeed)
	}
	return r, err
}

// TestSeed runs the one seed that SOUK_SEED names, with a line for every event if
// SOUK_TRACE names a file for them.
func TestSeed(t *testing.T) {
	seed := number(t, "SOUK_SEED")
	if seed == 0 {
		t.Skip("SOUK_SEED names no seed")
	}
	o := sim.Options{Seed: seed, Keys: workload.NewKeys()}
	if name := os.Getenv("SOUK_TRACE"); name != "" {
		file, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		out := bufio.NewWriter(file)
		defer func() {
			if err := errors.Join(out.Flush(), file.Close()); err != nil {
				t.Error(err)
			}
		}()
		o.Trace = out
	}
	r, err := sim.Run(o)
	t.Logf("%d servers, %d commands, %d acknowledged, %d blocks, %d faults %v, %d s, %d events, hash %x",
		r.Servers, r.Commands, r.Acked, r.Blocks, r.Faults, r.Kinds, r.Seconds, r.Events, r.Hash[:8])
	if r.Counts != nil {
		t.Logf("%+v", *r.Counts)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, name string) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// tally adds up what seeds did.
type tally struct {
	mu                                               sync.Mutex
	seeds, commands, acked, blocks, trades, failures int
	deposits, payouts                                int
	kinds                                            map[string]int
	began                                            time.Time
}

func (s *tally) add(t *testing.T, r *sim.Report, err error) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failures++
		t.Errorf("seed %d: %v\n\trun it again: SOUK_SEED=%d SOUK_TRACE=/tmp/trace go test ./sim -run '^TestSeed$' -count=1 -v", r.Seed, err, r.Seed)
		return
	}
	s.seeds++
	s.commands += r.Commands
	s.acked += r.Acked
	s.blocks += r.Blocks
	s.trades += r.Counts.Trades
	s.deposits += r.Deposits
	s.payouts += r.Payouts
	for kind, n := range r.Kinds {
		s.kinds[kind] += n
	}
	if s.seeds%100 == 0 {
		t.Logf("%d seeds in %s", s.seeds, time.Since(s.began).Round(time.Second))
	}
}

func (s *tally) print(t *testing.T) {
	t.Helper()
	t.Logf("%d seeds in %s, %d failed: %d commands, %d acknowledged, %d blocks, %d trades, %d deposits, %d payouts", s.seeds, time.Since(s.began).Round(time.Second),
		s.failures, s.commands, s.acked, s.blocks, s.trades, s.deposits, s.payouts)
	if s.seeds >= 40 && (s.deposits < s.seeds/2 || s.payouts < s.seeds/4) {
		t.Errorf("banks did too little: %d deposits, %d payouts", s.deposits, s.payouts)
	}
	var all []string
	for kind, n := range s.kinds {
		all = append(all, fmt.Sprintf("%s %d", kind, n))
	}
	slices.Sort(all)
	t.Log("faults: ", strings.Join(all, ", "))
}
