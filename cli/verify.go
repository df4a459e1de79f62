package cli

import (
	"context"
	"encoding/hex"
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

func (a *app) verifyCommand() *cobra.Command {
	var checkpoint string
	c := &cobra.Command{
		Use:   "verify [balance|order ID|market NAME|asset SYMBOL|receipt COMMAND|trade MARKET ID|address ASSET ADDRESS|series ASSET NUMBER]",
		Short: "Check a fact against headers that more than two thirds of the members signed", Args: cobra.MaximumNArgs(3),
		Long: `Check a fact with proofs instead of belief: the founding contract has the id you pinned, the
headers are signed by the members that the contract and later votes name, a second server confirms them,
and the fact stands under the state root of a header. Without arguments: your balance. With
address: that a deposit address is derived from the bank's keys, and yours.`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"balance"}
			}
			return a.with(c.Context(), func(ctx context.Context, s *session) error {
				return a.verify(ctx, s, checkpoint, args)
			})
		},
	}
	c.Flags().StringVar(&checkpoint, "checkpoint", "", "HEIGHT:HASH of a header that two members confirmed to you, when the founding is older than 14 days")
	return c
}

func (a *app) verify(ctx context.Context, s *session, checkpoint string, args []string) error {
	if !s.pinned {
		return errors.New("nothing to trust: give --id, or make a purse with souk account new --server URL --id ID")
	}
	s.checkpoint = checkpoint
	v, err := s.proofs(ctx)
	if err != nil {
		return err
	}
	value, proven, err := a.verified(ctx, s, v, args)
	if err != nil {
		for name, why := range s.light.Faulty() {
			p(a.err, "%s sent what does not verify: %s\n", name, why)
		}
		return err
	}
	age := max(time.Since(time.UnixMilli(int64(proven.Time))), 0).Truncate(time.Second)
	return a.show(map[string]any{
		"proven": value.fields, "header": proven.Height, "header_time": proven.Time, "age_ms": age.Milliseconds(),
	}, func(w io.Writer) {
		for _, line := range value.lines {
			p(w, "%s\t%s\n", line[0], line[1])
		}
		p(w, "proven by the signed header of block %d, of %s: %s ago\n", proven.Height, when(proven.Time), age)
	})
}

// facts are what was proven: lines for people, fields for programs.
type facts struct {
	lines  [][2]string
	fields map[string]any
}

// add adds a fact that is one text for both.
func (f *facts) add(name, value string) {
	f.line(name, value, strings.ReplaceAll(name, " ", "_"), value)
}

// line adds a fact that programs read otherwise than people.
func (f *facts) line(name, text, field string, value any) {
	f.lines = append(f.lines, [2]string{name, text})
	f.set(field, value)
}

func (f *facts) set(field string, value any) {
	if f.fields == nil {
		f.fields = map[string]any{}
	}
	f.fields[field] = value
}

// verified asks, and answers what was proven.
func (a *app) verified(ctx context.Context, s *session, v *api.Verifier, args []string) (facts, api.Proven, error) {
	need := map[string]int{"balance": 1, "order": 2, "market": 2, "asset": 2, "receipt": 2, "trade": 3, "address": 3, "series": 3}
	if n, ok := need[args[0]]; !ok || n != len(args) {
		return facts{}, api.Proven{}, usageError{fmt.Errorf("verify %s: see souk verify --help", args[0])}
	}
	var f facts
	switch args[0] {
	case "market":
		pair, err := pairOf(ctx, s, args[1])
		if err != nil {
			return f, api.Proven{}, err
		}
		m, proven, err := s.client.VerifiedMarket(ctx, v, pair.ID)
		f.add("market", pair.Symbol())
		f.line("number", strconv.FormatUint(uint64(m.ID), 10), "number", m.ID)
		if m.Last != 0 {
			f.add("last price", pair.FormatPrice(m.Last))
		}
		f.add("tick", pair.FormatPrice(m.Tick))
		f.line("maker fee", percent(m.MakerPPM), "maker_ppm", m.MakerPPM)
		f.line("taker fee", percent(m.TakerPPM), "taker_ppm", m.TakerPPM)
		f.line("paused", strconv.FormatBool(m.Paused), "paused", m.Paused)
		return f, proven, err
	case "asset":
		id, _, err := money(ctx, s, "0", args[1])
		if err != nil {
			return f, api.Proven{}, err
		}
		x, proven, err := s.client.VerifiedAsset(ctx, v, id)
		f.add("asset", x.Symbol)
		f.line("number", strconv.FormatUint(uint64(x.ID), 10), "number", x.ID)
		f.line("decimals", strconv.Itoa(int(x.Decimals)), "decimals", x.Decimals)
		f.add("supply", asset.Format(x.Supply, x.Decimals))
		f.add("issuer", x.Issuer.String())
		f.add("contract", hex.EncodeToString(x.Contract[:]))
		return f, proven, err
	case "receipt":
		return verifiedReceipt(ctx, s, v, args[1])
	case "trade":
		return verifiedTrade(ctx, s, v, args)
	case "series":
		return verifiedSeries(ctx, s, v, args)
	}
	return a.verifiedOwn(ctx, s, v, args)
}

