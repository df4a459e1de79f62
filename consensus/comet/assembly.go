package comet

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cometbft/cometbft/blocksync"
	"github.com/cometbft/cometbft/config"
	cs "github.com/cometbft/cometbft/consensus"
	"github.com/cometbft/cometbft/libs/service"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/p2p/conn"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/statesync"
	"github.com/cometbft/cometbft/types"
	"github.com/cometbft/cometbft/version"

	"souk/consensus"
)

// Settings that were measured; docs/adr/0002-consensus-engine.md has the figures.
const (
	// gossipSleep is how often the library's gossip looks for something to send.
	// Votes and blocks do not wait for it (pusher), lost ones do.
	gossipSleep = 100 * time.Millisecond
	// lullLAN and lullWAN are how long a block that only signs a new root waits for
	// a payload: about as long as a client near by takes to answer an answer.
	lullLAN = 2 * time.Millisecond
	lullWAN = 20 * time.Millisecond
	// flushEvery is how long a message waits for others to share a packet.
	flushEvery = 100 * time.Microsecond
	packetSize = 32 << 10
	linkRate   = 1 << 30 // bytes a second; the library's own limit is 5 MB
	pingEvery  = 10 * time.Second
	pongWithin = 5 * time.Second
	maxInbound = 256
	// pruneEvery is the distance of heights at which old blocks are forgotten.
	pruneEvery = 100
	// keptWAL is how many old files of the write-ahead log are left at start.
	keptWAL    = 2
	watchEvery = 200 * time.Millisecond
	lingerFor  = time.Second
	stallAfter = 10 * time.Second
)

// assembly is the library's machinery for one chain.
type assembly struct {
	engine    *Engine
	events    *types.EventBus
	state     *cs.State
	reactor   *cs.Reactor
	pusher    *pusher
	blockSync *blockSyncReactor
	stateSync *stateSyncReactor
	gossip    *gossip
	sw        *p2p.Switch
	transport *p2p.MultiplexTransport
	node      p2p.ID
	listening bool
	started   bool
	syncFrom  *sm.State  // begin from a snapshot; the state is the genesis
	bootstrap sync.Mutex // held while a restored state is written, and while consensus begins
}

// consensusConfig holds the timeouts of a profile.
func consensusConfig(profile Profile, wal string) *config.ConsensusConfig {
	c := config.DefaultConsensusConfig()
	c.SetWalFile(wal)
	c.TimeoutPropose, c.TimeoutProposeDelta = 300*time.Millisecond, 150*time.Millisecond
	c.TimeoutPrevote, c.TimeoutPrevoteDelta = 50*time.Millisecond, 25*time.Millisecond
	if profile == WAN {
		c.TimeoutPropose, c.TimeoutProposeDelta = time.Second, 500*time.Millisecond
		c.TimeoutPrevote, c.TimeoutPrevoteDelta = 250*time.Millisecond, 125*time.Millisecond
	}
	c.TimeoutPrecommit, c.TimeoutPrecommitDelta = c.TimeoutPrevote, c.TimeoutPrevoteDelta
	c.TimeoutCommit, c.SkipTimeoutCommit = 0, true
	c.CreateEmptyBlocks, c.CreateEmptyBlocksInterval = false, 0
	c.PeerGossipSleepDuration = gossipSleep
	c.DoubleSignCheckHeight = 0
	return c
}

// assemble puts a chain together and brings the application to the height of the
// block store. The library panics on some inconsistencies; here they are errors.
func (e *Engine) assemble(app consensus.Application) (a *assembly, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %s", ErrFailed, clip(fmt.Sprint(r)))
		}
	}()
	a = &assembly{engine: e, node: p2p.ID(NodeID(e.cfg.NodeKey.Public())), events: types.NewEventBus()}
	doc, err := e.cfg.Genesis.document()
	if err != nil {
		return nil, err
	}
	state, err := e.stores.state.LoadFromDBOrGenesisDoc(doc)
	if err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	if state.ChainID != doc.ChainID {
		return nil, fmt.Errorf("%w: %s, not %s", ErrOtherChain, state.ChainID, doc.ChainID)
	}
	if e.cfg.StateSync.Enabled && state.LastBlockHeight == 0 && app.Info().Height == 0 {
		a.syncFrom = &state
	} else if state, err = a.replay(doc, state); err != nil {
		return nil, err
	}
	e.bridge.height = state.LastBlockHeight
	alone := e.signer != nil && state.Validators.Size() == 1 && state.Validators.HasAddress(e.signer.public.Address())
	a.build(state, !alone && a.syncFrom == nil)
	if alone {
		e.bridge.phase.Store(phaseConsensus)
		a.gossip.EnableInOutTxs()
	} else {
		e.bridge.phase.Store(phaseSync)
	}
	return a, a.network(state)
}

