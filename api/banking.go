package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/merkle"
	"souk/script"
)

// ErrAddress is wrapped for a server that shows a deposit address which is not derived
// from the bank's keys, or is not the account's. Nobody must pay to what it shows.
var ErrAddress = errors.New("do not pay to it")

// Banks are all banks, as a server says.
func (c *Client) Banks(ctx context.Context) (*Banks, error) {
	return get[Banks](ctx, c, Prefix+"/banks", nil)
}

// Bank is the bank of an asset, as a server says.
func (c *Client) Bank(ctx context.Context, of string) (*BankPage, error) {
	return get[BankPage](ctx, c, Prefix+"/banks/"+url.PathEscape(of), nil)
}

// Series is a series of a bank, as a server says.
func (c *Client) Series(ctx context.Context, of string, number uint32) (*SeriesPage, error) {
	return get[SeriesPage](ctx, c, seriesTarget(of, number, false), nil)
}

func seriesTarget(of string, number uint32, proof bool) string {
	return Prefix + "/banks/" + url.PathEscape(of) + "/series/" + strconv.FormatUint(uint64(number), 10) + proofQuery(proof)
}

// Coins are the coins of a bank behind an outpoint, "" for the first, as a server says.
func (c *Client) Coins(ctx context.Context, of, after string) (*Coins, error) {
	target := Prefix + "/banks/" + url.PathEscape(of) + "/coins"
	if after != "" {
		target += "?after=" + url.QueryEscape(after)
	}
	return get[Coins](ctx, c, target, nil)
}

// BankedPage says which part of a list of an account's own things at banks to get.
type BankedPage struct {
	Bank   string // number or symbol of the asset; empty for all banks
	Before string // next of the page before; empty: from the newest
	Limit  int    // zero: the server's choice
	Unused bool   // addresses only: those to which nothing was credited
}

