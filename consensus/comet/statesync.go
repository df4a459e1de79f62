package comet

import (
	"runtime"

	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/statesync"
)

// stateSyncReactor is the library's, which looks for snapshots for ever: when the
// engine has closed, its search ends here.
type stateSyncReactor struct {
	*statesync.Reactor
	quit <-chan struct{}
}

// SetSwitch implements p2p.Reactor.
func (r *stateSyncReactor) SetSwitch(sw p2p.Switcher) {
	r.Reactor.SetSwitch(quittingSwitch{sw, r.quit})
}

type quittingSwitch struct {
	p2p.Switcher
	quit <-chan struct{}
}

// BroadcastAsync implements p2p.Switcher. The search calls it, in its own
// goroutine, every time it begins anew.
func (s quittingSwitch) BroadcastAsync(e p2p.Envelope) {
	select {
	case <-s.quit:
		runtime.Goexit()
	default:
		s.Switcher.BroadcastAsync(e)
	}
}

func (a *assembly) syncState() {}
