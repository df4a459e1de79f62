// Package tor is a network of peers through onion services: transport/libp2p over the SOCKS
// and control ports of a tor that is configured elsewhere, as Debian's is. It owns the onion
// service of this peer, how it dials others', and forwarders for links that are not of peers.
//
// Nothing leaves the machine but through tor, and nobody is told an address but that of the
// onion service: no name is looked up, nothing is sent to the local network, no hash table is
// kept, and peers do not tell each other where they see one another (F-60). Floor 2.
package tor

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cretz/bine/control"
	"github.com/cretz/bine/torutil"
	onionkey "github.com/cretz/bine/torutil/ed25519"
	"golang.org/x/net/proxy"

	"souk/identity"
	"souk/transport"
	"souk/transport/intake"
	"souk/transport/libp2p"
)

// port is that of onion services of peers.
const port = 4001

// Config is what a peer is and where its tor is.
type Config struct {
	Key      identity.PrivateKey
	Socks    string // host:port of tor's SOCKS port; zero means 127.0.0.1:9050
	Control  string // host:port of its control port, or the path of its socket; zero means 127.0.0.1:9051
	Password string // of the control port; empty means its cookie, which this process must be able to read
	Limits   intake.Limits
	Darknet  *libp2p.Darknet
	Log      *slog.Logger
}

// Net is a peer behind an onion service.
type Net struct {
	*libp2p.Net
	config Config
	seed   [32]byte // of the keys of onion services
	ctx    context.Context
	cancel context.CancelFunc
	over   sync.WaitGroup

	mu      sync.Mutex
	control *control.Conn // onion services end with it
}

// Open starts a peer. Its onion service is the same whenever it is opened with the same key;
// others can reach it some seconds later.
func Open(ctx context.Context, c Config) (*Net, error) {
	if c.Socks == "" {
		c.Socks = "127.0.0.1:9050"
	}
	if c.Control == "" {
		c.Control = "127.0.0.1:9051"
	}
	n := &Net{config: c}
	seed := c.Key.Seed()
	derived, err := hkdf.Key(sha256.New, seed[:], nil, "souk/tor/onion/v1", len(n.seed))
	clear(seed[:])
	if err != nil {
		return nil, err
	}
	n.seed = [32]byte(derived)
	if n.control, err = dialControl(ctx, c); err != nil {
		return nil, fmt.Errorf("tor's control port %s: %w", c.Control, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, n.control.Close())
	}
	id, err := n.addOnion("peer", port, l.Addr().String())
	if err == nil {
		n.Net, err = libp2p.Open(libp2p.Config{
			Key: c.Key, Limits: c.Limits, Darknet: c.Darknet, Log: c.Log,
			Overlay: &libp2p.Overlay{Addr: fmt.Sprintf("/onion3/%s:%d", id, port), Listener: l, Dial: n.dialPeer},
		})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a peer behind an onion service: %w", err), l.Close(), n.control.Close())
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n, nil
}

func dialControl(ctx context.Context, c Config) (*control.Conn, error) {
	network := "tcp"
	if strings.HasPrefix(c.Control, "/") {
		network = "unix"
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, c.Control)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(controlTime))
	k := control.NewConn(textproto.NewConn(conn))
	if err := k.Authenticate(c.Password); err != nil {
		return nil, errors.Join(errors.New("it does not let us in"), conn.Close())
	}
	return k, conn.SetDeadline(time.Time{})
}

const controlTime = 10 * time.Second

// addOnion makes an onion service that is named for what it is for.
func (n *Net) addOnion(name string, port int, target string) (id string, err error) {
	seed, err := hkdf.Key(sha256.New, n.seed[:], nil, name, ed25519.SeedSize)
	if err != nil {
		return "", err
	}
	key := onionkey.FromCryptoPrivateKey(ed25519.NewKeyFromSeed(seed))
	n.mu.Lock()
	defer n.mu.Unlock()
	added, err := n.control.AddOnion(&control.AddOnionRequest{
		Key: &control.ED25519Key{KeyPair: key}, Flags: []string{"DiscardPK"},
		Ports: control.KeyVals(strconv.Itoa(port), target),
	})
	if err != nil {
		return "", fmt.Errorf("add an onion service: %w", err)
	}
	if added.ServiceID != torutil.OnionServiceIDFromV3PublicKey(key.PublicKey()) {
		return "", errors.New("tor made another onion service than it was asked for")
	}
	return added.ServiceID, nil
}

