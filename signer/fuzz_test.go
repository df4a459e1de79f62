package signer_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	. "souk/exchange/exchangetest"
	"souk/signer"
)

// A journal has one form, and nothing else is taken (W-14).
func FuzzJournal(f *testing.F) {
	f.Add(append([]byte("souk/signer/journal/1\n"), make([]byte, 12)...))
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		data := append(bytes.Clone(body), sum[:]...)
		if again, err := signer.Reread(data); err == nil && !bytes.Equal(again, data) {
			t.Errorf("%x is read as %x", data, again)
		}
	})
}

// What is written is read back.
func TestJournalForm(t *testing.T) {
	w := newWorld(t)
	w.deposit(3 * Coin)
	w.signed(w.batch(w.withdraw(5e7)), 1)
	data, err := os.ReadFile(filepath.Join(w.dir, "bank-1"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := signer.Reread(data); err != nil || !bytes.Equal(again, data) {
		t.Errorf("%x is read as %x, %v", data, again, err)
	}
}
