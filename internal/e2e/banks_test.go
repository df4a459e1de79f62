package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/internal/chainnode"
	"souk/internal/cluster"
	"souk/internal/outside"
	"souk/internal/ports"
	"souk/node"
	"souk/script"
	"souk/store/sealed"
)

// banked is a federation whose assets have banks on chains of this machine.
type banked struct {
	*federation
	coins  map[string]*outside.Chain // by symbol
	setup  node.LocalSetup
	chains string // file that tells souk audit of the world's nodes
}

// withBanks founds a federation of four with a bank for each kind of node. If light is
// set, the last server sees bitcoin through a light client.
func withBanks(t *testing.T, light bool, kinds ...chainnode.Kind) *banked {
	t.Helper()
	return withTerms(t, light, func(*node.BankTerms) {}, kinds...)
}

// withTerms is withBanks, and changes what the founding terms say of each bank.
func withTerms(t *testing.T, light bool, change func(*node.BankTerms), kinds ...chainnode.Kind) *banked {
	t.Helper()
	s := setup(t, 4)
	dir := t.TempDir()
	b := &banked{coins: map[string]*outside.Chain{}, chains: filepath.Join(dir, "chains.toml")}
	s.Chains = map[string]node.ChainConfig{}
	var own strings.Builder
	for _, kind := range kinds {
		symbol := kind.Network().Ticker
		c, err := outside.Start(within(t, 5*time.Minute), symbol, kind, dir, os.Stderr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Stop() })
		b.coins[symbol] = c
		name := c.Network().Name
		terms := node.BankTerms{Asset: symbol, Network: name}
		change(&terms)
		s.Banks = append(s.Banks, terms)
		s.Chains[name] = c.Config(c.Inside())
		x := c.Config(c.World())
		fmt.Fprintf(&own, "[chains.%s]\nkind = %q\nurl = %q\nuser = %q\npassword_file = %q\n", name, x.Kind, x.URL, x.User, x.PasswordFile)
	}
	if err := os.WriteFile(b.chains, []byte(own.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Found(binary, s)
	if err != nil {
		t.Fatal(err)
	}
	if light {
		lighten(t, c.Homes[3], b.coins["BTC"])
	}
	for i := range c.Homes {
		if err := c.Restart(i); err != nil {
			t.Fatal(errors.Join(err, c.Close()))
		}
	}
	b.federation, b.setup = follow(t, c), s
	return b
}

// lighten makes a server look at bitcoin through a light client.
func lighten(t *testing.T, home node.Home, c *outside.Chain) {
	t.Helper()
	file := filepath.Join(string(home), "config.toml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?s)(\n\[chains\.` + c.Network().Name + `\]\n).*?(\n\[|$)`)
	if !section.Match(data) {
		t.Fatalf("no section of %s in\n%s", c.Network().Name, data)
	}
	text := fmt.Sprintf("${1}kind = \"light\"\npeers = [%q]\n${2}", c.Inside().Peer())
	if err := os.WriteFile(file, section.ReplaceAll(data, []byte(text)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// saver is somebody with an account and a deposit address at each bank.
type saver struct {
	b    *banked
	name string
	who  *api.Signer
	out  map[string][]byte // by symbol
}

func (b *banked) saver(name string) *saver {
	b.t.Helper()
	s := &saver{b, name, api.OwnerOf(keyOf(name)), map[string][]byte{}}
	admitted := false
	for symbol, c := range b.coins {
		if !admitted {
			r, err := b.client.Admit(within(b.t, 30*time.Second), s.who, symbol, custody.Salt{1})
			must(b.t, []exchange.Receipt{r}, err)
			admitted = true
		} else {
			page, err := b.client.Bank(within(b.t, 30*time.Second), symbol)
			if err != nil {
				b.t.Fatal(err)
			}
			r, err := b.client.As(s.who).Do(within(b.t, 30*time.Second), &exchange.NewAddress{Bank: custody.Bank(page.ID), Salt: custody.Salt{2}})
			must(b.t, r, err)
		}
		own, err := b.client.Addresses(within(b.t, 30*time.Second), s.who, api.BankedPage{Bank: symbol})
		if err != nil || len(own.Addresses) != 1 {
			b.t.Fatal(own, err)
		}
		if s.out[symbol], err = c.Network().ParseAddress(own.Addresses[0].Address); err != nil {
			b.t.Fatal(err)
		}
	}
	return s
}

// pay pays a saver from outside.
func (s *saver) pay(symbol string, amount asset.Amount) script.Outpoint {
	s.b.t.Helper()
	at, err := s.b.coins[symbol].Pay(within(s.b.t, time.Minute), s.out[symbol], amount)
	if err != nil {
		s.b.t.Fatal(err)
	}
	return at
}

func (b *banked) mine(symbol string, blocks int) {
	b.t.Helper()
	c := b.coins[symbol]
	if err := c.Mine(within(b.t, time.Minute), blocks); err != nil {
		b.t.Fatal(err)
	}
	if err := c.Same(within(b.t, time.Minute)); err != nil {
		b.t.Fatal(err)
	}
}

// attested waits until all members have attested the world's last block.
func (b *banked) attested(symbol string) *api.BankPage {
	b.t.Helper()
	var page *api.BankPage
	tip, err := b.coins[symbol].Tip(within(b.t, time.Minute))
	if err != nil {
		b.t.Fatal(err)
	}
	eventually(b.t, time.Minute, "all members attest block "+fmt.Sprint(tip.Height), func() (err error) {
		if page, err = b.client.Bank(b.t.Context(), symbol); err != nil {
			return err
		}
		for i := range page.Attestors {
			if m := &page.Attestors[i]; b.Running(b.index(m.Name)) && m.Height != tip.Height {
				return fmt.Errorf("%s has attested block %d", m.Name, m.Height)
			}
		}
		return nil
	})
	return page
}

// index is which server a member's is.
func (b *banked) index(name string) int {
	for i, h := range b.Homes {
		if card, err := h.Card(); err == nil && card.Name == name {
			return i
		}
	}
	b.t.Fatalf("no server is called %q", name)
	return 0
}

// deposit is what the owner is told of a payment.
func (s *saver) deposit(at script.Outpoint) (d api.Deposit, err error) {
	list, err := s.b.client.Deposits(s.b.t.Context(), s.who, api.BankedPage{})
	if err != nil {
		return d, err
	}
	for i := range list.Deposits {
		if x := &list.Deposits[i]; x.Tx == at.Tx.String() && x.Output == at.Index {
			return *x, nil
		}
	}
	return d, errors.New("it is not told of")
}

// has wants the saver to have something available.
func (s *saver) has(symbol, want string) error {
	a, err := s.b.client.Account(s.b.t.Context(), s.who)
	if err != nil {
		return err
	}
	got := "0.00000000"
	for _, x := range a.Balances {
		if x.Symbol == symbol {
			got = x.Available
		}
	}
	if got != want {
		return fmt.Errorf("%s has %s %s, not %s", s.name, got, symbol, want)
	}
	return nil
}

// bound is what a withdrawal's share of the fee may be: more than nodes of a chain
// that has hardly any transactions estimate.
const bound asset.Amount = 1_000_000

// withdraw asks for a payment to somebody outside, and answers its output.
func (s *saver) withdraw(symbol string, amount asset.Amount) (id uint64, out []byte) {
	s.b.t.Helper()
	out = chainnode.NewWallet(s.name + s.b.t.Name()).Script()
	page, err := s.b.client.Bank(within(s.b.t, 30*time.Second), symbol)
	if err != nil {
		s.b.t.Fatal(err)
	}
	ask := &exchange.Withdraw{Request: custody.Request{Bank: custody.Bank(page.ID), Script: out, Amount: amount, MaxFee: bound}}
	r, err := s.b.client.As(s.who).Do(within(s.b.t, 30*time.Second), ask)
	must(s.b.t, r, err)
	return r[0].Number, out
}

// withdrawal is what the owner is told of one.
func (s *saver) withdrawal(id uint64) (w api.Withdrawal, err error) {
	list, err := s.b.client.Withdrawals(s.b.t.Context(), s.who, api.BankedPage{})
	if err != nil {
		return w, err
	}
	for i := range list.Withdrawals {
		if list.Withdrawals[i].ID == id {
			return list.Withdrawals[i], nil
		}
	}
	return w, errors.New("it is not told of")
}

// paid mines until a withdrawal has arrived at the world's node, exact to the unit.
func (s *saver) paid(symbol string, id uint64, out []byte) api.Withdrawal {
	s.b.t.Helper()
	c := s.b.coins[symbol]
	var w api.Withdrawal
	eventually(s.b.t, 2*time.Minute, "the withdrawal is mined", func() (err error) {
		if w, err = s.withdrawal(id); err != nil {
			return err
		}
		if w.State != api.WithdrawalMined && w.State != api.WithdrawalPaid {
			ctx, cancel := context.WithTimeout(s.b.t.Context(), 20*time.Second)
			defer cancel()
			time.Sleep(300 * time.Millisecond)
			return errors.Join(fmt.Errorf("%s: %s %s", w.State, w.Reason, w.Tx), c.Mine(ctx, 1))
		}
		return nil
	})
	var got asset.Amount
	err := c.Miner(func(m *chainnode.Miner) (err error) {
		got, err = m.Received(within(s.b.t, time.Minute), out)
		return err
	})
	if want, perr := asset.Parse(w.Amount, 8); err != nil || perr != nil || got != want {
		s.b.t.Errorf("the receiver has %d, not %s: %v, %v", got, w.Amount, err, perr)
	}
	return w
}

// audit counts the banks' coins with the world's nodes.
func (b *banked) audit() (string, error) {
	id := b.Founding.ID()
	args := []string{"audit", "--chains", b.chains, "--id", fmt.Sprintf("%x", id[:])}
	for _, url := range b.URLs {
		args = append(args, "--server", url)
	}
	return try(b.t, "", args...)
}

// auditLight counts what is on bitcoin with a light client, as somebody does who has no node.
func (b *banked) auditLight() {
	btc, ltc := b.coins["BTC"], b.coins["LTC"]
	x := ltc.Config(ltc.World())
	id := b.Founding.ID()
	args := []string{
		"audit", "--id", fmt.Sprintf("%x", id[:]), "--timeout", "30s",
		"--chain", btc.Network().Name + "=light,peer=" + btc.World().Peer(),
		"--chain", fmt.Sprintf("%s=%s,user=%s,password-file=%s", ltc.Network().Name, x.URL, x.User, x.PasswordFile),
	}
	for _, url := range b.URLs {
		args = append(args, "--server", url)
	}
	cache := []string{"XDG_CACHE_HOME=" + b.t.TempDir()} // where it keeps headers, and this process its nodes
	eventually(b.t, time.Minute, "the light client finds all coins", func() error {
		out, err := tryWith(b.t, cache, "", args...)
		if err == nil && (!strings.Contains(out, "solvent") || strings.Contains(out, "insolvent")) {
			err = errors.New(out)
		}
		return err
	})
}

// Coins come in at their depth and not before, from a light client's eyes as from
// those of full nodes; a reorganisation below the depth is no event; with one of four
// servers down they go out, exact to the unit; and whoever wants can count them.
func TestBanks(t *testing.T) {
	beside(t)
	b := withBanks(t, true, chainnode.Btcd, chainnode.Ltcd)
	alice := b.saver("alice")
	for symbol, c := range b.coins {
		at := alice.pay(symbol, 3e8)
		need := int(c.Network().Depth(3e8))
		for depth := 1; depth < need; depth++ {
			b.mine(symbol, 1)
			b.attested(symbol)
			if err := alice.has(symbol, "0.00000000"); err != nil {
				t.Errorf("%d of %d blocks deep: %v", depth, need, err)
			}
			if d, err := alice.deposit(at); err != nil || d.State == api.DepositCredited || int(d.Depth) != depth || int(d.Required) != need {
				t.Errorf("%d of %d blocks deep: %+v, %v", depth, need, d, err)
			}
			eventually(t, 30*time.Second, "all four have seen it, the light client too", func() error {
				d, err := alice.deposit(at)
				if err == nil && d.Members != 4 {
					err = fmt.Errorf("%d have: %+v", d.Members, d)
				}
				return err
			})
		}
		// Another branch takes over below the depth, and the payment is in it again.
		if err := c.Miner(func(m *chainnode.Miner) error { return m.Reorganise(within(t, time.Minute), need-1, need) }); err != nil {
			t.Fatal(err)
		}
		if err := c.Same(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
		b.mine(symbol, need)
		eventually(t, time.Minute, symbol+" is credited", func() error { return alice.has(symbol, "3.00000000") })
		page := b.attested(symbol)
		if page.Halt != nil {
			t.Errorf("%s: a reorganisation below the depth halts: %+v", symbol, page.Halt)
		}
		for i := range page.Attestors {
			if m := &page.Attestors[i]; m.Wrong != 0 {
				t.Errorf("%s: %s was wrong %d times", symbol, m.Name, m.Wrong)
			}
		}
	}
	if out, err := b.audit(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	b.auditLight()
	bob := b.customer("bob")
	bob.receives()
	for symbol, c := range b.coins {
		b.mine(symbol, int(c.Network().Depth(3e8)))
	}
	bob.has()
	b.Kill(1)
	bob.sends()
	for symbol := range b.coins {
		id, out := alice.withdraw(symbol, 123_456_789)
		w := alice.paid(symbol, id, out)
		if fee, err := asset.Parse(w.Fee, 8); err != nil || fee == 0 || fee > bound {
			t.Errorf("%s: the fee is %s, %v", symbol, w.Fee, err)
		}
	}
	bob.lists()
	if err := b.Restart(1); err != nil {
		t.Fatal(err)
	}
	for symbol := range b.coins {
		b.mine(symbol, 8)
		b.attested(symbol)
	}
	if out, err := b.audit(); err != nil || !strings.Contains(out, "solvent") {
		t.Errorf("%v\n%s", err, out)
	}
	b.sound()
	b.unforked()
}

// A block that held a credited deposit is replaced: within two blocks of its being
// attested all banks halt, nothing goes below zero, and after a vote they go on.
func TestBankHalt(t *testing.T) {
	beside(t)
	b := withBanks(t, false, chainnode.Btcd)
	alice := b.saver("alice")
	alice.pay("BTC", 2e8)
	b.mine("BTC", 3)
	eventually(t, time.Minute, "it is credited", func() error { return alice.has("BTC", "2.00000000") })
	b.attested("BTC")
	c := b.coins["BTC"]
	if err := c.Miner(func(m *chainnode.Miner) error { return m.Reorganise(within(t, time.Minute), 3, 5) }); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the banks halt", func() error {
		page, err := b.client.Bank(t.Context(), "BTC")
		if err == nil && page.Halt == nil {
			err = errors.New("no halt")
		}
		return err
	})
	id, out := alice.withdraw("BTC", 1e8)
	b.mine("BTC", 3)
	b.attested("BTC")
	if w, err := alice.withdrawal(id); err != nil || w.State != api.WithdrawalWaiting || w.Reason != api.WaitsForLift {
		t.Errorf("while the banks are halted: %+v, %v", w, err)
	}
	b.vote(b.Founding.ID(), []int{0, 1, 2}, "lift-bank", "BTC", "--server", b.URLs[3]) // which bank that is, two servers must prove
	alice.paid("BTC", id, out)
	b.mine("BTC", 8)
	b.attested("BTC")
	if out, err := b.audit(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	b.sound()
}

// A fifth member joins, and is gone again: each time the coins move to the keys of
// those who are members, also what arrives at old addresses meanwhile, and at every
// moment whoever counts finds all of it.
func TestRotation(t *testing.T) {
	beside(t)
	b := withBanks(t, false, chainnode.Btcd)
	alice := b.saver("alice")
	for range 6 {
		alice.pay("BTC", 1e8)
	}
	b.mine("BTC", 4)
	eventually(t, time.Minute, "it is credited", func() error { return alice.has("BTC", "6.00000000") })
	r, err := b.client.As(alice.who).Do(within(t, 30*time.Second), &exchange.Donate{Bank: 1, Amount: 5e7}) // what moving costs
	must(t, r, err)

	fifth := b.join("server-5")
	b.rotate(5, 0, 1, 2, 3)
	alice.pay("BTC", 1e8)
	b.swept(alice)
	eventually(t, time.Minute, "what came to an old address is credited", func() error { return alice.has("BTC", "6.50000000") })

	m, err := b.member(0, fifth)
	if err != nil {
		t.Fatal(err)
	}
	b.vote(b.Founding.ID(), []int{0, 1, 2}, "remove-member", strconv.Itoa(int(m.ID)))
	eventually(t, time.Minute, "there are four members", func() error {
		s, err := b.client.Status(t.Context())
		if err == nil && len(s.Members) != 4 {
			err = fmt.Errorf("%d members", len(s.Members))
		}
		return err
	})
	if err := b.Stop(fifth); err != nil {
		t.Fatal(err)
	}
	b.rotate(4, 0, 1, 2)
	alice.pay("BTC", 1e8)
	b.swept(alice)
	eventually(t, time.Minute, "what came to an old address is credited", func() error { return alice.has("BTC", "7.50000000") })
	id, out := alice.withdraw("BTC", 7e8)
	alice.paid("BTC", id, out)
	b.mine("BTC", 8)
	b.attested("BTC")
	b.solvent()
}

// join makes a home for another member, whom all others vote in, and starts his server.
func (b *banked) join(name string) int {
	t := b.t
	t.Helper()
	home := node.Home(filepath.Join(t.TempDir(), name))
	free, err := ports.Claim(2)
	if err != nil {
		t.Fatal(err)
	}
	http, p2p := ports.Address(free[0]), ports.Address(free[1])
	if err := errors.Join(os.MkdirAll(string(home), 0o700), os.WriteFile(home.PassphraseFile(), []byte("correct horse battery staple\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err = node.Init(home, node.Setup{
		Name: name, URL: "http://" + http, P2P: p2p, Listen: http, Chains: b.setup.Chains,
		Pass: sealed.FromFile(home.PassphraseFile()), Work: sealed.TestWork, Now: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.vote(b.Founding.ID(), []int{0, 1, 2}, "add-member", home.CardFile())
	souk(t, "federation", "join", filepath.Join(filepath.Dir(string(b.Homes[0])), "founding"), "--home", string(home), "--listen", p2p)
	i := b.Add(home, "http://"+http)
	if err := b.Restart(i); err != nil {
		t.Fatal(err)
	}
	if err := b.CaughtUp(within(t, time.Minute), i); err != nil {
		t.Fatal(err)
	}
	return i
}

// rotate has some members vote for a series of all, once all keys have cooled down.
func (b *banked) rotate(keys int, voters ...int) {
	b.t.Helper()
	for n, i := range voters {
		eventually(b.t, 2*time.Minute, b.Homes[i].CardFile()+" votes for a rotation", func() error {
			_, err := try(b.t, "", "federation", "rotate", "--home", string(b.Homes[i]), "--passphrase-file", b.Homes[i].PassphraseFile())
			if err != nil && n == 0 { // a key cools down
				time.Sleep(time.Second)
			}
			return err
		})
	}
	eventually(b.t, time.Minute, "there is a new series", func() error {
		page, err := b.client.Bank(b.t.Context(), "BTC")
		if err == nil && len(page.AllSeries[0].Keys) != keys {
			err = fmt.Errorf("%d keys", len(page.AllSeries[0].Keys))
		}
		return err
	})
}

// swept mines until all coins are of the newest series.
func (b *banked) swept(s *saver) {
	b.t.Helper()
	eventually(b.t, 3*time.Minute, "all coins have moved", func() error {
		b.mine("BTC", 1)
		b.solvent()
		page, err := b.client.Bank(b.t.Context(), "BTC")
		if err != nil {
			return err
		}
		for _, x := range page.AllSeries[1:] {
			if x.Coins > 0 {
				return fmt.Errorf("series %d has %d coins, %s", x.Number, x.Coins, x.Amount)
			}
		}
		list, err := b.client.Deposits(b.t.Context(), s.who, api.BankedPage{})
		if err != nil {
			return err
		}
		for i := range list.Deposits {
			if d := &list.Deposits[i]; d.State != api.DepositCredited {
				return fmt.Errorf("a deposit is %s", d.State)
			}
		}
		return nil
	})
}

// solvent wants whoever counts to find all coins.
func (b *banked) solvent() {
	b.t.Helper()
	if out, err := b.audit(); err != nil {
		b.t.Fatalf("%v\n%s", err, out)
	}
}
