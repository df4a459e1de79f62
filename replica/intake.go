package replica

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"souk/consensus"
	"souk/exchange"
	"souk/exchange/roster"
)

// Errors of Submit, for a whole request: none of its commands was taken.
var (
	// ErrBusy is returned when too many commands are waiting, of this client or of
	// all: send them again later, or to another server.
	ErrBusy = errors.New("too many commands are waiting")
	// ErrRequest is returned for data that is not a sequence of commands.
	ErrRequest = errors.New("not a sequence of commands")
	// ErrDetached is returned before Attach has named an engine.
	ErrDetached = errors.New("no engine is attached")
)

// Request is what a client sends at once.
type Request struct {
	// Client tells clients apart, for their bounds: an IP address, say.
	Client string
	// Data is one or more commands in their encoding, one after the other (B-4).
	// It belongs to the replica from the call of Submit on.
	Data []byte
	// Silent is the member that, the client says, left these commands without an
	// answer; 0 if none (S-40).
	Silent roster.ID
}

// intake takes commands of clients in, hands them to the engine in batches, and
// answers each when a block contained it.
type intake struct {
	r      *Replica
	config *Intake
	engine consensus.Engine
	ctx    context.Context // ended by close
	cancel context.CancelFunc
	wait   sync.WaitGroup // goroutines of batches

	mu       sync.Mutex
	closed   bool
	waiting  map[exchange.CommandID]waiter // commands without a fate
	clients  map[string]*client            // who has commands that wait
	shares   shares                        // what commands of verified batches take
	commands int                           // in batches, or on the way there
	bytes    int
	seq      uint64
	open     *batch            // being filled; nil if empty
	ready    []*batch          // full, waiting for their turn
	inFlight map[uint64]*batch // under way, by seq
}

// client is who sends commands.
type client struct {
	name    string
	waiting int // his commands without a fate, also those he waits for no longer; under intake.mu
}

// waiter is who waits for a command. The command is that of the first of them
// who has not gone away.
type waiter struct {
	req   *request
	index int32
	next  *waiter
}

// request is one call of Submit.
type request struct {
	client   *client
	commands []exchange.Command
	silent   roster.ID
	answers  []Answer // under intake.mu until done is closed
	left     int      // answers still to come; under intake.mu
	gone     bool     // whoever made it has gone away; under intake.mu
	done     chan struct{}
}

// nobody is a request of nobody's.
func nobody() *request { return &request{gone: true} }

func newIntake(r *Replica, seq uint64) *intake {
	in := &intake{
		r: r, config: &r.config.Intake, seq: seq,
		waiting: make(map[exchange.CommandID]waiter), clients: make(map[string]*client), shares: newShares(), inFlight: make(map[uint64]*batch),
	}
	in.ctx, in.cancel = context.WithCancel(context.Background())
	return in
}

// attach names the engine.
func (in *intake) attach(e consensus.Engine) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.engine = e
}

// close stops taking commands and waits for the goroutines.
func (in *intake) close() {
	in.mu.Lock()
	in.closed = true
	in.mu.Unlock()
	in.cancel()
	in.wait.Wait()
}

