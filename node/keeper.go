package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"souk/custodian"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/replica"
	"souk/script"
	"souk/signer"
)

const (
	// How often a bank's chain is looked at, on networks whose blocks are made on demand
	// and on others. Blocks of the virtual server that have work for members wake besides.
	pollOnDemand = 500 * time.Millisecond
	pollEvery    = 10 * time.Second
	// How long work that fails is left alone, at first and at most. On networks with blocks
	// on demand nobody waits for long.
	failFirst    = time.Second
	failMost     = 30 * time.Second
	failOnDemand = 2 * time.Second
	// leastPause is between two rounds, however often somebody wakes.
	leastPause = 20 * time.Millisecond
	// roundFor bounds one round.
	roundFor = 2 * time.Minute
	// A new virtual server has a state once its first block is there.
	awaitState = 200 * time.Millisecond
)

// keeper runs the banks of a virtual server on this server: for each one a custodian,
// which looks at the chain and at the ledger, and whose commands it submits.
type keeper struct {
	v       *virtual
	p       *parts
	stop    context.CancelFunc
	running sync.WaitGroup

	mu    sync.Mutex
	works []*bankWork // by number
}

// keep starts the work for the banks that the state has, once it is there.
func (v *virtual) keep(p *parts) *keeper {
	ctx, cancel := context.WithCancel(context.Background())
	k := &keeper{v: v, p: p, stop: cancel}
	if len(v.founding.Banks) > 0 || v.founding.Origin != nil {
		k.running.Go(func() { k.begin(ctx) })
	}
	return k
}

// close ends all work and waits for it.
func (k *keeper) close() error {
	k.stop()
	k.running.Wait()
	var errs []error
	for _, w := range k.all() {
		if w.custodian != nil {
			errs = append(errs, w.custodian.Close())
		}
	}
	return errors.Join(errs...)
}

func (k *keeper) all() []*bankWork {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.works
}

// begin waits for a state and starts a worker for each of its banks.
func (k *keeper) begin(ctx context.Context) {
	var works []*bankWork
	for {
		err := k.p.replica.View(func(s *exchange.State) { works = k.banks(s) })
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(awaitState):
		}
	}
	k.mu.Lock()
	k.works = works
	k.mu.Unlock()
	if len(works) == 0 {
		return
	}
	k.running.Go(func() { k.listen(ctx) })
	for _, w := range works {
		k.running.Go(func() { w.run(ctx) })
	}
}

// banks are the workers for the banks of a state.
func (k *keeper) banks(s *exchange.State) (all []*bankWork) {
	if s.Banks() == nil {
		return nil
	}
	for i := range s.Banks().Banks() {
		id := custody.Bank(i + 1)
		info, _ := s.Banks().Bank(id)
		a, _ := s.Ledger().Asset(info.Asset)
		n, ok := script.ByName(info.Network)
		if !ok {
			continue // no state has such a bank
		}
		all = append(all, &bankWork{
			k: k, id: id, symbol: a.Symbol, network: n, wake: make(chan struct{}, 1), every: pollEvery, most: failMost,
			log: k.v.logger(logBank).With(slog.String("bank", a.Symbol), slog.String("network", n.Name)),
		})
		if w := all[len(all)-1]; onDemand(n) {
			w.every, w.most = pollOnDemand, failOnDemand
		}
	}
	return all
}

// listen wakes the workers when a block has work for members.
func (k *keeper) listen(ctx context.Context) {
	for ctx.Err() == nil {
		s, err := k.p.replica.Subscribe(0, 0)
		if err != nil {
			return // it is being closed
		}
		for err == nil {
			var c *replica.Committed
			if c, err = s.Next(ctx); err == nil && forMembers(c) {
				for _, w := range k.all() {
					w.rouse()
				}
			}
		}
		s.Close()
		if !errors.Is(err, replica.ErrSlow) {
			return
		}
	}
}

// forMembers tells whether a block has something that custodians act on.
func forMembers(c *replica.Committed) bool {
	if c.Result == nil {
		return false
	}
	for i := range c.Result.Events {
		switch c.Result.Events[i].Kind { //nolint:exhaustive // the others are no work
		case exchange.EventBatch, exchange.EventSigned, exchange.EventBankLifted, exchange.EventReorganised, exchange.EventActionPassed:
			return true
		}
	}
	return false
}

// bankWork is the work for one bank.
type bankWork struct {
	k         *keeper
	id        custody.Bank
	symbol    string
	network   *script.Network
	log       *slog.Logger
	wake      chan struct{}
	every     time.Duration
	most      time.Duration        // between two attempts
	custodian *custodian.Custodian // nil until its chain could be opened; the worker's, until it has ended

	mu     sync.Mutex // guards what follows
	status custodian.Status
	begun  bool   // there is a custodian
	ended  bool   // it has ended by a fault of the program
	wrong  string // what is wrong now, for people; empty for nothing
	errors uint64
}

