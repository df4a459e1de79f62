package courier_test

import (
	"bytes"
	"testing"

	"souk/courier"
)

// O-70: what comes over streams has one encoding, and nothing of it stops a peer.
func FuzzMailStreams(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 60})
	f.Add(courier.SumsOf(3, 5))
	f.Add(courier.ListOf(4))
	f.Add(courier.GotOf([]byte("one"), []byte("two")))
	f.Add(make([]byte, 36))
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, read := range courier.Decoders {
			if out, err := read(data); err == nil && !bytes.Equal(out, data) {
				t.Errorf("%s: it is encoded otherwise", name)
			}
		}
	})
}

// O-61: a record that is not what was written does not open.
func FuzzMailRecord(f *testing.F) {
	keys, err := courier.NewMailKeys(newSource(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("name"), make([]byte, 600))
	f.Fuzz(func(t *testing.T, name, data []byte) {
		if courier.OpenRecord(keys, name, data) == nil {
			t.Error("a made-up record opens")
		}
	})
}
