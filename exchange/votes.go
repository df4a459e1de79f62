package exchange

import (
	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/exchange/custody"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/identity"
)

func (w *blockWork) vote(t *task) Code {
	var b Vote
	if !whole(&b, (*Vote).read, t.cmd.Body) {
		return BadBody
	}
	if code := w.may(t, ledger.Owner, 0); code != OK {
		return code
	}
	by, ok := w.s.roster.ByOperator(t.cmd.Account)
	if !ok {
		return NotMember
	}
	if !b.Approve {
		return rosterCodes[w.s.roster.Withdraw(by, b.Action, w.in.Height, w.now)]
	}
	action, _, err := roster.ParseAction(b.Action)
	if err != nil || !w.possible(action) {
		return BadAction
	}
	if !w.mayLeave(action) {
		return SignersNeeded
	}
	replaced := w.serverKeyOf(action)
	passed, code := w.s.roster.Approve(by, b.Action, w.in.Height, w.now, w.s.params.VoteBlocks)
	if passed {
		w.carryOut(action, replaced)
		w.event(Event{Kind: EventActionPassed, Action: append([]byte(nil), b.Action...)})
	}
	return rosterCodes[code]
}

// possible tells whether exchange could carry an action out now. Each approval
// is checked, so the one that decides is too.
func (w *blockWork) possible(action roster.Action) bool {
	s := w.s
	switch a := action.(type) {
	case roster.AddMember:
		return w.canServe(a.Card.Operator, a.Card.Server)
	case roster.ReplaceMember:
		m, ok := s.roster.Member(a.Member)
		return ok && w.canServe(m.Operator, a.Server)
	case roster.SetProtocol:
		return a.Version <= ProtocolMax || a.Version == w.version+1
	case roster.PauseMarket:
		_, ok := s.markets.Market(market.ID(a.Market))
		return ok
	case roster.ResumeMarket:
		_, ok := s.markets.Market(market.ID(a.Market))
		return ok
	case roster.CreateMarket:
		return w.canCreate(&a)
	case roster.SetMarket:
		_, ok := s.markets.Market(market.ID(a.Market))
		return ok && a.MakerPPM <= market.MaxFeePPM && a.TakerPPM <= market.MaxFeePPM && a.ReservePPM <= 1_000_000 && a.BandPPM <= market.MaxBandPPM
	case roster.ReserveSymbol:
		_, taken := s.ledger.BySymbol(a.Symbol)
		return !taken && ledger.ValidSymbol(a.Symbol)
	case roster.AllowSymbol:
		_, taken := s.ledger.BySymbol(a.Symbol)
		return !taken && ledger.ValidSymbol(a.Symbol)
	case roster.SpendHouse:
		return w.canSpend(&a)
	case roster.SetParams:
		_, ok := w.newParams(a.Params)
		return ok
	case roster.OpenSeries, roster.SetLimits, roster.HaltBanks, roster.LiftBank:
		return w.possibleBank(action)
	}
	return true
}

// canServe tells whether a server key can be given to an operator's account.
func (w *blockWork) canServe(operator identity.Address, server identity.PublicKey) bool {
	n, ok := w.s.ledger.Find(operator)
	if !ok {
		return server.Check() == nil
	}
	a := w.s.ledger.Account(n)
	if a.Owner == server || a.Rotation.Due != 0 && a.Rotation.Key == server || server.Check() != nil {
		return false
	}
	return len(a.Delegates) < ledger.MaxDelegates
}

func (w *blockWork) canCreate(a *roster.CreateMarket) bool {
	terms, ok := parseTerms(a.Terms)
	if _, has := w.s.ledger.Asset(a.Base); !has || !ok || a.Base == a.Quote || !terms.Valid() {
		return false
	}
	if _, has := w.s.ledger.Asset(a.Quote); !has {
		return false
	}
	for _, m := range w.s.markets.Markets(nil) {
		if m.Base == a.Base && m.Quote == a.Quote {
			return false
		}
	}
	return true
}

func parseTerms(data []byte) (t market.Terms, ok bool) {
	s := cryptobyte.String(data)
	ok = t.Read(&s) && len(s) == 0
	return t, ok
}

// keepInHouse is what a vote must leave in a house balance: the dust that live orders may still claim.
func (w *blockWork) keepInHouse(h ledger.House) asset.Amount {
	if h == ledger.Dust {
		return asset.Amount(w.s.markets.Len()) //nolint:gosec // not negative
	}
	return 0
}

