package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/asset"
	"souk/exchange"
)

func (a *app) assetCommand() *cobra.Command {
	c := &cobra.Command{Use: "asset", Short: "Issue an asset of your own", Args: cobra.NoArgs}
	c.AddCommand(a.assetIssue())
	return c
}

func (a *app) assetIssue() *cobra.Command {
	var file, supply string
	var decimals uint8
	c := &cobra.Command{
		Use: "issue SYMBOL --contract FILE", Short: "Make a new asset that your account issues", Args: cobra.ExactArgs(1),
		Long: `Make a new asset that your account issues. The contract is what you promise to whoever holds it, a text of at
most 2,048 bytes; you sign it with the command, and the state keeps its hash. Publish the text. New units
come into being by souk mint and go by souk burn. A delegate's key can do none of this.`,
		Example: "  souk asset issue BREAD --contract bread.txt --decimals 0 --max-supply 1000000",
		RunE: func(c *cobra.Command, args []string) error {
			if file == "" {
				return usageError{errors.New("give --contract FILE: what you promise to whoever holds the asset")}
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("read the contract: %w", err)
			}
			switch {
			case len(text) == 0:
				return usageError{fmt.Errorf("%s is empty: an asset without a promise is nothing", file)}
			case len(text) > exchange.MaxContract:
				return usageError{fmt.Errorf("%s has %d bytes; a contract has at most %d: put its hash and address there, if it is longer", file, len(text), exchange.MaxContract)}
			case !utf8.Valid(text):
				return usageError{fmt.Errorf("%s is not UTF-8 text", file)}
			case decimals > asset.MaxDecimals:
				return usageError{fmt.Errorf("--decimals %d: at most %d", decimals, asset.MaxDecimals)}
			}
			body := &exchange.Issue{Symbol: args[0], Decimals: decimals, MaxSupply: asset.MaxSupply, Contract: string(text)}
			if supply != "" {
				if body.MaxSupply, err = asset.Parse(supply, decimals); err != nil {
					return usageError{fmt.Errorf("--max-supply: %w", err)}
				}
			}
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				r, err := a.do(ctx, s, who, body)
				if err != nil {
					return err
				}
				hash := sha256.Sum256(text)
				return a.showReceipt(&r, func(w io.Writer) {
					p(w, "asset %d, %s, is yours to mint; its contract has the SHA-256 %s\n", r.Number, body.Symbol, hex.EncodeToString(hash[:]))
				})
			})
		},
	}
	c.Flags().StringVar(&file, "contract", "", "file with the contract's text, at most 2,048 bytes of UTF-8")
	c.Flags().StringVar(&supply, "max-supply", "", "most units that may ever exist (default: as many as can be counted)")
	c.Flags().Uint8Var(&decimals, "decimals", 8, "decimals of amounts, 0 to 18")
	return c
}

func (a *app) mintCommand() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "mint AMOUNT ASSET", Short: "Make new units of an asset that your account issues", Args: cobra.ExactArgs(2),
		Example: "  souk mint 1000 EUR --to souk1q...",
		RunE: func(c *cobra.Command, args []string) error {
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				payee := who.Account
				if to != "" {
					var err error
					if payee, err = address(to); err != nil {
						return err
					}
				}
				id, amount, err := money(ctx, s, args[0], args[1])
				if err != nil {
					return err
				}
				r, err := a.do(ctx, s, who, &exchange.Mint{Asset: id, Amount: amount, To: payee})
				if err != nil {
					return err
				}
				return a.showReceipt(&r, func(w io.Writer) { p(w, "minted %s %s for %s\n", args[0], args[1], payee) })
			})
		},
	}
	c.Flags().StringVar(&to, "to", "", "account that gets them (default: your own)")
	return c
}

func (a *app) burnCommand() *cobra.Command {
	return &cobra.Command{
		Use: "burn AMOUNT ASSET", Short: "Destroy units that your account holds of an asset that it issues", Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				id, amount, err := money(ctx, s, args[0], args[1])
				if err != nil {
					return err
				}
				r, err := a.do(ctx, s, who, &exchange.Burn{Asset: id, Amount: amount})
				if err != nil {
					return err
				}
				return a.showReceipt(&r, func(w io.Writer) { p(w, "burnt %s %s\n", args[0], args[1]) })
			})
		},
	}
}
