package irc_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"souk/identity"
	"souk/transport"
	"souk/transport/irc"
	"souk/transport/libp2p"
)

// girc waits for two seconds after a server's welcome, whatever happens.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/lrstanley/girc.handleConnect"))
}

func key(name string) identity.PrivateKey { return identity.NewKey(sha256.Sum256([]byte(name))) }

// peer is a Finder at work.
type peer struct {
	name   string
	id     transport.ID
	finder *irc.Finder
	found  chan transport.Peer
	stop   func()
}

type got struct {
	peer transport.ID
	conn net.Conn
}

// start has a peer look for others until the test ends.
func start(t *testing.T, name string, cfg irc.Config) *peer {
	t.Helper()
	cfg.Key, cfg.Channel, cfg.Pace = key(name), channel, 5*time.Millisecond
	f, err := irc.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p := &peer{name: name, id: cfg.Key.Public(), finder: f, found: make(chan transport.Peer, 1000)}
	var wg sync.WaitGroup
	wg.Go(func() {
		self := transport.Peer{ID: p.id, Addrs: []transport.Addr{transport.Addr("at " + name)}}
		if err := f.Find(ctx, self, func(x transport.Peer) { p.found <- x }); err != nil {
			t.Error(err)
		}
	})
	p.stop = func() { cancel(); wg.Wait() }
	t.Cleanup(p.stop)
	return p
}

// finds waits until a peer has found all of some.
func (p *peer) finds(t *testing.T, others ...*peer) {
	t.Helper()
	missing := map[transport.ID]string{}
	for _, o := range others {
		if o != p {
			missing[o.id] = o.name
		}
	}
	for len(missing) > 0 {
		select {
		case x := <-p.found:
			name, ok := missing[x.ID]
			if !ok {
				t.Fatalf("%s found %v, who is nobody or twice there", p.name, x)
			}
			if want := "at " + name; len(x.Addrs) != 1 || string(x.Addrs[0]) != want {
				t.Fatalf("%s found %s at %q", p.name, name, x.Addrs)
			}
			delete(missing, x.ID)
		case <-time.After(30 * time.Second):
			t.Fatalf("%s did not find %v", p.name, missing)
		}
	}
}

// U-60, U-61, U-63: peers on one channel find each other, each once although there are two
// networks; one that comes through SOCKS does, too.
func TestFind(t *testing.T) {
	a, b := ircd(t), ircd(t)
	proxy, hosts := socks(t)
	alice := start(t, "alice", irc.Config{Servers: []string{a, b}})
	bob := start(t, "bob", irc.Config{Servers: []string{b, a}})
	carol := start(t, "carol", irc.Config{Servers: []string{a}})
	dave := start(t, "dave", irc.Config{Servers: []string{b}, Dial: irc.ThroughSOCKS(proxy)})
	alice.finds(t, bob, carol, dave)
	bob.finds(t, alice, carol, dave)
	carol.finds(t, alice, bob)
	dave.finds(t, alice, bob)
	if got := hosts(); !slices.Equal(got, []string{b}) {
		t.Errorf("through the proxy went %q, want %s alone", got, b)
	}
	if err := dave.finder.Chat(t.Context(), alice.id); err == nil {
		t.Error("somebody behind a proxy offers DCC")
	}
	// Whoever is on both networks answers on both; nobody is told of twice.
	erin := start(t, "erin", irc.Config{Servers: []string{a, b}})
	erin.finds(t, alice, bob, carol, dave)
	for _, p := range []*peer{alice, bob} {
		p.finds(t, erin)
	}
	for _, p := range []*peer{alice, bob, carol, dave, erin} {
		p.stop()
		for len(p.found) > 0 {
			if x := <-p.found; x.ID != erin.id {
				t.Errorf("%s was told of %v twice", p.name, x)
			}
		}
	}
}

