// Package web serves virtual servers over HTTP: JSON under /v1, as
// docs/spec/10-http.md says and openapi.json beside this file describes. It
// turns requests into calls of a Replica and an Engine, and their errors into
// problem descriptions that say what to do next. It decides nothing about
// commands, keeps no state of its own but counters, and knows no adapter.
//
// Where to look: the server and its listeners here, fairness between connections
// in conns.go, what every request must pass in guard.go, whom proxies speak for in forward.go, who may read an account
// in auth.go, pages of other origins in origin.go, commands in commands.go, public things in public.go, an account's
// own things in private.go, streams of what blocks do in events.go, stream.go and feed.go, banks in bank.go and signing.go, what an account has to do
// with them in owner.go, new accounts in admission.go, play money in practice.go, the page in page.go, proofs in proof.go, the OpenAPI document in openapi.go.
//
// What it says to the world: no cookies, CORS for pages of members only, and a GET changes nothing. Logs
// carry no IP, address or amount.
//
// This is floor 4: it imports api, exchange, values and the consensus port.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/identity"
	"souk/tape"
)

// Defaults of Config.
const (
	DefaultConns      = 1024
	DefaultConnsPerIP = 128
	DefaultWait       = 10 * time.Second
	DefaultBodies     = 64 << 20
	DefaultResponses  = 64 << 20
	// DefaultStreams and DefaultStreamsPerIP leave half of the connections to others.
	DefaultStreams      = 512
	DefaultStreamsPerIP = 64
)

// Times of a connection (H-51).
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	writeTimeout  = 45 * time.Second
	idleTimeout   = 60 * time.Second
	maxHeader     = 16 << 10
)

// maxStreams is how many requests one connection of HTTP/2 may have under way. Each
// takes some kilobytes, also when it is done and its small response is not taken.
const maxStreams = 16

// streamBuffer is how much of a body net/http takes in before it is read.
const streamBuffer = 128 << 10

// ErrPlain is returned by Serve for a listener that others than this machine can
// reach without TLS.
var ErrPlain = errors.New("refusing to serve others without TLS: give a certificate, listen on 127.0.0.1, or say that a proxy does TLS")

// Config is what a Server is made of. The zero value serves this machine only.
type Config struct {
	// Hosts are host names, without port, under which the server may be asked for
	// besides this machine's own names and addresses (H-50).
	Hosts []string
	// Origins are those of pages, besides the members' own, that may use this server: as
	// browsers write them, without a slash at the end (H-53).
	Origins []string
	// Page is what browsers are shown at the root; nil: nothing.
	Page Page
	// TLS is served if it is set; version 1.3 is the least.
	TLS *tls.Config
	// Plain allows listening without TLS where others can reach it: a proxy in front does TLS.
	Plain bool
	// Proxies may say in X-Forwarded-For whom they pass requests on for (H-56).
	Proxies []netip.Prefix
	// Conns is the largest number of open connections; zero is DefaultConns.
	Conns int
	// ConnsPerIP is the largest number from one address but this machine's own; zero is DefaultConnsPerIP.
	ConnsPerIP int
	// Wait is how long a request waits for its commands to be decided; zero is DefaultWait.
	Wait time.Duration
	// Bodies bounds the memory for bodies of requests under way, in bytes; zero is DefaultBodies.
	Bodies int
	// Responses bounds the memory for large responses that clients have not taken yet, in
	// bytes; zero is DefaultResponses.
	Responses int
	// Streams is the largest number of event streams; zero is DefaultStreams.
	Streams int
	// StreamsPerIP is the largest number from one address but this machine's own; zero is DefaultStreamsPerIP.
	StreamsPerIP int
	// Door answers what is asked at the root where no virtual server is served: a gate's
	// programs. nil: nothing does.
	Door http.Handler
	// Ready is why the Door is not ready, by what is not; nil or empty if it is.
	Ready func() map[string]string
	// Network says where browsers can be peers by this server: addresses of its peer, each with
	// the peer's name at the end, and what stamps cost. It must not block. nil: nowhere (H-139).
	Network func() api.Network
	// Metrics answers /metrics to this machine; nil: there is no such path.
	Metrics http.Handler
	// Software is this binary's version, for status.
	Software string
	// Log gets what an operator should know; nil is silence.
	Log *slog.Logger
	// Now is the clock that signed reads are judged by; nil is time.Now.
	Now func() time.Time
}

// Virtual is a virtual server to be served.
type Virtual struct {
	Founding *exchange.Founding
	Replica  Replica
	Engine   Engine
	// Self is this server's consensus key, which tells which member it is.
	Self identity.PublicKey
	// Admit opens an account by this member's server and waits for the receipt; nil: it
	// opens none. It is called for at most 1,000 accounts an hour (H-104).
	Admit func(ctx context.Context, body *exchange.Admit) (exchange.Receipt, error)
	// Practice gives play money to who asks; nil: there is none (H-133).
	Practice Practice
	// Tape has the market data, which KeepTape feeds; nil: this server keeps none.
	Tape *tape.Tape
	// Dialect answers the paths of an API of others that it knows; nil: there is none.
	Dialect Dialect
	// Banks tell how this server does its part in the banks; nil if it has none.
	Banks func() []api.BankHealth
}

