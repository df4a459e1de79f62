package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"souk/api"
)

func (a *app) bookCommand() *cobra.Command {
	var depth int
	c := &cobra.Command{
		Use: "book MARKET", Short: "Show a market's order book", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if depth < 1 || depth > api.MaxDepth {
				return usageError{fmt.Errorf("--depth: from 1 to %d", api.MaxDepth)}
			}
			return a.with(c.Context(), func(ctx context.Context, s *session) error {
				pair, err := shownPair(ctx, s, args[0])
				if err != nil {
					return err
				}
				book, err := s.client.Book(ctx, pair.Symbol(), depth)
				if err != nil {
					return err
				}
				return a.show(book, func(w io.Writer) {
					p(w, "%s at block %d\n\tprice\tquantity\torders\n", book.Symbol, book.Height)
					for i := len(book.Asks) - 1; i >= 0; i-- {
						p(w, "ask\t%s\t%s\t%d\n", book.Asks[i].Price, book.Asks[i].Quantity, book.Asks[i].Orders)
					}
					for _, l := range book.Bids {
						p(w, "bid\t%s\t%s\t%d\n", l.Price, l.Quantity, l.Orders)
					}
				})
			})
		},
	}
	c.Flags().IntVar(&depth, "depth", 15, "levels of each side")
	return c
}

func (a *app) tradesCommand() *cobra.Command {
	page := api.Page{}
	c := &cobra.Command{
		Use: "trades MARKET", Short: "Show a market's trades, newest first", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := limited(page.Limit); err != nil {
				return err
			}
			return a.with(c.Context(), func(ctx context.Context, s *session) error {
				pair, err := shownPair(ctx, s, args[0])
				if err != nil {
					return err
				}
				page.Market = pair.Symbol()
				trades, err := s.client.Trades(ctx, page)
				if err != nil {
					return err
				}
				return a.show(trades, func(w io.Writer) {
					p(w, "trade\ttime\tquantity\tprice\ttaker\tblock\n")
					for i := range trades.Trades {
						t := &trades.Trades[i]
						side := t.Side
						if t.Inner {
							side = "both new"
						}
						p(w, "%d\t%s\t%s\t%s\t%s\t%d\n", t.ID, when(t.Time), t.Quantity, t.Price, side, t.Height)
					}
				})
			})
		},
	}
	c.Flags().IntVar(&page.Limit, "limit", 20, "how many")
	c.Flags().StringVar(&page.Before, "before", "", "only older ones: next of the page before")
	return c
}

// limited refuses a limit that would be none.
func limited(limit int) error {
	if limit < 1 || limit > api.MaxPage {
		return usageError{fmt.Errorf("--limit: from 1 to %d", api.MaxPage)}
	}
	return nil
}

func (a *app) marketCommand() *cobra.Command {
	return &cobra.Command{
		Use: "market", Aliases: []string{"markets"}, Short: "Show all markets and assets", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.with(c.Context(), func(ctx context.Context, s *session) error {
				markets, err := s.client.Markets(ctx)
				if err != nil {
					return err
				}
				assets, err := s.client.Assets(ctx)
				if err != nil {
					return err
				}
				value := struct {
					*api.Markets
					Assets []api.Asset `json:"assets"`
				}{markets, assets.Assets}
				return a.show(value, func(w io.Writer) {
					p(w, "no.\tmarket\tlast\ttick\tlot\tleast value\tmaker\ttaker\t\n")
					for i := range markets.Markets {
						m := &markets.Markets[i]
						state := ""
						if m.Paused {
							state = "paused"
						}
						p(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, m.Symbol, m.Last, m.Tick, m.Lot, m.MinNotional, percent(m.MakerPPM), percent(m.TakerPPM), state)
					}
					p(w, "\nno.\tasset\tdecimals\tsupply\tissuer\n")
					for i := range assets.Assets {
						x := &assets.Assets[i]
						p(w, "%d\t%s\t%d\t%s\t%s\n", x.ID, x.Symbol, x.Decimals, x.Supply, x.Issuer)
					}
				})
			})
		},
	}
}

// percent is a rate in millionths for people.
func percent(ppm uint32) string {
	s := fmt.Sprintf("%d.%04d", ppm/10_000, ppm%10_000)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") + " %"
}
