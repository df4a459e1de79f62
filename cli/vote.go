package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/identity"
	"souk/node"
)

// voter is what all votes share.
type voter struct {
	home     string
	salt     uint32
	withdraw bool
}

func (a *app) voteCommand() *cobra.Command {
	v := &voter{}
	c := &cobra.Command{
		Use: "vote", Short: "Vote as a member: on members, markets, fees, assets and the protocol", Args: cobra.NoArgs,
		Long: `Vote with the operator key of a home. Equal proposals are one: the first member proposes, the
others send the same. More than two thirds of the members decide; the target of a removal does not count.`,
	}
	f := c.PersistentFlags()
	f.StringVar(&v.home, "home", "souk-home", "folder of the server whose operator votes")
	f.Uint32Var(&v.salt, "salt", 0, "another number for a proposal that passed a short while ago")
	f.BoolVar(&v.withdraw, "withdraw", false, "take a yes back")
	c.AddCommand(a.voteList(), a.voteAgain(v))
	for _, s := range simpleVotes {
		c.AddCommand(a.voteOn(v, s.use, s.short, s.args, s.make))
	}
	return c
}

// simpleVotes are the proposals that arguments describe.
var simpleVotes = []struct {
	use, short string
	args       int
	make       func(context.Context, *session, []string) (roster.Action, error)
}{
	{"add-member CARD", "Add a member", 1, func(_ context.Context, _ *session, args []string) (roster.Action, error) {
		card, err := readCard(args[0])
		return roster.AddMember{Card: card.Roster()}, err
	}},
	{"remove-member NUMBER", "Remove a member", 1, func(_ context.Context, _ *session, args []string) (roster.Action, error) {
		id, err := number(args[0])
		return roster.RemoveMember{Member: roster.ID(id)}, err
	}},
	{"replace-member NUMBER CARD", "Give a member a new server, as in its card", 2, func(_ context.Context, _ *session, args []string) (roster.Action, error) {
		id, err := number(args[0])
		if err != nil {
			return nil, err
		}
		card, err := readCard(args[1])
		return roster.ReplaceMember{Member: roster.ID(id), Server: card.Server, Consensus: card.Consensus, P2P: card.P2P, URL: card.URL}, err
	}},
	{"protocol VERSION HEIGHT", "Put a protocol version in force at a height", 2, func(_ context.Context, _ *session, args []string) (roster.Action, error) {
		version, err := number(args[0])
		if err != nil {
			return nil, err
		}
		height, err := strconv.ParseUint(args[1], 10, 64)
		return roster.SetProtocol{Version: version, Height: height}, err
	}},
	{"pause MARKET", "Stop a market from taking orders", 1, func(ctx context.Context, s *session, args []string) (roster.Action, error) {
		pair, err := s.client.Pair(ctx, args[0])
		return roster.PauseMarket{Market: uint32(pair.ID)}, err
	}},
	{"resume MARKET", "Let a paused market go on", 1, func(ctx context.Context, s *session, args []string) (roster.Action, error) {
		pair, err := s.client.Pair(ctx, args[0])
		return roster.ResumeMarket{Market: uint32(pair.ID)}, err
	}},
	{"fees MARKET MAKER_PPM TAKER_PPM RESERVE_PPM BAND_PPM", "Set a market's fees, in millionths, and its price band", 5, setMarket},
	{"create-market BASE QUOTE TICK LOT LEAST_VALUE REFERENCE_PRICE MAKER_PPM TAKER_PPM", "Make a market of two assets", 8, createMarket},
	{"reserve SYMBOL", "Let nobody issue a symbol", 1, func(_ context.Context, _ *session, args []string) (roster.Action, error) {
		return roster.ReserveSymbol{Symbol: args[0]}, nil
	}},
	{"allow SYMBOL ADDRESS", "Let one account issue a symbol", 2, func(_ context.Context, _ *session, args []string) (roster.Action, error) {
		issuer, err := address(args[1])
		return roster.AllowSymbol{Symbol: args[0], Issuer: issuer}, err
	}},
	{"spend fees|dust|reserve AMOUNT ASSET ADDRESS", "Pay out of an asset's house balance", 4, spendHouse},
}

func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, usageError{fmt.Errorf("%q is not a number", s)}
	}
	return uint32(n), nil
}

