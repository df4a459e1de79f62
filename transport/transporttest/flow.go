package transporttest

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"souk/transport"
)

// Flow is a stream of messages over a topic, and what is measured of it.
type Flow struct {
	Topic  string
	Size   int           // bytes of a message, at least 16; zero means 512
	Rate   int           // messages a second; zero means 20
	For    time.Duration // zero means ten seconds
	Within time.Duration // for how long a message is waited for; zero means six seconds
	// Valid judges the messages of others; nil accepts all.
	Valid transport.Validator
}

// Result is what became of a flow.
type Result struct {
	Sent      int           // messages
	Expected  int           // deliveries: each message to each reader
	Delivered int           // of these, in time
	Again     int           // deliveries of what was delivered before
	Latencies time.Duration // the sum, of deliveries to others than the publisher
	P50, P99  time.Duration
}

// Share is how many of the expected deliveries there were.
func (r Result) Share() float64 { return float64(r.Delivered) / float64(max(1, r.Expected)) }

// recorder counts what readers get.
type recorder struct {
	start time.Time

	mu        sync.Mutex
	got       []map[uint64]bool // by reader
	again     int
	delivered int
	within    time.Duration
	latencies []time.Duration
}

func (r *recorder) take(reader int, data []byte, self bool) {
	if len(data) < 16 || data[0] == junk || data[0] == invalid {
		return
	}
	number, sent := binary.BigEndian.Uint64(data), time.Duration(binary.BigEndian.Uint64(data[8:]))
	took := time.Since(r.start) - sent
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.got[reader][number] {
		r.again++
		return
	}
	r.got[reader][number] = true
	if took <= r.within {
		r.delivered++
	}
	if !self {
		r.latencies = append(r.latencies, took)
	}
}

// Run lets peers chosen at random publish, all of which read, and waits until everything has
// come or is late. The peers must be connected, and their topic up (Settle).
func (f Flow) Run(ctx context.Context, nets []transport.Net, seed uint64) (Result, error) {
	f.Size, f.Rate = max(16, cmp.Or(f.Size, 512)), cmp.Or(f.Rate, 20)
	f.For, f.Within = cmp.Or(f.For, 10*time.Second), cmp.Or(f.Within, 6*time.Second)
	r := &recorder{start: time.Now(), within: f.Within, got: make([]map[uint64]bool, len(nets))}
	reading, stop := context.WithCancel(ctx)
	var over sync.WaitGroup
	defer over.Wait()
	defer stop()
	for i, n := range nets {
		r.got[i] = map[uint64]bool{}
		sub, err := n.Subscribe(f.Topic, f.Valid)
		if err != nil {
			return Result{}, err
		}
		over.Go(func() {
			defer func() { _ = sub.Close() }()
			for {
				m, err := sub.Next(reading)
				if err != nil {
					return
				}
				r.take(i, m.Data, m.From == n.Self())
			}
		})
	}
	if err := f.settle(ctx, nets, r); err != nil {
		return Result{}, err
	}
	sent, err := f.publish(ctx, nets, r, rand.New(rand.NewPCG(seed, 1))) //nolint:gosec // to be drawn again
	if err != nil {
		return Result{}, err
	}
	return r.wait(ctx, sent, sent*len(nets))
}

// settling are the numbers of messages by which it is found out that a topic is up.
const settling = 1 << 32

// settle publishes by one peer after the other until all have what each of the last few
// published.
func (f Flow) settle(ctx context.Context, nets []transport.Net, r *recorder) error {
	for round := uint64(0); round < 100; round++ {
		number := settling + round
		if err := nets[int(round)%len(nets)].Publish(ctx, f.Topic, f.message(r, number)); err != nil {
			return err
		}
		for range 40 {
			select {
			case <-time.After(25 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
			if r.all(number) {
				break
			}
		}
		if round >= 2 && r.all(number) && r.all(number-1) && r.all(number-2) {
			r.reset()
			return nil
		}
	}
	return errors.New("the topic does not come up")
}

func (r *recorder) all(number uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, got := range r.got {
		if !got[number] {
			return false
		}
	}
	return true
}

// reset forgets the messages of settling.
func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.got {
		r.got[i] = map[uint64]bool{}
	}
	r.again, r.delivered, r.latencies = 0, 0, nil
}

func (f Flow) message(r *recorder, number uint64) []byte {
	data := make([]byte, f.Size)
	binary.BigEndian.PutUint64(data, number)
	binary.BigEndian.PutUint64(data[8:], uint64(time.Since(r.start)))
	return data
}

func (f Flow) publish(ctx context.Context, nets []transport.Net, r *recorder, random *rand.Rand) (sent int, err error) {
	tick := time.NewTicker(time.Second / time.Duration(f.Rate))
	defer tick.Stop()
	for total := int(f.For.Seconds() * float64(f.Rate)); sent < total; sent++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return sent, ctx.Err()
		}
		if err := nets[random.IntN(len(nets))].Publish(ctx, f.Topic, f.message(r, uint64(sent))); err != nil {
			return sent, fmt.Errorf("message %d: %w", sent, err)
		}
	}
	return sent, nil
}

// wait waits for what is missing.
func (r *recorder) wait(ctx context.Context, sent, expected int) (Result, error) {
	for deadline := time.Now().Add(r.within); time.Now().Before(deadline); {
		r.mu.Lock()
		complete := r.delivered >= expected
		r.mu.Unlock()
		if complete {
			break
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return Result{}, ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	result := Result{Sent: sent, Expected: expected, Delivered: r.delivered, Again: r.again}
	slices.Sort(r.latencies)
	for _, took := range r.latencies {
		result.Latencies += took
	}
	if n := len(r.latencies); n > 0 {
		result.P50, result.P99 = r.latencies[n/2], r.latencies[n*99/100]
	}
	return result, nil
}

// Connect makes a random network: a ring, and each peer dials until so many are connected to it.
func Connect(ctx context.Context, nets []Net, degree int, seed uint64) error {
	random := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // to be drawn again
	links := make([]map[int]bool, len(nets))
	for i := range nets {
		links[i] = map[int]bool{}
	}
	dial := func(i, k int) error {
		if i == k || links[i][k] || len(links[k]) >= degree+degree/2 {
			return nil
		}
		links[i][k], links[k][i] = true, true
		return nets[i].Dial(ctx, nets[k].Self(), nets[k].Addrs()...)
	}
	for i := range nets {
		if err := dial(i, (i+1)%len(nets)); err != nil {
			return err
		}
	}
	for i := range nets {
		for _, k := range random.Perm(len(nets)) {
			if len(links[i]) >= degree {
				break
			}
			if err := dial(i, k); err != nil {
				return err
			}
		}
	}
	return nil
}
