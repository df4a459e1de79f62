// Package node assembles a server: it reads the home, opens the adapters (store,
// consensus, HTTP), starts what runs, and stops it in reverse. It is the only
// package that knows adapters, and what it decides is only who gets what.
//
// Where to look: the home and its keys in home.go and keys.go, config.toml in
// config.go, one virtual server at work in virtual.go, what keeps it going in
// watch.go, its banks in keeper.go and their chains in chains.go, founding in found.go,
// what HTTP sees of a replica in glue.go, what the operator reaches of a running server
// in admin.go, levels.go and reload.go. Its part in the network of peers is network.go: how
// it is configured in netconfig.go, asked in netadmin.go and mailadmin.go, looked at in
// netcheck.go, counted in netmetrics.go, links of consensus through tor in torlinks.go; a
// peer without a server in peer.go.
//
// Floor 5.
package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"souk/api"
	"souk/identity"
	"souk/replica"
	"souk/store/sealed"
	"souk/web"
	"souk/web/ui"
)

// Options are what a server is started with, besides its home.
type Options struct {
	Pass sealed.Passphrase // opens the keys
	Log  *slog.Logger      // nil: nothing is logged
	// Levels make the loggers of subsystems, in place of Log; nil: all log to Log.
	Levels *Levels
	// Software is this binary's version.
	Software string
	// Work is the work factor of sealing keys that are made; zero is the default.
	Work int
}

// Node is a running server.
type Node struct {
	home     Home
	lock     *os.File // the home's folder
	config   Config
	opts     Options
	server   identity.PrivateKey // signs for the running server; the operator's key is not needed
	pool     *replica.Pool
	stores   *stores
	chains   *chains
	web      *web.Server
	listener net.Listener
	virtual  []*virtual
	network  *network
	admin    *adminPort // nil: there is none
	stop     context.CancelFunc
	running  sync.WaitGroup
	ended    chan error // holds the first reason to end

	certificate atomic.Pointer[tls.Certificate] // that clients are shown; nil without TLS
	reload      sync.Mutex                      // one at a time
}

// log is the logger of a subsystem.
func (n *Node) log(subsystem string) *slog.Logger {
	if n.opts.Levels != nil {
		return n.opts.Levels.Logger(subsystem)
	}
	return n.opts.Log
}

