package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

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

// defaultHome is the folder of the server where --home does not name one.
const defaultHome = "souk-home"

// voter is what all votes share.
type voter struct {
	home     string
	salt     uint32
	withdraw bool
	anyway   bool
}

func (a *app) voteCommand() *cobra.Command {
	v := &voter{}
	c := &cobra.Command{
		Use: "vote", Short: "Vote as a member: on members, markets, fees, assets, banks and the protocol", Args: cobra.NoArgs,
		Long: `Vote with the operator key of a home. The home knows its virtual server and where to reach it; with
several of them --id says which. Equal proposals are one: the first member proposes, the others send
the same command, or souk vote on HEX as souk vote list shows it. More than two thirds of the members
decide; the target of a removal does not count. Members are named by name or by number.`,
		Example: `  souk vote fees BTC-EUR --taker-ppm 1500 --home ./home
  souk vote list --home ./home
  souk vote remove-member dave --home ./home
  souk vote remove-member dave --home ./home --withdraw`,
	}
	f := c.PersistentFlags()
	f.StringVar(&v.home, "home", defaultHome, "folder of the server whose operator votes")
	f.Uint32Var(&v.salt, "salt", 0, "another number for a proposal that passed a short while ago")
	f.BoolVar(&v.withdraw, "withdraw", false, "take a yes back")
	f.BoolVar(&v.anyway, "anyway", false, "vote although souk advises against it")
	c.AddCommand(a.voteList(v), a.voteAgain(v), a.voteFees(v), a.voteCreateMarket(v), a.voteLimits(v))
	for _, b := range slices.Concat(ballots, bankBallots) {
		c.AddCommand(a.voteOn(v, b))
	}
	return c
}

// ballot is one kind of proposal that arguments describe.
type ballot struct {
	use, short, example string
	args                int
	make                func(*scene, []string) (roster.Action, error)
}

var ballots = []ballot{
	{"add-member CARD", "Add a member", "", 1, func(_ *scene, args []string) (roster.Action, error) {
		card, err := readCard(args[0])
		return roster.AddMember{Card: card.Roster()}, err
	}},
	{"remove-member MEMBER", "Remove a member, by name or number", "  souk vote remove-member dave --home ./home", 1, func(c *scene, args []string) (roster.Action, error) {
		m, err := c.member(args[0])
		if err != nil {
			return nil, err
		}
		return roster.RemoveMember{Member: roster.ID(m.ID)}, nil
	}},
	{
		"replace-member MEMBER CARD", "Give a member, by name or number, a new server, as in its card",
		"  souk vote replace-member alice alice.card --home ./home", 2,
		func(c *scene, args []string) (roster.Action, error) {
			m, err := c.member(args[0])
			if err != nil {
				return nil, err
			}
			card, err := readCard(args[1])
			if err == nil && card.Name != m.Name {
				err = fmt.Errorf("the card is that of %s, and not of %s", card.Name, named(m))
			}
			return roster.ReplaceMember{Member: roster.ID(m.ID), Server: card.Server, Consensus: card.Consensus, P2P: card.P2P, URL: card.URL}, err
		},
	},
	{
		"protocol VERSION HEIGHT", "Put a protocol version in force at a height; the present one at height 0 calls a plan off",
		"  souk vote protocol 2 1500000 --home ./home", 2,
		func(_ *scene, args []string) (roster.Action, error) {
			version, err := number(args[0])
			if err != nil {
				return nil, err
			}
			height, err := strconv.ParseUint(args[1], 10, 64)
			if err != nil {
				return nil, usageError{fmt.Errorf("%q is not a height: souk status shows that of the newest block", args[1])}
			}
			return roster.SetProtocol{Version: version, Height: height}, nil
		},
	},
	{"pause MARKET", "Stop a market from taking orders", "", 1, func(c *scene, args []string) (roster.Action, error) {
		m, err := c.market(args[0])
		if err != nil {
			return nil, err
		}
		return roster.PauseMarket{Market: uint32(m.ID)}, nil
	}},
	{"resume MARKET", "Let a paused market go on", "", 1, func(c *scene, args []string) (roster.Action, error) {
		m, err := c.market(args[0])
		if err != nil {
			return nil, err
		}
		return roster.ResumeMarket{Market: uint32(m.ID)}, nil
	}},
	{"reserve SYMBOL", "Let nobody issue a symbol", "", 1, func(_ *scene, args []string) (roster.Action, error) {
		return roster.ReserveSymbol{Symbol: args[0]}, nil
	}},
	{"allow SYMBOL ADDRESS", "Let one account issue a symbol", "", 2, func(_ *scene, args []string) (roster.Action, error) {
		issuer, err := address(args[1])
		return roster.AllowSymbol{Symbol: args[0], Issuer: issuer}, err
	}},
	{
		"spend fees|dust|reserve AMOUNT ASSET ADDRESS", "Pay out of an asset's house balance",
		"  souk vote spend fees 12.5 EUR souk1q... --home ./home", 4, spendHouse,
	},
}

