package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"souk/archive"
	"souk/exchange"
	"souk/replica"
)

const (
	// archiveBlocks and archiveEvents are the most blocks, and about the most commands and
	// events of them, that go into the archive in one transaction.
	archiveBlocks = 256
	archiveEvents = 20_000
	// archivePause is how long new blocks gather before they go into the archive, which
	// syncs the disk every time.
	archivePause = 200 * time.Millisecond
	// How long an archive that fails is left alone, at first and at most.
	archiveFirst = time.Second
	archiveMost  = time.Minute
	// archiveLook is how often it is looked whether an archive that has all blocks is still
	// as it was left.
	archiveLook = time.Second
	// archiveLate is the age of blocks that are not in the archive at which the log of the
	// server says so.
	archiveLate = time.Minute
)

// archivist brings what blocks did from the log of a replica to an archive. The virtual
// server does not depend on it: whatever becomes of the archive, blocks go on, and what
// the archive lacks it is given later, as long as the log has it (G-45).
type archivist struct {
	replica *replica.Replica
	origin  bool // the virtual server had accounts before its first block, which its founding does not tell
	open    func(context.Context) (Archive, error)
	log     *slog.Logger
	pause   time.Duration // while blocks gather
	late    bool          // the log was told
	owes    bool          // the archive has a gap, behind which it may show the present wrong

	stop    context.CancelFunc
	running sync.WaitGroup

	// For who watches.
	height   atomic.Uint64 // of the archive
	behind   atomic.Int64  // ms of block time
	written  atomic.Uint64 // blocks
	failures atomic.Uint64
	gaps     atomic.Uint64
	problem  atomic.Pointer[string] // why it did not take blocks last; nil since it does
}

// archive begins to bring what blocks do to the archive, if there is one.
func (v *virtual) archive(r *replica.Replica) *archivist {
	if v.node.config.Archive.Engine == archiveNone {
		return nil
	}
	a := &archivist{replica: r, origin: v.founding.Origin != nil, open: v.openArchive, log: v.logger(logNode), pause: archivePause}
	a.start()
	return a
}

// start begins the work.
func (a *archivist) start() {
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = cancel
	a.running.Go(func() { a.run(ctx) })
}

// close ends the work and waits for it.
func (a *archivist) close() {
	a.stop()
	a.running.Wait()
}

// run keeps the archive going until ctx is done or the replica is over.
func (a *archivist) run(ctx context.Context) {
	wait := archiveFirst
	for {
		before := a.written.Load()
		err := a.work(ctx)
		if ctx.Err() != nil || a.replica.Err() != nil {
			return
		}
		a.failures.Add(1)
		why := err.Error()
		a.problem.Store(&why)
		if a.written.Load() > before {
			wait = archiveFirst
		}
		a.log.WarnContext(ctx, "the archive does not take blocks; it will be tried again", slog.Any("error", err), slog.Duration("in", wait))
		if !sleep(ctx, wait) {
			return
		}
		wait = min(2*wait, archiveMost)
	}
}

// sleep waits; false if ctx is done before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// work opens the archive and fills it, until something fails.
func (a *archivist) work(ctx context.Context) (err error) {
	to, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	gaps, err := to.Gaps(ctx)
	if err != nil {
		return err
	}
	// A process that was killed behind a gap has not corrected the archive, perhaps.
	a.owes = a.origin || len(gaps) > 0
	for {
		height, err := to.Height(ctx)
		if err != nil {
			return err
		}
		a.height.Store(height)
		if height == 0 && a.origin {
			height, err = a.gap(ctx, to, 0)
		}
		if err == nil {
			err = a.fill(ctx, to, height)
		}
		if errors.Is(err, replica.ErrGone) {
			_, err = a.gap(ctx, to, a.height.Load())
		}
		// Somebody else may have emptied the archive, who will not go on doing so.
		if err != nil && !errors.Is(err, archive.ErrHeight) {
			return err
		}
		if !sleep(ctx, a.pause) {
			return ctx.Err()
		}
	}
}

// fill brings blocks to an archive that is at a height, old and then new ones.
func (a *archivist) fill(ctx context.Context, to archive.Archive, height uint64) (err error) {
	for {
		if height, err = a.bring(ctx, to, height, math.MaxUint64); err != nil {
			return err
		}
		if a.owes {
			if height, err = a.correct(ctx, to, height); err != nil {
				return err
			}
			a.owes = false
		}
		a.caughtUp()
		if !sleep(ctx, a.pause) {
			return ctx.Err()
		}
		if err := a.await(ctx, to, height); err != nil {
			return err
		}
	}
}

// bring brings the blocks up to a height that there are now to an archive, and answers at
// which height that is then.
func (a *archivist) bring(ctx context.Context, to archive.Archive, height, top uint64) (uint64, error) {
	var blocks []*archive.Block
	size := 0
	write := func() error {
		if len(blocks) == 0 {
			return nil
		}
		last := blocks[len(blocks)-1]
		if err := to.Write(ctx, height, blocks); err != nil {
			return err
		}
		height = last.Height
		a.height.Store(height)
		a.written.Add(uint64(len(blocks)))
		a.lag(last.Time)
		blocks, size = nil, 0
		return nil
	}
	for b, err := range a.replica.Logged(ctx, height+1) {
		if err != nil {
			return height, errors.Join(err, write())
		}
		if b.Height > top {
			break
		}
		blocks = append(blocks, b)
		if size += len(b.Commands) + len(b.Events); len(blocks) < archiveBlocks && size < archiveEvents {
			continue
		}
		if err := write(); err != nil {
			return height, err
		}
	}
	return height, write()
}

