package comet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	cmtmath "github.com/cometbft/cometbft/libs/math"
	"github.com/cometbft/cometbft/types"

	"souk/consensus"
	"souk/identity"
	"souk/merkle"
)

// Bounds of a proof.
const (
	maxProofSteps   = 1 << 16
	maxProofEntries = 1 << 16
	// fetchPathWait is how long a server that joined looks for what leads to it from the founding.
	fetchPathWait = 2 * time.Minute
)

// Errors of proofs.
var (
	// ErrProof is returned by VerifyProof for what proves nothing.
	ErrProof = errors.New("not proven")
	// ErrNoProof is returned by Prove if what is stored does not suffice.
	ErrNoProof = errors.New("nothing here proves it")
)

// link is one step of a proof (C-90): a set of validators whose members and powers
// are proven, more than two thirds of which must have signed a later block.
type link struct {
	height int64
	set    *types.ValidatorSet
}

// founders is where every proof begins.
func founders(vs []consensus.Validator) (link, error) {
	all := make([]*types.Validator, len(vs))
	for i, v := range vs {
		if v.Power <= 0 {
			return link{}, fmt.Errorf("%w: genesis validator with power %d", ErrConfig, v.Power)
		}
		all[i] = types.NewValidator(cometKey(v.Key), v.Power)
	}
	if len(all) == 0 {
		return link{}, fmt.Errorf("%w: no genesis validators", ErrConfig)
	}
	return link{0, types.NewValidatorSet(all)}, nil
}

// step verifies a block by the set that was proven last, and answers the set that
// the block proves: that of the next height.
func (l link) step(chain string, b *lightBlock) (link, error) {
	if b.Height <= l.height {
		return l, fmt.Errorf("block %d follows block %d: %w", b.Height, l.height, ErrProof)
	}
	twoThirds := cmtmath.Fraction{Numerator: 2, Denominator: 3}
	if err := l.set.VerifyCommitLightTrusting(chain, b.Commit, twoThirds); err != nil {
		return l, fmt.Errorf("block %d is not signed by those whom block %d names: %w: %w", b.Height, l.height, ErrProof, err)
	}
	if err := b.ValidatorSet.VerifyCommit(chain, b.Commit.BlockID, b.Height, b.Commit); err != nil {
		return l, fmt.Errorf("block %d is not signed by its validators: %w: %w", b.Height, ErrProof, err)
	}
	return link{b.Height, b.next}, nil
}

// proof is a decided block, and the light blocks that lead to it from the founding.
type proof struct {
	path    []*lightBlock // the last is the block's
	entries [][]byte      // the block's content
}

// encode writes the number of light blocks as a uvarint and each behind its length,
// and then the block's entries likewise.
func (p *proof) encode() ([]byte, error) {
	out := binary.AppendUvarint(nil, uint64(len(p.path)))
	for _, b := range p.path {
		raw, err := b.encode()
		if err != nil {
			return nil, err
		}
		out = append(binary.AppendUvarint(out, uint64(len(raw))), raw...)
	}
	out = binary.AppendUvarint(out, uint64(len(p.entries)))
	for _, e := range p.entries {
		out = append(binary.AppendUvarint(out, uint64(len(e))), e...)
	}
	return out, nil
}

// cutParts reads parts behind their number.
func cutParts(raw []byte, most uint64) (parts [][]byte, rest []byte, err error) {
	count, n := binary.Uvarint(raw)
	if n <= 0 || count > most {
		return nil, nil, fmt.Errorf("number of parts: %w", ErrProof)
	}
	raw = raw[n:]
	for range count {
		part, more, ok := cutPart(raw)
		if !ok {
			return nil, nil, fmt.Errorf("cut short: %w", ErrProof)
		}
		parts, raw = append(parts, part), more
	}
	return parts, raw, nil
}

