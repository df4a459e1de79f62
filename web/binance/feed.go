package binance

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"math/big"
	"sync"
	"time"

	"souk/asset"
	"souk/exchange/market"
)

// Limits of user streams (N-35).
const (
	listenLife    = 60 * 60_000 // ms
	maxListenKeys = 10_000
	checkEvery    = time.Second // how often it is checked that keys are still good
	feedWithin    = 10 * time.Second
)

// users are the streams of accounts.
type users struct {
	h     *Handler
	mu    sync.Mutex
	keys  map[string]*listenKey
	feeds map[Account]*feed
}

// listenKey lets a stream be opened without a signature.
type listenKey struct {
	id     string
	key    string // API key
	expiry uint64
}

func (u *users) init(h *Handler) {
	u.h, u.keys, u.feeds = h, map[string]*listenKey{}, map[Account]*feed{}
}

// listener is one reader of a feed.
type listener struct {
	socket *socket
	key    string // API key, which must stay good
	listen string // listen key, which must stay good; empty: none
	wrap   func(event []byte) []byte
}

// feed tells what happens to one account. The lock of users covers its listeners.
type feed struct {
	h         *Handler
	account   Account
	cancel    context.CancelFunc
	ready     chan struct{} // closed when it tells all that happens from now on
	listeners map[*listener]struct{}
	totals    map[asset.ID]asset.Wide
	closed    map[market.OrderID]int // legs that ended, of pairs of which one has
}

// listen opens a user stream on a connection for market streams.
func (u *users) listen(r *reader, name string) (end func(), refused *Error) {
	u.mu.Lock()
	k := u.keys[name]
	u.mu.Unlock()
	if k == nil {
		return nil, noListenKey()
	}
	key, ok := u.h.config.Keys.Key(k.key)
	if !ok || key.expired(u.h.now()) {
		return nil, noKey()
	}
	return u.join(key, &listener{socket: r.socket, key: k.key, listen: name, wrap: func(event []byte) []byte {
		r.h.hub.mu.Lock()
		combined := r.combined
		r.h.hub.mu.Unlock()
		if combined {
			return wrap(name, event)
		}
		return event
	}})
}

// join adds a listener to the feed of a key's account.
func (u *users) join(key *Key, l *listener) (end func(), refused *Error) {
	u.mu.Lock()
	f := u.feeds[key.Account]
	if f == nil {
		if !u.h.begin() {
			u.mu.Unlock()
			return nil, bad(codeUnavailable, "Closing.")
		}
		f = &feed{
			h: u.h, account: key.Account, ready: make(chan struct{}), listeners: map[*listener]struct{}{},
			totals: map[asset.ID]asset.Wide{}, closed: map[market.OrderID]int{},
		}
		var ctx context.Context
		ctx, f.cancel = context.WithCancel(u.h.life)
		u.feeds[key.Account] = f
		go func() {
			defer u.h.work.Done()
			f.run(ctx)
		}()
	}
	f.listeners[l] = struct{}{}
	u.mu.Unlock()
	end = func() { u.leave(f, l) }
	wait, cancel := context.WithTimeout(l.socket.ctx, feedWithin)
	defer cancel()
	select {
	case <-f.ready:
		return end, nil
	case <-wait.Done():
		end()
		return nil, u.h.failure(ErrUnavailable, codeUnavailable)
	}
}

func (u *users) leave(f *feed, l *listener) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(f.listeners, l)
	if len(f.listeners) == 0 && u.feeds[f.account] == f {
		delete(u.feeds, f.account)
		f.cancel()
	}
}

// run follows the account. When that is not possible any more all who listen are cut off:
// they come back, and ask for what they missed.
func (f *feed) run(ctx context.Context) {
	defer f.cancel()
	done := make(chan struct{})
	defer close(done)
	go f.check(done)
	first := true
	for report, err := range f.account.Follow(ctx) {
		if err != nil {
			if ctx.Err() == nil {
				f.h.log.WarnContext(ctx, "user stream ended", slog.Any("err", err))
			}
			break
		}
		f.tell(report, first)
		if first {
			first = false
			close(f.ready)
		}
	}
	u := &f.h.users
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.feeds[f.account] == f {
		delete(u.feeds, f.account)
	}
	for l := range f.listeners {
		l.socket.cut("interrupted")
	}
}

// check ends listeners whose keys are void.
func (f *feed) check(done chan struct{}) {
	t := time.NewTicker(checkEvery)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-t.C:
		}
		now := f.h.now()
		f.h.users.mu.Lock()
		for l := range f.listeners {
			key, ok := f.h.config.Keys.Key(l.key)
			listen := f.h.users.keys[l.listen]
			if !ok || key.expired(now) || l.listen != "" && (listen == nil || now >= listen.expiry) {
				event, _ := json.Marshal(struct { //nolint:errchkjson // texts and a number
					Event string `json:"e"`
					At    uint64 `json:"E"`
					Key   string `json:"listenKey,omitempty"`
				}{"listenKeyExpired", now, l.listen})
				l.socket.send(l.wrap(event))
				delete(f.listeners, l)
			}
		}
		f.h.users.mu.Unlock()
	}
}

