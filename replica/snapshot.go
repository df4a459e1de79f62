package replica

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/crypto/cryptobyte"

	"souk/consensus"
	"souk/exchange"
	"souk/merkle"
	"souk/store"
)

// snapshotFormat is the number of the format of S-20.
const snapshotFormat = 1

// chunkBytesMost is the largest chunk that a server that joins takes.
const chunkBytesMost = 8 << 20

// manifest describes a snapshot (S-21).
type manifest struct {
	Server exchange.ID
	Height uint64
	Time   uint64 // of the last active block
	Root   merkle.Hash
	Leaves uint64
	Chunks [][32]byte // SHA-256 of each
}

func (m *manifest) append(dst []byte) []byte {
	dst = append(dst, m.Server[:]...)
	dst = binary.BigEndian.AppendUint64(dst, m.Height)
	dst = binary.BigEndian.AppendUint64(dst, m.Time)
	dst = append(dst, m.Root[:]...)
	dst = binary.BigEndian.AppendUint64(dst, m.Leaves)
	for i := range m.Chunks {
		dst = append(dst, m.Chunks[i][:]...)
	}
	return dst
}

func parseManifest(data []byte) (m manifest, err error) {
	s := cryptobyte.String(data)
	if !s.CopyBytes(m.Server[:]) || !s.ReadUint64(&m.Height) || !s.ReadUint64(&m.Time) || !s.CopyBytes(m.Root[:]) ||
		!s.ReadUint64(&m.Leaves) || len(s) == 0 || len(s)%32 != 0 {
		return manifest{}, fmt.Errorf("snapshot's description: %w", errValue)
	}
	for h := range slices.Chunk([]byte(s), 32) {
		m.Chunks = append(m.Chunks, [32]byte(h))
	}
	return m, nil
}

// appendLeaf appends a leaf as chunks and exports hold it.
func appendLeaf(dst []byte, k *merkle.Key, value []byte) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, k[:]...), uint32(len(value)))
	return append(dst, value...)
}

// snapshots makes snapshots beside the blocks and serves them.
type snapshots struct {
	r    *Replica
	wait sync.WaitGroup

	mu      sync.Mutex
	heights []uint64 // that can be served, ascending
	making  bool
	closed  bool
}

func newSnapshots(r *Replica) *snapshots { return &snapshots{r: r} }

// load finds the stored snapshots, and removes what is left of unfinished ones.
func (sn *snapshots) load() error {
	s := sn.r.config.Store
	malformed := false
	err := s.Scan([]byte{keySnapshot}, []byte{keySnapshot + 1}, func(key, _ []byte) bool {
		if malformed = len(key) != 9; !malformed {
			sn.heights = append(sn.heights, binary.BigEndian.Uint64(key[1:]))
		}
		return !malformed
	})
	if err != nil {
		return err
	}
	if malformed {
		return fmt.Errorf("%w: a snapshot's key", ErrStore)
	}
	b := s.NewBatch()
	from := []byte{keyChunk}
	for _, h := range sn.heights {
		b.DeleteRange(from, heightKey(keyChunk, h))
		from = heightKey(keyChunk, h+1)
	}
	b.DeleteRange(from, []byte{keyChunk + 1})
	return b.Commit(false)
}

// oldest is the height of the oldest snapshot that can be served; 0 if there is none.
func (sn *snapshots) oldest() uint64 {
	sn.mu.Lock()
	defer sn.mu.Unlock()
	if len(sn.heights) == 0 {
		return 0
	}
	return sn.heights[0]
}

// close waits for the snapshot that is being made, which is given up.
func (sn *snapshots) close() {
	sn.mu.Lock()
	sn.closed = true
	sn.mu.Unlock()
	sn.wait.Wait()
}

func (sn *snapshots) isClosed() bool {
	sn.mu.Lock()
	defer sn.mu.Unlock()
	return sn.closed
}

// begin makes a snapshot of the state in from, which it closes. While another
// one is being made there is none.
func (sn *snapshots) begin(from store.Snapshot, height uint64) {
	sn.mu.Lock()
	defer sn.mu.Unlock()
	if sn.making || sn.closed || slices.Contains(sn.heights, height) {
		_ = from.Close() // it was only read
		return
	}
	sn.making = true
	if sn.r.config.Inline {
		sn.mu.Unlock()
		sn.make(from, height)
		sn.mu.Lock()
		return
	}
	sn.wait.Go(func() { sn.make(from, height) })
}

