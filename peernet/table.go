package peernet

import (
	"bytes"
	"iter"
	"slices"

	"souk/identity"
)

// table is a small map that is read in the order of its keys.
type table[K, V any] struct {
	compare func(a, b K) int
	rows    []row[K, V]
}

type row[K, V any] struct {
	key   K
	value V
}

// byPeer, byRing and byPair are empty tables.
func byPeer[V any]() table[identity.PublicKey, V] {
	return table[identity.PublicKey, V]{compare: compare}
}

func byRing[V any]() table[ID, V] {
	return table[ID, V]{compare: func(a, b ID) int { return bytes.Compare(a[:], b[:]) }}
}

func byPair[V any]() table[[2]identity.PublicKey, V] {
	return table[[2]identity.PublicKey, V]{compare: func(a, b [2]identity.PublicKey) int {
		if c := compare(a[0], b[0]); c != 0 {
			return c
		}
		return compare(a[1], b[1])
	}}
}

func (t *table[K, V]) find(k K) (int, bool) {
	return slices.BinarySearchFunc(t.rows, k, func(r row[K, V], k K) int { return t.compare(r.key, k) })
}

func (t *table[K, V]) len() int { return len(t.rows) }

// get is the value of a key, or the zero value.
func (t *table[K, V]) get(k K) (v V, ok bool) {
	if i, ok := t.find(k); ok {
		return t.rows[i].value, true
	}
	return v, false
}

// at is get where it does not matter whether the key is there.
func (t *table[K, V]) at(k K) V {
	v, _ := t.get(k)
	return v
}

func (t *table[K, V]) has(k K) bool {
	_, ok := t.find(k)
	return ok
}

func (t *table[K, V]) set(k K, v V) {
	i, ok := t.find(k)
	if ok {
		t.rows[i].value = v
		return
	}
	t.rows = slices.Insert(t.rows, i, row[K, V]{k, v})
}

func (t *table[K, V]) drop(k K) {
	if i, ok := t.find(k); ok {
		t.rows = slices.Delete(t.rows, i, i+1)
	}
}

func (t *table[K, V]) dropIf(past func(k K, v V) bool) {
	t.rows = slices.DeleteFunc(t.rows, func(r row[K, V]) bool { return past(r.key, r.value) })
}

func (t *table[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, r := range t.rows {
			if !yield(r.key, r.value) {
				return
			}
		}
	}
}
