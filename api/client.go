package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"souk/exchange"
)

// Errors of a Client.
var (
	// ErrServers is wrapped when no server gave a usable answer in time; what
	// each of them did instead stands behind it.
	ErrServers = errors.New("no server answered")
	// ErrUndecided is wrapped by Submit when it gave up before it knew the fate of
	// every command. A command without a receipt may still be executed until its
	// expiry; sending it again is safe.
	ErrUndecided = errors.New("the fate of some commands is not known")
	// ErrForeign is returned by Submit for a command that was not signed, or not for
	// this virtual server.
	ErrForeign = errors.New("not signed for virtual server")
	// ErrConfig is wrapped by NewClient for a configuration that cannot work.
	ErrConfig = errors.New("client configuration")
)

// Defaults of Config.
const (
	// DefaultResend is how long a client waits for one server before it asks the next as well.
	DefaultResend = 800 * time.Millisecond
	// DefaultPatience is how long reads are tried when the context has no deadline.
	DefaultPatience = 15 * time.Second
	// maxPatience is the longest that one server is waited for alone.
	maxPatience = 5 * time.Second
	// maxResponse is the largest body of a response that is read.
	maxResponse = 16 << 20
)

// Config says which servers a Client talks to.
type Config struct {
	// Servers are base URLs of servers of one virtual server, such as
	// "https://alice.example:7780", the preferred one first.
	Servers []string
	// ID pins the virtual server. If it is zero the client believes the first
	// server that answers, which is good for trials only.
	ID exchange.ID
	// After is the height of a block that the client's user has heard of: answers to
	// reads shall not be older, as those to its own commands are not.
	After uint64
	// Resend is how long to wait for one server before asking the next as well;
	// zero is DefaultResend.
	Resend time.Duration
	// Hasty gives up at once where no server is there: each refuses the connection, or
	// has a name that is none. Else that is tried again as long as there is patience,
	// for a server that is started again. Somebody who waits wants to hear it.
	Hasty bool
	// Transport carries the requests; nil is a transport of the client's own.
	Transport http.RoundTripper
	// Log gets a line when the client turns to another server; nil is silence.
	Log *slog.Logger
}

// Client talks to the servers of a virtual server and turns from one to the next
// when one is dead, slow, busy or talks nonsense, without its caller's noticing.
// It may be used by many goroutines.
type Client struct {
	http    *http.Client
	resend  time.Duration
	hasty   bool
	log     *slog.Logger
	servers []*server
	after   atomic.Uint64 // the newest block that is known to have executed a command

	mu      sync.Mutex
	id      exchange.ID
	first   int           // index of the preferred server
	usual   time.Duration // how long decisions took of late
	pairs   map[uint32]Pair
	symbols map[string]uint32
}

// server is one server as the client sees it.
type server struct {
	base string // without a slash at the end

	mu     sync.Mutex
	member string    // name of its member, once it is known
	fails  int       // failures in a row
	until  time.Time // not preferred before
}

// NewClient makes a client. It returns ErrConfig for base URLs that are none.
func NewClient(c Config) (*Client, error) {
	if len(c.Servers) == 0 {
		return nil, fmt.Errorf("%w: no servers", ErrConfig)
	}
	cl := &Client{resend: c.Resend, hasty: c.Hasty, log: c.Log, id: c.ID, pairs: map[uint32]Pair{}, symbols: map[string]uint32{}}
	if cl.resend <= 0 {
		cl.resend = DefaultResend
	}
	if cl.log == nil {
		cl.log = slog.New(slog.DiscardHandler)
	}
	transport := c.Transport
	if transport == nil {
		transport = newTransport()
	}
	cl.after.Store(c.After)
	cl.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, s := range c.Servers {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			return nil, fmt.Errorf("%w: server %q is not a base URL such as https://host:port", ErrConfig, s)
		}
		cl.servers = append(cl.servers, &server{base: strings.TrimRight(s, "/")})
	}
	return cl, nil
}

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext,
		TLSHandshakeTimeout: 3 * time.Second, IdleConnTimeout: 30 * time.Second,
		MaxIdleConns: 256, MaxIdleConnsPerHost: 64, MaxResponseHeaderBytes: 16 << 10,
		DisableCompression: true, ForceAttemptHTTP2: true,
	}
}

