package comet

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	abcicli "github.com/cometbft/cometbft/abci/client"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/libs/service"
	"github.com/cometbft/cometbft/proxy"
	"github.com/cometbft/cometbft/types"

	"souk/consensus"
	"souk/identity"
	"souk/merkle"
)

// Phases of an engine's life that decide what an error of the application does.
const (
	phaseReplay    = iota // Open is replaying blocks: the error is Open's
	phaseSync             // blocks come from peers in bulk
	phaseConsensus        // blocks are being decided
)

// bridge is the application as CometBFT sees it: the four connections of ABCI,
// without sockets, locks or copies between.
type bridge struct {
	app    consensus.Application
	shots  consensus.Snapshotter // nil if the application offers none
	chain  string
	stores *stores
	pool   *pool
	proof  *doubles
	log    *slog.Logger
	keep   int64           // newest blocks that are never forgotten
	lull   time.Duration   // how long a block without payloads is held back
	found  []byte          // the founding contract
	ctx    context.Context // the engine's life; ABCI hands in none
	phase  atomic.Int32
	halt   func(error) // told once, of the error that ends the engine

	// Owned by whoever executes blocks.
	executing int64
	block     [][]byte    // entries of the block being executed
	hashes    chan []hash // of the entries
	retained  int64

	mu     sync.Mutex
	height int64
	at     time.Time
}

var (
	_ proxy.AppConnConsensus = (*bridge)(nil)
	_ proxy.AppConnQuery     = queryConn{}
	_ proxy.AppConnSnapshot  = snapshotConn{}
)

// newest returns the height that was executed last here, and when.
func (b *bridge) newest() (int64, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.height, b.at
}

// synced notes that the state was restored from a snapshot.
func (b *bridge) synced(height int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.height, b.at = height, time.Now()
}

// Error implements proxy.AppConnConsensus.
func (*bridge) Error() error { return nil }

// InitChain implements proxy.AppConnConsensus.
func (b *bridge) InitChain(context.Context, *abci.RequestInitChain) (*abci.ResponseInitChain, error) {
	out, err := guard(func() (consensus.Outcome, error) { return b.app.Found(consensus.Founding{Contract: b.found}) })
	if err != nil {
		return nil, fmt.Errorf("found: %w", err)
	}
	if len(out.Validators) == 0 {
		return nil, errors.New("found: no validators")
	}
	for _, v := range out.Validators {
		if v.Power <= 0 {
			return nil, fmt.Errorf("found: validator %s has power %d", v.Key, v.Power)
		}
	}
	return &abci.ResponseInitChain{Validators: updates(out.Validators), AppHash: slices.Clone(out.Root[:])}, nil
}

// PrepareProposal implements proxy.AppConnConsensus. It never fails: a proposer
// with nothing to say proposes an empty block. Such a block follows every other one,
// since its header states the root that the other led to, and whoever sends a command
// meanwhile waits for two blocks; so it is held back for the moment in which clients
// answer an answer.
func (b *bridge) PrepareProposal(ctx context.Context, req *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	e := entries{turns: b.missed(req.Height, req.LocalLastCommit.Round)}
	e.doubles = b.proof.pending(b.members(req.Height))
	if len(e.doubles) == 0 {
		b.pool.await(b.lull)
	}
	size := 0
	for _, p := range b.app.Propose(time.Now(), uint64(req.Height), b.pool.oldest()) {
		if len(p) == 0 || len(p) > consensus.MaxPayload {
			b.log.ErrorContext(ctx, "application proposed a payload of a wrong size", slog.Int("bytes", len(p)))
			continue
		}
		if size += len(p); size > consensus.MaxBlock {
			break
		}
		e.payloads = append(e.payloads, p)
	}
	return &abci.ResponsePrepareProposal{Txs: encodeEntries(e)}, nil
}

// ProcessProposal implements proxy.AppConnConsensus. A refusal is a nil vote and
// no error, since an error would end consensus.
func (b *bridge) ProcessProposal(ctx context.Context, req *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	if err := b.verify(req); err != nil {
		b.log.WarnContext(ctx, "proposal refused", slog.Int64("height", req.Height), slog.String("reason", clip(err.Error())))
		return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_REJECT}, nil
	}
	return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_ACCEPT}, nil
}

