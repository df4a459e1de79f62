package gate

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/identity"
	"souk/store"
	"souk/web/binance"
)

// What is kept of the past, at most (J-22).
const (
	maxClosed = 50_000  // closed orders
	maxFills  = 200_000 // fills
)

// Kinds of keys in the store, by their first byte.
const (
	keyHead    = 'h' // what the record is of
	keyOrder   = 'o' // and the order's id
	keyFill    = 'f' // market, trade and order
	keyBalance = 'b' // and the asset's number
	keyIntent  = 'i' // and the client order id: an order on its way
	keySent    = 's' // and a payment's key: coins on their way out
	keyShown   = 'a' // bank and address: a deposit address that was given away
	keySeen    = 't' // and an outpoint: when a deposit was seen first
)

// held is an order as it is kept.
type held struct {
	binance.Order
	Height uint64 // of the newest block that is known to have changed it
	// What followers were told of it.
	Opened, Closed bool
}

// filled is a fill as it is kept.
type filled struct {
	binance.Fill
	Height uint64
}

// fillKey names one side of a trade.
type fillKey struct {
	Market market.ID
	Trade  market.TradeID
	Order  market.OrderID
}

// record is what a session remembers of its account. It belongs to whoever holds the
// session's lock.
type record struct {
	store    store.Store
	Height   uint64 // the block after which all of it is so
	Time     uint64 // of that block, ms
	orders   map[market.OrderID]*held
	ids      []market.OrderID // ascending
	closed   int
	clients  map[string]market.OrderID // the newest with a client order id
	fills    map[fillKey]*filled
	order    []fillKey // by trade, ascending
	byOrder  map[market.OrderID][]*filled
	balances map[asset.ID]binance.Balance
}

// head is what a store is of, and how far it has come.
type head struct {
	Server  string
	Account string
	Height  uint64
	Time    uint64
}

// ErrOther is returned by Open for a store of another account or virtual server.
var ErrOther = errors.New("this folder remembers another account: use a new one")

// readRecord reads what a store has.
func readRecord(st store.Store, id exchange.ID, account identity.Address) (*record, error) {
	r := &record{
		store: st, orders: map[market.OrderID]*held{}, clients: map[string]market.OrderID{},
		fills: map[fillKey]*filled{}, byOrder: map[market.OrderID][]*filled{}, balances: map[asset.ID]binance.Balance{},
	}
	h := head{Server: fmt.Sprintf("%x", id[:]), Account: account.String()}
	data, err := st.Get([]byte{keyHead})
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return nil, err
	default:
		var was head
		if err := json.Unmarshal(data, &was); err != nil {
			return nil, fmt.Errorf("read the gate's memory: %w", err)
		}
		if was.Server != h.Server || was.Account != h.Account {
			return nil, ErrOther
		}
		r.Height, r.Time = was.Height, was.Time
	}
	h.Height, h.Time = r.Height, r.Time
	if err := r.load(); err != nil {
		return nil, err
	}
	b := st.NewBatch()
	setJSON(b, []byte{keyHead}, &h)
	return r, b.Commit(true)
}

// load reads orders, fills and balances.
func (r *record) load() error {
	err := scan(r.store, keyOrder, func(h *held) { r.keep(h) })
	if err == nil {
		err = scan(r.store, keyFill, func(f *filled) { r.insert(f) })
	}
	if err == nil {
		err = scan(r.store, keyBalance, func(b *binance.Balance) { r.balances[b.Asset] = *b })
	}
	return err
}

// scan reads all values of a kind.
func scan[T any](st store.Reader, kind byte, take func(*T)) error {
	var bad error
	err := st.Scan([]byte{kind}, []byte{kind + 1}, func(_, value []byte) bool {
		v := new(T)
		if bad = json.Unmarshal(value, v); bad != nil {
			return false
		}
		take(v)
		return true
	})
	if err = errors.Join(err, bad); err != nil {
		return fmt.Errorf("read the gate's memory: %w", err)
	}
	return nil
}

// getJSON reads a value; false if there is none.
func getJSON(st store.Reader, key []byte, v any) bool {
	data, err := st.Get(key)
	return err == nil && json.Unmarshal(data, v) == nil
}

