package irc

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lrstanley/girc"

	"souk/transport"
)

// BotConfig is a Bot's server, and what it may do there.
type BotConfig struct {
	Server   string // host:port; tls:host:port with TLS
	Channel  string
	Nick     string // soukbot if empty
	Operator string // name and password of the server's operator
	Password string
	Age      time.Duration // how long a peer must have been there; an hour
	Every    time.Duration // how often voices are dealt anew; half a minute
	Dial     DialFunc
	Log      *slog.Logger
}

// Bot gives the channel's voice to the peers that have been there longest, one of each ring.
type Bot struct {
	cfg BotConfig

	mu      sync.Mutex
	nick    string
	present map[string]*present // who is on the channel, by lower-case nick
}

// present is somebody on the channel. girc's own lists are not safe to read meanwhile.
type present struct {
	nick   string
	since  time.Time
	voiced bool
	asked  asked
	seat   seat
}

type asked struct {
	nonce [nonceSize]byte
	at    time.Time
	tries int
}

// maxAsked is how many are asked at a time: an operator is not slowed down by the server.
const maxAsked = 40

// seat is where somebody has proven to sit.
type seat struct {
	peer transport.ID
	ring [32]byte
	at   time.Time
}

// NewBot checks a configuration.
func NewBot(cfg BotConfig) (*Bot, error) {
	if _, _, err := net.SplitHostPort(strings.TrimPrefix(cfg.Server, tlsPrefix)); err != nil {
		return nil, fmt.Errorf("IRC server %q: %w", cfg.Server, err)
	}
	if !channelName(cfg.Channel) {
		return nil, fmt.Errorf("IRC channel %q: a # and 1 to 49 of a-z, 0-9, dash and underscore", cfg.Channel)
	}
	if cfg.Operator == "" || cfg.Password == "" {
		return nil, errors.New("the bot needs an operator's name and password")
	}
	cfg.Nick = cmp.Or(cfg.Nick, "soukbot")
	cfg.Age = cmp.Or(cfg.Age, time.Hour)
	cfg.Every = cmp.Or(cfg.Every, 30*time.Second)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Bot{cfg: cfg}, nil
}

