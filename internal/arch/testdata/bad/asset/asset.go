// Package asset breaks every rule of a pure floor that a type can show.
package asset

import (
	"maps"
	"slices"
	"time" // want "asset is pure and must not import time"
)

type Rate float64 // want "uses a float"

type Counts map[string]int

var last int

var table = map[string]int{}

var limits struct{ max [4]int }

const exact = 1e9 // an untyped constant is no float

func Bad(m map[string]int, c Counts) (n uint64) {
	half := 0.5    // want "uses a float"
	_ = half       // want "uses a float"
	go func() {}() // want "starts a goroutine"
	for range m {  // want "ranges over a map"
		n += exact
	}
	for k := range c { // want "ranges over a map"
		_ = k
	}
	for k := range maps.Keys(m) { // want "takes the order of a map"
		_ = k
	}
	for _, k := range slices.Collect(maps.Values(m)) { // want "takes the order of a map"
		_ = k
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		_ = k
	}
	last++            // want "writes the package variable last"
	table["a"] = 1    // want "writes the package variable table"
	limits.max[2] = 3 // want "writes the package variable limits"
	local := limits
	local.max[2] = 4
	return n
}

func Wait(done chan bool) { // want "uses a channel"
	select { // want "waits on channels"
	case <-done: // want "uses a channel"
	}
}

func Any[M ~map[string]V, V any](m M) {
	for range m { // want "ranges over a map"
	}
}

func Hide() {
	defer func() {
		_ = recover() // want "recovers from a panic"
	}()
	_ = time.Now()
}