// Dialect is an API of others beside that of /v1. Its WebSockets end with the context of their
// requests.
type Dialect interface {
	http.Handler
	// Serves tells whether a path is one of the dialect.
	Serves(path string) bool
}

// Server serves any number of virtual servers. Its methods may be called concurrently.
type Server struct {
	config  Config
	log     *slog.Logger
	meter   *meter
	conns   *conns
	bodies  *budget
	replies *budget
	streams *streams
	pace    pace
	alone   sync.Once // says that a proxy of this machine is not known
	handler http.Handler
	http    *http.Server

	mu      sync.RWMutex
	virtual map[exchange.ID]*virtual
	stopped map[exchange.ID]bool // those that belong here and do not run
	first   exchange.ID          // the default virtual server; zero: there has been none
}

// New makes a server without virtual servers.
func New(c Config) *Server {
	if c.Conns <= 0 {
		c.Conns = DefaultConns
	}
	if c.ConnsPerIP <= 0 {
		c.ConnsPerIP = DefaultConnsPerIP
	}
	if c.Wait <= 0 {
		c.Wait = DefaultWait
	}
	if c.Bodies <= 0 {
		c.Bodies = DefaultBodies
	}
	if c.Responses <= 0 {
		c.Responses = DefaultResponses
	}
	if c.Streams <= 0 {
		c.Streams = DefaultStreams
	}
	if c.StreamsPerIP <= 0 {
		c.StreamsPerIP = DefaultStreamsPerIP
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Server{config: c, log: c.Log, meter: newMeter(), virtual: map[exchange.ID]*virtual{}, stopped: map[exchange.ID]bool{}, pace: newPace()}
	s.bodies, s.replies = newBudget(c.Bodies), newBudget(c.Responses)
	s.streams = newStreams(c.Streams, c.StreamsPerIP, s.meter)
	s.conns = newConns(c.Conns, c.ConnsPerIP, c.Proxies, s.meter)
	s.handler = s.guard(http.HandlerFunc(s.route))
	s.http = &http.Server{
		Handler: s.handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ConnContext: s.conns.enter,
		// What peers do wrong is no error of ours, and its text holds their addresses.
		ErrorLog: log.New(debugWriter{c.Log}, "", 0),
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerStream: streamBuffer, MaxReceiveBufferPerConnection: 2 * streamBuffer},
	}
	return s
}

// debugWriter hands what net/http complains about to the debug level.
type debugWriter struct{ log *slog.Logger }

func (w debugWriter) Write(p []byte) (int, error) {
	w.log.Debug("http", slog.String("text", string(p)))
	return len(p), nil
}

// Add begins to serve a virtual server under "/vs/" and its id; the first one
// also answers at the root. It returns an error for one that is served already.
func (s *Server) Add(v Virtual) error {
	id := v.Founding.ID()
	vs := newVirtual(s, id, v)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.virtual[id]; ok {
		return fmt.Errorf("virtual server %x is served already", id[:4])
	}
	s.virtual[id] = vs
	delete(s.stopped, id)
	if (s.first == exchange.ID{}) {
		s.first = id
	}
	return nil
}

// Stop stops serving a virtual server that belongs here all the same: it is
// answered for as halted, and the server is not ready, until Add or Remove.
// Requests under way go on; streams end.
func (s *Server) Stop(id exchange.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.virtual[id].end()
	delete(s.virtual, id)
	s.stopped[id] = true
}

// Remove stops serving a virtual server for good. Requests under way go on; streams end.
func (s *Server) Remove(id exchange.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.virtual[id].end()
	delete(s.virtual, id)
	delete(s.stopped, id)
	if s.first == id {
		s.first = exchange.ID{}
	}
}

// find is a virtual server by id: nil if it has stopped, false if it does not
// belong here.
func (s *Server) find(id exchange.ID) (v *virtual, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v = s.virtual[id]
	return v, v != nil || s.stopped[id]
}

// root is the default virtual server; nil if it does not run.
func (s *Server) root() *virtual {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.virtual[s.first]
}

// all are the ids of the virtual servers that belong here.
func (s *Server) all() []exchange.ID {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.AppendSeq(slices.Collect(maps.Keys(s.virtual)), maps.Keys(s.stopped))
}

// Handler answers requests, for tests and for servers of the caller's own.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve answers the connections that l accepts until Shutdown; then it returns
// nil. It closes l. It returns ErrPlain at once for a listener that is open to
// others and has no TLS. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	if s.config.TLS == nil && !s.config.Plain && !localListener(l) {
		_ = l.Close()
		return ErrPlain
	}
	l = s.conns.listen(l)
	if s.config.TLS != nil {
		t := s.config.TLS.Clone()
		t.MinVersion = max(t.MinVersion, tls.VersionTLS13)
		t.NextProtos = []string{"h2", "http/1.1"}
		l = tls.NewListener(l, t)
	}
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown takes no more requests, ends streams and waits for what is under way; when
// ctx is done it breaks it off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.streams.close(ctx)
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	return err
}

func localListener(l net.Listener) bool {
	if l.Addr().Network() == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
