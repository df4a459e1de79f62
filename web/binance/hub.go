package binance

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"souk/tape"
)

// maxStreams is how many streams one connection may read.
const maxStreams = 1_024

// hub feeds market streams from the tape.
type hub struct {
	h       *Handler
	mu      sync.Mutex
	streams map[string]*stream
	started bool
}

func (b *hub) init(h *Handler) { b.h, b.streams = h, map[string]*stream{} }

// start begins to follow the tape, with the first reader. The caller holds mu.
func (b *hub) start() bool {
	if b.started {
		return true
	}
	if !b.h.begin() {
		return false
	}
	b.started = true
	f := b.h.config.Tape.Follow()
	go func() {
		defer b.h.work.Done()
		b.run(f)
	}()
	return true
}

func (b *hub) run(f *tape.Follower) {
	t := time.NewTicker(fast * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-b.h.life.Done():
			return
		case <-f.More():
			u, err := f.Next(b.h.life)
			if errors.Is(err, tape.ErrBehind) {
				b.h.log.Warn("market streams were too slow for the tape, readers are cut off")
				f = b.h.config.Tape.Follow()
				b.drop()
				continue
			}
			if err != nil {
				return
			}
			b.update(u)
		case <-t.C:
			b.tick()
		}
	}
}

// drop cuts all readers off: they would have a gap.
func (b *hub) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.streams {
		for r := range s.readers {
			r.cut("interrupted")
		}
	}
}

func (b *hub) update(u *tape.Update) {
	now := b.h.now()
	markets := b.h.list.get(b.h.config.Now())
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.streams {
		for i := range u.Changes {
			c := &u.Changes[i]
			if s.pair != nil && s.pair.ID != c.Market {
				continue
			}
			if p := markets.byID[c.Market]; p != nil {
				s.take(b.h, u, c, p, now)
			}
		}
	}
}

func (b *hub) tick() {
	now := b.h.now()
	markets := b.h.list.get(b.h.config.Now())
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.streams {
		s.tick(b.h, markets, now)
	}
}

// reader is a connection that reads market streams.
type reader struct {
	*socket
	h        *Handler
	combined bool // covered by the hub's lock
	names    []string
	listens  map[string]func() // ends of the user streams, by listen key
}

// join adds streams to those that a connection reads; all of them or none.
func (b *hub) join(r *reader, names []string) *Error {
	markets := b.h.list.get(b.h.config.Now())
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(r.names)+len(names) > maxStreams {
		return bad(codeInvalid, "Too many streams; at most %d.", maxStreams)
	}
	var fresh []*stream
	for _, name := range names {
		s := b.streams[name]
		if s == nil {
			var refused *Error
			if s, refused = markets.stream(name); refused != nil {
				return refused
			}
		}
		fresh = append(fresh, s)
	}
	if !b.start() {
		return bad(codeUnavailable, "Closing.")
	}
	for _, s := range fresh {
		if old := b.streams[s.name]; old != nil {
			s = old // named twice
		}
		b.streams[s.name] = s
		if _, there := s.readers[r]; there {
			continue
		}
		s.readers[r] = struct{}{}
		r.names = append(r.names, s.name)
		for i := range markets.pairs { // what is so now, to the new reader too
			if p := &markets.pairs[i]; s.pair == nil || s.pair.ID == p.ID {
				s.dirty[p.ID] = true
			}
		}
	}
	return nil
}

func (b *hub) leave(r *reader, names []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		if s := b.streams[name]; s != nil {
			if delete(s.readers, r); len(s.readers) == 0 {
				delete(b.streams, name)
			}
		}
	}
	r.names = slices.DeleteFunc(r.names, func(n string) bool { return slices.Contains(names, n) })
}

