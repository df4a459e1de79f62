package exchange

import (
	"golang.org/x/crypto/cryptobyte"

	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/identity"
)

// naming matches cancels and amends with the places of the same block that they
// name (K-4, K-5). Most blocks have none, and then it costs nothing.
type naming struct {
	named []named
	alls  []allOf
}

// named is a cancel or amend that found no live order under a client order id.
type named struct {
	task    int // of the cancel or amend
	account ledger.Number
	client  string
	place   int // task of the place it takes back; -1 until found
}

// allOf is a cancel-all: it takes back places of its key with lower nonces.
type allOf struct {
	account ledger.Number
	key     identity.PublicKey
	nonce   uint64
	market  market.ID
}

// later takes a cancel or amend that found no live order. Its code is final
// only after resolve.
func (n *naming) later(w *blockWork, i int, t *task, target *Target) Code {
	if target.Client == "" {
		return w.missing(t)
	}
	n.named = append(n.named, named{task: i, account: t.account, client: target.Client, place: -1})
	return UnknownOrder
}

func (n *naming) all(_ int, t *task, m market.ID) {
	n.alls = append(n.alls, allOf{account: t.account, key: t.cmd.Key, nonce: t.cmd.Nonce, market: m})
}

// resolve runs between phases 4 and 5: it marks the places that are taken back,
// and lets amends act in phase 5.
func (n *naming) resolve(w *blockWork) {
	if len(n.named)+len(n.alls) == 0 {
		return
	}
	for i := range w.tasks {
		if t := &w.tasks[i]; t.live && t.cmd.Kind.Phase() == PhaseOrder {
			n.match(i, t)
		}
	}
	// Of several that name one place, any cancel wins, else the last amend.
	for x := range n.named {
		n.settle(w, x)
	}
}

// match finds what takes a place back.
func (n *naming) match(i int, t *task) {
	m, clients, ok := placeNames(t)
	if !ok {
		return // its own phase says BadBody
	}
	for x := range n.named {
		e := &n.named[x]
		if e.place < 0 && e.account == t.account && (e.client == clients[0] || e.client == clients[1]) {
			e.place = i
			t.taken++
		}
	}
	for x := range n.alls {
		a := &n.alls[x]
		if a.account == t.account && a.key == t.cmd.Key && t.cmd.Nonce < a.nonce && (a.market == 0 || a.market == m) {
			t.taken++
			t.takenByAll = true
		}
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

// settle gives a named cancel or amend its result. Whatever fails to take the
// place back gives it free again.
func (n *naming) settle(w *blockWork, x int) {
	e := &n.named[x]
	t := &w.tasks[e.task]
	if e.place < 0 {
		t.code = w.missing(t)
		return
	}
	place := &w.tasks[e.place]
	switch {
	case t.cmd.Kind == KindCancel:
		m, _, _ := placeNames(place)
		t.code = w.may(t, ledger.Trade, m)
	case n.superseded(w, x):
		t.code = Withdrawn
	default:
		t.code = w.amendPlace(e.task, t, place)
	}
	if t.code != OK {
		place.taken--
	}
}

// superseded tells whether another command of the block has the last word on
// the place that an amend names: any cancel, or a later amend.
func (n *naming) superseded(w *blockWork, x int) bool {
	for y := range n.named {
		if o := &n.named[y]; y != x && o.place == n.named[x].place && (y > x || w.tasks[o.task].cmd.Kind == KindCancel) {
			return true
		}
	}
	return w.tasks[n.named[x].place].takenByAll
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
