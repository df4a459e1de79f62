package binance

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/tape"
)

// streamKind says what a stream tells.
type streamKind uint8

const (
	diffStream streamKind = iota
	partialStream
	tradeStream
	aggregateStream
	bookStream
	klineStream
	tickerStream
	miniStream
	windowStream
	meanStream
)

// Speeds of streams, ms.
const (
	fast = 100
	slow = 1_000
)

// stream is one market stream and those who read it. The hub's lock covers it.
type stream struct {
	name     string
	kind     streamKind
	pair     *pair // nil: of all markets
	levels   int
	interval tape.Interval
	window   uint64
	label    string // of the window
	speed    uint64
	readers  map[*reader]struct{}

	sent       uint64 // when it last told something, ms
	dirty      map[market.ID]bool
	from, to   uint64 // of the pending change of the book
	bids, asks map[asset.Price]asset.Amount
	bid, ask   tape.Level
	open       uint64 // start of the candle that was told last
}

// stream reads the name of a market stream. Before the markets are known nobody is told that
// there is none (N-4).
func (l *listing) stream(name string) (*stream, *Error) {
	s, ok := l.parseStream(name)
	switch {
	case ok:
		return s, nil
	case !l.known:
		return nil, unavailable()
	}
	return nil, bad(codeInvalid, "Invalid stream: %s", name)
}

func (l *listing) parseStream(name string) (*stream, bool) {
	s := &stream{name: name, speed: slow, readers: map[*reader]struct{}{}, dirty: map[market.ID]bool{}}
	symbol, rest, ok := strings.Cut(name, "@")
	if strings.HasPrefix(name, "!") {
		return s, s.ofAll(name)
	}
	if !ok || symbol != strings.ToLower(symbol) { // who reads the same has one stream, and one encoding of it
		return nil, false
	}
	p, known := l.byName[strings.ToUpper(symbol)]
	if !known {
		return nil, false
	}
	s.pair = p
	return s, s.ofOne(rest)
}

func (s *stream) ofAll(name string) bool {
	switch name {
	case "!ticker@arr":
		s.kind = tickerStream
	case "!miniTicker@arr":
		s.kind = miniStream
	case "!bookTicker":
		s.kind, s.speed = bookStream, 0
	case "!ticker_1h@arr", "!ticker_4h@arr", "!ticker_1d@arr":
		return s.windowed(name[len("!ticker_") : len(name)-len("@arr")])
	default:
		return false
	}
	return true
}

func (s *stream) windowed(label string) bool {
	window, refused := windowOf(label)
	s.kind, s.window, s.label = windowStream, window, label
	return refused == nil && label != ""
}

func (s *stream) ofOne(rest string) bool {
	kind, speed, given := strings.Cut(rest, "@")
	if depth, ok := strings.CutPrefix(kind, "depth"); ok {
		switch {
		case !given || speed == "1000ms":
		case speed == "100ms":
			s.speed = fast
		default:
			return false
		}
		s.bids, s.asks = map[asset.Price]asset.Amount{}, map[asset.Price]asset.Amount{}
		if depth == "" {
			return true
		}
		s.kind = partialStream
		n, err := strconv.Atoi(depth)
		s.levels = n
		return err == nil && (n == 5 || n == 10 || n == 20)
	}
	if given {
		return false
	}
	switch kind {
	case "trade":
		s.kind = tradeStream
	case "aggTrade":
		s.kind = aggregateStream
	case "bookTicker":
		s.kind, s.speed = bookStream, 0
	case "ticker":
		s.kind = tickerStream
	case "miniTicker":
		s.kind = miniStream
	case "avgPrice":
		s.kind = meanStream
	default:
		if label, ok := strings.CutPrefix(kind, "ticker_"); ok {
			return slices.Contains([]string{"1h", "4h", "1d"}, label) && s.windowed(label)
		}
		name, ok := strings.CutPrefix(kind, "kline_")
		if !ok {
			return false
		}
		s.kind = klineStream
		s.interval, ok = tape.ParseInterval(name)
		return ok
	}
	return true
}

// publish sends a message to all readers, encoded once for each of the two forms.
func (s *stream) publish(v any) {
	if len(s.readers) == 0 {
		return
	}
	data, err := json.Marshal(v)
	if err != nil {
		panic("binance: a message that is no JSON: " + err.Error()) //nolint:forbidigo // all messages are made here
	}
	var wrapped []byte
	for r := range s.readers {
		if !r.combined {
			r.send(data)
			continue
		}
		if wrapped == nil {
			wrapped = wrap(s.name, data)
		}
		r.send(wrapped)
	}
}

// wrap names the stream that a message is of.
func wrap(name string, data []byte) []byte {
	quoted, _ := json.Marshal(name) //nolint:errchkjson // a text is always JSON
	w := append(make([]byte, 0, len(data)+len(quoted)+20), `{"stream":`...)
	w = append(append(w, quoted...), `,"data":`...)
	return append(append(w, data...), '}')
}

