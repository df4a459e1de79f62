// Package conformance_test runs clients that were written for Binance, unmodified, over
// TLS against a gate and a real virtual server of one member in this process.
package conformance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/internal/bulk"
	"souk/web/binance"
)

// client is one run of one client.
type client struct {
	name     string // as the table has it
	version  string // exact, as the lock file has it
	script   string // beside this file; empty: the Go program
	exchange string // of ccxt
	kind     binance.KeyKind
}

func clients(t *testing.T) []client {
	t.Helper()
	ccxt, theirs, official, golang := version(t, "ccxt"), version(t, "binance"), version(t, "@binance/spot"), goVersion(t)
	return []client{
		{"ccxt `binanceus` (JavaScript)", ccxt, "ccxt.cjs", "binanceus", binance.HMAC},
		{"ccxt `binanceus` (JavaScript)", ccxt, "ccxt.cjs", "binanceus", binance.Ed25519},
		{"ccxt `binance` (JavaScript)", ccxt, "ccxt.cjs", "binance", binance.HMAC},
		{"ccxt `binance` (JavaScript)", ccxt, "ccxt.cjs", "binance", binance.Ed25519},
		{"binance, by tiagosiebler (JavaScript)", theirs, "tiagosiebler.cjs", "", binance.HMAC},
		{"binance, by tiagosiebler (JavaScript)", theirs, "tiagosiebler.cjs", "", binance.Ed25519},
		{"@binance/spot (JavaScript)", official, "spot.cjs", "", binance.HMAC},
		{"@binance/spot (JavaScript)", official, "spot.cjs", "", binance.Ed25519},
		{"adshao/go-binance (Go)", golang, "", "", binance.HMAC},
		{"adshao/go-binance (Go)", golang, "", "", binance.Ed25519},
	}
}

// version is the exact version of a package that is installed.
func version(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	if err := json.Unmarshal(data, &p); err != nil || !regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(p.Dependencies[name]) {
		t.Fatalf("package.json has no exact version of %s: %v", name, err)
	}
	return p.Dependencies[name]
}

// goVersion is the version of go-binance.
func goVersion(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("gobinance/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`go-binance/v2 (v\S+)`).FindSubmatch(data)
	if m == nil {
		t.Fatal("go.mod has no version of go-binance")
	}
	return string(m[1])
}

func kindName(k binance.KeyKind) string {
	if k == binance.HMAC {
		return "hmac"
	}
	return "ed25519"
}

// result is what a client's steps came to.
type result struct {
	passed, all int
	problems    []string
	said        string // what it wrote besides
}

// atOnce is how many clients run at the same time: they wait most of the time.
const atOnce = 5

// TestClients runs every step of every client.
func TestClients(t *testing.T) {
	t.Parallel()
	modules := install(t)
	program := build(t)
	w := newWorld(t, binance.Limits{Weight: 1_000_000, Orders: 100_000, Sockets: 10_000})
	w.liquidity()
	all := clients(t)
	if !bulk.Whole() {
		all = all[:1] // the race detector sees as much of one of them
	}
	results := make([]result, len(all))
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range all {
		c := &all[i]
		tr := w.trader(strings.ReplaceAll(c.script+c.exchange, ".", "-")+kindName(c.kind), c.kind)
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = w.runClient(t.Context(), c, tr, modules, program)
		})
	}
	wg.Wait()
	for i, r := range results {
		t.Run(all[i].name+" "+kindName(all[i].kind), func(t *testing.T) {
			for _, p := range r.problems {
				t.Error(p)
			}
			if len(r.problems) > 0 {
				t.Logf("it says: %s", r.said)
			}
		})
	}
	if bulk.Whole() && !t.Failed() {
		checkTable(t, table(all, results))
	}
}

// install makes sure that the packages are there.
func install(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "../../../scripts/npm", "web/binance/conformance")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("install the packages: %v\n%s", err, &problems)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "node_modules")
}

// build builds the program of the Go client, which is a module of its own.
func build(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "gobinance")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", to, ".")
	cmd.Dir = "gobinance"
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return to
}

// runClient runs the steps of one client.
func (w *world) runClient(ctx context.Context, c *client, tr *trader, modules, program string) (r result) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	if c.script != "" {
		script, err := filepath.Abs(c.script)
		if err != nil {
			return result{problems: []string{err.Error()}}
		}
		cmd = exec.CommandContext(ctx, "node", script)
	}
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules, "NODE_EXTRA_CA_CERTS="+w.caFile)
	input, err := json.Marshal(map[string]string{
		"base": w.url, "wss": "wss" + strings.TrimPrefix(w.url, "https"), "key": tr.key.ID, "secret": tr.secret,
		"kind": kindName(c.kind), "exchange": c.exchange, "ca": string(w.ca),
	})
	if err != nil {
		return result{problems: []string{err.Error()}}
	}
	cmd.Stdin = bytes.NewReader(input)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	for text := range bytes.Lines(out) {
		var step struct {
			Step  string `json:"step"`
			OK    bool   `json:"ok"`
			Error string `json:"error"`
		}
		if json.Unmarshal(text, &step) != nil || step.Step == "" {
			said.Write(text)
			continue
		}
		r.all++
		if step.OK {
			r.passed++
		} else {
			r.problems = append(r.problems, step.Step+": "+step.Error)
		}
	}
	if err != nil || r.all == 0 {
		r.problems = append(r.problems, fmt.Sprintf("%v, %d steps", err, r.all))
	}
	r.said = said.String()
	return r
}
