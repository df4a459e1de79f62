package cli_test

import (
	"testing"
	"time"

	"souk/cli"
	"souk/internal/load"
)

// The price that the demonstration's bots follow wanders, and stays where people believe it.
func TestWalk(t *testing.T) {
	for _, m := range load.PracticeMarkets() {
		now := time.Now()
		at := cli.NewWalk(&m, now)
		middle := float64(m.Middle)
		low, high := middle, middle
		for range 200_000 {
			now = now.Add(700 * time.Millisecond)
			price := at(now)
			low, high = min(low, price), max(high, price)
		}
		if low < middle*0.9 || high > middle*1.1 || high-low < middle*0.002 {
			t.Errorf("market %d: from %v to %v around %v", m.ID, low, high, middle)
		}
		if a, b := at(now), at(now.Add(-time.Hour)); a != b {
			t.Errorf("a clock that goes back moves the price from %v to %v", a, b)
		}
	}
}

// A maker's ladder has its bids below the middle and its asks above, each further away than
// the one before.
func TestLadder(t *testing.T) {
	const middle = 50_000e8
	last := 0.0
	for place := range cli.BotLevels {
		bid, ask := cli.Ideal(place, middle), cli.Ideal(place+cli.BotLevels, middle)
		if away := ask - middle; away <= last || middle-bid != away {
			t.Errorf("place %d: %v and %v", place, bid, ask)
		}
		last = ask - middle
	}
}
