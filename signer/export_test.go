package signer

import (
	"souk/exchange/custody"
	"souk/script"
	"souk/threshold"
)

// Reread decodes a journal and encodes it again.
func Reread(data []byte) ([]byte, error) {
	b, err := decode(data)
	if err != nil {
		return nil, err
	}
	return b.encode(), nil
}

// Bind binds versions of a batch one after the other, each with its inputs. Those whose
// transactions are dead are never mined, as the ledger has it.
func Bind(versions [][]script.Outpoint, dead ...script.Hash) error {
	b := &book{bank: 1}
	for i, inputs := range versions {
		o := &order{
			bank: 1, batch: 7, version: uint8(i + 1), tx: script.Hash{byte(i + 1)}, ids: []custody.ID{12}, news: &news{dead: dead},
		}
		for _, at := range inputs {
			o.plan.Inputs = append(o.plan.Inputs, threshold.Coin{At: at})
		}
		if _, err := b.bind(o); err != nil {
			return err
		}
		var err error
		if b, err = decode(b.encode()); err != nil {
			return err
		}
	}
	return nil
}
