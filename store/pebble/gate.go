package pebble

import "sync"

// gate lets calls in until it is closed. Unlike a read lock it may be entered
// again by a call that is already inside, even while close waits.
type gate struct {
	mu     sync.RWMutex
	closed bool // under mu
	inside sync.WaitGroup
}

// enter reports whether the gate is open; if so the caller must leave.
func (g *gate) enter() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return false
	}
	g.inside.Add(1)
	return true
}

func (g *gate) leave() { g.inside.Done() }

// shut reports whether the gate is closed.
func (g *gate) shut() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.closed
}

// close shuts the gate and waits until all have left. It reports whether it
// was open before; if not, it does not wait.
func (g *gate) close() bool {
	g.mu.Lock()
	open := !g.closed
	g.closed = true
	g.mu.Unlock()
	if open {
		g.inside.Wait()
	}
	return open
}
