package memnet_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"souk/identity"
	"souk/internal/bulk"
	"souk/transport"
	"souk/transport/intake"
	"souk/transport/memnet"
	"souk/transport/transporttest"
)

// name is the i-th peer's.
func name(i int) transport.ID {
	return identity.NewKey(sha256.Sum256(fmt.Append(nil, "peer ", i))).Public()
}

func TestConformance(t *testing.T) {
	network := memnet.New(memnet.Config{Seed: 1})
	t.Cleanup(func() { _ = network.Close() })
	next := 0
	transporttest.Run(t, transporttest.World{Open: func(t *testing.T) transporttest.Net {
		t.Helper()
		next++
		n, err := network.Join(name(next), memnet.NodeConfig{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		return n
	}})
}

// world is a network in a bubble, where time is virtual.
type world struct {
	*memnet.Network
	nodes []*memnet.Node
}

// grow makes a network of so many peers, each of which has dialled up to degree others.
func grow(t *testing.T, config memnet.Config, count, degree int) *world {
	t.Helper()
	w := &world{Network: memnet.New(config)}
	t.Cleanup(func() { _ = w.Close() })
	random := rand.New(rand.NewPCG(config.Seed, 0))
	for i := range count {
		n, err := w.Join(name(i), memnet.NodeConfig{})
		if err != nil {
			t.Fatal(err)
		}
		w.nodes = append(w.nodes, n)
		for _, k := range random.Perm(i)[:min(i, degree)] {
			_ = n.Dial(t.Context(), name(k)) // it may have enough
		}
	}
	return w
}

// history is what a bubble's network did: who got what when.
func history(t *testing.T, seed uint64) (log []string) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		link := memnet.Link{Delay: 20 * time.Millisecond, Jitter: 60 * time.Millisecond, Loss: 0.2, Duplicate: 0.2}
		w := grow(t, memnet.Config{Seed: seed, Link: func(_, _ transport.ID) memnet.Link { return link }}, 40, 4)
		var mu sync.Mutex
		note := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, fmt.Sprintf(format, args...))
		}
		for i, n := range w.nodes {
			sub, err := n.Subscribe("topic", nil)
			if err != nil {
				t.Fatal(err)
			}
			n.Handle("count", func(_ transport.ID, s transport.Stream) {
				b, err := io.ReadAll(s)
				note("%v: %d was sent %d bytes, %v", time.Since(begin), i, len(b), err)
				_ = s.Close()
			})
			go func() {
				for {
					m, err := sub.Next(t.Context())
					if err != nil {
						return
					}
					note("%v: %d got %s of %s", time.Since(begin), i, m.Data, m.From)
					if i%13 == 0 && !bytes.Contains(m.Data, []byte(",")) {
						_ = n.Publish(t.Context(), "topic", fmt.Appendf(nil, "%s, %d", m.Data, i))
						s, err := n.Stream(t.Context(), m.From, "count")
						if err == nil {
							_, _ = s.Write(make([]byte, 50_000))
							_ = s.Close()
						}
					}
				}
			}()
		}
		for i := range 12 {
			if err := w.nodes[i].Publish(t.Context(), "topic", fmt.Append(nil, "m", i)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
	})
	return log
}

func TestOneSeedOneHistory(t *testing.T) { // F-12
	first, second, other := history(t, 7), history(t, 7), history(t, 8)
	if len(first) < 12*40/2 {
		t.Fatalf("only %d things happened", len(first))
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the same seed again (-first +second):\n%s", diff)
	}
	if slices.Equal(first, other) {
		t.Error("two seeds have the same history")
	}
}

func TestLossAndDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := memnet.Link{Delay: 50 * time.Millisecond, Jitter: 100 * time.Millisecond, Loss: 0.3, Duplicate: 0.5}
		w := grow(t, memnet.Config{Seed: 3, Link: func(_, _ transport.ID) memnet.Link { return link }}, 40, 6)
		var readers []*transporttest.Reader
		for _, n := range w.nodes {
			readers = append(readers, transporttest.Read(t, n, "topic", nil))
		}
		for i := range 200 {
			if err := w.nodes[i%40].Publish(t.Context(), "topic", fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		lost := 0
		for i := range 200 {
			for k, r := range readers {
				switch n := r.Count(fmt.Sprint(i)); {
				case n == 0:
					lost++
				case n > 1:
					t.Fatalf("message %d came %d times to %d", i, n, k)
				}
			}
		}
		if lost > 200*40/100 {
			t.Errorf("%d of %d messages did not come", lost, 200*40)
		}
	})
}

