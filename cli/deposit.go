package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"rsc.io/qr"

	"souk/api"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/script"
)

// watchEvery is how often --watch looks.
const watchEvery = time.Second

func (a *app) depositCommand() *cobra.Command {
	var fresh, watch, plain bool
	c := &cobra.Command{
		Use: "deposit ASSET", Short: "Show a deposit address of yours, and watch what is paid to it", Args: cobra.ExactArgs(1),
		Long: `Show an address to which you can pay coins of an asset: the one that nothing was paid to yet, or a new one. It is
derived here, from the keys of the bank's members, which are proven, and it is proven to be yours; a server
that shows another one is named. If nobody has paid your account yet, a member's server opens it.

Use an address once. Payments below the least deposit are lost to you. With --watch the deposit is
followed until it is credited.`,
		Example: "  souk deposit BTC\n  souk deposit BTC --watch\n  souk deposits",
		RunE: func(c *cobra.Command, args []string) error {
			return a.watching(c, watch, func(ctx context.Context, s *session, who *api.Signer, limit time.Duration) error {
				var own *api.ProvenAddress
				err := within(ctx, limit, func(ctx context.Context) (err error) {
					own, err = a.depositAddress(ctx, s, who, args[0], fresh)
					return err
				})
				if err != nil {
					return err
				}
				a.warnDeposit(ctx, s, args[0])
				if err := a.showAddress(own, args[0], plain, watch && a.output == "json"); err != nil || !watch {
					return err
				}
				return a.watchDeposits(ctx, s, who, own, args[0], limit)
			})
		},
	}
	c.Flags().BoolVar(&fresh, "new", false, "a new address, even if there is one that nothing was paid to")
	c.Flags().BoolVar(&watch, "watch", false, "go on until what is paid to the address is credited")
	c.Flags().BoolVar(&plain, "no-qr", false, "without the picture for cameras")
	return c
}

// watching is signed for commands that may go on for long, or wait for the user: limit is
// for what they ask servers in between.
func (a *app) watching(c *cobra.Command, long bool, run func(context.Context, *session, *api.Signer, time.Duration) error) error {
	limit := a.timeout
	if long {
		a.timeout = 365 * 24 * time.Hour
		defer func() { a.timeout = limit }()
	}
	return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error { return run(ctx, s, who, limit) })
}

// within runs something for a time at most.
func within(ctx context.Context, limit time.Duration, run func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return run(ctx)
}

// vaultOf derives addresses of the bank of an asset, with proofs.
func vaultOf(ctx context.Context, s *session, name string) (*api.Vault, error) {
	l, err := listed(ctx, s, name)
	if nameless(err) {
		_, _, err = money(ctx, s, "0", name)
	}
	if err != nil {
		return nil, err
	}
	v, err := s.proofs(ctx)
	if err != nil {
		return nil, fmt.Errorf("the keys of the bank are %w: %w", api.ErrUnproven, err)
	}
	t, err := s.client.Vault(ctx, v, l.ID)
	if errors.Is(err, api.ErrAbsent) {
		return nil, noBank(name)
	}
	return t, err
}

// depositAddress is an address of the user's to pay to, proven.
func (a *app) depositAddress(ctx context.Context, s *session, who *api.Signer, name string, fresh bool) (*api.ProvenAddress, error) {
	t, err := vaultOf(ctx, s, name)
	if err != nil {
		return nil, err
	}
	v, err := s.proofs(ctx)
	if err != nil {
		return nil, err
	}
	var own *api.ProvenAddress
	_, _, err = s.client.VerifiedAccount(ctx, v, who)
	switch {
	case errors.Is(err, api.ErrAbsent):
		own, err = a.admitted(ctx, s, who, t, name)
	case err == nil && !fresh:
		own, err = t.Unused(ctx, who)
	}
	if err == nil && own == nil {
		own, err = a.newAddress(ctx, s, who, t)
	}
	if err != nil {
		return nil, err
	}
	for _, liar := range own.Liars {
		p(a.err, "WARNING: %v\n", liar)
	}
	return own, nil
}

// newSalt draws what keeps an address, a withdrawal or settings and their account apart.
func newSalt() (salt custody.Salt, err error) {
	if _, err = rand.Read(salt[:]); err != nil {
		err = fmt.Errorf("draw a salt: %w", err)
	}
	return salt, err
}

