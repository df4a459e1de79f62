package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"souk/asset"
	"souk/internal/chainnode"
	"souk/internal/cluster/clustertest"
)

// customer is somebody who uses his account through the wallet door of his gate, with
// programs that were written for bitcoind.
type customer struct {
	b        *banked
	programs []walletProgram
	wants    map[string]asset.Amount // what the wallets are to have, by symbol
	paid     []payout
}

// walletProgram is a client of bitcoind, unmodified, that uses the wallet of a bank.
type walletProgram struct {
	name    string
	symbol  string // of the bank's asset
	command func(ctx context.Context, method string, params ...any) *exec.Cmd
}

// payout is what was sent.
type payout struct {
	symbol string
	id     string
	out    []byte
	amount asset.Amount
}

// customer opens an account by a deposit address, and a gate that may send coins away.
func (b *banked) customer(name string) *customer {
	t := b.t
	t.Helper()
	tr, err := clustertest.NewTrader(binary, t.TempDir(), b.Local)
	if err == nil {
		err = tr.Import(keyOf(name))
	}
	if err == nil {
		err = tr.Souk(t.Context(), nil, "deposit", "BTC", "--no-qr", "--purse", tr.Purse())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := tr.Gate(t.Context(), "--allow-withdraw"); err != nil {
		t.Fatal(err)
	}
	key, err := tr.Key(t.Context(), "ed25519") // which says where the gate is
	if err != nil {
		t.Fatal(err)
	}
	return &customer{
		b: b, wants: map[string]asset.Amount{},
		programs: []walletProgram{btcctl(t, tr, &key), bitcoinCore(t, tr, &key, "BTC"), bitcoinCore(t, tr, &key, "LTC")},
	}
}

// btcctl is the one that comes with btcd, called as docs/gate.md says.
func btcctl(t *testing.T, tr *clustertest.Trader, key *clustertest.Key) walletProgram {
	t.Helper()
	program, err := chainnode.Btcctl(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	gate, err := url.Parse(key.URL)
	if err != nil {
		t.Fatal(err)
	}
	cookie, err := os.ReadFile(tr.Home().Cookie())
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := strings.Cut(string(cookie), ":")
	config := filepath.Join(t.TempDir(), "btcctl.conf")
	if err := os.WriteFile(config, []byte("rpcuser="+user+"\nrpcpass="+password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return walletProgram{"btcctl", "BTC", func(ctx context.Context, method string, params ...any) *exec.Cmd {
		args := []string{"--configfile=" + config, "--wallet", "--rpcserver=" + gate.Host + "/wallet/btc", "--rpccert=" + key.CA, method}
		for _, p := range params {
			args = append(args, fmt.Sprint(p))
		}
		return exec.CommandContext(ctx, program, args...)
	}}
}

// bitcoinCore is npm's client of that name, with the wallet of an asset.
func bitcoinCore(t *testing.T, tr *clustertest.Trader, key *clustertest.Key, symbol string) walletProgram {
	t.Helper()
	install := exec.CommandContext(t.Context(), "scripts/npm", "web/wallet/conformance")
	install.Dir = "../.."
	modules, err := install.Output()
	if err != nil {
		t.Fatalf("install npm packages: %v", err)
	}
	wallet := strings.ToLower(symbol)
	return walletProgram{"bitcoin-core/" + wallet, symbol, func(ctx context.Context, method string, params ...any) *exec.Cmd {
		if params == nil {
			params = []any{}
		}
		want, _ := json.Marshal(map[string]any{ // texts and numbers always can
			"url": key.URL, "cookie": tr.Home().Cookie(), "wallet": wallet, "method": method, "params": params,
		})
		cmd := exec.CommandContext(ctx, "node", "../../web/wallet/conformance/call.cjs", string(want))
		cmd.Env = append(os.Environ(), "MODULES="+strings.TrimSpace(string(modules)), "NODE_EXTRA_CA_CERTS="+key.CA, "NODE_NO_WARNINGS=1")
		return cmd
	}}
}

// call calls a method and answers what the program prints.
func (h *customer) call(p *walletProgram, method string, params ...any) (string, error) {
	ctx, cancel := context.WithTimeout(h.b.t.Context(), time.Minute)
	defer cancel()
	cmd := p.command(ctx, method, params...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s %v: %w: %s%s", p.name, method, params, err, out, &errs)
	}
	return strings.Trim(strings.TrimSpace(string(out)), `"`), nil
}

func (h *customer) must(p *walletProgram, method string, params ...any) string {
	h.b.t.Helper()
	out, err := h.call(p, method, params...)
	if err != nil {
		h.b.t.Fatal(err)
	}
	return out
}

// receives pays a new address of each program from outside.
func (h *customer) receives() {
	t := h.b.t
	t.Helper()
	for i := range h.programs {
		p := &h.programs[i]
		c := h.b.coins[p.symbol]
		address := h.must(p, "getnewaddress")
		out, err := c.Network().ParseAddress(address)
		if err != nil {
			t.Fatalf("%s: address %q: %v", p.name, address, err)
		}
		amount := asset.Amount(i+1) * 1e8
		if _, err := c.Pay(within(t, time.Minute), out, amount); err != nil {
			t.Fatal(err)
		}
		h.wants[p.symbol] += amount
	}
}

// has waits until each program sees what the wallet is to have.
func (h *customer) has() {
	h.b.t.Helper()
	for i := range h.programs {
		p := &h.programs[i]
		eventually(h.b.t, time.Minute, p.name+" sees the balance", func() error {
			out, err := h.call(p, "getbalance")
			if err != nil {
				return err
			}
			if got, err := asset.Parse(out, 8); err != nil || got != h.wants[p.symbol] {
				return fmt.Errorf("it is %s, not %s: %w", out, asset.Format(h.wants[p.symbol], 8), err)
			}
			return nil
		})
	}
}

// sends sends coins away with each program.
func (h *customer) sends() {
	t := h.b.t
	t.Helper()
	for i := range h.programs {
		p := &h.programs[i]
		c := h.b.coins[p.symbol]
		x := payout{symbol: p.symbol, out: chainnode.NewWallet(p.name + t.Name()).Script(), amount: asset.Amount(i+1) * 25_000_000}
		to, err := c.Network().Address(x.out)
		if err != nil {
			t.Fatal(err)
		}
		x.id = h.must(p, "sendtoaddress", to, json.Number(asset.Format(x.amount, 8)), "id:"+p.name)
		if again := h.must(p, "sendtoaddress", to, json.Number(asset.Format(x.amount, 8)), "id:"+p.name); again != x.id {
			t.Errorf("%s: paid as %s, and the same again as %s", p.name, x.id, again)
		}
		h.paid = append(h.paid, x)
	}
}

// movement is a line of listtransactions.
type movement struct {
	Txid          string
	Category      string
	Amount, Fee   json.Number
	Confirmations int
	Tx            string `json:"souk_txid"`
}

// lists waits until each program lists what came and what went, with blocks upon it, mining
// meanwhile; what went has arrived outside, exact to the unit.
func (h *customer) lists() {
	t := h.b.t
	t.Helper()
	for i := range h.programs {
		p := &h.programs[i]
		eventually(t, 2*time.Minute, p.name+" lists what is paid", func() error {
			list, err := h.movements(p)
			if err == nil {
				return h.complete(p.symbol, list)
			}
			return err
		})
	}
	for _, x := range h.paid {
		var got asset.Amount
		err := h.b.coins[x.symbol].Miner(func(m *chainnode.Miner) (err error) {
			got, err = m.Received(within(t, time.Minute), x.out)
			return err
		})
		if err != nil || got != x.amount {
			t.Errorf("the receiver of %s has %d, not %d: %v", x.id, got, x.amount, err)
		}
	}
	for symbol := range h.wants {
		list, err := h.movements(&h.programs[slices.IndexFunc(h.programs, func(p walletProgram) bool { return p.symbol == symbol })])
		if err != nil {
			t.Fatal(err)
		}
		for i := range list {
			if list[i].Category == "send" {
				h.wants[symbol] -= minus(t, list[i].Amount) + minus(t, list[i].Fee)
			}
		}
	}
	h.has()
}

// minus is an amount that is written with a minus.
func minus(t *testing.T, n json.Number) asset.Amount {
	t.Helper()
	a, err := asset.Parse(strings.TrimPrefix(n.String(), "-"), 8)
	if err != nil || a == 0 || !strings.HasPrefix(n.String(), "-") {
		t.Errorf("%s is not below zero: %v", n, err)
	}
	return a
}

func (h *customer) movements(p *walletProgram) (list []movement, err error) {
	out, err := h.call(p, "listtransactions")
	if err != nil {
		return nil, err
	}
	return list, json.Unmarshal([]byte(out), &list)
}

// complete tells whether the list of a wallet has everything, mined; if it is not mined it mines a block.
func (h *customer) complete(symbol string, list []movement) error {
	programs := slices.DeleteFunc(slices.Clone(h.programs), func(p walletProgram) bool { return p.symbol != symbol })
	paid := slices.DeleteFunc(slices.Clone(h.paid), func(x payout) bool { return x.symbol != symbol })
	received := 0
	sent := map[string]movement{}
	for _, m := range list {
		if m.Category == "send" {
			sent[m.Txid] = m
		} else if m.Confirmations > 0 {
			received++
		}
	}
	if received != len(programs) || len(sent) != len(paid) {
		return fmt.Errorf("%d receipts and %d payments: %+v", received, len(sent), list)
	}
	for _, x := range paid {
		if m := sent[x.id]; m.Confirmations < 1 || len(m.Tx) != 64 {
			ctx, cancel := context.WithTimeout(h.b.t.Context(), 20*time.Second)
			defer cancel()
			time.Sleep(300 * time.Millisecond) // members sign meanwhile
			return errors.Join(fmt.Errorf("not mined: %+v", m), h.b.coins[symbol].Mine(ctx, 1))
		}
	}
	return nil
}
