package replica_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/replica"
)

// submit sends commands to a server and returns the answers.
func submit(t testing.TB, n *node, q replica.Request) []replica.Answer {
	t.Helper()
	answers, err := n.Submit(context.Background(), q)
	if err != nil {
		t.Error(err)
	}
	return answers
}

// live makes blocks in the background until the function it returns is called,
// or the test ends.
func (c *chain) live() (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		c.run(ended)
	}()
	stop = sync.OnceFunc(func() {
		close(ended)
		<-done
	})
	c.tb.Cleanup(stop)
	return stop
}

// clock makes a replica's clock that of the chain, which tests move.
func (c *chain) clock() time.Time { return c.now() }

// TestSubmit sends commands of several clients to all servers at the same time.
func TestSubmit(t *testing.T) {
	pool := replica.NewPool(2, 0)
	t.Cleanup(pool.Close)
	c := newChain(t, 4, replica.Config{Pool: pool, Now: func() time.Time { return time.UnixMilli(exchangetest.Founded + 1000) }})
	c.fund("alice", "bob")
	var data [8][]byte
	for i := range data {
		for range 50 {
			cmd := c.pay("alice", "bob")
			data[i] = cmd.Append(data[i])
		}
	}
	c.live()
	var wait sync.WaitGroup
	for i := range data {
		wait.Go(func() {
			for _, a := range submit(t, c.nodes[i%4], replica.Request{Client: fmt.Sprint(i), Data: data[i]}) {
				if a.Fate != replica.FateCommitted || a.Receipt.Code != exchange.OK || a.Receipt.ID != a.ID || a.Receipt.Height == 0 {
					t.Errorf("answer %+v", a)
				}
			}
		})
	}
	wait.Wait()
	for _, n := range c.nodes {
		if w := n.Metrics().Waiting.Load(); w != 0 {
			t.Errorf("server %d counts %d waiting commands", n.index, w)
		}
	}
}

// TestSubmitAgain sends commands again, to the same server and to others, while
// they wait and when they are executed: all get the first receipt (S-42).
func TestSubmitAgain(t *testing.T) {
	c := newChain(t, 4, replica.Config{Now: func() time.Time { return time.UnixMilli(exchangetest.Founded + 1000) }})
	c.fund("alice", "bob")
	var commands []exchange.Command
	for range 100 {
		commands = append(commands, c.pay("alice", "bob"))
	}
	stop := c.live()
	var mu sync.Mutex
	first := map[exchange.CommandID]exchange.Receipt{}
	var wait sync.WaitGroup
	for i := range 12 {
		wait.Go(func() {
			from := i * 7
			for _, a := range submit(t, c.nodes[i%4], replica.Request{Data: encode(commands[from : from+16]...)}) {
				mu.Lock()
				rc, ok := first[a.ID]
				if !ok {
					first[a.ID] = a.Receipt
				}
				mu.Unlock()
				if a.Fate != replica.FateCommitted || a.Receipt.Code != exchange.OK || ok && rc != a.Receipt {
					t.Errorf("answer %+v, before %+v", a, rc)
				}
			}
		})
	}
	wait.Wait()
	stop()
	for id, want := range first {
		for _, n := range c.nodes {
			if a, err := n.Fate(id); err != nil || a.Fate != replica.FateCommitted || a.Receipt != want {
				t.Errorf("server %d says %+v, %v", n.index, a, err)
			}
		}
	}
}

