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
