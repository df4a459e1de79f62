// Package comet uses the library it owns.
package comet

import (
	_ "github.com/cometbft/cometbft/types"

	_ "souk/consensus"
)