// serveStreams answers /ws, /ws/<stream> and /stream?streams=<stream>/<stream>.
func (h *Handler) serveStreams(w http.ResponseWriter, r *http.Request, path string) {
	rd := &reader{h: h, combined: path == "/stream", listens: map[string]func(){}}
	var names []string
	if list := r.URL.Query().Get("streams"); path == "/stream" && list != "" {
		names = strings.Split(list, "/")
	} else if name, ok := strings.CutPrefix(path, "/ws/"); ok && strings.Trim(name, "0123456789") != "" { // a number is the client's own
		names = strings.Split(name, "/")
	}
	markets := h.list.get(h.config.Now())
	for _, name := range names { // before the connection is made, so that the error is seen
		if _, refused := markets.stream(name); refused != nil && !h.users.known(name, h.now()) {
			w.Header().Set("Content-Type", "application/json;charset=UTF-8")
			w.WriteHeader(refused.Status)
			_ = json.NewEncoder(w).Encode(refused)
			return
		}
	}
	h.accept(w, r, func(s *socket) bool {
		rd.socket = s
		if refused := rd.subscribe(names); refused != nil {
			s.cut(refused.Text)
			return false
		}
		return true
	}, func(_ *socket, data []byte) bool { return rd.serve(data) })
	h.hub.leave(rd, slices.Clone(rd.names))
	for _, end := range rd.listens {
		end()
	}
}

// subscribe reads market streams, and user streams by their listen keys.
func (r *reader) subscribe(names []string) *Error {
	var streams []string
	for _, name := range names {
		if _, twice := r.listens[name]; twice {
			continue
		}
		if !r.h.users.known(name, r.h.now()) {
			streams = append(streams, name)
			continue
		}
		end, refused := r.h.users.listen(r, name)
		if refused != nil {
			return refused
		}
		r.listens[name] = end
	}
	return r.h.hub.join(r, streams)
}

func (r *reader) unsubscribe(names []string) {
	for _, name := range names {
		if end, ok := r.listens[name]; ok {
			end()
			delete(r.listens, name)
		}
	}
	r.h.hub.leave(r, names)
}

// message is what a client sends to a stream connection.
type message struct {
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
	ID     json.RawMessage   `json:"id"`
}

// serve answers a message of the client; false ends the connection.
func (r *reader) serve(data []byte) bool {
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		r.reply(m.ID, nil, bad(3, "Invalid JSON: %v", err))
		return true
	}
	var names []string
	if m.Method == "SUBSCRIBE" || m.Method == "UNSUBSCRIBE" {
		for _, p := range m.Params {
			var name string
			if json.Unmarshal(p, &name) != nil {
				r.reply(m.ID, nil, bad(2, "Invalid request: params must be a list of names of streams"))
				return true
			}
			names = append(names, name)
		}
	}
	switch m.Method {
	case "SUBSCRIBE":
		r.reply(m.ID, nil, r.subscribe(names))
	case "UNSUBSCRIBE":
		r.unsubscribe(names)
		r.reply(m.ID, nil, nil)
	case "LIST_SUBSCRIPTIONS":
		r.reply(m.ID, r.list(), nil)
	case "SET_PROPERTY", "GET_PROPERTY":
		value, refused := r.property(&m)
		r.reply(m.ID, value, refused)
	default:
		r.reply(m.ID, nil, bad(2, "Invalid request: unknown method %q", m.Method))
	}
	return true
}

func (r *reader) list() []string {
	r.h.hub.mu.Lock()
	defer r.h.hub.mu.Unlock()
	all := append([]string{}, r.names...)
	for name := range r.listens {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// property reads or sets whether messages name their stream.
func (r *reader) property(m *message) (any, *Error) {
	var name string
	if len(m.Params) == 0 || json.Unmarshal(m.Params[0], &name) != nil || name != "combined" {
		return nil, bad(0, "Unknown property")
	}
	r.h.hub.mu.Lock()
	defer r.h.hub.mu.Unlock()
	if m.Method == "GET_PROPERTY" {
		return r.combined, nil
	}
	var on bool
	if len(m.Params) != 2 || json.Unmarshal(m.Params[1], &on) != nil {
		return nil, bad(1, "Invalid value type: expected Boolean")
	}
	r.combined = on
	return nil, nil
}

func (r *reader) reply(id json.RawMessage, result any, refused *Error) {
	if len(id) == 0 {
		id = json.RawMessage("null")
	}
	var v any = struct {
		Result any             `json:"result"`
		ID     json.RawMessage `json:"id"`
	}{result, id}
	if refused != nil {
		v = struct {
			Error *Error          `json:"error"`
			ID    json.RawMessage `json:"id"`
		}{refused, id}
	}
	data, err := json.Marshal(v)
	if err != nil {
		r.h.log.Debug("an answer that is no JSON", slog.Any("err", err))
		return
	}
	r.send(data)
}
