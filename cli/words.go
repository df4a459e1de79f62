package cli

import (
	"fmt"
	"strings"

	"souk/script"
)

// count is a number of things: one block, 3 blocks.
func count[N int | uint32 | uint64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// signatures says how many have signed, and how many must.
func signatures(signed, needed int) string { return fmt.Sprintf("%d, needs %d", signed, needed) }

// rateText is a fee rate as users of a chain write it. It is counted in units per 1,000
// virtual bytes.
func rateText(network string, rate uint64) string {
	unit := "units"
	if n, ok := script.ByName(network); ok {
		unit = map[script.Chain]string{script.Bitcoin: "sat", script.Litecoin: "litoshi", script.Namecoin: "swartz"}[n.Chain]
	}
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%d.%03d", rate/1000, rate%1000), "0"), ".") + " " + unit + "/vB"
}
