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

// spent says that an account may have lost the last of an asset. Sorting looks at the
// first bytes of addresses before it looks at events, which are far apart.
type spent struct {
	prefix  uint64
	account *identity.Address
	asset   asset.ID
}

// spending lists what accounts gave away in a block, by account.
func spending(res *exchange.Result, markets []archive.Market) []spent {
	all := make([]spent, 0, len(res.Events))
	add := func(a *identity.Address, id asset.ID) {
		all = append(all, spent{binary.BigEndian.Uint64(a[:]), a, id})
	}
	for i := range res.Events {
		switch e := &res.Events[i]; {
		case e.Kind == exchange.EventTrade:
			m := &markets[e.Market-1]
			add(&e.Account, m.Quote)
			add(&e.Other, m.Base)
		case e.Asset != 0 && !e.Account.IsZero():
			add(&e.Account, e.Asset)
		}
	}
	slices.SortFunc(all, func(x, y spent) int {
		if x.prefix != y.prefix {
			return cmp.Compare(x.prefix, y.prefix)
		}
		return cmp.Or(bytes.Compare(x.account[:], y.account[:]), cmp.Compare(x.asset, y.asset))
	})
	return all
}

// balances are those of the accounts that a block changed, by account and asset; zeros
// for what they have none of any more (G-4).
func balances(res *exchange.Result, markets []archive.Market) []archive.Balance {
	gone := spending(res, markets)
	var all []archive.Balance
	for i := range res.Changes {
		c := &res.Changes[i]
		if c.Key[0] != ledger.LeafAccount || c.Value == nil {
			continue
		}
		account, from := identity.Address(c.Key[1:]), len(all)
		err := ledger.LeafBalances(c.Value, func(id asset.ID, available, held asset.Amount) {
			all = append(all, archive.Balance{Account: account, Asset: id, Available: available, Held: held})
		})
		if err != nil {
			panic("replica: the exchange wrote an account that it cannot read") //nolint:forbidigo // broken invariant
		}
		for len(gone) > 0 && bytes.Compare(gone[0].account[:], account[:]) < 0 {
			gone = gone[1:]
		}
		for ; len(gone) > 0 && *gone[0].account == account; gone = gone[1:] {
			has := func(b archive.Balance, id asset.ID) int { return cmp.Compare(b.Asset, id) }
			if at, found := slices.BinarySearchFunc(all[from:], gone[0].asset, has); !found {
				all = slices.Insert(all, from+at, archive.Balance{Account: account, Asset: gone[0].asset})
			}
		}
	}
	return all
}
