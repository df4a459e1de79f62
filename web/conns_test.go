package web_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/api"
	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/web"
)

// dial opens a connection and says nothing.
func dial(t *testing.T, n *node) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", n.listen.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// alive asks for the status over a connection.
func alive(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// closed tells whether the server has closed a connection.
func closed(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	var late net.Error
	return err != nil && (!errors.As(err, &late) || !late.Timeout())
}

// A thousand connections that say nothing keep nobody out, and do not cost those
// their connection that use it (H-52).
func TestFlood(t *testing.T) {
	f := newFederation(t, 1, web.Config{Conns: 100})
	f.fund("alice", "bob")
	n := f.nodes[0]
	used := dial(t, n)
	for range 3 {
		if err := alive(used); err != nil {
			t.Fatal(err)
		}
	}
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if i > 1000 {
				time.Sleep(time.Millisecond)
			}
			if c, err := net.Dial("tcp", n.listen.Addr().String()); err == nil {
				t.Cleanup(func() { _ = c.Close() })
			}
		}
	})
	c := f.client()
	alice := c.As(signer("alice"))
	for i := range 30 {
		if got := must(t, alice, pay(1)); got.Code != exchange.OK {
			t.Errorf("command %d: %+v", i, got)
		}
		if err := alive(used); err != nil {
			t.Errorf("the used connection, time %d: %v", i, err)
		}
		fresh := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := fresh.Get(n.url + "/livez")
		if err != nil {
			t.Errorf("a new client, time %d: %v", i, err)
			continue
		}
		_ = resp.Body.Close()
	}
	close(stop)
	wait.Wait()
}

// Which connection goes when there is no room (H-52).
func TestEviction(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 1, web.Config{Conns: 4})
	n := f.nodes[0]
	often, once, late := dial(t, n), dial(t, n), dial(t, n)
	for _, c := range []net.Conn{often, often, once, late} {
		if err := alive(c); err != nil {
			t.Fatal(err)
		}
	}
	silent := dial(t, n)
	time.Sleep(1100 * time.Millisecond) // longer than a connection may be silent
	first := dial(t, n)
	if err := alive(first); err != nil {
		t.Fatal(err)
	}
	if !closed(silent) {
		t.Error("the connection that said nothing is open")
	}
	second := dial(t, n)
	if err := alive(second); err != nil {
		t.Fatal(err)
	}
	if closed(often) || closed(once) || closed(late) || !closed(first) {
		t.Error("not the latest of those with the fewest requests was closed")
	}
}