func (b *bridge) verify(req *abci.RequestProcessProposal) error {
	e, err := parseEntries(req.Txs)
	if err != nil {
		return err
	}
	if want := b.missed(req.Height, req.ProposedLastCommit.Round); !slices.Equal(e.turns, want) {
		return fmt.Errorf("missed turns are %v, not %v: %w", want, e.turns, errEntry)
	}
	members := b.members(req.Height)
	for i := range e.doubles {
		d := &e.doubles[i]
		if err := d.verify(b.chain, members); err != nil {
			return err
		}
		if d.a.Height > req.Height {
			return fmt.Errorf("double signature at height %d: %w", d.a.Height, errEntry)
		}
		for j := range i {
			if e.doubles[j].key == d.key {
				return fmt.Errorf("two double signatures by %s: %w", d.key, errEntry)
			}
		}
	}
	proposer, err := b.keyOf(req.Height, req.ProposerAddress)
	if err != nil {
		return err
	}
	return b.app.Verify(b.ctx, time.Now(), consensus.Proposal{
		Height: uint64(req.Height), Proposer: proposer, Payloads: e.payloads,
	})
}

// FinalizeBlock implements proxy.AppConnConsensus.
func (b *bridge) FinalizeBlock(_ context.Context, req *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	e, err := parseEntries(req.Txs)
	if err != nil {
		return nil, b.fail(fmt.Errorf("decided block %d: %w", req.Height, err))
	}
	block := consensus.Block{Height: uint64(req.Height), Payloads: e.payloads, Missed: e.turns}
	if block.Proposer, err = b.keyOf(req.Height, req.ProposerAddress); err != nil {
		return nil, b.fail(err)
	}
	for i := range e.doubles {
		block.Evidence = append(block.Evidence, consensus.Misbehavior{
			Key: e.doubles[i].key, Height: uint64(e.doubles[i].a.Height),
		})
	}
	hashes := make(chan []hash, 1)
	go func() { hashes <- hashEntries(req.Txs) }() // beside the application, which takes longer
	out, err := guard(func() (consensus.Outcome, error) { return b.app.Finalize(block) })
	if err != nil {
		return nil, b.fail(fmt.Errorf("block %d: %w", req.Height, err))
	}
	changes, err := b.changes(req.Height, out.Validators)
	if err != nil {
		return nil, b.fail(fmt.Errorf("block %d: %w", req.Height, err))
	}
	b.executing, b.block, b.hashes = req.Height, req.Txs, hashes
	results := make([]*abci.ExecTxResult, len(req.Txs))
	for i := range results {
		results[i] = &abci.ExecTxResult{}
	}
	return &abci.ResponseFinalizeBlock{
		TxResults: results, ValidatorUpdates: changes, AppHash: slices.Clone(out.Root[:]),
	}, nil
}

func hashEntries(txs [][]byte) []hash {
	out := make([]hash, len(txs))
	for i, tx := range txs {
		out[i] = sha256.Sum256(tx)
	}
	return out
}

func payloadBytes(txs [][]byte) (size int) {
	for _, tx := range txs {
		size += len(tx)
	}
	return size
}

// Commit implements proxy.AppConnConsensus.
func (b *bridge) Commit(context.Context) (*abci.ResponseCommit, error) {
	retain, err := guard(b.app.Commit)
	if err != nil {
		return nil, b.fail(fmt.Errorf("commit block %d: %w", b.executing, err))
	}
	b.mu.Lock()
	b.height, b.at = b.executing, time.Now()
	b.mu.Unlock()
	if err := b.stores.archive(b.executing); err != nil {
		return nil, b.fail(fmt.Errorf("%w: %w", ErrFailed, err))
	}
	b.proof.committed(b.block)
	b.pool.committed(<-b.hashes, payloadBytes(b.block))
	b.block = nil
	return &abci.ResponseCommit{RetainHeight: b.retain(b.executing, retain)}, nil
}

// guard makes a panic of the application an error: it ends this engine and not
// the process, which may serve other chains.
func guard[T any](call func() (T, error)) (out T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("application panicked: %v", r)
		}
	}()
	return call()
}

// retain bounds what the application allows to forget: blocks it has not
// persisted yet would be missing after a crash, and the newest ones are what
// other servers catch up from. Blocks go in lots. See C-52.
func (b *bridge) retain(height int64, asked uint64) int64 {
	if asked == 0 || height%pruneEvery != 0 || b.phase.Load() == phaseReplay {
		return 0
	}
	least := min(int64(asked), int64(b.app.Info().Height)+1, height-b.keep)
	if least <= b.retained || least <= b.stores.blocks.Base() {
		return 0
	}
	b.retained = least
	return least
}

// fail tells the engine that it is at its end. While blocks are being decided,
// the error makes CometBFT's consensus goroutine stop, cleanly enough; while they
// are fetched in bulk it would bring down the process, so that goroutine ends here.
func (b *bridge) fail(err error) error {
	b.halt(err)
	if b.phase.Load() == phaseSync {
		runtime.Goexit()
	}
	return err
}

