package tor_test

import (
	"crypto/rand"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"souk/identity"
	"souk/internal/bulk"
	"souk/transport"
	"souk/transport/tor"
	"souk/transport/tor/tortest"
	"souk/transport/transporttest"
)

func open(t *testing.T, network tortest.Network) *tor.Net {
	t.Helper()
	key, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n, err := tor.Open(t.Context(), tor.Config{Key: key, Socks: network.Socks, Control: network.Control})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func TestTor(t *testing.T) {
	if !bulk.Whole() {
		t.Skip("the race detector looks at the same code in transport/libp2p, and tor is slow enough")
	}
	network := tortest.Start(t)
	t.Run("conformance", func(t *testing.T) {
		transporttest.Run(t, transporttest.World{Open: func(t *testing.T) transporttest.Net {
			t.Helper()
			return open(t, network)
		}, Patience: 60 * time.Second, Bulk: 256 << 10})
	})
	t.Run("addresses", func(t *testing.T) { testAddresses(t, network) })
	t.Run("forward", func(t *testing.T) { testForward(t, network) })
}

// testAddresses (F-60): a peer has the address of its onion service and no other, and what
// peers learn of it is that.
func testAddresses(t *testing.T, network tortest.Network) {
	a, b := open(t, network), open(t, network)
	if err := a.Dial(t.Context(), b.Self(), b.Addrs()...); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*tor.Net{a, b} {
		if addrs := n.Addrs(); len(addrs) != 1 || !strings.HasPrefix(string(addrs[0]), "/onion3/") {
			t.Errorf("addresses %v", addrs)
		}
	}
	for _, learnt := range b.Known(a.Self()) {
		if learnt != a.Addrs()[0] && !strings.HasPrefix(string(learnt), "/ip4/127.0.0.1/") {
			t.Errorf("a peer learnt the address %s", learnt)
		}
	}
	// An address that is not of an onion service is not dialled, whoever tells it.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	came := make(chan struct{})
	go func() {
		if c, err := l.Accept(); err == nil {
			close(came)
			_ = c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	key, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Dial(t.Context(), key.Public(), transport.Addr("/ip4/127.0.0.1/tcp/"+port), transport.Addr("/ip4/127.0.0.1/tcp/"+port+"/ws"), transport.Addr("/dns4/localhost/tcp/"+port)); err == nil {
		t.Error("dialled a clear address")
	}
	select {
	case <-came:
		t.Error("a clear address was dialled")
	default:
	}
}

// testForward (F-61): links of others run through tor.
func testForward(t *testing.T, network tortest.Network) {
	a, b := open(t, network), open(t, network)
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = echo.Close() }()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	to, err := b.Serve("consensus", 26656, echo.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	local, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Forward(local, to); err != nil {
		t.Fatal(err)
	}
	if err := a.Forward(local, "127.0.0.1:80"); err == nil {
		t.Error("forwards to what is no onion service")
	}
	c, err := net.Dial("tcp", local.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, "through the onion"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("through the onion"))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "through the onion" {
		t.Errorf("%q came back, %v", got, err)
	}
}
