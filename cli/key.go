package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/exchange"
	"souk/identity"
)

func (a *app) keyCommand() *cobra.Command {
	c := &cobra.Command{Use: "key", Short: "Let other keys act for your account, change its owner key, and make keys for programs of your gate", Args: cobra.NoArgs}
	c.AddCommand(a.keyShow(), a.keyAdd(), a.keyRemove(), a.keyRotate(), a.keyNew(), a.keyList(), a.keyRevoke())
	return c
}

func (a *app) keyShow() *cobra.Command {
	var addressOnly bool
	c := &cobra.Command{
		Use: "show", Short: "Show the public key of the purse", Args: cobra.NoArgs,
		Long: `Show the public key of the purse: what the owner of an account needs to let it act (souk key add), and
the address of the account that it opens itself. It asks no server.`,
		RunE: func(*cobra.Command, []string) error {
			own, err := a.pursePath()
			if err != nil {
				return err
			}
			book, err := own.Book()
			if err != nil {
				return err
			}
			if book.Key == "" { // a purse of old
				key, err := own.Key(a.pass.get("Passphrase of the purse: ", false))
				if err != nil {
					return err
				}
				book.Key = key.Public().String()
				key.Wipe()
				if err := own.Save(book); err != nil {
					return err
				}
			}
			value := map[string]string{"key": book.Key, "address": book.Address}
			if book.Account != "" {
				value["account"] = book.Account
			}
			return a.show(value, func(w io.Writer) {
				if addressOnly {
					p(w, "%s\n", book.Address)
					return
				}
				p(w, "%s\n", book.Key)
				if book.Account != "" {
					p(a.err, "it acts for %s\n", book.Account)
				}
			})
		},
	}
	c.Flags().BoolVar(&addressOnly, "address", false, "print the address of the account that the key opens instead")
	return c
}

func (a *app) keyAdd() *cobra.Command {
	var scopes, markets []string
	var expires length
	c := &cobra.Command{
		Use: "add PUBLICKEY", Short: "Let a key act within limits", Args: cobra.ExactArgs(1),
		Long: `Let a key act for your account within limits; a key that may act already gets the new ones. Scopes:

  read      see balances, orders and fills
  trade     place, amend and cancel orders, in all markets or those of --market
  transfer  pay others, lock and settle escrows
  withdraw  send coins out of the virtual server

Give several with commas. A bot that trades mostly wants to read too. What only the owner's key may do:
change keys, issue, mint and burn. Whoever holds the key gets its public half with souk key show.`,
		Example: "  souk key add PUBLICKEY --scope read,trade --market BTC-EUR --expires 30d",
		RunE: func(c *cobra.Command, args []string) error {
			key, err := publicKey(args[0])
			if err != nil {
				return err
			}
			set, err := api.ParseScopes(scopes)
			if err != nil {
				return usageError{err}
			}
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				body := &exchange.AddDelegate{Key: key, Scopes: set}
				for _, name := range markets {
					pair, err := pairOf(ctx, s, name)
					if err != nil {
						return err
					}
					body.Markets = append(body.Markets, uint32(pair.ID))
				}
				slices.Sort(body.Markets)
				body.Markets = slices.Compact(body.Markets)
				if expires > 0 {
					body.Expiry = expires.from(time.Now())
				}
				r, err := a.do(ctx, s, who, body)
				if err != nil {
					return err
				}
				return a.showReceipt(&r, func(w io.Writer) {
					p(w, "the key may act from the next block on, for %s\n", who.Account)
				})
			})
		},
	}
	c.Flags().StringSliceVar(&scopes, "scope", []string{"read"}, "read, trade, transfer, withdraw; several with commas")
	c.Flags().StringSliceVar(&markets, "market", nil, "the only markets that it may trade in, by name (default: all)")
	c.Flags().Var(&expires, "expires", "time after which it has no power, such as 12h or 30d (default: never)")
	return c
}

// publicKey reads a public key.
func publicKey(text string) (identity.PublicKey, error) {
	key, err := identity.ParsePublicKey(text)
	if err != nil {
		return key, usageError{fmt.Errorf("%q is not a public key: it has 64 hexadecimal digits, as souk key show prints it", text)}
	}
	return key, nil
}

func (a *app) keyDo(c *cobra.Command, body exchange.Body, done string) error {
	return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
		r, err := a.do(ctx, s, who, body)
		if err != nil {
			return err
		}
		return a.showReceipt(&r, func(w io.Writer) { p(w, "%s", done) })
	})
}

func (a *app) keyRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove PUBLICKEY", Short: "Take a key's power away at once", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			key, err := publicKey(args[0])
			if err != nil {
				return err
			}
			return a.keyDo(c, &exchange.RemoveDelegate{Key: key}, "the key has no power any more\n")
		},
	}
}

func (a *app) keyRotate() *cobra.Command {
	var cancel bool
	c := &cobra.Command{
		Use: "rotate [PUBLICKEY]", Short: "Make another key the owner after the rotation delay, or call that off", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if cancel {
				return a.keyDo(c, exchange.CancelRotation{}, "the rotation is called off\n")
			}
			if len(args) == 0 {
				return usageError{fmt.Errorf("name the new owner's public key, or give --cancel")}
			}
			key, err := publicKey(args[0])
			if err != nil {
				return err
			}
			return a.keyDo(c, &exchange.Rotate{Key: key}, "the owner key changes when the delay has passed; souk account show tells when\n")
		},
	}
	c.Flags().BoolVar(&cancel, "cancel", false, "call a pending rotation off")
	return c
}