// VerifyProof verifies what Prove made (C-90): each light block is signed by more
// than two thirds of the validators that the one before names, from the first
// validators on, and the block's content is what the last header says. Times are not
// looked at: a proof may be as old as the keys that it is made of are safe.
// It returns ErrProof.
func VerifyProof(id merkle.Hash, validators []consensus.Validator, raw []byte) (consensus.Proven, error) {
	at, err := founders(validators)
	if err != nil {
		return consensus.Proven{}, err
	}
	path, rest, err := cutParts(raw, maxProofSteps)
	if err != nil {
		return consensus.Proven{}, err
	}
	txs, rest, err := cutParts(rest, maxProofEntries)
	if err != nil {
		return consensus.Proven{}, err
	}
	if len(path) == 0 || len(rest) > 0 {
		return consensus.Proven{}, fmt.Errorf("no light block, or something behind the last entry: %w", ErrProof)
	}
	var last *lightBlock
	for _, part := range path {
		if last, err = decodeLightBlock(ChainID(id), part); err != nil {
			return consensus.Proven{}, fmt.Errorf("%w: %w", ErrProof, err)
		}
		if at, err = at.step(ChainID(id), last); err != nil {
			return consensus.Proven{}, err
		}
	}
	return last.proves(txs)
}

// proves reads the content of a block whose header is verified.
func (b *lightBlock) proves(txs [][]byte) (consensus.Proven, error) {
	content := make(types.Txs, len(txs))
	for i, tx := range txs {
		content[i] = tx
	}
	if !bytes.Equal(content.Hash(), b.DataHash) {
		return consensus.Proven{}, fmt.Errorf("the content is not that of block %d: %w", b.Height, ErrProof)
	}
	e, err := parseEntries(txs)
	if err != nil {
		return consensus.Proven{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	_, proposer := b.ValidatorSet.GetByAddress(b.ProposerAddress)
	if proposer == nil || len(b.AppHash) != len(merkle.Hash{}) {
		return consensus.Proven{}, fmt.Errorf("header of block %d: %w", b.Height, ErrProof)
	}
	p := consensus.Proven{
		Block: consensus.Block{Height: uint64(b.Height), Payloads: e.payloads, Proposer: soukKey(proposer), Missed: e.turns},
		Root:  merkle.Hash(b.AppHash), Time: b.Time,
	}
	for i := range e.doubles {
		p.Block.Evidence = append(p.Block.Evidence, consensus.Misbehavior{Key: e.doubles[i].key, Height: uint64(e.doubles[i].a.Height)})
	}
	for i, sig := range b.Commit.Signatures {
		if sig.BlockIDFlag == types.BlockIDFlagCommit {
			p.Signers = append(p.Signers, identity.PublicKey(b.ValidatorSet.Validators[i].PubKey.Bytes()))
		}
	}
	return p, nil
}

// Prove proves the newest block of a folder whose engine is not open, which must be
// that of a height. It returns ErrNoProof, with a text that says what to do.
func Prove(dir string, id merkle.Hash, validators []consensus.Validator, height uint64) (raw []byte, err error) {
	at, err := founders(validators)
	if err != nil {
		return nil, err
	}
	s, err := openStores(blockDir(dir))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	state, err := s.state.Load()
	if err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	if state.ChainID != "" && state.ChainID != ChainID(id) {
		return nil, ErrOtherChain
	}
	head := s.blocks.Height()
	switch {
	case head == 0 || state.IsEmpty():
		return nil, fmt.Errorf("%w: no block is here yet", ErrNoProof)
	case head != int64(height) || state.LastBlockHeight != head:
		return nil, fmt.Errorf("%w: the newest block is %d, and the stored state is not that after the one before it, but after block %d: "+
			"the server did not stop orderly. Start it, and stop it again", ErrNoProof, head, height-1)
	}
	last, err := s.build(head)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoProof, err)
	}
	p := proof{}
	for _, tx := range s.blocks.LoadBlock(head).Txs {
		p.entries = append(p.entries, tx)
	}
	if p.path, err = s.path(ChainID(id), at, last); err != nil {
		return nil, fmt.Errorf("%w: what leads from the founding to block %d is not here; a member who has been there for longer can make the export: %w", ErrNoProof, head, err)
	}
	return p.encode()
}

