package cli_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/cli"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/exchange/roster"
	"souk/internal/cluster"
	"souk/node"
	"souk/script"
	"souk/store/sealed"
)

// bankShop is a shop with a bank of bitcoin, on a chain that is only told of.
type bankShop struct {
	*shop
	chain *exchangetest.Chain
	said  uint32
}

func openBankShop(t *testing.T) *bankShop {
	t.Helper()
	start := exchangetest.BankHash("block", exchangetest.BankStart, 0)
	bank := node.BankTerms{
		Asset: "BTC", Network: exchangetest.BankNetwork, DelayAbove: "5", Delay: "1h", HourlyLimit: "100",
		StartHeight: exchangetest.BankStart, StartHash: start.String(),
	}
	s := startShop(t, node.LocalSetup{Servers: 4, Banks: []node.BankTerms{bank}})
	return &bankShop{s, exchangetest.NewChain(&exchangetest.World{}), exchangetest.BankStart}
}

// by signs as the server of a home.
func (b *bankShop) by(home int) *api.Signer {
	b.Helper()
	pass := sealed.FromFile(b.Homes[home].PassphraseFile())
	key, err := b.Homes[home].Key(node.RoleServer, pass)
	if err != nil {
		b.Fatal(err)
	}
	for i := range b.Founding.Members {
		if m := &b.Founding.Members[i]; m.Server == key.Public() {
			return &api.Signer{Account: m.Roster().Operator, Key: key}
		}
	}
	b.Fatal("the home is no member's")
	return nil
}

// say sends a body by the first servers.
func (b *bankShop) say(servers int, body exchange.Body) {
	b.Helper()
	c, err := b.Client()
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for i := range servers {
		if err := cluster.MustOK(c.As(b.by(i)).Do(b.Context(), body)); err != nil {
			b.Fatal(err)
		}
	}
}

// mine mines blocks, and three of the four members say so.
func (b *bankShop) mine(blocks uint32) {
	b.Helper()
	b.chain.Mine(blocks)
	b.say(3, b.chain.Attestation(b.said))
	b.said = b.chain.Tip
}

// answer runs the program with something to say.
func (b *bankShop) answer(say string, args ...string) (string, int) {
	var out bytes.Buffer
	status := cli.QuickMain(args, strings.NewReader(say), &out, &out)
	return out.String(), status
}

// deposit reads what souk deposit -o json says.
func (b *bankShop) address(args ...string) (x struct {
	Address, URI  string
	Series, Index uint32
	Min           string `json:"min_deposit"`
},
) {
	b.Helper()
	text := b.must(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(text[max(0, strings.Index(text, "{")):]), &x); err != nil { // behind what is for people
		b.Fatal(err)
	}
	return x
}

