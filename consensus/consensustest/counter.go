package consensustest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"souk/consensus"
	"souk/identity"
	"souk/merkle"
)

// Payloads that a Counter understands. Any other payload only counts.
const (
	bad   = "bad:"   // Check and Verify refuse it
	stale = "stale:" // passes Check but is never proposed
	halt  = "halt:"  // Finalize answers ErrHalted, unless Disk.Upgrade was called
	crash = "crash:" // Finalize panics, unless Disk.Upgrade was called
	power = "power:" // power:<key>:<n> changes a validator
	due   = "due:"   // due:<unix ms> asks for a block at that time
	tick  = "tick:"  // what the Counter proposes when something has fallen due
)

// Power is a payload that gives a validator voting power.
func Power(key identity.PublicKey, n int64) []byte { return fmt.Appendf(nil, "%s%s:%d", power, key, n) }

var errRefused = errors.New("refused")

// state is what all replicas of a Counter agree on.
type state struct {
	Height uint64
	Root   merkle.Hash
	Count  uint64
	Due    uint64 // unix ms; 0: nothing is due
	Log    []string
	Missed []string // keys, in the order in which they were reported
	Faulty []string
}

// Disk is what a Counter finds again after a crash: the newest state that it has
// persisted, at or below the one it has committed.
type Disk struct {
	mu       sync.Mutex
	saved    state
	upgraded bool
	shots    []state
}

// Upgrade makes Counters on this disk execute "halt" payloads, as a newer binary would.
func (d *Disk) Upgrade() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.upgraded = true
}

// Counter is an Application for tests. It counts payloads, remembers their order,
// and its root depends on both and on what the engine says of missed turns and
// double signatures, so that replicas that are told different things part at once.
type Counter struct {
	disk    *Disk
	genesis []consensus.Validator
	// lag is how many blocks persistence is behind.
	lag uint64

	mu      sync.Mutex
	now     state // committed
	pending state // finalized
	seen    map[string]bool
	chunks  [][]byte
	offered consensus.Snapshot
	want    merkle.Hash
	watch   []chan string
}

var (
	_ consensus.Application = (*Counter)(nil)
	_ consensus.Snapshotter = (*Counter)(nil)
)

// NewCounter returns a Counter as it stands on its disk.
func NewCounter(disk *Disk, lag uint64, validators []consensus.Validator) *Counter {
	disk.mu.Lock()
	defer disk.mu.Unlock()
	c := &Counter{disk: disk, lag: lag, genesis: validators, seen: make(map[string]bool)}
	c.load(disk.saved)
	return c
}

func (c *Counter) load(s state) {
	c.now = s.clone()
	c.pending = s.clone()
	clear(c.seen)
	for _, p := range s.Log {
		c.seen[p] = true
	}
}

func (s state) clone() state {
	s.Log, s.Missed, s.Faulty = slices.Clip(s.Log), slices.Clip(s.Missed), slices.Clip(s.Faulty)
	return s
}

// Info implements consensus.Application.
func (c *Counter) Info() consensus.Info {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	return consensus.Info{Height: c.disk.saved.Height, Root: c.disk.saved.Root}
}

// Found implements consensus.Application.
func (c *Counter) Found(f consensus.Founding) (consensus.Outcome, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load(state{Root: sha256.Sum256(f.Contract)})
	return consensus.Outcome{Root: c.now.Root, Validators: c.genesis}, nil
}

// Check implements consensus.Application.
func (*Counter) Check(_ context.Context, payload []byte) error {
	if strings.HasPrefix(string(payload), bad) {
		return errRefused
	}
	return nil
}

// Propose implements consensus.Application.
func (c *Counter) Propose(now time.Time, _ uint64, waiting [][]byte) [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out [][]byte
	if c.now.Due != 0 && uint64(now.UnixMilli()) >= c.now.Due {
		out = append(out, fmt.Appendf(nil, "%s%d", tick, c.now.Due))
	}
	for _, p := range waiting {
		if !c.seen[string(p)] && !strings.HasPrefix(string(p), stale) {
			out = append(out, p)
		}
	}
	return out
}

// Verify implements consensus.Application.
func (*Counter) Verify(_ context.Context, now time.Time, p consensus.Proposal) error {
	for _, payload := range p.Payloads {
		s := string(payload)
		if strings.HasPrefix(s, bad) || strings.HasPrefix(s, tick) && number(s) > uint64(now.UnixMilli()) {
			return errRefused
		}
	}
	return nil
}

// Finalize implements consensus.Application.
func (c *Counter) Finalize(b consensus.Block) (consensus.Outcome, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.Height != c.now.Height+1 {
		return consensus.Outcome{}, fmt.Errorf("block %d after %d", b.Height, c.now.Height)
	}
	s := c.now.clone()
	s.Height = b.Height
	var out consensus.Outcome
	h := sha256.New()
	h.Write(s.Root[:])
	write := func(kind byte, data []byte) {
		h.Write([]byte{kind})
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
		h.Write(data)
	}
	for _, p := range b.Payloads {
		if err := c.execute(&s, string(p), &out); err != nil {
			return consensus.Outcome{}, err
		}
		write('p', p)
	}
	for _, k := range b.Missed {
		s.Missed = append(s.Missed, k.String())
		write('m', k[:])
	}
	for _, e := range b.Evidence {
		s.Faulty = append(s.Faulty, e.Key.String())
		write('e', binary.BigEndian.AppendUint64(e.Key[:], e.Height))
	}
	if len(b.Payloads)+len(b.Missed)+len(b.Evidence) > 0 {
		s.Root = merkle.Hash(h.Sum(nil))
	}
	c.pending = s
	out.Root = s.Root
	return out, nil
}

