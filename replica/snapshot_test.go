package replica_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/merkle"
	"souk/replica"
	"souk/store/memstore"
)

// joiner is a server without a state.
func (c *chain) joiner() *node {
	c.tb.Helper()
	n := &node{chain: c, store: memstore.New()}
	n.open()
	c.tb.Cleanup(func() { _ = n.Close() })
	return n
}

// grow makes some blocks of random commands.
func (c *chain) grow(r *exchangetest.Random, blocks int) {
	c.tb.Helper()
	for range blocks {
		c.commands(0, 10, r.Block(10))
	}
}

// snapshot is the newest snapshot that a server serves, with its chunks.
func (n *node) snapshot(t *testing.T) (consensus.Snapshot, [][]byte) {
	t.Helper()
	for n.Metrics().SnapshotsMade.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	all, err := n.Snapshots()
	if err != nil || len(all) == 0 {
		t.Fatalf("%d snapshots, %v", len(all), err)
	}
	var chunks [][]byte
	for i := range all[0].Chunks {
		chunk, err := n.Chunk(all[0].Height, all[0].Format, i)
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, chunk)
	}
	return all[0], chunks
}

// TestSnapshot is S-20 to S-24: a server that joins by a snapshot, its chunks in any
// order and some of them damaged, is like one that has executed all blocks.
func TestSnapshot(t *testing.T) {
	for _, inline := range []bool{false, true} {
		config := replica.Config{Inline: inline, Persist: replica.Persist{Blocks: 3}, Keep: replica.Keep{SnapshotEvery: 10, ChunkBytes: 1500, Blocks: 5}}
		c := newChain(t, 2, config)
		random := c.random(20, 3)
		c.grow(random, 25)
		s, chunks := c.nodes[0].snapshot(t)
		if s.Height%10 != 0 || len(chunks) < 3 || len(s.Hash) != 32 {
			t.Fatalf("snapshot %+v", s)
		}
		if inline { // servers make the same snapshots
			if other, _ := c.nodes[1].snapshot(t); !cmp.Equal(s, other) {
				t.Errorf("another server's snapshot: %s", cmp.Diff(s, other))
			}
		}
		n := c.joiner()
		root := c.roots[s.Height-1]
		if err := n.Offer(s, root); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Restore(0, append([]byte{1}, chunks[0]...)); !errors.Is(err, consensus.ErrBadChunk) {
			t.Errorf("damaged chunk: %v", err)
		}
		order := rand.New(rand.NewPCG(1, 2)).Perm(len(chunks))
		for i, at := range order {
			done, err := n.Restore(uint32(at), chunks[at])
			if err != nil || done != (i == len(order)-1) {
				t.Fatalf("chunk %d: %v, %v", at, done, err)
			}
			if again, err := n.Restore(uint32(at), chunks[at]); !done && (err != nil || again) {
				t.Fatalf("chunk %d again: %v, %v", at, again, err)
			}
		}
		if info := n.Info(); info.Height != s.Height || info.Root != root {
			t.Errorf("restored to %+v", info)
		}
		n.crash(nil)
		c.nodes = append(c.nodes, n)
		n.replay()
		c.grow(random, 5)
		if err := n.Offer(s, root); !errors.Is(err, replica.ErrSnapshot) {
			t.Errorf("offer to a server with a state: %v", err)
		}
	}
}

// TestSnapshotCutShort is S-24: what a restore that did not end has left is no state.
func TestSnapshotCutShort(t *testing.T) {
	c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1}, Keep: replica.Keep{SnapshotEvery: 5, ChunkBytes: 1000}})
	c.grow(c.random(20, 3), 8)
	s, chunks := c.nodes[0].snapshot(t)
	n := c.joiner()
	for cut := range chunks {
		if err := n.Offer(s, c.roots[s.Height-1]); err != nil {
			t.Fatal(err)
		}
		for i := range cut {
			if _, err := n.Restore(uint32(i), chunks[i]); err != nil {
				t.Fatal(err)
			}
		}
		n.crash(rand.New(rand.NewPCG(uint64(cut), 2)))
		if info := n.Info(); info.Height != 0 {
			t.Fatalf("%+v after %d chunks", info, cut)
		}
		if _, err := n.Restore(uint32(cut), chunks[cut]); !errors.Is(err, replica.ErrSnapshot) {
			t.Fatalf("goes on: %v", err)
		}
	}
}

