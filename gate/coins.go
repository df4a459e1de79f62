package gate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/store"
	"souk/web/wallet"
)

// _ makes sure that coins are what web/wallet needs.
var _ wallet.Account = (*Coins)(nil)

// Coins are what a session's account has at banks.
type Coins struct {
	s *Session
	// pays tells whether the gate's owner wants it to send coins at all.
	pays bool

	mu      sync.Mutex
	vaults  map[string]*api.Vault
	paying  map[string]chan struct{} // payments that somebody works on, by key
	handing sync.Mutex               // one address at a time
}

// Coins are the session's account as web/wallet has it.
func (s *Session) Coins(pays bool) *Coins {
	return &Coins{s: s, pays: pays, vaults: map[string]*api.Vault{}, paying: map[string]chan struct{}{}}
}

// shown is an address that was handed out.
type shown struct {
	Label string
	Time  uint64 // ms
}

// seen is a deposit that was seen.
type seen struct{ Time uint64 }

func shownKey(name, address string) []byte {
	return []byte(string(keyShown) + name + " " + address)
}

func seenKey(d *api.Deposit) []byte {
	return fmt.Appendf([]byte{keySeen}, "%s:%d", d.Tx, d.Output)
}

// askedKey is where it is remembered when a withdrawal was asked for.
func askedKey(number uint64) []byte { return fmt.Appendf([]byte{keySeen}, "withdrawal:%d", number) }

// asks is an error of somebody who was asked, as web/wallet has it.
func asks(err error) error {
	var e *api.Error
	if err == nil || errors.As(err, &e) && e.Code == api.NotAllowed {
		if err != nil {
			err = fmt.Errorf("%w: it must be allowed to read", wallet.ErrScope)
		}
		return err
	}
	return fmt.Errorf("%w: %w", wallet.ErrUnavailable, err)
}

// Wallets implements wallet.Account.
func (c *Coins) Wallets(ctx context.Context) ([]string, error) {
	banks, err := c.s.config.Client.Banks(ctx)
	if err != nil {
		return nil, asks(err)
	}
	list := []string{}
	for i := range banks.Banks {
		list = append(list, strings.ToLower(banks.Banks[i].Symbol))
	}
	return list, nil
}

