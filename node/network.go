package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"souk/api"
	"souk/courier"
	"souk/identity"
	"souk/mail"
	"souk/peernet"
	"souk/store"
	"souk/store/pebble"
	"souk/store/sealed"
	"souk/transport"
	"souk/transport/intake"
	"souk/transport/irc"
	"souk/transport/libp2p"
	"souk/transport/tor"
)

// What of a home belongs to the network of peers.
const (
	// RoleNetwork is the role of the key that is this peer.
	RoleNetwork = "network"
	mailKeys    = "mail" // the file of a mailbox's keys, beside those of roles
	netTable    = 4 << 20
	// torPatience is how long a tor may take to let us in.
	torPatience = 20 * time.Second
	// meeting keeps this network apart from others in the local one.
	meeting = "souk"
)

// net is the folder of what a peer keeps.
func (h Home) net(part string) string { return filepath.Join(string(h), "net", part) }

// network is a peer at work: a transport, and what runs over it.
type network struct {
	home   Home
	config NetworkConfig
	log    *slog.Logger

	transport transport.Net
	located   transport.Located
	tor       *tor.Net // nil unless it is the transport
	links     *torLinks
	stores    []store.Store
	members   *courier.Members
	carrier   *courier.Carrier // nil: none is carried
	box       *courier.Mailbox // nil: there is none
	seekers   []*seeker
	keys      []identity.PrivateKey
	size      int

	stop    context.CancelFunc
	running sync.WaitGroup
	ended   func(error)
}

// netOptions are what a peer is opened with besides its configuration.
type netOptions struct {
	pass   sealed.Passphrase
	work   int  // of sealing new keys
	shared bool // the machine does other things, too
	log    *slog.Logger
	ended  func(error) // is told when the peer cannot go on
}

// openNetwork starts the peer of a home; nil if its configuration switches it off.
func openNetwork(h Home, c NetworkConfig, o netOptions) (*network, error) {
	if !c.on() {
		return nil, nil //nolint:nilnil // off is a configuration
	}
	n := &network{home: h, config: c, log: o.log, ended: o.ended}
	if err := n.open(&o); err != nil {
		return nil, errors.Join(fmt.Errorf("network: %w", err), n.close())
	}
	return n, nil
}

func (n *network) open(o *netOptions) (err error) {
	if n.size, err = n.config.size(o.shared); err != nil {
		return err
	}
	key, err := n.home.ensureKey(RoleNetwork, o.pass, o.work)
	if err != nil {
		return err
	}
	n.keys = append(n.keys, key)
	if err := n.openTransport(key); err != nil {
		return err
	}
	kept, err := n.store("members")
	if err != nil {
		return err
	}
	if err := n.seek(key); err != nil {
		return err
	}
	var finders []transport.Finder
	for _, s := range n.seekers {
		finders = append(finders, s)
	}
	n.members, err = courier.NewMembers(courier.MemberConfig{
		Net: n.transport, Key: key, Store: kept, Finders: finders, Ring: peernet.Config{Size: n.size}, Log: n.log,
	})
	if err != nil {
		return err
	}
	if err := n.openMail(o); err != nil {
		return err
	}
	n.run()
	return nil
}

// openTransport opens the adapter that one line of the configuration names.
func (n *network) openTransport(key identity.PrivateKey) error {
	dark, err := n.config.Darknet.open(n.home)
	if err != nil {
		return err
	}
	limits := limitsFor(n.size)
	if n.config.Transport == netTor {
		return n.openTor(key, dark, limits)
	}
	opened, err := libp2p.Open(libp2p.Config{
		Key: key, Listen: n.listen(), Announce: n.config.Announce, Limits: limits, Darknet: dark, Relay: n.config.Relay, Log: n.log,
	})
	if err != nil {
		return fmt.Errorf("%w (change network.listen in %s)", err, n.home.Config())
	}
	n.transport, n.located = opened, opened
	return nil
}

func (n *network) openTor(key identity.PrivateKey, dark *libp2p.Darknet, limits intake.Limits) error {
	c := tor.Config{Key: key, Socks: n.config.Tor.Socks, Control: n.config.Tor.Control, Limits: limits, Darknet: dark, Log: n.log}
	if n.config.Tor.Password != "" {
		line, err := sealed.Line(n.home.in(n.config.Tor.Password))
		if err != nil {
			return fmt.Errorf("network.tor.password_file: %w", err)
		}
		c.Password = string(line)
		clear(line)
	}
	ctx, cancel := context.WithTimeout(context.Background(), torPatience)
	defer cancel()
	opened, err := tor.Open(ctx, c)
	if err != nil {
		return fmt.Errorf("%w (is tor running, with a ControlPort whose cookie this user may read? see [network.tor] in %s)", err, n.home.Config())
	}
	n.transport, n.located, n.tor = opened, opened, opened
	return n.openLinks()
}

// listen is where this peer listens: in a darknet plain TCP alone.
func (n *network) listen() []string {
	if n.config.Darknet.Secret == "" {
		return n.config.Listen
	}
	var plain []string
	for _, addr := range n.config.Listen {
		if parts := strings.Split(addr, "/"); len(parts) == 5 && parts[3] == "tcp" {
			plain = append(plain, addr)
		}
	}
	return plain
}

// limitsFor are limits that let so many neighbours in, and others who come.
func limitsFor(size int) intake.Limits {
	l := intake.Default()
	if more := 2 * size; more > l.Peers {
		all := l.Share.Second * float64(l.Peers)
		l.Peers = more
		l.Share = intake.Rate{Second: all / float64(more), Burst: max(1, all/float64(more))}
	}
	return l
}

