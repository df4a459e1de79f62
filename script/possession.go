package script

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
)

// ErrPossession is returned for a proof of possession that does not hold.
var ErrPossession = errors.New("not a proof that the private key is there")

// claimTag is what a claim begins with, behind its length, as all that is signed does.
const claimTag = "souk/bank-key/v1"

// Claim says whose a key is and for what. The holder of the private key signs it, so
// that nobody can announce the key of somebody else as his own, or one that nobody
// holds (P-20).
type Claim struct {
	VirtualServer [32]byte // id; zero where there is none yet: on a card, and for a recovery
	Network       string
	Operator      [20]byte // address of the member's operator; zero for the holder of a recovery
	Server        [32]byte // the member's server key; zero for the holder of a recovery
}

// Possession is a proof of possession: a signature of a claim by the key itself, ECDSA
// with the nonce of RFC 6979, as R and S with 32 bytes each, S in the lower half.
type Possession [64]byte

// message is what is signed, by its SHA-256. Being longer than 32 bytes, it
// is never what the second SHA-256 of a transaction's digest is of.
func (c *Claim) message(k *MemberKey) []byte {
	b := append(make([]byte, 0, 256), byte(len(claimTag)))
	b = append(append(b, claimTag...), c.VirtualServer[:]...)
	b = append(append(b, byte(len(c.Network))), c.Network...) //nolint:gosec // a name of the table
	b = append(append(b, c.Operator[:]...), c.Server[:]...)
	return append(append(b, k.Key[:]...), k.ChainCode[:]...)
}

// Possess proves that the key is there for a claim. The same key proves a claim by the
// same bytes, always. It returns ErrPossession for a network that is none, and ErrKey
// if there is no key.
func (k PrivateMemberKey) Possess(c Claim) (p Possession, err error) {
	if k.IsZero() {
		return p, fmt.Errorf("prove that a key is there: %w", ErrKey)
	}
	if _, ok := ByName(c.Network); !ok {
		return p, fmt.Errorf("network %q: %w", c.Network, ErrPossession)
	}
	public, secret := k.Public(), k.material()
	key, _ := btcec.PrivKeyFromBytes(secret[:32])
	defer key.Zero()
	digest := sha256.Sum256(c.message(&public))
	signature := ecdsa.Sign(key, digest[:])
	r, s := signature.R(), signature.S()
	r.PutBytesUnchecked(p[:32])
	s.PutBytesUnchecked(p[32:])
	if err := public.CheckPossession(c, &p); err != nil { // a fault of the machine could give the key away
		return Possession{}, fmt.Errorf("own proof: %w", err)
	}
	return p, nil
}

// CheckPossession tells whether whoever made a proof had the private key, and made it
// for this claim: ErrPossession if not, ErrKey if k is no key. A proof has one form: of
// two signatures that differ in the sign of S one is none.
func (k *MemberKey) CheckPossession(c Claim, p *Possession) error {
	if _, ok := ByName(c.Network); !ok {
		return fmt.Errorf("network %q: %w", c.Network, ErrPossession)
	}
	key, err := btcec.ParsePubKey(k.Key[:])
	if err != nil {
		return fmt.Errorf("member key %x: %w", k.Key, ErrKey)
	}
	var r, s btcec.ModNScalar
	if r.SetByteSlice(p[:32]) || s.SetByteSlice(p[32:]) || r.IsZero() || s.IsZero() || s.IsOverHalfOrder() {
		return fmt.Errorf("its form is not that of a signature with low S: %w", ErrPossession)
	}
	if digest := sha256.Sum256(c.message(k)); !ecdsa.NewSignature(&r, &s).Verify(digest[:], key) {
		return fmt.Errorf("it is not by this key, or for another member, network or virtual server: %w", ErrPossession)
	}
	return nil
}

// ProvenKey is a key with its proof, as its holder hands it out.
type ProvenKey struct {
	Key        MemberKey
	Possession Possession
}

// String is the key as MemberKey.String has it, a colon, and the proof in hexadecimal.
func (k ProvenKey) String() string { return k.Key.String() + ":" + hex.EncodeToString(k.Possession[:]) }

// ParseProvenKey reads what String returns. It checks no claim: ErrKey is for what is no
// key, ErrPossession for what has no proof behind it.
func ParseProvenKey(s string) (k ProvenKey, err error) {
	key, proof, ok := strings.Cut(s, ":")
	if k.Key, err = ParseMemberKey(key); err != nil {
		return ProvenKey{}, err
	}
	if !ok || len(proof) != 2*len(k.Possession) || strings.ToLower(proof) != proof {
		return ProvenKey{}, fmt.Errorf("behind the key stand a colon and %d lower-case hexadecimal digits: %w", 2*len(k.Possession), ErrPossession)
	}
	if _, err := hex.Decode(k.Possession[:], []byte(proof)); err != nil {
		return ProvenKey{}, fmt.Errorf("behind the key stand no hexadecimal digits: %w", ErrPossession)
	}
	return k, nil
}
