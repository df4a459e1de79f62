package chainnode_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"souk/chain"
	"souk/internal/chainnode"
)

// A node starts, stops, and starts again in its folder. Its credentials are where
// only its owner can read them, and on no command line.
func TestStart(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := filepath.Join(t.TempDir(), "node")
	wallet := chainnode.NewWallet("start")
	c := chainnode.Config{Kind: chainnode.Btcd, Dir: dir, Reward: wallet.Script()}
	for range 2 {
		n, err := chainnode.Start(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Generate(ctx, 5); err != nil {
			t.Error(err)
		}
		b, err := n.Backend()
		if err != nil {
			t.Fatal(err)
		}
		if tip, err := b.Tip(ctx); err != nil || tip.Height != 5 {
			t.Errorf("tip is %v, %v", tip, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		info, err := os.Stat(filepath.Join(dir, "node.conf"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("configuration: %v, %v", info.Mode(), err)
		}
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", n.PID())); err == nil && bytes.Contains(line, []byte(n.RPC().Password)) {
			t.Error("password on a command line")
		}
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// A node that is connected to a miner's follows its blocks.
func TestConnect(t *testing.T) {
	for _, kind := range []chainnode.Kind{chainnode.Btcd, chainnode.Ltcd} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			dir := t.TempDir()
			m, err := chainnode.StartMiner(ctx, chainnode.Config{Kind: kind, Dir: filepath.Join(dir, "miner")})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = m.Stop() }()
			n, err := chainnode.Start(ctx, chainnode.Config{Kind: kind, Dir: filepath.Join(dir, "node"), Reward: m.Reward()})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = n.Stop() }()
			b, err := n.Backend()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = b.Close() }()
			if err := n.Connect(ctx, m.Node()); err != nil {
				t.Fatal(err)
			}
			same := func() {
				t.Helper()
				want, err := m.Tip(ctx)
				if err != nil {
					t.Fatal(err)
				}
				for got, err := b.Tip(ctx); got.Hash != want.Hash; got, err = b.Tip(ctx) {
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(20 * time.Millisecond)
				}
			}
			same()
			at, err := m.Pay(ctx, m.Script(), 1e8)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Mine(ctx, 1); err != nil {
				t.Fatal(err)
			}
			same()
			if fate, err := b.Coin(ctx, chain.Coin{At: at, Height: 1}); err != nil || fate.State != chain.Unspent {
				t.Errorf("the other node says %v of a payment, %v", fate.State, err)
			}
		})
	}
}

// Without Go, and without a binary, it is said what is missing.
func TestBuildWithoutGo(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("PATH", "")
	_, err := chainnode.Build(t.Context(), chainnode.Ltcd, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "building it needs Go") {
		t.Errorf("%v", err)
	}
	if _, err := chainnode.Build(t.Context(), chainnode.Namecoind, io.Discard); err == nil {
		t.Error("built namecoind")
	}
}

// What does not start is reported, and not waited for.
func TestStartFails(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := chainnode.Config{Kind: chainnode.Btcd, Binary: binary, Dir: t.TempDir(), Reward: chainnode.NewWallet("x").Script()}
	begin := time.Now()
	if n, err := chainnode.Start(t.Context(), c); err == nil {
		n.Stop() //nolint:errcheck // the test has failed
		t.Error("started what does not")
	}
	if time.Since(begin) > 20*time.Second {
		t.Error("waited for what has ended")
	}
}
