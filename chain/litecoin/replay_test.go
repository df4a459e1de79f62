package litecoin_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/asset"
	"souk/chain"
	"souk/chain/chaintest"
	"souk/chain/litecoin"
	"souk/chain/rpc/rpctest"
	"souk/script"
)

// What was recorded: a bank's coins from its first deposit on, with two payments out
// of the extension block, one of which a reorganisation moves.
var recording = rpctest.Recording{File: "testdata/mweb-regtest.jsonl.gz", Network: "litecoin-regtest", Start: 428, Open: litecoin.Open}

func outpoint(t *testing.T, text string) script.Outpoint {
	t.Helper()
	o, err := script.ParseOutpoint(text)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// T-13, T-70: whoever follows knows the coins of the bank in every state, and so
// does whoever comes new. Coins out of a HogEx are flagged, and after the
// reorganisation one of them is another coin.
func TestReplay(t *testing.T) {
	const (
		deposit   = "1a38fe13bc9d734e39401288e33337b242882743fa15df1aac40b15b294703aa:1"
		change    = "1c29c6f389bd9221eba77317fbd2567c1088b4cd9512fa38c0c98e85915044d0:1"
		pegOut    = "3dc6d1dab4f4d5c7ff80815ee4bd9c45e9e5db29a09649fc122c634feecb2c35:1"
		second    = "2bdb32f2a8e08bbac72f64839456d1ddd5a4d3905dad413e9c83a4f2e5c32ea3:1"
		elsewhere = "e36e2b0893848d69c5c21d483a7d6ef3d9d557c35199e54478876d458a3c52ea:1"
	)
	amounts := map[string]asset.Amount{
		deposit: 125_000_000, change: 74_950_000, pegOut: 200_000_000, second: 300_000_000, elsewhere: 300_000_000,
	}
	d, b := recording.Replay(t)
	d.Enter("02-mined-431")
	here := recording.Locator(d)
	followed := chaintest.NewBook()
	filter := chain.NewFilter(rpctest.Vault())
	for _, c := range []struct {
		phase string
		tip   uint32
		coins []string
	}{
		{"02-mined-431", 431, nil},
		{"05-pegin-mined", 432, nil},
		{"08-deposit-6-deep", 438, []string{deposit}},
		{"10-pegout-mined", 439, []string{deposit, pegOut}},
		{"11-pegout-maturity-6", 444, []string{deposit, pegOut}},
		{"13-pegout2-mined", 445, []string{deposit, pegOut, second}},
		{"16-spend-mined", 446, []string{change, pegOut, second}},
		{"18-pegout-spend-mined", 447, []string{change, second}},
		{"19-reorg-disconnected", 444, []string{deposit, pegOut}},
		{"20-reorg-first-block", 445, []string{deposit, pegOut}},
		{"21-reorg-done", 448, []string{change, elsewhere}},
	} {
		d.Enter(c.phase)
		want := map[string]chain.Payment{}
		for _, text := range c.coins {
			want[text] = chain.Payment{
				At: outpoint(t, text), Script: rpctest.Vault(), Amount: amounts[text],
				PegOut: text == pegOut || text == second || text == elsewhere,
			}
		}
		var err error
		if here, err = chain.Walk(t.Context(), b, here, filter, followed); err != nil {
			t.Fatalf("%s: %v", c.phase, err)
		}
		if last, _ := here.Last(); last.Height != c.tip {
			t.Errorf("%s: followed to %v, not %d", c.phase, last, c.tip)
		}
		if diff := cmp.Diff(want, byName(followed)); diff != "" {
			t.Errorf("%s: coins of who followed (-want +got):\n%s", c.phase, diff)
		}
		fresh := chaintest.NewBook()
		if _, err := chain.Walk(t.Context(), b, recording.Locator(d), chain.NewFilter(rpctest.Vault()), fresh); err != nil {
			t.Fatalf("%s: %v", c.phase, err)
		}
		if diff := cmp.Diff(want, byName(fresh)); diff != "" {
			t.Errorf("%s: coins of who came new (-want +got):\n%s", c.phase, diff)
		}
	}
	if followed.Rewinds() != 1 {
		t.Errorf("%d rewinds", followed.Rewinds())
	}
}

func byName(b *chaintest.Book) map[string]chain.Payment {
	coins := map[string]chain.Payment{}
	for _, p := range b.Coins() {
		coins[p.At.String()] = p
	}
	return coins
}

// T-30: what becomes of a deposit and of a payment out of the extension block.
func TestCoin(t *testing.T) {
	d, b := recording.Replay(t)
	deposit := chain.Coin{At: outpoint(t, "1a38fe13bc9d734e39401288e33337b242882743fa15df1aac40b15b294703aa:1"), Script: rpctest.Vault(), Height: 433}
	pegOut := chain.Coin{At: outpoint(t, "3dc6d1dab4f4d5c7ff80815ee4bd9c45e9e5db29a09649fc122c634feecb2c35:1"), Script: rpctest.Vault(), Height: 439}
	moved := chain.Coin{At: outpoint(t, "2bdb32f2a8e08bbac72f64839456d1ddd5a4d3905dad413e9c83a4f2e5c32ea3:1"), Script: rpctest.Vault(), Height: 445}
	for _, c := range []struct {
		phase string
		coin  chain.Coin
		want  chain.State
	}{
		{"07-deposit-mempool", deposit, chain.Missing},
		{"08-deposit-6-deep", deposit, chain.Unspent},
		{"10-pegout-mined", pegOut, chain.Unspent},
		{"15-spend-mempool", deposit, chain.Pending},
		{"17-pegout-spend-mempool", pegOut, chain.Pending},
		{"18-pegout-spend-mined", deposit, chain.Spent},
		{"18-pegout-spend-mined", moved, chain.Unspent},
		{"21-reorg-done", moved, chain.Missing},
	} {
		d.Enter(c.phase)
		fate, err := b.Coin(t.Context(), c.coin)
		if err != nil || fate.State != c.want {
			t.Errorf("%s, %v: %+v, %v; want %v", c.phase, c.coin.At, fate, err, c.want)
		}
	}
}

// T-50, T-51: what the daemon says about transactions, in the port's words.
func TestBroadcast(t *testing.T) {
	d, b := recording.Replay(t)
	rpctest.CheckBroadcast(t, d, b, map[string][]error{
		"10-pegout-mined":       {chain.ErrImmature},
		"12-errors-bad":         {chain.ErrRefused},
		"12-errors-two":         {chain.ErrRefused},
		"12-errors-low":         {chain.ErrFeeTooLow},
		"12-errors-zero":        {chain.ErrFeeTooLow},
		"12-errors-inc":         {chain.ErrRefused},
		"12-errors-wrongval":    {chain.ErrRefused},
		"12-errors-miss":        {chain.ErrMissingInputs},
		"12-errors-nonf":        {chain.ErrRefused},
		"12-errors-dust":        {chain.ErrRefused},
		"12-errors-maxfee":      {chain.ErrRefused},
		"15-spend-mempool":      {nil, nil, chain.ErrConflict, chain.ErrConflict},
		"18-pegout-spend-mined": {nil, chain.ErrMissingInputs},
	})
}

// T-40: no data is an answer; a rate is in units per 1,000 virtual bytes.
func TestFeeRate(t *testing.T) {
	d, b := recording.Replay(t)
	d.Enter("18-pegout-spend-mined")
	if rate, err := b.FeeRate(t.Context(), 6); !errors.Is(err, chain.ErrNoEstimate) {
		t.Errorf("no data: %d, %v", rate, err)
	}
	d.Enter("23-fee-estimates")
	if rate, err := b.FeeRate(t.Context(), 6); err != nil || rate != 40_003 {
		t.Errorf("%d, %v", rate, err)
	}
}
