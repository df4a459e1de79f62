package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/identity"
	"souk/node"
	"souk/store/sealed"
	"souk/web/wallet"
)

// gateFlag adds --home for gates.
func gateFlag(c *cobra.Command, home *string) {
	c.PersistentFlags().StringVar(home, "home", "", "folder of the gate (default: souk/gate in the user's config folder)")
}

// gateHome is the folder of a gate.
func gateHome(home string) (node.GateHome, error) {
	if home != "" {
		return node.GateHome(home), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the gate's folder: %w; name one with --home", err)
	}
	return node.GateHome(filepath.Join(dir, "souk", "gate")), nil
}

func (a *app) gateCommand() *cobra.Command {
	var home, listen string
	c := &cobra.Command{
		Use: "gate", Short: "Let bots and wallets that exist use your account, through a gate on this machine", Args: cobra.NoArgs,
		Long: `Run a gate: it has a key that you have let act for your account within limits, and does with it what programs
ask for that know nothing of Souk: bots written for the Binance Spot API, and wallets that drive bitcoind. It
listens to this machine only. Make one with souk gate init, keys for your bots with souk key new.`,
		Example: "  souk gate init\n  souk key new --scope read,trade --market BTC-EUR --expires 30d --kind ed25519\n  souk gate",
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := gateHome(home)
			if err != nil {
				return err
			}
			return a.gate(c.Context(), h, listen)
		},
	}
	gateFlag(c, &home)
	c.Flags().StringVar(&listen, "listen", "", "address and port, instead of those of gate.toml")
	c.AddCommand(a.gateInit(&home), a.gatePassword())
	return c
}

// openGate opens the gate of a folder, with the log that its config asks for.
func (a *app) openGate(h node.GateHome, pass sealed.Passphrase, listen string) (*node.Gate, error) {
	config, err := node.ReadGate(h)
	if err != nil {
		return nil, err
	}
	levels, err := config.Log.Levels(a.err)
	if err != nil {
		return nil, err
	}
	return node.OpenGate(h, node.GateOptions{Pass: pass, Log: levels.Logger("node"), Software: Version, Listen: listen})
}

func (a *app) gate(ctx context.Context, h node.GateHome, listen string) error {
	g, err := a.openGate(h, a.pass.get("Passphrase of the gate: ", false), listen)
	if err != nil {
		return err
	}
	p(a.err, "the gate listens at %s, and brings its record up to date\n", g.URL())
	opened := g.Opened()
	for {
		select {
		case <-opened:
			p(a.err, "the gate is open\n")
			opened = nil
		case <-ctx.Done():
			return g.Close()
		case err := <-g.Done():
			return errors.Join(err, g.Close())
		}
	}
}

// gateInitFlags are the flags of gate init.
type gateInitFlags struct {
	listen, pass string
	markets      []string
	expires      length
	withdraw     bool
	keep         func(flag string) bool // of a gate that is there already: the flag was not given
}

func (a *app) gateInit(home *string) *cobra.Command {
	var f gateInitFlags
	c := &cobra.Command{
		Use: "init", Short: "Make a gate, and let its key act for your account", Args: cobra.NoArgs,
		Long: `Make a gate in one step: a key of its own, sealed under a passphrase of its own, which your purse's key lets act
for your account: it may read and trade, and with --allow-withdraw also send coins away and have new deposit
addresses made. A certificate for this machine's own names is made as well. Run it again to renew an expiry or
to change the limits; the key stays, and so do the keys of your bots and the limits that no flag names.
--market all lets it trade in all markets again, --allow-withdraw=false takes that back. souk key remove takes
its power away; after that it can be made anew without an end.`,
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := gateHome(*home)
			if err != nil {
				return err
			}
			f.keep = func(flag string) bool { return !c.Flags().Changed(flag) }
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error { return a.makeGate(ctx, s, who, h, &f) })
		},
	}
	c.Flags().StringVar(&f.listen, "listen", "", "where programs reach the gate (default: 127.0.0.1:8650)")
	c.Flags().StringVar(&f.pass, "gate-passphrase-file", "", "file whose first line is the passphrase of the gate (default: the terminal is asked)")
	c.Flags().StringSliceVar(&f.markets, "market", nil, "the only markets that the gate may trade in, by name, or all (default: all, or as before)")
	c.Flags().Var(&f.expires, "expires", "time after which its key has no power, such as 90d (default: never, or as before)")
	c.Flags().BoolVar(&f.withdraw, "allow-withdraw", false, "let it send coins away, for the wallet door")
	return c
}

