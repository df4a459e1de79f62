package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"souk/api"
	"souk/exchange/ledger"
	"souk/exchange/market"
)

// Bounds of streams that are behind (H-114).
const (
	// mostCatchUps is how many streams of a virtual server read the log at once; a turn
	// reads so many blocks, or so many bytes of messages.
	mostCatchUps  = 4
	catchUpBlocks = 512
	catchUpBytes  = 1 << 20
)

// filter is what a stream was asked for.
type filter struct {
	markets []market.ID // ascending
	all     bool        // markets, also those to come
	account *api.ReadToken
	from    uint64 // the first block
}

// outlet carries messages to a reader. Only one goroutine uses it.
type outlet interface {
	// send sends a message whose cursor is the height of a block.
	send(height uint64, message []byte) error
	// end sends the last message: why there will be no more.
	end(e *api.Error)
}

// stream is one reader's view of what blocks do.
type stream struct {
	v     *virtual
	want  *filter
	out   outlet
	ring  *ring
	place *place

	next  uint64 // the first block that it has not looked at
	time  uint64 // of the newest block that it has looked at; 0: it is not known
	level bool   // it has been in the ring
	spoke time.Time
}

// run sends messages until the reader goes, or something ends the stream.
func (s *stream) run(ctx context.Context) {
	s.next = s.want.from
	e := s.alive()
	if e == nil {
		e = s.flow(ctx)
	}
	if e == nil || ctx.Err() != nil {
		return // nobody listens any more
	}
	s.v.server.meter.streamsCut.Inc()
	s.out.end(e)
}

// errReader ends a stream whose reader is gone.
var errReader = api.NewError(api.TooSlow, "", "The reader does not take the messages.")

// flow answers why the stream ends; errReader if nobody takes its messages.
func (s *stream) flow(ctx context.Context) *api.Error {
	silent := s.v.server.pace.heartbeat
	beat := time.NewTimer(silent)
	defer beat.Stop()
	for {
		p, news, err := s.ring.after(s.next)
		var e *api.Error
		switch {
		case errors.Is(err, errBehind) && s.level:
			e = api.NewError(api.TooSlow, "", "Messages were taken too slowly, and are not kept in memory any more. Connect again and go on from the last cursor.")
		case errors.Is(err, errBehind):
			e = s.catchUp(ctx)
		case err != nil:
			e = problem(err)
		case p != nil:
			s.level = true
			e = s.page(p)
		default:
			s.level = true
			beat.Reset(silent - time.Since(s.spoke))
			e = s.wait(ctx, news, beat.C)
		}
		if e != nil || ctx.Err() != nil {
			return e
		}
		if time.Since(s.spoke) >= silent {
			if e := s.alive(); e != nil {
				return e
			}
		}
	}
}

// wait waits for a block, or for the next sign of life.
func (s *stream) wait(ctx context.Context, news <-chan struct{}, beat <-chan time.Time) *api.Error {
	select {
	case <-news:
	case <-beat:
	case <-ctx.Done():
	case <-s.v.gone:
		return stopped()
	case <-s.place.cut:
		return s.place.why()
	}
	return nil
}

// page sends what a block did.
func (s *stream) page(p *page) *api.Error {
	m, err := p.message(s.want)
	if err != nil {
		return problem(err)
	}
	if a := s.want.account; a != nil && m != nil {
		// A key that lost its power in this block is not told of it either.
		if x := p.of(a.Address); x != nil && p.rekeyed(x) {
			if e := s.allowed(); e != nil {
				return e
			}
		}
	}
	return s.tell(p.block.Height, p.block.Time, m)
}

// tell sends a message of a block, if there is one, and goes on behind it.
func (s *stream) tell(height, at uint64, m []byte) *api.Error {
	if m != nil {
		if e := s.send(height, m); e != nil {
			return e
		}
	}
	s.next, s.time = height+1, at
	return nil
}

func (s *stream) send(height uint64, m []byte) *api.Error {
	if err := s.out.send(height, m); err != nil {
		if errors.Is(err, ErrBusy) {
			return problem(err)
		}
		return errReader
	}
	s.spoke = time.Now()
	return nil
}

// alive sends a message that only says how far the stream is, and looks whether its
// reader may still read the account.
func (s *stream) alive() *api.Error {
	if e := s.allowed(); e != nil {
		return e
	}
	m, err := json.Marshal(api.BlockEvents{Cursor: numberText(s.next - 1), Height: s.next - 1, Time: s.time})
	if err != nil {
		return problem(err)
	}
	return s.send(s.next-1, m)
}

func (s *stream) allowed() *api.Error {
	if s.want.account == nil {
		return nil
	}
	ok, err := s.v.mayRead(s.want.account, ledger.Read, s.v.server.config.Now())
	switch {
	case err != nil:
		return problem(err)
	case !ok:
		return s.v.refused()
	}
	return nil
}

// old is a message of a block out of the log; without text if the block did nothing of what is wanted.
type old struct {
	height, time uint64
	text         []byte
}

