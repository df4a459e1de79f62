package api

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"souk/exchange"
	"souk/identity"
)

// Status is how the virtual server stands.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return fetch(ctx, c, &call{target: Prefix + "/status", accept: JSON}, func(data []byte) (*Status, error) {
		s, err := decode[Status](data)
		if err != nil {
			return nil, err
		}
		return s, c.pin(s.ID)
	})
}

// Founding is the founding contract; it is the one with the pinned hash.
func (c *Client) Founding(ctx context.Context) (*exchange.Founding, error) {
	return fetch(ctx, c, &call{target: Prefix + "/founding", accept: Binary}, func(data []byte) (*exchange.Founding, error) {
		id, _ := c.pinned()
		return CheckFounding(id, data)
	})
}

// CheckFounding reads a founding contract and checks that it has the hash.
func CheckFounding(id exchange.ID, contract []byte) (*exchange.Founding, error) {
	f, err := exchange.ParseFounding(contract)
	if err != nil {
		return nil, err
	}
	if f.ID() != id {
		return nil, fmt.Errorf("the founding contract is that of virtual server %x, not %x", f.ID(), id)
	}
	return f, nil
}

// LightBlock is the signed header of a height in the consensus engine's encoding,
// as some server has it; height zero is the newest. It is for light clients, who check it.
func (c *Client) LightBlock(ctx context.Context, height uint64) ([]byte, error) {
	return fetch(ctx, c, &call{target: Prefix + "/light/" + strconv.FormatUint(height, 10), accept: Binary},
		func(data []byte) ([]byte, error) { return data, nil })
}

// LightBlockFrom is LightBlock from one server only, for light clients that compare servers.
func (c *Client) LightBlockFrom(ctx context.Context, base string, height uint64) ([]byte, error) {
	if _, err := c.ID(ctx); err != nil {
		return nil, err
	}
	for _, s := range c.servers {
		if s.base == base {
			return c.send(ctx, s, &call{method: "GET", target: Prefix + "/light/" + strconv.FormatUint(height, 10), accept: Binary})
		}
	}
	return nil, fmt.Errorf("%w: %q is not one of the client's servers", ErrConfig, base)
}

// Assets are all assets, page by page, as a server says: to be shown. A Catalog has what may be signed.
func (c *Client) Assets(ctx context.Context) (*Assets, error) {
	all := Assets{Assets: []Asset{}}
	err := pages(func(query string) (uint32, error) {
		page, err := get[Assets](ctx, c, Prefix+"/assets"+query, nil)
		if err != nil {
			return 0, err
		}
		if query == "" {
			all.At = page.At
		}
		all.Assets = append(all.Assets, page.Assets...)
		return page.Next, nil
	})
	if err != nil {
		return nil, err
	}
	return &all, nil
}

// pages asks for the pages of a list of assets one after the other. page answers
// where the next one begins; 0: there is none.
func pages(page func(query string) (next uint32, err error)) error {
	query := ""
	for after := uint32(0); ; {
		next, err := page(query)
		switch {
		case err != nil || next == 0:
			return err
		case next <= after:
			return errors.New("the pages of the list do not go on")
		}
		after, query = next, "?after="+strconv.FormatUint(uint64(next), 10)
	}
}

