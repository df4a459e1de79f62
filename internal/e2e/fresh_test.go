package e2e_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"souk/exchange/roster"
	"souk/internal/cluster"
)

// TestStateSyncFresh: a member that is added by vote, with keys that nobody has seen,
// begins from a copy of the state, of blocks that the others have forgotten, and
// carries its share. It can prove its state by the founding contract as they can.
func TestStateSyncFresh(t *testing.T) {
	f := prepared(t, 4, func(c *cluster.Cluster) {
		for _, h := range c.Homes {
			edit(t, h.Config(), "snapshot_every = 10000", "snapshot_every = 60")
			edit(t, h.Config(), "keep_blocks = 20000", "keep_blocks = 100")
		}
	})
	f.mint(5, addressOf("trader"))
	s := f.trade()
	eventually(t, 3*time.Minute, "two hundred blocks", func() error {
		s.after(20)
		if h := heightOf(t, f, 0); h < 200 {
			return errBlocks(h)
		}
		return nil
	})
	s.end()
	own := initialized(t, "server-5")
	home, http, p2p := own.home, own.http, own.p2p
	f.vote(f.Founding.ID(), []int{0, 1, 2}, "add-member", home.CardFile())
	contract := filepath.Join(filepath.Dir(string(f.Homes[0])), "founding")
	souk(t, "federation", "join", contract, "--home", string(home), "--listen", p2p, "--state-sync")
	before := heightOf(t, f, 0)
	fresh := f.Add(home, "http://"+http)
	if err := f.Restart(fresh); err != nil {
		t.Fatal(err)
	}
	caughtUp := func() error {
		now, err := f.Status(t.Context(), fresh)
		if err != nil {
			return err
		}
		was, err := f.Status(t.Context(), 0)
		if err == nil && (now.Height < was.Height || now.Root != was.Root) {
			err = fmt.Errorf("block %d, root %s; the others are at %d, %s", now.Height, now.Root, was.Height, was.Root)
		}
		return err
	}
	eventually(t, 2*time.Minute, "the new server has the state", caughtUp)
	executed, err := f.metric(fresh, "souk_blocks_total")
	if err != nil {
		t.Fatal(err)
	}
	if most := heightOf(t, f, 0) - before + 150; executed > float64(most) {
		t.Errorf("it executed %.0f blocks of %d", executed, heightOf(t, f, 0))
	}
	eventually(t, 2*time.Minute, "the new server has full power", func() error {
		status, err := f.Status(t.Context(), 0)
		if err != nil {
			return err
		}
		for _, m := range status.Members {
			if m.Name == "server-5" && m.Power == roster.FullPower {
				return nil
			}
		}
		return errors.New("it has not")
	})
	// Of five, three alone decide nothing, and four do with the new one.
	f.Kill(3)
	f.progress("trader")
	if err := f.Restart(3); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "all have the same state", caughtUp)
	if err := f.Stop(fresh); err != nil {
		t.Fatal(err)
	}
	e := soukJSON[exported](t, "export", "--home", string(home), "--out", filepath.Join(t.TempDir(), "souk-export"))
	if e.Members != 5 || !slices.Contains(e.Signers, "server-1") && !slices.Contains(e.Signers, "server-2") {
		t.Errorf("its state is proven by %+v", e)
	}
	f.sound()
}
