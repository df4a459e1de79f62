package node_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/roster"
	"souk/internal/ports"
	"souk/node"
	"souk/store/sealed"
)

// newcomer makes a home whose card no contract has, and has it join.
func (v *vault) newcomer(t *testing.T, name, p2p, http string) exchange.Card {
	t.Helper()
	pass := passFile(t)
	h := node.Home(filepath.Join(t.TempDir(), name))
	card, err := node.Init(h, node.Setup{Name: name, URL: "http://" + http, P2P: p2p, Listen: http, Pass: pass, Work: sealed.TestWork, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Join(v.Founding, node.Joining{Config: node.VirtualConfig{Listen: p2p}, Card: &card, Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	v.Homes = append(v.Homes, h)
	n, err := node.Open(h, node.Options{Pass: pass, Log: v.log, Software: "test"})
	if err != nil {
		t.Fatal(err)
	}
	v.nodes = append(v.nodes, n)
	n.SetChain(v.chain.Node())
	return card
}

// claimed are free addresses on this machine.
func claimed(t *testing.T, n int) (all []string) {
	t.Helper()
	got, err := ports.Claim(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ports.Release(got...) })
	for _, p := range got {
		all = append(all, fmt.Sprintf("127.0.0.1:%d", p))
	}
	return all
}

// The drill of docs/operations.md: a member is lost for ever. A new one joins, announces
// its key, the lost one is removed, and when the key has cooled down the members open a
// series of those who are there. All coins move into it.
func TestDrillLostMember(t *testing.T) {
	v := startVault(t, 4, 4)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	v.greet(ctx, t)
	for range 3 {
		v.deposit(ctx, t, 2e8)
	}
	lost := v.member(t, "server-4")
	v.close(t, 3)
	// The reserve pays for moving coins.
	r, err := v.alice.Do(ctx, &exchange.Donate{Bank: 1, Amount: 1e6})
	must(t, r, err)

	at := claimed(t, 2)
	card := v.newcomer(t, "erin", at[0], at[1])
	v.vote(ctx, t, roster.AddMember{Card: card.Roster()}, 0, 1, 2)
	v.vote(ctx, t, roster.RemoveMember{Member: lost}, 0, 1, 2)
	erin := v.member(t, "erin")
	info := func() (x custody.Info, keyed bool, ready uint64) {
		v.state(t, func(s *exchange.State) {
			x, _ = s.Banks().Bank(1)
			for _, m := range s.Banks().Members(1) {
				if m.Member == custody.Member(erin) && m.HasKey {
					keyed, ready = true, m.Since+x.CoolDown
				}
			}
		})
		return x, keyed, ready
	}
	var ready uint64
	await(ctx, t, "erin's key", func() bool {
		var keyed bool
		_, keyed, ready = info()
		return keyed
	})
	await(ctx, t, "the cool-down", func() bool { return uint64(time.Now().UnixMilli()) > ready+1000 })
	members := []roster.ID{v.member(t, "server-1"), v.member(t, "server-2"), v.member(t, "server-3"), erin}
	slices.Sort(members)
	v.vote(ctx, t, roster.OpenSeries{Bank: 1, Members: members}, 0, 1, 2)
	await(ctx, t, "sweep", func() bool {
		v.chain.Mine(1)
		old := 0
		v.state(t, func(s *exchange.State) {
			s.Banks().Coins(1, func(c custody.Coin) bool {
				if c.Series == 0 {
					old++
				}
				return true
			})
		})
		x, _, _ := info()
		return x.Series == 2 && old == 0
	})
	v.withdraw(ctx, t, output(9), 1e8)
	if s, err := v.client.Audit(ctx); err != nil || !s.Balanced {
		t.Errorf("%+v, %v", s, err)
	}
}
