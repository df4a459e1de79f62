package cli

import (
	"bufio"
	"bytes"
	"context"
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
	"souk/exchange/custody"
	"souk/exchange/ledger"
	"souk/identity"
	"souk/script"
)

// withdrawFlags are the flags of withdraw.
type withdrawFlags struct {
	maxFee             string
	yes, watch, anyway bool
}

func (a *app) withdrawCommand() *cobra.Command {
	var f withdrawFlags
	c := &cobra.Command{
		Use: "withdraw ASSET AMOUNT ADDRESS", Short: "Pay coins out of your account to an address of their chain", Args: cobra.ExactArgs(3),
		Long: `Pay coins out of your account to an address of their chain. The amount arrives to the unit; your share of the
transaction's fee comes on top, at most --max-fee, and what is left of that comes back. With all as the amount
everything that is available goes: the bound of the fee is set aside, and the rest is paid. Until a
transaction pays it, a withdrawal can be cancelled; after that it ends only by being paid.

You are shown what will be sent and asked for a yes, unless you give --yes. With --watch the withdrawal is
followed until it is mined. With -o json and --watch every line is one JSON object: first the receipt of the
withdrawal, then the withdrawal itself, as souk withdraw list has it, each time that its state changes.`,
		Example: `  souk withdraw BTC 0.5 bc1q...
  souk withdraw BTC 0.5 bc1q... --max-fee 0.0001 --watch
  souk withdraw BTC all bc1q...
  souk withdraw list
  souk withdraw cancel 7
  souk withdraw settings --only --allow BTC:bc1q... --delay 24h`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.watching(c, true, func(ctx context.Context, s *session, who *api.Signer, limit time.Duration) error {
				var x *payout
				err := within(ctx, limit, func(ctx context.Context) (err error) {
					x, err = planPayout(ctx, s, who, args, &f)
					return err
				})
				if err != nil {
					return err
				}
				if err := a.agreed(x, f.yes); err != nil {
					return err
				}
				return a.payOut(ctx, s, who, x, &f, limit)
			})
		},
	}
	c.Flags().StringVar(&f.maxFee, "max-fee", "", fmt.Sprintf("most that your share of the fee may be (default: %d times what it is now)", api.BoundFactor))
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&f.anyway, "anyway", false, "even to a deposit address of your own")
	c.Flags().BoolVar(&f.watch, "watch", false, "go on until a transaction that pays it is mined")
	c.AddCommand(a.withdrawList(), a.withdrawCancel(), a.withdrawSettings())
	return c
}

// payout is a withdrawal that is about to be asked for.
type payout struct {
	exchange.Withdraw
	symbol, address, network string
	all                      bool         // everything that is available
	estimate                 asset.Amount // of its share, if nobody shares the transaction
	delay                    string       // what is to be said of its delay
	warnings                 []string
}

// planPayout makes the command that arguments and flags describe, and says what it will
// cost. Bank, network, least amount and size of transactions are proven; rate, settings
// and halts are what a server says.
func planPayout(ctx context.Context, s *session, who *api.Signer, args []string, f *withdrawFlags) (*payout, error) {
	t, err := vaultOf(ctx, s, args[0])
	if err != nil {
		return nil, err
	}
	b := t.Bank
	x := &payout{symbol: args[0], address: args[2], network: b.Network}
	x.Bank = b.ID
	if x.Salt, err = newSalt(); err != nil {
		return nil, err
	}
	if x.all = args[1] == "all"; !x.all {
		if x.Amount, err = asset.Parse(args[1], api.BankDecimals); err != nil {
			return nil, usageError{err}
		}
	}
	if x.Script, err = b.Net.ParseAddress(args[2]); err != nil {
		if _, souk := identity.ParseAddress(args[2]); souk == nil {
			return nil, usageError{fmt.Errorf("%s is an account of the exchange, not an address of its chain: souk send pays it", args[2])}
		}
		return nil, usageError{fmt.Errorf("%s is no address to pay to: %w", args[2], err)}
	}
	if err := b.Net.Payable(x.Script, b.Tip+1); err != nil {
		return nil, usageError{fmt.Errorf("the bank does not pay to %s: %w", args[2], err)}
	}
	if err := x.within(b); !x.all && err != nil {
		return nil, err
	}
	if err := x.elsewhere(ctx, s, who, b); !f.anyway && err != nil {
		return nil, err
	}
	page, err := s.client.Bank(ctx, strconv.FormatUint(uint64(b.Asset), 10))
	if err != nil {
		return nil, err
	}
	if page.Halt != nil {
		x.warnings = append(x.warnings, api.HaltText(page.Halt)+" Your withdrawal would wait for that.")
	}
	v, err := s.proofs(ctx)
	if err != nil {
		return nil, err
	}
	newest, _, err := s.client.VerifiedSeries(ctx, v, b.ID, b.Series-1)
	if err != nil {
		return nil, err
	}
	if err := x.price(&newest, b.Net, page.Rate, f.maxFee); err != nil {
		return nil, err
	}
	if err := x.afford(ctx, s, who, b, v); err != nil {
		return nil, err
	}
	if err := x.worth(f.maxFee != ""); err != nil {
		return nil, err
	}
	return x, x.rules(ctx, s, who, b)
}

