package litecoin_test

import (
	"os"
	"testing"

	"souk/chain/chaintest"
	"souk/internal/chainnode"
	"souk/internal/chainnode/nodetest"
)

func TestLtcd(t *testing.T) {
	m := nodetest.Start(t, chainnode.Ltcd, "")
	chaintest.Run(t, func(t *testing.T) *chaintest.Rig {
		rig := nodetest.Rig(m)(t)
		rig.Pending = false // ltcd does not tell what spends a coin
		rig.Steps = 25      // a deep reorganisation takes another node
		return rig
	})
}

func TestLitecoind(t *testing.T) {
	binary := os.Getenv("LITECOIND")
	if binary == "" {
		t.Skip("set LITECOIND to the path of litecoind to run this")
	}
	m := nodetest.Start(t, chainnode.Litecoind, binary)
	chaintest.Run(t, nodetest.Rig(m))
}
