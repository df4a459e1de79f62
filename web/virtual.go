package web

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"souk/api"
	"souk/consensus"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/identity"
	"souk/tape"
)

// virtual answers for one virtual server.
type virtual struct {
	server   *Server
	id       exchange.ID
	text     string // the id in headers
	name     string // in the founding contract
	contract []byte
	founders []string // the URLs of the contract's members
	self     identity.PublicKey
	replica  Replica
	engine   Engine
	health   func() []api.BankHealth
	tape     *tape.Tape
	dialect  Dialect
	mux      *http.ServeMux
	reads    *reads
	looks    chan struct{}          // holds one for each request that looks at the state
	member   atomic.Pointer[string] // this server's member name, as last seen
	waiting  atomic.Int64           // reads that wait for a block

	admit         func(context.Context, *exchange.Admit) (exchange.Receipt, error)
	admissions    admissions
	practice      Practice
	practiced     admissions
	coinCache     coinCache
	pages         pageCache
	signatures    verdicts
	memberOrigins origins
	derived       derived
	known         known
	feed          *feed
	gone          chan struct{} // closed when the virtual server is not served here any more
	once          sync.Once     // closes it

	// The engine's status as last seen: asking may take as long as a block does.
	mu     sync.Mutex
	seen   consensus.Status
	seenAt time.Time
	asking bool
}

// mostLooks is how many requests look at the state at once.
const mostLooks = 4

// The engine's status is asked for anew when it is older than seenFor, and waited
// for when it is older than seenMost.
const (
	seenFor  = 250 * time.Millisecond
	seenMost = 2 * time.Second
)

func newVirtual(s *Server, id exchange.ID, of Virtual) *virtual {
	v := &virtual{
		server: s, id: id, text: serverText(id), name: of.Founding.Name, contract: of.Founding.Append(nil), self: of.Self,
		replica: of.Replica, engine: of.Engine, health: of.Banks, tape: of.Tape, dialect: of.Dialect, mux: http.NewServeMux(), reads: newReads(),
		looks: make(chan struct{}, mostLooks), admit: of.Admit, admissions: newAdmissions(), practice: of.Practice, practiced: newAdmissions(), coinCache: coinCache{list: map[custody.Bank]*coinList{}}, pages: pageCache{list: map[custody.Bank]*bankPage{}},
		signatures: verdicts{known: map[[32]byte]bool{}}, derived: newDerived(),
	}
	for i := range of.Founding.Members {
		v.founders = append(v.founders, of.Founding.Members[i].URL)
	}
	v.known, v.feed, v.gone = newKnown(), newFeed(v), make(chan struct{})
	register(v.mux, v)
	return v
}

// end ends the streams. It works on nil.
func (v *virtual) end() {
	if v != nil {
		v.once.Do(func() { close(v.gone) })
	}
}

// ServeHTTP answers requests whose path begins with "/v1", or is one of the dialect.
func (v *virtual) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set(api.ServerHeader, v.text)
	if name := v.memberName(); name != "" {
		h.Set(api.MemberHeader, name)
	}
	_, pattern := v.mux.Handler(r)
	switch {
	case pattern != "":
	case v.dialect != nil && v.dialect.Serves(r.URL.Path):
		v.foreign(w, r)
		return
	default:
		v.lost(w, r)
		return
	}
	label(w, pattern)
	if e := oneEach(r); e != nil {
		fail(w, e)
		return
	}
	v.await(r)
	v.mux.ServeHTTP(w, r)
}

// foreign answers a request of the dialect. Its WebSockets are streams like others: who opens
// many of them does not keep everybody else out (H-114).
func (v *virtual) foreign(w http.ResponseWriter, r *http.Request) {
	label(w, "dialect")
	if r.Header.Get("Upgrade") == "" {
		v.dialect.ServeHTTP(w, r)
		return
	}
	ctx, place, e := v.server.streams.begin(r)
	if e != nil {
		fail(w, e)
		return
	}
	defer place.leave()
	go func() {
		select {
		case <-place.cut:
			place.abort()
		case <-v.gone:
			place.abort()
		case <-ctx.Done():
		}
	}()
	v.dialect.ServeHTTP(w, r.WithContext(ctx))
}

// oneEach refuses a query that cannot be read, or in which a parameter stands twice (H-41).
func oneEach(r *http.Request) *api.Error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return api.NewError(api.BadRequest, "query", "The query cannot be read: write it as name=value with & between.")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(values[name]) > 1 {
			return api.NewError(api.BadRequest, "query."+cut(name), "The parameter stands there twice. Put commas between several values, where there may be several.")
		}
	}
	return nil
}

// noQuery refuses all parameters, for operations that take none.
func noQuery(w http.ResponseWriter, r *http.Request) bool {
	for name := range r.URL.Query() {
		fail(w, unknownQuery(name))
		return false
	}
	return true
}

// How long a read waits for the block that its reader has heard of, how often it
// looks for it, and how many may wait: others have what there is (H-33).
const (
	awaitMost  = time.Second
	awaitPause = 5 * time.Millisecond
	mostAwait  = 256
)