// TestSnapshotRefused is S-23.
func TestSnapshotRefused(t *testing.T) {
	c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1}, Keep: replica.Keep{SnapshotEvery: 5}})
	c.grow(c.random(5, 3), 8)
	s, chunks := c.nodes[0].snapshot(t)
	root := c.roots[s.Height-1]
	n := c.joiner()
	for name, edit := range map[string]func(*consensus.Snapshot, *merkle.Hash){
		"format": func(s *consensus.Snapshot, _ *merkle.Hash) { s.Format++ },
		"height": func(s *consensus.Snapshot, _ *merkle.Hash) { s.Height++ },
		"chunks": func(s *consensus.Snapshot, _ *merkle.Hash) { s.Chunks++ },
		"hash":   func(s *consensus.Snapshot, _ *merkle.Hash) { s.Hash = make([]byte, 32) },
		"cut":    func(s *consensus.Snapshot, _ *merkle.Hash) { s.Metadata = s.Metadata[:50] },
		"root":   func(_ *consensus.Snapshot, root *merkle.Hash) { root[0]++ },
	} {
		other, otherRoot := s, root
		edit(&other, &otherRoot)
		if err := n.Offer(other, otherRoot); !errors.Is(err, replica.ErrSnapshot) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := n.Restore(0, chunks[0]); !errors.Is(err, replica.ErrSnapshot) {
		t.Errorf("restore without an offer: %v", err)
	}
}

// TestSnapshotsKept: old snapshots go, and the engine keeps the blocks behind the oldest.
func TestSnapshotsKept(t *testing.T) {
	c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1}, Keep: replica.Keep{SnapshotEvery: 4, Snapshots: 2, Blocks: 1}})
	random := c.random(5, 3)
	n := c.nodes[0]
	for range 20 {
		c.grow(random, 1)
		c.decide(0, nil)
		all, err := n.Snapshots()
		if err != nil || len(all) > 2 {
			t.Fatalf("%d snapshots, %v", len(all), err)
		}
		if len(all) > 0 {
			oldest := all[len(all)-1].Height
			if _, err := n.Chunk(oldest, 1, 0); err != nil {
				t.Error(err)
			}
			if _, err := n.Chunk(oldest-4, 1, 0); err == nil {
				t.Errorf("a chunk of the snapshot at %d is still there", oldest-4)
			}
			if c.retained > oldest {
				t.Errorf("blocks below %d may go, the oldest snapshot is at %d", c.retained, oldest)
			}
		} else if c.retained != 0 {
			t.Errorf("blocks below %d may go, and there is no snapshot", c.retained)
		}
	}
	if c.retained == 0 {
		t.Error("no block may ever go")
	}
	before, err := n.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	n.restart()
	if after, err := n.Snapshots(); err != nil || !cmp.Equal(before, after) {
		t.Errorf("after a restart: %v %s", err, cmp.Diff(before, after))
	}
}

