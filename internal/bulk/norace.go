//go:build !race

package bulk

// divisor is by how much the race detector's build cuts repetitions.
const divisor = 1
