package irc

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"io"
	"log"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/ergochat/irc-go/ircevent"
	"github.com/ergochat/irc-go/ircmsg"

	"souk/transport"
)

const (
	tlsPrefix = "tls:"
	// burst is how many lines are sent without a pause.
	burst = 5
	// maxQueue is how many lines wait; more are not sent, and asked for again.
	maxQueue = 256
	// patience is how long an answer is waited for.
	patience = time.Minute
	// maxRetry is the longest pause before a server is tried again.
	maxRetry = 5 * time.Minute
)

// server is one connection to a server, and who is on the channel there.
type server struct {
	f     *Finder
	addr  string
	found func(transport.Peer)
	out   chan line

	mu      sync.Mutex
	conn    *ircevent.Connection
	members map[string]*member // by lower-case nick
}

type line struct{ command, to, text string }

// member is somebody on the channel.
type member struct {
	nonce    [nonceSize]byte
	asked    time.Time
	answered time.Time // when this peer last answered him
	proven   bool
	peer     transport.ID
	offer    string // a DCC offer that came before he was known
}

func newServer(f *Finder, addr string, found func(transport.Peer)) *server {
	return &server{f: f, addr: addr, found: found, out: make(chan line, maxQueue), members: map[string]*member{}}
}

// run keeps a connection until the context ends.
func (s *server) run(ctx context.Context) {
	for wait := s.f.cfg.Pace; ctx.Err() == nil; wait = min(2*wait, maxRetry) {
		start := time.Now()
		if err := s.once(ctx); err != nil && ctx.Err() == nil {
			s.f.cfg.Log.InfoContext(ctx, "IRC server lost", slog.String("server", s.addr), slog.Any("error", err))
		}
		if time.Since(start) > time.Minute {
			wait = s.f.cfg.Pace
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// nickname is new for every connection: a nick says nothing.
func nickname() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	out := []byte("s")
	for _, c := range b {
		out = append(out, "abcdefghijklmnopqrstuvwxyz234567"[c%32])
	}
	return string(out)
}

// once is one connection, until it or the context ends.
func (s *server) once(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dial := s.f.cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	addr, secure := strings.CutPrefix(s.addr, tlsPrefix)
	nick := nickname()
	c := &ircevent.Connection{
		Server: addr, UseTLS: secure, Nick: nick, User: "souk", RealName: realname(s.f.self.ID), Version: "souk", QuitMessage: "bye",
		Timeout: 30 * time.Second, KeepAlive: 2 * time.Minute, ReconnectFreq: time.Hour, Log: log.New(io.Discard, "", 0),
		DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err == nil {
				context.AfterFunc(ctx, func() { _ = conn.Close() })
			}
			return conn, err
		},
	}
	gone := make(chan struct{})
	c.AddDisconnectCallback(func(ircmsg.Message) { close(gone) })
	s.listen(ctx, c)
	if err := c.Connect(); err != nil {
		return err
	}
	s.mu.Lock()
	s.conn, s.members = c, map[string]*member{}
	s.mu.Unlock()
	if err := c.Join(s.f.cfg.Channel); err != nil {
		return err
	}
	s.write(ctx, c, gone)
	c.Quit()
	cancel()
	c.Loop() // waits until all of the connection has ended
	s.mu.Lock()
	s.conn, s.members = nil, map[string]*member{}
	s.mu.Unlock()
	return nil
}

// write sends what waits, a few lines fast and the others at the pace.
func (s *server) write(ctx context.Context, c *ircevent.Connection, gone <-chan struct{}) {
	tick := time.NewTicker(s.f.cfg.Pace)
	defer tick.Stop()
	credit := burst
	for {
		out := s.out
		if credit == 0 {
			out = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-gone:
			return
		case <-tick.C:
			credit = min(credit+1, burst)
		case l := <-out:
			credit--
			if err := c.Send(l.command, l.to, l.text); err != nil {
				return
			}
		}
	}
}

// say queues a line. When too many wait it is dropped.
func (s *server) say(command, to, text string) {
	select {
	case s.out <- line{command, to, text}:
	default:
	}
}

func (s *server) nickOf(p transport.ID) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nick, m := range s.members {
		if m.proven && m.peer == p {
			return nick, true
		}
	}
	return "", false
}