// Submit passes commands on to the engine and waits until each has its fate. A
// command that was executed before gets its first receipt, one that is waiting is
// not passed on twice. If ctx is done before, it returns the fates so far, with
// FateWaiting for the rest, and ctx's error; what was taken goes on. Other errors
// are ErrBusy, ErrRequest, ErrDetached, ErrNotFounded, ErrClosed, or why the replica has halted.
func (r *Replica) Submit(ctx context.Context, q Request) ([]Answer, error) {
	in := r.intake
	if err := r.usable(); err != nil {
		return nil, err
	}
	n, whole := countCommands(q.Data)
	if n == 0 || !whole {
		return nil, fmt.Errorf("%w: the last one is cut short", ErrRequest)
	}
	from, err := in.enter(q.Client, n, len(q.Data))
	if err != nil {
		return nil, err
	}
	commands, err := parseCommands(r.id, q.Data, n)
	if err != nil {
		in.leave(from, n, len(q.Data))
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	req := &request{client: from, commands: commands, silent: q.Silent, answers: make([]Answer, n), left: n, done: make(chan struct{})}
	if err := in.take(ctx, req); err != nil {
		return nil, err
	}
	err = in.await(ctx, req)
	if err == nil {
		err = r.firstReceipts(req.answers)
	}
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	return req.answers, err
}

// enter counts a request's commands, or refuses it whole.
func (in *intake) enter(name string, n, size int) (*client, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	from := in.clients[name]
	if from == nil {
		from = &client{name: name}
	}
	var err error
	switch {
	case in.closed:
		return nil, ErrClosed
	case in.engine == nil:
		return nil, ErrDetached
	case in.commands+n > in.config.Commands || in.bytes+size > in.config.Bytes:
		err = fmt.Errorf("%w: %d on this server", ErrBusy, in.commands)
	case from.waiting+n > in.config.ClientWaiting:
		err = fmt.Errorf("%w: %d of this client, at most %d are possible", ErrBusy, from.waiting, in.config.ClientWaiting)
	}
	if err != nil {
		in.r.metrics.Busy.Add(uint64(n))
		return nil, err
	}
	from.waiting += n
	in.clients[name] = from
	in.account(n, size)
	in.r.metrics.Submitted.Add(uint64(n))
	return from, nil
}

// leave ends what enter began for commands that were none.
func (in *intake) leave(from *client, n, size int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.account(-n, -size)
	in.settled(from, n)
}

// settled counts out commands of a client that have their fate; under mu.
func (in *intake) settled(from *client, n int) {
	if from == nil {
		return
	}
	if from.waiting -= n; from.waiting == 0 {
		delete(in.clients, from.name)
	}
}

// account counts commands that wait; under mu.
func (in *intake) account(n, size int) {
	in.commands += n
	in.bytes += size
	in.r.metrics.Waiting.Store(int64(in.commands))
}

// refusal is a command that is not passed on.
type refusal struct {
	index int32
	code  exchange.Code
}

// take brings a request's commands on their way, and answers those that are not
// worth it. It first notes who waits and then looks at the state: a command that
// is executed meanwhile finds its waiter, or the state tells that its nonce is used.
func (in *intake) take(ctx context.Context, req *request) error {
	fresh := in.register(req)
	refused, err := in.precheck(req, fresh)
	if err != nil {
		in.mu.Lock()
		defer in.mu.Unlock()
		for _, i := range fresh {
			in.account(-1, -req.commands[i].Size())
			delete(in.waiting, req.commands[i].ID) // whoever joined hears why the replica halted
		}
		in.settled(req.client, len(fresh))
		return err
	}
	in.mu.Lock()
	skip := refused
	for _, i := range fresh {
		if len(skip) > 0 && skip[0].index == i {
			skip = skip[1:]
			continue
		}
		in.enqueue(&req.commands[i])
	}
	in.pump()
	in.mu.Unlock()

	for _, ref := range refused {
		in.refuse(ctx, &req.commands[ref.index], ref.code)
	}
	return nil
}

// register notes who waits for the commands, and answers the indices of those
// that nobody waited for.
func (in *intake) register(req *request) []int32 {
	fresh := make([]int32, 0, len(req.commands))
	size := 0
	in.mu.Lock()
	defer in.mu.Unlock()
	for i := range req.commands {
		c := &req.commands[i]
		at := int32(i)
		w, ok := in.waiting[c.ID]
		if !ok {
			in.waiting[c.ID] = waiter{req: req, index: at}
			fresh = append(fresh, at)
			continue
		}
		size += c.Size()
		in.again(&w, req.client)
		w.next = &waiter{req: req, index: at, next: w.next}
		in.waiting[c.ID] = w
	}
	if joined := len(req.commands) - len(fresh); joined > 0 {
		in.r.metrics.Resent.Add(uint64(joined))
		in.account(-joined, -size)
	}
	return fresh
}

// again takes note that a client sends a command again that he went away from: it
// counts once for him. Under mu.
func (in *intake) again(w *waiter, from *client) {
	if w.req.gone && w.req.client == from {
		in.settled(from, 1)
		w.req = nobody() // its command stays the first
	}
	if next := w.next; next != nil && next.req.gone && next.req.client == from {
		in.settled(from, 1)
		w.next = next.next
	}
}

// precheck asks the state which commands are worth passing on.
func (in *intake) precheck(req *request, fresh []int32) (refused []refusal, err error) {
	r := in.r
	now := milliseconds(r.config.Now())
	err = r.View(func(s *exchange.State) {
		now = max(now, s.Time())
		if _, ok := s.Roster().Member(req.silent); !ok {
			req.silent = 0
		}
		for _, i := range fresh {
			if code := s.Precheck(&req.commands[i], now); code != exchange.OK {
				refused = append(refused, refusal{i, code})
			}
		}
	})
	return refused, err
}

// refuse answers for a command that gets into no batch, or out of it again.
func (in *intake) refuse(ctx context.Context, c *exchange.Command, code exchange.Code) {
	answer, err := in.r.refuse(ctx, c, code)
	if err != nil {
		answer = withoutReceipt(c, code)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.account(-1, -c.Size())
	in.deliver(&c.ID, answer)
}

// deliver answers everybody who waits for a command; under mu.
func (in *intake) deliver(id *exchange.CommandID, a Answer) {
	w, ok := in.waiting[*id]
	if !ok {
		return
	}
	delete(in.waiting, *id)
	in.answer(&w, a)
	for next := w.next; next != nil; next = next.next {
		in.answer(next, a)
	}
}

// answer gives one waiter his answer; under mu.
func (in *intake) answer(w *waiter, a Answer) {
	in.settled(w.req.client, 1)
	if w.req.gone {
		return
	}
	w.req.answers[w.index] = a
	if w.req.left--; w.req.left == 0 {
		close(w.req.done)
	}
}

// await waits for a request's answers.
func (in *intake) await(ctx context.Context, req *request) error {
	var err error
	select {
	case <-req.done:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-in.ctx.Done():
		err = cmp.Or(in.r.Err(), ErrClosed)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if req.left == 0 {
		return nil
	}
	for i := range req.answers {
		if req.answers[i].Fate == FateUnknown {
			req.answers[i] = Answer{ID: req.commands[i].ID, Fate: FateWaiting}
		}
	}
	// What has no fate goes on, is known as waiting, and counts for the client.
	req.gone, req.commands = true, nil
	return err
}

// badSignature answers the sender of a command whose signature is bad. The id does
// not cover the signature, so others may be waiting who sent a good one: the first
// of them is passed on. Under mu.
func (in *intake) badSignature(c *exchange.Command) {
	w, ok := in.waiting[c.ID]
	if !ok {
		return
	}
	in.answer(&w, Answer{ID: c.ID, Fate: FateRefused, Receipt: exchange.Receipt{ID: c.ID, Code: exchange.BadSignature}})
	in.r.metrics.Refused.Add(1)
	for next := w.next; next != nil; next = next.next {
		if next.req.gone {
			in.settled(next.req.client, 1)
			continue
		}
		in.waiting[c.ID] = *next
		other := &next.req.commands[next.index]
		in.account(1, other.Size())
		in.enqueue(other)
		return
	}
	delete(in.waiting, c.ID)
}

// committed answers who waits for a block's commands.
func (in *intake) committed(f *finalized) {
	in.mu.Lock()
	defer in.mu.Unlock()
	receipts := f.result.Receipts
	for i := range f.batches {
		b := &f.batches[i]
		mine := in.finish(b)
		for j := range receipts[:b.count] {
			rc := &receipts[j]
			w, ok := in.waiting[rc.ID]
			if !ok {
				continue
			}
			if mine && !w.req.gone && w.req.silent != 0 && rc.Code.Burns() {
				in.r.members.report(w.req.silent, w.req.commands[w.index].Account, in.r.config.Now())
			}
			in.deliver(&rc.ID, Answer{ID: rc.ID, Fate: FateCommitted, Receipt: *rc})
		}
		receipts = receipts[b.count:]
	}
	in.pump()
}

// isWaiting tells whether a command waits for a block here.
func (in *intake) isWaiting(id *exchange.CommandID) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	_, ok := in.waiting[*id]
	return ok
}