// TestExport is S-25: a state goes into a file, and other members go on with it
// under another id, with all balances.
func TestExport(t *testing.T) {
	c := newChain(t, 4, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1}})
	c.grow(c.random(20, 3), 15)
	n := c.nodes[0]
	var file bytes.Buffer
	made, err := n.Export(&file, c.prove)
	if err != nil {
		t.Fatal(err)
	}
	if made.Height != n.Info().Height || made.Root != c.roots[made.Height-1] || made.Leaves == 0 {
		t.Fatalf("%+v", made)
	}
	read := func() *replica.Export {
		t.Helper()
		e, err := replica.ReadExport(bytes.NewReader(file.Bytes()), c.verify)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := read()
	old, err := e.State()
	if err != nil || e.Height != made.Height {
		t.Fatalf("%v, %v", err, e.Err())
	}
	// The newest block is not stored, and is not lost.
	if head := len(c.blocks); int(e.Newest.Block.Height) != head || int(e.Height) != head-1 || old.Root() != c.roots[head-1] || old.Root() == e.Root {
		t.Fatalf("block %d of %d, root %s instead of %s", e.Newest.Block.Height, head, old.Root(), c.roots[head-1])
	}

	next := exchangetest.Founding(3)
	next.Assets, next.Markets, next.Reserved = nil, nil, nil
	next.Origin = &exchange.Origin{Server: c.founding.ID(), Height: e.Newest.Block.Height, Root: old.Root()}
	open := func(origin *replica.Export) *replica.Replica {
		t.Helper()
		r, err := replica.Open(replica.Config{Founding: next, Store: memstore.New(), Origin: origin, Inline: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close() })
		return r
	}
	found := consensus.Founding{Contract: next.Append(nil)}
	r := open(read())
	if _, err := r.Found(found); err != nil {
		t.Fatal(err)
	}
	if err := r.View(func(s *exchange.State) {
		if s.ID() == old.ID() || !cmp.Equal(s.Audit(), old.Audit()) {
			t.Errorf("the totals differ: %s", cmp.Diff(old.Audit(), s.Audit()))
		}
		for i := range 20 {
			a := exchangetest.Address("a" + string(rune('0'+i%10)))
			was, _ := old.Ledger().Find(a)
			is, ok := s.Ledger().Find(a)
			if !ok || !slices.Equal(old.Ledger().Account(was).Balances, s.Ledger().Account(is).Balances) {
				t.Errorf("the balances of account %d differ", i)
			}
		}
	}); err != nil {
		t.Error(err)
	}
	if _, err := open(nil).Found(found); !errors.Is(err, replica.ErrExport) {
		t.Errorf("without the export: %v", err)
	}
	whole := slices.Clone(file.Bytes())
	for name, edit := range map[string]func(b []byte) []byte{
		"cut":      func(b []byte) []byte { return b[:len(b)-1] },
		"longer":   func(b []byte) []byte { return append(b, 0) },
		"hash":     func(b []byte) []byte { b[len(b)-1]++; return b },
		"last key": func(b []byte) []byte { b[len(b)-33-60]++; return b },
	} {
		file = *bytes.NewBuffer(edit(slices.Clone(whole)))
		if _, err := open(read()).Found(found); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, bad := range [][]byte{nil, []byte("souk"), whole[:20], append([]byte("x"), whole...)} {
		if _, err := replica.ReadExport(bytes.NewReader(bad), c.verify); !errors.Is(err, replica.ErrExport) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
}

// TestForgedExport is S-25: what the members have not signed is refused, however well
// the file agrees with itself and with the founding contract.
func TestForgedExport(t *testing.T) {
	c := newChain(t, 4, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1}})
	twin := newChain(t, 4, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1}})
	if c.founding.ID() != twin.founding.ID() {
		t.Fatal("two virtual servers")
	}
	c.fund("alice")
	twin.fund("mallory") // in a history of her own, in which all sums are right
	c.fund("bob")
	twin.fund("bob")
	export := func(n *node, prove replica.Prover) (*replica.Export, []byte) {
		t.Helper()
		var file bytes.Buffer
		e, err := n.Export(&file, prove)
		if err != nil {
			t.Fatal(err)
		}
		return e, file.Bytes()
	}
	read := func(file []byte) error {
		e, err := replica.ReadExport(bytes.NewReader(file), c.verify)
		if err == nil {
			_, err = e.State()
		}
		return err
	}
	honest, file := export(c.nodes[0], c.prove)
	if err := read(file); err != nil {
		t.Fatal(err)
	}
	signed := "the members have signed " + honest.Root.String()
	forged, file := export(twin.nodes[0], c.prove)
	if err := read(file); !errors.Is(err, replica.ErrUnproven) || !strings.Contains(err.Error(), signed) {
		t.Errorf("with the root of what is in it: %v", err)
	}
	at := bytes.Index(file, forged.Root[:])
	copy(file[at:], honest.Root[:])
	sum := sha256.Sum256(file[:len(file)-sha256.Size])
	copy(file[len(file)-sha256.Size:], sum[:])
	if err := read(file); !errors.Is(err, replica.ErrUnproven) || !strings.Contains(err.Error(), "somebody has changed them") {
		t.Errorf("with the root that was signed: %v", err)
	}
	_, file = export(c.nodes[0], func(height uint64) ([]byte, error) { return c.prove(height - 1) })
	if err := read(file); !errors.Is(err, replica.ErrUnproven) {
		t.Errorf("with the proof of another block: %v", err)
	}
	_, file = export(c.nodes[0], func(uint64) ([]byte, error) { return nil, nil })
	if err := read(file); !errors.Is(err, replica.ErrUnproven) {
		t.Errorf("without proof: %v", err)
	}
}

func FuzzReadExport(f *testing.F) {
	c := newChain(f, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1}})
	c.fund("alice")
	c.fund("bob")
	var file bytes.Buffer
	if _, err := c.nodes[0].Export(&file, c.prove); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add([]byte("souk export 2\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := replica.ReadExport(bytes.NewReader(data), c.verify)
		if err != nil {
			if !errors.Is(err, replica.ErrExport) && !errors.Is(err, replica.ErrUnproven) {
				t.Errorf("error %v", err)
			}
			return
		}
		for range e.ReadLeaves() {
			continue // to the end of the file
		}
		if err := e.Err(); err != nil && !errors.Is(err, replica.ErrExport) {
			t.Errorf("error %v", err)
		}
	})
}
