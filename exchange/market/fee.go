package market

import (
	"souk/asset"
)

// million is what fee rates are fractions of.
const million = 1_000_000

// feeRate is the rate, in millionths, that an order pays for a fill. A resting
// order pays the maker fee and who comes to take it the taker fee; in the inner
// cross both are new and pay the taker fee, but post-only orders the maker fee
// (M-33).
func (b *book) feeRate(o *order, taker, inner bool) uint32 {
	if taker && !inner || inner && !o.is(postOnly) {
		return b.TakerPPM
	}
	return b.MakerPPM
}

// charge takes the fee for a credit: the order's fees so far are the sum of its
// credits times their rates, rounded up once for the whole order, and a fill pays
// the difference. So splitting an order never makes it cheaper, and an order
// filled in many parts pays no more than one filled at once (M-32).
func (o *order) charge(credit asset.Amount, ppm uint32) asset.Amount {
	if ppm == 0 {
		return 0
	}
	sum, ok := o.feeSum.Add(asset.Mul(uint64(credit), uint64(ppm)))
	total, fits := sum.DivUp(million)
	if !ok || !fits {
		panic("market: a fee overflows") //nolint:forbidigo // credits are bounded by supply
	}
	fee := asset.Amount(total) - o.fee
	o.feeSum, o.fee = sum, asset.Amount(total)
	return fee
}
