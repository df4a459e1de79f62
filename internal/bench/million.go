package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/identity"
	"souk/replica"
	"souk/store/pebble"
)

const million = 1_000_000

// million measures a state of a million accounts with money: its memory, and how
// long a server takes to load it from disk.
func (r *run) million() error {
	f := exchangetest.Founding(1)
	store, err := pebble.Open(filepath.Join(r.dir, "million"), pebble.Config{})
	if err != nil {
		return err
	}
	config := replica.Config{Founding: f, Store: store, Self: f.Members[0].Consensus}
	rep, err := replica.Open(config)
	if err != nil {
		return err
	}
	if _, err := rep.Found(consensus.Founding{Contract: f.Append(nil)}); err != nil {
		return err
	}
	before := heap()
	if err := r.openAccounts(rep, f); err != nil {
		return err
	}
	r.set("bytes_per_account", float64(heap()-before)/million)
	if err := rep.Close(); err != nil {
		return err
	}
	if err := store.Close(); err != nil {
		return err
	}
	begin := time.Now()
	if store, err = pebble.Open(filepath.Join(r.dir, "million"), pebble.Config{}); err != nil {
		return err
	}
	config.Store = store
	if rep, err = replica.Open(config); err != nil {
		return err
	}
	r.set("load_million_accounts_s", time.Since(begin).Seconds())
	accounts := 0
	if err := rep.View(func(s *exchange.State) { accounts = s.Ledger().Accounts() }); err != nil {
		return err
	}
	if accounts < million {
		return fmt.Errorf("only %d accounts were loaded", accounts)
	}
	if err := rep.Close(); err != nil {
		return err
	}
	return store.Close()
}

// heap is the memory in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// openAccounts makes a million accounts by minting, in blocks that the replica
// takes for decided ones, whose signatures were checked by others.
func (r *run) openAccounts(rep *replica.Replica, f *exchange.Founding) error {
	issuer := exchangetest.Key("issuer").Public()
	const perBlock = 1024
	height, nonce, now := uint64(0), uint64(0), f.Created
	for made := 0; made < million+perBlock; made += perBlock {
		height++
		now += 100
		batch := replica.Batch{Member: 1, Seq: height}
		for i := range perBlock {
			nonce++
			n := made + i
			to := identity.Address{byte(n), byte(n >> 8), byte(n >> 16), byte(n * 7), byte(n * 13), 1}
			body := exchange.Mint{Asset: 1, Amount: 1e8, To: to}
			batch.Commands = append(batch.Commands, exchange.Command{
				Kind: exchange.KindMint, Account: exchangetest.Address("issuer"), Key: issuer, Nonce: nonce, Expiry: now + 60_000, Body: body.Append(nil),
			})
		}
		if _, err := rep.Finalize(consensus.Block{
			Height: height, Proposer: f.Members[0].Consensus,
			Payloads: [][]byte{replica.AppendClock(nil, now), replica.AppendBatch(nil, &batch)},
		}); err != nil {
			return err
		}
		if _, err := rep.Commit(); err != nil {
			return err
		}
	}
	return nil
}
