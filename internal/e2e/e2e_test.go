package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	_ "souk/cli" // what the binary is made of: a remembered result is forgotten when it changes
	"souk/exchange"
	"souk/identity"
	"souk/internal/bulk"
	"souk/internal/cluster"
	"souk/internal/load"
	"souk/internal/ports"
	"souk/node"
	"souk/store/sealed"
)

var (
	soak = flag.Bool("soak", false, "run the long variants")
	// binary is the souk program under test.
	binary string
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if skipped() {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "souk-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	binary = filepath.Join(dir, "souk")
	build := exec.Command("go", "build", "-o", binary, "souk/cmd/souk")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// skipped tells whether this run leaves whole processes out.
func skipped() bool { return testing.Short() || bulk.Count(10) < 10 }

// rounds is how often something is repeated: few times in make test, more in make soak.
func rounds(few, many int) int {
	if *soak {
		return many
	}
	return few
}

// within is a context for something that takes far less.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually repeats a check until it holds. It is for what takes time, never for
// what must hold at once.
func eventually(t *testing.T, d time.Duration, what string, check func() error) {
	t.Helper()
	end := time.Now().Add(d)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s: %v", d, what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func setup(t *testing.T, servers int) node.LocalSetup {
	t.Helper()
	if skipped() {
		t.Skip("whole processes")
	}
	return node.LocalSetup{
		Dir: filepath.Join(t.TempDir(), "federation"), Name: "test", Servers: servers, Work: sealed.TestWork,
		Now: time.Now().Add(-time.Second),
	}
}

// federation is a cluster under test.
type federation struct {
	*cluster.Cluster
	t      *testing.T
	client *api.Client // of all servers
	seed   uint64      // of the newest accounts
}

// start founds a federation and waits until all its servers work.
func start(t *testing.T, servers int) *federation {
	t.Helper()
	s := setup(t, servers)
	c, err := cluster.Start(binary, s)
	if err != nil {
		t.Fatal(err)
	}
	return follow(t, c)
}

// startOld is start with the oldest protocol version in force, for tests that vote
// for the next.
func startOld(t *testing.T, servers int) *federation {
	t.Helper()
	s := setup(t, servers)
	s.Protocol = exchange.ProtocolMin
	c, err := cluster.Start(binary, s)
	if err != nil {
		t.Fatal(err)
	}
	return follow(t, c)
}

// networked is start with a network that can be made bad.
func networked(t *testing.T, servers int) *federation {
	t.Helper()
	return distant(t, setup(t, servers), 0, 0)
}

// distant is networked with links that take their time, one way.
func distant(t *testing.T, s node.LocalSetup, delay, jitter time.Duration) *federation {
	t.Helper()
	c, err := cluster.Networked(binary, s, delay, jitter)
	if err != nil {
		t.Fatal(err)
	}
	return follow(t, c)
}

// applicant is a home that belongs to no member yet, its card, and the addresses of its
// HTTP server and consensus.
type applicant struct {
	home      node.Home
	card      exchange.Card
	http, p2p string
}

// initialized makes a home as souk init does, but with keys that are sealed quickly.
func initialized(t *testing.T, name string) applicant {
	t.Helper()
	home := node.Home(filepath.Join(t.TempDir(), "home"))
	free, err := ports.Claim(2)
	if err != nil {
		t.Fatal(err)
	}
	web, p2p := ports.Address(free[0]), ports.Address(free[1])
	if err := os.MkdirAll(string(home), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(home.PassphraseFile(), []byte("correct horse battery staple\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	card, err := node.Init(home, node.Setup{
		Name: name, URL: "http://" + web, P2P: p2p, Listen: web,
		Pass: sealed.FromFile(home.PassphraseFile()), Work: sealed.TestWork, Now: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return applicant{home, card, web, p2p}
}

// prepared founds a federation, lets the test change the homes, and starts it.
func prepared(t *testing.T, servers int, change func(c *cluster.Cluster)) *federation {
	t.Helper()
	s := setup(t, servers)
	c, err := cluster.Found(binary, s)
	if err != nil {
		t.Fatal(err)
	}
	change(c)
	for i := range c.Homes {
		if err := c.Restart(i); err != nil {
			t.Fatal(errors.Join(err, c.Close()))
		}
	}
	return follow(t, c)
}

// follow sees to the end of a cluster, and shows its logs if the test fails.
func follow(t *testing.T, c *cluster.Cluster) *federation {
	t.Helper()
	f := &federation{Cluster: c, t: t}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for i := range c.Homes {
			data, err := os.ReadFile(c.LogFile(i))
			if t.Failed() && err == nil {
				t.Logf("server %d:\n%s", i+1, data[max(0, len(data)-4000):])
			}
			if bytes.Contains(data, []byte("panic")) || bytes.Contains(data, []byte("DATA RACE")) {
				t.Errorf("server %d panicked:\n%s", i+1, data[max(0, len(data)-8000):])
			}
		}
	})
	var err error
	if f.client, err = c.Client(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.client.Close)
	if err := c.Ready(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	return f
}

// must wants success.
func must(t *testing.T, r []exchange.Receipt, err error) []exchange.Receipt {
	t.Helper()
	if err := cluster.MustOK(r, err); err != nil {
		t.Fatal(err)
	}
	return r
}

// actor is somebody with a key of their own, known by name.
func (f *federation) actor(name string, servers ...int) *api.Actor {
	f.t.Helper()
	c := f.client
	if len(servers) > 0 {
		var err error
		if c, err = f.Client(servers...); err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(c.Close)
	}
	return c.As(api.OwnerOf(keyOf(name)))
}

// keyOf is the key of somebody known by name.
func keyOf(name string) identity.PrivateKey {
	var seed [32]byte
	copy(seed[:], name)
	return identity.NewKey(seed)
}

func addressOf(name string) identity.Address { return identity.AddressOf(keyOf(name).Public()) }

// Assets of a practice federation.
const (
	btc asset.ID = 1
	eur asset.ID = 2
	ltc asset.ID = 3
)

// mint gives play money, amount of every asset, to accounts.
func (f *federation) mint(amount asset.Amount, to ...identity.Address) {
	f.t.Helper()
	var bodies []exchange.Body
	for _, a := range to {
		for _, id := range []asset.ID{btc, eur, ltc} {
			bodies = append(bodies, &exchange.Mint{Asset: id, Amount: amount, To: a})
		}
	}
	r, err := f.IssuerActor(f.client).Do(within(f.t, time.Minute), bodies...)
	must(f.t, r, err)
}

// balance is what an account has of an asset, as one server or any says.
func balance(t *testing.T, c *api.Client, name string, id asset.ID) string {
	t.Helper()
	a, err := c.Account(within(t, 20*time.Second), api.OwnerOf(keyOf(name)))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range a.Balances {
		if b.Asset == uint32(id) {
			return b.Available
		}
	}
	return "0.00000000"
}

// balance is what an account has when all running servers know of all that any of
// them has told: the one that is asked may be a block behind the one that answered
// a command.
func (f *federation) balance(name string, id asset.ID) string {
	f.t.Helper()
	if _, err := f.Roots(within(f.t, 30*time.Second)); err != nil {
		f.t.Fatal(err)
	}
	return balance(f.t, f.client, name, id)
}

// sound wants all running servers to agree and the books to balance.
func (f *federation) sound() {
	f.t.Helper()
	if _, err := f.Roots(within(f.t, 30*time.Second)); err != nil {
		f.t.Error(err)
	}
	for i := range f.URLs {
		if !f.Running(i) {
			continue
		}
		c, err := f.Client(i)
		if err != nil {
			f.t.Fatal(err)
		}
		audit, err := c.Audit(within(f.t, 20*time.Second))
		if err != nil || !audit.Balanced || len(audit.Assets) != 3 {
			f.t.Errorf("server %d: audit %+v: %v", i+1, audit, err)
		}
		c.Close()
	}
}

// progress wants a command to be decided soon.
func (f *federation) progress(name string) {
	f.t.Helper()
	r, err := f.actor(name).Do(within(f.t, 40*time.Second), &exchange.Transfer{To: addressOf("sink"), Asset: eur, Amount: 1})
	must(f.t, r, err)
}

// everywhere waits until all servers have a block.
func (f *federation) everywhere(height uint64) {
	f.t.Helper()
	for i := range f.URLs {
		eventually(f.t, 20*time.Second, fmt.Sprintf("server %d has block %d", i+1, height), func() error {
			s, err := f.Status(f.t.Context(), i)
			if err == nil && s.Height < height {
				err = fmt.Errorf("it is at block %d", s.Height)
			}
			return err
		})
	}
}

// stream is a number of traders who send orders until they are told to stop. They
// see what a user sees: a receipt, or an error, which fails the test.
type stream struct {
	f      *federation
	cancel context.CancelFunc
	wg     sync.WaitGroup
	stop   atomic.Bool

	mu       sync.Mutex
	receipts []exchange.Receipt
	last     time.Time     // when the newest came
	gap      time.Duration // longest time between two
	errs     []error
}

const traders = 6

// trade starts a stream of traders. Each prefers another server.
func (f *federation) trade() *stream {
	f.t.Helper()
	f.seed++
	accounts := make([]load.Account, 2*traders)
	var addresses []identity.Address
	for i := range accounts {
		accounts[i] = load.NewAccount(f.seed, i)
		addresses = append(addresses, accounts[i].Address)
	}
	f.mint(1_000_000e8, addresses...)
	ctx, cancel := context.WithCancel(context.Background())
	s := &stream{f: f, cancel: cancel, last: time.Now()}
	f.t.Cleanup(func() {
		cancel()
		s.wg.Wait()
	})
	for i := range traders {
		var order []int
		for k := range f.URLs {
			order = append(order, (i+k)%len(f.URLs))
		}
		c, err := f.Client(order...)
		if err != nil {
			f.t.Fatal(err)
		}
		own := accounts[2*i : 2*i+2]
		flow := load.New(f.seed*100+uint64(i), own, load.PracticeMarkets(), eur, load.StandardMix(), fmt.Sprintf("t%d-%d-", f.seed, i))
		actors := []*api.Actor{
			c.As(&api.Signer{Account: own[0].Address, Key: own[0].Key}), c.As(&api.Signer{Account: own[1].Address, Key: own[1].Key}),
		}
		s.wg.Go(func() {
			defer c.Close()
			for !s.stop.Load() && ctx.Err() == nil {
				who, body := flow.Next()
				r, err := actors[who].Do(ctx, body)
				if ctx.Err() != nil {
					return
				}
				s.note(r, err)
				if err != nil {
					return
				}
			}
		})
	}
	return s
}

func (s *stream) note(r []exchange.Receipt, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.errs = append(s.errs, err)
		return
	}
	switch r[0].Code { //nolint:exhaustive // the codes that trading explains
	case exchange.OK, exchange.UnknownOrder, exchange.Withdrawn, exchange.TooManyOrders:
	default:
		s.errs = append(s.errs, fmt.Errorf("a command failed: %s", r[0].Code))
	}
	s.receipts = append(s.receipts, r[0])
	now := time.Now()
	s.gap = max(s.gap, now.Sub(s.last))
	s.last = now
}

// count is how many commands are acknowledged so far.
func (s *stream) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.receipts)
}

// after waits until n more commands are acknowledged.
func (s *stream) after(n int) {
	s.f.t.Helper()
	want := s.count() + n
	eventually(s.f.t, 90*time.Second, "commands go on", func() error {
		if have := s.count(); have < want {
			s.mu.Lock()
			defer s.mu.Unlock()
			return errors.Join(append(s.errs, fmt.Errorf("%d of %d more acknowledged", n-(want-have), n))...)
		}
		return nil
	})
}

// longest is the longest gap since it was last asked for.
func (s *stream) longest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	gap := s.gap
	s.gap = 0
	return gap
}

