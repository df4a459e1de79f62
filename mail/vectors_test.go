package mail_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"souk/mail"
)

var update = flag.Bool("update", false, "write the vectors anew")

type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

// vectors is what other implementations make the same of the same.
type vectors struct {
	Note     string
	Identity map[string]hexBytes // Ed25519 seeds
	Keys     map[string]hexBytes // X25519 seeds
	Card     string              // alice's
	Tags     []tagVector
	Lists    []listVector
	Stamps   []stampVector
	Letter   envelopeVector
	Hello    envelopeVector
	Post     envelopeVector
}

type tagVector struct {
	From, To string
	Number   uint64
	Letter   hexBytes // tag of from's letter to to
	Receipt  hexBytes // tag of to's receipt for it
}

type listVector struct {
	Name   string
	Shard  uint8
	Expiry uint32
	Tag    hexBytes
}

type stampVector struct {
	Size, Left, Kind int
	Work, Target     uint64
}

type envelopeVector struct {
	From, To  string
	Ephemeral hexBytes // X25519 seed
	Letter    hexBytes
	Envelope  hexBytes // without a stamp: zeros
	ID        hexBytes
}

// O-50: nothing that goes over the network or is shown to people changes unnoticed.
func TestVectors(t *testing.T) {
	got, err := json.MarshalIndent(makeVectors(t), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("..", "docs", "spec", "vectors", "mail.json")
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("mail is not that of %s; that breaks everybody's; if it is meant, go test -update", path)
	}
}

func makeVectors(t *testing.T) vectors {
	alice, bob := person(t, 1), person(t, 2)
	v := vectors{Note: "docs/spec/24-mail.md, O-50", Identity: map[string]hexBytes{}, Keys: map[string]hexBytes{}}
	people := map[string]*mail.Writer{"alice": alice, "bob": bob}
	for name, w := range people {
		identity, key := w.Identity.Seed(), w.Key.Seed()
		v.Identity[name], v.Keys[name] = identity[:], key[:]
	}
	v.Card = card(alice, mail.Tag{1, 2, 3}, mail.Tag{0xff}).String()
	for _, c := range []struct {
		from, to string
		n        uint64
	}{{"alice", "bob", 0}, {"alice", "bob", 1}, {"bob", "alice", 1}, {"bob", "alice", 1 << 40}} {
		p := pair(t, people[c.from], people[c.to])
		letter, receipt := p.OutTag(c.n), p.InReceipt(c.n)
		v.Tags = append(v.Tags, tagVector{c.from, c.to, c.n, letter[:], receipt[:]})
	}
	name := mail.MarketList("BTC", [32]byte{1}, [32]byte{2})
	list, err := mail.NewList(name)
	if err != nil {
		t.Fatal(err)
	}
	tag := list.Tag(now)
	v.Lists = []listVector{{name, list.Shard(), uint32(now), tag[:]}}
	for _, c := range []struct {
		size int
		left mail.Hour
		kind mail.Kind
	}{{mail.SizeSmall, 60, mail.Tagged}, {mail.SizeSmall, 60, mail.Hello}, {mail.SizeLarge, 1, mail.Tagged}} {
		work := mail.DefaultPrice().Work(c.size, c.left, c.kind)
		v.Stamps = append(v.Stamps, stampVector{c.size, int(c.left), int(c.kind), work, mail.Target(work)})
	}
	first := letter("hello, bob")
	first.Card = card(alice)
	seedOf := func() hexBytes { s := [32]byte{}; _, _ = source(7).Read(s[:]); return s[:] }
	for _, c := range []struct {
		into *envelopeVector
		data []byte
		l    *mail.Letter
		to   string
	}{
		{&v.Letter, seal(t, 7, alice, bob.Reader(), at(pair(t, alice, bob).OutTag(7)), letter("hello again")), letter("hello again"), "bob"},
		{&v.Hello, seal(t, 7, alice, bob.Reader(), mail.Address{Kind: mail.Hello, Shard: 2, Tag: mail.BucketTag(200)}, first), first, "bob"},
		{&v.Post, post(t, list, alice, letter("hello, all")), letter("hello, all"), name},
	} {
		text, err := c.l.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		id := mail.IDOf(c.data)
		*c.into = envelopeVector{"alice", c.to, seedOf(), text, c.data, id[:]}
	}
	return v
}

func post(t *testing.T, list *mail.List, from *mail.Writer, l *mail.Letter) []byte {
	t.Helper()
	data, err := list.Post(source(7), from, now+50, l)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
