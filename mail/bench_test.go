package mail_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"souk/mail"
)

// crowded is the table of somebody with a thousand contacts and ten lists.
func crowded(tb testing.TB) *mail.Table {
	tb.Helper()
	table := mail.NewTable()
	alice := person(tb, 1)
	for i := range uint32(1000) {
		p := pair(tb, alice, person(tb, 1000+uint64(i)))
		table.PutPair(i, p, mail.Incoming{Next: 100})
	}
	for i := range uint32(10) {
		list, err := mail.NewList("list " + string('a'+rune(i)))
		if err != nil {
			tb.Fatal(err)
		}
		table.PutList(i, list, now, now)
	}
	return table
}

// foreign makes envelopes for somebody else.
func foreign(tb testing.TB, n int) [][]byte {
	tb.Helper()
	bob, carol := person(tb, 2), person(tb, 3)
	p := pair(tb, bob, carol)
	all := make([][]byte, n)
	for i := range all {
		all[i] = seal(tb, uint64(i), bob, carol.Reader(), at(p.OutTag(uint64(i))), letter("for carol"))
	}
	return all
}

// BenchmarkForeign is what a message costs that is for somebody else, after its stamp
// was checked: by a tag as here, by trial decryption as in Bitmessage for one identity, and
// by trial decryption of a first letter in one's own bucket.
func BenchmarkForeign(b *testing.B) {
	messages := foreign(b, 64)
	b.Run("tag", func(b *testing.B) {
		table := crowded(b)
		envelopes := make([]*mail.Envelope, len(messages))
		for i := range messages {
			envelopes[i] = parse(b, messages[i])
		}
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			if _, ok := table.Look(envelopes[i%len(envelopes)].Tag); ok {
				b.Fatal("a foreign message is taken for mine")
			}
		}
	})
	b.Run("bitmessage", func(b *testing.B) {
		own, err := btcec.NewPrivateKey()
		if err != nil {
			b.Fatal(err)
		}
		sealed := make([][]byte, len(messages))
		for i := range messages {
			sealed[i] = bitmessage(b, messages[i])
		}
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			if tryBitmessage(own, sealed[i%len(sealed)]) {
				b.Fatal("a foreign message is taken for mine")
			}
		}
	})
	b.Run("own bucket", func(b *testing.B) {
		alice := person(b, 1)
		e := parse(b, messages[0])
		for range b.N {
			if _, err := mail.Open(alice, e); err == nil {
				b.Fatal("a foreign message opens")
			}
		}
	})
}

// bitmessage makes what a Bitmessage object of type msg holds, as far as who is not its
// reader looks at it: an initialization vector, the ephemeral key, the encrypted
// text, and an HMAC-SHA256 over them.
func bitmessage(tb testing.TB, text []byte) []byte {
	tb.Helper()
	ephemeral, err := btcec.NewPrivateKey()
	if err != nil {
		tb.Fatal(err)
	}
	reader, err := btcec.NewPrivateKey()
	if err != nil {
		tb.Fatal(err)
	}
	data := append(make([]byte, 16), ephemeral.PubKey().SerializeUncompressed()...)
	data = append(data, text...)
	return append(data, bitmessageMAC(ephemeral, reader.PubKey(), data)...)
}

func bitmessageMAC(own *btcec.PrivateKey, other *btcec.PublicKey, data []byte) []byte {
	secret := btcec.GenerateSharedSecret(own, other)
	keys := sha512.Sum512(secret)
	mac := hmac.New(sha256.New, keys[32:])
	mac.Write(data)
	return mac.Sum(nil)
}

// tryBitmessage is the trial: every identity does it with every object.
func tryBitmessage(own *btcec.PrivateKey, object []byte) bool {
	ephemeral, err := btcec.ParsePubKey(object[16 : 16+65])
	if err != nil {
		return false
	}
	end := len(object) - sha256.Size
	return hmac.Equal(bitmessageMAC(own, ephemeral, object[:end]), object[end:])
}

// BenchmarkCheck is what judging an envelope costs before its tag is looked at.
func BenchmarkCheck(b *testing.B) {
	alice, bob := person(b, 1), person(b, 2)
	for name, body := range map[string]int{"1 KiB": 0, "4 KiB": 2 << 10, "16 KiB": 8 << 10} {
		b.Run(name, func(b *testing.B) {
			data := seal(b, 1, alice, bob.Reader(), at(mail.Tag{1}), letter(string(make([]byte, body))))
			stamp(b, data, cheap())
			b.ReportAllocs()
			for range b.N {
				if _, drop := mail.Check(data, now, cheap(), nothingKnown); drop != mail.Kept {
					b.Fatal(drop)
				}
			}
		})
	}
	b.Run("stamp alone", func(b *testing.B) {
		for i := range b.N {
			mail.Stamped(mail.ID{1}, uint64(i), 0)
		}
	})
}

// BenchmarkOwn is what one's own letter costs, each way.
func BenchmarkOwn(b *testing.B) {
	alice, bob := person(b, 1), person(b, 2)
	b.Run("seal", func(b *testing.B) {
		for i := range b.N {
			seal(b, uint64(i), alice, bob.Reader(), at(mail.Tag{1}), letter("x"))
		}
	})
	b.Run("open", func(b *testing.B) {
		e := parse(b, seal(b, 1, alice, bob.Reader(), at(mail.Tag{1}), letter("x")))
		for range b.N {
			if _, err := mail.Open(bob, e); err != nil {
				b.Fatal(err)
			}
		}
	})
}
