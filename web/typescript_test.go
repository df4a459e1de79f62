package web_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/web"
)

// The TypeScript package whose operations are generated from the OpenAPI document.
const typescript = "../api/ts"

// modules are the packages of the TypeScript package, which scripts/npm installs.
func modules(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("there is no npm here")
	}
	cmd := exec.CommandContext(t.Context(), "../scripts/npm", "api/ts")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("install the packages: %v\n%s", err, &problems)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "node_modules")
}

// run runs a program of the packages.
func run(t *testing.T, dir string, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(within(t, time.Minute), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// The types of the TypeScript package are those of the OpenAPI document (H-70).
func TestTypeScriptTypes(t *testing.T) {
	bin := filepath.Join(modules(t), ".bin", "openapi-typescript")
	to := filepath.Join(t.TempDir(), "schema.d.ts")
	run(t, ".", nil, bin, "openapi.json", "-o", to)
	want, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	committed := filepath.Join(typescript, "schema.d.ts")
	if *update {
		if err := os.WriteFile(committed, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(committed)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what openapi.json says (%v); run go test ./web -run 'TestOpenAPI|TestTypeScriptTypes' -update", committed, err)
	}
}

// The TypeScript package works against real servers, one of which dies under its streams.
func TestTypeScriptClient(t *testing.T) {
	packages := modules(t)
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(typescript, "*.[tj]s*"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%v: %v", files, err)
	}
	for _, from := range files {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(from)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(packages, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	run(t, dir, nil, filepath.Join(packages, ".bin", "tsc"), "-p", ".")
	f := newFederation(t, 2, web.Config{})
	f.fund("alice", "bob")
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() { trade(t, f, stop) })
	wait.Go(func() { restart(t, f.nodes[0], stop) })
	defer func() {
		close(stop)
		wait.Wait()
	}()
	sign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := signer("alice")
		token := api.SignRead(f.id, s.Account, s.Key, uint64(time.Now().UnixMilli()), r.FormValue("method"), r.FormValue("target"))
		_, _ = w.Write([]byte(token.String()))
	}))
	defer sign.Close()
	env := []string{
		"SOUK_SERVERS=" + strings.Join(f.urls(), ","), "SOUK_ID=" + fmt.Sprintf("%x", f.id), "SOUK_SIGNER=" + sign.URL,
		"SOUK_ALICE=" + exchangetest.Address("alice").String(),
	}
	run(t, dir, env, "node", "out/client.test.js")
}

// trade lets alice and bob trade until it is stopped. Whatever rests is traded soon: an account may
// have only so many orders.
func trade(t *testing.T, f *federation, stop chan struct{}) {
	seller, buyer := f.client().As(signer("alice")), f.client().As(signer("bob"))
	for i := 0; ; i++ {
		seller, buyer = buyer, seller // or one runs out of bitcoin
		select {
		case <-stop:
			return
		default:
		}
		_, err := seller.Do(t.Context(), limit(market.Sell, asset.Price(50_000+i%7), ""))
		_, err2 := buyer.Do(t.Context(), limit(market.Buy, asset.Price(50_003+i%5), ""))
		if err := errors.Join(err, err2); err != nil {
			t.Error(err)
			return
		}
	}
}

// restart takes a server's virtual server away now and then, which ends its streams.
func restart(t *testing.T, n *node, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(200 * time.Millisecond):
		}
		n.server.Stop(n.f.id)
		if err := n.server.Add(web.Virtual{
			Founding: n.f.founding, Replica: adapter{n.replica}, Engine: n, Self: n.f.founding.Members[n.index].Consensus, Admit: n.admit,
		}); err != nil {
			t.Error(err)
		}
	}
}