// catchUp takes a turn at the log, and sends what it read when others have theirs.
func (s *stream) catchUp(ctx context.Context) *api.Error {
	select {
	case s.v.feed.slots <- struct{}{}:
	case <-ctx.Done():
		return nil
	case <-time.After(s.v.server.pace.heartbeat):
		return nil // a sign of life, and again
	case <-s.v.gone:
		return stopped()
	case <-s.place.cut:
		return s.place.why()
	}
	list, done, e := s.turn(ctx)
	<-s.v.feed.slots
	for i := range list {
		m := &list[i]
		if e := s.tell(m.height, m.time, m.text); e != nil {
			return e
		}
	}
	s.next = max(s.next, done)
	return e
}

// turn reads some of the log. Blocks below done are looked at, also if they are not in the list.
func (s *stream) turn(ctx context.Context) (list []old, done uint64, e *api.Error) {
	to, size, seen := s.ring.begins(), 0, 0
	for b, err := range s.v.replica.Follow(ctx, s.next) {
		switch {
		case err != nil:
			return list, done, problem(err)
		case b.Height >= to:
			return list, to, nil // the ring has the rest
		}
		p := &page{v: s.v, block: b}
		if a := s.want.account; a != nil && p.of(a.Address) != nil && p.rekeyed(p.of(a.Address)) {
			if e := s.allowed(); e != nil {
				return list, done, e
			}
		}
		m, err := p.message(s.want)
		if err != nil {
			return list, done, problem(err)
		}
		if m != nil {
			list = append(list, old{b.Height, b.Time, m})
		}
		done, s.time = b.Height+1, b.Time
		seen++
		if size += len(m); seen == catchUpBlocks || size >= catchUpBytes {
			return list, done, nil
		}
	}
	return list, done, problem(errors.Join(ctx.Err(), ErrStopped))
}

// streams bounds the number of streams, and ends them when the server does (H-114).
type streams struct {
	limit, perSource int
	meter            *meter

	mu      sync.Mutex
	open    map[*place]struct{}
	sources map[netip.Prefix]int
	closed  bool
	idle    chan struct{} // closed when it is closed and empty
}

// place is one stream among all.
type place struct {
	all    *streams
	source netip.Prefix
	local  bool
	cut    chan struct{} // closed when the stream has to end
	abort  context.CancelFunc

	// Under streams.mu.
	reason *api.Error // why it has to
	opened time.Time
}

func newStreams(limit, perSource int, m *meter) *streams {
	return &streams{
		limit: limit, perSource: perSource, meter: m, open: map[*place]struct{}{}, sources: map[netip.Prefix]int{}, idle: make(chan struct{}),
	}
}

// begin finds a place for a stream. When there is none, the source with the most streams
// loses its newest to one that has two less or fewer.
func (s *streams) begin(r *http.Request) (context.Context, *place, *api.Error) {
	p := &place{all: s, cut: make(chan struct{}), opened: time.Now()}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		p.source, p.local = sourceOf(from.Addr()), from.Addr().Unmap().IsLoopback()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, nil, stopped()
	case !p.local && s.sources[p.source] >= s.perSource:
		return nil, nil, tooManyStreams("Your address has %d streams here, as many as it may. Ask for several markets in one stream, or ask another server.", s.perSource)
	case len(s.open) >= s.limit && !s.displace(p.source):
		return nil, nil, tooManyStreams("There are %d streams here, as many as there may be. Ask another server.", s.limit)
	}
	s.open[p] = struct{}{}
	s.sources[p.source]++
	s.meter.streams.Set(float64(len(s.open)))
	ctx, cancel := context.WithCancel(r.Context())
	p.abort = cancel
	return ctx, p, nil
}

func tooManyStreams(text string, n int) *api.Error {
	e := api.NewError(api.Busy, "", text, n)
	e.RetryAfter = 5 * time.Second
	return e
}

// displace ends a stream of the source with the most; under mu.
func (s *streams) displace(mine netip.Prefix) bool {
	var victim *place
	for p := range s.open {
		if p.reason != nil {
			continue
		}
		if victim == nil || s.sources[p.source] > s.sources[victim.source] ||
			s.sources[p.source] == s.sources[victim.source] && p.opened.After(victim.opened) {
			victim = p
		}
	}
	if victim == nil || s.sources[victim.source] < s.sources[mine]+2 {
		return false
	}
	victim.end(tooManyStreams("There are %d streams here, as many as there may be, and yours are most of them. Ask another server.", s.limit))
	s.drop(victim)
	return true
}

// end tells a stream to end; under streams.mu.
func (p *place) end(why *api.Error) {
	if p.reason == nil {
		p.reason = why
		close(p.cut)
	}
}

func (p *place) why() *api.Error {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	return p.reason
}

// leave gives the place back.
func (p *place) leave() {
	p.abort()
	s := p.all
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(p)
}

// drop forgets a place; under mu.
func (s *streams) drop(p *place) {
	if _, ok := s.open[p]; !ok {
		return
	}
	delete(s.open, p)
	if s.sources[p.source]--; s.sources[p.source] == 0 {
		delete(s.sources, p.source)
	}
	s.meter.streams.Set(float64(len(s.open)))
	if s.closed && len(s.open) == 0 {
		close(s.idle)
	}
}

// close ends all streams, waits until they have, and breaks them off when ctx is done.
func (s *streams) close(ctx context.Context) {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		for p := range s.open {
			p.end(stopped())
		}
		if len(s.open) == 0 {
			close(s.idle)
		}
	}
	s.mu.Unlock()
	select {
	case <-s.idle:
		return
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.open {
		p.abort()
	}
}
