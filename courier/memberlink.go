package courier

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"slices"
	"time"

	"souk/peernet"
	"souk/peernet/terms"
	"souk/transport"
)

// Protocols of membership (U-70).
const (
	protocolRing  = "/souk/ring/1"  // frames, each a message of peernet, one way
	protocolPing  = "/souk/ping/1"  // eight bytes and eight bytes back, at most sixteen times
	protocolTerms = "/souk/terms/1" // the dialler's terms, then the other's: a frame each
)

const (
	boxSize     = 64               // letters that wait for one peer
	boxIdle     = time.Minute      // after so long without a letter a stream is closed
	writeTime   = 10 * time.Second // for one letter
	flowRate    = 50               // messages a second of one peer, over all its streams
	flowBurst   = 500
	flowStreams = 4
	pingSize    = 8
	pingMost    = 16
)

// outbox has the letters that wait for one peer.
type outbox struct{ letters chan []byte }

// inflow is what one peer sends.
type inflow struct {
	streams int
	credit  float64
	at      time.Time
}

// post queues a letter. When too many wait it is dropped: nothing depends on it arriving.
func (m *Members) post(to transport.ID, letter []byte) {
	if m.ctx == nil || m.ctx.Err() != nil {
		return
	}
	box := m.boxes[to]
	if box == nil {
		box = &outbox{make(chan []byte, boxSize)}
		m.boxes[to] = box
		ctx := m.ctx
		m.running.Go(func() { m.deliver(ctx, to, box) })
	}
	select {
	case box.letters <- letter:
	default:
		m.counts.Unsent++
	}
}

// deliver sends letters over one stream as long as there are some.
func (m *Members) deliver(ctx context.Context, to transport.ID, box *outbox) {
	var s transport.Stream
	defer func() {
		if s != nil {
			_ = s.Close()
		}
	}()
	for {
		idle := time.NewTimer(boxIdle)
		select {
		case <-ctx.Done():
			idle.Stop()
			return
		case <-idle.C:
			m.mu.Lock()
			done := len(box.letters) == 0
			if done {
				delete(m.boxes, to)
			}
			m.mu.Unlock()
			if done {
				return
			}
			continue
		case letter := <-box.letters:
			idle.Stop()
			s = m.send(ctx, to, s, letter)
		}
	}
}

// send writes a letter, and returns the stream if it is good for another one.
func (m *Members) send(ctx context.Context, to transport.ID, s transport.Stream, letter []byte) transport.Stream {
	for range 2 { // an old stream may have ended meanwhile
		fresh := s == nil
		var err error
		if fresh {
			opening, cancel := context.WithTimeout(ctx, writeTime)
			s, err = m.Net.Stream(opening, to, protocolRing)
			cancel()
		}
		if err == nil {
			_ = s.SetDeadline(time.Now().Add(writeTime))
			if err = writeMemberFrame(s, letter); err == nil {
				m.count(func(c *MemberCounts) { c.Sent++ })
				return s
			}
			_ = s.Close()
		}
		if s = nil; fresh {
			break
		}
	}
	m.count(func(c *MemberCounts) { c.Unsent++ })
	return nil
}

func (m *Members) count(do func(*MemberCounts)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	do(&m.counts)
}

// admit takes one more stream of a peer, unless it is shut out or has too many.
func (m *Members) admit(from transport.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.streams[from]
	if f == nil {
		f = &inflow{credit: flowBurst, at: time.Now()}
	}
	if _, banned := m.bans[from]; banned || f.streams >= flowStreams || m.ctx == nil {
		m.counts.Refused++
		return false
	}
	f.streams++
	m.streams[from] = f
	m.know(from, nil)
	if c := m.known[from]; c != nil && c.failures > 0 { // it is back
		c.failures, c.next = 0, time.Time{}
	}
	return true
}

func (m *Members) dismiss(from transport.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.streams[from]; f != nil {
		if f.streams--; f.streams == 0 && f.credit >= flowBurst/2 {
			delete(m.streams, from)
		}
	}
}

