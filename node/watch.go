package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"time"

	"souk/consensus"
	"souk/consensus/comet"
	"souk/exchange"
	"souk/store"
)

const (
	// watchEvery is how often a virtual server's health is looked at.
	watchEvery = 500 * time.Millisecond
	// stuckAfter is how long something may wait for a block while the height does
	// not grow before the log says so.
	stuckAfter = 10 * time.Second
	// Pauses between attempts to start a virtual server again after it ended by itself.
	restartFirst = time.Second
	restartMost  = time.Minute
)

// watch keeps a virtual server going until ctx is done: it starts it again when
// consensus has failed, keeps its peers as the roster has them, and asks for
// its power back when it was demoted.
func (v *virtual) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	w := watcher{v: v, pause: restartFirst, moved: time.Now()}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			v.looked.Store(time.Now().UnixMilli())
			w.look(ctx)
		}
	}
}

// watcher is what watch remembers between two looks.
type watcher struct {
	v       *virtual
	pause   time.Duration
	retry   time.Time // when to start again
	height  uint64
	moved   time.Time // when the height last grew, or nothing waited
	told    bool      // that it is stuck
	peersAt uint64    // height at which peers were last compared
	peers   []string
	asked   time.Time // when it last asked for its power
}

func (w *watcher) look(ctx context.Context) {
	p := w.v.running()
	if p == nil {
		w.restart()
		return
	}
	select {
	case <-p.engine.Done():
		w.ended(p)
		return
	default:
	}
	status := p.engine.Status()
	w.progress(&status)
	if status.Height != w.peersAt {
		w.peersAt = status.Height
		w.setPeers(p)
	}
	if !status.CatchUp {
		w.askReturn(ctx, p)
	}
}

// ended closes a virtual server whose engine has stopped by itself, and decides
// whether to start it again.
func (w *watcher) ended(p *parts) {
	reason := p.engine.Status().Halted
	if reason == nil {
		reason = p.replica.Err()
	}
	if err := w.v.down(); err != nil && reason == nil {
		reason = err
	}
	if errors.Is(reason, consensus.ErrHalted) {
		w.v.log.Error("virtual server has stopped for good: a newer souk is needed", slog.Any("error", reason))
		w.pause = 0
		return
	}
	if w.alone(reason) {
		return
	}
	w.v.log.Error("virtual server has stopped; it will be started again",
		slog.Any("error", reason), slog.Duration("in", w.pause), slog.String("advice", advice(reason)))
	w.retry = time.Now().Add(w.pause)
	w.pause = min(2*w.pause, restartMost)
}

// alone ends the process if the disk has failed its only virtual server: a new
// process is sure to have left behind whatever the failure did to this one, and who
// watches over processes sees it. Others in the process go on.
func (w *watcher) alone(reason error) bool {
	if len(w.v.node.virtual) > 1 || !diskFailed(reason) {
		return false
	}
	w.v.log.Error("virtual server has stopped, and with it this process",
		slog.Any("error", reason), slog.String("advice", advice(reason)))
	w.pause = 0
	w.v.node.end(fmt.Errorf("the disk has failed the only virtual server %x: %w (%s)", w.v.id[:8], reason, advice(reason)))
	return true
}

// diskFailed tells whether a reason to stop is one of the disk. The consensus
// library passes reasons on as text.
func diskFailed(reason error) bool {
	return errors.Is(reason, store.ErrFailed) || errors.Is(reason, store.ErrCorrupt) || says(reason, syscall.ENOSPC) || says(reason, syscall.EIO)
}

func says(reason error, e syscall.Errno) bool {
	return reason != nil && strings.Contains(reason.Error(), e.Error())
}

// advice says what an operator can do about a reason to stop.
func advice(reason error) string {
	switch {
	case says(reason, syscall.ENOSPC):
		return "make room on the disk; it goes on by itself when it is started again"
	case errors.Is(reason, store.ErrCorrupt):
		return "replace the state and see to the disk: docs/operations.md, section Replace a lost disk"
	case errors.Is(reason, store.ErrFailed), says(reason, syscall.EIO):
		return "see to the disk"
	case errors.Is(reason, store.ErrLocked):
		return "another process has the store open, or the disk has not answered yet: see to both"
	case errors.Is(reason, comet.ErrBehind):
		return "join again from a copy of the state: docs/operations.md, section Replace a lost disk"
	case errors.Is(reason, comet.ErrKeyInUse):
		return "another process runs with this home: stop it"
	}
	return "see docs/operations.md, section What the log says"
}

func (w *watcher) restart() {
	if w.pause == 0 || time.Now().Before(w.retry) {
		return
	}
	w.v.looked.Store(0)
	if err := w.v.start(); err != nil {
		if w.alone(err) {
			return
		}
		w.v.log.Error("virtual server does not start",
			slog.Any("error", err), slog.Duration("again_in", w.pause), slog.String("advice", advice(err)))
		w.retry = time.Now().Add(w.pause)
		w.pause = min(2*w.pause, restartMost)
		return
	}
	w.v.log.Info("virtual server is up again")
	w.moved = time.Now()
}

// progress supervises by height: what waits must get into blocks.
func (w *watcher) progress(s *consensus.Status) {
	if s.Height > w.height || s.Waiting == 0 {
		if s.Height > w.height+100 {
			w.pause = restartFirst // it works
		}
		w.height, w.moved = s.Height, time.Now()
		if w.told {
			w.told = false
			w.v.log.Info("blocks go on", slog.Uint64("height", s.Height))
		}
		return
	}
	if since := time.Since(w.moved); since > stuckAfter && !w.told {
		w.told = true
		w.v.log.Warn("no block although commands wait: are more than two thirds of the servers up?",
			slog.Uint64("height", s.Height), slog.Int("peers", len(s.Peers)), slog.Duration("since", since))
	}
}

// setPeers lets in whom the roster names now, and nobody else.
func (w *watcher) setPeers(p *parts) {
	peers, err := currentPeers(p.replica, w.v.self())
	if err != nil || equal(peers, w.peers) {
		return
	}
	if err := p.engine.SetPeers(w.v.node.links().peers(peers)); err != nil {
		w.v.log.Warn("the roster names a server that cannot be dialled", slog.Any("error", err))
	}
	w.peers = peers
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// askReturn asks for full power if this server was demoted and may return.
func (w *watcher) askReturn(ctx context.Context, p *parts) {
	now := time.Now()
	if now.Sub(w.asked) < 2*time.Second {
		return
	}
	if !w.mayReturn(p, uint64(now.UnixMilli())) {
		return
	}
	w.asked = now
	answers, err := w.v.submit(ctx, p, &exchange.Return{})
	if err != nil || len(answers) != 1 {
		w.v.log.WarnContext(ctx, "could not ask for full power", slog.Any("error", err))
		return
	}
	if code := answers[0].Receipt.Code; code == exchange.OK {
		w.v.log.InfoContext(ctx, "this server has its full power back")
	} else if code != exchange.BackingOff {
		w.v.log.WarnContext(ctx, "this server was refused its power", slog.String("code", code.String()))
	}
}

// mayReturn tells whether there is reason to ask for power.
func (w *watcher) mayReturn(p *parts, now uint64) (may bool) {
	err := p.replica.View(func(s *exchange.State) {
		id, has := s.Roster().ByConsensus(w.v.key.Public())
		if has {
			m, ok := s.Roster().Member(id)
			may = ok && m.Demoted && !m.Barred && now >= m.Until
		}
	})
	return err == nil && may
}
