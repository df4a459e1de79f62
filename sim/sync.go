package sim

import (
	"errors"
	"os"

	"souk/consensus"
	"souk/store"
)

const (
	askEvery  = 150_000 // us between two requests for blocks
	sendMost  = 16      // blocks sent at once
	chunkWait = 1_500_000
	giveUp    = 8_000_000 // us after which a restore begins anew
)

// ahead notes that another server is at a height, and asks it for blocks if that
// is above this one's.
func (s *server) ahead(from *server, height uint64) {
	if s.m == nil || height <= s.m.height || s.f.loop.now < s.asked+askEvery {
		return
	}
	s.asked = s.f.loop.now
	want := s.m.height
	s.f.net.send(s, from, func() { from.onAsk(s, want) })
}

func (s *server) onProposal(from *server, p *proposal) {
	if s.m == nil {
		return
	}
	s.ahead(from, p.block.height)
	if p.block.height == s.m.height && s.m.takeProposal(p) {
		s.m.advance()
	}
}

func (s *server) onVote(from *server, v *vote) {
	if s.m == nil {
		return
	}
	s.ahead(from, v.height)
	if v.height == s.m.height && s.m.takeVote(v) {
		s.m.advance()
	}
}

func (s *server) onNews(from *server, n news) {
	for _, p := range n.proposals {
		s.onProposal(from, p)
	}
	for _, v := range n.votes {
		if s.up {
			s.onVote(from, v)
		}
	}
}

// tellHeight tells all which height this server is at.
func (s *server) tellHeight() {
	height := s.m.height
	s.f.net.broadcast(s, func(to *server) { to.ahead(s, height) })
}

// onAsk sends blocks from a height on, or says that they are gone.
func (s *server) onAsk(from *server, height uint64) {
	if s.m == nil {
		return
	}
	if height < s.disk.base {
		s.f.net.send(s, from, func() { from.onPruned(height) })
		return
	}
	var some []*certificate
	for h := height; h <= s.disk.top && len(some) < sendMost; h++ {
		some = append(some, s.disk.blocks[h])
	}
	if len(some) > 0 {
		s.f.net.send(s, from, func() { from.onBlocks(s, some) })
	}
}

// onBlocks takes decided blocks, each with its proof.
func (s *server) onBlocks(from *server, some []*certificate) {
	for _, c := range some {
		if s.m == nil || !s.up || c.block.height != s.m.height {
			continue
		}
		if !c.valid(s.m.set) {
			s.f.fail("%s sends a block %d without proof", from.name, c.block.height)
			return
		}
		s.m.stage = closed
		s.decide(c)
	}
	if s.m != nil && len(some) == sendMost {
		s.asked = 0
		s.ahead(from, s.m.height+1)
	}
}

// onPruned is what a server hears that was away so long that nobody has the
// blocks any more that it needs: it must begin anew from a snapshot.
func (s *server) onPruned(height uint64) {
	if s.m == nil || height != s.m.height || s.joining != nil {
		return
	}
	for _, o := range s.f.servers {
		if o != s && o.disk.base <= height && o.disk.top >= height && !o.dead {
			return // somebody has them
		}
	}
	s.f.log("pruned", s.index, int(height))
	keep := s.disk.signed
	s.wipe()
	s.disk.signed = keep // the key's own memory is not part of the state
	s.boot()
}

// wipe takes process and disk away.
func (s *server) wipe() {
	if s.up {
		s.stop()
		_ = s.app.Close() // its disk is gone
	}
	s.disk = newDisk()
	if s.f.bank != nil {
		_ = os.RemoveAll(s.f.bank.folder(s)) // the journal goes with it
	}
	s.founder = false
	s.tear = tearNone
}

// joining is a server without a state on its way to one.
type joining struct {
	offer *consensus.Snapshot
	from  *server
	began uint64 // us
	next  uint32
	asked uint64 // us
	tries int
}

