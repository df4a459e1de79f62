package identity_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"souk/identity"
)

// TestSpecification checks the worked examples of docs/spec/01-values.md: what
// stands there is what the code computes.
func TestSpecification(t *testing.T) {
	text, err := os.ReadFile("../docs/spec/01-values.md")
	if err != nil {
		t.Fatal(err)
	}
	stands := func(what, s string) {
		t.Helper()
		if !strings.Contains(string(text), "`"+s+"`") {
			t.Errorf("%s is %s, which the specification does not say", what, s)
		}
	}
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(7 * i)
	}
	k := identity.NewKey(seed)
	pub := k.Public()
	h := sha256.Sum256(append([]byte("souk/address/v1"), pub[:]...))
	stands("key", pub.String())
	stands("hash", hex.EncodeToString(h[:]))
	stands("address", identity.AddressOf(pub).String())
	stands("signed bytes", hex.EncodeToString(append(identity.AppendTag(nil, identity.TagPeer), "hello"...)))
	stands("signature", k.Sign(identity.TagPeer, []byte("hello")).String())
	for _, tag := range tags() {
		stands("tag", string(tag))
	}
	w, err := identity.ParseWords(strings.Repeat("abandon ", 11) + "about")
	if err != nil {
		t.Fatal(err)
	}
	first, err := w.Key("", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	stands("first key", first.Public().String())
	stands("first address", identity.AddressOf(first.Public()).String())
}
