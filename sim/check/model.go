package check

import (
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/identity"
)

// purse is one account's balance of one asset.
type purse struct {
	account identity.Address
	asset   asset.ID
}

// pot is a house balance.
type pot struct {
	asset asset.ID
	house ledger.House
}

// terms is what the model knows of a market.
type terms struct {
	base, quote         asset.ID
	unit                *big.Int // ledger units of one base coin
	maker, taker, share uint64   // ppm
	paused              bool
}

// model counts what events report. Balances are available and held together.
type model struct {
	totals      map[purse]*big.Int
	pots        map[pot]*big.Int
	locked      map[asset.ID]*big.Int
	supply      map[asset.ID]*big.Int
	escrows     map[uint64]lock
	withdrawals map[uint64]*owed
	orders      map[market.OrderID]*order
	markets     map[market.ID]*terms
	places      map[asset.ID]uint8 // decimals
	touched     map[purse]bool
	trade       market.TradeID
	now         uint64
	height      uint64
}

// lock is an open escrow.
type lock struct {
	asset  asset.ID
	amount asset.Amount
}

var million = big.NewInt(1_000_000)

func newModel(s *exchange.State) *model {
	m := &model{
		totals: map[purse]*big.Int{}, pots: map[pot]*big.Int{}, locked: map[asset.ID]*big.Int{}, supply: map[asset.ID]*big.Int{},
		escrows: map[uint64]lock{}, orders: map[market.OrderID]*order{}, markets: map[market.ID]*terms{},
		withdrawals: map[uint64]*owed{},
		places:      map[asset.ID]uint8{}, touched: map[purse]bool{},
	}
	for id := asset.ID(1); int(id) <= s.Ledger().Assets(); id++ {
		a, _ := s.Ledger().Asset(id)
		m.places[id] = a.Decimals
	}
	for _, mk := range s.Markets().Markets(nil) {
		m.market(mk.ID, mk.Base, mk.Quote, &mk.Terms)
	}
	return m
}

func (m *model) market(id market.ID, base, quote asset.ID, t *market.Terms) {
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(m.places[base])), nil)
	m.markets[id] = &terms{
		base: base, quote: quote, unit: unit,
		maker: uint64(t.MakerPPM), taker: uint64(t.TakerPPM), share: uint64(t.ReservePPM),
	}
}

// in returns the number under a key, which begins at zero.
func in[K comparable](numbers map[K]*big.Int, key K) *big.Int {
	n := numbers[key]
	if n == nil {
		n = new(big.Int)
		numbers[key] = n
	}
	return n
}

func (m *model) of(p purse) *big.Int { return in(m.totals, p) }

func (m *model) give(to identity.Address, id asset.ID, amount *big.Int) {
	p := purse{to, id}
	m.touched[p] = true
	m.of(p).Add(m.of(p), amount)
}

func (m *model) take(from identity.Address, id asset.ID, amount *big.Int) error {
	p := purse{from, id}
	m.touched[p] = true
	if m.of(p).Sub(m.of(p), amount).Sign() < 0 {
		return fmt.Errorf("I3: %s has spent %s of asset %d that it has not", from, amount, id)
	}
	return nil
}

func (m *model) house(id asset.ID, h ledger.House, amount *big.Int) error {
	n := in(m.pots, pot{id, h})
	if n.Add(n, amount).Sign() < 0 {
		return fmt.Errorf("I17: house balance %d of asset %d is %s", h, id, n)
	}
	return nil
}

// block takes a block's events. Orders that it places know which one was placed
// by which command through the receipts' numbers.
func (m *model) block(b *exchange.Block, res *exchange.Result) error {
	m.now, m.height = b.Time, b.Height
	for i := range res.Events {
		if err := m.event(&res.Events[i]); err != nil {
			return err
		}
	}
	for _, o := range m.orders {
		if !o.waiting && (o.o.TIF != market.GTC && o.o.TIF != market.GTD || o.marketKind()) {
			return fmt.Errorf("I4: order %d is of a kind that never rests, and does", o.o.ID)
		}
	}
	return nil
}

