// Package exchangetest makes small virtual servers for tests: a founding
// contract with members, assets and markets, accounts that are called by name,
// and signed commands. It is test support and takes no part in the product.
package exchangetest

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/identity"
)

// Founded is the time of every founding made here, in ms.
const Founded = 1_800_000_000_000

// Assets and markets of Founding, by number.
const (
	BTC asset.ID = 1 // 8 decimals
	EUR asset.ID = 2 // 8 decimals
	LTC asset.ID = 3 // 8 decimals

	BTCEUR market.ID = 1
	LTCBTC market.ID = 2
)

// Coin is one whole unit of every asset of Founding.
const Coin = asset.Amount(1e8)

// Key is the private key of a person, or of a role of a member, by name.
func Key(name string) identity.PrivateKey {
	return identity.NewKey(sha256.Sum256([]byte("exchangetest " + name)))
}

// Address is the address of a person's account.
func Address(name string) identity.Address { return identity.AddressOf(Key(name).Public()) }

// Card is the signed card of a member. The private keys are Key(name),
// Key(name+"/server") and Key(name+"/consensus").
func Card(name string) exchange.Card {
	c := exchange.Card{
		Name: name, Server: Key(name + "/server").Public(), Consensus: Key(name + "/consensus").Public(),
		P2P: "0000000000000000000000000000000000000000@127.0.0.1:1", URL: "http://127.0.0.1:2", Made: Founded,
	}
	c.Sign(Key(name))
	return c
}

// MemberName is the name of the i-th member of Founding, from 0.
func MemberName(i int) string { return fmt.Sprintf("server-%d", i+1) }

// Founding is a contract with so many members, the assets BTC, EUR and LTC,
// all issued by "issuer", and the markets BTC-EUR and LTC-BTC.
func Founding(members int) *exchange.Founding {
	f := &exchange.Founding{
		Name: "test", Created: Founded, Protocol: 1, Params: exchange.DefaultParams(), Reserved: []string{"ETH", "NMC"},
	}
	for i := range members {
		f.Members = append(f.Members, Card(MemberName(i)))
	}
	f.SortMembers()
	for _, symbol := range []string{"BTC", "EUR", "LTC"} {
		f.Assets = append(f.Assets, exchange.FoundingAsset{
			Symbol: symbol, Decimals: 8, MaxSupply: asset.MaxSupply, Issuer: Address("issuer"), Contract: "play money",
		})
	}
	terms := market.Terms{
		Tick: 1e6, Lot: 1e4, MinNotional: 1e6, MakerPPM: 1_000, TakerPPM: 2_000, ReservePPM: 100_000, Reference: 50_000e8,
	}
	f.Markets = []exchange.FoundingMarket{{Base: "BTC", Quote: "EUR", Terms: terms}}
	terms.Tick, terms.Lot, terms.MinNotional, terms.Reference = 10, 1e5, 1_000, 150_000
	f.Markets = append(f.Markets, exchange.FoundingMarket{Base: "LTC", Quote: "BTC", Terms: terms})
	return f
}

// World is a state with a clock and with nonces for everybody.
type World struct {
	State  *exchange.State
	Height uint64
	Time   uint64
	// Applied applies blocks instead of State, if it is set; it does so to State too.
	Applied func(*exchange.Block) *exchange.Result
	nonces  map[identity.PublicKey]uint64
}

// New is the world after Founding(members).
func New(members int) *World { return From(Founding(members)) }

// From is the world after a founding. It panics if the contract is not valid.
func From(f *exchange.Founding) *World {
	s, err := exchange.New(f)
	if err != nil {
		panic(err) //nolint:forbidigo // a test that cannot start
	}
	return &World{State: s, Time: s.Time(), nonces: map[identity.PublicKey]uint64{}}
}

// Nonce is a nonce that the key has not used yet.
func (w *World) Nonce(key identity.PrivateKey) uint64 {
	w.nonces[key.Public()]++
	return w.nonces[key.Public()]
}

// Command is a body signed by an account's owner, with a fresh nonce, good for a minute.
func (w *World) Command(name string, body exchange.Body) exchange.Command {
	return w.CommandBy(Address(name), Key(name), body)
}

// CommandBy is a body for an account signed by any key.
func (w *World) CommandBy(account identity.Address, key identity.PrivateKey, body exchange.Body) exchange.Command {
	c := exchange.Command{Kind: body.Kind(), Account: account, Nonce: w.Nonce(key), Expiry: w.Time + 60_000, Body: body.Append(nil)}
	if err := c.Sign(w.State.ID(), key); err != nil {
		panic(err) //nolint:forbidigo // a test that cannot start
	}
	return c
}

// Block applies commands as one block, 10 ms after the last one.
func (w *World) Block(commands ...exchange.Command) *exchange.Result {
	w.Height++
	w.Time += 10
	apply := w.State.Apply
	if w.Applied != nil {
		apply = w.Applied
	}
	return apply(&exchange.Block{
		Height: w.Height, Time: w.Time, Commands: slices.Clone(commands),
		Proposer: Key(MemberName(0) + "/consensus").Public(),
	})
}

// Must applies commands as Block does. All of them must be OK; t may be a *testing.T or
// one of another library.
func (w *World) Must(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, commands ...exchange.Command,
) *exchange.Result {
	t.Helper()
	res := w.Block(commands...)
	for i := range res.Receipts {
		if code := res.Receipts[i].Code; code != exchange.OK {
			t.Fatalf("%s: %s", commands[i].Kind, code)
		}
	}
	return res
}

// Do applies one command of an account's owner as a block and answers its code.
func (w *World) Do(name string, body exchange.Body) exchange.Code {
	return w.Block(w.Command(name, body)).Receipts[0].Code
}

// Fund makes the issuer pay an account of each name so much of an asset.
func (w *World) Fund(id asset.ID, amount asset.Amount, names ...string) {
	commands := make([]exchange.Command, len(names))
	for i, name := range names {
		commands[i] = w.Command("issuer", &exchange.Mint{Asset: id, Amount: amount, To: Address(name)})
	}
	for _, r := range w.Block(commands...).Receipts {
		if r.Code != exchange.OK {
			panic("exchangetest: " + r.Code.String()) //nolint:forbidigo // a test that cannot start
		}
	}
}

// Available is what an account can spend of an asset.
func (w *World) Available(name string, id asset.ID) asset.Amount {
	n, ok := w.State.Ledger().Find(Address(name))
	if !ok {
		return 0
	}
	return w.State.Ledger().Available(n, id)
}

// Held is what orders of an account hold of an asset.
func (w *World) Held(name string, id asset.ID) asset.Amount {
	n, ok := w.State.Ledger().Find(Address(name))
	if !ok {
		return 0
	}
	return w.State.Ledger().Held(n, id)
}
