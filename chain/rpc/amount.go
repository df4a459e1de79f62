package rpc

import (
	"fmt"
	"strings"

	"souk/asset"
	"souk/chain"
)

// decimals of every chain here.
const decimals = 8

// Amount is an amount in coins as daemons write it: a decimal number of JSON,
// exact to eight places, perhaps with an exponent (btcd writes 1e-08). It is read
// from its digits and never becomes a float (T-23).
type Amount asset.Amount

// UnmarshalJSON reads an amount.
func (a *Amount) UnmarshalJSON(text []byte) error {
	units, exact, ok := parseDecimal(string(text))
	if !ok || !exact {
		return fmt.Errorf("amount %.40q: %w", text, chain.ErrMalformed)
	}
	*a = Amount(units)
	return nil
}

// Rate is a fee rate in coins per 1,000 virtual bytes. What is finer than a unit is rounded up.
type Rate asset.Amount

// UnmarshalJSON reads a rate. A negative one is how old daemons say that they have none: 0.
func (r *Rate) UnmarshalJSON(text []byte) error {
	if strings.HasPrefix(string(text), "-") {
		*r = 0
		return nil
	}
	units, exact, ok := parseDecimal(string(text))
	if !ok {
		return fmt.Errorf("rate %.40q: %w", text, chain.ErrMalformed)
	}
	if !exact {
		units++
	}
	*r = Rate(units)
	return nil
}

// parseDecimal returns the units of a non-negative JSON number in coins, rounded
// down, and whether that is exact. No amount of money has more than 18 digits in
// units; what has more is refused.
func parseDecimal(s string) (units asset.Amount, exact, ok bool) {
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa = s[:i]
		if exponent, ok = parseExponent(s[i+1:]); !ok {
			return 0, false, false
		}
	}
	whole, fraction, point := strings.Cut(mantissa, ".")
	if whole == "" || point && fraction == "" || len(mantissa) > 40 {
		return 0, false, false
	}
	digits := whole + fraction
	shift := decimals + exponent - len(fraction) // of the digits, to be units
	exact = true
	for i, d := range digits {
		if d < '0' || d > '9' {
			return 0, false, false
		}
		if i >= len(digits)+shift { // below a unit
			exact = exact && d == '0'
			continue
		}
		if units >= 1e17 {
			return 0, false, false
		}
		units = 10*units + asset.Amount(d-'0')
	}
	for ; shift > 0 && units > 0; shift-- {
		if units >= 1e17 {
			return 0, false, false
		}
		units *= 10
	}
	return units, exact, true
}

func parseExponent(s string) (n int, ok bool) {
	sign := 1
	if rest, minus := strings.CutPrefix(s, "-"); minus {
		s, sign = rest, -1
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	if s == "" || len(s) > 3 {
		return 0, false
	}
	for _, d := range s {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = 10*n + int(d-'0')
	}
	return sign * n, true
}
