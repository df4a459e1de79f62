package replica_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/internal/bulk"
	"souk/replica"
	"souk/store"
	"souk/store/memstore"
	"souk/store/pebble"
)

// watched is a store that tells before each commit.
type watched struct {
	store.Store
	before func()
}

func (w *watched) NewBatch() store.Batch { return &watchedBatch{w.Store.NewBatch(), w} }

type watchedBatch struct {
	store.Batch
	on *watched
}

func (b *watchedBatch) Commit(sync bool) error {
	b.on.before()
	return b.Batch.Commit(sync)
}

// dump is all that a store holds.
func dump(t *testing.T, s store.Reader) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := s.Scan(nil, nil, func(key, value []byte) bool {
		all[string(key)] = string(value)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// disk opens stores, and their checkpoints.
type disk func(dir string) (store.Store, error)

// history is a chain that is executed again on other stores.
type history struct {
	t      *testing.T
	chain  *chain
	config replica.Config
	open   disk
	dir    string // for checkpoints
	count  int    // of them
	want   map[string]string
}

// run opens a replica on a store and executes the blocks that it has not seen. As
// often as the store is about to be written to, it calls before.
func (h *history) run(s store.Store, before func(r *replica.Replica)) {
	h.t.Helper()
	var r *replica.Replica
	config := h.config
	config.Founding, config.Store = h.chain.founding, &watched{s, func() { before(r) }}
	r, err := replica.Open(config)
	if err != nil {
		h.t.Fatal(err)
	}
	info := r.Info()
	if info.Height == 0 {
		if _, err := r.Found(consensus.Founding{Contract: h.chain.founding.Append(nil)}); err != nil {
			h.t.Fatal(err)
		}
	} else if info.Root != h.chain.roots[info.Height-1] {
		h.t.Fatalf("root %s at height %d, not %s", info.Root, info.Height, h.chain.roots[info.Height-1])
	}
	for _, b := range h.chain.blocks[info.Height:] {
		out, err := r.Finalize(b)
		if err != nil || out.Root != h.chain.roots[b.Height-1] {
			h.t.Fatalf("block %d: root %s, not %s: %v", b.Height, out.Root, h.chain.roots[b.Height-1], err)
		}
		if _, err := r.Commit(); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		h.t.Fatal(err)
	}
}

// image is a store as a loss of power between two commits would leave it, and the
// height that the replica answered for then.
type image struct {
	dir    string
	height uint64
}

// images runs the history on a store, and takes an image before each commit.
func (h *history) images(s store.Store) (all []image) {
	h.t.Helper()
	h.run(s, func(r *replica.Replica) {
		h.count++
		i := image{dir: filepath.Join(h.dir, fmt.Sprint(h.count))}
		if r != nil {
			i.height = r.Info().Height
		}
		if err := s.Checkpoint(i.dir); err != nil {
			h.t.Fatal(err)
		}
		all = append(all, i)
	})
	h.check(s)
	return all
}

// check compares what a store holds at the end with what it should.
func (h *history) check(s store.Store) {
	h.t.Helper()
	got := dump(h.t, s)
	if h.want == nil {
		h.want = got
	}
	if !maps.Equal(got, h.want) {
		for key, value := range got {
			if h.want[key] != value {
				h.t.Errorf("key %x holds %d bytes, not %d", key, len(value), len(h.want[key]))
			}
		}
		h.t.Fatalf("%d keys, not %d", len(got), len(h.want))
	}
	if err := s.Close(); err != nil {
		h.t.Fatal(err)
	}
}

// restart goes on from an image, and answers what images that gave.
func (h *history) restart(i image) []image {
	h.t.Helper()
	s, err := h.open(i.dir)
	if err != nil {
		h.t.Fatal(err)
	}
	if i.height > 0 {
		value, err := s.Get([]byte{0x01})
		if err != nil || binary.BigEndian.Uint64(value[1:]) < i.height {
			h.t.Fatalf("%s: less is stored than was answered for: %x, %v", i.dir, value, err)
		}
	}
	return h.images(s)
}

// unfinished tells what of a journal an image holds.
func (h *history) unfinished(i image) (some, whole bool) {
	h.t.Helper()
	s, err := h.open(i.dir)
	if err != nil {
		h.t.Fatal(err)
	}
	for key := range dump(h.t, s) {
		if key[0] == 0x0d {
			some, whole = true, whole || len(key) == 1
		}
	}
	if err := s.Close(); err != nil {
		h.t.Fatal(err)
	}
	return some, whole
}

// TestJournal is S-16: blocks that are too large for a batch are written in several,
// the power fails between any two of them, and once more while that is mended: the
// store ends up with the very same content as one that could take all at once.
func TestJournal(t *testing.T) {
	mem := memstore.NewDisk()
	for _, test := range []struct {
		name          string
		blocks, batch int
		every, again  int // of so many images, one is gone on from, and one taken apart in its turn
		open          disk
	}{
		{"memory", 2 + bulk.Count(10), 3000, 1, 1, func(dir string) (store.Store, error) { return mem.Open(dir) }},
		{"pebble", 2, 4000, 3, 12, func(dir string) (store.Store, error) { return pebble.Open(dir, pebble.Config{}) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newChain(t, 1, replica.Config{Inline: true})
			random := c.random(8, 5)
			for i := range test.blocks {
				if i%3 == 2 { // something is forgotten
					c.world.Time += 400_000
				}
				c.commands(0, 30, random.Block(30))
			}
			h := &history{t: t, chain: c, open: test.open, dir: t.TempDir()}
			h.config = replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1}, Keep: replica.Keep{Results: 1, Days: 1}}
			s, err := h.open(filepath.Join(h.dir, "whole"))
			if err != nil {
				t.Fatal(err)
			}
			h.run(s, func(*replica.Replica) {})
			h.check(s)

			h.config.Persist.Batch = test.batch
			if s, err = h.open(filepath.Join(h.dir, "parts")); err != nil {
				t.Fatal(err)
			}
			dropped, finished, twice := 0, 0, 0
			for n, i := range h.images(s) {
				if n%test.every > 0 {
					continue
				}
				some, whole := h.unfinished(i)
				if some && !whole {
					dropped++
				}
				if whole {
					finished++
				}
				again := h.restart(i)
				if !whole || n%test.again > 0 {
					continue
				}
				for _, i := range again {
					if _, whole := h.unfinished(i); !whole {
						break // the mending is over
					}
					twice++
					h.restart(i)
				}
			}
			if dropped == 0 || finished == 0 || twice == 0 {
				t.Fatalf("%d journals were forgotten, %d carried out at the start, %d of them again", dropped, finished, twice)
			}
		})
	}
}

