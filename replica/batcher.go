package replica

import (
	"errors"
	"log/slog"
	"time"

	"souk/consensus"
	"souk/exchange"
)

// poolFullWait is how long a batch waits before it is offered again to an engine
// whose pool was full.
const poolFullWait = 20 * time.Millisecond

// batch is commands on their way into a block together.
type batch struct {
	seq      uint64
	commands []exchange.Command
	claims   []claim // of the commands, set by admit; under intake.mu
	bytes    int     // of the commands
	expiry   uint64  // the latest of them; the batch is in vain from then on
	ripe     bool    // has waited for others long enough; under intake.mu
	payload  []byte  // set by send; under intake.mu
	timer    *time.Timer
	done     chan struct{} // closed when a block contained it
}

// enqueue puts a command into the open batch, and the batch on its way when it is
// full; under mu.
func (in *intake) enqueue(c *exchange.Command) {
	if b := in.open; b != nil && batchHeader+b.bytes+c.Size() > consensus.MaxPayload {
		in.seal()
	}
	b := in.open
	if b == nil {
		in.seq++
		b = &batch{seq: in.seq, done: make(chan struct{})}
		in.open = b
	}
	b.commands = append(b.commands, *c)
	b.bytes += c.Size()
	b.expiry = max(b.expiry, c.Expiry)
	if len(b.commands) >= in.config.BatchCommands {
		in.seal()
	}
}

// seal closes the open batch; under mu.
func (in *intake) seal() {
	b := in.open
	in.open = nil
	if b.timer != nil {
		b.timer.Stop()
	}
	in.ready = append(in.ready, b)
}

// pump sends batches on their way as long as there is room: full ones, and the
// open one if nothing else is under way or if it has waited long enough. Without
// room the open batch goes on filling, so that batches grow with the load. Under mu.
func (in *intake) pump() {
	for len(in.inFlight) < in.config.InFlight && !in.closed {
		if len(in.ready) == 0 {
			b := in.open
			if b == nil {
				return
			}
			if len(in.inFlight) > 0 && !b.ripe {
				if b.timer == nil {
					b.timer = time.AfterFunc(in.config.BatchWait, func() { in.ripen(b) })
				}
				return
			}
			in.seal()
		}
		b := in.ready[0]
		in.ready[0] = nil
		in.ready = in.ready[1:]
		in.inFlight[b.seq] = b
		in.r.metrics.InFlight.Store(int64(len(in.inFlight)))
		in.wait.Go(func() { in.send(b) })
	}
}

// ripen sends a batch on its way that has waited long enough for others.
func (in *intake) ripen(b *batch) {
	in.mu.Lock()
	defer in.mu.Unlock()
	b.ripe = true
	in.pump()
}

