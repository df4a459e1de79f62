package node_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"souk/exchange"
	"souk/identity"
	"souk/node"
)

const goodTerms = `name = "three"
reserved_symbols = ["ETH"]

[[asset]]
symbol = "BTC"
decimals = 8
issuer = "souk1qyqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqanqr9u"

[[asset]]
symbol = "EUR"
decimals = 2
issuer = "souk1qyqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqanqr9u"
max_supply = "1000000"

[[market]]
base = "BTC"
quote = "EUR"
tick = "0.01"
lot = "0.0001"
min_notional = "1"
reference_price = "50000"
maker_ppm = 1000
taker_ppm = 2000
`

// member is a card for a founding.
func member(name string, seed byte) exchange.Card {
	c := exchange.Card{
		Name: name, Server: identity.NewKey([32]byte{seed, 1}).Public(), Consensus: identity.NewKey([32]byte{seed, 2}).Public(),
		P2P: name + "@127.0.0.1:1", URL: "http://127.0.0.1:2", Made: 1_000,
	}
	c.Sign(identity.NewKey([32]byte{seed}))
	return c
}

// An error in the founding terms says line, field and what is expected.
func TestTermsErrors(t *testing.T) {
	cards := []exchange.Card{member("alice", 1)}
	found := func(text string) (*exchange.Founding, error) {
		terms, err := node.ParseTerms([]byte(text))
		if err != nil {
			return nil, err
		}
		return node.Found(&terms, cards)
	}
	f, err := found(goodTerms)
	if err != nil || f.Protocol != exchange.ProtocolMax {
		t.Fatalf("%+v: %v", f, err)
	}
	if f, err := found("protocol = 1\n" + goodTerms); err != nil || f.Protocol != 1 {
		t.Errorf("protocol 1: %+v, %v", f, err)
	}
	for _, c := range []struct{ was, is, say string }{
		{`tick = "0.01"`, `tik = "0.01"`, "line 18: unknown key market.tik: [market] has base, quote, tick, lot"},
		{`name = "three"`, "name = \"three\"\nfoo = 1", "line 2: unknown key foo: there are name, profile, asset"},
		{`tick = "0.01"`, `tick = 0.01`, `line 18: market.tick: expected text in quotes, such as "0.01", found a float`},
		{`max_supply = "1000000"`, `max_supply = 1000000`, "line 13: asset.max_supply: expected text in quotes, such as \"0.01\", found an integer"},
		{`decimals = 2`, `decimals = "2"`, "line 11: asset.decimals: expected a whole number without quotes, found text in quotes"},
		{`decimals = 2`, `decimals = 300`, "line 11: asset.decimals: expected a whole number without quotes that is not negative and not too large"},
		{`decimals = 2`, `decimals = 19`, "line 11: decimals of asset EUR: 19: an asset has 0 to 18"},
		{`maker_ppm = 1000`, `maker_ppm = 0.1`, "line 22: market.maker_ppm: expected a whole number without quotes, found a float"},
		{`maker_ppm = 1000`, `maker_ppm = 900000`, "line 22: maker_ppm of market BTC-EUR: it is at most 100000"},
		{`["ETH"]`, `"ETH"`, `line 2: reserved_symbols: expected a list of texts`},
		{`["ETH"]`, `["eth"]`, `line 2: reserved_symbols: "eth": a symbol is 2 to 10`},
		{`base = "BTC"`, `base = "XBT"`, `line 16: base of market XBT-EUR: "XBT" is no [[asset]] of these terms: there are BTC, EUR`},
		{`symbol = "EUR"`, `symbol = "BTC"`, "line 10: symbol of asset BTC: another asset has it already"},
		{`max_supply = "1000000"`, `max_supply = "1.234"`, `line 13: max_supply of asset EUR: "1.234"`},
		{`lot = "0.0001"`, `lot = "0"`, "line 19: lot of market BTC-EUR: it must be above zero"},
		{`lot = "0.0001"`, ``, "line 15: lot of market BTC-EUR: it is missing: an amount of BTC"},
		{`reference_price = "50000"`, `reference_price = "1e5"`, `line 21: reference_price of market BTC-EUR: "1e5"`},
		{`taker_ppm = 2000`, "taker_ppm = 2000\n[[market]]\nbase = \"BTC\"\nquote = \"EUR\"", "line 25: base of market BTC-EUR: there is this market already"},
		{`name = "three"`, "name = \"three\"\nprofile = \"man\"", `line 2: profile: "man": write lan or wan`},
		{`name = "three"`, "name = \"three\"\nfee = \"1\"", "line 2: fee: name the asset in which it is paid"},
		{`name = "three"`, "name = \"three\"\nfee = \"1\"\nfee_asset = \"ZZZ\"", `line 3: fee_asset: "ZZZ" is no [[asset]]`},
		{`name = "three"`, "name = \"three\"\nprotocol = 77", "line 2: protocol: version 77: this binary executes 1 to"},
		{`name = "three"`, `name = "three`, "line 1: name"},
	} {
		text := strings.Replace(goodTerms, c.was, c.is, 1)
		if _, err := found(text); !errors.Is(err, node.ErrConfig) || !strings.Contains(fmt.Sprint(err), c.say) {
			t.Errorf("%s: want %q, got %v", c.is, c.say, err)
		}
	}
}

// Two cards of one member are named.
func TestSameCardTwice(t *testing.T) {
	terms, err := node.ParseTerms([]byte(goodTerms))
	if err != nil {
		t.Fatal(err)
	}
	alice, bob := member("alice", 1), member("bob", 2)
	if _, err := node.Found(&terms, []exchange.Card{alice, bob, alice}); !errors.Is(err, exchange.ErrFounding) || !strings.Contains(err.Error(), "the card of alice is given twice") {
		t.Error(err)
	}
	again := alice
	again.Made++
	again.Sign(identity.NewKey([32]byte{1}))
	if _, err := node.Found(&terms, []exchange.Card{alice, bob, again}); err == nil || !strings.Contains(err.Error(), "two cards of one operator") {
		t.Error(err)
	}
}
