package pebble_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"souk/internal/bulk"
	"souk/store"
	"souk/store/pebble"
	"souk/store/storetest"
)

// smallMemTable makes a short history go through flushes and compactions.
const smallMemTable = 64 << 10

func open(files vfs.FS) (*pebble.Store, error) {
	return pebble.Open("store", pebble.Config{FS: files, MemTable: smallMemTable})
}

// machine is a computer whose disk is in memory.
type machine struct {
	t     *testing.T
	files *vfs.MemFS
	store *pebble.Store
}

func (m *machine) Open() (store.Store, error) {
	var err error
	m.store, err = open(m.files)
	return m.store, err
}

func (m *machine) Crash(random *rand.Rand) {
	// Of the 4 KiB blocks that were not synced, this share reaches the disk.
	percent := []int{0, 20, 80, 100}[random.IntN(4)]
	after := m.files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: random})
	if err := m.store.Close(); err != nil { // on the disk as it was before
		m.t.Error(err)
	}
	m.files = after
}

// No synced batch is lost, and none before one that survives (D-11, D-12).
func TestCrash(t *testing.T) {
	storetest.RunCrash(t, bulk.Count(30), func(t *testing.T) storetest.Machine {
		return &machine{t: t, files: vfs.NewCrashableMem()}
	})
}

// image is a disk as a loss of power at some moment would leave it.
type image struct {
	files  vfs.FS
	synced uint64 // the last batch known to be durable just before
	during string // the operation under way
}

// camera takes images of a disk at random operations that change it.
type camera struct {
	vfs.FS
	disk    *vfs.MemFS
	history *storetest.History

	steps  sync.RWMutex // held for writing while an image is taken
	mu     sync.Mutex
	dice   *rand.Rand // under mu, as is images
	images []image
}

// step carries out an operation, perhaps after taking an image.
func (c *camera) step(what, name string, operation func() error) error {
	c.mu.Lock()
	if c.dice.IntN(10) == 0 && len(c.images) < 80 {
		percent := []int{0, 20, 80, 100}[c.dice.IntN(4)]
		synced := c.history.Synced()
		c.steps.Lock()
		c.images = append(c.images, image{
			files:  c.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: c.dice}),
			synced: synced,
			during: fmt.Sprintf("at %s of %s, %d%%", what, name, percent),
		})
		c.steps.Unlock()
	}
	c.mu.Unlock()
	c.steps.RLock()
	defer c.steps.RUnlock()
	return operation()
}

func (c *camera) open(what, name string, open func() (vfs.File, error)) (f vfs.File, err error) {
	err = c.step(what, name, func() error { f, err = open(); return err })
	if err != nil {
		return nil, err
	}
	return &exposed{f, c, name}, nil
}

func (c *camera) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return c.open("create", name, func() (vfs.File, error) { return c.FS.Create(name, category) })
}

func (c *camera) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return c.open("reuse", name, func() (vfs.File, error) { return c.FS.ReuseForWrite(old, name, category) })
}

func (c *camera) OpenDir(name string) (vfs.File, error) {
	return c.open("open", name, func() (vfs.File, error) { return c.FS.OpenDir(name) })
}

func (c *camera) Rename(old, name string) error {
	return c.step("rename", name, func() error { return c.FS.Rename(old, name) })
}

func (c *camera) Remove(name string) error {
	return c.step("remove", name, func() error { return c.FS.Remove(name) })
}

// exposed is a file whose changes the camera sees.
type exposed struct {
	vfs.File
	camera *camera
	name   string
}

func (f *exposed) Write(p []byte) (n int, err error) {
	err = f.camera.step("write", f.name, func() error { n, err = f.File.Write(p); return err })
	return n, err
}

func (f *exposed) Sync() error     { return f.camera.step("sync", f.name, f.File.Sync) }
func (f *exposed) SyncData() error { return f.camera.step("sync", f.name, f.File.SyncData) }

