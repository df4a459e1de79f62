package node

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"souk/chain"
	"souk/chain/bitcoin"
	"souk/chain/litecoin"
	"souk/chain/namecoin"
	"souk/chain/neutrino"
	"souk/chain/rpc"
	"souk/exchange/custody"
	"souk/script"
	"souk/store/sealed"
)

// ChainConfig is one [chains.NETWORK] of config.toml: how this server sees the chain of
// a bank. All virtual servers of the home share it. It holds no secret: the password is
// in a file of its own, or in the cookie that the node writes.
type ChainConfig struct {
	Kind         string   `toml:"kind"` // rpc or light
	URL          string   `toml:"url"`
	CookieFile   string   `toml:"cookie_file"`
	User         string   `toml:"user"`
	PasswordFile string   `toml:"password_file"`
	Roots        string   `toml:"tls_roots"`
	Peers        []string `toml:"peers"`
	// FeeRate is said while there is no estimate, in units per virtual byte; zero for nothing.
	FeeRate uint32 `toml:"fee_rate"`
}

// Kinds of chain backends.
const (
	chainRPC   = "rpc"
	chainLight = "light"
)

// ParseChains reads [chains.NETWORK] sections that stand alone.
func ParseChains(data []byte) (map[string]ChainConfig, error) {
	var c struct {
		Chains map[string]ChainConfig `toml:"chains"`
	}
	if err := parseTOML(data, &c); err != nil {
		return nil, fmt.Errorf("%w, %w", ErrConfig, err)
	}
	return c.Chains, checkChains(c.Chains, numberLines(data))
}

// checkChains tells what is wrong with sections of chains, and in which line.
func checkChains(chains map[string]ChainConfig, lines lineNumbers) error {
	for _, name := range slices.Sorted(maps.Keys(chains)) {
		c := chains[name]
		n, ok := script.ByName(name)
		var field, why string
		if !ok {
			why = "there is no such network; there are " + strings.Join(networkNames(), ", ")
		} else {
			field, why = c.wrong(n)
		}
		if why == "" {
			continue
		}
		key := strings.TrimSuffix("chains."+name+"."+field, ".")
		if line := lines.of(key); line != 0 {
			return fmt.Errorf("%w, line %d: %s: %s", ErrConfig, line, key, why)
		}
		return fmt.Errorf("%w: %s: %s", ErrConfig, key, why)
	}
	return nil
}

func networkNames() []string {
	var all []string
	for _, n := range script.Networks() {
		all = append(all, n.Name)
	}
	return all
}

// wrong says which field of a section is wrong, and why.
func (c *ChainConfig) wrong(n *script.Network) (field, why string) {
	if r := uint64(c.FeeRate); r != 0 && (r*1000 < uint64(n.MinRelay) || r*1000 > custody.MaxRate) {
		return "fee_rate", fmt.Sprintf("%d: from %d to %d sat/vB", r, (n.MinRelay+999)/1000, custody.MaxRate/1000)
	}
	switch c.Kind {
	case chainRPC:
		return c.wrongRPC()
	case chainLight:
		return c.wrongLight(n)
	}
	return "kind", fmt.Sprintf("%q: write rpc for a node of your own, or light for a light client (Bitcoin only)", c.Kind)
}

func (c *ChainConfig) wrongRPC() (field, why string) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/":
		return "url", "where the node answers JSON-RPC, such as http://127.0.0.1:8332"
	case u.User != nil:
		return "url", "no password belongs here: name cookie_file, or user and password_file"
	case len(c.Peers) > 0:
		return "peers", "are for kind light"
	case c.CookieFile != "" && (c.User != "" || c.PasswordFile != ""):
		return "cookie_file", "name it, or user and password_file, not both"
	case c.CookieFile == "" && (c.User == "" || c.PasswordFile == ""):
		return "", "say how the node knows this server: cookie_file, which bitcoind writes into its data folder, or user and password_file"
	}
	return "", ""
}

func (c *ChainConfig) wrongLight(n *script.Network) (field, why string) {
	switch {
	case n.Chain != script.Bitcoin:
		return "kind", "a light client there is for Bitcoin only: write rpc"
	case c.URL+c.CookieFile+c.User+c.PasswordFile+c.Roots != "":
		return "kind", "a light client asks peers: url, user, files of credentials and tls_roots are for kind rpc"
	}
	for _, p := range c.Peers {
		if _, _, err := net.SplitHostPort(p); err != nil {
			return "peers", fmt.Sprintf("%q is no host:port", p)
		}
	}
	return "", ""
}

