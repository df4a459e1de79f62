package market_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"slices"

	"souk/asset"
	"souk/exchange/market"
)

// part of a batch: an order and what the auction thinks of it.
type party struct {
	*plain
	out   market.Reason // why it is dropped, 0 if it is not
	rem   uint64        // base units left in this plan
	cut   bool          // the sweep was ended before it was done
	spent *big.Int      // price*base spent or got in this plan
}

// deal is a planned fill.
type deal struct {
	price, base  uint64
	maker, taker *plain
	inner        bool
}

func (p *party) rests() bool {
	return (p.TIF == market.GTC || p.TIF == market.GTD) &&
		p.Kind != market.MarketOrder && p.Kind != market.StopOrder && p.Kind != market.TakeProfitOrder
}

// reaches tells whether an order with this side and limit would trade at a price.
func reaches(side market.Side, limit, price uint64) bool {
	if side == market.Buy {
		return limit >= price
	}
	return limit <= price
}

// better tells whether price x is better than y for an order of this side.
func better(side market.Side, x, y uint64) bool {
	if side == market.Buy {
		return x > y
	}
	return x < y
}

func opposite(side market.Side) market.Side { return 3 - side }

// round is one auction of the model.
type round struct {
	m       *model
	seed    [32]byte
	height  uint64
	batch   []*party
	resting []*plain // by id
	deals   []deal
	struck  []*plain
	terms   market.Auction // of this plan
	asked   int            // in this plan
	before  int            // in the plans before
}

func (r *round) best(side market.Side) (price uint64, ok bool) {
	for _, o := range r.resting {
		if o.Side == side && (!ok || better(side, uint64(o.Price), price)) {
			price, ok = uint64(o.Price), true
		}
	}
	return price, ok
}

func (r *round) crossesBook(p *party) bool {
	price, ok := r.best(opposite(p.Side))
	return ok && reaches(p.Side, uint64(p.Price), price)
}

// auction is M-40.
func (m *model) auction(seed [32]byte, height uint64) (fills []market.Fill, all []ended, rested []market.OrderID, terms []market.Auction) {
	r := &round{m: m, seed: seed, height: height}
	for _, o := range m.orders {
		if o.status == market.Staged {
			r.batch = append(r.batch, &party{plain: o})
		}
		if o.status == market.Resting {
			r.resting = append(r.resting, o)
		}
	}
	for _, p := range r.batch {
		if p.PostOnly && r.crossesBook(p) {
			p.out = market.WouldTake
		}
	}
	r.selfCrossing()
	r.hopeless()
	r.plan()
	for n := 1; ; n++ {
		broken := r.worstBroken()
		if broken == nil {
			break
		}
		broken.out = market.Killed
		if n > 16 || r.before+r.asked >= m.asked {
			for _, p := range r.batch {
				if p.TIF == market.FOK && p.out == 0 {
					p.out = market.Killed
				}
			}
		}
		r.plan()
	}
	r.terms.Market, r.terms.Reference = 1, asset.Price(m.reference())
	if price, ok := r.best(market.Buy); ok {
		r.terms.Bid = asset.Price(price)
	}
	if price, ok := r.best(market.Sell); ok {
		r.terms.Ask = asset.Price(price)
	}
	if len(r.deals) > 0 {
		terms = append(terms, r.terms)
	}
	fills, all, rested = r.carryOut()
	return fills, all, rested, terms
}

// selfCrossing is M-42.
func (r *round) selfCrossing() {
	sorted := slices.Clone(r.batch)
	slices.SortFunc(sorted, func(x, y *party) int { return cmp.Or(cmp.Compare(x.Nonce, y.Nonce), cmp.Compare(x.id, y.id)) })
	var kept []*party
	for _, p := range sorted {
		if p.out != 0 {
			continue
		}
		for _, k := range kept {
			if k.Owner == p.Owner && k.Side != p.Side && reaches(p.Side, uint64(p.Price), uint64(k.Price)) {
				p.out = market.SelfCross
			}
		}
		if p.out == 0 {
			kept = append(kept, p)
		}
	}
}

