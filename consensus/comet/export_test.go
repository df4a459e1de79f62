package comet

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/p2p"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/types"

	"souk/consensus"
	"souk/identity"
	"souk/merkle"
)

// For tests of the private validator.
type (
	Signer   = signer
	SignFile = signFile
)

var OpenSigner = openSigner

const SignLogSize = slotSize * slotCount

// SignerOn returns a signer on a file, as openSigner does on a real one.
func SignerOn(file SignFile, key identity.PrivateKey) (*Signer, error) {
	log, err := readSignLog(file)
	if err != nil {
		return nil, err
	}
	return newSigner(key, log), nil
}

// For tests of turns, entries and light blocks.
var (
	MissedTurns = missedTurns
	CometKey    = cometKey
)

// Reencode parses a block's transactions and writes them again.
func Reencode(txs [][]byte) ([][]byte, error) {
	e, err := parseEntries(txs)
	if err != nil {
		return nil, err
	}
	return encodeEntries(e), nil
}

// ReencodeLight decodes a light block and writes it again.
func ReencodeLight(chain string, raw []byte) ([]byte, error) {
	b, err := decodeLightBlock(chain, raw)
	if err != nil {
		return nil, err
	}
	return b.encode()
}

// EncodeLight encodes a light block made by a test.
func EncodeLight(b *types.LightBlock, next *types.ValidatorSet) ([]byte, error) {
	return (&lightBlock{b, next}).encode()
}

// VerifyProposal has an engine judge the entries of a proposal for the next height.
// It answers an error if the engine would not vote for them.
func (e *Engine) VerifyProposal(lastRound int32, txs [][]byte) error {
	state := e.stores.state.newest()
	resp, err := e.bridge.ProcessProposal(e.ctx, &abci.RequestProcessProposal{
		Height: state.LastBlockHeight + 1, Txs: txs, ProposedLastCommit: abci.CommitInfo{Round: lastRound},
		ProposerAddress: state.Validators.Validators[0].Address,
	})
	if err == nil && !resp.IsAccepted() {
		err = errors.New("it is refused")
	}
	return err
}

// TurnsEntry and PayloadEntry make entries of a block.
func TurnsEntry(keys ...identity.PublicKey) []byte { return encodeEntries(entries{turns: keys})[0] }

var PayloadEntry = payloadEntry

// DoubleEntry makes an entry that accuses a key of two votes.
func DoubleEntry(key identity.PublicKey, a, b *types.Vote) []byte {
	d := newDouble(key, a, b)
	return d.encode()
}

// Newest returns an engine's state, and StoredSet the validator set of a height,
// from the database and not from memory.
func (e *Engine) Newest() sm.State { return e.stores.state.newest() }

func (e *Engine) StoredSet(height int64) (*types.ValidatorSet, error) {
	return newStateStore(e.stores.state.db).LoadValidators(height)
}

// Turns returns who missed their turns at the heights up to one, by the rounds of the
// commits that are stored and the sets of those heights.
func (e *Engine) Turns(last int64) ([]string, error) {
	var all []string
	for h := int64(1); h <= last; h++ {
		set, err := e.StoredSet(h)
		if err != nil {
			return nil, err
		}
		commit := e.stores.blocks.LoadBlockCommit(h)
		if commit == nil {
			return nil, ErrNoBlock
		}
		for _, k := range missedTurns(set, commit.Round) {
			all = append(all, k.String())
		}
	}
	return all, nil
}

// DecodeLight decodes a light block for a test that forges another.
func DecodeLight(chain string, raw []byte) (*types.LightBlock, *types.ValidatorSet, error) {
	b, err := decodeLightBlock(chain, raw)
	if err != nil {
		return nil, nil, err
	}
	return b.LightBlock, b.next, nil
}

// BreakStore makes the disk under the state store fail.
func (e *Engine) BreakStore() { _ = e.stores.db.(*lateDB).DB.Close() }

// ExactSets returns the validator sets of a height as state sync would take them.
func ExactSets(ctx context.Context, c *LightClient, height uint64) (now, next *types.ValidatorSet, err error) {
	b, err := (&stateProvider{client: c}).exact(ctx, height)
	if err != nil {
		return nil, nil, err
	}
	return b.ValidatorSet, b.next, nil
}

// ErrTurns is the error of servers that disagree about turns.
var ErrTurns = errTurns

