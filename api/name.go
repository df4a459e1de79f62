package api

import (
	"fmt"
	"slices"
	"strings"

	"souk/exchange/custody"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
)

// Names of enumerations in JSON and on the command line; the index is the number.
var (
	sideNames   = []string{market.Buy: "buy", market.Sell: "sell"}
	kindNames   = []string{market.LimitOrder: "limit", market.MarketOrder: "market", market.StopOrder: "stop", market.StopLimitOrder: "stop-limit", market.TakeProfitOrder: "take-profit", market.TakeProfitLimitOrder: "take-profit-limit"}
	tifNames    = []string{market.GTC: "gtc", market.GTD: "gtd", market.IOC: "ioc", market.FOK: "fok"}
	statusNames = []string{market.Gone: "gone", market.Staged: "staged", market.Resting: "resting", market.Waiting: "waiting"}
	scopeNames  = []string{"read", "trade", "transfer", "withdraw", "server"} // by bit
	actionNames = []string{
		roster.KindAddMember: "add-member", roster.KindRemoveMember: "remove-member", roster.KindReplaceMember: "replace-member",
		roster.KindSetProtocol: "set-protocol", roster.KindPauseMarket: "pause-market", roster.KindResumeMarket: "resume-market",
		roster.KindCreateMarket: "create-market", roster.KindSetMarket: "set-market", roster.KindReserveSymbol: "reserve-symbol",
		roster.KindAllowSymbol: "allow-symbol", roster.KindSpendHouse: "spend-house", roster.KindSetParams: "set-params",
		roster.KindOpenSeries: "open-series", roster.KindSetLimits: "set-limits", roster.KindHaltBanks: "halt-banks", roster.KindLiftBank: "lift-bank",
	}
	haltNames  = []string{custody.Reorganisation: "reorganisation", custody.Theft: "theft", custody.Vote: "vote", custody.Books: "books"}
	batchNames = []string{custody.Payout: "payout", custody.Sweep: "sweep", custody.Together: "together", custody.Child: "child"}
)

// SideName is the name of a side: buy or sell.
func SideName(s market.Side) string { return name(sideNames, s) }

// KindName is the name of a kind of order.
func KindName(k market.Kind) string { return name(kindNames, k) }

// TIFName is the name of a time in force.
func TIFName(t market.TIF) string { return name(tifNames, t) }

// StatusName is the name of an order's status.
func StatusName(s market.Status) string { return name(statusNames, s) }

// ActionName is the name of what a vote is on.
func ActionName(k roster.ActionKind) string { return name(actionNames, k) }

// HaltName is the name of why all banks are halted.
func HaltName(r custody.Reason) string { return name(haltNames, r) }

// BatchName is the name of what a bank's transaction is for.
func BatchName(k custody.BatchKind) string { return name(batchNames, k) }

// ParseSide reads the name of a side.
func ParseSide(s string) (market.Side, error) { return number[market.Side](sideNames, "side", s) }

// ParseKind reads the name of a kind of order.
func ParseKind(s string) (market.Kind, error) {
	return number[market.Kind](kindNames, "kind of order", s)
}

// ParseTIF reads the name of a time in force.
func ParseTIF(s string) (market.TIF, error) { return number[market.TIF](tifNames, "time in force", s) }

// ScopeNames are the names of the scopes in a set.
func ScopeNames(set ledger.Scope) []string {
	list := []string{}
	for i, n := range scopeNames {
		if set&(1<<i) != 0 {
			list = append(list, n)
		}
	}
	return list
}

// ParseScopes reads names of scopes.
func ParseScopes(list []string) (ledger.Scope, error) {
	var set ledger.Scope
	for _, n := range list {
		i := slices.Index(scopeNames, n)
		if i < 0 {
			return 0, fmt.Errorf("scope %q: use some of %s", n, strings.Join(scopeNames, ", "))
		}
		set |= 1 << i
	}
	return set, nil
}

func name[T ~uint8](names []string, v T) string {
	if int(v) < len(names) && names[v] != "" {
		return names[v]
	}
	return fmt.Sprintf("%d", v)
}

func number[T ~uint8](names []string, what, s string) (T, error) {
	if i := slices.Index(names, s); i >= 0 && s != "" {
		return T(i), nil
	}
	known := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" })
	return 0, fmt.Errorf("%s %q: use one of %s", what, s, strings.Join(known, ", "))
}
