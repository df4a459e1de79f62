package sim

import (
	"errors"

	"souk/store/memstore"
)

// mostFaults is after how many a seed is left in peace until its commands are done.
const mostFaults = 90

// errDisk is what a disk that fails says.
var errDisk = errors.New("input/output error")

// fault counts a fault.
func (f *federation) fault(kind string) {
	if f.calm {
		return
	}
	f.faults[kind]++
	f.faulted++
	f.log("fault "+kind, f.faulted)
}

// lie counts what a liar does. It is a fault too, but the least number of faults
// is of others.
func (f *federation) lie(kind string) {
	f.faults[kind]++
	f.log("lie "+kind, f.faults[kind])
}

// nextFault does something bad, and is called for the one after it.
func (f *federation) nextFault() {
	if f.calm {
		return
	}
	// Nobody ends an outage before its time: clients are waiting for that.
	if f.clients.acked >= LeastCommands && f.faulted >= LeastFaults+5 && !f.outage {
		f.calmDown()
		return
	}
	f.loop.after(uint64(f.rng.ExpFloat64()*1_900_000/float64(f.shape.hardness)), f.nextFault)
	if f.outage || f.faulted >= mostFaults {
		return
	}
	kinds := []func(){
		f.crashOne, f.crashOne, f.tearOne, f.tearOne, f.tearOne, f.shutOne, f.powerLoss, f.partition, f.partition, f.oneWay, f.swizzle,
		f.pauseOne, f.slowOne, f.clockJump, f.clockJump, f.failSync, f.failSync, f.lossy, f.lossy, f.muteOne, f.loseDisk, f.longOutage,
	}
	kinds[f.rng.IntN(len(kinds))]()
}

func (f *federation) anyServer() *server { return f.servers[f.rng.IntN(len(f.servers))] }

// between is a random number of us.
func (f *federation) between(least, most int) uint64 { return uint64(least + f.rng.IntN(most-least)) }

// later ends a fault, unless all have been ended.
func (f *federation) later(us uint64, end func()) {
	f.loop.after(us, func() {
		if !f.calm {
			end()
		}
	})
}

func (f *federation) crashOne() {
	if s := f.anyServer(); s.up {
		f.fault("crash")
		s.crash("crash")
	}
}

func (f *federation) tearOne() {
	if s := f.anyServer(); s.up && s.tear == tearNone {
		s.tear = tear(1 + f.rng.IntN(int(tears)-1))
		f.fault("torn step")
	}
}

func (f *federation) shutOne() {
	if s := f.anyServer(); s.up && s.m != nil && !s.failing {
		f.fault("restart")
		s.shutdown()
	}
}

func (f *federation) powerLoss() {
	f.fault("power loss of all")
	for _, s := range f.servers {
		s.crash("power loss")
	}
}

// longOutage is a power loss that lasts longer than any command lives.
func (f *federation) longOutage() {
	if f.faults["long outage"] > 0 || f.rng.IntN(3) != 0 {
		return
	}
	f.fault("long outage")
	for _, s := range f.servers {
		s.dead = true
		s.crash("long outage")
	}
	f.outage = true
	f.loop.after(780_000_000, func() {
		f.outage = false
		for _, s := range f.servers {
			s.dead = false
			s.restart()
		}
	})
}

// cut takes links away or gives them back.
func (f *federation) cut(from, to *server, by int) { f.net.link(from.index, to.index).cut += by }

func (f *federation) partition() {
	if len(f.servers) < 2 {
		return
	}
	f.fault("partition")
	side := make([]bool, len(f.servers))
	for i := range side {
		side[i] = f.rng.IntN(2) == 0
	}
	all := f.servers[:len(side)]
	change := func(by int) {
		for i, a := range all {
			for j, b := range all {
				if side[i] != side[j] {
					f.cut(a, b, by)
				}
			}
		}
	}
	change(1)
	f.later(f.between(300_000, 3_000_000), func() { change(-1) })
}

