package exchange_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"pgregory.net/rapid"

	"souk/exchange"
	. "souk/exchange/exchangetest"
	"souk/script"
)

// announced puts announcements into a block, each by its member's server, and answers the codes.
func announced(t *testing.T, w *World, member string, bodies ...exchange.Body) (codes []exchange.Code) {
	t.Helper()
	for _, b := range bodies {
		codes = append(codes, w.Block(w.ByServer(member, b)).Receipts[0].Code)
	}
	checked(t, w)
	return codes
}

// TestRecoveryPossession: a contract has a recovery only with proofs that somebody has each of its keys (Y-87).
func TestRecoveryPossession(t *testing.T) {
	holders := func(f *exchange.Founding) {
		SetRecovery(&f.Banks[0], script.Recovery{K: 2, Blocks: 1000}, "vault-1", "vault-2", "vault-3")
	}
	f := BankFounding(4)
	holders(f)
	if _, err := exchange.ParseFounding(f.Append(nil)); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(b *exchange.FoundingBank){
		"one is missing":        func(b *exchange.FoundingBank) { b.Possessions = b.Possessions[:2] },
		"one too many":          func(b *exchange.FoundingBank) { b.Possessions = append(b.Possessions, b.Possessions[0]) },
		"none":                  func(b *exchange.FoundingBank) { b.Possessions = nil },
		"without a recovery":    func(b *exchange.FoundingBank) { b.Recovery = nil },
		"in another order":      func(b *exchange.FoundingBank) { slices.Reverse(b.Possessions) },
		"a key that nobody has": func(b *exchange.FoundingBank) { b.Recovery.Keys[1].Key = MemberKey("x").Public().Key },
		"a member's proof":      func(b *exchange.FoundingBank) { b.Possessions[0] = BankCard("vault-1").Banks[0].Possession },
		"for another network": func(b *exchange.FoundingBank) {
			p, err := MemberKey("vault-1").Possess(exchange.RecoveryClaim("litecoin"))
			if err != nil {
				t.Fatal(err)
			}
			b.Possessions[0] = p
		},
	} {
		f := BankFounding(4)
		holders(f)
		spoil(&f.Banks[0])
		if err := f.Check(); !errors.Is(err, exchange.ErrFounding) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnnounceOthers: a key is taken from the member who has it, for this virtual server and network, and from nobody else (Y-87).
func TestAnnounceOthers(t *testing.T) {
	w, _ := bankWorld(t)
	next := MemberKey("server-1/2")
	honest := w.Announce("server-1", next)
	// Mallory, the second member, announces the key that the first one is about to
	// announce, and a key made out of it, with every proof that he can come by.
	id, _ := w.State.Roster().ByServer(Key("server-2/server").Public())
	his, ok := w.State.Claim(id, BankNetwork)
	if !ok || his.Operator != Address("server-2") || his.VirtualServer != w.State.ID() {
		t.Fatalf("claim %+v", his)
	}
	prove := func(key script.PrivateMemberKey, change func(*script.Claim)) script.Possession {
		c := his
		change(&c)
		p, err := key.Possess(c)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	public := next.Public()
	child, err := public.Child(0)
	if err != nil {
		t.Fatal(err)
	}
	same, own := func(*script.Claim) {}, MemberKey("server-2/2")
	bodies := []exchange.Body{
		honest,
		&exchange.AnnounceKey{Bank: Bank, Key: public},
		&exchange.AnnounceKey{Bank: Bank, Key: public, Possession: prove(own, same)},
		&exchange.AnnounceKey{Bank: Bank, Key: child, Possession: honest.Possession},
		&exchange.AnnounceKey{Bank: Bank, Key: script.MemberKey{Key: public.Key}, Possession: honest.Possession},
		// His own key, with proofs for something else.
		&exchange.AnnounceKey{Bank: Bank, Key: own.Public(), Possession: prove(own, func(c *script.Claim) { c.VirtualServer[0] ^= 1 })},
		&exchange.AnnounceKey{Bank: Bank, Key: own.Public(), Possession: prove(own, func(c *script.Claim) { c.VirtualServer = exchange.ID{} })},
		&exchange.AnnounceKey{Bank: Bank, Key: own.Public(), Possession: prove(own, func(c *script.Claim) { c.Network = "bitcoin" })},
		&exchange.AnnounceKey{Bank: Bank, Key: own.Public(), Possession: prove(own, func(c *script.Claim) { c.Operator = Address("server-1") })},
		&exchange.AnnounceKey{Bank: Bank, Key: own.Public(), Possession: prove(own, func(c *script.Claim) { c.Server = Key("server-1/server").Public() })},
		// What is on his card is for the card.
		&exchange.AnnounceKey{Bank: Bank, Key: MemberKey("server-2").Public(), Possession: BankCard("server-2").Banks[0].Possession},
	}
	for i, code := range announced(t, w, "server-2", bodies...) {
		if code != exchange.BadPossession {
			t.Errorf("%d: %s", i, code)
		}
	}
	if got := announced(t, w, "server-2", &exchange.AnnounceKey{Bank: 2, Key: public}, &exchange.AnnounceKey{Bank: Bank, Key: script.MemberKey{}}); !slices.Equal(got, []exchange.Code{exchange.UnknownBank, exchange.BadKey}) {
		t.Errorf("no such bank, no key: %v", got)
	}
	// So the first member's announcement is not taken for a copy.
	if got := announced(t, w, "server-1", honest); got[0] != exchange.OK {
		t.Errorf("the holder: %s", got[0])
	}
	if got := announced(t, w, "server-1", honest); got[0] != exchange.BadKey {
		t.Errorf("again: %s", got[0])
	}
	if got := announced(t, w, "server-2", w.Announce("server-2", next), w.Announce("server-2", own)); !slices.Equal(got, []exchange.Code{exchange.BadKey, exchange.OK}) {
		t.Errorf("a key that is in use, his own: %v", got)
	}
}

// TestAnnounceBits: no bit of an announcement can be changed, and no byte left out or added (Y-87, B-10).
func TestAnnounceBits(t *testing.T) {
	w, _ := bankWorld(t)
	honest := w.Announce("server-1", MemberKey("server-1/2"))
	data := honest.Append(nil)
	rapid.Check(t, func(rt *rapid.T) {
		bit := rapid.IntRange(32, 8*len(data)-1).Draw(rt, "bit") // behind the number of the bank
		bad := bytes.Clone(data)
		bad[bit/8] ^= 1 << (bit % 8)
		body, ok := exchange.ParseBody(exchange.KindAnnounceKey, bad)
		if !ok {
			rt.Fatal("not read")
		}
		if code := announced(t, w, "server-1", body)[0]; code != exchange.BadPossession && code != exchange.BadKey {
			rt.Fatalf("bit %d: %s", bit, code)
		}
	})
	for n := range data {
		if _, ok := exchange.ParseBody(exchange.KindAnnounceKey, data[:n]); ok {
			t.Errorf("read with %d of %d bytes", n, len(data))
		}
	}
	if _, ok := exchange.ParseBody(exchange.KindAnnounceKey, append(data[:len(data):len(data)], 0)); ok {
		t.Error("read with a byte too many")
	}
	high := *honest
	var s btcec.ModNScalar
	s.SetByteSlice(high.Possession[32:])
	s.Negate().PutBytesUnchecked(high.Possession[32:])
	if got := announced(t, w, "server-1", &high, honest); !slices.Equal(got, []exchange.Code{exchange.BadPossession, exchange.OK}) {
		t.Errorf("high S, low S: %v", got)
	}
}

// TestCardPossession: a card, and so a contract, has keys only with the proof that they are its member's (Y-87).
func TestCardPossession(t *testing.T) {
	victim := BankCard("server-1")
	for name, spoil := range map[string]func(c *exchange.Card){
		"another's key and proof": func(c *exchange.Card) { c.Banks = slices.Clone(victim.Banks) },
		"another's key":           func(c *exchange.Card) { c.Banks[0].Key = victim.Banks[0].Key },
		"another's proof":         func(c *exchange.Card) { c.Banks[0].Possession = victim.Banks[0].Possession },
		"no proof":                func(c *exchange.Card) { c.Banks[0].Possession = script.Possession{} },
		"another network":         func(c *exchange.Card) { c.Banks[0].Network = "bitcoin" },
		"another server key":      func(c *exchange.Card) { c.Server = Key("server-2/another").Public() },
		"a proof for a virtual server": func(c *exchange.Card) {
			p, err := MemberKey("server-2").Possess(script.Claim{VirtualServer: exchange.ID{1}, Network: BankNetwork, Operator: Address("server-2"), Server: c.Server})
			if err != nil {
				t.Fatal(err)
			}
			c.Banks[0].Possession = p
		},
		"high S": func(c *exchange.Card) {
			var s btcec.ModNScalar
			s.SetByteSlice(c.Banks[0].Possession[32:])
			s.Negate().PutBytesUnchecked(c.Banks[0].Possession[32:])
		},
	} {
		c := BankCard("server-2")
		spoil(&c)
		c.Sign(Key("server-2")) // whoever makes it signs it
		if _, err := exchange.ParseCardText(c.String()); !errors.Is(err, exchange.ErrCard) || !errors.Is(err, script.ErrPossession) {
			t.Errorf("card with %s: %v", name, err)
		}
		f := BankFounding(4)
		f.Members[slices.IndexFunc(f.Members, func(m exchange.Card) bool { return m.Name == "server-2" })] = c
		if _, err := exchange.ParseFounding(f.Append(nil)); !errors.Is(err, exchange.ErrFounding) || !errors.Is(err, script.ErrPossession) {
			t.Errorf("contract of a card with %s: %v", name, err)
		}
	}
	// The operator's signature alone does not make it another member's either.
	c := BankCard("server-1")
	c.Name = "mallory"
	c.Sign(Key("mallory"))
	if err := c.Check(); !errors.Is(err, script.ErrPossession) {
		t.Errorf("a card signed by another operator: %v", err)
	}
	// A key without a proof behind it, as cards had them, is read as nothing.
	data := victim.Append(nil)
	short := append(data[:len(data)-64-64:len(data)-64-64], data[len(data)-64:]...)
	if _, err := exchange.ParseCard(short); !errors.Is(err, exchange.ErrEncoding) {
		t.Errorf("without the bytes of a proof: %v", err)
	}
}