// After is the height of the newest block that the client's user has heard of: what a
// later client begins with to read no less (H-33).
func (c *Client) After() uint64 { return c.after.Load() }

// heard notes the blocks of receipts.
func (c *Client) heard(receipts []exchange.Receipt) {
	for i := range receipts {
		c.heardOf(receipts[i].Height)
	}
}

// heardOf notes a block.
func (c *Client) heardOf(height uint64) {
	for old := c.after.Load(); height > old && !c.after.CompareAndSwap(old, height); {
		old = c.after.Load()
	}
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Servers are the base URLs, the one that is preferred now first.
func (c *Client) Servers() []string {
	var list []string
	for _, s := range c.order() {
		list = append(list, s.base)
	}
	return list
}

// ID is the virtual server's id: the pinned one or, without a pin, the one that
// the first server to answer named.
func (c *Client) ID(ctx context.Context) (exchange.ID, error) {
	if id, ok := c.pinned(); ok {
		return id, nil
	}
	status, err := c.Status(ctx)
	if err != nil {
		return exchange.ID{}, err
	}
	return ParseServerID(status.ID)
}

func (c *Client) pinned() (exchange.ID, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id, c.id != exchange.ID{}
}

// pin believes a server about the id, if none is pinned.
func (c *Client) pin(text string) error {
	id, err := ParseServerID(text)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.id {
	case exchange.ID{}:
		c.id = id
	case id:
	default:
		return fmt.Errorf("it answers for virtual server %s, not %x", text, c.id)
	}
	return nil
}

// order is the servers in the order in which to ask them: the preferred one, then
// the others as listed, those that failed lately last.
func (c *Client) order() []*server {
	c.mu.Lock()
	first := c.first
	c.mu.Unlock()
	now := time.Now()
	var good, bad []*server
	for i := range c.servers {
		s := c.servers[(first+i)%len(c.servers)]
		if s.resting(now) {
			bad = append(bad, s)
		} else {
			good = append(good, s)
		}
	}
	return append(good, bad...)
}

// prefer makes the server that gave the newest good answer the first to be asked.
func (c *Client) prefer(s *server) {
	s.mu.Lock()
	s.fails, s.until = 0, time.Time{}
	s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.servers[c.first] == s {
		return
	}
	for i, other := range c.servers {
		if other == s {
			c.first = i
		}
	}
	c.log.Info("turned to another server", slog.String("server", s.base))
}

func (s *server) resting(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.until)
}

// failed puts the server last for a while that doubles from a quarter of a second to half a minute.
func (s *server) failed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = min(s.fails+1, 8)
	s.until = time.Now().Add(min(time.Second/8<<s.fails, 30*time.Second))
}

func (s *server) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.member
}

func (s *server) learn(h http.Header) {
	if m := h.Get(MemberHeader); m != "" && len(m) <= 32 {
		s.mu.Lock()
		s.member = m
		s.mu.Unlock()
	}
}

// call is one request, sendable to any server.
type call struct {
	method string
	target string // path from /v1 on, and query
	body   []byte
	accept string
	header http.Header   // more headers; may be nil
	sign   *Signer       // signs the read; may be nil
	limit  time.Duration // for one attempt; zero: none but the context's
}

// finalError is an answer that no other server would give differently.
type finalError struct{ refusal error }

func (e finalError) Error() string { return e.refusal.Error() }
func (e finalError) Unwrap() error { return e.refusal }

// send makes one attempt at one server. It returns a finalError for an answer that
// must be given to the caller; all other errors mean: ask the next server.
func (c *Client) send(ctx context.Context, s *server, r *call) ([]byte, error) {
	if r.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.limit)
		defer cancel()
	}
	resp, err := c.open(ctx, s, r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(data) > maxResponse {
		return nil, errors.New("the answer is too long")
	}
	return data, judge(resp, data, r.accept)
}

