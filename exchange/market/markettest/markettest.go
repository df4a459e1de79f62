// Package markettest makes the load that the market is measured with: a book of
// resting orders and an endless, seeded mix of limit orders near the middle,
// cancels of random earlier orders, and orders that take at once. It is data
// only, so that benchmarks of the market alone and of the whole exchange use the
// same load. Nothing that ships imports it.
package markettest

import (
	"souk/asset"
	"souk/exchange/market"
)

// Config shapes a Mix. The zero value of a field means its default.
type Config struct {
	Seed   uint64
	Market market.ID    // market of the orders; default 1
	Owners uint32       // owners are 1 to Owners; default 10,000
	Mid    asset.Price  // middle of the book; default 1,000,000
	Tick   asset.Price  // default 100
	Lot    asset.Amount // default 1,000
	Depth  uint32       // ticks on each side over which Resting spreads orders; default 1,000
	Near   uint32       // ticks on each side of the middle for new limit orders; default 50
	// Eager is how many of 1,000 limit orders are priced to trade on arrival; default 100.
	Eager uint32
	// Cancels and Takes are how many of 1,000 commands cancel and take at once; the
	// rest are limit orders. Defaults 300 and 100.
	Cancels, Takes uint32
}

// Command is a new order, or the cancel of an earlier one.
type Command struct {
	// Target is the Seq of the order to cancel; it may be filled by now.
	// Negative for a new order.
	Target int
	// Seq numbers the new orders of a Mix from 0.
	Seq   int
	Order market.New
}

// Mix makes commands. Two mixes with the same Config make the same commands.
type Mix struct {
	cfg   Config
	state uint64
	seq   int
	live  []int // orders that were made to rest and have not been cancelled
}

// New returns a mix.
func New(cfg Config) *Mix {
	cfg.Market = or(cfg.Market, 1)
	cfg.Owners = or(cfg.Owners, 10_000)
	cfg.Mid = or(cfg.Mid, 1_000_000)
	cfg.Tick = or(cfg.Tick, 100)
	cfg.Lot = or(cfg.Lot, 1_000)
	cfg.Depth = or(cfg.Depth, 1_000)
	cfg.Near = or(cfg.Near, 50)
	cfg.Eager = or(cfg.Eager, 100)
	if cfg.Cancels == 0 && cfg.Takes == 0 {
		cfg.Cancels, cfg.Takes = 300, 100
	}
	return &Mix{cfg: cfg, state: cfg.Seed}
}

func or[T uint32 | market.ID | asset.Price | asset.Amount](v, byDefault T) T {
	if v == 0 {
		return byDefault
	}
	return v
}

// Terms are terms of a market that takes the orders of the mix.
func (m *Mix) Terms() market.Terms {
	return market.Terms{
		Tick: m.cfg.Tick, Lot: m.cfg.Lot, MakerPPM: 500, TakerPPM: 1_000, Reference: m.cfg.Mid,
	}
}

// Resting makes an order that rests away from the middle, to fill a book with.
func (m *Mix) Resting() Command {
	side := m.side()
	return m.place(side, market.LimitOrder, market.GTC, m.away(side, 1+m.below(m.cfg.Depth)))
}

// Next makes the next command of the mix.
func (m *Mix) Next() Command {
	roll := m.below(1_000)
	switch {
	case roll < m.cfg.Cancels && len(m.live) > 0:
		i := int(m.below(uint32(len(m.live)))) //nolint:gosec // far fewer than 2^32 orders
		target := m.live[i]
		m.live[i] = m.live[len(m.live)-1]
		m.live = m.live[:len(m.live)-1]
		return Command{Target: target, Seq: -1}
	case roll < m.cfg.Cancels+m.cfg.Takes:
		side := m.side()
		kind := market.LimitOrder
		if m.below(2) == 0 {
			kind = market.MarketOrder
		}
		return m.place(side, kind, market.IOC, m.through(side, 20))
	}
	side := m.side()
	if m.below(1_000) < m.cfg.Eager {
		return m.place(side, market.LimitOrder, market.GTC, m.through(side, 3))
	}
	return m.place(side, market.LimitOrder, market.GTC, m.away(side, 1+m.below(m.cfg.Near)))
}

func (m *Mix) place(side market.Side, kind market.Kind, tif market.TIF, price asset.Price) Command {
	c := Command{Target: -1, Seq: m.seq, Order: market.New{
		Market: m.cfg.Market, Owner: market.Owner(1 + m.below(m.cfg.Owners)), Side: side, Kind: kind, TIF: tif,
		Price: price, Quantity: asset.Amount(1+m.below(100)) * m.cfg.Lot, Nonce: uint64(m.seq) + 1, //nolint:gosec // counts up from 0
	}}
	m.seq++
	if tif == market.GTC {
		m.live = append(m.live, c.Seq)
	}
	return c
}

func (m *Mix) side() market.Side { return market.Side(1 + m.below(2)) } //nolint:gosec // 1 or 2

// away is a price on the order's own side of the middle.
func (m *Mix) away(side market.Side, ticks uint32) asset.Price {
	if side == market.Buy {
		return m.cfg.Mid - asset.Price(ticks)*m.cfg.Tick
	}
	return m.cfg.Mid + asset.Price(ticks)*m.cfg.Tick
}

// through is a price on the other side of the middle.
func (m *Mix) through(side market.Side, ticks uint32) asset.Price {
	return m.away(market.Buy+market.Sell-side, ticks)
}

// below returns a number below n, by SplitMix64.
func (m *Mix) below(n uint32) uint32 {
	m.state += 0x9e3779b97f4a7c15
	z := m.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return uint32((z >> 32) * uint64(n) >> 32)
}
