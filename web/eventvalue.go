package web

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"souk/api"
	"souk/archive"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/identity"
)

// What a block did is told as it was kept, with the names and decimals of the assets and
// markets in it, which never change.

// known remembers markets and assets for writing their money.
type known struct {
	mu     sync.Mutex
	pairs  map[market.ID]*api.Pair
	assets map[asset.ID]ledger.Asset
}

func newKnown() known {
	return known{pairs: map[market.ID]*api.Pair{}, assets: map[asset.ID]ledger.Asset{}}
}

// pairOf is a market that a block named.
func (v *virtual) pairOf(id market.ID) (*api.Pair, error) {
	v.known.mu.Lock()
	defer v.known.mu.Unlock()
	if p := v.known.pairs[id]; p != nil {
		return p, nil
	}
	if err := v.look(func(s *exchange.State) { v.known.pairs = pairs(s) }); err != nil {
		return nil, err
	}
	p := v.known.pairs[id]
	if p == nil {
		return nil, fmt.Errorf("a block names market %d, which there is not", id)
	}
	return p, nil
}

// assetOf is an asset that a block named.
func (v *virtual) assetOf(id asset.ID) (ledger.Asset, error) {
	v.known.mu.Lock()
	defer v.known.mu.Unlock()
	if a, ok := v.known.assets[id]; ok {
		return a, nil
	}
	var a ledger.Asset
	ok := false
	if err := v.look(func(s *exchange.State) { a, ok = s.Ledger().Asset(id) }); err != nil {
		return ledger.Asset{}, err
	}
	if !ok {
		return ledger.Asset{}, fmt.Errorf("a block names asset %d, which there is not", id)
	}
	v.known.assets[id] = a
	return a, nil
}

// marketEvents is what a block did to markets, by number.
func (v *virtual) marketEvents(b *archive.Block) ([]api.MarketEvents, error) {
	by := map[market.ID]*api.MarketEvents{}
	of := func(id market.ID) (*api.MarketEvents, *api.Pair, error) {
		p, err := v.pairOf(id)
		if err != nil {
			return nil, nil, err
		}
		if by[id] == nil {
			by[id] = &api.MarketEvents{Market: uint32(id), Symbol: p.Symbol()}
		}
		return by[id], p, nil
	}
	for i := range b.Levels {
		l := &b.Levels[i]
		m, p, err := of(l.Market)
		if err != nil {
			return nil, err
		}
		change := api.LevelChange{Price: p.FormatPrice(l.Price), Quantity: p.FormatBase(l.Quantity)}
		if l.Side == market.Buy {
			m.Bids = append(m.Bids, change)
		} else {
			m.Asks = append(m.Asks, change)
		}
	}
	for i := range b.Events {
		t, ok := tradeOf(b, &b.Events[i])
		if !ok {
			continue
		}
		m, p, err := of(t.Market)
		if err != nil {
			return nil, err
		}
		m.Trades = append(m.Trades, p.Trade(&t))
	}
	list := make([]api.MarketEvents, 0, len(by))
	for _, m := range by {
		list = append(list, *m)
	}
	slices.SortFunc(list, func(a, b api.MarketEvents) int { return cmp.Compare(a.Market, b.Market) })
	return list, nil
}

// tradeOf is the public record of an event that is a trade.
func tradeOf(b *archive.Block, e *exchange.Event) (exchange.Trade, bool) {
	f := e.Fill
	if e.Kind != exchange.EventTrade || f == nil {
		return exchange.Trade{}, false
	}
	return exchange.Trade{
		ID: f.Trade, Market: f.Market, Price: f.Price, Quantity: f.Quantity, Maker: f.Maker, Taker: f.Taker,
		Taking: f.TakerSide, Inner: f.Inner, Height: b.Height, Time: b.Time,
	}, true
}

// accountEvents is what a block did to an account.
func (v *virtual) accountEvents(b *archive.Block, at *involved, account identity.Address) (*api.AccountEvents, error) {
	r := &api.AccountEvents{Address: account.String(), Events: make([]api.AccountEvent, 0, len(at.commands)+len(at.events))}
	for _, i := range at.commands {
		value := api.ReceiptValue(&b.Commands[i].Receipt)
		r.Events = append(r.Events, api.AccountEvent{Kind: "command", Command: &value})
	}
	for _, i := range at.events {
		if err := v.addEvents(r, b, &b.Events[i], account); err != nil {
			return nil, err
		}
	}
	for _, i := range at.balances {
		x := &b.Balances[i]
		a, err := v.assetOf(x.Asset)
		if err != nil {
			return nil, err
		}
		r.Balances = append(r.Balances, api.Balance{
			Asset: uint32(x.Asset), Symbol: a.Symbol, Available: asset.Format(x.Available, a.Decimals), Held: asset.Format(x.Held, a.Decimals),
		})
	}
	return r, nil
}

