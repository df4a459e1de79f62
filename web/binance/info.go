package binance

import (
	"strconv"

	"souk/asset"
	"souk/exchange/market"
)

// rateLimit is a limit, as exchangeInfo and the WebSocket API say it.
type rateLimit struct {
	Type     string `json:"rateLimitType"`
	Interval string `json:"interval"`
	Times    int    `json:"intervalNum"`
	Limit    int    `json:"limit"`
	Count    *int   `json:"count,omitempty"`
}

func (l Limits) list() []rateLimit {
	return []rateLimit{
		{"REQUEST_WEIGHT", "MINUTE", 1, l.Weight, nil},
		{"ORDERS", "SECOND", 10, l.Orders, nil},
		{"ORDERS", "DAY", 1, l.PerDay, nil},
	}
}

type symbolInfo struct {
	Symbol         string     `json:"symbol"`
	Status         string     `json:"status"`
	Base           string     `json:"baseAsset"`
	BasePrecision  uint8      `json:"baseAssetPrecision"`
	Quote          string     `json:"quoteAsset"`
	Precision      uint8      `json:"quotePrecision"`
	QuotePrecision uint8      `json:"quoteAssetPrecision"`
	BaseFees       uint8      `json:"baseCommissionPrecision"`
	QuoteFees      uint8      `json:"quoteCommissionPrecision"`
	Types          []string   `json:"orderTypes"`
	Iceberg        bool       `json:"icebergAllowed"`
	OCO            bool       `json:"ocoAllowed"`
	OTO            bool       `json:"otoAllowed"`
	OPO            bool       `json:"opoAllowed"`
	ByQuote        bool       `json:"quoteOrderQtyMarketAllowed"`
	Trailing       bool       `json:"allowTrailingStop"`
	Replace        bool       `json:"cancelReplaceAllowed"`
	Amend          bool       `json:"amendAllowed"`
	Pegged         bool       `json:"pegInstructionsAllowed"`
	Spot           bool       `json:"isSpotTradingAllowed"`
	Margin         bool       `json:"isMarginTradingAllowed"`
	Filters        []any      `json:"filters"`
	Permissions    []string   `json:"permissions"`
	PermissionSets [][]string `json:"permissionSets"`
	Prevention     string     `json:"defaultSelfTradePreventionMode"`
	Preventions    []string   `json:"allowedSelfTradePreventionModes"`
}

type priceFilter struct {
	Type string `json:"filterType"`
	Min  string `json:"minPrice"`
	Max  string `json:"maxPrice"`
	Tick string `json:"tickSize"`
}

type sizeFilter struct {
	Type string `json:"filterType"`
	Min  string `json:"minQty"`
	Max  string `json:"maxQty"`
	Step string `json:"stepSize"`
}

type valueFilter struct {
	Type        string `json:"filterType"`
	Min         string `json:"minNotional"`
	MinMarket   bool   `json:"applyMinToMarket"`
	Max         string `json:"maxNotional"`
	MaxMarket   bool   `json:"applyMaxToMarket"`
	MeanMinutes int    `json:"avgPriceMins"`
}

type bandFilter struct {
	Type        string `json:"filterType"`
	Up          string `json:"multiplierUp"`
	Down        string `json:"multiplierDown"`
	MeanMinutes int    `json:"avgPriceMins"`
}

type countFilter struct {
	Type  string `json:"filterType"`
	Most  int    `json:"maxNumOrders,omitempty"`
	Stops int    `json:"maxNumAlgoOrders,omitempty"`
}

// filters are the terms of a market as clients read them; orders is how many live ones an account
// may have.
func (p *pair) filters(orders int) []any {
	highest := market.MaxPrice - market.MaxPrice%p.Tick
	most := asset.MaxSupply - asset.MaxSupply%p.Lot
	if lots := asset.MaxSupply / p.Lot; lots > market.MaxLots {
		most = p.Lot * market.MaxLots
	}
	list := []any{
		priceFilter{"PRICE_FILTER", p.price(p.Tick), p.price(highest), p.price(p.Tick)},
		sizeFilter{"LOT_SIZE", p.base(p.Lot), p.base(most), p.base(p.Lot)},
		sizeFilter{"MARKET_LOT_SIZE", p.base(p.Lot), p.base(most), p.base(p.Lot)},
		valueFilter{"NOTIONAL", p.quote(p.MinNotional), true, p.quote(asset.MaxSupply), false, 0},
		countFilter{Type: "MAX_NUM_ORDERS", Most: orders},
		countFilter{Type: "MAX_NUM_ALGO_ORDERS", Stops: orders},
	}
	if p.BandPPM > 0 {
		const whole = 1_000_000
		list = append(list, bandFilter{"PERCENT_PRICE", asset.Format(asset.Amount(whole+p.BandPPM), 6), asset.Format(asset.Amount(whole-min(whole, p.BandPPM)), 6), 0})
	}
	return list
}

