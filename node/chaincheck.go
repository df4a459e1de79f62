package node

import (
	"context"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"time"

	"souk/script"
)

const (
	// checkChainFor bounds what the doctor asks of a chain.
	checkChainFor = 5 * time.Second
	// oldTip is the age of a node's last block above which it is said to be behind.
	oldTip = 6 * time.Hour
)

// checkChain looks at one chain as this server would.
func checkChain(ctx context.Context, h Home, network string, c *ChainConfig, running bool) (f Finding) {
	f.What = "chain " + network
	n, ok := script.ByName(network)
	if !ok {
		f.Bad, f.Detail = true, "there is no such network"
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, checkChainFor)
	defer cancel()
	if c.Kind == chainLight {
		return checkPeers(ctx, f, c, running)
	}
	b, err := h.openChain(n, c)
	if err != nil {
		f.Bad, f.Detail = true, err.Error()
		return f
	}
	defer b.Close() //nolint:errcheck // nothing was changed
	tip, err := b.Tip(ctx)
	if err != nil {
		f.Bad, f.Detail = true, chainAdvice(network, c, err)
		return f
	}
	made := time.Unix(int64(tip.Time), 0)
	f.Detail = fmt.Sprintf("%s has block %d of %s", c.URL, tip.Height, made.UTC().Format("2006-01-02 15:04"))
	if age := time.Since(made); !onDemand(n) && age > oldTip {
		f.Bad, f.Detail = true, fmt.Sprintf("%s: that is %v ago, so the node is not synced: wait until it has read the chain", f.Detail, age.Round(time.Hour))
	}
	return f
}

// checkPeers looks at what a light client would ask. Its folder is the server's while
// that is running.
func checkPeers(ctx context.Context, f Finding, c *ChainConfig, running bool) Finding {
	if len(c.Peers) == 0 {
		f.Note, f.Detail = true, "a light client that finds its peers itself: souk status shows how far it is once the server runs"
		return f
	}
	reached := 0
	var last error
	for _, p := range c.Peers {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", p)
		if err != nil {
			last = err
			continue
		}
		conn.Close() //nolint:errcheck // nothing was sent
		reached++
	}
	f.Detail = fmt.Sprintf("a light client; %d of %d peers answer", reached, len(c.Peers))
	if reached == 0 {
		f.Bad, f.Detail = true, fmt.Sprintf("a light client, and none of its peers answers: %v", last)
	} else if running {
		f.Detail += "; souk status shows how far it is"
	}
	return f
}

// checkChainsOf looks at all chains that are configured, and for banks without one.
func checkChainsOf(ctx context.Context, h Home, c *Config, running bool) (all []Finding) {
	for _, network := range slices.Sorted(maps.Keys(c.Chains)) {
		chain := c.Chains[network]
		all = append(all, checkChain(ctx, h, network, &chain, running))
	}
	for i := range c.Virtual {
		f, err := ReadFounding(h.in(c.Virtual[i].Founding))
		if err != nil {
			continue // its own finding says it
		}
		for j := range f.Banks {
			b := &f.Banks[j]
			if _, ok := c.Chains[b.Network]; !ok {
				all = append(all, Finding{What: "bank of " + b.Symbol, Bad: true, Detail: fmt.Sprintf("%v: add [chains.%s] to %s, and start the server again", errNoChain, b.Network, h.Config())})
			}
		}
		if len(f.Banks) > 0 {
			all = append(all, checkBankKeys(h, &c.Virtual[i], f.ID()))
		}
	}
	return all
}

// checkBankKeys looks for what this server would sign with.
func checkBankKeys(h Home, v *VirtualConfig, id [32]byte) Finding {
	const what = "keys for banks"
	if !h.HasBankKeys() {
		return Finding{What: what, Bad: true, Detail: fmt.Sprintf("%s is missing, so this server signs nothing: restore it from a backup, or make new ones with souk card bank-keys; the members then open a new series for them", h.bankSeed())}
	}
	cards, err := h.Cards()
	if err != nil {
		return Finding{What: what, Bad: true, Detail: err.Error()}
	}
	i := slices.IndexFunc(cards, func(c HomeCard) bool { return filepath.Clean(c.Keys) == filepath.Clean(v.Keys) })
	if i < 0 || len(cards[i].Card.Banks) == 0 {
		return Finding{What: what, Bad: true, Detail: fmt.Sprintf("the card with which virtual server %x is served shows none: souk card bank-keys adds them", id[:8])}
	}
	return Finding{What: what, Detail: "sealed; their public halves are on the card"}
}
