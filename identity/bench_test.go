//go:build unix

package identity_test

import (
	"crypto/rand"
	"fmt"
	"syscall"
	"testing"

	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519/extra/cache"

	"souk/identity"
)

// reportCPU returns a function that reports the processor time used since, which
// means more than time on a machine that does other things.
func reportCPU(b *testing.B) func() {
	b.Helper()
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	start := used()
	return func() { b.ReportMetric(float64(used()-start)/float64(b.N), "cpu-ns/op") }
}

func BenchmarkSingle(b *testing.B) {
	k := newKey(b)
	message := make([]byte, 150)
	pub, sig := k.Public(), k.Sign(identity.TagCommand, message)
	for name, f := range map[string]func(){
		"verify": func() { pub.Verify(identity.TagCommand, message, sig) },
		"sign":   func() { k.Sign(identity.TagCommand, message) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			defer reportCPU(b)()
			for range b.N {
				f()
			}
		})
	}
}

// BenchmarkLibrary is what Verifier is measured against: the library's own batches
// of 256, with and without its cache of keys.
func BenchmarkLibrary(b *testing.B) {
	batch := signatures(b, 256, 256)
	options := &voi.Options{Verify: voi.VerifyOptionsZIP_215}
	keys := cache.NewVerifier(cache.NewLRUCache(1024))
	for name, add := range map[string]func(*voi.BatchVerifier, *identity.Signed){
		"batch": func(v *voi.BatchVerifier, s *identity.Signed) {
			v.AddWithOptions(s.Key[:], s.Tagged, s.Signature[:], options)
		},
		"batch and cache": func(v *voi.BatchVerifier, s *identity.Signed) {
			keys.AddWithOptions(v, s.Key[:], s.Tagged, s.Signature[:], options)
		},
	} {
		b.Run(name, func(b *testing.B) {
			v := voi.NewBatchVerifierWithCapacity(len(batch))
			defer reportCPU(b)()
			for i := 0; i < b.N; i += len(batch) {
				v.Reset().ForceNoPublicKeyExpansion()
				for j := range batch {
					add(v, &batch[j])
				}
				if ok, _ := v.Verify(rand.Reader); !ok {
					b.Fatal("a good batch fails")
				}
			}
		})
	}
}

func BenchmarkVerifier(b *testing.B) {
	for _, c := range []struct{ batch, keys, bad int }{
		{1, 1, 0},
		{4, 4, 0},
		{8, 8, 0},
		{16, 16, 0},
		{64, 64, 0},
		{256, 256, 0},
		{512, 512, 0},
		{64, 8, 0},
		{256, 16, 0},
		{512, 32, 0},
		{2048, 64, 0},
		{512, 32, 1},
		{512, 32, 4},
		{512, 32, 512},
	} {
		b.Run(fmt.Sprintf("batch=%d/keys=%d/bad=%d", c.batch, c.keys, c.bad), func(b *testing.B) {
			batch := signatures(b, c.batch, c.keys)
			for i := range c.bad {
				batch[(i*101+57)%c.batch].Signature[40] ^= 1
			}
			v := identity.NewVerifier(rand.Reader, 0)
			dst := v.Verify(nil, batch)
			b.ReportAllocs()
			b.ResetTimer()
			defer reportCPU(b)()
			for i := 0; i < b.N; i += c.batch {
				dst = v.Verify(dst[:0], batch)
			}
		})
	}
}
