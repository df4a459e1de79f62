package market_test

import (
	"cmp"
	"math/big"
	"slices"

	"souk/asset"
	"souk/exchange/market"
)

// model is the rules of docs/spec/04-market.md once more, as plainly as they can
// be written and sharing no code with the package: every order in one list, every
// question answered by looking at all of them, every product and sum a big.Int.
type model struct {
	terms                      market.Terms
	dec                        uint8
	paused                     bool
	last                       uint64
	limit                      int // order limit
	asked, triggered, expiring int // bounds of M-49, M-60 and M-72
	nextID                     market.OrderID
	trades                     market.TradeID
	orders                     []*plain // live, by id
}

// plain is a live order of the model.
type plain struct {
	market.New
	id        market.OrderID
	left      uint64 // base units to trade; orders by quote amount: at most this many
	status    market.Status
	joined    uint64
	sibling   *plain
	hold      uint64
	cost, fee *big.Int // sums of price*base and of credit*ppm
	paid      uint64   // or got
	charged   uint64
}

func i(v uint64) *big.Int { return new(big.Int).SetUint64(v) }

func mul(x, y uint64) *big.Int { return new(big.Int).Mul(i(x), i(y)) }

func add(x, y *big.Int) *big.Int { return new(big.Int).Add(x, y) }

func sub(x, y *big.Int) *big.Int { return new(big.Int).Sub(x, y) }

func floor(x, y *big.Int) *big.Int { return new(big.Int).Quo(x, y) }

func ceil(x, y *big.Int) *big.Int { return floor(sub(add(x, y), i(1)), y) }

func (m *model) unit() *big.Int {
	return new(big.Int).Exp(i(10), i(uint64(m.dec)), nil)
}

func (m *model) reference() uint64 {
	if m.last != 0 {
		return m.last
	}
	return uint64(m.terms.Reference)
}

const maxSupply = 1<<63 - 1

// check answers the first rule that a new order breaks (M-13), and its hold.
func (m *model) check(n *market.New, now uint64) (hold uint64, code market.Code) {
	tick, lot := uint64(m.terms.Tick), uint64(m.terms.Lot)
	price, quantity := uint64(n.Price), uint64(n.Quantity)
	onTick := func(p uint64) bool { return p != 0 && p <= 1<<62-1 && p%tick == 0 }
	stop := n.Kind == market.StopOrder || n.Kind == market.StopLimitOrder ||
		n.Kind == market.TakeProfitOrder || n.Kind == market.TakeProfitLimitOrder
	middle := m.reference()
	if stop {
		middle = uint64(n.Trigger)
	}
	switch {
	case m.paused:
		return 0, market.Paused
	case !goesTogether(n):
		return 0, market.BadKind
	case !onTick(price):
		return 0, market.BadTick
	case n.Quote == 0 && quantity == 0, quantity%lot != 0:
		return 0, market.BadLot
	case stop && !onTick(uint64(n.Trigger)), !stop && n.Trigger != 0:
		return 0, market.BadTrigger
	case n.TIF == market.GTD && n.Expiry <= now, n.TIF != market.GTD && n.Expiry != 0:
		return 0, market.BadExpiry
	}
	if m.terms.BandPPM != 0 {
		away := new(big.Int).Abs(sub(i(price), i(middle)))
		if new(big.Int).Mul(away, i(1_000_000)).Cmp(mul(middle, uint64(m.terms.BandPPM))) > 0 {
			return 0, market.OutsideBand
		}
	}
	hold, code = m.measure(n, middle)
	if code != market.OK {
		return 0, code
	}
	mine, foks := 0, 0
	for _, o := range m.orders {
		if o.Owner != n.Owner {
			continue
		}
		if n.Client != "" && o.Client == n.Client {
			return 0, market.DuplicateClient
		}
		if o.TIF == market.GTC || o.TIF == market.GTD || o.Trigger != 0 {
			mine++
		}
		if o.TIF == market.FOK {
			foks++
		}
	}
	switch {
	case n.TIF == market.FOK && foks > 0:
		return 0, market.TooManyFOK
	case (n.TIF == market.GTC || n.TIF == market.GTD || stop) && mine >= m.limit:
		return 0, market.TooManyOrders
	}
	return hold, market.OK
}

