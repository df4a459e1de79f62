package cli

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
)

// proposal is what members vote on, in words and as bytes.
type proposal struct {
	Kind     string       `json:"kind"`
	Text     string       `json:"text"`
	Market   string       `json:"market,omitempty"`
	Member   *memberName  `json:"member,omitempty"` // whom it is about
	Changes  []change     `json:"changes"`
	Approved []memberName `json:"approved"`
	Missing  int          `json:"missing"`          // how many more have to approve
	Lapses   uint64       `json:"lapses,omitempty"` // height from which it is void
	Passed   uint64       `json:"passed,omitempty"` // ms
	Salt     uint32       `json:"salt,omitempty"`
	Action   string       `json:"action"` // hexadecimal, as souk vote on takes it
}

// change is one thing that a proposal would change. From is empty for what is new,
// and where the present value is not known.
type change struct {
	What string `json:"what"`
	From string `json:"from,omitempty"`
	To   string `json:"to"`
}

// String is the change in words.
func (c change) String() string {
	if c.From == "" {
		return c.What + " " + c.To
	}
	return c.What + " " + c.From + " -> " + c.To
}

func joined(changes []change) string {
	all := make([]string, len(changes))
	for i, c := range changes {
		all[i] = c.String()
	}
	return strings.Join(all, ", ")
}

// proposal puts an action into words.
func (c *scene) proposal(action []byte) proposal {
	x := proposal{Action: hex.EncodeToString(action), Changes: []change{}, Approved: []memberName{}}
	a, salt, err := roster.ParseAction(action)
	if err != nil {
		x.Kind, x.Text = "unknown", "something that this souk does not know: is there a newer one?"
		return x
	}
	x.Kind, x.Salt = api.ActionName(a.Kind()), salt
	c.describe(&x, a)
	if salt != 0 {
		x.Text += fmt.Sprintf(" (salt %d)", salt)
	}
	return x
}

// vote is a proposal as it stands.
func (c *scene) vote(v *api.Vote) proposal {
	x := c.proposal(v.Action)
	x.Lapses, x.Passed = v.Lapses, v.Passed
	approved := make([]roster.ID, len(v.Approved))
	for i, id := range v.Approved {
		approved[i] = roster.ID(id)
		x.Approved = append(x.Approved, c.nameOf(id))
	}
	if v.Passed != 0 {
		x.Lapses = 0
		for i := range x.Changes {
			x.Changes[i].From = "" // what is, is what it has brought
		}
		return x
	}
	if a, _, err := roster.ParseAction(v.Action); err == nil {
		yes, needed := roster.Tally(a, c.numbers(), approved)
		x.Missing = max(needed-yes, 0)
	}
	return x
}

