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
	add, gone       []place // what these are
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

A change that only makes things stricter is in force at once. One that lets something through sooner, an allowed
address too, is so after the longest delay now in force, and all of it: --only --allow ADDRESS limits nothing
until then, and you see it coming. A further change goes on from the one that is to come, and its time begins
anew; what is stricter of the further one is in force at once nevertheless. So a second --only pays nobody until
the address is allowed. --undo takes back what is to come. Only the owner's key may change settings.`,
		Example: `  souk withdraw settings
  souk withdraw settings --delay 24h
  souk withdraw settings --only --allow BTC:bc1q... --allow LTC:ltc1q...   # all of it after the longest delay
  souk withdraw settings --only                                            # and then this: nobody else at once
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
	now, next custody.Settings  // in force, and what is signed at last
	lock      *custody.Settings // what is signed before that: the stricter part of the change, in force at once
	coming    bool              // a change was to come
	from      uint64            // ms: from then on
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
	x := &ruled{now: now, next: now, coming: from != 0, from: from}
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
	if f.add, err = places(ctx, s, "--allow", f.allow); err != nil {
		return nil, err
	}
	if f.gone, err = places(ctx, s, "--disallow", f.disallow); err != nil {
		return nil, err
	}
	return x, f.change(x)
}

// change makes of settings, and of the change of them that may be to come, what flags
// say. The ledger has one change to come at most, and takes it whole or not at all at
// once (Y-62). So that a stricter part need not wait with what was to come already, it
// is signed by itself before.
func (f *rulesFlags) change(x *ruled) error {
	base := x.next
	if err := f.apply(&x.next, &x.now); err != nil {
		return err
	}
	if x.coming {
		if lock := f.stricter(&x.now); !sameRules(&lock, &x.now) {
			x.lock = &lock
		}
	}
	switch {
	case x.lock != nil || !sameRules(&base, &x.next):
		return nil
	case x.coming:
		return fmt.Errorf("your settings are so from %s on, and nothing of it would be in force sooner; souk withdraw settings shows them, --undo takes that change back", when(x.from))
	}
	return errors.New("your settings are so already; souk withdraw settings shows them")
}

// stricter makes of settings in force what flags say, but for what lets something through sooner.
func (f *rulesFlags) stricter(now *custody.Settings) custody.Settings {
	x := custody.Settings{
		Delay: max(now.Delay, uint64(time.Duration(f.delay).Milliseconds())), Only: now.Only || f.only,
		Allowed: slices.Clone(now.Allowed),
	}
	for _, o := range f.gone {
		x.Allowed = slices.DeleteFunc(x.Allowed, func(a custody.Allowed) bool { return compareAllowed(a, o.Allowed) == 0 })
	}
	return x
}

// apply changes settings as flags say. What is allowed now can be taken off, too.
func (f *rulesFlags) apply(x, now *custody.Settings) error {
	if f.delay != 0 || f.noDelay {
		x.Delay = uint64(time.Duration(f.delay).Milliseconds())
	}
	if f.only || f.any {
		x.Only = f.only
	}
	x.Allowed = slices.Clone(x.Allowed)
	for _, o := range f.add {
		x.Allowed = append(x.Allowed, o.Allowed)
	}
	slices.SortFunc(x.Allowed, compareAllowed)
	x.Allowed = slices.CompactFunc(x.Allowed, func(a, b custody.Allowed) bool { return compareAllowed(a, b) == 0 })
	for _, o := range f.gone {
		is := func(a custody.Allowed) bool { return compareAllowed(a, o.Allowed) == 0 }
		if !slices.ContainsFunc(x.Allowed, is) && !slices.ContainsFunc(now.Allowed, is) {
			return usageError{fmt.Errorf("--disallow %s: that address is not allowed; souk withdraw settings shows those that are", o.text)}
		}
		x.Allowed = slices.DeleteFunc(x.Allowed, is)
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
	From    uint64   `json:"from"`    // ms
	AtOnce  []change `json:"at_once"` // what was stricter, and is in force whatever else waits
	Changes []change `json:"changes"`
	Stays   []change `json:"stays"`
}

func (a *app) setRules(ctx context.Context, s *session, who *api.Signer, f *rulesFlags) error {
	x, err := rulesAfter(ctx, s, who, f)
	if err != nil {
		return err
	}
	v := changedRules{AtOnce: []change{}, Changes: []change{}, Stays: []change{}}
	now := x.now
	var r exchange.Receipt
	if x.lock != nil {
		if r, err = a.signRules(ctx, s, who, x.lock); err != nil {
			return err
		}
		v.AtOnce, _ = changes(ctx, s, &now, x.lock)
		now = *x.lock
	}
	v.Changes, v.Stays = changes(ctx, s, &now, &x.next)
	if x.lock == nil || len(v.Changes) > 0 {
		if r, err = a.signRules(ctx, s, who, &x.next); err != nil && x.lock != nil {
			return fmt.Errorf("what is stricter is in force, but it has taken the place of the change that was to come, which is to be given again: %w", err)
		}
		if err != nil {
			return err
		}
	}
	v.Receipt, v.From = api.ReceiptValue(&r), max(r.Number, r.Time)
	return a.show(&v, func(w io.Writer) { v.print(w, x, f, r.Time) })
}

// signRules gives the command for settings.
func (a *app) signRules(ctx context.Context, s *session, who *api.Signer, to *custody.Settings) (exchange.Receipt, error) {
	body := &exchange.SetWithdrawals{Settings: *to}
	var err error
	if body.Salt, err = newSalt(); err != nil {
		return exchange.Receipt{}, err
	}
	return a.do(ctx, s, who, body)
}

func (v *changedRules) print(w io.Writer, x *ruled, f *rulesFlags, now uint64) {
	for _, c := range v.AtOnce {
		p(w, "%s\t%s -> %s, in force at once\n", c.What, c.From, c.To)
	}
	if v.From > now {
		p(w, "set, and in force from %s on, all of it; until then --undo takes it back\n", when(v.From))
	} else {
		p(w, "set, and in force\n")
	}
	switch {
	case x.coming && f.undo:
		p(w, "the change that was to come is taken back; what is in force stays\n")
	case x.coming && (f.none || v.From <= now):
		p(w, "this takes the place of the change that was to come: nothing of that is left but what is here\n")
	case x.coming:
		p(w, "this includes the change that was to come, whose time begins anew\n")
	}
	for _, c := range v.Changes {
		p(w, "%s\t%s -> %s\n", c.What, c.From, c.To)
	}
	for _, c := range v.Stays {
		p(w, "%s\t%s, as it is\n", c.What, c.To)
	}
	p(w, "command %s, block %d\n", v.ID, v.Height)
}

// changes compare what is in force with what is signed, all of it.
func changes(ctx context.Context, s *session, now, next *custody.Settings) (differ, same []change) {
	differ, same = []change{}, []change{}
	only := map[bool]string{true: "allowed addresses only", false: "any address"}
	all := []change{{"delay", dashed(now.Delay), dashed(next.Delay)}, {"pays to", only[now.Only], only[next.Only]}}
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
	both := slices.Concat(now.Allowed, next.Allowed)
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
		all = append(all, change{"allowed " + name, has(now.Allowed, a), has(next.Allowed, a)})
	}
	for _, c := range all {
		if c.From == c.To {
			same = append(same, c)
		} else {
			differ = append(differ, c)
		}
	}
	return differ, same
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
