package comet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"souk/consensus"
	"souk/consensus/comet"
	"souk/consensus/consensustest"
	"souk/identity"
)

// C-80: turns are taken only as two servers have them alike; no header proves them.
func TestExactTurns(t *testing.T) {
	l := honest(time.Now().Add(-time.Hour), time.Second)
	liar := comet.Source{Name: "liar", Fetch: func(_ context.Context, h uint64) ([]byte, error) {
		b := *l.block(t, int64(h))
		b.ValidatorSet = b.ValidatorSet.CopyIncrementProposerPriority(1) // it would be somebody else's turn
		return comet.EncodeLight(&b, setOf(l.members(int64(h)+1)))
	}}
	a, b := l.source(t, "a", 30), l.source(t, "b", 30)
	c := client(t, lightConfig(a, liar))
	if _, _, err := comet.ExactSets(t.Context(), c, 30); !errors.Is(err, comet.ErrTurns) {
		t.Errorf("one against one: %v", err)
	}
	c = client(t, lightConfig(liar, a, b))
	now, next, err := comet.ExactSets(t.Context(), c, 30)
	if err != nil || now.String() != l.block(t, 30).ValidatorSet.String() || next.String() != setOf(l.members(31)).String() {
		t.Errorf("two against one: %v, %v, %v", now, next, err)
	}
}

// C-80: a server whose next block all others have forgotten is behind, but not
// while it waits for a snapshot, before which it has no block at all.
func TestBehindWhileJoining(t *testing.T) {
	for _, c := range []struct {
		fromSnapshot bool
		height, base int64
		want         bool
	}{
		{false, 0, 100, true},
		{false, 7, 100, true},
		{false, 99, 100, false},
		{true, 0, 100, false},
		{true, 7, 100, true},
		{true, 99, 100, false},
	} {
		if got := comet.Behind(c.fromSnapshot, c.height, c.base); got != c.want {
			t.Errorf("%+v: behind: %v", c, got)
		}
	}
}

// spoiler serves chunks that are not what they should be.
type spoiler struct{ *consensustest.Counter }

func (s *spoiler) Chunk(height uint64, format, chunk uint32) ([]byte, error) {
	raw, err := s.Counter.Chunk(height, format, chunk)
	if len(raw) > 0 {
		raw[0] ^= 1
	}
	return raw, err
}

// C-80: a server joins although another serves it a spoilt snapshot, one of those
// it asks for light blocks lies, and one is down; and not if it trusts a wrong checkpoint.
func TestJoin(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 5)
	c.voters = 4
	n := consensustest.NewNet(t, c, 3)
	bad := &spoiler{consensustest.NewCounter(&consensustest.Disk{}, 0, c.validators())}
	e, err := c.Open(3, bad)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	for i := range 60 {
		n.Submit(i%3, fmt.Sprintf("payload %d of some length, so that there are several chunks", i))
	}
	n.WaitLog(60)
	n.Wait("the fourth", func() bool { return bad.Root() == n.Nodes[0].App.Root() })
	n.Nodes[0].App.Snapshot()
	n.Nodes[1].App.Snapshot()
	bad.Snapshot()
	n.Submit(0, "after")
	n.WaitLog(61)

	nonsense := func(context.Context, uint64) ([]byte, error) { return []byte("nonsense"), nil }
	c.servers[4].key = identity.PrivateKey{}
	c.sync = comet.StateSync{
		Enabled: true, Validators: c.validators(),
		Fetchers: []comet.Fetch{nonsense, down("x").Fetch, fetchFrom(n.Nodes[0]), fetchFrom(n.Nodes[1])},
	}
	c.sync.TrustHeight, c.sync.TrustHash[0] = 2, 1
	app := consensustest.NewCounter(&consensustest.Disk{}, 0, nil)
	lost, err := c.Open(4, app)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	if s := lost.Status(); s.Height != 0 || !s.CatchUp || app.Count() != 0 {
		t.Errorf("joined by a wrong checkpoint: %+v", s)
	}
	if err := lost.Close(); err != nil {
		t.Fatal(err)
	}

	c.sync.TrustHeight = 0
	n.Nodes = append(n.Nodes, &consensustest.Node{Disk: &consensustest.Disk{}})
	var joined consensus.Engine
	if joined, err = c.Open(4, consensustest.NewCounter(n.Nodes[3].Disk, 0, nil)); err != nil {
		t.Fatal(err)
	}
	if err := joined.Close(); err != nil { // at once: nothing has come yet
		t.Fatal(err)
	}
	n.Nodes[3].App = consensustest.NewCounter(n.Nodes[3].Disk, 0, nil)
	if n.Nodes[3].Engine, err = c.Open(4, n.Nodes[3].App); err != nil {
		t.Fatal(err)
	}
	n.WaitLog(61)
	n.Submit(1, "more")
	n.WaitLog(62)
}

// Whoever waits for a snapshot that nobody has is told so, soon and then once a minute.
func TestSearchIsNotSilent(t *testing.T) {
	for times, lines := range map[int]int{1: 0, 2: 1, 12: 1, 13: 2, 26: 3} {
		var out bytes.Buffer
		comet.Search(slog.New(slog.NewTextHandler(&out, nil)), times)
		if got := strings.Count(out.String(), "--state-sync=false"); got != lines {
			t.Errorf("%d searches: said %d times, want %d", times, got, lines)
		}
	}
}
