package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"time"

	"souk/chain"
	"souk/chain/litecoin"
	"souk/chain/rpc"
	"souk/script"
)

const (
	// checkChainFor bounds what the doctor asks of a chain.
	checkChainFor = 5 * time.Second
	// oldTip is the age of a node's last block above which it is said to be behind.
	oldTip = 6 * time.Hour
	// rateWithin is in how many blocks a transaction is to be mined whose rate is asked for.
	rateWithin = 6
)

// checkChain looks at one chain as this server would.
func checkChain(ctx context.Context, h Home, network string, c *ChainConfig, running bool) []Finding {
	f := Finding{What: "chain " + network}
	n, ok := script.ByName(network)
	if !ok {
		f.Bad, f.Detail = true, "there is no such network"
		return []Finding{f}
	}
	ctx, cancel := context.WithTimeout(ctx, checkChainFor)
	defer cancel()
	if c.Kind == chainLight {
		return append([]Finding{checkPeers(ctx, f, c, running)}, checkRate(n, c, chain.ErrNoEstimate)...)
	}
	b, err := h.openChain(n, c)
	if err != nil {
		f.Bad, f.Detail = true, err.Error()
		return []Finding{f}
	}
	defer b.Close() //nolint:errcheck // nothing was changed
	tip, err := b.Tip(ctx)
	if err != nil {
		f.Bad, f.Detail = true, chainAdvice(network, c, err)
		return []Finding{f}
	}
	_, err = b.FeeRate(ctx, rateWithin)
	return append([]Finding{checkTip(f, n, c, &tip)}, append(checkRate(n, c, err), checkDaemon(ctx, n, b)...)...)
}

// checkTip looks at the last block of a node.
func checkTip(f Finding, n *script.Network, c *ChainConfig, tip *chain.Block) Finding {
	made := time.Unix(int64(tip.Time), 0)
	f.Detail = fmt.Sprintf("%s has block %d of %s", c.URL, tip.Height, made.UTC().Format("2006-01-02 15:04"))
	if age := time.Since(made); !onDemand(n) && age > oldTip {
		f.Bad, f.Detail = true, fmt.Sprintf("%s: that is %v ago, so the node is not synced: wait until it has read the chain", f.Detail, age.Round(time.Hour))
	}
	return f
}

// checkRate looks at where a server gets a fee rate from, given what its node answered.
func checkRate(n *script.Network, c *ChainConfig, err error) []Finding {
	f := Finding{What: "fees of " + n.Name}
	switch {
	case err == nil || onDemand(n):
		return nil
	case !errors.Is(err, chain.ErrNoEstimate):
		f.Bad, f.Detail = true, chainAdvice(n.Name, c, err)
	case c.FeeRate != 0:
		f.Detail = fmt.Sprintf("no estimate; %d sat/vB is said, as fee_rate has it", c.FeeRate)
	default:
		f.Note, f.Detail = true, fmt.Sprintf("there is no estimate, so this server has no say in what a bank's transactions pay: set fee_rate (sat/vB) under [chains.%s]", n.Name)
	}
	return []Finding{f}
}

// checkDaemon looks at what a node runs, if it tells.
func checkDaemon(ctx context.Context, n *script.Network, b chain.Backend) []Finding {
	node, ok := b.(*rpc.Node)
	if !ok {
		return nil
	}
	if n.Chain != script.Litecoin || onDemand(n) {
		return nil
	}
	f := Finding{What: "node of " + n.Name}
	what, err := node.Software(ctx)
	if err != nil {
		f.Note, f.Detail = true, "it does not say what it is: see that it is Litecoin Core 0.21.5.4 or later"
		return []Finding{f}
	}
	if f.Detail = litecoin.Unsafe(what); f.Detail == "" {
		return nil
	}
	f.Bad = true
	return []Finding{f}
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
		section := c.Chains[network]
		all = append(all, checkChain(ctx, h, network, &section, running)...)
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
			if h.HasBankKeys() && !h.inBackup() {
				all = append(all, Finding{What: "backup", Note: true, Detail: fmt.Sprintf("none was made of this home's keys for banks as they are now; with too many of these lost, coins are: souk backup FILE --home %s", h)})
			}
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