// describe fills in the words for an action.
func (c *scene) describe(x *proposal, a roster.Action) {
	aboutMember := func(id roster.ID) *api.Member {
		name := c.nameOf(uint32(id))
		x.Member = &name
		m, _ := c.byNumber(uint32(id))
		return m
	}
	aboutMarket := func(id uint32) *api.Market {
		m, ok := c.marketByID(id)
		x.Market = c.marketName(id)
		if !ok {
			return nil
		}
		return m
	}
	switch a := a.(type) {
	case roster.AddMember:
		x.Member = &memberName{Name: a.Card.Name}
		x.Changes = []change{
			{"url", "", a.Card.URL},
			{"p2p", "", a.Card.P2P},
			{"operator", "", a.Card.Operator.String()},
			{"server key", "", a.Card.Server.String()},
			{"consensus key", "", a.Card.Consensus.String()},
		}
		x.Text = fmt.Sprintf("add the member %s at %s", a.Card.Name, a.Card.URL)
	case roster.RemoveMember:
		aboutMember(a.Member)
		x.Text = fmt.Sprintf("remove the member %s", x.Member)
	case roster.ReplaceMember:
		var was api.Member
		if m := aboutMember(a.Member); m != nil {
			was = *m
		}
		x.Changes = []change{
			{"url", was.URL, a.URL},
			{"p2p", was.P2P, a.P2P},
			{"server key", "", a.Server.String()},
			{"consensus key", was.Consensus, a.Consensus.String()},
		}
		x.Text = fmt.Sprintf("give the member %s a new server at %s", x.Member, a.URL)
	case roster.SetProtocol:
		x.Changes = []change{{"protocol version", fmt.Sprint(c.status.Protocol), fmt.Sprint(a.Version)}, {"from block", "", fmt.Sprint(a.Height)}}
		x.Text = fmt.Sprintf("protocol version %d -> %d from block %d on", c.status.Protocol, a.Version, a.Height)
		if a.Height == 0 {
			x.Changes = x.Changes[:1]
			x.Text = fmt.Sprintf("stay with protocol version %d: call the plan of another one off", a.Version)
		}
	case roster.PauseMarket:
		x.Changes = []change{{"paused", pausedNow(aboutMarket(a.Market)), "yes"}}
		x.Text = "pause the market " + x.Market
	case roster.ResumeMarket:
		x.Changes = []change{{"paused", pausedNow(aboutMarket(a.Market)), "no"}}
		x.Text = "let the paused market " + x.Market + " go on"
	case roster.CreateMarket:
		x.Market = c.symbol(a.Base) + "-" + c.symbol(a.Quote)
		x.Changes = c.termsOf(&a)
		x.Text = fmt.Sprintf("make the market %s: %s", x.Market, joined(x.Changes))
	case roster.SetMarket:
		x.Changes = ratesOf(aboutMarket(a.Market), &a)
		changed := slices.DeleteFunc(slices.Clone(x.Changes), func(c change) bool { return c.From == c.To })
		x.Text = fmt.Sprintf("set the market %s: %s", x.Market, joined(changed))
		if len(changed) == 0 {
			x.Text = fmt.Sprintf("set the market %s to what it is: %s", x.Market, joined(x.Changes))
		}
	case roster.ReserveSymbol:
		x.Changes = []change{{"issuer of " + a.Symbol, "", "nobody"}}
		x.Text = "let nobody issue " + a.Symbol
	case roster.AllowSymbol:
		x.Changes = []change{{"issuer of " + a.Symbol, "", a.Issuer.String()}}
		x.Text = fmt.Sprintf("let %s, and nobody else, issue %s", a.Issuer, a.Symbol)
	case roster.SpendHouse:
		from := houseName(a.House)
		x.Changes = []change{{"from", "", from}, {"amount", "", c.amount(a.Asset, a.Amount)}, {"to", "", a.To.String()}}
		x.Text = fmt.Sprintf("pay %s out of the %s to %s", c.amount(a.Asset, a.Amount), from, a.To)
	case roster.SetParams:
		x.Changes = c.paramsOf(&a)
		changed := slices.DeleteFunc(slices.Clone(x.Changes), func(c change) bool { return c.From == c.To })
		x.Text = "set the rules: " + joined(changed)
		if len(changed) == 0 {
			x.Text = "set the rules to what they are: " + joined(x.Changes)
		}
	default:
		c.describeBank(x, a)
	}
}

func pausedNow(m *api.Market) string {
	switch {
	case m == nil:
		return ""
	case m.Paused:
		return "yes"
	}
	return "no"
}

var houseNames = map[uint8]string{uint8(ledger.Fees): "fees", uint8(ledger.Dust): "dust", uint8(ledger.Reserve): "reserve"}

func houseName(h uint8) string {
	if n, ok := houseNames[h]; ok {
		return n
	}
	return fmt.Sprintf("house balance %d", h)
}

// band is a price band for people.
func band(ppm uint32) string {
	if ppm == 0 {
		return "none"
	}
	return percent(ppm)
}

// ratesOf are the rates that a vote would give a market.
func ratesOf(m *api.Market, a *roster.SetMarket) []change {
	all := []change{
		{"maker fee", "", percent(a.MakerPPM)},
		{"taker fee", "", percent(a.TakerPPM)},
		{"reserve's share of the fees", "", percent(a.ReservePPM)},
		{"price band", "", band(a.BandPPM)},
	}
	if m != nil {
		for i, was := range []string{percent(m.MakerPPM), percent(m.TakerPPM), percent(m.ReservePPM), band(m.BandPPM)} {
			all[i].From = was
		}
	}
	return all
}

