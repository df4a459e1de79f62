// Package peers_test uses the page's mail as people do: browsers are peers of real ones, get
// and send letters, and reach each other through a relay and then without it (H-139). The
// steps are in peers.mjs; here are the peers, a mailbox, and the server that the page is from.
package peers_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"souk/api"
	"souk/courier"
	"souk/identity"
	"souk/internal/bulk"
	"souk/mail"
	"souk/store/memstore"
	"souk/transport/libp2p"
	"souk/web/ui"
)

var only = flag.String("only", "", "run only the steps whose names have this in them")

// chromium is where Debian puts the browser.
const chromium = "/usr/bin/chromium"

// price is so low that nobody waits for stamps.
var price = mail.Price{PerByte: 1, Extra: 10, Hello: 2}

// step is what the reporter says of one step.
type step struct {
	Name    string  `json:"name"`
	OK      bool    `json:"ok"`
	Skipped bool    `json:"skipped"`
	Millis  float64 `json:"ms"`
	Error   string  `json:"error"`
}

// TestPeers goes through the steps.
func TestPeers(t *testing.T) {
	if testing.Short() || !bulk.Whole() {
		t.Skip("a whole browser, in which the race detector sees nothing")
	}
	packages := install(t)
	w := newWorld(t)
	for _, s := range w.steps(packages) {
		t.Run(s.Name, func(t *testing.T) {
			t.Logf("%.1f s", s.Millis/1000)
			if !s.OK {
				t.Error(s.Error)
			}
		})
	}
}

// install makes sure that there are a browser, and the packages that drive it.
func install(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm", chromium} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s here (scripts/setup race installs it where it can): %v", program, err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "../../../../scripts/npm", "web/ui")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("install the packages: %v\n%s", err, &problems)
	}
	return strings.TrimSpace(string(out))
}

// world is two peers that carry everybody's mail. Browsers are connected to the one, Bob, who
// is no browser, to the other.
type world struct {
	*testing.T
	near, far *member
	bob       *courier.Mailbox
	urls      []string // pages of the near one, which tell of WebSockets, and of WebRTC
	beside    string
}

// member is a peer with a full carrier.
type member struct {
	*libp2p.Net
	carrier *courier.Carrier
	store   *memstore.Store
	end     func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t}
	w.near = newMember(t, libp2p.Config{
		Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws", "/ip4/127.0.0.1/udp/0/webrtc-direct"}, Relay: true,
	})
	w.far = newMember(t, libp2p.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err := w.far.Dial(t.Context(), w.near.Self(), w.near.Addrs()...); err != nil {
		t.Fatal(err)
	}
	keys, err := courier.NewMailKeys(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if w.bob, err = courier.OpenMailbox(w.far.carrier, w.far.store, keys); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.bob.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	for _, kind := range []string{"/ws", "/webrtc-direct/"} {
		w.urls = append(w.urls, w.servePage(kind))
	}
	s := httptest.NewServer(http.HandlerFunc(w.act))
	t.Cleanup(s.Close)
	w.beside = s.URL
	return w
}

// soon is randomness with which nobody waits: what a carrier draws to wait for is a number of
// eight bytes, which is zero here. Keys and tags are longer.
type soon struct{}

func (soon) Read(b []byte) (int, error) {
	if len(b) == 8 {
		clear(b)
		return len(b), nil
	}
	return rand.Read(b)
}

func newMember(t *testing.T, c libp2p.Config) *member {
	t.Helper()
	key, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.Key = key
	m := &member{store: memstore.New()}
	if m.Net, err = libp2p.Open(c); err != nil {
		t.Fatal(err)
	}
	if m.carrier, err = courier.NewCarrier(courier.CarrierConfig{Net: m.Net, Store: m.store, Full: true, Price: price, Random: soon{}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := m.carrier.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	m.end = sync.OnceFunc(func() { cancel(); running.Wait(); _ = m.Close() })
	t.Cleanup(m.end)
	return m
}

// addresses are those of a peer that browsers dial by one kind of connection.
func (m *member) addresses(t *testing.T, kind string) (list []string) {
	t.Helper()
	self := m.Self()
	key, err := crypto.UnmarshalEd25519PublicKey(self[:])
	if err != nil {
		t.Fatal(err)
	}
	name, err := peer.IDFromPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range m.Addrs() {
		if strings.Contains(string(a)+"/", kind) && !strings.Contains(string(a), "p2p-circuit") {
			list = append(list, string(a)+"/p2p/"+name.String())
		}
	}
	if len(list) == 0 {
		t.Fatalf("no %s among %v", kind, m.Addrs())
	}
	return list
}

// servePage serves the page, and what it asks for. Of the exchange itself nothing is there.
func (w *world) servePage(kind string) string {
	page, err := ui.New()
	if err != nil {
		w.Fatal(err)
	}
	offer := api.Network{
		Offered: true, Addresses: w.near.addresses(w.T, kind), Relays: true,
		Stamps: api.StampPrice{PerByte: price.PerByte, Extra: price.Extra, Hello: price.Hello},
	}
	var sockets []string
	for _, a := range w.near.addresses(w.T, "/ws") {
		sockets = append(sockets, "ws://127.0.0.1:"+strings.Split(a, "/")[4])
	}
	s := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/network":
			out.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(out).Encode(offer)
		case page.Serves(r.URL.Path):
			page.Serve(out, r, sockets)
		default:
			http.NotFound(out, r)
		}
	}))
	w.Cleanup(s.Close)
	return s.URL
}