func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, usageError{fmt.Errorf("%q is not a number", s)}
	}
	return uint32(n), nil
}

func spendHouse(c *scene, args []string) (roster.Action, error) {
	house, ok := map[string]ledger.House{"fees": ledger.Fees, "dust": ledger.Dust, "reserve": ledger.Reserve}[args[0]]
	if !ok {
		return nil, usageError{fmt.Errorf("%q: write fees, dust or reserve", args[0])}
	}
	x, err := c.asset(args[2])
	if err != nil {
		return nil, err
	}
	amount, err := x.Parse(args[1])
	if err != nil {
		return nil, usageError{err}
	}
	to, err := address(args[3])
	return roster.SpendHouse{House: uint8(house), Asset: x.ID, Amount: amount, To: to}, err
}

// rates are the flags of a market's fees and band.
type rates struct{ maker, taker, reserve, band uint32 }

func (r *rates) add(c *cobra.Command, left string) {
	f := c.Flags()
	f.Uint32Var(&r.maker, "maker-ppm", 0, "maker fee in millionths: 1000 is 0.1 %"+left)
	f.Uint32Var(&r.taker, "taker-ppm", 0, "taker fee in millionths"+left)
	f.Uint32Var(&r.reserve, "reserve-ppm", 0, "share of the fees for the asset's reserve, in millionths"+left)
	f.Uint32Var(&r.band, "band-ppm", 0, "how far a price may be from the last one, in millionths; 0 is no band"+left)
}

func (a *app) voteFees(v *voter) *cobra.Command {
	var r rates
	c := &cobra.Command{
		Use: "fees MARKET", Short: "Set a market's fees and its price band", Args: cobra.ExactArgs(1),
		Long:    "Set a market's fees and its price band. What no flag names stays as it is.",
		Example: "  souk vote fees BTC-EUR --maker-ppm 500 --taker-ppm 1500 --home ./home",
	}
	r.add(c, " (default: as it is)")
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.propose(c.Context(), v, func(s *scene) (roster.Action, error) {
			m, err := s.market(args[0])
			if err != nil {
				return nil, err
			}
			x := roster.SetMarket{Market: uint32(m.ID)}
			if len(slices.DeleteFunc([]string{"maker-ppm", "taker-ppm", "reserve-ppm", "band-ppm"}, c.Flags().Changed)) > 0 {
				if x, err = s.rates(x.Market); err != nil { // what is left as it is, is signed as it is
					return nil, err
				}
			}
			named := 0
			for name, to := range map[string]struct {
				at    *uint32
				value uint32
			}{"maker-ppm": {&x.MakerPPM, r.maker}, "taker-ppm": {&x.TakerPPM, r.taker}, "reserve-ppm": {&x.ReservePPM, r.reserve}, "band-ppm": {&x.BandPPM, r.band}} {
				if c.Flags().Changed(name) {
					*to.at = to.value
					named++
				}
			}
			if named == 0 {
				return nil, usageError{errors.New("say what to change: --maker-ppm, --taker-ppm, --reserve-ppm or --band-ppm")}
			}
			return x, nil
		})
	}
	return c
}