// admitted has a member's server open the user's account with a first address; nil if
// there is an account by now.
func (a *app) admitted(ctx context.Context, s *session, who *api.Signer, t *api.Vault, name string) (*api.ProvenAddress, error) {
	salt, err := newSalt()
	if err != nil {
		return nil, err
	}
	r, err := s.client.Admit(ctx, who, name, salt)
	switch {
	case err != nil:
		return nil, fmt.Errorf("nobody has paid this account yet, and no server opens it: %w", err)
	case r.Code != exchange.OK:
		return nil, nil //nolint:nilnil // somebody was faster
	}
	p(a.err, "a member's server has opened your account, in block %d\n", r.Height)
	return t.Fresh(ctx, who, uint32(r.Number>>32), uint32(r.Number), salt, s.client.Servers()[0])
}

func (a *app) newAddress(ctx context.Context, s *session, who *api.Signer, t *api.Vault) (*api.ProvenAddress, error) {
	salt, err := newSalt()
	if err != nil {
		return nil, err
	}
	r, err := a.do(ctx, s, who, &exchange.NewAddress{Bank: t.Bank.ID, Salt: salt})
	if r.Code == exchange.TooManyOfBank {
		return nil, fmt.Errorf("you have %d addresses that nothing was paid to: use one of them first; souk deposit shows the newest", custody.MaxUnused)
	}
	if err != nil {
		return nil, err
	}
	return t.Fresh(ctx, who, uint32(r.Number>>32), uint32(r.Number), salt, s.client.Servers()[0])
}

// shownAddress is a deposit address as programs read it.
type shownAddress struct {
	Address       string             `json:"address"`
	URI           string             `json:"uri"`
	Symbol        string             `json:"symbol"`
	Network       string             `json:"network"`
	Bank          uint32             `json:"bank"`
	Series        uint32             `json:"series"`
	Index         uint32             `json:"index"`
	Threshold     int                `json:"threshold"`
	Keys          int                `json:"keys"`
	MinDeposit    string             `json:"min_deposit"`
	NextMin       string             `json:"next_min_deposit,omitempty"` // in force from NextMinFrom on
	NextMinFrom   uint64             `json:"next_min_from,omitempty"`    // ms
	Confirmations []api.Confirmation `json:"confirmations"`
	Header        uint64             `json:"header"`      // of the proof
	HeaderTime    uint64             `json:"header_time"` // ms
}

// uriOf is an address as wallets read it out of a picture.
func uriOf(n *script.Network, address string) string {
	scheme := map[script.Chain]string{script.Bitcoin: "bitcoin", script.Litecoin: "litecoin", script.Namecoin: "namecoin"}[n.Chain]
	return scheme + ":" + address
}

func (a *app) showAddress(own *api.ProvenAddress, symbol string, plain, oneLine bool) error {
	b := own.Bank
	x := shownAddress{
		Address: own.Text, URI: uriOf(b.Net, own.Text), Symbol: symbol, Network: b.Network, Bank: uint32(b.ID), Series: own.Address.Series, Index: own.Index,
		Threshold: int(own.Series.K), Keys: len(own.Series.Keys), MinDeposit: api.FormatCoins(b.MinDeposit),
		Confirmations: api.Confirmations(b.Net), Header: own.At.Height, HeaderTime: own.At.Time,
	}
	if b.NextAt != 0 && b.Next.MinDeposit != b.MinDeposit {
		x.NextMin, x.NextMinFrom = api.FormatCoins(b.Next.MinDeposit), b.NextAt
	}
	if oneLine {
		a.line(&x, "")
		return nil
	}
	err := a.show(&x, func(w io.Writer) {
		p(w, "address\t%s\n", x.Address)
		p(w, "network\t%s\n", x.Network)
		p(w, "keys\t%s, series %d\n", keysText(x.Threshold, x.Keys), x.Series)
		p(w, "at least\t%s %s: smaller payments are lost to you\n", x.MinDeposit, symbol)
		if x.NextMin != "" {
			p(w, "\t%s %s from %s on: be in a block of the chain well before\n", x.NextMin, symbol, when(x.NextMinFrom))
		}
		p(w, "credited\t%s\n", depthText(x.Confirmations, symbol))
		if b.Net.MWEB {
			p(w, "\t%d blocks more for coins straight out of an MWEB extension block\n", b.Net.PegOutExtra)
		}
		p(w, "proof\tderived here from the bank's keys, and yours by the signed header of block %d\n", x.Header)
	})
	if err != nil || plain || a.output != "table" {
		return err
	}
	return a.picture(x.URI)
}

