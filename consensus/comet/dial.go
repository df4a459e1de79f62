package comet

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cometbft/cometbft/p2p"
)

const (
	dialEvery = 100 * time.Millisecond
	dialFirst = 250 * time.Millisecond
	dialMost  = 10 * time.Second
	// yieldLAN and yieldWAN are how long the server with the greater id leaves
	// dialing to the other, so that two servers do not connect twice and drop both.
	yieldLAN = 300 * time.Millisecond
	yieldWAN = 2 * time.Second
)

// dialer keeps this server connected with the servers it is told of. The
// library's own redialing begins after five to eight seconds.
type dialer struct {
	sw    *p2p.Switch
	own   string
	yield time.Duration

	mu    sync.Mutex
	peers map[p2p.ID]*dialed
}

type dialed struct {
	address string
	next    time.Time
	wait    time.Duration
	busy    bool
	up      bool
}

func newDialer(sw *p2p.Switch, own string, profile Profile, peers []string) *dialer {
	d := &dialer{sw: sw, own: own, yield: yieldLAN, peers: make(map[p2p.ID]*dialed)}
	if profile == WAN {
		d.yield = yieldWAN
	}
	_ = d.set(peers) // Config.check has seen them
	return d
}

// peerID returns the id in nodeid@host:port.
func peerID(address string) (p2p.ID, error) {
	id, host, ok := strings.Cut(address, "@")
	if _, _, err := net.SplitHostPort(host); !ok || err != nil || len(id) != 2*p2p.IDByteLength || strings.Trim(id, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%w: peer %q is not nodeid@host:port", ErrConfig, address)
	}
	return p2p.ID(id), nil
}

func (d *dialer) set(peers []string) error {
	now := make(map[p2p.ID]string)
	for _, address := range peers {
		id, err := peerID(address)
		if err != nil {
			return err
		}
		if string(id) != d.own {
			now[id] = address
		}
	}
	d.mu.Lock()
	for id := range d.peers {
		if _, ok := now[id]; !ok {
			delete(d.peers, id)
		}
	}
	for id, address := range now {
		if p := d.peers[id]; p == nil || p.address != address {
			d.peers[id] = &dialed{address: address, next: d.first(id)}
		}
	}
	d.mu.Unlock()
	for _, p := range d.sw.Peers().Copy() {
		if _, ok := now[p.ID()]; !ok {
			d.sw.StopPeerGracefully(p)
		}
	}
	return nil
}

func (d *dialer) first(id p2p.ID) time.Time {
	if d.own > string(id) {
		return time.Now().Add(d.yield)
	}
	return time.Now()
}

// member tells whether a server is one of those told of.
func (d *dialer) member(id p2p.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.peers[id] != nil
}

// all returns the ids of the servers told of.
func (d *dialer) all() []p2p.ID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.peers))
}

func (d *dialer) run(ctx context.Context) {
	tick := time.NewTicker(dialEvery)
	defer tick.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		d.mu.Lock()
		for id, p := range d.peers {
			up := d.sw.Peers().Has(id)
			if p.up && !up {
				p.next, p.wait = d.first(id), 0
			}
			p.up = up
			if up || p.busy || time.Now().Before(p.next) {
				continue
			}
			p.busy = true
			wg.Go(func() { d.dial(p) })
		}
		d.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *dialer) dial(p *dialed) {
	address, err := p2p.NewNetAddressString(p.address)
	if err == nil {
		err = d.sw.DialPeerWithAddress(address)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p.busy = false
	if err == nil {
		p.wait = 0
		return
	}
	p.wait = min(dialMost, max(dialFirst, 2*p.wait))
	p.next = time.Now().Add(p.wait/2 + rand.N(p.wait)) //nolint:gosec // spreads dialing in time, no secret
}
