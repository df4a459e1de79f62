package replica_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"souk/consensus"
	"souk/replica"
	"souk/store/memstore"
)

// FuzzRestore offers snapshots that a fuzzer makes up to a server that joins: one with
// a description of its own, and one whose description fits its only chunk. What is taken
// has the root that was promised, and what is refused leaves no state (S-21 to S-24).
func FuzzRestore(f *testing.F) {
	c := newChain(f, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1}, Keep: replica.Keep{SnapshotEvery: 5, ChunkBytes: 1 << 20}})
	c.grow(c.random(20, 3), 8)
	all, err := c.nodes[0].Snapshots()
	if err != nil || len(all) == 0 || all[0].Chunks != 1 {
		f.Fatalf("%+v, %v", all, err)
	}
	s := all[0]
	root := c.roots[s.Height-1]
	chunk, err := c.nodes[0].Chunk(s.Height, s.Format, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Metadata, chunk)
	f.Add(s.Metadata[:len(s.Metadata)-32], chunk[:len(chunk)-1])
	f.Add([]byte{}, bytes.Repeat([]byte{255}, 40))
	n := c.joiner()
	offer := func(t *testing.T, metadata, chunk []byte) {
		c.tb = t
		hash := sha256.Sum256(metadata)
		if err := n.Offer(consensus.Snapshot{Height: s.Height, Format: s.Format, Chunks: 1, Hash: hash[:], Metadata: metadata}, root); err != nil {
			if !errors.Is(err, replica.ErrSnapshot) {
				t.Fatal(err)
			}
			return
		}
		done, err := n.Restore(0, chunk)
		switch info := n.Info(); {
		case done && err == nil:
			if info.Root != root || info.Height != s.Height {
				t.Fatalf("restored to %+v", info)
			}
			n = &node{chain: c, store: memstore.New()}
			n.open()
		case err == nil:
			t.Fatal("the only chunk is taken, and more are wanted")
		case !errors.Is(err, replica.ErrSnapshot) && !errors.Is(err, consensus.ErrBadChunk):
			t.Fatal(err)
		case info.Height != 0:
			t.Fatalf("refused (%v), but there is a state: %+v", err, info)
		}
	}
	f.Fuzz(func(t *testing.T, metadata, made []byte) {
		offer(t, metadata, chunk)
		sum := sha256.Sum256(made)
		offer(t, append(bytes.Clone(s.Metadata[:len(s.Metadata)-32]), sum[:]...), made)
	})
}