// elsewhere refuses a withdrawal to an address at which the bank itself is paid for this
// account, as a server says: it would come back, less a fee.
func (x *payout) elsewhere(ctx context.Context, s *session, who *api.Signer, b *api.ProvenBank) error {
	page := api.BankedPage{Bank: strconv.FormatUint(uint64(b.Asset), 10), Limit: 100}
	for {
		list, err := s.client.Addresses(ctx, who, page)
		if err != nil {
			return fmt.Errorf("your own deposit addresses: %w", err)
		}
		for i := range list.Addresses {
			if out, err := b.Net.ParseAddress(list.Addresses[i].Address); err == nil && bytes.Equal(out, x.Script) {
				return usageError{fmt.Errorf("%s is a deposit address of your own, so the coins would come back to your account, less the fee; name an address of another wallet, or say --anyway", x.address)}
			}
		}
		if list.Next == "" {
			return nil
		}
		page.Before = list.Next
	}
}

// within checks the amount against the bank's limits.
func (x *payout) within(b *api.ProvenBank) error {
	switch {
	case x.Amount < b.MinWithdrawal:
		return fmt.Errorf("the least withdrawal is %s %s", api.FormatCoins(b.MinWithdrawal), x.symbol)
	case x.Amount > b.MaxPerHour:
		return fmt.Errorf("the bank pays %s %s an hour, and no more at once: withdraw it in parts", api.FormatCoins(b.MaxPerHour), x.symbol)
	}
	return nil
}

// afford compares amount and bound with what the account is proven to have, and sets
// the amount if it is to be all of that.
func (x *payout) afford(ctx context.Context, s *session, who *api.Signer, b *api.ProvenBank, v *api.Verifier) error {
	account, _, err := s.client.VerifiedAccount(ctx, v, who)
	if err != nil && !errors.Is(err, api.ErrAbsent) {
		return fmt.Errorf("your account: %w", err)
	}
	var has ledger.Balance
	for _, h := range account.Balances {
		if h.Asset == b.Asset {
			has = h
		}
	}
	if x.all && has.Available > x.MaxFee {
		x.Amount = has.Available - x.MaxFee
		if err := x.within(b); err != nil {
			return fmt.Errorf("all that is available less the bound of the fee is %s %s, and %w", api.FormatCoins(x.Amount), x.symbol, err)
		}
		return nil
	}
	need, ok := x.Amount.Add(x.MaxFee)
	if ok && need <= has.Available && !x.all {
		return nil
	}
	text := shortage(has.Available, has.Held, need, api.BankDecimals, x.symbol)
	return fmt.Errorf("%s. It takes the amount and the bound of the fee, %s; souk withdraw %s all ADDRESS pays out what is available", text, api.FormatCoins(x.MaxFee), x.symbol)
}

// shortage says what is available, what there is besides, and what is missing.
func shortage(available, held, need asset.Amount, decimals uint8, symbol string) string {
	text := fmt.Sprintf("insufficient funds: %s %s are available", asset.Format(available, decimals), symbol)
	if held > 0 {
		text += fmt.Sprintf(" of %s (%s are in orders and withdrawals; souk account show tells them apart)", asset.Format(available+held, decimals), asset.Format(held, decimals))
	}
	return text + fmt.Sprintf(", %s are needed: %s are missing", asset.Format(need, decimals), asset.Format(need-min(need, available), decimals))
}

// worth refuses a fee that nobody has named and that is much for the amount.
func (x *payout) worth(named bool) error {
	if !named && x.MaxFee > x.Amount/10 {
		return usageError{fmt.Errorf("the fee is about %s %s now, much for so small an amount: say with --max-fee what it may be at most, such as --max-fee %s",
			api.FormatCoins(x.estimate), x.symbol, api.FormatCoins(x.MaxFee))}
	}
	return nil
}

