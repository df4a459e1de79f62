package script

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
)

// parent is a key whose children are derived many times: MemberKey.Child without
// finding the point again each time. What is public may take any time.
type parent struct {
	point btcec.JacobianPoint
	key   MemberKey
}

func newParent(k *MemberKey) (p parent, err error) {
	point, err := btcec.ParsePubKey(k.Key[:])
	if err != nil {
		return p, fmt.Errorf("member key %x: %w", k.Key, ErrKey)
	}
	point.AsJacobian(&p.point)
	p.key = *k
	return p, nil
}

// child is the public key of the child with an index below Hardened (BIP-32, CKDpub).
func (p *parent) child(index uint32) (key [33]byte, err error) {
	if index >= Hardened {
		return key, fmt.Errorf("index %d is above 2^31-1: %w", index, ErrKey)
	}
	h := hmac.New(sha512.New, p.key.ChainCode[:])
	h.Write(p.key.Key[:])
	h.Write(binary.BigEndian.AppendUint32(nil, index))
	var left btcec.ModNScalar
	if left.SetByteSlice(h.Sum(nil)[:32]) || left.IsZero() {
		return key, fmt.Errorf("derive child %d of %x: %w", index, p.key.Key, ErrKey)
	}
	var step, sum btcec.JacobianPoint
	btcec.ScalarBaseMultNonConst(&left, &step)
	btcec.AddNonConst(&step, &p.point, &sum)
	if sum.Z.IsZero() || sum.X.IsZero() && sum.Y.IsZero() {
		return key, fmt.Errorf("derive child %d of %x: %w", index, p.key.Key, ErrKey)
	}
	sum.ToAffine()
	return [33]byte(btcec.NewPublicKey(&sum.X, &sum.Y).SerializeCompressed()), nil
}
