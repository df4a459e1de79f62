package custodian_test

import (
	"testing"

	"souk/custodian"
)

// W-34: of a batch whose settled version a custodian never had whole it keeps one that spends
// the same, or none.
func TestKept(t *testing.T) {
	for name, c := range map[string]struct {
		spends  []string
		whole   []bool
		settled int
		want    int
	}{
		"the settled one":                 {[]string{"ab", "ab", "ab"}, []bool{true, true, true}, 2, 2},
		"the newest that spends the same": {[]string{"ab", "ab", "ab"}, []bool{true, false, true}, 2, 3},
		"an older one":                    {[]string{"ab", "ab", "ab"}, []bool{true, false, false}, 3, 1},
		"none that spends other coins":    {[]string{"ab", "bc"}, []bool{true, false}, 2, 0},
		"of two that differ the same":     {[]string{"ab", "bc", "bc"}, []bool{true, true, false}, 3, 2},
		"not one that spends more":        {[]string{"ab", "abc"}, []bool{false, true}, 1, 0},
		"none is whole":                   {[]string{"ab"}, []bool{false}, 1, 0},
	} {
		if got := custodian.Kept(c.spends, c.whole, c.settled); got != c.want {
			t.Errorf("%s: version %d, not %d", name, got, c.want)
		}
	}
}
