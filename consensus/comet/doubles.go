package comet

import (
	"sync"

	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/types"

	"souk/identity"
)

// maxAccused bounds the validators of whom proofs are held.
const maxAccused = 256

// doubles holds proofs that validators signed twice until a block contains them.
// It stands where CometBFT has its evidence pool, whose proofs can only be checked
// by servers that have the headers of the time: one that joined from a snapshot
// would have to halt at a block that accuses somebody of earlier days. See C-30.
type doubles struct {
	chain string
	// spread sends a new proof on its way to the other servers.
	spread func(tx []byte)
	// members is the validator set of the next height.
	members func() *types.ValidatorSet

	mu      sync.Mutex
	proofs  map[identity.PublicKey]double
	settled map[identity.PublicKey]bool // a block has accused them since this engine opened
}

var _ sm.EvidencePool = (*doubles)(nil)

func newDoubles(chain string, members func() *types.ValidatorSet) *doubles {
	return &doubles{
		chain: chain, members: members, spread: func([]byte) {},
		proofs: make(map[identity.PublicKey]double), settled: make(map[identity.PublicKey]bool),
	}
}

// ReportConflictingVotes is called by consensus, which has verified both votes.
func (d *doubles) ReportConflictingVotes(a, b *types.Vote) {
	set := d.members()
	if set.IsNilOrEmpty() {
		return
	}
	_, v := set.GetByAddress(a.ValidatorAddress)
	if v == nil {
		return
	}
	d.add(newDouble(soukKey(v), a, b))
}

// add keeps a proof that checks and is news.
func (d *doubles) add(proof double) bool {
	d.mu.Lock()
	_, known := d.proofs[proof.key]
	known = known || d.settled[proof.key] || len(d.proofs) >= maxAccused
	d.mu.Unlock()
	if known || proof.verify(d.chain, d.members()) != nil {
		return false
	}
	d.mu.Lock()
	d.proofs[proof.key] = proof
	d.mu.Unlock()
	d.spread(proof.encode())
	return true
}

// pending returns proofs for the next block.
func (d *doubles) pending(members *types.ValidatorSet) []double {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.proofs) == 0 || members.IsNilOrEmpty() {
		return nil
	}
	var out []double
	for _, v := range members.Validators { // in one order everywhere, though it need not be
		proof, ok := d.proofs[soukKey(v)]
		if ok && len(out) < maxDoubles {
			out = append(out, proof)
		}
	}
	return out
}

// waits tells whether a proof against a member waits for a block.
func (d *doubles) waits() bool { return len(d.pending(d.members())) > 0 }

// committed settles the accusations of a block.
func (d *doubles) committed(txs [][]byte) {
	for _, tx := range txs {
		if tx[0] != entryDouble {
			continue
		}
		d.mu.Lock()
		key := identity.PublicKey(tx[1 : 1+keySize])
		delete(d.proofs, key)
		d.settled[key] = true
		d.mu.Unlock()
	}
}

// PendingEvidence implements sm.EvidencePool: CometBFT's evidence stays out of blocks.
func (*doubles) PendingEvidence(int64) ([]types.Evidence, int64) { return nil, 0 }

// AddEvidence implements sm.EvidencePool.
func (*doubles) AddEvidence(types.Evidence) error { return errEntry }

// Update implements sm.EvidencePool.
func (*doubles) Update(sm.State, types.EvidenceList) {}

// CheckEvidence implements sm.EvidencePool. The consensus parameters leave no room
// for any, so that no block with some gets this far.
func (*doubles) CheckEvidence(list types.EvidenceList) error {
	if len(list) > 0 {
		return errEntry
	}
	return nil
}
