package comet

import (
	"bytes"
	"fmt"

	"github.com/cometbft/cometbft/types"
)

// Report takes two conflicting light blocks of one height, as a ForkError holds
// them, and accuses every current validator whose signature is on both. It
// returns how many are newly accused. It returns ErrLightBlock for blocks that do
// not conflict.
func (e *Engine) Report(a, b []byte) (int, error) {
	chain := ChainID(e.cfg.Genesis.ID)
	first, err := decodeLightBlock(chain, a)
	if err != nil {
		return 0, err
	}
	second, err := decodeLightBlock(chain, b)
	if err != nil {
		return 0, err
	}
	if first.Height != second.Height || bytes.Equal(first.Hash(), second.Hash()) {
		return 0, fmt.Errorf("the blocks do not conflict: %w", ErrLightBlock)
	}
	accused := 0
	for i, sig := range first.Commit.Signatures {
		if sig.BlockIDFlag != types.BlockIDFlagCommit {
			continue
		}
		for j, other := range second.Commit.Signatures {
			if other.BlockIDFlag != types.BlockIDFlagCommit || !bytes.Equal(sig.ValidatorAddress, other.ValidatorAddress) {
				continue
			}
			_, v := e.stores.state.newest().Validators.GetByAddress(sig.ValidatorAddress)
			if v != nil && e.proof.add(newDouble(soukKey(v), first.Commit.GetVote(int32(i)), second.Commit.GetVote(int32(j)))) {
				accused++
			}
		}
	}
	return accused, nil
}
