// Package bulk scales the tests that repeat one property many times. They run
// at full count without the race detector, which looks for wrong results, and at
// a tenth with it, which looks for races and needs few repetitions to see them.
//
// Only tests import it. It stands beside the floors.
package bulk

// Count returns how many of n repetitions this build makes: n, or a tenth of n
// but at least one under the race detector. It returns zero for n <= 0.
func Count(n int) int {
	if n <= 0 {
		return 0
	}
	return max(1, n/divisor)
}

// Whole tells whether this build makes all repetitions, so that what is rare can
// be expected to have happened.
func Whole() bool { return divisor == 1 }
