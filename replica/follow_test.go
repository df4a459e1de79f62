package replica_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"souk/exchange"
	"souk/internal/bulk"
	"souk/replica"
)

// active are the heights from one on at which the chain has blocks that did something.
func (c *chain) active(from uint64) (heights []uint64) {
	for _, b := range c.blocks {
		if b.Height >= from && len(b.Payloads) > 0 {
			heights = append(heights, b.Height)
		}
	}
	return heights
}

// checkLog reads a server's log from a height on, and compares.
func (n *node) checkLog(from uint64) {
	n.chain.tb.Helper()
	var got []uint64
	for b, err := range n.Logged(context.Background(), from) {
		if err != nil {
			n.chain.tb.Fatal(err)
		}
		got = append(got, b.Height)
	}
	if want := n.chain.active(from); !slices.Equal(got, want) {
		n.chain.tb.Fatalf("server %d at height %d has the log %v, not %v", n.index, n.Position().Height, got, want)
	}
}

// stage shows followers which replica there is, and when there is another.
type stage struct {
	mu      sync.Mutex
	changed sync.Cond
	replica *replica.Replica
	last    uint64 // height at which all is over
	broken  bool   // the test has taken too long
}

func (s *stage) set(r *replica.Replica, last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replica, s.last = r, last
	s.changed.Broadcast()
}

// next waits for another replica.
func (s *stage) next(old *replica.Replica) *replica.Replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.replica == old && !s.broken {
		s.changed.Wait()
	}
	return s.replica
}

func (s *stage) over(height uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return height == s.last
}

// follower reads a log to its end, now fast, now slowly, and sometimes begins anew.
type follower struct {
	stage *stage
	rng   *rand.Rand
	from  uint64
	seen  []uint64
	gone  int
	err   error
}

func (f *follower) run(ctx context.Context) {
	var r *replica.Replica
	next := f.from
	for {
		r = f.stage.next(r)
		again := true
		for again {
			again = false
			for b, err := range r.Follow(ctx, next) {
				var gone *replica.GoneError
				if errors.As(err, &gone) {
					if gone.Oldest <= next || !errors.Is(err, replica.ErrGone) {
						f.err = fmt.Errorf("height %d is gone, and %d is not", next, gone.Oldest)
						return
					}
					f.gone++
					next, f.from, f.seen, again = gone.Oldest, gone.Oldest, nil, true
					break
				}
				if err != nil {
					if ctx.Err() != nil {
						f.err = err
						return
					}
					break // the replica is closed
				}
				f.seen = append(f.seen, b.Height)
				if next = b.Height + 1; f.stage.over(b.Height) {
					return
				}
				if f.rng.IntN(4) == 0 {
					runtime.Gosched()
				}
				if again = f.rng.IntN(10) == 0; again {
					break
				}
			}
		}
	}
}

// TestFollow: whatever happens to a server, all who follow its log see every block that
// did something, each once (G-20 to G-23). Those who are too far back are told so, and
// from where on they can read.
func TestFollow(t *testing.T) {
	for seed := range uint64(bulk.Count(16)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 11))
			config := replica.Config{
				Inline:  seed%4 == 0,
				Persist: replica.Persist{Blocks: 1 + rng.IntN(6), Every: time.Duration(1+rng.IntN(3)) * time.Millisecond, LagBlocks: 12, Batch: int(seed%3) * 3000},
				Keep:    replica.Keep{Events: -1},
			}
			if seed%2 == 1 {
				config.Keep.Events = time.Duration(5+rng.IntN(20)) * time.Minute
			}
			followAll(t, config, rng)
		})
	}
}