// correct makes what an archive shows of the present right, behind a gap, and answers at
// which height it is then.
func (a *archivist) correct(ctx context.Context, to archive.Archive, height uint64) (uint64, error) {
	in, err := inventory(ctx, a.replica)
	if err != nil {
		return height, err
	}
	if height, err = a.bring(ctx, to, height, in.Height); err != nil {
		return height, err
	}
	in.Height = height // blocks from there on did nothing
	return height, to.Correct(ctx, in)
}

// inventory is that of the present, which is committed when it is answered.
func inventory(ctx context.Context, r *replica.Replica) (in *archive.Inventory, err error) {
	if err := r.ViewAt(func(s *exchange.State, at replica.Position) { in = archive.Take(s, at.Height, at.Time) }); err != nil {
		return nil, err
	}
	for r.Position().Height < in.Height {
		if err := cmp.Or(ctx.Err(), r.Err()); err != nil {
			return nil, err
		}
		sleep(ctx, time.Millisecond)
	}
	return in, nil
}

// await waits for a block behind a height. Now and then it looks whether the archive is
// still at that height: somebody else may have emptied it, to have it filled anew.
func (a *archivist) await(ctx context.Context, to archive.Archive, height uint64) error {
	for {
		wait, cancel := context.WithTimeout(ctx, archiveLook)
		var err error
		for _, err = range a.replica.Follow(wait, height+1) {
			break
		}
		cancel()
		if err == nil || !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
		is, err := to.Height(ctx)
		if err != nil {
			return err
		}
		if is != height {
			return archive.ErrHeight
		}
	}
}

// gap makes an archive go on where the log begins, records what it lacks, and answers at
// which height it is then. What was before the log is not known but for what no block of
// the log has touched; so the archive is corrected when it has those blocks (G-46).
func (a *archivist) gap(ctx context.Context, to archive.Archive, height uint64) (uint64, error) {
	in, err := beginning(ctx, a.replica, a.replica.LogFrom())
	if errors.Is(err, replica.ErrGone) { // it is cut off faster than it can be read
		in, err = inventory(ctx, a.replica)
	}
	if err != nil {
		return height, err
	}
	a.owes = true
	switch {
	case in != nil && in.Height == 0 && height == 0: // nothing is lacking
		return 0, to.Correct(ctx, in)
	case in == nil || in.Height <= height:
		return height, nil
	}
	a.log.WarnContext(ctx, "the archive lacks blocks that the log does not have any more; it goes on without them",
		slog.Uint64("from", height+1), slog.Uint64("to", in.Height))
	if err := to.Gap(ctx, height, in); err != nil {
		return height, err
	}
	a.gaps.Add(1)
	a.height.Store(in.Height)
	return in.Height, nil
}

// lag notes how old the newest block in the archive is, while there are others, and says
// so if that is much.
func (a *archivist) lag(ms uint64) {
	now := a.replica.Position().Time
	behind := int64(now - min(ms, now))
	a.behind.Store(behind)
	if late := time.Duration(behind)*time.Millisecond > archiveLate; late && !a.late {
		a.late = true
		a.log.Warn("the archive is behind", slog.Uint64("height", a.height.Load()), slog.Duration("behind", time.Duration(behind)*time.Millisecond))
	}
}

// caughtUp notes that the archive has all blocks.
func (a *archivist) caughtUp() {
	a.behind.Store(0)
	a.problem.Store(nil)
	if a.late {
		a.late = false
		a.log.Info("the archive has caught up", slog.Uint64("height", a.height.Load()))
	}
}

// standing is how the archive is doing.
func (a *archivist) standing() *archiveBody {
	b := &archiveBody{Height: a.height.Load(), Behind: float64(a.behind.Load()) / 1000}
	if why := a.problem.Load(); why != nil {
		b.Problem = *why
	}
	return b
}

// registerArchive shows how the archive of a virtual server is doing.
func registerArchive(r *prometheus.Registry, v *virtual) error {
	labels := prometheus.Labels{"virtual_server": fmt.Sprintf("%x", v.id[:8])}
	for _, m := range archiveMetrics {
		get := func() float64 {
			if p := v.running(); p != nil && p.archivist != nil {
				return m.read(p.archivist)
			}
			return 0
		}
		var c prometheus.Collector = prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "souk_archive_" + m.name, Help: m.help, ConstLabels: labels}, get)
		if !m.gauge {
			c = prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "souk_archive_" + m.name, Help: m.help, ConstLabels: labels}, get)
		}
		if err := r.Register(c); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	return nil
}

var archiveMetrics = []struct {
	name, help string
	gauge      bool
	read       func(*archivist) float64
}{
	{"height", "Height of the newest block in the archive.", true, func(a *archivist) float64 { return float64(a.height.Load()) }},
	{"behind_seconds", "Block time by which the archive is behind.", true, func(a *archivist) float64 { return float64(a.behind.Load()) / 1000 }},
	{"blocks_total", "Blocks that the archive was given.", false, func(a *archivist) float64 { return float64(a.written.Load()) }},
	{"failures_total", "How often the archive did not take blocks.", false, func(a *archivist) float64 { return float64(a.failures.Load()) }},
	{"gaps_total", "How often the log did not have the blocks that the archive lacked.", false, func(a *archivist) float64 { return float64(a.gaps.Load()) }},
}
