package exchangetest

import (
	"fmt"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/market"
	"souk/identity"
	"souk/script"
)

// Worst is a block that is made to be as much work as the rules allow.
type Worst struct {
	Name string
	// Make makes a state, which may take a minute, and the commands of the block.
	Make func() (*Crowd, []exchange.Command)
}

// WorstBlocks are the dearest blocks that we know how to make, of every kind.
func WorstBlocks() []Worst {
	list := []Worst{{"fill or kill", worstKills}, {"cancel all", worstCancels}, {"due", worstDue}}
	for _, s := range shapes() {
		list = append(list, Worst{"auction: " + s.name, s.make})
	}
	return append(list, Worst{"bank: withdrawals", worstWithdrawals}, Worst{"bank: addresses", worstAddresses},
		Worst{"bank: attestations", worstAttestations}, Worst{"bank: keys", worstKeys})
}

// Prices and quantities of worst blocks are counted in these.
const (
	worstTick   = 1e6
	worstLot    = 1e4
	worstMiddle = 5_000_000 // ticks
)

func worstOrder(side market.Side, tif market.TIF, lots, ticks int) *exchange.Place {
	return &exchange.Place{
		Market: BTCEUR, Side: side, Order: market.LimitOrder, TIF: tif, Quantity: asset.Amount(lots) * worstLot, Price: asset.Price(ticks) * worstTick, //nolint:gosec // not negative
	}
}

// worstKills are fill-or-kill orders that cannot be filled and make the auction begin
// again and again, before a deep book of small orders at many prices.
func worstKills() (*Crowd, []exchange.Command) {
	c := NewCrowd(4096, BTC, EUR)
	c.All(12, func(i, n int) exchange.Body {
		away := 1 + (i*12+n)%5000
		if i%2 == 0 {
			return worstOrder(market.Sell, market.GTC, 1, worstMiddle+away)
		}
		return worstOrder(market.Buy, market.GTC, 1, worstMiddle-away)
	})
	var commands []exchange.Command
	for i := range exchange.MaxBlockCommands {
		tif, lots := market.GTC, 20
		if i < len(c.People) {
			tif, lots = market.FOK, 40_000+i
		}
		side, price := market.Buy, worstMiddle+i%6000
		if i%2 == 0 {
			side, price = market.Sell, worstMiddle-i%6000
		}
		commands = append(commands, c.By(i%len(c.People), worstOrder(side, tif, lots, price)))
	}
	return c, commands
}

// worstCancels end more orders than a block may.
func worstCancels() (*Crowd, []exchange.Command) {
	c := NewCrowd(1_500, EUR)
	c.All(200, func(int, int) exchange.Body { return worstOrder(market.Buy, market.GTC, 100, 10_000) })
	var commands []exchange.Command
	for i := range c.People {
		commands = append(commands, c.By(i, &exchange.CancelAll{}))
	}
	return c, commands
}

// worstDue is a block without commands in which more than it may do is due: escrows,
// orders that expire, timers.
func worstDue() (*Crowd, []exchange.Command) {
	c := NewCrowd(1_500, EUR)
	at := c.Time + 50_000
	c.All(200, func(i, _ int) exchange.Body {
		payee := identity.AddressOf(c.People[(i+1)%len(c.People)])
		return &exchange.Lock{Payee: payee, Asset: EUR, Amount: 1, Deadline: at}
	})
	c.All(100, func(int, int) exchange.Body { return worstOrder(market.Buy, market.GTC, 100, 10_000) })
	c.All(100, func(int, int) exchange.Body {
		p := worstOrder(market.Buy, market.GTD, 100, 10_000)
		p.Expiry = at
		return p
	})
	c.All(1, func(int, int) exchange.Body { return &exchange.CancelAllAfter{Delay: at - c.Time} })
	c.Time = at
	return c, nil
}

// shape is a book of 20,000 orders, of two hundred accounts, and a block of orders
// that come to it. Who makes an order comes from its number.
type shape struct {
	name        string
	book, block func(k int) *exchange.Place
	by          func(k int) int
}

// shapes are those that are hard for an auction.
func shapes() []shape {
	levels := func(k int) *exchange.Place { return worstOrder(market.Sell, market.GTC, 1, worstMiddle+k) }
	same := func(k int) *exchange.Place { return worstOrder(market.Sell, market.GTC, 1+k%3, worstMiddle) }
	others := func(k int) int { return shapeBook + k%shapeTakers }
	return []shape{
		{"equal takers, many levels", levels, func(int) *exchange.Place { return worstOrder(market.Buy, market.GTC, 5, worstMiddle+30_000) }, others},
		{"the same with fill or kill", levels, func(k int) *exchange.Place {
			if k < 100 {
				return worstOrder(market.Buy, market.FOK, 1_000, worstMiddle+29_000)
			}
			return worstOrder(market.Buy, market.IOC, 5, worstMiddle+30_000)
		}, others},
		{"takers of one level", same, func(k int) *exchange.Place { return worstOrder(market.Buy, market.GTC, 1+k%7, worstMiddle) }, others},
		{"inner cross", levels, func(k int) *exchange.Place {
			return worstOrder(market.Side(1+k%2), market.GTC, 1+k%7, worstMiddle-5_000+k%100)
		}, others},
		{"by quote amount, many levels", levels, func(int) *exchange.Place {
			p := worstOrder(market.Buy, market.IOC, 0, worstMiddle+30_000)
			p.Order, p.Quote = market.MarketOrder, 6*worstMiddle*worstTick/(Coin/worstLot)
			return p
		}, others},
		{"own orders", levels, func(int) *exchange.Place { return worstOrder(market.Buy, market.GTC, 5, worstMiddle+30_000) }, func(k int) int { return k % shapeBook }},
	}
}

