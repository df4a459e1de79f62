package script_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"pgregory.net/rapid"

	"souk/script"
)

// holder is a key and a claim of its holder.
func holder(tb testing.TB, name string) (script.PrivateMemberKey, script.Claim) {
	tb.Helper()
	key, err := script.NewPrivateMemberKey([]byte("a seed of the holder " + name))
	if err != nil {
		tb.Fatal(err)
	}
	c := script.Claim{Network: "bitcoin"}
	copy(c.VirtualServer[:], "a virtual server")
	copy(c.Operator[:], "operator "+name)
	copy(c.Server[:], "server key "+name)
	return key, c
}

func possess(tb testing.TB, key script.PrivateMemberKey, c script.Claim) script.Possession {
	tb.Helper()
	p, err := key.Possess(c)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// P-20: proofs are those that another program makes.
func TestPossessionVectors(t *testing.T) {
	var file struct {
		Vectors []struct{ Name, Seed, Key, ChainCode, VirtualServer, Network, Operator, Server, Message, Proof string }
	}
	vectors(t, "possession.json", &file)
	for _, v := range file.Vectors {
		key, err := script.NewPrivateMemberKey(unhex(t, v.Seed))
		if err != nil {
			t.Fatal(err)
		}
		public := key.Public()
		if hex.EncodeToString(public.Key[:]) != v.Key || hex.EncodeToString(public.ChainCode[:]) != v.ChainCode {
			t.Errorf("%s: key %x", v.Name, public.Key)
		}
		c := script.Claim{
			VirtualServer: [32]byte(unhex(t, v.VirtualServer)), Network: v.Network,
			Operator: [20]byte(unhex(t, v.Operator)), Server: [32]byte(unhex(t, v.Server)),
		}
		if message := script.ClaimMessage(c, public); hex.EncodeToString(message) != v.Message {
			t.Errorf("%s: message %x", v.Name, message)
		}
		proof := possess(t, key, c)
		if hex.EncodeToString(proof[:]) != v.Proof {
			t.Errorf("%s: proof %x", v.Name, proof)
		}
		if err := public.CheckPossession(c, &proof); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}

// P-20: a proof holds for its key, virtual server, network and member alone.
func TestPossessionOfOthers(t *testing.T) {
	alice, claim := holder(t, "alice")
	mallory, his := holder(t, "mallory")
	proof, public := possess(t, alice, claim), alice.Public()
	other := claim
	other.VirtualServer[5] ^= 1
	card := claim
	card.VirtualServer = [32]byte{}
	chain := claim
	chain.Network = "litecoin"
	operator, server := claim, claim
	operator.Operator, server.Server = his.Operator, his.Server
	for name, c := range map[string]script.Claim{
		"member": his, "virtual server": other, "no virtual server": card, "network": chain, "operator": operator, "server key": server,
	} {
		if err := public.CheckPossession(c, &proof); !errors.Is(err, script.ErrPossession) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	forged := possess(t, mallory, his)
	if err := public.CheckPossession(his, &forged); !errors.Is(err, script.ErrPossession) {
		t.Errorf("Alice's key with a proof by Mallory's: %v", err)
	}
	for name, k := range map[string]script.MemberKey{
		"key": {Key: mallory.Public().Key, ChainCode: public.ChainCode}, "chain code": {Key: public.Key, ChainCode: mallory.Public().ChainCode},
	} {
		if err := k.CheckPossession(claim, &proof); !errors.Is(err, script.ErrPossession) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	if child, err := public.Child(0); err != nil || child.CheckPossession(claim, &proof) == nil {
		t.Errorf("a child has its parent's proof: %v", err)
	}
	none := script.MemberKey{Key: [33]byte{4, 1}}
	if err := none.CheckPossession(claim, &proof); !errors.Is(err, script.ErrKey) {
		t.Errorf("no key: %v", err)
	}
	if _, err := (script.PrivateMemberKey{}).Possess(claim); !errors.Is(err, script.ErrKey) {
		t.Errorf("by no key: %v", err)
	}
	claim.Network = "there is none"
	if _, err := alice.Possess(claim); !errors.Is(err, script.ErrPossession) {
		t.Errorf("for no network: %v", err)
	}
}

// P-20: a proof has one form. Neither the other S, which is as valid a signature, nor
// numbers that are none, nor what is left of a proof are one.
func TestPossessionForm(t *testing.T) {
	key, claim := holder(t, "alice")
	public, good := key.Public(), possess(t, key, claim)
	high := good
	var s btcec.ModNScalar
	s.SetByteSlice(good[32:])
	s.Negate().PutBytesUnchecked(high[32:])
	order := btcec.S256().N.Bytes()
	cut, moved, noR, noS, bigR, bigS := good, script.Possession{}, good, good, good, good
	clear(cut[60:])
	copy(moved[1:], good[:])
	clear(noR[:32])
	clear(noS[32:])
	copy(bigR[:32], order)
	copy(bigS[32:], order)
	for name, p := range map[string]script.Possession{
		"high S": high, "nothing": {}, "cut short": cut, "moved": moved, "no R": noR, "no S": noS, "R of the order": bigR, "S of the order": bigS,
	} {
		if err := public.CheckPossession(claim, &p); !errors.Is(err, script.ErrPossession) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// P-20: a key and its proof as text are read back, and nothing else is.
func TestProvenKeyText(t *testing.T) {
	key, claim := holder(t, "dora")
	k := script.ProvenKey{Key: key.Public(), Possession: possess(t, key, claim)}
	text := k.String()
	if back, err := script.ParseProvenKey(text); err != nil || back != k {
		t.Errorf("%s: %v", text, err)
	}
	for name, s := range map[string]string{
		"no proof": k.Key.String(), "nothing behind the colon": k.Key.String() + ":", "cut short": text[:len(text)-2], "half a byte": text[:len(text)-1],
		"longer": text + "00", "another sign": text[:len(text)-1] + "g", "upper case": k.Key.String() + ":" + strings.ToUpper(text[len(text)-128:]),
	} {
		if _, err := script.ParseProvenKey(s); !errors.Is(err, script.ErrPossession) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := script.ParseProvenKey(text[1:]); !errors.Is(err, script.ErrKey) {
		t.Errorf("no key: %v", err)
	}
}

// P-20: any change of one bit, of proof, key, chain code or claim, breaks a proof; and the same claim
// always has the same proof.
func TestPossessionBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, err := script.NewPrivateMemberKey(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed"))
		if err != nil {
			t.Skip(err)
		}
		c := script.Claim{Network: rapid.SampledFrom(script.Networks()).Draw(t, "network").Name}
		copy(c.VirtualServer[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "virtual server"))
		copy(c.Operator[:], rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "operator"))
		copy(c.Server[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "server"))
		p, err := key.Possess(c)
		public := key.Public()
		if err != nil || public.CheckPossession(c, &p) != nil {
			t.Fatalf("own proof: %v", err)
		}
		if again, err := key.Possess(c); err != nil || again != p {
			t.Fatalf("another proof: %v", err)
		}
		fields := [][]byte{p[:], public.Key[:], public.ChainCode[:], c.VirtualServer[:], c.Operator[:], c.Server[:]}
		bit := rapid.IntRange(0, 8*len(slices.Concat(fields...))-1).Draw(t, "bit")
		for _, field := range fields {
			if bit >= 0 && bit < 8*len(field) {
				field[bit/8] ^= 1 << (bit % 8)
			}
			bit -= 8 * len(field)
		}
		if public.CheckPossession(c, &p) == nil {
			t.Fatal("a proof holds after a change")
		}
	})
}

func BenchmarkCheckPossession(b *testing.B) {
	key, claim := holder(b, "alice")
	public, proof := key.Public(), possess(b, key, claim)
	for b.Loop() {
		if err := public.CheckPossession(claim, &proof); err != nil {
			b.Fatal(err)
		}
	}
}
