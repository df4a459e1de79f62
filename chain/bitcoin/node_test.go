package bitcoin_test

import (
	"os"
	"testing"

	"souk/chain/chaintest"
	"souk/internal/chainnode"
	"souk/internal/chainnode/nodetest"
)

func TestBtcd(t *testing.T) {
	m := nodetest.Start(t, chainnode.Btcd, "")
	chaintest.Run(t, nodetest.Rig(m))
}

func TestBitcoind(t *testing.T) {
	binary := os.Getenv("BITCOIND")
	if binary == "" {
		t.Skip("set BITCOIND to the path of bitcoind or Knots to run this")
	}
	m := nodetest.Start(t, chainnode.Bitcoind, binary)
	chaintest.Run(t, nodetest.Rig(m))
}