// goesTogether is the table of M-7.
func goesTogether(n *market.New) bool {
	if n.Side != market.Buy && n.Side != market.Sell {
		return false
	}
	allowed := map[market.Kind][]market.TIF{
		market.LimitOrder:           {market.GTC, market.GTD, market.IOC, market.FOK},
		market.MarketOrder:          {market.IOC, market.FOK},
		market.StopOrder:            {market.GTC, market.GTD},
		market.TakeProfitOrder:      {market.GTC, market.GTD},
		market.StopLimitOrder:       {market.GTC, market.GTD, market.IOC},
		market.TakeProfitLimitOrder: {market.GTC, market.GTD, market.IOC},
	}
	if !slices.Contains(allowed[n.Kind], n.TIF) {
		return false
	}
	limit := n.Kind == market.LimitOrder || n.Kind == market.StopLimitOrder || n.Kind == market.TakeProfitLimitOrder
	if n.PostOnly && (!limit || n.TIF != market.GTC && n.TIF != market.GTD) {
		return false
	}
	return n.Quote == 0 || n.Kind == market.MarketOrder && n.TIF == market.IOC && n.Quantity == 0
}

func (m *model) measure(n *market.New, middle uint64) (hold uint64, code market.Code) {
	price, lot := uint64(n.Price), uint64(m.terms.Lot)
	if n.Quote != 0 {
		if n.Quote > maxSupply {
			return 0, market.Overflow
		}
		if n.Quote < m.terms.MinNotional {
			return 0, market.BelowMinNotional
		}
		if n.Side == market.Buy {
			return uint64(n.Quote), market.OK
		}
		lots := floor(new(big.Int).Mul(i(uint64(n.Quote)), m.unit()), mul(price, lot))
		base := new(big.Int).Mul(lots, i(lot))
		if lots.Cmp(i(market.MaxLots)) > 0 || base.Cmp(i(maxSupply)) > 0 {
			return 0, market.Overflow
		}
		if lots.Sign() == 0 {
			return 0, market.BadLot
		}
		return base.Uint64(), market.OK
	}
	worst := ceil(mul(price, uint64(n.Quantity)), m.unit())
	if uint64(n.Quantity)/lot > market.MaxLots || n.Quantity > maxSupply || worst.Cmp(i(maxSupply)) > 0 {
		return 0, market.Overflow
	}
	value := worst
	if n.Kind == market.MarketOrder || n.Kind == market.StopOrder || n.Kind == market.TakeProfitOrder {
		value = ceil(mul(middle, uint64(n.Quantity)), m.unit())
	}
	if value.Cmp(i(uint64(m.terms.MinNotional))) < 0 {
		return 0, market.BelowMinNotional
	}
	if n.Side == market.Sell {
		return uint64(n.Quantity), market.OK
	}
	return worst.Uint64(), market.OK
}

// stage takes up an order whose hold is reserved, under the next id (M-5).
func (m *model) stage(n *market.New, hold uint64) *plain {
	o := &plain{New: *n, id: m.nextID, left: uint64(n.Quantity), hold: hold, cost: i(0), fee: i(0), status: market.Staged}
	m.nextID++
	if n.Quote != 0 {
		o.left = hold
		if n.Side == market.Buy {
			o.left = market.MaxLots * uint64(m.terms.Lot)
		}
	}
	if n.Trigger != 0 {
		o.status = market.Waiting
	}
	m.orders = append(m.orders, o)
	return o
}

func (m *model) find(id market.OrderID) *plain {
	for _, o := range m.orders {
		if o.id == id {
			return o
		}
	}
	return nil
}

// ended is what the model says of a closed order.
type ended struct {
	ID      market.OrderID
	Why     market.Reason
	Release uint64
	Filled  uint64
	Value   uint64
	Fee     uint64
}

