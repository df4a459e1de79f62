package node

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"souk/api"
	"souk/exchange"
)

// certificateSoon is how long before its end a certificate should have been renewed.
const certificateSoon = 14 * 24 * time.Hour

// checkCertificate looks at what clients are shown: whether it holds now, for how long, and
// for the names under which they ask.
func checkCertificate(h Home, c *HTTP, now time.Time) []Finding {
	what := "certificate"
	if c.TLSCert == "" {
		at, err := netip.ParseAddrPort(c.Listen)
		if !c.Plain && (err != nil || !at.Addr().IsLoopback()) {
			return []Finding{{What: what, Bad: true, Detail: fmt.Sprintf("others can reach %s, and there is none: set tls_cert and tls_key in %s, or plain = true behind a proxy that does TLS", c.Listen, h.Config())}}
		}
		return nil
	}
	cert, err := h.certificate(c)
	if err != nil {
		return []Finding{{What: what, Bad: true, Detail: fmt.Sprintf("%v: see tls_cert and tls_key in %s", err, h.Config())}}
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return []Finding{{What: what, Bad: true, Detail: fmt.Sprintf("%v: have it made anew", err)}}
	}
	all := []Finding{checkHolds(what, leaf, "renew it, and have a running server read it: SIGHUP, or systemctl reload souk", now)}
	return append(all, checkNames(what, leaf, c.Hosts, "http.hosts")...)
}

// checkHolds looks from when and until when a certificate holds; renew is what to do when it ends.
func checkHolds(what string, leaf *x509.Certificate, renew string, now time.Time) Finding {
	f := Finding{What: what, Detail: "holds until " + leaf.NotAfter.UTC().Format(time.DateOnly)}
	switch left := leaf.NotAfter.Sub(now); {
	case now.Before(leaf.NotBefore):
		f.Bad, f.Detail = true, "begins to hold on "+leaf.NotBefore.UTC().Format(time.DateTime)+": is the clock right?"
	case left <= 0:
		f.Bad, f.Detail = true, "ended on "+leaf.NotAfter.UTC().Format(time.DateOnly)+": "+renew
	case left < certificateSoon:
		f.Note, f.Detail = true, f.Detail+", soon: "+renew
	}
	return f
}

// checkNames looks whether a certificate has the names that a setting lists.
func checkNames(what string, leaf *x509.Certificate, hosts []string, setting string) (all []Finding) {
	for _, host := range hosts {
		if err := leaf.VerifyHostname(host); err != nil {
			all = append(all, Finding{What: what, Bad: true, Detail: fmt.Sprintf("it is not for %s, under which clients ask (%s): have one made with that name", host, setting)})
		}
	}
	return all
}

// checkVersions asks the members which program they run, and looks whether this one can
// execute what they have agreed on.
func checkVersions(ctx context.Context, id exchange.ID, members []api.Member, own string, status *api.Status) []Finding {
	if status == nil {
		return nil
	}
	software := map[string]string{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range members {
		m := &members[i]
		all.Go(func() {
			client, err := api.NewClient(api.Config{Servers: []string{m.URL}, ID: id, Hasty: true})
			if err != nil {
				return // a bad address is another finding
			}
			defer client.Close()
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			if s, err := client.Status(ctx); err == nil {
				mu.Lock()
				defer mu.Unlock()
				software[m.Name] = s.Software
			}
		})
	}
	all.Wait()
	return compareVersions(software, own, status)
}

// compareVersions says what versions of members and rules mean to this member.
func compareVersions(software map[string]string, own string, status *api.Status) []Finding {
	if p := status.Plan; p != nil && p.Version > exchange.ProtocolMax {
		return []Finding{{What: "version", Bad: true, Detail: fmt.Sprintf("from block %d on the rules have version %d, and this program knows up to %d: install a newer souk before that, now at block %d", p.Height, p.Version, exchange.ProtocolMax, status.Height)}}
	}
	if status.Protocol > exchange.ProtocolMax {
		return []Finding{{What: "version", Bad: true, Detail: fmt.Sprintf("the rules in force have version %d, and this program knows up to %d: install a newer souk", status.Protocol, exchange.ProtocolMax)}}
	}
	var others []string
	for name, version := range software {
		if name != own && own != "" && software[own] != "" && version != software[own] {
			others = append(others, name+" "+version)
		}
	}
	if len(others) > 0 {
		slices.Sort(others)
		return []Finding{{What: "version", Note: true, Detail: fmt.Sprintf("this server runs souk %s, and others run %s: that works, for the rules have version %d for all; see whether one of you has missed an upgrade", software[own], strings.Join(others, ", "), status.Protocol)}}
	}
	return []Finding{{What: "version", Detail: fmt.Sprintf("rules of version %d; this program knows up to %d", status.Protocol, exchange.ProtocolMax)}}
}
