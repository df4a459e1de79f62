package node

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"

	"souk/identity"
	"souk/peernet"
	"souk/store/sealed"
	"souk/transport"
	"souk/transport/libp2p"
)

// Networks that a peer can take part in.
const (
	netOff    = "off"
	netLibp2p = "libp2p"
	netTor    = "tor"
)

// How much of everybody's mail is carried.
const (
	carryOff   = "off"
	carryLight = "light"
	carryFull  = "full"
)

// NetworkConfig is how a server, or a peer without one, takes part in the network of peers.
type NetworkConfig struct {
	Transport  string        `toml:"transport"`
	Listen     []string      `toml:"listen"`
	Announce   []string      `toml:"announce"`
	Relay      bool          `toml:"relay"`
	Neighbours string        `toml:"neighbours"`
	Find       FindConfig    `toml:"find"`
	Tor        TorConfig     `toml:"tor"`
	Darknet    DarknetConfig `toml:"darknet"`
	Mail       MailConfig    `toml:"mail"`
}

// FindConfig is how other peers are found.
type FindConfig struct {
	Peers      []string `toml:"peers"`
	Local      bool     `toml:"local"`
	Rendezvous string   `toml:"rendezvous"`
	IRC        []string `toml:"irc"`
	Channel    string   `toml:"channel"`
	Socks      string   `toml:"socks"`
}

// TorConfig says where the tor of this machine is, and which links go through it besides.
type TorConfig struct {
	Socks     string   `toml:"socks"`
	Control   string   `toml:"control"`
	Password  string   `toml:"password_file"`
	Consensus bool     `toml:"consensus"`
	Members   []string `toml:"members"`
}

// DarknetConfig is a network of friends.
type DarknetConfig struct {
	Secret  string   `toml:"secret_file"`
	Friends []string `toml:"friends"`
}

// MailConfig is what a peer does for mail.
type MailConfig struct {
	Carry   string `toml:"carry"`
	Mailbox bool   `toml:"mailbox"`
	Prompt  bool   `toml:"prompt"`
}

// autoNeighbours stands for a number that fits the machine.
const autoNeighbours = "auto"

// defaultNetwork is what applies where a config file is silent.
func defaultNetwork() NetworkConfig {
	return NetworkConfig{
		Transport: netOff, Listen: []string{"/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1"}, Neighbours: autoNeighbours,
		Find: FindConfig{Channel: "#souk"},
		Tor:  TorConfig{Socks: "127.0.0.1:9050", Control: "127.0.0.1:9051"},
		Mail: MailConfig{Carry: carryFull, Mailbox: true},
	}
}

// on tells whether there is a network at all.
func (c *NetworkConfig) on() bool { return c.Transport != netOff }

// check tells what is wrong with the tables.
func (c *NetworkConfig) check() error {
	if c.Transport != netOff && c.Transport != netLibp2p && c.Transport != netTor {
		return fmt.Errorf("network.transport %q: write %s, %s or %s", c.Transport, netOff, netLibp2p, netTor)
	}
	if _, err := c.size(false); err != nil {
		return err
	}
	if err := libp2p.CheckAddrs(c.Listen); err != nil {
		return fmt.Errorf("network.listen: %w", err)
	}
	if err := libp2p.CheckAddrs(c.Announce); err != nil {
		return fmt.Errorf("network.announce: %w", err)
	}
	if _, err := c.Find.peers(); err != nil {
		return fmt.Errorf("network.find.peers %w", err)
	}
	if _, err := c.Darknet.friends(); err != nil {
		return fmt.Errorf("network.darknet.friends %w", err)
	}
	if len(c.Darknet.Friends) > 0 && c.Darknet.Secret == "" {
		return fmt.Errorf("network.darknet.friends: a darknet has a secret_file as well, which all friends share")
	}
	if _, err := c.Tor.members(); err != nil {
		return fmt.Errorf("network.tor.members %w", err)
	}
	if m := c.Mail; m.Carry != carryOff && m.Carry != carryLight && m.Carry != carryFull {
		return fmt.Errorf("network.mail.carry %q: write %s, %s or %s", m.Carry, carryOff, carryLight, carryFull)
	}
	return nil
}

// size is how many neighbours this peer keeps; shared is a machine that does other things, too.
func (c *NetworkConfig) size(shared bool) (int, error) {
	if c.Neighbours == autoNeighbours {
		return peernet.AutoSize(runtime.NumCPU(), shared), nil
	}
	n, err := strconv.Atoi(c.Neighbours)
	if err != nil || n < 2 || n > peernet.MaxMembers {
		return 0, fmt.Errorf("network.neighbours %q: write %s, or a number from 2 to %d in quotes", c.Neighbours, autoNeighbours, peernet.MaxMembers)
	}
	return n, nil
}

