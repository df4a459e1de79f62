package identity

// MasterNode, Descend, Key and Chain open derivation step by step.
func MasterNode(seed []byte) *node { n := master(seed); return &n }

func (n *node) Descend(index uint32) { n.descend(index) }

func (n *node) Key() [32]byte { return n.key }

func (n *node) Chain() [32]byte { return n.chain }

// Keys returns how many keys the verifier keeps.
func (v *Verifier) Keys() int { return len(v.cache.index) }

// Failures returns how many equations of the last chunk failed.
func (v *Verifier) Failures() int { return v.failures }
