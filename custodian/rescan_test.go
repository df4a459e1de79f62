package custodian_test

import (
	"testing"

	"souk/custodian"
)

// Accounts that ask for many addresses all the time do not make members read 144 blocks
// again for each block: the first time it is at once, later 12 blocks apart, for all of
// them together (W-24).
func TestRescans(t *testing.T) {
	for blocks, want := range map[int]int{1: 1, 12: 1, 13: 2, 144: 12} {
		if got := custodian.Rescans(blocks); got != want {
			t.Errorf("%d times within %d blocks, not %d", got, blocks, want)
		}
	}
}