// take notes what a block did, and tells at once what does not wait.
func (s *stream) take(h *Handler, u *tape.Update, c *tape.Change, p *pair, now uint64) {
	switch s.kind {
	case diffStream:
		s.merge(c)
		if s.to != 0 && now >= s.sent+s.speed {
			s.flush(u.Time, now)
		}
	case tradeStream:
		for i := range c.Trades {
			s.publish(p.tradeEvent(u.Time, &c.Trades[i]))
		}
	case aggregateStream:
		for _, a := range tape.Aggregates(c.Trades) {
			s.publish(aggregateEvent{"aggTrade", u.Time, p.name, p.aggregate(&a)})
		}
	case bookStream:
		if c.Last != 0 {
			s.book(h, p, false)
		}
	case partialStream:
		if c.Last != 0 {
			s.dirty[p.ID] = true
		}
	case klineStream, meanStream, windowStream, miniStream:
		if len(c.Trades) > 0 {
			s.dirty[p.ID] = true
		}
	case tickerStream:
		s.dirty[p.ID] = true
	}
}

// merge adds a change to the pending one (N-30).
func (s *stream) merge(c *tape.Change) {
	if c.Last == 0 {
		return
	}
	if s.to == 0 {
		s.from = c.First
	}
	s.to = c.Last
	for _, l := range c.Bids {
		s.bids[l.Price] = l.Quantity
	}
	for _, l := range c.Asks {
		s.asks[l.Price] = l.Quantity
	}
}

type depthEvent struct {
	Event  string      `json:"e"`
	At     uint64      `json:"E"`
	Symbol string      `json:"s"`
	First  uint64      `json:"U"`
	Last   uint64      `json:"u"`
	Bids   [][2]string `json:"b"`
	Asks   [][2]string `json:"a"`
}

// flush tells the pending change of the book.
func (s *stream) flush(at, now uint64) {
	p := s.pair
	s.publish(depthEvent{"depthUpdate", at, p.name, s.from, s.to, p.changes(s.bids, true), p.changes(s.asks, false)})
	clear(s.bids)
	clear(s.asks)
	s.from, s.to, s.sent = 0, 0, now
}

func (p *pair) changes(side map[asset.Price]asset.Amount, bids bool) [][2]string {
	all := make([]tape.Level, 0, len(side))
	for price, quantity := range side {
		all = append(all, tape.Level{Price: price, Quantity: quantity})
	}
	slices.SortFunc(all, func(a, b tape.Level) int {
		if bids {
			a, b = b, a
		}
		return cmp.Compare(a.Price, b.Price)
	})
	return p.levels(all)
}

type tradeEvent struct {
	Event  string         `json:"e"`
	At     uint64         `json:"E"`
	Symbol string         `json:"s"`
	ID     market.TradeID `json:"t"`
	Price  string         `json:"p"`
	Size   string         `json:"q"`
	Time   uint64         `json:"T"`
	Maker  bool           `json:"m"`
	Best   bool           `json:"M"`
}

func (p *pair) tradeEvent(at uint64, t *exchange.Trade) tradeEvent {
	return tradeEvent{"trade", at, p.name, t.ID, p.price(t.Price), p.base(t.Quantity), t.Time, t.Taking == market.Sell, true}
}

type aggregateEvent struct {
	Event  string `json:"e"`
	At     uint64 `json:"E"`
	Symbol string `json:"s"`
	aggregate
}

type bookEvent struct {
	ID     uint64 `json:"u"`
	Symbol string `json:"s"`
	Bid    string `json:"b"`
	BidQty string `json:"B"`
	Ask    string `json:"a"`
	AskQty string `json:"A"`
}

// book tells the best prices, if they changed or must be told.
func (s *stream) book(h *Handler, p *pair, must bool) {
	bid, ask, height := h.config.Tape.Best(p.ID)
	if s.pair != nil {
		if !must && bid == s.bid && ask == s.ask {
			return
		}
		s.bid, s.ask = bid, ask
	}
	s.publish(bookEvent{height, p.name, p.price(bid.Price), p.base(bid.Quantity), p.price(ask.Price), p.base(ask.Quantity)})
}

// tick tells what waited until now.
func (s *stream) tick(h *Handler, markets *listing, now uint64) {
	if now < s.sent+s.speed {
		return
	}
	switch s.kind {
	case diffStream:
		if s.to != 0 {
			_, at := h.config.Tape.Height()
			s.flush(at, now)
		}
		return
	case klineStream:
		s.klines(h, now)
		return
	case tradeStream, aggregateStream:
		return
	case partialStream, bookStream, tickerStream, miniStream, windowStream, meanStream:
	}
	if len(s.dirty) == 0 {
		return
	}
	s.sent = now
	if s.pair != nil {
		s.tell(h, now)
	} else {
		s.tellAll(h, markets, now)
	}
	clear(s.dirty)
}

