package e2e_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
)

// act is what a client does to one of the shared things.
type act struct {
	thing int // the first of them are accounts, the others orders
	do    doing
}

type doing uint8

const (
	deposit  doing = iota // of one unit, from the client's own account: always possible
	withdraw              // of one unit: possible if there is one
	place                 // of the order with the thing's client order id: possible if it does not live
	cancel                // of it: possible if it lives
)

// Shared things. An account is a counter that never goes below zero, an order is a
// register that lives or does not. All clients act on all of them, with the same
// owner key for each.
const (
	sharedAccounts = 2
	sharedOrders   = 2
	shared         = sharedAccounts + sharedOrders
	startUnits     = 3 // so that withdrawals are often one too many
)

// outcome is what a client saw. After unknown the act may happen at any time, or never.
type outcome struct {
	unknown bool
	code    exchange.Code
	height  uint64
}

// state is the model of one shared thing.
type state struct {
	n int // units, or 1 for an order that lives; -1 before the first act
	// taken is the block that took a place of the order back: a cancel of the same
	// block means that place, and so does another cancel (03-block, K-4).
	taken uint64
}

// anyBlock stands for the block of a place whose fate the client did not see.
const anyBlock = math.MaxUint64

// things is the model of all shared things.
func things() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			parts := make([][]porcupine.Operation, shared)
			for _, op := range history {
				thing := op.Input.(act).thing
				parts[thing] = append(parts[thing], op)
			}
			return parts
		},
		Init: func() []any { return []any{state{n: -1}} },
		Step: func(from, input, output any) []any {
			a, s := input.(act), from.(state)
			if s.n < 0 {
				s.n = 0
				if a.thing < sharedAccounts {
					s.n = startUnits
				}
			}
			var next []any
			for _, to := range a.step(s, output.(outcome)) {
				next = append(next, to)
			}
			return next
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
	}
	return m.ToModel()
}

// step answers the states that a thing can be in after an act with that outcome.
func (a act) step(s state, out outcome) []state {
	if out.unknown {
		next := []state{s, a.apply(s)}
		if a.do == place {
			next = append(next, state{s.n, anyBlock})
		}
		return next
	}
	switch {
	case a.do == place && out.code == exchange.Withdrawn:
		return []state{{s.n, out.height}}
	case a.do == cancel && out.code == exchange.OK && s.n == 0 && (s.taken == out.height || s.taken == anyBlock):
		return []state{s}
	case out.code == a.code(s):
		return []state{a.apply(s)}
	}
	return nil
}

// apply is what an act does.
func (a act) apply(s state) state {
	switch a.do {
	case deposit:
		s.n++
	case withdraw:
		s.n = max(0, s.n-1)
	case place:
		s.n = 1
	case cancel:
		s.n = 0
	}
	return s
}

// code is what an act is answered with.
func (a act) code(s state) exchange.Code {
	switch {
	case a.do == withdraw && s.n == 0:
		return exchange.Insufficient
	case a.do == place && s.n == 1:
		return exchange.DuplicateClient
	case a.do == cancel && s.n == 0:
		return exchange.UnknownOrder
	}
	return exchange.OK
}

// sent is an act and its command, for what is checked when all is over.
type sent struct {
	act
	command *exchange.Command
	out     outcome
	receipt exchange.Receipt
}

// seen is a balance that a server showed.
type seen struct {
	server, thing int
	height        uint64
	units         asset.Amount
}

const linearClients = 4

// recorder is the clients of the test and what they saw.
type recorder struct {
	f     *federation
	begin time.Time
	stop  atomic.Bool

	mu      sync.Mutex
	history []porcupine.Operation
	sent    []sent
	seen    []seen
	broken  []string
}

func sharedName(thing int) string {
	if thing < sharedAccounts {
		return fmt.Sprintf("shared-%d", thing)
	}
	return "maker"
}