// followAll lets followers of all kinds follow a server through a rough life.
func followAll(t *testing.T, config replica.Config, rng *rand.Rand) {
	c := newChain(t, 1, config)
	n := c.nodes[0]
	s := &stage{}
	s.changed.L = &s.mu
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.broken = true
		s.changed.Broadcast()
	})
	var all []*follower
	var wait sync.WaitGroup
	join := func(from uint64) {
		f := &follower{stage: s, rng: rand.New(rand.NewPCG(rng.Uint64(), 1)), from: from}
		all = append(all, f)
		wait.Go(func() { f.run(ctx) })
	}
	for range 4 {
		join(1)
	}
	s.set(n.Replica, 0)
	c.roughly(rng, func(height uint64) {
		s.set(n.Replica, 0)
		if rng.IntN(8) == 0 {
			join(1 + rng.Uint64N(height+1)) // at most the last
		}
	})
	join(1)
	s.set(n.Replica, uint64(len(c.blocks)+1))
	c.commands(0, 5, []exchange.Command{c.pay("a0", "a1")})
	s.set(n.Replica, uint64(len(c.blocks))) // it may have crashed
	wait.Wait()
	for i, f := range all {
		if f.err != nil {
			t.Errorf("follower %d from %d on: %v", i, f.from, f.err)
			continue
		}
		if f.gone > 0 && config.Keep.Events < 0 {
			t.Errorf("follower %d was too far back in a log that is kept for ever", i)
		}
		if want := c.active(f.from); !slices.Equal(f.seen, want) {
			t.Errorf("follower %d from %d on saw %v, not %v", i, f.from, f.seen, want)
		}
	}
	oldest := n.LogFrom()
	n.checkLog(oldest)
	if config.Keep.Events < 0 && oldest != 1 {
		t.Errorf("the log begins at %d", oldest)
	}
}

// TestLogKept is G-24: the log goes back as far as it is to, and some minutes more; who
// asks for older blocks is told from where on it has them.
func TestLogKept(t *testing.T) {
	const keep = 10 * time.Minute
	c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1}, Keep: replica.Keep{Events: keep}})
	c.fund("alice", "bob")
	n := c.nodes[0]
	for range 200 {
		c.world.Time += 20_000
		c.commands(0, 5, []exchange.Command{c.pay("alice", "bob")})
	}
	n.restart() // forgets what is in memory
	from := n.LogFrom()
	age := time.Duration(c.resultTime(uint64(len(c.blocks)))-c.resultTime(from)) * time.Millisecond
	if age < keep || age > keep+5*time.Minute {
		t.Errorf("the log goes back %v", age)
	}
	n.checkLog(from)
	for key := range dump(t, n.store) {
		if key[0] == 15 && len(key) > 1 && binary.BigEndian.Uint64([]byte(key[1:])) < from {
			t.Errorf("a block before %d is still there: %x", from, key)
		}
	}
	for b, err := range n.Follow(t.Context(), from-1) {
		var gone *replica.GoneError
		if !errors.As(err, &gone) || !errors.Is(err, replica.ErrGone) || gone.Oldest != from {
			t.Fatalf("%v, %v", b, err)
		}
	}
}

// TestLogWhole is G-23: blocks that did nothing are not missing. A log that has forgotten
// nothing begins at the founding, however long the server waited for its first command.
func TestLogWhole(t *testing.T) {
	c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1}, Keep: replica.Keep{Events: 24 * time.Hour}})
	for range 3 {
		c.decide(0, nil)
	}
	n := c.nodes[0]
	c.fund("alice", "bob")
	for range 20 {
		c.world.Time += 60_000
		c.commands(0, 5, []exchange.Command{c.pay("alice", "bob")})
	}
	for _, when := range []string{"running", "again"} {
		if from := n.LogFrom(); from != 1 {
			t.Errorf("%s: the log begins at %d", when, from)
		}
		n.restart()
	}
	n.checkLog(1)
}

// roughly grows a chain of one server, which is restarted and crashes now and then.
func (c *chain) roughly(rng *rand.Rand, then func(height uint64)) {
	n := c.nodes[0]
	random := c.random(6, rng.Uint64())
	for range 60 {
		c.commands(0, 5, random.Block(1+rng.IntN(12)))
		if rng.IntN(4) == 0 {
			c.decide(0, nil) // an empty block
		}
		c.world.Time += rng.Uint64N(60_000)
		switch rng.IntN(12) {
		case 0:
			n.restart()
		case 1:
			n.tear = rng // next time, between execution and commit
		case 2:
			n.crash(nil)
			n.replay()
		case 3:
			n.crash(rng)
			n.replay()
		}
		then(uint64(len(c.blocks)))
	}
}

