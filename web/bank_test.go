package web_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/script"
	"souk/threshold"
	"souk/web"
)

// banked is a federation with a bank, and the bank's chain.
type banked struct {
	*federation
	t     *testing.T
	chain *exchangetest.Chain
	said  uint32
}

func newBanked(t *testing.T, config web.Config) *banked {
	t.Helper()
	f := foundFederation(t, exchangetest.BankFounding(4), config)
	f.fund("alice", "bob")
	return &banked{federation: f, t: t, chain: exchangetest.NewChain(&exchangetest.World{}), said: exchangetest.BankStart}
}

// member signs for a member's server.
func member(i int) *api.Signer {
	name := exchangetest.MemberName(i)
	return &api.Signer{Account: exchangetest.Address(name), Key: exchangetest.Key(name + "/server")}
}

// attest lets members say what is new on the chain, the first ones or all.
func (b *banked) attest(members int) {
	b.t.Helper()
	body := b.chain.Attestation(b.said)
	for i := range members {
		must(b.t, b.client().As(member(i)), body)
	}
	if members == len(b.nodes) {
		b.said = b.chain.Tip
	}
}

// mine mines blocks, and all members say so.
func (b *banked) mine(blocks uint32) {
	b.t.Helper()
	b.chain.Mine(blocks)
	b.attest(4)
}

// address asks for a deposit address.
func (b *banked) address(who string) (series, index uint32) {
	b.t.Helper()
	n := must(b.t, b.client().As(signer(who)), &exchange.NewAddress{Bank: 1, Salt: custody.Salt{1, 2, 3}}).Number
	return uint32(n >> 32), uint32(n)
}

// deposit credits an amount to somebody.
func (b *banked) deposit(who string, amount asset.Amount) script.Outpoint {
	b.t.Helper()
	series, index := b.address(who)
	at := b.chain.Pay(series, index, amount)
	b.mine(6)
	return at
}

// state looks at the first server's state.
func (b *banked) state(read func(s *exchange.State)) {
	b.t.Helper()
	if err := b.nodes[0].replica.View(read); err != nil {
		b.t.Fatal(err)
	}
}

// withdraw asks for a withdrawal and waits until a transaction pays it.
func (b *banked) withdraw(who string, amount asset.Amount) uint64 {
	b.t.Helper()
	ask := &exchange.Withdraw{Request: custody.Request{Bank: 1, Script: exchangetest.Output("shop"), Amount: amount, MaxFee: 1e6}}
	id := must(b.t, b.client().As(signer(who)), ask).Number
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		batch := uint64(0)
		b.state(func(s *exchange.State) {
			w, _ := s.Banks().Withdrawal(custody.ID(id))
			batch = w.Batch
		})
		if batch != 0 {
			return id
		}
	}
	b.t.Fatal("no transaction pays the withdrawal")
	return 0
}

// sign lets members sign the first transaction that is not settled; spoiled ones sign wrongly.
func (b *banked) sign(members []int, spoiled int) {
	b.t.Helper()
	for _, i := range members {
		var body *exchange.Sign
		b.state(func(s *exchange.State) {
			info, _ := s.Banks().Bank(1)
			batch, _ := s.Banks().Batch(1, info.Live[0])
			tx, _ := s.Banks().Transaction(1, batch.Number, 1)
			n, _ := script.ByName(info.Network)
			plan := &threshold.Plan{Network: n, Version: script.Version, Sequence: script.SequenceReplace, Outputs: tx.Outputs}
			for _, in := range batch.Inputs {
				plan.Inputs = append(plan.Inputs, threshold.Coin{At: in.At, Amount: in.Amount, Series: in.Series, Branch: in.Branch, Index: in.Index})
			}
			x, _, _ := s.Banks().SeriesOf(1, 0)
			session, err := (&threshold.Multisig{Series: []*script.Series{&x}}).Open(plan)
			if err != nil {
				b.t.Fatal(err)
			}
			said, err := session.Sign(exchangetest.MemberKey(exchangetest.MemberName(i)), nil)
			if err != nil {
				b.t.Fatal(err)
			}
			body = &exchange.Sign{Signature: custody.Signature{Bank: 1, Batch: batch.Number, Version: 1}}
			for _, p := range said {
				if i == spoiled {
					p.Signature[9] ^= 1
				}
				body.Signatures = append(body.Signatures, p.Signature)
			}
		})
		must(b.t, b.client().As(member(i)), body)
	}
}

