package archive

import (
	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/identity"
)

// Inventory is what there is after a block, as far as an archive shows it. It brings an
// archive up to date that does not know all blocks (G-33).
type Inventory struct {
	Height   uint64
	Time     uint64
	Assets   []Asset
	Markets  []Market
	Balances []Balance // all that are not zero
	Orders   []LiveOrder
	Banks    []Bank
	Wallets  []Wallet // all
	// Part tells that it has some balances, orders and wallets only: of others it says nothing.
	Part bool
}

// Bank is what a bank is for.
type Bank struct {
	ID      custody.Bank
	Asset   asset.ID
	Network string // as package script calls it
}

// LiveOrder is a live order and whose it is.
type LiveOrder struct {
	Account identity.Address
	Order   market.Order
}

// Take takes the inventory of a state. Height and time are those of the newest block,
// also if that did nothing.
func Take(s *exchange.State, height, time uint64) *Inventory {
	in := &Inventory{Height: height, Time: time, Assets: AssetsFrom(s, 0), Markets: MarketsFrom(s, 0), Banks: banksOf(s), Wallets: WalletsOf(s)}
	l := s.Ledger()
	for n := ledger.Number(1); int(n) <= l.Accounts(); n++ {
		a := l.Account(n)
		for _, b := range a.Balances {
			if b.Available != 0 || b.Held != 0 {
				in.Balances = append(in.Balances, Balance{a.Address, b.Asset, b.Available, b.Held})
			}
		}
	}
	for o := range s.Markets().Orders() {
		in.Orders = append(in.Orders, LiveOrder{l.Address(ledger.Number(o.Owner)), o})
	}
	return in
}

// Founded takes the inventory of a new virtual server. It answers nil for one that was
// refounded: what that begins with is not in its contract.
func Founded(f *exchange.Founding) (*Inventory, error) {
	if f.Origin != nil {
		return nil, nil //nolint:nilnil // there is nothing to tell, which is no error
	}
	s, err := exchange.New(f)
	if err != nil {
		return nil, err
	}
	return Take(s, 0, s.Time()), nil
}

func banksOf(s *exchange.State) (list []Bank) {
	if s.Banks() == nil {
		return nil
	}
	for id := custody.Bank(1); int(id) <= s.Banks().Banks(); id++ {
		info, _ := s.Banks().Bank(id)
		list = append(list, Bank{id, s.Banks().Asset(id), info.Network})
	}
	return list
}

// AssetsFrom are the assets of a state but the first few.
func AssetsFrom(s *exchange.State, known int) (list []Asset) {
	for id := asset.ID(known + 1); int(id) <= s.Ledger().Assets(); id++ {
		a, _ := s.Ledger().Asset(id)
		list = append(list, Asset{ID: id, Symbol: a.Symbol, Decimals: a.Decimals, Issuer: a.Issuer})
	}
	return list
}

// MarketsFrom are the markets of a state but the first few.
func MarketsFrom(s *exchange.State, known int) (list []Market) {
	for _, m := range s.Markets().Markets(nil) {
		if int(m.ID) > known {
			list = append(list, Market{m.ID, m.Base, m.Quote})
		}
	}
	return list
}

// WalletsOf are the wallets of all banks of a state.
func WalletsOf(s *exchange.State) (list []Wallet) {
	if s.Banks() == nil {
		return nil
	}
	for b := custody.Bank(1); int(b) <= s.Banks().Banks(); b++ {
		for i, total := range s.Banks().Wallets(b) {
			list = append(list, Wallet{b, uint8(i), total})
		}
	}
	return list
}