func (f *federation) oneWay() {
	a, b := f.anyServer(), f.anyServer()
	if a == b {
		return
	}
	f.fault("one-way cut")
	f.cut(a, b, 1)
	whole := f.rng.IntN(2) == 0 // nobody hears a
	if whole {
		for _, o := range f.servers {
			f.cut(a, o, 1)
		}
	}
	all := f.servers[:len(f.servers):len(f.servers)]
	f.later(f.between(300_000, 4_000_000), func() {
		f.cut(a, b, -1)
		if whole {
			for _, o := range all {
				f.cut(a, o, -1)
			}
		}
	})
}

// swizzle clogs the links of some servers one by one and frees them in another order.
func (f *federation) swizzle() {
	f.fault("swizzle-clog")
	for _, i := range f.rng.Perm(len(f.servers))[:1+f.rng.IntN(len(f.servers))] {
		begin, end := f.between(0, 1_500_000), f.between(1_500_000, 4_000_000)
		f.later(begin, func() {
			for _, o := range f.servers {
				for _, l := range []*link{f.net.link(i, o.index), f.net.link(o.index, i)} {
					l.until = max(l.until, f.loop.now+end-begin)
				}
			}
		})
	}
}

func (f *federation) pauseOne() {
	if s := f.anyServer(); s.up {
		f.fault("pause")
		s.busy = max(s.busy, f.loop.now+f.between(200_000, 4_000_000))
	}
}

// slowOne makes a server do nothing for most of some time.
func (f *federation) slowOne() {
	s := f.anyServer()
	f.fault("slow server")
	for range 5 + f.rng.IntN(20) {
		f.later(f.between(0, 5_000_000), func() { s.busy = max(s.busy, f.loop.now+f.between(20_000, 250_000)) })
	}
}

func (f *federation) clockJump() {
	s := f.anyServer()
	f.fault("clock jump")
	if f.rng.IntN(3) == 0 {
		s.skew = 0
		return
	}
	s.skew += int64(f.rng.IntN(8_000)) - 4_000
}

// failSync makes the next sync of a disk fail, and all after it.
func (f *federation) failSync() {
	s := f.anyServer()
	if !s.up || s.m == nil {
		return
	}
	f.fault("failed sync")
	s.failing = true
	s.disk.store.Intercept(func(c memstore.Commit) error {
		if c.Sync {
			return errDisk
		}
		return nil
	})
}

// lossy makes some links lose, repeat and delay a good part of their messages.
func (f *federation) lossy() {
	f.fault("lossy links")
	loss, repeat, delay := f.rng.IntN(400), f.rng.IntN(400), f.between(0, 300_000)
	var hit []*link
	for _, a := range f.servers {
		for _, b := range f.servers {
			if f.rng.IntN(2) == 0 {
				hit = append(hit, f.net.link(a.index, b.index))
			}
		}
	}
	was := make([]link, len(hit))
	for i, l := range hit {
		was[i] = *l
		l.loss, l.repeat, l.delay, l.ordered = loss, repeat, delay, f.rng.IntN(2) == 0
	}
	f.later(f.between(500_000, 5_000_000), func() {
		for i, l := range hit {
			l.loss, l.repeat, l.delay, l.ordered = was[i].loss, was[i].repeat, was[i].delay, was[i].ordered
		}
	})
}

// muteOne makes a server take commands and never pass them on.
func (f *federation) muteOne() {
	s := f.anyServer()
	if s.silent {
		return
	}
	f.fault("silent server")
	s.silent = true
	f.later(f.between(1_000_000, 8_000_000), func() { s.silent = false })
}

// loseDisk takes a disk for good. The server comes back with its key, and must not
// vote where it may have voted. That is as bad as one more liar, so it happens only
// if consensus bears it.
func (f *federation) loseDisk() {
	s := f.anyServer()
	v := f.set(f.head() + 1)
	power := v.reliable(s)
	for _, o := range f.servers {
		if o != s && (o.liar != nil || o.mute(f.head()+1) || o.m == nil) {
			power += v.reliable(o)
		}
	}
	power += v.low()
	if s.liar != nil || s.dead || len(f.servers) < 4 || power*3 >= v.total || f.head() < 2 {
		return
	}
	f.fault("lost disk")
	s.awayTo = max(s.awayTo, s.disk.signed.height)
	s.wipe()
	s.f.loop.after(f.between(200_000, 3_000_000), s.restart)
}
