package exchange_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"souk/exchange"
	"souk/exchange/custody"
	. "souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/script"
)

var update = flag.Bool("update", false, "write the vectors anew")

// announcement is a key with a proof for a virtual server of an id of its own.
func announcement() *exchange.AnnounceKey {
	key := MemberKey("server-1")
	proof, err := key.Possess(script.Claim{
		VirtualServer: exchange.ID{1, 2, 3}, Network: BankNetwork, Operator: Address("server-1"), Server: Key("server-1/server").Public(),
	})
	if err != nil {
		panic(err)
	}
	return &exchange.AnnounceKey{Bank: Bank, Key: key.Public(), Possession: proof}
}

// samples is one body of every kind.
func samples() []exchange.Body {
	secret := Preimage(1)
	return []exchange.Body{
		&exchange.Transfer{To: Address("bob"), Asset: EUR, Amount: 12_50000000, Memo: "für Brot"},
		&exchange.Place{Market: BTCEUR, Side: market.Buy, Order: market.LimitOrder, TIF: market.GTD, PostOnly: true, Price: 50_000e8, Quantity: 2e7, Expiry: Founded + 3_600_000, Client: "my-order-1"},
		&exchange.PlaceOCO{Market: BTCEUR, Side: market.Sell, Quantity: 1e8, Limit: 60_000e8, Trigger: 45_000e8, Price: 44_000e8, StopLimit: true, LimitClient: "take", StopClient: "stop"},
		&exchange.Cancel{Target: exchange.Target{Order: 77}},
		&exchange.CancelAll{Market: LTCBTC},
		&exchange.CancelAllAfter{Delay: 60_000},
		&exchange.Amend{Target: exchange.Target{Client: "my-order-1"}, Price: 49_000e8, Quantity: 1e7},
		&exchange.AddDelegate{Key: Key("bot").Public(), Scopes: ledger.Read | ledger.Trade, Markets: []uint32{1, 2}, Expiry: Founded + 86_400_000},
		&exchange.RemoveDelegate{Key: Key("bot").Public()},
		&exchange.Rotate{Key: Key("alice/next").Public()},
		exchange.CancelRotation{},
		&exchange.Issue{Symbol: "BREAD", Decimals: 0, MaxSupply: 1_000_000, Contract: "One loaf each, at the shop."},
		&exchange.Mint{Asset: 4, Amount: 100, To: Address("bob")},
		&exchange.Burn{Asset: 4, Amount: 50},
		&exchange.Lock{Payee: Address("bob"), Asset: BTC, Amount: 1e6, Hash: secret, Deadline: Founded + 3_600_000, Arbiter: Address("carol"), Window: 86_400_000, Memo: "invoice 7"},
		&exchange.Claim{Escrow: 3, Preimage: secret[:]},
		&exchange.Refund{Escrow: 3},
		&exchange.Dispute{Escrow: 3},
		&exchange.Resolve{Escrow: 3, Pay: true},
		&exchange.Vote{Approve: true, Action: roster.AppendAction(nil, roster.PauseMarket{Market: 1}, 0)},
		exchange.Return{},
		&exchange.Attest{Attestation: custody.Attestation{
			Bank: Bank, From: 101, Parent: BankHash("parent"), Hashes: []script.Hash{BankHash("a"), BankHash("b")}, Rate: 2_500,
			Payments: []custody.Payment{{Height: 102, At: script.Outpoint{Tx: BankHash("tx"), Index: 1}, Amount: 1e8, Branch: 1, Index: 7}},
			Spends:   []custody.Spend{{Height: 101, At: script.Outpoint{Tx: BankHash("old")}, Tx: BankHash("new")}},
		}},
		&exchange.Sign{Signature: custody.Signature{Bank: Bank, Batch: 3, Version: 2, First: 1, Signatures: [][]byte{{1, 2, 3}, {}}}},
		announcement(),
		&exchange.SetWithdrawals{Settings: custody.Settings{Delay: 3_600_000, Only: true, Allowed: []custody.Allowed{{Bank: Bank, Script: Output("home")}}}, Salt: custody.Salt{4, 5, 6}},
		&exchange.CancelWithdrawal{Withdrawal: 9},
		&exchange.NewAddress{Bank: Bank, Salt: custody.Salt{1, 2, 3}},
		&exchange.Withdraw{Request: custody.Request{Bank: Bank, Script: Output("shop"), Amount: 5e7, MaxFee: 10_000, Salt: custody.Salt{7, 8}}},
		&exchange.Donate{Bank: Bank, Amount: 1e6},
		&exchange.Admit{Bank: Bank, Account: Address("newcomer"), Salt: custody.Salt{9, 10}},
	}
}

// vector is one command as other implementations need it.
type vector struct {
	Kind      string `json:"kind"`
	Seed      string `json:"seed"`      // Ed25519 seed of the key
	Server    string `json:"server"`    // virtual server id
	Body      string `json:"body"`      // encoding of the body
	SignBytes string `json:"signBytes"` // what is signed
	ID        string `json:"id"`
	Command   string `json:"command"` // whole encoding
}

