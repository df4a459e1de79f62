package web

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"souk/api"
	"souk/exchange"
)

// Admissions lets tests count accounts.
type Admissions struct{ admissions }

// NewAdmissions begins to count.
func NewAdmissions() *Admissions {
	return &Admissions{newAdmissions()}
}

// Take counts an account.
func (a *Admissions) Take(from netip.Prefix, now time.Time) bool { return a.take(from, now) }

// Beat runs a stream of all markets whose reader is a function.
func (s *Server) Beat(ctx context.Context, id exchange.ID, told func()) error {
	v, _ := s.find(id)
	r, err := v.feed.join()
	if err != nil {
		return err
	}
	defer r.leave()
	ctx, p, e := s.streams.begin((&http.Request{RemoteAddr: "127.0.0.1:1"}).WithContext(ctx))
	if e != nil {
		return e
	}
	defer p.leave()
	(&stream{v: v, want: &filter{all: true, from: 1}, out: ear(told), ring: r, place: p}).run(ctx)
	return nil
}

type ear func()

func (f ear) send(uint64, []byte) error { f(); return nil }
func (ear) end(*api.Error)              {}

// Pace lets tests hurry streams: how long they may be silent, and how many blocks are kept
// for those that are behind.
func (s *Server) Pace(heartbeat time.Duration, ringBlocks int) {
	s.pace.heartbeat, s.pace.ringBlocks = heartbeat, ringBlocks
}

// Streams lets tests ask for places of streams.
type Streams struct{ *streams }

// NewStreams begins to count.
func NewStreams(limit, perSource int) *Streams {
	return &Streams{newStreams(limit, perSource, newMeter())}
}

// Begin asks for a place. cut is closed when the stream has to end.
func (s *Streams) Begin(address string) (cut <-chan struct{}, leave func(), e *api.Error) {
	_, p, e := s.begin(&http.Request{RemoteAddr: address})
	if e != nil {
		return nil, nil, e
	}
	return p.cut, p.leave, nil
}

// Practise counts a gift of play money.
func (s *Server) Practise(id exchange.ID, from string, now time.Time) bool {
	v, _ := s.find(id)
	return v.practiced.take(netip.MustParsePrefix(from), now)
}

// From is the address that a request counts for.
func (s *Server) From(r *http.Request) string { return s.unproxied(r).RemoteAddr }
