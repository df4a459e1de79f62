// Package consensus is a port that imports its own adapter's library.
package consensus

import (
	_ "github.com/cometbft/cometbft/types" // want "consensus must not import github.com/cometbft/cometbft/types: it belongs to consensus/comet"
	_ "github.com/cometbftish/other"
)

type Port interface{}