// send verifies a batch, takes out what its accounts cannot have under way, makes
// it a payload, and offers that to the engine until
// a block contains it or it has expired.
func (in *intake) send(b *batch) {
	verdicts, err := in.r.verify(in.ctx, b.commands, false)
	if err != nil || !in.admit(b, verdicts) {
		return // closing, or nothing is left
	}
	payload := in.pack(b)
	in.mu.Lock()
	b.payload = payload
	in.mu.Unlock()
	for tries := 0; ; tries++ {
		wait := in.config.Resubmit
		switch err := in.engine.Submit(in.ctx, payload); {
		case err == nil || errors.Is(err, consensus.ErrKnown):
			if tries > 0 && err == nil {
				in.r.metrics.Resubmitted.Add(1)
			}
		case errors.Is(err, consensus.ErrPoolFull):
			wait = poolFullWait
		case in.ctx.Err() != nil:
			return
		case errors.Is(err, consensus.ErrStopped): // whoever stopped it closes the replica, or it goes on
		default:
			in.r.log.Warn("engine refuses a batch", slog.Uint64("seq", b.seq), slog.Any("error", err))
		}
		timer := time.NewTimer(wait)
		select {
		case <-b.done:
			timer.Stop()
			return
		case <-in.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if in.r.Position().Time >= b.expiry {
			in.expire(b)
			return
		}
	}
}

// demanded is what a command demands, or why it is of no use any more.
type demanded struct {
	exchange.Demand
	code exchange.Code
}

// admit takes out of a batch the commands with bad signatures, those that the state
// has meanwhile no use for, and those that are beyond what their accounts may have
// under way (S-48); false if none is left. Only here, behind the signatures, do commands count for their
// accounts: or anybody could take up the share of others.
func (in *intake) admit(b *batch, verdicts []bool) bool {
	demands := make([]demanded, len(b.commands))
	var most uint32
	err := in.r.View(func(s *exchange.State) {
		most = s.Params().AccountCommands
		for i := range b.commands {
			demands[i].Demand, demands[i].code = s.Demand(&b.commands[i])
		}
	})
	if err != nil {
		return false // halted
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	b.claims = make([]claim, 0, len(b.commands))
	var refused []refusedCommand
	for i := range b.commands {
		c := &b.commands[i]
		if verdicts != nil && !verdicts[i] {
			b.bytes -= c.Size()
			in.account(-1, -c.Size())
			in.badSignature(c)
			continue
		}
		d := &demands[i]
		if d.code == exchange.OK {
			var cl claim
			if cl, d.code = in.shares.take(c, &d.Demand, most); d.code == exchange.OK {
				if len(b.claims) < i {
					b.commands[len(b.claims)] = *c
				}
				b.claims = append(b.claims, cl)
				continue
			}
		}
		b.bytes -= c.Size()
		refused = append(refused, refusedCommand{*c, d.code})
	}
	clear(b.commands[len(b.claims):])
	b.commands = b.commands[:len(b.claims)]
	if len(refused) > 0 {
		in.wait.Go(func() {
			for i := range refused {
				in.refuse(in.ctx, &refused[i].Command, refused[i].code)
			}
		})
	}
	if len(b.commands) == 0 {
		in.end(b)
	}
	in.pump()
	return len(b.commands) > 0
}

// refusedCommand is a command that is taken out of a batch.
type refusedCommand struct {
	exchange.Command
	code exchange.Code
}

// pack makes a batch's payload, and makes it known as verified, together with the
// commands, whose bodies now lie in the payload.
func (in *intake) pack(b *batch) []byte {
	payload := appendBatchHeader(make([]byte, 0, batchHeader+b.bytes), in.r.member(), b.seq, len(b.commands))
	for i := range b.commands {
		c := &b.commands[i]
		payload = c.Append(payload)
		end := len(payload) - len(c.Signature)
		c.Body = payload[end-len(c.Body) : end]
	}
	in.r.known.add(payload, Batch{Member: in.r.member(), Seq: b.seq, Commands: b.commands})
	in.r.metrics.Batches.Add(1)
	in.r.metrics.BatchCommands.Add(uint64(len(b.commands)))
	return payload
}

// finish ends a batch of this server that a block contained, and tells whether it
// is one. Anybody can put another's name on a batch, so its bytes count. Under mu.
func (in *intake) finish(f *finalizedBatch) bool {
	b := in.inFlight[f.seq]
	if b == nil || !same(b.payload, f.payload) {
		return false
	}
	close(b.done)
	in.end(b)
	return true
}

// end makes room for the next batch; under mu.
func (in *intake) end(b *batch) {
	delete(in.inFlight, b.seq)
	for i := range b.claims {
		in.shares.give(&b.claims[i])
	}
	b.claims = nil
	in.account(-len(b.commands), -b.bytes)
	in.r.metrics.InFlight.Store(int64(len(in.inFlight)))
}

// expire answers for the commands of a batch that no block can execute any more.
func (in *intake) expire(b *batch) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.inFlight[b.seq] != b {
		return // a block contained it after all
	}
	in.r.log.Warn("batch expired before a block contained it", slog.Uint64("seq", b.seq), slog.Int("commands", len(b.commands)))
	for i := range b.commands {
		id := b.commands[i].ID
		in.deliver(&id, Answer{ID: id, Fate: FateRefused, Receipt: exchange.Receipt{ID: id, Code: exchange.Expired}})
	}
	in.end(b)
	in.pump()
}
