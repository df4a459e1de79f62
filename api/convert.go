package api

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"math/bits"
	"strconv"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
)

// AssetSource knows the assets of a virtual server; ledger.State is one.
type AssetSource interface {
	// Asset returns an asset by its number; false if there is none.
	Asset(id asset.ID) (ledger.Asset, bool)
}

// Pair is a market with what it takes to write and read its money.
type Pair struct {
	market.Market
	BaseSymbol, QuoteSymbol string
	QuoteDecimals           uint8
}

// NewPair adds to a market what its assets are called and how they are written.
func NewPair(m market.Market, assets AssetSource) Pair {
	base, _ := assets.Asset(m.Base)
	quote, _ := assets.Asset(m.Quote)
	return Pair{Market: m, BaseSymbol: base.Symbol, QuoteSymbol: quote.Symbol, QuoteDecimals: quote.Decimals}
}

// Symbol is the market's name: base and quote with a dash between.
func (p *Pair) Symbol() string { return p.BaseSymbol + "-" + p.QuoteSymbol }

// FormatPrice writes a price in the quote asset per whole base coin.
func (p *Pair) FormatPrice(v asset.Price) string {
	return asset.Format(asset.Amount(v), p.QuoteDecimals)
}

// FormatBase writes an amount of the base asset.
func (p *Pair) FormatBase(v asset.Amount) string { return asset.Format(v, p.BaseDecimals) }

// FormatQuote writes an amount of the quote asset.
func (p *Pair) FormatQuote(v asset.Amount) string { return asset.Format(v, p.QuoteDecimals) }

// FormatSide writes what a side of a trade is credited or charged in: base units
// for a buy, quote units for a sell.
func (p *Pair) FormatSide(s market.Side, v asset.Amount) string {
	if s == market.Buy {
		return p.FormatBase(v)
	}
	return p.FormatQuote(v)
}

// ParsePrice reads a price as FormatPrice writes it; fewer decimals will do.
func (p *Pair) ParsePrice(s string) (asset.Price, error) {
	v, err := asset.Parse(s, p.QuoteDecimals)
	return asset.Price(v), err
}

// ParseBase reads an amount of the base asset.
func (p *Pair) ParseBase(s string) (asset.Amount, error) { return asset.Parse(s, p.BaseDecimals) }

// ParseQuote reads an amount of the quote asset.
func (p *Pair) ParseQuote(s string) (asset.Amount, error) { return asset.Parse(s, p.QuoteDecimals) }

// Value is the pair as it stands in JSON.
func (p *Pair) Value() Market {
	v := Market{
		ID: uint32(p.ID), Symbol: p.Symbol(), Base: p.BaseSymbol, Quote: p.QuoteSymbol,
		BaseID: uint32(p.Base), QuoteID: uint32(p.Quote), BaseDecimals: p.BaseDecimals, QuoteDecimals: p.QuoteDecimals,
		Tick: p.FormatPrice(p.Tick), Lot: p.FormatBase(p.Lot), MinNotional: p.FormatQuote(p.MinNotional),
		MakerPPM: p.MakerPPM, TakerPPM: p.TakerPPM, ReservePPM: p.ReservePPM, BandPPM: p.BandPPM,
		Reference: p.FormatPrice(p.Reference), Paused: p.Paused,
	}
	if p.Last != 0 {
		v.Last = p.FormatPrice(p.Last)
	}
	return v
}

// Pair reads a market back from JSON.
func (v *Market) Pair() (Pair, error) {
	p := Pair{
		Market: market.Market{
			ID: market.ID(v.ID), Base: asset.ID(v.BaseID), Quote: asset.ID(v.QuoteID), BaseDecimals: v.BaseDecimals, Paused: v.Paused,
		},
		BaseSymbol: v.Base, QuoteSymbol: v.Quote, QuoteDecimals: v.QuoteDecimals,
	}
	if v.BaseDecimals > asset.MaxDecimals || v.QuoteDecimals > asset.MaxDecimals {
		return Pair{}, fmt.Errorf("market %d has %d and %d decimals", v.ID, v.BaseDecimals, v.QuoteDecimals)
	}
	p.MakerPPM, p.TakerPPM, p.ReservePPM, p.BandPPM = v.MakerPPM, v.TakerPPM, v.ReservePPM, v.BandPPM
	for _, f := range []struct {
		text string
		dst  *asset.Price
	}{{v.Tick, &p.Tick}, {v.Reference, &p.Reference}, {v.Last, &p.Last}} {
		if f.text == "" {
			continue
		}
		price, err := p.ParsePrice(f.text)
		if err != nil {
			return Pair{}, fmt.Errorf("market %d: %w", v.ID, err)
		}
		*f.dst = price
	}
	var err error
	if p.Lot, err = p.ParseBase(v.Lot); err != nil {
		return Pair{}, fmt.Errorf("market %d: lot: %w", v.ID, err)
	}
	if p.MinNotional, err = p.ParseQuote(v.MinNotional); err != nil {
		return Pair{}, fmt.Errorf("market %d: least value: %w", v.ID, err)
	}
	return p, nil
}

