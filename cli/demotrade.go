package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/identity"
	"souk/internal/load"
)

// demoBots is how many accounts trade besides those of the traders who bring coins.
const demoBots = 12

// demoEUR is the asset that is play money: second of the practice terms.
const demoEUR asset.ID = 2

// story is what the demonstration shows.
func (d *demoRun) story(ctx context.Context) error {
	stop := d.mining(ctx, hastyBlocks)
	defer stop()
	if err := d.each(ctx, d.bring); err != nil {
		return err
	}
	accounts, err := d.fund(ctx)
	if err != nil {
		return err
	}
	d.say("%d accounts have coins and play money; trading begins", len(accounts))
	if _, err := d.trade(ctx, accounts, 1, 3*time.Second); err != nil {
		return err
	}
	d.say("%d commands so far; killing %s under load", d.report.Commands, d.name(killed))
	kill := time.AfterFunc(time.Second, func() { d.cluster.Kill(killed) })
	defer kill.Stop()
	gap, err := d.trade(ctx, accounts, 2, 6*time.Second)
	if err != nil {
		return err
	}
	d.report.GapMS = gap.Milliseconds()
	d.say("trading went on; the longest pause between two commits was %d ms", d.report.GapMS)
	if err := d.each(ctx, d.take); err != nil { // which three of the four can sign
		return err
	}
	back := time.Now()
	if err := d.cluster.Restart(killed); err != nil {
		return err
	}
	if err := d.cluster.CaughtUp(ctx, killed); err != nil {
		return err
	}
	d.report.BackMS = time.Since(back).Milliseconds()
	d.say("%s is back and has caught up after %d ms", d.name(killed), d.report.BackMS)
	if _, err := d.trade(ctx, accounts, 3, 2*time.Second); err != nil {
		return err
	}
	if err := d.audit(ctx); err != nil {
		return err
	}
	return d.auditChain(ctx)
}

// fund gives bots the coins that the traders have brought, and play money to all.
func (d *demoRun) fund(ctx context.Context) ([]load.Account, error) {
	var accounts []load.Account
	for range demoBots {
		key, err := identity.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make an account: %w", err)
		}
		accounts = append(accounts, load.Account{Key: key, Address: identity.AddressOf(key.Public())})
	}
	for _, t := range d.traders {
		accounts = append(accounts, load.Account{Key: t.who.Key, Address: t.who.Account})
	}
	for i, t := range d.traders {
		c := d.coins[i]
		receipts, err := t.s.client.As(t.who).Do(ctx, c.share(t, accounts)...)
		if err == nil {
			err = d.count(receipts)
		}
		if err != nil {
			return nil, fmt.Errorf("%s gives %s to others: %w", t.name, c.Symbol, err)
		}
	}
	var bodies []exchange.Body
	for _, a := range accounts {
		bodies = append(bodies, &exchange.Mint{Asset: demoEUR, Amount: 10_000_000e8, To: a.Address})
	}
	receipts, err := d.cluster.IssuerActor(d.client).Do(ctx, bodies...)
	if err != nil {
		return nil, err
	}
	if err := d.count(receipts); err != nil {
		return nil, err
	}
	return accounts, d.practice(ctx)
}

// share are transfers of most of what a trader has brought, in equal parts, to the others.
func (c *demoCoin) share(t *demoTrader, accounts []load.Account) (bodies []exchange.Body) {
	part := c.deposit * 3 / 4 / asset.Amount(len(accounts))
	for _, a := range accounts {
		if a.Address != t.who.Account {
			bodies = append(bodies, &exchange.Transfer{To: a.Address, Asset: c.asset, Amount: part})
		}
	}
	return bodies
}

// expected are results that trading explains: an order may be gone before its cancel comes.
var expected = []exchange.Code{exchange.OK, exchange.UnknownOrder, exchange.Withdrawn, exchange.TooManyOrders}

// count counts commands, and complains of one that failed for a reason that trading does not explain.
func (d *demoRun) count(receipts []exchange.Receipt) error {
	for i := range receipts {
		d.report.Commands++
		if c := receipts[i].Code; !slices.Contains(expected, c) {
			return fmt.Errorf("a command failed: %s", c)
		}
	}
	return nil
}

// trade lets several traders send orders for a while, and answers the longest pause between commits.
func (d *demoRun) trade(ctx context.Context, accounts []load.Account, seed uint64, length time.Duration) (gap time.Duration, err error) {
	const senders = 3
	end := time.Now().Add(length)
	last := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	for s := range senders {
		own := accounts[s*len(accounts)/senders : (s+1)*len(accounts)/senders]
		flow := load.New(seed*10+uint64(s), own, load.PracticeMarkets(), 2, load.StandardMix(), fmt.Sprintf("d%d-%d-", seed, s))
		actors := make([]*api.Actor, len(own))
		for i := range own {
			actors[i] = d.client.As(&api.Signer{Account: own[i].Address, Key: own[i].Key})
		}
		wg.Go(func() {
			for time.Now().Before(end) && ctx.Err() == nil {
				i, body := flow.Next()
				receipts, err := actors[i].Do(ctx, body)
				mu.Lock()
				now := time.Now()
				gap = max(gap, now.Sub(last))
				last = now
				if err == nil {
					err = d.count(receipts)
				}
				if failed == nil {
					failed = err
				}
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wg.Wait()
	return gap, failed
}

// audit compares the states of all servers and the books, and counts trades.
func (d *demoRun) audit(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := d.cluster.Roots(short)
	d.report.RootsEqual = err == nil
	audit, err := d.client.Audit(ctx)
	if err != nil {
		return err
	}
	d.report.AuditBalanced = audit.Balanced
	for _, m := range d.cluster.Founding.Markets {
		n, err := d.trades(ctx, m.Base+"-"+m.Quote)
		if err != nil {
			return err
		}
		d.report.Trades += n
	}
	d.say("%d commands, %d trades; roots equal: %t; books balanced: %t", d.report.Commands, d.report.Trades, d.report.RootsEqual, audit.Balanced)
	return nil
}

func (d *demoRun) trades(ctx context.Context, name string) (n int, err error) {
	page := api.Page{Market: name, Limit: 1000}
	for {
		t, err := d.client.Trades(ctx, page)
		if err != nil {
			return n, err
		}
		n += len(t.Trades)
		if page.Before = t.Next; t.Next == "" {
			return n, nil
		}
	}
}
