package libp2p_test

import (
	"testing"

	golibp2p "github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"

	"souk/transport/libp2p"
)

// TestRelay: a peer that relays gives others a place at which they can be dialled, and one
// that does not gives none.
func TestRelay(t *testing.T) {
	for _, relays := range []bool{true, false} {
		n := open(t, libp2p.Config{Relay: relays})
		browser, err := golibp2p.New(golibp2p.NoListenAddrs, golibp2p.DisableMetrics())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = browser.Close() })
		where, err := peer.AddrInfoFromString(string(n.Addrs()[0]) + "/p2p/" + name(t, n.Self()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Reserve(t.Context(), browser, *where); (err == nil) != relays {
			t.Errorf("relays %v: %v", relays, err)
		}
	}
}
