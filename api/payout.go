package api

import (
	"errors"

	"souk/asset"
	"souk/exchange/custody"
	"souk/script"
)

// BoundFactor is by how much the bound of a withdrawal's fee should exceed what it costs
// now if nobody shares its transaction.
const BoundFactor = 3

// PayoutFee is what a withdrawal to an output costs at a rate if nobody shares its
// transaction, in units, and what it costs at the lowest rate for the output alone.
// newest is the bank's newest series; rate is units per 1,000 virtual bytes, as members
// know it, and is bounded as they bound it (Y-53).
func PayoutFee(newest *custody.SeriesRecord, n *script.Network, out []byte, rate uint64) (estimate, least asset.Amount, err error) {
	at := min(max(asset.Amount(rate), n.MinRelay), max(custody.MaxRate, 10*n.MinRelay))
	change, err := newest.Output(script.Change, 0)
	if err != nil {
		return 0, 0, err
	}
	weight := script.TransactionWeight([]uint64{newest.InputWeight(false)}, []uint64{script.OutputWeight(out), script.OutputWeight(change)})
	estimate, ok := script.Fee(at, weight)
	if !ok {
		return 0, 0, errors.New("the fee is too large to be counted")
	}
	least, _ = script.Fee(n.MinRelay, script.OutputWeight(out))
	return estimate, least, nil
}
