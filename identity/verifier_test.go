package identity_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	mathrand "math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
	"pgregory.net/rapid"

	"souk/identity"
)

// checkBatch checks that a batch has the verdicts that it should have, whole and
// one by one.
func checkBatch(t testing.TB, v *identity.Verifier, batch []identity.Signed, want []bool) {
	t.Helper()
	if diff := cmp.Diff(want, v.Verify(nil, batch)); diff != "" {
		t.Errorf("verdicts of a batch (-want +got):\n%s", diff)
	}
	for i, s := range batch {
		if got := s.Key.VerifyRaw(s.Tagged, s.Signature); got != want[i] {
			t.Errorf("verdict of item %d by itself is %v, want %v", i, got, want[i])
		}
		if i < 20 {
			if got := v.Verify(nil, batch[i:i+1]); got[0] != want[i] {
				t.Errorf("verdict of item %d in a batch of one is %v, want %v", i, got[0], want[i])
			}
		}
	}
}

// V-12: small-order points, canonical or not, pass as ZIP-215 says, whatever the
// message. These are the 196 cases of the ZIP.
func TestVerifySmallOrder(t *testing.T) {
	all, _ := smallOrder(t)
	v := identity.NewVerifier(rand.Reader, 0)
	var batch []identity.Signed
	var want []bool
	for _, a := range all {
		for _, r := range all {
			s := identity.Signed{Key: a, Tagged: []byte("Zcash")}
			copy(s.Signature[:], r[:])
			batch, want = append(batch, s), append(want, true)
		}
	}
	checkBatch(t, v, batch, want)

	// With a real signature and a wrong one among them.
	batch = append(batch, signatures(t, 2, 2)...)
	batch[len(batch)-1].Signature[33] ^= 1
	batch[7].Signature[32] = 1 // S = 1: B is not of small order
	want = append(want, true, false)
	want[7] = false
	checkBatch(t, v, batch, want)
}

// V-12: the cases on which implementations of Ed25519 differ.
func TestVerifySpeccheck(t *testing.T) {
	var file struct {
		Vectors []struct {
			Comment, Message, Key, Signature string
			Valid                            bool
		}
	}
	vectors(t, "speccheck.json", &file)
	if len(file.Vectors) != 12 {
		t.Fatalf("%d vectors, want 12", len(file.Vectors))
	}
	v := identity.NewVerifier(rand.Reader, 0)
	var batch []identity.Signed
	var want []bool
	for _, c := range file.Vectors {
		batch = append(batch, identity.Signed{
			Key: identity.PublicKey(unhex(t, c.Key)), Tagged: unhex(t, c.Message), Signature: identity.Signature(unhex(t, c.Signature)),
		})
		want = append(want, c.Valid)
	}
	checkBatch(t, v, batch, want)
	for i := range batch { // many of the same, so that equations with merged keys see them
		checkBatch(t, v, slices.Repeat(batch[i:i+1], 20), slices.Repeat(want[i:i+1], 20))
	}
}

// mixed makes a signature whose R, and key, are off by points of small order.
func mixed(t testing.TB, secret, nonce *scalar.Scalar, keyTorsion, nonceTorsion int, tagged []byte) identity.Signed {
	t.Helper()
	point := func(s *scalar.Scalar, torsion int) [32]byte {
		var p curve.EdwardsPoint
		p.Add(p.MulBasepoint(curve.ED25519_BASEPOINT_TABLE, s), curve.EIGHT_TORSION[torsion])
		var c curve.CompressedEdwardsY
		c.SetEdwardsPoint(&p)
		return c
	}
	s := identity.Signed{Key: point(secret, keyTorsion), Tagged: tagged}
	r := point(nonce, nonceTorsion)
	copy(s.Signature[:], r[:])
	h := sha512.Sum512(slices.Concat(r[:], s.Key[:], tagged))
	k, err := scalar.NewFromBytesModOrderWide(h[:])
	if err != nil {
		t.Fatal(err)
	}
	k.Add(nonce, k.Mul(k, secret))
	if err := k.ToBytes(s.Signature[32:]); err != nil {
		t.Fatal(err)
	}
	return s
}

