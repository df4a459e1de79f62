package node

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/identity"
)

// Terms are what founders agree on besides who they are; every founder uses the
// same file.
type Terms struct {
	Name     string        `toml:"name"`
	Profile  string        `toml:"profile"` // lan or wan
	Assets   []AssetTerms  `toml:"asset"`
	Markets  []MarketTerms `toml:"market"`
	Banks    []BankTerms   `toml:"banks"`
	Reserved []string      `toml:"reserved_symbols"`
	// FeeAsset and Fee are the command fee; empty for none.
	FeeAsset string `toml:"fee_asset"`
	Fee      string `toml:"fee"`
	// Protocol is the protocol version to begin with; zero is the newest that this
	// binary executes.
	Protocol uint32 `toml:"protocol"`

	lines lineNumbers // of the file that they were read from
}

// AssetTerms are an asset that exists from the first block. One whose coins a bank keeps
// has no issuer.
type AssetTerms struct {
	Symbol    string `toml:"symbol"`
	Decimals  uint8  `toml:"decimals"`
	MaxSupply string `toml:"max_supply"` // in whole coins; empty: the most that is possible
	Issuer    string `toml:"issuer"`     // address
	Contract  string `toml:"contract"`
}

// MarketTerms are a market that exists from the first block. Prices are in the
// quote asset, quantities in the base asset, fees in percent times 10,000.
type MarketTerms struct {
	Base        string `toml:"base"`
	Quote       string `toml:"quote"`
	Tick        string `toml:"tick"`
	Lot         string `toml:"lot"`
	MinNotional string `toml:"min_notional"`
	Reference   string `toml:"reference_price"`
	MakerPPM    uint32 `toml:"maker_ppm"`
	TakerPPM    uint32 `toml:"taker_ppm"`
	ReservePPM  uint32 `toml:"reserve_ppm"`
	BandPPM     uint32 `toml:"band_ppm"`
}

// ParseTerms reads founding terms strictly.
func ParseTerms(data []byte) (Terms, error) {
	var t Terms
	if err := parseTOML(data, &t); err != nil {
		return t, fmt.Errorf("%w: founding terms, %w", ErrConfig, err)
	}
	t.lines = numberLines(data)
	return t, nil
}

// bad is an error in one field: of the terms, or of the nth asset or market.
func (t *Terms) bad(table string, n int, field, format string, args ...any) error {
	where, key := field, field
	if table != "" {
		key = fmt.Sprintf("%s.%d.%s", table, n, field)
		where = fmt.Sprintf("%s of %s %d", field, table, n+1)
		switch {
		case table == "asset" && t.Assets[n].Symbol != "":
			where = fmt.Sprintf("%s of asset %s", field, t.Assets[n].Symbol)
		case table == "banks" && t.Banks[n].Asset != "":
			where = fmt.Sprintf("%s of the bank of %s", field, t.Banks[n].Asset)
		case table == "banks":
			where = fmt.Sprintf("%s of bank %d", field, n+1)
		case table == "market" && t.Markets[n].Base+t.Markets[n].Quote != "":
			where = fmt.Sprintf("%s of market %s-%s", field, t.Markets[n].Base, t.Markets[n].Quote)
		}
	}
	text := fmt.Errorf(format, args...)
	if line := t.lines.of(key); line != 0 {
		return fmt.Errorf("%w: founding terms, line %d: %s: %w", ErrConfig, line, where, text)
	}
	return fmt.Errorf("%w: founding terms: %s: %w", ErrConfig, where, text)
}

