// Package market owns the markets of a virtual server: their terms, every live
// order, the order books, and the batch auction that runs once per market and
// block. It decides who trades with whom, at what price, what each side pays and
// which fee it owes, and how much money an order must hold.
//
// It moves no money. The ledger reserves what Check asks for before an order is
// staged, and posts what fills and closed orders say afterwards; both is done by
// exchange, which also knows accounts by address: here an owner is a number.
//
// The rules are docs/spec/04-market.md; comments cite them by number (M-12).
// Where to look: admission in check.go, the auction in auction.go and in the
// file named for each of its steps (self.go, inner.go, sweep.go, fok.go),
// sharing in prorata.go, rounding in settle.go, fees in fee.go, stop orders in
// stop.go, the book in book.go, encoding in leaf.go.
//
// This is floor 1: it is pure, single-threaded, and imports only asset and the
// key type of merkle.
package market

import (
	"souk/asset"
)

// Limits of the package. They bound every sum of lots in a market by 2^62, so
// that the auction's arithmetic cannot overflow (M-9).
const (
	// MaxLots is the largest size of one order in lots.
	MaxLots = 1<<40 - 1
	// MaxBook is the largest number of live orders in one market.
	MaxBook = 1 << 22
	// MaxPrice is the highest price an order may name.
	MaxPrice asset.Price = 1<<62 - 1
	// MaxFeePPM is the highest fee rate, 10 %.
	MaxFeePPM = 100_000
	// MaxBandPPM is the widest price band, tenfold.
	MaxBandPPM = 10_000_000
	// MaxClient is the longest client order id in bytes.
	MaxClient = 36
	// DefaultOrderLimit is how many orders one owner may have resting or waiting
	// in one market, unless SetOrderLimit said otherwise.
	DefaultOrderLimit = 200
)

// ID numbers markets from 1 in the order of their creation; 0 is no market.
type ID uint32

// OrderID numbers orders over all markets of a virtual server, from 1, below 2^53.
// Within a block a lower id also means an earlier sort position (M-5).
type OrderID uint64

// TradeID numbers fills over all markets of a virtual server, from 1, below 2^53.
type TradeID uint64

// Owner is the number of an account, given by the ledger.
type Owner uint32

// Terms are what a founding contract or a vote says about a market.
type Terms struct {
	Tick        asset.Price  // prices are multiples of it
	Lot         asset.Amount // base quantities are multiples of it
	MinNotional asset.Amount // least value of an order, in quote units
	MakerPPM    uint32       // fee of makers in millionths, at most MaxFeePPM
	TakerPPM    uint32       // fee of takers in millionths, at most MaxFeePPM
	ReservePPM  uint32       // share of the fees for the bank's reserve, in millionths; used by exchange
	BandPPM     uint32       // how far a new order's price may be from the reference, in millionths; 0 is no band
	Reference   asset.Price  // reference price until the first trade
}

// Market is the definition and the public state of one market.
type Market struct {
	ID           ID
	Base, Quote  asset.ID
	BaseDecimals uint8
	Paused       bool        // no admission and no triggers
	Last         asset.Price // price of the last trade; 0 before the first
	Terms
}

// State is all markets and all live orders. It is not safe for concurrent use;
// what its methods return are copies, unless they say otherwise.
type State struct {
	bounds    bounds
	limit     uint32 // orders that may rest or wait per owner and market
	nextOrder OrderID
	nextTrade TradeID
	books     []*book // by ID, from 1

	orders    slab
	levels    []level
	freeLevel int32 // first free level, linked by level.free
	ids       index
	owners    table[presence] // by presenceKey
	names     names
	due       []int32 // heap of the slots of orders that expire

	staged   []ID // markets with a batch
	searches uint64
	fired    []int32
	auction  auction

	changed      []OrderID // live orders whose leaves changed, each once
	gone         []OrderID // orders whose leaves must be deleted, each once
	counters     bool      // the leaf of the counters changed
	loading      []Order   // between Load and Finish
	loadingBooks []Market
}

// bounds keep the work of the worst block small, whatever orders there are. They
// are part of the rules; only tests change them.
type bounds struct {
	// asked is how many times a plan may ask an order what it wants or gives at a
	// level before its sweeps end (M-49). Sharing a level pro rata asks everybody
	// who has a part in it; without a bound, many equal orders times many small
	// levels would make a block that takes minutes.
	asked int
	// triggered is how many stops of a market trigger in a block (M-60).
	triggered int
	// expired is how many orders expire in a block (M-72).
	expired int
}

// NewState returns a state without markets.
func NewState() *State {
	return &State{
		bounds: bounds{1 << 18, 4_096, 16_384}, limit: DefaultOrderLimit, nextOrder: 1, nextTrade: 1, counters: true,
		orders: slab{free: none}, freeLevel: none,
		names: names{index: map[name]OrderID{}},
	}
}

// Create adds a market and returns its number. The code is BadMarket if the
// terms are not possible, DuplicateMarket if the pair is traded already (M-1).
func (s *State) Create(base, quote asset.ID, baseDecimals uint8, t Terms) (ID, Code) {
	if base == 0 || quote == 0 || base == quote || baseDecimals > asset.MaxDecimals || !t.Valid() {
		return 0, BadMarket
	}
	for _, b := range s.books {
		if b.Base == base && b.Quote == quote {
			return 0, DuplicateMarket
		}
	}
	id := ID(len(s.books) + 1) //nolint:gosec // created by votes
	s.addBook(Market{ID: id, Base: base, Quote: quote, BaseDecimals: baseDecimals, Terms: t})
	return id, OK
}

func (s *State) addBook(m Market) {
	s.books = append(s.books, &book{Market: m, unit: uint64(asset.Unit(m.BaseDecimals)), round: 1, dirty: true})
}

// SetPaused pauses a market or lets it go on. While paused it admits no orders
// and triggers no stops; what is staged already still meets in this block, and
// cancels always work (M-3).
func (s *State) SetPaused(id ID, paused bool) Code {
	return s.set(id, func(m *Market) bool {
		m.Paused = paused
		return true
	})
}

// SetFees changes the fee rates, for fills from this block's auction on.
func (s *State) SetFees(id ID, makerPPM, takerPPM, reservePPM uint32) Code {
	return s.set(id, func(m *Market) bool {
		m.MakerPPM, m.TakerPPM, m.ReservePPM = makerPPM, takerPPM, reservePPM
		return m.Valid()
	})
}

// SetBand changes the price band of new orders; 0 switches it off.
func (s *State) SetBand(id ID, bandPPM uint32) Code {
	return s.set(id, func(m *Market) bool {
		m.BandPPM = bandPPM
		return m.Valid()
	})
}

// set changes a market unless change says that the result is not possible.
func (s *State) set(id ID, change func(*Market) bool) Code {
	b := s.book(id)
	if b == nil {
		return UnknownMarket
	}
	m := b.Market
	if !change(&m) {
		return BadMarket
	}
	b.Market, b.dirty = m, true
	return OK
}

// SetOrderLimit changes how many orders one owner may have resting or waiting in
// one market. Orders above a lowered limit stay.
func (s *State) SetOrderLimit(limit uint32) {
	if limit != s.limit {
		s.limit, s.counters = limit, true
	}
}
