package cli

import (
	"cmp"
	"context"
	"errors"
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
	l, err := listed(ctx, s, name)
	if nameless(err) {
		var all []string
		if assets, err := s.client.Assets(ctx); err == nil {
			for i := range assets.Assets {
				all = append(all, assets.Assets[i].Symbol)
			}
		}
		return 0, 0, fmt.Errorf("no asset is called %s%s", name, cmp.Or(didYouMean(name, all), "; see souk market"))
	}
	if err != nil {
		return 0, 0, err
	}
	n, err := l.Parse(amount)
	return l.ID, n, err
}

// pairOf is the market that a user names, proven: what is signed is counted in its units.
func pairOf(ctx context.Context, s *session, name string) (api.Pair, error) {
	pair, err := provenPair(ctx, s, name)
	if errors.Is(err, api.ErrUnproven) {
		if _, said := s.client.Pair(ctx, name); nameless(said) {
			err = said
		}
	}
	return pair, meant(ctx, s, name, err)
}

// shownPair is the market that a user names, as a server says: to look at.
func shownPair(ctx context.Context, s *session, name string) (api.Pair, error) {
	pair, err := s.client.Pair(ctx, name)
	return pair, meant(ctx, s, name, err)
}

// meant says which market a user may have meant who named none.
func meant(ctx context.Context, s *session, name string, err error) error {
	if !nameless(err) {
		return err
	}
	if meant := similar(ctx, s, name); meant != "" {
		return fmt.Errorf("no market is called %s; did you mean %s?", name, meant)
	}
	if errors.Is(err, api.ErrUnlisted) {
		return fmt.Errorf("no market is called %s; souk market lists them", name)
	}
	return err
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
	c.AddCommand(a.orderPlace(), a.orderAmend(), a.orderCancel(), a.orderCancelAll(), a.orderList(), a.orderShow())
	return c
}

// placeFlags are the flags of order place.
type placeFlags struct {
	kind, tif, price, quote, trigger, client string
	post                                     bool
	expires                                  length
	oco                                      ocoFlags
}