// TestBatchBound is S-16: no batch is larger than the bound, whatever the blocks hold, so
// what is counted of a block before it is written is not too little.
func TestBatchBound(t *testing.T) {
	const most, little = 20_000, 8 // what closes a journal is not counted
	var journals, all uint64
	for seed := range uint64(bulk.Count(10)) {
		rng := rand.New(rand.NewPCG(seed, 4))
		c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1 + int(seed%2)*rng.IntN(6), Batch: most}, Keep: replica.Keep{Events: -1}})
		random := c.random(12, seed)
		n := c.nodes[0]
		n.store.Intercept(func(commit memstore.Commit) error {
			if commit.Size > most+little {
				t.Errorf("seed %d: a batch of %d bytes", seed, commit.Size)
			}
			return nil
		})
		for range 20 {
			c.commands(0, 100, random.Block(1+rng.IntN(200)))
		}
		journals += n.Metrics().Journals.Load()
		all += n.Metrics().Flushes.Load()
		n.crash(rng)
		n.replay()
		n.checkLog(1)
	}
	if journals == 0 || journals == all {
		t.Errorf("%d of %d writes had a journal", journals, all)
	}
}

// TestLargeBlock is S-13: a block that alone is more than may be behind is waited for
// by nobody, as it cannot be written before the next.
func TestLargeBlock(t *testing.T) {
	for _, inline := range []bool{false, true} {
		c := newChain(t, 1, replica.Config{Inline: inline, Persist: replica.Persist{
			Blocks: 3, Every: time.Millisecond, Bytes: 500, Batch: 500, LagBytes: 1000,
		}})
		c.fund("alice", "bob")
		for range 5 {
			var commands []exchange.Command
			for range 20 {
				commands = append(commands, c.pay("alice", "bob"))
			}
			c.commands(0, 20, commands)
		}
		c.nodes[0].restart()
	}
}

