package web_test

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"souk/web"
)

// foreign is a dialect of WebSockets that say nothing.
type foreign struct{}

func (foreign) Serves(path string) bool { return strings.HasPrefix(path, "/ws") }

func (foreign) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	<-r.Context().Done()
	_ = c.CloseNow()
}

// H-114: WebSockets of a dialect are streams among the others, so that nobody keeps everybody
// else out with them; they end when the server does.
func TestForeignStreams(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	s := web.New(web.Config{Conns: 12, Streams: 6})
	if err := s.Add(web.Virtual{Founding: f.founding, Replica: adapter{f.nodes[0].replica}, Engine: f.nodes[0], Dialect: foreign{}}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	ctx := within(t, 20*time.Second)
	var open []*websocket.Conn
	for range 12 {
		c, _, err := websocket.Dial(ctx, "ws://"+l.Addr().String()+"/ws", nil) //nolint:bodyclose // there is none
		if err == nil {
			open = append(open, c)
			defer c.CloseNow() //nolint:errcheck // it is over
		}
	}
	if len(open) != 6 {
		t.Errorf("%d WebSockets are open, want 6", len(open))
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + l.Addr().String() + "/livez")
	if err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("somebody else: %v, %v", resp, err)
	}
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	<-done
	for _, c := range open {
		if _, _, err := c.Read(ctx); err == nil || ctx.Err() != nil {
			t.Errorf("a WebSocket after the end: %v", err)
		}
	}
}
