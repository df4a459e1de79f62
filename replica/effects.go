package replica

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"souk/archive"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/identity"
)

// effects is what the log says of a block and only the state right after it knows, or
// the commands, whose memory is used again.
type effects struct {
	commands []source
	levels   []archive.Level // some perhaps more than once
	wallets  []archive.Wallet
	assets   []archive.Asset
	markets  []archive.Market
	traded   []archive.Market // all there are, by number
}

// source says of a command whose it is.
type source struct {
	account identity.Address
	kind    exchange.Kind
}

// witness sees what blocks did to the state. It belongs to the goroutine that finalizes.
type witness struct {
	assets  int
	markets []archive.Market // by number; only grows
	wallets []archive.Wallet
	touched [touchedKept]touched
}

// touchedKept is how many levels the witness knows to have looked at already. It is a
// power of two. Others may be looked at again, which only costs time.
const touchedKept = 1 << 10

type touched struct {
	price  asset.Price
	height uint64 // of the block
	market market.ID
	side   market.Side
}

// begin makes a state what blocks are compared with.
func (w *witness) begin(s *exchange.State) {
	*w = witness{assets: s.Ledger().Assets(), markets: archive.MarketsFrom(s, 0), wallets: archive.WalletsOf(s)}
}

// firstBankLeaf is the first of the first bytes of keys that leaves of banks have (S-26).
const firstBankLeaf = 0x0c

// see collects what a block did. It is on the way of every block, so it is quick.
func (w *witness) see(s *exchange.State, block *exchange.Block, res *exchange.Result) *effects {
	e := &effects{commands: make([]source, len(block.Commands))}
	for i := range block.Commands {
		e.commands[i] = source{block.Commands[i].Account, block.Commands[i].Kind}
	}
	if n := s.Ledger().Assets(); n > w.assets {
		e.assets = archive.AssetsFrom(s, w.assets)
		w.assets = n
	}
	if _, more := s.Markets().Market(market.ID(len(w.markets) + 1)); more {
		e.markets = archive.MarketsFrom(s, len(w.markets))
		w.markets = append(w.markets, e.markets...)
	}
	e.traded = w.markets
	if n := len(res.Changes); n > 0 && res.Changes[n-1].Key[0] >= firstBankLeaf {
		w.seeWallets(s, e)
	}
	for i := range res.Events {
		x := &res.Events[i]
		if side, price, ok := touches(x); ok {
			w.look(s, e, res.Height, x.Market, side, price)
		}
	}
	return e
}

// seeWallets notes the wallets whose total is another than before.
func (w *witness) seeWallets(s *exchange.State, e *effects) {
	now := archive.WalletsOf(s)
	for i, x := range now {
		if i >= len(w.wallets) || w.wallets[i] != x {
			// A new wallet of one bank moves those of the banks behind it.
			if !slices.Contains(w.wallets, x) {
				e.wallets = append(e.wallets, x)
			}
		}
	}
	w.wallets = now
}

// touches tells which price of a book an event may have changed: one where an order
// rests, or might since the event, or rested until then.
func touches(e *exchange.Event) (side market.Side, price asset.Price, ok bool) {
	if f := e.Fill; f != nil {
		return market.Buy + market.Sell - f.TakerSide, f.Price, !f.Inner
	}
	o := e.Order
	if o == nil {
		return 0, 0, false
	}
	if e.Kind == exchange.EventOrderReduced || e.Kind == exchange.EventOrderClosed {
		return o.Side, o.Price, o.Joined != 0
	}
	limit := o.Kind == market.LimitOrder || o.Kind == market.StopLimitOrder || o.Kind == market.TakeProfitLimitOrder
	return o.Side, o.Price, limit && o.TIF <= market.GTD && o.Status != market.Waiting
}

// look notes what a price of a book holds now.
func (w *witness) look(s *exchange.State, e *effects, height uint64, id market.ID, side market.Side, price asset.Price) {
	at := touched{price, height, id, side}
	h := (uint64(price)<<1 ^ uint64(side) ^ uint64(id)<<32) * 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	known := &w.touched[h>>54]
	if *known == at {
		return
	}
	*known = at
	e.levels = append(e.levels, archive.Level{Market: id, Side: side, Price: price, Quantity: s.Markets().Quantity(id, side, price)})
}

