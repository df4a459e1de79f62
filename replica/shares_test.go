package replica_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/replica"
)

// testFee is the command fee of setFee.
const testFee = 1000

// setFee makes commands cost something and bounds what an account may have in a
// block, and gives mallory so many fees.
func (c *chain) setFee(accountCommands uint32, fees asset.Amount) {
	c.tb.Helper()
	p := c.world.State.Params()
	p.FeeAsset, p.Fee, p.AccountCommands = exchangetest.EUR, testFee, accountCommands
	for _, cmd := range []exchange.Command{
		c.world.Command("issuer", &exchange.Mint{Asset: exchangetest.EUR, Amount: fees*testFee + testFee/2, To: exchangetest.Address("mallory")}),
		c.world.Command("issuer", &exchange.Mint{Asset: exchangetest.BTC, Amount: exchangetest.Coin, To: exchangetest.Address("mallory")}),
		c.world.Command(exchangetest.MemberName(0), &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, roster.SetParams{Params: p.Append(nil)}, 0)}),
	} {
		if code := c.commands(0, 1, []exchange.Command{cmd}).Receipts[0].Code; code != exchange.OK {
			c.tb.Fatal(code)
		}
	}
}

// transfer is a command of an account's owner with a nonce of the caller's choice.
func (c *chain) transfer(from string, nonce uint64, amount asset.Amount) exchange.Command {
	c.tb.Helper()
	cmd := exchange.Command{
		Kind: exchange.KindTransfer, Account: exchangetest.Address(from), Nonce: nonce, Expiry: c.world.Time + 300_000,
		Body: (&exchange.Transfer{To: exchangetest.Address("bob"), Asset: exchangetest.BTC, Amount: amount}).Append(nil),
	}
	if err := cmd.Sign(c.world.State.ID(), exchangetest.Key(from)); err != nil {
		c.tb.Fatal(err)
	}
	return cmd
}

// TestShare is S-48: a server passes on what blocks can take of an account, so that
// nobody fills them without paying.
func TestShare(t *testing.T) {
	tests := map[string]struct {
		limit   uint32       // of AccountCommands
		fees    asset.Amount // that mallory has
		command func(c *chain, i int) exchange.Command
		most    int // commands that may be in blocks
		code    exchange.Code
	}{
		"one nonce": {1024, 1000, func(c *chain, i int) exchange.Command {
			return c.transfer("mallory", 7, asset.Amount(1+i))
		}, 1, exchange.AccountBusy},
		"more than the account may have": {5, 1000, func(c *chain, i int) exchange.Command {
			return c.transfer("mallory", uint64(1+i), 1)
		}, 5, exchange.AccountBusy},
		"more than it can pay": {1024, 3, func(c *chain, i int) exchange.Command {
			return c.transfer("mallory", uint64(1+i), 1)
		}, 3, exchange.AccountBusy},
		"nothing to pay with": {1024, 0, func(c *chain, i int) exchange.Command {
			return c.transfer("mallory", uint64(1+i), 1)
		}, 0, exchange.FeeUnpaid},
		"one order is cancelled again and again": {1024, 1, func(c *chain, i int) exchange.Command {
			if i == 0 {
				c.commands(0, 1, []exchange.Command{c.world.Command("mallory", &exchange.Place{
					Market: exchangetest.BTCEUR, Side: market.Sell, Order: market.LimitOrder, TIF: market.GTC, Price: 60_000e8, Quantity: 1e7, Client: "x",
				})})
			}
			return c.world.Command("mallory", &exchange.Cancel{Target: exchange.Target{Client: "x"}})
		}, 1, exchange.FeeUnpaid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newChain(t, 1, replica.Config{})
				c.config.Now = c.clock
				c.nodes[0].restart()
				c.fund("alice", "bob")
				c.setFee(test.limit, test.fees)
				const sent = 2 * replica.MaxBatch // which leave at once
				var commands []exchange.Command
				for i := range sent {
					commands = append(commands, test.command(c, i))
				}
				done := make(chan []replica.Answer, 1)
				go func() { done <- submit(t, c.nodes[0], replica.Request{Data: encode(commands...)}) }()
				synctest.Wait()
				alice := make(chan []replica.Answer, 1)
				go func() { alice <- submit(t, c.nodes[0], replica.Request{Data: encode(c.transfer("alice", 1, 5))}) }()
				synctest.Wait()
				for c.block(0, 10) {
					synctest.Wait()
				}
				blocks := map[exchange.Code]int{}
				refused := map[exchange.Code]int{}
				for _, a := range <-done {
					if a.Fate == replica.FateCommitted {
						blocks[a.Receipt.Code]++
					} else {
						refused[a.Receipt.Code]++
					}
				}
				if got := fmt.Sprint(blocks); test.most > 0 && got != fmt.Sprint(map[exchange.Code]int{exchange.OK: test.most}) || test.most == 0 && len(blocks) > 0 {
					t.Errorf("commands of one account in blocks, by result: %s, want %d that are OK", got, test.most)
				}
				if got := refused[test.code]; got != sent-test.most {
					t.Errorf("refused beforehand, by result: %v, want %d of %s", refused, sent-test.most, test.code)
				}
				if a := (<-alice)[0]; a.Fate != replica.FateCommitted || a.Receipt.Code != exchange.OK {
					t.Errorf("alice: %+v", a)
				}
				if w := c.nodes[0].Metrics().Waiting.Load(); w != 0 {
					t.Errorf("%d commands count as waiting", w)
				}
				// What was under way counts no more.
				if test.most > 0 && test.limit > 1000 && test.fees > 100 {
					a := make(chan []replica.Answer, 1)
					go func() { a <- submit(t, c.nodes[0], replica.Request{Data: encode(c.transfer("mallory", 8, 1))}) }()
					synctest.Wait()
					c.block(0, 10)
					if got := (<-a)[0]; got.Receipt.Code != exchange.OK {
						t.Errorf("the next nonce: %+v", got)
					}
				}
			})
		})
	}
}

