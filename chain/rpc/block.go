package rpc

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"souk/asset"
	"souk/chain"
	"souk/script"
)

// Block is a block as a daemon spells it out.
type Block struct {
	Hash         script.Hash   `json:"hash"`
	Height       uint32        `json:"height"`
	Version      int32         `json:"version"`
	Parent       script.Hash   `json:"previousblockhash"`
	Root         script.Hash   `json:"merkleroot"`
	Time         uint32        `json:"time"`
	Bits         string        `json:"bits"`
	Nonce        uint32        `json:"nonce"`
	Transactions []Transaction `json:"tx"`
	// Raw is where ltcd puts the transactions.
	Raw []Transaction `json:"rawtx"`
}

// Transaction is a transaction as a daemon spells it out.
type Transaction struct {
	ID      script.Hash `json:"txid"`
	Inputs  []Input     `json:"vin"`
	Outputs []Output    `json:"vout"`
}

// Input is an input. One of Litecoin's extension blocks has no outpoint.
type Input struct {
	Tx       *script.Hash `json:"txid"`
	Index    *uint32      `json:"vout"`
	Coinbase *string      `json:"coinbase"`
	MWEB     bool         `json:"ismweb"`
}

// Output is an output. One of Litecoin's extension blocks has only an id.
type Output struct {
	Amount *Amount `json:"value"`
	Index  *uint32 `json:"n"`
	Script struct {
		Hex    *string         `json:"hex"`
		NameOp json.RawMessage `json:"nameOp"`
	} `json:"scriptPubKey"`
	MWEB bool `json:"ismweb"`
}

// ReadBlock asks a daemon for a block with all its transactions, and checks that
// the header is the one that the hash names and that the transactions are the ones
// that the header names (T-25): chain.ErrMalformed if not.
func ReadBlock(ctx context.Context, c *Client, at chain.Point) (*Block, error) {
	b := &Block{}
	ok, err := c.Call(ctx, b, "getblock", at.Hash, 2)
	if err != nil {
		return nil, err
	}
	if !ok || b.Hash != at.Hash || b.Height != at.Height {
		return nil, fmt.Errorf("getblock answers with another block: %w", chain.ErrMalformed)
	}
	bits, err := hex.DecodeString(b.Bits)
	if err != nil || len(bits) != 4 {
		return nil, fmt.Errorf("bits of %v: %w", at, chain.ErrMalformed)
	}
	header := binary.LittleEndian.AppendUint32(nil, uint32(b.Version))
	header = append(header, b.Parent[:]...)
	header = append(header, b.Root[:]...)
	header = binary.LittleEndian.AppendUint32(header, b.Time)
	header = append(header, bits[3], bits[2], bits[1], bits[0])
	header = binary.LittleEndian.AppendUint32(header, b.Nonce)
	if double(header) != at.Hash {
		return nil, fmt.Errorf("header of %v has another hash: %w", at, chain.ErrMalformed)
	}
	if len(b.Transactions) == 0 {
		b.Transactions, b.Raw = b.Raw, nil
	}
	ids := make([]script.Hash, len(b.Transactions))
	for i := range b.Transactions {
		ids[i] = b.Transactions[i].ID
	}
	if root, ok := MerkleRoot(ids); !ok || root != b.Root {
		return nil, fmt.Errorf("transactions of %v are not those of its header: %w", at, chain.ErrMalformed)
	}
	return b, nil
}

// Match returns what a filter looks at in a transaction.
func (t *Transaction) Match() (chain.Transaction, error) {
	m := chain.Transaction{ID: t.ID}
	for _, in := range t.Inputs {
		switch {
		case in.MWEB:
		case in.Coinbase != nil:
			m.Coinbase = true
		case in.Tx == nil || in.Index == nil:
			return m, fmt.Errorf("input of %v without outpoint: %w", t.ID, chain.ErrMalformed)
		default:
			m.Inputs = append(m.Inputs, script.Outpoint{Tx: *in.Tx, Index: *in.Index})
		}
	}
	for _, out := range t.Outputs {
		if out.MWEB {
			continue
		}
		if out.Amount == nil || out.Index == nil || out.Script.Hex == nil || *out.Index != uint32(len(m.Outputs)) {
			return m, fmt.Errorf("output of %v: %w", t.ID, chain.ErrMalformed)
		}
		pays, err := hex.DecodeString(*out.Script.Hex)
		if err != nil {
			return m, fmt.Errorf("script of %v: %w", t.ID, chain.ErrMalformed)
		}
		if len(out.Script.NameOp) > 0 {
			pays = nil // a name, which locks an amount but is no currency (T-71)
		}
		m.Outputs = append(m.Outputs, script.Output{Script: pays, Amount: asset.Amount(*out.Amount)})
	}
	return m, nil
}

// MerkleRoot returns the root of a block's transactions. ok is false if there are
// none or one stands twice, as in lists that have the root of another list.
func MerkleRoot(ids []script.Hash) (root script.Hash, ok bool) {
	seen := make(map[script.Hash]struct{}, len(ids))
	for _, id := range ids {
		seen[id] = struct{}{}
	}
	if len(ids) == 0 || len(seen) < len(ids) {
		return script.Hash{}, false
	}
	level := append([]script.Hash(nil), ids...)
	for len(level) > 1 {
		if len(level)%2 == 1 {
			level = append(level, level[len(level)-1])
		}
		for i := range len(level) / 2 {
			level[i] = double(append(level[2*i][:], level[2*i+1][:]...))
		}
		level = level[:len(level)/2]
	}
	return level[0], true
}

func double(b []byte) script.Hash {
	first := sha256.Sum256(b)
	return sha256.Sum256(first[:])
}