// People of a shape: those of the book come first.
const shapeBook, shapeTakers = 200, 8_192

func (s shape) make() (*Crowd, []exchange.Command) {
	c := NewCrowd(shapeBook+shapeTakers, BTC, EUR)
	const orders = 100 // of each
	for from := 0; from < shapeBook*orders; from += 10_000 {
		var commands []exchange.Command
		for k := from; k < from+10_000; k++ {
			commands = append(commands, c.By(k/orders, s.book(k)))
		}
		c.ok(commands)
	}
	var commands []exchange.Command
	for k := range exchange.MaxBlockCommands {
		commands = append(commands, c.By(s.by(k), s.block(k)))
	}
	return c, commands
}

// crowdBank is a bank of many small coins, and people who share them.
func crowdBank(people, coins int) (*Crowd, *Chain) {
	const small = 100_000
	f := BankFounding(4)
	c := &Crowd{World: From(f)}
	c.Join(people, EUR)
	// The first of the people has an address and brings everything.
	number := c.Block(c.By(0, &exchange.NewAddress{Bank: Bank})).Receipts[0].Number
	chain := NewChain(c.World)
	for made := 0; made < coins; made += custody.MaxPayments {
		for range custody.MaxPayments {
			chain.Pay(uint32(number>>32), uint32(number), small) //nolint:gosec // two halves
		}
		chain.Mine(1)
		c.ok(chain.Attest())
		chain.pays = nil
	}
	chain.Mine(10)
	c.ok(chain.Attest())
	owner, _ := c.State.Ledger().Find(identity.AddressOf(c.People[0]))
	for range coins {
		if c.State.Ledger().Available(owner, TBC) >= asset.Amount(coins)*small {
			break
		}
		c.Block()
	}
	each := c.State.Ledger().Available(owner, TBC) / asset.Amount(people) //nolint:gosec // not negative
	var commands []exchange.Command
	for _, p := range c.People[1:] {
		commands = append(commands, c.By(0, &exchange.Transfer{To: identity.AddressOf(p), Asset: TBC, Amount: each}))
		if len(commands) == 1000 {
			c.ok(commands)
			commands = commands[:0]
		}
	}
	c.ok(commands)
	return c, chain
}

// worstWithdrawals ask for more than can be paid at the rate, of a bank of many coins,
// behind as many as it looks at.
func worstWithdrawals() (*Crowd, []exchange.Command) {
	c, _ := crowdBank(1_024, 20_000)
	ask := func(i, n int) exchange.Command {
		return c.By(i, &exchange.Withdraw{Request: custody.Request{Bank: Bank, Script: Output(fmt.Sprint(i, " ", n)), Amount: 20_000, MaxFee: 64}})
	}
	var waiting, commands []exchange.Command
	for i := range c.People {
		for n := range 4 {
			waiting = append(waiting, ask(i, n))
		}
	}
	c.ok(waiting)
	for i := range c.People {
		for n := range 12 {
			commands = append(commands, ask(i, 4+n))
		}
	}
	return c, commands
}

// worstAddresses give a block full of addresses.
func worstAddresses() (*Crowd, []exchange.Command) {
	c := &Crowd{World: From(BankFounding(4))}
	c.Join(1_024, EUR)
	var commands []exchange.Command
	for i := range c.People {
		for n := range 16 {
			commands = append(commands, c.By(i, &exchange.NewAddress{Bank: Bank, Salt: custody.Salt{byte(i), byte(i >> 8), byte(n)}}))
		}
	}
	return c, commands
}

// worstAttestations are all that four members may say in a block: payments and spends
// of a thousand coins, while a thousand others are credited.
func worstAttestations() (*Crowd, []exchange.Command) {
	c, chain := crowdBank(16, 8_000)
	number := c.Block(c.By(0, &exchange.NewAddress{Bank: Bank})).Receipts[0].Number
	pay := func() {
		chain.pays, chain.spends = nil, nil
		for range custody.MaxPayments {
			chain.Pay(uint32(number>>32), uint32(number), 100_000) //nolint:gosec // two halves
		}
	}
	pay()
	chain.Mine(1)
	c.ok(chain.Attest())
	pay()
	n := 0
	c.State.Banks().Coins(Bank, func(x custody.Coin) bool {
		n++
		chain.Spend(x.At, script.Hash{1, byte(n), byte(n >> 8)}) //nolint:gosec // its bytes
		return n < custody.MaxSpends
	})
	chain.Mine(5)
	return c, chain.Attest()
}

// worstKeys are proofs of keys, as many as members may bring.
func worstKeys() (*Crowd, []exchange.Command) {
	c := &Crowd{World: From(BankFounding(4))}
	var commands []exchange.Command
	for i := range c.State.Founding().Members {
		name := MemberName(i)
		body := c.Announce(name, MemberKey(name))
		for range 64 {
			commands = append(commands, c.ByServer(name, body))
		}
	}
	return c, commands
}
