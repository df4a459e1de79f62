package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/identity"
	"souk/internal/load"
	"souk/node"
	"souk/store/sealed"
)

// report is what the demonstration prints when its story is over.
type report struct {
	Servers       int      `json:"servers"`
	Commands      int      `json:"commands"`
	Trades        int      `json:"trades"`
	GapMS         int64    `json:"gap_ms"`  // longest time without a commit while a server was killed
	BackMS        int64    `json:"back_ms"` // until the killed server had caught up
	RootsEqual    bool     `json:"roots_equal"`
	AuditBalanced bool     `json:"audit_balanced"`
	Seconds       float64  `json:"seconds"`
	HTTP          []string `json:"http"`
	Dir           string   `json:"dir"`
	VirtualServer string   `json:"virtual_server"`
}

func (a *app) demoCommand() *cobra.Command {
	var once bool
	var dir string
	c := &cobra.Command{
		Use: "demo", Short: "Four servers on this machine that trade, lose one and go on", Args: cobra.NoArgs,
		Long: `Start four servers as four processes, trade play money on two markets, kill one server under load,
start it again, compare all states and audit the books. Without --once the servers stay up afterwards.`,
		RunE: func(c *cobra.Command, _ []string) error {
			temporary := dir == ""
			if temporary {
				var err error
				if dir, err = os.MkdirTemp("", "souk-demo-"); err != nil {
					return fmt.Errorf("demo: %w", err)
				}
				defer os.RemoveAll(dir) //nolint:errcheck // temporary
			}
			return a.demo(c.Context(), filepath.Join(dir, "federation"), once)
		},
	}
	c.Flags().BoolVar(&once, "once", false, "end with the report instead of staying up")
	c.Flags().StringVar(&dir, "dir", "", "folder to keep (default: a temporary one)")
	return c
}

// demoRun is one demonstration.
type demoRun struct {
	a       *app
	local   *node.Local
	servers []*process
	client  *api.Client
	begin   time.Time
	report  report
}

// process is one server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	log  *os.File
}

func (a *app) demo(ctx context.Context, dir string, once bool) (err error) {
	d := &demoRun{a: a, begin: time.Now()}
	defer func() { err = errors.Join(err, d.stop()) }()
	d.say("founding a virtual server of four members")
	if d.local, err = node.FoundLocal(node.LocalSetup{
		Dir: dir, Name: "demo", Servers: 4, Work: sealed.TestWork, Now: time.Now().Add(-time.Second),
	}); err != nil {
		return err
	}
	d.say("starting four servers as four processes")
	for i := range d.local.Homes {
		if err := d.start(i); err != nil {
			return err
		}
	}
	id := d.local.Founding.ID()
	if d.client, err = api.NewClient(api.Config{Servers: d.local.URLs, ID: id}); err != nil {
		return err
	}
	defer d.client.Close()
	story, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := d.story(story); err != nil {
		return err
	}
	d.report.Servers, d.report.HTTP, d.report.Dir = len(d.servers), d.local.URLs, dir
	d.report.VirtualServer = fmt.Sprintf("%x", id[:])
	d.report.Seconds = time.Since(d.begin).Seconds()
	if err := d.print(); err != nil {
		return err
	}
	if !d.report.RootsEqual || !d.report.AuditBalanced || d.report.Trades == 0 {
		return errors.New("the demonstration failed: see the report")
	}
	if once {
		return nil
	}
	d.invite()
	<-ctx.Done()
	return nil
}

func (d *demoRun) say(format string, args ...any) {
	p(d.a.err, "%6.1f s  %s\n", time.Since(d.begin).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demoRun) start(i int) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	home := d.local.Homes[i]
	log, err := os.OpenFile(filepath.Join(string(home), "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	cmd := exec.Command(self, "serve", "--home", string(home), "--passphrase-file", home.PassphraseFile()) //nolint:gosec // this program
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start server %d: %w", i+1, err), log.Close())
	}
	s := &process{cmd: cmd, done: make(chan struct{}), log: log}
	go func() {
		cmd.Wait() //nolint:errcheck,gosec // the log says why
		close(s.done)
	}()
	if i < len(d.servers) {
		d.servers[i] = s
	} else {
		d.servers = append(d.servers, s)
	}
	return nil
}

// stop ends all servers and waits for them.
func (d *demoRun) stop() error {
	var errs []error
	for _, s := range d.servers {
		s.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck,gosec // it may be gone
	}
	for _, s := range d.servers {
		select {
		case <-s.done:
		case <-time.After(10 * time.Second):
			s.cmd.Process.Kill() //nolint:errcheck,gosec // it may be gone
			<-s.done
		}
		errs = append(errs, s.log.Close())
	}
	return errors.Join(errs...)
}

const demoTraders = 12

// story is what the demonstration shows.
func (d *demoRun) story(ctx context.Context) error {
	accounts, err := d.fund(ctx)
	if err != nil {
		return err
	}
	d.say("%d accounts have play money; trading begins", len(accounts))
	if err := d.trade(ctx, accounts, 1, 3*time.Second); err != nil {
		return err
	}
	d.say("%d commands so far; killing server 3 under load", d.report.Commands)
	killed := time.AfterFunc(time.Second, func() { d.servers[2].cmd.Process.Kill() }) //nolint:errcheck // it is running
	defer killed.Stop()
	if err := d.trade(ctx, accounts, 2, 6*time.Second); err != nil {
		return err
	}
	<-d.servers[2].done
	d.say("trading went on; the longest pause between two commits was %d ms", d.report.GapMS)
	back := time.Now()
	if err := d.start(2); err != nil {
		return err
	}
	if err := d.caughtUp(ctx, 2); err != nil {
		return err
	}
	d.report.BackMS = time.Since(back).Milliseconds()
	d.say("server 3 is back and has caught up after %d ms", d.report.BackMS)
	if err := d.trade(ctx, accounts, 3, 2*time.Second); err != nil {
		return err
	}
	return d.audit(ctx)
}

// fund mints play money for new accounts.
func (d *demoRun) fund(ctx context.Context) ([]load.Account, error) {
	issuer := d.client.As(api.OwnerOf(d.local.Issuer))
	var accounts []load.Account
	var bodies []exchange.Body
	for range demoTraders {
		key, err := identity.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make an account: %w", err)
		}
		a := load.Account{Key: key, Address: identity.AddressOf(key.Public())}
		accounts = append(accounts, a)
		for id := range asset.ID(3) {
			bodies = append(bodies, &exchange.Mint{Asset: id + 1, Amount: 10_000_000e8, To: a.Address})
		}
	}
	receipts, err := issuer.Do(ctx, bodies...)
	if err != nil {
		return nil, err
	}
	return accounts, d.count(receipts)
}

