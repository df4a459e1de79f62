package api_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"souk/api"
	"souk/exchange"
	"souk/identity"
)

// Other programs make the same tokens (H-21).
func TestReadVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/read.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Seed, Server, Address, Method, Target, Token string
		Time                                         uint64
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) == 0 {
		t.Fatal("no vectors")
	}
	for i, v := range vectors {
		var seed [32]byte
		var id exchange.ID
		if _, err := hex.Decode(seed[:], []byte(v.Seed)); err != nil {
			t.Fatal(err)
		}
		if _, err := hex.Decode(id[:], []byte(v.Server)); err != nil {
			t.Fatal(err)
		}
		address, err := identity.ParseAddress(v.Address)
		if err != nil {
			t.Fatal(err)
		}
		token := api.SignRead(id, address, identity.NewKey(seed), v.Time, v.Method, v.Target)
		if token.String() != v.Token {
			t.Errorf("vector %d: %s", i, token.String())
		}
		back, err := api.ParseReadToken(v.Token)
		if err != nil || !back.Verify(id, v.Method, v.Target) {
			t.Errorf("vector %d does not verify: %v", i, err)
		}
	}
}