// picture shows a text for cameras.
func (a *app) picture(text string) error {
	code, err := qr.Encode(strings.ToUpper(text), qr.L) // addresses of segwit are the same in capitals
	if err != nil {
		return fmt.Errorf("make the picture: %w", err)
	}
	begin, end := "", ""
	if f, ok := a.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		begin, end = "\x1b[30;107m", "\x1b[0m" // black on white, whatever the terminal's colours
	}
	const margin = 2
	var b strings.Builder
	b.WriteByte('\n')
	for y := -margin; y < code.Size+margin; y += 2 {
		b.WriteString(begin)
		for x := -margin; x < code.Size+margin; x++ {
			switch upper, lower := code.Black(x, y), code.Black(x, y+1); {
			case upper && lower:
				b.WriteString("█")
			case upper:
				b.WriteString("▀")
			case lower:
				b.WriteString("▄")
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString(end + "\n")
	}
	_, err = io.WriteString(a.out, b.String())
	return err
}

// line writes one change that --watch has seen: a text for people, a JSON object on a
// line of its own for programs.
func (a *app) line(value any, format string, args ...any) {
	if a.output == "json" {
		e := json.NewEncoder(a.out)
		e.SetEscapeHTML(false)
		if err := e.Encode(value); err != nil {
			p(a.err, "%v\n", err)
		}
		return
	}
	p(a.out, format+"\n", args...)
}

// pause waits between two looks; false if the user has had enough.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(watchEvery):
		return true
	}
}

// watchDeposits tells what becomes of payments to an address until they are credited.
func (a *app) watchDeposits(ctx context.Context, s *session, who *api.Signer, own *api.ProvenAddress, symbol string, limit time.Duration) error {
	if a.output != "json" {
		p(a.out, "\nwaiting for a payment; Ctrl-C ends the watch, not the deposit\n")
	}
	told := map[string]string{}
	for {
		var list *api.Deposits
		err := within(ctx, limit, func(ctx context.Context) (err error) {
			list, err = s.client.Deposits(ctx, who, api.BankedPage{Bank: symbol})
			return err
		})
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the user ended it
		}
		if err != nil {
			return err
		}
		open, credited := 0, 0
		for i := range list.Deposits {
			d := &list.Deposits[i]
			if d.Address != own.Text {
				continue
			}
			if d.State == api.DepositCredited {
				credited++
			} else {
				open++
			}
			at := fmt.Sprintf("%s:%d", d.Tx, d.Output)
			if text := depositText(d); told[at] != text {
				told[at] = text
				a.line(d, "%s %s in %s: %s", d.Amount, d.Symbol, at, text)
			}
		}
		if open == 0 && credited > 0 || !pause(ctx) {
			return nil
		}
	}
}

// depositText says how far a deposit has come.
func depositText(d *api.Deposit) string {
	switch d.State {
	case api.DepositSeen:
		return fmt.Sprintf("seen by %s, needs %d", count(d.Members, "member"), d.Needed)
	case api.DepositDeep:
		return fmt.Sprintf("%d of %d blocks", d.Depth, d.Required)
	}
	return "credited"
}

func (a *app) depositsCommand() *cobra.Command {
	page := api.BankedPage{}
	c := &cobra.Command{
		Use: "deposits [ASSET]", Short: "List payments to your deposit addresses", Args: cobra.MaximumNArgs(1),
		Long: `List payments to your deposit addresses: first those that are not credited yet, and how deep they are, then the
others, from the newest block of their chain back, until about two weeks after their coins were spent.`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				page.Bank = args[0]
			}
			if page.Limit < 1 || page.Limit > 100 {
				return usageError{errors.New("--limit: from 1 to 100")}
			}
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				list, err := s.client.Deposits(ctx, who, page)
				if nameless(err) {
					return noBank(page.Bank)
				}
				if err != nil {
					return err
				}
				return a.show(list, func(w io.Writer) {
					p(w, "amount\tasset\tstate\tblock\taddress\ttransaction\n")
					for i := range list.Deposits {
						d := &list.Deposits[i]
						p(w, "%s\t%s\t%s\t%d\t%s\t%s:%d\n", d.Amount, d.Symbol, depositText(d), d.Height, d.Address, d.Tx, d.Output)
					}
					if list.Next != "" {
						p(w, "older ones: --before %s\n", list.Next)
					}
				})
			})
		},
	}
	c.Flags().IntVar(&page.Limit, "limit", 20, "how many")
	c.Flags().StringVar(&page.Before, "before", "", "only older ones: next of the page before")
	return c
}
