package api

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
)

// Errors of a Catalog.
var (
	// ErrUnproven is wrapped where what a name means could not be proven, so that
	// nothing may be signed that contains it. What stood in the way is wrapped as well.
	ErrUnproven = errors.New("not proven")
	// ErrCatalog is returned by NewCatalog for saved lines that cannot be used.
	ErrCatalog = errors.New("what was proven before is damaged")
	// ErrUnlisted is returned for a name that no asset or market can have.
	ErrUnlisted = errors.New("no such name")
)

// Listing is what makes an asset out; it never changes.
type Listing struct {
	ID       asset.ID
	Symbol   string
	Decimals uint8
}

// Parse reads an amount of the asset.
func (l Listing) Parse(amount string) (asset.Amount, error) { return asset.Parse(amount, l.Decimals) }

// Format writes an amount of the asset.
func (l Listing) Format(a asset.Amount) string { return asset.Format(a, l.Decimals) }

// Catalog answers what the names of assets and markets mean in ledger units and
// numbers, and has proof of it: from the founding contract, whose hash is the pinned
// id, or from leaves under a signed header. Whoever signs a command with a number of
// an asset or market, or an amount or price, takes these from here, and from nothing
// that a server says besides (H-90).
//
// What it answers never changes, so it is proven once, and Save and NewCatalog carry it
// from one run to the next. A Catalog may be used by many goroutines.
type Catalog struct {
	client   *Client
	verifier func(context.Context) (*Verifier, error)

	mu       sync.Mutex
	assets   map[asset.ID]Listing // proven and asked for; the same in markets
	markets  map[market.ID]market.Market
	founding *founded // nil until it is needed
}

// founded is what a founding contract lists; nothing if the virtual server goes on
// from another one.
type founded struct {
	assets  *ledger.State
	markets *market.State
}

// NewCatalog makes a catalog for the virtual server that the client is pinned to.
// saved is what Save answered another day; for another virtual server, or damaged,
// it is ErrCatalog. verifier is called when something has to be proven that the
// founding contract does not have.
func NewCatalog(c *Client, saved []string, verifier func(context.Context) (*Verifier, error)) (*Catalog, error) {
	id, ok := c.pinned()
	if !ok {
		return nil, fmt.Errorf("%w: a catalog needs the id of the virtual server", ErrConfig)
	}
	k := &Catalog{client: c, verifier: verifier, assets: map[asset.ID]Listing{}, markets: map[market.ID]market.Market{}}
	for i, line := range saved {
		if i == 0 {
			if line != savedServer+hex.EncodeToString(id[:]) {
				return nil, fmt.Errorf("%w: it is of another virtual server", ErrCatalog)
			}
			continue
		}
		if !k.load(line) {
			return nil, fmt.Errorf("%w: %q", ErrCatalog, line)
		}
	}
	return k, nil
}

// Words that saved lines begin with.
const (
	savedServer = "virtual-server "
	savedAsset  = "asset"
	savedMarket = "market"
)

// Save answers all that was asked for so far, as lines of text: the virtual server's
// id, then assets by number, then markets.
func (k *Catalog) Save() []string {
	id, _ := k.client.pinned()
	k.mu.Lock()
	defer k.mu.Unlock()
	lines := []string{savedServer + hex.EncodeToString(id[:])}
	for _, n := range sorted(k.assets) {
		l := k.assets[n]
		lines = append(lines, fmt.Sprintf("%s %d %s %d", savedAsset, l.ID, l.Symbol, l.Decimals))
	}
	for _, n := range sorted(k.markets) {
		m := k.markets[n]
		lines = append(lines, fmt.Sprintf("%s %d %d %d %d %d %d", savedMarket, m.ID, m.Base, m.Quote, m.Tick, m.Lot, m.MinNotional))
	}
	return lines
}

