package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/asset"
	"souk/exchange/market"
	"souk/node"
	"souk/purse"
)

func (a *app) verifyCommand() *cobra.Command {
	var checkpoint string
	c := &cobra.Command{
		Use:   "verify [balance|order ID|market NAME|asset SYMBOL|receipt COMMAND|trade MARKET ID]",
		Short: "Check a fact against headers that more than two thirds of the members signed", Args: cobra.MaximumNArgs(3),
		Long: `Check a fact with proofs instead of belief: the founding contract has the id you pinned, the
headers are signed by the members that the contract and later votes name, a second server confirms them,
and the fact stands under the state root of a header. Without arguments: your balance.`,
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
	saved := s.book.Checkpoint
	if checkpoint != "" {
		saved = ""
	}
	light, err := node.NewLight(ctx, s.client, node.LightOptions{Saved: saved, Checkpoint: checkpoint})
	if err != nil {
		return err
	}
	v := api.NewVerifier(light)
	value, proven, err := a.verified(ctx, s, v, args)
	if err != nil {
		for name, why := range light.Faulty() {
			p(a.err, "%s sent what does not verify: %s\n", name, why)
		}
		return err
	}
	if a.id == "" {
		saved, err := light.Save()
		if err == nil {
			err = s.note(func(b *purse.Book) { b.Checkpoint = saved })
		}
		if err != nil {
			return err
		}
	}
	return a.show(map[string]any{"proven": value, "header": proven.Height, "header_time": proven.Time}, func(w io.Writer) {
		for _, line := range value {
			p(w, "%s\t%s\n", line.Name, line.Value)
		}
		p(w, "proven by the signed header of block %d\n", proven.Height)
	})
}

// fact is one line of what was proven.
type fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// verified asks, and answers what was proven.
func (a *app) verified(ctx context.Context, s *session, v *api.Verifier, args []string) ([]fact, api.Proven, error) {
	need := map[string]int{"balance": 1, "order": 2, "market": 2, "asset": 2, "receipt": 2, "trade": 3}
	if n, ok := need[args[0]]; !ok || n != len(args) {
		return nil, api.Proven{}, usageError{fmt.Errorf("verify %s: see souk verify --help", args[0])}
	}
	switch args[0] {
	case "market":
		pair, err := pairOf(ctx, s, args[1])
		if err != nil {
			return nil, api.Proven{}, err
		}
		m, proven, err := s.client.VerifiedMarket(ctx, v, pair.ID)
		return []fact{
			{"market", pair.Symbol()},
			{"last price", pair.FormatPrice(m.Last)},
			{"tick", pair.FormatPrice(m.Tick)},
			{"maker fee", percent(m.MakerPPM)},
			{"taker fee", percent(m.TakerPPM)},
			{"paused", strconv.FormatBool(m.Paused)},
		}, proven, err
	case "asset":
		id, _, err := money(ctx, s, "0", args[1])
		if err != nil {
			return nil, api.Proven{}, err
		}
		x, proven, err := s.client.VerifiedAsset(ctx, v, id)
		return []fact{
			{"asset", x.Symbol}, {"supply", asset.Format(x.Supply, x.Decimals)}, {"issuer", x.Issuer.String()},
		}, proven, err
	case "receipt":
		id, err := api.ParseCommandID(args[1])
		if err != nil {
			return nil, api.Proven{}, usageError{err}
		}
		fate, err := s.client.Fate(ctx, id)
		if err != nil {
			return nil, api.Proven{}, err
		}
		if fate.Fate != api.FateCommitted && fate.Fate != api.FateElsewhere {
			return nil, api.Proven{}, fmt.Errorf("no block has executed command %s, as far as the server knows: it is %s there; check the id, or ask another server with --server", args[1], fate.Fate)
		}
		r, proven, err := s.client.VerifiedReceipt(ctx, v, id)
		return []fact{{"command", args[1]}, {"result", r.Code.String()}, {"block", strconv.FormatUint(r.Height, 10)}}, proven, err
	case "trade":
		return verifiedTrade(ctx, s, v, args)
	}
	return a.verifiedOwn(ctx, v, args)
}

func verifiedTrade(ctx context.Context, s *session, v *api.Verifier, args []string) ([]fact, api.Proven, error) {
	pair, err := pairOf(ctx, s, args[1])
	if err != nil {
		return nil, api.Proven{}, err
	}
	id, err := strconv.ParseUint(args[2], 10, 64)
	if err != nil {
		return nil, api.Proven{}, usageError{fmt.Errorf("%q is no trade number", args[2])}
	}
	t, proven, err := s.client.VerifiedTrade(ctx, v, &api.Trade{ID: id, Market: uint32(pair.ID)})
	return []fact{
		{"trade", args[2]}, {"price", pair.FormatPrice(t.Price)}, {"quantity", pair.FormatBase(t.Quantity)}, {"time", when(t.Time)},
	}, proven, err
}

// verifiedOwn is what only the account's key may ask for.
func (a *app) verifiedOwn(ctx context.Context, v *api.Verifier, args []string) (facts []fact, proven api.Proven, err error) {
	err = a.signed(ctx, func(ctx context.Context, s *session, who *api.Signer) error {
		if args[0] == "order" {
			facts, proven, err = verifiedOrder(ctx, s, v, who, args[1])
			return err
		}
		acc, at, err := s.client.VerifiedAccount(ctx, v, who)
		proven = at
		if errors.Is(err, api.ErrAbsent) {
			facts, err = []fact{{"account", "does not exist"}}, nil
		}
		if err != nil {
			return err
		}
		for _, b := range acc.Balances {
			x, _, err := s.client.VerifiedAsset(ctx, v, b.Asset)
			if err != nil {
				return err
			}
			facts = append(facts, fact{x.Symbol, fmt.Sprintf("%s available, %s in orders",
				asset.Format(b.Available, x.Decimals), asset.Format(b.Held, x.Decimals))})
		}
		return nil
	})
	return facts, proven, err
}

func verifiedOrder(ctx context.Context, s *session, v *api.Verifier, who *api.Signer, arg string) ([]fact, api.Proven, error) {
	id, err := strconv.ParseUint(arg, 10, 64)
	if err != nil {
		return nil, api.Proven{}, usageError{fmt.Errorf("%q is no order number", arg)}
	}
	o, proven, err := s.client.VerifiedOrder(ctx, v, who, market.OrderID(id))
	if err != nil {
		return nil, proven, err
	}
	pair, err := s.client.Pair(ctx, strconv.FormatUint(uint64(o.Market), 10))
	if err != nil {
		return nil, proven, err
	}
	return []fact{
		{"order", arg},
		{"market", pair.Symbol()},
		{"side", api.SideName(o.Side)},
		{"price", pair.FormatPrice(o.Price)},
		{"quantity", pair.FormatBase(o.Quantity)},
		{"filled", pair.FormatBase(o.Filled)},
	}, proven, nil
}
