package signer

import (
	"errors"

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

func (o *Order) signed() signed { return signed{o.Version, o.Tx, o.Spends} }

// order is what Sign would have made of it.
func (o *Order) order(n *news) *order {
	x := &order{bank: 1, batch: o.Batch, version: o.Version, tx: o.Tx, ids: o.Pays, news: n}
	for _, at := range o.Spends {
		x.plan.Inputs = append(x.plan.Inputs, threshold.Coin{At: at})
	}
	return x
}

// BindRestored binds an order in a journal that knows some versions of its batch, once the
// ledger has told of others.
func BindRestored(known, given []Order, o Order) error {
	e := func(list []Order) entry {
		e := entry{batch: list[0].Batch, ids: list[0].Pays}
		for i := range list {
			e.versions = append(e.versions, list[i].signed())
		}
		return e
	}
	b := &book{bank: 1, entries: []entry{e(known)}}
	n := &news{ends: map[uint64]ending{known[0].Batch: open}, given: []entry{e(given)}}
	b.learn(n)
	if b.learn(n) {
		return errors.New("it learns the same twice")
	}
	b, err := decode(b.encode())
	if err != nil {
		return err
	}
	_, err = b.bind(o.order(n))
	return err
}

// Ended tells whether a batch of which an order was signed has ended, and whether by being
// settled.
func Ended(view *custody.State, id custody.Bank, o Order) (ended, paid bool) {
	e := endOf(view, id, &entry{batch: o.Batch, ids: o.Pays, versions: []signed{o.signed()}})
	return e != open, e == settled
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
		if _, err := b.bind(o.order(&news{})); err != nil {
			return err
		}
		var err error
		if b, err = decode(b.encode()); err != nil {
			return err
		}
	}
	return nil
}