// open sends a request to one server and answers its response, which is from the pinned
// virtual server. Its body must be closed.
func (c *Client) open(ctx context.Context, s *server, r *call) (*http.Response, error) {
	path := s.base
	id, pinned := c.pinned()
	if pinned {
		path += fmt.Sprintf("/vs/%x", id)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, path+r.target, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	req.Header.Set("Accept", r.accept)
	if after := c.after.Load(); after > 0 && r.method == http.MethodGet {
		req.Header.Set(AfterHeader, strconv.FormatUint(after, 10))
	}
	// Whatever a client sends may be sent twice: a command has one effect.
	req.Header["Idempotency-Key"] = nil
	if r.body != nil {
		req.Header.Set("Content-Type", Binary)
	}
	if r.sign != nil {
		token := SignRead(id, r.sign.Account, r.sign.Key, uint64(time.Now().UnixMilli()), r.method, r.target)
		req.Header.Set(ReadHeader, token.String())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if outer := (*url.Error)(nil); errors.As(err, &outer) {
			err = outer.Err // the caller knows whom it asked for what
		}
		return nil, err
	}
	if pinned && resp.Header.Get(ServerHeader) != fmt.Sprintf("%x", id) {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("status %d, not from virtual server %x: it does not serve that one", resp.StatusCode, id)
	}
	s.learn(resp.Header)
	return resp, nil
}

// judge tells good answers from final errors and from reasons to ask the next server.
func judge(resp *http.Response, data []byte, accept string) error {
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("status %d without a media type", resp.StatusCode)
	}
	if resp.StatusCode == http.StatusOK {
		if media != accept {
			return fmt.Errorf("the answer is %s, not %s", media, accept)
		}
		return nil
	}
	if media != Problem {
		return fmt.Errorf("status %d that is no problem description", resp.StatusCode)
	}
	e := &Error{}
	if err := json.Unmarshal(data, e); err != nil {
		return fmt.Errorf("status %d with a broken problem description: %w", resp.StatusCode, err)
	}
	e.Status = resp.StatusCode
	if resp.StatusCode >= 400 && resp.StatusCode < 500 {
		switch resp.StatusCode {
		case http.StatusRequestTimeout, http.StatusMisdirectedRequest, http.StatusTooManyRequests, http.StatusConflict, http.StatusGone:
			return e // another server may do better
		}
		return finalError{e}
	}
	return e
}

// patience is how long to wait for one server before the next is asked as well: the
// resend time, or longer while decisions take long with everybody, when asking
// twice would only add to the load.
func (c *Client) patience() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return min(max(c.resend, 3*c.usual), maxPatience)
}

// decided notes how long a decision took.
func (c *Client) decided(took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.usual += (took - c.usual) / 8
}

// attempt is what one server answered.
type attempt[T any] struct {
	server *server
	value  T
	err    error
}

// roundError is that no server of a round gave a usable answer.
type roundError struct{ problems []error }

func (e *roundError) Error() string {
	var b strings.Builder
	b.WriteString(ErrServers.Error())
	for _, p := range e.problems {
		b.WriteString("\n  " + p.Error())
	}
	return b.String()
}

func (e *roundError) Unwrap() []error { return append([]error{ErrServers}, e.problems...) }

// race asks servers one after the other until one gives a good answer: the next at
// once when one fails, and besides when one is silent for longer than the client's
// patience. The late ones are called off. try is told which servers were silent.
//
// A server's refusal of the request itself is the answer only if no other server
// gives a better one within the time doubt: one that lies or is broken does not
// keep the caller from the others.
func race[T any](ctx context.Context, c *Client, doubt time.Duration, try func(ctx context.Context, s *server, silent []*server) (T, error)) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &round[T]{ctx: ctx, servers: c.order(), try: try, open: map[*server]bool{}}
	r.answers = make(chan attempt[T], len(r.servers))
	r.start()
	wait := c.patience()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var none T
	var refusal error
	failed := &roundError{}
	for len(r.open) > 0 {
		select {
		case <-ctx.Done():
			for _, s := range r.asked {
				if r.open[s] {
					failed.problems = append(failed.problems, fmt.Errorf("%s: no answer yet: %w", s.base, ctx.Err()))
				}
			}
			return none, failed
		case <-timer.C:
			if refusal != nil {
				return none, refusal
			}
			r.lose()
			r.start()
			timer.Reset(wait)
		case a := <-r.answers:
			delete(r.open, a.server)
			if a.err == nil {
				c.settle(a.server, r.late, r.asked[len(r.asked)-1])
				return a.value, nil
			}
			var final finalError
			switch {
			case !errors.As(a.err, &final):
				a.server.failed()
			case refusal == nil:
				refusal, wait = a.err, max(wait, doubt)
			}
			failed.problems = append(failed.problems, fmt.Errorf("%s: %w", a.server.base, a.err))
			r.start()
			timer.Reset(wait)
		}
	}
	if refusal != nil {
		return none, refusal
	}
	return none, failed
}

