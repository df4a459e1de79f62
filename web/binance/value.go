package binance

import (
	"strconv"

	"souk/asset"
	"souk/exchange/market"
)

// status is what clients call the state of an order (N-44).
func (o *Order) status() string {
	switch o.Reason {
	case 0:
		if o.Filled > 0 {
			return "PARTIALLY_FILLED"
		}
		return "NEW"
	case market.Filled:
		return "FILLED"
	case market.Cancelled, market.Withdrawn, market.Amended, market.TimerFired:
		return "CANCELED"
	case market.WouldTake:
		return "REJECTED"
	case market.SelfTrade, market.SelfCross:
		return "EXPIRED_IN_MATCH"
	case market.Remainder:
		if o.Quote != 0 && o.Filled > 0 { // as much as the amount was good for
			return "FILLED"
		}
	case market.Expired, market.Killed, market.Linked:
	}
	return "EXPIRED"
}

// kind is what clients call the kind of an order.
func (o *Order) kind() string {
	switch o.Kind {
	case market.LimitOrder:
		if o.PostOnly {
			return "LIMIT_MAKER"
		}
		return "LIMIT"
	case market.MarketOrder:
		return "MARKET"
	case market.StopOrder:
		return "STOP_LOSS"
	case market.StopLimitOrder:
		return "STOP_LOSS_LIMIT"
	case market.TakeProfitOrder:
		return "TAKE_PROFIT"
	case market.TakeProfitLimitOrder:
		return "TAKE_PROFIT_LIMIT"
	}
	return ""
}

// limited tells whether clients know orders of the kind to have a price.
func limited(k market.Kind) bool {
	return k == market.LimitOrder || k == market.StopLimitOrder || k == market.TakeProfitLimitOrder
}

func sideName(s market.Side) string {
	if s == market.Buy {
		return "BUY"
	}
	return "SELL"
}

// tif is what clients call the time in force; orders at the market have GTC there.
func (o *Order) tif() string {
	switch {
	case o.TIF == market.GTD:
		return "GTD"
	case limited(o.Kind) && o.TIF == market.IOC:
		return "IOC"
	case limited(o.Kind) && o.TIF == market.FOK:
		return "FOK"
	}
	return "GTC"
}

// listID is the number of an OCO pair.
func (o *Order) listID() int64 {
	if o.List == 0 {
		return -1
	}
	return int64(o.List)
}

// quantity is the whole quantity; of an order by quote amount, what it traded.
func (o *Order) quantity() asset.Amount {
	if o.Quote != 0 {
		return o.Filled
	}
	return o.Quantity
}

// limit is the price that clients know an order to have.
func (p *pair) limit(o *Order) string {
	if !limited(o.Kind) {
		return p.price(0)
	}
	return p.price(o.Price)
}

// basics is what all answers about an order have.
type basics struct {
	Symbol     string         `json:"symbol"`
	ID         market.OrderID `json:"orderId"`
	List       int64          `json:"orderListId"`
	Client     string         `json:"clientOrderId"`
	Price      string         `json:"price"`
	Quantity   string         `json:"origQty"`
	Filled     string         `json:"executedQty"`
	Quote      string         `json:"origQuoteOrderQty"`
	Value      string         `json:"cummulativeQuoteQty"`
	Status     string         `json:"status"`
	TIF        string         `json:"timeInForce"`
	Kind       string         `json:"type"`
	Side       string         `json:"side"`
	Trigger    string         `json:"stopPrice,omitempty"`
	Prevention string         `json:"selfTradePreventionMode"`
	Settlement string         `json:"settlement"`
}

// final is the settlement of all fills: the block that has them has moved the money (N-44).
const final = "FINAL"

func (p *pair) basics(o *Order) basics {
	b := basics{
		Symbol: p.name, ID: o.ID, List: o.listID(), Client: o.Client, Price: p.limit(o), Quantity: p.base(o.quantity()),
		Filled: p.base(o.Filled), Quote: p.quote(o.Quote), Value: p.quote(o.Value), Status: o.status(), TIF: o.tif(), Kind: o.kind(),
		Side: sideName(o.Side), Prevention: prevention, Settlement: final,
	}
	if o.Trigger != 0 {
		b.Trigger = p.price(o.Trigger)
	}
	return b
}

// orderValue is an order as it is asked for.
type orderValue struct {
	basics
	Iceberg string `json:"icebergQty"`
	Time    uint64 `json:"time"`
	Updated uint64 `json:"updateTime"`
	Working bool   `json:"isWorking"`
	Since   int64  `json:"workingTime"`
}

func (p *pair) order(o *Order) orderValue {
	return orderValue{p.basics(o), p.base(0), o.Time, max(o.Updated, o.Time), o.Status != market.Waiting, o.since()}
}