// TestVectors pins the encoding of every kind of command, its sign bytes and its id (B-1,
// B-3, B-12).
func TestVectors(t *testing.T) {
	const path = "../docs/spec/vectors/commands.json"
	var got []vector
	vs := exchange.ID{1, 2, 3}
	for i, body := range samples() {
		key := Key("alice")
		c := exchange.Command{
			Kind: body.Kind(), Account: Address("alice"), Nonce: uint64(i + 1), Expiry: Founded + 60_000, Body: body.Append(nil),
		}
		if err := c.Sign(vs, key); err != nil {
			t.Fatal(err)
		}
		seed := key.Seed()
		got = append(got, vector{
			Kind: c.Kind.String(), Seed: hex.EncodeToString(seed[:]), Server: hex.EncodeToString(vs[:]), Body: hex.EncodeToString(c.Body),
			SignBytes: hex.EncodeToString(c.AppendSignBytes(nil, vs)), ID: hex.EncodeToString(c.ID[:]), Command: hex.EncodeToString(c.Append(nil)),
		})
	}
	if len(got) != len(exchange.Kinds()) {
		t.Errorf("%d samples for %d kinds", len(got), len(exchange.Kinds()))
	}
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.TrimSpace(want), text) {
		t.Error("the encoding of commands changed: that breaks every client; if it is meant, go test -update")
	}
}

// TestBodies: every body is read back, and nothing but its encoding is.
func TestBodies(t *testing.T) {
	for _, body := range samples() {
		data := body.Append(nil)
		back, ok := exchange.ParseBody(body.Kind(), data)
		if !ok || !bytes.Equal(back.Append(nil), data) {
			t.Errorf("%s: not read back", body.Kind())
		}
		if _, ok := exchange.ParseBody(body.Kind(), append(data[:len(data):len(data)], 0)); ok {
			t.Errorf("%s: read with a byte too many", body.Kind())
		}
		for n := range data {
			if _, ok := exchange.ParseBody(body.Kind(), data[:n]); ok {
				t.Errorf("%s: read with %d of %d bytes", body.Kind(), n, len(data))
			}
		}
	}
}

// TestSignatureDomain: a signature for one virtual server is none for another (B-2).
func TestSignatureDomain(t *testing.T) {
	c := exchange.Command{Kind: exchange.KindReturn, Account: Address("alice"), Nonce: 1, Expiry: 1}
	if err := c.Sign(exchange.ID{1}, Key("alice")); err != nil {
		t.Fatal(err)
	}
	for vs, want := range map[exchange.ID]bool{{1}: true, {2}: false} {
		p, rest, err := exchange.Parse(vs, c.Append(nil))
		if err != nil || len(rest) != 0 {
			t.Fatal(err)
		}
		if got := p.Key.VerifyRaw(p.AppendSignBytes(nil, vs), p.Signature); got != want {
			t.Errorf("server %x: verifies %v", vs[:1], got)
		}
		if (p.ID == c.ID) != want {
			t.Errorf("server %x: id", vs[:1])
		}
	}
}

func TestFounding(t *testing.T) {
	f := Founding(4)
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	data := f.Append(nil)
	back, err := exchange.ParseFounding(data)
	if err != nil || back.ID() != f.ID() {
		t.Fatal(err)
	}
	for n := 0; n < len(data); n += 7 {
		if _, err := exchange.ParseFounding(data[:n]); err == nil {
			t.Errorf("read with %d bytes", n)
		}
	}
	f.Members[0].URL = "http://elsewhere"
	if err := f.Check(); err == nil {
		t.Error("a changed card passes")
	}
}

func TestCodes(t *testing.T) {
	for _, c := range exchange.Codes() {
		if c.String() == "" || c != exchange.OK && c.Burns() != (c >= 100) {
			t.Errorf("code %d", c)
		}
	}
}

func FuzzParse(f *testing.F) {
	w := New(1)
	for _, b := range samples() {
		c := w.Command("alice", b)
		f.Add(c.Append(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, rest, err := exchange.Parse(exchange.ID{}, data)
		if err != nil {
			return
		}
		if got := c.Append(nil); !bytes.Equal(got, data[:len(data)-len(rest)]) {
			t.Fatal("another encoding of the same command")
		}
		if b, ok := exchange.ParseBody(c.Kind, c.Body); ok && !bytes.Equal(b.Append(nil), c.Body) {
			t.Fatal("another encoding of the same body")
		}
	})
}

func FuzzParseFounding(f *testing.F) {
	f.Add(Founding(1).Append(nil))
	f.Add(Founding(4).Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := exchange.ParseFounding(data); err == nil && !bytes.Equal(c.Append(nil), data) {
			t.Fatal("another encoding of the same contract")
		}
	})
}

// FuzzApply executes blocks of bodies that a fuzzer makes up. Nothing may panic,
// and the books must balance.
func FuzzApply(f *testing.F) {
	for _, b := range samples() {
		f.Add([]byte{byte(b.Kind())}, b.Append(nil), uint8(3))
	}
	f.Fuzz(func(t *testing.T, kinds, bodies []byte, split uint8) {
		w := New(1)
		w.Fund(EUR, 1_000_000*Coin, "alice", "bob", "carol")
		w.Fund(BTC, 100*Coin, "alice", "bob", "carol")
		w.Block(w.Command("bob", limit(market.Sell, 50_000e8, Coin, "x")), w.Command("carol", limit(market.Buy, 49_000e8, Coin, "x")))
		size := max(1, int(split))
		for _, names := range [][]string{{"alice", "bob"}, {"carol", "alice"}} {
			var commands []exchange.Command
			for i, k := range kinds {
				kind := exchange.Kind(k)
				if !kind.Known() || i >= 64 {
					continue
				}
				from := min(len(bodies), i*size)
				body := raw{kind, bodies[from:min(len(bodies), from+exchange.MaxBody)]}
				commands = append(commands, w.Command(names[i%2], body))
			}
			w.Block(commands...)
			if err := w.State.Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// raw is a body of any bytes.
type raw struct {
	kind exchange.Kind
	data []byte
}

func (r raw) Kind() exchange.Kind      { return r.kind }
func (r raw) Append(dst []byte) []byte { return append(dst, r.data...) }