// hopeless is M-43.
func (r *round) hopeless() {
	var drop []*party
	for _, p := range r.batch {
		if p.TIF != market.FOK || p.out != 0 {
			continue
		}
		there := i(0)
		offer := func(o *plain) {
			if o.Side != p.Side && o.Owner != p.Owner && reaches(p.Side, uint64(p.Price), uint64(o.Price)) {
				there = add(there, i(o.left))
			}
		}
		for _, o := range r.resting {
			offer(o)
		}
		for _, q := range r.batch {
			if q.out == 0 && q.Quote == 0 {
				offer(q.plain)
			}
		}
		if there.Cmp(i(p.left)) < 0 {
			drop = append(drop, p)
		}
	}
	for _, p := range drop {
		p.out = market.Killed
	}
}

// worstBroken is the next to go by M-54.
func (r *round) worstBroken() (worst *party) {
	by := func(p *party) *big.Int {
		d := sub(i(r.m.reference()), i(uint64(p.Price)))
		if p.Side == market.Sell {
			d.Neg(d)
		}
		return d
	}
	for _, p := range r.batch {
		if p.TIF == market.FOK && p.out == 0 && p.rem > 0 && (worst == nil || by(p).Cmp(by(worst)) >= 0) {
			worst = p
		}
	}
	return worst
}

func (r *round) plan() {
	r.deals, r.struck, r.terms = nil, nil, market.Auction{}
	r.before, r.asked = r.before+r.asked, 0
	for _, p := range r.batch {
		p.rem, p.spent, p.cut = p.left, i(0), false
	}
	r.inner()
	first := market.Sell
	for _, p := range r.batch {
		if p.out == 0 && p.Side == market.Buy && p.Quote == 0 && p.rem > 0 && r.crossesBook(p) {
			first = market.Buy
		}
	}
	r.sweep(first)
	r.sweep(opposite(first))
}

// inner is M-44 to M-46.
func (r *round) inner() {
	low, bids := r.best(market.Buy)
	high, asks := r.best(market.Sell)
	if !bids {
		low = 1
	}
	if !asks {
		high = 1<<62 - 1
	}
	var in []*party
	for _, p := range r.batch {
		own, any := r.best(p.Side)
		if p.out == 0 && p.Quote == 0 && (!any || better(p.Side, uint64(p.Price), own)) {
			in = append(in, p)
		}
	}
	at := func(side market.Side, price uint64) (sum *big.Int, who []*party) {
		sum = i(0)
		for _, p := range in {
			if p.Side == side && reaches(side, uint64(p.Price), price) {
				sum, who = add(sum, i(p.rem)), append(who, p)
			}
		}
		return sum, who
	}
	middle := min(max(r.m.reference(), low), high)
	candidates := []uint64{middle}
	if bids {
		candidates = append(candidates, low)
	}
	if asks {
		candidates = append(candidates, high)
	}
	for _, p := range in {
		if price := uint64(p.Price); price >= low && price <= high {
			candidates = append(candidates, price)
		}
	}
	type score struct{ volume, surplus, away, price *big.Int }
	var best *score
	for _, price := range candidates {
		d, _ := at(market.Buy, price)
		s, _ := at(market.Sell, price)
		c := &score{volume: d, surplus: new(big.Int).Abs(sub(d, s)), away: new(big.Int).Abs(sub(i(price), i(middle))), price: i(price)}
		if s.Cmp(d) < 0 {
			c.volume = s
		}
		if best == nil || cmp.Or(best.volume.Cmp(c.volume), c.surplus.Cmp(best.surplus), c.away.Cmp(best.away), c.price.Cmp(best.price)) < 0 {
			best = c
		}
	}
	if best.volume.Sign() == 0 {
		return
	}
	price := best.price.Uint64()
	demand, buys := at(market.Buy, price)
	supply, sells := at(market.Sell, price)
	lots := func(base *big.Int) uint64 { return floor(base, i(uint64(r.m.terms.Lot))).Uint64() }
	r.terms = market.Auction{Price: asset.Price(price), Volume: lots(best.volume), Demand: lots(demand), Supply: lots(supply)}
	got := r.serve(asClaims(buys, r.limitRank), best.volume)
	gave := r.serve(asClaims(sells, r.limitRank), best.volume)
	r.pair(got, gave, price, true)
}

