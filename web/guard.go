package web

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"souk/api"
	"souk/consensus"
	"souk/exchange"
)

// guard is what every request goes through before anything else (H-50, H-53).
func (s *Server) guard(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		r = s.unproxied(r)
		rec := &recorder{ResponseWriter: w, request: r, budget: s.replies, operation: "other"}
		end := trackedOf(r.Context()).begin()
		defer func() {
			if p := recover(); p != nil {
				s.recovered(rec, r, p)
			}
			rec.finish()
			end()
			s.meter.count(rec, time.Since(began))
		}()
		secure(w.Header())
		if !s.knownHost(r.Host) {
			fail(rec, api.NewError(api.WrongHost, "header.Host", "This server does not answer to the name %q. Use its address, or name it in the server's configuration.", cut(r.Host)))
			return
		}
		if s.isSecure(r) {
			w.Header().Set("Strict-Transport-Security", strictFor)
		}
		shared := s.share(w.Header(), r)
		if shared && preflight(rec, r) {
			return
		}
		if err := origin.Check(r); err != nil && !shared {
			fail(rec, api.NewError(api.CrossOrigin, "header.Origin", "A page of another origin may not do this. Send the request from a program, or from a page of this server."))
			return
		}
		next.ServeHTTP(rec, r)
	})
}

// recovered answers for a handler that panicked. If the peer went away in the
// middle of a response that is no fault of ours.
func (s *Server) recovered(rec *recorder, r *http.Request, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) || rec.failed || r.Context().Err() != nil {
		s.log.DebugContext(r.Context(), "response broken off", slog.String("operation", rec.operation))
		return
	}
	s.log.ErrorContext(r.Context(), "handler panicked", slog.String("operation", rec.operation), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	if !rec.sent {
		rec.status = 0
		fail(rec, api.NewError(api.Broken, "", "This server has a fault. Ask another one, and tell the operator."))
	}
}

// secure sets headers that keep browsers from making anything of a response.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// knownHost tells whether a Host header may be answered: an address, this
// machine's own name, or a configured name. Anything else may be a name that
// somebody has pointed at this server to make a browser talk to it.
func (s *Server) knownHost(host string) bool {
	name, public := hostName(host)
	return !public || slices.ContainsFunc(s.config.Hosts, func(known string) bool { return name != "" && strings.EqualFold(known, name) })
}

// hostName is a Host header in lower case and without its port, and whether it is a name that
// other machines may know this one by: no address, and not this machine's own name.
func hostName(host string) (name string, public bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	name = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	_, err := netip.ParseAddr(name)
	return name, err != nil && name != "localhost"
}

// strictFor is what browsers are told: to come back over TLS alone, for a year. Other names
// below this one are their owner's business.
const strictFor = "max-age=31536000"

// isSecure tells whether a request came by a name that is always served over TLS (H-55): by
// this server or, if the member's own URL says so, by a proxy in front of it. Browsers heed
// the header only in what came to them over TLS.
func (s *Server) isSecure(r *http.Request) bool {
	name, public := hostName(r.Host)
	return public && (r.TLS != nil || s.isOwnSecure(name))
}

// route finds the virtual server that a request is for.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	p := r.URL.Path
	if path.Clean(p) != p && p != "/" && s.config.Door == nil { // a door has paths of its own
		fail(w, api.NewError(api.NotFound, "", "There is nothing at this path. Paths have no empty or dotted parts and no slash at the end."))
		return
	}
	switch p {
	case "/livez":
		s.live(w, r)
		return
	case "/readyz":
		s.ready(w, r, s.all()...)
		return
	case "/metrics":
		s.metrics(w, r)
		return
	}
	if s.config.Page != nil && s.config.Page.Serves(p) {
		s.page(w, r)
		return
	}
	if rest, ok := strings.CutPrefix(p, "/vs/"); ok {
		s.below(w, r, rest)
		return
	}
	first := s.root()
	if first == nil && s.config.Door != nil {
		label(w, "door")
		s.config.Door.ServeHTTP(w, r)
		return
	}
	if first == nil {
		fail(w, api.NewError(api.Halted, "", "This server serves no virtual server at the root. Ask below /vs/ and an id, or ask another server."))
		return
	}
	first.ServeHTTP(w, r)
}

// below answers for the virtual server whose id begins a path below "/vs/".
func (s *Server) below(w http.ResponseWriter, r *http.Request, rest string) {
	text, of, _ := strings.Cut(rest, "/")
	id, err := api.ParseServerID(text)
	v, ok := s.find(id)
	switch {
	case err != nil || !ok:
		fail(w, api.NewError(api.NotFound, "path.id", "This server does not serve that virtual server."))
	case of == "readyz":
		s.ready(w, r, id)
	case v == nil:
		w.Header().Set(api.ServerHeader, text)
		fail(w, stopped())
	default:
		http.StripPrefix("/vs/"+text, v).ServeHTTP(w, r)
	}
}

// stopped is what is answered for a virtual server that belongs here and does not run.
func stopped() *api.Error {
	e := api.NewError(api.Halted, "", "This virtual server has stopped here. Ask another server.")
	e.RetryAfter = 5 * time.Second
	return e
}

