package node

import (
	"log/slog"
	"path/filepath"

	"souk/store"
	"souk/store/pebble"
)

// Which engine keeps the states of virtual servers is decided here and nowhere else in
// this package. Another one has to pass store/storetest.

const (
	// memTable is how much of the newest state a store collects in memory, in bytes,
	// before it goes into files. At full load a store takes some 30 MB a second, most
	// of it soon overwritten; small tables would all be merged again and again. There are
	// two at a time, and the collector lets a heap grow to twice what lives in it.
	memTable = 32 << 20
	// cacheSize is how much of what is on disk stays in memory, for all stores together.
	cacheSize = 32 << 20
)

// stores opens the stores of a process, which share a cache.
type stores struct{ cache *pebble.Cache }

func newStores() *stores { return &stores{pebble.NewCache(cacheSize)} }

// open opens the store of the virtual server with a folder.
func (s *stores) open(dir string, log *slog.Logger) (store.Store, error) {
	opened, err := pebble.Open(filepath.Join(dir, "state"), pebble.Config{Logger: log, Cache: s.cache, MemTable: memTable})
	if err != nil {
		return nil, err // not a store.Store with nothing in it
	}
	return opened, nil
}

// gateTable is how much of a gate's newest memory is collected before it goes into files.
const gateTable = 4 << 20

// openGateStore opens the memory of the gate in a folder. It is nil beside an error.
func openGateStore(dir string, log *slog.Logger) (store.Store, error) {
	opened, err := pebble.Open(filepath.Join(dir, "state"), pebble.Config{Logger: log, MemTable: gateTable})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// close gives the cache back, after all stores are closed.
func (s *stores) close() { s.cache.Close() }
