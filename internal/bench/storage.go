package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"souk/exchange"
	"souk/internal/cluster"
	"souk/node"
	"souk/store/pebble"
)

// What first bytes of the keys of a server's store stand for (S-10).
const (
	kindLeaf    = 3
	kindResults = 5
	kindRun     = 6
	kindRunPage = 7
	kindTrades  = 8
	kindFills   = 9
)

// kept says what a group of figures is measured of: the keys that belong together,
// written to a store of their own, without what was overwritten or deleted and
// without a log.
type kept struct {
	dir  string
	set  func(key, value []byte) error
	done func() error
}

func (r *run) keep(name string) (*kept, error) {
	dir := filepath.Join(r.dir, "kept", name)
	s, err := pebble.Open(dir, pebble.Config{})
	if err != nil {
		return nil, err
	}
	batch := s.NewBatch()
	set := func(key, value []byte) error {
		batch.Set(key, value)
		if batch.Len() < 4<<20 {
			return nil
		}
		err := batch.Commit(false)
		batch = s.NewBatch()
		return err
	}
	return &kept{dir, set, func() error { return errors.Join(batch.Commit(true), s.Close()) }}, nil
}

// size is what the disk needs for it.
func (k *kept) size() (int64, error) {
	if err := k.done(); err != nil {
		return 0, err
	}
	return settled(k.dir)
}

// settled is the size of a store's folder when its log has been brought into tables.
func settled(dir string) (int64, error) {
	s, err := pebble.Open(dir, pebble.Config{}) // that does it
	if err != nil {
		return 0, err
	}
	if err := s.Close(); err != nil {
		return 0, err
	}
	return folderSize(dir), nil
}

// storage stops a server and measures what receipts, trades and leaves take on its
// disk: a receipt its place in the result list and in the run by which it is found, a
// trade its place in the result list and in the histories of its market and of both sides.
func (r *run) storage(c *cluster.Cluster) error {
	if err := c.Stop(0); err != nil {
		return err
	}
	dir := stateFolder(c.Homes[0], c.Founding.ID())
	s, err := pebble.Open(dir, pebble.Config{})
	if err != nil {
		return err
	}
	groups := map[string]*kept{}
	for _, name := range []string{"receipts", "trades", "leaves"} {
		if groups[name], err = r.keep(name); err != nil {
			return err
		}
	}
	var receipts, trades, leaves int
	var failed error
	err = s.Scan(nil, nil, func(key, value []byte) bool {
		switch key[0] {
		case kindLeaf:
			leaves++
			failed = groups["leaves"].set(key, value)
		case kindRun, kindRunPage:
			failed = groups["receipts"].set(key, value)
		case kindTrades, kindFills:
			failed = groups["trades"].set(key, value)
		case kindResults: // both, the receipts first
			n, size := countReceipts(value)
			receipts += n
			rest := 0
			for at := size; at < len(value); at += 2 + int(binary.BigEndian.Uint16(value[at:])) {
				rest++
			}
			trades += rest
			if n > 0 {
				failed = groups["receipts"].set(key, value[:size])
			}
			if rest > 0 && failed == nil {
				failed = groups["trades"].set(key, value[size:])
			}
		}
		return failed == nil
	})
	if err := errors.Join(err, failed, s.Close()); err != nil {
		return err
	}
	for _, per := range []struct {
		group, figure string
		n             int
	}{{"receipts", "bytes_per_receipt", receipts}, {"trades", "bytes_per_trade", trades}, {"leaves", "bytes_per_leaf", leaves}} {
		size, err := groups[per.group].size()
		if err != nil {
			return err
		}
		r.set(per.figure, float64(size)/float64(max(1, per.n)))
	}
	r.set("stored_load", map[string]any{"receipts": receipts, "trades": trades, "leaves": leaves})
	return nil
}

// countReceipts counts the receipts at the beginning of a page of a result list, and
// their bytes.
func countReceipts(page []byte) (n, size int) {
	first := (&exchange.Receipt{}).Append(nil)[0]
	for size+2 < len(page) && page[size+2] == first {
		size += 2 + int(binary.BigEndian.Uint16(page[size:]))
		n++
	}
	return n, size
}

// stateFolder is the folder of a server's store.
func stateFolder(h node.Home, id exchange.ID) string {
	return filepath.Join(string(h), "vs", fmt.Sprintf("%x", id[:8]), "state")
}
