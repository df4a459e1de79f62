package script_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"souk/script"
)

// vectors reads a file of vectors.
func vectors(tb testing.TB, name string, into any) {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// network returns a network of the table.
func network(tb testing.TB, name string) *script.Network {
	tb.Helper()
	n, ok := script.ByName(name)
	if !ok {
		tb.Fatalf("no network %q", name)
	}
	return n
}

// people read the last byte first.
func TestHashText(t *testing.T) {
	const text = "729f203c530ee58660dafbb931b889e9642048ba315c8c20078481371c8d076c"
	h, err := script.ParseHash(text)
	if err != nil {
		t.Fatal(err)
	}
	if h[0] != 0x6c || h[31] != 0x72 || h.String() != text || h.IsZero() || !(script.Hash{}).IsZero() {
		t.Errorf("hash %x as text is %s", h[:], h)
	}
	o, err := script.ParseOutpoint(text + ":7")
	if err != nil || o != (script.Outpoint{Tx: h, Index: 7}) || o.String() != text+":7" {
		t.Errorf("outpoint %v, error %v", o, err)
	}
	type record struct {
		Tx script.Hash
		At script.Outpoint
	}
	b, err := json.Marshal(record{h, o})
	if err != nil {
		t.Fatal(err)
	}
	var back record
	if err := json.Unmarshal(b, &back); err != nil || back != (record{h, o}) {
		t.Errorf("%s came back as %v, error %v", b, back, err)
	}
	for _, s := range []string{"", text[1:], text + "0", "X" + text[1:], "A" + text[1:]} {
		if _, err := script.ParseHash(s); !errors.Is(err, script.ErrSyntax) {
			t.Errorf("hash %q: %v", s, err)
		}
	}
	for _, s := range []string{text, text + ":", text + ":01", text + ":-1", text + ":+1", text + ":4294967296", "a:1"} {
		if _, err := script.ParseOutpoint(s); !errors.Is(err, script.ErrSyntax) {
			t.Errorf("outpoint %q: %v", s, err)
		}
	}
}
