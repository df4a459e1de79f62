package terms_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"souk/asset"
	"souk/identity"
	"souk/peernet/terms"
)

func key(name string) identity.PrivateKey { return identity.NewKey(sha256.Sum256([]byte(name))) }

func account(server byte, a asset.ID, use terms.Use) terms.Entry {
	return terms.Entry{Kind: terms.Account, Use: use, Server: [32]byte{server}, Asset: a, Min: 1, Max: 2}
}

func method(name, currency string, use terms.Use) terms.Entry {
	return terms.Entry{Kind: terms.Method, Use: use, Name: name, Currency: currency, Min: 1, Max: 1}
}

func signed(t testing.TB, name string, entries ...terms.Entry) *terms.Terms {
	t.Helper()
	x := &terms.Terms{Made: 1_000_000, Until: 2_000_000, Entries: entries}
	if err := x.Sign(key(name)); err != nil {
		t.Fatal(err)
	}
	return x
}

// U-40, U-41: terms hold when they are signed, of this time and well-formed.
func TestTermsHold(t *testing.T) {
	good := func() *terms.Terms {
		return signed(t, "alice", account(1, 7, terms.Both), method("SEPA", "EUR", terms.Takes))
	}
	if err := good().Check(1_500_000); err != nil {
		t.Fatal(err)
	}
	if err := good().Check(800_000); err != nil {
		t.Errorf("a clock that is ahead: %v", err)
	}
	for name, change := range map[string]func(x *terms.Terms){
		"of another":        func(x *terms.Terms) { x.Peer = key("bob").Public() },
		"with other words":  func(x *terms.Terms) { x.Entries[0].Asset++ },
		"expired":           func(x *terms.Terms) { x.Made, x.Until = 1, 2 },
		"of the future":     func(x *terms.Terms) { x.Made, x.Until = 9_000_000, 9_000_001 },
		"for too long":      func(x *terms.Terms) { x.Until = x.Made + terms.MaxAge + 1 },
		"the same twice":    func(x *terms.Terms) { x.Entries = append(x.Entries, x.Entries[1]) },
		"of no use":         func(x *terms.Terms) { x.Entries[0].Use = 0 },
		"of a use too many": func(x *terms.Terms) { x.Entries[0].Use = 4 },
		"without versions":  func(x *terms.Terms) { x.Entries[0].Min = 0 },
		"versions reversed": func(x *terms.Terms) { x.Entries[0].Min = 3 },
		"of no server":      func(x *terms.Terms) { x.Entries[0].Server = [32]byte{} },
		"of no kind":        func(x *terms.Terms) { x.Entries[0].Kind = 0 },
		"in small letters":  func(x *terms.Terms) { x.Entries[1].Name = "sepa" },
		"with a long name":  func(x *terms.Terms) { x.Entries[1].Name = "SEVENTEEN-LETTERS" },
		"without currency":  func(x *terms.Terms) { x.Entries[1].Currency = "" },
		"a method's asset":  func(x *terms.Terms) { x.Entries[1].Asset = 1 },
		"too many":          func(x *terms.Terms) { x.Entries = make([]terms.Entry, 257) },
	} {
		x := good()
		change(x)
		if err := x.Check(1_500_000); !errors.Is(err, terms.ErrTerms) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (&terms.Terms{}).Sign(key("alice")); !errors.Is(err, terms.ErrTerms) {
		t.Errorf("signing what never holds: %v", err)
	}
}

// U-43, U-44: who wants what, and what comes of it.
func TestWays(t *testing.T) {
	alice := signed(t, "alice",
		method("SEPA", "EUR", terms.Both), account(1, 7, terms.Both), account(1, 8, terms.Both), method("BITCOIN", "BTC", terms.Takes))
	newer := account(1, 8, terms.Both)
	newer.Min, newer.Max = 2, 5
	bob := signed(t, "bob",
		newer, method("BITCOIN", "BTC", terms.Both), account(1, 9, terms.Takes), account(2, 7, terms.Both), method("SEPA", "EUR", terms.Takes), method("SEPA", "USD", terms.Both))
	type brief struct {
		Step       terms.Step
		Give, Take asset.ID
		Name       string
		Version    uint16
	}
	tell := func(ways []terms.Way) (out []brief) {
		for _, w := range ways {
			out = append(out, brief{w.Step, w.Give.Asset, w.Take.Asset, w.Take.Name, w.Version})
		}
		return out
	}
	if diff := cmp.Diff([]brief{
		{terms.Transfer, 8, 8, "", 2},
		{terms.Outside, 0, 0, "SEPA", 1},
		{terms.Convert, 7, 8, "", 2},
		{terms.Convert, 7, 9, "", 2},
		{terms.Convert, 8, 9, "", 2},
	}, tell(terms.Ways(alice, bob))); diff != "" {
		t.Errorf("alice pays bob:\n%s", diff)
	}
	if diff := cmp.Diff([]brief{
		{terms.Transfer, 8, 8, "", 2},
		{terms.Outside, 0, 0, "BITCOIN", 1},
		{terms.Convert, 8, 7, "", 2},
	}, tell(terms.Ways(bob, alice))); diff != "" {
		t.Errorf("bob pays alice, who does not take SEPA of him, who does not give it:\n%s", diff)
	}
	if got := terms.Ways(alice, signed(t, "carol")); len(got) != 0 {
		t.Errorf("to somebody who takes nothing: %v", got)
	}
}

// entries draws lists without repetitions.
func entries(t *rapid.T, label string) []terms.Entry {
	var out []terms.Entry
	for range rapid.IntRange(0, 14).Draw(t, label) {
		use := terms.Use(rapid.IntRange(1, 3).Draw(t, "use"))
		e := account(byte(rapid.IntRange(1, 2).Draw(t, "server")), asset.ID(rapid.IntRange(1, 4).Draw(t, "asset")), use)
		if rapid.Bool().Draw(t, "method") {
			e = method(rapid.SampledFrom([]string{"SEPA", "OKPAY", "CHAIN"}).Draw(t, "name"), rapid.SampledFrom([]string{"EUR", "BTC"}).Draw(t, "currency"), use)
		}
		e.Min = uint16(rapid.IntRange(1, 3).Draw(t, "min"))
		e.Max = e.Min + uint16(rapid.IntRange(0, 2).Draw(t, "more"))
		if !slices.ContainsFunc(out, func(o terms.Entry) bool {
			return o.Kind == e.Kind && o.Server == e.Server && o.Asset == e.Asset && o.Name == e.Name && o.Currency == e.Currency
		}) {
			out = append(out, e)
		}
	}
	return out
}

// U-43, U-44: every way is one that both have said, none is missing, none stands there
// twice, a direct one never comes after a detour, and the answer depends on nothing else.
func TestWaysAreAllThereAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := terms.Terms{Entries: entries(t, "payer")}
		b := terms.Terms{Entries: entries(t, "payee")}
		ways := terms.Ways(&a, &b)
		want := 0
		for _, g := range a.Entries {
			for _, k := range b.Entries {
				direct := g.Kind == k.Kind && g.Server == k.Server && g.Asset == k.Asset && g.Name == k.Name && g.Currency == k.Currency
				convert := g.Kind == terms.Account && k.Kind == terms.Account && g.Server == k.Server
				speak := g.Min <= k.Max && k.Min <= g.Max
				if g.Use&terms.Gives != 0 && k.Use&terms.Takes != 0 && speak && (direct || convert) {
					want++
				}
			}
		}
		if len(ways) != min(want, terms.MaxWays) {
			t.Fatalf("%d ways, want %d", len(ways), want)
		}
		for i, w := range ways {
			if w.Version < w.Give.Min || w.Version > w.Give.Max || w.Version < w.Take.Min || w.Version > w.Take.Max {
				t.Fatalf("version %d of %v and %v", w.Version, w.Give, w.Take)
			}
			if !slices.Contains(a.Entries, w.Give) || !slices.Contains(b.Entries, w.Take) {
				t.Fatalf("a way that nobody said: %v", w)
			}
			if i > 0 && ways[i-1].Step == terms.Convert && w.Step != terms.Convert {
				t.Fatal("a detour comes first")
			}
			for _, o := range ways[:i] {
				if o.Give == w.Give && o.Take == w.Take {
					t.Fatal("a way twice")
				}
			}
		}
		if diff := cmp.Diff(ways, terms.Ways(&a, &b), cmpopts.IgnoreUnexported(terms.Way{})); diff != "" {
			t.Fatal(diff)
		}
	})
}

// U-42: one encoding.
func TestTermsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := terms.Terms{Made: 5, Until: 6, Entries: entries(t, "entries")}
		if err := x.Sign(key("alice")); err != nil {
			t.Fatal(err)
		}
		got, err := terms.Parse(x.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(x, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// U-42: the longest terms there can be are below the limit.
func TestTermsAreBounded(t *testing.T) {
	x := terms.Terms{Made: 5, Until: 6}
	for i := range terms.MaxEntries {
		x.Entries = append(x.Entries, account(1, asset.ID(i), terms.Both))
	}
	if err := x.Sign(key("alice")); err != nil {
		t.Fatal(err)
	}
	if n := len(x.Append(nil)); n > terms.MaxSize {
		t.Errorf("%d bytes", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(signed(f, "alice", account(1, 7, terms.Both), method("SEPA", "EUR", terms.Takes)).Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := terms.Parse(data)
		if err != nil {
			return
		}
		if !bytes.Equal(x.Append(nil), data) {
			t.Errorf("%x is written as %x", data, x.Append(nil))
		}
		_ = terms.Ways(&x, &x)
	})
}
