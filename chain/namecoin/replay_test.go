package namecoin_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"souk/asset"
	"souk/chain"
	"souk/chain/bitcoin"
	"souk/chain/chaintest"
	"souk/chain/litecoin"
	"souk/chain/namecoin"
	"souk/chain/rpc/rpctest"
	"souk/internal/chainnode"
	"souk/internal/chainnode/nodetest"
	"souk/script"
)

// What was recorded: a bank's coins from its first deposit on, through two
// reorganisations, and a name that is registered to the bank's address.
var recording = rpctest.Recording{File: "testdata/regtest.jsonl.gz", Network: "namecoin-regtest", Start: 146, Open: namecoin.Open}

func hash(t *testing.T, text string) script.Hash {
	t.Helper()
	h, err := script.ParseHash(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// T-13, T-23, T-71: whoever follows knows the coins of the bank in every state,
// and so does whoever comes new; the name is not among them.
func TestReplay(t *testing.T) {
	d, b := recording.Replay(t)
	d.Enter("02-mined-150")
	here := recording.Locator(d)
	followed := chaintest.NewBook()
	filter := chain.NewFilter(rpctest.Vault())
	for _, c := range []struct {
		phase   string
		tip     uint32
		balance asset.Amount
		rewinds int
	}{
		{"02-mined-150", 150, 0, 0},
		{"05-deposit-mined", 151, 125_000_000, 0},
		{"06-deposit-6-deep", 156, 125_000_000, 0},
		{"08-name-new-mined", 169, 125_000_000, 0},
		{"10-name-firstupdate-mined", 171, 125_000_000, 0},
		{"14-spend-mined", 173, 74_900_000, 0},
		{"15-reorg-disconnected", 171, 125_000_000, 1},
		{"16-reorg-first-block", 172, 125_000_000, 1},
		{"17-reorg-done", 175, 74_900_000, 1},
		{"18-reorg2-disconnected", 172, 125_000_000, 2},
		{"19-reorg2-double-spend-mined", 173, 94_900_000, 2},
		{"20-reorg2-done", 176, 94_900_000, 2},
	} {
		d.Enter(c.phase)
		fresh := chaintest.NewBook()
		if _, err := chain.Walk(t.Context(), b, recording.Locator(d), chain.NewFilter(rpctest.Vault()), fresh); err != nil {
			t.Fatalf("%s: %v", c.phase, err)
		}
		var err error
		if here, err = chain.Walk(t.Context(), b, here, filter, followed); err != nil {
			t.Fatalf("%s: %v", c.phase, err)
		}
		if last, _ := here.Last(); last.Height != c.tip {
			t.Errorf("%s: followed to %v, not %d", c.phase, last, c.tip)
		}
		if followed.Balance() != c.balance || followed.Rewinds() != c.rewinds {
			t.Errorf("%s: %d units after %d rewinds, want %d after %d", c.phase, followed.Balance(), followed.Rewinds(), c.balance, c.rewinds)
		}
		if diff := cmp.Diff(fresh.Coins(), followed.Coins()); diff != "" {
			t.Errorf("%s: coins of who followed (-fresh +followed):\n%s", c.phase, diff)
		}
	}
}

// T-71: the node shows the bank's address for an output that holds a name. It is
// not found, not even by its own script.
func TestName(t *testing.T) {
	d, b := recording.Replay(t)
	d.Enter("10-name-firstupdate-mined")
	at := chain.Point{Height: 170, Hash: hash(t, "28955d93f7d188c1634102ccdab5532f1fd688898b30bfea9e7b776ca58548c4")}
	var block struct {
		Tx []struct {
			Vout []struct {
				ScriptPubKey struct{ Hex, Address string }
			}
		}
	}
	d.Result("getblock", fmt.Sprintf("[%q, 2]", at.Hash), &block)
	filter := chain.NewFilter(rpctest.Vault())
	named := 0
	for _, tx := range block.Tx {
		for _, out := range tx.Vout {
			if out.ScriptPubKey.Address == "ncrt1q6vg2pgrcn5l4368d3ad3red0cn76f08t0whxhtn3tpvahafrd7zs2r7rs3" {
				named++
				whole, err := hex.DecodeString(out.ScriptPubKey.Hex)
				if err != nil {
					t.Fatal(err)
				}
				filter.Watch(whole)
			}
		}
	}
	if named != 1 {
		t.Fatalf("%d outputs of the block show the bank's address", named)
	}
	found, err := b.Scan(t.Context(), at, filter)
	if err != nil || len(found.Payments) > 0 {
		t.Errorf("found %+v, %v", found, err)
	}
}

// T-30: what becomes of the deposit.
func TestCoin(t *testing.T) {
	d, b := recording.Replay(t)
	coin := chain.Coin{At: script.Outpoint{Tx: hash(t, "20b9a68db49cad7bee648ebde1d74ff70d55caaead5efa7b7689e439987fe110"), Index: 1}, Script: rpctest.Vault(), Height: 151}
	spend := hash(t, "729f203c530ee58660dafbb931b889e9642048ba315c8c20078481371c8d076c")
	other := hash(t, "36d072fb73e89942fbd280bc0ef6df99da75ab88c90b109faf1804841bb4c72f")
	for _, c := range []struct {
		phase string
		want  chain.Fate
	}{
		{"13-spend-mempool", chain.Fate{State: chain.Pending, By: spend}},
		{"14-spend-mined", chain.Fate{State: chain.Spent, By: spend, In: chain.Point{Height: 172, Hash: hash(t, "462745f911857e496c6345a3b38c7a19e8197647c0152651c439812261e8e0e9")}}},
		{"17-reorg-done", chain.Fate{State: chain.Spent, By: spend, In: chain.Point{Height: 173, Hash: hash(t, "7538399f36ec5e95a796551d616c1546cf9e30d5519184bc1d3675453c825379")}}},
		{"20-reorg2-done", chain.Fate{State: chain.Spent, By: other, In: chain.Point{Height: 173, Hash: hash(t, "7236b9aba66f43a98af120cdccfdd9288e9ea7a6b8c83a135768725269ca4572")}}},
	} {
		d.Enter(c.phase)
		if fate, err := b.Coin(t.Context(), coin); err != nil || fate != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.phase, fate, err, c.want)
		}
	}
}

