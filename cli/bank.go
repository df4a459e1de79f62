package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/asset"
	"souk/exchange"
)

func (a *app) bankCommand() *cobra.Command {
	return &cobra.Command{
		Use: "bank [ASSET]", Short: "Show the banks: wallets, keys, coins, what waits, who attests and signs", Args: cobra.MaximumNArgs(1),
		Long: `Show the banks of the virtual server: what they have and owe, what waits, and whether they are halted. With
an asset also the bank's wallets, its series of keys, its transactions under way, and of every member
whether it attests and signs, late or wrongly. It is what a server says; souk audit --chain rebuilds it from
the chain and from proofs.`,
		Example: "  souk bank\n  souk bank BTC",
		RunE: func(c *cobra.Command, args []string) error {
			return a.with(c.Context(), func(ctx context.Context, s *session) error {
				if len(args) == 0 {
					banks, err := s.client.Banks(ctx)
					if err != nil {
						return err
					}
					return a.show(banks, func(w io.Writer) { showBanks(w, banks) })
				}
				page, err := s.client.Bank(ctx, args[0])
				if api.IsNotFound(err) && !errors.Is(err, api.ErrServers) {
					return noBank(args[0])
				}
				if err != nil {
					return err
				}
				return a.show(page, func(w io.Writer) { showBank(w, page) })
			})
		},
	}
}

func (a *app) donateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "donate ASSET AMOUNT", Short: "Give coins of your account to their bank: to its reserve, or to end a deficit", Args: cobra.ExactArgs(2),
		Long: `Give coins of your account to their bank. If the bank lacks something, they end that first; the rest is its reserve,
which pays the fees that nobody else does: to move coins to new keys, and to hurry transactions.`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				t, err := vaultOf(ctx, s, args[0])
				if err != nil {
					return err
				}
				amount, err := asset.Parse(args[1], api.BankDecimals)
				if err != nil {
					return usageError{err}
				}
				r, err := a.do(ctx, s, who, &exchange.Donate{Bank: t.Bank.ID, Amount: amount})
				if err != nil {
					return err
				}
				return a.showReceipt(&r, func(w io.Writer) { p(w, "gave %s %s to their bank\n", api.FormatCoins(amount), args[0]) })
			})
		},
	}
}

func noBank(name string) error {
	return fmt.Errorf("no bank keeps %s, so it can be neither deposited nor withdrawn; souk bank lists the banks", name)
}

// warnDeposit says what keeps a bank from crediting deposits now, as a server says.
func (a *app) warnDeposit(ctx context.Context, s *session, symbol string) {
	page, err := s.client.Bank(ctx, symbol)
	if err != nil {
		return // it is about the bank's state only; the address is proven
	}
	if page.Halt != nil {
		p(a.err, "DO NOT PAY NOW. %s\n", api.HaltText(page.Halt))
	}
	seeing := 0
	for i := range page.Attestors {
		if m := &page.Attestors[i]; m.Height > 0 && !m.Late && !m.Barred {
			seeing++
		}
	}
	if seeing < page.NeedsVotes {
		p(a.err, "DO NOT PAY NOW: %d of %d members see the chain, and %d must, or nothing is credited. souk bank %s shows who.\n",
			seeing, len(page.Attestors), page.NeedsVotes, symbol)
	}
}

func showBanks(w io.Writer, b *api.Banks) {
	if b.Halt != nil {
		p(w, "%s\n\n", api.HaltText(b.Halt))
	}
	if len(b.Banks) == 0 {
		p(w, "there are no banks: assets here are issued, not deposited\n")
		return
	}
	p(w, "asset\tnetwork\thas\towes\tcoins\twaiting\tunder way\tblock\t\n")
	for i := range b.Banks {
		x := &b.Banks[i]
		note := ""
		if !x.Sums.Balanced {
			note = "DEFICIT " + x.Sums.Deficit
		}
		p(w, "%s\t%s\t%s + %s\t%s\t%d\t%d\t%d\t%d\t%s\n",
			x.Symbol, x.Network, x.Sums.Free, x.Sums.Change, x.Sums.Books, x.Coins, x.Waiting, x.Batches, x.Tip.Height, note)
	}
}

