// Package asset owns money: asset numbers, amounts, prices and the only
// arithmetic that is done on them. Amounts are unsigned integers of an asset's
// ledger unit; a price is the number of quote ledger units paid for one whole
// base coin. Every operation is checked: overflow and underflow are reported,
// never wrapped and never clamped, and no floating point is used anywhere.
//
// What an asset is called, who issued it and who owns how much of it belongs to
// exchange/ledger. This is floor 0: it imports nothing of ours.
package asset

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// MaxSupply is the largest number of ledger units of one asset that may exist,
// 2^63-1. As no sum of balances of an asset can exceed its supply, no such sum
// can overflow an Amount.
const MaxSupply Amount = 1<<63 - 1

// MaxDecimals is the largest number of decimals an asset may have: a whole coin
// is at most 10^18 ledger units, which still fits an Amount.
const MaxDecimals = 18

// MaxText is the length in bytes of the longest text that Parse reads.
const MaxText = 64

// ID is the number the ledger gave an asset when it was issued. Zero is no asset.
type ID uint32

// Amount is a quantity of an asset in its ledger units (10^-decimals of a coin).
type Amount uint64

// Price is what one whole base coin costs, in ledger units of the quote asset.
type Price uint64

// Errors of Parse functions.
var (
	// ErrSyntax is returned for text that is not a plain decimal number.
	ErrSyntax = errors.New("not a decimal number")
	// ErrPrecision is returned for a number with more decimals than the asset has.
	ErrPrecision = errors.New("too many decimals")
	// ErrRange is returned for a number that does not fit.
	ErrRange = errors.New("number out of range")
)

// Add returns a+b; ok is false, and the sum meaningless, if it overflows.
func (a Amount) Add(b Amount) (sum Amount, ok bool) {
	s, carry := bits.Add64(uint64(a), uint64(b), 0)
	return Amount(s), carry == 0
}

// Sub returns a-b; ok is false, and the difference meaningless, if b > a.
func (a Amount) Sub(b Amount) (diff Amount, ok bool) {
	return a - b, b <= a
}

// Unit returns 10^decimals, the ledger units of one whole coin. It is zero for
// decimals above MaxDecimals.
func Unit(decimals uint8) Amount {
	if decimals > MaxDecimals {
		return 0
	}
	return Amount(powers[decimals])
}

var powers = [MaxDecimals + 1]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
}

// Wide is an unsigned 128-bit integer: the exact product of a price and a
// quantity, or a running sum of such products.
type Wide struct{ Hi, Lo uint64 }

// Mul returns the exact product of two numbers.
func Mul(x, y uint64) Wide {
	hi, lo := bits.Mul64(x, y)
	return Wide{hi, lo}
}

// Add returns w+v; ok is false if the sum needs more than 128 bits.
func (w Wide) Add(v Wide) (sum Wide, ok bool) {
	lo, carry := bits.Add64(w.Lo, v.Lo, 0)
	hi, carry := bits.Add64(w.Hi, v.Hi, carry)
	return Wide{hi, lo}, carry == 0
}

// Sub returns w-v; ok is false if v > w.
func (w Wide) Sub(v Wide) (diff Wide, ok bool) {
	lo, borrow := bits.Sub64(w.Lo, v.Lo, 0)
	hi, borrow := bits.Sub64(w.Hi, v.Hi, borrow)
	return Wide{hi, lo}, borrow == 0
}

// Cmp returns -1, 0 or +1 as w is less than, equal to or greater than v.
func (w Wide) Cmp(v Wide) int {
	switch {
	case w.Hi < v.Hi || w.Hi == v.Hi && w.Lo < v.Lo:
		return -1
	case w == v:
		return 0
	}
	return 1
}

// IsZero tells whether w is zero.
func (w Wide) IsZero() bool { return w.Hi|w.Lo == 0 }

// Div returns w/d rounded down and the remainder. ok is false if d is zero or
// the quotient does not fit 64 bits.
func (w Wide) Div(d uint64) (quo, rem uint64, ok bool) {
	if d <= w.Hi { // covers d == 0
		return 0, 0, false
	}
	quo, rem = bits.Div64(w.Hi, w.Lo, d)
	return quo, rem, true
}

// DivUp returns w/d rounded up. ok is false if d is zero or the quotient does
// not fit 64 bits.
func (w Wide) DivUp(d uint64) (quo uint64, ok bool) {
	quo, rem, ok := w.Div(d)
	if !ok || rem == 0 {
		return quo, ok
	}
	quo++
	return quo, quo != 0
}

// CostUp is what q ledger units of a base asset with the given decimals cost at
// price p, in quote ledger units, rounded up. ok is false if it does not fit.
func CostUp(p Price, q Amount, baseDecimals uint8) (cost Amount, ok bool) {
	c, ok := Mul(uint64(p), uint64(q)).DivUp(uint64(Unit(baseDecimals)))
	return Amount(c), ok
}

// CostDown is CostUp rounded down.
func CostDown(p Price, q Amount, baseDecimals uint8) (cost Amount, ok bool) {
	c, _, ok := Mul(uint64(p), uint64(q)).Div(uint64(Unit(baseDecimals)))
	return Amount(c), ok
}

// Format writes an amount as a plain decimal number with exactly the asset's
// decimals, the one text form that every interface uses.
func Format(a Amount, decimals uint8) string {
	digits := strconv.FormatUint(uint64(a), 10)
	if decimals == 0 {
		return digits
	}
	if pad := int(decimals) + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	point := len(digits) - int(decimals)
	return digits[:point] + "." + digits[point:]
}

// Parse reads a plain decimal number ("12", "0.5", "12.50000000") as an amount
// of an asset with the given decimals. Signs, exponents, spaces and digit
// groups are refused (ErrSyntax), as are decimals that the asset does not have
// (ErrPrecision) and numbers of 2^64 ledger units or more (ErrRange).
func Parse(s string, decimals uint8) (Amount, error) {
	if len(s) > MaxText {
		return 0, fmt.Errorf("%d characters: %w", len(s), ErrSyntax)
	}
	if decimals > MaxDecimals {
		return 0, fmt.Errorf("no asset has %d decimals: %w", decimals, ErrRange)
	}
	whole, frac, dot := strings.Cut(s, ".")
	if !digitsOnly(whole) || dot && !digitsOnly(frac) {
		return 0, fmt.Errorf("%q: %w", s, ErrSyntax)
	}
	if len(frac) > int(decimals) {
		return 0, fmt.Errorf("%q has more than %d decimals: %w", s, decimals, ErrPrecision)
	}
	n, err := strconv.ParseUint(whole+frac+strings.Repeat("0", int(decimals)-len(frac)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", s, ErrRange)
	}
	return Amount(n), nil
}

func digitsOnly(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
