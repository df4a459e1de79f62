package sim

import (
	"math/rand/v2"

	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/replica"
)

const (
	clientDelay = 3_000     // us between clients and servers, at least
	patience    = 1_000_000 // us of silence after which a client asks another server
	sweepEvery  = 250_000
)

// clients are all people outside: they make commands, send each until they know
// its fate, keep the receipts, and compare what servers say.
type clients struct {
	f        *federation
	rng      *rand.Rand
	made     int
	acked    int
	requests map[exchange.CommandID]*request
	open     []*request // whose fate is not known, in the order of being made
	answered []*request // with a receipt
	only     []*server  // who may be asked; nil: all
	resting  bool       // nothing new is made
}

// request is a command and what its sender knows of it.
type request struct {
	c       exchange.Command
	at      *server
	sent    uint64 // us
	tries   int
	done    bool
	acked   bool
	receipt exchange.Receipt
}

func newClients(f *federation, seed uint64) *clients {
	return &clients{
		f: f, rng: rand.New(rand.NewPCG(seed, 0xc11e)), requests: map[exchange.CommandID]*request{}, //nolint:gosec // reproducible by seed
	}
}

// now is what the time is outside, in ms.
func (c *clients) now() uint64 { return exchangetest.Founded + c.f.loop.now/1000 }

func (c *clients) start() {
	for _, cmd := range c.f.load.Funding(c.now()) {
		c.send(cmd, c.any())
	}
	c.f.loop.after(1_500_000, c.next)
	c.f.loop.after(sweepEvery, c.sweep)
}

// any is a server that a client may think of.
func (c *clients) any() *server {
	if c.only != nil {
		return c.only[c.rng.IntN(len(c.only))]
	}
	return c.f.servers[c.rng.IntN(len(c.f.servers))]
}

// next makes a command, and is called for the one after it.
func (c *clients) next() {
	if c.resting {
		return
	}
	c.f.loop.after(uint64(c.rng.ExpFloat64()*1e6/float64(c.f.shape.rate)), c.next)
	if c.f.outage || len(c.open) > 400 {
		return // it does not work; people wait, and so do we
	}
	c.make()
	if c.rng.IntN(60) == 0 { // somebody else tries his luck
		forged := c.f.load.Forge()
		c.pass(&forged, c.any())
	}
	if c.rng.IntN(60) == 0 {
		old := c.f.load.Old()
		c.pass(&old, c.any())
	}
}

func (c *clients) make() {
	cmd := c.f.load.Next(c.f.audit.State(), c.now())
	c.send(cmd, c.any())
	if c.rng.IntN(25) == 0 { // to two servers at once
		c.pass(&cmd, c.any())
	}
}

// send begins to look after a command.
func (c *clients) send(cmd exchange.Command, to *server) *request {
	if again := c.requests[cmd.ID]; again != nil { // made twice, to the letter: one answer is for both
		c.try(again, to)
		return again
	}
	r := &request{c: cmd}
	c.requests[cmd.ID] = r
	c.open = append(c.open, r)
	c.made++
	c.try(r, to)
	return r
}

func (c *clients) try(r *request, to *server) {
	r.at, r.sent = to, c.f.loop.now
	r.tries++
	c.pass(&r.c, to)
}

// pass carries a command to a server, mostly.
func (c *clients) pass(cmd *exchange.Command, to *server) {
	if !c.f.calm && c.rng.IntN(100) == 0 {
		return
	}
	c.f.loop.after(clientDelay+uint64(c.rng.IntN(5_000)), func() { to.wakeful(func() { to.onCommand(cmd) }) })
}

// reply carries an answer to the sender of a command, mostly.
func (c *clients) reply(from *server, a replica.Answer) {
	if c.f.options.plant.answer != nil {
		c.f.options.plant.answer(from, &a)
	}
	if !c.f.calm && c.rng.IntN(50) == 0 {
		return
	}
	c.f.loop.after(clientDelay+uint64(c.rng.IntN(5_000)), func() { c.onReply(from, a) })
}