// eventNames are the names of what happens to the account that an event names first, and
// to the other; empty where it is nothing of the account's.
var eventNames = [...][2]string{
	exchange.EventOrderOpened: {"order_opened"}, exchange.EventOrderClosed: {"order_closed"}, exchange.EventTrade: {"fill", "fill"},
	exchange.EventTransfer: {"paid", "received"}, exchange.EventMinted: {"minted", "received"}, exchange.EventBurned: {"burned"},
	exchange.EventIssued: {"issued"}, exchange.EventEscrowLocked: {"escrow_locked", "escrow_locked"}, exchange.EventEscrowPaid: {"escrow_paid", "escrow_paid"},
	exchange.EventEscrowBack: {"escrow_back", "escrow_back"}, exchange.EventEscrowDispute: {"escrow_disputed"}, exchange.EventKeysChanged: {"keys_changed"},
	exchange.EventFee: {"fee"}, exchange.EventOrderReduced: {"order_reduced"}, exchange.EventStopTriggered: {"order_triggered"},
	exchange.EventRotated: {"rotated"}, exchange.EventTimerFired: {"timer_fired"}, exchange.EventNewAddress: {"address"},
	exchange.EventDeposited: {"deposited"}, exchange.EventWithdrawalAsked: {"withdrawal_asked"}, exchange.EventWithdrawalCancelled: {"withdrawal_cancelled"},
	exchange.EventWithdrawalSent: {"withdrawal_sent"}, exchange.EventWithdrawalBack: {"withdrawal_back"}, exchange.EventWithdrawn: {"withdrawn"},
	exchange.EventWithdrawalsSet: {"withdrawals_set"}, exchange.EventDonated: {"donated"},
}

// addEvents adds what an event is to an account. It is both sides of what the account did to itself.
func (v *virtual) addEvents(r *api.AccountEvents, b *archive.Block, e *exchange.Event, account identity.Address) error {
	if int(e.Kind) >= len(eventNames) {
		return nil // younger than this code, or nobody's
	}
	for i, is := range [2]struct{ self, other identity.Address }{{e.Account, e.Other}, {e.Other, e.Account}} {
		name := eventNames[e.Kind][i]
		if is.self != account || name == "" {
			continue
		}
		x := api.AccountEvent{Kind: name, Memo: e.Memo, Number: e.Number}
		if e.Fill != nil {
			f, err := v.fillOf(b, e, i == 0)
			if err != nil {
				return err
			}
			x.Fill = f
			r.Events = append(r.Events, x)
			continue
		}
		if !is.other.IsZero() {
			x.Other = is.other.String()
		}
		if e.Order != nil {
			p, err := v.pairOf(e.Order.Market)
			if err != nil {
				return err
			}
			order := p.Order(e.Order)
			x.Order = &order
		}
		if e.Reason != 0 {
			x.Reason = api.ReasonName(e.Reason)
		}
		if e.Asset != 0 {
			a, err := v.assetOf(e.Asset)
			if err != nil {
				return err
			}
			x.Asset = a.Symbol
			if e.Amount != 0 {
				x.Amount = asset.Format(e.Amount, a.Decimals)
			}
		}
		r.Events = append(r.Events, x)
	}
	return nil
}

// fillOf is one side of a trade.
func (v *virtual) fillOf(b *archive.Block, e *exchange.Event, buyer bool) (*api.Fill, error) {
	f := e.Fill
	p, err := v.pairOf(f.Market)
	if err != nil {
		return nil, err
	}
	side, value, fee := market.Sell, f.SellerGot, f.SellerFee
	if buyer {
		side, value, fee = market.Buy, f.BuyerPaid, f.BuyerFee
	}
	order, maker := f.Maker, !f.Inner
	if side == f.TakerSide {
		order, maker = f.Taker, false
	}
	fill := fillValue(p, &Fill{
		Trade: f.Trade, Market: f.Market, Order: order, Side: side, Maker: maker, Inner: f.Inner, Price: f.Price, Quantity: f.Quantity,
		Value: value, Fee: fee, Height: b.Height, Time: b.Time,
	})
	return &fill, nil
}