// mineBatches puts transactions that are not settled into a block, and goes on from there.
func (b *banked) mineBatches(blocks uint32) {
	b.t.Helper()
	b.state(func(s *exchange.State) {
		b.chain.World = &exchangetest.World{State: s}
		b.chain.MineBatches()
	})
	b.mine(blocks)
}

// Anybody sees what a bank has, owes and does, who attests, and who signs wrongly (H-100, H-102).
func TestBanks(t *testing.T) {
	t.Parallel()
	b := newBanked(t, web.Config{})
	ctx, c := within(t, 60*time.Second), b.client()
	b.deposit("alice", 3*exchangetest.Coin)
	at := b.deposit("bob", 2*exchangetest.Coin)
	b.withdraw("alice", exchangetest.Coin)
	b.sign([]int{0, 1, 2}, 2)

	all, err := c.Banks(ctx)
	if err != nil || len(all.Banks) != 1 || all.Halt != nil || all.Banks[0].Symbol != "TBC" || all.Banks[0].Network != exchangetest.BankNetwork {
		t.Fatalf("banks %+v: %v", all, err)
	}
	page, err := c.Bank(ctx, "TBC")
	if err != nil {
		t.Fatal(err)
	}
	if same, err := c.Bank(ctx, "4"); err != nil || same.ID != page.ID {
		t.Errorf("by number: %v", err)
	}
	if page.Sums.Free != "2.00000000" && page.Sums.Free != "3.00000000" || !page.Sums.Balanced || page.Sums.Supply != page.Sums.Books || page.Sums.Deficit != "0.00000000" {
		t.Errorf("sums %+v", page.Sums)
	}
	if page.Batches != 1 || len(page.Unsettled) != 1 || page.Waiting != 0 || page.Coins != 2 || len(page.Wallets) != 4 || page.HourUsed == "" ||
		page.Threshold != 3 || page.Keys != 4 || page.Tip.Height != b.chain.Tip || page.Rate != 2000 || page.NeedsVotes != 3 {
		t.Errorf("page %+v", page)
	}
	x := page.Unsettled[0]
	wrong, missing := b.numberOf(2), b.numberOf(3)
	if x.Kind != "payout" || x.Payouts != 1 || x.Needed != 3 || len(x.Signed) != 2 || !slices.Equal(x.Wrong, []uint32{wrong}) || !slices.Equal(x.Missing, []uint32{missing}) {
		t.Errorf("transaction %+v; wrong is %d, missing %d", x, wrong, missing)
	}
	for _, m := range page.Attestors {
		if m.Height != b.chain.Tip || m.Behind != 0 || m.Late || m.Wrong != 0 || m.Key == "" || !m.InSeries ||
			(m.BadSigns == 1) != (m.Member == wrong) || (m.Unsigned == 1) != (m.Member == missing) || m.SignLate {
			t.Errorf("member %+v", m)
		}
	}
	if len(page.AllSeries) != 1 || page.AllSeries[0].Coins != 2 || page.AllSeries[0].Amount != "5.00000000" || page.AllSeries[0].Addresses != 2 || len(page.AllSeries[0].Keys) != 4 {
		t.Errorf("series %+v", page.AllSeries)
	}
	coins, err := c.Coins(ctx, "TBC", "")
	if err != nil || len(coins.Coins) != 2 || coins.Next != "" {
		t.Fatalf("coins %+v: %v", coins, err)
	}
	if !slices.ContainsFunc(coins.Coins, func(x api.Coin) bool { return x.Tx == at.Tx.String() && x.Amount == "2.00000000" && x.Branch == 1 }) {
		t.Errorf("coins %+v", coins)
	}
	first := call(t, b.nodes[0], "GET", "/v1/banks/TBC/coins?limit=1", nil, nil)
	if !strings.Contains(string(first.body), `"next"`) {
		t.Errorf("a page of one: %s", first.body)
	}
	next, err := c.Coins(ctx, "TBC", coins.Coins[0].Tx+":"+strconv.Itoa(int(coins.Coins[0].Output)))
	if err != nil || len(next.Coins) != 1 || next.Coins[0].Tx != coins.Coins[1].Tx {
		t.Errorf("behind the first: %+v, %v", next, err)
	}
	// One member falls behind.
	b.chain.Mine(8)
	b.attest(3)
	if page, err = c.Bank(ctx, "TBC"); err != nil {
		t.Fatal(err)
	}
	for _, m := range page.Attestors {
		if late := m.Member == missing; m.Late != late || (m.Behind == 8) != late {
			t.Errorf("member %+v", m)
		}
	}
	for _, target := range []string{"/v1/banks/ZZZ", "/v1/banks/EUR", "/v1/banks/1", "/v1/banks/TBC/series/1", "/v1/banks/ZZZ/coins"} {
		if a := call(t, b.nodes[0], "GET", target, nil, nil); a.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", target, a.status, a.body)
		}
	}
}

