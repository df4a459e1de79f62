package libp2p_test

import (
	"crypto/rand"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"souk/identity"
	"souk/transport"
	"souk/transport/libp2p"
	"souk/transport/transporttest"
)

func key(t testing.TB) identity.PrivateKey {
	t.Helper()
	k, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// open starts a peer; what is left out of the config is filled in.
func open(t testing.TB, c libp2p.Config) *libp2p.Net {
	t.Helper()
	if c.Key.IsZero() {
		c.Key = key(t)
	}
	if c.Listen == nil {
		c.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	}
	n, err := libp2p.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name, listen string
		bulk         int
	}{
		{"tcp", "/ip4/127.0.0.1/tcp/0", 8 << 20},
		{"quic", "/ip4/127.0.0.1/udp/0/quic-v1", 4 << 20},
		{"websocket", "/ip4/127.0.0.1/tcp/0/ws", 4 << 20},
		{"webrtc", "/ip4/127.0.0.1/udp/0/webrtc-direct", 1 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			open := func(t *testing.T) transporttest.Net {
				t.Helper()
				return open(t, libp2p.Config{Listen: []string{c.listen}})
			}
			transporttest.Run(t, transporttest.World{Open: open, Bulk: c.bulk})
		})
	}
}

var _ transport.Guard = (*libp2p.Net)(nil)

// name is libp2p's for a peer.
func name(t *testing.T, p transport.ID) string {
	t.Helper()
	k, err := crypto.UnmarshalEd25519PublicKey(p[:])
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}
