package web

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/danielgtaylor/huma/v2"

	"souk/api"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/identity"
)

// Bounds of a request for a stream.
const (
	maxStreamMarkets = 256
	// firstMessage is how long the token of a WebSocket may take, and maxToken what it may have.
	firstMessage = 5 * time.Second
	maxToken     = 4 << 10
)

// registerEvents mounts the streams, and describes them.
func (v *virtual) registerEvents(h huma.API, mux *http.ServeMux) {
	h.OpenAPI().AddOperation(eventsOperation(h, "streamEvents", "/events", "What blocks do, as server-sent events", map[string]*huma.Response{
		"200": {Description: "OK", Content: map[string]*huma.MediaType{api.EventStream: {Schema: eventsSchema(h)}}},
	}, "Every message has its cursor as id and a BlockEvents as data. The last one, of the type end, has an Error as data: why there will be no more."))
	h.OpenAPI().AddOperation(eventsOperation(h, "streamEventsWebSocket", "/events/ws", "What blocks do, over a WebSocket", map[string]*huma.Response{
		"101": {Description: "A WebSocket whose text messages are BlockEvents, and as the last one, before it is closed, an Error: why there will be no more."},
	}, "Browsers cannot set headers on WebSockets: without the header Souk-Read the first message of the client is the token that would stand there, signed for GET and this request's path and query."))
	mux.HandleFunc("GET "+api.Prefix+"/events", v.events)
	mux.HandleFunc("GET "+api.Prefix+"/events/ws", v.eventSocket)
}

func eventsSchema(h huma.API) *huma.Schema {
	return h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[api.BlockEvents](), true, "")
}

func eventsOperation(h huma.API, id, path, summary string, responses map[string]*huma.Response, description string) *huma.Operation {
	op := operation(h, id, path, summary)
	op.Description = description
	text := &huma.Schema{Type: "string"}
	op.Parameters = []*huma.Param{
		{Name: "markets", In: "query", Schema: text, Example: "BTC-EUR", Description: "Markets by number or name, with commas between; or all."},
		{Name: "account", In: "query", Schema: text, Description: "Address of an account whose events are wanted as well; its keys only, by " + api.ReadHeader + "."},
		{Name: "after", In: "query", Schema: text, Description: "Cursor of the last message that was received, or height of what was read: the stream goes on behind it. Absent: from now on."},
		{Name: api.LastEventHeader, In: "header", Schema: text, Description: "As after, and before it."},
		{Name: api.ReadHeader, In: "header", Schema: text, Description: "Who asks for account, signed (docs/spec/10-http.md, H-20)."},
	}
	for status, r := range responses {
		op.Responses[status] = r
	}
	return &op
}

// eventsQuery are the parameters of a stream.
type eventsQuery struct {
	names   []string // of markets
	account string
	after   uint64
	behind  bool // after was given
}

// parseEvents reads the parameters of a stream. It refuses those that there are not.
func parseEvents(r *http.Request) (*eventsQuery, *api.Error) {
	values := r.URL.Query()
	q := &eventsQuery{}
	for name := range values {
		if !slices.Contains([]string{"markets", "account", "after"}, name) {
			return nil, unknownQuery(name)
		}
	}
	if text := values.Get("markets"); text != "" {
		q.names = strings.Split(text, ",")
	}
	if len(q.names) > maxStreamMarkets {
		return nil, api.NewError(api.BadRequest, "query.markets", "At most %d markets can be named; all is all of them.", maxStreamMarkets)
	}
	q.account = values.Get("account")
	if len(q.names) == 0 && q.account == "" {
		return nil, api.NewError(api.BadRequest, "query.markets", "Say what is wanted: markets=BTC-EUR,LTC-EUR, or markets=all, or account= and an address.")
	}
	if q.account != "" {
		if a, err := identity.ParseAddress(q.account); err != nil || a.String() != q.account {
			return nil, api.NewError(api.BadRequest, "query.account", "That is not the address of an account, in lower case.")
		}
	}
	for _, from := range []struct{ field, text string }{{"query.after", values.Get("after")}, {"header." + api.LastEventHeader, r.Header.Get(api.LastEventHeader)}} {
		if from.text == "" {
			continue
		}
		n, err := strconv.ParseUint(from.text, 10, 53)
		if err != nil {
			return nil, api.NewError(api.BadRequest, from.field, "Give the cursor of the last message, or the height of what was read, or nothing.")
		}
		q.after, q.behind = n, true // the header is the newer one: a browser adds it when it connects again
	}
	return q, nil
}

// unknownQuery refuses a query parameter that there is not (H-41).
func unknownQuery(name string) *api.Error {
	e := api.NewError(api.BadRequest, "query."+cut(name), "There is no such parameter here. See /v1/openapi.json.")
	e.Status, e.Title = http.StatusUnprocessableEntity, http.StatusText(http.StatusUnprocessableEntity)
	return e
}

