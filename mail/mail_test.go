package mail_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"souk/identity"
	"souk/mail"
)

// cheap is a price at which tests do not wait for stamps.
func cheap() mail.Price { return mail.Price{PerByte: 1, Extra: 0, Hello: 16} }

const now mail.Hour = 472_222 // in November 2023

// source is randomness by seed.
func source(seed uint64) *rand.ChaCha8 {
	var s [32]byte
	binary.BigEndian.PutUint64(s[:], seed)
	return rand.NewChaCha8(s)
}

// person makes somebody who writes and reads.
func person(tb testing.TB, seed uint64) *mail.Writer {
	tb.Helper()
	random := source(seed)
	id, err := identity.GenerateKey(random)
	if err != nil {
		tb.Fatal(err)
	}
	key, err := mail.GenerateKey(random)
	if err != nil {
		tb.Fatal(err)
	}
	return &mail.Writer{Identity: id, Key: key}
}

func card(w *mail.Writer, tags ...mail.Tag) *mail.Card {
	c := &mail.Card{Key: w.Key.Public(), Shards: []uint8{3, 9}, Bucket: 200, Tags: tags, Made: now.Milliseconds(), Until: now + 9000}
	mail.SortTags(c.Tags)
	mail.SignCard(c, w.Identity)
	return c
}

func letter(body string) *mail.Letter {
	return &mail.Letter{
		Kind: mail.Written, ID: mail.LetterID{1, 2, 3}, Number: 7, Sent: now.Milliseconds() + 5,
		Subject: "about the coins", Body: []byte(body),
	}
}

func at(tag mail.Tag) mail.Address { return mail.Address{Kind: mail.Tagged, Shard: 3, Tag: tag} }