// close closes an order and the other leg of its pair.
func (m *model) close(o *plain, why market.Reason) (all []ended) {
	m.orders = slices.DeleteFunc(m.orders, func(x *plain) bool { return x == o })
	all = append(all, ended{o.id, why, o.hold, m.filled(o), o.paid, o.charged})
	if s := o.sibling; s != nil {
		o.sibling, s.sibling = nil, nil
		all = append(all, m.close(s, market.Linked)...)
	}
	return all
}

// part closes the other leg of a pair; what the shared hold has too much goes with it.
func (m *model) part(o *plain) []ended {
	s := o.sibling
	if s == nil {
		return nil
	}
	shared := o.hold + s.hold
	o.hold = m.need(o)
	s.hold = shared - o.hold
	o.sibling, s.sibling = nil, nil
	return m.close(s, market.Linked)
}

func (m *model) filled(o *plain) uint64 {
	if o.Quote == 0 {
		return uint64(o.Quantity) - o.left
	}
	if o.Side == market.Buy {
		return market.MaxLots*uint64(m.terms.Lot) - o.left
	}
	hold, _ := m.measure(&o.New, 0)
	return hold - o.left
}

// need is the hold of an order: what it can still cost at worst, given what it
// has paid (M-14 to M-16).
func (m *model) need(o *plain) uint64 {
	switch {
	case o.Side == market.Sell:
		return o.left
	case o.Quote != 0:
		return uint64(o.Quote) - o.paid
	}
	return sub(ceil(add(o.cost, mul(uint64(o.Price), o.left)), m.unit()), i(o.paid)).Uint64()
}

func (m *model) expired(now uint64) (all []ended) {
	for n := 0; ; n++ {
		due := slices.Clone(m.orders)
		due = slices.DeleteFunc(due, func(o *plain) bool { return o.Expiry == 0 || o.Expiry > now })
		if len(due) == 0 || n == m.expiring {
			return all
		}
		slices.SortFunc(due, func(x, y *plain) int { return cmp.Or(cmp.Compare(x.Expiry, y.Expiry), cmp.Compare(x.id, y.id)) })
		all = append(all, m.close(due[0], market.Expired)...)
	}
}

// trigger starts the stops that the last price has reached (M-60).
func (m *model) trigger() (ids []market.OrderID, all []ended) {
	if m.paused || m.last == 0 {
		return nil, nil
	}
	var rising, falling []*plain
	for _, o := range m.orders {
		up := o.Side == market.Buy
		if o.Kind == market.TakeProfitOrder || o.Kind == market.TakeProfitLimitOrder {
			up = !up
		}
		switch {
		case o.status != market.Waiting:
		case up && m.last >= uint64(o.Trigger):
			rising = append(rising, o)
		case !up && m.last <= uint64(o.Trigger):
			falling = append(falling, o)
		}
	}
	slices.SortStableFunc(rising, func(x, y *plain) int { return cmp.Compare(x.Trigger, y.Trigger) })
	slices.SortStableFunc(falling, func(x, y *plain) int { return cmp.Compare(y.Trigger, x.Trigger) })
	fired := append(rising, falling...)
	fired = fired[:min(len(fired), m.triggered)]
	slices.SortFunc(fired, func(x, y *plain) int { return cmp.Compare(x.id, y.id) })
	for _, o := range fired {
		o.status = market.Staged
		ids = append(ids, o.id)
		all = append(all, m.part(o)...)
	}
	return ids, all
}

// reduce lowers an order's quantity (M-71).
func (m *model) reduce(id market.OrderID, quantity uint64) (release uint64, code market.Code) {
	o := m.find(id)
	if o == nil {
		return 0, market.UnknownOrder
	}
	filled := m.filled(o)
	if o.Quote != 0 || o.sibling != nil || quantity%uint64(m.terms.Lot) != 0 || quantity <= filled || quantity >= uint64(o.Quantity) {
		return 0, market.BadReduce
	}
	if ceil(mul(uint64(o.Price), quantity-filled), m.unit()).Cmp(i(uint64(m.terms.MinNotional))) < 0 {
		return 0, market.BadReduce
	}
	o.Quantity, o.left = asset.Amount(quantity), quantity-filled
	before := o.hold
	o.hold = m.need(o)
	return before - o.hold, market.OK
}