// serveRing takes messages until the peer is done, or says what it should not.
func (m *Members) serveRing(from transport.ID, s transport.Stream) {
	defer func() { _ = s.Close() }()
	if !m.admit(from) {
		return
	}
	defer m.dismiss(from)
	for {
		_ = s.SetDeadline(time.Now().Add(2 * boxIdle))
		data, err := readMemberFrame(s, peernet.MaxMessage)
		if err != nil {
			return
		}
		msg, err := peernet.ParseMessage(data)
		if err != nil || !m.receive(from, &msg) {
			m.count(func(c *MemberCounts) { c.Refused++ })
			return
		}
	}
}

// receive gives a message to the seat, unless the peer sends too many.
func (m *Members) receive(from transport.ID, msg *peernet.Message) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	f := m.streams[from]
	if _, banned := m.bans[from]; banned || f == nil {
		return false
	}
	f.credit = min(flowBurst, f.credit+flowRate*now.Sub(f.at).Seconds())
	f.at = now
	if f.credit < 1 {
		return false
	}
	f.credit--
	m.counts.Received++
	m.carry(m.seat.Receive(millis(now), from, msg))
	return true
}

// servePing sends back what comes.
func (m *Members) servePing(from transport.ID, s transport.Stream) {
	defer func() { _ = s.Close() }()
	if !m.admit(from) {
		return
	}
	defer m.dismiss(from)
	_ = s.SetDeadline(time.Now().Add(2 * probeTime))
	var b [pingSize]byte
	for range pingMost {
		if _, err := io.ReadFull(s, b[:]); err != nil {
			return
		}
		if _, err := s.Write(b[:]); err != nil {
			return
		}
	}
}

// probe begins measurements that are due. The caller has the lock.
func (m *Members) probe(now time.Time, connected []transport.ID) {
	if m.probes >= maxProbes {
		return
	}
	near := m.seat.Neighbours()
	full := len(connected) >= 2*max(m.size(), 1)
	var due []transport.ID
	for p, c := range m.known {
		wanted := slices.Contains(connected, p) || slices.Contains(near, p)
		if _, banned := m.bans[p]; !banned && !c.busy && !now.Before(c.next) && (wanted || !full) {
			due = append(due, p)
		}
	}
	slices.SortFunc(due, func(a, b transport.ID) int {
		return cmp.Or(m.known[a].next.Compare(m.known[b].next), bytes.Compare(a[:], b[:]))
	})
	for _, p := range due[:min(len(due), maxProbes-m.probes)] {
		c := m.known[p]
		c.busy = true
		m.probes++
		addrs := slices.Clone(c.addrs)
		ctx := m.ctx
		m.running.Go(func() { m.measure(ctx, p, addrs) })
	}
}

func (m *Members) size() int {
	if m.MemberConfig.Ring.Size == 0 {
		return 12
	}
	return m.MemberConfig.Ring.Size
}

// measure takes five round trips of a peer, and its terms if they are due.
func (m *Members) measure(ctx context.Context, p transport.ID, addrs []transport.Addr) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	trips, err := m.roundTrips(ctx, p, addrs)
	m.mu.Lock()
	now := time.Now()
	m.probes--
	c := m.known[p]
	if c == nil {
		m.mu.Unlock()
		return
	}
	c.busy = false
	for _, t := range trips {
		m.counts.Measured++
		m.seat.Near().Measured(p, uint32(min(max(t.Microseconds(), 1), peernet.MaxRoundTrip+1)))
	}
	near := slices.Contains(m.seat.Neighbours(), p)
	if err != nil {
		m.unreached(p, c, now)
		m.mu.Unlock()
		return
	}
	c.failures = 0
	wait := measureFar
	if near {
		wait = measureNear
	}
	c.next = now.Add(wait + m.jitter(wait/4))
	ask := now.Sub(c.asked) >= termsEvery
	if ask {
		c.asked = now
	}
	m.mu.Unlock()
	if ask {
		m.askTerms(ctx, p)
	}
	if d, ok := m.Net.(transport.Dropper); ok && !near && len(m.Net.Peers()) > m.size() {
		d.Drop(p)
	}
}

