// Package comet may use the library it owns, but not test code.
package comet

import (
	_ "github.com/cometbft/cometbft/types"
	_ "pgregory.net/rapid" // want "consensus/comet ships and must not import pgregory.net/rapid, which is for tests"
	_ "testing"            // want "consensus/comet ships and must not import testing, which is for tests"

	_ "souk/consensus"
	_ "souk/consensus/consensustest" // want "consensus/comet must not import consensus/consensustest"
)