// ask is what someone wants of the lots at one price, or offers.
type ask struct {
	p    *party // nil for resting orders
	o    *plain
	rank *big.Int // higher is served first
	want uint64   // base units
	got  uint64
}

func (r *round) limitRank(p *party) *big.Int {
	if p.Side == market.Sell {
		return new(big.Int).Neg(i(uint64(p.Price)))
	}
	return i(uint64(p.Price))
}

func asClaims(who []*party, rank func(*party) *big.Int) (all []*ask) {
	for _, p := range who {
		all = append(all, &ask{p: p, o: p.plain, rank: rank(p), want: p.rem})
	}
	return all
}

// serve is M-55: ranks in turn, pro rata by owner inside a rank.
func (r *round) serve(asks []*ask, base *big.Int) []*ask {
	slices.SortStableFunc(asks, func(x, y *ask) int {
		return cmp.Or(y.rank.Cmp(x.rank), cmp.Compare(x.o.Owner, y.o.Owner), cmp.Compare(x.o.id, y.o.id))
	})
	lot := i(uint64(r.m.terms.Lot))
	left := floor(base, lot) // lots
	for start := 0; start < len(asks); {
		end, wanted := start, i(0)
		for end < len(asks) && asks[end].rank.Cmp(asks[start].rank) == 0 {
			wanted = add(wanted, floor(i(asks[end].want), lot))
			end++
		}
		if wanted.Cmp(left) <= 0 {
			for _, a := range asks[start:end] {
				a.got = a.want
			}
			left = sub(left, wanted)
		} else {
			r.proRata(asks[start:end], left, wanted)
			left = i(0)
		}
		start = end
	}
	return asks
}

func (r *round) proRata(asks []*ask, lots, wanted *big.Int) {
	type portion struct {
		owner     market.Owner
		want      *big.Int
		got, rest *big.Int
		tie       [32]byte
	}
	var portions []*portion
	lot := i(uint64(r.m.terms.Lot))
	for _, a := range asks {
		if n := len(portions); n == 0 || portions[n-1].owner != a.o.Owner {
			in := binary.BigEndian.AppendUint32(slices.Clone(r.seed[:]), uint32(a.o.Owner))
			portions = append(portions, &portion{owner: a.o.Owner, want: i(0), tie: sha256.Sum256(in)})
		}
		p := portions[len(portions)-1]
		p.want = add(p.want, floor(i(a.want), lot))
	}
	over := lots
	for _, p := range portions {
		p.got, p.rest = new(big.Int).QuoRem(new(big.Int).Mul(lots, p.want), wanted, new(big.Int))
		over = sub(over, p.got)
	}
	ranked := slices.Clone(portions)
	slices.SortFunc(ranked, func(x, y *portion) int { return cmp.Or(y.rest.Cmp(x.rest), bytes.Compare(x.tie[:], y.tie[:])) })
	for k := range over.Uint64() {
		ranked[k].got = add(ranked[k].got, i(1))
	}
	for _, p := range portions {
		for _, a := range asks {
			if a.o.Owner == p.owner {
				a.got = min(a.want, new(big.Int).Mul(p.got, lot).Uint64())
				p.got = sub(p.got, floor(i(a.got), lot))
			}
		}
	}
}