// live says that the process answers.
func (s *Server) live(w http.ResponseWriter, r *http.Request) {
	label(w, "livez")
	if !reading(w, r) || !noQuery(w, r) {
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// stalledMost is how long commands may wait for a block before a server is not ready.
const stalledMost = 10 * time.Second

// ready says whether some virtual servers can take commands, and if not, why. One
// that belongs here and does not run is a reason too.
func (s *Server) ready(w http.ResponseWriter, r *http.Request, ids ...exchange.ID) {
	label(w, "readyz")
	if !reading(w, r) || !noQuery(w, r) {
		return
	}
	reasons := map[string]string{}
	if s.config.Ready != nil {
		reasons = s.config.Ready()
	} else if len(ids) == 0 {
		fail(w, api.NewError(api.Halted, "", "No virtual server is running here."))
		return
	}
	for _, id := range ids {
		if why := s.unready(id); why != "" {
			reasons[serverText(id)] = why
		}
	}
	if len(reasons) > 0 {
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "not ready", "reasons": reasons})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// unready is why a virtual server cannot take commands; empty if it can.
func (s *Server) unready(id exchange.ID) string {
	v, _ := s.find(id)
	if v == nil {
		return stopped().Detail
	}
	status := v.engine.Status()
	if e := v.unready(&status); e != nil {
		return e.Detail
	}
	if status.Stalled > stalledMost {
		return "There has been no block for " + status.Stalled.Round(time.Second).String() + ": too few servers are up, or they do not reach each other."
	}
	return ""
}

// metrics answers this machine only.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	label(w, "metrics")
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if s.config.Metrics == nil || err != nil || !from.Addr().Unmap().IsLoopback() || r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "" {
		fail(w, api.NewError(api.NotFound, "", "There is nothing at this path."))
		return
	}
	if reading(w, r) {
		s.config.Metrics.ServeHTTP(w, r)
	}
}

// reading refuses methods that are not for reading.
func reading(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	fail(w, api.NewError(api.NotMethod, "", "Use GET."))
	return false
}

// label names the operation of a request for metrics.
func label(w http.ResponseWriter, operation string) {
	if rec, ok := w.(*recorder); ok {
		rec.operation = operation
	}
}

// fail writes a problem description.
func fail(w http.ResponseWriter, e *api.Error) {
	h := w.Header()
	if e.RetryAfter > 0 {
		h.Set("Retry-After", retryText(e))
	}
	data := problemText(e)
	h.Set("Content-Type", api.Problem)
	h.Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(e.Status)
	_, _ = w.Write(data) //nolint:gosec // it is JSON, and nosniff; a peer that does not take it is gone
}

// problemText is a problem description as it is sent.
func problemText(e *api.Error) []byte {
	data, err := json.Marshal(e)
	if err != nil {
		return []byte(`{}`) // cannot be: the fields are texts and numbers
	}
	return data
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		fail(w, api.NewError(api.Broken, "", "This server has a fault. Ask another one, and tell the operator."))
		return
	}
	writeBody(w, status, api.JSON, data)
}

func writeBody(w http.ResponseWriter, status int, media string, data []byte) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	_, _ = w.Write(data) // a peer that does not take it is gone
}

// retryText is RetryAfter in whole seconds.
func retryText(e *api.Error) string { return strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))) }

// cut shortens a text of a peer's before it is shown back.
func cut(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}

// problem is what is answered for an error of a Replica or an Engine.
func problem(err error) *api.Error {
	var e *api.Error
	var gone *GoneError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &gone):
		e = api.NewError(api.NotKept, "query.after", "What blocks did is kept here from block %d on, so the stream cannot go on behind that cursor without a gap. Read the book, orders and balances again, and go on from the height of the answers; or ask another server.", gone.Oldest)
		e.Oldest = numberText(gone.Oldest - 1)
	case errors.Is(err, ErrBusy):
		e = api.NewError(api.Busy, "", "Too many commands are waiting here. Send them again in a second, or to another server.")
		e.RetryAfter = time.Second
	case errors.Is(err, ErrPruned):
		e = api.NewError(api.NotKept, "", "This server does not keep it any more. Ask another one.")
	case errors.Is(err, ErrNoState):
		e = api.NewError(api.Halted, "", "This server has no state yet: it waits for the other members' servers, or for one of them to have a copy of the state, if it is to begin from that. Ask another one.")
		e.RetryAfter = 5 * time.Second
	case errors.Is(err, ErrStopped), errors.Is(err, consensus.ErrHalted), errors.Is(err, consensus.ErrStopped):
		e = stopped()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		e = api.NewError(api.Undecided, "", "No answer in time. Ask again, or ask another server.")
		e.RetryAfter = time.Second
	default:
		e = api.NewError(api.Broken, "", "This server has a fault. Ask another one, and tell the operator.")
	}
	return e
}

// serverText is a virtual server's id as it stands in headers.
func serverText(id exchange.ID) string { return hex.EncodeToString(id[:]) }
