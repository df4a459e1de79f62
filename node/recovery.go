package node

import (
	"crypto/rand"
	"fmt"

	"souk/exchange"
	"souk/identity"
	"souk/script"
)

// Recovery keys are held offline: 24 words on paper, from which wallets that know
// BIP-39 and BIP-32 derive the same keys, at m / 8641' / N' with N as for member keys.
// Nothing of them is kept on a disk here.

// NewRecovery makes the words of a recovery key. The caller wipes them.
func NewRecovery() (identity.Words, error) {
	w, err := identity.GenerateWords(rand.Reader, 24)
	if err != nil {
		return w, fmt.Errorf("make words: %w", err)
	}
	return w, nil
}

// RecoveryKey is the private key of a recovery's words for a network. The caller wipes it.
func RecoveryKey(w identity.Words, n *script.Network) (script.PrivateMemberKey, error) {
	seed, err := w.Seed("")
	if err != nil {
		return script.PrivateMemberKey{}, fmt.Errorf("derive recovery keys: %w", err)
	}
	defer clear(seed)
	return recoveryKey(seed, n)
}

func recoveryKey(seed []byte, n *script.Network) (script.PrivateMemberKey, error) {
	k, err := script.NewPrivateMemberKey(seed, script.Hardened+recoveryPurpose, script.Hardened+networkIndex(n.Name))
	if err != nil {
		return k, fmt.Errorf("derive the recovery key for %s: %w", n.Name, err)
	}
	return k, nil
}

// RecoveryKeys are the public keys of a recovery's words for every network, ascending by name.
func RecoveryKeys(w identity.Words) ([]exchange.BankKey, error) {
	seed, err := w.Seed("")
	if err != nil {
		return nil, fmt.Errorf("derive recovery keys: %w", err)
	}
	defer clear(seed)
	return provenKeys(exchange.RecoveryClaim, func(n *script.Network) (script.PrivateMemberKey, error) { return recoveryKey(seed, n) })
}