// join makes a step towards a state: blocks from the first on if somebody has
// them, else a snapshot.
func (s *server) join() {
	j := s.joining
	now := s.f.loop.now
	if j.offer != nil {
		if now > j.began+giveUp {
			s.joining = &joining{}
		} else if now > j.asked+chunkWait {
			s.askChunk()
		}
		return
	}
	j.tries++
	from := s.f.servers[s.rng.IntN(len(s.f.servers))]
	if from == s {
		return
	}
	whole := s.rng.IntN(3) == 0 || j.tries > 20
	s.f.net.send(s, from, func() { from.onJoin(s, whole) })
}

// onJoin tells a server without a state what there is.
func (s *server) onJoin(from *server, whole bool) {
	if s.m == nil {
		return
	}
	all, err := s.app.Snapshots()
	if err != nil {
		s.broke(err)
		return
	}
	if s.disk.base == 1 && (whole || len(all) == 0) {
		s.f.net.send(s, from, func() { from.onWhole() })
		return
	}
	if len(all) > 0 {
		offer := all[0]
		if s.liar != nil {
			s.liar.offer(&offer)
		}
		s.f.net.send(s, from, func() { from.onOffer(s, offer) })
	}
}

// onWhole begins with the founding and asks for all blocks.
func (s *server) onWhole() {
	if s.joining == nil || s.joining.offer != nil {
		return
	}
	s.f.log("replay", s.index)
	s.joining, s.founder = nil, true
	s.resume(0)
}

// onOffer begins a restore. Its root is taken from the history: what a light client
// would find out.
func (s *server) onOffer(from *server, offer consensus.Snapshot) {
	j := s.joining
	if j == nil || j.offer != nil || offer.Height >= s.f.head() {
		return
	}
	if err := s.app.Offer(offer, s.f.chain[offer.Height-1].root); err != nil {
		s.f.loop.note(err.Error())
		if from.liar == nil {
			s.f.fail("%s refuses a snapshot: %w", s.name, err)
		}
		return
	}
	s.f.log("restore", s.index, from.index, int(offer.Height))
	j.offer, j.from, j.began, j.next = &offer, from, s.f.loop.now, 0
	s.askChunk()
}

func (s *server) askChunk() {
	j := s.joining
	j.asked = s.f.loop.now
	from, height, format, index := j.from, j.offer.Height, j.offer.Format, j.next
	s.f.net.send(s, from, func() {
		if from.m == nil {
			return
		}
		chunk, err := from.app.Chunk(height, format, index)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			from.broke(err)
		}
		if err != nil {
			return
		}
		if from.liar != nil {
			chunk = from.liar.chunk(chunk)
		}
		s.f.net.send(from, s, func() { s.onChunk(height, index, chunk) })
	})
}

// onChunk takes a chunk, and asks for the next one or the same one again.
func (s *server) onChunk(height uint64, index uint32, chunk []byte) {
	j := s.joining
	if j == nil || j.offer == nil || height != j.offer.Height || index != j.next {
		return
	}
	done, err := s.app.Restore(index, chunk)
	switch {
	case errors.Is(err, consensus.ErrBadChunk):
		if j.from.liar == nil {
			s.f.fail("%s sends a bad chunk", j.from.name)
		}
		s.joining = &joining{}
		return
	case err != nil && s.failing:
		s.crash("disk fails")
		return
	case err != nil:
		s.f.fail("I10: %s does not restore: %w", s.name, err)
		return
	}
	if j.next++; !done {
		s.askChunk()
		return
	}
	s.restored(height)
}

// restored begins at the height after the snapshot's.
func (s *server) restored(height uint64) {
	info := s.app.Info()
	if info.Height != height || info.Root != s.f.chain[height-1].root {
		s.f.fail("I10: %s restored height %d with root %s", s.name, info.Height, info.Root)
		return
	}
	s.f.log("restored", s.index, int(height))
	s.joining, s.came = nil, height
	s.disk.base, s.disk.top, s.disk.persist = height+1, height, height
	s.enter(height + 1)
}