func seal(tb testing.TB, seed uint64, from *mail.Writer, to mail.Reader, a mail.Address, l *mail.Letter) []byte {
	tb.Helper()
	data, err := mail.Seal(source(seed), from, to, a, now+50, l)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func parse(tb testing.TB, data []byte) *mail.Envelope {
	tb.Helper()
	e, err := mail.ParseEnvelope(data)
	if err != nil {
		tb.Fatal(err)
	}
	return &e
}

// stamp puts a stamp on an envelope, as of now.
func stamp(tb testing.TB, data []byte, p mail.Price) {
	tb.Helper()
	e := parse(tb, data)
	s, ok := mail.Mint(mail.IDOf(data), mail.Target(p.Work(len(data), e.Expiry-now, e.Kind)), 0, 1<<30)
	if !ok {
		tb.Fatal("no stamp found")
	}
	mail.PutStamp(data, s)
}

func nothingKnown(mail.Hour, mail.Tag, mail.ID) bool { return false }

// O-1, O-2: three sizes, one encoding.
func TestEnvelope(t *testing.T) {
	alice, bob := person(t, 1), person(t, 2)
	for _, c := range []struct{ body, size int }{
		{0, 1 << 10}, {500, 1 << 10}, {1 << 10, 4 << 10}, {3 << 10, 4 << 10}, {4 << 10, 16 << 10}, {15 << 10, 16 << 10},
	} {
		data := seal(t, 3, alice, bob.Reader(), at(mail.Tag{9}), letter(string(make([]byte, c.body))))
		if len(data) != c.size {
			t.Errorf("a body of %d bytes makes %d bytes, not %d", c.body, len(data), c.size)
		}
		e := parse(t, data)
		if !bytes.Equal(e.Append(nil), data) {
			t.Error("it is encoded otherwise")
		}
		for _, wrong := range [][]byte{nil, data[:len(data)-1], append(bytes.Clone(data), 0), change(data, 0), change(data, 1), put(data, 2, mail.Shards)} {
			if _, err := mail.ParseEnvelope(wrong); !errors.Is(err, mail.ErrForm) {
				t.Errorf("%d bytes: %v", len(wrong), err)
			}
		}
	}
	// The longest body fills the largest size to the last byte.
	l := letter("")
	text, err := l.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	l.Body = make([]byte, mail.SizeLarge-mail.Overhead-len(text))
	if data := seal(t, 3, alice, bob.Reader(), at(mail.Tag{9}), l); len(data) != mail.SizeLarge {
		t.Errorf("%d bytes", len(data))
	} else if o, err := mail.Open(bob, parse(t, data)); err != nil || len(o.Letter.Body) != len(l.Body) {
		t.Errorf("the longest letter: %v", err)
	}
	l.Body = append(l.Body, 0)
	if _, err := mail.Seal(source(3), alice, bob.Reader(), at(mail.Tag{9}), now+50, l); !errors.Is(err, mail.ErrTooLong) {
		t.Errorf("a byte more: %v", err)
	}
	// A Hello has a bucket and nothing else.
	hello := seal(t, 3, alice, bob.Reader(), mail.Address{Kind: mail.Hello, Tag: mail.BucketTag(77)}, letter(""))
	if e := parse(t, hello); e.Bucket() != 77 {
		t.Errorf("bucket %d", e.Bucket())
	}
	if _, err := mail.ParseEnvelope(put(hello, 4, 1)); !errors.Is(err, mail.ErrForm) {
		t.Errorf("a bucket with more: %v", err)
	}
}

func put(data []byte, i int, b byte) []byte {
	c := bytes.Clone(data)
	c[i] = b
	return c
}

func change(data []byte, i int) []byte { return put(data, i, data[i]^0x80) }

// O-20: cards are signed and have one encoding; their text survives being copied.
func TestCard(t *testing.T) {
	alice := person(t, 1)
	c := card(alice, mail.Tag{5}, mail.Tag{1}, mail.Tag{2})
	text := c.String()
	for _, copied := range []string{text, " " + text + "\r\n", text[:40] + "\n" + text[40:90] + "\r\n\t" + text[90:]} {
		got, err := mail.ParseCardText(copied)
		if err != nil || got.String() != text {
			t.Fatalf("%q: %v", copied, err)
		}
	}
	data := c.Append(nil)
	for i := range data {
		if got, err := mail.ParseCard(change(data, i)); err == nil {
			t.Fatalf("byte %d changed, and it is a card of %v", i, got.Identity)
		}
	}
	for n := range data {
		if _, err := mail.ParseCard(data[:n]); err == nil {
			t.Fatalf("%d bytes are a card", n)
		}
	}
	for name, wrong := range map[string]func(*mail.Card){
		"no shard":                func(c *mail.Card) { c.Shards = nil },
		"shards out of order":     func(c *mail.Card) { c.Shards = []uint8{3, 2} },
		"a shard twice":           func(c *mail.Card) { c.Shards = []uint8{3, 3} },
		"no such shard":           func(c *mail.Card) { c.Shards = []uint8{mail.Shards} },
		"too many shards":         func(c *mail.Card) { c.Shards = []uint8{1, 2, 3, 4, 5} },
		"tags out of order":       func(c *mail.Card) { c.Tags = []mail.Tag{{2}, {1}} },
		"too many tags":           func(c *mail.Card) { c.Tags = make([]mail.Tag, mail.MaxTags+1) },
		"a key of small order":    func(c *mail.Card) { c.Key = mail.PublicKey{1} },
		"a key written otherwise": func(c *mail.Card) { c.Key[31] |= 0x80 },
	} {
		c := card(alice)
		wrong(c)
		mail.SignCard(c, alice.Identity)
		if _, err := mail.ParseCard(c.Append(nil)); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	for _, wrong := range []string{"", "soukmail1:", text[1:], text + "A", text + "=", string(make([]byte, 5000))} {
		if _, err := mail.ParseCardText(wrong); err == nil {
			t.Errorf("%q is a card", wrong)
		}
	}
}

// O-30 to O-33: what is sealed is read by its reader, as it was, and by nobody else; any
// change is noticed.
func TestSeal(t *testing.T) {
	alice, bob, carol := person(t, 1), person(t, 2), person(t, 3)
	l := letter("words")
	l.Card = card(alice, mail.Tag{4})
	data := seal(t, 9, alice, bob.Reader(), at(mail.Tag{8}), l)
	o, err := mail.Open(bob, parse(t, data))
	if err != nil {
		t.Fatal(err)
	}
	if o.From != alice.Reader() || string(o.Letter.Body) != "words" || o.Letter.Subject != l.Subject || o.Letter.Number != 7 ||
		o.Letter.Card.String() != l.Card.String() {
		t.Errorf("read %+v", o.Letter)
	}
	for name, w := range map[string]*mail.Writer{
		"somebody else": carol, "the writer": alice, "the reader's key and another identity": {Identity: carol.Identity, Key: bob.Key},
		"the reader's identity and another key": {Identity: bob.Identity, Key: carol.Key},
	} {
		if _, err := mail.Open(w, parse(t, data)); err == nil {
			t.Errorf("%s reads it", name)
		}
	}
	for i := 2; i < len(data)-8; i++ { // version and kind are judged before; the stamp is not sealed
		e, err := mail.ParseEnvelope(change(data, i))
		if err != nil {
			continue
		}
		if _, err := mail.Open(bob, &e); err == nil {
			t.Fatalf("byte %d changed, and it opens", i)
		}
	}
}

// O-32: neither words nor keys nor names of either side stand in an envelope, and two
// envelopes of one letter have nothing in common but what is public.
func TestEnvelopeShowsNobody(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		alice, bob := person(t, rapid.Uint64().Draw(rt, "alice")), person(t, rapid.Uint64().Draw(rt, "bob")^1<<63)
		l := letter("A sentence that would be recognised if it stood there.")
		l.Card = card(alice)
		seed := rapid.Uint64().Draw(rt, "seed")
		first := seal(t, seed, alice, bob.Reader(), at(mail.Tag{8}), l)
		second := seal(t, seed+1, alice, bob.Reader(), at(mail.Tag{8}), l)
		a, b := alice.Reader(), bob.Reader()
		for _, secret := range [][]byte{
			a.Identity[:], a.Key[:], b.Identity[:], b.Key[:], l.ID[:], l.Body[:16], []byte(l.Subject), l.Card.Append(nil)[:32],
		} {
			if bytes.Contains(first, secret) {
				rt.Fatalf("the envelope shows %x", secret)
			}
		}
		e, f := parse(t, first), parse(t, second)
		for i := 0; i+8 <= len(e.Sealed); i++ {
			if bytes.Equal(e.Sealed[i:i+8], f.Sealed[i:i+8]) {
				rt.Fatalf("two envelopes are alike from %d on", i)
			}
		}
		if e.Ephemeral == f.Ephemeral {
			rt.Fatal("a key is used twice")
		}
	})
}

