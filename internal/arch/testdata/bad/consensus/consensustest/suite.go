// Package consensustest is test support and keeps to the rules.
package consensustest

import (
	_ "testing"

	_ "pgregory.net/rapid"

	_ "souk/consensus"
)
