// Package archivetest is what every adapter of the port archive must pass: blocks of
// random histories are written, and what is read must be what the state machine says.
package archivetest

import (
	"cmp"
	"fmt"
	"slices"

	"souk/archive"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/identity"
)

// History is a virtual server's life: its blocks, and its state at the end.
type History struct {
	Founding *exchange.Founding
	Blocks   []*archive.Block
	State    *exchange.State
	Height   uint64
	Time     uint64
	// Inventories are those after some of the blocks, by height.
	Inventories map[uint64]*archive.Inventory

	balances map[at]archive.Balance
	wallets  []archive.Wallet
	assets   int
	markets  int
}

type at struct {
	account identity.Address
	asset   uint32
}

// Random makes a history of so many blocks by seed, with commands of every kind and a
// bank. Every tenth block has its inventory taken.
func Random(seed uint64, blocks int) *History {
	w := exchangetest.From(exchangetest.BankFounding(4))
	h := &History{
		Founding: w.State.Founding(), State: w.State, Inventories: map[uint64]*archive.Inventory{}, balances: map[at]archive.Balance{},
		assets: w.State.Ledger().Assets(), markets: len(w.State.Markets().Markets(nil)), wallets: archive.WalletsOf(w.State),
	}
	w.Applied = func(b *exchange.Block) *exchange.Result {
		res := w.State.Apply(b)
		h.note(b, res)
		return res
	}
	r := exchangetest.NewBankRandom(w, 12, seed)
	for i := range blocks {
		commands := slices.Concat(r.Block(12), h.rare(w, i))
		if i == blocks-10 {
			w.Time += 8 * uint64(archive.Day) // rotations of keys take effect
		}
		w.Block(commands...)
		if i%10 == 0 {
			h.Inventories[w.Height] = archive.Take(w.State, w.Height, w.Time)
		}
	}
	h.Height, h.Time = w.Height, w.Time
	return h
}

// rare are commands of kinds that Random does not make, or that seldom succeed.
func (h *History) rare(w *exchangetest.World, i int) (commands []exchange.Command) {
	switch i % 5 {
	case 0:
		commands = append(commands, w.Command("issuer", &exchange.Mint{Asset: exchangetest.BTC, Amount: 500, To: exchangetest.Address("issuer")}))
	case 1:
		commands = append(commands, w.Command("issuer", &exchange.Burn{Asset: exchangetest.BTC, Amount: 400}))
	case 2:
		commands = append(commands, w.Command("issuer", &exchange.Lock{
			Payee: exchangetest.Address("a1"), Asset: exchangetest.BTC, Amount: 10, Deadline: w.Time + 10_000,
			Arbiter: exchangetest.Address("a2"), Window: 300,
		}))
	case 3:
		last := h.Blocks[len(h.Blocks)-1]
		for _, c := range last.Commands {
			if c.Kind == exchange.KindLock && c.Account == exchangetest.Address("issuer") {
				commands = append(commands, w.Command("issuer", &exchange.Dispute{Escrow: c.Receipt.Number}))
			}
		}
	}
	if i == 30 { // the members make a market
		terms := market.Terms{Tick: 1e6, Lot: 1e4, MinNotional: 1e6, MakerPPM: 1_000, TakerPPM: 2_000, ReservePPM: 100_000, Reference: 100e8}
		action := roster.AppendAction(nil, roster.CreateMarket{Base: exchangetest.LTC, Quote: exchangetest.EUR, Terms: terms.Append(nil)}, 1)
		for n := range 4 {
			commands = append(commands, w.Command(exchangetest.MemberName(n), &exchange.Vote{Approve: true, Action: action}))
		}
	}
	for n := range 12 {
		name := fmt.Sprint("a", n)
		number, _ := w.State.Ledger().Find(exchangetest.Address(name))
		for _, x := range w.State.Banks().Withdrawals(custody.Owner(number)) {
			if x.Batch == 0 && (i+n)%4 == 0 {
				commands = append(commands, w.Command(name, &exchange.CancelWithdrawal{Withdrawal: x.ID}))
				break
			}
		}
	}
	return commands
}

