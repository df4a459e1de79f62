package libp2p_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/transport"
	"souk/transport/libp2p"
)

//nolint:gochecknoglobals // flags of go test
var (
	soak    = flag.Bool("soak", false, "an hour of churn, instead of some seconds")
	soakFor = flag.Duration("for", time.Hour, "how long -soak goes on; what it takes is judged by the second half")
)

// What goes on in the soak: a hundred peers come in a minute and a hundred leave.
const (
	soakEvery    = time.Minute / 100 // a visitor comes
	soakStay     = 5 * time.Second   // and stays
	soakNews     = time.Second / 4   // a resident says something
	soakResident = 3                 // neighbours that stay all the time
	soakTopic    = "soak"
)

// state is what a process has when no visitor is there.
type state struct {
	goroutines int
	memory     uint64 // bytes that are in use
}

// TestSoak (F-37): peers come, say something and go, a hundred a minute; what is left of them
// is nothing.
func TestSoak(t *testing.T) {
	length, rounds, every, stay := 4*time.Second, 2, soakEvery/2, time.Second
	if *soak {
		length, rounds, every, stay = *soakFor, 40, soakEvery, soakStay
	}
	begun := time.Now()
	hub := open(t, libp2p.Config{})
	heard := hear(t, hub, true)
	for i := range soakResident {
		n := open(t, libp2p.Config{})
		hear(t, n, false)
		if err := n.Dial(t.Context(), hub.Self(), hub.Addrs()...); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			news(t, n)
		}
	}
	states := []state{rest(t, hub, begun)}
	visits := 0
	for round := range rounds {
		visits += churn(t, hub, heard, length/time.Duration(rounds), every, stay, round)
		states = append(states, rest(t, hub, begun))
		t.Logf("after %v and %d visits: %+v", time.Since(begun).Round(time.Second), visits, states[len(states)-1])
	}
	flat(t, states)
}

// ear hears a topic, and keeps which visitors were heard until somebody asks.
type ear struct {
	mu    sync.Mutex
	heard map[string]bool
}

// hear lets a peer hear the topic until the test ends, and note visitors or not.
func hear(t *testing.T, n transport.Net, note bool) *ear {
	t.Helper()
	sub, err := n.Subscribe(soakTopic, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := &ear{heard: map[string]bool{}}
	var over sync.WaitGroup
	over.Go(func() {
		for {
			m, err := sub.Next(context.Background())
			if err != nil {
				return
			}
			if name, _, ok := strings.Cut(string(m.Data), "/"); ok && note {
				e.mu.Lock()
				e.heard[name] = true
				e.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() {
		_ = sub.Close()
		over.Wait()
	})
	return e
}

// take tells whether a visitor was heard, and forgets it if so.
func (e *ear) take(name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.heard[name]
	delete(e.heard, name)
	return was
}

// news lets a peer say something now and then, until the test ends.
func news(t *testing.T, n transport.Net) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var over sync.WaitGroup
	over.Go(func() {
		tick := time.NewTicker(soakNews)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if err := n.Publish(ctx, soakTopic, fmt.Append(nil, "news ", i)); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		over.Wait()
	})
}

// churn lets visitors come and go for some time, and tells how many came.
func churn(t *testing.T, hub *libp2p.Net, heard *ear, length, every, stay time.Duration, round int) (visits int) {
	t.Helper()
	var over sync.WaitGroup
	defer over.Wait()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for begin := time.Now(); time.Since(begin) < length; <-tick.C {
		name := fmt.Sprintf("visitor %d of round %d", visits, round)
		visits++
		over.Go(func() {
			if err := visit(t, hub, heard, name, stay); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	return visits
}

// visit is one peer that comes, says something until it is heard, and leaves some time later.
func visit(t *testing.T, hub *libp2p.Net, heard *ear, name string, stay time.Duration) error {
	t.Helper()
	n, err := libp2p.Open(libp2p.Config{Key: key(t), Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		return err
	}
	defer func() { _ = n.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := n.Dial(ctx, hub.Self(), hub.Addrs()...); err != nil {
		return err
	}
	sub, err := n.Subscribe(soakTopic, nil)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Close() }()
	if _, err := sub.Next(ctx); err != nil {
		return err
	}
	// What is said before gossip has a way out is lost, so it is said again.
	for wait := 0; !heard.take(name); wait++ {
		if wait%100 == 0 {
			if err := n.Publish(ctx, soakTopic, fmt.Append(nil, name, "/", wait)); err != nil {
				return err
			}
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return errors.New("nobody hears it")
		}
	}
	<-time.After(stay)
	return nil
}

// rest waits until the visitors are gone, and what they left for a while, and measures.
func rest(t *testing.T, hub transport.Net, begun time.Time) state {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	last, same := 0, 0
	for same < 5 { // goroutines end some time after connections do
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %d neighbours and %d goroutines, and no rest", time.Since(begun), len(hub.Peers()), last)
		}
		<-time.After(100 * time.Millisecond)
		now := runtime.NumGoroutine()
		if same++; now > last+2 || now < last-2 || len(hub.Peers()) != soakResident {
			last, same = now, 0
		}
	}
	runtime.GC()
	runtime.GC() // what finalizers have let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return state{runtime.NumGoroutine(), m.HeapAlloc + m.StackInuse}
}

// flat judges what was measured: nothing that grows with the visits. Scores are kept for ten
// minutes, so memory is compared within the second half of an hour.
func flat(t *testing.T, states []state) {
	t.Helper()
	mean := func(part []state, of func(state) float64) (sum float64) {
		for _, s := range part {
			sum += of(s)
		}
		return sum / float64(len(part))
	}
	goroutines := func(s state) float64 { return float64(s.goroutines) }
	memory := func(s state) float64 { return float64(s.memory) / 1e6 }
	first := slices.MinFunc(states[:2], func(a, b state) int { return a.goroutines - b.goroutines })
	if last := states[len(states)-1]; last.goroutines > first.goroutines+20 {
		t.Errorf("%d goroutines, at first %d", last.goroutines, first.goroutines)
	}
	half := states[len(states)/2:]
	early, late := half[:len(half)/2], half[len(half)/2:]
	if a, b := mean(early, memory), mean(late, memory); b > a*1.05+2 {
		t.Errorf("%.1f MB, before %.1f", b, a)
	}
	if a, b := mean(early, goroutines), mean(late, goroutines); b > a+5 {
		t.Errorf("%.1f goroutines, before %.1f", b, a)
	}
}