// price estimates the fee and sets its bound.
func (x *payout) price(newest *custody.SeriesRecord, n *script.Network, rate uint64, bound string) error {
	if rate == 0 {
		x.warnings = append(x.warnings, "Too few members know a fee rate now: your withdrawal will wait until more do.")
	}
	estimate, own, err := api.PayoutFee(newest, n, x.Script, rate)
	if err != nil {
		return err
	}
	x.estimate = estimate
	if bound != "" {
		if x.MaxFee, err = asset.Parse(bound, api.BankDecimals); err != nil {
			return usageError{fmt.Errorf("--max-fee: %w", err)}
		}
		switch {
		case x.MaxFee < own:
			return usageError{fmt.Errorf("--max-fee: it must be at least %s %s, for the output alone at the lowest rate", api.FormatCoins(own), x.symbol)}
		case x.MaxFee < x.estimate:
			x.warnings = append(x.warnings, fmt.Sprintf("Alone in its transaction it would cost %s %s now, more than the bound: it may wait for company, or for a lower rate.", api.FormatCoins(x.estimate), x.symbol))
		}
		return nil
	}
	x.MaxFee = api.BoundFactor * x.estimate
	return nil
}

// rules says what the account's settings and the bank's delay mean for a withdrawal, as
// a server says.
func (x *payout) rules(ctx context.Context, s *session, who *api.Signer, b *api.ProvenBank) error {
	set, err := s.client.WithdrawalSettings(ctx, who)
	if err != nil {
		return err
	}
	allowed := false
	for _, o := range set.Now.Allowed {
		allowed = allowed || o.Bank == uint32(b.ID) && o.Script == fmt.Sprintf("%x", x.Script)
	}
	wait := set.Now.Delay
	switch {
	case allowed:
		x.delay = "none: you allow this address"
		return nil
	case set.Now.Only:
		return fmt.Errorf("your account pays to allowed addresses only, and %s is none of them: souk withdraw settings shows them", x.address)
	case x.Amount > b.DelayAbove && b.Delay > wait:
		x.delay = fmt.Sprintf("%s, if you were first paid at this address less than that ago, or never; else %s", span(b.Delay), delayText(wait))
	case b.Delay > wait:
		x.delay = fmt.Sprintf("%s; %s if it is more than %s with what you withdrew to new addresses within that time", delayText(wait), span(b.Delay), asset.Format(b.DelayAbove, 8))
	default:
		x.delay = delayText(wait)
	}
	return nil
}

func delayText(ms uint64) string {
	if ms == 0 {
		return "none"
	}
	return span(ms) + ", by your settings"
}

// agreed shows what will be sent, and asks.
func (a *app) agreed(x *payout, yes bool) error {
	for _, text := range x.warnings {
		p(a.err, "%s\n", text)
	}
	p(a.err, "pay      %s %s to %s (%s)\n", api.FormatCoins(x.Amount), x.symbol, x.address, x.network)
	p(a.err, "fee      about %s %s, less if others share the transaction; at most %s\n", api.FormatCoins(x.estimate), x.symbol, api.FormatCoins(x.MaxFee))
	p(a.err, "together %s %s leave what is available%s; what the fee does not need of it comes back\n", api.FormatCoins(x.Amount+x.MaxFee), x.symbol, map[bool]string{true: ", which is all of it"}[x.all])
	p(a.err, "delay    %s\n", x.delay)
	if yes {
		return nil
	}
	p(a.err, "Send it? Write yes: ")
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if strings.TrimSpace(line) == "yes" {
		return nil
	}
	if err != nil && line == "" {
		p(a.err, "\n")
		return usageError{errors.New("nobody answered, so nothing was sent; give --yes to be asked nothing")}
	}
	return errors.New("nothing was sent")
}

// asked is a withdrawal that was asked for, as programs read it.
type asked struct {
	api.Receipt
	Withdrawal uint64 `json:"withdrawal"`
	Symbol     string `json:"symbol"`
	Amount     string `json:"amount"`
	MaxFee     string `json:"max_fee"`
	Address    string `json:"address"`
}

func (a *app) payOut(ctx context.Context, s *session, who *api.Signer, x *payout, f *withdrawFlags, limit time.Duration) error {
	var r exchange.Receipt
	err := within(ctx, limit, func(ctx context.Context) (err error) {
		r, err = a.do(ctx, s, who, &x.Withdraw)
		return err
	})
	if err != nil {
		return err
	}
	v := asked{api.ReceiptValue(&r), r.Number, x.symbol, api.FormatCoins(x.Amount), api.FormatCoins(x.MaxFee), x.address}
	if f.watch && a.output == "json" {
		a.line(&v, "")
		return a.watchPayout(ctx, s, who, r.Number, limit)
	}
	err = a.show(&v, func(w io.Writer) {
		p(w, "withdrawal %d: %s %s to %s; %s more are held for the fee\n", v.Withdrawal, v.Amount, v.Symbol, v.Address, v.MaxFee)
		p(w, "souk withdraw list shows how far it is; souk withdraw cancel %d takes it back until a transaction pays it\n", v.Withdrawal)
		p(w, "command %s, block %d\n", v.ID, v.Height)
	})
	if err != nil || !f.watch {
		return err
	}
	return a.watchPayout(ctx, s, who, r.Number, limit)
}