// known tells whether a name is a listen key.
func (u *users) known(name string, now uint64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	k := u.keys[name]
	return k != nil && now < k.expiry
}

func noListenKey() *Error { return bad(codeListenKey, "This listenKey does not exist.") }

// startStream makes a listen key, or prolongs the one that the API key has.
func startStream(c *call) (any, error) {
	u := &c.h.users
	u.mu.Lock()
	defer u.mu.Unlock()
	var k *listenKey
	for id, old := range u.keys {
		switch {
		case c.now >= old.expiry:
			delete(u.keys, id)
		case old.key == c.key.ID:
			k = old
		}
	}
	if k == nil {
		if len(u.keys) >= maxListenKeys {
			return nil, bad(codeTooMany, "Too many listen keys.")
		}
		k = &listenKey{id: (rand.Text() + rand.Text() + rand.Text())[:64], key: c.key.ID}
		u.keys[k.id] = k
	}
	k.expiry = c.now + listenLife
	return struct {
		Key string `json:"listenKey"`
	}{k.id}, nil
}

// stream is the listen key that a request names, if it is one of its API key.
func (u *users) stream(c *call) (*listenKey, *Error) {
	name := c.text("listenKey")
	if name == "" {
		return nil, missing("listenKey")
	}
	k := u.keys[name]
	if k == nil || k.key != c.key.ID || c.now >= k.expiry {
		return nil, noListenKey()
	}
	return k, nil
}

func keepStream(c *call) (any, error) {
	u := &c.h.users
	u.mu.Lock()
	defer u.mu.Unlock()
	k, refused := u.stream(c)
	if refused != nil {
		return nil, refused
	}
	k.expiry = c.now + listenLife
	return struct{}{}, nil
}

func endStream(c *call) (any, error) {
	u := &c.h.users
	u.mu.Lock()
	defer u.mu.Unlock()
	k, refused := u.stream(c)
	if refused != nil {
		return nil, refused
	}
	delete(u.keys, k.id)
	return struct{}{}, nil
}

// tell sends what a block did to the account. The first report only says what is so.
func (f *feed) tell(r *Report, first bool) {
	var events []any
	if !first {
		events = f.events(r)
	}
	for i := range r.Balances {
		b := &r.Balances[i]
		f.totals[b.Asset] = total(b)
	}
	f.h.users.mu.Lock()
	defer f.h.users.mu.Unlock()
	for _, e := range events {
		data, err := json.Marshal(e)
		if err != nil {
			panic("binance: an event that is no JSON: " + err.Error()) //nolint:forbidigo // all events are made here
		}
		for l := range f.listeners {
			l.socket.send(l.wrap(data))
		}
	}
}

func total(b *Balance) asset.Wide {
	return plusWide(asset.Wide{Lo: uint64(b.Available)}, asset.Wide{Lo: uint64(b.Held)})
}

func plusWide(a, b asset.Wide) asset.Wide {
	sum, _ := a.Add(b)
	return sum
}

type accountEvent struct {
	Event    string         `json:"e"`
	At       uint64         `json:"E"`
	Updated  uint64         `json:"u"`
	Balances []eventBalance `json:"B"`
}

type eventBalance struct {
	Asset  string `json:"a"`
	Free   string `json:"f"`
	Locked string `json:"l"`
}

type deltaEvent struct {
	Event string `json:"e"`
	At    uint64 `json:"E"`
	Asset string `json:"a"`
	Delta string `json:"d"`
	Time  uint64 `json:"T"`
}

// events are those of a report: executions, then balances.
func (f *feed) events(r *Report) []any {
	var events []any
	markets := f.h.list.get(f.h.config.Now())
	executions := joined(r.Executions)
	for i := range executions {
		e := &executions[i]
		p := markets.byID[e.Order.Market]
		if p == nil {
			continue
		}
		events = append(events, p.execution(e, r.Time))
		if l := f.list(p, e, r.Time); l != nil {
			events = append(events, *l)
		}
	}
	if len(r.Balances) == 0 {
		return events
	}
	position := accountEvent{"outboundAccountPosition", r.Time, r.Time, nil}
	for i := range r.Balances {
		b := &r.Balances[i]
		position.Balances = append(position.Balances, eventBalance{b.Symbol, asset.Format(b.Available, b.Decimals), asset.Format(b.Held, b.Decimals)})
		if delta := new(big.Int).Sub(wide(total(b)), wide(f.totals[b.Asset])); len(r.Executions) == 0 && delta.Sign() != 0 {
			events = append(events, deltaEvent{"balanceUpdate", r.Time, b.Symbol, decimal(delta, b.Decimals), r.Time})
		}
	}
	return append(events, position)
}

// joined leaves out closings that the fill before says already: an order that ended with
// its last fill is told once, as filled (N-35).
func joined(all []Execution) []Execution {
	var kept []Execution
	for i := range all {
		e := all[i]
		if e.Kind == Closed && e.Order.status() == "FILLED" {
			last := -1
			for j := range kept {
				if kept[j].Kind == Traded && kept[j].Order.ID == e.Order.ID {
					last = j
				}
			}
			if last >= 0 {
				kept[last].Order = e.Order
				continue
			}
		}
		kept = append(kept, e)
	}
	return kept
}

