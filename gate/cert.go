package gate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// How long certificates are good for (J-31).
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 390 * 24 * time.Hour // programs refuse leaves of more than 398 days
	renewBefore   = 30 * 24 * time.Hour
	backdated     = time.Hour // for clocks that are a little behind
)

// Authority is the folder of a certificate authority for this machine's own names, and of
// the certificate that it has signed for them.
type Authority string

// CertFile is the authority's own certificate: what programs must trust.
func (a Authority) CertFile() string { return filepath.Join(string(a), "ca.pem") }

func (a Authority) keyFile() string     { return filepath.Join(string(a), "ca.key") }
func (a Authority) leafFile() string    { return filepath.Join(string(a), "gate.pem") }
func (a Authority) leafKeyFile() string { return filepath.Join(string(a), "gate.key") }

// loopback are the addresses of this machine that only it can reach.
func loopback() []*net.IPNet {
	return []*net.IPNet{
		{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
		{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
	}
}

// Ensure makes the authority if there is none, and its certificate for this machine if
// there is none or it ends soon. It tells whether it has made an authority.
func (a Authority) Ensure(now time.Time) (made bool, err error) {
	if err := os.MkdirAll(string(a), 0o700); err != nil {
		return false, fmt.Errorf("make the folder of certificates: %w", err)
	}
	authority, key, err := readPair(a.CertFile(), a.keyFile())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		made = true
		if authority, key, err = a.found(now); err != nil {
			return false, err
		}
	case err != nil:
		return false, err
	}
	leaf, _, err := readPair(a.leafFile(), a.leafKeyFile())
	fresh := err == nil && now.Add(renewBefore).Before(leaf.NotAfter) && leaf.CheckSignatureFrom(authority) == nil
	if fresh {
		return made, nil
	}
	return made, a.issue(authority, key, now)
}

// Renew makes the authority anew: programs have to trust the new one.
func (a Authority) Renew(now time.Time) error {
	if err := os.MkdirAll(string(a), 0o700); err != nil {
		return fmt.Errorf("make the folder of certificates: %w", err)
	}
	authority, key, err := a.found(now)
	if err != nil {
		return err
	}
	return a.issue(authority, key, now)
}

// found makes the authority.
func (a Authority) found(now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	host, _ := os.Hostname() // only to tell authorities apart
	t := &x509.Certificate{
		Subject:   pkix.Name{CommonName: fmt.Sprintf("Souk gate, %s, %s", host, now.UTC().Format(time.DateOnly))},
		NotBefore: now.Add(-backdated), NotAfter: now.Add(authorityLife), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"localhost"}, PermittedIPRanges: loopback(),
		// Nor may it vouch for mail, programs or people.
		PermittedEmailAddresses: []string{"localhost"}, PermittedURIDomains: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	return sign(t, nil, nil, a.CertFile(), a.keyFile())
}

// issue makes the certificate for this machine.
func (a Authority) issue(authority *x509.Certificate, key *ecdsa.PrivateKey, now time.Time) error {
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, NotBefore: now.Add(-backdated), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	_, _, err := sign(t, authority, key, a.leafFile(), a.leafKeyFile())
	return err
}

// sign makes a key and a certificate for it, signed by an authority or, if there is none,
// by itself, and writes both: first the key.
func sign(t, by *x509.Certificate, with *ecdsa.PrivateKey, certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	bad := func(err error) (*x509.Certificate, *ecdsa.PrivateKey, error) {
		return nil, nil, fmt.Errorf("make a certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return bad(err)
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126)); err != nil {
		return bad(err)
	}
	if by == nil {
		by, with = t, key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, by, &key.PublicKey, with)
	if err != nil {
		return bad(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return bad(err)
	}
	if err := writeFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})); err != nil {
		return bad(err)
	}
	if err := writeFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return bad(err)
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

// readPair reads a certificate and its key.
func readPair(certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	info, err := os.Stat(keyFile)
	if err != nil {
		return nil, nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, nil, fmt.Errorf("%s has mode %04o, so others may read it: run chmod 600 on it, and souk tls ca --renew if others were there", keyFile, info.Mode().Perm())
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		if _, missing := os.Stat(certFile); missing != nil {
			return nil, nil, missing
		}
		return nil, nil, fmt.Errorf("certificate: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("certificate: %s is not a key that this program made", keyFile)
	}
	return pair.Leaf, key, nil
}

// Config is how a gate serves TLS with the certificate. It makes that anew when it ends
// soon, also while the gate runs.
func (a Authority) Config(log *slog.Logger) (*tls.Config, error) {
	if _, err := a.Ensure(time.Now()); err != nil {
		return nil, err
	}
	c := &served{authority: a, log: log}
	if _, err := c.certificate(nil); err != nil {
		return nil, err
	}
	return &tls.Config{GetCertificate: c.certificate, MinVersion: tls.VersionTLS13}, nil
}

// served is the certificate that is shown now.
type served struct {
	authority Authority
	log       *slog.Logger

	mu     sync.Mutex
	cert   *tls.Certificate
	looked time.Time
}

// certificate is looked after once an hour.
func (c *served) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.cert != nil && now.Sub(c.looked) < time.Hour {
		return c.cert, nil
	}
	c.looked = now
	_, err := c.authority.Ensure(now)
	if err == nil {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.authority.leafFile(), c.authority.leafKeyFile()); err == nil {
			c.cert = &pair
		}
	}
	if err != nil {
		if c.cert == nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		c.log.Warn("the certificate cannot be renewed", slog.Any("error", err))
	}
	return c.cert, nil
}
