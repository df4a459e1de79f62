// Package nodetest gives real nodes to tests of the chain port's adapters.
package nodetest

import (
	"bytes"
	"context"
	"path/filepath"
	"sync"
	"testing"

	"souk/asset"
	"souk/chain"
	"souk/chain/chaintest"
	"souk/internal/chainnode"
	"souk/script"
)

// Miner is a chainnode.Miner as chaintest wants it.
type Miner struct{ *chainnode.Miner }

var _ chaintest.Miner = Miner{}

// Start starts a node that ends with the test. binary is empty for those that are built.
func Start(t *testing.T, kind chainnode.Kind, binary string) Miner {
	t.Helper()
	var log output
	m, err := chainnode.StartMiner(t.Context(), chainnode.Config{
		Kind: kind, Binary: binary, Dir: filepath.Join(t.TempDir(), string(kind)), Log: &log,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	t.Cleanup(func() {
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", kind, log.String())
		}
	})
	return Miner{m}
}

// Rig returns what chaintest.Run needs of a backend over the node's own RPC.
func Rig(m Miner) func(*testing.T) *chaintest.Rig {
	return func(t *testing.T) *chaintest.Rig {
		open := func(t *testing.T) chain.Backend {
			t.Helper()
			b, err := m.Node().Backend()
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		return &chaintest.Rig{Miner: m, Backend: open(t), Reopen: open, Pending: true, Unsure: true}
	}
}

// Pay makes a payment wait for a block.
func (m Miner) Pay(t testing.TB, out []byte, amount asset.Amount) script.Outpoint {
	t.Helper()
	at, err := m.Miner.Pay(context.Background(), out, amount)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Spend signs a transaction.
func (m Miner) Spend(t testing.TB, coins []chain.Payment, outputs ...script.Output) []byte {
	t.Helper()
	raw, err := m.Sign(coins, outputs)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Mine makes blocks.
func (m Miner) Mine(t testing.TB, n int) {
	t.Helper()
	if err := m.Miner.Mine(context.Background(), n); err != nil {
		t.Fatal(err)
	}
}

// Reorganise replaces blocks.
func (m Miner) Reorganise(t testing.TB, depth, n int, instead ...[]byte) {
	t.Helper()
	if err := m.Miner.Reorganise(context.Background(), depth, n, instead...); err != nil {
		t.Fatal(err)
	}
}

// Tip is the end of the chain.
func (m Miner) Tip(t testing.TB) chain.Point {
	t.Helper()
	tip, err := m.Miner.Tip(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return tip.Point
}

// Waiting tells whether a transaction waits for a block.
func (m Miner) Waiting(t testing.TB, id script.Hash) bool {
	t.Helper()
	waits, err := m.Miner.Waiting(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return waits
}

// output keeps the last words of a node.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	const most = 1 << 20
	if o.buf.Len() > most {
		o.buf.Next(o.buf.Len() - most/2)
	}
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.buf.Bytes()
	return string(b[max(0, len(b)-20_000):])
}
