package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
)

// money reads an amount of an asset that is named by symbol or number.
func money(ctx context.Context, s *session, amount, name string) (asset.ID, asset.Amount, error) {
	assets, err := s.client.Assets(ctx)
	if err != nil {
		return 0, 0, err
	}
	for i := range assets.Assets {
		x := &assets.Assets[i]
		if x.Symbol != name && strconv.FormatUint(uint64(x.ID), 10) != name {
			continue
		}
		n, err := asset.Parse(amount, x.Decimals)
		return asset.ID(x.ID), n, err
	}
	for i := range assets.Assets {
		if x := &assets.Assets[i]; strings.EqualFold(x.Symbol, name) {
			return 0, 0, fmt.Errorf("no asset is called %s; did you mean %s?", name, x.Symbol)
		}
	}
	return 0, 0, fmt.Errorf("no asset is called %s; see souk market", name)
}

// pairOf is the market that a user names.
func pairOf(ctx context.Context, s *session, name string) (api.Pair, error) {
	pair, err := s.client.Pair(ctx, name)
	if api.IsNotFound(err) {
		if meant := similar(ctx, s, name); meant != "" {
			return pair, fmt.Errorf("no market is called %s; did you mean %s?", name, meant)
		}
	}
	return pair, err
}

// similar is the name of the market that a user may have meant; empty if there is none.
func similar(ctx context.Context, s *session, name string) string {
	markets, err := s.client.Markets(ctx)
	if err != nil {
		return ""
	}
	plain := func(name string) string {
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune("-_/:. ", r) {
				return -1
			}
			return r
		}, strings.ToUpper(name))
	}
	for i := range markets.Markets {
		m := &markets.Markets[i]
		if n := plain(name); n == plain(m.Symbol) || n == m.Quote+m.Base {
			return m.Symbol
		}
	}
	return ""
}

func (a *app) orderCommand() *cobra.Command {
	c := &cobra.Command{Use: "order", Short: "Place, change, cancel and list orders", Args: cobra.NoArgs}
	c.AddCommand(a.orderPlace(), a.orderAmend(), a.orderCancel(), a.orderCancelAll(), a.orderList())
	return c
}

// placeFlags are the flags of order place.
type placeFlags struct {
	kind, tif, price, quote, trigger, client string
	post                                     bool
	expires                                  time.Duration
}

func (a *app) orderPlace() *cobra.Command {
	var f placeFlags
	c := &cobra.Command{
		Use: "place MARKET buy|sell [QUANTITY]", Short: "Place an order", Args: cobra.RangeArgs(2, 3),
		Example: `  souk order place BTC-EUR buy 0.5 --price 50000
  souk order place BTC-EUR sell 0.5 --kind market --price 49000
  souk order place BTC-EUR buy --kind market --quote 1000 --price 51000
  souk order place BTC-EUR sell 0.5 --kind stop --trigger 45000 --price 44000`,
		Long: `Place an order. Every order has a worst price: --price is the limit of limit orders, and
the worst price that a market or stop order accepts.`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				pair, err := pairOf(ctx, s, args[0])
				if err != nil {
					return err
				}
				body, err := f.body(&pair, args[1:], time.Now())
				if err != nil {
					return err
				}
				r, err := a.do(ctx, s, who, body)
				if err != nil {
					return err
				}
				return a.showPlaced(&r, &pair, body.Side)
			})
		},
	}
	c.Flags().StringVar(&f.kind, "kind", "limit", "limit, market, stop, stop-limit, take-profit or take-profit-limit")
	c.Flags().StringVar(&f.tif, "tif", "", "time in force: gtc, gtd, ioc or fok (default: gtc for limits, ioc for the rest)")
	c.Flags().StringVar(&f.price, "price", "", "limit or worst price")
	c.Flags().StringVar(&f.quote, "quote", "", "amount of the quote asset instead of a quantity, market orders only")
	c.Flags().StringVar(&f.trigger, "trigger", "", "price that sets off a stop or take-profit")
	c.Flags().StringVar(&f.client, "client", "", "your own order id, at most 36 characters")
	c.Flags().BoolVar(&f.post, "post-only", false, "cancel the order rather than take")
	c.Flags().DurationVar(&f.expires, "expires", 0, "time after which the order ends")
	return c
}

// body makes the order that arguments and flags describe.
func (f *placeFlags) body(pair *api.Pair, args []string, now time.Time) (*exchange.Place, error) {
	b := &exchange.Place{Market: pair.ID, PostOnly: f.post, Client: f.client}
	var err error
	if b.Side, err = api.ParseSide(args[0]); err != nil {
		return nil, usageError{err}
	}
	if !validClient(f.client) {
		return nil, usageError{fmt.Errorf("--client %q: at most %d letters, digits and signs, without spaces", f.client, exchange.MaxClient)}
	}
	if b.Order, err = api.ParseKind(f.kind); err != nil {
		return nil, usageError{err}
	}
	if b.TIF, err = f.timeInForce(b.Order); err != nil {
		return nil, usageError{err}
	}
	if f.expires != 0 {
		b.Expiry = uint64(now.Add(f.expires).UnixMilli())
	}
	if f.price == "" {
		return nil, usageError{fmt.Errorf("--price is missing: every order has a worst price")}
	}
	if b.Price, err = pair.ParsePrice(f.price); err != nil {
		return nil, usageError{fmt.Errorf("--price: %w", err)}
	}
	if f.trigger != "" {
		if b.Trigger, err = pair.ParsePrice(f.trigger); err != nil {
			return nil, usageError{fmt.Errorf("--trigger: %w", err)}
		}
	}
	switch {
	case (len(args) > 1) == (f.quote != ""):
		return nil, usageError{fmt.Errorf("give a quantity, or --quote with an amount of %s", pair.QuoteSymbol)}
	case f.quote != "":
		b.Quote, err = pair.ParseQuote(f.quote)
	default:
		b.Quantity, err = pair.ParseBase(args[1])
	}
	if err != nil {
		return nil, usageError{err}
	}
	return b, nil
}