// setJSON writes a value. What is written has no form that JSON lacks.
func setJSON(b store.Batch, key []byte, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err)) //nolint:forbidigo // a fault of this program
	}
	b.Set(key, data)
}

func orderKey(id market.OrderID) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyOrder}, uint64(id))
}

func (k fillKey) bytes() []byte {
	b := binary.BigEndian.AppendUint32([]byte{keyFill}, uint32(k.Market))
	b = binary.BigEndian.AppendUint64(b, uint64(k.Trade))
	return binary.BigEndian.AppendUint64(b, uint64(k.Order))
}

// keep puts an order among the others, or in its place.
func (r *record) keep(h *held) {
	was := r.orders[h.ID]
	r.orders[h.ID] = h
	if was == nil {
		at, _ := slices.BinarySearch(r.ids, h.ID)
		r.ids = slices.Insert(r.ids, at, h.ID)
	}
	if (was == nil || was.Live()) && !h.Live() {
		r.closed++
	}
	if h.Client != "" && r.clients[h.Client] <= h.ID {
		r.clients[h.Client] = h.ID
	}
}

// insert puts a fill among the others; false if it is there already.
func (r *record) insert(f *filled) bool {
	k := fillKey{f.Market, f.Trade, f.Order}
	if _, ok := r.fills[k]; ok {
		return false
	}
	r.fills[k] = f
	at, _ := slices.BinarySearchFunc(r.order, k, compareFills)
	r.order = slices.Insert(r.order, at, k)
	own := append(r.byOrder[f.Order], f)
	slices.SortFunc(own, func(a, b *filled) int { return cmp.Compare(a.Trade, b.Trade) })
	r.byOrder[f.Order] = own
	return true
}

func compareFills(a, b fillKey) int {
	return cmp.Or(cmp.Compare(a.Trade, b.Trade), cmp.Compare(a.Market, b.Market), cmp.Compare(a.Order, b.Order))
}

// sums are what the fills of an order come to.
func (r *record) sums(id market.OrderID) (quantity, value, fee asset.Amount) {
	for _, f := range r.byOrder[id] {
		quantity, value, fee = quantity+f.Quantity, value+f.Value, fee+f.Fee
	}
	return quantity, value, fee
}

// find is an order by id or client order id; nil if there is none.
func (r *record) find(t exchange.Target) *held {
	if t.Order == 0 {
		t.Order = r.clients[t.Client]
	}
	return r.orders[t.Order]
}

// write adds an order to a batch.
func (h *held) write(b store.Batch) { setJSON(b, orderKey(h.ID), h) }

func (f *filled) write(b store.Batch) {
	setJSON(b, fillKey{f.Market, f.Trade, f.Order}.bytes(), f)
}

// writeHead adds how far the record has come.
func (r *record) writeHead(b store.Batch, id exchange.ID, account identity.Address) {
	setJSON(b, []byte{keyHead}, &head{fmt.Sprintf("%x", id[:]), account.String(), r.Height, r.Time})
}

// prune forgets the oldest of what is more than is kept.
func (r *record) prune(b store.Batch) {
	for i := 0; r.closed > maxClosed && i < len(r.ids); {
		h := r.orders[r.ids[i]]
		if h.Live() {
			i++
			continue
		}
		b.Delete(orderKey(h.ID))
		delete(r.orders, h.ID)
		if r.clients[h.Client] == h.ID {
			delete(r.clients, h.Client)
		}
		r.ids = slices.Delete(r.ids, i, i+1)
		r.closed--
	}
	if more := len(r.order) - maxFills; more > 0 {
		for _, k := range r.order[:more] {
			b.Delete(k.bytes())
			delete(r.fills, k)
			if own := slices.DeleteFunc(r.byOrder[k.Order], func(f *filled) bool { return f.Trade == k.Trade }); len(own) > 0 {
				r.byOrder[k.Order] = own
			} else {
				delete(r.byOrder, k.Order)
			}
		}
		r.order = slices.Delete(r.order, 0, more)
	}
}