// TestSubmitRefused is S-41: what is not worth a place in a block is answered at once.
func TestSubmitRefused(t *testing.T) {
	c := newChain(t, 1, replica.Config{})
	c.config.Now = c.clock
	c.nodes[0].restart()
	c.fund("alice", "bob")
	vs := c.world.State.ID()
	sign := func(name string, edit func(*exchange.Command)) exchange.Command {
		cmd := c.pay(name, "bob")
		edit(&cmd)
		if err := cmd.Sign(vs, exchangetest.Key(name)); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	used := c.pay("alice", "bob")
	c.commands(0, 10, []exchange.Command{used})
	old := used.Nonce
	for range 1024 {
		c.world.Nonce(exchangetest.Key("alice")) // left out
	}
	used = c.pay("alice", "bob")
	c.commands(0, 10, []exchange.Command{used})
	stale := sign("alice", func(cmd *exchange.Command) { cmd.Nonce = old })
	zero := sign("alice", func(cmd *exchange.Command) { cmd.Nonce = 0 })
	forged := c.pay("alice", "bob")
	forged.Signature[5]++
	elsewhere := sign("alice", func(cmd *exchange.Command) { cmd.Nonce = used.Nonce })
	n := c.nodes[0]
	for _, test := range []struct {
		name string
		cmd  exchange.Command
		fate replica.Fate
		code exchange.Code
	}{
		{"expired", sign("alice", func(cmd *exchange.Command) { cmd.Expiry = c.world.Time }), replica.FateRefused, exchange.Expired},
		{"far expiry", sign("alice", func(cmd *exchange.Command) { cmd.Expiry = c.world.Time + 600_001 }), replica.FateRefused, exchange.ExpiryTooFar},
		{"unknown account", sign("carol", func(*exchange.Command) {}), replica.FateRefused, exchange.UnknownAccount},
		{"far nonce", sign("alice", func(cmd *exchange.Command) { cmd.Nonce += 70_000 }), replica.FateRefused, exchange.NonceTooFar},
		{"used nonce", elsewhere, replica.FateElsewhere, exchange.NonceUsed},
		{"stale nonce", stale, replica.FateElsewhere, exchange.NonceStale},
		{"nonce 0", zero, replica.FateRefused, exchange.NonceStale},
		{"executed", used, replica.FateCommitted, exchange.OK},
		{"forged", forged, replica.FateRefused, exchange.BadSignature},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := submit(t, n, replica.Request{Data: encode(test.cmd)})[0]
			if a.Fate != test.fate || a.Receipt.Code != test.code || a.ID != test.cmd.ID || a.Receipt.ID != test.cmd.ID {
				t.Errorf("answer %+v", a)
			}
		})
	}
	for _, test := range []struct {
		cmd  exchange.Command
		fate replica.Fate
		code exchange.Code
	}{
		{elsewhere, replica.FateElsewhere, exchange.NonceUsed},
		{stale, replica.FateElsewhere, exchange.NonceStale},
		{zero, replica.FateUnknown, exchange.OK},
		{c.pay("alice", "bob"), replica.FateUnknown, exchange.OK},
		{c.pay("carol", "bob"), replica.FateUnknown, exchange.OK},
	} {
		if a, err := n.FateOf(&test.cmd); err != nil || a.Fate != test.fate || a.Receipt.Code != test.code {
			t.Errorf("fate %+v, %v", a, err)
		}
	}
	if a, err := n.Fate(elsewhere.ID); err != nil || a.Fate != replica.FateUnknown {
		t.Errorf("fate %+v, %v", a, err)
	}
	for _, bad := range [][]byte{nil, {1}, encode(used)[:100], append(encode(used), 0), append([]byte{99}, encode(used)[1:]...)} {
		if _, err := n.Submit(context.Background(), replica.Request{Data: bad}); !errors.Is(err, replica.ErrRequest) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
	if w := n.Metrics().Waiting.Load(); w != 0 {
		t.Errorf("%d commands count as waiting", w)
	}
}

// restart closes a server in an orderly way and opens it again.
func (n *node) restart() {
	n.chain.tb.Helper()
	if err := n.Close(); err != nil {
		n.chain.tb.Fatal(err)
	}
	n.open()
	n.replay()
}

