// Package forward is a TCP forwarder that makes a good network bad: it delays,
// cuts and holds connections. Demonstrations, measurements and tests put it
// between servers. Test and measurement support.
package forward

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Forwarder passes connections on to a target.
type Forwarder struct {
	listener net.Listener
	target   string
	delay    time.Duration
	jitter   time.Duration

	mu     sync.Mutex // guards what follows
	conns  map[net.Conn]bool
	cut    bool // refuse and close
	held   chan struct{}
	closed bool
	wg     sync.WaitGroup
}

// Listen forwards connections to target, each byte delayed by delay plus or
// minus up to jitter, in order, in both directions.
func Listen(address, target string, delay, jitter time.Duration) (*Forwarder, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	f := &Forwarder{listener: l, target: target, delay: delay, jitter: jitter, conns: map[net.Conn]bool{}}
	f.wg.Go(f.accept)
	return f, nil
}

// Addr is where it listens.
func (f *Forwarder) Addr() string { return f.listener.Addr().String() }

// Cut closes all connections and refuses new ones; Mend ends that.
func (f *Forwarder) Cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = true
	for c := range f.conns {
		c.Close() //nolint:errcheck,gosec // that is the point
	}
}

// Mend lets connections pass again.
func (f *Forwarder) Mend() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = false
	if f.held != nil {
		close(f.held)
		f.held = nil
	}
}

// Hold keeps connections open and passes nothing on, as a silent loss of the
// network does; Mend ends that.
func (f *Forwarder) Hold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held == nil {
		f.held = make(chan struct{})
	}
}

// Close ends everything.
func (f *Forwarder) Close() error {
	err := f.listener.Close()
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.Cut()
	f.Mend()
	f.wg.Wait()
	return err
}

func (f *Forwarder) accept() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return
		}
		if !f.keep(c) {
			c.Close() //nolint:errcheck,gosec // refused
			continue
		}
		f.wg.Go(func() { f.serve(c) })
	}
}

func (f *Forwarder) keep(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cut || f.closed {
		return false
	}
	f.conns[c] = true
	return true
}

func (f *Forwarder) drop(c net.Conn) {
	f.mu.Lock()
	delete(f.conns, c)
	f.mu.Unlock()
	c.Close() //nolint:errcheck,gosec // done with
}

func (f *Forwarder) serve(c net.Conn) {
	defer f.drop(c)
	t, err := net.Dial("tcp", f.target)
	if err != nil {
		return
	}
	if !f.keep(t) {
		t.Close() //nolint:errcheck,gosec // refused
		return
	}
	defer f.drop(t)
	var wg sync.WaitGroup
	wg.Go(func() { f.pass(t, c) })
	wg.Go(func() { f.pass(c, t) })
	wg.Wait()
}

// piece is bytes on their way.
type piece struct {
	data []byte
	due  time.Time
}

// pass copies from one connection to the other, late.
func (f *Forwarder) pass(to, from net.Conn) {
	way := make(chan piece, 4096)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer to.Close() //nolint:errcheck // nothing more will come
		for p := range way {
			time.Sleep(time.Until(p.due))
			f.wait()
			if _, err := to.Write(p.data); err != nil {
				from.Close()    //nolint:errcheck,gosec // ends the reader
				for range way { //nolint:revive // let the reader end
				}
				return
			}
		}
	})
	buf := make([]byte, 64<<10)
	last := time.Time{}
	for {
		n, err := from.Read(buf)
		if n > 0 {
			due := time.Now().Add(f.delay)
			if f.jitter > 0 {
				due = due.Add(time.Duration(rand.Int64N(int64(2*f.jitter))) - f.jitter) //nolint:gosec // no secret
			}
			if due.Before(last) { // TCP keeps the order
				due = last
			}
			last = due
			way <- piece{append([]byte(nil), buf[:n]...), due}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				to.Close() //nolint:errcheck,gosec // broken
			}
			break
		}
	}
	close(way)
	wg.Wait()
}

// wait returns when nothing is held.
func (f *Forwarder) wait() {
	f.mu.Lock()
	held := f.held
	f.mu.Unlock()
	if held != nil {
		<-held
	}
}
