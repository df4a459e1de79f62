package chain

import (
	"maps"

	"souk/script"
)

// Filter is what Scan looks for: payments to scripts and spends of coins. It
// belongs to its caller and may grow at any time but during a call; what blocks
// before held is found by asking about them again.
type Filter struct {
	scripts map[string]struct{}
	coins   map[script.Outpoint]string // by outpoint, the script
}

// NewFilter returns a filter that looks for payments to some scripts.
func NewFilter(scripts ...[]byte) *Filter {
	f := &Filter{scripts: map[string]struct{}{}, coins: map[script.Outpoint]string{}}
	f.Watch(scripts...)
	return f
}

// Watch adds scripts, whose payments will be reported.
func (f *Filter) Watch(scripts ...[]byte) {
	for _, s := range scripts {
		f.scripts[string(s)] = struct{}{}
	}
}

// Expect adds a coin, whose spending will be reported. Its script is what light
// clients recognise the block by.
func (f *Filter) Expect(at script.Outpoint, out []byte) { f.coins[at] = string(out) }

// Forget takes a coin out again.
func (f *Filter) Forget(at script.Outpoint) { delete(f.coins, at) }

// Clone returns a copy that grows by itself.
func (f *Filter) Clone() *Filter {
	return &Filter{scripts: maps.Clone(f.scripts), coins: maps.Clone(f.coins)}
}

// Scripts returns every script once, those of coins included, in no order.
func (f *Filter) Scripts() [][]byte {
	list := make([][]byte, 0, len(f.scripts))
	for s := range f.scripts {
		list = append(list, []byte(s))
	}
	seen := map[string]struct{}{}
	for _, s := range f.coins {
		_, watched := f.scripts[s]
		if _, ok := seen[s]; !ok && !watched {
			seen[s] = struct{}{}
			list = append(list, []byte(s))
		}
	}
	return list
}

// Transaction is what adapters hand to Match of a block's transaction.
type Transaction struct {
	ID       script.Hash
	Inputs   []script.Outpoint // none of a coinbase
	Outputs  []script.Output   // without a script if it is no currency
	Coinbase bool
	PegOut   bool // a HogEx: its outputs after the first are peg-outs
}

// Match finds what the filter looks for in the transactions of a block, which it
// takes in their order: a payment that the block itself spends again is reported
// as both (T-22).
func (f *Filter) Match(transactions []Transaction) Found {
	var found Found
	fresh := map[script.Outpoint]struct{}{}
	for _, tx := range transactions {
		for i, in := range tx.Inputs {
			_, expected := f.coins[in]
			if _, ok := fresh[in]; ok || expected {
				found.Spends = append(found.Spends, Spend{At: in, By: tx.ID, Input: uint32(i)})
			}
		}
		for i, out := range tx.Outputs {
			if _, ok := f.scripts[string(out.Script)]; !ok || len(out.Script) == 0 {
				continue
			}
			at := script.Outpoint{Tx: tx.ID, Index: uint32(i)}
			fresh[at] = struct{}{}
			found.Payments = append(found.Payments, Payment{
				At: at, Script: out.Script, Amount: out.Amount,
				Coinbase: tx.Coinbase, PegOut: tx.PegOut && i > 0,
			})
		}
	}
	return found
}