// TestForgedSignatureHarmsNobody: the id of a command does not cover its
// signature, so somebody could send it with a bad one first (S-43).
func TestForgedSignatureHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, 1, replica.Config{})
		c.config.Now = c.clock
		c.nodes[0].restart()
		c.fund("alice", "bob")
		n := c.nodes[0]
		n.hold(t)
		cmd := c.pay("alice", "bob")
		forged := cmd
		forged.Signature[0]++
		var wait sync.WaitGroup
		for i, data := range [][]byte{encode(forged), encode(cmd), encode(forged), encode(cmd)} {
			wait.Go(func() {
				a := submit(t, n, replica.Request{Data: data})[0]
				want := replica.FateCommitted // it is one command, executed by the good signature
				if i == 0 {
					want = replica.FateRefused
				}
				if a.Fate != want {
					t.Errorf("answer %d is %+v", i, a)
				}
			})
			synctest.Wait()
		}
		for range 3 { // the batch with the forgery leaves, then one with the good signature
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			c.block(0, 10)
		}
		wait.Wait()
	})
}

// hold keeps the batcher busy with a batch that no block contains yet, so that
// commands gather in the next.
func (n *node) hold(t *testing.T) {
	t.Helper()
	c := n.chain
	first := c.pay("alice", "bob")
	go submit(t, n, replica.Request{Data: encode(first)})
	synctest.Wait()
	if c.waiting() != 1 {
		t.Fatalf("%d payloads wait", c.waiting())
	}
}

// TestBatches is S-44: a batch leaves at once if nothing is under way, else when
// it is full or has waited.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, 1, replica.Config{Intake: replica.Intake{InFlight: 2}})
		c.config.Now = c.clock
		c.nodes[0].restart()
		c.fund("alice", "bob")
		n := c.nodes[0]
		var wait sync.WaitGroup
		send := func(count int) {
			from, to := "alice", "bob"
			if count > 1000 {
				from, to = to, from // an account has so many under way at most
			}
			var data []byte
			for range count {
				cmd := c.pay(from, to)
				data = cmd.Append(data)
			}
			wait.Go(func() { submit(t, n, replica.Request{Data: data}) })
			synctest.Wait()
		}
		payloads := func(want ...int) {
			t.Helper()
			var got []int
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, p := range c.pool {
				b, err := replica.ParseBatch(c.world.State.ID(), p)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, len(b.Commands))
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("batches of %v commands, want %v", got, want)
			}
		}
		send(3)
		payloads(3) // at once
		send(2)
		send(1)
		payloads(3)
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		payloads(3, 3) // the wait is over
		send(4)
		time.Sleep(time.Second / 2)
		synctest.Wait()
		payloads(3, 3) // no more than two are under way
		send(1023)
		payloads(3, 3) // full, and waits for a free place
		c.block(0, 10)
		synctest.Wait()
		payloads(1024)
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		payloads(1024, 3)
		c.block(0, 10)
		wait.Wait()
	})
}

// TestResubmit is S-45: a batch that the engine loses is offered again, until it
// has expired.
func TestResubmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, 1, replica.Config{})
		c.config.Now = c.clock
		c.nodes[0].restart()
		c.fund("alice", "bob", "carol")
		n := c.nodes[0]
		c.drop.Store(true)
		cmd := c.pay("alice", "bob")
		answered := make(chan replica.Answer, 1)
		go func() { answered <- submit(t, n, replica.Request{Data: encode(cmd)})[0] }()
		synctest.Wait()
		if a, _ := n.Fate(cmd.ID); a.Fate != replica.FateWaiting || c.waiting() != 0 {
			t.Fatalf("fate %+v", a)
		}
		c.drop.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		if c.waiting() != 1 || n.Metrics().Resubmitted.Load() != 1 {
			t.Fatal("the batch was not offered again")
		}
		c.block(0, 10)
		if a := <-answered; a.Fate != replica.FateCommitted {
			t.Errorf("answer %+v", a)
		}

		c.drop.Store(true)
		cmd = c.pay("alice", "bob")
		go func() { answered <- submit(t, n, replica.Request{Data: encode(cmd)})[0] }()
		synctest.Wait()
		c.world.Time += 120_000
		c.drop.Store(false)
		other := c.pay("carol", "bob")
		c.commands(0, 1, []exchange.Command{other})
		c.drop.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		if a := <-answered; a.Fate != replica.FateRefused || a.Receipt.Code != exchange.Expired {
			t.Errorf("answer %+v", a)
		}
	})
}

