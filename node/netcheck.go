package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"souk/transport"
)

// seeker is a way to find peers, and what came of it.
type seeker struct {
	transport.Finder
	what string

	mu    sync.Mutex
	found map[transport.ID]bool
	err   error // why it ended
}

// seekMost bounds how many peers of one way are counted.
const seekMost = 1024

// Find implements transport.Finder.
func (s *seeker) Find(ctx context.Context, self transport.Peer, found func(transport.Peer)) error {
	err := s.Finder.Find(ctx, self, func(p transport.Peer) {
		s.mu.Lock()
		if s.found == nil {
			s.found = map[transport.ID]bool{}
		}
		if len(s.found) < seekMost {
			s.found[p.ID] = true
		}
		s.mu.Unlock()
		found(p)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	return err
}

func (s *seeker) finding() Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := Finding{What: "finding peers: " + s.what, Detail: fmt.Sprintf("told of %d", len(s.found))}
	switch {
	case s.err != nil:
		f.Bad, f.Detail = true, fmt.Sprintf("ended: %v", s.err)
	case len(s.found) == 0:
		f.Note, f.Detail = true, "nobody so far"
	}
	return f
}

// NetDoctor looks for what could keep the peer of a home from working. What only a running
// one knows, it is asked.
func NetDoctor(ctx context.Context, h Home) []Finding {
	c, err := ReadConfig(h.Config())
	if err != nil {
		return []Finding{{What: "configuration", Bad: true, Detail: err.Error()}}
	}
	if !c.Network.on() {
		return []Finding{{What: "network", Note: true, Detail: fmt.Sprintf("off: set network.transport in %s to %s or %s to take part", h.Config(), netLibp2p, netTor)}}
	}
	all := append([]Finding{{What: "configuration", Detail: h.Config()}}, h.checkNetFiles(&c.Network)...)
	if c.Network.Transport == netTor {
		all = append(all, checkTor(ctx, &c.Network.Tor)...)
	}
	all = append(all, ignored(&c.Network)...)
	var asked []Finding
	switch err := h.ask(ctx, http.MethodGet, "/net/doctor", nil, &asked); {
	case errors.Is(err, ErrNoAdmin):
		return append(all, Finding{What: "peer", Bad: true, Detail: err.Error()})
	case err != nil:
		return append(all, Finding{What: "peer", Bad: true, Detail: err.Error() + " (was it started before the configuration changed?)"})
	}
	return append(all, asked...)
}

// checkNetFiles looks at the files that the configuration names.
func (h Home) checkNetFiles(c *NetworkConfig) (all []Finding) {
	if _, err := c.Darknet.open(h); err != nil {
		all = append(all, Finding{What: "darknet", Bad: true, Detail: err.Error()})
	}
	if c.Tor.Password != "" && c.Transport == netTor {
		if _, err := os.Stat(h.in(c.Tor.Password)); err != nil {
			all = append(all, Finding{What: "tor", Bad: true, Detail: err.Error() + ": see network.tor.password_file"})
		}
	}
	return all
}

// checkTor looks whether the tor of this machine is there.
func checkTor(ctx context.Context, c *TorConfig) []Finding {
	var all []Finding
	for _, port := range []struct{ what, addr string }{{"SOCKS port", c.Socks}, {"control port", c.Control}} {
		f := Finding{What: "tor", Detail: fmt.Sprintf("its %s %s answers", port.what, port.addr)}
		network := "tcp"
		if strings.HasPrefix(port.addr, "/") {
			network = "unix"
		}
		dial, cancel := context.WithTimeout(ctx, 3*time.Second)
		conn, err := (&net.Dialer{}).DialContext(dial, network, port.addr)
		cancel()
		if err != nil {
			f.Bad, f.Detail = true, fmt.Sprintf("its %s does not answer: %v: start tor, and see [network.tor]", port.what, err)
		} else {
			_ = conn.Close()
		}
		all = append(all, f)
	}
	return all
}

// ignored tells what of the configuration does not count, because it would show this peer.
func ignored(c *NetworkConfig) (all []Finding) {
	var not []string
	if c.Find.Local {
		not = append(not, "network.find.local")
	}
	if c.Find.Rendezvous != "" {
		not = append(not, "network.find.rendezvous")
	}
	dark := c.Darknet.Secret != ""
	if dark && len(c.Find.IRC) > 0 {
		not = append(not, "network.find.irc")
	}
	if len(not) > 0 && (dark || c.Transport == netTor) {
		all = append(all, Finding{What: "finding peers", Note: true, Detail: strings.Join(not, ", ") + ": left out, for it would show this peer to others"})
	}
	return all
}

// findings are what a running peer knows of itself.
func (n *network) findings() []Finding {
	s := n.status()
	all := []Finding{{What: "peer", Detail: s.Peer}, n.checkReach()}
	for _, f := range n.seekers {
		all = append(all, f.finding())
	}
	peers := Finding{What: "peers", Detail: fmt.Sprintf("%d connected, of up to %d neighbours", s.Connected, s.Neighbours)}
	if s.Connected == 0 {
		peers.Bad, peers.Detail = true, "none is connected: name one that is always there in network.find.peers (KEY@ADDRESS, as souk peers shows on its machine), and see whether a firewall lets this one dial"
	}
	all = append(all, peers)
	if s.Ring == 0 {
		all = append(all, Finding{What: "ring", Note: true, Detail: "none yet: peers that are near each other form one within a minute"})
	} else {
		all = append(all, Finding{What: "ring", Detail: fmt.Sprintf("%d members", s.Ring)})
	}
	all = append(all, n.checkMail()...)
	for id, onion := range n.links.served() {
		all = append(all, Finding{What: "consensus through tor", Detail: fmt.Sprintf("virtual server %x is reached at %s: the other members write it into network.tor.members", id[:8], onion)})
	}
	return all
}

// checkReach tells who could dial this peer.
func (n *network) checkReach() Finding {
	f := Finding{What: "reachable"}
	var public, near []string
	for _, a := range n.located.Addrs() {
		switch text := string(a); {
		case strings.HasPrefix(text, "/onion3/"):
			return Finding{What: f.What, Detail: "through tor, at " + text}
		case fromEverywhere(text):
			public = append(public, text)
		default:
			near = append(near, text)
		}
	}
	switch {
	case len(public) > 0:
		f.Detail = "at " + strings.Join(public, ", ") + ", if no firewall is in between"
	case len(near) > 0:
		f.Note, f.Detail = true, "from this machine and its local network only, at "+strings.Join(near, ", ")+": that does for mail; to be dialled from everywhere, lead a port of the router here, and write its address into network.announce"
	default:
		f.Note, f.Detail = true, "by nobody: it only dials, which does for mail; see network.listen"
	}
	return f
}

// fromEverywhere tells whether an address is one of the public internet.
func fromEverywhere(addr string) bool {
	parts := strings.Split(addr, "/")
	if len(parts) < 3 || strings.HasPrefix(parts[1], "dns") {
		return len(parts) >= 3
	}
	ip, err := netip.ParseAddr(parts[2])
	return err == nil && ip.IsGlobalUnicast() && !ip.IsPrivate()
}

// mostWrong is how many envelopes of hours that are not ours may come before the clock is doubted.
const mostWrong = 20

// checkMail tells how mail is doing, and by it whether the clock may be wrong: whoever is hours
// off takes the mail of all others for expired, or for too young.
func (n *network) checkMail() []Finding {
	if n.carrier == nil {
		return []Finding{{What: "mail", Note: true, Detail: "none is carried: network.mail.carry is off"}}
	}
	c := n.carrier.Counts()
	all := []Finding{{What: "mail", Detail: fmt.Sprintf("%s; %d envelopes carried, %d fetched, %d kept", n.config.Mail.Carry, c.Carried, c.Fetched, c.Kept)}}
	if n.box == nil {
		all = append(all, Finding{What: "mailbox", Note: true, Detail: "none: network.mail.mailbox is false"})
	} else {
		unread := 0
		for _, r := range n.box.Inbox() {
			if !r.Seen {
				unread++
			}
		}
		all = append(all, Finding{What: "mailbox", Detail: fmt.Sprintf("%d contacts, %d letters not read", len(n.box.Contacts()), unread)})
	}
	if wrong := c.Dropped["expired"] + c.Dropped["future"]; wrong > mostWrong && wrong > c.Carried {
		return append(all, Finding{What: "clock", Bad: true, Detail: fmt.Sprintf("%d envelopes were of hours that are not this machine's: run a time service", wrong)})
	}
	return append(all, Finding{What: "clock", Detail: time.Now().UTC().Format("2006-01-02 15:04 UTC") + ", and no mail says otherwise"})
}
