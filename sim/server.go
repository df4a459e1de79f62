package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/roster"
	"souk/identity"
	"souk/replica"
	"souk/store"
	"souk/store/memstore"
)

// tickEvery is how often a server looks after what nobody tells it, in us.
const tickEvery = 300_000

// tear is a place where the power of a server fails in the middle of something.
type tear uint8

const (
	tearNone    tear = iota
	tearPropose      // when half of the others have its proposal
	tearSave         // before a decided block is on its disk
	tearExecute      // before the block is executed
	tearCommit       // after it is executed, before it is committed
	tearDone         // after it is committed, before anybody hears of it
	tears
)

// disk is what a server keeps when it crashes.
type disk struct {
	store   *memstore.Store
	blocks  map[uint64]*certificate
	base    uint64 // lowest height of blocks; top+1 if there is none
	top     uint64 // highest
	signed  signed
	persist uint64 // height that the replica answered for when it was last looked at
}

// server is one member's machine: a disk that outlives crashes and a process.
type server struct {
	f     *federation
	index int
	name  string
	keys  []identity.PublicKey // consensus keys it has had, the newest last
	rng   *rand.Rand
	disk  disk

	up      bool
	life    int  // counts starts, so that what a dead process has begun stays undone
	dead    bool // for good
	founder bool
	busy    uint64 // does nothing until then, us
	skew    int64  // ms that its clock is ahead
	silent  bool   // takes commands and never passes them on
	failing bool   // its disk has failed, and the process will find out
	tear    tear
	liar    *liar
	joining *joining
	awayTo  uint64 // lost its disk: must not vote up to this height
	came    uint64 // height of the snapshot that it joined by

	app      *replica.Replica
	sub      *replica.Subscription
	m        *machine
	pool     *pool
	vault    vault
	born     uint64 // us, when the process was started
	accused  []*evidence
	asked    uint64 // us, when it last asked for blocks
	returned uint64 // us, when it last asked for its power back
}

func newServer(f *federation, index int) *server {
	name := exchangetest.MemberName(index)
	return &server{
		f: f, index: index, name: name, keys: []identity.PublicKey{f.keys.Public(name + "/consensus")}, founder: true,
		rng:  rand.New(rand.NewPCG(f.options.Seed, 0x5e00+uint64(index))), //nolint:gosec // reproducible by seed
		disk: newDisk(),
	}
}

func newDisk() disk {
	return disk{store: memstore.New(), blocks: map[uint64]*certificate{}, base: 1}
}

// clock is the server's own clock.
func (s *server) clock() time.Time {
	return time.UnixMilli(exchangetest.Founded + int64(s.f.loop.now/1000) + s.skew)
}

// after lets the process do something later, if it lives then.
func (s *server) after(us uint64, do func()) {
	life := s.life
	s.f.loop.after(us, func() {
		if s.life == life {
			s.wakeful(do)
		}
	})
}

// wakeful does something as soon as the server is not busy; never if it is down.
func (s *server) wakeful(do func()) {
	switch {
	case !s.up || s.f.err != nil:
	case s.busy > s.f.loop.now:
		life := s.life
		s.f.loop.after(s.busy-s.f.loop.now, func() {
			if s.life == life {
				s.wakeful(do)
			}
		})
	default:
		do()
	}
}

// keyIn is the server's key in a set of validators, zero if it has none.
func (s *server) keyIn(v *validators) identity.PublicKey {
	for _, k := range s.keys {
		if v.index(k) >= 0 {
			return k
		}
	}
	return identity.PublicKey{}
}

// mute tells whether the server must not vote at a height, because it may have
// voted there and does not know.
func (s *server) mute(height uint64) bool { return height <= s.awayTo }

// tearing tells whether the power fails here.
func (s *server) tearing(at tear) bool {
	if s.tear != at {
		return false
	}
	s.tear = tearNone
	return true
}