func showBank(w io.Writer, b *api.BankPage) {
	if b.Halt != nil {
		p(w, "%s\n\n", api.HaltText(b.Halt))
	}
	p(w, "bank\t%d of %s on %s\n", b.ID, b.Symbol, b.Network)
	p(w, "keys\t%s\n", keysText(b.Threshold, b.Keys))
	p(w, "chain\tblock %d, %s\n", b.Tip.Height, b.Tip.Hash)
	p(w, "has\t%s in %s, and %s to come back\n", b.Sums.Free, count(b.Coins, "coin"), b.Sums.Change)
	if b.Sums.Lost != "0.00000000" {
		p(w, "lost\t%s, stolen or in doubt\n", b.Sums.Lost)
	}
	p(w, "owes\t%s, of which %s are the reserve for fees\n", b.Sums.Books, b.Sums.Reserve)
	if b.Sums.Balanced {
		p(w, "balance\tit has what it owes\n")
	} else {
		p(w, "balance\tDEFICIT OF %s: what is paid to the bank ends it, on its chain or by souk donate\n", b.Sums.Deficit)
	}
	p(w, "waiting\t%s, %d of them for the end of their delay; %s under way\n", count(b.Waiting, "withdrawal"), b.Delayed, count(b.Batches, "transaction"))
	showWaits(w, b)
	rate := "no rate: too few members know one, so nothing is paid"
	if b.Rate != 0 {
		rate = rateText(b.Network, b.Rate)
	}
	p(w, "fee\t%s\n", rate)
	showLimits(w, "limits", &b.Limits)
	p(w, "\tof the hour %s are used\n", b.HourUsed)
	if b.Next != nil {
		showLimits(w, "from "+when(b.Next.From), &b.Next.Limits)
	}
	p(w, "credited\t%s\n", depthText(b.Confirmations, b.Symbol))
	p(w, "\nwallet\ttotal\tfree coins\n")
	for i, x := range b.Wallets {
		p(w, "%d\t%s\t%d\n", i, x.Total, x.Coins)
	}
	showSeries(w, b)
	showBatches(w, b)
	p(w, "\nmember\tattested\tsigns\t\n")
	for i := range b.Attestors {
		m := &b.Attestors[i]
		p(w, "%s\t%s\t%s\t%s\n", memberName{m.Member, m.Name}, attests(m), signs(m), strings.Join(keyRemarks(m, b.CoolDown), "; "))
	}
}

// showWaits says what a bank waits for, and what to do about it.
func showWaits(w io.Writer, b *api.BankPage) {
	if b.WaitsToBump {
		p(w, "\ta transaction should pay more, and the reserve is short: souk donate %s AMOUNT fills it\n", b.Symbol)
	}
	if b.WaitsToSweep {
		p(w, "\tcoins should move to the newest keys, and the reserve is short: %s\n", missingText(b))
	}
	if b.WaitsToMine {
		p(w, "\t%s\n", api.WaitsToMineText)
	}
	if b.WaitsForRate {
		p(w, "\t%s\n", api.WaitsForRateText)
	}
}

// missingText says what the reserve lacks to move the coins of older series.
func missingText(b *api.BankPage) string {
	return fmt.Sprintf("it has %s, and moving %s costs about %s at the rate of now; %s are missing: souk donate %s %s",
		b.Sums.Reserve, count(b.Old.Coins-b.Old.Small, "coin"), b.Old.Cost, b.Old.Missing, b.Symbol, b.Old.Missing)
}

func keysText(k, n int) string {
	if n == 1 {
		return "1 of 1: THE OPERATOR HOLDS THESE COINS"
	}
	return fmt.Sprintf("%d of %d sign", k, n)
}

func showLimits(w io.Writer, name string, l *api.Limits) {
	p(w, "%s\tdeposits from %s, withdrawals from %s, %s an hour\n", name, l.MinDeposit, l.MinWithdrawal, l.MaxPerHour)
	if l.Delay != 0 {
		p(w, "\tmore than %s to an output that is new for the account waits %s\n", l.DelayAbove, span(l.Delay))
	}
}

