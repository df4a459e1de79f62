package identity_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"souk/identity"
)

// V-17: the official vectors of BIP-39.
func TestWordsVectors(t *testing.T) {
	var file struct {
		Passphrase string
		Vectors    []struct{ Entropy, Words, Seed string }
	}
	vectors(t, "bip39.json", &file)
	checked := 0
	for _, v := range file.Vectors {
		count := len(strings.Fields(v.Words))
		w, err := identity.ParseWords(v.Words)
		if count != 12 && count != 24 {
			if !errors.Is(err, identity.ErrWords) {
				t.Errorf("%d words: error %v", count, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", v.Words, err)
			continue
		}
		checked++
		seed, err := w.Seed(file.Passphrase)
		if err != nil || hex.EncodeToString(seed) != v.Seed || w.Reveal() != v.Words {
			t.Errorf("%s: seed %x, %v; want %s", v.Words, seed, err, v.Seed)
		}
		made, err := identity.GenerateWords(bytes.NewReader(unhex(t, v.Entropy)), count)
		if err != nil || made.Reveal() != v.Words {
			t.Errorf("entropy %s: %v", v.Entropy, err)
		}
	}
	if checked < 10 {
		t.Errorf("only %d vectors", checked)
	}
}

// V-17: the official vectors of SLIP-10.
func TestDeriveVectors(t *testing.T) {
	var file struct {
		Vectors []struct {
			Seed   string
			Chains []struct {
				Path            []uint32
				ChainCode       string `json:"chain_code"`
				Private, Public string
			}
		}
	}
	vectors(t, "slip10.json", &file)
	if len(file.Vectors) != 2 {
		t.Fatalf("%d vectors, want 2", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		seed := unhex(t, v.Seed)
		for _, c := range v.Chains {
			n := identity.MasterNode(seed)
			for _, index := range c.Path {
				n.Descend(index)
			}
			key, chain := n.Key(), n.Chain()
			k, err := identity.Derive(seed, c.Path...)
			if err != nil {
				t.Fatal(err)
			}
			if hex.EncodeToString(key[:]) != c.Private || hex.EncodeToString(chain[:]) != c.ChainCode ||
				k.Seed() != key || k.Public().String() != c.Public {
				t.Errorf("path %v: key %x, chain %x, public %v", c.Path, key, chain, k.Public())
			}
		}
	}
}

// V-17: the keys of an account, shared with the page.
func TestAccountKeyVectors(t *testing.T) {
	var file struct {
		Vectors []struct {
			Words, Passphrase string
			Account, Key      uint32
			Public, Address   string
		}
	}
	vectors(t, "account.json", &file)
	if len(file.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.Vectors {
		w, err := identity.ParseWords(v.Words)
		if err != nil {
			t.Fatal(err)
		}
		k, err := w.Key(v.Passphrase, v.Account, v.Key)
		if err != nil {
			t.Fatal(err)
		}
		if got := k.Public(); got.String() != v.Public || identity.AddressOf(got).String() != v.Address {
			t.Errorf("account %d, key %d: %v, %v; want %s, %s", v.Account, v.Key, got, identity.AddressOf(got), v.Public, v.Address)
		}
	}
}

func TestParseWordsRefuses(t *testing.T) {
	good := strings.Repeat("abandon ", 11) + "about"
	for _, c := range []struct{ name, text, reason string }{
		{"nothing", "", "0 words"},
		{"eleven", strings.Repeat("abandon ", 11), "11 words"},
		{"fifteen", strings.Repeat("abandon ", 14) + "address", "15 words"},
		{"unknown", strings.Replace(good, "about", "abouts", 1), "word 12"},
		{"unknown first", strings.Replace(good, "abandon", "souk", 1), "word 1 "},
		{"checksum", strings.Repeat("abandon ", 12), "checksum"},
		{"swapped", "about " + strings.Repeat("abandon ", 11), "checksum"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := identity.ParseWords(c.text)
			if !errors.Is(err, identity.ErrWords) || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("error %v, want one that says %q", err, c.reason)
			}
			if err != nil && (strings.Contains(err.Error(), "aband") || strings.Contains(err.Error(), "about")) {
				t.Errorf("error %q shows a word", err)
			}
		})
	}
	w, err := identity.ParseWords("  ABANDON" + strings.ReplaceAll(good[7:], " ", "\n\t "))
	if err != nil || w.Reveal() != good {
		t.Errorf("typed carelessly: %v", err)
	}
}

func TestWordsErrors(t *testing.T) {
	w, err := identity.GenerateWords(rand.Reader, 12)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Seed("grün"); !errors.Is(err, identity.ErrPassphrase) {
		t.Errorf("error %v", err)
	}
	if _, err := w.Key("\n", 0, 0); !errors.Is(err, identity.ErrPassphrase) {
		t.Errorf("error %v", err)
	}
	if _, err := w.Key("", 1<<31, 0); !errors.Is(err, identity.ErrPath) {
		t.Errorf("error %v", err)
	}
	for _, n := range []int{15, 65} {
		if _, err := identity.Derive(make([]byte, n)); !errors.Is(err, identity.ErrPath) {
			t.Errorf("seed of %d bytes: error %v", n, err)
		}
	}
	if _, err := identity.GenerateWords(rand.Reader, 18); !errors.Is(err, identity.ErrWords) {
		t.Errorf("error %v", err)
	}
	broken := errors.New("no randomness")
	if _, err := identity.GenerateWords(iotest.ErrReader(broken), 24); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	same := w
	w.Wipe()
	identity.Words{}.Wipe()
	if !same.IsZero() {
		t.Error("Wipe left a copy")
	}
	defer func() {
		if recover() == nil {
			t.Error("wiped words were revealed")
		}
	}()
	same.Reveal()
}

func FuzzParseWords(f *testing.F) {
	f.Add(strings.Repeat("abandon ", 11) + "about")
	f.Add(strings.Repeat("zoo ", 23) + "vote")
	f.Fuzz(func(t *testing.T, s string) {
		w, err := identity.ParseWords(s)
		if err != nil {
			return
		}
		if got := w.Reveal(); got != strings.Join(strings.Fields(strings.ToLower(s)), " ") {
			t.Errorf("parsed %q as %q", s, got)
		}
	})
}
