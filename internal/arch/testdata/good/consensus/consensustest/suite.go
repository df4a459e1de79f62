// Package consensustest is test support.
package consensustest

import (
	_ "testing"

	_ "souk/consensus"
)
