// Package bitcoin is the adapter of the chain port to Bitcoin over the JSON-RPC of
// btcd, Bitcoin Core or Knots. It reads blocks as bytes, so amounts and scripts are
// what the chain has and not what a daemon writes about them, and checks that they
// belong to the block that was asked for. The light client is chain/neutrino.
// Floor 2.
package bitcoin

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"

	"github.com/btcsuite/btcd/wire/v2"

	"souk/asset"
	"souk/chain"
	"souk/chain/rpc"
	"souk/script"
)

// Open returns a backend over a daemon. It does not call the daemon yet.
func Open(network *script.Network, c rpc.Config) (*rpc.Node, error) {
	if network.Chain != script.Bitcoin {
		return nil, fmt.Errorf("%s is not a network of Bitcoin", network.Name)
	}
	return rpc.Open(network, c, rpc.Dialect{Read: read})
}

func read(ctx context.Context, c *rpc.Client, at chain.Point) ([]chain.Transaction, error) {
	var text string
	if ok, err := c.Call(ctx, &text, "getblock", at.Hash, 0); err != nil || !ok {
		return nil, err
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", at, chain.ErrMalformed)
	}
	in := bytes.NewReader(raw)
	block := &wire.MsgBlock{}
	if err := block.Deserialize(in); err != nil || in.Len() > 0 {
		return nil, fmt.Errorf("%v is not a block of Bitcoin: %w", at, chain.ErrMalformed)
	}
	return Transactions(block, at)
}

// Transactions returns what filters look at in a block, and checks that the block is
// the one that at names and the transactions are those of its header (T-25): chain.ErrMalformed
// if not.
func Transactions(block *wire.MsgBlock, at chain.Point) ([]chain.Transaction, error) {
	if script.Hash(block.BlockHash()) != at.Hash {
		return nil, fmt.Errorf("%v has another hash: %w", at, chain.ErrMalformed)
	}
	ids := make([]script.Hash, len(block.Transactions))
	list := make([]chain.Transaction, len(block.Transactions))
	for i, tx := range block.Transactions {
		ids[i] = script.Hash(tx.TxHash())
		m := chain.Transaction{ID: ids[i], Coinbase: i == 0}
		for _, in := range tx.TxIn {
			if i > 0 {
				m.Inputs = append(m.Inputs, script.Outpoint{Tx: script.Hash(in.PreviousOutPoint.Hash), Index: in.PreviousOutPoint.Index})
			}
		}
		for _, out := range tx.TxOut {
			if out.Value < 0 {
				return nil, fmt.Errorf("%v pays less than nothing: %w", at, chain.ErrMalformed)
			}
			m.Outputs = append(m.Outputs, script.Output{Script: out.PkScript, Amount: asset.Amount(out.Value)})
		}
		list[i] = m
	}
	if root, ok := rpc.MerkleRoot(ids); !ok || root != script.Hash(block.Header.MerkleRoot) {
		return nil, fmt.Errorf("transactions of %v are not those of its header: %w", at, chain.ErrMalformed)
	}
	return list, nil
}
