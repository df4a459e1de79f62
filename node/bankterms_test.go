package node_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"souk/exchange"
	"souk/identity"
	"souk/node"
	"souk/script"
)

// bankCards are member cards with keys for all networks.
func bankCards(t *testing.T, n int) []exchange.Card {
	t.Helper()
	var all []exchange.Card
	for i := range n {
		_, card, _ := aHome(t, fmt.Sprintf("member-%d", i+1))
		all = append(all, card)
	}
	return all
}

const bankText = `name = "banked"

[[asset]]
symbol = "BTC"
decimals = 8

[[asset]]
symbol = "LTC"
decimals = 8

[[banks]]
asset = "BTC"
network = "bitcoin-regtest"
wallets = 3
min_deposit = "0.001"
delay = "2d"

[[banks]]
asset = "LTC"
network = "litecoin"
start_height = 2500000
start_hash = "00000000000000000000000000000000000000000000000000000000000000ab"
hourly_limit = "12.5"
[banks.recovery]
needed = 1
keys = ["KEY"]
after = "26w"
`

// recoveryText is a recovery's key for a network, as its holder hands it out.
func recoveryText(t *testing.T, network string) string {
	t.Helper()
	w, err := node.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := node.RecoveryKeys(w)
	if err != nil {
		t.Fatal(err)
	}
	k := keys[slices.IndexFunc(keys, func(k exchange.BankKey) bool { return k.Network == network })]
	return script.ProvenKey{Key: k.Key, Possession: k.Possession}.String()
}