func (p BankedPage) query() string {
	q := url.Values{}
	if p.Bank != "" {
		q.Set("bank", p.Bank)
	}
	if p.Before != "" {
		q.Set("before", p.Before)
	}
	if p.Limit != 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	if p.Unused {
		q.Set("unused", "1")
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

func ownTarget(s *Signer, what string) string {
	return Prefix + "/accounts/" + s.Account.String() + "/" + what
}

// Addresses are deposit addresses of the signer's account, as a server says. Nobody
// must pay to them: VerifiedAddress derives the one to pay to.
func (c *Client) Addresses(ctx context.Context, s *Signer, p BankedPage) (*Addresses, error) {
	return get[Addresses](ctx, c, ownTarget(s, "addresses")+p.query(), s)
}

// Deposits are payments to addresses of the signer's account.
func (c *Client) Deposits(ctx context.Context, s *Signer, p BankedPage) (*Deposits, error) {
	return get[Deposits](ctx, c, ownTarget(s, "deposits")+p.query(), s)
}

// Withdrawals are withdrawals of the signer's account. Before of the page is a number.
func (c *Client) Withdrawals(ctx context.Context, s *Signer, p BankedPage) (*Withdrawals, error) {
	return get[Withdrawals](ctx, c, ownTarget(s, "withdrawals")+p.query(), s)
}

// WithdrawalSettings are what the signer's account says about its withdrawals.
func (c *Client) WithdrawalSettings(ctx context.Context, s *Signer) (*WithdrawalSettings, error) {
	return get[WithdrawalSettings](ctx, c, ownTarget(s, "withdrawal-settings"), s)
}

// VerifiedSettings are what the signer's account says about its withdrawals, proven:
// who changes one of them signs all.
func (c *Client) VerifiedSettings(ctx context.Context, v *Verifier, s *Signer) (custody.SettingsRecord, Proven, error) {
	owner, _, err := c.VerifiedAccount(ctx, v, s)
	if err != nil {
		return custody.SettingsRecord{}, Proven{}, fmt.Errorf("your account: %w", err)
	}
	key := custody.AccountKey(custody.Owner(owner.Number))
	x, at, err := proven(ctx, c, ownTarget(s, "withdrawal-settings")+proofQuery(true), s, func(x *WithdrawalSettings) *Proof { return x.Proof },
		func(ctx context.Context, p *Proof) (custody.SettingsRecord, Proven, error) {
			return provenLeaf(ctx, v, key, p, custody.ParseSettings)
		})
	if errors.Is(err, ErrAbsent) {
		err = nil // nothing was ever set
	}
	return x, at, err
}

// Admit has a member's server open the signer's account, which nobody has paid yet,
// with a first deposit address at the bank of an asset. Servers are asked one after the
// other until one does. The receipt's number is the address: series x 2^32 + index; its
// code is AccountExists if there is an account already.
func (c *Client) Admit(ctx context.Context, s *Signer, of string, salt custody.Salt) (exchange.Receipt, error) {
	if _, err := c.ID(ctx); err != nil {
		return exchange.Receipt{}, err
	}
	target := fmt.Sprintf("%s/admissions?bank=%s&salt=%x", Prefix, url.QueryEscape(of), salt[:])
	r, err := race(ctx, c, 0, func(ctx context.Context, server *server, _ []*server) (exchange.Receipt, error) {
		data, err := c.send(ctx, server, &call{method: http.MethodPost, target: target, accept: JSON, sign: s, limit: admitPatience})
		if err != nil {
			return exchange.Receipt{}, err
		}
		v, err := decode[Receipt](data)
		if err != nil {
			return exchange.Receipt{}, err
		}
		r, err := v.Parse()
		if err == nil && r.Code != exchange.OK && r.Code != exchange.AccountExists {
			err = fmt.Errorf("%s (code %d): %s", r.Code, r.Code, Message(r.Code))
		}
		return r, err
	})
	var final finalError
	if errors.As(err, &final) && !errors.Is(err, ErrServers) {
		err = final.refusal
	}
	c.heard([]exchange.Receipt{r})
	return r, err
}

// admitPatience is how long a server may take to open an account.
const admitPatience = 15 * time.Second

// ProvenBank is a bank as its proven leaf has it.
type ProvenBank struct {
	custody.BankRecord
	ID  custody.Bank
	Net *script.Network
}

// VerifiedBank is the bank of an asset, proven, and that no other bank is: an asset
// has one bank at most (Y-2). ErrAbsent: the asset has none, as far as the servers say.
func (c *Client) VerifiedBank(ctx context.Context, v *Verifier, id asset.ID) (*ProvenBank, Proven, error) {
	said, err := c.Banks(ctx)
	if err != nil {
		return nil, Proven{}, err
	}
	for i := range said.Banks {
		b := &said.Banks[i]
		if asset.ID(b.Asset) != id {
			continue
		}
		key := custody.BankKey(custody.Bank(b.ID))
		leaves, err := c.VerifiedLeaves(ctx, v, []merkle.Key{key})
		if err != nil {
			return nil, Proven{}, err
		}
		x := &ProvenBank{ID: custody.Bank(b.ID)}
		if leaves.Values[0] == nil {
			return nil, Proven{}, fmt.Errorf("bank %d, which a server lists, is proven not to be there: %w", b.ID, ErrProof)
		}
		if x.BankRecord, err = custody.ParseBank(key, leaves.Values[0]); err != nil {
			return nil, Proven{}, fmt.Errorf("the leaf of bank %d is proven, but this program cannot read it: %w", b.ID, err)
		}
		if x.Asset != id {
			return nil, Proven{}, fmt.Errorf("bank %d keeps asset %d, and not %d as a server says: %w", b.ID, x.Asset, id, ErrProof)
		}
		var known bool
		if x.Net, known = script.ByName(x.Network); !known {
			return nil, Proven{}, fmt.Errorf("bank %d is on the network %q, which this program does not know: use a newer one", b.ID, x.Network)
		}
		return x, leaves.Proven, nil
	}
	return nil, Proven{}, ErrAbsent
}

// VerifiedSeries is a series of a bank, proven.
func (c *Client) VerifiedSeries(ctx context.Context, v *Verifier, id custody.Bank, number uint32) (custody.SeriesRecord, Proven, error) {
	key := custody.SeriesKey(id, number)
	leaves, err := c.VerifiedLeaves(ctx, v, []merkle.Key{key})
	if err != nil {
		return custody.SeriesRecord{}, Proven{}, err
	}
	if leaves.Values[0] == nil {
		return custody.SeriesRecord{}, leaves.Proven, ErrAbsent
	}
	x, err := custody.ParseSeries(key, leaves.Values[0])
	if err != nil {
		return x, Proven{}, fmt.Errorf("the leaf of series %d is proven, but this program cannot read it: %w", number, err)
	}
	return x, leaves.Proven, nil
}

// ProvenAddress is a deposit address that was derived from proven keys, and proven to
// be the account's.
type ProvenAddress struct {
	custody.Address
	Bank   *ProvenBank
	Series custody.SeriesRecord
	Text   string // the address
	Script []byte // the output
	At     Proven
	// Liars are servers that showed another address, and what they showed.
	Liars []error
}

// Vault derives the deposit addresses of one bank from its proven keys.
type Vault struct {
	client   *Client
	verifier *Verifier
	Bank     *ProvenBank

	mu     sync.Mutex
	series map[uint32]custody.SeriesRecord
}

// Vault begins to derive addresses of the bank of an asset.
func (c *Client) Vault(ctx context.Context, v *Verifier, id asset.ID) (*Vault, error) {
	b, _, err := c.VerifiedBank(ctx, v, id)
	if err != nil {
		return nil, err
	}
	return &Vault{client: c, verifier: v, Bank: b, series: map[uint32]custody.SeriesRecord{}}, nil
}

// Derive is the address of a series and index, from the proven keys.
func (t *Vault) Derive(ctx context.Context, number, index uint32) (*ProvenAddress, error) {
	t.mu.Lock()
	x, ok := t.series[number]
	t.mu.Unlock()
	if !ok {
		var err error
		if x, _, err = t.client.VerifiedSeries(ctx, t.verifier, t.Bank.ID, number); err != nil {
			return nil, fmt.Errorf("keys of series %d: %w", number, err)
		}
		t.mu.Lock()
		t.series[number] = x
		t.mu.Unlock()
	}
	a := &ProvenAddress{Address: custody.Address{Bank: t.Bank.ID, Series: number, Index: index}, Bank: t.Bank, Series: x}
	var err error
	if a.Script, err = x.Output(script.Deposits, index); err != nil {
		return nil, err
	}
	if a.Text, err = t.Bank.Net.Address(a.Script); err != nil {
		return nil, err
	}
	return a, nil
}

// Own is one of the signer's deposit addresses: derived here from proven keys, and its
// leaf proven to name the signer's account. A server that shows another address is
// passed over for another one; if there is none, the error names it and wraps ErrAddress.
func (t *Vault) Own(ctx context.Context, s *Signer, number, index uint32) (*ProvenAddress, error) {
	a, err := t.Derive(ctx, number, index)
	if err != nil {
		return nil, err
	}
	account, _, err := t.client.VerifiedAccount(ctx, t.verifier, s)
	if err != nil {
		return nil, fmt.Errorf("your account: %w", err)
	}
	symbol := strconv.FormatUint(uint64(t.Bank.Asset), 10)
	target := fmt.Sprintf("%s?at=%d-%d&bank=%s&proof=1", ownTarget(s, "addresses"), number, index, symbol)
	var mu sync.Mutex
	var liars []error
	at, err := fetchFrom(ctx, t.client, &call{target: target, accept: JSON, sign: s}, func(server string, data []byte) (Proven, error) {
		at, err := t.check(ctx, a, uint32(account.Number), data)
		if errors.Is(err, ErrAddress) {
			err = fmt.Errorf("server %s %w", server, err)
			mu.Lock()
			liars = append(liars, err)
			mu.Unlock()
			err = finalError{err}
		}
		return at, err
	})
	if err != nil {
		return nil, err
	}
	a.At, a.Liars = at, liars
	return a, nil
}

// check compares what a server shows of an address with what was derived.
func (t *Vault) check(ctx context.Context, a *ProvenAddress, account uint32, data []byte) (Proven, error) {
	said, err := decode[Addresses](data)
	if err != nil {
		return Proven{}, err
	}
	if len(said.Addresses) != 1 {
		return Proven{}, fmt.Errorf("%d addresses, 1 was asked for", len(said.Addresses))
	}
	x := &said.Addresses[0]
	if x.Address != a.Text {
		return Proven{}, fmt.Errorf("shows an address that is not derived from the bank's keys (%.100q): %w", x.Address, ErrAddress)
	}
	key := custody.AddressKey(a.Address.Bank, a.Address.Series, a.Index)
	leaf, at, err := t.verifier.Leaf(ctx, key, x.Proof)
	if err != nil {
		return Proven{}, err
	}
	if leaf == nil {
		return Proven{}, fmt.Errorf("shows an address that belongs to nobody: what is paid to it is lost: %w", ErrAddress)
	}
	proven, owner, err := custody.ParseAddress(key, leaf)
	switch {
	case err != nil:
		return Proven{}, fmt.Errorf("the leaf is proven, but this program cannot read it: %w", err)
	case uint32(owner) != account:
		return Proven{}, fmt.Errorf("shows an address of another account: %w", ErrAddress)
	}
	a.Address = proven
	return at, nil
}

// Fresh is Own for an address that the signer has just been given, as a server says. Its
// leaf must have the salt that was drawn for it, so that it is no older one, and be of
// the newest series; nothing was credited to it yet. Else the error names the server
// and wraps ErrAddress.
func (t *Vault) Fresh(ctx context.Context, s *Signer, number, index uint32, salt custody.Salt, server string) (*ProvenAddress, error) {
	a, err := t.Own(ctx, s, number, index)
	if err != nil {
		return nil, err
	}
	b, _, err := t.client.VerifiedBank(ctx, t.verifier, t.Bank.Asset)
	if err != nil {
		return nil, err
	}
	why := ""
	switch {
	case a.Salt != salt:
		why = "that is an older one of yours"
	case a.Used:
		why = "something was paid to it before"
	case number+1 != b.Series:
		why = fmt.Sprintf("it is of series %d, and the newest one is %d", number, b.Series-1)
	}
	if why != "" {
		return nil, fmt.Errorf("server %s says that your new address is %s, but %s: %w", server, a.Text, why, ErrAddress)
	}
	return a, nil
}

// Unused finds one of the signer's deposit addresses to which nothing was credited yet,
// newest first; nil if there is none. Only addresses of the newest series count: others
// are watched, but on their way out. A server that lists one to which something was
// credited is passed over; if there is no other, the error names it and wraps ErrAddress.
func (t *Vault) Unused(ctx context.Context, s *Signer) (*ProvenAddress, error) {
	symbol := strconv.FormatUint(uint64(t.Bank.Asset), 10)
	target := ownTarget(s, "addresses") + BankedPage{Bank: symbol, Unused: true, Limit: 1}.query()
	var mu sync.Mutex
	var liars []error
	a, err := fetchFrom(ctx, t.client, &call{target: target, accept: JSON, sign: s}, func(server string, data []byte) (*ProvenAddress, error) {
		list, err := decode[Addresses](data)
		if err != nil || len(list.Addresses) == 0 {
			return nil, err
		}
		x := &list.Addresses[0]
		if x.Series+1 != t.Bank.Series {
			return nil, nil //nolint:nilnil // there is none of the newest series
		}
		a, err := t.Own(ctx, s, x.Series, x.Index)
		if err == nil && a.Used {
			err = fmt.Errorf("server %s says that nothing was paid to %s, but something was: %w", server, a.Text, ErrAddress)
		}
		if errors.Is(err, ErrAddress) {
			mu.Lock()
			liars = append(liars, err)
			mu.Unlock()
			err = finalError{err}
		}
		return a, err
	})
	if err != nil || a == nil {
		return nil, err
	}
	a.Liars = append(a.Liars, liars...)
	return a, nil
}
