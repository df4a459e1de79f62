package comet

import (
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/types"

	"souk/identity"
)

// maxRounds bounds how many rounds of one height are looked at for missed turns:
// after more than that, the network was at fault and not a server.
const maxRounds = 256

// missedTurns returns the validators whose turn to propose at a height came in a
// round before the one that decided it, each once, in turn order. The one whose
// round did decide it is not among them. See C-20.
//
// set is the validator set of that height, with the proposer priorities that
// consensus had at its round 0; it is not changed.
func missedTurns(set *types.ValidatorSet, decided int32) []identity.PublicKey {
	if set.IsNilOrEmpty() || decided <= 0 {
		return nil
	}
	turn := set.Copy()
	var missed []identity.PublicKey
	listed := make(map[identity.PublicKey]bool)
	for range min(decided, maxRounds) {
		if key := soukKey(turn.GetProposer()); !listed[key] {
			listed[key] = true
			missed = append(missed, key)
		}
		turn.IncrementProposerPriority(1)
	}
	if decided > maxRounds {
		return missed
	}
	decider := soukKey(turn.GetProposer())
	for i, key := range missed {
		if key == decider {
			return append(missed[:i], missed[i+1:]...)
		}
	}
	return missed
}

// soukKey is a validator's consensus key. Only Ed25519 keys are ever validators.
func soukKey(v *types.Validator) identity.PublicKey {
	return identity.PublicKey(v.PubKey.Bytes())
}

func cometKey(k identity.PublicKey) ed25519.PubKey { return ed25519.PubKey(k[:]) }