// Requests under way keep their connection, and then others have to wait outside.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 1, web.Config{Conns: 2, Wait: 2 * time.Second})
	f.fund("alice", "bob")
	n := f.nodes[0]
	f.mu.Lock()
	n.mute = true // commands stay undecided
	f.mu.Unlock()
	var wait sync.WaitGroup
	for i := range 2 {
		data := command(t, f, uint64(2000+i), pay(1), nil).Append(nil)
		wait.Go(func() {
			if a := call(t, n, "POST", "/v1/commands", data, binary); a.problem.Code != api.Undecided || a.status != http.StatusGatewayTimeout {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	if err := alive(dial(t, n)); err == nil {
		t.Error("there was room")
	}
	wait.Wait()
	if err := alive(dial(t, n)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A header or a body that comes drop by drop does not hold a connection for long (H-51).
func TestSlowLoris(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes six seconds")
	}
	f := newFederation(t, 1, web.Config{})
	c := dial(t, f.nodes[0])
	began := time.Now()
	for time.Since(began) < 10*time.Second {
		if _, err := io.WriteString(c, "G"); err != nil || closed(c) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if took := time.Since(began); took > 7*time.Second {
		t.Errorf("the connection was open for %s", took)
	}
}

// Headers are bounded.
func TestLargeHeader(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	c := dial(t, f.nodes[0])
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	go func() {
		_, _ = io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	}()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return // closed at once
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(resp.Status)
	}
}

// Others are not served without TLS, unless somebody says that a proxy does it (H-50).
func TestPlain(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := web.New(web.Config{}).Serve(l); !errors.Is(err, web.ErrPlain) {
		t.Error(err)
	}
	if l, err = net.Listen("tcp", "0.0.0.0:0"); err != nil {
		t.Fatal(err)
	}
	s := web.New(web.Config{Plain: true})
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	if resp, err := http.Get(fmt.Sprintf("http://%s/readyz", strings.Replace(l.Addr().String(), "[::]", "127.0.0.1", 1))); err != nil || resp.StatusCode != 503 {
		t.Error(resp, err)
	} else {
		_ = resp.Body.Close()
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// With TLS it speaks 1.3 only, HTTP/1.1 and HTTP/2.
func TestTLS(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	cert := certificate(t)
	s := web.New(web.Config{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	if err := s.Add(web.Virtual{Founding: f.founding, Replica: adapter{f.nodes[0].replica}, Engine: f.nodes[0]}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	roots := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(leaf)
	for _, tc := range []struct {
		http2 bool
		max   uint16
		proto string
	}{{true, 0, "HTTP/2.0"}, {false, 0, "HTTP/1.1"}, {false, tls.VersionTLS12, ""}} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MaxVersion: tc.max, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: tc.http2}
		client := http.Client{Transport: transport}
		resp, err := client.Get("https://" + l.Addr().String() + "/v1/status")
		switch {
		case tc.proto == "" && err == nil:
			t.Errorf("TLS 1.2 was spoken")
		case tc.proto != "" && (err != nil || resp.Proto != tc.proto || resp.StatusCode != 200):
			t.Errorf("%s: %v %v", tc.proto, resp, err)
		}
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		transport.CloseIdleConnections()
	}
	if err := s.Shutdown(within(t, 5*time.Second)); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// certificate is a self-signed one for loopback.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

// A server that cannot take commands says so, and why (H-54).
func TestNotReady(t *testing.T) {
	founding := exchangetest.Founding(1)
	state, err := exchange.New(founding)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		status consensus.Status
		err    error
		code   api.Code // of commands
	}{
		"catching up": {consensus.Status{CatchUp: true}, nil, api.CatchingUp},
		"halted":      {consensus.Status{Halted: consensus.ErrHalted}, nil, api.Halted},
		"stopped":     {consensus.Status{}, consensus.ErrHalted, api.Halted},
		"stalled":     {consensus.Status{Stalled: time.Minute}, nil, ""},
	} {
		i := &instant{id: founding.ID(), state: state, status: tc.status, err: tc.err}
		s := web.New(web.Config{})
		if err := s.Add(web.Virtual{Founding: founding, Replica: i, Engine: i}); err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(s.Handler())
		n := &node{url: server.URL}
		if a := call(t, n, "GET", "/readyz", nil, nil); a.status != 503 || !strings.Contains(string(a.body), "reasons") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if a := call(t, n, "POST", "/v1/commands", batch(t, i.id, 1), binary); a.problem.Code != tc.code || tc.code != "" && a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if a := call(t, n, "GET", "/v1/status", nil, nil); a.status != 200 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		server.Close()
	}
}

// A command whose fate is not known is never answered as done (H-15).
func TestUndecided(t *testing.T) {
	founding := exchangetest.Founding(1)
	state, err := exchange.New(founding)
	if err != nil {
		t.Fatal(err)
	}
	done := web.Answer{Fate: web.FateCommitted, Receipt: exchange.Receipt{Height: 7}}
	for _, fate := range []web.Fate{web.FateWaiting, web.FateUnknown} {
		i := &instant{id: founding.ID(), state: state, answers: []web.Answer{done, {Fate: fate}}}
		s := web.New(web.Config{})
		if err := s.Add(web.Virtual{Founding: founding, Replica: i, Engine: i}); err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(s.Handler())
		a := call(t, &node{url: server.URL}, "POST", "/v1/commands", batch(t, i.id, 2), binary)
		if a.status != http.StatusGatewayTimeout || a.problem.Code != api.Undecided {
			t.Errorf("fate %d: %d %s", fate, a.status, a.body)
		}
		server.Close()
	}
}
