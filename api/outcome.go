package api

import (
	"strconv"

	"souk/exchange"
	"souk/exchange/market"
)

var reasonNames = []string{
	market.Filled: "filled", market.Cancelled: "cancelled", market.Withdrawn: "withdrawn", market.Amended: "amended",
	market.TimerFired: "timer", market.Expired: "expired", market.Remainder: "remainder", market.Killed: "killed",
	market.WouldTake: "would-take", market.SelfTrade: "self-trade", market.SelfCross: "self-cross", market.Linked: "linked",
}

// ReasonName is the name of why an order was closed.
func ReasonName(r market.Reason) string { return name(reasonNames, r) }

// ParseReason reads the name of why an order was closed.
func ParseReason(s string) (market.Reason, error) {
	return number[market.Reason](reasonNames, "reason", s)
}

// ParseStatus reads the name of an order's status.
func ParseStatus(s string) (market.Status, error) {
	return number[market.Status](statusNames, "status", s)
}

// Outcome is what became of a new order in the block that placed it: its status and,
// if it is gone, why. A receipt does not state the reason; it follows from what was
// asked for and what was filled. Of an order that another new order of its owner
// in the same block crossed (market.SelfCross), the reason is that of its time in force.
func Outcome(placed *exchange.Place, r *exchange.Receipt) (market.Status, market.Reason) {
	switch {
	case r.Code != exchange.OK || r.Status != market.Gone:
		return r.Status, 0
	case placed.Quantity != 0 && r.Filled >= placed.Quantity, placed.Quote != 0 && r.Cost >= placed.Quote:
		return market.Gone, market.Filled
	case placed.TIF == market.FOK:
		return market.Gone, market.Killed
	case placed.PostOnly:
		return market.Gone, market.WouldTake
	case placed.TIF == market.IOC || placed.Quote != 0:
		return market.Gone, market.Remainder
	}
	return market.Gone, market.SelfCross
}

// Cursor is Page.Before for what happened in a block before a trade, and in earlier blocks.
func Cursor(height, ms, trade uint64) string {
	return strconv.FormatUint(height, 10) + "-" + strconv.FormatUint(ms, 10) + "-" + strconv.FormatUint(trade, 10)
}
