package exchange_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"souk/exchange"
	. "souk/exchange/exchangetest"
	"souk/script"
)

// foundingVector is a card or a founding contract as other implementations need it.
type foundingVector struct {
	Name     string `json:"name"`
	Card     string `json:"card,omitempty"`     // as its member hands it out
	Founding string `json:"founding,omitempty"` // encoding
	ID       string `json:"id,omitempty"`       // of the contract: the virtual server's
}

// TestFoundingVectors pins cards and contracts, without banks as they always were, and
// with banks (Y-85).
func TestFoundingVectors(t *testing.T) {
	const path = "../docs/spec/vectors/foundings.json"
	recovery := BankFounding(4)
	SetRecovery(&recovery.Banks[0], script.Recovery{K: 2, Intervals: script.RecoveryIntervals}, "vault-1", "vault-2", "vault-3")
	many := BankCard("server-1")
	litecoin, err := exchange.ProveBankKey(many.Claim("litecoin-regtest"), MemberKey("server-1/litecoin"))
	if err != nil {
		t.Fatal(err)
	}
	many.Banks = append(many.Banks, litecoin)
	many.Sign(Key("server-1"))
	plain, bank := Card("server-1"), BankCard("server-1")
	got := []foundingVector{
		{Name: "card", Card: plain.String()},
		{Name: "card with a key for a bank", Card: bank.String()},
		{Name: "card with keys for two banks", Card: many.String()},
	}
	for _, f := range []struct {
		name string
		*exchange.Founding
	}{
		{"contract", Founding(4)},
		{"contract with a bank", BankFounding(4)},
		{"contract with a bank of one member", BankFounding(1)},
		{"contract with a bank that has a recovery", recovery},
	} {
		if err := f.Check(); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		id := f.ID()
		got = append(got, foundingVector{Name: f.name, Founding: hex.EncodeToString(f.Append(nil)), ID: hex.EncodeToString(id[:])})
	}
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, text) {
		t.Errorf("cards or contracts are not those of %s; run with -update if the protocol has a new version", path)
	}
	// And they are read back as they are.
	for _, v := range got {
		if v.Card != "" {
			if c, err := exchange.ParseCardText(v.Card); err != nil || c.String() != v.Card {
				t.Errorf("%s: %v", v.Name, err)
			}
			continue
		}
		data, err := hex.DecodeString(v.Founding)
		if err != nil {
			t.Fatal(err)
		}
		if f, err := exchange.ParseFounding(data); err != nil || !bytes.Equal(f.Append(nil), data) {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}
