package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"souk/api"
	"souk/asset"
	"souk/auditor"
	"souk/internal/chainnode"
	"souk/internal/outside"
	"souk/node"
	"souk/purse"
	"souk/script"
	"souk/store/sealed"
)

// demoCoin is an asset with a bank in the demonstration, and its chain.
type demoCoin struct {
	*outside.Chain
	asset           asset.ID     // in the practice terms
	deposit, payout asset.Amount // by the trader who brings the coin
}

// Times between two blocks: of the story, which is in a hurry, and afterwards.
const (
	hastyBlocks = 700 * time.Millisecond
	quietBlocks = 5 * time.Second
)

// moved is a deposit or a withdrawal of the demonstration.
type moved struct {
	Asset         string `json:"asset"`
	Amount        string `json:"amount"`
	Tx            string `json:"txid"`
	Confirmations uint32 `json:"confirmations"`
}

// chainRPC is how to call the node of the world outside. It is worth nothing.
type chainRPC struct {
	Network  string `json:"network"`
	URL      string `json:"url"`
	User     string `json:"user"`
	Password string `json:"password"`
}

// outsideNodes are the nodes of the world outside.
func (d *demoRun) outsideNodes() (all []chainRPC) {
	for _, c := range d.coins {
		r := c.World().RPC()
		all = append(all, chainRPC{c.Network().Name, r.URL, r.User, r.Password})
	}
	return all
}

// chainsFile tells souk audit how to call the nodes of the world outside.
const chainsFile = "chains.toml"

func (d *demoRun) writeChains(dir string) error {
	var b strings.Builder
	for _, c := range d.coins {
		x := c.Config(c.World())
		fmt.Fprintf(&b, "[chains.%s]\nkind = %q\nurl = %q\nuser = %q\npassword_file = %q\n", c.Network().Name, x.Kind, x.URL, x.User, x.PasswordFile)
	}
	if err := os.WriteFile(filepath.Join(dir, chainsFile), []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}

// startCoins starts the nodes of all coins at once.
func (d *demoRun) startCoins(ctx context.Context, dir string) error {
	d.coins = []*demoCoin{{asset: 1, deposit: 80e8, payout: 25e7}, {asset: 3, deposit: 800e8, payout: 30e8}}
	kinds := []chainnode.Kind{chainnode.Btcd, chainnode.Ltcd}
	failed := make([]error, len(d.coins))
	var wg sync.WaitGroup
	for i, c := range d.coins {
		wg.Go(func() { c.Chain, failed[i] = outside.Start(ctx, kinds[i].Network().Ticker, kinds[i], dir, d.a.err) })
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return d.writeChains(dir)
}

func (d *demoRun) stopCoins() error {
	var err error
	for _, c := range d.coins {
		if c.Chain != nil {
			err = errors.Join(err, c.Stop())
		}
	}
	return err
}

// mining makes blocks on all chains until it is told to stop.
func (d *demoRun) mining(ctx context.Context, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, c := range d.coins {
		wg.Go(func() { c.Mining(ctx, every) })
	}
	return func() { cancel(); wg.Wait() }
}

// banks are the terms of banks and what the servers' configurations say of chains.
func (d *demoRun) banks() (banks []node.BankTerms, chains map[string]node.ChainConfig) {
	chains = map[string]node.ChainConfig{}
	for _, c := range d.coins {
		banks = append(banks, node.BankTerms{Asset: c.Symbol, Network: c.Network().Name})
		chains[c.Network().Name] = c.Config(c.Inside())
	}
	return banks, chains
}

// demoTrader is somebody with a purse.
type demoTrader struct {
	name string
	a    *app
	s    *session
	who  *api.Signer
}

// trader makes a purse in the folder of the demonstration. Whoever can read that may
// have what is in it.
func (d *demoRun) trader(dir, name string) (*demoTrader, error) {
	pass := filepath.Join(dir, "passphrase")
	if err := os.WriteFile(pass, []byte("play\n"), 0o600); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	words, err := purse.Generate(rand.Reader, 12)
	if err != nil {
		return nil, err
	}
	defer words.Wipe()
	own := purse.Purse(filepath.Join(dir, name))
	id := d.cluster.Founding.ID()
	book := purse.Book{Server: fmt.Sprintf("%x", id[:]), Servers: d.cluster.URLs}
	if _, err := own.Create(words, book, sealed.FromFile(pass), sealed.TestWork); err != nil {
		return nil, err
	}
	t := &demoTrader{name: name, a: &app{in: strings.NewReader(""), out: io.Discard, err: io.Discard, purse: string(own), output: "table", timeout: d.a.timeout}}
	t.a.pass.file = pass
	if t.s, err = t.a.session(); err != nil {
		return nil, err
	}
	key, err := own.Key(sealed.FromFile(pass))
	if err != nil {
		return nil, err
	}
	t.who = api.OwnerOf(key)
	return t, nil
}

func (t *demoTrader) close() {
	t.who.Key.Wipe()
	t.s.client.Close()
}

// bring pays a coin from outside to an address of a trader's, and waits until it is credited.
func (d *demoRun) bring(ctx context.Context, t *demoTrader, c *demoCoin) error {
	own, err := t.a.depositAddress(ctx, t.s, t.who, c.Symbol, false)
	if err != nil {
		return fmt.Errorf("%s asks for an address: %w", t.name, err)
	}
	d.say("%s has the address %s, derived from the proven keys of the members", t.name, own.Text)
	at, err := c.Pay(ctx, own.Script, c.deposit)
	if err != nil {
		return fmt.Errorf("pay %s: %w", own.Text, err)
	}
	d.say("somebody pays %s %s to it", api.FormatCoins(c.deposit), c.Symbol)
	for told := ""; ; {
		list, err := t.s.client.Deposits(ctx, t.who, api.BankedPage{Bank: c.Symbol})
		if err != nil {
			return err
		}
		for i := range list.Deposits {
			x := &list.Deposits[i]
			if x.Tx != at.Tx.String() {
				continue
			}
			if text := depositText(x); text != told {
				told = text
				d.say("%s's deposit of %s: %s", t.name, c.Symbol, text)
			}
			if x.State == api.DepositCredited {
				d.mu.Lock()
				defer d.mu.Unlock()
				d.report.Deposits = append(d.report.Deposits, moved{c.Symbol, x.Amount, x.Tx, x.Depth})
				return nil
			}
		}
		if err := d.pause(ctx, "the deposit of "+t.name); err != nil {
			return err
		}
	}
}

// take withdraws a coin to somebody outside, and waits until his own node has it.
func (d *demoRun) take(ctx context.Context, t *demoTrader, c *demoCoin) error {
	out := chainnode.NewWallet(rand.Text()).Script()
	address, err := c.Network().Address(out)
	if err != nil {
		return err
	}
	from, err := c.Tip(ctx)
	if err != nil {
		return err
	}
	x, err := planPayout(ctx, t.s, t.who, []string{c.Symbol, api.FormatCoins(c.payout), address}, &withdrawFlags{})
	if err != nil {
		return fmt.Errorf("%s withdraws: %w", t.name, err)
	}
	r, err := t.a.do(ctx, t.s, t.who, &x.Withdraw)
	if err != nil {
		return fmt.Errorf("%s withdraws: %w", t.name, err)
	}
	d.say("%s withdraws %s %s to %s", t.name, api.FormatCoins(c.payout), c.Symbol, address)
	for told := ""; ; {
		list, err := t.s.client.Withdrawals(ctx, t.who, api.BankedPage{Limit: 20})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list.Withdrawals, func(w api.Withdrawal) bool { return w.ID == r.Number })
		if i < 0 {
			return fmt.Errorf("withdrawal %d of %s is gone", r.Number, t.name)
		}
		w := &list.Withdrawals[i]
		if text := payoutText(w); text != told {
			told = text
			d.say("%s's withdrawal of %s: %s", t.name, c.Symbol, text)
		}
		if w.State == api.WithdrawalMined || w.State == api.WithdrawalPaid {
			id, err := script.ParseHash(w.Tx)
			if err != nil {
				return err
			}
			depth, err := c.Arrived(ctx, script.Outpoint{Tx: id, Index: w.Output}, out, from)
			if err != nil {
				return err
			}
			if depth > 0 {
				d.say("the receiver's own node has it in a block")
				d.mu.Lock()
				defer d.mu.Unlock()
				d.report.Withdrawals = append(d.report.Withdrawals, moved{c.Symbol, w.Amount, w.Tx, depth})
				return nil
			}
		}
		if err := d.pause(ctx, "the withdrawal of "+t.name); err != nil {
			return err
		}
	}
}

// pause waits a moment for something.
func (d *demoRun) pause(ctx context.Context, what string) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s takes too long: %w", what, ctx.Err())
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}

