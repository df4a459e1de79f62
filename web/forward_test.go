package web_test

import (
	"bufio"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/web"
)

// masked is a listener whose connections are said to come from an address.
type masked struct {
	net.Listener
	from string
}

type maskedConn struct {
	net.Conn
	from net.Addr
}

func (l *masked) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &maskedConn{c, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(l.from))}, nil
}

func (c *maskedConn) RemoteAddr() net.Addr { return c.from }

// as serves a node's server for connections from an address, and answers where.
func (n *node) as(t *testing.T, from string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = n.server.Serve(&masked{l, from}) }()
	return "http://" + l.Addr().String()
}

func prefixes(list ...string) (all []netip.Prefix) {
	for _, p := range list {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// Who a request is from is the last address that no trusted proxy has (H-56).
func TestSource(t *testing.T) {
	s := web.New(web.Config{Proxies: prefixes("127.0.0.0/8", "::1/128", "10.0.0.0/8", "2001:db8:1::/48")})
	for _, tc := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"127.0.0.1:7", nil, "127.0.0.1:7"},
		{"127.0.0.1:7", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"[::1]:7", []string{"2001:db8:2::9"}, "[2001:db8:2::9]:0"},
		{"[::ffff:10.1.2.3]:7", []string{" 203.0.113.9 "}, "203.0.113.9:0"},
		{"10.1.2.3:7", []string{"203.0.113.9:4711"}, "203.0.113.9:0"},
		{"10.1.2.3:7", []string{"[2001:db8:2::9]:4711"}, "[2001:db8:2::9]:0"},
		{"10.1.2.3:7", []string{"[2001:db8:2::9]"}, "[2001:db8:2::9]:0"},
		// What its sender wrote himself stands on the left, and counts for nothing.
		{"10.1.2.3:7", []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9:0"},
		{"10.1.2.3:7", []string{"127.0.0.1,10.9.9.9,203.0.113.9"}, "203.0.113.9:0"},
		{"10.1.2.3:7", []string{"198.51.100.1", "203.0.113.9"}, "203.0.113.9:0"},
		// Several proxies, one behind the other.
		{"127.0.0.1:7", []string{"198.51.100.1, 203.0.113.9, 10.4.4.4, 2001:db8:1::5"}, "203.0.113.9:0"},
		{"127.0.0.1:7", []string{"198.51.100.1, 203.0.113.9", "10.4.4.4"}, "203.0.113.9:0"},
		// What cannot be read was not written by a proxy that is trusted, nor was what stands before it.
		{"10.1.2.3:7", []string{"203.0.113.9, unknown"}, "10.1.2.3:0"},
		{"127.0.0.1:7", []string{"203.0.113.9, unknown, 10.4.4.4"}, "10.4.4.4:0"},
		{"10.1.2.3:7", []string{"203.0.113.9,"}, "10.1.2.3:0"},
		// Nobody for whom a proxy speaks is this machine.
		{"127.0.0.1:7", []string{""}, "0.0.0.0:0"},
		{"127.0.0.1:7", []string{"127.0.0.1"}, "0.0.0.0:0"},
		{"[::1]:7", []string{"::ffff:127.0.0.1"}, "0.0.0.0:0"},
		{"127.0.0.1:7", []string{"10.2.2.2, 127.0.0.1"}, "10.2.2.2:0"},
		// Who is no trusted proxy speaks for himself.
		{"203.0.113.9:7", []string{"198.51.100.1"}, "203.0.113.9:7"},
		{"[2001:db8:2::9]:7", []string{"127.0.0.1"}, "[2001:db8:2::9]:7"},
		{"@", []string{"198.51.100.1"}, "@"},
	} {
		r := &http.Request{RemoteAddr: tc.peer, Header: http.Header{"X-Forwarded-For": tc.forwarded}}
		if got := s.From(r); got != tc.want || r.RemoteAddr != tc.peer {
			t.Errorf("%s for %q: %s, want %s", tc.peer, tc.forwarded, got, tc.want)
		}
	}
	none := web.New(web.Config{})
	if got := none.From(&http.Request{RemoteAddr: "127.0.0.1:7", Header: http.Header{"X-Forwarded-For": {"203.0.113.9"}}}); got != "127.0.0.1:7" {
		t.Errorf("nobody is trusted: %s", got)
	}
}

// asking counts how many of some new people are given play money.
func asking(t *testing.T, f *federation, base, forwarded string, first, people int) (given int) {
	t.Helper()
	for i := range people {
		h := signed(f, "guest"+strconv.Itoa(first+i), "POST", "/v1/practice")
		if forwarded != "" {
			h.Set("X-Forwarded-For", forwarded)
		}
		req, err := http.NewRequestWithContext(within(t, 20*time.Second), http.MethodPost, base+"/v1/practice", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = h
		switch a := send(t, req); {
		case a.status == http.StatusOK:
			given++
		case a.problem.Code != api.TooMany:
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	return given
}

// Through a trusted proxy everybody has limits of his own, on this machine too; what others
// say about whom they speak for moves nothing (H-56, H-135).
func TestPracticeBehindProxy(t *testing.T) {
	f, _ := practising(t, web.Config{Proxies: prefixes("127.0.0.1/32", "10.0.0.0/8")})
	n := f.nodes[0]
	direct, proxy := n.as(t, "203.0.113.77:9"), n.as(t, "10.1.2.3:9")
	for i, tc := range []struct {
		base, forwarded string
		want            int
	}{
		{n.url, "203.0.113.1", 6},
		{n.url, "198.51.100.9, 203.0.113.1", 0}, // he says that he is another
		{proxy, "203.0.113.1", 0},               // the same, by another proxy
		{proxy, "203.0.113.2", 6},
		{n.url, "127.0.0.1", 6}, // nobody is this machine
		{n.url, "::1", 0},
		{n.url, "", 8}, // this machine
		{direct, "203.0.113.3", 6},
		{direct, "203.0.113.4", 0},
		{direct, "", 0},
	} {
		if got := asking(t, f, tc.base, tc.forwarded, 10*i, 8); got != tc.want {
			t.Errorf("%d: %q: %d were given play money, not %d", i, tc.forwarded, got, tc.want)
		}
	}
}

// Streams are counted by who is behind the proxy, and connections of a proxy are not counted
// by its address (H-52, H-56, H-114).
func TestCrowdBehindProxy(t *testing.T) {
	f := newFederation(t, 1, web.Config{Proxies: prefixes("10.0.0.0/8"), ConnsPerIP: 3, StreamsPerIP: 1})
	proxy := f.nodes[0].as(t, "10.1.2.3:9")
	stream := func(forwarded string) (int, *bufio.Reader) {
		req, err := http.NewRequestWithContext(within(t, 20*time.Second), http.MethodGet, proxy+"/v1/events?markets=all", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", forwarded)
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp.StatusCode, bufio.NewReader(resp.Body)
	}
	for i := range 6 {
		status, body := stream("203.0.113." + strconv.Itoa(i))
		if line, err := body.ReadString('\n'); status != 200 || err != nil || !strings.HasPrefix(line, "id: ") {
			t.Fatalf("stream %d: %d %q %v", i, status, line, err)
		}
	}
	if status, _ := stream("203.0.113.3"); status != http.StatusServiceUnavailable {
		t.Errorf("a second one of somebody: %d", status)
	}
	// Others are: their fourth connection takes the place of another one of theirs.
	base := strings.TrimPrefix(f.nodes[0].as(t, "203.0.113.50:9"), "http://")
	var open []net.Conn
	for range 4 {
		c, err := net.Dial("tcp", base)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if err := alive(c); err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	gone := 0
	for _, c := range open {
		if closed(c) {
			gone++
		}
	}
	if gone != 1 {
		t.Errorf("%d of four connections are closed", gone)
	}
}

// Accounts and gifts are counted by /64 and by /48 of IPv6, so that who has a whole site is
// not a crowd (H-104, H-135).
func TestSiteLimits(t *testing.T) {
	now := time.Now()
	a := web.NewAdmissions()
	of := func(site, part int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(site >> 8), byte(site), byte(part >> 8), byte(part)}), 64)
	}
	taken := 0
	for part := range 1000 {
		if a.Take(of(1, part), now) {
			taken++
		}
	}
	if taken != 24 {
		t.Errorf("one site takes %d", taken)
	}
	for i := range 8 {
		if got := a.Take(of(2, 1), now); got != (i < 6) {
			t.Errorf("%d of another site: %v", i+1, got)
		}
	}
	// Who is refused uses nothing up of his neighbours.
	for i := range 18 {
		if !a.Take(of(2, 2+i), now) {
			t.Errorf("neighbour %d is refused", i)
		}
	}
	if a.Take(of(2, 100), now) || !a.Take(of(2, 100), now.Add(3*time.Minute)) {
		t.Error("the site's share comes back with time")
	}
	// A site with more networks than are told apart keeps nobody out.
	b := web.NewAdmissions()
	for part := range 20_000 {
		b.Take(of(3, part), now)
	}
	if !b.Take(of(4, 0), now) {
		t.Error("one site keeps another out")
	}
}
