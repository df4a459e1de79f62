package script_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"pgregory.net/rapid"

	"souk/script"
)

// the vectors of BIP-32, from the seed and, where it is not hardened, from
// the public parent.
func TestKeysBIP32(t *testing.T) {
	var file struct {
		Vectors []struct {
			Seed string
			Keys []struct {
				Path []uint32
				Xpub string
			}
		}
	}
	vectors(t, "bip32.json", &file)
	checked := 0
	for _, v := range file.Vectors {
		var parent script.MemberKey
		for _, k := range v.Keys {
			private, err := script.NewPrivateMemberKey(unhex(t, v.Seed), k.Path...)
			if err != nil {
				t.Fatal(err)
			}
			want, err := script.ParseMemberKey(k.Xpub)
			if err != nil {
				t.Fatal(err)
			}
			if got := private.Public(); got != want {
				t.Errorf("seed %s, path %v: %v, want %v", v.Seed, k.Path, got, want)
			}
			if n := len(k.Path); n > 0 && k.Path[n-1] < script.Hardened {
				if got, err := parent.Child(k.Path[n-1]); err != nil || got != want {
					t.Errorf("seed %s, path %v: from the public parent %v, %v", v.Seed, k.Path, got, err)
				}
			}
			parent = want
			checked++
		}
	}
	if checked != 12 {
		t.Errorf("%d vectors", checked)
	}
}

// the private and the public child belong together, and to btcd's.
func TestChildren(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 16, 64).Draw(t, "seed")
		index := rapid.Uint32Range(0, script.Hardened-1)
		account, branch, number := index.Draw(t, "account")+script.Hardened, index.Draw(t, "branch"), index.Draw(t, "number")
		private, err := script.NewPrivateMemberKey(seed, account)
		if err != nil {
			t.Fatal(err)
		}
		key, err := private.Child(branch, number)
		if err != nil {
			t.Fatal(err)
		}
		public := private.Public()
		if public, err = public.Child(branch); err != nil {
			t.Fatal(err)
		}
		if public, err = public.Child(number); err != nil {
			t.Fatal(err)
		}
		if got := key.PubKey().SerializeCompressed(); !bytes.Equal(got, public.Key[:]) {
			t.Fatalf("private child %x, public child %x", got, public.Key)
		}
		theirs, err := hdkeychain.NewMaster(seed, &chaincfg.MainNetParams)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range []uint32{account, branch, number} {
			if theirs, err = theirs.Derive(i); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := theirs.ECPubKey(); err != nil || !bytes.Equal(want.SerializeCompressed(), public.Key[:]) {
			t.Fatalf("btcd derives %x, %v", want.SerializeCompressed(), err)
		}
		if back, err := script.ParseMemberKey(public.String()); err != nil || back != public || public.Check() != nil {
			t.Fatalf("%v came back as %v, %v", public, back, err)
		}
	})
}

func TestKeyRefusals(t *testing.T) {
	private, err := script.NewPrivateMemberKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	public := private.Public()
	if _, err := public.Child(script.Hardened); !errors.Is(err, script.ErrKey) {
		t.Errorf("hardened child of a public key: %v", err)
	}
	for _, n := range []int{0, 15, 65} {
		if _, err := script.NewPrivateMemberKey(make([]byte, n)); !errors.Is(err, script.ErrKey) {
			t.Errorf("seed of %d bytes: %v", n, err)
		}
	}
	if err := (&script.MemberKey{}).Check(); !errors.Is(err, script.ErrKey) {
		t.Errorf("no key: %v", err)
	}
	const xprv = "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi"
	for _, s := range []string{"", "xpub", public.String()[1:], public.String() + "1", xprv} {
		_, err := script.ParseMemberKey(s)
		if !errors.Is(err, script.ErrKey) || strings.Contains(err.Error(), "xprv9") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// Nothing that prints shows a private key.
func TestPrivateKeyIsHidden(t *testing.T) {
	k, err := script.NewPrivateMemberKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := k.Child(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = secret
	type holder struct {
		Key script.PrivateMemberKey
		key script.PrivateMemberKey
	}
	h := holder{k, k}
	for _, v := range []any{k, &k, h, &h, []any{k}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, "0707") || len(s) > 400 {
				t.Errorf("%s of %T prints %s", verb, v, s)
			}
		}
	}
	b, err := json.Marshal(h)
	if err != nil || string(b) != `{"Key":"[redacted]"}` {
		t.Errorf("marshals as %s, %v", b, err)
	}
	if err := json.Unmarshal(b, &h); err == nil {
		t.Error("a secret was read from a document")
	}
	twin := k
	k.Wipe()
	if !twin.IsZero() || !k.IsZero() || !(script.PrivateMemberKey{}).IsZero() {
		t.Error("wiping left a copy")
	}
	script.PrivateMemberKey{}.Wipe()
	defer func() {
		if recover() == nil {
			t.Error("a wiped key can be used")
		}
	}()
	twin.Public()
}