// peers are those that the configuration names.
func (c *FindConfig) peers() (transport.List, error) {
	var list transport.List
	for _, text := range c.Peers {
		p, err := ParsePeer(text)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// ParsePeer reads a peer as configurations name it: its key, @, and an address where it listens.
func ParsePeer(text string) (transport.Peer, error) {
	key, addr, ok := strings.Cut(text, "@")
	id, err := identity.ParsePublicKey(key)
	if !ok || err != nil || libp2p.CheckAddrs([]string{addr}) != nil {
		return transport.Peer{}, fmt.Errorf("%q: write the peer's key, @, and its address, such as 64 digits@/ip4/192.0.2.7/tcp/4001", text)
	}
	return transport.Peer{ID: id, Addrs: []transport.Addr{transport.Addr(addr)}}, nil
}

func (c *DarknetConfig) friends() ([]transport.ID, error) {
	var list []transport.ID
	for _, text := range c.Friends {
		id, err := identity.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("%q: write the peer's key, which souk peers shows", text)
		}
		list = append(list, id)
	}
	return list, nil
}

// open reads the secret of a darknet; nil if there is none.
func (c *DarknetConfig) open(h Home) (*libp2p.Darknet, error) {
	if c.Secret == "" {
		return nil, nil //nolint:nilnil // the open network is a configuration
	}
	line, err := sealed.Line(h.in(c.Secret))
	if err != nil {
		return nil, fmt.Errorf("network.darknet.secret_file: %w", err)
	}
	defer clear(line)
	d := &libp2p.Darknet{}
	if n, err := hex.Decode(d.Secret[:], line[:min(len(line), 2*len(d.Secret))]); err != nil || n != len(d.Secret) || len(line) != 2*len(d.Secret) {
		return nil, fmt.Errorf("network.darknet.secret_file: %s: write 64 hexadecimal digits in one line, such as openssl rand -hex 32 makes", h.in(c.Secret))
	}
	d.Friends, err = c.friends()
	return d, err
}

// members says which onion service stands for where a member's card says that its server is.
func (c *TorConfig) members() (map[string]string, error) {
	all := map[string]string{}
	for _, text := range c.Members {
		from, to, ok := strings.Cut(text, "=")
		_, err := netip.ParseAddrPort(from)
		host, port, err2 := net.SplitHostPort(to)
		if !ok || err != nil || err2 != nil || port == "" || !strings.HasSuffix(host, ".onion") {
			return nil, fmt.Errorf("%q: write the address of the member's card, =, and that of its onion service, such as 192.0.2.7:26600=abc.onion:26600", text)
		}
		all[from] = to
	}
	return all, nil
}

// text is the tables as they stand in a config file.
func (c *NetworkConfig) text() string {
	return fmt.Sprintf(`
[network]
# Take part in the network of peers, which carries mail: off; libp2p, over the internet; or tor,
# through the tor of this machine alone, which then tells nobody another address than its onion's.
transport = %s
# Where peers reach this one: /ip4/0.0.0.0/tcp/4001, the same with /ws behind it for browsers,
# /ip4/0.0.0.0/udp/4001/quic-v1, /ip4/0.0.0.0/udp/4002/webrtc-direct. Empty: this one only dials.
# Through tor none of these counts; in a darknet only those of plain TCP do.
listen = %s
# What others are told instead, such as the address of the router that leads here.
announce = %s
# Browsers may reach each other through this peer.
relay = %t
# How many of the nearest peers are kept: auto, or a number in quotes.
neighbours = %s

[network.find]
# Peers that are known: KEY@ADDRESS, as souk peers shows each its own.
peers = %s
# Look in the local network, and be seen there. Not through tor, nor in a darknet.
local = %t
# The name of a meeting in the table that peers keep together; it is entered by the peers
# above. Empty: none. Not through tor, nor in a darknet.
rendezvous = %s
# Servers of IRC, best four or five, whose channel peers meet on: host:port, or tls:host:port.
# Not in a darknet.
irc = %s
channel = %s
# host:port of a SOCKS proxy to reach these servers through. With tor it is tor's.
socks = %s

[network.tor]
# Where tor is on this machine: its SOCKS port, and its control port or the path of its socket.
socks = %s
control = %s
# A file with the password of the control port, that only this user can read. Empty: its cookie.
password_file = %s
# Links of consensus go through tor, too: each virtual server is reached at an onion service,
# which souk net doctor shows, and dials no member but those listed below.
consensus = %t
# Members by the address in their cards and their onion service: 192.0.2.7:26600=abc.onion:26600
members = %s

[network.darknet]
# A file with 64 hexadecimal digits that all friends share, and nobody else may read. With it the
# network is a darknet: whoever does not know them gets no answer. Empty: the open network.
secret_file = %s
# The keys of the peers that are let in.
friends = %s

[network.mail]
# Mail that is carried: off; light, some of everybody's, for who has little room or time; full,
# all of it, kept for those who are away.
carry = %s
# Have a mailbox here, for souk mail.
mailbox = %t
# Letters and receipts leave at once. Who watches the network may then see when one is written or
# read; otherwise they wait, letters up to a minute, receipts up to five.
prompt = %t
`, tomlString(c.Transport), tomlList(c.Listen), tomlList(c.Announce), c.Relay, tomlString(c.Neighbours),
		tomlList(c.Find.Peers), c.Find.Local, tomlString(c.Find.Rendezvous), tomlList(c.Find.IRC), tomlString(c.Find.Channel), tomlString(c.Find.Socks),
		tomlString(c.Tor.Socks), tomlString(c.Tor.Control), tomlString(c.Tor.Password), c.Tor.Consensus, tomlList(c.Tor.Members),
		tomlString(c.Darknet.Secret), tomlList(c.Darknet.Friends), tomlString(c.Mail.Carry), c.Mail.Mailbox, c.Mail.Prompt)
}