// termsOf are the terms of a market to be made.
func (c *scene) termsOf(a *roster.CreateMarket) []change {
	var t market.Terms
	s := cryptobyte.String(a.Terms)
	if !t.Read(&s) || len(s) != 0 {
		return []change{{"terms", "", hex.EncodeToString(a.Terms)}}
	}
	return []change{
		{"tick", "", c.amount(a.Quote, asset.Amount(t.Tick))},
		{"lot", "", c.amount(a.Base, t.Lot)},
		{"least value of an order", "", c.amount(a.Quote, t.MinNotional)},
		{"reference price", "", c.amount(a.Quote, asset.Amount(t.Reference))},
		{"maker fee", "", percent(t.MakerPPM)},
		{"taker fee", "", percent(t.TakerPPM)},
		{"reserve's share of the fees", "", percent(t.ReservePPM)},
		{"price band", "", band(t.BandPPM)},
	}
}

// paramsOf are the rules that a vote would set.
func (c *scene) paramsOf(a *roster.SetParams) []change {
	p, err := exchange.ParseParams(a.Params)
	if err != nil {
		return []change{{"parameters", "", hex.EncodeToString(a.Params)}}
	}
	all := paramChanges(&p, c.commandFee(&p))
	if now, err := exchange.ParseParams(c.status.Params); err == nil {
		for i, was := range paramChanges(&now, c.commandFee(&now)) {
			all[i].From = was.To
		}
	}
	return all
}

// commandFee is the fee of every command, in words.
func (c *scene) commandFee(p *exchange.Params) string {
	if p.FeeAsset == 0 {
		return "none"
	}
	return c.amount(p.FeeAsset, p.Fee)
}

// paramChanges are all rules of a virtual server, in words.
func paramChanges(p *exchange.Params, fee string) []change {
	return []change{
		{"fee per command", "", fee},
		{"commands of an account in a block", "", fmt.Sprint(p.AccountCommands)},
		{"live orders of an account in a market", "", fmt.Sprint(p.MarketOrders)},
		{"delay of a change of owner key", "", span(p.RotationDelay)},
		{"blocks for which a vote is open", "", fmt.Sprint(p.VoteBlocks)},
		{"missed turns that demote", "", fmt.Sprint(p.MissedTurns)},
		{"assets that an account may issue", "", fmt.Sprint(p.AccountAssets)},
	}
}

// span is a time in ms for people.
func span(ms uint64) string {
	const day = 24 * 3600 * 1000
	rest := (time.Duration(ms%day) * time.Millisecond).String()
	switch {
	case ms < day:
		return rest
	case ms%day == 0:
		return count(ms/day, "day")
	}
	return count(ms/day, "day") + " " + rest
}

// print writes a proposal and how it stands.
func (x *proposal) print(w io.Writer, height uint64) {
	p(w, "%s\n", x.Text)
	for _, c := range x.Changes {
		if !strings.Contains(x.Text, c.To) {
			p(w, "  %s\n", c)
		}
	}
	if len(x.Approved) > 0 {
		all := make([]string, len(x.Approved))
		for i, m := range x.Approved {
			all[i] = m.String()
		}
		p(w, "  approved by %s\n", strings.Join(all, ", "))
	}
	if x.Passed != 0 {
		p(w, "  passed on %s\n", when(x.Passed))
		return
	}
	if len(x.Approved) == 0 {
		p(w, "  approved by nobody any more: it is gone\n")
		return
	}
	more := "1 more yes is"
	if x.Missing != 1 {
		more = fmt.Sprintf("%d more are", x.Missing)
	}
	p(w, "  %s missing", more)
	if x.Kind == api.ActionName(roster.KindRemoveMember) || x.Kind == api.ActionName(roster.KindReplaceMember) {
		p(w, " (that of %s does not count, unless there are two members or one)", x.Member)
	}
	p(w, "\n  lapses at block %d, %d blocks from now\n", x.Lapses, x.Lapses-min(height, x.Lapses))
	p(w, "  souk vote on %s\n", x.Action)
}

// find is the vote on an action, and whether there is one.
func findVote(votes []api.Vote, action []byte) (*api.Vote, bool) {
	i := slices.IndexFunc(votes, func(v api.Vote) bool { return bytes.Equal(v.Action, action) })
	if i < 0 {
		return nil, false
	}
	return &votes[i], true
}