// matches wants a text to match.
func (b *bankShop) matches(text string, patterns ...string) {
	b.Helper()
	for _, want := range patterns {
		if !regexp.MustCompile(want).MatchString(text) {
			b.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

// shows wants what the program shows to match, once the server that it asks has heard of it.
func (b *bankShop) shows(args []string, patterns ...string) {
	b.Helper()
	text := ""
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		text = b.must(args...)
		if !slices.ContainsFunc(patterns, func(want string) bool { return !regexp.MustCompile(want).MatchString(text) }) {
			return
		}
	}
	b.matches(text, patterns...)
}

// A trader deposits, trades and withdraws by the command line, and sees what the banks
// and their members do (H-100 to H-104).
func TestBankByCommandLine(t *testing.T) {
	b := openBankShop(t)
	alice := b.person("alice")
	as := func(args ...string) []string { return b.as(alice, b.URLs, args...) }
	b.euros(alice)

	b.refused("no bank keeps EUR", as("deposit", "EUR")...)
	b.refused("no asset is called btc; did you mean BTC", as("deposit", "btc")...)
	first := b.must(as("deposit", "BTC")...)
	b.matches(first, "DO NOT PAY NOW: 0 of 4 members see the chain, and 3 must", `address +bcrt1q[0-9a-z]+\n`, `at least +0\.00010000 BTC`, `3 of 4 sign, series 0`, `after 2 blocks up to 10 BTC`, "[▀▄█]{5}", `yours by the signed header of block \d+`)
	x := b.address(as("deposit", "BTC")...)
	if !strings.Contains(first, x.Address) || x.URI != "bitcoin:"+x.Address {
		t.Errorf("another address, although nothing was paid to the first: %+v", x)
	}
	if y := b.address(as("deposit", "BTC", "--new")...); y.Address == x.Address || y.Index != x.Index+1 {
		t.Errorf("no new address: %+v", y)
	}
	b.must(as("verify", "address", "BTC", x.Address)...)
	b.matches(b.must(as("verify", "series", "BTC", "0")...), `keys +3 of 4 sign`, `member no. 4 +xpub`, `addresses +2`)
	b.refused("none of your addresses", as("verify", "address", "BTC", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080")...)

	b.chain.Pay(x.Series, x.Index, 3*exchangetest.Coin)
	b.mine(1)
	b.shows(as("deposits"), `3\.00000000 +BTC +1 of 2 blocks`)
	b.mine(1)
	b.shows(as("deposits", "BTC"), `3\.00000000 +BTC +credited`)
	b.watched(as("deposit", "BTC", "--watch", "--no-qr")...)
	b.shows(as("account", "show"), `BTC +4\.00000000`)

	shop := "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
	b.refused("(?i)network", as("withdraw", "BTC", "1", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")...)
	b.refused("a character is wrong or missing", as("withdraw", "BTC", "1", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt08q")...)
	b.refused("a character is wrong or missing", as("withdraw", "BTC", "1", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081")...)
	b.refused("is a deposit address of your own.*--anyway", as("withdraw", "BTC", "1", x.Address, "--yes")...)
	b.refused("the least withdrawal is", as("withdraw", "BTC", "0.00001", shop)...)
	b.refused("withdraw it in parts", as("withdraw", "BTC", "200", shop)...)
	b.refused("say with --max-fee", as("withdraw", "BTC", "0.0001", shop)...)
	b.refused("--max-fee: it must be at least", as("withdraw", "BTC", "1", shop, "--max-fee", "0.00000001")...)
	b.refused("nobody answered, so nothing was sent", as("withdraw", "BTC", "1", shop)...)
	b.refused(`insufficient funds: 4\.00000000 BTC are available, 50\.0000\d+ are needed: 46\.0000\d+ are missing`, as("withdraw", "BTC", "50", shop)...)
	if out, status := b.answer("no\n", as("withdraw", "BTC", "1", shop)...); status == 0 || !strings.Contains(out, "nothing was sent") {
		t.Errorf("%d: %s", status, out)
	}
	out, status := b.answer("yes\n", as("withdraw", "BTC", "1", shop)...)
	if status != 0 {
		t.Fatal(out)
	}
	b.matches(out, `pay +1\.00000000 BTC to bcrt1`, `fee +about 0\.0000\d+ BTC`, `delay +none`, `withdrawal 1: 1\.00000000 BTC to bcrt1`)
	b.settles(as, alice)
	b.cancels(as, shop)
	b.rules(as, shop)
	b.liars(alice, x.Address)
	b.ballots(as)
	b.newcomer()
}

// newcomer is somebody whom nobody has paid: a member's server opens his account.
func (b *bankShop) newcomer() {
	b.Helper()
	carol := b.person("carol")
	as := func(args ...string) []string { return b.as(carol, b.URLs, args...) }
	out := b.must(as("deposit", "BTC", "--no-qr")...)
	b.matches(out, `a member's server has opened your account, in block \d+`, `address +bcrt1q`)
	x := b.address(as("deposit", "BTC")...)
	if !strings.Contains(out, x.Address) {
		b.Errorf("another address than %+v: %s", x, out)
	}
	b.chain.Pay(x.Series, x.Index, exchangetest.Coin)
	b.mine(2)
	b.shows(as("account", "show"), `BTC +1\.00000000`)
}

// euros gives somebody an account.
func (b *bankShop) euros(purse string) {
	b.Helper()
	c, err := b.Client()
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	to := b.addressOf(purse)
	for i, a := range b.Founding.Assets {
		if a.Symbol == "EUR" {
			if err := cluster.MustOK(b.IssuerActor(c).Do(b.Context(), &exchange.Mint{Asset: asset.ID(i + 1), Amount: 1e10, To: to})); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// watched follows a deposit of one bitcoin to the end.
func (b *bankShop) watched(args ...string) {
	b.Helper()
	r, w := io.Pipe()
	var all bytes.Buffer
	var mu sync.Mutex
	done := make(chan int, 1)
	go func() {
		done <- cli.QuickMain(args, strings.NewReader(""), w, w)
		_ = w.Close()
	}()
	told := make(chan struct{})
	go func() {
		defer close(told)
		buf := make([]byte, 4096)
		for {
			n, err := r.Read(buf)
			mu.Lock()
			all.Write(buf[:n])
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	text := func() string {
		mu.Lock()
		defer mu.Unlock()
		return all.String()
	}
	b.until(func() bool { return strings.Contains(text(), "waiting for a payment") })
	b.chain.Pay(0, 1, exchangetest.Coin) // the second address: nothing was paid to it yet
	b.mine(1)
	b.until(func() bool { return strings.Contains(text(), "1 of 2 blocks") })
	b.mine(1)
	select {
	case status := <-done:
		<-told
		if status != 0 {
			b.Errorf("status %d: %s", status, text())
		}
	case <-time.After(20 * time.Second):
		b.Errorf("the watch does not end: %s", text())
	}
	b.matches(text(), `1\.00000000 BTC in [0-9a-f]+:\d: 1 of 2 blocks\n`, `: credited\n`)
}

// until waits for something.
func (b *bankShop) until(done func() bool) {
	b.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatal("it does not happen")
		}
	}
}

// settles brings the first withdrawal to its end, with members that sign late and wrongly.
func (b *bankShop) settles(as func(...string) []string, alice string) {
	b.Helper()
	c, err := b.Client()
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var page *api.BankPage
	b.until(func() bool {
		if page, err = c.Bank(context.Background(), "BTC"); err != nil {
			b.Fatal(err)
		}
		return len(page.Unsettled) == 1
	})
	b.shows(as("withdraw", "list"), `1 +1\.00000000 +BTC +bcrt1\w+ +signing \(0, needs 3\), fee`)
	batch := &page.Unsettled[0]
	x := &exchange.Sign{Signature: custody.Signature{Bank: 1, Batch: batch.Number, Version: 1}}
	for range batch.Inputs {
		x.Signatures = append(x.Signatures, bytes.Repeat([]byte{1}, 71))
	}
	b.say(3, x)
	b.shows(as("withdraw", "list"), `signed \(3, needs 3\), on its way to a block`)
	b.shows(as("bank", "BTC"), `keys +3 of 4 sign`, `it has what it owes`, `WRONGLY, 1 transaction`, `1 transaction waits for it`, `fee +[0-9.]+ sat/vB`, `payout`, `wallet +total`, `founding`)
	b.shows(as("bank"), `BTC +bitcoin-regtest`)
	b.refused("no bank keeps ZZZ", as("bank", "ZZZ")...)
	tx, err := script.ParseHash(batch.Tx)
	if err != nil {
		b.Fatal(err)
	}
	b.until(func() bool { // the list may be a second old
		coins, err := c.Coins(context.Background(), "BTC", "")
		if err != nil {
			b.Fatal(err)
		}
		spent := 0
		for _, coin := range coins.Coins {
			if coin.Batch == batch.Number {
				at, err := script.ParseHash(coin.Tx)
				if err != nil {
					b.Fatal(err)
				}
				b.chain.Spend(script.Outpoint{Tx: at, Index: coin.Output}, tx)
				spent++
			}
		}
		return spent > 0
	})
	b.mine(1)
	b.shows(as("withdraw", "list"), `mined, 1 of 2 blocks`)
	b.mine(1)
	b.shows(as("withdraw", "list", "BTC"), `paid, 2 blocks, fee 0\.0000\d+, in `+batch.Tx)
}

// cancels takes a withdrawal back that waits.
func (b *bankShop) cancels(as func(...string) []string, shop string) {
	b.Helper()
	series, index := uint32(0), uint32(0)
	b.chain.Pay(series, index, 8*exchangetest.Coin)
	b.mine(3)
	out := b.must(as("withdraw", "BTC", "6", "bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk", "--yes")...)
	b.matches(out, `delay +1h0m0s, if you were first paid at this address less than that ago, or never`)
	b.shows(as("withdraw", "list"), `2 +6\.00000000 +BTC +\w+ +waits until 20`)
	b.must(as("withdraw", "cancel", "2")...)
	b.refused("unknown withdrawal", as("withdraw", "cancel", "2")...)
	b.shows(as("withdraw", "list", "BTC"), `2 +6\.00000000 +BTC +bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk +cancelled 20`, `1 +1\.00000000 +BTC +\w+ +paid`)
	b.everything(as, shop)
	b.refused("is no number of a withdrawal", as("withdraw", "cancel", shop)...)
}

// everything withdraws all that is available, to the unit, and is called off.
func (b *bankShop) everything(as func(...string) []string, shop string) {
	b.Helper()
	out := b.must(as("withdraw", "BTC", "all", shop, "--max-fee", "0.001", "--yes")...)
	b.matches(out, `together +\d+\.\d+ BTC leave what is available, which is all of it`, `withdrawal 3: `)
	b.shows(as("account", "show"), `BTC +0\.00000000 +0\.00000000 +\d\d\.\d+\n`)
	b.refused(`insufficient funds: 0\.00000000 BTC are available of \d+\.\d+ .*, 1\.0000\d+ are needed: 1\.0000\d+ are missing`, as("withdraw", "BTC", "1", shop)...)
	b.refused(`insufficient funds: 0\.00000000 BTC are available`, as("withdraw", "BTC", "all", shop)...)
	b.refused(`insufficient funds: 0\.00000000 BTC are available .*: 0\.01000000 are missing \(code 104\)`, as("donate", "BTC", "0.01")...)
	b.must(as("withdraw", "cancel", "3")...)

	// A program that watches reads one object per line, and sees it called off.
	done := make(chan string, 1)
	go func() {
		out, _ := b.answer("", as("withdraw", "BTC", "6", "bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk", "--yes", "--watch", "-o", "json")...)
		done <- out
	}()
	b.shows(as("withdraw", "list"), `4 +6\.00000000 +BTC +\w+ +waits until`)
	b.must(as("withdraw", "cancel", "4")...)
	text := <-done
	var states []string
	for line := range strings.Lines(text) {
		var x struct{ State string }
		if strings.HasPrefix(line, "{") {
			if err := json.Unmarshal([]byte(line), &x); err != nil {
				b.Errorf("%q: %v", line, err)
			}
			states = append(states, x.State)
		}
	}
	if len(states) < 2 || states[0] != "" || states[len(states)-1] != api.WithdrawalCancelled {
		b.Errorf("%q in:\n%s", states, text)
	}
}

// rules sets what withdrawals may do.
func (b *bankShop) rules(as func(...string) []string, shop string) {
	b.Helper()
	b.matches(b.must(as("withdraw", "settings", "--delay", "12h")...), "set, and in force\n", `delay +no time -> 12h0m0s`, `pays to +any address, as it is`)
	b.shows(as("withdraw", "settings"), `delay +12h0m0s`, `takes 12h0m0s`)
	b.refused("your settings are so already", as("withdraw", "settings", "--delay", "12h")...)
	// What no flag names stays: the delay was lost here once.
	b.matches(b.must(as("withdraw", "settings", "--only", "--allow", "BTC:"+shop)...), "in force from 20", `delay +12h0m0s, as it is`, `pays to +any address -> allowed addresses only`, `allowed BTC:`+shop+` +no -> yes`)
	b.shows(as("withdraw", "settings"), `from 20[^\n]+ on:\ndelay +12h0m0s\n(.*\n)*only allowed +yes`, "allowed +BTC:"+shop)
	other := "bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk"
	b.matches(b.must(as("withdraw", "settings", "--allow", "BTC:"+other)...), `this includes the change that was to come`, `pays to +any address -> allowed addresses only`, `allowed BTC:`+shop+` +no -> yes`, `allowed BTC:`+other+` +no -> yes`)
	b.matches(b.must(as("withdraw", "settings", "--disallow", "BTC:"+other)...), `allowed BTC:`+shop+` +no -> yes`)
	b.refused("that address is not allowed", as("withdraw", "settings", "--disallow", "BTC:"+other)...)
	b.refused("could pay nobody", as("withdraw", "settings", "--disallow", "BTC:"+shop)...)
	b.refused("your settings are so from 20", as("withdraw", "settings", "--allow", "BTC:"+shop)...)
	// What is stricter does not wait with what is to come.
	b.matches(b.must(as("withdraw", "settings", "--delay", "13h")...), `delay +12h0m0s -> 13h0m0s, in force at once\n`, "in force from 20", `this includes the change`, `allowed BTC:`+shop+` +no -> yes`)
	b.shows(as("withdraw", "settings"), `^delay +13h0m0s\nonly allowed +no\n\nfrom 20[^\n]+\ndelay +13h0m0s\nonly allowed +yes[^\n]+\nallowed +BTC:`+shop)
	b.matches(b.must(as("withdraw", "settings", "--none")...), "in force from 20", "takes the place of the change that was to come: nothing of that is left", `delay +13h0m0s -> no time`)
	b.matches(b.must(as("withdraw", "settings", "--undo", "-o", "json")...), `"changes": \[\]`, `"to": "13h0m0s"`)
	b.refused("nothing to take back", as("withdraw", "settings", "--undo")...)
	b.refused("do not go together", as("withdraw", "settings", "--delay", "1h", "--no-delay")...)
	b.refused("with a colon between", as("withdraw", "settings", "--allow", shop)...)
	b.refused("stands alone", as("withdraw", "settings", "--none", "--only")...)
	out := b.must(as("withdraw", "BTC", "0.5", shop, "--yes", "-o", "json")...)
	b.matches(out, `"withdrawal": 5`, `"max_fee": "0\.0000`)
}

// liars show other addresses than those of the bank.
func (b *bankShop) liars(alice, own string) {
	b.Helper()
	evil := "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
	liar := b.liar(func(path string, body []byte) []byte {
		if !strings.Contains(path, "/addresses") {
			return body
		}
		return regexp.MustCompile(`bcrt1[0-9a-z]+`).ReplaceAll(body, []byte(evil))
	})
	out, status := b.souk(b.as(b.forgetful(alice), []string{liar, b.URLs[1]}, "deposit", "BTC")...)
	if status != 0 || strings.Contains(out, "address  "+evil) {
		b.Errorf("%d: %s", status, out)
	}
	b.matches(out, "WARNING: server "+regexp.QuoteMeta(liar)+" shows an address that is not derived from the bank's keys .*do not pay to it", `address +bcrt1q`)
	b.liesOfSettings(alice, evil)
	lies := b.liar(func(path string, body []byte) []byte {
		return regexp.MustCompile(`bcrt1[0-9a-z]+`).ReplaceAll(body, []byte(evil))
	})
	out, status = b.souk(b.as(b.forgetful(alice), []string{liar, lies}, "deposit", "BTC")...)
	if status == 0 || strings.Contains(out, "address  ") {
		b.Errorf("%d: %s", status, out)
	}
	b.matches(out, "shows an address that is not derived from the bank's keys")
}

// liesOfSettings has a server say that an address of its own is allowed: whoever changes
// something else does not sign that.
func (b *bankShop) liesOfSettings(alice, evil string) {
	b.Helper()
	n, _ := script.ByName(exchangetest.BankNetwork)
	out, err := n.ParseAddress(evil)
	if err != nil {
		b.Fatal(err)
	}
	liar := b.liar(func(path string, body []byte) []byte {
		if !strings.Contains(path, "/withdrawal-settings") {
			return body
		}
		return regexp.MustCompile(`"allowed":\[`).ReplaceAll(body, fmt.Appendf(nil, `"allowed":[{"bank":1,"symbol":"BTC","address":%q,"script":"%x"}`, evil, out))
	})
	as := b.as(b.forgetful(alice), []string{liar, b.URLs[1]}, "withdraw", "settings", "--delay", "14h")
	if text, status := b.souk(as...); status != 0 || strings.Contains(text, evil) {
		b.Errorf("%d: %s", status, text)
	}
}

// ballots are votes of the members on banks.
func (b *bankShop) ballots(as func(...string) []string) {
	b.Helper()
	vote := func(home int, args ...string) []string {
		return append(append([]string{"vote"}, args...), "--home", string(b.Homes[home]), "--passphrase-file", b.Homes[home].PassphraseFile())
	}
	b.matches(b.must(vote(0, "limits", "BTC", "--max-per-hour", "50")...), `set the limits of the bank of BTC: most in an hour 100\.00000000 -> 50\.00000000`)
	b.matches(b.must("vote", "list", "--home", string(b.Homes[1])), `most in an hour 100\.00000000 -> 50\.00000000`)
	rules := b.Founding.Params
	rules.VoteBlocks /= 2
	b.matches(b.must(vote(0, "on", hex.EncodeToString(roster.AppendAction(nil, roster.SetParams{Params: rules.Append(nil)}, 0)))...), `set the rules: blocks for which a vote is open 100000 -> 50000\n`)
	b.matches(b.must("vote", "list", "--home", string(b.Homes[1])), `set the rules: blocks for which a vote is open 100000 -> 50000\n`)
	b.refused("say what to change", vote(0, "limits", "BTC")...)
	b.refused("not halted", vote(0, "lift-bank", "BTC")...)
	b.refused("to open a new series of the bank of BTC, .*: the keys must be others|each of these members must", vote(0, "open-series", "BTC", "all")...)
	for i := range 3 {
		b.matches(b.must(vote(i, "halt-banks")...), "halt all banks: nothing is credited or paid")
	}
	b.shows(as("bank"), "ALL BANKS ARE HALTED: the members voted so")
	home := string(b.Homes[0])
	b.shows([]string{"status", "--home", home}, `banks +halted\n +BAD: ALL BANKS ARE HALTED: the members voted so.*souk vote lift-bank ASSET`, `bank of BTC +bitcoin-regtest: agreed up to block \d+ by 3 of 4 members`, `note: server-\d does not see the chain, or is late`)
	b.refused(`(?m)^BAD +banks +ALL BANKS ARE HALTED: the members voted so(.|\n)*^note +bank of BTC +server-\d does not see the chain`, "doctor", "--home", home)
	b.refused(`3 members would be left, and there is no series of keys with 3(.|\n)*souk vote add-member CARD(.|\n)*Nothing was voted; --anyway`, vote(0, "remove-member", "server-4")...)
	b.shows([]string{"federation", "rotate", "--show", "--home", home}, `its keys are those of the present members`, `BTC: all coins are of series 0`)
	b.shows([]string{"federation", "rotate", "--show", "--without", "server-4", "--home", home}, `Moving takes about 0\.0000\d+ BTC at the fee rate of now, out of the reserve, which has 0\.00000000 BTC: 0\.0000\d+ BTC are missing. Who has an account gives them by: souk donate BTC 0\.0000\d+`, `it cannot rotate yet: a series of 3 members is not possible`)
	for i := range 3 {
		b.matches(b.must(vote(i, "lift-bank", "BTC")...), "end the halt for ")
	}
	b.shows(as("bank", "-o", "json"), `"network": "bitcoin-regtest"`)
	b.must(as("donate", "BTC", "0.01")...)
	b.shows(as("bank", "BTC"), `of which 0\.01\d+ are the reserve`)
}