// TestBounds is S-46: beyond its bounds a server says that it is busy.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, 1, replica.Config{Intake: replica.Intake{Commands: 10, ClientWaiting: 6, Bytes: 10_000}})
		c.config.Now = c.clock
		c.nodes[0].restart()
		c.fund("alice", "bob")
		n := c.nodes[0]
		ctx, cancel := context.WithCancel(context.Background())
		var wait sync.WaitGroup
		send := func(client string, count int) error {
			var data []byte
			for range count {
				cmd := c.pay("alice", "bob")
				data = cmd.Append(data)
			}
			result := make(chan error, 1)
			wait.Go(func() {
				_, err := n.Submit(ctx, replica.Request{Client: client, Data: data})
				result <- err
			})
			synctest.Wait()
			select {
			case err := <-result:
				return err
			default:
				return nil
			}
		}
		if err := send("a", 6); err != nil {
			t.Error(err)
		}
		if err := send("a", 1); !errors.Is(err, replica.ErrBusy) {
			t.Errorf("seventh command of a client: %v", err)
		}
		if err := send("b", 4); err != nil {
			t.Error(err)
		}
		if err := send("c", 1); !errors.Is(err, replica.ErrBusy) {
			t.Errorf("eleventh command: %v", err)
		}
		cancel()
		wait.Wait()
		if got := n.Metrics().Waiting.Load(); got != 10 {
			t.Errorf("%d commands wait, although the clients' going away stops nothing", got)
		}
		ctx = context.Background()
		c.block(0, 10)
		synctest.Wait()
		c.block(0, 10)
		if err := send("a", 6); err != nil {
			t.Error(err)
		}
		c.block(0, 10)
		wait.Wait()
		if got := n.Metrics().Waiting.Load(); got != 0 {
			t.Errorf("%d commands wait", got)
		}
	})
}

// TestGoneClientsBound is S-46: commands count for a client until they have their
// fate, whether he waits for it or not, and once if he sends them again.
func TestGoneClientsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, 1, replica.Config{Intake: replica.Intake{Commands: 10, ClientWaiting: 4}})
		c.config.Now = c.clock
		c.nodes[0].restart()
		c.fund("alice", "bob")
		n := c.nodes[0]
		sendAndGo := func(client string, commands ...exchange.Command) error {
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() {
				_, err := n.Submit(ctx, replica.Request{Client: client, Data: encode(commands...)})
				done <- err
			}()
			synctest.Wait()
			cancel()
			return <-done
		}
		first := []exchange.Command{c.pay("alice", "bob"), c.pay("alice", "bob")}
		for i := range 10 { // the very same
			if err := sendAndGo("mallory", first...); !errors.Is(err, context.Canceled) {
				t.Fatalf("sent again %d times: %v", i, err)
			}
		}
		for i := range 4 {
			want := context.Canceled
			if i > 0 {
				want = replica.ErrBusy
			}
			if err := sendAndGo("mallory", c.pay("alice", "bob"), c.pay("alice", "bob")); !errors.Is(err, want) {
				t.Errorf("two more: %v, want %v", err, want)
			}
		}
		if err := sendAndGo("carol", c.pay("bob", "alice")); !errors.Is(err, context.Canceled) {
			t.Errorf("somebody else: %v", err)
		}
		for range 3 {
			c.block(0, 10)
			synctest.Wait()
		}
		if err := sendAndGo("mallory", c.pay("alice", "bob")); !errors.Is(err, context.Canceled) {
			t.Errorf("after the blocks: %v", err)
		}
		c.block(0, 10)
		synctest.Wait()
		if got := n.Metrics().Waiting.Load(); got != 0 {
			t.Errorf("%d commands wait", got)
		}
	})
}