// U-62: somebody who shows a peer's realname and passes questions and answers on between
// two others is taken for neither of them.
func TestLiarIsNotFound(t *testing.T) {
	addr := ircd(t)
	victim := key("victim").Public()
	liar := dialIRC(t, addr, "liar", "souk "+base64.RawURLEncoding.EncodeToString(victim[:]))
	alice := start(t, "alice", irc.Config{Servers: []string{addr}})
	aliceNick := liar.joined()
	bob := start(t, "bob", irc.Config{Servers: []string{addr}})
	bobNick := liar.joined()
	question := liar.until(bobNick + "!~souk@127.0.0.1 PRIVMSG liar :\x01SOUK ASK ")
	liar.say("PRIVMSG " + aliceNick + " :" + question[strings.Index(question, "\x01"):])
	answer := liar.until("SOUK HERE ")
	liar.say("NOTICE " + bobNick + " :" + answer[strings.Index(answer, "\x01"):])
	liar.say("NOTICE " + bobNick + " :\x01SOUK HERE !!!\x01")
	alice.finds(t, bob)
	bob.finds(t, alice) // and alice is where she says
	liar.say("PRIVMSG " + bobNick + " :\x01SOUK ASK " + base64.RawURLEncoding.EncodeToString(make([]byte, 16)) + "\x01")
	liar.until("SOUK HERE ") // by now bob has read all of the above
	alice.stop()
	bob.stop()
	for _, p := range []*peer{alice, bob} {
		if len(p.found) > 0 {
			t.Errorf("%s also found %v", p.name, <-p.found)
		}
	}
}

// U-64: a DCC offer becomes an encrypted connection between the two keys.
func TestDCC(t *testing.T) {
	addr := ircd(t)
	conns := map[string]chan got{"alice": make(chan got, 9), "bob": make(chan got, 9)}
	with := func(name string) irc.Config {
		return irc.Config{Servers: []string{addr}, DCC: &irc.DCC{
			IP: net.IPv4(127, 0, 0, 1), Private: true,
			Got: func(p transport.ID, conn net.Conn) { conns[name] <- got{p, conn} },
		}}
	}
	alice, bob := start(t, "alice", with("alice")), start(t, "bob", with("bob"))
	alice.finds(t, bob)
	bob.finds(t, alice)
	if err := alice.finder.Chat(t.Context(), bob.id); err != nil {
		t.Fatal(err)
	}
	a, b := <-conns["alice"], <-conns["bob"]
	defer func() { _, _ = a.conn.Close(), b.conn.Close() }()
	if a.peer != bob.id || b.peer != alice.id {
		t.Fatalf("the ends are %v and %v", a.peer, b.peer)
	}
	long := strings.Repeat("0123456789abcdef", 5000)
	go func() { _, _ = io.WriteString(a.conn, long); _, _ = io.WriteString(b.conn, "back") }()
	read := make([]byte, len(long))
	if _, err := io.ReadFull(b.conn, read); err != nil || string(read) != long {
		t.Fatalf("read %d bytes: %v", len(read), err)
	}
	if _, err := io.ReadFull(a.conn, read[:4]); err != nil || string(read[:4]) != "back" {
		t.Fatalf("read %q: %v", read[:4], err)
	}
	if err := alice.finder.Chat(t.Context(), key("nobody").Public()); !errors.Is(err, irc.ErrAbsent) {
		t.Errorf("to nobody: %v", err)
	}
}

// U-64, F-52: two peers who listen nowhere are connected by the sockets of an offer.
func TestDCCBecomesAConnection(t *testing.T) {
	addr := ircd(t)
	nets := map[string]*libp2p.Net{}
	for _, name := range []string{"alice", "bob"} {
		n, err := libp2p.Open(libp2p.Config{Key: key(name)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		n.Handle("/test", func(_ transport.ID, s transport.Stream) {
			_, _ = io.WriteString(s, name)
			_ = s.Close()
		})
		nets[name] = n
	}
	with := func(name string) irc.Config {
		return irc.Config{Servers: []string{addr}, DCC: &irc.DCC{IP: net.IPv4(127, 0, 0, 1), Private: true, Got: func(p transport.ID, conn net.Conn) {
			if err := nets[name].Take(t.Context(), p, conn); err != nil {
				t.Error(err)
			}
		}}}
	}
	alice, bob := start(t, "alice", with("alice")), start(t, "bob", with("bob"))
	alice.finds(t, bob)
	bob.finds(t, alice)
	if err := alice.finder.Chat(t.Context(), bob.id); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(15 * time.Second); len(nets["alice"].Peers()) == 0; <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("they are not connected")
		}
	}
	s, err := nets["alice"].Stream(t.Context(), bob.id, "/test")
	if err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(s); err != nil || string(said) != "bob" {
		t.Errorf("%q, %v", said, err)
	}
}

