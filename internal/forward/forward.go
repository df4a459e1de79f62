// Package forward is a TCP forwarder that makes a good network bad: it delays,
// cuts and holds connections, all of them or those from one source.
// Demonstrations, measurements and tests put it between servers. Test and
// measurement support.
package forward

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Sources of connections. A source is what the function given to Source says, from
// 0 on.
const (
	// Unknown is the source of a connection that nobody can tell where it is from.
	// While any source is cut or held, none such is let in.
	Unknown = -1
	// All means every source where a method wants one.
	All = -2
)

// Forwarder passes connections on to a target.
type Forwarder struct {
	listener net.Listener
	target   string
	delay    time.Duration
	jitter   time.Duration

	mu     sync.Mutex // guards what follows
	source func(from net.Addr) int
	conns  map[net.Conn]int // open ones and their source
	cut    map[int]bool
	held   map[way]chan struct{} // closed when mended
	closed bool
	wg     sync.WaitGroup
}

// way is one direction of the connections from a source.
type way struct {
	source int
	back   bool // from the target to the source
}

// Listen forwards connections to target, each byte delayed by delay plus or
// minus up to jitter, in order, in both directions.
func Listen(address, target string, delay, jitter time.Duration) (*Forwarder, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	f := &Forwarder{
		listener: l, target: target, delay: delay, jitter: jitter,
		source: func(net.Addr) int { return Unknown }, conns: map[net.Conn]int{}, cut: map[int]bool{}, held: map[way]chan struct{}{},
	}
	f.wg.Go(f.accept)
	return f, nil
}

// Addr is where it listens.
func (f *Forwarder) Addr() string { return f.listener.Addr().String() }

// Source tells how to know where a connection is from. It counts for connections
// that come after it.
func (f *Forwarder) Source(source func(from net.Addr) int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.source = source
}

// Cut closes the connections from a source and refuses new ones; Mend ends that.
func (f *Forwarder) Cut(source int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut[source] = true
	f.release(source) // what was held is lost
	for c, from := range f.conns {
		if source == All || source == from {
			c.Close() //nolint:errcheck // that is the point
		}
	}
}

// Hold keeps connections from a source open and passes nothing on, in neither
// direction, as a silent loss of the network does; Mend ends that.
func (f *Forwarder) Hold(source int) {
	f.HoldTo(source)
	f.HoldBack(source)
}

// HoldTo is Hold for what a source sends to the target: what the target answers passes.
func (f *Forwarder) HoldTo(source int) { f.hold(way{source, false}) }

// HoldBack is Hold for what the target answers to a source.
func (f *Forwarder) HoldBack(source int) { f.hold(way{source, true}) }

func (f *Forwarder) hold(w way) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held[w] == nil {
		f.held[w] = make(chan struct{})
	}
}

// Mend lets connections from a source pass again. With All it ends everything that
// was ever cut or held.
func (f *Forwarder) Mend(source int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if source != All {
		delete(f.cut, source)
		f.release(source)
		return
	}
	clear(f.cut)
	for w := range f.held {
		f.release(w.source)
	}
}

// release ends a hold; under mu.
func (f *Forwarder) release(source int) {
	for _, back := range []bool{false, true} {
		w := way{source, back}
		if held := f.held[w]; held != nil {
			close(held)
			delete(f.held, w)
		}
	}
}

// Close ends everything.
func (f *Forwarder) Close() error {
	err := f.listener.Close()
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.Mend(All)
	f.Cut(All)
	f.wg.Wait()
	return err
}

func (f *Forwarder) accept() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.wg.Go(func() {
			f.mu.Lock()
			source := f.source
			f.mu.Unlock()
			from := source(c.RemoteAddr())
			if !f.keep(c, from) {
				c.Close() //nolint:errcheck // refused
				return
			}
			f.serve(c, from)
		})
	}
}

func (f *Forwarder) keep(c net.Conn, from int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.cut[All] || f.cut[from] || from == Unknown && len(f.cut)+len(f.held) > 0 {
		return false
	}
	f.conns[c] = from
	return true
}

func (f *Forwarder) drop(c net.Conn) {
	f.mu.Lock()
	delete(f.conns, c)
	f.mu.Unlock()
	c.Close() //nolint:errcheck // done with
}

func (f *Forwarder) serve(c net.Conn, from int) {
	defer f.drop(c)
	t, err := net.Dial("tcp", f.target)
	if err != nil {
		return
	}
	if !f.keep(t, from) {
		t.Close() //nolint:errcheck // refused
		return
	}
	defer f.drop(t)
	var wg sync.WaitGroup
	wg.Go(func() { f.pass(t, c, way{from, false}) })
	wg.Go(func() { f.pass(c, t, way{from, true}) })
	wg.Wait()
}

// piece is bytes on their way.
type piece struct {
	data []byte
	due  time.Time
}

// pass copies from one connection to the other, late.
func (f *Forwarder) pass(to, from net.Conn, w way) {
	way := make(chan piece, 4096)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer to.Close() //nolint:errcheck // nothing more will come
		for p := range way {
			time.Sleep(time.Until(p.due))
			f.wait(w)
			if _, err := to.Write(p.data); err != nil {
				from.Close() //nolint:errcheck // ends the reader
				for range way {
				}
				return
			}
		}
		f.wait(w) // an end is held like everything else
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
				f.wait(w)
				to.Close() //nolint:errcheck // broken
			}
			break
		}
	}
	close(way)
	wg.Wait()
}

// wait returns when nothing that goes this way is held.
func (f *Forwarder) wait(w way) {
	for {
		f.mu.Lock()
		held := f.held[way{All, w.back}]
		if held == nil {
			held = f.held[w]
		}
		f.mu.Unlock()
		if held == nil {
			return
		}
		<-held
	}
}