// end stops the traders when what they sent is decided, wants no errors, and
// answers the receipts.
func (s *stream) end() []exchange.Receipt {
	s.f.t.Helper()
	s.stop.Store(true)
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(90 * time.Second):
		s.cancel()
		<-done
		s.f.t.Error("some commands are still not decided")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, err := range s.errs {
		s.f.t.Errorf("a client saw an error: %v", err)
	}
	return s.receipts
}

// kept wants a server to know every one of these receipts as they were given out.
func (f *federation) kept(i int, receipts []exchange.Receipt) {
	f.t.Helper()
	c, err := f.Client(i)
	if err != nil {
		f.t.Fatal(err)
	}
	defer c.Close()
	ctx := within(f.t, 2*time.Minute)
	bad := 0
	for k := range receipts {
		want := &receipts[k]
		if want.Height == 0 {
			continue // refused before consensus, so that no block knows it
		}
		fate, err := c.Fate(ctx, want.ID)
		if err != nil {
			f.t.Fatal(err)
		}
		if fate.Fate != api.FateCommitted || fate.Receipt == nil {
			f.t.Errorf("server %d does not know acknowledged command %x: %s", i+1, want.ID, fate.Fate)
			bad++
		} else if got, err := fate.Receipt.Parse(); err != nil || got != *want {
			f.t.Errorf("server %d: receipt %+v, acknowledged was %+v: %v", i+1, got, *want, err)
			bad++
		}
		if bad > 5 {
			f.t.Fatal("and so on")
		}
	}
}

