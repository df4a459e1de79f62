package forward_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"souk/internal/forward"
)

// echo answers every line with itself.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

type caller struct {
	t *testing.T
	net.Conn
	lines *bufio.Reader
}

func dial(t *testing.T, f *forward.Forwarder) *caller {
	t.Helper()
	c, err := net.Dial("tcp", f.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &caller{t, c, bufio.NewReader(c)}
}

func (c *caller) say(text string) {
	c.t.Helper()
	if _, err := c.Write([]byte(text + "\n")); err != nil {
		c.t.Fatal(err)
	}
}

func (c *caller) hear(text string) {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	if got, err := c.lines.ReadString('\n'); err != nil || got != text+"\n" {
		c.t.Fatalf("%q, %v; want %q", got, err, text)
	}
}

// silent wants nothing to arrive for a moment.
func (c *caller) silent() {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		c.t.Fatal(err)
	}
	if b, err := c.lines.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("%q, %v; want silence", b, err)
	}
}

// gone wants the connection to be closed.
func (c *caller) gone() {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	if b, err := c.lines.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("%q, %v; want the end", b, err)
	}
}

func open(t *testing.T, delay time.Duration) *forward.Forwarder {
	t.Helper()
	f, err := forward.Listen("127.0.0.1:0", echo(t), delay, delay/10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestDelay(t *testing.T) {
	f := open(t, 20*time.Millisecond)
	c := dial(t, f)
	begin := time.Now()
	for range 3 {
		c.say("hello")
	}
	for range 3 {
		c.hear("hello")
	}
	if took := time.Since(begin); took < 36*time.Millisecond {
		t.Errorf("there and back took %v", took)
	}
}

func TestCutHoldMend(t *testing.T) {
	f := open(t, 0)
	a := dial(t, f)
	a.say("1")
	a.hear("1")
	f.Hold(forward.All)
	a.say("2")
	a.silent()
	f.Mend(forward.All)
	a.hear("2")
	f.Cut(forward.All)
	a.gone()
	dial(t, f).gone()
	f.Mend(forward.All)
	b := dial(t, f)
	b.say("3")
	b.hear("3")
}

// A link can be silent in one direction only.
func TestOneWay(t *testing.T) {
	const request, answer = "request", "answer"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	f, err := forward.Listen("127.0.0.1:0", l.Addr().String(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	f.Source(func(net.Addr) int { return 0 })
	source := dial(t, f)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	target := &caller{t, c, bufio.NewReader(c)}
	for _, way := range []struct {
		hold        func(int)
		mute, clear *caller // who is not heard, and who is
	}{{f.HoldTo, source, target}, {f.HoldBack, target, source}} {
		way.hold(0)
		way.mute.say(request)
		way.clear.silent()
		way.clear.say(answer)
		way.mute.hear(answer)
		f.Mend(0)
		way.clear.hear(request)
	}
}

// A link can be bad while the others are good.
func TestSources(t *testing.T) {
	f := open(t, 0)
	var next atomic.Int64
	f.Source(func(net.Addr) int { return int(next.Load()) })
	join := func(source int) *caller {
		next.Store(int64(source))
		c := dial(t, f)
		c.say("hello")
		c.hear("hello")
		return c
	}
	a, b := join(0), join(1)
	f.Hold(0)
	a.say("held")
	a.silent()
	b.say("free")
	b.hear("free")
	f.Cut(0) // what was held is lost
	a.gone()
	b.say("still free")
	b.hear("still free")
	next.Store(0)
	dial(t, f).gone()
	next.Store(forward.Unknown)
	dial(t, f).gone() // it may be source 0
	f.Mend(0)
	join(0)
	join(forward.Unknown)
}

// Close ends connections that are held.
func TestClose(t *testing.T) {
	f := open(t, 0)
	a := dial(t, f)
	a.say("1")
	a.hear("1")
	f.Hold(forward.All)
	a.say("2")
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}