func (a *app) orderPlace() *cobra.Command {
	var f placeFlags
	c := &cobra.Command{
		Use: "place MARKET buy|sell [QUANTITY]", Short: "Place an order", Args: cobra.RangeArgs(2, 3),
		Example: `  souk order place BTC-EUR buy 0.5 --price 50000
  souk order place BTC-EUR sell 0.5 --kind market --price 49000
  souk order place BTC-EUR buy --kind market --quote 1000 --price 51000
  souk order place BTC-EUR sell 0.5 --kind stop --trigger 45000 --price 44000
  souk order place BTC-EUR sell 0.5 --price 60000 --oco-trigger 45000 --oco-price 44000`,
		Long: `Place an order. Every order has a worst price: --price is the limit of limit orders, and
the worst price that a market or stop order accepts. The answer says what became of it: resting in the
book, waiting for its trigger, filled, or cancelled and why (-o json: status and reason).

With --oco-trigger it is a limit order and a stop order of which one cancels the other: when the limit order
trades, or the price comes to --oco-trigger, the other one goes.`,
		RunE: func(c *cobra.Command, args []string) error {
			if _, _, err := f.shape(args[1:]); err != nil { // before anything is asked
				return usageError{err}
			}
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				pair, err := pairOf(ctx, s, args[0])
				if err != nil {
					return err
				}
				body, err := f.body(&pair, args[1:], time.Now())
				if err != nil {
					return err
				}
				if f.oco.given() {
					return a.placePair(ctx, s, who, &f.oco, body, &pair)
				}
				r, err := a.do(ctx, s, who, body)
				if err != nil {
					return err
				}
				return a.showPlaced(&r, &pair, body)
			})
		},
	}
	c.Flags().StringVar(&f.kind, "kind", "limit", "limit, market, stop, stop-limit, take-profit or take-profit-limit")
	c.Flags().StringVar(&f.tif, "tif", "", "time in force: gtc, gtd, ioc or fok (default: gtc, gtd with --expires, ioc for market orders)")
	c.Flags().StringVar(&f.price, "price", "", "limit or worst price")
	c.Flags().StringVar(&f.quote, "quote", "", "amount of the quote asset instead of a quantity, market orders only")
	c.Flags().StringVar(&f.trigger, "trigger", "", "price that sets off a stop or take-profit")
	c.Flags().StringVar(&f.client, "client", "", "your own order id, at most 36 characters")
	c.Flags().BoolVar(&f.post, "post-only", false, "cancel the order rather than take")
	c.Flags().Var(&f.expires, "expires", "time after which the order ends, such as 90s, 12h or 30d")
	f.oco.add(c)
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
	if b.Order, b.TIF, err = f.shape(args); err != nil {
		return nil, usageError{err}
	}
	if f.expires != 0 {
		b.Expiry = f.expires.from(now)
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

// shape checks what flags can be told apart without a server, by their names.
func (f *placeFlags) shape(args []string) (market.Kind, market.TIF, error) {
	if _, err := api.ParseSide(args[0]); err != nil {
		return 0, 0, err
	}
	kind, err := api.ParseKind(f.kind)
	if err != nil {
		return 0, 0, err
	}
	tif, err := f.timeInForce(kind)
	if err != nil {
		return 0, 0, err
	}
	if err := f.oco.shape(f, kind, tif); err != nil {
		return 0, 0, err
	}
	stop := kind != market.LimitOrder && kind != market.MarketOrder
	atMarket := kind == market.MarketOrder || kind == market.StopOrder || kind == market.TakeProfitOrder
	switch {
	case f.price == "":
		err = errors.New("--price is missing: every order has a worst price")
	case stop && f.trigger == "":
		err = fmt.Errorf("--trigger is missing: a %s order waits for that price", f.kind)
	case !stop && f.trigger != "":
		err = fmt.Errorf("--trigger goes with --kind stop, stop-limit, take-profit or take-profit-limit, not with %s", f.kind)
	case tif == market.GTD && f.expires == 0:
		err = errors.New("--expires is missing: with --tif gtd say when the order ends, such as --expires 12h")
	case tif != market.GTD && f.expires != 0:
		err = fmt.Errorf("--expires goes with --tif gtd, not with %s", f.tif)
	case f.post && (tif == market.IOC || tif == market.FOK || atMarket):
		err = errors.New("--post-only goes with limits that may rest: --tif gtc or gtd, and no market, stop or take-profit order")
	case kind == market.MarketOrder && tif < market.IOC:
		err = fmt.Errorf("--tif %s does not go with --kind market: use ioc or fok", f.tif)
	case stop && atMarket && tif > market.GTD:
		err = fmt.Errorf("--tif %s does not go with --kind %s: use gtc or gtd", f.tif, f.kind)
	case stop && tif == market.FOK:
		err = fmt.Errorf("--tif fok does not go with --kind %s", f.kind)
	case f.quote != "" && (kind != market.MarketOrder || tif != market.IOC):
		err = errors.New("--quote goes with --kind market and --tif ioc")
	case (len(args) > 1) == (f.quote != ""):
		err = errors.New("give a quantity, or --quote with an amount of the quote asset")
	}
	return kind, tif, err
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
		Long: `Change the whole quantity of a limit order, the filled part included, and its price. A smaller quantity at
the same price keeps the order's number and its place in line; anything else makes it a new order with a
new number. Name the order by its number, or by client: and your own order id.`,
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
				old, err := ordered(ctx, s, who, &pair, t)
				if err != nil {
					return err
				}
				r, err := a.do(ctx, s, who, body)
				if err != nil {
					return err
				}
				return a.showAmended(&r, &pair, body, old.ID)
			})
		},
	}
	c.Flags().StringVar(&price, "price", "", "new price; without it only the quantity changes")
	return c
}

