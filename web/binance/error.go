package binance

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"souk/exchange"
)

// Error is an answer that a request was not carried out, as clients read it.
type Error struct {
	Status int    `json:"-"`
	Code   int    `json:"code"`
	Text   string `json:"msg"`
	Data   any    `json:"data,omitempty"`
	retry  time.Duration
}

// Error is the text.
func (e *Error) Error() string { return e.Text }

// Codes of errors, as the dialect has them (N-60).
const (
	codeUnknown       = -1000
	codeUnavailable   = -1001
	codeTooMany       = -1003
	codeUndecided     = -1007
	codeBusy          = -1008
	codeFilter        = -1013
	codeOrderRate     = -1015
	codeUnsupported   = -1020
	codeClock         = -1021
	codeSignature     = -1022
	codeChars         = -1100
	codeDuplicate     = -1101
	codeMissing       = -1102
	codeUnread        = -1104
	codeEmpty         = -1105
	codeNotRequired   = -1106
	codePrecision     = -1111
	codeTIF           = -1115
	codeType          = -1116
	codeSide          = -1117
	codeInterval      = -1120
	codeSymbol        = -1121
	codeListenKey     = -1125
	codeCombination   = -1128
	codeInvalid       = -1130
	codePlace         = -2010
	codeCancel        = -2011
	codeNoOrder       = -2013
	codeKeyFormat     = -2014
	codeKey           = -2015
	codeReplacePartly = -2021
	codeReplaceFailed = -2022
	codeArchived      = -2026
	codeAmend         = -2038
)

func bad(code int, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Text: fmt.Sprintf(format, args...)}
}

func missing(name string) *Error {
	return bad(codeMissing, "Mandatory parameter '%s' was not sent, was empty/null, or malformed.", name)
}

func notRequired(name string) *Error {
	return bad(codeNotRequired, "Parameter '%s' sent when not required.", name)
}

func illegal(name, legal string) *Error {
	return bad(codeChars, "Illegal characters found in parameter '%s'; legal range is '%s'.", name, legal)
}

func invalid(name string) *Error {
	return bad(codeInvalid, "Data sent for parameter '%s' is not valid.", name)
}

func noKey() *Error {
	return &Error{Status: http.StatusUnauthorized, Code: codeKey, Text: "Invalid API-key, IP, or permissions for action."}
}

// notPermitted is for a market in which the key may not trade. -2015 would say that the key is
// of no use, after which clients give up.
func notPermitted() *Error {
	return bad(codePlace, "This symbol is not permitted for this account.")
}

func unavailable() *Error {
	return &Error{Status: http.StatusServiceUnavailable, Code: codeUnavailable, Text: "Internal error; unable to process your request. Please try again."}
}

// filters are the codes of the ledger that break what exchangeInfo calls a filter.
var filters = map[exchange.Code]string{ //nolint:gochecknoglobals // a table
	exchange.BadTick: "PRICE_FILTER", exchange.BadLot: "LOT_SIZE", exchange.BelowMinimum: "NOTIONAL", exchange.OutsideBand: "PERCENT_PRICE",
	exchange.OrderOverflow: "LOT_SIZE", exchange.TooManyOrders: "MAX_NUM_ORDERS", exchange.BadTrigger: "PRICE_FILTER",
	exchange.BookFull: "EXCHANGE_MAX_NUM_ORDERS",
}

// failure makes the answer of what an Account said. operation is the code of a refusal
// that has no better one: codePlace, codeCancel or codeAmend.
func (h *Handler) failure(err error, operation int) *Error {
	var e *Error
	var refusal *Refusal
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &refusal):
		return refused(refusal.Code, operation)
	case errors.Is(err, ErrNoOrder) && operation == codeNoOrder:
		return bad(codeNoOrder, "Order does not exist.")
	case errors.Is(err, ErrNoOrder), errors.Is(err, ErrNotLive):
		return bad(operation, "Unknown order sent.")
	case errors.Is(err, ErrDuplicate):
		return bad(codePlace, "Duplicate order sent.")
	case errors.Is(err, ErrUndecided):
		return &Error{Status: http.StatusGatewayTimeout, Code: codeUndecided, Text: "Timeout waiting for response from backend server. Send status unknown; execution status unknown."}
	case errors.Is(err, ErrUnavailable):
		return unavailable()
	case errors.Is(err, ErrNotKept):
		return bad(codeArchived, "Order was canceled or expired with no executed qty over 90 days ago and has been archived.")
	}
	return &Error{Status: http.StatusInternalServerError, Code: codeUnknown, Text: "An unknown error occurred while processing the request."}
}

// refused makes the answer of a receipt.
func refused(code exchange.Code, operation int) *Error {
	if filter, ok := filters[code]; ok {
		return bad(codeFilter, "Filter failure: %s", filter)
	}
	switch code { //nolint:exhaustive // the others have their name
	case exchange.Insufficient, exchange.FeeUnpaid:
		return bad(codePlace, "Account has insufficient balance for requested action.")
	case exchange.MarketPaused:
		return bad(codeFilter, "Market is closed.")
	case exchange.DuplicateClient:
		return bad(codePlace, "Duplicate order sent.")
	case exchange.UnknownOrder, exchange.Withdrawn:
		return bad(operation, "Unknown order sent.")
	case exchange.UnknownMarket:
		return bad(codeSymbol, "Invalid symbol.")
	case exchange.AccountBusy, exchange.BlockBusy:
		return &Error{Status: http.StatusServiceUnavailable, Code: codeBusy, Text: "Server is currently overloaded with other requests. Please try again in a few minutes."}
	case exchange.OutOfScope: // the gate's key is limited to other markets
		return notPermitted()
	case exchange.NotEntitled, exchange.KeyRevoked, exchange.UnknownKey, exchange.UnknownAccount, exchange.BadSignature:
		return noKey()
	}
	return bad(operation, "Order was refused: %s.", code)
}
