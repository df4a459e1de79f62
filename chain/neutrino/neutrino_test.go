package neutrino_test

import (
	"path/filepath"
	"testing"
	"time"

	library "github.com/lightninglabs/neutrino"

	"souk/chain"
	"souk/chain/chaintest"
	"souk/chain/neutrino"
	"souk/internal/chainnode"
	"souk/internal/chainnode/nodetest"
)

func TestBtcd(t *testing.T) {
	library.ConnectionRetryInterval = 200 * time.Millisecond // it leaves its peer at every reorganisation
	m := nodetest.Start(t, chainnode.Btcd, "")
	dir := filepath.Join(t.TempDir(), "light")
	open := func(t *testing.T) chain.Backend {
		t.Helper()
		b, err := neutrino.Open(chainnode.Btcd.Network(), neutrino.Config{
			Dir: dir, Peers: []string{m.Node().Peer()}, BroadcastTimeout: 500 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	chaintest.Run(t, func(t *testing.T) *chaintest.Rig {
		return &chaintest.Rig{Miner: m, Backend: open(t), Reopen: open, Light: true, Unsure: true, Steps: 20}
	})
}