// round is a race under way.
type round[T any] struct {
	ctx     context.Context
	servers []*server // not asked yet
	try     func(ctx context.Context, s *server, silent []*server) (T, error)
	open    map[*server]bool // asked, without an answer
	late    []*server        // those that were silent for too long, the first asked first
	asked   []*server        // in this order
	answers chan attempt[T]
}

// start asks the next server, if there is one.
func (r *round[T]) start() {
	if len(r.servers) == 0 {
		return
	}
	s := r.servers[0]
	r.servers = r.servers[1:]
	var silent []*server
	for _, o := range r.late {
		if r.open[o] {
			silent = append(silent, o)
		}
	}
	r.open[s] = true
	r.asked = append(r.asked, s)
	go func() {
		v, err := r.try(r.ctx, s, silent)
		r.answers <- attempt[T]{s, v, err}
	}()
}

// lose notes that those who have not answered yet are late.
func (r *round[T]) lose() {
	for _, s := range r.asked {
		if r.open[s] && !slices.Contains(r.late, s) {
			r.late = append(r.late, s)
		}
	}
}

// settle remembers who answered and who was silent. One that answered after all,
// perhaps because another one did the work, is not preferred for it.
func (c *Client) settle(winner *server, late []*server, last *server) {
	for _, s := range late {
		s.failed()
		if s == winner {
			winner = last
		}
	}
	c.prefer(winner)
}

// late is the last error of something that was given up because of the time.
type late struct{ last, why error }

func (e late) Error() string   { return e.last.Error() }
func (e late) Unwrap() []error { return []error{e.last, e.why} }

// persist repeats rounds of all servers until one gives an answer or patience ends.
func persist[T any](ctx context.Context, c *Client, patience time.Duration, round func(context.Context) (T, error)) (T, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	pause := 50 * time.Millisecond
	for {
		v, err := round(ctx)
		var final finalError
		switch {
		case err == nil:
			return v, nil
		case errors.As(err, &final) && !errors.Is(err, ErrServers) && ctx.Err() == nil:
			return v, final.refusal
		case c.hasty && nobodyThere(err):
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, late{err, ctx.Err()}
		case <-time.After(pause):
		}
		pause = min(2*pause, time.Second)
	}
}

// nobodyThere tells whether all servers of a round refused the connection, or have names
// that are none: so nothing was sent to any.
func nobodyThere(err error) bool {
	var round *roundError
	if !errors.As(err, &round) || len(round.problems) == 0 {
		return false
	}
	for _, p := range round.problems {
		var name *net.DNSError
		if refused := errors.Is(p, syscall.ECONNREFUSED); !refused && (!errors.As(p, &name) || !name.IsNotFound) {
			return false
		}
	}
	return true
}

// fetch gets one thing and lets accept read it; what accept refuses is asked of
// the next server.
func fetch[T any](ctx context.Context, c *Client, r *call, accept func(data []byte) (T, error)) (T, error) {
	return fetchFrom(ctx, c, r, func(_ string, data []byte) (T, error) { return accept(data) })
}

// fetchFrom is fetch, and accept is told which server answered.
func fetchFrom[T any](ctx context.Context, c *Client, r *call, accept func(server string, data []byte) (T, error)) (T, error) {
	if _, ok := c.pinned(); !ok && r.target != Prefix+"/status" {
		if _, err := c.Status(ctx); err != nil { // pins the id
			var none T
			return none, err
		}
	}
	r.method, r.limit = http.MethodGet, 5*time.Second
	return persist(ctx, c, DefaultPatience, func(ctx context.Context) (T, error) {
		return race(ctx, c, 0, func(ctx context.Context, s *server, _ []*server) (T, error) {
			data, err := c.send(ctx, s, r)
			if err != nil {
				var none T
				return none, err
			}
			return accept(s.base, data)
		})
	})
}

// get fetches a JSON value.
func get[T any](ctx context.Context, c *Client, target string, sign *Signer) (*T, error) {
	return fetch(ctx, c, &call{target: target, accept: JSON, sign: sign}, decode[T])
}

func decode[T any](data []byte) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(data, v); err != nil {
		return nil, fmt.Errorf("the answer is not what was asked for: %w", err)
	}
	return v, nil
}
