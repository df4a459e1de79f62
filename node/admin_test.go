package node_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/node"
	"souk/store/sealed"
)

// lines are what a log was told.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A text of levels says what it means, and what is wrong with it changes nothing.
func TestLevels(t *testing.T) {
	var out lines
	l, err := node.NewLevels(&out, "text", "info,web=debug")
	if err != nil {
		t.Fatal(err)
	}
	l.Logger("web").Debug("one")
	l.Logger("state").Debug("two")
	l.Logger("state").With(slog.Int("a", 1)).WithGroup("g").Info("three")
	if got := out.String(); !strings.Contains(got, "msg=one subsystem=web") || strings.Contains(got, "two") || !strings.Contains(got, "three") {
		t.Error(got)
	}
	for text, want := range map[string]string{
		"warn":                         "warn",
		"info,web=info":                "info",
		"error, bank=debug,chain=warn": "error,chain=warn,bank=debug",
	} {
		if err := l.Set(text); err != nil || l.String() != want {
			t.Errorf("%q: %s, %v", text, l, err)
		}
	}
	if err := l.Set("error,chain=warn"); err != nil {
		t.Fatal(err)
	}
	for text, say := range map[string]string{
		"": "write debug", "loud": "write debug", "web=debug": "stands first", "info,warn": "once", "info,purse=warn": "there are node, web,", "info,web=": "write debug",
	} {
		if err := l.Set(text); err == nil || !strings.Contains(err.Error(), say) || l.String() != "error,chain=warn" {
			t.Errorf("%q: %s, %v", text, l, err)
		}
	}
}

// writeCertificate writes a certificate that names 127.0.0.1, and its key, into a home.
func writeCertificate(t *testing.T, h node.Home, number int64) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(number), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, public, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(string(h), name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// edit changes a home's config file.
func edit(t *testing.T, h node.Home, changes ...string) {
	t.Helper()
	text, err := os.ReadFile(h.Config())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.Config(), []byte(strings.NewReplacer(changes...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serial is the number of the certificate that a server shows.
func serial(t *testing.T, address string) int64 {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing was sent
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// A server's operator reads metrics and changes levels through a socket that is his, and
// the configuration and the certificate are read again while the server runs.
func TestAdmin(t *testing.T) {
	local, err := node.FoundLocal(node.LocalSetup{Dir: filepath.Join(t.TempDir(), "fed"), Name: "test", Servers: 1, Work: sealed.TestWork, Now: time.Now().Add(-time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	h := local.Homes[0]
	writeCertificate(t, h, 1)
	edit(t, h, `tls_cert = ""`, `tls_cert = "cert.pem"`, `tls_key = ""`, `tls_key = "key.pem"`)
	if err := node.CheckConfig(h); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := node.LogLevels(ctx, h, ""); !errors.Is(err, node.ErrNoAdmin) {
		t.Errorf("not running: %v", err)
	}
	var out lines
	levels, err := node.NewLevels(&out, "text", "info")
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Open(h, node.Options{Pass: sealed.FromFile(h.PassphraseFile()), Levels: levels})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close() //nolint:errcheck // tested elsewhere
	if info, err := os.Stat(filepath.Join(string(h), "admin.sock")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if got, err := node.LogLevels(ctx, h, "warn,web=debug"); err != nil || got != "warn,web=debug" || levels.String() != got {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := node.LogLevels(ctx, h, "warn,moon=debug"); err == nil || !strings.Contains(err.Error(), "there is no such subsystem") {
		t.Errorf("%v", err)
	}

	if serial(t, n.Addr()) != 1 {
		t.Error("not its certificate")
	}
	writeCertificate(t, h, 2)
	edit(t, h, `level = "info"`, `level = "info,chain=error"`, "connections = 1024", "connections = 7")
	if err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	if got, err := node.LogLevels(ctx, h, ""); err != nil || got != "info,chain=error" || serial(t, n.Addr()) != 2 {
		t.Errorf("%q, %v, certificate %d", got, err, serial(t, n.Addr()))
	}
	if !strings.Contains(out.String(), "at_next_start=http") {
		t.Error(out.String())
	}
	edit(t, h, "connections = 7", "connexions = 7")
	if err := n.Reload(); !errors.Is(err, node.ErrConfig) {
		t.Errorf("%v", err)
	}
	askAdmin(t, h)
	if !n.Alive(time.Minute) {
		t.Error("not alive")
	}
}

// askAdmin asks the admin port of a home as programs and as web pages do.
func askAdmin(t *testing.T, h node.Home) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(string(h), "admin.sock"))
	}}}
	defer client.CloseIdleConnections()
	for _, x := range []struct {
		method, url, header string
		status              int
		say                 string
	}{
		{"GET", "http://localhost/metrics", "", 200, "souk_height"},
		{"GET", "http://localhost/debug/pprof/goroutine?debug=1", "", 200, "goroutine profile"},
		{"GET", "http://127.0.0.1:8642/log", "", 200, `"level"`},
		{"PUT", "http://localhost/log", "", 400, ""},
		{"POST", "http://localhost/log", "", 405, ""},
		{"GET", "http://evil.example/log", "", 403, ""},
		{"GET", "http://192.0.2.1/log", "", 403, ""},
		{"PUT", "http://localhost/log", "Origin", 403, ""},
		{"GET", "http://localhost/metrics", "X-Forwarded-For", 403, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), x.method, x.url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if x.header != "" {
			req.Header.Set(x.header, "x")
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close() //nolint:errcheck // read to its end
		if err != nil || resp.StatusCode != x.status || !strings.Contains(string(body), x.say) {
			t.Errorf("%+v: %d %v", x, resp.StatusCode, err)
		}
	}
}

// The admin port is for this machine only.
func TestAdminListen(t *testing.T) {
	for listen, ok := range map[string]bool{
		"admin.sock": true, "/run/souk/admin.sock": true, "off": true, "127.0.0.1:8642": true, "[::1]:8642": true,
		"": false, "0.0.0.0:8642": false, ":8642": false, "192.0.2.1:8642": false, "localhost:8642": false,
	} {
		if _, err := node.ParseConfig([]byte("[admin]\nlisten = \"" + listen + "\"\n")); (err == nil) != ok {
			t.Errorf("%q: %v", listen, err)
		}
	}
}
