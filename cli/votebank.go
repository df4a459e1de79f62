package cli

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/roster"
	"souk/script"
)

// bankBallots are proposals about banks.
var bankBallots = []ballot{
	{"halt-banks", "Halt all banks: nothing is credited or paid until a vote lifts it", "", 0, func(*scene, []string) (roster.Action, error) {
		return roster.HaltBanks{}, nil
	}},
	{"lift-bank ASSET", "End the halt for one bank, once it has no deficit", "  souk vote lift-bank BTC --home ./home", 1, func(c *scene, args []string) (roster.Action, error) {
		b, err := c.bank(args[0])
		if err != nil {
			return nil, err
		}
		x := roster.LiftBank{Bank: uint32(b.ID), Reasons: 1}
		if h := c.banks.Halt; h != nil {
			x.Reasons = h.Reasons
		}
		return x, nil
	}},
	{
		"open-series ASSET MEMBERS", "Give a bank a new series of keys, of these members: names or numbers with commas between, or all",
		"  souk vote open-series BTC all --home ./home\n  souk vote open-series BTC alice,bob,carol,eve --home ./home", 2, openSeries,
	},
}

func openSeries(c *scene, args []string) (roster.Action, error) {
	b, err := c.bank(args[0])
	if err != nil {
		return nil, err
	}
	x := roster.OpenSeries{Bank: uint32(b.ID)}
	if args[1] == "all" {
		x.Members = c.numbers()
	} else {
		for _, name := range strings.Split(args[1], ",") {
			m, err := c.member(strings.TrimSpace(name))
			if err != nil {
				return nil, err
			}
			x.Members = append(x.Members, roster.ID(m.ID))
		}
	}
	slices.Sort(x.Members)
	if n := len(x.Members); len(slices.Compact(x.Members)) != n {
		return nil, usageError{errors.New("a member stands there twice")}
	}
	return x, nil
}

// limitFlags are the flags of vote limits.
type limitFlags struct {
	deposit, withdrawal, hour, above string
	delay                            length
	none                             bool
}

func (a *app) voteLimits(v *voter) *cobra.Command {
	var f limitFlags
	c := &cobra.Command{
		Use: "limits ASSET", Short: "Set what a bank takes, pays in an hour, and delays", Args: cobra.ExactArgs(1),
		Long: `Set what a bank takes, pays in an hour, and delays. What no flag names stays as it is, as its leaf is proven to
have it. What makes things stricter is in force at once; anything else after the bank's delay.`,
		Example: "  souk vote limits BTC --max-per-hour 25 --delay-above 2 --delay 24h --home ./home",
		RunE: func(c *cobra.Command, args []string) error {
			return a.propose(c.Context(), v, func(s *scene) (roster.Action, error) {
				b, err := s.bank(args[0])
				if err != nil {
					return nil, err
				}
				l, err := f.limits(c, b.Limits)
				return roster.SetLimits{Bank: uint32(b.ID), Limits: exchange.AppendLimits(nil, l)}, err
			})
		},
	}
	x := c.Flags()
	x.StringVar(&f.deposit, "min-deposit", "", "smaller payments are lost to their sender")
	x.StringVar(&f.withdrawal, "min-withdrawal", "", "least withdrawal")
	x.StringVar(&f.hour, "max-per-hour", "", "most that leaves the bank in an hour")
	x.StringVar(&f.above, "delay-above", "", "a larger withdrawal to an address that is new for the account waits")
	x.Var(&f.delay, "delay", "for so long, such as 24h")
	x.BoolVar(&f.none, "no-delay", false, "no withdrawal waits, but by its account's settings")
	return c
}

// limits are the present limits with what flags change.
func (f *limitFlags) limits(c *cobra.Command, l custody.Limits) (custody.Limits, error) {
	named := f.none
	for _, x := range []struct {
		flag, text string
		to         *asset.Amount
	}{{"min-deposit", f.deposit, &l.MinDeposit}, {"min-withdrawal", f.withdrawal, &l.MinWithdrawal}, {"max-per-hour", f.hour, &l.MaxPerHour}, {"delay-above", f.above, &l.DelayAbove}} {
		if !c.Flags().Changed(x.flag) {
			continue
		}
		var err error
		if *x.to, err = asset.Parse(x.text, api.BankDecimals); err != nil {
			return l, usageError{fmt.Errorf("--%s: %w", x.flag, err)}
		}
		named = true
	}
	switch {
	case f.none && f.delay != 0:
		return l, usageError{errors.New("--delay and --no-delay do not go together")}
	case f.none:
		l.Delay = 0
	case f.delay != 0:
		l.Delay, named = uint64(time.Duration(f.delay).Milliseconds()), true
	}
	if !named {
		return l, usageError{errors.New("say what to change: --min-deposit, --min-withdrawal, --max-per-hour, --delay-above, --delay or --no-delay")}
	}
	return l, nil
}

