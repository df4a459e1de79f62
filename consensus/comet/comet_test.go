package comet_test

import (
	"testing"

	"souk/consensus/consensustest"
)

func TestSuite(t *testing.T) {
	consensustest.Run(t, func(t *testing.T, n int) consensustest.Cluster { return newCluster(t, n) })
}
