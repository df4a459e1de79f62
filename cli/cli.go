// Package cli is the command line: the tree of commands, their flags, and how
// results look to people and to programs. It decides nothing about money: it
// talks to a running server through api, and to files through node and purse.
//
// Where to look: founding in found.go, running a server in serve.go and config.go, accounts in
// account.go and connect.go, keys in key.go, assets in asset.go, banks in bank.go, deposit.go, withdraw.go and payrules.go, trading in trade.go, looking in show.go, checking in verify.go and audit.go, what may be signed in proven.go,
// members' votes in vote.go, archives of what happened in archive.go, getting back coins whose keys are lost in recover.go and recoverplan.go, peers without a server and what is known of others in peer.go, mail in mail.go, the demonstration in demo.go, what the tab key offers in complete.go, manual pages in man.go, how errors are worded in
// hint.go, what all share here.
//
// Floor 5.
package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"souk/api"
	"souk/asset"
	"souk/auditor"
	"souk/exchange"
	"souk/exchange/market"
	"souk/identity"
	"souk/purse"
	"souk/store/sealed"
)

// Version is this binary's version.
const Version = "0.1.0"

// app is one invocation of the program.
type app struct {
	in       io.Reader
	out, err io.Writer

	purse   string
	servers []string
	id      string
	account string
	output  string
	timeout time.Duration
	pass    passFlags
	verbose bool
	work    int // of sealing a purse; zero is what people want
}

// Main runs the program and answers its exit status: 0, 1 for an error, 2 for a
// command line that is not understood and for an audit that cannot tell.
func Main(args []string, in io.Reader, out, errw io.Writer) int {
	a := &app{in: in, out: out, err: errw}
	return a.run(args)
}

func (a *app) run(args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if ctx.Err() != nil && (errors.Is(err, api.ErrServers) || errors.Is(err, context.Canceled)) && !errors.Is(err, api.ErrUndecided) {
		err = errStopped // servers had no time to answer
	}
	if a.output == "json" || wantsJSON(args) {
		failure(a.err, err)
	} else {
		fmt.Fprintf(a.err, "souk: %s\n", explain(err))
	}
	var usage usageError
	if errors.As(err, &usage) || errors.Is(err, auditor.ErrUntold) {
		return 2
	}
	return 1
}

// errStopped is what ends a command when the user does.
var errStopped = errors.New("you ended it")

// usageError is a command line that is not understood.
type usageError struct{ error }

// Unwrap returns what is not understood.
func (e usageError) Unwrap() error { return e.error }

func (a *app) root() *cobra.Command {
	c := &cobra.Command{
		Use:           "souk",
		Short:         "A cryptocurrency exchange that nobody operates alone",
		SilenceErrors: true, SilenceUsage: true,
	}
	c.SetFlagErrorFunc(flagError)
	f := c.PersistentFlags()
	f.StringVar(&a.purse, "purse", "", "folder of the purse (default: souk/purse in the user's config folder)")
	f.StringSliceVar(&a.servers, "server", nil, "base URL of a server; may be given several times (default: as in the purse)")
	f.StringVar(&a.id, "id", "", "id of the virtual server (default: as in the purse)")
	f.StringVar(&a.account, "account", "", "account to act for, whose owner has let the purse's key (default: as in the purse)")
	f.StringVarP(&a.output, "output", "o", "table", "table or json")
	f.DurationVar(&a.timeout, "timeout", 30*time.Second, "how long to wait for an answer")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "say what is going on, on standard error")
	a.pass.add(f)
	a.pass.busy = a.busy
	c.AddGroup(
		&cobra.Group{ID: "trade", Title: "Trading:"}, &cobra.Group{ID: "look", Title: "Looking and checking:"},
		&cobra.Group{ID: "peers", Title: "The network of peers:"}, &cobra.Group{ID: "operate", Title: "Operating a server:"})
	group := func(id string, commands ...*cobra.Command) {
		for _, x := range commands {
			x.GroupID = id
			c.AddCommand(x)
		}
	}
	group("trade", a.accountCommand(), a.depositCommand(), a.depositsCommand(), a.withdrawCommand(), a.donateCommand(), a.sendCommand(), a.orderCommand(), a.fillsCommand(), a.escrowCommand(), a.keyCommand(), a.gateCommand(), a.tlsCommand(),
		a.assetCommand(), a.mintCommand(), a.burnCommand())
	group("look", a.bookCommand(), a.tradesCommand(), a.marketCommand(), a.bankCommand(), a.statusCommand(), a.topCommand(), a.verifyCommand(), a.auditCommand())
	group("peers", a.peerCommand(), a.mailCommand(), a.peersCommand(), a.netCommand(), a.ircBotCommand())
	group("operate", a.initCommand(), a.cardCommand(), a.recoveryKeyCommand(), a.recoveryCommand(), a.federationCommand(), a.serveCommand(), a.configCommand(), a.logCommand(), a.voteCommand(), a.exportCommand(), a.archiveCommand(), a.practiceCommand(), a.backupCommand(), a.restoreCommand(),
		a.doctorCommand(), a.demoCommand(), a.versionCommand(), a.manCommand())
	a.completable(c)
	refuseUnknown(c)
	strictArgs(c)
	helpful(c)
	return c
}

