package cli

import (
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
)

// whyNot is why members cannot vote on an action now, as far as what a server shows
// says so, once a block has refused it; empty if it is not known.
func (c *scene) whyNot(a roster.Action) string {
	switch a := a.(type) {
	case roster.AddMember:
		if len(c.status.Members) >= roster.MaxMembers {
			return fmt.Sprintf("there are %d members already, the most that are possible", roster.MaxMembers)
		}
		return c.clash(&a.Card, 0)
	case roster.RemoveMember:
		if len(c.status.Members) == 1 {
			return "the last member cannot be removed"
		}
		return c.noMember(a.Member)
	case roster.ReplaceMember:
		if no := c.noMember(a.Member); no != "" {
			return no
		}
		return c.clash(&roster.Card{Server: a.Server, Consensus: a.Consensus}, uint32(a.Member))
	case roster.SetProtocol:
		return c.whyNotProtocol(&a)
	case roster.PauseMarket:
		return c.noMarket(a.Market)
	case roster.ResumeMarket:
		return c.noMarket(a.Market)
	case roster.CreateMarket:
		return c.whyNotMarket(&a)
	case roster.SetMarket:
		if no := c.noMarket(a.Market); no != "" {
			return no
		}
		return tooHigh(a.MakerPPM, a.TakerPPM, a.ReservePPM, a.BandPPM)
	case roster.ReserveSymbol:
		return c.whyNotSymbol(a.Symbol)
	case roster.AllowSymbol:
		return c.whyNotSymbol(a.Symbol)
	case roster.SpendHouse:
		if !c.hasAsset(a.Asset) {
			return fmt.Sprintf("there is no asset %d", a.Asset)
		}
		if a.Amount == 0 {
			return "it would pay nothing"
		}
		// What there is to spend is not in the scene; all else is possible.
		return fmt.Sprintf("the %s do not hold as much: souk audit shows what they have; a little dust is kept for live orders", houseName(a.House))
	case roster.SetParams:
		p, err := exchange.ParseParams(a.Params)
		if err == nil {
			err = p.Check()
		}
		if err != nil {
			return err.Error()
		}
		if p.FeeAsset != 0 && !c.hasAsset(p.FeeAsset) {
			return fmt.Sprintf("there is no asset %d to pay fees in", p.FeeAsset)
		}
	default:
		return c.whyNotBank(a)
	}
	return ""
}

func (c *scene) noMember(id roster.ID) string {
	if _, ok := c.byNumber(uint32(id)); ok {
		return ""
	}
	return fmt.Sprintf("there is no member no. %d; the members are %s", id, c.everybody())
}

func (c *scene) noMarket(id uint32) string {
	if _, ok := c.marketByID(id); ok {
		return ""
	}
	return fmt.Sprintf("there is no market %d", id)
}

// clash says with which member a card shares what no two members may share.
func (c *scene) clash(card *roster.Card, except uint32) string {
	for i := range c.status.Members {
		m := &c.status.Members[i]
		switch {
		case m.Consensus == card.Consensus.String():
			return fmt.Sprintf("%s has this card's consensus key already: a new server has new keys, made by souk init", named(m))
		case m.ID == except:
		case m.Name == card.Name:
			return fmt.Sprintf("%s is called so already", named(m))
		case m.Operator == card.Operator.String():
			return fmt.Sprintf("%s has this operator already", named(m))
		}
	}
	return ""
}

func (c *scene) whyNotProtocol(a *roster.SetProtocol) string {
	now := c.status.Protocol
	switch {
	case a.Height == 0 && c.status.Plan == nil:
		return "height 0 calls a plan off, and there is none"
	case a.Height == 0 && a.Version != now:
		return fmt.Sprintf("to call the plan off, vote for the version in force, %d, at height 0", now)
	case a.Height == 0:
	case a.Version == now:
		return fmt.Sprintf("protocol version %d is in force already", now)
	case a.Version != now+1:
		return fmt.Sprintf("version %d is in force, so the next is %d: versions come one after the other", now, now+1)
	case a.Height <= c.status.Height:
		return fmt.Sprintf("the height must be above that of the newest block, %d", c.status.Height)
	case a.Height-c.status.Height > roster.MaxPlan:
		return fmt.Sprintf("the height is more than %d blocks ahead", roster.MaxPlan)
	}
	return ""
}

func (c *scene) whyNotMarket(a *roster.CreateMarket) string {
	if a.Base == a.Quote {
		return "base and quote are one asset"
	}
	for _, id := range []asset.ID{a.Base, a.Quote} {
		if !c.hasAsset(id) {
			return fmt.Sprintf("there is no asset %d", id)
		}
	}
	for i := range c.markets {
		if m := &c.markets[i]; m.BaseID == uint32(a.Base) && m.QuoteID == uint32(a.Quote) {
			return fmt.Sprintf("there is a market %s already, no. %d; souk vote fees changes its fees", m.Symbol, m.ID)
		}
	}
	var t market.Terms
	s := cryptobyte.String(a.Terms)
	if !t.Read(&s) || len(s) != 0 {
		return "its terms are not encoded as they should be"
	}
	switch {
	case t.Tick == 0 || t.Tick > market.MaxPrice:
		return "the tick must be above zero"
	case t.Lot == 0 || t.Lot > asset.MaxSupply:
		return "the lot must be above zero"
	case t.MinNotional > asset.MaxSupply:
		return "the least value of an order is too large"
	case t.Reference == 0 || t.Reference > market.MaxPrice || t.Reference%t.Tick != 0:
		return "the reference price must be above zero and a multiple of the tick"
	}
	return tooHigh(t.MakerPPM, t.TakerPPM, t.ReservePPM, t.BandPPM)
}

// tooHigh says which rate of a market is too high.
func tooHigh(maker, taker, reserve, band uint32) string {
	switch {
	case maker > market.MaxFeePPM:
		return "the maker fee is at most " + percent(market.MaxFeePPM)
	case taker > market.MaxFeePPM:
		return "the taker fee is at most " + percent(market.MaxFeePPM)
	case reserve > 1_000_000:
		return "the reserve's share of the fees is at most " + percent(1_000_000)
	case band > market.MaxBandPPM:
		return "the price band is at most " + percent(market.MaxBandPPM)
	}
	return ""
}

func (c *scene) whyNotSymbol(symbol string) string {
	if !ledger.ValidSymbol(symbol) {
		return api.Message(exchange.BadSymbol)
	}
	for i := range c.assets {
		if x := &c.assets[i]; x.Symbol == symbol {
			return fmt.Sprintf("%s is an asset already, of %s", x.Symbol, x.Issuer)
		}
	}
	return ""
}

// tooFew says who is without full power when a vote would leave too few.
func (c *scene) tooFew() string {
	var weak []string
	for i := range c.status.Members {
		if m := &c.status.Members[i]; m.Power != roster.FullPower {
			weak = append(weak, named(m).String())
		}
	}
	if len(weak) == 0 {
		return ""
	}
	return "without full power are " + listOf(weak)
}
