package comet_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"souk/consensus"
	"souk/consensus/comet"
	"souk/consensus/consensustest"
)

// killPlan is what the process to be killed needs to know.
type killPlan struct {
	Name    string
	Time    time.Time
	Dirs    []string
	Listens []string
	Round   int
}

func (p killPlan) cluster() *cluster {
	c := &cluster{
		genesis: comet.Genesis{ID: [32]byte{7}, Contract: []byte(p.Name), Time: p.Time},
		voters:  len(p.Dirs),
	}
	for i, dir := range p.Dirs {
		c.servers = append(c.servers, server{
			dir: dir, listen: p.Listens[i], key: testKey("consensus", p.Name, i), node: testKey("node", p.Name, i),
		})
	}
	return c
}

// killEnv tells a test binary that it is the process to be killed.
const killEnv = "SOUK_KILL_PLAN"

// killChild is the process that TestKill kills: four servers that commit as fast
// as they can, and say so.
func killChild(raw string) error {
	var plan killPlan
	if err := json.Unmarshal([]byte(raw), &plan); err != nil {
		return err
	}
	c := plan.cluster()
	var apps []*consensustest.Counter
	var engines []consensus.Engine
	for i := range c.servers {
		cfg := c.config0(i)
		app := consensustest.NewCounter(&consensustest.Disk{}, 0, c.validators()) // replays everything
		e, err := comet.Open(cfg, app)
		if err != nil {
			return err
		}
		apps, engines = append(apps, app), append(engines, e)
	}
	w := apps[0].Committed()
	fmt.Printf("replayed %d\n", len(apps[0].Log()))
	go func() {
		for i := 0; ; i++ {
			_ = engines[i%4].Submit(context.Background(), fmt.Appendf(nil, "round %d payload %d", plan.Round, i))
			time.Sleep(3 * time.Millisecond)
		}
	}()
	for count := len(apps[0].Log()); ; {
		select {
		case <-w:
			count++
			fmt.Printf("committed %d %v\n", count, apps[0].Faulty())
		case <-time.After(time.Minute):
			return errors.New("no progress")
		}
	}
}

// C-45: whenever all servers lose power at once, what was committed is there again,
// nobody has signed twice, and the chain goes on.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plan := killPlan{Name: "kill", Time: time.Now().Add(-time.Minute).Truncate(time.Second)}
	for i := range 4 {
		plan.Dirs = append(plan.Dirs, fmt.Sprintf("%s/%d", dir, i))
		plan.Listens = append(plan.Listens, freePort(t))
	}
	committed := 0
	for plan.Round = range 5 {
		raw, err := json.Marshal(plan)
		if err != nil {
			t.Fatal(err)
		}
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), killEnv+"="+string(raw))
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		more, want := 0, 5+rand.IntN(60)
		for more < want && lines.Scan() {
			var n int
			var faulty string
			if _, err := fmt.Sscanf(lines.Text(), "replayed %d", &n); err == nil && n < committed {
				t.Errorf("round %d: %d of %d payloads are left", plan.Round, n, committed)
			}
			if _, err := fmt.Sscanf(lines.Text(), "committed %d %s", &n, &faulty); err == nil {
				committed = n
				more++
				if faulty != "[]" {
					t.Fatalf("round %d: signed twice: %s", plan.Round, faulty)
				}
			}
		}
		if more < want {
			t.Fatalf("round %d: the servers stopped by themselves after %d payloads", plan.Round, more)
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
	}
	t.Logf("%d payloads over five kills", committed)
}

// config0 is config without what a child process cannot have.
func (c *cluster) config0(i int) comet.Config {
	s := c.servers[i]
	return comet.Config{
		Dir: s.dir, Genesis: c.genesis, Key: s.key, NodeKey: s.node, Listen: s.listen,
		Peers: slices.Delete(c.peers(), i, i+1),
	}
}

// BenchmarkKill is the longest pause of commits when one of four servers stops,
// under a steady load of single commands.
func BenchmarkKill(b *testing.B) {
	var gaps []time.Duration
	for i := range b.N {
		gaps = append(gaps, killOne(b, i))
	}
	slices.Sort(gaps)
	b.ReportMetric(float64(gaps[len(gaps)/2].Milliseconds()), "p50-gap-ms")
	b.ReportMetric(float64(gaps[len(gaps)-1].Milliseconds()), "max-gap-ms")
}

func killOne(b *testing.B, round int) time.Duration {
	c := newCluster(b, 4)
	c.genesis.ID[31] ^= byte(round)
	n := consensustest.NewNet(b, c, 4)
	n.Wait("all connected", func() bool {
		for _, node := range n.Nodes {
			if s := node.Status(); s.CatchUp || len(s.Peers) < 3 {
				return false
			}
		}
		return true
	})
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := 0; ctx.Err() == nil; i++ {
			_ = n.Nodes[i%3].Submit(ctx, fmt.Appendf(nil, "%d/%d", round, i))
			time.Sleep(2 * time.Millisecond)
		}
	}()
	time.Sleep(time.Second)
	w := n.Nodes[0].App.Committed()
	go n.Stop(3)
	var longest time.Duration
	last := time.Now()
	for end := time.After(3 * time.Second); ; {
		select {
		case <-w:
			longest = max(longest, time.Since(last))
			last = time.Now()
			continue
		case <-end:
		}
		break
	}
	stop()
	<-sent
	for i := range 4 {
		n.Stop(i)
	}
	return longest
}
