package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/asset"
	"souk/exchange"
)

// mostFills is how many fills are gone through for orders that are not live.
const mostFills = 20_000

// past is an order that is not live, as its fills tell of it. No server keeps the
// order itself.
type past struct {
	ID     uint64     `json:"id"`
	Live   bool       `json:"live"`
	Market string     `json:"market,omitempty"`
	Side   string     `json:"side,omitempty"`
	Filled string     `json:"filled,omitempty"`
	Last   uint64     `json:"last,omitempty"` // time of its last fill, ms
	Fills  []api.Fill `json:"fills"`          // newest first
}

func (a *app) orderShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ORDER", Short: "Show an order by number, or by client:ID, and its fills", Args: cobra.ExactArgs(1),
		Long: `Show an order by number, or by client: and your own order id, and its fills. Servers keep live orders only. Of
an order that is gone its fills are shown, as far back as they are kept, 30 days as a rule; whether what
was not filled was cancelled, expired, or killed, is kept nowhere: souk order place tells it at once, and
an expiry or a timer (souk order cancel-all --after) was set by you.`,
		RunE: func(c *cobra.Command, args []string) error {
			t, err := target(args[0])
			if err != nil {
				return err
			}
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				o, err := liveOrder(ctx, s, who, t)
				if err != nil {
					return err
				}
				id := uint64(t.Order)
				if o != nil {
					id = o.ID
				}
				if id == 0 {
					return fmt.Errorf("no live order of yours has the client order id %s; of one that is gone souk fills shows the number, which order show takes", t.Client)
				}
				all, err := pastOrders(ctx, s, who, api.Page{Order: id})
				if err != nil {
					return err
				}
				gone := past{ID: id, Fills: []api.Fill{}}
				if len(all) > 0 {
					gone = all[0]
				}
				if o == nil {
					return a.show(&gone, func(w io.Writer) { showPast(w, &gone) })
				}
				value := struct {
					*api.Order
					Live  bool       `json:"live"`
					Fills []api.Fill `json:"fills"`
				}{o, true, gone.Fills}
				return a.show(&value, func(w io.Writer) { showOrder(w, o, gone.Fills) })
			})
		},
	}
}

// liveOrder is a live order of the signer's account; nil if there is none.
func liveOrder(ctx context.Context, s *session, who *api.Signer, t exchange.Target) (*api.Order, error) {
	if t.Client != "" {
		return s.client.OrderByClient(ctx, who, t.Client)
	}
	o, err := s.client.Order(ctx, who, uint64(t.Order))
	if nameless(err) {
		return nil, nil //nolint:nilnil // as OrderByClient
	}
	return o, err
}

func showOrder(w io.Writer, o *api.Order, fills []api.Fill) {
	p(w, "order\t%d\n", o.ID)
	for _, line := range [][2]string{
		{"client", o.Client},
		{"market", o.Symbol},
		{"side", o.Side},
		{"kind", o.Kind},
		{"tif", o.TIF},
		{"status", o.Status},
		{"price", o.Price},
		{"trigger", o.Trigger},
		{"quantity", sizeOf(o)},
		{"filled", o.Filled},
		{"value", o.Value},
		{"fee", o.Fee},
		{"held", o.Hold},
	} {
		if line[1] != "" {
			p(w, "%s\t%s\n", line[0], line[1])
		}
	}
	if o.PostOnly {
		p(w, "post-only\tyes\n")
	}
	if o.Sibling != 0 {
		p(w, "other leg\torder %d\n", o.Sibling)
	}
	p(w, "placed\t%s, block %d\n", when(o.Time), o.Placed)
	if o.Expiry != 0 {
		p(w, "expires\t%s\n", when(o.Expiry))
	}
	if len(fills) > 0 {
		p(w, "\n")
		showFills(w, fills)
	}
}

func showPast(w io.Writer, o *past) {
	if len(o.Fills) == 0 {
		p(w, "order %d is not live, and no fill of it is kept here: it traded nothing, or too long ago, or is not yours\n", o.ID)
		return
	}
	p(w, "order %d is not live: it was %s in %s and has traded %s; its fills:\n", o.ID, article(o.Side), o.Market, o.Filled)
	showFills(w, o.Fills)
}

func article(side string) string { return "a " + side }

// pastOrders are orders as fills tell of them, by descending number.
func pastOrders(ctx context.Context, s *session, who *api.Signer, page api.Page) ([]past, error) {
	byID := map[uint64]*past{}
	sums := map[uint64]asset.Amount{}
	page.Limit = api.MaxPage
	for seen := 0; seen < mostFills; {
		list, err := s.client.Fills(ctx, who, page)
		if err != nil {
			return nil, err
		}
		seen += max(len(list.Fills), 1)
		for _, f := range list.Fills {
			o := byID[f.Order]
			if o == nil {
				o = &past{ID: f.Order, Market: f.Symbol, Side: f.Side, Last: f.Time}
				byID[f.Order] = o
			}
			pair, err := s.client.Pair(ctx, f.Symbol)
			if err != nil {
				return nil, err
			}
			n, err := pair.ParseBase(f.Quantity)
			if err != nil {
				return nil, err
			}
			sums[f.Order] += n
			o.Filled = pair.FormatBase(sums[f.Order])
			o.Fills = append(o.Fills, f)
		}
		if page.Before = list.Next; list.Next == "" {
			break
		}
	}
	var all []past
	for _, o := range byID {
		all = append(all, *o)
	}
	slices.SortFunc(all, func(x, y past) int { return cmp.Compare(y.ID, x.ID) })
	return all, nil
}

// goneOf are the orders among all that fills tell of which are not live.
func goneOf(all []past, live *api.Orders) []past {
	return slices.DeleteFunc(all, func(o past) bool {
		return slices.ContainsFunc(live.Orders, func(l api.Order) bool { return l.ID == o.ID })
	})
}

func (a *app) fillsCommand() *cobra.Command {
	c := a.accountFills()
	c.Long = `Show the fills of your orders, newest first, as far back as the server keeps them: 30 days as a rule. With
--order only those of one order, live or not.`
	c.Example = strings.Join([]string{"  souk fills --market BTC-EUR --limit 100", "  souk fills --order 12"}, "\n")
	return c
}
