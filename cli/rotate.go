package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/asset"
	"souk/exchange/custody"
	"souk/exchange/roster"
)

// rotation says which banks get a new series, and of whom.
type rotation struct {
	voter
	without []string
	show    bool
	wait    bool
}

func (a *app) federationRotate() *cobra.Command {
	r := &rotation{}
	c := &cobra.Command{
		Use: "rotate [ASSET...]", Short: "Vote for new keys of the banks: those of the members as they are now",
		Long: `Vote with the operator key of a home that a bank's next series of keys is that of the present members:
after somebody has joined, has left, or has a new server with new keys. Without an asset it is about all
banks whose newest series is another one. More than two thirds of the members must give the same command. From
then on new addresses are of the new series, and the coins of older ones move into it, transaction by
transaction; old addresses stay good. The table shows what is left in older series.

A key that a member announces is good for a series after the bank's cool-down, for everybody to see it coming.
Who is gone for ever, but not removed yet, is left out with --without.`,
		Example: `  souk federation rotate --home ./home
  souk federation rotate BTC --without dave --home ./home
  souk federation rotate --show --home ./home`,
		RunE: func(c *cobra.Command, args []string) error {
			limit := a.timeout
			if r.wait && !c.Flags().Changed("timeout") {
				a.timeout = 365 * 24 * time.Hour // until it has ended, or the user has had enough
				defer func() { a.timeout = limit }()
			}
			return a.withHome(c.Context(), r.home, func(ctx context.Context, s *session) error {
				return a.rotate(ctx, s, r, args, limit)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.home, "home", defaultHome, "folder of the server whose operator votes")
	f.StringSliceVar(&r.without, "without", nil, "members to leave out, by name or number")
	f.BoolVar(&r.show, "show", false, "do not vote, show how it stands")
	f.BoolVar(&r.wait, "wait", false, "wait until the vote has passed and all coins have moved: however long it takes, or for --timeout if that is given")
	f.BoolVar(&r.withdraw, "withdraw", false, "take a yes back")
	f.Uint32Var(&r.salt, "salt", 0, "another number for a proposal that passed a short while ago")
	return c
}

// turn is a bank in a rotation as it is shown.
type turn struct {
	Asset   string      `json:"asset"`
	Newest  uint32      `json:"newest_series"`
	Members []string    `json:"members"` // whose keys it has
	Current bool        `json:"current"` // they are those that are wanted
	Vote    *voted      `json:"vote,omitempty"`
	Refused string      `json:"refused,omitempty"` // why there can be no vote for what is wanted yet
	Old     []oldSeries `json:"old_series"`        // that still have coins
	Coins   int         `json:"old_coins"`
	Amount  string      `json:"old_amount"`
	Waits   bool        `json:"waits_for_reserve"`
	Small   int         `json:"small_coins"` // of the old ones: they wait for a lower fee rate
	Reserve string      `json:"reserve"`
	Cost    string      `json:"cost"`    // about what moving takes out of it, at the rate of now
	Missing string      `json:"missing"` // what the reserve lacks for that
	Cooling []cooling   `json:"cooling_down"`
}

// oldSeries is a series whose coins are to move.
type oldSeries struct {
	Number uint32 `json:"number"`
	Coins  int    `json:"coins"`
	Amount string `json:"amount"`
}

// cooling is a member whose key is too new for a series.
type cooling struct {
	Member memberName `json:"member"`
	Until  uint64     `json:"until"` // ms
}

func (a *app) rotate(ctx context.Context, s *session, r *rotation, assets []string, limit time.Duration) error {
	var now *scene
	var turns []*turn
	without := map[uint32]bool{}
	err := within(ctx, limit, func(ctx context.Context) (err error) {
		if now, err = look(ctx, s); err != nil {
			return err
		}
		turns, err = a.rotateAll(ctx, s, r, now, assets, without)
		return err
	})
	if err != nil {
		return err
	}
	if r.wait {
		if err := a.awaitSweep(ctx, s, turns, without, limit); err != nil {
			return err
		}
	}
	return a.show(turns, func(w io.Writer) {
		for i, t := range turns {
			if i > 0 {
				p(w, "\n")
			}
			t.print(w, now.status.Height)
		}
	})
}

// rotateAll votes for the new series of some banks, or all. It fills in who is left out.
func (a *app) rotateAll(ctx context.Context, s *session, r *rotation, now *scene, assets []string, without map[uint32]bool) ([]*turn, error) {
	if len(now.banks.Banks) == 0 {
		return nil, errors.New("this virtual server has no banks")
	}
	if len(assets) == 0 {
		for i := range now.banks.Banks {
			assets = append(assets, now.banks.Banks[i].Symbol)
		}
	}
	for _, text := range r.without {
		m, err := now.member(text)
		if err != nil {
			return nil, err
		}
		without[m.ID] = true
	}
	turns := []*turn{}
	for _, name := range assets {
		t, err := a.rotateOne(ctx, s, r, now, name, without)
		if err != nil {
			return nil, fmt.Errorf("bank of %s: %w", name, err)
		}
		turns = append(turns, t)
	}
	return turns, nil
}

// rotateOne votes for one bank's new series, unless the newest is as it should be.
func (a *app) rotateOne(ctx context.Context, s *session, r *rotation, now *scene, name string, without map[uint32]bool) (*turn, error) {
	b, err := now.bank(name)
	if err != nil {
		return nil, err
	}
	page, err := s.client.Bank(ctx, name)
	if err != nil {
		return nil, err
	}
	t, wanted := turnOf(page, without)
	if t.Current {
		return t, nil
	}
	err = mayRotate(page, wanted, t.Cooling)
	switch {
	case r.show && err != nil:
		t.Refused = err.Error()
		return t, nil
	case r.show:
		return t, nil
	case err != nil:
		return nil, err
	}
	action := roster.AppendAction(nil, roster.OpenSeries{Bank: uint32(b.ID), Members: seriesMembers(wanted)}, r.salt)
	v, err := a.castVote(ctx, s, now, &r.voter, action)
	if err != nil {
		return nil, err
	}
	if page, err = s.client.Bank(ctx, name); err != nil {
		return nil, err
	}
	t, _ = turnOf(page, without)
	t.Vote = &v
	return t, nil
}

// turnOf is how a bank stands, and whose keys its newest series should have.
func turnOf(b *api.BankPage, without map[uint32]bool) (*turn, []*api.BankMember) {
	now := max(b.Time, uint64(time.Now().UnixMilli())) // without blocks their time stands still
	t := &turn{Asset: b.Symbol, Newest: b.Series - 1, Members: []string{}, Old: []oldSeries{}, Cooling: []cooling{}, Waits: b.WaitsToSweep}
	var wanted []*api.BankMember
	for i := range b.Attestors {
		m := &b.Attestors[i]
		if m.Barred || without[m.Member] {
			continue
		}
		wanted = append(wanted, m)
		if until := m.KeySince + b.CoolDown; m.Key != "" && m.KeySince != 0 && until > now {
			t.Cooling = append(t.Cooling, cooling{memberName{m.Member, m.Name}, until})
		}
	}
	var sum asset.Amount
	for i := range b.AllSeries {
		x := &b.AllSeries[i]
		if x.Number == t.Newest {
			t.Current = len(x.Keys) == len(wanted)
			for _, k := range x.Keys {
				t.Members = append(t.Members, memberName{k.Member, k.Name}.String())
				t.Current = t.Current && slices.ContainsFunc(wanted, func(m *api.BankMember) bool { return m.Member == k.Member && m.Key == k.Key })
			}
			continue
		}
		if x.Coins == 0 {
			continue
		}
		t.Old = append(t.Old, oldSeries{x.Number, x.Coins, x.Amount})
		t.Coins += x.Coins
		if amount, err := asset.Parse(x.Amount, api.BankDecimals); err == nil {
			sum += amount
		}
	}
	t.Amount = api.FormatCoins(sum)
	moves := &b.Old
	if !t.Current {
		moves = &b.Rotation
	}
	t.Small, t.Reserve, t.Cost, t.Missing = b.Old.Small, b.Sums.Reserve, moves.Cost, moves.Missing
	return t, wanted
}

// mayRotate says who keeps a series of some members from being opened.
func mayRotate(b *api.BankPage, wanted []*api.BankMember, cool []cooling) error {
	var keyless []string
	for _, m := range wanted {
		if m.Key == "" {
			keyless = append(keyless, memberName{m.Member, m.Name}.String())
		}
	}
	switch n := len(wanted); {
	case len(keyless) > 0:
		return fmt.Errorf("%s has no key at this bank yet: his server announces it by itself once it runs with a [chains.%s]; or leave him out with --without", strings.Join(keyless, ", "), b.Network)
	case len(cool) > 0:
		return fmt.Errorf("the key of %s is new, and good for a series from %s on: vote then, or leave him out with --without", cool[0].Member, when(cool[0].Until))
	case n == 2 || n == 3:
		return fmt.Errorf("a series of %d members is not possible: one, or 4 to 15", n)
	}
	return nil
}

// awaitSweep waits until votes have passed and nothing is left in older series.
func (a *app) awaitSweep(ctx context.Context, s *session, turns []*turn, without map[uint32]bool, limit time.Duration) error {
	for i, t := range turns {
		last := ""
		for {
			var page *api.BankPage
			err := within(ctx, limit, func(ctx context.Context) (err error) {
				page, err = s.client.Bank(ctx, t.Asset)
				return err
			})
			if err != nil && ctx.Err() == nil {
				return err
			}
			if err != nil {
				return fmt.Errorf("%s: %w", stopped(ctx, last), ctx.Err())
			}
			now, _ := turnOf(page, without)
			now.Vote = t.Vote
			turns[i] = now
			if now.Current && now.Coins == now.Small {
				break
			}
			if line := now.progress(); line != last {
				last = line
				p(a.err, "%s\n", line)
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s: %w", stopped(ctx, now.progress()), ctx.Err())
			case <-time.After(500 * time.Millisecond):
			}
		}
	}
	return nil
}

// stopped says that waiting has ended before the rotation, which goes on.
func stopped(ctx context.Context, progress string) string {
	why := "you ended the wait"
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		why = "the time that --timeout gives is over"
	}
	return fmt.Sprintf("%s, and the rotation goes on by itself (souk federation rotate --show tells how far it is); %s", why, progress)
}

// progress is how far a rotation has come, on one line.
func (t *turn) progress() string {
	switch {
	case !t.Current:
		return fmt.Sprintf("%s: the vote has not passed yet", t.Asset)
	case t.Coins == 0:
		return fmt.Sprintf("%s: all coins are of series %d", t.Asset, t.Newest)
	case t.Waits:
		return fmt.Sprintf("%s: %s with %s %s still of older series, and the reserve is too short to pay for moving them. %s", t.Asset, count(t.Coins, "coin"), t.Amount, t.Asset, t.fill())
	case t.Coins == t.Small:
		return fmt.Sprintf("%s: all has moved but %s, worth too little at the fee rate of now: it waits for a lower one; keep the keys of older series until then", t.Asset, count(t.Small, "coin"))
	}
	return fmt.Sprintf("%s: %s with %s %s still of older series; they move as transactions are mined", t.Asset, count(t.Coins, "coin"), t.Amount, t.Asset)
}

// fill says what the reserve lacks, and how it is filled.
func (t *turn) fill() string {
	text := fmt.Sprintf("Moving takes about %s %s at the fee rate of now, out of the reserve, which has %s %s", t.Cost, t.Asset, t.Reserve, t.Asset)
	if t.Missing == api.FormatCoins(0) {
		return text + "."
	}
	return fmt.Sprintf("%s: %s %s are missing. Who has an account gives them by: souk donate %s %s", text, t.Missing, t.Asset, t.Asset, t.Missing)
}

func (t *turn) print(w io.Writer, height uint64) {
	p(w, "bank of %s: newest series %d, of %s (%s)\n", t.Asset, t.Newest, strings.Join(t.Members, ", "), keysText(custody.Threshold(len(t.Members)), len(t.Members)))
	if t.Vote != nil {
		p(w, "%s approves\n", t.Vote.Voter)
		t.Vote.Proposal.print(w, max(height, t.Vote.Height))
	} else if t.Current {
		p(w, "its keys are those of the present members\n")
	} else if t.Refused != "" {
		p(w, "it cannot rotate yet: %s\n", t.Refused)
	}
	for _, c := range t.Cooling {
		p(w, "the key of %s is good for a series from %s on\n", c.Member, when(c.Until))
	}
	for _, o := range t.Old {
		p(w, "  series %d still has %s with %s %s\n", o.Number, count(o.Coins, "coin"), o.Amount, t.Asset)
	}
	switch {
	case t.Current:
		p(w, "%s\n", t.progress())
	case t.Refused != "":
		p(w, "%s\n", t.fill())
	default:
		p(w, "all coins move once the vote has passed. %s\n", t.fill())
	}
}

// seriesMembers are the numbers of members, ascending.
func seriesMembers(members []*api.BankMember) []roster.ID {
	var all []roster.ID
	for _, m := range members {
		all = append(all, roster.ID(m.Member))
	}
	slices.Sort(all)
	return all
}