// T-50, T-51: what the daemon says about transactions, in the port's words.
func TestBroadcast(t *testing.T) {
	d, b := recording.Replay(t)
	rpctest.CheckBroadcast(t, d, b, map[string][]error{
		"11-errors-bad":      {chain.ErrRefused},
		"11-errors-two":      {chain.ErrRefused},
		"11-errors-low":      {chain.ErrFeeTooLow},
		"11-errors-zero":     {chain.ErrFeeTooLow},
		"11-errors-inc":      {chain.ErrRefused},
		"11-errors-wrongval": {chain.ErrRefused},
		"11-errors-miss":     {chain.ErrMissingInputs},
		"11-errors-nonf":     {chain.ErrRefused},
		"11-errors-dust":     {chain.ErrRefused},
		"11-errors-name":     {chain.ErrRefused},
		"11-errors-maxfee":   {chain.ErrRefused},
		"13-spend-mempool":   {nil, nil, chain.ErrConflict},
		"14-spend-mined":     {nil, chain.ErrMissingInputs},
		"20-reorg2-done":     {chain.ErrMissingInputs},
	})
}

// T-40: no data is an answer; a rate is in units per 1,000 virtual bytes.
func TestFeeRate(t *testing.T) {
	d, b := recording.Replay(t)
	for _, phase := range []string{"01-start", "14-spend-mined"} {
		d.Enter(phase)
		if rate, err := b.FeeRate(t.Context(), 6); !errors.Is(err, chain.ErrNoEstimate) {
			t.Errorf("%s: %d, %v", phase, rate, err)
		}
	}
	d.Enter("22-fee-estimates")
	for within, want := range map[uint32]asset.Amount{1: 200_013, 6: 200_013, 144: 200_012} {
		if rate, err := b.FeeRate(t.Context(), within); err != nil || rate != want {
			t.Errorf("within %d blocks: %d, %v; want %d", within, rate, err, want)
		}
	}
}

// T-61: a daemon that starts is waited for, if asked, and else says so.
func TestWarmup(t *testing.T) {
	d, b := recording.Replay(t)
	if _, err := b.Tip(t.Context()); !errors.Is(err, chain.ErrWarmup) || !errors.Is(err, chain.ErrUnavailable) {
		t.Errorf("while it starts: %v", err)
	}
	c := d.Config()
	c.Warmup = time.Minute
	patient, err := namecoin.Open(b.Network(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer patient.Close() //nolint:errcheck // never fails
	if tip, err := patient.Tip(t.Context()); err != nil || tip.Hash != b.Network().Genesis {
		t.Errorf("who waits: %+v, %v", tip, err)
	}
}

// T-60: Bitcoin's regression test network begins with the same block.
func TestWrongNetwork(t *testing.T) {
	d, _ := recording.Replay(t)
	d.Enter("02-mined-150")
	btc, _ := script.ByName("bitcoin-regtest")
	b, err := bitcoin.Open(btc, d.Config())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Tip(t.Context()); !errors.Is(err, chain.ErrWrongNetwork) {
		t.Errorf("tip of Namecoin for Bitcoin: %v", err)
	}
	ltc, _ := script.ByName("litecoin-regtest")
	l, err := litecoin.Open(ltc, d.Config())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Tip(t.Context()); !errors.Is(err, chain.ErrWrongNetwork) {
		t.Errorf("tip of Namecoin for Litecoin: %v", err)
	}
	if _, err := namecoin.Open(btc, d.Config()); err == nil {
		t.Error("opened a network of another chain")
	}
}

// T-62: no error shows what the daemon knows us by.
func TestDenied(t *testing.T) {
	d, b := recording.Replay(t)
	d.Enter("02-mined-150")
	c := d.Config()
	c.Password = "hidden-word"
	denied, err := namecoin.Open(b.Network(), c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = denied.Tip(t.Context())
	if !errors.Is(err, chain.ErrDenied) {
		t.Errorf("wrong password: %v", err)
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c, &c), fmt.Sprintf("%+v", denied)} {
		if strings.Contains(text, c.Password) || strings.Contains(text, c.User) {
			t.Errorf("credentials in %q", text)
		}
	}
}

func TestNamecoind(t *testing.T) {
	binary := os.Getenv("NAMECOIND")
	if binary == "" {
		t.Skip("set NAMECOIND to the path of namecoind to run this")
	}
	m := nodetest.Start(t, chainnode.Namecoind, binary)
	chaintest.Run(t, nodetest.Rig(m))
}
