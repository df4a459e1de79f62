package node

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"souk/asset"
	"souk/chain"
	"souk/custodian"
	"souk/script"
)

// chains are the backends of a process, one for each network, shared by all its
// virtual servers. They are opened when somebody first asks for them.
type chains struct {
	home   Home
	config map[string]ChainConfig
	log    *slog.Logger

	mu     sync.Mutex
	open   map[string]chain.Backend
	closed bool
}

func newChains(h Home, config map[string]ChainConfig, log *slog.Logger) *chains {
	return &chains{home: h, config: config, log: log, open: map[string]chain.Backend{}}
}

// errNoChain is why a bank's chain is not seen here.
var errNoChain = errors.New("this server does not see the bank's chain, and attests nothing")

// backend is the one of a network.
func (c *chains) backend(n *script.Network) (chain.Backend, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.open[n.Name]; ok {
		return b, nil
	}
	config, ok := c.config[n.Name]
	switch {
	case c.closed:
		return nil, chain.ErrClosed
	case !ok:
		return nil, fmt.Errorf("%w: add [chains.%s] to %s, and start it again", errNoChain, n.Name, c.home.Config())
	}
	b, err := c.home.openChain(n, &config)
	if err != nil {
		return nil, fmt.Errorf("open [chains.%s]: %w", n.Name, err)
	}
	c.open[n.Name] = b
	c.log.Info("chain opened", slog.String("network", n.Name), slog.String("kind", config.Kind))
	return b, nil
}

// rate is what is said of a network while there is no estimate; zero for nothing.
func (c *chains) rate(n *script.Network) asset.Amount {
	return asset.Amount(c.config[n.Name].FeeRate) * 1000
}

// advice says in words what is wrong with a network's chain.
func (c *chains) advice(n *script.Network, err error) string {
	config := c.config[n.Name]
	if errors.Is(err, custodian.ErrBehind) {
		return fmt.Sprintf("not synced, [chains.%s]: %v", n.Name, err)
	}
	return chainAdvice(n.Name, &config, err)
}

func (c *chains) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.open)) {
		errs = append(errs, c.open[name].Close())
	}
	return errors.Join(errs...)
}