// await lets a read wait for a block that its reader has heard of from another server.
func (v *virtual) await(r *http.Request) {
	height, err := strconv.ParseUint(r.Header.Get(api.AfterHeader), 10, 53)
	if err != nil || r.Method != http.MethodGet || v.replica.Height() >= height {
		return
	}
	if v.waiting.Add(1) > mostAwait {
		v.waiting.Add(-1)
		return
	}
	defer v.waiting.Add(-1)
	end := time.NewTimer(awaitMost)
	defer end.Stop()
	look := time.NewTicker(awaitPause)
	defer look.Stop()
	for v.replica.Height() < height && v.replica.Err() == nil {
		select {
		case <-look.C:
		case <-end.C:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// lost answers for a path or method that there is not.
func (v *virtual) lost(w http.ResponseWriter, r *http.Request) {
	var allow []string
	for _, m := range []string{http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = m
		if _, pattern := v.mux.Handler(other); pattern != "" {
			allow = append(allow, m)
		}
	}
	if len(allow) > 0 {
		w.Header().Set("Allow", strings.Join(allow, ", "))
		fail(w, api.NewError(api.NotMethod, "", "Use %s here.", strings.Join(allow, " or ")))
		return
	}
	fail(w, api.NewError(api.NotFound, "", "There is nothing at this path. /v1/openapi.json lists what there is."))
}

// memberName is the name of the member that this server is; empty if it is none, or before there is a state.
func (v *virtual) memberName() string {
	if p := v.member.Load(); p != nil {
		return *p
	}
	var name string
	if err := v.replica.View(func(s *exchange.State) { name = v.memberIn(s) }); err == nil {
		v.member.Store(&name)
	}
	return name
}

func (v *virtual) memberIn(s *exchange.State) string {
	id, ok := s.Roster().ByConsensus(v.self)
	if !ok {
		return ""
	}
	m, _ := s.Roster().Member(id)
	return m.Name
}

// recent is the engine's status a moment ago. While requests come it does not wait
// for the engine.
func (v *virtual) recent() consensus.Status {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch age := time.Since(v.seenAt); {
	case v.seenAt.IsZero() || age > seenMost && !v.asking:
		v.seen, v.seenAt = v.engine.Status(), time.Now()
	case !v.asking && age > seenFor:
		v.asking = true
		go v.refresh()
	}
	return v.seen
}

func (v *virtual) refresh() {
	status := v.engine.Status()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen, v.seenAt, v.asking = status, time.Now(), false
}

// unready is why commands cannot be taken, the engine's status being what it is;
// nil if they can.
func (v *virtual) unready(status *consensus.Status) *api.Error {
	var e *api.Error
	switch {
	case v.replica.Err() != nil || status.Halted != nil:
		e = stopped()
	case status.CatchUp:
		e = api.NewError(api.CatchingUp, "", "This server is behind and catches up. Ask another one.")
		if status.Height == 0 {
			e = api.NewError(api.CatchingUp, "", "This server has no block yet: it waits for the other members' servers, or for one of them to have a copy of the state, if it is to begin from that. Ask another one.")
		}
		e.RetryAfter = 5 * time.Second
	}
	return e
}

// silent is the member that a client names as one that left its commands
// unanswered: by name or by base URL; zero if there is no such member, or if it is this one.
func (v *virtual) silent(text string) roster.ID {
	if text == "" {
		return 0
	}
	var id roster.ID
	_ = v.replica.View(func(s *exchange.State) { // without a state nobody is known
		for m := range s.Roster().Members {
			if (m.Name == text || strings.TrimRight(m.URL, "/") == strings.TrimRight(text, "/")) && m.Consensus != v.self {
				id = m.ID
			}
		}
	})
	return id
}

// pair finds a market by number or by name and adds what it takes to write its money. field is
// the parameter that names it.
func pair(s *exchange.State, field, name string) (api.Pair, error) {
	for _, m := range s.Markets().Markets(nil) {
		p := api.NewPair(m, s.Ledger())
		if p.Symbol() == name || numberText(uint64(m.ID)) == name {
			return p, nil
		}
	}
	return api.Pair{}, api.NewError(api.NotFound, field, "There is no market %q. /v1/markets lists them by number and name.", cut(name))
}

// pairs are all markets by number.
func pairs(s *exchange.State) map[market.ID]*api.Pair {
	all := map[market.ID]*api.Pair{}
	for _, m := range s.Markets().Markets(nil) {
		p := api.NewPair(m, s.Ledger())
		all[m.ID] = &p
	}
	return all
}

func at(s *exchange.State) api.At { return api.At{Height: s.Height(), Time: s.Time()} }

// look is Replica.View, by a few requests at a time: a block waits for all who look
// at the state, so those who only ask must not be many.
func (v *virtual) look(read func(*exchange.State)) error {
	v.looks <- struct{}{}
	defer func() { <-v.looks }()
	return v.replica.View(read)
}

// view is look for a read that may find that there is nothing to answer.
func (v *virtual) view(read func(*exchange.State) error) error {
	var inner error
	return errors.Join(v.look(func(s *exchange.State) { inner = read(s) }), inner)
}