// unreached plans the next try. After some failures a peer has no distance any more; it is
// tried now and then for as long as there is room to know of it.
func (m *Members) unreached(p transport.ID, c *candidate, now time.Time) {
	m.counts.Unreached++
	if c.failures++; c.failures >= retries {
		m.seat.Near().Forget(p)
	}
	wait := min(retryFirst<<min(c.failures-1, 10), retryMost)
	c.next = now.Add(wait + m.jitter(wait/4))
}

// jitter is a random time up to most.
func (m *Members) jitter(most time.Duration) time.Duration {
	var b [8]byte
	if _, err := m.random.Read(b[:]); err != nil {
		return 0
	}
	return time.Duration(binary.BigEndian.Uint64(b[:]) % uint64(max(most, 1)))
}

// roundTrips sends a few bytes and waits for them, five times.
func (m *Members) roundTrips(ctx context.Context, p transport.ID, addrs []transport.Addr) ([]time.Duration, error) {
	if err := m.Net.Dial(ctx, p, addrs...); err != nil {
		return nil, err
	}
	s, err := m.Net.Stream(ctx, p, protocolPing)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	if d, ok := ctx.Deadline(); ok {
		_ = s.SetDeadline(d)
	}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	var trips []time.Duration
	for range peernet.Measurements {
		var out, back [pingSize]byte
		if _, err := m.random.Read(out[:]); err != nil {
			return nil, err
		}
		start := time.Now()
		if _, err := s.Write(out[:]); err != nil {
			return trips, err
		}
		if _, err := io.ReadFull(s, back[:]); err != nil {
			return trips, err
		}
		if out != back {
			return trips, errors.New("another answer than was asked for")
		}
		trips = append(trips, time.Since(start))
	}
	return trips, nil
}

// askTerms gives this peer's terms and takes the other's.
func (m *Members) askTerms(ctx context.Context, p transport.ID) {
	s, err := m.Net.Stream(ctx, p, protocolTerms)
	if err != nil {
		return
	}
	defer func() { _ = s.Close() }()
	_ = s.SetDeadline(time.Now().Add(probeTime))
	if m.giveTerms(s) == nil {
		m.takeTerms(p, s)
	}
}

func (m *Members) serveTerms(from transport.ID, s transport.Stream) {
	defer func() { _ = s.Close() }()
	if !m.admit(from) {
		return
	}
	defer m.dismiss(from)
	_ = s.SetDeadline(time.Now().Add(probeTime))
	if m.takeTerms(from, s) {
		_ = m.giveTerms(s)
	}
}

// giveTerms writes this peer's terms; an empty frame for none.
func (m *Members) giveTerms(w io.Writer) error {
	var data []byte
	if t := m.ownTerms(); t != nil {
		data = t.Append(nil)
	}
	return writeMemberFrame(w, data)
}

// takeTerms reads the terms of the peer at the other end, and keeps newer ones.
func (m *Members) takeTerms(p transport.ID, r io.Reader) bool {
	data, err := readMemberFrame(r, terms.MaxSize)
	if err != nil {
		return false
	}
	if len(data) == 0 {
		return true
	}
	t, err := terms.Parse(data)
	if err != nil || t.Peer != p || t.Check(millis(time.Now())) != nil {
		m.count(func(c *MemberCounts) { c.Refused++ })
		m.Log.Info("terms refused", slog.String("peer", p.String()))
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.known[p]; c != nil && (c.terms == nil || c.terms.Made < t.Made) {
		c.terms = &t
	}
	return true
}

// writeMemberFrame writes the length of data in four bytes, and data.
func writeMemberFrame(w io.Writer, data []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...))
	return err
}

func readMemberFrame(r io.Reader, most int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if uint64(n) > uint64(most) {
		return nil, errors.New("a frame that is too long")
	}
	data := make([]byte, n)
	_, err := io.ReadFull(r, data)
	return data, err
}
