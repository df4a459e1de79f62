package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/script"
)

// rulesFlags are the flags of withdraw settings.
type rulesFlags struct {
	delay           length
	noDelay         bool
	only, any       bool
	allow, disallow []string
	none, undo      bool
}

// some tells whether the flags change some settings, and leave the others.
func (f *rulesFlags) some() bool {
	return f.delay != 0 || f.noDelay || f.only || f.any || len(f.allow)+len(f.disallow) > 0
}

func (f *rulesFlags) check() error {
	switch {
	case f.none && (f.some() || f.undo):
		return usageError{errors.New("--none stands alone: it takes everything back")}
	case f.undo && f.some():
		return usageError{errors.New("--undo stands alone: it takes the change back that is to come")}
	case f.delay != 0 && f.noDelay:
		return usageError{errors.New("--delay and --no-delay do not go together")}
	case f.only && f.any:
		return usageError{errors.New("--only and --any do not go together")}
	case uint64(time.Duration(f.delay).Milliseconds()) > custody.MaxDelay:
		return usageError{fmt.Errorf("--delay: at most %s", span(custody.MaxDelay))}
	}
	return nil
}

func (a *app) withdrawSettings() *cobra.Command {
	var f rulesFlags
	c := &cobra.Command{
		Use: "settings", Short: "Show or change what your withdrawals may do: a delay, allowed addresses", Args: cobra.NoArgs,
		Long: `Show what your withdrawals may do, or change it. What no flag names stays as it is, as the settings' leaf is
proven to have it, and you are told what changes and what stays. Withdrawals to allowed addresses have no
delay; with --only nothing else is paid to.

What makes things stricter is in force at once; anything else is so after the longest delay now in force, and
until then you see it coming. A further change goes on from the one that is to come, and takes its place; --undo
takes it back. Only the owner's key may change settings.`,
		Example: `  souk withdraw settings
  souk withdraw settings --delay 24h
  souk withdraw settings --only --allow BTC:bc1q... --allow LTC:ltc1q...
  souk withdraw settings --disallow BTC:bc1q...
  souk withdraw settings --undo`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				if f.none || f.undo || f.some() {
					return a.setRules(ctx, s, who, &f)
				}
				set, err := s.client.WithdrawalSettings(ctx, who)
				if err != nil {
					return err
				}
				return a.show(set, func(w io.Writer) { showRules(w, set) })
			})
		},
	}
	c.Flags().Var(&f.delay, "delay", "time that a withdrawal waits to an address that is not allowed, such as 12h or 2d")
	c.Flags().BoolVar(&f.noDelay, "no-delay", false, "no delay of your own")
	c.Flags().BoolVar(&f.only, "only", false, "pay to allowed addresses only")
	c.Flags().BoolVar(&f.any, "any", false, "pay to other addresses, too")
	c.Flags().StringArrayVar(&f.allow, "allow", nil, "ASSET:ADDRESS that withdrawals go to without delay; may be given several times")
	c.Flags().StringArrayVar(&f.disallow, "disallow", nil, "ASSET:ADDRESS to take off that list; may be given several times")
	c.Flags().BoolVar(&f.none, "none", false, "no delay, and no allowed addresses")
	c.Flags().BoolVar(&f.undo, "undo", false, "take back the change that is to come")
	return c
}

// place is an allowed address as a user writes it.
type place struct {
	custody.Allowed
	text string
}

// places reads ASSET:ADDRESS.
func places(ctx context.Context, s *session, flag string, texts []string) (all []place, err error) {
	for _, text := range texts {
		symbol, address, ok := strings.Cut(text, ":")
		if !ok {
			return nil, usageError{fmt.Errorf("%s %s: write asset and address with a colon between, such as BTC:bc1q", flag, text)}
		}
		t, err := vaultOf(ctx, s, symbol)
		if err != nil {
			return nil, err
		}
		out, err := t.Bank.Net.ParseAddress(address)
		if err != nil {
			return nil, usageError{fmt.Errorf("%s %s: %w", flag, text, err)}
		}
		all = append(all, place{custody.Allowed{Bank: t.Bank.ID, Script: out}, text})
	}
	return all, nil
}

