package identity_test

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/oasisprotocol/curve25519-voi/curve"

	"souk/identity"
)

// vectors reads testdata, which other implementations read too.
func vectors(tb testing.TB, name string, v any) {
	tb.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		tb.Fatal(err)
	}
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func newKey(tb testing.TB) identity.PrivateKey {
	tb.Helper()
	k, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// smallOrder returns every encoding of the eight points of small order: eight
// canonical ones and six that are not.
func smallOrder(tb testing.TB) (all, notCanonical [][32]byte) {
	tb.Helper()
	y8 := [32]byte(unhex(tb, "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"))
	minusY8 := [32]byte(unhex(tb, "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))
	p := [32]byte{0: 0xed, 31: 0x7f}
	for i := 1; i < 31; i++ {
		p[i] = 0xff
	}
	pMinus1, pPlus1 := p, p
	pMinus1[0]--
	pPlus1[0]++
	for _, y := range [][32]byte{{}, {1}, pMinus1, y8, minusY8, p, pPlus1} {
		for _, sign := range []byte{0, 0x80} {
			y[31] = y[31]&0x7f | sign
			c := curve.CompressedEdwardsY(y)
			var point curve.EdwardsPoint
			if _, err := point.SetCompressedY(&c); err != nil || !point.IsSmallOrder() {
				tb.Fatalf("%x is not a point of small order", y)
			}
			all = append(all, y)
			if !c.IsCanonicalVartime() {
				notCanonical = append(notCanonical, y)
			}
		}
	}
	if len(all) != 14 || len(notCanonical) != 6 {
		tb.Fatalf("%d encodings, %d of them not canonical; want 14 and 6", len(all), len(notCanonical))
	}
	return all, notCanonical
}

// V-11: what is no account key.
func TestKeyCheck(t *testing.T) {
	all, notCanonical := smallOrder(t)
	for _, k := range all {
		_, err := identity.ParsePublicKey(identity.PublicKey(k).String())
		if !errors.Is(err, identity.ErrKey) {
			t.Errorf("key %x of small order: error %v", k, err)
		}
		want := "small order"
		if slices.Contains(notCanonical, k) {
			want = "not canonical"
		}
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("key %x: error %q does not say %q", k, err, want)
		}
	}
	// y = p+3 is the point with y = 3, not of small order, in another encoding.
	notSmall := [32]byte{0: 0xed + 3, 31: 0x7f}
	for i := 1; i < 31; i++ {
		notSmall[i] = 0xff
	}
	for _, k := range []identity.PublicKey{notSmall, {2}} {
		if err := k.Check(); !errors.Is(err, identity.ErrKey) {
			t.Errorf("key %v: error %v", k, err)
		}
	}
	for range 100 {
		if err := newKey(t).Public().Check(); err != nil {
			t.Errorf("a real key is refused: %v", err)
		}
	}
}

func TestParsePublicKeySyntax(t *testing.T) {
	good := newKey(t).Public().String()
	for _, s := range []string{"", good[1:], good + "0", strings.ToUpper(good) + "", good[:63] + "g", "0x" + good[2:], " " + good[1:]} {
		if s == good {
			continue // no letters in it
		}
		if _, err := identity.ParsePublicKey(s); !errors.Is(err, identity.ErrSyntax) {
			t.Errorf("%q: error %v", s, err)
		}
	}
}

// V-10: keys and signatures as text.
func TestTextRoundTrip(t *testing.T) {
	k := newKey(t)
	type document struct {
		Key       identity.PublicKey
		Signature identity.Signature
		Address   identity.Address
	}
	in := document{k.Public(), k.Sign(identity.TagPeer, []byte("hello")), identity.AddressOf(k.Public())}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{in.Key.String(), in.Signature.String(), in.Address.String()} {
		if !strings.Contains(string(data), `"`+want+`"`) {
			t.Errorf("%s lacks %s", data, want)
		}
	}
	var out document
	if err := json.Unmarshal(data, &out); err != nil || out != in {
		t.Errorf("got %+v, %v; want %+v", out, err, in)
	}
	if out.Key.IsZero() || !(identity.PublicKey{}).IsZero() || out.Address.IsZero() || !(identity.Address{}).IsZero() {
		t.Error("IsZero is wrong")
	}
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add(newKey(f).Public().String())
	all, _ := smallOrder(f)
	for _, k := range all {
		f.Add(identity.PublicKey(k).String())
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := identity.ParsePublicKey(s)
		if err != nil {
			return
		}
		if k.String() != s || k.Check() != nil {
			t.Errorf("parsed %q as %v, check %v", s, k, k.Check())
		}
	})
}

func FuzzParseSignature(f *testing.F) {
	f.Add(newKey(f).Sign(identity.TagPeer, nil).String())
	f.Fuzz(func(t *testing.T, s string) {
		if sig, err := identity.ParseSignature(s); err == nil && sig.String() != s {
			t.Errorf("parsed %q as %v", s, sig)
		}
	})
}