// each does something for every coin and the trader who brought it, at once.
func (d *demoRun) each(ctx context.Context, do func(context.Context, *demoTrader, *demoCoin) error) error {
	failed := make([]error, len(d.coins))
	var wg sync.WaitGroup
	for i, c := range d.coins {
		wg.Go(func() { failed[i] = do(ctx, d.traders[i], c) })
	}
	wg.Wait()
	return errors.Join(failed...)
}

// auditChain counts the banks' coins with the nodes of the world outside.
func (d *demoRun) auditChain(ctx context.Context) error {
	nodes := map[string]ownNode{}
	for _, c := range d.coins {
		nodes[c.Network().Name] = ownNode{ChainConfig: c.Config(c.World())}
	}
	t := d.traders[0]
	_, reports, err := t.a.audited(ctx, t.s, nodes)
	if err != nil {
		return err
	}
	d.report.Solvent = !slices.ContainsFunc(reports, func(r *auditor.Report) bool { return !r.Solvent() })
	for _, r := range reports {
		d.say("the bank of %s: %s on the chain, by a node of one's own; solvent: %t", r.Symbol, units(r.OnChain), r.Solvent())
	}
	return nil
}

// gifts pays every address of a trader's that nothing was paid to, until the context ends.
func (d *demoRun) gifts(ctx context.Context, t *demoTrader) {
	paid := map[string]bool{}
	for d.pause(ctx, "") == nil {
		list, err := t.s.client.Addresses(ctx, t.who, api.BankedPage{Unused: true})
		if err != nil {
			continue
		}
		for i := range list.Addresses {
			x := &list.Addresses[i]
			for _, c := range d.coins {
				if c.Symbol != x.Symbol || paid[x.Address] {
					continue
				}
				out, err := c.Network().ParseAddress(x.Address)
				if err != nil {
					continue
				}
				_, err = c.Pay(ctx, out, 1e8)
				paid[x.Address] = err == nil
			}
		}
	}
}