// Found makes the founding contract of members and terms. It is the same on
// every machine: its time is that of the newest card.
func Found(t *Terms, cards []exchange.Card) (*exchange.Founding, error) {
	if err := distinct(cards); err != nil {
		return nil, err
	}
	f := &exchange.Founding{Name: t.Name, Protocol: t.Protocol, Members: slices.Clone(cards), Params: exchange.DefaultParams()}
	if f.Protocol == 0 {
		f.Protocol = exchange.ProtocolMax
	}
	for i := range cards {
		f.Created = max(f.Created, cards[i].Made)
	}
	switch t.Profile {
	case "", "lan":
	case "wan":
		f.Profile = exchange.ProfileWAN
	default:
		return nil, t.bad("", 0, "profile", "%q: write lan or wan", t.Profile)
	}
	if f.Protocol < exchange.ProtocolMin || f.Protocol > exchange.ProtocolMax {
		return nil, t.bad("", 0, "protocol", "version %d: this binary executes %d to %d", f.Protocol, exchange.ProtocolMin, exchange.ProtocolMax)
	}
	f.Reserved = slices.Sorted(slices.Values(t.Reserved))
	for _, symbol := range f.Reserved {
		if !ledger.ValidSymbol(symbol) {
			return nil, t.bad("", 0, "reserved_symbols", "%q: %s", symbol, symbolForm)
		}
	}
	f.SortMembers()
	var err error
	if f.Banks, err = t.banks(cards); err != nil {
		return nil, err
	}
	for i := range t.Assets {
		a, err := t.asset(i)
		if err != nil {
			return nil, err
		}
		f.Assets = append(f.Assets, a)
	}
	if err := t.fee(&f.Params); err != nil {
		return nil, err
	}
	for i := range t.Markets {
		m, err := t.market(i)
		if err != nil {
			return nil, err
		}
		f.Markets = append(f.Markets, m)
	}
	if err := f.Check(); err != nil {
		return nil, err
	}
	_, err = exchange.New(f) // the assets and markets must be possible too
	return f, err
}

// distinct refuses two cards of one member, by name.
func distinct(cards []exchange.Card) error {
	seen := map[identity.PublicKey]*exchange.Card{}
	for i := range cards {
		c := &cards[i]
		other, ok := seen[c.Operator]
		switch {
		case ok && bytes.Equal(other.Append(nil), c.Append(nil)):
			return fmt.Errorf("%w: the card of %s is given twice: name each card once", exchange.ErrFounding, c.Name)
		case ok:
			return fmt.Errorf("%w: %s and %s are two cards of one operator: take one of them", exchange.ErrFounding, other.Name, c.Name)
		}
		seen[c.Operator] = c
	}
	return nil
}

const symbolForm = "a symbol is 2 to 10 characters, A to Z and 0 to 9, a letter first"

func (t *Terms) fee(p *exchange.Params) error {
	switch {
	case t.FeeAsset == "" && t.Fee == "":
		return nil
	case t.FeeAsset == "":
		return t.bad("", 0, "fee", "name the asset in which it is paid: fee_asset")
	case t.Fee == "":
		return t.bad("", 0, "fee_asset", "say how much a command costs: fee")
	}
	i := t.find(t.FeeAsset)
	if i < 0 {
		return t.unknown("", 0, "fee_asset", t.FeeAsset)
	}
	fee, err := asset.Parse(t.Fee, t.Assets[i].Decimals)
	if err != nil {
		return t.bad("", 0, "fee", "%w", err)
	}
	p.FeeAsset, p.Fee = asset.ID(i+1), fee
	return nil
}

// find is the index of the asset with a symbol, or -1.
func (t *Terms) find(symbol string) int {
	return slices.IndexFunc(t.Assets, func(a AssetTerms) bool { return a.Symbol == symbol })
}

func (t *Terms) unknown(table string, n int, field, symbol string) error {
	all := make([]string, len(t.Assets))
	for i := range t.Assets {
		all[i] = t.Assets[i].Symbol
	}
	there := "there is none"
	if len(all) > 0 {
		there = "there are " + strings.Join(all, ", ")
	}
	return t.bad(table, n, field, "%q is no [[asset]] of these terms: %s", symbol, there)
}

