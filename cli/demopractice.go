package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/identity"
	"souk/internal/cluster"
)

// demoGifts are what the servers of the demonstration give to whoever asks. They are its own
// assets, in which its markets are: coins of networks of this machine alone, and play money.
func demoGifts() []string { return []string{"0.1 BTC", "1 LTC", "10000 EUR"} }

// demoPractice is what is put into the account that they are given from: enough for eighty.
func demoPractice() []held {
	return []held{{1, 8e8}, {3, 80e8}, {demoEUR, 800_000e8}}
}

// held is an amount of an asset.
type held struct {
	asset  asset.ID
	amount asset.Amount
}

// grant gives an account coins of those who brought them, and play money.
func (d *demoRun) grant(ctx context.Context, to identity.Address, all ...held) error {
	for _, h := range all {
		var receipts []exchange.Receipt
		var err error
		if h.asset == demoEUR {
			receipts, err = d.cluster.IssuerActor(d.client).Do(ctx, &exchange.Mint{Asset: h.asset, Amount: h.amount, To: to})
		} else {
			for i, c := range d.coins {
				if c.asset == h.asset {
					t := d.traders[i]
					receipts, err = t.s.client.As(t.who).Do(ctx, &exchange.Transfer{To: to, Asset: h.asset, Amount: h.amount})
				}
			}
		}
		if err := cluster.MustOK(receipts, err); err != nil {
			return err
		}
		d.report.Commands += len(receipts)
	}
	return nil
}

// practice fills the account of the practice market and lets the servers give out of it; then
// somebody who has nothing asks for play money.
func (d *demoRun) practice(ctx context.Context) error {
	owner := api.OwnerOf(d.cluster.Practice)
	if err := d.grant(ctx, owner.Account, demoPractice()...); err != nil {
		return fmt.Errorf("fill the practice market: %w", err)
	}
	var bodies []exchange.Body
	for _, key := range d.cluster.PracticeKeys {
		bodies = append(bodies, &exchange.AddDelegate{Key: key, Scopes: ledger.Transfer})
	}
	receipts, err := d.client.As(owner).Do(ctx, bodies...)
	if err := cluster.MustOK(receipts, err); err != nil {
		return fmt.Errorf("let the servers give play money: %w", err)
	}
	d.report.Commands += len(receipts)
	key, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make an account: %w", err)
	}
	defer key.Wipe()
	given, err := d.client.AskPractice(ctx, api.OwnerOf(key))
	if err != nil {
		return fmt.Errorf("ask for play money: %w", err)
	}
	text := ""
	for _, g := range given.Gifts {
		text += " " + g.Amount + " " + g.Symbol
	}
	d.report.Practice = given.State == api.PracticeGiven
	d.say("Carol, who has nothing, asks a server for play money and gets%s", text)
	return nil
}

// outsider pays 1 coin to every address that the user writes, on whichever of the chains it
// is an address of. It goes on as long as there is something to read.
func (d *demoRun) outsider(ctx context.Context, lines <-chan string) {
	for {
		select {
		case <-ctx.Done():
			return
		case line, ok := <-lines:
			if !ok {
				return
			}
			if line != "" {
				d.payLine(ctx, line)
			}
		}
	}
}

func (d *demoRun) payLine(ctx context.Context, line string) {
	short, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	failed := errors.New("it is no address of these networks")
	for _, c := range d.coins {
		out, err := c.Network().ParseAddress(line)
		if err != nil {
			continue
		}
		at, err := c.Pay(short, out, 1e8)
		if err == nil {
			p(d.a.err, "somebody pays 1 %s to it, transaction %s\n", c.Symbol, at.Tx)
			return
		}
		failed = err
	}
	p(d.a.err, "nothing is paid: %v\n", failed)
}