// want finds out what a stream shall send, and whether this server can.
func (v *virtual) want(ctx context.Context, q *eventsQuery) (*filter, *api.Error) {
	status := v.recent()
	if e := v.unready(&status); e != nil {
		return nil, e
	}
	w := &filter{from: q.after + 1}
	var newest uint64
	err := v.view(func(s *exchange.State) error {
		newest = s.Height()
		for _, name := range q.names {
			if name == "all" && len(q.names) == 1 {
				w.all = true
				return nil
			}
			p, err := pair(s, "query.markets", name)
			if err != nil {
				return err
			}
			w.markets = append(w.markets, p.ID)
		}
		slices.Sort(w.markets)
		w.markets = slices.Compact(w.markets)
		return nil
	})
	if err != nil {
		return nil, problem(err)
	}
	if !q.behind {
		w.from = newest + 1
		return w, nil
	}
	return w, v.reaches(ctx, w.from, newest)
}

// reaches tells whether blocks can be told from a height on, newest being the last that did something.
func (v *virtual) reaches(ctx context.Context, from, newest uint64) *api.Error {
	switch {
	case from-1 > v.replica.Height() && !v.comes(ctx, from-1):
		e := api.NewError(api.CatchingUp, "query.after", "This server is not at block %d yet. Ask another one, or ask again.", from-1)
		e.RetryAfter = time.Second
		return e
	case from > newest:
		return nil
	}
	for _, err := range v.replica.Follow(ctx, from) {
		if err != nil {
			return problem(err)
		}
		break // the log has it
	}
	return nil
}

// comes waits a moment for a block (H-33).
func (v *virtual) comes(ctx context.Context, height uint64) bool {
	ctx, cancel := context.WithTimeout(ctx, awaitMost)
	defer cancel()
	look := time.NewTicker(awaitPause)
	defer look.Stop()
	for v.replica.Height() < height {
		select {
		case <-ctx.Done():
			return false
		case <-look.C:
		}
	}
	return true
}

// signedFor checks the token of a stream of an account.
func (v *virtual) signedFor(r *http.Request, token, account string) (*api.ReadToken, *api.Error) {
	in := &Signed{Token: token, method: http.MethodGet, target: r.URL.EscapedPath()}
	if r.URL.RawQuery != "" {
		in.target += "?" + r.URL.RawQuery
	}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		in.source = sourceOf(from.Addr())
	}
	t, err := v.token(in, ledger.Read)
	if err != nil {
		return nil, problem(err)
	}
	if t.Address.String() != account {
		return nil, v.refused()
	}
	return t, nil
}

// events streams what blocks do as server-sent events (H-110 to H-114).
func (v *virtual) events(w http.ResponseWriter, r *http.Request) {
	q, e := parseEvents(r)
	if e == nil && !sameOrigin(r) && !v.admits(r) {
		e = api.NewError(api.CrossOrigin, "header.Origin", "A page of another origin may not do this. Ask from a program, or from a page of this server or of another member's.")
	}
	if e != nil {
		fail(w, e)
		return
	}
	var token *api.ReadToken
	if q.account != "" {
		if token, e = v.signedFor(r, r.Header.Get(api.ReadHeader), q.account); e != nil {
			fail(w, e)
			return
		}
	}
	want, e := v.want(r.Context(), q)
	if e != nil {
		fail(w, e)
		return
	}
	want.account = token
	h := w.Header()
	h.Set("Content-Type", api.EventStream)
	h.Set("X-Accel-Buffering", "no") // proxies pass each message on at once
	if r.Method == http.MethodHead {
		return
	}
	ctx, place, e := v.server.streams.begin(r)
	if e != nil {
		fail(w, e)
		return
	}
	defer place.leave()
	out := &eventOutlet{w: w, write: v.server.pace.write, control: http.NewResponseController(w)}
	_ = out.control.SetReadDeadline(time.Time{}) // where it cannot be set, that of a message cannot either
	v.stream(ctx, w, want, place, out)
}

// stream runs a stream over an outlet.
func (v *virtual) stream(ctx context.Context, w http.ResponseWriter, want *filter, place *place, out outlet) {
	ring, err := v.feed.join()
	if err != nil {
		out.end(problem(err))
		return
	}
	defer ring.leave()
	if rec, ok := w.(*recorder); ok {
		rec.stream = true
	}
	(&stream{v: v, want: want, out: out, ring: ring, place: place}).run(ctx)
}

// eventOutlet writes server-sent events.
type eventOutlet struct {
	w       http.ResponseWriter
	control *http.ResponseController
	write   time.Duration // for one message
	buffer  []byte
}

func (o *eventOutlet) send(height uint64, message []byte) error {
	o.buffer = strconv.AppendUint(append(o.buffer[:0], "id: "...), height, 10)
	o.buffer = append(append(append(o.buffer, "\ndata: "...), message...), "\n\n"...)
	return o.flush()
}

func (o *eventOutlet) end(e *api.Error) {
	o.buffer = append(append(append(o.buffer[:0], "event: end\ndata: "...), problemText(e)...), "\n\n"...)
	_ = o.flush() // a reader that does not take it is gone
}

