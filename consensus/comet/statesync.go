package comet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/cometbft/cometbft/p2p"
	cmtstate "github.com/cometbft/cometbft/proto/tendermint/state"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/statesync"
	"github.com/cometbft/cometbft/types"
	"github.com/cometbft/cometbft/version"

	"souk/merkle"
)

const (
	// discover is how long servers may take to name their snapshots: the least
	// the library allows.
	discover = 5 * time.Second
	// syncAgain is the pause after a state sync that failed.
	syncAgain = 3 * time.Second
	// sayEvery is after how many searches for a snapshot that there is none is said again.
	sayEvery = 13
)

// errTurns is returned when servers disagree about whose turn to propose it is,
// which no header tells.
var errTurns = errors.New("no two servers agree about the validators' turns")

// stateProvider answers what a fresh server has to believe about a height before
// it has seen any block: from light blocks that are verified and confirmed.
type stateProvider struct {
	client  *LightClient
	genesis sm.State
}

var _ statesync.StateProvider = (*stateProvider)(nil)

// AppHash implements statesync.StateProvider.
func (p *stateProvider) AppHash(ctx context.Context, height uint64) ([]byte, error) {
	b, err := p.client.at(ctx, height+1) // which has the root after height
	if err != nil {
		return nil, err
	}
	return b.AppHash, nil
}

// Commit implements statesync.StateProvider.
func (p *stateProvider) Commit(ctx context.Context, height uint64) (*types.Commit, error) {
	b, err := p.client.at(ctx, height)
	if err != nil {
		return nil, err
	}
	return b.Commit, nil
}

// State implements statesync.StateProvider.
func (p *stateProvider) State(ctx context.Context, height uint64) (sm.State, error) {
	last, err := p.exact(ctx, height)
	if err != nil {
		return sm.State{}, err
	}
	current, err := p.exact(ctx, height+1)
	if err != nil {
		return sm.State{}, err
	}
	state := p.genesis.Copy()
	state.Version = cmtstate.Version{Consensus: current.Version, Software: version.TMCoreSemVer}
	state.LastBlockHeight = last.Height
	state.LastBlockTime = last.Time
	state.LastBlockID = last.Commit.BlockID
	state.AppHash = current.AppHash
	state.LastResultsHash = current.LastResultsHash
	state.LastValidators = last.ValidatorSet
	state.Validators = current.ValidatorSet
	state.NextValidators = current.next
	state.LastHeightValidatorsChanged = current.Height + 1
	state.LastHeightConsensusParamsChanged = current.Height
	return state, nil
}

// exact returns a verified block with validator sets as two servers have them,
// turns included: headers prove members and powers only.
func (p *stateProvider) exact(ctx context.Context, height uint64) (*lightBlock, error) {
	b, err := p.client.at(ctx, height)
	if err != nil {
		return nil, err
	}
	var seen [][]byte
	for _, a := range p.client.fetchAll(ctx, p.client.cfg.Sources, height) {
		if !bytes.Equal(a.block.Hash(), b.Hash()) {
			continue
		}
		set, err := encodeSet(a.block.ValidatorSet)
		if err != nil {
			return nil, err
		}
		next, err := encodeSet(a.block.next)
		if err != nil {
			return nil, err
		}
		both := bytes.Join([][]byte{set, next}, nil)
		for _, other := range seen {
			if bytes.Equal(both, other) {
				return &lightBlock{LightBlock: &types.LightBlock{SignedHeader: b.SignedHeader, ValidatorSet: a.block.ValidatorSet}, next: a.block.next}, nil
			}
		}
		seen = append(seen, both)
	}
	return nil, fmt.Errorf("height %d: %w", height, errTurns)
}

// syncState begins the chain from a snapshot, trying until it succeeds or the
// engine closes, and then lets block sync go on from there.
func (a *assembly) syncState() {
	e := a.engine
	for e.ctx.Err() == nil {
		err := a.syncOnce()
		if err == nil || e.ctx.Err() != nil {
			return
		}
		e.log.Warn("state sync failed, trying again", slog.String("reason", clip(err.Error())))
		select {
		case <-e.ctx.Done():
		case <-time.After(syncAgain):
		}
	}
}

func (a *assembly) syncOnce() error {
	e := a.engine
	s := e.cfg.StateSync
	light := LightConfig{
		ID:    e.cfg.Genesis.ID,
		Trust: Trust{Validators: s.Validators, Height: s.TrustHeight, Hash: s.TrustHash},
	}
	for i, fetch := range s.Fetchers {
		light.Sources = append(light.Sources, Source{Name: fmt.Sprintf("server %d", i+1), Fetch: fetch})
	}
	client, err := NewLightClient(e.ctx, light)
	if err != nil {
		return fmt.Errorf("light client: %w", err)
	}
	state, commit, err := a.stateSync.Sync(&stateProvider{client: client, genesis: *a.syncFrom}, discover)
	if err != nil {
		return err
	}
	a.bootstrap.Lock()
	defer a.bootstrap.Unlock()
	if e.ctx.Err() != nil {
		return e.ctx.Err()
	}
	if err := e.stores.state.Bootstrap(state); err != nil {
		return fmt.Errorf("keep state: %w", err)
	}
	if err := e.stores.blocks.SaveSeenCommit(state.LastBlockHeight, commit); err != nil {
		return fmt.Errorf("keep commit: %w", err)
	}
	e.bridge.synced(state.LastBlockHeight)
	e.log.Info("state restored from a snapshot", slog.Int64("height", state.LastBlockHeight),
		slog.String("root", merkle.Hash(state.AppHash).String()))
	e.wg.Go(func() { a.keepPath(state.LastBlockHeight) })
	return a.blockSync.Enable(state)
}

// stateSyncReactor is the library's, which looks for snapshots for ever: when the
// engine has closed, its search ends here.
type stateSyncReactor struct {
	*statesync.Reactor
	quit <-chan struct{}
	log  *slog.Logger
}

// SetSwitch implements p2p.Reactor.
func (r *stateSyncReactor) SetSwitch(sw p2p.Switcher) {
	r.Reactor.SetSwitch(&quittingSwitch{Switcher: sw, quit: r.quit, log: r.log})
}

// quittingSwitch is the switch as the search for snapshots sees it.
type quittingSwitch struct {
	p2p.Switcher
	quit  <-chan struct{}
	log   *slog.Logger
	asked int // how often it began
}

// BroadcastAsync implements p2p.Switcher. The search calls it, in its own
// goroutine, every time it begins anew.
func (s *quittingSwitch) BroadcastAsync(e p2p.Envelope) {
	select {
	case <-s.quit:
		runtime.Goexit()
	default:
		if s.asked++; s.asked == 2 || s.asked%sayEvery == 0 {
			s.log.Warn("no server has offered a copy of the state to begin from: they make one every so many blocks (snapshot_every), and a young chain has none; this waits for one; to execute all blocks instead, stop, and join again with --state-sync=false",
				slog.Duration("waited", time.Duration(s.asked-1)*discover))
		}
		s.Switcher.BroadcastAsync(e)
	}
}
