package web_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"souk/api"
	"souk/archive"
	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/identity"
	"souk/merkle"
	"souk/replica"
	"souk/store/memstore"
	"souk/web"
)

// federation is a virtual server of some real replicas in this process, which a
// loop brings from block to block, and their HTTP servers on loopback.
type federation struct {
	tb       testing.TB
	founding *exchange.Founding
	id       exchange.ID
	nodes    []*node

	mu     sync.Mutex
	pool   [][]byte
	height uint64
	roots  []merkle.Hash // after each block, from the founding on
	times  []uint64
	stop   chan struct{}
	wake   chan struct{}
	done   chan struct{}
}

// node is one server of a federation.
type node struct {
	f       *federation
	index   int
	replica *replica.Replica
	server  *web.Server
	listen  net.Listener
	url     string
	mute    bool // takes commands and passes none on; under f.mu
}

// newFederation founds servers and serves them.
func newFederation(tb testing.TB, servers int, config web.Config) *federation {
	tb.Helper()
	return foundFederation(tb, exchangetest.Founding(servers), config)
}

// foundFederation founds the servers of a contract and serves them.
func foundFederation(tb testing.TB, founding *exchange.Founding, config web.Config) *federation {
	tb.Helper()
	founding.Created = uint64(time.Now().UnixMilli())
	f := &federation{
		tb: tb, founding: founding, id: founding.ID(), stop: make(chan struct{}), wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	for i := range founding.Members {
		n := &node{f: f, index: i}
		r, err := replica.Open(replica.Config{
			Founding: founding, Store: memstore.New(), Self: founding.Members[i].Consensus, Logger: config.Log, Keep: replica.Keep{Events: time.Hour},
		})
		if err != nil {
			tb.Fatal(err)
		}
		n.replica = r
		r.Attach(n)
		out, err := r.Found(consensus.Founding{Contract: founding.Append(nil)})
		if err != nil {
			tb.Fatal(err)
		}
		f.roots = []merkle.Hash{out.Root}
		f.times = []uint64{founding.Created}
		n.serve(config)
		f.nodes = append(f.nodes, n)
	}
	go f.run()
	tb.Cleanup(f.close)
	return f
}

// serve starts the node's HTTP server.
func (n *node) serve(config web.Config) {
	tb := n.f.tb
	n.server = web.New(config)
	if err := n.server.Add(web.Virtual{
		Founding: n.f.founding, Replica: adapter{n.replica}, Engine: n, Self: n.f.founding.Members[n.index].Consensus, Admit: n.admit,
	}); err != nil {
		tb.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	n.listen, n.url = l, "http://"+l.Addr().String()
	go func() { _ = n.server.Serve(l) }()
}

// kill ends the node's HTTP server at once.
func (n *node) kill() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = n.server.Shutdown(ctx)
}

func (f *federation) close() {
	for _, n := range f.nodes {
		n.kill()
	}
	close(f.stop)
	<-f.done
	for _, n := range f.nodes {
		_ = n.replica.Close()
	}
}

func (f *federation) urls() (list []string) {
	for _, n := range f.nodes {
		list = append(list, n.url)
	}
	return list
}

// run makes blocks while something waits, and one more for the proof.
func (f *federation) run() {
	defer close(f.done)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-f.wake:
		case <-ticker.C:
		}
		for f.block() {
			continue
		}
	}
}

// block makes a block if there is something to do.
func (f *federation) block() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	proposer := f.nodes[int(f.height)%len(f.nodes)]
	payloads := proposer.replica.Propose(time.Now(), f.height+1, f.pool)
	fresh := len(f.roots) > 1 && f.roots[len(f.roots)-1] != f.roots[len(f.roots)-2]
	if payloads == nil && !fresh {
		return false
	}
	f.pool = slices.DeleteFunc(f.pool, func(p []byte) bool {
		return slices.ContainsFunc(payloads, func(q []byte) bool { return string(p) == string(q) })
	})
	f.height++
	b := consensus.Block{Height: f.height, Payloads: payloads, Proposer: f.founding.Members[proposer.index].Consensus}
	var root merkle.Hash
	for i, n := range f.nodes {
		out, err := n.replica.Finalize(b)
		if err != nil || i > 0 && out.Root != root {
			f.tb.Errorf("server %d, block %d: root %s, not %s: %v", i, f.height, out.Root, root, err)
			return false
		}
		root = out.Root
		if _, err := n.replica.Commit(); err != nil {
			f.tb.Error(err)
		}
	}
	f.roots, f.times = append(f.roots, root), append(f.times, uint64(time.Now().UnixMilli()))
	return true
}

