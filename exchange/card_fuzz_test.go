package exchange_test

import (
	"bytes"
	"strings"
	"testing"

	"souk/exchange"
	. "souk/exchange/exchangetest"
)

// FuzzParseCard reads member cards, as bytes and as their text (Y-85). What is taken
// has one encoding, and one text but for white space around it.
func FuzzParseCard(f *testing.F) {
	plain := Founding(1).Members[0]
	banks := BankCard("server-1")
	for _, c := range []*exchange.Card{&plain, &banks} {
		f.Add(c.Append(nil))
		f.Add([]byte(c.String()))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := exchange.ParseCard(data); err == nil {
			if !bytes.Equal(c.Append(nil), data) {
				t.Fatal("another encoding of the same card")
			}
			if back, err := exchange.ParseCardText(c.String()); err != nil || !bytes.Equal(back.Append(nil), data) {
				t.Fatalf("its text: %v", err)
			}
		}
		if c, err := exchange.ParseCardText(string(data)); err == nil && c.String() != strings.TrimSpace(string(data)) {
			t.Fatal("another text of the same card")
		}
	})
}