// missed is who missed a turn at the height before, as this replica's own
// consensus state has it. ABCI gives the round that decided that height.
func (b *bridge) missed(height int64, round int32) []identity.PublicKey {
	last := b.stores.state.newest()
	if last.LastBlockHeight != height-1 {
		return nil
	}
	return missedTurns(last.LastValidators, round)
}

// members is the validator set of the height that is being decided.
func (b *bridge) members(height int64) *types.ValidatorSet {
	if last := b.stores.state.newest(); last.LastBlockHeight == height-1 {
		return last.Validators
	}
	return types.NewValidatorSet(nil)
}

// keyOf finds the consensus key of a validator of a height by its address.
func (b *bridge) keyOf(height int64, address []byte) (identity.PublicKey, error) {
	set, err := b.stores.state.LoadValidatorsFast(height)
	if err != nil {
		return identity.PublicKey{}, fmt.Errorf("validators of height %d: %w", height, err)
	}
	_, v := set.GetByAddress(address)
	if v == nil {
		return identity.PublicKey{}, fmt.Errorf("%X is no validator at height %d: %w", address, height, errEntry)
	}
	return soukKey(v), nil
}

// changes makes the application's validators CometBFT's updates. What would
// change nothing is left out, and what CometBFT would refuse is refused here,
// where it can end one engine and not the process.
func (b *bridge) changes(height int64, want []consensus.Validator) ([]abci.ValidatorUpdate, error) {
	last := b.stores.state.newest()
	if len(want) == 0 || last.LastBlockHeight != height-1 {
		return updates(want), nil // replayed from the log: decided long ago
	}
	set := last.NextValidators.Copy()
	var real []consensus.Validator
	var change []*types.Validator
	for _, v := range want {
		_, now := set.GetByAddress(cometKey(v.Key).Address())
		if now == nil && v.Power == 0 || now != nil && now.VotingPower == v.Power {
			continue
		}
		real = append(real, v)
		change = append(change, types.NewValidator(cometKey(v.Key), v.Power))
	}
	if len(change) == 0 {
		return nil, nil
	}
	if err := set.UpdateWithChangeSet(change); err != nil {
		return nil, fmt.Errorf("validators: %w", err)
	}
	return updates(real), nil
}

func updates(vs []consensus.Validator) []abci.ValidatorUpdate {
	out := make([]abci.ValidatorUpdate, len(vs))
	for i, v := range vs {
		out[i] = abci.Ed25519ValidatorUpdate(slices.Clone(v.Key[:]), v.Power)
	}
	return out
}

// ExtendVote implements proxy.AppConnConsensus; vote extensions are not in use.
func (*bridge) ExtendVote(context.Context, *abci.RequestExtendVote) (*abci.ResponseExtendVote, error) {
	return &abci.ResponseExtendVote{}, nil
}

// VerifyVoteExtension implements proxy.AppConnConsensus.
func (*bridge) VerifyVoteExtension(context.Context, *abci.RequestVerifyVoteExtension) (*abci.ResponseVerifyVoteExtension, error) {
	return &abci.ResponseVerifyVoteExtension{Status: abci.ResponseVerifyVoteExtension_REJECT}, nil
}

// queryConn answers where the application stands.
type queryConn struct{ *bridge }

// Info implements proxy.AppConnQuery.
func (b queryConn) Info(context.Context, *abci.RequestInfo) (*abci.ResponseInfo, error) {
	info := b.app.Info()
	return &abci.ResponseInfo{LastBlockHeight: int64(info.Height), LastBlockAppHash: slices.Clone(info.Root[:])}, nil
}

// Echo implements proxy.AppConnQuery.
func (queryConn) Echo(_ context.Context, text string) (*abci.ResponseEcho, error) {
	return &abci.ResponseEcho{Message: text}, nil
}

// Query implements proxy.AppConnQuery; queries never come this way.
func (queryConn) Query(context.Context, *abci.RequestQuery) (*abci.ResponseQuery, error) {
	return &abci.ResponseQuery{Code: 1}, nil
}

// snapshotConn serves and takes copies of the state.
type snapshotConn struct{ *bridge }