// Terms with banks give the same contract for every order of cards, with what they say
// and defaults for what they do not say.
func TestBankTerms(t *testing.T) {
	cards := bankCards(t, 4)
	text := strings.Replace(bankText, "KEY", recoveryText(t, "litecoin"), 1)
	found := func(cards ...exchange.Card) *exchange.Founding {
		t.Helper()
		terms, err := node.ParseTerms([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		f, err := node.Found(&terms, cards)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := found(cards...)
	if other := found(cards[2], cards[0], cards[3], cards[1]); other.ID() != f.ID() {
		t.Error("another order of cards gives another contract")
	}
	again, err := exchange.ParseFounding(f.Append(nil))
	if err != nil || again.ID() != f.ID() {
		t.Fatalf("read again: %v", err)
	}
	btc, ltc := again.Banks[0], again.Banks[1]
	regtest, _ := script.ByName("bitcoin-regtest")
	if btc.Wallets != 3 || btc.MinDeposit != 100_000 || btc.Delay != 2*24*3600*1000 || btc.Start.Height != 0 || btc.Start.Hash != regtest.Genesis || btc.Recovery != nil {
		t.Errorf("%+v", btc)
	}
	if ltc.Wallets != 4 || ltc.MaxPerHour != 12_5000_0000 || ltc.Delay != 24*3600*1000 || ltc.Start.Height != 2_500_000 || ltc.MinDeposit != 100_000 {
		t.Errorf("%+v", ltc)
	}
	if ltc.Recovery == nil || ltc.Recovery.Intervals != script.RecoveryIntervals || ltc.Recovery.K != 1 {
		t.Errorf("%+v", ltc.Recovery)
	}
}

// What is wrong with the terms of a bank is said with the line.
func TestBadBankTerms(t *testing.T) {
	cards := bankCards(t, 4)
	recoveryKey, card := recoveryText(t, "litecoin"), &cards[0].Banks[0]
	text := strings.Replace(bankText, "KEY", recoveryKey, 1)
	found := func(text string, cards []exchange.Card) error {
		terms, err := node.ParseTerms([]byte(text))
		if err == nil {
			_, err = node.Found(&terms, cards)
		}
		return err
	}
	for _, x := range []struct{ old, new, want string }{
		{`network = "bitcoin-regtest"`, `network = "bitcoins"`, `line 13: network of the bank of BTC: "bitcoins": there are bitcoin,`},
		{`asset = "BTC"`, `asset = "XYZ"`, `line 12: asset of the bank of XYZ: "XYZ" is no [[asset]] of these terms: there are BTC, LTC`},
		{`asset = "BTC"`, ``, `asset of bank 1: it is missing`},
		{`asset = "LTC"`, `asset = "BTC"`, `line 19: asset of the bank of BTC: another bank keeps its coins already`},
		{`wallets = 3`, `wallets = 17`, `line 14: wallets of the bank of BTC: there are 1 to 16`},
		{`wallets = 3`, `wallets = "3"`, `line 14: banks.wallets: expected a whole number without quotes, found text in quotes`},
		{`wallets = 3`, `walets = 3`, `line 14: unknown key banks.walets: [banks] has asset, network, wallets`},
		{`min_deposit = "0.001"`, `min_deposit = "0.000006"`, `line 15: min_deposit of the bank of BTC: it must be 0.00000601 at least`},
		{`min_deposit = "0.001"`, `min_deposit = "much"`, `line 15: min_deposit of the bank of BTC: "much"`},
		{`delay = "2d"`, `delay = "2 days"`, `line 16: delay of the bank of BTC: "2 days" is no length of time`},
		{`delay = "2d"`, `delay = "31d"`, `line 16: delay of the bank of BTC: it is 30 days at most`},
		{`delay = "2d"`, `gather = "2h"`, `line 16: gather of the bank of BTC: it is an hour at most`},
		{`hourly_limit = "12.5"`, `hourly_limit = "0.0000001"`, `line 23: hourly_limit of the bank of LTC: it must be above min_withdrawal`},
		{`start_hash = "00`, `start_hash = "zz`, `line 22: start_hash of the bank of LTC: `},
		{"start_hash = \"00000000000000000000000000000000000000000000000000000000000000ab\"\n", "", `line 21: start_height of the bank of LTC: start_hash, the hash of that block, is missing`},
		{"start_height = 2500000\n", "", `start_hash of the bank of LTC: it is not that of block 0 of litecoin`},
		{`needed = 1`, `needed = 2`, `line 25: recovery.needed of the bank of LTC: how many of the 1 holders it takes`},
		{`after = "26w"`, `after = "56w"`, `line 27: recovery.after of the bank of LTC: it is above zero, and 55 weeks at most`},
		{`keys = ["xpub`, `keys = ["ypub`, `line 26: recovery.keys of the bank of LTC: number 1: `},
		{recoveryKey, strings.Split(recoveryKey, ":")[0], `line 26: recovery.keys of the bank of LTC: number 1: behind the key stand a colon and 128`},
		{recoveryKey, recoveryText(t, "bitcoin"), `line 26: recovery.keys of the bank of LTC: number 1: it is not by this key, or for another`},
		{recoveryKey, script.ProvenKey{Key: card.Key, Possession: card.Possession}.String(), `line 26: recovery.keys of the bank of LTC: number 1: it is not by this key, or for another`},
		{`needed = 1`, `nedeed = 1`, `line 25: unknown key banks.recovery.nedeed: [recovery] has needed, keys, after, blocks`},
		{"symbol = \"BTC\"\ndecimals = 8", "symbol = \"BTC\"\ndecimals = 6", `line 5: decimals of asset BTC: 6: a bank keeps its coins, so it has 8`},
		{"symbol = \"BTC\"\n", "symbol = \"BTC\"\nissuer = \"souk1qyqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqanqr9u\"\n", `line 5: issuer of asset BTC: a bank keeps its coins`},
		{"symbol = \"BTC\"\n", "symbol = \"BTC\"\nmax_supply = \"21000000\"\n", `line 5: max_supply of asset BTC: a bank keeps its coins`},
	} {
		if !strings.Contains(text, x.old) {
			t.Fatalf("%q is not in the terms", x.old)
		}
		err := found(strings.Replace(text, x.old, x.new, 1), cards)
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v\nwant %s", x.new, err, x.want)
		}
	}
	without := strings.Replace(strings.Replace(text, "start_height = 2500000\n", "", 1), "start_hash = \"00000000000000000000000000000000000000000000000000000000000000ab\"\n", "", 1)
	if err := found(without, cards); !errors.Is(err, node.ErrStart) || !strings.Contains(err.Error(), "--chain-start") {
		t.Errorf("no first block: %v", err)
	}
	for _, n := range []int{2, 3} { // Y-20
		if err := found(text, cards[:n]); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("there are no banks with %d members", n)) {
			t.Errorf("%d members: %v", n, err)
		}
	}
	if err := found(text, cards[:1]); err != nil {
		t.Errorf("one member: %v", err)
	}
	bare := cards[3]
	bare.Banks = nil
	operator := identity.NewKey([32]byte{7})
	bare.Sign(operator)
	if err := found(text, []exchange.Card{cards[0], cards[1], cards[2], bare}); err == nil || !strings.Contains(err.Error(), "the card of member-4 has no key for it: he makes keys with souk card bank-keys") {
		t.Errorf("a card without keys: %v", err)
	}
}

// A trial has banks for assets of the practice terms and for others.
func TestTrialBanks(t *testing.T) {
	l, err := node.FoundLocal(node.LocalSetup{
		Dir: t.TempDir() + "/fed", Name: "trial", Servers: 4, Now: time.Now().Add(-time.Second),
		Banks:  []node.BankTerms{{Asset: "BTC", Network: "bitcoin-regtest"}, {Asset: "NMC", Network: "namecoin-regtest"}},
		Chains: map[string]node.ChainConfig{"bitcoin-regtest": {Kind: "rpc", URL: "http://127.0.0.1:1", CookieFile: "cookie"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Founding.Banks) != 2 || len(l.Founding.Assets) != 4 {
		t.Errorf("%d banks, %d assets", len(l.Founding.Banks), len(l.Founding.Assets))
	}
	for _, h := range l.Homes {
		c, err := node.ReadConfig(h.Config())
		if err != nil || c.Chains["bitcoin-regtest"].URL != "http://127.0.0.1:1" || len(c.Virtual) != 1 {
			t.Errorf("%+v, %v", c, err)
		}
		settings, err := node.Settings(h)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, s := range settings {
			found = found || s.Name == "chains.bitcoin-regtest.kind" && s.Value == `"rpc"` && strings.HasPrefix(s.Origin, h.Config()+":")
		}
		if !found {
			t.Errorf("%+v", settings)
		}
	}
	if _, err := node.FoundLocal(node.LocalSetup{Dir: t.TempDir() + "/three", Servers: 3, Now: time.Now(), Banks: []node.BankTerms{{Asset: "BTC", Network: "bitcoin-regtest"}}}); err == nil {
		t.Error("a bank of three members")
	}
}

// What is wrong with a section about a chain is said with the line, and no password
// is taken in the configuration.
func TestBadChains(t *testing.T) {
	const good = "[chains.bitcoin]\nkind = \"rpc\"\nurl = \"http://127.0.0.1:8332\"\ncookie_file = \"c\"\n"
	if _, err := node.ParseConfig([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ old, new, want string }{
		{"chains.bitcoin", "chains.bitcon", `line 1: chains.bitcon: there is no such network; there are bitcoin,`},
		{`"rpc"`, `"full"`, `line 2: chains.bitcoin.kind: "full": write rpc`},
		{`http://127`, `127`, `line 3: chains.bitcoin.url: where the node answers`},
		{`http://127`, `http://me:secret@127`, `line 3: chains.bitcoin.url: no password belongs here`},
		{`cookie_file = "c"`, ``, `line 1: chains.bitcoin: say how the node knows this server`},
		{`cookie_file = "c"`, "cookie_file = \"c\"\nuser = \"me\"", `line 4: chains.bitcoin.cookie_file: name it, or user and password_file, not both`},
		{`cookie_file = "c"`, `password = "x"`, `line 4: unknown key chains.bitcoin.password: [chains.bitcoin] has kind, url, cookie_file`},
		{`kind = "rpc"`, `kind = 1`, `line 2: chains.bitcoin.kind: expected text in quotes`},
		{`kind = "rpc"`, `kind = "light"`, `line 2: chains.bitcoin.kind: a light client asks peers`},
		{good, "[chains.litecoin]\nkind = \"light\"\n", `line 2: chains.litecoin.kind: a light client there is for Bitcoin only`},
		{`cookie_file = "c"`, "cookie_file = \"c\"\nfee_rate = 1001", `line 5: chains.bitcoin.fee_rate: 1001: from 1 to 1000 sat/vB`},
		{good, "[chains.namecoin]\nkind = \"rpc\"\nurl = \"http://127.0.0.1:8336\"\ncookie_file = \"c\"\nfee_rate = 99", `line 5: chains.namecoin.fee_rate: 99: from 100 to 1000 sat/vB`},
		{good, "[chains.bitcoin]\nkind = \"light\"\npeers = [\"host\"]\n", `line 3: chains.bitcoin.peers: "host" is no host:port`},
	} {
		_, err := node.ParseConfig([]byte(strings.Replace(good, x.old, x.new, 1)))
		if !errors.Is(err, node.ErrConfig) || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v\nwant %s", x.new, err, x.want)
		}
		if strings.Contains(fmt.Sprint(err), "secret") {
			t.Error("the error shows the password")
		}
	}
}