// Trade is a trade of the pair as it stands in JSON.
func (p *Pair) Trade(t *exchange.Trade) Trade {
	return Trade{
		ID: uint64(t.ID), Market: uint32(t.Market), Symbol: p.Symbol(), Price: p.FormatPrice(t.Price), Quantity: p.FormatBase(t.Quantity),
		Maker: uint64(t.Maker), Taker: uint64(t.Taker), Side: SideName(t.Taking), Inner: t.Inner, Height: t.Height, Time: t.Time,
	}
}

// Auction is an auction of the pair as it stands in JSON.
func (p *Pair) Auction(a *exchange.Auction) Auction {
	v := Auction{Market: uint32(a.Market), Symbol: p.Symbol(), Height: a.Height, Time: a.Time, Reference: p.FormatPrice(a.Reference)}
	if a.Bid != 0 {
		v.Bid = p.FormatPrice(a.Bid)
	}
	if a.Ask != 0 {
		v.Ask = p.FormatPrice(a.Ask)
	}
	if a.Price != 0 {
		v.Cross = &Cross{
			Price: p.FormatPrice(a.Price), Volume: p.formatLots(a.Volume), Demand: p.formatLots(a.Demand), Supply: p.formatLots(a.Supply),
			Surplus: p.formatLots(max(a.Demand, a.Supply) - a.Volume),
		}
	}
	return v
}

// formatLots writes lots in the base asset. What orders want together may be more than an
// amount can be, which 128 bits hold.
func (p *Pair) formatLots(lots uint64) string {
	high, low := bits.Mul64(lots, uint64(p.Lot))
	if high == 0 {
		return p.FormatBase(asset.Amount(low))
	}
	n := new(big.Int).Add(new(big.Int).Lsh(new(big.Int).SetUint64(high), 64), new(big.Int).SetUint64(low))
	text := n.String() // has more digits than an asset has decimals
	if p.BaseDecimals == 0 {
		return text
	}
	at := len(text) - int(p.BaseDecimals)
	return text[:at] + "." + text[at:]
}

// Order is an order of the pair as it stands in JSON.
func (p *Pair) Order(o *market.Order) Order {
	v := Order{
		ID: uint64(o.ID), Client: o.Client, Market: uint32(o.Market), Symbol: p.Symbol(), Side: SideName(o.Side), Kind: KindName(o.Kind),
		TIF: TIFName(o.TIF), PostOnly: o.PostOnly, Status: StatusName(o.Status), Price: p.FormatPrice(o.Price), Expiry: o.Expiry,
		Filled: p.FormatBase(o.Filled), Value: p.FormatQuote(o.Value), Fee: p.FormatSide(o.Side, o.Fee),
		Sibling: uint64(o.Sibling), Placed: o.Placed, Time: o.Time,
	}
	if o.Hold.Asset == p.Base {
		v.Hold = p.FormatBase(o.Hold.Amount)
	} else {
		v.Hold = p.FormatQuote(o.Hold.Amount)
	}
	if o.Quantity != 0 {
		v.Quantity = p.FormatBase(o.Quantity)
	}
	if o.Quote != 0 {
		v.Quote = p.FormatQuote(o.Quote)
	}
	if o.Trigger != 0 {
		v.Trigger = p.FormatPrice(o.Trigger)
	}
	return v
}

// Levels are levels of the pair's book as they stand in JSON.
func (p *Pair) Levels(levels []market.Level) []Level {
	list := make([]Level, len(levels))
	for i, l := range levels {
		list[i] = Level{Price: p.FormatPrice(l.Price), Quantity: p.FormatBase(l.Quantity), Orders: l.Orders}
	}
	return list
}

// AssetValue is an asset as it stands in JSON.
func AssetValue(a *ledger.Asset) Asset {
	v := Asset{
		ID: uint32(a.ID), Symbol: a.Symbol, Decimals: a.Decimals, MaxSupply: asset.Format(a.MaxSupply, a.Decimals),
		Supply: asset.Format(a.Supply, a.Decimals), Contract: hex.EncodeToString(a.Contract[:]),
	}
	if !a.Issuer.IsZero() {
		v.Issuer = a.Issuer.String()
	}
	return v
}

