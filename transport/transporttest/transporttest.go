// Package transporttest is what every adapter of transport is tested with: a suite over the
// port, and the bars of a network of many peers (docs/spec/22-transport.md). Only tests and
// measurements import it. Floor 2.
package transporttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"souk/transport"
)

// Net is what an adapter offers.
type Net interface {
	transport.Net
	transport.Located
	transport.Guard
	transport.Dropper
}

// World is a network that peers can be added to.
type World struct {
	// Open adds a peer, which is closed when the test ends.
	Open func(t *testing.T) Net
	// Absent is a peer that may be dialled and is not there; nil means anybody.
	Absent func(t *testing.T) transport.ID
	// Patience is for how long the suite waits for what must happen; zero means 15 seconds.
	Patience time.Duration
	// Bulk is how many bytes a big stream carries; zero means 8 MiB.
	Bulk int
}

// Run tests an adapter.
func Run(t *testing.T, w World) {
	if w.Patience == 0 {
		w.Patience = 15 * time.Second
	}
	if w.Absent == nil {
		w.Absent = stranger
	}
	if w.Bulk == 0 {
		w.Bulk = 8 << 20
	}
	for _, c := range []struct {
		name string
		test func(*testing.T, World)
	}{
		{"dial", testDial},
		{"dial refused", testUnreachable},
		{"round trip", testRoundTrip},
		{"stream", testStream},
		{"half close", testHalfClose},
		{"deadline", testDeadline},
		{"refused protocol", testRefusedProtocol},
		{"big stream", testBig},
		{"many streams", testMany},
		{"topic", testTopic},
		{"topic without subscription", testOutsider},
		{"subscriptions", testSubscriptions},
		{"sizes", testSizes},
		{"ignore", testIgnore},
		{"reject", testReject},
		{"own validator", testOwn},
		{"slow reader", testSlow},
		{"subscribing amid messages", testBusy},
		{"ban", testBan},
		{"drop", testDrop},
		{"close", testClose},
		{"at once", testAtOnce},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, w) })
	}
}

// open adds peers, each of which is connected with the one before.
func (w World) open(t *testing.T, count int) []Net {
	t.Helper()
	nets := make([]Net, count)
	for i := range nets {
		nets[i] = w.Open(t)
		if i > 0 {
			w.connect(t, nets[i], nets[i-1])
		}
	}
	return nets
}

// connect makes one peer dial another, and waits until both know.
func (w World) connect(t *testing.T, from, to Net) {
	t.Helper()
	if err := from.Dial(w.context(t), to.Self(), to.Addrs()...); err != nil {
		t.Fatalf("dial: %v", err)
	}
	w.eventually(t, "both are peers", func() bool { return has(from, to) && has(to, from) })
}

// context is one that ends with the suite's patience.
func (w World) context(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), w.Patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for a condition.
func (w World) eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline, tick := time.Now().Add(w.Patience), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", w.Patience, what)
		}
		<-tick.C
	}
}

func has(n, peer Net) bool {
	for _, p := range n.Peers() {
		if p == peer.Self() {
			return true
		}
	}
	return false
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, not %v", err, want)
	}
}

// Reader collects what a subscription brings, until the test ends.
type Reader struct {
	sub  transport.Subscription
	mu   sync.Mutex
	got  map[string]int
	from map[string]transport.ID
}

// Read subscribes a peer to a topic and reads it.
func Read(t testing.TB, n transport.Net, topic string, v transport.Validator) *Reader {
	t.Helper()
	sub, err := n.Subscribe(topic, v)
	if err != nil {
		t.Fatal(err)
	}
	r := &Reader{sub: sub, got: map[string]int{}, from: map[string]transport.ID{}}
	ctx, cancel := context.WithCancel(context.Background())
	var over sync.WaitGroup
	over.Go(func() {
		for {
			m, err := sub.Next(ctx)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.got[string(m.Data)]++
			r.from[string(m.Data)] = m.From
			r.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = sub.Close()
		over.Wait()
	})
	return r
}

// Count is how often a message came.
func (r *Reader) Count(message string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got[message]
}

// From is the neighbour that a message came from.
func (r *Reader) From(message string) transport.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.from[message]
}

// warm publishes until readers get what a peer publishes: then the topic's ways are there.
func (w World) warm(t *testing.T, from transport.Net, readers ...*Reader) {
	t.Helper()
	sent, next := 0, time.Now()
	var probe string
	w.eventually(t, "topic "+topic+" is up", func() bool {
		if !time.Now().Before(next) {
			probe = fmt.Sprintf("probe %d of %s", sent, from.Self())
			sent, next = sent+1, time.Now().Add(200*time.Millisecond)
			if err := from.Publish(w.context(t), topic, []byte(probe)); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range readers {
			if r.Count(probe) == 0 {
				return false
			}
		}
		return true
	})
}
