package threshold

import (
	"github.com/btcsuite/btcd/btcec/v2"

	"souk/script"
)

// SignWith is the signature that Sign makes with a key that is derived already.
var SignWith = sign

// OpenKeys opens a plan whose coins all are k of keys, without derivation.
func OpenKeys(plan *Plan, k int, keys [][33]byte, witness []byte) (Session, error) {
	inputs := make([]input, len(plan.Inputs))
	for i := range inputs {
		inputs[i] = input{k: k, script: witness}
		if err := inputs[i].set(keys); err != nil {
			return nil, err
		}
	}
	return open(plan, inputs)
}

// Child returns the key that signs for a coin.
func Child(key script.PrivateMemberKey, c *Coin) (*btcec.PrivateKey, error) {
	return key.Child(c.Branch, c.Index)
}