// watchPayout tells what becomes of a withdrawal until it is mined.
func (a *app) watchPayout(ctx context.Context, s *session, who *api.Signer, id uint64, limit time.Duration) error {
	told := ""
	for {
		var list *api.Withdrawals
		err := within(ctx, limit, func(ctx context.Context) (err error) {
			list, err = s.client.Withdrawals(ctx, who, api.BankedPage{Before: strconv.FormatUint(id+1, 10), Limit: 1})
			return err
		})
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the user ended it
		}
		if err != nil {
			return err
		}
		if len(list.Withdrawals) == 0 || list.Withdrawals[0].ID != id {
			return fmt.Errorf("withdrawal %d is not there any more, as this server says: it was cancelled, or paid more than 30 days ago", id)
		}
		x := &list.Withdrawals[0]
		if text := payoutText(x); text != told {
			told = text
			a.line(x, "withdrawal %d: %s", id, text)
		}
		ended := x.State == api.WithdrawalMined || x.State == api.WithdrawalPaid || x.State == api.WithdrawalCancelled
		if ended || !pause(ctx) {
			return nil
		}
	}
}

// payoutText says how far a withdrawal has come.
func payoutText(x *api.Withdrawal) string {
	switch x.State {
	case api.WithdrawalDelayed:
		return "waits until " + when(x.From)
	case api.WithdrawalWaiting:
		return "waits " + map[string]string{
			api.WaitsForTurn: "for the next transaction", api.WaitsForHour: "for the hourly limit of the bank",
			api.WaitsForFee: "for a lower fee: its bound is too low now", api.WaitsForRate: "until more members know a fee rate",
			api.WaitsForLift: "until the halt of the banks is lifted", api.WaitsForBlock: "until a transaction under way is mined: as many as may be are not yet",
		}[x.Reason]
	case api.WithdrawalSigning:
		return fmt.Sprintf("signing (%s), fee %s, in %s", signatures(x.Signed, x.Needed), x.Fee, x.Tx)
	case api.WithdrawalSigned:
		return fmt.Sprintf("signed (%s), on its way to a block, fee %s, in %s", signatures(x.Signed, x.Needed), x.Fee, x.Tx)
	case api.WithdrawalMined:
		return fmt.Sprintf("mined, %d of %d blocks, fee %s, in %s:%d", x.Depth, x.Required, x.Fee, x.Tx, x.Output)
	}
	if x.State == api.WithdrawalCancelled {
		return "cancelled " + when(x.Time)
	}
	return fmt.Sprintf("paid, %s, fee %s, in %s:%d", count(x.Depth, "block"), x.Fee, x.Tx, x.Output)
}

func (a *app) withdrawList() *cobra.Command {
	page := api.BankedPage{}
	c := &cobra.Command{
		Use: "list [ASSET]", Short: "List your withdrawals, newest first, and how far they are", Args: cobra.MaximumNArgs(1),
		Long: `List your withdrawals, newest first, and how far they are: all that are not paid, and those that were paid or
cancelled in the last 30 days.`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				page.Bank = args[0]
			}
			if err := limited(page.Limit); err != nil {
				return err
			}
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				list, err := s.client.Withdrawals(ctx, who, page)
				if nameless(err) {
					return noBank(page.Bank)
				}
				if err != nil {
					return err
				}
				return a.show(list, func(w io.Writer) {
					p(w, "no.\tamount\tasset\taddress\tstate\n")
					for i := range list.Withdrawals {
						x := &list.Withdrawals[i]
						p(w, "%d\t%s\t%s\t%s\t%s\n", x.ID, x.Amount, x.Symbol, x.Address, payoutText(x))
					}
					if list.Next != 0 {
						p(w, "older ones: --before %d\n", list.Next)
					}
				})
			})
		},
	}
	c.Flags().IntVar(&page.Limit, "limit", 20, "how many")
	c.Flags().StringVar(&page.Before, "before", "", "only older ones: next of the page before")
	return c
}

func (a *app) withdrawCancel() *cobra.Command {
	return &cobra.Command{
		Use: "cancel NUMBER", Short: "Take a withdrawal back that no transaction pays yet", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 53)
			if err != nil || id == 0 {
				return usageError{fmt.Errorf("%q is no number of a withdrawal; souk withdraw list shows yours", args[0])}
			}
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				r, err := a.do(ctx, s, who, &exchange.CancelWithdrawal{Withdrawal: custody.ID(id)})
				if err != nil {
					return err
				}
				return a.showReceipt(&r, func(w io.Writer) {
					p(w, "withdrawal %d is cancelled; amount and bound of the fee are yours again\n", id)
				})
			})
		},
	}
}
