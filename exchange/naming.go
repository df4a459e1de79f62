package exchange

import (
	"golang.org/x/crypto/cryptobyte"

	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/identity"
)

// naming matches cancels and amends with the places of the same block that they
// name (K-4, K-5). Most blocks have none, and then it costs nothing; at worst the
// work grows with the number of commands, not with its square.
type naming struct {
	named []named
	first map[nameKey]int   // first entry of named under a name, plus one
	alls  map[allKey]uint64 // highest nonce of a cancel-all
}

// named is a cancel or amend that found no live order under a client order id.
type named struct {
	task  int // of the cancel or amend
	place int // task of the place it takes back; -1 until found
	next  int // next entry of the same name, plus one; later in sorted order
	last  int // the newest entry of the name, at its first one
}

// nameKey is a client order id of an account.
type nameKey struct {
	account ledger.Number
	client  string
}

// allKey says which places a cancel-all takes back, if their nonces are lower.
type allKey struct {
	account ledger.Number
	key     identity.PublicKey
	market  market.ID // zero: any
}

// later takes a cancel or amend that found no live order. Its code is final
// only after resolve.
func (n *naming) later(i int, t *task, target *Target) Code {
	if target.Client == "" {
		return UnknownOrder
	}
	if n.first == nil {
		n.first = map[nameKey]int{}
	}
	n.named = append(n.named, named{task: i, place: -1})
	key, at := nameKey{t.account, target.Client}, len(n.named)
	if head := n.first[key]; head != 0 {
		n.named[n.named[head-1].last-1].next = at
		n.named[head-1].last = at
	} else {
		n.first[key] = at
		n.named[at-1].last = at
	}
	return UnknownOrder
}

// all takes a cancel-all.
func (n *naming) all(t *task, m market.ID) {
	if n.alls == nil {
		n.alls = map[allKey]uint64{}
	}
	key := allKey{t.account, t.cmd.Key, m}
	n.alls[key] = max(n.alls[key], t.cmd.Nonce)
}

// resolve runs between phases 4 and 5: it marks the places that are taken back,
// and enters amended orders.
func (n *naming) resolve(w *blockWork) {
	if len(n.named)+len(n.alls) == 0 {
		return
	}
	for i := range w.tasks {
		if t := &w.tasks[i]; t.live && t.cmd.Kind.Phase() == PhaseOrder {
			n.match(w, i, t)
		}
	}
	for x := range n.named {
		n.settle(w, x)
	}
}

// match finds what takes a place back.
func (n *naming) match(w *blockWork, i int, t *task) {
	m, clients, ok := placeNames(t)
	if !ok {
		return // its own phase says BadBody
	}
	for c, client := range clients {
		if client == "" || c == 1 && client == clients[0] {
			continue
		}
		for x := n.first[nameKey{t.account, client}]; x != 0; x = n.named[x-1].next {
			if e := &n.named[x-1]; e.place < 0 {
				e.place = i
				n.take(w, x-1, t, m)
			}
		}
	}
	for _, in := range [...]market.ID{0, m} {
		if t.cmd.Nonce < n.alls[allKey{t.account, t.cmd.Key, in}] {
			t.taken++
			t.takenByAll = true
		}
	}
}

// take lets a named cancel or amend take a place back. A cancel by a key that may
// not do so in the place's market has no say.
func (n *naming) take(w *blockWork, x int, place *task, m market.ID) {
	t := &w.tasks[n.named[x].task]
	if t.cmd.Kind != KindCancel {
		place.taken++
		place.lastAmend = max(place.lastAmend, x)
		return
	}
	if t.code = w.may(t, ledger.Trade, m); t.code == OK {
		place.taken++
		place.cancelled = true
	}
}

// placeNames are the market and client order ids of a place.
func placeNames(t *task) (m market.ID, clients [2]string, ok bool) {
	s := cryptobyte.String(t.cmd.Body)
	if t.cmd.Kind == KindPlace {
		var p Place
		ok = p.read(&s) && len(s) == 0
		return p.Market, [2]string{p.Client, p.Client}, ok
	}
	var p PlaceOCO
	ok = p.read(&s) && len(s) == 0
	return p.Market, [2]string{p.LimitClient, p.StopClient}, ok
}

// settle gives what take left open its result. An amend that fails gives the
// place free again.
func (n *naming) settle(w *blockWork, x int) {
	e := &n.named[x]
	t := &w.tasks[e.task]
	if e.place < 0 {
		t.code = UnknownOrder
		return
	}
	if t.cmd.Kind == KindCancel {
		return // take gave it its code
	}
	place := &w.tasks[e.place]
	if n.superseded(w, x) {
		t.code = Withdrawn
	} else {
		t.code = w.amendPlace(e.task, t, place)
	}
	if t.code != OK {
		place.taken--
	}
}

// superseded tells whether another command of the block has the last word on
// the place that an amend names: any cancel, or a later amend.
func (n *naming) superseded(w *blockWork, x int) bool {
	place := &w.tasks[n.named[x].place]
	return place.takenByAll || place.cancelled || place.lastAmend != x
}

// amendPlace enters the amended form of a place of the same block.
func (w *blockWork) amendPlace(i int, t, place *task) Code {
	var a Amend
	var p Place
	if !whole(&a, (*Amend).read, t.cmd.Body) {
		return BadBody
	}
	if place.cmd.Kind != KindPlace || !whole(&p, (*Place).read, place.cmd.Body) || p.Order != market.LimitOrder {
		return BadAmend
	}
	if code := w.may(t, ledger.Trade, p.Market); code != OK {
		return code
	}
	if a.Price != 0 {
		p.Price = a.Price
	}
	p.Quantity = a.Quantity
	n := p.order(t)
	return w.enter(i, t, &n)
}
