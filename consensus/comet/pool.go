package comet

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	mempl "github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/p2p"

	"souk/consensus"
)

// Limits of what waits for a block.
const (
	maxWaiting      = 8192 // payloads
	maxWaitingBytes = 64 << 20
	// maxSource and maxSourceBytes are what one peer's payloads may take of the
	// room, so that no member can shut the others out.
	maxSource      = maxWaiting / 4
	maxSourceBytes = maxWaitingBytes / 4
	// passedOver is how many blocks with room to spare may leave a payload out
	// before it is forgotten: every proposer has declined it then.
	passedOver = 16
	// fresh is how long after its arrival a payload asks for a block at once;
	// later it asks at slowBell, since it may be one that nobody will propose.
	fresh    = time.Second
	slowBell = time.Second
	// dueGrace is how long a server that is not the next proposer waits before it
	// asks for a block because something fell due: its clock may be ahead.
	dueGrace = time.Second
	// dueAgain is the least time between two empty blocks made for what fell due.
	dueAgain = 100 * time.Millisecond
	// maxRemembered is how many committed payloads are known by hash.
	maxRemembered = 1 << 16
	// maxTimer bounds a timer, whatever the application says is due.
	maxTimer = time.Hour
)

// hash names a payload or a double signature on its way: SHA-256 of its entry.
type hash [sha256.Size]byte

// waiting is an entry that waits for a block.
type waiting struct {
	hash   hash
	tx     []byte // the entry; never changed
	source p2p.ID // empty: made here
	since  time.Time
	passed int
}

// load is how much waits.
type load struct{ payloads, bytes int }

// pool holds payloads until a block contains them, and rings the bell that makes
// consensus propose. To CometBFT it is a mempool that does nothing else; blocks
// are filled by PrepareProposal.
type pool struct {
	*mempl.NopMempool
	bell    chan struct{}
	arrived chan struct{} // a payload came
	// due tells when the application needs a block, next whether this server is
	// the next proposer, and accuses whether a proof waits for a block.
	due     func() (time.Time, bool)
	next    func() bool
	accuses func() bool

	mu        sync.Mutex
	order     *list.List // of *waiting, oldest first
	byHash    map[hash]*list.Element
	bytes     int
	bySource  map[p2p.ID]load
	done      map[hash]struct{}
	doneOrder []hash // ring
	doneAt    int
	timer     *time.Timer
	closed    bool
}

var _ mempl.Mempool = (*pool)(nil)

func newPool(due func() (time.Time, bool), next, accuses func() bool) *pool {
	p := &pool{
		NopMempool: &mempl.NopMempool{},
		bell:       make(chan struct{}, 1),
		arrived:    make(chan struct{}, 1),
		due:        due, next: next, accuses: accuses,
		order: list.New(), byHash: make(map[hash]*list.Element),
		bySource: make(map[p2p.ID]load), done: make(map[hash]struct{}),
	}
	p.timer = time.AfterFunc(maxTimer, p.tick)
	return p
}

// TxsAvailable implements mempool.Mempool.
func (p *pool) TxsAvailable() <-chan struct{} { return p.bell }

// Size implements mempool.Mempool.
func (p *pool) Size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.order.Len()
}

// known tells whether an entry waits or has been in a block lately.
func (p *pool) known(h hash) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, waits := p.byHash[h]
	_, done := p.done[h]
	return waits || done
}

// get returns a waiting entry, or nil.
func (p *pool) get(h hash) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.byHash[h]; e != nil {
		return e.Value.(*waiting).tx
	}
	return nil
}

// add puts an entry that has been checked in the queue and rings. It returns
// consensus.ErrKnown, ErrPoolFull or ErrStopped.
func (p *pool) add(h hash, tx []byte, source p2p.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return consensus.ErrStopped
	}
	if _, ok := p.byHash[h]; ok {
		return consensus.ErrKnown
	}
	if _, ok := p.done[h]; ok {
		return consensus.ErrKnown
	}
	of := p.bySource[source]
	if p.order.Len() >= maxWaiting || p.bytes+len(tx) > maxWaitingBytes ||
		source != "" && (of.payloads >= maxSource || of.bytes+len(tx) > maxSourceBytes) {
		return consensus.ErrPoolFull
	}
	p.byHash[h] = p.order.PushBack(&waiting{hash: h, tx: tx, source: source, since: time.Now()})
	p.bytes += len(tx)
	p.bySource[source] = load{of.payloads + 1, of.bytes + len(tx)}
	wake(p.arrived)
	p.ring()
	return nil
}