// Markets are all markets. What makes them and their assets up, which does not
// change, is remembered for Pair.
func (c *Client) Markets(ctx context.Context) (*Markets, error) {
	list, err := get[Markets](ctx, c, Prefix+"/markets", nil)
	if err != nil {
		return nil, err
	}
	for i := range list.Markets {
		if _, err := c.remember(&list.Markets[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Pair is a market by number or by name, as a server says, for writing its money. Its
// last price and pause may be old; Markets has them as they are. Catalog.Pair has what
// may be signed.
func (c *Client) Pair(ctx context.Context, name string) (Pair, error) {
	if p, ok := c.known(name); ok {
		return p, nil
	}
	m, err := get[Market](ctx, c, Prefix+"/markets/"+url.PathEscape(name), nil)
	if err != nil {
		return Pair{}, err
	}
	return c.remember(m)
}

func (c *Client) known(name string) (Pair, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, ok := c.symbols[name]
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		id, ok = uint32(n), true
	}
	if !ok {
		return Pair{}, false
	}
	p, ok := c.pairs[id]
	return p, ok
}

func (c *Client) remember(m *Market) (Pair, error) {
	p, err := m.Pair()
	if err != nil {
		return Pair{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pairs[m.ID] = p
	c.symbols[m.Symbol] = m.ID
	return p, nil
}

// Book is up to depth levels of each side of a market's book.
func (c *Client) Book(ctx context.Context, market string, depth int) (*Book, error) {
	return get[Book](ctx, c, Prefix+"/book/"+url.PathEscape(market)+"?depth="+strconv.Itoa(depth), nil)
}

// Page says which part of a list to get.
type Page struct {
	Market string // number or name; empty for all, where that is allowed
	Before string // only older items: Next of the page before; empty: from the newest
	Limit  int    // zero: the server's choice
	Order  uint64 // fills only: those of this order; zero: of all
}

func (p Page) query() string {
	q := url.Values{}
	if p.Market != "" {
		q.Set("market", p.Market)
	}
	if p.Before != "" {
		q.Set("before", p.Before)
	}
	if p.Limit != 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	if p.Order != 0 {
		q.Set("order", strconv.FormatUint(p.Order, 10))
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// Trades are the newest trades of a market.
func (c *Client) Trades(ctx context.Context, p Page) (*Trades, error) {
	return get[Trades](ctx, c, Prefix+"/trades"+p.query(), nil)
}

// Audit is every term of the conservation sums. If there are many assets, those
// beyond the first page may be of later blocks than it says.
func (c *Client) Audit(ctx context.Context) (*Audit, error) {
	all := Audit{Balanced: true, Assets: []AssetAudit{}}
	err := pages(func(query string) (uint32, error) {
		page, err := get[Audit](ctx, c, Prefix+"/audit"+query, nil)
		if err != nil {
			return 0, err
		}
		if query == "" {
			all.At = page.At
		}
		all.Assets = append(all.Assets, page.Assets...)
		all.Balanced = all.Balanced && page.Balanced
		return page.Next, nil
	})
	if err != nil {
		return nil, err
	}
	return &all, nil
}

// Votes are the open votes, and those that passed a short while ago.
func (c *Client) Votes(ctx context.Context) (*Votes, error) {
	return get[Votes](ctx, c, Prefix+"/votes", nil)
}

// Account is the signer's account.
func (c *Client) Account(ctx context.Context, s *Signer) (*Account, error) {
	return get[Account](ctx, c, accountTarget(s.Account, false), s)
}

func accountTarget(a identity.Address, proof bool) string {
	return Prefix + "/accounts/" + a.String() + proofQuery(proof)
}

// Nonce is the highest used nonce of the signer's key.
func (c *Client) Nonce(ctx context.Context, s *Signer) (*Nonce, error) {
	return get[Nonce](ctx, c, Prefix+"/nonce", s)
}

// Orders are the live orders of the signer's account, in one market or in all.
func (c *Client) Orders(ctx context.Context, s *Signer, market string) (*Orders, error) {
	return get[Orders](ctx, c, Prefix+"/orders"+Page{Market: market}.query(), s)
}

// Order is a live order of the signer's account.
func (c *Client) Order(ctx context.Context, s *Signer, id uint64) (*Order, error) {
	return get[Order](ctx, c, Prefix+"/orders/"+strconv.FormatUint(id, 10), s)
}

// OrderByClient is a live order of the signer's account by client order id; nil if there is none.
func (c *Client) OrderByClient(ctx context.Context, s *Signer, client string) (*Order, error) {
	list, err := get[Orders](ctx, c, Prefix+"/orders?client="+url.QueryEscape(client), s)
	if err != nil || len(list.Orders) == 0 {
		return nil, err
	}
	return &list.Orders[0], nil
}

// Escrow is a locked escrow that the signer's account has a part in.
func (c *Client) Escrow(ctx context.Context, s *Signer, id uint64) (*Escrow, error) {
	return get[Escrow](ctx, c, Prefix+"/escrows/"+strconv.FormatUint(id, 10), s)
}

// Escrows are locked escrows that the signer's account has a part in, newest first:
// with lower ids than before, or from the newest if that is zero.
func (c *Client) Escrows(ctx context.Context, s *Signer, before uint64) (*Escrows, error) {
	target := Prefix + "/escrows"
	if before != 0 {
		target += "?before=" + strconv.FormatUint(before, 10)
	}
	return get[Escrows](ctx, c, target, s)
}

// Fills are the newest fills of the signer's account.
func (c *Client) Fills(ctx context.Context, s *Signer, p Page) (*Fills, error) {
	return get[Fills](ctx, c, Prefix+"/fills"+p.query(), s)
}

// Fate is what became of a command, as the first server to answer knows.
func (c *Client) Fate(ctx context.Context, id exchange.CommandID) (*Fate, error) {
	return get[Fate](ctx, c, fateTarget(id, false), nil)
}

func fateTarget(id exchange.CommandID, proof bool) string {
	return fmt.Sprintf("%s/commands/%x%s", Prefix, id, proofQuery(proof))
}

func proofQuery(proof bool) string {
	if proof {
		return "?proof=1"
	}
	return ""
}