// showAmended says whether an order was reduced in its place, or became another one.
func (a *app) showAmended(r *exchange.Receipt, pair *api.Pair, body *exchange.Amend, old market.OrderID) error {
	v := struct {
		api.Receipt
		Order    uint64 `json:"order"`
		Replaced uint64 `json:"replaced,omitempty"`
		Market   string `json:"market"`
		Filled   string `json:"filled"`
		Status   string `json:"status"`
		Reason   string `json:"reason,omitempty"`
	}{Receipt: api.ReceiptValue(r), Order: r.Number, Market: pair.Symbol(), Filled: pair.FormatBase(r.Filled)}
	reduced := market.OrderID(r.Number) == old
	if !reduced {
		v.Replaced = uint64(old)
	}
	text := fmt.Sprintf("order %d: changed; it has lost its place in line, filled %s %s", r.Number, v.Filled, pair.BaseSymbol)
	switch {
	case reduced:
		v.Status, text = api.StatusName(market.Resting), fmt.Sprintf("order %d: reduced to %s %s; it keeps its place in line", r.Number, pair.FormatBase(body.Quantity), pair.BaseSymbol)
	case r.Status != market.Gone:
		v.Status = api.StatusName(r.Status)
	case r.Filled > 0:
		v.Status, text = statusFilled, text+"; nothing is left open"
	default:
		v.Status, v.Reason = statusCancelled, api.ReasonName(market.WouldTake)
		text += "; cancelled: it is post-only and would have taken, or it crossed another new order of yours"
	}
	return a.show(&v, func(w io.Writer) {
		p(w, "%s\n", text)
		if !reduced && old != 0 {
			p(w, "it was order %d before\n", old)
		}
		p(w, "command %s, block %d\n", v.ID, v.Height)
	})
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

// dash stands in tables for what is not there.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// until is when an order ends by itself.
func until(ms uint64) string {
	if ms == 0 {
		return "-"
	}
	return when(ms)
}

// sizeOf is how much an order is for.
func sizeOf(o *api.Order) string {
	if o.Quantity == "" {
		return o.Quote + " (quote)"
	}
	return o.Quantity
}

func (a *app) orderList() *cobra.Command {
	var name string
	var gone bool
	c := &cobra.Command{
		Use: "list", Short: "List your live orders", Args: cobra.NoArgs,
		Long: `List your live orders. With --all also orders that are gone, as their fills tell of them: servers keep no
order that is not live, so one that traded nothing is not among them.`,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				orders, err := s.client.Orders(ctx, who, name)
				if err != nil {
					return err
				}
				value := struct {
					*api.Orders
					Gone []past `json:"gone,omitempty"`
				}{Orders: orders}
				if gone {
					all, err := pastOrders(ctx, s, who, api.Page{Market: name})
					if err != nil {
						return err
					}
					value.Gone = goneOf(all, orders)
				}
				return a.show(value, func(w io.Writer) {
					p(w, "order\tclient\tmarket\tside\tkind\tprice\ttrigger\tquantity\tfilled\tstatus\texpires\n")
					for i := range orders.Orders {
						o := &orders.Orders[i]
						p(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
							o.ID, dash(o.Client), o.Symbol, o.Side, o.Kind, o.Price, dash(o.Trigger), sizeOf(o), o.Filled, o.Status, until(o.Expiry))
					}
					for i := range value.Gone {
						o := &value.Gone[i]
						p(w, "%d\t-\t%s\t%s\t-\t-\t-\t-\t%s\tgone\t-\n", o.ID, o.Market, o.Side, o.Filled)
					}
				})
			})
		},
	}
	c.Flags().BoolVar(&gone, "all", false, "also orders that are gone, as far as fills tell of them")
	c.Flags().StringVar(&name, "market", "", "only this market")
	return c
}