// Open starts the server of a home: it returns when HTTP listens and every
// virtual server has begun to work or to catch up.
func Open(h Home, opts Options) (*Node, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	c, err := ReadConfig(h.Config())
	if err != nil {
		return nil, err
	}
	n := &Node{home: h, config: c, opts: opts, ended: make(chan error, 1)}
	if n.lock, err = h.lock(); err != nil {
		return nil, err
	}
	if err := n.open(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Node) open() (err error) {
	if n.server, err = n.home.Key(RoleServer, n.opts.Pass); err != nil {
		return err
	}
	n.pool = replica.NewPool(0, 0)
	n.stores = newStores()
	n.chains = newChains(n.home, n.config.Chains, n.log(logChain))
	registry := prometheus.NewRegistry()
	tlsConfig, err := n.tls()
	if err != nil {
		return err
	}
	var page web.Page
	if n.config.HTTP.Page {
		if page, err = ui.New(); err != nil {
			return err
		}
	}
	proxies, err := n.config.HTTP.proxies()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	n.web = web.New(web.Config{
		Hosts: n.config.HTTP.Hosts, Origins: n.config.HTTP.Origins, Page: page, TLS: tlsConfig, Plain: n.config.HTTP.Plain, Conns: n.config.HTTP.Conns, Proxies: proxies,
		Metrics: metrics, Software: n.opts.Software, Log: n.log(logWeb), Network: func() api.Network { return n.network.offered() },
	})
	registry.MustRegister(n.web.Collectors()...)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n.listener, err = net.Listen("tcp", n.config.HTTP.Listen)
	if err != nil {
		return fmt.Errorf("listen for clients: %w (change http.listen in %s)", err, n.home.Config())
	}
	if n.network, err = openNetwork(n.home, n.config.Network, netOptions{
		pass: n.opts.Pass, work: n.opts.Work, shared: true, log: n.log(logNetwork), ended: func(error) {},
	}); err != nil {
		return err
	}
	if err := n.network.register(registry); err != nil {
		return err
	}
	if n.admin, err = openAdmin(n.home, n.config.Admin, n.adminPaths(metrics), n.network.paths(), n.log(logNode)); err != nil {
		return err
	}
	for i := range n.config.Virtual {
		v, err := n.newVirtual(&n.config.Virtual[i])
		if err != nil {
			return err
		}
		n.virtual = append(n.virtual, v)
		if err := registerMetrics(registry, v); err != nil {
			return err
		}
		if err := registerArchive(registry, v); err != nil {
			return err
		}
		if err := v.start(); err != nil {
			return fmt.Errorf("virtual server %x: %w", v.id[:8], err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	for _, v := range n.virtual {
		n.running.Go(func() { v.watch(ctx) })
	}
	n.running.Go(func() { n.end(n.web.Serve(n.listener)) })
	return nil
}

func (n *Node) tls() (*tls.Config, error) {
	if n.config.HTTP.TLSCert == "" {
		return nil, nil //nolint:nilnil // no TLS is a configuration
	}
	cert, err := n.home.certificate(&n.config.HTTP)
	if err != nil {
		return nil, err
	}
	n.certificate.Store(cert)
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return n.certificate.Load(), nil },
		MinVersion:     tls.VersionTLS13,
	}, nil
}

// links are how consensus goes through tor; nil if it does not.
func (n *Node) links() *torLinks {
	if n.network == nil {
		return nil
	}
	return n.network.links
}

// Addr is where HTTP listens.
func (n *Node) Addr() string { return n.listener.Addr().String() }

// Alive tells whether all that watches over virtual servers has done so lately. What has
// not for minutes hangs, and only a new process helps.
func (n *Node) Alive(lately time.Duration) bool {
	oldest := time.Now().Add(-lately).UnixMilli()
	for _, v := range n.virtual {
		if at := v.looked.Load(); at != 0 && at < oldest {
			return false
		}
	}
	return true
}

// Done answers when the server cannot go on and wants to be closed, with the
// reason: HTTP has ended by itself, or the disk has failed the only virtual server.
func (n *Node) Done() <-chan error { return n.ended }

// end tells of a reason to end, if it is the first.
func (n *Node) end(reason error) {
	select {
	case n.ended <- reason:
	default:
	}
}

// Close stops the server: first it takes no more requests, then the virtual
// servers end at a block's end. It may be called on a half-opened node.
func (n *Node) Close() error {
	var errs []error
	if n.stop != nil {
		n.stop()
	}
	if n.web != nil && n.stop != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		errs = append(errs, n.web.Shutdown(ctx))
		cancel()
	} else if n.listener != nil {
		errs = append(errs, n.listener.Close())
	}
	errs = append(errs, n.admin.close())
	n.running.Wait()
	for _, v := range n.virtual {
		errs = append(errs, v.close())
	}
	errs = append(errs, n.network.close())
	if n.chains != nil {
		errs = append(errs, n.chains.close())
	}
	if n.pool != nil {
		n.pool.Close()
	}
	if n.stores != nil {
		n.stores.close()
	}
	wipe(n.server)
	errs = append(errs, n.lock.Close())
	return errors.Join(errs...)
}

// wipe overwrites keys that were opened.
func wipe(keys ...identity.PrivateKey) {
	for _, k := range keys {
		if !k.IsZero() {
			k.Wipe()
		}
	}
}

// Levels makes the levels that a config asks for.
func (l Log) Levels(w io.Writer) (*Levels, error) { return NewLevels(w, l.Format, l.Level) }