// ruled are settings before and after a change, proven but for names.
type ruled struct {
	now, next custody.Settings // in force, and what is signed
	coming    bool             // a change was to come, which this one takes up
}

// rulesAfter are the settings that flags make of those that are.
func rulesAfter(ctx context.Context, s *session, who *api.Signer, f *rulesFlags) (*ruled, error) {
	v, err := s.proofs(ctx)
	if err != nil {
		return nil, fmt.Errorf("what your settings are now is %w: %w", api.ErrUnproven, err)
	}
	record, at, err := s.client.VerifiedSettings(ctx, v, who)
	if err != nil {
		return nil, err
	}
	now, coming, from := record.At(max(at.Time, uint64(time.Now().UnixMilli())))
	x := &ruled{now: now, next: now, coming: from != 0}
	switch {
	case f.undo && !x.coming:
		return nil, errors.New("no change of your settings is to come, so there is nothing to take back")
	case f.undo:
		return x, nil
	case f.none:
		x.next = custody.Settings{}
		return x, nil
	case x.coming:
		x.next = coming
	}
	base := x.next
	if err := f.apply(ctx, s, &x.next); err != nil {
		return nil, err
	}
	if sameRules(&base, &x.next) {
		return nil, errors.New("your settings are so already; souk withdraw settings shows them")
	}
	return x, nil
}

// apply changes settings as flags say.
func (f *rulesFlags) apply(ctx context.Context, s *session, x *custody.Settings) error {
	if f.delay != 0 || f.noDelay {
		x.Delay = uint64(time.Duration(f.delay).Milliseconds())
	}
	if f.only || f.any {
		x.Only = f.only
	}
	add, err := places(ctx, s, "--allow", f.allow)
	if err != nil {
		return err
	}
	gone, err := places(ctx, s, "--disallow", f.disallow)
	if err != nil {
		return err
	}
	x.Allowed = slices.Clone(x.Allowed)
	for _, o := range add {
		x.Allowed = append(x.Allowed, o.Allowed)
	}
	slices.SortFunc(x.Allowed, compareAllowed)
	x.Allowed = slices.CompactFunc(x.Allowed, func(a, b custody.Allowed) bool { return compareAllowed(a, b) == 0 })
	for _, o := range gone {
		i := slices.IndexFunc(x.Allowed, func(a custody.Allowed) bool { return compareAllowed(a, o.Allowed) == 0 })
		if i < 0 {
			return usageError{fmt.Errorf("--disallow %s: that address is not allowed; souk withdraw settings shows those that are", o.text)}
		}
		x.Allowed = slices.Delete(x.Allowed, i, i+1)
	}
	switch {
	case len(x.Allowed) > custody.MaxAllowed:
		return usageError{fmt.Errorf("--allow: at most %d addresses, and it would be %d; --disallow takes some off", custody.MaxAllowed, len(x.Allowed))}
	case x.Only && len(x.Allowed) == 0:
		return usageError{errors.New("with --only and no allowed address your account could pay nobody, for as long as it takes to change that; name the addresses that it may pay (--allow), or pay to others, too (--any)")}
	}
	return nil
}

func compareAllowed(x, y custody.Allowed) int {
	return cmp.Or(cmp.Compare(x.Bank, y.Bank), bytes.Compare(x.Script, y.Script))
}

func sameRules(x, y *custody.Settings) bool {
	return x.Delay == y.Delay && x.Only == y.Only && slices.EqualFunc(x.Allowed, y.Allowed, func(a, b custody.Allowed) bool { return compareAllowed(a, b) == 0 })
}

// changedRules are settings that were signed, as programs read them.
type changedRules struct {
	api.Receipt
	From    uint64   `json:"from"` // ms
	Changes []change `json:"changes"`
	Stays   []change `json:"stays"`
}