// pair is M-56.
func (r *round) pair(takers, makers []*ask, price uint64, inner bool) {
	for t, m := 0, 0; t < len(takers) && m < len(makers); {
		base := min(takers[t].got, makers[m].got)
		if base > 0 {
			r.deals = append(r.deals, deal{price, base, makers[m].o, takers[t].o, inner})
			takers[t].got -= base
			makers[m].got -= base
			for _, a := range []*ask{takers[t], makers[m]} {
				if a.p != nil {
					a.p.rem -= base
					a.p.spent = add(a.p.spent, mul(price, base))
				}
			}
		}
		if takers[t].got == 0 {
			t++
		}
		if m < len(makers) && makers[m].got == 0 {
			m++
		}
	}
}

// want is M-52.
func (r *round) want(p *party, price uint64) uint64 {
	if p.Quote == 0 {
		return p.rem
	}
	budget := sub(new(big.Int).Mul(i(uint64(p.Quote)), r.m.unit()), p.spent)
	lot := uint64(r.m.terms.Lot)
	lots := floor(budget, mul(price, lot))
	if lots.Cmp(i(p.rem/lot)) > 0 {
		return p.rem
	}
	return lots.Uint64() * lot
}

// sweep is M-48 to M-51.
func (r *round) sweep(side market.Side) {
	for {
		var takers []*party
		for _, p := range r.batch {
			if p.Side == side && p.out == 0 && p.rem > 0 && (!p.rests() || r.crossesBook(p)) {
				takers = append(takers, p)
			}
		}
		price, ok := uint64(0), false
		consider := func(p uint64) {
			if !ok || better(opposite(side), p, price) {
				price, ok = p, true
			}
		}
		for _, o := range r.resting {
			if o.Side != side && !r.gone(o) {
				consider(uint64(o.Price))
			}
		}
		for _, p := range r.batch {
			if p.Side != side && p.out == 0 && p.rests() && p.rem > 0 {
				consider(uint64(p.Price))
			}
		}
		takers = slices.DeleteFunc(takers, func(p *party) bool { return !ok || !reaches(side, uint64(p.Price), price) })
		if len(takers) == 0 {
			return
		}
		if r.asked >= r.m.asked {
			for _, p := range takers {
				p.cut = true
			}
			return
		}
		for _, o := range r.resting {
			mine := func(p *party) bool { return p.Owner == o.Owner && r.want(p, price) > 0 }
			if o.Side != side && uint64(o.Price) == price && !r.gone(o) && slices.ContainsFunc(takers, mine) {
				r.struck = append(r.struck, o)
			}
		}
		if !r.take(side, price, takers) {
			return
		}
	}
}

// gone tells whether a resting order is struck or taken whole in this plan.
func (r *round) gone(o *plain) bool { return slices.Contains(r.struck, o) || r.remaining(o) == 0 }

func (r *round) remaining(o *plain) uint64 {
	left := o.left
	for _, d := range r.deals {
		if d.maker == o {
			left -= d.base
		}
	}
	return left
}

// take lets the takers have one level; false if the level outlasts them.
func (r *round) take(side market.Side, price uint64, takers []*party) bool {
	var makers []*ask
	there := i(0)
	for _, o := range r.resting {
		if o.Side != side && uint64(o.Price) == price && !r.gone(o) {
			makers = append(makers, &ask{o: o, rank: new(big.Int).Neg(i(o.joined)), want: r.remaining(o)})
		}
	}
	for _, p := range r.batch {
		if p.Side != side && p.out == 0 && p.rests() && p.rem > 0 && uint64(p.Price) == price {
			makers = append(makers, &ask{p: p, o: p.plain, rank: new(big.Int).Neg(i(r.height)), want: p.rem})
		}
	}
	for _, a := range makers {
		there = add(there, i(a.want))
	}
	if there.Sign() == 0 {
		return true
	}
	slices.SortStableFunc(takers, func(x, y *party) int { return r.limitRank(y).Cmp(r.limitRank(x)) })
	wanted := i(0)
	var asks []*ask
	for k, p := range takers {
		if k > 0 && p.Price != takers[k-1].Price && wanted.Cmp(there) >= 0 {
			break
		}
		r.asked++
		w := r.want(p, price)
		if w == 0 {
			p.rem = 0 // done: not worth a lot any more
			continue
		}
		asks = append(asks, &ask{p: p, o: p.plain, rank: r.limitRank(p), want: w})
		wanted = add(wanted, i(w))
	}
	base := there
	if wanted.Cmp(there) < 0 {
		base = wanted
	}
	slices.SortStableFunc(makers, func(x, y *ask) int { return y.rank.Cmp(x.rank) })
	given := i(0)
	for k, a := range makers {
		if k > 0 && a.rank.Cmp(makers[k-1].rank) != 0 && given.Cmp(base) >= 0 || base.Sign() == 0 {
			break
		}
		r.asked++
		given = add(given, i(a.want))
	}
	r.pair(r.serve(asks, base), r.serve(makers, base), price, false)
	return wanted.Cmp(there) >= 0
}

