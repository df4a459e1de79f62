package bulk_test

import (
	"testing"

	"souk/internal/bulk"
)

func TestCount(t *testing.T) {
	full := bulk.Count(1000) == 1000
	for _, c := range []struct{ n, full, race int }{
		{-1, 0, 0}, {0, 0, 0}, {1, 1, 1}, {9, 9, 1}, {10, 10, 1}, {60_000, 60_000, 6_000},
	} {
		want := c.race
		if full {
			want = c.full
		}
		if got := bulk.Count(c.n); got != want {
			t.Errorf("Count(%d) = %d, want %d", c.n, got, want)
		}
	}
}

// The factor multiplies up to a bound, and what is no factor is not passed over.
func TestRaised(t *testing.T) {
	for _, c := range []struct {
		factor        string
		n, most, want int
	}{
		{"", 4_000, 60_000, 4_000},
		{"1", 4_000, 60_000, 4_000},
		{"15", 4_000, 60_000, 60_000},
		{"15", 3_000, 60_000, 45_000},
		{"9223372036854775807", 4_000, 60_000, 60_000},
		{"15", 60_000, 60_000, 60_000},
		{"15", 0, 60_000, 0},
	} {
		t.Setenv("SOUK_FACTOR", c.factor)
		if got := bulk.Raised(c.n, c.most); got != bulk.Count(c.want) {
			t.Errorf("with factor %q, Raised(%d, %d) = %d, want %d", c.factor, c.n, c.most, got, bulk.Count(c.want))
		}
	}
	for _, bad := range []string{"0", "-1", "x", "1.5", "9223372036854775808"} {
		t.Run(bad, func(t *testing.T) {
			t.Setenv("SOUK_FACTOR", bad)
			defer func() {
				if recover() == nil {
					t.Error("it is taken")
				}
			}()
			bulk.Raised(1, 2)
		})
	}
}
