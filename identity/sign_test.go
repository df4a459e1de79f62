package identity_test

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"pgregory.net/rapid"

	"souk/identity"
)

func tags() []identity.Tag {
	return []identity.Tag{
		identity.TagCommand, identity.TagCard, identity.TagRead, identity.TagFounding, identity.TagReceipt, identity.TagPeer,
	}
}

// V-15: what is signed is the length of the tag, the tag and the message; the
// signature is that of RFC 8032.
func TestSignIsRFC8032(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed")
		tag := rapid.SampledFrom(tags()).Draw(t, "tag")
		message := rapid.SliceOfN(rapid.Byte(), 0, 700).Draw(t, "message")
		k, reference := identity.NewKey([32]byte(seed)), ed25519.NewKeyFromSeed(seed)

		tagged := append(append([]byte{byte(len(tag))}, tag...), message...)
		if got := append(identity.AppendTag(nil, tag), message...); !bytes.Equal(got, tagged) {
			t.Fatalf("tagged %x, want %x", got, tagged)
		}
		sig := k.Sign(tag, message)
		if !bytes.Equal(sig[:], ed25519.Sign(reference, tagged)) || k.SignRaw(tagged) != sig {
			t.Fatalf("signature %v is not that of RFC 8032", sig)
		}
		if !k.Public().Verify(tag, message, sig) || !k.Public().VerifyRaw(tagged, sig) {
			t.Fatalf("signature %v does not verify", sig)
		}
		if !bytes.Equal(reference.Public().(ed25519.PublicKey), bytes.Clone(func() []byte { p := k.Public(); return p[:] }())) {
			t.Fatalf("public key differs")
		}
	})
}

// V-16: a signature for one purpose is worth nothing for another.
func TestTagsSeparate(t *testing.T) {
	k, message := newKey(t), []byte("the same message")
	seen := map[identity.Tag]bool{}
	for _, signed := range tags() {
		if seen[signed] {
			t.Errorf("tag %q stands for two purposes", signed)
		}
		seen[signed] = true
		sig := k.Sign(signed, message)
		for _, asked := range tags() {
			if got := k.Public().Verify(asked, message, sig); got != (asked == signed) {
				t.Errorf("signed for %q, asked for %q: %v", signed, asked, got)
			}
		}
	}
}

func TestSignRawWantsTag(t *testing.T) {
	k := newKey(t)
	for _, b := range [][]byte{nil, {0}, {16}, []byte("souk/command/v1"), append([]byte{4}, "evil"...), append([]byte{200}, "souk/command/v1"...)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("signed %q", b)
				}
			}()
			k.SignRaw(b)
		}()
	}
}

// A message of ordinary size is verified without touching the heap.
func TestVerifyDoesNotAllocate(t *testing.T) {
	k := newKey(t)
	message := make([]byte, 300)
	pub, sig := k.Public(), k.Sign(identity.TagCommand, message)
	tagged := append(identity.AppendTag(nil, identity.TagCommand), message...)
	buf := make([]byte, 0, 512)
	for name, f := range map[string]func(){
		"VerifyRaw": func() { pub.VerifyRaw(tagged, sig) },
		"AppendTag": func() { buf = append(identity.AppendTag(buf[:0], identity.TagCommand), message...) },
	} {
		if n := testing.AllocsPerRun(10, f); n > 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
