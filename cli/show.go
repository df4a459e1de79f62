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
			return a.with(c.Context(), func(ctx context.Context, s *session) error {
				book, err := s.client.Book(ctx, args[0], depth)
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
			page.Market = args[0]
			return a.with(c.Context(), func(ctx context.Context, s *session) error {
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

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show how the virtual server and its members stand", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.with(c.Context(), func(ctx context.Context, s *session) error {
				status, err := s.client.Status(ctx)
				if err != nil {
					return err
				}
				return a.show(status, func(w io.Writer) { showStatus(w, status) })
			})
		},
	}
}

func showStatus(w io.Writer, s *api.Status) {
	p(w, "virtual server\t%s (%s)\n", s.ID, s.Name)
	p(w, "answered by\t%s, souk %s\n", s.Member, s.Software)
	p(w, "block\t%d, last active %d at %s\n", s.Height, s.Active, when(s.Time))
	p(w, "state root\t%s\n", s.Root)
	p(w, "protocol\tversion %d\n", s.Protocol)
	if s.Plan != nil {
		p(w, "\tversion %d from block %d on\n", s.Plan.Version, s.Plan.Height)
	}
	p(w, "accounts\t%d, live orders %d, waiting batches %d\n", s.Accounts, s.Orders, s.Waiting)
	switch {
	case s.Halted != "":
		p(w, "halted\t%s\n", s.Halted)
	case s.CatchingUp:
		p(w, "catching up\tthis server is behind the others\n")
	}
	p(w, "\nno.\tmember\tpower\turl\t\n")
	for i := range s.Members {
		m := &s.Members[i]
		p(w, "%d\t%s\t%d\t%s\t%s\n", m.ID, m.Name, m.Power, m.URL, memberRemarks(m))
	}
}

func memberRemarks(m *api.Member) string {
	var remarks []string
	if m.Demoted {
		remarks = append(remarks, "demoted: missed its turns")
	}
	if m.Barred {
		remarks = append(remarks, "barred: signed twice")
	}
	if m.Silent > 0 {
		remarks = append(remarks, fmt.Sprintf("left %d commands unanswered", m.Silent))
	}
	return strings.Join(remarks, "; ")
}

func (a *app) auditCommand() *cobra.Command {
	return &cobra.Command{
		Use: "audit", Short: "Check that every unit of every asset is accounted for", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.with(c.Context(), func(ctx context.Context, s *session) error {
				audit, err := s.client.Audit(ctx)
				if err != nil {
					return err
				}
				err = a.show(audit, func(w io.Writer) {
					p(w, "asset\tsupply\t= available\t+ in orders\t+ escrow\t+ fees\t+ dust\t+ reserve\t\n")
					for i := range audit.Assets {
						x := &audit.Assets[i]
						verdict := "balanced"
						if !x.Balanced {
							verdict = "NOT BALANCED"
						}
						p(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Symbol, x.Supply, x.Available, x.Held, x.Locked, x.Fees, x.Dust, x.Reserve, verdict)
					}
				})
				if err == nil && !audit.Balanced {
					err = fmt.Errorf("the books of %s do not balance", s.book.Servers[0])
				}
				return err
			})
		},
	}
}
