package cli_test

import (
	"testing"
	"time"

	"souk/cli"
)

// Long times are told in days, and one day is one.
func TestSpan(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		0: "0s", 90 * time.Minute: "1h30m0s", day: "1 day", 2 * day: "2 days",
		day + time.Hour: "1 day 1h0m0s", 4368*time.Hour + 4*time.Minute + 16*time.Second: "182 days 4m16s",
	} {
		if got := cli.Span(uint64(d.Milliseconds())); got != want {
			t.Errorf("%v: %s, not %s", d, got, want)
		}
	}
}
