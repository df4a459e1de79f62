package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof" // it registers itself with a mux that nobody serves
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Admin says where this machine's operator reaches the running server.
type Admin struct {
	Listen string `toml:"listen"`
}

const (
	adminOff = "off"
	// longestSocket is how long the path of a socket may be, on all systems.
	longestSocket = 100
	// mostAdminBody bounds the body of a request, mostAdminAnswer that of an answer.
	mostAdminBody   = 256 << 10
	mostAdminAnswer = 16 << 20
)

// ErrNoAdmin is returned when the admin port of a home does not answer.
var ErrNoAdmin = errors.New("the server's admin port does not answer")

// check tells what is wrong with the section.
func (a Admin) check() error {
	if a.Listen == adminOff || a.Listen != "" && !strings.Contains(a.Listen, ":") {
		return nil
	}
	at, err := netip.ParseAddrPort(a.Listen)
	if err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf("%q: write the name of a socket in the home, a port of this machine only, such as 127.0.0.1:8642, or off", a.Listen)
	}
	return nil
}

// address is where the admin port of a home listens.
func (h Home) address(a Admin) (network, address string) {
	if strings.Contains(a.Listen, ":") {
		return "tcp", a.Listen
	}
	return "unix", h.in(a.Listen)
}

// adminPort is where the operator reaches a running process.
type adminPort struct {
	server *http.Server
	done   chan struct{} // closed when it listens no more
	cookie string        // the file that whoever asks for what is private must be able to read; empty on a socket
}

// cookie is the file with what a port of this machine, unlike a socket, wants to be shown
// for what is private.
func (h Home) cookie() string { return filepath.Join(string(h), ".cookie") }

// openAdmin listens where the operator reaches this process: metrics, levels of the log,
// profiles, and what is private, such as mail. The home's lock is held, so a socket that is
// there already is a dead one's. It is nil if there is none.
func openAdmin(h Home, c Admin, paths, private http.Handler, logger *slog.Logger) (*adminPort, error) {
	if c.Listen == adminOff {
		return nil, nil //nolint:nilnil // off is a configuration
	}
	network, address := h.address(c)
	if network == "unix" {
		if len(address) > longestSocket {
			logger.Warn("there is no admin port: the path of its socket is too long; admin.listen can be a port of this machine", slog.String("path", address))
			return nil, nil //nolint:nilnil // a server works without it
		}
		if err := os.Remove(address); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("admin port: %w", err)
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("admin port: %w (change admin.listen in %s)", err, h.Config())
	}
	a := &adminPort{done: make(chan struct{})}
	if private != nil && network == "tcp" {
		if private, err = a.guard(h, private); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("admin port: %w", err), l.Close())
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/", paths)
	if private == nil {
		private = http.HandlerFunc(offPaths)
	}
	mux.Handle("/net/", private)
	a.server = &http.Server{
		Handler: fromHere(mux), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: discarded(),
	}
	go func() {
		defer close(a.done)
		if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			logger.Warn("the admin port has ended", slog.Any("error", err))
		}
	}()
	return a, nil
}

// guard writes a new cookie, and asks for it.
func (a *adminPort) guard(h Home, next http.Handler) (http.Handler, error) {
	want := "Bearer " + rand.Text()
	if err := replaceFile(h.cookie(), []byte(want)); err != nil {
		return nil, fmt.Errorf("admin port: %w", err)
	}
	a.cookie = h.cookie()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(want)) != 1 {
			http.Error(w, "show what is in .cookie of the home", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}

// close ends the admin port and what it is doing.
func (a *adminPort) close() error {
	if a == nil {
		return nil
	}
	err := a.server.Close()
	<-a.done
	if a.cookie != "" {
		err = errors.Join(err, os.Remove(a.cookie))
	}
	return err
}

// discarded is for what the HTTP server would say of requests that it does not understand.
func discarded() *log.Logger { return log.New(io.Discard, "", 0) }

func (n *Node) adminPaths(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /log", func(w http.ResponseWriter, _ *http.Request) { n.tellLevels(w) })
	mux.HandleFunc("PUT /log", n.setLevels)
	mux.HandleFunc("GET /events/{number}", n.tellEvents)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	return mux
}

// fromHere lets in programs of this machine, and no web page that a browser shows here:
// those name a host or an origin of theirs.
func fromHere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		at, err := netip.ParseAddr(strings.Trim(host, "[]"))
		here := host == "localhost" || err == nil && at.IsLoopback()
		if !here || r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "" {
			http.Error(w, "this port answers programs of this machine", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, mostAdminBody)
		next.ServeHTTP(w, r)
	})
}

