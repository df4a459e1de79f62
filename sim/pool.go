package sim

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"slices"

	"souk/exchange"
	"souk/exchange/roster"
	"souk/identity"
	"souk/replica"
)

// rememberMost is how many verdicts a verifier remembers.
const rememberMost = 1 << 16

// Verifier verifies signatures for the replicas of one goroutine. All servers verify
// the same ones, so it remembers verdicts; each is made by real verification once.
func Verifier() *replica.Pool {
	real := identity.NewVerifier(rand.Reader, 0)
	known := map[[32]byte]bool{}
	var fresh []identity.Signed
	var marks [][32]byte
	var verdicts []bool
	return replica.NewPoolBy(func(dst []bool, batch []identity.Signed) []bool {
		if len(known) > rememberMost {
			clear(known)
		}
		fresh, marks = fresh[:0], marks[:0]
		from := len(dst)
		for i := range batch {
			mark := markOf(&batch[i])
			verdict, ok := known[mark]
			dst = append(dst, verdict)
			if !ok {
				fresh, marks = append(fresh, batch[i]), append(marks, mark)
			}
		}
		if len(fresh) == 0 {
			return dst
		}
		verdicts = real.Verify(verdicts[:0], fresh)
		for i, verdict := range verdicts {
			known[marks[i]] = verdict
		}
		for i := range batch {
			dst[from+i] = known[markOf(&batch[i])]
		}
		return dst
	})
}

func markOf(s *identity.Signed) [32]byte {
	var buf [512]byte
	b := append(append(buf[:0], s.Key[:]...), s.Signature[:]...)
	return sha256.Sum256(append(b, s.Tagged...))
}

// resendAfter is when a server sends its own batch to all again, in us.
const resendAfter = 1_000_000

// clockOf reads a block's clock.
func clockOf(payload []byte) (uint64, error) { return replica.ParseClock(payload) }

func commandsOf(id exchange.ID, payload []byte) ([]exchange.Command, error) {
	b, err := replica.ParseBatch(id, payload)
	return b.Commands, err
}

// payload is a batch on its way into a block.
type payload struct {
	bytes  []byte
	own    bool
	expiry uint64 // of the last of its commands, ms
	sent   uint64 // us, when it was last sent to all
	ids    []exchange.CommandID
}

// pool is a server's payloads that wait for a block, its open batch, and who
// waits for which command. A crash loses it.
type pool struct {
	s       *server
	waiting []*payload
	known   map[string]bool
	open    []exchange.Command
	asked   map[exchange.CommandID]bool // commands that a client waits for here
	seq     uint64
}

func newPool(s *server) *pool {
	return &pool{s: s, known: map[string]bool{}, asked: map[exchange.CommandID]bool{}, seq: s.f.loop.now << 8}
}

// list is what Propose chooses from.
func (p *pool) list() [][]byte {
	all := make([][]byte, len(p.waiting))
	for i, w := range p.waiting {
		all[i] = w.bytes
	}
	return all
}

// add verifies a payload and keeps it; false if it is known or bad.
func (p *pool) add(w *payload) bool {
	if p.known[string(w.bytes)] {
		return false
	}
	if err := p.s.app.Check(context.Background(), w.bytes); err != nil {
		return false
	}
	p.known[string(w.bytes)] = true
	p.waiting = append(p.waiting, w)
	p.s.m.poke()
	return true
}

// take puts a client's command into the open batch. A silent server forgets it.
func (p *pool) take(c *exchange.Command) {
	if p.asked[c.ID] || p.s.silent {
		return
	}
	p.asked[c.ID] = true
	p.open = append(p.open, *c)
	if len(p.open) >= p.s.f.shape.batch {
		p.flush()
	} else if len(p.open) == 1 {
		p.s.after(p.s.f.shape.batchWait, p.flush)
	}
}

// flush makes the open batch a payload and sends it to all. Commands whose
// signatures are bad are answered, the others go on.
func (p *pool) flush() {
	if len(p.open) == 0 {
		return
	}
	commands := p.open
	p.open = nil
	w := p.pack(commands)
	if p.s.app.Check(context.Background(), w.bytes) != nil {
		good := commands[:0:0]
		for i := range commands {
			c := &commands[i]
			if c.Key.VerifyRaw(c.AppendSignBytes(nil, p.s.f.founding.ID()), c.Signature) {
				good = append(good, *c)
				continue
			}
			delete(p.asked, c.ID)
			p.s.f.clients.reply(p.s, refused(c.ID, exchange.BadSignature))
		}
		if len(good) == 0 {
			return
		}
		w = p.pack(good)
	}
	p.s.f.log("batch", p.s.index, len(w.ids), len(w.bytes))
	// Servers of no member that began at one instant may make the same payload.
	if !p.add(w) && !p.known[string(w.bytes)] {
		p.s.f.fail("%s refuses its own batch", p.s.name)
		return
	}
	if p.s.liar != nil && p.s.liar.batch(w) {
		return
	}
	p.send(w)
}