func randomScalar(t testing.TB) *scalar.Scalar {
	t.Helper()
	s, err := scalar.New().SetRandom(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// V-12: keys and nonces with a part of small order pass in any combination.
func TestVerifyMixedOrder(t *testing.T) {
	v := identity.NewVerifier(rand.Reader, 0)
	secret := randomScalar(t)
	var batch []identity.Signed
	var want []bool
	for i := range 64 {
		batch = append(batch, mixed(t, secret, randomScalar(t), i%8, i/8, []byte{byte(i)}))
		want = append(want, true)
	}
	checkBatch(t, v, batch, want)
	for i := range batch {
		bad := slices.Clone(batch)
		bad[i].Tagged = []byte("another")
		wrong := slices.Clone(want)
		wrong[i] = false
		if diff := cmp.Diff(wrong, v.Verify(nil, bad)); diff != "" {
			t.Errorf("item %d is bad (-want +got):\n%s", i, diff)
		}
	}
}

// V-12: a batch of any size, with any number of bad signatures of any kind in any
// place, has the verdicts that single checks give.
func TestVerifierAgainstSingle(t *testing.T) {
	pool := signatures(t, 1200, 40)
	valid := make(map[identity.Signature]bool)
	for _, s := range pool {
		valid[s.Signature] = true
	}
	v := identity.NewVerifier(rand.Reader, 0)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(0, 1200)).Draw(t, "size")
		start := rapid.IntRange(0, len(pool)-n).Draw(t, "start")
		batch := slices.Clone(pool[start : start+n])
		want := slices.Repeat([]bool{true}, n)
		if n > 0 {
			for range rapid.OneOf(rapid.IntRange(0, 3), rapid.IntRange(0, 40)).Draw(t, "bad") {
				i := rapid.IntRange(0, n-1).Draw(t, "at")
				spoil(&batch[i], pool, rapid.IntRange(0, 6).Draw(t, "how"))
				want[i] = batch[i].Key.VerifyRaw(batch[i].Tagged, batch[i].Signature)
			}
		}
		prefix := []bool{true, false}
		if diff := cmp.Diff(append(prefix, want...), v.Verify(prefix, batch)); diff != "" {
			t.Fatalf("verdicts (-want +got):\n%s", diff)
		}
	})
}

// spoil makes a signature bad, or as good as random.
func spoil(s *identity.Signed, pool []identity.Signed, how int) {
	switch how {
	case 0:
		s.Signature[3] ^= 4 // R, perhaps no point any more
	case 1:
		s.Signature[40] ^= 1 // S
	case 2:
		s.Signature[63] |= 0xf0 // S above the order
	case 3:
		s.Tagged = append(slices.Clone(s.Tagged), 0)
	case 4:
		s.Key = pool[(int(s.Signature[0])+1)%len(pool)].Key // another's
	case 5:
		s.Key = identity.PublicKey{2} // no point
	case 6:
		s.Signature = pool[int(s.Signature[0])].Signature // perhaps its own
	}
}

