package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
)

// send makes a request and answers status and body.
func send(t *testing.T, req *http.Request) (int, []byte) {
	t.Helper()
	client := &http.Client{Timeout: 30 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read below
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// post sends something as commands.
func (f *federation) post(media string, body []byte, path string) (int, []byte) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.URLs[0]+path, bytes.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Content-Type", media)
	return send(f.t, req)
}

// What is no command is refused with a stable code and a sentence, and changes nothing.
func TestHostileBodies(t *testing.T) {
	f := start(t, 1)
	f.mint(1000e8, addressOf("alice"))
	commands, err := f.actor("alice").Sign(within(t, 10*time.Second), &exchange.Transfer{To: addressOf("sink"), Asset: eur, Amount: 1})
	if err != nil {
		t.Fatal(err)
	}
	good := commands[0].Append(nil)
	before, err := f.Roots(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	id := f.Founding.ID()
	other := id
	other[0] ^= 1
	foreign, err := api.OwnerOf(keyOf("alice")).Command(other, &exchange.Transfer{To: addressOf("sink"), Asset: eur, Amount: 1},
		9, uint64(time.Now().Add(time.Minute).UnixMilli()))
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	old, err := api.OwnerOf(keyOf("alice")).Command(id, &exchange.Transfer{To: addressOf("sink"), Asset: eur, Amount: 1}, 9, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, media, path string
		body              []byte
		status            int
		says              string
	}{
		{"four megabytes", api.Binary, "/v1/commands", make([]byte, 4<<20), http.StatusRequestEntityTooLarge, "too-large"},
		{"four megabytes of JSON", api.JSON, "/v1/commands", bytes.Repeat([]byte("["), 4<<20), http.StatusRequestEntityTooLarge, "too-large"},
		{"nothing", api.Binary, "/v1/commands", nil, http.StatusBadRequest, "encoding"},
		{"half a command", api.Binary, "/v1/commands", good[:len(good)/2], http.StatusBadRequest, "encoding"},
		{"one and a half", api.Binary, "/v1/commands", append(bytes.Clone(good), good[:40]...), http.StatusBadRequest, "encoding"},
		{"zeros", api.Binary, "/v1/commands", make([]byte, 200), http.StatusBadRequest, "encoding"},
		{"no media type", "", "/v1/commands", good, http.StatusUnsupportedMediaType, ""},
		{"another virtual server's path", api.Binary, fmt.Sprintf("/vs/%x/v1/commands", other), good, http.StatusNotFound, ""},
		{"a signature for another", api.Binary, "/v1/commands", foreign.Append(nil), http.StatusOK, fmt.Sprintf(`"code":%d,`, exchange.BadSignature)},
		{"a flipped bit", api.Binary, "/v1/commands", flipped, http.StatusOK, fmt.Sprintf(`"code":%d,`, exchange.BadSignature)},
		{"expired", api.Binary, "/v1/commands", old.Append(nil), http.StatusOK, fmt.Sprintf(`"code":%d,`, exchange.Expired)},
		{"a negative number", api.JSON, "/v1/commands", []byte(`[-1]`), http.StatusBadRequest, ""},
		{"a negative field", api.JSON, "/v1/commands", []byte(`[{"nonce":-1}]`), http.StatusBadRequest, ""},
		{"an overflowing field", api.JSON, "/v1/commands", []byte(`[{"nonce":99999999999999999999999}]`), http.StatusBadRequest, ""},
		{"a field twice", api.JSON, "/v1/commands", []byte(`{"commands":[],"commands":[]}`), http.StatusBadRequest, ""},
		{"broken JSON", api.JSON, "/v1/commands", []byte(`["00`), http.StatusBadRequest, ""},
		{"deep JSON", api.JSON, "/v1/commands", bytes.Repeat([]byte("["), 30_000), http.StatusBadRequest, ""},
	} {
		status, body := f.post(c.media, c.body, c.path)
		if status != c.status || !strings.Contains(string(body), c.says) {
			t.Errorf("%s: status %d, want %d with %q: %.300s", c.name, status, c.status, c.says, body)
		}
		if !json.Valid(body) {
			t.Errorf("%s: the answer is not JSON: %.100q", c.name, body)
		}
	}
	for _, path := range []string{"/v1/orders/-1", "/v1/book/BTC-EUR?depth=-5", "/v1/trades?market=1&limit=99999999999999999999", "/v1/accounts/x", "/v1/../v1/status", "/v1/commands/00"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URLs[0]+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if status, body := send(t, req); status < 400 || status >= 500 {
			t.Errorf("%s: status %d, %.200s", path, status, body)
		}
	}
	if after, err := f.Roots(within(t, 10*time.Second)); err != nil || after != before {
		t.Errorf("the state changed: %s, %s, %v", before, after, err)
	}
	r, err := f.client.Submit(within(t, 20*time.Second), commands...)
	must(t, r, err)
	if got := f.balance("sink", eur); got != "0.00000001" {
		t.Errorf("one payment of one unit came to %s", got)
	}
}

// Somebody opens a thousand connections to one server and says nothing, or says it
// one letter at a time. The others do not notice, and it answers on connections
// that it has.
func TestIdleConnections(t *testing.T) {
	f := start(t, 4)
	s := f.trade()
	s.after(40)
	u, err := url.Parse(f.URLs[0])
	if err != nil {
		t.Fatal(err)
	}
	var idle []net.Conn
	defer func() {
		for _, c := range idle {
			c.Close() //nolint:errcheck // done with
		}
	}()
	for i := range 1000 {
		c, err := net.DialTimeout("tcp", u.Host, 5*time.Second)
		if err != nil {
			t.Fatalf("connection %d: %v", i+1, err)
		}
		idle = append(idle, c)
		if i%2 == 0 { // a header that never ends
			if _, err := io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "); err != nil && !reset(err) {
				t.Fatal(err)
			}
		}
	}
	s.longest()
	s.after(100)
	if gap := s.longest(); gap > 5*time.Second {
		t.Errorf("others waited for %v", gap)
	}
	others := f.actor("alice", 1, 2, 3)
	f.mint(1000, addressOf("alice"))
	r, err := others.Do(within(t, 10*time.Second), &exchange.Transfer{To: addressOf("sink"), Asset: eur, Amount: 1})
	must(t, r, err)
	// The slow ones are closed by the server, not by us.
	var closed atomic.Int64
	for i := 0; i < len(idle); i += 2 {
		if err := idle[i].SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, idle[i]); err == nil || reset(err) {
			closed.Add(1)
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
	}
	if closed.Load() != int64(len(idle)/2) {
		t.Errorf("the server has closed %d of %d connections with slow headers", closed.Load(), len(idle)/2)
	}
	c, err := f.Client(0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := c.Status(ctx); err != nil {
		t.Errorf("the server with the idle connections: %v", err)
	}
	s.end()
	f.sound()
}

func reset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout()
}