func (m *model) event(e *exchange.Event) error {
	amount := number(e.Amount)
	switch e.Kind {
	case exchange.EventOrderOpened, exchange.EventOrderClosed, exchange.EventOrderReduced, exchange.EventStopTriggered:
		return m.orderEvent(e)
	case exchange.EventTrade:
		return m.fill(e)
	case exchange.EventTransfer:
		m.give(e.Other, e.Asset, amount)
		return m.take(e.Account, e.Asset, amount)
	case exchange.EventMinted:
		m.give(e.Other, e.Asset, amount)
		in(m.supply, e.Asset).Add(in(m.supply, e.Asset), amount)
	case exchange.EventBurned:
		in(m.supply, e.Asset).Sub(in(m.supply, e.Asset), amount)
		return m.take(e.Account, e.Asset, amount)
	case exchange.EventEscrowLocked:
		if _, ok := m.escrows[e.Number]; ok {
			return fmt.Errorf("I1: escrow %d is opened twice", e.Number)
		}
		m.escrows[e.Number] = lock{e.Asset, e.Amount}
		in(m.locked, e.Asset).Add(in(m.locked, e.Asset), amount)
		return m.take(e.Account, e.Asset, amount)
	case exchange.EventEscrowPaid, exchange.EventEscrowBack:
		return m.payout(e)
	case exchange.EventFee:
		if err := m.house(e.Asset, ledger.Fees, amount); err != nil {
			return err
		}
		return m.take(e.Account, e.Asset, amount)
	case exchange.EventActionPassed:
		return m.action(e.Action)
	case exchange.EventDeposited, exchange.EventWithdrawalBack, exchange.EventWithdrawalSent, exchange.EventReserveUp,
		exchange.EventReserveDown, exchange.EventDonated:
		return errors.Join(m.bank(e), m.withdrawal(e))
	case exchange.EventWithdrawalAsked, exchange.EventWithdrawalCancelled, exchange.EventWithdrawn:
		return m.withdrawal(e)
	case exchange.EventIssued, exchange.EventEscrowDispute, exchange.EventKeysChanged, exchange.EventMemberDemoted,
		exchange.EventMemberBack, exchange.EventMemberBarred, exchange.EventRotated, exchange.EventTimerFired,
		exchange.EventNewAddress, exchange.EventWithdrawalsSet, exchange.EventBatch, exchange.EventSigned, exchange.EventReorganised, exchange.EventBanksHalted,
		exchange.EventBankLifted:
	}
	return nil
}

// withdrawal is what a withdrawal has on hold: it is paid at most once and never
// with more than was asked for (I2, I9).
func (m *model) withdrawal(e *exchange.Event) error {
	w, ok := m.withdrawals[e.Number]
	switch e.Kind { //nolint:exhaustive // those of withdrawals
	case exchange.EventWithdrawalAsked:
		if ok {
			return fmt.Errorf("I9: withdrawal %d is asked for twice", e.Number)
		}
		m.withdrawals[e.Number] = &owed{purse: purse{e.Account, e.Asset}, held: e.Amount}
		return nil
	case exchange.EventWithdrawalSent, exchange.EventWithdrawalBack, exchange.EventWithdrawalCancelled, exchange.EventWithdrawn:
	default:
		return nil
	}
	if !ok || w.purse != (purse{e.Account, e.Asset}) {
		return fmt.Errorf("I9: withdrawal %d of %s is not one", e.Number, e.Account)
	}
	switch e.Kind { //nolint:exhaustive // the same
	case exchange.EventWithdrawalSent:
		if w.sent != 0 || w.held < e.Amount {
			return fmt.Errorf("I2: withdrawal %d has %d on hold, %d were sent, and %d are now", e.Number, w.held, w.sent, e.Amount)
		}
		w.held, w.sent = w.held-e.Amount, e.Amount
	case exchange.EventWithdrawalBack:
		if w.sent != e.Amount {
			return fmt.Errorf("I9: %d of withdrawal %d come back, %d were sent", e.Amount, e.Number, w.sent)
		}
		w.held, w.sent = w.held+e.Amount, 0
	default:
		paid := e.Kind == exchange.EventWithdrawn
		if paid && w.sent != e.Amount || !paid && (w.sent != 0 || w.held != e.Amount) {
			return fmt.Errorf("I9: withdrawal %d ends with %d, it has %d on hold and %d sent", e.Number, e.Amount, w.held, w.sent)
		}
		delete(m.withdrawals, e.Number)
	}
	return nil
}

// owed is a withdrawal: what it has on hold, and what went into a transaction.
type owed struct {
	purse
	held, sent asset.Amount
}

