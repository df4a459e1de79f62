package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"souk/consensus/comet"
	"souk/exchange"
	"souk/identity"
	"souk/store/sealed"
)

// Home is a server's folder:
//
//	config.toml           what the operator configured
//	card                  the member card, one line
//	keys/*.age            operator, server, consensus and node key, sealed
//	keys/bank.key         the seed of the keys for banks, sealed (bankkey.go)
//	cards/<key>           further cards and their keys (card.go)
//	vs/<id>/founding      founding contract of a virtual server
//	vs/<id>/state, chain  its data
type Home string

// Config is the path of the config file.
func (h Home) Config() string { return filepath.Join(string(h), "config.toml") }

// CardFile is the path of the member card.
func (h Home) CardFile() string { return filepath.Join(string(h), "card") }

// key is the path of a sealed key.
func (h Home) key(role string) string { return filepath.Join(string(h), "keys", role+".age") }

// virtual is the folder of a virtual server.
func (h Home) virtual(id exchange.ID) string {
	return filepath.Join(string(h), "vs", fmt.Sprintf("%x", id[:8]))
}

// Roles of a server's keys.
const (
	RoleOperator  = "operator"  // votes; may be kept elsewhere
	RoleServer    = "server"    // signs for the running server
	RoleConsensus = "consensus" // validates blocks
	RoleNode      = "node"      // names this server among its peers
)

// Setup is what Init makes a home of.
type Setup struct {
	Name   string // of the member: 1 to 32 of a-z, 0-9 and dash
	URL    string // under which clients reach the server
	P2P    string // host:port under which other servers reach it
	Listen string // of HTTP; empty: the default
	// Pass seals the keys.
	Pass sealed.Passphrase
	// Work is the work factor of sealing; zero is the default.
	Work int
	Now  time.Time
	// Chains say how the server sees the chains of banks; more can be added to the
	// configuration later.
	Chains map[string]ChainConfig
	// Practice makes the server give play money, with a key that is made.
	Practice PracticeConfig
}

// ErrHome is returned by Init for a folder that has a server in it.
var ErrHome = errors.New("folder has a server in it already: choose another, or delete it")

// checkReach checks where a card says that its server can be reached.
func checkReach(base, p2p string) error {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%w: %q is no base URL under which clients reach the server: write it like https://alice.example:8640", ErrConfig, base)
	}
	a, err := netip.ParseAddrPort(p2p)
	if err != nil || a.Addr().IsUnspecified() || a.Port() == 0 {
		return fmt.Errorf("%w: %q is not where other servers reach this one: write its IP address and port, like 192.0.2.7:26600", ErrConfig, p2p)
	}
	return nil
}

// Init makes the keys, the card and the config of a new server.
func Init(h Home, s Setup) (exchange.Card, error) {
	if err := checkReach(s.URL, s.P2P); err != nil {
		return exchange.Card{}, err
	}
	if _, err := os.Stat(h.Config()); err == nil {
		return exchange.Card{}, fmt.Errorf("%s: %w", h, ErrHome)
	}
	if err := os.MkdirAll(filepath.Join(string(h), "keys"), 0o700); err != nil {
		return exchange.Card{}, fmt.Errorf("make home: %w", err)
	}
	keys := map[string]identity.PrivateKey{}
	for _, role := range []string{RoleOperator, RoleServer, RoleConsensus, RoleNode} {
		key, err := identity.GenerateKey(rand.Reader)
		if err != nil {
			return exchange.Card{}, fmt.Errorf("make keys: %w", err)
		}
		keys[role] = key
	}
	defer func() {
		for _, k := range keys {
			k.Wipe()
		}
	}()
	card := exchange.Card{
		Name: s.Name, Server: keys[RoleServer].Public(), Consensus: keys[RoleConsensus].Public(),
		P2P: comet.NodeID(keys[RoleNode].Public()) + "@" + s.P2P, URL: strings.TrimSuffix(s.URL, "/"),
		Made: uint64(s.Now.UnixMilli()),
	}
	card.Sign(keys[RoleOperator])
	if err := card.Check(); err != nil {
		return exchange.Card{}, err
	}
	seed, err := h.newBankSeed(s.Pass, s.Work)
	if err != nil {
		return exchange.Card{}, err
	}
	defer clear(seed)
	if err := addBankKeys(&card, seed, 0); err != nil {
		return exchange.Card{}, err
	}
	if err := signCard(&card, keys[RoleOperator]); err != nil {
		return exchange.Card{}, err
	}
	for role, key := range keys {
		if err := sealKey(h.key(role), role, key, s.Pass, s.Work); err != nil {
			return exchange.Card{}, err
		}
	}
	if err := os.WriteFile(h.CardFile(), []byte(card.String()+"\n"), 0o600); err != nil {
		return exchange.Card{}, fmt.Errorf("write card: %w", err)
	}
	c := DefaultConfig()
	c.Chains = s.Chains
	if s.Practice.Account != "" {
		c.Practice = s.Practice
		if c.Practice.Key == "" {
			c.Practice.Key = practiceKey
		}
		if _, err := NewPracticeKey(h, s.Pass, s.Work); err != nil {
			return exchange.Card{}, err
		}
	}
	if s.Listen != "" {
		c.HTTP.Listen = s.Listen
	}
	return card, WriteConfig(h.Config(), &c)
}