// souk runs the program and wants it to succeed.
func souk(t *testing.T, args ...string) string {
	t.Helper()
	out, err := try(t, "", args...)
	if err != nil {
		t.Fatalf("souk %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// try runs the program with something on standard input. The error holds what it
// said on standard error.
func try(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	return tryWith(t, nil, stdin, args...)
}

// tryWith is try with more variables in the environment.
func tryWith(t *testing.T, env []string, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s%s", err, errs.String(), out.String())
	}
	return out.String(), nil
}

// soukJSON runs the program with -o json and reads what it prints.
func soukJSON[T any](t *testing.T, args ...string) T {
	t.Helper()
	var v T
	out := souk(t, append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("souk %s: %v in %s", strings.Join(args, " "), err, out)
	}
	return v
}

// edit replaces text in a file, and wants it to be there.
func edit(t *testing.T, path, old, text string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%s does not contain %q", path, old)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(data, []byte(old), []byte(text)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// metric reads one of a server's metrics.
func (f *federation) metric(i int, name string) (float64, error) {
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.URLs[i]+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close() //nolint:errcheck // read below
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, name+"{") || strings.HasPrefix(line, name+" ") {
			fields := strings.Fields(line)
			var v float64
			_, err := fmt.Sscan(fields[len(fields)-1], &v)
			return v, err
		}
	}
	return 0, fmt.Errorf("server %d has no metric %s", i+1, name)
}

// member is a server's own entry in what another says of all.
func (f *federation) member(asked, i int) (api.Member, error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), 2*time.Second)
	defer cancel()
	s, err := f.Status(ctx, asked)
	if err != nil {
		return api.Member{}, err
	}
	for _, m := range s.Members {
		if m.Name == fmt.Sprintf("server-%d", i+1) {
			return m, nil
		}
	}
	return api.Member{}, fmt.Errorf("server %d is no member", i+1)
}

// errBlocks says how far something is.
func errBlocks[T ~int64 | ~uint64](have T) error { return fmt.Errorf("only %d", have) }