// store opens a store of this peer's own.
func (n *network) store(part string) (store.Store, error) {
	dir := n.home.net(part)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	opened, err := pebble.Open(dir, pebble.Config{Logger: n.log, MemTable: netTable})
	if err != nil {
		return nil, err
	}
	n.stores = append(n.stores, opened)
	return opened, nil
}

// seek lists the ways to find peers. Through tor those that would show this machine to
// others are left out, and in a darknet all but the list: nobody outside learns of it.
func (n *network) seek(key identity.PrivateKey) error {
	c := &n.config.Find
	list, err := c.peers()
	if err != nil {
		return err
	}
	add := func(what string, f transport.Finder) { n.seekers = append(n.seekers, &seeker{what: what, Finder: f}) }
	if len(list) > 0 {
		add("the list", list)
	}
	if n.config.Darknet.Secret != "" {
		return nil
	}
	if open, ok := n.transport.(*libp2p.Net); ok {
		if c.Local {
			add("the local network", open.Local(meeting))
		}
		if c.Rendezvous != "" {
			add("rendezvous "+c.Rendezvous, open.Rendezvous(libp2p.Rendezvous{Name: c.Rendezvous, Via: list}))
		}
	}
	if len(c.IRC) == 0 {
		return nil
	}
	ic := irc.Config{Servers: c.IRC, Channel: c.Channel, Key: key, Ring: n.ring, Log: n.log}
	switch {
	case n.tor != nil:
		ic.Dial = irc.ThroughSOCKS(n.config.Tor.Socks)
	case c.Socks != "":
		ic.Dial = irc.ThroughSOCKS(c.Socks)
	}
	f, err := irc.New(ic)
	if err != nil {
		return fmt.Errorf("%w: network.find.irc: %w", ErrConfig, err)
	}
	add("IRC", f)
	return nil
}

// offered is where browsers reach this peer. One that hides, behind tor or in a darknet, offers
// nothing, and neither does one that carries no mail.
func (n *network) offered() api.Network {
	if n == nil || n.carrier == nil || n.config.Darknet.Secret != "" {
		return api.Network{}
	}
	open, ok := n.transport.(*libp2p.Net)
	if !ok {
		return api.Network{}
	}
	price := mail.DefaultPrice()
	out := api.Network{Relays: n.config.Relay, Stamps: api.StampPrice{PerByte: price.PerByte, Extra: price.Extra, Hello: price.Hello}}
	for _, a := range open.Named() {
		out.Addresses = append(out.Addresses, string(a))
	}
	return out
}

// ring names the ring that this peer sits in, for a channel's bot; zeros if none.
func (n *network) ring() (id [32]byte) {
	if r, ok := n.members.Ring(); ok {
		id = r.ID()
	}
	return id
}

// openMail opens what is carried, and the mailbox.
func (n *network) openMail(o *netOptions) error {
	c := n.config.Mail
	if c.Carry == carryOff {
		return nil
	}
	kept, err := n.store("mail")
	if err != nil {
		return err
	}
	n.carrier, err = courier.NewCarrier(courier.CarrierConfig{Net: n.transport, Store: kept, Full: c.Carry == carryFull, Prompt: c.Prompt, Log: n.log})
	if err != nil || !c.Mailbox {
		return err
	}
	keys, err := n.home.ensureMailKeys(o.pass, o.work)
	if err != nil {
		return err
	}
	n.keys = append(n.keys, keys.Identity)
	n.box, err = courier.OpenMailbox(n.carrier, kept, keys)
	return err
}

func (n *network) run() {
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	start := func(what string, run func(context.Context) error) {
		n.running.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				n.log.ErrorContext(ctx, "a part of the network has ended", slog.String("part", what), slog.Any("error", err))
				n.ended(fmt.Errorf("network: %s: %w", what, err))
			}
		})
	}
	start("members", n.members.Run)
	if n.carrier != nil {
		start("mail", n.carrier.Run)
	}
	if n.box != nil {
		start("mailbox", n.box.Run)
	}
}

// close stops what runs, in reverse. It may be called on a half-opened one, and on nil.
func (n *network) close() error {
	if n == nil {
		return nil
	}
	if n.stop != nil {
		n.stop()
	}
	n.running.Wait()
	var errs []error
	n.links.close()
	if n.transport != nil {
		errs = append(errs, n.transport.Close())
	}
	for i := len(n.stores) - 1; i >= 0; i-- {
		errs = append(errs, n.stores[i].Close())
	}
	wipe(n.keys...)
	return errors.Join(errs...)
}

// ensureKey opens a key of a home, and makes it first if there is none.
func (h Home) ensureKey(role string, pass sealed.Passphrase, work int) (identity.PrivateKey, error) {
	if _, err := os.Stat(h.key(role)); !errors.Is(err, os.ErrNotExist) {
		return h.Key(role, pass)
	}
	key, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		return key, fmt.Errorf("make the %s key: %w", role, err)
	}
	if err := sealKey(h.key(role), role, key, pass, work); err != nil {
		key.Wipe()
		return identity.PrivateKey{}, err
	}
	return key, nil
}

// ensureMailKeys does the same for the keys of the mailbox.
func (h Home) ensureMailKeys(pass sealed.Passphrase, work int) (*courier.MailKeys, error) {
	path := h.key(mailKeys)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		keys, err := courier.OpenMailKeys(path, pass)
		if err != nil {
			return nil, fmt.Errorf("open the mailbox's keys: %w", err)
		}
		return keys, nil
	}
	keys, err := courier.NewMailKeys(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the mailbox's keys: %w", err)
	}
	if err := courier.SealMailKeys(path, keys, pass, work); err != nil {
		return nil, fmt.Errorf("seal the mailbox's keys: %w", err)
	}
	return keys, nil
}