// boot starts the process, which replays what its disk has, or joins.
func (s *server) boot() {
	f := s.f
	s.life++
	s.up, s.busy, s.joining, s.m, s.accused, s.failing = true, 0, nil, nil, nil, false
	s.born = f.loop.now
	s.pool = newPool(s)
	f.log("boot", s.index, int(s.disk.top))
	app, err := replica.Open(s.config())
	if err != nil {
		f.fail("%s does not open: %w", s.name, err)
		return
	}
	s.app = app
	info := app.Info()
	switch {
	case info.Height > s.disk.top:
		f.fail("I11: %s has stored the state of height %d and blocks up to %d", s.name, info.Height, s.disk.top)
		return
	case info.Height < s.disk.persist:
		f.fail("I11: %s answered for height %d and after a crash for %d", s.name, s.disk.persist, info.Height)
		return
	case info.Height > 0 && info.Root != f.chain[info.Height-1].root:
		f.fail("I10: %s has root %s at height %d, not %s", s.name, info.Root, info.Height, f.chain[info.Height-1].root)
		return
	}
	s.subscribe()
	s.tick()
	if info.Height > 0 || s.founder {
		s.resume(info.Height)
		return
	}
	s.joining = &joining{}
}

func (s *server) config() replica.Config {
	sh := &s.f.shape
	return replica.Config{
		Founding: s.f.founding, Store: s.disk.store, Pool: s.f.pool, Self: s.keys[len(s.keys)-1], Now: s.clock, Inline: true,
		Audit: sh.audit, KnownBytes: 4 << 20, Persist: replica.Persist{Blocks: sh.flush},
		Keep: replica.Keep{Blocks: sh.keep, SnapshotEvery: sh.snapshots, Results: 400, ChunkBytes: 4096, Events: -1},
	}
}

func (s *server) subscribe() {
	sub, err := s.app.Subscribe(0, 0)
	if err != nil {
		s.f.fail("%s: subscribe: %w", s.name, err)
		return
	}
	s.sub = sub
}

// resume founds the state if there is none, executes the blocks on disk that the
// state lacks, and takes part in the height after them.
func (s *server) resume(from uint64) {
	f := s.f
	if from == 0 {
		out, err := s.app.Found(consensus.Founding{Contract: f.founding.Append(nil)})
		if err != nil {
			f.fail("%s: found: %w", s.name, err)
			return
		}
		if !slices.EqualFunc(out.Validators, f.set(1).all, func(a, b consensus.Validator) bool { return a == b }) {
			f.fail("I10: %s founds with other validators", s.name)
			return
		}
	}
	for h := from + 1; h <= s.disk.top; h++ {
		c := s.disk.blocks[h]
		if c == nil {
			f.fail("S-11: %s is at %d and has let go of block %d", s.name, from, h)
			return
		}
		if !s.execute(c) {
			return
		}
	}
	s.enter(s.disk.top + 1)
}

// enter begins a height.
func (s *server) enter(height uint64) {
	var last *certificate
	if height > 1 {
		if last = s.disk.blocks[height-1]; last == nil { // it joined by a snapshot
			last = s.f.chain[height-2].cert
		}
	}
	s.m = newMachine(s, height, last)
	s.after(s.f.shape.pause+1, func() { s.m.poke() })
	s.m.advance()
}

// poke lets an idle height begin if it can.
func (m *machine) poke() {
	if m != nil {
		m.wake(false)
	}
}

// decide takes a decided block: to disk, through the application, on to the next height.
func (s *server) decide(c *certificate) {
	h := c.block.height
	s.f.log("decide", s.index, int(h), c.round, c.block.number)
	if s.tearing(tearSave) {
		s.crash("crash before a block is saved")
		return
	}
	if h != s.disk.top+1 {
		s.f.fail("I21: %s decides block %d after %d", s.name, h, s.disk.top)
		return
	}
	if s.disk.top < s.disk.base {
		s.disk.base = min(s.disk.base, h)
	}
	s.disk.blocks[h], s.disk.top = c, h
	if s.tearing(tearExecute) {
		s.crash("crash before a block is executed")
		return
	}
	if !s.execute(c) {
		return
	}
	if s.tearing(tearDone) {
		s.crash("crash after a block is committed")
		return
	}
	s.enter(h + 1)
}

// execute finalizes and commits a block; false if the server is down after it.
func (s *server) execute(c *certificate) bool {
	f, b := s.f, s.f.decided(c.block)
	out, err := s.app.Finalize(b)
	if err != nil {
		s.broke(err)
		return false
	}
	if f.options.plant.outcome != nil {
		f.options.plant.outcome(s, b.Height, &out)
	}
	if err := f.agree(s, c, &b, &out); err != nil {
		f.fail("%s: %w", s.name, err)
		return false
	}
	if s.tearing(tearCommit) {
		s.crash("crash before a block is committed")
		return false
	}
	retain, err := s.app.Commit()
	if err != nil {
		s.broke(err)
		return false
	}
	return s.committed(c, retain)
}

