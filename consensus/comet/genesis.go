package comet

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/types"

	"souk/consensus"
	"souk/merkle"
)

const (
	// chainBytes is how many bytes of the virtual server's id make its chain id:
	// CometBFT allows 50 characters, two of which make a byte.
	chainBytes = 20
	// blockOverhead is what a block may hold besides payloads: header, commit, entries' framing.
	blockOverhead = 1 << 20
)

// Genesis is where a chain begins. All replicas must be given the same.
type Genesis struct {
	// ID is the virtual server's id: the hash of its founding contract.
	ID merkle.Hash
	// Contract is the founding contract as canonical bytes, handed to Application.Found.
	Contract []byte
	// Time is the founding's time, and the first block's. It must not lie in the future.
	Time time.Time
}

// ChainID is the name under which a chain's servers know each other and sign.
func ChainID(id merkle.Hash) string { return hex.EncodeToString(id[:chainBytes]) }

// document is the genesis as CometBFT wants it. Validators are not in it: they
// are what the application answers to Found.
func (g Genesis) document() (*types.GenesisDoc, error) {
	doc := &types.GenesisDoc{
		GenesisTime:     g.Time.UTC(),
		ChainID:         ChainID(g.ID),
		InitialHeight:   1,
		ConsensusParams: consensusParams(),
	}
	if g.ID.IsZero() || g.Time.IsZero() {
		return nil, fmt.Errorf("%w: genesis has no id or no time", ErrConfig)
	}
	if err := doc.ValidateAndComplete(); err != nil {
		return nil, fmt.Errorf("%w: genesis: %w", ErrConfig, err)
	}
	return doc, nil
}

// consensusParams are the rules of every chain. They never change, so that a
// light client needs no proof of them.
func consensusParams() *types.ConsensusParams {
	p := types.DefaultConsensusParams()
	p.Block.MaxBytes = consensus.MaxBlock + blockOverhead
	p.Block.MaxGas = -1
	p.Validator.PubKeyTypes = []string{ed25519.KeyType}
	// CometBFT's own evidence stays out of blocks (C-30), and so nothing has to be
	// kept for it: headers go when their blocks go.
	p.Evidence = types.EvidenceParams{MaxAgeNumBlocks: 1, MaxAgeDuration: time.Millisecond, MaxBytes: 0}
	return p
}