// dialPeer dials a multiaddr of an onion service. Each peer has circuits of its own.
func (n *Net) dialPeer(ctx context.Context, addr, peer string) (net.Conn, error) {
	where, ok := strings.CutPrefix(addr, "/onion3/")
	id, port, cut := strings.Cut(where, ":")
	if !ok || !cut {
		return nil, fmt.Errorf("%s is no address of an onion service", addr)
	}
	return n.dial(ctx, net.JoinHostPort(id+".onion", port), peer)
}

// A service that was made just now cannot be found yet, so it is tried again for a while.
const (
	dialAgain = 5 * time.Second
	dialPause = 300 * time.Millisecond
)

func (n *Net) dial(ctx context.Context, where, isolate string) (net.Conn, error) {
	d, err := proxy.SOCKS5("tcp", n.config.Socks, &proxy.Auth{User: isolate, Password: "souk"}, &net.Dialer{})
	if err != nil {
		return nil, err
	}
	dialer, ok := d.(proxy.ContextDialer)
	if !ok {
		return nil, errors.New("the dialer knows no context")
	}
	for begin := time.Now(); ; {
		c, err := dialer.DialContext(ctx, "tcp", where)
		if err == nil || ctx.Err() != nil || time.Since(begin) > dialAgain {
			return c, err
		}
		select {
		case <-time.After(dialPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Serve makes an onion service for something else than peers, such as the links of consensus,
// and tells its address, host:port. Tor passes on what comes to target, host:port on this
// machine. It is the same whenever it is made with the same name, and ends with Close.
func (n *Net) Serve(name string, port int, target string) (string, error) {
	id, err := n.addOnion("serve/"+name, port, target)
	if err != nil {
		return "", fmt.Errorf("serve %s: %w", name, err)
	}
	return net.JoinHostPort(id+".onion", strconv.Itoa(port)), nil
}

// Forward passes on what connects to a listener to an onion service, host:port, until the
// listener or the peer is closed: who cannot speak SOCKS dials the listener. A connection ends
// for both ways at once, as tor's do. Listen on this machine alone.
func (n *Net) Forward(l net.Listener, to string) error {
	host, _, err := net.SplitHostPort(to)
	if err != nil || !strings.HasSuffix(host, ".onion") {
		return fmt.Errorf("forward to %s: it is no onion service", to)
	}
	stop := context.AfterFunc(n.ctx, func() { _ = l.Close() })
	n.over.Go(func() {
		defer stop()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.over.Go(func() { n.carry(c, to) })
		}
	})
	return nil
}

// carry passes on one connection.
func (n *Net) carry(from net.Conn, where string) {
	defer func() { _ = from.Close() }()
	to, err := n.dial(n.ctx, where, where)
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	stop := context.AfterFunc(n.ctx, func() { _, _ = from.Close(), to.Close() })
	defer stop()
	var over sync.WaitGroup
	for _, way := range [][2]net.Conn{{to, from}, {from, to}} {
		over.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_, _ = to.Close(), from.Close() // tor has no half of a connection
		})
	}
	over.Wait()
}

// Close is transport.Net's.
func (n *Net) Close() error {
	n.cancel()
	err := n.Net.Close()
	n.over.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.control != nil {
		err = errors.Join(err, n.control.Close())
		n.control = nil
	}
	return err
}

var (
	_ transport.Net     = (*Net)(nil)
	_ transport.Located = (*Net)(nil)
	_ transport.Guard   = (*Net)(nil)
	_ transport.Dropper = (*Net)(nil)
)
