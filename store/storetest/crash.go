package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/store"
)

// Machine is a computer with one store, whose power can fail.
type Machine interface {
	// Open opens the store as it is on the machine's disk.
	Open() (store.Store, error)
	// Crash takes the power away while the store is open and gives it back: what
	// Open shows next is what survived. Random decides about what may or may not.
	Crash(random *rand.Rand)
}

// RunCrash checks that the machines that build returns lose no batch that was
// synced, and none before one that survives (D-10, D-11).
func RunCrash(t *testing.T, runs int, build func(*testing.T) Machine) {
	for seed := range uint64(runs) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // to be drawn again
			machine, history := build(t), NewHistory(random)
			s, err := machine.Open()
			if err != nil {
				t.Fatal(err)
			}
			for range 6 {
				for range random.IntN(40) {
					if err := history.Commit(s, random.IntN(8) == 0); err != nil {
						t.Fatal(err)
					}
				}
				synced := history.Synced()
				machine.Crash(random)
				if s, err = machine.Open(); err != nil {
					t.Fatal(err)
				}
				survived, err := history.Check(s, synced)
				if err != nil {
					t.Fatal(err)
				}
				history.Resume(survived)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = machine.Open(); err != nil {
				t.Fatal(err)
			}
			if _, err := history.Check(s, history.last()); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// counter is the key that holds the number of the last batch.
const counter = "counter"

// History writes numbered batches and knows what the store holds after each, so
// that the number a store shows tells what else it must show.
type History struct {
	random *rand.Rand

	mu     sync.Mutex
	states []model // after batch i; under mu, as is synced
	synced uint64
}

// NewHistory returns a history that draws its batches from random.
func NewHistory(random *rand.Rand) *History {
	return &History{random: random, states: []model{{}}}
}

// Commit commits the next batch to s, with sync if durable. The batch may survive
// even if Commit returns an error.
func (h *History) Commit(s store.Store, durable bool) error {
	if durable && h.random.IntN(4) == 0 {
		err := s.NewBatch().Commit(true) // a sync and nothing else
		if err == nil {
			h.record(nil, true)
		}
		return err
	}
	number := h.last() + 1
	next := maps.Clone(h.states[number-1])
	b := s.NewBatch()
	for range h.random.IntN(6) {
		key := fmt.Sprintf("k%02d", h.random.IntN(60))
		switch h.random.IntN(8) {
		case 0:
			b.Delete([]byte(key))
			delete(next, key)
		case 1:
			to := fmt.Sprintf("k%02d", h.random.IntN(60))
			b.DeleteRange([]byte(key), []byte(to))
			next.deleteRange([]byte(key), []byte(to))
		default:
			value := make([]byte, h.random.IntN(3)*h.random.IntN(8000))
			for i := range value {
				value[i] = byte(h.random.Uint32())
			}
			b.Set([]byte(key), value)
			next[key] = string(value)
		}
	}
	next[counter] = strconv.FormatUint(number, 10)
	b.Set([]byte(counter), []byte(next[counter]))
	h.record(next, false) // before the store has it, for Check may run at any time
	err := b.Commit(durable)
	if err == nil && durable {
		h.record(nil, true)
	}
	return err
}

// record adds a state, or notes that all so far are durable.
func (h *History) record(next model, synced bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if next != nil {
		h.states = append(h.states, next)
	}
	if synced {
		h.synced = uint64(len(h.states) - 1)
	}
}

// Synced returns the number of the last batch that is known to be durable.
func (h *History) Synced() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.synced
}

// last returns the number of the last batch handed to a store.
func (h *History) last() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return uint64(len(h.states) - 1)
}

// Check returns the number of the last batch that r holds, and an error unless
// r holds exactly this batch and all before it, and at least batch number least.
func (h *History) Check(r store.Reader, least uint64) (uint64, error) {
	var number uint64
	value, err := r.Get([]byte(counter))
	if err == nil {
		number, err = strconv.ParseUint(string(value), 10, 64)
	} else if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	if err != nil {
		return 0, err
	}
	if number < least {
		return 0, fmt.Errorf("only %d batches survive, though %d were synced", number, least)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if number >= uint64(len(h.states)) {
		return 0, fmt.Errorf("batch %d survives, which was never written", number)
	}
	got := model{}
	err = r.Scan(nil, nil, func(key, value []byte) bool {
		got[string(key)] = string(value)
		return true
	})
	if err != nil {
		return 0, err
	}
	if !maps.Equal(got, h.states[number]) {
		return 0, fmt.Errorf("batch %d survives without one before it (-want +got):\n%.1000s",
			number, cmp.Diff(h.states[number], got))
	}
	return number, nil
}

// Resume forgets the batches after number, which a crash has lost.
func (h *History) Resume(number uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.states = h.states[:number+1]
	h.synced = number
}