// replay brings the application to the height of the block store.
func (a *assembly) replay(doc *types.GenesisDoc, state sm.State) (sm.State, error) {
	e := a.engine
	shake := cs.NewHandshaker(e.stores.state, state, e.stores.blocks, doc)
	shake.SetLogger(e.lib)
	conns := &connections{bridge: e.bridge}
	conns.BaseService = *service.NewBaseService(nil, "application", conns)
	if err := shake.HandshakeWithContext(e.ctx, conns); err != nil {
		if halted := e.haltedBy(); halted != nil {
			return state, halted
		}
		return state, fmt.Errorf("replay: %w", err)
	}
	state, err := e.stores.state.Load()
	if err != nil {
		return state, fmt.Errorf("load state: %w", err)
	}
	return state, nil
}

// build makes the library's reactors. A server that may be behind looks how much
// before it votes.
func (a *assembly) build(state sm.State, behind bool) {
	e := a.engine
	var address []byte
	if e.signer != nil {
		address = e.signer.public.Address()
	}
	executor := sm.NewBlockExecutor(e.stores.state, e.lib.With("module", "state"), e.bridge, e.pool, e.proof, e.stores.blocks,
		sm.BlockExecutorWithBlockTimeTolerance(config.DefaultConsensusConfig().BlockTimeTolerance))
	a.blockSync = &blockSyncReactor{
		Reactor: blocksync.NewReactor(false, false, state.Copy(), executor, e.stores.blocks, address, 0, blocksync.NopMetrics()),
		bases:   make(map[p2p.ID]int64), heights: make(map[p2p.ID]int64),
	}
	if behind {
		a.blockSync.choice = a.choice(state)
	}
	a.blockSync.SetLogger(e.lib.With("module", "blocksync"))

	trimWAL(walFile(e.cfg.Dir))
	a.state = cs.NewState(consensusConfig(e.cfg.Profile, walFile(e.cfg.Dir)), state.Copy(), executor, e.stores.blocks, e.pool, e.proof)
	a.state.SetLogger(e.lib.With("module", "consensus"))
	a.reactor = cs.NewReactor(a.state, behind || a.syncFrom != nil)
	a.reactor.SetLogger(e.lib.With("module", "consensus"))
	a.reactor.SetEventBus(a.events)
	executor.SetEventBus(types.NopEventBus{}) // nobody listens, and its events hash every payload again
	a.pusher = newPusher(e.ctx, a.reactor, a.state, e.stores.blocks, func(height int64) int {
		if set := e.stores.state.recent(height); set != nil {
			return set.Size()
		}
		return 0
	})
	if e.signer != nil {
		e.signer.onVote, e.signer.onProposal = a.pusher.voted, a.pusher.proposed
		a.state.SetPrivValidator(e.signer)
	}

	fetch := config.DefaultStateSyncConfig()
	fetch.ChunkFetchers = 4
	a.stateSync = &stateSyncReactor{
		Reactor: statesync.NewReactor(*fetch, snapshotConn{e.bridge}, queryConn{e.bridge}, statesync.NopMetrics()),
		quit:    e.ctx.Done(), log: e.log,
	}
	a.stateSync.SetLogger(e.lib.With("module", "statesync"))

	a.gossip = newGossip(e.ctx, e.bridge.app, e.pool, e.log)
	a.gossip.SetLogger(e.lib.With("module", "payloads"))
	a.gossip.caughtUp = func() { e.bridge.phase.Store(phaseConsensus) }
	a.gossip.proof = func(raw []byte) error {
		d, err := parseDouble(raw)
		if err == nil {
			e.proof.add(d)
		}
		return err
	}
	e.proof.spread = func(tx []byte) {
		a.gossip.broadcast(tx)
		e.pool.start()
	}
}

// choice says how a server begins that others may be ahead of.
func (a *assembly) choice(state sm.State) *choice {
	e := a.engine
	c := &choice{from: time.Now(), height: state.LastBlockHeight, few: fewLAN}
	if e.cfg.Profile == WAN {
		c.few = fewWAN
	}
	for _, p := range e.cfg.Peers {
		if id, err := peerID(p); err == nil && id != a.node {
			c.others++
		}
	}
	if e.signer != nil {
		_, own := state.Validators.GetByAddress(e.signer.public.Address())
		c.alone = own != nil && 3*own.VotingPower >= state.Validators.TotalVotingPower()
	}
	c.sync = func() {
		if err := a.blockSync.Enable(state); err != nil {
			e.log.Error("block sync does not begin", slog.Any("error", err))
		}
	}
	// Consensus first goes through its log, and its goroutines ask the switch.
	c.vote = func() {
		go func() {
			a.bootstrap.Lock()
			defer a.bootstrap.Unlock()
			if e.ctx.Err() == nil {
				a.gossip.EnableInOutTxs()
				a.reactor.SwitchToConsensus(state, false)
			}
		}()
	}
	return c
}

