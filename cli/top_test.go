package cli_test

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"souk/api"
	"souk/cli"
)

var update = flag.Bool("update", false, "write the screens anew")

// glances are what two looks at a federation of four brought, the fourth of which is down.
func glances() (before, now cli.Glance) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	s := &api.Status{Name: "northern", Member: "alice", Height: 1000, Orders: 7, Accounts: 42, Waiting: 3, Time: uint64(at.UnixMilli())}
	for i, name := range []string{"alice", "bob", "carol", "dave"} {
		s.Members = append(s.Members, api.Member{ID: uint32(i), Name: name, URL: "http://" + name, P2P: name + "@192.0.2.1:1", Power: 1_000_000})
		if i > 0 && i < 3 {
			s.Peers = append(s.Peers, api.Peer{ID: name, Height: 1003})
		}
	}
	s.Banks = []api.BankHealth{
		{Asset: "BTC", Network: "bitcoin", Works: true, Agreed: 900_000, Attested: 900_000, Members: 4, Seeing: 3, Needed: 3, Blind: []string{"dave"}, Reserve: "0.50000000", Waiting: 2, Transactions: 1},
	}
	before = cli.Glance{At: at, Status: s}
	later := *s
	later.Height = 1003
	now = cli.Glance{
		At: at.Add(2 * time.Second), Status: &later,
		Markets: &api.Markets{Markets: []api.Market{{Symbol: "BTC-EUR"}, {Symbol: "LTC-BTC"}}},
		Book: &api.Book{
			Symbol: "BTC-EUR",
			Asks:   []api.Level{{Price: "50010.00", Quantity: "0.25000000", Orders: 2}, {Price: "50020.00", Quantity: "1.00000000", Orders: 1}},
			Bids:   []api.Level{{Price: "49990.00", Quantity: "0.10000000", Orders: 1}, {Price: "49980.00", Quantity: "3.00000000", Orders: 12}},
		},
		Trades: &api.Trades{Trades: []api.Trade{{Price: "50000.00", Quantity: "0.01000000", Time: uint64(at.UnixMilli())}}},
		Reach: map[string]cli.Reach{
			"http://alice": {Took: 2 * time.Millisecond, Height: 1003}, "http://bob": {Took: 31 * time.Millisecond, Height: 1003},
			"http://carol": {Took: 120 * time.Millisecond, Height: 990}, "http://dave": {Down: true},
		},
	}
	return before, now
}

// The dashboard is a function of what was seen, the keys, and the size: golden screens.
func TestTopScreens(t *testing.T) {
	for _, x := range []struct {
		name          string
		width, height int
		keys          []string
		color         bool
	}{
		{"market", 80, 24, nil, false},
		{"members", 80, 24, []string{"tab"}, false},
		{"banks", 80, 24, []string{"tab", "tab"}, false},
		{"help", 80, 24, []string{"?"}, false},
		{"small", 40, 8, []string{"tab", "down", "down"}, false},
		{"colour", 80, 24, nil, true},
		{"next", 80, 24, []string{"shift+tab", "tab", "right"}, false},
	} {
		before, now := glances()
		v := cli.NewTopView(x.width, x.height, x.color)
		v.See(before)
		v.See(now)
		for _, key := range x.keys {
			if v.Press(key) {
				t.Errorf("%s: %s ends it", x.name, key)
			}
		}
		got := v.String()
		lines := strings.Split(got, "\n")
		if len(lines) != x.height {
			t.Errorf("%s: %d lines", x.name, len(lines))
		}
		for _, line := range lines {
			if !x.color && len([]rune(line)) > x.width {
				t.Errorf("%s: too wide: %s", x.name, line)
			}
		}
		file := "testdata/top/" + x.name + ".screen"
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s; if it is meant: go test ./cli -run TestTopScreens -update\n%s", x.name, diff)
		}
	}
}

// What servers say cannot make a terminal do things, no size breaks the screen, and servers
// that stop answering leave what was seen.
func TestTopHostile(t *testing.T) {
	before, now := glances()
	now.Status.Name, now.Status.Members[1].Name = "a\x1b]0;title\x07b", "bob\x1b[2J"
	now.Book.Asks[0].Price = "\x1b[31m1"
	for _, size := range [][2]int{{80, 24}, {1, 1}, {0, 0}, {20, 3}, {500, 200}} {
		v := cli.NewTopView(size[0], size[1], false)
		if v.String() == "" {
			t.Error("nothing")
		}
		v.See(before)
		v.See(now)
		for range 3 {
			if s := v.String(); strings.ContainsAny(s, "\x1b\x07") {
				t.Errorf("%v: %q", size, s)
			}
			v.Press("tab")
		}
	}
	v := cli.NewTopView(80, 24, false)
	v.See(now)
	v.See(cli.Glance{Err: api.ErrServers})
	if s := v.String(); !strings.Contains(s, "no server answered") || !strings.Contains(s, "height 1003") {
		t.Error(s)
	}
	if !v.Press("q") || !v.Press("ctrl+c") {
		t.Error("it does not end")
	}
}
