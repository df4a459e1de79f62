package libp2p_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/identity"
	"souk/transport"
	"souk/transport/libp2p"
)

// socket is a connection, from both ends.
func socket(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// together waits until two peers know of each other.
func together(t *testing.T, a, b *libp2p.Net) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !slices.Contains(a.Peers(), b.Self()) || !slices.Contains(b.Peers(), a.Self()); {
		if time.Now().After(deadline) {
			t.Fatal("they are not connected")
		}
		<-time.After(5 * time.Millisecond)
	}
}

// TestTake (F-52): a connection that others have opened is one like any other, to peers who
// can be dialled nowhere, in whichever order both get it.
func TestTake(t *testing.T) {
	a, b := open(t, libp2p.Config{Listen: []string{}}), open(t, libp2p.Config{Listen: []string{}})
	b.Handle("/test", func(_ transport.ID, s transport.Stream) {
		_, _ = io.Copy(s, s)
		_ = s.Close()
	})
	for range 2 { // and again after it has ended
		x, y := socket(t)
		var over sync.WaitGroup
		for n, c := range map[*libp2p.Net]net.Conn{a: x, b: y} {
			p := a.Self()
			if n == a {
				p = b.Self()
			}
			over.Go(func() {
				if err := n.Take(t.Context(), p, c); err != nil {
					t.Error(err)
				}
			})
		}
		over.Wait()
		together(t, a, b)
		s, err := a.Stream(t.Context(), b.Self(), "/test")
		if err != nil {
			t.Fatal(err)
		}
		long := bytes.Repeat([]byte("0123456789abcdef"), 10_000)
		over.Go(func() {
			_, _ = s.Write(long)
			_ = s.CloseWrite()
		})
		if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, long) {
			t.Errorf("%d of %d bytes came back: %v", len(got), len(long), err)
		}
		over.Wait()
		for _, n := range []*libp2p.Net{a, b} {
			if len(n.Addrs()) != 0 {
				t.Errorf("others are told %v", n.Addrs())
			}
		}
		a.Drop(b.Self())
		for deadline := time.Now().Add(15 * time.Second); len(a.Peers())+len(b.Peers()) > 0; <-time.After(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it does not end")
			}
		}
	}
}

// F-52: what is handed over is not believed, whoever begins.
func TestTakeFromAnImpostor(t *testing.T) {
	keys := []identity.PrivateKey{key(t), key(t), key(t)}
	slices.SortFunc(keys, func(a, b identity.PrivateKey) int {
		x, y := a.Public(), b.Public()
		return bytes.Compare(x[:], y[:])
	})
	for _, c := range []struct{ self, expected, other int }{{2, 0, 1}, {0, 1, 2}} {
		a, other := open(t, libp2p.Config{Key: keys[c.self]}), open(t, libp2p.Config{Key: keys[c.other]})
		x, y := socket(t)
		var over sync.WaitGroup
		over.Go(func() { _ = other.Take(t.Context(), a.Self(), y) })
		err := a.Take(t.Context(), keys[c.expected].Public(), x)
		over.Wait()
		if c.self == 0 { // it begins, so it knows
			if !errors.Is(err, transport.ErrUnreachable) || len(a.Peers()) != 0 {
				t.Errorf("an impostor is taken: %v", err)
			}
			continue
		}
		together(t, a, other)
		if slices.Contains(a.Peers(), keys[c.expected].Public()) {
			t.Error("an impostor is taken for the peer")
		}
	}
}

// F-52: an address of memory means nothing to others, and overlays and darknets, which hide
// where a peer is or that it is there, take no sockets.
func TestTakeRefused(t *testing.T) {
	a, b := open(t, libp2p.Config{}), open(t, libp2p.Config{})
	for _, addr := range []transport.Addr{"/memory/0", "/memory/1"} {
		if err := a.Dial(t.Context(), b.Self(), addr); !errors.Is(err, transport.ErrUnreachable) {
			t.Errorf("dial %s: %v", addr, err)
		}
	}
	dark := open(t, libp2p.Config{Darknet: &libp2p.Darknet{Secret: [32]byte{1}, Friends: []transport.ID{a.Self()}}})
	x, y := socket(t)
	defer func() { _ = y.Close() }()
	if err := dark.Take(t.Context(), a.Self(), x); !errors.Is(err, transport.ErrRefused) {
		t.Errorf("a darknet takes a socket: %v", err)
	}
	if n, err := y.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("it says something")
	}
	if err := a.Take(t.Context(), a.Self(), y); err == nil || !strings.Contains(err.Error(), "oneself") {
		t.Errorf("to oneself: %v", err)
	}
}