// text is a section as it stands in config.toml.
func (c *ChainConfig) text(network string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n[chains.%s]\nkind = %s\n", network, tomlString(c.Kind))
	for _, x := range []struct{ key, value string }{
		{"url", c.URL}, {"cookie_file", c.CookieFile}, {"user", c.User}, {"password_file", c.PasswordFile}, {"tls_roots", c.Roots},
	} {
		if x.value != "" {
			fmt.Fprintf(&b, "%s = %s\n", x.key, tomlString(x.value))
		}
	}
	if len(c.Peers) > 0 {
		fmt.Fprintf(&b, "peers = %s\n", tomlList(c.Peers))
	}
	if c.FeeRate != 0 {
		fmt.Fprintf(&b, "fee_rate = %d\n", c.FeeRate)
	}
	return b.String()
}

// chainsHelp explains the sections of chains in config.toml.
const chainsHelp = `
# How this server sees the chains of banks, one section for each network of a bank. A node
# of its own (bitcoind, btcd, litecoind, ltcd, namecoind):
#   [chains.bitcoin]
#   kind = "rpc"
#   url = "http://127.0.0.1:8332"
#   cookie_file = "/var/lib/bitcoind/.cookie"     # or user, and password_file (mode 0600)
# or, for Bitcoin, a light client, which asks the peers that are named, or any:
#   [chains.bitcoin]
#   kind = "light"
#   peers = ["192.0.2.1:8333"]
#   fee_rate = 10                                 # sat/vB, as long as there is no estimate
# A light client, btcd and ltcd in their first hours have no estimate of fees. A bank pays
# as the members say who have one, and as fee_rate says where it is set; mind that it fits.
`

// openChain opens a network's backend. It does not wait for a node.
func (h Home) openChain(n *script.Network, c *ChainConfig) (chain.Backend, error) {
	if c.Kind == chainLight {
		return neutrino.Open(n, neutrino.Config{Dir: filepath.Join(string(h), "chains", n.Name), Peers: c.Peers})
	}
	r, err := h.chainRPC(c)
	if err != nil {
		return nil, err
	}
	switch n.Chain {
	case script.Litecoin:
		return litecoin.Open(n, r)
	case script.Namecoin:
		return namecoin.Open(n, r)
	case script.Bitcoin:
	}
	return bitcoin.Open(n, r)
}

// callTimeout is how long one call of a node may take.
const callTimeout = 30 * time.Second

// chainRPC says how to call the node of a section.
func (h Home) chainRPC(c *ChainConfig) (rpc.Config, error) {
	r := rpc.Config{URL: c.URL, User: c.User, Timeout: callTimeout}
	if c.CookieFile != "" {
		r.CookieFile = h.in(c.CookieFile)
	}
	if c.PasswordFile != "" {
		secret, err := sealed.Line(h.in(c.PasswordFile))
		if err != nil {
			return r, fmt.Errorf("password of the node: %w", err)
		}
		r.Password = string(secret)
		clear(secret)
	}
	if c.Roots != "" {
		var err error
		if r.Roots, err = os.ReadFile(h.in(c.Roots)); err != nil {
			return r, fmt.Errorf("tls_roots: %w", err)
		}
	}
	return r, nil
}

// chainAdvice says in words what keeps a chain from being seen, and what to do.
func chainAdvice(network string, c *ChainConfig, err error) string {
	where := c.URL
	if c.Kind == chainLight {
		where = "the light client"
	}
	switch {
	case errors.Is(err, chain.ErrWarmup) && c.Kind == chainLight:
		return "the light client is still reading headers: wait, and see that its peers can be reached"
	case errors.Is(err, chain.ErrWarmup):
		return where + ": the node is starting: wait until it has"
	case errors.Is(err, chain.ErrWrongNetwork):
		return fmt.Sprintf("%s follows another network than %s: name another url in [chains.%s]", where, network, network)
	case errors.Is(err, chain.ErrDenied):
		return where + " refuses the credentials: see cookie_file, or user and password_file"
	case errors.Is(err, chain.ErrUnavailable):
		return fmt.Sprintf("%s cannot be reached: is the node up, is its address right? (%v)", where, err)
	case errors.Is(err, chain.ErrForked):
		return where + ": its chain is another one than that which the bank began with"
	case errors.Is(err, chain.ErrPruned):
		return where + ": the node has dropped blocks that are needed: it must keep those from the start of the bank on"
	}
	if errors.Is(err, chain.ErrMalformed) {
		return fmt.Sprintf("%s answers what a sound node does not: %v", where, err)
	}
	return err.Error()
}