// depthText is how deep payments have to be.
func depthText(steps []api.Confirmation, symbol string) string {
	var all []string
	for _, c := range steps {
		blocks := count(c.Blocks, "block")
		if c.UpTo == "" {
			all = append(all, blocks+" above")
			continue
		}
		all = append(all, blocks+" up to "+strings.TrimSuffix(strings.TrimRight(c.UpTo, "0"), ".")+" "+symbol)
	}
	return "after " + strings.Join(all, ", ") + ", paid to the bank in one block of the chain"
}

func showSeries(w io.Writer, b *api.BankPage) {
	p(w, "\nseries\tkeys\taddresses\tcoins\tamount\topened\n")
	for i := range b.AllSeries {
		x := &b.AllSeries[i]
		var who []string
		for _, k := range x.Keys {
			name := k.Name
			if name == "" {
				name = fmt.Sprintf("no. %d", k.Member)
			}
			who = append(who, name)
		}
		opened := "founding"
		if x.Opened != 0 {
			opened = when(x.Opened)
		}
		p(w, "%d\t%d of %s\t%d\t%d\t%s\t%s\n", x.Number, x.Threshold, strings.Join(who, ", "), x.Addresses, x.Coins, x.Amount, opened)
		if r := x.Recovery; r != nil {
			after := count(r.Blocks, "block")
			if r.Seconds != 0 {
				after = span(r.Seconds * 1000)
			}
			p(w, "\trecovery: %d of %d other keys, for coins that have not moved for %s\n", r.Threshold, len(r.Keys), after)
		}
	}
}

func showBatches(w io.Writer, b *api.BankPage) {
	if len(b.Unsettled) == 0 {
		return
	}
	p(w, "\ntransaction\tkind\tpays\tfee\tsigned\tstate\tid\n")
	for i := range b.Unsettled {
		x := &b.Unsettled[i]
		state := "not mined"
		if x.Mined != 0 {
			state = fmt.Sprintf("%d of %d blocks", x.Depth, x.Required)
		}
		p(w, "%d, version %d\t%s\t%d\t%s\t%s\t%s\t%s\n", x.Number, x.Version, x.Kind, x.Payouts, x.Fee, signatures(len(x.Signed), x.Needed), state, x.Tx)
	}
}

// attests says how a member attests.
func attests(m *api.BankMember) string {
	text := fmt.Sprintf("block %d", m.Height)
	if m.Height == 0 {
		text = "nothing yet"
	}
	if m.Late {
		text += fmt.Sprintf(", LATE by %d", m.Behind)
	} else if m.Behind > 0 {
		text += fmt.Sprintf(", %d behind", m.Behind)
	}
	if m.Wrong > 0 {
		text += ", WRONG " + count(m.Wrong, "time")
	}
	return text
}

// signs says how a member signs.
func signs(m *api.BankMember) string {
	switch {
	case m.BadSigns > 0:
		return "WRONGLY, " + count(m.BadSigns, "transaction")
	case m.SignLate:
		return "LATE, " + waits(m.Unsigned)
	case m.Unsigned > 0:
		return waits(m.Unsigned)
	case !m.InSeries:
		return "has no key in the newest series"
	}
	return "yes"
}

// waits says how many transactions wait for a member.
func waits(n int) string {
	if n == 1 {
		return "1 transaction waits for it"
	}
	return count(n, "transaction") + " wait for it"
}

// keyRemarks say what there is to say of a member's key.
func keyRemarks(m *api.BankMember, coolDown uint64) (all []string) {
	switch ready := time.UnixMilli(int64(m.KeySince + coolDown)); {
	case m.Key == "" && !m.InSeries:
		all = append(all, "no key announced")
	case m.KeySince != 0 && time.Now().Before(ready):
		all = append(all, "its new key is good for a series from "+when(m.KeySince+coolDown))
	}
	if m.Barred {
		all = append(all, "barred: what it says does not count")
	}
	return all
}
