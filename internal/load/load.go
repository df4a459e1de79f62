// Package load makes the order flow by which Souk is measured and shown: many
// accounts, two markets, 60 % limit orders near the middle, 30 % cancels and
// 10 % IOC and market orders, and among them 20 % transfers. It needs no answer
// from the exchange: cancels name orders by client order id and go to orders so far from
// the middle that nothing takes them. The same seed makes the same flow. Test and
// measurement support; it takes no part in the product.
package load

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/identity"
)

// Market is what a flow needs to know of a market.
type Market struct {
	ID     market.ID
	Middle asset.Price
	Tick   asset.Price
	Lot    asset.Amount
}

// Mix is how a flow is made up, in percent of its commands.
type Mix struct {
	Transfers int // of all commands
	// Of the rest:
	Limits  int // of which a third cross the middle and trade on arrival
	Cancels int
	Takers  int // IOC and market orders
}

// StandardMix is 20 % transfers, and of the rest 60, 30 and 10 %.
func StandardMix() Mix { return Mix{Transfers: 20, Limits: 60, Cancels: 30, Takers: 10} }

// Account is one trader of the flow.
type Account struct {
	Key     identity.PrivateKey
	Address identity.Address
	nonce   uint64
}

// NewAccount is the i-th account of a flow with a seed.
func NewAccount(seed uint64, i int) Account {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], seed)
	binary.BigEndian.PutUint64(b[8:], uint64(i))
	key := identity.NewKey(sha256.Sum256(b[:]))
	return Account{Key: key, Address: identity.AddressOf(key.Public())}
}

// Flow makes commands.
type Flow struct {
	rng      *rand.Rand
	mix      Mix
	markets  []Market
	accounts []Account
	transfer asset.ID
	made     int
	deep     []deepOrder // resting orders that nothing reaches, oldest first
	next     int         // first of deep that is not cancelled
	prefix   string

	// Counts of what was made.
	Transfers, Passive, Crossing, Cancels, Takers int
}

type deepOrder struct {
	account int
	client  string
	at      int // made when
}

// Distances in ticks from the middle. Crossing orders reach farther than near
// ones rest, and nothing reaches as far as the deep ones.
const (
	nearTicks  = 40
	crossTicks = 60
	deepFrom   = 100
	deepTicks  = 900
	// cancelAfter is how many commands lie between an order and its cancel, so
	// that both are hardly ever in one block.
	cancelAfter = 20_000
)

// New is a flow over accounts and markets. prefix makes its client order ids
// different from those of other flows.
func New(seed uint64, accounts []Account, markets []Market, transfer asset.ID, mix Mix, prefix string) *Flow {
	return &Flow{
		rng: rand.New(rand.NewPCG(seed, 7)), //nolint:gosec // reproducible by seed
		mix: mix, markets: markets, accounts: accounts, transfer: transfer, prefix: prefix,
	}
}

// Next makes the next command: which account sends it, and its body.
func (f *Flow) Next() (account int, body exchange.Body) {
	f.made++
	account = f.rng.IntN(len(f.accounts))
	if f.rng.IntN(100) < f.mix.Transfers {
		f.Transfers++
		to := (account + 1 + f.rng.IntN(len(f.accounts)-1)) % len(f.accounts)
		return account, &exchange.Transfer{To: f.accounts[to].Address, Asset: f.transfer, Amount: asset.Amount(1 + f.rng.IntN(1000))}
	}
	m := &f.markets[f.rng.IntN(len(f.markets))]
	switch n := f.rng.IntN(f.mix.Limits + f.mix.Cancels + f.mix.Takers); {
	case n < f.mix.Limits:
		return account, f.limit(account, m)
	case n < f.mix.Limits+f.mix.Cancels:
		if f.next < len(f.deep) && f.deep[f.next].at+min(cancelAfter, 10*len(f.accounts)) < f.made {
			d := f.deep[f.next]
			f.next++
			f.trim()
			f.Cancels++
			return d.account, &exchange.Cancel{Target: exchange.Target{Client: d.client}}
		}
		return account, f.rest(account, m)
	default:
		f.Takers++
		return account, f.take(m)
	}
}