// numberOf is the number of a member by its place in names.
func (f *federation) numberOf(i int) uint32 {
	n := slices.IndexFunc(f.founding.Members, func(c exchange.Card) bool { return c.Name == exchangetest.MemberName(i) })
	return uint32(n + 1)
}

// Without banks there are none, and an account has nothing to do with them.
func TestNoBanks(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 1, web.Config{})
	f.fund("alice")
	ctx, c := within(t, 20*time.Second), f.client()
	if all, err := c.Banks(ctx); err != nil || len(all.Banks) != 0 || all.Banks == nil {
		t.Errorf("%+v, %v", all, err)
	}
	alice := signer("alice")
	if x, err := c.Addresses(ctx, alice, api.BankedPage{}); err != nil || x.Addresses == nil || len(x.Addresses) != 0 {
		t.Errorf("%+v, %v", x, err)
	}
	if x, err := c.Deposits(ctx, alice, api.BankedPage{}); err != nil || len(x.Deposits) != 0 {
		t.Errorf("%+v, %v", x, err)
	}
	if x, err := c.Withdrawals(ctx, alice, api.BankedPage{}); err != nil || len(x.Withdrawals) != 0 {
		t.Errorf("%+v, %v", x, err)
	}
	if x, err := c.WithdrawalSettings(ctx, alice); err != nil || x.Now.Only || x.Next != nil {
		t.Errorf("%+v, %v", x, err)
	}
	if _, err := c.Bank(ctx, "BTC"); !api.IsNotFound(err) {
		t.Error(err)
	}
}

// An owner follows deposits and withdrawals from the first sight to the end (H-101).
func TestOwned(t *testing.T) {
	t.Parallel()
	b := newBanked(t, web.Config{})
	ctx, c, alice := within(t, 60*time.Second), b.client(), signer("alice")
	series, index := b.address("alice")
	list, err := c.Addresses(ctx, alice, api.BankedPage{Bank: "TBC"})
	if err != nil || len(list.Addresses) != 1 || list.Addresses[0].Index != index || list.Addresses[0].Used || !strings.HasPrefix(list.Addresses[0].Address, "bcrt1q") {
		t.Fatalf("addresses %+v: %v", list, err)
	}
	at := b.chain.Pay(series, index, 3*exchangetest.Coin)
	b.chain.Mine(1)
	one := func(state string) api.Deposit {
		t.Helper()
		x, err := c.Deposits(ctx, alice, api.BankedPage{})
		if err != nil || len(x.Deposits) != 1 || x.Deposits[0].State != state || x.Deposits[0].Tx != at.Tx.String() || x.Deposits[0].Amount != "3.00000000" {
			t.Fatalf("deposits %+v, not %s: %v", x, state, err)
		}
		return x.Deposits[0]
	}
	body := b.chain.Attestation(b.said)
	must(t, c.As(member(0)), body)
	if x := one(api.DepositSeen); x.Members != 1 || x.Needed != 3 || x.Address != list.Addresses[0].Address {
		t.Errorf("%+v", x)
	}
	b.attest(4)
	if x := one(api.DepositDeep); x.Depth != 1 || x.Required != 2 {
		t.Errorf("%+v", x)
	}
	b.mine(1)
	if x := one(api.DepositCredited); x.Depth != 2 {
		t.Errorf("%+v", x)
	}
	id := b.withdraw("alice", exchangetest.Coin)
	paid := func(state string) api.Withdrawal {
		t.Helper()
		x, err := c.Withdrawals(ctx, alice, api.BankedPage{})
		if err != nil || len(x.Withdrawals) != 1 || x.Withdrawals[0].ID != id || x.Withdrawals[0].State != state || x.Withdrawals[0].Amount != "1.00000000" {
			t.Fatalf("withdrawals %+v, not %s: %v", x, state, err)
		}
		return x.Withdrawals[0]
	}
	if x := paid(api.WithdrawalSigning); x.Signed != 0 || x.Needed != 3 || x.Tx == "" || x.Fee == "" || x.Version != 1 {
		t.Errorf("%+v", x)
	}
	b.sign([]int{0, 1, 3}, -1)
	paid(api.WithdrawalSigned)
	b.mineBatches(1)
	tx := paid(api.WithdrawalMined)
	if tx.Depth != 1 || tx.Required != 2 {
		t.Errorf("%+v", tx)
	}
	b.mine(6)
	if x := paid(api.WithdrawalPaid); x.Tx != tx.Tx || x.Output != tx.Output || x.Fee != tx.Fee || x.Script != hex.EncodeToString(exchangetest.Output("shop")) || x.Depth != 7 || x.Time == 0 {
		t.Errorf("%+v, mined as %+v", x, tx)
	}
	one(api.DepositCredited)
	if x, err := c.Addresses(ctx, alice, api.BankedPage{Unused: true}); err != nil || len(x.Addresses) != 0 {
		t.Errorf("unused %+v: %v", x, err)
	}
	// One above the bound of the delay waits, and says why.
	b.deposit("alice", 9*exchangetest.Coin)
	ask := &exchange.Withdraw{Request: custody.Request{Bank: 1, Script: exchangetest.Output("new"), Amount: 6 * exchangetest.Coin, MaxFee: 1e6}}
	must(t, c.As(alice), ask)
	x, err := c.Withdrawals(ctx, alice, api.BankedPage{Limit: 1})
	if err != nil || len(x.Withdrawals) != 1 || x.Withdrawals[0].State != api.WithdrawalDelayed || x.Withdrawals[0].Reason != api.WaitsForTime || x.Next == 0 {
		t.Errorf("%+v, %v", x, err)
	}
	rest, err := c.Withdrawals(ctx, alice, api.BankedPage{Before: strconv.FormatUint(x.Next, 10)})
	if err != nil || len(rest.Withdrawals) != 1 || rest.Withdrawals[0].ID != id {
		t.Errorf("%+v, %v", rest, err)
	}
	rules := &exchange.SetWithdrawals{Settings: custody.Settings{Only: true, Delay: 50, Allowed: []custody.Allowed{{Bank: 1, Script: exchangetest.Output("home")}}}}
	must(t, c.As(alice), rules)
	set, err := c.WithdrawalSettings(ctx, alice)
	if err != nil || set.Wait != 1000 || set.Next == nil || !set.Next.Only || set.Next.Allowed[0].Address == "" || set.From <= set.Time {
		t.Errorf("%+v, %v", set, err)
	}
}