// provenFills is how many trades of a receipt are proven one by one.
const provenFills = 50

func verifiedReceipt(ctx context.Context, s *session, v *api.Verifier, arg string) (f facts, proven api.Proven, err error) {
	id, err := api.ParseCommandID(arg)
	if err != nil {
		return f, proven, usageError{err}
	}
	fate, err := s.client.Fate(ctx, id)
	if err != nil {
		return f, proven, err
	}
	if fate.Fate != api.FateCommitted && fate.Fate != api.FateElsewhere {
		return f, proven, fmt.Errorf("no block has executed command %s, as far as the server knows: it is %s there; check the id, or ask another server with --server", arg, fate.Fate)
	}
	r, proven, err := s.client.VerifiedReceipt(ctx, v, id)
	if err != nil {
		return f, proven, err
	}
	f.add("command", arg)
	f.line("result", r.Code.String(), "result", r.Code.String())
	f.set("code", r.Code)
	f.line("block", strconv.FormatUint(r.Height, 10), "block", r.Height)
	f.line("time", when(r.Time), "time", r.Time)
	if r.Number != 0 {
		f.line("number", strconv.FormatUint(r.Number, 10), "number", r.Number)
	}
	if r.Filled == 0 && r.Status == market.Gone {
		return f, proven, nil
	}
	// Which market the order is in, a receipt does not say: its trades do.
	trades, pair, err := tradesOf(ctx, s, &r)
	if err != nil {
		return f, proven, err
	}
	side := market.Side(0)
	list, sum, seen := []map[string]any{}, asset.Amount(0), map[market.TradeID]bool{}
	for i := range trades[:min(len(trades), provenFills)] {
		t, _, err := s.client.VerifiedTrade(ctx, v, &trades[i])
		if err != nil {
			return f, proven, err
		}
		if uint64(t.Taker) != r.Number && uint64(t.Maker) != r.Number || t.Height != r.Height || seen[t.ID] || t.Quantity > r.Filled-sum {
			return f, proven, fmt.Errorf("trade %d, which a server lists for it, is not one of order %d in that block: %w", t.ID, r.Number, api.ErrProof)
		}
		sum, seen[t.ID] = sum+t.Quantity, true
		side = t.Taking
		if uint64(t.Taker) != r.Number {
			side = market.Buy + market.Sell - t.Taking
		}
		list = append(list, map[string]any{"trade": t.ID, "quantity": pair.FormatBase(t.Quantity), "price": pair.FormatPrice(t.Price)})
		f.lines = append(f.lines, [2]string{"fill", fmt.Sprintf("%s %s at %s, trade %d", pair.FormatBase(t.Quantity), pair.BaseSymbol, pair.FormatPrice(t.Price), t.ID)})
	}
	if sum > 0 && sum < r.Filled {
		f.lines = append(f.lines, [2]string{"fill", fmt.Sprintf("and %s %s more, not shown one by one", pair.FormatBase(r.Filled-sum), pair.BaseSymbol)})
	}
	if side != 0 {
		f.set("market", pair.Symbol())
		of := pair.BaseSymbol
		if side == market.Sell {
			of = pair.QuoteSymbol
		}
		filled, value, fee := pair.FormatBase(r.Filled), pair.FormatQuote(r.Cost), pair.FormatSide(side, r.Fee)
		f.line("filled", filled+" "+pair.BaseSymbol, "filled", filled)
		f.line("value", value+" "+pair.QuoteSymbol, "value", value)
		f.line("fee", fee+" "+of, "fee", fee)
	}
	f.set("fills", list)
	f.set("filled_units", strconv.FormatUint(uint64(r.Filled), 10))
	status := api.StatusName(r.Status)
	if r.Status == market.Gone {
		f.line("status", "nothing is left open", "status", status)
	} else {
		f.add("status", status)
	}
	return f, proven, nil
}