// Power is lost at arbitrary operations of the engine (D-11, D-12), those in the
// background included: the log is rotated or replayed, a table written, the manifest switched.
func TestCrashAtAnyOperation(t *testing.T) {
	for seed := range uint64(bulk.Count(12)) {
		random := rand.New(rand.NewPCG(seed, 1))
		disk := vfs.NewCrashableMem()
		c := &camera{
			FS: disk, disk: disk, history: storetest.NewHistory(random),
			dice: rand.New(rand.NewPCG(seed, 2)),
		}
		for range 3 {
			s, err := open(c)
			if err != nil {
				t.Fatal(err)
			}
			for range 50 {
				if err := c.history.Commit(s, random.IntN(10) == 0); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if len(c.images) < 20 {
			t.Fatalf("only %d images", len(c.images))
		}
		for _, i := range c.images {
			s, err := open(i.files)
			if err != nil {
				t.Fatalf("seed %d, %s: %v", seed, i.during, err)
			}
			if _, err := c.history.Check(s, i.synced); err != nil {
				t.Fatalf("seed %d, %s: %v", seed, i.during, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// breaker fails the operations from the nth on that it is meant for.
type breaker struct {
	left  atomic.Int64 // operations until the first failure
	stuck bool         // whether it goes on failing after the first
	fails func(errorfs.OpKind) bool
	with  error
	hits  atomic.Int64
}

func (b *breaker) String() string { return "breaker" }

func (b *breaker) MaybeError(op errorfs.Op) error {
	if !b.fails(op.Kind) {
		return nil
	}
	if left := b.left.Add(-1); left == -1 || left < -1 && b.stuck {
		b.hits.Add(1)
		return b.with
	}
	return nil
}

func isSync(kind errorfs.OpKind) bool {
	return kind == errorfs.OpFileSync || kind == errorfs.OpFileSyncData || kind == errorfs.OpFileSyncTo
}

// needsRoom reports whether a full disk may refuse the operation.
func needsRoom(kind errorfs.OpKind) bool {
	return kind == errorfs.OpFileWrite || kind == errorfs.OpCreate
}

func isWrite(kind errorfs.OpKind) bool { return kind.ReadOrWrite() == errorfs.OpIsWrite }

// The disk fails at the nth operation, for many n (D-13): the store says so at the
// latest with the next sync that needs it, never hangs, panics or recovers, and
// what it called durable is.
func TestDiskFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails func(errorfs.OpKind) bool
		stuck bool
		with  error
	}{
		{"one sync", isSync, false, syscall.EIO},
		{"every sync", isSync, true, syscall.EIO},
		{"full disk", needsRoom, true, syscall.ENOSPC},
		{"one write", isWrite, false, syscall.EIO},
		{"dead disk", isWrite, true, syscall.EIO},
	} {
		t.Run(c.name, func(t *testing.T) {
			reported := 0
			for nth := int64(0); nth < 150; nth = nth*5/4 + 1 {
				b := &breaker{fails: c.fails, stuck: c.stuck, with: c.with}
				b.left.Store(nth)
				if failAt(t, nth, b) {
					reported++
				}
			}
			if reported == 0 {
				t.Fatal("no failure was ever reported: the test tests nothing")
			}
		})
	}
}

// failAt runs a history on a disk that b breaks, and reports whether the store
// noticed.
func failAt(t *testing.T, nth int64, b *breaker) bool {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(nth), 3))
	files := vfs.NewCrashableMem()
	history := storetest.NewHistory(random)
	s, err := open(errorfs.Wrap(files, b))
	for i := 0; err == nil && i < 200; i++ {
		err = history.Commit(s, random.IntN(5) == 0)
	}
	noticed := err != nil
	if s != nil {
		if noticed {
			refusesAll(t, s, b.with)
		}
		closing := s.Close()
		if noticed && !errors.Is(closing, store.ErrFailed) {
			t.Fatalf("n=%d: Close after %v: %v", nth, err, closing)
		}
		noticed = noticed || closing != nil
	}
	if noticed && !errors.Is(err, b.with) && s != nil && err != nil {
		t.Fatalf("n=%d: the cause is not told: %v", nth, err)
	}
	if b.stuck && b.hits.Load() > 1 && !noticed {
		t.Fatalf("n=%d: a dead disk went unnoticed through %d errors", nth, b.hits.Load())
	}
	for _, percent := range []int{0, 50, 100} {
		after := files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: random})
		s, err := open(after)
		if err != nil {
			t.Fatalf("n=%d: open after the disk is mended: %v", nth, err)
		}
		if _, err := history.Check(s, history.Synced()); err != nil {
			t.Fatalf("n=%d: %v", nth, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return noticed
}

// refusesAll checks that a failed store does nothing more and says why.
func refusesAll(t *testing.T, s store.Store, cause error) {
	t.Helper()
	b := s.NewBatch()
	b.Set([]byte("a"), nil)
	_, get := s.Get([]byte("a"))
	_, freeze := s.Snapshot()
	for name, err := range map[string]error{
		"commit":     b.Commit(false),
		"sync":       s.NewBatch().Commit(true),
		"get":        get,
		"scan":       s.Scan(nil, nil, func(_, _ []byte) bool { return true }),
		"snapshot":   freeze,
		"checkpoint": s.Checkpoint("copy"),
	} {
		if !errors.Is(err, store.ErrFailed) || !errors.Is(err, cause) {
			t.Fatalf("%s on a failed store: %v, want %v for %v", name, err, store.ErrFailed, cause)
		}
	}
}