// path finds archived light blocks that lead from a proven set to a block, leaving
// out what the next one makes needless.
func (s *stores) path(chain string, from link, to *lightBlock) (path []*lightBlock, err error) {
	if _, err := from.step(chain, to); err == nil {
		return []*lightBlock{to}, nil
	}
	it, err := s.state.db.Iterator(archiveKey(from.height+1), archiveKey(to.Height))
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	defer func() { _ = it.Close() }()
	var held *lightBlock // verified by from; kept if what follows it is not
	take := func(b *lightBlock) error {
		_, err := from.step(chain, b)
		if err != nil && held != nil {
			path = append(path, held)
			from = link{held.Height, held.next}
			_, err = from.step(chain, b)
		}
		held = b
		return err
	}
	for ; it.Valid(); it.Next() {
		b, err := decodeLightBlock(chain, it.Value())
		if err != nil {
			return nil, err
		}
		if err := take(b); err != nil {
			return nil, err
		}
	}
	if err := take(to); err != nil {
		return nil, err
	}
	return append(path, to), nil
}

// fetchPath asks another server for what leads from a proven set to a block.
func fetchPath(ctx context.Context, chain string, fetch Fetch, from link, to *lightBlock) (path []*lightBlock, err error) {
	for len(path) < maxProofSteps {
		next, err := from.step(chain, to)
		if err == nil {
			return append(path, to), nil
		}
		best, low, high := (*lightBlock)(nil), from.height, to.Height
		for high-low > 1 && best == nil {
			middle := low + (high-low)/2
			raw, ferr := fetch(ctx, uint64(middle))
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if ferr != nil { // nothing at or below it
				low = middle
				continue
			}
			b, derr := decodeLightBlock(chain, raw)
			if derr != nil || b.Height > middle {
				return nil, errors.Join(derr, ErrLightBlock)
			}
			if b.Height <= from.height {
				low = middle
				continue
			}
			var serr error
			if next, serr = from.step(chain, b); serr == nil {
				best = b
			}
			high = b.Height
		}
		if best == nil {
			return nil, err
		}
		path, from = append(path, best), next
	}
	return nil, ErrProof
}

// keepPath archives what leads from the founding to the block at which this server
// joined, as somebody has it, so that this server can prove its state too. That it
// cannot is said, and keeps it from nothing else.
func (a *assembly) keepPath(height int64) {
	e := a.engine
	ctx, cancel := context.WithTimeout(e.ctx, fetchPathWait)
	defer cancel()
	from, err := founders(e.cfg.StateSync.Validators)
	for _, fetch := range e.cfg.StateSync.Fetchers {
		if err != nil {
			break
		}
		if err = a.keepPathOf(ctx, fetch, from, height); err == nil {
			return
		}
		from, err = founders(e.cfg.StateSync.Validators)
	}
	if e.ctx.Err() == nil {
		e.log.Warn("this server cannot prove its state by the founding contract: an export has to be made by a member who has been there for longer",
			slog.Any("reason", err))
	}
}

func (a *assembly) keepPathOf(ctx context.Context, fetch Fetch, from link, height int64) error {
	chain := ChainID(a.engine.cfg.Genesis.ID)
	raw, err := fetch(ctx, uint64(height))
	if err != nil {
		return err
	}
	to, err := decodeLightBlock(chain, raw)
	if err != nil {
		return err
	}
	path, err := fetchPath(ctx, chain, fetch, from, to)
	if err != nil {
		return err
	}
	for _, b := range path {
		raw, err := b.encode()
		if err != nil {
			return err
		}
		if err := a.engine.stores.state.db.Set(archiveKey(b.Height), raw); err != nil {
			return fmt.Errorf("archive light block %d: %w", b.Height, err)
		}
	}
	return nil
}