// broke ends the process because of an error of its replica, which it may have only
// if its disk fails.
func (s *server) broke(err error) {
	if s.failing && errors.Is(err, store.ErrFailed) {
		s.crash("disk fails")
		return
	}
	s.f.fail("%s: %w", s.name, err)
}

// committed looks at what a commit has made visible.
func (s *server) committed(c *certificate, retain uint64) bool {
	f, h := s.f, c.block.height
	got, err := s.sub.TryNext()
	if err != nil || got == nil {
		f.fail("%s: block %d is committed and not published: %v", s.name, h, err)
		return false
	}
	if got.Position.Height != h || s.app.Position() != got.Position || got.Position.Root != f.chain[h-1].root {
		f.fail("I10: %s is at %+v after block %d with root %s", s.name, got.Position, h, f.chain[h-1].root)
		return false
	}
	if hashResults(got.Result) != f.chain[h-1].results {
		f.fail("I10: %s has other results of block %d", s.name, h)
		return false
	}
	if at := s.app.Info().Height; at < s.disk.persist || at >= h {
		f.fail("S-11: %s answers for height %d after %d, at block %d", s.name, at, s.disk.persist, h)
		return false
	}
	s.disk.persist = s.app.Info().Height
	if retain > s.disk.persist+1 {
		f.fail("S-11: %s lets go of block %d and answers for %d", s.name, retain-1, s.disk.persist)
		return false
	}
	for ; s.disk.base < retain; s.disk.base++ {
		delete(s.disk.blocks, s.disk.base)
	}
	s.pool.committed(c.block, got.Result)
	return true
}

// agree compares what a server makes of a block with what the first one made of it.
func (f *federation) agree(s *server, c *certificate, b *consensus.Block, out *consensus.Outcome) error {
	if b.Height == f.head()+1 {
		if err := f.append(c, b, out); err != nil {
			return err
		}
		f.log("block", s.index, int(b.Height), c.block.number, len(b.Payloads), int(binary.BigEndian.Uint32(out.Root[:])))
	}
	e := f.chain[b.Height-1]
	if e.cert.block != c.block {
		return errors.New("I10: two blocks are decided at one height")
	}
	if e.root != out.Root {
		return errors.New("I10: another root at height " + s.name)
	}
	next := newValidators(f.set(b.Height+1), out.Validators)
	if !slices.Equal(next.all, f.set(b.Height+2).all) {
		return errors.New("I10: other validators")
	}
	return nil
}

// append adds a block to the canonical history, through the auditor.
func (f *federation) append(c *certificate, b *consensus.Block, out *consensus.Outcome) error {
	if !c.valid(f.set(b.Height)) {
		return errors.New("a block is decided without two thirds")
	}
	block, err := f.executed(b)
	if err != nil {
		return err
	}
	res, err := f.audit.Block(block)
	if err != nil {
		return err
	}
	if res.Root != out.Root {
		return errors.New("I15: the commands alone give another root")
	}
	for _, key := range block.Evidence { // all whom a block bars are among them, says the auditor
		if _, ok := f.guilty[key]; !ok {
			return fmt.Errorf("I22: evidence against %x, which has not signed twice", key[:4])
		}
	}
	f.chain = append(f.chain, &entry{cert: c, root: out.Root, results: hashResults(res), time: f.audit.State().Time()})
	f.sets = append(f.sets, newValidators(f.sets[len(f.sets)-1], out.Validators))
	return nil
}

// punished tells whether a block below a height holds the evidence.
func (f *federation) punished(e *evidence, height uint64) bool {
	for _, c := range f.chain[:min(height-1, f.head())] {
		if slices.ContainsFunc(c.cert.block.evidence, e.same) {
			return true
		}
	}
	return false
}

func hashResults(r *exchange.Result) (sum [32]byte) {
	h := sha256.New()
	for _, e := range r.Results {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(e))))
		h.Write(e)
	}
	h.Sum(sum[:0])
	return sum
}

