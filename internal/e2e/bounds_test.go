package e2e_test

import (
	"io/fs"
	"math"
	"path/filepath"
	"testing"
	"time"

	"souk/internal/cluster"
)

// used is what a server takes of its machine. Of several samples it is the least of
// each, which neither a collection of garbage that is due nor a merge of tables that
// is under way raises, and a leak does.
type used struct{ memory, goroutines, files, disk float64 }

func (u *used) least(o used) {
	u.memory, u.goroutines = min(u.memory, o.memory), min(u.goroutines, o.goroutines)
	u.files, u.disk = min(u.files, o.files), min(u.disk, o.disk)
}

// use looks at one server.
func (f *federation) use(i int) used {
	f.t.Helper()
	var u used
	for name, to := range map[string]*float64{
		"process_resident_memory_bytes": &u.memory, "go_goroutines": &u.goroutines, "process_open_fds": &u.files,
	} {
		var err error
		if *to, err = f.metric(i, name); err != nil {
			f.t.Fatal(err)
		}
	}
	// Files come and go meanwhile.
	_ = filepath.WalkDir(string(f.Homes[i]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path == f.LogFile(i) {
			return nil //nolint:nilerr // gone again
		}
		if info, err := d.Info(); err == nil {
			u.disk += float64(info.Size())
		}
		return nil
	})
	return u
}

// leastUse is the least that each server uses during a time.
func (f *federation) leastUse(last, every time.Duration) []used {
	f.t.Helper()
	all := make([]used, len(f.URLs))
	for i := range all {
		all[i] = used{math.Inf(1), math.Inf(1), math.Inf(1), math.Inf(1)}
	}
	for began := time.Now(); time.Since(began) < last; time.Sleep(every) {
		for i := range all {
			all[i].least(f.use(i))
		}
	}
	return all
}

// What servers that keep little history take of their machines does not grow without
// bound under load: memory, goroutines, open files, disk (I18).
func TestBounds(t *testing.T) {
	f := prepared(t, 4, func(c *cluster.Cluster) {
		for _, h := range c.Homes {
			edit(t, h.Config(), "snapshot_every = 10000", "snapshot_every = 100")
			edit(t, h.Config(), "keep_blocks = 20000", "keep_blocks = 200")
		}
	})
	f.mint(5, addressOf("trader"))
	window, every := time.Duration(rounds(5, 100))*time.Second, time.Duration(rounds(500, 2000))*time.Millisecond
	quiet := f.leastUse(time.Second, every)
	s := f.trade()
	time.Sleep(window / 2) // caches fill
	first := f.leastUse(window, every)
	done, height := s.count(), heightOf(t, f, 0)
	time.Sleep(window / 2)
	last := f.leastUse(window, every)
	done, height = s.count()-done, heightOf(t, f, 0)-height
	s.end()
	time.Sleep(2 * time.Second) // connections close
	after := f.leastUse(2*time.Second, every)
	t.Logf("%d commands in %d blocks between", done, height)
	for i := range first {
		t.Logf("server %d: quiet %.0f, first %.0f, last %.0f, after %.0f", i+1, quiet[i], first[i], last[i], after[i])
		bound := first[i].bound(done)
		if u := last[i]; u.memory > bound.memory || u.goroutines > bound.goroutines || u.files > bound.files || u.disk > bound.disk {
			t.Errorf("server %d: under load it used %.0f, and %d commands later %.0f; at most %.0f", i+1, first[i], done, u, bound)
		}
		if u := after[i]; u.goroutines > quiet[i].goroutines+few || u.files > quiet[i].files+few {
			t.Errorf("server %d: it does not come to rest: %.0f, before the load %.0f", i+1, u, quiet[i])
		}
	}
	f.sound()
}

// few is how many goroutines or files more say nothing: connections come and go, and
// tables are merged.
const few = 40

// bound is what a server may use that used this much some commands ago. Memory is to
// stay within what caches and the collector make of it. Disk grows with what is kept
// for minutes and days whatever the number of blocks, receipts and trades: some 4 KB
// a command with the logs of writes, of which four times as much is allowed.
func (u used) bound(commands int) used {
	memory := 2*u.memory + 128<<20
	if *soak {
		memory = 1.5*u.memory + 64<<20
	}
	return used{memory: memory, goroutines: u.goroutines + few, files: u.files + few, disk: u.disk + 64<<20 + 16<<10*float64(commands)}
}
