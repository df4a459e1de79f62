package comet

import (
	"container/list"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/p2p/conn"
	protomem "github.com/cometbft/cometbft/proto/tendermint/mempool"

	"souk/consensus"
)

const (
	payloadChannel = byte(0x30)
	// maxGossip is the largest message: an entry and its framing.
	maxGossip = consensus.MaxPayload + 64

	// Kinds of messages. An entry is whole; the others list hashes.
	gossipEntry = 0x01
	gossipHave  = 0x02
	gossipWant  = 0x03
	maxHashes   = 512

	// maxUnchecked and maxUncheckedBytes are what one peer may have in the queue
	// of the workers that check.
	maxUnchecked      = 64
	maxUncheckedBytes = 8 << 20
	// maxOutbox is how many things wait to be sent to one peer.
	maxOutbox = 4096
	// maxSeen is how many entries a peer is known to have.
	maxSeen = 1 << 14
	// maxAsked is how many entries one peer is asked for at a time.
	maxAsked = 1 << 12
	// wantDelay is how long an announced entry may still come by itself before
	// it is asked for; wantAgain after which it is asked for again.
	wantDelay = 50 * time.Millisecond
	wantAgain = time.Second
	// announceAge is the age at which what waits is announced to all, again and
	// again: to those who joined late and those who had to drop it.
	announceAge   = time.Second
	announceEvery = time.Second
	// badLimit is how many payloads that fail Check a peer may send at once; they
	// are forgiven at badPerSec. Beyond it the peer is cut off for a while.
	badLimit  = 64
	badPerSec = 1
	cutOff    = 30 * time.Second
)

// gossip carries payloads between servers before a block contains them: the
// server that made one sends it to all it is connected with, and every server
// tells its other peers that it has it, so that they ask where it did not arrive.
// Nothing is checked where messages arrive, since that would hold up votes.
type gossip struct {
	p2p.BaseReactor
	app  consensus.Application
	pool *pool
	// proof takes a double signature that came from a peer. It returns an error if
	// it is none.
	proof func([]byte) error
	// caughtUp is called when this server begins to follow the chain block by block.
	caughtUp func()
	log      *slog.Logger
	ctx      context.Context // the engine's life
	work     chan unchecked
	open     atomic.Bool // following the chain: payloads make sense
	wg       sync.WaitGroup

	mu     sync.Mutex
	peers  map[p2p.ID]*gossipPeer
	wanted map[hash]want  // what was asked for
	asks   map[p2p.ID]int // how much of that of each peer
	cut    map[p2p.ID]time.Time
	score  map[p2p.ID]*badness
}

// unchecked is an entry as it came.
type unchecked struct {
	from *gossipPeer
	tx   []byte
}

// badness counts payloads of a peer that failed Check. It outlives connections.
type badness struct {
	count float64
	at    time.Time
	total uint64
}

// gossipPeer is one connection.
type gossipPeer struct {
	p2p.Peer
	poke chan struct{}

	mu        sync.Mutex
	outbox    *list.List // of [][]byte messages or hashes to send
	seen      map[hash]struct{}
	seenOrder []hash
	seenAt    int
	queued    int // of its entries in the work queue
	queuedLen int
}

// outgoing is one thing in a peer's outbox.
type outgoing struct {
	kind byte
	hash hash
}

var _ p2p.Reactor = (*gossip)(nil)

func newGossip(ctx context.Context, app consensus.Application, pool *pool, log *slog.Logger) *gossip {
	g := &gossip{
		app: app, pool: pool, log: log, ctx: ctx, proof: func([]byte) error { return nil }, caughtUp: func() {},
		work:  make(chan unchecked, 1024),
		peers: make(map[p2p.ID]*gossipPeer), wanted: make(map[hash]want), asks: make(map[p2p.ID]int),
		cut: make(map[p2p.ID]time.Time), score: make(map[p2p.ID]*badness),
	}
	g.BaseReactor = *p2p.NewBaseReactor("Payloads", g)
	return g
}

// GetChannels implements p2p.Reactor.
func (*gossip) GetChannels() []*conn.ChannelDescriptor {
	return []*conn.ChannelDescriptor{{
		ID: payloadChannel, Priority: 5, SendQueueCapacity: 16,
		RecvMessageCapacity: maxGossip, MessageType: &protomem.Message{},
	}}
}

// OnStart implements service.Service.
func (g *gossip) OnStart() error {
	for range max(2, runtime.GOMAXPROCS(0)) {
		g.wg.Go(g.checkLoop)
	}
	g.wg.Go(g.announceLoop)
	return nil
}

// EnableInOutTxs is called by CometBFT when this server has caught up.
func (g *gossip) EnableInOutTxs() {
	g.open.Store(true)
	g.caughtUp()
}

// AddPeer implements p2p.Reactor.
func (g *gossip) AddPeer(peer p2p.Peer) {
	gp := &gossipPeer{
		Peer: peer, poke: make(chan struct{}, 1), outbox: list.New(), seen: make(map[hash]struct{}),
	}
	g.mu.Lock()
	g.peers[peer.ID()] = gp
	g.mu.Unlock()
	for _, h := range g.pool.older(0, maxHashes) {
		gp.enqueue(outgoing{gossipHave, h})
	}
	g.wg.Go(func() { g.sendLoop(gp) })
}