// deed is what a step wants done beside the page.
type deed struct{ Do, Name, Card, Subject, Body string }

func (w *world) act(out http.ResponseWriter, r *http.Request) {
	var d deed
	answer, err := "", json.NewDecoder(r.Body).Decode(&d)
	if err == nil {
		answer, err = w.do(d)
	}
	if err != nil {
		http.Error(out, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(out, answer)
}

func (w *world) do(d deed) (string, error) {
	switch d.Do {
	case "card": // Bob's
		c, err := w.bob.Card(1)
		if err != nil {
			return "", err
		}
		return c.String(), nil
	case "write": // Bob writes to whoever has the card
		c, err := mail.ParseCardText(d.Card)
		if err != nil {
			return "", err
		}
		to, err := w.bob.AddContact(d.Name, c)
		if err != nil {
			return "", err
		}
		_, err = w.bob.Send(to, courier.Draft{Subject: d.Subject, Body: []byte(d.Body), Hurry: true})
		return "", err
	case "inbox": // what Bob has
		var all []string
		for _, l := range w.bob.Inbox() {
			_, body, err := w.bob.Read(l.ID)
			if err != nil {
				return "", err
			}
			all = append(all, l.Subject+": "+string(body))
		}
		data, err := json.Marshal(all)
		return string(data), err
	case "arrived": // subjects of Bob's letters that were acknowledged
		var all []string
		for _, s := range w.bob.Outbox() {
			if s.State == courier.Arrived {
				all = append(all, s.Subject)
			}
		}
		data, err := json.Marshal(slices.Compact(all))
		return string(data), err
	case "end": // of all servers
		w.near.end()
		w.far.end()
		return "", nil
	}
	return "", fmt.Errorf("nobody knows how to do %q", d.Do)
}

// steps runs the steps, and answers what became of each.
func (w *world) steps(packages string) (all []step) {
	w.Helper()
	file := filepath.Join(w.TempDir(), "world.json")
	data, err := json.Marshal(map[string]any{
		"packages": packages, "chromium": chromium, "only": *only, "urls": w.urls, "liars": map[string]string{}, "beside": w.beside,
	})
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "--test-reporter=../reporter.mjs", "peers.mjs", file)
	cmd.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	failed := false
	for line := range bytes.Lines(out) {
		var s step
		if json.Unmarshal(line, &s) != nil || s.Name == "" {
			said.Write(line)
			continue
		}
		all, failed = append(all, s), failed || !s.OK
	}
	if len(all) == 0 || err != nil && !failed {
		w.Fatalf("the steps did not run: %v\n%s", err, &said)
	}
	if failed {
		w.Logf("the steps say:\n%s\npeers of the near one: %v", &said, w.near.Peers())
	}
	return all
}