// Errors that cancel out in a sum of equal factors, or of factors known beforehand,
// do not pass, even if the source of randomness is broken.
func TestVerifierErrorsDoNotCancel(t *testing.T) {
	one, err := scalar.NewFromCanonicalBytes([]byte{31: 0, 0: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]*identity.Verifier{
		"random": identity.NewVerifier(rand.Reader, 0),
		"zero":   identity.NewVerifier(zeros{}, 0),
		"broken": identity.NewVerifier(iotest.ErrReader(errors.New("no randomness")), 0),
	} {
		t.Run(name, func(t *testing.T) {
			batch := signatures(t, 10, 3)
			for i, add := range []bool{true, false} {
				s, err := scalar.NewFromCanonicalBytes(batch[i].Signature[32:])
				if err != nil {
					t.Fatal(err)
				}
				if add {
					s.Add(s, one)
				} else {
					s.Sub(s, one)
				}
				if err := s.ToBytes(batch[i].Signature[32:]); err != nil {
					t.Fatal(err)
				}
			}
			want := slices.Repeat([]bool{true}, len(batch))
			want[0], want[1] = false, false
			checkBatch(t, v, batch, want)
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// With more keys than it keeps, a verifier gives no key for another.
func TestVerifierForgetsKeys(t *testing.T) {
	const bound = 600
	v := identity.NewVerifier(rand.Reader, bound)
	batch := signatures(t, 3000, 2000)
	rng := mathrand.New(mathrand.NewPCG(1, 2))
	for range 5 {
		rng.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
		part := slices.Clone(batch[:1500])
		bad := rng.IntN(len(part))
		part[bad].Key = batch[2999].Key
		for i, ok := range v.Verify(nil, part) {
			if want := i != bad || batch[bad].Key == batch[2999].Key; ok != want {
				t.Fatalf("item %d: %v, want %v", i, ok, want)
			}
		}
	}
}

// A single bad signature among many is found, and nothing else is blamed.
func TestVerifierFindsCulprits(t *testing.T) {
	v := identity.NewVerifier(rand.Reader, 0)
	batch := signatures(t, 256, 16)
	for _, bad := range []int{0, 100, 255} {
		part := slices.Clone(batch)
		part[bad].Signature[40] ^= 1
		got := v.Verify(nil, part)
		for i, ok := range got {
			if ok != (i != bad) {
				t.Errorf("item %d: %v", i, ok)
			}
		}
	}
}

// V-12: for any bytes at all, a batch says what a single check says, and what the
// standard library accepts is accepted.
func FuzzVerify(f *testing.F) {
	for _, s := range signatures(f, 3, 1) {
		f.Add(s.Key[:], s.Tagged, s.Signature[:])
	}
	all, _ := smallOrder(f)
	for i, a := range all {
		f.Add(a[:], []byte("Zcash"), slices.Concat(all[(i*5+3)%len(all)][:], make([]byte, 32)))
	}
	honest := signatures(f, 6, 2)
	v := identity.NewVerifier(rand.Reader, 0)
	f.Fuzz(func(t *testing.T, key, tagged, sig []byte) {
		if len(key) != 32 || len(sig) != 64 {
			return
		}
		s := identity.Signed{Key: identity.PublicKey(key), Tagged: tagged, Signature: identity.Signature(sig)}
		want := s.Key.VerifyRaw(s.Tagged, s.Signature)
		if ed25519.Verify(key, tagged, sig) && !want {
			t.Error("refused what the standard library accepts")
		}
		got := v.Verify(nil, append(slices.Clone(honest), s, s))
		if diff := cmp.Diff(append(slices.Repeat([]bool{true}, len(honest)), want, want), got); diff != "" {
			t.Errorf("verdicts (-want +got):\n%s", diff)
		}
	})
}

func signatures(tb testing.TB, n, keys int) []identity.Signed {
	tb.Helper()
	ks := make([]identity.PrivateKey, keys)
	for i := range ks {
		var err error
		if ks[i], err = identity.GenerateKey(rand.Reader); err != nil {
			tb.Fatal(err)
		}
	}
	batch := make([]identity.Signed, n)
	for i := range batch {
		k := ks[i%keys]
		m := append(identity.AppendTag(nil, identity.TagCommand), make([]byte, 150)...)
		m[20] = byte(i)
		m[21] = byte(i >> 8)
		batch[i] = identity.Signed{Key: k.Public(), Tagged: m, Signature: k.SignRaw(m)}
	}
	return batch
}