// RemovePeer implements p2p.Reactor.
func (g *gossip) RemovePeer(peer p2p.Peer, _ any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if gp := g.peers[peer.ID()]; gp != nil && gp.Peer == peer {
		delete(g.peers, peer.ID())
	}
}

// Receive implements p2p.Reactor. It only sorts and queues.
func (g *gossip) Receive(e p2p.Envelope) {
	m, ok := e.Message.(*protomem.Txs)
	if !ok || len(m.Txs) != 1 || len(m.Txs[0]) < 2 {
		g.Switch.StopPeerForError(e.Src, errEntry)
		return
	}
	g.mu.Lock()
	from := g.peers[e.Src.ID()]
	g.mu.Unlock()
	if from == nil || from.Peer != e.Src || !g.open.Load() {
		return
	}
	kind, body := m.Txs[0][0], m.Txs[0][1:]
	if kind == gossipEntry {
		if from.admit(len(body)) {
			select {
			case g.work <- unchecked{from, body}:
			default: // it will be announced again
				from.release(len(body))
			}
		}
		return
	}
	if len(body)%len(hash{}) != 0 || len(body) > maxHashes*len(hash{}) || kind != gossipHave && kind != gossipWant {
		g.Switch.StopPeerForError(e.Src, errEntry)
		return
	}
	for ; len(body) > 0; body = body[len(hash{}):] {
		h := hash(body)
		if kind == gossipWant {
			from.enqueue(outgoing{gossipEntry, h})
			continue
		}
		from.markSeen(h)
		if !g.pool.known(h) {
			from.enqueue(outgoing{gossipWant, h})
		}
	}
}

// submit puts an entry made here in the pool and sends it to all.
func (g *gossip) submit(tx []byte) error {
	h := hash(sha256.Sum256(tx))
	if err := g.pool.add(h, tx, ""); err != nil {
		return err
	}
	g.spread(h, gossipEntry)
	return nil
}

// spread offers an entry to every peer that is not known to have it.
func (g *gossip) spread(h hash, kind byte) {
	g.mu.Lock()
	peers := make([]*gossipPeer, 0, len(g.peers))
	for _, p := range g.peers {
		peers = append(peers, p)
	}
	g.mu.Unlock()
	for _, p := range peers {
		if !p.hasSeen(h) {
			p.enqueue(outgoing{kind, h})
		}
	}
}

// broadcast sends an entry that does not wait in the pool.
func (g *gossip) broadcast(tx []byte) {
	h := hash(sha256.Sum256(tx))
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.peers {
		if !p.hasSeen(h) {
			p.markSeen(h)
			g.wg.Go(func() { p.send(gossipEntry, tx) })
		}
	}
}

// checkLoop checks entries that came from peers.
func (g *gossip) checkLoop() {
	for {
		select {
		case <-g.ctx.Done():
			return
		case u := <-g.work:
			g.check(u)
			u.from.release(len(u.tx))
		}
	}
}

func (g *gossip) check(u unchecked) {
	h := hash(sha256.Sum256(u.tx))
	u.from.markSeen(h)
	if g.pool.known(h) {
		return
	}
	if len(u.tx) < 2 || u.tx[0] != entryPayload && u.tx[0] != entryDouble {
		g.blame(u.from, errEntry)
		return
	}
	if u.tx[0] == entryDouble {
		if err := g.proof(u.tx[1:]); err != nil {
			g.blame(u.from, err)
		}
		return
	}
	if err := g.app.Check(g.ctx, u.tx[1:]); err != nil {
		if g.ctx.Err() == nil && !g.pool.known(h) {
			g.blame(u.from, err)
		}
		return
	}
	if err := g.pool.add(h, u.tx, u.from.ID()); err == nil {
		g.forget(h)
		g.spread(h, gossipHave)
	}
}

// blame counts a payload that failed Check against the peer that sent it, and
// cuts the peer off when it sends too many.
func (g *gossip) blame(p *gossipPeer, reason error) {
	now := time.Now()
	g.mu.Lock()
	s := g.score[p.ID()]
	if s == nil {
		s = &badness{at: now}
		g.score[p.ID()] = s
	}
	s.count = max(0, s.count-now.Sub(s.at).Seconds()*badPerSec) + 1
	s.at = now
	s.total++
	over := s.count > badLimit
	if over {
		s.count = 0
		g.cut[p.ID()] = now.Add(cutOff)
	}
	g.mu.Unlock()
	if over {
		g.log.Warn("peer sends bad payloads: cut off", slog.String("peer", string(p.ID())), slog.String("reason", clip(reason.Error())))
		g.Switch.StopPeerForError(p.Peer, errors.New("bad payloads"))
	}
}

// refused tells whether a peer is cut off now.
func (g *gossip) refused(id p2p.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	until, ok := g.cut[id]
	if ok && time.Now().After(until) {
		delete(g.cut, id)
		return false
	}
	return ok
}

