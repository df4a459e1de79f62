// Package asset looks like trouble and is none.
package asset

import "math/bits"

const unit = 1e8

type Amount uint64

var powers = [3]uint64{1, 1e1, 1e2}

func Unit(i int) Amount {
	local := powers
	local[0]++
	_ = bits.Len64(powers[i])
	return unit
}