// carryOut posts the plan (M-58, M-30 to M-34), lets rest what rests (M-53), and keeps
// the last price (M-57).
func (r *round) carryOut() (fills []market.Fill, all []ended, rested []market.OrderID) {
	m := r.m
	for _, p := range r.batch {
		if p.out != 0 {
			all = append(all, m.close(p.plain, p.out)...)
		}
	}
	for _, o := range r.struck {
		all = append(all, m.close(o, market.SelfTrade)...)
	}
	for _, d := range r.deals {
		all = append(all, m.part(d.maker)...)
		all = append(all, m.part(d.taker)...)
		fills = append(fills, m.post(d))
		for _, o := range []*plain{d.maker, d.taker} {
			if o.left == 0 && o.Quote == 0 {
				all = append(all, m.close(o, market.Filled)...)
			}
		}
	}
	for _, p := range r.batch {
		if p.out != 0 || p.Quote == 0 && p.left == 0 {
			continue
		}
		switch {
		case p.rests() && !p.cut:
			p.status, p.joined = market.Resting, r.height
			rested = append(rested, p.id)
		case p.TIF == market.FOK:
			all = append(all, m.close(p.plain, market.Killed)...)
		case p.Quote != 0 && p.paid == uint64(p.Quote):
			all = append(all, m.close(p.plain, market.Filled)...)
		default:
			all = append(all, m.close(p.plain, market.Remainder)...)
		}
	}
	if n := len(r.deals); n > 0 {
		m.last = r.deals[n-1].price
	}
	return fills, all, rested
}

// post moves the money of one fill.
func (m *model) post(d deal) market.Fill {
	buy, sell := d.taker, d.maker
	if d.taker.Side == market.Sell {
		buy, sell = d.maker, d.taker
	}
	for _, o := range []*plain{buy, sell} {
		o.left -= d.base
		o.cost = add(o.cost, mul(d.price, d.base))
	}
	paid := ceil(buy.cost, m.unit()).Uint64() - buy.paid
	buy.paid += paid
	got := floor(sell.cost, m.unit()).Uint64() - sell.paid
	sell.paid += got
	before := buy.hold
	buy.hold = m.need(buy)
	sell.hold -= d.base

	charge := func(o *plain, credit uint64) uint64 {
		rate := m.terms.TakerPPM
		if o == d.maker && !d.inner || d.inner && o.PostOnly {
			rate = m.terms.MakerPPM
		}
		o.fee = add(o.fee, mul(credit, uint64(rate)))
		fee := ceil(o.fee, i(1_000_000)).Uint64() - o.charged
		o.charged += fee
		return fee
	}
	f := market.Fill{
		Trade: m.trades, Market: 1, Price: price(d.price), Quantity: amount(d.base), Maker: d.maker.id, Taker: d.taker.id,
		Buyer: buy.Owner, Seller: sell.Owner, TakerSide: d.taker.Side, Inner: d.inner,
		BuyerPaid: amount(paid), BuyerReleased: amount(before - buy.hold - paid), SellerGot: amount(got),
		BuyerFee: amount(charge(buy, d.base)), SellerFee: amount(charge(sell, got)),
	}
	m.trades++
	return f
}