func (a *app) voteCreateMarket(v *voter) *cobra.Command {
	var r rates
	var tick, lot, least, reference string
	c := &cobra.Command{
		Use: "create-market BASE-QUOTE", Short: "Make a market of two assets", Args: cobra.ExactArgs(1),
		Long: `Make a market of two assets. The flags are called as in the founding terms. Tick and lot cannot be
changed later; fees and band can, by souk vote fees.`,
		Example: `  souk vote create-market LTC-EUR --tick 0.01 --lot 0.001 --min-notional 1 --reference-price 80 \
      --maker-ppm 1000 --taker-ppm 2000 --home ./home`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.propose(c.Context(), v, func(s *scene) (roster.Action, error) {
				return s.newMarket(args[0], tick, lot, least, reference, &r)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&tick, "tick", "", "prices are multiples of it, in the quote asset")
	f.StringVar(&lot, "lot", "", "quantities are multiples of it, in the base asset")
	f.StringVar(&least, "min-notional", "0", "least value of an order, in the quote asset")
	f.StringVar(&reference, "reference-price", "", "price that counts until the first trade, in the quote asset")
	r.add(c, "")
	return c
}

// newMarket is the proposal to make a market.
func (c *scene) newMarket(pair, tick, lot, least, reference string, r *rates) (roster.Action, error) {
	baseName, quoteName, ok := strings.Cut(pair, "-")
	if !ok {
		return nil, usageError{fmt.Errorf("%q is no pair of assets: write it like BTC-EUR", pair)}
	}
	base, err := c.asset(baseName)
	if err != nil {
		return nil, err
	}
	quote, err := c.asset(quoteName)
	if err != nil {
		return nil, err
	}
	var n [4]asset.Amount
	for i, x := range []struct {
		flag, text string
		of         api.Listing
	}{{"tick", tick, quote}, {"lot", lot, base}, {"min-notional", least, quote}, {"reference-price", reference, quote}} {
		if x.text == "" {
			return nil, usageError{fmt.Errorf("--%s is missing: an amount of %s", x.flag, x.of.Symbol)}
		}
		if n[i], err = x.of.Parse(x.text); err != nil {
			return nil, usageError{fmt.Errorf("--%s: %w", x.flag, err)}
		}
	}
	terms := market.Terms{
		Tick: asset.Price(n[0]), Lot: n[1], MinNotional: n[2], Reference: asset.Price(n[3]),
		MakerPPM: r.maker, TakerPPM: r.taker, ReservePPM: r.reserve, BandPPM: r.band,
	}
	return roster.CreateMarket{Base: base.ID, Quote: quote.ID, Terms: terms.Append(nil)}, nil
}

func (a *app) voteOn(v *voter, b ballot) *cobra.Command {
	return &cobra.Command{
		Use: b.use, Short: b.short, Example: b.example, Args: cobra.ExactArgs(b.args),
		RunE: func(c *cobra.Command, args []string) error {
			return a.propose(c.Context(), v, func(s *scene) (roster.Action, error) { return b.make(s, args) })
		},
	}
}

// propose votes on what arguments describe.
func (a *app) propose(ctx context.Context, v *voter, action func(*scene) (roster.Action, error)) error {
	return a.withHome(ctx, v.home, func(ctx context.Context, s *session) error {
		now, err := look(ctx, s)
		if err != nil {
			return err
		}
		x, err := action(now)
		if err != nil {
			return err
		}
		return a.cast(ctx, s, now, v, roster.AppendAction(nil, x, v.salt))
	})
}

// voteAgain votes on a proposal that is open already.
func (a *app) voteAgain(v *voter) *cobra.Command {
	return &cobra.Command{
		Use: "on HEX", Short: "Vote on an open proposal, as souk vote list shows it", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := hex.DecodeString(args[0])
			if err == nil {
				_, _, err = roster.ParseAction(data)
			}
			if err != nil {
				return usageError{errors.New("that is no proposal: copy the hexadecimal text behind souk vote on, as souk vote list shows it, whole")}
			}
			return a.withHome(c.Context(), v.home, func(ctx context.Context, s *session) error {
				now, err := look(ctx, s)
				if err != nil {
					return err
				}
				return a.cast(ctx, s, now, v, data)
			})
		},
	}
}

// voted is what a vote answers.
type voted struct {
	api.Receipt
	Voter    memberName `json:"voter"`
	Approves bool       `json:"approves"`
	Proposal proposal   `json:"proposal"`
}

// cast signs and sends the vote of a home's operator, and tells how it stands then.
func (a *app) cast(ctx context.Context, s *session, now *scene, v *voter, action []byte) error {
	answer, err := a.castVote(ctx, s, now, v, action)
	if err != nil {
		return err
	}
	return a.show(&answer, func(w io.Writer) {
		if v.withdraw {
			p(w, "%s has withdrawn his yes, in block %d\n", answer.Voter, answer.Height)
		} else {
			p(w, "%s approves, in block %d\n", answer.Voter, answer.Height)
		}
		answer.Proposal.print(w, answer.Height)
	})
}

// castVote signs and sends a vote.
func (a *app) castVote(ctx context.Context, s *session, now *scene, v *voter, action []byte) (answer voted, err error) {
	if x, _, err := roster.ParseAction(action); err == nil && !v.withdraw && !v.anyway {
		if why := now.objection(x); why != "" {
			return answer, fmt.Errorf("%s\nNothing was voted; --anyway votes all the same", why)
		}
	}
	key, err := node.Home(v.home).Key(node.RoleOperator, a.pass.get("Passphrase of the operator's key: ", false))
	if err != nil {
		return answer, err
	}
	defer key.Wipe()
	who := api.OwnerOf(key)
	by, err := now.operator(who.Account, v.home)
	if err != nil {
		return answer, err
	}
	r, err := s.client.As(who).Do(ctx, &exchange.Vote{Approve: !v.withdraw, Action: action})
	if err != nil {
		return answer, err
	}
	if r[0].Code != exchange.OK {
		return answer, now.refused(r[0].Code, by, action)
	}
	answer = voted{Receipt: api.ReceiptValue(&r[0]), Voter: by, Approves: !v.withdraw, Proposal: now.proposal(action)}
	if votes, err := votesAfter(ctx, s, r[0].Height); err == nil {
		if x, ok := findVote(votes, action); ok {
			answer.Proposal = now.vote(x)
		}
	}
	return answer, nil
}

// operator is the member for whom an account votes.
func (c *scene) operator(account identity.Address, home string) (memberName, error) {
	for i := range c.status.Members {
		if m := &c.status.Members[i]; m.Operator == account.String() {
			return named(m), nil
		}
	}
	return memberName{}, fmt.Errorf("the operator's key in %s is that of no member of this virtual server: a replaced server's member votes with the operator key that he had; the members are %s",
		home, c.everybody())
}

// votesAfter are the votes as they are after a block.
func votesAfter(ctx context.Context, s *session, height uint64) ([]api.Vote, error) {
	for {
		votes, err := s.client.Votes(ctx)
		if err != nil || votes.Height >= height {
			return votesOf(votes), err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond): // that server has not executed the block yet
		}
	}
}

