package binance

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange/market"
)

// pair is a market with the name that clients know it by.
type pair struct {
	api.Pair
	name string
}

// listing is the markets of a moment.
type listing struct {
	read   time.Time
	known  bool   // that these are the markets
	pairs  []pair // by number
	byName map[string]*pair
	byID   map[market.ID]*pair
}

// lister keeps the newest listing.
type lister struct {
	markets func() []api.Pair
	mu      sync.Mutex
	newest  *listing
}

// listAge is how old a listing may be.
const listAge = time.Second

func (l *lister) get(now time.Time) *listing {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.newest == nil || !l.newest.known || now.Sub(l.newest.read) >= listAge || now.Before(l.newest.read) {
		l.newest = newListing(l.markets(), now)
	}
	return l.newest
}

// newListing names markets: base and quote in one word, and a number behind it where
// another market with a lower number has that word (N-2).
func newListing(pairs []api.Pair, now time.Time) *listing {
	l := &listing{read: now, known: pairs != nil, byName: map[string]*pair{}, byID: map[market.ID]*pair{}}
	for i := range pairs {
		l.pairs = append(l.pairs, pair{Pair: pairs[i], name: pairs[i].BaseSymbol + pairs[i].QuoteSymbol})
	}
	slices.SortFunc(l.pairs, func(a, b pair) int { return int(a.ID) - int(b.ID) })
	for i := range l.pairs {
		p := &l.pairs[i]
		if _, taken := l.byName[p.name]; taken {
			p.name += "." + strconv.FormatUint(uint64(p.ID), 10)
		}
		l.byName[p.name], l.byID[p.ID] = p, p
	}
	return l
}

// listing is the markets as they are now. Before any are known, nothing is said of markets: a
// client would take it that there are none (N-4).
func (c *call) listing() (*listing, *Error) {
	l := c.h.list.get(c.h.config.Now())
	if !l.known {
		return nil, unavailable()
	}
	return l, nil
}

// symbol reads a market that must be named.
func (c *call) symbol() (*pair, *Error) {
	name := c.text("symbol")
	if name == "" {
		return nil, missing("symbol")
	}
	all, refused := c.listing()
	if refused != nil {
		return nil, refused
	}
	return all.find(name)
}

func (l *listing) find(name string) (*pair, *Error) {
	if p, ok := l.byName[name]; ok {
		return p, nil
	}
	if len(name) > 20 || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
		return nil, illegal("symbol", `^[A-Z0-9-_.]{1,20}$`)
	}
	return nil, bad(codeSymbol, "Invalid symbol.")
}

// symbols reads symbol, symbols or neither, which means all. one tells that it was symbol.
func (c *call) symbols() (pairs []*pair, one bool, refused *Error) {
	all, refused := c.listing()
	if refused != nil {
		return nil, false, refused
	}
	if c.sent("symbol") && c.sent("symbols") {
		return nil, false, bad(codeCombination, "Combination of optional parameters invalid. Recommendation: symbol or symbols.")
	}
	if c.sent("symbol") {
		p, refused := c.symbol()
		return []*pair{p}, true, refused
	}
	names, refused := c.texts("symbols")
	if refused != nil {
		return nil, false, refused
	}
	seen := map[*pair]bool{}
	for _, name := range names {
		p, refused := all.find(name)
		if refused != nil {
			return nil, false, refused
		}
		if seen[p] { // what an answer costs is bounded by the markets that there are
			return nil, false, bad(codeDuplicate, "Duplicate values for parameter 'symbols' detected.")
		}
		seen[p] = true
		pairs = append(pairs, p)
	}
	if names == nil {
		for i := range all.pairs {
			pairs = append(pairs, &all.pairs[i])
		}
	}
	return pairs, false, nil
}

func (p *pair) price(v asset.Price) string  { return p.FormatPrice(v) }
func (p *pair) base(v asset.Amount) string  { return p.FormatBase(v) }
func (p *pair) quote(v asset.Amount) string { return p.FormatQuote(v) }
func (p *pair) volume(v asset.Wide) string  { return decimal(wide(v), p.BaseDecimals) }
func (p *pair) turnover(v asset.Wide) string {
	return decimal(new(big.Int).Quo(wide(v), unit(p.BaseDecimals)), p.QuoteDecimals)
}

func wide(v asset.Wide) *big.Int {
	n := new(big.Int).SetUint64(v.Hi)
	return n.Or(n.Lsh(n, 64), new(big.Int).SetUint64(v.Lo))
}

func unit(decimals uint8) *big.Int { return new(big.Int).SetUint64(uint64(asset.Unit(decimals))) }

// decimal writes a whole number of units with the decimals of an asset; it may be negative.
func decimal(n *big.Int, decimals uint8) string {
	digits, sign := new(big.Int).Abs(n).String(), ""
	if n.Sign() < 0 {
		sign = "-"
	}
	if decimals == 0 {
		return sign + digits
	}
	if pad := int(decimals) + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	point := len(digits) - int(decimals)
	return sign + digits[:point] + "." + digits[point:]
}

// difference writes one price less another.
func (p *pair) difference(a, b asset.Price) string {
	n := new(big.Int).SetUint64(uint64(a))
	return decimal(n.Sub(n, new(big.Int).SetUint64(uint64(b))), p.QuoteDecimals)
}

// percent writes by how many percent a is more than b, with three decimals.
func percent(a, b asset.Price) string {
	if b == 0 {
		return "0.000"
	}
	n := new(big.Int).SetUint64(uint64(a))
	n.Sub(n, new(big.Int).SetUint64(uint64(b)))
	n.Mul(n, big.NewInt(100_000))
	return decimal(n.Quo(n, new(big.Int).SetUint64(uint64(b))), 3)
}

// fees are the highest fees of all markets, in millionths: each market has its own, and whoever
// reckons with one for all must not reckon with too little (N-5).
func (l *listing) fees() (maker, taker uint32) {
	for i := range l.pairs {
		maker, taker = max(maker, l.pairs[i].MakerPPM), max(taker, l.pairs[i].TakerPPM)
	}
	return maker, taker
}

// points are millionths as hundredths of a percent, none too few.
func points(ppm uint32) int {
	const millionths = 100
	return int((uint64(ppm) + millionths - 1) / millionths)
}

// rate writes millionths.
func rate(ppm uint32) string { return asset.Format(asset.Amount(ppm), 6) + "00" }
