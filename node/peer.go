package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"souk/identity"
	"souk/store/sealed"
)

// PeerConfig is config.toml of a peer without a server: tables of a server's.
type PeerConfig struct {
	Admin   Admin         `toml:"admin"`
	Log     Log           `toml:"log"`
	Memory  Memory        `toml:"memory"`
	Network NetworkConfig `toml:"network"`
}

// ReadPeer reads the config of a peer strictly.
func ReadPeer(h Home) (PeerConfig, error) {
	d := DefaultConfig()
	c := PeerConfig{Admin: d.Admin, Log: d.Log, Memory: d.Memory, Network: d.Network}
	data, err := os.ReadFile(h.Config())
	if errors.Is(err, os.ErrNotExist) {
		return c, fmt.Errorf("%w: there is no peer in %s: make one with souk peer init", ErrConfig, h)
	}
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if err := parseTOML(data, &c); err != nil {
		return c, fmt.Errorf("%w, %w (a server's home is served by souk serve)", ErrConfig, err)
	}
	if !c.Network.on() {
		return c, fmt.Errorf("%w: network.transport is %s in %s", ErrConfig, netOff, h.Config())
	}
	_, err = ReadConfig(h.Config()) // which checks the tables
	return c, err
}

// text is the config file, with comments.
func (c *PeerConfig) text() []byte {
	return fmt.Appendf(nil, `# Configuration of a Souk peer. An unknown key is an error; a missing one has the default.

[admin]
# Where programs of yours reach the running peer, such as souk mail: a socket in this folder
# that only you may use, or a port of this machine, such as 127.0.0.1:8652, with a .cookie.
listen = %s

[log]
# debug, info, warn or error
level = %s
# text or json
format = %s
%s`, tomlString(c.Admin.Listen), tomlString(c.Log.Level), tomlString(c.Log.Format), c.Network.text())
}

// SamplePeer is the config file of a peer as souk peer init writes it where nothing is said.
func SamplePeer() []byte {
	c := newPeer(&PeerSetup{})
	return c.text()
}

// PeerSetup is what a peer is made of.
type PeerSetup struct {
	Tor    bool
	Listen []string // nil: the default
	Peers  []string // KEY@ADDRESS
	Local  bool     // look in the local network
	IRC    []string
	Prompt bool
	Full   bool
	Pass   sealed.Passphrase
	Work   int // of sealing; zero is the default
}

func newPeer(s *PeerSetup) PeerConfig {
	d := DefaultConfig()
	c := PeerConfig{Admin: d.Admin, Log: d.Log, Memory: d.Memory, Network: d.Network}
	c.Log.Level = "warn"
	c.Network.Transport = netLibp2p
	if s.Tor {
		c.Network.Transport = netTor
	}
	if s.Listen != nil {
		c.Network.Listen = s.Listen
	}
	c.Network.Find.Peers, c.Network.Find.Local, c.Network.Find.IRC = s.Peers, s.Local, s.IRC
	c.Network.Mail.Prompt, c.Network.Mail.Carry = s.Prompt, carryLight
	if s.Full {
		c.Network.Mail.Carry = carryFull
	}
	return c
}

// InitPeer makes the keys and the config of a peer without a server. It answers who it is.
func InitPeer(h Home, s *PeerSetup) (identity.PublicKey, error) {
	var none identity.PublicKey
	if _, err := os.Stat(h.Config()); err == nil {
		return none, fmt.Errorf("%s: there is a peer or a server in it already: choose another folder, or delete it", h)
	}
	c := newPeer(s)
	if err := c.Network.check(); err != nil {
		return none, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if err := os.MkdirAll(filepath.Join(string(h), "keys"), 0o700); err != nil {
		return none, fmt.Errorf("make home: %w", err)
	}
	key, err := h.ensureKey(RoleNetwork, s.Pass, s.Work)
	if err != nil {
		return none, err
	}
	defer key.Wipe()
	keys, err := h.ensureMailKeys(s.Pass, s.Work)
	if err != nil {
		return none, err
	}
	keys.Identity.Wipe()
	return key.Public(), replaceFile(h.Config(), c.text())
}

// Peer is a running peer without a server.
type Peer struct {
	lock    *os.File
	network *network
	admin   *adminPort
	ended   chan error
}

// OpenPeer starts the peer of a home.
func OpenPeer(h Home, o Options) (*Peer, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c, err := ReadPeer(h)
	if err != nil {
		return nil, err
	}
	p := &Peer{ended: make(chan error, 1)}
	if p.lock, err = h.lock(); err != nil {
		return nil, err
	}
	p.network, err = openNetwork(h, c.Network, netOptions{pass: o.Pass, work: o.Work, log: o.Log, ended: func(err error) {
		select {
		case p.ended <- err:
		default:
		}
	}})
	if err == nil {
		err = p.openAdmin(h, c.Admin, &o)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Peer) openAdmin(h Home, c Admin, o *Options) (err error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := p.network.register(registry); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	p.admin, err = openAdmin(h, c, mux, p.network.paths(), o.Log)
	return err
}

// Addresses are where others find it: KEY@ADDRESS.
func (p *Peer) Addresses() []string { return p.network.status().Addresses }

// Done answers when the peer cannot go on and wants to be closed, with the reason.
func (p *Peer) Done() <-chan error { return p.ended }

// Close stops it. It may be called on a half-opened one.
func (p *Peer) Close() error {
	return errors.Join(p.admin.close(), p.network.close(), p.lock.Close())
}
