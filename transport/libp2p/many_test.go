package libp2p_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"souk/internal/bulk"
	"souk/transport"
	"souk/transport/libp2p"
	"souk/transport/transporttest"
)

// crowd opens so many peers, each of which has about so many neighbours.
func crowd(t testing.TB, count, degree int) []transporttest.Net {
	t.Helper()
	nets := make([]transporttest.Net, count)
	for i := range nets {
		nets[i] = open(t, libp2p.Config{})
	}
	if err := transporttest.Connect(t.Context(), nets, degree, 1); err != nil {
		t.Fatal(err)
	}
	return nets
}

func plain(nets []transporttest.Net) []transport.Net {
	var list []transport.Net
	for _, n := range nets {
		list = append(list, n)
	}
	return list
}

// TestMany (F-36): 40 peers in one process, 12 neighbours each, 20 messages a second for ten
// seconds: everything comes once.
func TestMany(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r, err := transporttest.Flow{Topic: "many", For: time.Duration(bulk.Count(10)) * time.Second}.Run(ctx, plain(crowd(t, 40, 12)), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r)
	if r.Delivered != r.Expected || r.Again != 0 {
		t.Errorf("%d of %d came, %d again", r.Delivered, r.Expected, r.Again)
	}
}

// TestFlood (F-36): an identity that floods is cut within a second, and honest peers notice
// nothing.
func TestFlood(t *testing.T) {
	if !bulk.Whole() {
		t.Skip("under the race detector nobody sends 1,000 messages a second")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	honest := crowd(t, 8, 7)
	flooder := open(t, libp2p.Config{})
	for _, n := range honest[:4] {
		if err := flooder.Dial(ctx, n.Self(), n.Addrs()...); err != nil {
			t.Fatal(err)
		}
	}
	var over sync.WaitGroup
	over.Go(func() {
		late := lateness(ctx)
		cut, sent, err := transporttest.Flood(ctx, flooder, "flood", 1000, 30*time.Second)
		idle := late()
		t.Logf("the flooder is cut after %v and %d messages; for %v this process did not run", cut, sent, idle)
		switch {
		case err != nil:
			t.Error(err)
		case cut == 0 && sent < 15_000:
			t.Logf("this machine was too busy to flood: %d messages in 30 seconds", sent)
		case cut == 0:
			t.Error("the flooder is not cut")
		case cut > time.Second+idle:
			t.Errorf("the flooder is cut after %v", cut)
		}
	})
	r, err := transporttest.Flow{Topic: "flood", For: 5 * time.Second}.Run(ctx, plain(honest), 1)
	over.Wait()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r)
	if r.Delivered != r.Expected || r.Again != 0 {
		t.Errorf("%d of %d came, %d again", r.Delivered, r.Expected, r.Again)
	}
	for i, n := range honest {
		if bans := n.Bans(); len(bans) != 0 && (i >= 4 || bans[0].ID != flooder.Self()) {
			t.Errorf("bans of %d: %v", i, bans)
		}
	}
}

// lateness measures for how long a machine that has other things to do did not let this
// process run.
func lateness(ctx context.Context) (sum func() time.Duration) {
	ctx, stop := context.WithCancel(ctx)
	total := make(chan time.Duration)
	go func() {
		var late time.Duration
		for ctx.Err() == nil {
			begin := time.Now()
			time.Sleep(5 * time.Millisecond)
			late += max(0, time.Since(begin)-10*time.Millisecond)
		}
		total <- late
	}()
	return func() time.Duration {
		stop()
		return <-total
	}
}

// TestSybils (F-36): fifty honest peers among two hundred who are not.
func TestSybils(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var honest, sybils []transporttest.Net
	for range bulk.Count(50) {
		honest = append(honest, open(t, libp2p.Config{}))
	}
	for range bulk.Count(200) {
		sybils = append(sybils, open(t, libp2p.Config{}))
	}
	r, err := transporttest.Sybils{Degree: min(6, len(honest)-2)}.Run(ctx, honest, sybils, transporttest.Flow{Topic: "sybil", Rate: 4, For: 4 * time.Second}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r)
	if r.Share() < 0.99 {
		t.Errorf("%d of %d came", r.Delivered, r.Expected)
	}
}