// RewindState writes an older state into the database below a closed engine's
// folder, as a loss of power would leave it.
func RewindState(dir string, state sm.State) error {
	s, err := openStores(blockDir(dir))
	if err != nil {
		return err
	}
	return errors.Join(s.state.Store.Save(state), s.Close())
}

// Behind asks for a minute whether a server that begins from a snapshot,
// or not, takes itself to be behind three others whose oldest block is base.
func Behind(fromSnapshot bool, height, base int64) bool {
	a := &assembly{blockSync: &blockSyncReactor{bases: map[p2p.ID]int64{"a": base, "b": base, "c": base}}}
	if fromSnapshot {
		a.syncFrom = &sm.State{}
	}
	behind := false
	for second := range 60 {
		behind = a.behind(height, 3, time.Unix(1_700_000_000+int64(second), 0))
	}
	return behind
}

// Pool opens the pool of payloads.
type Pool struct{ *pool }

// NewPool returns an empty one.
func NewPool() *Pool {
	return &Pool{newPool(func() (time.Time, bool) { return time.Time{}, false }, func() bool { return false }, func() bool { return false })}
}

// Add puts a payload in, and Oldest is what an application that proposes is shown.
func (p *Pool) Add(payload []byte, source p2p.ID) error {
	tx := payloadEntry(payload)
	return p.add(sha256.Sum256(tx), tx, source)
}

func (p *Pool) Oldest() [][]byte { return p.oldest() }

// Choose is how a server begins that has heard of heights and waited so long.
func Choose(height, few int64, others int, alone bool, heights []int64, waited time.Duration) (begin string) {
	now := time.Now()
	r := &blockSyncReactor{heights: make(map[p2p.ID]int64), choice: &choice{
		from: now.Add(-waited), height: height, few: few, others: others, alone: alone,
		sync: func() { begin = "sync" }, vote: func() { begin = "vote" },
	}}
	for i, h := range heights {
		r.heights[p2p.ID(rune('a'+i))] = h
	}
	r.choose(now)
	return begin
}

// Archive is an archive of light blocks.
type Archive struct{ s *stores }

// OpenArchive makes an archive that holds block 1.
func OpenArchive(t testing.TB, first []byte) *Archive {
	t.Helper()
	s, err := openStores(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	a := &Archive{s}
	a.Add(t, 1, first)
	return a
}

// Add archives a light block.
func (a *Archive) Add(t testing.TB, height int64, raw []byte) {
	t.Helper()
	if err := a.s.state.db.Set(archiveKey(height), raw); err != nil {
		t.Fatal(err)
	}
}

// Len is how many light blocks are archived.
func (a *Archive) Len(t testing.TB) (n int) {
	t.Helper()
	it, err := a.s.state.db.Iterator(archiveKey(0), archiveKey(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = it.Close() }()
	for ; it.Valid(); it.Next() {
		n++
	}
	return n
}

// Thin forgets what was archived before a time and is not needed.
func (a *Archive) Thin(t testing.TB, chain string, before time.Time) {
	t.Helper()
	a.s.state.last.ChainID = chain
	if err := a.s.thin(before); err != nil {
		t.Fatal(err)
	}
}

// Path is what leads from the founding to a light block.
func (a *Archive) Path(id merkle.Hash, vs []consensus.Validator, to []byte) ([][]byte, error) {
	return pathOf(id, vs, to, func(from link, b *lightBlock) ([]*lightBlock, error) { return a.s.path(ChainID(id), from, b) })
}

// Fetched is Path for a server that has nothing and asks for it.
func (a *Archive) Fetched(ctx context.Context, id merkle.Hash, vs []consensus.Validator, to []byte) ([][]byte, error) {
	fetch := func(_ context.Context, height uint64) ([]byte, error) { return a.s.archived(int64(height)) }
	return pathOf(id, vs, to, func(from link, b *lightBlock) ([]*lightBlock, error) {
		return fetchPath(ctx, ChainID(id), fetch, from, b)
	})
}

func pathOf(id merkle.Hash, vs []consensus.Validator, to []byte, find func(link, *lightBlock) ([]*lightBlock, error)) (all [][]byte, err error) {
	from, err := founders(vs)
	if err != nil {
		return nil, err
	}
	b, err := decodeLightBlock(ChainID(id), to)
	if err != nil {
		return nil, err
	}
	path, err := find(from, b)
	for _, b := range path {
		raw, err := b.encode()
		if err != nil {
			return nil, err
		}
		all = append(all, raw)
	}
	return all, err
}
