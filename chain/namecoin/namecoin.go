// Package namecoin is the adapter of the chain port to Namecoin over the JSON-RPC of
// Namecoin Core. Blocks are mined together with another chain's and carry the proof
// in their middle, so the daemon spells them out. An output that holds a name shows
// the address of who owns it and locks an amount, but is no currency: it is never
// found. Floor 2.
package namecoin

import (
	"context"
	"fmt"

	"souk/chain"
	"souk/chain/rpc"
	"souk/script"
)

// Since blocks may be mined together with those of other chains their versions
// carry the number of the chain. On the regression test network all do.
const (
	chainID     = 1
	chainIDFrom = 19_200 // on the main network
)

// Open returns a backend over a daemon. It does not call the daemon yet.
func Open(network *script.Network, c rpc.Config) (*rpc.Node, error) {
	if network.Chain != script.Namecoin {
		return nil, fmt.Errorf("%s is not a network of Namecoin", network.Name)
	}
	from := uint32(1)
	if network.Name == "namecoin" {
		from = chainIDFrom
	}
	read := func(ctx context.Context, c *rpc.Client, at chain.Point) ([]chain.Transaction, error) {
		b, err := rpc.ReadBlock(ctx, c, at)
		if err != nil {
			return nil, err
		}
		if at.Height >= from && b.Version>>16 != chainID {
			return nil, fmt.Errorf("%w: %v is not a block of Namecoin", chain.ErrWrongNetwork, at)
		}
		list := make([]chain.Transaction, len(b.Transactions))
		for i := range b.Transactions {
			if list[i], err = b.Transactions[i].Match(); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return rpc.Open(network, c, rpc.Dialect{Read: read})
}
