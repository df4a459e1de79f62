// Package conformance_test runs clients that were written for Binance, unmodified, over TLS
// against gates and a virtual server of one member, and one of them against a federation of
// four that loses a server, all of them processes of the souk program; and asks a gate in this process for everything that such clients may ask for.
package conformance_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	_ "souk/cli" // what the program is made of: a remembered result is forgotten when it changes
	"souk/identity"
	"souk/internal/bulk"
	"souk/internal/cluster/clustertest"
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

// TestClients runs every step of every client against a gate of its own, which was made and
// started by the commands that its user is told.
func TestClients(t *testing.T) {
	t.Parallel()
	if !bulk.Whole() {
		t.Skip("processes, in which the race detector sees nothing")
	}
	modules, program, souk := install(t), build(t), buildSouk(t)
	w := ungated(t, startProcesses(t, souk, 1).Local)
	w.liquidity()
	all := clients(t)
	results := make([]result, len(all))
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range all {
		c, tr := &all[i], w.person(souk, i)
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = c.served(t.Context(), tr, modules, program)
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
	if !t.Failed() {
		checkTable(t, table(all, results))
	}
	t.Run("one of four servers is lost", func(t *testing.T) { outlives(t, souk, modules) })
}

// person is somebody with an account and money. The first one makes his purse and his gate
// from nothing; for the others they are sealed quickly.
func (w *world) person(souk string, number int) *clustertest.Trader {
	w.Helper()
	tr, err := clustertest.NewTrader(souk, w.TempDir(), w.local)
	if err == nil && number == 0 {
		err = tr.New(w.Context())
	} else if err == nil {
		err = tr.Import(identity.NewKey([32]byte{1, byte(number)}))
	}
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := tr.Close(); err != nil {
			w.Error(err)
		}
	})
	w.mint(tr.Address, 1)
	return tr
}

// served runs the steps of a client against a gate that its user makes for it.
func (c *client) served(ctx context.Context, tr *clustertest.Trader, modules, program string) result {
	failed := func(err error) result { return result{problems: []string{err.Error()}} }
	if err := tr.Gate(ctx); err != nil {
		return failed(err)
	}
	key, err := tr.Key(ctx, kindName(c.kind))
	if err != nil {
		return failed(err)
	}
	return c.run(ctx, &key, modules, program, nil)
}

// outlives runs every step of a client against a gate of a federation of four, of which one
// server, the first of the gate's list, is killed half way: the client notices nothing.
func outlives(t *testing.T, souk, modules string) {
	t.Helper()
	f := startProcesses(t, souk, 4)
	w := ungated(t, f.Local)
	w.liquidity()
	c := client{script: "ccxt.cjs", exchange: "binance", kind: binance.HMAC}
	tr := w.person(souk, 1)
	if err := tr.Gate(t.Context()); err != nil {
		t.Fatal(err)
	}
	key, err := tr.Key(t.Context(), kindName(c.kind))
	if err != nil {
		t.Fatal(err)
	}
	const half = 10
	r := c.run(t.Context(), &key, modules, "", func(steps int) {
		if steps == half {
			f.Kill(0)
		}
	})
	if r.all <= half || f.Running(0) {
		t.Errorf("%d steps, and the server runs: %v", r.all, f.Running(0))
	}
	for _, p := range r.problems {
		t.Error(p)
	}
	if t.Failed() {
		t.Logf("it says: %s", r.said)
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

// run runs the steps of one client, which trusts the gate as docs/clients.md says. stepped, if
// there is one, is told of each step how many there were.
func (c *client) run(ctx context.Context, key *clustertest.Key, modules, program string, stepped func(int)) (r result) {
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
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules, "NODE_EXTRA_CA_CERTS="+key.CA, "SSL_CERT_FILE="+key.CA)
	input, err := json.Marshal(map[string]string{
		"base": key.URL, "wss": "wss" + strings.TrimPrefix(key.URL, "https"), "key": key.ID, "secret": key.Secret + key.Private,
		"kind": kindName(c.kind), "exchange": c.exchange,
	})
	if err != nil {
		return result{problems: []string{err.Error()}}
	}
	cmd.Stdin = bytes.NewReader(input)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return result{problems: []string{err.Error()}}
	}
	var besides strings.Builder // said has another writer until the program ends
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if !r.take(lines.Bytes()) {
			besides.WriteString(lines.Text() + "\n")
		} else if stepped != nil {
			stepped(r.all)
		}
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil || r.all == 0 {
		r.problems = append(r.problems, fmt.Sprintf("%v, %d steps", err, r.all))
	}
	r.said = said.String() + besides.String()
	return r
}

// take takes in what a client says of a step; false if it says something else.
func (r *result) take(line []byte) bool {
	var step struct {
		Step  string `json:"step"`
		OK    bool   `json:"ok"`
		Error string `json:"error"`
	}
	if json.Unmarshal(line, &step) != nil || step.Step == "" {
		return false
	}
	r.all++
	if step.OK {
		r.passed++
	} else {
		r.problems = append(r.problems, step.Step+": "+step.Error)
	}
	return true
}
