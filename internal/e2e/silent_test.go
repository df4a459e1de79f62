package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
)

// silentMember is a server that answers reads and takes commands, but passes none on.
func silentMember(t *testing.T, target string, answer http.HandlerFunc) (base string, taken *atomic.Int64) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.Out.Host = u.Host
	}}
	taken = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/v1/commands"):
			taken.Add(1)
			_, _ = io.Copy(io.Discard, r.Body)
			answer(w, r)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL, taken
}

// A member that takes a command and keeps it: the client has it decided through
// another one soon, once, and status tells who was silent.
func TestSilentMember(t *testing.T) {
	f := start(t, 4)
	f.mint(1000e8, addressOf("alice"), addressOf("bob"))
	id := f.Founding.ID()
	for name, answer := range map[string]http.HandlerFunc{
		"alice": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, // never
		"bob": func(w http.ResponseWriter, r *http.Request) { // "still waiting", at once and always
			w.Header().Set(api.ServerHeader, fmt.Sprintf("%x", id))
			w.Header().Set(api.MemberHeader, "server-1")
			w.Header().Set("Content-Type", api.Problem)
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"status":503,"title":"undecided","detail":"wait"}`)
		},
	} {
		base, taken := silentMember(t, f.URLs[0], answer)
		c, err := api.NewClient(api.Config{Servers: []string{base, f.URLs[1], f.URLs[2], f.URLs[3]}, ID: id})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Status(within(t, 10*time.Second)); err != nil { // knows the member's name now
			t.Fatal(err)
		}
		who := api.OwnerOf(keyOf(name))
		cmd, err := who.Command(id, &exchange.Transfer{To: addressOf("sink"), Asset: eur, Amount: 1}, 1, uint64(time.Now().Add(time.Minute).UnixMilli()))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		r, err := c.Submit(within(t, 20*time.Second), cmd)
		must(t, r, err)
		took := time.Since(began)
		t.Logf("%s: decided after %v", name, took.Round(time.Millisecond))
		// 0.8 s until the client turns to another, and what a busy machine takes for a block.
		if took > 5*time.Second {
			t.Errorf("%s: decided after %v", name, took)
		}
		if taken.Load() == 0 {
			t.Errorf("%s: the silent member was not asked", name)
		}
		if again, err := c.Submit(within(t, 20*time.Second), cmd); err != nil || again[0] != r[0] {
			t.Errorf("%s: sent again: %+v, %v; at first %+v", name, again, err, r[0])
		}
		c.Close()
	}
	if got := f.balance("sink", eur); got != "0.00000002" {
		t.Errorf("two payments of one unit came to %s", got)
	}
	told := ""
	for i := 1; i < 4; i++ {
		m, err := f.member(i, 0)
		if err != nil {
			t.Fatal(err)
		}
		if m.Silent > 0 && m.SilentAt > 0 {
			told = souk(t, "status", "--server", f.URLs[i])
		}
	}
	if !strings.Contains(told, "unanswered") {
		t.Errorf("no status shows that server 1 was silent: %s", told)
	}
	f.sound()
}