// network makes transport and switch.
func (a *assembly) network(state sm.State) error {
	e := a.engine
	listen := e.cfg.Listen
	if listen == "" {
		listen = "0.0.0.0:1" // said to peers, who dial the addresses of the roster and not this
	}
	info := p2p.DefaultNodeInfo{
		ProtocolVersion: p2p.NewProtocolVersion(version.P2PProtocol, state.Version.Consensus.Block, state.Version.Consensus.App),
		DefaultNodeID:   a.node,
		ListenAddr:      listen,
		Network:         state.ChainID,
		Version:         "souk",
		Moniker:         "souk",
		Channels: []byte{
			blocksync.BlocksyncChannel, cs.StateChannel, cs.DataChannel, cs.VoteChannel, cs.VoteSetBitsChannel,
			payloadChannel, statesync.SnapshotChannel, statesync.ChunkChannel,
		},
	}
	if err := info.Validate(); err != nil {
		return fmt.Errorf("%w: listen on %q: %w", ErrConfig, e.cfg.Listen, err)
	}
	key := p2p.NodeKey{PrivKey: privateKey(e.cfg.NodeKey)}
	a.transport = p2p.NewMultiplexTransport(info, key, conn.MConnConfig{
		SendRate: linkRate, RecvRate: linkRate, MaxPacketMsgPayloadSize: packetSize,
		FlushThrottle: flushEvery, PingInterval: pingEvery, PongTimeout: pongWithin,
	})
	p2p.MultiplexTransportMaxIncomingConnections(maxInbound)(a.transport)
	limits := config.DefaultP2PConfig()
	limits.AllowDuplicateIP, limits.MaxNumInboundPeers, limits.PexReactor = true, maxInbound, false
	a.sw = p2p.NewSwitch(limits, a.transport, p2p.SwitchPeerFilters(func(_ p2p.IPeerSet, p p2p.Peer) error {
		return a.admit(p.ID())
	}))
	a.sw.SetLogger(e.lib.With("module", "p2p"))
	a.sw.SetAddrBook(noBook{})
	a.sw.AddReactor("MEMPOOL", a.gossip)
	a.sw.AddReactor("BLOCKSYNC", a.blockSync)
	a.sw.AddReactor("CONSENSUS", a.pusher)
	a.sw.AddReactor("STATESYNC", a.stateSync)
	a.sw.SetNodeInfo(info)
	a.sw.SetNodeKey(&key)
	return nil
}

// errStranger refuses a connection.
var errStranger = errors.New("not one of this chain's servers")

// admit lets in the servers of the roster and nobody else.
func (a *assembly) admit(id p2p.ID) error {
	if !a.engine.dialer.member(id) || a.gossip.refused(id) {
		return errStranger
	}
	return nil
}

// start listens and lets everything run.
func (a *assembly) start(listen string) error {
	if err := a.events.Start(); err != nil {
		return fmt.Errorf("start events: %w", err)
	}
	if listen != "" {
		if _, _, err := net.SplitHostPort(listen); err != nil {
			return fmt.Errorf("%w: listen on %q: %w", ErrConfig, listen, err)
		}
		address, err := p2p.NewNetAddressString(p2p.IDAddressString(a.node, listen))
		if err != nil {
			return fmt.Errorf("%w: listen on %q: %w", ErrConfig, listen, err)
		}
		if err := a.transport.Listen(*address); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		a.listening = true
	}
	if err := a.sw.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	a.started = true
	if a.syncFrom != nil {
		go a.syncState() // the library sleeps in it; it touches nothing once the engine closes
	}
	return nil
}

// stop ends everything that start began. The engine's context must be done.
func (a *assembly) stop() error {
	a.bootstrap.Lock()
	defer a.bootstrap.Unlock()
	var errs []error
	if a.events.IsRunning() {
		errs = append(errs, a.events.Stop())
	}
	if a.started {
		errs = append(errs, a.sw.Stop())
	}
	if a.transport != nil {
		if err := a.transport.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if a.gossip != nil {
		a.gossip.wg.Wait()
		a.pusher.stop()
	}
	return errors.Join(errs...)
}

// haltedBy returns why the engine has halted, or nil.
func (e *Engine) haltedBy() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.halted
}

// trimWAL removes old files of the write-ahead log, of which the library keeps a
// gigabyte; only the newest height matters. Failing to is harmless.
func trimWAL(head string) {
	old, err := filepath.Glob(head + ".[0-9]*")
	if err != nil || len(old) <= keptWAL {
		return
	}
	slices.SortFunc(old, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	for _, f := range old[:len(old)-keptWAL] {
		_ = os.Remove(f)
	}
}

// noBook is an address book without addresses: peers are configured.
type noBook struct{}

var _ p2p.AddrBook = noBook{}

// AddAddress implements p2p.AddrBook.
func (noBook) AddAddress(*p2p.NetAddress, *p2p.NetAddress) error { return nil }

// AddPrivateIDs implements p2p.AddrBook.
func (noBook) AddPrivateIDs([]string) {}

// AddOurAddress implements p2p.AddrBook.
func (noBook) AddOurAddress(*p2p.NetAddress) {}

// OurAddress implements p2p.AddrBook.
func (noBook) OurAddress(*p2p.NetAddress) bool { return false }

// MarkGood implements p2p.AddrBook.
func (noBook) MarkGood(p2p.ID) {}

// RemoveAddress implements p2p.AddrBook.
func (noBook) RemoveAddress(*p2p.NetAddress) {}

// HasAddress implements p2p.AddrBook.
func (noBook) HasAddress(*p2p.NetAddress) bool { return false }

// Save implements p2p.AddrBook.
func (noBook) Save() {}
