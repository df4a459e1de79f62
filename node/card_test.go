package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/identity"
	"souk/node"
	"souk/store/sealed"
)

// alone founds a virtual server of one server.
func alone(t *testing.T) *node.Local {
	t.Helper()
	local, err := node.FoundLocal(node.LocalSetup{
		Dir: filepath.Join(t.TempDir(), "fed"), Name: "first", Servers: 1, Work: sealed.TestWork, Now: time.Now().Add(-time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	return local
}

// further makes a card for a further virtual server in a home, and founds one with it.
func further(t *testing.T, h node.Home, name, p2p string, issuer identity.PrivateKey) *exchange.Founding {
	t.Helper()
	card, file, err := node.NewCard(h, node.CardSetup{
		P2P: p2p, Pass: sealed.FromFile(h.PassphraseFile()), Work: sealed.TestWork, Now: time.Now().Add(-time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || strings.TrimSpace(string(text)) != card.String() {
		t.Fatalf("%s holds %s: %v", file, text, err)
	}
	terms := node.PracticeTerms(name, identity.AddressOf(issuer.Public()))
	f, err := node.Found(&terms, []exchange.Card{card})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func openNode(t *testing.T, h node.Home) *node.Node {
	t.Helper()
	n, err := node.Open(h, node.Options{Pass: sealed.FromFile(h.PassphraseFile()), Software: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// mint gives somebody play money on a virtual server.
func mint(ctx context.Context, t *testing.T, url string, id exchange.ID, issuer identity.PrivateKey) error {
	t.Helper()
	c, err := api.NewClient(api.Config{Servers: []string{url}, ID: id})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := c.As(signer(issuer)).Do(ctx, &exchange.Mint{Asset: 2, Amount: 5, To: identity.AddressOf(issuer.Public())})
	if err == nil && r[0].Code != exchange.OK {
		err = errors.New(r[0].Code.String())
	}
	return err
}

// One home serves two virtual servers, each with a consensus key of its own, and
// leaves one of them.
func TestSecondCard(t *testing.T) {
	local := alone(t)
	h, first := local.Homes[0], local.Founding
	second := further(t, h, "second", "127.0.0.1:7", local.Issuer)
	a, b := &first.Members[0], &second.Members[0]
	if a.Consensus == b.Consensus || a.P2P == b.P2P || a.Server != b.Server || a.Operator != b.Operator || a.Name != b.Name || a.URL != b.URL {
		t.Errorf("cards %+v and %+v", a, b)
	}
	if cards, err := h.Cards(); err != nil || len(cards) != 2 || cards[1].Card.Consensus != b.Consensus {
		t.Errorf("cards %+v: %v", cards, err)
	}
	if old, err := h.Join(second, node.Joining{}); err != nil || (old != exchange.ID{}) {
		t.Fatal(old, err)
	}
	if _, err := h.Join(second, node.Joining{}); !errors.Is(err, node.ErrServes) {
		t.Errorf("joined twice: %v", err)
	}
	n := openNode(t, h)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, f := range []*exchange.Founding{first, second} {
		if err := mint(ctx, t, local.URLs[0], f.ID(), local.Issuer); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}

	id := first.ID()
	if _, err := h.Leave("ff"+strings.Repeat("0", 62), time.Now()); !errors.Is(err, node.ErrServes) {
		t.Errorf("left what it does not serve: %v", err)
	}
	if left, err := h.Leave(fmt.Sprintf("%x", id[:4]), time.Now()); err != nil || left != id {
		t.Fatal(left, err)
	}
	n = openNode(t, h)
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := mint(ctx, t, local.URLs[0], second.ID(), local.Issuer); err != nil {
		t.Errorf("the one that stayed: %v", err)
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := mint(short, t, local.URLs[0], id, local.Issuer); err == nil {
		t.Error("the one that was left is served")
	}
	// It can come back.
	if _, err := h.Join(first, node.Joining{}); err != nil {
		t.Error(err)
	}
}

// A virtual server takes the place of another when the operator says so, or when it
// goes on from it; otherwise none may be in the way.
func TestJoinReplaces(t *testing.T) {
	local := alone(t)
	h, first := local.Homes[0], local.Founding
	c, err := node.ReadConfig(h.Config())
	if err != nil {
		t.Fatal(err)
	}
	listen := c.Virtual[0].Listen
	second := further(t, h, "second", listen, local.Issuer)
	at := node.Joining{Config: node.VirtualConfig{Listen: listen}, Now: time.Now()}
	if _, err := h.Join(second, at); !errors.Is(err, node.ErrServes) || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("two at one address: %v", err)
	}
	before, err := os.ReadFile(h.Config())
	if err != nil {
		t.Fatal(err)
	}
	at.Replace = "zz"
	if _, err := h.Join(second, at); !errors.Is(err, node.ErrServes) {
		t.Errorf("replaces nothing: %v", err)
	}
	if after, err := os.ReadFile(h.Config()); err != nil || string(after) != string(before) {
		t.Errorf("a refused join changes the config: %v", err)
	}
	id := first.ID()
	at.Replace = fmt.Sprintf("%x", id[:8])
	if old, err := h.Join(second, at); err != nil || old != id {
		t.Fatal(old, err)
	}
	served := func(want *exchange.Founding) {
		t.Helper()
		c, err := node.ReadConfig(h.Config())
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Virtual) != 1 || c.Virtual[0].Listen != listen {
			t.Fatalf("%+v", c.Virtual)
		}
		if f, err := node.ReadFounding(filepath.Join(string(h), c.Virtual[0].Founding)); err != nil || f.ID() != want.ID() {
			t.Errorf("serves %v: %v", f, err)
		}
	}
	served(second)

	third := *second
	third.Name, third.Assets, third.Markets, third.Reserved = "third", nil, nil, nil
	third.Origin = &exchange.Origin{Server: second.ID(), Height: 7}
	at = node.Joining{Config: node.VirtualConfig{Listen: listen}, Now: time.Now()}
	if _, err := h.Join(&third, at); !errors.Is(err, node.ErrOrigin) || !strings.Contains(err.Error(), "souk export") {
		t.Errorf("without the state to go on from: %v", err)
	}
	served(second)
	at.Config.StateSync = true // then it comes from the others
	if old, err := h.Join(&third, at); err != nil || old != second.ID() {
		t.Fatal(old, err)
	}
	served(&third)
	text, err := os.ReadFile(h.Config())
	if err != nil || strings.Count(string(text), "# [[virtual_server]]") != 2 || strings.Count(string(text), "was replaced by") != 2 {
		t.Errorf("%s: %v", text, err)
	}
}

// One home is served by one process, which says so to another one.
func TestServeTwice(t *testing.T) {
	h := alone(t).Homes[0]
	options := node.Options{Pass: sealed.FromFile(h.PassphraseFile()), Software: "test"}
	n, err := node.Open(h, options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.Open(h, options); !errors.Is(err, node.ErrServed) || !strings.Contains(err.Error(), "runs already") {
		t.Errorf("a second time: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err = node.Open(h, options); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

// Whoever was to begin from a copy of the state can be told to execute all blocks.
func TestJoinAgainWithoutCopy(t *testing.T) {
	local := alone(t)
	h, f := local.Homes[0], local.Founding
	for _, step := range []struct {
		at     node.Joining
		synced bool
	}{
		{node.Joining{Config: node.VirtualConfig{StateSync: true}}, true},
		{node.Joining{Config: node.VirtualConfig{Listen: "127.0.0.1:1"}}, true}, // what is not named stays
		{node.Joining{Replay: true}, false},
	} {
		if _, err := h.Join(f, step.at); err != nil {
			t.Fatal(err)
		}
		c, err := node.ReadConfig(h.Config())
		if err != nil || len(c.Virtual) != 1 || c.Virtual[0].StateSync != step.synced {
			t.Errorf("%+v: %+v, %v", step.at, c.Virtual, err)
		}
	}
}

// Which card a later member joins with must be clear.
func TestJoinWhichCard(t *testing.T) {
	local := alone(t)
	h := local.Homes[0]
	other := alone(t).Founding
	mine := further(t, h, "second", "127.0.0.1:7", local.Issuer).Members[0]
	if _, err := h.Join(other, node.Joining{}); !errors.Is(err, node.ErrCard) {
		t.Errorf("no card named: %v", err)
	}
	if _, err := h.Join(other, node.Joining{Card: &other.Members[0]}); !errors.Is(err, node.ErrCard) {
		t.Errorf("a card of somebody else: %v", err)
	}
	if _, err := h.Join(other, node.Joining{Card: &mine}); err != nil {
		t.Fatal(err)
	}
	c, err := node.ReadConfig(h.Config())
	if err != nil || c.Virtual[0].Keys != "keys" || c.Virtual[1].Keys != "cards/"+mine.Consensus.String()[:16] {
		t.Errorf("%+v: %v", c.Virtual, err)
	}
}