func (o *eventOutlet) flush() error {
	if err := o.control.SetWriteDeadline(time.Now().Add(o.write)); err != nil {
		return err
	}
	if _, err := o.w.Write(o.buffer); err != nil {
		return err
	}
	if err := o.control.Flush(); err != nil {
		return err
	}
	if cap(o.buffer) > 64<<10 {
		o.buffer = nil // a large message is rare
	}
	// HTTP/2 would break off what is only silent.
	return o.control.SetWriteDeadline(time.Time{})
}

// eventSocket streams what blocks do over a WebSocket (H-115).
func (v *virtual) eventSocket(w http.ResponseWriter, r *http.Request) {
	q, e := parseEvents(r)
	if e == nil && !sameOrigin(r) && !v.admits(r) {
		e = api.NewError(api.CrossOrigin, "header.Origin", "A page of another origin may not do this. Connect from a program, or from a page of this server or of another member's.")
	}
	if e == nil && !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		e = api.NewError(api.BadRequest, "header.Upgrade", "This is for WebSockets. /v1/events sends the same as server-sent events.")
	}
	var token *api.ReadToken
	given := r.Header.Get(api.ReadHeader)
	if e == nil && q.account != "" && given != "" {
		token, e = v.signedFor(r, given, q.account)
	}
	var want *filter
	if e == nil {
		want, e = v.want(r.Context(), q)
	}
	if e != nil {
		fail(w, e)
		return
	}
	ctx, place, e := v.server.streams.begin(r)
	if e != nil {
		fail(w, e)
		return
	}
	defer place.leave()
	conn, err := websocket.Accept(hijacked(w), r, &websocket.AcceptOptions{
		CompressionMode: websocket.CompressionDisabled, InsecureSkipVerify: true, // whose page it is was looked at above
	})
	if err != nil {
		return // it has been answered
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(maxToken)
	out := &socketOutlet{ctx: ctx, conn: conn, write: v.server.pace.write, budget: v.server.replies, source: client(r)}
	if want.account = token; q.account != "" && token == nil {
		if want.account, e = v.firstMessage(ctx, r, conn, q.account); e != nil {
			out.end(e)
			return
		}
	}
	// The context ends when the reader closes, or says more.
	v.stream(conn.CloseRead(ctx), w, want, place, out)
}

// firstMessage is the token of a WebSocket that has none in its header.
func (v *virtual) firstMessage(ctx context.Context, r *http.Request, conn *websocket.Conn, account string) (*api.ReadToken, *api.Error) {
	ctx, cancel := context.WithTimeout(ctx, firstMessage)
	defer cancel()
	kind, token, err := conn.Read(ctx)
	if err != nil || kind != websocket.MessageText {
		return nil, api.NewError(api.NotSigned, "header."+api.ReadHeader, "The first message must be the token that the header %s would have, as text, within %s.", api.ReadHeader, firstMessage)
	}
	return v.signedFor(r, strings.TrimSpace(string(token)), account)
}

// sameOrigin tells whether a WebSocket comes from a program, or from a page of this server.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// hijacked is the response writer under a recorder, which is not asked any more.
func hijacked(w http.ResponseWriter) http.ResponseWriter {
	rec, ok := w.(*recorder)
	if !ok {
		return w
	}
	rec.sent, rec.status = true, http.StatusSwitchingProtocols
	return rec.ResponseWriter
}

// socketOutlet sends messages over a WebSocket.
type socketOutlet struct {
	ctx    context.Context
	conn   *websocket.Conn
	write  time.Duration // for one message
	budget *budget
	source string
}

func (o *socketOutlet) send(_ uint64, message []byte) error {
	ctx, cancel := context.WithTimeout(o.ctx, o.write)
	defer cancel()
	if len(message) > smallReply {
		h := o.budget.begin(o.source, cancel)
		defer h.end()
		if !h.take(int64(len(message))) {
			return ErrBusy
		}
	}
	return o.conn.Write(ctx, websocket.MessageText, message)
}

// closings are the codes that WebSockets are closed with; others are closed as going away.
var closings = map[api.Code]websocket.StatusCode{
	api.NotSigned: websocket.StatusPolicyViolation, api.NotAllowed: websocket.StatusPolicyViolation,
	api.Busy: websocket.StatusTryAgainLater, api.TooSlow: websocket.StatusTryAgainLater, api.Broken: websocket.StatusInternalError,
}

func (o *socketOutlet) end(e *api.Error) {
	ctx, cancel := context.WithTimeout(o.ctx, o.write)
	defer cancel()
	if err := o.conn.Write(ctx, websocket.MessageText, problemText(e)); err != nil {
		return
	}
	code, ok := closings[e.Code]
	if !ok {
		code = websocket.StatusGoingAway
	}
	_ = o.conn.Close(code, string(e.Code)) // a reader that does not take it is gone
}

// rekeyed tells whether the block changed who may act for an account.
func (p *page) rekeyed(at *involved) bool {
	return slices.ContainsFunc(at.events, func(i int32) bool {
		kind := p.block.Events[i].Kind
		return kind == exchange.EventKeysChanged || kind == exchange.EventRotated
	})
}
