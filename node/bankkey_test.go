package node_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"souk/exchange"
	"souk/node"
	"souk/script"
	"souk/store/sealed"
)

func passFile(t *testing.T) sealed.Passphrase {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(file, []byte("of a test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return sealed.FromFile(file)
}

// aHome makes a home as souk init does.
func aHome(t *testing.T, name string) (node.Home, exchange.Card, sealed.Passphrase) {
	t.Helper()
	pass := passFile(t)
	h := node.Home(filepath.Join(t.TempDir(), name))
	card, err := node.Init(h, node.Setup{
		Name: name, URL: "http://127.0.0.1:7001", P2P: "127.0.0.1:7101", Pass: pass, Work: sealed.TestWork, Now: time.Now().Add(-time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	return h, card, pass
}

// Every card has one key for each network, and no two keys are the same (Y-85).
func TestBankKeys(t *testing.T) {
	h, first, pass := aHome(t, "alice")
	setup := node.CardSetup{P2P: "127.0.0.1:7201", Pass: pass, Work: sealed.TestWork, Now: time.Now()}
	second, _, err := node.NewCard(h, setup)
	if err != nil {
		t.Fatal(err)
	}
	setup.P2P = "127.0.0.1:7301"
	third, _, err := node.NewCard(h, setup)
	if err != nil {
		t.Fatal(err)
	}
	_, other, _ := aHome(t, "alice")
	seen := map[script.MemberKey]bool{}
	for _, c := range []exchange.Card{first, second, third, other} {
		if len(c.Banks) != len(script.Networks()) {
			t.Fatalf("%d keys for %d networks", len(c.Banks), len(script.Networks()))
		}
		for _, k := range c.Banks {
			if seen[k.Key] {
				t.Errorf("key of %s is used twice", k.Network)
			}
			seen[k.Key] = true
		}
	}
	// What the home opens is what the cards show.
	cards, err := h.Cards()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cards {
		keys, err := node.OpenBankKeys(h, c.Keys, []string{"bitcoin-regtest", "litecoin"}, pass)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range c.Card.Banks {
			if key, ok := keys[k.Network]; ok && key.Public() != k.Key {
				t.Errorf("the key of %s for %s is not that of the card", c.File, k.Network)
			}
		}
		if len(keys) != 2 {
			t.Errorf("%d keys", len(keys))
		}
	}
}

// A home that was made without keys for banks gets them once, and its cards with it.
func TestAddBankKeys(t *testing.T) {
	h, card, pass := aHome(t, "bob")
	if err := os.Remove(filepath.Join(string(h), "keys", "bank.key")); err != nil {
		t.Fatal(err)
	}
	operator, err := h.Key(node.RoleOperator, pass)
	if err != nil {
		t.Fatal(err)
	}
	card.Banks = nil
	card.Sign(operator)
	if err := os.WriteFile(h.CardFile(), []byte(card.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := node.OpenBankKeys(h, "keys", nil, pass); !errors.Is(err, node.ErrBankKey) || !strings.Contains(err.Error(), "souk card bank-keys") {
		t.Errorf("without a seed: %v", err)
	}
	setup := node.BankKeySetup{Pass: pass, Work: sealed.TestWork, Now: time.Now()}
	cards, err := h.AddBankKeys(setup)
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.Card()
	if err != nil || len(again.Banks) != len(script.Networks()) || again.String() != cards[0].Text {
		t.Errorf("%d keys on the card: %v", len(again.Banks), err)
	}
	if again.Consensus != card.Consensus || again.Operator != card.Operator {
		t.Error("it is another card")
	}
	if _, err := h.AddBankKeys(setup); !errors.Is(err, node.ErrBankKey) {
		t.Errorf("a second time: %v", err)
	}
	if _, err := node.OpenBankKeys(h, "keys", []string{"bitcoin"}, pass); err != nil {
		t.Error(err)
	}
	// The seed of another home is not that of this card.
	other, _, _ := aHome(t, "carol")
	data, err := os.ReadFile(filepath.Join(string(other), "keys", "bank.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(string(h), "keys", "bank.key"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := node.OpenBankKeys(h, "keys", []string{"bitcoin"}, pass); !errors.Is(err, node.ErrBankKey) || !strings.Contains(err.Error(), "not made from this home's seed") {
		t.Errorf("with another seed: %v", err)
	}
}

// The seed is for its owner's eyes only.
func TestBankSeedPermissions(t *testing.T) {
	h, _, pass := aHome(t, "dave")
	file := filepath.Join(string(h), "keys", "bank.key")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v: %v", info.Mode(), err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := node.OpenBankKeys(h, "keys", []string{"bitcoin"}, pass); !errors.Is(err, sealed.ErrPermissions) {
		t.Errorf("mode 0640: %v", err)
	}
	if err := errors.Join(os.Chmod(file, 0o600), os.Chmod(filepath.Dir(file), 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := node.OpenBankKeys(h, "keys", []string{"bitcoin"}, pass); !errors.Is(err, sealed.ErrPermissions) {
		t.Errorf("folder of mode 0755: %v", err)
	}
}

// The words of a recovery give one key for each network, always the same.
func TestRecoveryKeys(t *testing.T) {
	w, err := node.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	one, err := node.RecoveryKeys(w)
	if err != nil {
		t.Fatal(err)
	}
	two, err := node.RecoveryKeys(w)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[script.MemberKey]bool{}
	for i := range one {
		if one[i] != two[i] || seen[one[i].Key] {
			t.Errorf("key for %s", one[i].Network)
		}
		seen[one[i].Key] = true
	}
	if len(one) != len(script.Networks()) {
		t.Errorf("%d keys", len(one))
	}
}