// TestForgersTakeNoShare is S-48: commands with bad signatures take nothing of the
// share of those in whose name they are.
func TestForgersTakeNoShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, 1, replica.Config{})
		c.config.Now = c.clock
		c.nodes[0].restart()
		c.fund("alice", "bob")
		c.setFee(2, 0)
		var forged []exchange.Command
		for i := range 100 {
			cmd := c.transfer("alice", uint64(1+i%3), asset.Amount(100+i))
			cmd.Signature[5]++
			forged = append(forged, cmd)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _, _ = c.nodes[0].Submit(ctx, replica.Request{Client: "mallory", Data: encode(forged...)}) }()
		done := make(chan []replica.Answer, 1)
		go func() {
			done <- submit(t, c.nodes[0], replica.Request{Client: "alice", Data: encode(c.transfer("alice", 1, 1), c.transfer("alice", 2, 1))})
		}()
		synctest.Wait()
		for c.block(0, 10) {
			synctest.Wait()
		}
		for _, a := range <-done {
			if a.Receipt.Code != exchange.OK {
				t.Errorf("alice: %+v", a)
			}
		}
	})
}

// TestRepeatsWait is S-50: batches of one nonce, or of more than an account can pay
// or may have, have no place before others.
func TestRepeatsWait(t *testing.T) {
	tests := map[string]struct {
		limit   uint32
		fees    asset.Amount
		command func(c *chain, b, i int) exchange.Command
		first   int // batches of them that are worth their place
	}{
		"one nonce": {1024, 1000, func(c *chain, b, i int) exchange.Command {
			return c.transfer("mallory", 7, asset.Amount(1+1000*b+i))
		}, 0},
		"the same nonces in each batch": {1024, 100_000, func(c *chain, b, i int) exchange.Command {
			return c.transfer("mallory", uint64(1+i), asset.Amount(1+b))
		}, 1},
		"more than it can pay": {exchange.MaxBlockCommands, 1100, func(c *chain, b, i int) exchange.Command {
			return c.transfer("mallory", uint64(1+1000*b+i), 1)
		}, 1},
		"more than the account may have": {2000, 100_000, func(c *chain, b, i int) exchange.Command {
			return c.transfer("mallory", uint64(1+1000*b+i), 1)
		}, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newChain(t, 1, replica.Config{Inline: true})
			c.config.Now = c.clock
			c.nodes[0].restart()
			c.fund("alice", "bob")
			c.setFee(test.limit, test.fees)
			var waiting [][]byte
			for b := range 20 {
				batch := replica.Batch{Seq: uint64(b)}
				for i := range 1000 {
					batch.Commands = append(batch.Commands, test.command(c, b, i))
				}
				waiting = append(waiting, replica.AppendBatch(nil, &batch))
			}
			honest := c.batchOf(1)
			block := c.nodes[0].Propose(c.now(), uint64(len(c.blocks)+1), append(waiting, honest))
			if len(block) < test.first+2 || string(block[1+test.first]) != string(honest) {
				t.Errorf("of %d payloads, the honest one is not number %d", len(block)-1, test.first+1)
			}
			if len(block) != 1+16+1 && len(block) != 1+16 {
				t.Errorf("%d payloads are proposed: there is room for more", len(block)-1)
			}
		})
	}
}
