package web

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"souk/api"
	"souk/archive"
	"souk/exchange"
	"souk/exchange/market"
	"souk/identity"
)

// pace is how long streams may take for what, and how much is kept for those that are
// behind. One that is further behind reads the log if it is catching up, and is cut off if
// it was level before (H-114).
type pace struct {
	heartbeat  time.Duration // how long a stream is silent at most
	write      time.Duration // how long a reader may take for one message
	ringBlocks int
	ringBytes  int
}

func newPace() pace {
	return pace{heartbeat: 15 * time.Second, write: 10 * time.Second, ringBlocks: 1024, ringBytes: 32 << 20}
}

// Errors of rings.
var (
	// errBehind is returned by ring.after for blocks before those in the ring.
	errBehind = errors.New("the block is not in the ring any more")
	// errClosed ends a ring that nobody uses.
	errClosed = errors.New("the ring is closed")
)

// feed is where the streams of a virtual server get their blocks: one ring of the
// newest ones while there are streams, and the log behind it.
type feed struct {
	v     *virtual
	slots chan struct{} // holds one for each stream that reads the log

	mu   sync.Mutex
	ring *ring // nil while there are no streams
}

func newFeed(v *virtual) *feed { return &feed{v: v, slots: make(chan struct{}, mostCatchUps)} }

// join answers the ring, which the caller leaves when he is done.
func (f *feed) join() (*ring, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.ring; r != nil && r.join() {
		return r, nil
	}
	// The newest block that did something is the first in the ring: so who reads the
	// log up to the ring always finds where it ends.
	var from uint64
	if err := f.v.look(func(s *exchange.State) { from = max(s.Height(), 1) }); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.ring = &ring{v: f.v, stop: cancel, from: from, users: 1, news: make(chan struct{})}
	go f.ring.run(ctx, from)
	return f.ring, nil
}

// ring keeps the newest blocks of a virtual server for its streams.
type ring struct {
	v    *virtual
	stop context.CancelFunc

	mu    sync.Mutex
	users int
	from  uint64  // every block from here on that did something is in pages
	pages []*page // ascending
	size  int
	news  chan struct{} // closed when something changes
	err   error         // why there will be no more
}

// join counts a stream in; false if the ring is at its end.
func (r *ring) join() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return false
	}
	r.users++
	return true
}

// leave counts a stream out. The last one ends the ring.
func (r *ring) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users--; r.users == 0 {
		r.end(errClosed)
		r.stop()
	}
}

// end says that there will be no more blocks; under mu.
func (r *ring) end(err error) {
	if r.err == nil {
		r.err = err
		r.pages = nil
		close(r.news)
	}
}

// run takes blocks in until ctx is done or the replica has no more.
func (r *ring) run(ctx context.Context, from uint64) {
	var gone *GoneError
	err := r.read(ctx, from)
	for errors.As(err, &gone) && gone.Oldest > from {
		// The log begins behind the state, which came from a snapshot.
		from = gone.Oldest
		r.mu.Lock()
		r.from = from
		r.mu.Unlock()
		err = r.read(ctx, from)
	}
	if err == nil {
		err = ErrStopped
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end(err)
}

func (r *ring) read(ctx context.Context, from uint64) error {
	for b, err := range r.v.replica.Follow(ctx, from) {
		if err != nil {
			return err
		}
		if !r.put(&page{v: r.v, block: b}) {
			return errClosed
		}
	}
	return ctx.Err()
}

// put adds a block and wakes the streams; false if the ring has ended.
func (r *ring) put(p *page) bool {
	size := p.memory()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return false
	}
	r.pages, r.size = append(r.pages, p), r.size+size
	old := 0
	most := &r.v.server.pace
	for len(r.pages)-old > most.ringBlocks || r.size > most.ringBytes && len(r.pages)-old > 1 {
		r.size -= r.pages[old].memory()
		r.from = r.pages[old].block.Height + 1
		old++
	}
	r.pages = slices.Delete(r.pages, 0, old)
	close(r.news)
	r.news = make(chan struct{})
	return true
}