// listen says what is done with what the server sends. All of it runs in one goroutine.
func (s *server) listen(ctx context.Context, c *ircevent.Connection) {
	channel := s.f.cfg.Channel
	c.AddCallback("366", func(ircmsg.Message) { // the end of the list of names: who are they?
		_ = c.Send("WHO", channel)
	})
	c.AddCallback("352", func(e ircmsg.Message) { // me, channel, user, host, server, nick, flags, hops realname
		if len(e.Params) == 8 && strings.EqualFold(e.Params[1], channel) {
			_, name, _ := strings.Cut(e.Params[7], " ")
			s.meet(c, e.Params[5], name)
		}
	})
	c.AddCallback("JOIN", func(e ircmsg.Message) {
		if !strings.EqualFold(e.Nick(), c.CurrentNick()) {
			s.forget(e.Nick())
		}
	})
	c.AddCallback("PART", func(e ircmsg.Message) { s.forget(e.Nick()) })
	c.AddCallback("QUIT", func(e ircmsg.Message) { s.forget(e.Nick()) })
	c.AddCallback("NICK", func(e ircmsg.Message) { s.forget(e.Nick()) })
	c.AddCallback("KICK", func(e ircmsg.Message) {
		if len(e.Params) > 1 {
			s.forget(e.Params[1])
		}
	})
	for _, command := range []string{"PRIVMSG", "NOTICE"} {
		c.AddCallback(command, func(e ircmsg.Message) {
			if len(e.Params) == 2 && strings.EqualFold(e.Params[0], c.CurrentNick()) {
				s.hear(ctx, c, e.Nick(), command == "NOTICE", e.Params[1])
			}
		})
	}
}

func (s *server) forget(nick string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.members, strings.ToLower(nick))
}

// of is what is known of somebody, and room for it.
func (s *server) of(nick string) *member {
	key := strings.ToLower(nick)
	m := s.members[key]
	if m == nil && len(s.members) < maxMembers {
		m = &member{}
		s.members[key] = m
	}
	return m
}

// meet asks somebody whose realname is a peer's, unless that peer was found elsewhere. The
// realname proves nothing; one that is somebody else's is found out by the answer.
func (s *server) meet(c *ircevent.Connection, nick, name string) {
	p, ok := parseRealname(name)
	if !ok || p == s.f.self.ID || strings.EqualFold(nick, c.CurrentNick()) {
		return
	}
	if s.f.cfg.DCC == nil && s.f.known(p) {
		return
	}
	s.ask(nick)
}

func (s *server) ask(nick string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.of(nick)
	if m == nil || m.proven || time.Since(m.asked) < patience {
		return
	}
	m.nonce, m.asked = newNonce(), time.Now()
	s.say("PRIVMSG", nick, ctcp(wordAsk, base64.RawURLEncoding.EncodeToString(m.nonce[:])))
}

// hear takes what somebody said to this peer alone.
func (s *server) hear(ctx context.Context, c *ircevent.Connection, nick string, notice bool, text string) {
	first, word, rest, ok := parseCTCP(text)
	switch {
	case !ok:
	case first == verb && !notice && (word == wordAsk || word == wordSeat):
		s.answer(c, nick, word, rest)
		if word == wordAsk {
			s.ask(nick) // who asks is one, too
		}
	case first == verb && notice && word == wordHere:
		s.heard(ctx, c, nick, rest)
	case first == "DCC" && word == "CHAT" && !notice:
		s.offered(ctx, nick, rest)
	}
}

// answer proves to somebody who this peer is, at most once in ten seconds.
func (s *server) answer(c *ircevent.Connection, nick, word, text string) {
	nonce, ok := readNonce(text)
	if !ok {
		return
	}
	s.mu.Lock()
	m := s.of(nick)
	if word == wordAsk && (m == nil || time.Since(m.answered) < 10*time.Second) {
		s.mu.Unlock()
		return
	}
	if m != nil && word == wordAsk {
		m.answered = time.Now()
	}
	s.mu.Unlock()
	q := question{word: wordHere, channel: s.f.cfg.Channel, asker: nick, nick: c.CurrentNick(), nonce: nonce}
	if word == wordSeat {
		q.word = wordSits
		ring := s.f.cfg.Ring()
		s.say("NOTICE", nick, ctcp(q.word, q.answer(s.f.cfg.Key, ring[:])))
		return
	}
	told := false
	for _, a := range s.f.self.Addrs {
		if len(a) <= maxPayload {
			s.say("NOTICE", nick, ctcp(q.word, q.answer(s.f.cfg.Key, []byte(a))))
			told = true
		}
	}
	if !told {
		s.say("NOTICE", nick, ctcp(q.word, q.answer(s.f.cfg.Key, nil)))
	}
}

// heard takes an answer.
func (s *server) heard(ctx context.Context, c *ircevent.Connection, nick, text string) {
	s.mu.Lock()
	m := s.members[strings.ToLower(nick)]
	if m == nil || m.asked.IsZero() || time.Since(m.asked) > patience {
		s.mu.Unlock()
		return
	}
	q := question{word: wordHere, channel: s.f.cfg.Channel, asker: c.CurrentNick(), nick: nick, nonce: m.nonce}
	p, payload, err := q.read(text)
	if err != nil || p == s.f.self.ID || m.proven && m.peer != p {
		s.mu.Unlock()
		s.f.cfg.Log.InfoContext(ctx, "IRC record refused", slog.String("server", s.addr), slog.String("nick", nick))
		return
	}
	m.proven, m.peer = true, p
	offer := m.offer
	m.offer = ""
	s.mu.Unlock()
	s.f.saw(p, transport.Addr(payload), s.found)
	if offer != "" {
		s.offered(ctx, nick, offer)
	}
}
