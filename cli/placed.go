package cli

import (
	"fmt"
	"io"

	"souk/api"
	"souk/exchange"
	"souk/exchange/market"
)

// placed is a receipt of an order as programs read it. Status is always there:
// resting, waiting, filled or cancelled; Reason says why it is cancelled.
type placed struct {
	api.Receipt
	Order  uint64 `json:"order"`
	Other  uint64 `json:"other_order,omitempty"`
	Market string `json:"market"`
	Side   string `json:"side"`
	Filled string `json:"filled"`
	Value  string `json:"value"`
	Fee    string `json:"fee"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// statuses of an order that is gone.
const (
	statusFilled    = "filled"
	statusCancelled = "cancelled"
)

// outcomeOf is status and reason as programs read them.
func outcomeOf(status market.Status, why market.Reason) (string, string) {
	switch {
	case status != market.Gone:
		return api.StatusName(status), ""
	case why == market.Filled:
		return statusFilled, ""
	}
	return statusCancelled, api.ReasonName(why)
}

func newPlaced(r *exchange.Receipt, pair *api.Pair, side market.Side) placed {
	return placed{
		Receipt: api.ReceiptValue(r), Order: r.Number, Market: pair.Symbol(), Side: api.SideName(side),
		Filled: pair.FormatBase(r.Filled), Value: pair.FormatQuote(r.Cost), Fee: pair.FormatSide(side, r.Fee),
	}
}

func (a *app) showPlaced(r *exchange.Receipt, pair *api.Pair, body *exchange.Place) error {
	v := newPlaced(r, pair, body.Side)
	status, why := api.Outcome(body, r)
	v.Status, v.Reason = outcomeOf(status, why)
	return a.show(&v, func(w io.Writer) {
		p(w, "order %d: %s%s\n", r.Number, traded(r, pair, body.Side), becomes(status, why, pair, body))
		p(w, "command %s, block %d\n", v.ID, v.Height)
	})
}

// traded is what an order traded in its block.
func traded(r *exchange.Receipt, pair *api.Pair, side market.Side) string {
	text := fmt.Sprintf("filled %s %s", pair.FormatBase(r.Filled), pair.BaseSymbol)
	if r.Filled == 0 {
		return text
	}
	fee := pair.BaseSymbol
	if side == market.Sell {
		fee = pair.QuoteSymbol
	}
	return text + fmt.Sprintf(" for %s %s, fee %s %s", pair.FormatQuote(r.Cost), pair.QuoteSymbol, pair.FormatSide(side, r.Fee), fee)
}

// becomes says where an order is after its block and, if it is gone, why.
func becomes(status market.Status, why market.Reason, pair *api.Pair, body *exchange.Place) string {
	switch status {
	case market.Resting:
		return "; the rest waits in the book"
	case market.Waiting:
		return "; it waits for its trigger"
	case market.Staged, market.Gone:
	}
	better := "at " + pair.FormatPrice(body.Price) + " or better"
	switch why { //nolint:exhaustive // the others do not end an order in the block that placed it
	case market.Filled:
		return "; nothing is left open"
	case market.Killed:
		return "; cancelled: it is fill-or-kill, and could not trade whole " + better
	case market.WouldTake:
		return "; cancelled: it is post-only, and would have taken from the book"
	case market.Remainder:
		return "; the rest is cancelled: there was no more to trade with at once " + better
	case market.SelfCross:
		return "; cancelled: another new order of yours crossed it"
	}
	return ""
}