// count counts commands, and complains of one that failed for a reason that trading does not explain.
func (d *demoRun) count(receipts []exchange.Receipt) error {
	for i := range receipts {
		d.report.Commands++
		switch c := receipts[i].Code; c {
		case exchange.OK, exchange.UnknownOrder, exchange.Withdrawn, exchange.TooManyOrders:
		default:
			return fmt.Errorf("a command failed: %s", c)
		}
	}
	return nil
}

// trade lets several traders send orders for a while, and notes the longest pause between commits.
func (d *demoRun) trade(ctx context.Context, accounts []load.Account, seed uint64, length time.Duration) error {
	const senders = 3
	end := time.Now().Add(length)
	last := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	for s := range senders {
		own := accounts[s*len(accounts)/senders : (s+1)*len(accounts)/senders]
		flow := load.New(seed*10+uint64(s), own, load.PracticeMarkets(), 2, load.StandardMix(), fmt.Sprintf("d%d-%d-", seed, s)) //nolint:gosec // small
		actors := make([]*api.Actor, len(own))
		for i := range own {
			actors[i] = d.client.As(&api.Signer{Account: own[i].Address, Key: own[i].Key})
		}
		wg.Go(func() {
			for time.Now().Before(end) && ctx.Err() == nil {
				i, body := flow.Next()
				receipts, err := actors[i].Do(ctx, body)
				mu.Lock()
				now := time.Now()
				d.report.GapMS = max(d.report.GapMS, now.Sub(last).Milliseconds())
				last = now
				if err == nil {
					err = d.count(receipts)
				}
				if failed == nil {
					failed = err
				}
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wg.Wait()
	return failed
}

// caughtUp waits until a server is where the others are.
func (d *demoRun) caughtUp(ctx context.Context, i int) error {
	one, err := api.NewClient(api.Config{Servers: []string{d.local.URLs[i]}, ID: d.local.Founding.ID()})
	if err != nil {
		return err
	}
	defer one.Close()
	for {
		all, err := d.client.Status(ctx)
		if err != nil {
			return err
		}
		s, err := one.Status(ctx)
		if err == nil && !s.CatchingUp && s.Height+2 >= all.Height {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("server %d does not catch up: %w", i+1, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// audit compares the states of all servers and the books, and counts trades.
func (d *demoRun) audit(ctx context.Context) error {
	var roots []string
	for range 100 {
		roots = roots[:0]
		for _, url := range d.local.URLs {
			one, err := api.NewClient(api.Config{Servers: []string{url}, ID: d.local.Founding.ID()})
			if err != nil {
				return err
			}
			s, err := one.Status(ctx)
			one.Close()
			if err != nil {
				return err
			}
			roots = append(roots, s.Root)
		}
		if d.report.RootsEqual = len(slices.Compact(slices.Clone(roots))) == 1; d.report.RootsEqual {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	audit, err := d.client.Audit(ctx)
	if err != nil {
		return err
	}
	d.report.AuditBalanced = audit.Balanced
	for _, m := range d.local.Founding.Markets {
		n, err := d.trades(ctx, m.Base+"-"+m.Quote)
		if err != nil {
			return err
		}
		d.report.Trades += n
	}
	d.say("%d commands, %d trades; roots equal: %t; books balanced: %t", d.report.Commands, d.report.Trades, d.report.RootsEqual, audit.Balanced)
	return nil
}

func (d *demoRun) trades(ctx context.Context, name string) (n int, err error) {
	page := api.Page{Market: name, Limit: 1000}
	for {
		t, err := d.client.Trades(ctx, page)
		if err != nil {
			return n, err
		}
		n += len(t.Trades)
		if page.Before = t.Next; t.Next == "" {
			return n, nil
		}
	}
}

func (d *demoRun) print() error {
	if d.a.output == "json" {
		e := json.NewEncoder(d.a.out)
		e.SetEscapeHTML(false)
		return e.Encode(&d.report)
	}
	r := &d.report
	p(d.a.out, "%d servers, %d commands, %d trades, longest pause %d ms while one was killed, roots equal: %t, books balanced: %t, %.1f s\n",
		r.Servers, r.Commands, r.Trades, r.GapMS, r.RootsEqual, r.AuditBalanced, r.Seconds)
	return nil
}

// invite tells how to play with the servers that stay up.
func (d *demoRun) invite() {
	p(d.a.err, `
The servers stay up until you press Ctrl-C. In another terminal:
  souk status --server %[1]s
  souk book BTC-EUR --server %[1]s
  souk account new --server %[1]s
`, d.local.URLs[0])
}