func votesOf(v *api.Votes) []api.Vote {
	if v == nil {
		return nil
	}
	return v.Votes
}

// refused is why a vote was refused, in words.
func (c *scene) refused(code exchange.Code, by memberName, action []byte) error {
	x := c.proposal(action)
	why := api.Message(code)
	switch code { //nolint:exhaustive // the others' messages say it all
	case exchange.BadAction:
		if a, _, err := roster.ParseAction(action); err == nil && c.whyNot(a) != "" {
			why = c.whyNot(a)
		}
	case exchange.TooFewActive:
		why = strings.Join(nonEmpty(why, c.tooFew()), " ")
	case exchange.AlreadyVoted:
		why = fmt.Sprintf("%s approves of it already; souk vote list shows who is missing", by)
	case exchange.NotVoted:
		why = fmt.Sprintf("%s has not approved of it, so there is no yes to withdraw", by)
	case exchange.Decided:
		why = "it passed less than 20 minutes ago; to do the same once more, vote on it with --salt and a number"
	}
	return fmt.Errorf("to %s: %s (code %d): %s", x.Text, code, code, why)
}

func nonEmpty(all ...string) (some []string) {
	for _, s := range all {
		if s != "" {
			some = append(some, s)
		}
	}
	return some
}

// voteBook is what vote list shows.
type voteBook struct {
	Height uint64     `json:"height"`
	Votes  []proposal `json:"votes"`
}

func (a *app) voteList(v *voter) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Show open votes, and those that passed a short while ago", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			home := v.home
			if _, err := os.Stat(node.Home(home).Config()); err != nil && !c.Flags().Changed("home") {
				home = "" // anybody may look
			}
			return a.withHome(c.Context(), home, func(ctx context.Context, s *session) error {
				now, err := look(ctx, s)
				if err != nil {
					return err
				}
				votes, err := s.client.Votes(ctx)
				if err != nil {
					return err
				}
				book := voteBook{Height: max(now.status.Height, votes.Height), Votes: []proposal{}}
				for i := range votes.Votes {
					book.Votes = append(book.Votes, now.vote(&votes.Votes[i]))
				}
				return a.show(&book, func(w io.Writer) {
					if len(book.Votes) == 0 {
						p(w, "no vote is open\n")
					}
					for i := range book.Votes {
						book.Votes[i].print(w, book.Height)
					}
				})
			})
		},
	}
}