func (t *Terms) asset(n int) (f exchange.FoundingAsset, err error) {
	a := &t.Assets[n]
	banked := t.bankOf(a.Symbol) >= 0
	switch {
	case !ledger.ValidSymbol(a.Symbol):
		return f, t.bad("asset", n, "symbol", "%q: %s", a.Symbol, symbolForm)
	case t.find(a.Symbol) != n:
		return f, t.bad("asset", n, "symbol", "another asset has it already")
	case a.Decimals > asset.MaxDecimals:
		return f, t.bad("asset", n, "decimals", "%d: an asset has 0 to %d", a.Decimals, asset.MaxDecimals)
	case banked && a.Issuer != "":
		return f, t.bad("asset", n, "issuer", "a bank keeps its coins, so nobody issues it: leave issuer out")
	case banked && a.Decimals != 8:
		return f, t.bad("asset", n, "decimals", "%d: a bank keeps its coins, so it has 8", a.Decimals)
	case banked && a.MaxSupply != "":
		return f, t.bad("asset", n, "max_supply", "a bank keeps its coins, so there are as many as were paid in: leave max_supply out")
	case !banked && a.Issuer == "":
		return f, t.bad("asset", n, "issuer", "it is missing: an address of souk account new; or a [[banks]] that keeps its coins")
	}
	f = exchange.FoundingAsset{Symbol: a.Symbol, Decimals: a.Decimals, MaxSupply: asset.MaxSupply, Contract: a.Contract}
	if banked {
		return f, nil
	}
	if f.Issuer, err = identity.ParseAddress(a.Issuer); err != nil {
		return f, t.bad("asset", n, "issuer", "%w: it is an address of souk account new", err)
	}
	if a.MaxSupply != "" {
		if f.MaxSupply, err = asset.Parse(a.MaxSupply, a.Decimals); err != nil {
			return f, t.bad("asset", n, "max_supply", "%q: %w", a.MaxSupply, err)
		}
	}
	if f.MaxSupply == 0 || f.MaxSupply > asset.MaxSupply {
		return f, t.bad("asset", n, "max_supply", "it must be above zero, and at most %s", asset.Format(asset.MaxSupply, a.Decimals))
	}
	return f, nil
}

func (t *Terms) market(n int) (f exchange.FoundingMarket, err error) {
	m := &t.Markets[n]
	f = exchange.FoundingMarket{Base: m.Base, Quote: m.Quote}
	base, quote := t.find(m.Base), t.find(m.Quote)
	switch {
	case base < 0:
		return f, t.unknown("market", n, "base", m.Base)
	case quote < 0:
		return f, t.unknown("market", n, "quote", m.Quote)
	case base == quote:
		return f, t.bad("market", n, "quote", "base and quote are one asset")
	case slices.IndexFunc(t.Markets, func(o MarketTerms) bool { return o.Base == m.Base && o.Quote == m.Quote }) != n:
		return f, t.bad("market", n, "base", "there is this market already")
	}
	numbers := make([]asset.Amount, 4)
	for i, x := range []struct {
		name, text string
		of         int
	}{{"tick", m.Tick, quote}, {"lot", m.Lot, base}, {"min_notional", m.MinNotional, quote}, {"reference_price", m.Reference, quote}} {
		if x.text == "" {
			return f, t.bad("market", n, x.name, "it is missing: an amount of %s, as text, such as \"0.01\"", t.Assets[x.of].Symbol)
		}
		if numbers[i], err = asset.Parse(x.text, t.Assets[x.of].Decimals); err != nil {
			return f, t.bad("market", n, x.name, "%q: %w", x.text, err)
		}
	}
	f.Terms = market.Terms{
		Tick: asset.Price(numbers[0]), Lot: numbers[1], MinNotional: numbers[2], Reference: asset.Price(numbers[3]),
		MakerPPM: m.MakerPPM, TakerPPM: m.TakerPPM, ReservePPM: m.ReservePPM, BandPPM: m.BandPPM,
	}
	if field, why := wrongTerms(&f.Terms); field != "" {
		return f, t.bad("market", n, field, "%s", why)
	}
	return f, nil
}

// wrongTerms says which of a market's terms it cannot have, and why (M-1).
func wrongTerms(t *market.Terms) (field, why string) {
	switch {
	case t.Tick == 0 || t.Tick > market.MaxPrice:
		return "tick", "it must be above zero, and not above the highest price"
	case t.Lot == 0 || t.Lot > asset.MaxSupply:
		return "lot", "it must be above zero, and not above the largest supply"
	case t.MinNotional > asset.MaxSupply:
		return "min_notional", "it is above the largest supply"
	case t.Reference == 0 || t.Reference > market.MaxPrice || t.Reference%t.Tick != 0:
		return "reference_price", "it must be above zero and a multiple of the tick"
	case t.MakerPPM > market.MaxFeePPM:
		return "maker_ppm", fmt.Sprintf("it is at most %d", market.MaxFeePPM)
	case t.TakerPPM > market.MaxFeePPM:
		return "taker_ppm", fmt.Sprintf("it is at most %d", market.MaxFeePPM)
	case t.ReservePPM > 1_000_000:
		return "reserve_ppm", "it is at most 1000000"
	case t.BandPPM > market.MaxBandPPM:
		return "band_ppm", fmt.Sprintf("it is at most %d", market.MaxBandPPM)
	}
	return "", ""
}
