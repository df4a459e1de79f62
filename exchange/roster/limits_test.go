package roster_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"souk/exchange/roster"
	"souk/identity"
)

// what cannot be founded.
func TestFoundRefuses(t *testing.T) {
	good := []roster.Card{card("alice", "alice-1"), card("bob", "bob-1")}
	for name, change := range map[string]func(c *roster.Card){
		"name twice":            func(c *roster.Card) { c.Name = "alice" },
		"operator twice":        func(c *roster.Card) { c.Operator = identity.AddressOf(key("alice")) },
		"server key twice":      func(c *roster.Card) { c.Server = key("alice-server") },
		"consensus key twice":   func(c *roster.Card) { c.Consensus = key("alice-1") },
		"a key in two parts":    func(c *roster.Card) { c.Consensus = key("alice-server") },
		"the other way round":   func(c *roster.Card) { c.Server = key("alice-1") },
		"one key for both":      func(c *roster.Card) { c.Consensus = c.Server },
		"one key for two parts": func(c *roster.Card) { c.Operator = identity.AddressOf(c.Server) },
		"no name":               func(c *roster.Card) { c.Name = "" },
		"long name":             func(c *roster.Card) { c.Name = "abcdefghijklmnopqrstuvwxyzabcdefg" },
		"odd name":              func(c *roster.Card) { c.Name = "Bob" },
		"no operator":           func(c *roster.Card) { c.Operator = identity.Address{} },
		"no server key":         func(c *roster.Card) { c.Server = identity.PublicKey{} },
		"weak consensus key":    func(c *roster.Card) { c.Consensus = identity.PublicKey{1} },
		"no address":            func(c *roster.Card) { c.P2P = "bob.example:26656" },
		"no node":               func(c *roster.Card) { c.P2P = "@bob.example:26656" },
		"no host":               func(c *roster.Card) { c.P2P = "0123@" },
		"address with a space":  func(c *roster.Card) { c.P2P = "0123@bob example" },
		"long address":          func(c *roster.Card) { c.P2P = "0@" + string(bytes.Repeat([]byte{'a'}, 254)) },
		"URL with a line end":   func(c *roster.Card) { c.URL += "\n" },
	} {
		cards := slices.Clone(good)
		change(&cards[1])
		if _, err := roster.Found(cards, 1); !errors.Is(err, roster.ErrCards) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := roster.Found(nil, 1); !errors.Is(err, roster.ErrCards) {
		t.Errorf("no members: %v", err)
	}
	if _, err := roster.Found(make([]roster.Card, roster.MaxMembers+1), 1); !errors.Is(err, roster.ErrCards) {
		t.Errorf("too many members: %v", err)
	}
	s, err := roster.Found(good, 1)
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := s.ByServer(key("bob-server")); id != 2 || !ok {
		t.Errorf("bob by his server key: %d, %v", id, ok)
	}
	if _, ok := s.ByServer(key("bob-1")); ok {
		t.Error("a consensus key is taken for a server key")
	}
	if s.Return(9, 0) != roster.NotMember || s.Withdraw(9, nil, 0, 0) != roster.NotMember {
		t.Error("member 9 exists")
	}
	if _, code := s.Approve(1, []byte{9}, 0, 0, 10); code != roster.BadAction {
		t.Error(codeName(code))
	}
}

// one member can keep only so many votes open.
func TestTooManyVotes(t *testing.T) {
	s := found(t, 4)
	for i := range uint32(roster.MaxOpenVotes + 1) {
		_, code := s.Approve(1, roster.AppendAction(nil, roster.PauseMarket{Market: i + 1}, 0), 1, 1, 10)
		if (code == roster.OK) != (i < roster.MaxOpenVotes) || code != roster.OK && code != roster.TooManyVotes {
			t.Fatalf("vote %d: %s", i+1, codeName(code))
		}
	}
	if _, code := s.Approve(1, roster.AppendAction(nil, roster.PauseMarket{Market: 99}, 0), 11, 1, 10); code != roster.OK {
		t.Errorf("after the others lapsed: %s", codeName(code))
	}
}

// a member can be added until there are MaxMembers.
func TestTooManyMembers(t *testing.T) {
	var cards []roster.Card
	for i := range roster.MaxMembers {
		cards = append(cards, card(fmt.Sprintf("m%d", i), fmt.Sprintf("m%d-1", i)))
	}
	s, err := roster.Found(cards, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, code := s.Approve(1, roster.AppendAction(nil, roster.AddMember{Card: card("one-more", "one-more-1")}, 0), 1, 1, 10); code != roster.BadAction {
		t.Error(codeName(code))
	}
	if n := len(s.ValidatorUpdates()); n != roster.MaxMembers {
		t.Errorf("%d updates", n)
	}
	reload(t, s)
}

// the back-off doubles up to ten minutes and is forgiven step by step.
func TestBackoff(t *testing.T) {
	s := found(t, 4)
	height, now := uint64(100), uint64(1_000_000)
	demote := func() uint64 {
		height += 10
		bob := key("bob-1")
		if id := s.Turns(height, now, []identity.PublicKey{bob, bob, bob}, key("alice-1"), 3); id != 2 {
			t.Fatalf("demoted %d", id)
		}
		m, _ := s.Member(2)
		backoff := m.Until - now
		now = m.Until
		if code := s.Return(2, now); code != roster.OK {
			t.Fatal(codeName(code))
		}
		return backoff / 1000
	}
	for _, want := range []uint64{5, 10, 20, 40, 80, 160, 320, 600, 600, 600} {
		if got := demote(); got != want {
			t.Fatalf("back-off of %d s, want %d", got, want)
		}
	}
	now += 10*60*1000 - 1
	if got := demote(); got != 600 {
		t.Errorf("a millisecond less than ten minutes forgives: %d s", got)
	}
	now += 10 * 60 * 1000
	if got := demote(); got != 320 {
		t.Errorf("ten minutes forgive not one doubling: %d s", got)
	}
	now += 365 * 24 * 3600 * 1000
	if got := demote(); got != 5 {
		t.Errorf("a year does not forgive everything: %d s", got)
	}
}
