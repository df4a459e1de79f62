package libp2p_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"souk/identity"
	"souk/transport"
	"souk/transport/libp2p"
	"souk/transport/transporttest"
)

// friends are so many peers of a darknet.
func friends(t *testing.T, count int) ([]*libp2p.Net, libp2p.Darknet) {
	t.Helper()
	var d libp2p.Darknet
	_, _ = rand.Read(d.Secret[:])
	var keys []identity.PrivateKey
	for range count {
		k := key(t)
		keys, d.Friends = append(keys, k), append(d.Friends, k.Public())
	}
	var nets []*libp2p.Net
	for _, k := range keys {
		nets = append(nets, open(t, libp2p.Config{Key: k, Darknet: &d}))
	}
	return nets, d
}

// TestDarknetConformance: among friends a darknet is a network like any other.
func TestDarknetConformance(t *testing.T) {
	var d libp2p.Darknet
	var keys []identity.PrivateKey
	for range 80 {
		k := key(t)
		keys, d.Friends = append(keys, k), append(d.Friends, k.Public())
	}
	next := func() identity.PrivateKey {
		k := keys[0]
		keys = keys[1:]
		return k
	}
	transporttest.Run(t, transporttest.World{
		Open: func(t *testing.T) transporttest.Net {
			t.Helper()
			return open(t, libp2p.Config{Key: next(), Darknet: &d})
		},
		Absent: func(*testing.T) transport.ID { return next().Public() },
	})
}

// port is where a peer listens, for who has no libp2p.
func port(t *testing.T, n *libp2p.Net) string {
	t.Helper()
	parts := strings.Split(string(n.Addrs()[0]), "/")
	return net.JoinHostPort(parts[2], parts[4])
}

// TestStrangerGetsNoByte (F-40): whatever is sent to a darknet's port by one who does not know
// the key, even the bytes that a friend sent before, nothing comes back.
func TestStrangerGetsNoByte(t *testing.T) {
	nets, d := friends(t, 2)
	heard := record(t, nets[1], nets[0])
	other := open(t, libp2p.Config{Darknet: &libp2p.Darknet{Secret: [32]byte{1}, Friends: []transport.ID{nets[0].Self()}}})
	for name, words := range map[string]string{
		"nothing":     "",
		"HTTP":        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"multistream": "\x13/multistream/1.0.0\n\x07/noise\n" + strings.Repeat(" ", 64),
		"TLS":         "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 512),
		"a friend's":  heard,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := net.Dial("tcp", port(t, nets[0]))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if _, err := io.WriteString(c, words); err != nil {
				t.Fatal(err)
			}
			_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
			got, err := io.ReadAll(c)
			if len(got) != 0 {
				t.Errorf("%d bytes came back: %q, %v", len(got), got, err)
			}
		})
	}
	// One who speaks libp2p, with another key, does not get in, and one who has the key but is
	// no friend neither.
	for _, n := range []*libp2p.Net{other, open(t, libp2p.Config{Darknet: &d})} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := n.Dial(ctx, nets[0].Self(), nets[0].Addrs()...)
		cancel()
		if err == nil {
			t.Error("a stranger dialled a darknet")
		}
		// Who has the key has proven who he is before he was cut.
		deadline := time.Now().Add(5 * time.Second)
		for len(n.Peers()) > 0 || slices.Contains(nets[0].Peers(), n.Self()) {
			if time.Now().After(deadline) {
				t.Fatal("a stranger is in")
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// record is what a friend says first, as somebody between them hears it.
func record(t *testing.T, from, to *libp2p.Net) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	heard := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			heard <- ""
			return
		}
		defer func() { _ = c.Close() }()
		first := make([]byte, 44)
		_, _ = io.ReadFull(c, first)
		onward, err := net.Dial("tcp", port(t, to))
		if err == nil {
			_, _ = onward.Write(first)
			_, _ = io.ReadFull(onward, make([]byte, 1)) // the port has answered this
			_ = onward.Close()
		}
		heard <- string(first)
	}()
	addr, _ := strings.CutPrefix(l.Addr().String(), "127.0.0.1:")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_ = from.Dial(ctx, to.Self(), transport.Addr("/ip4/127.0.0.1/tcp/"+addr))
	return <-heard
}

// TestFriendIsIn: a friend is in within a second, while strangers knock.
func TestFriendIsIn(t *testing.T) {
	nets, _ := friends(t, 2)
	for range 40 {
		c, err := net.Dial("tcp", port(t, nets[0]))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
	}
	begin := time.Now()
	if err := nets[1].Dial(t.Context(), nets[0].Self(), nets[0].Addrs()...); err != nil {
		t.Fatal(err)
	}
	nets[0].Handle("in", func(_ transport.ID, s transport.Stream) { _ = s.Close() })
	s, err := nets[1].Stream(t.Context(), nets[0].Self(), "in")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("a friend was in after %v", took)
	}
}
