package gate_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"souk/gate"
	"souk/identity"
)

// J-2: a key that is taken back has no power, whatever else is wrong with the folder of keys.
func TestRevokedBesideDamage(t *testing.T) {
	for what, damage := range map[string]func(dir, id string) error{
		"a file that is no key": func(dir, id string) error { return os.Remove(filepath.Join(dir, id+".toml")) },
		"the folder is gone":    func(dir, _ string) error { return os.RemoveAll(dir) },
		"by its name": func(dir, _ string) error {
			_, err := gate.RevokeClientKey(dir, "bot")
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "clients")
			clients, err := gate.OpenClients(dir, nil, identity.NewKey([32]byte{7}), func(error) {})
			if err != nil {
				t.Fatal(err)
			}
			key := gate.ClientKey{Name: "bot", Kind: gate.KindHMAC, Scopes: []string{"read", "trade"}}
			other := gate.ClientKey{Name: "other", Kind: gate.KindHMAC, Scopes: []string{"read"}}
			for _, k := range []*gate.ClientKey{&key, &other} {
				if err := k.Add(dir, time.Now()); err != nil {
					t.Fatal(err)
				}
				appears(t, clients, k.ID)
			}
			for name, text := range map[string]string{"notes.toml": "what is this?", strings.Repeat("a", 64) + ".toml": "id = 'b'"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := damage(dir, key.ID); err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				if _, ok := clients.Key(key.ID); !ok {
					break
				}
				if time.Now().After(end) {
					t.Fatal("a key that was taken back counts")
				}
			}
			if _, ok := clients.Key(other.ID); ok == (what == "the folder is gone") {
				t.Errorf("the other key: %t", ok)
			}
		})
	}
}

// J-2: a key whose file was changed in its place is what the file says now.
func TestChangedInPlace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "clients")
	clients, err := gate.OpenClients(dir, nil, identity.NewKey([32]byte{7}), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	key := gate.ClientKey{Kind: gate.KindHMAC, Scopes: []string{"read", "trade"}}
	if err := key.Add(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	appears(t, clients, key.ID)
	file := filepath.Join(dir, key.ID+".toml")
	long := time.Now().Add(-time.Hour) // the folder is at rest
	if err := os.Chtimes(dir, long, long); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(600 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		clients.Key(key.ID) // it has seen the folder at rest
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(data), "'trade'", "'read'")), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if k, ok := clients.Key(key.ID); ok && k.Scopes == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("a key that may only read any more may trade: %s", data)
		}
	}
}

// J-31: who has stolen the authority's key can pretend to be nobody but this machine's servers.
func TestStolenAuthority(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	a := gate.Authority(dir)
	if _, err := a.Ensure(time.Now()); err != nil {
		t.Fatal(err)
	}
	stolen, err := tls.LoadX509KeyPair(a.CertFile(), filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(stolen.Leaf)
	server, client, mail, code := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageCodeSigning
	for what, c := range map[string]struct {
		cert x509.Certificate
		use  x509.ExtKeyUsage
		good bool
	}{
		"this machine":   {x509.Certificate{DNSNames: []string{"localhost"}}, server, true},
		"another name":   {x509.Certificate{DNSNames: []string{"bank.example"}}, server, false},
		"any name":       {x509.Certificate{DNSNames: []string{"*.example"}}, server, false},
		"another host":   {x509.Certificate{IPAddresses: []net.IP{net.IPv4(8, 8, 8, 8)}}, server, false},
		"a client":       {x509.Certificate{DNSNames: []string{"localhost"}}, client, false},
		"mail":           {x509.Certificate{EmailAddresses: []string{"boss@bank.example"}}, mail, false},
		"mail as server": {x509.Certificate{EmailAddresses: []string{"boss@bank.example"}}, server, false},
		"a program":      {x509.Certificate{DNSNames: []string{"localhost"}}, code, false},
		"an identity":    {x509.Certificate{URIs: []*url.URL{{Scheme: "spiffe", Host: "bank.example"}}}, server, false},
		"an authority":   {x509.Certificate{DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true}, server, true}, // and nothing below it
	} {
		c.cert.SerialNumber, c.cert.NotAfter, c.cert.ExtKeyUsage = big.NewInt(1), time.Now().Add(time.Hour), []x509.ExtKeyUsage{c.use}
		der, err := x509.CreateCertificate(rand.Reader, &c.cert, stolen.Leaf, stolen.Leaf.PublicKey, stolen.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{c.use}}); (err == nil) != c.good {
			t.Errorf("%s: %v", what, err)
		}
	}
}