// refuseUnknown makes every command that only has subcommands say so when it is
// given something else, and show its help when it is given nothing.
func refuseUnknown(c *cobra.Command) {
	for _, sub := range c.Commands() {
		refuseUnknown(sub)
	}
	if c.HasSubCommands() && c.RunE == nil {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q%s see %s --help", args[0], cmp.Or(didYouMean(args[0], subcommands(c)), ";"), c.CommandPath())}
			}
			return c.Help()
		}
	}
}

// p prints to a writer whose errors are found elsewhere.
func p(w io.Writer, format string, args ...any) { fmt.Fprintf(w, format, args...) }

// show prints a value as the user wants it: as JSON, or as table writes it.
func (a *app) show(value any, table func(io.Writer)) error {
	switch a.output {
	case "json":
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(value)
	case "table":
		w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
		table(w)
		return w.Flush()
	}
	return usageError{fmt.Errorf("-o %s: write table or json", a.output)}
}

// when is a time in ms for people.
func when(ms uint64) string {
	return time.UnixMilli(int64(ms)).UTC().Format("2006-01-02 15:04:05.000")
}

// session is a client with what the purse and the flags say.
type session struct {
	client *api.Client
	id     exchange.ID
	book   purse.Book // as the flags change it, for this invocation
	purse  purse.Purse
	stored bool // there is a purse
	pinned bool
	*trust
}

func (a *app) pursePath() (purse.Purse, error) {
	if a.purse != "" {
		return purse.Purse(a.purse), nil
	}
	return purse.Default()
}

// note changes what the purse remembers, if there is one. What flags say for one
// invocation is not remembered.
func (s *session) note(change func(*purse.Book)) error {
	if !s.stored {
		return nil
	}
	book, err := s.purse.Book()
	if err != nil {
		return err
	}
	change(&book)
	return s.purse.Save(book)
}

// session connects; without a purse the flags must say where to.
func (a *app) session() (*session, error) {
	s := &session{trust: &trust{}}
	var err error
	if s.purse, err = a.pursePath(); err != nil {
		return nil, err
	}
	s.book, err = s.purse.Book()
	s.stored = err == nil
	if err != nil && !errors.Is(err, purse.ErrNone) {
		return nil, err
	}
	if a.id != "" {
		s.book.Server = a.id
	}
	if len(a.servers) > 0 {
		s.book.Servers = a.servers
	}
	if len(s.book.Servers) == 0 {
		return nil, usageError{errors.New("no server is known: give --server URL, or once and for all: souk account connect --server URL")}
	}
	if s.book.Server != "" {
		if s.id, err = s.book.ID(); err != nil {
			return nil, usageError{fmt.Errorf("%w: souk status --server URL -o json shows that of a server", err)}
		}
		if (s.id == exchange.ID{}) { // which would pin none
			return nil, usageError{errors.New("no virtual server has the id of zeros")}
		}
		s.pinned = true
	}
	c := api.Config{Servers: s.book.Servers, ID: s.id, Hasty: true}
	if book, ok := s.remembered(); ok {
		c.After = book.Height // whichever server answers knows what the purse did before
	}
	s.client, err = api.NewClient(c)
	return s, err
}

// with runs something with a session and the time limit.
func (a *app) with(ctx context.Context, run func(context.Context, *session) error) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	s, err := a.session()
	if err != nil {
		return err
	}
	defer s.client.Close()
	defer s.keep(a.err)
	return run(ctx, s)
}

// signed is with, and the key of the purse.
func (a *app) signed(ctx context.Context, run func(context.Context, *session, *api.Signer) error) error {
	if err := a.pinFirst(ctx); err != nil {
		return err
	}
	return a.with(ctx, func(ctx context.Context, s *session) error {
		if !s.pinned {
			return errors.New("the virtual server is not pinned: make a purse with souk account new, and then souk account connect --server URL --id ID")
		}
		who, err := a.signer(s)
		if err != nil {
			return err
		}
		defer who.Key.Wipe()
		return run(ctx, s, who)
	})
}

