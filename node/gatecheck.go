package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"souk/gate"
)

// GateDoctor looks for what could keep a gate from working. It changes nothing.
func GateDoctor(ctx context.Context, h GateHome) []Finding {
	c, err := ReadGate(h)
	if err != nil {
		return []Finding{{What: "configuration", Bad: true, Detail: err.Error()}}
	}
	now := time.Now()
	port, running := checkPort("port", c.Listen)
	all := []Finding{{What: "configuration", Detail: h.Config()}, h.checkSecrets(), checkDisk(Home(h)), port}
	pool, found := h.checkTLS(&c, now)
	all = append(all, found...)
	all = append(all, h.checkClients(now)...)
	for _, base := range c.Servers {
		f := checkMember(ctx, "", base, true)
		f.What = "server"
		all = append(all, f)
	}
	if !running {
		return append(all, Finding{What: "gate", Note: true, Detail: "it is not running: souk gate --home " + string(h)})
	}
	return append(all, checkGate(ctx, &c, pool)...)
}

// checkSecrets looks at who may read what only the owner is to read.
func (h GateHome) checkSecrets() Finding {
	const what = "secrets"
	if _, err := os.Stat(h.keyFile()); err != nil {
		return Finding{What: what, Bad: true, Detail: err.Error() + ": without its key the gate can do nothing: souk gate init makes another"}
	}
	for _, name := range []string{"key.age", "gate.toml", ".cookie", "trust.toml", "state", "clients", "clients/*", "tls/*.key"} {
		paths, err := filepath.Glob(filepath.Join(string(h), name))
		if err != nil {
			return Finding{What: what, Bad: true, Detail: err.Error()}
		}
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
				return Finding{What: what, Bad: true, Detail: fmt.Sprintf("others may read %s: chmod 600 files and 700 folders", path)}
			}
		}
	}
	return Finding{What: what, Detail: "nobody else can read them; keep a copy of the folder with your purse"}
}

// checkTLS looks at the certificate that programs see, and answers whom they trust for it.
func (h GateHome) checkTLS(c *GateConfig, now time.Time) (*x509.CertPool, []Finding) {
	const what = "certificate"
	bad := func(err error, help string) []Finding {
		return []Finding{{What: what, Bad: true, Detail: fmt.Sprintf("%v: %s", err, help)}}
	}
	if c.TLSCert != "" {
		pair, err := h.certificate(c)
		if err != nil {
			return nil, bad(err, "see tls_cert and tls_key in "+h.Config())
		}
		all := []Finding{checkHolds(what, pair.Leaf, "have it made anew, and start the gate again", now)}
		return nil, append(all, checkNames(what, pair.Leaf, c.Hosts, "hosts")...)
	}
	data, err := os.ReadFile(h.Authority().CertFile())
	if err != nil {
		return nil, bad(err, "souk tls ca makes the authority of the gate's certificate, which programs have to trust")
	}
	pool := x509.NewCertPool()
	block, _ := pem.Decode(data)
	if block == nil || !pool.AppendCertsFromPEM(data) {
		return nil, bad(fmt.Errorf("%s holds no certificate", h.Authority().CertFile()), "souk tls ca --renew makes another authority, which programs have to trust anew")
	}
	authority, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, bad(err, "souk tls ca --renew makes another authority, which programs have to trust anew")
	}
	f := checkHolds(what, authority, "souk tls ca --renew makes another authority, which programs have to trust anew", now)
	f.Detail = "its authority " + f.Detail
	return pool, []Finding{f}
}

// checkClients looks at the keys of programs.
func (h GateHome) checkClients(now time.Time) []Finding {
	const what = "keys of programs"
	list, err := gate.ClientKeys(h.Clients())
	var all []Finding
	if err != nil {
		all = append(all, Finding{What: what, Bad: true, Detail: err.Error()})
	}
	void := 0
	for i := range list {
		if list[i].Expires != 0 && list[i].Expires <= uint64(now.UnixMilli()) {
			void++
		}
	}
	switch {
	case len(list) == 0 && err == nil:
		all = append(all, Finding{What: what, Note: true, Detail: "none: souk key new makes one"})
	case void > 0:
		all = append(all, Finding{What: what, Note: true, Detail: fmt.Sprintf("%d, of which %d have expired: souk key list", len(list), void)})
	case err == nil:
		all = append(all, Finding{What: what, Detail: fmt.Sprintf("%d; souk key list shows them", len(list))})
	}
	return all
}

// checkGate asks a running gate whether it can be used; pool is whom its programs trust, nil
// whom this machine trusts.
func checkGate(ctx context.Context, c *GateConfig, pool *x509.CertPool) []Finding {
	const what = "gate"
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, gateURL(c.Listen)+"/readyz", nil)
	if err != nil {
		return []Finding{{What: what, Bad: true, Detail: err.Error()}}
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}}
	if len(c.Hosts) > 0 && c.TLSCert != "" {
		transport.TLSClientConfig.ServerName = c.Hosts[0]
	}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return []Finding{{What: what, Bad: true, Detail: fmt.Sprintf("what listens there is not this gate, or does not answer: %v", err)}}
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	var body struct{ Reasons map[string]string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&body); err != nil {
		return []Finding{{What: what, Bad: true, Detail: fmt.Sprintf("what listens there is not this gate: %v", err)}}
	}
	var all []Finding
	for _, about := range slices.Sorted(maps.Keys(body.Reasons)) {
		all = append(all, Finding{What: what, Bad: true, Detail: about + ": " + body.Reasons[about]})
	}
	if len(all) == 0 {
		all = []Finding{{What: what, Detail: gateURL(c.Listen) + " is ready"}}
	}
	return all
}
