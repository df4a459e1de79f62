package intake

import (
	"math"
	"sync"
	"time"

	"souk/transport"
)

// What is done about neighbours that pass on what is invalid (F-33), and those who flood (F-32).
const (
	CutBelow  = -400.0
	CutFor    = 10 * time.Minute
	badWeight = -10.0 // times the square of the count of bad messages
	badHalf   = 6 * time.Second
)

// Conduct is what neighbours did.
type Conduct struct {
	mu  sync.Mutex
	bad map[transport.ID]misdeeds
}

type misdeeds struct {
	count float64
	last  time.Time
}

func (m misdeeds) at(now time.Time) float64 {
	if m.count == 0 {
		return 0
	}
	return m.count * math.Exp2(-max(0, now.Sub(m.last)).Seconds()/badHalf.Seconds())
}

// NewConduct holds nothing against anybody.
func NewConduct() *Conduct { return &Conduct{bad: map[transport.ID]misdeeds{}} }

// Bad holds a message against a neighbour, and tells whether that was one too many.
func (c *Conduct) Bad(p transport.ID, now time.Time) (cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := misdeeds{count: c.bad[p].at(now) + 1, last: now}
	c.bad[p] = m
	return score(m.count) < CutBelow
}

// Score is zero, or below it.
func (c *Conduct) Score(p transport.ID, now time.Time) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return score(c.bad[p].at(now))
}

func score(count float64) float64 {
	if count < 0.01 {
		return 0
	}
	return badWeight * count * count
}

// Forget drops what has passed. It is called now and then.
func (c *Conduct) Forget(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, m := range c.bad {
		if score(m.at(now)) == 0 {
			delete(c.bad, p)
		}
	}
}
