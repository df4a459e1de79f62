package signer

import (
	"souk/exchange/custody"
	"souk/script"
	"souk/threshold"
)

// Order is what the journal looks at of a transaction that is to be signed.
type Order struct {
	Batch   uint64
	Version uint8
	Tx      script.Hash
	Pays    []custody.ID
	Spends  []script.Outpoint
}

// BindAfter binds an order after another one, in a journal in which some withdrawals are
// paid, both ends of the range included.
func BindAfter(first, last custody.ID, before *Order, o Order) error {
	b := &book{bank: 1}
	if last != 0 {
		b.finish(ids{first, last})
	}
	list := []Order{o}
	if before != nil {
		list = []Order{*before, o}
	}
	for _, o := range list {
		next := &order{bank: 1, batch: o.Batch, version: o.Version, tx: o.Tx, ids: o.Pays, news: &news{}}
		for _, at := range o.Spends {
			next.plan.Inputs = append(next.plan.Inputs, threshold.Coin{At: at})
		}
		if _, err := b.bind(next); err != nil {
			return err
		}
		var err error
		if b, err = decode(b.encode()); err != nil {
			return err
		}
	}
	return nil
}