func (a *app) setRules(ctx context.Context, s *session, who *api.Signer, f *rulesFlags) error {
	x, err := rulesAfter(ctx, s, who, f)
	if err != nil {
		return err
	}
	body := &exchange.SetWithdrawals{Settings: x.next}
	if body.Salt, err = newSalt(); err != nil {
		return err
	}
	v := changedRules{Changes: []change{}, Stays: []change{}}
	for _, c := range x.changes(ctx, s) {
		if c.From == c.To {
			v.Stays = append(v.Stays, c)
		} else {
			v.Changes = append(v.Changes, c)
		}
	}
	r, err := a.do(ctx, s, who, body)
	if err != nil {
		return err
	}
	v.Receipt, v.From = api.ReceiptValue(&r), max(r.Number, r.Time)
	return a.show(&v, func(w io.Writer) {
		if v.From > r.Time {
			p(w, "set, and in force from %s on; until then --undo takes it back\n", when(v.From))
		} else {
			p(w, "set, and in force\n")
		}
		if x.coming && f.undo {
			p(w, "the change that was to come is taken back; what is in force stays\n")
		} else if x.coming {
			p(w, "this includes the change that was to come, whose time begins anew\n")
		}
		for _, c := range v.Changes {
			p(w, "%s\t%s -> %s\n", c.What, c.From, c.To)
		}
		for _, c := range v.Stays {
			p(w, "%s\t%s, as it is\n", c.What, c.To)
		}
		p(w, "command %s, block %d\n", v.ID, v.Height)
	})
}

// changes compare what is in force with what is signed, all of it.
func (x *ruled) changes(ctx context.Context, s *session) []change {
	only := map[bool]string{true: "allowed addresses only", false: "any address"}
	all := []change{{"delay", dashed(x.now.Delay), dashed(x.next.Delay)}, {"pays to", only[x.now.Only], only[x.next.Only]}}
	has := func(list []custody.Allowed, a custody.Allowed) string {
		if slices.ContainsFunc(list, func(b custody.Allowed) bool { return compareAllowed(a, b) == 0 }) {
			return "yes"
		}
		return "no"
	}
	names := map[custody.Bank]*api.Bank{}
	if banks, err := s.client.Banks(ctx); err == nil { // how an output is written; it is signed as it is proven
		for i := range banks.Banks {
			names[custody.Bank(banks.Banks[i].ID)] = &banks.Banks[i]
		}
	}
	both := slices.Concat(x.now.Allowed, x.next.Allowed)
	slices.SortFunc(both, compareAllowed)
	for _, a := range slices.CompactFunc(both, func(a, b custody.Allowed) bool { return compareAllowed(a, b) == 0 }) {
		name := fmt.Sprintf("bank %d:%x", a.Bank, a.Script)
		if b := names[a.Bank]; b != nil {
			if n, ok := script.ByName(b.Network); ok {
				if text, err := n.Address(a.Script); err == nil {
					name = b.Symbol + ":" + text
				}
			}
		}
		all = append(all, change{"allowed " + name, has(x.now.Allowed, a), has(x.next.Allowed, a)})
	}
	return all
}

func showRules(w io.Writer, x *api.WithdrawalSettings) {
	show := func(r *api.PayRules) {
		p(w, "delay\t%s\n", dashed(r.Delay))
		p(w, "only allowed\t%s\n", map[bool]string{true: "yes: nothing else is paid to", false: "no"}[r.Only])
		for _, o := range r.Allowed {
			p(w, "allowed\t%s:%s\n", o.Symbol, o.Address)
		}
	}
	show(&x.Now)
	if x.Next != nil {
		p(w, "\nfrom %s on:\n", when(x.From))
		show(x.Next)
	}
	p(w, "\na change that lets something through sooner takes %s\n", dashed(x.Wait))
}

// dashed is a time in ms for people, or that there is none.
func dashed(ms uint64) string {
	if ms == 0 {
		return "no time"
	}
	return span(ms)
}
