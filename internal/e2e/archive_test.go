package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"souk/internal/cluster"
)

// A server with an archive is killed under load, at random moments, also while it starts:
// each time the archive catches up by itself, and at the end it is as one that is made anew
// of the log (G-30, G-37).
func TestKillArchive(t *testing.T) {
	beside(t)
	f := prepared(t, 1, func(c *cluster.Cluster) {
		edit(t, c.Homes[0].Config(), `engine = "none"`, `engine = "sqlite"`)
	})
	if err := f.Ready(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	const seed = 1
	rng := rand.New(rand.NewPCG(seed, 0))
	s := f.trade()
	for round := range rounds(6, 60) {
		s.after(30)
		f.pause(rng, 400)
		f.Kill(0)
		if err := f.Restart(0); err != nil {
			t.Fatal(err)
		}
		if round%2 == 1 { // what it began after the last time is broken off, too
			f.pause(rng, 1500)
			f.Kill(0)
			if err := f.Restart(0); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.after(30)
	last := uint64(0)
	receipts := s.end()
	for i := range receipts {
		last = max(last, receipts[i].Height)
	}
	f.archived(last)
	home := string(f.Homes[0])
	anew := filepath.Join(t.TempDir(), "anew")
	// A block may have done something after that without a command, such as end an order.
	eventually(t, time.Minute, "the archive has all blocks", func() error {
		if err := f.Stop(0); err != nil {
			return err
		}
		made := soukJSON[struct{ From, Height uint64 }](t, "archive", "rebuild", "--home", home, "--engine", "sqlite", "--path", anew, "--forget")
		kept, again := export(t, "--home", home), export(t, "--home", home, "--engine", "sqlite", "--path", anew)
		err := sameFiles(kept, again)
		if err != nil {
			if err := f.Restart(0); err != nil {
				t.Fatal(err)
			}
			f.archived(made.Height)
		}
		if made.From != 1 {
			t.Fatalf("the log begins at block %d", made.From)
		}
		t.Logf("%d acknowledged commands, archive of blocks %d to %d", len(receipts), made.From, made.Height)
		return err
	})
}

// pause lets a random time pass, so that what comes then comes at any moment.
func (f *federation) pause(rng *rand.Rand, most int) {
	time.Sleep(time.Duration(rng.IntN(most)) * time.Millisecond)
}

// archived waits until the archive has a block.
func (f *federation) archived(height uint64) {
	f.t.Helper()
	eventually(f.t, time.Minute, fmt.Sprintf("the archive has block %d", height), func() error {
		got, err := f.metric(0, "souk_archive_height")
		if err == nil && got < float64(height) {
			err = fmt.Errorf("it is at %.0f", got)
		}
		return err
	})
}

// export writes an archive into files of comma-separated values.
func export(t *testing.T, which ...string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "tables")
	souk(t, append([]string{"archive", "export", "--format", "csv", "--out", to}, which...)...)
	return to
}

// sameFiles tells in what two folders differ.
func sameFiles(a, b string) error {
	names, err := filepath.Glob(filepath.Join(a, "*.csv"))
	if err != nil {
		return err
	}
	others, err := filepath.Glob(filepath.Join(b, "*.csv"))
	if err != nil || len(names) != len(others) || len(names) < 10 {
		return fmt.Errorf("%d and %d tables: %w", len(names), len(others), err)
	}
	for _, name := range names {
		first, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		second, err := os.ReadFile(filepath.Join(b, filepath.Base(name)))
		if err != nil {
			return err
		}
		if !bytes.Equal(first, second) {
			return fmt.Errorf("%s has %d lines in one and %d in the other, or others", filepath.Base(name), bytes.Count(first, []byte("\n")), bytes.Count(second, []byte("\n")))
		}
	}
	return nil
}
