// Package litecoin is the adapter of the chain port to Litecoin over the JSON-RPC of
// ltcd or Litecoin Core. Blocks end in an extension block that only Litecoin's own
// libraries read, so the daemon spells them out. Coins that leave the extension
// block come out of a HogEx transaction: they are flagged, and as its id changes
// when a reorganisation takes its block out, they are found at another outpoint
// then. Floor 2.
package litecoin

import (
	"context"
	"fmt"
	"strings"

	"souk/chain"
	"souk/chain/rpc"
	"souk/script"
)

// Open returns a backend over a daemon. It does not call the daemon yet.
func Open(network *script.Network, c rpc.Config) (*rpc.Node, error) {
	if network.Chain != script.Litecoin {
		return nil, fmt.Errorf("%s is not a network of Litecoin", network.Name)
	}
	return rpc.Open(network, c, rpc.Dialect{Read: read})
}

// leastCore is the first version of Litecoin Core, as getnetworkinfo has it, that refuses
// coins which came into being by a fault of the extension block's rules: 0.21.5.4.
const leastCore = 210504

// Unsafe says why a daemon must not be believed on a network where coins are worth
// something; "" for nothing known.
func Unsafe(s rpc.Software) string {
	switch {
	case !strings.HasPrefix(s.Name, "/LitecoinCore:"):
		return "this is not Litecoin Core: ltcd does not check the extension block, so it takes blocks that are none. Run Litecoin Core 0.21.5.4 or later"
	case s.Version < leastCore:
		return strings.Trim(s.Name, "/") + " takes blocks with coins that came from nothing (March 2026). Run Litecoin Core 0.21.5.4 or later"
	}
	return ""
}

func read(ctx context.Context, c *rpc.Client, at chain.Point) ([]chain.Transaction, error) {
	b, err := rpc.ReadBlock(ctx, c, at)
	if err != nil {
		return nil, err
	}
	list := make([]chain.Transaction, len(b.Transactions))
	for i := range b.Transactions {
		if list[i], err = b.Transactions[i].Match(); err != nil {
			return nil, err
		}
	}
	if last := &list[len(list)-1]; len(list) > 1 && len(last.Outputs) > 0 {
		last.PegOut = hogAddress(last.Outputs[0].Script)
	}
	return list, nil
}

// hogAddress tells whether a script holds what is in the extension block: version 8
// and 32 bytes. Only the last transaction of a block, the HogEx, begins with one.
// If somebody else paid to such a script, his transaction would only be held longer.
func hogAddress(out []byte) bool {
	const op8 = 0x58
	return len(out) == 34 && out[0] == op8 && out[1] == 32
}
