package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/identity"
	"souk/internal/chainnode"
	"souk/internal/outside"
	"souk/node"
	"souk/script"
)

// The withdrawals that are measured take ten coins of one bitcoin each.
const (
	signRounds = 20
	signInputs = 10
)

// sign measures how long three of four servers take to sign a withdrawal of ten
// inputs, from the block that records its transaction to the one in which the last
// signature that it needs is.
func (r *run) sign() error {
	ctx, cancel := context.WithTimeout(r.ctx, 10*time.Minute)
	defer cancel()
	coin, err := outside.Start(ctx, "BTC", chainnode.Btcd, filepath.Join(r.dir, "chains"), os.Stderr)
	if err != nil {
		return err
	}
	defer coin.Stop()                                                 //nolint:errcheck // measured
	if err := coin.Mine(ctx, (signRounds+6)*signInputs); err != nil { // as many rewards as there will be payments
		return err
	}
	network := coin.Network()
	c, err := r.start("sign", node.LocalSetup{
		Servers: 4, Banks: []node.BankTerms{{Asset: "BTC", Network: network.Name, Wallets: 1}},
		Chains: map[string]node.ChainConfig{network.Name: coin.Config(coin.Inside())},
	})
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // measured
	client, err := c.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	key, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	s := &signing{client: client, who: api.OwnerOf(key), coin: coin}
	if err := s.fill(ctx, (signRounds+5)*signInputs); err != nil { // change is not there at once
		return err
	}
	var took []time.Duration
	inputs := 0
	for range signRounds {
		t, n, err := s.round(ctx)
		if err != nil {
			return err
		}
		took, inputs = append(took, t), inputs+n
	}
	slices.Sort(took)
	r.set("sign_inputs", float64(inputs)/signRounds)
	r.set("sign_p50_ms", ms(quantile(took, 0.5)))
	r.set("sign_max_ms", ms(took[len(took)-1]))
	return nil
}

// signing is somebody who withdraws again and again.
type signing struct {
	client *api.Client
	who    *api.Signer
	coin   *outside.Chain
}

// fill pays so many coins to an address of the account's, and waits until all are credited.
func (s *signing) fill(ctx context.Context, coins int) error {
	r, err := s.client.Admit(ctx, s.who, "BTC", custody.Salt{})
	if err != nil {
		return err
	}
	if r.Code != exchange.OK {
		return fmt.Errorf("admit: %s", r.Code)
	}
	own, err := s.client.Addresses(ctx, s.who, api.BankedPage{})
	if err != nil {
		return err
	}
	if len(own.Addresses) != 1 {
		return fmt.Errorf("%d addresses", len(own.Addresses))
	}
	out, err := s.coin.Network().ParseAddress(own.Addresses[0].Address)
	if err != nil {
		return err
	}
	for range coins {
		if _, err := s.coin.Pay(ctx, out, 1e8); err != nil {
			return err
		}
	}
	if err := s.coin.Mine(ctx, 8); err != nil {
		return err
	}
	want := asset.Format(asset.Amount(coins)*1e8, api.BankDecimals)
	return s.until(ctx, "the deposits", func() (bool, error) {
		a, err := s.client.Account(ctx, s.who)
		return err == nil && len(a.Balances) == 1 && a.Balances[0].Available == want, err
	})
}

// until asks again and again until something is so.
func (s *signing) until(ctx context.Context, what string, so func() (bool, error)) error {
	for {
		ok, err := so()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// round withdraws what ten coins pay, and answers how long the signing took and how
// many inputs the transaction has.
func (s *signing) round(ctx context.Context) (took time.Duration, inputs int, err error) {
	out := chainnode.NewWallet(rand.Text()).Script()
	ask := &exchange.Withdraw{Request: custody.Request{Bank: 1, Script: out, Amount: signInputs*1e8 - 1e6, MaxFee: 9e5}}
	receipts, err := s.client.As(s.who).Do(ctx, ask)
	if err != nil {
		return 0, 0, err
	}
	if receipts[0].Code != exchange.OK {
		return 0, 0, fmt.Errorf("withdraw: %s", receipts[0].Code)
	}
	var began time.Time
	var w api.Withdrawal
	err = s.until(ctx, "the withdrawal", func() (bool, error) {
		list, err := s.client.Withdrawals(ctx, s.who, api.BankedPage{Limit: 1})
		if err != nil {
			return false, err
		}
		if len(list.Withdrawals) != 1 || list.Withdrawals[0].ID != receipts[0].Number {
			return false, errors.New("the withdrawal is not there")
		}
		w = list.Withdrawals[0]
		if began.IsZero() && w.Batch != 0 {
			began = time.Now()
		}
		return w.Batch != 0 && w.State != api.WithdrawalSigning, nil
	})
	if err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	if inputs, err = s.inputs(ctx, w.Batch); err != nil {
		return 0, 0, err
	}
	id, err := script.ParseHash(w.Tx)
	if err != nil {
		return 0, 0, err
	}
	err = s.until(ctx, "the transaction", func() (ok bool, err error) {
		err = s.coin.Miner(func(m *chainnode.Miner) error {
			ok, err = m.Waiting(ctx, id)
			return err
		})
		return ok, err
	})
	if err != nil {
		return 0, 0, err
	}
	return took, inputs, s.coin.Mine(ctx, 1)
}

// inputs is how many coins a transaction of the bank spends.
func (s *signing) inputs(ctx context.Context, batch uint64) (n int, err error) {
	err = s.until(ctx, "the transaction's inputs", func() (bool, error) {
		page, err := s.client.Bank(ctx, "BTC") // which may be a moment old
		if err != nil {
			return false, err
		}
		for i := range page.Unsettled {
			if x := &page.Unsettled[i]; x.Number == batch {
				n = x.Inputs
			}
		}
		return n > 0, nil
	})
	return n, err
}
