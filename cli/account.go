package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/exchange"
	"souk/identity"
	"souk/purse"
)

func (a *app) accountCommand() *cobra.Command {
	c := &cobra.Command{Use: "account", Short: "Make, show or recover your account", Args: cobra.NoArgs}
	c.AddCommand(a.accountNew(), a.accountRecover(), a.accountShow(), a.accountFills())
	return c
}

func (a *app) accountNew() *cobra.Command {
	var words int
	c := &cobra.Command{
		Use: "new", Short: "Make new words, seal them in the purse, and show them once", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			w, err := purse.Generate(rand.Reader, words)
			if err != nil {
				return err
			}
			defer w.Wipe()
			return a.create(c.Context(), w, true)
		},
	}
	c.Flags().IntVar(&words, "words", 12, "12 or 24")
	return c
}

func (a *app) accountRecover() *cobra.Command {
	return &cobra.Command{
		Use: "recover", Short: "Make the purse again from its words, read from standard input", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			p(a.err, "Type the words, all in one line:\n")
			line, err := bufio.NewReader(io.LimitReader(a.in, 4096)).ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("read the words: %w", err)
			}
			w, err := identity.ParseWords(strings.TrimSpace(line))
			if err != nil {
				return err
			}
			defer w.Wipe()
			return a.create(c.Context(), w, false)
		},
	}
}

// create makes the purse and pins the virtual server.
func (a *app) create(ctx context.Context, w identity.Words, reveal bool) error {
	s, err := a.session()
	if err != nil {
		return err
	}
	defer s.client.Close()
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	id, err := s.client.ID(ctx)
	if err != nil {
		return err
	}
	book := purse.Book{Server: hex.EncodeToString(id[:]), Servers: s.book.Servers}
	if founding, err := s.client.Founding(ctx); err == nil {
		for i := range founding.Members { // all of them, so that losing one is no loss
			if url := founding.Members[i].URL; url != "" && !contains(book.Servers, url) {
				book.Servers = append(book.Servers, url)
			}
		}
	}
	address, err := s.purse.Create(w, book, a.pass.get("New passphrase for the purse: ", true), 0)
	if err != nil {
		return err
	}
	if !s.pinned {
		p(a.err, "Virtual server %s, as that server says. Compare this id with a source you trust.\n", book.Server)
	}
	if reveal {
		p(a.err, "Write these words down and keep them safe; whoever has them has the account:\n\n  %s\n\n", w.Reveal())
	}
	return a.show(map[string]string{"address": address.String(), "virtual_server": book.Server}, func(w io.Writer) {
		p(w, "%s\n", address)
	})
}

// address reads an address.
func address(text string) (identity.Address, error) {
	a, err := identity.ParseAddress(text)
	if err != nil {
		return a, usageError{fmt.Errorf("%q is not an address: copy it whole, it begins with souk1, and its check sum finds every wrong letter", text)}
	}
	return a, nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (a *app) accountShow() *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Show your address, balances and keys", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				acc, err := s.client.Account(ctx, who)
				if api.IsNotFound(err) {
					acc, err = &api.Account{Address: who.Account.String(), Balances: []api.Balance{}, Delegates: []api.Delegate{}}, nil
					p(a.err, "nobody has paid this account yet; it exists from its first credit on\n")
				}
				if err != nil {
					return err
				}
				return a.show(acc, func(w io.Writer) {
					p(w, "%s\n", acc.Address)
					p(w, "asset\tavailable\tin orders\n")
					for _, b := range acc.Balances {
						p(w, "%s\t%s\t%s\n", b.Symbol, b.Available, b.Held)
					}
					for _, d := range acc.Delegates {
						p(w, "key %s may %s\n", d.Key, strings.Join(d.Scopes, ", "))
					}
					if acc.Rotation != nil {
						p(w, "owner key changes to %s at %s\n", acc.Rotation.Key, when(acc.Rotation.Due))
					}
				})
			})
		},
	}
}

func (a *app) accountFills() *cobra.Command {
	var page api.Page
	c := &cobra.Command{
		Use: "fills", Short: "Show your trades, newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				fills, err := s.client.Fills(ctx, who, page)
				if err != nil {
					return err
				}
				return a.show(fills, func(w io.Writer) {
					p(w, "trade\ttime\tmarket\tside\tquantity\tprice\tvalue\tfee\tas\n")
					for i := range fills.Fills {
						f := &fills.Fills[i]
						p(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Trade, when(f.Time), f.Symbol, f.Side, f.Quantity, f.Price, f.Value, f.Fee, f.Role)
					}
				})
			})
		},
	}
	c.Flags().StringVar(&page.Market, "market", "", "only this market")
	c.Flags().StringVar(&page.Before, "before", "", "only older ones: next of the page before")
	c.Flags().IntVar(&page.Limit, "limit", 20, "how many")
	return c
}

func (a *app) sendCommand() *cobra.Command {
	var memo string
	c := &cobra.Command{
		Use: "send ADDRESS AMOUNT ASSET", Short: "Pay another account", Args: cobra.ExactArgs(3),
		Example: "  souk send souk1q... 12.5 EUR --memo rent",
		RunE: func(c *cobra.Command, args []string) error {
			to, err := address(args[0])
			if err != nil {
				return err
			}
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				id, amount, err := money(ctx, s, args[1], args[2])
				if err != nil {
					return err
				}
				r, err := a.do(ctx, s, who, &exchange.Transfer{To: to, Asset: id, Amount: amount, Memo: memo})
				if err != nil {
					return err
				}
				return a.showReceipt(&r, func(w io.Writer) { p(w, "sent %s %s to %s\n", args[1], args[2], to) })
			})
		},
	}
	c.Flags().StringVar(&memo, "memo", "", "a note that both accounts can read, at most 128 bytes")
	return c
}

func (a *app) showReceipt(r *exchange.Receipt, table func(io.Writer)) error {
	v := api.ReceiptValue(r)
	return a.show(&v, func(w io.Writer) {
		table(w)
		p(w, "command %s, block %d\n", v.ID, v.Height)
	})
}
