package node_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/chain"
	"souk/chain/memchain"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/identity"
	"souk/node"
	"souk/script"
	"souk/store/sealed"
)

// vault is a running federation with a bank of BTC on a chain in memory.
type vault struct {
	*federation
	chain *memchain.Chain
	alice *api.Actor
}

func network(t *testing.T, name string) *script.Network {
	t.Helper()
	n, ok := script.ByName(name)
	if !ok {
		t.Fatal("no network " + name)
	}
	return n
}

// foundVault founds servers with a bank of BTC.
func foundVault(t *testing.T, servers int) *node.Local {
	t.Helper()
	local, err := node.FoundLocal(node.LocalSetup{
		Dir: filepath.Join(t.TempDir(), "fed"), Name: "vault", Servers: servers, Work: sealed.TestWork, Now: time.Now().Add(-time.Second),
		Banks: []node.BankTerms{{Asset: "BTC", Network: "bitcoin-regtest"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return local
}

// startVault starts servers of which only the first so many see the chain.
func startVault(t *testing.T, servers, seeing int) *vault {
	t.Helper()
	local := foundVault(t, servers)
	v := &vault{federation: &federation{Local: local, nodes: make([]*node.Node, servers), log: slog.New(slog.NewTextHandler(t.Output(), nil))}}
	v.chain = memchain.New(network(t, "bitcoin-regtest"), true)
	v.chain.SetRate(2000)
	t.Cleanup(func() {
		for _, n := range v.nodes {
			if n != nil {
				if err := n.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for i := range servers {
		v.open(t, i)
		if i < seeing {
			v.nodes[i].SetChain(v.chain.Node())
		}
	}
	var err error
	if v.client, err = api.NewClient(api.Config{Servers: local.URLs, ID: local.Founding.ID()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.client.Close)
	v.alice = v.client.As(signer(identity.NewKey([32]byte{1})))
	return v
}

// await waits until something is so.
func await(ctx context.Context, t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: it does not come", what)
		}
	}
}

// state reads the state of the first server.
func (v *vault) state(t *testing.T, read func(*exchange.State)) {
	t.Helper()
	if err := v.nodes[0].View(0, read); err != nil {
		t.Fatal(err)
	}
}

// balance is what alice can spend.
func (v *vault) balance(t *testing.T) (a asset.Amount) {
	t.Helper()
	v.state(t, func(s *exchange.State) {
		if n, ok := s.Ledger().Find(identity.AddressOf(identity.NewKey([32]byte{1}).Public())); ok {
			a = s.Ledger().Available(n, 1)
		}
	})
	return a
}

// greet opens alice's account, with euros to spend.
func (v *vault) greet(ctx context.Context, t *testing.T) {
	t.Helper()
	r, err := v.client.As(signer(v.Issuer)).Do(ctx, &exchange.Mint{Asset: 2, Amount: 5e8, To: signer(alicesKey()).Account})
	must(t, r, err)
}

// deposit has an address allotted to alice and pays to it.
func (v *vault) deposit(ctx context.Context, t *testing.T, amount asset.Amount) {
	t.Helper()
	r, err := v.alice.Do(ctx, &exchange.NewAddress{Bank: 1})
	number := must(t, r, err)[0].Number
	var out []byte
	v.state(t, func(s *exchange.State) {
		series, _, _ := s.Banks().SeriesOf(1, uint32(number>>32))
		if out, err = series.Output(script.Deposits, uint32(number)); err != nil {
			t.Error(err)
		}
	})
	v.chain.Pay(out, amount)
	before := v.balance(t)
	v.chain.Mine(6)
	await(ctx, t, "deposit", func() bool { return v.balance(t) == before+amount })
}

// withdraw pays from alice's account to somebody outside and waits until it is mined
// and settled.
func (v *vault) withdraw(ctx context.Context, t *testing.T, to []byte, amount asset.Amount) {
	t.Helper()
	r, err := v.alice.Do(ctx, &exchange.Withdraw{Request: custody.Request{Bank: 1, Script: to, Amount: amount, MaxFee: 10_000}})
	id := custody.ID(must(t, r, err)[0].Number)
	begin := time.Now()
	await(ctx, t, "broadcast", func() bool { return len(v.chain.Pool()) > 0 })
	t.Logf("signed and broadcast after %v", time.Since(begin))
	v.chain.Mine(6)
	if got := v.chain.Balance(to); got < amount {
		t.Fatalf("paid %d of %d", got, amount)
	}
	await(ctx, t, "settled", func() (ok bool) {
		v.state(t, func(s *exchange.State) { _, ok = s.Banks().Settled(id) })
		return ok
	})
}

func alicesKey() identity.PrivateKey { return identity.NewKey([32]byte{1}) }

func output(b byte) []byte {
	out := make([]byte, 22)
	out[1], out[2] = 20, b
	return out
}

// Four servers of which three see the chain: money comes in and goes out, the fourth
// says what it lacks, and while nothing happens no blocks are made.
func TestVault(t *testing.T) {
	v := startVault(t, 4, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	v.chain.Mine(5)
	v.greet(ctx, t)
	v.deposit(ctx, t, 3e8)
	v.withdraw(ctx, t, output(7), 1e8)

	tip, id := v.chain.Tip().Height, v.Founding.ID()
	for i, url := range v.URLs {
		one, err := api.NewClient(api.Config{Servers: []string{url}, ID: id})
		if err != nil {
			t.Fatal(err)
		}
		defer one.Close()
		var s *api.Status
		await(ctx, t, "attested", func() bool {
			if s, err = one.Status(ctx); err != nil || len(s.Banks) != 1 {
				t.Fatalf("%+v, %v", s, err)
			}
			return i == 3 || s.Banks[0].Attested == tip && s.Banks[0].Agreed == tip
		})
		b, works := &s.Banks[0], 0
		switch {
		case i < 3:
			works = 1
			if !b.Works || b.Problem != "" {
				t.Errorf("server %d: %+v", i+1, b)
			}
		case b.Works || !strings.Contains(b.Problem, "add [chains.bitcoin-regtest] to "):
			t.Errorf("server without the chain: %+v", b)
		}
		metrics := fetch(t, url+"/metrics")
		if want := fmt.Sprintf(`souk_bank_works{asset="BTC",network="bitcoin-regtest",virtual_server="%x"} %d`, id[:8], works); !strings.Contains(metrics, want) {
			t.Errorf("server %d: no %s in\n%s", i+1, want, metrics)
		}
	}
	v.idle(t)
}

// idle checks that no block executes anything while nothing happens.
func (v *vault) idle(t *testing.T) {
	t.Helper()
	height := func() (h uint64) {
		v.state(t, func(s *exchange.State) { h = s.Height() })
		return h
	}
	var before uint64
	for now := height(); now != before; now = height() { // what is under way ends
		before = now
		time.Sleep(time.Second)
	}
	time.Sleep(3 * time.Second)
	if now := height(); now != before {
		t.Errorf("%d blocks while nothing happened", now-before)
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url) //nolint:noctx // of this test's server
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// broken is a backend with a fault of the program in it.
type broken struct{ chain.Backend }

func (broken) Follow(context.Context, chain.Locator, int) (chain.Step, error) { panic("broken") }

// A panic in the work for one bank ends that work, says which, and nothing else.
func TestPanicInABank(t *testing.T) {
	local, err := node.FoundLocal(node.LocalSetup{
		Dir: filepath.Join(t.TempDir(), "fed"), Name: "two", Servers: 1, Work: sealed.TestWork, Now: time.Now().Add(-time.Second),
		Banks: []node.BankTerms{{Asset: "BTC", Network: "bitcoin-regtest"}, {Asset: "LTC", Network: "litecoin-regtest"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	h := local.Homes[0]
	n, err := node.Open(h, node.Options{Pass: sealed.FromFile(h.PassphraseFile()), Log: slog.New(slog.NewTextHandler(&log, nil)), Software: "test"})
	if err != nil {
		t.Fatal(err)
	}
	n.SetChain(broken{memchain.New(network(t, "bitcoin-regtest"), false).Node()})
	good := memchain.New(network(t, "litecoin-regtest"), false)
	good.Mine(3)
	n.SetChain(good.Node())
	client, err := api.NewClient(api.Config{Servers: local.URLs, ID: local.Founding.ID()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var s *api.Status
	await(ctx, t, "status", func() bool {
		s, err = client.Status(ctx)
		return err == nil && len(s.Banks) == 2 && strings.Contains(s.Banks[0].Problem, "a fault of the program: broken") && s.Banks[1].Agreed == 3 && s.Banks[1].Works
	})
	if s.Banks[0].Works {
		t.Errorf("%+v", s.Banks)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if text := log.String(); strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, "bank=BTC") || !strings.Contains(text, "keeper_test.go") {
		t.Errorf("the log says\n%s", text)
	}
}

// A server whose home has no keys for banks runs, and says that it signs nothing; one
// whose journal others may read does not.
func TestServerWithoutBankKeys(t *testing.T) {
	local := foundVault(t, 1)
	h := local.Homes[0]
	if err := os.Remove(filepath.Join(string(h), "keys", "bank.key")); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	opts := node.Options{Pass: sealed.FromFile(h.PassphraseFile()), Log: slog.New(slog.NewTextHandler(&log, nil)), Software: "test"}
	n, err := node.Open(h, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "this server signs nothing for banks") {
		t.Errorf("the log says\n%s", log.String())
	}
	journals, err := filepath.Glob(filepath.Join(string(h), "banks", "*", "journal"))
	if err != nil || len(journals) != 1 {
		t.Fatalf("%v, %v", journals, err)
	}
	if err := os.Chmod(journals[0], 0o755); err != nil {
		t.Fatal(err)
	}
	if n, err := node.Open(h, opts); err == nil || !strings.Contains(err.Error(), "others may read it") {
		t.Errorf("a journal that others may read: %v", err)
		if err == nil {
			n.Close() //nolint:errcheck // it should not have opened
		}
	}
}