// command makes the command of an act. Each client has its own nonces of every key.
func (r *recorder) command(client int, nonce uint64, a act) (*exchange.Command, error) {
	who, to := sharedName(a.thing), "sink"
	var body exchange.Body
	switch a.do {
	case deposit:
		who, to = fmt.Sprintf("client-%d", client), who
		fallthrough
	case withdraw:
		body = &exchange.Transfer{To: addressOf(to), Asset: eur, Amount: 1}
	case place:
		body = &exchange.Place{
			Market: 1, Side: market.Buy, Order: market.LimitOrder, TIF: market.GTC, Price: 100e8, Quantity: 1e6,
			Client: fmt.Sprintf("order-%d", a.thing),
		}
	case cancel:
		body = &exchange.Cancel{Target: exchange.Target{Client: fmt.Sprintf("order-%d", a.thing)}}
	}
	expiry := time.Now().Add(time.Minute).UnixMilli()
	return api.OwnerOf(keyOf(who)).Command(r.f.Founding.ID(), body, nonce*linearClients+uint64(client)+1, uint64(expiry))
}

// run is one client at work.
func (r *recorder) run(t *testing.T, client int) {
	order := []int{client % 4, (client + 1) % 4, (client + 2) % 4, (client + 3) % 4}
	c, err := r.f.Client(order...)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	random := rand.New(rand.NewPCG(7, uint64(client)))
	for nonce := uint64(1); !r.stop.Load(); nonce++ {
		a := act{thing: random.IntN(shared)}
		if a.do = doing(random.IntN(2)); a.thing >= sharedAccounts {
			a.do += place
		}
		cmd, err := r.command(client, nonce, a)
		if err != nil {
			t.Error(err)
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		call := time.Since(r.begin).Nanoseconds()
		receipts, err := c.Submit(ctx, cmd)
		end := time.Since(r.begin).Nanoseconds()
		cancel()
		s := sent{act: a, command: cmd}
		if err != nil {
			s.out.unknown, end = true, math.MaxInt64
		} else {
			s.receipt, s.out.code, s.out.height = receipts[0], receipts[0].Code, receipts[0].Height
		}
		r.mu.Lock()
		r.history = append(r.history, porcupine.Operation{ClientId: client, Input: a, Call: call, Output: s.out, Return: end})
		r.sent = append(r.sent, s)
		r.mu.Unlock()
	}
}

// watch reads balances of one server, which may be behind, but never goes back.
func (r *recorder) watch(t *testing.T, server int) {
	c, err := r.f.Client(server)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	var newest uint64
	for i := 0; !r.stop.Load(); i++ {
		thing := i % sharedAccounts
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		a, err := c.Account(ctx, api.OwnerOf(keyOf(sharedName(thing))))
		cancel()
		if err != nil {
			continue // it is down or cut off from this test's point of view
		}
		s := seen{server: server, thing: thing, height: a.Height}
		for _, b := range a.Balances {
			if b.Asset == uint32(eur) {
				if s.units, err = asset.Parse(b.Available, 8); err != nil {
					t.Error(err)
				}
			}
		}
		r.mu.Lock()
		if a.Height < newest {
			r.broken = append(r.broken, fmt.Sprintf("server %d showed block %d after block %d", server+1, a.Height, newest))
		}
		r.seen = append(r.seen, s)
		r.mu.Unlock()
		newest = a.Height
		time.Sleep(20 * time.Millisecond) // a reader, not a flood
	}
}

// trouble makes one fault after the other, n of them.
func (r *recorder) trouble(t *testing.T, n int) {
	f := r.f
	random := rand.New(rand.NewPCG(11, 13))
	for range n {
		victim := random.IntN(4)
		others := []int{(victim + 1) % 4, (victim + 2) % 4, (victim + 3) % 4}
		length := time.Duration(300+random.IntN(1200)) * time.Millisecond
		switch kind := random.IntN(6); kind {
		case 0, 1:
			f.Kill(victim)
			time.Sleep(length)
			if err := f.Restart(victim); err != nil {
				t.Error(err)
				return
			}
		case 2:
			if err := f.Signal(victim, syscall.SIGSTOP); err != nil {
				t.Error(err)
			}
			time.Sleep(length)
			if err := f.Signal(victim, syscall.SIGCONT); err != nil {
				t.Error(err)
			}
		case 3:
			f.Net.Between([]int{victim}, others, f.Net.Cut)
			time.Sleep(length)
			f.Net.MendAll()
		case 4:
			f.Net.Between([]int{victim}, others[:1+random.IntN(3)], f.Net.Hold)
			time.Sleep(length)
			f.Net.MendAll()
		case 5:
			f.Net.Between([]int{victim, others[0]}, others[1:], f.Net.Cut)
			time.Sleep(length)
			f.Net.MendAll()
		}
		// The next fault may meet a server that is still catching up, so that two are missing.
		time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
	}
	if err := f.Ready(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
}

// Several clients act on shared accounts and orders through all servers while
// servers die, stop and lose their links. What the clients see can be explained by
// every act happening once, at one moment between its sending and its answer; and
// every balance that any server shows is that of the block it names.
func TestLinearizable(t *testing.T) {
	f := networked(t, 4)
	r := &recorder{f: f, begin: time.Now()}
	for thing := range sharedAccounts {
		res, err := f.IssuerActor(f.client).Do(within(t, time.Minute), &exchange.Mint{Asset: eur, Amount: startUnits, To: addressOf(sharedName(thing))})
		must(t, res, err)
	}
	f.mint(1_000_000e8, addressOf("maker"), addressOf("sink"))
	for i := range linearClients {
		f.mint(1_000_000e8, addressOf(fmt.Sprintf("client-%d", i)))
	}
	var wg sync.WaitGroup
	for i := range linearClients {
		wg.Go(func() { r.run(t, i) })
	}
	for i := range f.URLs {
		wg.Go(func() { r.watch(t, i) })
	}
	r.trouble(t, rounds(12, 120))
	r.stop.Store(true)
	wg.Wait()

	unknown := 0
	for i := range r.sent {
		if r.sent[i].out.unknown {
			unknown++
		}
	}
	t.Logf("%d acts, %d of them undecided in time, %d balances read", len(r.history), unknown, len(r.seen))
	if len(r.history) < 100 || unknown > len(r.history)/2 {
		t.Errorf("only %d acts, %d of them undecided: that proves little", len(r.history), unknown)
	}
	for _, b := range r.broken {
		t.Error(b)
	}
	result, info := porcupine.CheckOperationsVerbose(things(), r.history, 2*time.Minute)
	if result != porcupine.Ok {
		path := filepath.Join(t.ArtifactDir(), "history.html")
		if err := porcupine.VisualizePath(things(), info, path); err != nil {
			t.Error(err)
		}
		t.Errorf("the history is %s; see %s", result, path)
	}
	r.account(t)
	f.sound()
}

// account learns the fate of every command and compares every balance that was
// shown with what the receipts up to its block make it.
func (r *recorder) account(t *testing.T) {
	ctx := within(t, 2*time.Minute)
	ids := map[exchange.CommandID]bool{}
	for i := range r.sent {
		s := &r.sent[i]
		if ids[s.command.ID] {
			t.Fatal("a command was made twice")
		}
		ids[s.command.ID] = true
		receipts, err := r.f.client.Submit(ctx, s.command) // what was executed is not executed again
		if err != nil {
			t.Fatal(err)
		}
		if !s.out.unknown && receipts[0] != s.receipt {
			t.Errorf("the receipt of %+v was %+v and is %+v", s.act, s.receipt, receipts[0])
		}
		s.receipt = receipts[0]
		switch s.receipt.Code { //nolint:exhaustive // what can become of these acts
		case exchange.OK, exchange.Insufficient, exchange.DuplicateClient, exchange.UnknownOrder, exchange.Withdrawn:
		case exchange.Expired:
			if !s.out.unknown {
				t.Errorf("%+v has expired", s.act)
			}
		default:
			t.Errorf("%+v ended with %s", s.act, s.receipt.Code)
		}
	}
	at := func(thing int, height uint64) asset.Amount {
		n := asset.Amount(startUnits)
		for i := range r.sent {
			s := &r.sent[i]
			if s.thing != thing || s.receipt.Code != exchange.OK || s.receipt.Height == 0 || s.receipt.Height > height {
				continue
			}
			if s.do == deposit {
				n++
			} else {
				n--
			}
		}
		return n
	}
	for _, s := range r.seen {
		if want := at(s.thing, s.height); s.units != want {
			t.Errorf("server %d showed %d units of %s after block %d; the receipts make it %d", s.server+1, s.units, sharedName(s.thing), s.height, want)
		}
	}
	for thing := range sharedAccounts {
		want := asset.Format(at(thing, math.MaxUint64), 8)
		if got := r.f.balance(sharedName(thing), eur); got != want {
			t.Errorf("%s has %s in the end, not %s", sharedName(thing), got, want)
		}
	}
}

// The model tells histories that can be from such that cannot.
func TestModel(t *testing.T) {
	type step struct {
		act
		outcome
		call, end int64
	}
	ok := outcome{code: exchange.OK, height: 1}
	poor := outcome{code: exchange.Insufficient, height: 1}
	order := sharedAccounts
	for name, c := range map[string]struct {
		steps []step
		can   bool
	}{
		"as many as there are": {[]step{
			{act{0, withdraw}, ok, 1, 2}, {act{0, withdraw}, ok, 3, 4}, {act{0, withdraw}, ok, 5, 6}, {act{0, withdraw}, poor, 7, 8},
		}, true},
		"one too many": {[]step{
			{act{0, withdraw}, ok, 1, 9}, {act{0, withdraw}, ok, 1, 9}, {act{0, withdraw}, ok, 1, 9}, {act{0, withdraw}, ok, 1, 9},
		}, false},
		"a lost payment": {[]step{{act{0, withdraw}, ok, 1, 2}, {act{0, withdraw}, poor, 3, 4}}, false},
		"one that may have been": {[]step{
			{act{0, withdraw}, ok, 1, 2}, {act{0, withdraw}, ok, 3, 4}, {act{0, withdraw}, outcome{unknown: true}, 5, math.MaxInt64}, {act{0, withdraw}, poor, 7, 8},
		}, true},
		"twice placed":         {[]step{{act{order, place}, ok, 1, 2}, {act{order, place}, ok, 3, 4}}, false},
		"cancelled in between": {[]step{{act{order, place}, ok, 1, 5}, {act{order, place}, ok, 2, 5}, {act{order, cancel}, ok, 3, 5}}, true},
		"cancelled but alive": {[]step{
			{act{order, place}, ok, 1, 2}, {act{order, cancel}, ok, 3, 4}, {act{order, place}, outcome{code: exchange.DuplicateClient, height: 3}, 5, 6},
		}, false},
		"taken back by two": {[]step{
			{act{order, place}, outcome{code: exchange.Withdrawn, height: 4}, 1, 2},
			{act{order, cancel}, outcome{code: exchange.OK, height: 4}, 1, 2},
			{act{order, cancel}, outcome{code: exchange.OK, height: 4}, 1, 2},
			{act{order, cancel}, outcome{code: exchange.UnknownOrder, height: 5}, 3, 4},
		}, true},
	} {
		var history []porcupine.Operation
		for i, s := range c.steps {
			history = append(history, porcupine.Operation{ClientId: i, Input: s.act, Call: s.call, Output: s.outcome, Return: s.end})
		}
		if porcupine.CheckOperations(things(), history) != c.can {
			t.Errorf("%s: %t", name, !c.can)
		}
	}
}