// U-64: whoever dials an offer and is not the peer it was for gets nothing.
func TestSecureRefusesImpostors(t *testing.T) {
	for _, c := range []struct {
		name             string
		expects, answers string
		ok               bool
	}{{"the peer", "bob", "bob", true}, {"another", "bob", "mallory", false}} {
		t.Run(c.name, func(t *testing.T) {
			x, y := net.Pipe()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			done := make(chan error, 1)
			go func() {
				conn, err := irc.Secure(ctx, y, key(c.answers), key("alice").Public(), true)
				if err == nil {
					_, err = conn.Write([]byte("hello"))
				}
				done <- err
			}()
			conn, err := irc.Secure(ctx, x, key("alice"), key(c.expects).Public(), false)
			if c.ok != (err == nil) || !c.ok && !errors.Is(err, irc.ErrImpostor) {
				t.Fatalf("error %v", err)
			}
			if c.ok {
				b := make([]byte, 5)
				if _, err := io.ReadFull(conn, b); err != nil || string(b) != "hello" {
					t.Errorf("read %q: %v", b, err)
				}
			}
			if err := <-done; c.ok && err != nil {
				t.Error(err)
			}
			_, _ = x.Close(), y.Close()
		})
	}
}

// U-64: an end that says nothing is given up when the time is over.
func TestSecureEnds(t *testing.T) {
	x, y := net.Pipe()
	defer func() { _ = y.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := irc.Secure(ctx, x, key("alice"), key("bob").Public(), false); err == nil {
		t.Fatal("silence is a handshake")
	}
}

// U-66, U-67: the bot gives voice to the one that has been there longest of each ring, and
// to another one when that one has gone.
func TestVoice(t *testing.T) {
	addr := ircd(t)
	ring := func(n byte) func() [32]byte { return func() [32]byte { return [32]byte{n} } }
	watcher := dialIRC(t, addr, "watcher", "a person")
	run, stop := context.WithCancel(t.Context())
	b, err := irc.NewBot(irc.BotConfig{
		Server: addr, Channel: channel, Operator: "bot", Password: "secret", Age: time.Millisecond, Every: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.Run(run) })
	defer func() { stop(); wg.Wait() }()
	watcher.until("JOIN :" + channel)

	first := start(t, "first", irc.Config{Servers: []string{addr}, Ring: ring(1)})
	one := watcher.joined()
	watcher.until("MODE " + channel + " +v " + one)
	start(t, "second", irc.Config{Servers: []string{addr}, Ring: ring(1)})
	two := watcher.joined()
	start(t, "third", irc.Config{Servers: []string{addr}, Ring: ring(2)})
	three := watcher.joined()
	start(t, "loner", irc.Config{Servers: []string{addr}})
	watcher.until("MODE " + channel + " +v " + three)
	first.stop()
	watcher.until("MODE " + channel + " +v " + two)
}

// joined waits for somebody to join, and says who.
func (c *client) joined() string {
	line := c.until(" JOIN :" + channel)
	nick, _, _ := strings.Cut(strings.TrimPrefix(line, ":"), "!")
	return nick
}

func TestConfigChecks(t *testing.T) {
	for i, cfg := range []irc.Config{
		{Channel: channel},
		{Channel: channel, Servers: []string{"no port"}},
		{Channel: "souk", Servers: []string{"a:1"}},
		{Channel: "#a b", Servers: []string{"a:1"}},
		{Channel: channel, Servers: slices.Repeat([]string{"a:1"}, 9)},
		{Channel: channel, Servers: []string{"a:1"}, DCC: &irc.DCC{}},
	} {
		if _, err := irc.New(cfg); err == nil {
			t.Errorf("configuration %d is taken", i)
		}
	}
	for i, cfg := range []irc.BotConfig{{Server: "x", Channel: channel}, {Server: "x:1", Channel: "x"}, {Server: "x:1", Channel: channel}} {
		if _, err := irc.NewBot(cfg); err == nil {
			t.Errorf("bot %d is taken", i)
		}
	}
}

// serveSOCKS serves one CONNECT with a user and a password.
func serveSOCKS(ctx context.Context, conn net.Conn, seen chan<- string) {
	defer func() { _ = conn.Close() }()
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(conn, b); err != nil {
			return make([]byte, n)
		}
		return b
	}
	read(int(read(2)[1]))
	_, _ = conn.Write([]byte{5, 2})
	read(int(read(2)[1]))
	read(int(read(1)[0]))
	_, _ = conn.Write([]byte{1, 0})
	head := read(4)
	var host string
	switch head[3] {
	case 1:
		host = net.IP(read(4)).String()
	case 3:
		host = string(read(int(read(1)[0])))
	default:
		return
	}
	port := read(2)
	addr := fmt.Sprintf("%s:%d", host, int(port[0])<<8|int(port[1]))
	out, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	seen <- addr
	_, _ = conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	go func() {
		_, _ = io.Copy(out, conn)
		_ = out.Close()
	}()
	_, _ = io.Copy(conn, out)
}
