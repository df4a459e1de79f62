package tape

import (
	"context"
	"errors"
	"sync"

	"souk/exchange"
	"souk/exchange/market"
)

// ErrBehind is returned by Next when the follower was so slow that updates are gone. It
// may begin anew, with the book as it is then.
var ErrBehind = errors.New("too far behind the tape")

// Limits of what is kept for those who follow.
const (
	maxUpdates = 1_024
	maxEntries = 1 << 20 // levels and trades in them
)

// Update is what a block did to the markets.
type Update struct {
	Height  uint64
	Time    uint64
	Changes []Change // at most one of each market
}

// Change is what an update did to one market.
type Change struct {
	Market market.ID
	// First to Last are the heights that the change of the book is of: First is one above
	// Last of the change before, Last is the height of the block (N-30). Both are zero if
	// there are only trades.
	First, Last uint64
	Bids, Asks  []Level // levels that changed, as they are now; quantity zero: gone
	Trades      []exchange.Trade
}

// of is the change of a market, new if there is none yet.
func (u *Update) of(m market.ID) *Change {
	for i := range u.Changes {
		if u.Changes[i].Market == m {
			return &u.Changes[i]
		}
	}
	u.Changes = append(u.Changes, Change{Market: m})
	return &u.Changes[len(u.Changes)-1]
}

// feed is the newest updates, and a signal that there is one more.
type feed struct {
	mu      sync.Mutex
	updates []*Update
	first   uint64 // number of updates[0]
	entries int
	more    chan struct{} // closed when the next update is there
}

func (f *feed) init() { f.more = make(chan struct{}) }

func (u *Update) entries() int {
	n := 1
	for i := range u.Changes {
		c := &u.Changes[i]
		n += len(c.Bids) + len(c.Asks) + len(c.Trades)
	}
	return n
}

func (f *feed) publish(u *Update) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.updates = append(f.updates, u)
	f.entries += u.entries()
	drop := 0
	for len(f.updates)-drop > maxUpdates || f.entries > maxEntries && len(f.updates)-drop > 1 {
		f.entries -= f.updates[drop].entries()
		f.updates[drop] = nil
		drop++
	}
	f.updates, f.first = f.updates[drop:], f.first+uint64(drop)
	close(f.more)
	f.more = make(chan struct{})
}

// Follower hands out updates one after the other. It belongs to one goroutine.
type Follower struct {
	feed *feed
	next uint64
}

// Follow begins with the next update. A book that is asked for afterwards may have some of
// the updates that come: those whose Last is not above its Height.
func (t *Tape) Follow() *Follower {
	t.feed.mu.Lock()
	defer t.feed.mu.Unlock()
	return &Follower{feed: &t.feed, next: t.feed.first + uint64(len(t.feed.updates))}
}

// Next waits for the next update. Updates are shared: nobody may change them. Errors are
// ErrBehind and that of ctx.
func (f *Follower) Next(ctx context.Context) (*Update, error) {
	for {
		u, more, err := f.try()
		if u != nil || err != nil {
			return u, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// More is closed when Next would not have to wait.
func (f *Follower) More() <-chan struct{} {
	f.feed.mu.Lock()
	defer f.feed.mu.Unlock()
	if f.next < f.feed.first+uint64(len(f.feed.updates)) {
		ready := make(chan struct{})
		close(ready)
		return ready
	}
	return f.feed.more
}

func (f *Follower) try() (*Update, <-chan struct{}, error) {
	f.feed.mu.Lock()
	defer f.feed.mu.Unlock()
	switch {
	case f.next < f.feed.first:
		return nil, nil, ErrBehind
	case f.next == f.feed.first+uint64(len(f.feed.updates)):
		return nil, f.feed.more, nil
	}
	u := f.feed.updates[f.next-f.feed.first]
	f.next++
	return u, nil, nil
}
