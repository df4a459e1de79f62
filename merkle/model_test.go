package merkle_test

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"souk/merkle"
)

// model is the definition of a Map, V-20 to V-23, written down as slowly as it reads.
type model map[merkle.Key][]byte

func (m model) apply(changes []merkle.Change) {
	for _, c := range changes {
		if c.Value == nil {
			delete(m, c.Key)
		} else {
			m[c.Key] = c.Value
		}
	}
}

func (m model) keys() []merkle.Key {
	keys := make([]merkle.Key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, merkle.Key.Compare)
	return keys
}

func (m model) root() merkle.Hash {
	if len(m) == 0 {
		return merkle.Hash{}
	}
	return m.hash(m.keys(), 0)
}

// hash returns the root of the sorted keys, which agree in all bits before bit.
func (m model) hash(keys []merkle.Key, bit int) merkle.Hash {
	if len(keys) == 1 {
		value := sha256.Sum256(m[keys[0]])
		return sum([]byte{0}, keys[0][:], value[:])
	}
	mid := 0
	for mid < len(keys) && bitOf(keys[mid], bit) == 0 {
		mid++
	}
	if mid == 0 || mid == len(keys) {
		return m.hash(keys, bit+1)
	}
	left, right := m.hash(keys[:mid], bit+1), m.hash(keys[mid:], bit+1)
	return sum([]byte{1}, binary.BigEndian.AppendUint16(nil, uint16(bit)), left[:], right[:])
}

// listModel is the definition of a List's root, V-26.
func listModel(values [][]byte) merkle.Hash {
	if len(values) == 0 {
		return merkle.Hash{}
	}
	top := listTop(values)
	return sum([]byte{4}, binary.BigEndian.AppendUint32(nil, uint32(len(values))), top[:])
}

func listTop(values [][]byte) merkle.Hash {
	if len(values) == 1 {
		return sum([]byte{2}, values[0])
	}
	k := 1
	for 2*k < len(values) {
		k *= 2
	}
	left, right := listTop(values[:k]), listTop(values[k:])
	return sum([]byte{3}, left[:], right[:])
}

func bitOf(k merkle.Key, i int) byte { return k[i/8] >> (7 - i%8) & 1 }

func sum(parts ...[]byte) merkle.Hash { return sha256.Sum256(slices.Concat(parts...)) }
