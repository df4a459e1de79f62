package cli_test

import (
	"testing"
	"time"

	"souk/cli"
)

// Lengths of time are written with days and weeks too, and never negative or zero.
func TestLength(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "30d": 30 * day, "2w": 14 * day, "1w2d3h": 9*day + 3*time.Hour, "1.5h": 90 * time.Minute,
	} {
		if got, err := cli.Length(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "0s", "-1h", "d", "3", "2d-1h", "1.5d", "999999999w", "2d3d", "soon"} {
		if got, err := cli.Length(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