// TestFollowEnds: who follows is told when it is over, and why.
func TestFollowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, 1, replica.Config{Keep: replica.Keep{Events: -1}})
		c.fund("alice", "bob")
		n := c.nodes[0]
		type end struct {
			seen []uint64
			err  error
		}
		follow := func(ctx context.Context, from uint64) <-chan end {
			ended := make(chan end, 1)
			go func() {
				var e end
				for b, err := range n.Follow(ctx, from) {
					if e.err = err; err == nil {
						e.seen = append(e.seen, b.Height)
					}
				}
				ended <- e
			}()
			synctest.Wait()
			return ended
		}
		height := uint64(len(c.blocks))
		ctx, cancel := context.WithCancel(t.Context())
		first, second := follow(ctx, 0), follow(t.Context(), height+2)
		c.commands(0, 5, []exchange.Command{c.pay("alice", "bob")})
		synctest.Wait()
		cancel()
		if e := <-first; !errors.Is(e.err, context.Canceled) || !slices.Equal(e.seen, []uint64{height + 1}) {
			t.Errorf("cancelled: %+v", e)
		}
		c.commands(0, 5, []exchange.Command{c.pay("alice", "bob")})
		synctest.Wait()
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if e := <-second; !errors.Is(e.err, replica.ErrClosed) || !slices.Equal(e.seen, []uint64{height + 2}) {
			t.Errorf("closed: %+v", e)
		}
		n.open()
	})
}

// TestFollowRestored: with a snapshot the log begins anew, and who waits for older blocks
// is told (G-23).
func TestFollowRestored(t *testing.T) {
	for _, keep := range []time.Duration{-1, 0} {
		c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1}, Keep: replica.Keep{SnapshotEvery: 5, ChunkBytes: 1000, Events: keep}})
		random := c.random(8, 3)
		c.grow(random, 8)
		s, chunks := c.nodes[0].snapshot(t)
		n := c.joiner()
		ended := make(chan error, 1)
		go func() {
			for _, err := range n.Follow(t.Context(), 3) {
				ended <- err
			}
		}()
		if err := n.Offer(s, c.roots[s.Height-1]); err != nil {
			t.Fatal(err)
		}
		for i, chunk := range chunks {
			if _, err := n.Restore(uint32(i), chunk); err != nil {
				t.Fatal(err)
			}
		}
		var gone *replica.GoneError
		if err := <-ended; !errors.As(err, &gone) || gone.Oldest != s.Height+1 {
			t.Fatalf("a follower of what was before the snapshot at %d: %v", s.Height, err)
		}
		c.nodes = append(c.nodes, n)
		n.replay()
		c.grow(random, 3)
		n.checkLog(s.Height + 1)
		n.crash(nil)
		n.replay()
		c.grow(random, 1)
		if keep != 0 {
			n.checkLog(s.Height + 1)
		}
	}
}

// TestLogBeginsAnew: a log that somebody left off is not taken for whole.
func TestLogBeginsAnew(t *testing.T) {
	c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1}, Keep: replica.Keep{Events: -1}})
	random := c.random(8, 3)
	n := c.nodes[0]
	logged := func() (n int) {
		for key := range dump(t, c.nodes[0].store) {
			if key[0] == 15 {
				n++
			}
		}
		return n
	}
	c.grow(random, 5)
	if logged() < 5 {
		t.Fatalf("%d keys in the log", logged())
	}
	c.config.Keep.Events = 0
	n.restart()
	c.grow(random, 3)
	if logged() != 0 {
		t.Errorf("%d keys in a log that is not kept", logged())
	}
	c.config.Keep.Events = -1
	n.restart()
	from := n.LogFrom()
	if at := n.Info().Height; from != at+1 {
		t.Errorf("the log begins at %d, and the stored state is at %d", from, at)
	}
	c.grow(random, 3)
	n.restart()
	if n.LogFrom() != from {
		t.Errorf("the log began at %d, and now at %d", from, n.LogFrom())
	}
	n.checkLog(from)
	for _, err := range n.Logged(t.Context(), from-1) {
		if !errors.Is(err, replica.ErrGone) {
			t.Error(err)
		}
	}
	// A program that knows no log writes blocks.
	b := n.store.NewBatch()
	b.Set([]byte{15}, make([]byte, 16))
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	n.restart()
	if at := n.Info().Height; n.LogFrom() != at+1 {
		t.Errorf("the log begins at %d, and the stored state is at %d", n.LogFrom(), at)
	}
	from = n.LogFrom()
	c.grow(random, 3)
	n.checkLog(from)
}
