package custody_test

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"souk/internal/bulk"
)

// TestMain makes fewer histories under the race detector.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", strconv.Itoa(bulk.Count(100))); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