// onReply learns a command's fate. A receipt that burnt the nonce is a promise: the
// history must hold it, and every server must give the same one (I11).
func (c *clients) onReply(from *server, a replica.Answer) {
	r := c.requests[a.ID]
	if r == nil {
		return
	}
	c.f.log("reply", from.index, int(a.Fate), int(a.Receipt.Code), int(a.Receipt.Height))
	switch {
	case a.Fate == replica.FateCommitted && a.Receipt.Code.Burns():
		c.receipt(r, from, a.Receipt)
	case a.Fate == replica.FateElsewhere && r.tries < 12:
		r.sent -= min(r.sent, patience/2) // soon, elsewhere
	case a.Receipt.Code == exchange.AccountBusy || a.Receipt.Code == exchange.BadSignature:
	default:
		r.done = true
	}
}

func (c *clients) receipt(r *request, from *server, rc exchange.Receipt) {
	if r.acked && r.receipt != rc {
		c.f.fail("I11: %s gives another receipt of %x: %+v, not %+v", from.name, rc.ID[:4], rc, r.receipt)
		return
	}
	if first, ok := c.f.audit.Receipt(rc.ID); !ok || first != rc {
		c.f.fail("I11: %s gives a receipt of %x that is not in the history: %+v", from.name, rc.ID[:4], rc)
		return
	}
	if r.acked {
		return
	}
	r.done, r.acked, r.receipt = true, true, rc
	c.acked++
	c.answered = append(c.answered, r)
	if c.rng.IntN(8) == 0 {
		c.f.loop.after(uint64(c.rng.IntN(4_000_000)), func() { c.compare(r) })
	}
}

// compare asks another server for a receipt.
func (c *clients) compare(r *request) {
	s := c.any()
	if !s.up || s.m == nil || s.busy > c.f.loop.now {
		return
	}
	at := s.app.Position()
	a, err := s.app.FateOf(&r.c)
	if err != nil {
		s.broke(err)
		return
	}
	if a.Fate == replica.FateCommitted && a.Receipt.Code.Burns() {
		if a.Receipt != r.receipt {
			c.f.fail("I11: %s gives another receipt of %x: %+v, not %+v", s.name, r.c.ID[:4], a.Receipt, r.receipt)
		}
		return
	}
	// One that came by a snapshot knows only that the nonce is used; one whose
	// clock has gone on for more than ten minutes may have forgotten.
	if at.Height >= r.receipt.Height && s.came < r.receipt.Height && at.Time < r.receipt.Time+600_000 {
		c.f.fail("I11: %s at %d has no receipt of %x at %d: %s", s.name, at.Height, r.c.ID[:4], r.receipt.Height, a.Fate)
	}
}

// sweep sends again what is not answered. A command whose time is over in the
// history can have no effect any more.
func (c *clients) sweep() {
	c.f.loop.after(sweepEvery, c.sweep)
	now := c.f.audit.State().Time()
	kept := c.open[:0]
	for _, r := range c.open {
		if r.done {
			continue
		}
		if r.c.Expiry <= now && c.f.loop.now > r.sent+patience {
			r.done = true
			continue
		}
		if !c.f.outage && c.f.loop.now > r.sent+patience+uint64(c.rng.IntN(300_000)) {
			c.try(r, c.another(r.at))
		}
		kept = append(kept, r)
	}
	clear(c.open[len(kept):])
	c.open = kept
}

// another is a server that may answer.
func (c *clients) another(not *server) *server {
	for range 8 {
		if s := c.any(); s != not && s.up {
			return s
		}
	}
	return c.any()
}

// kept checks that the history holds all that was acknowledged.
func (c *clients) kept() {
	for _, r := range c.answered {
		if rc, ok := c.f.audit.Receipt(r.c.ID); !ok || rc != r.receipt {
			c.f.fail("I11: command %x was acknowledged with %+v, the history has %+v", r.c.ID[:4], r.receipt, rc)
			return
		}
	}
}
