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

const (
	// fewLAN and fewWAN are how many blocks a server may be behind to leave block
	// sync alone: the votes and parts that others push bring it a block in one or two
	// round trips, while block sync first waits for four seconds.
	fewLAN = 256
	fewWAN = 8
	// askedFor is how long a server waits to hear from at least half of the others
	// how high they are before it is content with fewer; blocksFor is how long one
	// without which no block can be decided waits at all.
	askedFor  = 3 * time.Second
	blocksFor = time.Second
)

// blockSyncReactor is the library's, with an ear on which blocks the others have,
// and begun only when it is worth it.
type blockSyncReactor struct {
	*blocksync.Reactor

	mu      sync.Mutex
	bases   map[p2p.ID]int64 // the oldest block of every connected server
	heights map[p2p.ID]int64 // the newest one
	since   time.Time        // since when all bases are too high; zero: they are not
	choice  *choice          // how to begin; nil once that is decided
}

// choice is what decides how a server that starts catches up.
type choice struct {
	from   time.Time
	height int64  // own
	few    int64  // blocks that consensus itself can make up
	others int    // servers
	alone  bool   // no block can be decided without this server
	sync   func() // begin block sync
	vote   func() // begin consensus
}

var _ p2p.Reactor = (*blockSyncReactor)(nil)

// Receive implements p2p.Reactor.
func (r *blockSyncReactor) Receive(e p2p.Envelope) {
	m, ok := e.Message.(*bcproto.StatusResponse)
	if ok {
		r.mu.Lock()
		if m.Base > 0 {
			r.bases[e.Src.ID()] = m.Base
		}
		r.heights[e.Src.ID()] = m.Height
		r.mu.Unlock()
	}
	r.Reactor.Receive(e)
	if ok {
		r.choose(time.Now())
	}
}

// choose decides how to begin, once there is enough to go by. A server that hears
// of a height far above its own from more than a third of the others, so not from
// liars alone, syncs blocks; if at least half of the others have said how high they
// are and nobody is that far, consensus makes up the rest. After a while those who
// have spoken decide.
func (r *blockSyncReactor) choose(now time.Time) {
	r.mu.Lock()
	begin := r.chosen(now)
	if begin != nil {
		r.choice = nil
	}
	r.mu.Unlock()
	if begin != nil {
		begin()
	}
}

// chosen is how to begin; nil if that cannot be said yet. Under mu.
func (r *blockSyncReactor) chosen(now time.Time) func() {
	c := r.choice
	if c == nil {
		return nil
	}
	heard, far := len(r.heights), 0
	for _, h := range r.heights {
		if h > c.height+c.few {
			far++
		}
	}
	waited := now.Sub(c.from)
	switch {
	case 3*far > c.others, far == heard && far > 0 && waited > askedFor:
		return c.sync
	case 2*heard >= c.others && far == 0, heard > 0 && waited > askedFor, c.alone && waited > blocksFor:
		return c.vote
	}
	return nil
}

// RemovePeer implements p2p.Reactor.
func (r *blockSyncReactor) RemovePeer(peer p2p.Peer, reason any) {
	r.mu.Lock()
	delete(r.bases, peer.ID())
	delete(r.heights, peer.ID())
	r.mu.Unlock()
	r.Reactor.RemovePeer(peer, reason)
}

// behind tells whether this server can never catch up. One that begins from a
// snapshot misses no block before it has one, however long that takes.
func (a *assembly) behind(height int64, others int, now time.Time) bool {
	joining := a.syncFrom != nil && height == 0
	return !joining && a.blockSync.behind(height, others, now)
}

// behind tells whether at least half of the others are connected and all of these
// have said for a while that the block after height is gone.
func (r *blockSyncReactor) behind(height int64, others int, now time.Time) bool {
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
		r.since = now
	}
	return now.Sub(r.since) > behindFor
}
