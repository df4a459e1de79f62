package comet

import (
	"bytes"
	stded25519 "crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/cometbft/cometbft/crypto"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/protoio"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	"souk/identity"
)

// Errors of the private validator.
var (
	// ErrKeyInUse is returned by Open when another engine uses the folder of the consensus key.
	ErrKeyInUse = errors.New("consensus key is in use")
	// errSigned is returned for anything that may not be signed any more.
	errSigned = errors.New("refused: something as new or newer was signed")
)

// Steps of a round in the order in which a validator signs.
const (
	stepPropose   int8 = 1
	stepPrevote   int8 = 2
	stepPrecommit int8 = 3
)

// signer signs for a validator and never two different things of the same height,
// round and step, nor anything older than it has signed, whatever crashes. What
// it says last is on disk before it says it. See C-40 to C-44.
type signer struct {
	key    ed25519.PrivKey
	public ed25519.PubKey
	lock   *os.File

	mu  sync.Mutex
	log *signLog

	// Called with what was signed, before it goes through the write-ahead log.
	onVote     func(*cmtproto.Vote)
	onProposal func(*cmtproto.Proposal)
}

var _ types.PrivValidator = (*signer)(nil)

// openSigner takes the folder for this process alone.
func openSigner(dir string, key identity.PrivateKey) (*signer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make %s: %w", dir, err)
	}
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	public := key.Public()
	log, err := openSignLog(dir, public.String()[:16]+".signed")
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s := newSigner(key, log)
	s.lock = lock
	return s, nil
}

func newSigner(key identity.PrivateKey, log *signLog) *signer {
	return &signer{
		key: privateKey(key), public: cometKey(key.Public()), log: log,
		onVote: func(*cmtproto.Vote) {}, onProposal: func(*cmtproto.Proposal) {},
	}
}

// privateKey is an identity's key as CometBFT holds it.
func privateKey(key identity.PrivateKey) ed25519.PrivKey {
	seed := key.Seed()
	return ed25519.PrivKey(stded25519.NewKeyFromSeed(seed[:]))
}

// GetPubKey implements types.PrivValidator.
func (s *signer) GetPubKey() (crypto.PubKey, error) { return s.public, nil }

// SignVote implements types.PrivValidator. It may put back the time of the vote
// to that of the same vote signed before.
func (s *signer) SignVote(chain string, vote *cmtproto.Vote) error {
	step := stepPrevote
	switch vote.Type { //nolint:exhaustive // the others are no votes
	case cmtproto.PrevoteType:
	case cmtproto.PrecommitType:
		step = stepPrecommit
	default:
		return fmt.Errorf("sign vote of type %v: %w", vote.Type, errSigned)
	}
	if len(vote.Extension) > 0 {
		return fmt.Errorf("sign vote with an extension: %w", errSigned)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := mark{height: vote.Height, round: vote.Round, step: step, signed: types.VoteSignBytes(chain, vote)}
	sig, err := s.signOnce(m, func(old []byte) bool {
		var before cmtproto.CanonicalVote
		again := *vote
		if protoio.UnmarshalDelimited(old, &before) != nil {
			return false
		}
		again.Timestamp = before.Timestamp
		if !bytes.Equal(types.VoteSignBytes(chain, &again), old) {
			return false
		}
		vote.Timestamp = before.Timestamp
		return true
	})
	if err != nil {
		return fmt.Errorf("sign vote %d/%d/%d: %w", vote.Height, vote.Round, step, err)
	}
	vote.Signature = sig
	s.onVote(vote)
	return nil
}

// SignProposal implements types.PrivValidator. It may put back the time of the
// proposal to that of the same proposal signed before.
func (s *signer) SignProposal(chain string, p *cmtproto.Proposal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := mark{height: p.Height, round: p.Round, step: stepPropose, signed: types.ProposalSignBytes(chain, p)}
	sig, err := s.signOnce(m, func(old []byte) bool {
		var before cmtproto.CanonicalProposal
		again := *p
		if protoio.UnmarshalDelimited(old, &before) != nil {
			return false
		}
		again.Timestamp = before.Timestamp
		if !bytes.Equal(types.ProposalSignBytes(chain, &again), old) {
			return false
		}
		p.Timestamp = before.Timestamp
		return true
	})
	if err != nil {
		return fmt.Errorf("sign proposal %d/%d: %w", p.Height, p.Round, err)
	}
	p.Signature = sig
	s.onProposal(p)
	return nil
}

// signOnce signs something newer than everything signed before, or answers the
// old signature of the very same thing. same tells whether what was signed
// before differs in its time alone, and takes over that time.
func (s *signer) signOnce(m mark, same func(old []byte) bool) ([]byte, error) {
	last := &s.log.last
	switch order := last.compare(m.height, m.round, m.step); {
	case order > 0:
		return nil, fmt.Errorf("%w at %d/%d/%d", errSigned, last.height, last.round, last.step)
	case order == 0 && (bytes.Equal(last.signed, m.signed) || same(last.signed)):
		if s.log.broken != nil {
			return nil, s.log.broken
		}
		return bytes.Clone(last.sig), nil
	case order == 0:
		return nil, fmt.Errorf("%w, and it was different", errSigned)
	}
	sig, err := s.key.Sign(m.signed)
	if err != nil {
		return nil, err
	}
	m.sig = sig
	if err := s.log.put(m); err != nil {
		return nil, err
	}
	return bytes.Clone(sig), nil
}

// Close ends signing and gives the folder back.
func (s *signer) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.log.Close(), s.lock.Close())
}