// after answers the first block from height n on. If there is none yet, news is closed
// when one may have come. It returns errBehind for a height that the ring does not reach back to.
func (r *ring) after(n uint64) (p *page, news <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.err != nil:
		return nil, nil, r.err
	case n < r.from:
		return nil, nil, errBehind
	}
	i, _ := slices.BinarySearchFunc(r.pages, n, func(p *page, n uint64) int {
		if p.block.Height < n {
			return -1
		}
		return 1
	})
	if i < len(r.pages) {
		return r.pages[i], nil, nil
	}
	return nil, r.news, nil
}

// begins is the height from which the ring has everything.
func (r *ring) begins() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.from
}

// page is a block as streams share it: what it did to a market is turned into JSON
// once, and whose events are where is found out once.
type page struct {
	v     *virtual
	block *archive.Block

	once    sync.Once
	markets map[market.ID][]byte // JSON of api.MarketEvents
	all     []byte               // all of them, with commas between
	err     error

	sorting  sync.Once
	accounts map[identity.Address]*involved
}

// involved is where in a block an account stands.
type involved struct{ commands, events, balances []int32 }

// memory is about what the block takes, with its JSON.
func (p *page) memory() int {
	b := p.block
	return 1<<10 + 512*len(b.Commands) + 768*len(b.Events) + 160*len(b.Levels) + 128*len(b.Balances)
}

// convert makes the JSON of what the block did to markets.
func (p *page) convert() error {
	p.once.Do(func() {
		list, err := p.v.marketEvents(p.block)
		if p.err = err; err != nil {
			return
		}
		p.markets = make(map[market.ID][]byte, len(list))
		for i := range list {
			data, err := json.Marshal(&list[i])
			if p.err = err; err != nil {
				return
			}
			p.markets[market.ID(list[i].Market)] = data
			if i > 0 {
				p.all = append(p.all, ',')
			}
			p.all = append(p.all, data...)
		}
	})
	return p.err
}

// of is where an account stands in the block; nil if nowhere.
func (p *page) of(account identity.Address) *involved {
	p.sorting.Do(func() {
		p.accounts = map[identity.Address]*involved{}
		at := func(a identity.Address) *involved {
			if p.accounts[a] == nil {
				p.accounts[a] = &involved{}
			}
			return p.accounts[a]
		}
		for i := range p.block.Commands {
			x := at(p.block.Commands[i].Account)
			x.commands = append(x.commands, int32(i))
		}
		for i := range p.block.Events {
			e := &p.block.Events[i]
			if !e.Account.IsZero() {
				x := at(e.Account)
				x.events = append(x.events, int32(i))
			}
			if !e.Other.IsZero() && e.Other != e.Account {
				x := at(e.Other)
				x.events = append(x.events, int32(i))
			}
		}
		for i := range p.block.Balances {
			x := at(p.block.Balances[i].Account)
			x.balances = append(x.balances, int32(i))
		}
	})
	return p.accounts[account]
}

// message is the JSON of what the block did of what is wanted; nil if nothing.
func (p *page) message(w *filter) ([]byte, error) {
	var inner []byte
	if w.all || len(w.markets) > 0 {
		if err := p.convert(); err != nil {
			return nil, err
		}
	}
	if w.all {
		inner = p.all
	} else {
		for _, id := range w.markets {
			if data := p.markets[id]; data != nil {
				if inner != nil {
					inner = append(inner, ',')
				}
				inner = append(inner, data...)
			}
		}
	}
	var account []byte
	if w.account != nil {
		if x := p.of(w.account.Address); x != nil {
			events, err := p.v.accountEvents(p.block, x, w.account.Address)
			if err != nil {
				return nil, err
			}
			if account, err = json.Marshal(events); err != nil {
				return nil, err
			}
		}
	}
	if inner == nil && account == nil {
		return nil, nil
	}
	head, err := json.Marshal(api.BlockEvents{Cursor: numberText(p.block.Height), Height: p.block.Height, Time: p.block.Time})
	if err != nil {
		return nil, err
	}
	m := append(make([]byte, 0, len(head)+len(inner)+len(account)+32), head[:len(head)-1]...)
	if inner != nil {
		m = append(append(append(m, `,"markets":[`...), inner...), ']')
	}
	if account != nil {
		m = append(append(m, `,"account":`...), account...)
	}
	return append(m, '}'), nil
}
