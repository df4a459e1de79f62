package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"souk/api"
	"souk/asset"
	"souk/exchange/custody"
	"souk/exchange/roster"
)

// scene is a virtual server as it is now: what it takes to put a proposal into
// words, and to say why it is refused.
//
// What it says of members, and what rates and issuers are, is what a server says. What
// assets and markets are called and counted in is proven, or it says that it is not.
type scene struct {
	status  *api.Status
	markets []api.Market
	assets  []api.Asset
	banks   *api.Banks

	listed func(name string) (api.Listing, error)
	pair   func(name string) (api.Pair, error)
	proven func(*api.Member) error // tells whether his number is proven
	rates  func(market uint32) (roster.SetMarket, error)
	bank   func(asset string) (*api.ProvenBank, error) // by its asset, proven
	keeps  func(bank uint32) (asset.ID, error)         // the asset of a bank, proven
}

func look(ctx context.Context, s *session) (*scene, error) {
	status, err := s.client.Status(ctx)
	if err != nil {
		return nil, err
	}
	markets, err := s.client.Markets(ctx)
	if err != nil {
		return nil, err
	}
	assets, err := s.client.Assets(ctx)
	if err != nil {
		return nil, err
	}
	banks, err := s.client.Banks(ctx)
	if err != nil {
		return nil, err
	}
	return &scene{
		status: status, markets: markets.Markets, assets: assets.Assets, banks: banks,
		listed: func(name string) (api.Listing, error) { return listed(ctx, s, name) },
		pair:   func(name string) (api.Pair, error) { return provenPair(ctx, s, name) },
		proven: func(m *api.Member) error { return provenMember(ctx, s, m) },
		rates:  func(market uint32) (roster.SetMarket, error) { return rateOf(ctx, s, market) },
		bank: func(name string) (*api.ProvenBank, error) {
			t, err := vaultOf(ctx, s, name)
			if err != nil {
				return nil, err
			}
			return t.Bank, nil
		},
		keeps: func(bank uint32) (asset.ID, error) { return keptBy(ctx, s, custody.Bank(bank)) },
	}, nil
}

// memberName is a member as the command line names him: by number and name.
type memberName struct {
	Number uint32 `json:"number"`
	Name   string `json:"name"`
}

// String is how a member is called in a sentence.
func (m memberName) String() string {
	if m.Name == "" {
		return fmt.Sprintf("no. %d", m.Number)
	}
	return fmt.Sprintf("%s (no. %d)", m.Name, m.Number)
}

func named(m *api.Member) memberName { return memberName{m.ID, m.Name} }

func (c *scene) byNumber(id uint32) (*api.Member, bool) {
	for i := range c.status.Members {
		if m := &c.status.Members[i]; m.ID == id {
			return m, true
		}
	}
	return nil, false
}

// nameOf is the name of a member, who may be gone.
func (c *scene) nameOf(id uint32) memberName {
	if m, ok := c.byNumber(id); ok {
		return named(m)
	}
	return memberName{Number: id}
}

// member finds a member by name or by number. Names may be numbers: no.4 is always
// the fourth.
func (c *scene) member(text string) (*api.Member, error) {
	var byName, byNumber *api.Member
	for i := range c.status.Members {
		m := &c.status.Members[i]
		if m.Name == text {
			byName = m
		}
		if n := strconv.FormatUint(uint64(m.ID), 10); n == text || "no."+n == text {
			byNumber = m
		}
	}
	switch {
	case byName != nil && byNumber != nil && byName != byNumber:
		return nil, usageError{fmt.Errorf("%q is the name of one member and the number of another: write no.%d or no.%d", text, byName.ID, byNumber.ID)}
	case byName != nil:
		return byName, c.proven(byName)
	case byNumber != nil:
		return byNumber, nil
	}
	return nil, usageError{fmt.Errorf("no member has the name or the number %q; the members are %s", text, c.everybody())}
}

func (c *scene) everybody() string {
	all := make([]string, len(c.status.Members))
	for i := range c.status.Members {
		all[i] = named(&c.status.Members[i]).String()
	}
	return strings.Join(all, ", ")
}

// numbers are the members' numbers as the roster counts them.
func (c *scene) numbers() []roster.ID {
	all := make([]roster.ID, len(c.status.Members))
	for i := range c.status.Members {
		all[i] = roster.ID(c.status.Members[i].ID)
	}
	return all
}

// market finds a market by name or number, proven.
func (c *scene) market(text string) (api.Pair, error) {
	pair, err := c.pair(text)
	if !nameless(err) {
		return pair, err
	}
	var all []string
	for i := range c.markets {
		all = append(all, c.markets[i].Symbol)
	}
	return pair, usageError{fmt.Errorf("no market has the name or the number %q; there are %s", text, listOf(all))}
}

// asset finds an asset by symbol or number, proven.
func (c *scene) asset(text string) (api.Listing, error) {
	l, err := c.listed(text)
	if !nameless(err) {
		return l, err
	}
	var all []string
	for i := range c.assets {
		all = append(all, c.assets[i].Symbol)
	}
	return l, usageError{fmt.Errorf("no asset has the symbol or the number %q; there are %s", text, listOf(all))}
}

func listOf(all []string) string {
	if len(all) == 0 {
		return "none yet"
	}
	return strings.Join(all, ", ")
}

func (c *scene) marketByID(id uint32) (*api.Market, bool) {
	for i := range c.markets {
		if c.markets[i].ID == id {
			return &c.markets[i], true
		}
	}
	return nil, false
}

// bankName is what a bank is called: by the asset that it is proven to keep.
func (c *scene) bankName(id uint32) string {
	of, err := c.keeps(id)
	if err != nil {
		return fmt.Sprintf("bank %d%s", id, unnamed(err))
	}
	return "the bank of " + c.symbol(of)
}

// hasAsset tells whether there is an asset, as far as the server says.
func (c *scene) hasAsset(id asset.ID) bool {
	return slices.ContainsFunc(c.assets, func(x api.Asset) bool { return x.ID == uint32(id) })
}

// marketName is what a market is called.
func (c *scene) marketName(id uint32) string {
	pair, err := c.pair(strconv.FormatUint(uint64(id), 10))
	if err != nil {
		return fmt.Sprintf("market %d%s", id, unnamed(err))
	}
	return pair.Symbol()
}

// symbol is what an asset is called.
func (c *scene) symbol(id asset.ID) string {
	l, err := c.listed(strconv.FormatUint(uint64(id), 10))
	if err != nil {
		return fmt.Sprintf("asset %d%s", id, unnamed(err))
	}
	return l.Symbol
}

// amount is an amount of an asset, with its symbol.
func (c *scene) amount(id asset.ID, n asset.Amount) string {
	l, err := c.listed(strconv.FormatUint(uint64(id), 10))
	if err != nil {
		return fmt.Sprintf("%d units of asset %d%s", n, id, unnamed(err))
	}
	return l.Format(n) + " " + l.Symbol
}

// unnamed says why something is called by its number.
func unnamed(err error) string {
	if nameless(err) {
		return ""
	}
	return " (its name is not proven)"
}
