package memnet

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"souk/transport"
)

// conn is a connection of two peers.
type conn struct {
	ends  [2]*Node
	since time.Duration

	mu      sync.Mutex // taken after the mu of nodes
	broken  bool
	streams map[*pipe]bool
}

func (c *conn) other(n *Node) *Node {
	if c.ends[0] == n {
		return c.ends[1]
	}
	return c.ends[0]
}

func (c *conn) gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

// add adds the two directions of a stream, unless the connection is gone.
func (c *conn) add(pipes ...*pipe) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		return false
	}
	for _, p := range pipes {
		c.streams[p] = true
	}
	return true
}

func (c *conn) drop(pipes ...*pipe) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range pipes {
		delete(c.streams, p)
	}
}

// cut ends the connection and its streams, for both ends at once.
func (c *conn) cut() {
	for i, n := range c.ends {
		n.mu.Lock()
		if other := c.ends[1-i].id; n.conns[other] == c {
			delete(n.conns, other)
			n.meter.Forget(other)
		}
		n.mu.Unlock()
	}
	c.mu.Lock()
	c.broken = true
	streams := c.streams
	c.streams = map[*pipe]bool{}
	c.mu.Unlock()
	for p := range streams {
		p.fail(fmt.Errorf("the connection is gone: %w", transport.ErrUnreachable))
	}
}

// How much of a stream is under way at most, and how much of it at once.
const (
	window = 256 << 10
	packet = 16 << 10
	resend = 200 * time.Millisecond // until a lost packet comes again
)

// pipe is one direction of a stream.
type pipe struct {
	from, to *Node

	mu       sync.Mutex
	changed  chan struct{} // closed and made anew when what follows changes
	arrived  []byte
	flying   int           // bytes sent that are not read
	latest   time.Duration // when the last packet that was sent arrives: none overtakes
	sent     bool          // CloseWrite was called
	ended    bool          // and has arrived
	deaf     bool          // the reader closed
	err      error
	deadline [2]time.Time // of the reader and of the writer
}

func newPipe(from, to *Node) *pipe {
	return &pipe{from: from, to: to, changed: make(chan struct{})}
}

// change wakes whoever waits; the caller holds mu.
func (p *pipe) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pipe) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		p.change()
	}
}

// wait waits until ready, which is called with mu held, or until the deadline of the reader
// (0) or the writer (1). It returns with mu held.
func (p *pipe) wait(who int, ready func() bool) error {
	p.mu.Lock()
	for {
		deadline := p.deadline[who]
		if !deadline.IsZero() && !time.Now().Before(deadline) {
			return os.ErrDeadlineExceeded
		}
		if ready() {
			return nil
		}
		changed := p.changed
		p.mu.Unlock()
		if deadline.IsZero() {
			<-changed
		} else {
			timer := time.NewTimer(time.Until(deadline))
			select {
			case <-changed:
			case <-timer.C:
			}
			timer.Stop()
		}
		p.mu.Lock()
	}
}

func (p *pipe) read(b []byte) (int, error) {
	err := p.wait(0, func() bool { return len(p.arrived) > 0 || p.ended || p.deaf || p.err != nil })
	defer p.mu.Unlock()
	switch {
	case err != nil:
		return 0, err
	case p.deaf:
		return 0, io.ErrClosedPipe
	case len(p.arrived) > 0:
		n := copy(b, p.arrived)
		p.arrived = p.arrived[n:]
		p.flying -= n
		p.change()
		return n, nil
	case p.err != nil:
		return 0, p.err
	}
	return 0, io.EOF
}

func (p *pipe) write(b []byte) (written int, err error) {
	for len(b) > 0 {
		err := p.wait(1, func() bool { return p.flying < window || p.sent || p.err != nil || p.deaf })
		switch {
		case err != nil:
		case p.sent:
			err = io.ErrClosedPipe
		case p.err != nil:
			err = p.err
		}
		if err != nil {
			p.mu.Unlock()
			return written, err
		}
		n := min(len(b), packet)
		if !p.deaf { // what nobody reads is lost
			p.flying += n
			data := append([]byte(nil), b[:n]...)
			p.send(func() {
				if !p.deaf {
					p.arrived = append(p.arrived, data...)
				}
			})
		}
		p.mu.Unlock()
		b, written = b[n:], written+n
	}
	return written, nil
}

// send lets something arrive at the reader, in order; the caller holds mu.
func (p *pipe) send(arrive func()) {
	p.from.mu.Lock()
	chance, link := p.from.chance(p.to.id), p.from.network.config.Link(p.from.id, p.to.id)
	took, _ := chance.delay(link)
	lost, rank := chance.draw()
	p.from.mu.Unlock()
	if lost < link.Loss {
		took += resend + 2*link.Delay
	}
	p.latest = max(p.latest+1, p.from.network.now()+took)
	p.from.network.plan(p.latest, rank, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		arrive()
		p.change()
	})
}

func (p *pipe) closeWrite() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sent || p.err != nil {
		return
	}
	p.sent = true
	p.change()
	p.send(func() { p.ended = true })
}

func (p *pipe) closeRead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf, p.arrived, p.flying = true, nil, 0
	p.change()
}

func (p *pipe) setDeadline(who int, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline[who] = t
	p.change()
}

// stream is one end of a stream.
type stream struct {
	conn    *conn
	in, out *pipe
}

func (s *stream) Read(b []byte) (int, error)  { return s.in.read(b) }
func (s *stream) Write(b []byte) (int, error) { return s.out.write(b) }

func (s *stream) CloseWrite() error {
	s.out.closeWrite()
	return nil
}

func (s *stream) Close() error {
	s.out.closeWrite()
	s.in.closeRead()
	if s.in.done() && s.out.done() {
		s.conn.drop(s.in, s.out)
	}
	return nil
}

// done tells whether both sides have closed this direction.
func (p *pipe) done() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.deaf && p.sent
}

func (s *stream) SetDeadline(t time.Time) error {
	s.in.setDeadline(0, t)
	s.out.setDeadline(1, t)
	return nil
}
