package identity_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/oasisprotocol/curve25519-voi/curve"
	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

	"souk/identity"
)

// TestKeyCache: a key is found as it was put or not at all, all keys are found
// while there is room for them, and the table keeps its size.
func TestKeyCache(t *testing.T) {
	for name, random := range map[string]io.Reader{
		"random": rand.Reader, "no random": iotest.ErrReader(errors.New("broken")), "zeros": bytes.NewReader(make([]byte, 1000)),
	} {
		t.Run(name, func(t *testing.T) {
			const room = 4096
			cache := identity.NewKeyCache(random, room)
			var keys []curve.CompressedEdwardsY
			for range 16 {
				k := newKey(t)
				keys = append(keys, curve.CompressedEdwardsY(k.Public()))
			}
			keys = append(keys, curve.CompressedEdwardsY{}) // a point too, and what empty slots hold
			if cache.Get(&keys[16]) != nil {
				t.Fatal("an empty cache finds the zero key")
			}
			for i := range keys {
				cache.Put(&keys[i], expand(t, &keys[i]))
			}
			found := 0
			for i := range keys {
				e := cache.Get(&keys[i])
				if e == nil {
					continue
				}
				found++
				if y := e.CompressedY(); y != keys[i] {
					t.Fatalf("key %d is found as another one", i)
				}
			}
			// Without random bytes all share one set of four. With them, that five of 17
			// share one of 1,024 sets has a chance below 10^-8.
			want := 4
			if name == "random" {
				want = len(keys)
			}
			if found != want {
				t.Errorf("%d of %d keys are found, want %d", found, len(keys), want)
			}
		})
	}
}

func expand(t *testing.T, key *curve.CompressedEdwardsY) *voi.ExpandedPublicKey {
	t.Helper()
	e, err := voi.NewExpandedPublicKey(key[:])
	if err != nil {
		t.Fatal(err)
	}
	return e
}