// bad returns how many payloads of a peer have failed Check.
func (g *gossip) bad(id p2p.ID) uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.score[id]; s != nil {
		return s.total
	}
	return 0
}

// announceLoop tells all peers, now and then, what has waited for long.
func (g *gossip) announceLoop() {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	for {
		select {
		case <-g.ctx.Done():
			return
		case <-tick.C:
		}
		for _, h := range g.pool.older(announceAge, maxHashes) {
			g.spread(h, gossipHave)
		}
		g.mu.Lock()
		for h, w := range g.wanted {
			if time.Since(w.at) > 10*wantAgain {
				g.drop(h)
			}
		}
		g.mu.Unlock()
	}
}

// want is an entry that was asked for.
type want struct {
	at time.Time
	of p2p.ID // who was asked first
}

// mayAsk tells whether it is time to ask a peer for an entry. Nobody is asked for
// more than maxAsked at a time: hashes are easily invented.
func (g *gossip) mayAsk(h hash, of p2p.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	w, again := g.wanted[h]
	switch {
	case again && time.Since(w.at) < wantAgain:
		return false
	case !again && g.asks[of] >= maxAsked:
		return false
	case !again:
		w.of = of
		g.asks[of]++
	}
	w.at = time.Now()
	g.wanted[h] = w
	return true
}

func (g *gossip) forget(h hash) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop(h)
}

// drop is forget; under mu.
func (g *gossip) drop(h hash) {
	w, ok := g.wanted[h]
	if !ok {
		return
	}
	delete(g.wanted, h)
	if g.asks[w.of]--; g.asks[w.of] == 0 {
		delete(g.asks, w.of)
	}
}

// sendLoop sends what is in a peer's outbox.
func (g *gossip) sendLoop(p *gossipPeer) {
	var late []hash // announced by the peer; asked for if they do not come
	timer := time.NewTimer(wantDelay)
	defer timer.Stop()
	for {
		select {
		case <-g.ctx.Done():
			return
		case <-p.Quit():
			return
		case <-timer.C:
			g.ask(p, late)
			late = late[:0]
		case <-p.poke:
			var have []byte
			for {
				o, ok := p.dequeue()
				if !ok {
					break
				}
				switch o.kind {
				case gossipEntry:
					g.sendEntry(p, o.hash)
				case gossipHave:
					have = append(have, o.hash[:]...)
				case gossipWant:
					if len(late) == 0 {
						timer.Reset(wantDelay)
					}
					late = append(late, o.hash)
				}
				if len(have) == maxHashes*len(hash{}) {
					p.send(gossipHave, have)
					have = nil
				}
			}
			if len(have) > 0 {
				p.send(gossipHave, have)
			}
		}
	}
}

// ask asks a peer for entries it announced and nobody has sent.
func (g *gossip) ask(p *gossipPeer, late []hash) {
	var want []byte
	for _, h := range late {
		if !g.pool.known(h) && g.mayAsk(h, p.ID()) {
			want = append(want, h[:]...)
		}
		if len(want) == maxHashes*len(hash{}) {
			break
		}
	}
	if len(want) > 0 {
		p.send(gossipWant, want)
	}
}

func (g *gossip) sendEntry(p *gossipPeer, h hash) {
	tx := g.pool.get(h)
	if tx == nil {
		return
	}
	if p.send(gossipEntry, tx) {
		p.markSeen(h)
	}
}

// send blocks until the message is in the connection's queue.
func (p *gossipPeer) send(kind byte, body []byte) bool {
	m := make([]byte, 0, 1+len(body))
	m = append(append(m, kind), body...)
	return p.Send(p2p.Envelope{ChannelID: payloadChannel, Message: &protomem.Txs{Txs: [][]byte{m}}})
}

func (p *gossipPeer) enqueue(o outgoing) {
	p.mu.Lock()
	if p.outbox.Len() < maxOutbox {
		p.outbox.PushBack(o)
	}
	p.mu.Unlock()
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

func (p *gossipPeer) dequeue() (outgoing, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.outbox.Front()
	if e == nil {
		return outgoing{}, false
	}
	return p.outbox.Remove(e).(outgoing), true
}

func (p *gossipPeer) markSeen(h hash) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.seen[h]; ok {
		return
	}
	if len(p.seenOrder) < maxSeen {
		p.seenOrder = append(p.seenOrder, h)
	} else {
		delete(p.seen, p.seenOrder[p.seenAt])
		p.seenOrder[p.seenAt] = h
		p.seenAt = (p.seenAt + 1) % maxSeen
	}
	p.seen[h] = struct{}{}
}

func (p *gossipPeer) hasSeen(h hash) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.seen[h]
	return ok
}

// admit tells whether another entry of this peer may wait to be checked.
func (p *gossipPeer) admit(size int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queued >= maxUnchecked || p.queuedLen+size > maxUncheckedBytes {
		return false
	}
	p.queued++
	p.queuedLen += size
	return true
}

func (p *gossipPeer) release(size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queued--
	p.queuedLen -= size
}
