// Package bulk scales the tests that repeat one property many times. They run
// at full count without the race detector, which looks for wrong results, and at
// a tenth with it, which looks for races and needs few repetitions to see them.
//
// The environment variable SOUK_FACTOR, a whole number from 1 on, multiplies the
// properties that are too dear to be repeated as often as they should be whenever
// everything is tested; make soak sets it (Raised).
//
// Only tests import it. It stands beside the floors.
package bulk

import (
	"os"
	"strconv"
)

// factorVariable names the environment variable with the factor of Raised.
const factorVariable = "SOUK_FACTOR"

// Count returns how many of n repetitions this build makes: n, or a tenth of n
// but at least one under the race detector. It returns zero for n <= 0.
func Count(n int) int {
	if n <= 0 {
		return 0
	}
	return max(1, n/divisor)
}

// Raised is Count of n times the factor that the environment sets, but of no more
// than most. It panics over a factor that is not a whole number from 1 on: a run
// that was meant to be long must not be a short one.
func Raised(n, most int) int {
	factor := 1
	if text := os.Getenv(factorVariable); text != "" {
		var err error
		if factor, err = strconv.Atoi(text); err != nil || factor < 1 {
			panic(factorVariable + " is not a whole number from 1 on: " + text) //nolint:forbidigo // only tests run it, and it has no test to fail
		}
	}
	return Count(min(most, n*min(factor, max(1, most))))
}

// Whole tells whether this build makes all repetitions, so that what is rare can
// be expected to have happened.
func Whole() bool { return divisor == 1 }