// signer is the key of the purse, and the account that it acts for.
func (a *app) signer(s *session) (*api.Signer, error) {
	who := &api.Signer{}
	for _, text := range []string{a.account, s.book.Account} {
		if text == "" {
			continue
		}
		var err error
		if who.Account, err = address(text); err != nil {
			return nil, err
		}
		break
	}
	var err error
	if who.Key, err = s.purse.Key(a.pass.get("Passphrase of the purse: ", false)); err != nil {
		return nil, err
	}
	if who.Account.IsZero() {
		who.Account = identity.AddressOf(who.Key.Public())
	}
	return who, nil
}

// do sends one command and complains unless it succeeded.
func (a *app) do(ctx context.Context, s *session, who *api.Signer, body exchange.Body) (exchange.Receipt, error) {
	receipts, err := s.client.As(who).Do(ctx, body)
	if err != nil {
		return exchange.Receipt{}, err
	}
	if _, ok := s.remembered(); ok {
		err := s.note(func(b *purse.Book) { b.Height = max(b.Height, s.client.After()) })
		if err != nil {
			p(a.err, "the purse does not remember the block of this command: %v\n", err)
		}
	}
	r := receipts[0]
	if r.Code != exchange.OK {
		return r, refusal{r, a.lacking(ctx, s, who, r.Code, body)}
	}
	return r, nil
}

// lacking says what an account lacks for a command that was refused for that, if it can
// be told.
func (*app) lacking(ctx context.Context, s *session, who *api.Signer, code exchange.Code, body exchange.Body) string {
	if code != exchange.Insufficient {
		return ""
	}
	var id asset.ID
	var need asset.Amount
	switch b := body.(type) {
	case *exchange.Transfer:
		id, need = b.Asset, b.Amount
	case *exchange.Donate:
		if of, err := keptBy(ctx, s, b.Bank); err == nil {
			id, need = of, b.Amount
		}
	case *exchange.Place:
		id, need = spent(ctx, s, b)
	case *exchange.Withdraw:
		if of, err := keptBy(ctx, s, b.Bank); err == nil {
			id, need = of, b.Amount+b.MaxFee
		}
	}
	l, err := listed(ctx, s, strconv.FormatUint(uint64(id), 10))
	if id == 0 || err != nil {
		return ""
	}
	account, err := s.client.Account(ctx, who)
	if err != nil {
		return ""
	}
	var available, held asset.Amount
	for i := range account.Balances {
		if b := &account.Balances[i]; b.Asset == uint32(id) {
			available, _ = l.Parse(b.Available)
			held, _ = l.Parse(b.Held)
		}
	}
	if available >= need {
		return "" // it has come since
	}
	return shortage(available, held, need, l.Decimals, l.Symbol)
}

// spent is what an order takes, if that can be told without its price: it sells so much,
// or is for so much of the other asset. Fees come on top.
func spent(ctx context.Context, s *session, b *exchange.Place) (asset.ID, asset.Amount) {
	markets, err := s.client.Markets(ctx)
	if err != nil {
		return 0, 0
	}
	for i := range markets.Markets {
		switch m := &markets.Markets[i]; {
		case m.ID != uint32(b.Market):
		case b.Quote != 0 && b.Side == market.Buy:
			return asset.ID(m.QuoteID), b.Quote
		case b.Quote == 0 && b.Side == market.Sell:
			return asset.ID(m.BaseID), b.Quantity
		}
	}
	return 0, 0
}

// passFlags say where a passphrase comes from.
type passFlags struct {
	file string
	fd   int
	kept sealed.Passphrase
	busy func(string)
}

func (f *passFlags) add(flags interface {
	StringVar(p *string, name, value, usage string)
	IntVar(p *int, name string, value int, usage string)
},
) {
	flags.StringVar(&f.file, "passphrase-file", "", "file whose first line is the passphrase; only its owner may read it")
	flags.IntVar(&f.fd, "passphrase-fd", -1, "open file descriptor to read the passphrase from")
}

// get is the source of the passphrase; without a flag the terminal is asked.
func (f *passFlags) get(prompt string, confirm bool) sealed.Passphrase {
	switch {
	case f.kept != nil:
		return f.kept
	case f.file != "":
		f.kept = sealed.FromFile(f.file)
	case f.fd >= 0:
		f.kept = sealed.FromFD(f.fd)
	default:
		f.kept = sealed.FromTerminal(prompt, confirm)
	}
	read, said := f.kept, false
	f.kept = func() ([]byte, error) { // what comes behind it takes a second or more for each key
		text, err := read()
		if err == nil && !said && f.busy != nil {
			said = true
			f.busy("working out keys from the passphrase: that takes a second or more for each")
		}
		return text, err
	}
	return f.kept
}

// busy says what takes long, where somebody may wait for it.
func (a *app) busy(text string) {
	f, ok := a.err.(*os.File)
	if a.verbose || ok && term.IsTerminal(int(f.Fd())) {
		p(a.err, "%s\n", text)
	}
}