// ListSnapshots implements proxy.AppConnSnapshot.
func (b snapshotConn) ListSnapshots(context.Context, *abci.RequestListSnapshots) (*abci.ResponseListSnapshots, error) {
	if b.shots == nil {
		return &abci.ResponseListSnapshots{}, nil
	}
	list, err := b.shots.Snapshots()
	if err != nil {
		return nil, err
	}
	out := &abci.ResponseListSnapshots{}
	for _, s := range list {
		out.Snapshots = append(out.Snapshots, &abci.Snapshot{
			Height: s.Height, Format: s.Format, Chunks: s.Chunks, Hash: s.Hash, Metadata: s.Metadata,
		})
	}
	return out, nil
}

// LoadSnapshotChunk implements proxy.AppConnSnapshot.
func (b snapshotConn) LoadSnapshotChunk(_ context.Context, req *abci.RequestLoadSnapshotChunk) (*abci.ResponseLoadSnapshotChunk, error) {
	if b.shots == nil {
		return &abci.ResponseLoadSnapshotChunk{}, nil
	}
	chunk, err := b.shots.Chunk(req.Height, req.Format, req.Chunk)
	if err != nil {
		return &abci.ResponseLoadSnapshotChunk{}, nil //nolint:nilerr // a peer asked for what is gone: tell it so
	}
	return &abci.ResponseLoadSnapshotChunk{Chunk: chunk}, nil
}

// OfferSnapshot implements proxy.AppConnSnapshot.
func (b snapshotConn) OfferSnapshot(ctx context.Context, req *abci.RequestOfferSnapshot) (*abci.ResponseOfferSnapshot, error) {
	refuse := &abci.ResponseOfferSnapshot{Result: abci.ResponseOfferSnapshot_REJECT}
	if b.shots == nil || req.Snapshot == nil || len(req.AppHash) != len(merkle.Hash{}) {
		return refuse, nil
	}
	s := req.Snapshot
	err := b.shots.Offer(consensus.Snapshot{
		Height: s.Height, Format: s.Format, Chunks: s.Chunks, Hash: s.Hash, Metadata: s.Metadata,
	}, merkle.Hash(req.AppHash))
	if err != nil {
		b.log.WarnContext(ctx, "snapshot refused", slog.Uint64("height", s.Height), slog.String("reason", clip(err.Error())))
		return refuse, nil
	}
	return &abci.ResponseOfferSnapshot{Result: abci.ResponseOfferSnapshot_ACCEPT}, nil
}

// ApplySnapshotChunk implements proxy.AppConnSnapshot.
func (b snapshotConn) ApplySnapshotChunk(ctx context.Context, req *abci.RequestApplySnapshotChunk) (*abci.ResponseApplySnapshotChunk, error) {
	if b.ctx.Err() != nil {
		return &abci.ResponseApplySnapshotChunk{Result: abci.ResponseApplySnapshotChunk_ABORT}, nil
	}
	_, err := b.shots.Restore(req.Index, req.Chunk)
	switch {
	case err == nil:
		return &abci.ResponseApplySnapshotChunk{Result: abci.ResponseApplySnapshotChunk_ACCEPT}, nil
	case errors.Is(err, consensus.ErrBadChunk):
		b.log.WarnContext(ctx, "snapshot chunk is bad", slog.Uint64("chunk", uint64(req.Index)), slog.String("peer", req.Sender))
		return &abci.ResponseApplySnapshotChunk{
			Result:        abci.ResponseApplySnapshotChunk_RETRY,
			RefetchChunks: []uint32{req.Index},
			RejectSenders: []string{req.Sender},
		}, nil
	}
	b.log.WarnContext(ctx, "snapshot does not restore", slog.String("reason", clip(err.Error())))
	return &abci.ResponseApplySnapshotChunk{Result: abci.ResponseApplySnapshotChunk_REJECT_SNAPSHOT}, nil
}

// connections is a bridge as CometBFT's handshake wants it.
type connections struct {
	service.BaseService
	bridge *bridge
}

var _ proxy.AppConns = (*connections)(nil)

// Mempool implements proxy.AppConns; the pool asks the application itself.
func (*connections) Mempool() proxy.AppConnMempool { return noMempool{} }

// Consensus implements proxy.AppConns.
func (c *connections) Consensus() proxy.AppConnConsensus { return c.bridge }

// Query implements proxy.AppConns.
func (c *connections) Query() proxy.AppConnQuery { return queryConn{c.bridge} }

// Snapshot implements proxy.AppConns.
func (c *connections) Snapshot() proxy.AppConnSnapshot { return snapshotConn{c.bridge} }

// noMempool is a mempool connection that nothing uses.
type noMempool struct{ proxy.AppConnMempool }

// SetResponseCallback implements proxy.AppConnMempool.
func (noMempool) SetResponseCallback(abcicli.Callback) {}
