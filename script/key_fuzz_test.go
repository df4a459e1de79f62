package script_test

import (
	"testing"

	"souk/script"
)

// FuzzParseMemberKey reads extended public keys. What is taken is written and read
// back as the same key.
func FuzzParseMemberKey(f *testing.F) {
	key, _ := holder(f, "alice")
	f.Add(key.Public().String())
	f.Add("xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := script.ParseMemberKey(s)
		if err != nil {
			return
		}
		if back, err := script.ParseMemberKey(k.String()); err != nil || back != k {
			t.Fatalf("%q is %+v, written and read back %+v: %v", s, k, back, err)
		}
	})
}

// FuzzParseProvenKey reads keys with a proof of possession behind them (P-20).
func FuzzParseProvenKey(f *testing.F) {
	key, claim := holder(f, "alice")
	proven := script.ProvenKey{Key: key.Public(), Possession: possess(f, key, claim)}
	f.Add(proven.String())
	f.Add(key.Public().String() + ":")
	f.Add(":")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := script.ParseProvenKey(s)
		if err != nil {
			return
		}
		if back, err := script.ParseProvenKey(k.String()); err != nil || back != k {
			t.Fatalf("%q is %+v, written and read back %+v: %v", s, k, back, err)
		}
	})
}