// levelsBody is what GET and PUT /log say.
type levelsBody struct {
	Level string `json:"level"`
}

func (n *Node) tellLevels(w http.ResponseWriter) {
	if n.opts.Levels == nil {
		http.Error(w, "this server's log has one level only", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(levelsBody{n.opts.Levels.String()}) // whoever asked is gone
}

func (n *Node) setLevels(w http.ResponseWriter, r *http.Request) {
	var body levelsBody
	err := json.NewDecoder(r.Body).Decode(&body)
	if err == nil && n.opts.Levels != nil {
		err = n.opts.Levels.Set(body.Level)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n.tellLevels(w)
}

// eventsBody is what GET /events/{number} says.
type eventsBody struct {
	From    uint64       `json:"from"`              // the block at which the log of what blocks did begins
	Archive *archiveBody `json:"archive,omitempty"` // nil: there is none
}

// archiveBody is how an archive is doing.
type archiveBody struct {
	Height  uint64  `json:"height"`            // of the newest block in it
	Behind  float64 `json:"behind_seconds"`    // of block time
	Problem string  `json:"problem,omitempty"` // why it does not take blocks
}

// tellEvents tells how far the log of a virtual server goes back, and how its archive is doing.
func (n *Node) tellEvents(w http.ResponseWriter, r *http.Request) {
	for _, v := range n.virtual {
		if p := v.running(); p != nil && strconv.Itoa(v.number()) == r.PathValue("number") {
			w.Header().Set("Content-Type", "application/json")
			body := eventsBody{From: p.replica.LogFrom()}
			if p.archivist != nil {
				body.Archive = p.archivist.standing()
			}
			_ = json.NewEncoder(w).Encode(body) // whoever asked is gone
			return
		}
	}
	http.Error(w, "no such virtual server runs here", http.StatusNotFound)
}

// LogLevels asks the running server of a home for the levels of its log; a text that is
// not empty changes them first, until the server ends or reads its configuration again.
func LogLevels(ctx context.Context, h Home, text string) (string, error) {
	method, body := http.MethodGet, []byte(nil)
	if text != "" {
		var err error
		if body, err = json.Marshal(levelsBody{text}); err != nil {
			return "", err
		}
		method = http.MethodPut
	}
	var got levelsBody
	err := h.ask(ctx, method, "/log", body, &got)
	return got.Level, err
}

// ask asks the admin port of the running server of a home.
func (h Home) ask(ctx context.Context, method, path string, body []byte, got any) error {
	c, err := ReadConfig(h.Config())
	if err != nil {
		return err
	}
	if c.Admin.Listen == adminOff {
		return fmt.Errorf("%w: admin.listen is off in %s", ErrNoAdmin, h.Config())
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	network, address := h.address(c.Admin)
	if cookie, err := os.ReadFile(h.cookie()); err == nil && network == "tcp" {
		req.Header.Set("Authorization", string(cookie))
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w; is souk serve --home %s (or souk peer serve) running, by the same user?", ErrNoAdmin, errors.Unwrap(err), h)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	answer, err := io.ReadAll(io.LimitReader(resp.Body, mostAdminAnswer))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoAdmin, err)
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(answer)))
	}
	if err := json.Unmarshal(answer, got); err != nil {
		return fmt.Errorf("%w: %w", ErrNoAdmin, err)
	}
	return nil
}
