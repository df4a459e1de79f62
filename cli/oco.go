package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/exchange"
	"souk/exchange/market"
)

// ocoFlags describe the stop leg of two orders of which one cancels the other.
type ocoFlags struct {
	trigger, price, client string
	limit                  bool
}

func (f *ocoFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.trigger, "oco-trigger", "", "price that sets off a stop order of the same size, which the limit order cancels and is cancelled by")
	c.Flags().StringVar(&f.price, "oco-price", "", "worst price of that stop order")
	c.Flags().BoolVar(&f.limit, "oco-limit", false, "make it a stop-limit order with --oco-price as its limit")
	c.Flags().StringVar(&f.client, "oco-client", "", "your own order id for that stop order")
}

func (f *ocoFlags) given() bool { return f.trigger != "" }

// shape checks what can be told without a server.
func (f *ocoFlags) shape(order *placeFlags, kind market.Kind, tif market.TIF) error {
	switch {
	case !f.given() && (f.price != "" || f.limit || f.client != ""):
		return errors.New("--oco-trigger is missing: it sets the stop order off")
	case !f.given():
		return nil
	case f.price == "":
		return errors.New("--oco-price is missing: every order has a worst price")
	case kind != market.LimitOrder || tif > market.GTD || order.post || order.quote != "":
		return errors.New("--oco-trigger goes with a limit order by quantity, --tif gtc or gtd, without --post-only")
	case !validClient(f.client):
		return fmt.Errorf("--oco-client %q: at most %d letters, digits and signs, without spaces", f.client, exchange.MaxClient)
	}
	return nil
}

// placePair places a limit order and the stop order that goes with it.
func (a *app) placePair(ctx context.Context, s *session, who *api.Signer, f *ocoFlags, limit *exchange.Place, pair *api.Pair) error {
	b := &exchange.PlaceOCO{
		Market: limit.Market, Side: limit.Side, Quantity: limit.Quantity, Limit: limit.Price, Expiry: limit.Expiry,
		StopLimit: f.limit, LimitClient: limit.Client, StopClient: f.client,
	}
	var err error
	if b.Trigger, err = pair.ParsePrice(f.trigger); err != nil {
		return usageError{fmt.Errorf("--oco-trigger: %w", err)}
	}
	if b.Price, err = pair.ParsePrice(f.price); err != nil {
		return usageError{fmt.Errorf("--oco-price: %w", err)}
	}
	r, err := a.do(ctx, s, who, b)
	if err != nil {
		return err
	}
	// The receipt is that of the limit leg; the stop leg has the next number.
	v := newPlaced(&r, pair, b.Side)
	v.Other = r.Number + 1
	status, why := api.Outcome(limit, &r)
	v.Status, v.Reason = outcomeOf(status, why)
	return a.show(&v, func(w io.Writer) {
		p(w, "order %d, limit: %s%s\n", r.Number, traded(&r, pair, b.Side), becomes(status, why, pair, limit))
		if r.Filled == 0 && status != market.Gone {
			p(w, "order %d, stop: it waits for %s; one cancels the other\n", v.Other, pair.FormatPrice(b.Trigger))
		} else {
			p(w, "order %d, stop: cancelled, for the limit order has traded or gone\n", v.Other)
		}
		p(w, "command %s, block %d\n", v.ID, v.Height)
	})
}