// errStopped ends the making of a snapshot when the replica is closed.
var errStopped = errors.New("stopped")

func (sn *snapshots) make(from store.Snapshot, height uint64) {
	m, err := sn.write(from)
	_ = from.Close() // it was only read
	if err == nil {
		err = sn.keep(m, height)
	}
	sn.mu.Lock()
	sn.making = false
	sn.mu.Unlock()
	switch {
	case errors.Is(err, errStopped):
	case err != nil:
		sn.r.fail(fmt.Errorf("snapshot at %d: %w", height, err))
	default:
		sn.r.metrics.SnapshotsMade.Add(1)
		sn.r.log.Info("snapshot made", slog.Uint64("height", height), slog.Int("chunks", len(m.Chunks)))
	}
}

// write cuts the leaves into chunks and stores them.
func (sn *snapshots) write(from store.Snapshot) (*manifest, error) {
	value, err := from.Get([]byte{keyMeta})
	if err != nil {
		return nil, err
	}
	at, err := parseMeta(value)
	if err != nil {
		return nil, err
	}
	m := &manifest{Server: sn.r.id, Height: at.Height, Time: at.Time, Root: at.Root}
	var chunk []byte
	put := func() error {
		if sn.isClosed() {
			return errStopped
		}
		b := sn.r.config.Store.NewBatch()
		b.Set(chunkKey(m.Height, uint32(len(m.Chunks))), chunk)
		m.Chunks = append(m.Chunks, sha256.Sum256(chunk))
		chunk = chunk[:0]
		runtime.Gosched() // blocks first
		return b.Commit(false)
	}
	var scanned error
	for k, value := range storedLeaves(from, &scanned) {
		chunk = appendLeaf(chunk, &k, value)
		m.Leaves++
		if len(chunk) >= sn.r.config.Keep.ChunkBytes {
			if err := put(); err != nil {
				return nil, err
			}
		}
	}
	if scanned == nil && (len(chunk) > 0 || len(m.Chunks) == 0) {
		scanned = put()
	}
	return m, scanned
}

// keep makes a written snapshot one that is served, and forgets the oldest.
func (sn *snapshots) keep(m *manifest, height uint64) error {
	sn.mu.Lock()
	defer sn.mu.Unlock()
	heights := append(slices.Clone(sn.heights), height)
	slices.Sort(heights)
	b := sn.r.config.Store.NewBatch()
	b.Set(heightKey(keySnapshot, height), m.append(nil))
	for len(heights) > sn.r.config.Keep.Snapshots {
		b.Delete(heightKey(keySnapshot, heights[0]))
		from := heightKey(keyChunk, heights[0])
		b.DeleteRange(from, store.PrefixEnd(from))
		heights = heights[1:]
	}
	if err := b.Commit(true); err != nil {
		return err
	}
	sn.heights = heights
	return nil
}

// Snapshots lists the snapshots that can be served, newest first.
func (r *Replica) Snapshots() ([]consensus.Snapshot, error) {
	r.snapshots.mu.Lock()
	heights := slices.Clone(r.snapshots.heights)
	r.snapshots.mu.Unlock()
	var all []consensus.Snapshot
	for _, h := range slices.Backward(heights) {
		data, err := r.config.Store.Get(heightKey(keySnapshot, h))
		if errors.Is(err, store.ErrNotFound) {
			continue // forgotten meanwhile
		}
		if err != nil {
			return nil, err
		}
		m, err := parseManifest(data)
		if err != nil {
			return nil, err
		}
		hash := sha256.Sum256(data)
		all = append(all, consensus.Snapshot{
			Height: h, Format: snapshotFormat, Chunks: uint32(len(m.Chunks)), Hash: hash[:], Metadata: data,
		})
	}
	return all, nil
}

// Chunk reads one chunk of a snapshot; store.ErrNotFound if it is not there.
func (r *Replica) Chunk(height uint64, format, chunk uint32) ([]byte, error) {
	if format != snapshotFormat {
		return nil, fmt.Errorf("snapshot of format %d: %w", format, store.ErrNotFound)
	}
	return r.config.Store.Get(chunkKey(height, chunk))
}

