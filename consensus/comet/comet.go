// Package comet replicates an Application with CometBFT, assembled in process:
// stores, write-ahead log, consensus, block sync and state sync are the library's;
// the mempool with its bell, the gossip of payloads, the pushing of votes, the
// private validator, proofs of double signing, the account of missed turns and the
// light client are ours. Each Engine is one chain; a process may run several.
//
// What payloads mean and what a block does belongs to the Application; who the
// members are and where they listen to the caller, who tells Engine.SetPeers; keeping
// the keys to store/sealed; serving light blocks to clients to web. CometBFT's RPC, its
// discovery of peers, its indexer and its Prometheus metrics are not part of it.
//
// Floor 2: it imports the port, identity and merkle. It is the only folder that
// imports CometBFT. See docs/spec/08-consensus.md and docs/adr/0002-consensus-engine.md.
package comet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	cs "github.com/cometbft/cometbft/consensus"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/types"

	"souk/consensus"
	"souk/identity"
	"souk/merkle"
)

// Profile names a set of timeouts. It is part of the founding contract, since
// servers with different ones wait for each other in vain.
type Profile uint8

// Profiles.
const (
	LAN Profile = iota // servers within a few milliseconds of each other
	WAN                // servers on several continents
)

// DefaultKeep is how many of the newest blocks are kept when Config.Keep is zero.
const DefaultKeep = 10_000

// Errors of Open and of an engine that has ended by itself.
var (
	// ErrConfig is returned by Open for a configuration that cannot work.
	ErrConfig = errors.New("engine configuration")
	// ErrOtherChain is returned by Open for a folder that holds another chain.
	ErrOtherChain = errors.New("folder holds another chain")
	// ErrFailed is in Status.Halted when consensus ended by itself: a broken
	// invariant, a full disk. Opening the engine again replays the newest blocks.
	ErrFailed = errors.New("consensus failed")
	// ErrBehind is in Status.Halted when this server is so far behind that the
	// others have forgotten the blocks it needs. It has to begin from a snapshot, in
	// an empty folder but for "sign".
	ErrBehind = errors.New("too far behind: the other servers have forgotten the next block")
	// ErrNoBlock is returned by LightBlock for a height that is not here: not yet or not any more.
	ErrNoBlock = errors.New("no block of that height here")
)

// Config says how an engine runs. Open copies it.
type Config struct {
	// Dir is where the engine keeps everything: chain, write-ahead log, and, below
	// "sign", what the consensus key has signed. It is made if missing and must be
	// on one file system that honours fsync.
	Dir string
	// Genesis is where the chain begins.
	Genesis Genesis
	// Profile is that of the founding contract.
	Profile Profile
	// Key is the consensus key. The zero key follows the chain without voting.
	Key identity.PrivateKey
	// NodeKey is the key under which this server's peers know it: see NodeID.
	NodeKey identity.PrivateKey
	// Listen is the host:port for other servers; empty: only this server dials. The
	// host must be an IP address.
	Listen string
	// Peers are the other servers, as nodeid@host:port. Nobody else is let in.
	Peers []string
	// StateSync tells a fresh server to begin from a snapshot.
	StateSync StateSync
	// Keep is how many of the newest blocks are kept whatever the application
	// allows to forget; other servers catch up from them. Zero: DefaultKeep.
	Keep uint64
	// Logger is told what an operator may want to know. Nil: nobody is.
	Logger *slog.Logger
}

// StateSync says how a fresh server begins from a snapshot instead of replaying
// all blocks. It has no effect once there are blocks.
type StateSync struct {
	Enabled bool
	// Fetchers get light blocks from other servers, at least two of them, best
	// from different operators.
	Fetchers []Fetch
	// TrustHeight and TrustHash are a checkpoint: the hash of the header of a
	// height, no older than TrustPeriod.
	TrustHeight uint64
	TrustHash   merkle.Hash
	// Validators are the first ones, of the founding contract; used instead of a
	// checkpoint when TrustHeight is zero and the genesis not older than TrustPeriod.
	Validators []consensus.Validator
}

// Fetch gets the light block of a height (0: the newest) from one server, as
// Engine.LightBlock answers it there.
type Fetch func(ctx context.Context, height uint64) ([]byte, error)

// NodeID is the name of a server among its peers: what stands before the @.
func NodeID(nodeKey identity.PublicKey) string { return string(p2p.PubKeyToID(cometKey(nodeKey))) }

// Engine replicates one Application. It implements consensus.Engine.
type Engine struct {
	cfg    Config
	log    *slog.Logger
	lib    *libraryLogger
	stores *stores
	signer *signer // nil: follows only
	bridge *bridge
	pool   *pool
	proof  *doubles
	parts  *assembly
	dialer *dialer

	ctx     context.Context // the engine's life
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	done    chan struct{}
	once    sync.Once
	closing atomic.Bool

	mu      sync.Mutex
	halted  error
	round   int32
	locked  bool      // in that round on a block
	asking  bool      // a goroutine asks consensus for its round
	stalled time.Time // since when a block is wanted and none comes; zero: not
	closed  error
}

var _ consensus.Engine = (*Engine)(nil)