func (s *stream) tell(h *Handler, now uint64) {
	p := s.pair
	switch s.kind { //nolint:exhaustive // the others do not wait
	case partialStream:
		b := h.config.Tape.Book(p.ID, s.levels)
		s.publish(struct {
			ID   uint64      `json:"lastUpdateId"`
			Bids [][2]string `json:"bids"`
			Asks [][2]string `json:"asks"`
		}{b.Height, p.levels(b.Bids), p.levels(b.Asks)})
	case bookStream:
		s.book(h, p, true)
	case meanStream:
		mean, at := h.mean(p, now)
		s.publish(struct {
			Event  string `json:"e"`
			At     uint64 `json:"E"`
			Symbol string `json:"s"`
			Time   string `json:"i"`
			Mean   string `json:"w"`
			Last   uint64 `json:"T"`
		}{"avgPrice", now, p.name, strconv.Itoa(meanMinutes) + "m", mean, at})
	default:
		s.publish(s.tickerEvent(h, p, now))
	}
}

func (s *stream) tellAll(h *Handler, markets *listing, now uint64) {
	list := []any{}
	for i := range markets.pairs {
		p := &markets.pairs[i]
		switch {
		case !s.dirty[p.ID]:
		case s.kind == bookStream:
			s.book(h, p, true)
		default:
			list = append(list, s.tickerEvent(h, p, now))
		}
	}
	if len(list) > 0 {
		s.publish(list)
	}
}

type miniEvent struct {
	Event  string `json:"e"`
	At     uint64 `json:"E"`
	Symbol string `json:"s"`
	Last   string `json:"c"`
	Open   string `json:"o"`
	High   string `json:"h"`
	Low    string `json:"l"`
	Volume string `json:"v"`
	Value  string `json:"q"`
}

type tickerEvent struct {
	miniEvent
	Change  string `json:"p"`
	Percent string `json:"P"`
	Mean    string `json:"w"`
	*dayEvent
	Begin  uint64 `json:"O"`
	End    uint64 `json:"C"`
	First  int64  `json:"F"`
	LastID int64  `json:"L"`
	Count  uint64 `json:"n"`
}

type dayEvent struct {
	Before string `json:"x"`
	Size   string `json:"Q"`
	Bid    string `json:"b"`
	BidQty string `json:"B"`
	Ask    string `json:"a"`
	AskQty string `json:"A"`
}

func (s *stream) tickerEvent(h *Handler, p *pair, now uint64) any {
	window, name := uint64(tape.DayWindow), "24hrTicker"
	if s.kind == windowStream {
		window, name = s.window, s.label+"Ticker"
	}
	k := h.ticker(p, window, now)
	m := miniEvent{name, now, p.name, p.price(k.Close), p.price(k.Open), p.price(k.High), p.price(k.Low), p.volume(k.Volume), p.turnover(k.Turnover)}
	if s.kind == miniStream {
		m.Event = "24hrMiniTicker"
		return m
	}
	f := p.full(&k, s.kind == tickerStream)
	e := tickerEvent{miniEvent: m, Change: f.Change, Percent: f.Percent, Mean: f.Mean, Begin: k.Start, End: k.End, First: f.First, LastID: f.LastID, Count: k.Trades}
	if f.best != nil {
		e.dayEvent = &dayEvent{f.Before, f.Size, f.Bid, f.BidQty, f.Ask, f.AskQty}
	}
	return e
}

type klineEvent struct {
	Event  string     `json:"e"`
	At     uint64     `json:"E"`
	Symbol string     `json:"s"`
	Kline  klineValue `json:"k"`
}

type klineValue struct {
	Begin      uint64 `json:"t"`
	End        uint64 `json:"T"`
	Symbol     string `json:"s"`
	Interval   string `json:"i"`
	First      int64  `json:"f"`
	LastID     int64  `json:"L"`
	Open       string `json:"o"`
	Close      string `json:"c"`
	High       string `json:"h"`
	Low        string `json:"l"`
	Volume     string `json:"v"`
	Count      uint64 `json:"n"`
	Done       bool   `json:"x"`
	Value      string `json:"q"`
	TakerBase  string `json:"V"`
	TakerQuote string `json:"Q"`
	Ignore     string `json:"B"`
}

// klines tells the candle of now if it changed, and before it the one that has ended.
func (s *stream) klines(h *Handler, now uint64) {
	start := s.interval.Start(now)
	if len(s.dirty) == 0 && s.open == start {
		return
	}
	for _, c := range h.config.Tape.Candles(s.pair.ID, tape.CandleQuery{Interval: s.interval, Limit: 2, Now: now}) {
		done := c.Start < start
		if done && (s.open == 0 || s.open == start) {
			continue // it was told as ended, or nobody followed it
		}
		s.publish(klineEvent{"kline", now, s.pair.name, s.pair.klineValue(&c, s.interval, done)})
	}
	s.sent, s.open = now, start
	clear(s.dirty)
}

func (p *pair) klineValue(c *tape.Candle, i tape.Interval, done bool) klineValue {
	first, last := int64(-1), int64(-1)
	if c.Trades > 0 {
		first, last = int64(c.First), int64(c.Last)
	}
	return klineValue{
		c.Start, i.Next(c.Start) - 1, p.name, i.String(), first, last, p.price(c.Open), p.price(c.Close), p.price(c.High), p.price(c.Low),
		p.volume(c.Volume), c.Trades, done, p.turnover(c.Turnover), p.volume(c.TakerVolume), p.turnover(c.TakerTurnover), "0",
	}
}