// vault is that of a wallet, with proofs.
func (c *Coins) vault(ctx context.Context, name string) (*api.Vault, error) {
	c.mu.Lock()
	t := c.vaults[name]
	c.mu.Unlock()
	if t != nil {
		return t, nil
	}
	if c.s.config.Verifier == nil {
		return nil, fmt.Errorf("%w: nothing can be proven", wallet.ErrUnavailable)
	}
	v, err := c.s.config.Verifier(ctx)
	if err != nil {
		return nil, asks(err)
	}
	l, err := c.s.config.Catalog.Asset(ctx, strings.ToUpper(name))
	if err != nil {
		return nil, asks(err)
	}
	t, err = c.s.config.Client.Vault(ctx, v, l.ID)
	if errors.Is(err, api.ErrAbsent) {
		return nil, wallet.ErrNoWallet
	}
	if err != nil {
		return nil, asks(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.vaults[name] = t
	return t, nil
}

// fresh is a vault that knows the bank as it is now.
func (c *Coins) fresh(ctx context.Context, name string) (*api.Vault, error) {
	c.mu.Lock()
	delete(c.vaults, name)
	c.mu.Unlock()
	return c.vault(ctx, name)
}

// Chain implements wallet.Account.
func (c *Coins) Chain(ctx context.Context, name string) (*wallet.Chain, error) {
	page, err := c.s.config.Client.Bank(ctx, strings.ToUpper(name))
	if err != nil {
		return nil, asks(err)
	}
	least, err := asset.Parse(page.Limits.MinWithdrawal, api.BankDecimals)
	if err != nil {
		return nil, asks(err)
	}
	x := &wallet.Chain{Symbol: page.Symbol, Network: "main", Height: page.Tip.Height, Hash: page.Tip.Hash, Least: least}
	switch {
	case strings.Contains(page.Network, "regtest"):
		x.Network = "regtest"
	case strings.Contains(page.Network, "-"):
		x.Network = "test"
	}
	scopes, err := c.scopes(ctx)
	if err != nil {
		return nil, err
	}
	x.CanPay = c.pays && slices.Contains(scopes, "withdraw")
	return x, nil
}

// scopes are those of the gate's key, as a server says.
func (c *Coins) scopes(ctx context.Context) ([]string, error) {
	account, err := c.s.config.Client.Account(ctx, c.s.config.Signer)
	if err != nil {
		return nil, asks(err)
	}
	own := c.s.config.Signer.Key.Public().String()
	for i := range account.Delegates {
		if account.Delegates[i].Key == own {
			return account.Delegates[i].Scopes, nil
		}
	}
	if account.Owner == own {
		return []string{"read", "trade", "transfer", "withdraw"}, nil
	}
	return nil, nil
}

// Balance implements wallet.Account.
func (c *Coins) Balance(ctx context.Context, name string) (*wallet.Balance, error) {
	all, _, err := c.s.Balances(ctx)
	if err != nil {
		return nil, asks(err)
	}
	x := &wallet.Balance{}
	for _, b := range all {
		if b.Symbol == strings.ToUpper(name) {
			x.Available, x.Held = b.Available, b.Held
		}
	}
	list, err := c.deposits(ctx, name)
	for i := range list {
		if list[i].State == api.DepositCredited {
			continue
		}
		if a, err := asset.Parse(list[i].Amount, api.BankDecimals); err == nil {
			x.Coming += a
		}
	}
	return x, err
}

// maxPages is how many pages of a list are read.
const maxPages = 200

// pages reads a list page by page.
func pages(read func(before string) (next string, err error)) error {
	before := ""
	for range maxPages {
		next, err := read(before)
		if err != nil || next == "" {
			return err
		}
		before = next
	}
	return nil
}

func (c *Coins) deposits(ctx context.Context, name string) (all []api.Deposit, err error) {
	err = pages(func(before string) (string, error) {
		page, err := c.s.config.Client.Deposits(ctx, c.s.config.Signer, api.BankedPage{Bank: strings.ToUpper(name), Before: before, Limit: 100})
		if err != nil {
			return "", asks(err)
		}
		all = append(all, page.Deposits...)
		return page.Next, nil
	})
	return all, err
}

func (c *Coins) withdrawals(ctx context.Context, name string) (all []api.Withdrawal, err error) {
	err = pages(func(before string) (string, error) {
		page, err := c.s.config.Client.Withdrawals(ctx, c.s.config.Signer, api.BankedPage{Bank: strings.ToUpper(name), Before: before, Limit: 100})
		if err != nil {
			return "", asks(err)
		}
		all = append(all, page.Withdrawals...)
		if page.Next == 0 {
			return "", nil
		}
		return strconv.FormatUint(page.Next, 10), nil
	})
	return all, err
}

// own are the account's addresses at a bank, as a server says.
func (c *Coins) own(ctx context.Context, name string, unused bool) (all []api.Address, err error) {
	err = pages(func(before string) (string, error) {
		page, err := c.s.config.Client.Addresses(ctx, c.s.config.Signer, api.BankedPage{Bank: strings.ToUpper(name), Before: before, Limit: 100, Unused: unused})
		if err != nil {
			return "", asks(err)
		}
		all = append(all, page.Addresses...)
		return page.Next, nil
	})
	return all, err
}

// label is what an address was handed out for; false if it was not.
func (c *Coins) label(name, address string) (shown, bool) {
	var x shown
	ok := getJSON(c.s.config.Store, shownKey(name, address), &x)
	return x, ok
}

// Address implements wallet.Account. A key that may have new addresses made has one made;
// another one hands out those that the account has, and that nobody was given yet (J-54).
func (c *Coins) Address(ctx context.Context, name, label string) (string, error) {
	c.handing.Lock()
	defer c.handing.Unlock()
	t, err := c.fresh(ctx, name)
	if err != nil {
		return "", err
	}
	scopes, err := c.scopes(ctx)
	if err != nil {
		return "", err
	}
	var a *api.ProvenAddress
	if slices.Contains(scopes, "transfer") {
		a, err = c.newAddress(ctx, t)
	} else {
		a, err = c.nextAddress(ctx, t, name)
	}
	if err != nil {
		return "", err
	}
	for _, liar := range a.Liars {
		c.s.log.ErrorContext(ctx, "a server shows a deposit address that is not the account's", slog.Any("error", liar))
	}
	b := c.s.config.Store.NewBatch()
	setJSON(b, shownKey(name, a.Text), &shown{Label: label, Time: uint64(time.Now().UnixMilli())})
	return a.Text, b.Commit(true)
}

func (c *Coins) newAddress(ctx context.Context, t *api.Vault) (*api.ProvenAddress, error) {
	salt, err := newSalt()
	if err != nil {
		return nil, err
	}
	r, err := c.s.do(ctx, &exchange.NewAddress{Bank: t.Bank.ID, Salt: salt})
	if err != nil {
		if refusedFor(err) == exchange.TooManyOfBank {
			return nil, fmt.Errorf("%w: the account has %d to which nothing was paid: use one of them", wallet.ErrNoAddress, custody.MaxUnused)
		}
		return nil, refused(err)
	}
	a, err := t.Fresh(ctx, c.s.config.Signer, uint32(r.Number>>32), uint32(r.Number), salt, c.s.config.Client.Servers()[0])
	if err != nil {
		return nil, asks(err)
	}
	return a, nil
}

// nextAddress is the oldest address of the newest series that was neither paid nor handed out.
func (c *Coins) nextAddress(ctx context.Context, t *api.Vault, name string) (*api.ProvenAddress, error) {
	all, err := c.own(ctx, name, true)
	if err != nil {
		return nil, err
	}
	slices.Reverse(all)
	for i := range all {
		x := &all[i]
		if _, given := c.label(name, x.Address); given || x.Used || x.Series+1 != t.Bank.Series {
			continue
		}
		a, err := t.Own(ctx, c.s.config.Signer, x.Series, x.Index)
		if err != nil {
			return nil, asks(err)
		}
		if !a.Used {
			return a, nil
		}
	}
	return nil, fmt.Errorf("%w: the gate's key may not have new ones made; souk deposit %s --new makes one, and souk gate init --allow-withdraw lets the gate do it", wallet.ErrNoAddress, strings.ToUpper(name))
}

// Addresses implements wallet.Account.
func (c *Coins) Addresses(ctx context.Context, name string) ([]wallet.Address, error) {
	all, err := c.own(ctx, name, false)
	if err != nil {
		return nil, err
	}
	list := []wallet.Address{}
	for i := range all {
		x, _ := c.label(name, all[i].Address)
		list = append(list, wallet.Address{Text: all[i].Address, Label: x.Label, Used: all[i].Used})
	}
	return list, nil
}

// Script implements wallet.Account.
func (c *Coins) Script(ctx context.Context, name, address string) (*wallet.Script, error) {
	t, err := c.vault(ctx, name)
	if err != nil {
		return nil, err
	}
	out, err := t.Bank.Net.ParseAddress(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", wallet.ErrAddress, err)
	}
	x := &wallet.Script{Hex: hex.EncodeToString(out)}
	const op1 = 0x51
	switch {
	case len(out) >= 4 && (out[0] == 0 || out[0] >= op1 && out[0] < op1+16) && int(out[1]) == len(out)-2:
		x.Witness, x.WitnessProgram = true, hex.EncodeToString(out[2:])
		if out[0] != 0 {
			x.WitnessVersion = int(out[0]) - op1 + 1
		}
		x.IsScript = x.WitnessVersion != 0 || len(out) == 34
	case len(out) == 23: // OP_HASH160
		x.IsScript = true
	}
	all, err := c.own(ctx, name, false)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if mine, err := t.Bank.Net.ParseAddress(all[i].Address); err == nil && bytes.Equal(mine, out) {
			x.Mine = true
			given, _ := c.label(name, all[i].Address)
			x.Label = given.Label
		}
	}
	return x, nil
}

// Movements implements wallet.Account.
func (c *Coins) Movements(ctx context.Context, name string) ([]wallet.Movement, error) {
	in, err := c.deposits(ctx, name)
	if err != nil {
		return nil, err
	}
	out, err := c.withdrawals(ctx, name)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(in, func(a, b api.Deposit) int { return cmp.Or(cmp.Compare(a.Tx, b.Tx), cmp.Compare(a.Output, b.Output)) })
	slices.SortFunc(out, func(a, b api.Withdrawal) int { return cmp.Compare(a.ID, b.ID) })
	b := c.s.config.Store.NewBatch()
	list := []wallet.Movement{}
	for i := range in {
		m, err := c.arrival(b, name, &in[i])
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	known, err := c.sent(name)
	if err != nil {
		return nil, err
	}
	for i := range out {
		m, err := c.departure(b, &out[i], known)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	slices.SortStableFunc(list, func(a, b wallet.Movement) int { return cmp.Compare(a.Time, b.Time) })
	return list, b.Commit(false)
}

// arrival is a deposit. When it was seen first is remembered, since servers do not say.
func (c *Coins) arrival(b store.Batch, name string, d *api.Deposit) (wallet.Movement, error) {
	amount, err := asset.Parse(d.Amount, api.BankDecimals)
	if err != nil {
		return wallet.Movement{}, asks(err)
	}
	var first seen
	if !getJSON(c.s.config.Store, seenKey(d), &first) {
		first.Time = uint64(time.Now().UnixMilli())
		setJSON(b, seenKey(d), &first)
	}
	given, _ := c.label(name, d.Address)
	return wallet.Movement{
		ID: d.Tx, Tx: d.Tx, Output: d.Output, Address: d.Address, Label: given.Label, Amount: amount, Confirmations: int64(d.Depth),
		Height: d.Height, Trusted: d.State == api.DepositCredited, Time: first.Time, State: d.State,
	}, nil
}

// departure is a withdrawal. When it was asked for is remembered, since servers do not say any
// more when it is settled: times and the order of the list stay (J-50).
func (c *Coins) departure(b store.Batch, x *api.Withdrawal, known map[uint64]*payment) (wallet.Movement, error) {
	m := wallet.Movement{
		ID: c.id(x.ID), Tx: x.Tx, Output: x.Output, Address: x.Address, Send: true, Height: x.Height, Confirmations: int64(x.Depth),
		Time: x.Asked, State: x.State, Trusted: true,
	}
	var asked seen
	p := known[x.ID]
	switch {
	case p != nil:
		m.ID, m.Comment, m.To, m.Time = p.ID, p.Comment, p.To, p.Time
	case getJSON(c.s.config.Store, askedKey(x.ID), &asked):
		m.Time = asked.Time
	default:
		m.Time = cmp.Or(x.Asked, x.From, x.Time)
		setJSON(b, askedKey(x.ID), &seen{Time: m.Time})
	}
	if x.State == api.WithdrawalCancelled {
		m.Abandoned, m.Confirmations, m.Trusted = true, -1, false
	}
	var err error
	if m.Amount, err = asset.Parse(x.Amount, api.BankDecimals); err != nil {
		return m, asks(err)
	}
	if x.Fee != "" {
		if m.Fee, err = asset.Parse(x.Fee, api.BankDecimals); err != nil {
			return m, asks(err)
		}
	}
	return m, nil
}

// Rate implements wallet.Account.
func (c *Coins) Rate(ctx context.Context, name string) (asset.Amount, error) {
	page, err := c.s.config.Client.Bank(ctx, strings.ToUpper(name))
	if err != nil {
		return 0, asks(err)
	}
	return asset.Amount(page.Rate), nil
}

// limits checks a payment against the bank's.
func limits(b *api.ProvenBank, out []byte, amount asset.Amount) error {
	if err := b.Net.Payable(out, b.Tip+1); err != nil {
		return fmt.Errorf("%w: the bank does not pay to it: %w", wallet.ErrAddress, err)
	}
	switch {
	case amount < b.MinWithdrawal:
		return fmt.Errorf("%w: the least payment is %s", wallet.ErrAmount, api.FormatCoins(b.MinWithdrawal))
	case amount > b.MaxPerHour:
		return fmt.Errorf("%w: the bank pays %s an hour, and no more at once", wallet.ErrAmount, api.FormatCoins(b.MaxPerHour))
	}
	return nil
}

// bound is the most that the fee of a payment may be.
func (c *Coins) bound(ctx context.Context, t *api.Vault, name string, out []byte) (asset.Amount, error) {
	rate, err := c.Rate(ctx, name)
	if err != nil {
		return 0, err
	}
	v, err := c.s.config.Verifier(ctx)
	if err != nil {
		return 0, asks(err)
	}
	newest, _, err := c.s.config.Client.VerifiedSeries(ctx, v, t.Bank.ID, t.Bank.Series-1)
	if err != nil {
		return 0, asks(err)
	}
	estimate, _, err := api.PayoutFee(&newest, t.Bank.Net, out, uint64(rate))
	if err != nil {
		return 0, asks(err)
	}
	return api.BoundFactor * estimate, nil
}

// output reads an address that coins are to be paid to.
func (c *Coins) output(ctx context.Context, t *api.Vault, name, address string) ([]byte, error) {
	x, err := c.Script(ctx, name, address)
	if err != nil {
		return nil, err
	}
	if x.Mine {
		return nil, fmt.Errorf("%w: it is a deposit address of this account, so the coins would come back, less the fee", wallet.ErrAddress)
	}
	return t.Bank.Net.ParseAddress(address)
}
