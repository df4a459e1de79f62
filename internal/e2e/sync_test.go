package e2e_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"souk/exchange/roster"
	"souk/internal/cluster"
)

// A server whose disk was lost joins again from a copy of the state, without
// executing the blocks before it, which the others have forgotten anyway. What its
// consensus key has signed is all that it must keep.
func TestStateSync(t *testing.T) {
	const lost = 3
	f := prepared(t, 4, func(c *cluster.Cluster) {
		for _, h := range c.Homes {
			edit(t, h.Config(), "snapshot_every = 10000", "snapshot_every = 60")
			edit(t, h.Config(), "keep_blocks = 20000", "keep_blocks = 100")
		}
	})
	f.mint(5, addressOf("trader"))
	s := f.trade()
	s.after(60)
	f.Kill(lost)
	eventually(t, 3*time.Minute, "two hundred blocks", func() error {
		s.after(20)
		if h := heightOf(t, f, 0); h < 200 {
			return errBlocks(h)
		}
		return nil
	})
	// The rest is quiet: the machine is busy enough, and copies are kept for a few only.
	s.end()
	before := heightOf(t, f, 0)
	dirs, err := filepath.Glob(filepath.Join(string(f.Homes[lost]), "vs", "*"))
	if err != nil || len(dirs) != 1 {
		t.Fatal(dirs, err)
	}
	for _, name := range []string{"state", "chain/chain", "chain/wal"} {
		if err := os.RemoveAll(filepath.Join(dirs[0], name)); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(dirs[0], "chain"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "sign" {
		t.Fatalf("the chain's folder has more than the record of signatures: %v, %v", entries, err)
	}
	edit(t, f.Homes[lost].Config(), "state_sync = false", "state_sync = true")
	began := time.Now()
	if err := f.Restart(lost); err != nil {
		t.Fatal(err)
	}
	if err := f.CaughtUp(within(t, 2*time.Minute), lost); err != nil {
		t.Fatal(err)
	}
	t.Logf("joined at block %d after %v", heightOf(t, f, lost), time.Since(began).Round(time.Millisecond))
	executed, err := f.metric(lost, "souk_blocks_total")
	if err != nil {
		t.Fatal(err)
	}
	if most := heightOf(t, f, lost) - before + 150; executed > float64(most) {
		t.Errorf("it executed %.0f blocks of %d", executed, heightOf(t, f, lost))
	}
	eventually(t, 90*time.Second, "the server has full power", func() error {
		m, err := f.member(0, lost)
		if err == nil && m.Power != roster.FullPower {
			err = errBlocks(m.Power)
		}
		return err
	})
	f.progress("trader")
	f.sound()
}
