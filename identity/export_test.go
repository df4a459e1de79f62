package identity

import "io"

// MasterNode, Descend, Key and Chain open derivation step by step.
func MasterNode(seed []byte) *node { n := master(seed); return &n }

func (n *node) Descend(index uint32) { n.descend(index) }

func (n *node) Key() [32]byte { return n.key }

func (n *node) Chain() [32]byte { return n.chain }

// NewKeyCache opens the cache of expanded keys.
func NewKeyCache(random io.Reader, keys int) *keyCache { return newKeyCache(random, keys) }