// TestGoneClient: the commands of a client that goes away are executed, and wait
// for him when he comes back.
func TestGoneClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, 1, replica.Config{})
		c.config.Now = c.clock
		c.nodes[0].restart()
		c.fund("alice", "bob")
		n := c.nodes[0]
		cmd := c.pay("alice", "bob")
		ctx, cancel := context.WithTimeout(context.Background(), time.Second/2)
		defer cancel()
		answers, err := n.Submit(ctx, replica.Request{Data: encode(cmd)})
		if !errors.Is(err, context.DeadlineExceeded) || len(answers) != 1 || answers[0].Fate != replica.FateWaiting {
			t.Fatalf("%+v, %v", answers, err)
		}
		back := make(chan []replica.Answer)
		go func() { back <- submit(t, n, replica.Request{Data: encode(cmd)}) }()
		synctest.Wait()
		if c.waiting() != 1 {
			t.Errorf("%d payloads wait", c.waiting())
		}
		c.block(0, 10)
		if a := (<-back)[0]; a.Fate != replica.FateCommitted || a.Receipt.Code != exchange.OK {
			t.Errorf("%+v", a)
		}
	})
}

// TestCloseEndsSubmit: nobody is left waiting.
func TestCloseEndsSubmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, 1, replica.Config{})
		c.config.Now = c.clock
		c.nodes[0].restart()
		c.fund("alice", "bob")
		n := c.nodes[0]
		cmd := c.pay("alice", "bob")
		result := make(chan error)
		go func() {
			_, err := n.Submit(context.Background(), replica.Request{Data: encode(cmd)})
			result <- err
		}()
		synctest.Wait()
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if err := <-result; !errors.Is(err, replica.ErrClosed) {
			t.Errorf("error %v", err)
		}
		if _, err := n.Submit(context.Background(), replica.Request{Data: encode(cmd)}); !errors.Is(err, replica.ErrClosed) {
			t.Errorf("error %v", err)
		}
		if _, err := n.Finalize(consensus.Block{Height: 99}); !errors.Is(err, replica.ErrClosed) {
			t.Errorf("error %v", err)
		}
	})
}

// TestSilentMember is S-40: a client says which server left it without an answer.
func TestSilentMember(t *testing.T) {
	c := newChain(t, 4, replica.Config{Now: func() time.Time { return time.UnixMilli(exchangetest.Founded + 1000) }})
	c.fund("alice", "bob")
	first := c.pay("alice", "bob")
	second := c.pay("alice", "bob")
	third := c.pay("bob", "alice")
	bogus := c.pay("bob", "alice")
	stop := c.live()
	n := c.nodes[1]
	submit(t, n, replica.Request{Data: encode(first), Silent: 4})
	submit(t, n, replica.Request{Data: encode(second), Silent: 4}) // the same account in the same minute
	submit(t, n, replica.Request{Data: encode(first), Silent: 4})  // executed before
	submit(t, n, replica.Request{Data: encode(third), Silent: 4})
	submit(t, n, replica.Request{Data: encode(bogus), Silent: 77})
	stop()
	seen := map[uint32]replica.Member{}
	for _, m := range n.Members() {
		seen[uint32(m.ID)] = m
	}
	if got := seen[4]; got.Reports != 2 || got.LastReport.IsZero() {
		t.Errorf("member 4: %+v", got)
	}
	if got := seen[2]; got.Batches < 4 || got.Last.IsZero() {
		t.Errorf("member 2: %+v", got)
	}
	if _, ok := seen[77]; ok {
		t.Error("a member that does not exist is counted")
	}
}
