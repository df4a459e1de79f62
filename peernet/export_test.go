package peernet

import "souk/identity"

// Sign signs a body for whoever has the key, as liars do.
func Sign(b *Body, key identity.PrivateKey) Seal { return b.sign(key) }