// Card is the server's own member card.
func (h Home) Card() (exchange.Card, error) {
	text, err := os.ReadFile(h.CardFile())
	if err != nil {
		return exchange.Card{}, fmt.Errorf("read own card: %w", err)
	}
	return exchange.ParseCardText(string(text))
}

// Key opens one of the server's keys.
func (h Home) Key(role string, pass sealed.Passphrase) (identity.PrivateKey, error) {
	return openKey(h.key(role), role, pass)
}

// Joining is how a home joins a virtual server.
type Joining struct {
	Config VirtualConfig
	// Card is the card with which it joins, if it is not in the founding contract and
	// the home has several.
	Card *exchange.Card
	// Replace begins the id of the virtual server whose place it takes. One that was
	// refounded takes the place of the one that it goes on from.
	Replace string
	// Replay has one that has joined before to begin from a copy of the state execute all
	// blocks after all; it counts while there is no state.
	Replay bool
	Now    time.Time
}

// Join writes a founding contract into the home and its section into the config. A
// contract that goes on from another virtual server needs the export that it was made
// from, of which it keeps a copy. Joining again with other settings changes these and
// leaves the others. It answers the id of the virtual server whose place it takes,
// zero if there is none: its section becomes a comment.
func (h Home) Join(f *exchange.Founding, j Joining) (old exchange.ID, err error) {
	id := f.ID()
	path := filepath.Join(h.virtual(id), "founding")
	if _, err := os.Stat(h.virtual(id)); err == nil { // joined before: what is there may be damaged
		if err := writeContract(path, f); err != nil {
			return old, err
		}
	}
	all, err := h.hosts()
	if err != nil {
		return old, err
	}
	v, at, again := j.Config, -1, false
	for i := range all {
		if all[i].id == id {
			at, again = i, true
		}
	}
	var was VirtualConfig
	if again {
		if was, err = h.section(at); err != nil {
			return old, err
		}
		v = was.with(&j.Config)
		v.StateSync = v.StateSync && !j.Replay
	}
	if !again || j.Card != nil {
		if v.Keys, err = h.keysFor(f, j.Card); err != nil {
			return old, err
		}
	}
	if !again {
		if at, err = replaced(all, f, v.Listen, j.Replace); err != nil {
			return old, err
		}
	}
	if v.Origin, err = h.keepOrigin(f, &j.Config, was.Origin); err != nil {
		return old, err
	}
	if err := writeContract(path, f); err != nil {
		return old, err
	}
	if v.Founding, err = filepath.Rel(string(h), path); err != nil {
		return old, fmt.Errorf("write founding contract: %w", err)
	}
	v.fill()
	date := j.Now.UTC().Format(time.DateOnly)
	switch {
	case again && v == was:
		return old, fmt.Errorf("%w: this server has joined that virtual server already; its section in %s says how it is served", ErrServes, h.Config())
	case again:
		return old, h.rewrite(at, len(all), "joined again on "+date+" with the section below", v.text())
	case at >= 0:
		old = all[at].id
	}
	return old, h.rewrite(at, len(all), fmt.Sprintf("replaced by %x on %s", id[:8], date), v.text())
}

// writeContract keeps a founding contract.
func writeContract(path string, f *exchange.Founding) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := os.WriteFile(path, f.Append(nil), 0o600); err != nil {
		return fmt.Errorf("write founding contract: %w", err)
	}
	return nil
}

// ReadFounding reads a founding contract from a file.
func ReadFounding(path string) (*exchange.Founding, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read founding contract: %w", err)
	}
	return exchange.ParseFounding(data)
}