func sorted[K asset.ID | market.ID, V any](m map[K]V) []K {
	var keys []K
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// load reads a line of Save and tells whether it can be one.
func (k *Catalog) load(line string) bool {
	words := strings.Split(line, " ")
	numbers := make([]uint64, len(words))
	for i, w := range words {
		if i == 0 || words[0] == savedAsset && i == 2 {
			continue
		}
		n, err := strconv.ParseUint(w, 10, 64)
		if err != nil || strconv.FormatUint(n, 10) != w {
			return false
		}
		numbers[i] = n
	}
	switch {
	case words[0] == savedAsset && len(words) == 4:
		l := Listing{ID: asset.ID(numbers[1]), Symbol: words[2], Decimals: uint8(numbers[3])}
		if uint64(l.ID) != numbers[1] || uint64(l.Decimals) != numbers[3] || !l.valid() {
			return false
		}
		_, taken := k.symbol(l.Symbol)
		_, twice := k.assets[l.ID]
		k.assets[l.ID] = l
		return !taken && !twice
	case words[0] == savedMarket && len(words) == 7:
		m := market.Market{ID: market.ID(numbers[1]), Base: asset.ID(numbers[2]), Quote: asset.ID(numbers[3])}
		m.Tick, m.Lot, m.MinNotional = asset.Price(numbers[4]), asset.Amount(numbers[5]), asset.Amount(numbers[6])
		if uint64(m.ID) != numbers[1] || uint64(m.Base) != numbers[2] || uint64(m.Quote) != numbers[3] || m.ID == 0 || m.Base == m.Quote {
			return false
		}
		base, known := k.assets[m.Base]
		_, known2 := k.assets[m.Quote]
		_, taken := k.marketOf(m.Base, m.Quote)
		_, twice := k.markets[m.ID]
		m.BaseDecimals = base.Decimals
		k.markets[m.ID] = m
		return known && known2 && !taken && !twice
	}
	return false
}

func (l Listing) valid() bool {
	return l.ID != 0 && ledger.ValidSymbol(l.Symbol) && l.Decimals <= asset.MaxDecimals
}

func (k *Catalog) symbol(name string) (Listing, bool) {
	for _, l := range k.assets {
		if l.Symbol == name {
			return l, true
		}
	}
	return Listing{}, false
}

func (k *Catalog) marketOf(base, quote asset.ID) (market.Market, bool) {
	for _, m := range k.markets {
		if m.Base == base && m.Quote == quote {
			return m, true
		}
	}
	return market.Market{}, false
}

// Asset is an asset by symbol or number. Errors: ErrUnlisted, ErrUnproven, or a
// server's answer that there is none, which is not proven and need not be.
func (k *Catalog) Asset(ctx context.Context, name string) (Listing, error) {
	want, ok := assetName(name)
	if !ok {
		return Listing{}, fmt.Errorf("%q is neither the symbol nor the number of an asset: %w", name, ErrUnlisted)
	}
	if l, ok := k.knownAsset(want); ok {
		return l, nil
	}
	f, err := k.contract(ctx)
	if err != nil {
		return Listing{}, unproven("asset "+name, err)
	}
	id := want.ID
	if want.Symbol != "" {
		id, _ = f.assets.BySymbol(want.Symbol)
	}
	if a, ok := f.assets.Asset(id); ok {
		return k.keepAsset(&a), nil
	}
	v, err := k.begin(ctx)
	if err != nil {
		return Listing{}, unproven("asset "+name, err)
	}
	a, err := k.provenAsset(ctx, v, want)
	if err != nil {
		return Listing{}, unproven("asset "+name, err)
	}
	return k.keepAsset(&a), nil
}

// Amount reads an amount of an asset by symbol or number.
func (k *Catalog) Amount(ctx context.Context, amount, name string) (Listing, asset.Amount, error) {
	l, err := k.Asset(ctx, name)
	if err != nil {
		return Listing{}, 0, err
	}
	a, err := l.Parse(amount)
	return l, a, err
}

// Pair is a market by number or by name, base and quote with a dash between. Of the
// market it has what never changes: number, assets, tick, lot and least value. All
// else is zero, and for Client.VerifiedMarket to prove. Errors are those of Asset.
func (k *Catalog) Pair(ctx context.Context, name string) (Pair, error) {
	id, base, quote, ok := marketName(name)
	if !ok {
		return Pair{}, fmt.Errorf("%q is neither the name of a market, such as BTC-EUR, nor its number: %w", name, ErrUnlisted)
	}
	if p, ok := k.knownPair(id, base, quote); ok {
		return p, nil
	}
	f, err := k.contract(ctx)
	if err != nil {
		return Pair{}, unproven("market "+name, err)
	}
	for _, m := range f.markets.Markets(nil) {
		if p := NewPair(m, f.assets); m.ID == id || id == 0 && p.BaseSymbol == base && p.QuoteSymbol == quote {
			b, _ := f.assets.Asset(m.Base)
			q, _ := f.assets.Asset(m.Quote)
			return k.keepPair(m, k.keepAsset(&b), k.keepAsset(&q)), nil
		}
	}
	v, err := k.begin(ctx)
	if err != nil {
		return Pair{}, unproven("market "+name, err)
	}
	p, err := k.provenPair(ctx, v, name)
	return p, unproven("market "+name, err)
}

// unproven says what could not be proven, unless a server says that it does not exist.
func unproven(what string, err error) error {
	if err == nil || IsNotFound(err) && !errors.Is(err, ErrServers) {
		return err
	}
	return fmt.Errorf("what %s means is %w: %w", what, ErrUnproven, err)
}

// assetName reads a symbol or a number; symbols begin with a letter (L-41).
func assetName(name string) (Listing, bool) {
	if ledger.ValidSymbol(name) {
		return Listing{Symbol: name}, true
	}
	n, ok := numberName(name)
	return Listing{ID: asset.ID(n)}, ok
}

func marketName(name string) (id market.ID, base, quote string, ok bool) {
	if base, quote, ok = strings.Cut(name, "-"); ok {
		return 0, base, quote, ledger.ValidSymbol(base) && ledger.ValidSymbol(quote)
	}
	n, ok := numberName(name)
	return market.ID(n), "", "", ok
}

func numberName(name string) (uint32, bool) {
	n, err := strconv.ParseUint(name, 10, 32)
	return uint32(n), err == nil && n != 0
}

func (k *Catalog) knownAsset(want Listing) (Listing, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if want.Symbol != "" {
		return k.symbol(want.Symbol)
	}
	l, ok := k.assets[want.ID]
	return l, ok
}

func (k *Catalog) knownPair(id market.ID, base, quote string) (Pair, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, ok := k.markets[id]
	if id == 0 {
		b, known := k.symbol(base)
		q, known2 := k.symbol(quote)
		if m, ok = k.marketOf(b.ID, q.ID); !known || !known2 {
			return Pair{}, false
		}
	}
	if !ok {
		return Pair{}, false
	}
	return pairOf(m, k.assets[m.Base], k.assets[m.Quote]), true
}

func pairOf(m market.Market, base, quote Listing) Pair {
	return Pair{Market: m, BaseSymbol: base.Symbol, QuoteSymbol: quote.Symbol, QuoteDecimals: quote.Decimals}
}

func (k *Catalog) keepAsset(a *ledger.Asset) Listing {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := Listing{a.ID, a.Symbol, a.Decimals}
	k.assets[l.ID] = l
	return l
}

func (k *Catalog) keepPair(m market.Market, base, quote Listing) Pair {
	fixed := market.Market{ID: m.ID, Base: m.Base, Quote: m.Quote, BaseDecimals: m.BaseDecimals}
	fixed.Tick, fixed.Lot, fixed.MinNotional = m.Tick, m.Lot, m.MinNotional
	k.mu.Lock()
	defer k.mu.Unlock()
	k.markets[m.ID] = fixed
	return pairOf(fixed, base, quote)
}

// contract is what the founding contract lists. What was proven before must agree.
func (k *Catalog) contract(ctx context.Context) (*founded, error) {
	k.mu.Lock()
	f := k.founding
	k.mu.Unlock()
	if f != nil {
		return f, nil
	}
	text, err := k.client.Founding(ctx)
	if err != nil {
		return nil, err
	}
	f = &founded{ledger.New(), market.NewState()}
	if text.Origin == nil {
		s, err := exchange.New(text)
		if err != nil {
			return nil, err
		}
		f = &founded{s.Ledger(), s.Markets()}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.assets {
		if a, ok := f.assets.Asset(l.ID); ok && (a.Symbol != l.Symbol || a.Decimals != l.Decimals) {
			return nil, fmt.Errorf("%w: asset %d is %s in the founding contract", ErrCatalog, l.ID, a.Symbol)
		}
	}
	for _, m := range k.markets {
		if other, ok := f.markets.Market(m.ID); ok && (other.Base != m.Base || other.Quote != m.Quote) {
			return nil, fmt.Errorf("%w: market %d is another one in the founding contract", ErrCatalog, m.ID)
		}
	}
	k.founding = f
	return f, nil
}

// begin starts to follow headers.
func (k *Catalog) begin(ctx context.Context) (*Verifier, error) {
	v, err := k.verifier(ctx)
	if err != nil {
		return nil, err
	}
	return v, v.Refresh(ctx)
}

// provenAsset asks for an asset and for the proof in one, and takes a server that
// proves another one than was asked for as one that lies.
func (k *Catalog) provenAsset(ctx context.Context, v *Verifier, want Listing) (ledger.Asset, error) {
	name := want.Symbol
	if name == "" {
		name = strconv.FormatUint(uint64(want.ID), 10)
	}
	return fetch(ctx, k.client, &call{target: Prefix + "/assets/" + url.PathEscape(name) + proofQuery(true), accept: JSON}, func(data []byte) (ledger.Asset, error) {
		said, err := decode[Asset](data)
		if err != nil {
			return ledger.Asset{}, err
		}
		a, _, err := v.Asset(ctx, asset.ID(said.ID), said.Proof)
		switch {
		case err != nil:
			return ledger.Asset{}, err
		case want.Symbol != "" && a.Symbol != want.Symbol, want.ID != 0 && a.ID != want.ID:
			return ledger.Asset{}, fmt.Errorf("asked for asset %s, the server proves %s, number %d: %w", name, a.Symbol, a.ID, ErrProof)
		}
		return a, nil
	})
}

// provenPair does for a market what provenAsset does for an asset.
func (k *Catalog) provenPair(ctx context.Context, v *Verifier, name string) (Pair, error) {
	id, base, quote, _ := marketName(name)
	return fetch(ctx, k.client, &call{target: Prefix + "/markets/" + url.PathEscape(name) + proofQuery(true), accept: JSON}, func(data []byte) (Pair, error) {
		said, err := decode[Market](data)
		if err != nil {
			return Pair{}, err
		}
		m, _, err := v.Market(ctx, market.ID(said.ID), said.Proof)
		if err != nil {
			return Pair{}, err
		}
		b, err := k.Asset(ctx, strconv.FormatUint(uint64(m.Base), 10))
		if err != nil {
			return Pair{}, err
		}
		q, err := k.Asset(ctx, strconv.FormatUint(uint64(m.Quote), 10))
		if err != nil {
			return Pair{}, err
		}
		if id != 0 && m.ID != id || id == 0 && (b.Symbol != base || q.Symbol != quote) || m.BaseDecimals != b.Decimals {
			return Pair{}, fmt.Errorf("asked for market %s, the server proves %s-%s, number %d: %w", name, b.Symbol, q.Symbol, m.ID, ErrProof)
		}
		return k.keepPair(m, b, q), nil
	})
}
