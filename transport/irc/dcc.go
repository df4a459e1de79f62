package irc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"souk/transport"
)

const (
	// dccTime is how long a connection between two peers may take to come up.
	dccTime = 20 * time.Second
	// maxDCC is how many come up at once.
	maxDCC = 16
)

// reserve makes sure that one connection to a peer comes up at a time.
func (f *Finder) reserve(p transport.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy[p] || len(f.busy) >= maxDCC {
		return false
	}
	f.busy[p] = true
	return true
}

func (f *Finder) release(p transport.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.busy, p)
}

// offer listens, tells the nick where, and takes the first who proves to be the peer.
func (f *Finder) offer(ctx context.Context, s *server, nick string, p transport.ID) error {
	if !f.reserve(p) {
		return errors.New("a connection to the peer comes up already")
	}
	defer f.release(p)
	ctx, cancel := context.WithTimeout(ctx, dccTime)
	defer cancel()
	at := f.cfg.DCC.Listen
	if at == nil {
		at = f.cfg.DCC.IP
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp4", net.JoinHostPort(at.String(), "0"))
	if err != nil {
		return fmt.Errorf("listen for a peer: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	defer func() { _ = l.Close() }()
	port := l.Addr().(*net.TCPAddr).Port
	s.say("PRIVMSG", nick, fmt.Sprintf("\x01DCC CHAT chat %d %d\x01", binary.BigEndian.Uint32(f.cfg.DCC.IP.To4()), port))
	for { // somebody else may come first
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("wait for a peer: %w", ctx.Err())
			}
			return fmt.Errorf("wait for a peer: %w", err)
		}
		proving, stop := context.WithTimeout(ctx, dccTime/4) // whoever comes and says nothing does not keep the peer out
		safe, err := Secure(proving, conn, f.cfg.Key, p, false)
		stop()
		if err == nil {
			f.cfg.DCC.Got(p, safe)
			return nil
		}
	}
}

// offered dials an offer of somebody who has proven who he is, or keeps it until he has.
func (s *server) offered(ctx context.Context, nick, text string) {
	f := s.f
	if f.cfg.DCC == nil {
		return
	}
	s.mu.Lock()
	m := s.of(nick)
	if m == nil || !m.proven {
		if m != nil && len(text) < 64 {
			m.offer = text
		}
		s.mu.Unlock()
		s.ask(nick)
		return
	}
	p := m.peer
	s.mu.Unlock()
	addr, ok := parseOffer(text, f.cfg.DCC.Private)
	if !ok || !f.reserve(p) {
		return
	}
	f.wg.Go(func() {
		defer f.release(p)
		ctx, cancel := context.WithTimeout(ctx, dccTime)
		defer cancel()
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp4", addr)
		if err != nil {
			f.cfg.Log.InfoContext(ctx, "DCC offer not reached", slog.Any("error", err))
			return
		}
		if safe, err := Secure(ctx, conn, f.cfg.Key, p, true); err == nil {
			f.cfg.DCC.Got(p, safe)
		}
	})
}

// parseOffer reads "chat address port". Ports of services, and addresses that are not in the
// public network unless they may be private, are no offers: who dials them for somebody else
// is used against his own neighbours.
func parseOffer(text string, private bool) (string, bool) {
	parts := strings.Fields(text)
	if len(parts) != 3 || !strings.EqualFold(parts[0], "chat") {
		return "", false
	}
	n, err := strconv.ParseUint(parts[1], 10, 32)
	port, err2 := strconv.ParseUint(parts[2], 10, 16)
	if err != nil || err2 != nil || port < 1024 {
		return "", false
	}
	ip := make(net.IP, 4)
	binary.BigEndian.PutUint32(ip, uint32(n))
	if ip.IsMulticast() || ip.IsUnspecified() || ip.Equal(net.IPv4bcast) || !private && (ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()) {
		return "", false
	}
	return net.JoinHostPort(ip.String(), strconv.FormatUint(port, 10)), true
}
