package gate_test

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"souk/gate"
	"souk/identity"
	"souk/web/binance"
)

// J-2, J-3: keys come and go while a gate runs, and no file has a secret.
func TestClients(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "clients")
	own := identity.NewKey([32]byte{7})
	clients, err := gate.OpenClients(dir, nil, own, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	shared := gate.ClientKey{Name: "bot", Kind: gate.KindHMAC, Scopes: []string{"read", "trade"}, Markets: []gate.Named{{ID: 1, Name: "BTC-EUR"}}, Orders: 5}
	if err := shared.Add(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	private, public, err := gate.NewEd25519()
	if err != nil {
		t.Fatal(err)
	}
	if len(private) != 119 || strings.Contains(private, "\r") || !strings.HasSuffix(private, "-----END PRIVATE KEY-----\n") {
		t.Errorf("a private key of %d bytes: %q", len(private), private)
	}
	text, err := gate.PublicPEM(public)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := gate.ParsePublicPEM([]byte(text)); err != nil || !again.Equal(public) {
		t.Errorf("the public half read back: %x, %v", again, err)
	}
	paired := gate.ClientKey{Kind: gate.KindEd25519, Public: hex.EncodeToString(public), Scopes: []string{"read"}}
	if err := paired.Add(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	k := appears(t, clients, shared.ID)
	secret, err := gate.HMACSecret(own, shared.ID)
	if err != nil || string(k.Secret) != secret || len(secret) != 64 || k.Scopes != binance.Read|binance.Trade || k.Limits.Orders != 5 || len(k.Markets) != 1 {
		t.Errorf("key %+v, %v", k, err)
	}
	k = appears(t, clients, paired.ID)
	block, _ := pem.Decode([]byte(private))
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if signed := ed25519.Sign(parsed.(ed25519.PrivateKey), []byte("x")); k.Kind != binance.Ed25519 || !ed25519.Verify(k.Public, []byte("x"), signed) {
		t.Errorf("key %+v does not verify what its private half signs", k)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		info, _ := d.Info()
		if strings.Contains(string(data), secret) || info.Mode().Perm() != 0o600 {
			t.Errorf("%s, mode %v:\n%s", path, info.Mode(), data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gate.RevokeClientKey(dir, "nobody"); !errors.Is(err, gate.ErrNoKey) {
		t.Errorf("a key that there is not: %v", err)
	}
	if _, err := gate.RevokeClientKey(dir, ""); !errors.Is(err, gate.ErrNoKey) {
		t.Errorf("no key at all: %v", err)
	}
	twin := gate.ClientKey{Name: "bot", Kind: gate.KindHMAC, Scopes: []string{"read"}}
	if err := twin.Add(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := gate.RevokeClientKey(dir, "bot"); !errors.Is(err, gate.ErrManyKeys) {
		t.Errorf("a name that two keys have: %v", err)
	}
	if gone, err := gate.RevokeClientKey(dir, twin.ID[:8]); err != nil || gone.ID != twin.ID {
		t.Fatal(gone, err)
	}
	if _, err := gate.RevokeClientKey(dir, "bot"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, ok := clients.Key(shared.ID); !ok {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a key that was taken back counts")
		}
	}
	if list, err := gate.ClientKeys(dir); err != nil || len(list) != 1 || list[0].ID != paired.ID {
		t.Errorf("keys %+v, %v", list, err)
	}
	for _, bad := range []gate.ClientKey{{Kind: "rsa", Scopes: []string{"read"}}, {Kind: gate.KindHMAC}, {Kind: gate.KindHMAC, Scopes: []string{"all"}}, {Kind: gate.KindEd25519, Scopes: []string{"read"}}} {
		if err := bad.Add(dir, time.Now()); !errors.Is(err, gate.ErrKey) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func appears(t *testing.T, c *gate.Clients, id string) *binance.Key {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if k, ok := c.Key(id); ok {
			return k
		}
	}
	t.Fatalf("key %s does not appear", id)
	return nil
}

// J-31: who trusts the authority reaches this machine's own names, and nothing else by it.
func TestAuthority(t *testing.T) {
	a := gate.Authority(filepath.Join(t.TempDir(), "tls"))
	config, err := a.Config(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })}
	go func() { _ = server.Serve(listener) }()
	defer server.Close() //nolint:errcheck // it only listened
	roots := x509.NewCertPool()
	data, err := os.ReadFile(a.CertFile())
	if err != nil || !roots.AppendCertsFromPEM(data) {
		t.Fatal("no authority", err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	for _, host := range []string{"localhost", "127.0.0.1"} {
		resp, err := client.Get("https://" + net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = resp.Body.Close()
	}
	block, _ := pem.Decode(data)
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !ca.PermittedDNSDomainsCritical || len(ca.PermittedDNSDomains) != 1 || len(ca.PermittedIPRanges) != 2 || !ca.MaxPathLenZero {
		t.Errorf("the authority is not limited: %+v, %v", ca, err)
	}
	for _, name := range []string{"ca.key", "gate.key"} {
		if info, err := os.Stat(filepath.Join(string(a), name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	leaf := func() string {
		data, err := os.ReadFile(filepath.Join(string(a), "gate.pem"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	before := leaf()
	if made, err := a.Ensure(time.Now().Add(300 * 24 * time.Hour)); err != nil || made || leaf() != before {
		t.Errorf("after 300 days: %t, %v", made, err)
	}
	if made, err := a.Ensure(time.Now().Add(370 * 24 * time.Hour)); err != nil || made || leaf() == before {
		t.Errorf("the certificate is not renewed after 370 days: %t, %v", made, err)
	}
}