// O-33: a letter cannot be handed on by its reader as if it had been written to another.
func TestSealIsForOneReader(t *testing.T) {
	alice, carol := person(t, 1), person(t, 3)
	// Mallory's card has Carol's key: what Alice writes to Mallory, Carol can open, and sees
	// that it was not for her.
	mallory := mail.Reader{Identity: person(t, 4).Identity.Public(), Key: carol.Key.Public()}
	data := seal(t, 9, alice, mallory, at(mail.Tag{8}), letter("to mallory"))
	if _, err := mail.Open(carol, parse(t, data)); !errors.Is(err, mail.ErrSignature) {
		t.Errorf("carol reads what is for mallory: %v", err)
	}
}

// O-40 to O-42: posts are read by all who form the same name, and nobody else.
func TestList(t *testing.T) {
	alice := person(t, 1)
	name := mail.MarketList("BTC", [32]byte{2}, [32]byte{1})
	if name != mail.MarketList("BTC", [32]byte{1}, [32]byte{2}) {
		t.Error("the order of servers matters")
	}
	list, err := mail.NewList(name)
	if err != nil {
		t.Fatal(err)
	}
	data, err := list.Post(source(1), alice, now+40, letter("who has coins there?"))
	if err != nil {
		t.Fatal(err)
	}
	e := parse(t, data)
	same, err := mail.NewList(name)
	if err != nil {
		t.Fatal(err)
	}
	o, err := same.Open(e)
	if err != nil || o.From != alice.Reader() || string(o.Letter.Body) != "who has coins there?" {
		t.Errorf("a reader: %v", err)
	}
	if e.Tag != same.Tag(now+40) || e.Tag == same.Tag(now+41) || e.Shard != same.Shard() {
		t.Error("it is not where readers look")
	}
	other, err := mail.NewList(name + "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(e); !errors.Is(err, mail.ErrUnreadable) {
		t.Errorf("another list: %v", err)
	}
	if _, err := mail.Open(alice, e); !errors.Is(err, mail.ErrUnreadable) {
		t.Errorf("its writer's own key: %v", err)
	}
	for _, wrong := range []string{"", string(make([]byte, mail.MaxList+1))} {
		if _, err := mail.NewList(wrong); !errors.Is(err, mail.ErrTooLong) {
			t.Errorf("a name of %d bytes: %v", len(wrong), err)
		}
	}
}
