package mail_test

import (
	"bytes"
	"testing"

	"souk/mail"
)

// O-1: what is read is written the same way.
func FuzzParseEnvelope(f *testing.F) {
	alice, bob := person(f, 1), person(f, 2)
	f.Add(seal(f, 1, alice, bob.Reader(), at(mail.Tag{1}), letter("x")))
	f.Add(seal(f, 1, alice, bob.Reader(), mail.Address{Kind: mail.Hello, Tag: mail.BucketTag(3)}, letter("x")))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := mail.ParseEnvelope(data)
		if err != nil {
			if _, drop := mail.Check(data, now, cheap(), nothingKnown); drop != mail.DropSize && drop != mail.DropForm {
				t.Errorf("dropped for %v", drop)
			}
			return
		}
		if !bytes.Equal(e.Append(nil), data) {
			t.Error("it is encoded otherwise")
		}
		mail.Check(data, now, cheap(), nothingKnown)
		if _, err := mail.Open(bob, &e); err == nil && e.Ephemeral == (mail.PublicKey{}) {
			t.Error("it opens without a key")
		}
	})
}

// O-20
func FuzzParseCard(f *testing.F) {
	f.Add(card(person(f, 1), mail.Tag{1}, mail.Tag{2}).Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := mail.ParseCard(data); err == nil && !bytes.Equal(c.Append(nil), data) {
			t.Error("it is encoded otherwise")
		}
	})
}

// O-20
func FuzzParseCardText(f *testing.F) {
	f.Add(card(person(f, 1), mail.Tag{1}, mail.Tag{2}).String())
	f.Add("soukmail1:\nAQ")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := mail.ParseCardText(text)
		if err != nil {
			return
		}
		if again, err := mail.ParseCardText(c.String()); err != nil || again.String() != c.String() {
			t.Errorf("its text is not read: %v", err)
		}
	})
}

// O-31
func FuzzParseLetter(f *testing.F) {
	l := letter("x")
	l.Card = card(person(f, 1))
	for _, l := range []*mail.Letter{l, letter(""), {Kind: mail.Receipt, Number: 1}} {
		data, err := l.Append(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := mail.ParseLetter(data)
		if err != nil {
			return
		}
		if again, err := l.Append(nil); err != nil || !bytes.Equal(again, data) {
			t.Errorf("it is encoded otherwise: %v", err)
		}
	})
}

// O-30: padding is zeros, to the end.
func FuzzParseInner(f *testing.F) {
	f.Add(append([]byte{0, 3}, make([]byte, 200)...))
	f.Add(append(make([]byte, 200), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, ok := mail.ParseInner(data)
		if !ok {
			return
		}
		if rest := data[130+n:]; !bytes.Equal(rest, make([]byte, len(rest))) {
			t.Error("padding says something")
		}
	})
}