// objection is why members should not vote on what is possible: it would leave the banks
// in a state that they cannot get out of by themselves.
func (c *scene) objection(a roster.Action) string {
	x, ok := a.(roster.RemoveMember)
	if !ok || len(c.banks.Banks) == 0 {
		return ""
	}
	left := len(c.status.Members) - 1
	if _, there := c.byNumber(uint32(x.Member)); !there || left != 2 && left != 3 {
		return ""
	}
	name := c.nameOf(uint32(x.Member))
	return fmt.Sprintf("%d members would be left, and there is no series of keys with %d: a bank has one member, or 4 to %d. The banks would keep the keys of now, with that of %s among them, for as long as there are so few, "+
		"and could not be rotated. Have somebody in his place first: souk vote add-member CARD, and remove %s then; or give %s a new server: souk vote replace-member %s CARD",
		left, left, script.MaxKeys, name, name, name, c.nameOf(uint32(x.Member)).Name)
}

// describeBank fills in the words for an action about banks.
func (c *scene) describeBank(x *proposal, a roster.Action) {
	switch a := a.(type) {
	case roster.OpenSeries:
		names := make([]string, len(a.Members))
		for i, id := range a.Members {
			names[i] = c.nameOf(uint32(id)).String()
		}
		keys := fmt.Sprintf("%d of the %d keys of %s", custody.Threshold(len(names)), len(names), listOf(names))
		x.Changes = []change{{"who signs", "", keys}}
		x.Text = fmt.Sprintf("open a new series of %s, of which %s sign, and move its coins there", c.bankName(a.Bank), keys)
	case roster.SetLimits:
		x.Changes = c.limitsOf(&a)
		changed := slices.DeleteFunc(slices.Clone(x.Changes), func(c change) bool { return c.From == c.To })
		x.Text = fmt.Sprintf("set the limits of %s: %s", c.bankName(a.Bank), joined(changed))
		if len(changed) == 0 {
			x.Text = fmt.Sprintf("set the limits of %s to what they are: %s", c.bankName(a.Bank), joined(x.Changes))
		}
	case roster.HaltBanks:
		x.Changes = []change{{"banks", "", "halted"}}
		x.Text = "halt all banks: nothing is credited or paid until a vote lifts it"
	case roster.LiftBank:
		x.Changes = []change{{c.bankName(a.Bank), "", "running"}}
		x.Text = "end the halt for " + c.bankName(a.Bank)
		if h := c.banks.Halt; h != nil && h.Reasons == a.Reasons {
			x.Changes = append(x.Changes, change{"reason", "", api.HaltWhy(h)})
		}
	}
}

// limitsOf are the limits that a vote would give a bank.
func (c *scene) limitsOf(a *roster.SetLimits) []change {
	l, ok := exchange.ParseLimits(a.Limits)
	if !ok {
		return []change{{"limits", "", hex.EncodeToString(a.Limits)}}
	}
	words := func(l *api.Limits) []string {
		return []string{l.MinDeposit, l.MinWithdrawal, l.MaxPerHour, l.DelayAbove, dashed(l.Delay)}
	}
	next := api.LimitsValue(&l)
	all := make([]change, 0, 5)
	for i, to := range words(&next) {
		all = append(all, change{[]string{"least deposit", "least withdrawal", "most in an hour", "delay above", "delay"}[i], "", to})
	}
	if b, ok := c.bankByID(a.Bank); ok {
		for i, was := range words(&b.Limits) {
			all[i].From = was
		}
	}
	return all
}

func (c *scene) bankByID(id uint32) (*api.Bank, bool) {
	for i := range c.banks.Banks {
		if b := &c.banks.Banks[i]; b.ID == id {
			return b, true
		}
	}
	return nil, false
}

// whyNotBank is why members cannot vote on an action about banks now, as far as what a
// server shows says so.
func (c *scene) whyNotBank(a roster.Action) string {
	if len(c.banks.Banks) == 0 {
		return "this virtual server has no banks"
	}
	switch a := a.(type) {
	case roster.OpenSeries:
		return "each of these members must be one now, and have announced a key for that bank longer ago than its cool-down; and the keys must be others than those of the newest series: souk bank shows them"
	case roster.SetLimits:
		if _, ok := c.bankByID(a.Bank); !ok {
			return fmt.Sprintf("there is no bank %d", a.Bank)
		}
		return "the least amounts must be above what nodes relay, the least withdrawal not above what is paid in an hour, and the delay at most 30 days"
	case roster.HaltBanks:
		if c.banks.Halt != nil && len(c.banks.Halt.Only) == 0 {
			return "they are halted already"
		}
	case roster.LiftBank:
		b, ok := c.bankByID(a.Bank)
		switch h := c.banks.Halt; {
		case !ok:
			return fmt.Sprintf("there is no bank %d", a.Bank)
		case h == nil || len(h.Only) > 0 && !slices.Contains(h.Only, b.Symbol):
			return "it is not halted"
		case h.Reasons != a.Reasons:
			return "another reason for the halt has come since that was proposed: " + api.HaltWhy(h) + "; look at it (souk bank), and vote on lifting it anew"
		case !b.Sums.Balanced:
			return fmt.Sprintf("the bank of %s lacks %s: whoever pays that to it, on its chain or by a donation, ends it", b.Symbol, b.Sums.Deficit)
		}
	}
	return ""
}