// bank takes what a bank brings into being or ends (I1, I9).
func (m *model) bank(e *exchange.Event) error {
	amount, supply := number(e.Amount), in(m.supply, e.Asset)
	switch e.Kind { //nolint:exhaustive // those of banks that move units
	case exchange.EventDeposited, exchange.EventWithdrawalBack:
		m.give(e.Account, e.Asset, amount)
		supply.Add(supply, amount)
	case exchange.EventWithdrawalSent:
		supply.Sub(supply, amount)
		return m.take(e.Account, e.Asset, amount)
	case exchange.EventReserveUp:
		supply.Add(supply, amount)
		return m.house(e.Asset, ledger.Reserve, amount)
	case exchange.EventReserveDown:
		supply.Sub(supply, amount)
		return m.house(e.Asset, ledger.Reserve, new(big.Int).Neg(amount))
	case exchange.EventDonated:
		burnt := number(e.Number)
		supply.Sub(supply, burnt)
		if err := m.house(e.Asset, ledger.Reserve, new(big.Int).Sub(amount, burnt)); err != nil {
			return err
		}
		return m.take(e.Account, e.Asset, amount)
	}
	return nil
}

func (m *model) payout(e *exchange.Event) error {
	l, ok := m.escrows[e.Number]
	if !ok || l != (lock{e.Asset, e.Amount}) {
		return fmt.Errorf("I1: escrow %d pays out %d of asset %d, it has %+v", e.Number, e.Amount, e.Asset, l)
	}
	delete(m.escrows, e.Number)
	in(m.locked, e.Asset).Sub(in(m.locked, e.Asset), number(e.Amount))
	to := e.Account
	if e.Kind == exchange.EventEscrowPaid {
		to = e.Other
	}
	m.give(to, e.Asset, number(e.Amount))
	return nil
}

// action does to the model what a vote that passed does to money and markets.
func (m *model) action(encoded []byte) error {
	action, _, err := roster.ParseAction(encoded)
	if err != nil {
		return fmt.Errorf("a vote passed on %x: %w", encoded, err)
	}
	switch a := action.(type) {
	case roster.PauseMarket:
		m.markets[market.ID(a.Market)].paused = true
	case roster.ResumeMarket:
		m.markets[market.ID(a.Market)].paused = false
	case roster.SetMarket:
		t := m.markets[market.ID(a.Market)]
		t.maker, t.taker, t.share = uint64(a.MakerPPM), uint64(a.TakerPPM), uint64(a.ReservePPM)
	case roster.CreateMarket:
		var t market.Terms
		s := cryptobyte.String(a.Terms)
		if !t.Read(&s) {
			return fmt.Errorf("a vote passed on terms %x", a.Terms)
		}
		m.market(market.ID(len(m.markets)+1), a.Base, a.Quote, &t)
	case roster.SpendHouse:
		m.give(a.To, a.Asset, number(a.Amount))
		return m.house(a.Asset, ledger.House(a.House), new(big.Int).Neg(number(a.Amount)))
	default:
	}
	return nil
}

// compareAsset compares the terms of an asset's conservation sum (I1).
func (m *model) compareAsset(a *ledger.Audit) error {
	if !a.Balanced {
		return fmt.Errorf("I1: the books of asset %d do not balance: %+v", a.Asset, *a)
	}
	accounts := new(big.Int).Add(number(a.Available), number(a.Held))
	sum := new(big.Int)
	for p, n := range m.totals {
		if p.asset == a.Asset {
			sum.Add(sum, n)
		}
	}
	for _, c := range []struct {
		what string
		got  *big.Int
		want *big.Int
	}{
		{"supply", number(a.Supply), in(m.supply, a.Asset)},
		{"in accounts", accounts, sum},
		{"locked", number(a.Locked), in(m.locked, a.Asset)},
		{"fees", number(a.Fees), in(m.pots, pot{a.Asset, ledger.Fees})},
		{"dust", number(a.Dust), in(m.pots, pot{a.Asset, ledger.Dust})},
		{"reserve", number(a.Reserve), in(m.pots, pot{a.Asset, ledger.Reserve})},
	} {
		if c.got.Cmp(c.want) != 0 {
			return fmt.Errorf("I1: %s of asset %d is %s, events say %s", c.what, a.Asset, c.got, c.want)
		}
	}
	return nil
}