// validClient tells whether a text may be a client order id.
func validClient(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= exchange.MaxClient
}

func (f *placeFlags) timeInForce(k market.Kind) (market.TIF, error) {
	switch {
	case f.tif != "":
		return api.ParseTIF(f.tif)
	case f.expires != 0:
		return market.GTD, nil
	case k == market.MarketOrder:
		return market.IOC, nil
	}
	return market.GTC, nil
}

// whatIsLeft says where an order is after its block.
var whatIsLeft = map[market.Status]string{
	market.Gone: "; nothing is left open\n", market.Staged: "\n", market.Resting: "; the rest waits in the book\n",
	market.Waiting: "; it waits for its trigger\n",
}

func (a *app) showPlaced(r *exchange.Receipt, pair *api.Pair, side market.Side) error {
	return a.showReceipt(r, func(w io.Writer) {
		p(w, "order %d: filled %s %s", r.Number, pair.FormatBase(r.Filled), pair.BaseSymbol)
		if r.Filled > 0 {
			fee := pair.FormatBase(r.Fee) + " " + pair.BaseSymbol
			if side == market.Sell {
				fee = pair.FormatQuote(r.Fee) + " " + pair.QuoteSymbol
			}
			p(w, " for %s %s, fee %s", pair.FormatQuote(r.Cost), pair.QuoteSymbol, fee)
		}
		p(w, "%s", whatIsLeft[r.Status])
	})
}

// target reads an order id, or a client order id behind "client:".
func target(s string) (exchange.Target, error) {
	if client, ok := cutPrefix(s, "client:"); ok && client != "" {
		return exchange.Target{Client: client}, nil
	}
	id, err := strconv.ParseUint(s, 10, 64)
	if err != nil || id == 0 {
		return exchange.Target{}, usageError{fmt.Errorf("%q is no order: write its number, or client: and your own order id", s)}
	}
	return exchange.Target{Order: market.OrderID(id)}, nil
}

func cutPrefix(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):], true
	}
	return s, false
}

func (a *app) orderAmend() *cobra.Command {
	var price string
	c := &cobra.Command{
		Use: "amend MARKET ORDER QUANTITY", Short: "Change an order's whole quantity, and its price", Args: cobra.ExactArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			t, err := target(args[1])
			if err != nil {
				return err
			}
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				pair, err := pairOf(ctx, s, args[0])
				if err != nil {
					return err
				}
				body := &exchange.Amend{Target: t}
				if body.Quantity, err = pair.ParseBase(args[2]); err != nil {
					return usageError{err}
				}
				if price != "" {
					if body.Price, err = pair.ParsePrice(price); err != nil {
						return usageError{err}
					}
				}
				r, err := a.do(ctx, s, who, body)
				if err != nil {
					return err
				}
				return a.showReceipt(&r, func(w io.Writer) { p(w, "it is order %d now\n", r.Number) })
			})
		},
	}
	c.Flags().StringVar(&price, "price", "", "new price; without it only the quantity changes")
	return c
}

func (a *app) orderCancel() *cobra.Command {
	return &cobra.Command{
		Use: "cancel ORDER", Short: "Cancel an order by number, or by client:ID", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			t, err := target(args[0])
			if err != nil {
				return err
			}
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				r, err := a.do(ctx, s, who, &exchange.Cancel{Target: t})
				if err != nil {
					return err
				}
				return a.showReceipt(&r, func(w io.Writer) { p(w, "cancelled order %d\n", r.Number) })
			})
		},
	}
}

func (a *app) orderCancelAll() *cobra.Command {
	var name string
	var after time.Duration
	c := &cobra.Command{
		Use: "cancel-all", Short: "Cancel all orders now, or when a timer runs out", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				var body exchange.Body = &exchange.CancelAll{}
				switch {
				case after > 0:
					body = &exchange.CancelAllAfter{Delay: uint64(after.Milliseconds())}
				case name != "":
					pair, err := pairOf(ctx, s, name)
					if err != nil {
						return err
					}
					body = &exchange.CancelAll{Market: pair.ID}
				}
				r, err := a.do(ctx, s, who, body)
				if err != nil {
					return err
				}
				return a.showReceipt(&r, func(w io.Writer) {
					if after > 0 {
						p(w, "all orders will be cancelled in %v unless this is repeated\n", after)
						return
					}
					p(w, "cancelled %d orders\n", r.Number)
				})
			})
		},
	}
	c.Flags().StringVar(&name, "market", "", "only this market")
	c.Flags().DurationVar(&after, "after", 0, "not now, but after this time unless the command is repeated")
	return c
}

func (a *app) orderList() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use: "list", Short: "List your live orders", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				orders, err := s.client.Orders(ctx, who, name)
				if err != nil {
					return err
				}
				return a.show(orders, func(w io.Writer) {
					p(w, "order\tclient\tmarket\tside\tkind\tprice\tquantity\tfilled\tstatus\n")
					for i := range orders.Orders {
						o := &orders.Orders[i]
						quantity := o.Quantity
						if quantity == "" {
							quantity = o.Quote + " (quote)"
						}
						p(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", o.ID, o.Client, o.Symbol, o.Side, o.Kind, o.Price, quantity, o.Filled, o.Status)
					}
				})
			})
		},
	}
	c.Flags().StringVar(&name, "market", "", "only this market")
	return c
}