// tradesOf finds the trades of the order that a command placed, in the block that
// placed it, among all trades of that block. They are what a server says.
func tradesOf(ctx context.Context, s *session, r *exchange.Receipt) ([]api.Trade, api.Pair, error) {
	if r.Filled == 0 {
		return nil, api.Pair{}, nil
	}
	markets, err := s.client.Markets(ctx)
	if err != nil {
		return nil, api.Pair{}, err
	}
	for i := range markets.Markets {
		var found []api.Trade
		page := api.Page{Market: markets.Markets[i].Symbol, Limit: api.MaxPage, Before: api.Cursor(r.Height, r.Time, 1<<53-1)}
		for more := true; more; {
			list, err := s.client.Trades(ctx, page)
			if err != nil {
				return nil, api.Pair{}, err
			}
			page.Before, more = list.Next, list.Next != ""
			for k := range list.Trades {
				t := &list.Trades[k]
				if more = more && t.Height == r.Height; t.Height == r.Height && (t.Maker == r.Number || t.Taker == r.Number) {
					found = append(found, *t)
				}
			}
		}
		if len(found) > 0 {
			pair, err := provenPair(ctx, s, strconv.FormatUint(uint64(markets.Markets[i].ID), 10))
			for k := range found { // so that it is proven too
				found[k].Market = uint32(pair.ID)
			}
			return found, pair, err
		}
	}
	return nil, api.Pair{}, nil
}

func verifiedTrade(ctx context.Context, s *session, v *api.Verifier, args []string) (f facts, proven api.Proven, err error) {
	pair, err := pairOf(ctx, s, args[1])
	if err != nil {
		return f, proven, err
	}
	id, err := strconv.ParseUint(args[2], 10, 64)
	if err != nil {
		return f, proven, usageError{fmt.Errorf("%q is no trade number", args[2])}
	}
	t, proven, err := s.client.VerifiedTrade(ctx, v, &api.Trade{ID: id, Market: uint32(pair.ID)})
	if api.IsNotFound(err) {
		return f, proven, fmt.Errorf("the server finds no trade %d of %s among the newest; souk trades %s lists those that it keeps. Is it one of another market? Another server may keep more (--server)", id, pair.Symbol(), pair.Symbol())
	}
	if err != nil {
		return f, proven, err
	}
	f.line("trade", args[2], "trade", id)
	f.add("market", pair.Symbol())
	f.add("price", pair.FormatPrice(t.Price))
	f.add("quantity", pair.FormatBase(t.Quantity))
	f.line("time", when(t.Time), "time", t.Time)
	return f, proven, nil
}

// verifiedOwn is what only the account's key may ask for.
func (a *app) verifiedOwn(ctx context.Context, outer *session, v *api.Verifier, args []string) (f facts, proven api.Proven, err error) {
	err = a.signed(ctx, func(ctx context.Context, s *session, who *api.Signer) error {
		s.trust = outer.trust
		switch args[0] {
		case "order":
			f, proven, err = verifiedOrder(ctx, s, v, who, args[1])
			return err
		case "address":
			f, proven, err = verifiedAddress(ctx, s, who, args)
			return err
		}
		acc, at, err := s.client.VerifiedAccount(ctx, v, who)
		proven = at
		f.set("address", who.Account.String())
		f.set("exists", err == nil)
		if errors.Is(err, api.ErrAbsent) {
			f.lines, err = [][2]string{{"account", "does not exist"}}, nil
		}
		if err != nil {
			return err
		}
		balances := []map[string]string{}
		for _, b := range acc.Balances {
			x, err := listed(ctx, s, strconv.FormatUint(uint64(b.Asset), 10))
			if err != nil {
				return err
			}
			available, held := asset.Format(b.Available, x.Decimals), asset.Format(b.Held, x.Decimals)
			f.lines = append(f.lines, [2]string{x.Symbol, fmt.Sprintf("%s available, %s held", available, held)})
			balances = append(balances, map[string]string{"symbol": x.Symbol, "available": available, "held": held})
		}
		f.set("balances", balances)
		return nil
	})
	return f, proven, err
}

func verifiedOrder(ctx context.Context, s *session, v *api.Verifier, who *api.Signer, arg string) (f facts, proven api.Proven, err error) {
	id, err := strconv.ParseUint(arg, 10, 64)
	if err != nil {
		return f, proven, usageError{fmt.Errorf("%q is no order number", arg)}
	}
	o, proven, err := s.client.VerifiedOrder(ctx, v, who, market.OrderID(id))
	if err != nil {
		return f, proven, err
	}
	pair, err := provenPair(ctx, s, strconv.FormatUint(uint64(o.Market), 10))
	if err != nil {
		return f, proven, err
	}
	f.line("order", arg, "order", id)
	f.add("market", pair.Symbol())
	f.add("side", api.SideName(o.Side))
	f.add("kind", api.KindName(o.Kind))
	f.add("status", api.StatusName(o.Status))
	f.add("price", pair.FormatPrice(o.Price))
	if o.Trigger != 0 {
		f.add("trigger", pair.FormatPrice(o.Trigger))
	}
	if o.Quote != 0 {
		f.add("quote", pair.FormatQuote(o.Quote))
	} else {
		f.add("quantity", pair.FormatBase(o.Quantity))
	}
	f.add("filled", pair.FormatBase(o.Filled))
	if o.Expiry != 0 {
		f.line("expires", when(o.Expiry), "expiry", o.Expiry)
	}
	return f, proven, nil
}