func (p *pair) info(orders int) symbolInfo {
	status := "TRADING"
	if p.Paused {
		status = "BREAK"
	}
	return symbolInfo{
		Symbol: p.name, Status: status, Base: p.BaseSymbol, BasePrecision: p.BaseDecimals, Quote: p.QuoteSymbol, Precision: p.QuoteDecimals,
		QuotePrecision: p.QuoteDecimals, BaseFees: p.BaseDecimals, QuoteFees: p.QuoteDecimals,
		Types: []string{"LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"},
		OCO:   true, ByQuote: true, Replace: true, Amend: true, Spot: true, Filters: p.filters(orders),
		Permissions: []string{"SPOT"}, PermissionSets: [][]string{{"SPOT"}}, Prevention: prevention, Preventions: []string{prevention},
	}
}

// prevention is what happens where an account would trade with itself (M-51).
const prevention = "EXPIRE_MAKER"

// exchangeInfo is the markets and their rules.
func exchangeInfo(c *call) (any, error) {
	pairs, _, refused := c.symbols()
	if refused != nil {
		return nil, refused
	}
	c.drop("permissions", "showPermissionSets")
	status, refused := c.choice("symbolStatus", "TRADING", "HALT", "BREAK")
	if refused != nil {
		return nil, refused
	}
	r := struct {
		Zone    string       `json:"timezone"`
		Time    uint64       `json:"serverTime"`
		Limits  []rateLimit  `json:"rateLimits"`
		Filters []any        `json:"exchangeFilters"`
		Symbols []symbolInfo `json:"symbols"`
	}{"UTC", c.now, c.h.limits.limits.list(), []any{}, []symbolInfo{}}
	orders := market.DefaultOrderLimit
	if c.h.config.Orders != nil {
		orders = c.h.config.Orders()
	}
	for _, p := range pairs {
		if info := p.info(orders); status == "" || info.Status == status {
			r.Symbols = append(r.Symbols, info)
		}
	}
	return r, nil
}

// commission is the fees of a market.
func commission(c *call) (any, error) {
	p, refused := c.symbol()
	if refused != nil {
		return nil, refused
	}
	type fees struct {
		Maker  string `json:"maker"`
		Taker  string `json:"taker"`
		Buyer  string `json:"buyer"`
		Seller string `json:"seller"`
	}
	none := fees{"0.00000000", "0.00000000", "0.00000000", "0.00000000"}
	return struct {
		Symbol   string `json:"symbol"`
		Standard fees   `json:"standardCommission"`
		Special  fees   `json:"specialCommission"`
		Tax      fees   `json:"taxCommission"`
		Discount struct {
			Account bool   `json:"enabledForAccount"`
			Symbol  bool   `json:"enabledForSymbol"`
			Asset   string `json:"discountAsset"`
			Rate    string `json:"discount"`
		} `json:"discount"`
	}{Symbol: p.name, Standard: fees{rate(p.MakerPPM), rate(p.TakerPPM), none.Buyer, none.Seller}, Special: none, Tax: none}, nil
}

func tradeFees(c *call) (any, error) {
	type fee struct {
		Symbol string `json:"symbol"`
		Maker  string `json:"makerCommission"`
		Taker  string `json:"takerCommission"`
	}
	pairs, _, refused := c.symbols()
	if refused != nil {
		return nil, refused
	}
	list := []fee{}
	for _, p := range pairs {
		list = append(list, fee{p.name, rate(p.MakerPPM), rate(p.TakerPPM)})
	}
	return list, nil
}

// orderLimits is what of the limits of orders is used.
func orderLimits(c *call) (any, error) {
	limits := c.key.Limits.or(c.h.limits.limits)
	short, long := c.h.limits.counts(c.who, c.now)
	return []rateLimit{{"ORDERS", "SECOND", 10, limits.Orders, &short}, {"ORDERS", "DAY", 1, limits.PerDay, &long}}, nil
}

// countOrders counts orders that are about to be placed.
func (c *call) countOrders(n int) *Error {
	short, long, refused := c.h.limits.order(c.who, c.key.Limits, n, c.now)
	c.header.Set("X-MBX-ORDER-COUNT-10S", strconv.Itoa(short))
	c.header.Set("X-MBX-ORDER-COUNT-1D", strconv.Itoa(long))
	return refused
}
