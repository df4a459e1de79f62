package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/exchange"
	"souk/internal/cluster"
	"souk/node"
	"souk/store/sealed"
)

// report is what the demonstration prints when its story is over.
type report struct {
	Servers       int   `json:"servers"`
	Commands      int   `json:"commands"`
	Trades        int   `json:"trades"`
	GapMS         int64 `json:"gap_ms"`  // longest time without a commit while a server was killed
	BackMS        int64 `json:"back_ms"` // until the killed server had caught up
	RootsEqual    bool  `json:"roots_equal"`
	AuditBalanced bool  `json:"audit_balanced"`

	Deposits    []moved    `json:"deposits"`
	Withdrawals []moved    `json:"withdrawals"`
	Solvent     bool       `json:"solvent"` // by the chains, as nodes outside have them
	ChainRPC    []chainRPC `json:"chain_rpc"`

	Seconds       float64  `json:"seconds"`
	HTTP          []string `json:"http"`
	Page          string   `json:"page"`     // to be opened in a browser
	Practice      bool     `json:"practice"` // who asked got play money
	Dir           string   `json:"dir"`
	VirtualServer string   `json:"virtual_server"`
}

func (a *app) demoCommand() *cobra.Command {
	var once bool
	var dir string
	c := &cobra.Command{
		Use: "demo", Short: "Four servers on this machine that trade coins, lose one and go on", Args: cobra.NoArgs,
		Long: `Start a bitcoin and a litecoin network of this machine alone, and four servers as four processes. Deposit coins,
trade them, kill one server under load, withdraw while it is down, start it again, compare all states, audit
the books, and count the coins on the chains. Without --once all stays up afterwards: bots keep the markets going, and
there is a page to trade in, where one click gives you play money.

The nodes, btcd and ltcd, are built the first time, which takes a few minutes and needs Go and a C compiler.`,
		RunE: func(c *cobra.Command, _ []string) error {
			temporary := dir == ""
			if temporary {
				var err error
				if dir, err = os.MkdirTemp("", "souk-demo-"); err != nil {
					return fmt.Errorf("demo: %w", err)
				}
				defer os.RemoveAll(dir) //nolint:errcheck // temporary
			}
			return a.demo(c.Context(), dir, once, !temporary)
		},
	}
	c.Flags().BoolVar(&once, "once", false, "end with the report instead of staying up")
	c.Flags().StringVar(&dir, "dir", "", "folder to keep (default: a temporary one)")
	return c
}

// demoRun is one demonstration.
type demoRun struct {
	a       *app
	coins   []*demoCoin
	cluster *cluster.Cluster
	client  *api.Client
	traders []*demoTrader // one for each coin, who brings it
	begin   time.Time
	keep    bool // the folder stays when the servers end

	mu     sync.Mutex // of what follows, while deposits and withdrawals go on
	report report
}

func (a *app) demo(ctx context.Context, dir string, once, keep bool) (err error) {
	d := &demoRun{a: a, begin: time.Now()}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if err := d.open(ctx, self, dir); err != nil {
		return errors.Join(err, d.close())
	}
	defer func() { err = errors.Join(err, d.close()) }()
	id := d.cluster.Founding.ID()
	story, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := d.story(story); err != nil {
		return err
	}
	d.report.Servers, d.report.HTTP, d.report.Dir = len(d.cluster.URLs), d.cluster.URLs, dir
	d.report.Page = d.cluster.URLs[0] + "/"
	d.report.VirtualServer, d.report.ChainRPC = fmt.Sprintf("%x", id[:]), d.outsideNodes()
	d.report.Seconds = time.Since(d.begin).Seconds()
	if err := d.print(); err != nil {
		return err
	}
	if !d.report.RootsEqual || !d.report.AuditBalanced || !d.report.Solvent || !d.report.Practice || d.report.Trades == 0 {
		return errors.New("the demonstration failed: see the report")
	}
	if once {
		return nil
	}
	d.keep = keep
	return d.stay(ctx, dir)
}

// open starts the chains and the servers, and makes purses for those who bring coins.
func (d *demoRun) open(ctx context.Context, self, dir string) (err error) {
	d.say("starting a bitcoin and a litecoin network, two nodes each")
	if err := d.startCoins(ctx, dir); err != nil {
		return err
	}
	d.say("founding a virtual server of four members and starting their servers, four processes")
	setup := node.LocalSetup{Dir: filepath.Join(dir, "federation"), Name: "demo", Servers: 4, Work: sealed.TestWork, Now: time.Now().Add(-time.Second), Give: demoGifts()}
	setup.Banks, setup.Chains = d.banks()
	if d.cluster, err = cluster.Start(self, setup); err != nil {
		return err
	}
	if d.client, err = d.cluster.Client(); err != nil {
		return err
	}
	ready, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := d.cluster.Ready(ready); err != nil { // a trader does not wait for a server that is not there
		return fmt.Errorf("demo: %w", err)
	}
	for _, name := range []string{"Alice", "Bob"} {
		t, err := d.trader(dir, name)
		if err != nil {
			return err
		}
		d.traders = append(d.traders, t)
	}
	return nil
}

func (d *demoRun) close() error {
	var err error
	for _, t := range d.traders {
		t.close()
	}
	if d.client != nil {
		d.client.Close()
	}
	if d.cluster != nil {
		err = d.cluster.Close()
	}
	return errors.Join(err, d.stopCoins())
}