func (f *Flow) trim() {
	if f.next > 1<<16 {
		f.deep = append(f.deep[:0], f.deep[f.next:]...)
		f.next = 0
	}
}

// Near the middle small orders trade with larger ones that wait.
const (
	smallLots = 10
	largeLots = 8 * smallLots
)

func (f *Flow) limit(account int, m *Market) exchange.Body {
	switch n := f.rng.IntN(100); {
	case n < 35:
		f.Crossing++
		return f.order(m, f.side(), -f.rng.IntN(crossTicks-nearTicks)-nearTicks, smallLots, market.GTC, "")
	case n < 50:
		f.Passive++
		return f.order(m, f.side(), 1+f.rng.IntN(nearTicks), largeLots, market.GTC, "")
	}
	return f.rest(account, m)
}

// rest makes an order that waits until it is cancelled.
func (f *Flow) rest(account int, m *Market) exchange.Body {
	f.Passive++
	client := f.prefix + strconv.Itoa(f.made)
	f.deep = append(f.deep, deepOrder{account, client, f.made})
	return f.order(m, f.side(), deepFrom+f.rng.IntN(deepTicks), smallLots, market.GTC, client)
}

func (f *Flow) take(m *Market) exchange.Body {
	if f.rng.IntN(2) == 0 {
		return f.order(m, f.side(), -crossTicks, smallLots, market.IOC, "")
	}
	p := f.order(m, f.side(), -crossTicks, smallLots, market.IOC, "")
	p.Order = market.MarketOrder
	return p
}

func (f *Flow) side() market.Side { return market.Side(1 + f.rng.IntN(2)) }

// order makes an order away ticks from the middle, on its own side if away is positive.
func (f *Flow) order(m *Market, side market.Side, away, lots int, tif market.TIF, client string) *exchange.Place {
	price := int64(m.Middle)
	if side == market.Buy {
		price -= int64(away) * int64(m.Tick)
	} else {
		price += int64(away) * int64(m.Tick)
	}
	return &exchange.Place{
		Market: m.ID, Side: side, Order: market.LimitOrder, TIF: tif, Price: asset.Price(price),
		Quantity: asset.Amount(lots) * m.Lot, Client: client,
	}
}

// Sign makes the signed command of an account for a body.
func (f *Flow) Sign(vs exchange.ID, account int, body exchange.Body, expiry uint64) exchange.Command {
	a := &f.accounts[account]
	a.nonce++
	c := exchange.Command{Kind: body.Kind(), Account: a.Address, Nonce: a.nonce, Expiry: expiry, Body: body.Append(nil)}
	if err := c.Sign(vs, a.Key); err != nil {
		panic(fmt.Sprintf("load: %v", err)) //nolint:forbidigo // bodies made here can be signed
	}
	return c
}

// Unsigned is Sign without the signature, for measurements that leave it out.
// The id is made up, but unique.
func (f *Flow) Unsigned(account int, body exchange.Body, expiry uint64) exchange.Command {
	a := &f.accounts[account]
	a.nonce++
	c := exchange.Command{
		Kind: body.Kind(), Account: a.Address, Key: a.Key.Public(), Nonce: a.nonce, Expiry: expiry, Body: body.Append(nil),
	}
	binary.BigEndian.PutUint64(c.ID[:], f.rng.Uint64())
	binary.BigEndian.PutUint64(c.ID[8:], uint64(f.made))
	return c
}

// PracticeMarkets are the two markets of a practice federation.
func PracticeMarkets() []Market {
	return []Market{{ID: 1, Middle: 50_000e8, Tick: 1e6, Lot: 1e4}, {ID: 2, Middle: 150_000, Tick: 10, Lot: 1e5}}
}