// What waits is told in pages that go on (H-34).
func TestOwnedPages(t *testing.T) {
	t.Parallel()
	b := newBanked(t, web.Config{})
	ctx, c, alice := within(t, 60*time.Second), b.client(), signer("alice")
	for range 5 {
		series, index := b.address("alice")
		b.chain.Pay(series, index, exchangetest.Coin)
		b.chain.Mine(1)
	}
	b.attest(4)
	var seen []string
	page := api.BankedPage{Limit: 2}
	for {
		x, err := c.Deposits(ctx, alice, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range x.Deposits {
			seen = append(seen, d.State+d.Tx)
		}
		if page.Before = x.Next; x.Next == "" {
			break
		}
	}
	if slices.Sort(seen); len(slices.Compact(seen)) != 5 {
		t.Errorf("%d deposits: %v", len(seen), seen)
	}
	var indexes []uint32
	for page = (api.BankedPage{Limit: 2}); ; {
		x, err := c.Addresses(ctx, alice, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range x.Addresses {
			indexes = append(indexes, a.Index)
		}
		if page.Before = x.Next; x.Next == "" {
			break
		}
	}
	if !slices.Equal(indexes, []uint32{4, 3, 2, 1, 0}) {
		t.Errorf("addresses %v", indexes)
	}
	for _, query := range []string{"before=x", "before=1-2", "at=1", "at=a-b", "limit=101", "bank=EUR", "limit=50&proof=1"} {
		target := "/v1/accounts/" + alice.Account.String() + "/addresses?" + query
		if a := call(t, b.nodes[0], "GET", target, nil, signed(b.federation, "alice", "GET", target)); a.status/100 != 4 {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
}

// vault derives addresses, with proofs from some servers.
func (b *banked) vault(ctx context.Context, urls ...string) (*api.Vault, error) {
	return clientOf(b.t, b.federation, urls...).Vault(ctx, api.NewVerifier(b.federation), exchangetest.TBC)
}

// A client derives every deposit address itself: whatever one server shows, nobody pays
// to it, and the server is named (H-103).
func TestAddressLiars(t *testing.T) {
	t.Parallel()
	b := newBanked(t, web.Config{})
	ctx := within(t, 60*time.Second)
	b.address("bob")
	series, index := b.address("alice")
	honest := b.nodes[1].url
	v, err := b.vault(ctx, honest)
	if err != nil {
		t.Fatal(err)
	}
	own, err := v.Own(ctx, signer("alice"), series, index)
	if err != nil || len(own.Liars) != 0 || own.Salt != (custody.Salt{1, 2, 3}) {
		t.Fatalf("%+v, %v", own, err)
	}
	if unused, err := v.Unused(ctx, signer("alice")); err != nil || unused == nil || unused.Text != own.Text {
		t.Errorf("%+v, %v", unused, err)
	}
	bobs, err := v.Derive(ctx, 0, 0)
	if err != nil || bobs.Text == own.Text {
		t.Fatalf("%+v, %v", bobs, err)
	}
	target := "/v1/accounts/" + signer("bob").Account.String() + "/addresses?at=0-0&bank=TBC&proof=1"
	ofBob := call(t, b.nodes[0], "GET", target, nil, signed(b.federation, "bob", "GET", target))
	if ofBob.status != http.StatusOK {
		t.Fatalf("%s", ofBob.body)
	}
	for name, lie := range map[string]struct {
		url           string
		series, index uint32
	}{
		"another address": {lying(t, b.nodes[0], everywhere("address", own.Text, bobs.Text)), series, index},
		"the liar's own":  {lying(t, b.nodes[0], everywhere("address", own.Text, "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080")), series, index},
		"of bob":          {answering(t, b.nodes[0], "/addresses", ofBob.body), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := b.vault(ctx, lie.url)
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Own(ctx, signer("alice"), lie.series, lie.index)
			if !errors.Is(err, api.ErrAddress) || !strings.Contains(err.Error(), "server "+lie.url+" shows an address") || !strings.HasSuffix(err.Error(), "do not pay to it") {
				t.Errorf("alone: %v", err)
			}
			if name == "of bob" {
				return
			}
			if v, err = b.vault(ctx, lie.url, honest); err != nil {
				t.Fatal(err)
			}
			got, err := v.Own(ctx, signer("alice"), lie.series, lie.index)
			if err != nil || got.Text != own.Text {
				t.Errorf("beside an honest one: %+v, %v", got, err)
			}
		})
	}
	// An older one of hers, as if it were new or nothing had been paid to it.
	old, err := v.Fresh(ctx, signer("alice"), series, index, custody.Salt{1, 2, 3}, honest)
	if err != nil || old.Text != own.Text {
		t.Fatalf("%+v, %v", old, err)
	}
	_, err = v.Fresh(ctx, signer("alice"), series, index, custody.Salt{4}, honest)
	if !errors.Is(err, api.ErrAddress) || !strings.Contains(err.Error(), "server "+honest+" says that your new address is "+own.Text+", but that is an older one of yours") {
		t.Errorf("an old address for a new one: %v", err)
	}
	before := map[string]any{}
	text := recorded(t, b.federation, "alice", "/v1/accounts/"+signer("alice").Account.String()+"/addresses?bank=TBC&unused=1&limit=1")
	if err := json.Unmarshal(text, &before); err != nil {
		t.Fatal(err)
	}
	b.chain.Pay(series, index, exchangetest.Coin)
	b.mine(6)
	liar := lying(t, b.nodes[0], func(v map[string]any) {
		if list, ok := v["addresses"].([]any); ok && len(list) == 0 {
			v["addresses"] = before["addresses"]
		}
	})
	if v, err = b.vault(ctx, liar); err != nil {
		t.Fatal(err)
	}
	_, err = v.Unused(ctx, signer("alice"))
	if !errors.Is(err, api.ErrAddress) || !strings.Contains(err.Error(), "server "+liar+" says that nothing was paid to "+own.Text) {
		t.Errorf("a used address for an unused one: %v", err)
	}
	_, err = v.Fresh(ctx, signer("alice"), series, index, custody.Salt{1, 2, 3}, liar)
	if !errors.Is(err, api.ErrAddress) || !strings.Contains(err.Error(), "something was paid to it before") {
		t.Errorf("a used address for a new one: %v", err)
	}
	newest, again := b.address("alice")
	if v, err = b.vault(ctx, liar, honest); err != nil {
		t.Fatal(err)
	}
	if a, err := v.Unused(ctx, signer("alice")); err != nil || a.Address.Series != newest || a.Index != again {
		t.Errorf("beside an honest one: %+v, %v", a, err)
	}
	// Keys that are not the bank's are not proven.
	keys := everywhere("leaf", nil, "AAAA")
	alone, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	if v, err := b.vault(alone, lying(t, b.nodes[0], keys)); err == nil {
		if _, err := v.Own(alone, signer("alice"), series, index); err == nil {
			t.Error("keys without proof were believed")
		}
	}
}
