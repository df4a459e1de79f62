package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/identity"
	"souk/internal/cluster"
	"souk/internal/load"
	"souk/node"
	"souk/purse"
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
			return a.demo(c.Context(), filepath.Join(dir, "federation"), once, !temporary)
		},
	}
	c.Flags().BoolVar(&once, "once", false, "end with the report instead of staying up")
	c.Flags().StringVar(&dir, "dir", "", "folder to keep (default: a temporary one)")
	return c
}

// demoRun is one demonstration.
type demoRun struct {
	a       *app
	cluster *cluster.Cluster
	client  *api.Client
	begin   time.Time
	report  report
	keep    bool // the folder stays when the servers end
}

func (a *app) demo(ctx context.Context, dir string, once, keep bool) (err error) {
	d := &demoRun{a: a, begin: time.Now()}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	d.say("founding a virtual server of four members and starting their servers, four processes")
	d.cluster, err = cluster.Start(self, node.LocalSetup{
		Dir: dir, Name: "demo", Servers: 4, Work: sealed.TestWork, Now: time.Now().Add(-time.Second),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.cluster.Close()) }()
	id := d.cluster.Founding.ID()
	if d.client, err = d.cluster.Client(); err != nil {
		return err
	}
	defer d.client.Close()
	story, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := d.story(story); err != nil {
		return err
	}
	d.report.Servers, d.report.HTTP, d.report.Dir = len(d.cluster.URLs), d.cluster.URLs, dir
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
	d.keep = keep
	if err := d.invite(ctx, dir); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (d *demoRun) say(format string, args ...any) {
	p(d.a.err, "%6.1f s  %s\n", time.Since(d.begin).Seconds(), fmt.Sprintf(format, args...))
}

const demoTraders = 12

// killed is the index of the server that the demonstration kills.
const killed = 2

// name is what the member with a server is called, as souk status shows it. Members'
// numbers follow their keys, not the order in which the servers were made.
func (d *demoRun) name(i int) string {
	card, err := d.cluster.Homes[i].Card()
	if err != nil {
		return fmt.Sprintf("server %d", i+1)
	}
	return card.Name
}

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
	d.say("%d commands so far; killing %s under load", d.report.Commands, d.name(killed))
	kill := time.AfterFunc(time.Second, func() { d.cluster.Kill(killed) })
	defer kill.Stop()
	if err := d.trade(ctx, accounts, 2, 6*time.Second); err != nil {
		return err
	}
	d.say("trading went on; the longest pause between two commits was %d ms", d.report.GapMS)
	back := time.Now()
	if err := d.cluster.Restart(killed); err != nil {
		return err
	}
	if err := d.cluster.CaughtUp(ctx, killed); err != nil {
		return err
	}
	d.report.BackMS = time.Since(back).Milliseconds()
	d.say("%s is back and has caught up after %d ms", d.name(killed), d.report.BackMS)
	if err := d.trade(ctx, accounts, 3, 2*time.Second); err != nil {
		return err
	}
	return d.audit(ctx)
}

// fund mints play money for new accounts.
func (d *demoRun) fund(ctx context.Context) ([]load.Account, error) {
	issuer := d.cluster.IssuerActor(d.client)
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

// expected are results that trading explains: an order may be gone before its cancel comes.
var expected = []exchange.Code{exchange.OK, exchange.UnknownOrder, exchange.Withdrawn, exchange.TooManyOrders}

// count counts commands, and complains of one that failed for a reason that trading does not explain.
func (d *demoRun) count(receipts []exchange.Receipt) error {
	for i := range receipts {
		d.report.Commands++
		if c := receipts[i].Code; !slices.Contains(expected, c) {
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
		flow := load.New(seed*10+uint64(s), own, load.PracticeMarkets(), 2, load.StandardMix(), fmt.Sprintf("d%d-%d-", seed, s))
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

// audit compares the states of all servers and the books, and counts trades.
func (d *demoRun) audit(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := d.cluster.Roots(short)
	d.report.RootsEqual = err == nil
	audit, err := d.client.Audit(ctx)
	if err != nil {
		return err
	}
	d.report.AuditBalanced = audit.Balanced
	for _, m := range d.cluster.Founding.Markets {
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

// next says what is there and what to do with it, in words of any shell.
func (d *demoRun) next(dir string, own purse.Purse, pass string) {
	end := "ends them and deletes it all"
	if d.keep {
		end = "ends them; the folder stays"
	}
	out := func(format string, args ...any) { p(d.a.err, format, args...) }
	out("\nThe servers stay up until you press Ctrl-C here, which %s:\n\n", end)
	for i, url := range d.cluster.URLs {
		out("  %s  process %d  home %s\n", url, d.cluster.PID(i), d.cluster.Homes[i])
	}
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	out(`
Your account has 1 BTC and 100,000 EUR of play money. In another terminal:

  souk() { %[1]s --purse %[2]s --passphrase-file %[3]s "$@"; }
  souk account show
  souk book BTC-EUR
  souk order place BTC-EUR buy 0.01 --price 50300
  souk order place BTC-EUR buy 0.01 --price 40000 --client cheap
  souk order list
  souk order cancel client:cheap
  souk fills

A second account, and a payment to it:

  souk account new --purse %[4]s --server %[5]s --id %[6]s
  souk send "$(souk key show --purse %[4]s --address)" 100 EUR
  souk account show --purse %[4]s

Do not believe it, check it; and kill a server of the list above, if you like:

  souk verify
  souk audit
  souk status
`, quoted(self), quoted(string(own)), quoted(pass), quoted(filepath.Join(dir, "second")), d.cluster.URLs[0], d.report.VirtualServer)
}

// quoted is a word for a shell.
func quoted(word string) string {
	if !strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("/._-+:@%,", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\\''`) + "'"
}

// invite makes a purse with play money and tells what to do with it.
func (d *demoRun) invite(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, d.a.timeout)
	defer cancel()
	words, err := purse.Generate(rand.Reader, 12)
	if err != nil {
		return err
	}
	defer words.Wipe()
	// Whoever can read the folder of a demonstration may have its play money.
	pass := filepath.Join(dir, "passphrase")
	if err := os.WriteFile(pass, []byte("play\n"), 0o600); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	own := purse.Purse(filepath.Join(dir, "purse"))
	book := purse.Book{Server: d.report.VirtualServer, Servers: d.cluster.URLs}
	address, err := own.Create(words, book, sealed.FromFile(pass), sealed.TestWork)
	if err != nil {
		return err
	}
	err = cluster.MustOK(d.cluster.IssuerActor(d.client).Do(ctx,
		&exchange.Mint{Asset: 1, Amount: 1e8, To: address}, &exchange.Mint{Asset: 2, Amount: 100_000e8, To: address}))
	if err != nil {
		return err
	}
	d.next(dir, own, pass)
	return nil
}
