package binance

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Limits of a WebSocket connection (N-51).
const (
	lifetime     = 24 * time.Hour
	pingEvery    = 20 * time.Second
	pongWithin   = time.Minute
	writeWithin  = 10 * time.Second
	maxMessage   = 64 << 10
	maxQueue     = 4 << 20 // bytes that wait for a client that does not read
	maxQueued    = 16_384  // messages
	messageBurst = 50
	messageRate  = 5 // messages of a client in a second, when the burst is used up
)

// socket is a WebSocket connection: what is sent to it waits in a queue, so that nobody
// waits for a slow client. A client that lets the queue grow too long is cut off.
type socket struct {
	conn   *websocket.Conn
	ctx    context.Context //nolint:containedctx // of the connection
	cancel context.CancelFunc

	mu     sync.Mutex
	queue  [][]byte
	queued int
	more   chan struct{}
	why    string        // it is cut off; empty: it is not
	gone   chan struct{} // closed when it is

	tokens  float64 // messages that it may still send now
	counted time.Time
}

// begin counts work that Close waits for; false: the handler is closed.
func (h *Handler) begin() bool {
	h.opening.Lock()
	defer h.opening.Unlock()
	if h.life.Err() != nil {
		return false
	}
	h.work.Add(1)
	return true
}

// accept makes a WebSocket of a request and serves it until it ends. serve is called with
// each message. If it answers false, the connection is closed.
func (h *Handler) accept(w http.ResponseWriter, r *http.Request, open func(*socket) bool, serve func(*socket, []byte) bool) {
	if !h.begin() {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return
	}
	defer h.work.Done()
	from := address(r)
	if h.config.Trusted == nil || !h.config.Trusted(from) {
		done, ok := h.limits.connect("address "+sourceOf(from), h.now())
		if !ok {
			http.Error(w, "too many connections", http.StatusTooManyRequests)
			return
		}
		defer done()
	}
	s := &socket{more: make(chan struct{}, 1), gone: make(chan struct{}), tokens: messageBurst, counted: h.config.Now()}
	s.ctx, s.cancel = context.WithTimeout(h.life, lifetime)
	defer s.cancel()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		CompressionMode: websocket.CompressionDisabled,
		OnPingReceived:  func(context.Context, []byte) bool { return h.take(s) },
	})
	if err != nil {
		return // Accept has answered
	}
	s.conn = conn
	conn.SetReadLimit(maxMessage)
	defer context.AfterFunc(r.Context(), func() { s.cut("its place is needed for others, or the server ends") })()
	var workers sync.WaitGroup
	workers.Go(s.write)
	workers.Go(s.ping)
	if open(s) {
		h.read(s, serve)
	}
	s.mu.Lock()
	if s.why == "" {
		s.cancel() // else the goroutine that writes says why, and ends it
	}
	s.mu.Unlock()
	workers.Wait()
	_ = conn.CloseNow()
}

func (h *Handler) read(s *socket, serve func(*socket, []byte) bool) {
	for {
		kind, data, err := s.conn.Read(s.ctx)
		if err != nil {
			return
		}
		if kind != websocket.MessageText || !h.take(s) || !serve(s, data) {
			s.cut("bad or too many messages")
			return
		}
	}
}

// take counts a message of the client; false: there are too many. Only the goroutine that
// reads calls it.
func (h *Handler) take(s *socket) bool {
	now := h.config.Now()
	s.tokens = min(messageBurst, s.tokens+now.Sub(s.counted).Seconds()*messageRate)
	s.counted = now
	s.tokens--
	return s.tokens >= 0
}

// send puts a message into the queue. The message must not be changed any more.
func (s *socket) send(data []byte) {
	s.mu.Lock()
	full := s.queued+len(data) > maxQueue || len(s.queue) >= maxQueued
	if !full && s.why == "" {
		s.queue, s.queued = append(s.queue, data), s.queued+len(data)
	}
	s.mu.Unlock()
	if full {
		s.cut("too slow")
		return
	}
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// cut ends the connection, soon.
func (s *socket) cut(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == "" {
		s.why = why
		close(s.gone)
	}
	s.queue, s.queued = nil, 0
}

func (s *socket) write() {
	defer s.cancel()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.gone:
			_ = s.conn.Close(websocket.StatusPolicyViolation, s.why)
			return
		case <-s.more:
		}
		s.mu.Lock()
		batch := s.queue
		s.queue, s.queued = nil, 0
		s.mu.Unlock()
		for _, data := range batch {
			ctx, cancel := context.WithTimeout(s.ctx, writeWithin)
			err := s.conn.Write(ctx, websocket.MessageText, data)
			cancel()
			if err != nil {
				return
			}
		}
	}
}

func (s *socket) ping() {
	defer s.cancel()
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
		}
		ctx, cancel := context.WithTimeout(s.ctx, pongWithin)
		err := s.conn.Ping(ctx)
		cancel()
		if err != nil {
			return
		}
	}
}
