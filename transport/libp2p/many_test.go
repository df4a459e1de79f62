package libp2p_test

import (
	"context"
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