// rouse makes the next round begin at once.
func (w *bankWork) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *bankWork) run(ctx context.Context) {
	failed := 0
	for ctx.Err() == nil {
		before := w.look().Height
		pause, err := w.every, w.guarded(ctx)
		after := w.look()
		switch {
		case errors.Is(err, errFault):
			return
		case after.Height != before && after.Height < after.Node: // there is more to read
			pause, failed = 0, 0
		case err != nil && ctx.Err() == nil:
			pause = min(failFirst<<min(failed, 10), w.most)
			pause = pause/2 + rand.N(pause) //nolint:gosec // no secret: members do not come all at once
			failed++
		default:
			failed = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(leastPause):
		}
		select {
		case <-ctx.Done():
		case <-w.wake:
		case <-time.After(pause):
		}
	}
}

// look is the custodian's status after the last round.
func (w *bankWork) look() custodian.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// errFault is returned for a round that a fault of the program has ended.
var errFault = errors.New("a fault of the program")

// guarded is a round whose panics end the work for this bank, and for no other.
func (w *bankWork) guarded(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			w.log.ErrorContext(ctx, "the work for a bank has ended by a fault of the program; this server attests and signs nothing for it any more",
				slog.Any("fault", r), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("%w: %v: start the server again, and report it", errFault, r)
		}
		w.note(err)
	}()
	ctx, cancel := context.WithTimeout(ctx, roundFor)
	defer cancel()
	return w.round(ctx)
}

// round makes one step and submits what comes of it.
func (w *bankWork) round(ctx context.Context) error {
	if w.k.p.engine.Status().CatchUp {
		return nil // what it sees of the ledger is old
	}
	if w.custodian == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	bodies, failed := w.custodian.Step(ctx)
	if len(bodies) == 0 {
		return failed
	}
	answers, err := w.k.v.submit(ctx, w.k.p, bodies...)
	for i := range answers {
		if r := &answers[i].Receipt; r.Code != exchange.OK {
			w.log.DebugContext(ctx, "own command refused", slog.String("kind", bodies[i].Kind().String()), slog.String("code", r.Code.String()))
		}
	}
	return errors.Join(failed, err)
}

// open opens the custodian, once its chain can be.
func (w *bankWork) open() error {
	v := w.k.v
	b, err := v.node.chains.backend(w.network)
	if err != nil {
		return err
	}
	c, err := custodian.Open(custodian.Config{
		Bank: w.id, Network: w.network, Backend: b, Rate: v.node.chains.rate(w.network), Signer: v.signer, View: w.k.p.replica.View, Server: v.node.server.Public(),
		Dir: filepath.Join(v.node.home.banks(v.id), w.symbol), Log: w.log,
	})
	if err != nil {
		return fmt.Errorf("open custodian: %w", err)
	}
	w.custodian = c
	return nil
}

// note keeps what a round has brought, and logs a trouble when it begins and ends.
func (w *bankWork) note(err error) {
	wrong := ""
	if err != nil {
		wrong = w.k.v.node.chains.advice(w.network, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(err, context.Canceled) {
		return
	}
	if w.custodian != nil {
		w.begun, w.status = true, w.custodian.Status()
	}
	if err != nil {
		w.errors++
	}
	w.ended = w.ended || errors.Is(err, errFault)
	switch {
	case wrong == w.wrong:
		return
	case wrong == "":
		w.log.Info("the bank's chain is seen again")
	case w.wrong == "" && !w.ended:
		w.log.Warn("trouble with a bank", slog.String("what", wrong))
	}
	w.wrong = wrong
}

// banks is the folder of what this server keeps for a virtual server's banks.
func (h Home) banks(id exchange.ID) string {
	return filepath.Join(string(h), "banks", fmt.Sprintf("%x", id[:8]))
}

// takeOver makes what was kept for the banks of a virtual server that of the one that
// goes on from it: numbers of batches and withdrawals stay (Y-96).
func (h Home) takeOver(f *exchange.Founding) error {
	if f.Origin == nil {
		return nil
	}
	from, to := h.banks(f.Origin.Server), h.banks(f.ID())
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	if err := os.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take over what was kept for banks: %w", err)
	}
	return nil
}

// openSigner opens what signs for this member in a virtual server. A home without keys
// has one that signs nothing.
func (v *virtual) openSigner() error {
	h, pass := v.node.home, v.node.opts.Pass
	keys := signer.Keys{}
	if len(v.founding.Banks) == 0 && (v.founding.Origin == nil || !h.HasBankKeys()) {
		return nil
	}
	found, err := h.bankKeys(v.config.Keys, networkNames(), pass)
	switch {
	case errors.Is(err, ErrBankKey):
		v.log.Error("this server signs nothing for banks", slog.Any("error", err))
	case err != nil:
		return err
	}
	for n, k := range found {
		keys[n] = k
	}
	if err := h.takeOver(v.founding); err != nil {
		return err
	}
	if v.signer, err = signer.Open(filepath.Join(h.banks(v.id), "journal"), keys); err != nil {
		for _, k := range keys {
			k.Wipe()
		}
		return err
	}
	return nil
}
