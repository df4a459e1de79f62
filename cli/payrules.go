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
)

// rulesFlags are the flags of withdraw settings.
type rulesFlags struct {
	delay      length
	only, none bool
	allow      []string
}

func (f *rulesFlags) given() bool { return f.delay != 0 || f.only || f.none || len(f.allow) > 0 }

func (a *app) withdrawSettings() *cobra.Command {
	var f rulesFlags
	c := &cobra.Command{
		Use: "settings", Short: "Show or set what your withdrawals may do: a delay, allowed addresses", Args: cobra.NoArgs,
		Long: `Show what your withdrawals may do, or set it. Flags set all of it anew: what you do not name is gone, so that you
sign nothing but what you have written. Withdrawals to allowed addresses have no delay; with --only nothing
else is paid to. What makes things stricter is in force at once; anything else is so after the longest
delay now in force, and until then you see it coming and can replace it. Only the owner's key may set it.`,
		Example: "  souk withdraw settings\n  souk withdraw settings --only --allow BTC:bc1q... --allow LTC:ltc1q...\n  souk withdraw settings --delay 24h\n  souk withdraw settings --none",
		RunE: func(c *cobra.Command, _ []string) error {
			if f.none && (f.delay != 0 || f.only || len(f.allow) > 0) {
				return usageError{errors.New("--none stands alone: it takes everything back")}
			}
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				if !f.given() {
					set, err := s.client.WithdrawalSettings(ctx, who)
					if err != nil {
						return err
					}
					return a.show(set, func(w io.Writer) { showRules(w, set) })
				}
				return a.setRules(ctx, s, who, &f)
			})
		},
	}
	c.Flags().Var(&f.delay, "delay", "time that a withdrawal waits to an address that is not allowed, such as 12h or 2d")
	c.Flags().BoolVar(&f.only, "only", false, "pay to allowed addresses only")
	c.Flags().StringArrayVar(&f.allow, "allow", nil, "ASSET:ADDRESS that withdrawals go to without delay; may be given several times")
	c.Flags().BoolVar(&f.none, "none", false, "no delay, and no allowed addresses")
	return c
}

func (a *app) setRules(ctx context.Context, s *session, who *api.Signer, f *rulesFlags) error {
	body := &exchange.SetWithdrawals{Settings: custody.Settings{Delay: uint64(time.Duration(f.delay).Milliseconds()), Only: f.only}}
	if body.Delay > custody.MaxDelay {
		return usageError{fmt.Errorf("--delay: at most %s", span(custody.MaxDelay))}
	}
	if len(f.allow) > custody.MaxAllowed {
		return usageError{fmt.Errorf("--allow: at most %d addresses", custody.MaxAllowed)}
	}
	if f.only && len(f.allow) == 0 {
		return usageError{errors.New("--only without --allow: your account could pay nobody, for as long as it takes to change that; name the addresses that it may pay")}
	}
	for _, text := range f.allow {
		symbol, address, ok := strings.Cut(text, ":")
		if !ok {
			return usageError{fmt.Errorf("--allow %s: write asset and address with a colon between, such as BTC:bc1q", text)}
		}
		t, err := vaultOf(ctx, s, symbol)
		if err != nil {
			return err
		}
		out, err := t.Bank.Net.ParseAddress(address)
		if err != nil {
			return usageError{fmt.Errorf("--allow %s: %w", text, err)}
		}
		body.Allowed = append(body.Allowed, custody.Allowed{Bank: t.Bank.ID, Script: out})
	}
	slices.SortFunc(body.Allowed, func(x, y custody.Allowed) int {
		return cmp.Or(cmp.Compare(x.Bank, y.Bank), bytes.Compare(x.Script, y.Script))
	})
	body.Allowed = slices.CompactFunc(body.Allowed, func(x, y custody.Allowed) bool { return x.Bank == y.Bank && bytes.Equal(x.Script, y.Script) })
	var err error
	if body.Salt, err = newSalt(); err != nil {
		return err
	}
	r, err := a.do(ctx, s, who, body)
	if err != nil {
		return err
	}
	return a.showReceipt(&r, func(w io.Writer) {
		if r.Number > r.Time {
			p(w, "set, and in force from %s on\n", when(r.Number))
			return
		}
		p(w, "set, and in force\n")
	})
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
