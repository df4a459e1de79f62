package check_test

import (
	"testing"

	"souk/script"
)

// I8: two transactions that spend different outputs of one bank transaction do not exclude
// each other: a common origin is no conflict.
func TestPayoutsOfOneOrigin(t *testing.T) {
	h := three(t)
	_, all := batch(1, []script.Outpoint{outpoint("x")}, []int{0, 1}, 4000, 3000)
	h.record(batch(4, []script.Outpoint{{Tx: all[0].ID(), Index: 2}}, []int{2}, 1))
	h.caught("one that spends another output", h.p.Record(batch(5, []script.Outpoint{{Tx: all[0].ID(), Index: 3}}, []int{2}, 1)))
}
