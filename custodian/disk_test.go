package custodian_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"souk/custodian"
	"souk/script"
)

// What is remembered has one form, and nothing else is taken (W-28).
func FuzzSeen(f *testing.F) {
	network, _ := script.ByName("bitcoin-regtest")
	good := custodian.Seen(network, script.Hash{6}, script.Hash{7})
	if again, ok := custodian.Reread(network, good); !ok || !bytes.Equal(again, good) {
		f.Fatal("what was written is not read back")
	}
	f.Add(good[:len(good)-sha256.Size])
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		data := append(bytes.Clone(body), sum[:]...)
		if again, ok := custodian.Reread(network, data); ok && !bytes.Equal(again, data) {
			t.Errorf("%x is read as %x", data, again)
		}
	})
}