// Open starts an engine: it replays what the application has not persisted, then
// listens, dials, and catches up or votes. app may also be a consensus.Snapshotter.
// It returns ErrConfig, ErrOtherChain, ErrKeyInUse or ErrSignLog, the application's
// error, or one of the file system.
func Open(cfg Config, app consensus.Application) (*Engine, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Keep == 0 {
		cfg.Keep = DefaultKeep
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{cfg: cfg, log: cfg.Logger, done: make(chan struct{})}
	e.lib = newLibraryLogger(cfg.Logger)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	if err := e.start(app); err != nil {
		e.shut()
		return nil, err
	}
	return e, nil
}

func (c *Config) check() error {
	switch {
	case c.Dir == "":
		return fmt.Errorf("%w: no folder", ErrConfig)
	case c.NodeKey.IsZero():
		return fmt.Errorf("%w: no node key", ErrConfig)
	case c.Profile > WAN:
		return fmt.Errorf("%w: profile %d", ErrConfig, c.Profile)
	case c.Genesis.Time.After(time.Now().Add(time.Second)):
		return fmt.Errorf("%w: the founding is at %v, which is not yet", ErrConfig, c.Genesis.Time)
	case c.StateSync.Enabled && len(c.StateSync.Fetchers) < 2:
		return fmt.Errorf("%w: state sync needs two servers to ask", ErrConfig)
	}
	for _, p := range c.Peers {
		if _, err := peerID(p); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) start(app consensus.Application) (err error) {
	if e.stores, err = openStores(blockDir(e.cfg.Dir)); err != nil {
		return err
	}
	if !e.cfg.Key.IsZero() {
		if e.signer, err = openSigner(filepath.Join(e.cfg.Dir, "sign"), e.cfg.Key); err != nil {
			return err
		}
	}
	e.connect(app)
	if e.parts, err = e.assemble(app); err != nil {
		return err
	}
	e.dialer = newDialer(e.parts.sw, NodeID(e.cfg.NodeKey.Public()), e.cfg.Profile, e.cfg.Peers)
	if err := e.parts.start(e.cfg.Listen); err != nil {
		return err
	}
	e.wg.Go(func() { e.dialer.run(e.ctx) })
	e.wg.Go(e.watch)
	e.pool.start()
	return nil
}

// connect makes the parts between the library and the application.
func (e *Engine) connect(app consensus.Application) {
	chain := ChainID(e.cfg.Genesis.ID)
	newest := e.stores.state.newest
	e.proof = newDoubles(chain, func() *types.ValidatorSet { return newest().Validators })
	e.pool = newPool(app.NextDue, func() bool {
		set := newest().Validators
		return e.signer != nil && !set.IsNilOrEmpty() && string(set.GetProposer().Address) == string(e.signer.public.Address())
	}, e.proof.waits)
	shots, _ := app.(consensus.Snapshotter)
	e.bridge = &bridge{
		app: app, shots: shots, chain: chain, stores: e.stores, pool: e.pool, proof: e.proof,
		log: e.log, keep: int64(e.cfg.Keep), lull: lullLAN, found: e.cfg.Genesis.Contract, ctx: e.ctx,
		halt: func(err error) {
			if e.halt(err) && e.bridge.phase.Load() != phaseReplay { // while replaying, Open returns the error
				go e.linger()
			}
		},
	}
	if e.cfg.Profile == WAN {
		e.bridge.lull = lullWAN
	}
}

// Submit implements consensus.Engine. It returns the error of Check, ErrKnown,
// ErrPoolFull or ErrStopped.
func (e *Engine) Submit(ctx context.Context, payload []byte) error {
	if e.closing.Load() || e.haltedBy() != nil {
		return consensus.ErrStopped
	}
	if len(payload) == 0 || len(payload) > consensus.MaxPayload {
		return fmt.Errorf("payload of %d bytes: %w", len(payload), errEntry)
	}
	if err := e.bridge.app.Check(ctx, payload); err != nil {
		return err
	}
	return e.parts.gossip.submit(payloadEntry(payload))
}

// Status implements consensus.Engine.
func (e *Engine) Status() consensus.Status {
	height, at := e.bridge.newest()
	e.mu.Lock()
	s := consensus.Status{Height: uint64(height), BlockTime: at, Round: e.round, Locked: e.locked, Halted: e.halted}
	if !e.stalled.IsZero() {
		s.Stalled = time.Since(e.stalled)
	}
	ask := !e.asking && !e.closing.Load()
	e.asking = e.asking || ask
	e.mu.Unlock()
	if ask {
		e.askRound(&s)
	}
	s.Waiting = e.pool.Size()
	s.CatchUp = e.parts.reactor.WaitSync()
	for _, p := range e.parts.sw.Peers().Copy() {
		peer := consensus.Peer{
			ID: string(p.ID()), Address: p.SocketAddr().DialString(), Outbound: p.IsOutbound(),
			Since: time.Now().Add(-p.Status().Duration), CatchUp: true,
		}
		if at, ok := p.Get(types.PeerStateKey).(*cs.PeerState); ok && at.GetHeight() > 0 {
			peer.Height, peer.CatchUp = uint64(at.GetHeight()-1), false // it works on the next one
		}
		s.Peers = append(s.Peers, peer)
	}
	return s
}

// askRound asks consensus for its round, for a little while only: a block that
// executes for long holds the lock.
func (e *Engine) askRound(s *consensus.Status) {
	done := make(chan struct{})
	go func() {
		rs := e.parts.state.GetRoundState()
		e.mu.Lock()
		e.round, e.locked, e.asking = rs.Round, rs.LockedBlock != nil, false
		e.mu.Unlock()
		close(done)
	}()
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-done:
		e.mu.Lock()
		s.Round, s.Locked = e.round, e.locked
		e.mu.Unlock()
	case <-timer.C:
	}
}

// BadPayloads returns how many payloads of a peer, named by its node id, failed Check.
func (e *Engine) BadPayloads(id string) uint64 { return e.parts.gossip.bad(p2p.ID(id)) }

// SetPeers replaces the list of other servers, as nodeid@host:port. Connections
// with others are closed. It returns ErrConfig for a malformed entry.
func (e *Engine) SetPeers(peers []string) error { return e.dialer.set(peers) }

// LightBlock implements consensus.Engine. A height whose block has been forgotten
// is answered with the nearest one below it on either side of a change of
// validators, which is what a light client needs on its way. It returns ErrNoBlock
// when there is none.
func (e *Engine) LightBlock(height uint64) ([]byte, error) {
	if e.closing.Load() {
		return nil, consensus.ErrStopped
	}
	newest := e.stores.state.newest().LastBlockHeight
	h := int64(height)
	if h == 0 {
		h = newest
	}
	if h < 1 || h > newest {
		return nil, fmt.Errorf("height %d: %w", height, ErrNoBlock)
	}
	b, err := e.stores.build(h)
	if err != nil {
		return e.stores.archived(h)
	}
	return b.encode()
}

// Done implements consensus.Engine.
func (e *Engine) Done() <-chan struct{} { return e.done }

// Close implements consensus.Engine. The application is left as it is.
func (e *Engine) Close() error {
	e.shut()
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

// halt records why the engine ends by itself, and tells whether it is the first to say so.
func (e *Engine) halt(err error) bool {
	e.mu.Lock()
	first := e.halted == nil && !e.closing.Load()
	if first {
		e.halted = err
	}
	e.mu.Unlock()
	if first {
		e.log.Error("chain halted", slog.String("chain", ChainID(e.cfg.Genesis.ID)), slog.Any("error", err))
	}
	return first
}

// linger stops everything after a while in which the others can still get this
// server's votes for the block that ended it: those who lack them would wait for
// servers that are gone.
func (e *Engine) linger() {
	select {
	case <-time.After(lingerFor):
	case <-e.ctx.Done():
	}
	e.shut()
}

// shut stops everything, once, and returns when it is done.
func (e *Engine) shut() {
	e.once.Do(func() {
		var err error
		e.closing.Store(true)
		e.lib.quiet.Store(true)
		e.cancel()
		if e.pool != nil {
			e.pool.close()
		}
		if e.parts != nil {
			err = e.parts.stop()
		}
		e.wg.Wait()
		if e.signer != nil {
			err = errors.Join(err, e.signer.Close())
		}
		if e.stores != nil {
			err = errors.Join(err, e.stores.Close())
		}
		e.mu.Lock()
		e.closed = err
		e.mu.Unlock()
		close(e.done)
	})
	<-e.done
}

// watch supervises consensus: it notices when the library's goroutine has ended
// by itself, and when blocks are wanted and do not come.
func (e *Engine) watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var ended chan struct{}
	var seen int64
	warned := false
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-ended:
			if !e.closing.Load() && e.halt(fmt.Errorf("%w: %s", ErrFailed, e.lib.lastFailure())) {
				go e.linger()
			}
			return
		case <-tick.C:
		}
		if ended == nil && e.parts.state.IsRunning() {
			ended = make(chan struct{})
			go func(state *cs.State) { // ends with consensus, which parts.stop waits for
				state.Wait()
				close(ended)
			}(e.parts.state)
		}
		e.parts.blockSync.choose(time.Now())
		height, _ := e.bridge.newest()
		at, due := e.bridge.app.NextDue()
		wanted := e.pool.Size() > 0 || due && time.Now().After(at)
		e.mu.Lock()
		switch {
		case height != seen || !wanted:
			seen, e.stalled, warned = height, time.Time{}, false
		case e.stalled.IsZero():
			e.stalled = time.Now()
		}
		stalled := !e.stalled.IsZero() && time.Since(e.stalled) > stallAfter
		e.mu.Unlock()
		if e.parts.behind(height, len(e.dialer.all()), time.Now()) {
			// The library would take itself to have caught up, and wait for ever.
			if e.halt(fmt.Errorf("%w: height %d", ErrBehind, height)) {
				go e.shut()
			}
			return
		}
		if stalled && !warned {
			warned = true
			e.log.Warn("no block although one is wanted", slog.Int64("height", height), slog.Int("peers", e.parts.sw.Peers().Size()))
		}
	}
}