func (p *pool) pack(commands []exchange.Command) *payload {
	p.seq++
	b := replica.Batch{Member: p.member(), Seq: p.seq, Commands: commands}
	w := &payload{bytes: replica.AppendBatch(nil, &b), own: true, sent: p.s.f.loop.now}
	for i := range commands {
		w.expiry = max(w.expiry, commands[i].Expiry)
		w.ids = append(w.ids, commands[i].ID)
	}
	return w
}

// member is the number under which the server's batches go.
func (p *pool) member() (id roster.ID) {
	_ = p.s.app.View(func(st *exchange.State) { id, _ = st.Roster().ByConsensus(p.s.keys[len(p.s.keys)-1]) }) // it has a state
	return id
}

func (p *pool) send(w *payload) {
	p.s.f.net.broadcast(p.s, func(to *server) { to.onPayload(w) })
}

// onPayload is a payload from another server.
func (s *server) onPayload(w *payload) {
	if s.m == nil {
		return
	}
	mine := *w
	mine.own, mine.sent = false, s.f.loop.now
	s.pool.add(&mine)
}

// tick sends payloads again, other servers' after longer, and forgets what has expired.
func (p *pool) tick() {
	now := max(p.s.app.Position().Time, uint64(p.s.clock().UnixMilli()))
	kept := p.waiting[:0]
	for _, w := range p.waiting {
		if w.expiry <= now {
			delete(p.known, string(w.bytes))
			if w.own {
				for _, id := range w.ids {
					p.answer(refused(id, exchange.Expired))
				}
			}
			continue
		}
		wait := uint64(resendAfter)
		if !w.own {
			wait *= 3
		}
		if p.s.f.loop.now >= w.sent+wait {
			w.sent = p.s.f.loop.now
			p.send(w)
		}
		kept = append(kept, w)
	}
	clear(p.waiting[len(kept):])
	p.waiting = kept
}

// committed takes what a block contained out of the pool and answers clients.
func (p *pool) committed(b *block, res *exchange.Result) {
	for _, q := range b.payloads {
		p.known[string(q)] = true
	}
	p.waiting = slices.DeleteFunc(p.waiting, func(w *payload) bool {
		return slices.ContainsFunc(b.payloads, func(q []byte) bool { return bytes.Equal(w.bytes, q) })
	})
	for i := range res.Receipts {
		rc := &res.Receipts[i]
		p.answer(replica.Answer{ID: rc.ID, Fate: replica.FateCommitted, Receipt: *rc})
	}
}

// answer tells a client, if one waits here. A receipt that left the nonce unused
// is not the first one if the command was executed before.
func (p *pool) answer(a replica.Answer) {
	if !p.asked[a.ID] {
		return
	}
	delete(p.asked, a.ID)
	if a.Fate == replica.FateCommitted && !a.Receipt.Code.Burns() {
		first, err := p.s.app.Fate(a.ID)
		if err != nil {
			p.s.broke(err)
			return
		}
		if first.Fate == replica.FateCommitted {
			a = first
		}
	}
	p.s.f.clients.reply(p.s, a)
}

func refused(id exchange.CommandID, code exchange.Code) replica.Answer {
	return replica.Answer{ID: id, Fate: replica.FateRefused, Receipt: exchange.Receipt{ID: id, Code: code}}
}

// onCommand is a command from a client.
func (s *server) onCommand(c *exchange.Command) {
	if s.m == nil {
		return
	}
	a, err := s.app.FateOf(c)
	if err != nil {
		s.broke(err)
		return
	}
	if a.Fate == replica.FateElsewhere || a.Fate == replica.FateCommitted && a.Receipt.Code.Burns() {
		s.f.clients.reply(s, a)
		return
	}
	code := exchange.OK
	_ = s.app.View(func(st *exchange.State) { // it has a state
		code = st.Precheck(c, max(st.Time(), uint64(s.clock().UnixMilli())))
	})
	if code != exchange.OK {
		s.f.clients.reply(s, refused(c.ID, code))
		return
	}
	s.pool.take(c)
}