// makeGate makes a gate's folder, and lets its key act.
func (a *app) makeGate(ctx context.Context, s *session, who *api.Signer, h node.GateHome, f *gateInitFlags) error {
	pass := sealed.FromTerminal("New passphrase of the gate: ", true)
	if f.pass != "" {
		pass = sealed.FromFile(f.pass)
	}
	if old, err := node.ReadGate(h); err == nil && f.keep("allow-withdraw") {
		f.withdraw = old.Withdraw
	}
	terms := &node.GateTerms{ID: s.id, Servers: s.book.Servers, Account: who.Account, Listen: f.listen, Withdraw: f.withdraw}
	key, err := node.InitGate(h, terms, pass, a.work)
	if err != nil {
		return err
	}
	body, err := f.delegate(ctx, s, who, key)
	if err != nil {
		return err
	}
	r, err := a.do(ctx, s, who, body)
	if err != nil {
		return fmt.Errorf("%w\nThe gate is made, and its key may not act yet: run souk gate init again", err)
	}
	if _, err := h.Authority().Ensure(time.Now()); err != nil {
		return err
	}
	url, err := node.GateURL(h)
	if err != nil {
		return err
	}
	markets, err := limitNames(ctx, s, body.Markets)
	if err != nil {
		return err
	}
	value := map[string]any{
		"markets": markets, "home": string(h), "account": who.Account.String(), "key": key.String(), "scopes": api.ScopeNames(body.Scopes), "expires": body.Expiry,
		"url": url, "ca": h.Authority().CertFile(), "cookie": h.Cookie(), "receipt": api.ReceiptValue(&r),
	}
	return a.show(value, func(w io.Writer) {
		p(w, "the gate in %s may act for %s: %s, in %s, %s\n", h, who.Account, inWords(api.ScopeNames(body.Scopes)), inMarkets(markets), untilWhen(body.Expiry))
		clientLines(w, h, url)
		p(w, "Next:\n\n  souk gate%s\n  souk key new%s --kind ed25519\n", homeArg(h), homeArg(h))
	})
}

// delegate is what lets a gate's key act: what the flags say, and where they say nothing, what the
// key may already. That is proven, or a server could have wider limits signed (H-90).
func (f *gateInitFlags) delegate(ctx context.Context, s *session, who *api.Signer, key identity.PublicKey) (*exchange.AddDelegate, error) {
	body := &exchange.AddDelegate{Key: key, Scopes: ledger.Read | ledger.Trade}
	if f.withdraw {
		body.Scopes |= ledger.Withdraw | ledger.Transfer
	}
	v, err := s.proofs(ctx)
	if err != nil {
		return nil, err
	}
	account, _, err := s.client.VerifiedAccount(ctx, v, who)
	if err != nil && !errors.Is(err, api.ErrAbsent) {
		return nil, fmt.Errorf("your account: %w", err)
	}
	now := time.Now()
	for _, d := range account.Delegates {
		if d.Key != key {
			continue
		}
		if f.keep("market") {
			body.Markets = d.Markets
		}
		if f.keep("expires") && d.Expiry != 0 {
			if body.Expiry = d.Expiry; d.Expiry <= uint64(now.UnixMilli()) {
				return nil, usageError{errors.New("the gate's key has expired: say with --expires until when it may act, such as --expires 90d")}
			}
		}
	}
	for _, name := range f.markets {
		if name == "all" {
			body.Markets = nil
			break
		}
		pair, err := pairOf(ctx, s, name)
		if err != nil {
			return nil, err
		}
		body.Markets = append(body.Markets, uint32(pair.ID))
	}
	slices.Sort(body.Markets)
	body.Markets = slices.Compact(body.Markets)
	if f.expires > 0 {
		body.Expiry = f.expires.from(now)
	}
	return body, nil
}

