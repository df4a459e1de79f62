package comet_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"souk/consensus"
	"souk/consensus/comet"
)

// C-71: one server's payloads take a quarter of the pool at most, by bytes and by number.
func TestOneSourceOfMany(t *testing.T) {
	for name, size := range map[string]int{"large": consensus.MaxPayload, "small": 200} {
		t.Run(name, func(t *testing.T) {
			p := comet.NewPool()
			taken := 0
			for i := range 10_000 {
				payload := append(fmt.Appendf(nil, "%06d", i), bytes.Repeat([]byte{1}, size-6)...)
				if p.Add(payload, "mallory") != nil {
					break
				}
				taken++
			}
			if most := min(8192/4, 64<<20/4/size); taken > most || taken < most-1 {
				t.Errorf("%d payloads of one server are in the pool, %d should be", taken, most)
			}
			if err := p.Add([]byte("own"), ""); err != nil {
				t.Errorf("this server's own: %v", err)
			}
			if err := p.Add([]byte("bob's"), "bob"); err != nil {
				t.Errorf("another server's: %v", err)
			}
			// C-71: the application sees what stands behind more than a block of junk.
			if all := p.Oldest(); len(all) != taken+2 || string(all[len(all)-1]) != "bob's" {
				t.Errorf("the application is shown %d of %d payloads", len(all), taken+2)
			}
		})
	}
}

// C-56: how a server begins, by what it has heard from three others.
func TestChoice(t *testing.T) {
	t.Parallel()
	const behind = 1000
	for _, c := range []struct {
		name    string
		heights []int64
		waited  time.Duration
		alone   bool
		want    string
	}{
		{"nobody has spoken", nil, time.Hour, false, ""},
		{"one of three has spoken", []int64{10}, time.Second, false, ""},
		{"two of three are level", []int64{10, 12}, 0, false, "vote"},
		{"all are far ahead", []int64{behind, behind, behind}, 0, false, "sync"},
		{"two are far ahead", []int64{10, behind, behind}, 0, false, "sync"},
		{"one says it is far ahead", []int64{10, behind}, 0, false, ""},
		{"one says it is far ahead, and time passes", []int64{10, 10, behind}, 4 * time.Second, false, "vote"},
		{"the only one who speaks is far ahead", []int64{behind}, time.Second, false, ""},
		{"the only one who speaks is far ahead, and time passes", []int64{behind}, 4 * time.Second, false, "sync"},
		{"the only one who speaks is level, and time passes", []int64{10}, 4 * time.Second, false, "vote"},
		{"nothing is decided without this server", nil, 2 * time.Second, true, "vote"},
	} {
		if got := comet.Choose(10, 256, 3, c.alone, c.heights, c.waited); got != c.want {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
}