// Submit implements consensus.Engine.
func (n *node) Submit(ctx context.Context, payload []byte) error {
	for _, o := range n.f.nodes {
		if err := o.replica.Check(ctx, payload); err != nil {
			return err
		}
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	if n.mute {
		return nil
	}
	n.f.pool = append(n.f.pool, payload)
	select {
	case n.f.wake <- struct{}{}:
	default:
	}
	return nil
}

func (n *node) Status() consensus.Status {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	return consensus.Status{Height: n.f.height, Waiting: len(n.f.pool), Peers: []consensus.Peer{{ID: "peer", Address: "127.0.0.1:1"}}}
}

func (n *node) LightBlock(height uint64) ([]byte, error) {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	if height > n.f.height {
		return nil, errors.New("no such block")
	}
	return fmt.Appendf(nil, "header %d", height), nil
}

func (n *node) Done() <-chan struct{} { return n.f.done }
func (n *node) Close() error          { return nil }

// Header implements api.HeaderSource: what two thirds would have signed.
func (f *federation) Header(_ context.Context, height uint64) (merkle.Hash, uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if height == 0 || height > f.height {
		return merkle.Hash{}, 0, fmt.Errorf("no header %d", height)
	}
	return f.roots[height-1], f.times[height-1], nil
}

// Newest implements api.HeaderSource.
func (f *federation) Newest(context.Context) (uint64, merkle.Hash, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.height == 0 {
		return 0, merkle.Hash{}, errors.New("no header yet")
	}
	return f.height, f.roots[f.height-1], nil
}

// client is a client of all servers.
func (f *federation) client() *api.Client {
	f.tb.Helper()
	c, err := api.NewClient(api.Config{Servers: f.urls(), ID: f.id})
	if err != nil {
		f.tb.Fatal(err)
	}
	f.tb.Cleanup(c.Close)
	return c
}

// signer is a person's owner key.
func signer(name string) *api.Signer { return api.OwnerOf(exchangetest.Key(name)) }

// fund gives people money, so that their accounts exist.
func (f *federation) fund(names ...string) {
	f.tb.Helper()
	var bodies []exchange.Body
	for _, name := range names {
		bodies = append(bodies,
			&exchange.Mint{Asset: exchangetest.BTC, Amount: 100 * exchangetest.Coin, To: exchangetest.Address(name)},
			&exchange.Mint{Asset: exchangetest.EUR, Amount: 5_000_000 * exchangetest.Coin, To: exchangetest.Address(name)})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if len(f.nodes) > 0 {
		// The issuer's account opens by its first credit, which itself gives.
		f.open("issuer")
	}
	receipts, err := f.client().As(signer("issuer")).Do(ctx, bodies...)
	if err != nil {
		f.tb.Fatal(err)
	}
	for _, r := range receipts {
		if r.Code != exchange.OK {
			f.tb.Fatalf("mint: %s", r.Code)
		}
	}
}

// open makes sure that an account may send its first command.
func (f *federation) open(name string) {
	f.tb.Helper()
	found := false
	_ = f.nodes[0].replica.View(func(s *exchange.State) { _, found = s.Ledger().Find(exchangetest.Address(name)) })
	if !found {
		f.tb.Fatalf("%s has no account: the founding opens those of issuers", name)
	}
}

// adapter is a replica as package web wants it.
type adapter struct{ *replica.Replica }

var fates = [...]web.Fate{
	replica.FateUnknown: web.FateUnknown, replica.FateWaiting: web.FateWaiting, replica.FateRefused: web.FateRefused,
	replica.FateCommitted: web.FateCommitted, replica.FateElsewhere: web.FateElsewhere,
}

func failure(err error) error {
	for _, is := range []struct{ theirs, ours error }{
		{replica.ErrBusy, web.ErrBusy},
		{replica.ErrRequest, web.ErrRequest},
		{replica.ErrPruned, web.ErrPruned},
		{replica.ErrClosed, web.ErrStopped},
		{replica.ErrNotFounded, web.ErrNoState},
		{replica.ErrDetached, web.ErrStopped},
		{consensus.ErrHalted, web.ErrStopped},
	} {
		if errors.Is(err, is.theirs) {
			return fmt.Errorf("%w: %w", is.ours, err)
		}
	}
	return err
}

func (a adapter) View(read func(*exchange.State)) error { return failure(a.Replica.View(read)) }
func (a adapter) Height() uint64                        { return a.Position().Height }

func (a adapter) Submit(ctx context.Context, r web.Request) ([]web.Answer, error) {
	answers, err := a.Replica.Submit(ctx, replica.Request(r))
	list := make([]web.Answer, len(answers))
	for i := range answers {
		list[i] = answer(&answers[i])
	}
	return list, failure(err)
}

func answer(x *replica.Answer) web.Answer {
	return web.Answer{ID: x.ID, Fate: fates[x.Fate], Receipt: x.Receipt}
}

func (a adapter) Fate(id exchange.CommandID) (web.Answer, error) {
	x, err := a.Replica.Fate(id)
	return answer(&x), failure(err)
}

func (a adapter) ProveLeaf(key merkle.Key) (web.LeafProof, error) {
	p, err := a.Replica.ProveLeaf(key)
	return web.LeafProof(p), failure(err)
}

func (a adapter) ProveResult(height uint64, index uint32) (web.ResultProof, error) {
	p, err := a.Replica.ProveResult(height, index)
	return web.ResultProof{Entry: p.Entry, List: p.List, Clock: web.LeafProof(p.Clock)}, failure(err)
}

func (a adapter) ProveReceipt(id exchange.CommandID) (web.ResultProof, error) {
	p, err := a.Replica.ProveReceipt(id)
	return web.ResultProof{Entry: p.Entry, List: p.List, Clock: web.LeafProof(p.Clock)}, failure(err)
}

func (a adapter) Auction(id market.ID, height uint64) (web.Auction, bool, error) {
	x, ok, err := a.Replica.Auction(id, height)
	return web.Auction(x), ok, failure(err)
}

func (a adapter) Trades(id market.ID, before web.Cursor) iter.Seq2[web.Trade, error] {
	return func(yield func(web.Trade, error) bool) {
		for t, err := range a.Replica.Trades(id, replica.Cursor(before)) {
			if !yield(web.Trade(t), failure(err)) {
				return
			}
		}
	}
}

func (a adapter) Fills(account identity.Address, before web.Cursor) iter.Seq2[web.Fill, error] {
	return func(yield func(web.Fill, error) bool) {
		for f, err := range a.Replica.Fills(account, replica.Cursor(before)) {
			if !yield(web.Fill(f), failure(err)) {
				return
			}
		}
	}
}

func (a adapter) Cancels(account identity.Address) iter.Seq2[web.Cancelled, error] {
	return func(yield func(web.Cancelled, error) bool) {
		for x, err := range a.Replica.Cancels(account) {
			if !yield(web.Cancelled(x), failure(err)) {
				return
			}
		}
	}
}

func (a adapter) Follow(ctx context.Context, from uint64) iter.Seq2[*archive.Block, error] {
	return func(yield func(*archive.Block, error) bool) {
		for b, err := range a.Replica.Follow(ctx, from) {
			var gone *replica.GoneError
			if errors.As(err, &gone) {
				err = &web.GoneError{Oldest: gone.Oldest}
			}
			if !yield(b, failure(err)) {
				return
			}
		}
	}
}

func (a adapter) Silent() []web.Silence {
	var list []web.Silence
	for _, m := range a.Members() {
		if m.Reports > 0 {
			list = append(list, web.Silence{Member: m.ID, Reports: m.Reports, Last: uint64(m.LastReport.UnixMilli())})
		}
	}
	return list
}

// within is a context for one test.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