// since is when an order entered its market; -1: not yet.
func (o *Order) since() int64 {
	if o.Status == market.Waiting {
		return -1
	}
	return int64(o.Time)
}

// placedValue is an order as it was just placed.
type placedValue struct {
	basics
	Time  uint64       `json:"transactTime"`
	Since int64        `json:"workingTime"`
	Fills *[]fillValue `json:"fills,omitempty"`
}

type ackValue struct {
	Symbol string         `json:"symbol"`
	ID     market.OrderID `json:"orderId"`
	List   int64          `json:"orderListId"`
	Client string         `json:"clientOrderId"`
	Time   uint64         `json:"transactTime"`
}

type fillValue struct {
	Price    string         `json:"price"`
	Quantity string         `json:"qty"`
	Fee      string         `json:"commission"`
	Asset    string         `json:"commissionAsset"`
	Trade    market.TradeID `json:"tradeId"`
}

// placed is the answer to a new order, in the form that was asked for.
func (p *pair) placed(o *Placed, form string) any {
	if form == formACK {
		return ackValue{p.name, o.ID, o.listID(), o.Client, o.Time}
	}
	v := placedValue{basics: p.basics(&o.Order), Time: o.Time, Since: o.since()}
	if form == formFull {
		fills := make([]fillValue, 0, len(o.Fills))
		for i := range o.Fills {
			f := &o.Fills[i]
			fills = append(fills, fillValue{p.price(f.Price), p.base(f.Quantity), p.fee(f), p.feeAsset(f), f.Trade})
		}
		v.Fills = &fills
	}
	return v
}

func (p *pair) fee(f *Fill) string { return p.FormatSide(f.Side, f.Fee) }

func (p *pair) feeAsset(f *Fill) string {
	if f.Side == market.Buy {
		return p.BaseSymbol
	}
	return p.QuoteSymbol
}

// cancelledValue is an order that was just cancelled.
type cancelledValue struct {
	basics
	Origin string `json:"origClientOrderId"`
	Time   uint64 `json:"transactTime"`
}

// cancelled is the answer to a cancel; client is the id that its sender gave the cancel.
func (p *pair) cancelled(o *Order, client string) cancelledValue {
	v := cancelledValue{p.basics(o), o.Client, o.Updated}
	if client != "" {
		v.Client = client
	}
	return v
}

// tradeValue is a fill as its owner sees it.
type tradeValue struct {
	Symbol   string         `json:"symbol"`
	ID       market.TradeID `json:"id"`
	Order    market.OrderID `json:"orderId"`
	List     int64          `json:"orderListId"`
	Price    string         `json:"price"`
	Quantity string         `json:"qty"`
	Value    string         `json:"quoteQty"`
	Fee      string         `json:"commission"`
	Asset    string         `json:"commissionAsset"`
	Time     uint64         `json:"time"`
	Buyer    bool           `json:"isBuyer"`
	Maker    bool           `json:"isMaker"`
	Best     bool           `json:"isBestMatch"`
}

func (p *pair) trade(f *Fill) tradeValue {
	return tradeValue{
		p.name, f.Trade, f.Order, -1, p.price(f.Price), p.base(f.Quantity), p.quote(f.Value), p.fee(f), p.feeAsset(f), f.Time,
		f.Side == market.Buy, f.Maker, true,
	}
}

// pairLeg is an order of an OCO pair, in short.
type pairLeg struct {
	Symbol string         `json:"symbol"`
	ID     market.OrderID `json:"orderId"`
	Client string         `json:"clientOrderId"`
}

// pairValue is an OCO pair.
type pairValue struct {
	ID      int64     `json:"orderListId"`
	Kind    string    `json:"contingencyType"`
	Status  string    `json:"listStatusType"`
	Orders  string    `json:"listOrderStatus"`
	Client  string    `json:"listClientOrderId"`
	Time    uint64    `json:"transactionTime"`
	Symbol  string    `json:"symbol"`
	Legs    []pairLeg `json:"orders"`
	Reports []any     `json:"orderReports,omitempty"`
}

func (p *pair) list(legs []Order) pairValue {
	v := pairValue{ID: -1, Kind: "OCO", Status: "ALL_DONE", Orders: "ALL_DONE", Symbol: p.name, Legs: []pairLeg{}}
	for i := range legs {
		o := &legs[i]
		v.ID, v.Time = o.listID(), max(v.Time, o.Updated, o.Time)
		v.Legs = append(v.Legs, pairLeg{p.name, o.ID, o.Client})
		if o.Live() {
			v.Status, v.Orders = "EXEC_STARTED", "EXECUTING"
		}
	}
	v.Client = listName(v.ID)
	return v
}

// listName is the client's id of a pair: the ledger keeps none, so it is made of the number.
func listName(id int64) string { return "list-" + strconv.FormatInt(id, 10) }