// AccountValue is an account as it stands in JSON.
func AccountValue(a *ledger.Account, assets AssetSource) Account {
	v := Account{
		Address: a.Address.String(), Number: uint32(a.Number), Timer: a.Timer,
		Delegates: make([]Delegate, len(a.Delegates)), Balances: make([]Balance, len(a.Balances)),
	}
	if !a.Owner.IsZero() {
		v.Owner = a.Owner.String()
	}
	if a.Rotation.Due != 0 {
		v.Rotation = &Rotation{Key: a.Rotation.Key.String(), Due: a.Rotation.Due}
	}
	for i, d := range a.Delegates {
		v.Delegates[i] = Delegate{Key: d.Key.String(), Scopes: ScopeNames(d.Scopes), Markets: append([]uint32{}, d.Markets...), Expiry: d.Expiry}
	}
	for i, b := range a.Balances {
		of, _ := assets.Asset(b.Asset)
		v.Balances[i] = Balance{
			Asset: uint32(b.Asset), Symbol: of.Symbol,
			Available: asset.Format(b.Available, of.Decimals), Held: asset.Format(b.Held, of.Decimals),
		}
	}
	return v
}

// AuditValue is an asset's conservation sum as it stands in JSON.
func AuditValue(a *ledger.Audit, of *ledger.Asset) AssetAudit {
	d := of.Decimals
	return AssetAudit{
		Asset: uint32(a.Asset), Symbol: of.Symbol, Supply: asset.Format(a.Supply, d), Available: asset.Format(a.Available, d),
		Held: asset.Format(a.Held, d), Locked: asset.Format(a.Locked, d), Fees: asset.Format(a.Fees, d),
		Dust: asset.Format(a.Dust, d), Reserve: asset.Format(a.Reserve, d), Balanced: a.Balanced,
	}
}

// MemberValue is a member as it stands in JSON.
func MemberValue(m *roster.Member) Member {
	return Member{
		ID: uint32(m.ID), Name: m.Name, Operator: m.Operator.String(), Consensus: m.Consensus.String(), URL: m.URL, P2P: m.P2P,
		Power: m.Power(), Demoted: m.Demoted, Barred: m.Barred, Missed: m.Missed, Until: m.Until,
	}
}

// VoteValue is a vote as it stands in JSON.
func VoteValue(v *roster.Vote) Vote {
	list := Vote{Action: v.Action, Approved: make([]uint32, len(v.Approved)), Lapses: v.Lapses, Passed: v.Passed}
	for i, id := range v.Approved {
		list.Approved[i] = uint32(id)
	}
	if a, _, err := roster.ParseAction(v.Action); err == nil {
		list.Kind = ActionName(a.Kind())
	}
	return list
}

// ReceiptValue is a receipt as it stands in JSON.
func ReceiptValue(r *exchange.Receipt) Receipt {
	v := Receipt{
		ID: hex.EncodeToString(r.ID[:]), Code: uint16(r.Code), Name: r.Code.String(), Message: Message(r.Code),
		Height: r.Height, Time: r.Time, Number: r.Number, Filled: units(r.Filled), Cost: units(r.Cost), Fee: units(r.Fee),
	}
	if r.Status != market.Gone || r.Filled != 0 {
		v.Status = StatusName(r.Status)
	}
	return v
}

// Parse reads a receipt back from JSON.
func (v *Receipt) Parse() (exchange.Receipt, error) {
	r := exchange.Receipt{Code: exchange.Code(v.Code), Height: v.Height, Time: v.Time, Number: v.Number}
	id, err := ParseCommandID(v.ID)
	if err != nil {
		return exchange.Receipt{}, err
	}
	r.ID = id
	for _, f := range []struct {
		text string
		dst  *asset.Amount
	}{{v.Filled, &r.Filled}, {v.Cost, &r.Cost}, {v.Fee, &r.Fee}} {
		if f.text == "" {
			continue
		}
		if *f.dst, err = asset.Parse(f.text, 0); err != nil {
			return exchange.Receipt{}, fmt.Errorf("receipt: %w", err)
		}
	}
	if v.Status != "" {
		if r.Status, err = number[market.Status](statusNames, "status", v.Status); err != nil {
			return exchange.Receipt{}, err
		}
	}
	return r, nil
}

// ParseCommandID reads a command id: 64 lower-case hexadecimal digits.
func ParseCommandID(s string) (id exchange.CommandID, err error) {
	if err := parseHex(id[:], s); err != nil {
		return exchange.CommandID{}, fmt.Errorf("command id %q: %w", s, err)
	}
	return id, nil
}

// ParseServerID reads a virtual server's id: 64 lower-case hexadecimal digits.
func ParseServerID(s string) (id exchange.ID, err error) {
	if err := parseHex(id[:], s); err != nil {
		return exchange.ID{}, fmt.Errorf("virtual server id %q: %w", s, err)
	}
	return id, nil
}

func parseHex(dst []byte, s string) error {
	if len(s) != 2*len(dst) {
		return fmt.Errorf("%d digits, not %d", len(s), 2*len(dst))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("digit %d is not lower-case hexadecimal", i+1)
		}
	}
	_, err := hex.Decode(dst, []byte(s))
	return err
}

func units(a asset.Amount) string {
	if a == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(a), 10)
}
