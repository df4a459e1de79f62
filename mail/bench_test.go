package mail_test

import (
	"testing"

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
// was checked: by its tag, and by trial decryption of a first letter in one's own bucket.
// internal/bench compares it with Bitmessage's.
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