// Run works until the context ends, and connects again when the server is lost.
func (b *Bot) Run(ctx context.Context) error {
	for wait := time.Second; ctx.Err() == nil; wait = min(2*wait, maxRetry) {
		start := time.Now()
		if err := b.once(ctx); err != nil && ctx.Err() == nil {
			b.cfg.Log.WarnContext(ctx, "IRC server lost", slog.String("server", b.cfg.Server), slog.Any("error", err))
		}
		if time.Since(start) > time.Minute {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// dialer is girc's, and lets the context end a connection.
type dialer struct {
	ctx  context.Context //nolint:containedctx // girc's interface has none
	dial DialFunc
}

func (d dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := d.dial(d.ctx, network, address)
	if err == nil {
		context.AfterFunc(d.ctx, func() { _ = conn.Close() })
	}
	return conn, err
}

func (b *Bot) once(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dial := b.cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	addr, secure := strings.CutPrefix(b.cfg.Server, tlsPrefix)
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("IRC server %q: %w", addr, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return fmt.Errorf("IRC server %q: %w", addr, err)
	}
	c := girc.New(girc.Config{
		Server: host, Port: port, SSL: secure, DisableSTS: true, AllowFlood: true, Nick: b.cfg.Nick, User: "soukbot", Name: "voice of Souk",
		HandleNickCollide: func(old string) string { return old + "_" },
	})
	c.DisableTracking()
	c.CTCP.ClearAll()
	joined := make(chan struct{})
	b.listen(c, sync.OnceFunc(func() { close(joined) }))
	var wg sync.WaitGroup
	wg.Go(func() { b.work(ctx, c, joined) })
	err = c.DialerConnect(dialer{ctx, dial})
	cancel()
	wg.Wait()
	return err
}

// work asks and deals until the connection ends.
func (b *Bot) work(ctx context.Context, c *girc.Client, joined <-chan struct{}) {
	select {
	case <-ctx.Done():
		return
	case <-joined:
	}
	tick := time.NewTicker(b.cfg.Every)
	defer tick.Stop()
	for {
		b.deal(c)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// listen says what is done with what the server sends. girc calls one after the other.
func (b *Bot) listen(c *girc.Client, joined func()) {
	on := func(command string, do func(c *girc.Client, e girc.Event)) {
		c.Handlers.Add(command, func(c *girc.Client, e girc.Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if e.Source == nil { // what a server says of nobody is about nobody
				e.Source = &girc.Source{}
			}
			do(c, e)
		})
	}
	on(girc.RPL_WELCOME, func(c *girc.Client, e girc.Event) {
		b.present = map[string]*present{}
		if b.nick = b.cfg.Nick; len(e.Params) > 0 {
			b.nick = e.Params[0]
		}
		c.Cmd.Oper(b.cfg.Operator, b.cfg.Password)
		c.Cmd.Join(b.cfg.Channel)
	})
	on(girc.RPL_NAMREPLY, func(_ *girc.Client, e girc.Event) {
		for _, name := range strings.Fields(e.Last()) {
			nick := strings.TrimLeft(name, "~&@%+")
			b.arrive(nick, strings.Contains(name[:len(name)-len(nick)], "+"))
		}
	})
	on(girc.RPL_ENDOFNAMES, func(*girc.Client, girc.Event) { joined() })
	on(girc.JOIN, func(_ *girc.Client, e girc.Event) {
		b.leave(e.Source)
		b.arrive(e.Source.Name, false)
	})
	on(girc.PART, func(_ *girc.Client, e girc.Event) { b.leave(e.Source) })
	on(girc.QUIT, func(_ *girc.Client, e girc.Event) { b.leave(e.Source) })
	on(girc.KICK, func(_ *girc.Client, e girc.Event) {
		if len(e.Params) > 1 {
			delete(b.present, strings.ToLower(e.Params[1]))
		}
	})
	on(girc.NICK, func(_ *girc.Client, e girc.Event) { // somebody else, as far as is proven
		b.leave(e.Source)
		if strings.EqualFold(e.Source.Name, b.nick) {
			b.nick = e.Last()
		}
		b.arrive(e.Last(), false)
	})
	on(girc.MODE, func(_ *girc.Client, e girc.Event) { b.mode(e.Params) })
	on(girc.NOTICE, b.notice)
}

func (b *Bot) arrive(nick string, voiced bool) {
	key := strings.ToLower(nick)
	if b.present[key] == nil && len(b.present) < maxMembers && nick != "" {
		b.present[key] = &present{nick: nick, since: time.Now(), voiced: voiced}
	}
}

func (b *Bot) leave(who *girc.Source) { delete(b.present, strings.ToLower(who.Name)) }

// mode takes note of voices: channel, flags such as +v-v, and whom each is about.
func (b *Bot) mode(params []string) {
	if len(params) < 3 || !strings.EqualFold(params[0], b.cfg.Channel) {
		return
	}
	whom, plus := params[2:], true
	for _, flag := range params[1] {
		switch {
		case flag == '+' || flag == '-':
			plus = flag == '+'
		case strings.ContainsRune("vohaqbkeIl", flag):
			if len(whom) == 0 {
				return
			}
			if p := b.present[strings.ToLower(whom[0])]; p != nil && flag == 'v' {
				p.voiced = plus
			}
			whom = whom[1:]
		}
	}
}

// notice takes answers.
func (b *Bot) notice(_ *girc.Client, e girc.Event) {
	first, word, rest, ok := parseCTCP(e.Last())
	if !ok || first != verb || word != wordSits {
		return
	}
	who := b.present[strings.ToLower(e.Source.Name)]
	if who == nil || who.asked.tries == 0 {
		return
	}
	q := question{word: wordSits, channel: b.cfg.Channel, asker: b.nick, nick: e.Source.Name, nonce: who.asked.nonce}
	p, payload, err := q.read(rest)
	if err != nil || len(payload) != 32 {
		b.cfg.Log.Info("IRC record refused", slog.String("nick", e.Source.Name))
		return
	}
	who.asked, who.seat = asked{}, seat{p, [32]byte(payload), time.Now()}
}

// sitter is somebody who might get a voice.
type sitter struct {
	nick   string
	since  time.Time
	seat   seat
	voiced bool
}

// deal asks those who have not said lately where they sit, and gives and takes voices.
func (b *Bot) deal(c *girc.Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	var sitters []sitter
	left := maxAsked
	for _, p := range b.present {
		if strings.EqualFold(p.nick, b.nick) {
			continue
		}
		if left > 0 && now.Sub(p.seat.at) > 10*b.cfg.Every && b.ask(c, p, now) {
			left--
		}
		sitters = append(sitters, sitter{p.nick, p.since, p.seat, p.voiced})
	}
	give, take := voices(sitters, now, b.cfg.Age)
	for _, nick := range take {
		c.Cmd.Mode(b.cfg.Channel, "-v", nick)
	}
	for _, nick := range give {
		c.Cmd.Mode(b.cfg.Channel, "+v", nick)
	}
}

// ask asks somebody where he sits; one who does not answer is asked less and less often.
func (b *Bot) ask(c *girc.Client, p *present, now time.Time) bool {
	if p.asked.tries > 0 && now.Sub(p.asked.at) < b.cfg.Every<<min(p.asked.tries+1, 10) {
		return false
	}
	p.asked = asked{newNonce(), now, p.asked.tries + 1}
	c.Cmd.Message(p.nick, ctcp(wordSeat, base64.RawURLEncoding.EncodeToString(p.asked.nonce[:])))
	return true
}

// voices says who gets a voice and who loses it: of each ring the one that has been there
// longest, if that is long enough. A peer that is there twice counts once.
func voices(all []sitter, now time.Time, age time.Duration) (give, take []string) {
	slices.SortFunc(all, func(a, b sitter) int {
		return cmp.Or(a.since.Compare(b.since), bytes.Compare(a.seat.peer[:], b.seat.peer[:]), cmp.Compare(a.nick, b.nick))
	})
	taken := map[[32]byte]bool{}
	peers := map[transport.ID]bool{}
	for _, s := range all {
		speaks := s.seat.ring != [32]byte{} && !taken[s.seat.ring] && !peers[s.seat.peer] && now.Sub(s.since) >= age
		if speaks {
			taken[s.seat.ring], peers[s.seat.peer] = true, true
		}
		switch {
		case speaks && !s.voiced:
			give = append(give, s.nick)
		case !speaks && s.voiced:
			take = append(take, s.nick)
		}
	}
	return give, take
}