func (c *Counter) execute(s *state, p string, out *consensus.Outcome) error {
	switch {
	case strings.HasPrefix(p, halt) && !c.upgraded():
		return fmt.Errorf("%s: %w", p, consensus.ErrHalted)
	case strings.HasPrefix(p, crash) && !c.upgraded():
		panic(p) //nolint:forbidigo // what a broken invariant does
	case strings.HasPrefix(p, power):
		key, n, _ := strings.Cut(strings.TrimPrefix(p, power), ":")
		public, err := identity.ParsePublicKey(key)
		if err != nil {
			return nil //nolint:nilerr // a payload without effect
		}
		out.Validators = append(out.Validators, consensus.Validator{Key: public, Power: int64(number(":" + n))})
	case strings.HasPrefix(p, due):
		s.Due = number(p)
	case strings.HasPrefix(p, tick):
		s.Due = 0
	}
	s.Count++
	s.Log = append(s.Log, p)
	return nil
}

func (c *Counter) upgraded() bool {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	return c.disk.upgraded
}

// number reads what stands after the colon, or zero.
func number(p string) uint64 {
	var n uint64
	_, digits, _ := strings.Cut(p, ":")
	if _, err := fmt.Sscan(digits, &n); err != nil {
		return 0
	}
	return n
}

// Commit implements consensus.Application.
func (c *Counter) Commit() (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := c.pending.Log[len(c.now.Log):]
	c.now = c.pending
	for _, p := range fresh {
		c.seen[p] = true
		for _, w := range c.watch {
			select {
			case w <- p:
			default:
			}
		}
	}
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	if c.lag == 0 || c.now.Height%(c.lag+1) == 0 {
		c.disk.saved = c.now
	}
	if c.now.Height < 100 {
		return 0, nil
	}
	return c.now.Height - 50, nil
}

// NextDue implements consensus.Application.
func (c *Counter) NextDue() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.UnixMilli(int64(c.now.Due)), c.now.Due != 0
}

// Committed returns a channel that gets every payload committed from now on, as
// long as it is read.
func (c *Counter) Committed() <-chan string {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := make(chan string, 1<<16)
	c.watch = append(c.watch, w)
	return w
}

// Log returns the committed payloads in order, without ticks.
func (c *Counter) Log() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.now.Log), func(p string) bool { return strings.HasPrefix(p, tick) })
}

// Height returns the height of the committed state.
func (c *Counter) Height() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now.Height
}

// Count returns how many payloads were committed, ticks included.
func (c *Counter) Count() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now.Count
}

// Root returns the root after the newest block.
func (c *Counter) Root() merkle.Hash {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now.Root
}

// Missed returns the keys that the engine said missed turns, in order.
func (c *Counter) Missed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.now.Missed)
}

// Faulty returns the keys that the engine proved to have signed twice.
func (c *Counter) Faulty() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.now.Faulty)
}

const chunkSize = 1 << 10

// Snapshot keeps a copy of the committed state for others to join from.
func (c *Counter) Snapshot() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	c.disk.shots = append(c.disk.shots, c.now.clone())
	return c.now.Height
}

func cut(s state) ([][]byte, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return slices.Collect(slices.Chunk(raw, chunkSize)), nil
}

// Snapshots implements consensus.Snapshotter.
func (c *Counter) Snapshots() ([]consensus.Snapshot, error) {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	var out []consensus.Snapshot
	for _, s := range c.disk.shots {
		chunks, err := cut(s)
		if err != nil {
			return nil, err
		}
		var sums []byte
		for _, ch := range chunks {
			sum := sha256.Sum256(ch)
			sums = append(sums, sum[:]...)
		}
		h := sha256.Sum256(sums)
		out = append(out, consensus.Snapshot{
			Height: s.Height, Format: 1, Chunks: uint32(len(chunks)), Hash: h[:], Metadata: sums,
		})
	}
	slices.SortFunc(out, func(a, b consensus.Snapshot) int { return cmp.Compare(b.Height, a.Height) })
	return out, nil
}

// Chunk implements consensus.Snapshotter.
func (c *Counter) Chunk(height uint64, _, chunk uint32) ([]byte, error) {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	for _, s := range c.disk.shots {
		chunks, err := cut(s)
		if err == nil && s.Height == height && int(chunk) < len(chunks) {
			return chunks[chunk], nil
		}
	}
	return nil, errRefused
}

// Offer implements consensus.Snapshotter.
func (c *Counter) Offer(s consensus.Snapshot, root merkle.Hash) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := sha256.Sum256(s.Metadata); s.Format != 1 || len(s.Metadata) != int(s.Chunks)*sha256.Size || !bytes.Equal(h[:], s.Hash) {
		return errRefused
	}
	c.offered, c.want, c.chunks = s, root, nil
	return nil
}

// Restore implements consensus.Snapshotter.
func (c *Counter) Restore(index uint32, chunk []byte) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int(index) != len(c.chunks) {
		return false, errRefused
	}
	sum := sha256.Sum256(chunk)
	if !bytes.Equal(sum[:], c.offered.Metadata[int(index)*sha256.Size:][:sha256.Size]) {
		return false, consensus.ErrBadChunk
	}
	if c.chunks = append(c.chunks, bytes.Clone(chunk)); len(c.chunks) < int(c.offered.Chunks) {
		return false, nil
	}
	var s state
	if err := json.Unmarshal(bytes.Join(c.chunks, nil), &s); err != nil {
		return false, err
	}
	if s.Root != c.want || s.Height != c.offered.Height {
		return false, errRefused
	}
	c.load(s)
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	c.disk.saved = s
	return true, nil
}
