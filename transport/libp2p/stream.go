package libp2p

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/multiformats/go-multistream"

	"souk/transport"
)

// stream is one of libp2p's, with the errors of the port.
type stream struct{ network.Stream }

func (s stream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	return n, timeout(err)
}

func (s stream) Write(b []byte) (int, error) {
	n, err := s.Stream.Write(b)
	return n, timeout(err)
}

// timeout makes the deadlines of all muxers one.
func timeout(err error) error {
	var late net.Error
	if errors.As(err, &late) && late.Timeout() && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: %w", os.ErrDeadlineExceeded, err)
	}
	return err
}

// Handle is transport.Net's.
func (n *Net) Handle(name string, h func(transport.ID, transport.Stream)) {
	if checkName(name) != nil || n.closed.Load() {
		return
	}
	if h == nil {
		n.host.RemoveStreamHandler(protocol.ID(name))
		return
	}
	n.host.SetStreamHandler(protocol.ID(name), func(s network.Stream) {
		from, ok := idOf(s.Conn().RemotePeer())
		if !ok {
			_ = s.Reset()
			return
		}
		h(from, stream{s})
	})
}

// Stream is transport.Net's.
func (n *Net) Stream(ctx context.Context, p transport.ID, name string) (transport.Stream, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := n.Dial(ctx, p); err != nil {
		return nil, err
	}
	id, err := peerID(p)
	if err != nil {
		return nil, err
	}
	s, err := n.host.NewStream(network.WithNoDial(ctx, "it was dialled"), id, protocol.ID(name))
	if err == nil {
		return stream{s}, nil
	}
	var unknown multistream.ErrNotSupported[protocol.ID]
	switch {
	case errors.As(err, &unknown):
		err = transport.ErrRefused
	case ctx.Err() != nil:
		err = ctx.Err()
	default:
		err = errors.Join(transport.ErrUnreachable, err)
	}
	return nil, fmt.Errorf("stream %s to %s: %w", name, p, err)
}

// A round trip is the least of the last so many, measured again so often (F-13).
const (
	pings     = 5
	pingEvery = 15 * time.Second
)

// rounds are the round trips to neighbours.
type rounds struct {
	mu    sync.Mutex
	last  map[transport.ID][]time.Duration // of neighbours, the last pings ones
	stop  map[transport.ID]context.CancelFunc
	ended bool
}

func newRounds() *rounds {
	return &rounds{last: map[transport.ID][]time.Duration{}, stop: map[transport.ID]context.CancelFunc{}}
}

// end lets none begin.
func (r *rounds) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

func (r *rounds) least(p transport.ID) (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.last[p]) == 0 {
		return 0, false
	}
	return slices.Min(r.last[p]), true
}

func (r *rounds) add(p transport.ID, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.stop[p]; !ok {
		return // it is gone
	}
	last := append(r.last[p], took)
	r.last[p] = last[max(0, len(last)-pings):]
}

// connected is told of a new connection, and must not wait.
func (n *Net) connected(_ network.Network, c network.Conn) {
	p, ok := idOf(c.RemotePeer())
	if !ok {
		return
	}
	n.rounds.mu.Lock()
	defer n.rounds.mu.Unlock()
	if _, ok := n.rounds.stop[p]; ok || n.rounds.ended {
		return
	}
	ctx, stop := context.WithCancel(n.ctx) //nolint:gosec // disconnected calls it
	n.rounds.stop[p] = stop
	n.over.Go(func() { n.measure(ctx, p, c.RemotePeer()) })
}

// disconnected is told of a connection that is gone.
func (n *Net) disconnected(_ network.Network, c network.Conn) {
	p, ok := idOf(c.RemotePeer())
	if !ok || n.host.Network().Connectedness(c.RemotePeer()) == network.Connected {
		return
	}
	n.rounds.mu.Lock()
	if stop := n.rounds.stop[p]; stop != nil {
		stop()
	}
	delete(n.rounds.stop, p)
	delete(n.rounds.last, p)
	n.rounds.mu.Unlock()
	n.meter.Forget(p)
}

// measure measures round trips until the peer is gone: as many as are kept, one after the
// other, and then one now and then.
func (n *Net) measure(ctx context.Context, p transport.ID, id peer.ID) {
	for count := pings; ; count = 1 {
		n.ping(ctx, p, id, count)
		select {
		case <-time.After(pingEvery):
		case <-ctx.Done():
			return
		}
	}
}

func (n *Net) ping(ctx context.Context, p transport.ID, id peer.ID, count int) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "it is connected"), directTimeout)
	defer cancel()
	results := ping.Ping(ctx, n.host, id)
	for range count {
		r, ok := <-results
		if !ok || r.Error != nil {
			return
		}
		n.rounds.add(p, r.RTT)
	}
}