// limitNames are the names of the markets to which a key is limited.
func limitNames(ctx context.Context, s *session, ids []uint32) ([]string, error) {
	names := []string{}
	for _, id := range ids {
		pair, err := pairOf(ctx, s, strconv.FormatUint(uint64(id), 10))
		if err != nil {
			return nil, err
		}
		names = append(names, pair.BaseSymbol+"-"+pair.QuoteSymbol)
	}
	return names, nil
}

func inMarkets(names []string) string {
	if len(names) == 0 {
		return "all markets"
	}
	return inWords(names)
}

// untilWhen is until when a key may act, in words.
func untilWhen(expiry uint64) string {
	if expiry == 0 {
		return "without an end"
	}
	return "until " + when(expiry)
}

// homeArg names a gate's folder, if it is not the default one.
func homeArg(h node.GateHome) string {
	if d, err := gateHome(""); err == nil && d == h {
		return ""
	}
	return " --home " + quoted(string(h))
}

// clientLines are what programs need to reach a gate.
func clientLines(w io.Writer, h node.GateHome, url string) {
	ca := quoted(h.Authority().CertFile())
	p(w, `
Programs trust it and reach it with these lines:

  export NODE_EXTRA_CA_CERTS=%s     # Node.js: ccxt, @binance/spot, ...
  export SSL_CERT_FILE=%s           # Go and others

  REST       %s/api/v3
  streams    wss%s/ws
  WebSocket  wss%s/ws-api/v3
  wallet     %s/wallet/btc

`, ca, ca, url, url[len("https"):], url[len("https"):], url)
}

func (a *app) gatePassword() *cobra.Command {
	return &cobra.Command{
		Use: "password NAME", Short: "Make a line for users of the wallet door, with a password that is asked for", Args: cobra.ExactArgs(1),
		Long: `Make a line NAME:SALT$HASH for users of [wallet] in gate.toml. The password is read as passphrases are: from the
terminal, --passphrase-file or --passphrase-fd.`,
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := a.pass.get("Password: ", true)()
			if err != nil {
				return err
			}
			defer clear(text)
			line := wallet.SaltedPassword(args[0], string(text))
			if _, err := wallet.NewUsers([]string{line}, ""); err != nil {
				return usageError{err}
			}
			return a.show(map[string]string{"user": line}, func(w io.Writer) { p(w, "%s\n", line) })
		},
	}
}

func (a *app) tlsCommand() *cobra.Command {
	c := &cobra.Command{Use: "tls", Short: "Certificates of the gate on this machine", Args: cobra.NoArgs}
	var home string
	var renew, export bool
	ca := &cobra.Command{
		Use: "ca", Short: "Make or show the authority that programs of this machine trust", Args: cobra.NoArgs,
		Long: `Make the authority that signs the gate's certificate, if there is none yet, and show what programs need to trust it.
It is limited to this machine's own names (localhost, 127.0.0.1, ::1), so that who trusts it trusts it for
nothing else. With --renew another one is made, which programs have to trust anew; with --export its
certificate is printed.`,
		RunE: func(*cobra.Command, []string) error {
			h, err := gateHome(home)
			if err != nil {
				return err
			}
			now := time.Now()
			if renew {
				err = h.Authority().Renew(now)
			} else {
				_, err = h.Authority().Ensure(now)
			}
			if err != nil {
				return err
			}
			if export {
				data, err := os.ReadFile(h.Authority().CertFile())
				if err == nil {
					_, err = a.out.Write(data)
				}
				return err
			}
			url, err := node.GateURL(h)
			if err != nil {
				url = "https://" + node.DefaultGate().Listen
			}
			return a.show(map[string]string{"ca": h.Authority().CertFile(), "url": url}, func(w io.Writer) { clientLines(w, h, url) })
		},
	}
	gateFlag(ca, &home)
	ca.Flags().BoolVar(&renew, "renew", false, "make another authority")
	ca.Flags().BoolVar(&export, "export", false, "print its certificate, as PEM")
	c.AddCommand(ca)
	return c
}

// inWords is a list in words.
func inWords(list []string) string {
	text := ""
	for i, s := range list {
		switch {
		case i == 0:
			text = s
		case i == len(list)-1:
			text += " and " + s
		default:
			text += ", " + s
		}
	}
	return cmp.Or(text, "nothing")
}
