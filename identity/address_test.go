package identity_test

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/address/v2/bech32"
	"pgregory.net/rapid"

	"souk/identity"
)

// V-13: the address is the first 20 bytes of a tagged hash, in bech32m.
func TestAddressVectors(t *testing.T) {
	var file struct {
		Vectors []struct {
			Seed, Key, Address string
		}
	}
	vectors(t, "address.json", &file)
	if len(file.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.Vectors {
		k := identity.NewKey([32]byte(unhex(t, v.Seed))).Public()
		a := identity.AddressOf(k)
		if k.String() != v.Key || a.String() != v.Address {
			t.Errorf("seed %s: key %v, address %v; want %s, %s", v.Seed, k, a, v.Key, v.Address)
		}
		h := sha256.Sum256(append([]byte("souk/address/v1"), k[:]...))
		if a != identity.Address(h[:20]) {
			t.Errorf("address %x is not the start of hash %x", a[:], h)
		}
	}
}

func encode(t *testing.T, encode func(string, []byte) (string, error), hrp string, data []byte) string {
	t.Helper()
	groups, err := bech32.ConvertBits(data, 8, 5, true)
	if err != nil {
		t.Fatal(err)
	}
	s, err := encode(hrp, groups)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// V-14: everything but a well-formed address is refused, with the reason.
func TestParseAddressRefuses(t *testing.T) {
	a := identity.AddressOf(newKey(t).Public())
	good := a.String()
	for _, c := range []struct{ name, text, reason string }{
		{"empty", "", "length"},
		{"old checksum", encode(t, bech32.Encode, "souk", a[:]), "bech32m"},
		{"another prefix", encode(t, bech32.EncodeM, "bc", a[:]), `"bc"`},
		{"another prefix that begins alike", encode(t, bech32.EncodeM, "soukx", a[:]), `"soukx"`},
		{"a byte less", encode(t, bech32.EncodeM, "souk", a[:19]), "wrong length"},
		{"a byte more", encode(t, bech32.EncodeM, "souk", append(a[:], 0)), "wrong length"},
		{"mixed case", strings.ToUpper(good[:6]) + good[6:], "case"},
		{"mixed case in the prefix", "Souk" + good[4:], "case"},
		{"a character changed", good[:20] + changed(good[20]) + good[21:], "checksum"},
		{"a character left out", good[:20] + good[21:], "checksum"},
		{"a character twice", good[:20] + good[19:], "checksum"},
		{"space before", " " + good, "character"},
		{"not ASCII", good[:10] + "é" + good[12:], "character"},
		{"no separator", strings.ReplaceAll(good, "1", "q"), "separator"},
		{"far too long", good + strings.Repeat("q", 100), "length"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := identity.ParseAddress(c.text)
			if !errors.Is(err, identity.ErrSyntax) || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("error %v, want one that says %q", err, c.reason)
			}
		})
	}
	if got, err := identity.ParseAddress(strings.ToUpper(good)); err != nil || got != a {
		t.Errorf("in upper case: %v, %v", got, err)
	}
}

func changed(c byte) string {
	if c == 'q' {
		return "p"
	}
	return "q"
}

func TestAddressRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := identity.Address(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "address"))
		if got, err := identity.ParseAddress(a.String()); err != nil || got != a {
			t.Fatalf("%v read as %v, %v", a, got, err)
		}
	})
}

func FuzzParseAddress(f *testing.F) {
	f.Add(identity.AddressOf(newKey(f).Public()).String())
	f.Add("SOUK1")
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := identity.ParseAddress(s); err == nil && a.String() != strings.ToLower(s) {
			t.Errorf("parsed %q as %v", s, a)
		}
	})
}
