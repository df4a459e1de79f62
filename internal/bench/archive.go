package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"souk/archive"
	"souk/archive/sqlite"
	"souk/archive/tables"
	"souk/asset"
	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/identity"
	"souk/replica"
	"souk/store/pebble"
)

// archive measures how fast an archive is made anew from a server's log: a million fills
// with their orders, commands, candles and balances.
func (r *run) archive() error {
	f := exchangetest.Founding(1)
	store, err := pebble.Open(filepath.Join(r.dir, "log"), pebble.Config{})
	if err != nil {
		return err
	}
	rep, err := replica.Open(replica.Config{Founding: f, Store: store, Self: f.Members[0].Consensus, Keep: replica.Keep{Events: -1}})
	if err != nil {
		return err
	}
	if _, err := rep.Found(consensus.Founding{Contract: f.Append(nil)}); err != nil {
		return err
	}
	if err := newBazaar(rep, f).trade(million); err != nil {
		return err
	}
	if err := r.rebuild(rep, f); err != nil {
		return err
	}
	return errors.Join(rep.Close(), store.Close())
}

// rebuild feeds an archive, and counts what is in it then.
func (r *run) rebuild(rep *replica.Replica, f *exchange.Founding) error {
	dir := filepath.Join(r.dir, "archive")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	a, err := sqlite.Open(r.ctx, sqlite.Config{Config: tables.Config{Founding: f}, Path: filepath.Join(dir, "db"), Cache: 256 << 20})
	if err != nil {
		return err
	}
	begin, used := time.Now(), cpu()
	if _, err := archive.Feed(r.ctx, a, 0, rep.Logged(r.ctx, 1)); err != nil {
		return err
	}
	seconds, used := time.Since(begin).Seconds(), cpu()-used
	rows, fills, err := countRows(r.ctx, a)
	if err != nil {
		return err
	}
	if fills < million {
		return fmt.Errorf("only %d fills are in the archive", fills)
	}
	r.set("archive_fills_per_s", float64(fills)/seconds)
	r.set("archive_rows_per_s", float64(rows)/seconds)
	r.set("archive_fills_per_cpu_s", float64(fills)/used.Seconds())
	r.set("archive_rows_per_fill", float64(rows)/float64(fills))
	if err := a.Close(); err != nil {
		return err
	}
	r.set("archive_bytes_per_fill", float64(folderSize(dir))/float64(fills))
	return nil
}

func countRows(ctx context.Context, a archive.Dumper) (rows, fills int, err error) {
	var in archive.Table
	err = a.Dump(ctx, func(of archive.Table) error {
		in = of
		return nil
	}, func([]any) error {
		if !in.View {
			rows++
		}
		if in.Name == "fills" {
			fills++
		}
		return nil
	})
	return rows, fills, err
}

// bazaar is a virtual server on which people sell in one block and buy in the next two:
// each order that rests is filled twice. Blocks count as decided, signatures as verified.
type bazaar struct {
	rep    *replica.Replica
	self   identity.PublicKey
	people []identity.PublicKey
	nonces map[identity.PublicKey]uint64
	rng    *rand.Rand
	height uint64
	now    uint64
	price  asset.Price
	fills  int
}

// Of a bazaar: how many come, and how many commands a block has.
const (
	bazaarPeople = 2_000
	bazaarBlock  = 1_024
)

func newBazaar(rep *replica.Replica, f *exchange.Founding) *bazaar {
	b := &bazaar{
		rep: rep, self: f.Members[0].Consensus, nonces: map[identity.PublicKey]uint64{}, rng: rand.New(rand.NewPCG(1, 2)), //nolint:gosec // reproducible
		now: f.Created, price: 50_000e8,
	}
	for i := range bazaarPeople {
		b.people = append(b.people, identity.NewKey(sha256.Sum256(fmt.Append(nil, "bazaar ", i))).Public())
	}
	return b
}

// trade goes on until there are so many fills.
func (b *bazaar) trade(fills int) error {
	issuer := exchangetest.Key("issuer").Public()
	for _, id := range []asset.ID{exchangetest.BTC, exchangetest.EUR} {
		for from := 0; from < len(b.people); from += bazaarBlock {
			var bodies []exchange.Command
			for _, p := range b.people[from:min(len(b.people), from+bazaarBlock)] {
				bodies = append(bodies, b.by(issuer, &exchange.Mint{Asset: id, Amount: 1_000_000 * exchangetest.Coin, To: identity.AddressOf(p)}))
			}
			if err := b.block(bodies); err != nil {
				return err
			}
		}
	}
	for round := 0; b.fills < fills; round++ {
		// Who sells in one round buys in the next.
		if err := b.block(b.orders(market.Sell, round, 2)); err != nil {
			return err
		}
		for range 2 {
			if err := b.block(b.orders(market.Buy, round+1, 1)); err != nil {
				return err
			}
		}
		b.price += asset.Price(b.rng.Int64N(21)-10) * 1e8 // it stays far above zero
	}
	return nil
}

// orders are those of a block, by one half of the people.
func (b *bazaar) orders(side market.Side, half int, lots asset.Amount) []exchange.Command {
	list := make([]exchange.Command, bazaarBlock)
	for i := range list {
		price := b.price + asset.Price(b.rng.IntN(20))*1e6
		if side == market.Buy {
			price = b.price + 20e6
		}
		list[i] = b.by(b.people[2*b.rng.IntN(len(b.people)/2)+half%2], &exchange.Place{
			Market: exchangetest.BTCEUR, Side: side, Order: market.LimitOrder, TIF: market.GTC, Price: price,
			Quantity: lots * 1e4, // the least, so that orders are not filled in many parts
		})
	}
	return list
}

func (b *bazaar) by(key identity.PublicKey, body exchange.Body) exchange.Command {
	b.nonces[key]++
	return exchange.Command{
		Kind: body.Kind(), Account: identity.AddressOf(key), Key: key, Nonce: b.nonces[key], Expiry: b.now + 60_000, Body: body.Append(nil),
	}
}

// block executes commands as one block.
func (b *bazaar) block(commands []exchange.Command) error {
	b.height++
	b.now += 100
	batch := replica.Batch{Member: 1, Seq: b.height, Commands: commands}
	if _, err := b.rep.Finalize(consensus.Block{
		Height: b.height, Proposer: b.self, Payloads: [][]byte{replica.AppendClock(nil, b.now), replica.AppendBatch(nil, &batch)},
	}); err != nil {
		return err
	}
	if _, err := b.rep.Commit(); err != nil {
		return err
	}
	var trades int
	for t, err := range b.rep.Trades(exchangetest.BTCEUR, replica.Cursor{}) {
		if err != nil {
			return err
		}
		trades = int(t.ID)
		break
	}
	b.fills = trades
	return nil
}