// note records what a block did.
func (h *History) note(in *exchange.Block, res *exchange.Result) {
	if !res.Active {
		return
	}
	b := &archive.Block{
		Height: in.Height, Time: in.Time, Events: slices.Clone(res.Events),
		Assets: archive.AssetsFrom(h.State, h.assets), Markets: archive.MarketsFrom(h.State, h.markets),
	}
	for i := range b.Events { // records are the state's until the next block
		e := &b.Events[i]
		if e.Order != nil {
			o := *e.Order
			e.Order = &o
		}
		if e.Fill != nil {
			f := *e.Fill
			e.Fill = &f
		}
	}
	h.assets, h.markets = h.assets+len(b.Assets), h.markets+len(b.Markets)
	for i := range in.Commands {
		c := &in.Commands[i]
		b.Commands = append(b.Commands, archive.Command{Account: c.Account, Kind: c.Kind, Receipt: res.Receipts[i]})
	}
	h.changed(b)
	wallets := archive.WalletsOf(h.State)
	for i, w := range wallets {
		if w != h.wallets[i] {
			b.Wallets = append(b.Wallets, w)
		}
	}
	h.wallets = wallets
	h.Blocks = append(h.Blocks, b)
}

// changed notes the balances that are not what they were.
func (h *History) changed(b *archive.Block) {
	now := balances(h.State)
	for k, x := range now {
		if h.balances[k] != x {
			b.Balances = append(b.Balances, x)
		}
	}
	for k, x := range h.balances {
		if _, ok := now[k]; !ok {
			b.Balances = append(b.Balances, archive.Balance{Account: x.Account, Asset: x.Asset})
		}
	}
	slices.SortFunc(b.Balances, func(x, y archive.Balance) int {
		return cmp.Or(slices.Compare(x.Account[:], y.Account[:]), cmp.Compare(x.Asset, y.Asset))
	})
	h.balances = now
}

// balances are all of a state that are not zero.
func balances(s *exchange.State) map[at]archive.Balance {
	all := map[at]archive.Balance{}
	for n := ledger.Number(1); int(n) <= s.Ledger().Accounts(); n++ {
		a := s.Ledger().Account(n)
		for _, b := range a.Balances {
			if b.Available != 0 || b.Held != 0 {
				all[at{a.Address, uint32(b.Asset)}] = archive.Balance{Account: a.Address, Asset: b.Asset, Available: b.Available, Held: b.Held}
			}
		}
	}
	return all
}

// Accounts are all that the history has heard of.
func (h *History) Accounts() (list []identity.Address) {
	for n := ledger.Number(1); int(n) <= h.State.Ledger().Accounts(); n++ {
		list = append(list, h.State.Ledger().Address(n))
	}
	return list
}

// Kinds are the kinds of events that happen in the history.
func (h *History) Kinds() map[exchange.EventKind]int {
	kinds := map[exchange.EventKind]int{}
	for _, b := range h.Blocks {
		for i := range b.Events {
			kinds[b.Events[i].Kind]++
		}
	}
	return kinds
}

// withdrawals are those of an account that the state knows, by number.
func (h *History) withdrawals(a identity.Address) map[uint64]archive.WithdrawalState {
	n, _ := h.State.Ledger().Find(a)
	all := map[uint64]archive.WithdrawalState{}
	for _, w := range h.State.Banks().Withdrawals(custody.Owner(n)) {
		all[uint64(w.ID)] = archive.Asked
		if w.Batch != 0 {
			all[uint64(w.ID)] = archive.Sent
		}
	}
	for _, w := range h.State.Banks().Paid(custody.Owner(n)) {
		all[uint64(w.ID)] = archive.Paid
	}
	return all
}

// trades are all of a market, the oldest first.
func (h *History) trades(id market.ID) (list []archive.Trade) {
	for _, b := range h.Blocks {
		for i := range b.Events {
			if f := b.Events[i].Fill; f != nil && f.Market == id {
				list = append(list, archive.Trade{
					ID: f.Trade, Market: id, Price: f.Price, Quantity: f.Quantity, Value: f.BuyerPaid, Maker: f.Maker, Taker: f.Taker,
					Taking: f.TakerSide, Inner: f.Inner, Height: b.Height, Time: b.Time,
				})
			}
		}
	}
	return list
}