// await waits until a payload waits for a block, but no longer than most, and not
// at all if the block is for something that fell due.
func (p *pool) await(most time.Duration) {
	if at, ok := p.due(); ok && !time.Now().Before(at) {
		return
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	for p.Size() == 0 {
		select {
		case <-p.arrived: // perhaps one of an earlier block
		case <-timer.C:
			return
		}
	}
}

// oldest returns the bodies of all waiting payloads, oldest first. Which of them go
// into a block, if not all fit, the application knows best.
func (p *pool) oldest() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([][]byte, 0, p.order.Len())
	for e := p.order.Front(); e != nil; e = e.Next() {
		out = append(out, e.Value.(*waiting).tx[1:])
	}
	return out
}

// older returns the hashes of entries that have waited longer than age, oldest first.
func (p *pool) older(age time.Duration, most int) []hash {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []hash
	for e := p.order.Front(); e != nil && len(out) < most; e = e.Next() {
		w := e.Value.(*waiting)
		if time.Since(w.since) < age {
			break
		}
		out = append(out, w.hash)
	}
	return out
}

// committed forgets what a block of so many bytes contained, and rings if more
// waits or is due.
func (p *pool) committed(hashes []hash, size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range hashes {
		p.remember(h)
		if e := p.byHash[h]; e != nil {
			p.remove(e)
		}
	}
	if size < consensus.MaxBlock/2 {
		p.passOver()
	}
	p.rouse(len(hashes) == 0)
}

// start rings if something waits or is due; consensus begins to listen.
func (p *pool) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rouse(false)
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.timer.Stop()
}

// The callers of the methods below hold mu.

func (p *pool) ring() {
	select {
	case p.bell <- struct{}{}:
	default:
	}
}

// rouse rings now, or sets the timer for when it will be time. empty tells that
// the block just made was.
func (p *pool) rouse(empty bool) {
	if p.closed {
		return
	}
	wait := maxTimer
	if e := p.order.Back(); e != nil {
		if !empty || time.Since(e.Value.(*waiting).since) < fresh {
			p.ring()
			return
		}
		wait = slowBell
	}
	if p.accuses() {
		wait = min(wait, dueAgain)
	}
	if due, ok := p.due(); ok {
		least := time.Duration(0)
		if empty {
			least = dueAgain
		}
		if !p.next() {
			least += dueGrace
		}
		wait = min(wait, max(least, time.Until(due)+least))
	}
	if wait <= 0 {
		p.ring()
		return
	}
	p.timer.Reset(wait)
}

// tick is called by the timer.
func (p *pool) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	wait := maxTimer
	at, due := p.due()
	if due && time.Now().Before(at) {
		wait, due = min(wait, time.Until(at)), false
	}
	if due || p.order.Len() > 0 || p.accuses() {
		p.ring()
		wait = slowBell
	}
	p.timer.Reset(max(wait, time.Millisecond))
}

func (p *pool) remove(e *list.Element) {
	w := e.Value.(*waiting)
	p.order.Remove(e)
	delete(p.byHash, w.hash)
	p.bytes -= len(w.tx)
	of := p.bySource[w.source]
	if p.bySource[w.source] = (load{of.payloads - 1, of.bytes - len(w.tx)}); of.payloads == 1 {
		delete(p.bySource, w.source)
	}
}

func (p *pool) remember(h hash) {
	if _, ok := p.done[h]; ok {
		return
	}
	if len(p.doneOrder) < maxRemembered {
		p.doneOrder = append(p.doneOrder, h)
	} else {
		delete(p.done, p.doneOrder[p.doneAt])
		p.doneOrder[p.doneAt] = h
		p.doneAt = (p.doneAt + 1) % maxRemembered
	}
	p.done[h] = struct{}{}
}

// passOver counts a block that left the waiting out although it had room, and
// forgets those that were left out too often.
func (p *pool) passOver() {
	for e := p.order.Front(); e != nil; {
		w, following := e.Value.(*waiting), e.Next()
		if time.Since(w.since) < fresh {
			return
		}
		if w.passed++; w.passed >= passedOver {
			p.remove(e)
		}
		e = following
	}
}