// restoring is a snapshot on its way in.
type restoring struct {
	mu     sync.Mutex
	m      *manifest // nil: none was offered
	missed []bool    // by chunk
	left   int
}

// ErrSnapshot is returned for a snapshot that cannot be restored.
var ErrSnapshot = errors.New("snapshot is not usable")

// Offer begins a restore into a store that has no state; ErrSnapshot refuses.
// What an earlier restore has left is removed.
func (r *Replica) Offer(s consensus.Snapshot, root merkle.Hash) error {
	refuse := func(why string) error { return fmt.Errorf("%w: %s", ErrSnapshot, why) }
	m, err := parseManifest(s.Metadata)
	hash := sha256.Sum256(s.Metadata)
	switch {
	case r.usable() == nil:
		return refuse("there is a state already")
	case s.Format != snapshotFormat:
		return refuse(fmt.Sprintf("format %d is not known", s.Format))
	case err != nil:
		return refuse(err.Error())
	case !bytes.Equal(hash[:], s.Hash):
		return refuse("its description does not match its hash")
	case m.Server != r.id:
		return refuse("it is of another virtual server")
	case m.Height != s.Height || m.Root != root || len(m.Chunks) != int(s.Chunks):
		return refuse("its description is of another snapshot")
	}
	r.restoring.mu.Lock()
	defer r.restoring.mu.Unlock()
	if err := r.wipe(); err != nil {
		return err
	}
	r.restoring.m, r.restoring.left = &m, len(m.Chunks)
	r.restoring.missed = make([]bool, len(m.Chunks))
	for i := range r.restoring.missed {
		r.restoring.missed[i] = true
	}
	return nil
}

// Restore takes a chunk of the snapshot on offer, in any order. done is true when
// the state is complete and stored. ErrBadChunk asks for the chunk again; any
// other error gives the snapshot up.
func (r *Replica) Restore(index uint32, chunk []byte) (done bool, err error) {
	rs := r.restoring
	rs.mu.Lock()
	defer rs.mu.Unlock()
	switch {
	case rs.m == nil:
		return false, fmt.Errorf("%w: none is on offer", ErrSnapshot)
	case int(index) >= len(rs.m.Chunks):
		return false, fmt.Errorf("%w: it has %d chunks, not %d", ErrSnapshot, len(rs.m.Chunks), index+1)
	case len(chunk) > chunkBytesMost || sha256.Sum256(chunk) != rs.m.Chunks[index]:
		return false, fmt.Errorf("chunk %d: %w", index, consensus.ErrBadChunk)
	case !rs.missed[index]:
		return false, nil
	}
	defer func() {
		if err != nil || done {
			rs.m = nil
		}
	}()
	if err := r.storeChunk(chunk); err != nil {
		return false, err
	}
	rs.missed[index] = false
	if rs.left--; rs.left > 0 {
		return false, nil
	}
	return true, r.restored(rs.m)
}

// storeChunk stores a chunk's leaves.
func (r *Replica) storeChunk(chunk []byte) error {
	b := r.config.Store.NewBatch()
	var key []byte
	for s := cryptobyte.String(chunk); len(s) > 0; {
		var k merkle.Key
		var size uint32
		var value []byte
		if !s.CopyBytes(k[:]) || !s.ReadUint32(&size) || !s.ReadBytes(&value, int(size)) {
			return fmt.Errorf("%w: a chunk is malformed", ErrSnapshot)
		}
		key = leafKey(key[:0], &k)
		b.Set(key, value)
	}
	return b.Commit(false)
}

// restored makes a state of the leaves that are now stored. Only when it has the
// root that was promised the store gets a position, and so counts as having a state.
func (r *Replica) restored(m *manifest) error {
	state, err := loadState(r.config.Founding, r.config.Store, m.Root)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	at := Position{Height: m.Height, Time: state.Time(), Root: m.Root, RootHeight: m.Height}
	if err := r.storePosition(at); err != nil {
		return err
	}
	r.writer.reset(at)
	r.events.restart()
	r.install(state, at)
	r.events.wake()
	r.metrics.Persisted.Store(at.Height)
	r.log.Info("state restored from a snapshot", slog.Uint64("height", at.Height))
	return nil
}
