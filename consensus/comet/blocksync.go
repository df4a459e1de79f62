package comet

import (
	"sync"
	"time"

	"github.com/cometbft/cometbft/blocksync"
	"github.com/cometbft/cometbft/p2p"
	bcproto "github.com/cometbft/cometbft/proto/tendermint/blocksync"
)

// behindFor is how long the others must say that they have forgotten the next
// block before this server believes that it cannot catch up.
const behindFor = 10 * time.Second

// blockSyncReactor is the library's, with an ear on which blocks the others have.
type blockSyncReactor struct {
	*blocksync.Reactor

	mu    sync.Mutex
	bases map[p2p.ID]int64 // the oldest block of every connected server
	since time.Time        // since when all of them are too high; zero: they are not
}

var _ p2p.Reactor = (*blockSyncReactor)(nil)

// Receive implements p2p.Reactor.
func (r *blockSyncReactor) Receive(e p2p.Envelope) {
	if m, ok := e.Message.(*bcproto.StatusResponse); ok && m.Base > 0 {
		r.mu.Lock()
		r.bases[e.Src.ID()] = m.Base
		r.mu.Unlock()
	}
	r.Reactor.Receive(e)
}

// RemovePeer implements p2p.Reactor.
func (r *blockSyncReactor) RemovePeer(peer p2p.Peer, reason any) {
	r.mu.Lock()
	delete(r.bases, peer.ID())
	r.mu.Unlock()
	r.Reactor.RemovePeer(peer, reason)
}

// behind tells whether at least half of the others are connected and all of these
// have said for a while that the block after height is gone.
func (r *blockSyncReactor) behind(height int64, others int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := 0
	for _, base := range r.bases {
		if base > height+1 {
			gone++
		}
	}
	if gone == 0 || gone < len(r.bases) || 2*gone < others {
		r.since = time.Time{}
		return false
	}
	if r.since.IsZero() {
		r.since = time.Now()
	}
	return time.Since(r.since) > behindFor
}