func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := grow(t, memnet.Config{Seed: 5}, 6, 5)
		var left, right []transport.ID
		var readers []*transporttest.Reader
		for i, n := range w.nodes {
			readers = append(readers, transporttest.Read(t, n, "topic", nil))
			if i < 3 {
				left = append(left, n.Self())
			} else {
				right = append(right, n.Self())
			}
		}
		count := func(text string) (total int) {
			if err := w.nodes[0].Publish(t.Context(), "topic", []byte(text)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			for _, r := range readers {
				total += r.Count(text)
			}
			return total
		}
		if n := count("together"); n != 6 {
			t.Errorf("%d peers of 6 got a message", n)
		}
		w.nodes[5].Handle("hold", func(_ transport.ID, s transport.Stream) { _, _ = io.Copy(io.Discard, s) })
		s, err := w.nodes[0].Stream(t.Context(), name(5), "hold")
		if err != nil {
			t.Fatal(err)
		}
		w.Partition(left, right)
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, transport.ErrUnreachable) {
			t.Errorf("a stream across a partition: %v", err)
		}
		if n := count("apart"); n != 3 {
			t.Errorf("%d peers got a message in one half of 3", n)
		}
		if err := w.nodes[0].Dial(t.Context(), name(4)); !errors.Is(err, transport.ErrUnreachable) {
			t.Errorf("dialled across a partition: %v", err)
		}
		w.Heal()
		if err := w.nodes[0].Dial(t.Context(), name(4)); err != nil {
			t.Error(err)
		}
		if n := count("again"); n != 6 {
			t.Errorf("%d peers of 6 got a message", n)
		}
	})
}

func TestRoundTripIsThatOfTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := grow(t, memnet.Config{Seed: 5, Link: func(a, b transport.ID) memnet.Link {
			if a == name(0) && b == name(1) || a == name(1) && b == name(0) {
				return memnet.Link{Delay: 100 * time.Millisecond, Jitter: 20 * time.Millisecond}
			}
			return memnet.Link{Delay: 5 * time.Millisecond}
		}}, 3, 2)
		far, ok := w.nodes[0].RoundTrip(name(1))
		if !ok || far < 200*time.Millisecond || far > 240*time.Millisecond {
			t.Errorf("round trip %v, %v", far, ok)
		}
		if near, ok := w.nodes[0].RoundTrip(name(2)); !ok || near != 10*time.Millisecond {
			t.Errorf("round trip %v, %v", near, ok)
		}
	})
}

func TestFull(t *testing.T) { // F-30
	synctest.Test(t, func(t *testing.T) {
		limits := intake.Default()
		w := grow(t, memnet.Config{}, limits.Peers+2, 0)
		for i, n := range w.nodes[1:] {
			err := n.Dial(t.Context(), name(0))
			if want := i >= limits.Peers; want != errors.Is(err, transport.ErrRefused) || !want && err != nil {
				t.Errorf("peer %d: %v", i, err)
			}
		}
	})
}

// TestSybils (F-36): fifty honest peers among two hundred who are not, a third of whom
// publish as much as they are let.
func TestSybils(t *testing.T) {
	for seed := range uint64(bulk.Count(1)) {
		synctest.Test(t, func(t *testing.T) {
			network := memnet.New(memnet.Config{Seed: seed, Link: func(_, _ transport.ID) memnet.Link {
				return memnet.Link{Delay: 20 * time.Millisecond, Jitter: 80 * time.Millisecond, Loss: 0.02, Duplicate: 0.02}
			}})
			t.Cleanup(func() { _ = network.Close() })
			join := func(first, count int, config memnet.NodeConfig) (list []transporttest.Net) {
				for i := range count {
					n, err := network.Join(name(first+i), config)
					if err != nil {
						t.Fatal(err)
					}
					list = append(list, n)
				}
				return list
			}
			honest, sybils := join(0, bulk.Count(50), memnet.NodeConfig{}), join(1000, bulk.Count(200), memnet.NodeConfig{Mute: true})
			attack := transporttest.Sybils{Degree: min(6, len(honest)-2), Junk: 2}
			r, err := attack.Run(t.Context(), honest, sybils, transporttest.Flow{Topic: "sybil", For: 3 * time.Second}, seed)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v", r)
			if r.Share() < 0.99 {
				t.Errorf("%d of %d came", r.Delivered, r.Expected)
			}
		})
	}
}