// stop ends the process without a word.
func (s *server) stop() {
	if !s.up {
		return
	}
	s.up = false
	s.life++
	s.sub.Close()
	s.m, s.pool, s.joining = nil, nil, nil
	s.vault.signer, s.vault.custodian = nil, nil
}

// crash takes the power away. What the disk has not synced is lost in part or whole.
func (s *server) crash(why string) {
	if !s.up {
		return
	}
	s.f.log("crash", s.index, int(s.disk.top))
	s.f.loop.note(s.name + ": " + why)
	s.stop()
	after, err := s.disk.store.Crash(s.rng)
	if err != nil {
		s.f.fail("%s: crash: %w", s.name, err)
		return
	}
	_ = s.app.Close() // it has lost its disk
	s.disk.store = after
	s.tear = tearNone
	if !s.dead {
		s.f.loop.after(uint64(100_000+s.rng.IntN(1_500_000)), s.restart)
	}
}

// restart starts a process that is down.
func (s *server) restart() {
	if !s.up && !s.dead && s.f.err == nil {
		s.boot()
	}
}

// shutdown ends the process in order, which writes all but the newest block.
func (s *server) shutdown() {
	if !s.up {
		return
	}
	s.f.log("shutdown", s.index)
	s.stop()
	if err := s.app.Close(); err != nil {
		s.f.fail("%s: close: %w", s.name, err)
		return
	}
	if err := s.disk.store.Close(); err != nil {
		s.f.fail("%s: close store: %w", s.name, err)
		return
	}
	again, err := s.disk.store.Disk().Open("/")
	if err != nil {
		s.f.fail("%s: %w", s.name, err)
		return
	}
	s.disk.store = again
	s.f.loop.after(uint64(100_000+s.rng.IntN(1_000_000)), s.restart)
}

// tick is what a server does from time to time.
func (s *server) tick() {
	s.after(tickEvery+uint64(s.rng.IntN(50_000)), s.tick)
	if s.joining != nil {
		s.join()
		return
	}
	if s.m == nil {
		return
	}
	s.tellHeight()
	s.pool.tick()
	s.askReturn()
	for _, e := range s.accusations() {
		s.f.net.broadcast(s, func(to *server) { to.accuse(e) })
	}
	if s.f.bank != nil {
		if s.f.bank.step(s); s.m == nil {
			return
		}
	}
	m := s.m
	m.wake(false)
	if s.m == m && m.stage != idle && m.stage != closed && s.f.loop.now > m.moved+tickEvery/2 {
		n := m.news()
		s.f.net.broadcast(s, func(to *server) { to.onNews(s, n) })
	}
}

// askReturn asks for the server's full power back when it may have it.
func (s *server) askReturn() {
	if s.f.loop.now < s.returned+2_000_000 || s.liar != nil {
		return
	}
	ask, second := false, false
	_ = s.app.View(func(st *exchange.State) {
		id, ok := st.Roster().ByConsensus(s.keys[len(s.keys)-1])
		var m roster.Member
		if ok {
			m, ok = st.Roster().Member(id)
		}
		ask = ok && m.Demoted && !m.Barred && st.Time() >= m.Until
		second = m.Server == s.f.keys.Public(s.name+"/server2")
	})
	if ask {
		s.returned = s.f.loop.now
		s.f.clients.send(s.f.load.Return(s.name, second, s.f.clients.now()), s)
	}
}

// isDue tells whether the application needs a block now.
func (s *server) isDue() bool {
	due, ok := s.app.NextDue()
	return ok && !due.After(s.clock())
}

// wantsProof tells whether the newest root stands in no block yet.
func (s *server) wantsProof() bool {
	return s.app.Position().RootHeight == s.disk.top && s.disk.top > 0
}

// accuse takes evidence, and passes on what is new.
func (s *server) accuse(e *evidence) {
	if slices.ContainsFunc(s.accused, e.same) || !e.genuine() {
		return
	}
	s.accused = append(s.accused, e)
	s.f.log("accuse", s.index, int(e.a.height))
	s.f.net.broadcast(s, func(to *server) { to.accuse(e) })
}

// accusations are those that no block holds yet.
func (s *server) accusations() []*evidence {
	var open []*evidence
	for _, e := range s.accused {
		if s.m != nil && e.a.height < s.m.height && !s.f.punished(e, s.m.height) {
			open = append(open, e)
		}
	}
	return open
}