type reportEvent struct {
	Event      string         `json:"e"`
	At         uint64         `json:"E"`
	Symbol     string         `json:"s"`
	Client     string         `json:"c"`
	Side       string         `json:"S"`
	Kind       string         `json:"o"`
	TIF        string         `json:"f"`
	Quantity   string         `json:"q"`
	Price      string         `json:"p"`
	Trigger    string         `json:"P"`
	Iceberg    string         `json:"F"`
	List       int64          `json:"g"`
	Origin     string         `json:"C"`
	What       string         `json:"x"`
	Status     string         `json:"X"`
	Reject     string         `json:"r"`
	ID         market.OrderID `json:"i"`
	LastSize   string         `json:"l"`
	Filled     string         `json:"z"`
	LastPrice  string         `json:"L"`
	Fee        string         `json:"n"`
	FeeAsset   *string        `json:"N"`
	Time       uint64         `json:"T"`
	Trade      int64          `json:"t"`
	Ignore     uint64         `json:"I"`
	Working    bool           `json:"w"`
	Maker      bool           `json:"m"`
	Best       bool           `json:"M"`
	Placed     uint64         `json:"O"`
	Value      string         `json:"Z"`
	LastValue  string         `json:"Y"`
	Quote      string         `json:"Q"`
	Since      int64          `json:"W,omitempty"`
	Prevention string         `json:"V"`
	Settlement string         `json:"settlement"`
}

// execution is the report of one thing that happened to an order.
func (p *pair) execution(e *Execution, at uint64) reportEvent {
	o := &e.Order
	v := reportEvent{
		Event: "executionReport", At: at, Symbol: p.name, Client: o.Client, Side: sideName(o.Side), Kind: o.kind(), TIF: o.tif(),
		Quantity: p.base(o.quantity()), Price: p.limit(o), Trigger: p.price(o.Trigger), Iceberg: p.base(0), List: o.listID(),
		What: o.what(e.Kind), Status: o.status(), Reject: "NONE", ID: o.ID, LastSize: p.base(0), Filled: p.base(o.Filled), LastPrice: p.price(0),
		Fee: "0", Time: at, Trade: -1, Ignore: at, Working: o.Live() && o.Status != market.Waiting, Best: e.Kind == Traded, Placed: o.Time,
		Value: p.quote(o.Value), LastValue: p.quote(0), Quote: p.quote(o.Quote), Since: max(o.since(), 0), Prevention: prevention, Settlement: final,
	}
	if e.Kind == Opened || e.Kind == Triggered {
		v.Status = "NEW" // what its first auction did is told by what comes next
		v.Filled, v.Value = p.base(0), p.quote(0)
	}
	if e.Kind == Closed && v.Status == "CANCELED" {
		v.Origin = o.Client
	}
	if o.Reason == market.WouldTake && e.Kind == Closed {
		v.Reject = "WOULD_MATCH_IMMEDIATELY"
	}
	if f := e.Fill; f != nil {
		name := p.feeAsset(f)
		v.LastSize, v.LastPrice, v.LastValue = p.base(f.Quantity), p.price(f.Price), p.quote(f.Value)
		v.Fee, v.FeeAsset, v.Trade, v.Maker = p.fee(f), &name, int64(f.Trade), f.Maker
	}
	return v
}

// what is the kind of an execution as clients know it.
func (o *Order) what(k ExecutionKind) string {
	switch k {
	case Opened, Triggered:
		return "NEW"
	case Traded:
		return "TRADE"
	case Reduced:
		return "REPLACED"
	case Closed:
	}
	switch s := o.status(); s {
	case "EXPIRED_IN_MATCH":
		return "TRADE_PREVENTION"
	case "FILLED":
		return "TRADE"
	default:
		return s
	}
}

type listEvent struct {
	Event   string `json:"e"`
	At      uint64 `json:"E"`
	Symbol  string `json:"s"`
	ID      int64  `json:"g"`
	Kind    string `json:"c"`
	Status  string `json:"l"`
	Orders  string `json:"L"`
	Reject  string `json:"r"`
	Client  string `json:"C"`
	Time    uint64 `json:"T"`
	Members []any  `json:"O"`
}

// list is what to tell of an OCO pair: that it is there, with its second leg, and that it
// is done, when both legs have ended.
func (f *feed) list(p *pair, e *Execution, at uint64) *listEvent {
	o := &e.Order
	if o.List == 0 {
		return nil
	}
	v := &listEvent{"listStatus", at, p.name, o.listID(), "OCO", "EXEC_STARTED", "EXECUTING", "NONE", listName(o.listID()), at, []any{}}
	switch {
	case e.Kind == Opened && o.ID != o.List:
	case e.Kind == Closed || e.Kind == Traded && !o.Live():
		if f.closed[o.List]++; f.closed[o.List] < 2 {
			return nil
		}
		delete(f.closed, o.List)
		v.Status, v.Orders = "ALL_DONE", "ALL_DONE"
	default:
		return nil
	}
	return v
}
