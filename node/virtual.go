package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"souk/api"
	"souk/consensus/comet"
	"souk/exchange"
	"souk/identity"
	"souk/merkle"
	"souk/replica"
	"souk/signer"
	"souk/store"
	"souk/web"
)

// virtual is one virtual server at work on this server.
type virtual struct {
	node        *Node
	config      *VirtualConfig
	founding    *exchange.Founding
	id          exchange.ID
	dir         string
	log         *slog.Logger
	key         identity.PrivateKey // signs blocks
	nodeKey     identity.PrivateKey // names this server among its peers
	signer      *signer.Signer      // signs for banks; nil without banks
	own         ownCommands
	practiceKey identity.PrivateKey // gives play money; zero if none is given
	looked      atomic.Int64        // when watch last began to look, ms; 0: it starts the virtual server, which takes its time

	mu     sync.Mutex // guards what start and close change
	parts  *parts     // nil while it is down
	closed bool
}

// parts are what a running virtual server consists of; they are opened and
// closed together.
type parts struct {
	store   store.Store
	replica *replica.Replica
	engine  *comet.Engine
	origin  *os.File
	keeper  *keeper
	// archivist is nil if no archive is configured.
	archivist *archivist
	market    *recorder
	practice  *practice // nil if it gives no play money
}

func (n *Node) newVirtual(c *VirtualConfig) (*virtual, error) {
	f, err := ReadFounding(n.home.in(c.Founding))
	if err != nil {
		return nil, err
	}
	id := f.ID()
	v := &virtual{node: n, config: c, founding: f, id: id, dir: filepath.Dir(n.home.in(c.Founding))}
	v.log = v.logger(logNode)
	for role, key := range map[string]*identity.PrivateKey{RoleConsensus: &v.key, RoleNode: &v.nodeKey} {
		if *key, err = openKey(filepath.Join(n.home.in(c.Keys), role+".age"), role, n.opts.Pass); err != nil {
			wipe(v.key, v.nodeKey)
			return nil, err
		}
	}
	if n.config.Practice.Account != "" && c == &n.config.Virtual[0] {
		if err := n.config.Practice.refuse(f); err != nil {
			wipe(v.key, v.nodeKey)
			return nil, fmt.Errorf("%w: practice.give: %w", ErrConfig, err)
		}
		// What is offered besides keeps no server from its work: a restored home does not have this key.
		if v.practiceKey, err = openKey(n.home.in(n.config.Practice.Key), rolePractice, n.opts.Pass); err != nil {
			v.log.Error("this server gives no play money: souk practice key makes the key for it", slog.Any("error", err))
		}
	}
	if err := v.openSigner(); err != nil {
		wipe(v.key, v.nodeKey, v.practiceKey)
		return nil, err
	}
	return v, nil
}

// logger is the logger of a subsystem, for lines about this virtual server.
func (v *virtual) logger(subsystem string) *slog.Logger {
	return v.node.log(subsystem).With(slog.String("virtual_server", hex.EncodeToString(v.id[:8])))
}

// start opens everything and serves it.
func (v *virtual) start() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return errors.New("closed")
	}
	p, err := v.openParts()
	if err != nil {
		return err
	}
	v.parts = p
	p.keeper = v.keep(p)
	p.archivist = v.archive(p.replica)
	p.market = record(p.replica, v.log)
	served := web.Virtual{
		Founding: v.founding, Replica: face{p.replica}, Engine: p.engine, Self: v.key.Public(), Banks: v.health, Admit: v.mayAdmit(),
		Tape: p.market.tape, Dialect: p.market.public,
	}
	if p.practice != nil {
		served.Practice = p.practice
	}
	return v.node.web.Add(served)
}

func (v *virtual) openParts() (p *parts, err error) {
	p = &parts{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
			p = nil
		}
	}()
	if p.store, err = v.node.stores.open(v.dir, v.logger(logState)); err != nil {
		return p, fmt.Errorf("open state: %w", err)
	}
	events, err := v.node.config.Events.duration()
	if err != nil {
		return p, fmt.Errorf("events.keep %w", err)
	}
	rc := replica.Config{
		Founding: v.founding, Store: p.store, Pool: v.node.pool, Self: v.key.Public(), Logger: v.logger(logState), Audit: v.config.Audit,
		Keep: replica.Keep{Blocks: v.config.KeepBlocks, Days: v.config.HistoryDays, SnapshotEvery: v.config.SnapshotEvery, Events: events},
	}
	if v.founding.Origin != nil && v.config.Origin != "" {
		p.origin, err = os.Open(v.node.home.in(v.config.Origin))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // one that is gone is not missed once there is a state
			return p, fmt.Errorf("%w: %w", ErrOrigin, err)
		}
		if err == nil {
			if rc.Origin, err = replica.ReadExport(p.origin, verifyProof); err != nil {
				return p, fmt.Errorf("%w: %w", ErrOrigin, err)
			}
		}
	}
	if p.replica, err = replica.Open(rc); err != nil {
		return p, fmt.Errorf("load state: %w", err)
	}
	if v.founding.Origin != nil && rc.Origin == nil && !v.config.StateSync && errors.Is(p.replica.View(func(*exchange.State) {}), replica.ErrNotFounded) {
		return p, fmt.Errorf("%w is missing: %s", ErrOrigin, neededOrigin(v.node.home, v.founding))
	}
	ec, err := v.engineConfig(p.replica)
	if err != nil {
		return p, err
	}
	if p.engine, err = comet.Open(ec, p.replica); err != nil {
		return p, fmt.Errorf("start consensus: %w", err)
	}
	p.replica.Attach(p.engine)
	p.practice, err = v.practising(p.replica)
	return p, err
}