// TestExportBetweenWrites is S-25: an export shows no state that lies within a write
// of several batches.
func TestExportBetweenWrites(t *testing.T) {
	c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1, Batch: 2000}})
	random := c.random(8, 6)
	n := c.nodes[0]
	var exports []chan []byte
	var open atomic.Bool
	n.store.Intercept(func(memstore.Commit) error {
		if !open.Load() {
			return nil
		}
		done := make(chan []byte, 1)
		go func() {
			var file bytes.Buffer
			if _, err := n.Export(&file, c.prove); err != nil {
				t.Error(err)
			}
			done <- file.Bytes()
		}()
		select {
		case file := <-done:
			done <- file
		case <-time.After(5 * time.Millisecond): // it waits for the end of the write
		}
		exports = append(exports, done)
		return nil
	})
	open.Store(true)
	for range 4 {
		c.commands(0, 20, random.Block(20))
	}
	open.Store(false)
	if len(exports) < 20 {
		t.Fatalf("%d exports", len(exports))
	}
	for _, done := range exports {
		e, err := replica.ReadExport(bytes.NewReader(<-done), c.verify)
		if err != nil {
			t.Fatal(err)
		}
		state, err := exchange.Load(c.founding, e.ReadLeaves())
		if err != nil || e.Err() != nil || state.Root() != e.Root {
			t.Fatalf("export at height %d: %v, %v", e.Height, err, e.Err())
		}
	}
}

// TestManyFills is S-10: trades and fills of one block that are too many for one
// value are found like others, newest first, from any of them on.
func TestManyFills(t *testing.T) {
	const makers, each = 60, 150
	c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1}})
	var names []string
	for i := range makers {
		names = append(names, fmt.Sprint("maker ", i))
	}
	c.fund(append([]string{"alice"}, names...)...)
	for i := range each {
		var commands []exchange.Command
		for _, name := range names {
			commands = append(commands, c.world.Command(name, &exchange.Place{
				Market: 1, Side: market.Sell, Order: market.LimitOrder, TIF: market.GTC, Price: 50_000e8, Quantity: 1e6,
			}))
		}
		for _, rc := range c.commands(0, replica.MaxBatch, commands).Receipts {
			if rc.Code != exchange.OK {
				t.Fatal(i, rc.Code)
			}
		}
	}
	c.commands(0, 1, []exchange.Command{c.world.Command("alice", &exchange.Place{
		Market: 1, Side: market.Buy, Order: market.LimitOrder, TIF: market.IOC, Price: 50_000e8, Quantity: makers * each * 1e6,
	})})
	height := c.result.Height
	var want []market.TradeID
	for i := range c.result.Events {
		if e := &c.result.Events[i]; e.Kind == exchange.EventTrade {
			want = append(want, e.Fill.Trade)
		}
	}
	slices.Reverse(want)
	if len(want) != makers*each {
		t.Fatalf("%d trades", len(want))
	}
	n := c.nodes[0]
	for range 2 { // from memory, then from the store
		for _, from := range []int{0, 1, 100, 4095, 4096, 4097, 8191, 8192, len(want) - 1} {
			cursor := replica.Cursor{}
			if from > 0 {
				cursor = replica.Cursor{Height: height, Time: c.world.Time, Trade: want[from-1]}
			}
			var trades, fills []market.TradeID
			for tr, err := range n.Trades(1, cursor) {
				if err != nil {
					t.Fatal(err)
				}
				trades = append(trades, tr.ID)
			}
			for f, err := range n.Fills(exchangetest.Address("alice"), cursor) {
				if err != nil || f.Height != height {
					t.Fatal(f, err)
				}
				fills = append(fills, f.Trade)
			}
			if !slices.Equal(trades, want[from:]) || !slices.Equal(fills, want[from:]) {
				t.Fatalf("from %d on there are %d trades and %d fills, not %d", from, len(trades), len(fills), len(want)-from)
			}
		}
		c.commands(0, 1, []exchange.Command{c.pay("alice", "bob")})
	}
	largest := 0
	for key, value := range dump(t, n.store) {
		if key[0] == 8 || key[0] == 9 {
			largest = max(largest, len(value))
		}
	}
	if largest > 1<<19 {
		t.Errorf("a value of %d bytes", largest)
	}
}