func setMarket(ctx context.Context, s *session, args []string) (roster.Action, error) {
	pair, err := s.client.Pair(ctx, args[0])
	if err != nil {
		return nil, err
	}
	var n [4]uint32
	for i := range n {
		if n[i], err = number(args[i+1]); err != nil {
			return nil, err
		}
	}
	return roster.SetMarket{Market: uint32(pair.ID), MakerPPM: n[0], TakerPPM: n[1], ReservePPM: n[2], BandPPM: n[3]}, nil
}

func createMarket(ctx context.Context, s *session, args []string) (roster.Action, error) {
	base, _, err := money(ctx, s, "0", args[0])
	if err != nil {
		return nil, err
	}
	quote, tick, err := money(ctx, s, args[2], args[1])
	if err != nil {
		return nil, err
	}
	_, lot, err := money(ctx, s, args[3], args[0])
	if err != nil {
		return nil, err
	}
	_, least, err := money(ctx, s, args[4], args[1])
	if err != nil {
		return nil, err
	}
	_, reference, err := money(ctx, s, args[5], args[1])
	if err != nil {
		return nil, err
	}
	maker, err := number(args[6])
	if err != nil {
		return nil, err
	}
	taker, err := number(args[7])
	if err != nil {
		return nil, err
	}
	terms := market.Terms{
		Tick: asset.Price(tick), Lot: lot, MinNotional: least, Reference: asset.Price(reference), MakerPPM: maker, TakerPPM: taker,
	}
	return roster.CreateMarket{Base: base, Quote: quote, Terms: terms.Append(nil)}, nil
}

func spendHouse(ctx context.Context, s *session, args []string) (roster.Action, error) {
	house, ok := map[string]ledger.House{"fees": ledger.Fees, "dust": ledger.Dust, "reserve": ledger.Reserve}[args[0]]
	if !ok {
		return nil, usageError{fmt.Errorf("%q: write fees, dust or reserve", args[0])}
	}
	id, amount, err := money(ctx, s, args[1], args[2])
	if err != nil {
		return nil, err
	}
	to, err := identity.ParseAddress(args[3])
	return roster.SpendHouse{House: uint8(house), Asset: id, Amount: amount, To: to}, err
}

func (a *app) voteOn(v *voter, use, short string, args int, action func(context.Context, *session, []string) (roster.Action, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(args),
		RunE: func(c *cobra.Command, args []string) error {
			return a.with(c.Context(), func(ctx context.Context, s *session) error {
				x, err := action(ctx, s, args)
				if err != nil {
					return err
				}
				return a.cast(ctx, s, v, roster.AppendAction(nil, x, v.salt))
			})
		},
	}
}

// voteAgain votes on a proposal that is open already.
func (a *app) voteAgain(v *voter) *cobra.Command {
	return &cobra.Command{
		Use: "on HEX", Short: "Vote on an open proposal, as souk vote list shows it", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := hex.DecodeString(args[0])
			if err != nil {
				return usageError{errors.New("the proposal is the hexadecimal text that souk vote list shows")}
			}
			return a.with(c.Context(), func(ctx context.Context, s *session) error { return a.cast(ctx, s, v, data) })
		},
	}
}

// cast signs and sends the vote of a home's operator.
func (a *app) cast(ctx context.Context, s *session, v *voter, action []byte) error {
	key, err := node.Home(v.home).Key(node.RoleOperator, a.pass.get("Passphrase of the operator's key: ", false))
	if err != nil {
		return err
	}
	defer key.Wipe()
	r, err := a.do(ctx, s, api.OwnerOf(key), &exchange.Vote{Approve: !v.withdraw, Action: action})
	if err != nil {
		return err
	}
	return a.showReceipt(&r, func(w io.Writer) { p(w, "voted; souk vote list shows how it stands\n") })
}

func (a *app) voteList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Show open votes, and those that passed a short while ago", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.with(c.Context(), func(ctx context.Context, s *session) error {
				votes, err := s.client.Votes(ctx)
				if err != nil {
					return err
				}
				return a.show(votes, func(w io.Writer) {
					p(w, "on\tapproved by\tstate\tproposal\n")
					for i := range votes.Votes {
						x := &votes.Votes[i]
						state := fmt.Sprintf("open until block %d", x.Lapses)
						if x.Passed != 0 {
							state = "passed " + when(x.Passed)
						}
						p(w, "%s\t%v\t%s\t%x\n", x.Kind, x.Approved, state, x.Action)
					}
				})
			})
		},
	}
}