func (v *virtual) engineConfig(r *replica.Replica) (comet.Config, error) {
	c := comet.Config{
		Dir: filepath.Join(v.dir, "chain"), Key: v.key, NodeKey: v.nodeKey,
		Genesis: comet.Genesis{
			ID: merkle.Hash(v.id), Contract: v.founding.Append(nil), Time: time.UnixMilli(int64(v.founding.Created)),
		},
		Listen: v.config.Listen, Peers: v.foundingPeers(), Keep: v.config.KeepBlocks, Logger: v.logger(logConsensus),
	}
	if v.founding.Profile == exchange.ProfileWAN {
		c.Profile = comet.WAN
	}
	if peers, err := currentPeers(r, v.self()); err == nil {
		c.Peers = peers
	}
	links := v.node.links()
	c.Peers = links.peers(c.Peers)
	if err := links.serve(v.id, c.Listen); err != nil {
		return c, err
	}
	if !v.config.StateSync {
		return c, nil
	}
	var err error
	c.StateSync, err = v.stateSync()
	return c, err
}

// self is this server's name among its peers.
func (v *virtual) self() string { return comet.NodeID(v.nodeKey.Public()) }

// foundingPeers are the other servers of the founding contract.
func (v *virtual) foundingPeers() []string {
	var peers []string
	for i := range v.founding.Members {
		if p := v.founding.Members[i].P2P; !isNode(p, v.self()) {
			peers = append(peers, p)
		}
	}
	return peers
}

func isNode(peer, id string) bool {
	return len(peer) > len(id) && peer[:len(id)] == id && peer[len(id)] == '@'
}

// currentPeers are the other servers of the roster as it is.
func currentPeers(r *replica.Replica, self string) (peers []string, err error) {
	err = r.View(func(s *exchange.State) {
		for m := range s.Roster().Members {
			if !isNode(m.P2P, self) {
				peers = append(peers, m.P2P)
			}
		}
	})
	return peers, err
}

// stateSync says how to join without executing all blocks.
func (v *virtual) stateSync() (comet.StateSync, error) {
	s := comet.StateSync{Enabled: true, TrustHeight: v.config.TrustHeight, Validators: founders(v.founding)}
	if v.config.TrustHash != "" {
		hash, err := hex.DecodeString(v.config.TrustHash)
		if err != nil || len(hash) != len(s.TrustHash) {
			return s, fmt.Errorf("%w: trust_hash is not 64 hexadecimal digits", ErrConfig)
		}
		s.TrustHash = merkle.Hash(hash)
	}
	for i := range v.founding.Members {
		m := &v.founding.Members[i]
		if m.Consensus == v.key.Public() {
			continue
		}
		client, err := api.NewClient(api.Config{Servers: []string{m.URL}, ID: v.id})
		if err != nil {
			return s, err
		}
		url := m.URL
		s.Fetchers = append(s.Fetchers, func(ctx context.Context, height uint64) ([]byte, error) {
			return client.LightBlockFrom(ctx, url, height)
		})
	}
	return s, nil
}

// running are the parts, or nil while the virtual server is down.
func (v *virtual) running() *parts {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.parts
}

// down stops serving and closes the parts; start opens them again.
func (v *virtual) down() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.parts == nil {
		return nil
	}
	v.node.web.Stop(v.id)
	err := v.parts.close()
	v.parts = nil
	return err
}

func (v *virtual) close() error {
	err := v.down()
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	if v.signer != nil {
		err = errors.Join(err, v.signer.Close())
	}
	wipe(v.key, v.nodeKey, v.practiceKey)
	return err
}

// close closes what is open, in reverse.
func (p *parts) close() error {
	var errs []error
	if p.market != nil {
		p.market.close()
	}
	if p.archivist != nil {
		p.archivist.close()
	}
	if p.practice != nil {
		errs = append(errs, p.practice.close())
	}
	if p.keeper != nil {
		errs = append(errs, p.keeper.close())
	}
	if p.engine != nil {
		errs = append(errs, p.engine.Close())
	}
	if p.replica != nil {
		errs = append(errs, p.replica.Close())
	}
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	if p.origin != nil {
		errs = append(errs, p.origin.Close())
	}
	return errors.Join(errs...)
}
