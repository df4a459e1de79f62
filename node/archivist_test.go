package node_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"souk/archive"
	"souk/archive/archivetest"
	"souk/archive/sqlite"
	"souk/archive/tables"
	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/identity"
	"souk/node"
	"souk/replica"
	"souk/store/pebble"
)

// archiveHome names the folder in which TestArchivistKilled is to be the process that is
// killed.
const archiveHome = "SOUK_TEST_ARCHIVE"

// archivedBlocks is how many blocks that process makes.
const archivedBlocks = 300

// archived is a virtual server whose blocks are the same in every run, on disk, and its
// archive.
type archived struct {
	replica *replica.Replica
	world   *exchangetest.World
	random  *exchangetest.Random
	close   func()
}

// openArchived opens what is in a folder. Its blocks go to the replica that it has not yet.
func openArchived(t *testing.T, dir string, keep time.Duration) *archived {
	t.Helper()
	founding := exchangetest.Founding(1)
	s, err := pebble.Open(filepath.Join(dir, "state"), pebble.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := replica.Open(replica.Config{
		Founding: founding, Store: s, Persist: replica.Persist{Blocks: 4, Every: 5 * time.Millisecond}, Keep: replica.Keep{Events: keep},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := &archived{replica: r, world: exchangetest.From(founding)}
	a.close = func() {
		if err := errors.Join(r.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	}
	at := r.Info().Height
	if at == 0 {
		if _, err := r.Found(consensus.Founding{Contract: founding.Append(nil)}); err != nil {
			t.Fatal(err)
		}
	}
	a.world.Applied = func(b *exchange.Block) *exchange.Result {
		res := a.world.State.Apply(b)
		if b.Height <= at {
			return res
		}
		batch := replica.Batch{Member: 1, Seq: b.Height, Commands: b.Commands}
		out, err := r.Finalize(consensus.Block{
			Height: b.Height, Proposer: b.Proposer, Payloads: [][]byte{replica.AppendClock(nil, b.Time), replica.AppendBatch(nil, &batch)},
		})
		if err != nil || out.Root != res.Root {
			t.Fatalf("block %d: root %s, not %s, %v", b.Height, out.Root, res.Root, err)
		}
		if _, err := r.Commit(); err != nil {
			t.Fatal(err)
		}
		return res
	}
	a.random = exchangetest.NewRandom(a.world, 8, 5)
	return a
}

// table opens an archive of the founding in a file.
func table(ctx context.Context, file string) (*tables.Archive, error) {
	return sqlite.Open(ctx, sqlite.Config{Config: tables.Config{Founding: exchangetest.Founding(1)}, Path: file})
}

// grow makes blocks up to a height.
func (a *archived) grow(height uint64) {
	for a.world.Height < height {
		a.world.Block(a.random.Block(8)...)
	}
}

// await waits until the archive has come to a height.
func (a *archived) await(w node.Archivist, height uint64) {
	for w.Height() < height {
		time.Sleep(time.Millisecond)
	}
}

// TestArchivistKilled is G-30 and G-45: a process that is killed at any moment leaves an
// archive which catches up, and is then as one that was made at once.
func TestArchivistKilled(t *testing.T) {
	if dir := os.Getenv(archiveHome); dir != "" {
		a := openArchived(t, dir, -1)
		defer a.close()
		w := node.StartArchivist(a.replica, slog.New(slog.DiscardHandler), func(ctx context.Context) (node.Archive, error) {
			return table(ctx, filepath.Join(dir, "archive"))
		})
		defer w.Close()
		for a.world.Height < archivedBlocks {
			a.grow(a.world.Height + 1)
			fmt.Println("block") // who kills it counts
		}
		a.await(w, archivedBlocks)
		return
	}
	dir, rng := t.TempDir(), rand.New(rand.NewPCG(1, 2))
	killed := 0
	for ended := false; !ended; {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestArchivistKilled$")
		child.Env = append(os.Environ(), archiveHome+"="+dir)
		blocks, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		last := rng.IntN(archivedBlocks * 3 / 4) // heights that were made before count, too
		for lines := bufio.NewScanner(blocks); lines.Scan(); last-- {
			if last == 0 && killed < 6 {
				_ = child.Process.Kill() // or it has ended
			}
		}
		err = child.Wait()
		var exit *exec.ExitError
		switch {
		case err == nil:
			ended = true
		case errors.As(err, &exit) && exit.ExitCode() < 0:
			killed++
		default:
			t.Fatal(err)
		}
	}
	if killed == 0 {
		t.Error("nobody was killed")
	}
	compareArchives(t, dir)
}

// compareArchives makes an archive of the log in a folder, and compares.
func compareArchives(t *testing.T, dir string) {
	t.Helper()
	a := openArchived(t, dir, -1)
	defer a.close()
	a.grow(archivedBlocks)
	var blocks []*archive.Block
	for b, err := range a.replica.Logged(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, b)
	}
	var dumps [2][]string
	for i, name := range []string{"archive", "again"} {
		x, err := table(t.Context(), filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close() //nolint:errcheck // a test's
		if i == 1 {
			if err := x.Write(t.Context(), 0, blocks); err != nil {
				t.Fatal(err)
			}
		}
		if height, err := x.Height(t.Context()); err != nil || height != archivedBlocks {
			t.Fatalf("%s is at %d, %v", name, height, err)
		}
		dumps[i] = archivetest.Dump(t, x)
	}
	if diff := cmp.Diff(dumps[1], dumps[0]); diff != "" || len(dumps[0]) < archivedBlocks {
		t.Errorf("%d rows:\n%s", len(dumps[0]), diff)
	}
}

// TestArchivistGap is G-46: what the log has forgotten is recorded as a gap, and the
// archive goes on where the log begins: what is in memory, if none is kept. An archive that cannot be opened is tried again.
func TestArchivistGap(t *testing.T) {
	dir := t.TempDir()
	a := openArchived(t, dir, 0)
	defer a.close()
	a.grow(200)
	begins := a.replica.LogFrom()
	tries := 0
	w := node.StartArchivist(a.replica, slog.New(slog.DiscardHandler), func(ctx context.Context) (node.Archive, error) {
		if tries++; tries == 1 {
			return nil, errors.New("the database is away")
		}
		return table(ctx, filepath.Join(dir, "archive"))
	})
	defer w.Close()
	a.await(w, 200)
	a.grow(220)
	a.await(w, 220)
	if w.Gaps() != 1 || w.Failures() != 1 {
		t.Errorf("%d gaps, %d failures", w.Gaps(), w.Failures())
	}
	x, err := table(t.Context(), filepath.Join(dir, "archive"))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close() //nolint:errcheck // a test's
	gaps, err := x.Gaps(t.Context())
	// Blocks that wait for the store are in memory longer than the newest 64.
	if err != nil || len(gaps) != 1 || gaps[0].From != 1 || gaps[0].To < begins-1 || gaps[0].To > 200-64 {
		t.Errorf("gaps %v, and the log began at %d, %v", gaps, begins, err)
	}
}

// TestArchivistLate is G-46: an archive that comes late, or was away for long, lacks what
// the log has forgotten and nothing else. Then it shows the present as it is, also if its
// process was killed behind the gap.
func TestArchivistLate(t *testing.T) {
	dir := t.TempDir()
	opener := func(name string) func(context.Context) (node.Archive, error) {
		return func(ctx context.Context) (node.Archive, error) { return table(ctx, filepath.Join(dir, name)) }
	}
	run := func(a *archived, name string) {
		t.Helper()
		w := node.StartArchivist(a.replica, slog.New(slog.DiscardHandler), opener(name))
		a.await(w, a.world.Height)
		a.grow(a.world.Height + 1)
		a.await(w, a.world.Height) // so it was corrected
		w.Close()
	}
	a := openArchived(t, dir, -1)
	a.grow(60)
	run(a, "away")
	a.close()
	a = openArchived(t, dir, 0)
	a.grow(120)
	a.close()
	a = openArchived(t, dir, -1)
	defer a.close()
	begins := a.replica.LogFrom()
	a.grow(240)
	for name, first := range map[string]uint64{"away": 62, "new": 1} {
		run(a, name)
		x, err := table(t.Context(), filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		gaps, err := x.Gaps(t.Context())
		if want := []archive.Gap{{From: first, To: begins - 1}}; err != nil || !slices.Equal(gaps, want) {
			t.Errorf("%s: gaps %v, not %v, %v", name, gaps, want, err)
		}
		comparePresent(t, a, x)
		before := archivetest.Dump(t, x)
		in := archive.Take(a.world.State, a.world.Height, a.world.Time)
		if err := x.Correct(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, archivetest.Dump(t, x)); diff != "" {
			t.Errorf("%s: once more it was corrected:\n%s", name, diff)
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
}

// comparePresent compares what an archive shows of the present with the state.
func comparePresent(t *testing.T, a *archived, x *tables.Archive) {
	t.Helper()
	in := archive.Take(a.world.State, a.world.Height, a.world.Time)
	for _, b := range in.Balances {
		got, err := x.Balances(t.Context(), archive.BalanceQuery{Account: b.Account, Asset: b.Asset, Limit: 1})
		if err != nil || len(got) != 1 || got[0].Balance != b {
			t.Errorf("balance %+v, not %+v, %v", got, b, err)
		}
	}
	live := map[identity.Address]int{}
	for _, o := range in.Orders {
		live[o.Account]++
	}
	for account, n := range live {
		got, err := x.Orders(t.Context(), archive.OrderQuery{Account: account, State: archive.Open, Limit: archive.MaxPage})
		if err != nil || len(got) != n {
			t.Errorf("%d live orders, not %d, %v", len(got), n, err)
		}
	}
	for _, m := range in.Markets {
		trades, err := x.Trades(t.Context(), archive.TradeQuery{Market: m.ID, Limit: 1})
		if err != nil || len(trades) == 0 {
			t.Errorf("market %d has no trades, %v", m.ID, err)
		}
	}
}
