package node

import (
	"fmt"

	"souk/identity"
	"souk/store/sealed"
)

// sealKey writes a key into a new sealed file.
func sealKey(path, role string, key identity.PrivateKey, pass sealed.Passphrase, work int) error {
	seed := key.Seed()
	defer clear(seed[:])
	if err := sealed.Write(path, "key "+role, seed[:], pass, work); err != nil {
		return fmt.Errorf("seal the %s key: %w", role, err)
	}
	return nil
}

// openKey reads a key from its sealed file.
func openKey(path, role string, pass sealed.Passphrase) (identity.PrivateKey, error) {
	seed, err := sealed.Read(path, "key "+role, pass)
	if err != nil {
		return identity.PrivateKey{}, fmt.Errorf("open the %s key: %w", role, err)
	}
	defer clear(seed)
	if len(seed) != 32 {
		return identity.PrivateKey{}, fmt.Errorf("the %s key in %s is not a key", role, path)
	}
	return identity.NewKey([32]byte(seed)), nil
}
