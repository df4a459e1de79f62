package custodiantest

import (
	"context"
	"fmt"
	"slices"

	"souk/asset"
	"souk/chain"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/script"
)

// Book keeps, apart from the code that it checks, which transactions members signed
// for which withdrawals.
type Book struct {
	f    *Federation
	paid map[custody.ID]map[script.Hash]script.Transaction // signed by anybody, by id of the transaction
	most map[custody.ID]asset.Amount                       // the bound of its share of the fee
	want map[custody.ID]script.Output
}

// NewBook follows a federation from now on.
func NewBook(f *Federation) *Book {
	b := &Book{
		f: f, paid: map[custody.ID]map[script.Hash]script.Transaction{}, most: map[custody.ID]asset.Amount{},
		want: map[custody.ID]script.Output{},
	}
	before := f.Seen
	f.Seen = func(commands []exchange.Command, res *exchange.Result) {
		if before != nil {
			before(commands, res)
		}
		b.read(commands, res)
	}
	return b
}

func (b *Book) read(commands []exchange.Command, res *exchange.Result) {
	codes := map[exchange.CommandID]exchange.Receipt{}
	for _, r := range res.Receipts {
		codes[r.ID] = r
	}
	for i := range commands {
		r := codes[commands[i].ID]
		if r.Code != exchange.OK {
			continue
		}
		body, ok := exchange.ParseBody(commands[i].Kind, commands[i].Body)
		if !ok {
			continue
		}
		switch x := body.(type) {
		case *exchange.Withdraw:
			id := custody.ID(r.Number)
			b.most[id], b.want[id] = x.MaxFee, script.Output{Script: x.Script, Amount: x.Amount}
		case *exchange.Sign:
			b.signed(x)
		}
	}
}

// signed notes what a signature is of.
func (b *Book) signed(x *exchange.Sign) {
	batch, ok := b.f.Banks().Batch(x.Bank, x.Batch)
	tx, is := b.f.Banks().Transaction(x.Bank, x.Batch, x.Version)
	if !ok || !is {
		return
	}
	for i := range batch.Payouts {
		id := batch.Payouts[i].ID
		if b.paid[id] == nil {
			b.paid[id] = map[script.Hash]script.Transaction{}
		}
		b.paid[id][tx.ID()] = tx
	}
}

// Conflicts checks that of all transactions that anybody signed for a withdrawal any
// two spend a coin in common, so that at most one of them can be mined.
func (b *Book) Conflicts() error {
	for id, signed := range b.paid {
		for one, x := range signed {
			for other, y := range signed {
				if one != other && !slices.ContainsFunc(x.Inputs, func(at script.Outpoint) bool { return slices.Contains(y.Inputs, at) }) {
					return fmt.Errorf("withdrawal %d: %s and %s do not conflict", id, one, other)
				}
			}
		}
	}
	return nil
}

// Settled checks that every withdrawal was paid once, to the unit, by a share of the fee
// within its bound, and that the chain says the same. Each must have an output of its own.
func (b *Book) Settled() error {
	paid, err := b.onChain()
	if err != nil {
		return err
	}
	for id, want := range b.want {
		s, ok := b.f.Banks().Settled(id)
		if !ok {
			w, waits := b.f.Banks().Withdrawal(id)
			return fmt.Errorf("withdrawal %d is not settled: %+v, %v", id, w, waits)
		}
		if s.Amount != want.Amount || s.Fee > b.most[id] {
			return fmt.Errorf("withdrawal %d of %d: %d, and %d of the fee, at most %d", id, want.Amount, s.Amount, s.Fee, b.most[id])
		}
		list := paid[string(want.Script)]
		if len(list) != 1 || list[0].At != s.At || list[0].Amount != want.Amount {
			return fmt.Errorf("withdrawal %d: the chain has %+v", id, list)
		}
	}
	return nil
}

// onChain reads what the chain pays to the outputs of withdrawals.
func (b *Book) onChain() (map[string][]chain.Payment, error) {
	filter := chain.NewFilter()
	for _, want := range b.want {
		filter.Watch(want.Script)
	}
	v := visitor{}
	network := b.f.Members[0].Node.Network()
	_, err := chain.Walk(context.Background(), b.f.Chain.Node(), chain.Locator{{Hash: network.Genesis}}, filter, v)
	return v, err
}

type visitor map[string][]chain.Payment

func (visitor) Rewind(chain.Point) error { return nil }

func (v visitor) Connect(_ chain.Block, found chain.Found) error {
	for _, p := range found.Payments {
		v[string(p.Script)] = append(v[string(p.Script)], p)
	}
	return nil
}

// Versions returns how many transactions were signed for a withdrawal.
func (b *Book) Versions(id custody.ID) int { return len(b.paid[id]) }

// Withdraw asks for a withdrawal of an account to an output of a name of its own.
func (b *Book) Withdraw(name, to string, amount, bound asset.Amount) {
	b.f.Ask(name, &exchange.Withdraw{Request: custody.Request{Bank: Bank, Script: exchangetest.Output(to), Amount: amount, MaxFee: bound}})
}

// Asked returns how many withdrawals were taken.
func (b *Book) Asked() int { return len(b.want) }