func (d *demoRun) say(format string, args ...any) {
	p(d.a.err, "%6.1f s  %s\n", time.Since(d.begin).Seconds(), fmt.Sprintf(format, args...))
}

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

func (d *demoRun) print() error {
	if d.a.output == "json" {
		e := json.NewEncoder(d.a.out)
		e.SetEscapeHTML(false)
		return e.Encode(&d.report)
	}
	r := &d.report
	for _, x := range r.Deposits {
		p(d.a.out, "deposited %s %s, credited %d blocks deep, transaction %s\n", x.Amount, x.Asset, x.Confirmations, x.Tx)
	}
	for _, x := range r.Withdrawals {
		p(d.a.out, "withdrew %s %s, mined, transaction %s\n", x.Amount, x.Asset, x.Tx)
	}
	p(d.a.out, "%d servers, %d commands, %d trades, longest pause %d ms while one was killed, roots equal: %t, books balanced: %t, solvent: %t, play money: %t, %.1f s\n",
		r.Servers, r.Commands, r.Trades, r.GapMS, r.RootsEqual, r.AuditBalanced, r.Solvent, r.Practice, r.Seconds)
	return nil
}

// next says what is there and what to do with it, in words of any shell.
func (d *demoRun) next(dir, own, pass, outside string) {
	end := "ends them and deletes it all"
	if d.keep {
		end = "ends them; the folder stays"
	}
	out := func(format string, args ...any) { p(d.a.err, format, args...) }
	out("\nAll stays up until you press Ctrl-C here, which %s:\n\n", end)
	for i, url := range d.cluster.URLs {
		out("  %s  process %d  home %s\n", url, d.cluster.PID(i), d.cluster.Homes[i])
	}
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	out(`
Your account has 1 BTC, of this machine's own bitcoin network, and 100,000 EUR of play money. In another terminal:

  souk() { %[1]s --purse %[2]s --passphrase-file %[3]s "$@"; }
  souk account show
  souk book BTC-EUR
  souk order place BTC-EUR buy 0.01 --price 50300
  souk order place BTC-EUR buy 0.01 --price 40000 --client cheap
  souk order list
  souk order cancel client:cheap
  souk fills

Coins in and out; a block comes every five seconds, and somebody pays 1 coin to every deposit address of this purse:

  souk deposit LTC --watch
  souk withdraw BTC 0.5 %[7]s --yes --watch
  souk bank BTC

A second account, and a payment to it:

  souk account new --purse %[4]s --server %[5]s --id %[6]s
  souk send "$(souk key show --purse %[4]s --address)" 100 EUR
  souk account show --purse %[4]s

Do not believe it, check it:

  souk verify
  souk audit --chains %[8]s
  souk status

Kill a server of the list above, if you like, and start it again:

  souk serve --home HOME --passphrase-file HOME/passphrase
`, quoted(self), quoted(own), quoted(pass), quoted(filepath.Join(dir, "second")), d.cluster.URLs[0], d.report.VirtualServer, outside,
		quoted(filepath.Join(dir, chainsFile)))
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

// lines are what the user writes.
func (d *demoRun) lines() <-chan string {
	lines := make(chan string)
	go func() { // nothing ends a read from a terminal, but the end of the program
		defer close(lines)
		for s := bufio.NewScanner(d.a.in); s.Scan(); {
			lines <- strings.TrimSpace(s.Text())
		}
	}()
	return lines
}

// stay makes a purse with coins and play money, tells what to do with it, and keeps
// all going until the user has had enough.
func (d *demoRun) stay(ctx context.Context, dir string) error {
	you, err := d.trader(dir, "purse")
	if err != nil {
		return err
	}
	defer you.close()
	short, cancel := context.WithTimeout(ctx, d.a.timeout)
	defer cancel()
	alice := d.traders[0]
	err = cluster.MustOK(alice.s.client.As(alice.who).Do(short, &exchange.Transfer{To: you.who.Account, Asset: d.coins[0].asset, Amount: 1e8}))
	if err != nil {
		return err
	}
	err = cluster.MustOK(d.cluster.IssuerActor(d.client).Do(short, &exchange.Mint{Asset: demoEUR, Amount: 100_000e8, To: you.who.Account}))
	if err != nil {
		return err
	}
	address, err := d.coins[0].Reward()
	if err != nil {
		return err
	}
	d.next(dir, string(you.s.purse), you.a.pass.file, address)
	g, err := d.gate(ctx, you, filepath.Join(dir, "gate"))
	if err != nil {
		return err
	}
	defer g.Close() //nolint:errcheck // the demonstration is over
	defer d.mining(ctx, quietBlocks)()
	making, cancel := context.WithTimeout(ctx, d.a.timeout)
	defer cancel()
	bots, err := d.bots(making)
	if err != nil {
		return err
	}
	defer runBots(ctx, bots)()
	p(d.a.err, `Trade in your browser. One click there gives you play money; bots keep the markets going. Of a deposit address that it
shows you, paste it here and press Enter: somebody pays 1 coin to it.

  %s

`, d.report.Page)
	var outside sync.WaitGroup
	outside.Go(func() { d.outsider(ctx, d.lines()) })
	d.gifts(ctx, you)
	outside.Wait()
	return nil
}