// block is what the block did, as it is kept. It is made for the first who asks and
// shared by all: it must not be changed.
func (rec *record) block() *archive.Block {
	rec.made.Do(func() {
		e, res := rec.effects, rec.result
		b := &archive.Block{
			Height: res.Height, Time: res.Time, Events: res.Events, Wallets: e.wallets, Assets: e.assets, Markets: e.markets,
			Commands: make([]archive.Command, len(e.commands)), Balances: balances(res, e.traded),
		}
		for i := range e.commands {
			b.Commands[i] = archive.Command{Account: e.commands[i].account, Kind: e.commands[i].kind, Receipt: res.Receipts[i]}
		}
		slices.SortFunc(e.levels, func(x, y archive.Level) int {
			return cmp.Or(cmp.Compare(x.Market, y.Market), cmp.Compare(x.Side, y.Side), cmp.Compare(x.Price, y.Price))
		})
		b.Levels = slices.Compact(e.levels)
		rec.what = b
	})
	return rec.what
}

// moved says that a block may have changed what an account has of an asset. It holds no
// pointers, and sorting looks at the first bytes of addresses before it looks at events,
// which are far apart.
type moved struct {
	prefix uint64
	asset  asset.ID
	event  int32 // index, with Other of it in the last bit
}

func (m *moved) account(events []exchange.Event) *identity.Address {
	if m.event&1 == 0 {
		return &events[m.event/2].Account
	}
	return &events[m.event/2].Other
}

// movements lists what a block may have changed, by account and asset, some of it more
// than once. All is set if events do not say everything.
func movements(res *exchange.Result, markets []archive.Market) (list []moved, all bool) {
	events := res.Events
	list = make([]moved, 0, 2*len(events))
	for i := range events {
		e, at := &events[i], 2*int32(i)
		add := func(a *identity.Address, other int32, id asset.ID) {
			list = append(list, moved{binary.BigEndian.Uint64(a[:]), id, at + other})
		}
		switch {
		case e.Fill != nil:
			m := &markets[e.Market-1]
			add(&e.Account, 0, m.Base)
			add(&e.Account, 0, m.Quote)
			add(&e.Other, 1, m.Base)
			add(&e.Other, 1, m.Quote)
		case e.Order != nil:
			if m := &markets[e.Market-1]; e.Order.Side == market.Buy {
				add(&e.Account, 0, m.Quote)
			} else {
				add(&e.Account, 0, m.Base)
			}
		case e.Asset != 0:
			add(&e.Account, 0, e.Asset)
			add(&e.Other, 1, e.Asset)
		case e.Action != nil: // it may pay somebody
			all = true
		}
	}
	slices.SortFunc(list, func(x, y moved) int {
		if x.prefix != y.prefix {
			if x.prefix < y.prefix {
				return -1
			}
			return 1
		}
		return cmp.Or(bytes.Compare(x.account(events)[:], y.account(events)[:]), cmp.Compare(x.asset, y.asset))
	})
	return list, all
}

// balances are what the accounts that a block changed have now of the assets that it may
// have changed, by account and asset (G-4).
func balances(res *exchange.Result, markets []archive.Market) []archive.Balance {
	list, all := movements(res, markets)
	out := make([]archive.Balance, 0, len(res.Events))
	for i := range res.Changes {
		c := &res.Changes[i]
		if c.Key[0] != ledger.LeafAccount || c.Value == nil {
			continue
		}
		account, from := identity.Address(c.Key[1:]), len(out)
		for len(list) > 0 && bytes.Compare(list[0].account(res.Events)[:], account[:]) < 0 {
			list = list[1:]
		}
		for ; len(list) > 0 && *list[0].account(res.Events) == account; list = list[1:] {
			if n := len(out); n == from || out[n-1].Asset != list[0].asset {
				out = append(out, archive.Balance{Account: account, Asset: list[0].asset})
			}
		}
		if from == len(out) && !all {
			continue // its nonces
		}
		at, end := from, len(out)
		err := ledger.LeafBalances(c.Value, func(id asset.ID, available, held asset.Amount) {
			for at < end && out[at].Asset < id {
				at++
			}
			switch {
			case at < end && out[at].Asset == id:
				out[at].Available, out[at].Held = available, held
			case all:
				out = append(out, archive.Balance{Account: account, Asset: id, Available: available, Held: held})
			}
		})
		if err != nil {
			panic("replica: the exchange wrote an account that it cannot read") //nolint:forbidigo // broken invariant
		}
		if all {
			slices.SortFunc(out[from:], func(x, y archive.Balance) int { return cmp.Compare(x.Asset, y.Asset) })
		}
	}
	return out
}
