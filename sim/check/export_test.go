package check

import (
	"iter"

	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/ledger"
	"souk/merkle"
)

// Plant is Block with a fault: spoil changes what the block reports before it is
// judged. It answers whether spoil found something to change.
func (a *Auditor) Plant(b *exchange.Block, spoil func(*exchange.Result) bool) (planted bool, err error) {
	was := before{root: a.state.Root(), version: a.state.Roster().Version(b.Height)}
	if banks := a.state.Banks(); banks != nil {
		was.halt = banks.Halted()
	}
	res := a.state.Apply(b)
	planted = spoil(res)
	_, err = a.judge(b, res, was)
	return planted, err
}

// Since judges an idle block as if another root had stood before it.
func (a *Auditor) Since(root merkle.Hash, b *exchange.Block, spoil func(*exchange.Result)) error {
	res := a.state.Apply(b)
	spoil(res)
	_, err := a.judge(b, res, before{root: root, halt: custody.Halt{}, version: a.state.Roster().Version(b.Height)})
	return err
}

// Audited compares an asset's terms with what events say.
func (a *Auditor) Audited(terms *ledger.Audit) error { return a.model.compareAsset(terms) }

// ReloadFrom is Reload with leaves that a fault may have spoilt.
func (a *Auditor) ReloadFrom(leaves iter.Seq2[merkle.Key, []byte]) error { return a.reload(leaves) }