func (w *blockWork) canSpend(a *roster.SpendHouse) bool {
	h := ledger.House(a.House)
	as, ok := w.s.ledger.Asset(a.Asset)
	if !ok || a.Amount == 0 || h < ledger.Fees || h > ledger.Reserve {
		return false
	}
	if n, ok := w.s.ledger.Find(a.To); ok && !w.s.ledger.Room(n, a.Asset) {
		return false
	}
	has := map[ledger.House]asset.Amount{ledger.Fees: as.Fees, ledger.Dust: as.Dust, ledger.Reserve: as.Reserve}[h]
	left, ok := has.Sub(a.Amount)
	return ok && left >= w.keepInHouse(h)
}

func (w *blockWork) newParams(data []byte) (p Params, ok bool) {
	if !whole(&p, (*Params).read, data) || p.Check() != nil {
		return p, false
	}
	if p.FeeAsset != 0 {
		_, ok = w.s.ledger.Asset(p.FeeAsset)
		return p, ok
	}
	return p, true
}

// serverKeyOf is the server key that an action takes power from.
func (w *blockWork) serverKeyOf(action roster.Action) (old struct {
	operator identity.Address
	key      identity.PublicKey
},
) {
	var id roster.ID
	switch a := action.(type) {
	case roster.RemoveMember:
		id = a.Member
	case roster.ReplaceMember:
		id = a.Member
	default:
		return old
	}
	if m, ok := w.s.roster.Member(id); ok {
		old.operator, old.key = m.Operator, m.Server
	}
	return old
}

// carryOut does what roster does not do itself.
func (w *blockWork) carryOut(action roster.Action, old struct {
	operator identity.Address
	key      identity.PublicKey
},
) {
	s := w.s
	if n, ok := s.ledger.Find(old.operator); ok && !old.operator.IsZero() {
		s.ledger.RemoveDelegate(n, old.key)
	}
	switch a := action.(type) {
	case roster.AddMember:
		w.serve(a.Card.Operator, a.Card.Server)
	case roster.ReplaceMember:
		w.serve(old.operator, a.Server)
		if s.banks != nil {
			s.banks.Replaced(custody.Member(a.Member))
		}
	case roster.PauseMarket:
		s.markets.SetPaused(market.ID(a.Market), true)
	case roster.ResumeMarket:
		s.markets.SetPaused(market.ID(a.Market), false)
	case roster.CreateMarket:
		terms, _ := parseTerms(a.Terms)
		if s.createMarket(a.Base, a.Quote, terms) != OK {
			panic("exchange: a market that was possible cannot be made") //nolint:forbidigo // possible checked it
		}
	case roster.SetMarket:
		s.markets.SetFees(market.ID(a.Market), a.MakerPPM, a.TakerPPM, a.ReservePPM)
		s.markets.SetBand(market.ID(a.Market), a.BandPPM)
	case roster.ReserveSymbol:
		s.ledger.Reserve(a.Symbol, identity.Address{})
	case roster.AllowSymbol:
		s.ledger.Reserve(a.Symbol, a.Issuer)
		s.ledger.Open(a.Issuer)
	case roster.SpendHouse:
		h := ledger.House(a.House)
		if !s.ledger.DebitHouse(a.Asset, h, a.Amount, w.keepInHouse(h)) {
			panic("exchange: a house balance that was there is gone") //nolint:forbidigo // possible checked it
		}
		w.later(s.ledger.Open(a.To), a.Asset, a.Amount)
	case roster.SetParams:
		s.params, _ = w.newParams(a.Params)
		s.setLimits()
	case roster.OpenSeries, roster.SetLimits, roster.HaltBanks, roster.LiftBank:
		w.carryOutBank(action)
	}
}

// serve lets a server key act for its operator.
func (w *blockWork) serve(operator identity.Address, key identity.PublicKey) {
	n := w.s.ledger.Open(operator)
	if w.s.ledger.SetDelegate(n, ledger.Delegate{Key: key, Scopes: ledger.Server}, w.now) != ledger.OK {
		panic("exchange: a server key that was possible is refused") //nolint:forbidigo // possible checked it
	}
}

func (w *blockWork) memberReturn(t *task) Code {
	if len(t.cmd.Body) != 0 {
		return BadBody
	}
	if code := w.may(t, ledger.Server, 0); code != OK {
		return code
	}
	id, ok := w.s.roster.ByServer(t.cmd.Key)
	if !ok {
		return NotMember
	}
	code := w.s.roster.Return(id, w.now)
	if code == roster.OK {
		w.event(Event{Kind: EventMemberBack, Number: uint64(id)})
	}
	return rosterCodes[code]
}
